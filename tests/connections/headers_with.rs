//! `Builder::headers_with`: headers that are made anew for each connection attempt.

#![allow(missing_docs, clippy::unwrap_used)]

use crate::support;

use std::io;
use std::net::TcpStream;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use landline::error::InvalidInput;
use landline::http::RequestContext;
use landline::{Builder, Error};
use support::{LIMIT, SHORT, Server, builder, error, listener, serve, upgraded, watchdog};

type Lines = Vec<(String, String)>;

fn lines(lines: &[(&str, &str)]) -> Lines {
    lines.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn requests() -> Server<String> {
    upgraded(|peer| peer.request.clone())
}

fn values<'a>(request: &'a str, name: &str) -> Vec<&'a str> {
    let lines = request.lines().skip(1).filter_map(|line| line.split_once(": "));
    lines.filter(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect()
}

/// Returns the error of connecting to a server, and checks that nothing connected to it.
fn unvisited(builder: &Builder) -> Error {
    let listener = listener();
    let said = error(builder.connect(&format!("ws://{}/", listener.local_addr().unwrap())));
    listener.set_nonblocking(true).unwrap();
    assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
    said
}

#[test]
fn each_attempt_has_fresh_headers() {
    watchdog(LIMIT, || {
        let count = AtomicU32::new(0);
        let builder = builder().header("X-Static", "0").headers_with(move |request| {
            assert_eq!((request.redirects(), request.is_first_origin()), (0, true));
            let token = count.fetch_add(1, Ordering::SeqCst);
            Ok(lines(&[("X-Token", &token.to_string()), ("X-Url", request.url())]))
        });
        for token in ["0", "1", "2"] {
            let server = requests();
            let addr = server.addr;
            drop(builder.connect(&format!("ws://user:password@{addr}/a?b")).unwrap());
            let request = server.join();
            assert_eq!(values(&request, "X-Token"), [token]);
            assert_eq!(values(&request, "X-Url"), [format!("ws://{addr}/a?b")]);
            assert_eq!(values(&request, "X-Static"), ["0"]);
        }
        let server = requests();
        let stream = TcpStream::connect(server.addr).unwrap();
        drop(builder.connect_over("ws://one.example", stream).unwrap());
        assert_eq!(values(&server.join(), "X-Url"), ["ws://one.example/"]);
    });
}

#[test]
fn fresh_headers_replace_those_of_the_same_name_wherever_they_come_from() {
    watchdog(LIMIT, || {
        let builder = builder()
            .cookie("ours=1")
            .bearer_auth("ours")
            .user_agent("ours")
            .host("ours")
            .origin("ours")
            .header("X-A", "ours")
            .header("x-a", "ours")
            .header("AUTHORIZATION", "ours")
            .header("X-B", "ours")
            .headers_with(|_| {
                Ok(lines(&[
                    ("x-a", "1"),
                    ("X-A", "2"),
                    ("authorization", "theirs"),
                    ("cookie", "theirs=1"),
                    ("User-Agent", "theirs"),
                    ("host", "theirs"),
                    ("Origin", "theirs"),
                ]))
            });
        let server = requests();
        drop(builder.connect(&server.url()).unwrap());
        let request = server.join();
        assert_eq!(values(&request, "X-A"), ["1", "2"]);
        assert_eq!(values(&request, "Cookie"), ["theirs=1"]);
        for name in ["Authorization", "User-Agent", "Host", "Origin"] {
            assert_eq!(values(&request, name), ["theirs"], "{name}");
        }
        assert_eq!(request.matches("ours").count(), 1, "{request}");
    });
}

#[test]
fn fresh_headers_are_checked_before_anything_is_sent() {
    watchdog(LIMIT, || {
        for (name, value, expected) in [
            ("X-A", "canary\r\nX-B: c", InvalidInput::Header("X-A".into())),
            ("X-A", "canary\0", InvalidInput::Header("X-A".into())),
            ("X A", "canary", InvalidInput::Header("X…".into())),
            ("", "canary", InvalidInput::Header("".into())),
            ("Upgrade", "canary", InvalidInput::ReservedHeader("Upgrade".into())),
            ("sec-websocket-key", "c", InvalidInput::ReservedHeader("sec-websocket-key".into())),
            (
                "Proxy-Authorization",
                "c",
                InvalidInput::ReservedHeader("Proxy-Authorization".into()),
            ),
            ("X-A", &"a".repeat(65_536), InvalidInput::RequestTooLarge),
        ] {
            let given = lines(&[(name, value)]);
            let said = unvisited(&builder().headers_with(move |_| Ok(given.clone())));
            let Error::InvalidInput(input) = &said else { panic!("{said:?}") };
            assert_eq!(*input, expected);
            assert!(!format!("{said} {said:?}").contains("canary"));
        }
    });
}

#[test]
fn an_error_of_the_function_ends_the_attempt_and_is_returned() {
    watchdog(LIMIT, || {
        let builder = builder()
            .headers_with(|_| Err(io::Error::new(io::ErrorKind::NotFound, "no token today")));
        let said = unvisited(&builder);
        let Error::Io(why) = &said else { panic!("{said:?}") };
        assert_eq!(why.kind(), io::ErrorKind::NotFound);
        assert!(said.to_string().contains("no token today") && said.is_retryable());
    });
}

#[test]
fn making_headers_counts_towards_the_open_timeout() {
    watchdog(LIMIT, || {
        let builder = builder().open_timeout(SHORT).headers_with(|_| {
            let start = Instant::now();
            while start.elapsed() < SHORT {
                std::thread::yield_now();
            }
            Ok(Vec::new())
        });
        assert!(unvisited(&builder).is_timeout());
    });
}

#[test]
fn each_redirect_makes_new_headers_and_another_origin_gets_only_harmless_ones() {
    watchdog(LIMIT, || {
        let goal = requests();
        let away = goal.url();
        let home = listener();
        let addr = home.local_addr().unwrap();
        let server = support::spawn(move || {
            let locations = ["/next?x", &away];
            locations.map(|location| {
                let mut peer = support::Peer::new(home.accept().unwrap().0);
                peer.read_request();
                let head = format!("HTTP/1.1 302 x\r\nLocation: {location}\r\n\r\n");
                peer.send(head.as_bytes());
                peer.request
            })
        });
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = requests.clone();
        let builder = builder().headers_with(move |request: &RequestContext| {
            seen.lock().unwrap().push(request.clone());
            Ok(lines(&[
                ("X-Signature", &format!("signed {}", request.url())),
                ("Authorization", "signed"),
                ("Cookie", "a=signed"),
                ("User-Agent", &format!("tester/{}", request.redirects())),
            ]))
        });
        drop(builder.connect(&format!("ws://{addr}/")).unwrap());
        let [first, second] = server.join();
        assert_eq!(values(&first, "X-Signature"), [format!("signed ws://{addr}/")]);
        assert_eq!(values(&second, "X-Signature"), [format!("signed ws://{addr}/next?x")]);
        let url = goal.url();
        let third = goal.join();
        assert!(!third.contains("signed"), "{third}");
        assert_eq!(values(&third, "User-Agent"), ["tester/2"]);

        let requests = requests.lock().unwrap();
        let facts = requests.iter().map(|request| (request.redirects(), request.is_first_origin()));
        assert_eq!(facts.collect::<Vec<_>>(), [(0, true), (1, true), (2, false)]);
        assert_eq!(requests[2].url(), url);
    });
}

#[test]
fn a_redirect_that_is_not_followed_makes_no_headers() {
    watchdog(LIMIT, || {
        let server = serve(|peer| {
            peer.read_request();
            peer.send(b"HTTP/1.1 302 x\r\nLocation: ftp://x/\r\n\r\n");
        });
        let calls = Arc::new(AtomicU32::new(0));
        let count = calls.clone();
        let builder = builder().headers_with(move |_| {
            count.fetch_add(1, Ordering::SeqCst);
            Ok(Vec::new())
        });
        error(builder.connect(&server.url()));
        server.join();
        assert_eq!(calls.load(Ordering::SeqCst), 1);
    });
}
