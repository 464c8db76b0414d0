//! App: after which failures it connects again, when, and where to.

#![allow(clippy::unwrap_used)] // `clippy.toml` allows it in test functions only.

use crate::support;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use landline::app::Exit;
use landline::backoff::{Backoff, Exponential, Failure, Fixed, Never};
use landline::{Callbacks, CloseCode, Error, Keepalive, Timeout};
use support::apps::{Recorder, app_at, serve_times, upgraded_times};
use support::*;

/// Runs an App against a server until its backoff has been asked `most` times. Returns the number
/// of failures in a row that the backoff was told each time.
fn attempts(url: &str, most: usize, stable_after: Duration) -> Vec<u32> {
    let (seen, told) = channel();
    let mut left = most;
    let exit = app_at(url, Callbacks::new())
        .with_builder(builder())
        .stable_after(stable_after)
        .backoff(move |failure: &Failure<'_>| {
            seen.send(failure.attempts()).unwrap();
            left -= 1;
            (left > 0).then_some(Duration::ZERO)
        })
        .run_forever();
    assert!(matches!(exit, Ok(Exit::GaveUp { .. })), "{exit:?}");
    told.iter().collect()
}

#[test]
fn a_server_that_accepts_and_drops_counts_as_one_that_fails() {
    watchdog(LIMIT, || {
        for script in [
            (|peer| peer.fin()) as fn(&mut Peer),
            |peer| peer.rst(),
            |peer| peer.send(&close(1001, "")),
            |peer| peer.send(&close(1012, "")),
            |peer| peer.send(&close(1013, "")),
        ] {
            let server = upgraded_times(4, move |_, peer| script(peer));
            assert_eq!(attempts(&server.url(), 4, Duration::from_secs(3600)), [1, 2, 3, 4]);
            server.join();
        }
    });
}

#[test]
fn a_server_that_sends_something_and_drops_counts_as_one_that_fails() {
    watchdog(LIMIT, || {
        for bytes in [text("x"), binary(b"x"), ping(b"x"), frame(PONG, true, b"x")] {
            let server = upgraded_times(4, move |_, peer| {
                peer.send(&bytes);
                peer.fin();
                peer.stall();
            });
            assert_eq!(attempts(&server.url(), 4, Duration::from_secs(3600)), [1, 2, 3, 4]);
            server.join();
        }
    });
}

#[test]
fn a_server_that_greets_and_drops_meets_the_limit_of_attempts() {
    watchdog(LIMIT, || {
        let server = upgraded_times(3, |_, peer| {
            peer.send(&text("welcome"));
            peer.send(&close(1012, ""));
            peer.stall();
        });
        let mut greetings = 0;
        let callbacks = Callbacks::new().on_message(|_, _| greetings += 1);
        // `stable_after` has its default.
        let exit = app_at(server.url(), callbacks)
            .backoff(Exponential::new().base(Duration::ZERO).max_attempts(3))
            .run_forever();
        let Ok(Exit::GaveUp { attempts: 3, error, .. }) = exit else { panic!("{exit:?}") };
        // The last failure is a Close: the App did not try a fourth connection, which would be
        // refused.
        assert_eq!(error.closed().unwrap().code(), CloseCode::SERVICE_RESTART);
        assert_eq!(greetings, 3);
        server.join();
    });
}

#[test]
fn the_end_of_a_stable_connection_is_the_first_failure() {
    watchdog(LIMIT, || {
        let server = upgraded_times(3, |_, peer| peer.fin());
        assert_eq!(attempts(&server.url(), 3, Duration::ZERO), [1, 1, 1]);
        server.join();
    });
}

#[test]
fn the_backoff_is_told_how_long_there_was_no_connection() {
    watchdog(LIMIT, || {
        let addr = closed();
        let (seen, told) = channel();
        let pause = Duration::from_millis(30);
        let exit = app_at(format!("ws://{addr}"), Callbacks::new())
            .backoff(move |failure: &Failure<'_>| {
                seen.send(failure.down_for()).unwrap();
                (failure.attempts() < 3).then_some(pause)
            })
            .run_forever();
        assert!(matches!(exit, Ok(Exit::GaveUp { .. })));
        let told: Vec<_> = told.iter().collect();
        assert!(told[1] >= told[0] + pause && told[2] >= told[1] + pause, "{told:?}");
    });
}

#[test]
fn an_app_waits_as_long_as_the_server_asks() {
    watchdog(LIMIT, || {
        for status in [429, 503] {
            let server = serve_times(2, move |nth, peer| {
                peer.read_request();
                let after = if nth == 0 { "Retry-After: 1\r\n" } else { "" };
                let head = format!("HTTP/1.1 {status} No\r\n{after}Content-Length: 0\r\n\r\n");
                peer.send(head.as_bytes());
            });
            let app = app_at(server.url(), Callbacks::new());
            let mut left = 2;
            let app = app.backoff(move |failure: &Failure<'_>| {
                left -= 1;
                let asked = if left == 1 { Some(Duration::from_secs(1)) } else { None };
                assert_eq!(failure.retry_after(), asked);
                (left > 0).then_some(Duration::ZERO)
            });
            let exit = takes(Duration::from_secs(1), || app.run_forever());
            assert!(matches!(exit, Ok(Exit::GaveUp { .. })), "{exit:?}");
            server.join();
        }
    });
}

#[test]
#[cfg(feature = "proxy")]
fn an_app_waits_as_long_as_the_proxy_asks() {
    use landline::proxy::Proxy;

    watchdog(LIMIT, || {
        for (status, value, obeyed) in
            [(429, "1", Some(1)), (503, "1", Some(1)), (503, "7200", Some(3600)), (502, "1", None)]
        {
            let proxy = serve(move |peer| {
                peer.read_request();
                let rest = format!("Retry-After: {value}\r\nContent-Length: 0\r\n\r\n");
                peer.send(format!("HTTP/1.1 {status} No\r\n{rest}").as_bytes());
            });
            let way = Proxy::new(&format!("http://{}", proxy.addr)).unwrap();
            let builder = builder().proxy(way);
            let error = builder.connect("ws://server.test/").unwrap_err();
            let failure = Failure::new(&error, 1, Duration::ZERO);
            assert!(failure.is_retryable());
            assert_eq!(failure.retry_after(), obeyed.map(Duration::from_secs), "{status} {value}");
            proxy.join();
        }
    });
}

#[test]
fn a_server_cannot_make_an_app_wait_for_more_than_an_hour() {
    watchdog(LIMIT, || {
        let hour = Some(Duration::from_secs(3600));
        for (value, obeyed) in [
            ("7200", hour),
            ("18446744073709551616", hour),
            ("99999999999999999999999999999999999999", hour),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
            ("", None),
            ("0", Some(Duration::ZERO)),
        ] {
            let server = serve(move |peer| {
                peer.read_request();
                let head = format!("HTTP/1.1 503 No\r\nRetry-After: {value}\r\n\r\n");
                peer.send(head.as_bytes());
                peer.fin();
                peer.stall();
            });
            let app = app_at(server.url(), Callbacks::new()).backoff(Never);
            let Ok(Exit::GaveUp { error, .. }) = app.run_forever() else { panic!("{value}") };
            let failure = Failure::new(&error, 1, Duration::ZERO);
            assert_eq!(failure.retry_after(), obeyed, "{value}");
            server.join();
        }
    });
}

/// Returns whether an App connects again after what `script` does: at the first attempt, and after
/// a short connection has stood.
fn tries_again(script: impl Fn(&mut Peer) + Send + Clone + 'static) -> [bool; 2] {
    [0, 1].map(|before| {
        let script = script.clone();
        let server = serve_times(before + 1, move |nth, peer| match nth {
            nth if nth < before => {
                peer.upgrade();
                peer.send(&close(1012, "restarting"));
                peer.stall();
            }
            _ => script(peer),
        });
        let mut left = before;
        let exit = app_at(server.url(), Callbacks::new())
            .backoff(move |_: &Failure<'_>| {
                left = left.checked_sub(1)?;
                Some(Duration::ZERO)
            })
            .run_forever();
        server.join();
        match exit {
            Ok(Exit::GaveUp { .. }) => true,
            Ok(Exit::Closed(_)) | Err(Error::Handshake(_) | Error::Protocol(_)) => false,
            other => panic!("{other:?}"),
        }
    })
}

#[test]
fn the_status_of_a_refusal_decides_until_a_connection_has_stood() {
    watchdog(LIMIT, || {
        for (status, again) in [
            (200, false),
            (400, false),
            (401, false),
            (403, false),
            (404, false),
            (408, true),
            (426, false),
            (429, true),
            (500, true),
            (502, true),
            (503, true),
            (504, true),
        ] {
            let tried = tries_again(move |peer| {
                peer.read_request();
                peer.send(format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n").as_bytes());
            });
            assert_eq!(tried, [again, true], "{status}");
        }
    });
}

#[test]
fn the_code_of_a_close_decides_and_only_a_normal_one_is_final_once_a_connection_has_stood() {
    watchdog(LIMIT, || {
        for (code, again) in [
            (1000, [false, false]),
            (1001, [true, true]),
            (1002, [false, true]),
            (1003, [false, true]),
            (1007, [false, true]),
            (1008, [false, true]),
            (1009, [false, true]),
            (1010, [false, true]),
            (1011, [true, true]),
            (1012, [true, true]),
            (1013, [true, true]),
            (1014, [true, true]),
            (3000, [false, true]),
            (4999, [false, true]),
        ] {
            let tried = tries_again(move |peer| {
                peer.upgrade();
                peer.send(&close(code, ""));
                peer.expect_close(code);
            });
            assert_eq!(tried, again, "{code}");
        }
        let without_a_code = tries_again(|peer| {
            peer.upgrade();
            peer.send(&frame(CLOSE, true, &[]));
            peer.stall();
        });
        assert_eq!(without_a_code, [false, false]);
    });
}

#[test]
fn a_violation_is_final_until_a_connection_has_stood() {
    watchdog(LIMIT, || {
        // A reason that was cut inside a character hides its code.
        let cut = [&1012u16.to_be_bytes()[..], "restart in 5 \u{20ac}".as_bytes()].concat();
        let cut = frame(CLOSE, true, &cut[..cut.len() - 1]);
        for (bytes, answer) in [
            (frame(TEXT, true, b"\xFF"), 1007),
            (cut, 1007),
            (vec![0x83, 0], 1002),
            (frame(BINARY, true, &[0; 2000]), 1009),
        ] {
            let script = move |peer: &mut Peer| {
                peer.upgrade();
                peer.send(&bytes);
                peer.expect_close(answer);
            };
            let server = serve(script.clone());
            let limited = builder().max_message_size(1000).max_frame_size(1000);
            let first = app_at(server.url(), Callbacks::new()).with_builder(limited).run_forever();
            assert!(matches!(first, Err(Error::Protocol(_))), "{first:?}");
            server.join();

            // This is the first connection, but it was stable.
            let server = serve(script);
            let limited = builder().max_message_size(1000).max_frame_size(1000);
            let lived = app_at(server.url(), Callbacks::new())
                .with_builder(limited)
                .stable_after(Duration::ZERO)
                .backoff(Never)
                .run_forever();
            assert!(
                matches!(lived, Ok(Exit::GaveUp { error: Error::Protocol(_), .. })),
                "{lived:?}"
            );
            server.join();
        }
        let not_utf8 = tries_again(|peer| {
            peer.upgrade();
            peer.send(&frame(TEXT, true, b"\xFF"));
            peer.expect_close(1007);
        });
        assert_eq!(not_utf8, [false, true]);
    });
}

#[test]
fn an_answer_that_opens_no_websocket_is_final_until_a_connection_has_stood() {
    watchdog(LIMIT, || {
        for answer in [
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
            "SSH-2.0-server\r\n",
        ] {
            let tried = tries_again(move |peer| {
                peer.read_request();
                peer.send(answer.as_bytes());
            });
            assert_eq!(tried, [false, true], "{answer}");
        }
    });
}

#[test]
fn wrong_input_and_an_error_of_the_handler_are_always_final() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| peer.fin());
        let mut urls = [server.url(), "ftp://localhost".to_owned()].into_iter();
        let exit = app_at("", Callbacks::new())
            .connect_with(move |attempt| attempt.builder.connect(&urls.next().unwrap()))
            .backoff(SOON)
            .run_forever();
        assert!(matches!(exit, Err(Error::InvalidInput(_))), "{exit:?}");
        server.join();

        let server = upgraded_times(2, |_, peer| {
            peer.send(&text("x"));
            peer.fin();
            peer.stall();
        });
        let mut count = 0;
        let callbacks = Callbacks::new().on_message(|_, _| {
            count += 1;
            if count == 2 { Err("no more") } else { Ok(()) }
        });
        let exit = app_at(server.url(), callbacks).backoff(SOON).run_forever();
        assert!(matches!(exit, Err(Error::Handler(_))), "{exit:?}");
        server.join();
    });
}

#[test]
fn retry_if_is_told_whether_a_connection_has_stood() {
    watchdog(LIMIT, || {
        let server = serve_times(3, |nth, peer| {
            if nth == 1 {
                peer.upgrade();
                return peer.fin();
            }
            peer.read_request();
            peer.send(b"HTTP/1.1 503 Not Yet\r\nContent-Length: 0\r\n\r\n");
        });
        let (seen, told) = channel();
        let exit = app_at(server.url(), Callbacks::new())
            .retry_if(move |failure| {
                seen.send(failure.has_stood()).unwrap();
                !failure.has_stood()
            })
            .backoff(SOON)
            .run_forever();
        assert!(matches!(exit, Err(Error::Handshake(_))), "{exit:?}");
        // The first connection was not stable, so none has stood when it ends.
        assert_eq!(told.iter().collect::<Vec<_>>(), [false, false, true]);
        server.join();
    });
}

#[test]
fn an_app_can_connect_again_after_a_normal_close() {
    watchdog(LIMIT, || {
        let server = upgraded_times(3, |nth, peer| {
            // A Close without a code counts as one with 1000.
            let bytes = [close(1000, ""), frame(CLOSE, true, &[]), close(1000, "again")];
            peer.send(&bytes[nth]);
            peer.stall();
        });
        let mut recorder = Recorder::default();
        let exit = app_at(server.url(), &mut recorder)
            .reconnect_after_normal_close(true)
            .backoff(|failure: &Failure<'_>| (failure.attempts() < 3).then_some(Duration::ZERO))
            .run_forever();
        assert!(matches!(exit, Ok(Exit::GaveUp { attempts: 3, .. })), "{exit:?}");
        assert_eq!(recorder.log.len(), 6);
        server.join();
    });
}

#[test]
fn retry_if_replaces_the_rule() {
    watchdog(LIMIT, || {
        let server = serve_times(3, |nth, peer| {
            peer.read_request();
            let status = if nth < 2 { 401 } else { 500 };
            peer.send(format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n").as_bytes());
        });
        let exit = app_at(server.url(), Callbacks::new())
            .retry_if(|failure| failure.error().to_string().contains("401"))
            .backoff(Fixed(Duration::ZERO))
            .run_forever();
        assert!(matches!(exit, Err(Error::Handshake(_))), "{exit:?}");
        server.join();
    });
}

#[test]
fn connect_with_may_use_another_url_and_token_for_each_attempt() {
    watchdog(LIMIT, || {
        let script = |nth: usize, peer: &mut Peer| {
            peer.read_request();
            assert_eq!(peer.header("Authorization"), [format!("Bearer token {nth}")]);
            peer.send(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n");
        };
        let one = serve_times(1, move |_, peer| script(1, peer));
        let two = serve_times(1, move |_, peer| script(2, peer));
        let urls = [one.url(), two.url()];
        let exit = app_at("ws://unused", Callbacks::new())
            .connect_with(move |attempt| {
                assert_eq!(attempt.url, "ws://unused");
                assert!(!attempt.reconnecting);
                let token = format!("token {}", attempt.number);
                let url = &urls[attempt.number as usize - 1];
                attempt.builder.bearer_auth(&token).connect(url)
            })
            .backoff(|failure: &Failure<'_>| (failure.attempts() < 2).then_some(Duration::ZERO))
            .run_forever();
        assert!(matches!(exit, Ok(Exit::GaveUp { attempts: 2, .. })), "{exit:?}");
        one.join();
        two.join();
    });
}

/// Returns a resolver that gives the next of these addresses each time, and fails for `None`. It
/// may be asked for one name only.
fn turns(
    name: &'static str,
    turns: impl IntoIterator<Item = Option<SocketAddr>>,
) -> impl Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static {
    let turns: VecDeque<_> = turns.into_iter().collect();
    let turns = Mutex::new(turns);
    move |asked, _| {
        assert_eq!(asked, name);
        let next = turns.lock().unwrap().pop_front().expect("another attempt");
        next.map(|address| vec![address]).ok_or_else(|| io::Error::other("no such name now"))
    }
}

const SOON: Fixed = Fixed(Duration::from_millis(2));

#[test]
fn every_attempt_looks_the_name_up_again() {
    watchdog(LIMIT, || {
        let first = upgraded(|peer| peer.fin());
        let second = upgraded(|peer| {
            peer.send(&close(1000, "moved"));
            peer.expect_close(1000);
        });
        let resolver =
            turns("moving.test", [None, None, Some(first.addr), None, Some(second.addr)]);
        let mut recorder = Recorder::default();
        let exit = app_at("ws://moving.test", &mut recorder)
            .with_builder(builder().resolver(resolver))
            .backoff(SOON)
            .run_forever();
        assert!(matches!(exit, Ok(Exit::Closed(_))), "{exit:?}");
        let expected = [
            "error connect",
            "error connect",
            "open 101, attempt 3",
            "close 1006 \"\" by nobody, eof",
            "error connect",
            "open 101, attempt 5 again",
            "close 1000 \"moved\" by the peer, clean",
        ];
        assert_eq!(recorder.log, expected);
        first.join();
        second.join();
    });
}

#[test]
fn an_app_does_not_follow_a_name_to_an_address_that_the_filter_refuses() {
    watchdog(LIMIT, || {
        let server = upgraded_times(2, |nth, peer| match nth {
            0 => peer.fin(),
            _ => {
                peer.send(&close(1000, ""));
                peer.expect_close(1000);
            }
        });
        let denied = listener();
        denied.set_nonblocking(true).unwrap();
        let denied_addr = denied.local_addr().unwrap();
        let addresses = [server.addr, denied_addr, server.addr];
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        let builder = builder().resolver(turns("moving.test", addresses.map(Some)));
        let builder = builder.address_filter(move |address| {
            log.lock().unwrap().push(address);
            address != denied_addr
        });
        let mut recorder = Recorder::default();
        let exit = app_at("ws://moving.test", &mut recorder)
            .with_builder(builder)
            .backoff(SOON)
            .run_forever();
        assert!(matches!(exit, Ok(Exit::Closed(_))), "{exit:?}");
        assert_eq!(*asked.lock().unwrap(), addresses);
        assert!(denied.accept().is_err(), "it was connected to");
        let expected = [
            "open 101, attempt 1",
            "close 1006 \"\" by nobody, eof",
            "error connect",
            "open 101, attempt 3 again",
            "close 1000 \"\" by the peer, clean",
        ];
        assert_eq!(recorder.log, expected);
        server.join();
    });
}

#[test]
#[cfg(feature = "proxy")]
fn an_app_waits_for_a_proxy_that_is_down_and_does_not_connect_directly() {
    use landline::proxy::Proxy;
    use support::proxy::{Relay, Rules};

    watchdog(LIMIT, || {
        let server = upgraded_times(2, |nth, peer| match nth {
            0 => peer.fin(),
            _ => {
                peer.send(&close(1000, ""));
                peer.expect_close(1000);
            }
        });
        let proxy = Relay::start(server.addr, Rules::default());
        let starting = serve(|peer| {
            peer.read_request();
            peer.send(b"HTTP/1.1 503 Not Yet\r\nContent-Length: 0\r\n\r\n");
        });
        let falling = serve(|peer| peer.rst());
        // The client looks up the proxy's name only.
        let addresses = [proxy.addr, closed(), falling.addr, starting.addr, proxy.addr];
        let through = builder()
            .proxy(Proxy::new("http://proxy.test").unwrap())
            .resolver(turns("proxy.test", addresses.map(Some)));
        let (seen, failures) = channel();
        let exit = app_at("ws://server.test", Callbacks::new())
            .with_builder(through)
            .backoff(move |failure: &Failure<'_>| {
                seen.send(matches!(failure.error(), Error::Proxy(_))).unwrap();
                Some(SOON.0)
            })
            .run_forever();
        assert!(matches!(exit, Ok(Exit::Closed(_))), "{exit:?}");
        // The first failure is the end of the connection, the others are the proxy's.
        assert_eq!(failures.iter().collect::<Vec<_>>(), [false, true, true, true]);
        let asked = proxy.asked().into_iter().map(|asked| asked.destination);
        assert_eq!(asked.collect::<Vec<_>>(), ["server.test:80"; 2]);
        server.join();
        starting.join();
        falling.join();
    });
}

#[test]
fn an_error_of_connect_with_ends_the_app() {
    watchdog(LIMIT, || {
        let mut recorder = Recorder::default();
        let exit = app_at("ws://unused", &mut recorder)
            .connect_with(|_| Err(Error::Handler("no token".into())))
            .run_forever();
        assert!(matches!(exit, Err(Error::Handler(_))), "{exit:?}");
        assert_eq!(recorder.log, ["error handler no token"]);
    });
}

#[test]
fn each_connection_begins_its_keepalive_anew() {
    watchdog(LIMIT, || {
        let server = serve_times(2, move |nth, peer| {
            peer.read_request();
            let open = Instant::now(); // The timer begins later, with the answer.
            let answer = peer.good_answer("");
            peer.send(&answer);
            let first = peer.next_frame().unwrap();
            assert_eq!(first.opcode, PING);
            // The timer does not go on from the connection before.
            assert!(open.elapsed() + Duration::from_millis(15) >= SHORT * 2);
            if nth == 0 {
                peer.fin(); // The ping is not answered.
                peer.stall();
            } else {
                peer.send(&frame(PONG, true, b"stale"));
                peer.send(&frame(PONG, true, &first.payload));
                peer.send(&close(1000, ""));
                peer.stall();
            }
        });
        let keepalive = Keepalive::new(SHORT * 2, SHORT * 20);
        let mut latency = Vec::new();
        let callbacks = Callbacks::new().on_pong(|ws, _| latency.push(ws.latency().is_some()));
        let exit = app_at(server.url(), callbacks)
            .with_builder(builder().keepalive(keepalive))
            .backoff(Fixed(Duration::ZERO))
            .run_forever();
        assert!(matches!(exit, Ok(Exit::Closed(_))), "{exit:?}");
        assert_eq!(latency, [false, true], "a stale pong measures nothing");
        server.join();
    });
}

#[test]
fn a_slow_callback_does_not_make_a_live_peer_dead() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            let first = peer.next_frame().unwrap();
            assert_eq!(first.opcode, PING);
            // The pong is in time, but it is behind a message whose callback takes long.
            peer.send(&text("slow"));
            peer.send(&frame(PONG, true, &first.payload));
            while peer.next_frame().is_some_and(|frame| frame.opcode == PING) {
                peer.send(&text("stop"));
            }
            peer.send(&close(1000, ""));
        });
        let timeout = PROMPT / 2;
        let keepalive = Keepalive::new(SHORT, timeout);
        let callbacks = Callbacks::new().on_message(|ws, message| {
            if message.as_bytes() == b"stop" {
                return ws.close(CloseCode::NORMAL);
            }
            std::thread::sleep(timeout + SHORT * 2); // This makes the callback slow.
            Ok(())
        });
        let exit = app_at(server.url(), callbacks)
            .with_builder(builder().keepalive(keepalive))
            .backoff(Never)
            .run_forever();
        assert!(matches!(exit, Ok(Exit::Stopped)), "{exit:?}");
        server.join();
    });
}

/// Makes a failure to ask a backoff about.
fn failure(error: &Error, attempts: u32, down_for: Duration) -> Failure<'_> {
    Failure::new(error, attempts, down_for)
}

#[test]
fn exponential_waits_grow_up_to_the_cap_and_are_spread_evenly() {
    let error = Error::Timeout(Timeout::Connect);
    let seconds = Duration::from_secs;
    let mut backoff = Exponential::new().base(seconds(2)).factor(3.0).cap(seconds(50));
    for (attempts, limit) in [(1, 2), (2, 6), (3, 18), (4, 50), (5, 50), (u32::MAX, 50)] {
        let draws: Vec<_> = (0..10_000)
            .map(|_| backoff.delay(&failure(&error, attempts, Duration::ZERO)).unwrap())
            .collect();
        assert!(draws.iter().all(|delay| *delay <= seconds(limit)));
        let mean = draws.iter().sum::<Duration>().as_secs_f64() / 10_000.0;
        // The tolerance is ten standard deviations of the mean of uniform draws.
        assert!((mean / limit as f64 - 0.5).abs() < 0.03, "{attempts}: {mean}");
    }
}

#[test]
fn exponential_gives_up_by_count_and_by_time() {
    let error = Error::Timeout(Timeout::Connect);
    let mut backoff = Exponential::new().max_attempts(3);
    let mut delay = |attempts| backoff.delay(&failure(&error, attempts, Duration::ZERO));
    assert!(delay(2).is_some() && delay(3).is_none() && delay(4).is_none());

    let hour = Duration::from_secs(3600);
    let mut backoff = Exponential::new().max_elapsed(hour);
    let mut delay = |down_for| backoff.delay(&failure(&error, 1, down_for));
    assert!(delay(hour - Duration::from_secs(2)).is_some());
    assert!(delay(hour + Duration::from_nanos(1)).is_none());
    assert!(delay(Duration::MAX).is_none());
}

#[test]
fn exponential_never_waits_longer_than_the_cap_for_any_numbers() {
    let error = Error::Timeout(Timeout::Connect);
    for base in [Duration::ZERO, Duration::from_nanos(1), Duration::MAX] {
        for factor in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 0.0, 1.0, 1e300] {
            for cap in [Duration::ZERO, Duration::from_secs(1), Duration::MAX] {
                let mut backoff = Exponential::new().base(base).factor(factor).cap(cap);
                for attempts in [0, 1, 2, 1000, u32::MAX] {
                    let delay = backoff.delay(&failure(&error, attempts, Duration::ZERO));
                    assert!(delay.unwrap() <= cap, "{base:?} {factor} {cap:?} {attempts}");
                }
            }
        }
    }
}
