//! Wrong options: each says what is wrong and what would be right, before a socket is opened.

use crate::scripts::temporary;
use crate::support::{LIMIT, watchdog};
use crate::tool::*;

#[test]
fn each_wrong_option_says_what_would_be_right() {
    watchdog(LIMIT * 3, || {
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
            (&["--resolve", "h:80", url], "HOST:PORT:ADDRESS"),
            (&["-4", "-6", url], "cannot be used with"),
            (&["-q", "-v", url], "cannot be used with"),
            (&["--gunzip", "--json", url], "cannot be used with"),
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
            (&["--pin", "x", url], "--pin"),
            (&["--pin", "sha256//AA==", url], "base64 of 32 bytes"),
            (&["--interface", "", url], "--interface"),
            (&["--interface", "127.0.0.1:80", url], "an address of this machine"),
            (&["--interface", "127.0.0.1", "--unix-socket", "x", url], "cannot be used with"),
            (&["--server-name", "a b", "wss://127.0.0.1:1/"], "server name"),
            (&["--proxy", "ftp://x", url], "socks5h"),
            (&["--proxy-user", "a:b", url], "--proxy"),
            (&["-x", "x", "--proxy-header", "Host: x", url], "--proxy-header: the header \"Host\""),
            (&["-x", "x", "--proxy-header", "Content-Length: 1", url], "leave it out"),
            (&["-x", "x", "--proxy-header", "User-Agent:", url], "give 'User-Agent;'"),
            (&["-x", "socks5://x", "--proxy-header", "A: 1", url], "SOCKS has no headers"),
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
fn completions_and_the_man_page_have_the_options() {
    watchdog(LIMIT, || {
        for what in ["bash", "elvish", "fish", "powershell", "zsh", "man"] {
            let run = run(&["--generate", what]);
            assert_eq!((run.status, &*run.err), (0, ""), "{what}");
            let out = run.out.replace('\\', "");
            for part in ["wsdump", "eof-wait", "subprotocols"] {
                assert!(out.contains(part), "{what} lacks {part}");
            }
        }
        let man = run(&["--generate", "man"]).out;
        assert!(man.contains(".SH \"Exit statuses\""), "{man}");
        assert!(man.contains("130  interrupted"), "{man}");
    });
}

#[cfg(unix)]
#[test]
fn the_completions_for_bash_are_code_for_bash() {
    watchdog(LIMIT, || {
        let script = temporary("completions");
        std::fs::write(&script, run(&["--generate", "bash"]).out).unwrap();
        let complete = format!(
            "source {} && COMP_WORDS=(wsdump --eof) COMP_CWORD=1 && _wsdump wsdump --eof wsdump \
             && echo ${{COMPREPLY[0]}}",
            script.display()
        );
        let bash = std::process::Command::new("bash").args(["-c", &complete]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&bash.stdout), "--eof-wait\n");
        std::fs::remove_file(script).unwrap();
    });
}

/// The tests run every option, so each one is named in their sources.
#[test]
fn every_option_is_tested() {
    watchdog(LIMIT, || {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/wsdump");
        let files = std::fs::read_dir(folder).unwrap();
        let sources = files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
        let sources = sources.collect::<Vec<_>>().concat();
        let help = run(&["--help"]).out;
        let words = help.split(|c: char| c.is_whitespace() || "[],;=".contains(c));
        let options: Vec<_> = words.filter(|word| word.starts_with("--")).collect();
        assert!(options.len() > 60, "{options:?}");
        for option in options {
            let name = option.trim_end_matches('.');
            let tested = ["\"", "="].iter().any(|end| sources.contains(&format!("\"{name}{end}")));
            let one_letter = match name {
                "--one" => "\"-1\"",
                "--null" => "\"-0\"",
                "--raw" => "\"-r\"",
                "--summary" => "\"-w\"",
                "--quiet" => "\"-q\"",
                "--ipv4" => "\"-4\"",
                "--ipv6" => "\"-6\"",
                "--insecure" => "\"-k\"",
                "--header" => "\"-H\"",
                "--referer" => "\"-e\"",
                "--user-agent" => "\"-A\"",
                "--origin" => "\"-o\"",
                _ => name,
            };
            assert!(tested || sources.contains(one_letter), "no test has {option}");
        }
    });
}

#[test]
fn the_help_has_the_statuses_and_goes_to_standard_output() {
    watchdog(LIMIT, || {
        let help = run(&["--help"]);
        assert_eq!((help.status, &*help.err), (0, ""));
        for line in ["the server closed with 1000 or no code\n", "  130  interrupted"] {
            assert!(help.out.contains(line), "{}", help.out);
        }
        let version = run(&["--version"]);
        version.gave(0, &format!("wsdump {}\n", env!("CARGO_PKG_VERSION")));
    });
}
