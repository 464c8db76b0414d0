//! A server can flood with messages of TLS itself: requests for new keys, and tickets.

#[path = "../../support/mod.rs"]
mod support;

use std::io::Write as _;
use std::sync::mpsc::channel;

use landline::{Error, Message};
use landline_memory::measure;
use support::*;

const KIB: usize = 1024;

/// Asks `count` times for new keys, and sends `again` each time. Reads none of the answers.
fn asks_for_keys(peer: &mut Peer, count: usize, again: &[u8]) {
    peer.with_tls(|tls| {
        let mut records = Vec::new();
        for _ in 0..count {
            tls.conn.refresh_traffic_keys().unwrap();
            tls.conn.writer().write_all(again).unwrap();
            while tls.conn.wants_write() {
                tls.conn.write_tls(&mut records).unwrap();
            }
            if records.len() > 64 * KIB {
                if tls.sock.write_all(&records).is_err() {
                    return;
                }
                records.clear();
            }
        }
        let _ = tls.sock.write_all(&records);
    });
}

#[test]
fn a_server_that_asks_for_new_keys_again_and_again_and_reads_nothing_costs_little() {
    watchdog(LIMIT * 3, || {
        let (done, hold) = channel();
        let server = tls::upgraded_tls(move |peer| {
            asks_for_keys(peer, 200_000, &ping(b""));
            peer.send(&text("end"));
            peer.hold_open(&hold);
        });
        let mut ws = tls::builder().connect(&server.url()).unwrap();
        let (message, used) = measure(|| ws.recv().unwrap());
        println!("200,000 key updates: {used:?}");
        assert_eq!(message, Message::from("end"));
        assert!(used.peak <= 1024 * KIB, "{used:?}");
        drop(done);
        drop(ws);
        server.join();
    });
}

#[test]
fn a_server_that_sends_nothing_but_new_keys_is_given_up() {
    watchdog(LIMIT, || {
        let server = tls::upgraded_tls(|peer| {
            asks_for_keys(peer, 10_000, b"");
            peer.stall()
        });
        let mut ws = tls::builder().connect(&server.url()).unwrap();
        let (said, used) = promptly(|| measure(|| error(ws.recv())));
        println!("nothing but key updates: {used:?}");
        let Error::Closed(closed) = &said else { panic!("{said:?}") };
        assert!(matches!(closed.cause(), landline::error::Cause::Tls(_)), "{closed:?}");
        assert!(used.peak <= 256 * KIB, "{used:?}");
        drop(ws);
        server.join();
    });
}

/// Over plain TCP the same takes 128 KiB. TLS adds ciphertext, and two records.
#[test]
fn a_server_that_floods_with_pings_over_tls_costs_160_kib_more() {
    watchdog(LIMIT * 3, || {
        let (done, hold) = channel();
        let server = tls::upgraded_tls(move |peer| {
            let pings = ping(&[b'p'; 125]).repeat(1000);
            for _ in 0..500 {
                peer.send(&pings);
            }
            peer.send(&text("all pinged"));
            peer.hold_open(&hold);
        });
        let mut ws = tls::builder().connect(&server.url()).unwrap();
        let (message, used) = measure(|| ws.recv().unwrap());
        println!("500,000 pings over TLS: {used:?}");
        assert_eq!(message, Message::from("all pinged"));
        assert!(used.peak <= (128 + 160) * KIB, "{used:?}");
        drop(done);
        drop(ws);
        server.join();
    });
}

fn gives_tickets(count: usize) -> rustls::ServerConfig {
    let mut config = tls::localhost();
    config.send_tls13_tickets = count;
    config
}

#[test]
fn only_a_few_of_500_tickets_of_a_server_are_kept() {
    watchdog(LIMIT * 2, || {
        let builder = tls::builder();
        let (mut left, mut peak) = (Vec::new(), 0);
        for _ in 0..50 {
            let server = tls::serve_tls(gives_tickets(500), |peer| {
                peer.upgrade();
                peer.send(&text("hello"));
                peer.stall();
            });
            let (_, used) = measure(|| {
                let mut ws = builder.connect(&server.url()).unwrap();
                assert_eq!(ws.recv().unwrap(), Message::from("hello"));
            });
            left.push(used.left);
            peak = peak.max(used.peak);
            server.join();
        }
        let (first, later) = (left[0], left[1..].iter().max().unwrap());
        println!("500 tickets: {first} bytes stay, then {later} more; at most {peak} at once");
        assert!(peak <= 256 * KIB, "{peak}");
        assert!(first <= 64 << 10, "{first}");
        // The thread that connects frees some bytes of this one. A ticket has more.
        assert!(*later <= 2 << 10, "{left:?}");
    });
}

#[test]
fn a_server_that_sends_nothing_but_tickets_is_given_up() {
    watchdog(LIMIT * 2, || {
        let server = tls::serve_tls(gives_tickets(20_000), |peer| {
            let _ = peer.with_tls(|tls| std::io::copy(tls, &mut std::io::sink()));
        });
        let builder = tls::builder();
        let (said, used) = promptly(|| measure(|| error(builder.connect(&server.url()))));
        println!("20,000 tickets at once: {used:?}");
        assert!(matches!(said, Error::Tls(_)), "{said:?}");
        assert!(used.peak <= 512 * KIB, "{used:?}");
        server.join();
    });
}
