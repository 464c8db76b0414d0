//! One system call of a [`Duplex`]. The call waits for the timeout of the socket, or not at all.

use std::io;
use std::time::{Duration, Instant};

use super::{Duplex, Wait};
use crate::sync::{now, yield_now};

/// The most attempts of a call that must not block, if signals interrupt it.
const MAX_INTERRUPTIONS: usize = 8;

impl Duplex {
    /// Makes one system call, which begins now and blocks as long as `wait` allows; `arm` sets the
    /// timeout of the socket. Fails with [`io::ErrorKind::WouldBlock`] when the wait is over, or a
    /// little earlier: the caller looks at the clock, and at whether the connection should be over.
    #[inline]
    pub(super) fn call(
        &self,
        began: Instant,
        wait: Wait,
        armed: &mut Armed,
        arm: impl Fn(Option<Duration>) -> io::Result<()>,
        mut call: impl FnMut() -> io::Result<usize>,
    ) -> io::Result<usize> {
        let done = match wait.timeout(began) {
            None => self.unblocked(&mut call),
            Some(timeout) => match armed.arm(timeout, &arm) {
                Ok(()) => call().or_else(|error| match error.kind() {
                    io::ErrorKind::WouldBlock if self.block()? => {
                        if !self.polls_writes {
                            yield_now(); // A polled write would switch the mode meanwhile.
                        }
                        // It may have waited all the same, and the mode was switched meanwhile.
                        let Some(timeout) = wait.timeout(now()) else { return Err(error) };
                        armed.arm(timeout, &arm)?;
                        call()
                    }
                    _ => Err(error),
                }),
                // macOS and illumos refuse to set a timeout once the peer is gone, although its
                // last bytes may still wait to be read. These come before the error.
                Err(failed) => self.unblocked(&mut call).map_err(|error| match error.kind() {
                    io::ErrorKind::WouldBlock => failed,
                    _ => error,
                }),
            },
        };
        let done = done.or_else(|error| match error.kind() {
            // The process may have been stopped for longer than the wait. The peer may have sent,
            // or made room, meanwhile.
            io::ErrorKind::Interrupted if wait.is_over() => self.unblocked(&mut call),
            _ => Err(error),
        });
        done.map_err(|error| match error.kind() {
            io::ErrorKind::Interrupted => io::ErrorKind::WouldBlock.into(),
            io::ErrorKind::TimedOut if !is_fatal(&error, *armed, now() - began) => {
                io::ErrorKind::WouldBlock.into()
            }
            _ => error,
        })
    }

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
}

/// The timeout that is set on the socket; `None` if it is not known.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Armed(pub(super) Option<Option<Duration>>);

impl Armed {
    /// Sets the timeout of the socket, but only if the present one would fire too late or much too
    /// early: that saves a system call for most reads.
    #[inline]
    fn arm(
        &mut self,
        timeout: Option<Duration>,
        set: impl FnOnce(Option<Duration>) -> io::Result<()>,
    ) -> io::Result<()> {
        if self.0 == Some(timeout) {
            return Ok(());
        }
        let fits = match (self.0, timeout) {
            // If it fires early, the caller looks at the clock and calls again.
            (Some(Some(armed)), Some(timeout)) => armed <= timeout + SLACK && armed >= timeout / 2,
            _ => false,
        };
        if !fits {
            self.0 = None;
            set(timeout)?;
            self.0 = Some(timeout);
        }
        Ok(())
    }
}

/// A timeout may be this much longer than asked for: sockets are no more exact anyway.
const SLACK: Duration = Duration::from_millis(1);

/// Returns whether `error`, of kind `TimedOut`, says that the system has given up the connection,
/// and not that the socket's timeout has passed. Unix has different numbers for the two (ETIMEDOUT
/// and EAGAIN). Windows has one (WSAETIMEDOUT): there the connection is given up if the error comes
/// too early for the timeout.
fn is_fatal(error: &io::Error, armed: Armed, took: Duration) -> bool {
    let early = || !matches!(armed.0, Some(Some(armed)) if took >= armed / 2);
    error.raw_os_error().is_some() && (cfg!(unix) || early())
}
