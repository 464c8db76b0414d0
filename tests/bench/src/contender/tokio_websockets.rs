//! tokio-websockets. It returns a message whose bytes it does not keep.

use std::sync::mpsc::Sender;
use std::time::Instant;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio_websockets::{ClientBuilder, Limits, Message as Theirs, Payload, WebSocketStream};

use super::runtime::{Stream, run, tcp, tls, wait};
use super::{BATCH, Connection, MOST, Target, nanoseconds};
use crate::message::{Expected, Message};

struct TokioWebsockets<S>(WebSocketStream<S>);

pub fn connect(target: &Target, path: &str) -> Box<dyn Connection> {
    assert!(!target.deflate, "tokio-websockets does not compress");
    let url = target.url(path);
    match &target.tls {
        Some(_) => Box::new(wait(async { shake_hands(tls(target).await, &url).await })),
        None => Box::new(wait(async { shake_hands(tcp(target).await, &url).await })),
    }
}

async fn shake_hands<S: Stream>(stream: S, url: &str) -> TokioWebsockets<S> {
    let limits = Limits::default().max_payload_len(Some(MOST));
    let builder = ClientBuilder::new().uri(url).unwrap().limits(limits);
    TokioWebsockets(builder.connect_on(stream).await.unwrap().0)
}

/// Opens connections that are tasks of one thread.
pub fn listen(target: &Target, count: usize, expected: &Expected, heard: &Sender<()>) {
    let listeners = (0..count).map(|_| {
        let mut ws = wait(async { shake_hands(tcp(target).await, &target.url("/listen")).await });
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

fn clone(message: &Message) -> Theirs {
    let payload = Payload::from(message.bytes.clone());
    if message.text.is_some() { Theirs::text(payload) } else { Theirs::binary(payload) }
}

impl<S: Stream> TokioWebsockets<S> {
    async fn receive_one(&mut self, expected: &Expected) {
        let message = self.0.next().await.unwrap().unwrap();
        expected.check(message.is_text(), message.as_payload());
    }
}

impl<S: Stream> Connection for TokioWebsockets<S> {
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
                self.0.send(clone(message)).await.unwrap();
            }
        });
    }

    fn send_batches(&mut self, message: &Message, batches: usize) {
        wait(async {
            for _ in 0..batches {
                for _ in 0..BATCH {
                    self.0.feed(clone(message)).await.unwrap();
                }
                self.0.flush().await.unwrap();
            }
        });
    }

    fn echo(&mut self, message: &Message, expected: &Expected, trips: &mut [u64]) {
        wait(async {
            for trip in trips {
                let began = Instant::now();
                self.0.send(clone(message)).await.unwrap();
                self.receive_one(expected).await;
                *trip = nanoseconds(began);
            }
        });
    }

    fn close(mut self: Box<Self>) {
        wait(async {
            self.0.close().await.unwrap();
            while let Some(Ok(_)) = self.0.next().await {}
        });
    }
}
