//! What waits to be sent while an `App` has no connection: bounded, in order.

use std::collections::VecDeque;

use crate::proto::message::Message;

/// Keeps what is sent with a [`Handle`](crate::Handle) while there is no connection, and sends it,
/// in order, after the next [`on_open`](crate::Handler::on_open). Default: at most 1,024 messages
/// and 1 MiB; what does not fit is rejected. Give it to [`App::outbox`](crate::App::outbox).
#[derive(Clone, Copy, Debug)]
pub struct Outbox {
    max_messages: usize,
    max_bytes: usize,
    when_full: WhenFull,
}

/// What becomes of a message that does not fit into the [`Outbox`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhenFull {
    /// It is given back in the error.
    #[default]
    Reject,
    /// The caller waits until it fits or the App is over; on the App's own thread, where that
    /// would be for ever, it is rejected. The App must run, or be about to on another thread.
    Block,
    /// The oldest messages make room, and are counted.
    DropOldest,
}

impl Default for Outbox {
    fn default() -> Self {
        Self { max_messages: 1024, max_bytes: 1 << 20, when_full: WhenFull::Reject }
    }
}

impl Outbox {
    /// All defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The most messages. Default: 1,024.
    #[must_use]
    pub fn max_messages(mut self, messages: usize) -> Self {
        self.max_messages = messages;
        self
    }

    /// The most bytes of all messages together. Default: 1 MiB.
    #[must_use]
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// What becomes of what does not fit. Default: it is rejected.
    #[must_use]
    pub fn when_full(mut self, when_full: WhenFull) -> Self {
        self.when_full = when_full;
        self
    }
}

/// The messages of an outbox.
#[derive(Debug)]
pub(crate) struct Queue {
    limits: Outbox,
    messages: VecDeque<Message>,
    /// Of the messages, and of the one that is being sent.
    bytes: usize,
    /// The size of the message that is being sent.
    sending: Option<usize>,
}

/// Why a message was not taken.
#[derive(Debug)]
pub(crate) enum NoRoom {
    /// It is larger than the whole outbox.
    Ever,
    Now(WhenFull),
}

impl Queue {
    pub(crate) fn new(limits: Outbox) -> Self {
        Self { limits, messages: VecDeque::new(), bytes: 0, sending: None }
    }

    /// Changes the limits for what comes later: nothing that is kept is dropped by it.
    pub(crate) fn set_limits(&mut self, limits: Outbox) {
        self.limits = limits;
    }

    /// Whether nothing waits, and nothing is being sent.
    pub(crate) fn is_idle(&self) -> bool {
        self.messages.is_empty() && self.sending.is_none()
    }

    /// Appends a message, and says how many older ones were dropped for it.
    pub(crate) fn push(&mut self, message: Message) -> Result<usize, (Message, NoRoom)> {
        let Outbox { max_messages, max_bytes, when_full } = self.limits;
        let size = message.as_bytes().len();
        if size > max_bytes || max_messages == 0 {
            return Err((message, NoRoom::Ever));
        }
        // The one that is being sent cannot be dropped any more: beside it there must be room.
        let (sending, kept) = (usize::from(self.sending.is_some()), self.sending.unwrap_or(0));
        let droppable =
            when_full == WhenFull::DropOldest && sending < max_messages && kept <= max_bytes - size;
        let mut dropped = 0;
        while self.len() >= max_messages || self.bytes > max_bytes - size {
            let oldest = if droppable { self.messages.pop_front() } else { None };
            let Some(oldest) = oldest else { return Err((message, NoRoom::Now(when_full))) };
            self.bytes -= oldest.as_bytes().len();
            dropped += 1;
        }
        self.bytes += size;
        self.messages.push_back(message);
        Ok(dropped)
    }

    /// Takes the oldest message out, to send it.
    pub(crate) fn begin(&mut self) -> Option<Message> {
        let message = self.messages.pop_front()?;
        self.sending = Some(message.as_bytes().len());
        Some(message)
    }

    /// The message is sent.
    pub(crate) fn sent(&mut self) {
        self.bytes -= self.sending.take().unwrap_or(0);
    }

    /// The message could not be sent: it is the oldest again.
    pub(crate) fn failed(&mut self, message: Message) {
        self.sending = None;
        self.messages.push_front(message);
    }

    /// Takes out all that wait.
    pub(crate) fn take(&mut self) -> Vec<Message> {
        self.bytes = self.sending.unwrap_or(0);
        self.messages.drain(..).collect()
    }

    fn len(&self) -> usize {
        self.messages.len() + usize::from(self.sending.is_some())
    }
}
