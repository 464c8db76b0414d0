//! Servers whose answer to the opening handshake is wrong or missing.

#![allow(clippy::unwrap_used)] // `clippy.toml` allows it in test functions only.

use crate::support;

use std::net::TcpStream;
use std::sync::mpsc::channel;
use std::time::Duration;

use landline::error::{HandshakeProblem, HeadError, Mismatch};
use landline::{Builder, Error, Message, Timeout};
use support::streams::{Call, Judged};
use support::*;

/// Starts a server that answers the request with these bytes and ends the stream.
fn answers(bytes: Vec<u8>) -> Server<()> {
    serve(move |peer| {
        peer.read_request();
        let _ = peer.try_send(&bytes);
        let _ = peer.socket().shutdown(std::net::Shutdown::Write);
        peer.stall();
    })
}

/// Returns the error of a client that connects to the server, which must come promptly.
fn refusal(builder: Builder, server: Server<()>) -> Error {
    let refused = promptly(|| error(builder.connect(&server.url())));
    drop(builder);
    server.join();
    refused
}

fn problem(error: &Error) -> &HandshakeProblem {
    match error {
        Error::Handshake(handshake) => handshake.problem(),
        other => panic!("not a handshake error: {other:?}"),
    }
}

fn fails_with(bytes: impl AsRef<[u8]>, expected: &HandshakeProblem) {
    let shown = String::from_utf8_lossy(bytes.as_ref()).chars().take(200).collect::<String>();
    let said = refusal(builder(), answers(bytes.as_ref().to_vec()));
    assert_eq!(problem(&said), expected, "{shown:?}");
    assert!(!said.to_string().contains(char::is_control), "{said}");
}

fn heads(cases: &[&str], expected: HeadError) {
    for case in cases {
        fails_with(case, &HandshakeProblem::Head(expected));
    }
}

/// Starts a server whose answer is a correct one, changed by a function.
fn changes(change: impl FnOnce(String) -> String + Send + 'static) -> Server<()> {
    serve(move |peer| {
        peer.read_request();
        let answer = String::from_utf8(peer.good_answer("")).unwrap();
        let _ = peer.try_send(change(answer).as_bytes());
        peer.stall();
    })
}

fn mismatches(cases: &[(&'static str, &'static str)], expected: Mismatch) {
    let expected = HandshakeProblem::Mismatch(expected);
    for &(from, to) in cases {
        let server = changes(move |answer| {
            assert!(answer.contains(from));
            answer.replace(from, to)
        });
        let said = refusal(builder(), server);
        assert_eq!(problem(&said), &expected, "{to:?}");
        assert!(!said.is_retryable());
    }
}

#[test]
fn a_server_that_goes_silent_in_the_handshake_times_out() {
    watchdog(LIMIT, || {
        for answer in ["", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: webs"] {
            let server = serve(move |peer| {
                peer.read_request();
                peer.send(answer.as_bytes());
                peer.stall();
            });
            let builder = builder().open_timeout(PROMPT / 2);
            let said = takes(PROMPT / 2, || error(builder.connect(&server.url())));
            drop(builder);
            assert!(matches!(said, Error::Timeout(Timeout::Handshake)), "{said:?}");
            assert!(said.is_retryable() && said.is_timeout());
            server.join();
        }
    });
}

#[test]
fn a_server_that_drips_its_answer_cannot_stretch_the_open_timeout() {
    watchdog(LIMIT, || {
        let server = serve(|peer| {
            peer.read_request();
            let lines = "X-A: b\r\n".repeat(400);
            peer.drip(format!("HTTP/1.1 101 OK\r\n{lines}").as_bytes(), Duration::from_millis(5));
        });
        let builder = builder().open_timeout(PROMPT / 2);
        let said = takes(PROMPT / 2, || error(builder.connect(&server.url())));
        assert!(matches!(said, Error::Timeout(Timeout::Handshake)), "{said:?}");
        server.join();
    });
}

#[test]
fn a_server_that_sends_its_answer_a_byte_at_a_time_is_understood() {
    watchdog(LIMIT, || {
        let server = serve(|peer| {
            peer.read_request();
            let answer = [peer.good_answer(""), text("first")].concat();
            peer.drip(&answer, Duration::ZERO);
            peer.stall();
        });
        let mut ws = builder().connect(&server.url()).unwrap();
        assert_eq!(ws.recv().unwrap(), Message::from("first"));
        drop(ws);
        server.join();
    });
}

#[test]
fn a_server_that_ends_the_stream_anywhere_in_a_good_answer_is_no_websocket() {
    watchdog(LIMIT, || {
        let len = 129;
        for cut in 0..len {
            for reset in [false, true] {
                let server = serve(move |peer| {
                    peer.read_request();
                    let answer = peer.good_answer("");
                    assert_eq!(answer.len(), len);
                    peer.send(&answer[..cut]);
                    if reset {
                        peer.rst()
                    } else {
                        peer.fin()
                    }
                    peer.stall();
                });
                let said = promptly(|| error(builder().connect(&server.url())));
                match &said {
                    Error::Io(error) => {
                        assert!(reset, "{cut}: {said:?}");
                        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
                    }
                    other => assert_eq!(problem(other), &HandshakeProblem::Eof, "{cut}"),
                }
                assert!(said.is_retryable());
                server.join();
            }
        }
    });
}

#[test]
fn a_server_that_sends_header_lines_for_ever_is_given_up() {
    watchdog(LIMIT, || {
        let lines = "X-A: b\r\n".repeat(10_000);
        heads(&[&format!("HTTP/1.1 101 OK\r\n{lines}")], HeadError::TooManyLines);
        let long = format!("X-A: {}\r\n", "b".repeat(8000)).repeat(10);
        heads(&[&format!("HTTP/1.1 101 OK\r\n{long}")], HeadError::HeadTooLarge);
    });
}

#[test]
fn a_server_that_sends_an_endless_line_is_given_up() {
    watchdog(LIMIT, || {
        let endless = "x".repeat(1 << 20);
        let cases = [
            format!("HTTP/1.1 101 {endless}"),
            format!("HTTP/1.1 101 OK\r\n{endless}"),
            format!("HTTP/1.1 101 OK\r\nX-A: {endless}"),
        ];
        heads(&cases.each_ref().map(String::as_str), HeadError::LineTooLong);
    });
}

#[test]
fn a_server_that_is_no_http_server_is_given_up_at_the_first_byte() {
    watchdog(LIMIT, || {
        heads(
            &["SSH-2.0-x\r\n", "ICY 101 OK\r\n", "<html>", "\r\nHTTP/1.1 101 OK\r\n"],
            HeadError::NotHttp,
        );
    });
}

#[test]
fn a_server_that_speaks_tls_where_http_was_expected_is_reported_as_such() {
    watchdog(LIMIT, || {
        let said = refusal(builder(), answers(b"\x15\x03\x03\x00\x02\x02\x28".to_vec()));
        assert_eq!(problem(&said), &HandshakeProblem::Head(HeadError::NotHttp));
        assert!(said.to_string().contains("TLS"), "{said}");
    });
}

#[test]
fn a_server_whose_status_line_is_malformed_is_given_up() {
    watchdog(LIMIT, || {
        let lines = [
            "HTTP/2 101 OK",
            "HTTP/1.10 101 OK",
            "HTTP/0.9 101 OK",
            "HTTP/1.1 1010 OK",
            "HTTP/1.1 10 OK",
            "HTTP/1.1 +101 OK",
            "HTTP/1.1 0x65 OK",
            "HTTP/1.1  101 OK",
            "HTTP/1.1 １０１ OK",
            "HTTP/1.1",
            "HTTP/1.1 101\u{0}",
            "HTTP/1.1 099 OK",
        ];
        for line in lines {
            heads(&[&format!("{line}\r\n\r\n")], HeadError::BadStatusLine);
        }
    });
}

#[test]
fn a_server_whose_header_lines_are_malformed_is_given_up() {
    watchdog(LIMIT, || {
        for line in
            ["Upgrade : websocket", "no colon", ": empty", " folded: x", "X: a\0b", "X\u{e9}: y"]
        {
            heads(&[&format!("HTTP/1.1 101 OK\r\n{line}\r\n\r\n")], HeadError::BadHeader);
        }
        for line in ["X: y\n", "X: a\rb\r\n"] {
            heads(&[&format!("HTTP/1.1 101 OK\r\n{line}\r\n")], HeadError::BadLineEnd);
        }
    });
}

#[test]
fn a_server_whose_refusal_has_a_malformed_line_is_understood() {
    watchdog(LIMIT, || {
        for (status, retry) in [(200, false), (404, false), (429, true), (503, true)] {
            for line in ["X Trace Id: 77", "no colon", ": empty", "X: a\0b", "X: a\r\n b"] {
                let answer = format!(
                    "HTTP/1.1 {status} No\r\nRetry-After: 5\r\n{line}\r\nContent-Length: 0\r\n\r\n"
                );
                let said = refusal(builder(), answers(answer.into_bytes()));
                assert_eq!(problem(&said), &HandshakeProblem::Refused, "{line}");
                assert_eq!(said.is_retryable(), retry, "{status}");
                assert_eq!(said.status(), Some(status));
                assert_eq!(said.retry_after(), retry.then_some(Duration::from_secs(5)));
            }
        }
    });
}

/// The first line ends in CR LF, and a later one in LF, so that the head never ends; or it is cut.
#[test]
fn a_server_whose_refusal_does_not_end_is_understood() {
    watchdog(LIMIT, || {
        let answer = |status, rest| format!("HTTP/1.1 {status} No\r\n{rest}").into_bytes();
        let mixed = "Content-Type: text/plain\r\n\nno token\n";
        for rest in [mixed, "\nno token\n", "Content-Type: text/plain\r\nContent-Le", ""] {
            for (status, retry) in [(200, false), (401, false), (503, true)] {
                let said = refusal(builder(), answers(answer(status, rest)));
                is_refusal(&said, status);
                assert_eq!(said.is_retryable(), retry);
            }
        }
        // The stream stays open.
        let server = serve(move |peer| {
            peer.read_request();
            peer.send(&answer(401, mixed));
            peer.stall();
        });
        let hasty = builder().open_timeout(SHORT_OPENING);
        is_refusal(&takes(SHORT_OPENING, || error(hasty.connect(&server.url()))), 401);
        drop(hasty);
        server.join();
        // The stream breaks.
        let server = serve(move |peer| {
            peer.read_request();
            peer.send(&answer(401, "A: a\r\n"));
            peer.stall();
        });
        let mut reads = 0;
        let socket = TcpStream::connect(server.addr).unwrap();
        let stream = Judged::new(socket, usize::MAX, move |_, call| {
            reads += usize::from(call == Call::Read);
            if reads > 1 { Err(std::io::ErrorKind::ConnectionReset.into()) } else { Ok(()) }
        });
        is_refusal(&error(builder().connect_over(&server.url(), stream)), 401);
        server.join();
    });

    fn is_refusal(said: &Error, status: u16) {
        assert_eq!(problem(said), &HandshakeProblem::Refused);
        assert_eq!(said.status(), Some(status));
        assert_eq!(said.to_string(), format!("opening handshake failed: status {status} No"));
    }
}

/// A part of it could lead elsewhere.
#[test]
fn a_redirect_whose_head_is_cut_is_not_followed() {
    watchdog(LIMIT, || {
        for rest in ["", "Location: ws://127.0.0.1:9/\r\n", "Location: ws://127.0.0.1:9/\r\nA"] {
            let cut = format!("HTTP/1.1 302 Found\r\n{rest}").into_bytes();
            let said = refusal(builder().max_redirects(3), answers(cut));
            assert_eq!(problem(&said), &HandshakeProblem::Eof);
            assert!(said.is_retryable());
        }
    });
}

/// Servers give the reason there: a missing `Origin`, Chromium's switch, a plain word.
#[test]
fn a_server_that_refuses_says_why_in_the_first_line_of_its_body() {
    watchdog(LIMIT, || {
        let origin = "Rejected an incoming WebSocket connection from the http://127.0.0.1:9222 \
                      origin. Use the command line flag \
                      --remote-allow-origins=http://127.0.0.1:9222 to allow";
        let long = "x".repeat(300);
        let rows: &[(&str, &[u8], &str)] = &[
            ("", origin.as_bytes(), origin),
            ("text/plain; charset=utf-8", b"bad origin\n\nmore", "bad origin"),
            ("", b"\r\n \n  null origin \r\nmore", "null origin"),
            ("application/json", b"{\n  \"error\": \"no token\"\n}", "\"error\": \"no token\""),
            ("", b"\x1b[2Ja\x07b", r"\u{1b}[2Ja\u{7}b"),
            ("", "\u{202e}evil \u{e9}".as_bytes(), "\\u{202e}evil \u{e9}"),
            ("", long.as_bytes(), &long[..256]),
            // Bodies that are no text, or that begin with marks only.
            ("", b"", ""),
            ("", b"\n---\n", ""),
            ("", b"<!DOCTYPE html><title>403</title>", ""),
            ("", b"\n<html>\nno", ""),
            ("text/html", b"Forbidden", ""),
            ("image/png", b"PNG", ""),
            ("", b"\x1f\x8b\x08\xff\xfea", ""),
            ("", b"a\0b", ""),
        ];
        for (kind, body, expected) in rows {
            let kind =
                if kind.is_empty() { String::new() } else { format!("Content-Type: {kind}\r\n") };
            let head = format!("HTTP/1.1 403 No\r\n{kind}Content-Length: {}\r\n\r\n", body.len());
            let said = refusal(builder(), answers([head.as_bytes(), body].concat())).to_string();
            let expected =
                if expected.is_empty() { String::new() } else { format!(": {expected}") };
            assert_eq!(said, format!("opening handshake failed: status 403 No{expected}"));
        }
    });
}

#[test]
fn a_server_that_refuses_is_quoted_with_status_headers_and_body() {
    watchdog(LIMIT, || {
        for status in [200, 204, 301, 304, 400, 401, 403, 404, 408, 426, 429, 500, 503] {
            let answer = format!(
                "HTTP/1.1 {status} Because\r\nRetry-After: 7\r\nSet-Cookie: canary\r\n\
                 Content-Length: 4\r\n\r\nbodyand more"
            );
            let said = refusal(builder().max_redirects(0), answers(answer.into_bytes()));
            assert_eq!(problem(&said), &HandshakeProblem::Refused);
            let Error::Handshake(refused) = &said else { unreachable!() };
            let response = refused.response().unwrap();
            assert_eq!((response.status(), response.reason()), (status, "Because"));
            assert_eq!(response.headers().get("retry-after"), Some("7"));
            let body: &[u8] = if matches!(status, 204 | 304) { b"" } else { b"body" };
            assert_eq!(response.body(), body);
            assert_eq!(said.is_retryable(), matches!(status, 408 | 429 | 500..));
            assert!(said.to_string().contains(&format!("{status} Because")), "{said}");
            assert!(!format!("{said:?}").contains("canary"));
        }
    });
}

#[test]
fn a_server_that_refuses_sees_the_connection_end_although_the_builder_lives() {
    watchdog(LIMIT, || {
        for answer in
            ["HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", "no HTTP", "HTTP/1.1 101 OK\r\n\r\n"]
        {
            let server = serve(move |peer| {
                peer.read_request();
                peer.send(answer.as_bytes());
                promptly(|| peer.expect_end());
            });
            let builder = builder();
            let said = error(builder.connect(&server.url()));
            server.join();
            drop((builder, said));
        }
    });
}

#[test]
fn a_server_that_wants_an_older_version_is_quoted_and_not_asked_again() {
    watchdog(LIMIT, || {
        let listener = listener();
        let again = listener.try_clone().unwrap();
        let server = serve_on(listener, |peer| {
            peer.read_request();
            assert_eq!(peer.header("Sec-WebSocket-Version"), ["13"]);
            peer.send(
                b"HTTP/1.1 426 No\r\nSec-WebSocket-Version: 8, 7\r\nContent-Length: 0\r\n\r\n",
            );
            peer.expect_end();
        });
        let said = refusal(builder(), server);
        assert_eq!(problem(&said), &HandshakeProblem::Refused);
        let Error::Handshake(refused) = &said else { unreachable!() };
        let response = refused.response().unwrap();
        assert_eq!(response.headers().get("Sec-WebSocket-Version"), Some("8, 7"));
        assert!(!said.is_retryable());
        again.set_nonblocking(true).unwrap();
        assert_eq!(again.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    });
}

#[test]
fn a_server_that_refuses_in_chunks_is_quoted_too() {
    watchdog(LIMIT, || {
        let answer = "HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n\
                      3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n";
        let said = refusal(builder(), answers(answer.into()));
        let Error::Handshake(refused) = &said else { panic!("{said:?}") };
        assert_eq!(refused.response().unwrap().body(), b"abcde");
    });
}

#[test]
fn a_server_whose_refusal_never_ends_is_given_up_after_64_kib() {
    watchdog(LIMIT, || {
        let server = serve(|peer| {
            peer.read_request();
            // More than the limit is on its way at once.
            let _ = peer.try_send(&[&b"HTTP/1.1 200 OK\r\n\r\n"[..], &[b'x'; 128 << 10]].concat());
            while peer.try_send(&[b'x'; 4096]).is_ok() {}
        });
        let said = promptly(|| error(builder().connect(&server.url())));
        let Error::Handshake(refused) = &said else { panic!("{said:?}") };
        assert_eq!(refused.response().unwrap().body().len(), 64 * 1024);
        server.join();
    });
}

#[test]
fn a_server_whose_refusal_stalls_or_drips_is_given_up_after_a_second() {
    watchdog(LIMIT, || {
        let server = serve(|peer| {
            peer.read_request();
            peer.send(b"HTTP/1.1 500 Oops\r\nContent-Length: 100\r\n\r\nxxxxx");
            peer.drip(&[b'x'; 400], Duration::from_millis(20));
        });
        let said = takes(Duration::from_secs(1), || error(builder().connect(&server.url())));
        let Error::Handshake(refused) = &said else { panic!("{said:?}") };
        assert!(refused.response().unwrap().body().starts_with(b"xxxxx"));
        server.join();
    });
}

#[test]
fn a_server_whose_body_framing_makes_no_sense_is_quoted_without_a_body() {
    watchdog(LIMIT, || {
        for framing in [
            "Content-Length: 18446744073709551616",
            "Content-Length: -1",
            "Content-Length: 4\r\nContent-Length: 5",
            "Content-Length: four",
            "Transfer-Encoding: chunked\r\nX: y\r\n\r\nFFFFFFFFFFFFFFFFF",
        ] {
            let answer = format!("HTTP/1.1 400 No\r\n{framing}\r\n\r\nbody");
            let said = refusal(builder(), answers(answer.into_bytes()));
            let Error::Handshake(refused) = &said else { panic!("{said:?}") };
            assert_eq!(refused.response().unwrap().body(), b"", "{framing}");
        }
    });
}

#[test]
fn a_server_that_speaks_http_1_0_is_no_websocket() {
    watchdog(LIMIT, || {
        mismatches(&[("HTTP/1.1", "HTTP/1.0")], Mismatch::Version);
    });
}

#[test]
fn a_server_whose_upgrade_is_wrong_is_no_websocket() {
    let upgrade = "Upgrade: websocket\r\n";
    watchdog(LIMIT, move || {
        mismatches(
            &[
                (upgrade, ""),
                (upgrade, "Upgrade: h2c\r\n"),
                (upgrade, "Upgrade: websocket, h2c\r\n"),
                (upgrade, "Upgrade: websocket\r\nUpgrade: websocket\r\n"),
            ],
            Mismatch::Upgrade,
        );
    });
}

#[test]
fn a_server_whose_connection_is_wrong_is_no_websocket() {
    let connection = "Connection: Upgrade\r\n";
    watchdog(LIMIT, move || {
        mismatches(
            &[
                (connection, ""),
                (connection, "Connection: keep-alive\r\n"),
                (connection, "Connection: upgraded\r\n"),
            ],
            Mismatch::Connection,
        );
    });
}

#[test]
fn a_server_that_writes_the_headers_in_another_way_is_a_websocket() {
    watchdog(LIMIT, || {
        for (from, to) in [
            ("Upgrade: websocket", "uPGRADE:WebSocket"),
            ("Upgrade: websocket", "Upgrade: \t websocket \t"),
            ("Connection: Upgrade", "Connection: keep-alive, UPGRADE"),
            ("Connection: Upgrade", "Connection: keep-alive\r\nConnection: upgrade"),
            ("101 Switching Protocols", "101"),
            ("101 Switching Protocols", "101 "),
            // RFC 9110 section 15.2: a 101 has no body. The bytes after it are frames.
            ("Upgrade: websocket", "Content-Length: 7\r\nUpgrade: websocket"),
            ("Upgrade: websocket", "Transfer-Encoding: chunked\r\nUpgrade: websocket"),
            ("Upgrade: websocket", "Sec-WebSocket-Version: 8\r\nUpgrade: websocket"),
        ] {
            let server = serve(move |peer| {
                peer.read_request();
                let answer = String::from_utf8(peer.good_answer("")).unwrap();
                peer.send(&[answer.replace(from, to).as_bytes(), &text("hello")].concat());
                peer.stall();
            });
            let mut ws = builder().connect(&server.url()).unwrap();
            assert_eq!(ws.recv().unwrap(), Message::from("hello"), "{to}");
            drop(ws);
            server.join();
        }
    });
}

#[test]
fn a_server_whose_accept_value_is_wrong_is_no_websocket() {
    watchdog(LIMIT, || {
        let (old, previous) = channel();
        let server = serve(move |peer| {
            peer.upgrade();
            old.send(peer.accept_value()).unwrap();
            peer.stall();
        });
        drop(builder().connect(&server.url()).unwrap());
        server.join();
        let previous = previous.recv().unwrap();

        type Change = Box<dyn FnOnce(&str) -> String + Send>;
        let changes: Vec<Change> = vec![
            Box::new(|_| String::new()),
            Box::new(|_| "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n".into()),
            Box::new(|_| "Sec-WebSocket-Accept:\r\n".into()),
            Box::new(move |_| format!("Sec-WebSocket-Accept: {previous}\r\n")),
            Box::new(|right| right.replace("\r\n", "x\r\n")),
            Box::new(|right| right.replace("\r\n", ", x\r\n")),
            Box::new(|right| {
                let (name, value) = right.split_once(": ").unwrap();
                let swapped = value.chars().map(|letter| match letter.is_uppercase() {
                    true => letter.to_ascii_lowercase(),
                    false => letter.to_ascii_uppercase(),
                });
                format!("{name}: {}", swapped.collect::<String>())
            }),
            Box::new(|right| format!("{right}Sec-WebSocket-Accept: wrong\r\n")),
            Box::new(|right| right.repeat(2)),
        ];
        for (at, change) in changes.into_iter().enumerate() {
            let server = self::changes(move |answer| {
                let right = answer.lines().find(|line| line.starts_with("Sec-WebSocket-Acc"));
                let right = format!("{}\r\n", right.unwrap());
                answer.replace(&right, &change(&right))
            });
            let said = refusal(builder(), server);
            assert_eq!(problem(&said), &HandshakeProblem::Mismatch(Mismatch::Accept), "{at}");
        }
    });
}

#[test]
fn a_server_that_uses_what_was_not_offered_is_no_websocket() {
    let upgrade = "Upgrade: websocket\r\n";
    watchdog(LIMIT, move || {
        mismatches(
            &[
                (upgrade, "Upgrade: websocket\r\nSec-WebSocket-Extensions: permessage-deflate\r\n"),
                (upgrade, "Upgrade: websocket\r\nSec-WebSocket-Extensions: x-foo\r\n"),
            ],
            Mismatch::Extension,
        );
        mismatches(
            &[(upgrade, "Upgrade: websocket\r\nSec-WebSocket-Protocol: chat\r\n")],
            Mismatch::Subprotocol,
        );
    });
}

#[test]
fn a_server_that_chooses_a_subprotocol_of_ours_is_obeyed_and_no_other() {
    watchdog(LIMIT, || {
        for (more, chosen) in [
            ("", Some(None)),
            ("Sec-WebSocket-Protocol: chat.v2\r\n", Some(Some("chat.v2"))),
            ("Sec-WebSocket-Protocol: chat.v1\r\n", Some(Some("chat.v1"))),
            ("Sec-WebSocket-Protocol: CHAT.V1\r\n", None),
            ("Sec-WebSocket-Protocol: chat.v3\r\n", None),
            ("Sec-WebSocket-Protocol: \r\n", None),
            ("Sec-WebSocket-Protocol: chat.v1, chat.v2\r\n", None),
            ("Sec-WebSocket-Protocol: chat.v1\r\nSec-WebSocket-Protocol: chat.v1\r\n", None),
        ] {
            let server = serve(move |peer| {
                peer.read_request();
                assert_eq!(peer.header("Sec-WebSocket-Protocol"), ["chat.v2, chat.v1"]);
                let answer = peer.good_answer(more);
                peer.send(&answer);
                peer.stall();
            });
            let builder = builder().subprotocols(["chat.v2", "chat.v1"]);
            let connected = builder.connect(&server.url());
            drop(builder);
            match (connected, chosen) {
                (Ok(ws), Some(chosen)) => assert_eq!(ws.subprotocol(), chosen),
                (Err(said), None) => {
                    let expected = HandshakeProblem::Mismatch(Mismatch::Subprotocol);
                    assert_eq!(problem(&said), &expected, "{more}");
                }
                (other, _) => panic!("{more}: {other:?}"),
            }
            server.join();
        }
    });
}

#[test]
fn a_server_may_send_eight_interim_responses_and_no_more() {
    watchdog(LIMIT, || {
        for (count, good) in [(1, true), (8, true), (9, false), (50, false)] {
            let server = serve(move |peer| {
                peer.read_request();
                let interim = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n".repeat(count);
                let answer = [&interim[..], &peer.good_answer(""), &text("after")].concat();
                let _ = peer.try_send(&answer);
                peer.stall();
            });
            match builder().connect(&server.url()) {
                Ok(mut ws) => {
                    assert!(good, "{count}");
                    assert_eq!(ws.response().status(), 101);
                    assert_eq!(ws.recv().unwrap(), Message::from("after"));
                }
                Err(said) => {
                    assert!(!good, "{count}: {said:?}");
                    assert_eq!(problem(&said), &HandshakeProblem::TooManyInterim);
                }
            }
            server.join();
        }
    });
}

#[test]
fn a_server_whose_first_frames_come_with_the_answer_loses_none_however_they_are_cut() {
    watchdog(LIMIT, || {
        let server = serve(|peer| {
            peer.read_request();
            let head = peer.good_answer("X-More: yes\r\n");
            let big = binary(&vec![7; 200_000]);
            peer.send(&[head, text("one"), ping(b"p"), big, text("three")].concat());
            peer.expect(PONG, b"p");
            peer.stall();
        });
        let mut ws = builder().connect(&server.url()).unwrap();
        assert_eq!(ws.response().headers().get("x-more"), Some("yes"));
        assert_eq!(ws.recv().unwrap(), Message::from("one"));
        assert_eq!(ws.recv().unwrap().as_bytes().len(), 200_000);
        assert_eq!(ws.recv().unwrap(), Message::from("three"));
        drop(ws);
        server.join();

        for cut in (0..140).step_by(3) {
            let (go, went) = channel::<()>();
            let server = serve(move |peer| {
                peer.read_request();
                let all = [peer.good_answer(""), text("one"), text("two")].concat();
                let (front, back) = all.split_at(cut.min(all.len()));
                peer.send(front);
                // These bytes are a segment of their own. The first one is sent, because Nagle's
                // algorithm is off.
                let _ = went.recv();
                peer.send(back);
                peer.stall();
            });
            go.send(()).unwrap();
            let mut ws = builder().connect(&server.url()).unwrap();
            assert_eq!(ws.recv().unwrap(), Message::from("one"));
            assert_eq!(ws.recv().unwrap(), Message::from("two"));
            drop(ws);
            server.join();
        }
    });
}

#[test]
fn a_server_that_ends_the_stream_right_after_the_answer_was_open_for_a_moment() {
    watchdog(LIMIT, || {
        let server = serve(|peer| {
            peer.read_request();
            let answer = [peer.good_answer(""), text("in flight")].concat();
            peer.send(&answer);
            peer.fin();
            peer.stall();
        });
        let mut ws = builder().connect(&server.url()).unwrap();
        assert_eq!(ws.recv().unwrap(), Message::from("in flight"));
        assert_eq!(error(ws.recv()).closed().unwrap().code().value(), 1006);
        server.join();
    });
}

#[test]
fn a_server_that_answers_before_the_request_is_no_websocket() {
    watchdog(LIMIT, || {
        let server = serve(|peer| {
            peer.send(b"HTTP/1.1 101 OK\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
            std::io::copy(&mut peer.socket(), &mut std::io::sink()).unwrap();
        });
        let said = refusal(builder(), server);
        assert_eq!(problem(&said), &HandshakeProblem::Mismatch(Mismatch::Accept));
    });
}

#[test]
fn a_server_that_never_accepts_times_out() {
    watchdog(LIMIT, || {
        let (listener, waiting) = full_backlog();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        let builder = builder().open_timeout(SHORT);
        let said = takes(SHORT, || error(builder.connect(&url)));
        assert!(matches!(said, Error::Timeout(Timeout::Connect)), "{said:?}");
        drop((listener, waiting));
    });
}

#[test]
fn a_port_where_nobody_listens_is_refused_at_once_and_listed() {
    watchdog(LIMIT, || {
        // A socket that is bound and does not listen keeps the port from other programs.
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
        let socket = socket.unwrap();
        let any: std::net::SocketAddr = "127.0.0.1:0".parse().unwrap();
        socket.bind(&any.into()).unwrap();
        let addr = socket.local_addr().unwrap().as_socket().unwrap();
        let said = promptly(|| error(builder().connect(&format!("ws://{addr}"))));
        let Error::Connect(refused) = &said else { panic!("{said:?}") };
        assert_eq!(refused.host(), "127.0.0.1");
        assert!(refused.resolve_error().is_none());
        let attempts: Vec<_> =
            refused.attempts().iter().map(|(addr, error)| (*addr, error.kind())).collect();
        assert_eq!(attempts, [(addr, std::io::ErrorKind::ConnectionRefused)]);
        assert!(said.is_retryable());
        assert!(said.to_string().contains(&addr.to_string()), "{said}");
    });
}

#[test]
fn a_name_that_does_not_exist_is_reported_as_such() {
    watchdog(LIMIT, || {
        let said = error(builder().connect("ws://does-not-exist.invalid/"));
        match &said {
            Error::Connect(refused) => {
                assert_eq!(refused.host(), "does-not-exist.invalid");
                assert!(refused.resolve_error().is_some());
                assert_eq!(refused.attempts().len(), 0);
            }
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn an_open_timeout_of_zero_opens_no_socket() {
    watchdog(LIMIT, || {
        let listener = listener();
        listener.set_nonblocking(true).unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        let said = error(builder().open_timeout(Duration::ZERO).connect(&url));
        assert!(matches!(said, Error::Timeout(Timeout::Connect)), "{said:?}");
        assert!(listener.accept().is_err());
    });
}

#[test]
fn an_open_timeout_of_duration_max_is_no_limit() {
    watchdog(LIMIT, || {
        for timeout in [Some(Duration::MAX), None] {
            let server = upgraded(|peer| drop(peer.stall()));
            drop(builder().open_timeout(timeout).connect(&server.url()).unwrap());
            server.join();
        }
    });
}

#[test]
fn the_open_timeout_does_not_leak_into_the_open_connection() {
    watchdog(LIMIT, || {
        let (go, went) = channel::<()>();
        let server = upgraded(move |peer| {
            went.recv().unwrap();
            peer.send(&text("later"));
            peer.stall();
        });
        let mut ws = builder().open_timeout(PROMPT / 2).connect(&server.url()).unwrap();
        let said = error(ws.recv_timeout(PROMPT / 2 + SHORT));
        assert!(matches!(said, Error::Timeout(Timeout::Recv)));
        go.send(()).unwrap();
        assert_eq!(ws.recv().unwrap(), Message::from("later"));
        drop(ws);
        server.join();
    });
}

#[cfg(feature = "tls")]
#[test]
fn a_server_that_speaks_http_where_tls_was_expected_is_reported_as_such() {
    watchdog(LIMIT, || {
        let server = serve(|peer| {
            peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n");
            std::io::copy(&mut peer.socket(), &mut std::io::sink()).unwrap();
        });
        let url = format!("wss://{}/", server.addr);
        let said = promptly(|| error(builder().connect(&url)));
        let Error::Tls(tls) = &said else { panic!("{said:?}") };
        assert!(!tls.is_certificate());
        assert!(!said.is_retryable());
        server.join();
    });
}

#[cfg(feature = "tls")]
#[test]
fn a_server_that_is_silent_or_gone_in_the_tls_handshake_is_reported_as_such() {
    watchdog(LIMIT, || {
        let server = serve(|peer| {
            std::io::copy(&mut peer.socket(), &mut std::io::sink()).unwrap();
        });
        let url = format!("wss://{}/", server.addr);
        let hasty = builder().open_timeout(PROMPT / 2);
        let said = takes(PROMPT / 2, || error(hasty.connect(&url)));
        assert!(matches!(said, Error::Timeout(Timeout::Tls)), "{said:?}");
        server.join();

        let server = serve(|peer| {
            peer.fin();
            std::io::copy(&mut peer.socket(), &mut std::io::sink()).unwrap();
        });
        let url = format!("wss://{}/", server.addr);
        let said = promptly(|| error(builder().connect(&url)));
        assert!(matches!(said, Error::Tls(_)), "{said:?}");
        assert!(said.is_retryable());
        server.join();
    });
}
