//! Streams that misbehave: they fail at any call, return wrong lengths, panic, or are interrupted.

#![allow(clippy::unwrap_used)] // `clippy.toml` allows it in test functions only.

use crate::support;

use std::io::{self, ErrorKind};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use landline::error::Cause;
use landline::stream::Stream;
use landline::{Builder, CloseCode, Error, Event, Message, MessageKind, Timeout, WebSocket};
use support::streams::{Call, Judged};
use support::*;

/// Connects, sends, receives and closes. Sets `closing` before it closes. Returns the error that
/// ended the connection earlier, if any.
fn whole_life(
    builder: &Builder,
    url: &str,
    stream: impl Stream,
    limit: Duration,
    closing: &AtomicBool,
) -> Result<(), Error> {
    let builder = builder.clone();
    let builder = builder.open_timeout(limit).write_timeout(limit).close_timeout(limit);
    let mut ws = builder.connect_over(url, stream)?;
    let mut ended = None;
    for _ in 0..2 {
        let done = ws.send("ping").and_then(|()| ws.recv_timeout(PROMPT));
        match done {
            Ok(message) => assert_eq!(message, Message::from("ping")),
            Err(error) => {
                ended = Some(error);
                break;
            }
        }
    }
    closing.store(true, Ordering::SeqCst);
    let closed = ws.close(CloseCode::NORMAL).unwrap();
    // The outcome stays the same.
    let again = ws.close(CloseCode::NORMAL).unwrap();
    assert_eq!(format!("{closed:?}"), format!("{again:?}"));
    assert_eq!(error(ws.recv()).to_string(), error(ws.recv()).to_string());
    assert!(ws.send("late").is_err());
    match ended {
        Some(error) => {
            assert!(!closed.is_clean(), "{error:?}, but {closed:?}");
            Err(error)
        }
        None if closed.is_clean() => Ok(()),
        None => Err(Error::Closed(closed)),
    }
}

/// The protocol over the streams: plain WebSocket, or over TLS.
#[derive(Clone)]
struct Spoken {
    builder: Builder,
    url: &'static str,
    /// The server's end of a connection.
    peer: Arc<dyn Fn(TcpStream) -> Peer + Send + Sync>,
}

fn plain() -> Spoken {
    Spoken { builder: builder(), url: "ws://judged/", peer: Arc::new(Peer::new) }
}

#[cfg(feature = "tls")]
fn secure() -> Spoken {
    let config = tls::localhost();
    let peer = move |stream| Peer::new(tls::accept(config.clone(), stream));
    Spoken { builder: tls::builder(), url: "wss://localhost/", peer: Arc::new(peer) }
}

/// Returns whether a timeout passed, also that of the closing handshake.
fn ran_out(error: &Error) -> bool {
    let while_closing =
        error.closed().is_some_and(|closed| matches!(closed.cause(), Cause::Timeout(_)));
    error.is_timeout() || while_closing
}

/// Opens one connection after the other. On each of them one more call succeeds before one fails.
fn fails_at_every_call(spoken: &Spoken, kind: ErrorKind, harmless: bool) {
    let server_of_many = listener();
    let addr = server_of_many.local_addr().unwrap();
    let over = Arc::new(AtomicUsize::new(0));
    // The clients whose Close the server has answered.
    let answered = Arc::new(Mutex::new(Vec::new()));
    let (done, make_peer, answers) = (over.clone(), spoken.peer.clone(), answered.clone());
    let serving = spawn(move || {
        loop {
            let (stream, _) = server_of_many.accept().unwrap();
            if done.load(Ordering::SeqCst) != 0 {
                return;
            }
            let (mut peer, answers) = (make_peer(stream), answers.clone());
            std::thread::spawn(move || {
                // The client may give up within its request.
                let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                    let mut first = [0];
                    if !matches!(peer.socket().peek(&mut first), Ok(1)) {
                        return;
                    }
                    peer.upgrade();
                    while let Some(frame) = peer.next_frame() {
                        if let (CLOSE, Ok(client)) = (frame.opcode, peer.socket().peer_addr()) {
                            answers.lock().unwrap().push(client);
                        }
                        let answer = support::frame(frame.opcode, true, &frame.payload);
                        if peer.try_send(&answer).is_err() || frame.opcode == CLOSE {
                            return;
                        }
                    }
                }));
            });
        }
    });
    // A client that can read, but not write, waits for an answer until its timeout.
    let limit = if harmless { LIMIT } else { SHORT * 2 };
    let mut at = 0;
    loop {
        let failed = Arc::new(Mutex::new(None));
        let seen = failed.clone();
        let stream = TcpStream::connect(addr).unwrap();
        let (client, answers) = (stream.local_addr().unwrap(), answered.clone());
        let closing = Arc::new(AtomicBool::new(false));
        let closes = closing.clone();
        let judged = Judged::new(stream, usize::MAX, move |count, call| {
            if count == at {
                // After the peer has answered the Close, nothing more is expected. When the stream
                // is set to block again, the Close is written.
                let late = call == Call::SetNonblocking && closes.load(Ordering::SeqCst)
                    || answers.lock().unwrap().contains(&client);
                *seen.lock().unwrap() = Some((call, late));
                return Err(failure(kind, harmless));
            }
            Ok(())
        });
        let life = || whole_life(&spoken.builder, spoken.url, judged, limit, &closing);
        let outcome = takes_at_most(PROMPT * 2, life);
        let Some((call, late)) = *failed.lock().unwrap() else {
            match outcome {
                Ok(()) => break,
                // The machine is busy. Try again.
                Err(error) => assert!(ran_out(&error), "{error:?}"),
            }
            continue;
        };
        let sets_timeout = matches!(call, Call::SetReadTimeout | Call::SetWriteTimeout);
        if !harmless && sets_timeout && outcome.as_ref().is_err_and(ran_out) {
            continue; // That the timeout could not be set does no harm, so the machine is busy.
        }
        at += 1;
        let io = matches!(call, Call::Read | Call::Write);
        match outcome {
            // After this error nobody knows how much the write took, so it is not made again.
            Err(error) if kind == ErrorKind::TimedOut && call == Call::Write && harmless => {
                let closed = error.closed().map(|closed| closed.cause());
                let timed_out = matches!(closed, Some(Cause::Timeout(Timeout::Send)));
                assert!(error.is_timeout() || timed_out, "{at}: {error:?}");
            }
            // Interrupted calls, and those that time out early, are made again.
            Err(error) if harmless && io => panic!("{kind:?} of {call:?} at {at}: {error:?}"),
            Err(error) => is_told(&error, kind, call, late),
            // If no timeout can be set, landline still reads and writes what does not block.
            Ok(()) => assert!(
                harmless || late || matches!(call, Call::SetReadTimeout | Call::SetWriteTimeout),
                "{kind:?} of {call:?} at {at} is swallowed"
            ),
        }
    }
    over.store(1, Ordering::SeqCst);
    drop(TcpStream::connect(addr));
    serving.join();
}

fn failure(kind: ErrorKind, harmless: bool) -> io::Error {
    if kind == ErrorKind::TimedOut && !harmless {
        // ETIMEDOUT of Linux, WSAETIMEDOUT of Windows.
        return io::Error::from_raw_os_error(if cfg!(windows) { 10060 } else { 110 });
    }
    kind.into()
}

/// Checks that the error tells how the call failed.
fn is_told(error: &Error, kind: ErrorKind, call: Call, late: bool) {
    use ErrorKind::{BrokenPipe, ConnectionReset};
    let told = match error {
        Error::Io(error) => Some(error.kind()),
        Error::Closed(closed) => match closed.cause() {
            Cause::Io(error) => Some(error.kind()),
            Cause::Timeout(Timeout::Close) => {
                // From a peer that is gone the reason may still arrive; and the machine may be
                // busy.
                let listens = call != Call::Read && matches!(kind, BrokenPipe | ConnectionReset);
                (listens || late).then_some(kind)
            }
            _ => None,
        },
        _ => None,
    };
    assert_eq!(told, Some(kind), "{call:?}: {error:?}");
}

/// The errors of networks: a reset, a route that is gone, no memory, and others.
const KINDS: [ErrorKind; 10] = [
    ErrorKind::ConnectionReset,
    ErrorKind::BrokenPipe,
    ErrorKind::ConnectionAborted,
    ErrorKind::NotConnected,
    ErrorKind::OutOfMemory,
    ErrorKind::Other,
    ErrorKind::UnexpectedEof,
    ErrorKind::PermissionDenied,
    ErrorKind::NetworkDown,
    ErrorKind::HostUnreachable,
];

fn gives_one_error(spoken: &Spoken, kinds: &[ErrorKind]) {
    let begin = |&kind| {
        let spoken = spoken.clone();
        spawn(move || fails_at_every_call(&spoken, kind, false))
    };
    let all: Vec<_> = kinds.iter().map(begin).collect();
    all.into_iter().for_each(Joined::join);
}

#[test]
fn a_stream_that_fails_at_any_call_gives_one_error_and_never_hangs() {
    watchdog(LIMIT, || gives_one_error(&plain(), &KINDS));
}

#[cfg(any(target_os = "linux", windows))]
#[test]
fn a_connection_that_the_system_gives_up_at_any_call_is_no_timeout_of_ours() {
    watchdog(LIMIT, || gives_one_error(&plain(), &[ErrorKind::TimedOut]));
}

#[cfg(feature = "tls")]
#[test]
fn a_stream_under_tls_that_fails_at_any_call_gives_one_error_and_never_hangs() {
    watchdog(LIMIT * 2, || gives_one_error(&secure(), &KINDS[..4]));
}

#[test]
fn a_stream_that_cannot_be_written_any_more_ends_recv_too_and_says_why() {
    watchdog(LIMIT, || {
        // A socket behaves like this if a firewall forbids its packets, or the system has no
        // buffers: it can be read, but the peer sends nothing.
        let server = upgraded(|peer| peer.stall());
        let armed = Arc::new(AtomicUsize::new(0));
        let is_armed = armed.clone();
        let stream = TcpStream::connect(server.addr).unwrap();
        let judged = Judged::new(stream, usize::MAX, move |_, call| {
            match call == Call::Write && is_armed.load(Ordering::SeqCst) == 1 {
                true => Err(ErrorKind::PermissionDenied.into()),
                false => Ok(()),
            }
        });
        let builder = builder().close_timeout(SHORT);
        let ws = builder.connect_over("ws://judged/", judged).unwrap();
        let (mut receiver, sender) = ws.split();
        armed.store(1, Ordering::SeqCst);
        let refused = error(sender.send("x"));
        assert!(matches!(refused.closed().unwrap().cause(), Cause::Io(_)), "{refused:?}");
        let receiving = spawn(move || error(receiver.recv()));
        let ended = promptly_or_not(&receiving);
        sender.abort();
        let said = receiving.join();
        drop(server);
        assert!(ended, "recv goes on for ever");
        assert!(matches!(said.closed().unwrap().cause(), Cause::Io(_)), "{said:?}");
    });
}

#[test]
fn a_stream_that_blocks_and_then_breaks_while_a_pong_is_pending_ends_recv() {
    watchdog(LIMIT, || {
        // After a broken pipe the stream ends by itself. After another error the peer may be silent
        // for ever.
        for (kind, ends) in [(ErrorKind::BrokenPipe, true), (ErrorKind::HostUnreachable, false)] {
            let (broke, is_broken) = channel();
            let server = upgraded(move |peer| {
                peer.send(&ping(b"one"));
                peer.send(&ping(b"two").repeat(50_000));
                is_broken.recv().unwrap();
                if ends {
                    peer.fin();
                }
                peer.stall()
            });
            let stream = TcpStream::connect(server.addr).unwrap();
            let mut writes = 0;
            let judged = Judged::new(stream, usize::MAX, move |_, call| {
                writes += usize::from(call == Call::Write);
                match (call, writes) {
                    (Call::Write, 2) => Err(ErrorKind::WouldBlock.into()),
                    (Call::Write, 3..) => {
                        let _ = broke.send(());
                        Err(kind.into())
                    }
                    _ => Ok(()),
                }
            });
            let mut ws = builder().connect_over("ws://judged/", judged).unwrap();
            let sender = ws.sender();
            let receiving = spawn(move || error(ws.recv()));
            let ended = promptly_or_not(&receiving);
            sender.abort();
            assert!(ended, "{kind:?}: recv goes on for ever");
            let said = receiving.join();
            let Cause::Io(why) = said.closed().unwrap().cause() else { panic!("{said:?}") };
            assert_eq!(why.kind(), kind);
            server.join();
        }
    });
}

/// Returns whether a thread ends in time.
fn promptly_or_not<T>(thread: &Joined<T>) -> bool {
    let start = Instant::now();
    while start.elapsed() < PROMPT {
        if thread.is_finished() {
            return true;
        }
        std::thread::yield_now();
    }
    false
}

fn is_no_harm(spoken: &Spoken) {
    for kind in [ErrorKind::Interrupted, ErrorKind::WouldBlock, ErrorKind::TimedOut] {
        fails_at_every_call(spoken, kind, true);
    }
}

#[test]
fn a_stream_that_is_interrupted_or_times_out_early_at_any_call_works() {
    watchdog(LIMIT, || is_no_harm(&plain()));
}

#[cfg(feature = "tls")]
#[test]
fn a_stream_under_tls_that_is_interrupted_or_times_out_early_at_any_call_works() {
    watchdog(LIMIT * 2, || is_no_harm(&secure()));
}

/// Returns a length that is too large, from the `at`-th call on.
#[derive(Debug)]
struct Liar {
    inner: Judged,
    calls: AtomicUsize,
    at: usize,
}

impl Liar {
    fn lie(&self, honest: io::Result<usize>, len: usize) -> io::Result<usize> {
        let lies = self.calls.fetch_add(1, Ordering::SeqCst) >= self.at;
        if lies { Ok(len + 1) } else { honest }
    }
}

impl Stream for Liar {
    fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        let honest = self.inner.read(buf);
        self.lie(honest, buf.len())
    }

    fn write(&self, buf: &[u8]) -> io::Result<usize> {
        self.lie(self.inner.write(buf), buf.len())
    }

    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.inner.set_read_timeout(timeout)
    }

    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.inner.set_write_timeout(timeout)
    }

    fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.inner.set_nonblocking(nonblocking)
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.inner.shutdown(how)
    }
}

#[test]
fn a_stream_that_claims_more_than_it_could_is_an_error_and_no_panic() {
    watchdog(LIMIT, || {
        for at in 0..6 {
            let server = serve(|peer| {
                let mut first = [0];
                if matches!(peer.socket().peek(&mut first), Ok(1)) {
                    peer.upgrade();
                    while let Some(frame) = peer.next_frame() {
                        if peer
                            .try_send(&support::frame(frame.opcode, true, &frame.payload))
                            .is_err()
                        {
                            break;
                        }
                    }
                }
            });
            let inner =
                Judged::new(TcpStream::connect(server.addr).unwrap(), usize::MAX, |_, _| Ok(()));
            let liar = Liar { inner, calls: AtomicUsize::new(0), at };
            let said = promptly(|| {
                whole_life(&builder(), "ws://liar/", liar, PROMPT, &AtomicBool::new(false))
            });
            let said = said.unwrap_err();
            let io = match &said {
                Error::Io(error) => error.to_string(),
                other => other.closed().unwrap().to_string(),
            };
            assert!(io.contains("more bytes than it could"), "{at}: {said:?}");
            server.join();
        }
    });
}

#[test]
fn a_stream_that_writes_nothing_is_an_error_and_no_loop() {
    #[derive(Debug)]
    struct Full(Judged);

    impl Stream for Full {
        fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
            self.0.read(buf)
        }
        fn write(&self, _: &[u8]) -> io::Result<usize> {
            Ok(0)
        }
        fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
            self.0.set_read_timeout(timeout)
        }
        fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
            self.0.set_write_timeout(timeout)
        }
        fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
            self.0.set_nonblocking(nonblocking)
        }
        fn shutdown(&self, how: Shutdown) -> io::Result<()> {
            self.0.shutdown(how)
        }
    }

    watchdog(LIMIT, || {
        let listener = listener();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (theirs, _) = listener.accept().unwrap();
        theirs.shutdown(Shutdown::Write).unwrap();
        let full = Full(Judged::new(stream, usize::MAX, |_, _| Ok(())));
        let said = promptly(|| error(builder().connect_over("ws://full/", full)));
        assert!(
            matches!(&said, Error::Io(error) if error.kind() == ErrorKind::WriteZero),
            "{said:?}"
        );
    });
}

#[test]
fn a_stream_that_is_slow_and_never_blocks_does_not_stretch_a_send() {
    takes_too_long(builder(), |ws| ws.send(vec![7; 32 << 20]));
}

#[test]
fn a_stream_that_is_slow_and_never_blocks_does_not_stretch_many_sends_at_once() {
    let many = |ws: &WebSocket| ws.sender().send_all(vec![vec![7; 1024]; 32 << 10]);
    takes_too_long(builder(), many);
    #[cfg(feature = "deflate")]
    takes_too_long(builder().deflate(landline::deflate::Deflate::new()), many);
}

/// Sends so much over a slow stream that `write_timeout` passes.
fn takes_too_long(
    builder: Builder,
    send: impl Fn(&WebSocket) -> Result<(), Error> + Send + 'static,
) {
    watchdog(LIMIT, move || {
        let server = upgraded(|peer| drop(io::copy(&mut peer.socket(), &mut io::sink())));
        let begins = Arc::new(AtomicBool::new(false));
        let is_begun = begins.clone();
        let stream = TcpStream::connect(server.addr).unwrap();
        let slow = Judged::new(stream, usize::MAX, move |_, call| {
            if call == Call::Write && is_begun.load(Ordering::SeqCst) {
                std::thread::sleep(SHORT / 3); // A slow stream.
            }
            Ok(())
        });
        let ws = builder.write_timeout(SHORT).connect_over("ws://slow/", slow).unwrap();
        begins.store(true, Ordering::SeqCst);
        let said = takes(SHORT, || error(send(&ws)));
        assert!(matches!(said, Error::Timeout(Timeout::Send)), "{said:?}");
        drop(ws);
        server.join();
    });
}

#[test]
fn a_close_that_we_could_not_answer_is_not_clean_and_tells_what_the_peer_said() {
    watchdog(LIMIT, || {
        for kind in [ErrorKind::BrokenPipe, ErrorKind::ConnectionReset, ErrorKind::WouldBlock] {
            let server = upgraded(|peer| {
                peer.expect(TEXT, b"ready");
                peer.send(&close(1000, "off"));
                let _ = peer.stall();
            });
            let stream = TcpStream::connect(server.addr).unwrap();
            let mut writes = 0;
            let judged = Judged::new(stream, usize::MAX, move |_, call| {
                writes += usize::from(call == Call::Write);
                // The writes are the request, the message, and then the Close.
                if call == Call::Write && writes > 2 { Err(kind.into()) } else { Ok(()) }
            });
            let builder = builder().close_timeout(SHORT);
            let mut ws = builder.connect_over("ws://judged/", judged).unwrap();
            ws.send("ready").unwrap();
            // A stream that takes nothing now may take something later.
            let waits = if kind == ErrorKind::WouldBlock { SHORT } else { Duration::ZERO };
            for wait in [waits, Duration::ZERO] {
                let closed = takes(wait, || error(ws.recv())).closed().cloned().unwrap();
                // Only what was written counts as sent.
                assert_eq!((closed.is_clean(), closed.local()), (false, None), "{kind:?}");
                assert_eq!((closed.code(), closed.reason()), (CloseCode::NORMAL, "off"));
            }
            promptly(|| drop(ws));
            server.join();
        }
    });
}

#[test]
fn a_close_that_was_never_written_does_not_count_as_sent() {
    watchdog(LIMIT, || {
        for end in ["the close timeout", "the end of the stream", "an abort"] {
            let (closing, is_closing) = channel();
            let server = upgraded(move |peer| {
                peer.expect(TEXT, b"ready");
                is_closing.recv().unwrap();
                if end == "the end of the stream" {
                    peer.fin();
                }
                peer.stall()
            });
            let full = Arc::new(AtomicBool::new(false));
            let is_full = full.clone();
            let stream = TcpStream::connect(server.addr).unwrap();
            let judged = Judged::new(stream, usize::MAX, move |_, call| {
                match call == Call::Write && is_full.load(Ordering::SeqCst) {
                    true => Err(ErrorKind::WouldBlock.into()),
                    false => Ok(()),
                }
            });
            let timeout = if end == "the close timeout" { SHORT } else { LIMIT };
            let builder = builder().close_timeout(timeout);
            let mut ws = builder.connect_over("ws://full/", judged).unwrap();
            ws.send("ready").unwrap();
            full.store(true, Ordering::SeqCst);
            promptly(|| ws.sender().close(CloseCode::NORMAL).unwrap());
            closing.send(()).unwrap();
            if end == "an abort" {
                ws.abort();
            }
            promptly(|| error(ws.recv()));
            let closed = ws.closed().unwrap();
            assert_eq!((closed.local(), closed.is_clean()), (None, false), "{end}: {closed:?}");
            drop(ws);
            server.join();
        }
    });
}

#[test]
fn a_stream_that_panics_in_a_write_leaves_the_others_an_error() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| peer.stall());
        let armed = Arc::new(AtomicUsize::new(0));
        let is_armed = armed.clone();
        let stream = TcpStream::connect(server.addr).unwrap();
        let judged = Judged::new(stream, usize::MAX, move |_, call| {
            if call == Call::Write && is_armed.load(Ordering::SeqCst) == 1 {
                is_armed.store(2, Ordering::SeqCst);
                panic!("the stream panics (this is a part of the test)");
            }
            Ok(())
        });
        let mut ws = builder().connect_over("ws://panics/", judged).unwrap();
        let (sender, other) = (ws.sender(), ws.sender());
        let receiving = spawn(move || error(ws.recv()));
        armed.store(1, Ordering::SeqCst);
        assert!(std::thread::spawn(move || sender.send("x")).join().is_err());
        assert!(!other.is_open());
        let said = promptly(|| receiving.join());
        assert!(matches!(said.closed().unwrap().cause(), Cause::Io(_)), "{said:?}");
        assert!(error(other.send("y")).closed().is_some());
        promptly(|| drop(other));
        assert_eq!(server.join(), []);
    });
}

/// The stream takes 3 bytes of the message, and then its timeout passes, as on Windows.
#[test]
fn a_write_that_may_have_taken_a_part_is_not_made_again() {
    watchdog(LIMIT, || {
        for (at, kind) in [(0, "text"), (1, "ping")] {
            let server = upgraded(|peer| {
                let mut rest = Vec::new();
                let _ = peer.socket().set_read_timeout(None);
                let _ = io::Read::read_to_end(&mut peer.socket(), &mut rest);
                rest
            });
            let socket = TcpStream::connect(server.addr).unwrap();
            let stream = Partial { socket, writes: AtomicUsize::new(0) };
            let ws = builder().connect_over("ws://partial/", stream).unwrap();
            let send = |sender: landline::Sender| match at {
                0 => sender.send("a message of the caller's"),
                _ => sender.ping(b"a ping of the caller's"),
            };
            let said = promptly(|| error(send(ws.sender())));
            assert!(matches!(said, Error::Timeout(Timeout::Send)), "{kind}: {said:?}");
            let again = error(send(ws.sender()));
            assert!(matches!(again, Error::Closed(_)), "{kind}: {again:?}");
            assert!(!ws.sender().is_open());
            drop(ws);
            assert_eq!(server.join().len(), 3, "{kind}: bytes were written twice");
        }
    });
}

#[derive(Debug)]
struct Partial {
    socket: TcpStream,
    writes: AtomicUsize,
}

impl Stream for Partial {
    fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        io::Read::read(&mut &self.socket, buf)
    }

    fn write(&self, buf: &[u8]) -> io::Result<usize> {
        match self.writes.fetch_add(1, Ordering::SeqCst) {
            // The request.
            0 => io::Write::write(&mut &self.socket, buf),
            1 => {
                io::Write::write(&mut &self.socket, &buf[..3]).unwrap();
                Err(ErrorKind::TimedOut.into())
            }
            _ => io::Write::write(&mut &self.socket, buf),
        }
    }

    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.socket.set_read_timeout(timeout)
    }

    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.socket.set_write_timeout(timeout)
    }

    fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.socket.set_nonblocking(nonblocking)
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.socket.shutdown(how)
    }
}

/// Returns the calls since the last call of this, and forgets them.
fn taken(calls: &Mutex<Vec<Call>>) -> Vec<Call> {
    std::mem::take(&mut *calls.lock().unwrap())
}

#[test]
fn a_loop_that_tries_to_receive_costs_one_call_of_the_stream_each_time() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            peer.expect(TEXT, b"x");
            peer.expect(TEXT, b"y");
            peer.send(&text("z"));
            peer.stall()
        });
        let calls = Arc::new(Mutex::new(Vec::new()));
        let noted = calls.clone();
        let stream = TcpStream::connect(server.addr).unwrap();
        let stream = Judged::new(stream, usize::MAX, move |_, call| {
            noted.lock().unwrap().push(call);
            Ok(())
        });
        let mut ws = builder().connect_over("ws://tries/", stream).unwrap();
        taken(&calls);
        assert_eq!(ws.try_recv().unwrap(), None);
        assert_eq!(taken(&calls), [Call::SetNonblocking, Call::Read]);
        for _ in 0..10 {
            assert_eq!(ws.try_recv().unwrap(), None);
            assert_eq!(taken(&calls), [Call::Read]);
        }
        // The system has room for the message, so the mode does not matter.
        ws.send("x").unwrap();
        taken(&calls);
        ws.send("y").unwrap();
        assert_eq!(taken(&calls), [Call::Write]);
        assert_eq!(ws.recv().unwrap(), Message::from("z"));
        // "z" may have been there already. A call that waits switches back, once.
        assert!(ws.recv_timeout(Duration::from_millis(1)).is_err());
        taken(&calls);
        // It does not spin.
        let timeout = Duration::from_millis(50);
        assert!(matches!(ws.recv_timeout(timeout), Err(Error::Timeout(Timeout::Recv))));
        let calls = taken(&calls);
        assert!(!calls.contains(&Call::SetNonblocking) && calls.len() < 10, "{calls:?}");
        drop(ws);
        server.join();
    });
}

/// Makes a write wait for the write timeout, once it was told to go on.
#[derive(Debug)]
struct FullInWrite {
    socket: TcpStream,
    timeout: Mutex<Option<Duration>>,
    is_full: Arc<AtomicBool>,
    writes: Arc<AtomicUsize>,
    in_write: Sender<()>,
    go_on: Mutex<Receiver<()>>,
}

impl Stream for FullInWrite {
    fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        io::Read::read(&mut &self.socket, buf)
    }

    fn write(&self, buf: &[u8]) -> io::Result<usize> {
        if !self.is_full.load(Ordering::SeqCst) {
            return io::Write::write(&mut &self.socket, buf);
        }
        self.writes.fetch_add(1, Ordering::SeqCst);
        self.in_write.send(()).unwrap();
        let go_on = self.go_on.lock().unwrap();
        go_on.recv().unwrap();
        let timeout = self.timeout.lock().unwrap().unwrap();
        assert!(go_on.recv_timeout(timeout).is_err());
        Err(ErrorKind::WouldBlock.into())
    }

    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.socket.set_read_timeout(timeout)
    }

    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        *self.timeout.lock().unwrap() = timeout;
        Ok(())
    }

    fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.socket.set_nonblocking(nonblocking)
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.socket.shutdown(how)
    }
}

#[test]
fn a_write_that_has_waited_does_not_wait_again_because_the_mode_was_switched_meanwhile() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| peer.stall());
        let (is_full, writes) = <(Arc<AtomicBool>, Arc<AtomicUsize>)>::default();
        let (in_write, is_in_write) = channel();
        let (tells, go_on) = channel();
        let stream = FullInWrite {
            socket: TcpStream::connect(server.addr).unwrap(),
            timeout: Mutex::default(),
            is_full: is_full.clone(),
            writes: writes.clone(),
            in_write,
            go_on: Mutex::new(go_on),
        };
        let builder = builder().write_timeout(Duration::from_millis(100));
        let mut ws = builder.connect_over("ws://full/", stream).unwrap();
        is_full.store(true, Ordering::SeqCst);
        let sender = ws.sender();
        let sending = std::thread::spawn(move || sender.send("x"));
        is_in_write.recv().unwrap();
        assert_eq!(ws.try_recv().unwrap(), None);
        tells.send(()).unwrap();
        assert!(matches!(sending.join().unwrap(), Err(Error::Timeout(Timeout::Send))));
        assert_eq!(writes.load(Ordering::SeqCst), 1);
        drop(ws);
        server.join();
    });
}

/// Notes whether a call came from a thread that unwinds, and panics in a read when `armed`.
#[derive(Debug)]
struct PanicsInRead {
    socket: TcpStream,
    armed: Arc<AtomicBool>,
    called_while_panicking: Arc<AtomicBool>,
}

impl PanicsInRead {
    fn note(&self) {
        self.called_while_panicking.fetch_or(std::thread::panicking(), Ordering::SeqCst);
    }
}

impl Stream for PanicsInRead {
    fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.note();
        if self.armed.load(Ordering::SeqCst) {
            panic!("the stream panics (this is a part of the test)");
        }
        io::Read::read(&mut &self.socket, buf)
    }

    fn write(&self, buf: &[u8]) -> io::Result<usize> {
        self.note();
        io::Write::write(&mut &self.socket, buf)
    }

    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.note();
        self.socket.set_read_timeout(timeout)
    }

    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.note();
        self.socket.set_write_timeout(timeout)
    }

    fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.note();
        self.socket.set_nonblocking(nonblocking)
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.note();
        self.socket.shutdown(how)
    }
}

/// Runs `receive` on a stream that panics in every read. The thread owns the connection, so that
/// its destructors run while it unwinds. Returns whether another sender could go on.
fn panics_in_read(mut receive: impl FnMut(&mut WebSocket) + Send + 'static) -> bool {
    let server = upgraded(|peer| peer.stall());
    let socket = TcpStream::connect(server.addr).unwrap();
    let (armed, called) = <(Arc<_>, Arc<_>)>::default();
    let stream = PanicsInRead {
        socket,
        armed: Arc::clone(&armed),
        called_while_panicking: Arc::clone(&called),
    };
    let mut ws = builder().connect_over("ws://panics/", stream).unwrap();
    let other = ws.sender();
    armed.store(true, Ordering::SeqCst);
    let receiving = std::thread::spawn(move || receive(&mut ws));
    assert!(receiving.join().is_err(), "the panic is the caller's to see");
    if !other.is_open() {
        assert!(error(promptly(|| other.send("x"))).closed().is_some());
    }
    let open = other.is_open();
    armed.store(false, Ordering::SeqCst); // Dropping the last half reads what has arrived.
    promptly(|| drop(other));
    assert!(!called.load(Ordering::SeqCst), "it was called while its thread unwound");
    server.join();
    open
}

#[test]
fn a_stream_that_panics_in_a_read_ends_the_connection_and_not_the_process() {
    watchdog(LIMIT, || {
        assert!(!panics_in_read(|ws| drop(ws.recv())));
        assert!(!panics_in_read(|ws| drop(ws.try_recv())));
    });
}

#[test]
fn a_thread_that_panics_does_not_call_the_stream_while_it_unwinds() {
    watchdog(LIMIT, || {
        assert!(panics_in_read(|_| panic!("the caller panics (this is a part of the test)")));
    });
}

#[test]
fn a_stream_that_is_interrupted_for_ever_stretches_no_deadline() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| peer.stall());
        let open = Arc::new(AtomicBool::new(false));
        let is_open = open.clone();
        let stream = TcpStream::connect(server.addr).unwrap();
        let judged = Judged::new(stream, usize::MAX, move |_, call| {
            let moves = matches!(call, Call::Read | Call::Write);
            match moves && is_open.load(Ordering::SeqCst) {
                true => Err(ErrorKind::Interrupted.into()),
                false => Ok(()),
            }
        });
        let builder = builder().write_timeout(SHORT).close_timeout(None);
        let mut ws = builder.connect_over("ws://interrupted/", judged).unwrap();
        open.store(true, Ordering::SeqCst);
        assert_eq!(promptly(|| ws.try_recv().unwrap()), None);
        let said = takes(SHORT, || error(ws.recv_timeout(SHORT)));
        assert!(matches!(said, Error::Timeout(Timeout::Recv)), "{said:?}");
        let sender = ws.sender();
        let receiving = spawn(move || error(ws.recv()));
        let said = takes(SHORT, || error(sender.send("x")));
        assert!(matches!(said, Error::Timeout(Timeout::Send)), "{said:?}");
        promptly(|| sender.abort());
        promptly(|| receiving.join());
        drop(sender);
        server.join();
    });
}

#[test]
fn an_abort_ends_a_send_over_a_stream_that_is_interrupted_for_ever() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| peer.stall());
        let interrupted = Arc::new(AtomicUsize::new(0));
        let count = interrupted.clone();
        let stream = TcpStream::connect(server.addr).unwrap();
        let mut writes = 0;
        let judged = Judged::new(stream, usize::MAX, move |_, call| {
            writes += usize::from(call == Call::Write);
            if call == Call::Write && writes > 1 {
                count.fetch_add(1, Ordering::SeqCst);
                return Err(ErrorKind::Interrupted.into());
            }
            Ok(())
        });
        let builder = builder().write_timeout(None).close_timeout(None);
        let ws = builder.connect_over("ws://interrupted/", judged).unwrap();
        let sender = ws.sender();
        let sending = spawn(move || error(sender.send("x")));
        while interrupted.load(Ordering::SeqCst) == 0 {
            std::thread::yield_now();
        }
        ws.abort();
        let said = promptly(|| sending.join());
        assert!(matches!(said.closed().unwrap().cause(), Cause::Aborted), "{said:?}");
        drop(ws);
        server.join();
    });
}

#[test]
fn nothing_is_sent_once_an_abort_is_known_although_the_socket_is_still_open() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            peer.expect_fragment(b"the beginning");
            let mut rest = Vec::new();
            let _ = io::Read::read_to_end(&mut peer.socket(), &mut rest);
            rest
        });
        let stream = TcpStream::connect(server.addr).unwrap();
        let (going, gone) = channel();
        let (go, may_go) = channel();
        let (going, may_go) = (Mutex::new(going), Mutex::new(may_go));
        let judged = Judged::new(stream, usize::MAX, |_, _| Ok(())).on_shutdown(move || {
            // The shutdown of this stream is slow.
            if going.lock().unwrap().send(()).is_ok() {
                let _ = may_go.lock().unwrap().recv();
            }
        });
        let ws = builder().connect_over("ws://slow/", judged).unwrap();
        let (sender, aborter, other) = (ws.sender(), ws.sender(), ws.sender());
        let mut writer = sender.writer(MessageKind::Text).unwrap();
        io::Write::write_all(&mut writer, b"the beginning").unwrap();
        io::Write::flush(&mut writer).unwrap();
        let aborting = spawn(move || aborter.abort());
        gone.recv().unwrap();
        assert!(!other.is_open());
        let said = error(other.ping(b"ping"));
        assert!(matches!(said.closed().unwrap().cause(), Cause::Aborted), "{said:?}");
        io::Write::write_all(&mut writer, b"the end").unwrap();
        assert!(error(writer.finish()).closed().is_some());
        assert!(error(other.send("another")).closed().is_some());
        drop(gone);
        go.send(()).unwrap();
        drop(go);
        aborting.join();
        drop((ws, sender, other));
        assert_eq!(server.join(), [], "something was sent after the abort");
    });
}

#[test]
fn what_is_pending_after_a_message_does_not_stretch_its_send() {
    const T: Duration = Duration::from_secs(2);
    watchdog(LIMIT, || {
        let (answered, is_answered) = channel();
        let server = upgraded(move |peer| {
            peer.expect(TEXT, b"first");
            peer.send(&ping(b"p"));
            let _ = is_answered.recv();
        });
        let stream = TcpStream::connect(server.addr).unwrap();
        let mut writes = 0;
        let (slow, is_slow) = channel();
        let judged = Judged::new(stream, usize::MAX, move |_, call| {
            writes += usize::from(call == Call::Write);
            match (call, writes) {
                // The second message takes nearly all of its timeout. Then the peer takes nothing.
                (Call::Write, 3) => {
                    slow.send(()).unwrap();
                    std::thread::sleep(T * 9 / 10);
                }
                (Call::Write, 4..) => {
                    std::thread::sleep(T / 20);
                    return Err(ErrorKind::WouldBlock.into());
                }
                _ => {}
            }
            Ok(())
        });
        let builder = builder().write_timeout(T);
        let mut ws = builder.connect_over("ws://slow/", judged).unwrap();
        let sender = ws.sender();
        sender.send("first").unwrap();
        let sending = spawn(move || takes_at_most(T * 3 / 2, || sender.send("second")));
        is_slow.recv().unwrap();
        // The thread that has the write lock answers the Ping.
        assert!(matches!(ws.next_event().unwrap(), Event::Ping(b"p")));
        sending.join().unwrap();
        ws.abort();
        answered.send(()).unwrap();
        server.join();
    });
}

#[test]
fn a_close_on_the_receiving_thread_does_not_wait_for_a_peer_that_floods() {
    watchdog(LIMIT, || {
        let (closing, is_closing) = channel();
        let server = serve_on(small_listener(), move |peer| {
            peer.upgrade();
            let pings: Vec<u8> = (0..4000).flat_map(|_| ping(&[7; 125])).collect();
            peer.send(&pings);
            peer.send(&text("now"));
            is_closing.recv().unwrap();
            loop {
                let frame = peer.next_frame().expect("a Close");
                if frame.opcode == CLOSE {
                    peer.send(&close(1000, ""));
                    return frame.close_code();
                }
            }
        });
        let builder =
            builder().on_socket(|socket| socket2::SockRef::from(socket).set_send_buffer_size(4096));
        let mut ws = builder.connect(&server.url()).unwrap();
        assert_eq!(ws.recv().unwrap(), Message::from("now"));
        let sender = ws.sender();
        promptly(|| sender.close(CloseCode::NORMAL).unwrap());
        closing.send(()).unwrap();
        let closed = error(ws.recv()).closed().cloned().unwrap();
        assert!(closed.is_clean(), "{closed:?}");
        assert_eq!(server.join(), Some(1000));
    });
}

#[test]
fn a_writer_that_is_never_dropped_delays_no_caller_beyond_the_connection() {
    watchdog(LIMIT, || {
        for abort in [true, false] {
            let server = upgraded(|peer| peer.stall());
            let ws = builder().write_timeout(None).connect(&server.url()).unwrap();
            let (leaking, waiting) = (ws.sender(), ws.sender());
            std::mem::forget(leaking.writer(MessageKind::Text).unwrap());
            let waits = spawn(move || error(waiting.send("x")));
            if abort {
                leaking.abort()
            } else {
                leaking.close(CloseCode::NORMAL).unwrap()
            }
            assert!(promptly(|| waits.join()).closed().is_some());
            ws.abort();
            server.join();
        }
    });
}
