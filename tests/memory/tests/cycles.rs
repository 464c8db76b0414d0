//! Connections are opened and ended again and again, and no memory of them stays. The test is alone
//! in its process, because it counts all threads.

#[path = "../../support/mod.rs"]
mod support;

use std::thread;

use landline::{Builder, CloseCode, Message};
use landline_memory::live_everywhere;
use support::*;

/// Returns the number of bytes that are alive when the threads of the last connections have ended.
fn settled(most: isize) -> isize {
    let start = std::time::Instant::now();
    loop {
        let live = live_everywhere();
        if live <= most || start.elapsed() > PROMPT {
            return live;
        }
        thread::yield_now();
    }
}

fn cycles(what: &str, builder: &Builder, serve: impl Fn() -> Server<()>) {
    let one = |at: usize| {
        let server = serve();
        let mut ws = builder.connect(&server.url()).unwrap();
        assert_eq!(ws.recv().unwrap(), Message::from("hello"));
        // Every other connection is closed, and the others are only dropped.
        if at.is_multiple_of(2) {
            assert!(ws.close(CloseCode::NORMAL).unwrap().is_clean());
        }
        drop(ws);
        server.join();
    };
    (0..50).for_each(one);
    let start = settled(0);
    (0..1000).for_each(one);
    let end = settled(start + 4096);
    println!("{what}: {start} bytes before, {end} after 1,000 connections");
    assert!(end - start <= 4096, "{} bytes stay", end - start);
}

fn greets(peer: &mut Peer) {
    peer.send(&text("hello"));
    if peer.next_frame().is_some_and(|close| close.close_code() == Some(1000)) {
        peer.send(&close(1000, ""));
    }
}

#[test]
fn a_thousand_connections_leave_nothing_behind() {
    watchdog(LIMIT * 4, || {
        cycles("plain", &builder(), || upgraded(greets));
        cycles("TLS", &tls::builder(), || tls::upgraded_tls(greets));
    });
}
