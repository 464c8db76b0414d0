//! Servers that break the rules of TLS, or abuse them. They write bytes that no library would
//! write.

#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used)] // `clippy.toml` allows it in test functions only.

use crate::support;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;

use landline::error::{Cause, TlsProblem};
use landline::{Error, Message};
use rustls::{AlertDescription, InvalidMessage, PeerIncompatible, PeerMisbehaved};
use support::streams::{Call, Judged};
use support::tls::{accept, builder, ca, localhost, serve_tls, versions};
use support::*;

/// The contents of a ClientHello.
#[derive(Debug)]
struct Hello {
    session: Vec<u8>,
    suites: Vec<u16>,
    extensions: Vec<(u16, Vec<u8>)>,
}

impl Hello {
    const SERVER_NAME: u16 = 0;
    const ALPN: u16 = 16;
    const COMPRESS_CERTIFICATE: u16 = 27;
    const EARLY_DATA: u16 = 42;
    const SUPPORTED_VERSIONS: u16 = 43;
    const KEY_SHARE: u16 = 51;
    const ENCRYPTED_CLIENT_HELLO: u16 = 0xfe0d;

    /// Reads a ClientHello, which must be the first message of a connection.
    fn read(mut socket: &TcpStream) -> Self {
        fn take<'a>(bytes: &mut &'a [u8], len: usize) -> &'a [u8] {
            let (front, back) = bytes.split_at(len);
            *bytes = back;
            front
        }
        fn number(bytes: &mut &[u8], len: usize) -> usize {
            take(bytes, len).iter().fold(0, |number, byte| number << 8 | usize::from(*byte))
        }
        let mut header = [0; 5];
        socket.read_exact(&mut header).unwrap();
        assert_eq!(header[0], 22, "not a handshake record: {header:?}");
        let mut record = vec![0; usize::from(u16::from_be_bytes([header[3], header[4]]))];
        socket.read_exact(&mut record).unwrap();
        let mut rest = &record[..];
        assert_eq!(number(&mut rest, 1), 1, "a ClientHello");
        assert_eq!(number(&mut rest, 3), rest.len());
        take(&mut rest, 2 + 32);
        let len = number(&mut rest, 1);
        let session = take(&mut rest, len).to_vec();
        let len = number(&mut rest, 2);
        let mut list = take(&mut rest, len);
        let mut suites = Vec::new();
        while !list.is_empty() {
            suites.push(u16::try_from(number(&mut list, 2)).unwrap());
        }
        let len = number(&mut rest, 1);
        assert_eq!(take(&mut rest, len), [0], "no compression");
        assert_eq!(number(&mut rest, 2), rest.len());
        let mut extensions = Vec::new();
        while !rest.is_empty() {
            let kind = u16::try_from(number(&mut rest, 2)).unwrap();
            let len = number(&mut rest, 2);
            extensions.push((kind, take(&mut rest, len).to_vec()));
        }
        Self { session, suites, extensions }
    }

    fn extension(&self, kind: u16) -> Option<&[u8]> {
        let found = self.extensions.iter().find(|(own, _)| *own == kind);
        found.map(|(_, body)| &body[..])
    }

    fn server_name(&self) -> Option<&str> {
        // A list of one name: length of the list, kind, length of the name.
        self.extension(Self::SERVER_NAME).map(|body| std::str::from_utf8(&body[5..]).unwrap())
    }

    /// Returns a ServerHello that answers this one.
    fn answer(
        &self,
        version: u16,
        random: [u8; 32],
        suite: u16,
        compression: u8,
        extensions: &[(u16, &[u8])],
    ) -> Vec<u8> {
        let with_len =
            |body: &[u8]| [&u16::try_from(body.len()).unwrap().to_be_bytes(), body].concat();
        let extensions: Vec<_> = extensions
            .iter()
            .flat_map(|(kind, body)| [&kind.to_be_bytes()[..], &with_len(body)].concat())
            .collect();
        let mut body = [&version.to_be_bytes()[..], &random].concat();
        body.push(u8::try_from(self.session.len()).unwrap());
        body.extend_from_slice(&self.session);
        body.extend_from_slice(&suite.to_be_bytes());
        body.push(compression);
        body.extend_from_slice(&with_len(&extensions));
        let len = u16::try_from(body.len()).unwrap().to_be_bytes();
        record(22, &[&[2, 0][..], &len, &body].concat())
    }
}

fn record(kind: u8, body: &[u8]) -> Vec<u8> {
    let len = u16::try_from(body.len()).unwrap().to_be_bytes();
    [&[kind, 3, 3][..], &len, body].concat()
}

/// Returns the error of a client whose ClientHello is answered by `answer`.
fn refusal(answer: impl FnOnce(&Hello) -> Vec<u8> + Send + 'static) -> rustls::Error {
    let server = serve(move |peer| {
        let hello = Hello::read(peer.socket());
        let _ = peer.try_send(&answer(&hello));
        let _ = std::io::copy(&mut peer.socket(), &mut std::io::sink());
    });
    let url = format!("wss://localhost:{}/", server.addr.port());
    let builder = builder();
    let refused = promptly(|| error(builder.connect(&url)));
    drop(builder);
    server.join();
    assert!(!refused.is_retryable(), "{refused:?}");
    let Error::Tls(tls) = refused else { panic!("not a TLS error: {refused:?}") };
    assert!(!tls.is_certificate());
    assert!(!tls.to_string().contains(char::is_control), "{tls}");
    let source = tls.error();
    source.downcast_ref::<rustls::Error>().unwrap_or_else(|| panic!("{source:?}")).clone()
}

const RANDOM: [u8; 32] = [7; 32];
/// ECDHE with ECDSA and AES-128-GCM, which TLS 1.2 has.
const SUITE: u16 = 0xc02b;
const TLS13_SUITE: u16 = 0x1301;
const TLS13: (u16, &[u8]) = (Hello::SUPPORTED_VERSIONS, &[3, 4]);

#[test]
fn a_server_of_tls_1_0_or_1_1_is_refused() {
    watchdog(LIMIT, || {
        for version in [0x0300, 0x0301, 0x0302] {
            let said = refusal(move |hello| hello.answer(version, RANDOM, SUITE, 0, &[]));
            let expected = PeerIncompatible::ServerDoesNotSupportTls12Or13;
            assert_eq!(said, rustls::Error::PeerIncompatible(expected), "{version:#x}");
        }
    });
}

#[test]
fn a_server_that_chooses_what_was_not_offered_is_refused() {
    watchdog(LIMIT, || {
        let misbehaved = |said, expected| {
            assert_eq!(said, rustls::Error::PeerMisbehaved(expected));
        };
        // AES-CBC with SHA-1, and no encryption at all.
        for suite in [0x002f, 0x0001] {
            let said = refusal(move |hello| {
                assert!(!hello.suites.contains(&suite));
                hello.answer(0x0303, RANDOM, suite, 0, &[])
            });
            misbehaved(said, PeerMisbehaved::SelectedUnofferedCipherSuite);
        }
        let said = refusal(|hello| hello.answer(0x0303, RANDOM, SUITE, 1, &[]));
        misbehaved(said, PeerMisbehaved::SelectedUnofferedCompression);
        let http2 = (Hello::ALPN, &b"\0\x03\x02h2"[..]);
        let said = refusal(move |hello| hello.answer(0x0303, RANDOM, SUITE, 0, &[http2]));
        misbehaved(said, PeerMisbehaved::SelectedUnofferedApplicationProtocol);
        // A key of a curve that was not offered: secp521r1.
        let share = (Hello::KEY_SHARE, &b"\0\x19\0\x01x"[..]);
        let said =
            refusal(move |hello| hello.answer(0x0303, RANDOM, TLS13_SUITE, 0, &[TLS13, share]));
        misbehaved(said, PeerMisbehaved::WrongGroupForKeyShare);
        // RFC 8446 section 4.1.3: this random makes it a HelloRetryRequest, here for that curve.
        let retry = rustls_retry_random();
        let share = (Hello::KEY_SHARE, &b"\0\x19"[..]);
        let said =
            refusal(move |hello| hello.answer(0x0303, retry, TLS13_SUITE, 0, &[TLS13, share]));
        misbehaved(said, PeerMisbehaved::IllegalHelloRetryRequestWithUnofferedNamedGroup);
    });
}

fn rustls_retry_random() -> [u8; 32] {
    [
        0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8,
        0x91, 0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8,
        0x33, 0x9c,
    ]
}

#[test]
fn a_server_that_answers_with_any_alert_is_given_up_with_that_alert() {
    watchdog(LIMIT, || {
        for code in 1..=255 {
            let said = refusal(move |_| record(21, &[2, code]));
            assert_eq!(said, rustls::Error::AlertReceived(AlertDescription::from(code)));
        }
    });
}

#[test]
fn a_server_that_sends_close_notify_instead_of_its_hello_is_given_up_at_once() {
    watchdog(LIMIT, || {
        for after_hello in [false, true] {
            let server = serve(move |peer| {
                let hello = Hello::read(peer.socket());
                let mut answer = Vec::new();
                if after_hello {
                    let share = [&b"\0\x1d\0\x20"[..], &[9; 32]].concat();
                    let extensions = [TLS13, (Hello::KEY_SHARE, &share)];
                    answer = hello.answer(0x0303, RANDOM, TLS13_SUITE, 0, &extensions);
                }
                answer.extend_from_slice(b"\x15\x03\x03\x00\x02\x01\x00");
                peer.send(&answer);
                peer.fin();
                let _ = std::io::copy(&mut peer.socket(), &mut std::io::sink());
            });
            let url = format!("wss://localhost:{}/", server.addr.port());
            let builder = builder();
            let refused = promptly(|| error(builder.connect(&url)));
            drop(builder);
            assert!(matches!(refused, Error::Tls(_)), "{refused:?}");
            server.join();
        }
    });
}

#[test]
fn a_server_that_does_not_speak_tls_is_given_up_at_its_first_byte_and_the_error_says_so() {
    watchdog(LIMIT, || {
        for answer in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], b"SSH-2.0-x\r\n", b"\0\0\0\0\0\0"]
        {
            let server = serve(move |peer| {
                peer.send(answer);
                let _ = std::io::copy(&mut peer.socket(), &mut std::io::sink());
            });
            let url = format!("wss://localhost:{}/", server.addr.port());
            let refused = promptly(|| error(builder().connect(&url)));
            let Error::Tls(tls) = &refused else { panic!("{refused:?}") };
            let source = tls.error();
            let source = source.downcast_ref::<rustls::Error>();
            let expected = rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType);
            assert_eq!(source, Some(&expected));
            assert_eq!(
                refused.to_string(),
                "TLS failed: the server does not speak TLS: is the port right, or should the URL \
                 begin with ws:?"
            );
            assert_eq!(tls.problem(), TlsProblem::NotTls);
            server.join();
        }
    });
}

#[test]
fn a_server_that_ends_the_stream_within_the_tls_handshake_is_reported_as_such() {
    watchdog(LIMIT, || {
        let server = serve(|peer| {
            Hello::read(peer.socket());
        });
        let refused = promptly(|| error(builder().connect(&format!("wss://{}/", server.addr))));
        assert_eq!(
            refused.to_string(),
            "TLS failed: the peer closed the connection during the handshake"
        );
        let Error::Tls(tls) = &refused else { panic!("{refused:?}") };
        assert_eq!(tls.problem(), TlsProblem::Eof);
        assert!(refused.is_retryable());
        server.join();
    });
}

/// Returns the ClientHello of a client that connects to `url`.
fn hello_for(url: &str) -> Hello {
    let server = serve(|peer| Hello::read(peer.socket()));
    let stream = TcpStream::connect(server.addr).unwrap();
    let _ = error(builder().connect_over(url, stream));
    server.join()
}

#[test]
fn a_server_is_offered_nothing_that_has_holes_of_its_own() {
    watchdog(LIMIT, || {
        let hello = hello_for("wss://example.com/");
        for kind in [Hello::COMPRESS_CERTIFICATE, Hello::EARLY_DATA, Hello::ENCRYPTED_CLIENT_HELLO]
        {
            assert_eq!(hello.extension(kind), None);
        }
        assert_eq!(hello.extension(Hello::SUPPORTED_VERSIONS).unwrap(), [4, 3, 4, 3, 3]);
        assert_eq!(hello.extension(Hello::ALPN).unwrap(), b"\0\x09\x08http/1.1");
    });
}

#[test]
fn a_server_gets_the_name_as_it_is_looked_up_and_no_address() {
    watchdog(LIMIT, || {
        for (host, name) in [
            ("example.com", Some("example.com")),
            ("EXAMPLE.com", Some("example.com")),
            ("example.com.", Some("example.com")),
            ("bücher.example", Some("xn--bcher-kva.example")),
            ("ｅｘａｍｐｌｅ。com", Some("example.com")),
            ("exam\u{ad}ple.com", Some("example.com")),
            ("127.0.0.1", None),
            ("0x7f.1", None),
            ("[::1]", None),
            ("[::ffff:127.0.0.1]", None),
        ] {
            let hello = hello_for(&format!("wss://{host}/"));
            assert_eq!(hello.server_name(), name, "{host}");
        }
    });
}

#[test]
fn a_server_that_would_take_early_data_gets_none() {
    watchdog(LIMIT, || {
        let mut config = localhost();
        config.max_early_data_size = 16 * 1024;
        let config = Arc::new(config);
        let listener = listener();
        let url = format!("wss://localhost:{}/", listener.local_addr().unwrap().port());
        let serving = spawn(move || {
            let (first, _) = listener.accept().unwrap();
            let connection = rustls::ServerConnection::new(config).unwrap();
            let mut peer = Peer::new(rustls::StreamOwned::new(connection, first));
            peer.upgrade();
            peer.send(&text("hello"));
            peer.stall();
            Hello::read(&listener.accept().unwrap().0)
        });
        let builder = builder();
        let mut ws = builder.connect(&url).unwrap();
        assert_eq!(ws.recv().unwrap(), Message::from("hello"));
        drop(ws);
        let _ = error(builder.connect(&url));
        let hello = serving.join();
        assert!(hello.extension(41).is_some(), "the session is resumed: {hello:?}");
        assert_eq!(hello.extension(Hello::EARLY_DATA), None);
    });
}

/// Starts a server that sends `hello`, and then writes these bytes to the socket without TLS.
fn ends_with(raw: &'static [u8]) -> Server<()> {
    let mut server = serve(|peer| {
        let socket = peer.socket().try_clone().unwrap();
        let mut inner = Peer::new(accept(localhost(), peer.socket().try_clone().unwrap()));
        inner.upgrade();
        inner.send(&text("hello"));
        inner.with_tls(|tls| tls.sock.write_all(raw).unwrap());
        let _ = std::io::copy(&mut &socket, &mut std::io::sink());
    });
    server.secure = true;
    server
}

#[test]
fn a_server_whose_record_is_malformed_is_dead_after_the_valid_ones() {
    watchdog(LIMIT, || {
        for raw in [
            // Too long, of an unknown kind, of an unknown version, empty, not encrypted.
            &b"\x17\x03\x03\x48\x01xxxxxxxxxxxxxxxxxxxxxxxx"[..],
            b"\x17\x03\x03\xff\xff",
            b"\x20\x03\x03\x00\x01x",
            b"\x17\x09\x09\x00\x01x",
            b"\x17\x03\x03\x00\x00",
            b"\x17\x03\x03\x00\x20abcdefghijklmnopqrstuvwxyz012345",
            b"\x16\x03\x03\x00\x04\x00\x00\x00\x00",
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
        ] {
            let server = ends_with(raw);
            let mut ws = builder().connect(&server.url()).unwrap();
            assert_eq!(ws.recv().unwrap(), Message::from("hello"));
            for _ in 0..2 {
                let closed = promptly(|| error(ws.recv())).closed().cloned().unwrap();
                assert!(matches!(closed.cause(), Cause::Tls(_)), "{raw:?}: {closed:?}");
                assert_eq!((closed.code().value(), closed.is_clean()), (1006, false));
                assert!(!closed.to_string().contains(char::is_control), "{closed}");
            }
            drop(ws);
            server.join();
        }
    });
}

#[test]
fn a_server_that_sends_a_fatal_alert_in_the_middle_ends_recv_with_that_alert() {
    watchdog(LIMIT, || {
        let ours = [
            (record(23, &[b'x'; 64]), AlertDescription::BadRecordMac),
            (b"\x17\x03\x03\xff\xff".to_vec(), AlertDescription::DecodeError),
            (b"\x20\x03\x03\x00\x01x".to_vec(), AlertDescription::DecodeError),
        ];
        for version in rustls::ALL_VERSIONS {
            for (raw, alert) in ours.clone() {
                let config = versions(&ca().leaf(&["localhost"]), &[version]);
                let server = serve_tls(config, move |peer| {
                    peer.upgrade();
                    peer.send(&text("hello"));
                    peer.with_tls(|tls| {
                        // The alert is the answer to these bytes, as if the client had sent them.
                        tls.conn.read_tls(&mut &raw[..]).unwrap();
                        tls.conn.process_new_packets().unwrap_err();
                        tls.conn.write_tls(&mut tls.sock).unwrap();
                    });
                    let _ = std::io::copy(&mut peer.socket(), &mut std::io::sink());
                });
                let mut ws = builder().connect(&server.url()).unwrap();
                assert_eq!(ws.recv().unwrap(), Message::from("hello"));
                for _ in 0..2 {
                    let closed = promptly(|| error(ws.recv())).closed().cloned().unwrap();
                    let Cause::Tls(why) = closed.cause() else { panic!("{closed:?}") };
                    let expected = rustls::Error::AlertReceived(alert);
                    assert_eq!(why.downcast_ref(), Some(&expected), "{version:?}");
                    assert_eq!((closed.code().value(), closed.is_clean()), (1006, false));
                }
                assert!(ws.send("late").is_err());
                drop(ws);
                server.join();
            }
        }
    });
}

#[test]
fn records_after_the_close_notify_of_a_server_are_ignored() {
    watchdog(LIMIT, || {
        let server = serve_tls(localhost(), |peer| {
            peer.upgrade();
            peer.send(&text("hello"));
            peer.with_tls(|tls| {
                tls.conn.send_close_notify();
                let mut records = Vec::new();
                while tls.conn.wants_write() {
                    tls.conn.write_tls(&mut records).unwrap();
                }
                // This record is damaged as well.
                records.extend(record(23, &[b'x'; 64]));
                records.extend(text("in the clear"));
                tls.sock.write_all(&records).unwrap();
            });
            peer.stall();
        });
        let mut ws = builder().connect(&server.url()).unwrap();
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
fn a_server_that_holds_back_its_handshake_has_one_open_timeout_for_all_of_it() {
    watchdog(LIMIT, || {
        let server = serve(|peer| {
            Hello::read(peer.socket());
            peer.drip(&[22, 3, 3, 0x40, 0].repeat(1000), SHORT / 20);
        });
        let url = format!("wss://localhost:{}/", server.addr.port());
        let builder = builder().open_timeout(SHORT_OPENING);
        let said = takes(SHORT_OPENING, || error(builder.connect(&url)));
        let expected = landline::Timeout::Tls;
        assert!(matches!(said, Error::Timeout(phase) if phase == expected), "{said:?}");
        server.join();
    });
}

#[test]
fn a_peer_that_takes_only_a_part_of_our_last_flight_is_given_up_at_the_open_timeout() {
    watchdog(LIMIT, || {
        let server = serve(|peer| {
            let tls = rustls::ServerConnection::new(Arc::new(localhost())).unwrap();
            let mut tls = rustls::StreamOwned::new(tls, peer.socket());
            let _ = std::io::copy(&mut tls, &mut std::io::sink());
        });
        // After the ServerHello one write of 32 bytes is taken, of the last messages or before.
        let (mut answered, mut writes) = (false, 0);
        let stream = Judged::new(TcpStream::connect(server.addr).unwrap(), 32, move |_, call| {
            answered |= call == Call::Read;
            writes += usize::from(answered && call == Call::Write);
            if writes > 1 && call == Call::Write {
                return Err(std::io::ErrorKind::WouldBlock.into());
            }
            Ok(())
        });
        let builder = builder().open_timeout(SHORT);
        let said = takes(SHORT, || error(builder.connect_over("wss://localhost/", stream)));
        let expected = landline::Timeout::Tls;
        assert!(matches!(said, Error::Timeout(phase) if phase == expected), "{said:?}");
        server.join();
    });
}
