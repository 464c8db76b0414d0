//! How an App ends, and the thread that it runs on.

use std::fmt;
use std::panic::resume_unwind;
use std::thread::JoinHandle;

use super::handle::Handle;
use crate::error::{Closed, Error};

/// Why an [`App`](crate::App) ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum Exit {
    /// It was stopped on this side: by a [`Handle`], or by [`Sender::close`](crate::Sender::close) or
    /// [`Sender::abort`](crate::Sender::abort) in a callback.
    Stopped,
    /// The connection is over, by a Close of the server or without one, and that is not to be retried.
    Closed(Closed),
    /// The [`Backoff`](crate::backoff::Backoff) gave up.
    #[non_exhaustive]
    GaveUp {
        /// How many attempts in a row gave no stable connection.
        attempts: u32,
        /// Why the last one failed, or how its connection ended.
        error: Error,
    },
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped => f.write_str("stopped here"),
            Self::Closed(closed) => closed.fmt(f),
            Self::GaveUp { attempts: 1, error } => write!(f, "gave up after one attempt: {error}"),
            Self::GaveUp { attempts, error } => {
                write!(f, "gave up after {attempts} attempts: {error}")
            }
        }
    }
}

/// An [`App`](crate::App) on a thread of its own. Dropping it leaves the thread running: stop it
/// with its
/// [`handle`](Self::handle).
#[derive(Debug)]
pub struct AppThread {
    handle: Handle,
    thread: JoinHandle<Result<Exit, Error>>,
}

impl AppThread {
    pub(super) fn new(handle: Handle, thread: JoinHandle<Result<Exit, Error>>) -> Self {
        Self { handle, thread }
    }

    /// For sending and stopping from elsewhere.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Whether the App is over.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits for the end, and gives what [`run_forever`](crate::App::run_forever) gives.
    ///
    /// # Errors
    /// As [`run_forever`](crate::App::run_forever).
    ///
    /// # Panics
    /// If the handler did.
    pub fn join(self) -> Result<Exit, Error> {
        self.thread.join().unwrap_or_else(|panic| resume_unwind(panic))
    }
}
