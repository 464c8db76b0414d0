//! An event loop over `poll(2)`, which is level-triggered, by the rules of the guide.

#![allow(clippy::unwrap_used)] // `clippy.toml` allows it in test functions only.

use crate::support;

use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use landline::{CloseCode, Error, Keepalive, Message, WebSocket};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use support::*;

/// Waits until the connection has one of the `events`, after at most `timeout`. Returns those that
/// it has.
fn wait(ws: &WebSocket, events: PollFlags, timeout: Duration) -> PollFlags {
    let mut fds = [PollFd::from_borrowed_fd(ws.fd().expect("it has a descriptor"), events)];
    let timeout = Timespec::try_from(timeout).unwrap();
    poll(&mut fds, Some(&timeout)).unwrap();
    fds[0].revents()
}

/// Returns what rule 3 says to wait for.
fn interest(ws: &WebSocket) -> PollFlags {
    if ws.wants_write() { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN }
}

/// Returns the next message by the rules, and the number of calls of `poll` so far.
fn next(ws: &mut WebSocket, polls: &mut usize) -> Result<Message, Error> {
    loop {
        if let Some(message) = ws.try_recv()? {
            return Ok(message);
        }
        if !ws.has_more() {
            let by = ws.call_by().map_or(LIMIT, |by| by.duration_since(Instant::now()));
            wait(ws, interest(ws), by);
            *polls += 1;
        }
    }
}

fn sleeps_between_messages(mut ws: WebSocket) {
    let mut polls = 0;
    ws.try_send("three").unwrap();
    for _ in 0..3 {
        assert_eq!(next(&mut ws, &mut polls).unwrap(), Message::from("later"));
    }
    // A record of TLS may come in two parts.
    assert!(polls <= 10, "{polls} calls of poll for three messages");
    ws.sender().close(CloseCode::NORMAL).unwrap();
    assert!(next(&mut ws, &mut polls).unwrap_err().closed().unwrap().is_clean());
}

/// Plays the server of [`sleeps_between_messages`].
fn three_later(peer: &mut Peer) {
    peer.expect(TEXT, b"three");
    for _ in 0..3 {
        thread::sleep(SHORT); // The loop could spin for this time; nothing is awaited.
        peer.send(&text("later"));
    }
    peer.expect_close(1000);
    peer.send(&close(1000, ""));
}

#[test]
fn a_loop_that_is_level_triggered_sleeps_while_nothing_arrives() {
    watchdog(LIMIT, || {
        let server = upgraded(three_later);
        sleeps_between_messages(builder().connect(&server.url()).unwrap());
        server.join();
    });
}

#[cfg(feature = "tls")]
#[test]
fn a_loop_that_is_level_triggered_sleeps_while_nothing_arrives_over_tls() {
    watchdog(LIMIT, || {
        let server = tls::upgraded_tls(three_later);
        sleeps_between_messages(tls::builder().connect(&server.url()).unwrap());
        server.join();
    });
}

/// Rule 3: the socket is writable nearly always.
#[test]
fn writability_is_waited_for_while_a_rest_is_to_be_written_and_not_longer() {
    watchdog(LIMIT, || {
        const BIG: usize = 8 << 20;
        let (release, held) = channel();
        let (asks, asked) = channel();
        let server = serve_on(small_listener(), move |peer| {
            peer.upgrade();
            peer.hold_open(&held);
            assert_eq!(peer.next_frame().unwrap().payload.len(), BIG);
            peer.hold_open(&asked);
            peer.send(&text("got it"));
            peer.stall();
        });
        let mut ws = builder().connect(&server.url()).unwrap();
        assert_eq!(interest(&ws), PollFlags::IN);
        // A loop that asked for it all the same would never sleep.
        assert!(wait(&ws, PollFlags::IN | PollFlags::OUT, LIMIT).contains(PollFlags::OUT));
        assert!(wait(&ws, interest(&ws), SHORT / 3).is_empty());

        ws.try_send(vec![0; BIG]).unwrap();
        assert!(interest(&ws).contains(PollFlags::OUT));
        // The system takes a little more while the peer acknowledges what it has buffered.
        let begun = Instant::now();
        while !wait(&ws, interest(&ws), SHORT).is_empty() {
            assert_eq!(ws.try_recv().unwrap(), None);
            assert!(
                begun.elapsed() < PROMPT,
                "the peer reads nothing, and the loop does not sleep"
            );
        }
        drop(release);
        while ws.wants_write() {
            assert!(wait(&ws, interest(&ws), LIMIT).contains(PollFlags::OUT));
            assert_eq!(ws.try_recv().unwrap(), None);
        }
        assert_eq!(interest(&ws), PollFlags::IN);
        drop(asks);
        assert_eq!(next(&mut ws, &mut 0).unwrap(), Message::from("got it"));
        drop(ws);
        server.join();
    });
}

/// Rules 1 and 4.
#[test]
fn a_loop_that_is_level_triggered_pings_in_time_and_gives_up_a_peer_that_is_silent() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            assert_eq!(peer.next_frame().unwrap().opcode, PING);
            peer.stall();
        });
        let keepalive = Keepalive::new(SHORT / 3, SHORT);
        let mut ws = builder().keepalive(keepalive).connect(&server.url()).unwrap();
        let mut polls = 0;
        let said = takes(SHORT, || next(&mut ws, &mut polls).unwrap_err());
        assert!(said.is_timeout(), "{said:?}");
        assert!(polls < 20, "{polls} calls of poll for one ping");
        drop(ws);
        server.join();
    });
}

/// Rule 6.
#[test]
fn a_connection_that_is_over_is_told_readable_until_it_is_dropped() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| peer.send(&close(1000, "")));
        let mut ws = builder().connect(&server.url()).unwrap();
        assert!(next(&mut ws, &mut 0).unwrap_err().closed().is_some());
        server.join();
        for _ in 0..3 {
            assert!(wait(&ws, PollFlags::IN, LIMIT).contains(PollFlags::IN));
        }
    });
}

/// After rule 7.
#[test]
fn an_abort_of_another_thread_wakes_a_loop_that_is_level_triggered() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| peer.stall());
        let mut ws = builder().connect(&server.url()).unwrap();
        assert!(!ws.has_more() || ws.try_recv().unwrap().is_none());
        let sender = ws.sender();
        let aborting = spawn(move || sender.abort());
        assert!(next(&mut ws, &mut 0).unwrap_err().closed().is_some());
        aborting.join();
        server.join();
    });
}
