//! Holds what an App and its handles share: the open connection if there is one, the outbox, and
//! whether to stop. The rules of the outbox itself are in `outbox.rs`.

use std::mem;
use std::thread::{self, JoinHandle, ThreadId};
use std::time::Duration;

use super::outbox::{Outbox, Queue};
use crate::net::abort::AbortHandle;
use crate::proto::close::CloseFrame;
use crate::sync::{Condvar, Mutex, MutexGuard};
use crate::websocket::counters::Counters;
use crate::websocket::sender::Sender;

/// Holds what an `App` and its handles share.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    state: Mutex<State>,
    /// Notified when the App is stopped or over, when a connection is open, and when the outbox
    /// gets room or its first message.
    pub(super) changed: Condvar,
    /// Stops an attempt to connect, or the connection that it opened.
    pub(crate) abort: AbortHandle,
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// A handle has stopped the App.
    pub(super) stopping: bool,
    /// The next attempt is to be made at once. That attempt unsets it when it begins.
    pub(super) reconnecting: bool,
    /// The App has returned, or was dropped.
    pub(super) over: bool,
    /// The thread that runs the App's code now.
    thread: Option<ThreadId>,
    /// The connection, if there is one.
    pub(super) sender: Option<Sender>,
    /// The connection that `sender` replaces, until it is over.
    pub(super) old: Option<Sender>,
    /// The connection that is not open any more, and not counted yet.
    pub(super) uncounted: Option<Sender>,
    /// A connection is replaced when the next one is open.
    pub(super) overlap: bool,
    /// The open connection is to be replaced, and closed with this. The App's thread takes it.
    pub(super) replace: Option<Box<CloseFrame>>,
    /// `on_open` runs. Only the App's own thread sends.
    pub(super) opening: bool,
    pub(super) outbox: Option<Box<Queue>>,
    /// Counts what the connections that are over have sent and received.
    pub(super) counters: Counters,
    /// The thread that empties the outbox runs, and looks at the outbox once more before it ends.
    pub(super) outbox_runs: bool,
    /// The last thread that was started to empty the outbox.
    pub(super) outbox_thread: Option<JoinHandle<()>>,
}

impl State {
    /// Returns the connection, if this thread may send a message over it now.
    pub(super) fn direct(&self) -> Option<Sender> {
        if self.outbox.as_ref().is_some_and(|outbox| outbox.always()) {
            return None;
        }
        let sender = match self.opening && self.is_apps_thread() {
            true => self.open_sender(),
            false => self.common_sender().filter(|_| self.is_idle()),
        };
        sender.cloned()
    }

    /// Returns the connection that the outbox, and threads other than the App's, send over now.
    pub(super) fn common_sender(&self) -> Option<&Sender> {
        let sender = match (&self.old, self.opening) {
            (Some(old), true) => Some(old),
            (None, true) => None,
            // The server has not read everything on the old connection. What it gets over the new
            // one would overtake that.
            (Some(_), false) if self.outbox.is_some() => None,
            (_, false) => self.sender.as_ref(),
        };
        sender.filter(|sender| sender.is_open())
    }

    /// Returns whether no message waits in the outbox.
    pub(super) fn is_idle(&self) -> bool {
        self.outbox.as_ref().is_none_or(|outbox| outbox.is_idle())
    }

    pub(super) fn open_sender(&self) -> Option<&Sender> {
        self.sender.as_ref().filter(|sender| sender.is_open())
    }

    /// Returns whether this thread may send, over the open connection or by the outbox.
    pub(super) fn is_open(&self) -> bool {
        let is_shut_out = self.opening && !self.is_apps_thread();
        let sender = if is_shut_out { &self.old } else { &self.sender };
        !self.stopping && sender.as_ref().is_some_and(Sender::is_open)
    }

    /// Notes a connection that is not open any more. One that was noted before is counted. Its
    /// owner still has a sender of it, so no stream ends here.
    fn ends(&mut self, sender: Option<Sender>) {
        let Some(sender) = sender else { return };
        if let Some(last) = self.uncounted.replace(sender) {
            self.counters.add(&last.counters());
        }
    }

    /// Returns how much was sent and received over all connections.
    pub(super) fn counted(&self) -> Counters {
        let mut counters = self.counters;
        let now = [&self.sender, &self.old, &self.uncounted];
        now.into_iter().flatten().for_each(|sender| counters.add(&sender.counters()));
        counters
    }

    pub(super) fn is_apps_thread(&self) -> bool {
        self.thread == Some(thread::current().id())
    }
}

/// The side of the App.
impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Sets how much the outbox keeps. Messages that it keeps already stay.
    pub(crate) fn set_outbox(&self, limits: Outbox) {
        let mut state = self.lock();
        state.outbox.get_or_insert_with(|| Box::new(Queue::new(limits))).set_limits(limits);
        self.changed.notify_all();
    }

    /// Notes that the App's code runs on this thread from now on.
    pub(crate) fn runs_here(&self) {
        self.lock().thread = Some(thread::current().id());
    }

    /// Notes that the App's code runs on that thread from now on. It may wait for the App.
    pub(crate) fn runs_on(&self, thread: ThreadId) {
        self.lock().thread = Some(thread);
        self.changed.notify_all();
    }

    pub(crate) fn set_overlap(&self, yes: bool) {
        self.lock().overlap = yes;
    }

    pub(crate) fn overlaps(&self) -> bool {
        self.lock().overlap
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.lock().stopping
    }

    /// Returns whether a user has asked to reconnect at once.
    pub(crate) fn is_reconnecting(&self) -> bool {
        self.lock().reconnecting
    }

    /// Returns whether a user has asked to replace the open connection, and that is not begun yet.
    pub(crate) fn is_replacing(&self) -> bool {
        self.lock().replace.is_some()
    }

    /// Asks to reconnect at once, after the open connection.
    pub(crate) fn reconnect(&self) {
        self.lock().reconnecting = true;
    }

    /// Returns the Close for the open connection, if a user has asked to replace it. The request
    /// stays until the next attempt begins, or a connection opens.
    pub(crate) fn replace_with(&self) -> Option<Box<CloseFrame>> {
        self.lock().replace.clone()
    }

    /// Returns the Close as [`replace_with`](Self::replace_with) does, and takes the request.
    pub(crate) fn take_replace(&self) -> Option<Box<CloseFrame>> {
        self.lock().replace.take()
    }

    /// Waits for `delay`, or until a user asks to reconnect. Returns `false` at once when the App
    /// is stopped.
    pub(crate) fn wait(&self, delay: Duration) -> bool {
        let is_asked = |state: &State| state.reconnecting || state.replace.is_some();
        let waits = |state: &mut State| !state.stopping && !is_asked(state);
        !self.changed.wait_timeout_while(self.lock(), delay, waits).stopping
    }

    /// Notes that an attempt to connect begins. Returns `false` if the App was stopped before.
    pub(crate) fn begin_attempt(&self) -> bool {
        let mut state = self.lock();
        state.reconnecting = false;
        state.replace = None;
        !state.stopping
    }

    /// Notes that there is a connection, and that `on_open` comes next. Returns `false` if the App
    /// was stopped before.
    pub(crate) fn open(&self, sender: &Sender) -> bool {
        let mut state = self.lock();
        if !state.stopping {
            if let Some(outbox) = &state.outbox {
                outbox.watch(sender);
            }
            // It is open if this connection replaces it.
            match state.sender.replace(sender.clone()) {
                Some(old) if old.is_open() => state.old = Some(old),
                last => state.ends(last),
            }
            state.opening = true;
            // Asked for while this connection was made: it is new.
            state.reconnecting = false;
            state.replace = None;
        }
        !state.stopping
    }

    /// Notes that this connection is over. Returns whether there is no other one by now.
    pub(crate) fn down(&self, sender: &Sender) -> bool {
        let mut state = self.lock();
        let is_it = |own: &Option<Sender>| own.as_ref().is_some_and(|own| own.is_same(sender));
        if is_it(&state.old) {
            let old = state.old.take();
            state.ends(old);
        } else if is_it(&state.sender) {
            let old = state.old.take();
            let last = mem::replace(&mut state.sender, old);
            state.ends(last);
            state.opening = false;
        }
        state.sender.is_none()
    }

    /// Counts a connection that is over.
    pub(crate) fn count(&self, sender: &Sender) {
        let mut state = self.lock();
        let ended = state.uncounted.take_if(|last| last.is_same(sender));
        if let Some(ended) = &ended {
            state.counters.add(&ended.counters());
        }
        drop(state);
        drop(ended); // The last sender ends the stream, which may be the caller's code.
    }

    /// Returns whether the outbox has given a message to a connection, and waits until the system
    /// has taken it.
    pub(crate) fn is_outbox_sending(&self) -> bool {
        self.lock().outbox.as_ref().is_some_and(|outbox| outbox.is_sending())
    }

    /// Notes that the App will open no connection any more, and waits for the thread of the outbox.
    pub(crate) fn over(&self) {
        let outbox_thread = {
            let mut state = self.lock();
            state.over = true;
            state.outbox_thread.take()
        };
        self.changed.notify_all();
        // The thread does not block in the network, because the last connection has ended.
        let _ = outbox_thread.map(JoinHandle::join);
        // Now the message that was being sent is back.
        if let Some(outbox) = &mut self.lock().outbox {
            outbox.over();
        }
    }
}
