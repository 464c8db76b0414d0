//! Pulls the connections of an App, one after the other: the loop is the caller's.

use std::fmt;
use std::iter::FusedIterator;
use std::ops::{Deref, DerefMut};
use std::thread;
use std::time::Instant;

use super::attempts::{Attempts, Ended, Next, Opened};
use super::exit::Exit;
use super::handle::Handle;
use super::session::Up;
use crate::error::Error;
use crate::proto::message::Message;
use crate::websocket::WebSocket;
use crate::websocket::sender::Sender;

/// Iterates over the connections of an [`App`](crate::App), one after the other, for ever: a loop
/// without callbacks. [`App::connections`](crate::App::connections) makes it.
///
/// [`next`](Iterator::next) waits until there is a connection, and returns it. It looks at how the
/// last connection ended, and decides by the App's rules whether to connect again: by
/// [`Failure::is_retryable`](crate::backoff::Failure::is_retryable),
/// [`retry_if`](crate::App::retry_if) and [`Backoff`](crate::backoff::Backoff). Its result is
///
/// * `Some(Ok(connection))`: an open [`Connection`];
/// * `Some(Err(error))`: the failure that ended the loop, because it is final or because the
///   `Backoff` gave up. `None` follows;
/// * `None`: this side has stopped the App, or the server closed and nothing more is to come.
///   [`exit`](Self::exit) tells which.
///
/// # Examples
///
/// A loop that subscribes again after each reconnect. A connection that is lost is no error of the
/// loop, so `continue`, and not `?`, follows a send that fails: `next` decides what comes then.
///
/// ```no_run
/// use landline::App;
///
/// let app = App::new("wss://example.com/feed", ()).retry_if(|failure| {
///     eprintln!("{failure}"); // Each failure, at the moment when it happens.
///     failure.is_retryable()
/// });
/// let mut connections = app.connections();
/// let handle = connections.handle(); // Stops the loop, reconnects, and sends, from any thread.
/// # let _ = handle;
/// for connection in &mut connections {
///     let mut connection = connection?; // A failure that is final.
///     if connection.send("subscribe").is_err() {
///         continue;
///     }
///     for message in connection.messages_until_end() {
///         println!("{message:?}");
///     }
///     eprintln!("{:?}", connection.closed());
/// }
/// println!("{:?}", connections.exit());
/// # Ok::<(), landline::Error>(())
/// ```
///
/// # How a connection ends
///
/// | what the loop does | what `next` does |
/// |---|---|
/// | receives until the connection is over | decides as the App does |
/// | drops the [`Connection`] while it is open | counts a failure that is worth a retry |
/// | keeps the [`Connection`] | ends it, and counts the same failure |
/// | calls `close` or `abort` on it | returns `None`: that stops the App, as in a callback |
/// | asks for [`Handle::reconnect`], and receives to the end | connects again at once |
/// | leaves by `break` or `?` | is not called: the App is over when the iterator is dropped |
///
/// A loop that drops each connection does not flood the server: each drop counts as a failure, and
/// the `Backoff` chooses the wait.
///
/// Dropping a [`Connection`] that is open sends a Close with 1001 if the system takes it at once.
/// It never waits for the server. A message that the outbox was sending at that moment is kept, and
/// is sent over the next connection.
///
/// The time for which a connection was open, which [`stable_after`](crate::App::stable_after)
/// measures, ends when `next` is called.
///
/// A [`Connection`] may live longer than its iterator. It stays usable then, but handles do not
/// send over it. If the outbox is sending a message over it at that moment, the connection ends
/// instead.
///
/// # Stopping
///
/// [`Handle::stop`] and [`Handle::abort`] work from any thread. They end a `next` that waits or
/// connects, and it returns `None`. A connection that is open is closed, and a thread that receives
/// on it comes to its end within `close_timeout` and 2 s. Messages that the server sends before its
/// own Close are still received.
///
/// # When other threads may send
///
/// There is no `on_open`. Until the loop first receives on a connection, only the loop sends: what
/// it sends before that, a login or a subscription, comes first. From the first call that receives,
/// handles send over the connection too, and the [`Outbox`](super::Outbox) is emptied. If a login
/// must be answered before anything else is sent, do it within
/// [`connect_with`](crate::App::connect_with): the connection counts as open when that returns. The
/// wait for the answer needs a deadline of its own, such as that of
/// [`recv_timeout`](crate::WebSocket::recv_timeout).
pub struct Connections {
    attempts: Attempts,
    current: Option<Current>,
    last_error: Option<Error>,
    exit: Option<Exit>,
    over: bool,
}

/// Remembers the connection that was given out last.
struct Current {
    sender: Sender,
    since: Instant,
}

impl Connections {
    pub(super) fn new(attempts: Attempts) -> Self {
        Self { attempts, current: None, last_error: None, exit: None, over: false }
    }

    /// Returns a handle, to send, to reconnect and to stop from elsewhere.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.attempts.handle()
    }

    /// Returns why the loop ended. `None` while it goes on, and if it ended with an error, which
    /// [`next`](Iterator::next) has returned.
    ///
    /// It is [`Exit::Stopped`] or [`Exit::Closed`], and never [`Exit::GaveUp`]: when the
    /// [`Backoff`](crate::backoff::Backoff) gives up, `next` returns the last error.
    #[must_use]
    pub fn exit(&self) -> Option<&Exit> {
        self.exit.as_ref()
    }

    /// Waits for a connection. Returns how the loop ended, if there is none.
    fn pull(&mut self) -> Result<Connection, Result<Exit, Error>> {
        if let Some(Current { sender, .. }) = &self.current {
            // The caller may keep the connection. A stop must end the next attempt, and not this.
            self.attempts.shared.0.down(sender);
        }
        let mut ended = self.current.take().map(Current::end);
        loop {
            if let Some(ended) = ended {
                match self.attempts.after(ended) {
                    Next::Attempt(delay, error) => {
                        if !self.attempts.wait(delay) {
                            return Err(Ok(Exit::Stopped));
                        }
                        self.last_error = Some(error);
                    }
                    Next::Over(end) => return Err(end),
                }
            }
            let opened = self.attempts.connect();
            let given = opened.and_then(|opened| self.give(opened));
            ended = match given {
                Ok(connection) => return Ok(connection),
                Err(error) => Some(Ended::attempt(error)),
            };
        }
    }

    fn give(&mut self, opened: Opened) -> Result<Connection, Error> {
        let Opened { ws, attempt, reconnected } = opened;
        let sender = ws.sender();
        let Some(up) = Up::new(&self.attempts.shared.0, &sender) else {
            return Err(Error::aborted());
        };
        self.current = Some(Current { sender, since: Instant::now() });
        let last_error = self.last_error.take();
        Ok(Connection { up, ws, attempt, reconnected, last_error, received: false })
    }
}

impl Connections {
    /// Ends the App. The caller may keep the last connection, which handles do not use any more. If
    /// the outbox is in the middle of a message over it, the connection ends, because nobody would
    /// wait for the end of the message.
    fn end(&mut self) {
        self.over = true;
        let shared = &self.attempts.shared.0;
        if let Some(Current { sender, .. }) = self.current.take() {
            shared.down(&sender);
            if shared.is_outbox_sending() {
                sender.leave();
            }
        }
        shared.over();
    }
}

impl Drop for Connections {
    fn drop(&mut self) {
        self.end();
    }
}

impl Current {
    /// Ends the connection if it is still open, and returns how it ended.
    fn end(self) -> Ended {
        let lived = Some(self.since.elapsed());
        self.sender.leave();
        let closed = self.sender.so_far();
        // The user closed. What the peer did then is no reason to connect again.
        let error = match closed.is_asked_for_here() {
            true => Error::Closed(closed),
            false => closed.into(),
        };
        Ended { error, lived }
    }
}

impl Iterator for Connections {
    type Item = Result<Connection, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let end = match self.pull() {
            Ok(connection) => return Some(Ok(connection)),
            Err(end) => end,
        };
        self.end();
        match end {
            Ok(Exit::GaveUp { error, .. }) | Err(error) => Some(Err(error)),
            Ok(exit) => {
                self.exit = Some(exit);
                None
            }
        }
    }
}

impl FusedIterator for Connections {}

impl fmt::Debug for Connections {
    /// Leaves out the URL, because it may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").field("exit", &self.exit).finish_non_exhaustive()
    }
}

/// Holds one connection of [`Connections`]. By `Deref` it has all methods of [`WebSocket`].
///
/// From the first call that receives, other threads may send over it by a [`Handle`]. When it is
/// dropped while it is open, it sends a Close with 1001 if the system takes that at once. It never
/// waits for the server. [`Connections`] says what comes then.
///
/// # Examples
///
/// ```no_run
/// use landline::App;
///
/// for connection in App::new("wss://example.com/feed", ()).connections() {
///     let mut connection = connection?;
///     if let Some(error) = connection.last_error() {
///         eprintln!("connected by attempt {}, after {error}", connection.attempt());
///     }
///     while let Ok(message) = connection.recv() {
///         println!("{message:?}");
///     }
/// }
/// # Ok::<(), landline::Error>(())
/// ```
pub struct Connection {
    // The first field, so that it is dropped first: handles stop using a connection that ends.
    up: Up,
    ws: Box<WebSocket>,
    attempt: u32,
    reconnected: bool,
    last_error: Option<Error>,
    /// The loop has begun to receive.
    received: bool,
}

impl Connection {
    /// Iterates over the messages until the connection is over, however it ends:
    /// [`closed`](WebSocket::closed) tells how, and the next connection comes if there is to be
    /// one. [`WebSocket::messages`] returns errors too.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use landline::App;
    ///
    /// for connection in App::new("wss://example.com/feed", ()).connections() {
    ///     let mut connection = connection?;
    ///     for message in connection.messages_until_end() {
    ///         println!("{message:?}");
    ///     }
    /// }
    /// # Ok::<(), landline::Error>(())
    /// ```
    pub fn messages_until_end(&mut self) -> impl Iterator<Item = Message> {
        WebSocket::messages(self).map_while(Result::ok)
    }

    /// Returns the number of the attempt that opened the connection, counted from the last stable
    /// connection: 1 if the first one worked.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Returns whether there was a connection before this one.
    #[must_use]
    pub fn reconnected(&self) -> bool {
        self.reconnected
    }

    /// Returns the last failure before this connection: that of the attempt before, or the error
    /// that tells how the connection before ended. `None` if there was neither.
    #[must_use]
    pub fn last_error(&self) -> Option<&Error> {
        self.last_error.as_ref()
    }
}

impl Deref for Connection {
    type Target = WebSocket;

    fn deref(&self) -> &WebSocket {
        &self.ws
    }
}

/// Lets other threads send. Only methods that receive, or that close, take the connection mutably.
impl DerefMut for Connection {
    fn deref_mut(&mut self) -> &mut WebSocket {
        if !self.received {
            self.received = true;
            if self.up.opened().is_err() {
                self.up.sender.give_up("cannot start a thread");
            }
        }
        &mut self.ws
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // While the thread unwinds, `up` does the same in a way that cannot panic.
        if !thread::panicking() {
            self.up.sender.leave();
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("ws", &self.ws)
            .field("attempt", &self.attempt)
            .field("reconnected", &self.reconnected)
            .field("last_error", &self.last_error)
            .finish()
    }
}
