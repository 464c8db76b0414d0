//! permessage-deflate on real connections: the opening handshake, all ways to send and to receive,
//! and hostile servers.

#![cfg(feature = "deflate")]
#![allow(clippy::unwrap_used)]

use crate::{proto_support, support};

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use landline::deflate::Deflate;
use landline::error::{
    DeflateMismatch, DeflateParameter, HandshakeProblem, InvalidInput, Mismatch, TrySendError,
    Violation,
};
use landline::message::MessageWriter;
use landline::proto::deflate::NO_PARAMETERS;
use landline::{Builder, CloseCode, Error, Event, Keepalive, Message, MessageKind, WebSocket};
use proto_support::{ClientFrame, Numbers, frame, hex, take_client_frame};
use support::{Joined, LIMIT, spawn};

const FIN: u8 = 0x80;
const RSV1: u8 = 0x40;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// Runs the test, and panics if it hangs.
fn watchdog(body: impl FnOnce() + Send + 'static) {
    support::watchdog(LIMIT * 3, body);
}

/// Names a running server for one connection, which has a thread of its own.
struct Server<T> {
    addr: SocketAddr,
    script: Joined<T>,
}

impl<T: Send + 'static> Server<T> {
    /// Starts a server that answers with this extension header, if any, and then runs the script.
    fn start(
        extensions: Option<&'static str>,
        script: impl FnOnce(&mut Peer) -> T + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let script = spawn(move || {
            let mut peer = Peer::accept(&listener, extensions);
            script(&mut peer)
        });
        Self { addr, script }
    }

    fn url(&self) -> String {
        format!("ws://{}/", self.addr)
    }

    fn connect(&self, options: Deflate) -> WebSocket {
        builder(options).connect(&self.url()).unwrap()
    }

    fn join(self) -> T {
        self.script.join()
    }
}

struct Peer {
    stream: TcpStream,
    received: Vec<u8>,
    offer: Option<String>,
}

impl Peer {
    fn accept(listener: &TcpListener, extensions: Option<&str>) -> Self {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        let header = |name: &str| {
            let mut lines = head.lines().filter_map(|line| line.split_once(": "));
            lines.find(|(own, _)| *own == name).map(|(_, value)| value.to_owned())
        };
        let key = header("Sec-WebSocket-Key").unwrap();
        let accept = tungstenite::handshake::derive_accept_key(key.as_bytes());
        let more = extensions
            .map_or(String::new(), |value| format!("Sec-WebSocket-Extensions: {value}\r\n"));
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n{more}\r\n"
        );
        stream.write_all(answer.as_bytes()).unwrap();
        Self { stream, received: Vec::new(), offer: header("Sec-WebSocket-Extensions") }
    }

    fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    fn next(&mut self) -> ClientFrame {
        loop {
            if let Some(frame) = take_client_frame(&mut self.received) {
                return frame;
            }
            let mut buffer = [0; 64 * 1024];
            let len = self.stream.read(&mut buffer).unwrap();
            assert!(len > 0, "the client is gone");
            self.received.extend_from_slice(&buffer[..len]);
        }
    }

    /// Reads the frames of one message. Skips control frames.
    fn message(&mut self) -> Vec<ClientFrame> {
        let mut frames = Vec::new();
        loop {
            let frame = self.next();
            if frame.first & 8 == 0 {
                let fin = frame.first & FIN != 0;
                frames.push(frame);
                if fin {
                    return frames;
                }
            }
        }
    }

    fn close_code(&mut self) -> u16 {
        let frame = self.next();
        assert_eq!(frame.first, FIN | 8, "not a Close");
        u16::from_be_bytes([frame.payload[0], frame.payload[1]])
    }
}

fn builder(options: Deflate) -> Builder {
    Builder::new().keepalive(Keepalive::OFF).deflate(options)
}

fn all() -> Deflate {
    Deflate::new().min_size(0)
}

fn forgets() -> Deflate {
    all().client_no_context_takeover(true)
}

/// Inflates a message that does not refer to an earlier one.
fn inflate(frames: &[ClientFrame]) -> Vec<u8> {
    assert_eq!(frames[0].first & 0x70, RSV1, "not compressed");
    assert!(frames[1..].iter().all(|frame| frame.first & 0x7F == 0), "not a continuation");
    let mut stream: Vec<u8> = frames.iter().flat_map(|frame| frame.payload.clone()).collect();
    stream.extend([0, 0, 0xFF, 0xFF, 1, 0, 0, 0xFF, 0xFF]);
    miniz_oxide::inflate::decompress_to_vec(&stream).unwrap()
}

fn noise(len: usize) -> Vec<u8> {
    let mut numbers = Numbers::new(3);
    (0..len).map(|_| numbers.next().to_le_bytes()[1]).collect()
}

const HELLO: [u8; 7] = [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00];

#[test]
fn bytes_before_and_after_compression_are_counted_both_ways() {
    watchdog(|| {
        let server = Server::start(Some("permessage-deflate"), |peer| {
            let sizes: Vec<_> = (0..6)
                .map(|_| peer.message().iter().map(|frame| frame.payload.len()).sum::<usize>())
                .collect();
            peer.send(&frame(FIN | RSV1 | TEXT, &HELLO));
            peer.send(&frame(FIN | TEXT, b"not compressed"));
            sizes
        });
        let mut ws = server.connect(Deflate::new().min_size(3));
        let long = noise(200_000);
        ws.send("Hello, Hello, Hello").unwrap();
        ws.send(&*long).unwrap();
        ws.send("no").unwrap();
        ws.send_all(["one one one one", "two"]).unwrap();
        let mut writer = ws.writer(MessageKind::Text).unwrap();
        writer.write_all(b"a fragment").unwrap();
        writer.flush().unwrap();
        writer.write_all(b", and another").unwrap();
        writer.finish().unwrap();
        assert_eq!(ws.recv().unwrap(), Message::from("Hello"));
        ws.recv().unwrap();
        let sizes = server.join();
        let compressed: usize = sizes.iter().sum::<usize>() - "no".len();
        let sent = ws.counters().sent;
        assert_eq!(sent.uncompressed, 19 + 200_000 + 15 + 3 + 23);
        assert_eq!(sent.compressed, compressed as u64);
        let received = ws.counters().received;
        assert_eq!((received.uncompressed, received.compressed), (5, HELLO.len() as u64));
    });
}

#[test]
fn tried_messages_are_compressed_and_those_that_were_given_back_leave_the_window_as_it_is() {
    watchdog(|| {
        let (release, held) = mpsc::channel::<()>();
        let server = Server::start(Some("permessage-deflate"), move |peer| {
            let _ = held.recv();
            let mut stream = Vec::new();
            for _ in 0..100 {
                let frames = peer.message();
                assert_eq!((frames.len(), frames[0].first), (1, FIN | RSV1 | BINARY));
                stream.extend_from_slice(&frames[0].payload);
                stream.extend([0, 0, 0xFF, 0xFF]);
            }
            stream.extend([1, 0, 0, 0xFF, 0xFF]);
            miniz_oxide::inflate::decompress_to_vec(&stream).unwrap()
        });
        let ws = server.connect(all());
        let (mut sent, mut release, mut number) = (vec![0; 10_000], Some(release), 0);
        while number < 100 {
            // The beginning refers to the end of the message before.
            let mut numbers = Numbers::new(number + 1);
            let mut message = sent[sent.len() - 10_000..].to_vec();
            message.extend((0..90_000).map(|_| numbers.next().to_le_bytes()[1]));
            match ws.try_send(&*message) {
                Ok(()) => {
                    sent.extend_from_slice(&message);
                    number += 1;
                }
                Err(TrySendError::WouldBlock(back)) => {
                    assert_eq!(back, message);
                    release = None; // The server begins to read.
                    thread::yield_now();
                }
                Err(TrySendError::Failed(_, error)) => panic!("{error}"),
            }
        }
        assert!(release.is_none(), "no message was given back");
        ws.ping(b"").unwrap(); // After the rest, if there is one.
        assert!(server.join() == sent[10_000..]);
    });
}

mod the_opening_handshake {
    use super::*;

    #[test]
    fn the_offer_has_what_the_options_say() {
        watchdog(|| {
            let table = [
                (None, None),
                (Some(Deflate::new()), Some("permessage-deflate; client_max_window_bits")),
                (
                    Some(
                        Deflate::new()
                            .server_no_context_takeover(true)
                            .client_no_context_takeover(true)
                            .server_max_window_bits(8)
                            .client_max_window_bits(9),
                    ),
                    Some(
                        "permessage-deflate; client_max_window_bits=9; server_max_window_bits=8; \
                         client_no_context_takeover; server_no_context_takeover",
                    ),
                ),
            ];
            for (options, expected) in table {
                let server = Server::start(None, |peer| peer.offer.clone());
                let builder = Builder::new().deflate(options);
                let ws = builder.connect(&server.url()).unwrap();
                assert_eq!(ws.deflate(), None, "the server declined");
                assert_eq!(server.join().as_deref(), expected);
            }
        });
    }

    #[test]
    fn both_halves_return_the_parameters_that_were_agreed_on() {
        watchdog(|| {
            let answer =
                "permessage-deflate; server_no_context_takeover; client_max_window_bits=10";
            let server = Server::start(Some(answer), |_| ());
            let ws = server.connect(all());
            let mut expected = NO_PARAMETERS;
            expected.server_no_context_takeover = true;
            expected.client_max_window_bits = 10;
            assert_eq!(ws.deflate(), Some(expected));
            assert_eq!(ws.sender().deflate(), Some(expected));
            let (receiver, _) = ws.split();
            assert_eq!(receiver.deflate(), Some(expected));
        });
    }

    #[test]
    fn a_server_that_does_not_accept_a_smaller_window_may_use_the_whole_one() {
        watchdog(|| {
            let asked = all().server_no_context_takeover(true).server_max_window_bits(9);
            let server = Server::start(Some("permessage-deflate"), |peer| {
                peer.send(&frame(FIN | RSV1 | TEXT, &HELLO));
                // This message refers to the one before.
                peer.send(&frame(FIN | RSV1 | TEXT, &hex("f2 00 11 00 00")));
                assert_eq!(peer.close_code(), 1000);
            });
            let mut ws = server.connect(asked);
            assert_eq!(
                ws.deflate(),
                Some(NO_PARAMETERS),
                "the parameters of the answer hold, and not those of the offer"
            );
            assert_eq!(ws.recv().unwrap(), Message::from("Hello"));
            assert_eq!(ws.recv().unwrap(), Message::from("Hello"));
            ws.sender().close(CloseCode::NORMAL).unwrap();
            drop(ws);
            server.join();
        });
    }

    #[test]
    fn client_max_window_bits_is_not_offered_if_the_option_is_off() {
        watchdog(|| {
            let silent = all().offer_client_max_window_bits(false);
            let server = Server::start(Some("permessage-deflate"), |peer| {
                assert_eq!(peer.offer.as_deref(), Some("permessage-deflate"));
                inflate(&peer.message())
            });
            let ws = server.connect(silent);
            ws.send("Hello").unwrap();
            assert_eq!(server.join(), b"Hello");
        });
    }

    #[test]
    fn a_server_that_accepts_what_was_not_offered_is_refused_and_the_error_names_the_parameter() {
        watchdog(|| {
            let asked = all()
                .server_no_context_takeover(true)
                .server_max_window_bits(10)
                .client_max_window_bits(11);
            let bits = DeflateParameter::ServerMaxWindowBits;
            let table = [
                (
                    "permessage-deflate; client_max_window_bits=15",
                    all().offer_client_max_window_bits(false),
                    DeflateMismatch::NotOffered(DeflateParameter::ClientMaxWindowBits),
                ),
                (
                    "permessage-deflate; server_no_context_takeover; server_max_window_bits=11",
                    asked,
                    DeflateMismatch::Larger(bits),
                ),
                ("permessage-deflate; window=3", all(), DeflateMismatch::Unknown),
                (
                    "permessage-deflate; server_max_window_bits=12; server_max_window_bits=12",
                    all(),
                    DeflateMismatch::Repeated(bits),
                ),
                (
                    "permessage-deflate; server_max_window_bits=16",
                    all(),
                    DeflateMismatch::Value(bits),
                ),
            ];
            for (answer, options, expected) in table {
                let server = Server::start(Some(answer), |_| ());
                let error = builder(options).connect(&server.url()).unwrap_err();
                let Error::Handshake(handshake) = &error else { panic!("{error:?}") };
                let mismatch = Mismatch::Deflate(expected);
                assert_eq!(handshake.problem(), &HandshakeProblem::Mismatch(mismatch), "{answer}");
                assert!(!error.is_retryable());
                let message = error.to_string();
                assert!(message.contains("permessage-deflate"), "{message}");
                let said = &answer["permessage-deflate".len()..];
                assert!(message.contains(said), "it does not say what the server said: {message}");
                if expected != DeflateMismatch::Unknown {
                    assert!(
                        message.contains("_takeover") || message.contains("_bits"),
                        "{message}"
                    );
                }
            }
        });
    }

    #[test]
    fn a_server_that_chooses_compression_without_an_offer_is_refused() {
        watchdog(|| {
            let server = Server::start(Some("permessage-deflate"), |_| ());
            let error = Builder::new().connect(&server.url()).unwrap_err();
            let Error::Handshake(handshake) = &error else { panic!("{error:?}") };
            assert_eq!(handshake.problem(), &HandshakeProblem::Mismatch(Mismatch::Extension));
        });
    }

    #[test]
    fn options_that_are_out_of_range_open_no_socket() {
        for (options, name) in [
            (all().server_max_window_bits(7), "server_max_window_bits"),
            (all().server_max_window_bits(16), "server_max_window_bits"),
            (all().client_max_window_bits(8), "client_max_window_bits"),
            (all().client_max_window_bits(16), "client_max_window_bits"),
            (all().level(10), "level"),
        ] {
            let error = builder(options).connect("ws://127.0.0.1:1/").unwrap_err();
            let Error::InvalidInput(input) = &error else { panic!("{error:?}") };
            assert_eq!(*input, InvalidInput::Deflate(name.into()));
            assert!(error.to_string().contains(name));
        }
    }
}

mod sending {
    use super::*;

    #[test]
    fn each_message_is_compressed_unless_it_is_small_or_sent_uncompressed() {
        watchdog(|| {
            let server = Server::start(Some("permessage-deflate"), |peer| {
                (0..6).map(|_| peer.next()).collect::<Vec<_>>()
            });
            let options = Deflate::new().min_size(5);
            let ws = server.connect(options);
            let sender = ws.sender();
            ws.send("Hello").unwrap();
            ws.send("Hell").unwrap();
            sender.send_uncompressed("Hello").unwrap();
            ws.ping(b"Hello").unwrap();
            ws.send(b"Hello").unwrap();
            ws.send("").unwrap();
            let firsts: Vec<_> =
                server.join().into_iter().map(|frame| (frame.first, frame.payload)).collect();
            let expected = [
                (FIN | RSV1 | TEXT, HELLO.to_vec()),
                (FIN | TEXT, b"Hell".to_vec()),
                (FIN | TEXT, b"Hello".to_vec()),
                (FIN | PING, b"Hello".to_vec()),
                // The message refers to the first one. An uncompressed message is in no window.
                (FIN | RSV1 | BINARY, hex("f2 00 11 00 00")),
                (FIN | TEXT, vec![]),
            ];
            assert_eq!(firsts, expected);
        });
    }

    #[test]
    fn a_big_message_is_sent_in_fragments_of_64_kib() {
        watchdog(|| {
            let data = noise(1_000_000);
            let server = Server::start(Some("permessage-deflate"), Peer::message);
            let ws = server.connect(all());
            ws.send(&data).unwrap();
            let frames = server.join();
            assert_eq!(frames[0].first, RSV1 | BINARY);
            assert!(frames[..frames.len() - 1].iter().all(|frame| frame.payload.len() == 65_536));
            assert!(inflate(&frames) == data);
        });
    }

    #[test]
    fn a_pong_does_not_wait_for_a_big_message() {
        watchdog(|| {
            let server = Server::start(Some("permessage-deflate"), |peer| {
                let first = peer.next();
                assert_eq!(first.first, RSV1 | BINARY);
                peer.send(&frame(FIN | PING, b"now"));
                let mut fragments = 0;
                loop {
                    let frame = peer.next();
                    match frame.first & 15 {
                        PONG => break,
                        _ => fragments += 1,
                    }
                    assert!(frame.first & FIN == 0, "the message came first");
                }
                fragments
            });
            let ws = server.connect(all().level(9));
            let (mut receiver, sender) = ws.split();
            let receiving = spawn(move || receiver.recv());
            let data = noise(8 << 20);
            let _ = sender.send(&data); // The server goes away in the middle.
            server.join();
            assert!(receiving.join().is_err());
        });
    }

    #[test]
    fn a_batch_is_compressed_message_by_message() {
        watchdog(|| {
            let big = noise(100_000);
            let server =
                Server::start(Some("permessage-deflate; client_no_context_takeover"), |peer| {
                    (0..5).map(|_| peer.message()).collect::<Vec<_>>()
                });
            let ws = server.connect(all().min_size(3));
            let messages: [&[u8]; 5] = [b"Hello", b"no", b"Hello", &big, b"Hello"];
            ws.sender().send_all(messages).unwrap();
            let received = server.join();
            assert_eq!(received[1][0].first, FIN | BINARY);
            for (at, frames) in received.iter().enumerate() {
                if at != 1 {
                    assert!(inflate(frames) == messages[at], "message {at}");
                }
            }
            assert_eq!(received[0][0].payload, HELLO);
        });
    }

    #[test]
    fn a_writer_compresses_and_its_flush_sends_all_that_was_written() {
        watchdog(|| {
            let server = Server::start(Some("permessage-deflate"), |peer| {
                let first = peer.next();
                let rest = peer.message();
                let more = [peer.message(), peer.message()];
                (first, rest, more)
            });
            let ws = server.connect(forgets());
            let sender = ws.sender();
            let mut writer = sender.writer(MessageKind::Text).unwrap();
            writer.write_all(b"one, ").unwrap();
            writer.flush().unwrap();
            writer.flush().unwrap(); // Nothing was written since, so no fragment is sent.
            writer.write_all(b"two").unwrap();
            writer.finish().unwrap();
            let mut writer = sender.writer(MessageKind::Binary).unwrap().uncompressed();
            writer.write_all(b"as it is").unwrap();
            writer.finish().unwrap();
            sender.writer(MessageKind::Text).unwrap().finish().unwrap();
            let (first, rest, [plain, empty]) = server.join();
            assert_eq!(first.first, RSV1 | TEXT);
            let all: Vec<ClientFrame> = [first].into_iter().chain(rest).collect();
            assert_eq!(all.len(), 2);
            assert_eq!(inflate(&all), b"one, two");
            assert_eq!((plain[0].first, &plain[0].payload[..]), (FIN | BINARY, &b"as it is"[..]));
            assert_eq!(inflate(&empty), b"");
        });
    }

    #[test]
    fn a_writer_that_has_sent_compressed_bytes_cannot_leave_the_rest_uncompressed() {
        watchdog(|| {
            let server = Server::start(Some("permessage-deflate"), |peer| {
                peer.next();
                peer.next()
            });
            let ws = server.connect(all());
            let mut writer = ws.writer(MessageKind::Text).unwrap();
            writer.write_all(b"begun").unwrap();
            writer.flush().unwrap();
            let error = writer.uncompressed().finish().unwrap_err();
            let local = error.closed().unwrap().local().cloned().unwrap();
            assert_eq!(local.code, Some(CloseCode::INTERNAL_ERROR));
            assert_eq!(server.join().first, FIN | CLOSE);
        });
    }

    /// The bytes that a writer has compressed belong to no message once it is given up.
    fn is_given_up_by(give_up: impl FnOnce(MessageWriter<'_>) + Send + 'static) {
        watchdog(|| {
            let server = Server::start(Some("permessage-deflate"), |peer| peer.next());
            let ws = server.connect(all());
            let sender = ws.sender();
            let mut writer = sender.writer(MessageKind::Text).unwrap();
            writer.write_all(&[b'x'; 65_536]).unwrap(); // Nothing is sent yet.
            give_up(writer);
            ws.send("Hello").unwrap();
            assert_eq!(server.join().payload, HELLO);
        });
    }

    #[test]
    fn bytes_of_a_writer_that_is_dropped_are_not_in_the_window() {
        is_given_up_by(|writer| drop(writer));
    }

    #[test]
    fn a_writer_that_has_compressed_bytes_cannot_leave_the_rest_uncompressed() {
        is_given_up_by(|writer| {
            let mut writer = writer.uncompressed();
            writer.write_all(b"end").unwrap();
            let error = writer.finish().unwrap_err();
            assert!(matches!(error, Error::InvalidInput(InvalidInput::GivenUp)), "{error:?}");
        });
    }

    #[test]
    fn a_writer_that_is_dropped_half_way_ends_the_connection() {
        watchdog(|| {
            let server = Server::start(Some("permessage-deflate"), |peer| {
                peer.next();
                peer.close_code()
            });
            let ws = server.connect(all());
            let sender = ws.sender();
            let mut writer = sender.writer(MessageKind::Text).unwrap();
            writer.write_all(b"half").unwrap();
            writer.flush().unwrap();
            drop(writer);
            assert_eq!(server.join(), 1011);
            assert!(matches!(ws.send("more"), Err(Error::Closed(_))));
        });
    }

    #[test]
    fn with_a_window_of_8_bits_only_the_server_compresses() {
        watchdog(|| {
            let answer = "permessage-deflate; client_max_window_bits=8; server_max_window_bits=8";
            let server = Server::start(Some(answer), |peer| {
                let frames = peer.message();
                peer.send(&hex("c1 07 f2 48 cd c9 c9 07 00"));
                frames[0].clone()
            });
            let mut ws = server.connect(all());
            ws.send("Hello").unwrap();
            assert_eq!(ws.recv().unwrap(), Message::from("Hello"));
            let frame = server.join();
            assert_eq!((frame.first, &frame.payload[..]), (FIN | TEXT, &b"Hello"[..]));
            assert_eq!(ws.deflate().unwrap().client_max_window_bits, 8);
        });
    }

    #[test]
    fn threads_that_send_at_once_share_one_window() {
        watchdog(|| {
            const EACH: usize = 200;
            let server = Server::start(Some("permessage-deflate"), |peer| {
                let mut stream = Vec::new();
                for _ in 0..4 * EACH {
                    for frame in peer.message() {
                        stream.extend(frame.payload);
                    }
                    stream.extend([0, 0, 0xFF, 0xFF]);
                }
                stream.extend([1, 0, 0, 0xFF, 0xFF]);
                String::from_utf8(miniz_oxide::inflate::decompress_to_vec(&stream).unwrap())
                    .unwrap()
            });
            let ws = server.connect(all());
            thread::scope(|scope| {
                for who in 0..4 {
                    let sender = ws.sender();
                    scope.spawn(move || {
                        for at in 0..EACH {
                            sender.send(format!("<{who}:{at}>")).unwrap();
                        }
                    });
                }
            });
            let all = server.join();
            for who in 0..4 {
                let mut from = 0;
                for at in 0..EACH {
                    let message = format!("<{who}:{at}>");
                    from += all[from..].find(&message).expect("lost, or out of order");
                }
            }
        });
    }
}

mod receiving {
    use super::*;

    fn hello(stream: &'static str) -> (Server<()>, WebSocket) {
        let server = Server::start(Some("permessage-deflate"), move |peer| {
            peer.send(&hex(stream));
            let _ = peer.next();
        });
        let ws = server.connect(all());
        (server, ws)
    }

    const TWICE: &str = "41 03 f2 48 cd 89 00 80 04 c9 c9 07 00  c2 05 f2 00 11 00 00";

    #[test]
    fn compressed_messages_are_received_whole_lent_in_fragments_and_by_a_reader() {
        watchdog(|| {
            let (_server, mut ws) = hello(TWICE);
            assert_eq!(ws.recv().unwrap(), Message::from("Hello"));
            assert_eq!(ws.recv().unwrap(), Message::from(&b"Hello"[..]));

            let (_server, mut ws) = hello(TWICE);
            assert_eq!(ws.next_event().unwrap(), Event::Ping(b""));
            assert_eq!(ws.next_event().unwrap(), Event::Text("Hello"));
            assert_eq!(ws.next_event().unwrap(), Event::Binary(b"Hello"));

            let (_server, mut ws) = hello(TWICE);
            for kind in [MessageKind::Text, MessageKind::Binary] {
                let mut reader = ws.reader().unwrap();
                assert_eq!(reader.kind(), kind);
                let mut bytes = Vec::new();
                reader.read_to_end(&mut bytes).unwrap();
                assert_eq!(bytes, b"Hello");
            }

            let server = Server::start(Some("permessage-deflate"), |peer| {
                peer.send(&hex(TWICE));
                let _ = peer.next();
            });
            let mut ws = builder(all()).fragments(true).connect(&server.url()).unwrap();
            let mut bytes = Vec::new();
            loop {
                if let Event::Fragment(fragment) = ws.next_event().unwrap() {
                    bytes.extend_from_slice(fragment.data);
                    if fragment.last {
                        break;
                    }
                }
            }
            assert_eq!(bytes, b"Hello");
        });
    }

    #[test]
    fn a_message_of_16_mib_is_received_whole() {
        watchdog(|| {
            let data: Vec<u8> = (0..16_u32 << 20).map(|at| (at / 700).to_le_bytes()[0]).collect();
            let mut payload = miniz_oxide::deflate::compress_to_vec(&data, 1);
            payload.push(0);
            let server = Server::start(Some("permessage-deflate"), move |peer| {
                peer.send(&frame(FIN | RSV1 | BINARY, &payload));
                let _ = peer.next();
            });
            let mut ws = server.connect(all());
            assert!(ws.recv().unwrap() == Message::Binary(data));
            ws.send("done").unwrap();
        });
    }

    fn refused(bytes: &'static str, limit: u64, violation: Violation, code: u16) {
        let server = Server::start(Some("permessage-deflate"), move |peer| {
            peer.send(&hex(bytes));
            peer.close_code()
        });
        let mut ws = builder(all()).max_message_size(limit).connect(&server.url()).unwrap();
        for _ in 0..2 {
            match ws.recv() {
                Err(Error::Protocol(found)) => assert_eq!(found, violation, "{bytes}"),
                other => panic!("{bytes}: {other:?}"),
            }
        }
        assert_eq!(server.join(), code, "{bytes}");
    }

    #[test]
    fn each_violation_is_answered_with_its_close_code() {
        watchdog(|| {
            refused("41 03 f2 48 cd c0 04 c9 c9 07 00", 99, Violation::ReservedBits, 1002);
            refused("c9 00", 99, Violation::ReservedBits, 1002);
            refused("c1 01 ff 81 02 68 69", 99, Violation::InvalidDeflate, 1007);
            refused("c1 08 00 02 00 fd ff c3 28 00", 99, Violation::InvalidUtf8, 1007);
            refused("c1 07 f2 48 cd c9 c9 07 00", 4, Violation::MessageTooBig, 1009);
        });
    }

    #[test]
    fn a_connection_with_compression_is_closed_cleanly() {
        watchdog(|| {
            let server = Server::start(Some("permessage-deflate"), |peer| {
                assert_eq!(peer.close_code(), 1000);
                peer.send(&hex("88 02 03 e8"));
            });
            let mut ws = server.connect(all());
            assert!(ws.close(CloseCode::NORMAL).unwrap().is_clean());
            server.join();
        });
    }
}
