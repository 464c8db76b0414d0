//! Pins of public keys: which servers have a key that is pinned.
//!
//! OpenSSL computed the pins of the files in `trust/`, as the documentation says.

#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used)] // `clippy.toml` allows it in test functions only.

use crate::support;
use crate::trust::{Shown, connect_to};

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use landline::error::{InvalidInput, ProxyProblem, TlsError, TlsProblem};
use landline::tls::TlsOptions;
use landline::{Builder, Error, Message};
use rcgen::{KeyPair, PublicKeyData as _};
use rustls::SupportedProtocolVersion;
use rustls::crypto::ring;
use rustls::version::{TLS12, TLS13};
use support::tls::{Ca, Leaf, ca, config, localhost, serve_tls, trusting, wants_client};
use support::*;

const SELF_SIGNED: &str = include_str!("trust/req-x509.pem");
const BY_AUTHORITY: &str = include_str!("trust/p256-sha512.pem");
const VERSION_1: &str = include_str!("trust/version-1.pem");
const P256_KEY: &str = include_str!("trust/p256.key");
/// The pin of the key of these three certificates.
const P256: &str = "sha256//SzcmrWB7epinhaNpGPhd2FClbEjpujo+uEAtsMAQLGk=";
/// The pin of the key in `trust/p521.pem`.
const P521: &str = "sha256//xpwXWowhXuwnnPeh+HwmcMmBtCp27dAQsZhJTQ5p10Q=";
/// A pin of no key.
const NOBODY: &str = "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

/// Returns options with these pins.
fn pinned<'a>(options: TlsOptions, pins: impl IntoIterator<Item = &'a str>) -> TlsOptions {
    pins.into_iter().fold(options, |options, pin| options.pin_public_key(pin).unwrap())
}

/// Returns the pin of a key that a test made.
fn pin_of(leaf: &Leaf) -> String {
    let key = KeyPair::from_pem(&leaf.key_pem).unwrap().subject_public_key_info();
    let rustls::SupportedCipherSuite::Tls13(suite) = ring::cipher_suite::TLS13_AES_128_GCM_SHA256
    else {
        panic!("not TLS 1.3")
    };
    format!("sha256//{}", BASE64.encode(suite.common.hash_provider.hash(&key)))
}

fn self_signed() -> Shown {
    Shown::signing(&[SELF_SIGNED], P256_KEY)
}

fn trusting_self_signed() -> TlsOptions {
    TlsOptions::new().ca_pem(SELF_SIGNED.as_bytes()).unwrap()
}

fn why(error: Error) -> Box<TlsError> {
    match error {
        Error::Tls(tls) => tls,
        other => panic!("not a TLS error: {other:?}"),
    }
}

/// Checks that the server was refused because it has the key of this pin.
fn is_mismatch(refused: &TlsError, came: &str) {
    assert_eq!(refused.problem(), TlsProblem::PinMismatch, "{refused}");
    assert!(refused.is_certificate());
    assert_eq!(
        refused.to_string(),
        format!(
            "TLS failed: the certificate has a public key that is not pinned: {came}. If this is \
             the key of the server, give it to `TlsOptions::pin_public_key`"
        )
    );
}

#[test]
fn a_server_with_a_pinned_key_is_accepted() {
    watchdog(LIMIT, || {
        let both = format!("{NOBODY}; {P256}");
        for version in VERSIONS {
            for pins in [&[P256][..], &[P256, P521], &[P521, P256], &[&both], &[P256, P256]] {
                let options = pinned(trusting_self_signed(), pins.iter().copied());
                connect_to(&self_signed(), "localhost", version, options).unwrap();
            }
        }
    });
}

#[test]
fn a_server_with_another_key_is_refused_and_the_error_shows_its_pin() {
    watchdog(LIMIT, || {
        for version in VERSIONS {
            for pins in [&[P521][..], &[P521, NOBODY]] {
                let options = pinned(trusting_self_signed(), pins.iter().copied());
                let refused = connect_to(&self_signed(), "localhost", version, options);
                is_mismatch(&refused.unwrap_err(), P256);
            }
        }
        // The pin that is shown is the one to give.
        let leaf = ca().leaf(&["localhost"]);
        let server = serve_tls(config(&leaf), |peer| peer.try_send(b"x").is_err());
        let builder = builder().tls(pinned(trusting(), [P256]));
        let refused = error(builder.connect(&server.url()));
        assert!(!refused.is_retryable());
        is_mismatch(&why(refused), &pin_of(&leaf));
        assert!(server.join());
    });
}

#[test]
fn a_pinned_key_does_not_replace_the_other_checks() {
    watchdog(LIMIT, || {
        let said = |options: TlsOptions, host| {
            let options = pinned(options, [P256]);
            let said = VERSIONS.map(|version| {
                connect_to(&self_signed(), host, version, options.clone()).unwrap_err().problem()
            });
            assert_eq!(said[0], said[1]);
            said[0]
        };
        let another = TlsOptions::new().ca_pem(ca().pem.as_bytes()).unwrap();
        assert_eq!(said(another, "localhost"), TlsProblem::CaUsedAsEndEntity);
        assert_eq!(said(trusting_self_signed(), "127.0.0.1"), TlsProblem::WrongName);
    });
}

/// Connects to a server with a self-signed certificate of another name.
fn device(version: &'static SupportedProtocolVersion, pin: &str) -> Result<(), Box<TlsError>> {
    let options = pinned(TlsOptions::new().danger_accept_any_certificate(), [pin]);
    connect_to(&self_signed(), "127.0.0.1", version, options)
}

#[test]
fn where_any_certificate_is_accepted_the_pin_alone_decides() {
    watchdog(LIMIT, || {
        for version in VERSIONS {
            device(version, P256).unwrap();
            is_mismatch(&device(version, P521).unwrap_err(), P256);
        }
        // The order of the calls does not matter.
        let options = pinned(TlsOptions::new(), [P256]).danger_accept_any_certificate();
        connect_to(&self_signed(), "127.0.0.1", &TLS13, options).unwrap();
    });
}

#[test]
fn a_server_that_shows_a_pinned_certificate_but_has_not_its_key_is_refused() {
    watchdog(LIMIT, || {
        // The certificate is public. Only the signature in the handshake proves who has the key.
        let impostor =
            Shown::signing(&[SELF_SIGNED], &KeyPair::generate().unwrap().serialize_pem());
        for version in VERSIONS {
            for options in
                [trusting_self_signed(), TlsOptions::new().danger_accept_any_certificate()]
            {
                let refused = connect_to(&impostor, "localhost", version, pinned(options, [P256]));
                assert_eq!(refused.unwrap_err().problem(), TlsProblem::BadSignature);
            }
        }
    });
}

#[test]
fn where_any_name_is_accepted_the_pin_must_match_too() {
    watchdog(LIMIT, || {
        for version in VERSIONS {
            let device = |pin| {
                let options = trusting_self_signed().danger_accept_any_name();
                connect_to(&self_signed(), "127.0.0.1", version, pinned(options, [pin]))
            };
            device(P256).unwrap();
            is_mismatch(&device(P521).unwrap_err(), P256);
        }
    });
}

#[test]
fn a_pinned_certificate_must_be_one_whose_key_can_be_read_and_its_issuer_does_not_matter() {
    watchdog(LIMIT, || {
        // A certificate of version 1 has the key, but no signature can be checked by it. One that
        // is signed in a way that is not known here is good enough for its pin.
        let options = || pinned(TlsOptions::new().danger_accept_any_certificate(), [P256]);
        for version in VERSIONS {
            let shown = Shown::signing(&[VERSION_1], P256_KEY);
            let refused = connect_to(&shown, "localhost", version, options()).unwrap_err();
            assert_eq!(refused.problem(), TlsProblem::OtherCertificate);
            assert!(refused.to_string().contains("version 1 of X.509"), "{refused}");
            let shown = Shown::signing(&[BY_AUTHORITY], P256_KEY);
            connect_to(&shown, "localhost", version, options()).unwrap();
        }
    });
}

#[test]
fn only_pins_can_be_given() {
    let base64 = |bytes: &[u8]| format!("sha256//{}", BASE64.encode(bytes));
    let bad = [
        String::new(),
        ";".into(),
        format!("{P256};"),
        "sha256//".into(),
        P256.replace("sha256//", ""),
        P256.replace("sha256//", "sha256/"),
        P256.replace("sha256//", "sha1//"),
        P256.replace("sha256//", "SHA256//"),
        P256.replace('=', ""),
        P256.replace('+', "-"),
        P256.replace('z', " "),
        format!("{P256}="),
        base64(&[1; 31]),
        base64(&[1; 33]),
        base64(&[1; 64]),
        "sha256//ü".into(),
    ];
    for pin in bad {
        match error(TlsOptions::new().pin_public_key(&pin)) {
            Error::InvalidInput(InvalidInput::Tls(why)) => assert!(why.contains("sha256//")),
            other => panic!("{pin:?}: {other:?}"),
        }
    }
    assert!(TlsOptions::new().pin_public_key(&base64(&[1; 32])).is_ok());
}

#[test]
fn a_given_configuration_cannot_be_pinned() {
    let provider = Arc::new(ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(ca().roots())
        .with_no_client_auth();
    match error(TlsOptions::from_rustls(Arc::new(config)).pin_public_key(P256)) {
        Error::InvalidInput(InvalidInput::Tls(why)) => assert!(why.contains("verifier"), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_provider_without_sha_256_is_refused_before_a_socket_is_opened() {
    let mut provider = ring::default_provider();
    provider.cipher_suites = vec![ring::cipher_suite::TLS13_AES_256_GCM_SHA384];
    let options = TlsOptions::new().crypto_provider(Arc::new(provider));
    let builder =
        builder().tls(pinned(options, [P256])).resolver(|_, _| panic!("a name was looked up"));
    match error(builder.connect("wss://pinned.test/")) {
        Error::InvalidInput(InvalidInput::Tls(why)) => assert!(why.contains("SHA-256"), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn no_client_certificate_is_shown_to_a_server_with_another_key() {
    watchdog(LIMIT, || {
        let clients = Ca::new();
        let me = clients.leaf(&["me"]);
        let leaf = ca().leaf(&["localhost"]);
        let pin = pin_of(&leaf);
        for (pin, is_shown) in [(&pin[..], true), (P256, false)] {
            let server = serve_tls(wants_client(&leaf, &clients), |peer| {
                peer.with_tls(|tls| {
                    let _ = tls.conn.complete_io(&mut tls.sock);
                    tls.conn.peer_certificates().is_some()
                })
            });
            let options = trusting()
                .client_certificate_pem(me.pem.as_bytes(), me.key_pem.as_bytes())
                .unwrap();
            let _ = error(builder().tls(pinned(options, [pin])).connect(&server.url()));
            assert_eq!(server.join(), is_shown);
        }
    });
}

/// Connects to a server that redirects to another one. Both have certificates of [`ca`].
fn redirected(builder: &Builder, first: &Leaf, second: &Leaf) -> Result<(), Error> {
    let goal = serve_tls(config(second), |peer| {
        if peer.try_send(b"").is_ok() {
            peer.upgrade();
            peer.send(&text("hello"));
        }
    });
    let location = goal.url();
    let start = serve_tls(config(first), move |peer| {
        peer.read_request();
        peer.send(format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\n\r\n").as_bytes());
    });
    let connected = builder.connect(&start.url());
    start.join();
    goal.join();
    assert_eq!(connected?.recv()?, Message::from("hello"));
    Ok(())
}

#[test]
fn after_a_redirect_to_another_server_its_key_must_be_pinned_too() {
    watchdog(LIMIT, || {
        let [first, second] = [(); 2].map(|()| ca().leaf(&["localhost"]));
        let pins = [pin_of(&first), pin_of(&second)];
        let pins = pins.each_ref().map(String::as_str);
        let any = TlsOptions::new().danger_accept_any_certificate();
        // A server name and a client certificate are meant for the first server only.
        let me = first.pem.as_bytes();
        let named = trusting().server_name("localhost");
        let known = trusting().client_certificate_pem(me, first.key_pem.as_bytes()).unwrap();
        for options in [trusting(), any, named, known] {
            let both = builder().tls(pinned(options.clone(), pins));
            redirected(&both, &first, &second).unwrap();
            let one = builder().tls(pinned(options, [pins[0]]));
            is_mismatch(&why(redirected(&one, &first, &second).unwrap_err()), pins[1]);
        }
    });
}

#[cfg(feature = "proxy")]
#[test]
fn the_key_of_an_https_proxy_has_pins_of_its_own() {
    use landline::proxy::Proxy;

    watchdog(LIMIT, || {
        let [at_proxy, at_server] = ["127.0.0.1", "localhost"].map(|name| ca().leaf(&[name]));
        let (proxy_pin, server_pin) = (pin_of(&at_proxy), pin_of(&at_server));
        for pin in [&proxy_pin, &server_pin] {
            let server = serve_tls(config(&at_server), |peer| {
                peer.upgrade();
                peer.expect_end();
            });
            let relay =
                proxy::Relay::start_tls(server.addr, proxy::Rules::default(), config(&at_proxy));
            let proxy = Proxy::new(&relay.url("https")).unwrap();
            let builder = builder().tls(pinned(trusting(), [&server_pin[..]]));
            let through = |pin: &str| {
                let proxy = proxy.clone().tls(pinned(trusting(), [pin]));
                builder.clone().proxy(proxy).connect("wss://localhost:1/")
            };
            if pin == &server_pin {
                let refused = error(through(pin));
                let Error::Proxy(refused) = refused else { panic!("{refused:?}") };
                let ProxyProblem::Tls(tls) = refused.problem() else { panic!("{refused:?}") };
                is_mismatch(tls, &proxy_pin);
            }
            through(&proxy_pin).unwrap().abort();
            server.join();
        }
    });
}

#[test]
fn a_session_that_is_resumed_was_made_with_the_same_pins() {
    watchdog(LIMIT, || {
        let listener = listener();
        let url = format!("wss://localhost:{}/", listener.local_addr().unwrap().port());
        let config = Arc::new(localhost());
        let server = spawn(move || {
            for _ in 0..3 {
                let (stream, _) = listener.accept().unwrap();
                let tls = rustls::ServerConnection::new(config.clone()).unwrap();
                let mut peer = Peer::new(rustls::StreamOwned::new(tls, stream));
                if peer.try_send(b"").is_ok() {
                    peer.upgrade();
                    peer.send(&text("hello"));
                    peer.stall();
                }
            }
        });
        let unpinned = trusting();
        let connect = |options: &TlsOptions| {
            let mut ws = builder().tls(options.clone()).connect(&url)?;
            assert_eq!(ws.recv()?, Message::from("hello"));
            Ok(ws.tls_info().unwrap().resumed)
        };
        assert_eq!(connect(&unpinned).ok(), Some(false));
        assert_eq!(connect(&unpinned).ok(), Some(true));
        // Another key was accepted without the pin. That session is not resumed with it.
        let refused: Error = connect(&pinned(unpinned, [P256])).unwrap_err();
        assert_eq!(why(refused).problem(), TlsProblem::PinMismatch);
        server.join();
    });
}
