//! A stream that is read and written at the same time from different threads, plain or TLS.
//!
//! ```text
//! reader:  socket.read(cipher)                    blocks, holds no lock
//!          lock tls -> decrypt the records in `cipher`, take their plaintext -> unlock
//! writer:  lock tls -> encrypt into a Vec -> unlock -> socket.write
//! ```
//! The TLS lock is never held during a system call. The caller keeps the writers apart by a lock of
//! its own, which is taken before the TLS lock.

mod memory;
mod nonblocking;
mod tls;

use std::fmt;
use std::io;
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::deadline::Deadline;
use super::stream::{Stream, shut_down};
use super::tls::{Cipher, Session};
use crate::sync::{self, AtomicBool, Mutex, yield_now};

/// The time that a system call may wait.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wait {
    /// It must not block.
    Not,
    /// It blocks until the deadline at most.
    Until(Deadline),
    /// It blocks for this time at most, since this moment. `None` is no limit.
    For(Option<Duration>, Instant),
}

impl Wait {
    fn is_over(self) -> bool {
        match self {
            Self::Not => true,
            Self::Until(deadline) => deadline.is_past(),
            Self::For(limit, since) => Deadline::from(since, limit).is_past(),
        }
    }

    /// Returns the timeout of a call that begins `now`. `Some(None)` is no limit; `None` says that
    /// the call must not block.
    #[inline]
    fn timeout(self, now: Instant) -> Option<Option<Duration>> {
        let remaining = match self {
            Self::Not => return None,
            Self::Until(deadline) => deadline.remaining(now),
            Self::For(limit, since) if since == now => limit,
            Self::For(limit, since) => Deadline::from(since, limit).remaining(now),
        };
        (remaining != Some(Duration::ZERO)).then_some(remaining)
    }
}

/// A stream, plain or with TLS over it.
pub(crate) struct Duplex {
    stream: Arc<dyn Stream>,
    /// A write whose wait is over fails with [`io::ErrorKind::WouldBlock`], and the next one goes
    /// on with what is not written yet. See [`Stream::resumes_writes`].
    pub(crate) resumes_writes: bool,
    /// A write that waits is made of calls that do not block. See [`Duplex::write_polled`].
    polls_writes: bool,
    pub(crate) tls: Option<Session>,
    /// The stream is in non-blocking mode. It stays so after a call that must not block, so that a
    /// loop of such calls does not switch twice for each. A call that may block, and fails because
    /// of the mode, switches back and tries again. The lock is held while the mode is switched, and
    /// during each call that must not block.
    is_nonblocking: Mutex<bool>,
    /// Nothing is written any more, whatever the stream makes of its shutdown.
    is_shut: AtomicBool,
}

/// The state of the one reader.
#[derive(Debug, Default)]
pub(crate) struct ReadHalf {
    armed: Armed,
    cipher: Cipher,
    /// TLS has output to send, an alert for example. The caller resets this, and flushes.
    pub(crate) tls_pending: bool,
    /// Bytes came from the socket, perhaps only a part of a TLS record. The caller resets this.
    pub(crate) has_received: bool,
    /// The number of bytes that came from the socket.
    pub(crate) bytes: u64,
    /// The last read of the socket found nothing. All that came before was taken.
    pub(crate) is_drained: bool,
}

/// The state of the writer. Several threads may write, one at a time.
#[derive(Debug, Default)]
pub(crate) struct WriteHalf {
    armed: Armed,
    /// Plaintext that is not encrypted yet. Empty without TLS.
    plain: Vec<u8>,
    /// Bytes for the socket, of which the first `sent` are written.
    out: Vec<u8>,
    sent: usize,
    /// The most bytes that were in `out` since the last [`Duplex::shrink`].
    used: usize,
    /// The number of short messages since the last long one; see `memory.rs`.
    short_messages: u8,
    /// The number of bytes that the stream has taken.
    pub(crate) bytes: u64,
    /// The last write found no room for all of its bytes.
    is_full: bool,
    /// The stream was full, and then took bytes. So the peer has read, even if it sends nothing.
    /// The caller resets this.
    pub(crate) made_room: bool,
    /// Each write is timed, to notice that the peer makes room. The caller sets this.
    pub(crate) is_timed: bool,
}

/// A write that takes this long had to wait for room. If each write is faster, the peer reads
/// faster than the pace that the keepalive expects, and no sign of life is needed.
const BLOCKED: Duration = Duration::from_millis(20);

impl WriteHalf {
    /// Notes that the stream took all bytes of a write.
    #[inline]
    fn note(&mut self, len: usize) {
        self.bytes += len as u64;
        self.made_room |= std::mem::take(&mut self.is_full);
    }

    /// Notes the result of a write of `whole` bytes that took `time`.
    fn note_wait(&mut self, written: &io::Result<usize>, whole: usize, time: Duration) {
        let Ok(len) = *written else {
            self.is_full = true; // Or the connection is over.
            return;
        };
        self.bytes += len as u64;
        self.made_room |= self.is_full || time >= BLOCKED;
        self.is_full = len < whole;
    }
}

/// The longest time that a read blocks on Windows, where a shutdown of the socket does not wake the
/// thread that reads it.
const WINDOWS_POLL: Duration = Duration::from_millis(50);

impl Duplex {
    pub(crate) fn plain(stream: Arc<dyn Stream>) -> Self {
        Self::new(stream, None)
    }

    pub(crate) fn new(stream: Arc<dyn Stream>, tls: Option<Session>) -> Self {
        let polls_writes = nonblocking::polls_writes(&*stream);
        let resumes_writes = polls_writes || stream.resumes_writes();
        let (is_nonblocking, is_shut) = (Mutex::new(false), AtomicBool::new(false));
        Self { stream, resumes_writes, polls_writes, tls, is_nonblocking, is_shut }
    }

    pub(crate) fn stream(&self) -> &Arc<dyn Stream> {
        &self.stream
    }

    /// Reads at least one byte; `Ok(0)` is the end of the stream. Fails with
    /// [`io::ErrorKind::WouldBlock`] when the wait is over, or a little earlier: look at the clock
    /// and call again. With TLS it also fails so when [`ReadHalf::tls_pending`] becomes `true`.
    pub(crate) fn read(
        &self,
        half: &mut ReadHalf,
        buf: &mut [u8],
        wait: Wait,
    ) -> io::Result<usize> {
        if let Some(tls) = &self.tls {
            return self.read_tls(tls, half, buf, wait);
        }
        let read = self.read_socket(&mut half.armed, buf, wait);
        half.is_drained = would_block(&read);
        let len = read?;
        half.has_received |= len > 0;
        half.bytes += len as u64;
        Ok(len)
    }

    fn read_socket(&self, armed: &mut Armed, buf: &mut [u8], wait: Wait) -> io::Result<usize> {
        let capacity = buf.len();
        let wait = match wait {
            Wait::Until(deadline) if cfg!(windows) => {
                Wait::Until(deadline.min(Deadline::after(Some(WINDOWS_POLL))))
            }
            wait => wait,
        };
        let len = self.call(
            sync::now(),
            wait,
            armed,
            |timeout| self.stream.set_read_timeout(timeout),
            || self.stream.read(buf),
        )?;
        checked(len, capacity)
    }

    /// Makes one system call, which begins now and blocks as long as `wait` allows; `arm` sets the
    /// timeout of the socket. Fails with [`io::ErrorKind::WouldBlock`] when the wait is over, or a
    /// little earlier: the caller looks at the clock, and at whether the connection should be over.
    #[inline]
    fn call(
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
                        let Some(timeout) = wait.timeout(sync::now()) else { return Err(error) };
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
            io::ErrorKind::TimedOut if !is_fatal(&error, *armed, sync::now() - began) => {
                io::ErrorKind::WouldBlock.into()
            }
            _ => error,
        })
    }

    pub(crate) fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Returns the buffer that takes the next bytes to write.
    #[inline]
    pub(crate) fn stage<'a>(&self, half: &'a mut WriteHalf) -> &'a mut Vec<u8> {
        if self.tls.is_some() {
            return &mut half.plain;
        }
        &mut half.out
    }

    /// Returns the position of the next byte: the number of bytes that were written or staged. What
    /// TLS adds to staged bytes is not counted before they are encrypted.
    pub(crate) fn position(&self, half: &mut WriteHalf) -> u64 {
        let mut staged = half.out.len() - half.sent;
        if self.is_tls() {
            staged += self.stage(half).len();
        }
        half.bytes + staged as u64
    }

    /// Returns whether there is something to flush.
    #[inline]
    pub(crate) fn is_staged(&self, half: &mut WriteHalf) -> bool {
        !self.stage(half).is_empty() || !half.out.is_empty()
    }

    /// Writes all that was staged, and with TLS also the output of TLS. Fails with
    /// [`io::ErrorKind::WouldBlock`] when the wait is over, or a little earlier; the next flush
    /// goes on with what is not written yet. Fails with [`io::ErrorKind::TimedOut`] when a write
    /// took longer than the wait and nobody knows how much of it was taken; then nothing can be
    /// written any more. The call begins `now`.
    #[inline]
    pub(crate) fn flush(
        &self,
        half: &mut WriteHalf,
        wait: Wait,
        mut now: Instant,
    ) -> io::Result<()> {
        if let Some(tls) = &self.tls {
            let encrypted = tls.encrypt(&mut half.plain, &mut half.out);
            encrypted.inspect_err(|_| self.write_alert(half))?;
        }
        half.used = half.used.max(half.out.len());
        while half.sent < half.out.len() {
            let rest = half.out.len() - half.sent;
            let began = now;
            let written = self.write_rest(half, wait, began);
            if !half.is_timed && matches!(written, Ok(len) if len == rest) {
                half.note(rest);
                break;
            }
            now = sync::now();
            half.note_wait(&written, rest, now.saturating_duration_since(began));
            match written {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(len) => half.sent += checked(len, rest)?,
                // The timeout came a little early.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && !wait.is_over() => {}
                Err(error) => return Err(error),
            }
        }
        half.sent = 0;
        half.out.clear();
        Ok(())
    }

    /// Writes some of what is staged, by one system call if it may block.
    #[inline]
    fn write_rest(&self, half: &mut WriteHalf, wait: Wait, began: Instant) -> io::Result<usize> {
        if self.polls_writes {
            return self.write_polled(&half.out[half.sent..], wait);
        }
        if self.is_shut.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::NotConnected.into());
        }
        if !self.resumes_writes && half.armed.0 != wait.timeout(began) {
            half.armed = Armed::default(); // A timeout that fires early would be final too.
        }
        let rest = &half.out[half.sent..];
        let mut timed_out = false;
        let written = self.call(
            began,
            wait,
            &mut half.armed,
            |timeout| self.stream.set_write_timeout(timeout),
            || {
                let timeout = |error: &io::Error| error.kind() == io::ErrorKind::TimedOut;
                self.stream.write(rest).inspect_err(|error| timed_out = timeout(error))
            },
        );
        written.map_err(|error| match error.kind() {
            // A part may have been taken, and would be written twice.
            io::ErrorKind::WouldBlock if timed_out => io::ErrorKind::TimedOut.into(),
            _ => error,
        })
    }

    /// Ends the writing direction by `close_notify` and FIN. Of what is staged it writes as much as
    /// the system takes at once.
    pub(crate) fn finish(&self, half: &mut WriteHalf) {
        self.send_close_notify();
        // The peer may be gone, which does not matter any more.
        let _ = self.flush(half, Wait::Not, sync::now());
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Makes every later write fail. A write that has begun goes on.
    pub(crate) fn stop_writes(&self) {
        self.is_shut.store(true, Ordering::SeqCst);
    }

    /// Ends both directions, and wakes the threads that block in them. Nothing is written after
    /// this.
    pub(crate) fn shutdown(&self) {
        self.stop_writes();
        shut_down(&*self.stream);
    }
}

impl Drop for Duplex {
    /// Leaves the stream in blocking mode, for the next one who uses it.
    fn drop(&mut self) {
        let _ = self.block();
    }
}

impl fmt::Debug for Duplex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.stream.fmt(f)
    }
}

/// The timeout that is set on the socket; `None` if it is not known.
#[derive(Clone, Copy, Debug, Default)]
struct Armed(Option<Option<Duration>>);

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

/// Returns whether a read or a flush of a [`Duplex`] failed because its wait is over. After a flush
/// that failed with [`io::ErrorKind::TimedOut`] nothing can be written any more.
pub(crate) fn is_timeout(error: &io::Error) -> bool {
    match error.kind() {
        io::ErrorKind::WouldBlock => true,
        io::ErrorKind::TimedOut => error.raw_os_error().is_none(),
        _ => false,
    }
}

/// Returns whether a write failed because the peer has ended the connection. Its last bytes may
/// still wait to be read, and the reader sees the end after them.
pub(crate) fn peer_is_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset};
    // macOS says so if the connection ends during the write. Linux never does; it has another
    // number for it, which a test uses.
    const EPROTOTYPE: i32 = if cfg!(target_os = "linux") { 91 } else { 41 };
    matches!(error.kind(), BrokenPipe | ConnectionReset) || error.raw_os_error() == Some(EPROTOTYPE)
}

fn would_block(read: &io::Result<usize>) -> bool {
    matches!(read, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

/// Checks the length that a stream returns: one that the caller brought may be wrong about it.
#[inline]
fn checked(len: usize, capacity: usize) -> io::Result<usize> {
    if len > capacity { Err(impossible()) } else { Ok(len) }
}

#[cold]
fn impossible() -> io::Error {
    io::Error::other("the stream claims to have moved more bytes than it could")
}
