//! A stream like a socket of Windows in blocking mode: nobody knows how much a write took that
//! timed out, so the timeout of a write is final.

#![allow(clippy::unwrap_used)] // `clippy.toml` allows it in test functions only.

use crate::support;

use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use landline::stream::Stream;
use landline::{Error, Timeout};
use support::*;

/// A socket of which some writes are slow. The writes of it are counted from 0.
#[derive(Debug)]
struct Blocking {
    socket: TcpStream,
    writes: AtomicUsize,
    write_timeout: Mutex<Option<Duration>>,
}

const WRITE_TIMEOUT: Duration = Duration::from_millis(1500);
/// The write that takes this long, and its number. The opening handshake is the write 0.
const SLOW: (usize, Duration) = (1, Duration::from_millis(400));
/// The number of the write that times out.
const NEVER: usize = 3;

impl Stream for Blocking {
    fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        io::Read::read(&mut &self.socket, buf)
    }

    fn write(&self, buf: &[u8]) -> io::Result<usize> {
        let number = self.writes.fetch_add(1, Ordering::SeqCst);
        if number == SLOW.0 {
            thread::sleep(SLOW.1); // The peer reads slowly.
        }
        if number == NEVER {
            thread::sleep(self.write_timeout.lock().unwrap().unwrap());
            return Err(io::ErrorKind::TimedOut.into());
        }
        io::Write::write(&mut &self.socket, buf)
    }

    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.socket.set_read_timeout(timeout)
    }

    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        *self.write_timeout.lock().unwrap() = timeout;
        Ok(())
    }

    fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.socket.set_nonblocking(nonblocking)
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.socket.shutdown(how)
    }
}

#[test]
fn a_write_that_cannot_be_resumed_has_the_whole_write_timeout() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| peer.stall());
        let socket = TcpStream::connect(server.addr).unwrap();
        let (writes, write_timeout) = <_>::default();
        let stream = Blocking { socket, writes, write_timeout };
        let builder = builder().write_timeout(WRITE_TIMEOUT);
        let ws = builder.connect_over("ws://blocking/", stream).unwrap();
        // The second chunk of this message has only the rest of the time.
        ws.send([0; 100 * 1024]).unwrap();
        let timed_out = takes(WRITE_TIMEOUT, || error(ws.send("the next")));
        assert!(matches!(timed_out, Error::Timeout(Timeout::Send)), "{timed_out:?}");
        // Nothing is written after it.
        assert!(error(ws.send("the last")).closed().is_some());
        drop(ws);
        server.join();
    });
}
