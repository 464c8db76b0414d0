//! tungstenite. It returns a message whose bytes it does not keep.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Error, Message as Theirs, WebSocket};

use super::{BATCH, Connection, MOST, Target};
use crate::message::{Expected, Message};

struct Tungstenite<S> {
    ws: WebSocket<S>,
    /// The same socket, to make it non-blocking.
    tcp: TcpStream,
    polls: bool,
    /// The message that the last poll received.
    polled: Option<Theirs>,
}

pub fn connect(target: &Target, path: &str) -> Box<dyn Connection> {
    assert!(!target.deflate, "tungstenite does not compress");
    let (url, tcp) = (target.url(path), target.tcp());
    let same = tcp.try_clone().unwrap();
    match &target.tls {
        Some(config) => shake_hands(target.rustls(config), same, url),
        None => shake_hands(tcp, same, url),
    }
}

fn shake_hands(
    stream: impl Read + Write + Send + 'static,
    tcp: TcpStream,
    url: String,
) -> Box<dyn Connection> {
    let config = WebSocketConfig::default().max_message_size(Some(MOST)).max_frame_size(Some(MOST));
    let ws = tungstenite::client::client_with_config(url, stream, Some(config)).unwrap().0;
    Box::new(Tungstenite { ws, tcp, polls: false, polled: None })
}

fn clone(message: &Message) -> Theirs {
    match &message.text {
        Some(text) => Theirs::Text(text.clone()),
        None => Theirs::Binary(message.bytes.clone()),
    }
}

fn check(expected: &Expected, message: &Theirs) {
    match message {
        Theirs::Binary(bytes) => expected.check(false, bytes),
        Theirs::Text(text) => expected.check(true, text.as_bytes()),
        other => panic!("{other:?}"),
    }
}

impl<S: Read + Write + Send> Connection for Tungstenite<S> {
    fn receive(&mut self, count: usize, expected: &Expected) {
        for _ in 0..count {
            check(expected, &self.ws.read().unwrap());
        }
    }

    fn send(&mut self, message: &Message, count: usize) {
        for _ in 0..count {
            self.ws.send(clone(message)).unwrap();
        }
    }

    fn send_batches(&mut self, message: &Message, batches: usize) {
        for _ in 0..batches {
            for _ in 0..BATCH {
                self.ws.write(clone(message)).unwrap();
            }
            self.ws.flush().unwrap();
        }
    }

    fn close(mut self: Box<Self>) {
        self.ws.close(None).unwrap();
        loop {
            match self.ws.read() {
                Ok(_) => {}
                Err(Error::ConnectionClosed) => return,
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn poll(&mut self, expected: &Expected) -> bool {
        if !self.polls {
            self.tcp.set_nonblocking(true).unwrap();
            self.polls = true;
        }
        match self.ws.read() {
            Ok(message) => {
                check(expected, &message);
                self.polled = Some(message);
            }
            Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => return false,
            Err(error) => panic!("{error}"),
        }
        true
    }

    fn drop_polled(&mut self) {
        self.polled = None;
    }
}
