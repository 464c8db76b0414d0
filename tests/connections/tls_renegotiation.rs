//! By TLS 1.2 a server may ask for a renegotiation, which a client must refuse (RFC 9325 section
//! 3.5).

#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used)] // `clippy.toml` allows it in test functions only.

use crate::support;

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use landline::error::Cause;
use landline::stream::Stream;
use landline::{Keepalive, Message};
use rustls::crypto::CryptoProvider;
use rustls::crypto::cipher::{
    InboundOpaqueMessage, MessageDecrypter, MessageEncrypter, OutboundChunks, OutboundPlainMessage,
};
use rustls::crypto::ring;
use rustls::version::TLS12;
use rustls::{
    ConnectionTrafficSecrets, ContentType, PeerMisbehaved, ProtocolVersion, ServerConfig,
    ServerConnection, SupportedCipherSuite, SupportedProtocolVersion,
};

use support::tls::{builder, ca, serve_tls};
use support::*;

/// The server's end of a connection, without a library, so that it can break the rules.
pub(crate) struct Bare {
    pub(crate) socket: TcpStream,
    encrypter: Box<dyn MessageEncrypter>,
    decrypter: Box<dyn MessageDecrypter>,
    sent: u64,
    received: u64,
}

impl Bare {
    /// Takes over a connection of a server with a [`bare_config`], after the upgrade.
    pub(crate) fn new(peer: &mut Peer) -> Self {
        peer.upgrade();
        Self::take_over(peer)
    }

    /// Takes over a connection of a server with a [`bare_config`].
    fn take_over(peer: &mut Peer) -> Self {
        peer.with_tls(|tls| {
            let socket = tls.sock.try_clone().unwrap();
            let ended = ServerConnection::new(bare_config(&TLS12).into()).unwrap();
            let tls = std::mem::replace(&mut tls.conn, ended);
            let suite = tls.negotiated_cipher_suite().unwrap();
            let secrets = tls.dangerous_extract_secrets().unwrap();
            let (sent, ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv }) = secrets.tx else {
                unreachable!()
            };
            let encrypter = match suite {
                SupportedCipherSuite::Tls12(suite) => {
                    suite.aead_alg.encrypter(key, iv.as_ref(), &[])
                }
                SupportedCipherSuite::Tls13(suite) => suite.aead_alg.encrypter(key, iv),
            };
            let (received, ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv }) = secrets.rx
            else {
                unreachable!()
            };
            let decrypter = match suite {
                SupportedCipherSuite::Tls12(suite) => suite.aead_alg.decrypter(key, iv.as_ref()),
                SupportedCipherSuite::Tls13(suite) => suite.aead_alg.decrypter(key, iv),
            };
            Self { socket, encrypter, decrypter, sent, received }
        })
    }

    fn send(&mut self, typ: ContentType, body: &[u8]) {
        let record = self.record(typ, body);
        // The client may be gone.
        let _ = self.socket.write_all(&record);
    }

    /// Returns the next record to send.
    pub(crate) fn record(&mut self, typ: ContentType, body: &[u8]) -> Vec<u8> {
        let version = ProtocolVersion::TLSv1_2;
        let payload = OutboundChunks::Single(body);
        let message = OutboundPlainMessage { typ, version, payload };
        let record = self.encrypter.encrypt(message, self.sent).unwrap().encode();
        self.sent += 1;
        record
    }

    /// Returns the type and the contents of the next record that the client sends.
    pub(crate) fn receive(&mut self) -> (u8, Vec<u8>) {
        let mut header = [0; 5];
        self.socket.read_exact(&mut header).unwrap();
        let mut body = vec![0; usize::from(u16::from_be_bytes([header[3], header[4]]))];
        self.socket.read_exact(&mut body).unwrap();
        let kind = ContentType::from(header[0]);
        let message = InboundOpaqueMessage::new(kind, ProtocolVersion::TLSv1_2, &mut body);
        let plain = self.decrypter.decrypt(message, self.received).unwrap();
        self.received += 1;
        (plain.typ.into(), plain.payload.to_vec())
    }
}

/// Returns the config of a server that [`Bare`] can take over.
pub(crate) fn bare_config(version: &'static SupportedProtocolVersion) -> ServerConfig {
    use ring::cipher_suite::{
        TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, TLS13_CHACHA20_POLY1305_SHA256,
    };
    let suites =
        vec![TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, TLS13_CHACHA20_POLY1305_SHA256];
    let provider = CryptoProvider { cipher_suites: suites, ..ring::default_provider() };
    let leaf = ca().leaf(&["localhost"]);
    let mut config = tls::with_provider(&leaf, provider, &[version]);
    config.enable_secret_extraction = true;
    config
}

pub(crate) const HELLO_REQUEST: &[u8] = &[0, 0, 0, 0];

/// Servers ask for it when the path of the request needs a certificate of the client.
#[test]
fn a_renegotiation_is_refused_before_the_answer_and_the_connection_opens() {
    watchdog(LIMIT, || {
        let server = serve_tls(bare_config(&TLS12), |peer| {
            peer.read_request();
            let mut bare = Bare::take_over(peer);
            bare.send(ContentType::Handshake, HELLO_REQUEST);
            assert_eq!(bare.receive(), (21, vec![1, 100]));
            bare.send(ContentType::ApplicationData, &peer.good_answer(""));
            peer.socket().read_to_end(&mut Vec::new()).unwrap();
        });
        drop(promptly(|| builder().connect(&server.url()).unwrap()));
        server.join();
    });
}

#[test]
fn a_renegotiation_is_refused_and_the_connection_goes_on() {
    watchdog(LIMIT, || {
        let server = serve_tls(bare_config(&TLS12), |peer| {
            let mut bare = Bare::new(peer);
            // From now on the client only waits.
            assert_eq!(bare.receive().0, 23);
            bare.send(ContentType::Handshake, HELLO_REQUEST);
            // The alert no_renegotiation, a warning.
            assert_eq!(bare.receive(), (21, vec![1, 100]));
            bare.send(ContentType::ApplicationData, &text("as you like"));
            peer.socket().read_to_end(&mut Vec::new()).unwrap();
        });
        let mut ws = builder().connect(&server.url()).unwrap();
        ws.send("ready").unwrap();
        assert_eq!(promptly(|| ws.recv().unwrap()), Message::from("as you like"));
        drop(ws);
        server.join();
    });
}

#[test]
fn a_server_whose_request_waited_behind_a_message_is_not_given_up() {
    watchdog(LIMIT, || {
        let (taken, was_taken) = channel();
        let (answer, has_answered) = channel();
        let server = serve_tls(bare_config(&TLS12), move |peer| {
            let mut bare = Bare::new(peer);
            // The ping gets no pong. The message is as large as rustls takes at once.
            assert_eq!(bare.receive().0, 23);
            let mut both = bare.record(ContentType::ApplicationData, &text(&"x".repeat(4060)));
            assert!((4080..=4096).contains(&both.len()), "{}", both.len());
            both.extend(bare.record(ContentType::Handshake, HELLO_REQUEST));
            bare.socket.write_all(&both).unwrap();
            was_taken.recv().unwrap();
            bare.send(ContentType::ApplicationData, &text("alive"));
            answer.send(()).unwrap();
            peer.socket().read_to_end(&mut Vec::new()).unwrap();
        });
        let pings = Keepalive::new(SHORT / 3, SHORT * 6);
        let mut ws = builder().keepalive(pings).connect(&server.url()).unwrap();
        assert_eq!(ws.recv().unwrap().as_bytes().len(), 4060);
        taken.send(()).unwrap();
        has_answered.recv().unwrap();
        std::thread::sleep(SHORT * 8); // The caller is busy; nothing is awaited by it.
        assert_eq!(ws.recv().unwrap(), Message::from("alive"));
        drop(ws);
        server.join();
    });
}

/// Is a socket whose writes can be held up, each until it is told to go on.
#[derive(Debug)]
struct Held {
    socket: TcpStream,
    is_held: Arc<AtomicBool>,
    in_write: Mutex<Sender<()>>,
    go_on: Mutex<Receiver<()>>,
    /// Is told of each read that found something while writes are held up.
    has_read: Mutex<Sender<()>>,
}

impl Stream for Held {
    fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        let read = io::Read::read(&mut &self.socket, buf);
        if matches!(read, Ok(1..)) && self.is_held.load(Ordering::SeqCst) {
            let _ = self.has_read.lock().unwrap().send(());
        }
        read
    }

    fn write(&self, buf: &[u8]) -> io::Result<usize> {
        if self.is_held.load(Ordering::SeqCst) {
            let _ = self.in_write.lock().unwrap().send(());
            let _ = self.go_on.lock().unwrap().recv();
        }
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

#[test]
fn a_request_for_renegotiation_that_cannot_be_answered_yet_does_not_stop_receiving() {
    watchdog(LIMIT, || {
        let (in_write, is_in_write) = channel();
        let (tell, go_on) = channel::<()>();
        let (has_read, is_read) = channel();
        let server = serve_tls(bare_config(&TLS12), move |peer| {
            let mut bare = Bare::new(peer);
            is_in_write.recv().unwrap();
            bare.send(ContentType::Handshake, HELLO_REQUEST);
            for number in ["one", "two"] {
                // The receiver has seen the request, and cannot send the answer.
                is_read.recv().unwrap();
                bare.send(ContentType::ApplicationData, &text(number));
            }
            // The message was encrypted before the alert.
            assert_eq!(bare.receive().0, 23);
            assert_eq!(bare.receive(), (21, vec![1, 100]));
            bare.send(ContentType::ApplicationData, &text("three"));
            peer.socket().read_to_end(&mut Vec::new()).unwrap();
        });
        let is_held = Arc::new(AtomicBool::new(false));
        let stream = Held {
            socket: TcpStream::connect(server.addr).unwrap(),
            is_held: is_held.clone(),
            in_write: Mutex::new(in_write),
            go_on: Mutex::new(go_on),
            has_read: Mutex::new(has_read),
        };
        let (mut receiver, sender) =
            builder().connect_over("wss://localhost/", stream).unwrap().split();
        is_held.store(true, Ordering::SeqCst);
        let sending = spawn(move || sender.send("held up").map(|()| sender).unwrap());
        for number in ["one", "two"] {
            assert_eq!(receiver.recv().unwrap(), Message::from(number));
        }
        is_held.store(false, Ordering::SeqCst);
        drop(tell);
        let sender = sending.join();
        assert_eq!(receiver.recv().unwrap(), Message::from("three"));
        drop((receiver, sender));
        server.join();
    });
}

#[test]
fn a_server_that_asks_for_renegotiation_again_and_again_is_given_up() {
    watchdog(LIMIT, || {
        let server = serve_tls(bare_config(&TLS12), |peer| {
            let mut bare = Bare::new(peer);
            for _ in 0..1000 {
                bare.send(ContentType::Handshake, HELLO_REQUEST);
            }
            let _ = peer.socket().read_to_end(&mut Vec::new());
        });
        let mut ws = builder().connect(&server.url()).unwrap();
        let closed = promptly(|| error(ws.recv())).closed().cloned().unwrap();
        let Cause::Tls(said) = closed.cause() else { panic!("{closed:?}") };
        let expected = PeerMisbehaved::TooManyRenegotiationRequests;
        let expected = rustls::Error::PeerMisbehaved(expected);
        assert_eq!(said.downcast_ref(), Some(&expected));
        drop(ws);
        server.join();
    });
}

#[test]
fn a_server_that_sends_empty_records_without_end_is_given_up() {
    watchdog(LIMIT, || {
        let server = serve_tls(bare_config(&TLS12), |peer| {
            let mut bare = Bare::new(peer);
            assert_eq!(bare.receive().0, 23);
            for _ in 0..1000 {
                bare.send(ContentType::ApplicationData, &[]);
            }
            let _ = peer.socket().read_to_end(&mut Vec::new());
        });
        let mut ws = builder().connect(&server.url()).unwrap();
        ws.send("ready").unwrap();
        let said = promptly(|| error(ws.recv()));
        let closed = said.closed().unwrap_or_else(|| panic!("{said:?}"));
        let Cause::Tls(error) = closed.cause() else { panic!("{closed:?}") };
        let too_many = rustls::Error::PeerMisbehaved(PeerMisbehaved::TooManyEmptyFragments);
        assert_eq!(error.downcast_ref(), Some(&too_many));
        drop(ws);
        server.join();
    });
}
