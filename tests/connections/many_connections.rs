//! Many connections of one process, open at the same time, each with a thread of its own.
//!
//! They are 100, or as many as `MANY_CONNECTIONS` says. Each needs two sockets of the process.

#![allow(clippy::unwrap_used)] // `clippy.toml` allows it in test functions only.

use std::sync::mpsc::channel;

use crate::support;

use landline::{CloseCode, Message};
use support::*;

/// The most connections that are opened, or wait for a message, at the same time. A listener of
/// Windows holds 128 connections that are not accepted yet. And a thread that waits there wakes 20
/// times a second: Wine carries 7,000 such wakes a second, which are 350 threads.
const WAVE: usize = 100;

#[test]
fn many_connections_at_once_each_get_what_is_theirs() {
    let count: usize = std::env::var("MANY_CONNECTIONS").map_or(100, |text| text.parse().unwrap());
    watchdog(LIMIT * 3, move || {
        let listener = listener();
        let url = format!("ws://{}/", listener.local_addr().unwrap());
        let server = spawn(move || {
            let open = |_| {
                let mut peer = Peer::new(listener.accept().unwrap().0);
                peer.upgrade();
                peer
            };
            let mut peers: Vec<_> = (0..count).map(open).collect();
            // All are open. None is answered before.
            while !peers.is_empty() {
                let mut wave: Vec<_> = peers.drain(..WAVE.min(peers.len())).collect();
                for peer in &mut wave {
                    let number = peer.next_frame().unwrap().payload;
                    peer.send(&binary(&number));
                }
                for mut peer in wave {
                    peer.expect_close(1000);
                    peer.send(&close(1000, ""));
                }
            }
        });

        let open = |first: usize| {
            let client = |number: usize| {
                let builder = builder().open_timeout(LIMIT * 2).close_timeout(LIMIT);
                let url = url.clone();
                let ((opened, is_open), (go_on, goes_on)) = (channel(), channel());
                let client = spawn(move || {
                    let mut ws = builder.connect(&url).unwrap();
                    opened.send(()).unwrap();
                    goes_on.recv().unwrap();
                    ws.send(number.to_le_bytes()).unwrap();
                    assert_eq!(ws.recv().unwrap(), Message::from(&number.to_le_bytes()[..]));
                    assert!(ws.close(CloseCode::NORMAL).unwrap().is_clean());
                });
                (is_open, go_on, client)
            };
            let wave: Vec<_> = (first..count.min(first + WAVE)).map(client).collect();
            wave.into_iter()
                .map(|(is_open, go_on, client)| match is_open.recv() {
                    Ok(()) => (go_on, client),
                    Err(_) => {
                        client.join(); // It panicked, and so does this.
                        unreachable!("a client that is not open has failed")
                    }
                })
                .collect::<Vec<_>>()
        };
        let waves: Vec<_> = (0..count).step_by(WAVE).map(open).collect();
        println!("{count} connections are open at once");
        for wave in waves {
            for (go_on, _) in &wave {
                go_on.send(()).unwrap();
            }
            wave.into_iter().for_each(|(_, client)| client.join());
        }
        server.join();
    });
}
