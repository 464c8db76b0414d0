//! The trust table: certificates of every kind, with every option that says which ones are trusted.
//! Each cell is "open", or the whole text of the error.

#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used)] // `clippy.toml` allows it in test functions only.

use crate::support;

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::sync::Arc;

use landline::error::{HandshakeProblem, TlsError, TlsProblem};
use landline::tls::TlsOptions;
use landline::{Error, Message};
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer,
    KeyPair, NameConstraints, date_time_ymd,
};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::{CertifiedKey, Signer, SigningKey, SingleCertAndKey};
use rustls::{
    DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureAlgorithm, SignatureScheme,
    SupportedProtocolVersion,
};
use support::tls::serve_tls;
use support::*;

/// Gives the contents of a file that `trust/make.sh` made.
macro_rules! made {
    ($name:literal) => {
        include_str!(concat!("trust/", $name))
    };
}

/// The certificate that a server shows, and the key that it signs with.
#[derive(Clone)]
pub(super) struct Shown {
    chain: Vec<CertificateDer<'static>>,
    key: Arc<dyn SigningKey>,
}

impl Shown {
    fn new(chain: &[&str], key: Arc<dyn SigningKey>) -> Self {
        let chain = chain.iter().map(|pem| CertificateDer::from_pem_slice(pem.as_bytes()).unwrap());
        Self { chain: chain.collect(), key }
    }

    pub(super) fn signing(chain: &[&str], key_pem: &str) -> Self {
        let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes()).unwrap();
        let key = ring::default_provider().key_provider.load_private_key(key);
        Self::new(chain, key.unwrap())
    }

    fn config(&self, version: &'static SupportedProtocolVersion) -> ServerConfig {
        // `with_single_cert` would read the certificate, and refuse version 1.
        let key = CertifiedKey::new(self.chain.clone(), self.key.clone());
        ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(key)))
    }
}

/// A key that ring cannot sign with. The bytes that it returns are no signature.
#[derive(Clone, Copy, Debug)]
struct Junk(SignatureScheme);

impl SigningKey for Junk {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        offered.contains(&self.0).then(|| Box::new(*self) as Box<dyn Signer>)
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        match self.0 {
            SignatureScheme::ECDSA_NISTP521_SHA512 => SignatureAlgorithm::ECDSA,
            _ => SignatureAlgorithm::RSA,
        }
    }
}

impl Signer for Junk {
    fn sign(&self, _: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        Ok(vec![7; 128])
    }

    fn scheme(&self) -> SignatureScheme {
        self.0
    }
}

/// Connects to a server that shows this certificate. Returns the error if it is not accepted.
pub(super) fn connect_to(
    shown: &Shown,
    host: &str,
    version: &'static SupportedProtocolVersion,
    options: TlsOptions,
) -> Result<(), Box<TlsError>> {
    let server = serve_tls(shown.config(version), |peer| {
        let mut first = [0];
        // The handshake fails here if the client does not accept the certificate.
        if peer.socket().peek(&mut first).is_ok() && peer.try_send(b"").is_ok() {
            peer.upgrade();
            peer.send(&text("hello"));
        } else {
            // The alert with the reason.
            peer.with_tls(|tls| while matches!(tls.conn.write_tls(&mut tls.sock), Ok(1..)) {});
        }
        // Waits for the end only: the client may have sent anything.
        let _ = std::io::copy(&mut peer.socket(), &mut std::io::sink());
    });
    let builder = builder().tls(options);
    let connected = builder.connect(&format!("wss://{host}:{}/", server.addr.port()));
    let outcome = match connected {
        Ok(mut ws) => {
            assert_eq!(ws.recv().unwrap(), Message::from("hello"));
            Ok(())
        }
        Err(Error::Tls(tls)) => Err(tls),
        Err(other) => panic!("not a TLS error: {other:?}"),
    };
    server.join();
    outcome
}

/// The texts that one row of the table expects, without the times of this machine's clock.
struct Expected<'a> {
    /// With Mozilla's roots, whether any name is accepted or not.
    mozilla: &'a str,
    /// With the given certificate instead of Mozilla's roots, or besides them.
    given: &'a str,
    /// The same, with any name accepted.
    any_name: &'a str,
}

const OPEN: &str = "open";

fn row(shown: &Shown, given: &str, expected: &Expected<'_>) {
    row_at("localhost", shown, given, expected);
}

fn row_at(host: &str, shown: &Shown, given: &str, expected: &Expected<'_>) {
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        row_by(version, host, shown, given, expected);
    }
}

fn row_by(
    version: &'static SupportedProtocolVersion,
    host: &str,
    shown: &Shown,
    given: &str,
    expected: &Expected<'_>,
) {
    let mozilla = TlsOptions::new;
    let instead = || mozilla().ca_pem(given.as_bytes()).unwrap();
    let besides = || mozilla().add_ca_pem(given.as_bytes()).unwrap();
    let cells = [
        ("Mozilla's roots", mozilla(), expected.mozilla),
        ("ca_pem", instead(), expected.given),
        ("add_ca_pem", besides(), expected.given),
        ("any name, Mozilla's roots", mozilla().danger_accept_any_name(), expected.mozilla),
        ("any name, ca_pem", instead().danger_accept_any_name(), expected.any_name),
        ("any name, add_ca_pem", besides().danger_accept_any_name(), expected.any_name),
        ("any certificate", mozilla().danger_accept_any_certificate(), OPEN),
        ("any certificate, ca_pem", instead().danger_accept_any_certificate(), OPEN),
    ];
    for (options_are, options, expected) in cells {
        let said = match connect_to(shown, host, version, options) {
            Ok(()) => OPEN.into(),
            Err(error) => without_clock(&error.to_string()),
        };
        assert_eq!(said, expected, "with {options_are}, {version:?}");
    }
}

/// Returns a text without the time of this machine's clock.
fn without_clock(text: &str) -> String {
    const BEFORE: &str = "the clock here says ";
    match text.split_once(BEFORE) {
        Some((before, after)) => format!("{before}{BEFORE}_{}", &after[29..]),
        None => text.into(),
    }
}

/// Makes a self-signed certificate.
fn self_signed(names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> (Shown, String) {
    let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    (Shown::signing(&[&pem], &key.serialize_pem()), pem)
}

/// Makes a certificate of an intermediate authority of a root. Returns the chain and the root.
fn chain(
    names: &[&str],
    change: impl FnOnce(&mut CertificateParams),
    limit: impl FnOnce(&mut CertificateParams),
) -> (Shown, String) {
    let authority = |name: &str| {
        let mut params = CertificateParams::new([]).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
    };
    let root_key = KeyPair::generate().unwrap();
    // If two authorities had the same name, one would be tried in place of the other.
    let root = authority(&format!("root {:?}", root_key.public_key_raw()));
    let root_pem = root.self_signed(&root_key).unwrap().pem();
    let root = Issuer::new(root, root_key);
    let (mut between, between_key) = (authority("between"), KeyPair::generate().unwrap());
    limit(&mut between);
    let between_pem = between.signed_by(&between_key, &root).unwrap().pem();
    let between = Issuer::new(between, between_key);
    let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    let pem = params.signed_by(&key, &between).unwrap().pem();
    (Shown::signing(&[&pem, &between_pem], &key.serialize_pem()), root_pem)
}

const ADVICE: &str = "Give the certificate of its authority to `TlsOptions::add_ca_pem_file` or \
                      `ca_pem_file`, or trust the operating system's with `native_roots` (feature \
                      `native-roots`); or the server does not send the certificates in between";

fn unknown(trusted: &str) -> String {
    format!(
        "TLS failed: the certificate was not issued by an authority that is trusted: \
         only {trusted} are. {ADVICE}"
    )
}

fn unknown_to_mozilla() -> String {
    unknown("Mozilla's roots")
}

const CA_USED: &str = "TLS failed: the server shows the certificate of an authority (CA:TRUE) as \
                       its own, and that certificate was not given as trusted. If it is the \
                       server's own, give this very certificate to `TlsOptions::add_ca_pem_file` \
                       or `ca_pem_file`; otherwise have one issued with CA:FALSE";

const EXPIRED: &str = "TLS failed: the certificate, or one of its chain, expired on \
                       Sun, 05 Mar 2000 00:00:00 GMT; the clock here says _";

const NOT_YET: &str = "TLS failed: the certificate, or one of its chain, is valid from \
                       Fri, 05 Mar 2190 00:00:00 GMT on; the clock here says _: is it set?";

fn expired(params: &mut CertificateParams) {
    params.not_after = date_time_ymd(2000, 3, 5);
}

fn not_yet_valid(params: &mut CertificateParams) {
    params.not_before = date_time_ymd(2190, 3, 5);
}

fn authority(params: &mut CertificateParams) {
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
}

fn same(_: &mut CertificateParams) {}

#[test]
fn a_chain_to_a_root() {
    watchdog(LIMIT, || {
        let (shown, root) = chain(&["localhost"], same, same);
        let mozilla = &unknown_to_mozilla();
        row(&shown, &root, &Expected { mozilla, given: OPEN, any_name: OPEN });
    });
}

#[test]
fn a_chain_to_another_root_than_the_given() {
    watchdog(LIMIT, || {
        let (shown, _) = chain(&["localhost"], same, same);
        let (_, root) = chain(&["localhost"], same, same);
        let said = |options| connect_to(&shown, "localhost", &rustls::version::TLS13, options);
        let said = |options| said(options).unwrap_err().to_string();
        let given = TlsOptions::new().ca_pem(root.as_bytes()).unwrap();
        assert_eq!(said(given.clone()), unknown("the certificates given to `ca_pem`"));
        let both = given.add_ca_pem(root.as_bytes()).unwrap();
        assert_eq!(
            said(both),
            unknown(
                "the certificates given to `ca_pem` and the certificates given to `add_ca_pem`"
            )
        );
        let added = TlsOptions::new().add_ca_pem(root.as_bytes()).unwrap();
        assert_eq!(
            said(added),
            unknown("Mozilla's roots and the certificates given to `add_ca_pem`")
        );
    });
}

#[test]
fn a_self_signed_certificate() {
    watchdog(LIMIT, || {
        let (shown, own) = self_signed(&["localhost"], same);
        let mozilla = &unknown_to_mozilla();
        row(&shown, &own, &Expected { mozilla, given: OPEN, any_name: OPEN });
    });
}

#[test]
fn a_self_signed_certificate_of_an_authority_as_openssl_makes_it() {
    watchdog(LIMIT, || {
        let own = made!("req-x509.pem");
        let shown = Shown::signing(&[own], made!("p256.key"));
        row(&shown, own, &Expected { mozilla: CA_USED, given: OPEN, any_name: OPEN });
        // Another certificate does not help, even one of the same key.
        for other in [made!("authority.pem"), made!("version-1.pem")] {
            let expected = Expected { mozilla: CA_USED, given: CA_USED, any_name: CA_USED };
            row(&shown, other, &expected);
        }
    });
}

#[test]
fn a_given_certificate_of_an_authority_that_shows_it_itself_but_has_not_its_key() {
    watchdog(LIMIT, || {
        // The certificate is public. Only the signature in the handshake proves who owns it.
        let (_, own) = self_signed(&["localhost"], authority);
        let shown = Shown::signing(&[&own], made!("p256.key"));
        let options = TlsOptions::new().ca_pem(own.as_bytes()).unwrap();
        for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
            let said = connect_to(&shown, "localhost", version, options.clone()).unwrap_err();
            assert_eq!(said.problem(), TlsProblem::BadSignature, "{said}");
        }
    });
}

#[test]
fn a_self_signed_certificate_of_an_authority_that_is_not_valid_now() {
    watchdog(LIMIT, || {
        let both = |params: &mut CertificateParams| {
            authority(params);
            expired(params);
        };
        let (shown, own) = self_signed(&["localhost"], both);
        row(&shown, &own, &Expected { mozilla: EXPIRED, given: EXPIRED, any_name: EXPIRED });
        let both = |params: &mut CertificateParams| {
            authority(params);
            not_yet_valid(params);
        };
        let (shown, own) = self_signed(&["localhost"], both);
        row(&shown, &own, &Expected { mozilla: NOT_YET, given: NOT_YET, any_name: NOT_YET });
    });
}

#[test]
fn a_self_signed_certificate_of_an_authority_for_another_name() {
    watchdog(LIMIT, || {
        let (shown, own) = self_signed(&["a.example", "10.1.2.3"], authority);
        let given = "TLS failed: the certificate is not for localhost but for a.example, 10.1.2.3; \
                     `TlsOptions::server_name` sets the name that is expected";
        row(&shown, &own, &Expected { mozilla: CA_USED, given, any_name: OPEN });
        let (shown, own) = self_signed(&[], authority);
        let given = "TLS failed: the certificate is not for localhost, nor for any other name: it \
                     has no subjectAltName (the common name does not count)";
        row(&shown, &own, &Expected { mozilla: CA_USED, given, any_name: OPEN });
    });
}

/// A certificate that was given as trusted needs no issuer, whether it is part of a chain or not.
#[test]
fn a_certificate_that_is_given_itself_and_not_its_root() {
    watchdog(LIMIT, || {
        let authority = made!("authority.pem");
        let own = made!("p256-sha512.pem");
        let shown = Shown::signing(&[own, authority], made!("p256.key"));
        let mozilla = &unknown_to_mozilla();
        row(&shown, own, &Expected { mozilla, given: OPEN, any_name: OPEN });
    });
}

#[test]
fn a_certificate_of_version_1() {
    watchdog(LIMIT, || {
        let own = made!("version-1.pem");
        let shown = Shown::signing(&[own], made!("p256.key"));
        let said = "TLS failed: the certificate is of version 1 of X.509, which has no names: have \
                    one of version 3 issued, with a subjectAltName";
        row(&shown, own, &Expected { mozilla: said, given: said, any_name: said });
    });
}

const BAD_SIGNATURE: &str = "TLS failed: a signature of the server, or of its certificate, does \
                             not match the key that should have made it (one by an RSA key of \
                             less than 2048 bits is never accepted)";

const HANDSHAKE_FAILURE: &str = "TLS failed: the peer sent the alert HandshakeFailure: it shares \
                                 no cipher suite, curve or signature algorithm with this client \
                                 (perhaps it has only CBC suites or RSA key exchange of TLS 1.2, \
                                 or a key on P-521; see `TlsOptions`), or it wants a client \
                                 certificate";

#[test]
fn a_key_of_rsa_with_1024_bits() {
    watchdog(LIMIT, || {
        let shown =
            Shown::new(&[made!("rsa1024.pem")], Arc::new(Junk(SignatureScheme::RSA_PSS_SHA256)));
        let mozilla = &unknown_to_mozilla();
        let expected = Expected { mozilla, given: BAD_SIGNATURE, any_name: BAD_SIGNATURE };
        row(&shown, made!("authority.pem"), &expected);
        row(&shown, made!("rsa1024.pem"), &expected);
    });
}

#[test]
fn a_key_on_p_521() {
    watchdog(LIMIT, || {
        let key = Junk(SignatureScheme::ECDSA_NISTP521_SHA512);
        let shown = Shown::new(&[made!("p521.pem")], Arc::new(key));
        // The server finds no signature that the client understands, before it shows its
        // certificate.
        let said = HANDSHAKE_FAILURE;
        let expected = Expected { mozilla: said, given: said, any_name: said };
        row_by(&rustls::version::TLS13, "localhost", &shown, made!("authority.pem"), &expected);
        // By TLS 1.2 a server of rustls would end without an alert; one of OpenSSL is below.
        let any = TlsOptions::new().danger_accept_any_certificate();
        connect_to(&shown, "localhost", &rustls::version::TLS12, any).unwrap();
    });
}

#[test]
fn a_signature_of_ecdsa_with_sha_512() {
    watchdog(LIMIT, || {
        let shown = Shown::signing(&[made!("p256-sha512.pem")], made!("p256.key"));
        let said = "TLS failed: a signature of the certificate, or of one of its chain, is \
                    ecdsa-with-SHA512, which cannot be checked here. Have it signed with RSA of \
                    2048 bits or more, or with ECDSA on P-256 or P-384 with SHA-256 or SHA-384; or \
                    bring another crypto provider with `TlsOptions::crypto_provider`";
        let mozilla = &unknown_to_mozilla();
        let expected = Expected { mozilla, given: said, any_name: said };
        row(&shown, made!("authority.pem"), &expected);
    });
}

#[test]
fn a_chain_that_is_not_valid_now() {
    watchdog(LIMIT, || {
        let (shown, root) = chain(&["localhost"], expired, same);
        row(&shown, &root, &Expected { mozilla: EXPIRED, given: EXPIRED, any_name: EXPIRED });
        let (shown, root) = chain(&["localhost"], not_yet_valid, same);
        row(&shown, &root, &Expected { mozilla: NOT_YET, given: NOT_YET, any_name: NOT_YET });
        // The intermediate authority has expired. A client that does not know the root sees that
        // too.
        let (shown, root) = chain(&["localhost"], same, expired);
        row(&shown, &root, &Expected { mozilla: EXPIRED, given: EXPIRED, any_name: EXPIRED });
    });
}

#[test]
fn a_chain_for_other_names() {
    watchdog(LIMIT, || {
        let many: Vec<_> = (0..12).map(|n| format!("{n}.example")).collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        let (shown, root) = chain(&many, same, same);
        let mozilla = &unknown_to_mozilla();
        let given = "TLS failed: the certificate is not for localhost but for 0.example, \
                     1.example, 2.example, 3.example, 4.example, 5.example, 6.example, 7.example \
                     and 4 more; `TlsOptions::server_name` sets the name that is expected";
        row(&shown, &root, &Expected { mozilla, given, any_name: OPEN });
    });
}

#[test]
fn a_name_with_control_characters() {
    watchdog(LIMIT, || {
        let (shown, root) = chain(&["\u{1b}[2J\r\nx\")"], same, same);
        let mozilla = &unknown_to_mozilla();
        let given = "TLS failed: the certificate is not for localhost but for \
                     \\u{1b}[2J\\r\\nx\"); `TlsOptions::server_name` sets the name that is \
                     expected";
        row(&shown, &root, &Expected { mozilla, given, any_name: OPEN });
    });
}

#[test]
fn an_address_as_a_name() {
    watchdog(LIMIT, || {
        let (shown, root) = chain(&["127.0.0.1"], same, same);
        let mozilla = &unknown_to_mozilla();
        row_at("127.0.0.1", &shown, &root, &Expected { mozilla, given: OPEN, any_name: OPEN });
        let (shown, root) = chain(&["localhost", "10.1.2.3"], same, same);
        let given = "TLS failed: the certificate is not for 127.0.0.1 but for localhost, 10.1.2.3; \
                     `TlsOptions::server_name` sets the name that is expected";
        row_at("127.0.0.1", &shown, &root, &Expected { mozilla, given, any_name: OPEN });
    });
}

#[test]
fn an_authority_that_may_not_vouch_for_the_name() {
    watchdog(LIMIT, || {
        let limit = |params: &mut CertificateParams| {
            params.name_constraints = Some(NameConstraints {
                permitted_subtrees: vec![GeneralSubtree::DnsName("example".into())],
                excluded_subtrees: vec![],
            });
        };
        let (shown, root) = chain(&["localhost"], same, limit);
        let mozilla = &unknown_to_mozilla();
        let said =
            "TLS failed: an authority in the chain may not issue certificates for these names";
        row(&shown, &root, &Expected { mozilla, given: said, any_name: said });
    });
}

#[test]
fn a_certificate_that_is_meant_for_clients() {
    watchdog(LIMIT, || {
        let for_clients = |params: &mut CertificateParams| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        };
        let said = "TLS failed: the certificate is not meant for servers: its extended key usage \
                    lacks serverAuth";
        let expected = Expected { mozilla: said, given: said, any_name: said };
        let (shown, root) = chain(&["localhost"], for_clients, same);
        row(&shown, &root, &expected);
        let (shown, own) = self_signed(&["localhost"], for_clients);
        row(&shown, &own, &expected);
    });
}

#[test]
fn the_kind_of_a_refusal_and_whether_to_try_again() {
    watchdog(LIMIT, || {
        let version = &rustls::version::TLS13;
        let is = |shown: &Shown, given: &str, problem: TlsProblem, is_retryable: bool| {
            let options = TlsOptions::new().ca_pem(given.as_bytes()).unwrap();
            let tls = connect_to(shown, "localhost", version, options).unwrap_err();
            assert_eq!(tls.problem(), problem, "{tls}");
            assert_eq!(tls.is_certificate(), problem != TlsProblem::Alert, "{tls}");
            assert_eq!(Error::Tls(tls).is_retryable(), is_retryable);
        };
        let (shown, root) = chain(&["localhost"], not_yet_valid, same);
        is(&shown, &root, TlsProblem::NotValidYet, true);
        let (shown, root) = chain(&["localhost"], expired, same);
        is(&shown, &root, TlsProblem::Expired, false);
        let (shown, root) = chain(&["a.example"], same, same);
        is(&shown, &root, TlsProblem::WrongName, false);
        is(&shown, made!("authority.pem"), TlsProblem::UnknownIssuer, false);
        let shown = Shown::signing(&[made!("req-x509.pem")], made!("p256.key"));
        is(&shown, made!("authority.pem"), TlsProblem::CaUsedAsEndEntity, false);
        let shown = Shown::signing(&[made!("version-1.pem")], made!("p256.key"));
        is(&shown, made!("version-1.pem"), TlsProblem::OtherCertificate, false);
        let shown = Shown::signing(&[made!("p256-sha512.pem")], made!("p256.key"));
        is(&shown, made!("authority.pem"), TlsProblem::UnsupportedSignature, false);
        let key = Junk(SignatureScheme::ECDSA_NISTP521_SHA512);
        let shown = Shown::new(&[made!("p521.pem")], Arc::new(key));
        is(&shown, made!("authority.pem"), TlsProblem::Alert, false);
    });
}

#[test]
fn what_is_added_is_added_in_any_order() {
    watchdog(LIMIT, || {
        let (first, first_root) = chain(&["localhost"], same, same);
        let (second, second_root) = chain(&["localhost"], same, same);
        let (third, _) = chain(&["localhost"], same, same);
        let (first_root, second_root) = (first_root.as_bytes(), second_root.as_bytes());
        let file = std::env::temp_dir().join(format!("landline-added-{}.pem", std::process::id()));
        std::fs::write(&file, second_root).unwrap();
        for options in [
            TlsOptions::new().ca_pem(first_root).unwrap().add_ca_pem(second_root).unwrap(),
            TlsOptions::new().add_ca_pem(second_root).unwrap().ca_pem(first_root).unwrap(),
            TlsOptions::new().add_ca_pem(first_root).unwrap().add_ca_pem(second_root).unwrap(),
            TlsOptions::new().add_ca_pem_file(&file).unwrap().ca_pem(first_root).unwrap(),
        ] {
            let connect =
                |shown| connect_to(shown, "localhost", &rustls::version::TLS13, options.clone());
            connect(&first).unwrap();
            connect(&second).unwrap();
            assert_eq!(connect(&third).unwrap_err().problem(), TlsProblem::UnknownIssuer);
        }
        std::fs::remove_file(&file).unwrap();
        assert!(TlsOptions::new().add_ca_pem_file(&file).is_err());
        assert!(TlsOptions::new().add_ca_pem(b"no PEM").is_err());
    });
}

/// Runs this test again in a process of its own, with `SSL_CERT_FILE` set.
#[cfg(feature = "native-roots")]
#[test]
fn the_roots_of_the_operating_system_replace_or_are_added() {
    const CHILD: &str = "LANDLINE_TEST_NATIVE_ROOTS";
    let name = format!("landline-native-{}.pem", std::process::id());
    let file = std::env::temp_dir().join(name);
    if std::env::var_os(CHILD).is_none() {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "trust::the_roots_of_the_operating_system_replace_or_are_added"])
            .env(CHILD, "yes")
            .env("SSL_CERT_FILE", &file)
            .env_remove("SSL_CERT_DIR")
            .output()
            .unwrap();
        let _ = std::fs::remove_file(&file);
        assert!(child.status.success(), "{child:?}");
        return;
    }
    watchdog(LIMIT, || {
        let file = std::env::var_os("SSL_CERT_FILE").unwrap();
        std::fs::write(&file, "").unwrap();
        let (native, native_root) = chain(&["localhost"], same, same);
        let (own, own_root) = chain(&["localhost"], same, same);
        let own_root = own_root.as_bytes();
        let new = TlsOptions::new;
        let connect =
            |shown, options| connect_to(shown, "localhost", &rustls::version::TLS13, options);
        let said = |shown, options| connect(shown, options).unwrap_err().to_string();

        let nothing = error(builder().tls(new().native_roots()).connect("wss://127.0.0.1:1/"));
        assert!(matches!(nothing, Error::InvalidInput(_)), "{nothing}");
        assert_eq!(
            said(&own, new().add_native_roots()),
            unknown("Mozilla's roots and the roots of the operating system")
        );

        std::fs::write(&file, native_root).unwrap();
        connect(&native, new().native_roots()).unwrap();
        connect(&native, new().add_native_roots()).unwrap();
        assert_eq!(said(&own, new().native_roots()), unknown("the roots of the operating system"));
        for both in [
            new().native_roots().add_ca_pem(own_root).unwrap(),
            new().add_ca_pem(own_root).unwrap().native_roots(),
            new().ca_pem(own_root).unwrap().add_native_roots(),
            new().add_native_roots().ca_pem(own_root).unwrap(),
        ] {
            connect(&native, both.clone()).unwrap();
            connect(&own, both).unwrap();
        }
        // If several calls replace the roots, the last one holds.
        let last = new().native_roots().ca_pem(own_root).unwrap();
        connect(&own, last.clone()).unwrap();
        assert_eq!(said(&native, last), unknown("the certificates given to `ca_pem`"));
        let last = new().ca_pem(own_root).unwrap().native_roots();
        connect(&native, last.clone()).unwrap();
        assert_eq!(said(&own, last), unknown("the roots of the operating system"));
    });
}

/// Accepts any certificate of a client.
#[derive(Debug)]
struct AnyClient;

impl ClientCertVerifier for AnyClient {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}

#[test]
fn a_client_certificate_of_version_1_is_shown_as_it_is() {
    watchdog(LIMIT, || {
        let own = made!("version-1.pem");
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(Arc::new(AnyClient))
            .with_single_cert(
                vec![CertificateDer::from_pem_slice(made!("req-x509.pem").as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(made!("p256.key").as_bytes()).unwrap(),
            )
            .unwrap();
        let server = serve_tls(config, |peer| {
            peer.upgrade();
            let shown = peer.with_tls(|tls| tls.conn.peer_certificates().map(<[_]>::to_vec));
            peer.stall();
            shown
        });
        let options = TlsOptions::new().ca_pem(made!("req-x509.pem").as_bytes()).unwrap();
        let options =
            options.client_certificate_pem(own.as_bytes(), made!("p256.key").as_bytes()).unwrap();
        drop(builder().tls(options).connect(&server.url()).unwrap());
        let shown = CertificateDer::from_pem_slice(own.as_bytes()).unwrap();
        assert_eq!(server.join(), Some(vec![shown]));
    });
}

#[test]
fn a_client_certificate_of_version_1_with_the_key_of_another_is_refused_before_any_socket() {
    let other = KeyPair::generate().unwrap().serialize_pem();
    let options = TlsOptions::new()
        .client_certificate_pem(made!("version-1.pem").as_bytes(), other.as_bytes())
        .unwrap();
    let said = error(builder().tls(options).connect("wss://127.0.0.1:1/"));
    assert_eq!(
        said.to_string(),
        "invalid TLS options: the private key does not belong to the client certificate"
    );
}

/// Servers of OpenSSL, which can sign with keys that ring does not take.
#[test]
fn keys_that_ring_does_not_take_at_a_server_of_openssl() {
    const SECURITY: &str = "DEFAULT@SECLEVEL=0";
    watchdog(LIMIT, || {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/connections/trust");
        let keys = [("rsa1024", BAD_SIGNATURE), ("p521", HANDSHAKE_FAILURE)];
        let versions = ["-tls1_2", "-tls1_3"];
        for ((name, expected), version) in
            keys.into_iter().flat_map(|key| versions.map(|version| (key, version)))
        {
            let server = Command::new("openssl")
                .args(["s_server", "-accept", "127.0.0.1:0", "-www", "-cipher", SECURITY, version])
                .args(["-cert", &format!("{name}.pem"), "-key", &format!("{name}.key")])
                .current_dir(folder)
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn();
            let Ok(mut server) = server else {
                assert!(std::env::var_os("CI").is_none(), "in CI there must be an openssl");
                // Written so that the test harness does not capture it.
                let _ = writeln!(std::io::stderr(), "skipped: no openssl ({name} {version})");
                continue;
            };
            let lines = BufReader::new(server.stdout.take().unwrap()).lines();
            let accepts = lines.map_while(Result::ok).find_map(|line| {
                line.strip_prefix("ACCEPT ")
                    .and_then(|address| address.rsplit(':').next()?.parse().ok())
            });
            let port: u16 = accepts.expect("openssl s_server says where it accepts");
            let connect = |options| {
                let url = format!("wss://localhost:{port}/");
                error(builder().tls(options).connect(&url))
            };
            let given = TlsOptions::new().ca_pem(made!("authority.pem").as_bytes()).unwrap();
            assert_eq!(connect(given).to_string(), expected, "{name}");
            // If the server answers with a page, the TLS handshake has succeeded.
            let any = TlsOptions::new().danger_accept_any_certificate();
            match (name, connect(any)) {
                // By TLS 1.2 a key is useless unless the client offers key exchange on its curve.
                ("p521", said) if version == "-tls1_2" => assert_eq!(said.to_string(), expected),
                (_, Error::Handshake(page)) => {
                    assert_eq!(page.problem(), &HandshakeProblem::Refused, "{page}");
                }
                (_, other) => panic!("{name} {version}: no page, but {other}"),
            }
            server.kill().unwrap();
            server.wait().unwrap();
        }
    });
}
