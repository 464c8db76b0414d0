//! Redirects: the servers that they lead to, and the headers that are sent there.

#![allow(missing_docs, clippy::unwrap_used)]

use crate::support;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use landline::error::{Cause, HandshakeError, HandshakeProblem};
use landline::{AbortHandle, Builder, Error, Message, WebSocket};
use support::{
    Joined, LIMIT, PROMPT, Peer, SHORT, Server, builder, closed, error, listener, promptly, serve,
    spawn, takes, takes_at_most, upgraded, watchdog,
};

fn redirect(location: &str) -> Vec<u8> {
    format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n").into_bytes()
}

/// Redirects the peer to `location`, and waits until the connection ends.
fn send_on(peer: &mut Peer, location: &str) {
    peer.read_request();
    peer.send(&redirect(location));
    promptly(|| peer.expect_end());
}

/// Starts a server that redirects one client.
fn redirects_to(location: impl Into<String>) -> Server<String> {
    let location = location.into();
    serve(move |peer| {
        send_on(peer, &location);
        peer.request.clone()
    })
}

/// Starts the server where redirects end. It sends `here`, and returns the request.
fn goal() -> Server<String> {
    upgraded(|peer| {
        peer.send(&support::text("here"));
        peer.request.clone()
    })
}

fn arrives(ws: Result<WebSocket, Error>) -> WebSocket {
    let mut ws = ws.unwrap();
    assert_eq!(ws.recv().unwrap(), Message::from("here"));
    ws
}

/// Starts a server for several connections, one after the other. It returns the requests.
fn visited(
    times: usize,
    mut script: impl FnMut(usize, &mut Peer) + Send + 'static,
) -> (SocketAddr, Joined<Vec<String>>) {
    let listener = listener();
    let addr = listener.local_addr().unwrap();
    let visits = spawn(move || serve_visits(&listener, times, &mut script));
    (addr, visits)
}

fn serve_visits(
    listener: &TcpListener,
    times: usize,
    script: &mut impl FnMut(usize, &mut Peer),
) -> Vec<String> {
    let visit = |at| {
        let mut peer = Peer::new(listener.accept().unwrap().0);
        peer.read_request();
        script(at, &mut peer);
        peer.request
    };
    (0..times).map(visit).collect()
}

fn refused(error: Error) -> HandshakeError {
    match error {
        Error::Handshake(refused) => *refused,
        other => panic!("{other:?}"),
    }
}

fn values<'a>(request: &'a str, name: &str) -> Vec<&'a str> {
    let lines = request.lines().skip(1).filter_map(|line| line.split_once(": "));
    lines.filter(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect()
}

/// Returns a client with a secret of every kind, and with headers that hold none.
fn laden() -> Builder {
    builder()
        .cookie("id=canary")
        .bearer_auth("canary")
        .header("X-Api-Key", "canary")
        .header("X-Trace", "canary")
        .host("canary.example")
        .origin("https://page.example")
        .user_agent("tester/1")
        .header("Accept-Language", "de")
        .subprotocols(["chat"])
}

fn is_laden(request: &str) -> bool {
    assert_eq!(values(request, "Origin"), ["https://page.example"]);
    assert_eq!(values(request, "User-Agent"), ["tester/1"]);
    assert_eq!(values(request, "Accept-Language"), ["de"]);
    assert_eq!(values(request, "Sec-WebSocket-Protocol"), ["chat"]);
    let secrets = request.matches("canary").count();
    assert!(matches!(secrets, 0 | 5), "{request}");
    secrets == 5
}

#[test]
fn a_server_redirects_with_any_of_five_statuses_and_is_followed() {
    watchdog(LIMIT, || {
        for status in [301, 302, 303, 307, 308] {
            let goal = goal();
            let url = goal.url() + "room?a=b";
            let start = serve(move |peer| {
                peer.read_request();
                let answer = format!("HTTP/1.1 {status} x\r\nLocation: {url}\r\n\r\n");
                peer.send(answer.as_bytes());
            });
            let ws = arrives(builder().connect(&start.url()));
            start.join();
            assert_eq!(ws.response().status(), 101);
            assert_eq!(ws.response().url(), format!("ws://{}/room?a=b", goal.addr));
            assert!(goal.join().starts_with("GET /room?a=b HTTP/1.1\r\n"), "{status}");
        }
    });
}

#[test]
fn other_statuses_with_a_location_are_refusals() {
    watchdog(LIMIT, || {
        for status in [200, 201, 300, 304, 305, 306, 309, 401, 503] {
            let server = serve(move |peer| {
                peer.read_request();
                let head = format!("HTTP/1.1 {status} x\r\nLocation: ws://127.0.0.1:1/\r\n");
                peer.send((head + "Content-Length: 0\r\n\r\n").as_bytes());
            });
            let refused = refused(error(builder().connect(&server.url())));
            assert_eq!(refused.problem(), &HandshakeProblem::Refused);
            assert_eq!(refused.response().unwrap().status(), status);
            server.join();
        }
    });
}

#[test]
fn a_redirect_is_a_refusal_with_its_location_and_body_if_none_is_to_be_followed() {
    watchdog(LIMIT, || {
        let server = serve(|peer| {
            peer.read_request();
            peer.send(
                b"HTTP/1.1 307 x\r\nLocation: ws://127.0.0.1:1/x\r\nContent-Length: 4\r\n\r\nbody",
            );
        });
        let refused = refused(error(builder().max_redirects(0).connect(&server.url())));
        assert_eq!(refused.problem(), &HandshakeProblem::Refused);
        let response = refused.response().unwrap();
        assert_eq!(response.headers().get("Location"), Some("ws://127.0.0.1:1/x"));
        assert_eq!(response.body(), b"body");
        assert_eq!(response.url(), server.url());
        server.join();
    });
}

#[test]
fn a_server_that_redirects_to_itself_is_asked_once_more_than_the_limit() {
    watchdog(LIMIT, || {
        for (builder, times) in
            [(builder(), 4), (builder().max_redirects(1), 2), (builder().max_redirects(5), 6)]
        {
            let (addr, visits) = visited(times, |at, peer| {
                peer.send(&redirect(&format!("/{at}")));
            });
            let refused = refused(error(builder.connect(&format!("ws://{addr}/"))));
            assert_eq!(refused.problem(), &HandshakeProblem::TooManyRedirects);
            assert_eq!(
                refused.to_string(),
                "opening handshake failed: too many redirects (max_redirects)"
            );
            let response = refused.response().unwrap();
            assert_eq!(response.headers().get("Location"), Some(&*format!("/{}", times - 1)));
            assert_eq!(response.url(), format!("ws://{addr}/{}", times - 2));
            assert!(!Error::Handshake(Box::new(refused)).is_retryable());
            assert_eq!(visits.join().len(), times);
        }
    });
}

#[test]
fn as_many_redirects_as_the_limit_are_followed() {
    watchdog(LIMIT, || {
        for times in 1..=5usize {
            let (addr, visits) = visited(times + 1, move |at, peer| {
                let answer = peer.good_answer("");
                peer.send(if at == times {
                    &answer
                } else {
                    b"HTTP/1.1 301 x\r\nLocation: ?\r\n\r\n"
                });
                if at == times {
                    peer.send(&support::text("here"));
                }
            });
            let builder = builder().max_redirects(u32::try_from(times).unwrap());
            arrives(builder.connect(&format!("ws://{addr}/")));
            visits.join();
        }
    });
}

#[test]
fn two_servers_that_redirect_to_each_other_are_given_up() {
    watchdog(LIMIT, || {
        let (one, two) = (listener(), listener());
        let [to_one, to_two] = [&one, &two].map(|to| format!("ws://{}/", to.local_addr().unwrap()));
        let start = to_one.clone();
        let visits = [(one, to_two), (two, to_one)].map(|(listener, location)| {
            spawn(move || {
                let mut script = |_: usize, peer: &mut Peer| peer.send(&redirect(&location));
                serve_visits(&listener, 2, &mut script)
            })
        });
        let refused = refused(error(builder().connect(&start)));
        assert_eq!(refused.problem(), &HandshakeProblem::TooManyRedirects);
        let requests = visits.map(Joined::join);
        assert_eq!(requests.map(|requests| requests.len()), [2, 2]);
    });
}

#[test]
fn redirects_share_one_open_timeout() {
    watchdog(LIMIT, || {
        let (listener, over) = (listener(), Arc::new(AtomicBool::new(false)));
        let addr = listener.local_addr().unwrap();
        let is_over = over.clone();
        let server = spawn(move || {
            loop {
                let (stream, _) = listener.accept().unwrap();
                if is_over.load(Ordering::SeqCst) {
                    return;
                }
                let mut peer = Peer::new(stream);
                // The timeout may pass between connecting and the request.
                if peer.try_read_request().is_err() {
                    continue;
                }
                // Each redirect takes a tenth of the timeout, so one alone is never too slow.
                peer.drip(b"HTTP/1.1 ", SHORT / 25);
                let _ = peer.try_send(b"302 x\r\nLocation: /\r\n\r\n");
            }
        });
        let builder = builder().open_timeout(SHORT * 4).max_redirects(25);
        let said = takes(SHORT * 4, || error(builder.connect(&format!("ws://{addr}/"))));
        // If each had a timeout of its own, there would be too many redirects.
        assert!(said.is_timeout(), "{said:?}");
        over.store(true, Ordering::SeqCst);
        // Wakes the server, unless the client's last connection has ended it already.
        if !server.is_finished() {
            let _ = std::net::TcpStream::connect(addr);
        }
        server.join();
    });
}

#[test]
fn the_request_after_a_redirect_can_be_aborted() {
    watchdog(LIMIT, || {
        let abort = AbortHandle::new();
        let aborter = abort.clone();
        let silent = serve(move |peer| {
            peer.read_request();
            aborter.abort();
            peer.stall().len()
        });
        let start = redirects_to(silent.url());
        let builder = builder().abort_handle(abort);
        let said = takes_at_most(PROMPT, || error(builder.connect(&start.url())));
        assert!(matches!(said.closed().unwrap().cause(), Cause::Aborted), "{said:?}");
        start.join();
        silent.join();
    });
}

#[test]
fn each_request_has_its_own_key_and_its_own_host() {
    watchdog(LIMIT, || {
        let goal = goal();
        let start = redirects_to(goal.url());
        let (first, second) = (start.addr.to_string(), goal.addr.to_string());
        arrives(builder().connect(&start.url()));
        let (start, goal) = (start.join(), goal.join());
        assert_ne!(values(&start, "Sec-WebSocket-Key"), values(&goal, "Sec-WebSocket-Key"));
        assert_eq!(
            (values(&start, "Host"), values(&goal, "Host")),
            (vec![&*first], vec![&*second])
        );
    });
}

#[test]
fn a_permanent_redirect_is_not_remembered() {
    watchdog(LIMIT, || {
        let (goal, visits) = visited(2, |_, peer| {
            let answer = peer.good_answer("");
            peer.send(&answer);
        });
        let location = format!("HTTP/1.1 301 x\r\nLocation: ws://{goal}/\r\n\r\n");
        let (start, starts) = visited(2, move |_, peer| peer.send(location.as_bytes()));
        let builder = builder();
        for _ in 0..2 {
            drop(builder.connect(&format!("ws://{start}/")).unwrap());
        }
        assert_eq!((starts.join().len(), visits.join().len()), (2, 2));
    });
}

#[test]
fn a_redirect_within_the_origin_keeps_everything() {
    watchdog(LIMIT, || {
        for location in ["/b?c", "b?c", "//ADDR/b?c", "http://ADDR/b?c", "ws://other:one@ADDR/b?c"]
        {
            let (addr, visits) = visited(2, move |at, peer| {
                let host = peer.socket().local_addr().unwrap().to_string();
                let answer = peer.good_answer("Sec-WebSocket-Protocol: chat\r\n");
                let away = redirect(&location.replace("ADDR", &host));
                peer.send(if at == 0 { &away } else { &answer });
            });
            drop(laden().connect(&format!("ws://{addr}/a")).unwrap());
            let requests = visits.join();
            assert!(requests[1].starts_with("GET /b?c HTTP/1.1\r\n"));
            assert!(requests.iter().all(|request| is_laden(request)), "{location}");
        }
    });
}

#[test]
fn the_user_of_the_url_is_kept_within_the_origin_and_nowhere_else() {
    watchdog(LIMIT, || {
        let goal = goal();
        let away = goal.url();
        let (addr, visits) = visited(2, move |at, peer| {
            peer.send(&redirect(if at == 0 { "/next" } else { &away }));
        });
        arrives(builder().connect(&format!("ws://user:canary@{addr}/")));
        for request in visits.join() {
            // base64 of "user:canary".
            assert_eq!(values(&request, "Authorization"), ["Basic dXNlcjpjYW5hcnk="]);
        }
        assert_eq!(values(&goal.join(), "Authorization").len(), 0);
    });
}

#[test]
fn a_redirect_to_another_port_drops_all_that_could_be_a_secret() {
    watchdog(LIMIT, || {
        let goal = serve(|peer| {
            peer.read_request();
            let answer = peer.good_answer("Sec-WebSocket-Protocol: chat\r\n");
            peer.send(&answer);
            peer.request.clone()
        });
        let start = redirects_to(goal.url());
        let host = goal.addr.to_string();
        drop(laden().connect(&start.url()).unwrap());
        assert!(is_laden(&start.join()));
        let request = goal.join();
        assert!(!is_laden(&request));
        assert_eq!(values(&request, "Host"), [host]);
        for name in ["Authorization", "Cookie", "X-Api-Key", "X-Trace"] {
            assert_eq!(values(&request, name).len(), 0, "{name}");
        }
    });
}

#[test]
fn a_redirect_to_another_name_of_the_same_server_drops_secrets_too() {
    watchdog(LIMIT, || {
        let (addr, visits) = visited(2, |at, peer| {
            let port = peer.socket().local_addr().unwrap().port();
            let answer = peer.good_answer("");
            let away = redirect(&format!("ws://localhost:{port}/"));
            peer.send(if at == 0 { &away } else { &answer });
        });
        drop(laden().connect(&format!("ws://{addr}/")).unwrap());
        let requests = visits.join();
        assert!(is_laden(&requests[0]) && !is_laden(&requests[1]));
    });
}

#[test]
fn headers_that_replace_ours_are_dropped_like_ours() {
    watchdog(LIMIT, || {
        let goal = goal();
        let start = redirects_to(goal.url());
        let builder = builder()
            .header("AUTHORIZATION", "canary")
            .header("cookie", "a=canary")
            .header("host", "canary.example")
            .header("user-agent", "tester/2")
            .basic_auth("other", "canary");
        arrives(builder.connect(&start.url()));
        assert_eq!(start.join().matches("canary").count(), 3);
        let request = goal.join();
        assert!(!request.contains("canary") && !request.contains("Authorization"), "{request}");
        assert_eq!(values(&request, "User-Agent"), ["tester/2"]);
    });
}

#[test]
fn headers_that_were_dropped_are_not_sent_again_after_a_redirect_back() {
    watchdog(LIMIT, || {
        let abroad = listener();
        let away = format!("ws://{}/", abroad.local_addr().unwrap());
        // The redirects lead to another origin, within it, back, and within the first origin.
        let (addr, visits) = visited(3, move |at, peer| {
            let answer = peer.good_answer("");
            let steps = [redirect(&away), redirect("/end"), answer];
            peer.send(&steps[at]);
        });
        let back = format!("ws://{addr}/back");
        let abroad = spawn(move || {
            let mut script = |at: usize, peer: &mut Peer| {
                peer.send(&redirect(if at == 0 { "/around" } else { &back }));
            };
            serve_visits(&abroad, 2, &mut script)
        });
        let builder = laden().max_redirects(4);
        let ws = builder.connect(&format!("ws://user:canary@{addr}/")).unwrap();
        assert_eq!(ws.response().url(), format!("ws://{addr}/end"));
        let (home, abroad) = (visits.join(), abroad.join());
        assert!(is_laden(&home[0]));
        for request in [&abroad[0], &abroad[1], &home[1], &home[2]] {
            assert!(!is_laden(request));
            assert_eq!(values(request, "Authorization").len(), 0);
        }
    });
}

#[test]
fn a_redirect_that_leads_nowhere_is_an_error_that_quotes_it() {
    watchdog(LIMIT, || {
        for lines in [
            "",
            "Location:\r\n",
            "Location: /a\r\nLocation: /a\r\n",
            "Location: /a\r\nlocation: /b\r\n",
            "Location: /a b\r\n",
            "Location: /a\tb\r\n",
            "Location: /ä\r\n",
            "Location: javascript:alert(1)\r\n",
            "Location: file:///etc/passwd\r\n",
            "Location: ftp://127.0.0.1/\r\n",
            "Location: ws:///127.0.0.1/\r\n",
            "Location: \\\\127.0.0.1\r\n",
            "Location: ws://\r\n",
            "Location: ws://[::1/\r\n",
            "Location: ws://127.0.0.1:0/\r\n",
            "Location: ws://127.0.0.1:65536/\r\n",
            "Location: ws://a..b/\r\n",
            "Location: ws://%0a/\r\n",
        ] {
            let server = serve(move |peer| {
                peer.read_request();
                peer.send(format!("HTTP/1.1 302 x\r\n{lines}\r\n").as_bytes());
            });
            let refused = refused(promptly(|| error(builder().connect(&server.url()))));
            assert_eq!(refused.problem(), &HandshakeProblem::BadRedirect, "{lines:?}");
            assert_eq!(refused.response().unwrap().status(), 302);
            assert!(!refused.to_string().contains("127.0.0.1"), "{refused}");
            server.join();
        }
    });
}

#[test]
fn a_location_that_makes_the_request_too_large_is_an_error_of_the_server() {
    watchdog(LIMIT, || {
        let location = format!("/{}", "a".repeat(8_000));
        let server = redirects_to(location);
        let builder = builder().header("X-Big", "b".repeat(60_000));
        let refused = refused(error(builder.connect(&server.url())));
        assert_eq!(refused.problem(), &HandshakeProblem::BadRedirect);
        server.join();
    });
}

#[cfg(not(feature = "tls"))]
#[test]
fn a_redirect_to_wss_without_tls_leads_nowhere() {
    watchdog(LIMIT, || {
        let server = redirects_to("https://127.0.0.1:1/");
        let refused = refused(error(builder().connect(&server.url())));
        assert_eq!(refused.problem(), &HandshakeProblem::BadRedirect);
        server.join();
    });
}

#[test]
fn a_location_of_any_bytes_is_kept_as_it_came() {
    watchdog(LIMIT, || {
        for bytes in [&b"/\xff"[..], b"//\xc3\xa4.example/", b"\x80\x81\xfe", b"ws://\xe4/"] {
            let server = serve(move |peer| {
                peer.read_request();
                peer.send(&[b"HTTP/1.1 302 x\r\nLocation: ", bytes, b"\r\n\r\n"].concat());
            });
            let refused = refused(error(builder().connect(&server.url())));
            assert_eq!(refused.problem(), &HandshakeProblem::BadRedirect);
            let headers = refused.response().unwrap().headers();
            assert_eq!(headers.all("Location").collect::<Vec<_>>(), [bytes]);
            server.join();
        }
    });
}

#[test]
fn a_server_that_wants_an_older_version_is_not_asked_again() {
    watchdog(LIMIT, || {
        let server = serve(|peer| {
            peer.read_request();
            let head = "HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 8, 7\r\n";
            peer.send((head.to_owned() + "Content-Length: 0\r\n\r\n").as_bytes());
        });
        let refused = refused(error(builder().connect(&server.url())));
        assert_eq!(refused.problem(), &HandshakeProblem::Refused);
        let response = refused.response().unwrap();
        assert_eq!(response.status(), 426);
        assert_eq!(response.headers().get("Sec-WebSocket-Version"), Some("8, 7"));
        server.join();
    });
}

#[test]
fn a_refusal_with_retry_after_is_quoted() {
    watchdog(LIMIT, || {
        for (value, seconds) in [
            ("7", Some(7)),
            ("1000000000000000000", Some(60 * 60)),
            ("Fri, 31 Dec 9999 23:59:59 GMT", Some(60 * 60)),
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("soon", None),
        ] {
            let server = serve(move |peer| {
                peer.read_request();
                let head = format!("HTTP/1.1 503 Busy\r\nRetry-After: {value}\r\n");
                peer.send((head + "Content-Length: 0\r\n\r\n").as_bytes());
            });
            let error = error(builder().connect(&server.url()));
            assert_eq!(error.retry_after(), seconds.map(Duration::from_secs), "{value}");
            assert_eq!(refused(error).retry_after(), seconds.map(Duration::from_secs), "{value}");
            server.join();
        }
    });
}

#[test]
fn a_location_that_is_no_header_value_is_not_followed() {
    watchdog(LIMIT, || {
        let long = format!("/{}", "a".repeat(17 * 1024));
        for location in [
            "/a\rX: y",
            "/a\nLocation: /b",
            "/a\0",
            "/a\u{1b}[2J",
            // No part of the location is followed.
            "ws://127.0.0.1\r\n .evil.example/",
            "\r\n\t/a",
            &long,
        ] {
            let answer = redirect(location);
            let server = serve(move |peer| {
                peer.read_request();
                let _ = peer.try_send(&answer);
            });
            let refused = refused(error(builder().connect(&server.url())));
            assert_eq!(refused.problem(), &HandshakeProblem::BadRedirect, "{location:?}");
            assert_eq!(refused.response().unwrap().headers().all("Location").count(), 0);
            server.join();
        }
        let goal = goal();
        let path = "a".repeat(8_000);
        let start = redirects_to(goal.url() + &path);
        arrives(builder().connect(&start.url()));
        assert!(goal.join().starts_with(&format!("GET /{path} ")));
        start.join();
    });
}

#[test]
fn a_user_in_the_location_is_ignored_and_not_shown() {
    watchdog(LIMIT, || {
        let goal = goal();
        let start = redirects_to(format!("ws://user:canary@{}/", goal.addr));
        let ws = arrives(builder().connect(&start.url()));
        start.join();
        assert!(!goal.join().contains("Authorization"));
        assert_eq!(ws.response().url(), format!("ws://{}/", ws.peer_addr().unwrap()));

        let server = redirects_to("ws://user:canary@[/?canary#canary");
        let said = error(builder().connect(&server.url()));
        assert!(!format!("{said} {said:?} {said:#?}").contains("canary"), "{said:?}");
        server.join();
    });
}

#[test]
fn a_redirect_whose_body_never_ends_is_not_drained() {
    watchdog(LIMIT, || {
        let goal = goal();
        let location = goal.url();
        let start = serve(move |peer| {
            peer.read_request();
            peer.send(format!("HTTP/1.1 302 x\r\nLocation: {location}\r\n\r\n").as_bytes());
            let started = Instant::now();
            while peer.try_send(&[b'x'; 4096]).is_ok() {
                assert!(started.elapsed() < PROMPT, "the redirect is being drained");
            }
        });
        promptly(|| arrives(builder().connect(&start.url())));
        start.join();
        goal.join();
    });
}

#[test]
fn a_redirect_whose_body_stalls_is_not_waited_for() {
    fn follows() -> Duration {
        let goal = goal();
        let location = goal.url();
        let start = serve(move |peer| {
            peer.read_request();
            let head = format!("HTTP/1.1 302 x\r\nLocation: {location}\r\n");
            peer.send((head + "Content-Length: 1000\r\n\r\nx").as_bytes());
            promptly(|| peer.expect_end());
        });
        let begun = Instant::now();
        arrives(builder().connect(&start.url()));
        let took = begun.elapsed();
        start.join();
        goal.join();
        took
    }
    // Waiting for the body takes a second each time. The machine may be busy now and then.
    watchdog(LIMIT, || assert!((0..5).any(|_| follows() < Duration::from_millis(900))));
}

#[test]
fn a_redirect_to_where_nobody_listens_says_which_host() {
    watchdog(LIMIT, || {
        let nobody = closed();
        let start = redirects_to(format!("ws://{nobody}/"));
        let said = error(builder().connect(&start.url()));
        let Error::Connect(connect) = &said else { panic!("{said:?}") };
        assert_eq!(connect.attempts()[0].0, nobody);
        start.join();
    });
}

#[test]
fn every_socket_of_a_redirect_goes_through_the_socket_hook() {
    watchdog(LIMIT, || {
        let goal = goal();
        let start = redirects_to(goal.url());
        let (sender, seen) = std::sync::mpsc::channel();
        let hook = move |socket: &std::net::TcpStream| {
            sender.send(socket.peer_addr()?).map_err(std::io::Error::other)
        };
        arrives(builder().on_socket(hook).connect(&start.url()));
        assert_eq!(seen.iter().take(2).collect::<Vec<_>>(), [start.addr, goal.addr]);
        start.join();
        goal.join();
    });
}

#[test]
fn a_redirect_to_an_address_that_the_filter_refuses_leads_nowhere() {
    watchdog(LIMIT, || {
        let denied = listener();
        denied.set_nonblocking(true).unwrap();
        let denied_addr = denied.local_addr().unwrap();
        // Once by the address, and once by a name that has this address.
        for location in [format!("ws://{denied_addr}/"), "ws://inside.test/".to_owned()] {
            let start = redirects_to(location);
            let (sender, asked) = std::sync::mpsc::channel();
            let builder = builder()
                .resolver(move |name, _| {
                    assert_eq!(name, "inside.test");
                    Ok(vec![denied_addr])
                })
                .address_filter(move |address| {
                    sender.send(address).unwrap();
                    address != denied_addr
                });
            let said = error(builder.connect(&start.url()));
            let Error::Connect(refused) = &said else { panic!("{said:?}") };
            let [(address, why)] = refused.attempts() else { panic!("{refused:?}") };
            let kind = std::io::ErrorKind::PermissionDenied;
            assert_eq!((*address, why.kind()), (denied_addr, kind));
            drop(builder);
            assert_eq!(asked.iter().collect::<Vec<_>>(), [start.addr, denied_addr]);
            assert!(denied.accept().is_err(), "it was connected to");
            start.join();
        }
    });
}

#[test]
fn a_redirect_over_a_given_stream_is_refused_and_says_so() {
    watchdog(LIMIT, || {
        let server = redirects_to("ws://127.0.0.1:1/");
        let stream = std::net::TcpStream::connect(server.addr).unwrap();
        let refused = refused(error(builder().connect_over("ws://example.com/", stream)));
        assert_eq!(refused.problem(), &HandshakeProblem::UnfollowedRedirect);
        let response = refused.response().unwrap();
        assert_eq!(response.headers().get("Location"), Some("ws://127.0.0.1:1/"));
        assert_eq!(response.url(), "ws://example.com/");
        assert!(refused.to_string().contains("cannot be followed over this stream"));
        server.join();
    });
}

#[cfg(unix)]
#[test]
fn a_redirect_over_a_unix_socket_is_refused_and_says_so() {
    use std::io::{Read as _, Write as _};
    watchdog(LIMIT, || {
        let path = std::env::temp_dir().join(format!("landline-redirect-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let server = spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 4096];
            assert!(stream.read(&mut request).unwrap() > 0);
            stream.write_all(&redirect("ws://127.0.0.1:1/")).unwrap();
        });
        let refused = refused(error(builder().connect_unix("ws://example.com/", &path)));
        assert_eq!(refused.problem(), &HandshakeProblem::UnfollowedRedirect);
        server.join();
        std::fs::remove_file(&path).unwrap();
    });
}

/// Redirects between `ws` and `wss`.
#[cfg(feature = "tls")]
mod over_tls {
    use super::*;
    use support::tls::{self, Ca, serve_tls, trusting, wants_client};

    fn secure_goal() -> Server<String> {
        tls::upgraded_tls(|peer| {
            peer.send(&support::text("here"));
            peer.request.clone()
        })
    }

    #[test]
    fn a_redirect_from_wss_to_ws_is_refused_and_nothing_is_sent_there() {
        watchdog(LIMIT, || {
            for scheme in ["ws", "http", "WS"] {
                let unvisited = listener();
                unvisited.set_nonblocking(true).unwrap();
                let location = format!("{scheme}://{}/", unvisited.local_addr().unwrap());
                let start = serve_tls(tls::localhost(), move |peer| {
                    peer.read_request();
                    peer.send(&redirect(&location));
                });
                let refused = refused(error(tls::builder().connect(&start.url())));
                assert_eq!(refused.problem(), &HandshakeProblem::InsecureRedirect);
                assert!(refused.to_string().contains("from wss to ws"), "{refused}");
                let visit = unvisited.accept();
                assert_eq!(visit.unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
                start.join();
            }
        });
    }

    #[test]
    fn a_redirect_from_ws_to_https_is_followed_by_tls_and_drops_the_secrets() {
        watchdog(LIMIT, || {
            let goal = serve_tls(tls::localhost(), |peer| {
                peer.read_request();
                let answer = peer.good_answer("Sec-WebSocket-Protocol: chat\r\n");
                peer.send(&answer);
                peer.request.clone()
            });
            let start = redirects_to(goal.url().replace("wss:", "https:"));
            let ws = laden().tls(trusting()).connect(&start.url()).unwrap();
            assert_eq!(ws.response().url(), goal.url());
            assert!(is_laden(&start.join()) && !is_laden(&goal.join()));
        });
    }

    #[test]
    fn a_relative_redirect_stays_in_tls() {
        watchdog(LIMIT, || {
            let listener = listener();
            let url = format!("wss://localhost:{}/", listener.local_addr().unwrap().port());
            let server = spawn(move || {
                for at in 0..2 {
                    let (stream, _) = listener.accept().unwrap();
                    let mut peer = Peer::new(tls::accept(tls::localhost(), stream));
                    peer.read_request();
                    let answer = peer.good_answer("");
                    peer.send(if at == 0 { redirect("/next") } else { answer }.as_slice());
                }
            });
            let ws = tls::builder().connect(&url).unwrap();
            assert_eq!(ws.response().url(), url + "next");
            server.join();
        });
    }

    #[test]
    fn a_server_name_is_meant_for_the_first_server_only() {
        watchdog(LIMIT, || {
            // With the server name of the options, the second server would pass for the one in the
            // URL.
            let config = tls::config(&tls::ca().leaf(&["first.example"]));
            let impostor = serve_tls(config.clone(), |peer| peer.try_send(b"x").is_err());
            let location = impostor.url();
            let start = serve_tls(config, move |peer| {
                peer.read_request();
                peer.send(&redirect(&location));
            });
            let options = trusting().server_name("first.example");
            let said = error(builder().tls(options).connect(&start.url()));
            let Error::Tls(tls) = &said else { panic!("{said:?}") };
            assert!(tls.is_certificate(), "{said:?}");
            start.join();
            impostor.join();
        });
    }

    #[test]
    fn a_client_certificate_is_shown_to_the_first_server_only() {
        watchdog(LIMIT, || {
            let clients = Ca::new();
            let me = clients.leaf(&["me"]);
            let options = trusting()
                .client_certificate_pem(me.pem.as_bytes(), me.key_pem.as_bytes())
                .unwrap();
            let given = landline::tls::TlsOptions::from_rustls(Arc::new(given_config(&me)));
            for options in [options, given] {
                let wants = || wants_client(&tls::ca().leaf(&["localhost"]), &clients);
                let goal = serve_tls(wants(), |peer| {
                    peer.upgrade();
                    peer.send(&support::text("here"));
                });
                arrives(builder().tls(options.clone()).connect(&goal.url()));
                goal.join();

                let goal = serve_tls(wants(), |peer| {
                    peer.with_tls(|tls| tls.conn.complete_io(&mut tls.sock).is_err())
                });
                let location = goal.url();
                let start = serve_tls(wants(), move |peer| {
                    peer.read_request();
                    peer.send(&redirect(&location));
                });
                let said = error(builder().tls(options).connect(&start.url()));
                assert!(matches!(said, Error::Tls(_) | Error::Io(_)), "{said:?}");
                start.join();
                assert!(goal.join(), "the second server got a certificate");
            }
        });
    }

    fn given_config(me: &tls::Leaf) -> rustls::ClientConfig {
        use rustls::pki_types::pem::PemObject as _;
        use rustls::pki_types::{CertificateDer, PrivateKeyDer};
        let chain = vec![CertificateDer::from_pem_slice(me.pem.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(me.key_pem.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(tls::ca().roots())
            .with_client_auth_cert(chain, key)
            .unwrap()
    }

    #[test]
    fn a_redirect_to_a_server_that_nobody_vouches_for_is_refused() {
        watchdog(LIMIT, || {
            let stranger = Ca::new();
            let goal = serve_tls(tls::config(&stranger.leaf(&["localhost"])), |peer| {
                peer.try_send(b"x").is_err()
            });
            let start = redirects_to(goal.url());
            let said = error(tls::builder().connect(&start.url()));
            assert!(matches!(&said, Error::Tls(tls) if tls.is_certificate()), "{said:?}");
            start.join();
            goal.join();
        });
    }

    #[test]
    fn a_secure_goal_can_be_reached_by_two_redirects() {
        watchdog(LIMIT, || {
            let goal = secure_goal();
            let second = redirects_to(goal.url());
            let first = redirects_to(second.url());
            let ws = arrives(tls::builder().connect(&first.url()));
            assert_eq!(ws.response().url(), goal.url());
            first.join();
            second.join();
            goal.join();
        });
    }
}
