//! TLS ends by `close_notify` (RFC 8446 section 6.1) also if a connection does not open.

#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used)] // `clippy.toml` allows it in test functions only.

use crate::support;

use std::io::Read as _;

use landline::Timeout;
use landline::error::HandshakeProblem;
use support::tls::{self, serve_tls, versions};
use support::*;

/// Reads to the end of TLS. Returns the bytes that came before it, or fails if TLS has no end.
fn to_the_end(peer: &mut Peer) -> Vec<u8> {
    let mut rest = Vec::new();
    peer.with_tls(|tls| tls.read_to_end(&mut rest)).expect("close_notify");
    rest
}

/// Starts a server that answers a request, and expects the end of TLS after it.
fn answers(answer: &'static [u8]) -> Server<()> {
    answers_by(rustls::ALL_VERSIONS, answer)
}

fn answers_by(
    allowed: &[&'static rustls::SupportedProtocolVersion],
    answer: &'static [u8],
) -> Server<()> {
    let config = versions(&tls::ca().leaf(&["localhost", "127.0.0.1"]), allowed);
    serve_tls(config, move |peer| {
        peer.read_request();
        peer.send(answer);
        assert_eq!(to_the_end(peer), b"");
    })
}

const REFUSAL: &[u8] = b"HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno";

#[test]
fn a_server_that_refuses_sees_the_end_of_tls() {
    watchdog(LIMIT, || {
        for version in rustls::ALL_VERSIONS {
            let server = answers_by(&[version], REFUSAL);
            let refused = error(tls::builder().connect(&server.url()));
            assert_eq!(refused.status(), Some(403));
            server.join();
        }
    });
}

#[test]
fn a_server_whose_answer_fails_a_check_sees_the_end_of_tls() {
    watchdog(LIMIT, || {
        for answer in [
            &b"HTTP/1.1 101 Go\r\n\r\n"[..],
            b"HTTP/1.1 101 Go\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
              Sec-WebSocket-Accept: wrong\r\n\r\n",
            b"no HTTP\r\n\r\n",
            &b"HTTP/1.1 103 Wait\r\n\r\n".repeat(9),
        ]
        .map(|answer| answer.to_vec().leak())
        {
            let server = answers(answer);
            let failed = error(tls::builder().connect(&server.url()));
            assert!(matches!(failed, landline::Error::Handshake(_)), "{failed:?}");
            server.join();
        }
    });
}

#[test]
fn a_server_that_redirects_sees_the_end_of_tls() {
    watchdog(LIMIT, || {
        let second = answers(REFUSAL);
        let head = format!("HTTP/1.1 302 Go\r\nLocation: {}\r\n\r\n", second.url());
        let first = answers(head.into_bytes().leak());
        let refused = error(tls::builder().connect(&first.url()));
        assert_eq!(refused.status(), Some(403));
        first.join();
        second.join();

        let last = answers(b"HTTP/1.1 302 Go\r\nLocation: /\r\nContent-Length: 0\r\n\r\n");
        let refused = error(tls::builder().max_redirects(0).connect(&last.url()));
        let landline::Error::Handshake(refused) = refused else { panic!("{refused:?}") };
        assert_eq!(refused.problem(), &HandshakeProblem::Refused);
        last.join();
    });
}

#[test]
fn a_server_that_does_not_answer_sees_the_end_of_tls() {
    watchdog(LIMIT, || {
        let server = answers(b"");
        let builder = tls::builder().open_timeout(SHORT_OPENING);
        let timeout = error(builder.connect(&server.url()));
        assert!(matches!(timeout, landline::Error::Timeout(Timeout::Handshake)), "{timeout:?}");
        server.join();
    });
}

#[test]
fn a_server_whose_client_is_dropped_sees_the_end_of_tls() {
    watchdog(LIMIT, || {
        for version in rustls::ALL_VERSIONS {
            let config = versions(&tls::ca().leaf(&["localhost", "127.0.0.1"]), &[version]);
            let server = serve_tls(config, |peer| {
                peer.upgrade();
                peer.expect_close(1001);
                assert_eq!(to_the_end(peer), b"");
            });
            drop(tls::builder().connect(&server.url()).unwrap());
            server.join();
        }
    });
}

#[cfg(feature = "proxy")]
#[test]
fn an_https_proxy_sees_the_end_of_its_tls() {
    watchdog(LIMIT, || {
        let through = |proxy: &Server<()>| {
            let url = format!("https://{}", proxy.addr);
            let proxy = landline::proxy::Proxy::new(&url).unwrap().tls(tls::trusting());
            tls::builder().proxy(proxy)
        };
        // The proxy refuses.
        let proxy = answers(REFUSAL);
        let refused = error(through(&proxy).connect("ws://server.test/"));
        assert!(matches!(refused, landline::Error::Proxy(_)), "{refused:?}");
        proxy.join();

        // The server behind it refuses.
        let proxy = serve_tls(tls::localhost(), |peer| {
            peer.read_request();
            peer.send(b"HTTP/1.1 200 OK\r\n\r\n");
            peer.read_request();
            peer.send(REFUSAL);
            assert_eq!(to_the_end(peer), b"");
        });
        let refused = error(through(&proxy).connect("ws://server.test/"));
        assert_eq!(refused.status(), Some(403));
        proxy.join();

        // The client is dropped.
        let proxy = serve_tls(tls::localhost(), |peer| {
            peer.read_request();
            peer.send(b"HTTP/1.1 200 OK\r\n\r\n");
            peer.upgrade();
            peer.expect_close(1001);
            assert_eq!(to_the_end(peer), b"");
        });
        drop(through(&proxy).connect("ws://server.test/").unwrap());
        proxy.join();
    });
}
