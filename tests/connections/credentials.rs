//! Secrets go into one line of one request, and into nothing that is shown.

#![allow(missing_docs, clippy::unwrap_used)]

use crate::support;

use std::fmt::{Debug, Display};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};

use landline::{Builder, CookieJar, Error};
use support::{LIMIT, builder, error, listener, serve, upgraded, watchdog};

/// Base64 of these has this in it, wherever it begins.
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
            (builder().basic_auth("user", "canary"), "", "Authorization: Basic dXNlcjpjYW5hcnk="),
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

/// Everything that was shown.
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

    /// An error, and all that is behind it.
    fn error(&mut self, error: Error) {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
        while let Some(error) = cause {
            self.0 += &format!("{error} {error:?}\n");
            cause = error.source();
        }
        self.read(error);
    }
}

/// A client with a secret in every option that takes one.
fn laden(jar: &Arc<CookieJar>) -> Builder {
    builder()
        .cookie_store(jar.clone())
        .cookie("a=canary")
        .basic_auth("canary", "canary")
        .header("X-Api-Key", "canary")
        .header("X-Two", "canary")
        .headers_with(|hop| Ok(vec![("X-Url".into(), format!("canary {}", hop.url()))]))
}

#[test]
fn secrets_are_in_no_diagnostic_of_redirects_cookies_and_refusals() {
    watchdog(LIMIT, || {
        let jar = Arc::new(CookieJar::new());
        jar.set("ws://127.0.0.1/", "session=canary").unwrap();
        let (hops, mut seen) = (Arc::new(Mutex::new(Vec::new())), Shown::default());
        let builder = laden(&jar);
        seen.see(&builder);
        seen.see(builder.clone().bearer_auth("canary"));
        seen.see(&jar);

        // A redirect with secrets in its URL, to a server that refuses.
        for answer in [
            "HTTP/1.1 403 No\r\nSet-Cookie: b=canary\r\nLink: </canary>\r\nContent-Length: 2\r\n\r\nno",
            "HTTP/1.1 307 Go\r\nLocation: ftp://canary:canary@canary/canary\r\nRefresh: 0;/canary\r\n\r\n",
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
            let spy = hops.clone();
            let spying = builder.clone().headers_with(move |hop| {
                spy.lock().unwrap().push(hop.clone());
                Ok(Vec::new())
            });
            let url = format!("ws://canary:canary@{}/canary?canary", start.addr);
            seen.error(error(spying.connect(&url)));
            start.join();
            goal.join();
        }
        assert_eq!(hops.lock().unwrap().len(), 10);
        seen.see(&hops);

        // Too many, and over a stream.
        let server = serve(|peer| {
            peer.read_request();
            peer.send(b"HTTP/1.1 302 Go\r\nLocation: /canary?canary\r\n\r\n");
        });
        let stream = TcpStream::connect(server.addr).unwrap();
        seen.error(error(builder.connect_over("ws://canary:canary@x/canary?canary", stream)));
        server.join();

        // Nobody there, and input that cannot be sent.
        let nobody = listener().local_addr().unwrap();
        seen.error(error(builder.connect(&format!("ws://canary:canary@{nobody}/canary"))));
        for url in ["http://canary:canary@x/canary", "ws://canary:canary@x/#canary", "ws://canary "]
        {
            seen.error(error(builder.connect(url)));
        }
        seen.error(error(builder.clone().header("X-A", "canary\0").connect("ws://x/")));
        seen.error(error(builder.clone().basic_auth("can:ary", "canary").connect("ws://x/")));
        seen.error(error(builder.clone().subprotocols(["a", "a"]).connect("ws://canary:x@x/")));

        // One that opens.
        let server = serve(|peer| {
            peer.read_request();
            let answer = peer.good_answer("Set-Cookie: d=canary\r\nLocation: canary\r\n");
            peer.send(&answer);
        });
        let ws = builder.connect(&format!("ws://canary:canary@{}/canary/x?canary", server.addr));
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
