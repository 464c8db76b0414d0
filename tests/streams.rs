//! Unix sockets, sockets that the user prepared, and streams with a will of their own.

#![allow(clippy::unwrap_used)] // The clippy.toml lets tests, but not what they call.

mod support;

use std::io::{self, ErrorKind};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use landline::{Cause, CloseCode, Error, Message, Stream};
use support::streams::{Call, Judged};
use support::*;

/// A server that echoes one message and closes as it is asked.
fn echoes_once() -> Server<()> {
    upgraded(|peer| {
        while let Some(frame) = peer.next_frame() {
            let answer = match frame.opcode {
                CLOSE => close_answer(&frame),
                opcode => support::frame(opcode, true, &frame.payload),
            };
            if peer.try_send(&answer).is_err() || frame.opcode == CLOSE {
                return;
            }
        }
    })
}

fn close_answer(frame: &Frame) -> Vec<u8> {
    support::frame(CLOSE, true, &frame.payload)
}

#[cfg(unix)]
mod unix {
    use std::os::unix::net::{UnixListener, UnixStream};

    use super::*;

    /// Speaks WebSocket over a Unix socket by pumping it to a scripted server.
    fn pump(stream: UnixStream, to: SocketAddr) {
        let server = TcpStream::connect(to).unwrap();
        let (mut from, mut into) = (stream.try_clone().unwrap(), server.try_clone().unwrap());
        std::thread::spawn(move || {
            let _ = io::copy(&mut from, &mut into);
            let _ = into.shutdown(Shutdown::Write);
        });
        let (mut from, mut into) = (server, stream);
        std::thread::spawn(move || {
            let _ = io::copy(&mut from, &mut into);
            let _ = into.shutdown(Shutdown::Write);
        });
    }

    fn works(mut ws: landline::WebSocket) {
        assert_eq!(ws.peer_addr(), None);
        ws.send("over it").unwrap();
        assert_eq!(ws.recv().unwrap(), Message::from("over it"));
        let timeout = error(ws.recv_timeout(Duration::from_millis(1)));
        assert!(timeout.is_timeout());
        assert!(ws.close(CloseCode::NORMAL).unwrap().is_clean());
    }

    #[test]
    fn a_unix_socket_is_connected_to_by_its_path() {
        watchdog(LIMIT, || {
            let server = echoes_once();
            let path = std::env::temp_dir().join(format!("landline-{}.sock", std::process::id()));
            let _ = std::fs::remove_file(&path);
            let listener = UnixListener::bind(&path).unwrap();
            let addr = server.addr;
            let pumping = spawn(move || pump(listener.accept().unwrap().0, addr));
            works(builder().connect_unix(&path, "ws://localhost/chat").unwrap());
            pumping.join();
            server.join();
            std::fs::remove_file(&path).unwrap();
            let missing = error(builder().connect_unix(&path, "ws://localhost/"));
            assert!(matches!(&missing, Error::Io(error) if error.kind() == ErrorKind::NotFound));
        });
    }

    #[test]
    fn a_connected_pair_is_connected_over() {
        watchdog(LIMIT, || {
            let server = echoes_once();
            let (ours, theirs) = UnixStream::pair().unwrap();
            ours.set_nonblocking(true).unwrap();
            pump(theirs, server.addr);
            works(builder().connect_over("ws://pair/", ours).unwrap());
            server.join();
        });
    }

    /// A server whose backlog is full: on Linux, who connects to it waits for ever.
    #[cfg(target_os = "linux")]
    fn full_backlog_at(path: &std::path::Path) -> (socket2::Socket, Vec<socket2::Socket>) {
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
                assert_eq!(full.kind(), ErrorKind::WouldBlock);
                return (listener, waiting);
            }
            waiting.push(client);
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_unix_server_that_never_accepts_is_left_at_the_open_timeout() {
        watchdog(LIMIT, || {
            let name = format!("landline-full-{}.sock", std::process::id());
            let path = std::env::temp_dir().join(name);
            let full = full_backlog_at(&path);
            let builder = builder().open_timeout(SHORT);
            let refused = takes(SHORT, || error(builder.connect_unix(&path, "ws://x/")));
            let expected = landline::Timeout::Connect;
            assert!(matches!(refused, Error::Timeout(which) if which == expected), "{refused:?}");
            drop(full);
            std::fs::remove_file(&path).unwrap();
        });
    }

    /// Whether the thread that connects has begun.
    #[cfg(target_os = "linux")]
    fn is_connecting() -> bool {
        let names = std::fs::read_dir("/proc/self/task")
            .unwrap()
            .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
        // Linux keeps fifteen letters of a thread's name.
        names.into_iter().any(|name| name.trim() == "landline-connec")
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_unix_server_that_never_accepts_is_left_at_an_abort() {
        watchdog(LIMIT, || {
            let name = format!("landline-abort-{}.sock", std::process::id());
            let path = std::env::temp_dir().join(name);
            let full = full_backlog_at(&path);
            let abort = landline::AbortHandle::new();
            let builder = builder().open_timeout(None).abort_handle(abort.clone());
            let (inside, is_inside) = std::sync::mpsc::channel();
            let to = path.clone();
            let connecting = spawn(move || {
                inside.send(()).unwrap();
                error(builder.connect_unix(&to, "ws://x/"))
            });
            is_inside.recv().unwrap();
            while !is_connecting() {
                std::thread::yield_now();
            }
            abort.abort();
            let said = promptly(|| connecting.join());
            assert!(matches!(said.closed().unwrap().cause(), Cause::Aborted), "{said:?}");
            drop(full);
            std::fs::remove_file(&path).unwrap();
        });
    }

    #[test]
    fn an_abort_wakes_a_recv_on_a_unix_socket() {
        watchdog(LIMIT, || {
            let server = echoes_once();
            let (ours, theirs) = UnixStream::pair().unwrap();
            pump(theirs, server.addr);
            let mut ws = builder().connect_over("ws://pair/", ours).unwrap();
            let sender = ws.sender();
            let receiving = spawn(move || error(ws.recv()));
            sender.abort();
            let said = promptly(|| receiving.join());
            assert!(matches!(said.closed().unwrap().cause(), Cause::Aborted));
            server.join();
        });
    }
}

#[test]
fn a_stream_that_moves_a_byte_at_a_time_works() {
    watchdog(LIMIT, || {
        let server = echoes_once();
        let stream = TcpStream::connect(server.addr).unwrap();
        stream.set_nodelay(true).unwrap();
        let slow = Judged::new(stream, 1, |_, _| Ok(()));
        let mut ws = builder().connect_over("ws://slow/", slow).unwrap();
        for size in [0, 1, 125, 126, 5000] {
            let bytes = vec![7; size];
            ws.send(&bytes).unwrap();
            assert_eq!(ws.recv().unwrap(), Message::Binary(bytes));
        }
        assert!(ws.close(CloseCode::NORMAL).unwrap().is_clean());
        server.join();
    });
}

/// Connects, sends, receives and closes; gives the error that ended it, if any did.
fn whole_life(stream: impl Stream, patience: Duration) -> Result<(), Error> {
    let builder = builder()
        .open_timeout(patience)
        .write_timeout(patience)
        .close_timeout(patience)
        .connect_over("ws://judged/", stream);
    let mut ws = builder?;
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

/// One life after the other, in each of which one more call goes well before one fails.
fn fails_at_every_call(kind: ErrorKind, harmless: bool) {
    let server_of_many = listener();
    let addr = server_of_many.local_addr().unwrap();
    let over = Arc::new(AtomicUsize::new(0));
    let done = over.clone();
    let serving = spawn(move || {
        loop {
            let (stream, _) = server_of_many.accept().unwrap();
            if done.load(Ordering::SeqCst) != 0 {
                return;
            }
            let mut peer = Peer::new(stream);
            std::thread::spawn(move || {
                // The client may give up within its request.
                let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                    let mut first = [0];
                    if !matches!(peer.socket().peek(&mut first), Ok(1)) {
                        return;
                    }
                    peer.upgrade();
                    while let Some(frame) = peer.next_frame() {
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
    for at in 0.. {
        let failed = Arc::new(Mutex::new(None));
        let seen = failed.clone();
        let stream = TcpStream::connect(addr).unwrap();
        let judged = Judged::new(stream, usize::MAX, move |count, call| {
            if count == at {
                *seen.lock().unwrap() = Some(call);
                return Err(kind.into());
            }
            Ok(())
        });
        let outcome = takes_at_most(PROMPT, || whole_life(judged, patience));
        let Some(call) = *failed.lock().unwrap() else {
            outcome.unwrap();
            break;
        };
        let io = matches!(call, Call::Read | Call::Write);
        if harmless && io {
            // Interrupted calls are made again; timeouts that come early are looked through.
            outcome.unwrap_or_else(|error| panic!("{kind:?} of {call:?} at {at}: {error:?}"));
        } else if let Err(error) = outcome {
            let error = match &error {
                Error::Io(error) => Some(error.kind()),
                Error::Closed(closed) => match closed.cause() {
                    Cause::Io(error) => Some(error.kind()),
                    _ => None,
                },
                _ => None,
            };
            assert!(error.is_none_or(|error| error == kind), "{call:?} at {at}: {error:?}");
        }
    }
    over.store(1, Ordering::SeqCst);
    drop(TcpStream::connect(addr));
    serving.join();
}

#[test]
fn a_stream_that_fails_at_any_call_gives_one_error_and_never_hangs() {
    watchdog(LIMIT, || {
        let kinds = [
            ErrorKind::ConnectionReset,
            ErrorKind::BrokenPipe,
            ErrorKind::ConnectionAborted,
            ErrorKind::NotConnected,
            ErrorKind::OutOfMemory,
            ErrorKind::Other,
            ErrorKind::UnexpectedEof,
            ErrorKind::PermissionDenied,
        ];
        let all = kinds.map(|kind| spawn(move || fails_at_every_call(kind, false)));
        all.into_iter().for_each(Joined::join);
    });
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
        let server = upgraded(|peer| {
            peer.send(&ping(b"one"));
            peer.send(&ping(b"two").repeat(50_000));
            peer.stall()
        });
        let stream = TcpStream::connect(server.addr).unwrap();
        let mut writes = 0;
        let judged = Judged::new(stream, usize::MAX, move |_, call| {
            writes += usize::from(call == Call::Write);
            match (call, writes) {
                (Call::Write, 2) => Err(ErrorKind::WouldBlock.into()),
                (Call::Write, 3..) => Err(ErrorKind::BrokenPipe.into()),
                _ => Ok(()),
            }
        });
        let mut ws = builder().connect_over("ws://judged/", judged).unwrap();
        let sender = ws.sender();
        let receiving = spawn(move || error(ws.recv()));
        // The peer has nothing to say after its pings, and what it does not get it cannot miss.
        while sender.is_open() {
            std::thread::yield_now();
        }
        sender.abort();
        receiving.join();
        server.join();
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

#[test]
fn a_stream_that_is_interrupted_at_any_call_works() {
    watchdog(LIMIT, || fails_at_every_call(ErrorKind::Interrupted, true));
}

#[test]
fn a_stream_that_times_out_early_at_any_call_works() {
    watchdog(LIMIT, || {
        fails_at_every_call(ErrorKind::WouldBlock, true);
        fails_at_every_call(ErrorKind::TimedOut, true);
    });
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
            let said = promptly(|| whole_life(liar, PROMPT)).unwrap_err();
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
        assert!(matches!(said, Error::Io(_) | Error::Handshake(_)), "{said:?}");
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
        let ws = builder().connect_over("ws://panics/", judged).unwrap();
        let (sender, other) = (ws.sender(), ws.sender());
        armed.store(1, Ordering::SeqCst);
        assert!(std::thread::spawn(move || sender.send("x")).join().is_err());
        assert!(error(other.send("y")).closed().is_some());
        assert!(!other.is_open() || other.send("z").is_err());
        promptly(|| drop((ws, other)));
        assert_eq!(server.join(), []);
    });
}

#[test]
fn the_socket_hook_sees_the_socket_and_may_refuse_it() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| peer.stall());
        let seen = Arc::new(Mutex::new(None));
        let inside = seen.clone();
        let hooked = builder().nodelay(false).on_socket(move |socket| {
            *inside.lock().unwrap() = Some((socket.peer_addr()?, socket.nodelay()?));
            Ok(())
        });
        let ws = hooked.connect(&server.url()).unwrap();
        assert_eq!(*seen.lock().unwrap(), Some((server.addr, false)));
        assert_eq!(ws.peer_addr(), Some(server.addr));
        drop(ws);
        server.join();

        let server = serve(|peer| io::copy(&mut peer.socket(), &mut io::sink()).unwrap());
        let refusing = builder().on_socket(|_| Err(io::Error::other("not this one")));
        let said = error(refusing.connect(&server.url()));
        assert!(matches!(&said, Error::Io(error) if error.to_string() == "not this one"));
        assert_eq!(server.join(), 0, "nothing is sent");
    });
}

#[test]
fn small_messages_are_sent_at_once() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            while let Some(frame) = peer.next_frame() {
                if frame.opcode == TEXT {
                    peer.send(&text("pong"));
                }
            }
        });
        let mut ws = builder().connect(&server.url()).unwrap();
        let start = Instant::now();
        for _ in 0..50 {
            ws.send("a").unwrap();
            ws.send("b").unwrap();
            ws.recv().unwrap();
            ws.recv().unwrap();
        }
        // Nagle and delayed acknowledgements would take 40 ms each time.
        assert!(start.elapsed() < Duration::from_millis(1500), "{:?}", start.elapsed());
        drop(ws);
        server.join();
    });
}
