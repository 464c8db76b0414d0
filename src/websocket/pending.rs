//! Pending control frames: all that must be sent as soon as the write lock is free. These are the
//! latest Pong, a keepalive Ping, a Close, and output of TLS.
//!
//! Noting one of them never waits. The receiver then flushes with `try_lock`. If another thread
//! holds the lock, that thread looks again after it has released the lock, and flushes. If the
//! receiver cannot flush because the peer does not read, the receiver tries again itself.

use std::io;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::wire::{LastPing, Wire};
use super::writer_state::WriterGuard;
use crate::error::Cause;
use crate::net::deadline::Deadline;
use crate::net::duplex::Wait;
use crate::proto::close::CloseFrame;
use crate::proto::frame::{MAX_CONTROL_PAYLOAD, Opcode, encode_close};
use crate::proto::send::EncodeError;
use crate::sync::{AtomicBool, Mutex};

/// The limit for collecting Pongs. When they fill more than 4 KiB, they are written.
const PONG_BATCH: usize = 4 * 1024;

/// Says what is left after flushing without waiting for the write lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flushed {
    /// Nothing is left, or nothing can be written any more.
    Done,
    /// Another thread has the writer. It flushes what is pending when it is done, as far as it may
    /// wait for the peer.
    Busy,
    /// Something is left: the peer does not read at the moment.
    Blocked,
}

impl Wire {
    /// Notes the answer to a Ping. Writes only when enough answers are collected; otherwise
    /// [`flush_pending`](Self::flush_pending) writes them.
    pub(crate) fn note_pong(&self, payload: Control) {
        self.pending.note_pong(payload);
        let Some(mut writer) = self.try_lock_writer() else { return };
        if writer.is_blocked() {
            return;
        }
        writer.stage_pending();
        if writer.staged() > PONG_BATCH {
            writer.try_flush(Wait::Not);
        }
    }

    /// Notes a keepalive Ping.
    pub(crate) fn note_ping(&self, payload: [u8; 8]) {
        self.set_last_ping(LastPing::Queued);
        self.pending.note_ping(payload);
    }

    /// Notes that TLS has output.
    pub(crate) fn note_tls(&self) {
        self.pending.note_tls();
    }

    /// Returns where the last keepalive ping is. [`LastPing::Written`] is returned once for each
    /// ping.
    pub(crate) fn take_ping(&self) -> LastPing {
        let mut ping = self.ping.lock();
        match *ping {
            LastPing::Written(..) => mem::take(&mut *ping),
            other => other,
        }
    }

    pub(super) fn set_last_ping(&self, ping: LastPing) {
        *self.ping.lock() = ping;
        if let LastPing::Written(..) = ping {
            self.awaits_pong.store(true, Ordering::Relaxed);
        }
    }

    /// Says that the last keepalive ping was answered.
    pub(crate) fn ping_answered(&self) {
        self.awaits_pong.store(false, Ordering::Relaxed);
    }

    /// Returns when the peer last read something of ours; `None` if it was returned before.
    pub(crate) fn take_peer_read(&self) -> Option<Instant> {
        self.peer_read.lock().take()
    }

    pub(super) fn note_peer_read(&self, now: Instant) {
        *self.peer_read.lock() = Some(now);
    }

    /// Flushes what is pending. Waits neither for the write lock nor for the peer.
    pub(crate) fn flush_pending(&self) -> Flushed {
        self.flush_within(Wait::Not)
    }

    /// Flushes what is pending. Waits for the peer, but not for the write lock: until `deadline` at
    /// most, and not longer than `close_timeout` and `write_timeout` allow.
    pub(crate) fn flush_pending_until(&self, deadline: Deadline) -> Flushed {
        let until = deadline.min(self.close_state.close_at()).min(self.write_deadline());
        self.flush_within(Wait::Until(until))
    }

    pub(super) fn flush_within(&self, wait: Wait) -> Flushed {
        loop {
            let Some(mut writer) = self.try_lock_writer() else { return Flushed::Busy };
            let mut flushed = Flushed::Done;
            if writer.is_blocked() || writer.stage_pending() || writer.needs_flush() {
                flushed = writer.try_flush(wait);
                writer.state.half.shrink(); // It may have been the rest of a big message.
            }
            drop(writer);
            if flushed == Flushed::Blocked || self.pending.is_empty() {
                return flushed;
            }
        }
    }
}

impl WriterGuard<'_> {
    /// Encodes what is pending. Returns whether TLS has output too.
    #[inline]
    pub(super) fn stage_pending(&mut self) -> bool {
        match self.wire.pending.take() {
            None => false,
            Some(items) => self.stage(&items),
        }
    }

    fn stage(&mut self, pending: &Items) -> bool {
        let wire = self.wire;
        if self.state.broken {
            wire.set_last_ping(LastPing::None);
            return false;
        }
        let state = &mut *self.state;
        let position = wire.duplex.position(&mut state.half);
        let stage = wire.duplex.stage(&mut state.half);
        let mut done = Ok(());
        if let Some(pong) = &pending.pong {
            done = done.and_then(|()| state.encoder.control(Opcode::Pong, pong.as_bytes(), stage));
            if done.is_ok() {
                state.frames.note(Opcode::Pong, true);
                wire.sent_log.note(Opcode::Pong, pong.as_bytes().len() as u64);
            }
        }
        if let Some(ping) = &pending.ping {
            done = done.and_then(|()| state.encoder.control(Opcode::Ping, ping, stage));
            if done.is_ok() {
                state.ping_staged = Some(position);
                state.frames.note(Opcode::Ping, true);
                wire.sent_log.note(Opcode::Ping, ping.len() as u64);
            } else {
                // Our Close was encoded before, so the ping will never be sent. Do not wait for it.
                wire.set_last_ping(LastPing::None);
            }
        }
        if let Some(close) = &pending.close {
            done = done.and_then(|()| state.encoder.close(close, stage));
            if done.is_ok() {
                wire.sent_log.note(Opcode::Close, encode_close(close).len() as u64);
            }
        }
        if done == Err(EncodeError::NoRandom) {
            self.fail(Cause::Io(Arc::new(io::Error::other(EncodeError::NoRandom))));
            return false;
        }
        state.ends |= pending.end;
        pending.tls
    }

    /// Returns whether anything is staged, or the stream is to be ended.
    #[inline]
    pub(super) fn needs_flush(&mut self) -> bool {
        let state = &mut *self.state;
        !state.broken && (state.must_end() || self.wire.duplex.is_staged(&mut state.half))
    }
}

/// Holds what is noted and not encoded yet.
///
/// A thread that notes something sets `is_noted`, and then tries to lock `writer`. A thread that
/// has unlocked `writer` asks [`is_empty`](Self::is_empty). Both read and write `is_noted` by one
/// operation, so one of the two threads sees what the other did before it.
#[derive(Debug)]
pub(super) struct Pending {
    items: Mutex<Items>,
    /// There are items. Changed only while `items` is locked.
    is_noted: AtomicBool,
}

impl Default for Pending {
    fn default() -> Self {
        Self { items: Mutex::default(), is_noted: AtomicBool::new(false) }
    }
}

#[derive(Debug, Default)]
pub(super) struct Items {
    /// Only the latest Pong, which is enough (RFC 6455 section 5.5.3).
    pong: Option<Control>,
    ping: Option<[u8; 8]>,
    close: Option<CloseFrame>,
    /// TLS has output.
    tls: bool,
    /// The sending side of the stream is to be closed after our Close.
    end: bool,
}

impl Pending {
    fn note_pong(&self, payload: Control) {
        self.note(|items| items.pong = Some(payload));
    }

    fn note_ping(&self, payload: [u8; 8]) {
        self.note(|items| items.ping = Some(payload));
    }

    pub(super) fn note_close(&self, close: CloseFrame) {
        self.note(|items| items.close = Some(close));
    }

    fn note_tls(&self) {
        self.note(|items| items.tls = true);
    }

    pub(super) fn note_end(&self) {
        self.note(|items| items.end = true);
    }

    fn note(&self, set: impl FnOnce(&mut Items)) {
        let mut items = self.items.lock();
        set(&mut items);
        self.is_noted.swap(true, Ordering::AcqRel);
    }

    /// Returns whether a Close is noted and not taken yet.
    pub(super) fn has_close(&self) -> bool {
        self.items.lock().close.is_some()
    }

    /// Takes all that is pending, which the caller must write; `None` if nothing is.
    #[inline]
    fn take(&self) -> Option<Items> {
        if !self.is_noted.load(Ordering::Acquire) {
            return None;
        }
        let mut items = self.items.lock();
        self.is_noted.swap(false, Ordering::AcqRel).then(|| mem::take(&mut *items))
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        !self.is_noted.fetch_or(false, Ordering::AcqRel)
    }
}

/// Holds the payload of a control frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Control {
    bytes: [u8; MAX_CONTROL_PAYLOAD],
    len: usize,
}

impl Control {
    /// Keeps the first 125 bytes, the most that a control frame may have.
    pub(crate) fn new(payload: &[u8]) -> Self {
        let mut bytes = [0; MAX_CONTROL_PAYLOAD];
        let len = payload.len().min(MAX_CONTROL_PAYLOAD);
        bytes[..len].copy_from_slice(&payload[..len]);
        Self { bytes, len }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}
