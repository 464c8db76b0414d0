//! An outbox that always queues: `Handle::send` never waits for the network.

#![allow(clippy::unwrap_used)] // `clippy.toml` allows it in test functions only.

use crate::support;

use std::sync::mpsc::channel;
use std::time::Duration;

use landline::app::{Delivery, Exit, Outbox, WhenFull};
use landline::backoff::Fixed;
use landline::{App, Callbacks, CloseCode, Handle};
use support::apps::{app_at, upgraded_times};
use support::*;

/// More bytes than the buffers of both sockets take.
const BIG: usize = 16 << 20;

fn always() -> Outbox {
    Outbox::new().always_queue(true).max_bytes(4 * BIG)
}

#[track_caller]
fn queue(handle: &Handle, message: impl Into<landline::Message>) {
    let delivery = promptly(|| handle.send(message)).unwrap();
    assert!(matches!(delivery, Delivery::Queued { dropped: 0, .. }), "{delivery:?}");
}

#[test]
fn send_does_not_wait_for_a_peer_that_does_not_read() {
    watchdog(LIMIT, || {
        let (open, is_open) = channel();
        let (queued, all_queued) = channel::<()>();
        let server = upgraded(move |peer| {
            peer.hold_open(&all_queued);
            for nth in 0..4 {
                let frame = peer.next_frame().unwrap();
                assert_eq!((frame.payload.len(), frame.payload[0]), (BIG, nth));
            }
            peer.send(&close(1000, ""));
            peer.expect_close(1000);
        });
        let callbacks = Callbacks::new().on_open(move |_, _| open.send(()));
        let app = app_at(server.url(), callbacks).outbox(always()).spawn().unwrap();
        is_open.recv().unwrap();
        for nth in 0..4 {
            queue(&app.handle(), vec![nth; BIG]);
        }
        let error = promptly(|| app.handle().send("x")).unwrap_err();
        assert_eq!(format!("{:?}", error.problem()), "Full");
        drop(queued);
        assert!(matches!(app.join(), Ok(Exit::Closed(_))));
        server.join();
    });
}

#[test]
fn messages_are_sent_in_order_over_all_connections() {
    const EACH: usize = 50;
    const TIMES: usize = 5;
    watchdog(LIMIT, || {
        let (down, is_down) = channel();
        let server = upgraded_times(TIMES, move |nth, peer| {
            for message in nth * EACH..(nth + 1) * EACH {
                peer.expect(TEXT, message.to_string().as_bytes());
            }
            // The client answers the Close, so nothing is lost on the way.
            let code = if nth + 1 < TIMES { 1012 } else { 1000 };
            peer.send(&close(code, ""));
            peer.expect_close(code);
        });
        let app = app_at(server.url(), Callbacks::new().on_close(move |_| down.send(())))
            .outbox(always())
            .backoff(Fixed(Duration::ZERO))
            .spawn()
            .unwrap();
        for round in 0..TIMES {
            for message in round * EACH..(round + 1) * EACH {
                queue(&app.handle(), message.to_string());
            }
            is_down.recv().unwrap();
        }
        assert!(matches!(app.join(), Ok(Exit::Closed(_))));
        server.join();
    });
}

#[test]
fn what_a_callback_queues_waits_and_what_it_sends_itself_does_not() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            for message in ["subscribe", "kept", "queued in on_open"] {
                peer.expect(TEXT, message.as_bytes());
            }
            peer.send(&text("go on"));
            for message in ["sent in on_message", "queued in on_message"] {
                peer.expect(TEXT, message.as_bytes());
            }
            peer.send(&close(1000, ""));
            peer.expect_close(1000);
        });
        let own = std::sync::Arc::new(std::sync::OnceLock::<Handle>::new());
        let handle = own.clone();
        let callbacks = Callbacks::new()
            .on_open(|ws, open| {
                queue(open.handle, "queued in on_open");
                ws.send("subscribe")
            })
            .on_message(move |ws, _| {
                // Nothing else waits, so the outbox sends it at once, or a little later.
                ws.send("sent in on_message")?;
                queue(handle.get().unwrap(), "queued in on_message");
                Ok::<_, landline::Error>(())
            });
        let app = app_at(server.url(), callbacks).outbox(always());
        own.set(app.handle()).unwrap();
        queue(&app.handle(), "kept");
        assert!(matches!(app.run_forever(), Ok(Exit::Closed(_))));
        server.join();
    });
}

#[test]
fn a_full_outbox_blocks_until_its_thread_has_made_room() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            for message in 0..100 {
                peer.expect(TEXT, message.to_string().as_bytes());
            }
            peer.send(&close(1000, ""));
            peer.expect_close(1000);
        });
        let outbox = always().max_messages(1).when_full(WhenFull::Block);
        let app = app_at(server.url(), Callbacks::new()).outbox(outbox).spawn().unwrap();
        for message in 0..100 {
            let delivery = app.handle().send(message.to_string()).unwrap();
            assert!(matches!(delivery, Delivery::Queued { dropped: 0, .. }), "{delivery:?}");
        }
        assert!(matches!(app.join(), Ok(Exit::Closed(_))));
        server.join();
    });
}

#[test]
fn stop_and_abort_end_the_app_while_a_message_is_being_sent_and_keep_it() {
    watchdog(LIMIT, || {
        for abort in [true, false] {
            let (done, is_done) = channel::<()>();
            let (begun, has_begun) = channel();
            let server = serve(move |peer| {
                peer.upgrade();
                std::io::Read::read_exact(&mut peer.socket(), &mut [0]).unwrap();
                begun.send(()).unwrap();
                peer.hold_open(&is_done);
            });
            let app = app_at(server.url(), Callbacks::new())
                .with_builder(builder().close_timeout(SHORT))
                .outbox(always())
                .spawn()
                .unwrap();
            let handle = app.handle();
            queue(&handle, vec![1; BIG]);
            queue(&handle, vec![2; 10]);
            has_begun.recv().unwrap();
            if abort {
                handle.abort();
            } else {
                handle.stop(CloseCode::NORMAL).unwrap();
            }
            assert!(matches!(promptly(|| app.join()), Ok(Exit::Stopped)));
            let unsent = handle.take_unsent();
            assert_eq!(unsent.iter().map(|message| message.len()).collect::<Vec<_>>(), [BIG, 10]);
            let error = handle.send("late").unwrap_err();
            assert_eq!(format!("{:?}", error.problem()), "Stopped");
            drop(done);
            server.join();
        }
    });
}

#[test]
fn the_backlog_has_what_waits_and_the_message_that_is_being_sent() {
    watchdog(LIMIT, || {
        let (begun, has_begun) = channel();
        let (go_on, may_go_on) = channel::<()>();
        let server = serve(move |peer| {
            peer.upgrade();
            std::io::Read::read_exact(&mut peer.socket(), &mut [0]).unwrap();
            begun.send(()).unwrap();
            peer.hold_open(&may_go_on);
            std::io::copy(&mut peer.socket(), &mut std::io::sink()).unwrap();
        });
        let app = app_at(server.url(), Callbacks::new()).outbox(always()).spawn().unwrap();
        let handle = app.handle();
        let backlog = || (handle.backlog().messages, handle.backlog().bytes);
        assert_eq!(backlog(), (0, 0));
        queue(&handle, vec![0; BIG]);
        has_begun.recv().unwrap();
        assert_eq!(backlog(), (1, BIG));
        queue(&handle, "12345");
        queue(&handle, "");
        assert_eq!(backlog(), (3, BIG + 5));
        assert_eq!(handle.take_unsent().len(), 2);
        assert_eq!(backlog(), (1, BIG));
        queue(&handle, "123");
        drop(go_on);
        assert!(handle.flush(LIMIT));
        assert_eq!(backlog(), (0, 0));
        handle.abort();
        assert!(matches!(app.join(), Ok(Exit::Stopped)));
        server.join();
        let without = App::new("ws://localhost", Callbacks::new());
        assert_eq!(without.handle().backlog(), landline::app::Backlog::default());
    });
}

#[test]
fn without_a_connection_everything_waits() {
    let app = App::new("ws://localhost", Callbacks::new()).outbox(always().max_messages(2));
    let handle = app.handle();
    queue(&handle, "a");
    queue(&handle, "b");
    assert_eq!(format!("{:?}", handle.send("c").unwrap_err().problem()), "Full");
    assert!(!handle.flush(Duration::ZERO));
    drop(app);
    assert_eq!(handle.take_unsent().len(), 2);
}
