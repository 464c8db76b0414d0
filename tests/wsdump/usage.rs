//! Wrong options: each says what is wrong and what would be right, before a socket is opened.

use crate::scripts::temporary;
use crate::support::{LIMIT, watchdog};
use crate::tool::*;

#[test]
fn each_wrong_option_says_what_would_be_right() {
    watchdog(LIMIT, || {
        let bad = temporary("bad");
        std::fs::write(&bad, b"\xFF").unwrap();
        let bad = bad.to_str().unwrap();
        let url = "ws://127.0.0.1:1/";
        let cases: &[(&[&str], &str)] = &[
            (&[], "required"),
            (&["example.com/x"], "give ws://example.com/x or wss://example.com/x"),
            (&["ftp://example.com"], "give ws://example.com or wss://example.com"),
            (&["ws://"], "invalid URL"),
            (&["--timout", "1", url], "--timeout"),
            (&["--timeout", "soon", url], "give seconds"),
            (&["--timeout", "0", url], "more than 0"),
            (&["--max-size", "1T", url], "64k, 16M, 1G"),
            (&["--count", "0", url], "0 is not in 1.."),
            (&["-1", "--count", "2", url], "cannot be used with"),
            (&["--until", "(", url], "not a regular expression"),
            (&["--close", "1006", url], "3000 to 4999"),
            (&["--hex", "--base64", url], "cannot be used with"),
            (&["--json", "--timings", url], "cannot be used with"),
            (&["-4", "-6", url], "cannot be used with"),
            (&["-q", "-v", url], "cannot be used with"),
            (&["-H", "X", url], "NAME: VALUE"),
            (&["-H", "a b: c", url], "not allowed"),
            (&["-H", "@/no/such/file", url], "/no/such/file"),
            (&["-H", "A: \x01", url], "characters that HTTP does not allow"),
            (&["--auth", "me", url], "USER:PASSWORD"),
            (&["--auth", "@/no/such/file", url], "/no/such/file"),
            (&["--bearer", "", url], "empty"),
            (&["--auth", "a:b", "--bearer", "c", url], "cannot be used with"),
            (&["--cookie", "/no/such/file", url], "/no/such/file"),
            (&["--subprotocol", "a,a", url], "given twice"),
            (&["--cacert", "/no/such/file", url], "/no/such/file"),
            (&["--cacert", bad, url], "certificate"),
            (&["--key", bad, url], "--cert"),
            (&["--keylog", url], "SSLKEYLOGFILE"),
            (&["--server-name", "a b", "wss://127.0.0.1:1/"], "server name"),
            (&["--proxy", "ftp://x", url], "socks5h"),
            (&["--proxy-user", "a:b", url], "--proxy"),
            (&["--proxy", "x", "--unix-socket", "x", url], "cannot be used with"),
            (&["--noproxy", "/", "--proxy", "http://x", url], "--noproxy"),
            (&["--send-file", "/no/such/file", url], "/no/such/file"),
            (&["--send-file", bad, url], "as binary"),
            (&["--send-binary", "/no/such/file", url], "/no/such/file"),
            (&["--listen", "127.0.0.1:0", url], "cannot be used with"),
            (&["-X", "POST", url], "GET"),
            (&["--verbose=x", url], "invalid"),
        ];
        for (args, expected) in cases {
            let run = run(args);
            assert_eq!((run.status, &*run.out), (1, ""), "{args:?}: {}", run.err);
            assert!(run.err.contains(expected), "{args:?}: {expected:?} is not in {}", run.err);
        }
        std::fs::remove_file(bad).unwrap();
    });
}

#[test]
fn a_secret_is_not_shown_in_an_error() {
    watchdog(LIMIT, || {
        for args in [
            &["--auth", "hunter2", "ws://127.0.0.1:1/"][..],
            &["-H", "hunter2", "ws://127.0.0.1:1/"],
            &["--proxy", "http://me:hunter2@/", "ws://127.0.0.1:1/"],
        ] {
            let run = run(args);
            assert_eq!(run.status, 1);
            assert!(!run.err.contains("hunter2"), "{}", run.err);
        }
    });
}

#[test]
fn the_help_has_the_statuses_and_goes_to_standard_output() {
    watchdog(LIMIT, || {
        let help = run(&["--help"]);
        assert_eq!((help.status, &*help.err), (0, ""));
        assert!(help.out.contains("  130  interrupted"), "{}", help.out);
        let version = run(&["--version"]);
        version.gave(0, &format!("wsdump {}\n", env!("CARGO_PKG_VERSION")));
    });
}
