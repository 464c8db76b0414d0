//! An abort wakes the thread that blocks, in any call, and the error says that it was an abort.

#![allow(clippy::unwrap_used)] // `clippy.toml` allows it in test functions only.

use crate::support;

use std::io::ErrorKind;
use std::net::TcpStream;
use std::sync::mpsc::channel;

use landline::error::{Cause, Side};
use landline::{AbortHandle, Builder, Error};
use support::streams::{Call, Judged};
use support::*;

fn is_aborted(error: &Error) {
    let closed = error.closed().unwrap_or_else(|| panic!("not an abort: {error:?}"));
    assert!(matches!(closed.cause(), Cause::Aborted), "{closed:?}");
    assert_eq!(closed.initiator(), Some(Side::Local));
    assert!(!closed.is_clean());
    assert!(!error.is_retryable());
}

/// Connects in a thread, aborts when `when` has a message, and expects connecting to end
/// soon.
fn aborts_connecting(
    builder: &Builder,
    url: &str,
    abort: &AbortHandle,
    when: &std::sync::mpsc::Receiver<()>,
) {
    let (builder, url) = (builder.clone().abort_handle(abort.clone()), url.to_owned());
    let connecting = spawn(move || error(builder.connect(&url)));
    let _ = when.recv();
    abort.abort();
    is_aborted(&at_once(|| connecting.join()));
    assert!(abort.is_aborted());
}

#[test]
fn connecting_after_an_abort_opens_no_socket() {
    watchdog(LIMIT, || {
        let listener = listener();
        listener.set_nonblocking(true).unwrap();
        let abort = AbortHandle::new();
        abort.abort();
        let builder = builder().abort_handle(abort);
        is_aborted(&error(builder.connect(&format!("ws://{}", listener.local_addr().unwrap()))));
        assert!(listener.accept().is_err());
    });
}

#[test]
fn a_server_that_never_accepts_is_given_up_at_an_abort() {
    watchdog(LIMIT, || {
        let (listener, waiting) = full_backlog();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        let (ready, when) = channel();
        let abort = AbortHandle::new();
        ready.send(()).unwrap();
        aborts_connecting(&builder(), &url, &abort, &when);
        drop((listener, waiting));
    });
}

#[test]
fn a_server_that_is_silent_in_the_opening_handshake_is_given_up_at_an_abort() {
    watchdog(LIMIT, || {
        let (ready, when) = channel();
        let server = serve(move |peer| {
            peer.read_request();
            ready.send(()).unwrap();
            peer.expect_end();
        });
        aborts_connecting(&builder(), &server.url(), &AbortHandle::new(), &when);
        server.join();
    });
}

#[cfg(feature = "tls")]
#[test]
fn a_server_that_is_silent_in_the_tls_handshake_is_given_up_at_an_abort() {
    watchdog(LIMIT, || {
        let (ready, when) = channel();
        let server = serve(move |peer| {
            let mut first = [0];
            let mut socket = peer.socket();
            std::io::Read::read_exact(&mut socket, &mut first).unwrap();
            assert_eq!(first, [22], "a TLS handshake record");
            ready.send(()).unwrap();
            std::io::copy(&mut socket, &mut std::io::sink()).unwrap();
        });
        let url = format!("wss://{}/", server.addr);
        aborts_connecting(&builder(), &url, &AbortHandle::new(), &when);
        server.join();
    });
}

#[test]
fn a_peer_that_is_silent_is_given_up_at_an_abort_by_the_handle() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| peer.stall());
        let abort = AbortHandle::new();
        let builder = builder().abort_handle(abort.clone());
        let mut ws = builder.connect(&server.url()).unwrap();
        let sender = ws.sender();
        let (inside, is_inside) = channel();
        let receiving = spawn(move || {
            inside.send(()).unwrap();
            let first = error(ws.recv());
            is_aborted(&error(ws.recv()));
            is_aborted(&error(ws.try_recv()));
            first
        });
        is_inside.recv().unwrap();
        abort.abort();
        is_aborted(&at_once(|| receiving.join()));
        is_aborted(&error(sender.send("late")));
        is_aborted(&error(sender.close(landline::CloseCode::NORMAL)));
        assert!(!sender.is_open());
        // No Close was sent. The stream just ends.
        assert_eq!(server.join(), []);
    });
}

#[test]
fn a_peer_that_is_silent_is_given_up_at_an_abort_by_a_sender() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| peer.stall());
        let (mut receiver, sender) = builder().connect(&server.url()).unwrap().split();
        let (inside, is_inside) = channel();
        let receiving = spawn(move || {
            inside.send(()).unwrap();
            error(receiver.next_event())
        });
        is_inside.recv().unwrap();
        sender.abort();
        is_aborted(&at_once(|| receiving.join()));
        server.join();
    });
}

#[test]
fn a_peer_that_does_not_read_is_given_up_at_an_abort() {
    watchdog(LIMIT, || {
        let (done, hold) = channel();
        let (ready, when) = channel();
        let server = serve_on(small_listener(), move |peer| {
            peer.upgrade();
            // When a part of the big message is here, the client is inside `send`.
            let mut some = [0; 64];
            std::io::Read::read_exact(&mut peer.socket(), &mut some).unwrap();
            ready.send(()).unwrap();
            peer.hold_open(&hold);
        });
        let (mut receiver, sender) = builder().connect(&server.url()).unwrap().split();
        let other = sender.clone();
        let sending = spawn(move || error(other.send(vec![1; 64 << 20])));
        when.recv().unwrap();
        let third = sender.clone();
        let waiting = spawn(move || error(third.send("behind the big one")));
        let receiving = spawn(move || error(receiver.recv()));
        sender.abort();
        is_aborted(&at_once(|| sending.join()));
        is_aborted(&at_once(|| waiting.join()));
        is_aborted(&at_once(|| receiving.join()));
        drop(done);
        server.join();
    });
}

#[test]
fn a_send_that_waits_for_room_is_given_up_at_an_abort() {
    watchdog(LIMIT, || {
        let (done, hold) = channel();
        let server = serve_on(small_listener(), move |peer| {
            peer.upgrade();
            peer.hold_open(&hold);
        });
        let sender = builder().connect(&server.url()).unwrap().sender();
        let other = sender.clone();
        let sending = spawn(move || error(other.send(vec![1; 64 << 20])));
        // It is blocked when it has sent nothing more for a while.
        let mut last = 0;
        loop {
            let now = sender.counters().sent.bytes;
            if now == last && now > 64 << 10 {
                break;
            }
            last = now;
            std::thread::sleep(SHORT); // The time in which a send that is not blocked goes on.
        }
        sender.abort();
        is_aborted(&at_once(|| sending.join()));
        drop(done);
        server.join();
    });
}

#[test]
fn an_abort_ends_close_too() {
    watchdog(LIMIT, || {
        let (closing, is_closing) = channel();
        let server = upgraded(move |peer| {
            peer.expect_close(1000);
            closing.send(()).unwrap();
            peer.stall()
        });
        let mut ws = builder().connect(&server.url()).unwrap();
        let sender = ws.sender();
        let thread = spawn(move || ws.close(landline::CloseCode::NORMAL).unwrap());
        is_closing.recv().unwrap();
        sender.abort();
        let closed = at_once(|| thread.join());
        assert!(matches!(closed.cause(), Cause::Aborted), "{closed:?}");
        server.join();
    });
}

#[test]
fn an_abort_after_the_end_changes_nothing() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            peer.send(&close(1000, "over"));
            peer.expect_close(1000);
        });
        let mut ws = builder().connect(&server.url()).unwrap();
        assert!(error(ws.recv()).closed().unwrap().is_clean());
        ws.abort();
        assert!(error(ws.recv()).closed().unwrap().is_clean());
        assert_eq!(error(ws.send("x")).closed().unwrap().reason(), "over");
        server.join();
    });
}

#[test]
fn an_abort_within_the_socket_hook_is_noticed() {
    watchdog(LIMIT, || {
        let server = serve(|peer| peer.stall());
        let abort = AbortHandle::new();
        let inside = abort.clone();
        let hook = move |_: &TcpStream| {
            inside.abort();
            Ok(())
        };
        let builder = builder().abort_handle(abort).on_socket(hook);
        is_aborted(&at_once(|| error(builder.connect(&server.url()))));
        server.join();
    });
}

#[test]
fn an_abort_wakes_the_thread_that_waits_behind_a_message_being_written() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| peer.stall());
        let builder = builder().write_timeout(None);
        let sender = builder.connect(&server.url()).unwrap().sender();
        let writer = sender.writer(landline::MessageKind::Text).unwrap();
        let (inside, is_inside) = channel();
        let jobs: [fn(&landline::Sender) -> Error; 3] = [
            |sender| error(sender.send("behind it")),
            |sender| error(sender.send_all(["behind", "it"])),
            |sender| error(sender.writer(landline::MessageKind::Binary)),
        ];
        let waiting = jobs.map(|job| {
            let (sender, inside) = (sender.clone(), inside.clone());
            spawn(move || {
                inside.send(()).unwrap();
                job(&sender)
            })
        });
        for _ in &waiting {
            is_inside.recv().unwrap();
        }
        sender.abort();
        at_once(|| waiting.map(|waiting| is_aborted(&waiting.join())));
        drop(writer);
        assert_eq!(server.join(), []);
    });
}

/// Opens over a stream whose shutdown does nothing, and aborts within the first call of `call`,
/// which returns `outcome`. Expects the opening to end, although nothing wakes it.
fn aborts_opening_over_a_deaf_stream(
    scheme: &str,
    server: &Server<()>,
    call: Call,
    outcome: fn() -> std::io::Result<()>,
) {
    let (inside, when) = channel();
    let judge = move |_, called| {
        if called != call {
            return Ok(());
        }
        let _ = inside.send(());
        outcome()
    };
    let stream = TcpStream::connect(server.addr).unwrap();
    let stream = Judged::new(stream, usize::MAX, judge).deaf();
    let abort = AbortHandle::new();
    let builder = builder().abort_handle(abort.clone());
    let url = format!("{scheme}://localhost/");
    let opening = spawn(move || error(builder.connect_over(&url, stream)));
    when.recv().unwrap();
    abort.abort();
    is_aborted(&promptly(|| opening.join()));
}

/// Starts a server that sends nothing until the client is gone.
fn silent() -> Server<()> {
    serve(|peer| {
        let _ = std::io::copy(&mut peer.socket(), &mut std::io::sink());
    })
}

#[test]
fn an_abort_ends_the_opening_handshake_over_a_stream_whose_shutdown_wakes_no_thread() {
    watchdog(LIMIT, || {
        let server = silent();
        aborts_opening_over_a_deaf_stream("ws", &server, Call::Read, || Ok(()));
        server.join();
    });
}

#[test]
fn an_abort_ends_a_request_that_cannot_be_written_over_such_a_stream() {
    watchdog(LIMIT, || {
        let server = silent();
        let full = || Err(ErrorKind::WouldBlock.into());
        aborts_opening_over_a_deaf_stream("ws", &server, Call::Write, full);
        server.join();
    });
}

#[cfg(feature = "tls")]
#[test]
fn an_abort_ends_the_tls_handshake_over_a_stream_whose_shutdown_wakes_no_thread() {
    watchdog(LIMIT, || {
        let server = silent();
        aborts_opening_over_a_deaf_stream("wss", &server, Call::Read, || Ok(()));
        server.join();
    });
}

/// The shutdown of a socket to a proxy wakes its thread. But an abort shuts down only the latest
/// stream of a handle. If another connection is opened meanwhile, only the flag ends the first one.
#[test]
#[cfg(feature = "proxy")]
fn an_abort_ends_the_handshake_with_a_proxy_that_no_shutdown_wakes() {
    use std::io::Read as _;

    use landline::proxy::Proxy;

    let schemes = ["http", "socks4a", "socks5h"];
    let schemes = schemes.into_iter().chain(cfg!(feature = "tls").then_some("https"));
    for scheme in schemes {
        watchdog(LIMIT, move || {
            let (ready, when) = channel();
            let proxy = serve(move |peer| {
                let mut socket = peer.socket();
                socket.read_exact(&mut [0]).unwrap();
                ready.send(()).unwrap();
                let _ = std::io::copy(&mut socket, &mut std::io::sink());
            });
            let abort = AbortHandle::new();
            let builder = builder().abort_handle(abort.clone());
            let through = Proxy::new(&format!("{scheme}://{}", proxy.addr)).unwrap();
            let through = builder.clone().proxy(through);
            let opening = spawn(move || error(through.connect("ws://server.test/")));
            when.recv().unwrap();
            let server = upgraded(|peer| peer.stall());
            let mut latest = builder.connect(&server.url()).unwrap();
            abort.abort();
            is_aborted(&promptly(|| opening.join()));
            is_aborted(&promptly(|| error(latest.recv())));
            assert_eq!(server.join(), []);
            proxy.join();
        });
    }
}

#[test]
fn a_stream_may_ask_the_handle_that_shuts_it_down() {
    watchdog(LIMIT, || {
        let server = silent();
        let abort = AbortHandle::new();
        let (asked, answers) = channel();
        let asking = abort.clone();
        let (inside, when) = channel();
        let judge = move |_, call| {
            if call == Call::Read {
                let _ = inside.send(());
            }
            Ok(())
        };
        let stream = TcpStream::connect(server.addr).unwrap();
        let stream = Judged::new(stream, usize::MAX, judge).on_shutdown(move || {
            let _ = asked.send(asking.is_aborted());
        });
        let builder = builder().abort_handle(abort.clone());
        let opening = spawn(move || error(builder.connect_over("ws://localhost/", stream)));
        when.recv().unwrap();
        abort.abort();
        is_aborted(&promptly(|| opening.join()));
        assert!(answers.recv().unwrap());
        server.join();
    });
}

#[test]
fn a_stream_may_ask_the_handle_when_it_comes_too_late() {
    watchdog(LIMIT, || {
        let server = serve(|peer| peer.expect_end());
        let stream = TcpStream::connect(server.addr).unwrap();
        let abort = AbortHandle::new();
        let (asked, answers) = channel();
        let (asking, aborting) = (abort.clone(), abort.clone());
        // The first call aborts, on the thread that opens.
        let judge = move |_, _| {
            aborting.abort();
            Ok(())
        };
        let stream = Judged::new(stream, usize::MAX, judge).on_shutdown(move || {
            let _ = asked.send(asking.is_aborted());
        });
        let builder = builder().abort_handle(abort);
        is_aborted(&promptly(|| error(builder.connect_over("ws://localhost/", stream))));
        assert!(answers.recv().unwrap());
        server.join();
    });
}
