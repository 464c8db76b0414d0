//! `try_send`: a message is accepted whole or given back, and the rest of an accepted message is
//! written by later calls.

#![allow(clippy::unwrap_used)] // `clippy.toml` allows it in test functions only.

use crate::support;

use std::error::Error as _;
use std::io::{self, Write as _};
use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::mpsc::{Sender as Channel, channel};
use std::sync::{Arc, Barrier, Mutex};
use std::thread::yield_now;
use std::time::{Duration, Instant};

use landline::error::{Cause, InvalidInput, TrySendError};
use landline::{Builder, CloseCode, Error, Keepalive, Message, MessageKind, Timeout, WebSocket};
use support::streams::{Call, Judged};
use support::*;

/// Is more than the buffers of two sockets hold.
const BIG: usize = 8 << 20;

/// Starts a server that reads nothing before the returned channel is dropped.
fn holds<T: Send + 'static>(
    script: impl FnOnce(&mut Peer) -> T + Send + 'static,
) -> (Server<T>, Channel<()>) {
    let (release, held) = channel();
    let server = serve_on(small_listener(), move |peer| {
        peer.upgrade();
        peer.hold_open(&held);
        script(peer)
    });
    (server, release)
}

/// Returns a connection with a rest, to a peer that reads nothing before the channel is dropped.
fn with_rest<T: Send + 'static>(
    builder: &Builder,
    script: impl FnOnce(&mut Peer) -> T + Send + 'static,
) -> (WebSocket, Server<T>, Channel<()>) {
    let (server, release) = holds(script);
    let ws = builder.connect(&server.url()).unwrap();
    ws.try_send(vec![7; BIG]).unwrap();
    assert_eq!(ws.counters().sent.messages, 0, "there is no rest");
    (ws, server, release)
}

fn expect_big(peer: &mut Peer) {
    let frame = peer.next_frame().expect("the client is gone");
    assert_eq!((frame.opcode, frame.payload.len()), (BINARY, BIG));
    assert!(frame.payload.iter().all(|&byte| byte == 7));
}

/// Returns the message of a `try_send` that would block.
fn blocked<M>(tried: Result<(), TrySendError<M>>) -> M {
    match tried {
        Err(TrySendError::WouldBlock(message)) => message,
        Err(TrySendError::Failed(_, error)) => panic!("{error}"),
        Ok(()) => panic!("accepted"),
    }
}

/// Returns the error of a `try_send` that failed.
fn failed<M>(tried: Result<(), TrySendError<M>>) -> Error {
    match tried {
        Err(TrySendError::Failed(_, error)) => error,
        Err(TrySendError::WouldBlock(_)) => panic!("it would block"),
        Ok(()) => panic!("accepted"),
    }
}

/// Returns numbered messages of different lengths.
fn numbered(number: usize) -> Vec<u8> {
    let mut message = vec![b'x'; number * 7919 % 200_000 + 8];
    message[..8].copy_from_slice(&(number as u64).to_be_bytes());
    message
}

/// Sends numbered messages to a peer that does not read, until one is given back. Then the peer
/// reads, and `try_send` alone sends what is left of 100 messages, or that one message. The peer
/// checks that all arrive, in order.
fn floods(ws: &mut WebSocket, release: Channel<()>) {
    let (mut number, mut bytes, mut release) = (0, 0, Some(release));
    while number < 100 || release.is_some() {
        let message = numbered(number);
        let (start, len) = (message.as_ptr(), message.len() as u64);
        match ws.try_send(message) {
            Ok(()) => {
                number += 1;
                bytes += len;
            }
            Err(TrySendError::WouldBlock(back)) => {
                assert_eq!(back, numbered(number));
                assert_eq!(back.as_ptr(), start, "the message is the same");
                // At most one message is kept. Each has a header of at most 14 bytes, and TLS
                // adds some.
                let taken = ws.counters().sent.bytes;
                assert!(bytes <= taken + 200_000 + 14, "{bytes} accepted, {taken} taken");
                release = None;
                yield_now();
            }
            Err(TrySendError::Failed(_, error)) => panic!("{error}"),
        }
    }
    assert!(ws.close(CloseCode::NORMAL).unwrap().is_clean());
}

fn expect_numbered(peer: &mut Peer) {
    for number in 0.. {
        let frame = peer.next_frame().expect("the client is gone");
        if frame.opcode == CLOSE {
            assert!(number >= 100, "{number} messages");
            return peer.send(&close(1000, ""));
        }
        assert_eq!(frame.payload, numbered(number));
    }
}

#[test]
fn a_message_that_the_system_takes_is_sent_at_once() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            peer.expect(TEXT, b"hello");
            peer.expect(BINARY, &[1; 300_000]);
            peer.stall();
        });
        let ws = builder().connect(&server.url()).unwrap();
        ws.try_send("hello").unwrap();
        ws.sender().try_send(Message::from(vec![1; 300_000])).unwrap();
        drop(ws);
        server.join();
    });
}

#[test]
fn messages_arrive_whole_and_in_order_and_the_others_are_given_back() {
    watchdog(LIMIT, || {
        let (server, release) = holds(expect_numbered);
        floods(&mut builder().connect(&server.url()).unwrap(), release);
        server.join();
    });
}

#[cfg(feature = "tls")]
#[test]
fn messages_arrive_whole_and_in_order_over_tls() {
    watchdog(LIMIT, || {
        let (release, held) = channel();
        let server = tls::upgraded_tls(move |peer| {
            peer.hold_open(&held);
            expect_numbered(peer);
        });
        floods(&mut tls::builder().connect(&server.url()).unwrap(), release);
        server.join();
    });
}

#[cfg(all(feature = "proxy", feature = "tls"))]
#[test]
fn messages_arrive_whole_and_in_order_over_tls_in_tls() {
    watchdog(LIMIT, || {
        let (release, held) = channel();
        let server = tls::upgraded_tls(move |peer| {
            peer.hold_open(&held);
            expect_numbered(peer);
        });
        let builder = tls::builder().proxy(proxy::https_to(server.addr));
        floods(&mut builder.connect("wss://localhost/").unwrap(), release);
        server.join();
    });
}

#[cfg(unix)]
#[test]
fn messages_arrive_whole_and_in_order_over_a_unix_socket() {
    watchdog(LIMIT, || {
        use std::io::Read as _;
        use std::os::unix::net::UnixStream;
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let (release, held) = channel::<()>();
        let peer = spawn(move || {
            streams::upgrade(&mut theirs);
            let _ = held.recv();
            let (mut received, mut buffer, mut number) = (Vec::new(), [0; 64 * 1024], 0);
            loop {
                while let Some(frame) = take_frame(&mut received) {
                    if frame.opcode == CLOSE {
                        theirs.write_all(&close(1000, "")).unwrap();
                        return assert!(number >= 100, "{number} messages");
                    }
                    assert_eq!(frame.payload, numbered(number));
                    number += 1;
                }
                let len = theirs.read(&mut buffer).unwrap();
                received.extend_from_slice(&buffer[..len]);
            }
        });
        floods(&mut builder().connect_over("ws://localhost/", ours).unwrap(), release);
        peer.join();
    });
}

#[test]
fn messages_arrive_whole_and_in_order_over_a_stream_that_takes_little_at_a_time() {
    watchdog(LIMIT, || {
        let (server, release) = holds(expect_numbered);
        let socket = TcpStream::connect(server.addr).unwrap();
        let stream = Judged::new(socket, 1000, |_, _| Ok(()));
        floods(&mut builder().connect_over(&server.url(), stream).unwrap(), release);
        server.join();
    });
}

#[test]
fn a_thread_that_begins_to_receive_writes_the_rest() {
    watchdog(LIMIT, || {
        let (mut ws, server, release) = with_rest(&builder(), |peer| {
            expect_big(peer);
            peer.send(&text("got it"));
            peer.stall()
        });
        assert_eq!(blocked(ws.try_send("next")), "next");
        drop(release);
        assert_eq!(ws.recv().unwrap(), Message::from("got it"));
        assert_eq!(ws.counters().sent.messages, 1);
        ws.try_send("next").unwrap();
        drop(ws);
        assert_eq!(server.join()[0].payload, b"next");
    });
}

/// A call that has little time.
type Receive = fn(&mut WebSocket) -> Result<Option<Message>, Error>;

/// Calls `receive` until the connection is over, and returns how it ended. Each call has less time
/// than the peer takes to read.
fn ends(mut ws: WebSocket, release: Channel<()>, receive: Receive) -> Error {
    let mut release = Some(release);
    loop {
        match receive(&mut ws) {
            Ok(Some(message)) => panic!("{message:?}"),
            // The peer's Close was received, and the answer waits behind the rest.
            Ok(None) if !ws.is_open() => {
                assert!(ws.closed().is_none() && ws.call_by().is_some());
                assert!(release.is_none() || ws.wants_write() && !ws.has_more());
                drop(release.take());
            }
            Ok(None) => yield_now(),
            Err(error) => return error,
        }
    }
}

#[test]
fn a_call_with_little_time_leaves_the_answer_to_a_close_to_the_next() {
    let receives: [Receive; 2] =
        [WebSocket::try_recv, |ws| match ws.recv_timeout(Duration::from_millis(1)) {
            Err(Error::Timeout(Timeout::Recv)) => Ok(None),
            received => received.map(Some),
        }];
    for receive in receives {
        watchdog(LIMIT, move || {
            let (release, held) = channel();
            let server = serve_on(small_listener(), move |peer| {
                peer.upgrade();
                peer.send(&close(1000, "enough"));
                peer.hold_open(&held);
                expect_big(peer);
                peer.expect_close(1000);
            });
            let ws = builder().connect(&server.url()).unwrap();
            ws.try_send(vec![7; BIG]).unwrap();
            let ended = ends(ws, release, receive);
            assert!(ended.closed().unwrap().is_clean(), "{ended:?}");
            server.join();
        });
    }
}

#[test]
fn while_an_answer_waits_no_ping_is_due() {
    watchdog(LIMIT, || {
        let (release, held) = channel();
        let server = serve_on(small_listener(), move |peer| {
            peer.upgrade();
            peer.send(&close(1000, "enough"));
            peer.hold_open(&held);
        });
        let keepalive = Keepalive::new(SHORT, SHORT);
        let builder = builder().close_timeout(None).keepalive(keepalive);
        let mut ws = builder.write_timeout(LIMIT * 2).connect(&server.url()).unwrap();
        ws.try_send(vec![7; BIG]).unwrap();
        while ws.is_open() {
            assert_eq!(ws.try_recv().unwrap(), None);
        }
        let by = ws.call_by().unwrap();
        assert!(by > Instant::now() + LIMIT, "it is due in {:?}", by - Instant::now());
        drop(release);
        server.join();
    });
}

/// An event loop that waits until the socket is readable would call again and again.
#[test]
fn an_answer_that_waits_is_given_up_when_the_stream_ends() {
    watchdog(LIMIT, || {
        let (release, held) = channel();
        let server = serve_on(small_listener(), move |peer| {
            peer.upgrade();
            peer.send(&[close(1000, "enough"), vec![0; 100_000]].concat());
            peer.fin();
            peer.hold_open(&held);
        });
        let mut ws = builder().close_timeout(None).connect(&server.url()).unwrap();
        ws.try_send(vec![7; BIG]).unwrap();
        let error = loop {
            if let Err(error) = ws.try_recv() {
                break error;
            }
        };
        let closed = error.closed().unwrap();
        assert!(!closed.is_clean() && closed.code() == CloseCode::NORMAL, "{closed:?}");
        drop(release);
        server.join();
    });
}

/// The peer has the Close before the thread that wrote it can say so.
#[test]
fn a_close_that_another_thread_is_just_writing_is_not_taken_for_unsent() {
    fn end(returns: bool) {
        let server = upgraded(|peer| {
            assert_eq!(peer.next_frame().unwrap().payload, b"x");
            peer.expect_close(1000);
            peer.send(&close(1000, ""));
        });
        let (written, is_written) = channel();
        let (go_on, goes_on) = channel::<()>();
        let (armed, goes_on) = (Arc::new(AtomicBool::new(false)), Mutex::new(goes_on));
        let is_armed = armed.clone();
        let socket = TcpStream::connect(server.addr).unwrap();
        let stream = Judged::new(socket, usize::MAX, |_, _| Ok(())).after_write(move || {
            if is_armed.load(SeqCst) {
                written.send(()).unwrap();
                let _ = goes_on.lock().unwrap().recv();
            }
        });
        let mut ws = builder().connect_over(&server.url(), stream).unwrap();
        let sender = ws.sender();
        armed.store(true, SeqCst);
        let sending = spawn(move || sender.send("x").unwrap());
        is_written.recv().unwrap();
        ws.sender().close(CloseCode::NORMAL).unwrap();
        go_on.send(()).unwrap();
        is_written.recv().unwrap(); // The thread that sent has written the Close too.
        server.join(); // The peer's Close and the end of its stream have arrived.
        assert_eq!(ws.try_recv().unwrap(), None);
        armed.store(false, SeqCst);
        if returns {
            drop(go_on);
            sending.join();
            let ended = error(ws.try_recv());
            assert!(ended.closed().unwrap().is_clean(), "{ended:?}");
            return;
        }
        let ended = loop {
            if let Err(ended) = ws.try_recv() {
                break ended;
            }
        };
        assert!(!ended.closed().unwrap().is_clean(), "{ended:?}");
        drop(go_on);
        sending.join();
    }
    watchdog(LIMIT, || end(true));
    watchdog(LIMIT, || end(false));
}

#[test]
fn an_answer_that_the_peer_never_takes_is_given_up_at_the_close_timeout() {
    watchdog(LIMIT, || {
        let (_held, never) = channel();
        let server = serve_on(small_listener(), move |peer| {
            peer.upgrade();
            peer.send(&close(1000, "enough"));
            peer.hold_open(&never);
        });
        let ws = builder().close_timeout(SHORT).connect(&server.url()).unwrap();
        ws.try_send(vec![7; BIG]).unwrap();
        let (release, _) = channel();
        let ended = takes(SHORT, || ends(ws, release, WebSocket::try_recv));
        let closed = ended.closed().unwrap();
        assert!(!closed.is_clean() && closed.local().is_none(), "{closed:?}");
        assert_eq!(closed.code(), CloseCode::NORMAL);
        drop(_held);
        server.join();
    });
}

#[test]
fn a_thread_that_is_receiving_already_finds_the_rest() {
    watchdog(LIMIT, || {
        let (reading, is_reading) = channel();
        let server = serve_on(small_listener(), move |peer| {
            peer.upgrade();
            peer.expect(TEXT, b"first");
            peer.send(&text("go"));
            is_reading.recv().unwrap();
            expect_big(peer);
            peer.send(&text("got it"));
        });
        let (mut receiver, sender) = builder().connect(&server.url()).unwrap().split();
        sender.try_send("first").unwrap();
        let (gone, go) = channel();
        let receiving = spawn(move || {
            receiver.recv().unwrap();
            gone.send(()).unwrap();
            receiver.recv().unwrap()
        });
        go.recv().unwrap();
        sender.try_send(vec![7; BIG]).unwrap();
        reading.send(()).unwrap();
        assert_eq!(receiving.join(), Message::from("got it"));
        server.join();
    });
}

#[test]
fn try_recv_writes_the_rest() {
    watchdog(LIMIT, || {
        let (mut ws, server, release) = with_rest(&builder(), |peer| {
            expect_big(peer);
            peer.send(&text("got it"));
            peer.stall();
        });
        drop(release);
        let received = loop {
            match ws.try_recv().unwrap() {
                Some(message) => break message,
                None => yield_now(),
            }
        };
        assert_eq!(received, Message::from("got it"));
        drop(ws);
        server.join();
    });
}

#[test]
fn what_other_calls_send_goes_after_the_rest() {
    watchdog(LIMIT, || {
        let (ws, server, release) = with_rest(&builder(), |peer| {
            expect_big(peer);
            let mut others = [peer.next_frame().unwrap().opcode, peer.next_frame().unwrap().opcode];
            others.sort_unstable();
            assert_eq!(others, [TEXT, PING]);
            peer.stall();
        });
        let (sender, pinging) = (ws.sender(), ws.sender());
        let sending = spawn(move || sender.send("more").unwrap());
        let pinging = spawn(move || pinging.ping(b"").unwrap());
        drop(release);
        sending.join();
        pinging.join();
        drop(ws);
        server.join();
    });
}

#[test]
fn a_message_is_given_back_while_another_thread_sends_and_while_a_writer_is_not_finished() {
    watchdog(LIMIT, || {
        let (server, release) = holds(|peer| {
            peer.expect_fragment(b"one");
            peer.expect(0, b"");
            expect_big(peer);
            peer.stall();
        });
        let ws = builder().connect(&server.url()).unwrap();
        let mut writer = ws.writer(MessageKind::Text).unwrap();
        assert_eq!(blocked(ws.try_send("a")), "a");
        writer.write_all(b"one").unwrap();
        writer.flush().unwrap();
        assert_eq!(blocked(ws.try_send("b")), "b");
        writer.finish().unwrap();
        let before = ws.counters().sent.bytes;
        let sender = ws.sender();
        let sending = spawn(move || sender.send(vec![7; BIG]).unwrap());
        while ws.counters().sent.bytes == before {
            yield_now();
        }
        // The peer does not read, so the other thread still holds its locks.
        assert_eq!(blocked(ws.try_send("c")), "c");
        drop(release);
        sending.join();
        drop(ws);
        server.join();
    });
}

#[test]
fn the_messages_of_threads_that_send_in_both_ways_are_not_mixed() {
    watchdog(LIMIT, || {
        const EACH: usize = 50;
        let server = upgraded(|peer| {
            let mut next = [0; 4];
            while next.iter().sum::<usize>() < 4 * EACH {
                let payload = peer.next_frame().unwrap().payload;
                let thread = usize::from(payload[0]);
                assert_eq!(usize::from(payload[1]), next[thread]);
                assert!(payload.len() == 100_000 && payload[2..].iter().all(|&b| b == payload[0]));
                next[thread] += 1;
            }
            peer.stall();
        });
        let ws = builder().connect(&server.url()).unwrap();
        let barrier = Arc::new(Barrier::new(4));
        let threads = [0, 1, 2, 3].map(|thread| {
            let (sender, barrier) = (ws.sender(), barrier.clone());
            spawn(move || {
                barrier.wait();
                for number in 0..EACH {
                    let mut message = vec![thread; 100_000];
                    message[1] = u8::try_from(number).unwrap();
                    if thread < 2 {
                        sender.send(message).unwrap();
                        continue;
                    }
                    while let Err(error) = sender.try_send(message) {
                        assert!(matches!(error, TrySendError::WouldBlock(_)), "{error}");
                        message = error.into_message();
                        yield_now();
                    }
                }
            })
        });
        for thread in threads {
            thread.join();
        }
        // Writes the last rest, if there is one.
        ws.ping(b"").unwrap();
        drop(ws);
        server.join();
    });
}

#[test]
fn a_close_goes_after_the_rest() {
    watchdog(LIMIT, || {
        let builder = builder().close_timeout(LIMIT);
        let (mut ws, server, release) = with_rest(&builder, |peer| {
            expect_big(peer);
            peer.expect_close(1000);
            peer.send(&close(1000, ""));
        });
        ws.sender().close((CloseCode::NORMAL, "enough")).unwrap();
        assert!(matches!(failed(ws.try_send("late")), Error::Closed(_)));
        drop(release);
        assert!(ws.close(CloseCode::NORMAL).unwrap().is_clean());
        server.join();
    });
}

#[test]
fn a_close_does_not_wait_for_ever_for_a_rest_that_the_peer_never_takes() {
    watchdog(LIMIT, || {
        let builder = builder().close_timeout(Duration::from_millis(100));
        let (mut ws, server, release) = with_rest(&builder, |_| ());
        let closed = ws.close(CloseCode::NORMAL).unwrap();
        assert!(matches!(closed.cause(), Cause::Timeout(Timeout::Close)), "{closed}");
        assert!(closed.local().is_none(), "the Close was not sent");
        drop(release);
        server.join();
    });
}

#[test]
fn a_connection_that_is_dropped_with_a_rest_ends_within_the_message() {
    watchdog(LIMIT, || {
        let (ws, server, release) = with_rest(&builder(), |peer| peer.read_to_end().len());
        drop(ws); // It does not block.
        drop(release);
        assert!((1..BIG).contains(&server.join()));
    });
}

#[test]
fn a_rest_that_the_peer_does_not_take_within_write_timeout_ends_the_connection() {
    watchdog(LIMIT, || {
        let builder = builder().write_timeout(Duration::from_millis(100));
        let ends: [fn(&mut WebSocket) -> Option<Error>; 3] = [
            |ws| Some(ws.recv().unwrap_err()),
            |ws| ws.try_recv().err(),
            |ws| match ws.try_send("more") {
                Err(TrySendError::Failed("more", error)) => Some(error),
                Err(TrySendError::WouldBlock("more")) => None,
                other => panic!("{other:?}"),
            },
        ];
        for end in ends {
            let (mut ws, server, release) = with_rest(&builder, |_| ());
            let error = loop {
                match end(&mut ws) {
                    Some(error) => break error,
                    None => yield_now(),
                }
            };
            let is_send = |cause: &Cause| matches!(cause, Cause::Timeout(Timeout::Send));
            let late = matches!(error, Error::Timeout(Timeout::Send));
            assert!(late || error.closed().is_some_and(|c| is_send(c.cause())), "{error:?}");
            assert!(!ws.is_open());
            let last = ws.recv().unwrap_err();
            assert!(matches!(last, Error::Timeout(Timeout::Send)), "{last:?}");
            drop(release);
            server.join();
        }
    });
}

#[test]
fn a_peer_that_goes_on_reading_gets_the_rest_whatever_else_it_sends() {
    watchdog(LIMIT, || {
        // The receiver is busy all the time, and never waits.
        let (mut ws, server, release) = with_rest(&builder(), |peer| {
            let socket = peer.socket().try_clone().unwrap();
            let stop = Arc::new(AtomicBool::new(false));
            let stopped = stop.clone();
            let flooding = spawn(move || {
                while !stopped.load(SeqCst) {
                    (&socket).write_all(&text("x").repeat(1000)).unwrap();
                }
            });
            expect_big(peer);
            stop.store(true, SeqCst);
            flooding.join();
            peer.send(&text("last"));
            peer.stall();
        });
        drop(release);
        while ws.recv().unwrap() != Message::from("last") {}
        drop(ws);
        server.join();
    });
}

#[test]
fn a_stream_that_cannot_be_made_non_blocking_fails_and_the_message_comes_back() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| peer.stall());
        let socket = TcpStream::connect(server.addr).unwrap();
        // The first call makes it blocking.
        let mut calls = 0;
        let stream = Judged::new(socket, usize::MAX, move |_, call| {
            calls += usize::from(call == Call::SetNonblocking);
            match call {
                Call::SetNonblocking if calls > 1 => Err(io::ErrorKind::Unsupported.into()),
                _ => Ok(()),
            }
        });
        let ws = builder().connect_over(&server.url(), stream).unwrap();
        ws.send("by the usual way").unwrap();
        match ws.try_send("mine") {
            Err(TrySendError::Failed("mine", Error::Closed(closed))) => {
                assert!(matches!(closed.cause(), Cause::Io(_)), "{closed}");
            }
            other => panic!("{other:?}"),
        }
        assert!(!ws.is_open());
        drop(ws);
        assert_eq!(server.join().len(), 1);
    });
}

#[test]
fn a_stream_that_panics_ends_the_connection_and_the_panic_goes_on() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| peer.stall());
        let socket = TcpStream::connect(server.addr).unwrap();
        let armed = Arc::new(AtomicBool::new(false));
        let is_armed = armed.clone();
        let stream = Judged::new(socket, usize::MAX, move |_, call| {
            assert!(call != Call::Write || !is_armed.load(SeqCst), "on purpose");
            Ok(())
        });
        let ws = builder().connect_over(&server.url(), stream).unwrap();
        armed.store(true, SeqCst);
        catch_unwind(AssertUnwindSafe(|| ws.try_send("x"))).unwrap_err();
        armed.store(false, SeqCst);
        assert!(matches!(failed(ws.try_send("x")), Error::Closed(_)));
        drop(ws);
        server.join();
    });
}

#[test]
fn a_connection_that_is_over_gives_the_message_back() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            peer.send(&close(4000, "over"));
            peer.expect_close(4000);
        });
        let mut ws = builder().connect(&server.url()).unwrap();
        ws.recv().unwrap_err();
        let message = Message::from("kept");
        let error = ws.try_send(message).unwrap_err();
        assert_eq!(error.to_string(), "not sent");
        assert!(error.source().unwrap().to_string().starts_with("closed by the peer: 4000"));
        assert_eq!(error.into_message(), Message::from("kept"));
        server.join();

        let server = upgraded(|peer| peer.stall());
        let ws = builder().connect(&server.url()).unwrap();
        ws.abort();
        assert_eq!(ws.try_send("kept").unwrap_err().into_message(), "kept");
        server.join();
    });
}

#[test]
fn an_error_shows_why_and_not_the_message() {
    let blocked = TrySendError::WouldBlock("secret");
    let failed = TrySendError::Failed("secret", InvalidInput::Text.into());
    for error in [blocked, failed] {
        let shown = format!("{error} {error:?}");
        assert!(shown.contains("not sent") && !shown.contains("secret"), "{shown}");
        let source = error.source().and_then(|source| source.downcast_ref::<Error>());
        assert_eq!(source.is_some(), matches!(error, TrySendError::Failed(..)), "{shown}");
    }
}
