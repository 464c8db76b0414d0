//! The write lock. The thread that holds it encodes frames and writes them.
//!
//! ```text
//! let mut out = wire.begin(&mut limit)?;  waits for the lock, and encodes what is pending
//! out.put(frame)?;                        encodes a frame; writes only when a chunk is full
//! out.finish()                            writes the rest, and releases the lock
//! ```
//! Releasing the lock flushes what became pending while it was held.

use std::io;
use std::sync::{Arc, PoisonError, TryLockError};

use super::fair_lock::{FairGuard, FairLock, LockError};
use super::wire::Wire;
use super::writer_state::{WriterGuard, WriterState};
use crate::error::{Cause, Error, InvalidInput, Timeout};
use crate::net::deadline::{Countdown, Deadline};
use crate::net::duplex::Wait;
use crate::proto::frame::{MAX_HEADER, Opcode};
use crate::proto::message::{MessageKind, MessageRef};
use crate::proto::send::{Body, EncodeError, FrameStart, MaskKeys};
use crate::sync::{MutexGuard, PoisonMutex, panicking};

/// The number of bytes that are encoded and written at a time. A chunk is small enough for the
/// cache.
pub(super) const CHUNK: usize = 64 * 1024;
/// The same for a message of at least this number of bytes, without TLS. Each chunk wakes a waiting
/// peer, so fewer and bigger chunks are faster.
const BIG_CHUNK: usize = 256 * 1024;
/// A payload of at most this number of bytes is staged whole, if it fits into the chunk.
const SHORT: usize = CHUNK / 4;

/// Guards the writer's state: a queue in front of a mutex.
#[derive(Debug)]
pub(super) struct WriteLock {
    /// Senders wait here in turn. The receiver never waits: it uses `try_lock` on `writer`.
    queue: FairLock,
    writer: PoisonMutex<WriterState>,
}

impl WriteLock {
    pub(super) fn new(keys: MaskKeys) -> Self {
        Self { queue: FairLock::default(), writer: PoisonMutex::new(WriterState::new(keys)) }
    }

    /// Takes the queue if no thread has it or waits for it.
    pub(super) fn try_queue(&self) -> Option<FairGuard<'_>> {
        self.queue.try_lock()
    }

    /// Makes all threads that wait for the lock check whether the connection is still open.
    pub(super) fn wake_all(&self) {
        self.queue.wake_all();
    }
}

impl Wire {
    /// Waits for the message lock, for at most `write_timeout`.
    #[inline]
    pub(super) fn lock_message(&self) -> Result<FairGuard<'_>, Error> {
        self.lock(&self.message_lock, || self.write_deadline())
    }

    /// Writes a message as it is, in one frame.
    #[inline]
    pub(super) fn write_message(&self, message: MessageRef<'_>) -> Result<(), Error> {
        let _lock = self.lock_message()?;
        let mut limit = self.write_limit();
        let mut out = self.begin(&mut limit)?;
        out.put_message(message)?;
        out.finish()
    }

    /// Takes the write lock to send frames of a message, and encodes what is pending. The caller
    /// holds the message lock. Waiting for the lock and writing must be over within `limit`.
    #[inline]
    pub(super) fn begin<'a>(&'a self, limit: &'a mut Countdown) -> Result<WriteGuard<'a>, Error> {
        let queue = self.queue(|| limit.end())?;
        self.begin_queued(queue, limit)
    }

    /// Writes a control frame, which does not need the message lock. Waiting for the write lock may
    /// take `write_timeout`, and then writing may take the same time again.
    pub(super) fn write_control(&self, opcode: Opcode, payload: &[u8]) -> Result<(), Error> {
        let queue = self.queue(|| self.write_deadline())?;
        let mut limit = self.write_limit();
        let mut out = self.begin_queued(queue, &mut limit)?;
        out.put(Frame::control(opcode, payload))?;
        out.finish()
    }

    #[inline]
    fn queue(&self, deadline: impl FnOnce() -> Deadline) -> Result<FairGuard<'_>, Error> {
        if !self.close_state.is_open() {
            // Not later: the receiver may hold `writer` for a while after the end.
            if let Some(closed) = self.close_state.outcome() {
                return Err(Error::Closed(closed.clone()));
            }
        }
        self.lock(&self.write_lock.queue, deadline)
    }

    #[inline]
    fn begin_queued<'a>(
        &'a self,
        queue: FairGuard<'a>,
        limit: &'a mut Countdown,
    ) -> Result<WriteGuard<'a>, Error> {
        let was_panicking = panicking();
        let mut writer = self.lock_writer();
        // Pending control frames go first. If one is a Close, this message can no longer be sent.
        writer.stage_pending();
        let is_open = writer.check();
        // A Close need not be waited for here if the receiver writes it: this may be its thread.
        let is_flushed = is_open.is_err() && self.receiver_will_look();
        if is_flushed {
            writer.try_flush(Wait::Not);
        }
        let after = FlushAfter { wire: self, limit, was_panicking };
        let guard = WriteGuard { writer, after, _queue: queue, is_flushed };
        is_open.map(|()| guard)
    }

    /// Waits until no other thread uses the writer's state. The caller holds the write lock, so the
    /// other thread is never a sender.
    #[inline]
    pub(super) fn lock_writer(&self) -> WriterGuard<'_> {
        WriterGuard { wire: self, state: self.write_lock.writer.lock().unwrap_or_else(after_panic) }
    }

    /// Returns the writer's state if no thread uses it. The caller must look at what is pending
    /// after dropping the guard: another thread may have noted something meanwhile.
    pub(super) fn try_lock_writer(&self) -> Option<WriterGuard<'_>> {
        let state = match self.write_lock.writer.try_lock() {
            Ok(state) => state,
            Err(TryLockError::Poisoned(poisoned)) => after_panic(poisoned),
            Err(TryLockError::WouldBlock) => return None,
        };
        Some(WriterGuard { wire: self, state })
    }

    #[inline]
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

    /// Returns the limit of a write, which begins when it must wait.
    pub(super) fn write_limit(&self) -> Countdown {
        Countdown::new(self.timeouts.write)
    }

    /// Returns the deadline of a write that begins now.
    pub(super) fn write_deadline(&self) -> Deadline {
        Deadline::after(self.timeouts.write)
    }

    /// Returns the error for a frame that was not encoded.
    pub(super) fn encode_error(&self, error: EncodeError) -> Error {
        match error {
            EncodeError::AfterClose => Error::Closed(self.close_state.so_far()),
            EncodeError::ControlTooLong => InvalidInput::ControlTooLong.into(),
            EncodeError::InvalidClose => InvalidInput::Close.into(),
            EncodeError::NoRandom | EncodeError::NotCompressed => {
                Error::Local(io::Error::other(error))
            }
        }
    }
}

impl WriterGuard<'_> {
    /// Fails once anything is known that ends the connection. A Close that is noted and not sent
    /// yet is enough, because no message may go out before it.
    #[inline]
    pub(super) fn check(&self) -> Result<(), Error> {
        if !self.wire.close_state.is_open() || self.state.broken || self.state.encoder.is_closed() {
            return Err(Error::Closed(self.wire.close_state.so_far()));
        }
        Ok(())
    }
}

/// Holds the write lock, to send frames.
#[derive(Debug)]
pub(super) struct WriteGuard<'a> {
    // Fields are dropped in this order: `writer` is free when `after` looks for what is pending.
    writer: WriterGuard<'a>,
    after: FlushAfter<'a>,
    _queue: FairGuard<'a>,
    /// All that was put is written, or nothing can be written any more.
    is_flushed: bool,
}

impl WriteGuard<'_> {
    /// Encodes a whole message, as [`put`](Self::put) does with its frame.
    #[inline]
    pub(super) fn put_message(&mut self, message: MessageRef<'_>) -> Result<(), Error> {
        let (wire, len) = (self.after.wire, message.len());
        let WriterState { half, encoder, frames, .. } = &mut *self.writer.state;
        let stage = wire.duplex.stage(half);
        if len > SHORT || stage.len() + len > CHUNK {
            return self.put(Frame::whole(message));
        }
        encoder.message(message, stage).map_err(|error| wire.encode_error(error))?;
        frames.messages += 1;
        wire.sent_log.note(message.kind(), len as u64);
        Ok(())
    }

    /// Encodes a frame. Writes only when a chunk is full.
    pub(super) fn put(&mut self, frame: Frame<'_>) -> Result<(), Error> {
        let payload = frame.payload;
        let big = payload.len() >= BIG_CHUNK && !self.after.wire.duplex.is_tls();
        let chunk = if big { BIG_CHUNK } else { CHUNK };
        let mut body = self.begin_frame(frame.start(), chunk)?;
        self.append(&mut body, payload, chunk)?;
        self.writer.count(&frame);
        Ok(())
    }

    /// Counts a message of which all bytes are encoded.
    pub(super) fn count_message(&mut self) {
        self.writer.state.frames.messages += 1;
    }

    /// Encodes the header of a whole message of `len` bytes, which is not compressed. Then write
    /// all of its payload with [`write_chunk`](Self::write_chunk), or
    /// [`break_off`](Self::break_off) the connection.
    pub(super) fn begin_message(&mut self, kind: MessageKind, len: u64) -> Result<Body, Error> {
        let start = FrameStart { opcode: kind.into(), fin: true, compressed: false, len };
        self.begin_frame(start, CHUNK)
    }

    /// Encodes and writes the next bytes of a frame, at most a chunk. Writing them must be over
    /// within `write_timeout`, which begins again for each chunk.
    pub(super) fn write_chunk(&mut self, body: &mut Body, chunk: &[u8]) -> Result<(), Error> {
        *self.after.limit = self.after.wire.write_limit();
        self.append(body, chunk, CHUNK)?;
        self.writer.flush_chunk(self.after.limit)
    }

    /// Ends the connection, because the frame that was begun cannot be finished.
    pub(super) fn break_off(&mut self, why: io::Error) -> Error {
        let wire = self.after.wire;
        wire.close_state.ends_here();
        let error = self.writer.fail(Cause::Io(Arc::new(why)));
        // After some errors of a stream, `fail` lets it end by itself. This is none of them.
        wire.duplex.shutdown();
        error
    }

    fn begin_frame(&mut self, start: FrameStart, chunk: usize) -> Result<Body, Error> {
        let (wire, writer) = (self.after.wire, &mut self.writer);
        if writer.staged() >= CHUNK {
            writer.flush_chunk(self.after.limit)?; // Many empty messages fill a chunk too.
        }
        let body = writer.begin_frame(start, chunk);
        let body = body.map_err(|error| wire.encode_error(error))?;
        wire.sent_log.note(start.opcode, start.len);
        Ok(body)
    }

    /// Encodes the next bytes of a frame. Writes only when a chunk of `chunk` bytes is full.
    fn append(&mut self, body: &mut Body, mut rest: &[u8], chunk: usize) -> Result<(), Error> {
        let (wire, writer) = (self.after.wire, &mut self.writer);
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
            writer.flush_chunk(self.after.limit)?;
        }
    }

    /// Makes room for the frames of many messages: for `bytes`, and a chunk at most.
    pub(super) fn reserve(&mut self, bytes: usize) {
        let WriterState { half, .. } = &mut *self.writer.state;
        let stage = self.after.wire.duplex.stage(half);
        stage.reserve_exact(bytes.min(CHUNK + MAX_HEADER).saturating_sub(stage.len()));
    }

    /// Returns whether a frame with `len` bytes of payload still fits into the chunk.
    pub(super) fn has_room(&mut self, len: usize) -> bool {
        self.writer.staged().saturating_add(len) <= CHUNK
    }

    /// Writes all that was put as [`finish`](Self::finish) does, and fails if the limit has passed,
    /// because more is to be written within it.
    pub(super) fn finish_part(mut self) -> Result<(), Error> {
        let flushed = self.writer.flush_frames(self.after.limit);
        self.is_flushed = true;
        if flushed.is_ok() && self.after.limit.end().is_past() {
            return Err(self.writer.fail(Cause::Timeout(Timeout::Send)));
        }
        flushed
    }

    /// Writes all that was put, waits until the system has taken it, and releases the lock.
    #[inline]
    pub(super) fn finish(mut self) -> Result<(), Error> {
        let flushed = self.writer.flush_frames(self.after.limit);
        self.is_flushed = true;
        flushed
    }
}

impl Drop for WriteGuard<'_> {
    /// Flushes what is still staged, after an error of `put` for example.
    #[inline]
    fn drop(&mut self) {
        if self.after.stream_panicked() {
            return;
        }
        if !self.is_flushed && self.writer.needs_flush() {
            let wait = self.after.wait();
            self.writer.try_flush(wait);
        }
        self.writer.state.half.shrink();
    }
}

/// Marks the writer's state as broken. A stream that the user brought panicked in a write, so half
/// a frame may be written.
fn after_panic(poisoned: PoisonError<MutexGuard<'_, WriterState>>) -> MutexGuard<'_, WriterState> {
    let mut state = poisoned.into_inner();
    state.broken = true;
    state.blocked_since = None; // What is pending is dropped, and not tried again.
    state
}

/// A frame to send.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame<'a> {
    pub(super) opcode: Opcode,
    /// This is the last frame of its message.
    pub(super) fin: bool,
    /// The number of bytes, before compression, that this frame ends with. `None` if the message is
    /// not compressed.
    pub(super) compressed: Option<usize>,
    pub(super) payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Returns the frame of a whole message that is not compressed.
    pub(super) fn whole(message: MessageRef<'a>) -> Self {
        let opcode = Opcode::from(message.kind());
        Self { opcode, fin: true, compressed: None, payload: message.as_bytes() }
    }

    /// Returns what its header says.
    pub(super) fn start(&self) -> FrameStart {
        let len = self.payload.len() as u64;
        FrameStart {
            opcode: self.opcode,
            fin: self.fin,
            compressed: self.compressed.is_some(),
            len,
        }
    }

    /// Returns a control frame.
    pub(super) fn control(opcode: Opcode, payload: &'a [u8]) -> Self {
        Self { opcode, fin: true, compressed: None, payload }
    }
}

/// Flushes, when it is dropped, what other threads noted and could not flush because `writer` was
/// not free. If the peer does not take all of it in time, the receiver tries again.
#[derive(Debug)]
struct FlushAfter<'a> {
    wire: &'a Wire,
    limit: &'a mut Countdown,
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
    fn wait(&mut self) -> Wait {
        Wait::Until(self.limit.end().min(self.wire.close_state.close_at()))
    }
}

impl Drop for FlushAfter<'_> {
    #[inline]
    fn drop(&mut self) {
        if !self.wire.pending.is_empty() && !self.stream_panicked() {
            let wait = self.wait();
            self.wire.flush_within(wait);
        }
    }
}
