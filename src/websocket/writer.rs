//! Writing one message in fragments.

use std::fmt;
use std::io;

use super::fair_lock::FairGuard;
use super::outgoing::{Flush, Outgoing};
use super::wire::{CHUNK, LogsSent, Wire};
use crate::error::{Error, InvalidInput};
use crate::proto::message::MessageKind;
use crate::proto::utf8::Utf8;

/// Writes one message in fragments: [`Sender::writer`](crate::Sender::writer). `flush` ends a fragment;
/// [`finish`](Self::finish) ends the message.
///
/// Without a `flush`, a fragment is sent for each 64 KiB. Such a fragment of text ends between two
/// characters: RFC 6455 section 5.6 allows others, but some peers refuse them. `flush` ends a
/// fragment where it is called.
///
/// A failed write returns the [`Error`] within an `io::Error`: `get_ref` and `downcast` give it.
/// Only for text that is not UTF-8 there is none; the kind is `InvalidData` then.
///
/// If it is dropped without `finish` after a part was sent, the connection is closed with 1011, so
/// that the peer does not take the part for the whole. While another thread is receiving, or after
/// the receiver is dropped, dropping the writer waits until the peer takes that Close, at most for
/// `close_timeout`. Otherwise it does not wait, and the next call that receives sends what the peer
/// did not take at once. An [`App`](crate::App) connects again after that.
#[must_use]
pub struct MessageWriter<'a> {
    // Dropped in this order: an abandoned message is dealt with before the next one can begin.
    pub(super) outgoing: Outgoing<'a>,
    _lock: FairGuard<'a>,
    kind: MessageKind,
    utf8: Utf8,
    buffer: Vec<u8>,
    /// Dropped after the lock.
    _log: LogsSent<'a>,
}

impl<'a> MessageWriter<'a> {
    pub(super) fn new(wire: &'a Wire, kind: MessageKind) -> Result<Self, Error> {
        let lock = wire.lock_message()?;
        let outgoing = Outgoing::new(wire, kind, None);
        let (utf8, buffer, log) = (Utf8::default(), Vec::new(), wire.logs_sent());
        Ok(Self { outgoing, _lock: lock, kind, utf8, buffer, _log: log })
    }

    /// Ends the message.
    ///
    /// # Errors
    /// As [`Sender::send`](crate::Sender::send); [`InvalidInput::Text`] when a text message ends within a character, and
    /// nothing of it was sent. The connection stays usable then.
    ///
    /// When a part of it was sent already, a message that cannot be ended leaves nothing but to
    /// close the connection, with 1011: that is [`Error::Closed`], whose
    /// [`local`](crate::Closed::local) Close says why.
    pub fn finish(mut self) -> Result<(), Error> {
        if self.utf8.finish().is_err() {
            let closed = self.outgoing.abandon("the text ends within a character");
            return Err(closed.unwrap_or_else(|| InvalidInput::Text.into()));
        }
        self.outgoing.write(&self.buffer, Flush::Finish)
    }

    fn pass_on(&mut self, flush: Flush) -> io::Result<()> {
        // Some peers take no fragment that ends within a character (Qt 6.4 closes with 1007). Where
        // the caller flushes is the caller's choice.
        let held = if flush == Flush::None { self.utf8.incomplete() } else { 0 };
        let len = self.buffer.len() - held;
        let done = self.outgoing.write(&self.buffer[..len], flush);
        self.buffer.drain(..len);
        Ok(done?)
    }
}

impl io::Write for MessageWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = CHUNK - self.buffer.len();
        let bytes = &bytes[..bytes.len().min(room)];
        if self.kind == MessageKind::Text {
            // Bytes that are refused are as if they had not been written.
            let mut utf8 = self.utf8.clone();
            utf8.check(bytes).map_err(|_| not_utf8())?;
            self.utf8 = utf8;
        }
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() == CHUNK {
            self.pass_on(Flush::None)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.pass_on(Flush::Sync)
    }
}

impl fmt::Debug for MessageWriter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageWriter").field("kind", &self.kind).finish_non_exhaustive()
    }
}

fn not_utf8() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "text must be UTF-8")
}
