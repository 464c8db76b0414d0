//! A server that runs a script for one connection, and the server's end of that connection.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use super::frames::{CLOSE, Frame, take_frame};
#[cfg(feature = "tls")]
use super::tls;
use super::watchdog::{Joined, spawn};

/// Starts a server for one connection. The script does all of it, also the opening handshake.
pub fn serve<T: Send + 'static>(script: impl FnOnce(&mut Peer) -> T + Send + 'static) -> Server<T> {
    start(listener(), Box::new(script))
}

/// Starts a server for one connection. The script runs after the opening handshake.
pub fn upgraded<T: Send + 'static>(
    script: impl FnOnce(&mut Peer) -> T + Send + 'static,
) -> Server<T> {
    serve(move |peer| {
        peer.upgrade();
        script(peer)
    })
}

/// Starts a server as [`serve`] does, on this listener.
pub fn serve_on<T: Send + 'static>(
    listener: TcpListener,
    script: impl FnOnce(&mut Peer) -> T + Send + 'static,
) -> Server<T> {
    start(listener, Box::new(script))
}

/// The script of a server. It is boxed for the same reason as the work of a thread: one copy of
/// [`start`] is compiled for each `T`, and not one for each closure.
pub(crate) type Script<T> = Box<dyn FnOnce(&mut Peer) -> T + Send>;

fn start<T: Send + 'static>(listener: TcpListener, script: Script<T>) -> Server<T> {
    let addr = listener.local_addr().unwrap();
    let script = spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        drop(listener);
        script(&mut Peer::new(stream))
    });
    Server { addr, secure: false, script }
}

/// Names a running server, and waits for its script.
pub struct Server<T> {
    pub addr: SocketAddr,
    pub secure: bool,
    pub(crate) script: Joined<T>,
}

impl<T> Server<T> {
    /// Returns the URL of the server. With TLS the host is `localhost`, as in the certificates.
    pub fn url(&self) -> String {
        match self.secure {
            true => format!("wss://localhost:{}/", self.addr.port()),
            false => format!("ws://{}/", self.addr),
        }
    }

    /// Waits for the end of the script, and returns its result.
    pub fn join(self) -> T {
        self.script.join()
    }
}

/// The time that a peer waits for the client.
const READ_TIMEOUT: Duration = Duration::from_secs(if cfg!(windows) { 30 } else { 8 });

/// Is the server's end of a connection.
pub struct Peer {
    io: Box<dyn Io>,
    received: Vec<u8>,
    /// The head of the request.
    pub request: String,
    /// All frames that the client has sent so far.
    pub frames: Vec<Frame>,
}

impl Peer {
    pub fn new(io: impl Io + 'static) -> Self {
        io.socket().set_read_timeout(Some(READ_TIMEOUT)).unwrap();
        io.socket().set_nodelay(true).unwrap();
        let (received, request, frames) = <_>::default();
        Self { io: Box::new(io), received, request, frames }
    }

    pub fn socket(&self) -> &TcpStream {
        self.io.socket()
    }

    /// Calls `action` with the TLS stream of a TLS peer.
    #[cfg(feature = "tls")]
    pub fn with_tls<T>(&mut self, action: impl FnOnce(&mut tls::TlsStream) -> T) -> T {
        action(self.io.tls().expect("a TLS peer"))
    }

    /// Reads the head of the request.
    pub fn read_request(&mut self) -> &str {
        self.try_read_request().unwrap()
    }

    /// Reads the head of the request of a client that may give up before.
    pub fn try_read_request(&mut self) -> io::Result<&str> {
        loop {
            if let Some(end) = self.received.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = self.received.drain(..end + 4).collect();
                self.request = String::from_utf8(head).unwrap();
                return Ok(&self.request);
            }
            if self.read_more()? == 0 {
                let problem = "the client ended the stream within its request";
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, problem));
            }
        }
    }

    /// Returns the values of a header of the request.
    pub fn header(&self, name: &str) -> Vec<&str> {
        let lines = self.request.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines.filter(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect()
    }

    pub fn accept_value(&self) -> String {
        let key = self.header("Sec-WebSocket-Key");
        assert_eq!(key.len(), 1, "one key: {}", self.request);
        tungstenite::handshake::derive_accept_key(key[0].as_bytes())
    }

    /// Returns the answer of a good server, with more header lines.
    pub fn good_answer(&self, more: &str) -> Vec<u8> {
        let accept = self.accept_value();
        format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n{more}\r\n"
        )
        .into_bytes()
    }

    /// Does the opening handshake.
    pub fn upgrade(&mut self) {
        self.read_request();
        let answer = self.good_answer("");
        self.send(&answer);
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.try_send(bytes).unwrap();
    }

    /// Sends bytes to a client that may be gone.
    pub fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.io.write_all(bytes)?;
        self.io.flush()
    }

    /// Sends each byte in a segment of its own, with pauses. Stops when the client is gone.
    pub fn drip(&mut self, bytes: &[u8], pause: Duration) {
        for byte in bytes {
            if self.try_send(&[*byte]).is_err() {
                return;
            }
            thread::sleep(pause); // The pause is the behaviour under test, and waits for nothing.
        }
    }

    fn read_more(&mut self) -> io::Result<usize> {
        let mut buffer = [0; 16 * 1024];
        let len = self.io.read(&mut buffer)?;
        self.received.extend_from_slice(&buffer[..len]);
        Ok(len)
    }

    /// Reads all bytes that the client sends until it ends the connection.
    pub fn read_to_end(&mut self) -> Vec<u8> {
        let mut bytes = std::mem::take(&mut self.received);
        // The connection may end with a reset, and without the end of TLS.
        let _ = self.io.read_to_end(&mut bytes);
        bytes
    }

    /// Reads the next frame of the client; `None` when the client has ended the connection.
    pub fn next_frame(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = take_frame(&mut self.received) {
                self.frames.push(frame.clone());
                return Some(frame);
            }
            match self.read_more() {
                Ok(1..) => {}
                Err(error) if TIMED_OUT.contains(&error.kind()) => {
                    panic!("the client sends nothing; so far: {:?}", self.frames)
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
        assert!(self.received.is_empty(), "the client sent a part of a frame");
    }

    /// Keeps the connection open until the client ends it, and returns the client's frames.
    pub fn stall(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        frames.extend(std::iter::from_fn(|| self.next_frame()));
        frames
    }

    /// Waits, and reads nothing, until the test drops its end of the channel.
    pub fn hold_open(&self, until: &std::sync::mpsc::Receiver<()>) {
        let _ = until.recv();
    }

    pub fn fin(&self) {
        self.socket().shutdown(Shutdown::Write).unwrap();
    }

    /// Ends the connection with a reset.
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
        // The field needs some socket in place of the closed one.
        let listener = listener();
        let other = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        self.io = Box::new(Gone(other));
    }

    /// Makes the receive buffers of the accepted sockets small, so that a client that writes blocks
    /// soon.
    pub fn small_buffers(stream: &TcpListener) {
        let socket = socket2::SockRef::from(stream);
        socket.set_recv_buffer_size(4096).unwrap();
    }
}

/// The kinds of error of a read whose timeout has passed: on Unix, and on Windows.
const TIMED_OUT: [io::ErrorKind; 2] = [io::ErrorKind::WouldBlock, io::ErrorKind::TimedOut];

/// Carries the peer's bytes: a plain socket or TLS.
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

pub fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

/// Returns an address where nobody listens. A socket stays bound to it as long as the process
/// lives, so that no other test gets the port.
pub fn closed() -> SocketAddr {
    use socket2::{Domain, Socket, Type};
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let addr = socket.local_addr().unwrap().as_socket().unwrap();
    std::mem::forget(socket);
    addr
}

/// Returns a listener whose connections have small receive buffers.
pub fn small_listener() -> TcpListener {
    let listener = listener();
    Peer::small_buffers(&listener);
    listener
}

/// Returns a listener whose queue is full, so that a client waits for ever in `connect`. Keep both
/// parts.
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
