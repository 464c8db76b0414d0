//! `Display` and `Debug` of errors and values. They show no secret, and nothing that could harm a
//! terminal or a log.

#![allow(clippy::unwrap_used)] // `clippy.toml` allows it in test functions only.

use crate::support;

use std::fmt::{Debug, Display};
use std::io::Write as _;
use std::sync::mpsc::channel;

use landline::error::{HandshakeProblem, InvalidInput};
use landline::{AbortHandle, CloseCode, Error, Keepalive, MessageKind};
use support::*;

/// Returns all that `Debug` shows of a value.
fn shown(value: impl Debug) -> String {
    format!("{value:?} {value:#?}")
}

/// Returns all that is shown of an error and of its sources.
fn told(error: &(dyn std::error::Error + 'static)) -> String {
    let mut all = format!("{error} {error:?} {error:#?}");
    let mut source = error.source();
    while let Some(inner) = source {
        all += &format!(" {inner} {inner:?}");
        source = inner.source();
    }
    all
}

fn hides_the_canary(shown: &str) {
    assert!(!shown.contains("canary"), "{shown}");
    // The list of its bytes is not there either, in one line or in several.
    let bytes: String = shown.split_whitespace().collect();
    assert!(!bytes.contains("99,97,110,97,114,121"), "{shown}");
}

/// Checks that nothing moves a cursor, breaks a line, or changes the direction of writing.
fn is_harmless(shown: &impl Display) {
    let shown = shown.to_string();
    let harmful = |letter: char| {
        letter.is_control() || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
    };
    assert!(!shown.contains(harmful), "{shown:?}");
}

#[test]
fn no_connection_shows_what_it_receives_and_sends() {
    watchdog(LIMIT, || {
        let (done, hold) = channel();
        let server = upgraded(move |peer| {
            peer.send(&[text("canary one"), frame(TEXT, false, b"canary two")].concat());
            peer.hold_open(&hold);
        });
        let abort = AbortHandle::new();
        let builder = builder().abort_handle(abort.clone()).cookie("canary");
        let mut ws = builder.connect(&server.url()).unwrap();
        ws.send("canary three").unwrap();
        hides_the_canary(&shown(&ws));
        let mut reader = ws.reader().unwrap();
        let mut some = [0; 3];
        std::io::Read::read_exact(&mut reader, &mut some).unwrap();
        hides_the_canary(&shown(&reader));
        drop(reader);
        hides_the_canary(&shown(ws.messages()));
        let (receiver, sender) = ws.split();
        let mut writer = sender.writer(MessageKind::Text).unwrap();
        writer.write_all(b"canary four").unwrap();
        hides_the_canary(&shown(&writer));
        drop(writer);
        hides_the_canary(&shown((&receiver, &sender, &abort, &builder, sender.response())));
        hides_the_canary(&shown((Keepalive::OFF, receiver.closed())));
        drop(done);
        server.join();
    });
}

#[test]
fn credentials_are_in_no_error_however_connecting_ends() {
    watchdog(LIMIT, || {
        let builder = builder()
            .open_timeout(PROMPT / 2)
            .header("X-Token", "canary")
            .bearer_auth("canary")
            .cookie("session=canary")
            .origin("https://canary@origin");
        // Silence, a refusal, the end, no HTTP, another protocol, a redirect, each wrong 101.
        let answers: [&[u8]; 12] = [
            b"",
            b"HTTP/1.1 401 No\r\nSet-Cookie: canary\r\nLink: </canary>\r\n\
              Content-Length: 2\r\n\r\nno",
            b"HTTP/1.1 302 There\r\nLocation: /canary\r\nRefresh: 0;/canary\r\n\
              Content-Length: 0\r\n\r\n",
            b"HTTP/1.1 302 There\r\nLocation: ftp://canary/canary\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 403 No\r\nSec-WebSocket-Protocol: canary\r\ncanary\r\n\
              Content-Length: 0\r\n\r\n",
            b"HTTP/1.1 302 There\r\nSet-Cookie: canary\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 101 OK\r\nSet-Cookie: canary\r\n\r\n",
            b"HTTP/1.1 101 OK\r\nSet-Cookie: canary\r\nUpgrade: websocket\r\n\r\n",
            b"HTTP/1.1 101 OK\r\nSet-Cookie canary\r\n\r\n",
            b"HTTP/1.0 101 OK\r\nAuthorization: canary\r\n\r\n",
            b"canary",
            b"\x15\x03\x03\x00\x02\x02\x28",
        ];
        for answer in answers {
            let server = serve(move |peer| {
                peer.read_request();
                assert!(peer.request.contains("canary"));
                let _ = peer.try_send(answer);
                if !answer.is_empty() {
                    peer.fin();
                }
                peer.stall();
            });
            let url = format!("ws://canary:canary@{}/canary?canary=canary", server.addr);
            let said = error(builder.connect(&url));
            hides_the_canary(&told(&said));
            server.join();
        }
        for url in ["ws://canary:canary@127.0.0.1:1/", "ws://c:canary@name.invalid/canary"] {
            hides_the_canary(&told(&error(builder.connect(url))));
        }
    });
}

#[cfg(feature = "tls")]
#[test]
fn no_value_shows_a_private_key() {
    watchdog(LIMIT, || {
        let leaf = tls::ca().leaf(&["localhost"]);
        let secret: Vec<_> = leaf.key_pem.lines().filter(|line| !line.contains("---")).collect();
        let pair = (leaf.pem.as_bytes(), leaf.key_pem.as_bytes());
        let options = tls::trusting().client_certificate_pem(pair.0, pair.1).unwrap();
        let builder = builder().tls(options.clone());
        let server = tls::upgraded_tls(|peer| drop(peer.stall()));
        let mut all = shown((&options, &builder));
        let ws = builder.connect(&server.url()).unwrap();
        all += &shown((&ws, &builder));
        drop(ws);
        server.join();
        let key = [leaf.key_pem.as_bytes(), b"trailing"].concat();
        let broken = String::from_utf8(key).unwrap().replace("PRIVATE KEY", "ENCRYPTED KEY");
        let refused = tls::trusting().client_certificate_pem(pair.0, broken.as_bytes());
        all += &told(&refused.unwrap_err());
        let other = tls::ca().leaf(&["another"]);
        let wrong = tls::trusting().client_certificate_pem(other.pem.as_bytes(), pair.1).unwrap();
        all += &told(&error(support::builder().tls(wrong).connect("wss://localhost:1/")));
        assert!(secret.iter().all(|line| !line.is_empty() && !all.contains(line)), "{all}");
    });
}

#[test]
fn a_server_that_gives_a_hostile_reason_is_quoted_escaped_and_cut() {
    watchdog(LIMIT, || {
        let hostile = ["\t\u{9b}31m", "\u{202e}evil", "\u{2028}", "\u{200b}", "\"\\", "ok"];
        for reason in hostile.map(|part| part.repeat(2000 / part.len())) {
            let answer = format!("HTTP/1.1 403 {reason}\r\nContent-Length: 0\r\n\r\n");
            let server = serve(move |peer| {
                peer.read_request();
                peer.send(answer.as_bytes());
                peer.stall();
            });
            let said = error(builder().connect(&server.url()));
            let Error::Handshake(refused) = &said else { panic!("{said:?}") };
            assert_eq!(refused.problem(), &HandshakeProblem::Refused);
            assert_eq!(said.response().unwrap().reason(), reason);
            assert_eq!(said.status(), Some(403));
            is_harmless(&said);
            is_harmless(&format!("{said:?}"));
            // 256 characters, each of which takes up to ten when it is escaped.
            assert!(said.to_string().len() < 2700, "{}", said.to_string().len());
            server.join();
        }
    });
}

#[test]
fn a_peer_that_closes_with_a_hostile_reason_is_quoted_escaped() {
    watchdog(LIMIT, || {
        for reason in ["\u{1b}]0;evil\u{7}\r\n", "\u{202e}\u{2028}\u{200b}", "\u{85}\u{9b}31m"] {
            let server = upgraded(move |peer| {
                peer.send(&close(4000, reason));
                peer.stall();
            });
            let mut ws = builder().connect(&server.url()).unwrap();
            let said = error(ws.recv());
            let closed = said.closed().unwrap();
            assert_eq!((closed.code(), closed.reason()), (CloseCode::new(4000), reason));
            is_harmless(&said);
            is_harmless(&closed);
            is_harmless(&closed.peer().unwrap());
            is_harmless(&format!("{said:?} {:?}", ws.closed()));
            drop(ws);
            server.join();
        }
    });
}

#[test]
fn hostile_input_of_the_caller_is_shown_escaped() {
    for url in ["ws://\u{1b}[2J/", "ws://h\u{202e}/", "\u{1b}://h/", "ws://h:\n/"] {
        let said = error(builder().connect(url));
        assert!(matches!(said, Error::InvalidInput(InvalidInput::Url(_))), "{said:?}");
        is_harmless(&said);
        is_harmless(&format!("{said:?}"));
    }
    // In a path it is escaped, so that connecting fails at the lookup only.
    let nowhere = builder().resolver(|_, _| Err(std::io::Error::other("no such name")));
    let said = error(nowhere.connect("ws://h/\u{9b}"));
    assert!(matches!(said, Error::Connect(_)), "{said:?}");
    is_harmless(&said);
    is_harmless(&format!("{said:?}"));
    let others = [
        builder().header("\u{1b}[2J", "x"),
        builder().header("Connection\u{202e}", "x"),
        builder().subprotocols(["\u{1b}[2J"]),
        builder().subprotocols(["\u{202e}"]),
    ];
    for builder in others {
        let said = error(builder.connect("ws://127.0.0.1:1/"));
        assert!(matches!(said, Error::InvalidInput(_)), "{said:?}");
        is_harmless(&said);
        is_harmless(&format!("{said:?}"));
    }
}

/// Credentials are in one line of one request, and in nothing that is shown.
mod credentials {
    use std::net::TcpStream;
    use std::sync::{Arc, Mutex};

    use landline::Builder;
    use landline::cookie::CookieJar;

    use super::*;

    /// Returns whether a text has the canary in it, in plain text or in base64 at any offset.
    fn has_canary(text: &str) -> bool {
        let encoded = ["Y2FuYXJ5", "NhbmFye", "jYW5hcn"];
        text.to_lowercase().contains("canary") || encoded.iter().any(|part| text.contains(part))
    }

    #[test]
    fn a_secret_is_in_its_own_line_of_the_request_and_nowhere_else() {
        watchdog(LIMIT, || {
            for (builder, userinfo, line) in [
                (builder(), "user:canary@", "Authorization: Basic dXNlcjpjYW5hcnk="),
                (builder(), "canary:x@", "Authorization: Basic Y2FuYXJ5Ong="),
                (builder(), ":canary@", "Authorization: Basic OmNhbmFyeQ=="),
                (
                    builder().basic_auth("user", "canary"),
                    "",
                    "Authorization: Basic dXNlcjpjYW5hcnk=",
                ),
                (builder().basic_auth("u", "p"), "x:canary@", "Authorization: Basic dTpw"),
                (builder().bearer_auth("canary"), "x:canary@", "Authorization: Bearer canary"),
                (builder().header("Authorization", "x"), "x:canary@", "Authorization: x"),
                (builder().cookie("a=canary"), "", "Cookie: a=canary"),
            ] {
                let server = upgraded(|peer| peer.request.clone());
                let url = format!("ws://{userinfo}{}/path?query", server.addr);
                let origin = builder.origin("https://page.example");
                drop(origin.connect(&url).unwrap());
                let request = server.join();
                assert_eq!(request.matches(line).count(), 1, "{line} is not in {request}");
                assert!(!has_canary(&request.replace(line, "")), "{request}");
            }
        });
    }

    /// Collects everything that was shown.
    #[derive(Default)]
    struct Shown(String);

    impl Shown {
        fn see(&mut self, value: impl Debug) {
            self.0 += &format!("{value:?} {value:#?}\n");
        }

        fn read(&mut self, value: impl Debug + Display) {
            self.0 += &format!("{value}\n");
            self.see(value);
        }

        /// Adds an error and all its sources.
        fn error(&mut self, error: Error) {
            let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
            while let Some(error) = cause {
                self.0 += &format!("{error} {error:?}\n");
                cause = error.source();
            }
            self.read(error);
        }
    }

    /// Returns a client with a secret in every option that takes one.
    fn laden(jar: &Arc<CookieJar>) -> Builder {
        builder()
            .cookie_store(jar.clone())
            .cookie("a=canary")
            .basic_auth("canary", "canary")
            .header("X-Api-Key", "canary")
            .header("X-Two", "canary")
            .headers_with(|request| Ok(vec![("X-Url".into(), format!("canary {}", request.url()))]))
    }

    #[test]
    fn secrets_are_in_no_diagnostic_of_redirects_cookies_and_refusals() {
        watchdog(LIMIT, || {
            let jar = Arc::new(CookieJar::new());
            jar.set("ws://127.0.0.1/", "session=canary").unwrap();
            let (contexts, mut seen) = (Arc::new(Mutex::new(Vec::new())), Shown::default());
            let builder = laden(&jar);
            seen.see(&builder);
            seen.see(builder.clone().bearer_auth("canary"));
            seen.see(&jar);

            // A redirect with secrets in its URL, to a server that refuses.
            for answer in [
                "HTTP/1.1 403 No\r\nSet-Cookie: b=canary\r\nLink: </canary>\r\n\
                 Content-Length: 2\r\n\r\nno",
                "HTTP/1.1 307 Go\r\nLocation: ftp://canary:canary@canary/canary\r\n\
                 Refresh: 0;/canary\r\n\r\n",
                "HTTP/1.1 307 Go\r\nLocation: ws://canary:canary@127.0.0.1:0/?canary\r\n\r\n",
                "HTTP/1.1 307 Go\r\nLocation: /canary\r\nLocation: /canary\r\n\r\n",
                "HTTP/1.1 101 Go\r\nSet-Cookie: b=canary\r\nLocation: canary\r\n\r\n",
            ] {
                let goal = serve(move |peer| {
                    peer.read_request();
                    peer.send(answer.as_bytes());
                });
                let location = format!("ws://canary:canary@{}/canary?canary#canary", goal.addr);
                let start = serve(move |peer| {
                    peer.read_request();
                    let head = format!("HTTP/1.1 302 Go\r\nLocation: {location}\r\n");
                    peer.send((head + "Set-Cookie: c=canary\r\n\r\n").as_bytes());
                });
                let spy = contexts.clone();
                let spying = builder.clone().headers_with(move |context| {
                    spy.lock().unwrap().push(context.clone());
                    Ok(Vec::new())
                });
                let url = format!("ws://canary:canary@{}/canary?canary", start.addr);
                seen.error(error(spying.connect(&url)));
                start.join();
                goal.join();
            }
            assert_eq!(contexts.lock().unwrap().len(), 10);
            seen.see(&contexts);

            // More redirects than the limit, and one over a stream.
            let server = serve(|peer| {
                peer.read_request();
                peer.send(b"HTTP/1.1 302 Go\r\nLocation: /canary?canary\r\n\r\n");
            });
            let stream = TcpStream::connect(server.addr).unwrap();
            seen.error(error(builder.connect_over("ws://canary:canary@x/canary?canary", stream)));
            server.join();

            // A port where nobody listens, and input that cannot be sent.
            let nobody = closed();
            seen.error(error(builder.connect(&format!("ws://canary:canary@{nobody}/canary"))));
            for url in
                ["http://canary:canary@x/canary", "ws://canary:canary@x/#canary", "ws://canary "]
            {
                seen.error(error(builder.connect(url)));
            }
            seen.error(error(builder.clone().header("X-A", "canary\0").connect("ws://x/")));
            seen.error(error(builder.clone().basic_auth("can:ary", "canary").connect("ws://x/")));
            seen.error(error(builder.clone().subprotocols(["a", "a"]).connect("ws://canary:x@x/")));

            // A connection that opens.
            let server = serve(|peer| {
                peer.read_request();
                let answer = peer.good_answer("Set-Cookie: d=canary\r\nLocation: canary\r\n");
                peer.send(&answer);
            });
            let ws =
                builder.connect(&format!("ws://canary:canary@{}/canary/x?canary", server.addr));
            let ws = ws.unwrap();
            seen.see(&ws);
            seen.see(ws.response());
            seen.see(ws.sender());
            server.join();
            assert_eq!(jar.all().len(), 4);
            seen.see(jar.all());

            let shown: Vec<_> = seen.0.lines().filter(|line| has_canary(line)).collect();
            assert_eq!(shown, Vec::<&str>::new());
        });
    }

    #[test]
    fn the_url_of_the_answer_has_no_user_and_no_password() {
        watchdog(LIMIT, || {
            let server = upgraded(|_| ());
            let url = format!("ws://user:password@{}/path?query", server.addr);
            let ws = builder().connect(&url).unwrap();
            assert_eq!(ws.response().url(), format!("ws://{}/path?query", server.addr));
            server.join();
        });
    }
}
