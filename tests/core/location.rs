//! The URL that a redirect leads to (RFC 9110 section 10.2.2, RFC 3986 section 5).

use landline::proto::location::{BadLocation, resolve};

#[test]
fn references_are_resolved() {
    let from = "wss://one.example:8443/a/b?c=d";
    for (location, url) in [
        ("/x?y", "wss://one.example:8443/x?y"),
        ("x", "wss://one.example:8443/a/x"),
        ("../x", "wss://one.example:8443/x"),
        ("../../../x", "wss://one.example:8443/x"),
        ("?e", "wss://one.example:8443/a/b?e"),
        ("#f", "wss://one.example:8443/a/b?c=d"),
        ("./a:b", "wss://one.example:8443/a/a:b"),
        ("//two.example", "wss://two.example/"),
        ("//two.example:443/x", "wss://two.example/x"),
        ("https://TWO.example:443/x#f", "wss://two.example/x"),
        ("HTTPS://two.example:80/x", "wss://two.example:80/x"),
        ("wss://user:password@two.example/x", "wss://two.example/x"),
        ("//user@two.example/x", "wss://two.example/x"),
        ("wss://[::1]:9/", "wss://[::1]:9/"),
        ("/%0d%0aX:y", "wss://one.example:8443/%0d%0aX:y"),
    ] {
        assert_eq!(resolve(from, location.as_bytes()).as_deref(), Ok(url), "{location}");
    }
    for (location, url) in [
        ("http://two.example:80/", "ws://two.example/"),
        ("https://one.example/", "wss://one.example/"),
        ("wss://one.example:80/", "wss://one.example:80/"),
    ] {
        let resolved = resolve("ws://one.example/", location.as_bytes());
        assert_eq!(resolved.as_deref(), Ok(url), "{location}");
    }
}

#[test]
fn user_password_and_fragment_of_the_url_before_are_not_kept() {
    let from = "wss://user:password@one.example/a?b#c";
    for (location, url) in [
        ("x", "wss://one.example/x"),
        ("?x", "wss://one.example/a?x"),
        ("#x", "wss://one.example/a?b"),
        ("//one.example/", "wss://one.example/"),
    ] {
        assert_eq!(resolve(from, location.as_bytes()).as_deref(), Ok(url), "{location}");
    }
}

#[test]
fn locations_that_lead_nowhere_are_refused() {
    for location in [
        "",
        " ",
        "a b",
        "/a\tb",
        "/a\rb",
        "/a\0b",
        "/\u{7f}",
        "/ä",
        "//bücher.example/",
        "\\\\two.example",
        "/\\two.example",
        "javascript:alert(1)",
        "mailto:a@two.example",
        "data:,x",
        "file:///etc/passwd",
        "file://two.example/x",
        "ftp://two.example/",
        "wsx://two.example/",
        "ws:x",
        "wss:/x",
        "wss:two.example",
        "wss://",
        "wss:///two.example",
        "//",
        "///two.example",
        "wss://[::1",
        "wss://two.example:x/",
        "wss://two.example:65536/",
        "wss://two%20example/",
        "a:b",
    ] {
        let refused = resolve("wss://one.example/", location.as_bytes());
        assert_eq!(refused, Err(BadLocation::Invalid), "{location:?}");
    }
    assert_eq!(resolve("wss://one.example/", b"/\xff"), Err(BadLocation::Invalid));
    assert_eq!(resolve("not a URL", b"/"), Err(BadLocation::Invalid));
}

#[test]
fn a_downgrade_is_refused() {
    for location in ["ws://one.example/", "http://one.example/", "ws://two.example:443/"] {
        let refused = resolve("wss://one.example/", location.as_bytes());
        assert_eq!(refused, Err(BadLocation::Insecure), "{location}");
    }
}

/// RFC 3986 section 3.1: a scheme is a letter, then letters, digits, `+`, `-` and `.`, in any case.
#[test]
fn a_server_names_a_scheme() {
    for (location, url) in [
        ("WSS://two.example/x", "wss://two.example/x"),
        ("wSs://two.example", "wss://two.example/"),
        ("hTTps://two.example:444?y", "wss://two.example:444/?y"),
    ] {
        assert_eq!(resolve("wss://one.example/", location.as_bytes()).as_deref(), Ok(url));
    }
    for scheme in ["w", "ws2", "ws+unix", "ws-x", "ws.x", "wss+", "http9", "a+b-c.9", "Z", "about"]
    {
        for rest in ["x", "/x", "//two.example/x", "///x", "", "//", "?x", "#x"] {
            let location = format!("{scheme}:{rest}");
            let refused = resolve("wss://one.example/", location.as_bytes());
            assert_eq!(refused, Err(BadLocation::Invalid), "{location}");
        }
    }
    for scheme in ["ws", "wss", "http", "https"] {
        for rest in ["x", "/two.example/x", "///x", "", "//", "////", "?x", "#x", "80/x"] {
            for from in ["ws", "wss", "http", "https"] {
                let from = format!("{from}://one.example/");
                let location = format!("{scheme}:{rest}");
                let refused = resolve(&from, location.as_bytes());
                assert_eq!(refused, Err(BadLocation::Invalid), "{location} from {from}");
            }
        }
    }
}

#[test]
fn a_colon_in_path_or_query_begins_no_scheme() {
    let from = "wss://one.example/a/b?c";
    for (location, url) in [
        ("/x:y", "wss://one.example/x:y"),
        ("/ws://two.example/", "wss://one.example/ws://two.example/"),
        ("x/ws:y", "wss://one.example/a/x/ws:y"),
        ("?ws://two.example/", "wss://one.example/a/b?ws://two.example/"),
        ("x?ws:y", "wss://one.example/a/x?ws:y"),
        ("#ws:y", "wss://one.example/a/b?c"),
    ] {
        assert_eq!(resolve(from, location.as_bytes()).as_deref(), Ok(url), "{location}");
    }
}

/// RFC 3986 section 4.2: the first segment of a relative reference must not have a colon.
#[test]
fn a_colon_after_something_that_is_no_scheme_is_refused() {
    for location in ["1ws:x", "w_s:x", ":80/x", "1ws://two.example/", "//:80/x", "two.example:80/x"]
    {
        let refused = resolve("wss://one.example/a/b?c", location.as_bytes());
        assert_eq!(refused, Err(BadLocation::Invalid), "{location}");
    }
}

#[test]
fn bytes_that_a_url_cannot_have_are_refused() {
    for byte in 0..=255 {
        for location in [vec![byte, b'x'], vec![b'/', byte, b'x'], vec![b'?', b'x', byte]] {
            let resolved = resolve("wss://one.example/", &location);
            let printable = (b'!'..=b'~').contains(&byte) && byte != b'\\';
            let colon_first = location[0] == b':';
            assert_eq!(resolved.is_ok(), printable && !colon_first, "{location:?}");
        }
    }
}

#[test]
fn a_refusal_says_why() {
    for (refusal, expected) in [
        (BadLocation::Invalid, "the server redirects to no ws, wss, http or https URL"),
        (BadLocation::Insecure, "the server redirects from wss to ws"),
    ] {
        assert_eq!(refusal.to_string(), expected);
    }
}
