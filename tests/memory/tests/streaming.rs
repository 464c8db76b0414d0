//! Messages of gigabytes go in and out in a few buffers: by `reader`, `writer` and `send_reader`.
//!
//! The peer is in memory, and on the same thread. So the figures include the peer, with its half of
//! TLS.

#[path = "../../support/mod.rs"]
mod support;

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use landline::stream::Stream;
use landline::{MessageKind, WebSocket};
use landline_memory::{Used, measure};
use rustls::ServerConnection;
use support::*;

const GIB: u64 = 1 << 30;
const MIB: usize = 1 << 20;

/// The limit of the resident memory of the whole test program, at any time.
const RESIDENT: usize = 8 * MIB;

#[test]
fn four_gib_in_and_out_take_less_than_8_mib() {
    watchdog(LIMIT * 15, || {
        let builder = builder().max_message_size(None).max_frame_size(None);
        let peer = Arc::new(Mutex::new(Server::new(4 * GIB, None)));
        let ws = builder.connect_over("ws://memory/", Link(peer.clone())).unwrap();
        streams(ws, &peer, 4 * GIB, 256 << 10);
    });
}

#[test]
fn four_gib_in_and_out_over_tls_take_less_than_8_mib() {
    watchdog(LIMIT * 15, || {
        let builder = tls::builder().max_message_size(None).max_frame_size(None);
        let tls = ServerConnection::new(Arc::new(tls::localhost())).unwrap();
        let peer = Arc::new(Mutex::new(Server::new(4 * GIB, Some(tls))));
        let ws = builder.connect_over("wss://localhost/", Link(peer.clone())).unwrap();
        streams(ws, &peer, 4 * GIB, 512 << 10);
    });
}

/// Receives a message of `len` bytes, and sends two. Each may take `heap` bytes of memory.
fn streams(mut ws: WebSocket, peer: &Mutex<Server>, len: u64, heap: usize) {
    let held = |what, used: Used| {
        println!("{len} bytes {what}: {used:?}, {} bytes resident", peak_resident());
        assert!(used.peak <= heap, "{what}: {used:?}");
        assert!(peak_resident() < RESIDENT, "{what}: {} bytes", peak_resident());
    };
    let (received, used) = measure(|| {
        let mut checked = Pattern::default();
        io::copy(&mut ws.reader().unwrap(), &mut checked).unwrap();
        checked.at
    });
    assert_eq!(received, len);
    held("read", used);

    let ((), used) = measure(|| {
        let mut writer = ws.writer(MessageKind::Text).unwrap();
        io::copy(&mut Pattern::default().take(len), &mut writer).unwrap();
        writer.finish().unwrap();
    });
    let sent = lock(peer).sent.take_message();
    assert_eq!(sent.len, len);
    assert!(sent.frames > len / MIB as u64, "{sent:?}");
    held("written", used);

    let ((), used) = measure(|| {
        ws.send_reader(MessageKind::Text, len, Pattern::default()).unwrap();
    });
    assert_eq!(lock(peer).sent.take_message(), Sent { len, frames: 1 });
    held("sent from a reader", used);
}

/// Returns the greatest resident memory of this process so far.
#[cfg(target_os = "linux")]
fn peak_resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kib: usize = peak.trim().strip_suffix(" kB").unwrap().parse().unwrap();
    kib * 1024
}

#[cfg(not(target_os = "linux"))]
fn peak_resident() -> usize {
    0
}

/// Gives the bytes of a long text when it is read, and checks them when it is written to.
///
/// The text repeats after a prime number of bytes. So the bytes are wrong if anything is lost or
/// doubled, because the sizes of buffers are powers of two.
#[derive(Clone, Copy, Debug, Default)]
struct Pattern {
    at: u64,
}

const PERIOD: usize = 65_521;

static PERIODIC: [u8; PERIOD] = {
    let mut bytes = [0; PERIOD];
    let (mut at, mut state) = (0, 1_u32);
    while at < PERIOD {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        bytes[at] = b'a' + (state >> 24) as u8 % 26;
        at += 1;
    }
    bytes
};

impl Pattern {
    /// Returns the next bytes, at most `most`, and goes on behind them.
    fn next(&mut self, most: usize) -> &'static [u8] {
        let rest = &PERIODIC[(self.at % PERIOD as u64) as usize..];
        let next = &rest[..rest.len().min(most)];
        self.at += next.len() as u64;
        next
    }
}

impl Read for Pattern {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let next = self.next(buf.len());
        buf[..next.len()].copy_from_slice(next);
        Ok(next.len())
    }
}

impl Write for Pattern {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let at = self.at;
        let next = self.next(buf.len());
        assert!(buf.starts_with(next), "the bytes from {at} on are wrong");
        Ok(next.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Is a stream to a server in memory.
struct Link(Arc<Mutex<Server>>);

/// Sends one message of `len` bytes in one frame, and checks the messages that it gets.
struct Server {
    tls: Option<ServerConnection>,
    request: Vec<u8>,
    /// The bytes that go before the payload of the message: the answer of the handshake and the
    /// header.
    first: Vec<u8>,
    payload: io::Take<Pattern>,
    sent: Frames,
    buffer: Vec<u8>,
}

impl Server {
    fn new(len: u64, tls: Option<ServerConnection>) -> Self {
        Self {
            tls,
            request: Vec::new(),
            first: Vec::new(),
            payload: Pattern::default().take(len),
            sent: Frames::default(),
            buffer: vec![0; 16 * 1024],
        }
    }

    /// Takes the next bytes of the client.
    fn take(&mut self, bytes: &[u8]) {
        if self.request.ends_with(b"\r\n\r\n") {
            return self.sent.take(bytes);
        }
        self.request.extend_from_slice(bytes);
        if self.request.ends_with(b"\r\n\r\n") {
            self.first.extend(streams::answer(self.request.clone()).as_bytes());
            self.first.extend([0x80 | TEXT, 127]);
            self.first.extend(self.payload.limit().to_be_bytes());
        }
    }

    /// Gives the next bytes for the client; 0 if there are none at the moment.
    fn give(&mut self, buf: &mut [u8]) -> usize {
        if !self.request.ends_with(b"\r\n\r\n") {
            return 0;
        }
        if self.first.is_empty() {
            return self.payload.read(buf).unwrap();
        }
        let len = self.first.len().min(buf.len());
        buf[..len].copy_from_slice(&self.first[..len]);
        self.first.drain(..len);
        len
    }

    fn take_tls(&mut self, tls: &mut ServerConnection, mut bytes: &[u8]) {
        let mut buffer = std::mem::take(&mut self.buffer);
        while !bytes.is_empty() {
            tls.read_tls(&mut bytes).unwrap();
            tls.process_new_packets().unwrap();
            while let Ok(len @ 1..) = tls.reader().read(&mut buffer) {
                self.take(&buffer[..len]);
            }
        }
        self.buffer = buffer;
    }

    fn give_tls(&mut self, tls: &mut ServerConnection, buf: &mut [u8]) -> usize {
        if !tls.wants_write() {
            let mut buffer = std::mem::take(&mut self.buffer);
            let len = self.give(&mut buffer);
            tls.writer().write_all(&buffer[..len]).unwrap();
            self.buffer = buffer;
        }
        let mut rest = &mut *buf;
        while tls.wants_write() && !rest.is_empty() {
            tls.write_tls(&mut rest).unwrap();
        }
        let unused = rest.len();
        buf.len() - unused
    }
}

/// Reads the frames of the client.
#[derive(Debug, Default)]
struct Frames {
    header: Vec<u8>,
    key: [u8; 4],
    /// The number of bytes of payload that are missing of the present frame.
    left: u64,
    message: Pattern,
    sent: Sent,
    buffer: Vec<u8>,
}

/// Counts what one message has.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sent {
    len: u64,
    frames: u64,
}

impl Frames {
    fn take(&mut self, mut bytes: &[u8]) {
        while let Some((&byte, later)) = bytes.split_first() {
            if self.left == 0 {
                self.header.push(byte);
                bytes = later;
                self.begin();
                continue;
            }
            let len = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
            let (payload, later) = bytes.split_at(len);
            self.left -= len as u64;
            bytes = later;
            self.buffer.clear();
            self.buffer.extend_from_slice(payload);
            let mut fours = self.buffer.chunks_exact_mut(4);
            for four in &mut fours {
                let unmasked =
                    u32::from_ne_bytes(*four.first_chunk().unwrap()) ^ u32::from_ne_bytes(self.key);
                four.copy_from_slice(&unmasked.to_ne_bytes());
            }
            let last = fours.into_remainder();
            last.iter_mut().zip(self.key).for_each(|(byte, key)| *byte ^= key);
            self.key.rotate_left(len % 4);
            self.message.write_all(&self.buffer).unwrap();
        }
    }

    /// Begins the payload of a frame if its header is complete.
    fn begin(&mut self) {
        let &[first, second, ref rest @ ..] = &self.header[..] else { return };
        let longer = match second & 0x7F {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        if rest.len() < longer + 4 {
            return;
        }
        let mut len = u64::from(second & 0x7F);
        if longer > 0 {
            len = rest[..longer].iter().fold(0, |len, &byte| len << 8 | u64::from(byte));
        }
        self.key = *rest[longer..].first_chunk().unwrap();
        // This is the Close that is sent when the connection is dropped.
        let is_close = first & 15 == CLOSE;
        assert_eq!(
            first & 15,
            if self.sent.frames > 0 {
                0
            } else if is_close {
                CLOSE
            } else {
                TEXT
            }
        );
        self.sent.frames += 1;
        self.sent.len += len;
        self.left = if is_close { 0 } else { len };
        self.header.clear();
    }

    /// Returns what the last message was, and expects another one.
    fn take_message(&mut self) -> Sent {
        assert_eq!((self.left, self.message.at), (0, self.sent.len));
        self.message.at = 0;
        std::mem::take(&mut self.sent)
    }
}

fn lock(server: &Mutex<Server>) -> MutexGuard<'_, Server> {
    server.lock().unwrap()
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Link")
    }
}

impl Stream for Link {
    fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        let mut server = lock(&self.0);
        let read = match server.tls.take() {
            None => server.give(buf),
            Some(mut tls) => {
                let read = server.give_tls(&mut tls, buf);
                server.tls = Some(tls);
                read
            }
        };
        if read == 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(read) }
    }

    fn write(&self, buf: &[u8]) -> io::Result<usize> {
        let mut server = lock(&self.0);
        match server.tls.take() {
            None => server.take(buf),
            Some(mut tls) => {
                server.take_tls(&mut tls, buf);
                server.tls = Some(tls);
            }
        }
        Ok(buf.len())
    }

    fn set_read_timeout(&self, _: Option<Duration>) -> io::Result<()> {
        Ok(())
    }

    fn set_write_timeout(&self, _: Option<Duration>) -> io::Result<()> {
        Ok(())
    }

    fn set_nonblocking(&self, _: bool) -> io::Result<()> {
        Ok(())
    }

    fn shutdown(&self, _: Shutdown) -> io::Result<()> {
        Ok(())
    }
}
