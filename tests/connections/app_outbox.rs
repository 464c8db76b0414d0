//! The outbox of an App: messages that are sent while there is no connection.

#![allow(clippy::unwrap_used)] // `clippy.toml` allows it in test functions only.

use crate::support;

use std::io::Read as _;
use std::sync::mpsc::channel;
use std::time::Duration;

use landline::app::{Delivery, Exit, Outbox, WhenFull};
use landline::backoff::{Fixed, Never};
use landline::{App, Callbacks, CloseCode, Error, Handle, Message, Timeout};
use support::apps::{app_at, upgraded_times};
use support::*;

/// Returns an App that does not run, so that its outbox keeps every message.
fn app(outbox: Outbox) -> App<Callbacks<'static>> {
    App::new("ws://localhost", Callbacks::new()).outbox(outbox)
}

fn queued(handle: &Handle, message: &str) -> usize {
    match handle.send(message).unwrap() {
        Delivery::Queued { dropped, .. } => dropped,
        other => panic!("{other:?}"),
    }
}

fn rejected(handle: &Handle, message: &str) -> String {
    let error = handle.send(message).unwrap_err();
    let problem = format!("{:?}", error.problem());
    assert_eq!(error.into_message(), Message::from(message), "it is given back");
    problem
}

fn waiting(handle: &Handle) -> Vec<String> {
    let text = |message: Message| message.as_text().unwrap().to_owned();
    handle.take_unsent().into_iter().map(text).collect()
}

#[test]
fn an_app_without_an_outbox_gives_a_message_back() {
    let app = App::new("ws://localhost", Callbacks::new());
    assert_eq!(rejected(&app.handle(), "x"), "NotOpen");
    assert_eq!(waiting(&app.handle()), [""; 0]);
}

#[test]
fn too_many_messages_are_rejected() {
    let app = app(Outbox::new().max_messages(2));
    let handle = app.handle();
    assert_eq!((queued(&handle, "a"), queued(&handle, "b")), (0, 0));
    assert_eq!(rejected(&handle, "c"), "Full");
    assert_eq!(waiting(&handle), ["a", "b"]);
    assert_eq!(queued(&handle, "d"), 0);
    assert_eq!(waiting(&handle), ["d"]);
}

#[test]
fn too_many_bytes_are_rejected() {
    let app = app(Outbox::new().max_bytes(10));
    let handle = app.handle();
    queued(&handle, "12345");
    assert_eq!(rejected(&handle, "123456"), "Full");
    queued(&handle, "12345");
    queued(&handle, ""); // It takes no bytes.
    assert_eq!(rejected(&handle, "1"), "Full");
    assert_eq!(rejected(&handle, "12345678901"), "TooLarge");
    assert_eq!(waiting(&handle), ["12345", "12345", ""]);
}

#[test]
fn the_oldest_messages_are_dropped_if_the_outbox_says_so() {
    let outbox = Outbox::new().max_messages(3).max_bytes(10).when_full(WhenFull::DropOldest);
    let app = app(outbox);
    let handle = app.handle();
    for message in ["1", "22", "333"] {
        assert_eq!(queued(&handle, message), 0);
    }
    assert_eq!(queued(&handle, "4"), 1);
    assert_eq!(queued(&handle, "55555"), 1);
    assert_eq!(queued(&handle, "6666666666"), 3);
    assert_eq!(rejected(&handle, "77777777777"), "TooLarge");
    assert_eq!(waiting(&handle), ["6666666666"]);
}

#[test]
fn messages_that_wait_are_sent_in_order_after_on_open() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            peer.expect(TEXT, b"subscribe");
            for nth in 0..100 {
                peer.expect(TEXT, nth.to_string().as_bytes());
            }
            peer.send(&close(1000, ""));
            peer.expect_close(1000);
        });
        let callbacks = Callbacks::new().on_open(|ws, _| ws.send("subscribe"));
        let app = app_at(server.url(), callbacks).outbox(Outbox::new());
        let handle = app.handle();
        for nth in 0..50 {
            queued(&handle, &nth.to_string());
        }
        let running = app.spawn().unwrap();
        for nth in 50..100 {
            handle.send(nth.to_string()).unwrap();
        }
        assert!(matches!(running.join(), Ok(Exit::Closed(_))));
        server.join();
    });
}

#[test]
fn flush_waits_until_the_outbox_is_sent() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            for nth in 0..100 {
                peer.expect(TEXT, nth.to_string().as_bytes());
            }
            peer.expect_close(1000);
            peer.send(&close(1000, ""));
        });
        let app = app_at(server.url(), Callbacks::new()).outbox(Outbox::new());
        let handle = app.handle();
        assert!(handle.flush(Duration::ZERO));
        for nth in 0..100 {
            queued(&handle, &nth.to_string());
        }
        assert!(!takes(SHORT, || handle.flush(SHORT)));
        let running = app.spawn().unwrap();
        assert!(handle.flush(LIMIT));
        handle.stop(CloseCode::NORMAL).unwrap();
        assert!(matches!(running.join(), Ok(Exit::Stopped)));
        server.join();
    });
}

#[test]
fn flush_ends_with_the_app() {
    watchdog(LIMIT, || {
        let app = app(Outbox::new());
        let handle = app.handle();
        queued(&handle, "x");
        let other = handle.clone();
        let waiting = spawn(move || promptly(|| other.flush(LIMIT)));
        drop(app);
        assert!(!waiting.join());
    });
}

#[test]
fn no_other_thread_sends_before_on_open_has_returned() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            peer.expect(TEXT, b"subscribe");
            peer.expect(TEXT, b"first, from the callback");
            peer.expect(TEXT, b"from another thread");
            peer.send(&close(1000, ""));
            peer.expect_close(1000);
        });
        let (opening, when) = channel();
        let (go_on, wait) = channel::<()>();
        let slot = std::sync::Arc::new(std::sync::OnceLock::<Handle>::new());
        let own = slot.clone();
        let callbacks = Callbacks::new().on_open(move |ws, _| {
            opening.send(()).unwrap();
            wait.recv().unwrap();
            ws.send("subscribe").unwrap();
            let own = own.get().unwrap();
            assert!(own.is_open());
            assert_eq!(own.send("first, from the callback").unwrap(), Delivery::Sent);
        });
        let app = app_at(server.url(), callbacks).outbox(Outbox::new());
        slot.set(app.handle()).unwrap();
        let running = app.spawn().unwrap();
        when.recv().unwrap();
        assert!(!running.handle().is_open());
        queued(&running.handle(), "from another thread");
        go_on.send(()).unwrap();
        assert!(matches!(running.join(), Ok(Exit::Closed(_))));
        server.join();
    });
}

#[test]
fn what_on_open_sends_by_a_handle_goes_before_what_the_same_thread_sent_earlier() {
    watchdog(LIMIT, || {
        let server = upgraded_times(2, |nth, peer| match nth {
            0 => {
                peer.fin();
                peer.stall();
            }
            _ => {
                peer.expect(TEXT, b"sent in on_open");
                peer.expect(TEXT, b"kept in on_close");
                peer.send(&close(1000, ""));
                peer.expect_close(1000);
            }
        });
        let slot = std::sync::OnceLock::<Handle>::new();
        let callbacks = Callbacks::new()
            .on_open(|_, open| {
                if open.reconnected {
                    assert_eq!(open.handle.send("sent in on_open").unwrap(), Delivery::Sent);
                }
            })
            .on_close(|closed| {
                if closed.code() == CloseCode::ABNORMAL {
                    queued(slot.get().unwrap(), "kept in on_close");
                }
            });
        let app = app_at(server.url(), callbacks).outbox(Outbox::new());
        let app = app.backoff(Fixed(Duration::ZERO));
        slot.set(app.handle()).unwrap();
        assert!(matches!(app.run_forever(), Ok(Exit::Closed(_))));
        server.join();
    });
}

#[test]
fn a_full_outbox_blocks_until_there_is_room() {
    watchdog(LIMIT, || {
        let app = app(Outbox::new().max_messages(1).when_full(WhenFull::Block));
        let handle = app.handle();
        queued(&handle, "first");
        let other = handle.clone();
        let blocked = spawn(move || queued(&other, "second"));
        assert_eq!(waiting(&handle), ["first"]);
        assert_eq!(blocked.join(), 0);
        assert_eq!(waiting(&handle), ["second"]);
    });
}

#[test]
fn a_full_outbox_blocks_until_the_app_is_over() {
    watchdog(LIMIT, || {
        for abort in [true, false] {
            let app = app(Outbox::new().max_messages(1).when_full(WhenFull::Block));
            let handle = app.handle();
            queued(&handle, "first");
            let other = handle.clone();
            let blocked = spawn(move || rejected(&other, "second"));
            if abort {
                handle.abort();
                assert_eq!(blocked.join(), "Stopped");
            } else {
                drop(app);
                assert_eq!(blocked.join(), "Stopped");
            }
            assert_eq!(waiting(&handle), ["first"]);
        }
    });
}

#[test]
fn a_second_outbox_changes_the_limits_and_drops_no_message() {
    let app = app(Outbox::new());
    let handle = app.handle();
    assert_eq!((queued(&handle, "a"), queued(&handle, "b"), queued(&handle, "c")), (0, 0, 0));
    let app = app.outbox(Outbox::new().max_messages(2));
    assert_eq!(rejected(&handle, "d"), "Full");
    let app = app.outbox(Outbox::new().max_bytes(3).when_full(WhenFull::DropOldest));
    assert_eq!(queued(&handle, "ee"), 2);
    assert_eq!(waiting(&handle), ["c", "ee"]);
    drop(app);
}

#[test]
fn a_larger_outbox_wakes_a_caller_that_waits_for_room() {
    watchdog(LIMIT, || {
        let app = app(Outbox::new().max_messages(1).when_full(WhenFull::Block));
        let handle = app.handle();
        queued(&handle, "a");
        let other = handle.clone();
        let sending = spawn(move || queued(&other, "b"));
        let app = app.outbox(Outbox::new());
        assert_eq!(sending.join(), 0);
        assert_eq!(waiting(&handle), ["a", "b"]);
        drop(app);
    });
}

#[test]
fn a_full_outbox_does_not_block_the_apps_own_thread() {
    watchdog(LIMIT, || {
        let addr = closed();
        let slot = std::sync::Arc::new(std::sync::OnceLock::<Handle>::new());
        let own = slot.clone();
        let callbacks = Callbacks::new().on_error(move |_| {
            let own = own.get().unwrap();
            queued(own, "first");
            assert_eq!(rejected(own, "second"), "Full");
            own.abort();
        });
        let outbox = Outbox::new().max_messages(1).when_full(WhenFull::Block);
        let app = app_at(format!("ws://{addr}"), callbacks).outbox(outbox);
        slot.set(app.handle()).unwrap();
        assert!(matches!(app.run_forever(), Ok(Exit::Stopped)));
        assert_eq!(waiting(slot.get().unwrap()), ["first"]);
    });
}

#[test]
fn a_full_outbox_does_not_block_connect_with() {
    watchdog(LIMIT, || {
        let outbox = Outbox::new().max_messages(1).when_full(WhenFull::Block);
        let app = app(outbox).backoff(Never);
        let handle = app.handle();
        let app = app.connect_with(move |_| {
            queued(&handle, "fits");
            assert_eq!(rejected(&handle, "does not"), "Full");
            Err(Error::Timeout(Timeout::Connect))
        });
        let handle = app.handle();
        let exit = app.run_forever().unwrap();
        assert!(matches!(exit, Exit::GaveUp { attempts: 1, .. }), "{exit}");
        assert_eq!(waiting(&handle), ["fits"]);
    });
}

#[test]
fn a_message_that_cannot_fit_beside_the_one_being_sent_drops_nothing() {
    /// More bytes than the buffers of both sockets take.
    const BIG: usize = 16 << 20;
    watchdog(LIMIT, || {
        let (sending, is_sending) = channel();
        let (done, is_done) = channel();
        let server = serve(move |peer| {
            peer.upgrade();
            peer.socket().read_exact(&mut [0]).unwrap();
            sending.send(()).unwrap();
            is_done.recv().unwrap();
        });
        let outbox = Outbox::new().max_bytes(BIG + 1000).when_full(WhenFull::DropOldest);
        let app = app_at(server.url(), Callbacks::new()).outbox(outbox);
        let handle = app.handle();
        handle.send(vec![0; BIG]).unwrap();
        let app = app.spawn().unwrap();
        is_sending.recv().unwrap();

        assert_eq!(queued(&handle, "old"), 0);
        assert_eq!(rejected(&handle, &"x".repeat(1001)), "Full");
        // This message fits if the old one is dropped.
        assert_eq!(queued(&handle, &"x".repeat(1000)), 1);
        assert_eq!(waiting(&handle), ["x".repeat(1000)]);

        handle.abort();
        app.join().unwrap();
        done.send(()).unwrap();
        server.join();
    });
}
