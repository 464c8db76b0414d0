//! The ways in which an App ends, and the thread that `App::spawn` gives it.

use std::fmt;
use std::panic::resume_unwind;
use std::thread::JoinHandle;

use super::handle::Handle;
use crate::error::{Closed, Error};

/// Tells why an [`App`](crate::App) ended, if it did not end by an error.
///
/// # Examples
///
/// ```no_run
/// use landline::app::Exit;
/// use landline::{App, Callbacks};
///
/// match App::new("wss://example.com/feed", Callbacks::new()).run_forever()? {
///     Exit::Stopped => println!("this program wanted it"),
///     Exit::Closed(closed) => println!("the server has no more to say: {closed}"),
///     Exit::GaveUp { attempts, error, .. } => println!("after {attempts} attempts: {error}"),
///     other => println!("{other}"),
/// }
/// # Ok::<(), landline::Error>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Exit {
    /// This side stopped the App: by a [`Handle`], or by [`Sender::close`](crate::Sender::close)
    /// or [`Sender::abort`](crate::Sender::abort) in a callback.
    Stopped,
    /// The connection ended, with a Close of the server or without one, and this end is not
    /// retried.
    Closed(Closed),
    /// The [`Backoff`](crate::backoff::Backoff) gave up.
    #[non_exhaustive]
    GaveUp {
        /// The number of failures in a row.
        attempts: u32,
        /// The error of the last attempt, or the one that tells how its connection ended.
        error: Error,
    },
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped => f.write_str("stopped by this program"),
            Self::Closed(closed) => closed.fmt(f),
            Self::GaveUp { attempts: 1, error } => write!(f, "gave up after one attempt: {error}"),
            Self::GaveUp { attempts, error } => {
                write!(f, "gave up after {attempts} attempts: {error}")
            }
        }
    }
}

/// Stands for an [`App`](crate::App) that runs on a thread of its own. The thread goes on when this
/// is dropped: stop the App with its [`handle`](Self::handle).
///
/// # Examples
///
/// ```no_run
/// use landline::{App, Callbacks};
///
/// let app = App::new("wss://example.com/feed", Callbacks::new()).spawn()?;
/// let handle = app.handle();
/// std::thread::sleep(std::time::Duration::from_secs(60));
/// handle.stop((1000, "a minute is enough"))?;
/// println!("{}", app.join()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct AppThread {
    handle: Handle,
    thread: JoinHandle<Result<Exit, Error>>,
}

impl AppThread {
    pub(super) fn new(handle: Handle, thread: JoinHandle<Result<Exit, Error>>) -> Self {
        Self { handle, thread }
    }

    /// Returns a handle of the App, to send and to stop from elsewhere.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Returns whether the App is over.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits for the end of the App, and returns what [`run_forever`](crate::App::run_forever)
    /// returned.
    ///
    /// # Errors
    /// The same as [`run_forever`](crate::App::run_forever).
    ///
    /// # Panics
    /// If the handler, or a hook, panicked.
    pub fn join(self) -> Result<Exit, Error> {
        self.thread.join().unwrap_or_else(|panic| resume_unwind(panic))
    }
}
