//! A scripted server that does what the catalogue of hostile peers says, on a real socket.
//!
//! ```ignore
//! let server = serve(|peer| {
//!     peer.upgrade();
//!     peer.send(&[0x83, 0x00]); // a reserved opcode
//!     peer.expect_close(1002);
//! });
//! let mut ws = landline::connect(&server.url())?;
//! ```
//! It shares no code with the crate: the accept value is tungstenite's, and every client frame is
//! read by a small decoder of its own, which insists on a mask and on the shortest length.

#![allow(dead_code, unreachable_pub)] // Each test binary uses a part.

use std::any::Any;
use std::fmt::Debug;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

pub mod apps;
#[cfg(target_os = "linux")]
pub mod process;
pub mod proxy;
pub mod streams;
#[cfg(feature = "tls")]
pub mod tls;

/// How long a test may take before it counts as hanging.
pub const LIMIT: Duration = Duration::from_secs(20);
/// What should take no time at all, on a machine that does other things too.
pub const PROMPT: Duration = Duration::from_secs(2);
/// A timeout that is to pass.
pub const SHORT: Duration = Duration::from_millis(150);

pub const TEXT: u8 = 1;
pub const BINARY: u8 = 2;
pub const CLOSE: u8 = 8;
pub const PING: u8 = 9;
pub const PONG: u8 = 10;

/// Runs `body`, and panics with the test's name if it does not end.
pub fn watchdog<T: Send + 'static>(
    limit: Duration,
    body: impl FnOnce() -> T + Send + 'static,
) -> T {
    let name = thread::current().name().unwrap_or("the test").to_owned();
    let (sender, receiver) = channel();
    let thread = thread::Builder::new().name(name.clone());
    let running = thread.spawn(move || {
        let _ = sender.send(catch_unwind(AssertUnwindSafe(body)));
    });
    match receiver.recv_timeout(limit) {
        Ok(Ok(value)) => value,
        Ok(Err(panic)) => resume_unwind(panic),
        Err(RecvTimeoutError::Timeout) => panic!("{name} hangs: not over after {limit:?}"),
        Err(RecvTimeoutError::Disconnected) => panic!("{name}: {:?}", running.unwrap().join()),
    }
}

/// Does something that must take at least `least` and at most `PROMPT` longer.
pub fn takes<T>(least: Duration, action: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let value = action();
    let took = start.elapsed();
    // Timers of the system may be a little early.
    assert!(took + Duration::from_millis(15) >= least, "took {took:?}, less than {least:?}");
    assert!(took <= least + PROMPT, "took {took:?}, not {least:?}");
    value
}

/// Does something that must not take longer.
pub fn takes_at_most<T>(most: Duration, action: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let value = action();
    let took = start.elapsed();
    assert!(took <= most, "took {took:?}, more than {most:?}");
    value
}

/// Does something that must not wait.
pub fn promptly<T>(action: impl FnOnce() -> T) -> T {
    takes(Duration::ZERO, action)
}

/// A thread whose panics come out at the join.
pub fn spawn<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> Joined<T> {
    Joined(thread::spawn(body))
}

pub struct Joined<T>(JoinHandle<T>);

impl<T> Joined<T> {
    pub fn join(self) -> T {
        self.0.join().unwrap_or_else(|panic: Box<dyn Any + Send>| resume_unwind(panic))
    }

    pub fn is_finished(&self) -> bool {
        self.0.is_finished()
    }
}

/// A frame as it goes from a server to a client.
pub fn frame(opcode: u8, fin: bool, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![u8::from(fin) << 7 | opcode];
    match payload.len() {
        len @ 0..=125 => bytes.push(u8::try_from(len).unwrap()),
        len @ 126..=65535 => {
            bytes.push(126);
            bytes.extend(u16::try_from(len).unwrap().to_be_bytes());
        }
        len => {
            bytes.push(127);
            bytes.extend((len as u64).to_be_bytes());
        }
    }
    bytes.extend_from_slice(payload);
    bytes
}

pub fn text(text: &str) -> Vec<u8> {
    frame(TEXT, true, text.as_bytes())
}

pub fn binary(payload: &[u8]) -> Vec<u8> {
    frame(BINARY, true, payload)
}

pub fn ping(payload: &[u8]) -> Vec<u8> {
    frame(PING, true, payload)
}

pub fn close(code: u16, reason: &str) -> Vec<u8> {
    frame(CLOSE, true, &[&code.to_be_bytes(), reason.as_bytes()].concat())
}

/// A frame from the client, unmasked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub opcode: u8,
    pub fin: bool,
    pub payload: Vec<u8>,
}

impl Frame {
    pub fn close_code(&self) -> Option<u16> {
        assert_eq!(self.opcode, CLOSE);
        let code = self.payload.first_chunk::<2>();
        code.map(|&code| u16::from_be_bytes(code))
    }

    pub fn reason(&self) -> &str {
        std::str::from_utf8(&self.payload[2..]).unwrap()
    }
}

/// Takes one client frame off the front of `bytes`, if all of it is there.
pub fn take_frame(bytes: &mut Vec<u8>) -> Option<Frame> {
    let (&first, &second) = (bytes.first()?, bytes.get(1)?);
    assert_eq!(first & 0x70, 0, "a client frame has reserved bits");
    assert_eq!(second & 0x80, 0x80, "a client frame is not masked");
    let opcode = first & 15;
    assert!(matches!(opcode, 0..=2 | 8..=10), "the client sent opcode {opcode}");
    let (len, at) = match second & 0x7F {
        126 => (u64::from(u16::from_be_bytes(*bytes.get(2..4)?.first_chunk()?)), 4),
        127 => (u64::from_be_bytes(*bytes.get(2..10)?.first_chunk()?), 10),
        len => (u64::from(len), 2),
    };
    let shortest = match len {
        0..=125 => 2,
        126..=65535 => 4,
        _ => 10,
    };
    assert_eq!(at, shortest, "the length {len} is not in its shortest form");
    let fin = first & 0x80 != 0;
    assert!(opcode < 8 || (fin && len < 126), "a control frame is too long or fragmented");
    let end = at + 4 + usize::try_from(len).unwrap();
    if bytes.len() < end {
        return None;
    }
    let key: [u8; 4] = bytes[at..at + 4].try_into().unwrap();
    let mut payload = bytes[at + 4..end].to_vec();
    for chunk in payload.chunks_mut(4) {
        chunk.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
    }
    bytes.drain(..end);
    Some(Frame { opcode, fin, payload })
}

/// What the peer speaks over.
pub trait Io: Read + Write + Send {
    fn socket(&self) -> &TcpStream;

    #[cfg(feature = "tls")]
    fn tls(&mut self) -> Option<&mut tls::TlsStream> {
        None
    }
}

impl Io for TcpStream {
    fn socket(&self) -> &TcpStream {
        self
    }
}

/// A server with a script for one connection.
pub struct Server<T> {
    pub addr: SocketAddr,
    pub secure: bool,
    pub(crate) script: Joined<T>,
}

impl<T> Server<T> {
    /// The URL of the server; TLS certificates are for `localhost`.
    pub fn url(&self) -> String {
        match self.secure {
            true => format!("wss://localhost:{}/", self.addr.port()),
            false => format!("ws://{}/", self.addr),
        }
    }

    /// Waits for the end of the script, and gives what it gave.
    pub fn join(self) -> T {
        self.script.join()
    }
}

pub fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

/// A server for one connection, which the script deals with, the opening handshake included.
pub fn serve<T: Send + 'static>(script: impl FnOnce(&mut Peer) -> T + Send + 'static) -> Server<T> {
    serve_on(listener(), script)
}

pub fn serve_on<T: Send + 'static>(
    listener: TcpListener,
    script: impl FnOnce(&mut Peer) -> T + Send + 'static,
) -> Server<T> {
    let addr = listener.local_addr().unwrap();
    let script = spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        drop(listener);
        script(&mut Peer::new(stream))
    });
    Server { addr, secure: false, script }
}

/// A server that does the opening handshake, and then what the script says.
pub fn upgraded<T: Send + 'static>(
    script: impl FnOnce(&mut Peer) -> T + Send + 'static,
) -> Server<T> {
    serve(move |peer| {
        peer.upgrade();
        script(peer)
    })
}

/// The server's end of a connection.
pub struct Peer {
    io: Box<dyn Io>,
    received: Vec<u8>,
    /// The head of the request.
    pub request: String,
    /// All that the client sent so far.
    pub frames: Vec<Frame>,
}

impl Peer {
    pub fn new(io: impl Io + 'static) -> Self {
        io.socket().set_read_timeout(Some(Duration::from_secs(8))).unwrap();
        io.socket().set_nodelay(true).unwrap();
        let (received, request, frames) = <_>::default();
        Self { io: Box::new(io), received, request, frames }
    }

    pub fn socket(&self) -> &TcpStream {
        self.io.socket()
    }

    /// Does something with the TLS of a TLS peer.
    #[cfg(feature = "tls")]
    pub fn with_tls<T>(&mut self, action: impl FnOnce(&mut tls::TlsStream) -> T) -> T {
        action(self.io.tls().expect("a TLS peer"))
    }

    /// Reads the head of the request.
    pub fn read_request(&mut self) -> &str {
        loop {
            if let Some(end) = self.received.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = self.received.drain(..end + 4).collect();
                self.request = String::from_utf8(head).unwrap();
                return &self.request;
            }
            assert!(self.read_more().unwrap() > 0, "the client ended it within its request");
        }
    }

    /// The values of a header of the request.
    pub fn header(&self, name: &str) -> Vec<&str> {
        let lines = self.request.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines.filter(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect()
    }

    pub fn accept_value(&self) -> String {
        let key = self.header("Sec-WebSocket-Key");
        assert_eq!(key.len(), 1, "one key: {}", self.request);
        tungstenite::handshake::derive_accept_key(key[0].as_bytes())
    }

    /// The answer that a good server gives, with more header lines.
    pub fn good_answer(&self, more: &str) -> Vec<u8> {
        let accept = self.accept_value();
        format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n{more}\r\n"
        )
        .into_bytes()
    }

    /// The opening handshake.
    pub fn upgrade(&mut self) {
        self.read_request();
        let answer = self.good_answer("");
        self.send(&answer);
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.try_send(bytes).unwrap();
    }

    /// For when the client may be gone.
    pub fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.io.write_all(bytes)?;
        self.io.flush()
    }

    /// Sends a byte at a time, in a segment of its own; stops when the client is gone.
    pub fn drip(&mut self, bytes: &[u8], pause: Duration) {
        for byte in bytes {
            if self.try_send(&[*byte]).is_err() {
                return;
            }
            thread::sleep(pause); // What makes it drip; nothing is awaited by it.
        }
    }

    fn read_more(&mut self) -> io::Result<usize> {
        let mut buffer = [0; 16 * 1024];
        let len = self.io.read(&mut buffer)?;
        self.received.extend_from_slice(&buffer[..len]);
        Ok(len)
    }

    /// The next frame of the client; `None` when it ended the connection.
    pub fn next_frame(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = take_frame(&mut self.received) {
                self.frames.push(frame.clone());
                return Some(frame);
            }
            match self.read_more() {
                Ok(1..) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    panic!("the client says nothing; so far: {:?}", self.frames)
                }
                Ok(0) | Err(_) => return None,
            }
        }
    }

    pub fn expect(&mut self, opcode: u8, payload: &[u8]) {
        let frame = self.next_frame().expect("the client is gone");
        assert_eq!((frame.opcode, &*frame.payload), (opcode, payload));
        assert!(frame.fin);
    }

    /// Expects a fragment, or the first frame of a message, with more to come.
    pub fn expect_fragment(&mut self, payload: &[u8]) {
        let frame = self.next_frame().expect("the client is gone");
        assert_eq!((frame.fin, &*frame.payload), (false, payload));
    }

    /// Expects a Close with this code next.
    pub fn expect_close(&mut self, code: u16) -> Frame {
        let frame = self.next_frame().expect("the client is gone without a Close");
        assert_eq!(frame.opcode, CLOSE, "not a Close: {frame:?}");
        assert_eq!(frame.close_code(), Some(code));
        frame
    }

    /// Expects the end of the stream next, and nothing before it.
    pub fn expect_end(&mut self) {
        let frame = self.next_frame();
        assert_eq!(frame, None, "the client sent more");
        assert_eq!(self.received, [], "the client sent a part of a frame");
    }

    /// Stalls: keeps the connection open until the client ends it, and gives its frames.
    pub fn stall(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        frames.extend(std::iter::from_fn(|| self.next_frame()));
        frames
    }

    /// Waits without reading anything until the test lets go of its end of the channel.
    pub fn hold_open(&self, until: &std::sync::mpsc::Receiver<()>) {
        let _ = until.recv();
    }

    pub fn fin(&self) {
        self.socket().shutdown(Shutdown::Write).unwrap();
    }

    /// Closes with a reset. The connection is over.
    pub fn rst(&mut self) {
        struct Gone(TcpStream);
        impl Read for Gone {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Ok(0)
            }
        }
        impl Write for Gone {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        impl Io for Gone {
            fn socket(&self) -> &TcpStream {
                &self.0
            }
        }
        let socket = socket2::SockRef::from(self.socket());
        socket.set_linger(Some(Duration::ZERO)).unwrap();
        // Some socket must stand in for the one that is closed.
        let listener = listener();
        let other = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        self.io = Box::new(Gone(other));
    }

    /// Makes the sockets take so little that whoever writes to us blocks soon.
    pub fn small_buffers(stream: &TcpListener) {
        let socket = socket2::SockRef::from(stream);
        socket.set_recv_buffer_size(4096).unwrap();
    }
}

/// A listener whose connections have small receive buffers.
pub fn small_listener() -> TcpListener {
    let listener = listener();
    Peer::small_buffers(&listener);
    listener
}

/// A listener whose queue is full: who connects waits for ever. Drop nothing of it.
pub fn full_backlog() -> (TcpListener, Vec<socket2::Socket>) {
    use socket2::{Domain, Socket, Type};
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    socket.bind(&any.into()).unwrap();
    socket.listen(0).unwrap();
    let listener: TcpListener = socket.into();
    let addr = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    for _ in 0..8 {
        let client = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        client.set_nonblocking(true).unwrap();
        let _ = client.connect(&addr.into());
        waiting.push(client);
    }
    (listener, waiting)
}

/// A client that pings nobody, and that the environment does not lead astray.
pub fn builder() -> landline::Builder {
    landline::Builder::new().keepalive(landline::Keepalive::OFF).no_proxy()
}

/// The error; a value is a bug.
pub fn error<T: Debug>(result: Result<T, landline::Error>) -> landline::Error {
    result.expect_err("an error was expected")
}
