//! Paying what is owed. The receiver notes a debt, and pays if the wire is free: it never waits.
//! If the wire is not free, whoever has it looks again after letting go of it, and pays; what the
//! receiver could not pay, because the peer does not read, it tries again itself.

use std::io;
use std::mem;
use std::sync::{Arc, PoisonError, TryLockError};
use std::time::Instant;

use super::owed::Control;
use super::wire::{LastPing, Out, Wire};
use crate::error::{Cause, Timeout};
use crate::net::deadline::Deadline;
use crate::net::duplex::Wait;
use crate::proto::frame::Opcode;
use crate::proto::send::Refused;
use crate::sync::{MutexGuard, now};

/// Pongs are gathered up to so many bytes before they are written.
const GATHER: usize = 4 * 1024;

/// What became of paying without waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Paid {
    /// All, or whoever has the wire will do it.
    Yes,
    /// Not all: the peer does not read just now.
    NotYet,
}

impl Wire {
    /// Answers a Ping: at once if the wire is free and takes it, else with the latest later.
    pub(crate) fn owe_pong(&self, payload: Control) {
        self.owed.pong(payload);
        let Some(mut out) = self.try_lock_out() else { return };
        if out.stuck_since.is_some() {
            return;
        }
        self.stage_owed(&mut out);
        if self.duplex.stage(&mut out.half).len() > GATHER {
            self.flush_within(&mut out, Wait::Not);
        }
    }

    pub(crate) fn owe_ping(&self, payload: [u8; 8]) {
        self.note_ping(LastPing::Waits);
        self.owed.ping(payload);
    }

    /// Where the last keepalive ping is. That it was written is told once.
    pub(crate) fn take_ping(&self) -> LastPing {
        let mut ping = self.last_ping();
        match *ping {
            LastPing::Written(..) => mem::take(&mut *ping),
            other => other,
        }
    }

    /// When the peer is known to have read something, unless that was told already.
    pub(crate) fn take_peer_read(&self) -> Option<Instant> {
        self.peer_read.lock().take()
    }

    pub(super) fn note_peer_read(&self, now: Instant) {
        *self.peer_read.lock() = Some(now);
    }

    pub(super) fn note_ping(&self, ping: LastPing) {
        *self.last_ping() = ping;
    }

    fn last_ping(&self) -> MutexGuard<'_, LastPing> {
        self.ping.lock()
    }

    pub(crate) fn owe_tls(&self) {
        self.owed.tls();
    }

    /// Pays without waiting, neither for the wire nor for the peer.
    pub(crate) fn settle(&self) -> Paid {
        self.pay(Wait::Not)
    }

    /// Pays, and waits for the peer, but not for the wire; and no longer than until `deadline`, nor
    /// than the closing handshake or a write may take.
    pub(crate) fn pay_until(&self, deadline: Deadline) -> Paid {
        let close_at = Deadline::at(self.ending.close_at());
        let until = deadline.min(close_at).min(Deadline::after(self.timeouts.write));
        self.pay(Wait::Until(until))
    }

    fn pay(&self, wait: Wait) -> Paid {
        loop {
            // Whoever has the wire pays when letting go of it.
            let Some(mut out) = self.try_lock_out() else { return Paid::Yes };
            let due = out.stuck_since.is_some() || self.stage_owed(&mut out);
            let paid = if due { self.flush_within(&mut out, wait) } else { Paid::Yes };
            drop(out);
            if paid == Paid::NotYet || self.owed.is_empty() {
                return paid;
            }
        }
    }

    fn flush_within(&self, out: &mut Out, wait: Wait) -> Paid {
        if out.broken {
            return Paid::Yes;
        }
        match self.write_staged(out, wait) {
            Ok(()) => self.flushed(out),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let since = *out.stuck_since.get_or_insert_with(now);
                if self.timeouts.write.is_none_or(|timeout| now() - since < timeout) {
                    return Paid::NotYet;
                }
                self.broken(out, Cause::Timeout(Timeout::Send));
            }
            Err(error) => {
                self.broken(out, self.write_failure(error));
            }
        }
        Paid::Yes
    }

    /// Encodes what is owed; `true` when there was anything to write.
    pub(super) fn stage_owed(&self, out: &mut Out) -> bool {
        let owed = self.owed.take();
        if out.broken {
            self.note_ping(LastPing::Settled);
            return false;
        }
        let position = self.duplex.position(&mut out.half);
        let stage = self.duplex.stage(&mut out.half);
        let mut done = Ok(());
        if let Some(pong) = &owed.pong {
            done = done.and_then(|()| out.encoder.control(Opcode::Pong, pong.as_bytes(), stage));
            if done.is_ok() {
                self.sent_log.note(Opcode::Pong, pong.as_bytes().len());
            }
        }
        if let Some(ping) = &owed.ping {
            done = done.and_then(|()| out.encoder.control(Opcode::Ping, ping, stage));
            if done.is_ok() {
                out.ping_staged = Some(position);
                self.sent_log.note(Opcode::Ping, ping.len());
            } else {
                // After our Close: it will never be sent, and is not waited for.
                self.note_ping(LastPing::Settled);
            }
        }
        if let Some(close) = &owed.close {
            done = done.and_then(|()| out.encoder.close(close, stage));
            if done.is_ok() {
                self.sent_log.note(Opcode::Close, close.encode().len());
            }
        }
        if done == Err(Refused::NoRandom) {
            self.broken(out, Cause::Io(Arc::new(io::Error::other(Refused::NoRandom))));
            return false;
        }
        out.ends |= owed.end;
        owed.tls || out.must_end() || self.duplex.is_staged(&mut out.half)
    }

    pub(super) fn lock_out(&self) -> MutexGuard<'_, Out> {
        self.out.lock().unwrap_or_else(after_panic)
    }

    pub(super) fn try_lock_out(&self) -> Option<MutexGuard<'_, Out>> {
        match self.out.try_lock() {
            Ok(out) => Some(out),
            Err(TryLockError::Poisoned(poisoned)) => Some(after_panic(poisoned)),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Lets go of the wire, and pays what came to be owed meanwhile, until `deadline`. What the
    /// peer does not take by then the receiver tries again.
    pub(super) fn release(&self, out: MutexGuard<'_, Out>, deadline: Deadline) {
        let mut held = Some(out);
        while let Some(mut out) = held.take() {
            let mut paid = Paid::Yes;
            if self.stage_owed(&mut out) {
                let until = deadline.min(Deadline::at(self.ending.close_at()));
                paid = self.flush_within(&mut out, Wait::Until(until));
            }
            self.duplex.shrink(&mut out.half);
            drop(out);
            if paid == Paid::Yes && !self.owed.is_empty() {
                held = self.try_lock_out();
            }
        }
    }
}

/// A stream that somebody brought panicked in a write: a frame may be half on the wire.
fn after_panic(poisoned: PoisonError<MutexGuard<'_, Out>>) -> MutexGuard<'_, Out> {
    let mut out = poisoned.into_inner();
    out.broken = true;
    out.stuck_since = None; // What is owed then is forgotten, not tried again.
    out
}
