//! App: which methods of the handler are called, in which order, for every way a connection ends.

#![allow(clippy::unwrap_used)] // `clippy.toml` allows it in test functions only.

use crate::support;

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::mpsc::channel;
use std::time::Duration;

use landline::app::Exit;
use landline::backoff::{Failure, Never};
use landline::error::{Cause, HandshakeProblem, InvalidInput, Violation};
use landline::{App, Callbacks, CloseCode, Error, Handler, Keepalive, MessageKind, Timeout};
use support::apps::{Recorder, app_at, serve_times, upgraded_times};
use support::*;

/// Runs an App with this handler against `url`, once, and returns how it ended.
fn run_once(url: &str, recorder: &mut Recorder<'_>) -> Result<Exit, Error> {
    app(url, recorder).backoff(Never).run_forever()
}

fn app<H: Handler>(url: &str, handler: H) -> App<H> {
    app_at(url, handler).with_builder(builder().close_timeout(SHORT))
}

/// Returns a backoff that waits for no time, and gives up after `most` failures in a row.
fn at_once(most: u32) -> impl FnMut(&Failure<'_>) -> Option<Duration> + Send {
    move |failure| (failure.attempts() < most).then_some(Duration::ZERO)
}

/// Checks what an App makes of a connection that `script` serves: the calls of its handler, and its
/// end.
fn ends(
    script: impl FnOnce(&mut Peer) + Send + 'static,
    log: &[&str],
    check: impl FnOnce(Result<Exit, Error>) + Send + 'static,
) {
    let log: Vec<_> = log.iter().map(|&line| line.to_owned()).collect();
    watchdog(LIMIT, move || {
        let server = upgraded(script);
        let mut recorder = Recorder::default();
        let exit = run_once(&server.url(), &mut recorder);
        assert_eq!(recorder.log, log);
        check(exit);
        server.join();
    });
}

/// Returns the error with which an App gave up.
fn given_up(exit: Result<Exit, Error>) -> Error {
    match exit {
        Ok(Exit::GaveUp { attempts: 1, error, .. }) => error,
        other => panic!("not given up after one attempt: {other:?}"),
    }
}

fn lost(exit: Result<Exit, Error>, is: fn(&Cause) -> bool) {
    let error = given_up(exit);
    let closed = error.closed().unwrap_or_else(|| panic!("not closed: {error:?}"));
    assert!(is(closed.cause()), "{closed:?}");
}

#[test]
fn a_server_that_closes_normally_ends_the_app() {
    ends(
        |peer| {
            peer.send(&text("hello"));
            peer.send(&ping(b"are you there"));
            peer.send(&binary(&[1, 2]));
            peer.send(&frame(PONG, true, b"unasked"));
            peer.send(&close(1000, "bye"));
            peer.expect(PONG, b"are you there");
            peer.expect_close(1000);
        },
        &[
            "open 101, attempt 1",
            "text hello",
            "ping are you there",
            "binary [1, 2]",
            "pong unasked",
            "close 1000 \"bye\" by the peer, clean",
        ],
        |exit| match exit.unwrap() {
            Exit::Closed(closed) => assert_eq!(closed.code(), CloseCode::NORMAL),
            other => panic!("{other:?}"),
        },
    );
}

#[test]
fn a_server_that_closes_with_a_code_of_its_own_ends_the_app() {
    ends(
        |peer| {
            peer.send(&close(4001, "no more"));
            peer.expect_close(4001);
        },
        &["open 101, attempt 1", "close 4001 \"no more\" by the peer, clean"],
        |exit| match exit.unwrap() {
            Exit::Closed(closed) => assert_eq!(closed.reason(), "no more"),
            other => panic!("{other:?}"),
        },
    );
}

#[test]
fn an_app_connects_again_to_a_server_that_goes_away() {
    ends(
        |peer| {
            peer.send(&close(1001, ""));
            peer.expect_close(1001);
        },
        &["open 101, attempt 1", "close 1001 \"\" by the peer, clean"],
        |exit| assert_eq!(given_up(exit).closed().unwrap().code(), CloseCode::GOING_AWAY),
    );
}

#[test]
fn an_app_connects_again_to_a_server_that_ends_the_stream_without_a_close() {
    ends(
        |peer| peer.fin(),
        &["open 101, attempt 1", "close 1006 \"\" by nobody, eof"],
        |exit| lost(exit, |cause| matches!(cause, Cause::Eof)),
    );
}

#[test]
fn an_app_connects_again_to_a_server_that_resets_the_connection() {
    ends(
        |peer| peer.rst(),
        &["open 101, attempt 1", "close 1006 \"\" by nobody, io"],
        |exit| lost(exit, |cause| matches!(cause, Cause::Io(_))),
    );
}

#[test]
fn a_server_that_breaks_the_protocol_ends_the_app_with_an_error() {
    ends(
        |peer| {
            peer.send(&text("good"));
            peer.send(&[0x83, 0]);
            peer.expect_close(1002);
        },
        &["open 101, attempt 1", "text good", "close 1006 \"\" by us, protocol"],
        |exit| assert!(matches!(exit, Err(Error::Protocol(Violation::ReservedOpcode(3))))),
    );
}

#[test]
fn an_app_connects_again_to_a_server_that_does_not_answer_pings() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| peer.stall());
        let keepalive = Keepalive::new(SHORT, SHORT);
        let mut recorder = Recorder::default();
        let app = app_at(server.url(), &mut recorder).with_builder(builder().keepalive(keepalive));
        let exit = app.backoff(Never).run_forever();
        assert!(matches!(given_up(exit), Error::Timeout(Timeout::Pong)));
        let log = ["open 101, attempt 1", "close 1006 \"\" by us, timeout(pong)"];
        assert_eq!(recorder.log, log);
        server.join();
    });
}

#[test]
fn a_close_in_a_callback_stops_the_app() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            peer.send(&text("enough"));
            let close = peer.expect_close(1000);
            peer.send(&text("too late"));
            peer.send(&frame(CLOSE, true, &close.payload));
        });
        let mut recorder = Recorder::default().when("text enough", |sender| {
            Ok(sender.unwrap().close((CloseCode::NORMAL, "enough"))?)
        });
        let app = app_at(server.url(), &mut recorder).with_builder(builder());
        // The backoff is not asked: it would connect again.
        let exit = app.backoff(at_once(9)).run_forever();
        assert!(matches!(exit, Ok(Exit::Stopped)), "{exit:?}");
        let log = ["open 101, attempt 1", "text enough", "close 1000 \"enough\" by us, clean"];
        assert_eq!(recorder.log, log);
        server.join();
    });
}

#[test]
fn an_app_leaves_a_server_that_does_not_answer_its_close_after_close_timeout() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| peer.stall());
        let mut recorder = Recorder::default()
            .when("open", |sender| Ok(sender.unwrap().close(CloseCode::NORMAL)?));
        let exit = takes(SHORT, || run_once(&server.url(), &mut recorder));
        assert!(matches!(exit, Ok(Exit::Stopped)), "{exit:?}");
        assert_eq!(recorder.log[1], "close 1006 \"\" by us, timeout(close)");
        server.join();
    });
}

#[test]
fn on_error_is_called_for_every_attempt_that_the_server_refuses() {
    watchdog(LIMIT, || {
        let server = serve_times(4, |nth, peer| {
            peer.read_request();
            match nth {
                0 => peer.send(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"),
                1 => peer.send(b"HTTP/1.1 429 Slow down\r\nContent-Length: 0\r\n\r\n"),
                2 => {
                    let answer = peer.good_answer("");
                    peer.send(&answer);
                    peer.fin();
                    peer.expect_end();
                }
                _ => peer.send(b"HTTP/1.1 401 Who are you\r\nContent-Length: 0\r\n\r\n"),
            }
        });
        let mut recorder = Recorder::default();
        let exit = app(&server.url(), &mut recorder).backoff(at_once(4)).run_forever();
        // A connection has stood by then, so the 401 is not final.
        let Ok(Exit::GaveUp { attempts: 4, error: Error::Handshake(refused), .. }) = exit else {
            panic!("{exit:?}")
        };
        assert_eq!(refused.problem(), &HandshakeProblem::Refused);
        let log = [
            "error status 503",
            "error status 429",
            "open 101, attempt 3",
            "close 1006 \"\" by nobody, eof",
            "error status 401",
        ];
        assert_eq!(recorder.log, log);
        server.join();
    });
}

#[test]
fn a_server_that_speaks_no_http_ends_the_app() {
    watchdog(LIMIT, || {
        let server = serve(|peer| {
            peer.read_request();
            peer.send(b"SSH-2.0-OpenSSH\r\n\r\n");
        });
        let mut recorder = Recorder::default();
        let exit = app(&server.url(), &mut recorder).backoff(at_once(9)).run_forever();
        assert!(matches!(exit, Err(Error::Handshake(_))), "{exit:?}");
        assert_eq!(recorder.log.len(), 1);
        server.join();
    });
}

#[test]
fn an_app_tries_a_server_that_is_not_there_until_the_backoff_gives_up() {
    watchdog(LIMIT, || {
        let addr = closed();
        let mut recorder = Recorder::default();
        let (seen, backoff) = channel();
        let exit = app(&format!("ws://{addr}"), &mut recorder)
            .backoff(move |failure: &Failure<'_>| {
                seen.send(failure.attempts()).unwrap();
                (failure.attempts() < 4).then_some(Duration::ZERO)
            })
            .run_forever();
        assert_eq!(backoff.iter().collect::<Vec<_>>(), [1, 2, 3, 4]);
        assert_eq!(recorder.log, ["error connect"; 4]);
        match exit.unwrap() {
            exit @ Exit::GaveUp { attempts: 4, .. } => {
                assert!(exit.to_string().starts_with("gave up after 4 attempts: cannot connect"));
            }
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn a_wrong_url_fails_at_once_and_the_backoff_is_not_asked() {
    watchdog(LIMIT, || {
        let mut recorder = Recorder::default();
        let exit = app("http://localhost/", &mut recorder)
            .backoff(|_: &Failure<'_>| panic!("it would be the same again"))
            .run_forever();
        assert!(matches!(exit, Err(Error::InvalidInput(InvalidInput::Url(_)))), "{exit:?}");
        assert_eq!(recorder.log, ["error input"]);
    });
}

#[test]
fn on_open_tells_whether_there_was_a_connection_before() {
    watchdog(LIMIT, || {
        let server = upgraded_times(3, |nth, peer| {
            peer.send(&text(&format!("connection {nth}")));
            if nth < 2 {
                peer.fin();
                peer.expect_end();
            } else {
                peer.send(&close(1000, ""));
                peer.expect_close(1000);
            }
        });
        let mut recorder = Recorder::default();
        let exit = app(&server.url(), &mut recorder)
            .stable_after(Duration::ZERO)
            .backoff(at_once(2))
            .run_forever();
        assert!(matches!(exit, Ok(Exit::Closed(_))), "{exit:?}");
        let log = [
            "open 101, attempt 1",
            "text connection 0",
            "close 1006 \"\" by nobody, eof",
            "open 101, attempt 1 again",
            "text connection 1",
            "close 1006 \"\" by nobody, eof",
            "open 101, attempt 1 again",
            "text connection 2",
            "close 1000 \"\" by the peer, clean",
        ];
        assert_eq!(recorder.log, log);
        server.join();
    });
}

#[test]
fn on_fragment_is_called_if_the_builder_asks_for_fragments() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            peer.send(&frame(BINARY, false, &[1]));
            peer.send(&frame(0, true, &[2]));
            peer.send(&close(1000, ""));
            peer.expect_close(1000);
        });
        let mut recorder = Recorder::default();
        let app = app_at(server.url(), &mut recorder).with_builder(builder().fragments(true));
        app.run_forever().unwrap();
        let lines: Vec<_> =
            recorder.log.iter().filter(|line| line.starts_with("fragment")).collect();
        let bytes: String = lines.iter().map(|line| line.as_str()).collect();
        assert!(bytes.contains('1') && bytes.contains('2'), "{bytes}");
        assert_eq!(bytes.matches("the last").count(), 1, "{bytes}");
        assert!(!recorder.log.iter().any(|line| line.starts_with("binary")));
        server.join();
    });
}

#[test]
fn a_boxed_handler_gets_each_call() {
    watchdog(LIMIT, || {
        for (fragments, message) in [(false, "text a"), (true, "fragment [97], the last")] {
            let server = serve_times(2, |nth, peer| {
                if nth == 0 {
                    peer.read_request();
                    return peer.send(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
                }
                peer.upgrade();
                peer.send(&text("a"));
                peer.send(&ping(b"b"));
                peer.send(&frame(PONG, true, b"c"));
                peer.send(&close(1000, "d"));
                peer.expect(PONG, b"b");
                peer.expect_close(1000);
            });
            let mut recorder = Recorder::default();
            let handler: Box<dyn Handler + '_> = Box::new(&mut recorder);
            let app = app_at(server.url(), handler).with_builder(builder().fragments(fragments));
            app.backoff(at_once(2)).run_forever().unwrap();
            let log = [
                "error status 503",
                "open 101, attempt 2",
                message,
                "ping b",
                "pong c",
                "close 1000 \"d\" by the peer, clean",
            ];
            assert_eq!(recorder.log, log);
            server.join();
        }
    });
}

#[test]
fn closures_borrow_from_their_surroundings() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            peer.expect(TEXT, b"subscribe");
            peer.send(&text("one"));
            peer.send(&text("two"));
            peer.send(&ping(b"p"));
            peer.send(&frame(PONG, true, b"q"));
            peer.send(&close(1000, ""));
            peer.expect(PONG, b"p");
            peer.expect_close(1000);
        });
        let (mut texts, mut others) = (Vec::new(), std::sync::Mutex::new(String::new()));
        let callbacks = Callbacks::new()
            .on_open(|ws, open| {
                assert!(!open.reconnected);
                ws.send("subscribe")
            })
            .on_message(|_, message| texts.push(message.as_bytes().to_vec()))
            .on_ping(|_, _| others.lock().unwrap().push_str("ping "))
            .on_pong(|_, _| others.lock().unwrap().push_str("pong "))
            .on_close(|closed| {
                others.lock().unwrap().push_str(&closed.code().value().to_string());
            });
        app_at(server.url(), callbacks).run_forever().unwrap();
        assert_eq!(texts, [b"one", b"two"]);
        assert_eq!(others.get_mut().unwrap(), "ping pong 1000");
        server.join();
    });
}

#[test]
fn debug_does_not_show_a_url_with_secrets() {
    let app = App::new("ws://user:canary@localhost/?token=canary", Callbacks::new());
    assert!(!format!("{app:?} {:?}", app.handle()).contains("canary"));
    let exit = app
        .connect_with(|attempt| Err(Error::Handler(format!("{attempt:?}").into())))
        .run_forever();
    assert!(!exit.unwrap_err().to_string().contains("canary"));
}

#[test]
fn an_app_connects_again_after_a_server_did_not_accept_in_time() {
    watchdog(LIMIT, || {
        let (listener, waiting) = full_backlog();
        let url = format!("ws://{}", TcpListener::local_addr(&listener).unwrap());
        let mut recorder = Recorder::default();
        let app = app_at(url, &mut recorder).with_builder(builder().open_timeout(SHORT));
        let exit = app.backoff(at_once(2)).run_forever();
        assert!(matches!(exit, Ok(Exit::GaveUp { attempts: 2, .. })), "{exit:?}");
        assert_eq!(recorder.log, ["error Timeout(Connect)"; 2]);
        drop((listener, waiting));
    });
}

#[test]
fn a_server_that_breaks_the_protocol_and_goes_on_is_told_why() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            peer.send(&[0x82, 127, 0x40, 0, 0, 0, 0, 0, 0, 0]);
            peer.send(&vec![0; 1 << 20]);
            peer.expect_close(1009);
            // The client ends the stream, and does not reset it.
            assert_eq!(peer.socket().read(&mut [0]).unwrap(), 0);
        });
        let exit = app_at(server.url(), Callbacks::new()).run_forever();
        assert!(matches!(exit, Err(Error::Protocol(_))), "{exit:?}");
        server.join();
    });
}

#[test]
fn a_handler_that_abandons_a_message_loses_the_connection_and_does_not_stop_the_app() {
    watchdog(LIMIT, || {
        // It does not matter how the server answers.
        for answer in [close(1011, ""), close(1000, ""), Vec::new()] {
            let server = upgraded_times(2, move |nth, peer| match nth {
                0 => {
                    peer.expect_fragment(b"half");
                    peer.expect_close(1011);
                    peer.send(&answer);
                }
                _ => peer.send(&close(1000, "")),
            });
            let mut recorder = Recorder::default().when("open 101, attempt 1", |sender| {
                let mut writer = sender.unwrap().writer(MessageKind::Text)?;
                writer.write_all(b"half")?;
                Ok(writer.flush()?)
            });
            let app = app(&server.url(), &mut recorder).backoff(at_once(9));
            let exit = app.run_forever();
            assert!(matches!(exit, Ok(Exit::Closed(_))), "{exit:?}");
            assert_eq!(recorder.log.len(), 4, "{:?}", recorder.log);
            server.join();
        }
    });
}
