//! Receiving, and all that happens while a thread receives: pings are answered, keepalive runs, the
//! closing handshake is completed. All of it runs on the caller's thread.

mod closing;
mod main_loop;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(super) use self::main_loop::RecvDeadline;

pub use super::reader::{MessageReader, Messages};

use super::counters::Frames;
use super::pending::Control;
use super::wire::Wire;
use crate::error::{Closed, Error, Timeout};
use crate::net::deadline::Deadline;
use crate::net::duplex::ReadHalf;
use crate::proto::close::CloseFrame;
use crate::proto::http::Response;
use crate::proto::keepalive::Timer;
use crate::proto::message::{Event, Message, MessageKind, MessageRef};
use crate::proto::recv::{Decoder, DeliveryMode, Found};

/// Receives messages: the receiving half of a connection. A connection has one, and one thread at a
/// time uses it. [`WebSocket::split`](crate::WebSocket::split) returns it.
///
/// Pings are answered, keepalive pings are sent, and a lost peer is noticed only while a thread is
/// inside a method that receives. landline has no thread of its own for that.
///
/// When the receiver is dropped, the senders can still send, but nothing is received any more:
/// pings get no answer, and a Close of the peer goes unnoticed. `WebSocket::from(receiver)` makes a
/// whole connection of it again.
///
/// # Examples
/// ```no_run
/// let (mut receiver, sender) = landline::connect("wss://example.com/chat")?.split();
/// std::thread::spawn(move || {
///     for line in std::io::stdin().lines().map_while(Result::ok) {
///         if sender.send(line).is_err() {
///             break; // `recv` returns why.
///         }
///     }
/// });
/// loop {
///     println!("{:?}", receiver.recv()?);
/// }
/// # #[allow(unreachable_code)]
/// # Ok::<(), landline::Error>(())
/// ```
pub struct Receiver {
    pub(super) wire: Arc<Wire>,
    pub(super) half: ReadHalf,
    pub(super) decoder: Decoder,
    pub(super) timer: Timer,
    options: Options,
    /// Something is pending that the write lock or the peer did not take yet.
    pending: bool,
    /// The limit of the closing handshake.
    closing: RecvDeadline,
    /// The peer's Close was received, and the peer must take the answer by then.
    pub(super) answer_by: Option<Deadline>,
    /// The payload of the last Ping or Pong, which `next_event` lends.
    control: Control,
    frames: Frames,
    /// The beginning of the first read that found nothing, since the memory of the senders was
    /// freed.
    empty_since: Option<Instant>,
}

/// The options of [`Builder`](crate::Builder) that a receiver needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    pub(crate) auto_pong: bool,
    pub(crate) fragments: bool,
}

impl Receiver {
    pub(crate) fn new(
        wire: Arc<Wire>,
        half: ReadHalf,
        decoder: Decoder,
        timer: Timer,
        options: Options,
    ) -> Self {
        Self {
            wire,
            half,
            decoder,
            timer,
            options,
            pending: false,
            closing: RecvDeadline::endless(),
            answer_by: None,
            control: Control::new(&[]),
            frames: Frames::default(),
            empty_since: None,
        }
    }

    /// Waits for the next message, and returns it whole.
    ///
    /// The call waits for ever if the peer sends nothing but answers the keepalive pings. After a
    /// [`close`](crate::Sender::close) of this side `recv` still returns the messages that the peer
    /// sends before its own Close. If [`next_event`](Self::next_event) or a [`MessageReader`] has
    /// taken the first fragments of a message, the rest of that message is skipped.
    ///
    /// # Errors
    /// Each error means that the connection is over, and each later call returns the same error.
    /// Whole messages that arrived before the end are returned first.
    ///
    /// * [`Error::Closed`]: either side closed the connection, or the stream ended or failed.
    /// * [`Error::Protocol`]: the peer broke RFC 6455, or a message exceeds a limit. The peer was
    ///   sent a Close with the code of the violation (section 7.1.7).
    /// * [`Timeout::Pong`]: after a keepalive ping, the peer was silent for the keepalive timeout
    ///   (20 s by default).
    /// * [`Timeout::Send`]: the peer did not take a message, or a pending Pong, within
    ///   `write_timeout` (30 s by default).
    #[doc(alias = "read")]
    #[doc(alias = "read_message")]
    pub fn recv(&mut self) -> Result<Message, Error> {
        self.recv_until(Deadline::NEVER)
    }

    /// Waits for the next message as [`recv`](Self::recv) does, but for at most `timeout` in all.
    ///
    /// When the time passes, nothing is lost, not even in the middle of a frame: call again. With a
    /// timeout of zero, the call takes what has arrived and does not wait. While a peer sends
    /// without a pause, the call may take up to 20 ms longer than `timeout`, and 40 ms over TLS.
    /// Compressed data may take longer: all that one read brought is inflated, up to
    /// [`max_message_size`](crate::Builder::max_message_size).
    ///
    /// # Errors
    /// [`Timeout::Recv`] when no whole message came in time, after which the connection goes on;
    /// otherwise the same as [`recv`](Self::recv).
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<Message, Error> {
        self.recv_until(Deadline::after(Some(timeout)))
    }

    /// Returns the next message if it has arrived, and `None` if not. Does not wait for the peer,
    /// and costs one system call if nothing has arrived.
    ///
    /// While a big message arrives, a call takes bytes for at most about 0.5 ms, over TLS for 1 ms.
    /// A later call goes on with the message, so a loop that draws pictures is not held up.
    /// Compressed data may take longer, as with [`recv_timeout`](Self::recv_timeout).
    ///
    /// # Errors
    /// The same as [`recv`](Self::recv).
    pub fn try_recv(&mut self) -> Result<Option<Message>, Error> {
        match self.recv_by(RecvDeadline::now()) {
            Err(Error::Timeout(Timeout::Recv)) => Ok(None),
            received => received.map(Some),
        }
    }

    /// Waits for the next message or control frame, and lends it from the receive buffer: there is
    /// no copy, and in the steady state no allocation.
    ///
    /// A Ping was answered already, unless [`auto_pong`](crate::Builder::auto_pong) is off. With
    /// [`fragments`](crate::Builder::fragments), messages come in fragments as they arrive. A Close
    /// is not an event, but the end of the connection: an error.
    ///
    /// # Examples
    /// ```no_run
    /// use landline::Event;
    ///
    /// let mut ws = landline::connect("wss://example.com/feed")?;
    /// loop {
    ///     match ws.next_event()? {
    ///         Event::Text(text) => println!("{text}"),
    ///         Event::Binary(bytes) => println!("{} bytes", bytes.len()),
    ///         Event::Pong(payload) => println!("a Pong with {payload:?}"),
    ///         _ => {}
    ///     }
    /// }
    /// # #[allow(unreachable_code)]
    /// # Ok::<(), landline::Error>(())
    /// ```
    ///
    /// # Errors
    /// The same as [`recv`](Self::recv).
    pub fn next_event(&mut self) -> Result<Event<'_>, Error> {
        self.event_until(Deadline::NEVER)
    }

    /// Waits for the next message or control frame as [`next_event`](Self::next_event) does, but
    /// for at most `timeout` in all. When the time passes, nothing is lost: call again.
    ///
    /// # Errors
    /// [`Timeout::Recv`] when nothing came in time, after which the connection goes on; otherwise
    /// the same as [`recv`](Self::recv).
    pub fn next_event_timeout(&mut self, timeout: Duration) -> Result<Event<'_>, Error> {
        self.event_until(Deadline::after(Some(timeout)))
    }

    fn event_until(&mut self, deadline: Deadline) -> Result<Event<'_>, Error> {
        let fragments = self.options.fragments;
        let delivery = if fragments { DeliveryMode::Fragments } else { DeliveryMode::Whole };
        if let Some(Found::Message { kind, .. }) = self.buffered(delivery) {
            return self.lend_message(kind);
        }
        self.wait_for_event(delivery, deadline)
    }

    #[inline(never)] // So that the short way stays short.
    fn wait_for_event(
        &mut self,
        delivery: DeliveryMode,
        deadline: Deadline,
    ) -> Result<Event<'_>, Error> {
        let mut deadline = RecvDeadline::until(deadline);
        loop {
            match self.next(delivery, &mut deadline)? {
                Found::Message { kind, .. } => return self.lend_message(kind),
                Found::Fragment { .. } if delivery == DeliveryMode::Fragments => {
                    return Ok(Event::Fragment(self.decoder.fragment()));
                }
                Found::Ping { .. } => {
                    self.flush_pending();
                    return Ok(Event::Ping(self.control.as_bytes()));
                }
                Found::Pong { .. } => return Ok(Event::Pong(self.control.as_bytes())),
                // The rest of a message that was begun in fragments is skipped.
                _ => {}
            }
        }
    }

    #[inline]
    fn lend_message(&mut self, kind: MessageKind) -> Result<Event<'_>, Error> {
        match self.decoder.message() {
            Ok(MessageRef::Text(text)) => Ok(Event::Text(text)),
            Ok(MessageRef::Binary(bytes)) if kind == MessageKind::Binary => {
                Ok(Event::Binary(bytes))
            }
            Ok(MessageRef::Binary(bytes)) => Ok(Event::RawText(bytes)),
            Err(violation) => Err(self.wire.violated(violation)),
        }
    }

    /// Returns an iterator over the messages. Each item is a result of [`recv`](Self::recv).
    ///
    /// The iterator ends without an error after the peer has closed with 1000, 1001 or no code, and
    /// after a closing handshake that `close` began on this side and the peer answered. Any other
    /// end is an error, which is the last item: a Close with 1008, 1011 or 4401 for example, an end
    /// without a Close, a violation. [`closed`](Self::closed) says how the connection ended.
    ///
    /// # Examples
    /// ```no_run
    /// let mut ws = landline::connect("wss://example.com/feed")?;
    /// for message in ws.messages() {
    ///     println!("{:?}", message?);
    /// }
    /// # Ok::<(), landline::Error>(())
    /// ```
    pub fn messages(&mut self) -> Messages<'_> {
        Messages::new(self)
    }

    /// Waits for the beginning of the next message, and returns a reader for it. A long message is
    /// read in constant memory; [`max_message_size`](crate::Builder::max_message_size) still limits
    /// it (64 MiB by default). But if a call that timed out, or [`try_recv`](Self::try_recv), has
    /// received a part of the message already, this call waits for the whole message, and keeps it
    /// in memory.
    ///
    /// # Examples
    /// ```no_run
    /// use std::{fs, io};
    ///
    /// let mut ws = landline::connect("wss://example.com/download")?;
    /// let mut file = fs::File::create("download")?;
    /// io::copy(&mut ws.reader()?, &mut file)?;
    /// # Ok::<(), io::Error>(())
    /// ```
    ///
    /// # Errors
    /// The same as [`recv`](Self::recv).
    pub fn reader(&mut self) -> Result<MessageReader<'_>, Error> {
        self.reader_until(Deadline::NEVER)
    }

    /// Waits for the beginning of the next message as [`reader`](Self::reader) does, but for at
    /// most `timeout` in all. The reader waits for the rest without a limit: keepalive notices a
    /// peer that is lost in the middle.
    ///
    /// # Errors
    /// [`Timeout::Recv`] when no message began in time, after which the connection goes on;
    /// otherwise the same as [`recv`](Self::recv).
    pub fn reader_timeout(&mut self, timeout: Duration) -> Result<MessageReader<'_>, Error> {
        self.reader_until(Deadline::after(Some(timeout)))
    }

    fn reader_until(&mut self, deadline: Deadline) -> Result<MessageReader<'_>, Error> {
        let mut deadline = RecvDeadline::until(deadline);
        loop {
            match self.next(DeliveryMode::Fragments, &mut deadline)? {
                Found::Fragment { kind, first: true, last, .. } => {
                    let fragment = self.decoder.fragment().data.to_vec();
                    return Ok(MessageReader::new(self, kind, fragment, last));
                }
                // A call that was to return the whole message began it, and timed out.
                Found::Message { kind, .. } => {
                    let message = self.decoder.take_message();
                    let message = message.map_err(|violation| self.wire.violated(violation))?;
                    return Ok(MessageReader::new(self, kind, message.into_bytes(), true));
                }
                _ => {}
            }
        }
    }

    /// Does the whole closing handshake (RFC 6455 section 7.1.2): sends a Close, discards what
    /// still arrives before the peer's Close, and returns how the connection ended.
    ///
    /// The handshake takes at most [`close_timeout`](crate::Builder::close_timeout) (5 s by
    /// default). After it the peer has 2 s to end the stream; then the connection is cut. If a
    /// sender has begun the handshake with [`close`](crate::Sender::close), this call completes it.
    /// If the connection is over already, this call returns how it ended.
    ///
    /// # Errors
    /// [`InvalidInput::Close`](crate::error::InvalidInput::Close) if the code or the reason must
    /// not be sent. Nothing happens then. A peer that does not answer is no error: see
    /// [`Closed::is_clean`].
    pub fn close(&mut self, close: impl Into<CloseFrame>) -> Result<Closed, Error> {
        // The Close is only noted: `finish` sends it, and reads meanwhile.
        match self.wire.ask_close(close.into()) {
            Err(error @ Error::InvalidInput(_)) => Err(error),
            Ok(()) | Err(_) => Ok(self.finish()),
        }
    }

    /// Returns how the connection ended, with both Close frames, also if the error was
    /// [`Error::Protocol`] or [`Error::Timeout`]; `None` while the end is not known.
    #[must_use]
    pub fn closed(&self) -> Option<&Closed> {
        self.wire.close_state.outcome()
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

    pub(crate) fn so_far(&self) -> Closed {
        self.wire.close_state.so_far()
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("stream", &self.wire.duplex).finish_non_exhaustive()
    }
}
