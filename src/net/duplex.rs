//! A stream that is read and written at the same time from different threads, plain or TLS.
//!
//! ```text
//! reader:  socket.read(cipher)                    blocks, holds no lock
//!          lock tls -> read_tls, process, take plaintext -> unlock
//! writer:  lock tls -> encrypt into a Vec -> unlock -> socket.write
//! ```
//! The caller keeps the writers apart (the wire lock, which comes before the TLS lock); the TLS
//! lock is never held across a system call.

use std::fmt;
use std::io;
use std::net::Shutdown;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::deadline::Deadline;
use super::stream::Stream;
use super::tls::{Cipher, Session};
use crate::sync::{AtomicBool, Mutex, now, yield_now};

/// How long a system call may wait.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wait {
    /// Not at all.
    Not,
    /// Until then.
    Until(Deadline),
}

impl Wait {
    fn is_over(self) -> bool {
        match self {
            Self::Not => true,
            Self::Until(deadline) => deadline.is_past(),
        }
    }

    /// Returns the timeout of a call that begins `now`, where `Some(None)` is for ever; `None` if
    /// the call must not block.
    fn timeout(self, now: Instant) -> Option<Option<Duration>> {
        match self {
            Self::Not => None,
            Self::Until(deadline) => match deadline.remaining(now) {
                Some(Duration::ZERO) => None,
                remaining => Some(remaining),
            },
        }
    }
}

/// How long records are taken that have arrived when the wait is over, until plaintext comes.
const GRACE: Duration = Duration::from_millis(20);

/// The stream, and TLS over it.
pub(crate) struct Duplex {
    stream: Arc<dyn Stream>,
    tls: Option<Session>,
    /// Held while the stream does not block, which is for one system call: a thread whose own call
    /// fails with `WouldBlock` too early because of that waits for it here.
    unblocked: Mutex<()>,
    /// Both directions are ended here, whatever the stream makes of that.
    is_shut: AtomicBool,
}

/// What the one reader keeps.
#[derive(Debug, Default)]
pub(crate) struct ReadHalf {
    armed: Armed,
    cipher: Cipher,
    /// TLS wants to send something, an alert for example.
    pub(crate) owes_tls: bool,
    /// Bytes came from the socket, be it a part of a TLS record.
    pub(crate) heard: bool,
}

/// What the writers share, one at a time.
#[derive(Debug, Default)]
pub(crate) struct WriteHalf {
    armed: Armed,
    /// Plaintext that is not encrypted yet; unused without TLS.
    plain: Vec<u8>,
    /// Bytes for the socket, of which the first `sent` are written.
    out: Vec<u8>,
    sent: usize,
    taken: Taken,
}

/// What the stream took of what was written.
#[derive(Debug, Default)]
struct Taken {
    bytes: u64,
    /// It had no room for more the last time.
    is_full: bool,
    /// It had none, and then took some: the peer has read meanwhile, be it that it says nothing.
    made_room: bool,
}

/// A write that takes so long had to wait for room. A peer that makes room sooner, again and again,
/// reads faster than the pace that the keepalive waits for: it needs no such sign of life.
const WAITED: Duration = Duration::from_millis(20);

impl Taken {
    /// Notes what became of a write of so many bytes, and how long it took.
    fn note(&mut self, written: &io::Result<usize>, whole: usize, time: Duration) {
        let Ok(len) = *written else {
            self.is_full = true; // Or the connection is over.
            return;
        };
        self.bytes += len as u64;
        self.made_room |= self.is_full || time >= WAITED;
        self.is_full = len < whole;
    }
}

/// The longest that a read blocks on Windows.
const LOOK_UP: Duration = Duration::from_millis(50);
/// How often a call that must not block is made again when a signal interrupts it.
const MAX_INTERRUPTIONS: usize = 8;
/// The write buffer of an idle connection is not larger than this.
const SMALL_BUFFER: usize = 2 * 1024;

impl Duplex {
    pub(crate) fn plain(stream: Arc<dyn Stream>) -> Self {
        Self::new(stream, None)
    }

    pub(crate) fn new(stream: Arc<dyn Stream>, tls: Option<Session>) -> Self {
        Self { stream, tls, unblocked: Mutex::new(()), is_shut: AtomicBool::new(false) }
    }

    pub(crate) fn stream(&self) -> &Arc<dyn Stream> {
        &self.stream
    }

    /// Reads what is there; `Ok(0)` is the end. [`io::ErrorKind::WouldBlock`] says that the wait
    /// is over, or a little early: look at the clock and call again.
    pub(crate) fn read(
        &self,
        half: &mut ReadHalf,
        buf: &mut [u8],
        wait: Wait,
    ) -> io::Result<usize> {
        if let Some(tls) = &self.tls {
            return self.read_tls(tls, half, buf, wait);
        }
        let len = self.read_socket(&mut half.armed, buf, wait)?;
        half.heard |= len > 0;
        Ok(len)
    }

    fn read_tls(
        &self,
        tls: &Session,
        half: &mut ReadHalf,
        buf: &mut [u8],
        wait: Wait,
    ) -> io::Result<usize> {
        let owed = half.owes_tls;
        let mut late_since = None;
        loop {
            let decrypted = tls.decrypt(&mut half.cipher, &mut half.owes_tls, buf)?;
            if let Some(len) = decrypted {
                return Ok(len);
            }
            if half.owes_tls && !owed {
                // To be paid before waiting for more: the peer may wait for it.
                return Err(io::ErrorKind::WouldBlock.into());
            }
            // Records without plaintext do not stretch the wait.
            if wait.is_over() && now() - *late_since.get_or_insert_with(now) > GRACE {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let len = self.read_socket(&mut half.armed, half.cipher.space(), wait)?;
            half.cipher.filled(len);
            if len == 0 {
                return Ok(0);
            }
            half.heard = true;
        }
    }

    fn read_socket(&self, armed: &mut Armed, buf: &mut [u8], wait: Wait) -> io::Result<usize> {
        let capacity = buf.len();
        let wait = match wait {
            // There shutting a socket down does not wake the thread that reads it.
            Wait::Until(deadline) if cfg!(windows) => {
                Wait::Until(deadline.min(Deadline::after(Some(LOOK_UP))))
            }
            wait => wait,
        };
        let len = self.call(
            wait,
            armed,
            |timeout| self.stream.set_read_timeout(timeout),
            || self.stream.read(buf),
        )?;
        checked(len, capacity)
    }

    pub(crate) fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Where the next bytes to write are put.
    pub(crate) fn stage<'a>(&self, half: &'a mut WriteHalf) -> &'a mut Vec<u8> {
        if self.tls.is_some() {
            return &mut half.plain;
        }
        &mut half.out
    }

    /// How many bytes were written and staged: where the next one stands. Those of TLS that are
    /// added to what is staged are not counted yet.
    pub(crate) fn position(&self, half: &mut WriteHalf) -> u64 {
        let mut staged = half.out.len() - half.sent;
        if self.is_tls() {
            staged += self.stage(half).len();
        }
        half.taken.bytes + staged as u64
    }

    /// Whether the stream took bytes, since this was asked, after it had no room for more: the peer
    /// must have read some.
    pub(crate) fn made_room(&self, half: &mut WriteHalf) -> bool {
        std::mem::take(&mut half.taken.made_room)
    }

    /// Whether there is something to flush.
    pub(crate) fn is_staged(&self, half: &mut WriteHalf) -> bool {
        !self.stage(half).is_empty() || !half.out.is_empty()
    }

    /// Writes all that was staged. [`io::ErrorKind::WouldBlock`] says that the wait is over, or a
    /// little early; what is not written yet stays for the next flush.
    /// [`io::ErrorKind::TimedOut`] says that a write took longer than the wait, and that nobody
    /// knows how much of it was taken.
    pub(crate) fn flush(&self, half: &mut WriteHalf, wait: Wait) -> io::Result<()> {
        if let Some(tls) = &self.tls {
            tls.encrypt(&mut half.plain, &mut half.out)?;
        }
        while half.sent < half.out.len() {
            let rest = &half.out[half.sent..];
            let mut timed_out = false;
            if self.is_shut.load(Ordering::SeqCst) {
                return Err(io::ErrorKind::NotConnected.into());
            }
            let begun = now();
            let len = self.call(
                wait,
                &mut half.armed,
                |timeout| self.stream.set_write_timeout(timeout),
                || {
                    let timeout = |error: &io::Error| error.kind() == io::ErrorKind::TimedOut;
                    self.stream.write(rest).inspect_err(|error| timed_out = timeout(error))
                },
            );
            half.taken.note(&len, rest.len(), now().saturating_duration_since(begun));
            match len {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(len) => half.sent += checked(len, rest.len())?,
                // Perhaps a part was taken: writing it again could double it.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && timed_out => {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                // The timeout came a little early.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && !wait.is_over() => {}
                Err(error) => return Err(error),
            }
        }
        half.sent = 0;
        half.out.clear();
        Ok(())
    }

    /// Gives back what a big message needed.
    pub(crate) fn shrink(&self, half: &mut WriteHalf) {
        // Freed, not made smaller: the allocator keeps what is freed for the next big message,
        // but what it cuts off it may give back to the system each time.
        let free = |buffer: &mut Vec<u8>| {
            if buffer.is_empty() && buffer.capacity() > SMALL_BUFFER {
                *buffer = Vec::new();
            }
        };
        free(&mut half.out);
        free(self.stage(half));
    }

    /// Says that nothing more is written: `close_notify`, and FIN. What TLS has to say is written
    /// as far as that takes no waiting.
    pub(crate) fn finish(&self, half: &mut WriteHalf) {
        self.send_close_notify();
        // The peer may have gone; that is no matter now.
        let _ = self.flush(half, Wait::Not);
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Gives TLS `close_notify` to say, with the next flush.
    pub(crate) fn send_close_notify(&self) {
        if let Some(tls) = &self.tls {
            tls.send_close_notify();
        }
    }

    /// Lets nothing be written any more; a write that has begun goes on.
    pub(crate) fn stop_writes(&self) {
        self.is_shut.store(true, Ordering::SeqCst);
    }

    /// Ends both directions, and wakes the threads that block in one. Nothing is written after it.
    pub(crate) fn shutdown(&self) {
        self.stop_writes();
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// Makes one system call that waits that long: `arm` sets the timeout, unless the call is not
    /// to block. [`io::ErrorKind::WouldBlock`] says that the wait is over, or a little early: the
    /// caller looks at the clock, and whether the connection should be over.
    fn call(
        &self,
        wait: Wait,
        armed: &mut Armed,
        arm: impl FnOnce(Option<Duration>) -> io::Result<()>,
        mut call: impl FnMut() -> io::Result<usize>,
    ) -> io::Result<usize> {
        let began = now();
        let done = match wait.timeout(began) {
            None => self.unblocked(call),
            Some(timeout) => match armed.arm(timeout, arm) {
                Ok(()) => call().inspect_err(|error| {
                    if error.kind() == io::ErrorKind::WouldBlock {
                        // Perhaps another thread's call must not block just now.
                        drop(self.unblocked.lock());
                        yield_now();
                    }
                }),
                // macOS and illumos refuse to set a timeout once the peer is gone, although its
                // last bytes may wait to be read: they come before the error.
                Err(failed) => self.unblocked(call).map_err(|error| match error.kind() {
                    io::ErrorKind::WouldBlock => failed,
                    _ => error,
                }),
            },
        };
        done.map_err(|error| match error.kind() {
            io::ErrorKind::Interrupted => io::ErrorKind::WouldBlock.into(),
            io::ErrorKind::TimedOut if !is_fatal(&error, *armed, now() - began) => {
                io::ErrorKind::WouldBlock.into()
            }
            _ => error,
        })
    }

    /// Makes one call that does not block.
    fn unblocked(&self, mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
        let _unblocked = self.unblocked.lock();
        self.stream.set_nonblocking(true)?;
        let interrupted = |error: &io::Error| error.kind() == io::ErrorKind::Interrupted;
        // A stream that somebody brought may panic, and others still use it.
        let done = catch_unwind(AssertUnwindSafe(|| {
            let mut calls = (0..MAX_INTERRUPTIONS).map(|_| call());
            calls.find(|done| !done.as_ref().is_err_and(interrupted))
        }));
        let blocks = self.stream.set_nonblocking(false);
        let done = done.unwrap_or_else(|panic| resume_unwind(panic));
        let done = done.unwrap_or_else(|| Err(io::ErrorKind::WouldBlock.into()));
        // Bytes that have moved come before the error.
        if done.is_ok() { done } else { blocks.and(done) }
    }
}

impl fmt::Debug for Duplex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.stream.fmt(f)
    }
}

/// The timeout that is set at the socket, if one is known to be.
#[derive(Clone, Copy, Debug, Default)]
struct Armed(Option<Option<Duration>>);

impl Armed {
    /// Sets a socket timeout only when the one that is set would fire too late, or much too early.
    fn arm(
        &mut self,
        timeout: Option<Duration>,
        set: impl FnOnce(Option<Duration>) -> io::Result<()>,
    ) -> io::Result<()> {
        let fits = match (self.0, timeout) {
            (Some(None), None) => true,
            // One that fires early only makes the caller look at the clock.
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

/// Socket timeouts are no more exact than this anyway.
const SLACK: Duration = Duration::from_millis(1);

/// Returns whether `error`, of kind `TimedOut`, says that the system has given the connection up,
/// and not that a timeout of ours has passed. Unix has different numbers for the two (ETIMEDOUT and
/// EAGAIN). Windows has one (WSAETIMEDOUT): there it is the connection's if it comes too early to
/// be ours.
fn is_fatal(error: &io::Error, armed: Armed, took: Duration) -> bool {
    let early = || !matches!(armed.0, Some(Some(armed)) if took >= armed / 2);
    error.raw_os_error().is_some() && (cfg!(unix) || early())
}

/// Returns whether a read or write of a [`Duplex`] failed because its wait is over. After a write
/// that says [`io::ErrorKind::TimedOut`] nothing can be written any more.
pub(crate) fn is_timeout(error: &io::Error) -> bool {
    match error.kind() {
        io::ErrorKind::WouldBlock => true,
        io::ErrorKind::TimedOut => error.raw_os_error().is_none(),
        _ => false,
    }
}

/// A stream that somebody brought may lie about how much it did.
fn checked(len: usize, capacity: usize) -> io::Result<usize> {
    if len > capacity {
        return Err(io::Error::other("the stream says that it moved more bytes than it could"));
    }
    Ok(len)
}
