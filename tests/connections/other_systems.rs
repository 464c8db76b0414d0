//! Streams that act as sockets do on macOS and the BSDs, where nobody runs these tests. Each test
//! names the source of its claim. Paths in XNU, FreeBSD and OpenBSD are those of their kernels.
//!
//! `stream_faults.rs` has what all systems share, at every call of a connection: errors of
//! networks, EINTR, EAGAIN (EWOULDBLOCK) of a timeout that came early, TimedOut of a timeout as
//! Windows says it, and ETIMEDOUT of a connection that the system gives up (tcp(4) of macOS and
//! FreeBSD), which is no timeout of ours. `stopped.rs` has EINTR that comes after a deadline.

#![allow(clippy::unwrap_used)] // `clippy.toml` allows it in test functions only.

use crate::support;

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use landline::error::Cause;
use landline::stream::Stream;
use landline::{Builder, CloseCode, Error, Keepalive, Message, WebSocket};
use rustix::io::Errno;
use support::streams::{Call, Judged};
use support::*;

/// Is a socket with the rules of another system.
#[derive(Default)]
struct Rules {
    /// The peer has ended its direction (XNU: `SS_CANTRCVMORE`).
    peer_ended: AtomicBool,
    /// This side has ended its direction (XNU: `SS_CANTSENDMORE`).
    we_ended: AtomicBool,
    /// What was received is discarded (XNU: `sorflush`).
    discarded: AtomicBool,
    /// The errors of the next writes.
    writes: Mutex<Vec<Errno>>,
    /// The errors of the next reads.
    reads: Mutex<Vec<Errno>>,
    /// The calls of `write`.
    written: AtomicUsize,
    longest_timeout: Mutex<Duration>,
}

struct Foreign {
    socket: TcpStream,
    rules: Arc<Rules>,
}

impl Foreign {
    fn connect(to: SocketAddr) -> (Self, Arc<Rules>) {
        let rules = Arc::new(Rules::default());
        (Self { socket: TcpStream::connect(to).unwrap(), rules: rules.clone() }, rules)
    }

    /// Fails as XNU does once both directions have ended, with or without a reset:
    /// `sosetoptlock` in `bsd/kern/uipc_socket.c`, "the socket has been shutdown, no more
    /// sockopt's". illumos does so too (`so_setsockopt`, `SS_CANTSENDMORE`).
    ///
    /// A timeout of more than 24 days was EDOM on older FreeBSDs, because the system counted it in
    /// ticks of 1 ms: `sosetopt` in `sys/kern/uipc_socket.c`, `tv_sec > INT_MAX / hz`.
    fn may_set(&self, timeout: Option<Duration>) -> io::Result<()> {
        let timeout = timeout.unwrap_or_default();
        let mut longest = self.rules.longest_timeout.lock().unwrap();
        *longest = timeout.max(*longest);
        if timeout > Duration::from_millis(i32::MAX as u64) {
            return Err(Errno::DOM.into());
        }
        let (peer_ended, we_ended) = (&self.rules.peer_ended, &self.rules.we_ended);
        match peer_ended.load(Ordering::SeqCst) && we_ended.load(Ordering::SeqCst) {
            true => Err(Errno::INVAL.into()),
            false => Ok(()),
        }
    }
}

impl fmt::Debug for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Foreign")
    }
}

/// Returns the next error, if there is one.
fn next(errors: &Mutex<Vec<Errno>>) -> io::Result<()> {
    match errors.lock().unwrap().pop() {
        Some(error) => Err(error.into()),
        None => Ok(()),
    }
}

impl Stream for Foreign {
    fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        next(&self.rules.reads)?;
        if self.rules.discarded.load(Ordering::SeqCst) {
            return Ok(0);
        }
        io::Read::read(&mut &self.socket, buf)
    }

    fn write(&self, buf: &[u8]) -> io::Result<usize> {
        self.rules.written.fetch_add(1, Ordering::SeqCst);
        next(&self.rules.writes)?;
        io::Write::write(&mut &self.socket, buf)
    }

    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.may_set(timeout)?;
        self.socket.set_read_timeout(timeout)
    }

    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.may_set(timeout)?;
        self.socket.set_write_timeout(timeout)
    }

    fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.socket.set_nonblocking(nonblocking) // By FIONBIO, which is no `setsockopt`.
    }

    fn resumes_writes(&self) -> bool {
        true
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        xnu_shutdown(how, self.rules.peer_ended.load(Ordering::SeqCst))?;
        self.rules.we_ended.store(true, Ordering::SeqCst);
        self.rules.discarded.fetch_or(how != Shutdown::Write, Ordering::SeqCst);
        self.socket.shutdown(how)
    }
}

/// Fails as `soshutdownlock_final` in `bsd/kern/uipc_socket.c` of XNU does. It looks at the reading
/// direction first. If that one has ended, the error is ENOTCONN, and the writing one stays as it
/// is.
fn xnu_shutdown(how: Shutdown, peer_ended: bool) -> io::Result<()> {
    match peer_ended && how != Shutdown::Write {
        true => Err(Errno::NOTCONN.into()),
        false => Ok(()),
    }
}

#[test]
fn an_abort_wakes_a_send_although_shutdown_says_not_connected() {
    /// Blocks in each write after the request, until its own direction has ended.
    #[derive(Debug)]
    struct Full {
        socket: TcpStream,
        is_full: AtomicBool,
        in_write: Mutex<Sender<()>>,
        we_ended: Mutex<bool>,
        changed: Condvar,
    }

    impl Stream for Full {
        fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
            io::Read::read(&mut &self.socket, buf)
        }

        fn write(&self, buf: &[u8]) -> io::Result<usize> {
            if !self.is_full.swap(true, Ordering::SeqCst) {
                return io::Write::write(&mut &self.socket, buf);
            }
            self.in_write.lock().unwrap().send(()).unwrap();
            let ended = self.we_ended.lock().unwrap();
            drop(self.changed.wait_while(ended, |ended| !*ended).unwrap());
            Err(Errno::PIPE.into())
        }

        fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
            self.socket.set_read_timeout(timeout)
        }

        fn set_write_timeout(&self, _: Option<Duration>) -> io::Result<()> {
            Ok(())
        }

        fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
            self.socket.set_nonblocking(nonblocking)
        }

        fn shutdown(&self, how: Shutdown) -> io::Result<()> {
            xnu_shutdown(how, true)?;
            *self.we_ended.lock().unwrap() = true;
            self.changed.notify_all();
            self.socket.shutdown(how)
        }
    }

    watchdog(LIMIT, || {
        for by_handle in [false, true] {
            let server = upgraded(|peer| {
                peer.fin();
                peer.stall();
            });
            let (in_write, is_in_write) = channel();
            let stream = Full {
                socket: TcpStream::connect(server.addr).unwrap(),
                is_full: AtomicBool::new(false),
                in_write: Mutex::new(in_write),
                we_ended: Mutex::new(false),
                changed: Condvar::new(),
            };
            let handle = landline::AbortHandle::new();
            let builder = builder().abort_handle(handle.clone());
            let ws = builder.connect_over("ws://mac/", stream).unwrap();
            let sender = ws.sender();
            let sending = spawn(move || error(sender.send("blocks")));
            is_in_write.recv().unwrap();
            if by_handle {
                handle.abort()
            } else {
                ws.abort()
            }
            let said = promptly(|| sending.join());
            assert!(matches!(said.closed().unwrap().cause(), Cause::Aborted), "{said:?}");
            // The end of the connection has reached the server, although `ws` is still there.
            server.join();
            drop(ws);
        }
    });
}

#[test]
fn a_close_is_clean_although_the_end_of_both_directions_forbids_setsockopt() {
    watchdog(LIMIT, || {
        for peer_is_first in [false, true] {
            let (first, is_first) = channel::<()>();
            let server = upgraded(move |peer| {
                if peer_is_first {
                    peer.send(&close(1000, ""));
                    peer.fin();
                    drop(first);
                    peer.expect_close(1000);
                } else {
                    peer.expect_close(1000);
                    peer.send(&close(1000, ""));
                    peer.fin();
                }
                peer.expect_end();
            });
            let (stream, rules) = Foreign::connect(server.addr);
            let mut ws = builder().connect_over("ws://mac/", stream).unwrap();
            rules.peer_ended.store(true, Ordering::SeqCst);
            if peer_is_first {
                let _ = is_first.recv();
                let closed = error(promptly(|| ws.recv())).closed().cloned().unwrap();
                assert!(closed.is_clean(), "{closed:?}");
            } else {
                assert!(promptly(|| ws.close(CloseCode::NORMAL)).unwrap().is_clean());
            }
            drop(ws);
            server.join();
        }
    });
}

/// Connects to a server that sends its last words, which then wait to be read, and is gone.
fn last_words() -> (Server<Vec<Frame>>, WebSocket, Arc<Rules>) {
    let (told, is_told) = channel();
    let server = upgraded(move |peer| {
        peer.expect(TEXT, b"ready");
        peer.send(&text("the last words"));
        peer.send(&close(1008, "go away"));
        told.send(()).unwrap();
        peer.stall()
    });
    let (stream, rules) = Foreign::connect(server.addr);
    let peeked = stream.socket.try_clone().unwrap();
    let ws = builder().connect_over("ws://mac/", stream).unwrap();
    ws.send("ready").unwrap();
    is_told.recv().unwrap();
    let mut all = [0; 16 + 11];
    while peeked.peek(&mut all).unwrap() < all.len() {
        std::thread::yield_now();
    }
    (server, ws, rules)
}

fn receives_the_last_words(mut ws: WebSocket) {
    assert_eq!(ws.recv().unwrap(), Message::from("the last words"));
    let closed = error(ws.recv()).closed().cloned().unwrap();
    assert_eq!((closed.code().value(), closed.reason()), (1008, "go away"));
}

/// A reset ends both directions at once (`soisdisconnected` of XNU), so that every `setsockopt`
/// fails, although the last bytes of the peer are still to be read.
#[test]
fn what_has_arrived_is_received_although_no_timeout_can_be_set() {
    watchdog(LIMIT, || {
        let (server, ws, rules) = last_words();
        rules.peer_ended.store(true, Ordering::SeqCst);
        rules.we_ended.store(true, Ordering::SeqCst);
        receives_the_last_words(ws);
        assert_eq!(server.join()[0].close_code(), Some(1008));
    });
}

/// send(2) of macOS and FreeBSD: EPIPE and ECONNRESET. macOS also says EPROTOTYPE if the connection
/// ends during the call, which no man page has (libuv: "darwin: translate EPROTOTYPE to
/// ECONNRESET", pull request 3413; .NET: corefx issue 31927).
#[test]
fn a_send_to_a_peer_that_is_gone_fails_and_its_last_words_are_still_received() {
    watchdog(LIMIT, || {
        for gone in [Errno::PIPE, Errno::CONNRESET, Errno::PROTOTYPE] {
            let (server, ws, rules) = last_words();
            rules.writes.lock().unwrap().push(gone);
            let said = error(ws.send("too late"));
            assert!(said.closed().is_some() && said.is_retryable(), "{said:?}");
            receives_the_last_words(ws);
            server.join();
        }
    });
}

/// A write that finds no buffers for its bytes may have taken a part: after EINTR, ERESTART and
/// EWOULDBLOCK `sendit` in `bsd/kern/uipc_syscalls.c` of XNU returns how many bytes were taken, but
/// after ENOBUFS only the error. The other errors come from the interface or the address: send(2)
/// of macOS and FreeBSD.
#[test]
fn a_write_that_fails_by_the_interface_is_not_made_again_and_ends_recv_too() {
    watchdog(LIMIT, || {
        let errors = [
            Errno::NOBUFS,
            Errno::NOMEM,
            Errno::NETDOWN,
            Errno::NETUNREACH,
            Errno::HOSTDOWN,
            Errno::HOSTUNREACH,
            Errno::ADDRNOTAVAIL,
            Errno::NOTCONN,
            Errno::PERM,
        ];
        for refused in errors {
            let server = upgraded(|peer| peer.stall());
            let (stream, rules) = Foreign::connect(server.addr);
            let (mut receiver, sender) =
                builder().connect_over("ws://mac/", stream).unwrap().split();
            rules.writes.lock().unwrap().push(refused);
            let before = rules.written.load(Ordering::SeqCst);
            let says_so = |said: Error| {
                let closed = said.closed().unwrap_or_else(|| panic!("{refused:?}: {said:?}"));
                let Cause::Io(why) = closed.cause() else { panic!("{refused:?}: {said:?}") };
                assert_eq!(why.raw_os_error(), Some(refused.raw_os_error()));
                assert!(said.is_retryable() && said.is_fatal());
            };
            says_so(error(sender.send("x")));
            says_so(error(promptly(|| receiver.recv())));
            says_so(error(sender.send("y")));
            drop((sender, receiver));
            assert_eq!(rules.written.load(Ordering::SeqCst), before + 1, "{refused:?}");
            assert_eq!(server.join(), []);
        }
    });
}

/// A reset is told once, to the call that comes first: `sosend` and `soreceive` of FreeBSD and XNU
/// set `so_error` to zero when they return it. Later writes say EPIPE, later reads the end of the
/// stream.
#[test]
fn a_reset_that_only_the_first_call_is_told_of_is_what_both_directions_say() {
    watchdog(LIMIT, || {
        for sender_is_told in [true, false] {
            let (fin, may_fin) = channel::<()>();
            let server = upgraded(move |peer| {
                let _ = may_fin.recv();
                peer.fin();
                peer.stall();
            });
            let (stream, rules) = Foreign::connect(server.addr);
            let mut ws = builder().connect_over("ws://bsd/", stream).unwrap();
            let told = if sender_is_told { &rules.writes } else { &rules.reads };
            told.lock().unwrap().push(Errno::CONNRESET);
            let says_so = |said: Error| {
                let Cause::Io(why) = said.closed().unwrap().cause() else { panic!("{said:?}") };
                assert_eq!(why.kind(), ErrorKind::ConnectionReset, "{said:?}");
            };
            if sender_is_told {
                says_so(error(ws.send("x")));
                drop(fin);
                says_so(error(ws.recv()));
            } else {
                says_so(error(ws.recv()));
                rules.writes.lock().unwrap().push(Errno::PIPE);
                says_so(error(ws.send("x")));
                drop(fin);
            }
            says_so(error(ws.recv()));
            drop(ws);
            server.join();
        }
    });
}

/// std refuses a timeout of zero, and older FreeBSDs a long one: see [`Foreign::may_set`].
#[test]
fn no_timeout_of_a_socket_is_zero_or_long_whatever_the_options_say() {
    watchdog(LIMIT, || {
        const AGES: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
        let speaks = |builder: Builder, timeout: Duration| {
            let server = upgraded(|peer| {
                peer.expect(TEXT, b"x");
                peer.send(&text("y"));
                peer.expect_close(1000);
                peer.send(&close(1000, ""));
            });
            let (stream, rules) = Foreign::connect(server.addr);
            let mut ws = builder.connect_over("ws://bsd/", stream).unwrap();
            ws.send("x").unwrap();
            loop {
                match ws.recv_timeout(timeout) {
                    Ok(message) => break assert_eq!(message, Message::from("y")),
                    Err(error) => assert!(!error.is_fatal(), "{error:?}"),
                }
            }
            assert!(ws.close(CloseCode::NORMAL).unwrap().is_clean());
            drop(ws);
            server.join();
            let longest = *rules.longest_timeout.lock().unwrap();
            assert!(longest <= Duration::from_secs(5), "{longest:?}");
        };
        for ages in [Duration::MAX, AGES] {
            let builder = builder().keepalive(Keepalive::new(ages, ages));
            let builder = builder.open_timeout(ages).write_timeout(ages).close_timeout(ages);
            speaks(builder, ages);
        }
        let none = builder().open_timeout(None).write_timeout(None).close_timeout(None);
        // `set_read_timeout` of the socket fails if it is zero.
        speaks(none, Duration::from_nanos(1));
    });
}

/// A call that moved a part returns its length, if EINTR or EAGAIN came then (`sendit` and `recvit`
/// of XNU). A call that moved nothing says EINTR or EAGAIN.
#[test]
fn short_writes_and_interruptions_in_turn_lose_and_double_nothing() {
    watchdog(LIMIT, || {
        let server = upgraded(echo);
        echoes(builder(), "ws://bsd/", server.addr);
        server.join();
    });
}

#[cfg(feature = "tls")]
#[test]
fn short_writes_and_interruptions_in_turn_lose_and_double_nothing_over_tls() {
    watchdog(LIMIT, || {
        let server = tls::upgraded_tls(echo);
        echoes(tls::builder(), "wss://localhost/", server.addr);
        server.join();
    });
}

/// Sends back each frame until the Close.
fn echo(peer: &mut Peer) {
    while let Some(frame) = peer.next_frame() {
        peer.send(&support::frame(frame.opcode, true, &frame.payload));
        if frame.opcode == CLOSE {
            return;
        }
    }
}

fn echoes(builder: Builder, url: &str, server: SocketAddr) {
    let stream = TcpStream::connect(server).unwrap();
    stream.set_nodelay(true).unwrap();
    let judged = Judged::new(stream, 7, |count, call| match (call, count % 6) {
        (Call::Read | Call::Write, 1) => Err(Errno::INTR.into()),
        (Call::Read | Call::Write, 4) => Err(Errno::AGAIN.into()),
        _ => Ok(()),
    });
    let mut ws = builder.connect_over(url, judged).unwrap();
    for size in [0, 1, 125, 126, 5000] {
        let bytes: Vec<_> = (0..size).map(|at: u32| at.to_be_bytes()[3]).collect();
        ws.send(&bytes).unwrap();
        assert_eq!(ws.recv().unwrap(), Message::Binary(bytes));
    }
    assert!(ws.close(CloseCode::NORMAL).unwrap().is_clean());
}

/// connect(2) of macOS and FreeBSD: EADDRNOTAVAIL if the ports of this side are used up, EHOSTDOWN
/// if the neighbour does not answer ARP, EINTR if a signal comes first.
#[test]
fn an_address_that_cannot_be_connected_to_makes_room_for_the_next_one_at_once() {
    watchdog(LIMIT, || {
        for why in [Errno::ADDRNOTAVAIL, Errno::HOSTDOWN, Errno::NETDOWN, Errno::INTR] {
            let server = upgraded(|peer| peer.expect_end());
            let bad: SocketAddr = "127.0.0.2:9".parse().unwrap();
            let builder = builder().connector(move |address, _| match address == bad {
                true => Err(why.into()),
                false => TcpStream::connect(address),
            });
            let good = server.addr;
            let both = builder.clone().resolver(move |_, _| Ok(vec![bad, good]));
            let begun = Instant::now();
            let ws = both.connect("ws://two.test/").unwrap();
            assert!(begun.elapsed() < PROMPT && ws.peer_addr() == Some(good));
            ws.abort();
            server.join();

            let one = builder.resolver(move |_, _| Ok(vec![bad]));
            let said = error(one.connect("ws://one.test/"));
            let Error::Connect(refused) = &said else { panic!("{said:?}") };
            assert_eq!(refused.attempts()[0].1.raw_os_error(), Some(why.raw_os_error()));
            assert!(said.is_retryable());
            // A caller would try again for ever after EINTR.
            assert_ne!(io::Error::from(said).kind(), ErrorKind::Interrupted);
        }
    });
}
