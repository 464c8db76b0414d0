//! fastwebsockets. It returns a message whose bytes it does not keep.
//!
//! Its opening handshake needs hyper, and leads to a stream behind a table of functions. Here the
//! request is written by hand, so that it has the socket itself. Its `FragmentCollector` cannot
//! flush, which TLS needs. So it reads frames here; the server sends each message in one.

use std::sync::mpsc::Sender;
use std::time::Instant;

use fastwebsockets::{Frame, OpCode, Payload, Role, WebSocket};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::bare::request;
use super::runtime::{Stream, run, tcp, tls, wait};
use super::{BATCH, Connection, MOST, Target, nanoseconds};
use crate::message::{Expected, Message};

struct Fastwebsockets<S>(WebSocket<S>);

pub fn connect(target: &Target, path: &str) -> Box<dyn Connection> {
    assert!(!target.deflate, "fastwebsockets does not compress");
    match &target.tls {
        Some(_) => Box::new(wait(async { shake_hands(tls(target).await, path).await })),
        None => Box::new(wait(async { shake_hands(tcp(target).await, path).await })),
    }
}

async fn shake_hands<S: Stream + 'static>(mut stream: S, path: &str) -> Fastwebsockets<S> {
    stream.write_all(request(path).as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    let mut head = Vec::new();
    // The server sends nothing more before it is asked to.
    while !head.ends_with(b"\r\n\r\n") {
        assert!(stream.read_buf(&mut head).await.unwrap() > 0, "the server hung up");
    }
    let mut ws = WebSocket::after_handshake(stream, Role::Client);
    ws.set_max_message_size(MOST);
    Fastwebsockets(ws)
}

/// Opens connections that are tasks of one thread.
pub fn listen(target: &Target, count: usize, expected: &Expected, heard: &Sender<()>) {
    let listeners = (0..count).map(|_| {
        let mut ws = wait(async { shake_hands(tcp(target).await, "/listen").await });
        let (expected, heard) = (expected.clone(), heard.clone());
        async move {
            loop {
                ws.receive_one(&expected).await;
                heard.send(()).unwrap();
            }
        }
    });
    run(listeners.collect());
}

impl<S: Stream> Fastwebsockets<S> {
    async fn receive_one(&mut self, expected: &Expected) {
        let frame = self.0.read_frame().await.unwrap();
        expected.check(frame.opcode == OpCode::Text, &frame.payload);
    }

    async fn write(&mut self, message: &Message) {
        let opcode = if message.text.is_some() { OpCode::Text } else { OpCode::Binary };
        let frame = Frame::new(true, opcode, None, Payload::Borrowed(&message.bytes));
        self.0.write_frame(frame).await.unwrap();
    }
}

impl<S: Stream> Connection for Fastwebsockets<S> {
    fn receive(&mut self, count: usize, expected: &Expected) {
        wait(async {
            for _ in 0..count {
                self.receive_one(expected).await;
            }
        });
    }

    fn send(&mut self, message: &Message, count: usize) {
        wait(async {
            for _ in 0..count {
                self.write(message).await;
                self.0.flush().await.unwrap();
            }
        });
    }

    fn send_batches(&mut self, message: &Message, batches: usize) {
        // It has no batches: each frame is written by itself, into the socket or into TLS.
        wait(async {
            for _ in 0..batches {
                for _ in 0..BATCH {
                    self.write(message).await;
                }
                self.0.flush().await.unwrap();
            }
        });
    }

    fn echo(&mut self, message: &Message, expected: &Expected, trips: &mut [u64]) {
        wait(async {
            for trip in trips {
                let began = Instant::now();
                self.write(message).await;
                self.0.flush().await.unwrap();
                self.receive_one(expected).await;
                *trip = nanoseconds(began);
            }
        });
    }

    fn close(mut self: Box<Self>) {
        wait(async {
            self.0.write_frame(Frame::close(1000, b"")).await.unwrap();
            self.0.flush().await.unwrap();
            while self.0.read_frame().await.unwrap().opcode != OpCode::Close {}
        });
    }
}
