//! Ticket: tells what became of one message that a handle sent.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::shared::Shared;
use crate::proto::message::Message;
use crate::sync::{Condvar, Mutex};

/// Tells what became of a message that [`Handle::send_tracked`](crate::Handle::send_tracked) sent.
///
/// A ticket works from any thread, also after the App is over. Dropping it changes nothing.
///
/// # Examples
///
/// An order that is worth nothing after 200 ms:
///
/// ```no_run
/// use std::time::Duration;
/// use landline::app::{Fate, Outbox};
/// use landline::{App, Callbacks};
///
/// let outbox = Outbox::new().always_queue(true);
/// let app = App::new("wss://example.com/orders", Callbacks::new()).outbox(outbox).spawn()?;
/// let order = app.handle().send_tracked("buy 5 at 101.5")?;
/// match order.wait(Duration::from_millis(200)) {
///     Fate::Sent { at, .. } => println!("handed to the system {:?} ago", at.elapsed()),
///     Fate::Queued => match order.cancel() {
///         Some(_) => println!("taken back"),
///         None => println!("too late: {:?}", order.fate()),
///     },
///     fate => println!("{fate:?}"),
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Ticket {
    track: Arc<Track>,
    shared: Arc<Shared>,
}

/// Tells what became of a message.
///
/// [`Queued`](Self::Queued) and [`Sending`](Self::Sending) may change; every other fate is final.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fate {
    /// The message waits in the outbox. If a connection broke while it took the message, the next
    /// one sends it again from its beginning.
    Queued,
    /// A connection is taking the message.
    Sending,
    /// The operating system has taken all of the message. Only the server can say whether it
    /// arrived: a connection that breaks loses what the server has not read.
    #[non_exhaustive]
    Sent {
        /// The time at which the system had taken it. If it lies in the life of a connection that
        /// broke, between its `on_open` and its `on_close`, ask the server for the message.
        at: Instant,
    },
    /// It was dropped, to make room for a later one
    /// ([`WhenFull::DropOldest`](crate::app::WhenFull::DropOldest)). It was never sent.
    Dropped,
    /// [`Ticket::cancel`] or [`Handle::take_unsent`](crate::Handle::take_unsent) took it out of the
    /// outbox. It was never sent.
    Taken,
    /// The App was over first. The message was never sent.
    AppOver,
    /// It left the outbox as with [`Dropped`](Self::Dropped), [`Taken`](Self::Taken) or
    /// [`AppOver`](Self::AppOver), but a connection had ended before it took all of the message.
    /// The server may have got a part. It has all of the message only if the system or the stream
    /// took more than it told.
    Unknown,
}

impl Fate {
    /// Returns whether the fate never changes any more.
    #[must_use]
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Queued | Self::Sending)
    }
}

impl Ticket {
    pub(super) fn new(track: Arc<Track>, shared: Arc<Shared>) -> Self {
        Self { track, shared }
    }

    /// Returns what became of the message so far.
    #[must_use]
    pub fn fate(&self) -> Fate {
        self.track.state.lock().fate
    }

    /// Waits until the fate is final, for at most `timeout`, and returns it as it is then.
    ///
    /// In a callback the App receives nothing meanwhile, and in
    /// [`on_open`](crate::Handler::on_open) the outbox sends nothing: there it always takes the
    /// whole `timeout`, unless the fate is final already.
    pub fn wait(&self, timeout: Duration) -> Fate {
        let waits = |state: &mut TrackState| !state.fate.is_final();
        let state = self.track.state.lock();
        self.track.changed.wait_timeout_while(state, timeout, waits).fate
    }

    /// Takes the message out of the outbox, if it waits there. Returns `None` if a connection is
    /// taking it, or its fate is final.
    #[must_use = "the message may be on its way, and then it is not taken back"]
    pub fn cancel(&self) -> Option<Message> {
        let message = self.shared.lock().outbox.as_mut()?.cancel(&self.track)?;
        self.shared.changed.notify_all(); // There is room now.
        Some(message)
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket").field("fate", &self.fate()).finish()
    }
}

/// Holds what became of a message, for its tickets and for the queue.
#[derive(Debug)]
pub(super) struct Track {
    state: Mutex<TrackState>,
    /// Notified when the fate is final.
    changed: Condvar,
}

#[derive(Debug)]
struct TrackState {
    fate: Fate,
    /// A connection broke while it took the message.
    begun: bool,
}

impl Track {
    pub(super) fn new() -> Arc<Self> {
        let state = Mutex::new(TrackState { fate: Fate::Queued, begun: false });
        Arc::new(Self { state, changed: Condvar::default() })
    }

    /// Notes that a connection takes the message from now on.
    pub(super) fn sending(&self) {
        self.state.lock().fate = Fate::Sending;
    }

    /// Notes that the message waits again. A connection broke while it took the message if `begun`.
    pub(super) fn failed(&self, begun: bool) {
        let mut state = self.state.lock();
        state.fate = Fate::Queued;
        state.begun |= begun;
    }

    /// Sets the final fate.
    pub(super) fn end(&self, fate: Fate) {
        let mut state = self.state.lock();
        let unknown = state.begun && !matches!(fate, Fate::Sent { .. });
        state.fate = if unknown { Fate::Unknown } else { fate };
        drop(state);
        self.changed.notify_all();
    }
}
