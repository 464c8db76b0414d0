//! Writing one message in fragments.

use std::fmt;
use std::io;

use super::fair_lock::FairGuard;
use super::outgoing::{Flush, Outgoing};
use super::wire::Wire;
use super::write_lock::CHUNK;
use crate::error::{Error, InvalidInput};
use crate::log::SentLogGuard;
use crate::proto::message::MessageKind;
use crate::proto::utf8::Utf8;

/// Writes one message in fragments (RFC 6455 section 5.4).
/// [`Sender::writer`](crate::Sender::writer) makes the writer. `flush` ends a fragment, and
/// [`finish`](Self::finish) ends the message.
///
/// A fragment is sent for each 64 KiB, and for each `flush`. A fragment of text that was not
/// flushed ends between two characters: RFC 6455 section 5.6 allows others, but some peers refuse
/// them. `flush` ends a fragment where it is called.
///
/// # Dropping a writer without `finish`
///
/// If no fragment was sent, the message is forgotten, and the connection goes on. If a fragment was
/// sent, the connection is closed with 1011, so that the peer does not take the part for the whole
/// message. An [`App`](crate::App) connects again after that.
///
/// While another thread is receiving, or after the receiver is dropped, dropping the writer waits
/// until the peer takes that Close, for at most `close_timeout`. Otherwise it does not wait, and
/// the next call that receives sends what the peer did not take at once.
///
/// # Examples
///
/// ```no_run
/// use std::io::Write as _;
///
/// let ws = landline::connect("wss://example.com/log")?;
/// let mut writer = ws.writer(landline::MessageKind::Text)?;
/// writer.write_all(b"the beginning, ")?;
/// writer.flush()?; // The peer gets this much now.
/// writer.write_all(b"and the end")?;
/// writer.finish()?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// A write or a `flush` fails with the same [`Error`]s as [`Sender::send`](crate::Sender::send),
/// within an `io::Error`: `get_ref` and `downcast` give it. There are two more:
///
/// * An error of the kind `InvalidData`, without an [`Error`] within: the text is not UTF-8. The
///   bytes of this call do not become part of the message, and the message may go on.
/// * [`InvalidInput::GivenUp`]: an earlier fragment was not sent, so the message was given up.
#[must_use]
pub struct MessageWriter<'a> {
    // Fields are dropped in this order: an abandoned message is dealt with before the next message
    // can begin.
    pub(super) outgoing: Outgoing<'a>,
    _lock: FairGuard<'a>,
    kind: MessageKind,
    utf8: Utf8,
    buffer: Vec<u8>,
    /// Dropped after the lock.
    _log: SentLogGuard<'a>,
}

impl<'a> MessageWriter<'a> {
    pub(super) fn new(wire: &'a Wire, kind: MessageKind) -> Result<Self, Error> {
        let lock = wire.lock_message()?;
        let outgoing = Outgoing::new(wire, kind, None);
        let (utf8, buffer, log) = (Utf8::default(), Vec::new(), wire.sent_log.guard());
        Ok(Self { outgoing, _lock: lock, kind, utf8, buffer, _log: log })
    }

    /// Ends the message. Returns when the system has taken all of it.
    ///
    /// # Errors
    /// The same as [`Sender::send`](crate::Sender::send), and two more. The connection goes on
    /// after these two:
    ///
    /// * [`InvalidInput::Text`]: the text ends within a character.
    /// * [`InvalidInput::GivenUp`]: an earlier fragment was not sent.
    ///
    /// If a part of the message was sent before, a message that cannot be ended closes the
    /// connection with 1011. The error is [`Error::Closed`] then, and its
    /// [`local`](crate::Closed::local) Close says why.
    pub fn finish(mut self) -> Result<(), Error> {
        if self.utf8.finish().is_err() {
            let closed = self.outgoing.abandon("the text ends within a character");
            return Err(closed.unwrap_or_else(|| InvalidInput::Text.into()));
        }
        self.outgoing.write(&self.buffer, Flush::Finish)
    }

    fn pass_on(&mut self, flush: Flush) -> io::Result<()> {
        // Some peers refuse a fragment that ends within a character (Qt 6.4 closes with 1007). A
        // `flush` of the caller ends the fragment there all the same.
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
            // Bytes that are refused do not become part of the message.
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
