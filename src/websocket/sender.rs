//! Sending, from any thread.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::outgoing::{self, Flush, Outgoing};
use super::wire::Wire;
use super::write_lock::Frame;
use super::writer::MessageWriter;
use crate::error::{Error, InvalidInput};
use crate::proto::close::CloseFrame;
use crate::proto::frame::{MAX_CONTROL_PAYLOAD, Opcode};
use crate::proto::http::Response;
use crate::proto::message::{AsMessage, MessageKind, MessageRef};

/// The sending half of a connection. Clone it, and send from any thread, also while another one
/// receives. Messages are sent whole, one after the other.
///
/// `write_timeout` bounds each call from the moment no other send is in progress. Waiting for that
/// moment is bounded by the same duration. A call that fails or times out half-way ends the
/// connection: whatever is sent later fails, and nothing is lost without an error.
#[derive(Clone)]
pub struct Sender {
    pub(super) wire: Arc<Wire>,
}

impl Sender {
    pub(crate) fn new(wire: Arc<Wire>) -> Self {
        Self { wire }
    }

    /// Sends a message, in one frame. Returns when the system has taken all of it.
    ///
    /// Strings are sent as text, bytes as binary. Both are masked in a buffer of at most 256 KiB, so
    /// that a big message is not copied whole.
    ///
    /// If compression was agreed on, a message of at least the minimum size is compressed. If it is
    /// longer than 64 KiB then, it is sent in fragments of that size, and pongs may go between them.
    ///
    /// A peer that does not like a message, because it is too big for example, often closes with
    /// the reason and resets the connection. Then the error here only says that the connection is
    /// lost, and [`recv`](crate::Receiver::recv), or another method that receives, returns the code
    /// and the reason.
    ///
    /// # Errors
    /// [`Error::Closed`] when the connection is over, or is being closed;
    /// [`Timeout::Send`](crate::Timeout::Send) when the peer does not take the message in time: the
    /// connection is over then. [`Timeout::Busy`](crate::Timeout::Busy) when other threads do not
    /// finish sending in time: nothing was sent then, and the connection goes on, as after
    /// [`Error::Local`].
    pub fn send(&self, message: impl AsMessage) -> Result<(), Error> {
        let message = message.as_message();
        let _log = self.wire.logs_sent();
        let _lock = self.wire.lock_message()?;
        if self.wire.deflation.is_some() {
            let bytes = message.as_bytes();
            let mut outgoing = Outgoing::new(&self.wire, message.kind(), Some(bytes.len()));
            return outgoing.write(bytes, Flush::Finish);
        }
        self.write(message)
    }

    /// Sends a message as it is. The caller holds the message lock.
    pub(super) fn write(&self, message: MessageRef<'_>) -> Result<(), Error> {
        self.wire.write_frame(Frame::whole(message), self.wire.write_deadline())
    }

    /// Sends many messages with one system call, or a few TLS records, for each 64 KiB of them. No
    /// other message comes between them; pongs may.
    ///
    /// ```no_run
    /// # let ws = landline::connect("ws://localhost")?;
    /// ws.send_all(["one", "two", "three"])?;
    /// # Ok::<(), landline::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`send`](Self::send); a part of the messages may have been sent then.
    pub fn send_all<M: AsMessage>(
        &self,
        messages: impl IntoIterator<Item = M>,
    ) -> Result<(), Error> {
        // The iterator is the caller's: it must not run while a lock is held.
        let messages: Vec<_> = messages.into_iter().collect();
        let messages: Vec<_> = messages.iter().map(AsMessage::as_message).collect();
        let _log = self.wire.logs_sent();
        let _lock = self.wire.lock_message()?;
        outgoing::batch(&self.wire, &messages)
    }

    /// Begins a message that is written in fragments. Other messages wait until it is finished, also
    /// those of the same thread; pings, pongs and Close go between its fragments. If compression was
    /// agreed on, it is compressed.
    ///
    /// ```no_run
    /// # use std::io::Write as _;
    /// # let ws = landline::connect("ws://localhost")?;
    /// let mut writer = ws.writer(landline::MessageKind::Text)?;
    /// write!(writer, "as much as {}", "you like").unwrap();
    /// writer.finish()?;
    /// # Ok::<(), landline::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn writer(&self, kind: MessageKind) -> Result<MessageWriter<'_>, Error> {
        MessageWriter::new(&self.wire, kind)
    }

    /// Sends a Ping. The Pong comes as an [`Event`](crate::Event).
    ///
    /// # Errors
    /// [`InvalidInput::ControlTooLong`] over 125 bytes; else as [`send`](Self::send).
    pub fn ping(&self, payload: &[u8]) -> Result<(), Error> {
        self.control(Opcode::Ping, payload)
    }

    /// Sends a Pong that answers no Ping (RFC 6455 section 5.5.3). Pings are answered without it.
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
    /// is one. The thread in `recv` completes it, returns how the connection ended, and cuts the
    /// connection after `close_timeout`. If the receiver is gone, the connection ends when the last
    /// sender is dropped. To do both here, use
    /// [`WebSocket::close`](crate::WebSocket::close) or [`Receiver::close`](crate::Receiver::close).
    ///
    /// While no thread is in `recv` this does not wait for the peer, because the caller may be the
    /// one that receives: if the peer does not take the Close at once, the next `recv` sends it.
    ///
    /// Nothing can be sent after it. What the peer sends until its own Close is still received, by
    /// [`recv`](crate::Receiver::recv) and the other methods that receive; the
    /// [`Handler`](crate::Handler) of an [`App`](crate::App) is told the end only.
    ///
    /// # Errors
    /// [`InvalidInput::Close`] for a code or reason that must not be sent: nothing happens then.
    /// [`Error::Closed`] when the connection is over, or is being closed already.
    pub fn close(&self, close: impl Into<CloseFrame>) -> Result<(), Error> {
        let _log = self.wire.logs_sent();
        self.wire.close(close.into())
    }

    /// Ends the connection at once, without a closing handshake, and wakes all threads that
    /// block in it.
    pub fn abort(&self) {
        self.wire.abort();
    }

    /// Ends the connection as if this were the last sender, and it were dropped.
    pub(crate) fn leave(&self) {
        self.wire.leave();
    }

    pub(crate) fn give_up(&self, why: &str) {
        self.wire.give_up(why);
    }

    /// Returns whether messages can still be sent, as far as is known here.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.wire.close_state.is_open()
    }

    /// Returns whether this side ends the connection, by a Close or an abort.
    pub(crate) fn is_closing(&self) -> bool {
        self.wire.close_state.is_closing()
    }

    /// Returns the server's answer to the opening handshake.
    #[must_use]
    pub fn response(&self) -> &Response {
        &self.wire.response
    }

    /// Returns the subprotocol that the server chose, if any.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.wire.subprotocol.as_deref()
    }

    /// Returns the round-trip time of the last keepalive ping that was answered; `None` before the
    /// first.
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
