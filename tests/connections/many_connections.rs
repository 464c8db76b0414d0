//! Many connections of one process, open at the same time, each with a thread of its own.
//!
//! They are 100, or as many as `MANY_CONNECTIONS` says. Each needs two sockets of the process.

#![allow(clippy::unwrap_used)] // `clippy.toml` allows it in test functions only.

use crate::support;

use landline::{CloseCode, Message};
use support::*;

#[test]
fn many_connections_at_once_each_get_what_is_theirs() {
    let count: usize = std::env::var("MANY_CONNECTIONS").map_or(100, |text| text.parse().unwrap());
    watchdog(LIMIT * 3, move || {
        let listener = listener();
        let url = format!("ws://{}/", listener.local_addr().unwrap());
        let server = spawn(move || {
            let mut peers: Vec<_> = (0..count)
                .map(|_| {
                    let mut peer = Peer::new(listener.accept().unwrap().0);
                    peer.upgrade();
                    peer
                })
                .collect();
            // All are open. None is answered before.
            for peer in &mut peers {
                let number = peer.next_frame().unwrap().payload;
                peer.send(&binary(&number));
            }
            for peer in &mut peers {
                peer.expect_close(1000);
                peer.send(&close(1000, ""));
            }
        });
        let clients = (0..count).map(|number| {
            let builder = builder().open_timeout(LIMIT * 2).close_timeout(LIMIT);
            let url = url.clone();
            spawn(move || {
                let mut ws = builder.connect(&url).unwrap();
                ws.send(number.to_le_bytes()).unwrap();
                assert_eq!(ws.recv().unwrap(), Message::from(&number.to_le_bytes()[..]));
                assert!(ws.close(CloseCode::NORMAL).unwrap().is_clean());
            })
        });
        clients.collect::<Vec<_>>().into_iter().for_each(Joined::join);
        server.join();
        println!("{count} connections at once");
    });
}
