//! A peer that reads and sends slowly, so that the waits of this side end again and again in the
//! middle of a message. Not a byte may be lost, or come twice.
//!
//! The peer is slow for two seconds, or for as many as `SLOW_PEER_SECONDS` says.

#![allow(clippy::unwrap_used)] // `clippy.toml` allows it in test functions only.

use crate::support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use landline::{Builder, CloseCode, Error, Message, Timeout};
use support::*;

/// The number of bytes that the peer reads, and sends, in each [`PAUSE`]: 20 KiB in a second.
const PACE: usize = 1024;
const PAUSE: Duration = Duration::from_millis(50);
/// The number of bytes of a message, both ways.
const MESSAGE: usize = 1 << 20;
/// The text by which the peer says that it is slow no longer, and sends no more.
const ENOUGH: &str = "enough";

fn slow_for() -> Duration {
    let seconds = std::env::var("SLOW_PEER_SECONDS").map_or(2, |text| text.parse().unwrap());
    Duration::from_secs(seconds)
}

/// Returns the payload of the message with this number. The payloads of all messages, one after the
/// other, are the numbers 0, 1, 2, ... of four bytes each.
fn payload(message: usize) -> Vec<u8> {
    let first = message * MESSAGE / 4;
    let numbers = first..first + MESSAGE / 4;
    numbers.flat_map(|number| u32::try_from(number).unwrap().to_le_bytes()).collect()
}

/// Checks the payload of the message with this number.
fn check(bytes: &[u8], message: usize) {
    let expected = payload(message);
    assert_eq!(bytes.len(), expected.len(), "the length of message {message}");
    let wrong = bytes.iter().zip(&expected).position(|(byte, expected)| byte != expected);
    assert_eq!(wrong, None, "the first wrong byte of message {message}");
}

/// Counts the messages that the peer has received and sent.
#[derive(Debug, PartialEq, Eq)]
struct Exchanged {
    to_peer: usize,
    from_peer: usize,
}

/// Plays the peer, from the opening handshake to the Close.
fn is_slow(mut stream: impl Read + Write) -> Exchanged {
    streams::upgrade(&mut stream);
    let until = Instant::now() + slow_for();
    let mut received = Vec::new();
    let mut exchanged = Exchanged { to_peer: 0, from_peer: 0 };
    let mut take = |received: &mut Vec<u8>| {
        let frame = take_frame(received)?;
        if frame.opcode == BINARY {
            check(&frame.payload, exchanged.to_peer);
            exchanged.to_peer += 1;
        }
        Some(frame)
    };
    let mut unsent = Vec::new();
    let mut sent = 0;
    while Instant::now() < until {
        if unsent.is_empty() {
            unsent = binary(&payload(sent));
            sent += 1;
        }
        let some = unsent.drain(..PACE.min(unsent.len())).collect::<Vec<_>>();
        stream.write_all(&some).unwrap();
        let mut some = [0; PACE];
        stream.read_exact(&mut some).unwrap();
        received.extend_from_slice(&some);
        take(&mut received);
        thread::sleep(PAUSE); // The pause is the behaviour under test, and waits for nothing.
    }
    unsent.extend(text(ENOUGH));
    stream.write_all(&unsent).unwrap();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        while let Some(frame) = take(&mut received) {
            if frame.opcode == CLOSE {
                stream.write_all(&close(1000, "")).unwrap();
                exchanged.from_peer = sent;
                return exchanged;
            }
        }
        let len = stream.read(&mut buffer).unwrap();
        assert!(len > 0, "the client is gone without a Close");
        received.extend_from_slice(&buffer[..len]);
    }
}

/// Plays the client. Sends from one thread until the peer has had enough, and receives in another
/// by timeouts that end in the middle of the messages.
fn exchanges(builder: &Builder, url: &str) -> Exchanged {
    // The system takes only a part of a message at once.
    let small = |socket: &TcpStream| socket2::SockRef::from(socket).set_send_buffer_size(64 << 10);
    let builder = builder.clone().on_socket(small);
    let builder = builder.write_timeout(LIMIT + slow_for() * 2);
    let (mut receiver, sender) = builder.connect(url).unwrap().split();
    let enough = Arc::new(AtomicBool::new(false));
    let has_enough = enough.clone();
    let sending = spawn(move || {
        let messages = (0..).take_while(|_| !has_enough.load(Ordering::SeqCst));
        (messages.map(|message| sender.send(payload(message)).unwrap()).count(), sender)
    });
    let (mut from_peer, mut timeouts) = (0, 0);
    loop {
        match receiver.recv_timeout(Duration::from_millis(7)) {
            Ok(Message::Text(text)) if text == ENOUGH => break,
            Ok(message) => {
                check(message.as_bytes(), from_peer);
                from_peer += 1;
            }
            Err(Error::Timeout(Timeout::Recv)) => timeouts += 1,
            Err(other) => panic!("{other:?}"),
        }
    }
    enough.store(true, Ordering::SeqCst);
    let (to_peer, sender) = sending.join();
    sender.close(CloseCode::NORMAL).unwrap();
    assert!(error(receiver.recv()).closed().unwrap().is_clean());
    assert!(timeouts > 10, "{timeouts} timeouts");
    println!("{to_peer} messages to a slow peer, {from_peer} from it, {timeouts} timeouts");
    Exchanged { to_peer, from_peer }
}

#[test]
fn a_slow_peer_gets_and_sends_each_byte_once() {
    watchdog(LIMIT * 2 + slow_for(), || {
        let server = serve_on(small_listener(), |peer| is_slow(peer.socket()));
        let exchanged = exchanges(&builder(), &server.url());
        assert_eq!(server.join(), exchanged);
    });
}

#[cfg(feature = "tls")]
#[test]
fn a_slow_peer_over_tls_gets_and_sends_each_byte_once() {
    watchdog(LIMIT * 2 + slow_for(), || {
        let server =
            tls::serve_tls(tls::localhost(), |peer| peer.with_tls(|stream| is_slow(stream)));
        let exchanged = exchanges(&tls::builder(), &server.url());
        assert_eq!(server.join(), exchanged);
    });
}
