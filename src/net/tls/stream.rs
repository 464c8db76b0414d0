//! TLS as a stream to speak over: TLS with an `https` proxy, under TLS with the server.

use std::io;
use std::mem;
use std::net::{Shutdown, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::net::deadline::Deadline;
use crate::net::duplex::{Duplex, ReadHalf, Wait, WriteHalf};
use crate::net::stream::Stream;
use crate::sync::Mutex;

/// How much is encrypted at a time.
const CHUNK: usize = 64 * 1024;

/// One thread may read while others write, one at a time, as with a socket.
#[derive(Debug)]
pub(crate) struct TlsStream {
    duplex: Duplex,
    reading: Mutex<ReadHalf>,
    writing: Mutex<Writing>,
    /// The reader found that TLS has something to say, a key update for example; paid by whoever
    /// has `writing`.
    owes_tls: AtomicBool,
    nonblocking: AtomicBool,
    read_timeout: Mutex<Option<Duration>>,
    write_timeout: Mutex<Option<Duration>>,
}

#[derive(Debug, Default)]
struct Writing {
    half: WriteHalf,
    /// So many of the caller's bytes are encrypted, but not all written yet. The caller has not
    /// been told, and brings them again.
    begun: usize,
}

impl TlsStream {
    /// Over a connection whose TLS handshake is done.
    pub(crate) fn new(duplex: Duplex) -> Self {
        Self {
            duplex,
            reading: Mutex::default(),
            writing: Mutex::default(),
            owes_tls: AtomicBool::new(false),
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

    /// Writes what TLS has to say, without waiting; whoever is writing does it afterwards.
    fn pay(&self) {
        while self.owes_tls.load(Ordering::SeqCst) {
            let Some(mut writing) = self.writing.try_lock() else { return };
            if self.owes_tls.swap(false, Ordering::SeqCst) {
                // What does not go out now does with the next bytes.
                let _ = self.duplex.flush(&mut writing.half, Wait::Not);
            }
        }
    }

    fn write_piece(&self, writing: &mut Writing, bytes: &[u8]) -> io::Result<usize> {
        let wait = self.wait(&self.write_timeout);
        if writing.begun == 0 {
            writing.begun = bytes.len().min(CHUNK);
            let stage = self.duplex.stage(&mut writing.half);
            stage.extend_from_slice(&bytes[..writing.begun]);
        }
        self.duplex.flush(&mut writing.half, wait)?;
        self.duplex.shrink(&mut writing.half);
        Ok(mem::take(&mut writing.begun))
    }
}

impl Stream for TlsStream {
    fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        let mut half = self.reading.lock();
        let read = self.duplex.read(&mut half, buf, self.wait(&self.read_timeout));
        if mem::take(&mut half.owes_tls) {
            self.owes_tls.store(true, Ordering::SeqCst);
            self.pay();
        }
        read
    }

    /// After [`WouldBlock`](io::ErrorKind::WouldBlock) the next call must bring the same bytes, as
    /// [`Duplex::flush`] does.
    fn write(&self, buf: &[u8]) -> io::Result<usize> {
        let written = self.write_piece(&mut self.writing.lock(), buf);
        self.pay();
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
        self.duplex.stream().resumes_writes()
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
}
