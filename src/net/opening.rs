//! What bounds the steps of opening a connection: one deadline, and an abort from another thread.

use std::io;
use std::time::Duration;

use super::abort::AbortHandle;
use super::deadline::Deadline;
use super::duplex::{Duplex, ReadHalf, Wait, WriteHalf};

/// The longest wait without a look at the abort flag. Shutting the stream down wakes who blocks in
/// it on Unix; Windows does not promise that, nor does a stream that the caller brought.
const LOOK: Duration = Duration::from_millis(50);

/// The limits of opening a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opening<'a> {
    pub(crate) deadline: Deadline,
    pub(crate) abort: &'a AbortHandle,
}

impl Opening<'_> {
    /// Reads at least one byte; `Ok(0)` is the end of the stream. Fails with
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) when the deadline has passed, and with
    /// [`ConnectionAborted`](io::ErrorKind::ConnectionAborted) after an abort.
    pub(crate) fn read(
        self,
        duplex: &Duplex,
        half: &mut ReadHalf,
        buf: &mut [u8],
    ) -> io::Result<usize> {
        loop {
            self.check_abort()?;
            if self.deadline.is_past() {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            match duplex.read(half, buf, self.soon()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
        }
    }

    /// Writes all that was staged. Fails as [`read`](Self::read) does, or as [`Duplex::flush`].
    pub(crate) fn flush(self, duplex: &Duplex, half: &mut WriteHalf) -> io::Result<()> {
        // A write that cannot be resumed must not time out before the deadline.
        let resumes = duplex.stream().resumes_writes();
        loop {
            self.check_abort()?;
            let wait = if resumes { self.soon() } else { Wait::Until(self.deadline) };
            match duplex.flush(half, wait) {
                Err(error)
                    if error.kind() == io::ErrorKind::WouldBlock && !self.deadline.is_past() => {}
                flushed => return flushed,
            }
        }
    }

    fn soon(self) -> Wait {
        Wait::Until(self.deadline.min(Deadline::after(Some(LOOK))))
    }

    fn check_abort(self) -> io::Result<()> {
        if self.abort.is_aborted() {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Ok(())
    }
}
