//! A fair lock that guards no data. Waiting for it fails when the connection ends.
//!
//! A connection has two: the message lock, so that a message of several frames is written whole,
//! and the queue of the write lock, where senders wait for `writer`. The lock is free again when
//! its [`FairGuard`] is dropped. [`wake_all`](FairLock::wake_all) makes all waiting threads check
//! whether the connection is still open.
//!
//! A lock that no thread waits for is taken and released by one atomic operation each.

use std::mem;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::net::deadline::Deadline;
use crate::sync::{AtomicUsize, Condvar, Mutex, MutexGuard, now};

/// The limit of a wait before the lock is handed over to a waiting thread. Until then a running
/// thread may lock again, because that is faster than waking another thread.
#[cfg(not(all(test, loom)))]
const FAIRNESS_INTERVAL: Duration = Duration::from_millis(1);
/// Zero with loom, so that the lock is always handed over. With shuttle the lock never is, because
/// time stands still in the models.
#[cfg(all(test, loom))]
const FAIRNESS_INTERVAL: Duration = Duration::ZERO;

/// No thread holds the lock, and none waits for it.
const FREE: usize = 0;
/// A thread holds the lock, or the lock is handed over to the next thread that wakes up.
const LOCKED: usize = 1;
/// Threads wait in the queue, so the lock is taken and released under the queue's mutex.
const QUEUED: usize = 2;

/// Gives the lock to the threads that wait for it, in turn.
#[derive(Debug)]
pub(super) struct FairLock {
    /// [`FREE`], or some of [`LOCKED`] and [`QUEUED`]. Once `QUEUED` is set, only a thread that
    /// holds `queue` changes it.
    state: AtomicUsize,
    queue: Mutex<Waiting>,
    /// Notified when the lock becomes free, and when the connection ends.
    next: Condvar,
}

impl Default for FairLock {
    fn default() -> Self {
        let (queue, next) = (Mutex::default(), Condvar::default());
        Self { state: AtomicUsize::new(FREE), queue, next }
    }
}

#[derive(Debug, Default)]
struct Waiting {
    /// The lock belongs to the next waiting thread that wakes up, and to no other.
    handed_over: bool,
    waiting: usize,
    /// The time when threads began to wait, or of the last hand-over. It stays for a thread that
    /// wakes up and does not get the lock. `None` if no thread waits.
    since: Option<Instant>,
}

/// Holds the lock; releases it when it is dropped.
#[derive(Debug)]
pub(crate) struct FairGuard<'a>(&'a FairLock);

/// Says why the lock was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LockError {
    Closed,
    TimedOut,
}

impl FairLock {
    /// Waits for the lock while `is_open` returns `true`, until `deadline` at most. Both are called
    /// only if the lock is not free.
    #[inline]
    pub(super) fn lock(
        &self,
        deadline: impl FnOnce() -> Deadline,
        is_open: impl Fn() -> bool,
    ) -> Result<FairGuard<'_>, LockError> {
        if !self.swap(FREE, LOCKED) {
            self.queue_up(deadline(), is_open)?;
        }
        Ok(FairGuard(self))
    }

    /// Takes the lock if it is free and no thread waits for it.
    pub(super) fn try_lock(&self) -> Option<FairGuard<'_>> {
        self.swap(FREE, LOCKED).then(|| FairGuard(self))
    }

    /// Waits in the queue.
    #[cold]
    fn queue_up(&self, deadline: Deadline, is_open: impl Fn() -> bool) -> Result<(), LockError> {
        let mut queue = self.queue.lock();
        let taken = loop {
            // Without this bit, the thread that holds the lock may release it without the mutex.
            let state = self.state.fetch_or(QUEUED, Ordering::AcqRel);
            if state & LOCKED == 0 {
                self.state.fetch_or(LOCKED, Ordering::AcqRel);
                break Ok(());
            }
            if !is_open() {
                break Err(LockError::Closed);
            }
            if deadline.is_past() {
                break Err(LockError::TimedOut);
            }
            queue = self.wait(queue, deadline);
            // Any thread that wakes up takes a lock that was handed over, whatever woke the thread.
            // So such a lock is never left without an owner.
            if mem::take(&mut queue.handed_over) {
                break Ok(());
            }
        };
        if queue.waiting == 0 {
            queue.since = None;
            self.state.fetch_and(!QUEUED, Ordering::AcqRel);
        }
        taken
    }

    /// Changes the state, and returns whether it was `from`.
    #[inline]
    fn swap(&self, from: usize, to: usize) -> bool {
        self.state.compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    fn wait<'a>(
        &'a self,
        mut queue: MutexGuard<'a, Waiting>,
        deadline: Deadline,
    ) -> MutexGuard<'a, Waiting> {
        queue.waiting += 1;
        let now = now();
        queue.since.get_or_insert(now);
        let remaining = deadline.remaining(now).unwrap_or(Duration::MAX);
        let mut queue = self.next.wait_timeout(queue, remaining);
        queue.waiting -= 1;
        queue
    }

    /// Releases a lock that threads wait for, or hands it over.
    #[cold]
    fn release_to_queue(&self) {
        let mut queue = self.queue.lock();
        if let Some(since) = queue.since {
            let now = now();
            if now.saturating_duration_since(since) >= FAIRNESS_INTERVAL {
                queue.since = Some(now);
                queue.handed_over = true;
            }
        }
        if !queue.handed_over {
            self.state.fetch_and(!LOCKED, Ordering::AcqRel);
        }
        self.next.notify_one();
    }

    /// Makes all waiting threads check `is_open`. Call it after `is_open` has become `false`.
    pub(super) fn wake_all(&self) {
        let queue = self.queue.lock();
        if queue.waiting > 0 {
            self.next.notify_all();
        }
    }
}

impl Drop for FairGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        if !self.0.swap(LOCKED, FREE) {
            self.0.release_to_queue();
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;
