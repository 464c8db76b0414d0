//! Reaching an `App` from any thread.

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
use crate::websocket::sender::Sender;

/// How soon the outbox tries again for its turn to send.
const AGAIN: Duration = Duration::from_millis(10);

/// Sends through an [`App`](crate::App), and stops it: from any thread and any callback, across
/// its reconnects, before it runs and after it is over. Clone it freely.
#[derive(Clone)]
pub struct Handle(Arc<Shared>);

impl Handle {
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        Self(shared.clone())
    }

    /// Sends a message over the open connection.
    ///
    /// While there is none, an App with an [`Outbox`] keeps it, and one without gives it back in
    /// the error. [`Delivery::Sent`] means that the system has taken all of it; whether the
    /// server got it, only the server can say. A message that is given back, or kept, was not
    /// delivered: its end never left this machine.
    ///
    /// # Errors
    /// [`SendError`] with the message, and why.
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
                // The last of a connection ends it, with a stream that may be the caller's: not
                // under the lock.
                drop(sender);
                state = shared.lock();
                if state.outbox.is_none() || is_open {
                    return Err(SendError { message, problem: SendProblem::Failed(error) });
                }
                continue; // It is to be kept; if another connection is open by now, it goes there.
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

    /// Stops the App: an open connection is closed with this code and reason, within
    /// `close_timeout`; connecting and waiting between attempts end at once, and nothing is
    /// connected afterwards. What waits in the outbox stays there. What the server sends until its
    /// own Close is discarded: only [`on_close`](crate::Handler::on_close) is called.
    ///
    /// It returns before the App has stopped: [`join`](crate::app::AppThread::join) waits for that.
    ///
    /// # Errors
    /// [`InvalidInput::Close`] for a code or reason that must not be sent: nothing happens then.
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
            // It may be over, or closing, already.
            Some(sender) => drop(sender.close(close)),
            None => self.0.abort.abort(),
        }
        Ok(())
    }

    /// Stops the App at once, without a closing handshake, and wakes it wherever it blocks.
    pub fn abort(&self) {
        let sender = {
            let mut state = self.0.lock();
            state.stopping = true;
            self.0.changed.notify_all();
            state.sender.clone()
        };
        self.0.abort.abort();
        // It need not be from the App's builder.
        if let Some(sender) = sender {
            sender.abort();
        }
    }

    /// Whether there is an open connection that [`send`](Self::send) may use, as far as is known
    /// here. What waits in the outbox goes first.
    #[must_use]
    pub fn is_open(&self) -> bool {
        let state = self.0.lock();
        !state.stopping && !state.is_shut_out() && state.open_sender().is_some()
    }

    /// Waits until everything in the outbox is sent, and says whether it is: not if `timeout`
    /// passes first, or the App is stopped or over. Without an outbox it is so at once.
    ///
    /// On the App's own thread, where that would be for itself, it does not wait.
    #[must_use]
    pub fn flush(&self, timeout: Duration) -> bool {
        let ends = |state: &State| state.stopping || state.over || state.is_apps_thread();
        let waits = |state: &mut State| !state.is_idle() && !ends(state);
        let state = self.0.changed.wait_timeout_while(self.0.lock(), timeout, waits);
        state.is_idle()
    }

    /// Takes out the messages that wait in the outbox; when the App is over, those that were
    /// never sent.
    #[must_use]
    pub fn take_unsent(&self) -> Vec<Message> {
        let taken = self.0.lock().outbox.as_mut().map_or_else(Vec::new, Queue::take);
        self.0.changed.notify_all();
        taken
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("open", &self.is_open()).finish()
    }
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Delivery {
    /// The system has taken all of it.
    Sent,
    /// It waits in the outbox.
    #[non_exhaustive]
    Queued {
        /// How many older messages were dropped for it.
        dropped: usize,
    },
}

/// A message that was not sent, and why.
pub struct SendError {
    message: Message,
    problem: SendProblem,
}

/// Why a message was not sent.
#[derive(Debug)]
#[non_exhaustive]
pub enum SendProblem {
    /// There is no connection now, and no outbox.
    NotOpen,
    /// The outbox is full.
    Full,
    /// The message is larger than the whole outbox, or the outbox holds no messages at all.
    TooLarge,
    /// The App is stopping, or over.
    Stopped,
    /// The connection failed, or did not take it in time; or other threads were sending all the
    /// time, which is [`Timeout::Busy`](crate::Timeout::Busy).
    Failed(Error),
}

impl SendError {
    /// Why.
    #[must_use]
    pub fn problem(&self) -> &SendProblem {
        &self.problem
    }

    /// The message.
    #[must_use]
    pub fn into_message(self) -> Message {
        self.message
    }
}

impl fmt::Debug for SendError {
    /// Of the message the length only.
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
            SendProblem::NotOpen => f.write_str("not sent: there is no connection now"),
            SendProblem::Full => f.write_str("not sent: the outbox is full"),
            SendProblem::TooLarge => f.write_str("not sent: larger than the outbox"),
            SendProblem::Stopped => f.write_str("not sent: the app has been stopped"),
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

/// What an `App` and its handles share.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    state: Mutex<State>,
    /// Told when the App is stopped or over, and when the outbox gets room.
    changed: Condvar,
    /// Stops connecting, or the connection.
    pub(crate) abort: AbortHandle,
}

#[derive(Debug, Default)]
struct State {
    stopping: bool,
    over: bool,
    thread: Option<ThreadId>,
    /// The connection, if there is one.
    sender: Option<Sender>,
    /// `on_open` runs: only the App's own thread sends.
    opening: bool,
    outbox: Option<Queue>,
}

impl State {
    /// The connection, if a message may be sent over it now.
    fn direct(&self) -> Option<Sender> {
        let sender = self.open_sender()?;
        let first = self.opening && self.is_apps_thread();
        (first || self.is_idle() && !self.opening).then(|| sender.clone())
    }

    /// Whether nothing waits in the outbox.
    fn is_idle(&self) -> bool {
        self.outbox.as_ref().is_none_or(Queue::is_idle)
    }

    fn open_sender(&self) -> Option<&Sender> {
        self.sender.as_ref().filter(|sender| sender.is_open())
    }

    /// Whether `on_open` must be over first.
    fn is_shut_out(&self) -> bool {
        self.opening && !self.is_apps_thread()
    }

    fn is_apps_thread(&self) -> bool {
        self.thread == Some(thread::current().id())
    }
}

/// The App's side.
impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Sets how much is kept; what is kept already stays.
    pub(crate) fn set_outbox(&self, limits: Outbox) {
        self.lock().outbox.get_or_insert_with(|| Queue::new(limits)).set_limits(limits);
        self.changed.notify_all();
    }

    /// From now on the App runs on this thread.
    pub(crate) fn runs_here(&self) {
        self.lock().thread = Some(thread::current().id());
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.lock().stopping
    }

    /// Waits, and says whether it was not stopped meanwhile.
    pub(crate) fn wait(&self, delay: Duration) -> bool {
        let state = self.lock();
        let waited = self.changed.wait_timeout_while(state, delay, |state| !state.stopping);
        !waited.stopping
    }

    /// There is a connection, and `on_open` comes next. False if it comes too late.
    pub(crate) fn open(&self, sender: &Sender) -> bool {
        let mut state = self.lock();
        if !state.stopping {
            state.sender = Some(sender.clone());
            state.opening = true;
        }
        !state.stopping
    }

    /// `on_open` has run. Says whether the outbox is to be sent.
    pub(crate) fn opened(&self) -> bool {
        let mut state = self.lock();
        state.opening = false;
        state.outbox.as_ref().is_some_and(|outbox| !outbox.is_idle())
    }

    /// The connection is over.
    pub(crate) fn down(&self) {
        let mut state = self.lock();
        state.sender = None;
        state.opening = false;
    }

    /// No connection will come any more.
    pub(crate) fn over(&self) {
        self.lock().over = true;
        self.changed.notify_all();
    }

    /// Sends what is in the outbox, while the connection is open.
    pub(crate) fn empty_outbox(&self, sender: &Sender) {
        let mut state = self.lock();
        while let Some(message) = state.outbox.as_mut().and_then(Queue::begin) {
            drop(state);
            // The stream may be the caller's.
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
                // Again, but `write_timeout` may be no time at all.
                Err(Error::Timeout(Timeout::Busy)) => {
                    state = self.changed.wait_timeout(state, AGAIN);
                }
                // The system has no randomness, for example.
                Err(_) => {
                    drop(state);
                    return sender.give_up("cannot send");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_it_was_not_sent_is_told_once() {
        let failed = |error| SendError { message: "x".into(), problem: SendProblem::Failed(error) };
        let error = failed(Error::Io(std::io::Error::other("broken")));
        assert_eq!(error.to_string(), "not sent: cannot open the connection: broken");
        assert!(error.source().is_none());
        // What lies below stays.
        let below = std::io::Error::other(failed(Error::Handler(Box::new(error))));
        assert!(below.to_string().ends_with("broken") && below.source().is_none());
    }
}
