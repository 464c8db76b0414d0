//! A stream that moves the same bytes: a bare socket, or rustls over it. It masks nothing, and does
//! not look at what it receives.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use super::{BATCH, Connection, Target};
use crate::message::{Expected, Message};
use crate::wire::{frame_len, header};

/// Longer messages are written without a copy.
const LONG: usize = 1024;

struct Bare<S> {
    stream: S,
    tcp: TcpStream,
    polls: bool,
    buffer: Vec<u8>,
    /// The frames that are sent next, and the length and number of their messages. Of a long
    /// message it is only the header.
    staged: Vec<u8>,
    staged_for: (usize, usize),
    /// The bytes that were received of the message that `poll` waits for.
    polled: usize,
}

pub fn connect(target: &Target, path: &str) -> Box<dyn Connection> {
    assert!(!target.deflate, "the bare stream does not compress");
    let tcp = target.tcp();
    let same = tcp.try_clone().unwrap();
    match &target.tls {
        Some(config) => shake_hands(target.rustls(config), same, path),
        None => shake_hands(tcp, same, path),
    }
}

/// The request of the bare stream. Its key is no secret.
pub fn request(path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
}

fn shake_hands(
    mut stream: impl Read + Write + Send + 'static,
    tcp: TcpStream,
    path: &str,
) -> Box<dyn Connection> {
    stream.write_all(request(path).as_bytes()).unwrap();
    stream.flush().unwrap();
    let mut buffer = vec![0; 64 * 1024];
    let mut head = 0;
    // The server sends nothing more before it is asked to.
    while !buffer[..head].ends_with(b"\r\n\r\n") {
        let read = stream.read(&mut buffer[head..]).unwrap();
        assert!(read > 0, "the server hung up");
        head += read;
    }
    Box::new(Bare {
        stream,
        tcp,
        polls: false,
        buffer,
        staged: Vec::new(),
        staged_for: (0, 0),
        polled: 0,
    })
}

impl<S: Read + Write> Bare<S> {
    fn write(&mut self, message: &Message, times: usize) {
        let payload = &message.bytes;
        let is_long = payload.len() > LONG;
        if self.staged_for != (payload.len(), times) {
            self.staged = header(payload.len(), true);
            if !is_long {
                self.staged.extend_from_slice(payload);
                self.staged = self.staged.repeat(times);
            }
            self.staged_for = (payload.len(), times);
        }
        if is_long {
            // The payload is written from where it is, without a copy.
            for _ in 0..times {
                self.stream.write_all(&self.staged).unwrap();
                self.stream.write_all(payload).unwrap();
            }
        } else {
            self.stream.write_all(&self.staged).unwrap();
        }
        self.stream.flush().unwrap();
    }
}

impl<S: Read + Write + Send> Connection for Bare<S> {
    fn receive(&mut self, count: usize, expected: &Expected) {
        let mut left = count * frame_len(expected.len, false);
        while left > 0 {
            let most = left.min(self.buffer.len());
            let read = self.stream.read(&mut self.buffer[..most]).unwrap();
            assert!(read > 0, "the server hung up");
            left -= read;
        }
    }

    fn send(&mut self, message: &Message, count: usize) {
        for _ in 0..count {
            self.write(message, 1);
        }
    }

    fn send_batches(&mut self, message: &Message, batches: usize) {
        for _ in 0..batches {
            self.write(message, BATCH);
        }
    }

    fn close(mut self: Box<Self>) {
        // A Close with the code 1000 and the masking key zero.
        self.stream.write_all(&[0x88, 0x82, 0, 0, 0, 0, 3, 232]).unwrap();
        self.stream.flush().unwrap();
        self.stream.read_exact(&mut [0; 4]).unwrap();
    }

    fn poll(&mut self, expected: &Expected) -> bool {
        if !self.polls {
            self.tcp.set_nonblocking(true).unwrap();
            self.polls = true;
        }
        match self.stream.read(&mut self.buffer) {
            Ok(read) => self.polled += read,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => panic!("{error}"),
        }
        let came = self.polled == frame_len(expected.len, false);
        if came {
            self.polled = 0;
        }
        came
    }
}
