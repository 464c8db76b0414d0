//! A connected pair of streams in memory. Each direction has a capacity.

use std::collections::VecDeque;
use std::io;
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::net::stream::Stream;
use crate::sync::{Condvar, Mutex, MutexGuard, yield_now};

/// The limit between two kinds of read timeouts. A timeout of 10 ms or less passes when the stream
/// has room again, or anything else happens. A longer one never passes.
const SOON: Duration = Duration::from_millis(10);

/// Is one end of the pair.
#[derive(Debug)]
pub(super) struct End {
    pair: Arc<Pair>,
    side: usize,
    /// The read timeout is at most [`SOON`]. Only one thread reads, so the checker need not see it.
    is_read_short: AtomicBool,
}

#[derive(Debug)]
struct Pair {
    pipes: Mutex<[Pipe; 2]>,
    changed: Condvar,
}

/// Holds the bytes that one end, the owner, writes and the other end reads.
#[derive(Debug)]
struct Pipe {
    bytes: VecDeque<u8>,
    capacity: usize,
    /// The owner writes nothing more.
    ended: bool,
    /// The other end reads nothing more.
    refused: bool,
    /// The error of the next write.
    broken: Option<io::ErrorKind>,
    /// The owner does not block, neither when it writes here nor when it reads the other pipe.
    nonblocking: bool,
}

/// Returns a pair. Each end can write this number of bytes before the other one reads.
pub(super) fn pair(capacities: [usize; 2]) -> (End, End) {
    let pipe = |capacity| Pipe {
        bytes: VecDeque::new(),
        capacity,
        ended: false,
        refused: false,
        broken: None,
        nonblocking: false,
    };
    let pipes = Mutex::new(capacities.map(pipe));
    let pair = Arc::new(Pair { pipes, changed: Condvar::default() });
    let end = |side| End { pair: pair.clone(), side, is_read_short: AtomicBool::new(false) };
    (end(0), end(1))
}

impl End {
    fn lock(&self) -> MutexGuard<'_, [Pipe; 2]> {
        self.pair.pipes.lock()
    }

    fn wait<'a>(&self, pipes: MutexGuard<'a, [Pipe; 2]>) -> MutexGuard<'a, [Pipe; 2]> {
        self.pair.changed.wait(pipes)
    }

    /// Makes the next write of the other end fail with `kind`. All else goes on.
    pub(super) fn fail_write(&self, kind: io::ErrorKind) {
        self.lock()[1 - self.side].broken = Some(kind);
        self.pair.changed.notify_all();
    }
}

impl Stream for End {
    fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        let mut pipes = self.lock();
        // A call that blocks already goes on blocking, as in a real system.
        let nonblocking = pipes[self.side].nonblocking;
        let mut waited = false;
        loop {
            let (own, theirs) = (self.side, 1 - self.side);
            if !pipes[theirs].bytes.is_empty() {
                let len = buf.len().min(pipes[theirs].bytes.len());
                for (to, from) in buf.iter_mut().zip(pipes[theirs].bytes.drain(..len)) {
                    *to = from;
                }
                self.pair.changed.notify_all();
                return Ok(len);
            }
            if pipes[theirs].ended || pipes[theirs].refused {
                return Ok(0);
            }
            let short = self.is_read_short.load(Ordering::Relaxed);
            if nonblocking || short && (waited || pipes[own].takes()) {
                drop(pipes);
                if !nonblocking {
                    yield_now(); // Time passes, so other threads run.
                }
                return Err(io::ErrorKind::WouldBlock.into());
            }
            pipes = self.wait(pipes);
            waited = true;
        }
    }

    fn write(&self, buf: &[u8]) -> io::Result<usize> {
        let mut pipes = self.lock();
        let nonblocking = pipes[self.side].nonblocking;
        loop {
            let pipe = &mut pipes[self.side];
            if pipe.ended || pipe.refused {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            if let Some(kind) = pipe.broken.take() {
                return Err(kind.into());
            }
            if pipe.takes() {
                let len = buf.len().min(pipe.capacity - pipe.bytes.len());
                pipe.bytes.extend(&buf[..len]);
                self.pair.changed.notify_all();
                return Ok(len);
            }
            if nonblocking {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            pipes = self.wait(pipes);
        }
    }

    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        let short = timeout.is_some_and(|timeout| timeout <= SOON);
        self.is_read_short.store(short, Ordering::Relaxed);
        Ok(())
    }

    fn set_write_timeout(&self, _: Option<Duration>) -> io::Result<()> {
        Ok(())
    }

    fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.lock()[self.side].nonblocking = nonblocking;
        Ok(())
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        let mut pipes = self.lock();
        pipes[self.side].ended = true;
        if how == Shutdown::Both {
            pipes[1 - self.side].refused = true;
        }
        self.pair.changed.notify_all();
        Ok(())
    }
}

impl Pipe {
    /// Returns whether a write returns at once.
    fn takes(&self) -> bool {
        let fails = self.ended || self.refused || self.broken.is_some();
        self.bytes.len() < self.capacity || fails
    }
}
