//! The streams that are read and written: sockets, and streams that the caller brings.

use std::fmt;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread::panicking;
use std::time::Duration;

/// Carries a WebSocket connection: a connected stream socket, or anything that behaves like one.
/// [`Builder::connect_over`](crate::Builder::connect_over) takes it.
///
/// One thread reads while another one writes, so all methods take `&self`. The stream is in
/// blocking mode, and its timeouts mean what they mean for [`TcpStream`].
///
/// If a method panics, the connection is over, and the panic goes on to the code that called
/// landline. No method is called while a thread unwinds.
///
/// # Examples
///
/// Any pair of a reader and a writer can be made a stream: the pipes of a child process, a serial
/// port, a channel of an SSH session. They have no timeouts, so two threads do what blocks, and the
/// stream waits for the threads.
///
/// ```
/// use std::collections::VecDeque;
/// use std::io::{self, ErrorKind, Read, Write};
/// use std::net::Shutdown;
/// use std::sync::{Arc, Condvar, Mutex, MutexGuard};
/// use std::thread;
/// use std::time::Duration;
///
/// use landline::stream::Stream;
///
/// /// Carries bytes from one thread to another.
/// #[derive(Debug, Default)]
/// struct Queue {
///     state: Mutex<State>,
///     changed: Condvar,
/// }
///
/// #[derive(Debug, Default)]
/// struct State {
///     bytes: VecDeque<u8>,
///     has_ended: bool,
/// }
///
/// const CAPACITY: usize = 64 * 1024;
///
/// impl Queue {
///     /// Waits until the state is ready, or the queue has ended.
///     fn wait(
///         &self,
///         timeout: Option<Duration>,
///         is_ready: impl Fn(&State) -> bool,
///     ) -> io::Result<MutexGuard<'_, State>> {
///         let waits = |state: &mut State| !state.has_ended && !is_ready(state);
///         let state = self.state.lock().unwrap();
///         let Some(timeout) = timeout else {
///             return Ok(self.changed.wait_while(state, waits).unwrap());
///         };
///         let (state, result) = self.changed.wait_timeout_while(state, timeout, waits).unwrap();
///         if result.timed_out() { Err(ErrorKind::WouldBlock.into()) } else { Ok(state) }
///     }
///
///     fn read(&self, buf: &mut [u8], timeout: Option<Duration>) -> io::Result<usize> {
///         let mut state = self.wait(timeout, |state| !state.bytes.is_empty())?;
///         let len = state.bytes.read(buf)?;
///         self.changed.notify_all();
///         Ok(len)
///     }
///
///     fn write(&self, buf: &[u8], timeout: Option<Duration>) -> io::Result<usize> {
///         let mut state = self.wait(timeout, |state| state.bytes.len() < CAPACITY)?;
///         if state.has_ended {
///             return Err(ErrorKind::BrokenPipe.into());
///         }
///         let len = buf.len().min(CAPACITY - state.bytes.len());
///         state.bytes.extend(&buf[..len]);
///         self.changed.notify_all();
///         Ok(len)
///     }
///
///     fn end(&self) {
///         self.state.lock().unwrap().has_ended = true;
///         self.changed.notify_all();
///     }
/// }
///
/// /// A stream over a reader and a writer.
/// #[derive(Debug)]
/// struct Pair {
///     input: Arc<Queue>,
///     output: Arc<Queue>,
///     options: Mutex<Options>,
/// }
///
/// #[derive(Debug, Default, Clone, Copy)]
/// struct Options {
///     read_timeout: Option<Duration>,
///     write_timeout: Option<Duration>,
///     nonblocking: bool,
/// }
///
/// impl Pair {
///     fn new(reader: impl Read + Send + 'static, writer: impl Write + Send + 'static) -> Self {
///         let (input, output) = (Arc::new(Queue::default()), Arc::new(Queue::default()));
///         let queue = input.clone();
///         thread::spawn(move || {
///             let _ = read_all(reader, &queue);
///             queue.end();
///         });
///         let queue = output.clone();
///         thread::spawn(move || {
///             let _ = write_all(writer, &queue);
///             queue.end();
///         });
///         Self { input, output, options: Mutex::default() }
///     }
///
///     fn options(&self) -> Options {
///         *self.options.lock().unwrap()
///     }
/// }
///
/// fn read_all(mut reader: impl Read, queue: &Queue) -> io::Result<()> {
///     let mut buffer = [0; 4096];
///     loop {
///         let len = reader.read(&mut buffer)?;
///         if len == 0 {
///             return Ok(());
///         }
///         let mut rest = &buffer[..len];
///         while !rest.is_empty() {
///             rest = &rest[queue.write(rest, None)?..];
///         }
///     }
/// }
///
/// fn write_all(mut writer: impl Write, queue: &Queue) -> io::Result<()> {
///     let mut buffer = [0; 4096];
///     loop {
///         let len = queue.read(&mut buffer, None)?;
///         if len == 0 {
///             return Ok(()); // Dropping the writer tells the peer that nothing more comes.
///         }
///         writer.write_all(&buffer[..len])?;
///         writer.flush()?;
///     }
/// }
///
/// impl Stream for Pair {
///     fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
///         let Options { nonblocking, read_timeout, .. } = self.options();
///         self.input.read(buf, if nonblocking { Some(Duration::ZERO) } else { read_timeout })
///     }
///
///     fn write(&self, buf: &[u8]) -> io::Result<usize> {
///         let Options { nonblocking, write_timeout, .. } = self.options();
///         self.output.write(buf, if nonblocking { Some(Duration::ZERO) } else { write_timeout })
///     }
///
///     fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
///         self.options.lock().unwrap().read_timeout = timeout;
///         Ok(())
///     }
///
///     fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
///         self.options.lock().unwrap().write_timeout = timeout;
///         Ok(())
///     }
///
///     fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
///         self.options.lock().unwrap().nonblocking = nonblocking;
///         Ok(())
///     }
///
///     /// A write that times out has put nothing into the queue, so it can be made again.
///     fn resumes_writes(&self) -> bool {
///         true
///     }
///
///     fn shutdown(&self, how: Shutdown) -> io::Result<()> {
///         if how != Shutdown::Read {
///             self.output.end();
///         }
///         if how != Shutdown::Write {
///             self.input.end();
///         }
///         Ok(())
///     }
/// }
///
/// // This reader ends at once, so there is no answer.
/// let stream = Pair::new(io::empty(), io::sink());
/// let error = landline::Builder::new().connect_over("ws://localhost/", stream).unwrap_err();
/// assert!(error.to_string().contains("the server closed the connection"), "{error}");
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
    /// their number instead. A stream that cannot know, such as a socket on Windows, returns
    /// [`TimedOut`](io::ErrorKind::TimedOut). Then the connection is over, because nothing may be
    /// written twice. After [`Interrupted`](io::ErrorKind::Interrupted) landline writes again.
    /// After any other error the connection is over.
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
    fn resumes_writes(&self) -> bool {
        false
    }

    /// Switches to reads and writes that never block, or back. One that would block fails with
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) instead.
    ///
    /// # Errors
    /// After an error the connection is over.
    fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()>;

    /// Ends one direction or both, and wakes the threads that block in them.
    ///
    /// # Errors
    /// Errors are ignored.
    fn shutdown(&self, how: Shutdown) -> io::Result<()>;

    /// Returns the address of the other end, if it has one.
    fn peer_addr(&self) -> Option<SocketAddr> {
        None
    }

    /// Returns the address of this end, if it has one.
    fn local_addr(&self) -> Option<SocketAddr> {
        None
    }

    /// Returns the stream to use, which for some of `std` is another one.
    #[doc(hidden)]
    fn into_shared(self) -> Arc<dyn Stream>
    where
        Self: Sized,
    {
        Arc::new(UnlessPanicking(self))
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
        Arc::new(UnlessPanicking(without_sigpipe(self)))
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
}
