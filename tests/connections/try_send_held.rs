//! `try_send` and other calls at the same time: the stream holds up a write until the test lets it
//! go on.

#![allow(clippy::unwrap_used)] // `clippy.toml` allows it in test functions only.

use crate::support;

use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, Sender as Channel, channel};
use std::sync::{Arc, Mutex};
use std::thread::yield_now;
use std::time::{Duration, Instant};

use landline::stream::Stream;
use landline::{Builder, CloseCode, WebSocket};
use support::streams::{Call, Judged};
use support::*;

/// Is more than the buffers of two sockets hold.
const BIG: usize = 8 << 20;
/// The number of bytes of a frame with that payload, and of a Close with a code.
const BIG_FRAME: usize = BIG + 14;
const CLOSE_FRAME: usize = 8;

/// The interval at which a receiver tries again to write what the peer did not take.
const RETRY: Duration = Duration::from_millis(10);

/// Is a socket whose next write waits, once the stream is armed. A read with a timeout of more than
/// [`RETRY`] never times out. So a receiver that knows of nothing to write does not look again.
#[derive(Debug)]
struct Held {
    socket: TcpStream,
    state: Arc<HeldState>,
    is_let_go: Mutex<Receiver<()>>,
    is_held: Channel<()>,
}

#[derive(Debug, Default)]
struct HeldState {
    is_armed: AtomicBool,
    /// The number of bytes that were written since the stream was armed.
    written: AtomicUsize,
    is_reading: AtomicBool,
}

impl Stream for Held {
    fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.state.is_reading.store(true, SeqCst);
        io::Read::read(&mut &self.socket, buf)
    }

    fn write(&self, buf: &[u8]) -> io::Result<usize> {
        if self.state.is_armed.swap(false, SeqCst) {
            self.state.written.store(0, SeqCst);
            self.is_held.send(()).unwrap();
            let _ = self.is_let_go.lock().unwrap().recv();
        }
        let len = io::Write::write(&mut &self.socket, buf)?;
        self.state.written.fetch_add(len, SeqCst);
        Ok(len)
    }

    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.socket.set_read_timeout(timeout.filter(|&timeout| timeout <= RETRY))
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

/// Holds a connection over a [`Held`] stream.
struct Connection {
    ws: WebSocket,
    state: Arc<HeldState>,
    is_held: Receiver<()>,
    let_go: Channel<()>,
}

fn connect<T>(builder: &Builder, server: &Server<T>) -> Connection {
    let socket = TcpStream::connect(server.addr).unwrap();
    let state = Arc::new(HeldState::default());
    let (held, is_held) = channel();
    let (let_go, is_let_go) = channel();
    let (state_of_it, is_let_go) = (state.clone(), Mutex::new(is_let_go));
    let stream = Held { socket, state: state_of_it, is_let_go, is_held: held };
    let ws = builder.connect_over(&server.url(), stream).unwrap();
    Connection { ws, state, is_held, let_go }
}

/// Starts a server that reads nothing before the returned channel is dropped, and then expects a
/// big message and a Close.
fn takes_big_and_close() -> (Server<()>, Channel<()>) {
    let (release, held) = channel();
    let server = serve_on(small_listener(), move |peer| {
        peer.upgrade();
        peer.hold_open(&held);
        let frame = peer.next_frame().expect("the client is gone");
        assert_eq!((frame.opcode, frame.payload.len()), (BINARY, BIG));
        peer.expect_close(1000);
        peer.send(&close(1000, ""));
    });
    (server, release)
}

/// Closes while another thread is in `try_send`. Then the rest of its message, and the Close after
/// it, wait for the peer. The thread in `close` writes both, if no other does.
fn closes_while_another_thread_tries(is_received: bool) {
    let (server, release) = takes_big_and_close();
    let Connection { ws, state, is_held, let_go } =
        connect(&builder().close_timeout(LIMIT), &server);
    let (mut receiver, sender) = ws.split();
    let receiving = if is_received {
        state.is_reading.store(false, SeqCst);
        let receiving = spawn(move || receiver.recv().unwrap_err());
        while !state.is_reading.load(SeqCst) {
            yield_now();
        }
        Some(receiving)
    } else {
        drop(receiver);
        None
    };

    state.is_armed.store(true, SeqCst);
    let (trying, closing) = (sender.clone(), sender.clone());
    let trying = spawn(move || trying.try_send(vec![7; BIG]).unwrap());
    is_held.recv().unwrap();
    let written = state.clone();
    let closing = spawn(move || {
        closing.close(CloseCode::NORMAL).unwrap();
        written.written.load(SeqCst)
    });
    while sender.is_open() {
        yield_now();
    }
    let_go.send(()).unwrap();
    trying.join();
    drop(release);
    assert_eq!(closing.join(), BIG_FRAME + CLOSE_FRAME, "`close` returned too early");
    if let Some(receiving) = receiving {
        assert!(receiving.join().closed().unwrap().is_clean());
    }
    server.join();
    drop(sender);
}

#[test]
fn a_close_while_another_thread_tries_is_written_although_the_receiver_waits() {
    watchdog(LIMIT, || closes_while_another_thread_tries(true));
}

#[test]
fn a_close_while_another_thread_tries_is_written_although_the_receiver_is_dropped() {
    watchdog(LIMIT, || closes_while_another_thread_tries(false));
}

#[test]
fn a_close_while_another_thread_tries_is_written_by_the_thread_that_begins_to_receive() {
    watchdog(LIMIT, || {
        let (server, release) = takes_big_and_close();
        let Connection { ws, state, is_held, let_go } =
            connect(&builder().close_timeout(LIMIT), &server);
        let (mut receiver, sender) = ws.split();
        state.is_armed.store(true, SeqCst);
        let trying = sender.clone();
        let trying = spawn(move || trying.try_send(vec![7; BIG]).unwrap());
        is_held.recv().unwrap();
        sender.close(CloseCode::NORMAL).unwrap(); // It leaves the Close to the receiver.
        state.is_reading.store(false, SeqCst);
        let receiving = spawn(move || receiver.recv().unwrap_err());
        while !state.is_reading.load(SeqCst) {
            yield_now();
        }
        let_go.send(()).unwrap();
        trying.join();
        drop(release);
        assert!(receiving.join().closed().unwrap().is_clean());
        server.join();
    });
}

#[test]
fn a_close_waits_for_another_thread_that_tries_no_longer_than_the_timeouts_allow() {
    watchdog(LIMIT, || {
        const SHORT: Duration = Duration::from_millis(100);
        for builder in [builder().close_timeout(SHORT), builder().write_timeout(SHORT)] {
            let server = upgraded(|peer| peer.stall());
            let Connection { ws, state, is_held, let_go } = connect(&builder, &server);
            let (receiver, sender) = ws.split();
            drop(receiver);
            state.is_armed.store(true, SeqCst);
            let trying = sender.clone();
            let trying = spawn(move || trying.try_send("held").is_ok());
            is_held.recv().unwrap();
            let before = Instant::now();
            sender.close(CloseCode::NORMAL).unwrap();
            assert!(before.elapsed() >= SHORT, "it did not wait");
            let_go.send(()).unwrap();
            trying.join();
            drop(sender);
            server.join();
        }
    });
}

#[test]
fn call_by_is_not_in_the_past_while_another_thread_sends_behind_a_rest() {
    watchdog(LIMIT, || {
        let (release, held) = channel();
        let server = serve_on(small_listener(), move |peer| {
            peer.upgrade();
            peer.hold_open(&held);
            assert_eq!(peer.next_frame().unwrap().payload.len(), BIG);
            peer.expect(TEXT, b"behind it");
            peer.stall();
        });
        // The stream is switched to blocking mode when a call waits.
        let (waits, is_waiting) = channel();
        let is_armed = Arc::new(AtomicBool::new(false));
        let armed = is_armed.clone();
        let socket = TcpStream::connect(server.addr).unwrap();
        let stream = Judged::new(socket, usize::MAX, move |_, call| {
            if call == Call::SetNonblocking && armed.swap(false, SeqCst) {
                waits.send(()).unwrap();
            }
            Ok(())
        });
        let ws = builder().connect_over(&server.url(), stream).unwrap();
        ws.try_send(vec![7; BIG]).unwrap();
        assert!(ws.wants_write() && ws.call_by().is_some());
        is_armed.store(true, SeqCst);
        let sender = ws.sender();
        let sending = spawn(move || sender.send("behind it").unwrap());
        is_waiting.recv().unwrap();
        assert!(!ws.wants_write());
        assert_eq!(ws.call_by(), None, "the other thread writes the rest, or gives up");
        drop(release);
        sending.join();
        drop(ws);
        server.join();
    });
}
