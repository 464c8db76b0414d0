//! Peers that send very many pings, or pings at the wrong time.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)] // `clippy.toml` allows it in test functions only.

use crate::support;

use std::sync::mpsc::channel;
use std::time::Duration;

use landline::error::Cause;
use landline::{Error, Message, Timeout};
use support::*;

/// Starts a peer that sends `pings` pings and then `last`, and reads no Pong.
fn never_reads(pings: usize, last: Vec<u8>) -> (Server<()>, std::sync::mpsc::Sender<()>) {
    let (done, hold) = channel();
    let server = serve_on(small_listener(), move |peer| {
        peer.upgrade();
        let thousand = ping(&[b'p'; 125]).repeat(1000);
        for _ in 0..pings / 1000 {
            if peer.try_send(&thousand).is_err() {
                return;
            }
        }
        let _ = peer.try_send(&last);
        peer.hold_open(&hold);
    });
    (server, done)
}

#[test]
fn a_peer_that_never_reads_our_pongs_is_given_up_after_the_write_timeout() {
    watchdog(LIMIT, || {
        let (server, done) = never_reads(100_000, Vec::new());
        let mut ws = builder().write_timeout(SHORT).connect(&server.url()).unwrap();
        let sender = ws.sender();
        takes_at_most(LIMIT / 4, || {
            for _ in 0..2 {
                let said = error(ws.recv());
                assert!(matches!(said, Error::Timeout(Timeout::Send)), "{said:?}");
            }
        });
        let closed = error(sender.send("late")).closed().cloned().unwrap();
        assert!(matches!(closed.cause(), Cause::Timeout(Timeout::Send)), "{closed:?}");
        assert!(!closed.is_clean());
        drop(done);
        server.join();
    });
}

#[test]
fn a_peer_that_never_reads_our_pongs_costs_little_processor_time() {
    watchdog(LIMIT, || {
        let (server, done) = never_reads(100_000, text("all pinged"));
        let mut ws = builder().connect(&server.url()).unwrap();
        assert_eq!(ws.recv().unwrap(), Message::from("all pinged"));
        // A Pong is pending all the time, and the peer sends nothing.
        let before = process::cpu_of_this_thread();
        let said = error(ws.recv_timeout(Duration::from_secs(1)));
        let used = process::cpu_of_this_thread() - before;
        assert!(matches!(said, Error::Timeout(Timeout::Recv)), "{said:?}");
        assert!(used <= Duration::from_millis(200), "{used:?} of the processor");
        drop(done);
        drop(ws);
        server.join();
    });
}

#[test]
fn a_ping_that_lies_across_the_end_of_the_buffer_is_answered() {
    watchdog(LIMIT, || {
        // The receive buffer has a size of 4, 16 or 64 KiB.
        let around = |end: usize| (end - 140..end + 10).step_by(3);
        let sizes: Vec<_> = around(4096).chain(around(16_384)).chain(around(65_536)).collect();
        let all = sizes.clone();
        let server = upgraded(move |peer| {
            for size in sizes {
                let payload = [&size.to_be_bytes()[..], &[b'p'; 117]].concat();
                peer.send(&[binary(&vec![1; size]), ping(&payload)].concat());
                peer.expect(PONG, &payload);
            }
            peer.send(&text("end"));
            peer.stall()
        });
        let mut ws = builder().connect(&server.url()).unwrap();
        for size in all {
            assert_eq!(ws.recv().unwrap().as_bytes().len(), size);
        }
        assert_eq!(ws.recv().unwrap(), Message::from("end"));
        drop(ws);
        server.join();
    });
}

#[test]
fn a_peer_that_pings_after_its_close_is_not_answered() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            peer.send(&[ping(b"in time"), close(1000, ""), ping(b"late").repeat(1000)].concat());
            peer.expect(PONG, b"in time");
            peer.expect_close(1000);
            peer.expect_end();
        });
        let mut ws = builder().connect(&server.url()).unwrap();
        assert!(promptly(|| error(ws.recv())).closed().unwrap().is_clean());
        server.join();
    });
}
