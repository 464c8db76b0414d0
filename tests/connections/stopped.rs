//! A process that is stopped in the middle of a system call, for longer than the timeout of what it
//! does. When it goes on, the call says EINTR (signal(7): "Interruption of system calls and library
//! functions by stop signals"), and the deadline has passed. What happened meanwhile counts. The
//! stop is a sleep in the stream, before EINTR; `tests/process` stops whole processes.

#![allow(clippy::unwrap_used)] // `clippy.toml` allows it in test functions only.

use crate::support;

use std::io::ErrorKind;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;

use landline::{Builder, CloseCode, Error, Message, Timeout};
use support::streams::{Call, Judged};
use support::*;

/// Stops in the next `read` or `write` that comes once it is armed, until the time of the call is
/// over and `until` returns.
fn stops(
    stream: TcpStream,
    call: Call,
    armed: &Arc<AtomicBool>,
    until: impl Fn() + Send + 'static,
) -> Judged {
    let armed = armed.clone();
    Judged::new(stream, usize::MAX, move |_, called| {
        if called == call && armed.swap(false, Ordering::SeqCst) {
            thread::sleep(SHORT * 2); // The process is stopped.
            until();
            return Err(ErrorKind::Interrupted.into());
        }
        Ok(())
    })
}

fn sends(builder: Builder, url: &str, server: Server<()>) {
    let armed = Arc::default();
    let stream = TcpStream::connect(server.addr).unwrap();
    let stream = stops(stream, Call::Write, &armed, || ());
    let mut ws = builder.write_timeout(SHORT).connect_over(url, stream).unwrap();
    armed.store(true, Ordering::SeqCst);
    ws.send("once").unwrap();
    assert!(!armed.load(Ordering::SeqCst), "it was stopped");
    assert_eq!(ws.recv().unwrap(), Message::from("got it"));
    assert!(ws.close(CloseCode::NORMAL).unwrap().is_clean());
    server.join();
}

/// Plays the server of [`sends`].
fn takes_it_once(peer: &mut Peer) {
    peer.expect(TEXT, b"once");
    peer.send(&text("got it"));
    peer.expect_close(1000);
    peer.send(&close(1000, ""));
}

#[test]
fn a_send_goes_on_if_the_peer_has_made_room_meanwhile() {
    watchdog(LIMIT, || sends(builder(), "ws://stopped/", upgraded(takes_it_once)));
}

#[cfg(feature = "tls")]
#[test]
fn a_send_over_tls_goes_on_if_the_peer_has_made_room_meanwhile() {
    watchdog(LIMIT, || sends(tls::builder(), "wss://localhost/", tls::upgraded_tls(takes_it_once)));
}

#[test]
fn a_send_fails_if_the_peer_has_made_no_room_meanwhile() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| peer.stall());
        let stream = TcpStream::connect(server.addr).unwrap();
        let writes = Arc::new(AtomicUsize::new(0));
        let counted = writes.clone();
        let stream = Judged::new(stream, usize::MAX, move |_, call| {
            if call != Call::Write {
                return Ok(());
            }
            match counted.fetch_add(1, Ordering::SeqCst) {
                0 => Ok(()),
                1 => {
                    thread::sleep(SHORT * 2); // The process is stopped.
                    Err(ErrorKind::Interrupted.into())
                }
                _ => Err(ErrorKind::WouldBlock.into()),
            }
        });
        let builder = builder().write_timeout(SHORT);
        let ws = builder.connect_over("ws://stopped/", stream).unwrap();
        let said = takes(SHORT * 2, || error(ws.send("x")));
        assert!(matches!(said, Error::Timeout(Timeout::Send)), "{said:?}");
        assert_eq!(writes.load(Ordering::SeqCst), 3, "it is tried once more");
        drop(ws);
        server.join();
    });
}

#[test]
fn an_answer_that_came_meanwhile_opens_the_connection() {
    watchdog(LIMIT, || {
        for answers in [true, false] {
            let (answered, is_answered) = channel();
            let server = serve(move |peer| {
                peer.read_request();
                if answers {
                    let answer = peer.good_answer("");
                    peer.send(&answer);
                }
                answered.send(()).unwrap();
                peer.stall();
            });
            let armed = Arc::new(AtomicBool::new(true));
            let is_answered = Mutex::new(is_answered);
            let stream = TcpStream::connect(server.addr).unwrap();
            let stream = stops(stream, Call::Read, &armed, move || {
                is_answered.lock().unwrap().recv().unwrap();
            });
            let builder = builder().open_timeout(SHORT);
            let opened = builder.connect_over("ws://stopped/", stream);
            match answers {
                true => drop(opened.unwrap()),
                false => {
                    let said = error(opened);
                    assert!(matches!(said, Error::Timeout(Timeout::Handshake)), "{said:?}");
                }
            }
            server.join();
        }
    });
}

#[test]
fn a_message_that_came_meanwhile_is_received() {
    watchdog(LIMIT, || {
        let (sent, is_sent) = channel();
        let server = upgraded(move |peer| {
            peer.expect(TEXT, b"ready");
            peer.send(&text("meanwhile"));
            sent.send(()).unwrap();
            peer.stall();
        });
        let (armed, is_sent) = (Arc::default(), Mutex::new(is_sent));
        let stream = TcpStream::connect(server.addr).unwrap();
        let stream =
            stops(stream, Call::Read, &armed, move || is_sent.lock().unwrap().recv().unwrap());
        let mut ws = builder().connect_over("ws://stopped/", stream).unwrap();
        armed.store(true, Ordering::SeqCst);
        ws.send("ready").unwrap();
        assert_eq!(ws.recv_timeout(SHORT).unwrap(), Message::from("meanwhile"));
        drop(ws);
        server.join();
    });
}

#[test]
fn a_close_that_was_answered_meanwhile_is_clean() {
    watchdog(LIMIT, || {
        let (sent, is_sent) = channel();
        let server = upgraded(move |peer| {
            peer.expect_close(1000);
            peer.send(&close(1000, ""));
            sent.send(()).unwrap();
        });
        let (armed, is_sent) = (Arc::default(), Mutex::new(is_sent));
        let stream = TcpStream::connect(server.addr).unwrap();
        let stream =
            stops(stream, Call::Read, &armed, move || is_sent.lock().unwrap().recv().unwrap());
        let builder = builder().close_timeout(SHORT);
        let mut ws = builder.connect_over("ws://stopped/", stream).unwrap();
        armed.store(true, Ordering::SeqCst);
        let closed = ws.close(CloseCode::NORMAL).unwrap();
        assert!(closed.is_clean(), "{closed:?}");
        drop(ws);
        server.join();
    });
}
