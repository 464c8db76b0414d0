//! Sending takes the same memory for a message of any size.

#[path = "../../support/mod.rs"]
mod support;

use std::io::{Read as _, Write as _};

use landline::{Builder, MessageKind, WebSocket};
use landline_memory::{Used, live, measure};
use support::*;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// Reads and discards all that the client sends.
fn reads(peer: &mut Peer) {
    let mut buffer = vec![0; 256 * KIB];
    let mut socket = peer.socket();
    while let Ok(1..) = socket.read(&mut buffer) {}
}

#[test]
fn a_message_of_64_mib_is_sent_from_a_chunk_of_256_kib() {
    watchdog(LIMIT * 2, || {
        let big = vec![7; 64 * MIB];
        let server = upgraded(reads);
        let ws = builder().connect(&server.url()).unwrap();
        let start = live();
        let ((), used) = measure(|| ws.send(&big).unwrap());
        println!("64 MiB sent: {used:?}");
        assert!(used.peak <= 320 * KIB, "{used:?}");
        assert!(live() - start <= 4 << 10, "{} bytes stay", live() - start);
        drop(ws);
        server.join();
    });
}

#[test]
fn a_message_of_64_mib_is_sent_over_tls_with_512_kib() {
    watchdog(LIMIT * 2, || {
        let big = vec![7; 64 * MIB];
        let server = tls::upgraded_tls(|peer| {
            peer.with_tls(|tls| std::io::copy(tls, &mut std::io::sink())).ok();
        });
        let ws = tls::builder().connect(&server.url()).unwrap();
        let start = live();
        let ((), used) = measure(|| ws.send(&big).unwrap());
        println!("64 MiB sent over TLS: {used:?}");
        assert!(used.peak <= 512 * KIB, "{used:?}");
        assert!(live() - start <= 160 << 10, "{} bytes are kept", live() - start);
        // After a few short messages it is taken for idle.
        (0..8).for_each(|_| ws.ping(b"").unwrap());
        assert!(live() - start <= 8 << 10, "{} bytes stay", live() - start);
        drop(ws);
        server.join();
    });
}

#[test]
fn a_loop_that_never_waits_frees_the_memory_of_a_message_within_seconds() {
    watchdog(LIMIT, || {
        let server = upgraded(reads);
        let mut ws = builder().connect(&server.url()).unwrap();
        let start = live();
        ws.send(vec![7; 64 * KIB]).unwrap();
        assert!(live() - start > 32 << 10, "the next message may need it");
        while live() - start > 4 << 10 {
            assert!(ws.try_recv().unwrap().is_none());
        }
        drop(ws);
        server.join();
    });
}

#[test]
fn a_message_that_is_written_in_fragments_takes_few_chunks() {
    watchdog(LIMIT, || {
        let server = upgraded(reads);
        let ws = builder().connect(&server.url()).unwrap();
        let sender = ws.sender();
        let ((), used) = measure(|| {
            let mut writer = sender.writer(MessageKind::Text).unwrap();
            for _ in 0..16 * 1024 {
                writer.write_all(&[b'x'; KIB]).unwrap();
            }
            writer.finish().unwrap();
        });
        println!("16 MiB written: {used:?}");
        assert!(used.peak <= 256 * KIB, "{used:?}");
        drop((ws, sender));
        server.join();
    });
}

fn sends_without_an_allocation(builder: &Builder, server: Server<()>) {
    let ws: WebSocket = builder.connect(&server.url()).unwrap();
    let some = |count: usize| {
        for _ in 0..count {
            ws.send("some message").unwrap();
            ws.send(b"and some bytes").unwrap();
        }
        ws.sender().ping(b"?").unwrap();
    };
    some(100);
    let ((), used) = measure(|| some(5000));
    assert_eq!(used, Used { peak: 0, left: 0, total: 0, calls: 0 });
    drop(ws);
    server.join();
}

#[test]
fn small_messages_are_sent_without_an_allocation() {
    watchdog(LIMIT, || sends_without_an_allocation(&builder(), upgraded(reads)));
}
