//! A fair lock that guards no data, and that gives up when the connection ends.
//!
//! A connection has two: the message lock, so that a message of several frames is written whole,
//! and the write lock, where writers wait for `out`. The lock is free again when its [`FairGuard`]
//! is dropped. [`wake_all`](FairLock::wake_all) makes all waiting threads check whether the
//! connection is still open.

use std::mem;
use std::time::{Duration, Instant};

use crate::net::deadline::Deadline;
use crate::sync::{Condvar, Mutex, MutexGuard, now};

/// Letting the running thread lock again is faster than waking another. To stay fair, the lock is
/// handed over once a thread has waited this long.
#[cfg(not(all(test, loom)))]
const FAIRNESS_INTERVAL: Duration = Duration::from_millis(1);
/// In the models time stands still. So with loom the lock is always handed over, with shuttle never.
#[cfg(all(test, loom))]
const FAIRNESS_INTERVAL: Duration = Duration::ZERO;

#[derive(Debug, Default)]
pub(super) struct FairLock {
    queue: Mutex<Queue>,
    /// Notified when the lock becomes free, and when the connection ends.
    next: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    locked: bool,
    /// The lock belongs to the next waiting thread that wakes up, and to no other.
    handed_over: bool,
    waiting: usize,
    /// When the present threads began to wait, or the last hand-over. `None` when none waits.
    since: Option<Instant>,
}

/// Holds the lock; releases it when it is dropped.
#[derive(Debug)]
pub(crate) struct FairGuard<'a>(&'a FairLock);

/// Why the lock was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LockError {
    Closed,
    TimedOut,
}

impl FairLock {
    /// Waits for the lock while the connection `is_open`, until `deadline` at most. The deadline is
    /// asked for only if the lock is not free.
    pub(super) fn lock(
        &self,
        deadline: impl FnOnce() -> Deadline,
        is_open: impl Fn() -> bool,
    ) -> Result<FairGuard<'_>, LockError> {
        let mut queue = self.queue.lock();
        let deadline = if queue.locked { deadline() } else { Deadline::NEVER };
        while queue.locked {
            if !is_open() {
                return Err(LockError::Closed);
            }
            if deadline.is_past() {
                return Err(LockError::TimedOut);
            }
            queue = self.wait(queue, deadline);
            // Any thread that wakes up takes it, for whatever reason it woke, so that a lock that
            // was handed over is never left without an owner.
            if mem::take(&mut queue.handed_over) {
                return Ok(FairGuard(self));
            }
        }
        queue.locked = true;
        Ok(FairGuard(self))
    }

    fn wait<'a>(
        &'a self,
        mut queue: MutexGuard<'a, Queue>,
        deadline: Deadline,
    ) -> MutexGuard<'a, Queue> {
        queue.waiting += 1;
        let now = now();
        queue.since.get_or_insert(now);
        let remaining = deadline.remaining(now).unwrap_or(Duration::MAX);
        let mut queue = self.next.wait_timeout(queue, remaining);
        queue.waiting -= 1;
        if queue.waiting == 0 {
            queue.since = None;
        }
        queue
    }

    /// Makes all waiting threads check `is_open`; call it after that has become false.
    pub(super) fn wake_all(&self) {
        let queue = self.queue.lock();
        if queue.waiting > 0 {
            self.next.notify_all();
        }
    }
}

impl Drop for FairGuard<'_> {
    fn drop(&mut self) {
        let mut queue = self.0.queue.lock();
        queue.locked = false;
        if let Some(since) = queue.since {
            let now = now();
            if now.saturating_duration_since(since) >= FAIRNESS_INTERVAL {
                queue.since = Some(now);
                (queue.locked, queue.handed_over) = (true, true);
            }
            self.0.next.notify_one();
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;
