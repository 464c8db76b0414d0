//! What the receiver and the senders share.
//!
//! A frame is written under the wire lock (`out`), for which writers queue (`gate`); a whole
//! message, of several frames perhaps, under the message order (`order.rs`), which is taken first.
//! The receiver never waits for the wire: two peers that flood each other would deadlock. It notes what it owes (`owed.rs`), and
//! whoever has the wire pays (`paying.rs`). How it ends is in `ending.rs`. `src/model/` runs all
//! of it in every order.

use std::io;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) use super::fair_lock::Turn;
pub(crate) use super::owed::Control;
pub(crate) use super::paying::Paid;

use super::fair_lock::{NoTurn, Order};
use super::owed::Owed;

use super::close_state::{By, Ending};
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

/// How much is encoded, and handed to the system, at a time: small enough for the cache.
pub(crate) const PIECE: usize = 64 * 1024;
/// The same for a message of at least so many bytes, without TLS: each piece that a waiting peer
/// takes wakes it, so that more in one is faster.
const BIG_PIECE: usize = 256 * 1024;
/// A `close_timeout` shorter than this does not make an idle connection look around more often.
const LOOK_AROUND: Duration = Duration::from_millis(20);
/// How often a write that waits for the peer comes back to say that it took something.
const TELL: Duration = Duration::from_secs(1);
/// How often an idle connection looks around without a `close_timeout`.
const SELDOM: Duration = Duration::from_secs(5);

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
    #[cfg(feature = "deflate")]
    pub(crate) deflation: Option<super::outgoing::Deflation>,
    pub(super) timeouts: Timeouts,
    /// Of messages.
    pub(super) order: Order,
    /// Of writing: for those who wait. The receiver does not, and takes the wire when it is free.
    pub(super) gate: Order,
    pub(super) out: PoisonMutex<Out>,
    pub(super) owed: Owed,
    /// How it ends.
    pub(crate) ending: Ending,
    /// The last round-trip time. Not an atomic: many 32-bit targets have none of 64 bits.
    pub(super) latency: Mutex<Option<Duration>>,
    pub(super) ping: Mutex<LastPing>,
    /// When the peer last read something, as the stream had room again for what we write. The
    /// receiver takes it.
    pub(super) peer_read: Mutex<Option<Instant>>,
    pub(super) receiver: Mutex<ReceiverIs>,
    pub(super) sent_log: SentLog,
}

/// What the receiver does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ReceiverIs {
    /// It does not wait for the peer.
    #[default]
    Away,
    /// It waits for the peer, or is about to.
    Reading,
    /// It is dropped.
    Gone,
}

/// Where the last keepalive ping is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum LastPing {
    /// There is none that the receiver must know of.
    #[default]
    Settled,
    /// Still on this side of the socket.
    Waits,
    /// Written, which the receiver does not know yet; and how many bytes were written before it.
    Written(Instant, u64),
}

/// The wire: what only one thread at a time may touch.
#[derive(Debug)]
pub(crate) struct Out {
    pub(super) half: WriteHalf,
    pub(super) encoder: Encoder,
    /// A write failed, perhaps in the middle of a frame: nothing can follow.
    pub(super) broken: bool,
    /// The receiver has seen the end: after our Close there is nothing more to say (section
    /// 7.1.1), and the peer is told.
    pub(super) ends: bool,
    pub(super) ended: bool,
    /// Since when the receiver cannot pay because the peer does not read.
    pub(super) stuck_since: Option<Instant>,
    /// A keepalive ping is staged; so many bytes were, and are, written before it.
    pub(super) ping_staged: Option<u64>,
    /// Our Close is written, which the state of the end knows.
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
            stuck_since: None,
            ping_staged: None,
            close_sent: false,
        };
        Self {
            duplex,
            response,
            subprotocol,
            #[cfg(feature = "deflate")]
            deflation: None,
            timeouts,
            order: Order::default(),
            gate: Order::default(),
            out: PoisonMutex::new(out),
            owed: Owed::default(),
            ending: Ending::default(),
            latency: Mutex::default(),
            ping: Mutex::default(),
            peer_read: Mutex::default(),
            receiver: Mutex::default(),
            sent_log: SentLog::default(),
        }
    }

    /// How long a call may block before it must look around: long enough to cost nothing, short
    /// enough that a `close` by another thread is held to its deadline.
    pub(crate) fn look_around(&self) -> Deadline {
        let timeout = self.timeouts.close.unwrap_or(SELDOM);
        Deadline::after(Some(timeout.max(LOOK_AROUND)))
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
    /// For the tests: other masking keys, or none.
    #[cfg_attr(any(loom, shuttle), allow(dead_code))]
    pub(crate) fn set_mask_keys(&self, keys: MaskKeys) {
        self.lock_out().encoder = Encoder::new(keys);
    }
}

/// Sending.
impl Wire {
    /// Logs what is sent from now on when the result is dropped. Take it before any lock.
    pub(crate) fn logs_sent(&self) -> LogsSent<'_> {
        LogsSent(self)
    }

    /// Logs what was sent. The caller holds no lock.
    pub(crate) fn log_sent(&self) {
        self.sent_log.write();
    }

    /// Waits for the turn to write a message.
    pub(crate) fn turn(&self) -> Result<Turn<'_>, Error> {
        self.turn_of(&self.order, || Deadline::after(self.timeouts.write))
    }

    fn turn_of<'a>(
        &self,
        order: &'a Order,
        deadline: impl FnOnce() -> Deadline,
    ) -> Result<Turn<'a>, Error> {
        order.turn(deadline, || self.ending.is_open()).map_err(|none| match none {
            NoTurn::Ended => Error::Closed(self.ending.snapshot()),
            NoTurn::TimedOut => Error::Timeout(Timeout::Send),
        })
    }

    /// Writes a control frame, which needs no message's turn.
    pub(crate) fn write_control(&self, opcode: Opcode, payload: &[u8]) -> Result<(), Error> {
        let deadline = || Deadline::after(self.timeouts.write);
        let put = |out: &mut Out, deadline| self.put(out, opcode, true, false, payload, deadline);
        self.write_in_turn(deadline, deadline, put)
    }

    /// Writes frames of the message whose turn it is: `write` puts them, this flushes, pays and
    /// unlocks. A message in several parts has one deadline, which the first of them sets; waiting
    /// for the wire is a part of it.
    pub(crate) fn write(
        &self,
        deadline: &mut Option<Deadline>,
        write: impl FnOnce(&mut Out, Deadline) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let deadline = *deadline.get_or_insert_with(|| Deadline::after(self.timeouts.write));
        self.write_in_turn(|| deadline, || deadline, write)
    }

    fn write_in_turn(
        &self,
        turn_by: impl FnOnce() -> Deadline,
        deadline: impl FnOnce() -> Deadline,
        write: impl FnOnce(&mut Out, Deadline) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if let Some(closed) = self.ending.verdict() {
            return Err(Error::Closed(closed.clone())); // The receiver may have the wire for a while.
        }
        let _turn = self.turn_of(&self.gate, turn_by)?;
        let mut out = self.lock_out();
        let deadline = deadline();
        let mut done = self.check(&out);
        if done.is_ok() {
            // A Close that was asked for goes first; then this is too late.
            self.stage_owed(&mut out);
            done = self.check(&out);
        }
        if done.is_ok() {
            done = write(&mut out, deadline).and_then(|()| self.flush(&mut out, deadline));
        }
        self.release(out, deadline);
        done
    }

    /// Ends the connection: a message whose beginning was sent cannot be sent to its end in time.
    pub(crate) fn overdue(&self) {
        self.ending.write_failed(&Cause::Timeout(Timeout::Send));
        self.tell_all();
        self.duplex.shutdown();
    }

    /// Whether a frame with so much payload still fits into the piece.
    pub(crate) fn has_room(&self, out: &mut Out, len: usize) -> bool {
        self.duplex.stage(&mut out.half).len().saturating_add(len) <= PIECE
    }

    /// Puts a frame on the wire; writes only when a piece is full.
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
        if self.duplex.stage(&mut out.half).len() >= PIECE {
            self.flush_piece(out, deadline)?; // Empty messages fill it too.
        }
        let big = payload.len() >= BIG_PIECE && !self.duplex.is_tls();
        let piece = if big { BIG_PIECE } else { PIECE };
        let stage = self.duplex.stage(&mut out.half);
        if payload.len() > PIECE / 4 {
            // Exactly: twice as much would be given back to the system each time.
            stage.reserve_exact((piece + MAX_HEADER).saturating_sub(stage.len()));
        }
        let begun = match compressed {
            #[cfg(feature = "deflate")]
            true => out.encoder.begin_compressed(opcode, fin, len, stage),
            _ => out.encoder.begin(opcode, fin, len, stage),
        };
        let mut body = begun.map_err(|refused| self.refused(refused))?;
        self.sent_log.note(opcode, payload.len());
        let mut rest = payload;
        loop {
            let stage = self.duplex.stage(&mut out.half);
            // A header more if that is the end, so that it is not left to a system call of its own.
            let fits = stage.len() + rest.len() <= piece + MAX_HEADER;
            let room = if fits { rest.len() } else { piece.saturating_sub(stage.len()) };
            let (now, later) = rest.split_at(room);
            body.append(now, stage);
            rest = later;
            if rest.is_empty() {
                return Ok(());
            }
            self.flush_piece(out, deadline)?;
        }
    }

    /// Asks for a closing handshake; the Close goes out as soon as the wire is free.
    pub(crate) fn close(&self, close: CloseFrame) -> Result<(), Error> {
        self.ask_close(close)?;
        if !self.receiver_will_look() {
            if let Some(mut out) = self.try_lock_out() {
                let deadline = Deadline::after(self.timeouts.write);
                self.stage_owed(&mut out);
                // A failure shows in `recv`, and in the next call.
                let _ = self.flush(&mut out, deadline);
                self.release(out, deadline);
            }
        } else {
            // This may be the receiver's thread, and the peer may wait for us to read.
            self.settle();
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

    /// Notes a Close to send; whoever pays next sends it.
    pub(crate) fn ask_close(&self, close: CloseFrame) -> Result<(), Error> {
        if !close.is_sendable() {
            return Err(InvalidInput::Close.into());
        }
        if let Some(closed) = self.ending.verdict() {
            return Err(Error::Closed(closed.clone()));
        }
        if !self.request_close(close, By::User) {
            return Err(Error::Closed(self.ending.snapshot()));
        }
        Ok(())
    }

    /// Fails once anything of an end is known, be it that a Close is noted, but not sent yet: what
    /// comes now must not go out in front of it.
    fn check(&self, out: &Out) -> Result<(), Error> {
        if !self.ending.is_open() || out.broken || out.encoder.is_closed() {
            return Err(Error::Closed(self.ending.snapshot()));
        }
        Ok(())
    }

    pub(crate) fn refused(&self, refused: Refused) -> Error {
        match refused {
            Refused::AfterClose => Error::Closed(self.ending.snapshot()),
            Refused::ControlTooLong => InvalidInput::ControlTooLong.into(),
            Refused::InvalidClose => InvalidInput::Close.into(),
            Refused::NoRandom | Refused::NotCompressed => Error::Io(io::Error::other(refused)),
        }
    }

    /// Writes all that is staged, and waits for it.
    pub(crate) fn flush(&self, out: &mut Out, deadline: Deadline) -> Result<(), Error> {
        while !out.broken {
            let mut until = deadline.min(Deadline::at(self.ending.close_at()));
            if self.duplex.stream().resumes_writes() {
                until = until.min(self.look_around());
                // The receiver hears this often how far the peer has read.
                until = until.min(Deadline::after(Some(TELL)));
            }
            match self.write_staged(out, Wait::Until(until)) {
                Ok(()) => {
                    self.flushed(out);
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.in_time(out, deadline)?;
                }
                Err(error) => return Err(self.broken(out, self.write_failure(error))),
            }
        }
        Err(Error::Closed(self.ending.snapshot()))
    }

    /// The same, with more to come: a peer that always takes some does not stretch the deadline.
    fn flush_piece(&self, out: &mut Out, deadline: Deadline) -> Result<(), Error> {
        self.flush(out, deadline)?;
        self.in_time(out, deadline)
    }

    fn in_time(&self, out: &mut Out, deadline: Deadline) -> Result<(), Error> {
        let late = if deadline.is_past() {
            Timeout::Send
        } else if Deadline::at(self.ending.close_at()).is_past() {
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
        let closing = Deadline::at(self.ending.close_at()).is_past();
        Cause::Timeout(if closing { Timeout::Close } else { Timeout::Send })
    }

    /// Writes what is staged. A stream that somebody brought may panic: a frame may be half on the
    /// wire then.
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

    /// Reads what is there. A stream that somebody brought may panic: what it took is lost then.
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

    pub(super) fn flushed(&self, out: &mut Out) {
        out.stuck_since = None;
        if out.encoder.is_closed() && !mem::replace(&mut out.close_sent, true) {
            self.ending.close_sent();
        }
        if let Some(position) = out.ping_staged.take() {
            self.note_ping(LastPing::Written(now(), position));
        }
        if out.must_end() {
            out.ended = true;
            self.duplex.finish(&mut out.half);
        }
    }

    /// A frame may be half on the wire: nothing can be sent any more.
    pub(super) fn broken(&self, out: &mut Out, cause: Cause) -> Error {
        out.broken = true;
        self.note_ping(LastPing::Settled);
        out.stuck_since = None; // What is owed then is forgotten, not tried again.
        self.ending.write_failed(&cause);
        self.tell_all();
        let timed_out = matches!(cause, Cause::Timeout(Timeout::Send));
        use io::ErrorKind::{BrokenPipe, ConnectionReset};
        let ends_by_itself = matches!(&cause, Cause::Io(error)
            if matches!(error.kind(), BrokenPipe | ConnectionReset));
        if !ends_by_itself {
            // Who knows whether the peer still says something: wake the receiver.
            self.duplex.shutdown();
        }
        if timed_out && !self.ending.is_aborted() {
            return Error::Timeout(Timeout::Send);
        }
        Error::Closed(self.ending.snapshot())
    }
}

/// How it ends.
impl Wire {
    /// The peer's Close frame: it is answered, and the end. The peer says nothing more, so it may
    /// be waited for until it takes the answer.
    pub(crate) fn peer_closed(&self, close: CloseFrame, deadline: Deadline) -> Error {
        // Section 5.5.1: the answer has the code that was received.
        let reply = close.code.map_or_else(CloseFrame::empty, CloseFrame::from);
        self.request_close(reply, By::Peer);
        self.ending.peer_closed(close);
        self.owed.end();
        if self.pay_until(deadline) == Paid::NotYet {
            self.ending.close_not_taken();
        }
        self.end(Cause::Handshake)
    }

    /// Fails the connection (section 7.1.7): says why, then reads nothing more.
    pub(crate) fn violated(&self, violation: Violation) -> Error {
        self.request_close(violation.close_code().into(), By::Need);
        self.end(Cause::Protocol(violation))
    }

    /// Something failed on this side that leaves nothing but to close. This waits until the peer
    /// takes the Close: nobody may be there to send it later, or know of it.
    pub(crate) fn give_up(&self, why: &str) {
        if self.ending.verdict().is_none() {
            self.request_close((CloseCode::INTERNAL_ERROR, why).into(), By::Need);
            if self.receiver_will_look() {
                self.settle();
            } else {
                self.pay_until(Deadline::NEVER);
            }
        }
    }

    /// The stream ended or failed, or a deadline passed.
    pub(crate) fn lost(&self, cause: Cause) -> Error {
        if self.close_is_unsent() {
            self.ending.close_not_taken();
        }
        self.end(self.ending.why(cause))
    }

    /// Returns whether our Close, if there is one, was certainly not written. The receiver does not
    /// wait for a thread that may be writing it just now.
    fn close_is_unsent(&self) -> bool {
        self.owed.has_close() || self.try_lock_out().is_some_and(|out| !out.close_sent)
    }

    /// Says goodbye as far as that takes no waiting, and ends the connection.
    pub(crate) fn leave(&self) {
        if self.ending.verdict().is_none() {
            self.request_close(CloseCode::GOING_AWAY.into(), By::Need);
        }
        self.settle();
        self.duplex.shutdown();
    }

    /// Ends the connection at once, and wakes whoever blocks in it.
    pub(crate) fn abort(&self) {
        self.ending.abort(|| self.duplex.stop_writes());
        self.tell_all();
        self.duplex.shutdown();
    }

    /// Notes a Close to send, unless there is one already.
    fn request_close(&self, close: CloseFrame, by: By) -> bool {
        let note = || self.owed.close(close.clone());
        let first = self.ending.close(&close, by, self.timeouts.close, note);
        if first {
            self.tell_all();
        }
        first
    }

    /// Whoever waits for a turn looks whether it is worth waiting.
    fn tell_all(&self) {
        self.order.tell_all();
        self.gate.tell_all();
    }

    fn end(&self, cause: Cause) -> Error {
        let says_close = matches!(cause, Cause::Handshake | Cause::Protocol(_));
        let closed = self.ending.decide(cause).clone();
        self.tell_all();
        if says_close && !self.ending.is_aborted() {
            self.owed.end();
            self.settle();
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

/// Logs what was sent when it is dropped, which must be after all locks.
#[derive(Debug)]
pub(crate) struct LogsSent<'a>(&'a Wire);

impl Drop for LogsSent<'_> {
    fn drop(&mut self) {
        if !panicking() {
            self.0.log_sent();
        }
    }
}
