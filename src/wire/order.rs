//! The message order: a message is written whole, in one frame or several, before the next begins.
//!
//! Whoever has the [`Turn`] writes; the others wait for it to be dropped, or for
//! [`tell_all`](Order::tell_all), which makes them look whether it is worth waiting.

use std::sync::PoisonError;
use std::time::Duration;

use crate::net::deadline::Deadline;
use crate::sync::{Condvar, Mutex, MutexGuard, now};

#[derive(Debug, Default)]
pub(super) struct Order {
    queue: Mutex<Queue>,
    /// Told when a message is finished, and when the connection ends.
    next: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    taken: bool,
    waiting: usize,
}

/// The right to write a message; given on when it is dropped.
#[derive(Debug)]
pub(crate) struct Turn<'a>(&'a Order);

/// Why the turn did not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoTurn {
    Ended,
    TimedOut,
}

impl Order {
    /// Waits for the turn while the connection `is_open`, and no longer than `timeout`.
    pub(super) fn turn(
        &self,
        timeout: Option<Duration>,
        is_open: impl Fn() -> bool,
    ) -> Result<Turn<'_>, NoTurn> {
        let mut queue = self.queue();
        let deadline = Deadline::after(timeout.filter(|_| queue.taken));
        while queue.taken {
            if !is_open() {
                return Err(NoTurn::Ended);
            }
            if deadline.is_past() {
                return Err(NoTurn::TimedOut);
            }
            queue.waiting += 1;
            let remaining = deadline.remaining(now()).unwrap_or(Duration::MAX);
            let woken = self.next.wait_timeout(queue, remaining);
            queue = woken.unwrap_or_else(PoisonError::into_inner).0;
            queue.waiting -= 1;
        }
        queue.taken = true;
        Ok(Turn(self))
    }

    /// Whoever waits looks again; call it after `is_open` has become false.
    pub(super) fn tell_all(&self) {
        let queue = self.queue();
        if queue.waiting > 0 {
            self.next.notify_all();
        }
    }

    /// Nothing is half done under this lock when a thread panics.
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut queue = self.0.queue();
        queue.taken = false;
        if queue.waiting > 0 {
            self.0.next.notify_one();
        }
    }
}
