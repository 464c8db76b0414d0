//! A connection while it is opened: one thread sends and receives in turn, until one deadline or an
//! abort from another thread.

use std::io;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use super::abort::AbortHandle;
use super::deadline::{Deadline, Grace};
use super::duplex::{Duplex, ReadHalf, Wait, WriteHalf, is_timeout};
use super::stream::Stream;
use super::tls;
use crate::error::{HeadError, TlsError};
use crate::proto::http::Response;
use crate::sync::now;

/// The limits of opening a connection: it fails at the deadline, or when the handle aborts it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opening<'a> {
    pub(crate) deadline: Deadline,
    pub(crate) abort: &'a AbortHandle,
}

/// A connected stream within the limits of [`Opening`].
#[derive(Debug)]
pub(crate) struct Exchange<'a> {
    duplex: Duplex,
    reading: ReadHalf,
    writing: WriteHalf,
    opening: Opening<'a>,
    /// After the deadline, what has arrived is still taken: the process may have been stopped.
    grace: Grace,
}

/// Says why an exchange with the server or a proxy failed.
#[derive(Debug)]
pub(crate) enum ExchangeError {
    /// The deadline has passed.
    Timeout,
    /// The peer ended the stream.
    Eof,
    Tls(TlsError),
    Io(io::Error),
    /// The answer is not HTTP, or too large.
    Head(HeadError),
    /// The interim responses before the answer are too many. Holds the last one.
    TooManyInterim(Response),
}

/// The longest wait without a look at the abort flag. On Unix an abort wakes a thread that blocks
/// in the stream. Windows does not do that, nor need a stream that the caller brought.
const ABORT_POLL: Duration = Duration::from_millis(50);

impl<'a> Exchange<'a> {
    /// Begins on a stream, without TLS over it.
    pub(crate) fn plain(stream: Arc<dyn Stream>, opening: Opening<'a>) -> Self {
        Self::new(Duplex::plain(stream), opening)
    }

    pub(crate) fn new(duplex: Duplex, opening: Opening<'a>) -> Self {
        let (reading, writing) = (ReadHalf::default(), WriteHalf::default());
        Self { duplex, reading, writing, opening, grace: Grace::after_wait() }
    }

    /// Sends all of `bytes`.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> Result<(), ExchangeError> {
        self.stage().extend_from_slice(bytes);
        Ok(self.flush()?)
    }

    /// Receives at least one byte and at most `most`, and appends them to `bytes`.
    pub(crate) fn receive(
        &mut self,
        bytes: &mut Vec<u8>,
        most: usize,
    ) -> Result<(), ExchangeError> {
        let mut buffer = [0; 4 * 1024];
        let most = most.min(buffer.len());
        match self.read(&mut buffer[..most])? {
            0 => Err(ExchangeError::Eof),
            len => {
                bytes.extend_from_slice(&buffer[..len]);
                Ok(())
            }
        }
    }

    /// Brings the deadline forward, to `timeout` from now at the latest. With zero nothing waits
    /// any more.
    pub(crate) fn shorten(&mut self, timeout: Duration) {
        self.opening.deadline = self.opening.deadline.min(Deadline::after(Some(timeout)));
    }

    /// Returns the buffer that the next [`flush`](Self::flush) writes.
    pub(crate) fn stage(&mut self) -> &mut Vec<u8> {
        self.duplex.stage(&mut self.writing)
    }

    /// Writes what was staged. [`is_timeout`] tells whether it failed because the deadline has
    /// passed. After an abort the error is
    /// [`ConnectionAborted`](io::ErrorKind::ConnectionAborted).
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        // A write that cannot be resumed must not time out before the deadline.
        let resumes = self.duplex.resumes_writes;
        loop {
            self.opening.check_abort()?;
            let wait =
                if resumes { self.opening.poll() } else { Wait::Until(self.opening.deadline) };
            match self.duplex.flush(&mut self.writing, wait, now()) {
                Err(error)
                    if error.kind() == io::ErrorKind::WouldBlock
                        && !self.opening.deadline.is_past() => {}
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                    self.duplex.stop_writes(); // A part may have been taken.
                    return Err(error);
                }
                flushed => return flushed,
            }
        }
    }

    /// Reads at least one byte; `Ok(0)` is the end of the stream. Fails like
    /// [`flush`](Self::flush).
    pub(crate) fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            self.opening.check_abort()?;
            // The peer may wait for this output. An answer that is there tells more than an error.
            let is_pending = mem::take(&mut self.reading.tls_pending);
            let flushed = if is_pending { self.flush() } else { Ok(()) };
            let is_late = self.opening.deadline.is_past();
            if is_late && self.grace.is_over() {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let wait = if is_late { Wait::Not } else { self.opening.poll() };
            match self.duplex.read(&mut self.reading, buf, wait) {
                Err(error)
                    if error.kind() == io::ErrorKind::WouldBlock
                        && (!is_late || self.reading.tls_pending) =>
                {
                    flushed?;
                }
                read => return read,
            }
        }
    }

    /// Ends TLS, if there is any, by `close_notify` (RFC 8446 section 6.1). Waits for nothing.
    pub(crate) fn end_tls(mut self) {
        if self.duplex.is_tls() {
            self.duplex.finish(&mut self.writing);
        }
    }

    /// Returns what the open connection goes on with.
    pub(crate) fn into_parts(self) -> (Duplex, ReadHalf) {
        (self.duplex, self.reading)
    }
}

impl Opening<'_> {
    fn poll(self) -> Wait {
        Wait::Until(self.deadline.min(Deadline::after(Some(ABORT_POLL))))
    }

    fn check_abort(self) -> io::Result<()> {
        if self.abort.is_aborted() {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Ok(())
    }
}

impl From<io::Error> for ExchangeError {
    fn from(error: io::Error) -> Self {
        if is_timeout(&error) {
            return Self::Timeout;
        }
        match tls::error_within(error) {
            Ok(error) => Self::Tls(TlsError::new(error)),
            Err(error) => Self::Io(error),
        }
    }
}
