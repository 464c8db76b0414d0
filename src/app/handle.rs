//! Handle: sends through an App and stops it, from any thread.
//!
//! [`Handle`] and what it returns come first. Below is [`Shared`], the state that an App and its
//! handles share: the open connection if there is one, the outbox, and whether to stop. The rules
//! of the outbox itself are in `outbox.rs`.

use std::error::Error as StdError;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::thread::{self, ThreadId};
use std::time::Duration;

use super::outbox::{NoRoom, Outbox, Queue, WhenFull};
use crate::error::{Error, InvalidInput, Timeout};
use crate::net::abort::AbortHandle;
use crate::proto::close::CloseFrame;
use crate::proto::message::Message;
use crate::sync::{Condvar, Mutex, MutexGuard};
use crate::websocket::counters::Counters;
use crate::websocket::sender::Sender;

/// Sends through an [`App`](crate::App), and stops it.
///
/// A handle works from any thread and any callback, across reconnects, before the App runs and
/// after it is over. Cloning is cheap.
///
/// # Examples
///
/// Sends from another thread while the App runs on this one, and stops the App in the end:
///
/// ```no_run
/// use std::thread;
/// use landline::{App, Callbacks, CloseCode};
///
/// let app = App::new("wss://example.com/room", Callbacks::new());
/// let handle = app.handle();
/// thread::spawn(move || {
///     for line in std::io::stdin().lines().map_while(Result::ok) {
///         if let Err(error) = handle.send(line) {
///             eprintln!("{error}");
///             println!("try again: {:?}", error.into_message());
///         }
///     }
///     handle.stop((CloseCode::NORMAL, "end of input"))
/// });
/// println!("{}", app.run_forever()?);
/// # Ok::<(), landline::Error>(())
/// ```
#[derive(Clone)]
pub struct Handle(Arc<Shared>);

impl Handle {
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        Self(shared.clone())
    }

    /// Sends a message over the open connection.
    ///
    /// While there is no connection, an App with an [`Outbox`] keeps the message, and an App
    /// without one gives it back in the error.
    ///
    /// [`Delivery::Sent`] means that the operating system has taken all of the message. Only the
    /// server can say whether it arrived. A message that is kept or given back was not delivered:
    /// its end never left this machine.
    ///
    /// # Errors
    /// [`SendError`], which holds the message and the reason.
    pub fn send(&self, message: impl Into<Message>) -> Result<Delivery, SendError> {
        let mut message = message.into();
        let shared = &*self.0;
        let mut state = shared.lock();
        loop {
            if state.stopping || state.over {
                return Err(SendError { message, problem: SendProblem::Stopped });
            }
            if let Some(sender) = state.direct() {
                drop(state);
                let error = match sender.send(&message) {
                    Ok(()) => return Ok(Delivery::Sent),
                    Err(error) => error,
                };
                let is_open = sender.is_open();
                // Dropping the last sender of a connection ends its stream, which may be the
                // caller's code. So it is dropped before the lock is taken.
                drop(sender);
                state = shared.lock();
                if state.outbox.is_none() || is_open {
                    return Err(SendError { message, problem: SendProblem::Failed(error) });
                }
                continue; // Keep the message, or send it over a new connection that is open by now.
            }
            let Some(outbox) = &mut state.outbox else {
                return Err(SendError { message, problem: SendProblem::NotOpen });
            };
            let problem = match outbox.push(message) {
                Ok(dropped) => return Ok(Delivery::Queued { dropped }),
                Err((back, NoRoom::Now(WhenFull::Block))) if !state.is_apps_thread() => {
                    message = back;
                    state = shared.changed.wait(state);
                    continue;
                }
                Err((back, NoRoom::Now(_))) => {
                    message = back;
                    SendProblem::Full
                }
                Err((back, NoRoom::Ever)) => {
                    message = back;
                    SendProblem::TooLarge
                }
            };
            return Err(SendError { message, problem });
        }
    }

    /// Stops the App, which does not connect again. An open connection is closed with this code and
    /// reason, within `close_timeout`, and two seconds for the server to end the stream. An attempt
    /// to connect, or the wait for the next one, ends at once.
    ///
    /// Messages in the outbox stay there. Messages that the server sends before its own Close are
    /// discarded, and only [`on_close`](crate::Handler::on_close) is called.
    ///
    /// This method does not wait: [`join`](crate::app::AppThread::join) waits until the App has
    /// stopped.
    ///
    /// # Errors
    /// [`InvalidInput::Close`] for a code or reason that must not be sent. The App goes on then.
    pub fn stop(&self, close: impl Into<CloseFrame>) -> Result<(), Error> {
        let close = close.into();
        if !close.is_sendable() {
            return Err(InvalidInput::Close.into());
        }
        let sender = {
            let mut state = self.0.lock();
            state.stopping = true;
            self.0.changed.notify_all();
            state.sender.clone()
        };
        match sender {
            // An error says that the connection is over, or closing, already.
            Some(sender) => drop(sender.close(close)),
            None => self.0.abort.abort(),
        }
        Ok(())
    }

    /// Ends the open connection with this code and reason, and connects again at once: to show a
    /// new token, for example, or because the network has changed.
    ///
    /// This is no failure, and is not counted as one: neither the
    /// [`Backoff`](crate::backoff::Backoff) nor the rule of [`retry_if`](crate::App::retry_if) is
    /// asked. [`on_close`](crate::Handler::on_close) is called. What the server sends until its own
    /// Close is discarded. The next attempt begins within `close_timeout`, and two seconds for the
    /// server to end the stream.
    ///
    /// While the App waits between two attempts, this ends the wait. While an attempt is under way,
    /// the attempt goes on; if it fails, the next one follows without a wait. Nothing happens
    /// before the App runs, and when it is stopping or over: a [`stop`](Self::stop) always wins.
    ///
    /// It returns before there is another connection, and
    /// [`is_open`](Self::is_open) says `false` until then.
    ///
    /// # Examples
    /// ```no_run
    /// use landline::{App, Callbacks, CloseCode};
    ///
    /// let app = App::new("wss://example.com/feed", Callbacks::new()).spawn().expect("a thread");
    /// let handle = app.handle();
    /// // Later, when the token is about to expire:
    /// handle.reconnect((CloseCode::NORMAL, "new token"))?;
    /// # Ok::<(), landline::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`InvalidInput::Close`] for a code or reason that must not be sent: nothing happens then.
    pub fn reconnect(&self, close: impl Into<CloseFrame>) -> Result<(), Error> {
        let close = close.into();
        if !close.is_sendable() {
            return Err(InvalidInput::Close.into());
        }
        let sender = {
            let mut state = self.0.lock();
            if state.stopping || state.over {
                return Ok(());
            }
            state.reconnecting = true;
            self.0.changed.notify_all();
            state.sender.clone()
        };
        // The connection may be over, or closing, already.
        let _ = sender.map(|sender| sender.close(close));
        Ok(())
    }

    /// Stops the App at once, without a closing handshake. Any call in which the App blocks ends.
    pub fn abort(&self) {
        let sender = {
            let mut state = self.0.lock();
            state.stopping = true;
            self.0.changed.notify_all();
            state.sender.clone()
        };
        self.0.abort.abort();
        // `connect_with` may have used another builder, which has another abort handle.
        if let Some(sender) = sender {
            sender.abort();
        }
    }

    /// Returns whether there is an open connection that [`send`](Self::send) may use, as far as
    /// this side knows. Messages that wait in the outbox are sent first.
    #[must_use]
    pub fn is_open(&self) -> bool {
        let state = self.0.lock();
        !state.stopping && !state.is_shut_out() && state.open_sender().is_some()
    }

    /// Waits until every message in the outbox is sent, and returns whether that is so. It returns
    /// `false` if `timeout` passes first, or if the App is stopped or over. Without an outbox it
    /// returns `true` at once.
    ///
    /// On the App's own thread it does not wait, because the App could not send meanwhile.
    #[must_use]
    pub fn flush(&self, timeout: Duration) -> bool {
        let ends = |state: &State| state.stopping || state.over || state.is_apps_thread();
        let waits = |state: &mut State| !state.is_idle() && !ends(state);
        let state = self.0.changed.wait_timeout_while(self.0.lock(), timeout, waits);
        state.is_idle()
    }

    /// Takes out the messages that wait in the outbox. When the App is over, these are the messages
    /// that were never sent.
    #[must_use]
    pub fn take_unsent(&self) -> Vec<Message> {
        let taken = self.0.lock().outbox.as_mut().map_or_else(Vec::new, Queue::take);
        self.0.changed.notify_all();
        taken
    }

    /// Returns how much the App has sent and received so far, over all its connections: those that
    /// are over, and the open one as [`Sender::counters`](crate::Sender::counters) tells it. The
    /// number of reconnects is [`connections`](Counters::connections) less one.
    ///
    /// # Examples
    /// ```
    /// use landline::{App, Callbacks};
    ///
    /// let app = App::new("wss://example.com/feed", Callbacks::new());
    /// let handle = app.handle();
    /// // While the App runs, from any thread:
    /// let counters = handle.counters();
    /// println!("{} messages in", counters.received.messages);
    /// println!("{} reconnects", counters.connections.saturating_sub(1));
    /// ```
    #[must_use]
    pub fn counters(&self) -> Counters {
        let state = self.0.lock();
        let mut counters = state.counters;
        counters.add(&state.sender.as_ref().map_or(state.ending, Sender::counters));
        counters
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("open", &self.is_open()).finish()
    }
}

/// Tells what [`Handle::send`] did with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Delivery {
    /// The operating system has taken all of the message.
    Sent,
    /// The message waits in the outbox.
    #[non_exhaustive]
    Queued {
        /// The number of older messages that were dropped to make room for this one.
        dropped: usize,
    },
}

/// Holds a message that was not sent, and tells why.
pub struct SendError {
    message: Message,
    problem: SendProblem,
}

/// Names why a message was not sent.
#[derive(Debug)]
#[non_exhaustive]
pub enum SendProblem {
    /// There is no connection now, and no outbox to keep the message.
    NotOpen,
    /// The outbox is full.
    Full,
    /// The message is larger than the whole outbox, or the outbox holds no messages at all.
    TooLarge,
    /// The App is stopping, or over.
    Stopped,
    /// Sending failed: the connection failed, or did not take the message in time, or other threads
    /// were sending all the time ([`Timeout::Busy`](crate::Timeout::Busy)).
    Failed(Error),
}

impl SendError {
    /// Returns why the message was not sent.
    #[must_use]
    pub fn problem(&self) -> &SendProblem {
        &self.problem
    }

    /// Gives the message back.
    #[must_use]
    pub fn into_message(self) -> Message {
        self.message
    }
}

impl fmt::Debug for SendError {
    /// Shows the length of the message and not its content, which may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendError")
            .field("len", &self.message.as_bytes().len())
            .field("problem", &self.problem)
            .finish()
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.problem {
            SendProblem::NotOpen => f.write_str(
                "not sent: there is no connection now (`App::outbox` would keep the message)",
            ),
            SendProblem::Full => f.write_str("not sent: the outbox is full"),
            SendProblem::TooLarge => f.write_str("not sent: the message is larger than the outbox"),
            SendProblem::Stopped => f.write_str("not sent: the App is stopping, or over"),
            SendProblem::Failed(error) => write!(f, "not sent: {error}"),
        }
    }
}

impl StdError for SendError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.problem {
            SendProblem::Failed(error) => error.source(),
            _ => None,
        }
    }
}

/// Holds what an `App` and its handles share.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    state: Mutex<State>,
    /// Notified when the App is stopped or over, and when the outbox gets room.
    changed: Condvar,
    /// Stops an attempt to connect, or the connection that it opened.
    pub(crate) abort: AbortHandle,
}

#[derive(Debug, Default)]
struct State {
    /// A handle has stopped the App.
    stopping: bool,
    /// The next attempt is to be made at once. That attempt unsets it when it begins.
    reconnecting: bool,
    /// The App has returned, or was dropped.
    over: bool,
    /// The thread that runs the App's code now.
    thread: Option<ThreadId>,
    /// The connection, if there is one.
    sender: Option<Sender>,
    /// `on_open` runs. Only the App's own thread sends.
    opening: bool,
    outbox: Option<Queue>,
    /// Those of the connections that are over.
    counters: Counters,
    /// Those of the connection that is about to be over, if there is one.
    ending: Counters,
}

impl State {
    /// Returns the connection, if this thread may send a message over it now.
    fn direct(&self) -> Option<Sender> {
        let sender = self.open_sender()?;
        let first = self.opening && self.is_apps_thread();
        (first || self.is_idle() && !self.opening).then(|| sender.clone())
    }

    /// Returns whether no message waits in the outbox.
    fn is_idle(&self) -> bool {
        self.outbox.as_ref().is_none_or(Queue::is_idle)
    }

    fn open_sender(&self) -> Option<&Sender> {
        self.sender.as_ref().filter(|sender| sender.is_open())
    }

    /// Returns whether this thread must wait until `on_open` has returned.
    fn is_shut_out(&self) -> bool {
        self.opening && !self.is_apps_thread()
    }

    fn is_apps_thread(&self) -> bool {
        self.thread == Some(thread::current().id())
    }
}

/// The side of the App.
impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Sets how much the outbox keeps. Messages that it keeps already stay.
    pub(crate) fn set_outbox(&self, limits: Outbox) {
        self.lock().outbox.get_or_insert_with(|| Queue::new(limits)).set_limits(limits);
        self.changed.notify_all();
    }

    /// Notes that the App's code runs on this thread from now on.
    pub(crate) fn runs_here(&self) {
        self.lock().thread = Some(thread::current().id());
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.lock().stopping
    }

    /// Returns whether a user has asked to reconnect at once.
    pub(crate) fn is_reconnecting(&self) -> bool {
        self.lock().reconnecting
    }

    /// Waits for `delay`, or until a user asks to reconnect. Returns `false` at once when the App
    /// is stopped.
    pub(crate) fn wait(&self, delay: Duration) -> bool {
        let waits = |state: &mut State| !state.stopping && !state.reconnecting;
        !self.changed.wait_timeout_while(self.lock(), delay, waits).stopping
    }

    /// Notes that an attempt to connect begins. Returns `false` if the App was stopped before.
    pub(crate) fn begin_attempt(&self) -> bool {
        let mut state = self.lock();
        state.reconnecting = false;
        !state.stopping
    }

    /// Notes that there is a connection, and that `on_open` comes next. Returns `false` if the App
    /// was stopped before.
    pub(crate) fn open(&self, sender: &Sender) -> bool {
        let mut state = self.lock();
        if !state.stopping {
            state.sender = Some(sender.clone());
            state.opening = true;
            // Asked for while this connection was made: it is new.
            state.reconnecting = false;
        }
        !state.stopping
    }

    /// Notes that `on_open` has returned. Returns whether messages wait in the outbox.
    pub(crate) fn opened(&self) -> bool {
        let mut state = self.lock();
        state.opening = false;
        state.outbox.as_ref().is_some_and(|outbox| !outbox.is_idle())
    }

    /// Notes that the connection is over.
    pub(crate) fn down(&self) {
        let mut state = self.lock();
        if let Some(sender) = state.sender.take() {
            state.ending = sender.counters();
        }
        state.opening = false;
    }

    /// Counts a connection that is over.
    pub(crate) fn count(&self, counters: &Counters) {
        let mut state = self.lock();
        state.counters.add(counters);
        state.ending = Counters::default();
    }

    /// Notes that the App will open no connection any more.
    pub(crate) fn over(&self) {
        self.lock().over = true;
        self.changed.notify_all();
    }

    /// Sends the messages in the outbox, as long as the connection is open.
    pub(crate) fn empty_outbox(&self, sender: &Sender) {
        let mut state = self.lock();
        while let Some(message) = state.outbox.as_mut().and_then(Queue::begin) {
            drop(state);
            // The stream may be the caller's code, which may panic. The message is put back first.
            let sent = catch_unwind(AssertUnwindSafe(|| sender.send(&message)));
            state = self.lock();
            if let Some(outbox) = &mut state.outbox {
                match &sent {
                    Ok(Ok(())) => outbox.sent(),
                    _ => outbox.failed(message),
                }
            }
            self.changed.notify_all();
            let sent = match sent {
                Ok(sent) => sent,
                Err(panic) => {
                    drop(state);
                    resume_unwind(panic);
                }
            };
            match sent {
                Ok(()) => {}
                Err(_) if !sender.is_open() => return,
                // Try again, but not at once: `write_timeout` may be very short.
                Err(Error::Timeout(Timeout::Busy)) => {
                    state = self.changed.wait_timeout(state, BUSY_PAUSE);
                }
                // This message cannot be sent: the system has no randomness, for example.
                Err(_) => {
                    drop(state);
                    return sender.give_up("cannot send");
                }
            }
        }
    }
}

/// The pause after other threads have kept the outbox from sending.
const BUSY_PAUSE: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_send_error_tells_the_reason_once() {
        let failed = |error| SendError { message: "x".into(), problem: SendProblem::Failed(error) };
        let error = failed(Error::Io(std::io::Error::other("broken")));
        assert_eq!(error.to_string(), "not sent: cannot open the connection: broken");
        assert!(error.source().is_none());
        // The source of the error below is kept.
        let below = std::io::Error::other(failed(Error::Handler(Box::new(error))));
        assert!(below.to_string().ends_with("broken") && below.source().is_none());
    }
}
