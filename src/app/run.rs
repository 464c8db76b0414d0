//! Keeps a connection for ever: connects, calls a handler, and connects again until it is stopped.

// `App` and its options come first, then `run_forever`, the loop. Look elsewhere for
//
// * one attempt to connect, and what comes after it: `attempts.rs`,
// * what happens during a connection: `session.rs`,
// * the loop of a user who pulls connections instead: `connections.rs`,
// * the events that a handler gets: `handler.rs`, `callbacks.rs`, and their calls in `session.rs`,
// * which failures are retried: `error/retry.rs`; how long the App waits then: `backoff.rs`,
// * sending and stopping from other threads: `handle.rs`, `shared.rs`; the outbox: `outbox.rs`,
//   `outbox_thread.rs`,
// * how an App ends: `exit.rs`.

use std::fmt;
use std::io;
use std::thread;
use std::time::Duration;

use super::attempts::{Attempt, Attempts, Ended, Next};
use super::backoff::{Backoff, Failure};
use super::connections::Connections;
use super::exit::{AppThread, Exit};
use super::handle::Handle;
use super::handler::Handler;
use super::outbox::Outbox;
use super::session::unless_over;
use crate::client::builder::Builder;
use crate::error::Error;
use crate::websocket::WebSocket;

/// Keeps one connection for ever. The handler runs on one thread.
///
/// An App connects as its [`Builder`] says, calls the [`Handler`] for all that happens, keeps the
/// connection alive, and connects again as the [`Backoff`] says. It ends when this program stops
/// it, when the server closes because nothing more is to come, or when a failure is final:
/// [`Failure::is_retryable`] has the table.
///
/// Each attempt to connect has a thread of its own, on which the hooks of the `Builder` and
/// [`connect_with`](Self::connect_with) run. What waits in an [`Outbox`] is sent by another thread.
///
/// The guide [`reconnecting`](crate::guide::reconnecting) says what is left to the program.
///
/// # Examples
///
/// A whole program. Ctrl-C, a signal or another thread would stop it by a [`Handle`]:
///
/// ```no_run
/// use std::process::ExitCode;
/// use std::time::Duration;
/// use landline::app::Exit;
/// use landline::backoff::Exponential;
/// use landline::{App, Builder, Callbacks};
///
/// fn main() -> ExitCode {
///     let callbacks = Callbacks::new()
///         .on_open(|ws, _| ws.send("subscribe"))
///         .on_message(|_, message| println!("{message:?}"))
///         .on_close(|closed| eprintln!("{closed}"))
///         .on_error(|error| eprintln!("{error}"));
///     let app = App::new("wss://example.com/feed", callbacks)
///         .with_builder(Builder::new().bearer_auth("token"))
///         .backoff(Exponential::new().cap(Duration::from_secs(30)));
///     match app.run_forever() {
///         Ok(Exit::Stopped | Exit::Closed(_)) => ExitCode::SUCCESS,
///         Ok(exit) => {
///             eprintln!("{exit}");
///             ExitCode::FAILURE
///         }
///         // `on_error` has printed it: a wrong URL, a refusal, an error of a callback.
///         Err(_) => ExitCode::FAILURE,
///     }
/// }
/// ```
///
/// # Callbacks, or a loop of your own
///
/// | take | if the program |
/// |---|---|
/// | [`run_forever`](Self::run_forever) | only reacts to messages, pings, pongs and fragments |
/// | [`spawn`](Self::spawn) | does so, and needs this thread for other things |
/// | [`connections`](App::connections) | logs in, waits and asks anew on each connection |
///
/// The rules of connecting again, the [`Handle`] and the [`Outbox`] are the same for all three.
///
/// # From Python's websocket-client
///
/// The [guide](crate::guide::from_websocket_client#websocketapp) has each argument, callback and
/// method of `WebSocketApp`, and what takes its place here.
#[doc(alias = "WebSocketApp")]
pub struct App<H> {
    // The first field, so that it is dropped first: the destructor of the handler finds an App that
    // is over.
    pub(super) attempts: Attempts,
    pub(super) handler: H,
    name: String,
    stack_size: Option<usize>,
}

impl<H: Handler> App<H> {
    /// Makes an App with all defaults.
    #[must_use]
    pub fn new(url: impl Into<String>, handler: H) -> Self {
        Self {
            attempts: Attempts::new(url.into()),
            handler,
            name: "landline-app".to_owned(),
            stack_size: None,
        }
    }

    /// Sets how to connect, keep alive and receive. Its abort handle is replaced: use
    /// [`Handle::abort`]. Default: [`Builder::new`].
    #[must_use]
    pub fn with_builder(mut self, builder: Builder) -> Self {
        self.attempts.builder = builder;
        self
    }

    /// Sets when to connect again. Default:
    /// [`Exponential::new`](crate::backoff::Exponential::new);
    /// [`Never`](crate::backoff::Never) connects once.
    #[must_use]
    pub fn backoff(mut self, backoff: impl Backoff + Send + 'static) -> Self {
        self.attempts.backoff = Box::new(backoff);
        self
    }

    /// Makes each attempt in its own way: with another URL, with a fresh token, over another
    /// stream. Use the attempt's builder, which stopping can interrupt. It is called on a thread of
    /// its own, while the App's waits, or receives on the old connection with
    /// [`overlap`](Self::overlap). `open_timeout` is over when the connection is open. So a wait
    /// for an answer over it needs a deadline of its own, such as that of
    /// [`recv_timeout`](crate::WebSocket::recv_timeout).
    ///
    /// # Examples
    ///
    /// ```
    /// # use landline::{App, Callbacks};
    /// # fn fresh_token() -> String { String::new() }
    /// let urls = ["wss://one.example.com/", "wss://two.example.com/"];
    /// let app = App::new("", Callbacks::new()).connect_with(move |attempt| {
    ///     let url = urls[(attempt.number as usize - 1) % urls.len()];
    ///     attempt.builder.bearer_auth(&fresh_token()).connect(url)
    /// });
    /// ```
    #[must_use]
    pub fn connect_with(
        mut self,
        connect: impl FnMut(Attempt<'_>) -> Result<WebSocket, Error> + Send + 'static,
    ) -> Self {
        self.attempts.connect_with = Some(Box::new(connect));
        self
    }

    /// Replaces the rule by which a failure is retried or ends the App. The rule is not asked when
    /// the connection was closed or aborted on this side. Default: [`Failure::is_retryable`], whose
    /// documentation has a table of all failures.
    ///
    /// # Examples
    ///
    /// ```
    /// # use landline::{App, Callbacks, CloseCode};
    /// // A token that the server does not take any more will not be taken later.
    /// let app = App::new("wss://example.com/feed", Callbacks::new()).retry_if(|failure| {
    ///     let code = failure.closed().map(|closed| closed.code());
    ///     failure.is_retryable() && code != Some(CloseCode::new(4401))
    /// });
    /// ```
    #[must_use]
    pub fn retry_if(mut self, retry_if: impl FnMut(&Failure<'_>) -> bool + Send + 'static) -> Self {
        self.attempts.retry_if = Some(Box::new(retry_if));
        self
    }

    /// Sets whether to connect again after the server closed with 1000, or without a code. Default:
    /// no. It has no effect beside [`retry_if`](Self::retry_if).
    #[must_use]
    pub fn reconnect_after_normal_close(mut self, yes: bool) -> Self {
        self.attempts.after_normal_close = yes;
        self
    }

    /// Sets how long a connection must live before it counts as stable, whatever is received on
    /// it. Default: 10 s.
    ///
    /// After a stable connection the attempts are counted from one again, and the [`Backoff`]
    /// begins anew. A server that accepts connections, says something and drops them at once is
    /// thus asked less and less often, and meets
    /// [`max_attempts`](crate::backoff::Exponential::max_attempts).
    #[must_use]
    pub fn stable_after(mut self, time: Duration) -> Self {
        self.attempts.streak.set_stable_after(time);
        self
    }

    /// Sets whether the next connection is opened before the old one is closed, when a connection
    /// is replaced: by [`Handle::reconnect`], or at [`max_age`](Self::max_age). Default: no.
    ///
    /// The server must allow two connections at the same time. The App goes on receiving on the old
    /// connection while the attempt is made. When the new one is open,
    ///
    /// 1. [`on_open`](Handler::on_open) is called, with [`Open::replaces`]: log in and subscribe.
    ///    Other threads still send over the old connection;
    /// 2. handles send over the new connection, and the outbox finishes its message on the old one;
    /// 3. the old connection is closed, with the code of `reconnect` or with 1000. What the server
    ///    sends on it until its own Close is still handed to the handler, and then
    ///    [`on_close`](Handler::on_close) is called. The sender of the old connection sends nothing
    ///    any more, and its `close` does not stop the App: answer, and stop the App, by a handle;
    /// 4. the outbox goes on over the new connection, whose messages are received from now on.
    ///
    /// The server may read the Close of step 3 before the subscription of step 1. If none of its
    /// messages may be missed, subscribe and wait for the answer in
    /// [`connect_with`](Self::connect_with): the old connection is in use until that returns. What
    /// the server sends on both connections is handed out twice.
    ///
    /// No message of the outbox is lost or sent twice, and the server gets them in order: its
    /// Close on the old connection says that it has read everything there. The steps 2 and 3 take
    /// at most `write_timeout`, `close_timeout` and 2 s. If the old connection is lost before that
    /// Close, what the system had taken may be lost too, as with any connection. Without an outbox,
    /// [`Handle::send`] does not fail because of the replacement, but a message over the new
    /// connection may overtake one over the old.
    ///
    /// An attempt that fails is reported to [`on_error`](Handler::on_error), and the old connection
    /// stays. The next attempt follows as the [`Backoff`] says. If the failure is final, or the
    /// `Backoff` gives up, the old connection is used until it ends by itself, or until `reconnect`
    /// is called again. If it ends while an attempt is under way, the App waits for that attempt,
    /// as for any other, unless this program has ended the connection. Once a
    /// [stable](Self::stable_after) connection is replaced, the attempts that failed before do not
    /// count any more.
    ///
    /// With this option an App looks for a request every 200 ms, and for the result of an attempt
    /// every 50 ms. So it wakes also when nothing arrives.
    ///
    /// [`connections`](App::connections) ignores this option: a loop has one connection at a time,
    /// so `reconnect` closes the old one first.
    ///
    /// # Examples
    ///
    /// A server that cuts each connection after 24 hours:
    ///
    /// ```
    /// use std::time::Duration;
    /// use landline::app::Outbox;
    /// use landline::{App, Callbacks};
    ///
    /// let callbacks = Callbacks::new().on_open(|ws, _| ws.send("subscribe"));
    /// let app = App::new("wss://example.com/feed", callbacks)
    ///     .outbox(Outbox::new())
    ///     .max_age(Duration::from_secs(23 * 3600 + 1800))
    ///     .overlap(true);
    /// ```
    ///
    /// [`Open::replaces`]: crate::app::Open::replaces
    #[must_use]
    pub fn overlap(self, yes: bool) -> Self {
        self.attempts.shared.0.set_overlap(yes);
        self
    }

    /// Sets the age at which a connection is replaced by the next one, before a limit of the server
    /// is reached: as by [`Handle::reconnect`] with 1000. With `None` or zero, no connection is
    /// replaced for its age. Default: `None`.
    ///
    /// The age counts from the moment when the connection is open. With
    /// [`overlap`](Self::overlap) the old connection is used until the next one is open, so leave
    /// time for some attempts. An age that is shorter than connecting takes makes a new connection
    /// as soon as the last one is open. [`connections`](App::connections) ignores this option: the
    /// loop can measure the age itself, and call `reconnect`.
    #[must_use]
    pub fn max_age(mut self, age: impl Into<Option<Duration>>) -> Self {
        self.attempts.max_age = age.into().filter(|age| !age.is_zero());
        self
    }

    /// Keeps what is sent while there is no connection. Default: nothing is kept. Called again, it
    /// sets new limits; what is kept already stays, also if it is more than they allow.
    ///
    /// It is sent by a thread of its own, because two peers that only send would never end. The
    /// thread lives no longer than there is something to send. With [`Outbox::always_queue`] or
    /// [`Outbox::pace`] it lives until the App ends.
    #[must_use]
    pub fn outbox(self, outbox: Outbox) -> Self {
        self.attempts.shared.0.set_outbox(outbox);
        self
    }

    /// Sets the name of the thread of [`spawn`](Self::spawn). Default: `landline-app`.
    #[must_use]
    pub fn thread_name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets the stack of the thread of [`spawn`](Self::spawn), in bytes. The handler runs on it
    /// too. Default: the standard library's, 2 MiB of address space, of which only what is used
    /// takes memory.
    ///
    /// 64 KiB are enough for thousands of Apps, plain and with TLS. In a release build on 64-bit
    /// Linux an App needs 16 KiB, because each attempt to connect has its own thread. Printing a
    /// panic's backtrace needs 32 KiB. Add what the handler needs, and more without optimisation.
    #[must_use]
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = Some(bytes);
        self
    }

    /// Returns a handle of the App, to send and to stop from elsewhere.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.attempts.handle()
    }

    /// Runs the App on a thread of its own.
    ///
    /// # Errors
    /// The error of the operating system, if it cannot start a thread;
    /// [`io::ErrorKind::InvalidInput`] for a thread name with a NUL.
    pub fn spawn(mut self) -> io::Result<AppThread>
    where
        H: Send + 'static,
    {
        let handle = self.handle();
        if self.name.contains('\0') {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut thread = thread::Builder::new().name(std::mem::take(&mut self.name));
        if let Some(bytes) = self.stack_size {
            thread = thread.stack_size(bytes);
        }
        // Boxed, to take less of the thread's stack.
        let mut app = Box::new(self);
        Ok(AppThread::new(handle, thread.spawn(move || app.run())?))
    }

    /// Runs the App on this thread, until it ends.
    ///
    /// # Errors
    /// The failure that is final, by [`Failure::is_retryable`]. That is wrong input or an error of
    /// the handler. Before a connection has stood it may also be a refusal such as 401, a
    /// certificate that is not accepted, or a server that breaks the protocol.
    ///
    /// # Panics
    /// If the handler, or a hook, panics.
    pub fn run_forever(mut self) -> Result<Exit, Error> {
        self.run()
    }

    fn run(&mut self) -> Result<Exit, Error> {
        loop {
            let ended = match self.attempts.connect() {
                Ok(opened) => self.session(opened),
                Err(error) => Ended::attempt(error),
            };
            // `on_close` was told how a connection ended. All other errors go to `on_error`.
            let shared = &self.attempts.shared.0;
            if ended.by_handler() || ended.lived.is_none() && !shared.is_stopping() {
                unless_over(self.handler.on_error(&ended.error), None, shared)?;
            }
            match self.attempts.after(ended) {
                Next::Attempt(delay, _) if self.attempts.wait(delay) => {}
                Next::Attempt(..) => return Ok(Exit::Stopped),
                Next::Over(end) => return end,
            }
        }
    }
}

impl App<()> {
    /// Makes the App an iterator of its connections, for a loop without callbacks. Nothing happens
    /// before the first call of `next`, which connects, and returns when there is a connection.
    ///
    /// The loop runs on the thread that calls `next`. Each attempt to connect, with the hooks of
    /// the [`Builder`] and [`connect_with`](App::connect_with), runs on a thread of its own,
    /// `landline-open`, and `next` waits for it.
    ///
    /// The loop ignores [`thread_name`](App::thread_name) and [`stack_size`](App::stack_size),
    /// which are for the thread of [`spawn`](App::spawn). It also ignores
    /// [`overlap`](App::overlap) and [`max_age`](App::max_age), because it has one connection at a
    /// time, and only the loop receives on it. All other options hold.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use landline::App;
    ///
    /// for connection in App::new("wss://example.com/feed", ()).connections() {
    ///     let mut connection = connection?; // A failure that is final.
    ///     if connection.send("subscribe").is_ok() {
    ///         connection.messages_until_end().for_each(|message| println!("{message:?}"));
    ///     }
    /// }
    /// # Ok::<(), landline::Error>(())
    /// ```
    #[must_use]
    pub fn connections(self) -> Connections {
        self.attempts.shared.0.set_overlap(false);
        Connections::new(self.attempts)
    }
}

impl<H> fmt::Debug for App<H> {
    /// Leaves out the URL, because it may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").field("builder", &self.attempts.builder).finish_non_exhaustive()
    }
}
