//! What is read and written: a socket, or a stream that the caller brought.

use std::fmt;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread::panicking;
use std::time::Duration;

/// A connected stream socket, or anything that behaves like one, to speak WebSocket over:
/// [`Builder::connect_over`](crate::Builder::connect_over). One thread reads while others write.
///
/// It must be in blocking mode. Timeouts mean what they mean for [`TcpStream`].
///
/// A method that panics ends the connection; the panic goes on to the code that called landline.
/// None of the methods is called while a thread unwinds.
pub trait Stream: fmt::Debug + Send + Sync + 'static {
    /// Reads what is there, blocks if there is nothing; `Ok(0)` is the end of the stream.
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) or [`TimedOut`](io::ErrorKind::TimedOut) when the
    /// read timeout has passed: nothing is lost. [`Interrupted`](io::ErrorKind::Interrupted) is
    /// tried again. After any other error the connection is over.
    fn read(&self, buf: &mut [u8]) -> io::Result<usize>;

    /// Writes some of `buf`, blocks until it can.
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) when the write timeout has passed and *nothing* of
    /// `buf` was taken: the same bytes are written again later. A stream that took a part of them
    /// must say how many instead. A stream that cannot know, as a socket on Windows, says
    /// [`TimedOut`](io::ErrorKind::TimedOut): then the connection is over, because nothing may be
    /// written twice. [`Interrupted`](io::ErrorKind::Interrupted) is tried again. After any other
    /// error the connection is over.
    fn write(&self, buf: &[u8]) -> io::Result<usize>;

    /// Sets how long a read may block; `None` for ever.
    ///
    /// # Errors
    /// Any. What can be read without blocking is read before the connection is over.
    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()>;

    /// Sets how long a write may block; `None` for ever.
    ///
    /// # Errors
    /// Any; the connection is over, unless the bytes can be written without blocking.
    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()>;

    /// Returns whether a write that times out always says
    /// [`WouldBlock`](io::ErrorKind::WouldBlock), and never
    /// [`TimedOut`](io::ErrorKind::TimedOut): `true` for sockets on Unix, `false` by default.
    ///
    /// If so, a write that blocks is interrupted every few seconds to look whether the connection
    /// should be over. If not, one write may block for the whole write timeout.
    fn resumes_writes(&self) -> bool {
        false
    }

    /// Switches to reads and writes that never block, and back.
    ///
    /// # Errors
    /// Any; the connection is over.
    fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()>;

    /// Ends one direction or both, and wakes whoever blocks in it.
    ///
    /// # Errors
    /// Any; it is ignored.
    fn shutdown(&self, how: Shutdown) -> io::Result<()>;

    /// The address of the other end, if it has one.
    fn peer_addr(&self) -> Option<SocketAddr> {
        None
    }

    /// Returns the address of this end, if it has one.
    fn local_addr(&self) -> Option<SocketAddr> {
        None
    }

    /// For the streams of `std`: the one to use instead.
    #[doc(hidden)]
    fn into_shared(self) -> Arc<dyn Stream>
    where
        Self: Sized,
    {
        Arc::new(Guest(self))
    }
}

macro_rules! socket {
    ($socket:ty, |$this:ident| $peer_addr:expr, $local_addr:expr, $($into_shared:item)?) => {
        impl Stream for $socket {
            fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
                io::Read::read(&mut &*self, buf)
            }

            fn write(&self, buf: &[u8]) -> io::Result<usize> {
                io::Write::write(&mut &*self, buf)
            }

            fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
                Self::set_read_timeout(self, timeout)
            }

            fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
                Self::set_write_timeout(self, timeout)
            }

            fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
                Self::set_nonblocking(self, nonblocking)
            }

            fn resumes_writes(&self) -> bool {
                cfg!(unix)
            }

            fn shutdown(&self, how: Shutdown) -> io::Result<()> {
                Self::shutdown(self, how)
            }

            fn peer_addr(&self) -> Option<SocketAddr> {
                let $this = self;
                $peer_addr
            }

            fn local_addr(&self) -> Option<SocketAddr> {
                let $this = self;
                $local_addr
            }

            $($into_shared)?
        }
    };
}

socket!(TcpStream, |this| Self::peer_addr(this).ok(), Self::local_addr(this).ok(),);
#[cfg(unix)]
socket!(
    std::os::unix::net::UnixStream,
    |_this| None,
    None,
    fn into_shared(self) -> Arc<dyn Stream> {
        Arc::new(Guest(without_sigpipe(self)))
    }
);

/// Returns the same socket in a type whose writes fail once the peer is gone. Before Rust 1.90 a
/// `UnixStream` of `std` writes by `write(2)`, which raises SIGPIPE. A `TcpStream` has always
/// written by `send(2)` with `MSG_NOSIGNAL`, and its other methods that are used here work for any
/// socket.
#[cfg(unix)]
pub(super) fn without_sigpipe(stream: std::os::unix::net::UnixStream) -> TcpStream {
    TcpStream::from(std::os::fd::OwnedFd::from(stream))
}

/// Keeps code of the caller's from being called while a thread unwinds: a second panic, in a
/// destructor, would abort the process.
#[derive(Debug)]
pub(crate) struct Guest<S>(pub(crate) S);

fn unless_panicking<T>(call: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    if panicking() { Err(io::ErrorKind::NotConnected.into()) } else { call() }
}

impl<S: Stream> Stream for Guest<S> {
    fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        unless_panicking(|| self.0.read(buf))
    }

    fn write(&self, buf: &[u8]) -> io::Result<usize> {
        unless_panicking(|| self.0.write(buf))
    }

    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        unless_panicking(|| self.0.set_read_timeout(timeout))
    }

    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        unless_panicking(|| self.0.set_write_timeout(timeout))
    }

    fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        unless_panicking(|| self.0.set_nonblocking(nonblocking))
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        unless_panicking(|| self.0.shutdown(how))
    }

    fn resumes_writes(&self) -> bool {
        !panicking() && self.0.resumes_writes()
    }

    fn peer_addr(&self) -> Option<SocketAddr> {
        if panicking() { None } else { self.0.peer_addr() }
    }

    fn local_addr(&self) -> Option<SocketAddr> {
        if panicking() { None } else { self.0.local_addr() }
    }
}
