//! The fate of a message that a handle sent.

#![allow(clippy::unwrap_used)] // `clippy.toml` allows it in test functions only.

use crate::support;

use std::io::Read as _;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use landline::app::{Exit, Fate, Outbox, Ticket, WhenFull};
use landline::backoff::{Fixed, Never};
use landline::{App, Callbacks, CloseCode, Handle, Message};
use support::apps::{app_at, upgraded_times};
use support::*;

/// More bytes than the buffers of both sockets take.
const BIG: usize = 16 << 20;

fn roomy() -> Outbox {
    Outbox::new().max_bytes(2 * BIG)
}

/// Returns an App that does not run, so that its outbox keeps every message.
fn idle(outbox: Outbox) -> App<Callbacks<'static>> {
    App::new("ws://localhost", Callbacks::new()).outbox(outbox)
}

fn send(handle: &Handle, message: impl Into<Message>) -> Ticket {
    handle.send_tracked(message).unwrap()
}

/// Checks that a ticket ends as sent after `since`.
#[track_caller]
fn expect_sent(ticket: &Ticket, since: Instant) {
    let fate = ticket.wait(LIMIT);
    let Fate::Sent { at, .. } = fate else { panic!("{fate:?}") };
    assert!(since <= at && at <= Instant::now());
    assert!(fate.is_final());
    assert_eq!(ticket.cancel(), None);
    assert_eq!(ticket.fate(), fate, "a final fate stays");
}

#[test]
fn a_message_that_waits_is_queued_and_then_sent() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            peer.expect(TEXT, b"one");
            peer.expect(TEXT, b"two");
            peer.send(&close(1000, ""));
            peer.expect_close(1000);
        });
        let app = app_at(server.url(), Callbacks::new()).outbox(Outbox::new());
        let handle = app.handle();
        let one = send(&handle, "one");
        assert_eq!((one.fate(), one.wait(Duration::ZERO)), (Fate::Queued, Fate::Queued));
        assert_eq!(takes(SHORT, || one.wait(SHORT)), Fate::Queued);
        assert!(!one.fate().is_final());
        let (other, start) = (one.clone(), Instant::now());
        let waiting = spawn(move || expect_sent(&other, start));
        let app = app.spawn().unwrap();
        waiting.join();
        expect_sent(&one, start);
        let start = Instant::now();
        expect_sent(&send(&handle, "two"), start);
        assert!(matches!(app.join(), Ok(Exit::Closed(_))));
        server.join();
    });
}

#[test]
fn a_message_that_is_sent_at_once_is_sent_when_the_call_returns() {
    watchdog(LIMIT, || {
        let (open, is_open) = channel();
        let server = upgraded(|peer| {
            peer.expect(TEXT, b"one");
            peer.send(&close(1000, ""));
            peer.expect_close(1000);
        });
        let callbacks = Callbacks::new().on_open(move |_, _| open.send(()));
        let app = app_at(server.url(), callbacks).spawn().unwrap();
        is_open.recv().unwrap();
        // `on_open` may not have returned yet.
        let ticket = loop {
            match app.handle().send_tracked("one") {
                Ok(ticket) => break ticket,
                Err(error) => assert_eq!(format!("{:?}", error.problem()), "NotOpen"),
            }
        };
        assert!(matches!(ticket.fate(), Fate::Sent { .. }), "{:?}", ticket.fate());
        assert!(matches!(app.join(), Ok(Exit::Closed(_))));
        server.join();
    });
}

#[test]
fn a_message_that_is_not_taken_has_no_ticket() {
    let app = idle(Outbox::new().max_messages(1));
    let first = send(&app.handle(), "first");
    let error = app.handle().send_tracked("second").unwrap_err();
    assert_eq!(format!("{:?}", error.problem()), "Full");
    assert_eq!(error.into_message(), Message::from("second"));
    assert_eq!(first.fate(), Fate::Queued);
}

#[test]
fn a_message_that_makes_room_is_dropped() {
    let app = idle(Outbox::new().max_messages(2).when_full(WhenFull::DropOldest));
    let handle = app.handle();
    let tickets = ["a", "b", "c"].map(|message| send(&handle, message));
    let fates = tickets.map(|ticket| ticket.wait(Duration::ZERO));
    assert_eq!(fates, [Fate::Dropped, Fate::Queued, Fate::Queued]);
}

#[test]
fn a_message_that_is_taken_out_is_taken() {
    let app = idle(Outbox::new());
    let handle = app.handle();
    let tickets = ["a", "b"].map(|message| send(&handle, message));
    handle.send("c").unwrap();
    assert_eq!(handle.take_unsent().len(), 3);
    assert_eq!(tickets.map(|ticket| ticket.fate()), [Fate::Taken; 2]);
}

#[test]
fn a_message_that_waits_can_be_cancelled_and_makes_room() {
    watchdog(LIMIT, || {
        let app = idle(Outbox::new().max_messages(3).when_full(WhenFull::Block));
        let handle = app.handle();
        handle.send("same").unwrap();
        let ticket = send(&handle, "same");
        handle.send("last").unwrap();
        let other = handle.clone();
        let blocked = spawn(move || send(&other, "new"));
        assert_eq!(ticket.cancel(), Some(Message::from("same")));
        assert_eq!((ticket.fate(), ticket.cancel()), (Fate::Taken, None));
        let new = blocked.join();
        assert_eq!(new.fate(), Fate::Queued);
        assert_eq!((handle.backlog().messages, handle.backlog().bytes), (3, 11));
        assert_eq!(handle.take_unsent(), ["same", "last", "new"].map(Message::from));
    });
}

#[test]
fn what_is_left_when_the_app_is_over_was_never_sent() {
    watchdog(LIMIT, || {
        let app = idle(Outbox::new());
        let handle = app.handle();
        let ticket = send(&handle, "x");
        let waiting = ticket.clone();
        let waiting = spawn(move || promptly(|| waiting.wait(LIMIT)));
        drop(app);
        assert_eq!((ticket.fate(), waiting.join()), (Fate::AppOver, Fate::AppOver));
        // The messages can still be taken out, and the fate stays.
        assert_eq!(ticket.cancel(), None);
        assert_eq!(handle.take_unsent(), [Message::from("x")]);
        assert_eq!(ticket.fate(), Fate::AppOver);
    });
}

#[test]
fn stop_leaves_what_waits_unsent() {
    watchdog(LIMIT, || {
        let (open, is_open) = channel();
        let (go_on, may_go_on) = channel::<()>();
        let server = upgraded(|peer| {
            peer.expect_close(1000);
            peer.send(&close(1000, ""));
        });
        let callbacks = Callbacks::new().on_open(move |_, _| {
            open.send(()).unwrap();
            let _ = may_go_on.recv();
        });
        let app = app_at(server.url(), callbacks).outbox(roomy()).spawn().unwrap();
        is_open.recv().unwrap();
        let ticket = send(&app.handle(), "x");
        app.handle().stop(CloseCode::NORMAL).unwrap();
        drop(go_on);
        assert_eq!(ticket.wait(LIMIT), Fate::AppOver);
        assert!(matches!(app.join(), Ok(Exit::Stopped)));
        server.join();
    });
}

#[test]
fn a_message_that_a_broken_connection_took_in_part_has_an_unknown_fate() {
    watchdog(LIMIT, || {
        for cancel in [true, false] {
            let (end, may_end) = channel::<()>();
            let (begun, has_begun) = channel();
            let server = serve(move |peer| {
                peer.upgrade();
                peer.socket().read_exact(&mut [0]).unwrap();
                begun.send(()).unwrap();
                peer.hold_open(&may_end);
                peer.rst();
            });
            let (down, is_down) = channel();
            let callbacks = Callbacks::new().on_close(move |_| down.send(()));
            let app = app_at(server.url(), callbacks).outbox(roomy());
            let app = if cancel { app.backoff(Fixed(LIMIT)) } else { app.backoff(Never) };
            let handle = app.handle();
            let (big, next) = (send(&handle, vec![1; BIG]), send(&handle, "next"));
            let app = app.spawn().unwrap();
            has_begun.recv().unwrap();
            assert_eq!((big.fate(), next.fate()), (Fate::Sending, Fate::Queued));
            assert_eq!(big.cancel(), None, "it is being sent");
            drop(end);
            is_down.recv().unwrap();
            if cancel {
                // The outbox keeps it for the next connection, as soon as the write has failed.
                let cancelled = loop {
                    if let Some(message) = big.cancel() {
                        break message;
                    }
                    std::thread::yield_now();
                };
                assert_eq!(cancelled.len(), BIG);
                assert_eq!((big.fate(), next.fate()), (Fate::Unknown, Fate::Queued));
                handle.abort();
            }
            app.join().unwrap();
            assert_eq!((big.fate(), next.wait(LIMIT)), (Fate::Unknown, Fate::AppOver));
            server.join();
        }
    });
}

#[test]
fn a_message_that_the_next_connection_takes_is_sent() {
    watchdog(LIMIT, || {
        let (begun, has_begun) = channel();
        let server = upgraded_times(2, move |nth, peer| {
            if nth == 0 {
                peer.socket().read_exact(&mut [0]).unwrap();
                begun.send(Instant::now()).unwrap();
                peer.rst();
            } else {
                assert_eq!(peer.next_frame().unwrap().payload.len(), BIG);
                peer.send(&close(1000, ""));
                peer.expect_close(1000);
            }
        });
        let app =
            app_at(server.url(), Callbacks::new()).outbox(roomy()).backoff(Fixed(Duration::ZERO));
        let ticket = send(&app.handle(), vec![1; BIG]);
        let app = app.spawn().unwrap();
        let start = has_begun.recv().unwrap();
        expect_sent(&ticket, start);
        assert!(matches!(app.join(), Ok(Exit::Closed(_))));
        server.join();
    });
}

#[test]
fn a_message_that_a_handle_sent_in_part_itself_has_an_unknown_fate_too() {
    watchdog(LIMIT, || {
        let (open, is_open) = channel();
        let server = upgraded(|peer| {
            peer.socket().read_exact(&mut [0]).unwrap();
            peer.rst();
        });
        let callbacks = Callbacks::new().on_open(move |_, _| open.send(()));
        let app = app_at(server.url(), callbacks).outbox(roomy()).backoff(Fixed(LIMIT));
        let app = app.spawn().unwrap();
        is_open.recv().unwrap();
        // If `on_open` has not returned yet, the thread of the outbox sends it.
        let ticket = send(&app.handle(), vec![1; BIG]);
        server.join();
        app.handle().abort();
        app.join().unwrap();
        assert_eq!(ticket.wait(LIMIT), Fate::Unknown);
    });
}
