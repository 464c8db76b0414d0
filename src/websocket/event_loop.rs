//! Tells an event loop what to wait for, and until when.
//! `guide/event_loops.md` has the rules.

#[cfg(unix)]
use std::os::fd::BorrowedFd;
#[cfg(windows)]
use std::os::windows::io::BorrowedSocket;
use std::time::Instant;

use super::WebSocket;
use super::receiver::Receiver;
use crate::net::deadline::Deadline;

/// For [event loops](crate::guide::event_loops).
impl WebSocket {
    /// Returns the descriptor to wait for; see [`Receiver::fd`].
    #[cfg(unix)]
    #[must_use]
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.receiver.fd()
    }

    /// Returns the socket to wait for; see [`Receiver::socket`].
    #[cfg(windows)]
    #[must_use]
    pub fn socket(&self) -> Option<BorrowedSocket<'_>> {
        self.receiver.socket()
    }

    /// Returns whether `try_recv` may find something although the socket is not readable; see
    /// [`Receiver::has_more`].
    #[must_use]
    pub fn has_more(&self) -> bool {
        self.receiver.has_more()
    }

    /// Returns whether something waits until the socket is writable; see
    /// [`Receiver::wants_write`].
    #[must_use]
    pub fn wants_write(&self) -> bool {
        self.receiver.wants_write()
    }

    /// Returns when to call `try_recv` at the latest; see [`Receiver::call_by`].
    #[must_use]
    pub fn call_by(&self) -> Option<Instant> {
        self.receiver.call_by()
    }
}

/// For [event loops](crate::guide::event_loops).
impl Receiver {
    /// Returns the descriptor of the socket, to wait until it is readable or writable. `BorrowedFd`
    /// is `AsFd` and `AsRawFd`.
    ///
    /// Returns `None` for a [`Stream`](crate::stream::Stream) of your own that has none. With a
    /// proxy it is the descriptor of the connection to the proxy.
    ///
    /// Do not read or write it, and do not switch it to another mode. It stays open until the last
    /// half of the connection is dropped, also after the connection is over.
    #[cfg(unix)]
    #[must_use]
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.wire.duplex.stream().fd()
    }

    /// Returns the socket, to wait until it is readable or writable. `BorrowedSocket` is `AsSocket`
    /// and `AsRawSocket`.
    ///
    /// Returns `None` for a [`Stream`](crate::stream::Stream) of your own that has none. With a
    /// proxy it is the socket of the connection to the proxy.
    ///
    /// Do not read or write it, and do not switch it to another mode. It stays open until the last
    /// half of the connection is dropped, also after the connection is over.
    #[cfg(windows)]
    #[must_use]
    pub fn socket(&self) -> Option<BorrowedSocket<'_>> {
        self.wire.duplex.stream().socket()
    }

    /// Returns whether [`try_recv`](Self::try_recv) may find something although the socket is not
    /// readable: messages that were read together with the last one, TLS records, or bytes in the
    /// socket that no call has read yet.
    ///
    /// It is `false` once a read has found nothing. Part of a message may be buffered then, but its
    /// rest has not arrived. May be `true` although nothing is left; the next `try_recv` finds out
    /// and sets it to `false`.
    #[must_use]
    pub fn has_more(&self) -> bool {
        // After the peer's Close nothing more is read.
        self.closed().is_none() && self.answer_by.is_none() && !self.half.is_drained
    }

    /// Returns whether something waits until the socket is writable, because the system did not
    /// take all of it: the rest of a message of [`try_send`](crate::Sender::try_send), a Pong, a
    /// Close. Call [`try_recv`](Self::try_recv) then, until it finds nothing, or `try_send`: they
    /// write it.
    #[must_use]
    pub fn wants_write(&self) -> bool {
        self.wire.left.lock().blocked_since.is_some()
    }

    /// Returns the latest time for the next [`try_recv`](Self::try_recv), even if nothing arrives:
    /// then a ping is due, or the peer has not answered or not read in time. `None`: no limit.
    ///
    /// Ask again after each call that sends or receives, because the answer changes.
    #[must_use]
    pub fn call_by(&self) -> Option<Instant> {
        if self.closed().is_some() {
            return None;
        }
        let mut by = self.answer_by.unwrap_or_else(|| self.wire.close_state.close_at());
        // The closing handshake has a limit of its own, and no ping may follow our Close.
        if by == Deadline::NEVER && self.answer_by.is_none() {
            by = Deadline::at(self.timer.deadline());
        }
        if let Some(since) = self.wire.left.lock().blocked_since {
            by = by.min(Deadline::from(since, self.wire.timeouts.write));
        }
        by.moment()
    }
}
