//! tungstenite as the other parser.

use std::io::{self, Read, Write};

use landline::error::Violation;
use tungstenite::protocol::{Role, WebSocket, WebSocketConfig};
use tungstenite::{Error, Message};

use super::{Difference, Event, LIMIT, Parsed};

/// Returns the known difference that the violation may lead to; `None` if both must refuse.
pub fn difference(violation: Violation, theirs: &Parsed) -> Option<Difference> {
    match violation {
        // The length of a control frame in a longer form is too long, or is not minimal.
        Violation::NonMinimalLength | Violation::ControlTooLong => {
            Some(Difference::NonMinimalLength)
        }
        Violation::LengthTopBit => Some(Difference::LengthTopBit),
        Violation::TooManyFragments | Violation::TooManyEmptyFragments => {
            Some(Difference::Fragments)
        }
        Violation::CloseCode(_) => Some(Difference::CloseCode),
        // The frame or its header is incomplete.
        _ if !theirs.refused => Some(Difference::Earlier),
        _ => None,
    }
}

/// A stream that has the server's bytes and then no more, and drops what is written.
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

pub fn parse(data: &[u8]) -> Parsed {
    let config =
        WebSocketConfig::default().max_message_size(Some(LIMIT)).max_frame_size(Some(LIMIT));
    let mut socket = WebSocket::from_raw_socket(Server(data), Role::Client, Some(config));
    let mut events = Vec::new();
    loop {
        match socket.read() {
            Ok(Message::Text(text)) => events.push(Event::Text(text.to_string())),
            Ok(Message::Binary(bytes)) => events.push(Event::Binary(bytes.to_vec())),
            Ok(Message::Ping(payload)) => events.push(Event::Ping(payload.to_vec())),
            Ok(Message::Pong(payload)) => events.push(Event::Pong(payload.to_vec())),
            Ok(Message::Close(close)) => {
                let close = close.map(|close| (close.code.into(), close.reason.to_string()));
                events.push(Event::Close(close));
                return Parsed { events, refused: false }; // landline reads nothing after a Close.
            }
            Ok(Message::Frame(_)) => {}
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                return Parsed { events, refused: false };
            }
            Err(_) => return Parsed { events, refused: true },
        }
    }
}
