//! A whole connection over a stream in memory. The server sends any bytes. The program sends,
//! writes, pings, closes and receives in any order. Reads and writes are short, and a write that
//! must not wait may find no room.
//!
//! Checks of receiving: the messages and the end are those that a decoder alone finds in the
//! server's bytes, and the end stays the same.
//!
//! Checks of sending: there are only whole, masked frames. The messages are those that were sent,
//! in their order. Each Pong answers a Ping, and the last Pong the latest Ping. There is at most
//! one Close, with the right code, and nothing after it.

use std::collections::VecDeque;
use std::io;
use std::net::Shutdown;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arbitrary::Unstructured;
use landline::error::Violation;
use landline::proto::frame::{Header, Opcode, decode_close};
use landline::proto::recv::{Decoder, DeliveryMode, Found, Limits};
use landline::stream::Stream;
use landline::{
    Builder, CloseCode, CloseFrame, Error, Event, Keepalive, Message, MessageKind, Timeout,
    WebSocket,
};

use super::session::server_frame;

const MAX_MESSAGE: u64 = 40_000;

pub fn check(data: &[u8]) {
    // The script ends when the input is used up.
    let _ = script(&mut Unstructured::new(data));
}

fn script(input: &mut Unstructured<'_>) -> arbitrary::Result<()> {
    let mut connection = Connection::new();
    while !input.is_empty() {
        match input.int_in_range(0..=11)? {
            0 | 1 => connection.serve(&server_frame(input)?),
            2 => {
                let len = input.int_in_range(0..=64)?;
                connection.serve(input.bytes(len)?);
            }
            3 => {
                let most = *input.choose(&[200, MAX_MESSAGE])?;
                let len = input.int_in_range(0..=most)?;
                let payload = vec![b'b'; usize::try_from(len).unwrap()];
                let opcode = if input.arbitrary()? { Opcode::Text } else { Opcode::Binary };
                let mut frame = Vec::new();
                Header { fin: true, rsv: 0, opcode, mask: None, len }.encode(&mut frame);
                connection.serve(&[frame, payload].concat());
            }
            4 => {
                let most = *input.choose(&[10, 200, 70_000, 300_000])?;
                connection.send(input.int_in_range(0..=most)?);
            }
            5 => {
                let most = *input.choose(&[10, 200, 5_000])?;
                connection.batch(input.int_in_range(0..=40)?, input.int_in_range(0..=most)?);
            }
            6 => connection.write(input)?,
            7 => connection.ping(input.int_in_range(0..=130)?),
            8 => connection.close(CloseCode::new(input.arbitrary()?)),
            9 => connection.receive_all(),
            10 => connection.receive_event(),
            _ => {
                let mut line = connection.line.0.lock().unwrap();
                line.most = input.int_in_range(1..=100_000)?;
                line.full = input.arbitrary()?;
            }
        }
        connection.check_sent();
    }
    connection.finish();
    Ok(())
}

/// The state of the stream in memory: the server's bytes, and those that were written to it.
#[derive(Debug, Default)]
struct Line {
    unread: VecDeque<u8>,
    written: Vec<u8>,
    /// The maximum length of one read or write.
    most: usize,
    /// A write that must not wait finds no room.
    full: bool,
    nonblocking: bool,
    open: bool,
}

#[derive(Clone, Debug, Default)]
struct Shared(Arc<Mutex<Line>>);

impl Shared {
    fn is_unread(&self) -> bool {
        !self.0.lock().unwrap().unread.is_empty()
    }
}

impl Stream for Shared {
    fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        let mut line = self.0.lock().unwrap();
        let most = buf.len().min(line.most);
        match io::Read::read(&mut line.unread, &mut buf[..most])? {
            // A read that may wait finds the end of the stream instead.
            0 if line.nonblocking => Err(io::ErrorKind::WouldBlock.into()),
            len => Ok(len),
        }
    }

    fn write(&self, buf: &[u8]) -> io::Result<usize> {
        let mut line = self.0.lock().unwrap();
        if line.full && line.nonblocking {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let len = buf.len().min(line.most);
        line.written.extend_from_slice(&buf[..len]);
        if !line.open && line.written.ends_with(b"\r\n\r\n") {
            let request = String::from_utf8(std::mem::take(&mut line.written)).unwrap();
            let (_, key) = request.split_once("Sec-WebSocket-Key: ").unwrap();
            let (key, _) = key.split_once("\r\n").unwrap();
            let accept = tungstenite::handshake::derive_accept_key(key.as_bytes());
            let answer = format!(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Accept: {accept}\r\n\r\n"
            );
            line.unread.extend(answer.as_bytes());
            line.open = true;
        }
        Ok(len)
    }

    fn set_read_timeout(&self, _: Option<Duration>) -> io::Result<()> {
        Ok(())
    }

    fn set_write_timeout(&self, _: Option<Duration>) -> io::Result<()> {
        Ok(())
    }

    fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.0.lock().unwrap().nonblocking = nonblocking;
        Ok(())
    }

    fn shutdown(&self, _: Shutdown) -> io::Result<()> {
        Ok(())
    }
}

/// A decoder alone, without a connection, and what it finds in the server's bytes.
struct Model {
    decoder: Decoder,
    /// The messages that the connection has not received yet.
    messages: VecDeque<Message>,
    pings: Vec<Vec<u8>>,
    end: Option<Result<CloseFrame, Violation>>,
}

impl Model {
    fn push(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && self.end.is_none() {
            bytes = &bytes[self.decoder.feed(bytes)..];
            if let Err(violation) = self.take() {
                self.end = Some(Err(violation));
            }
        }
    }

    fn take(&mut self) -> Result<(), Violation> {
        while let Some(found) = self.decoder.advance(DeliveryMode::Whole)? {
            match found {
                Found::Message { .. } => self.messages.push_back(self.decoder.take_message()?),
                Found::Ping { .. } => self.pings.push(self.decoder.control().to_owned()),
                Found::Pong { .. } => {}
                Found::Close { .. } => {
                    self.end = Some(Ok(self.decoder.close()));
                    return Ok(());
                }
                Found::Fragment { .. } => panic!("unexpected {found:?}"),
            }
        }
        Ok(())
    }
}

struct Connection {
    ws: WebSocket,
    line: Shared,
    model: Model,
    /// The error of receiving that ended the connection.
    ended: Option<String>,
    /// The number of written bytes that are checked.
    checked: usize,
    /// The messages that were sent, and not found in the written bytes yet.
    sent: VecDeque<Message>,
    /// The message of which only some fragments were found.
    open: Option<(MessageKind, Vec<u8>)>,
    /// The program abandoned a message half-way.
    abandoned: bool,
    /// The answer to the peer's Close waits until there is room.
    is_answering: bool,
    pings_sent: usize,
    pongs: Vec<Vec<u8>>,
    asked: Option<CloseCode>,
    close: Option<CloseFrame>,
}

impl Connection {
    fn new() -> Self {
        let line = Shared::default();
        line.0.lock().unwrap().most = usize::MAX;
        let ws = Builder::new()
            .keepalive(Keepalive::OFF)
            // The result must not depend on how fast this machine is.
            .write_timeout(None)
            .close_timeout(None)
            .max_message_size(MAX_MESSAGE)
            .max_fragments(16)
            .max_empty_fragments(4)
            .connect_over("ws://memory/", line.clone())
            .unwrap();
        let mut limits = Limits::default();
        limits.max_message_size = Some(MAX_MESSAGE);
        limits.max_fragments = Some(16);
        limits.max_empty_fragments = Some(4);
        Self {
            ws,
            line,
            model: Model {
                decoder: Decoder::new(limits),
                messages: VecDeque::new(),
                pings: Vec::new(),
                end: None,
            },
            ended: None,
            checked: 0,
            sent: VecDeque::new(),
            open: None,
            abandoned: false,
            is_answering: false,
            pings_sent: 0,
            pongs: Vec::new(),
            asked: None,
            close: None,
        }
    }

    fn serve(&mut self, bytes: &[u8]) {
        self.line.0.lock().unwrap().unread.extend(bytes);
        self.model.push(bytes);
    }

    /// Checks that a call that sends fails only if the connection is over or is being closed.
    fn is_done(&self, done: Result<(), Error>) -> bool {
        if let Err(error) = &done {
            assert!(matches!(error, Error::Closed(_)), "{error:?}");
            let is_closing = self.asked.is_some() || self.abandoned || self.is_answering;
            let over = self.ended.is_some() || is_closing;
            assert!(over, "refused on an open connection");
        }
        done.is_ok()
    }

    fn send(&mut self, len: usize) {
        let message = vec![7; len];
        if self.is_done(self.ws.send(&message[..])) {
            self.sent.push_back(Message::Binary(message));
        }
    }

    fn batch(&mut self, count: usize, len: usize) {
        let text = "t".repeat(len);
        if self.is_done(self.ws.sender().send_all(vec![&text[..]; count])) {
            self.sent.extend(vec![Message::Text(text); count]);
        }
    }

    /// Writes a message in several parts, and finishes or abandons it.
    fn write(&mut self, input: &mut Unstructured<'_>) -> arbitrary::Result<()> {
        let sender = self.ws.sender();
        let mut writer = match sender.writer(MessageKind::Binary) {
            Ok(writer) => writer,
            Err(error) => {
                self.is_done(Err(error));
                return Ok(());
            }
        };
        let mut message = Vec::new();
        let mut failed = false;
        let mut begun = false;
        for _ in 0..input.int_in_range(0..=4)? {
            let most = *input.choose(&[10, 200, 70_000])?;
            let part = vec![input.arbitrary()?; input.int_in_range(0..=most)?];
            failed |= io::Write::write_all(&mut writer, &part).is_err();
            begun |= message.len() + part.len() >= 64 * 1024;
            message.extend(part);
            if input.arbitrary()? {
                failed |= io::Write::flush(&mut writer).is_err();
                begun |= !message.is_empty();
            }
        }
        if input.arbitrary()? {
            let done = writer.finish();
            if !failed && self.is_done(done) {
                self.sent.push_back(Message::Binary(message));
            }
        } else {
            drop(writer);
            self.abandoned |= begun && !failed;
        }
        Ok(())
    }

    fn ping(&mut self, len: usize) {
        match self.ws.ping(&vec![1; len]) {
            Err(Error::InvalidInput(_)) => assert!(len > 125),
            done => {
                assert!(len <= 125);
                self.pings_sent += usize::from(self.is_done(done));
            }
        }
    }

    fn close(&mut self, code: CloseCode) {
        match self.ws.sender().close(code) {
            Err(Error::InvalidInput(_)) => assert!(!CloseFrame::from(code).is_sendable()),
            done => {
                if self.is_done(done) {
                    self.asked = Some(code);
                }
            }
        }
    }

    /// Receives all messages that have arrived, and the end if the model found one.
    fn receive_all(&mut self) {
        loop {
            match self.ws.try_recv() {
                Ok(Some(message)) => self.received(message),
                // `try_recv` does not wait for bytes that keep arriving: call it again.
                Ok(None) if self.line.is_unread() && self.ws.has_more() => {}
                Ok(None) => break self.idle(),
                Err(error) => break self.failed(&error),
            }
        }
    }

    fn receive_event(&mut self) {
        let message = loop {
            match self.ws.next_event_timeout(Duration::ZERO) {
                Ok(Event::Text(text)) => break Message::Text(text.to_owned()),
                Ok(Event::Binary(bytes)) => break Message::Binary(bytes.to_owned()),
                Ok(Event::Ping(payload)) => {
                    return assert!(self.model.pings.iter().any(|p| p == payload));
                }
                Ok(Event::Pong(_)) => return,
                Ok(event) => panic!("unexpected {event:?}"),
                Err(Error::Timeout(Timeout::Recv)) => {}
                Err(error) => return self.failed(&error),
            }
            // It does not wait for bytes that keep arriving: call it again.
            if !self.line.is_unread() || !self.ws.has_more() {
                return self.idle();
            }
        };
        self.received(message);
    }

    fn received(&mut self, message: Message) {
        assert!(self.ended.is_none(), "a message after the end");
        super::note(&message);
        assert_eq!(Some(message), self.model.messages.pop_front());
    }

    /// Checks the state after all that came is received, and nothing ended the connection.
    fn idle(&mut self) {
        assert!(self.ended.is_none(), "an end that did not last");
        assert!(self.model.messages.is_empty(), "messages that were not handed out");
        let is_full = self.line.0.lock().unwrap().full;
        // The answer to the peer's Close waits until there is room.
        self.is_answering = self.model.end.is_some();
        assert!(!self.is_answering || is_full && matches!(self.model.end, Some(Ok(_))));
        self.check_sent();
        let is_closing = self.asked.is_some() || self.abandoned;
        if !is_closing && !is_full {
            assert_eq!(self.pongs.last(), self.model.pings.last(), "the latest Ping is answered");
        }
    }

    fn failed(&mut self, error: &Error) {
        let said = format!("{error:?}");
        if let Some(before) = &self.ended {
            return assert_eq!(*before, said, "another end");
        }
        let left = self.model.messages.len();
        assert!(left == 0, "{left} messages were not handed out before {error:?}");
        match (&self.model.end, error) {
            (Some(Err(violation)), Error::Protocol(said)) => assert_eq!(violation, said),
            (Some(Ok(close)), Error::Closed(closed)) => {
                // Only a Close that the stream took counts as sent.
                assert!(closed.is_clean() || self.line.0.lock().unwrap().full);
                assert_eq!(closed.is_clean(), closed.local().is_some());
                assert_eq!(closed.peer(), Some(close));
            }
            (end, error) => panic!("{end:?}, but {error:?}"),
        }
        super::note(&said);
        self.ended = Some(said);
    }

    /// Reads what was written as a server would.
    fn check_sent(&mut self) {
        let line = self.line.0.lock().unwrap();
        while let Some((header, taken)) = Header::decode(&line.written[self.checked..]).unwrap() {
            let start = self.checked + taken;
            let len = usize::try_from(header.len).unwrap();
            // The frame found no room half-way, and goes on later.
            let Some(masked) = line.written.get(start..start + len) else { break };
            let key = header.mask.expect("clients mask");
            let payload = masked.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key);
            let payload: Vec<u8> = payload.collect();
            if header.opcode != Opcode::Pong {
                // On a slow processor there are more pauses in which a Pong is sent.
                super::note(&(header.opcode, header.fin, header.len));
            }
            assert_eq!(header.rsv, 0);
            assert_eq!(self.close, None, "{:?} after the Close", header.opcode);
            self.checked = start + len;
            match header.opcode {
                Opcode::Close => self.close = Some(decode_close(&payload).unwrap()),
                Opcode::Ping => self.pings_sent -= 1,
                Opcode::Pong => self.pongs.push(payload),
                Opcode::Text | Opcode::Binary => {
                    assert!(self.open.is_none(), "a message within another");
                    let text = header.opcode == Opcode::Text;
                    let kind = if text { MessageKind::Text } else { MessageKind::Binary };
                    self.open = Some((kind, payload));
                }
                _ => {
                    self.open.as_mut().expect("a message to continue").1.extend(payload);
                }
            }
            if header.fin && !header.opcode.is_control() {
                let sent = match self.open.take().unwrap() {
                    (MessageKind::Text, bytes) => Message::Text(String::from_utf8(bytes).unwrap()),
                    (MessageKind::Binary, bytes) => Message::Binary(bytes),
                };
                assert!(Some(sent) == self.sent.pop_front(), "another message, or another order");
            }
        }
        drop(line);
        assert!(self.sent.is_empty(), "a message that was sent is not on the wire");
        assert!(self.open.is_none() || self.abandoned, "a message without an end");
        let mut pings = self.model.pings.iter();
        let in_order = self.pongs.iter().all(|pong| pings.any(|ping| ping == pong));
        assert!(in_order, "Pongs answer Pings in their order");
    }

    /// Checks that the connection can be closed, whatever happened, and tells how it ended.
    fn finish(mut self) {
        self.line.0.lock().unwrap().full = false;
        let before = self.ws.closed().cloned();
        let closed = self.ws.close(CloseCode::NORMAL).unwrap();
        super::note(&closed);
        if let Some(before) = before {
            assert_eq!(format!("{before:?}"), format!("{closed:?}"), "the end is final");
        }
        self.check_sent();
        let written = self.line.0.lock().unwrap().written.len();
        assert_eq!(self.checked, written, "a whole number of frames");
        let close = self.close.as_ref().expect("a Close was sent");
        if let Some(asked) = self.asked {
            assert_eq!(close.code, Some(asked), "the first Close is the one that is sent");
        } else if self.abandoned {
            assert_eq!(close.code, Some(CloseCode::INTERNAL_ERROR));
        } else {
            // The code of our own close, or the one that answers the server, whichever came first.
            let due = match &self.model.end {
                Some(Ok(close)) => close.code,
                Some(Err(violation)) => Some(violation.close_code()),
                None => None,
            };
            assert!(close.code == Some(CloseCode::NORMAL) || close.code == due, "{close:?}");
        }
        let is_answered = closed.local().is_some() && matches!(self.model.end, Some(Ok(_)));
        assert_eq!(closed.is_clean(), is_answered, "{closed:?}");
        assert!(self.ws.send("late").is_err());
    }
}
