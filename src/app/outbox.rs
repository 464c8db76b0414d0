//! The queue for messages that an App sends later: its options ([`Outbox`]), and the queue itself
//! ([`Queue`]), which `handle.rs` fills and `outbox_thread.rs` empties.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::handle::Backlog;
use super::pace::{Room, Window};
use super::ticket::{Fate, Track};
use crate::proto::message::Message;
use crate::sync::Mutex;
use crate::websocket::sender::Sender;

/// Keeps the messages that a [`Handle`](crate::Handle) sends while there is no connection, and
/// sends them, in order, after the next [`on_open`](crate::Handler::on_open).
///
/// Give it to [`App::outbox`](crate::App::outbox). By default it keeps at most 1,024 messages and
/// 1 MiB, and rejects a message that does not fit. With [`always_queue`](Self::always_queue) it
/// also takes the messages that are sent while there is a connection.
///
/// # Order
///
/// * What one thread sends by handles is sent in the order of its calls, also across reconnects.
///   Messages of several threads are sent in the order in which they were queued.
/// * While messages wait, a later one waits behind them.
/// * There is one exception. What the App's own thread sends by a handle in
///   [`on_open`](crate::Handler::on_open) goes out at once, before all that waits, so that a login
///   comes first. In a loop over [`connections`](crate::App::connections) the same holds for the
///   thread of the loop, until it first receives on the connection. With
///   [`always_queue`](Self::always_queue) or a [`pace`](Self::pace) there is no exception.
/// * A message that a connection took only in part stays at the front. The next connection sends
///   it again from its beginning.
/// * A handler's [`Sender`](crate::Sender) does not use the outbox. What it sends in
///   [`on_open`](crate::Handler::on_open) goes before all that waits; what it sends later goes
///   between any two messages of the outbox.
///
/// # Examples
///
/// Sensor readings: during a long outage only the latest thousand count.
///
/// ```no_run
/// use std::time::Duration;
/// use landline::app::{Delivery, Outbox, WhenFull};
/// use landline::{App, Callbacks};
///
/// let outbox = Outbox::new().max_messages(1000).when_full(WhenFull::DropOldest);
/// let app = App::new("wss://example.com/readings", Callbacks::new()).outbox(outbox).spawn()?;
/// let handle = app.handle();
/// match handle.send("21.5 °C")? {
///     Delivery::Sent => println!("sent"),
///     Delivery::Queued { dropped, .. } => println!("waits; {dropped} older ones were dropped"),
///     _ => {}
/// }
///
/// // At the end: send the rest, and see what could not be sent.
/// if !handle.flush(Duration::from_secs(5)) {
///     println!("{} readings were not sent", handle.take_unsent().len());
/// }
/// handle.stop(1000)?;
/// println!("{}", app.join()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Outbox {
    max_messages: usize,
    max_bytes: usize,
    when_full: WhenFull,
    always: bool,
    /// The greatest number of messages in each window of this length.
    pace: Option<(usize, Duration)>,
}

/// Decides what happens to a message that does not fit into the [`Outbox`].
///
/// # Examples
///
/// ```
/// use landline::app::{Outbox, WhenFull};
///
/// // Of the readings of a sensor the latest count.
/// let outbox = Outbox::new().max_messages(1000).when_full(WhenFull::DropOldest);
/// # let _ = outbox;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhenFull {
    /// The message is given back in the error.
    #[default]
    Reject,
    /// The caller waits until the message fits or the App is over. The App must run, or be about to
    /// run, on another thread. On the App's own thread the message is rejected, because the caller
    /// could wait for ever.
    Block,
    /// The oldest messages are dropped until the message fits.
    /// [`Delivery::Queued`](crate::app::Delivery::Queued) tells how many.
    DropOldest,
}

impl Default for Outbox {
    fn default() -> Self {
        let (max_messages, max_bytes) = (1024, 1 << 20);
        let when_full = WhenFull::Reject;
        Self { max_messages, max_bytes, when_full, always: false, pace: None }
    }
}

impl Outbox {
    /// Makes an outbox with all defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the greatest number of messages. With 0 no message is kept. Default: 1,024.
    #[must_use]
    pub fn max_messages(mut self, messages: usize) -> Self {
        self.max_messages = messages;
        self
    }

    /// Sets the greatest number of bytes of all messages together. Default: 1 MiB.
    #[must_use]
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Sets what happens to a message that does not fit. Default: [`WhenFull::Reject`].
    #[must_use]
    pub fn when_full(mut self, when_full: WhenFull) -> Self {
        self.when_full = when_full;
        self
    }

    /// Sets whether [`Handle::send`](crate::Handle::send) always queues, also while there is a
    /// connection. Default: no: then it sends over an open connection itself, and may block for up
    /// to [`write_timeout`](crate::Builder::write_timeout) (30 s by default).
    ///
    /// With it, `send` never waits for the network: it is meant for threads that draw, play or
    /// trade. It returns [`Delivery::Queued`](crate::app::Delivery::Queued). Only
    /// [`WhenFull::Block`] still makes it wait, for room. A message larger than
    /// [`max_bytes`](Self::max_bytes) is never taken.
    ///
    /// That also holds for the App's own thread. What it sends in
    /// [`on_open`](crate::Handler::on_open) by a handle waits behind what is in the outbox; the
    /// `sender` that `on_open` gets goes first.
    ///
    /// The messages are sent by a thread of the App, `landline-outbox`. It begins with the first
    /// connection, sleeps while nothing waits, and ends with the App.
    ///
    /// # Examples
    /// ```no_run
    /// use landline::app::Outbox;
    /// use landline::{App, Callbacks};
    ///
    /// let outbox = Outbox::new().always_queue(true);
    /// let app = App::new("wss://example.com/game", Callbacks::new()).outbox(outbox).spawn()?;
    /// app.handle().send("jump")?; // Returns at once, whatever the network does.
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn always_queue(mut self, yes: bool) -> Self {
        self.always = yes;
        self
    }

    /// Limits the pace: in any time as long as `window`, wherever it begins, at most this number of
    /// messages is sent. The window goes on when the App connects again. So messages that waited
    /// during an outage do not flood a server that has just come back. Default: no limit.
    ///
    /// With a pace all messages of handles are queued, as with
    /// [`always_queue`](Self::always_queue).
    ///
    /// These count:
    ///
    /// * All messages and control frames of this side count when the system has taken them. That
    ///   includes pings of keepalive, answers to pings, what a handler sends by its
    ///   [`Sender`](crate::Sender). Servers that limit the rate count these too. What
    ///   [`connect_with`](crate::App::connect_with) sends counts when that returns.
    /// * Only the outbox waits. Control frames and a handler's `Sender` go out at once, and delay
    ///   what is in the outbox. Those that go out while the window is full exceed it. If the
    ///   server is strict, leave room for them: for a limit of five a second, `pace(4, ..)` leaves
    ///   room for one ping or pong in each second.
    /// * A message that a connection took only in part does not count.
    ///
    /// The network's delay varies, so messages may arrive closer together than they were sent. Make
    /// the window longer than the server's by that variation.
    ///
    /// With 0 messages the outbox sends nothing at all, and what is queued waits. With a `window`
    /// of zero there is no limit. The outbox keeps the time of each message of the last window: 16
    /// bytes a message.
    ///
    /// # Examples
    ///
    /// An exchange closes connections that send more than ten messages a second:
    ///
    /// ```no_run
    /// use std::time::Duration;
    /// use landline::app::Outbox;
    /// use landline::{App, Callbacks};
    ///
    /// let outbox = Outbox::new().pace(9, Duration::from_millis(1200));
    /// let app = App::new("wss://example.com/ws", Callbacks::new()).outbox(outbox).spawn()?;
    /// for symbol in ["BTCEUR", "ETHEUR"] {
    ///     app.handle().send(format!("subscribe {symbol}"))?;
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn pace(mut self, messages: usize, window: Duration) -> Self {
        self.pace = Some((messages, window));
        self
    }
}

/// Holds the messages of an outbox, within its limits.
#[derive(Debug)]
pub(crate) struct Queue {
    limits: Outbox,
    entries: VecDeque<Entry>,
    /// The bytes of all messages together, and of the one that is being sent.
    bytes: usize,
    /// The size of the message that is being sent, in bytes.
    sending: Option<usize>,
    /// Notes when messages were sent lately, if there is a pace. The connection fills it.
    window: Option<Arc<Mutex<Window>>>,
}

/// A message in the queue, or taken out to be sent.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) message: Message,
    track: Option<Arc<Track>>,
}

impl Entry {
    fn len(&self) -> usize {
        self.message.as_bytes().len()
    }

    fn end(&self, fate: Fate) {
        if let Some(track) = &self.track {
            track.end(fate);
        }
    }
}

/// Names why a message was not taken.
#[derive(Debug)]
pub(crate) enum NoRoom {
    /// The message is larger than the whole outbox.
    Ever,
    /// There is no room now.
    Now(WhenFull),
}

impl Queue {
    pub(crate) fn new(limits: Outbox) -> Self {
        let mut queue =
            Self { limits, entries: VecDeque::new(), bytes: 0, sending: None, window: None };
        queue.set_limits(limits);
        queue
    }

    /// Changes the limits for messages that come later. No message that is kept is dropped.
    pub(crate) fn set_limits(&mut self, limits: Outbox) {
        self.limits = limits;
        let window = |(most, length)| Arc::new(Mutex::new(Window::new(most, length)));
        self.window = limits.pace.map(window);
    }

    /// Returns whether all messages of handles are queued.
    pub(crate) fn always(&self) -> bool {
        self.limits.always || self.limits.pace.is_some()
    }

    /// Counts what this connection sends, if there is a pace.
    pub(crate) fn watch(&self, sender: &Sender) {
        let Some(window) = self.window.clone() else { return };
        // `connect_with` may have logged in already.
        let sent = sender.counters().sent;
        let early = usize::try_from(sent.messages + sent.pings + sent.pongs).unwrap_or(usize::MAX);
        window.lock().note(early, Instant::now());
        let before = AtomicUsize::new(early);
        sender.on_sent(move |written| {
            // The calls come one after the other.
            let count = written.wrapping_sub(before.swap(written, Ordering::Relaxed));
            window.lock().note(count, Instant::now());
        });
    }

    /// Returns whether a message is being sent.
    pub(crate) fn is_sending(&self) -> bool {
        self.sending.is_some()
    }

    /// Returns whether a message waits.
    pub(crate) fn waits(&self) -> bool {
        !self.entries.is_empty()
    }

    /// Returns whether no message waits, and none is being sent.
    pub(crate) fn is_idle(&self) -> bool {
        self.len() == 0
    }

    /// Appends a message, and returns how many older ones were dropped for it.
    pub(crate) fn push(
        &mut self,
        message: Message,
        track: Option<&Arc<Track>>,
    ) -> Result<usize, (Message, NoRoom)> {
        let Outbox { max_messages, max_bytes, when_full, .. } = self.limits;
        let size = message.as_bytes().len();
        if size > max_bytes || max_messages == 0 {
            return Err((message, NoRoom::Ever));
        }
        // The message that is being sent cannot be dropped: there must be room beside it.
        let (sending, kept) = (usize::from(self.sending.is_some()), self.sending.unwrap_or(0));
        let droppable =
            when_full == WhenFull::DropOldest && sending < max_messages && kept <= max_bytes - size;
        let mut dropped = 0;
        while self.len() >= max_messages || self.bytes > max_bytes - size {
            let oldest = if droppable { self.entries.pop_front() } else { None };
            let Some(oldest) = oldest else { return Err((message, NoRoom::Now(when_full))) };
            self.bytes -= oldest.len();
            oldest.end(Fate::Dropped);
            dropped += 1;
        }
        self.bytes += size;
        self.entries.push_back(Entry { message, track: track.cloned() });
        Ok(dropped)
    }

    /// Returns when the oldest message may be sent.
    pub(crate) fn room(&self) -> Room {
        let room = |window: &Arc<Mutex<Window>>| window.lock().room(Instant::now());
        self.window.as_ref().map_or(Room::Now, room)
    }

    /// Takes the oldest message out, to send it.
    pub(crate) fn begin(&mut self) -> Option<Entry> {
        let entry = self.entries.pop_front()?;
        self.sending = Some(entry.len());
        if let Some(track) = &entry.track {
            track.sending();
        }
        Some(entry)
    }

    /// Notes that the message taken out by `begin` was sent.
    pub(crate) fn sent(&mut self, entry: &Entry) {
        self.bytes -= self.sending.take().unwrap_or(0);
        if entry.track.is_some() {
            entry.end(Fate::Sent { at: Instant::now() });
        }
    }

    /// Puts back the message taken out by `begin`, which could not be sent, as the oldest one. The
    /// connection had begun to take it if `begun`.
    pub(crate) fn failed(&mut self, entry: Entry, begun: bool) {
        self.sending = None;
        if let Some(track) = &entry.track {
            track.failed(begun);
        }
        self.entries.push_front(entry);
    }

    /// Takes out all messages that wait.
    pub(crate) fn take(&mut self) -> Vec<Message> {
        self.bytes = self.sending.unwrap_or(0);
        self.end_all(Fate::Taken);
        self.entries.drain(..).map(|entry| entry.message).collect()
    }

    /// Takes out the message that has this track, if it waits.
    pub(crate) fn cancel(&mut self, track: &Arc<Track>) -> Option<Message> {
        let is_it = |entry: &Entry| entry.track.as_ref().is_some_and(|own| Arc::ptr_eq(own, track));
        let at = self.entries.iter().position(is_it)?;
        let entry = self.entries.remove(at)?;
        self.bytes -= entry.len();
        entry.end(Fate::Taken);
        Some(entry.message)
    }

    /// Notes that no message will be sent any more. They stay, to be taken out.
    pub(crate) fn over(&mut self) {
        self.end_all(Fate::AppOver);
        self.entries.iter_mut().for_each(|entry| entry.track = None);
    }

    fn end_all(&self, fate: Fate) {
        self.entries.iter().for_each(|entry| entry.end(fate));
    }

    /// Returns how much there is, with the message that is being sent.
    pub(crate) fn backlog(&self) -> Backlog {
        Backlog { messages: self.len(), bytes: self.bytes }
    }

    /// Returns the number of messages, with the one that is being sent.
    pub(crate) fn len(&self) -> usize {
        self.entries.len() + usize::from(self.sending.is_some())
    }
}
