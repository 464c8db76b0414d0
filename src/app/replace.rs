//! Replaces a connection: opens the next one while the old one is still used, switches, and closes
//! the old one. `App::overlap` describes the steps.

use std::mem;
use std::time::{Duration, Instant};

use super::attempts::{Attempts, Ended, Next, Opened};
use super::handler::Handler;
use super::run::App;
use super::session::{Live, hand_out, unless_over};
use crate::error::{Error, Timeout};
use crate::proto::close::{CloseCode, CloseFrame};
use crate::websocket::sender::Sender;

/// The interval at which an App looks whether a handle has asked to replace the connection.
const LOOK: Duration = Duration::from_millis(200);
/// The interval at which it looks whether the attempt is done, or the outbox has sent its message.
const LOOK_SOON: Duration = Duration::from_millis(50);

/// Says when a connection is to be replaced.
pub(super) struct Watch {
    overlaps: bool,
    /// The time to begin the next attempt.
    due: Option<Instant>,
    /// The Close for the connection that is replaced.
    close: CloseFrame,
    /// The last attempt has failed, and another one follows it.
    failed: bool,
}

impl Watch {
    /// Returns `None` if the connection is kept as long as it lasts.
    pub(super) fn new(attempts: &Attempts, since: Instant) -> Option<Self> {
        let overlaps = attempts.shared.0.overlaps();
        let due = attempts.max_age.and_then(|age| since.checked_add(age));
        let close = CloseCode::NORMAL.into();
        let watch = Self { overlaps, due, close, failed: false };
        (watch.overlaps || watch.due.is_some()).then_some(watch)
    }

    /// Returns how long to wait for an event, until there is something to do here.
    pub(super) fn timeout(&self, attempts: &Attempts) -> Duration {
        let look = match (attempts.is_under_way(), self.overlaps) {
            (true, _) => LOOK_SOON,
            (false, true) => LOOK,
            (false, false) => Duration::MAX,
        };
        let due = self.due.map(|due| due.saturating_duration_since(Instant::now()));
        due.map_or(look, |due| due.min(look))
    }
}

impl<H: Handler> App<H> {
    /// Begins to replace the connection if it is time to, and replaces it when the next one is
    /// open. Fails with the handler's error.
    pub(super) fn watch(&mut self, live: &mut Live) -> Result<(), Error> {
        let Some(watch) = &mut live.watch else { return Ok(()) };
        let shared = &self.attempts.shared.0;
        if self.attempts.is_under_way() {
            // The request stays: if this attempt fails, the next one follows without a wait.
            if let Some(close) = shared.replace_with() {
                watch.close = *close;
            }
        } else if let Some(close) = shared.take_replace() {
            watch.close = *close;
            watch.due = Some(Instant::now());
        }
        if watch.due.is_some_and(|due| due <= Instant::now()) {
            watch.due = None;
            if !watch.overlaps {
                shared.reconnect();
                let _ = live.up.sender.close(watch.close.clone());
                return Ok(());
            }
            if !watch.failed {
                self.attempts.streak.ended(live.since.elapsed(), Instant::now());
            }
            if let Err(error) = self.attempts.begin(false) {
                return self.not_replaced(&live.up.sender, watch, error);
            }
        }
        match self.attempts.poll() {
            None => Ok(()),
            Some(Ok(opened)) => self.replace(live, opened),
            Some(Err(error)) => self.not_replaced(&live.up.sender, watch, error),
        }
    }

    /// Reports an attempt that failed, and decides when the next one is due, if there is to be one.
    /// `sender` is that of the old connection.
    fn not_replaced(
        &mut self,
        sender: &Sender,
        watch: &mut Watch,
        error: Error,
    ) -> Result<(), Error> {
        let shared = &self.attempts.shared.0;
        if shared.is_stopping() {
            return Ok(());
        }
        unless_over(self.handler.on_error(&error), Some(sender), shared)?;
        watch.due = match self.attempts.after(Ended::attempt(error)) {
            Next::Attempt(delay, _) => Instant::now().checked_add(delay),
            Next::Over(_) => None, // The open connection goes on, and its end decides.
        };
        // After the last attempt, another request begins a row of its own on a stable connection.
        watch.failed = watch.due.is_some();
        if self.attempts.shared.0.is_replacing() {
            watch.due = Some(Instant::now());
        }
        Ok(())
    }

    /// Puts a connection that is open in the place of the old one.
    fn replace(&mut self, live: &mut Live, opened: Opened) -> Result<(), Error> {
        let Some(next) = Live::new(&self.attempts, opened.ws) else {
            return Ok(()); // The App was stopped.
        };
        if let Err(error) = self.open(&next, opened.attempt, opened.reconnected, true) {
            return Err(self.finish(next, Err(error)).error);
        }
        let delivered = self.drain(live);
        self.attempts.streak.replaced(live.since.elapsed(), Instant::now());
        let old = mem::replace(live, next);
        match self.finish(old, delivered).error {
            error @ Error::Handler(_) => Err(error),
            // The outbox goes on over the new connection.
            _ => live.up.opened().map_err(Error::Io),
        }
    }

    /// Closes the old connection, and calls the handler for each event until its end. Returns how
    /// it ended, or fails with the handler's error.
    fn drain(&mut self, live: &mut Live) -> Result<Error, Error> {
        let shared = self.attempts.shared.0.clone();
        let sender = &live.up.sender;
        let mut close = live.watch.as_ref().map(|watch| watch.close.clone());
        loop {
            let is_stopping = shared.is_stopping();
            if is_stopping || !shared.is_outbox_sending() {
                // The connection may be over, or closing, already.
                let _ = close.take().map(|close| sender.close(close));
            }
            if is_stopping {
                return Ok(live.ws.discard());
            }
            let received = match close {
                Some(_) => live.ws.next_event_timeout(LOOK_SOON),
                None => live.ws.next_event(),
            };
            match received {
                Ok(event) => {
                    unless_over(hand_out(&mut self.handler, sender, event), Some(sender), &shared)?;
                }
                Err(Error::Timeout(Timeout::Recv)) => {}
                Err(error) => return Ok(error),
            }
        }
    }
}
