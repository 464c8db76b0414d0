//! Sending, from any thread.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::outgoing::{self, Flush, Outgoing};
use super::wire::{OnSent, Wire};
use super::writer::MessageWriter;
use crate::error::{Closed, Error, InvalidInput};
use crate::net::stopwatch::Timings;
use crate::proto::close::CloseFrame;
use crate::proto::frame::{MAX_CONTROL_PAYLOAD, Opcode};
use crate::proto::http::Response;
use crate::proto::message::{AsMessage, MessageKind};

/// Sends messages: the sending half of a connection. Clone it, and send from any thread, also while
/// another thread receives. Messages are sent whole, one after the other.
///
/// [`write_timeout`](crate::Builder::write_timeout) (30 s by default) bounds each call, from the
/// moment no other thread is sending. Waiting for that moment is bounded by the same duration. A
/// write that fails or times out half-way ends the connection. Then each later call fails, and no
/// message is lost without an error. The guide [`sending`](crate::guide::sending) tells how to send
/// without waiting.
///
/// Dropping a `Sender` never blocks. When the receiver and the last sender are dropped, a Close
/// with 1001 is sent if the system takes it at once.
///
/// # Examples
/// ```no_run
/// let mut ws = landline::connect("wss://example.com/chat")?;
/// let sender = ws.sender();
/// let thread = std::thread::spawn(move || sender.send("from another thread"));
/// println!("{:?}", ws.recv()?);
/// thread.join().expect("the thread does not panic")?;
/// # Ok::<(), landline::Error>(())
/// ```
#[derive(Clone)]
pub struct Sender {
    pub(super) wire: Arc<Wire>,
}

impl Sender {
    pub(crate) fn new(wire: Arc<Wire>) -> Self {
        Self { wire }
    }

    /// Sends a message in one frame. Returns when the system has taken all of it.
    ///
    /// Strings are sent as text, bytes as binary. Both are masked in a buffer of at most 256 KiB,
    /// so a big message is not copied whole.
    ///
    /// If compression was agreed on, a message of at least the minimum size is compressed. If the
    /// compressed message is longer than 64 KiB, it is sent in fragments of that size, and pongs
    /// may go between them.
    ///
    /// A peer that refuses a message, because it is too big for example, often closes with the
    /// reason and resets the connection. Then the error here only says that the connection is lost.
    /// The next call that receives returns the code and the reason.
    ///
    /// # Errors
    /// * [`Error::Closed`]: the connection is over, or is being closed.
    /// * [`Timeout::Send`](crate::Timeout::Send): the peer did not take the message within
    ///   `write_timeout`. The connection is over.
    /// * [`Timeout::Busy`](crate::Timeout::Busy): other threads did not finish sending within
    ///   `write_timeout`. Nothing was sent, and the connection goes on.
    /// * [`Error::Local`]: this machine could not prepare the message. Nothing was sent, and the
    ///   connection goes on. If fragments of the message were sent already, the connection is
    ///   closed with 1011 instead, and the error is [`Error::Closed`].
    #[doc(alias = "write_message")]
    pub fn send(&self, message: impl AsMessage) -> Result<(), Error> {
        let message = message.as_message();
        let _log = self.wire.sent_log.guard();
        if self.wire.deflation.is_some() {
            let _lock = self.wire.lock_message()?;
            let bytes = message.as_bytes();
            let mut outgoing = Outgoing::new(&self.wire, message.kind(), Some(bytes.len()));
            return outgoing.write(bytes, Flush::Finish);
        }
        self.wire.write_message(message)
    }

    /// Sends many messages with one system call, or a few TLS records, for each 64 KiB of them. No
    /// other message goes between them; pongs may. `write_timeout` holds for all of them together.
    ///
    /// # Examples
    /// ```no_run
    /// let ws = landline::connect("wss://example.com/log")?;
    /// ws.send_all(["one", "two", "three"])?;
    /// # Ok::<(), landline::Error>(())
    /// ```
    ///
    /// # Errors
    /// The same as [`send`](Self::send). The first messages may have been sent, also when the
    /// connection goes on.
    pub fn send_all<M: AsMessage>(
        &self,
        messages: impl IntoIterator<Item = M>,
    ) -> Result<(), Error> {
        // The iterator is the caller's: it must not run while a lock is held.
        let messages: Vec<_> = messages.into_iter().collect();
        let messages: Vec<_> = messages.iter().map(AsMessage::as_message).collect();
        let _log = self.wire.sent_log.guard();
        let _lock = self.wire.lock_message()?;
        outgoing::batch(&self.wire, &messages)
    }

    /// Begins a message that is written bit by bit, and sent in fragments (RFC 6455 section 5.4).
    /// If compression was agreed on, the message is compressed.
    /// [`send_reader`](Self::send_reader) sends what a reader gives, if its length is known.
    ///
    /// Other messages wait until this one is finished. So do not send another message from the same
    /// thread before that: the call would wait for `write_timeout`, and then fail. Pings, pongs and
    /// a Close go between the fragments.
    ///
    /// # Examples
    /// ```no_run
    /// use std::io::Write as _;
    ///
    /// let ws = landline::connect("wss://example.com/log")?;
    /// let mut writer = ws.writer(landline::MessageKind::Text)?;
    /// for number in 0..1_000_000 {
    ///     writeln!(writer, "line {number}")?;
    /// }
    /// writer.finish()?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// While another message is being sent: [`Timeout::Busy`](crate::Timeout::Busy) when that takes
    /// longer than `write_timeout`, and [`Error::Closed`] when the connection ends meanwhile.
    /// Otherwise a connection that is over shows in the first write.
    pub fn writer(&self, kind: MessageKind) -> Result<MessageWriter<'_>, Error> {
        MessageWriter::new(&self.wire, kind)
    }

    /// Sends a Ping with a payload of at most 125 bytes (RFC 6455 section 5.5.2). The peer's Pong
    /// is an [`Event::Pong`](crate::Event::Pong). Keepalive pings are sent without this method.
    ///
    /// # Errors
    /// [`InvalidInput::ControlTooLong`] if the payload is longer; otherwise the same as
    /// [`send`](Self::send).
    pub fn ping(&self, payload: &[u8]) -> Result<(), Error> {
        self.control(Opcode::Ping, payload)
    }

    /// Sends a Pong with a payload of at most 125 bytes, which need not answer a Ping (RFC 6455
    /// section 5.5.3). Pings are answered without this method, unless
    /// [`auto_pong`](crate::Builder::auto_pong) is off.
    ///
    /// # Errors
    /// [`InvalidInput::ControlTooLong`] if the payload is longer; otherwise the same as
    /// [`send`](Self::send).
    pub fn pong(&self, payload: &[u8]) -> Result<(), Error> {
        self.control(Opcode::Pong, payload)
    }

    fn control(&self, opcode: Opcode, payload: &[u8]) -> Result<(), Error> {
        if payload.len() > MAX_CONTROL_PAYLOAD {
            return Err(InvalidInput::ControlTooLong.into());
        }
        let _log = self.wire.sent_log.guard();
        self.wire.write_control(opcode, payload)
    }

    /// Begins the closing handshake (RFC 6455 section 7.1.2): sends a Close, after the frame that
    /// is being written if there is one.
    ///
    /// The thread in `recv` completes the handshake and returns how the connection ended. It cuts
    /// the connection after [`close_timeout`](crate::Builder::close_timeout) (5 s by default), and
    /// at most 2 s later if it is slow to take what has arrived in time. If the receiver is gone,
    /// the connection ends when the last sender is dropped. To begin and complete the handshake in
    /// one call, use [`WebSocket::close`](crate::WebSocket::close) or
    /// [`Receiver::close`](crate::Receiver::close).
    ///
    /// While no thread is in `recv`, this call does not wait for the peer, because the caller may
    /// be the thread that receives. If the peer does not take the Close at once, the next `recv`
    /// sends it. If a thread is in `recv`, or the receiver was dropped, this call waits until the
    /// peer takes the Close, for at most `close_timeout` or `write_timeout`, whichever is shorter.
    /// But while another thread is inside a call that sends, it is that thread which sends the
    /// Close.
    ///
    /// Nothing can be sent after the Close. The messages that the peer sends before its own Close
    /// are still received, by [`recv`](crate::Receiver::recv) and the other methods that receive.
    /// The [`Handler`](crate::Handler) of an [`App`](crate::App) gets only the end.
    ///
    /// # Errors
    /// * [`InvalidInput::Close`]: the code or the reason must not be sent. Nothing happens.
    /// * [`Error::Closed`]: the connection is over, or is being closed already.
    ///
    /// A Close that cannot be written is no error here: `recv` returns why.
    pub fn close(&self, close: impl Into<CloseFrame>) -> Result<(), Error> {
        let _log = self.wire.sent_log.guard();
        self.wire.close(close.into())
    }

    /// Ends the connection at once, without a closing handshake, and wakes all threads that block
    /// in it. Their errors have the cause [`Aborted`](crate::error::Cause::Aborted), unless the
    /// connection was over before.
    pub fn abort(&self) {
        self.wire.abort();
    }

    /// Calls `call` whenever messages or control frames were written: see [`OnSent`]. Only the
    /// first call of this method counts.
    pub(crate) fn on_sent(&self, call: impl Fn(usize) + Send + Sync + 'static) {
        self.wire.on_sent.get_or_init(|| OnSent(Box::new(call)));
    }

    /// Ends the connection as dropping its last half does, also for a receiver that lives on.
    pub(crate) fn leave(&self) {
        self.wire.leave();
        self.wire.close_state.finish(self.so_far().cause().clone());
    }

    /// Closes the connection with 1011 and this reason.
    pub(crate) fn give_up(&self, why: &str) {
        let _log = self.wire.sent_log.guard();
        self.wire.give_up(why);
    }

    /// Returns whether messages can still be sent, as far as is known here: neither side has closed
    /// or aborted the connection, and no write has failed. A lost peer is noticed only while a
    /// thread receives or sends.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.wire.close_state.is_open()
    }

    /// Returns whether both senders belong to the same connection.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.wire, &other.wire)
    }

    /// Returns how the connection ended, or its state so far.
    pub(crate) fn so_far(&self) -> Closed {
        self.wire.close_state.so_far()
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

    /// Returns the subprotocol that the server chose; `None` if it chose none.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.wire.subprotocol.as_deref()
    }

    /// Returns how long it took to open the connection, step by step.
    #[must_use]
    pub fn timings(&self) -> Timings {
        self.wire.spent.timings()
    }

    /// Returns the round-trip time of the last keepalive ping that was answered; `None` before the
    /// first.
    #[must_use]
    pub fn latency(&self) -> Option<Duration> {
        self.wire.latency()
    }

    /// Returns the address of the other end of the socket: that of the proxy, if the connection
    /// leads through one; `None` as for [`WebSocket::peer_addr`](crate::WebSocket::peer_addr).
    #[must_use]
    #[doc(alias = "get_ref")]
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.wire.duplex.stream().peer_addr()
    }

    /// Returns the address of this end of the socket; `None` as for [`peer_addr`](Self::peer_addr).
    #[must_use]
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.wire.duplex.stream().local_addr()
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("stream", &self.wire.duplex).finish()
    }
}
