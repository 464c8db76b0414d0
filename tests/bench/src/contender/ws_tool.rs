//! ws-tool, the blocking codecs. They lend messages.

use std::io::{Read, Write};

use ws_tool::ClientBuilder;
use ws_tool::codec::{BytesCodec, DeflateCodec, PMDConfig};
use ws_tool::frame::OpCode;
use ws_tool::stream::BufStream;

use super::{BATCH, Connection, Target};
use crate::message::{Expected, Message};

/// The buffers of `ClientConfig::buffered`.
const BUFFER: usize = 8192;

struct Plain<S: Read + Write>(BytesCodec<BufStream<S>>);

struct Deflate<S: Read + Write>(DeflateCodec<BufStream<S>>);

pub fn connect(target: &Target, path: &str) -> Box<dyn Connection> {
    let url = target.url(path);
    match &target.tls {
        Some(config) => shake_hands(target.rustls(config), &url),
        None if target.deflate => deflate(target.tcp(), &url),
        None => shake_hands(target.tcp(), &url),
    }
}

fn shake_hands(stream: impl Read + Write + Send + 'static, url: &str) -> Box<dyn Connection> {
    let stream = BufStream::with_capacity(BUFFER, BUFFER, stream);
    let url = url.parse().unwrap();
    Box::new(Plain(ClientBuilder::new().with_stream(url, stream, BytesCodec::check_fn).unwrap()))
}

fn deflate(stream: impl Read + Write + Send + 'static, url: &str) -> Box<dyn Connection> {
    let stream = BufStream::with_capacity(BUFFER, BUFFER, stream);
    let builder = ClientBuilder::new().extension(PMDConfig::default().ext_string());
    let url = url.parse().unwrap();
    Box::new(Deflate(builder.with_stream(url, stream, DeflateCodec::check_fn).unwrap()))
}

fn kind(message: &Message) -> OpCode {
    if message.text.is_some() { OpCode::Text } else { OpCode::Binary }
}

impl<S: Read + Write + Send> Connection for Plain<S> {
    fn receive(&mut self, count: usize, expected: &Expected) {
        for _ in 0..count {
            let message = self.0.receive().unwrap();
            expected.check(message.code == OpCode::Text, &message.data);
        }
    }

    fn send(&mut self, message: &Message, count: usize) {
        for _ in 0..count {
            self.0.send((kind(message), &message.bytes[..])).unwrap();
            self.0.flush().unwrap();
        }
    }

    fn send_batches(&mut self, message: &Message, batches: usize) {
        for _ in 0..batches {
            for _ in 0..BATCH {
                self.0.send((kind(message), &message.bytes[..])).unwrap();
            }
            self.0.flush().unwrap();
        }
    }

    fn close(mut self: Box<Self>) {
        // Its `close` sends a binary message, not a Close.
        self.0.send((OpCode::Close, &1000_u16.to_be_bytes()[..])).unwrap();
        self.0.flush().unwrap();
        while self.0.receive().unwrap().code != OpCode::Close {}
    }
}

impl<S: Read + Write + Send> Connection for Deflate<S> {
    fn receive(&mut self, count: usize, expected: &Expected) {
        for _ in 0..count {
            let (header, data) = self.0.receive().unwrap();
            expected.check(header.code == OpCode::Text, data);
        }
    }

    fn send(&mut self, message: &Message, count: usize) {
        for _ in 0..count {
            self.0.send(kind(message), &message.bytes).unwrap();
            self.0.flush().unwrap();
        }
    }

    fn send_batches(&mut self, message: &Message, batches: usize) {
        for _ in 0..batches {
            for _ in 0..BATCH {
                self.0.send(kind(message), &message.bytes).unwrap();
            }
            self.0.flush().unwrap();
        }
    }

    fn close(mut self: Box<Self>) {
        self.0.close(1000, b"").unwrap();
        self.0.flush().unwrap();
        while self.0.receive().unwrap().0.code != OpCode::Close {}
    }
}
