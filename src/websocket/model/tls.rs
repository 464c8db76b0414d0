//! Output of TLS is pending, as control frames are.

use std::io;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use super::pipe::pair;
use super::{PLENTY, explore, spawn, wire};
use crate::net::deadline::{Countdown, Deadline};
use crate::net::duplex::Duplex;
use crate::net::stream::Stream as _;
use crate::net::tls::Session;

/// The first byte of a TLS record that holds an alert.
const ALERT: u8 = 21;

#[test]
fn output_of_tls_is_sent_although_a_sender_holds_the_write_lock() {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap();
    let config = builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    let config = Arc::new(config);
    explore(3, move || {
        let (end, peer) = pair([PLENTY, PLENTY]);
        let name = ServerName::try_from("localhost").unwrap();
        let mut tls = ClientConnection::new(config.clone(), name).unwrap();
        // TLS has output without a handshake: an alert.
        tls.write_tls(&mut io::sink()).unwrap();
        let wire = wire(Duplex::new(Arc::new(end), Some(Session::new(tls))));
        let other = wire.clone();
        let sending = spawn(move || {
            other.begin(&mut Countdown::new(None)).unwrap().finish().unwrap();
            other
        });
        let receiving = spawn(move || {
            wire.duplex.send_close_notify();
            wire.note_tls();
            wire.flush_pending();
            wire
        });
        let mut first = [0];
        assert_eq!(peer.read(&mut first).unwrap(), 1);
        assert_eq!(first[0], ALERT);
        drop((sending.join().unwrap(), receiving.join().unwrap()));
    });
}
