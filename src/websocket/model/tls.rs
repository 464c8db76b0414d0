//! Output of TLS is pending, as control frames are.

use std::sync::Arc;

use rustls::client::UnbufferedClientConnection;
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};

use super::pipe::pair;
use super::{PLENTY, explore, spawn, wire};
use crate::net::deadline::Countdown;
use crate::net::duplex::{Duplex, ReadHalf, Wait};
use crate::net::stream::Stream as _;
use crate::net::tls::{Cipher, Session};

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
        let tls = UnbufferedClientConnection::new(config.clone(), name).unwrap();
        let tls = Session::new(tls);
        // The peer needs no ClientHello: it answers with what is not TLS.
        tls.decrypt(&mut Cipher::default(), &mut false, &mut [0]).unwrap();
        tls.encrypt(&mut Vec::new(), &mut Vec::new()).unwrap();
        peer.write(b"HTTP/1.1").unwrap();
        let wire = wire(Duplex::new(Arc::new(end), Some(tls)));
        let other = wire.clone();
        let sending = spawn(move || {
            other.begin(&mut Countdown::new(None)).unwrap().finish().unwrap();
            other
        });
        let receiving = spawn(move || {
            let mut half = ReadHalf::default();
            wire.duplex.read(&mut half, &mut [0], Wait::Not).unwrap_err();
            assert!(half.tls_pending, "there is an alert to send");
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
