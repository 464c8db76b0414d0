//! Two ways to receive: message after message, and one message as it arrives.

use std::fmt;
use std::io;

use super::receiver::{Receiver, RecvDeadline};
use crate::error::{Cause, Closed, Error, Side};
use crate::proto::close::CloseCode;
use crate::proto::message::{Message, MessageKind};
use crate::proto::recv::{DeliveryMode, Found};

/// Iterates over the messages of a connection. [`Receiver::messages`] makes the iterator, and says
/// how it ends.
#[derive(Debug)]
pub struct Messages<'a> {
    receiver: &'a mut Receiver,
    over: bool,
}

impl<'a> Messages<'a> {
    pub(super) fn new(receiver: &'a mut Receiver) -> Self {
        Self { receiver, over: false }
    }
}

impl Iterator for Messages<'_> {
    type Item = Result<Message, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let received = self.receiver.recv();
        if let Err(error) = &received {
            self.over = true;
            if error.closed().is_some_and(is_complete) {
                return None;
            }
        }
        Some(received)
    }
}

/// Returns whether no message is missing: the peer closed with a good code, or answered a Close
/// that the user asked for. Our answer to the peer's Close need not have been written.
fn is_complete(closed: &Closed) -> bool {
    let good = [CloseCode::NORMAL, CloseCode::GOING_AWAY, CloseCode::NO_STATUS];
    let by_peer = closed.initiator() == Some(Side::Peer) && good.contains(&closed.code());
    let was_answered = closed.is_asked_for_here() && closed.peer().is_some();
    matches!(closed.cause(), Cause::Close) && (by_peer || was_answered)
}

/// Reads one message as it arrives. [`Receiver::reader`] makes the reader. `read` returns 0 at the
/// end of the message.
///
/// If the reader is dropped before the end of the message, the next call that receives skips the
/// rest. Only [`next_event`](Receiver::next_event) returns the rest as fragments, if
/// [`fragments`](crate::Builder::fragments) is on.
///
/// # Examples
///
/// ```no_run
/// use std::io::{BufRead as _, BufReader};
///
/// let mut ws = landline::connect("wss://example.com/log")?;
/// // One long message, line by line.
/// for line in BufReader::new(ws.reader()?).lines() {
///     println!("{}", line?);
/// }
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// A read fails with the same [`Error`]s as [`Receiver::recv`], within an `io::Error`: `get_ref`
/// and `downcast` give it. Text that is not UTF-8 is [`Error::Protocol`].
pub struct MessageReader<'a> {
    receiver: &'a mut Receiver,
    kind: MessageKind,
    fragment: Vec<u8>,
    at: usize,
    last: bool,
}

impl<'a> MessageReader<'a> {
    /// Begins with the first fragment.
    pub(super) fn new(
        receiver: &'a mut Receiver,
        kind: MessageKind,
        fragment: Vec<u8>,
        last: bool,
    ) -> Self {
        Self { receiver, kind, fragment, at: 0, last }
    }

    /// Returns whether the message is text or binary. Text is checked to be UTF-8, unless
    /// [`unchecked_text`](crate::Builder::unchecked_text) is on. One read may end within a
    /// character.
    #[must_use]
    pub fn kind(&self) -> MessageKind {
        self.kind
    }
}

impl fmt::Debug for MessageReader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageReader").field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl io::Read for MessageReader<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.at == self.fragment.len() && !self.last && !buf.is_empty() {
            let found = self.receiver.next(DeliveryMode::Fragments, &mut RecvDeadline::endless());
            if let Found::Fragment { last, .. } = found? {
                self.fragment.clear();
                self.fragment.extend_from_slice(self.receiver.decoder.fragment().data);
                self.at = 0;
                self.last = last;
            }
        }
        let rest = &self.fragment[self.at..];
        let len = rest.len().min(buf.len());
        buf[..len].copy_from_slice(&rest[..len]);
        self.at += len;
        Ok(len)
    }
}
