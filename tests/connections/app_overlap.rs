//! `App::overlap` and `App::max_age`: the next connection is opened before the old one is closed.

#![allow(clippy::unwrap_used)] // `clippy.toml` allows it in test functions only.

use crate::support;

use std::cell::Cell;
use std::io::Read as _;
use std::net::Shutdown;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use landline::app::{Delivery, Exit, Outbox, WhenFull};
use landline::backoff::{Backoff as _, Exponential, Failure, Fixed, Never};
use landline::{App, Callbacks, CloseCode, Error, Handle, Handler};
use support::apps::{HandlerResult, Recorder, app_at, upgraded_times};
use support::*;

const HOUR: Duration = Duration::from_secs(3600);

/// More bytes than the buffers of both sockets take.
const BIG: usize = 8 << 20;

type Script = Box<dyn FnOnce(&mut Peer) + Send>;

/// Starts a server whose connections exist at the same time, each with a script of its own.
fn serve_all(scripts: Vec<Script>) -> Server<()> {
    let listener = listener();
    let addr = listener.local_addr().unwrap();
    let script = spawn(move || {
        let mut running = Vec::new();
        for script in scripts {
            let (stream, _) = listener.accept().unwrap();
            running.push(spawn(move || script(&mut Peer::new(stream))));
        }
        drop(listener);
        running.into_iter().for_each(Joined::join);
    });
    Server { addr, secure: false, script }
}

/// Returns a script that runs after the opening handshake.
fn open(script: impl FnOnce(&mut Peer) + Send + 'static) -> Script {
    Box::new(move |peer| {
        peer.upgrade();
        script(peer);
    })
}

/// Closes with 1000, and waits until the client is gone.
fn end(peer: &mut Peer) {
    peer.send(&close(1000, "enough"));
    let _ = peer.socket().shutdown(Shutdown::Write); // The client may be gone by now.
    peer.stall();
}

/// Refuses the connection for now.
fn refuse(peer: &mut Peer) {
    peer.read_request();
    peer.send(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
}

/// Answers the client's Close with these frames and a Close.
fn answer_close(peer: &mut Peer, before: &[u8]) {
    let own = peer.expect_close(4000);
    assert_eq!(own.reason(), "new");
    peer.send(&[before, &close(4000, "")].concat());
    let _ = peer.socket().shutdown(Shutdown::Write);
    peer.stall();
}

/// Returns an App that replaces its connections. It fails the test if its backoff is asked.
fn overlapping<H: Handler>(server: &Server<()>, handler: H) -> App<H> {
    app_at(server.url(), handler)
        .overlap(true)
        .backoff(|failure: &Failure<'_>| -> Option<Duration> { panic!("{failure}") })
}

/// Returns a builder of connections for which the system takes few bytes before the peer reads.
fn small_buffers() -> landline::Builder {
    builder().on_socket(|stream| socket2::SockRef::from(stream).set_send_buffer_size(16 << 10))
}

fn replace(handle: &Handle) {
    handle.reconnect((CloseCode::new(4000), "new")).unwrap();
}

/// Runs an App, and asks for another connection when the server says so.
fn run<H: Handler>(app: App<H>, when: Receiver<()>) -> Result<Exit, Error> {
    let handle = app.handle();
    let asking = spawn(move || {
        when.recv().unwrap();
        // The server has answered, and the client may still be reading the answer.
        while !handle.is_open() {
            thread::yield_now();
        }
        replace(&handle);
    });
    let exit = app.run_forever();
    asking.join();
    exit
}

const FIRST: &str = "open 101, attempt 1";
const SECOND: &str = "open 101, attempt 2, replacing";
const REPLACED: &str = "close 4000 \"\" by us, clean";
const ENOUGH: &str = "close 1000 \"enough\" by the peer, clean";

#[test]
fn the_old_connection_is_received_to_its_end_after_the_new_one_is_open() {
    watchdog(LIMIT, || {
        let (ask, when) = channel();
        let (subscribed, is_subscribed) = channel();
        let server = serve_all(vec![
            open(move |peer| {
                peer.expect(TEXT, b"subscribe");
                peer.send(&text("one"));
                ask.send(()).unwrap();
                is_subscribed.recv().unwrap();
                answer_close(peer, &[text("two"), ping(b"p"), text("three")].concat());
            }),
            open(move |peer| {
                peer.send(&text("of the new one"));
                peer.expect(TEXT, b"subscribe");
                subscribed.send(()).unwrap();
                end(peer);
            }),
        ]);
        let subscribe =
            |sender: Option<&landline::Sender>| Ok(sender.unwrap().send("subscribe")?);
        let mut recorder = Recorder::default().when("open", subscribe);
        let exit = run(overlapping(&server, &mut recorder), when);
        assert!(matches!(exit, Ok(Exit::Closed(_))), "{exit:?}");
        let old = ["text one", SECOND, "text two", "ping p", "text three", REPLACED];
        assert_eq!(recorder.log, [&[FIRST], &old[..], &["text of the new one", ENOUGH]].concat());
        server.join();
    });
}

#[test]
fn the_old_connection_is_received_until_connect_with_has_its_answer() {
    watchdog(LIMIT, || {
        let (ask, when) = channel();
        let (subscribed, is_subscribed) = channel();
        let (sent, is_sent) = channel();
        let server = serve_all(vec![
            open(move |peer| {
                peer.expect(TEXT, b"subscribe");
                peer.send(&[text("subscribed"), text("1")].concat());
                ask.send(()).unwrap();
                is_subscribed.recv().unwrap();
                peer.send(&text("2"));
                sent.send(()).unwrap();
                answer_close(peer, b"");
            }),
            open(move |peer| {
                peer.expect(TEXT, b"subscribe");
                subscribed.send(()).unwrap();
                is_sent.recv().unwrap();
                peer.send(&[text("subscribed"), text("2"), text("3")].concat());
                end(peer);
            }),
        ]);
        let mut recorder = Recorder::default();
        let app = overlapping(&server, &mut recorder).connect_with(|attempt| {
            let mut ws = attempt.builder.connect(attempt.url)?;
            ws.send("subscribe")?;
            ws.recv()?;
            Ok(ws)
        });
        let exit = run(app, when);
        assert!(matches!(exit, Ok(Exit::Closed(_))), "{exit:?}");
        // The message comes before or after the answer.
        recorder.log.retain(|line| line != SECOND);
        let log = [FIRST, "text 1", "text 2", REPLACED, "text 2", "text 3", ENOUGH];
        assert_eq!(recorder.log, log);
        server.join();
    });
}

/// Counts what a server gets from numbered messages.
type Numbers = Arc<Mutex<Vec<u32>>>;

/// The age at which the server of the numbers cuts a connection.
const SERVER_AGE: Duration = Duration::from_secs(4);

/// Notes each number of a connection, which is cut at [`SERVER_AGE`]. That fails the test.
fn collect(peer: &mut Peer, numbers: &Numbers) {
    let born = Instant::now();
    while let Some(frame) = peer.next_frame() {
        if born.elapsed() > SERVER_AGE {
            peer.rst();
            break;
        }
        if frame.opcode == CLOSE {
            peer.send(&close(1000, ""));
            return peer.fin();
        }
        let number = std::str::from_utf8(&frame.payload).unwrap().parse().unwrap();
        numbers.lock().unwrap().push(number);
    }
    panic!("the client let the connection be cut");
}

/// Sends numbers without a pause while an App replaces its connections by age. Returns them in the
/// order in which the server read them, and how many were sent.
fn numbers_over_many_connections(outbox: Option<Outbox>) -> (Vec<u32>, u32) {
    const CONNECTIONS: usize = 8;
    let numbers = Numbers::default();
    let scripts = (0..CONNECTIONS).map(|_| {
        let numbers = numbers.clone();
        open(move |peer| collect(peer, &numbers))
    });
    let server = serve_all(scripts.collect());
    let (opened, count) = channel();
    let callbacks = Callbacks::new().on_open(move |_, open| {
        assert!(open.reconnected == open.replaces, "a connection was lost");
        opened.send(()).unwrap();
    });
    // The server accepts no connection after the last one. The attempt fails, and that one stays.
    let app = app_at(server.url(), callbacks).backoff(Never);
    let mut app = app.overlap(true).max_age(SERVER_AGE / 100);
    if let Some(outbox) = outbox {
        app = app.outbox(outbox);
    }
    let handle = app.handle();
    let running = app.spawn().unwrap();
    count.recv().unwrap();
    let (mut sent, mut connections) = (0, 1);
    while !handle.is_open() {
        thread::yield_now(); // The first `on_open` has not returned yet.
    }
    while connections < CONNECTIONS {
        handle.send(sent.to_string()).unwrap();
        sent += 1;
        connections += count.try_iter().count();
    }
    assert!(handle.flush(LIMIT));
    handle.stop(1000).unwrap();
    assert!(matches!(running.join(), Ok(Exit::Stopped)));
    server.join();
    let numbers = std::mem::take(&mut *numbers.lock().unwrap());
    (numbers, sent)
}

#[test]
fn the_server_gets_each_message_of_the_outbox_once_and_in_order() {
    watchdog(2 * LIMIT, || {
        for always in [false, true] {
            let outbox = Outbox::new().when_full(WhenFull::Block).always_queue(always);
            let (numbers, sent) = numbers_over_many_connections(Some(outbox));
            assert!(sent > 0);
            assert!(numbers.iter().copied().eq(0..sent), "{sent} sent, {} read", numbers.len());
        }
    });
}

#[test]
fn without_an_outbox_the_server_gets_each_message_once() {
    watchdog(2 * LIMIT, || {
        let (mut numbers, sent) = numbers_over_many_connections(None);
        assert!(sent > 0);
        numbers.sort_unstable();
        assert!(numbers.iter().copied().eq(0..sent), "{sent} sent, {} read", numbers.len());
    });
}

#[test]
fn the_outbox_finishes_its_message_on_the_old_connection() {
    watchdog(LIMIT, || {
        let big = "x".repeat(BIG);
        let (expected, (ask, when)) = (big.clone(), channel());
        let (opened, is_open) = channel();
        let server = serve_all(vec![
            open(move |peer| {
                let mut some = [0; 14];
                peer.socket().read_exact(&mut some).unwrap();
                ask.send(()).unwrap();
                // The client is in the middle of its message when the other connection opens.
                is_open.recv().unwrap();
                let payload = expected.len();
                let mut rest = vec![0; payload];
                peer.socket().read_exact(&mut rest).unwrap();
                let _ = peer.try_send(&text("read")); // The client may be gone.
                // The time for the Close may have passed.
                if peer.next_frame().is_some_and(|frame| frame.close_code() == Some(4000)) {
                    let _ = peer.try_send(&close(4000, ""));
                }
            }),
            open(move |peer| {
                peer.expect(TEXT, b"first");
                opened.send(()).unwrap();
                peer.expect(TEXT, b"behind it");
                end(peer);
            }),
        ]);
        let mut recorder =
            Recorder::default().when(SECOND, |sender| Ok(sender.unwrap().send("first")?));
        // A Close before the end of the message would cut it off after this time.
        let app = overlapping(&server, &mut recorder)
            .with_builder(small_buffers().close_timeout(Duration::from_millis(1)))
            .outbox(Outbox::new().max_bytes(usize::MAX));
        let handle = app.handle();
        handle.send(big).unwrap();
        handle.send("behind it").unwrap();
        let exit = run(app, when);
        assert!(matches!(exit, Ok(Exit::Closed(_))), "{exit:?}");
        // The client may have left before these came from the server.
        let may_be_late = ["text read", "close 4000", "close 1006"];
        recorder.log.retain(|line| !may_be_late.iter().any(|late| line.starts_with(late)));
        assert_eq!(recorder.log, [FIRST, SECOND, ENOUGH]);
        assert_eq!(handle.take_unsent(), []);
        server.join();
    });
}

#[test]
fn a_message_that_the_replacement_cuts_off_is_sent_again_over_the_new_connection() {
    watchdog(LIMIT, || {
        let big = "x".repeat(1 << 20);
        let (expected, (ask, when)) = (big.clone(), channel());
        let (ended, until) = channel();
        let server = serve_all(vec![
            open(move |peer| {
                let mut some = [0; 14];
                peer.socket().read_exact(&mut some).unwrap();
                ask.send(()).unwrap();
                peer.hold_open(&until);
            }),
            open(move |peer| {
                peer.expect(TEXT, expected.as_bytes());
                drop(ended);
                end(peer);
            }),
        ]);
        let builder = small_buffers().close_timeout(SHORT);
        let app = overlapping(&server, Callbacks::new()).with_builder(builder);
        let handle = app.handle();
        let sending = spawn(move || {
            while !handle.is_open() {
                thread::yield_now();
            }
            handle.send(big).unwrap()
        });
        let exit = run(app, when);
        assert!(matches!(exit, Ok(Exit::Closed(_))), "{exit:?}");
        assert_eq!(sending.join(), Delivery::Sent);
        server.join();
    });
}

#[test]
fn other_threads_send_over_the_old_connection_until_on_open_has_returned() {
    watchdog(LIMIT, || {
        let (ask, when) = channel();
        let server = serve_all(vec![
            open(move |peer| {
                ask.send(()).unwrap();
                peer.expect(TEXT, b"by another thread");
                answer_close(peer, b"");
            }),
            open(|peer| {
                peer.expect(TEXT, b"by the App's thread");
                peer.expect(TEXT, b"afterwards");
                end(peer);
            }),
        ]);
        let callbacks = Callbacks::new()
            .on_open(|_, open| {
                if open.replaces {
                    let handle = open.handle.clone();
                    assert_eq!(handle.send("by the App's thread").unwrap(), Delivery::Sent);
                    let other = spawn(move || {
                        assert!(handle.is_open());
                        handle.send("by another thread").unwrap()
                    });
                    assert_eq!(other.join(), Delivery::Sent);
                }
            })
            .on_close(|_| ());
        let slot = OnceLock::<Handle>::new();
        let callbacks = callbacks.on_close(|closed| {
            if closed.code() == CloseCode::new(4000) {
                let handle = slot.get().unwrap();
                assert!(handle.is_open());
                assert_eq!(handle.send("afterwards").unwrap(), Delivery::Sent);
            }
        });
        let app = overlapping(&server, callbacks);
        slot.set(app.handle()).unwrap();
        let exit = run(app, when);
        assert!(matches!(exit, Ok(Exit::Closed(_))), "{exit:?}");
        server.join();
    });
}

#[test]
fn an_attempt_that_fails_keeps_the_old_connection_and_is_retried() {
    watchdog(LIMIT, || {
        let (ask, when) = channel();
        let (failed, has_failed) = channel();
        let server = serve_all(vec![
            open(move |peer| {
                ask.send(()).unwrap();
                has_failed.recv().unwrap();
                peer.send(&text("still here"));
                answer_close(peer, b"");
            }),
            Box::new(move |peer| {
                peer.read_request();
                peer.send(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n");
                failed.send(()).unwrap();
            }),
            open(end),
        ]);
        let mut recorder = Recorder::default();
        let (asked, told) = channel();
        let app = overlapping(&server, &mut recorder).backoff(move |failure: &Failure<'_>| {
            asked.send((failure.attempts(), failure.has_stood())).unwrap();
            Some(SHORT)
        });
        let exit = run(app, when);
        assert!(matches!(exit, Ok(Exit::Closed(_))), "{exit:?}");
        assert_eq!(told.try_iter().collect::<Vec<_>>(), [(1, true)]);
        let third = "open 101, attempt 3, replacing";
        let log: Vec<_> = recorder.log.iter().filter(|line| *line != "text still here").collect();
        assert_eq!(log, [FIRST, "error status 403", third, REPLACED, ENOUGH]);
        assert_eq!(recorder.log.len(), 6, "{:?}", recorder.log);
        server.join();
    });
}

#[test]
fn after_a_failure_that_is_final_the_old_connection_is_used_to_its_end() {
    watchdog(LIMIT, || {
        for gives_up in [false, true] {
            let (ask, when) = channel();
            let (failed, has_failed) = channel();
            let server = serve_all(vec![
                open(move |peer| {
                    ask.send(()).unwrap();
                    has_failed.recv().unwrap();
                    end(peer);
                }),
                Box::new(|peer| {
                    peer.read_request();
                    peer.send(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n");
                }),
            ]);
            let mut recorder = Recorder::default().when("error", move |_| Ok(failed.send(())?));
            let app = app_at(server.url(), &mut recorder).overlap(true).backoff(Never);
            let exit = run(app.retry_if(move |_| gives_up), when);
            assert_eq!(recorder.log, [FIRST, "error status 403", ENOUGH]);
            match exit {
                Ok(Exit::Closed(_)) if !gives_up => {}
                Ok(Exit::GaveUp { .. }) if gives_up => {}
                other => panic!("{other:?}"),
            }
            server.join();
        }
    });
}

#[test]
fn a_stable_connection_that_is_replaced_ends_the_row_of_failures() {
    watchdog(LIMIT, || {
        const STABLE: Duration = Duration::from_millis(50);
        let (ask, when) = channel();
        let server = serve_all(vec![
            open(move |peer| {
                ask.send(()).unwrap();
                answer_close(peer, b"");
            }),
            Box::new(refuse),
            Box::new(refuse),
            // The new connection is lost at once.
            open(|peer| {
                peer.fin();
                peer.stall();
            }),
            open(end),
        ]);
        let (asked, told) = channel();
        let mut three = Exponential::new().base(Duration::ZERO).max_attempts(3);
        let app = overlapping(&server, Callbacks::new()).stable_after(STABLE).backoff(
            move |failure: &Failure<'_>| {
                asked.send(failure.attempts()).unwrap();
                // With these pauses the first connection is stable when it is replaced.
                three.delay(failure).map(|_| STABLE)
            },
        );
        let exit = run(app, when);
        assert!(matches!(exit, Ok(Exit::Closed(_))), "{exit:?}");
        assert_eq!(told.try_iter().collect::<Vec<_>>(), [1, 2, 1]);
        server.join();
    });
}

#[test]
fn a_request_after_the_backoff_gave_up_begins_a_row_of_its_own() {
    watchdog(LIMIT, || {
        let (ask, when) = channel();
        let server = serve_all(vec![
            open(move |peer| {
                ask.send(()).unwrap();
                answer_close(peer, b"");
            }),
            Box::new(refuse),
            Box::new(refuse),
            Box::new(refuse),
            open(end),
        ]);
        let (slot, mut errors) = (OnceLock::<Handle>::new(), 0);
        let callbacks = Callbacks::new().on_error(|_| {
            errors += 1;
            if errors == 2 {
                replace(slot.get().unwrap()); // Is looked at when the backoff has given up.
            }
        });
        let (asked, told) = channel();
        let app = overlapping(&server, callbacks).stable_after(Duration::ZERO).backoff(
            move |failure: &Failure<'_>| {
                asked.send(failure.attempts()).unwrap();
                assert!(failure.attempts() <= 2, "{failure}");
                (failure.attempts() < 2).then_some(Duration::ZERO)
            },
        );
        slot.set(app.handle()).unwrap();
        let exit = run(app, when);
        assert!(matches!(exit, Ok(Exit::Closed(_))), "{exit:?}");
        assert_eq!(told.try_iter().collect::<Vec<_>>(), [1, 2, 1]);
        server.join();
    });
}

#[test]
fn after_a_request_during_an_attempt_that_fails_the_next_one_follows_without_a_wait() {
    watchdog(LIMIT, || {
        let (ready, when) = channel();
        let (asked, is_asked) = channel();
        let (go_on, until) = channel();
        let server = serve_all(vec![
            open(move |peer| {
                ready.send(()).unwrap();
                answer_close(peer, b"");
            }),
            Box::new(move |peer| {
                peer.read_request();
                asked.send(()).unwrap();
                until.recv().unwrap();
                peer.send(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
            }),
            open(end),
        ]);
        let app = app_at(server.url(), Callbacks::new()).overlap(true).backoff(Fixed(HOUR));
        let handle = app.handle();
        let asking = spawn(move || {
            is_asked.recv().unwrap();
            replace(&handle);
            go_on.send(()).unwrap();
        });
        let exit = run(app, when);
        assert!(matches!(exit, Ok(Exit::Closed(_))), "{exit:?}");
        asking.join();
        server.join();
    });
}

#[test]
fn a_handler_that_cannot_send_after_an_attempt_that_failed_has_not_failed() {
    watchdog(LIMIT, || {
        let (ask, when) = channel();
        let (failed, has_failed) = channel();
        let server = serve_all(vec![
            open(move |peer| {
                ask.send(()).unwrap();
                has_failed.recv().unwrap();
                peer.rst();
            }),
            Box::new(refuse),
            open(end),
        ]);
        let slot = OnceLock::<Handle>::new();
        let callbacks = Callbacks::new().on_error(|_| -> HandlerResult {
            let _ = failed.send(()); // The server waits for the first one only.
            loop {
                slot.get().unwrap().send("until the old connection is lost")?;
            }
        });
        let app = app_at(server.url(), callbacks).overlap(true).backoff(Fixed(Duration::ZERO));
        slot.set(app.handle()).unwrap();
        let exit = run(app, when);
        assert!(matches!(exit, Ok(Exit::Closed(_))), "{exit:?}");
        server.join();
    });
}

#[test]
fn an_error_of_on_error_while_a_connection_is_open_ends_it_and_the_app() {
    watchdog(LIMIT, || {
        let (ask, when) = channel();
        let server = serve_all(vec![
            open(move |peer| {
                ask.send(()).unwrap();
                peer.expect_close(1011);
                peer.send(&close(1011, ""));
                let _ = peer.socket().shutdown(Shutdown::Write);
                peer.stall();
            }),
            Box::new(refuse),
        ]);
        let mut recorder = Recorder::default().when("error status", |_| Err("mine".into()));
        let error = run(overlapping(&server, &mut recorder), when).unwrap_err();
        assert!(matches!(error, Error::Handler(_)), "{error:?}");
        let ended = "close 1011 \"\" by us, clean";
        assert_eq!(recorder.log, [FIRST, "error status 503", ended, "error handler mine"]);
        server.join();
    });
}

#[test]
fn an_old_connection_that_ends_meanwhile_leaves_the_attempt_that_is_under_way() {
    watchdog(LIMIT, || {
        for closes in [false, true] {
            let (ask, when) = channel();
            let (connecting, is_connecting) = channel();
            let (ended, has_ended) = channel();
            let server = serve_all(vec![
                open(move |peer| {
                    ask.send(()).unwrap();
                    is_connecting.recv().unwrap();
                    // An end that would be final otherwise.
                    if closes { end(peer) } else { peer.rst() }
                }),
                Box::new(move |peer| {
                    peer.read_request();
                    connecting.send(()).unwrap();
                    has_ended.recv().unwrap();
                    let answer = peer.good_answer("");
                    peer.send(&answer);
                    end(peer);
                }),
            ]);
            let mut recorder = Recorder::default().when("close", move |_| {
                let _ = ended.send(()); // The server waits for the first one only.
                Ok(())
            });
            let exit = run(overlapping(&server, &mut recorder), when);
            assert!(matches!(exit, Ok(Exit::Closed(_))), "{exit:?}");
            assert_eq!(recorder.log.len(), 4, "{:?}", recorder.log);
            assert_eq!(recorder.log[2..], ["open 101, attempt 2 again", ENOUGH]);
            server.join();
        }
    });
}

#[test]
fn a_stop_ends_the_old_connection_and_the_attempt() {
    watchdog(LIMIT, || {
        for aborts in [false, true] {
            let (ask, when) = channel();
            let (connecting, is_connecting) = channel();
            let server = serve_all(vec![
                open(move |peer| {
                    ask.send(()).unwrap();
                    if !aborts {
                        peer.expect_close(1001);
                        peer.send(&close(1001, ""));
                        peer.fin();
                    }
                    peer.stall();
                }),
                Box::new(move |peer| {
                    peer.read_request();
                    connecting.send(()).unwrap();
                    peer.expect_end();
                }),
            ]);
            let app = overlapping(&server, Callbacks::new());
            let handle = app.handle();
            let stopping = spawn(move || {
                is_connecting.recv().unwrap();
                if aborts { handle.abort() } else { handle.stop(1001).unwrap() }
            });
            let exit = run(app, when);
            assert!(matches!(exit, Ok(Exit::Stopped)), "{exit:?}");
            stopping.join();
            server.join();
        }
    });
}

#[test]
fn a_stop_while_the_old_connection_is_closed_ends_both() {
    watchdog(LIMIT, || {
        for aborts in [false, true] {
            let (ask, when) = channel();
            let (closing, is_closing) = channel();
            let server = serve_all(vec![
                open(move |peer| {
                    ask.send(()).unwrap();
                    peer.expect_close(4000);
                    closing.send(()).unwrap();
                    // After an abort the client is gone without more.
                    if !aborts {
                        peer.send(&[text("discarded"), close(4000, "")].concat());
                        let _ = peer.socket().shutdown(Shutdown::Write);
                    }
                    peer.stall();
                }),
                open(move |peer| {
                    if !aborts {
                        peer.expect_close(1001);
                        peer.send(&close(1001, ""));
                        peer.fin();
                    }
                    peer.stall();
                }),
            ]);
            let mut recorder = Recorder::default();
            let app = overlapping(&server, &mut recorder);
            let handle = app.handle();
            let stopping = spawn(move || {
                is_closing.recv().unwrap();
                if aborts { handle.abort() } else { handle.stop(1001).unwrap() }
            });
            let exit = run(app, when);
            assert!(matches!(exit, Ok(Exit::Stopped)), "{exit:?}");
            let closes = recorder.log.iter().filter(|line| line.starts_with("close")).count();
            assert_eq!(closes, 2, "{:?}", recorder.log);
            stopping.join();
            server.join();
        }
    });
}

#[test]
fn an_error_of_on_open_ends_both_connections() {
    watchdog(LIMIT, || {
        let (ask, when) = channel();
        let answer_failure = |peer: &mut Peer| {
            peer.expect_close(1011);
            peer.send(&close(1011, ""));
            let _ = peer.socket().shutdown(Shutdown::Write);
            peer.stall();
        };
        let server = serve_all(vec![
            open(move |peer| {
                ask.send(()).unwrap();
                answer_failure(peer);
            }),
            open(answer_failure),
        ]);
        let mut recorder = Recorder::default().when(SECOND, |_| Err("mine".into()));
        let error = run(overlapping(&server, &mut recorder), when).unwrap_err();
        assert!(matches!(error, Error::Handler(_)), "{error:?}");
        let ended = "close 1011 \"\" by us, clean";
        assert_eq!(recorder.log, [FIRST, SECOND, ended, ended, "error handler mine"]);
        server.join();
    });
}

#[test]
fn an_error_on_the_old_connection_ends_both_connections() {
    watchdog(LIMIT, || {
        let (ask, when) = channel();
        let server = serve_all(vec![
            open(move |peer| {
                ask.send(()).unwrap();
                answer_close(peer, &text("bad"));
            }),
            open(|peer| {
                peer.expect_close(1011);
                peer.send(&close(1011, ""));
                let _ = peer.socket().shutdown(Shutdown::Write);
                peer.stall();
            }),
        ]);
        let mut recorder = Recorder::default().when("text bad", |_| Err("mine".into()));
        let error = run(overlapping(&server, &mut recorder), when).unwrap_err();
        assert!(matches!(error, Error::Handler(_)), "{error:?}");
        let ended = "close 1011 \"\" by us, clean";
        assert_eq!(
            recorder.log,
            [FIRST, SECOND, "text bad", REPLACED, ended, "error handler mine"]
        );
        server.join();
    });
}

#[test]
fn an_old_server_that_does_not_answer_is_left_after_the_close_timeout() {
    watchdog(LIMIT, || {
        let (ask, when) = channel();
        let server = serve_all(vec![
            open(move |peer| {
                ask.send(()).unwrap();
                peer.expect_close(4000);
                peer.stall();
            }),
            open(end),
        ]);
        let mut recorder = Recorder::default();
        let app = overlapping(&server, &mut recorder)
            .with_builder(builder().close_timeout(Duration::from_millis(50)));
        let exit = run(app, when);
        assert!(matches!(exit, Ok(Exit::Closed(_))), "{exit:?}");
        assert!(recorder.log[2].starts_with("close 1006"), "{:?}", recorder.log);
        assert_eq!((recorder.log[1].as_str(), recorder.log[3].as_str()), (SECOND, ENOUGH));
        server.join();
    });
}

#[test]
fn a_panic_of_the_handler_ends_the_attempt_too() {
    watchdog(LIMIT, || {
        let (ask, when) = channel();
        let (connecting, is_connecting) = channel();
        let server = serve_all(vec![
            open(move |peer| {
                ask.send(()).unwrap();
                is_connecting.recv().unwrap();
                peer.send(&text("panic"));
                peer.expect_close(1001);
            }),
            Box::new(move |peer| {
                peer.read_request();
                connecting.send(()).unwrap();
                peer.expect_end();
            }),
        ]);
        let app =
            overlapping(&server, Callbacks::new().on_message(|_, _| -> () { panic!("mine") }));
        let running = spawn(move || {
            let exit = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(app, when)));
            assert!(exit.is_err());
        });
        running.join();
        server.join();
    });
}

#[test]
fn at_its_greatest_age_a_connection_is_closed_and_made_again() {
    watchdog(LIMIT, || {
        let server = upgraded_times(2, |nth, peer| {
            if nth == 0 {
                peer.expect_close(1000);
                peer.send(&close(1000, ""));
                let _ = peer.socket().shutdown(Shutdown::Write);
                peer.stall();
            } else {
                end(peer);
            }
        });
        let mut recorder = Recorder::default();
        let app = app_at(server.url(), &mut recorder).backoff(Never).max_age(SHORT);
        let exit = app.retry_if(|failure| failure.closed().unwrap().reason() != "enough");
        let exit = takes(SHORT, || exit.run_forever());
        assert!(matches!(exit, Ok(Exit::Closed(_))), "{exit:?}");
        let ended = "close 1000 \"\" by us, clean";
        assert_eq!(recorder.log, [FIRST, ended, "open 101, attempt 2 again", ENOUGH]);
        server.join();
    });
}

#[test]
fn a_handler_that_closes_at_the_greatest_age_stops_the_app() {
    watchdog(LIMIT, || {
        let server = serve(|peer| {
            peer.read_request();
            // The message is there when the age has passed.
            let answer = [peer.good_answer(""), text("close")].concat();
            peer.send(&answer);
            peer.expect_close(1000);
            peer.send(&close(1000, ""));
            peer.fin();
        });
        let callbacks = Callbacks::new().on_message(|ws, _| ws.close(CloseCode::NORMAL));
        let app = app_at(server.url(), callbacks).backoff(Never).max_age(Duration::from_nanos(1));
        let exit = app.run_forever();
        assert!(matches!(exit, Ok(Exit::Stopped)), "{exit:?}");
        server.join();
    });
}

#[test]
fn a_handler_that_closes_when_the_next_connection_is_open_stops_the_app() {
    watchdog(LIMIT, || {
        let (ask, when) = channel();
        let (connecting, is_connecting) = channel();
        let (go_on, may_go_on) = channel();
        let (ended, has_ended) = channel();
        let server = serve_all(vec![
            open(move |peer| {
                ask.send(()).unwrap();
                is_connecting.recv().unwrap();
                peer.send(&text("close"));
                peer.expect_close(1000);
                peer.send(&close(1000, ""));
                peer.fin();
            }),
            Box::new(move |peer| {
                peer.read_request();
                connecting.send(()).unwrap();
                may_go_on.recv().unwrap();
                let answer = peer.good_answer("");
                peer.send(&answer);
                peer.stall();
            }),
        ]);
        let callbacks = Callbacks::new().on_message(move |ws, _| {
            go_on.send(()).unwrap();
            has_ended.recv().unwrap();
            ws.close(CloseCode::NORMAL)
        });
        let app = overlapping(&server, callbacks).connect_with(move |attempt| {
            if attempt.reconnecting {
                AT_END.set(Some(TellsEnd(ended.clone())));
            }
            attempt.builder.connect(attempt.url)
        });
        let exit = run(app, when);
        assert!(matches!(exit, Ok(Exit::Stopped)), "{exit:?}");
        server.join();
    });
}

thread_local! {
    /// Is dropped when this thread is over, and has left its result.
    static AT_END: Cell<Option<TellsEnd>> = const { Cell::new(None) };
}

struct TellsEnd(Sender<()>);

impl Drop for TellsEnd {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

#[test]
fn a_handler_that_closes_stops_the_app_although_a_reconnect_was_asked_for() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            peer.send(&text("close"));
            peer.expect_close(1000);
            peer.send(&close(1000, ""));
            peer.fin();
        });
        let slot = OnceLock::<Handle>::new();
        let callbacks = Callbacks::new().on_message(|ws, _| {
            replace(slot.get().unwrap());
            ws.close(CloseCode::NORMAL)
        });
        let app = app_at(server.url(), callbacks).overlap(true).backoff(Never);
        slot.set(app.handle()).unwrap();
        let exit = app.run_forever();
        assert!(matches!(exit, Ok(Exit::Stopped)), "{exit:?}");
        server.join();
    });
}

#[test]
fn an_age_of_zero_is_no_age() {
    watchdog(LIMIT, || {
        for (overlap, never) in [(false, Some(Duration::ZERO)), (true, None)] {
            let server = upgraded(|peer| {
                peer.send(&text("hello"));
                peer.expect(TEXT, b"no Close before this");
                end(peer);
            });
            let app = app_at(
                server.url(),
                Callbacks::new().on_message(|sender, _| {
                    sender.send("no Close before this").unwrap();
                }),
            );
            let exit = app.max_age(SHORT).max_age(never).overlap(overlap).run_forever();
            assert!(matches!(exit, Ok(Exit::Closed(_))), "{exit:?}");
            server.join();
        }
    });
}

#[test]
fn without_a_connection_a_reconnect_ends_the_wait_as_ever() {
    watchdog(LIMIT, || {
        let (ask, when) = channel();
        let server = upgraded_times(2, |nth, peer| if nth == 0 { peer.rst() } else { end(peer) });
        let app = app_at(server.url(), Callbacks::new()).overlap(true);
        let app = app.backoff(move |_: &Failure<'_>| {
            ask.send(()).unwrap();
            Some(HOUR)
        });
        let running = app.spawn().unwrap();
        when.recv().unwrap();
        replace(&running.handle());
        let exit = running.join();
        assert!(matches!(exit, Ok(Exit::Closed(_))), "{exit:?}");
        server.join();
    });
}

#[test]
fn a_loop_over_connections_closes_the_old_one_first() {
    watchdog(LIMIT, || {
        let server = upgraded_times(2, |nth, peer| match nth {
            0 => answer_close(peer, &text("last")),
            _ => end(peer),
        });
        let app = app_at(server.url(), ()).backoff(Fixed(HOUR)).overlap(true);
        let mut connections = app.max_age(Duration::from_nanos(1)).connections();
        let handle = connections.handle();
        let mut first = connections.next().unwrap().unwrap();
        replace(&handle);
        assert_eq!(first.messages_until_end().count(), 1);
        drop(first);
        assert_eq!(connections.next().unwrap().unwrap().messages_until_end().count(), 0);
        assert!(connections.next().is_none());
        server.join();
    });
}
