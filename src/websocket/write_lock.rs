//! The write lock. The thread that holds it encodes frames and writes them.
//!
//! ```text
//! let mut out = wire.begin(deadline)?;    waits for the lock, and encodes what is pending
//! out.put(frame)?;                        encodes a frame; writes only when a chunk is full
//! out.finish()                            writes the rest
//! ```
//! Dropping the guard releases the lock, and flushes what became pending while it was held.

use std::io;

use super::fair_lock::{FairGuard, FairLock, LockError};
use super::wire::Wire;
use super::writer_state::{WriterGuard, WriterState};
use crate::error::{Error, InvalidInput, Timeout};
use crate::net::deadline::Deadline;
use crate::net::duplex::Wait;
use crate::proto::frame::{MAX_HEADER, Opcode};
use crate::proto::message::MessageRef;
use crate::proto::send::{MaskKeys, Refused};
use crate::sync::{PoisonMutex, panicking};

/// The number of bytes that are encoded and written at a time. A chunk is small enough for the
/// cache.
pub(super) const CHUNK: usize = 64 * 1024;
/// The same for a message of at least this number of bytes, without TLS. Each chunk wakes a waiting
/// peer, so fewer and bigger chunks are faster.
const BIG_CHUNK: usize = 256 * 1024;

/// Guards the writer's state: a queue in front of a mutex.
#[derive(Debug)]
pub(super) struct WriteLock {
    /// Senders wait here in turn. The receiver never waits: it uses `try_lock` on `writer`.
    queue: FairLock,
    pub(super) writer: PoisonMutex<WriterState>,
}

impl WriteLock {
    pub(super) fn new(keys: MaskKeys) -> Self {
        Self { queue: FairLock::default(), writer: PoisonMutex::new(WriterState::new(keys)) }
    }

    /// Makes all threads that wait for the lock check whether the connection is still open.
    pub(super) fn wake_all(&self) {
        self.queue.wake_all();
    }
}

impl Wire {
    /// Waits for the message lock, for at most `write_timeout`.
    pub(super) fn lock_message(&self) -> Result<FairGuard<'_>, Error> {
        self.lock(&self.message_lock, || self.write_deadline())
    }

    /// Takes the write lock to send frames of a message, and encodes what is pending. The caller
    /// holds the message lock. Waiting for the lock and writing must be over by `deadline`.
    pub(super) fn begin(&self, deadline: Deadline) -> Result<WriteGuard<'_>, Error> {
        if let Some(closed) = self.close_state.outcome() {
            // Not later: the receiver may hold `writer` for a while after the end.
            return Err(Error::Closed(closed.clone()));
        }
        let queue = self.lock(&self.write_lock.queue, || deadline)?;
        self.begin_locked(queue, deadline)
    }

    /// Writes one frame of a message: [`begin`](Self::begin), [`put`](WriteGuard::put) and
    /// [`finish`](WriteGuard::finish) in one call.
    pub(super) fn write_frame(&self, frame: Frame<'_>, deadline: Deadline) -> Result<(), Error> {
        let mut out = self.begin(deadline)?;
        out.put(frame)?;
        out.finish()
    }

    /// Writes a control frame, which does not need the message lock. Waiting for the write lock may
    /// take `write_timeout`, and then writing may take the same time again.
    pub(super) fn write_control(&self, opcode: Opcode, payload: &[u8]) -> Result<(), Error> {
        if let Some(closed) = self.close_state.outcome() {
            return Err(Error::Closed(closed.clone()));
        }
        let queue = self.lock(&self.write_lock.queue, || self.write_deadline())?;
        let mut out = self.begin_locked(queue, self.write_deadline())?;
        out.put(Frame::control(opcode, payload))?;
        out.finish()
    }

    fn begin_locked<'a>(
        &'a self,
        queue: FairGuard<'a>,
        deadline: Deadline,
    ) -> Result<WriteGuard<'a>, Error> {
        let writer = self.lock_writer();
        let after = FlushAfter { wire: self, deadline, was_panicking: panicking() };
        let mut guard = WriteGuard { writer, after, _queue: queue };
        // Pending control frames go first. If one is a Close, this message can no longer be sent.
        guard.writer.stage_pending();
        guard.writer.check()?;
        Ok(guard)
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

    /// Returns the deadline of a write that begins now.
    pub(super) fn write_deadline(&self) -> Deadline {
        Deadline::after(self.timeouts.write)
    }

    /// Returns the error for a frame that was not encoded.
    pub(super) fn refused(&self, refused: Refused) -> Error {
        match refused {
            Refused::AfterClose => Error::Closed(self.close_state.so_far()),
            Refused::ControlTooLong => InvalidInput::ControlTooLong.into(),
            Refused::InvalidClose => InvalidInput::Close.into(),
            Refused::NoRandom | Refused::NotCompressed => Error::Local(io::Error::other(refused)),
        }
    }
}

/// Holds the write lock, to send frames.
#[derive(Debug)]
pub(super) struct WriteGuard<'a> {
    // Fields are dropped in this order: `writer` is free when `after` looks for what is pending.
    writer: WriterGuard<'a>,
    after: FlushAfter<'a>,
    _queue: FairGuard<'a>,
}

impl WriteGuard<'_> {
    /// Encodes a frame. Writes only when a chunk is full.
    pub(super) fn put(&mut self, frame: Frame<'_>) -> Result<(), Error> {
        let (wire, deadline) = (self.after.wire, self.after.deadline);
        let (writer, payload) = (&mut self.writer, frame.payload);
        if writer.staged() >= CHUNK {
            writer.flush_chunk(deadline)?; // Many empty messages fill a chunk too.
        }
        let big = payload.len() >= BIG_CHUNK && !wire.duplex.is_tls();
        let chunk = if big { BIG_CHUNK } else { CHUNK };
        let mut body = writer.begin_frame(frame, chunk).map_err(|refused| wire.refused(refused))?;
        wire.sent_log.note(frame.opcode, payload.len());
        let mut rest = payload;
        loop {
            let stage = wire.duplex.stage(&mut writer.state.half);
            // The last bytes may exceed the chunk by the length of a header, so that they need no
            // system call of their own.
            let fits = stage.len() + rest.len() <= chunk + MAX_HEADER;
            let room = if fits { rest.len() } else { chunk.saturating_sub(stage.len()) };
            let (now, later) = rest.split_at(room);
            body.append(now, stage);
            rest = later;
            if rest.is_empty() {
                return Ok(());
            }
            writer.flush_chunk(deadline)?;
        }
    }

    /// Returns whether a frame with `len` bytes of payload still fits into the chunk.
    pub(super) fn has_room(&mut self, len: usize) -> bool {
        self.writer.staged().saturating_add(len) <= CHUNK
    }

    /// Writes all that was put, and releases the lock. Waits until the system has taken it.
    pub(super) fn finish(mut self) -> Result<(), Error> {
        self.writer.flush(self.after.deadline)
    }
}

impl Drop for WriteGuard<'_> {
    /// Flushes what is still staged, after an error of `put` for example.
    fn drop(&mut self) {
        if self.after.stream_panicked() {
            return;
        }
        if self.writer.needs_flush() {
            self.writer.try_flush(self.after.wait());
        }
        self.writer.shrink();
    }
}

/// A frame to send.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame<'a> {
    pub(super) opcode: Opcode,
    /// This is the last frame of its message.
    pub(super) fin: bool,
    /// The message is compressed.
    pub(super) compressed: bool,
    pub(super) payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Returns the frame of a whole message that is not compressed.
    pub(super) fn whole(message: MessageRef<'a>) -> Self {
        let opcode = Opcode::from(message.kind());
        Self { opcode, fin: true, compressed: false, payload: message.as_bytes() }
    }

    /// Returns a control frame.
    pub(super) fn control(opcode: Opcode, payload: &'a [u8]) -> Self {
        Self { opcode, fin: true, compressed: false, payload }
    }
}

/// Flushes, when it is dropped, what other threads noted and could not flush because `writer` was
/// not free. If the peer does not take all of it in time, the receiver tries again.
#[derive(Debug)]
struct FlushAfter<'a> {
    wire: &'a Wire,
    deadline: Deadline,
    /// The thread was unwinding when it took the lock, so the stream did not cause the panic.
    was_panicking: bool,
}

impl FlushAfter<'_> {
    /// Returns whether a stream that the user brought panicked while the lock was held. Then do not
    /// call the stream again while the thread unwinds: a second panic would end the process.
    fn stream_panicked(&self) -> bool {
        panicking() && !self.was_panicking
    }

    /// Returns how long flushing may wait for the peer.
    fn wait(&self) -> Wait {
        Wait::Until(self.deadline.min(self.wire.close_state.close_at()))
    }
}

impl Drop for FlushAfter<'_> {
    fn drop(&mut self) {
        if !self.wire.pending.is_empty() && !self.stream_panicked() {
            self.wire.flush_within(self.wait());
        }
    }
}
