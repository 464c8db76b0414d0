//! landline itself.

use landline::deflate::Deflate;
use landline::tls::TlsOptions;
use landline::{Builder, CloseCode, Event, MessageRef, WebSocket};

use super::{BATCH, Connection, Target};
use crate::message::{Expected, Message};

pub struct Landline {
    ws: WebSocket,
    owned: bool,
    /// The message that the last poll received.
    polled: Option<landline::Message>,
}

pub fn connect(target: &Target, path: &str, owned: bool) -> Landline {
    let mut builder = Builder::new();
    if let Some(config) = &target.tls {
        builder = builder.tls(TlsOptions::from_rustls(config.clone()));
    }
    if target.deflate {
        builder = builder.deflate(Deflate::new());
    }
    // The others look up no name either.
    let ws = builder.connect_over(&target.url(path), target.tcp()).unwrap();
    assert_eq!(ws.deflate().is_some(), target.deflate);
    Landline { ws, owned, polled: None }
}

fn borrow(message: &Message) -> MessageRef<'_> {
    match &message.text {
        Some(text) => MessageRef::Text(text),
        None => MessageRef::Binary(&message.bytes),
    }
}

fn check(expected: &Expected, message: &landline::Message) {
    expected.check(matches!(message, landline::Message::Text(_)), message.as_bytes());
}

impl Connection for Landline {
    fn receive(&mut self, count: usize, expected: &Expected) {
        for _ in 0..count {
            if self.owned {
                check(expected, &self.ws.recv().unwrap());
            } else {
                match self.ws.next_event().unwrap() {
                    Event::Binary(bytes) => expected.check(false, bytes),
                    Event::Text(text) => expected.check(true, text.as_bytes()),
                    other => panic!("{other:?}"),
                }
            }
        }
    }

    fn send(&mut self, message: &Message, count: usize) {
        for _ in 0..count {
            self.ws.send(borrow(message)).unwrap();
        }
    }

    fn send_batches(&mut self, message: &Message, batches: usize) {
        for _ in 0..batches {
            self.ws.send_all((0..BATCH).map(|_| borrow(message))).unwrap();
        }
    }

    fn close(mut self: Box<Self>) {
        self.ws.close(CloseCode::NORMAL).unwrap();
    }

    fn poll(&mut self, expected: &Expected) -> bool {
        self.polled = self.ws.try_recv().unwrap();
        if let Some(message) = &self.polled {
            check(expected, message);
        }
        self.polled.is_some()
    }

    fn drop_polled(&mut self) {
        self.polled = None;
    }
}
