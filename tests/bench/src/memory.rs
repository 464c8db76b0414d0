//! A server in memory. It answers the opening handshake, then sends the same frames for ever, and
//! discards what it is sent. So a client over it takes the same number of instructions each time.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::server::shake_hands;

/// The number of bytes that are copied at once.
const SHORT: usize = 1024;

/// Is the client's end of the stream.
#[derive(Clone, Debug)]
pub struct Memory(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    /// The bytes that the client has sent, until its request is whole.
    request: Vec<u8>,
    /// The answer to the request, until it is read.
    answer: Option<Vec<u8>>,
    /// A whole number of frames.
    frames: Vec<u8>,
    /// The number of bytes of `frames` that are read.
    at: usize,
}

impl Memory {
    /// Makes a server that sends these frames over and over again.
    pub fn new(frames: Vec<u8>) -> Self {
        Self(Arc::new(Mutex::new(State { request: Vec::new(), answer: None, frames, at: 0 })))
    }

    fn receive(&self, buf: &mut [u8]) -> usize {
        let mut state = self.0.lock().unwrap();
        let state = &mut *state;
        if let Some(answer) = &mut state.answer {
            let len = buf.len().min(answer.len());
            buf[..len].copy_from_slice(&answer[..len]);
            answer.drain(..len);
            if answer.is_empty() {
                state.answer = None;
            }
            return len;
        }
        let rest = &state.frames[state.at..];
        let len = buf.len().min(rest.len());
        // A long copy may be one instruction that counts for each byte.
        for (to, from) in buf[..len].chunks_mut(SHORT).zip(rest[..len].chunks(SHORT)) {
            to.copy_from_slice(from);
        }
        state.at = (state.at + len) % state.frames.len();
        len
    }

    fn send(&self, bytes: &[u8]) -> usize {
        let mut state = self.0.lock().unwrap();
        if !state.request.ends_with(b"\r\n\r\n") {
            state.request.extend_from_slice(bytes);
            if state.request.ends_with(b"\r\n\r\n") {
                let mut exchange = Exchange { request: &state.request, answer: Vec::new() };
                shake_hands(&mut exchange).unwrap();
                state.answer = Some(exchange.answer);
            }
        }
        bytes.len()
    }
}

struct Exchange<'a> {
    request: &'a [u8],
    answer: Vec<u8>,
}

impl Read for Exchange<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.request.read(buf)
    }
}

impl Write for Exchange<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.answer.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Memory {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        Ok(self.receive(buf))
    }
}

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(self.send(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl landline::stream::Stream for Memory {
    fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        Ok(self.receive(buf))
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        Ok(self.send(bytes))
    }

    fn set_read_timeout(&self, _: Option<Duration>) -> io::Result<()> {
        Ok(())
    }

    fn set_write_timeout(&self, _: Option<Duration>) -> io::Result<()> {
        Ok(())
    }

    /// Says what a socket says on Unix.
    fn resumes_writes(&self) -> bool {
        true
    }

    fn set_nonblocking(&self, _: bool) -> io::Result<()> {
        Ok(())
    }

    fn shutdown(&self, _: Shutdown) -> io::Result<()> {
        Ok(())
    }
}
