//! Receiving, and all that happens while a thread receives: pings are answered, keepalive runs, the
//! closing handshake is completed. All of it runs on the caller's thread.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use super::reader::{MessageReader, Messages};

use super::counters::{Compression, Frames, Traffic};
use super::pending::{Control, Flushed};
use super::recv_deadline::RecvDeadline;
use super::wire::{LastPing, ReceiverIs, Wire};
use crate::error::{Cause, Closed, Error, Timeout};
use crate::log;
use crate::net::deadline::Deadline;
use crate::net::duplex::{ReadHalf, Wait, is_timeout};
use crate::net::tls;
use crate::proto::close::CloseFrame;
use crate::proto::http::Response;
use crate::proto::keepalive::{Due, Timer};
use crate::proto::message::{Event, Message, MessageKind, MessageRef};
use crate::proto::recv::{Decoder, Delivery, Found};
use crate::sync;

/// The pause before a Pong is tried again that the peer did not take, because it is not reading.
const RETRY: Duration = Duration::from_millis(10);
/// The limit of the wait for the end of the stream after the closing handshake.
const LINGER: Duration = Duration::from_secs(2);
/// The most bytes that a call that does not wait reads at once. They take the kernel about 0.1 ms.
const TRY_READ: usize = 256 * 1024;
/// The number of bytes that are discarded, without waiting, when a receiver is dropped.
const DISCARD: usize = 1 << 20;

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
    /// The payload of the last Ping or Pong, which `next_event` lends.
    control: Control,
    frames: Frames,
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
            control: Control::new(&[]),
            frames: Frames::default(),
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
    pub fn recv(&mut self) -> Result<Message, Error> {
        self.recv_by(RecvDeadline::endless())
    }

    /// Waits for the next message as [`recv`](Self::recv) does, but for at most `timeout` in all.
    ///
    /// When the time passes, nothing is lost, not even in the middle of a frame: call again. With a
    /// timeout of zero, the call takes what has arrived and does not wait. While a peer sends
    /// without a pause, the call may take up to 20 ms longer than `timeout`.
    ///
    /// # Errors
    /// [`Timeout::Recv`] when no whole message came in time, after which the connection goes on;
    /// otherwise the same as [`recv`](Self::recv).
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<Message, Error> {
        self.recv_by(RecvDeadline::until(Deadline::after(Some(timeout))))
    }

    /// Returns the next message if it has arrived, and `None` if not. Does not wait for the peer,
    /// and costs one system call if nothing has arrived.
    ///
    /// While a big message arrives, a call takes bytes for at most about 0.5 ms. A later call goes
    /// on with the message, so a loop that draws pictures is not held up.
    ///
    /// # Errors
    /// The same as [`recv`](Self::recv).
    pub fn try_recv(&mut self) -> Result<Option<Message>, Error> {
        match self.recv_by(RecvDeadline::now()) {
            Err(Error::Timeout(Timeout::Recv)) => Ok(None),
            received => received.map(Some),
        }
    }

    #[inline]
    fn recv_by(&mut self, deadline: RecvDeadline) -> Result<Message, Error> {
        if self.buffered(Delivery::Whole).is_none() {
            self.wait_for_message(deadline)?;
        }
        self.decoder.take_message().map_err(|violation| self.wire.violated(violation))
    }

    /// Waits until a message is found.
    #[inline(never)] // So that the short way stays short.
    fn wait_for_message(&mut self, mut deadline: RecvDeadline) -> Result<(), Error> {
        // Anything else is a control frame, or the rest of a message that was begun in fragments.
        while !matches!(self.next(Delivery::Whole, &mut deadline)?, Found::Message { .. }) {}
        Ok(())
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
        let delivery = if fragments { Delivery::Fragments } else { Delivery::Whole };
        if let Some(Found::Message { kind, .. }) = self.buffered(delivery) {
            return self.lend_message(kind);
        }
        self.wait_for_event(delivery, deadline)
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

    #[inline(never)] // So that the short way stays short.
    fn wait_for_event(
        &mut self,
        delivery: Delivery,
        deadline: Deadline,
    ) -> Result<Event<'_>, Error> {
        let mut deadline = RecvDeadline::until(deadline);
        loop {
            match self.next(delivery, &mut deadline)? {
                Found::Message { kind, .. } => return self.lend_message(kind),
                Found::Fragment { .. } if delivery == Delivery::Fragments => {
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
    /// it (64 MiB by default).
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
            match self.next(Delivery::Fragments, &mut deadline)? {
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

    pub(crate) fn so_far(&self) -> Closed {
        self.wire.close_state.so_far()
    }

    pub(crate) fn peer_addr(&self) -> Option<SocketAddr> {
        self.wire.duplex.stream().peer_addr()
    }

    pub(crate) fn local_addr(&self) -> Option<SocketAddr> {
        self.wire.duplex.stream().local_addr()
    }

    /// Completes a closing handshake that has begun: discards what still arrives, waits for the
    /// peer's Close until `close_timeout`, and then for at most [`LINGER`] for the end of the
    /// stream.
    fn finish(&mut self) -> Closed {
        self.discard();
        let closed = self.wire.close_state.so_far();
        // Bytes that arrive after the socket is closed would reset the connection, and the peer
        // might not get our Close.
        if matches!(closed.cause(), Cause::Handshake | Cause::Protocol(_)) {
            self.linger();
        }
        self.wire.duplex.shutdown();
        self.wire.log_sent();
        closed
    }

    /// Discards what still arrives until the connection is over, and returns how it ended. Call it
    /// on a connection that this side has closed or aborted.
    pub(crate) fn discard(&mut self) -> Error {
        self.pending = true;
        self.decoder.stop_gathering();
        loop {
            if let Err(error) = self.next(Delivery::Fragments, &mut RecvDeadline::endless()) {
                return error;
            }
        }
    }

    /// Waits for the end of the stream. Discards what arrives, and flushes a Close that the peer
    /// did not take before.
    fn linger(&mut self) {
        let deadline = Deadline::after(Some(LINGER));
        let mut buffer = [0; 4 * 1024];
        // A peer that goes on sending does not extend the wait.
        while !self.wire.close_state.is_aborted() && !deadline.is_past() {
            let mut until = deadline;
            if self.wire.flush_pending() == Flushed::Blocked {
                until = until.min(Deadline::after(Some(RETRY)));
            }
            match self.wire.read(&mut self.half, &mut buffer, Wait::Until(until)) {
                Err(error) if is_timeout(&error) => {}
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
    }

    /// Finds what comes most often, by a short way: a short message that is whole in the buffer,
    /// while nothing is to be flushed. `None` leaves it to [`next`](Self::next).
    #[inline]
    fn buffered(&mut self, delivery: Delivery) -> Option<Found> {
        let is_over = self.wire.close_state.outcome().is_some();
        if is_over || self.pending || self.half.tls_pending {
            return None;
        }
        let found = self.decoder.short_message(delivery)?;
        self.frames.messages += 1;
        log::received(found);
        Some(found)
    }

    /// Runs the main loop: asks the decoder what comes next, deals with control frames, flushes
    /// what is pending, reads more. The caller takes a message or a fragment from the decoder. The
    /// payload of a Ping or a Pong is in `control`. A Close is an error.
    pub(super) fn next(
        &mut self,
        delivery: Delivery,
        deadline: &mut RecvDeadline,
    ) -> Result<Found, Error> {
        self.find(delivery, deadline).inspect_err(|_| self.publish())
    }

    fn find(&mut self, delivery: Delivery, deadline: &mut RecvDeadline) -> Result<Found, Error> {
        if let Some(closed) = self.wire.close_state.outcome() {
            if matches!(closed.cause(), Cause::Handshake) {
                // The call that saw the end may have had no time to write our Close.
                let _ = self.wire.flush_pending_until(deadline.until);
            }
            return Err(closed.clone().into());
        }
        loop {
            let found = match self.decoder.advance(delivery) {
                Ok(Some(found)) => found,
                Ok(None) => {
                    self.flush_pending();
                    deadline.check()?;
                    self.read(deadline.until)?;
                    continue;
                }
                Err(violation) => return Err(self.wire.violated(violation)),
            };
            log::received(found);
            self.count(found);
            match found {
                Found::Message { .. } | Found::Fragment { .. } => self.flush_pending(),
                // Pongs are collected until all that has arrived is taken.
                Found::Ping { .. } => self.answer_ping(),
                Found::Pong { .. } => {
                    self.receive_pong();
                    self.flush_pending();
                }
                Found::Close { .. } => {
                    return Err(self.wire.peer_closed(self.decoder.close(), deadline.until));
                }
            }
            return Ok(found);
        }
    }

    fn count(&mut self, found: Found) {
        match found {
            Found::Message { .. } => self.frames.messages += 1,
            Found::Fragment { last, .. } => self.frames.messages += u64::from(last),
            Found::Ping { .. } => self.frames.pings += 1,
            Found::Pong { .. } => self.frames.pongs += 1,
            Found::Close { .. } => {}
        }
    }

    /// Lets other threads see what was received so far.
    fn publish(&self) {
        self.wire.counters.received.set(self.received());
    }

    /// Returns what was received so far.
    pub(super) fn received(&self) -> Traffic {
        let (compressed, uncompressed) = self.decoder.inflated();
        let compression = Compression { uncompressed, compressed };
        Traffic::new(self.half.bytes, self.frames, compression)
    }

    fn answer_ping(&mut self) {
        self.control = Control::new(self.decoder.control());
        if self.options.auto_pong {
            self.wire.note_pong(self.control);
            self.pending = true;
        }
    }

    fn receive_pong(&mut self) {
        self.control = Control::new(self.decoder.control());
        let now = sync::now();
        self.update_timer(now);
        self.timer.pong(self.control.as_bytes(), now);
        if let Some(latency) = self.timer.latency() {
            self.wire.set_latency(latency);
        }
        if !self.timer.is_waiting() {
            self.wire.ping_answered();
        }
    }

    /// Tells the timer whether the keepalive ping was written, and when the peer last read
    /// something of ours. The pong timeout begins when the ping is written. A peer that reads is
    /// alive.
    fn update_timer(&mut self, now: Instant) {
        if !self.timer.is_waiting() {
            return;
        }
        match self.wire.take_ping() {
            LastPing::None => {}
            LastPing::Queued => self.timer.postpone(now),
            LastPing::Written(at, position) => self.timer.sent(at, position),
        }
        if let Some(at) = self.wire.take_peer_read() {
            self.timer.heard(at);
        }
    }

    /// Flushes what is pending, as far as possible without waiting.
    fn flush_pending(&mut self) {
        if std::mem::take(&mut self.half.tls_pending) {
            self.wire.note_tls();
            self.pending = true;
        }
        if self.pending {
            self.pending = self.wire.flush_pending() == Flushed::Blocked;
        }
        self.wire.log_sent();
    }

    /// Reads once, by the earliest deadline. Sends a keepalive ping if one is due.
    fn read(&mut self, deadline: Deadline) -> Result<(), Error> {
        // This comes before the close state is read. A thread that notes a Close from now on sees
        // that it must write the Close itself.
        self.publish();
        self.wire.note_receiver(ReceiverIs::Reading);
        let received = self.read_once(deadline);
        self.wire.note_receiver(ReceiverIs::Away);
        received
    }

    fn read_once(&mut self, deadline: Deadline) -> Result<(), Error> {
        let now = sync::now();
        let (is_open, close_at) = self.wire.close_state.is_open_and_close_at();
        // The peer's Close may have arrived in time, and still be unread.
        self.closing.until = close_at;
        if self.closing.check().is_err() {
            return Err(self.wire.lost(Cause::Timeout(Timeout::Close)));
        }
        let left = self.wire.left();
        if !self.pending && left.blocked_since.is_some() {
            self.pending = true; // A rest of `try_send`.
            self.flush_pending();
        }
        if !is_open {
            // Another thread may have asked for the Close, and not been able to write it. The
            // thread that has the writer now may be one that does not wait until there is room.
            self.pending = self.wire.flush_pending() != Flushed::Done;
        }
        let poll = left.poll_interval(self.wire.poll_interval);
        let mut until = deadline.min(close_at).min(Deadline::at(now.checked_add(poll)));
        let mut dying = false;
        // The closing handshake has a limit of its own, and no ping may follow our Close.
        if close_at == Deadline::NEVER {
            self.update_timer(now);
            match self.timer.due(now) {
                Due::Nothing => {}
                Due::Ping(payload) => {
                    self.wire.note_ping(payload);
                    self.pending = true;
                    self.flush_pending();
                }
                Due::Dead => dying = true,
            }
            until = until.min(Deadline::at(self.timer.deadline()));
        }
        if self.pending {
            until = until.min(Deadline::at(now + RETRY));
        }
        // A peer is dead only if nothing has arrived that is still unread.
        let wait = if dying { Wait::Not } else { Wait::Until(until) };
        let may_wait = deadline.moment().is_none_or(|at| at > now);
        let space = self.decoder.space();
        let most = if may_wait { space.len() } else { space.len().min(TRY_READ) };
        let mut read = self.wire.read(&mut self.half, &mut space[..most], wait);
        if self.half.tls_pending && matches!(&read, Err(error) if is_timeout(error)) {
            // The read returned early because TLS has output. It may not have read the socket, so
            // read once more, without waiting.
            self.flush_pending();
            read = self.wire.read(&mut self.half, self.decoder.space(), Wait::Not);
        }
        if std::mem::take(&mut self.half.has_received) && self.timer.is_waiting() {
            self.timer.heard(sync::now());
            dying = false;
        }
        if self.wire.close_state.is_aborted() {
            return Err(self.wire.lost(Cause::Aborted));
        }
        match read {
            Ok(0) => Err(self.lost(Cause::Eof)),
            Ok(len) => {
                self.decoder.filled(len);
                Ok(())
            }
            Err(error) if is_timeout(&error) => {
                // A sender may have timed out before it wrote what is pending.
                self.pending = true;
                self.decoder.shrink();
                if !deadline.is_past() {
                    self.wire.release_memory();
                }
                if let Some(deflation) = &self.wire.deflation {
                    deflation.shrink();
                }
                if dying {
                    Err(self.lost(Cause::Timeout(Timeout::Pong)))
                } else if close_at.is_past() {
                    Err(self.wire.lost(Cause::Timeout(Timeout::Close)))
                } else if deadline.is_past() {
                    Err(Error::Timeout(Timeout::Recv))
                } else {
                    Ok(())
                }
            }
            Err(error) => {
                self.flush_pending(); // An alert tells the peer why TLS failed.
                Err(self.lost(transport_failed(error)))
            }
        }
    }

    /// Ends a connection that is lost. If the peer has never answered a ping, the outcome says so.
    fn lost(&self, cause: Cause) -> Error {
        if self.timer.is_waiting() && self.timer.latency().is_none() {
            self.wire.close_state.never_answered();
        }
        self.wire.lost(cause)
    }
}

fn transport_failed(error: io::Error) -> Cause {
    match tls::error_within(error) {
        Ok(error) => Cause::Tls(Arc::new(error)),
        Err(error) => Cause::Io(Arc::new(error)),
    }
}

impl Drop for Receiver {
    /// Discards what has arrived, without waiting. Closing a socket with unread bytes would reset
    /// the connection, and the peer might not get a Close that is on its way.
    fn drop(&mut self) {
        self.wire.note_receiver(ReceiverIs::Gone);
        let mut buffer = [0; 4 * 1024];
        let mut len = 0;
        while len < DISCARD && !self.wire.close_state.is_aborted() {
            match self.wire.read(&mut self.half, &mut buffer, Wait::Not) {
                Ok(read @ 1..) => len += read,
                Ok(0) | Err(_) => return,
            }
        }
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("stream", &self.wire.duplex).finish_non_exhaustive()
    }
}
