//! Records of TLS that are cut in every way on their way to the client, and what may lie between
//! them.

#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used)] // `clippy.toml` allows it in test functions only.

use crate::support;
use crate::tls_renegotiation::{Bare, HELLO_REQUEST, bare_config};

use std::io::{self, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use landline::error::Cause;
use landline::stream::Stream;
use landline::tls::TlsOptions;
use landline::{Message, Sender, WebSocket};
use rustls::ContentType::{ApplicationData, Handshake};
use rustls::version::{TLS12, TLS13};
use support::tls::{TlsStream, builder, ca, localhost, serve_tls, upgraded_tls, versions};
use support::*;

/// Is a socket that reads at most `most` bytes at a time, and sends a message before each read.
#[derive(Debug)]
struct Between {
    socket: TcpStream,
    most: usize,
    sender: Arc<Mutex<Option<Sender>>>,
}

impl Stream for Between {
    fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        let sender = self.sender.lock().unwrap().clone();
        if let Some(sender) = sender {
            sender.send("between").unwrap();
        }
        let most = buf.len().min(self.most);
        io::Read::read(&mut &self.socket, &mut buf[..most])
    }

    fn write(&self, buf: &[u8]) -> io::Result<usize> {
        io::Write::write(&mut &self.socket, buf)
    }

    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.socket.set_read_timeout(timeout)
    }

    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.socket.set_write_timeout(timeout)
    }

    fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.socket.set_nonblocking(nonblocking)
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.socket.shutdown(how)
    }
}

/// Connects to a server of TLS, and reads at most `most` bytes at a time.
fn connect_reading<T>(server: &Server<T>, most: usize) -> (WebSocket, Arc<Mutex<Option<Sender>>>) {
    let socket = TcpStream::connect(server.addr).unwrap();
    let sender = Arc::new(Mutex::new(None));
    let stream = Between { socket, most, sender: sender.clone() };
    (builder().connect_over(&server.url(), stream).unwrap(), sender)
}

/// Returns bytes that are not the same at any two places near each other.
fn pattern(len: usize) -> Vec<u8> {
    (0..=250).cycle().take(len).collect()
}

#[test]
fn records_that_are_cut_anywhere_are_read_all_the_same() {
    watchdog(LIMIT, || {
        const LENS: [usize; 9] = [0, 1, 100, 4_096, 16_380, 16_384, 20_000, 70_000, 300_000];
        for version in [&TLS12, &TLS13] {
            for most in [1, 2, 3, 4, 5, 6, 7, 100, 4_095, 4_096, 4_097, 16_400, 16_406, 1 << 20] {
                let config = versions(&ca().leaf(&["localhost"]), &[version]);
                let lens = if most < 100 { &LENS[..7] } else { &LENS[..] };
                let server = serve_tls(config, move |peer| {
                    peer.upgrade();
                    for &len in lens {
                        peer.send(&binary(&pattern(len)));
                    }
                    peer.expect(TEXT, b"done");
                });
                let (mut ws, _) = connect_reading(&server, most);
                for &len in lens {
                    assert_eq!(ws.recv().unwrap().as_bytes(), pattern(len), "{most}");
                }
                ws.send("done").unwrap();
                server.join();
            }
        }
    });
}

/// Has a server send `records`, and sends a message before each byte of them is read. Returns the
/// messages of the server.
fn sends_between(
    version: &'static rustls::SupportedProtocolVersion,
    records: impl FnOnce(&mut Bare) -> Vec<u8> + Send + 'static,
) -> Vec<Message> {
    let server = serve_tls(bare_config(version), move |peer| {
        let mut bare = Bare::new(peer);
        let mut records = records(&mut bare);
        records.extend(bare.record(ApplicationData, &text("end")));
        bare.socket.write_all(&records).unwrap();
        let mut messages = 0;
        loop {
            match bare.receive() {
                // A refusal of the renegotiation.
                (21, _) => {}
                (23, frame) if frame[0] == 0x80 | TEXT => messages += 1,
                // The Close.
                (23, _) => return messages,
                (kind, bytes) => panic!("{kind}: {bytes:?}"),
            }
        }
    });
    let (mut ws, sender) = connect_reading(&server, 1);
    *sender.lock().unwrap() = Some(ws.sender());
    let mut messages = Vec::new();
    loop {
        match ws.recv().unwrap() {
            message if message == Message::from("end") => break,
            message => messages.push(message),
        }
    }
    *sender.lock().unwrap() = None;
    drop(ws);
    assert!(server.join() > 20);
    messages
}

/// A ticket that resumes a session (RFC 8446 section 4.6.1): the header, the lifetime, the age, the
/// nonce, the ticket, no extensions.
const TICKET: &[u8] = b"\x04\0\0\x14\0\0\x1c\x20\0\0\0\0\x01n\0\x06ticket\0\0";

/// The message of the handshake that a server may send at any time.
fn handshake_message(version: &rustls::SupportedProtocolVersion) -> &'static [u8] {
    if version == &TLS12 { HELLO_REQUEST } else { TICKET }
}

#[test]
fn messages_are_sent_while_a_handshake_message_arrives_in_many_records() {
    watchdog(LIMIT, || {
        for version in [&TLS12, &TLS13] {
            let message = handshake_message(version);
            for len in 1..=message.len() {
                let messages = sends_between(version, move |bare| {
                    let records = message.chunks(len).map(|part| bare.record(Handshake, part));
                    let mut records: Vec<_> = records.collect();
                    records.push(bare.record(ApplicationData, &text("after")));
                    records.concat()
                });
                assert_eq!(messages, [Message::from("after")], "{version:?}, {len} bytes a record");
            }
        }
    });
}

#[test]
fn messages_are_sent_after_an_empty_record_of_the_handshake() {
    watchdog(LIMIT, || {
        for version in [&TLS12, &TLS13] {
            let messages = sends_between(version, |bare| {
                let mut records = bare.record(Handshake, b"");
                records.extend(bare.record(ApplicationData, &text("one")));
                records.extend(bare.record(Handshake, handshake_message(version)));
                records.extend(bare.record(ApplicationData, &text("two")));
                records
            });
            assert_eq!(messages, [Message::from("one"), Message::from("two")], "{version:?}");
        }
    });
}

#[test]
fn a_server_whose_handshake_message_never_ends_is_given_up() {
    watchdog(LIMIT, || {
        for version in [&TLS12, &TLS13] {
            let server = serve_tls(bare_config(version), move |peer| {
                let mut bare = Bare::new(peer);
                // The header of a message of 65,535 bytes.
                let mut records = bare.record(Handshake, &[handshake_message(version)[0], 0, 255]);
                records.extend(bare.record(Handshake, &[255]));
                for _ in 0..10_000 {
                    records.extend(bare.record(Handshake, b"x"));
                }
                let _ = bare.socket.write_all(&records);
                let _ = io::copy(&mut bare.socket, &mut io::sink());
            });
            let mut ws = builder().connect(&server.url()).unwrap();
            for _ in 0..2 {
                let closed = promptly(|| error(ws.recv())).closed().cloned().unwrap();
                assert!(matches!(closed.cause(), Cause::Tls(_)), "{version:?}: {closed:?}");
            }
            assert!(ws.send("late").is_err());
            drop(ws);
            server.join();
        }
    });
}

/// Encrypts each of these frames in records of their own.
fn records(tls: &mut TlsStream, frames: &[Vec<u8>]) -> Vec<u8> {
    let mut records = Vec::new();
    for frame in frames {
        tls.conn.writer().write_all(frame).unwrap();
        while tls.conn.wants_write() {
            tls.conn.write_tls(&mut records).unwrap();
        }
    }
    records
}

#[test]
fn all_messages_before_a_damaged_record_are_returned_although_they_arrive_with_it() {
    watchdog(LIMIT, || {
        // The first one does not fit into the receive buffer, and the others do.
        let lens = [60_000, 3_000, 100, 1];
        for version in [&TLS12, &TLS13] {
            let config = versions(&ca().leaf(&["localhost"]), &[version]);
            let server = serve_tls(config, move |peer| {
                peer.upgrade();
                peer.expect(TEXT, b"ready");
                peer.with_tls(|tls| {
                    let mut bytes = records(tls, &lens.map(|len| binary(&vec![7; len])));
                    let valid = bytes.len();
                    bytes.extend(records(tls, &[text("damaged"), text("after")]));
                    bytes[valid + 20] ^= 1;
                    tls.sock.write_all(&bytes).unwrap();
                    let alert = io::Read::read(tls, &mut [0; 64]).unwrap_err();
                    assert!(alert.to_string().contains("BadRecordMac"), "{alert}");
                });
            });
            let mut ws = builder().connect(&server.url()).unwrap();
            ws.send("ready").unwrap();
            for len in lens {
                assert_eq!(ws.recv().unwrap().as_bytes(), vec![7; len], "{version:?}");
            }
            for _ in 0..2 {
                let closed = promptly(|| error(ws.recv())).closed().cloned().unwrap();
                let Cause::Tls(why) = closed.cause() else { panic!("{closed:?}") };
                assert_eq!(why.downcast_ref(), Some(&rustls::Error::DecryptError));
            }
            server.join();
            drop(ws);
        }
    });
}

#[test]
fn keys_change_while_a_big_message_arrives_and_another_one_is_sent() {
    watchdog(LIMIT, || {
        let message = pattern(3 << 20);
        let expected = message.clone();
        let server = upgraded_tls(move |peer| {
            peer.with_tls(|tls| {
                for part in binary(&message).chunks(10_000) {
                    tls.conn.refresh_traffic_keys().unwrap();
                    tls.write_all(part).unwrap();
                }
                tls.flush().unwrap();
            });
            // The client's keys have changed too.
            peer.expect(BINARY, &message);
        });
        let mut ws = builder().connect(&server.url()).unwrap();
        assert!(ws.recv().unwrap().as_bytes() == expected);
        ws.send(&expected).unwrap();
        server.join();
        drop(ws);
    });
}

#[test]
fn an_answer_that_comes_together_with_the_end_of_the_handshake_of_tls_is_read() {
    watchdog(LIMIT, || {
        let answer = b"HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\nno";
        for version in [&TLS12, &TLS13] {
            let mut config = versions(&ca().leaf(&["localhost"]), &[version]);
            config.send_half_rtt_data = true;
            let server = serve_tls(config, move |peer| {
                peer.with_tls(|tls| {
                    // rustls keeps this until it may be sent.
                    tls.conn.writer().write_all(answer).unwrap();
                    while tls.conn.is_handshaking() {
                        tls.conn.complete_io(&mut tls.sock).unwrap();
                    }
                });
                let _ = peer.with_tls(|tls| io::copy(tls, &mut io::sink()));
            });
            let said = error(builder().connect(&server.url()));
            let response = said.response().unwrap_or_else(|| panic!("{version:?}: {said:?}"));
            assert_eq!((response.status(), response.body()), (503, &b"no"[..]));
            server.join();
        }
    });
}

/// Returns the options of a client whose keys of TLS 1.3 are good for `limit` records.
fn with_few_records(limit: u64) -> TlsOptions {
    use rustls::crypto::{CipherSuiteCommon, CryptoProvider, ring};
    use rustls::{SupportedCipherSuite, Tls13CipherSuite};
    let suites = ring::ALL_CIPHER_SUITES.iter().filter_map(|suite| {
        let SupportedCipherSuite::Tls13(suite) = suite else { return None };
        let common = CipherSuiteCommon { confidentiality_limit: limit, ..suite.common };
        let suite = Tls13CipherSuite { common, ..**suite };
        Some(SupportedCipherSuite::Tls13(Box::leak(Box::new(suite))))
    });
    let provider = CryptoProvider { cipher_suites: suites.collect(), ..ring::default_provider() };
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_root_certificates(ca().roots())
        .with_no_client_auth();
    TlsOptions::from_rustls(Arc::new(config))
}

#[test]
fn the_keys_of_tls_1_3_change_before_they_are_used_up() {
    watchdog(LIMIT, || {
        for len in [0, 1, 100, 40_000, 300_000] {
            let server = serve_tls(localhost(), move |peer| {
                peer.upgrade();
                for _ in 0..30 {
                    peer.expect(BINARY, &vec![7; len]);
                }
                peer.send(&text("all"));
                peer.stall();
            });
            let mut ws = builder().tls(with_few_records(8)).connect(&server.url()).unwrap();
            for _ in 0..30 {
                ws.send(vec![7; len]).unwrap();
            }
            assert_eq!(ws.recv().unwrap(), Message::from("all"));
            drop(ws);
            server.join();
        }
    });
}
