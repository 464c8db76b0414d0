//! Streams that a user could bring: one that fails on purpose, and one in memory.

use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use landline::stream::Stream;

/// Names a method of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    Read,
    Write,
    SetReadTimeout,
    SetWriteTimeout,
    SetNonblocking,
}

/// Gets the number of each call, counted from 0, and the method. An error makes the call fail.
pub type Judge = Box<dyn FnMut(usize, Call) -> io::Result<()> + Send>;

/// Is a socket that asks a [`Judge`] before each call, and moves at most `most` bytes in a call.
pub struct Judged {
    socket: TcpStream,
    most: usize,
    judge: Mutex<(usize, Judge)>,
    on_shutdown: Box<dyn Fn() + Send + Sync>,
    after_write: Box<dyn Fn() + Send + Sync>,
    is_deaf: bool,
}

impl Judged {
    pub fn new(
        socket: TcpStream,
        most: usize,
        judge: impl FnMut(usize, Call) -> io::Result<()> + Send + 'static,
    ) -> Self {
        let judge = Mutex::new((0, Box::new(judge) as Judge));
        let nothing = || Box::new(|| ());
        let (on_shutdown, after_write) = (nothing(), nothing());
        Self { socket, most, judge, on_shutdown, after_write, is_deaf: false }
    }

    /// Calls `action` after each write.
    pub fn after_write(self, action: impl Fn() + Send + Sync + 'static) -> Self {
        Self { after_write: Box::new(action), ..self }
    }

    /// Calls `action` before each shutdown.
    pub fn on_shutdown(self, action: impl Fn() + Send + Sync + 'static) -> Self {
        Self { on_shutdown: Box::new(action), ..self }
    }

    /// Makes `shutdown` do nothing, so that it wakes no thread. The writes can be resumed.
    pub fn deaf(self) -> Self {
        Self { is_deaf: true, ..self }
    }

    fn judge(&self, call: Call) -> io::Result<()> {
        // A judge may panic.
        let mut judge = self.judge.lock().unwrap_or_else(PoisonError::into_inner);
        let count = judge.0;
        judge.0 += 1;
        (judge.1)(count, call)
    }
}

impl std::fmt::Debug for Judged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Judged")
    }
}

impl Stream for Judged {
    fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.judge(Call::Read)?;
        let most = buf.len().min(self.most);
        io::Read::read(&mut &self.socket, &mut buf[..most])
    }

    fn write(&self, buf: &[u8]) -> io::Result<usize> {
        self.judge(Call::Write)?;
        let written = io::Write::write(&mut &self.socket, &buf[..buf.len().min(self.most)]);
        (self.after_write)();
        written
    }

    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        assert_ne!(timeout, Some(Duration::ZERO), "std would refuse it");
        self.judge(Call::SetReadTimeout)?;
        self.socket.set_read_timeout(timeout)
    }

    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        assert_ne!(timeout, Some(Duration::ZERO), "std would refuse it");
        self.judge(Call::SetWriteTimeout)?;
        self.socket.set_write_timeout(timeout)
    }

    fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.judge(Call::SetNonblocking)?;
        self.socket.set_nonblocking(nonblocking)
    }

    fn resumes_writes(&self) -> bool {
        self.is_deaf
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        (self.on_shutdown)();
        if self.is_deaf { Ok(()) } else { self.socket.shutdown(how) }
    }
}

/// Does the opening handshake of a server over any stream.
pub fn upgrade(stream: &mut (impl io::Read + io::Write)) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        request.push(byte[0]);
    }
    stream.write_all(answer(request).as_bytes()).unwrap();
}

/// Returns the answer of a good server to a whole request.
pub fn answer(request: Vec<u8>) -> String {
    let request = String::from_utf8(request).unwrap();
    let key = request.split("Sec-WebSocket-Key: ").nth(1).unwrap();
    let key = key.split("\r\n").next().unwrap();
    let accept = tungstenite::handshake::derive_accept_key(key.as_bytes());
    format!(
        "HTTP/1.1 101 OK\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    )
}

/// Is a stream to a good server in memory. After the handshake, the server sends `first` once, and
/// then `again` for ever. It takes all that it is sent. Once the connection is open, the stream
/// allocates nothing.
#[derive(Debug, Default)]
pub struct Endless {
    first: Vec<u8>,
    again: Vec<u8>,
    state: Mutex<State>,
    longest_read: Arc<AtomicUsize>,
}

#[derive(Debug, Default)]
struct State {
    request: Vec<u8>,
    /// The answer of the handshake, and `first` after it.
    unread: Vec<u8>,
    /// The number of bytes of `unread` that are read.
    read: usize,
    /// The number of bytes that are read of the present repetition of `again`.
    round: usize,
    over: bool,
}

impl Endless {
    /// Returns the stream. If `again` is empty, the server is silent after `first`, and reads do
    /// not block.
    pub fn new(first: &[u8], again: &[u8]) -> Self {
        let again =
            if again.is_empty() { Vec::new() } else { again.repeat(4096 / again.len() + 1) };
        let (state, longest_read) = (Mutex::default(), Arc::default());
        Self { first: first.to_vec(), again, state, longest_read }
    }

    /// Returns the number of bytes that the longest read has asked for, which the test may reset.
    pub fn longest_read(&self) -> Arc<AtomicUsize> {
        self.longest_read.clone()
    }
}

impl Stream for Endless {
    fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.longest_read.fetch_max(buf.len(), Ordering::SeqCst);
        let mut state = self.state.lock().unwrap();
        if state.over {
            return Ok(0);
        }
        let is_first = state.read < state.unread.len();
        let rest = if is_first { &state.unread[state.read..] } else { &self.again[state.round..] };
        if rest.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let len = buf.len().min(rest.len());
        buf[..len].copy_from_slice(&rest[..len]);
        if is_first {
            state.read += len;
        } else {
            state.round = (state.round + len) % self.again.len();
        }
        Ok(len)
    }

    fn write(&self, buf: &[u8]) -> io::Result<usize> {
        let mut state = self.state.lock().unwrap();
        if state.over {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if !state.request.ends_with(b"\r\n\r\n") {
            state.request.extend_from_slice(buf);
            if state.request.ends_with(b"\r\n\r\n") {
                let answer = answer(state.request.clone());
                state.unread = [answer.as_bytes(), &self.first].concat();
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

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.state.lock().unwrap().over |= how == Shutdown::Both;
        Ok(())
    }
}

/// Returns a listener whose queue is full. On Linux a client waits for ever in `connect`.
#[cfg(target_os = "linux")]
pub fn full_backlog_at(path: &std::path::Path) -> (socket2::Socket, Vec<socket2::Socket>) {
    use socket2::{Domain, SockAddr, Socket, Type};
    let _ = std::fs::remove_file(path);
    let addr = SockAddr::unix(path).unwrap();
    let listener = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    listener.bind(&addr).unwrap();
    listener.listen(0).unwrap();
    let mut waiting = Vec::new();
    loop {
        let client = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        client.set_nonblocking(true).unwrap();
        if let Err(full) = client.connect(&addr) {
            assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
            return (listener, waiting);
        }
        waiting.push(client);
    }
}
