//! [`Control`]: the connection of the moment, and the wish to end, which the threads share.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use landline::{AbortHandle, CloseFrame, Sender};

/// Lets the thread that receives, the thread that sends and the signal handler work together.
#[derive(Default)]
pub(crate) struct Control {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// The connection, from its opening on.
    open: Option<Sender>,
    /// The connection, when what is sent first is sent.
    connection: Option<Sender>,
    attempt: Option<AbortHandle>,
    stop: Option<Stop>,
    /// The end of the present connection is wanted, and another one after it.
    restart: bool,
    /// There will be no connection any more.
    over: bool,
    phase: Phase,
}

/// Names the state of the connection, for the prompt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Phase {
    #[default]
    Connecting,
    Open,
    /// This side has closed, or there will be no connection any more.
    Closing,
}

/// Names why this side ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Standard input is at its end, or the person at the terminal has closed.
    Finished,
    /// The input, which is to be sent, cannot be read.
    Failed,
    Interrupted,
}

impl Control {
    /// Begins an attempt to connect. `None` if there shall be none.
    pub(crate) fn begin(&self) -> Option<AbortHandle> {
        let mut state = self.state();
        state.restart = false;
        if state.stop.is_some() {
            return None;
        }
        let abort = AbortHandle::new();
        state.attempt = Some(abort.clone());
        Some(abort)
    }

    /// Gives the open connection to the threads that send. Returns `false` if this side has ended
    /// meanwhile.
    pub(crate) fn opened(&self, sender: Sender) -> bool {
        let mut state = self.state();
        if state.stop.is_none() {
            state.connection = Some(sender);
            self.changed.notify_all();
        }
        state.stop.is_none()
    }

    /// Takes the connection from the threads that send.
    pub(crate) fn lost(&self) {
        let mut state = self.state();
        (state.open, state.connection, state.attempt) = (None, None, None);
        state.phase = Phase::Connecting;
    }

    /// Notes that the connection is open. It can be closed by this now, but not be sent over.
    pub(crate) fn note_open(&self, sender: Sender) {
        let mut state = self.state();
        state.phase = Phase::Open;
        state.open = Some(sender);
        // Asked for while this connection was made: it is new.
        state.restart = false;
    }

    pub(crate) fn phase(&self) -> Phase {
        let state = self.state();
        if state.over || state.stop.is_some() { Phase::Closing } else { state.phase }
    }

    /// Ends all waits of the threads that send.
    pub(crate) fn finish(&self) {
        let mut state = self.state();
        state.over = true;
        (state.open, state.connection) = (None, None);
        self.changed.notify_all();
    }

    /// Waits for an open connection. `None` if there will be none.
    pub(crate) fn sender(&self) -> Option<Sender> {
        let mut state = self.state();
        loop {
            if state.over || state.stop.is_some() {
                return None;
            }
            match &state.connection {
                Some(sender) if sender.is_open() => return Some(sender.clone()),
                _ => state = self.wait(state, None),
            }
        }
    }

    /// Ends the program: closes the connection with this frame, or gives up the attempt. Only the
    /// first call counts.
    pub(crate) fn stop(&self, why: Stop, frame: &CloseFrame) {
        let mut state = self.state();
        if state.stop.is_some() {
            return;
        }
        state.stop = Some(why);
        self.changed.notify_all();
        state.connection = None;
        let (open, attempt) = (state.open.take(), state.attempt.clone());
        drop(state);
        match (open, attempt) {
            // An error says that the connection is over already.
            (Some(sender), _) => drop(sender.close(frame.clone())),
            (None, Some(attempt)) => attempt.abort(),
            (None, None) => {}
        }
    }

    /// Does what Ctrl-C asks for: the first time as [`stop`](Self::stop) does. The second time the
    /// connection is cut, and the answer is `true`.
    pub(crate) fn interrupt(&self, frame: &CloseFrame) -> bool {
        let state = self.state();
        if state.stop.is_none() {
            drop(state);
            self.stop(Stop::Interrupted, frame);
            return false;
        }
        if let Some(attempt) = &state.attempt {
            attempt.abort();
        }
        true
    }

    /// Closes the present connection, so that another one is opened. Ends the wait before the next
    /// attempt. An attempt goes on, because its connection will be a new one.
    pub(crate) fn restart(&self, frame: &CloseFrame) {
        let mut state = self.state();
        state.restart = true;
        self.changed.notify_all();
        state.connection = None;
        let open = state.open.take();
        drop(state);
        if let Some(sender) = open {
            // An error says that the connection is over already.
            drop(sender.close(frame.clone()));
        }
    }

    /// Returns whether another connection is wanted in place of the present one.
    pub(crate) fn restarts(&self) -> bool {
        self.state().restart
    }

    pub(crate) fn stopped(&self) -> Option<Stop> {
        self.state().stop
    }

    /// Waits for this time, or until something ends the wait.
    pub(crate) fn pause(&self, time: Duration) {
        let end = Instant::now() + time;
        let mut state = self.state();
        while !state.over && !state.restart && state.stop.is_none() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state = self.wait(state, Some(left));
        }
    }

    fn wait<'a>(
        &self,
        state: MutexGuard<'a, State>,
        time: Option<Duration>,
    ) -> MutexGuard<'a, State> {
        match time {
            Some(time) => {
                let waited = self.changed.wait_timeout(state, time);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
            None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
