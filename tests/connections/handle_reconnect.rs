//! `Handle::reconnect`, in every state of an App, together with a stop, and from every thread.

#![allow(clippy::unwrap_used)] // `clippy.toml` allows it in test functions only.

use crate::support;

use std::net::Shutdown;
use std::sync::mpsc::channel;
use std::sync::{Once, OnceLock};
use std::time::Duration;

use landline::app::{Delivery, Exit, Outbox};
use landline::backoff::{Failure, Fixed, Never};
use landline::error::InvalidInput;
use landline::{App, Callbacks, CloseCode, Error, Handle, Handler};
use support::apps::{Recorder, app_at, serve_times, upgraded_times};
use support::*;

const HOUR: Duration = Duration::from_secs(3600);

/// Answers the client's Close, and returns its payload.
fn answer_close(peer: &mut Peer) -> Vec<u8> {
    let close = peer.next_frame().unwrap();
    assert_eq!(close.opcode, CLOSE);
    peer.send(&frame(CLOSE, true, &close.payload));
    peer.fin();
    close.payload
}

/// Returns an App that fails the test if its backoff is asked about a failure.
fn unfailing<H: Handler>(url: String, handler: H) -> App<H> {
    app_at(url, handler)
        .backoff(|failure: &Failure<'_>| -> Option<Duration> { panic!("{failure}") })
        .retry_if(|failure| panic!("{failure}"))
}

fn stopped(exit: Result<Exit, Error>) {
    assert!(matches!(exit, Ok(Exit::Stopped)), "{exit:?}");
}

#[test]
fn an_open_connection_is_closed_and_made_again_without_a_failure() {
    watchdog(LIMIT, || {
        let server = upgraded_times(3, |nth, peer| {
            peer.send(&text("ready"));
            let expected: &[u8] = if nth == 2 { b"\x03\xe8" } else { b"\x03\xe8token" };
            assert_eq!(answer_close(peer), expected);
        });
        let (ready, when) = channel();
        let mut recorder = Recorder::default().when("text", move |_| Ok(ready.send(())?));
        let app = unfailing(server.url(), &mut recorder).stable_after(Duration::ZERO);
        let handle = app.handle();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for _ in 0..2 {
                    when.recv().unwrap();
                    handle.reconnect((CloseCode::NORMAL, "token")).unwrap();
                }
                when.recv().unwrap();
                handle.stop(CloseCode::NORMAL).unwrap();
            });
            stopped(app.run_forever());
        });
        let ended = "close 1000 \"token\" by us, clean";
        assert_eq!(
            recorder.log,
            [
                "open 101, attempt 1",
                "text ready",
                ended,
                "open 101, attempt 1 again",
                "text ready",
                ended,
                "open 101, attempt 1 again",
                "text ready",
                "close 1000 \"\" by us, clean"
            ]
        );
        server.join();
    });
}

/// Runs an App whose handler reacts to the calls that start with `begins`, and returns the recorded
/// calls. The App ends at the first failure.
fn reacting(
    server: &Server<()>,
    begins: &'static str,
    react: impl Fn(&Handle) + Sync,
) -> (Result<Exit, Error>, Vec<String>) {
    let slot = OnceLock::<Handle>::new();
    let mut recorder = Recorder::default().when(begins, |_| {
        react(slot.get().unwrap());
        Ok(())
    });
    let app = app_at(server.url(), &mut recorder).backoff(Never);
    slot.set(app.handle()).unwrap();
    let exit = app.run_forever();
    (exit, recorder.log)
}

/// Starts a server that closes its second connection, which ends the App.
fn closing_the_second(mut first: impl FnMut(&mut Peer) + Send + 'static) -> Server<()> {
    upgraded_times(2, move |nth, peer| match nth {
        0 => first(peer),
        _ => {
            peer.send(&close(1000, "enough"));
            peer.fin();
            peer.stall();
        }
    })
}

const ENOUGH: &str = "close 1000 \"enough\" by the peer, clean";

fn once(call: impl Fn(&Handle)) -> impl Fn(&Handle) {
    let called = Once::new();
    move |handle| called.call_once(|| call(handle))
}

fn reconnect(handle: &Handle) {
    handle.reconnect(CloseCode::NORMAL).unwrap();
}

#[test]
fn in_a_callback_nothing_more_of_that_connection_is_handed_out() {
    watchdog(LIMIT, || {
        for within in ["open", "text one"] {
            let server = closing_the_second(|peer| {
                peer.send(&[text("one"), text("not handed out")].concat());
                answer_close(peer);
            });
            let (exit, log) = reacting(&server, within, once(reconnect));
            assert!(matches!(exit, Ok(Exit::Closed(_))), "{exit:?}");
            let log: Vec<_> = log.iter().filter(|line| *line != "text one").collect();
            let ended = "close 1000 \"\" by us, clean";
            assert_eq!(log, ["open 101, attempt 1", ended, "open 101, attempt 2 again", ENOUGH]);
            server.join();
        }
    });
}

#[test]
fn in_on_close_it_makes_another_connection_after_an_end_that_would_be_final() {
    watchdog(LIMIT, || {
        let server = closing_the_second(|peer| {
            peer.send(&close(1000, "first"));
            peer.fin();
            peer.stall();
        });
        let (exit, log) = reacting(&server, "close", once(reconnect));
        assert!(matches!(exit, Ok(Exit::Closed(_))), "{exit:?}");
        let first = "close 1000 \"first\" by the peer, clean";
        assert_eq!(log, ["open 101, attempt 1", first, "open 101, attempt 2 again", ENOUGH]);
        server.join();
    });
}

#[test]
fn a_handler_that_fails_at_the_end_ends_the_app_all_the_same() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            answer_close(peer);
        });
        let callbacks = Callbacks::new()
            .on_open(|_, open| reconnect(open.handle))
            .on_close(|_| Err::<(), _>("no more"));
        let error = app_at(server.url(), callbacks).run_forever().unwrap_err();
        assert!(matches!(error, Error::Handler(_)), "{error:?}");
        server.join();
    });
}

#[test]
fn a_wait_between_two_attempts_ends() {
    watchdog(LIMIT, || {
        let (ready, when) = channel();
        let server = upgraded_times(2, |nth, peer| match nth {
            0 => peer.rst(),
            _ => {
                peer.send(&close(1000, ""));
                peer.fin();
                peer.stall();
            }
        });
        let app = app_at(server.url(), Callbacks::new()).backoff(move |_: &Failure<'_>| {
            ready.send(()).unwrap();
            Some(HOUR)
        });
        let running = app.spawn().unwrap();
        when.recv().unwrap();
        reconnect(&running.handle());
        let exit = running.join();
        assert!(matches!(exit, Ok(Exit::Closed(_))), "{exit:?}");
        assert!(when.try_recv().is_err(), "it waited again");
        server.join();
    });
}

#[test]
fn an_attempt_that_is_under_way_goes_on_and_its_connection_stays() {
    watchdog(LIMIT, || {
        let (ready, when) = channel();
        let (go_on, until) = channel();
        let server = serve_times(1, move |_, peer| {
            peer.read_request();
            ready.send(()).unwrap();
            until.recv().unwrap();
            let answer = peer.good_answer("");
            peer.send(&answer);
            peer.send(&text("stays"));
            peer.send(&close(1012, ""));
            peer.fin();
            peer.stall();
        });
        let mut recorder = Recorder::default();
        let app = app_at(server.url(), &mut recorder).backoff(Never);
        let handle = app.handle();
        let exit = std::thread::scope(|scope| {
            scope.spawn(move || {
                when.recv().unwrap();
                reconnect(&handle);
                go_on.send(()).unwrap();
            });
            app.run_forever()
        });
        // The request to reconnect is over. So this end is a failure like any other.
        assert!(matches!(exit, Ok(Exit::GaveUp { attempts: 1, .. })), "{exit:?}");
        let end = "close 1012 \"\" by the peer, clean";
        assert_eq!(recorder.log, ["open 101, attempt 1", "text stays", end]);
        server.join();
    });
}

#[test]
fn after_an_attempt_that_fails_meanwhile_the_next_one_follows_without_a_wait() {
    watchdog(LIMIT, || {
        let (ready, when) = channel();
        let (go_on, until) = channel();
        let server = serve_times(2, move |nth, peer| {
            peer.read_request();
            if nth == 0 {
                ready.send(()).unwrap();
                until.recv().unwrap();
                return peer.send(b"HTTP/1.1 503 Busy\r\nRetry-After: 3600\r\n\r\n");
            }
            let answer = peer.good_answer("");
            peer.send(&answer);
            peer.send(&close(1000, ""));
            peer.fin();
            peer.stall();
        });
        let app = app_at(server.url(), Callbacks::new()).backoff(Fixed(HOUR)).spawn().unwrap();
        when.recv().unwrap();
        reconnect(&app.handle());
        go_on.send(()).unwrap();
        let exit = app.join();
        assert!(matches!(exit, Ok(Exit::Closed(_))), "{exit:?}");
        server.join();
    });
}

#[test]
fn a_stop_wins_whether_it_comes_before_or_after() {
    watchdog(LIMIT, || {
        let orders: [fn(&Handle); 3] = [
            |handle| {
                reconnect(handle);
                handle.stop(1001).unwrap();
            },
            |handle| {
                handle.stop(1000).unwrap();
                reconnect(handle);
            },
            |handle| {
                reconnect(handle);
                handle.abort();
            },
        ];
        for both in orders {
            let server = upgraded(|peer| {
                peer.send(&text("now"));
                // After an abort the client may be gone.
                if let Some(close) = peer.next_frame() {
                    let _ = peer.try_send(&frame(CLOSE, true, &close.payload));
                    let _ = peer.socket().shutdown(Shutdown::Write);
                }
                peer.stall();
            });
            let (exit, log) = reacting(&server, "text", both);
            stopped(exit);
            assert_eq!(log.len(), 3, "{log:?}");
            assert!(log[2].starts_with("close"), "{log:?}");
            server.join();
        }
    });
}

#[test]
fn a_server_that_does_not_answer_the_close_is_left_after_the_close_timeout() {
    watchdog(LIMIT, || {
        let server = closing_the_second(|peer| {
            peer.expect_close(1000);
            peer.stall();
        });
        let (mut ends, asked) = (Vec::new(), Once::new());
        let callbacks = Callbacks::new()
            .on_open(|_, open| asked.call_once(|| reconnect(open.handle)))
            .on_close(|closed| ends.push((closed.code(), closed.is_clean())));
        let exit = app_at(server.url(), callbacks)
            .with_builder(builder().close_timeout(Duration::from_millis(50)))
            .backoff(Never)
            .run_forever();
        assert!(matches!(exit, Ok(Exit::Closed(_))), "{exit:?}");
        assert_eq!(ends, [(CloseCode::ABNORMAL, false), (CloseCode::NORMAL, true)]);
        server.join();
    });
}

#[test]
fn what_is_sent_meanwhile_waits_in_the_outbox_for_the_next_connection() {
    watchdog(LIMIT, || {
        let server = upgraded_times(2, |nth, peer| {
            if nth == 0 {
                answer_close(peer);
            } else {
                peer.expect(TEXT, b"meanwhile");
                peer.send(&close(1000, "enough"));
                peer.fin();
                peer.stall();
            }
        });
        let asked = Once::new();
        let callbacks = Callbacks::new().on_open(|_, open| {
            asked.call_once(|| {
                reconnect(open.handle);
                assert!(!open.handle.is_open());
                let queued = open.handle.send("meanwhile").unwrap();
                assert!(matches!(queued, Delivery::Queued { dropped: 0, .. }), "{queued:?}");
            });
        });
        let exit = app_at(server.url(), callbacks).outbox(Outbox::new()).run_forever();
        assert!(matches!(exit, Ok(Exit::Closed(_))), "{exit:?}");
        server.join();
    });
}

#[test]
fn a_code_that_must_not_be_sent_is_refused_and_nothing_happens() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            peer.send(&text("now"));
            peer.send(&close(1000, "enough"));
            peer.fin();
            peer.stall();
        });
        let (exit, log) = reacting(&server, "text", |handle| {
            let refused = error(handle.reconnect(CloseCode::NO_STATUS));
            assert!(matches!(refused, Error::InvalidInput(InvalidInput::Close)), "{refused:?}");
            assert!(handle.is_open());
        });
        assert!(matches!(exit, Ok(Exit::Closed(_))), "{exit:?}");
        assert_eq!(log, ["open 101, attempt 1", "text now", ENOUGH]);
        server.join();
    });
}

#[test]
fn before_an_app_runs_and_after_it_is_over_nothing_happens() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            peer.send(&close(1012, ""));
            peer.fin();
            peer.stall();
        });
        let app = app_at(server.url(), Callbacks::new()).backoff(Never);
        let handle = app.handle();
        reconnect(&handle);
        let exit = app.run_forever();
        assert!(matches!(exit, Ok(Exit::GaveUp { attempts: 1, .. })), "{exit:?}");
        reconnect(&handle);
        server.join();
    });
}
