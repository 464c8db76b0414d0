//! The same server bytes through landline and through tungstenite: the same messages, and both
//! accept or both refuse. The known and intended differences are in [`Difference`].
//!
//! Input: the server's stream.

use std::io::{self, Read, Write};

use landline::proto::Violation;
use landline::proto::recv::{Decoder, Delivery, Limits, Step};
use tungstenite::protocol::{Role, WebSocket, WebSocketConfig};

/// Where the two differ, and why we are right.
#[derive(Debug)]
enum Difference {
    /// RFC 6455 section 5.2: "the minimal number of bytes MUST be used to encode the length".
    NonMinimalLength,
    /// Section 5.2: the most significant bit MUST be 0; it looks at its size limit only.
    LengthTopBit,
    /// Both refuse, but we on the first byte, it when it has the whole header or payload.
    Earlier,
    /// We bound fragments, it does not.
    Fragments,
    /// Section 7.4.2: codes that are not defined must not be used; it knows other ones.
    CloseCode,
}

#[derive(Debug, PartialEq, Clone)]
enum Event {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<(u16, String)>),
}

const LIMIT: usize = 1 << 16;

pub fn check(data: &[u8]) {
    let (mut ours, violation) = landline(data);
    let (mut theirs, refused) = tungstenite(data);
    // IANA registered 1014 later than the RFC; tungstenite takes it for a violation.
    if matches!(ours.last(), Some(Event::Close(Some((1014, _))))) {
        assert!(matches!(theirs.last(), Some(Event::Close(Some((1002 | 1014, _))))));
        ours.pop();
        theirs.pop();
    }
    let difference = violation.and_then(|violation| match violation {
        // A control frame with a longer form of length is too long, or not minimal.
        Violation::NonMinimalLength | Violation::ControlTooLong => {
            Some(Difference::NonMinimalLength)
        }
        Violation::LengthTopBit => Some(Difference::LengthTopBit),
        Violation::TooManyFragments | Violation::TooManyEmptyFragments => {
            Some(Difference::Fragments)
        }
        Violation::CloseCode(_) => Some(Difference::CloseCode),
        // The rest of the frame, or of the header, has not come.
        _ if !refused => Some(Difference::Earlier),
        _ => None,
    });
    match difference {
        // Up to there they agree.
        Some(difference) => {
            assert!(theirs.starts_with(&ours), "{difference:?}: {ours:?} / {theirs:?}");
        }
        None => {
            assert_eq!(ours, theirs, "{violation:?}, tungstenite refuses: {refused}");
            assert_eq!(violation.is_some(), refused, "{violation:?}");
        }
    }
}

fn landline(data: &[u8]) -> (Vec<Event>, Option<Violation>) {
    let mut limits = Limits::default();
    limits.max_message_size = Some(LIMIT as u64);
    limits.max_frame_size = Some(LIMIT as u64);
    let mut decoder = Decoder::new(limits);
    let mut events = Vec::new();
    let mut run = |mut data: &[u8]| -> Result<(), Violation> {
        loop {
            while decoder.advance(Delivery::Whole)? {
                events.push(match decoder.step()?.unwrap() {
                    Step::Text(text) => Event::Text(text.to_owned()),
                    Step::Binary(bytes) => Event::Binary(bytes.to_vec()),
                    Step::Ping(payload) => Event::Ping(payload.to_vec()),
                    Step::Pong(payload) => Event::Pong(payload.to_vec()),
                    Step::Close(close) => {
                        Event::Close(close.code.map(|code| (code.value(), close.reason)))
                    }
                    step => panic!("unexpected {step:?}"),
                });
            }
            if data.is_empty() {
                return Ok(());
            }
            data = &data[decoder.feed(data)..];
        }
    };
    let violation = run(data).err();
    (events, violation)
}

/// The server's bytes, then silence; what is written is forgotten.
struct Server<'a>(&'a [u8]);

impl Read for Server<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.0.is_empty() { Err(io::ErrorKind::WouldBlock.into()) } else { self.0.read(buf) }
    }
}

impl Write for Server<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn tungstenite(data: &[u8]) -> (Vec<Event>, bool) {
    let config =
        WebSocketConfig::default().max_message_size(Some(LIMIT)).max_frame_size(Some(LIMIT));
    let mut socket = WebSocket::from_raw_socket(Server(data), Role::Client, Some(config));
    let mut events = Vec::new();
    loop {
        match socket.read() {
            Ok(tungstenite::Message::Text(text)) => events.push(Event::Text(text.to_string())),
            Ok(tungstenite::Message::Binary(bytes)) => events.push(Event::Binary(bytes.to_vec())),
            Ok(tungstenite::Message::Ping(payload)) => events.push(Event::Ping(payload.to_vec())),
            Ok(tungstenite::Message::Pong(payload)) => events.push(Event::Pong(payload.to_vec())),
            Ok(tungstenite::Message::Close(close)) => {
                let close = close.map(|close| (close.code.into(), close.reason.to_string()));
                events.push(Event::Close(close));
                return (events, false); // We read nothing after a Close.
            }
            Ok(tungstenite::Message::Frame(_)) => {}
            Err(tungstenite::Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                return (events, false);
            }
            Err(_) => return (events, true),
        }
    }
}
