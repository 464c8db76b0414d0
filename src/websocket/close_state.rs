//! The end of a connection: the facts that are known so far, and the outcome, which never changes.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::error::{Advice, Cause, Closed, Side};
use crate::net::deadline::Deadline;
use crate::proto::close::CloseFrame;
use crate::sync::{AtomicBool, Mutex, MutexGuard, OnceLock, now};

/// Holds the close state. The receiver sets the outcome, and all threads look at it.
#[derive(Debug)]
pub(crate) struct CloseState {
    state: Mutex<State>,
    /// Nothing is known that ends the connection. Set to `false` while `state` is locked.
    is_open: AtomicBool,
    outcome: OnceLock<Closed>,
}

impl Default for CloseState {
    fn default() -> Self {
        let (state, outcome) = (Mutex::default(), OnceLock::default());
        Self { state, is_open: AtomicBool::new(true), outcome }
    }
}

/// Says why we send a Close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CloseReason {
    /// The user asked for the Close.
    User,
    /// The connection is dropped, or fails on this side: a violation, an abandoned message.
    Failure,
    /// The Close answers the peer's.
    Reply,
}

#[derive(Debug, Default)]
struct State {
    /// The Close that we sent, or must send.
    local: Option<CloseFrame>,
    /// Our Close was written.
    sent: bool,
    /// The peer did not take our Close in time.
    not_taken: bool,
    /// The user asked for our Close.
    asked: bool,
    /// The Close that the peer sent.
    peer: Option<CloseFrame>,
    initiator: Option<Side>,
    /// The end of `close_timeout`.
    close_at: Option<Instant>,
    aborted: bool,
    write_failed: Option<Cause>,
    /// The peer has been pinged, and has never answered.
    never_answered: bool,
}

impl CloseState {
    /// Returns the outcome; `None` while the connection has not ended.
    pub(crate) fn outcome(&self) -> Option<&Closed> {
        self.outcome.get()
    }

    /// Sets the outcome, unless there is one, and returns it.
    pub(crate) fn finish(&self, cause: Cause) -> &Closed {
        let advice = self.state().never_answered.then_some(Advice::NoPings);
        let closed = self.closed(cause, advice);
        let closed = self.outcome.get_or_init(|| closed);
        self.ends(&mut self.state());
        closed
    }

    /// Returns the outcome, or one made of the facts so far, for a sender that must fail before the
    /// receiver has set the outcome.
    pub(crate) fn so_far(&self) -> Closed {
        let failed = self.state().write_failed.clone();
        let advice = failed.is_some().then_some(Advice::Receive);
        let now = || self.closed(failed.unwrap_or(Cause::Close), advice);
        self.outcome().cloned().unwrap_or_else(now)
    }

    /// Returns whether nothing is known that ends the connection, so that messages can be sent.
    #[inline]
    pub(crate) fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Acquire)
    }

    /// Returns [`is_open`](Self::is_open) and [`close_at`](Self::close_at), read at one moment.
    pub(crate) fn is_open_and_close_at(&self) -> (bool, Deadline) {
        let state = self.state();
        (self.is_open(), Deadline::at(state.close_at))
    }

    pub(crate) fn is_aborted(&self) -> bool {
        self.state().aborted
    }

    /// Returns whether this side ends the connection: by a Close that is sent or noted, or by an
    /// abort.
    pub(crate) fn is_closing(&self) -> bool {
        let state = self.state();
        state.local.is_some() || state.aborted
    }

    /// Returns when the closing handshake must be over: never if none has begun, or if it has no
    /// limit.
    #[inline]
    pub(crate) fn close_at(&self) -> Deadline {
        match self.is_open() {
            true => Deadline::NEVER,
            false => Deadline::at(self.state().close_at),
        }
    }

    /// Notes the Close to send, unless there is one already or an abort, and returns whether it was
    /// noted. If so, `note` is called before any other thread learns of the Close.
    pub(crate) fn close(
        &self,
        close: &CloseFrame,
        reason: CloseReason,
        timeout: Option<Duration>,
        note: impl FnOnce(),
    ) -> bool {
        let mut state = self.state();
        let first = state.local.is_none() && !state.aborted;
        if first {
            state.local = Some(close.clone());
            state.asked = reason == CloseReason::User;
            let side = if reason == CloseReason::Reply { Side::Peer } else { Side::Local };
            state.initiator.get_or_insert(side);
            state.close_at = timeout.and_then(|timeout| now().checked_add(timeout));
            note();
            self.ends(&mut state);
        }
        first
    }

    pub(crate) fn peer_closed(&self, close: CloseFrame) {
        self.state().peer = Some(close);
    }

    /// Notes that our Close was written.
    pub(crate) fn close_sent(&self) {
        self.state().sent = true;
    }

    /// Notes that the peer did not take our Close in time.
    pub(crate) fn close_not_taken(&self) {
        self.state().not_taken = true;
    }

    /// Notes an abort. `stop` is called before any other thread learns of the abort.
    pub(crate) fn abort(&self, stop: impl FnOnce()) {
        let mut state = self.state();
        stop();
        state.aborted = true;
        self.ends(&mut state);
        state.initiator.get_or_insert(Side::Local);
    }

    /// Notes that this side ends the connection, unless one of the sides began to before.
    pub(crate) fn ends_here(&self) {
        self.state().initiator.get_or_insert(Side::Local);
    }

    /// Notes that the peer has never answered a keepalive ping.
    pub(crate) fn never_answered(&self) {
        self.state().never_answered = true;
    }

    /// Notes the cause of the first write that failed.
    pub(crate) fn write_failed(&self, cause: &Cause) {
        let mut state = self.state();
        state.write_failed.get_or_insert_with(|| cause.clone());
        self.ends(&mut state);
    }

    /// Returns the cause to report when reading failed with `cause`. If a write failed before, that
    /// is why reading failed.
    pub(crate) fn first_cause(&self, cause: Cause) -> Cause {
        let mut state = self.state();
        let cause = match (&state.write_failed, cause) {
            (Some(failed @ Cause::Timeout(_)), _) | (Some(failed), Cause::Eof | Cause::Io(_)) => {
                failed.clone()
            }
            (_, cause) => cause,
        };
        if let Cause::Timeout(_) = cause {
            state.initiator.get_or_insert(Side::Local);
        }
        cause
    }

    fn closed(&self, cause: Cause, advice: Option<Advice>) -> Closed {
        let state = self.state();
        let cause = if state.aborted { Cause::Aborted } else { cause };
        // A Close counts as sent only if it was written, or still can be.
        let unsent = state.not_taken || state.write_failed.is_some();
        let local = state.local.clone().filter(|_| state.sent || !unsent);
        let peer = state.peer.clone();
        Closed::new(local, peer, state.initiator, state.asked, cause, advice)
    }

    /// Notes that no message can be sent any more. The state is locked.
    fn ends(&self, _: &mut State) {
        self.is_open.store(false, Ordering::Release);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}
