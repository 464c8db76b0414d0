//! App: stopping it in every state, and handlers that fail or panic in every callback.

#![allow(clippy::unwrap_used)] // `clippy.toml` allows it in test functions only.

use crate::support;

use std::io::{self, Write as _};
use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use landline::app::{Exit, SendError, SendProblem};
use landline::backoff::{Failure, Fixed, Never};
use landline::error::InvalidInput;
use landline::error::TrySendError;
use landline::stream::Stream;
use landline::{App, Callbacks, CloseCode, Error, Handle};
use support::apps::{HandlerResult, Recorder, app_at, serve_times, upgraded_times};
use support::streams::{Call, Judged};
use support::*;

const HOUR: Duration = Duration::from_secs(3600);

fn stopped(exit: Result<Exit, Error>) {
    assert!(matches!(exit, Ok(Exit::Stopped)), "{exit:?}");
}

/// Runs the check for both ways to stop that need no answer of the peer.
fn both(check: fn(fn(&Handle))) {
    watchdog(LIMIT, move || {
        check(|handle| handle.abort());
        check(|handle| handle.stop(CloseCode::NORMAL).unwrap());
    });
}

/// Stops an App once `ready` has returned, and checks that it stops at once.
fn stops_at_once(app: App<Callbacks<'static>>, ready: impl FnOnce(), stop: fn(&Handle)) {
    let running = app.spawn().unwrap();
    ready();
    let handle = running.handle();
    at_once(|| {
        stop(&handle);
        stopped(running.join());
    });
    assert!(!handle.is_open());
    let error = handle.send("too late").unwrap_err();
    assert!(matches!(error.problem(), SendProblem::Stopped));
    assert_eq!(error.into_message(), "too late".into());
}

#[test]
fn an_app_can_be_stopped_before_it_runs() {
    both(|stop| {
        let listener = listener();
        listener.set_nonblocking(true).unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        let mut recorder = Recorder::default();
        let app = app_at(url, &mut recorder);
        stop(&app.handle());
        stopped(app.run_forever());
        assert_eq!(recorder.log, [""; 0]);
        assert!(listener.accept().is_err(), "it connected");
    });
}

#[test]
fn an_app_stops_at_once_while_tcp_connects() {
    both(|stop| {
        let (listener, waiting) = full_backlog();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        stops_at_once(app_at(url, Callbacks::new()), || (), stop);
        drop((listener, waiting));
    });
}

#[test]
fn an_app_stops_at_once_while_the_server_is_silent_in_the_opening_handshake() {
    both(|stop| {
        let (ready, when) = channel();
        let server = serve(move |peer| {
            peer.read_request();
            ready.send(()).unwrap();
            peer.expect_end();
        });
        let callbacks = Callbacks::new().on_error(|error| -> () { panic!("{error}") });
        stops_at_once(app_at(server.url(), callbacks), || when.recv().unwrap(), stop);
        server.join();
    });
}

#[test]
fn an_app_stops_at_once_while_it_waits_for_the_next_attempt() {
    both(|stop| {
        let addr = closed();
        let (ready, when) = channel();
        let app =
            app_at(format!("ws://{addr}"), Callbacks::new()).backoff(move |_: &Failure<'_>| {
                ready.send(()).unwrap();
                Some(HOUR)
            });
        stops_at_once(app, || when.recv().unwrap(), stop);
    });
}

#[test]
fn an_app_stops_at_once_while_it_receives_nothing() {
    both(|stop| {
        let (ready, when) = channel();
        let server = upgraded(|peer| {
            // After an abort there is no Close.
            if let Some(close) = peer.next_frame() {
                peer.send(&frame(CLOSE, true, &close.payload));
            }
        });
        let callbacks = Callbacks::new().on_open(move |_, _| ready.send(()));
        stops_at_once(app_at(server.url(), callbacks), || when.recv().unwrap(), stop);
        server.join();
    });
}

#[test]
fn an_app_stops_at_once_while_a_callback_sends_to_a_peer_that_does_not_read() {
    watchdog(LIMIT, || {
        let (ready, when) = channel();
        let (until, hold) = channel();
        let server = serve_on(small_listener(), move |peer| {
            peer.upgrade();
            peer.hold_open(&hold);
        });
        let callbacks = Callbacks::new().on_open(move |ws, _| {
            ready.send(()).unwrap();
            ws.send(vec![0; 64 << 20])
        });
        let app = app_at(server.url(), callbacks).backoff(Never);
        let running = app.spawn().unwrap();
        when.recv().unwrap();
        let handle = running.handle();
        let exit = at_once(|| {
            handle.abort();
            running.join()
        });
        // The handler passed on that it could not send, which is not a failure of the handler.
        stopped(exit);
        drop(until);
        server.join();
    });
}

#[test]
fn an_app_can_be_stopped_from_its_own_callbacks() {
    watchdog(LIMIT, || {
        for abort in [false, true] {
            let server = upgraded(move |peer| {
                peer.send(&text("stop"));
                if !abort {
                    peer.expect_close(1001);
                    peer.send(&close(1001, ""));
                }
                peer.expect_end();
            });
            let slot = OnceLock::<Handle>::new();
            let callbacks = Callbacks::new()
                .on_open(|_, open| slot.set(open.handle.clone()).unwrap())
                .on_message(|_, _| {
                    let handle = slot.get().unwrap();
                    if abort {
                        handle.abort();
                    } else {
                        handle.stop(CloseCode::GOING_AWAY).unwrap();
                    }
                });
            stopped(app_at(server.url(), callbacks).run_forever());
            server.join();
        }
    });
}

/// Returns frames of every kind that a handler may get. A server that has not seen our Close yet
/// may go on to send them.
fn chatter() -> Vec<u8> {
    let half = [frame(BINARY, false, b"half"), frame(0, true, b"full")].concat();
    let some = [text("late"), ping(b"late"), half, frame(PONG, true, b"late"), binary(b"late")];
    some.concat().repeat(100)
}

/// Starts a server that sends `first`, goes on to send after our Close, and then answers it.
fn chatterbox(first: Vec<u8>) -> Server<()> {
    upgraded(move |peer| {
        peer.send(&first);
        peer.expect_close(1000);
        peer.send(&[chatter(), close(1000, "")].concat());
        peer.expect_end();
    })
}

#[test]
fn after_a_close_in_a_callback_only_on_close_is_called() {
    watchdog(LIMIT, || {
        // Messages that have arrived before the close are not handed out either.
        for first in [text("stop"), [text("stop"), chatter()].concat()] {
            for by_handle in [false, true] {
                let server = chatterbox(first.clone());
                let slot = OnceLock::<Handle>::new();
                let mut recorder = Recorder::default().when("text", |sender| {
                    let sender = sender.unwrap();
                    match by_handle {
                        true => slot.get().unwrap().stop(CloseCode::NORMAL)?,
                        false => sender.close(CloseCode::NORMAL)?,
                    }
                    Ok(())
                });
                let app = app_at(server.url(), &mut recorder);
                slot.set(app.handle()).unwrap();
                stopped(app.run_forever());
                let log = ["open 101, attempt 1", "text stop", "close 1000 \"\" by us, clean"];
                assert_eq!(recorder.log, log);
                server.join();
            }
        }
    });
}

#[test]
fn after_a_close_from_another_thread_only_on_close_is_called() {
    watchdog(LIMIT, || {
        for by_handle in [false, true] {
            let server = chatterbox(text("begin"));
            let (keep, kept) = channel();
            let (heard, ends) = channel();
            let callbacks = Callbacks::new()
                .on_message(move |ws, message| {
                    assert_eq!(message.as_bytes(), b"begin");
                    keep.send(ws.clone())
                })
                .on_ping(|_, _| -> () { panic!("a ping after the close") })
                .on_pong(|_, _| -> () { panic!("a pong after the close") })
                .on_close(move |closed| heard.send(closed.is_clean()));
            let running = app_at(server.url(), callbacks).spawn().unwrap();
            let sender = kept.recv().unwrap();
            match by_handle {
                true => running.handle().stop(CloseCode::NORMAL).unwrap(),
                false => sender.close(CloseCode::NORMAL).unwrap(),
            }
            stopped(running.join());
            assert_eq!(ends.iter().collect::<Vec<_>>(), [true]);
            server.join();
        }
    });
}

#[test]
fn a_close_in_a_callback_does_not_wait_for_a_peer_that_floods_and_does_not_read() {
    watchdog(LIMIT, || {
        for by_handle in [false, true] {
            let server = serve_on(small_listener(), |peer| {
                peer.upgrade();
                // The pongs that answer these fill all buffers on the way to the server.
                peer.send(&[ping(&[b'x'; 125]).repeat(4000), text("stop")].concat());
                // The client must read all this before the server reads anything.
                for _ in 0..16 {
                    peer.send(&binary(&vec![0; 1 << 20]));
                }
                let frame = loop {
                    let frame = peer.next_frame().expect("the client is gone without a Close");
                    if frame.opcode != PONG {
                        break frame;
                    }
                };
                assert_eq!(frame.close_code(), Some(1000));
                peer.send(&close(1000, ""));
                peer.expect_end();
            });
            let slot = OnceLock::<Handle>::new();
            let mut ends = Vec::new();
            let callbacks = Callbacks::new()
                .on_message(|ws, message| {
                    assert_eq!(message.as_bytes(), b"stop");
                    promptly(|| match by_handle {
                        true => slot.get().unwrap().stop(CloseCode::NORMAL),
                        false => {
                            ws.close(CloseCode::NORMAL).unwrap();
                            let late = error(ws.send("late"));
                            assert!(matches!(late, Error::Closed(_)), "{late:?}");
                            Ok(())
                        }
                    })
                })
                .on_close(|closed| ends.push(closed.is_clean()));
            let small =
                |stream: &TcpStream| socket2::SockRef::from(stream).set_send_buffer_size(16 << 10);
            let app = app_at(server.url(), callbacks).with_builder(builder().on_socket(small));
            slot.set(app.handle()).unwrap();
            stopped(app.run_forever());
            assert_eq!(ends, [true]);
            server.join();
        }
    });
}

#[test]
fn after_a_stop_in_on_close_no_connection_is_tried() {
    watchdog(LIMIT, || {
        let server = upgraded_times(1, |_, peer| peer.fin());
        let slot = OnceLock::<Handle>::new();
        let callbacks = Callbacks::new()
            .on_open(|_, open| slot.set(open.handle.clone()).unwrap())
            .on_close(|_| slot.get().unwrap().abort())
            // The server does not listen any more: an attempt would be an error.
            .on_error(|error| -> () { panic!("{error}") });
        let app = app_at(server.url(), callbacks).backoff(Fixed(Duration::ZERO));
        stopped(app.run_forever());
        server.join();
    });
}

#[test]
fn a_close_that_must_not_be_sent_is_refused_and_stops_nothing() {
    watchdog(LIMIT, || {
        let app = App::new("ws://localhost", Callbacks::new());
        let error = app.handle().stop(CloseCode::ABNORMAL).unwrap_err();
        assert!(matches!(error, Error::InvalidInput(InvalidInput::Close)));
        let error = app.handle().send("x").unwrap_err();
        assert!(matches!(error.problem(), SendProblem::NotOpen), "{error}");
    });
}

#[test]
fn a_close_on_this_side_is_final_and_retry_if_is_not_asked() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            peer.expect_close(1000);
            peer.send(&close(1000, ""));
        });
        let callbacks = Callbacks::new().on_open(|ws, _| ws.close(CloseCode::NORMAL));
        let app = app_at(server.url(), callbacks).retry_if(|_| panic!("it was asked"));
        stopped(app.backoff(Fixed(Duration::ZERO)).run_forever());
        server.join();
    });
}

#[test]
fn a_thread_name_with_a_nul_is_an_error() {
    let app = App::new("ws://localhost", Callbacks::new()).thread_name("a\0b");
    assert_eq!(app.spawn().unwrap_err().kind(), io::ErrorKind::InvalidInput);
}

#[test]
fn an_app_that_is_dropped_takes_no_messages() {
    let app = App::new("ws://localhost", Callbacks::new());
    let handle = app.handle();
    drop(app);
    assert!(matches!(handle.send("x").unwrap_err().problem(), SendProblem::Stopped));
}

/// Sends with its handle when it is dropped, and passes the result on.
struct LastWord(Handle, mpsc::Sender<Result<landline::app::Delivery, SendError>>);

impl Drop for LastWord {
    fn drop(&mut self) {
        self.1.send(self.0.send("a last word")).unwrap();
    }
}

#[test]
fn a_destructor_of_the_handler_or_of_a_hook_finds_an_app_that_is_over() {
    watchdog(LIMIT, || {
        for (runs, panics) in [(true, false), (true, true), (false, false)] {
            let slot = Arc::new(OnceLock::<LastWord>::new());
            let (handlers, hooks) = (slot.clone(), slot.clone());
            let callbacks = Callbacks::new().on_error(move |_| -> Result<(), &'static str> {
                assert!(!panics, "the handler panics (this is a part of the test)");
                assert!(handlers.get().is_some());
                Err("enough")
            });
            let addr = closed();
            let app = app_at(format!("ws://{addr}"), callbacks)
                .outbox(landline::app::Outbox::new())
                .retry_if(move |_| hooks.get().is_some());
            let (last, word) = channel();
            let handle = app.handle();
            assert!(slot.set(LastWord(handle.clone(), last)).is_ok());
            drop(slot); // The handler and the hook hold the last references.
            if runs {
                let ended = catch_unwind(AssertUnwindSafe(|| app.run_forever()));
                assert_eq!(ended.is_err(), panics);
            } else {
                drop(app);
            }
            let said = word.recv().unwrap().unwrap_err();
            assert!(matches!(said.problem(), SendProblem::Stopped), "{said:?}");
            assert_eq!(handle.take_unsent(), []);
        }
    });
}

/// A stream whose second write waits until the test says so, and then fails. It uses its handle
/// when it is dropped.
#[derive(Debug)]
struct Curious {
    socket: TcpStream,
    handle: Handle,
    writes: AtomicUsize,
    writing: Mutex<(mpsc::Sender<()>, mpsc::Receiver<()>)>,
}

impl Stream for Curious {
    fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        Stream::read(&self.socket, buf)
    }

    fn write(&self, buf: &[u8]) -> io::Result<usize> {
        // The first write is the request.
        if self.writes.fetch_add(1, Ordering::Relaxed) == 1 {
            let writing = self.writing.lock().unwrap();
            writing.0.send(()).unwrap();
            writing.1.recv().unwrap();
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Stream::write(&self.socket, buf)
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

    fn shutdown(&self, how: std::net::Shutdown) -> io::Result<()> {
        self.socket.shutdown(how)
    }
}

impl Drop for Curious {
    fn drop(&mut self) {
        assert!(!self.handle.is_open());
    }
}

#[test]
fn the_destructor_of_a_stream_may_use_the_handle_that_sends_over_it() {
    watchdog(LIMIT, || {
        let (begin, begun) = channel();
        let server = upgraded(move |peer| {
            begun.recv().unwrap();
            peer.fin();
            peer.stall();
        });
        let addr = server.addr;
        let (gone, is_gone) = channel();
        let app = app_at("", Callbacks::new()).backoff(move |_: &Failure<'_>| {
            gone.send(()).unwrap(); // The App has dropped its part of the connection.
            None
        });
        let handle = app.handle();
        let mut parts = Some((handle.clone(), (begin, is_gone)));
        let running = app
            .connect_with(move |attempt| {
                let (handle, writing) = parts.take().unwrap();
                let socket = TcpStream::connect(addr).unwrap();
                let (writes, writing) = (AtomicUsize::new(0), Mutex::new(writing));
                let stream = Curious { socket, handle, writes, writing };
                attempt.builder.connect_over("ws://curious/", stream)
            })
            .spawn()
            .unwrap();
        while !handle.is_open() {
            std::thread::yield_now();
        }
        let failed = handle.send("x").unwrap_err();
        assert!(matches!(failed.problem(), SendProblem::Failed(_)), "{failed:?}");
        assert!(matches!(running.join(), Ok(Exit::GaveUp { .. })));
        server.join();
    });
}

/// Starts a server that causes every callback of a connection. Its client may leave at any time.
fn everything() -> Server<Vec<Frame>> {
    upgraded(|peer| {
        let all = [text("x"), ping(b"x"), frame(PONG, true, b"x")].concat();
        let _ = peer.try_send(&all);
        let mut frames: Vec<_> = peer.next_frame().into_iter().collect();
        if frames.iter().any(|frame| frame.opcode == PONG) {
            let _ = peer.try_send(&close(1000, ""));
        }
        frames.extend(peer.stall());
        frames
    })
}

const CALLBACKS: [(&str, &str); 6] = [
    ("open", "open 101, attempt 1"),
    ("text", "text x"),
    ("ping", "ping x"),
    ("pong", "pong x"),
    ("close", "close"),
    ("error", "error handler"),
];

#[test]
fn a_handler_that_fails_ends_the_connection_and_the_app() {
    watchdog(LIMIT, || {
        for (nth, (begins, line)) in CALLBACKS.into_iter().enumerate().take(5) {
            let server = everything();
            let mut recorder = Recorder::default().when(begins, |_| Err("no".into()));
            let exit = app_at(server.url(), &mut recorder)
                .with_builder(builder().close_timeout(SHORT))
                .backoff(|_: &Failure<'_>| panic!("a handler's error is final"))
                .run_forever();
            assert!(matches!(&exit, Err(Error::Handler(error)) if error.to_string() == "no"));
            let log = &recorder.log;
            assert_eq!(log.last().unwrap(), "error handler no");
            assert_eq!(log.iter().filter(|line| line.starts_with("open")).count(), 1);
            assert_eq!(log.iter().filter(|line| line.starts_with("close")).count(), 1);
            assert!(log[nth].starts_with(line), "{log:?}");
            let close = server.join().into_iter().find(|frame| frame.opcode == CLOSE).unwrap();
            let code = if begins == "close" { 1000 } else { 1011 };
            assert_eq!(close.close_code(), Some(code), "in {begins}");
        }
    });
}

#[test]
fn a_handler_that_cannot_send_because_the_peer_is_gone_has_not_failed() {
    watchdog(LIMIT, || {
        for tries in [false, true] {
            let server = upgraded_times(2, |nth, peer| match nth {
                0 => {
                    peer.send(&text("x"));
                    peer.rst();
                }
                _ => peer.send(&close(1000, "")),
            });
            let mut recorder = Recorder::default().when("text", move |sender| {
                let sender = sender.unwrap();
                loop {
                    if !tries {
                        sender.send("y")?;
                    } else if let Err(error @ TrySendError::Failed(..)) = sender.try_send("y") {
                        return Err(error.into());
                    }
                }
            });
            let exit = app_at(server.url(), &mut recorder)
                .backoff(|_: &Failure<'_>| Some(Duration::ZERO))
                .run_forever();
            assert!(matches!(exit, Ok(Exit::Closed(_))), "{exit:?}");
            assert_eq!(recorder.log[2], "close 1006 \"\" by nobody, io");
            server.join();
        }
    });
}

#[test]
fn a_handler_that_cannot_send_through_its_handle_or_a_writer_has_not_failed() {
    watchdog(LIMIT, || {
        for by_writer in [false, true] {
            let server = upgraded_times(2, |nth, peer| match nth {
                0 => {
                    // Both arrive together, so the second is handed out when the peer is gone.
                    peer.send(&[text("x"), text("x")].concat());
                    peer.rst();
                }
                _ => peer.send(&close(1000, "")),
            });
            let slot = OnceLock::<Handle>::new();
            let callbacks = Callbacks::new()
                .on_open(|_, open| drop(slot.set(open.handle.clone())))
                .on_message(|ws, _| -> HandlerResult {
                    loop {
                        if by_writer {
                            let mut writer = ws.writer(landline::MessageKind::Binary)?;
                            writer.write_all(&[0; 128 << 10])?;
                            writer.finish()?;
                        } else {
                            slot.get().unwrap().send("y")?;
                        }
                    }
                });
            let exit = app_at(server.url(), callbacks)
                .with_builder(builder())
                .backoff(|_: &Failure<'_>| Some(Duration::ZERO))
                .run_forever();
            assert!(matches!(exit, Ok(Exit::Closed(_))), "{exit:?}");
            server.join();
        }
    });
}

#[test]
fn a_close_on_this_side_is_final_even_if_the_peer_does_not_take_it() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| peer.stall());
        let keepalive = landline::Keepalive::new(SHORT, SHORT);
        let callbacks = Callbacks::new().on_open(|ws, _| ws.close(CloseCode::NORMAL));
        let exit = app_at(server.url(), callbacks)
            .with_builder(builder().keepalive(keepalive).close_timeout(None))
            .retry_if(|_| panic!("it was asked"))
            .run_forever();
        stopped(exit);
        server.join();
    });
}

#[test]
fn after_an_abort_in_a_callback_only_on_close_is_called() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            let all: Vec<_> = (0..1000).flat_map(|_| text("x")).collect();
            peer.send(&all);
            peer.stall();
        });
        let mut recorder = Recorder::default().when("text", |sender| {
            sender.unwrap().abort();
            Ok(())
        });
        stopped(app_at(server.url(), &mut recorder).with_builder(builder()).run_forever());
        let log = ["open 101, attempt 1", "text x", "close 1006 \"\" by us, aborted"];
        assert_eq!(recorder.log, log);
        server.join();
    });
}

#[test]
fn a_handler_that_fails_in_on_error_is_not_called_again() {
    watchdog(LIMIT, || {
        let addr = closed();
        let mut recorder = Recorder::default().when("error", |_| Err("worse".into()));
        let exit = app_at(format!("ws://{addr}"), &mut recorder).run_forever();
        assert!(matches!(&exit, Err(Error::Handler(error)) if error.to_string() == "worse"));
        assert_eq!(recorder.log, ["error connect"]);
    });
}

#[test]
fn retry_if_can_go_on_after_an_error_of_the_handler() {
    watchdog(LIMIT, || {
        let server = upgraded_times(2, |_, peer| {
            peer.send(&text("x"));
            peer.expect_close(1011);
            peer.send(&close(1011, ""));
            peer.expect_end();
        });
        let mut recorder = Recorder::default().when("text", |_| Err("no".into()));
        let exit = app_at(server.url(), &mut recorder)
            .retry_if(|failure| matches!(failure.error(), Error::Handler(_)))
            .backoff({
                let mut left = 1;
                move |_: &Failure<'_>| {
                    left -= 1;
                    (left >= 0).then_some(Duration::ZERO)
                }
            })
            .run_forever();
        assert!(matches!(exit, Ok(Exit::GaveUp { error: Error::Handler(_), .. })), "{exit:?}");
        assert_eq!(recorder.log.len(), 8);
        server.join();
    });
}

#[test]
fn a_handler_that_cannot_send_in_on_close_has_not_failed() {
    watchdog(LIMIT, || {
        let server = upgraded_times(2, |nth, peer| match nth {
            0 => peer.fin(),
            _ => {
                peer.send(&close(1000, ""));
                peer.stall();
            }
        });
        let (keep, kept) = channel();
        let callbacks = Callbacks::new().on_open(move |sender, open| {
            keep.send((sender.clone(), open.handle.clone())).unwrap();
        });
        let mut count = 0;
        let callbacks = callbacks.on_close(move |_| -> HandlerResult {
            count += 1;
            let (sender, handle) = kept.recv().unwrap();
            if count == 1 {
                handle.send("was down")?;
            }
            Ok(sender.send("was down")?)
        });
        let exit = app_at(server.url(), callbacks).backoff(Fixed(Duration::ZERO)).run_forever();
        assert!(matches!(&exit, Ok(Exit::Closed(closed)) if closed.is_clean()), "{exit:?}");
        server.join();
    });
}

#[test]
fn a_handler_that_cannot_send_in_on_error_has_not_failed() {
    watchdog(LIMIT, || {
        for by_handle in [false, true] {
            let server = serve_times(3, |nth, peer| match nth {
                0 => {
                    peer.upgrade();
                    peer.fin();
                }
                1 => {
                    peer.read_request();
                    peer.send(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
                }
                _ => {
                    peer.upgrade();
                    peer.send(&close(1000, ""));
                    peer.stall();
                }
            });
            let (keep, kept) = channel();
            let callbacks = Callbacks::new()
                .on_open(move |sender, open| {
                    keep.send((sender.clone(), open.handle.clone())).unwrap();
                })
                .on_error(move |_| -> HandlerResult {
                    let (sender, handle) = kept.recv().unwrap();
                    if by_handle {
                        handle.send("was down")?;
                    }
                    Ok(sender.send("was down")?)
                });
            let exit = app_at(server.url(), callbacks).backoff(Fixed(Duration::ZERO)).run_forever();
            assert!(matches!(&exit, Ok(Exit::Closed(closed)) if closed.is_clean()), "{exit:?}");
            server.join();
        }
    });
}

#[test]
fn a_handler_that_stops_the_app_in_on_error_and_then_cannot_send_has_not_failed() {
    watchdog(LIMIT, || {
        let addr = closed();
        let slot = OnceLock::<Handle>::new();
        let callbacks = Callbacks::new().on_error(|_| -> HandlerResult {
            let handle = slot.get().unwrap();
            handle.stop(CloseCode::NORMAL)?;
            handle.send("was stopped")?;
            Ok(())
        });
        let app = app_at(format!("ws://{addr}"), callbacks);
        slot.set(app.handle()).unwrap();
        stopped(app.run_forever());
    });
}

#[test]
fn a_handler_that_cannot_send_because_the_app_stops_has_not_failed() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            peer.send(&text("begin"));
            peer.stall()
        });
        let beside = upgraded(|peer| peer.stall());
        let (url, addr) = (server.url(), beside.addr);
        let (begin, begun) = channel();
        let mut handle = None;
        let callbacks = Callbacks::new()
            .on_message(move |_, _| -> HandlerResult {
                let handle: &Handle = handle.get_or_insert_with(|| begun.recv().unwrap());
                loop {
                    handle.send("y")?;
                }
            })
            .on_error(|error| -> () { panic!("{error}") });
        // The abort first ends another connection, whose stream is slow. So the App is known to
        // stop before its own connection is over.
        let mut others = Vec::new();
        let app = app_at(String::new(), callbacks).connect_with(move |attempt| {
            let slow = TcpStream::connect(addr).unwrap();
            let slow = Judged::new(slow, usize::MAX, |_, _| Ok(()))
                .on_shutdown(|| std::thread::sleep(SHORT));
            others.push(attempt.builder.connect_over("ws://beside/", slow)?);
            builder().connect(&url)
        });
        let running = app.spawn().unwrap();
        let handle = running.handle();
        begin.send(handle.clone()).unwrap();
        while !handle.is_open() {
            std::thread::yield_now();
        }
        handle.abort();
        stopped(running.join());
        server.join();
        beside.join();
    });
}

#[test]
fn a_handler_that_panics_leaves_nothing_behind() {
    watchdog(LIMIT, || {
        for (begins, _) in CALLBACKS.into_iter().take(5) {
            let server = everything();
            let mut recorder = Recorder::default().when(begins, |_| panic!("in {begins}"));
            let app = app_at(server.url(), &mut recorder).backoff(Never);
            let handle = app.handle();
            let panic = catch_unwind(AssertUnwindSafe(|| app.run_forever())).unwrap_err();
            assert_eq!(panic.downcast_ref::<String>().unwrap(), &format!("in {begins}"));
            assert!(matches!(handle.send("x").unwrap_err().problem(), SendProblem::Stopped));
            server.join(); // This ends because the socket is closed.
        }
    });
}

#[test]
fn a_handler_that_panics_ends_the_connection_even_if_others_hold_a_sender() {
    watchdog(LIMIT, || {
        // The connection uses a socket of landline, or a stream of the caller.
        for own in [true, false] {
            let server = upgraded(|peer| {
                peer.send(&text("x"));
                peer.expect_close(1001);
                peer.expect_end();
            });
            let (url, addr) = (server.url(), server.addr);
            let (keep, kept) = channel();
            let callbacks = Callbacks::new()
                .on_open(move |sender, _| keep.send(sender.clone()))
                .on_message(|_, _| -> () { panic!("in a handler that lends its sender") });
            let app = app_at("", callbacks).backoff(Never).connect_with(move |attempt| {
                if own {
                    return attempt.builder.connect(&url);
                }
                let stream = TcpStream::connect(addr).unwrap();
                let stream = Judged::new(stream, usize::MAX, |_, _| Ok(()));
                attempt.builder.connect_over("ws://judged/", stream)
            });
            catch_unwind(AssertUnwindSafe(|| app.run_forever())).unwrap_err();
            let sender = kept.recv().unwrap();
            assert!(!sender.is_open());
            assert!(error(sender.send("y")).closed().is_some());
            server.join();
        }
    });
}

#[test]
fn a_handler_that_panics_over_a_stream_that_panics_does_not_abort_the_process() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            peer.send(&text("x"));
            peer.stall();
        });
        let addr = server.addr;
        let callbacks = Callbacks::new().on_message(|_, _| -> () { panic!("in the handler") });
        let app = app_at("", callbacks).connect_with(move |attempt| {
            let stream = TcpStream::connect(addr).unwrap();
            let mut writes = 0;
            let stream = Judged::new(stream, usize::MAX, move |_, call| {
                if call == Call::Write {
                    writes += 1; // The first write is the request, the second the Close.
                    assert!(writes < 2, "the stream panics (this is a part of the test)");
                }
                Ok(())
            });
            attempt.builder.connect_over("ws://panics/", stream)
        });
        let panic = catch_unwind(AssertUnwindSafe(|| app.run_forever())).unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&"in the handler"));
        server.join();
    });
}

#[test]
fn a_handler_that_panics_in_on_error_leaves_nothing_behind() {
    watchdog(LIMIT, || {
        let addr = closed();
        let mut recorder = Recorder::default().when("error", |_| panic!("in on_error"));
        let app = app_at(format!("ws://{addr}"), &mut recorder);
        let handle = app.handle();
        let panic = catch_unwind(AssertUnwindSafe(|| app.run_forever())).unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&"in on_error"));
        assert!(matches!(handle.send("x").unwrap_err().problem(), SendProblem::Stopped));
    });
}

#[test]
fn a_connect_with_that_panics_leaves_nothing_behind() {
    watchdog(LIMIT, || {
        let app = App::new("", Callbacks::new()).backoff(Never);
        let app = app.connect_with(|_| panic!("on purpose"));
        let handle = app.handle();
        let panic = catch_unwind(AssertUnwindSafe(|| app.run_forever())).unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&"on purpose"));
        let error = handle.send("late").unwrap_err();
        assert!(matches!(error.problem(), SendProblem::Stopped), "{error}");
    });
}

#[test]
fn a_handler_that_panics_on_a_thread_of_its_own_panics_in_join() {
    watchdog(LIMIT, || {
        let server = serve_times(1, |_, peer| {
            peer.upgrade();
            peer.send(&text("x"));
            peer.stall();
        });
        let callbacks = Callbacks::new().on_message(|_, _| -> () { panic!("at the join") });
        let running = app_at(server.url(), callbacks).thread_name("mine").spawn().unwrap();
        let panic = catch_unwind(AssertUnwindSafe(|| running.join())).unwrap_err();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"at the join"));
        server.join();
    });
}

#[test]
fn the_thread_has_the_name_and_the_stack_size_that_were_set() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| peer.send(&close(1000, "")));
        let callbacks = Callbacks::new()
            .on_open(|_, _| assert_eq!(std::thread::current().name(), Some("quotes")));
        let app = app_at(server.url(), callbacks).thread_name("quotes").stack_size(512 << 10);
        let running = app.spawn().unwrap();
        assert!(matches!(running.join(), Ok(Exit::Closed(_))));
        server.join();
    });
}

#[test]
fn an_app_does_not_connect_again_to_a_server_that_breaks_the_protocol_after_our_close() {
    watchdog(LIMIT, || {
        // The violation is a frame before the Close, or the Close itself.
        for violation in [vec![0x83, 0], close(1005, "")] {
            let server = upgraded(move |peer| {
                peer.expect_close(1000);
                peer.send(&violation);
                peer.expect_end();
            });
            let mut recorder = Recorder::default()
                .when("open", |sender| Ok(sender.unwrap().close(CloseCode::NORMAL)?));
            let app = app_at(server.url(), &mut recorder).retry_if(|_| panic!("it was asked"));
            stopped(app.run_forever());
            let log = ["open 101, attempt 1", "close 1006 \"\" by us, protocol"];
            assert_eq!(recorder.log, log);
            server.join();
        }
    });
}

/// Runs an App against a server that sends 1,000 messages and then `more`. The handler stops the
/// App in the first message, and takes longer than the closing handshake may. Returns the last call
/// of the handler.
fn slow_handler(more: Vec<u8>) -> String {
    let server = upgraded(move |peer| {
        peer.send(&[text("").repeat(1000), more].concat());
        peer.stall();
    });
    let mut recorder = Recorder::default().when("text", |sender| {
        sender.unwrap().close(CloseCode::NORMAL)?;
        std::thread::sleep(SHORT * 2); // This makes the handler slow. No event is awaited by it.
        Ok(())
    });
    let app = app_at(server.url(), &mut recorder).with_builder(builder().close_timeout(SHORT));
    stopped(takes(SHORT * 2, || app.run_forever()));
    server.join();
    recorder.log.pop().unwrap()
}

#[test]
fn a_handler_that_outlasts_close_timeout_still_learns_of_a_close_that_came_in_time() {
    watchdog(LIMIT, || {
        assert_eq!(slow_handler(Vec::new()), "close 1006 \"\" by us, timeout(close)");
        assert_eq!(slow_handler(close(1000, "")), "close 1000 \"\" by us, clean");
    });
}

#[test]
fn after_an_abort_in_on_open_no_message_that_came_with_the_answer_is_handed_out() {
    watchdog(LIMIT, || {
        let server = serve(|peer| {
            peer.read_request();
            let answer = peer.good_answer("");
            peer.send(&[answer, text("x")].concat());
            peer.stall();
        });
        let mut recorder = Recorder::default().when("open", |sender| {
            sender.unwrap().abort();
            Ok(())
        });
        stopped(app_at(server.url(), &mut recorder).run_forever());
        assert_eq!(recorder.log, ["open 101, attempt 1", "close 1006 \"\" by us, aborted"]);
        server.join();
    });
}
