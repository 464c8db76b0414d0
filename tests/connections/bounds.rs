//! Bounds of time in SECURITY.md that belong to no other file: each call here meets a peer that is
//! silent, or that takes nothing.

#![allow(clippy::unwrap_used)] // `clippy.toml` allows it in test functions only.

use crate::support;

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender as End, channel};
use std::time::Duration;

use landline::app::{AppThread, Exit, Fate, Outbox, SendProblem};
use landline::backoff::Never;
use landline::error::InvalidInput;
use landline::{
    App, Callbacks, CloseCode, Error, Handle, Keepalive, MessageKind, Timeout, WebSocket,
};
use support::apps::app_at;
use support::streams::{Call, Endless, Judged};
use support::*;

/// A close timeout. A thread that receives looks as often whether the connection is being closed,
/// and does not wait for the peer at that moment.
const RARE: Duration = Duration::from_millis(600);

/// More bytes than the buffers of two sockets hold.
const BIG: usize = 32 << 20;

/// Starts a peer that reads nothing until the other end is dropped.
fn takes_nothing() -> (Server<()>, End<()>) {
    let (done, hold) = channel();
    let server = serve_on(small_listener(), move |peer| {
        peer.upgrade();
        peer.hold_open(&hold);
    });
    (server, done)
}

#[test]
fn a_stream_whose_other_end_is_silent_is_given_up_at_the_open_timeout() {
    watchdog(LIMIT, || {
        let server = serve(|peer| {
            peer.read_request();
            peer.stall();
        });
        let stream = TcpStream::connect(server.addr).unwrap();
        let builder = builder().open_timeout(SHORT);
        let said = takes(SHORT, || error(builder.connect_over("ws://silent/", stream)));
        assert!(said.is_timeout(), "{said:?}");
        server.join();
    });
}

/// Begins to read a message whose rest does not come, and returns the error of the read.
fn reads_the_rest(mut ws: WebSocket) -> Error {
    let mut reader = ws.reader().unwrap();
    reader.read_exact(&mut [0; 5]).unwrap();
    failed(reader.read(&mut [0]))
}

/// Returns the error of landline in that of a read.
fn failed(read: io::Result<usize>) -> Error {
    *read.unwrap_err().into_inner().unwrap().downcast::<Error>().unwrap()
}

/// Sends the first fragment of a message, and nothing after it.
fn begins_a_message(peer: &mut Peer) {
    peer.send(&frame(TEXT, false, b"begin"));
    peer.stall();
}

#[test]
fn a_reader_gives_up_a_silent_peer_by_keepalive() {
    watchdog(LIMIT, || {
        let server = serve(|peer| {
            peer.read_request();
            let answer = [peer.good_answer(""), frame(TEXT, false, b"begin")].concat();
            peer.send(&answer);
            peer.stall();
        });
        let ws = builder().keepalive(Keepalive::new(SHORT, SHORT)).connect(&server.url()).unwrap();
        let said = takes(SHORT, || reads_the_rest(ws));
        assert!(matches!(said, Error::Timeout(Timeout::Pong)), "{said:?}");
        server.join();
    });
}

#[test]
fn a_reader_is_woken_by_an_abort() {
    watchdog(LIMIT, || {
        let server = upgraded(begins_a_message);
        let begun = Arc::new(AtomicBool::new(false));
        let (reads, is_reading) = channel();
        let has_begun = begun.clone();
        let stream = TcpStream::connect(server.addr).unwrap();
        let judged = Judged::new(stream, usize::MAX, move |_, call| {
            if call == Call::Read && has_begun.load(Ordering::SeqCst) {
                let _ = reads.send(()); // The test may have seen enough.
            }
            Ok(())
        });
        let mut ws = builder().connect_over("ws://reader/", judged).unwrap();
        let sender = ws.sender();
        let reading = spawn(move || {
            let mut reader = ws.reader().unwrap();
            reader.read_exact(&mut [0; 5]).unwrap();
            begun.store(true, Ordering::SeqCst);
            failed(reader.read(&mut [0]))
        });
        is_reading.recv().unwrap();
        sender.abort();
        assert!(promptly(|| reading.join()).closed().is_some());
        server.join();
    });
}

#[test]
fn only_a_call_that_does_not_wait_limits_its_reads_to_256_kib() {
    watchdog(LIMIT, || {
        let big = binary(&vec![7; 4 << 20]);
        let stream = Endless::new(&big.repeat(3), b"");
        let longest = stream.longest_read();
        let mut ws = builder().connect_over("ws://memory/", stream).unwrap();
        ws.next_event().unwrap(); // Its memory stays for the next one.
        ws.next_event().unwrap();
        assert!(longest.swap(0, Ordering::SeqCst) > 1 << 20);
        while ws.try_recv().unwrap().is_none() {}
        assert_eq!(longest.load(Ordering::SeqCst), 256 << 10);
    });
}

#[test]
fn dropping_a_reader_does_not_wait_for_the_rest_of_its_message() {
    watchdog(LIMIT, || {
        let server = upgraded(begins_a_message);
        let mut ws = builder().connect(&server.url()).unwrap();
        let reader = ws.reader().unwrap();
        promptly(|| drop(reader));
        promptly(|| drop(ws));
        server.join();
    });
}

/// Connects over a stream that takes nothing once the flag is set. Each read is reported.
fn connect_over_a_stream(
    builder: &landline::Builder,
    reads: End<()>,
) -> (WebSocket, Arc<AtomicBool>, Server<()>) {
    let server = upgraded(|peer| drop(peer.stall()));
    let full = Arc::new(AtomicBool::new(false));
    let is_full = full.clone();
    let stream = TcpStream::connect(server.addr).unwrap();
    let judged = Judged::new(stream, usize::MAX, move |_, call| match call {
        Call::Write if is_full.load(Ordering::SeqCst) => Err(ErrorKind::WouldBlock.into()),
        Call::Read => {
            let _ = reads.send(()); // The test may have seen enough.
            Ok(())
        }
        _ => Ok(()),
    });
    (builder.connect_over("ws://full/", judged).unwrap(), full, server)
}

#[test]
fn the_end_of_a_message_that_the_peer_does_not_take_times_out() {
    watchdog(LIMIT, || {
        let builder = builder().write_timeout(SHORT);
        let (ws, full, server) = connect_over_a_stream(&builder, channel().0);
        let mut writer = ws.writer(MessageKind::Text).unwrap();
        writer.write_all(b"all of it").unwrap();
        full.store(true, Ordering::SeqCst);
        let said = takes(SHORT, || error(writer.finish()));
        assert!(matches!(said, Error::Timeout(Timeout::Send)), "{said:?}");
        drop(ws);
        server.join();
    });
}

#[test]
fn dropping_a_writer_waits_for_close_timeout_at_most() {
    watchdog(LIMIT, || {
        let (reads, has_read) = channel();
        let builder = builder().close_timeout(RARE);
        let (ws, full, server) = connect_over_a_stream(&builder, reads);
        let (mut receiver, sender) = ws.split();
        let mut writer = sender.writer(MessageKind::Text).unwrap();
        writer.write_all(b"begin").unwrap();
        writer.flush().unwrap();
        full.store(true, Ordering::SeqCst);
        while has_read.try_recv().is_ok() {} // The reads of the opening handshake.
        let receiving = spawn(move || error(receiver.recv()));
        has_read.recv().unwrap();
        takes(RARE, || drop(writer));
        promptly(|| receiving.join());
        drop(sender);
        server.join();
    });
}

#[test]
fn dropping_a_writer_waits_for_nothing_if_no_thread_receives() {
    watchdog(LIMIT, || {
        let builder = builder().close_timeout(LIMIT);
        let (ws, full, server) = connect_over_a_stream(&builder, channel().0);
        let mut writer = ws.writer(MessageKind::Text).unwrap();
        writer.write_all(b"begin").unwrap();
        writer.flush().unwrap();
        full.store(true, Ordering::SeqCst);
        promptly(|| drop(writer));
        promptly(|| drop(ws));
        server.join();
    });
}

#[test]
fn a_close_waits_for_close_timeout_at_most_if_another_thread_receives() {
    watchdog(LIMIT, || {
        let (reads, has_read) = channel();
        let builder = builder().close_timeout(RARE);
        let (ws, full, server) = connect_over_a_stream(&builder, reads);
        let (mut receiver, sender) = ws.split();
        full.store(true, Ordering::SeqCst);
        while has_read.try_recv().is_ok() {} // The reads of the opening handshake.
        let receiving = spawn(move || error(receiver.recv()));
        has_read.recv().unwrap();
        takes(RARE, || sender.close(CloseCode::NORMAL).unwrap());
        promptly(|| receiving.join());
        drop(sender);
        server.join();
    });
}

/// Asks an App, whose thread receives over a stream that takes nothing, to end its connection.
fn ask_an_app(ask: impl Fn(&Handle)) {
    let (reads, has_read) = channel();
    let builder = builder().close_timeout(RARE);
    let (ws, full, server) = connect_over_a_stream(&builder, reads);
    full.store(true, Ordering::SeqCst);
    while has_read.try_recv().is_ok() {} // The reads of the opening handshake.
    let mut ws = Some(ws);
    let app = App::new("ws://full/", Callbacks::new())
        .connect_with(move |_| ws.take().ok_or_else(|| InvalidInput::Close.into()))
        .backoff(Never)
        .spawn()
        .unwrap();
    has_read.recv().unwrap();
    ask(&app.handle());
    let _ = promptly(|| app.join());
    server.join();
}

#[test]
fn a_handle_waits_for_close_timeout_at_most_until_the_peer_takes_the_close() {
    watchdog(LIMIT, || {
        ask_an_app(|handle| takes(RARE, || handle.stop(CloseCode::NORMAL).unwrap()));
        ask_an_app(|handle| takes(RARE, || handle.reconnect(CloseCode::NORMAL).unwrap()));
        ask_an_app(|handle| promptly(|| handle.abort()));
    });
}

#[test]
fn what_a_connection_tells_waits_for_no_thread_that_sends() {
    watchdog(LIMIT, || {
        let (server, done) = takes_nothing();
        let ws = builder().connect(&server.url()).unwrap();
        let sender = ws.sender();
        let before = sender.counters().sent.bytes;
        let sending = spawn(move || error(sender.send(vec![0; BIG])));
        while ws.counters().sent.bytes == before {
            std::thread::yield_now();
        }
        promptly(|| {
            let _ = (ws.is_open(), ws.latency(), ws.closed(), ws.counters(), ws.timings());
            let _ = (ws.local_addr(), ws.peer_addr(), ws.response(), ws.subprotocol());
            #[cfg(unix)]
            let _ = (ws.fd(), ws.has_more(), ws.wants_write(), ws.call_by());
            #[cfg(feature = "tls")]
            let _ = ws.tls_info();
            #[cfg(feature = "deflate")]
            let _ = ws.deflate();
            let (receiver, sender) = ws.split();
            let _ = (sender.clone().is_open(), sender.latency(), sender.counters());
            let _ = (receiver.latency(), receiver.closed(), receiver.counters());
            let _ = (sender.peer_addr(), sender.local_addr());
            let _ = (receiver.peer_addr(), receiver.local_addr());
            WebSocket::from(receiver).abort();
        });
        promptly(|| sending.join());
        drop(done);
        server.join();
    });
}

/// Starts an App whose handler tells when the connection is open.
fn start(server: &Server<()>, builder: landline::Builder, outbox: Option<Outbox>) -> AppThread {
    let (open, is_open) = channel();
    let callbacks = Callbacks::new().on_open(move |_, _| open.send(()));
    let app = app_at(server.url(), callbacks).with_builder(builder).backoff(Never);
    let app = match outbox {
        Some(outbox) => app.outbox(outbox),
        None => app,
    };
    let running = app.spawn().unwrap();
    is_open.recv().unwrap();
    while !running.handle().is_open() {
        std::thread::yield_now(); // Until `on_open` has returned.
    }
    running
}

#[test]
fn a_handle_without_an_outbox_sends_within_write_timeout() {
    watchdog(LIMIT, || {
        let (server, done) = takes_nothing();
        let running = start(&server, builder().write_timeout(SHORT), None);
        let failed = takes(SHORT, || running.handle().send(vec![0; BIG]).unwrap_err());
        let problem = failed.problem();
        assert!(matches!(problem, SendProblem::Failed(error) if error.is_timeout()), "{problem:?}");
        drop(done);
        let _ = running.join();
        server.join();
    });
}

#[test]
fn a_handle_and_a_ticket_wait_for_no_message_that_is_being_sent() {
    watchdog(LIMIT, || {
        for stop in [true, false] {
            let (server, done) = takes_nothing();
            let outbox = Outbox::new().always_queue(true).max_bytes(2 * BIG);
            let running = start(&server, builder().close_timeout(PROMPT / 2), Some(outbox));
            let handle = running.handle();
            let before = handle.counters().sent.bytes;
            let first = handle.send_tracked(vec![0; BIG]).unwrap();
            while handle.counters().sent.bytes == before {
                std::thread::yield_now();
            }
            let second = promptly(|| handle.send_tracked("second")).unwrap();
            promptly(|| {
                assert_eq!((first.fate(), second.fate()), (Fate::Sending, Fate::Queued));
                assert_eq!(first.cancel(), None);
                assert_eq!(second.cancel(), Some("second".into()));
                assert_eq!(handle.backlog().messages, 1);
                assert!(handle.take_unsent().is_empty());
                assert!(!running.is_finished());
                let _ = (handle.is_open(), handle.counters());
                handle.reconnect(CloseCode::NORMAL).unwrap();
                match stop {
                    true => handle.stop(CloseCode::NORMAL).unwrap(),
                    false => handle.abort(),
                }
            });
            let exit = promptly(|| running.join());
            assert!(matches!(exit, Ok(Exit::Stopped)), "{exit:?}");
            drop(done);
            server.join();
        }
    });
}
