//! Wrong input is refused before any socket is opened, and right input becomes the right request.

#![allow(clippy::unwrap_used)] // `clippy.toml` allows it in test functions only.

use crate::support;

use std::net::TcpListener;

use landline::error::InvalidInput;
use landline::{Builder, CloseCode, CloseFrame, Error, Message};
use support::*;

/// Is a server that must not be connected to.
struct Unvisited(TcpListener);

impl Unvisited {
    fn new() -> Self {
        let listener = listener();
        listener.set_nonblocking(true).unwrap();
        Self(listener)
    }

    fn authority(&self) -> String {
        self.0.local_addr().unwrap().to_string()
    }

    fn refused(&self, builder: &Builder, url: &str) -> InvalidInput {
        let refused = promptly(|| error(builder.connect(url)));
        assert_eq!(self.0.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "{url}");
        assert!(!refused.is_retryable());
        match refused {
            Error::InvalidInput(input) => input,
            other => panic!("{url}: {other:?}"),
        }
    }
}

fn refused_urls(rest: &[&str], about: &str) {
    let server = Unvisited::new();
    for rest in rest {
        let url = rest.replace("HOST", &server.authority());
        match server.refused(&builder(), &url) {
            InvalidInput::Url(why) => assert!(why.contains(about), "{url}: {why}"),
            other => panic!("{url}: {other:?}"),
        }
    }
}

#[test]
fn a_url_with_a_fragment_is_refused() {
    refused_urls(&["ws://HOST/p#frag", "ws://HOST/#", "ws://HOST/?q#x"], "fragment");
}

#[test]
fn a_url_with_another_scheme_is_refused_and_the_right_one_named() {
    refused_urls(&["http://HOST/"], "for a WebSocket it is ws");
    refused_urls(&["https://HOST/"], "for a WebSocket it is wss");
    refused_urls(&["ftp://HOST/", "file:///tmp", "javascript:alert(1)", "wsx://HOST/"], "neither");
    refused_urls(&["HOST/", "localhost", "", "//HOST/"], "");
}

/// Browsers forgive such URLs, and other parsers see another host in them. A `Location` with such a
/// URL is refused too.
#[test]
fn a_url_without_two_slashes_before_its_host_is_refused() {
    let shapes = [
        "ws:HOST/",
        "ws:/HOST/",
        "ws:///HOST",
        "WS:////HOST/",
        "ws:",
        "ws:/",
        r"ws:\\HOST\x",
        r"ws:/\HOST/",
        r"ws://\HOST/",
        r"ws://HOST\x",
        r"ws://HOST/a\b",
        r"ws://HOST\@127.0.0.1/",
        r"ws://127.0.0.1\@HOST/",
    ];
    refused_urls(&shapes, "");
    #[cfg(feature = "tls")]
    refused_urls(&["wss:HOST/", "wss:/HOST/", "wss:///HOST", r"wss:\\HOST"], "");
    refused_urls(&["http:HOST", "https:/HOST", "http:///HOST"], "for a WebSocket it is");
    // A URL with two slashes and a host is accepted, in capital letters too, and with any path.
    let nowhere = builder().resolver(|_, _| Err(std::io::Error::other("no such name")));
    for url in ["ws://h.test", "WS://h.test//a", r"wS://h.test/?a\b", "ws://h.test?http:/x"] {
        assert!(matches!(error(nowhere.connect(url)), Error::Connect(_)), "{url}");
    }
}

#[test]
fn a_url_with_a_bad_port_is_refused() {
    refused_urls(&["ws://127.0.0.1:0/"], "port 0");
    let ports = ["65536", "99999999999999999999", "+80", "-1", "0x50", "80a"];
    let urls = ports.map(|port| format!("ws://127.0.0.1:{port}/"));
    refused_urls(&urls.each_ref().map(String::as_str), "");
}

#[test]
fn a_url_with_control_characters_or_spaces_is_refused_anywhere() {
    for letter in ['\r', '\n', '\0', '\t', ' ', '\u{7f}'] {
        for url in
            ["ws://HOST/aXb", "ws://HOST/?aXb", "ws://uX:p@HOST/", "ws://HOST/X", "Xws://HOST/"]
        {
            let url = url.replace('X', &letter.to_string());
            refused_urls(&[&url], "control character");
        }
    }
}

#[test]
fn a_url_whose_host_makes_no_sense_is_refused() {
    let long_label = format!("ws://{}/", "a".repeat(64));
    let long_name = format!("ws://{}a/", "abcdefg.".repeat(32));
    refused_urls(
        &[
            "ws:///",
            "ws://",
            "ws://[::1/",
            "ws://[fe80::1%25eth0]/",
            "ws://1.2.3.4.5/",
            "ws://exa%2Fmple/",
            "ws://a..b/",
            "ws://exa mple/",
            "ws://[1.2.3.4]/",
            "ws://256.1.1.1/",
            // These labels are not allowed: an empty A-label, and joiners in the wrong place.
            "ws://xn--example-.org/",
            "ws://xn--a/",
            "ws://a\u{200d}b.example/",
            "ws://\u{200d}/",
            "ws://\u{ad}/",
            &long_label,
            &long_name,
        ],
        "",
    );
}

#[test]
fn credentials_in_a_url_that_cannot_be_sent_are_refused_and_not_shown() {
    let server = Unvisited::new();
    for userinfo in ["canary%0a:p", "u:canary%0d%0aX", "u:canary%00", "%ffcanary:p"] {
        let url = format!("ws://{userinfo}@{}/", server.authority());
        let refused = server.refused(&builder(), &url);
        assert!(!format!("{refused:?} {refused}").contains("canary"));
    }
}

#[test]
fn a_request_that_is_too_large_is_refused_quickly() {
    let server = Unvisited::new();
    let url = format!("ws://{}/{}", server.authority(), "a".repeat(1 << 20));
    assert_eq!(server.refused(&builder(), &url), InvalidInput::RequestTooLarge);
    let url = format!("ws://{}/", server.authority());
    let header = builder().header("X-A", "a".repeat(10 << 20));
    assert_eq!(server.refused(&header, &url), InvalidInput::RequestTooLarge);
    let many = (0..10_000).fold(builder(), |builder, n| builder.header(format!("X-{n}"), "a"));
    assert_eq!(server.refused(&many, &url), InvalidInput::RequestTooLarge);
    let cookie = builder().cookie("a".repeat(1 << 20));
    assert_eq!(server.refused(&cookie, &url), InvalidInput::RequestTooLarge);
}

#[test]
fn a_long_url_within_the_size_of_a_request_is_sent() {
    watchdog(LIMIT, || {
        let path = format!("/{}", "a".repeat(60_000));
        let request = request_of(&builder(), |addr| format!("ws://{addr}{path}"));
        assert_eq!(request[0], format!("GET {path} HTTP/1.1"));
    });
}

#[test]
fn every_part_of_a_request_counts_towards_its_size() {
    let server = Unvisited::new();
    let url = format!("ws://{}/", server.authority());
    let host = builder().open_timeout(SHORT).host("a".repeat(1 << 20));
    assert_eq!(server.refused(&host, &url), InvalidInput::RequestTooLarge);
    let host = builder().open_timeout(SHORT).header("Host", "a".repeat(1 << 20));
    assert_eq!(server.refused(&host, &url), InvalidInput::RequestTooLarge);
    let protocols = builder().subprotocols(["a".repeat(1 << 20)]);
    assert_eq!(server.refused(&protocols, &url), InvalidInput::RequestTooLarge);
}

#[test]
fn header_values_with_control_characters_are_refused_and_not_shown() {
    let server = Unvisited::new();
    let url = format!("ws://{}/", server.authority());
    for letter in ['\r', '\n', '\0', '\u{7f}', '\u{1b}', '\u{b}'] {
        let value = format!("canary{letter}X-Injected: yes");
        let name = || InvalidInput::Header("X-A".into());
        assert_eq!(server.refused(&builder().header("X-A", &*value), &url), name());
        let others = [
            builder().origin(&*value),
            builder().cookie(&*value),
            builder().user_agent(&*value),
            builder().bearer_auth(&value),
            builder().host(&*value),
            builder().header("Host", &*value),
        ];
        for other in others {
            let refused = server.refused(&other, &url);
            assert!(matches!(refused, InvalidInput::Header(_)), "{refused:?}");
            assert!(!format!("{refused:?} {refused}").contains("canary"));
        }
    }
}

#[test]
fn header_names_that_are_no_tokens_are_refused() {
    let server = Unvisited::new();
    let url = format!("ws://{}/", server.authority());
    for name in ["", " X", "X ", "X:", "X\r\nY", "X\0", "Ü", "X(", "X/Y", "a b"] {
        let refused = server.refused(&builder().header(name, "v"), &url);
        assert!(matches!(refused, InvalidInput::Header(_)), "{name:?}: {refused:?}");
        assert!(!refused.to_string().contains(char::is_control));
    }
}

#[test]
fn a_header_line_that_was_given_as_a_name_is_shown_without_its_value() {
    let server = Unvisited::new();
    let url = format!("ws://{}/", server.authority());
    for (line, name) in [
        ("Authorization: Bearer canary", "Authorization…"),
        ("Authorization Bearer canary", "Authorization…"),
        ("Cookie=ü", "Cookie…"),
        ("Cookie\0canary", "Cookie…"),
        ("\ncanary", "…"),
        ("é canary", "…"),
    ] {
        let builder = builder().header(line, "");
        let refused = server.refused(&builder, &url);
        assert_eq!(refused, InvalidInput::Header(name.into()));
        let shown = format!("{refused} {refused:?} {builder:?}");
        assert!(!shown.contains("canary"), "{shown}");
    }
}

#[cfg(feature = "proxy")]
#[test]
fn a_header_line_that_was_given_as_a_name_for_a_proxy_is_shown_without_its_value() {
    let proxy = landline::proxy::Proxy::new("proxy.test").unwrap();
    let refused = error(proxy.header("Proxy-Authorization: Basic canary", ""));
    let Error::InvalidInput(input) = &refused else { panic!("{refused:?}") };
    assert_eq!(*input, InvalidInput::Header("Proxy-Authorization…".into()));
    assert!(!format!("{refused} {refused:?}").contains("canary"));
}

#[test]
fn headers_that_the_handshake_writes_are_refused() {
    let server = Unvisited::new();
    let url = format!("ws://{}/", server.authority());
    let names = [
        "Upgrade",
        "connection",
        "Sec-WebSocket-Key",
        "SEC-WEBSOCKET-VERSION",
        "Sec-WebSocket-Accept",
        "sec-websocket-extensions",
        "Sec-WebSocket-Protocol",
        "Content-Length",
        "Transfer-Encoding",
        "Proxy-Authorization",
        "proxy-connection",
    ];
    for name in names {
        let refused = server.refused(&builder().header(name, "x"), &url);
        assert_eq!(refused, InvalidInput::ReservedHeader(name.into()));
    }
}

#[test]
fn subprotocols_that_are_no_tokens_or_repeated_are_refused() {
    let server = Unvisited::new();
    let url = format!("ws://{}/", server.authority());
    for (at, names) in [
        (0, &[""][..]),
        (0, &["a b"]),
        (1, &["ok", "a,b"]),
        (0, &["a\r\nb"]),
        (2, &["a", "b", "a"]),
        (0, &["ü"]),
        // Scripts pass a secret to some servers in this way, but `=` is not allowed in a
        // subprotocol.
        (1, &["access_token", "c2VjcmV0=="]),
    ] {
        let refused = server.refused(&builder().subprotocols(names.iter().copied()), &url);
        assert_eq!(refused, InvalidInput::Subprotocol(at), "{names:?}");
    }
}

#[test]
fn each_wrong_option_is_reported_before_a_socket_is_opened_or_a_byte_is_sent() {
    watchdog(LIMIT, || {
        let server = Unvisited::new();
        #[allow(unused_mut)] // Features add rows.
        let mut wrong = vec![
            ("ws", builder().header("no token", "x")),
            ("ws", builder().header("X-A", "a\nb")),
            ("ws", builder().header("Upgrade", "x")),
            ("ws", builder().headers_with(|_| Ok(vec![("X-A".to_owned(), "\0".to_owned())]))),
            ("ws", builder().subprotocols(["a", "a"])),
            ("ws", builder().basic_auth("a:b", "c")),
            ("ws", builder().origin("a".repeat(1 << 20))),
        ];
        #[cfg(feature = "deflate")]
        {
            let level = landline::deflate::Deflate::new().level(10);
            wrong.push(("ws", builder().deflate(level)));
        }
        #[cfg(feature = "tls")]
        {
            let name = landline::tls::TlsOptions::new().server_name("no name");
            wrong.push(("wss", builder().tls(name)));
        }
        for (scheme, builder) in wrong {
            let url = format!("{scheme}://{}/", server.authority());
            server.refused(&builder, &url);
            let stream = std::net::TcpStream::connect(server.authority()).unwrap();
            let refused = error(builder.connect_over(&url, stream));
            assert!(matches!(refused, Error::InvalidInput(_)), "{refused:?}");
            let (mut sent, mut peer) = (Vec::new(), server.0.accept().unwrap().0);
            peer.set_nonblocking(false).unwrap();
            std::io::Read::read_to_end(&mut peer, &mut sent).unwrap();
            assert_eq!(sent, b"");
        }
    });
}

#[test]
fn close_frames_and_pings_that_must_not_be_sent_send_nothing() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            peer.expect(PING, &[7; 125]);
            peer.expect(PONG, &[7; 125]);
            peer.expect(TEXT, b"usable");
            peer.send(&text("yes"));
            peer.expect_close(1000);
        });
        let mut ws = builder().connect(&server.url()).unwrap();
        let sender = ws.sender();
        for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535] {
            let refused = error(sender.close(CloseCode::new(code)));
            assert!(matches!(refused, Error::InvalidInput(InvalidInput::Close)), "{refused:?}");
        }
        let long = "é".repeat(62);
        assert_eq!(long.len(), 124);
        let mut no_code = CloseFrame::empty();
        no_code.reason = "why".into();
        for frame in [CloseFrame::new(CloseCode::NORMAL, long), no_code] {
            let refused = error(sender.close(frame));
            assert!(matches!(refused, Error::InvalidInput(InvalidInput::Close)), "{refused:?}");
        }
        for refused in [error(sender.ping(&[0; 126])), error(sender.pong(&[0; 126]))] {
            let expected = InvalidInput::ControlTooLong;
            assert!(matches!(refused, Error::InvalidInput(found) if found == expected));
        }
        assert!(sender.is_open());
        sender.ping(&[7; 125]).unwrap();
        sender.pong(&[7; 125]).unwrap();
        sender.send("usable").unwrap();
        assert_eq!(ws.recv().unwrap(), Message::from("yes"));
        sender.close(CloseCode::NORMAL).unwrap();
        server.join();
    });
}

/// Returns the lines of the request that a builder makes.
fn request_of(builder: &Builder, url: impl FnOnce(std::net::SocketAddr) -> String) -> Vec<String> {
    let server = upgraded(|peer| peer.request.clone());
    drop(builder.connect(&url(server.addr)).unwrap());
    let request = server.join();
    assert!(request.ends_with("\r\n\r\n") && request.matches("\r\n\r\n").count() == 1);
    request.trim_end().split("\r\n").map(str::to_owned).collect()
}

fn values<'a>(request: &'a [String], name: &str) -> Vec<&'a str> {
    let lines = request[1..].iter().filter_map(|line| line.split_once(": "));
    lines.filter(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect()
}

fn plain(addr: std::net::SocketAddr) -> String {
    format!("ws://{addr}")
}

#[test]
fn the_request_has_what_rfc_6455_asks_for() {
    watchdog(LIMIT, || {
        let request = request_of(&builder(), |addr| format!("ws://{addr}/a%0d%0a/b?c=%20d"));
        assert_eq!(request[0], "GET /a%0d%0a/b?c=%20d HTTP/1.1");
        assert_eq!(values(&request, "Upgrade"), ["websocket"]);
        assert_eq!(values(&request, "Connection"), ["Upgrade"]);
        assert_eq!(values(&request, "Sec-WebSocket-Version"), ["13"]);
        assert_eq!(values(&request, "Sec-WebSocket-Key")[0].len(), 24);
        assert_eq!(values(&request, "Origin").len(), 0);
        assert_eq!(values(&request, "Cookie").len(), 0);
        assert_eq!(values(&request, "Authorization").len(), 0);
        assert!(values(&request, "User-Agent")[0].starts_with("landline/"));
        let other = request_of(&builder(), plain);
        assert_eq!(other[0], "GET / HTTP/1.1");
        assert_ne!(values(&request, "Sec-WebSocket-Key"), values(&other, "Sec-WebSocket-Key"));
    });
}

#[test]
fn a_header_of_the_caller_replaces_ours_and_is_sent_once() {
    watchdog(LIMIT, || {
        let builder = builder()
            .origin("http://ours")
            .cookie("ours=1")
            .basic_auth("ours", "ours")
            .user_agent("ours")
            .host("ours")
            .header("origin", "http://theirs")
            .header("COOKIE", "theirs=1")
            .header("Authorization", "theirs")
            .header("user-agent", "theirs")
            .header("host", "theirs")
            .header("X-Twice", "1")
            .header("X-Twice", "2")
            .header("X-Utf8", "grüße\ttab");
        let request = request_of(&builder, |addr| format!("ws://user:password@{addr}/"));
        for (name, value) in [
            ("Origin", "http://theirs"),
            ("Cookie", "theirs=1"),
            ("Authorization", "theirs"),
            ("User-Agent", "theirs"),
            ("Host", "theirs"),
            ("X-Utf8", "grüße\ttab"),
        ] {
            assert_eq!(values(&request, name), [value]);
        }
        assert_eq!(values(&request, "X-Twice"), ["1", "2"]);
    });
}

#[test]
fn options_become_headers() {
    watchdog(LIMIT, || {
        let builder = builder()
            .origin("https://example.com")
            .cookie("a=1; b=2")
            .bearer_auth("token")
            .user_agent(None)
            .host("virtual.example:99");
        let request = request_of(&builder, plain);
        assert_eq!(values(&request, "Origin"), ["https://example.com"]);
        assert_eq!(values(&request, "Cookie"), ["a=1; b=2"]);
        assert_eq!(values(&request, "Authorization"), ["Bearer token"]);
        assert_eq!(values(&request, "User-Agent").len(), 0);
        assert_eq!(values(&request, "Host"), ["virtual.example:99"]);
    });
}

#[test]
fn credentials_in_the_url_are_sent_decoded_as_basic_auth_and_nowhere_else() {
    watchdog(LIMIT, || {
        let request = request_of(&builder(), |addr| format!("ws://us%65r:p%40ss@{addr}/"));
        // This is the Base64 of "user:p@ss".
        assert_eq!(values(&request, "Authorization"), ["Basic dXNlcjpwQHNz"]);
        assert!(values(&request, "Host")[0].starts_with("127.0.0.1:"));
        assert_eq!(request[0], "GET / HTTP/1.1");
        let request = request_of(&builder(), |addr| format!("ws://user@{addr}/"));
        assert_eq!(values(&request, "Authorization"), ["Basic dXNlcjo="]);
        let own = builder().basic_auth("me", "mine");
        let request = request_of(&own, |addr| format!("ws://user:pass@{addr}/"));
        assert_eq!(values(&request, "Authorization"), ["Basic bWU6bWluZQ=="]);
    });
}

#[test]
fn host_has_the_port_unless_it_is_the_default_and_brackets_for_ipv6() {
    watchdog(LIMIT, || {
        let request = request_of(&builder(), plain);
        assert!(values(&request, "Host")[0].starts_with("127.0.0.1:"));
        for (url, host) in [
            ("ws://example.com/", "example.com"),
            ("ws://example.com:80/", "example.com"),
            ("ws://example.com:/", "example.com"),
            ("ws://example.com:443/", "example.com:443"),
            ("ws://EXAMPLE.com:8080/", "example.com:8080"),
            ("ws://[::1]/", "[::1]"),
            ("ws://[::1]:81/", "[::1]:81"),
            ("ws://[::ffff:127.0.0.1]/", "[::ffff:7f00:1]"),
            ("ws://example.com./", "example.com."),
            ("ws://A_b-C.example/", "a_b-c.example"),
        ] {
            assert_eq!(host_sent(url), host, "{url}");
        }
    });
}

fn host_sent(url: &str) -> String {
    let server = upgraded(|peer| peer.header("Host")[0].to_owned());
    let stream = std::net::TcpStream::connect(server.addr).unwrap();
    drop(builder().connect_over(url, stream).unwrap());
    server.join()
}

/// Each row has a host that the URL Standard reads, and the strict parser refuses.
const UNUSUAL: &[(&str, &str)] = &[
    ("ws://127.1:81/", "127.0.0.1:81"),
    ("ws://0x7f.1/", "127.0.0.1"),
    ("ws://bücher.example/", "xn--bcher-kva.example"),
    ("ws://BÜCHER.example/", "xn--bcher-kva.example"),
    ("ws://xn--bcher-kva.example/", "xn--bcher-kva.example"),
    ("ws://ｅｘａｍｐｌｅ.com/", "example.com"),
    ("ws://１２７.1/", "127.0.0.1"),
    ("ws://a。b．c｡example/", "a.b.c.example"),
    ("ws://exam\u{ad}ple.com/", "example.com"),
    ("ws://exam\u{200b}ple.com/", "example.com"),
    ("ws://ex%61mple.com/", "example.com"),
];

#[test]
#[cfg(feature = "url")]
fn a_host_is_read_as_the_url_standard_says() {
    watchdog(LIMIT, || {
        for (url, host) in UNUSUAL {
            assert_eq!(host_sent(url), *host, "{url}");
        }
    });
}

#[test]
#[cfg(not(feature = "url"))]
fn the_refusal_of_an_unusual_host_names_the_feature() {
    let urls: Vec<_> = UNUSUAL.iter().map(|(url, _)| *url).collect();
    refused_urls(&urls, "the feature \"url\"");
}

#[test]
fn secrets_are_in_no_diagnostic() {
    watchdog(LIMIT, || {
        let builder = builder()
            .header("X-Api-Key", "canary1")
            .header("Authorization", "canary2")
            .cookie("canary3")
            .basic_auth("canary4", "canary5");
        let bearer = builder.clone().bearer_auth("canary6");
        let mut shown = format!("{builder:?} {bearer:?} {bearer:#?}");

        let more = "Set-Cookie: canary7\r\n";
        let server = serve(move |peer| {
            peer.read_request();
            let answer = peer.good_answer(more);
            peer.send(&answer);
            peer.rst();
        });
        let mut ws = bearer.connect(&format!("ws://canary8:canary9@{}/", server.addr)).unwrap();
        shown += &format!("{ws:?} {:?} {:?}", ws.response(), ws.sender());
        let lost = error(ws.recv());
        shown += &format!("{lost} {lost:?}");
        server.join();

        for url in [
            "ws://canary:canary@127.0.0.1:1/canary?canary#canary",
            "canary://canary",
            "ws://canary:canary@[/",
        ] {
            let refused = error(builder.connect(url));
            shown += &format!("{refused} {refused:?}");
        }
        let server = serve(|peer| {
            peer.read_request();
            let _ = peer
                .try_send(b"HTTP/1.1 401 No\r\nSet-Cookie: canary\r\nContent-Length: 2\r\n\r\nno");
        });
        let refused = error(builder.connect(&format!("ws://canary:canary@{}/canary", server.addr)));
        shown += &format!("{refused} {refused:?} {refused:#?}");
        server.join();
        assert!(!shown.contains("canary"), "{shown}");
    });
}

#[test]
fn a_user_with_a_colon_is_refused_and_not_shown() {
    let server = Unvisited::new();
    let plain = format!("ws://{}/", server.authority());
    let inside = format!("ws://can%3Aary:p@{}/", server.authority());
    for (builder, url) in [(builder().basic_auth("can:ary", "p"), plain), (builder(), inside)] {
        let refused = server.refused(&builder, &url);
        assert_eq!(refused, InvalidInput::Header("Authorization".into()));
    }
}

/// The parts of TLS that a program must bring if it does not have the features for them.
#[test]
#[cfg(all(feature = "tls-core", not(feature = "ring")))]
fn tls_without_a_crypto_provider_is_refused_and_the_feature_named() {
    let refused = error(builder().connect("wss://127.0.0.1:9/"));
    assert!(matches!(refused, Error::InvalidInput(InvalidInput::Tls(_))), "{refused:?}");
    assert!(refused.to_string().contains("the feature \"ring\""), "{refused}");
}

#[test]
#[cfg(all(feature = "ring", not(feature = "mozilla-roots")))]
fn tls_without_roots_is_refused_and_the_feature_named() {
    let refused = error(builder().connect("wss://127.0.0.1:9/"));
    assert!(matches!(refused, Error::InvalidInput(InvalidInput::Tls(_))), "{refused:?}");
    assert!(refused.to_string().contains("feature \"mozilla-roots\""), "{refused}");
}
