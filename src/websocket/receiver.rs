//! Receiving, and everything that happens while somebody receives: pings are answered, keepalive
//! runs, the closing handshake is seen through. All on the caller's thread.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use super::reader::{MessageReader, Messages};

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

/// How soon a Pong is tried again that the peer did not take because it does not read just now.
const RETRY: Duration = Duration::from_millis(10);
/// How long the end of a stream is waited for after the closing handshake.
const LINGER: Duration = Duration::from_secs(2);
/// How much is discarded without waiting when a receiver is dropped.
const DISCARD: usize = 1 << 20;

/// The receiving half of a connection: one, for one thread at a time.
///
/// Pings are answered and sent, and a lost peer is noticed, only while some thread is inside one
/// of its methods. Dropping it leaves the senders working, but deaf. `WebSocket::from(receiver)`
/// makes a whole connection of it again.
pub struct Receiver {
    pub(super) wire: Arc<Wire>,
    half: ReadHalf,
    pub(super) decoder: Decoder,
    timer: Timer,
    options: Options,
    /// Something is pending that the write lock or the peer did not take yet.
    pending: bool,
    /// How long the closing handshake is waited for.
    closing: RecvDeadline,
    /// The payload of the Ping or Pong that is handed out.
    control: Control,
}

/// How a receiver hands out what it receives.
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
        let (closing, control) = (RecvDeadline::endless(), Control::new(&[]));
        Self { wire, half, decoder, timer, options, pending: false, closing, control }
    }

    /// Waits for the next message. After a [`close`](crate::Sender::close) of this side it goes on
    /// to deliver what the peer sends before its own Close.
    ///
    /// Of a message whose beginning was taken in fragments, the rest is skipped.
    ///
    /// # Errors
    /// [`Error::Closed`] when the connection is over, and [`Error::Protocol`] or
    /// [`Error::Timeout`] when that is why; the same ever after. Whole messages that arrived
    /// before are delivered first.
    pub fn recv(&mut self) -> Result<Message, Error> {
        self.recv_until(Deadline::NEVER)
    }

    /// As [`recv`](Self::recv), but waits no longer than `timeout` in all. Nothing is lost when it
    /// passes, not even in the middle of a frame: call again. Zero takes what has arrived. While a
    /// peer sends without a pause it may take 20 ms longer.
    ///
    /// # Errors
    /// Also [`Timeout::Recv`].
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<Message, Error> {
        self.recv_until(Deadline::after(Some(timeout)))
    }

    /// The next message if it has arrived, `None` if not; does not block.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn try_recv(&mut self) -> Result<Option<Message>, Error> {
        match self.recv_until(Deadline::at(sync::now())) {
            Err(Error::Timeout(Timeout::Recv)) => Ok(None),
            received => received.map(Some),
        }
    }

    fn recv_until(&mut self, deadline: Deadline) -> Result<Message, Error> {
        let mut deadline = RecvDeadline::until(deadline);
        loop {
            // What is not a whole message is the rest of one that was begun in fragments, or a
            // control frame.
            if let Found::Message { .. } = self.next(Delivery::Whole, &mut deadline)? {
                let message = self.decoder.take_message();
                return message.map_err(|violation| self.wire.violated(violation));
            }
        }
    }

    /// Waits for whatever comes next, control frames included, and lends it from the receive
    /// buffer: no copy, and in the steady state no allocation.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn next_event(&mut self) -> Result<Event<'_>, Error> {
        self.event_until(Deadline::NEVER)
    }

    /// As [`next_event`](Self::next_event), but waits no longer than `timeout` in all.
    ///
    /// # Errors
    /// Also [`Timeout::Recv`], after which nothing is lost.
    pub fn next_event_timeout(&mut self, timeout: Duration) -> Result<Event<'_>, Error> {
        self.event_until(Deadline::after(Some(timeout)))
    }

    fn event_until(&mut self, deadline: Deadline) -> Result<Event<'_>, Error> {
        let fragments = self.options.fragments;
        let delivery = if fragments { Delivery::Fragments } else { Delivery::Whole };
        let mut deadline = RecvDeadline::until(deadline);
        loop {
            match self.next(delivery, &mut deadline)? {
                Found::Message { kind, .. } => {
                    return match (kind, self.decoder.message()) {
                        (_, Ok(MessageRef::Text(text))) => Ok(Event::Text(text)),
                        (MessageKind::Binary, Ok(MessageRef::Binary(bytes))) => {
                            Ok(Event::Binary(bytes))
                        }
                        (MessageKind::Text, Ok(MessageRef::Binary(bytes))) => {
                            Ok(Event::RawText(bytes))
                        }
                        (_, Err(violation)) => Err(self.wire.violated(violation)),
                    };
                }
                Found::Fragment { .. } if fragments => {
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

    /// Iterates over the messages.
    ///
    /// The iterator ends without a word after the peer has closed with 1000, 1001 or no code, and
    /// after a closing handshake that the user of this side began. Any other end is its last item,
    /// an error: a Close with 1008, 1011 or 4401 for example, an end without Close, a violation.
    ///
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

    /// Waits for the next message and reads it part by part, however long it is, in constant
    /// memory. `max_message_size` still holds.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn reader(&mut self) -> Result<MessageReader<'_>, Error> {
        self.reader_until(Deadline::NEVER)
    }

    /// As [`reader`](Self::reader), but waits for the beginning of the message no longer than
    /// `timeout` in all. The rest is then waited for as long as it takes: a peer that stops in the
    /// middle is noticed by keepalive.
    ///
    /// # Errors
    /// Also [`Timeout::Recv`], after which nothing is lost.
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
                // A message that was begun whole, before a timeout, is whole.
                Found::Message { kind, .. } => {
                    let message = self.decoder.take_message();
                    let message = message.map_err(|violation| self.wire.violated(violation))?;
                    return Ok(MessageReader::new(self, kind, message.into_bytes(), true));
                }
                _ => {}
            }
        }
    }

    /// Does the whole closing handshake (RFC 6455 section 7): sends Close, discards what still
    /// arrives until the peer's Close, and returns how the connection ended.
    ///
    /// It takes at most `close_timeout`, and two seconds for the peer to end the stream after its
    /// Close; then the connection is cut. If a [`close`](crate::Sender::close) of a sender has
    /// begun the closing handshake, this completes it. A connection that is over already is no
    /// error: this returns how it ended.
    ///
    /// # Errors
    /// [`InvalidInput::Close`](crate::error::InvalidInput::Close) for a code or reason that must
    /// not be sent: nothing happens then.
    pub fn close(&mut self, close: impl Into<CloseFrame>) -> Result<Closed, Error> {
        // Noted only: `finish` sends it, and reads meanwhile.
        match self.wire.ask_close(close.into()) {
            Err(error @ Error::InvalidInput(_)) => Err(error),
            Ok(()) | Err(_) => Ok(self.finish()),
        }
    }

    /// How the connection ended, with both Close frames: also when `recv` says
    /// [`Error::Protocol`] or [`Error::Timeout`]. `None` while it has not.
    #[must_use]
    pub fn closed(&self) -> Option<&Closed> {
        self.wire.close_state.outcome()
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

    /// The round-trip time of the last keepalive ping that was answered; `None` before the first.
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

    /// Sees a closing handshake through that has begun: discards what still arrives, waits for
    /// the peer's Close until `close_timeout`, and a little for the end of the stream.
    fn finish(&mut self) -> Closed {
        self.discard();
        let closed = self.wire.close_state.so_far();
        // What comes after the socket is closed would reset the connection, and destroy the Close
        // that says why.
        if matches!(closed.cause(), Cause::Handshake | Cause::Protocol(_)) {
            self.linger();
        }
        self.wire.duplex.shutdown();
        self.wire.log_sent();
        closed
    }

    /// Discards what still arrives until the connection is over, and gives how it ended: for a
    /// connection that this side has closed or aborted.
    pub(crate) fn discard(&mut self) -> Error {
        self.pending = true;
        self.decoder.stop_gathering();
        loop {
            if let Err(error) = self.next(Delivery::Fragments, &mut RecvDeadline::endless()) {
                return error;
            }
        }
    }

    /// Waits for the end of the stream: reads and forgets, and sends a Close that the peer did not
    /// take before.
    fn linger(&mut self) {
        let deadline = Deadline::after(Some(LINGER));
        let mut buffer = [0; 4 * 1024];
        // A peer that goes on sending does not stretch it.
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

    /// The main loop: finds out what comes next, deals with control frames, flushes what is
    /// pending, reads more. The caller takes a message or a fragment from the decoder; the payload
    /// of a Ping or a Pong is in `control`; a Close is an error.
    pub(super) fn next(
        &mut self,
        delivery: Delivery,
        deadline: &mut RecvDeadline,
    ) -> Result<Found, Error> {
        if let Some(closed) = self.wire.close_state.outcome() {
            if matches!(closed.cause(), Cause::Handshake) {
                let _ = self.wire.flush_pending_until(deadline.until); // If there was no time when it ended.
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
            match found {
                Found::Message { .. } | Found::Fragment { .. } => self.flush_pending(),
                // Pongs are gathered until there is nothing more to take.
                Found::Ping { .. } => self.answer_ping(),
                Found::Pong { .. } => {
                    self.note_pong();
                    self.flush_pending();
                }
                Found::Close { .. } => {
                    return Err(self.wire.peer_closed(self.decoder.close(), deadline.until));
                }
            }
            return Ok(found);
        }
    }

    fn answer_ping(&mut self) {
        self.control = Control::new(self.decoder.control());
        if self.options.auto_pong {
            self.wire.note_pong(self.control);
            self.pending = true;
        }
    }

    fn note_pong(&mut self) {
        self.control = Control::new(self.decoder.control());
        let now = sync::now();
        self.note_ping(now);
        self.timer.pong(self.control.as_bytes(), now);
        if let Some(latency) = self.timer.latency() {
            self.wire.set_latency(latency);
        }
    }

    /// Tells the timer what became of the keepalive ping on the writing side: its time begins when
    /// it is written, and a peer that takes what we write lives.
    fn note_ping(&mut self, now: Instant) {
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

    /// Flushes what is pending as far as that takes no waiting.
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

    /// Reads once, and does what time asks for.
    fn read(&mut self, deadline: Deadline) -> Result<(), Error> {
        // Before anything of an end is looked at: who notes one from now on knows that it must be
        // sent without our help.
        self.wire.note_receiver(ReceiverIs::Reading);
        let received = self.read_once(deadline);
        self.wire.note_receiver(ReceiverIs::Away);
        received
    }

    fn read_once(&mut self, deadline: Deadline) -> Result<(), Error> {
        let now = sync::now();
        let (is_open, close_at) = self.wire.close_state.is_open_and_close_at();
        // The peer's Close may have come in time, and wait to be read.
        self.closing.until = close_at;
        if self.closing.check().is_err() {
            return Err(self.wire.lost(Cause::Timeout(Timeout::Close)));
        }
        if !is_open {
            // Another thread may have asked for the Close, and not been able to write it.
            self.pending = self.wire.flush_pending() == Flushed::Blocked;
        }
        let mut until = deadline.min(close_at).min(self.wire.poll_deadline());
        let mut dying = false;
        // A closing handshake has a limit of its own, and no ping follows our Close.
        if close_at == Deadline::NEVER {
            self.note_ping(now);
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
        // A peer is dead only if nothing is waiting to be read.
        let wait = if dying { Wait::Not } else { Wait::Until(until) };
        let mut read = self.wire.read(&mut self.half, self.decoder.space(), wait);
        if self.half.tls_pending && matches!(&read, Err(error) if is_timeout(error)) {
            // It came back to say something, and may not have looked what waits to be read.
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
                // A sender may have run out of time with something of ours.
                self.pending = true;
                self.decoder.shrink();
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
                self.flush_pending(); // An alert tells the peer what TLS did not like.
                Err(self.lost(transport_failed(error)))
            }
        }
    }

    /// The connection is lost, and perhaps because of keepalive.
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
    /// Takes what has arrived out of the socket, without waiting: closing a socket with unread
    /// bytes would reset the connection, and destroy a Close frame that is on its way.
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
