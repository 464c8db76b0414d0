// A pipe in memory, which keeps the contract of `Stream`.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use landline::stream::Stream;

/// Returns the two ends of a new pipe.
pub(crate) fn pipe() -> (End, End) {
    let (one, two) = (Arc::<Direction>::default(), Arc::<Direction>::default());
    let end = |incoming: &Arc<Direction>, outgoing: &Arc<Direction>| End {
        incoming: incoming.clone(),
        outgoing: outgoing.clone(),
        limits: Mutex::default(),
    };
    (end(&one, &two), end(&two, &one))
}

/// One end of the pipe.
#[derive(Debug)]
pub(crate) struct End {
    incoming: Arc<Direction>,
    outgoing: Arc<Direction>,
    limits: Mutex<Limits>,
}

impl Stream for End {
    fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        let limits = *lock(&self.limits);
        let ready = |bytes: &Bytes| bytes.ended || !bytes.unread.is_empty();
        let mut bytes = self.incoming.wait(limits.of(limits.read), ready)?;
        let len = bytes.unread.read(buf)?; // 0 only at the end.
        self.incoming.changed.notify_all();
        Ok(len)
    }

    fn write(&self, buf: &[u8]) -> io::Result<usize> {
        let limits = *lock(&self.limits);
        let ready = |bytes: &Bytes| bytes.ended || bytes.unread.len() < ROOM;
        let mut bytes = self.outgoing.wait(limits.of(limits.write), ready)?;
        if bytes.ended {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let len = buf.len().min(ROOM - bytes.unread.len());
        bytes.unread.extend(&buf[..len]);
        self.outgoing.changed.notify_all();
        Ok(len)
    }

    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        lock(&self.limits).read = timeout;
        Ok(())
    }

    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        lock(&self.limits).write = timeout;
        Ok(())
    }

    fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        lock(&self.limits).nonblocking = nonblocking;
        Ok(())
    }

    fn resumes_writes(&self) -> bool {
        true // A write that times out took nothing.
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        if how != Shutdown::Write {
            self.incoming.end();
        }
        if how != Shutdown::Read {
            self.outgoing.end();
        }
        Ok(())
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let _ = self.shutdown(Shutdown::Both);
    }
}

/// Serves code that knows `Read` and `Write`, such as a server on the other end.
impl Read for &End {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        Stream::read(*self, buf)
    }
}

impl Write for &End {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        Stream::write(*self, buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Limits {
    read: Option<Duration>,
    write: Option<Duration>,
    nonblocking: bool,
}

impl Limits {
    fn of(self, timeout: Option<Duration>) -> Option<Duration> {
        if self.nonblocking { Some(Duration::ZERO) } else { timeout }
    }
}

/// One direction of the pipe.
#[derive(Debug, Default)]
struct Direction {
    bytes: Mutex<Bytes>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Bytes {
    unread: VecDeque<u8>,
    ended: bool,
}

impl Direction {
    /// Waits until the bytes are `ready`, for at most `limit`.
    fn wait(
        &self,
        limit: Option<Duration>,
        ready: fn(&Bytes) -> bool,
    ) -> io::Result<MutexGuard<'_, Bytes>> {
        let limit = limit.unwrap_or(Duration::MAX);
        let waited =
            self.changed.wait_timeout_while(lock(&self.bytes), limit, |bytes| !ready(bytes));
        let (bytes, _) = waited.expect(NO_PANIC);
        if ready(&bytes) { Ok(bytes) } else { Err(io::ErrorKind::WouldBlock.into()) }
    }

    fn end(&self) {
        lock(&self.bytes).ended = true;
        self.changed.notify_all();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect(NO_PANIC)
}

const NO_PANIC: &str = "no thread panics while it holds a lock of the pipe";

/// The most bytes of one direction that wait to be read.
const ROOM: usize = 64 * 1024;
