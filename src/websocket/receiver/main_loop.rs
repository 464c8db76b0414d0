//! The main loop of a receiver: it finds what comes next, and reads more. While it runs, pings are
//! answered, keepalive pings are sent, and what is pending is flushed.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{DeliveryMode, Receiver};
use crate::error::{Cause, Error, Timeout};
use crate::log;
use crate::net::deadline::{Deadline, Grace};
use crate::net::duplex::{ReadHalf, Wait, is_timeout};
use crate::net::tls;
use crate::proto::keepalive::Due;
use crate::proto::message::Message;
use crate::proto::recv::Found;
use crate::sync;
use crate::websocket::counters::{Compression, Traffic};
use crate::websocket::pending::{Control, Flushed};
use crate::websocket::wire::{LastPing, ReceiverIs, Wire};

/// The pause before a Pong is tried again that the peer did not take, because it is not reading.
pub(super) const RETRY: Duration = Duration::from_millis(10);
/// The interval at which a thread in `recv` looks for a rest of `try_send`.
const REST_POLL: Duration = Duration::from_secs(1);
/// The most bytes that a call that does not wait reads at once. They take the kernel about 0.1 ms.
const TRY_READ: usize = 256 * 1024;
/// The interval at which the memory of the senders is freed while reads find nothing. Zero in the
/// models, where time stands still.
const RELEASE_INTERVAL: Duration =
    if cfg!(any(loom, shuttle)) { Duration::ZERO } else { Duration::from_secs(1) };

impl Receiver {
    /// Waits for the next message until the deadline, and returns it whole.
    #[inline]
    pub(super) fn recv_until(&mut self, deadline: Deadline) -> Result<Message, Error> {
        self.recv_by(RecvDeadline::until(deadline))
    }

    #[inline]
    pub(super) fn recv_by(&mut self, deadline: RecvDeadline) -> Result<Message, Error> {
        if self.buffered(DeliveryMode::Whole).is_none() {
            self.wait_for_message(deadline)?;
        }
        self.decoder.take_message().map_err(|violation| self.wire.violated(violation))
    }

    /// Waits until a message is found.
    #[inline(never)] // So that the short way stays short.
    fn wait_for_message(&mut self, mut deadline: RecvDeadline) -> Result<(), Error> {
        // Anything else is a control frame, or the rest of a message that was begun in fragments.
        while !matches!(self.next(DeliveryMode::Whole, &mut deadline)?, Found::Message { .. }) {}
        Ok(())
    }

    /// Finds what comes most often, by a short way: a short message that is whole in the buffer,
    /// while nothing is to be flushed. `None` leaves it to [`next`](Self::next).
    #[inline(always)] // Whether the compiler does it by itself depends on code far away.
    pub(super) fn buffered(&mut self, delivery: DeliveryMode) -> Option<Found> {
        let is_over = self.wire.close_state.outcome().is_some();
        if is_over || self.pending || self.half.tls_pending {
            return None;
        }
        let found = self.decoder.short_message(delivery)?;
        self.frames.messages += 1;
        log::received(found);
        Some(found)
    }

    /// Returns what comes next. The caller takes a message or a fragment from the decoder. The
    /// payload of a Ping or a Pong is in `control`. A Close is an error.
    pub(in crate::websocket) fn next(
        &mut self,
        delivery: DeliveryMode,
        deadline: &mut RecvDeadline,
    ) -> Result<Found, Error> {
        if self.wire.close_state.outcome().is_some() {
            return Err(self.ended(deadline.until));
        }
        // Only the time of the calls counts, and not the caller's time between them.
        self.closing.grace.go_on();
        let found = match self.answer_by {
            None => self.main_loop(delivery, deadline),
            Some(by) => Err(self.answer_close(deadline.until, by)),
        };
        self.closing.grace.stop();
        found.inspect_err(|_| self.publish())
    }

    /// Returns the error of a connection that is over.
    #[cold]
    fn ended(&self, deadline: Deadline) -> Error {
        let closed = self.wire.close_state.so_far();
        if matches!(closed.cause(), Cause::Close) {
            // The call that saw the end may have had no time to write our Close.
            let _ = self.wire.flush_pending_until(deadline);
        }
        self.publish();
        closed.into()
    }

    /// Asks the decoder what comes next, flushes what is pending and reads more until there is
    /// something, and deals with it if it is a control frame.
    fn main_loop(
        &mut self,
        delivery: DeliveryMode,
        deadline: &mut RecvDeadline,
    ) -> Result<Found, Error> {
        let found = loop {
            let found = self.decoder.advance(delivery);
            if let Some(found) = found.map_err(|violation| self.wire.violated(violation))? {
                break found;
            }
            self.flush_pending();
            deadline.check()?;
            self.read(deadline.until)?;
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
                let by = self.wire.peer_closed(self.decoder.close());
                self.answer_by = Some(by);
                return Err(self.answer_close(deadline.until, by));
            }
        }
        Ok(found)
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
        self.wire.counters.received.set(self.half.bytes, self.frames, self.compression());
    }

    /// Returns what was received so far.
    pub(in crate::websocket) fn received(&self) -> Traffic {
        Traffic::new(self.half.bytes, self.frames, self.compression())
    }

    fn compression(&self) -> Compression {
        let (compressed, uncompressed) = self.decoder.inflated();
        Compression { uncompressed, compressed }
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
        // A ping that is answered was written, even if the thread that wrote it has not yet said
        // so.
        if self.timer.is_waiting() {
            if let LastPing::Written(at, position) = self.wire.take_ping() {
                self.timer.sent(at, position);
            }
        }
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
    pub(super) fn flush_pending(&mut self) {
        if std::mem::take(&mut self.half.tls_pending) {
            self.wire.note_tls();
            self.pending = true;
        }
        if self.pending {
            self.pending = self.wire.flush_pending() == Flushed::Blocked;
            self.wire.sent_log.write();
        }
    }

    /// Reads once, by the earliest deadline. Sends a keepalive ping if one is due.
    fn read(&mut self, deadline: Deadline) -> Result<(), Error> {
        // This comes before the close state is read. A thread that notes a Close from now on sees
        // that it must write the Close itself.
        self.publish();
        *self.wire.receiver.lock() = ReceiverIs::Reading;
        let received = self.read_once(deadline);
        *self.wire.receiver.lock() = ReceiverIs::Away;
        received
    }

    fn read_once(&mut self, deadline: Deadline) -> Result<(), Error> {
        let now = sync::now();
        let (is_open, close_at) = self.wire.close_state.is_open_and_close_at();
        let left = *self.wire.left.lock();
        if !self.pending && left.blocked_since.is_some() {
            self.pending = true; // A rest of `try_send`.
            self.flush_pending();
        }
        if !is_open {
            self.go_on_closing(close_at)?;
        }
        let poll = self.wire.poll_interval;
        let poll = if left.has_tried { poll.min(REST_POLL) } else { poll };
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
        let read = self.read_stream(wait, if may_wait { usize::MAX } else { TRY_READ });
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
                self.release_memory(now);
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

    /// Goes on with the closing handshake, which must be over at `close_at`.
    fn go_on_closing(&mut self, close_at: Deadline) -> Result<(), Error> {
        // The peer's Close may have arrived in time, and still be unread.
        self.closing.until = close_at;
        if self.closing.check().is_err() {
            return Err(self.wire.lost(Cause::Timeout(Timeout::Close)));
        }
        // Another thread may have asked for the Close, and not been able to write it. The thread
        // that has the writer now may be one that does not wait until there is room.
        self.pending = self.wire.flush_pending() != Flushed::Done;
        self.wire.sent_log.write();
        Ok(())
    }

    /// Reads at most `most` bytes into the decoder's space.
    fn read_stream(&mut self, wait: Wait, most: usize) -> io::Result<usize> {
        let space = self.decoder.space();
        let len = space.len().min(most);
        let read = read_from(&self.wire, &mut self.half, &mut space[..len], wait);
        if !self.half.tls_pending || !matches!(&read, Err(error) if is_timeout(error)) {
            return read;
        }
        // The read returned early because TLS has output. It may not have read the socket, so read
        // once more, without waiting.
        self.flush_pending();
        read_from(&self.wire, &mut self.half, &mut self.decoder.space()[..len], Wait::Not)
    }

    /// Frees the memory that an idle connection does not need, after a read that began at `began`
    /// and found nothing. The memory of the senders is freed once a second at most: a loop that
    /// does not wait may send between two such reads.
    fn release_memory(&mut self, began: Instant) {
        self.decoder.shrink();
        let since = *self.empty_since.get_or_insert(began);
        if sync::now().saturating_duration_since(since) < RELEASE_INTERVAL {
            return;
        }
        self.empty_since = None;
        self.wire.release_memory();
        if let Some(deflation) = &self.wire.deflation {
            deflation.shrink();
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

/// Reads from the stream. A panic of a stream that the user brought ends the connection.
pub(super) fn read_from(
    wire: &Wire,
    half: &mut ReadHalf,
    buf: &mut [u8],
    wait: Wait,
) -> io::Result<usize> {
    let read = catch_unwind(AssertUnwindSafe(|| wire.duplex.read(half, buf, wait)));
    read.unwrap_or_else(|panic| wire.read_panicked(panic))
}

/// Holds the deadline of one call. After the deadline, bytes that have arrived are still taken, but
/// only for a short time, so that a peer that never stops sending cannot extend the call.
pub(in crate::websocket) struct RecvDeadline {
    until: Deadline,
    grace: Grace,
}

impl RecvDeadline {
    pub(super) fn until(until: Deadline) -> Self {
        Self { until, grace: Grace::after_wait() }
    }

    /// Returns the deadline of a call that does not wait.
    pub(super) fn now() -> Self {
        Self { until: Deadline::at(sync::now()), grace: Grace::of_try() }
    }

    pub(in crate::websocket) fn endless() -> Self {
        Self::until(Deadline::NEVER)
    }

    /// Fails if the deadline and the grace after it are over.
    fn check(&mut self) -> Result<(), Error> {
        if self.until.is_past() && self.grace.is_over() {
            return Err(Error::Timeout(Timeout::Recv));
        }
        Ok(())
    }
}

fn transport_failed(error: io::Error) -> Cause {
    match tls::error_within(error) {
        Ok(error) => Cause::Tls(Arc::new(error)),
        Err(error) => Cause::Io(Arc::new(error)),
    }
}
