//! `wss://`: servers that are trusted, servers that are refused, and the end of a TLS connection.

#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used)] // `clippy.toml` allows it in test functions only.

use crate::support;

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use landline::error::{Cause, InvalidInput, TlsError, TlsProblem};
use landline::tls::TlsOptions;
use landline::{Error, Message};
use rustls::{AlertDescription, HandshakeKind, ServerConnection};
use support::streams::{Call, Judged};
use support::tls::{
    Ca, accept, ca, config, localhost, serve_tls, trusting, versions, wants_client,
};
use support::*;

/// Starts a server that behaves well, for one message.
fn greets(config: rustls::ServerConfig) -> Server<bool> {
    serve_tls(config, |peer| {
        let mut first = [0];
        // The handshake fails here if the client does not accept the certificate.
        if peer.socket().peek(&mut first).is_err() || peer.try_send(b"").is_err() {
            return false;
        }
        peer.upgrade();
        peer.send(&text("hello"));
        peer.stall();
        true
    })
}

fn is_greeted(options: TlsOptions, config: rustls::ServerConfig) {
    is_greeted_at(options, config, |server| server.url());
}

fn is_greeted_at(
    options: TlsOptions,
    config: rustls::ServerConfig,
    url: impl FnOnce(&Server<bool>) -> String,
) {
    let server = greets(config);
    let mut ws = builder().tls(options).connect(&url(&server)).unwrap();
    assert_eq!(ws.recv().unwrap(), Message::from("hello"));
    drop(ws);
    assert!(server.join());
}

/// Connects to a server that is refused, and returns the error.
fn refusal(options: TlsOptions, config: rustls::ServerConfig) -> Box<TlsError> {
    let server = serve(|peer| {
        let mut tls = accept(config, peer.socket().try_clone().unwrap());
        let failed = tls.conn.complete_io(&mut tls.sock).err();
        let _ = std::io::copy(&mut tls.sock, &mut std::io::sink());
        failed.map(|error| error.to_string())
    });
    let url = format!("wss://localhost:{}/", server.addr.port());
    let builder = builder().tls(options);
    let refused = promptly(|| error(builder.connect(&url)));
    drop(builder);
    assert!(!refused.is_retryable(), "{refused:?}");
    // The server is told by an alert.
    let alert = server.join();
    assert!(alert.as_ref().is_some_and(|alert| alert.contains("alert")), "{alert:?}");
    match refused {
        Error::Tls(tls) => tls,
        other => panic!("not a TLS error: {other:?}"),
    }
}

/// Checks that the error is an alert of the server, and that its text explains the alert.
fn is_alert(refused: &Error, expected: AlertDescription, explained: &str) {
    let Error::Tls(tls) = refused else { panic!("not a TLS error: {refused:?}") };
    let source = tls.error();
    assert_eq!(source.downcast_ref(), Some(&rustls::Error::AlertReceived(expected)));
    assert_eq!(
        refused.to_string(),
        format!("TLS failed: the peer sent the alert {expected:?}: {explained}")
    );
    assert_eq!(tls.problem(), TlsProblem::Alert);
    assert!(!refused.is_retryable() && !tls.is_certificate());
}

#[test]
fn a_server_with_an_untrusted_certificate_is_refused() {
    watchdog(LIMIT, || {
        let stranger = Ca::new();
        let refused = refusal(TlsOptions::new(), localhost());
        assert!(refused.is_certificate(), "{refused}");
        let refused = refusal(trusting(), config(&stranger.leaf(&["localhost"])));
        assert!(refused.is_certificate(), "{refused}");
        let source = refused.error();
        assert!(source.is::<rustls::Error>(), "{source:?}");
    });
}

#[test]
fn a_server_with_a_certificate_of_our_authority_is_trusted() {
    watchdog(LIMIT, || {
        is_greeted(trusting(), localhost());
        let file = std::env::temp_dir().join(format!("landline-ca-{}.pem", std::process::id()));
        let stranger = Ca::new();
        std::fs::write(&file, format!("{}{}", stranger.pem, ca().pem)).unwrap();
        is_greeted(TlsOptions::new().ca_pem_file(&file).unwrap(), localhost());
        std::fs::remove_file(&file).unwrap();
        // Another call adds a certificate.
        let both = TlsOptions::new().ca_pem(stranger.pem.as_bytes()).unwrap();
        let both = both.ca_pem(ca().pem.as_bytes()).unwrap();
        is_greeted(both.clone(), localhost());
        is_greeted(both, config(&stranger.leaf(&["localhost"])));
    });
}

#[test]
fn options_that_do_not_work_are_refused_at_once() {
    let why = |result: Result<TlsOptions, Error>| match error(result) {
        Error::InvalidInput(InvalidInput::Tls(why)) => why,
        other => panic!("{other:?}"),
    };
    why(TlsOptions::new().ca_pem(b"no PEM"));
    why(TlsOptions::new().ca_pem(b"-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n"));
    assert!(why(TlsOptions::new().ca_pem_file("/does/not/exist.pem")).contains("exist.pem"));
    let leaf = ca().leaf(&["client"]);
    why(TlsOptions::new().client_certificate_pem(leaf.pem.as_bytes(), b"no key"));
    why(TlsOptions::new().client_certificate_pem(b"no chain", leaf.key_pem.as_bytes()));
    why(TlsOptions::new().client_certificate_files("/no/chain", "/no/key"));

    // Some mistakes are found when the configuration is made, which is before any socket is opened.
    let listener = listener();
    listener.set_nonblocking(true).unwrap();
    let url = format!("wss://localhost:{}/", listener.local_addr().unwrap().port());
    let other = ca().leaf(&["client"]);
    let pair =
        TlsOptions::new().client_certificate_pem(leaf.pem.as_bytes(), other.key_pem.as_bytes());
    for options in [pair.unwrap(), TlsOptions::new().server_name("not a name!")] {
        let refused = error(builder().tls(options).connect(&url));
        assert!(matches!(refused, Error::InvalidInput(InvalidInput::Tls(_))), "{refused:?}");
    }
    assert!(listener.accept().is_err());
}

#[test]
fn a_server_with_the_wrong_name_is_refused_unless_that_is_the_name_we_want() {
    watchdog(LIMIT, || {
        let elsewhere = || config(&ca().leaf(&["elsewhere.example"]));
        assert!(refusal(trusting(), elsewhere()).is_certificate());
        is_greeted(trusting().server_name("elsewhere.example"), elsewhere());
        assert!(refusal(trusting().server_name("else.example"), localhost()).is_certificate());
        let server = serve_tls(elsewhere(), |peer| peer.upgrade());
        let stream = TcpStream::connect(server.addr).unwrap();
        // In a certificate the name has no dot at its end.
        tls::builder().connect_over("wss://elsewhere.example./", stream).unwrap();
        server.join();
    });
}

#[test]
fn wildcards_stand_for_one_label() {
    watchdog(LIMIT, || {
        let wild = || config(&ca().leaf(&["*.example.com"]));
        is_greeted(trusting().server_name("a.example.com"), wild());
        assert!(refusal(trusting().server_name("a.b.example.com"), wild()).is_certificate());
        assert!(refusal(trusting().server_name("example.com"), wild()).is_certificate());
    });
}

#[test]
fn a_server_at_an_address_needs_that_address_in_its_certificate() {
    watchdog(LIMIT, || {
        let at_address = |server: &Server<bool>| format!("wss://{}/", server.addr);
        is_greeted_at(trusting(), config(&ca().leaf(&["127.0.0.1"])), at_address);
        is_greeted(trusting().server_name("10.1.2.3"), config(&ca().leaf(&["10.1.2.3"])));
        is_greeted(trusting().server_name("::1"), config(&ca().leaf(&["::1"])));
        assert!(
            refusal(trusting().server_name("127.0.0.1"), config(&ca().leaf(&["localhost"])))
                .is_certificate()
        );
    });
}

#[test]
fn danger_switches_accept_what_they_say_and_no_more() {
    watchdog(LIMIT, || {
        let stranger = Ca::new();
        let anybody = TlsOptions::new().danger_accept_any_certificate();
        is_greeted(anybody, config(&stranger.leaf(&["elsewhere.example"])));
        let any_name = || trusting().danger_accept_any_name();
        is_greeted(any_name(), config(&ca().leaf(&["elsewhere.example"])));
        is_greeted(any_name(), localhost());
        let refused = refusal(any_name(), config(&stranger.leaf(&["localhost"])));
        assert!(refused.is_certificate());
    });
}

#[test]
fn a_server_that_wants_a_client_certificate_gets_the_right_one() {
    watchdog(LIMIT, || {
        let clients = Ca::new();
        let leaf = clients.leaf(&["client"]);
        let server = || wants_client(&ca().leaf(&["localhost"]), &clients);
        let shown = |leaf: &tls::Leaf| {
            trusting().client_certificate_pem(leaf.pem.as_bytes(), leaf.key_pem.as_bytes()).unwrap()
        };
        is_greeted(shown(&leaf), server());
        is_greeted(shown(&leaf).tls13_only(), server());
    });
}

/// The server knows one cipher suite only, and so does the provider of the caller.
#[test]
fn a_crypto_provider_of_the_caller_is_used() {
    use rustls::crypto::CryptoProvider;
    use rustls::crypto::ring::{cipher_suite, default_provider};

    watchdog(LIMIT, || {
        let suites =
            [cipher_suite::TLS13_CHACHA20_POLY1305_SHA256, cipher_suite::TLS13_AES_256_GCM_SHA384];
        let [one, other] =
            suites.map(|suite| CryptoProvider { cipher_suites: vec![suite], ..default_provider() });
        let clients = Ca::new();
        let leaf = clients.leaf(&["client"]);
        let client = trusting().crypto_provider(Arc::new(one.clone()));
        let shown = client.clone();
        let shown = shown.client_certificate_pem(leaf.pem.as_bytes(), leaf.key_pem.as_bytes());
        let shown = shown.unwrap();
        let localhost = ca().leaf(&["localhost"]);
        let server = |provider| tls::with_provider(&localhost, provider, rustls::ALL_VERSIONS);
        is_greeted(client.clone(), server(one));
        is_greeted(shown, wants_client(&localhost, &clients));
        let server = greets(server(other));
        let refused = error(builder().tls(client).connect(&server.url()));
        assert!(matches!(refused, Error::Tls(_)), "{refused:?}");
        assert!(!server.join());
    });
}

#[test]
fn a_system_without_random_bytes_is_no_fault_of_the_options_and_is_tried_again() {
    use rustls::crypto::ring::default_provider;
    use rustls::crypto::{CryptoProvider, GetRandomFailed, SecureRandom};

    #[derive(Debug)]
    struct NoRandom;

    impl SecureRandom for NoRandom {
        fn fill(&self, _: &mut [u8]) -> Result<(), GetRandomFailed> {
            Err(GetRandomFailed)
        }
    }

    watchdog(LIMIT, || {
        let without = CryptoProvider { secure_random: &NoRandom, ..default_provider() };
        let builder = builder().tls(trusting().crypto_provider(Arc::new(without)));
        let said = error(builder.connect("wss://localhost:1/"));
        assert!(matches!(said, Error::Io(_)), "{said:?}");
        assert!(said.is_retryable() && said.to_string().contains("random bytes"), "{said}");
    });
}

#[test]
fn a_crypto_provider_without_anything_is_refused_before_connecting() {
    let nothing = rustls::crypto::CryptoProvider {
        cipher_suites: Vec::new(),
        kx_groups: Vec::new(),
        ..rustls::crypto::ring::default_provider()
    };
    let tls = TlsOptions::new().crypto_provider(Arc::new(nothing));
    let refused = error(builder().tls(tls).connect("wss://127.0.0.1:9/"));
    assert!(matches!(refused, Error::InvalidInput(InvalidInput::Tls(_))), "{refused:?}");
}

#[test]
fn a_server_that_asks_for_a_client_certificate_and_gets_none_sends_an_alert() {
    watchdog(LIMIT, || {
        let clients = Ca::new();
        let wrong = ca().leaf(&["client"]);
        let wrong = trusting()
            .client_certificate_pem(wrong.pem.as_bytes(), wrong.key_pem.as_bytes())
            .unwrap();
        for (options, breaks) in
            [(trusting(), false), (wrong.clone(), false), (trusting(), true), (wrong, true)]
        {
            let config = wants_client(&ca().leaf(&["localhost"]), &clients);
            let server = serve(move |peer| {
                let mut tls = accept(config, peer.socket().try_clone().unwrap());
                assert!(tls.conn.complete_io(&mut tls.sock).is_err());
                let _ = tls.conn.write_tls(&mut tls.sock);
                // The client may be gone.
                let _ = peer.socket().shutdown(std::net::Shutdown::Write);
                let _ = std::io::copy(&mut tls.sock, &mut std::io::sink());
            });
            let url = format!("wss://localhost:{}/", server.addr.port());
            let builder = builder().tls(options);
            let refused = promptly(|| {
                if !breaks {
                    return error(builder.connect(&url));
                }
                // The messages of the handshake are written. The request, which is written right
                // after the last of them, is not.
                let mut last = Call::Read;
                let stream = TcpStream::connect(server.addr).unwrap();
                let stream = Judged::new(stream, usize::MAX, move |_, call| {
                    match call {
                        Call::Write if last == Call::Write => {
                            return Err(ErrorKind::BrokenPipe.into());
                        }
                        Call::Read | Call::Write => last = call,
                        _ => {}
                    }
                    Ok(())
                });
                error(builder.connect_over("wss://localhost/", stream))
            });
            drop(builder);
            server.join();
            // By TLS 1.3 the client has done the handshake before the server checks the
            // certificate.
            let Error::Tls(tls) = &refused else { panic!("not a TLS error: {refused:?}") };
            let source = tls.error();
            let source = source.downcast_ref::<rustls::Error>();
            assert!(matches!(source, Some(rustls::Error::AlertReceived(_))), "{refused:?}");
            assert!(refused.to_string().contains("`TlsOptions::client_certificate_files`"));
            assert!(!refused.is_retryable());
        }
    });
}

#[test]
fn a_server_of_tls_1_2_is_understood_unless_only_1_3_will_do() {
    watchdog(LIMIT, || {
        let old = || versions(&ca().leaf(&["localhost"]), &[&rustls::version::TLS12]);
        let new = || versions(&ca().leaf(&["localhost"]), &[&rustls::version::TLS13]);
        is_greeted(trusting(), old());
        is_greeted(trusting(), new());
        is_greeted(trusting().tls13_only(), new());
        let server = serve(move |peer| {
            let mut tls = accept(old(), peer.socket().try_clone().unwrap());
            assert!(tls.conn.complete_io(&mut tls.sock).is_err());
            let _ = tls.conn.write_tls(&mut tls.sock);
        });
        let url = format!("wss://localhost:{}/", server.addr.port());
        let refused = promptly(|| error(builder().tls(trusting().tls13_only()).connect(&url)));
        is_alert(
            &refused,
            AlertDescription::ProtocolVersion,
            "it speaks no version of TLS that is allowed here (1.2 and 1.3)",
        );
        server.join();
    });
}

/// Accepts `count` connections, one after the other, and returns the kind of each handshake.
fn kinds(count: usize) -> (String, Joined<Vec<HandshakeKind>>) {
    let listener = listener();
    let url = format!("wss://localhost:{}/", listener.local_addr().unwrap().port());
    let config = Arc::new(localhost());
    let serving = spawn(move || {
        (0..count)
            .map(|_| {
                let (stream, _) = listener.accept().unwrap();
                let connection = ServerConnection::new(config.clone()).unwrap();
                let mut tls = rustls::StreamOwned::new(connection, stream);
                tls.conn.complete_io(&mut tls.sock).unwrap();
                let kind = tls.conn.handshake_kind().unwrap();
                let mut peer = Peer::new(tls);
                peer.upgrade();
                peer.send(&text("hello"));
                peer.stall();
                kind
            })
            .collect()
    });
    (url, serving)
}

#[test]
fn a_second_connection_of_one_builder_or_its_clone_resumes_the_session() {
    watchdog(LIMIT, || {
        let (url, serving) = kinds(3);
        let builder = tls::builder();
        for builder in [builder.clone(), builder.clone(), builder.open_timeout(PROMPT)] {
            let mut ws = builder.connect(&url).unwrap();
            assert_eq!(ws.recv().unwrap(), Message::from("hello"));
        }
        let kinds = serving.join();
        assert_eq!(kinds[0], HandshakeKind::Full);
        assert_eq!(kinds[1..], [HandshakeKind::Resumed, HandshakeKind::Resumed]);
    });
}

#[test]
fn other_options_do_not_resume_a_session_that_they_would_not_have_made() {
    watchdog(LIMIT, || {
        let (url, serving) = kinds(2);
        for options in [trusting(), trusting()] {
            let mut ws = builder().tls(options).connect(&url).unwrap();
            assert_eq!(ws.recv().unwrap(), Message::from("hello"));
        }
        assert_eq!(serving.join(), [HandshakeKind::Full, HandshakeKind::Full]);
    });
}

#[test]
fn a_configuration_of_rustls_is_taken_as_it_is() {
    watchdog(LIMIT, || {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(ca().roots())
            .with_no_client_auth();
        let options = TlsOptions::from_rustls(Arc::new(config));
        is_greeted(options.clone(), localhost());
        let elsewhere = tls::config(&ca().leaf(&["elsewhere.example"]));
        is_greeted(options.server_name("elsewhere.example"), elsewhere);
    });
}

#[test]
fn a_server_sees_http_1_1_as_the_only_protocol_and_the_name() {
    watchdog(LIMIT, || {
        let server = serve(|peer| {
            let mut stream = peer.socket().try_clone().unwrap();
            let mut acceptor = rustls::server::Acceptor::default();
            loop {
                acceptor.read_tls(&mut stream).unwrap();
                if let Some(accepted) = acceptor.accept().map_err(|(error, _)| error).unwrap() {
                    let hello = accepted.client_hello();
                    let protocols: Vec<_> = hello.alpn().unwrap().map(<[u8]>::to_vec).collect();
                    return (protocols, hello.server_name().map(str::to_owned));
                }
            }
        });
        let url = format!("wss://localhost:{}/", server.addr.port());
        let _ = error(tls::builder().connect(&url));
        let (protocols, name) = server.join();
        assert_eq!(protocols, [b"http/1.1"]);
        assert_eq!(name.as_deref(), Some("localhost"));
    });
}

#[test]
fn a_server_that_chooses_http_2_is_refused_and_http_1_1_is_fine() {
    watchdog(LIMIT, || {
        let mut http1 = localhost();
        http1.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        is_greeted(trusting(), http1);
        let server = serve(|peer| {
            let mut http2 = localhost();
            http2.alpn_protocols = vec![b"h2".to_vec()];
            let mut tls = accept(http2, peer.socket().try_clone().unwrap());
            assert!(tls.conn.complete_io(&mut tls.sock).is_err());
            let _ = tls.conn.write_tls(&mut tls.sock);
        });
        let url = format!("wss://localhost:{}/", server.addr.port());
        let refused = promptly(|| error(tls::builder().connect(&url)));
        is_alert(&refused, AlertDescription::NoApplicationProtocol, "it does not speak HTTP/1.1");
        server.join();
    });
}

#[test]
fn no_provider_for_the_whole_process_is_needed_or_made() {
    watchdog(LIMIT, || {
        is_greeted(trusting(), localhost());
        assert!(rustls::crypto::CryptoProvider::get_default().is_none());
    });
}

/// Starts a server that sends `hello`, and then ends the connection in its own way.
fn ends(end: impl FnOnce(&mut tls::TlsStream) + Send + 'static) -> Server<()> {
    let mut server = serve(|peer| {
        let tls = accept(localhost(), peer.socket().try_clone().unwrap());
        let socket = peer.socket().try_clone().unwrap();
        let mut inner = Peer::new(tls);
        inner.upgrade();
        inner.send(&text("hello"));
        inner.with_tls(end);
        let _ = std::io::copy(&mut &socket, &mut std::io::sink());
    });
    server.secure = true;
    server
}

#[test]
fn a_server_that_ends_tls_without_a_close_frame_ends_uncleanly() {
    watchdog(LIMIT, || {
        let notify = |tls: &mut tls::TlsStream| {
            tls.conn.send_close_notify();
            tls.conn.write_tls(&mut tls.sock).unwrap();
        };
        let server = ends(notify);
        let mut ws = tls::builder().connect(&server.url()).unwrap();
        assert_eq!(ws.recv().unwrap(), Message::from("hello"));
        for _ in 0..2 {
            let closed = promptly(|| error(ws.recv())).closed().cloned().unwrap();
            assert!(matches!(closed.cause(), Cause::Eof), "{closed:?}");
            assert_eq!((closed.code().value(), closed.is_clean()), (1006, false));
        }
        drop(ws);
        server.join();
    });
}

#[test]
fn a_server_that_is_cut_off_ends_uncleanly_and_delivers_no_part() {
    watchdog(LIMIT, || {
        for bytes in [&b""[..], b"\x81\x0ahalf"] {
            let server = ends(move |tls| {
                tls.write_all(bytes).unwrap();
                tls.flush().unwrap();
                tls.sock.shutdown(std::net::Shutdown::Write).unwrap();
            });
            let mut ws = tls::builder().connect(&server.url()).unwrap();
            assert_eq!(ws.recv().unwrap(), Message::from("hello"));
            let closed = promptly(|| error(ws.recv())).closed().cloned().unwrap();
            assert!(matches!(closed.cause(), Cause::Eof), "{closed:?}");
            drop(ws);
            server.join();
        }
    });
}

/// Sends a frame in a valid record, and another in a damaged one, in the same segment. The client
/// must tell the reason in an alert.
fn sends_a_damaged_record_after(peer: &mut Peer, frame: &[u8]) {
    peer.with_tls(|tls| {
        let mut records = Vec::new();
        for payload in [frame, &text("damaged")] {
            tls.conn.writer().write_all(payload).unwrap();
            tls.conn.write_tls(&mut records).unwrap();
        }
        *records.last_mut().unwrap() ^= 1;
        tls.sock.write_all(&records).unwrap();
        let alert = tls.read(&mut [0; 64]).unwrap_err();
        assert!(alert.to_string().contains("BadRecordMac"), "{alert}");
    });
}

#[test]
fn a_server_whose_record_is_damaged_is_dead_but_what_came_before_is_delivered() {
    watchdog(LIMIT, || {
        let server = serve(|peer| {
            let socket = peer.socket().try_clone().unwrap();
            let mut inner = Peer::new(accept(localhost(), peer.socket().try_clone().unwrap()));
            inner.upgrade();
            inner.expect(TEXT, b"ready");
            sends_a_damaged_record_after(&mut inner, &text("hello"));
            let _ = std::io::copy(&mut &socket, &mut std::io::sink());
        });
        let url = format!("wss://localhost:{}/", server.addr.port());
        let mut ws = tls::builder().connect(&url).unwrap();
        let sender = ws.sender();
        sender.send("ready").unwrap();
        let first = ws.recv();
        for _ in 0..2 {
            let closed = promptly(|| error(ws.recv())).closed().cloned().unwrap();
            let Cause::Tls(source) = closed.cause() else { panic!("{closed:?}") };
            assert!(source.is::<rustls::Error>());
            assert!(!closed.is_clean());
        }
        assert!(error(sender.send("late")).closed().is_some());
        drop((ws, sender));
        server.join();
        assert_eq!(first.unwrap(), Message::from("hello"));
    });
}

#[test]
fn a_server_whose_record_is_damaged_is_told_so_although_a_pong_is_due() {
    watchdog(LIMIT, || {
        let server = serve(|peer| {
            let socket = peer.socket().try_clone().unwrap();
            let mut inner = Peer::new(accept(localhost(), peer.socket().try_clone().unwrap()));
            inner.upgrade();
            sends_a_damaged_record_after(&mut inner, &ping(b"due"));
            let _ = std::io::copy(&mut &socket, &mut std::io::sink());
        });
        let url = format!("wss://localhost:{}/", server.addr.port());
        let mut ws = tls::builder().connect(&url).unwrap();
        let closed = promptly(|| error(ws.recv())).closed().cloned().unwrap();
        assert!(matches!(closed.cause(), Cause::Tls(_)), "{closed:?}");
        drop(ws);
        server.join();
    });
}

#[test]
fn a_server_that_closes_properly_and_cuts_tls_was_clean() {
    watchdog(LIMIT, || {
        let server = tls::upgraded_tls(|peer| {
            peer.send(&close(1000, "bye"));
            peer.expect_close(1000);
            // The client sends close_notify too, so its stream is not cut short.
            peer.expect_end();
        });
        let mut ws = tls::builder().connect(&server.url()).unwrap();
        assert!(error(ws.recv()).closed().unwrap().is_clean());
        server.join();
        drop(ws);
    });
}

#[test]
fn a_server_that_asks_for_new_keys_gets_them_and_the_connection_goes_on() {
    watchdog(LIMIT, || {
        let server = serve(|peer| {
            let mut inner = Peer::new(accept(localhost(), peer.socket().try_clone().unwrap()));
            inner.upgrade();
            for n in 0..10 {
                inner.with_tls(|tls| tls.conn.refresh_traffic_keys().unwrap());
                inner.send(&text(&n.to_string()));
                inner.expect(TEXT, n.to_string().as_bytes());
            }
            inner.stall();
        });
        let url = format!("wss://localhost:{}/", server.addr.port());
        let mut ws = tls::builder().connect(&url).unwrap();
        for n in 0..10 {
            let message = ws.recv_timeout(Duration::from_secs(5)).unwrap();
            assert_eq!(message.as_text(), Some(&*n.to_string()));
            ws.send(&message).unwrap();
        }
        drop(ws);
        server.join();
    });
}

#[test]
fn a_given_rustls_config_stays_as_it_is_whatever_is_set_besides() {
    watchdog(LIMIT, || {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(ca().roots())
            .with_no_client_auth();
        let given = TlsOptions::from_rustls(Arc::new(config));
        is_greeted(given.clone().key_log(), localhost());
        is_greeted(given.clone().tls13_only(), localhost());
        is_greeted(given.ca_pem(Ca::new().pem.as_bytes()).unwrap(), localhost());
    });
}

/// Returns the options of a client whose keys are good for `limit` records, by TLS 1.2.
fn with_few_records(limit: u64) -> TlsOptions {
    use rustls::crypto::{CipherSuiteCommon, CryptoProvider, ring};
    use rustls::{SupportedCipherSuite, Tls12CipherSuite};
    let suites = ring::ALL_CIPHER_SUITES.iter().filter_map(|suite| {
        let SupportedCipherSuite::Tls12(suite) = suite else { return None };
        let common = CipherSuiteCommon { confidentiality_limit: limit, ..suite.common };
        let suite = Tls12CipherSuite { common, ..**suite };
        Some(SupportedCipherSuite::Tls12(Box::leak(Box::new(suite))))
    });
    let provider = CryptoProvider { cipher_suites: suites.collect(), ..ring::default_provider() };
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(ca().roots())
        .with_no_client_auth();
    TlsOptions::from_rustls(Arc::new(config))
}

#[test]
fn no_message_is_swallowed_when_the_keys_of_tls_1_2_are_used_up() {
    watchdog(LIMIT, || {
        for len in [0, 1, 100, 40_000] {
            let server = tls::upgraded_tls(|peer| std::iter::from_fn(|| peer.next_frame()).count());
            let builder = builder().tls(with_few_records(12));
            let ws = builder.connect(&server.url()).unwrap();
            let sender = ws.sender();
            let mut sent = 0;
            let said = loop {
                match sender.send(vec![7; len]) {
                    Ok(()) => sent += 1,
                    Err(error) => break error,
                }
            };
            assert!((2..12).contains(&sent), "{sent} of {len} bytes");
            let closed = said.closed().unwrap();
            assert!(matches!(closed.cause(), Cause::Io(_)), "{closed:?}");
            assert!(said.is_retryable() && !sender.is_open());
            drop(ws);
            assert_eq!(server.join(), sent, "of {len} bytes");
        }
    });
}

#[test]
fn a_server_that_sends_more_after_its_close_notify_in_the_handshake_is_given_up() {
    watchdog(LIMIT, || {
        let mut config = localhost();
        config.send_half_rtt_data = true;
        let server = serve(move |peer| {
            let mut socket = peer.socket();
            let mut tls = ServerConnection::new(Arc::new(config)).unwrap();
            while !tls.wants_write() {
                tls.read_tls(&mut socket).unwrap();
                tls.process_new_packets().unwrap();
            }
            tls.send_close_notify();
            let mut flight = Vec::new();
            while tls.wants_write() {
                tls.write_tls(&mut flight).unwrap();
            }
            // More bytes than rustls takes at once.
            flight.resize(flight.len() + 8 * 1024, 0x17);
            socket.write_all(&flight).unwrap();
            let _ = std::io::copy(&mut socket, &mut std::io::sink());
        });
        let url = format!("wss://localhost:{}/", server.addr.port());
        let builder = builder().tls(trusting()).open_timeout(PROMPT);
        let said = promptly(|| error(builder.connect(&url)));
        let Error::Handshake(handshake) = &said else { panic!("{said:?}") };
        assert_eq!(handshake.problem(), &landline::error::HandshakeProblem::Eof);
        drop(builder);
        server.join();
    });
}

/// Runs this test again in a process of its own, with `SSLKEYLOGFILE` set.
#[test]
fn the_secrets_are_logged_only_on_request() {
    const CHILD: &str = "LANDLINE_TEST_KEY_LOG";
    if let Ok(asked) = std::env::var(CHILD) {
        let options = if asked == "yes" { trusting().key_log() } else { trusting() };
        is_greeted(options, localhost());
        return;
    }
    watchdog(LIMIT, || {
        for asked in ["yes", "no"] {
            let name = format!("landline-key-log-{}-{asked}", std::process::id());
            let file = std::env::temp_dir().join(name);
            let child = std::process::Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "tls::the_secrets_are_logged_only_on_request"])
                .env(CHILD, asked)
                .env("SSLKEYLOGFILE", &file)
                .output()
                .unwrap();
            assert!(child.status.success(), "{child:?}");
            let logged = std::fs::read_to_string(&file).unwrap_or_default();
            let _ = std::fs::remove_file(&file);
            assert_eq!(logged.contains("CLIENT_TRAFFIC_SECRET_0"), asked == "yes", "{logged:?}");
        }
    });
}

#[test]
fn a_redirect_to_a_host_that_no_certificate_can_name_leads_nowhere() {
    watchdog(LIMIT, || {
        for location in ["wss://a!b.example/", "https://a!b.example/"] {
            let server = serve(move |peer| {
                peer.read_request();
                peer.send(format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\n\r\n").as_bytes());
                peer.expect_end();
            });
            let refused = match error(builder().tls(trusting()).connect(&server.url())) {
                Error::Handshake(refused) => refused,
                other => panic!("{other:?}"),
            };
            assert_eq!(refused.problem(), &landline::error::HandshakeProblem::BadRedirect);
            assert_eq!(refused.response().unwrap().status(), 302);
            server.join();
        }
        let said = error(builder().connect("wss://a!b.example/"));
        assert!(matches!(said, Error::InvalidInput(InvalidInput::Tls(_))), "{said:?}");
    });
}
