//! What an outbox makes room for, and what it does not drop in vain.

#![allow(clippy::unwrap_used)] // A test may panic.

use std::io::Read as _;
use std::sync::mpsc::channel;

use landline::{Callbacks, Delivery, Message, Outbox, SendProblem, WhenFull};

use crate::support;

use support::apps::app_at;
use support::{LIMIT, serve, watchdog};

/// More than the buffers of both sockets take.
const BIG: usize = 16 << 20;

#[test]
fn the_peer_stops_reading_a_message_and_what_cannot_fit_beside_it_drops_nothing() {
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

        assert!(matches!(handle.send("old").unwrap(), Delivery::Queued { dropped: 0, .. }));
        let error = handle.send(vec![0; 1001]).unwrap_err();
        assert!(matches!(error.problem(), SendProblem::Full), "{error}");
        // It fits if the old one goes.
        assert!(matches!(
            handle.send("x".repeat(1000)).unwrap(),
            Delivery::Queued { dropped: 1, .. }
        ));
        assert_eq!(handle.take_unsent(), [Message::Text("x".repeat(1000))]);

        handle.abort();
        app.join().unwrap();
        done.send(()).unwrap();
        server.join();
    });
}
