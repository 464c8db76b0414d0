//! The pace of an outbox, over real connections. What one window allows is tested in virtual time,
//! in `src/app/pace.rs`.
//!
//! A message cannot arrive before it was sent. So these tests check when messages arrive at the
//! earliest, which holds on a busy machine too.

#![allow(clippy::unwrap_used)] // `clippy.toml` allows it in test functions only.

use crate::support;

use std::io::{Read as _, Write as _};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use landline::app::{Attempt, Delivery, Exit, Fate, Outbox};
use landline::backoff::Fixed;
use landline::{Callbacks, CloseCode, Error, Handle, Keepalive, WebSocket};
use support::apps::{app_at, upgraded_times};
use support::*;

const WINDOW: Duration = Duration::from_millis(300);
/// The system's timers may be a little early.
const EARLY: Duration = Duration::from_millis(15);

fn paced(messages: usize) -> Outbox {
    Outbox::new().pace(messages, WINDOW)
}

#[track_caller]
fn queue(handle: &Handle, message: impl Into<landline::Message>) {
    let delivery = promptly(|| handle.send(message)).unwrap();
    assert!(matches!(delivery, Delivery::Queued { dropped: 0, .. }), "{delivery:?}");
}

/// Expects a text message, not before `earliest`.
#[track_caller]
fn expect_after(peer: &mut Peer, message: &str, earliest: Instant) {
    peer.expect(TEXT, message.as_bytes());
    let now = Instant::now();
    assert!(now + EARLY >= earliest, "{message:?} came {:?} too early", earliest - now);
}

/// Connects, and sends one message before the App has the connection.
fn log_in(attempt: Attempt<'_>) -> Result<WebSocket, Error> {
    let mut ws = attempt.builder.connect(attempt.url)?;
    ws.send("login")?;
    ws.recv()?;
    Ok(ws)
}

fn end(peer: &mut Peer) {
    peer.send(&close(1000, ""));
    peer.expect_close(1000);
}

#[test]
fn a_burst_is_spread_and_the_window_goes_on_after_a_reconnect() {
    const EACH: u32 = 3;
    const ALL: u32 = 10;
    watchdog(LIMIT, || {
        let start = Instant::now();
        // The connections end after two, three and five messages.
        let server = upgraded_times(3, move |nth, peer| {
            let (from, to) = [(0, 2), (2, 5), (5, ALL)][nth];
            for number in from..to {
                let earliest = start + WINDOW * (number / EACH);
                expect_after(peer, &number.to_string(), earliest);
            }
            // The client answers the Close, so nothing is lost on the way.
            let code = if to < ALL { 1012 } else { 1000 };
            peer.send(&close(code, ""));
            peer.expect_close(code);
        });
        let (down, is_down) = channel();
        let app = app_at(server.url(), Callbacks::new().on_close(move |_| down.send(())))
            .outbox(paced(EACH as usize))
            .backoff(Fixed(Duration::ZERO));
        let handle = app.handle();
        let app = app.spawn().unwrap();
        for (from, to) in [(0, 2), (2, 5), (5, ALL)] {
            (from..to).for_each(|number| queue(&handle, number.to_string()));
            is_down.recv().unwrap();
        }
        assert!(matches!(app.join(), Ok(Exit::Closed(_))));
        server.join();
    });
}

#[test]
fn answers_to_pings_count() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            let start = Instant::now();
            for _ in 0..2 {
                peer.send(&frame(PING, true, b"?"));
                peer.expect(PONG, b"?");
            }
            peer.send(&text("now"));
            expect_after(peer, "x", start + WINDOW);
            end(peer);
        });
        let (asked, is_asked) = channel();
        let callbacks = Callbacks::new().on_message(move |_, _| asked.send(()));
        let app = app_at(server.url(), callbacks).outbox(paced(2)).spawn().unwrap();
        is_asked.recv().unwrap();
        queue(&app.handle(), "x");
        assert!(matches!(app.join(), Ok(Exit::Closed(_))));
        server.join();
    });
}

#[test]
fn pings_of_keepalive_count() {
    const INTERVAL: Duration = Duration::from_millis(800);
    watchdog(LIMIT, || {
        let start = Instant::now();
        let server = upgraded(move |peer| {
            let ping = peer.next_frame().unwrap();
            assert_eq!(ping.opcode, PING);
            peer.send(&frame(PONG, true, &ping.payload));
            peer.send(&text("now"));
            let mut next = peer.next_frame().unwrap();
            while next.opcode == PING {
                next = peer.next_frame().unwrap(); // It was due meanwhile.
            }
            assert_eq!(next.payload, b"x");
            assert!(Instant::now() + EARLY >= start + INTERVAL + WINDOW);
            end(peer);
        });
        let (asked, is_asked) = channel();
        let callbacks = Callbacks::new().on_message(move |_, _| asked.send(()));
        let keepalive = Keepalive::new(INTERVAL, None);
        let app = app_at(server.url(), callbacks)
            .with_builder(builder().keepalive(keepalive))
            .outbox(paced(1))
            .spawn()
            .unwrap();
        is_asked.recv().unwrap();
        queue(&app.handle(), "x");
        assert!(matches!(app.join(), Ok(Exit::Closed(_))));
        server.join();
    });
}

#[test]
fn what_a_handler_sends_counts_and_does_not_wait() {
    watchdog(LIMIT, || {
        let (go_on, may_go_on) = channel();
        let server = upgraded(move |peer| {
            for _ in 0..2 {
                (0..2).for_each(|_| peer.expect(TEXT, b"subscribe"));
            }
            peer.expect(PING, b"");
            let start = may_go_on.recv().unwrap();
            expect_after(peer, "queued", start + WINDOW);
            end(peer);
        });
        let callbacks = Callbacks::new().on_open(move |ws, _| {
            go_on.send(Instant::now()).unwrap();
            promptly(|| {
                ws.send("subscribe")?;
                ws.send("subscribe")?;
                ws.send_all(["subscribe", "subscribe"])?;
                ws.ping(b"")
            })
        });
        let app = app_at(server.url(), callbacks).outbox(paced(3));
        queue(&app.handle(), "queued");
        assert!(matches!(app.run_forever(), Ok(Exit::Closed(_))));
        server.join();
    });
}

#[test]
fn a_login_in_connect_with_counts_before_and_after_a_reconnect() {
    watchdog(LIMIT, || {
        let mut first = None;
        let server = upgraded_times(2, move |nth, peer| {
            peer.expect(TEXT, b"login");
            let now = Instant::now();
            peer.send(&text("welcome"));
            if nth == 0 {
                first = Some(now);
                // The client answers no Close, so the login is all that it sends.
                peer.fin();
                return peer.expect_end();
            }
            // Both logins fill the window.
            expect_after(peer, "1", first.unwrap() + WINDOW);
            expect_after(peer, "2", now + WINDOW);
            end(peer);
        });
        let callbacks = Callbacks::new().on_open(|_, open| {
            if open.reconnected {
                ["1", "2"].into_iter().for_each(|message| queue(open.handle, message));
            }
        });
        let app = app_at(server.url(), callbacks)
            .outbox(paced(2))
            .backoff(Fixed(Duration::ZERO))
            .connect_with(log_in);
        assert!(matches!(app.run_forever(), Ok(Exit::Closed(_))));
        server.join();
    });
}

#[test]
fn a_login_in_connect_with_counts_once() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            peer.expect(TEXT, b"login");
            peer.send(&text("welcome"));
            peer.expect(TEXT, b"1");
            peer.expect(TEXT, b"2");
            peer.expect_close(1000);
            peer.send(&close(1000, ""));
        });
        let outbox = Outbox::new().pace(3, LIMIT * 10);
        let app = app_at(server.url(), Callbacks::new()).outbox(outbox).connect_with(log_in);
        let app = app.spawn().unwrap();
        let handle = app.handle();
        let [first, second, third] =
            ["1", "2", "3"].map(|message| handle.send_tracked(message).unwrap());
        assert!(matches!(first.wait(LIMIT), Fate::Sent { .. }));
        assert!(matches!(second.wait(LIMIT), Fate::Sent { .. }));
        assert_eq!(third.wait(SHORT), Fate::Queued);
        handle.stop(CloseCode::NORMAL).unwrap();
        assert!(matches!(app.join(), Ok(Exit::Stopped)));
        server.join();
    });
}

#[test]
fn a_message_counts_once_in_however_many_fragments_it_goes() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            for payload in [&b"one "[..], b"two "] {
                peer.expect_fragment(payload);
            }
            peer.expect(0, b"three");
            assert_eq!(peer.next_frame().unwrap().payload.len(), 100_000);
            peer.expect(TEXT, b"fits");
            peer.expect_close(1000);
            peer.send(&close(1000, ""));
        });
        let callbacks = Callbacks::new().on_open(|ws, _| {
            let mut writer = ws.writer(landline::MessageKind::Text)?;
            for part in ["one ", "two "] {
                writer.write_all(part.as_bytes())?;
                writer.flush()?;
            }
            writer.write_all(b"three")?;
            writer.finish()?;
            ws.send_reader(landline::MessageKind::Binary, 100_000, &mut std::io::repeat(1))
        });
        let outbox = Outbox::new().pace(3, LIMIT * 10);
        let app = app_at(server.url(), callbacks).outbox(outbox).spawn().unwrap();
        let handle = app.handle();
        let fits = handle.send_tracked("fits").unwrap();
        let waits = handle.send_tracked("waits").unwrap();
        assert!(matches!(fits.wait(LIMIT), Fate::Sent { .. }));
        assert_eq!(waits.wait(SHORT), Fate::Queued);
        handle.stop(CloseCode::NORMAL).unwrap();
        assert!(matches!(app.join(), Ok(Exit::Stopped)));
        server.join();
    });
}

#[test]
fn a_message_that_a_connection_did_not_take_whole_does_not_count() {
    /// More bytes than the buffers of both sockets take.
    const BIG: usize = 16 << 20;
    watchdog(LIMIT, || {
        let server = upgraded_times(2, |nth, peer| {
            if nth == 0 {
                peer.socket().read_exact(&mut [0]).unwrap();
                peer.rst();
            } else {
                assert_eq!(peer.next_frame().unwrap().payload.len(), BIG);
                end(peer);
            }
        });
        let outbox = Outbox::new().max_bytes(BIG).pace(1, LIMIT * 10);
        let app = app_at(server.url(), Callbacks::new())
            .outbox(outbox)
            .backoff(Fixed(Duration::ZERO))
            .spawn()
            .unwrap();
        queue(&app.handle(), vec![1; BIG]);
        assert!(matches!(app.join(), Ok(Exit::Closed(_))));
        server.join();
    });
}

#[test]
fn a_pace_of_zero_messages_sends_nothing_and_the_app_can_be_stopped() {
    watchdog(LIMIT, || {
        let (subscribed, is_subscribed) = channel();
        let server = upgraded(move |peer| {
            peer.expect(TEXT, b"subscribe");
            subscribed.send(()).unwrap();
            peer.expect_close(1000);
            peer.send(&close(1000, ""));
        });
        let callbacks = Callbacks::new().on_open(|ws, _| ws.send("subscribe"));
        let app = app_at(server.url(), callbacks).outbox(paced(0)).spawn().unwrap();
        let handle = app.handle();
        let ticket = handle.send_tracked("never").unwrap();
        is_subscribed.recv().unwrap(); // A stop before this would end the attempt.
        assert!(!handle.flush(SHORT));
        assert_eq!((ticket.fate(), handle.backlog().messages), (Fate::Queued, 1));
        handle.stop(CloseCode::NORMAL).unwrap();
        assert!(matches!(promptly(|| app.join()), Ok(Exit::Stopped)));
        assert_eq!((ticket.fate(), handle.take_unsent().len()), (Fate::AppOver, 1));
        server.join();
    });
}

#[test]
fn a_window_of_no_time_limits_nothing_and_everything_is_queued() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            for number in 0..100 {
                peer.expect(TEXT, number.to_string().as_bytes());
            }
            end(peer);
        });
        let outbox = Outbox::new().pace(1, Duration::ZERO);
        let app = app_at(server.url(), Callbacks::new()).outbox(outbox).spawn().unwrap();
        (0..100).for_each(|number: u32| queue(&app.handle(), number.to_string()));
        assert!(matches!(promptly(|| app.join()), Ok(Exit::Closed(_))));
        server.join();
    });
}

#[test]
fn what_waits_for_the_window_can_be_cancelled_and_stays_when_the_app_is_stopped() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            peer.expect(TEXT, b"first");
            peer.expect_close(1000);
            peer.send(&close(1000, ""));
        });
        let outbox = Outbox::new().pace(1, LIMIT * 10);
        let app = app_at(server.url(), Callbacks::new()).outbox(outbox).spawn().unwrap();
        let handle = app.handle();
        let [first, second, third] =
            ["first", "second", "third"].map(|message| handle.send_tracked(message).unwrap());
        assert!(matches!(first.wait(LIMIT), Fate::Sent { .. }));
        assert_eq!(second.fate(), Fate::Queued);
        assert_eq!(second.cancel(), Some("second".into()));
        handle.stop(CloseCode::NORMAL).unwrap();
        assert!(matches!(promptly(|| app.join()), Ok(Exit::Stopped)));
        assert_eq!((second.fate(), third.fate()), (Fate::Taken, Fate::AppOver));
        assert_eq!(handle.take_unsent(), ["third".into()]);
        server.join();
    });
}
