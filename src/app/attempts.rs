//! The attempts to connect, one after the other: makes an attempt, and decides what comes after it,
//! or after the connection that it opened. `App::run_forever` and `Connections` both use it.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::backoff::{Backoff, Exponential, Failure, Streak};
use super::exit::Exit;
use super::handle::Handle;
use super::shared::Shared;
use crate::client::builder::Builder;
use crate::error::{Closed, Error};
use crate::sync::Mutex;
use crate::websocket::WebSocket;

/// Holds how to connect, and after which failures to connect again.
pub(super) struct Attempts {
    // The first field, so that it is dropped first: the destructors of the hooks find an App that
    // is over.
    pub(super) shared: Owner,
    url: String,
    pub(super) builder: Builder,
    pub(super) backoff: Box<dyn Backoff + Send>,
    /// `None` while an attempt is under way, whose thread has it.
    pub(super) connect_with: Option<ConnectWith>,
    pub(super) retry_if: Option<RetryIf>,
    pub(super) after_normal_close: bool,
    pub(super) streak: Streak,
    /// The age at which a connection is replaced.
    pub(super) max_age: Option<Duration>,
    /// An earlier attempt opened a connection.
    has_connected: bool,
    /// The attempt that is under way.
    under_way: Option<UnderWay>,
}

/// Holds an attempt that is under way on a thread of its own.
struct UnderWay {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Result<Box<WebSocket>, Error>>>,
    /// Hands `connect_with` to the thread, and back when the thread has called it.
    connect_with: Arc<Mutex<Option<ConnectWith>>>,
    number: u32,
    reconnecting: bool,
}

impl Drop for UnderWay {
    /// Ends an attempt whose result nobody wants, because the App is over.
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            let abort = self.shared.abort.clone();
            // This thread may unwind, and the result may be a connection over the caller's stream,
            // which may panic. So it is aborted and dropped on another thread.
            let dropping = thread::Builder::new().spawn(move || {
                abort.abort();
                drop(thread.join());
            });
            let _ = dropping.map(JoinHandle::join);
        }
    }
}

pub(super) type ConnectWith = Box<dyn FnMut(Attempt<'_>) -> Result<WebSocket, Error> + Send>;
pub(super) type RetryIf = Box<dyn FnMut(&Failure<'_>) -> bool + Send>;

/// Describes an attempt to connect, for [`App::connect_with`](crate::App::connect_with).
///
/// # Examples
///
/// A new URL for each attempt, such as one that a service gives out:
///
/// ```
/// # fn fresh_url() -> String { String::new() }
/// use landline::{App, Callbacks};
///
/// let app = App::new("", Callbacks::new()).connect_with(|attempt| {
///     if attempt.reconnecting {
///         eprintln!("attempt {}", attempt.number);
///     }
///     attempt.builder.connect(&fresh_url())
/// });
/// # let _ = app;
/// ```
#[non_exhaustive]
pub struct Attempt<'a> {
    /// The URL given to [`App::new`](crate::App::new).
    pub url: &'a str,
    /// The App's builder; stopping the App interrupts it.
    pub builder: Builder,
    /// The number of this attempt since the last stable connection, counted from 1.
    pub number: u32,
    /// `true` if there was a connection before.
    pub reconnecting: bool,
}

impl fmt::Debug for Attempt<'_> {
    /// Leaves out the URL, because it may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempt")
            .field("builder", &self.builder)
            .field("number", &self.number)
            .field("reconnecting", &self.reconnecting)
            .finish_non_exhaustive()
    }
}

/// Holds a connection that an attempt has opened.
pub(super) struct Opened {
    /// Boxed, because it is handed on often, and each time would take more of a stack for good.
    pub(super) ws: Box<WebSocket>,
    /// The number of the attempt.
    pub(super) attempt: u32,
    /// There was a connection before this one.
    pub(super) reconnected: bool,
}

/// Tells how an attempt, or the connection that it opened, ended.
pub(super) struct Ended {
    pub(super) error: Error,
    /// The time for which the connection was open, if there was one.
    pub(super) lived: Option<Duration>,
}

impl Ended {
    /// Returns the end of an attempt that opened no connection.
    pub(super) fn attempt(error: Error) -> Self {
        Self { error, lived: None }
    }

    pub(super) fn by_handler(&self) -> bool {
        matches!(self.error, Error::Handler(_))
    }
}

/// Says what comes next.
pub(super) enum Next {
    /// The next attempt, after this time. The error is that of the last attempt, or tells how its
    /// connection ended.
    Attempt(Duration, Error),
    /// Nothing: the App is over.
    Over(Result<Exit, Error>),
}

impl Attempts {
    pub(super) fn new(url: String) -> Self {
        Self {
            shared: Owner::default(),
            url,
            builder: Builder::new(),
            backoff: Box::new(Exponential::new()),
            connect_with: Some(Box::new(|attempt| attempt.builder.connect(attempt.url))),
            retry_if: None,
            after_normal_close: false,
            streak: Streak::new(Duration::from_secs(10), Instant::now()),
            max_age: None,
            has_connected: false,
            under_way: None,
        }
    }

    pub(super) fn handle(&self) -> Handle {
        Handle::new(&self.shared.0)
    }

    /// Makes one attempt to connect, or waits for the one that is under way.
    pub(super) fn connect(&mut self) -> Result<Opened, Error> {
        self.shared.0.runs_here();
        match self.under_way.as_ref().and_then(|attempt| attempt.thread.as_ref()) {
            Some(thread) => self.shared.0.runs_on(thread.thread().id()),
            None => self.begin(true)?,
        }
        let opened = self.finish();
        self.shared.0.runs_here();
        opened
    }

    /// Begins an attempt. It runs on a thread of its own, which then ends. Connecting, TLS above
    /// all, takes far more stack than anything else, and a stack keeps the memory that was used
    /// once. If this thread `waits` for the attempt, the App's code runs on the other one.
    pub(super) fn begin(&mut self, waits: bool) -> Result<(), Error> {
        let shared = self.shared.0.clone();
        if !shared.begin_attempt() {
            return Err(Error::aborted());
        }
        let number = self.streak.attempt(Instant::now());
        // Boxed, to take less of this stack.
        let builder = Box::new(self.builder.clone().abort_handle(shared.abort.clone()));
        let (url, reconnecting) = (self.url.clone(), self.has_connected);
        let connect_with = Arc::new(Mutex::new(self.connect_with.take()));
        let (own, slot) = (shared.clone(), connect_with.clone());
        let open = move || {
            if waits {
                own.runs_here();
            }
            let taken = slot.lock().take();
            let Some(mut connect) = taken else { return Err(Error::aborted()) };
            let attempt = Attempt { url: &url, builder: *builder, number, reconnecting };
            let connected = catch_unwind(AssertUnwindSafe(|| connect(attempt)));
            *slot.lock() = Some(connect);
            connected.unwrap_or_else(|panic| resume_unwind(panic)).map(Box::new)
        };
        let thread = match thread::Builder::new().name("landline-open".to_owned()).spawn(open) {
            Ok(thread) => Some(thread),
            Err(error) => {
                self.connect_with = connect_with.lock().take();
                return Err(Error::Io(error));
            }
        };
        self.under_way = Some(UnderWay { shared, thread, connect_with, number, reconnecting });
        Ok(())
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.under_way.is_some()
    }

    /// Returns the result of the attempt that is under way, if it is known.
    pub(super) fn poll(&mut self) -> Option<Result<Opened, Error>> {
        let thread = self.under_way.as_ref()?.thread.as_ref();
        thread.is_none_or(JoinHandle::is_finished).then(|| self.finish())
    }

    /// Waits for the attempt that is under way.
    fn finish(&mut self) -> Result<Opened, Error> {
        let taken = self.under_way.take().and_then(|mut own| Some((own.thread.take()?, own)));
        let Some((thread, attempt)) = taken else { return Err(Error::aborted()) };
        let connected = thread.join();
        self.connect_with = attempt.connect_with.lock().take();
        let ws = connected.unwrap_or_else(|panic| resume_unwind(panic))?;
        self.has_connected = true;
        Ok(Opened { ws, attempt: attempt.number, reconnected: attempt.reconnecting })
    }

    /// Decides what comes after an attempt, or a connection, that ended.
    pub(super) fn after(&mut self, ended: Ended) -> Next {
        let shared = &self.shared.0;
        let by_handler = ended.by_handler();
        let Ended { error, lived } = ended;

        // This program wanted the end: by a handle, or by a sender in a callback.
        if shared.is_stopping() && !by_handler {
            return Next::Over(Ok(Exit::Stopped));
        }
        let ended_here = error.closed().is_some_and(Closed::was_ended_here);
        // The user asked for the next connection: that this one has ended is no failure.
        let is_replacing = shared.is_replacing() || self.is_under_way();
        let is_asked_for = shared.is_reconnecting() || is_replacing && !ended_here;
        if let (Some(lived), true) = (lived, is_asked_for && !by_handler) {
            self.streak.ended(lived, Instant::now());
            return Next::Attempt(Duration::ZERO, error);
        }
        let failure = self.streak.failed(&error, lived, Instant::now());
        if ended_here {
            return Next::Over(Ok(Exit::Stopped));
        }

        if !is_retried(&mut self.retry_if, self.after_normal_close, &failure) {
            return Next::Over(match error {
                Error::Closed(closed) => Ok(Exit::Closed(closed)),
                error => Err(error),
            });
        }
        let asked = failure.retry_after().unwrap_or_default();
        match self.backoff.delay(&failure) {
            Some(_) if self.under_way.is_some() => Next::Attempt(Duration::ZERO, error),
            Some(delay) => Next::Attempt(delay.max(asked), error),
            None => Next::Over(Ok(Exit::GaveUp { attempts: failure.attempts(), error })),
        }
    }

    /// Waits for the time of the next attempt. Returns `false` when the App is stopped.
    pub(super) fn wait(&self, delay: Duration) -> bool {
        self.shared.0.wait(delay)
    }
}

/// Returns whether to connect again after this failure.
fn is_retried(
    retry_if: &mut Option<RetryIf>,
    after_normal_close: bool,
    failure: &Failure<'_>,
) -> bool {
    match retry_if {
        Some(retry_if) => retry_if(failure),
        None => {
            let closed = failure.closed();
            failure.is_retryable()
                || after_normal_close && closed.is_some_and(Closed::is_normal_close_of_peer)
        }
    }
}

/// Tells the handles that the App is over when it is dropped, by a panic too.
#[derive(Default)]
pub(super) struct Owner(pub(super) Arc<Shared>);

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.over();
    }
}
