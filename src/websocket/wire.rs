//! [`Wire`]: all that the receiver and the senders share, and how a connection is closed.
//!
//! # Locks, in the order in which they are taken
//!
//! ```text
//!   senders                                      receiver
//!      |                                            |
//!   message lock   for one whole message            |   never waits for
//!      |                                            |   these two
//!   write lock     a queue in front of `writer`     |
//!      |                                            |
//!      +---- lock() ----> writer <--- try_lock() ---+   the encoder, the staged bytes
//!                            |                      |
//!                           TLS  <------------------+   for computing only, never
//!                                                       across a system call
//!
//!   the last locks, each held for a few instructions, at any time: close state,
//!   pending, ping, peer_read, receiver, left, latency, sent_log
//! ```
//!
//! * A control frame takes the write lock without the message lock, so it may go between the frames
//!   of a message.
//! * The receiver holds none of these while it waits in a read. It never waits for the message lock
//!   or the write lock, because two peers that flood each other would deadlock. Only when the peer
//!   has closed does it wait, for a time, until `writer` is free. The receiver notes what must be
//!   sent (`pending.rs`), and flushes it if `try_lock` gets `writer`. A thread that releases
//!   `writer` looks again at what is pending.
//! * The compressor's lock is taken between the message lock and the write lock. The receiver only
//!   tries it, when the connection is idle.
//! * The close state and `pending` have an atomic each, set under their lock. So a message takes
//!   neither lock while the connection is open and nothing is pending.
//! * `pending` is taken inside the close state, so that a Close is pending before any other thread
//!   learns that the connection closes. A thread that waits for one of the first two locks checks
//!   the close state inside the lock's own queue.
//!
//! `model/` runs all of this in many orders of the threads.

use std::any::Any;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::close_state::{CloseReason, CloseState};
use super::compression::Deflation;
use super::counters::Published;
use super::fair_lock::FairLock;
use super::pending::{Flushed, Pending};
use super::write_lock::WriteLock;
use crate::error::{Cause, Closed, Error, InvalidInput, Timeout};
use crate::log::SentLog;
use crate::net::deadline::Deadline;
use crate::net::duplex::Duplex;
use crate::net::stopwatch::Spent;
use crate::proto::Violation;
use crate::proto::close::{CloseCode, CloseFrame};
use crate::proto::http::Response;
use crate::proto::send::{EncodeError, MaskKeys};
use crate::sync::{AtomicBool, Mutex, OnceLock, sleep};

/// The shortest interval at which a blocked call wakes up to check for a `close` from another
/// thread, even if `close_timeout` is shorter.
const MIN_POLL: Duration = Duration::from_millis(20);
/// The longest such interval, and the one if there is no `close_timeout`.
const IDLE_POLL: Duration = Duration::from_secs(5);
/// The pause before a thread looks again whether another one is still in `try_send`.
const TRY_AGAIN: Duration = Duration::from_millis(1);

/// Holds the timeouts of an open connection. `None` is no limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeouts {
    pub(crate) write: Option<Duration>,
    pub(crate) close: Option<Duration>,
}

/// Holds all that the two halves of a connection share.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) duplex: Duplex,
    pub(crate) response: Response,
    pub(crate) subprotocol: Option<String>,
    pub(crate) deflation: Option<Deflation>,
    /// The time that opening took.
    pub(crate) spent: Spent,
    pub(super) timeouts: Timeouts,
    /// The time that a blocked call may wait before it checks for a `close` from another thread:
    /// long enough to cost nothing, and short enough to hold that `close` to its deadline.
    pub(super) poll_interval: Duration,
    /// Held for a whole message, so that no other message comes between its fragments.
    pub(super) message_lock: FairLock,
    /// Held while frames are encoded and written.
    pub(super) write_lock: WriteLock,
    pub(super) pending: Pending,
    pub(crate) close_state: CloseState,
    /// The last round-trip time. A mutex, because many 32-bit targets have no atomics of 64 bits.
    pub(super) latency: Mutex<Option<Duration>>,
    pub(super) ping: Mutex<LastPing>,
    /// The last keepalive ping is written and not answered.
    pub(super) awaits_pong: AtomicBool,
    /// The time when the peer last read something of ours, so that the stream had room again. The
    /// receiver takes it.
    pub(super) peer_read: Mutex<Option<Instant>>,
    pub(super) receiver: Mutex<ReceiverIs>,
    pub(super) left: Mutex<Left>,
    /// A reader of the user runs, whose message is being sent.
    pub(super) reader_runs: AtomicBool,
    pub(super) counters: Published,
    pub(super) sent_log: SentLog,
    pub(super) on_sent: OnceLock<OnSent>,
}

/// Is called after messages or control frames were written, with the number of all that were
/// written over this connection. It wraps around. The caller holds the locks of the writer.
pub(crate) struct OnSent(pub(crate) Box<dyn Fn(usize) + Send + Sync>);

impl fmt::Debug for OnSent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnSent")
    }
}

/// Says where the receiver is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum ReceiverIs {
    /// Not in a read.
    #[default]
    Away,
    /// Waiting for the peer, or about to.
    Reading,
    /// Dropped.
    Gone,
}

/// Tells the receiver what senders have left to it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Left {
    /// The time since which the system has not taken all that is staged. The thread that uses the
    /// writer's state publishes it.
    pub(super) blocked_since: Option<Instant>,
    /// `try_send` was called, so a rest may appear at any time.
    pub(super) has_tried: bool,
    /// The number of threads that are in `try_send`.
    pub(super) tries: usize,
}

/// Says where the last keepalive ping is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum LastPing {
    /// There is no ping that the receiver must be told of.
    #[default]
    None,
    /// Noted or staged, and not written yet.
    Queued,
    /// Written at this time, after this number of bytes. The receiver was not told yet.
    Written(Instant, u64),
}

impl Wire {
    pub(crate) fn new(
        duplex: Duplex,
        response: Response,
        subprotocol: Option<String>,
        timeouts: Timeouts,
    ) -> Self {
        let keys = MaskKeys::new(|pool| getrandom::fill(pool).map_err(|_| EncodeError::NoRandom));
        Self {
            duplex,
            response,
            subprotocol,
            deflation: None,
            spent: Spent::default(),
            timeouts,
            poll_interval: timeouts.close.unwrap_or(IDLE_POLL).clamp(MIN_POLL, IDLE_POLL),
            message_lock: FairLock::default(),
            write_lock: WriteLock::new(keys),
            pending: Pending::default(),
            close_state: CloseState::default(),
            latency: Mutex::default(),
            ping: Mutex::default(),
            awaits_pong: AtomicBool::new(false),
            peer_read: Mutex::default(),
            receiver: Mutex::default(),
            left: Mutex::default(),
            reader_runs: AtomicBool::new(false),
            counters: Published::default(),
            sent_log: SentLog::default(),
            on_sent: OnceLock::default(),
        }
    }

    pub(crate) fn latency(&self) -> Option<Duration> {
        *self.latency.lock()
    }

    pub(crate) fn set_latency(&self, latency: Duration) {
        *self.latency.lock() = Some(latency);
    }

    /// Returns whether the receiver will still look for a Close that another thread noted. It looks
    /// before each wait for the peer.
    pub(super) fn receiver_will_look(&self) -> bool {
        *self.receiver.lock() == ReceiverIs::Away
    }
}

/// Closing.
impl Wire {
    /// Begins the closing handshake. The Close is written as soon as `writer` is free.
    pub(crate) fn close(&self, close: CloseFrame) -> Result<(), Error> {
        self.ask_close(close)?;
        if self.receiver_will_look() {
            // This may be the receiver's thread, and the peer may wait for us to read.
            self.flush_pending();
            return Ok(());
        }
        if let Some(mut writer) = self.try_lock_writer() {
            writer.stage_pending();
            // A failure shows in `recv`, and in the next call.
            let _ = writer.flush(&mut self.write_limit());
        }
        // Other threads may have noted something meanwhile.
        self.flush_behind_tries(Deadline::NEVER);
        Ok(())
    }

    /// Flushes what is pending, and waits for the peer as [`flush_pending_until`] does. A thread
    /// that sends flushes it when it is done, but one in `try_send` does not wait for the peer: so
    /// this waits until that thread has released `writer`.
    ///
    /// [`flush_pending_until`]: Self::flush_pending_until
    fn flush_behind_tries(&self, deadline: Deadline) -> Flushed {
        let until = deadline.min(self.close_state.close_at()).min(self.write_deadline());
        loop {
            let is_trying = self.left.lock().tries > 0;
            let flushed = self.flush_pending_until(until);
            if flushed == Flushed::Done || !is_trying || until.is_past() {
                return flushed;
            }
            sleep(TRY_AGAIN);
        }
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

    /// Notes the peer's Close frame. Returns until when the peer must take the answer, which
    /// [`answer_close`](Self::answer_close) writes.
    pub(crate) fn peer_closed(&self, close: CloseFrame) -> Deadline {
        // RFC 6455 section 5.5.1: the answer has the code that was received.
        let reply = close.code.map_or_else(CloseFrame::empty, CloseFrame::from);
        self.request_close(reply, CloseReason::Reply);
        self.close_state.peer_closed(close);
        self.pending.note_end();
        self.close_state.close_at().min(self.write_deadline())
    }

    /// Writes the answer to the peer's Close, and ends the connection. Waiting until the peer takes
    /// it cannot deadlock, because the peer sends nothing more. If the `deadline` of the call
    /// passes, [`Timeout::Recv`] is returned, and a later call goes on, until `answer_by`.
    pub(crate) fn answer_close(&self, deadline: Deadline, answer_by: Deadline) -> Error {
        let until = deadline.min(answer_by);
        let mut flushed = self.flush_behind_tries(until);
        // The frame that another thread is sending goes first.
        while flushed == Flushed::Busy && self.may_wait_for_sender(until) {
            sleep(TRY_AGAIN);
            flushed = self.flush_behind_tries(until);
        }
        if flushed != Flushed::Done {
            let is_lost = answer_by.is_past() || self.close_state.is_aborted();
            if deadline.is_past() && !is_lost {
                return Error::Timeout(Timeout::Recv);
            }
            return self.answer_not_taken();
        }
        self.end(Cause::Close)
    }

    /// Ends the connection, because the peer does not take the answer to its Close.
    pub(crate) fn answer_not_taken(&self) -> Error {
        self.close_state.close_not_taken();
        self.end(Cause::Close)
    }

    /// Returns whether the receiver may wait for the thread that sends. It may not while that
    /// thread runs code of the user, which may wait for the receiver, or be on the same thread.
    fn may_wait_for_sender(&self, until: Deadline) -> bool {
        let is_stopped = until.is_past() || self.close_state.is_aborted();
        !is_stopped && !self.reader_runs.load(Ordering::SeqCst)
    }

    /// Fails the connection (RFC 6455 section 7.1.7): sends a Close with the code of the violation.
    /// Nothing more is read.
    pub(crate) fn violated(&self, violation: Violation) -> Error {
        self.request_close(violation.close_code().into(), CloseReason::Failure);
        self.end(Cause::Protocol(violation))
    }

    /// Closes the connection with 1011 because of a failure on this side. Waits until the peer
    /// takes the Close, unless the receiver will look for it: no other thread may come to send it
    /// later. Returns what was known of the end before that: the peer's answer would hide `why`.
    pub(crate) fn give_up(&self, why: &str) -> Closed {
        if self.close_state.outcome().is_some() {
            return self.close_state.so_far();
        }
        self.request_close((CloseCode::INTERNAL_ERROR, why).into(), CloseReason::Failure);
        let closed = self.close_state.so_far();
        if self.receiver_will_look() {
            self.flush_pending();
        } else {
            self.flush_behind_tries(Deadline::NEVER);
        }
        closed
    }

    /// Ends the connection, because the rest of a message that was begun cannot be sent in time.
    pub(crate) fn overdue(&self) {
        self.close_state.write_failed(&Cause::Timeout(Timeout::Send));
        self.wake_all();
        self.duplex.shutdown();
    }

    /// Ends the connection because the stream ended or failed, or a deadline passed.
    pub(crate) fn lost(&self, cause: Cause) -> Error {
        if self.close_is_unsent() {
            self.close_state.close_not_taken();
        }
        self.end(self.close_state.first_cause(cause))
    }

    /// Returns whether our Close, if there is one, was certainly not written. The receiver does not
    /// wait for a thread that may be writing the Close at this moment.
    pub(super) fn close_is_unsent(&self) -> bool {
        self.pending.has_close()
            || self.try_lock_writer().is_some_and(|writer| !writer.state.close_sent)
    }

    /// Sends a Close with 1001 if that takes no waiting, and ends the connection.
    pub(crate) fn leave(&self) {
        self.go_away();
        self.duplex.shutdown();
    }

    /// Sends a Close with 1001 and the end of the stream, as far as that takes no waiting.
    fn go_away(&self) {
        if self.close_state.outcome().is_none() {
            self.request_close(CloseCode::GOING_AWAY.into(), CloseReason::Failure);
            self.pending.note_end();
        }
        self.flush_pending();
    }

    /// Discards what has arrived, unless the connection is aborted. Nothing can be received after
    /// this.
    pub(super) fn discard(&self) {
        if self.close_state.is_aborted() {
            return;
        }
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.duplex.discard())) {
            self.read_panicked(panic);
        }
    }

    /// Ends the connection, because a stream that the user brought panicked in a read: the bytes
    /// that it had taken are lost. The panic goes on.
    pub(super) fn read_panicked(&self, panic: Box<dyn Any + Send>) -> ! {
        let error = io::Error::other("the stream panicked in a read");
        self.lost(Cause::Io(Arc::new(error)));
        resume_unwind(panic)
    }

    /// Ends the connection at once, and wakes all threads that block in it.
    pub(crate) fn abort(&self) {
        self.close_state.abort(|| self.duplex.stop_writes());
        self.wake_all();
        self.duplex.shutdown();
    }

    /// Notes a Close to send, unless there is one already. Returns whether this is the first.
    fn request_close(&self, close: CloseFrame, reason: CloseReason) -> bool {
        let note = || self.pending.note_close(close.clone());
        let first = self.close_state.close(&close, reason, self.timeouts.close, note);
        if first {
            self.wake_all();
        }
        first
    }

    /// Makes all threads that wait for a lock check whether the connection is still open.
    pub(super) fn wake_all(&self) {
        self.message_lock.wake_all();
        self.write_lock.wake_all();
    }

    /// Sets the outcome, and ends the stream: after our Close if one is to be sent, else at once.
    /// The caller holds no lock.
    fn end(&self, cause: Cause) -> Error {
        let says_close = matches!(cause, Cause::Close | Cause::Protocol(_));
        let closed = self.close_state.finish(cause).clone();
        self.wake_all();
        if says_close && !self.close_state.is_aborted() {
            self.pending.note_end();
            self.flush_pending();
        } else {
            self.duplex.shutdown();
        }
        self.sent_log.write();
        closed.into()
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        let is_over = self.close_state.outcome().is_some();
        self.go_away();
        if !is_over {
            self.discard();
        }
        self.duplex.shutdown();
    }
}
