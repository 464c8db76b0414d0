//! Calls of a [`Duplex`] that must not block, and the writes on Windows that are made of them.

use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Duplex, Wait, would_block};
use crate::net::stream::Stream;
use crate::sync;

/// The most attempts of a call that must not block, if signals interrupt it.
const MAX_INTERRUPTIONS: usize = 8;
/// The number of bytes that are discarded at the end of a connection.
const DISCARD: usize = 1 << 20;
/// The pause of a write on Windows before it tries again: first, and after some attempts. A peer
/// that reads fast gets 64 KiB in each of the first pauses.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LAST_PAUSE: Duration = Duration::from_millis(10);

impl Duplex {
    /// Makes one call that does not block.
    #[cold]
    pub(super) fn unblocked(
        &self,
        mut call: impl FnMut() -> io::Result<usize>,
    ) -> io::Result<usize> {
        let mut is_nonblocking = self.is_nonblocking.lock();
        if !*is_nonblocking {
            self.stream.set_nonblocking(true)?;
            *is_nonblocking = true;
        }
        let interrupted = |error: &io::Error| error.kind() == io::ErrorKind::Interrupted;
        let mut calls = (0..MAX_INTERRUPTIONS).map(|_| call());
        let done = calls.find(|done| !done.as_ref().is_err_and(interrupted));
        done.unwrap_or_else(|| Err(io::ErrorKind::WouldBlock.into()))
    }

    /// Discards what has arrived, without waiting. Closing a socket with unread bytes would reset
    /// the connection, and the peer might not get what is on its way. Nothing is decrypted, so
    /// nothing can be read after this.
    pub(crate) fn discard(&self) {
        let mut buffer = [0; 4 * 1024];
        let mut len = 0;
        while len < DISCARD {
            match self.unblocked(|| self.stream.read(&mut buffer)) {
                Ok(read @ 1..) => len = len.saturating_add(read),
                Ok(0) | Err(_) => return,
            }
        }
    }

    /// Switches the stream back to blocking mode, and returns whether it was in non-blocking mode.
    #[cold]
    pub(super) fn block(&self) -> io::Result<bool> {
        let mut is_nonblocking = self.is_nonblocking.lock();
        let was_nonblocking = *is_nonblocking;
        if was_nonblocking {
            self.stream.set_nonblocking(false)?;
            *is_nonblocking = false;
        }
        Ok(was_nonblocking)
    }

    /// Writes some of `rest`, and waits for room by trying again and again. On Windows a shutdown
    /// of a socket does not wake a thread that is blocked in a write, and nobody knows how much was
    /// taken by a write that times out. A call that does not block always says what it took.
    pub(super) fn write_polled(&self, rest: &[u8], wait: Wait) -> io::Result<usize> {
        let mut pause = FIRST_PAUSE;
        while !self.is_shut.load(Ordering::SeqCst) {
            let written = self.unblocked(|| self.stream.write(rest));
            let left = match wait.timeout(sync::now()) {
                Some(left) if would_block(&written) => left,
                _ => return written,
            };
            sync::sleep(left.map_or(pause, |left| left.min(pause)));
            pause = (pause * 2).min(LAST_PAUSE);
        }
        Err(io::ErrorKind::NotConnected.into())
    }
}

/// Returns whether the stream is a socket of Windows, or a stream of the caller that has one.
#[cfg(windows)]
pub(super) fn polls_writes(stream: &dyn Stream) -> bool {
    !stream.resumes_writes() && stream.socket().is_some()
}

#[cfg(not(windows))]
pub(super) fn polls_writes(_: &dyn Stream) -> bool {
    false
}
