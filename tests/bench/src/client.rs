//! The contenders: landline, tungstenite, and a bare stream that moves the same bytes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use landline::tls::TlsOptions;
use landline::{Builder, Event};
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use tungstenite::{Bytes, Message};

use crate::wire::{frame_len, header};

/// The number of messages in a batch.
pub const BATCH: usize = 64;

/// Sends and receives, as all contenders can. Anything unexpected panics.
pub trait Client {
    /// Sends one binary message, and hands it to the system.
    fn send(&mut self, payload: &Bytes);

    /// Sends [`BATCH`] messages, and hands them to the system together.
    fn send_batch(&mut self, payload: &Bytes);

    /// Receives `count` messages of `len` bytes.
    fn receive(&mut self, count: usize, len: usize);
}

/// Names a contender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// landline with `next_event`, which lends the message.
    Landline,
    /// landline with `recv`, which returns the message.
    LandlineRecv,
    Tungstenite,
    Bare,
}

/// Holds the address of the server, and the trust in it if it uses TLS.
pub struct Target {
    pub address: SocketAddr,
    pub tls: Option<Arc<ClientConfig>>,
}

impl Target {
    /// Connects. The path says what the server does.
    pub fn connect(&self, who: Who, path: &str) -> Box<dyn Client> {
        match who {
            Who::Landline => Box::new(Landline { ws: self.landline(path), owned: false }),
            Who::LandlineRecv => Box::new(Landline { ws: self.landline(path), owned: true }),
            Who::Tungstenite => self.tungstenite(path),
            Who::Bare => self.bare(path),
        }
    }

    pub fn url(&self, path: &str) -> String {
        match &self.tls {
            Some(_) => format!("wss://localhost:{}{path}", self.address.port()),
            None => format!("ws://{}{path}", self.address),
        }
    }

    fn tcp(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    fn tls(&self, config: &Arc<ClientConfig>) -> StreamOwned<ClientConnection, TcpStream> {
        let name = "localhost".try_into().unwrap();
        StreamOwned::new(ClientConnection::new(config.clone(), name).unwrap(), self.tcp())
    }

    fn landline(&self, path: &str) -> landline::WebSocket {
        let mut builder = Builder::new();
        if let Some(config) = &self.tls {
            builder = builder.tls(TlsOptions::from_rustls(config.clone()));
        }
        // The others look up no name either.
        builder.connect_over(&self.url(path), self.tcp()).unwrap()
    }

    fn tungstenite(&self, path: &str) -> Box<dyn Client> {
        let url = self.url(path);
        match &self.tls {
            Some(config) => Box::new(tungstenite::client(url, self.tls(config)).unwrap().0),
            None => Box::new(tungstenite::client(url, self.tcp()).unwrap().0),
        }
    }

    fn bare(&self, path: &str) -> Box<dyn Client> {
        match &self.tls {
            Some(config) => Box::new(Bare::new(self.tls(config), path)),
            None => Box::new(Bare::new(self.tcp(), path)),
        }
    }
}

struct Landline {
    ws: landline::WebSocket,
    owned: bool,
}

impl Client for Landline {
    fn send(&mut self, payload: &Bytes) {
        self.ws.send(&payload[..]).unwrap();
    }

    fn send_batch(&mut self, payload: &Bytes) {
        self.ws.sender().send_all((0..BATCH).map(|_| &payload[..])).unwrap();
    }

    fn receive(&mut self, count: usize, len: usize) {
        for _ in 0..count {
            let received = if self.owned {
                match self.ws.recv().unwrap() {
                    landline::Message::Binary(bytes) => bytes.len(),
                    other => panic!("{other:?}"),
                }
            } else {
                match self.ws.next_event().unwrap() {
                    Event::Binary(bytes) => bytes.len(),
                    other => panic!("{other:?}"),
                }
            };
            assert_eq!(received, len);
        }
    }
}

impl<S: Read + Write> Client for tungstenite::WebSocket<S> {
    fn send(&mut self, payload: &Bytes) {
        self.write(Message::Binary(payload.clone())).unwrap();
        self.flush().unwrap();
    }

    fn send_batch(&mut self, payload: &Bytes) {
        for _ in 0..BATCH {
            self.write(Message::Binary(payload.clone())).unwrap();
        }
        self.flush().unwrap();
    }

    fn receive(&mut self, count: usize, len: usize) {
        for _ in 0..count {
            match self.read().unwrap() {
                Message::Binary(bytes) => assert_eq!(bytes.len(), len),
                other => panic!("{other:?}"),
            }
        }
    }
}

/// Moves bytes. It masks nothing, and does not look at what it receives.
struct Bare<S> {
    stream: S,
    buffer: Vec<u8>,
}

impl<S: Read + Write> Bare<S> {
    fn new(mut stream: S, path: &str) -> Self {
        let key = "AAAAAAAAAAAAAAAAAAAAAA==";
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
             Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
        )
        .unwrap();
        stream.flush().unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        Self { stream, buffer: vec![0; 64 * 1024] }
    }

    fn write(&mut self, payload: &Bytes, times: usize) {
        let mut message = header(payload.len(), true);
        if payload.len() > 1024 {
            // The payload is written from where it is, without a copy.
            self.stream.write_all(&message).unwrap();
            self.stream.write_all(payload).unwrap();
        } else {
            message.extend_from_slice(payload);
            let len = message.len() * times;
            for to in self.buffer[..len].chunks_exact_mut(message.len()) {
                to.copy_from_slice(&message);
            }
            self.stream.write_all(&self.buffer[..len]).unwrap();
        }
        self.stream.flush().unwrap();
    }
}

impl<S: Read + Write> Client for Bare<S> {
    fn send(&mut self, payload: &Bytes) {
        self.write(payload, 1);
    }

    fn send_batch(&mut self, payload: &Bytes) {
        self.write(payload, BATCH);
    }

    fn receive(&mut self, count: usize, len: usize) {
        let mut left = count * frame_len(len, false);
        while left > 0 {
            let most = left.min(self.buffer.len());
            let read = self.stream.read(&mut self.buffer[..most]).unwrap();
            assert!(read > 0, "the server hung up");
            left -= read;
        }
    }
}
