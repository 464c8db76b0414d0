//! `App::connections`: a loop over the connections of an App, without callbacks.

#![allow(clippy::unwrap_used)] // `clippy.toml` allows it in test functions only.

use crate::support;

use std::io::Read as _;
use std::net::Shutdown;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::channel;
use std::time::Duration;

use landline::app::{Connections, Delivery, Exit, Outbox};
use landline::backoff::{Failure, Fixed, Never};
use landline::error::Cause;
use landline::{App, CloseCode, Error, Message, MessageKind};
use support::apps::{app_at, serve_times, upgraded_times};
use support::*;

const HOUR: Duration = Duration::from_secs(3600);

/// Returns an App that connects again at once.
fn prompt(url: String) -> App<()> {
    app_at(url, ()).backoff(Fixed(Duration::ZERO))
}

/// Closes with 1000, and waits until the client is gone.
fn end(peer: &mut Peer) {
    peer.send(&close(1000, "enough"));
    let _ = peer.socket().shutdown(Shutdown::Write); // The client may be gone by now.
    peer.stall();
}

/// Receives on each connection until it is over, and returns the messages.
fn follow(connections: &mut Connections) -> Result<Vec<String>, Error> {
    let mut texts = Vec::new();
    for connection in connections {
        let mut connection = connection?;
        if connection.send("subscribe").is_ok() {
            texts.extend(
                connection.messages_until_end().map(|text| text.as_text().unwrap().to_owned()),
            );
        }
    }
    Ok(texts)
}

#[test]
fn a_loop_subscribes_again_on_each_connection_and_loses_no_message() {
    watchdog(LIMIT, || {
        let server = upgraded_times(4, |nth, peer| {
            peer.expect(TEXT, b"subscribe");
            peer.send(&[text(&format!("{nth}a")), ping(b"?"), text(&format!("{nth}b"))].concat());
            match nth {
                0 => peer.fin(),
                1 => peer.send(&close(1012, "restart")),
                2 => peer.send(&close(4401, "log in again")),
                _ => peer.send(&close(1000, "enough")),
            }
            peer.stall();
        });
        let mut connections = prompt(server.url()).connections();
        assert!(connections.exit().is_none());
        let texts = follow(&mut connections).unwrap();
        assert_eq!(texts, ["0a", "0b", "1a", "1b", "2a", "2b", "3a", "3b"]);
        let Some(Exit::Closed(closed)) = connections.exit() else { panic!("{connections:?}") };
        assert_eq!(closed.reason(), "enough");
        assert!(connections.next().is_none() && connections.next().is_none());
        server.join();
    });
}

#[test]
fn a_connection_tells_its_attempt_and_the_failure_before_it() {
    watchdog(LIMIT, || {
        let server = serve_times(4, |nth, peer| {
            peer.read_request();
            if nth == 1 {
                return peer.send(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
            }
            let answer = peer.good_answer("");
            peer.send(&answer);
            match nth {
                0 => peer.rst(),
                2 => {
                    peer.send(&close(1012, ""));
                    peer.stall();
                }
                _ => end(peer),
            }
        });
        let mut told = Vec::new();
        for connection in prompt(server.url()).connections() {
            let mut connection = connection.unwrap();
            let status = connection.last_error().and_then(Error::status);
            let code = connection.last_error().and_then(Error::closed).map(|closed| closed.code());
            told.push((connection.attempt(), connection.reconnected(), status, code));
            assert_eq!(connection.messages_until_end().count(), 0);
            assert!(connection.closed().is_some());
        }
        let restart = Some(CloseCode::SERVICE_RESTART);
        assert_eq!(
            told,
            [(1, false, None, None), (3, true, Some(503), None), (4, true, None, restart)]
        );
        server.join();
    });
}

#[test]
fn failures_in_a_row_are_counted_as_an_app_counts_them() {
    watchdog(LIMIT, || {
        for (stable_after, expected) in [(HOUR, [1, 2, 3]), (Duration::ZERO, [1, 1, 1])] {
            let server = upgraded_times(3, |_, peer| peer.fin());
            let (asked, told) = channel();
            let mut left = 3;
            let connections = app_at(server.url(), ())
                .stable_after(stable_after)
                .backoff(move |failure: &Failure<'_>| {
                    asked.send(failure.attempts()).unwrap();
                    left -= 1;
                    (left > 0).then_some(Duration::ZERO)
                })
                .connections();
            let results: Vec<_> = connections
                .map(|connection| connection.map(|mut own| own.messages_until_end().count()))
                .collect();
            // The failure after which the backoff gave up is the last item.
            assert!(matches!(results[..], [Ok(0), Ok(0), Ok(0), Err(_)]), "{results:?}");
            assert_eq!(told.iter().collect::<Vec<_>>(), expected);
            server.join();
        }
    });
}

#[test]
fn a_failure_that_is_final_is_the_last_item() {
    watchdog(LIMIT, || {
        let server = serve(|peer| {
            peer.read_request();
            peer.send(b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n");
        });
        let mut connections = prompt(server.url()).connections();
        let handle = connections.handle();
        let error = connections.next().unwrap().unwrap_err();
        assert_eq!(error.status(), Some(401));
        assert!(connections.next().is_none());
        assert!(connections.exit().is_none());
        // The App is over, also while the iterator lives.
        assert_eq!(
            handle.send("x").unwrap_err().to_string(),
            "not sent: the App is stopping, or over"
        );
        server.join();
        let mut connections = App::new("no URL", ()).connections();
        let error = connections.next().unwrap().unwrap_err();
        assert!(matches!(error, Error::InvalidInput(_)), "{error:?}");
        assert!(connections.next().is_none());
    });
}

#[test]
fn retry_if_and_reconnect_after_normal_close_hold() {
    watchdog(LIMIT, || {
        let server = upgraded_times(2, |_, peer| end(peer));
        let mut count = 0;
        let app = prompt(server.url()).reconnect_after_normal_close(true);
        for connection in app.connections().take(2) {
            count += connection.unwrap().messages_until_end().count() + 1;
        }
        assert_eq!(count, 2);
        server.join();

        let server = upgraded_times(1, |_, peer| peer.fin());
        let (asked, told) = channel();
        let app = prompt(server.url()).retry_if(move |failure| {
            asked.send(failure.to_string()).unwrap();
            false
        });
        let mut connections = app.connections();
        assert_eq!(connections.next().unwrap().unwrap().messages_until_end().count(), 0);
        assert!(connections.next().is_none());
        assert!(matches!(connections.exit(), Some(Exit::Closed(_))), "{connections:?}");
        let lost = "attempt 1: the peer ended the connection without a Close";
        assert_eq!(told.try_iter().collect::<Vec<_>>(), [lost]);
        server.join();
    });
}

#[test]
fn connect_with_makes_each_attempt_and_may_log_in() {
    watchdog(LIMIT, || {
        let server = upgraded_times(2, |nth, peer| {
            peer.expect(TEXT, format!("attempt {}", nth + 1).as_bytes());
            peer.send(&text("welcome"));
            // Only now may a handle send.
            peer.expect(TEXT, b"kept");
            if nth == 0 { peer.rst() } else { end(peer) }
        });
        let app = prompt("ws://unused".to_owned()).outbox(Outbox::new());
        let url = server.url();
        let mut connections = app
            .connect_with(move |attempt| {
                let mut ws = attempt.builder.connect(&url)?;
                ws.send(format!("attempt {}", attempt.number))?;
                assert_eq!(ws.recv()?, Message::from("welcome"));
                Ok(ws)
            })
            .connections();
        let handle = connections.handle();
        for connection in &mut connections {
            let mut connection = connection.unwrap();
            assert!(matches!(handle.send("kept"), Ok(Delivery::Sent | Delivery::Queued { .. })));
            assert_eq!(connection.messages_until_end().count(), 0);
        }
        assert!(matches!(connections.exit(), Some(Exit::Closed(_))));
        server.join();
    });
}

#[test]
fn a_connection_dropped_in_mid_message_ends_at_once_and_the_loop_goes_on() {
    watchdog(LIMIT, || {
        let server = upgraded_times(4, |nth, peer| {
            peer.send(&[text("whole"), frame(TEXT, false, b"begun")].concat());
            if nth == 3 {
                peer.expect_fragment(b"ours");
            }
            // A message of ours that is dropped half-way ends the connection by itself.
            peer.expect_close(if nth == 3 { 1011 } else { 1001 });
            peer.expect_end();
        });
        let mut taken = 0;
        for connection in prompt(server.url()).connections().take(4) {
            let mut connection = connection.unwrap();
            match taken {
                // It is open, and nothing was received.
                0 => {}
                // The server's message has begun.
                1 => assert!(connection.recv().is_ok()),
                2 => {
                    assert!(connection.recv().is_ok());
                    let mut begun = [0; 5];
                    connection.reader().unwrap().read_exact(&mut begun).unwrap();
                    assert_eq!(&begun, b"begun");
                }
                // Our own message has begun.
                _ => {
                    use std::io::Write as _;
                    let mut writer = connection.writer(MessageKind::Text).unwrap();
                    writer.write_all(b"ours").unwrap();
                    writer.flush().unwrap();
                }
            }
            taken += 1;
            promptly(|| drop(connection));
        }
        assert_eq!(taken, 4);
        server.join();
    });
}

#[test]
fn dropping_open_connections_asks_the_backoff_so_that_it_is_no_storm() {
    watchdog(LIMIT, || {
        let server = upgraded_times(3, |_, peer| {
            peer.expect_close(1001);
        });
        let (asked, told) = channel();
        let mut connections = app_at(server.url(), ())
            .backoff(move |failure: &Failure<'_>| {
                let closed = failure.closed().unwrap();
                assert_eq!(closed.local().unwrap().code, Some(CloseCode::GOING_AWAY));
                asked.send(failure.attempts()).unwrap();
                (failure.attempts() < 3).then_some(Duration::ZERO)
            })
            .connections();
        for _ in 0..3 {
            drop(connections.next().unwrap().unwrap());
        }
        assert!(connections.next().unwrap().is_err());
        assert_eq!(told.try_iter().collect::<Vec<_>>(), [1, 2, 3]);
        server.join();
    });
}

#[test]
fn next_ends_a_connection_that_is_kept() {
    watchdog(LIMIT, || {
        let server = upgraded_times(2, |nth, peer| {
            if nth == 0 {
                peer.expect_close(1001);
                return peer.expect_end();
            }
            peer.expect(TEXT, b"over the second");
            end(peer);
        });
        let mut connections = prompt(server.url()).connections();
        let handle = connections.handle();
        let mut first = connections.next().unwrap().unwrap();
        let mut second = connections.next().unwrap().unwrap();
        let error = error(first.recv());
        assert!(error.closed().is_some(), "{error:?}");
        // Handles use the second one, also after the first one is dropped.
        assert!(handle.is_open(), "this thread is the loop's");
        drop(first);
        assert_eq!(handle.send("over the second").unwrap(), Delivery::Sent);
        assert_eq!(second.messages_until_end().count(), 0);
        drop(second);
        assert!(connections.next().is_none());
        server.join();
    });
}

#[test]
fn a_loop_that_is_left_ends_the_app() {
    watchdog(LIMIT, || {
        fn left_by_an_error(connections: Connections) -> Result<(), Error> {
            for connection in connections {
                let connection = connection?;
                connection.ping(&[0; 126])?; // Too long.
            }
            Ok(())
        }
        let server = upgraded_times(2, |_, peer| {
            peer.expect_close(1001);
            peer.expect_end();
        });
        let connections = prompt(server.url()).connections();
        let handle = connections.handle();
        #[allow(clippy::never_loop)]
        for connection in connections {
            connection.unwrap();
            assert!(handle.send("x").is_err() && !handle.is_open(), "it is dropped");
            break;
        }
        assert!(handle.send("x").unwrap_err().to_string().contains("over"));

        let connections = prompt(server.url()).connections();
        let handle = connections.handle();
        let error = left_by_an_error(connections).unwrap_err();
        assert!(matches!(error, Error::InvalidInput(_)), "{error:?}");
        assert!(handle.send("x").unwrap_err().to_string().contains("over"));
        server.join();
    });
}

#[test]
fn a_panic_of_the_loop_ends_the_connection_and_the_app() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            peer.expect_close(1001);
            peer.expect_end();
        });
        let connections = prompt(server.url()).connections();
        let handle = connections.handle();
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let mut connections = connections;
            let _connection = connections.next().unwrap().unwrap();
            panic!("of the loop");
        }));
        assert!(panicked.is_err());
        assert!(handle.send("x").unwrap_err().to_string().contains("over"));
        server.join();
    });
}

#[test]
fn a_connection_that_outlives_its_iterator_stays_usable() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            peer.expect(TEXT, b"alone");
            peer.send(&text("still there"));
            end(peer);
        });
        let mut connection = prompt(server.url()).connections().next().unwrap().unwrap();
        connection.send("alone").unwrap();
        assert_eq!(connection.recv().unwrap(), Message::from("still there"));
        drop(connection);
        server.join();
    });
}

#[test]
fn a_close_in_the_loop_stops_the_app() {
    watchdog(LIMIT, || {
        for aborts in [false, true] {
            let server = upgraded(|peer| {
                if let Some(close) = peer.next_frame() {
                    let _ = peer.try_send(&frame(CLOSE, true, &close.payload));
                }
                let _ = peer.stall();
            });
            let mut connections = prompt(server.url()).connections();
            let mut connection = connections.next().unwrap().unwrap();
            if aborts {
                connection.abort();
                assert!(matches!(
                    error(connection.recv()).closed().unwrap().cause(),
                    Cause::Aborted
                ));
            } else {
                assert!(connection.close(CloseCode::NORMAL).unwrap().is_clean());
            }
            drop(connection);
            assert!(connections.next().is_none());
            assert!(matches!(connections.exit(), Some(Exit::Stopped)), "{connections:?}");
            server.join();
        }
    });
}

#[test]
fn a_stop_ends_an_attempt_and_a_wait_of_next() {
    watchdog(LIMIT, || {
        for waits in [false, true] {
            for aborts in [false, true] {
                let (ready, when) = channel();
                let asked = ready.clone();
                let server = serve(move |peer| {
                    peer.read_request();
                    if waits {
                        return peer.send(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
                    }
                    ready.send(()).unwrap();
                    peer.stall();
                });
                let mut connections = app_at(server.url(), ())
                    .backoff(move |_: &Failure<'_>| {
                        asked.send(()).unwrap();
                        Some(HOUR)
                    })
                    .connections();
                let handle = connections.handle();
                let stopping = spawn(move || {
                    when.recv().unwrap();
                    if aborts { handle.abort() } else { handle.stop(1000).unwrap() }
                });
                assert!(connections.next().is_none());
                assert!(matches!(connections.exit(), Some(Exit::Stopped)), "{connections:?}");
                stopping.join();
                server.join();
            }
        }
    });
}

#[test]
fn a_stop_ends_the_attempt_of_a_loop_that_keeps_its_last_connection() {
    watchdog(LIMIT, || {
        let (connecting, is_connecting) = channel();
        let server = serve_times(2, move |nth, peer| {
            if nth == 0 {
                peer.upgrade();
                peer.expect_close(1001);
                return peer.expect_end();
            }
            // The opening handshake gets no answer.
            peer.read_request();
            connecting.send(()).unwrap();
            peer.expect_end();
        });
        let mut connections =
            prompt(server.url()).with_builder(builder().open_timeout(HOUR)).connections();
        let handle = connections.handle();
        let stopping = spawn(move || {
            is_connecting.recv().unwrap();
            handle.stop(1000).unwrap();
        });
        let kept = connections.next().unwrap().unwrap();
        assert!(connections.next().is_none());
        assert!(matches!(connections.exit(), Some(Exit::Stopped)), "{connections:?}");
        drop(kept);
        stopping.join();
        server.join();
    });
}

#[test]
fn a_stop_ends_a_recv_after_the_messages_that_came_before_the_close() {
    watchdog(LIMIT, || {
        let (ready, when) = channel();
        let server = upgraded(move |peer| {
            peer.expect(TEXT, b"subscribe");
            ready.send(()).unwrap();
            peer.expect_close(1000);
            peer.send(&[text("last"), close(1000, "")].concat());
            peer.fin();
        });
        let mut connections = prompt(server.url()).connections();
        let handle = connections.handle();
        let stopping = spawn(move || {
            when.recv().unwrap();
            handle.stop((CloseCode::NORMAL, "done")).unwrap();
        });
        assert_eq!(follow(&mut connections).unwrap(), ["last"]);
        assert!(matches!(connections.exit(), Some(Exit::Stopped)), "{connections:?}");
        stopping.join();
        server.join();
    });
}

#[test]
fn an_abort_ends_a_recv() {
    watchdog(LIMIT, || {
        let (ready, when) = channel();
        let server = upgraded(move |peer| {
            peer.expect(TEXT, b"here");
            ready.send(()).unwrap();
            peer.stall();
        });
        let mut connections = prompt(server.url()).connections();
        let handle = connections.handle();
        let stopping = spawn(move || {
            when.recv().unwrap();
            handle.abort();
        });
        let mut connection = connections.next().unwrap().unwrap();
        connection.send("here").unwrap();
        let error = error(connection.recv());
        assert!(matches!(error.closed().unwrap().cause(), Cause::Aborted), "{error:?}");
        drop(connection);
        assert!(connections.next().is_none());
        assert!(matches!(connections.exit(), Some(Exit::Stopped)), "{connections:?}");
        stopping.join();
        server.join();
    });
}

#[test]
fn a_stop_before_the_first_next_connects_to_nothing() {
    watchdog(LIMIT, || {
        let server = listener();
        let addr = server.local_addr().unwrap();
        let mut connections = prompt(format!("ws://{addr}")).connections();
        connections.handle().stop(1000).unwrap();
        assert!(connections.next().is_none());
        assert!(matches!(connections.exit(), Some(Exit::Stopped)), "{connections:?}");
        server.set_nonblocking(true).unwrap();
        assert!(server.accept().is_err());
    });
}

#[test]
fn a_reconnect_is_no_failure() {
    watchdog(LIMIT, || {
        let server = upgraded_times(2, |nth, peer| {
            if nth == 0 {
                peer.expect_close(1000);
                peer.send(&close(1000, ""));
                return peer.fin();
            }
            end(peer);
        });
        let mut connections = app_at(server.url(), ())
            .backoff(Never)
            .retry_if(|failure| {
                assert_eq!(failure.closed().unwrap().reason(), "enough");
                false
            })
            .connections();
        let handle = connections.handle();
        let mut count = 0;
        for connection in &mut connections {
            let mut connection = connection.unwrap();
            if count == 0 {
                handle.reconnect((CloseCode::NORMAL, "new token")).unwrap();
            }
            assert_eq!(connection.messages_until_end().count(), 0);
            count += 1;
        }
        assert_eq!(count, 2);
        assert!(matches!(connections.exit(), Some(Exit::Closed(_))), "{connections:?}");
        server.join();
    });
}

#[test]
fn a_reconnect_ends_a_wait_of_next() {
    watchdog(LIMIT, || {
        let (ready, when) = channel();
        let server = upgraded_times(2, |nth, peer| if nth == 0 { peer.rst() } else { end(peer) });
        let mut connections = app_at(server.url(), ())
            .backoff(move |_: &Failure<'_>| {
                ready.send(()).unwrap();
                Some(HOUR)
            })
            .connections();
        let handle = connections.handle();
        let asking = spawn(move || {
            when.recv().unwrap();
            handle.reconnect(CloseCode::NORMAL).unwrap();
        });
        assert_eq!(follow(&mut connections).unwrap(), [""; 0]);
        assert!(matches!(connections.exit(), Some(Exit::Closed(_))), "{connections:?}");
        asking.join();
        server.join();
    });
}

#[test]
fn after_a_panic_of_a_hook_next_may_be_called_again() {
    watchdog(LIMIT, || {
        let server = upgraded(end);
        let mut connections = prompt(server.url())
            .connect_with(|attempt| {
                assert!(attempt.number > 1, "of the hook");
                attempt.builder.connect(attempt.url)
            })
            .connections();
        let panicked = catch_unwind(AssertUnwindSafe(|| connections.next()));
        assert!(panicked.is_err());
        assert_eq!(follow(&mut connections).unwrap(), [""; 0]);
        assert!(matches!(connections.exit(), Some(Exit::Closed(_))), "{connections:?}");
        server.join();
    });
}

#[test]
fn other_threads_send_from_the_first_call_that_receives() {
    watchdog(LIMIT, || {
        let server = upgraded_times(2, |nth, peer| {
            peer.expect(TEXT, b"subscribe");
            peer.expect(TEXT, b"by the loop's handle");
            peer.expect(TEXT, format!("kept {nth}").as_bytes());
            peer.send(&text("go on"));
            peer.expect(TEXT, b"direct");
            if nth == 0 { peer.rst() } else { end(peer) }
        });
        let mut connections = prompt(server.url()).outbox(Outbox::new()).connections();
        let handle = connections.handle();
        for (nth, connection) in (&mut connections).enumerate() {
            let mut connection = connection.unwrap();
            let (own, kept) = (handle.clone(), format!("kept {nth}"));
            let queued = spawn(move || (own.is_open(), own.send(kept).unwrap())).join();
            assert!(matches!(queued, (false, Delivery::Queued { .. })), "{queued:?}");
            connection.send("subscribe").unwrap();
            assert_eq!(handle.send("by the loop's handle").unwrap(), Delivery::Sent);
            assert_eq!(connection.recv().unwrap(), Message::from("go on"));
            let own = handle.clone();
            spawn(move || {
                assert!(own.flush(LIMIT) && own.is_open());
                assert_eq!(own.send("direct").unwrap(), Delivery::Sent);
            })
            .join();
            assert_eq!(connection.messages_until_end().count(), 0);
        }
        assert_eq!(handle.take_unsent(), []);
        server.join();
    });
}

#[test]
fn a_call_that_receives_on_an_old_connection_does_not_open_the_next_one_for_other_threads() {
    watchdog(LIMIT, || {
        let server = upgraded_times(2, |nth, peer| {
            if nth == 0 {
                peer.expect_close(1001);
                return peer.expect_end();
            }
            peer.expect(TEXT, b"subscribe");
            peer.expect(TEXT, b"by another thread");
            end(peer);
        });
        let mut connections = prompt(server.url()).connections();
        let handle = connections.handle();
        let send = || {
            let own = handle.clone();
            spawn(move || (own.is_open(), own.send("by another thread").ok())).join()
        };
        let mut first = connections.next().unwrap().unwrap();
        let mut second = connections.next().unwrap().unwrap();
        assert!(first.try_recv().is_err());
        assert_eq!(send(), (false, None));
        second.send("subscribe").unwrap();
        assert!(second.try_recv().unwrap().is_none());
        assert_eq!(send(), (true, Some(Delivery::Sent)));
        assert_eq!(second.messages_until_end().count(), 0);
        server.join();
    });
}

#[test]
fn a_message_that_the_outbox_was_sending_is_kept_when_the_connection_is_dropped() {
    watchdog(LIMIT, || {
        let big = "x".repeat(2 << 20);
        let (begun, when) = channel();
        let (dropped, until) = channel();
        let expected = big.clone();
        let server = upgraded_times(2, move |nth, peer| {
            if nth == 0 {
                let mut some = [0; 1000];
                peer.socket().read_exact(&mut some).unwrap();
                begun.send(()).unwrap();
                return peer.hold_open(&until);
            }
            peer.expect(TEXT, expected.as_bytes());
            peer.expect(TEXT, b"behind it");
            end(peer);
        });
        let outbox = Outbox::new().max_bytes(usize::MAX);
        let mut connections =
            prompt(server.url())
                .with_builder(builder().on_socket(|stream| {
                    socket2::SockRef::from(stream).set_send_buffer_size(16 << 10)
                }))
                .outbox(outbox)
                .connections();
        let handle = connections.handle();
        handle.send(big).unwrap();
        handle.send("behind it").unwrap();
        let mut connection = connections.next().unwrap().unwrap();
        assert!(connection.try_recv().unwrap().is_none());
        when.recv().unwrap();
        promptly(|| drop(connection));
        drop(dropped);
        assert_eq!(connections.next().unwrap().unwrap().messages_until_end().count(), 0);
        assert!(connections.next().is_none());
        assert_eq!(handle.take_unsent(), []);
        server.join();
    });
}

#[test]
fn the_end_of_a_loop_does_not_wait_for_a_message_over_a_connection_that_is_kept() {
    watchdog(LIMIT, || {
        let (begun, when) = channel();
        let (dropped, until) = channel();
        let server = upgraded(move |peer| {
            peer.socket().read_exact(&mut [0; 1000]).unwrap();
            begun.send(()).unwrap();
            peer.hold_open(&until);
        });
        let outbox = Outbox::new().max_bytes(usize::MAX);
        let mut connections = prompt(server.url()).outbox(outbox).connections();
        let handle = connections.handle();
        let big = Message::from("x".repeat(8 << 20));
        handle.send(big.clone()).unwrap();
        let mut connection = connections.next().unwrap().unwrap();
        assert!(connection.try_recv().unwrap().is_none());
        when.recv().unwrap();
        promptly(|| drop(connections));
        // The message is not lost, and the connection is over.
        assert_eq!(handle.take_unsent(), [big]);
        assert!(connection.recv().is_err());
        drop(dropped);
        server.join();
    });
}

#[test]
fn a_connection_may_be_used_on_another_thread() {
    watchdog(LIMIT, || {
        let server = upgraded_times(2, |nth, peer| {
            peer.send(&text("hello"));
            if nth == 0 {
                peer.fin()
            } else {
                end(peer)
            }
            peer.stall();
        });
        let mut connections = prompt(server.url()).connections();
        for connection in &mut connections {
            let mut connection = connection.unwrap();
            assert_eq!(spawn(move || connection.messages_until_end().count()).join(), 1);
        }
        assert!(matches!(connections.exit(), Some(Exit::Closed(_))), "{connections:?}");
        server.join();
    });
}
