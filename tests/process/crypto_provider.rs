//! Tests that TLS uses the crypto provider that the program has installed for its whole process.

use std::sync::Arc;

use landline::tls::TlsOptions;
use rustls::ServerConnection;
use rustls::crypto::{CryptoProvider, ring};

use crate::process::{again, passed, value};
use crate::support::*;

/// Returns a provider that knows one cipher suite. It is none that is preferred.
fn with_one_suite() -> CryptoProvider {
    let mut provider = ring::default_provider();
    let wanted = rustls::CipherSuite::TLS13_CHACHA20_POLY1305_SHA256;
    provider.cipher_suites.retain(|suite| suite.suite() == wanted);
    provider
}

/// Connects to a server that knows all cipher suites. Returns the name of the one that was agreed
/// on.
fn suite(options: TlsOptions) -> String {
    let mut server = serve(|peer| {
        let connection = ServerConnection::new(Arc::new(tls::localhost())).unwrap();
        let socket = peer.socket().try_clone().unwrap();
        let mut peer = Peer::new(rustls::StreamOwned::new(connection, socket));
        peer.upgrade();
        peer.stall();
    });
    server.secure = true;
    let ws = builder().tls(options).connect(&server.url()).unwrap();
    let suite = ws.tls_info().unwrap().cipher_suite;
    drop(ws);
    server.join();
    suite
}

#[test]
fn a_provider_that_the_program_has_installed_goes_before_ring_and_a_given_one_before_both() {
    const TEST: &str = "crypto_provider::\
                        a_provider_that_the_program_has_installed_goes_before_ring_and_a_given_one_\
                        before_both";
    if value().is_none() {
        return watchdog(LIMIT, || passed(&again(TEST, ":", "").output().unwrap()));
    }
    let used = tls::trusting();
    let preferred = suite(used.clone());
    assert_ne!(preferred, "TLS_CHACHA20_POLY1305_SHA256");
    with_one_suite().install_default().unwrap();
    assert_eq!(suite(tls::trusting()), "TLS_CHACHA20_POLY1305_SHA256");
    // Options that have connected keep what they had.
    assert_eq!(suite(used), preferred);
    let given = Arc::new(ring::default_provider());
    assert_eq!(suite(tls::trusting().crypto_provider(given)), preferred);
}
