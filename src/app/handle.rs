//! Handle: sends through an App and stops it, from any thread. What an App and its handles share is
//! in `shared.rs`; the thread that empties the outbox is in `outbox_thread.rs`.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[cfg(doc)]
use super::outbox::Outbox;
use super::outbox::{NoRoom, WhenFull};
use super::shared::{Shared, State};
use super::ticket::{Fate, Ticket, Track};
use crate::error::{Error, InvalidInput};
use crate::proto::close::CloseFrame;
use crate::proto::message::Message;
use crate::websocket::counters::Counters;

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
    /// without one gives it back in the error. With [`Outbox::always_queue`] or [`Outbox::pace`]
    /// every message is kept, and the call never waits for the network. While messages wait in the
    /// outbox, a later one is kept too, and is sent behind them; [`Outbox`] has the one exception,
    /// in [`on_open`](crate::Handler::on_open).
    ///
    /// [`Delivery::Sent`] means that the operating system has taken all of the message. Only the
    /// server can say whether it arrived. A message that is kept or given back was not delivered:
    /// its end never left this machine.
    ///
    /// # Errors
    /// [`SendError`], which holds the message and the reason.
    pub fn send(&self, message: impl Into<Message>) -> Result<Delivery, SendError> {
        self.deliver(message.into(), None)
    }

    /// Sends a message as [`send`](Self::send) does, and returns a ticket that tells what becomes
    /// of it: it waits, was handed to the system, was dropped. Tracking takes one allocation.
    ///
    /// A message that is sent at once, over an open connection, has the fate
    /// [`Sent`](crate::app::Fate::Sent) when this returns.
    ///
    /// # Examples
    /// ```no_run
    /// # use std::time::Duration;
    /// # use landline::{App, Callbacks, app::Outbox};
    /// # let app = App::new("wss://example.com", Callbacks::new()).outbox(Outbox::new()).spawn()?;
    /// let ticket = app.handle().send_tracked("buy 5 at 101.5")?;
    /// println!("{:?}", ticket.wait(Duration::from_secs(1)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The same as [`send`](Self::send).
    pub fn send_tracked(&self, message: impl Into<Message>) -> Result<Ticket, SendError> {
        let track = Track::new();
        if self.deliver(message.into(), Some(&track))? == Delivery::Sent {
            track.end(Fate::Sent { at: Instant::now() });
        }
        Ok(Ticket::new(track, self.0.clone()))
    }

    /// Sends a message over the open connection, or puts it into the outbox.
    fn deliver(
        &self,
        mut message: Message,
        track: Option<&Arc<Track>>,
    ) -> Result<Delivery, SendError> {
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
                if let Some(track) = track {
                    track.failed(!is_open);
                }
                state = shared.lock();
                // A connection that is replaced closes, and there is another one by now.
                let is_kept = state.outbox.is_some() || state.overlap;
                if is_open || !is_kept {
                    return Err(SendError { message, problem: SendProblem::Failed(error) });
                }
                continue; // Keep the message, or send it over a new connection that is open by now.
            }
            let Some(outbox) = &mut state.outbox else {
                return Err(SendError { message, problem: SendProblem::NotOpen });
            };
            let problem = match outbox.push(message, track) {
                Ok(dropped) => {
                    let is_first = outbox.len() == 1;
                    drop(state);
                    if is_first {
                        shared.changed.notify_all(); // The outbox thread may wait for it.
                    }
                    return Ok(Delivery::Queued { dropped });
                }
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
    /// discarded, and only [`on_close`](crate::Handler::on_close) is called. A loop over
    /// [`connections`](crate::App::connections) still receives them.
    ///
    /// This method does not wait until the App has stopped:
    /// [`join`](crate::app::AppThread::join) does. On another thread it waits until the peer takes
    /// the Close, as [`Sender::close`](crate::Sender::close) does, for at most `close_timeout`. In
    /// a callback it does not wait.
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
    /// server to end the stream. A loop over [`connections`](crate::App::connections) still
    /// receives what comes before that Close, and its next attempt begins when it calls `next`.
    ///
    /// While the App waits between two attempts, this ends the wait. While an attempt is under way,
    /// the attempt goes on; if it fails, the next one follows without a wait. Nothing happens
    /// before the App runs, and when it is stopping or over: a [`stop`](Self::stop) always wins.
    ///
    /// It returns before there is another connection, and
    /// [`is_open`](Self::is_open) says `false` until then. Like [`stop`](Self::stop), it may wait
    /// until the peer takes the Close, for at most `close_timeout`.
    ///
    /// With [`App::overlap`](crate::App::overlap) the open connection is used until the next one is
    /// open, and closed then. Nothing is discarded, and [`is_open`](Self::is_open) says `true` all
    /// the time. An attempt that fails counts as a failure.
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
            if state.overlap && state.open_sender().is_some() {
                state.replace = Some(Box::new(close));
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
        let senders = {
            let mut state = self.0.lock();
            state.stopping = true;
            self.0.changed.notify_all();
            [state.sender.clone(), state.old.clone(), state.uncounted.clone()]
        };
        self.0.abort.abort();
        // `connect_with` may have used another builder, which has another abort handle.
        for sender in senders.iter().flatten() {
            sender.abort();
        }
    }

    /// Returns whether there is an open connection that [`send`](Self::send) may use, as far as
    /// this side knows. What waits in the outbox is sent before later messages, as [`Outbox`] says.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.0.lock().is_open()
    }

    /// Waits until every message in the outbox is sent, and returns whether that is so. It returns
    /// `false` if `timeout` passes first, or if the App is stopped or over. Without an outbox it
    /// returns `true` at once.
    ///
    /// On the App's own thread it does not wait, because the App would receive nothing meanwhile,
    /// and the outbox sends nothing until [`on_open`](crate::Handler::on_open) has returned. For
    /// [`connections`](crate::App::connections) the App's own thread is that of the loop.
    #[must_use]
    pub fn flush(&self, timeout: Duration) -> bool {
        let ends = |state: &State| state.stopping || state.over || state.is_apps_thread();
        let waits = |state: &mut State| !state.is_idle() && !ends(state);
        let state = self.0.changed.wait_timeout_while(self.0.lock(), timeout, waits);
        state.is_idle()
    }

    /// Returns how much is in the outbox, with the message that is being sent.
    ///
    /// # Examples
    /// ```no_run
    /// # use landline::{App, Callbacks, app::Outbox};
    /// # let app = App::new("wss://example.com", Callbacks::new()).outbox(Outbox::new());
    /// let backlog = app.handle().backlog();
    /// if backlog.messages > 100 {
    ///     println!("{} messages wait, {} bytes in all", backlog.messages, backlog.bytes);
    /// }
    /// ```
    #[must_use]
    pub fn backlog(&self) -> Backlog {
        self.0.lock().outbox.as_ref().map_or_else(Backlog::default, |outbox| outbox.backlog())
    }

    /// Takes out the messages that wait in the outbox. When the App is over, these are the messages
    /// that were never sent.
    #[must_use]
    pub fn take_unsent(&self) -> Vec<Message> {
        let taken = self.0.lock().outbox.as_mut().map_or_else(Vec::new, |outbox| outbox.take());
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
        self.0.lock().counted()
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("open", &self.is_open()).finish()
    }
}

/// Tells what [`Handle::send`] did with a message.
///
/// # Examples
///
/// ```no_run
/// use landline::app::{Delivery, SendError};
/// use landline::Handle;
///
/// fn report(handle: &Handle, reading: &str) -> Result<(), SendError> {
///     match handle.send(reading)? {
///         Delivery::Queued { dropped: 1.., .. } => println!("older readings are lost"),
///         Delivery::Queued { .. } => println!("it waits for a connection"),
///         _ => {}
///     }
///     Ok(())
/// }
/// ```
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

/// Tells how much is in the [`Outbox`], with the message that is being sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Backlog {
    /// The number of messages.
    pub messages: usize,
    /// The number of bytes of all these messages.
    pub bytes: usize,
}

/// Holds a message that was not sent, and tells why.
///
/// # Examples
///
/// ```
/// use landline::app::SendProblem;
/// use landline::{App, Callbacks};
///
/// // This App does not run yet, and has no outbox.
/// let app = App::new("wss://example.com/feed", Callbacks::new());
/// let error = app.handle().send("hello").unwrap_err();
/// assert!(matches!(error.problem(), SendProblem::NotOpen));
/// assert_eq!(error.into_message().as_text(), Some("hello"));
/// ```
pub struct SendError {
    message: Message,
    problem: SendProblem,
}

/// Names why a message was not sent.
#[derive(Debug)]
#[non_exhaustive]
pub enum SendProblem {
    /// There is no connection now, and no outbox to keep the message. Send it again when there is
    /// one, or give the App an [`Outbox`]. A connection counts once its
    /// [`on_open`](crate::Handler::on_open) has returned; on the App's own thread it counts before.
    NotOpen,
    /// The outbox is full: the server is away for long, or takes less than is sent. Send less, or
    /// choose another [`WhenFull`](crate::app::WhenFull).
    Full,
    /// The message is larger than the whole outbox, or the outbox holds no messages at all. Raise
    /// [`Outbox::max_bytes`]; the same fails again.
    TooLarge,
    /// The App is stopping, or over. No message is sent any more.
    Stopped,
    /// Sending failed: the connection failed, or did not take the message in time, or other threads
    /// were sending all the time ([`Timeout::Busy`](crate::Timeout::Busy)). The App connects again
    /// if it must. A part of the message may have been sent, but not all of it.
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
