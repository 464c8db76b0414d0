//! The counters of connections and Apps.

#![allow(clippy::unwrap_used)] // `clippy.toml` allows it in test functions only.

use crate::support;

use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::channel;
use std::time::Duration;

use landline::backoff::Fixed;
use landline::counters::Counters;
use landline::stream::Stream;
use landline::{Builder, Callbacks, CloseCode, Event, Message, MessageKind};
use support::apps::{app_at, upgraded_times};
use support::*;

/// Is a socket that counts what goes through it.
#[derive(Debug)]
struct Counting {
    socket: TcpStream,
    counts: Arc<[AtomicUsize; 2]>,
}

impl Stream for Counting {
    fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        let len = io::Read::read(&mut &self.socket, buf)?;
        self.counts[0].fetch_add(len, SeqCst);
        Ok(len)
    }

    fn write(&self, buf: &[u8]) -> io::Result<usize> {
        let len = io::Write::write(&mut &self.socket, buf)?;
        self.counts[1].fetch_add(len, SeqCst);
        Ok(len)
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

/// Plays the server of [`counts_all`].
fn talk(peer: &mut Peer) {
    peer.expect(TEXT, b"hello");
    for one in [b"1", b"2", b"3"] {
        peer.expect(BINARY, one);
    }
    peer.expect(PING, b"ping");
    peer.expect(PONG, b"pong");
    peer.expect_fragment(b"frag");
    peer.expect(0, b"ment");
    peer.expect(BINARY, &[7; 100_000]);
    peer.expect(BINARY, &[8; 70_000]);
    peer.send(&ping(b"answer me"));
    peer.send(&[text("hi"), frame(TEXT, false, b"in "), frame(0, true, b"two")].concat());
    peer.send(&[frame(PONG, true, b""), binary(&[9; 100_000])].concat());
    peer.expect(PONG, b"answer me");
    peer.send(&close(1000, ""));
    peer.expect_close(1000);
}

/// Checks every counter of a connection that does all that can be counted.
fn counts_all(url: &str, builder: &Builder, socket: TcpStream) {
    let counts = Arc::<[AtomicUsize; 2]>::default();
    let stream = Counting { socket, counts: counts.clone() };
    let mut ws = builder.connect_over(url, stream).unwrap();
    assert_eq!(ws.counters(), ws.sender().counters());
    let mut expected = ws.counters();
    assert_eq!((expected.connections, expected.sent.bytes, expected.received.bytes), (1, 0, 0));
    let [before_in, before_out] = [0, 1].map(|way| counts[way].load(SeqCst) as u64);

    ws.send("hello").unwrap();
    assert_eq!(ws.counters().sent.messages, 1);
    ws.send_all([b"1", b"2", b"3"]).unwrap();
    ws.ping(b"ping").unwrap();
    ws.pong(b"pong").unwrap();
    let mut writer = ws.writer(MessageKind::Text).unwrap();
    io::Write::write_all(&mut writer, b"frag").unwrap();
    io::Write::flush(&mut writer).unwrap();
    assert_eq!(ws.counters().sent.messages, 4, "a message counts with its last fragment");
    io::Write::write_all(&mut writer, b"ment").unwrap();
    writer.finish().unwrap();
    ws.send(vec![7; 100_000]).unwrap();
    ws.send_reader(MessageKind::Binary, 70_000, io::repeat(8)).unwrap();
    let sent = ws.counters().sent;
    assert_eq!((sent.messages, sent.pings, sent.pongs), (7, 1, 1));

    assert_eq!(ws.recv().unwrap(), Message::from("hi"));
    assert_eq!(ws.counters().received.messages, 1);
    assert_eq!(ws.recv().unwrap(), Message::from("in two"));
    assert!(matches!(ws.next_event().unwrap(), Event::Pong(b"")));
    assert_eq!(ws.recv().unwrap().len(), 100_000);
    assert!(error(ws.recv()).closed().unwrap().is_clean());

    let [bytes_in, bytes_out] = [0, 1].map(|way| counts[way].load(SeqCst) as u64);
    expected.received.bytes = bytes_in - before_in;
    (expected.received.messages, expected.received.pings, expected.received.pongs) = (3, 1, 1);
    expected.sent.bytes = bytes_out - before_out;
    (expected.sent.messages, expected.sent.pings, expected.sent.pongs) = (7, 1, 2);
    assert_eq!(ws.counters(), expected);
    assert_eq!(ws.sender().counters(), expected);
}

#[test]
fn bytes_messages_pings_and_pongs_are_counted_both_ways() {
    watchdog(LIMIT, || {
        let server = upgraded(talk);
        let socket = TcpStream::connect(server.addr).unwrap();
        counts_all(&server.url(), &builder(), socket);
        server.join();
    });
}

#[cfg(feature = "tls")]
#[test]
fn over_tls_the_encrypted_bytes_are_counted() {
    watchdog(LIMIT, || {
        let server = tls::upgraded_tls(talk);
        let socket = TcpStream::connect(server.addr).unwrap();
        counts_all(&server.url(), &tls::builder(), socket);
        server.join();
    });
}

#[test]
fn bytes_that_arrive_with_the_answer_to_the_opening_handshake_are_counted() {
    watchdog(LIMIT, || {
        let server = serve(|peer| {
            peer.read_request();
            let answer = [peer.good_answer(""), text("first"), text("second")].concat();
            peer.send(&answer);
            peer.stall();
        });
        let mut ws = builder().connect(&server.url()).unwrap();
        ws.recv().unwrap();
        ws.recv().unwrap();
        let received = ws.counters().received;
        assert_eq!((received.bytes, received.messages), (7 + 8, 2));
        drop(ws);
        server.join();
    });
}

#[test]
fn any_thread_may_ask_while_others_block_in_a_write_and_in_a_read() {
    watchdog(LIMIT, || {
        let (release, held) = channel();
        let server = serve_on(small_listener(), move |peer| {
            peer.upgrade();
            peer.send(&text("x"));
            peer.hold_open(&held);
            peer.expect(TEXT, b"first");
            assert_eq!(peer.next_frame().unwrap().payload.len(), 32 << 20);
            peer.stall();
        });
        let (mut receiver, sender) = builder().connect(&server.url()).unwrap().split();
        let (sending, asking) = (sender.clone(), sender.clone());
        receiver.recv().unwrap();
        let receiving = spawn(move || receiver.recv());
        let sending = spawn(move || {
            sending.send("first").unwrap();
            sending.send(vec![0; 32 << 20]).unwrap();
        });
        // The second message cannot fit into the buffers of two sockets. What was received is told
        // once the other thread reads again.
        let blocked = loop {
            let counters = asking.counters();
            if counters.sent.bytes > 11 && counters.received.messages > 0 {
                break counters;
            }
            std::thread::yield_now();
        };
        assert_eq!((blocked.sent.messages, blocked.received.messages), (1, 1));
        drop(release);
        sending.join();
        assert_eq!(asking.counters().sent.messages, 2);
        asking.abort();
        receiving.join().unwrap_err();
        server.join();
    });
}

#[test]
fn a_message_that_was_not_taken_whole_is_not_counted_but_its_bytes_are() {
    watchdog(LIMIT, || {
        let (release, held) = channel();
        let server = serve_on(small_listener(), move |peer| {
            peer.upgrade();
            peer.hold_open(&held);
        });
        let builder = builder().write_timeout(Duration::from_millis(100));
        let ws = builder.connect(&server.url()).unwrap();
        ws.send(vec![0; 32 << 20]).unwrap_err();
        let sent = ws.counters().sent;
        assert!(sent.messages == 0 && sent.bytes > 0, "{sent:?}");
        drop(release);
        server.join();
    });
}

#[test]
fn an_app_counts_all_its_connections() {
    watchdog(LIMIT, || {
        let server = upgraded_times(3, |nth, peer| {
            peer.expect(TEXT, b"subscribe");
            peer.send(&[text("one"), text("two")].concat());
            let code = if nth < 2 { 1012 } else { 1000 };
            peer.send(&close(code, ""));
            peer.expect_close(code);
        });
        let callbacks = Callbacks::new().on_open(|ws, _| ws.send("subscribe"));
        let app = app_at(server.url(), callbacks).backoff(Fixed(Duration::ZERO));
        let handle = app.handle();
        assert_eq!(handle.counters(), Counters::default());
        app.run_forever().unwrap();
        let counters = handle.counters();
        assert_eq!(counters.connections, 3);
        // A Close has two bytes of payload. Frames of the client have a mask.
        assert_eq!((counters.sent.messages, counters.sent.bytes), (3, 3 * (6 + 9 + 6 + 2)));
        assert_eq!((counters.received.messages, counters.received.bytes), (6, 3 * (2 * 5 + 4)));
        server.join();
    });
}

#[test]
fn an_app_counts_the_open_connection_too() {
    watchdog(LIMIT, || {
        let server = upgraded_times(1, |_, peer| {
            peer.expect(TEXT, b"hello");
            peer.send(&text("x"));
            peer.stall();
        });
        let (arrived, waits) = channel();
        let callbacks = Callbacks::new()
            .on_open(|ws, _| ws.send("hello"))
            .on_message(move |_, _| arrived.send(()).unwrap());
        let app = app_at(server.url(), callbacks).with_builder(builder().close_timeout(SHORT));
        let app = app.spawn().unwrap();
        waits.recv().unwrap();
        let counters = app.handle().counters();
        assert_eq!((counters.connections, counters.sent.messages), (1, 1));
        app.handle().stop(CloseCode::NORMAL).unwrap();
        app.join().unwrap();
        server.join();
    });
}

#[test]
fn counters_of_a_loop_that_keeps_its_connections_never_go_backwards() {
    watchdog(LIMIT, || {
        let server = upgraded_times(3, |_, peer| {
            peer.expect(TEXT, b"subscribe");
            peer.send(&text("one"));
            peer.expect_close(1001);
            peer.expect_end();
        });
        let (during, told) = channel();
        let app = app_at(server.url(), ()).backoff(Fixed(Duration::ZERO));
        let handle = app.handle();
        let own = handle.clone();
        let mut connections = app
            .connect_with(move |attempt| {
                during.send(own.counters()).unwrap();
                attempt.builder.connect(attempt.url)
            })
            .connections();
        let expect = |counters: Counters, count: u64, messages: u64| {
            assert_eq!(counters.connections, count);
            assert_eq!((counters.sent.messages, counters.received.messages), (messages, messages));
        };
        let mut kept = Vec::new();
        for count in 0..3 {
            let mut connection = connections.next().unwrap().unwrap();
            expect(told.recv().unwrap(), count, count);
            expect(handle.counters(), count + 1, count);
            connection.send("subscribe").unwrap();
            assert_eq!(connection.recv().unwrap(), Message::from("one"));
            // A handle sees what was received when a call finds nothing more.
            assert!(connection.try_recv().unwrap().is_none());
            expect(handle.counters(), count + 1, count + 1);
            kept.push(connection);
        }
        let before = handle.counters();
        for connection in kept {
            drop(connection);
            expect(handle.counters(), 3, 3);
        }
        drop(connections);
        let after = handle.counters();
        expect(after, 3, 3);
        assert!(after.sent.bytes >= before.sent.bytes, "{after:?}");
        server.join();
    });
}
