//! RFC 6265: which cookies are taken, kept and sent. Time is virtual.

#![allow(missing_docs, clippy::unwrap_used)]

use crate::support;

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use landline::cookie::CookieError::{
    ForeignDomain, Malformed, NotSecure, Prefix, PublicSuffix, TooLarge, Url,
};
use landline::cookie::{CookieError, CookieJar, CookieStore};
use landline::error::HandshakeProblem;
use landline::{Builder, Error};
use support::{LIMIT, Peer, Server, builder, error, listener, serve, spawn, upgraded, watchdog};

const DAY: u64 = 24 * 60 * 60;

/// Returns 14 November 2023, 22:13:20 UTC, plus `seconds`.
fn after(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_700_000_000 + seconds)
}

fn set(jar: &CookieJar, url: &str, line: &str) -> Result<(), CookieError> {
    jar.set_at(url, line.as_bytes(), after(0))
}

/// Returns a jar that took in all of these cookies.
fn jar(lines: &[(&str, &str)]) -> CookieJar {
    let jar = CookieJar::new();
    for (url, line) in lines {
        set(&jar, url, line).expect(line);
    }
    jar
}

fn sent(jar: &CookieJar, url: &str) -> String {
    sent_after(jar, url, 0)
}

fn sent_after(jar: &CookieJar, url: &str, seconds: u64) -> String {
    jar.cookies(url, after(seconds)).unwrap_or_default()
}

/// The URL that sets a cookie, its line, the URLs that it is sent to, and those that it is not.
type Row<'a> = (&'a str, &'a str, &'a [&'a str], &'a [&'a str]);

fn rows(rows: &[Row<'_>]) {
    for (from, line, there, not_there) in rows {
        let jar = jar(&[(from, line)]);
        for url in *there {
            assert_ne!(sent(&jar, url), "", "{line:?} of {from} is not sent to {url}");
        }
        for url in *not_there {
            assert_eq!(sent(&jar, url), "", "{line:?} of {from} is sent to {url}");
        }
    }
}

fn refusals(rows: &[(&str, &str, CookieError)]) {
    for (from, line, error) in rows {
        let jar = CookieJar::new();
        assert_eq!(set(&jar, from, line), Err(*error), "{line:?} of {from}");
        assert_eq!(jar.all(), []);
    }
}

mod domains {
    use super::*;

    #[test]
    fn a_cookie_without_a_domain_is_sent_to_its_host_only() {
        let there = ["ws://one.example/", "wss://ONE.example./x", "http://one.example:81/"];
        let not_there = ["ws://a.one.example/", "ws://example/", "ws://xone.example/"];
        for line in ["a=b", "a=b; Domain", "a=b; Domain=", "a=b; Domain= \t; Path=/"] {
            rows(&[("ws://one.example/", line, &there, &not_there)]);
        }
    }

    #[test]
    fn a_cookie_with_a_domain_is_sent_to_all_hosts_below_it() {
        let there = ["ws://one.example/", "ws://a.one.example/", "ws://b.a.one.example/"];
        let not_there = [
            "ws://example/",
            "ws://two.example/",
            "ws://xone.example/",
            "ws://one.example.org/",
            "ws://one.examplex/",
        ];
        for domain in
            ["one.example", ".one.example", "ONE.Example", "one.example.", ".one.example."]
        {
            let line = format!("a=b; domain={domain}");
            rows(&[
                ("ws://one.example/", &line, &there, &not_there),
                ("ws://a.one.example/", &line, &there, &not_there),
                ("ws://a.one.example./", &line, &there, &not_there),
            ]);
        }
    }

    #[test]
    fn a_cookie_for_a_foreign_domain_is_refused() {
        refusals(&[
            ("ws://one.example/", "a=b; Domain=two.example", ForeignDomain),
            ("ws://one.example/", "a=b; Domain=a.one.example", ForeignDomain),
            ("ws://evilexample.com/", "a=b; Domain=example.com", ForeignDomain),
            ("ws://example.com.evil.net/", "a=b; Domain=example.com", ForeignDomain),
            ("ws://one.example/", "a=b; Domain=.", ForeignDomain),
            ("ws://one.example/", "a=b; Domain=..one.example", ForeignDomain),
            ("ws://one.example/", "a=b; Domain=one.example..", ForeignDomain),
            ("ws://one.example/", "a=b; Domain=one.example:80", ForeignDomain),
            ("ws://one.example/", "a=b; Domain=http://one.example/", ForeignDomain),
            ("ws://one.example/", "a=b; Domain=*.example", ForeignDomain),
            ("ws://one.example/", "a=b; Domain=one example", ForeignDomain),
            ("ws://one.example/", "a=b; Domain=on%65.example", ForeignDomain),
            ("ws://one.example/", "a=b; Domain=one.example; Domain=two.example", ForeignDomain),
        ]);
    }

    #[test]
    fn the_last_of_several_domains_counts() {
        let line = "a=b; Domain=two.example; Domain=one.example";
        rows(&[("ws://one.example/", line, &["ws://a.one.example/"], &[])]);
        let line = "a=b; Domain=one.example; Domain=";
        rows(&[("ws://one.example/", line, &["ws://one.example/"], &["ws://a.one.example/"])]);
    }

    #[test]
    fn a_cookie_for_a_public_suffix_is_refused() {
        refusals(&[
            ("ws://one.com/", "a=b; Domain=com", PublicSuffix),
            ("ws://one.com/", "a=b; Domain=.COM.", PublicSuffix),
            ("ws://one.co.uk/", "a=b; Domain=co.uk", PublicSuffix),
            ("ws://one.co.uk/", "a=b; Domain=co.UK", PublicSuffix),
            ("ws://one.co.uk/", "a=b; Domain=co.uk.", PublicSuffix),
            ("ws://one.co.uk/", "a=b; Domain=.Co.Uk.", PublicSuffix),
            ("ws://one.co.uk/", "a=b; Domain=uk", PublicSuffix),
            ("ws://one.com.au/", "a=b; Domain=com.au", PublicSuffix),
            ("ws://one.or.jp/", "a=b; Domain=or.jp", PublicSuffix),
            ("ws://a.localhost/", "a=b; Domain=localhost", PublicSuffix),
        ]);
        rows(&[
            ("ws://a.one.co.uk/", "a=b; Domain=one.co.uk", &["ws://b.one.co.uk/"], &[]),
            // A public suffix that is a host itself may set cookies for that host only.
            (
                "ws://localhost/",
                "a=b; Domain=localhost",
                &["ws://localhost/"],
                &["ws://a.localhost/"],
            ),
            ("ws://co.uk/", "a=b; Domain=co.uk", &["ws://co.uk/"], &["ws://one.co.uk/"]),
        ]);
    }

    #[test]
    fn a_list_of_public_suffixes_is_asked() {
        let jar = CookieJar::with_public_suffixes(|domain| domain == "github.io");
        assert_eq!(set(&jar, "ws://one.github.io/", "a=b; Domain=GitHub.io."), Err(PublicSuffix));
        assert_eq!(set(&jar, "ws://one.com/", "a=b; Domain=com"), Err(PublicSuffix));
        assert_eq!(set(&jar, "ws://github.io/", "a=b; Domain=github.io"), Ok(()));
        assert_eq!(sent(&jar, "ws://one.github.io/"), "");
        assert_eq!(set(&jar, "ws://a.one.github.io/", "a=b; Domain=one.github.io"), Ok(()));
        assert_eq!(sent(&jar, "ws://b.one.github.io/"), "a=b");
    }

    #[test]
    fn a_cookie_of_an_address_is_sent_to_that_address_only() {
        refusals(&[
            ("ws://192.168.0.1/", "a=b; Domain=168.0.1", ForeignDomain),
            ("ws://192.168.0.1/", "a=b; Domain=.0.1", ForeignDomain),
            ("ws://192.168.0.1/", "a=b; Domain=1", ForeignDomain),
            ("ws://192.168.0.1/", "a=b; Domain=192.168.0.2", ForeignDomain),
            ("ws://[::1]/", "a=b; Domain=1", ForeignDomain),
            ("ws://[::1]/", "a=b; Domain=[::2]", ForeignDomain),
            ("ws://one.example/", "a=b; Domain=127.0.0.1", ForeignDomain),
        ]);
        rows(&[
            (
                "ws://192.168.0.1/",
                "a=b",
                &["ws://192.168.0.1/"],
                &["ws://2.192.168.0.1.nip.example/"],
            ),
            (
                "ws://127.0.0.1/",
                "a=b; Domain=127.0.0.1",
                &["ws://127.0.0.1:9/"],
                &["ws://127.0.0.2/"],
            ),
            ("ws://[::1]/", "a=b; Domain=[::1]", &["ws://[0::1]:9/"], &["ws://[::2]/"]),
        ]);
    }

    #[test]
    #[cfg(feature = "url")]
    fn one_name_in_several_spellings_is_one_host() {
        refusals(&[
            ("ws://one.xn--p1ai/", "a=b; Domain=xn--p1ai", PublicSuffix),
            ("ws://one.xn--p1ai/", "a=b; Domain=рф", PublicSuffix),
        ]);
        rows(&[
            ("ws://127.0.0.1/", "a=b; Domain=127.0.0.1", &["ws://127.1/"], &["ws://127.0.0.2/"]),
            (
                "ws://bücher.example/",
                "a=b; Domain=BÜCHER.example",
                &["ws://a.xn--bcher-kva.example/"],
                &[],
            ),
            (
                "ws://xn--bcher-kva.example/",
                "a=b; Domain=bücher.example",
                &["ws://bücher.example/"],
                &[],
            ),
            ("ws://one\u{3002}example/", "a=b; Domain=one.example", &["ws://a.one.example/"], &[]),
        ]);
        let jar = jar(&[("ws://bücher.example/", "a=b; Domain=bücher.example")]);
        let cookie = &jar.all()[0];
        assert_eq!(set(&CookieJar::new(), &cookie.url(), &cookie.to_set_cookie()), Ok(()));
    }

    #[test]
    fn a_malformed_url_has_no_cookies() {
        for url in ["", "/", "one.example", "ftp://one.example/", "file:///x", "ws://", "ws://./"] {
            refusals(&[(url, "a=b", Url)]);
            assert_eq!(sent(&jar(&[("ws://one.example/", "a=b")]), url), "");
        }
    }
}

mod paths {
    use super::*;

    #[test]
    fn a_path_is_matched_by_whole_segments() {
        let url = |path: &str| format!("ws://one.example{path}");
        for (path, there, not_there) in [
            (
                "/foo",
                vec!["/foo", "/foo/", "/foo/bar", "/foo?x"],
                vec!["/", "/foobar", "/Foo", "/fo"],
            ),
            ("/foo/", vec!["/foo/", "/foo/bar"], vec!["/foo", "/foobar"]),
            ("/", vec!["/", "/foo", "/foo/bar?x"], vec![]),
        ] {
            let jar = jar(&[("ws://one.example/foo/x", &format!("a=b; Path={path}"))]);
            for there in there {
                assert_eq!(sent(&jar, &url(there)), "a=b", "{path}: {there}");
            }
            for there in not_there {
                assert_eq!(sent(&jar, &url(there)), "", "{path}: {there}");
            }
        }
    }

    #[test]
    fn a_cookie_without_a_path_has_the_folder_of_the_url() {
        let long = format!("a=b; Path=/{}", "x".repeat(4096));
        for line in ["a=b", "a=b; Path", "a=b; Path=", "a=b; Path=x", "a=b; Path=/x; Path=y", &long]
        {
            for (url, path) in [
                ("ws://one.example", "/"),
                ("ws://one.example/a", "/"),
                ("ws://one.example/a/", "/a"),
                ("ws://one.example/a/b?c=/d/e", "/a"),
                ("ws://one.example/a/b/c", "/a/b"),
            ] {
                assert_eq!(jar(&[(url, line)]).all()[0].path(), path, "{line:.20}, {url}");
            }
        }
    }

    #[test]
    fn the_last_of_several_paths_counts() {
        let jar = jar(&[("ws://one.example/", "a=b; Path=/x; path=\t/y ")]);
        assert_eq!(jar.all()[0].path(), "/y");
    }

    #[test]
    fn a_url_with_an_endless_path_takes_no_memory() {
        let url = |len| format!("ws://one.example/{}/x", "a".repeat(len));
        refusals(&[(&url(1024), "a=b", TooLarge)]);
        assert_eq!(jar(&[(&url(1023), "a=b")]).all()[0].path().len(), 1024);
    }
}

mod secure {
    use super::*;

    #[test]
    fn a_secure_cookie_is_sent_over_tls_only() {
        let there = ["wss://one.example/", "https://one.example:81/"];
        rows(&[
            (
                "wss://one.example/",
                "a=b; secure",
                &there,
                &["ws://one.example/", "http://one.example/"],
            ),
            ("https://one.example/", "a=b; SECURE=no", &there, &["ws://one.example/"]),
            ("wss://one.example/", "a=b", &["ws://one.example/"], &[]),
        ]);
        refusals(&[("ws://one.example/", "a=b; Secure", NotSecure)]);
    }

    #[test]
    fn a_server_without_tls_cannot_hide_a_secure_cookie() {
        let from = "wss://a.one.example/login/x";
        for line in ["a=b; Secure; Domain=one.example", "a=b; Secure; Path=/login"] {
            let jar = jar(&[(from, line)]);
            for other in [
                "a=c; Domain=one.example; Path=/login",
                "a=c; Path=/login",
                "a=c; Path=/login/deep",
                "a=; Path=/login; Max-Age=0",
            ] {
                let refused = set(&jar, "ws://a.one.example/login/", other);
                assert_eq!(refused, Err(NotSecure), "{line}: {other}");
            }
            assert_eq!(set(&jar, "ws://a.one.example/", "A=c; Path=/login"), Ok(()));
            assert_eq!(set(&jar, "ws://two.example/", "a=c; Path=/login"), Ok(()));
            assert!(sent(&jar, from).contains("a=b"));
            // A server with TLS can replace it.
            assert_eq!(set(&jar, from, &line.replace("a=b", "a=c")), Ok(()));
            assert!(sent(&jar, from).contains("a=c") && !sent(&jar, from).contains("a=b"));
        }
        // A cookie with a shorter path does not hide it (RFC 6265bis section 5.7).
        let jar = jar(&[("wss://one.example/", "a=b; Secure; Path=/login")]);
        assert_eq!(set(&jar, "ws://one.example/", "a=c; Path=/"), Ok(()));
        assert_eq!(set(&jar, "ws://one.example/", "a=c; Path=/log"), Ok(()));
        assert_eq!(sent(&jar, "wss://one.example/login"), "a=b; a=c");
    }

    #[test]
    fn a_prefix_counts_in_upper_and_lower_case() {
        for prefix in ["__Secure-", "__secure-", "__SECURE-"] {
            refusals(&[
                ("wss://one.example/", &format!("{prefix}a=b"), Prefix),
                ("ws://one.example/", &format!("{prefix}a=b"), Prefix),
                ("ws://one.example/", &format!("{prefix}a=b; Secure"), NotSecure),
            ]);
            jar(&[("wss://one.example/x/y", &format!("{prefix}a=b; Secure; Domain=one.example"))]);
        }
        for prefix in ["__Host-", "__host-", "__HoSt-"] {
            refusals(&[
                ("wss://one.example/", &format!("{prefix}a=b"), Prefix),
                ("wss://one.example/", &format!("{prefix}a=b; Secure"), Prefix),
                ("wss://one.example/", &format!("{prefix}a=b; Path=/"), Prefix),
                ("wss://one.example/", &format!("{prefix}a=b; Secure; Path=/x"), Prefix),
                (
                    "wss://one.example/",
                    &format!("{prefix}a=b; Secure; Path=/; Domain=one.example"),
                    Prefix,
                ),
                ("ws://one.example/", &format!("{prefix}a=b; Secure; Path=/"), NotSecure),
            ]);
            jar(&[("wss://one.example/x/y", &format!("{prefix}a=b; Secure; Path=/"))]);
        }
        jar(&[("ws://one.example/", "__Hosta=b"), ("ws://one.example/", "x__Host-a=b")]);
    }
}

mod expiry {
    use super::*;

    #[test]
    fn max_age_counts_seconds_from_now() {
        let jar = jar(&[("ws://one.example/", "a=b; Max-Age=60")]);
        assert_eq!(sent_after(&jar, "ws://one.example/", 59), "a=b");
        assert_eq!(jar.all()[0].expires(), Some(after(60)));
        assert_eq!(sent_after(&jar, "ws://one.example/", 60), "");
        assert_eq!(jar.all(), []);
    }

    #[test]
    fn max_age_in_hostile_forms() {
        for (value, days) in [
            ("86400", Some(1)),
            ("34560000", Some(400)),
            ("34560001", Some(400)),
            ("9223372036854775807", Some(400)),
            ("18446744073709551616", Some(400)),
            ("1000000000000000000000000000000", Some(400)),
            ("000000000000000000000000000000086400", Some(1)),
            ("+60", None),
            ("60s", None),
            ("6 0", None),
            ("6.0", None),
            ("0x10", None),
            ("", None),
            ("-", None),
            ("--1", None),
            ("1-", None),
            ("\u{ff16}", None),
            ("never", None),
        ] {
            let jar = jar(&[("ws://one.example/", &format!("a=b; max-age={value}"))]);
            let expires = days.map(|days| after(days * DAY));
            assert_eq!(jar.all()[0].expires(), expires, "{value:?}");
        }
        for value in ["0", "-0", "00", "-1", "-9223372036854775808", "-1000000000000000000000000"] {
            let jar = jar(&[("ws://one.example/", "a=b")]);
            assert_eq!(set(&jar, "ws://one.example/", &format!("a=c; Max-Age={value}")), Ok(()));
            assert_eq!(jar.all(), [], "{value}");
        }
    }

    #[test]
    fn expires_in_hostile_forms() {
        for (value, seconds) in [
            ("Tue, 14 Nov 2023 22:13:21 GMT", Some(1)),
            ("Tue, 14-Nov-23 22:13:21 GMT", Some(1)),
            ("Tue Nov 14 22:13:21 2023", Some(1)),
            ("22:13:21 14 nov 2023", Some(1)),
            ("14/Nov/2023,22:13:21", Some(1)),
            ("Wdy, 14 Novembre 23 22:13:21junk +0900", Some(1)),
            ("Fri, 31 Dec 9999 23:59:59 GMT", Some(400 * DAY)),
            ("Wed, 18 Dec 2024 22:13:20 GMT", Some(400 * DAY)),
            ("Wed, 18 Dec 2024 22:13:19 GMT", Some(400 * DAY - 1)),
            ("Wed, 18 Dec 2024 22:13:21 GMT", Some(400 * DAY)),
            ("1 Jan 1600 00:00:00 GMT", None),
            ("1 Jan 9999999 00:00:00 GMT", None),
            ("31 Feb 2030 00:00:00 GMT", None),
            ("0 Jan 2030 00:00:00 GMT", None),
            ("1 Jan 2030 24:00:00 GMT", None),
            ("1 Jan 2030 00:00 GMT", None),
            ("1 Jan 2030", None),
            ("2030-01-01T00:00:00Z", None),
            ("1893456000", None),
            ("-1", None),
            ("never", None),
            ("", None),
        ] {
            let jar = jar(&[("ws://one.example/", &format!("a=b; EXPIRES={value}"))]);
            assert_eq!(jar.all()[0].expires(), seconds.map(after), "{value:?}");
        }
        for value in [
            "Tue, 14 Nov 2023 22:13:20 GMT",
            "Thu, 01 Jan 1970 00:00:00 GMT",
            "1 Jan 1601 00:00:00",
            "Thu, 01-Jan-70 00:00:01 GMT",
        ] {
            let jar = jar(&[("ws://one.example/", "a=b")]);
            assert_eq!(set(&jar, "ws://one.example/", &format!("a=c; Expires={value}")), Ok(()));
            assert_eq!(jar.all(), [], "{value}");
        }
    }

    #[test]
    fn max_age_wins_over_expires_and_the_last_valid_one_counts() {
        for (attributes, seconds) in [
            ("Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT", 60),
            ("Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=60", 60),
            ("Max-Age=0; Max-Age=60", 60),
            ("Max-Age=60; Max-Age=x", 60),
            ("Expires=Tue, 14 Nov 2023 22:14:20 GMT; Max-Age=x", 60),
            ("Expires=1 Jan 2024 0:0:0; Expires=Tue, 14 Nov 2023 22:14:20 GMT; Expires=x", 60),
        ] {
            let jar = jar(&[("ws://one.example/", &format!("a=b; {attributes}"))]);
            assert_eq!(jar.all()[0].expires(), Some(after(seconds)), "{attributes}");
        }
    }

    #[test]
    fn a_clock_that_jumps_past_the_expiry_ends_the_cookie() {
        let jar = jar(&[("ws://one.example/", "a=b; Max-Age=60"), ("ws://one.example/", "c=d")]);
        // A clock that jumps back changes nothing. The clock of Windows begins in 1601.
        let long_ago = UNIX_EPOCH - Duration::from_secs(10_000_000_000);
        assert_eq!(jar.cookies("ws://one.example/", long_ago).unwrap(), "a=b; c=d");
        assert_eq!(sent_after(&jar, "ws://one.example/", 10_000_000_000), "c=d");
        assert_eq!(sent(&jar, "ws://one.example/"), "c=d");
    }

    #[test]
    fn a_clock_at_either_end_of_time_overflows_nothing() {
        let ends = [i64::MIN, -1, 0, i64::MAX].map(|seconds| {
            let distance = Duration::from_secs(seconds.unsigned_abs());
            let end = if seconds < 0 {
                UNIX_EPOCH.checked_sub(distance)
            } else {
                UNIX_EPOCH.checked_add(distance)
            };
            end.unwrap_or(UNIX_EPOCH)
        });
        for now in ends {
            let jar = CookieJar::new();
            for line in ["a=b; Max-Age=99999999999999999999", "a=b; Expires=31 Dec 9999 0:0:0"] {
                jar.set_at("ws://one.example/", line.as_bytes(), now).unwrap();
                let again = CookieJar::new();
                for cookie in jar.all() {
                    assert!(!format!("{cookie:?} {:?}", cookie.expires()).is_empty());
                    again.set_at(&cookie.url(), cookie.to_set_cookie().as_bytes(), now).unwrap();
                }
            }
            let _ = jar.cookies("ws://one.example/", now);
        }
    }
}

mod values {
    use super::*;

    #[test]
    fn a_value_is_kept_verbatim() {
        for (line, cookie) in [
            ("a=\"b\"", "a=\"b\""),
            ("a=\"b; c\"", "a=\"b"),
            ("a=b c", "a=b c"),
            ("a=b=c==", "a=b=c=="),
            ("a=%0d%0aX: y%3B", "a=%0d%0aX: y%3B"),
            ("a=b,c", "a=b,c"),
            ("a=", "a="),
            ("a=; Path=/", "a="),
            (" \ta \t= \tb \t; Path=/", "a=b"),
            ("a b=c", "a b=c"),
            ("a=\\\"", "a=\\\""),
            ("a=grüße", "a=grüße"),
            ("$Version=1", "$Version=1"),
            ("a=\u{a0}b\u{a0}", "a=\u{a0}b\u{a0}"),
        ] {
            assert_eq!(sent(&jar(&[("ws://one.example/", line)]), "ws://one.example/"), cookie);
        }
    }

    #[test]
    fn a_malformed_cookie_is_refused() {
        for line in [
            "",
            "a",
            "=b",
            "  =b",
            ";a=b",
            "; Path=/",
            "a; b=c",
            "\0",
            "a=b\0",
            "a=b\rc",
            "a=b\nc",
            "a\r\nX: y=b",
            "a=b; Path=/\r\nX: y",
            "a=\u{7f}",
            "a=\u{1b}[2J",
        ] {
            refusals(&[("ws://one.example/", line, Malformed)]);
        }
        let jar = CookieJar::new();
        assert_eq!(jar.set_at("ws://one.example/", b"a=\xff", after(0)), Err(Malformed));
        jar.store("ws://one.example/", &[b"a=\xff", b"b=c", b""], after(0));
        assert_eq!(sent(&jar, "ws://one.example/"), "b=c");
    }

    #[test]
    fn unknown_attributes_are_ignored() {
        for attributes in [
            "HttpOnly",
            "SameSite=Strict",
            "SameSite=None",
            "Partitioned",
            "Priority=High",
            "Version=1; Comment=x; Port=\"80\"; Discard; $Path=/x",
            ";;; ;=;==;=x",
            "Domain-x=two.example",
            "Path\u{a0}=/x",
        ] {
            let line = format!("a=b; {attributes}");
            let jar = jar(&[("ws://one.example/", &line)]);
            assert_eq!(sent(&jar, "ws://one.example/"), "a=b", "{attributes}");
            assert_eq!(jar.all()[0].is_http_only(), attributes == "HttpOnly");
        }
    }

    #[test]
    fn a_cookie_of_4096_bytes_is_taken_and_a_larger_one_is_refused() {
        let line = |len: usize| format!("name={}", "x".repeat(len - 4));
        assert_eq!(set(&CookieJar::new(), "ws://one.example/", &line(4096)), Ok(()));
        refusals(&[("ws://one.example/", &line(4097), TooLarge)]);
        refusals(&[("ws://one.example/", &line(1_000_000), TooLarge)]);
        // Attributes do not count. They have a limit of their own.
        let attribute = format!("a=b; x={}; Domain={}", "x".repeat(5000), "x".repeat(1025));
        assert!(jar(&[("ws://one.example/", &attribute)]).all()[0].is_host_only());
    }
}

mod order_and_replacement {
    use super::*;

    #[test]
    fn longer_paths_come_first_and_then_older_cookies() {
        let jar = jar(&[
            ("ws://one.example/", "a=1; Path=/"),
            ("ws://one.example/", "b=2; Path=/x/y"),
            ("ws://a.one.example/", "c=3; Path=/; Domain=one.example"),
            ("ws://one.example/", "d=4; Path=/x"),
            ("ws://one.example/", "e=5; Path=/x/y"),
        ]);
        assert_eq!(sent(&jar, "ws://one.example/x/y/z"), "b=2; e=5; d=4; a=1; c=3");
        // A new value does not change the place of a cookie.
        set(&jar, "ws://one.example/", "b=6; Path=/x/y").unwrap();
        assert_eq!(sent(&jar, "ws://one.example/x/y/z"), "b=6; e=5; d=4; a=1; c=3");
    }

    #[test]
    fn only_a_cookie_of_the_same_name_domain_and_path_is_replaced() {
        let jar = jar(&[
            ("ws://one.example/", "a=1"),
            ("ws://one.example/", "a=2; Domain=one.example"),
            ("ws://one.example/", "a=3; Path=/x"),
            ("ws://one.example/", "A=4"),
            ("ws://one.example:81/", "a=5"),
            ("http://one.example/", "a=6; HttpOnly; Max-Age=60"),
        ]);
        assert_eq!(sent(&jar, "ws://one.example/x"), "a=3; a=6; a=2; A=4");
        assert_eq!(jar.all().len(), 4);
        assert!(jar.all()[0].is_http_only());
    }

    #[test]
    fn an_expired_cookie_removes_only_the_one_that_it_would_replace() {
        let kept = [
            ("ws://one.example/", "a=1"),
            ("ws://one.example/", "a=2; Domain=one.example"),
            ("ws://one.example/", "a=3; Path=/x"),
            ("ws://two.example/", "a=4"),
        ];
        let jar = jar(&kept);
        for (from, line) in [
            ("ws://one.example/", "b=; Max-Age=0"),
            ("ws://one.example/", "a=; Max-Age=0; Path=/y"),
            ("ws://a.one.example/", "a=; Max-Age=0"),
            ("ws://one.example/y/z", "a=; Expires=Thu, 01 Jan 1970 00:00:00 GMT"),
        ] {
            assert_eq!(set(&jar, from, line), Ok(()), "{line}");
        }
        for (from, line) in [
            ("ws://one.example/", "a=; Max-Age=0; Domain=two.example"),
            ("ws://evil.two.example/", "a=; Max-Age=0; Domain=example"),
            ("ws://one.example/", "a=; Max-Age=0; Secure"),
        ] {
            assert!(set(&jar, from, line).is_err(), "{line}");
        }
        assert_eq!(jar.all().len(), kept.len());
        set(&jar, "ws://a.one.example/", "a=; Max-Age=0; Domain=one.example; Path=/").unwrap();
        assert_eq!(sent(&jar, "ws://one.example/x"), "a=3; a=1");
    }
}

mod limits {
    use super::*;

    #[test]
    fn a_server_that_sets_ten_thousand_cookies_has_fifty() {
        let jar = jar(&[("ws://two.example/", "other=1")]);
        for at in 0..10_000 {
            set(&jar, "ws://one.example/", &format!("c{at}=v")).unwrap();
        }
        assert_eq!(jar.all().len(), 51);
        assert_eq!(sent(&jar, "ws://two.example/"), "other=1");
        let line = sent(&jar, "ws://one.example/");
        assert!(line.starts_with("c9950=v; ") && line.ends_with("; c9999=v"), "{line}");
    }

    #[test]
    fn the_cookie_that_was_used_longest_ago_is_removed_first() {
        let jar = jar(&[("ws://one.example/", "old=1; Path=/used")]);
        for at in 1..50 {
            set(&jar, "ws://one.example/", &format!("c{at}=v; Path=/rest")).unwrap();
        }
        assert_eq!(sent(&jar, "ws://one.example/used"), "old=1");
        set(&jar, "ws://one.example/", "new=1; Path=/rest").unwrap();
        assert_eq!(sent(&jar, "ws://one.example/used"), "old=1");
        let rest = sent(&jar, "ws://one.example/rest");
        assert!(rest.starts_with("c2=v; ") && rest.ends_with("; new=1"), "{rest}");
    }

    #[test]
    fn a_server_without_tls_cannot_push_out_secure_cookies() {
        let jar = CookieJar::new();
        for at in 0..50 {
            set(&jar, "wss://one.example/", &format!("s{at}=v; Secure")).unwrap();
        }
        for at in 0..100 {
            set(&jar, "ws://one.example/", &format!("c{at}=v")).unwrap();
        }
        assert!(jar.all().iter().all(|cookie| cookie.is_secure()));
        assert_eq!(jar.all().len(), 50);
    }

    #[test]
    fn expired_cookies_are_removed_before_others() {
        let jar = CookieJar::new();
        for at in 0..50 {
            let age = if at == 20 { "; Max-Age=1" } else { "" };
            set(&jar, "ws://one.example/", &format!("c{at}=v{age}")).unwrap();
        }
        jar.set_at("ws://one.example/", b"new=v", after(2)).unwrap();
        assert_eq!(jar.all().len(), 50);
        assert!(jar.all().iter().all(|cookie| cookie.name() != "c20"));
        assert_eq!(jar.all()[0].name(), "c0");
    }

    #[test]
    fn a_site_that_floods_from_many_names_pushes_out_its_own_cookies() {
        let jar = jar(&[("ws://shop.example/", "cart=1"), ("ws://one.co.uk/", "id=1")]);
        for host in 0..62 {
            for at in 0..50 {
                let url = format!("ws://h{host}.flood.co.uk/");
                set(&jar, &url, &format!("c{at}=v")).unwrap();
            }
        }
        assert_eq!(jar.all().len(), 3_000);
        assert_eq!(sent(&jar, "ws://shop.example/"), "cart=1");
        assert_eq!(sent(&jar, "ws://one.co.uk/"), "id=1");
        assert_eq!(sent(&jar, "ws://h0.flood.co.uk/"), "");
        assert_ne!(sent(&jar, "ws://h61.flood.co.uk/"), "");
    }

    #[test]
    fn a_request_has_at_most_8_kib_of_cookies() {
        let jar = CookieJar::new();
        let value = "x".repeat(1_000);
        for at in 0..40 {
            set(&jar, "ws://one.example/", &format!("c{at:02}={value}")).unwrap();
        }
        set(&jar, "ws://one.example/", "small=1").unwrap();
        let line = sent(&jar, "ws://one.example/");
        assert_eq!(line.len(), 8 * 1_006 - 2 + "; small=1".len());
        assert!(line.starts_with("c00=") && line.ends_with("; small=1"));
        // The limit is exact to the byte.
        let left = 8 * 1024 - line.len() - "; last=".len();
        set(&jar, "ws://one.example/", &format!("last={}", "y".repeat(left + 1))).unwrap();
        assert_eq!(sent(&jar, "ws://one.example/"), line);
        set(&jar, "ws://one.example/", &format!("last={}", "y".repeat(left))).unwrap();
        assert_eq!(sent(&jar, "ws://one.example/").len(), 8 * 1024);
    }
}

mod the_jar {
    use super::*;

    #[test]
    fn cookies_can_be_stored_elsewhere_and_set_again_unchanged() {
        let jar = jar(&[
            ("ws://one.example/x/y", "a=\"1; 2\"; Max-Age=60"),
            ("wss://a.one.example/", "b=2; Domain=one.example; Secure; HttpOnly; Path=/p"),
            ("wss://one.example/", "__Host-c=3=4; Secure; Path=/; Expires=1 Jan 2024 0:0:0"),
            ("wss://one.example/", "__Secure-d=; Secure"),
            ("ws://127.0.0.1/", "e=5"),
            ("ws://[::1]/", "f=6; HttpOnly"),
            ("ws://books.example/", "g=7; Domain=books.example"),
            ("ws://localhost/", "h=8; Domain=localhost"),
            ("ws://one.example/", "a=9"),
            // Only a secure URL may set a cookie beside a secure one.
            ("wss://two.example/", "i=10; Secure"),
            ("wss://two.example/", "i=11; Domain=two.example"),
            // A semicolon in the path of the URL does not begin an attribute.
            ("wss://one.example/app;v=1/feed", "j=12; Domain=one.example; Max-Age=60"),
            ("wss://www.one.example/a;Domain=one.example;Path=/;/b", "k=13"),
            ("wss://one.example/a;//b", "l=14"),
        ]);
        let again = CookieJar::new();
        for cookie in jar.all() {
            let (url, line) = (cookie.url(), cookie.to_set_cookie());
            again.set_at(&url, line.as_bytes(), after(1)).expect(&line);
        }
        assert_eq!(again.all(), jar.all());
        let url = "wss://one.example/p";
        assert_eq!(sent(&again, url), "b=2; __Host-c=3=4; __Secure-d=; a=9");
        assert_eq!(sent(&again, url), sent(&jar, url));
    }

    #[test]
    fn cookies_are_listed_and_removed() {
        let jar = jar(&[
            ("ws://one.example/", "a=1"),
            ("ws://two.example/", "b=2; Domain=two.example; HttpOnly"),
        ]);
        let all = jar.all();
        assert_eq!((all[0].name(), all[0].value()), ("a", "1"));
        assert_eq!((all[1].domain(), all[1].path()), ("two.example", "/"));
        assert!(all[0].is_host_only() && !all[1].is_host_only());
        assert!(all[1].is_http_only() && !all[1].is_secure() && all[1].expires().is_none());
        // The closure may use the jar.
        jar.retain(|cookie| jar.all().len() == 2 && cookie.domain() == "one.example");
        assert_eq!(jar.all(), all[..1]);
        jar.clear();
        assert_eq!(jar.all(), []);
        jar.set("ws://one.example/", "now=1; Max-Age=1000").unwrap();
        assert!(jar.all()[0].expires().unwrap() > SystemTime::now());
    }

    #[test]
    fn no_value_is_in_a_diagnostic() {
        let jar = jar(&[("ws://one.example/", "a=canary; HttpOnly")]);
        let mut shown = format!("{jar:?} {jar:#?} {:?}", jar.all());
        for line in ["b=canary; Domain=com", "canary", "b=canary\0"] {
            let refused = set(&jar, "ws://one.com/", line).unwrap_err();
            shown += &format!("{refused} {refused:?}");
        }
        let builder = Builder::new().cookie_store(Arc::new(jar));
        shown += &format!("{builder:?}");
        assert!(!shown.contains("canary") && shown.contains("one.example"), "{shown}");
    }

    #[test]
    fn a_hundred_threads_share_a_jar() {
        watchdog(LIMIT, || {
            let jar = Arc::new(CookieJar::with_public_suffixes(|domain| domain == "x.y"));
            let threads: Vec<_> = (0..100)
                .map(|at| {
                    let jar = jar.clone();
                    spawn(move || {
                        let host = format!("h{at}.example");
                        let url = format!("ws://{host}/");
                        for round in 0..10 {
                            set(&jar, &url, &format!("c{round}={at}")).unwrap();
                            assert!(sent(&jar, &url).ends_with(&format!("c{round}={at}")));
                        }
                        jar.retain(|cookie| cookie.domain() != host || cookie.name() != "c0");
                    })
                })
                .collect();
            threads.into_iter().for_each(support::Joined::join);
            assert_eq!(jar.all().len(), 100 * 9);
        });
    }
}

/// Which cookies a client gives to a store, and which it sends.
mod on_the_wire {
    use super::*;

    fn answers(head: &str) -> Server<Vec<String>> {
        let head = head.to_owned();
        serve(move |peer| {
            peer.read_request();
            let answer = match head.starts_with("HTTP/") {
                true => (head + "\r\n").into_bytes(),
                false => peer.good_answer(&head),
            };
            peer.send(&answer);
            cookies_of(peer)
        })
    }

    fn cookies_of(peer: &Peer) -> Vec<String> {
        peer.header("Cookie").into_iter().map(str::to_owned).collect()
    }

    /// Returns the `Cookie` lines that a client sends to a server on this machine.
    fn cookies_sent(builder: &Builder, path: &str) -> Vec<String> {
        let server = upgraded(|peer| cookies_of(peer));
        drop(builder.connect(&(server.url() + path)).unwrap());
        server.join()
    }

    fn with_jar() -> (Builder, Arc<CookieJar>) {
        let jar = Arc::new(CookieJar::new());
        (builder().cookie_store(jar.clone()), jar)
    }

    #[test]
    fn cookies_are_kept_only_with_a_store() {
        watchdog(LIMIT, || {
            let server = answers("Set-Cookie: a=b\r\n");
            let builder = builder();
            drop(builder.connect(&server.url()).unwrap());
            server.join();
            assert_eq!(cookies_sent(&builder, "").len(), 0);
        });
    }

    #[test]
    fn cookies_of_the_101_are_kept_and_sent_by_all_clients_of_the_store() {
        watchdog(LIMIT, || {
            let (builder, jar) = with_jar();
            let more = "Set-Cookie: a=b\r\nset-cookie: c=d; Path=/x\r\nSet-Cookie: e=f; Secure\r\n";
            let server = answers(more);
            drop(builder.connect(&(server.url() + "y/z")).unwrap());
            assert_eq!(server.join().len(), 0);
            assert_eq!(cookies_sent(&builder, "x"), ["c=d"]);
            assert_eq!(cookies_sent(&builder.clone(), "y"), ["a=b"]);
            let other = support::builder().cookie_store(jar.clone());
            assert_eq!(cookies_sent(&other, "y/"), ["a=b"]);
            assert_eq!(jar.all().len(), 2);
        });
    }

    #[test]
    fn malformed_cookies_do_not_prevent_the_connection() {
        watchdog(LIMIT, || {
            let server = serve(|peer| {
                peer.read_request();
                let mut answer = peer.good_answer("Set-Cookie: a=X\r\nSet-Cookie: c=d\r\n");
                let at = answer.iter().rposition(|&byte| byte == b'X').unwrap();
                answer[at] = 0xFF;
                peer.send(&answer);
            });
            let (builder, jar) = with_jar();
            let ws = builder.connect(&server.url()).unwrap();
            server.join();
            let lines: Vec<_> = ws.response().headers().all("Set-Cookie").collect();
            assert_eq!(lines, [&b"a=\xff"[..], b"c=d"]);
            assert_eq!(jar.all().len(), 1);
        });
    }

    #[test]
    fn cookies_of_refusals_are_kept() {
        watchdog(LIMIT, || {
            for status in ["200 OK", "401 No", "403 No", "404 No", "429 Later", "503 Later"] {
                let (builder, _) = with_jar();
                let server = answers(&format!(
                    "HTTP/1.1 {status}\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n"
                ));
                assert!(matches!(error(builder.connect(&server.url())), Error::Handshake(_)));
                server.join();
                assert_eq!(cookies_sent(&builder, ""), ["a=b"], "{status}");
            }
        });
    }

    #[test]
    fn cookies_of_answers_that_are_not_valid_are_not_kept() {
        watchdog(LIMIT, || {
            let accept = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
            for head in [
                &format!(
                    "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{accept}\
                     Set-Cookie: a=b\r\n"
                ),
                "HTTP/1.1 103 x\r\nSet-Cookie: a=b\r\n\r\nHTTP/1.1 404 x\r\nContent-Length: 0\r\n",
                "HTTP/1.1 40 x\r\nSet-Cookie: a=b\r\n",
                // Malformed lines are left out of a refusal.
                "HTTP/1.1 404 x\r\nSet-Cookie: a=b\r\n c\r\n",
                "HTTP/1.1 404 x\r\nSet-Cookie : a=b\r\nX: y\nSet-Cookie: a=b\r\n",
            ] {
                let (builder, jar) = with_jar();
                let server = answers(head);
                assert!(matches!(error(builder.connect(&server.url())), Error::Handshake(_)));
                server.join();
                assert_eq!(jar.all(), [], "{head}");
            }
        });
    }

    #[test]
    fn a_redirect_sets_cookies_and_each_request_gets_those_of_its_host() {
        watchdog(LIMIT, || {
            let listener = listener();
            let port = listener.local_addr().unwrap().port();
            let script = [
                // A name and its address do not share cookies, although they are one server.
                (format!("http://localhost:{port}/two"), "address=1; Path=/"),
                ("/three".to_owned(), "name=2"),
                (format!("//127.0.0.1:{port}/four"), "evil=3; Domain=127.0.0.1"),
            ];
            let server = spawn(move || {
                let mut seen = Vec::new();
                for (location, cookie) in script {
                    let mut peer = Peer::new(listener.accept().unwrap().0);
                    peer.read_request();
                    let head = format!("HTTP/1.1 307 x\r\nLocation: {location}\r\n");
                    peer.send(format!("{head}Set-Cookie: {cookie}\r\n\r\n").as_bytes());
                    seen.push(cookies_of(&peer).join("|"));
                }
                let mut peer = Peer::new(listener.accept().unwrap().0);
                peer.upgrade();
                seen.push(cookies_of(&peer).join("|"));
                seen
            });
            let (builder, jar) = with_jar();
            let builder = builder.cookie("mine=0");
            drop(builder.connect(&format!("ws://127.0.0.1:{port}/one")).unwrap());
            assert_eq!(server.join(), ["mine=0", "", "name=2", "address=1"]);
            let kept: Vec<_> =
                jar.all().iter().map(|c| format!("{} {}", c.domain(), c.name())).collect();
            assert_eq!(kept, ["127.0.0.1 address", "localhost name"]);
        });
    }

    #[test]
    fn cookies_of_a_redirect_that_is_not_followed_are_kept_too() {
        watchdog(LIMIT, || {
            let (builder, jar) = with_jar();
            let server = answers("HTTP/1.1 302 x\r\nLocation: ftp://x/\r\nSet-Cookie: a=b\r\n");
            let said = error(builder.connect(&server.url()));
            let Error::Handshake(refused) = &said else { panic!("{said:?}") };
            assert_eq!(refused.problem(), &HandshakeProblem::BadRedirect);
            server.join();
            assert_eq!(jar.all().len(), 1);
        });
    }

    #[test]
    fn the_callers_cookies_follow_those_of_the_store_and_win() {
        watchdog(LIMIT, || {
            let (stored, jar) = with_jar();
            for line in ["a=1", "b=2", "c=3"] {
                jar.set("ws://127.0.0.1/", line).unwrap();
            }
            for (builder, line) in [
                (stored.clone(), "a=1; b=2; c=3"),
                (stored.clone().cookie("d=4"), "a=1; b=2; c=3; d=4"),
                (stored.clone().cookie("b=5; d=4;a=6"), "c=3; b=5; d=4;a=6"),
                (stored.clone().header("cookie", "b"), "a=1; c=3; b"),
                (
                    stored.clone().cookie("e=7").header("COOKIE", "d=4").header("Cookie", "B=8"),
                    "a=1; b=2; c=3; d=4; B=8",
                ),
                (stored.clone().cookie(""), "a=1; b=2; c=3"),
                (builder().header("Cookie", "a=1").header("Cookie", "a=2"), "a=1; a=2"),
            ] {
                assert_eq!(cookies_sent(&builder, ""), [line]);
            }
            assert_eq!(cookies_sent(&builder().cookie(""), "").len(), 0);
        });
    }

    /// A store that is not a jar.
    #[derive(Default)]
    struct Own {
        seen: Mutex<Vec<String>>,
        gives: Option<&'static str>,
    }

    impl CookieStore for Own {
        fn store(&self, url: &str, set_cookies: &[&[u8]], now: SystemTime) {
            assert!(now > after(0));
            let lines = set_cookies.iter().map(|line| String::from_utf8_lossy(line).into_owned());
            self.seen.lock().unwrap().push(format!("{url} {:?}", lines.collect::<Vec<_>>()));
        }

        fn cookies(&self, url: &str, _: SystemTime) -> Option<String> {
            self.seen.lock().unwrap().push(url.to_owned());
            self.gives.map(str::to_owned)
        }
    }

    #[test]
    fn a_store_sees_urls_without_secrets_and_all_lines_at_once() {
        watchdog(LIMIT, || {
            let store = Arc::new(Own { gives: Some("own=1"), ..Own::default() });
            let builder = builder().cookie_store(store.clone());
            let server = answers("Set-Cookie: a=b\r\nSet-Cookie: c\tä\r\n");
            let url = format!("ws://user:password@{}/x?y", server.addr);
            drop(builder.connect(&url).unwrap());
            let addr = server.addr;
            assert_eq!(server.join(), ["own=1"]);
            let seen = store.seen.lock().unwrap();
            let url = format!("ws://{addr}/x?y");
            assert_eq!(*seen, [url.clone(), format!("{url} [\"a=b\", \"c\\tä\"]")]);
        });
    }

    #[test]
    fn a_store_that_returns_an_invalid_header_value_sends_nothing() {
        watchdog(LIMIT, || {
            for gives in ["a=b\r\nX-Injected: y", "a=\0", "a=\n"] {
                let store = Own { gives: Some(gives), ..Own::default() };
                let builder = builder().cookie_store(Arc::new(store));
                let unvisited = listener();
                let url = format!("ws://{}/", unvisited.local_addr().unwrap());
                let said = error(builder.connect(&url));
                let Error::InvalidInput(input) = &said else { panic!("{said:?}") };
                assert_eq!(*input, landline::error::InvalidInput::Header("Cookie".into()));
                unvisited.set_nonblocking(true).unwrap();
                assert!(unvisited.accept().is_err());
            }
            let empty = Own { gives: Some(""), ..Own::default() };
            assert_eq!(cookies_sent(&builder().cookie_store(Arc::new(empty)), "").len(), 0);
        });
    }

    #[test]
    fn a_server_that_floods_the_store_still_gets_a_request_within_the_limit() {
        watchdog(LIMIT, || {
            let (builder, jar) = with_jar();
            for at in 0..8 {
                let lines: String = (0..12)
                    .map(|line| format!("Set-Cookie: c{at}-{line}={}\r\n", "x".repeat(4_000)))
                    .collect();
                let server = answers(&lines);
                drop(builder.connect(&server.url()).unwrap());
                server.join();
            }
            assert_eq!(jar.all().len(), 50);
            let sent = cookies_sent(&builder, "");
            assert!(sent.len() == 1 && (4_000..=8 * 1024).contains(&sent[0].len()));
        });
    }
}
