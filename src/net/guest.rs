//! A stream that the caller brought.

use std::io;
use std::net::{Shutdown, SocketAddr};
use std::thread::panicking;
use std::time::Duration;

use super::duplex::Stream;

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
}
