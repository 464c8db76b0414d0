//! A stream that is read and written at the same time from different threads, plain or TLS.
//!
//! ```text
//! reader:  socket.read(cipher)                    blocks, holds no lock
//!          lock tls -> decrypt the records in `cipher`, take their plaintext -> unlock
//! writer:  lock tls -> encrypt into a Vec -> unlock -> socket.write
//! ```
//! The TLS lock is never held during a system call. The caller keeps the writers apart by a lock of
//! its own, which is taken before the TLS lock.

mod system_call;

use std::fmt;
use std::io;
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::deadline::{Deadline, Grace};
use super::stream::{Stream, shut_down};
use super::tls::{Cipher, Session};
use crate::sync::{self, AtomicBool, Mutex};
use system_call::Armed;

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
    /// The number of short messages since the last long one, up to [`SHORT_MESSAGES`].
    short_messages: u8,
    progress: Progress,
    /// Each write is timed, to notice that the peer makes room. The caller sets this.
    pub(crate) is_timed: bool,
}

/// The bytes that the stream has taken, and what that tells about its room.
#[derive(Debug, Default)]
struct Progress {
    bytes: u64,
    /// The last write found no room for all of its bytes.
    is_full: bool,
    /// The stream was full, and then took bytes. So the peer has read, even if it sends nothing.
    made_room: bool,
}

/// A write that takes this long had to wait for room. If each write is faster, the peer reads
/// faster than the pace that the keepalive expects, and no sign of life is needed.
const BLOCKED: Duration = Duration::from_millis(20);

impl WriteHalf {
    /// Returns the number of bytes that the stream has taken.
    #[inline]
    pub(crate) fn written(&self) -> u64 {
        self.progress.bytes
    }
}

impl Progress {
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
/// The pause of a write on Windows before it tries again: first, and after some attempts. A peer
/// that reads fast gets 64 KiB in each of the first pauses.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LAST_PAUSE: Duration = Duration::from_millis(10);
/// The capacity that a write buffer of an idle connection may keep.
const SMALL_BUFFER: usize = 2 * 1024;
/// The capacity that a write buffer may keep between two messages: a chunk of 64 KiB with the
/// overhead of TLS. The C library would give freed memory of this size back to the system, and each
/// message would pay for getting it again, page by page.
const KEPT_BUFFER: usize = 80 * 1024;
/// The number of short messages after which a write buffer for longer ones is freed.
const SHORT_MESSAGES: u8 = 8;

impl Duplex {
    pub(crate) fn plain(stream: Arc<dyn Stream>) -> Self {
        Self::new(stream, None)
    }

    pub(crate) fn new(stream: Arc<dyn Stream>, tls: Option<Session>) -> Self {
        let polls_writes = polls_writes(&*stream);
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

    fn read_tls(
        &self,
        tls: &Session,
        half: &mut ReadHalf,
        buf: &mut [u8],
        wait: Wait,
    ) -> io::Result<usize> {
        let was_pending = half.tls_pending;
        let mut grace = None;
        loop {
            let decrypted = tls.decrypt(&mut half.cipher, &mut half.tls_pending, buf)?;
            if let Some(len) = decrypted {
                return Ok(len);
            }
            if half.tls_pending && !was_pending {
                // The caller flushes before it waits for more: the peer may wait for this output.
                return Err(io::ErrorKind::WouldBlock.into());
            }
            // Records without plaintext do not prolong the wait.
            let is_over = wait.is_over();
            let grace = grace.get_or_insert_with(|| match is_over {
                true => Grace::of_try(), // It was over when the call began.
                false => Grace::after_wait(),
            });
            if is_over && grace.is_over() {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let read = self.read_socket(&mut half.armed, half.cipher.space(), wait);
            half.is_drained = would_block(&read);
            if half.is_drained {
                tls.shrink(&mut half.cipher);
            }
            let len = read?;
            half.cipher.filled(len);
            if len == 0 {
                return Ok(0);
            }
            half.has_received = true;
            half.bytes += len as u64;
        }
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
        half.progress.bytes + staged as u64
    }

    /// Returns whether the stream, since the last call of this method, took bytes after it had no
    /// room for more. Then the peer must have read some.
    #[inline]
    pub(crate) fn made_room(&self, half: &mut WriteHalf) -> bool {
        std::mem::take(&mut half.progress.made_room)
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
            tls.encrypt(&mut half.plain, &mut half.out)?;
        }
        half.used = half.used.max(half.out.len());
        while half.sent < half.out.len() {
            let rest = half.out.len() - half.sent;
            let began = now;
            let written = self.write_rest(half, wait, began);
            if !half.is_timed && matches!(written, Ok(len) if len == rest) {
                half.progress.note(rest);
                break;
            }
            now = sync::now();
            half.progress.note_wait(&written, rest, now.saturating_duration_since(began));
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

    /// Writes some of `rest`, and waits for room by trying again and again. On Windows a shutdown
    /// of a socket does not wake a thread that is blocked in a write, and nobody knows how much was
    /// taken by a write that times out. A call that does not block always says what it took.
    fn write_polled(&self, rest: &[u8], wait: Wait) -> io::Result<usize> {
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

    /// Frees the memory that a message needed, if it is much or the last messages were short.
    /// Otherwise the next message is likely to need it too, and [`release`](Self::release) frees
    /// it.
    #[inline]
    pub(crate) fn shrink(&self, half: &mut WriteHalf) {
        let used = std::mem::take(&mut half.used);
        let capacity = half.out.capacity().max(half.plain.capacity());
        if capacity > SMALL_BUFFER {
            Self::shrink_after(half, used, capacity);
        }
    }

    #[cold]
    fn shrink_after(half: &mut WriteHalf, used: usize, capacity: usize) {
        half.short_messages = if used <= SMALL_BUFFER { half.short_messages + 1 } else { 0 };
        if half.short_messages == SHORT_MESSAGES || capacity > KEPT_BUFFER {
            Self::release(half);
        }
    }

    /// Frees the memory that messages needed. Call it when the connection is idle.
    pub(crate) fn release(half: &mut WriteHalf) {
        half.short_messages = 0;
        // A freed buffer stays with the allocator for the next big message. What is cut off from a
        // buffer may go back to the system each time.
        let free = |buffer: &mut Vec<u8>| {
            if buffer.is_empty() && buffer.capacity() > SMALL_BUFFER {
                *buffer = Vec::new();
            }
        };
        free(&mut half.out);
        free(&mut half.plain);
    }

    /// Ends the writing direction by `close_notify` and FIN. Of what is staged it writes as much as
    /// the system takes at once.
    pub(crate) fn finish(&self, half: &mut WriteHalf) {
        self.send_close_notify();
        // The peer may be gone, which does not matter any more.
        let _ = self.flush(half, Wait::Not, sync::now());
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Makes the next flush send `close_notify`, if there is TLS.
    pub(crate) fn send_close_notify(&self) {
        if let Some(tls) = &self.tls {
            tls.send_close_notify();
        }
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

/// Returns whether the stream is a socket of Windows, or a stream of the caller that has one.
#[cfg(windows)]
fn polls_writes(stream: &dyn Stream) -> bool {
    !stream.resumes_writes() && stream.socket().is_some()
}

#[cfg(not(windows))]
fn polls_writes(_: &dyn Stream) -> bool {
    false
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
