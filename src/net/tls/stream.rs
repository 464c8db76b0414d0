//! TLS as a [`Stream`]: TLS with an `https` proxy, over which TLS with the server is spoken.

use std::io;
use std::mem;
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::net::deadline::Deadline;
use crate::net::duplex::{Duplex, ReadHalf, Wait, WriteHalf};
use crate::net::stream::Stream;
use crate::sync::{Mutex, now};

/// The most bytes that are encrypted at once.
const CHUNK: usize = 64 * 1024;

/// A TLS connection that is read and written like a socket, also from different threads.
#[derive(Debug)]
pub(crate) struct TlsStream {
    duplex: Duplex,
    reading: Mutex<ReadHalf>,
    writing: Mutex<Writing>,
    /// TLS has output to send, as the reader found: a key update for example. The thread that holds
    /// `writing` flushes it.
    tls_pending: AtomicBool,
    nonblocking: AtomicBool,
    read_timeout: Mutex<Option<Duration>>,
    write_timeout: Mutex<Option<Duration>>,
}

#[derive(Debug, Default)]
struct Writing {
    half: WriteHalf,
    /// The number of the caller's bytes that are encrypted, but not all written yet. The caller was
    /// told that none were taken, so its next call brings them again.
    begun: usize,
}

impl TlsStream {
    /// Makes a stream of a connection whose TLS handshake is done.
    pub(crate) fn new(duplex: Duplex) -> Self {
        Self {
            duplex,
            reading: Mutex::default(),
            writing: Mutex::default(),
            tls_pending: AtomicBool::new(false),
            nonblocking: AtomicBool::new(false),
            read_timeout: Mutex::new(None),
            write_timeout: Mutex::new(None),
        }
    }

    fn wait(&self, timeout: &Mutex<Option<Duration>>) -> Wait {
        if self.nonblocking.load(Ordering::Relaxed) {
            return Wait::Not;
        }
        Wait::Until(Deadline::after(*timeout.lock()))
    }

    /// Writes the output of TLS, without waiting. A thread that is writing does this when it is
    /// done.
    fn flush_tls(&self) {
        while self.tls_pending.load(Ordering::SeqCst) {
            let Some(mut writing) = self.writing.try_lock() else { return };
            if self.tls_pending.swap(false, Ordering::SeqCst) {
                // The next write sends what the system does not take now.
                let _ = self.duplex.flush(&mut writing.half, Wait::Not, now());
            }
        }
    }

    fn write_chunk(&self, writing: &mut Writing, bytes: &[u8]) -> io::Result<usize> {
        let wait = self.wait(&self.write_timeout);
        if writing.begun == 0 {
            writing.begun = bytes.len().min(CHUNK);
            let stage = self.duplex.stage(&mut writing.half);
            stage.extend_from_slice(&bytes[..writing.begun]);
        }
        self.duplex.flush(&mut writing.half, wait, now())?;
        writing.half.shrink();
        Ok(mem::take(&mut writing.begun))
    }
}

impl Drop for TlsStream {
    /// Ends TLS by `close_notify`, unless it has ended. Waits for nothing.
    fn drop(&mut self) {
        self.duplex.finish(&mut self.writing.lock().half);
    }
}

impl Stream for TlsStream {
    fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        let mut half = self.reading.lock();
        let read = self.duplex.read(&mut half, buf, self.wait(&self.read_timeout));
        if mem::take(&mut half.tls_pending) {
            self.tls_pending.store(true, Ordering::SeqCst);
            self.flush_tls();
            // The socket may not have been read.
            return read.map_err(|error| match error.kind() {
                io::ErrorKind::WouldBlock => io::ErrorKind::Interrupted.into(),
                _ => error,
            });
        }
        read
    }

    /// Takes some of `buf`. After [`WouldBlock`](io::ErrorKind::WouldBlock) the next call must
    /// bring the same bytes, as those of [`Duplex::flush`] do.
    fn write(&self, buf: &[u8]) -> io::Result<usize> {
        let written = self.write_chunk(&mut self.writing.lock(), buf);
        self.flush_tls();
        written
    }

    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        *self.read_timeout.lock() = timeout;
        Ok(())
    }

    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        *self.write_timeout.lock() = timeout;
        Ok(())
    }

    fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.nonblocking.store(nonblocking, Ordering::Relaxed);
        Ok(())
    }

    fn resumes_writes(&self) -> bool {
        self.duplex.resumes_writes
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        match (how, self.writing.try_lock()) {
            (Shutdown::Write, Some(mut writing)) => {
                self.duplex.finish(&mut writing.half);
                Ok(())
            }
            _ => self.duplex.stream().shutdown(how),
        }
    }

    fn peer_addr(&self) -> Option<SocketAddr> {
        self.duplex.stream().peer_addr()
    }

    fn local_addr(&self) -> Option<SocketAddr> {
        self.duplex.stream().local_addr()
    }

    #[cfg(unix)]
    fn fd(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        self.duplex.stream().fd()
    }

    #[cfg(windows)]
    fn socket(&self) -> Option<std::os::windows::io::BorrowedSocket<'_>> {
        self.duplex.stream().socket()
    }

    /// Needs no guard against panics. The default would compile one that is never used.
    fn into_shared(self: Box<Self>) -> Arc<dyn Stream> {
        Arc::new(*self)
    }
}
