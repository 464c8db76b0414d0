//! The streams that are read and written: sockets, and streams that the caller brings.

use std::fmt;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpStream};
#[cfg(unix)]
use std::os::fd::BorrowedFd;
#[cfg(windows)]
use std::os::windows::io::BorrowedSocket;
use std::sync::Arc;
use std::thread::panicking;
use std::time::Duration;

/// Carries a WebSocket connection: a connected stream socket, or anything that behaves like one.
/// [`Builder::connect_over`](crate::Builder::connect_over) takes it.
///
/// [`TcpStream`] implements it, and on Unix `UnixStream`. So does a `Box<dyn Stream>`, for a
/// program that chooses at run time.
///
/// One thread reads while another one writes, so all methods take `&self`. A stream of a TLS
/// library that reads and writes by `&mut self`, such as that of native-tls or openssl, cannot do
/// both at the same time. A lock around it does not help, because a read that blocks would hold up
/// all writes.
///
/// The stream is in blocking mode, and its timeouts mean what they mean for [`TcpStream`].
///
/// landline may hold a lock while it calls any of its methods. So a stream must not call the
/// connection that it belongs to from within its methods: that call could wait for ever.
///
/// A method that panics ends the connection; the panic goes on to the code that called landline.
/// No method of a stream of your own is called while a thread unwinds, so a message that a
/// destructor sends then fails, and the connection is over.
///
/// # Examples
/// A stream that counts the bytes that are written:
///
/// ```no_run
/// use std::io::{self, Write as _};
/// use std::net::{Shutdown, TcpStream};
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicUsize, Ordering};
/// use std::time::Duration;
///
/// use landline::Builder;
/// use landline::stream::Stream;
///
/// #[derive(Debug)]
/// struct Counting {
///     socket: TcpStream,
///     written: Arc<AtomicUsize>,
/// }
///
/// impl Stream for Counting {
///     fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
///         Stream::read(&self.socket, buf) // On Windows it loses nothing at a timeout.
///     }
///
///     fn write(&self, buf: &[u8]) -> io::Result<usize> {
///         let len = (&self.socket).write(buf)?;
///         self.written.fetch_add(len, Ordering::Relaxed);
///         Ok(len)
///     }
///
///     fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
///         self.socket.set_read_timeout(timeout)
///     }
///
///     fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
///         self.socket.set_write_timeout(timeout)
///     }
///
///     fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
///         self.socket.set_nonblocking(nonblocking)
///     }
///
///     fn shutdown(&self, how: Shutdown) -> io::Result<()> {
///         self.socket.shutdown(how)
///     }
/// }
///
/// let written = Arc::new(AtomicUsize::new(0));
/// let socket = TcpStream::connect("example.com:80")?;
/// let stream = Counting { socket, written: written.clone() };
/// let ws = Builder::new().connect_over("ws://example.com/feed", stream)?;
/// println!("{} bytes to open it", written.load(Ordering::Relaxed));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Stream: fmt::Debug + Send + Sync + 'static {
    /// Reads at least one byte, and blocks until there is one. `Ok(0)` is the end of the stream.
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) or [`TimedOut`](io::ErrorKind::TimedOut) when the
    /// read timeout has passed; nothing is lost, and landline reads again. It also reads again
    /// after [`Interrupted`](io::ErrorKind::Interrupted). After any other error the connection is
    /// over.
    fn read(&self, buf: &mut [u8]) -> io::Result<usize>;

    /// Writes at least one byte of `buf`, and blocks until it can. Returns how many it wrote.
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) when the write timeout has passed and *nothing* of
    /// `buf` was taken: landline writes the same bytes again later. If some were taken, return
    /// their number instead. A stream that cannot know, such as a socket of Windows in blocking
    /// mode, returns [`TimedOut`](io::ErrorKind::TimedOut). Then the connection is over, because
    /// nothing may be written twice. After [`Interrupted`](io::ErrorKind::Interrupted) landline
    /// writes again. After any other error the connection is over.
    fn write(&self, buf: &[u8]) -> io::Result<usize>;

    /// Sets how long a read may block; `None` is without limit.
    ///
    /// # Errors
    /// After an error the connection is over, as soon as what can be read without blocking is read.
    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()>;

    /// Sets how long a write may block; `None` is without limit.
    ///
    /// # Errors
    /// After an error the connection is over, unless the bytes can be written without blocking.
    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()>;

    /// Returns whether a write that times out always fails with
    /// [`WouldBlock`](io::ErrorKind::WouldBlock), and never with
    /// [`TimedOut`](io::ErrorKind::TimedOut): `true` for sockets on Unix, `false` by default.
    ///
    /// With `true`, a write that blocks is interrupted from time to time to check whether the
    /// connection should be over. With `false`, one write may block for the whole write timeout.
    /// With `false`, landline writes on Windows to a stream that has a `socket` in non-blocking
    /// mode only, and tries again while there is no room. That has the advantages of `true`.
    fn resumes_writes(&self) -> bool {
        false
    }

    /// Switches to reads and writes that never block, or back. One that would block fails with
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) instead. landline switches back only when a call
    /// is to block. If the stream blocks all the same, so do
    /// [`try_recv`](crate::Receiver::try_recv) and [`try_send`](crate::Sender::try_send), dropping
    /// a half of the connection, a call that a signal interrupts at its deadline, and on Windows
    /// each write to a stream with a `socket`.
    ///
    /// # Errors
    /// After an error the connection is over.
    fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()>;

    /// Ends one direction or both, and wakes the threads that block in them.
    ///
    /// # Errors
    /// Errors are ignored. If it fails to end both, it is called again to end the writing one.
    fn shutdown(&self, how: Shutdown) -> io::Result<()>;

    /// Returns the address of the other end, if it has one.
    fn peer_addr(&self) -> Option<SocketAddr> {
        None
    }

    /// Returns the address of this end, if it has one.
    fn local_addr(&self) -> Option<SocketAddr> {
        None
    }

    /// Returns the descriptor that an [event loop](crate::guide::event_loops) waits for; `None`,
    /// the default, if there is none. It must become readable and writable when the stream does.
    #[cfg(unix)]
    fn fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// Returns the socket that an [event loop](crate::guide::event_loops) waits for; `None`,
    /// the default, if there is none. It must become readable and writable when the stream does.
    #[cfg(windows)]
    fn socket(&self) -> Option<BorrowedSocket<'_>> {
        None
    }

    /// Returns the stream to use, which for some of `std` is another one.
    #[doc(hidden)]
    fn into_shared(self: Box<Self>) -> Arc<dyn Stream> {
        Arc::new(UnlessPanicking(self))
    }
}

/// Ends both directions, and wakes the threads that block in them. Errors are ignored.
///
/// Once the peer has ended its direction, macOS refuses to end both, and leaves ours as it is. So
/// that one is then ended by itself.
pub(crate) fn shut_down(stream: &dyn Stream) {
    if stream.shutdown(Shutdown::Both).is_err() {
        let _ = stream.shutdown(Shutdown::Write);
    }
}

macro_rules! socket {
    ($socket:ty, $peer_addr:expr, $local_addr:expr, $shared:expr) => {
        impl Stream for $socket {
            fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
                // A read whose timeout passes may lose what arrives at that moment, says the
                // documentation of SO_RCVTIMEO on Windows. A peek takes nothing.
                #[cfg(windows)]
                self.peek(&mut [0])?;
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
                $peer_addr(self)
            }

            fn local_addr(&self) -> Option<SocketAddr> {
                $local_addr(self)
            }

            #[cfg(unix)]
            fn fd(&self) -> Option<BorrowedFd<'_>> {
                Some(std::os::fd::AsFd::as_fd(self))
            }

            #[cfg(windows)]
            fn socket(&self) -> Option<BorrowedSocket<'_>> {
                Some(std::os::windows::io::AsSocket::as_socket(self))
            }

            /// Calls into the system do not panic, so they are made while a thread unwinds too.
            fn into_shared(self: Box<Self>) -> Arc<dyn Stream> {
                Arc::new($shared(*self))
            }
        }
    };
}

socket!(
    TcpStream,
    |this| TcpStream::peer_addr(this).ok(),
    |this| TcpStream::local_addr(this).ok(),
    std::convert::identity
);
#[cfg(unix)]
socket!(std::os::unix::net::UnixStream, |_| None, |_| None, without_sigpipe);

/// Returns the same socket in a type whose writes fail once the peer is gone. Before Rust 1.90 a
/// `UnixStream` of `std` writes by `write(2)`, which raises SIGPIPE. A `TcpStream` has always
/// written by `send(2)` with `MSG_NOSIGNAL`, and its other methods that are used here work for any
/// socket.
#[cfg(unix)]
pub(super) fn without_sigpipe(stream: std::os::unix::net::UnixStream) -> TcpStream {
    TcpStream::from(std::os::fd::OwnedFd::from(stream))
}

impl<S: Stream + ?Sized> Stream for Box<S> {
    fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        (**self).read(buf)
    }

    fn write(&self, buf: &[u8]) -> io::Result<usize> {
        (**self).write(buf)
    }

    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        (**self).set_read_timeout(timeout)
    }

    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        (**self).set_write_timeout(timeout)
    }

    fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        (**self).set_nonblocking(nonblocking)
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        (**self).shutdown(how)
    }

    fn resumes_writes(&self) -> bool {
        (**self).resumes_writes()
    }

    fn peer_addr(&self) -> Option<SocketAddr> {
        (**self).peer_addr()
    }

    fn local_addr(&self) -> Option<SocketAddr> {
        (**self).local_addr()
    }

    #[cfg(unix)]
    fn fd(&self) -> Option<BorrowedFd<'_>> {
        (**self).fd()
    }

    #[cfg(windows)]
    fn socket(&self) -> Option<BorrowedSocket<'_>> {
        (**self).socket()
    }

    fn into_shared(self: Box<Self>) -> Arc<dyn Stream> {
        S::into_shared(*self)
    }
}

/// Does not call the stream while a thread unwinds. A second panic, in a destructor, would abort
/// the process.
#[derive(Debug)]
struct UnlessPanicking<S>(S);

fn unless_panicking<T>(call: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    if panicking() { Err(io::ErrorKind::NotConnected.into()) } else { call() }
}

impl<S: Stream> Stream for UnlessPanicking<S> {
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

    #[cfg(unix)]
    fn fd(&self) -> Option<BorrowedFd<'_>> {
        if panicking() { None } else { self.0.fd() }
    }

    #[cfg(windows)]
    fn socket(&self) -> Option<BorrowedSocket<'_>> {
        if panicking() { None } else { self.0.socket() }
    }

    /// Wraps nothing more: the default would make a type of wrappers in wrappers without end.
    fn into_shared(self: Box<Self>) -> Arc<dyn Stream> {
        Arc::new(*self)
    }
}
