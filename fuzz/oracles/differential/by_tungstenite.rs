//! tungstenite as the other parser.

use std::io::{self, Read, Write};

use landline::error::Violation;
use tungstenite::protocol::{Role, WebSocket, WebSocketConfig};
use tungstenite::{Error, Message};

use super::{Difference, Event, LIMIT, Verdict};

/// Where it differs from us, and why we are right.
pub fn difference(violation: Violation, theirs: &Verdict) -> Option<Difference> {
    match violation {
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
        _ if !theirs.refused => Some(Difference::Earlier),
        _ => None,
    }
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

pub fn parse(data: &[u8]) -> Verdict {
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
                return Verdict { events, refused: false }; // We read nothing after a Close.
            }
            Ok(Message::Frame(_)) => {}
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                return Verdict { events, refused: false };
            }
            Err(_) => return Verdict { events, refused: true },
        }
    }
}
