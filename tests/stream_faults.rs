//! Streams with a will of their own: they fail at any call, lie, panic, or are interrupted.

#![allow(clippy::unwrap_used)] // The clippy.toml lets tests, but not what they call.

use crate::support;

use std::io::{self, ErrorKind};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use landline::{Builder, Cause, CloseCode, Error, Message, Stream, Timeout};
use support::streams::{Call, Judged};
use support::*;

/// Connects, sends, receives and closes, which is told; gives the error that ended it, if any did.
fn whole_life(
    builder: &Builder,
    url: &str,
    stream: impl Stream,
    patience: Duration,
    closing: &AtomicBool,
) -> Result<(), Error> {
    let builder = builder.clone();
    let builder = builder.open_timeout(patience).write_timeout(patience).close_timeout(patience);
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
    // The outcome is sticky, whatever it is.
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

/// What is spoken over the streams.
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

/// One life after the other, in each of which one more call goes well before one fails.
fn fails_at_every_call(spoken: &Spoken, kind: ErrorKind, harmless: bool) {
    let server_of_many = listener();
    let addr = server_of_many.local_addr().unwrap();
    let over = Arc::new(AtomicUsize::new(0));
    // Whom the server has answered a Close.
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
    // Who can read, but not write, waits for an answer as long as it has been told to.
    let patience = if harmless { LIMIT } else { SHORT * 2 };
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
                // Once the peer has answered our Close, nothing more is to be heard. When a stream
                // is to block again, the Close has gone out.
                let late = call == Call::SetNonblocking && closes.load(Ordering::SeqCst)
                    || answers.lock().unwrap().contains(&client);
                *seen.lock().unwrap() = Some((call, late));
                return Err(failure(kind, harmless));
            }
            Ok(())
        });
        let life = || whole_life(&spoken.builder, spoken.url, judged, patience, &closing);
        let outcome = takes_at_most(PROMPT * 2, life);
        let Some((call, late)) = *failed.lock().unwrap() else {
            match outcome {
                Ok(()) => break,
                // The machine is busy: once more.
                Err(error) => assert!(error.is_timeout(), "{error:?}"),
            }
            continue;
        };
        at += 1;
        let io = matches!(call, Call::Read | Call::Write);
        match outcome {
            // Interrupted calls are made again; timeouts that come early are looked through.
            Err(error) if harmless && io => panic!("{kind:?} of {call:?} at {at}: {error:?}"),
            Err(error) => is_told(&error, kind, call, late),
            Ok(()) => assert!(harmless || late, "{kind:?} of {call:?} at {at} is swallowed"),
        }
    }
    over.store(1, Ordering::SeqCst);
    drop(TcpStream::connect(addr));
    serving.join();
}

fn failure(kind: ErrorKind, harmless: bool) -> io::Error {
    #[cfg(target_os = "linux")]
    if kind == ErrorKind::TimedOut && !harmless {
        const ETIMEDOUT: i32 = 110;
        return io::Error::from_raw_os_error(ETIMEDOUT);
    }
    let _ = harmless;
    kind.into()
}

/// That the call failed is what is said, and how.
fn is_told(error: &Error, kind: ErrorKind, call: Call, late: bool) {
    use ErrorKind::{BrokenPipe, ConnectionReset};
    let told = match error {
        Error::Io(error) => Some(error.kind()),
        Error::Closed(closed) => match closed.cause() {
            Cause::Io(error) => Some(error.kind()),
            Cause::Timeout(Timeout::Close) => {
                // Of who is gone it is still heard why; and the machine may be busy.
                let listens = call != Call::Read && matches!(kind, BrokenPipe | ConnectionReset);
                (listens || late).then_some(kind)
            }
            _ => None,
        },
        _ => None,
    };
    assert_eq!(told, Some(kind), "{call:?}: {error:?}");
}

/// As a network fails: with a reset, a route that is gone, no memory, and others.
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

#[cfg(target_os = "linux")]
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
        // As a socket does whose packets a firewall forbids, or that gets no buffers: it can be
        // read, but the peer has nothing to say.
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
fn a_stream_that_blocks_and_then_breaks_while_a_pong_is_owed_ends_recv() {
    watchdog(LIMIT, || {
        // A broken pipe ends by itself; after another failure the peer may be silent for ever.
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

/// Whether a thread ends in time.
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

/// Says that it moved more than it could, from the `at`-th call on.
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
    watchdog(LIMIT, || {
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
        let builder = builder().write_timeout(SHORT);
        let ws = builder.connect_over("ws://slow/", slow).unwrap();
        begins.store(true, Ordering::SeqCst);
        let said = takes(SHORT, || error(ws.sender().send(&vec![7; 32 << 20])));
        assert!(matches!(said, Error::Timeout(Timeout::Send)), "{said:?}");
        drop(ws);
        server.join();
    });
}

#[test]
fn a_stream_that_cannot_take_our_answer_to_a_close_was_clean_all_the_same() {
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
                // The request, the message, and then the Close.
                if call == Call::Write && writes > 2 { Err(kind.into()) } else { Ok(()) }
            });
            let builder = builder().close_timeout(SHORT);
            let mut ws = builder.connect_over("ws://judged/", judged).unwrap();
            ws.send("ready").unwrap();
            // A stream that takes nothing just now may do so later.
            let waits = if kind == ErrorKind::WouldBlock { SHORT } else { Duration::ZERO };
            for wait in [waits, Duration::ZERO] {
                let closed = takes(wait, || error(ws.recv())).closed().cloned().unwrap();
                assert!(closed.is_clean(), "{kind:?}: {closed:?}");
                assert_eq!((closed.code(), closed.reason()), (CloseCode::NORMAL, "off"));
            }
            promptly(|| drop(ws));
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
