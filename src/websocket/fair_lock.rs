//! Turns, one after the other: a message is written whole, in one frame or several, before the next
//! begins; and whoever writes waits for the wire.
//!
//! Whoever has the [`Turn`] writes; the others wait for it to be dropped, or for
//! [`tell_all`](Order::tell_all), which makes them look whether it is worth waiting.

use std::mem;
use std::time::{Duration, Instant};

use crate::net::deadline::Deadline;
use crate::sync::{Condvar, Mutex, MutexGuard, now};

/// A thread that takes its next turn at once is faster than one that must be woken. When others
/// have waited for so long, the turn is given to one of them.
#[cfg(not(all(test, loom)))]
const FAIR: Duration = Duration::from_millis(1);
/// In the models time stands still: loom looks at turns that are given, shuttle at those that are
/// taken.
#[cfg(all(test, loom))]
const FAIR: Duration = Duration::ZERO;

#[derive(Debug, Default)]
pub(super) struct Order {
    queue: Mutex<Queue>,
    /// Told when a turn is over, and when the connection ends.
    next: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    taken: bool,
    /// It is given to one of those who wait, and to nobody else.
    given: bool,
    waiting: usize,
    /// Since when somebody waits, and was not given the turn; `None` when nobody waits.
    since: Option<Instant>,
}

type Guard<'a> = MutexGuard<'a, Queue>;

/// The right to write; given on when it is dropped.
#[derive(Debug)]
pub(crate) struct Turn<'a>(&'a Order);

/// Why the turn did not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoTurn {
    Ended,
    TimedOut,
}

impl Order {
    /// Waits for the turn while the connection `is_open`, and no longer than until `deadline`.
    pub(super) fn turn(
        &self,
        deadline: impl FnOnce() -> Deadline,
        is_open: impl Fn() -> bool,
    ) -> Result<Turn<'_>, NoTurn> {
        let mut queue = self.queue();
        let deadline = if queue.taken { deadline() } else { Deadline::NEVER };
        while queue.taken {
            if !is_open() {
                return Err(NoTurn::Ended);
            }
            if deadline.is_past() {
                return Err(NoTurn::TimedOut);
            }
            queue = self.wait(queue, deadline);
            // Whoever comes back from waiting takes it, so that it is never left lying.
            if mem::take(&mut queue.given) {
                return Ok(Turn(self));
            }
        }
        queue.taken = true;
        Ok(Turn(self))
    }

    fn wait<'a>(&'a self, mut queue: MutexGuard<'a, Queue>, deadline: Deadline) -> Guard<'a> {
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

    /// Whoever waits looks again; call it after `is_open` has become false.
    pub(super) fn tell_all(&self) {
        let queue = self.queue();
        if queue.waiting > 0 {
            self.next.notify_all();
        }
    }

    fn queue(&self) -> Guard<'_> {
        self.queue.lock()
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut queue = self.0.queue();
        queue.taken = false;
        if let Some(since) = queue.since {
            let now = now();
            if now.saturating_duration_since(since) >= FAIR {
                queue.since = Some(now);
                (queue.taken, queue.given) = (true, true);
            }
            self.0.next.notify_one();
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;
