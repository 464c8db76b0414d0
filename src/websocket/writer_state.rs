//! The writer's state: the encoder, the staged bytes, and the results of earlier writes.

use std::io;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::counters::{Compression, Frames};
use super::pending::Flushed;
use super::wire::{LastPing, OnSent, Wire};
use super::write_lock::{CHUNK, Frame};
use crate::error::{Cause, Error, Timeout};
use crate::net::deadline::Countdown;
use crate::net::duplex::{Wait, WriteHalf, is_timeout, peer_is_gone};
use crate::proto::frame::MAX_HEADER;
use crate::proto::send::{Body, EncodeError, Encoder, FrameStart, MaskKeys};
use crate::sync::{self, MutexGuard, now};

/// The interval at which a write that waits for the peer reports that the peer has read something.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

/// Holds the writer's state, which only one thread at a time may use.
#[derive(Debug)]
pub(super) struct WriterState {
    pub(super) half: WriteHalf,
    pub(super) encoder: Encoder,
    /// A write failed, perhaps in the middle of a frame. Nothing can be written any more.
    pub(super) broken: bool,
    /// The receiver has seen the end. Once our Close is flushed, the sending side of the stream is
    /// closed (RFC 6455 section 7.1.1).
    pub(super) ends: bool,
    /// The sending side of the stream is closed.
    pub(super) ended: bool,
    /// The time since which the system has not taken all that is staged, because the peer does not
    /// read.
    pub(super) blocked_since: Option<Instant>,
    /// The number of bytes before a keepalive ping that is staged.
    pub(super) ping_staged: Option<u64>,
    /// Our Close is written, and the close state knows it.
    pub(super) close_sent: bool,
    /// The frames that were encoded whole.
    pub(super) frames: Frames,
    pub(super) compression: Compression,
}

impl WriterState {
    pub(super) fn new(keys: MaskKeys) -> Self {
        Self {
            half: WriteHalf::default(),
            encoder: Encoder::new(keys),
            broken: false,
            ends: false,
            ended: false,
            blocked_since: None,
            ping_staged: None,
            close_sent: false,
            frames: Frames::default(),
            compression: Compression::default(),
        }
    }

    /// Returns whether the sending side of the stream must be closed once all is flushed.
    pub(super) fn must_end(&self) -> bool {
        self.ends && !self.ended && self.encoder.is_closed()
    }
}

impl Wire {
    /// Frees the memory of the writer that messages needed, unless a thread is sending.
    pub(super) fn release_memory(&self) {
        if let Some(mut writer) = self.try_lock_writer() {
            writer.state.half.release();
            drop(writer);
            // Another thread may have noted something that it could not flush meanwhile.
            self.flush_pending();
        }
    }

    /// Sets other masking keys, or none.
    #[cfg(all(test, not(any(loom, shuttle))))]
    pub(super) fn set_mask_keys(&self, keys: MaskKeys) {
        self.lock_writer().state.encoder = Encoder::new(keys);
    }
}

/// Holds the writer's state, while no other thread can use it.
#[derive(Debug)]
pub(super) struct WriterGuard<'a> {
    pub(super) wire: &'a Wire,
    pub(super) state: MutexGuard<'a, WriterState>,
}

impl WriterGuard<'_> {
    /// Returns the number of bytes that are staged.
    #[inline]
    pub(super) fn staged(&mut self) -> usize {
        self.wire.duplex.stage(&mut self.state.half).len()
    }

    /// Encodes the header of a frame that is written in chunks of `chunk` bytes.
    #[inline]
    pub(super) fn begin_frame(
        &mut self,
        start: FrameStart,
        chunk: usize,
    ) -> Result<Body, EncodeError> {
        let WriterState { half, encoder, .. } = &mut *self.state;
        let stage = self.wire.duplex.stage(half);
        if start.len > (CHUNK / 4) as u64 {
            // `reserve` would double the buffer, and `shrink` would free the surplus each time.
            stage.reserve_exact((chunk + MAX_HEADER).saturating_sub(stage.len()));
        }
        encoder.begin_frame(start, stage)
    }

    /// Counts a frame of which all bytes are encoded.
    pub(super) fn count(&mut self, frame: &Frame<'_>) {
        let WriterState { frames, compression, .. } = &mut *self.state;
        frames.note(frame.opcode, frame.fin);
        if let Some(uncompressed) = frame.compressed {
            compression.uncompressed += uncompressed as u64;
            compression.compressed += frame.payload.len() as u64;
        }
    }

    /// Returns whether the system did not take all that was staged.
    pub(super) fn is_blocked(&self) -> bool {
        self.state.blocked_since.is_some()
    }

    /// Notes that the system took all that was staged, or that nothing can be written any more.
    #[inline]
    fn unblock(&mut self) {
        if self.state.blocked_since.take().is_some() {
            self.wire.left.lock().blocked_since = None;
        }
    }

    /// Writes all that is staged, which ends with a whole frame.
    #[inline]
    pub(super) fn flush_frames(&mut self, limit: &mut Countdown) -> Result<(), Error> {
        self.flush(limit)?;
        self.note_sent();
        Ok(())
    }

    /// Writes all that is staged, and waits until the system has taken it.
    #[inline]
    pub(super) fn flush(&mut self, limit: &mut Countdown) -> Result<(), Error> {
        self.unblock(); // The limit of this call holds now.
        while !self.state.broken {
            let (now, wire) = (now(), self.wire);
            let mut left = limit.left(now);
            let mut at_most =
                |most: Duration| left = Some(left.map_or(most, |left| left.min(most)));
            if let Some(closing) = wire.close_state.close_at().remaining(now) {
                at_most(closing);
            }
            if wire.duplex.resumes_writes {
                // The receiver must learn from time to time that the peer reads.
                at_most(wire.poll_interval.min(PROGRESS_INTERVAL));
            }
            match self.write_staged(Wait::For(left, now), now) {
                Ok(()) => {
                    self.note_flushed();
                    return Ok(());
                }
                Err(error) => self.go_on_after(error, limit)?,
            }
        }
        Err(Error::Closed(self.wire.close_state.so_far()))
    }

    /// Fails, unless the write failed only because its time is over and more time is left.
    #[cold]
    fn go_on_after(&mut self, error: io::Error, limit: &mut Countdown) -> Result<(), Error> {
        if error.kind() == io::ErrorKind::WouldBlock {
            return self.check_deadline(limit);
        }
        let cause = self.write_failure(error);
        Err(self.fail(cause))
    }

    /// Flushes, and checks the deadline even if all was written. More follows, and a peer that
    /// takes a little now and then must not extend the deadline.
    pub(super) fn flush_chunk(&mut self, limit: &mut Countdown) -> Result<(), Error> {
        self.flush(limit)?;
        self.check_deadline(limit)
    }

    fn check_deadline(&mut self, limit: &mut Countdown) -> Result<(), Error> {
        let late = if limit.end().is_past() {
            Timeout::Send
        } else if self.wire.close_state.close_at().is_past() {
            Timeout::Close
        } else {
            return Ok(());
        };
        Err(self.fail(Cause::Timeout(late)))
    }

    /// Returns the cause of a failed write that cannot be tried again.
    fn write_failure(&self, error: io::Error) -> Cause {
        if !is_timeout(&error) {
            return Cause::Io(Arc::new(error));
        }
        let closing = self.wire.close_state.close_at().is_past();
        Cause::Timeout(if closing { Timeout::Close } else { Timeout::Send })
    }

    /// Writes what is staged. A panic of a stream that the user brought ends the connection,
    /// because half a frame may be written.
    #[inline]
    fn write_staged(&mut self, wait: Wait, now: Instant) -> io::Result<()> {
        let (duplex, half) = (&self.wire.duplex, &mut self.state.half);
        half.is_timed = self.wire.awaits_pong.load(Ordering::Relaxed);
        let written = match catch_unwind(AssertUnwindSafe(|| duplex.flush(half, wait, now))) {
            Ok(written) => written,
            Err(panic) => {
                let error = io::Error::other("the stream panicked in a write");
                self.fail(Cause::Io(Arc::new(error)));
                resume_unwind(panic)
            }
        };
        if mem::take(&mut self.state.half.made_room) {
            self.wire.note_peer_read(sync::now());
        }
        if written.is_err() {
            self.wire.counters.sent.set_bytes(self.state.half.bytes);
        }
        written
    }

    /// Notes that all staged bytes are written: our Close, a keepalive ping. Closes the sending
    /// side of the stream if it is time for that.
    #[inline]
    fn note_flushed(&mut self) {
        self.unblock();
        if self.state.encoder.is_closed() && !mem::replace(&mut self.state.close_sent, true) {
            self.wire.close_state.close_sent();
        }
        if let Some(position) = self.state.ping_staged.take() {
            self.wire.set_last_ping(LastPing::Written(now(), position));
        }
        if self.state.must_end() {
            self.state.ended = true;
            self.wire.duplex.finish(&mut self.state.half);
        }
        let WriterState { half, frames, compression, .. } = &*self.state;
        self.wire.counters.sent.set(half.bytes, *frames, *compression);
    }

    /// Notes that all messages that were begun are written to their end.
    #[inline]
    fn note_sent(&self) {
        if let Some(OnSent(call)) = self.wire.on_sent.get() {
            call(self.state.encoder.written());
        }
    }

    /// Notes that a write failed. Half a frame may be written, so nothing can be sent any more.
    pub(super) fn fail(&mut self, cause: Cause) -> Error {
        self.state.broken = true;
        self.wire.set_last_ping(LastPing::None);
        self.unblock(); // What is pending is dropped, and not tried again.
        self.wire.close_state.write_failed(&cause);
        self.wire.wake_all();
        let timed_out = matches!(cause, Cause::Timeout(Timeout::Send));
        if !matches!(&cause, Cause::Io(error) if peer_is_gone(error)) {
            // The peer may stay silent, so shut the socket down to wake a blocked `recv`.
            self.wire.duplex.shutdown();
        }
        if timed_out && !self.wire.close_state.is_aborted() {
            return Error::Timeout(Timeout::Send);
        }
        Error::Closed(self.wire.close_state.so_far())
    }

    /// Writes what is staged. A write that is blocked longer than `write_timeout` ends the
    /// connection.
    pub(super) fn try_flush(&mut self, wait: Wait) -> Flushed {
        let flushed = self.try_flush_part(wait);
        if flushed == Flushed::Done && !self.state.broken {
            self.note_sent();
        }
        flushed
    }

    /// Writes what is staged as [`try_flush`](Self::try_flush) does, in the middle of a message.
    pub(super) fn try_flush_part(&mut self, wait: Wait) -> Flushed {
        if self.state.broken {
            return Flushed::Done;
        }
        match self.write_staged(wait, now()) {
            Ok(()) => self.note_flushed(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let since = *self.state.blocked_since.get_or_insert_with(now);
                self.wire.left.lock().blocked_since = Some(since);
                if self.wire.timeouts.write.is_none_or(|timeout| now() - since < timeout) {
                    return Flushed::Blocked;
                }
                self.fail(Cause::Timeout(Timeout::Send));
            }
            Err(error) => {
                let cause = self.write_failure(error);
                self.fail(cause);
            }
        }
        Flushed::Done
    }
}
