//! A place to wait at for news of other threads, until a deadline or an abort.

use std::mem;
use std::sync::Arc;
use std::time::Instant;

use super::abort::AbortHandle;
use super::deadline::Deadline;
use crate::error::{Error, Timeout};
use crate::sync::{Condvar, Mutex};

/// The end that waits. When it is dropped, nothing is taken any more.
pub(super) struct Mailbox<T>(Arc<Shared<T>>);

/// The end that other threads put news into.
pub(super) struct Slot<T>(Arc<Shared<T>>);

struct Shared<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

struct State<T> {
    news: Vec<T>,
    is_aborted: bool,
    is_closed: bool,
}

impl<T: Send + 'static> Mailbox<T> {
    /// Makes a mailbox. An abort by the handle wakes the thread that waits at it.
    pub(super) fn new(abort: &AbortHandle) -> Self {
        let state = State { news: Vec::new(), is_aborted: false, is_closed: false };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::default() });
        let wakes = Arc::downgrade(&shared);
        abort.wake_with(move || {
            if let Some(shared) = wakes.upgrade() {
                shared.state.lock().is_aborted = true;
                shared.changed.notify_one();
            }
        });
        Self(shared)
    }

    pub(super) fn slot(&self) -> Slot<T> {
        Slot(self.0.clone())
    }

    /// Waits for news until the deadline.
    pub(super) fn wait(&self, deadline: Deadline, phase: Timeout) -> Result<T, Error> {
        let mut state = self.0.state.lock();
        loop {
            if state.is_aborted {
                return Err(Error::aborted());
            }
            if !state.news.is_empty() {
                return Ok(state.news.remove(0));
            }
            let changed = &self.0.changed;
            state = match deadline.remaining(Instant::now()) {
                Some(remaining) if remaining.is_zero() => return Err(Error::Timeout(phase)),
                Some(remaining) => changed.wait_timeout(state, remaining),
                None => changed.wait(state),
            };
        }
    }
}

impl<T> Drop for Mailbox<T> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.is_closed = true;
        let unread = mem::take(&mut state.news);
        // What is dropped may hold a value of the user's, so no lock is held then.
        drop(state);
        drop(unread);
    }
}

impl<T> Slot<T> {
    /// Hands news to the thread that waits. Gives them back if no thread waits any more.
    pub(super) fn put(&self, news: T) -> Result<(), T> {
        let mut state = self.0.state.lock();
        if state.is_closed {
            return Err(news);
        }
        state.news.push(news);
        drop(state);
        self.0.changed.notify_one();
        Ok(())
    }

    /// Returns whether a thread still waits.
    pub(super) fn is_wanted(&self) -> bool {
        !self.0.state.lock().is_closed
    }
}

impl<T> Clone for Slot<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}
