//! An open connection. [`WebSocket`] is both halves in one, for programs that use one thread.

mod close_state;
#[cfg_attr(not(feature = "deflate"), path = "compression/off.rs")]
pub(crate) mod compression;
pub(crate) mod counters;
mod event_loop;
mod fair_lock;
#[cfg(all(test, any(loom, shuttle)))]
pub(crate) mod model;
mod outgoing;
mod pending;
mod reader;
pub(crate) mod receiver;
mod send_reader;
pub(crate) mod sender;
#[cfg(feature = "tls-core")]
mod tls_info;
pub(crate) mod try_send;
pub(crate) mod wire;
mod write_lock;
pub(crate) mod writer;
mod writer_state;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use crate::error::{Closed, Error, TrySendError};
use crate::net::stopwatch::Timings;
use crate::proto::close::CloseFrame;
use crate::proto::http::Response;
use crate::proto::message::{AsMessage, Event, Message, MessageKind};
use receiver::{MessageReader, Messages, Receiver};
use sender::Sender;
use writer::MessageWriter;

/// Sends and receives messages over an open connection: a [`Receiver`] and a [`Sender`] together.
///
/// [`connect`](crate::connect) and [`Builder::connect`](crate::Builder::connect) return it. Pings
/// are answered, and keepalive runs, only while a method that receives is running. So receive again
/// and again, or [`split`](Self::split) the connection and receive on a thread of its own. The
/// guide [`threads`](crate::guide::threads) says who may call what.
///
/// Dropping it never blocks. The connection ends when its last [`Sender`] is dropped too: a Close
/// with 1001 is sent if the system takes it at once. To close properly, call
/// [`close`](Self::close).
///
/// # Examples
/// ```no_run
/// let mut ws = landline::connect("wss://example.com/echo")?;
/// ws.send("hello")?;
/// println!("{:?}", ws.recv()?);
/// ws.close(landline::CloseCode::NORMAL)?;
/// # Ok::<(), landline::Error>(())
/// ```
///
/// # In a child made by `fork`
///
/// The child has a copy of each open connection, but the socket and the peer are the same. Do not
/// use the copy, and do not drop it: that sends a Close and ends the parent's connection too. Call
/// [`std::mem::forget`] on it, or leave the child by `exec` or `_exit`, which run no destructors;
/// `exec` closes the socket. The child may open connections of its own.
/// [`std::process::Command`] needs no such care.
#[derive(Debug)]
pub struct WebSocket {
    receiver: Receiver,
    sender: Sender,
}

impl WebSocket {
    pub(crate) fn new(receiver: Receiver, sender: Sender) -> Self {
        Self { receiver, sender }
    }

    /// Returns another handle for sending, from this thread or any other.
    #[must_use]
    pub fn sender(&self) -> Sender {
        self.sender.clone()
    }

    /// Splits the connection into its halves, for different threads. `WebSocket::from(receiver)`
    /// makes it one again.
    ///
    /// # Examples
    /// ```no_run
    /// let ws = landline::connect("wss://example.com/chat")?;
    /// let (mut receiver, sender) = ws.split();
    /// let printer = std::thread::spawn(move || {
    ///     for message in receiver.messages() {
    ///         println!("{:?}", message?);
    ///     }
    ///     Ok::<_, landline::Error>(receiver)
    /// });
    /// sender.send("hello")?;
    /// sender.close(landline::CloseCode::NORMAL)?;
    /// let receiver = printer.join().expect("the thread does not panic")?;
    /// println!("{:?}", receiver.closed());
    /// # Ok::<(), landline::Error>(())
    /// ```
    #[must_use]
    pub fn split(self) -> (Receiver, Sender) {
        (self.receiver, self.sender)
    }

    /// Sends a message; see [`Sender::send`].
    ///
    /// # Examples
    /// ```no_run
    /// let ws = landline::connect("wss://example.com/chat")?;
    /// ws.send("text")?;
    /// ws.send(b"binary")?;
    /// ws.send(format!("{} bottles", 99))?;
    /// # Ok::<(), landline::Error>(())
    /// ```
    ///
    /// # Errors
    /// The same as [`Sender::send`].
    #[doc(alias = "write_message")]
    pub fn send(&self, message: impl AsMessage) -> Result<(), Error> {
        self.sender.send(message)
    }

    /// Sends many messages with few system calls; see [`Sender::send_all`].
    ///
    /// # Errors
    /// The same as [`Sender::send_all`].
    pub fn send_all<M: AsMessage>(
        &self,
        messages: impl IntoIterator<Item = M>,
    ) -> Result<(), Error> {
        self.sender.send_all(messages)
    }

    /// Sends a message if that takes no waiting, and gives the message back if not; see
    /// [`Sender::try_send`].
    ///
    /// # Errors
    /// The same as [`Sender::try_send`].
    pub fn try_send<M: AsMessage>(&self, message: M) -> Result<(), TrySendError<M>> {
        self.sender.try_send(message)
    }

    /// Begins a message that is written bit by bit; see [`Sender::writer`].
    ///
    /// # Errors
    /// The same as [`Sender::writer`].
    pub fn writer(&self, kind: MessageKind) -> Result<MessageWriter<'_>, Error> {
        self.sender.writer(kind)
    }

    /// Sends a message of `len` bytes in one frame, and reads it from `reader` meanwhile; see
    /// [`Sender::send_reader`].
    ///
    /// # Errors
    /// The same as [`Sender::send_reader`].
    ///
    /// # Panics
    /// If `reader` panics.
    pub fn send_reader(
        &self,
        kind: MessageKind,
        len: u64,
        reader: impl io::Read,
    ) -> io::Result<()> {
        self.sender.send_reader(kind, len, reader)
    }

    /// Sends a Ping; see [`Sender::ping`].
    ///
    /// # Errors
    /// The same as [`Sender::ping`].
    pub fn ping(&self, payload: &[u8]) -> Result<(), Error> {
        self.sender.ping(payload)
    }

    /// Sends a Pong that answers no Ping; see [`Sender::pong`].
    ///
    /// # Errors
    /// The same as [`Sender::pong`].
    pub fn pong(&self, payload: &[u8]) -> Result<(), Error> {
        self.sender.pong(payload)
    }

    /// Waits for the next message; see [`Receiver::recv`].
    ///
    /// # Examples
    /// ```no_run
    /// use landline::{Error, Message};
    ///
    /// let mut ws = landline::connect("wss://example.com/feed")?;
    /// let closed = loop {
    ///     match ws.recv() {
    ///         Ok(Message::Text(text)) => println!("{text}"),
    ///         Ok(Message::Binary(bytes)) => println!("{} bytes", bytes.len()),
    ///         Err(Error::Closed(closed)) => break closed,
    ///         // The server broke the protocol, or was silent too long.
    ///         Err(error) => return Err(error),
    ///     }
    /// };
    /// println!("the server closed with {} {:?}", closed.code(), closed.reason());
    /// # Ok::<(), landline::Error>(())
    /// ```
    ///
    /// # Errors
    /// The same as [`Receiver::recv`].
    #[doc(alias = "read")]
    #[doc(alias = "read_message")]
    #[inline]
    pub fn recv(&mut self) -> Result<Message, Error> {
        self.receiver.recv()
    }

    /// Waits for the next message for at most `timeout`; see [`Receiver::recv_timeout`].
    ///
    /// # Examples
    /// ```no_run
    /// use std::time::Duration;
    ///
    /// use landline::{Error, Timeout};
    ///
    /// let mut ws = landline::connect("wss://example.com/feed")?;
    /// match ws.recv_timeout(Duration::from_secs(1)) {
    ///     Ok(message) => println!("{message:?}"),
    ///     // Nothing is lost: call it again.
    ///     Err(Error::Timeout(Timeout::Recv)) => println!("nothing within a second"),
    ///     Err(error) => return Err(error),
    /// }
    /// # Ok::<(), landline::Error>(())
    /// ```
    ///
    /// # Errors
    /// The same as [`Receiver::recv_timeout`].
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<Message, Error> {
        self.receiver.recv_timeout(timeout)
    }

    /// Returns the next message if it has arrived; see [`Receiver::try_recv`].
    ///
    /// # Examples
    /// ```no_run
    /// let mut ws = landline::connect("wss://example.com/game")?;
    /// # fn draw() {}
    /// loop {
    ///     while let Some(message) = ws.try_recv()? {
    ///         println!("{message:?}");
    ///     }
    ///     draw(); // Not for long: pings are answered only while something is received.
    /// }
    /// # #[allow(unreachable_code)]
    /// # Ok::<(), landline::Error>(())
    /// ```
    ///
    /// # Errors
    /// The same as [`Receiver::try_recv`].
    pub fn try_recv(&mut self) -> Result<Option<Message>, Error> {
        self.receiver.try_recv()
    }

    /// Waits for the next message or control frame, and lends it; see [`Receiver::next_event`].
    ///
    /// # Errors
    /// The same as [`Receiver::next_event`].
    #[inline]
    pub fn next_event(&mut self) -> Result<Event<'_>, Error> {
        self.receiver.next_event()
    }

    /// Waits for the next message or control frame for at most `timeout`; see
    /// [`Receiver::next_event_timeout`].
    ///
    /// # Errors
    /// The same as [`Receiver::next_event_timeout`].
    pub fn next_event_timeout(&mut self, timeout: Duration) -> Result<Event<'_>, Error> {
        self.receiver.next_event_timeout(timeout)
    }

    /// Iterates over the messages; see [`Receiver::messages`], which says how it ends.
    pub fn messages(&mut self) -> Messages<'_> {
        self.receiver.messages()
    }

    /// Reads the next message as it arrives; see [`Receiver::reader`].
    ///
    /// # Errors
    /// The same as [`Receiver::reader`].
    pub fn reader(&mut self) -> Result<MessageReader<'_>, Error> {
        self.receiver.reader()
    }

    /// Reads the next message as it arrives, and waits for its beginning for at most `timeout`; see
    /// [`Receiver::reader_timeout`].
    ///
    /// # Errors
    /// The same as [`Receiver::reader_timeout`].
    pub fn reader_timeout(&mut self, timeout: Duration) -> Result<MessageReader<'_>, Error> {
        self.receiver.reader_timeout(timeout)
    }

    /// Does the whole closing handshake, and returns how the connection ended; see
    /// [`Receiver::close`].
    ///
    /// # Examples
    /// ```no_run
    /// use landline::CloseCode;
    ///
    /// let mut ws = landline::connect("wss://example.com/feed")?;
    /// let closed = ws.close((CloseCode::NORMAL, "done"))?;
    /// println!("{closed}; the server's code was {}", closed.code());
    /// # Ok::<(), landline::Error>(())
    /// ```
    ///
    /// # Errors
    /// The same as [`Receiver::close`].
    pub fn close(&mut self, close: impl Into<CloseFrame>) -> Result<Closed, Error> {
        self.receiver.close(close)
    }

    /// Ends the connection at once, without a Close; see [`Sender::abort`].
    pub fn abort(&self) {
        self.sender.abort();
    }

    /// Returns whether messages can still be sent, as far as is known here; see
    /// [`Sender::is_open`].
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.sender.is_open()
    }

    /// Returns how the connection ended; see [`Receiver::closed`].
    #[must_use]
    pub fn closed(&self) -> Option<&Closed> {
        self.receiver.closed()
    }

    /// Discards what arrives until the connection is over.
    pub(crate) fn discard(&mut self) -> Error {
        self.receiver.discard()
    }

    /// Returns how the connection ended, or its state so far.
    pub(crate) fn so_far(&self) -> Closed {
        self.receiver.so_far()
    }

    /// Returns the server's answer to the opening handshake.
    ///
    /// # Examples
    /// ```no_run
    /// let ws = landline::connect("wss://example.com/feed")?;
    /// let response = ws.response();
    /// assert_eq!(response.status(), 101);
    /// println!("{} by {:?}", response.url(), response.headers().get("Server"));
    /// # Ok::<(), landline::Error>(())
    /// ```
    #[must_use]
    pub fn response(&self) -> &Response {
        self.sender.response()
    }

    /// Returns the subprotocol that the server chose; `None` if it chose none.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.sender.subprotocol()
    }

    /// Returns how long it took to open the connection, step by step.
    ///
    /// # Examples
    /// ```no_run
    /// let ws = landline::connect("wss://example.com/feed")?;
    /// println!("{:?}", ws.timings());
    /// # Ok::<(), landline::Error>(())
    /// ```
    #[must_use]
    pub fn timings(&self) -> Timings {
        self.sender.timings()
    }

    /// Returns the round-trip time of the last keepalive ping that was answered; `None` before the
    /// first.
    #[must_use]
    pub fn latency(&self) -> Option<Duration> {
        self.sender.latency()
    }

    /// Returns the address of the other end of the socket: that of the proxy, if the connection
    /// leads through one.
    ///
    /// Returns `None` for a Unix socket, for a [stream](crate::stream::Stream) that does not tell
    /// its address, and for a socket that is no longer connected. The type is not `io::Result`, as
    /// it is in `std`, because a stream without an address is no failure.
    #[must_use]
    #[doc(alias = "get_ref")]
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.receiver.peer_addr()
    }

    /// Returns the address of this end of the socket; `None` as for [`peer_addr`](Self::peer_addr).
    #[must_use]
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.receiver.local_addr()
    }
}

/// Makes a whole connection of a receiver, after [`split`](WebSocket::split). Other senders of the
/// connection stay usable.
impl From<Receiver> for WebSocket {
    fn from(receiver: Receiver) -> Self {
        let sender = Sender::new(receiver.wire.clone());
        Self { receiver, sender }
    }
}
