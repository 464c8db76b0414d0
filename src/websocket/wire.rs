//! What the receiver and the senders share, and how frames are written.
//!
//! # Locks, in the order in which they are taken
//!
//! ```text
//!   senders                                      receiver
//!      |                                            |
//!   message lock   one message, whole               |   never waits for
//!      |                                            |   these two
//!   write lock     the queue in front of `out`      |
//!      |                                            |
//!      +---- lock() ------> out <---- try_lock() ---+   the frames staged, the encoder
//!                            |                      |
//!                           TLS  <------------------+   for computing only, never
//!                                                       across a system call
//!
//!   leaves, held for a few instructions, at any time: close state, pending, ping,
//!   peer_read, receiver, latency, sent_log
//! ```
//!
//! * A control frame takes the write lock without the message lock, so it may go between the frames
//!   of a message.
//! * The receiver holds none of these while it waits in a read. It never waits for the message lock
//!   or the write lock: two peers that flood each other would deadlock. It notes what must be sent
//!   (`pending.rs`) and flushes it if `try_lock` gets `out`. A thread that releases `out` looks
//!   again at what is pending.
//! * The compressor's lock is taken between the message lock and the write lock. The receiver only
//!   tries it, when the connection is idle.
//! * `pending` is taken inside the close state, so that a Close is pending before any other thread
//!   learns that the connection closes. A thread that waits for one of the first two locks checks
//!   the close state inside the lock's own queue.
//!
//! `model/` runs all of it in every order of its threads.

use std::io;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) use super::fair_lock::FairGuard;
pub(crate) use super::pending::{Control, Flushed};

use super::close_state::{CloseReason, CloseState};
use super::compression::Deflation;
use super::fair_lock::{FairLock, LockError};
use super::pending::Pending;
use crate::error::{Cause, Error, InvalidInput, Timeout};
use crate::log::SentLog;
use crate::net::deadline::Deadline;
use crate::net::duplex::{Duplex, ReadHalf, Wait, WriteHalf, is_timeout};
use crate::proto::Violation;
use crate::proto::close::{CloseCode, CloseFrame};
use crate::proto::frame::{MAX_HEADER, Opcode};
use crate::proto::http::Response;
use crate::proto::send::{Encoder, MaskKeys, Refused};
use crate::sync::{Mutex, MutexGuard, PoisonMutex, now, panicking};

/// The number of bytes that are encoded, and handed to the system, at a time: small enough for the
/// cache.
pub(crate) const CHUNK: usize = 64 * 1024;
/// The same for a message of at least this size, without TLS. Each chunk wakes a waiting peer, so
/// fewer and bigger chunks are faster.
const BIG_CHUNK: usize = 256 * 1024;
/// Lower bound on how often a blocked call wakes up to check for a `close` from another thread,
/// even if `close_timeout` is shorter.
const MIN_POLL: Duration = Duration::from_millis(20);
/// How often a write that waits for the peer reports how much the peer has read.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);
/// How often a blocked call wakes up without a `close_timeout`.
const IDLE_POLL: Duration = Duration::from_secs(5);

/// The timeouts of an open connection; `None` is never.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeouts {
    pub(crate) write: Option<Duration>,
    pub(crate) close: Option<Duration>,
}

#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) duplex: Duplex,
    pub(crate) response: Response,
    pub(crate) subprotocol: Option<String>,
    pub(crate) deflation: Option<Deflation>,
    pub(super) timeouts: Timeouts,
    /// Held for a whole message, so that no other message comes between its fragments.
    pub(super) message_lock: FairLock,
    /// Queue in front of `out`. Senders wait here; the receiver uses `try_lock` on `out` and never
    /// waits.
    pub(super) write_lock: FairLock,
    pub(super) out: PoisonMutex<Out>,
    pub(super) pending: Pending,
    pub(crate) close_state: CloseState,
    /// The last round-trip time. Not an atomic: many 32-bit targets have none of 64 bits.
    pub(super) latency: Mutex<Option<Duration>>,
    pub(super) ping: Mutex<LastPing>,
    /// When the peer last read something of ours: the stream had room again. The receiver takes it.
    pub(super) peer_read: Mutex<Option<Instant>>,
    pub(super) receiver: Mutex<ReceiverIs>,
    pub(super) sent_log: SentLog,
}

/// Where the receiver is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ReceiverIs {
    /// Not in a read.
    #[default]
    Away,
    /// Waiting for the peer, or about to.
    Reading,
    /// Dropped.
    Gone,
}

/// Where the last keepalive ping is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum LastPing {
    /// There is none that the receiver must know of.
    #[default]
    None,
    /// Noted or staged, and not written yet.
    Queued,
    /// Written at this time, after this number of bytes. The receiver does not know it yet.
    Written(Instant, u64),
}

/// The writer's state, which only one thread at a time may use.
#[derive(Debug)]
pub(crate) struct Out {
    pub(super) half: WriteHalf,
    pub(super) encoder: Encoder,
    /// A write failed, perhaps in the middle of a frame. Nothing can be written any more.
    pub(super) broken: bool,
    /// Set when the receiver has seen the end. Once our Close is flushed, half-close the stream
    /// (section 7.1.1).
    pub(super) ends: bool,
    pub(super) ended: bool,
    /// Since when the receiver cannot flush, because the peer does not read.
    pub(super) blocked_since: Option<Instant>,
    /// The number of bytes before a keepalive ping that is staged.
    pub(super) ping_staged: Option<u64>,
    /// Our Close is written, and the close state knows it.
    pub(super) close_sent: bool,
}

impl Out {
    pub(super) fn must_end(&self) -> bool {
        self.ends && !self.ended && self.encoder.is_closed()
    }
}

impl Wire {
    pub(crate) fn new(
        duplex: Duplex,
        response: Response,
        subprotocol: Option<String>,
        timeouts: Timeouts,
    ) -> Self {
        let keys = MaskKeys::new(|pool| getrandom::fill(pool).map_err(|_| Refused::NoRandom));
        let out = Out {
            half: WriteHalf::default(),
            encoder: Encoder::new(keys),
            broken: false,
            ends: false,
            ended: false,
            blocked_since: None,
            ping_staged: None,
            close_sent: false,
        };
        Self {
            duplex,
            response,
            subprotocol,
            deflation: None,
            timeouts,
            message_lock: FairLock::default(),
            write_lock: FairLock::default(),
            out: PoisonMutex::new(out),
            pending: Pending::default(),
            close_state: CloseState::default(),
            latency: Mutex::default(),
            ping: Mutex::default(),
            peer_read: Mutex::default(),
            receiver: Mutex::default(),
            sent_log: SentLog::default(),
        }
    }

    /// Returns when a blocked call must wake up and check for a `close` from another thread: late
    /// enough to cost nothing, early enough to hold that `close` to its deadline.
    pub(crate) fn poll_deadline(&self) -> Deadline {
        let timeout = self.timeouts.close.unwrap_or(IDLE_POLL);
        Deadline::after(Some(timeout.max(MIN_POLL)))
    }

    pub(crate) fn latency(&self) -> Option<Duration> {
        *self.latency.lock()
    }

    pub(crate) fn set_latency(&self, latency: Duration) {
        *self.latency.lock() = Some(latency);
    }
}

#[cfg(test)]
impl Wire {
    /// Sets other masking keys, or none.
    #[cfg_attr(any(loom, shuttle), allow(dead_code))]
    pub(crate) fn set_mask_keys(&self, keys: MaskKeys) {
        self.lock_out().encoder = Encoder::new(keys);
    }
}

/// Sending.
impl Wire {
    /// Returns a guard that logs what was sent when it is dropped. Create it before any lock is
    /// taken.
    pub(crate) fn logs_sent(&self) -> LogsSent<'_> {
        LogsSent(self)
    }

    /// Logs what was sent. The caller holds no lock.
    pub(crate) fn log_sent(&self) {
        self.sent_log.write();
    }

    /// Waits for the message lock.
    pub(crate) fn lock_message(&self) -> Result<FairGuard<'_>, Error> {
        self.lock(&self.message_lock, || Deadline::after(self.timeouts.write))
    }

    fn lock<'a>(
        &self,
        lock: &'a FairLock,
        deadline: impl FnOnce() -> Deadline,
    ) -> Result<FairGuard<'a>, Error> {
        lock.lock(deadline, || self.close_state.is_open()).map_err(|none| match none {
            LockError::Closed => Error::Closed(self.close_state.so_far()),
            LockError::TimedOut => Error::Timeout(Timeout::Busy),
        })
    }

    /// Writes a control frame, which does not need the message lock.
    pub(crate) fn write_control(&self, opcode: Opcode, payload: &[u8]) -> Result<(), Error> {
        let deadline = || Deadline::after(self.timeouts.write);
        let put = |out: &mut Out, deadline| self.put(out, opcode, true, false, payload, deadline);
        self.write_locked(deadline, deadline, put)
    }

    /// Takes the write lock, lets `write` put frames of a message, flushes them and what is pending,
    /// and releases the lock. The caller holds the message lock. A message in several parts has one
    /// deadline, which the first part sets; it includes waiting for the write lock.
    pub(crate) fn write(
        &self,
        deadline: &mut Option<Deadline>,
        write: impl FnOnce(&mut Out, Deadline) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let deadline = *deadline.get_or_insert_with(|| Deadline::after(self.timeouts.write));
        self.write_locked(|| deadline, || deadline, write)
    }

    fn write_locked(
        &self,
        lock_by: impl FnOnce() -> Deadline,
        deadline: impl FnOnce() -> Deadline,
        write: impl FnOnce(&mut Out, Deadline) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if let Some(closed) = self.close_state.outcome() {
            return Err(Error::Closed(closed.clone())); // The receiver may hold `out` for a while.
        }
        let _lock = self.lock(&self.write_lock, lock_by)?;
        let mut out = self.lock_out();
        let deadline = deadline();
        let mut done = self.check(&out);
        if done.is_ok() {
            // Send pending control frames first. If one is a Close, this message can no longer be
            // sent.
            self.stage_pending(&mut out);
            done = self.check(&out);
        }
        if done.is_ok() {
            done = write(&mut out, deadline).and_then(|()| self.flush(&mut out, deadline));
        }
        self.release(out, deadline);
        done
    }

    /// Ends the connection, because the rest of a message that was begun cannot be sent in time.
    pub(crate) fn overdue(&self) {
        self.close_state.write_failed(&Cause::Timeout(Timeout::Send));
        self.wake_all();
        self.duplex.shutdown();
    }

    /// Returns whether a frame with `len` bytes of payload still fits into the chunk.
    pub(crate) fn has_room(&self, out: &mut Out, len: usize) -> bool {
        self.duplex.stage(&mut out.half).len().saturating_add(len) <= CHUNK
    }

    /// Encodes a frame. Writes only when a chunk is full.
    pub(crate) fn put(
        &self,
        out: &mut Out,
        opcode: Opcode,
        fin: bool,
        compressed: bool,
        payload: &[u8],
        deadline: Deadline,
    ) -> Result<(), Error> {
        let len = payload.len() as u64;
        if self.duplex.stage(&mut out.half).len() >= CHUNK {
            self.flush_chunk(out, deadline)?; // Many empty messages fill a chunk too.
        }
        let big = payload.len() >= BIG_CHUNK && !self.duplex.is_tls();
        let chunk = if big { BIG_CHUNK } else { CHUNK };
        let stage = self.duplex.stage(&mut out.half);
        if payload.len() > CHUNK / 4 {
            // `reserve` would double it, and the surplus would be given back each time.
            stage.reserve_exact((chunk + MAX_HEADER).saturating_sub(stage.len()));
        }
        let begun = out.encoder.begin_frame(opcode, fin, compressed, len, stage);
        let mut body = begun.map_err(|refused| self.refused(refused))?;
        self.sent_log.note(opcode, payload.len());
        let mut rest = payload;
        loop {
            let stage = self.duplex.stage(&mut out.half);
            // The last bytes may exceed the chunk by a header's length: they shall not need a system
            // call of their own.
            let fits = stage.len() + rest.len() <= chunk + MAX_HEADER;
            let room = if fits { rest.len() } else { chunk.saturating_sub(stage.len()) };
            let (now, later) = rest.split_at(room);
            body.append(now, stage);
            rest = later;
            if rest.is_empty() {
                return Ok(());
            }
            self.flush_chunk(out, deadline)?;
        }
    }

    /// Begins the closing handshake. The Close is written as soon as `out` is free.
    pub(crate) fn close(&self, close: CloseFrame) -> Result<(), Error> {
        self.ask_close(close)?;
        if !self.receiver_will_look() {
            if let Some(mut out) = self.try_lock_out() {
                let deadline = Deadline::after(self.timeouts.write);
                self.stage_pending(&mut out);
                // A failure shows in `recv`, and in the next call.
                let _ = self.flush(&mut out, deadline);
                self.release(out, deadline);
            }
        } else {
            // This may be the receiver's thread, and the peer may wait for us to read.
            self.flush_pending();
        }
        Ok(())
    }

    pub(crate) fn note_receiver(&self, receiver: ReceiverIs) {
        *self.lock_receiver() = receiver;
    }

    /// Returns whether the receiver has still to look for a Close that another thread noted: it
    /// does so before it waits for the peer.
    fn receiver_will_look(&self) -> bool {
        *self.lock_receiver() == ReceiverIs::Away
    }

    fn lock_receiver(&self) -> MutexGuard<'_, ReceiverIs> {
        self.receiver.lock()
    }

    /// Notes a Close to send. The next flush of what is pending writes it.
    pub(crate) fn ask_close(&self, close: CloseFrame) -> Result<(), Error> {
        if !close.is_sendable() {
            return Err(InvalidInput::Close.into());
        }
        if let Some(closed) = self.close_state.outcome() {
            return Err(Error::Closed(closed.clone()));
        }
        if !self.request_close(close, CloseReason::User) {
            return Err(Error::Closed(self.close_state.so_far()));
        }
        Ok(())
    }

    /// Fails once anything is known that ends the connection. A Close that is noted and not sent yet
    /// is enough: no message may go out before it.
    fn check(&self, out: &Out) -> Result<(), Error> {
        if !self.close_state.is_open() || out.broken || out.encoder.is_closed() {
            return Err(Error::Closed(self.close_state.so_far()));
        }
        Ok(())
    }

    pub(crate) fn refused(&self, refused: Refused) -> Error {
        match refused {
            Refused::AfterClose => Error::Closed(self.close_state.so_far()),
            Refused::ControlTooLong => InvalidInput::ControlTooLong.into(),
            Refused::InvalidClose => InvalidInput::Close.into(),
            Refused::NoRandom | Refused::NotCompressed => Error::Local(io::Error::other(refused)),
        }
    }

    /// Writes all that is staged, and waits until the system has taken it.
    pub(crate) fn flush(&self, out: &mut Out, deadline: Deadline) -> Result<(), Error> {
        while !out.broken {
            let mut until = deadline.min(Deadline::at(self.close_state.close_at()));
            if self.duplex.stream().resumes_writes() {
                until = until.min(self.poll_deadline());
                // The receiver must learn from time to time that the peer reads.
                until = until.min(Deadline::after(Some(PROGRESS_INTERVAL)));
            }
            match self.write_staged(out, Wait::Until(until)) {
                Ok(()) => {
                    self.note_flushed(out);
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.in_time(out, deadline)?;
                }
                Err(error) => return Err(self.broken(out, self.write_failure(error))),
            }
        }
        Err(Error::Closed(self.close_state.so_far()))
    }

    /// Flushes, and checks the deadline even if all was written, because more follows: a peer that
    /// always takes a little must not extend the deadline.
    fn flush_chunk(&self, out: &mut Out, deadline: Deadline) -> Result<(), Error> {
        self.flush(out, deadline)?;
        self.in_time(out, deadline)
    }

    fn in_time(&self, out: &mut Out, deadline: Deadline) -> Result<(), Error> {
        let late = if deadline.is_past() {
            Timeout::Send
        } else if Deadline::at(self.close_state.close_at()).is_past() {
            Timeout::Close
        } else {
            return Ok(());
        };
        Err(self.broken(out, Cause::Timeout(late)))
    }

    /// Returns why a write failed that cannot be made again.
    pub(super) fn write_failure(&self, error: io::Error) -> Cause {
        if !is_timeout(&error) {
            return Cause::Io(Arc::new(error));
        }
        let closing = Deadline::at(self.close_state.close_at()).is_past();
        Cause::Timeout(if closing { Timeout::Close } else { Timeout::Send })
    }

    /// Writes what is staged. A stream of the caller's may panic, and half a frame may be written
    /// then.
    pub(super) fn write_staged(&self, out: &mut Out, wait: Wait) -> io::Result<()> {
        let written = catch_unwind(AssertUnwindSafe(|| self.duplex.flush(&mut out.half, wait)));
        let written = written.unwrap_or_else(|panic| {
            let error = io::Error::other("the stream panicked in a write");
            self.broken(out, Cause::Io(Arc::new(error)));
            resume_unwind(panic)
        });
        if self.duplex.made_room(&mut out.half) {
            self.note_peer_read(now());
        }
        written
    }

    /// Reads what has arrived. A stream of the caller's may panic, and what it took is lost then.
    pub(crate) fn read(
        &self,
        half: &mut ReadHalf,
        buf: &mut [u8],
        wait: Wait,
    ) -> io::Result<usize> {
        let read = catch_unwind(AssertUnwindSafe(|| self.duplex.read(half, buf, wait)));
        read.unwrap_or_else(|panic| {
            let error = io::Error::other("the stream panicked in a read");
            self.lost(Cause::Io(Arc::new(error)));
            resume_unwind(panic)
        })
    }

    pub(super) fn note_flushed(&self, out: &mut Out) {
        out.blocked_since = None;
        if out.encoder.is_closed() && !mem::replace(&mut out.close_sent, true) {
            self.close_state.close_sent();
        }
        if let Some(position) = out.ping_staged.take() {
            self.set_last_ping(LastPing::Written(now(), position));
        }
        if out.must_end() {
            out.ended = true;
            self.duplex.finish(&mut out.half);
        }
    }

    /// Notes that a write failed. Half a frame may be written, so nothing can be sent any more.
    pub(super) fn broken(&self, out: &mut Out, cause: Cause) -> Error {
        out.broken = true;
        self.set_last_ping(LastPing::None);
        out.blocked_since = None; // What is pending is dropped, not tried again.
        self.close_state.write_failed(&cause);
        self.wake_all();
        let timed_out = matches!(cause, Cause::Timeout(Timeout::Send));
        use io::ErrorKind::{BrokenPipe, ConnectionReset};
        let ends_by_itself = matches!(&cause, Cause::Io(error)
            if matches!(error.kind(), BrokenPipe | ConnectionReset));
        if !ends_by_itself {
            // The peer may stay silent, so shut the socket down to wake a blocked `recv`.
            self.duplex.shutdown();
        }
        if timed_out && !self.close_state.is_aborted() {
            return Error::Timeout(Timeout::Send);
        }
        Error::Closed(self.close_state.so_far())
    }
}

/// Closing.
impl Wire {
    /// Answers the peer's Close frame, and ends the connection. The peer sends nothing more, so
    /// waiting until it takes the answer cannot deadlock.
    pub(crate) fn peer_closed(&self, close: CloseFrame, deadline: Deadline) -> Error {
        // Section 5.5.1: the answer has the code that was received.
        let reply = close.code.map_or_else(CloseFrame::empty, CloseFrame::from);
        self.request_close(reply, CloseReason::Reply);
        self.close_state.peer_closed(close);
        self.pending.note_end();
        if self.flush_pending_until(deadline) == Flushed::Blocked {
            self.close_state.close_not_taken();
        }
        self.end(Cause::Handshake)
    }

    /// Fails the connection (section 7.1.7): sends the code of the violation; nothing more is read.
    pub(crate) fn violated(&self, violation: Violation) -> Error {
        self.request_close(violation.close_code().into(), CloseReason::Failure);
        self.end(Cause::Protocol(violation))
    }

    /// Closes the connection because of a failure on this side. Waits until the peer takes the
    /// Close, unless the receiver will send it: it may be that no other thread does so later.
    pub(crate) fn give_up(&self, why: &str) {
        if self.close_state.outcome().is_none() {
            self.request_close((CloseCode::INTERNAL_ERROR, why).into(), CloseReason::Failure);
            if self.receiver_will_look() {
                self.flush_pending();
            } else {
                self.flush_pending_until(Deadline::NEVER);
            }
        }
    }

    /// Ends the connection because the stream ended or failed, or a deadline passed.
    pub(crate) fn lost(&self, cause: Cause) -> Error {
        if self.close_is_unsent() {
            self.close_state.close_not_taken();
        }
        self.end(self.close_state.first_cause(cause))
    }

    /// Returns whether our Close, if there is one, was certainly not written. The receiver does not
    /// wait for a thread that may be writing it just now.
    fn close_is_unsent(&self) -> bool {
        self.pending.has_close() || self.try_lock_out().is_some_and(|out| !out.close_sent)
    }

    /// Sends a Close as far as that takes no waiting, and ends the connection.
    pub(crate) fn leave(&self) {
        if self.close_state.outcome().is_none() {
            self.request_close(CloseCode::GOING_AWAY.into(), CloseReason::Failure);
        }
        self.flush_pending();
        self.duplex.shutdown();
    }

    /// Ends the connection at once, and wakes all threads that block in it.
    pub(crate) fn abort(&self) {
        self.close_state.abort(|| self.duplex.stop_writes());
        self.wake_all();
        self.duplex.shutdown();
    }

    /// Notes a Close to send, unless there is one already.
    fn request_close(&self, close: CloseFrame, reason: CloseReason) -> bool {
        let note = || self.pending.note_close(close.clone());
        let first = self.close_state.close(&close, reason, self.timeouts.close, note);
        if first {
            self.wake_all();
        }
        first
    }

    /// Makes all threads that wait for a lock check whether the connection is still open.
    fn wake_all(&self) {
        self.message_lock.wake_all();
        self.write_lock.wake_all();
    }

    fn end(&self, cause: Cause) -> Error {
        let says_close = matches!(cause, Cause::Handshake | Cause::Protocol(_));
        let closed = self.close_state.finish(cause).clone();
        self.wake_all();
        if says_close && !self.close_state.is_aborted() {
            self.pending.note_end();
            self.flush_pending();
        } else {
            self.duplex.shutdown();
        }
        closed.into()
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Logs what was sent when it is dropped. All locks must be released before that.
#[derive(Debug)]
pub(crate) struct LogsSent<'a>(&'a Wire);

impl Drop for LogsSent<'_> {
    fn drop(&mut self) {
        if !panicking() {
            self.0.log_sent();
        }
    }
}
