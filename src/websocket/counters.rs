//! Counts what a connection sends and receives.
//!
//! The writer and the receiver count in fields of their own, and publish the numbers at each system
//! call. So a thread that asks never waits for a write or a read that blocks.

use super::WebSocket;
use super::receiver::Receiver;
use super::sender::Sender;
use crate::proto::frame::Opcode;
use crate::sync::Numbers;

/// Tells how much a connection has sent and received, or an [`App`](crate::App) over all its
/// connections.
///
/// [`WebSocket::counters`], [`Sender::counters`] and [`Receiver::counters`] return those of a
/// connection, and [`Handle::counters`](crate::Handle::counters) those of an App. They begin at 0
/// when the opening handshake is done.
///
/// # Examples
/// ```no_run
/// let mut ws = landline::connect("wss://example.com/feed")?;
/// ws.send("subscribe")?;
/// ws.recv()?;
/// let counters = ws.counters();
/// println!("{} bytes out, {} bytes in", counters.sent.bytes, counters.received.bytes);
/// # Ok::<(), landline::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// The number of connections: 1, or all that an App has opened. The reconnects are one less.
    pub connections: u64,
    /// Counts what was sent.
    pub sent: Traffic,
    /// Counts what was received.
    pub received: Traffic,
}

/// Tells how much went in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Traffic {
    /// The number of bytes that the stream took or gave, headers included. Over TLS: encrypted
    /// bytes. Of these, the bytes that came with the server's answer to the opening handshake are
    /// not counted, or counted decrypted.
    pub bytes: u64,
    /// The number of whole messages.
    pub messages: u64,
    /// The number of Pings, those of keepalive included.
    pub pings: u64,
    /// The number of Pongs, answers to Pings included.
    pub pongs: u64,
    /// The number of payload bytes, before compression, of the messages that were compressed.
    pub uncompressed: u64,
    /// The number of payload bytes, after compression, of the same messages.
    pub compressed: u64,
}

impl WebSocket {
    /// Returns how much was sent and received so far; see [`Sender::counters`] and
    /// [`Receiver::counters`].
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.receiver.counters()
    }
}

impl Sender {
    /// Returns how much was sent and received so far. This never waits for the peer.
    ///
    /// A frame counts as sent once the system has taken all of it, and so do its bytes before and
    /// after compression. What was received may lag: a message is counted when a later call
    /// reads from the stream, finds nothing or fails.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.wire.counters.now()
    }
}

impl Receiver {
    /// Returns how much was sent and received so far, as [`Sender::counters`] does. What was
    /// received is exact here: each message counts once it was returned.
    #[must_use]
    pub fn counters(&self) -> Counters {
        Counters { received: self.received(), ..self.wire.counters.now() }
    }
}

impl Counters {
    pub(crate) fn add(&mut self, other: &Self) {
        self.connections += other.connections;
        self.sent.add(&other.sent);
        self.received.add(&other.received);
    }
}

impl Traffic {
    #[inline]
    pub(super) fn new(bytes: u64, frames: Frames, compression: Compression) -> Self {
        let Frames { messages, pings, pongs } = frames;
        let Compression { uncompressed, compressed } = compression;
        Self { bytes, messages, pings, pongs, uncompressed, compressed }
    }

    fn add(&mut self, other: &Self) {
        self.bytes += other.bytes;
        self.messages += other.messages;
        self.pings += other.pings;
        self.pongs += other.pongs;
        self.uncompressed += other.uncompressed;
        self.compressed += other.compressed;
    }
}

/// Counts the frames of one direction.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Frames {
    pub(super) messages: u64,
    pub(super) pings: u64,
    pub(super) pongs: u64,
}

impl Frames {
    /// Counts a frame. A message counts with its last frame.
    pub(super) fn note(&mut self, opcode: Opcode, fin: bool) {
        match opcode {
            Opcode::Text | Opcode::Binary | Opcode::Continuation => self.messages += u64::from(fin),
            Opcode::Ping => self.pings += 1,
            Opcode::Pong => self.pongs += 1,
            Opcode::Close => {}
        }
    }
}

/// Counts the bytes of messages before and after compression.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Compression {
    pub(super) uncompressed: u64,
    pub(super) compressed: u64,
}

/// Holds what the halves of a connection have published, for any thread to read.
#[derive(Debug, Default)]
pub(super) struct Published {
    pub(super) sent: PublishedTraffic,
    pub(super) received: PublishedTraffic,
}

impl Published {
    fn now(&self) -> Counters {
        Counters { connections: 1, sent: self.sent.get(), received: self.received.get() }
    }
}

/// Holds what one half has published. Only that half sets it.
#[derive(Debug, Default)]
pub(super) struct PublishedTraffic(Numbers<6>);

impl PublishedTraffic {
    #[inline]
    pub(super) fn set(&self, bytes: u64, frames: Frames, compression: Compression) {
        self.store(Traffic::new(bytes, frames, compression));
    }

    /// Sets the number of bytes alone, because a frame was not written whole.
    pub(super) fn set_bytes(&self, bytes: u64) {
        self.store(Traffic { bytes, ..self.get() });
    }

    #[inline]
    fn store(&self, traffic: Traffic) {
        let Traffic { bytes, messages, pings, pongs, uncompressed, compressed } = traffic;
        self.0.set([bytes, messages, pings, pongs, uncompressed, compressed]);
    }

    fn get(&self) -> Traffic {
        let [bytes, messages, pings, pongs, uncompressed, compressed] = self.0.get();
        Traffic { bytes, messages, pings, pongs, uncompressed, compressed }
    }
}
