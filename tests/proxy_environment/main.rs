//! Proxies that the environment names, and mistakes in the names of proxies.
//!
//! The environment belongs to a process. So a test that reads it runs itself again in a child
//! process.

#![cfg(feature = "proxy")]
#![allow(clippy::unwrap_used)] // `clippy.toml` allows it in test functions only.

#[path = "../support/mod.rs"]
mod support;

use std::env;
use std::ffi::OsStr;
use std::net::SocketAddr;
use std::process::Command;
use std::thread;

use landline::error::InvalidInput;
use landline::proxy::Proxy;
use landline::{CloseCode, Error, Keepalive, Message};
use support::proxy::{Relay, Rules};
use support::*;

/// Runs the test of this name again in a process whose environment has these variables only.
/// Returns the text that the child prints after "said: ".
fn child<V: AsRef<OsStr>>(test: &str, variables: &[(&str, V)]) -> String {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]).env_clear().env("LANDLINE_CHILD", "1");
    let output = command.envs(variables.iter().map(|(name, value)| (name, value))).output();
    let output = output.unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let said = text.lines().find_map(|line| line.split_once("said: "));
    said.unwrap_or_else(|| panic!("the child said nothing: {text}")).1.to_owned()
}

fn is_child() -> bool {
    env::var_os("LANDLINE_CHILD").is_some()
}

/// Returns the proxy of the environment for each URL.
fn named_for(urls: &[&str]) -> String {
    let named = urls.iter().map(|url| match Proxy::from_environment(url) {
        Ok(Some(proxy)) => proxy.to_string(),
        Ok(None) => "none".to_owned(),
        Err(error) => error.to_string(),
    });
    named.collect::<Vec<_>>().join(" ")
}

#[test]
fn the_first_variable_that_is_set_decides() {
    const TEST: &str = "the_first_variable_that_is_set_decides";
    if is_child() {
        println!("said: {}", named_for(&["ws://server.test/", "wss://server.test/"]));
        return;
    }
    type Row = (&'static [(&'static str, &'static str)], &'static str);
    const ROWS: &[Row] = &[
        (&[], "none none"),
        (&[("http_proxy", "http://a:1")], "http://a:1 none"),
        (&[("HTTP_PROXY", "http://a:1")], "http://a:1 none"),
        (&[("https_proxy", "http://a:1")], "none http://a:1"),
        (&[("HTTPS_PROXY", "http://a:1")], "none http://a:1"),
        (&[("all_proxy", "socks5h://a:1")], "socks5h://a:1 socks5h://a:1"),
        (&[("ALL_PROXY", "socks5h://a:1")], "socks5h://a:1 socks5h://a:1"),
        (&[("HTTPS_PROXY", "a:1"), ("ALL_PROXY", "b:1")], "http://b:1 http://a:1"),
        (&[("HTTPS_PROXY", " a:1 ")], "none http://a:1"),
        #[cfg(feature = "tls")]
        (&[("HTTPS_PROXY", "https://us:pw@a/")], "none https://a:443"),
        // The client of a CGI program can set HTTP_PROXY.
        (&[("HTTP_PROXY", "evil:1"), ("REQUEST_METHOD", "GET")], "none none"),
        (&[("HTTP_PROXY", "evil:1"), ("REQUEST_METHOD", "")], "none none"),
        // On Windows case does not matter, so these are one variable.
        #[cfg(not(windows))]
        (&[("http_proxy", "a:1"), ("HTTP_PROXY", "b:1")], "http://a:1 none"),
        #[cfg(not(windows))]
        (&[("all_proxy", "a:1"), ("ALL_PROXY", "b:1")], "http://a:1 http://a:1"),
        #[cfg(not(windows))]
        (&[("https_proxy", ""), ("HTTPS_PROXY", "a:1"), ("ALL_PROXY", "b:1")], "http://b:1 none"),
        #[cfg(not(windows))]
        (&[("ALL_PROXY", "a:1"), ("no_proxy", ""), ("NO_PROXY", "*")], "http://a:1 http://a:1"),
        #[cfg(not(windows))]
        (&[("http_proxy", "a:1"), ("REQUEST_METHOD", "GET")], "http://a:1 none"),
        #[cfg(windows)]
        (&[("http_proxy", "a:1"), ("REQUEST_METHOD", "GET")], "none none"),
        (
            &[("HTTP_PROXY", "evil:1"), ("ALL_PROXY", "a:1"), ("REQUEST_METHOD", "GET")],
            "http://a:1 http://a:1",
        ),
        (&[("ALL_PROXY", "a:1"), ("NO_PROXY", "*")], "none none"),
        (&[("ALL_PROXY", "a:1"), ("no_proxy", "test")], "none none"),
        (&[("ALL_PROXY", "a:1"), ("no_proxy", "server.test:443")], "http://a:1 none"),
        (&[("ALL_PROXY", "a:1"), ("NO_PROXY", "erver.test")], "http://a:1 http://a:1"),
        (&[("NO_PROXY", "1.2.3.4/99")], "none none"),
        (&[("ALL_PROXY", "a:1"), ("NO_PROXY", "1.2.3.4/99")], "http://a:1 http://a:1"),
        (&[("HTTPS_PROXY", "://"), ("ALL_PROXY", "b:1")], "http://b:1 http://b:1"),
    ];
    watchdog(LIMIT, || {
        let rows = ROWS.iter().map(|(variables, expected)| {
            spawn(move || assert_eq!(child(TEST, variables), *expected, "{variables:?}"))
        });
        rows.collect::<Vec<_>>().into_iter().for_each(Joined::join);
    });
}

/// Returns the proxy that these variables name, without a process of its own.
fn named_by(variables: &[(&str, &str)], url: &str) -> String {
    let variable = |name: &str| {
        variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
    };
    match Proxy::from_variables(url, variable) {
        Ok(Some(proxy)) => proxy.to_string(),
        Ok(None) => "none".to_owned(),
        Err(error) => error.to_string(),
    }
}

const SERVER: &str = "ws://server.test/";

#[test]
fn a_proxy_is_understood_as_other_programs_write_it() {
    for (value, proxy) in [
        // GNOME.
        ("socks://127.0.0.1:1080/", "socks5h://127.0.0.1:1080"),
        ("SOCKS://us:pw@proxy.test/", "socks5h://proxy.test:1080"),
        ("http://proxy.test:3128/", "http://proxy.test:3128"),
        // curl, Docker, and values written by hand.
        ("proxy.test:3128", "http://proxy.test:3128"),
        ("proxy.test:3128/", "http://proxy.test:3128"),
        ("us:pw@proxy.test:3128/path", "http://proxy.test:3128"),
        (" \t http://proxy.test:3128\r\n", "http://proxy.test:3128"),
        ("http://proxy.test:3128/path/file?query#fragment", "http://proxy.test:3128"),
        ("http://proxy.test?query", "http://proxy.test:80"),
        ("http://proxy.test#fragment", "http://proxy.test:80"),
        ("HTTP://PROXY.test", "http://proxy.test:80"),
        ("socks5://[::1]:9/", "socks5://[::1]:9"),
        ("http:80", "http://http:80"),
        ("proxy.test:", "http://proxy.test:80"),
    ] {
        assert_eq!(named_by(&[("all_proxy", value)], SERVER), proxy, "{value:?}");
        // If the program names the proxy, a path and a scheme with two meanings are refused.
        if value.contains("path") || value.starts_with("socks:") {
            assert!(Proxy::new(value).is_err(), "{value:?}");
        }
    }
}

/// A variable that names no proxy counts as not set. No part of it is mistaken for the host:
/// neither the user before a password that is not escaped, nor the scheme before a missing slash.
#[test]
fn a_variable_that_names_no_proxy_is_skipped_and_the_next_decides() {
    for value in [
        "gopher://us:canary@a:1",
        "direct://",
        "http://",
        "http://us:canary@:1",
        "http://us:canary@a:99999",
        "http://us:canary@a:0",
        "http://us:canary@a:port",
        "http://us:canary@[::1",
        "http://a b",
        "http://a\0b",
        "http://us:12/canary@a:1",
        "http://us:12?canary@a:1",
        "us:12#canary@a:1",
        "http://DOMAIN\\us:canary@a:1",
        "http:/a:1",
        "http:/",
        "http:///a:1",
        "http:\\\\a:1",
        "//a:1",
        "/a",
        "http://a..b/",
    ] {
        let all = [("http_proxy", value), ("HTTP_PROXY", value), ("all_proxy", value)];
        assert_eq!(named_by(&all, SERVER), "none", "{value:?}");
        let next = [("http_proxy", value), ("ALL_PROXY", "b:1")];
        assert_eq!(named_by(&next, SERVER), "http://b:1", "{value:?}");
        let refused = error(Proxy::new(value));
        assert!(matches!(refused, Error::InvalidInput(InvalidInput::Proxy(_))), "{refused:?}");
    }
}

/// A proxy that is understood is never bypassed, even if its password cannot be sent.
#[test]
fn a_proxy_that_cannot_be_used_is_an_error_that_names_the_variable() {
    let mut rows = vec![
        ("socks4://us:canary@a", "SOCKS 4 has no password"),
        ("http://us%3aer:canary@a", "cannot be sent"),
        ("socks://us:canary%00@a/", "cannot be sent"),
        ("http://us:canary%ff@a", "cannot be sent"),
    ];
    if cfg!(not(feature = "tls")) {
        rows.push(("https://us:canary@a", "feature \"tls\""));
    }
    for (value, why) in rows {
        let variables = [("http_proxy", value), ("ALL_PROXY", "b:1")];
        let said = named_by(&variables, SERVER);
        assert!(said.contains("http_proxy: ") && said.contains(why), "{value}: {said}");
        assert!(!said.contains("canary"), "{said}");
        // The error does not matter for a server that needs no proxy.
        for list in ["*", "server.test", "<local>,.test", "?,server.test:80"] {
            let excepted = [&variables[..], &[("no_proxy", list)]].concat();
            assert_eq!(named_by(&excepted, SERVER), "none");
        }
        assert_eq!(named_by(&variables, "ws://localhost/"), "none");
    }
}

#[test]
fn this_machine_is_reached_directly() {
    let variables = [("all_proxy", "a:1"), ("no_proxy", "")];
    for host in [
        "localhost",
        "LOCALHOST.",
        "app.localhost",
        "127.0.0.1",
        #[cfg(feature = "url")]
        "127.1",
        "127.255.255.254",
        "[::1]",
        "[::ffff:127.0.0.1]",
    ] {
        let url = format!("ws://{host}:8080/");
        assert_eq!(named_by(&variables, &url), "none", "{host}");
        // A proxy that the program names has the exceptions that the program names.
        assert!(Proxy::new("a:1").unwrap().is_for(&url).unwrap());
    }
    for host in [
        "localhost.test",
        "notlocalhost",
        "127.test",
        "127.0.0.1.test",
        "128.0.0.1",
        "0.0.0.0",
        "10.0.0.1",
        "[::2]",
        "[::127.0.0.1]",
    ] {
        assert_eq!(named_by(&variables, &format!("ws://{host}/")), "http://a:1", "{host}");
    }
}

/// Entries of exceptions that are understood, with a host that each excepts and one that it does
/// not, as curl, Go, GNOME, Docker and Windows write them.
const UNDERSTOOD: &[(&str, &str, &str)] = &[
    ("*", "a.test", ""),
    ("example.com", "a.example.com", "anexample.com"),
    (".example.com", "a.example.com", "example.com.evil"),
    ("*.example.com", "a.example.com", "example.org"),
    ("server.test:80", "server.test", "server.test:8080"),
    ("10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
    ("192.168.1.1", "192.168.1.1", "192.168.1.10"),
    ("172.*", "172.16.0.1", "172.evil"),
    ("192.168.*", "192.168.3.4", "192.169.0.1"),
    ("192.168.3.*", "192.168.3.4", "192.168.4.3"),
    ("192.168.*.*", "192.168.3.4", "192.16.8.1"),
    ("10.*:80", "10.1.2.3", "10.1.2.3:81"),
    ("[2001:db8::1]", "[2001:db8::1]", "[2001:db8::2]"),
    ("2001:db8::/32", "[2001:db8:1::1]", "[2001:db9::1]"),
    ("[2001:db8::1]:80", "[2001:db8::1]", "[2001:db8::1]:81"),
    ("<local>", "intranet", "intranet.evil"),
];

/// Entries that other programs write or accept, and that are not understood here.
const NOT_UNDERSTOOD: &[&str] = &[
    "/var/run/docker.sock",
    "unix:///var/run/docker.sock",
    "http://example.com/",
    "us:canary@example.com",
    "<-loopback>",
    "<local",
    "10.0.0.0/33",
    "10.0.0.0/",
    "10/8",
    "example.com/8",
    "fe80::1%eth0",
    "[::1",
    "::1]",
    "a.*",
    "*a.test",
    "*.*",
    "**",
    "*.",
    ".",
    "..",
    "*.1.2.3.4",
    "1.*.3.4",
    "1.*.3.*",
    "256.*",
    "010.*",
    "+1.*",
    ".*",
    "1.2.3.4.*",
    "1.2.3.*.*",
    "a:",
    "a:0",
    "a:port",
    ":80",
    "['localhost'",
    "\"a.test\"",
    "a|b",
    "a=b%",
    "\u{fffd}",
    "\0",
    "\u{202e}",
];

#[test]
fn no_list_of_exceptions_is_an_error_and_what_is_understood_in_it_keeps_its_meaning() {
    let named = |list: &str, host: &str| {
        named_by(&[("all_proxy", "a:1"), ("NO_PROXY", list)], &format!("ws://{host}/"))
    };
    for entry in NOT_UNDERSTOOD {
        for host in ["server.test", "a", "a.test", "example.com", "1.2.3.4", "10.0.0.1", "[::2]"] {
            assert_eq!(named(entry, host), "http://a:1", "{entry:?} excepts {host}");
        }
    }
    for &(entry, excepted, other) in UNDERSTOOD {
        for odd in NOT_UNDERSTOOD {
            for separator in [",", ", ", " ", ";", "\n", "\r\n", "\t", " ;, "] {
                for list in [[*odd, entry], [entry, *odd], [odd, odd]] {
                    let is_understood = list.contains(&entry);
                    let list = list.join(separator);
                    let expected = if is_understood { "none" } else { "http://a:1" };
                    assert_eq!(named(&list, excepted), expected, "{list:?}");
                    if !other.is_empty() {
                        assert_eq!(named(&list, other), "http://a:1", "{list:?} excepts {other}");
                    }
                }
            }
        }
    }
}

#[cfg(unix)]
#[test]
fn what_is_not_utf8_spoils_only_what_it_stands_in() {
    const TEST: &str = "what_is_not_utf8_spoils_only_what_it_stands_in";
    if is_child() {
        println!("said: {}", named_for(&[SERVER, "ws://a.test/", "wss://caf/"]));
        return;
    }
    watchdog(LIMIT, || {
        use std::os::unix::ffi::OsStrExt as _;
        let variables = [
            ("http_proxy", OsStr::from_bytes(b"http://caf\xe9:1")),
            ("all_proxy", OsStr::new("a:1")),
            ("no_proxy", OsStr::from_bytes(b"caf\xe9,a.test,\xff\xc3")),
        ];
        assert_eq!(child(TEST, &variables), "http://a:1 none http://a:1");
    });
}

fn echo_once() -> SocketAddr {
    let listener = listener();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut peer = Peer::new(stream.unwrap());
            peer.upgrade();
            let message = peer.next_frame().unwrap();
            peer.send(&frame(message.opcode, true, &message.payload));
            let closing = peer.next_frame().unwrap();
            peer.send(&frame(CLOSE, true, &closing.payload));
        }
    });
    addr
}

#[test]
fn connecting_goes_through_the_proxy_of_the_environment() {
    const TEST: &str = "connecting_goes_through_the_proxy_of_the_environment";
    if is_child() {
        let mut ws = landline::connect("ws://server.test/").unwrap();
        ws.send("hello").unwrap();
        assert_eq!(ws.recv().unwrap(), Message::from("hello"));
        assert!(ws.close(CloseCode::NORMAL).unwrap().is_clean());
        // A proxy of the caller comes first. The exceptions of the environment do not hold for it.
        let nowhere = Proxy::new("http://127.0.0.1:1").unwrap();
        let builder = landline::Builder::new().keepalive(Keepalive::OFF).proxy(nowhere);
        for host in ["excepted.test", "localhost"] {
            let refused = error(builder.connect(&format!("ws://{host}/")));
            assert!(matches!(&refused, Error::Proxy(_)), "{refused:?}");
        }
        println!("said: done");
        return;
    }
    watchdog(LIMIT, || {
        let server = echo_once();
        for (scheme, login) in [("http", "user:pw@"), ("socks5h", "user:pw@"), ("socks4a", "user@")]
        {
            let relay = Relay::start(server, Rules { login: Some(("user", "pw")) });
            let url = format!("{scheme}://{login}{}", relay.addr);
            let list = "127.*,/var/run/docker.sock;<local>,fe80::1%eth0, excepted.test";
            let variables = [("http_proxy", &*url), ("NO_PROXY", list)];
            assert_eq!(child(TEST, &variables), "done");
            assert_eq!(relay.asked()[0].destination, "server.test:80");
        }
    });
}

/// All names of proxies that are refused.
#[test]
fn a_proxy_that_makes_no_sense_is_refused_and_its_password_not_shown() {
    for url in [
        "",
        "http://",
        "://a",
        "ftp://us:canary@a",
        "canary://a",
        "socks://us:canary@a",
        "wss://us:canary@a",
        "http://us:canary@",
        "http://us:canary@a:0",
        "http://us:canary@a:65536",
        "http://us:canary@a:port",
        "http://us:canary@a:-1",
        "http://us:canary@[::1",
        "http://us:canary@a b",
        "http://us:canary@a\r\nX: y",
        "http://us:canary\0@a",
        "http://us:canary%0d%0a@a",
        "http://us%3aer:canary@a",
        "http://us:canary%ff@a",
        "http://us:canary@a/path",
        "http://us:canary@a?query",
        "http://us:canary@a#fragment",
        "http://us:canary@a..b",
        "http://us:canary@1.2.3.256",
        "socks5://us:canary@",
        "socks5://us:canary@a%2fb",
        "socks5://:canary@a",
        "socks5://us:canary@a:0",
        "socks4://us:canary@a",
        "socks4a://us%00:@a",
        "us:canary@a:99999",
    ] {
        let refused = error(Proxy::new(url));
        let expected = matches!(&refused, Error::InvalidInput(InvalidInput::Proxy(_)));
        assert!(expected, "{url:?}: {refused:?}");
        assert!(!format!("{refused} {refused:?}").contains("canary"), "{url:?}: {refused}");
        assert!(!refused.is_retryable());
    }
    #[cfg(not(feature = "tls"))]
    assert!(error(Proxy::new("https://a")).to_string().contains("feature"));
}

#[test]
fn a_proxy_is_shown_with_its_address_and_without_password() {
    for (url, shown) in [
        ("proxy.test", "http://proxy.test:80"),
        ("PROXY.test:3128", "http://proxy.test:3128"),
        ("http://proxy.test/", "http://proxy.test:80"),
        (" http://us:canary@proxy.test:8080 ", "http://proxy.test:8080"),
        ("us:canary@[::1]:8080", "http://[::1]:8080"),
        #[cfg(feature = "url")]
        ("HTTP://bücher.test", "http://xn--bcher-kva.test:80"),
        ("socks5://PROXY.test", "socks5://proxy.test:1080"),
        #[cfg(feature = "url")]
        ("socks5h://bücher.test:80", "socks5h://xn--bcher-kva.test:80"),
        #[cfg(feature = "url")]
        ("socks5h://us:canary@127.1", "socks5h://127.0.0.1:1080"),
        ("socks4://user@[::1]:1080", "socks4://[::1]:1080"),
        ("socks4a://proxy.test:443", "socks4a://proxy.test:443"),
    ] {
        let proxy = Proxy::new(url).unwrap();
        assert_eq!(proxy.to_string(), shown);
        assert_eq!(Proxy::new(shown).unwrap().to_string(), shown);
        let builder = builder().proxy(proxy.clone());
        assert!(!format!("{proxy:?} {builder:?}").contains("canary"));
    }
    let proxy = Proxy::new("a").unwrap().header("Proxy-Authorization", "Bearer canary").unwrap();
    assert!(!format!("{proxy:?}").contains("canary"), "{proxy:?}");
}

#[test]
fn headers_that_cannot_be_sent_to_a_proxy_are_refused() {
    let http = || Proxy::new("http://a").unwrap();
    for (name, value) in [("", "x"), ("a b", "x"), ("a:", "x"), ("a\r\nb", "x"), ("a", "x\r\ny")] {
        let refused = error(http().header(name, value));
        assert!(matches!(refused, Error::InvalidInput(InvalidInput::Header(_))), "{refused:?}");
    }
    for name in ["Host", "content-length", "Transfer-Encoding"] {
        let refused = error(http().header(name, "x"));
        let expected = matches!(refused, Error::InvalidInput(InvalidInput::ReservedHeader(_)));
        assert!(expected, "{refused:?}");
    }
    let refused = error(Proxy::new("socks5://a").unwrap().header("X", "y"));
    assert!(matches!(refused, Error::InvalidInput(InvalidInput::Proxy(_))), "{refused:?}");
}

#[test]
fn exceptions_stand_for_names_addresses_networks_and_ports() {
    // (list, URLs that go directly, URLs that do not)
    const ROWS: &[(&str, &[&str], &[&str])] = &[
        ("", &[], &["ws://a/", "ws://127.0.0.1/", "ws://localhost/"]),
        (" , ,\t", &[], &["ws://a/"]),
        ("*", &["ws://a/", "wss://[::1]:8080/"], &[]),
        ("b.test,*", &["ws://a/"], &[]),
        ("*:8080", &["ws://a:8080/"], &["ws://a/"]),
        (
            "example.com",
            &[
                "ws://example.com/",
                "wss://EXAMPLE.com:1/",
                "ws://a.b.example.com/",
                "ws://example.com./",
            ],
            &["ws://notexample.com/", "ws://example.com.evil/", "ws://com/", "ws://example.co/"],
        ),
        (".example.com", &["ws://a.example.com/", "ws://example.com/"], &["ws://aexample.com/"]),
        ("*.example.com", &["ws://a.example.com/", "ws://example.com/"], &["ws://aexample.com/"]),
        ("Example.COM.", &["ws://example.com/", "ws://a.example.com./"], &["ws://example.org/"]),
        (
            "a.test b.test\tc.test",
            &["ws://a.test/", "ws://b.test/", "ws://c.test/"],
            &["ws://d.test/"],
        ),
        #[cfg(feature = "url")]
        ("bücher.test", &["ws://bücher.test/", "ws://xn--bcher-kva.test/"], &["ws://bucher.test/"]),
        ("localhost", &["ws://localhost/"], &["ws://127.0.0.1/"]),
        (
            "a.test:443",
            &["wss://a.test/", "ws://a.test:443/", "wss://b.a.test/"],
            &["ws://a.test/", "wss://a.test:8443/"],
        ),
        (
            "127.0.0.1",
            &["ws://127.0.0.1/", "ws://127.0.0.1:9/", "ws://[::ffff:127.0.0.1]/"],
            &["ws://127.0.0.2/"],
        ),
        ("127.0.0.1:8080", &["ws://127.0.0.1:8080/"], &["ws://127.0.0.1/"]),
        ("::1", &["ws://[::1]/", "ws://[0:0::1]:9/"], &["ws://[::2]/"]),
        ("[::1]", &["ws://[::1]/"], &["ws://[::2]/"]),
        ("[::1]:80", &["ws://[::1]/"], &["wss://[::1]/"]),
        ("::ffff:10.0.0.1", &["ws://10.0.0.1/"], &["ws://10.0.0.2/"]),
        (
            "10.0.0.0/8",
            &["ws://10.255.0.1/", "ws://[::ffff:10.1.2.3]/"],
            &["ws://11.0.0.1/", "ws://10.test/"],
        ),
        (
            "::ffff:10.0.0.0/104",
            &["ws://10.1.2.3/", "ws://[::ffff:10.1.2.3]/"],
            &["ws://11.0.0.1/", "ws://[::10.1.2.3]/"],
        ),
        ("::ffff:1.2.3.4/96", &["ws://255.1.2.3/"], &["ws://[::1]/"]),
        ("::ffff:0:0/95", &["ws://[::fffe:1:2]/"], &["ws://1.2.3.4/"]),
        ("10.9.8.7/8", &["ws://10.0.0.1/"], &["ws://11.0.0.1/"]),
        (
            "192.168.1.128/25",
            &["ws://192.168.1.128/", "ws://192.168.1.255/"],
            &["ws://192.168.1.127/"],
        ),
        ("1.2.3.4/32", &["ws://1.2.3.4/"], &["ws://1.2.3.5/"]),
        ("0.0.0.0/0", &["ws://255.1.2.3/"], &["ws://[::1]/", "ws://a.test/"]),
        ("2001:db8::/32", &["ws://[2001:db8:ffff::1]/"], &["ws://[2001:db9::1]/"]),
        ("::/0", &["ws://[fe80::1]/"], &["ws://127.0.0.1/", "ws://a.test/"]),
        ("::1/128", &["ws://[::1]/"], &["ws://[::2]/"]),
        ("127.*", &["ws://127.0.0.1/"], &["ws://128.0.0.1/", "ws://127.test/"]),
        ("10.1.*.*", &["ws://10.1.2.3/", "ws://[::ffff:10.1.2.3]/"], &["ws://10.2.1.1/"]),
        ("<local>", &["ws://a/", "ws://localhost/"], &["ws://a.test/", "ws://[::1]/", "ws://a./"]),
        ("a.test;b.test", &["ws://a.test/", "ws://b.test/"], &["ws://c.test/"]),
    ];
    for scheme in ["http", "socks4", "socks5h"] {
        for &(list, direct, indirect) in ROWS {
            let proxy = Proxy::new(&format!("{scheme}://proxy")).unwrap().except(list).unwrap();
            for url in direct {
                assert!(!proxy.is_for(url).unwrap(), "{list:?} {url}");
            }
            for url in indirect {
                assert!(proxy.is_for(url).unwrap(), "{list:?} {url}");
            }
        }
    }
}

#[test]
fn exceptions_that_make_no_sense_are_refused_and_named() {
    for entry in [
        "10.0.0.0/33",
        "::/129",
        "10.0.0.0/",
        "10.0.0.0/+8",
        "10.0.0/8",
        "a.test/8",
        "1.2.3.4/8:80",
        "[::1",
        "::1]",
        "[a]",
        "[::1]:",
        "[::1]x",
        "a:",
        "a:0",
        "a:65536",
        "a:+80",
        "a:b",
        ":80",
        ".",
        "*.",
        "..a",
        "a..b",
        "*a.test",
        "a.*",
        "192.*.1",
        "*.1.2.3.4",
        ".1.2.3.4",
        "1.2.3.256",
        "a/b",
        "http://a",
        "us:canary@a",
        "a_b%",
        "<locals>",
        "fe80::1%eth0",
    ] {
        let list = format!("good.test,{entry}");
        let refused = error(Proxy::new("a").unwrap().except(&list));
        let shown = refused.to_string();
        let expected = entry.replace("us:canary", "***");
        assert!(shown.contains(&expected) && !shown.contains("good"), "{entry:?}: {shown}");
        assert!(matches!(refused, Error::InvalidInput(InvalidInput::Proxy(_))), "{refused:?}");
    }
}
