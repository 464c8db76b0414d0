//! Runs the halves of a connection under model checkers, which run the threads in many orders:
//!
//! ```text
//! RUSTFLAGS='--cfg loom' cargo test --release --lib --target-dir target/loom model
//! RUSTFLAGS='--cfg shuttle' cargo test --release --lib --target-dir target/shuttle model
//! ```
//!
//! The real `Sender` and `Receiver` run, with all that they use, over a stream in memory
//! (`pipe.rs`). Loom tries every order with at most one, two or three preemptions;
//! `LOOM_MAX_PREEMPTIONS` sets another number. Shuttle tries 10,000 orders at random;
//! `MODEL_ORDERS` sets another number. Both fail when a thread waits for ever. `--nocapture` shows
//! the number of orders.
//!
//! The clock stands still, so pending frames must be flushed without the help of a deadline. Only
//! one wait ends by itself: a receiver that could not flush tries again as soon as there is room.

#![allow(clippy::unwrap_used)] // A test may panic.

mod pipe;

mod abort;
mod close;
mod messages;
mod pending;
#[cfg(feature = "tls-core")]
mod tls;
mod try_send;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::net::duplex::{Duplex, ReadHalf};
use crate::net::stream::Stream as _;
use crate::proto::frame::{Header, Opcode};
use crate::proto::http::HeadReader;
use crate::proto::keepalive::{Keepalive, Timer};
use crate::proto::mask::mask_into;
use crate::proto::recv::{Decoder, Limits};
use crate::websocket::receiver::{Options, Receiver};
use crate::websocket::sender::Sender;
use crate::websocket::wire::{Timeouts, Wire};

use pipe::{End, pair};

/// The threads of a model.
#[cfg(loom)]
use loom::thread::spawn;
#[cfg(all(shuttle, not(loom)))]
use shuttle::thread::spawn;

/// Runs the model in every order that has at most this number of preemptions.
#[cfg(loom)]
fn explore(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(preemptions));
    builder.max_branches = 10_000;
    let (count, model) = counted(model);
    builder.check(model);
    println!("{} orders", count.load(Ordering::Relaxed));
}

/// Runs the model in random orders: half of them with any number of preemptions, half with few.
#[cfg(all(shuttle, not(loom)))]
fn explore(_: usize, model: impl Fn() + Send + Sync + 'static) {
    use shuttle::scheduler::{PctScheduler, RandomScheduler};

    let half = std::env::var("MODEL_ORDERS").map_or(10_000, |orders| orders.parse().unwrap()) / 2;
    let (count, model) = counted(model);
    let model = Arc::new(model);
    for depth in [None, Some(3)] {
        let mut config = shuttle::Config::new();
        config.stack_size = 512 * 1024;
        let model = model.clone();
        // The seed is always the same, so that a failure can be repeated.
        match depth {
            None => {
                let scheduler = RandomScheduler::new_from_seed(1, half);
                shuttle::Runner::new(scheduler, config).run(move || model());
            }
            Some(depth) => {
                let scheduler = PctScheduler::new_from_seed(1, depth, half);
                shuttle::Runner::new(scheduler, config).run(move || model());
            }
        }
    }
    println!("{} orders", count.load(Ordering::Relaxed));
}

/// Returns the model, and the number of times that it ran.
fn counted(model: impl Fn()) -> (Arc<AtomicUsize>, impl Fn()) {
    let count = Arc::new(AtomicUsize::new(0));
    (count.clone(), move || {
        count.fetch_add(1, Ordering::Relaxed);
        model();
    })
}

/// Is more than any model sends.
const PLENTY: usize = usize::MAX;

/// Returns an open connection and the peer. Each side can send this number of bytes before the
/// other one reads.
fn connection(ours: usize, peers: usize) -> (Receiver, Sender, Peer) {
    let (end, peer) = pair([ours, peers]);
    let wire = wire(Duplex::plain(Arc::new(end)));
    let options = Options { auto_pong: true, fragments: false };
    let decoder = Decoder::new(Limits::default());
    let timer = Timer::new(Keepalive::OFF, crate::sync::now(), 0);
    let receiver = Receiver::new(wire.clone(), ReadHalf::default(), decoder, timer, options);
    (receiver, Sender::new(wire), Peer::new(peer))
}

/// Returns the wire of a connection without deadlines.
fn wire(duplex: Duplex) -> Arc<Wire> {
    let head = b"HTTP/1.1 101 Switching Protocols\r\n\r\n";
    let (response, _) = HeadReader::default().advance(head).unwrap().unwrap();
    let timeouts = Timeouts { write: None, close: None };
    Arc::new(Wire::new(duplex, response, None, timeouts))
}

/// Plays the server.
struct Peer {
    end: End,
    bytes: Vec<u8>,
}

/// Holds a frame that the peer got, unmasked.
#[derive(Debug, PartialEq, Eq)]
struct Frame {
    opcode: Opcode,
    fin: bool,
    payload: Vec<u8>,
}

impl Peer {
    fn new(end: End) -> Self {
        Self { end, bytes: Vec::new() }
    }

    /// Sends a whole frame.
    fn send(&self, opcode: Opcode, payload: &[u8]) {
        let mut frame = Vec::new();
        let len = payload.len() as u64;
        Header { fin: true, rsv: 0, opcode, mask: None, len }.encode(&mut frame);
        frame.extend_from_slice(payload);
        let mut rest = &frame[..];
        while !rest.is_empty() {
            // The client may be gone.
            let Ok(len) = self.end.write(rest) else { return };
            rest = &rest[len..];
        }
    }

    fn close(&self, code: u16) {
        self.send(Opcode::Close, &code.to_be_bytes());
    }

    /// The next frame; `None` at the end, which must not be inside a frame.
    fn frame(&mut self) -> Option<Frame> {
        loop {
            if let Some((header, at)) = Header::decode(&self.bytes).unwrap() {
                let end = at + usize::try_from(header.len).unwrap();
                if self.bytes.len() >= end {
                    let mut payload = Vec::new();
                    mask_into(&mut payload, &self.bytes[at..end], header.mask.unwrap(), 0);
                    self.bytes.drain(..end);
                    return Some(Frame { opcode: header.opcode, fin: header.fin, payload });
                }
            }
            let mut buffer = [0; 256];
            match self.end.read(&mut buffer).unwrap() {
                0 => {
                    assert!(self.bytes.is_empty(), "the end is inside a frame: {:?}", self.bytes);
                    return None;
                }
                len => self.bytes.extend_from_slice(&buffer[..len]),
            }
        }
    }

    /// Reads all frames up to the end of the stream.
    fn frames(&mut self) -> Vec<Frame> {
        std::iter::from_fn(|| self.frame()).collect()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.end.shutdown(std::net::Shutdown::Both);
    }
}

/// Returns the payloads of the frames with this opcode.
fn payloads(frames: &[Frame], opcode: Opcode) -> Vec<&[u8]> {
    let of = |frame: &&Frame| frame.opcode == opcode;
    frames.iter().filter(of).map(|frame| &*frame.payload).collect()
}
