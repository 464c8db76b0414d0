//! Sending, from any thread.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::outgoing::{self, Outgoing, Then, opcode};
use super::wire::{LogsSent, PIECE, Turn, Wire};
use crate::error::{Error, InvalidInput};
use crate::proto::close::CloseFrame;
#[cfg(feature = "deflate")]
use crate::proto::deflate::DeflateParameters;
use crate::proto::frame::{MAX_CONTROL_PAYLOAD, Opcode};
use crate::proto::http::Response;
use crate::proto::message::{AsMessage, MessageRef};
use crate::proto::recv::Kind;
use crate::proto::utf8::Utf8;

/// The sending half of a connection. Clone it, and send from any thread, also while another one
/// receives: messages go out whole, one after the other.
///
/// `write_timeout` bounds each call, from when its turn comes, and how long that takes. A call
/// that fails or times out half-way ends the connection: whatever is sent later fails, and
/// nothing is swallowed.
#[derive(Clone)]
pub struct Sender {
    wire: Arc<Wire>,
}

impl Sender {
    pub(crate) fn new(wire: Arc<Wire>) -> Self {
        Self { wire }
    }

    /// Sends a message, in one frame. Returns when the system has taken all of it.
    ///
    /// Strings are sent as text, bytes as binary; both are masked in a buffer of at most 256 KiB,
    /// so that a message needs no memory to speak of beyond its own.
    ///
    /// If compression was agreed on, a message of at least the minimum size is compressed. What is
    /// longer than 64 KiB then goes out in fragments of that size, between which pongs may go.
    ///
    /// A peer that does not like a message, because it is too big for example, often closes with
    /// the reason and resets the connection. Then the error here only says that the connection is
    /// lost, and [`recv`](crate::Receiver::recv), or another of its siblings, tells the code and the
    /// reason.
    ///
    /// # Errors
    /// [`Error::Closed`] when the connection is over, or is being closed;
    /// [`Timeout::Send`](crate::Timeout::Send) when the peer does not take it in time: then it is
    /// over; or when its turn does not come in time: then nothing was sent, and it goes on.
    pub fn send(&self, message: impl AsMessage) -> Result<(), Error> {
        let message = message.as_message();
        let _log = self.wire.logs_sent();
        let _turn = self.wire.turn()?;
        #[cfg(feature = "deflate")]
        if self.wire.deflation.is_some() {
            let bytes = message.as_bytes();
            let mut outgoing = Outgoing::compressed(&self.wire, message.kind(), Some(bytes.len()));
            return outgoing.write(bytes, Then::End);
        }
        self.write(message)
    }

    /// Sends a message as it is, whatever was agreed on: one that does not compress, or holds a
    /// secret next to what others can choose.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    #[cfg(feature = "deflate")]
    pub fn send_uncompressed(&self, message: impl AsMessage) -> Result<(), Error> {
        let message = message.as_message();
        let _log = self.wire.logs_sent();
        let _turn = self.wire.turn()?;
        self.write(message)
    }

    fn write(&self, message: MessageRef<'_>) -> Result<(), Error> {
        self.wire.write(&mut None, |out, deadline| {
            let opcode = opcode(message.kind());
            self.wire.put(out, opcode, true, false, message.as_bytes(), deadline)
        })
    }

    /// Sends many messages with as few system calls, and TLS records, as they fit in: one for each
    /// 64 KiB of them. No other message comes between them; pongs may.
    ///
    /// ```no_run
    /// # let ws = landline::connect("ws://localhost")?;
    /// ws.sender().batch(["one", "two", "three"])?;
    /// # Ok::<(), landline::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`send`](Self::send); a part of the messages may have been sent then.
    pub fn batch<M: AsMessage>(&self, messages: impl IntoIterator<Item = M>) -> Result<(), Error> {
        // The iterator is the caller's: it must not run while the wire is locked.
        let messages: Vec<_> = messages.into_iter().collect();
        let messages: Vec<_> = messages.iter().map(AsMessage::as_message).collect();
        let _log = self.wire.logs_sent();
        let _turn = self.wire.turn()?;
        outgoing::batch(&self.wire, &messages)
    }

    /// Begins a message that is written piece by piece, as fragments. Other messages wait until
    /// it is finished, also those of the same thread; pings, pongs and Close go between its
    /// fragments. If compression was agreed on, it is compressed.
    ///
    /// ```no_run
    /// # use std::io::Write as _;
    /// # let ws = landline::connect("ws://localhost")?;
    /// # let sender = ws.sender();
    /// let mut writer = sender.writer(landline::Kind::Text)?;
    /// write!(writer, "as much as {}", "you like").unwrap();
    /// writer.finish()?;
    /// # Ok::<(), landline::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn writer(&self, kind: Kind) -> Result<MessageWriter<'_>, Error> {
        let turn = self.wire.turn()?;
        #[cfg(feature = "deflate")]
        let outgoing = Outgoing::compressed(&self.wire, kind, None);
        #[cfg(not(feature = "deflate"))]
        let outgoing = Outgoing::new(&self.wire, kind);
        let (utf8, buffer, log) = (Utf8::default(), Vec::new(), self.wire.logs_sent());
        Ok(MessageWriter { outgoing, _turn: turn, kind, utf8, buffer, _log: log })
    }

    /// Sends a Ping. The Pong comes as an [`Event`](crate::Event).
    ///
    /// # Errors
    /// [`InvalidInput::ControlTooLong`] over 125 bytes; else as [`send`](Self::send).
    pub fn ping(&self, payload: &[u8]) -> Result<(), Error> {
        self.control(Opcode::Ping, payload)
    }

    /// Sends a Pong that answers nothing (RFC 6455 section 5.5.3). Pings are answered anyway.
    ///
    /// # Errors
    /// [`InvalidInput::ControlTooLong`] over 125 bytes; else as [`send`](Self::send).
    pub fn pong(&self, payload: &[u8]) -> Result<(), Error> {
        self.control(Opcode::Pong, payload)
    }

    fn control(&self, opcode: Opcode, payload: &[u8]) -> Result<(), Error> {
        if payload.len() > MAX_CONTROL_PAYLOAD {
            return Err(InvalidInput::ControlTooLong.into());
        }
        let _log = self.wire.logs_sent();
        self.wire.write_control(opcode, payload)
    }

    /// Begins the closing handshake: sends Close, after the frame that is being written if there
    /// is one. Whoever is in `recv` sees it through, is told the end, and cuts the connection
    /// after `close_timeout`; if the receiver is gone, it ends when the last sender is dropped. To
    /// do both here, use [`WebSocket::close`](crate::WebSocket::close).
    ///
    /// While no thread is in `recv` this does not wait for the peer, because the caller may be the
    /// one that receives: if the peer does not take the Close at once, the next `recv` sends it.
    ///
    /// Nothing can be sent after it. What the peer sends until its own Close is still received, by
    /// [`recv`](crate::Receiver::recv) and its siblings; the [`Handler`](crate::Handler) of an
    /// [`App`](crate::App) is told the end only.
    ///
    /// # Errors
    /// [`InvalidInput::Close`] for a code or reason that must not be sent: nothing happens then.
    /// [`Error::Closed`] when the connection is over, or is being closed already.
    pub fn close(&self, close: impl Into<CloseFrame>) -> Result<(), Error> {
        let _log = self.wire.logs_sent();
        self.wire.close(close.into())
    }

    /// Ends the connection at once, without a closing handshake, and wakes whoever blocks in it.
    pub fn abort(&self) {
        self.wire.abort();
    }

    /// As if it were the last that is dropped.
    pub(crate) fn leave(&self) {
        self.wire.leave();
    }

    pub(crate) fn give_up(&self, why: &str) {
        self.wire.give_up(why);
    }

    /// Whether messages can still be sent, as far as is known here.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.wire.ending.is_open()
    }

    /// Whether this side ends the connection, by a Close or an abort.
    pub(crate) fn is_closing(&self) -> bool {
        self.wire.ending.is_closing()
    }

    /// The server's answer to the opening handshake.
    #[must_use]
    pub fn response(&self) -> &Response {
        &self.wire.response
    }

    /// The subprotocol that the server chose, if any.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.wire.subprotocol.as_deref()
    }

    /// What was agreed on with the server about compression; `None` if messages are not
    /// compressed.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn deflate(&self) -> Option<DeflateParameters> {
        self.wire.deflation.as_ref().map(|deflation| deflation.parameters)
    }

    /// The round-trip time of the last keepalive ping that was answered; `None` before the first.
    #[must_use]
    pub fn latency(&self) -> Option<Duration> {
        self.wire.latency()
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("stream", &self.wire.duplex).finish()
    }
}

/// Writes one message piece by piece: [`Sender::writer`]. `flush` ends a fragment;
/// [`finish`](Self::finish) ends the message.
///
/// Without a `flush`, a fragment is sent for each 64 KiB. A fragment of text ends between two
/// characters then, as some peers take no others, though RFC 6455 section 5.6 allows them; `flush`
/// ends it where it is called.
///
/// Dropped without `finish`, a message that has begun cannot be completed: the connection is then
/// closed with 1011, so that the peer never takes the part for the whole. While another thread is
/// receiving, or after the receiver is dropped, dropping the writer waits until the peer takes that
/// Close, at most for `close_timeout`. Otherwise it does not wait, and the next call that receives
/// sends what the peer did not take at once. An [`App`](crate::App) connects again after that.
#[must_use]
pub struct MessageWriter<'a> {
    // Dropped in this order: an abandoned message is dealt with before the next one's turn.
    outgoing: Outgoing<'a>,
    _turn: Turn<'a>,
    kind: Kind,
    utf8: Utf8,
    buffer: Vec<u8>,
    /// After the locks.
    _log: LogsSent<'a>,
}

impl MessageWriter<'_> {
    /// Writes the message as it is, whatever was agreed on; call it before anything is written.
    ///
    /// ```no_run
    /// # let ws = landline::connect("ws://localhost")?;
    /// # let sender = ws.sender();
    /// let mut writer = sender.writer(landline::Kind::Binary)?.uncompressed();
    /// # Ok::<(), landline::Error>(())
    /// ```
    #[cfg(feature = "deflate")]
    pub fn uncompressed(mut self) -> Self {
        self.outgoing.leave_uncompressed();
        self
    }

    /// Ends the message.
    ///
    /// # Errors
    /// As [`Sender::send`]; [`InvalidInput::Text`] when a text message ends within a character, and
    /// nothing of it was sent. The connection stays usable then.
    ///
    /// When a part of it was sent already, a message that cannot be ended leaves nothing but to
    /// close the connection, with 1011: that is [`Error::Closed`], whose
    /// [`local`](crate::Closed::local) Close says why.
    pub fn finish(mut self) -> Result<(), Error> {
        if self.utf8.finish().is_err() {
            let closed = self.outgoing.abandon("the text ends within a character");
            return Err(closed.unwrap_or_else(|| InvalidInput::Text.into()));
        }
        self.outgoing.write(&self.buffer, Then::End)
    }

    fn pass_on(&mut self, then: Then) -> io::Result<()> {
        // Some peers take no fragment that ends within a character (Qt 6.4 closes with 1007). Where
        // the caller flushes is his choice.
        let held = if then == Then::More { self.utf8.incomplete() } else { 0 };
        let len = self.buffer.len() - held;
        let done = self.outgoing.write(&self.buffer[..len], then);
        self.buffer.drain(..len);
        done.map_err(io::Error::other)
    }
}

impl io::Write for MessageWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = PIECE - self.buffer.len();
        let bytes = &bytes[..bytes.len().min(room)];
        if self.kind == Kind::Text {
            // Bytes that are refused are as if they had not been written.
            let mut utf8 = self.utf8.clone();
            utf8.check(bytes).map_err(|_| not_utf8())?;
            self.utf8 = utf8;
        }
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() == PIECE {
            self.pass_on(Then::More)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.pass_on(Then::Flush)
    }
}

impl fmt::Debug for MessageWriter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageWriter").field("kind", &self.kind).finish_non_exhaustive()
    }
}

fn not_utf8() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "text must be UTF-8")
}
