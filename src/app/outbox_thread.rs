//! The thread that empties the outbox of an App.
//!
//! It is started when a connection is open and something waits. It ends when nothing waits or the
//! connection is over, so an idle App has no such thread. If all messages are queued, by
//! [`Outbox::always_queue`](super::outbox::Outbox::always_queue) or
//! [`Outbox::pace`](super::outbox::Outbox::pace), it waits for more instead, and ends with the App.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::outbox::{Entry, Queue};
use super::pace::Room;
use super::shared::{Shared, State};
use crate::error::{Error, Timeout};
use crate::proto::message::Message;
use crate::websocket::sender::Sender;

/// The pause after other threads have kept the outbox from sending.
const BUSY_PAUSE: Duration = Duration::from_millis(10);

impl Shared {
    /// Notes that `on_open` has returned for this connection, so that other threads may send.
    /// Starts the thread of the outbox if there is something for it to do.
    pub(crate) fn opened(self: &Arc<Self>, sender: &Sender) -> io::Result<()> {
        let last = {
            let mut state = self.lock();
            if !state.sender.as_ref().is_some_and(|open| open.is_same(sender)) {
                return Ok(()); // A later connection is open, which this says nothing about.
            }
            state.opening = false;
            let has_work = |outbox: &_| Queue::always(outbox) || !Queue::is_idle(outbox);
            // While there is an old connection, the outbox waits for its end.
            if state.outbox_runs
                || state.old.is_some()
                || !state.outbox.as_deref().is_some_and(has_work)
            {
                drop(state);
                self.changed.notify_all(); // The thread waits for a connection.
                return Ok(());
            }
            state.outbox_runs = true;
            state.outbox_thread.take()
        };
        let _ = last.map(JoinHandle::join); // It has ended, or is about to.
        let shared = self.clone();
        let thread = thread::Builder::new().name("landline-outbox".to_owned());
        let thread = thread.spawn(move || shared.empty_outbox());
        let mut state = self.lock();
        match thread {
            Ok(thread) => state.outbox_thread = Some(thread),
            Err(error) => {
                state.outbox_runs = false;
                return Err(error);
            }
        }
        Ok(())
    }

    /// Sends what is in the outbox. It decides to end while it holds the lock, so that no message
    /// is left behind.
    fn empty_outbox(&self) {
        let mut state = self.lock();
        loop {
            let (sender, entry) = match state.next() {
                Work::Send(sender, entry) => (sender, entry),
                Work::Wait => {
                    state = self.changed.wait(state);
                    continue;
                }
                Work::WaitUntil(at) => {
                    let left = at.saturating_duration_since(Instant::now());
                    state = self.changed.wait_timeout(state, left);
                    continue;
                }
                Work::End => break,
            };
            drop(state);
            let attempt = SendResult::make(sender, &entry.message);
            state = self.lock();
            let over = state.over;
            if let Some(outbox) = &mut state.outbox {
                match attempt {
                    SendResult::Sent => outbox.sent(&entry),
                    SendResult::Busy | SendResult::Failed => {
                        outbox.failed(entry, attempt == SendResult::Failed);
                    }
                }
                if over {
                    // Nobody may have waited for this thread.
                    outbox.over();
                }
            }
            self.changed.notify_all();
            if attempt == SendResult::Busy {
                // Try again, but not at once: `write_timeout` may be very short.
                state = self.changed.wait_timeout(state, BUSY_PAUSE);
            }
        }
        state.outbox_runs = false;
    }
}

/// Says what the thread of the outbox does next.
enum Work {
    Send(Sender, Entry),
    /// Waits until something changes.
    Wait,
    /// Waits until the pace allows a message, or something changes.
    WaitUntil(Instant),
    End,
}

impl State {
    fn next(&mut self) -> Work {
        let sender = self.common_sender().cloned();
        let Some(outbox) = &mut self.outbox else { return Work::End };
        if self.stopping || self.over {
            return Work::End;
        }
        let Some(sender) = sender.filter(|_| outbox.waits()) else {
            return if outbox.always() { Work::Wait } else { Work::End };
        };
        match outbox.room() {
            Room::Never => Work::Wait,
            Room::At(at) => Work::WaitUntil(at),
            Room::Now => outbox.begin().map_or(Work::Wait, |entry| Work::Send(sender, entry)),
        }
    }
}

/// Tells what became of a message of the outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SendResult {
    Sent,
    /// Other threads were sending all the time. Nothing was sent, and the connection goes on.
    Busy,
    /// The connection is over.
    Failed,
}

impl SendResult {
    /// Sends a message. A stream or a logger of the caller may panic; then the connection ends, and
    /// the message is kept.
    fn make(sender: Sender, message: &Message) -> Self {
        let mut attempt = Self::Failed;
        unless_it_panics(|| {
            attempt = match sender.send(message) {
                Ok(()) => Self::Sent,
                Err(Error::Timeout(Timeout::Busy)) if sender.is_open() => Self::Busy,
                Err(_) => Self::Failed,
            };
        });
        // It is open if the message cannot be sent: the system has no randomness, for example.
        if attempt == Self::Failed && sender.is_open() {
            unless_it_panics(|| sender.give_up("cannot send"));
        }
        // Dropping the last sender of a connection ends its stream.
        unless_it_panics(|| drop(sender));
        attempt
    }
}

/// Calls code that may be the caller's. The panic hook has reported a panic, and the thread goes
/// on.
fn unless_it_panics(call: impl FnOnce()) {
    let _ = catch_unwind(AssertUnwindSafe(call));
}
