//! CONNECT (RFC 9110 section 9.3.6), and proxies that answer it badly.

#![cfg(feature = "proxy")]
#![allow(clippy::unwrap_used)] // `clippy.toml` allows it in test functions only.

use crate::support;

use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::mpsc::channel;
use std::time::Duration;

use landline::error::{Cause, HeadError, ProxyError, ProxyProblem};
use landline::proxy::Proxy;
use landline::{AbortHandle, Builder, Error, Message, Timeout};
use support::*;

const URL: &str = "ws://server.test/";
const GRANTED: &[u8] = b"HTTP/1.1 200 OK\r\n\r\n";

fn through<T>(proxy: &Server<T>) -> Builder {
    builder().proxy(Proxy::new(&format!("http://{}", proxy.addr)).unwrap())
}

fn proxy_error(error: Error) -> Box<ProxyError> {
    match error {
        Error::Proxy(error) => error,
        other => panic!("not the proxy's: {other:?}"),
    }
}

/// Connects through a proxy that sends only this answer to CONNECT, and then ends the stream.
fn answered(answer: impl Into<Vec<u8>>) -> Error {
    let answer = answer.into();
    let proxy = serve(move |peer| {
        peer.read_request();
        let _ = peer.try_send(&answer);
        // The client may be gone.
        let _ = peer.socket().shutdown(Shutdown::Write);
        // Nothing of the handshake with the server may come.
        peer.expect_end();
    });
    let error = promptly(|| error(through(&proxy).connect(URL)));
    proxy.join();
    error
}

/// Reads and discards until the client ends the stream.
fn drain(peer: &Peer) {
    let _ = std::io::copy(&mut peer.socket(), &mut std::io::sink());
}

/// Plays the server behind a proxy that has just opened the tunnel.
fn be_the_server(peer: &mut Peer) {
    peer.upgrade();
    peer.send(&text("from the server"));
    peer.expect_end();
}

fn gets_the_message(builder: &Builder) {
    let mut ws = builder.connect(URL).unwrap();
    assert_eq!(ws.recv().unwrap(), Message::from("from the server"));
    ws.abort();
}

#[test]
fn a_proxy_that_answers_any_2xx_opens_the_tunnel() {
    watchdog(LIMIT, || {
        let answers = [
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 200\r\n\r\n",
            "HTTP/1.0 200 Connection established\r\nProxy-agent: old/1.0\r\n\r\n",
            "HTTP/1.1 204 No Content\r\n\r\n",
            "HTTP/1.1 299 Odd\r\n\r\n",
            // RFC 9110 section 9.3.6: these are ignored.
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nConnection: close\r\nSet-Cookie: a=b\r\n\r\n",
            "HTTP/1.1 103 Early\r\nX: y\r\n\r\nHTTP/1.1 100 Go\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        ];
        for answer in answers {
            let proxy = serve(move |peer| {
                peer.read_request();
                peer.send(answer.as_bytes());
                be_the_server(peer);
            });
            gets_the_message(&through(&proxy));
            proxy.join();
        }
    });
}

#[test]
fn a_proxy_that_sends_its_answer_slowly_opens_the_tunnel() {
    watchdog(LIMIT, || {
        let proxy = serve(|peer| {
            peer.read_request();
            peer.drip(b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n", Duration::from_millis(1));
            be_the_server(peer);
        });
        gets_the_message(&through(&proxy));
        proxy.join();
    });
}

#[test]
fn bytes_right_after_the_head_of_the_answer_belong_to_the_tunnel() {
    watchdog(LIMIT, || {
        // The proxy cannot know the key yet, so these bytes are no valid answer. But they count as
        // the answer of the server, and are not lost.
        let proxy = serve(|peer| {
            peer.read_request();
            peer.send(&[GRANTED, b"HTTP/1.1 418 Teapot\r\nContent-Length: 3\r\n\r\ntea"].concat());
            drain(peer);
        });
        let refused = error(through(&proxy).connect(URL));
        let Error::Handshake(refused) = refused else { panic!("{refused:?}") };
        let response = refused.response().unwrap();
        assert_eq!((response.status(), response.body()), (418, &b"tea"[..]));
        proxy.join();
    });
}

#[cfg(feature = "tls")]
#[test]
fn bytes_that_a_proxy_sends_before_tls_are_never_taken_for_the_servers() {
    watchdog(LIMIT, || {
        for injected in [&b"HTTP/1.1 101 Switching Protocols\r\n\r\n"[..], b"\x81\x05hello"] {
            let proxy = serve(move |peer| {
                peer.read_request();
                peer.send(&[GRANTED, injected].concat());
                drain(peer);
            });
            let refused = error(through(&proxy).connect("wss://server.test/"));
            assert!(matches!(refused, Error::Tls(_)), "{refused:?}");
            proxy.join();
        }
    });
}

#[test]
fn a_proxy_that_refuses_is_quoted_with_status_reason_headers_and_body() {
    // (status, whether another attempt may succeed)
    let statuses = [
        (101, false),
        (301, false),
        (302, false),
        (307, false),
        (400, false),
        (401, false),
        (403, false),
        (404, false),
        (407, false),
        (408, true),
        (429, true),
        (500, true),
        (502, true),
        (503, true),
        (504, true),
        (999, false),
    ];
    watchdog(LIMIT, move || {
        for (status, retry) in statuses {
            let answer = format!(
                "HTTP/1.1 {status} Because\r\nLocation: ws://elsewhere/\r\nSet-Cookie: a=canary\r\n\
                 Retry-After: 7\r\nContent-Length: 9\r\n\r\nno secret"
            );
            let refused = answered(answer);
            assert_eq!(refused.is_retryable(), retry, "{status}");
            let shown = format!("{refused} {refused:?}");
            assert!(shown.contains(&status.to_string()) && !shown.contains("canary"), "{shown}");
            let asked = matches!(status, 429 | 503).then_some(Duration::from_secs(7));
            assert_eq!(refused.retry_after(), asked, "{status}");
            let refused = proxy_error(refused);
            assert_eq!(refused.retry_after(), asked, "{status}");
            let response = refused.response().unwrap();
            assert_eq!((response.status(), response.reason()), (status, "Because"));
            // RFC 9110 section 15.2: a 1xx has no body.
            let body = if status == 101 { &b""[..] } else { b"no secret" };
            assert_eq!(response.body(), body);
        }
    });
}

#[test]
fn a_proxy_whose_refusal_has_a_malformed_line_is_understood() {
    watchdog(LIMIT, || {
        let rest = "Retry-After: 5\r\nX Trace Id: 77\r\nContent-Length: 4\r\n\r\nbusy";
        let refused = answered(format!("HTTP/1.1 503 No\r\n{rest}"));
        assert!(refused.is_retryable() && refused.to_string().ends_with("503 No: busy"));
        let refused = proxy_error(refused);
        assert_eq!(refused.response().unwrap().status(), 503);
        assert_eq!(refused.retry_after(), Some(Duration::from_secs(5)));
    });
}

/// The first line ends in CR LF, and a later one in LF, so that the head never ends; or it is cut.
#[test]
fn a_proxy_whose_refusal_does_not_end_is_understood() {
    watchdog(LIMIT, || {
        for rest in ["Proxy-Authenticate: Basic\r\n\nlog in\n", "Content-Le", ""] {
            let answer = format!("HTTP/1.1 407 No\r\n{rest}");
            is_refusal(answered(answer.clone()));

            // The stream stays open.
            let proxy = serve(move |peer| {
                peer.read_request();
                peer.send(answer.as_bytes());
                peer.expect_end();
            });
            let builder = through(&proxy).open_timeout(SHORT_OPENING);
            is_refusal(takes(SHORT_OPENING, || error(builder.connect(URL))));
            proxy.join();
        }
    });

    fn is_refusal(refused: Error) {
        assert!(!refused.is_retryable());
        assert!(refused.to_string().ends_with("status 407 No"), "{refused}");
        let refused = proxy_error(refused);
        assert_eq!(refused.response().unwrap().status(), 407, "{refused:?}");
    }
}

#[test]
fn a_proxy_gets_the_user_agent() {
    let default = concat!("landline/", env!("CARGO_PKG_VERSION"));
    type Change = fn(Builder) -> Builder;
    let rows: [(Change, Option<&str>, Option<&str>); 5] = [
        (|builder| builder, None, Some(default)),
        (|builder| builder.user_agent("mine/1"), None, Some("mine/1")),
        (|builder| builder.header("user-agent", "other/2"), None, Some("other/2")),
        (|builder| builder.user_agent(None), None, None),
        (|builder| builder.user_agent("mine/1"), Some("its/3"), Some("its/3")),
    ];
    watchdog(LIMIT, move || {
        for (change, own, expected) in rows {
            let proxy = serve(|peer| {
                peer.read_request();
                peer.send(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n");
                peer.stall();
                peer.request.clone()
            });
            let mut to = Proxy::new(&format!("http://{}", proxy.addr)).unwrap();
            if let Some(own) = own {
                to = to.header("User-Agent", own).unwrap();
            }
            let builder = change(builder().proxy(to).header("X-Other", "canary"));
            proxy_error(error(builder.connect(URL)));
            let request = proxy.join();
            assert!(request.starts_with("CONNECT ") && !request.contains("canary"), "{request}");
            let lines = request.lines().filter_map(|line| line.split_once(": "));
            let agents: Vec<_> = lines
                .filter(|(name, _)| name.eq_ignore_ascii_case("User-Agent"))
                .map(|(_, value)| value)
                .collect();
            assert_eq!(agents, expected.into_iter().collect::<Vec<_>>(), "{request}");
        }
    });
}

#[test]
fn a_proxy_whose_reason_is_hostile_is_quoted_escaped_and_cut() {
    watchdog(LIMIT, || {
        let reason = format!("\u{9b}31m{}", "x".repeat(5000));
        let shown = answered(format!("HTTP/1.1 403 {reason}\r\n\r\n")).to_string();
        assert!(shown.len() < 400 && !shown.chars().any(char::is_control), "{shown}");
    });
}

#[test]
fn a_proxy_whose_refusal_never_ends_is_given_up_after_64_kib() {
    watchdog(LIMIT, || {
        let proxy = serve(|peer| {
            peer.read_request();
            peer.send(b"HTTP/1.1 403 No\r\n\r\n");
            while peer.try_send(&[b'x'; 4096]).is_ok() {}
        });
        let refused = promptly(|| proxy_error(error(through(&proxy).connect(URL))));
        assert_eq!(refused.response().unwrap().body().len(), 64 * 1024);
        proxy.join();
    });
}

#[test]
fn a_proxy_whose_refusal_stalls_is_given_up_after_a_second() {
    watchdog(LIMIT, || {
        let proxy = serve(|peer| {
            peer.read_request();
            peer.send(b"HTTP/1.1 403 No\r\nContent-Length: 100\r\n\r\nbecause");
            peer.expect_end();
        });
        let second = Duration::from_secs(1);
        let refused = takes(second, || proxy_error(error(through(&proxy).connect(URL))));
        assert_eq!(refused.response().unwrap().body(), b"because");
        proxy.join();
    });
}

#[test]
fn a_proxy_that_answers_no_http_is_refused() {
    let long = "x".repeat(17_000);
    let cases: Vec<(Vec<u8>, HeadError)> = vec![
        (b"SSH-2.0-x\r\n".into(), HeadError::NotHttp),
        (b"\x05\x00\x05\x00\x00\x01".into(), HeadError::NotHttp),
        (b"\x15\x03\x03\x00\x02\x02\x28".into(), HeadError::NotHttp),
        (b"HTTP/2 200 OK\r\n\r\n".into(), HeadError::BadStatusLine),
        (b"HTTP/1.1 2000 OK\r\n\r\n".into(), HeadError::BadStatusLine),
        (b"HTTP/1.1 +20 OK\r\n\r\n".into(), HeadError::BadStatusLine),
        (b"HTTP/1.1 200 OK\n\n".into(), HeadError::BadLineEnd),
        (b"HTTP/1.1 200 OK\r\nX : y\r\n\r\n".into(), HeadError::BadHeader),
        (b"HTTP/1.1 200 OK\r\nX: y\r\n z\r\n\r\n".into(), HeadError::BadHeader),
        (b"HTTP/1.1 200 OK\r\nX: \0\r\n\r\n".into(), HeadError::BadHeader),
        (format!("HTTP/1.1 200 {long}").into(), HeadError::LineTooLong),
        (format!("HTTP/1.1 200 OK\r\nX: {long}").into(), HeadError::LineTooLong),
        (format!("HTTP/1.1 200 OK\r\n{}", "X: y\r\n".repeat(129)).into(), HeadError::TooManyLines),
    ];
    watchdog(LIMIT, || {
        for (answer, expected) in cases {
            let shown = String::from_utf8_lossy(&answer[..answer.len().min(40)]).into_owned();
            let refused = answered(answer);
            assert!(!refused.is_retryable(), "{shown}");
            match proxy_error(refused).problem() {
                ProxyProblem::Head(error) => assert_eq!(*error, expected, "{shown}"),
                other => panic!("{shown}: {other:?}"),
            }
        }
    });
}

#[test]
fn a_proxy_that_sends_ten_mebibytes_of_headers_is_given_up_at_64_kib() {
    watchdog(LIMIT, || {
        let proxy = serve(|peer| {
            peer.read_request();
            peer.send(b"HTTP/1.1 200 OK\r\n");
            let line = format!("X: {}\r\n", "y".repeat(8000));
            let sent = (0..10 << 20).step_by(line.len());
            for _ in sent {
                if peer.try_send(line.as_bytes()).is_err() {
                    return;
                }
            }
            panic!("the client took ten mebibytes of headers");
        });
        let refused = promptly(|| proxy_error(error(through(&proxy).connect(URL))));
        let expected = HeadError::HeadTooLarge;
        assert!(matches!(refused.problem(), ProxyProblem::Head(error) if *error == expected));
        proxy.join();
    });
}

#[test]
fn a_proxy_that_sends_100_for_ever_is_given_up_after_eight() {
    watchdog(LIMIT, || {
        let refused = proxy_error(answered("HTTP/1.1 100 Continue\r\n\r\n".repeat(9)));
        assert!(matches!(refused.problem(), ProxyProblem::TooManyInterim), "{refused:?}");
    });
}

#[test]
fn a_proxy_that_cuts_its_answer_anywhere_is_not_taken_for_a_refusal() {
    watchdog(LIMIT, || {
        let whole = b"HTTP/1.1 200 OK\r\nVia: x\r\n\r\n";
        for cut in 0..whole.len() {
            let refused = answered(&whole[..cut]);
            assert!(refused.is_retryable(), "cut at {cut}");
            let refused = proxy_error(refused);
            assert!(matches!(refused.problem(), ProxyProblem::Eof), "cut at {cut}: {refused:?}");
        }
    });
}

#[test]
fn a_proxy_that_resets_within_its_answer_is_not_taken_for_a_refusal() {
    watchdog(LIMIT, || {
        let whole = b"HTTP/1.1 200 OK\r\n\r\n";
        for cut in 0..whole.len() {
            let proxy = serve(move |peer| {
                peer.read_request();
                peer.send(&whole[..cut]);
                peer.rst();
            });
            let refused = promptly(|| error(through(&proxy).connect(URL)));
            assert!(refused.is_retryable(), "cut at {cut}");
            let refused = proxy_error(refused);
            assert!(matches!(refused.problem(), ProxyProblem::Io(_)), "cut at {cut}: {refused:?}");
            proxy.join();
        }
    });
}

#[test]
fn a_proxy_that_hangs_anywhere_in_its_answer_is_given_up_at_the_open_timeout() {
    watchdog(LIMIT, || {
        let whole = b"HTTP/1.1 200 OK\r\n\r\n";
        let waiting: Vec<_> = (0..whole.len())
            .map(|cut| {
                spawn(move || {
                    let proxy = serve(move |peer| {
                        peer.read_request();
                        peer.send(&whole[..cut]);
                        peer.expect_end();
                    });
                    let builder = through(&proxy).open_timeout(SHORT_OPENING);
                    let timeout = takes(SHORT_OPENING, || error(builder.connect(URL)));
                    // A busy machine may need all the time to connect so many.
                    let expected =
                        matches!(timeout, Error::Timeout(Timeout::Proxy | Timeout::Connect));
                    assert!(expected, "cut at {cut}: {timeout:?}");
                    assert!(timeout.is_retryable());
                    proxy.join();
                })
            })
            .collect();
        waiting.into_iter().for_each(Joined::join);
    });
}

#[test]
fn a_proxy_that_drips_headers_cannot_stretch_the_open_timeout() {
    watchdog(LIMIT, || {
        let proxy = serve(|peer| {
            peer.read_request();
            peer.send(b"HTTP/1.1 200 OK\r\n");
            let drip = b"A: b\r\n".repeat(1000);
            peer.drip(&drip, Duration::from_millis(10));
        });
        let builder = through(&proxy).open_timeout(SHORT_OPENING);
        let timeout = takes(SHORT_OPENING, || error(builder.connect(URL)));
        assert!(matches!(timeout, Error::Timeout(Timeout::Proxy)), "{timeout:?}");
        proxy.join();
    });
}

#[test]
fn a_server_that_is_silent_behind_a_proxy_is_given_up_at_the_one_open_timeout() {
    watchdog(LIMIT, || {
        let proxy = serve(|peer| {
            peer.read_request();
            std::thread::sleep(SHORT); // Time that the server then does not have.
            peer.send(GRANTED);
            peer.read_request();
            peer.expect_end();
        });
        let builder = through(&proxy).open_timeout(SHORT * 10);
        let timeout = takes(SHORT * 10, || error(builder.connect(URL)));
        assert!(matches!(timeout, Error::Timeout(Timeout::Handshake)), "{timeout:?}");
        proxy.join();
    });
}

#[test]
fn an_error_of_the_socket_hook_is_not_blamed_on_the_proxy() {
    watchdog(LIMIT, || {
        let proxy = serve(|peer| peer.expect_end());
        let builder = through(&proxy).on_socket(|_| Err(std::io::Error::other("not this one")));
        let said = error(builder.connect(URL));
        assert!(matches!(&said, Error::Io(error) if error.to_string() == "not this one"), "{said}");
        proxy.join();
    });
}

#[test]
fn a_proxy_that_never_accepts_is_given_up_at_the_open_timeout() {
    watchdog(LIMIT, || {
        let (silent, waiting) = full_backlog();
        let url = format!("http://{}", silent.local_addr().unwrap());
        let builder = builder().proxy(Proxy::new(&url).unwrap()).open_timeout(SHORT);
        let timeout = takes(SHORT, || error(builder.connect(URL)));
        assert!(matches!(timeout, Error::Timeout(Timeout::Connect)), "{timeout:?}");
        drop(waiting);
    });
}

#[test]
fn a_proxy_that_is_silent_is_given_up_at_an_abort() {
    watchdog(LIMIT, || {
        for said in [&b""[..], b"HTTP/1.1 200", b"HTTP/1.1 403 No\r\n\r\n"] {
            let (ready, when) = channel();
            let proxy = serve(move |peer| {
                peer.read_request();
                peer.send(said);
                ready.send(()).unwrap();
                peer.expect_end();
            });
            let abort = AbortHandle::new();
            let builder = through(&proxy).abort_handle(abort.clone());
            let connecting = spawn(move || error(builder.connect(URL)));
            when.recv().unwrap();
            abort.abort();
            let aborted = at_once(|| connecting.join());
            assert!(matches!(aborted.closed().unwrap().cause(), Cause::Aborted), "{aborted:?}");
            proxy.join();
        }
    });
}

#[test]
fn a_proxy_that_refuses_without_reading_is_quoted() {
    watchdog(LIMIT, || {
        let proxy = serve(|peer| {
            peer.send(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
            peer.fin();
            drain(peer);
        });
        let refused = proxy_error(error(through(&proxy).connect(URL)));
        assert_eq!(refused.response().unwrap().status(), 503);
        proxy.join();
    });
}

#[test]
fn a_pipelined_refusal_is_never_shown_to_the_server() {
    watchdog(LIMIT, || {
        // The bytes after the refusal go nowhere, because the connection is closed.
        let proxy = serve(|peer| {
            peer.read_request();
            let refusal = b"HTTP/1.1 407 Log in\r\nContent-Length: 0\r\n\r\n";
            peer.send(&[&refusal[..], b"HTTP/1.1 200 OK\r\n\r\n"].concat());
            peer.expect_end();
        });
        let refused = proxy_error(error(through(&proxy).connect(URL)));
        assert_eq!(refused.response().unwrap().status(), 407);
        assert_eq!(refused.response().unwrap().body(), b"");
        proxy.join();
    });
}

#[test]
fn each_connection_asks_the_proxy_again() {
    watchdog(LIMIT, || {
        let listener = listener();
        let addr = listener.local_addr().unwrap();
        let proxy = spawn(move || {
            for _ in 0..3 {
                let mut stream = listener.accept().unwrap().0;
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    stream.read_exact(&mut byte).unwrap();
                    head.push(byte[0]);
                }
                stream.write_all(GRANTED).unwrap();
                be_the_server(&mut Peer::new(stream));
            }
        });
        let builder = builder().proxy(Proxy::new(&addr.to_string()).unwrap());
        for _ in 0..3 {
            gets_the_message(&builder);
        }
        proxy.join();
    });
}
