//! nexus-web, a blocking client over a core without I/O. It lends messages, and `into_owned`
//! copies them.

use std::io::{Read, Write};
use std::net::TcpStream;

use nexus_web::ws::{Client, ClientBuilder, CloseCode, FrameWriter};
use nexus_web::ws::{Message as Theirs, OwnedMessage, Role};

use super::{BATCH, Connection, MOST, Target};
use crate::message::{Expected, Message};

/// The size of its write buffer if it is not set.
const DEFAULT_BUFFER: usize = 64 * 1024;
/// Above the size of a header.
const HEADER: usize = 64;

struct NexusWeb<S> {
    ws: Client<S>,
    owned: bool,
    /// The same socket, to make it non-blocking.
    tcp: TcpStream,
    polls: bool,
    /// The client has no batches, but its core can write several frames into a buffer.
    batch: FrameWriter,
    buffer: Vec<u8>,
}

pub fn connect(target: &Target, path: &str, owned: bool) -> Box<dyn Connection> {
    assert!(!target.deflate, "nexus-web does not compress");
    let (url, tcp) = (target.url(path), target.tcp());
    let same = tcp.try_clone().unwrap();
    match &target.tls {
        // Its own TLS uses aws-lc-rs. Over this stream it has the cryptography of all others.
        Some(config) => shake_hands(target.rustls(config), same, &url, target.longest, owned),
        None => shake_hands(tcp, same, &url, target.longest, owned),
    }
}

fn shake_hands(
    stream: impl Read + Write + Send + 'static,
    tcp: TcpStream,
    url: &str,
    longest: usize,
    owned: bool,
) -> Box<dyn Connection> {
    let builder = ClientBuilder::new().max_frame_size(MOST as u64).max_message_size(MOST);
    // It panics if a message that it sends is longer than its buffer.
    let builder = builder.write_buffer_capacity(longest.max(DEFAULT_BUFFER) + HEADER);
    let ws = builder.connect_with(stream, url).unwrap();
    let batch = FrameWriter::new(Role::Client);
    Box::new(NexusWeb { ws, owned, tcp, polls: false, batch, buffer: Vec::new() })
}

impl<S: Read + Write + Send> Connection for NexusWeb<S> {
    fn receive(&mut self, count: usize, expected: &Expected) {
        for _ in 0..count {
            let message = self.ws.recv().unwrap().expect("the server hung up");
            check(expected, message, self.owned);
        }
    }

    fn send(&mut self, message: &Message, count: usize) {
        for _ in 0..count {
            match &message.text {
                Some(text) => self.ws.send_text(text).unwrap(),
                None => self.ws.send_binary(&message.bytes).unwrap(),
            }
        }
    }

    fn send_batches(&mut self, message: &Message, batches: usize) {
        self.buffer.resize(BATCH * self.batch.max_encoded_len(message.bytes.len()), 0);
        for _ in 0..batches {
            let mut end = 0;
            for _ in 0..BATCH {
                let space = &mut self.buffer[end..];
                end += match &message.text {
                    Some(text) => self.batch.encode_text(text.as_bytes(), space),
                    None => self.batch.encode_binary(&message.bytes, space),
                };
            }
            self.ws.stream_mut().write_all(&self.buffer[..end]).unwrap();
        }
    }

    fn close(mut self: Box<Self>) {
        self.ws.close(CloseCode::Normal, "").unwrap();
        while !matches!(self.ws.recv().unwrap(), Some(Theirs::Close(_))) {}
    }

    fn poll(&mut self, expected: &Expected) -> bool {
        if !self.polls {
            self.tcp.set_nonblocking(true).unwrap();
            self.polls = true;
        }
        let message = self.ws.recv().unwrap();
        let came = message.is_some();
        if let Some(message) = message {
            check(expected, message, self.owned);
        }
        came
    }
}

fn check(expected: &Expected, message: Theirs<'_>, owned: bool) {
    if owned {
        match message.into_owned() {
            OwnedMessage::Binary(bytes) => expected.check(false, &bytes),
            OwnedMessage::Text(text) => expected.check(true, text.as_bytes()),
            other => panic!("{other:?}"),
        }
    } else {
        match message {
            Theirs::Binary(bytes) => expected.check(false, bytes),
            Theirs::Text(text) => expected.check(true, text.as_bytes()),
            other => panic!("{other:?}"),
        }
    }
}
