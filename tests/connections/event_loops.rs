//! An event loop asks a connection for its descriptor, and what to wait for until when. `mio` is
//! edge-triggered on Linux; registering again makes it tell the present state once more.

#![allow(clippy::unwrap_used)] // `clippy.toml` allows it in test functions only.

use crate::support;

use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};
use std::{io, thread};

use landline::error::Cause;
use landline::stream::Stream;
use landline::{CloseCode, Error, Keepalive, Message, Timeout, WebSocket};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use support::streams::Judged;
use support::*;

const HOUR: Duration = Duration::from_secs(3600);

/// Waits for one connection.
struct Loop {
    poll: Poll,
    events: Events,
}

impl Loop {
    fn new(ws: &WebSocket) -> Self {
        let poll = Poll::new().unwrap();
        let fd = ws.fd().expect("it has a descriptor").as_raw_fd();
        let both = Interest::READABLE | Interest::WRITABLE;
        poll.registry().register(&mut SourceFd(&fd), Token(7), both).unwrap();
        Self { poll, events: Events::with_capacity(8) }
    }

    /// Returns whether the socket became readable and writable, after at most `timeout`.
    fn wait(&mut self, timeout: Duration) -> (bool, bool) {
        self.poll.poll(&mut self.events, Some(timeout)).unwrap();
        let is = |state: fn(&mio::event::Event) -> bool| self.events.iter().any(state);
        (is(mio::event::Event::is_readable), is(mio::event::Event::is_writable))
    }

    /// Returns the next message by the rules of the documentation.
    fn next(&mut self, ws: &mut WebSocket) -> Result<Message, Error> {
        loop {
            if let Some(message) = ws.try_recv()? {
                return Ok(message);
            }
            if !ws.has_more() {
                let by = ws.call_by().map_or(LIMIT, |by| by.duration_since(Instant::now()));
                self.wait(by);
            }
        }
    }

    /// Waits until the socket is readable.
    fn until_readable(&mut self) {
        while !self.wait(LIMIT).0 {}
    }
}

/// Receives two messages that arrive together, and a third one in two parts. The server calls back
/// before each part.
fn buffers(mut ws: WebSocket) {
    let mut poll = Loop::new(&ws);
    assert!(ws.has_more(), "nobody has read yet");
    assert_eq!(ws.try_recv().unwrap(), None);
    assert!(!ws.has_more());

    ws.try_send("both").unwrap();
    poll.until_readable();
    while ws.try_recv().unwrap().is_none() {}
    assert!(ws.has_more());
    let (readable, _) = poll.wait(Duration::ZERO);
    assert!(!readable, "the second message is buffered, and not in the socket");
    assert_eq!(ws.try_recv().unwrap(), Some(Message::from("two")));
    assert_eq!(ws.try_recv().unwrap(), None);
    assert!(!ws.has_more());

    ws.try_send("half").unwrap();
    poll.until_readable();
    assert_eq!(ws.try_recv().unwrap(), None);
    // On a slow machine, a call may end before it finds that nothing is left.
    while ws.has_more() {
        assert_eq!(ws.try_recv().unwrap(), None, "only a part of a message is there");
    }
    ws.try_send("rest").unwrap();
    assert_eq!(poll.next(&mut ws).unwrap(), Message::from("three"));

    ws.sender().close(CloseCode::NORMAL).unwrap();
    let error = poll.next(&mut ws).unwrap_err();
    assert!(error.closed().unwrap().is_clean());
}

/// Plays the server of [`buffers`].
fn parts(peer: &mut Peer) {
    peer.expect(TEXT, b"both");
    peer.send(&[text("one"), text("two")].concat());
    let third = text("three");
    peer.expect(TEXT, b"half");
    peer.send(&third[..4]);
    peer.expect(TEXT, b"rest");
    peer.send(&third[4..]);
    peer.expect_close(1000);
    peer.send(&close(1000, ""));
}

#[test]
fn a_loop_receives_what_is_buffered_and_what_comes_in_parts() {
    watchdog(LIMIT, || {
        let server = upgraded(parts);
        buffers(builder().connect(&server.url()).unwrap());
        server.join();
    });
}

#[cfg(feature = "tls")]
#[test]
fn a_loop_receives_over_tls_what_is_buffered_and_what_comes_in_parts() {
    watchdog(LIMIT, || {
        let server = tls::upgraded_tls(parts);
        buffers(tls::builder().connect(&server.url()).unwrap());
        server.join();
    });
}

#[cfg(all(feature = "proxy", feature = "tls"))]
#[test]
fn a_loop_receives_over_tls_in_tls_what_is_buffered_and_what_comes_in_parts() {
    watchdog(LIMIT, || {
        let server = tls::upgraded_tls(parts);
        let builder = tls::builder().proxy(proxy::https_to(server.addr));
        buffers(builder.connect("wss://localhost/").unwrap());
        server.join();
    });
}

#[test]
fn a_loop_receives_over_a_unix_socket() {
    watchdog(LIMIT, || {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let peer = spawn(move || {
            streams::upgrade(&mut theirs);
            io::Write::write_all(&mut theirs, &text("here")).unwrap();
            theirs
        });
        let mut ws = builder().connect_over("ws://localhost/", ours).unwrap();
        assert_eq!(Loop::new(&ws).next(&mut ws).unwrap(), Message::from("here"));
        drop(peer.join());
    });
}

#[test]
fn a_rest_is_written_when_the_socket_is_writable() {
    watchdog(LIMIT, || {
        const BIG: usize = 8 << 20;
        let (release, held) = channel();
        let server = serve_on(small_listener(), move |peer| {
            peer.upgrade();
            peer.hold_open(&held);
            assert_eq!(peer.next_frame().unwrap().payload.len(), BIG);
            peer.send(&text("got it"));
            peer.stall();
        });
        let write_timeout = Duration::from_secs(15);
        let builder = builder().write_timeout(write_timeout);
        let mut ws = builder.connect(&server.url()).unwrap();
        let mut poll = Loop::new(&ws);
        assert!(!ws.wants_write());
        assert_eq!(ws.call_by(), None);
        let before = Instant::now();
        ws.try_send(vec![0; BIG]).unwrap();
        assert!(ws.wants_write());
        let by = ws.call_by().unwrap();
        assert!((before..=Instant::now()).contains(&(by - write_timeout)), "{:?}", by - before);
        drop(release);
        let mut got = None;
        while ws.wants_write() {
            let (_, writable) = poll.wait(LIMIT);
            assert!(writable || !ws.wants_write());
            assert_eq!(got, None);
            got = ws.try_recv().unwrap(); // The answer may come with the end of the rest.
        }
        assert_eq!(ws.call_by(), None);
        let got = got.map_or_else(|| poll.next(&mut ws), Ok);
        assert_eq!(got.unwrap(), Message::from("got it"));
        drop(ws);
        server.join();
    });
}

#[test]
fn a_loop_that_calls_in_time_sends_pings_and_gives_up_a_peer_that_does_not_answer() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            assert_eq!(peer.next_frame().unwrap().opcode, PING);
            peer.stall();
        });
        let (interval, timeout) = (Duration::from_millis(50), Duration::from_millis(100));
        let keepalive = Keepalive::new(interval, timeout);
        let before = Instant::now();
        let mut ws = builder().keepalive(keepalive).connect(&server.url()).unwrap();
        let by = ws.call_by().unwrap();
        assert!((before + interval..=Instant::now() + interval).contains(&by));
        let error = Loop::new(&ws).next(&mut ws).unwrap_err();
        assert!(matches!(error, Error::Timeout(Timeout::Pong)), "{error:?}");
        assert!(before.elapsed() >= interval + timeout);
        assert_eq!(ws.call_by(), None, "it is over");
        server.join();
    });
}

#[test]
fn a_loop_that_calls_in_time_gives_up_a_peer_that_does_not_answer_its_close() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            peer.expect_close(1000);
            peer.stall();
        });
        let timeout = Duration::from_millis(100);
        let builder = builder().close_timeout(timeout).keepalive(Keepalive::new(HOUR, HOUR));
        let mut ws = builder.connect(&server.url()).unwrap();
        let before = Instant::now();
        ws.sender().close(CloseCode::NORMAL).unwrap();
        let by = ws.call_by().unwrap();
        assert!((before + timeout..=Instant::now() + timeout).contains(&by));
        let error = Loop::new(&ws).next(&mut ws).unwrap_err();
        let closed = error.closed().or_else(|| ws.closed()).unwrap();
        assert!(matches!(closed.cause(), Cause::Timeout(Timeout::Close)), "{error:?}");
        drop(ws);
        server.join();
    });
}

#[test]
fn a_loop_without_a_close_timeout_gives_up_a_dead_peer_by_keepalive() {
    watchdog(LIMIT, || {
        let server = upgraded(Peer::stall);
        let ping = Duration::from_millis(20);
        let builder = builder().close_timeout(None).keepalive(Keepalive::new(ping, ping));
        let mut ws = builder.connect(&server.url()).unwrap();
        ws.sender().close(CloseCode::NORMAL).unwrap();
        assert!(ws.call_by().is_some());
        let error = Loop::new(&ws).next(&mut ws).unwrap_err();
        assert!(matches!(error, Error::Timeout(Timeout::Pong)), "{error:?}");
        drop(ws);
        server.join();
    });
}

#[test]
fn a_connection_that_is_over_keeps_its_descriptor_until_it_is_dropped() {
    watchdog(LIMIT, || {
        type End = (fn(&mut Peer), fn(&WebSocket));
        let ends: [End; 3] = [
            (|peer| peer.send(&close(1000, "")), |_| ()),
            (|peer| peer.rst(), |_| ()),
            (|peer| drop(peer.stall()), WebSocket::abort),
        ];
        for (peers, ours) in ends {
            let server = upgraded(peers);
            let mut ws = builder().connect(&server.url()).unwrap();
            let fd = ws.fd().unwrap().as_raw_fd();
            let mut poll = Loop::new(&ws);
            ours(&ws);
            let first = poll.next(&mut ws).unwrap_err().to_string();
            assert_eq!(ws.try_recv().unwrap_err().to_string(), first);
            assert_eq!(ws.fd().unwrap().as_raw_fd(), fd, "it is still open");
            assert_eq!((ws.has_more(), ws.wants_write(), ws.call_by()), (false, false, None));
            let poll = Loop::new(&ws); // It can be registered, so it is open.
            poll.poll.registry().deregister(&mut SourceFd(&fd)).unwrap();
            drop(ws);
            server.join();
        }
    });
}

#[test]
fn an_abort_from_another_thread_wakes_the_loop() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| peer.stall());
        let mut ws = builder().connect(&server.url()).unwrap();
        let sender = ws.sender();
        let aborting = thread::spawn(move || sender.abort());
        let error = Loop::new(&ws).next(&mut ws).unwrap_err();
        assert!(matches!(error.closed().unwrap().cause(), Cause::Aborted), "{error}");
        aborting.join().unwrap();
        server.join();
    });
}

/// Is a socket that tells its descriptor.
#[derive(Debug)]
struct Told(TcpStream);

impl Stream for Told {
    fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        io::Read::read(&mut &self.0, buf)
    }

    fn write(&self, buf: &[u8]) -> io::Result<usize> {
        io::Write::write(&mut &self.0, buf)
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

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.0.fd()
    }
}

#[test]
fn a_stream_of_the_user_has_the_descriptor_that_it_tells_or_none() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| peer.stall());
        let socket = TcpStream::connect(server.addr).unwrap();
        let fd = socket.as_raw_fd();
        let ws = builder().connect_over(&server.url(), Told(socket)).unwrap();
        assert_eq!(ws.fd().unwrap().as_raw_fd(), fd);
        drop(ws);
        server.join();

        let server = upgraded(|peer| peer.stall());
        let socket = TcpStream::connect(server.addr).unwrap();
        let stream = Judged::new(socket, usize::MAX, |_, _| Ok(()));
        let (receiver, sender) = builder().connect_over(&server.url(), stream).unwrap().split();
        assert!(receiver.fd().is_none());
        drop((receiver, sender));
        server.join();
    });
}
