//! The outbox of an App whose connections break, whether it always queues or not.

#![allow(clippy::unwrap_used)] // `clippy.toml` allows it in test functions only.

use crate::support;

use std::net::TcpStream;
use std::sync::mpsc::channel;
use std::time::Duration;

use landline::app::{Exit, Outbox};
use landline::backoff::{Failure, Fixed};
use landline::{Builder, Callbacks};
use support::apps::{app_at, upgraded_times};
use support::streams::{Call, Judged};
use support::*;

/// Runs a test with an outbox that queues when it must, and with one that always queues.
fn both(test: fn(Outbox)) {
    for always in [false, true] {
        watchdog(LIMIT, move || test(Outbox::new().always_queue(always)));
    }
}

/// Returns a builder of connections for which the system takes few bytes before the peer reads.
fn small_buffers() -> Builder {
    builder().on_socket(|stream| socket2::SockRef::from(stream).set_send_buffer_size(16 << 10))
}

#[test]
fn a_server_that_is_killed_and_restarted_100_times_gets_every_message_in_order() {
    const TIMES: u32 = 100;
    const EACH: u32 = 20;
    both(|outbox| {
        let (got, delivered) = channel();
        let server = upgraded_times(TIMES as usize, move |_, peer| {
            for _ in 0..EACH {
                let frame = peer.next_frame().expect("the client is gone");
                got.send(String::from_utf8(frame.payload).unwrap()).unwrap();
            }
            peer.rst();
        });
        let (closed, down) = channel();
        let callbacks = Callbacks::new().on_close(move |_| closed.send(()));
        let app = app_at(server.url(), callbacks).outbox(outbox);
        // Nobody listens after the last connection.
        let mut left = TIMES;
        let app = app.backoff(move |_: &Failure<'_>| {
            left -= 1;
            (left > 0).then_some(Duration::ZERO)
        });
        let handle = app.handle();
        let queue = |round: u32| {
            for nth in 0..EACH {
                handle.send((round * EACH + nth).to_string()).unwrap();
            }
        };
        queue(0);
        let running = app.spawn().unwrap();
        for round in 1..TIMES {
            // Wait for the end of the connection: a message sent over a dead one is lost.
            down.recv().unwrap();
            queue(round);
        }
        down.recv().unwrap();
        assert!(matches!(running.join(), Ok(Exit::GaveUp { .. })));
        let expected = (0..TIMES * EACH).map(|nth| nth.to_string());
        assert!(delivered.into_iter().eq(expected), "something was lost, or out of order");
        server.join();
    });
}

#[test]
fn a_server_that_is_killed_amid_messages_gets_none_twice_and_all_that_were_kept() {
    const ALL: u32 = 400;
    both(|outbox| {
        let (got, delivered) = channel();
        let server = upgraded_times(5, move |nth, peer| {
            let most = if nth < 4 { 10 } else { ALL };
            for _ in 0..most {
                let Some(frame) = peer.next_frame() else { break };
                let number: u32 = String::from_utf8(frame.payload).unwrap().parse().unwrap();
                got.send((nth, number)).unwrap();
                if number == ALL - 1 {
                    peer.send(&close(1000, ""));
                    peer.expect_close(1000);
                    break;
                }
            }
            if nth < 4 {
                peer.rst();
            }
        });
        let app = app_at(server.url(), Callbacks::new())
            .with_builder(small_buffers())
            .outbox(outbox.max_bytes(8 << 20))
            .backoff(Fixed(Duration::ZERO));
        for nth in 0..ALL {
            app.handle().send(format!("{nth:016000}")).unwrap();
        }
        let handle = app.handle();
        assert!(matches!(app.run_forever(), Ok(Exit::Closed(_))));
        assert_eq!(handle.take_unsent(), []);
        let got: Vec<_> = delivered.iter().collect();
        assert!(got.is_sorted_by(|(_, one), (_, next)| one < next), "twice, or out of order");
        let last: Vec<_> = got.iter().filter(|(nth, _)| *nth == 4).map(|(_, n)| *n).collect();
        // Messages that the system had taken when the server was killed are lost. Those that were
        // kept are not.
        assert_eq!(last, (last[0]..ALL).collect::<Vec<_>>());
        server.join();
    });
}

#[test]
fn a_message_that_the_system_took_in_part_is_sent_again() {
    both(|outbox| {
        let listener = small_listener();
        let addr = listener.local_addr().unwrap();
        let (open, is_open) = channel();
        let (kill, when) = channel();
        let server = spawn(move || {
            let mut first = Peer::new(listener.accept().unwrap().0);
            first.upgrade();
            // The server does not read, so most of the message stays at the client.
            first.hold_open(&when);
            first.rst();
            let mut second = Peer::new(listener.accept().unwrap().0);
            second.upgrade();
            let frame = second.next_frame().unwrap();
            second.send(&close(1000, ""));
            second.expect_close(1000);
            frame
        });
        let big = vec![7; 1 << 20];
        let callbacks = Callbacks::new().on_open(move |_, _| open.send(()));
        let app = app_at(format!("ws://{addr}"), callbacks)
            .with_builder(small_buffers())
            .outbox(outbox)
            .backoff(Fixed(Duration::ZERO));
        let (handle, message) = (app.handle(), big.clone());
        let running = app.spawn().unwrap();
        is_open.recv().unwrap();
        let sending = spawn(move || handle.send(message).unwrap());
        kill.send(()).unwrap();
        // `send` sends it over the second connection, or leaves it to the outbox.
        sending.join();
        let frame = server.join();
        assert_eq!((frame.opcode, frame.payload.len()), (BINARY, big.len()));
        assert!(frame.payload == big);
        assert!(matches!(running.join(), Ok(Exit::Closed(_))));
    });
}

#[test]
fn a_full_outbox_and_a_server_that_writes_before_it_reads_do_not_deadlock() {
    both(|outbox| {
        const EACH: usize = 16 << 20;
        let server = upgraded(|peer| {
            for _ in 0..16 {
                peer.send(&binary(&vec![1; EACH / 16]));
            }
            let mut got = 0;
            while got < EACH {
                got += peer.next_frame().expect("the client is gone").payload.len();
            }
            peer.send(&close(1000, ""));
            peer.expect_close(1000);
        });
        let mut got = 0;
        let callbacks = Callbacks::new().on_message(|_, message| got += message.as_bytes().len());
        let app = app_at(server.url(), callbacks).outbox(outbox.max_bytes(EACH));
        for _ in 0..16 {
            app.handle().send(vec![2; EACH / 16]).unwrap();
        }
        assert!(matches!(app.run_forever(), Ok(Exit::Closed(_))));
        assert_eq!(got, EACH);
        server.join();
    });
}

#[test]
fn a_stream_that_panics_loses_no_message() {
    both(|outbox| {
        let server = upgraded_times(2, |nth, peer| {
            if nth == 1 {
                peer.expect(TEXT, b"kept");
                peer.expect(TEXT, b"later");
                peer.send(&close(1000, ""));
                peer.expect_close(1000);
            }
            peer.stall();
        });
        let (url, addr) = (server.url(), server.addr);
        let app = app_at(String::new(), Callbacks::new())
            .outbox(outbox)
            .backoff(Fixed(Duration::ZERO))
            .connect_with(move |attempt| {
                if attempt.reconnecting {
                    return attempt.builder.connect(&url);
                }
                let mut writes = 0;
                let stream = TcpStream::connect(addr).unwrap();
                let stream = Judged::new(stream, usize::MAX, move |_, call| {
                    if call == Call::Write {
                        writes += 1; // The first write is the request.
                        assert!(writes != 2, "the stream panics (this is a part of the test)");
                    }
                    Ok(())
                });
                attempt.builder.connect_over("ws://panics/", stream)
            });
        let handle = app.handle();
        handle.send("kept").unwrap();
        let running = app.spawn().unwrap();
        assert!(handle.flush(LIMIT));
        handle.send("later").unwrap();
        assert!(matches!(running.join(), Ok(Exit::Closed(_))));
        assert_eq!(handle.take_unsent(), []);
        server.join();
    });
}
