//! wsdump shows messages and notes, in several forms.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::scripts::temporary;
use crate::support::*;
use crate::tool::*;

#[test]
fn binary_messages_have_many_forms_both_ways() {
    watchdog(LIMIT, || {
        let shows = |args: &[&str], input: &str| {
            let server = upgraded(|peer| {
                peer.expect(BINARY, b"\x00\xFF");
                peer.send(&[binary(b"\x01\xFE"), text("t"), close(1000, "")].concat());
            });
            let url = server.url();
            let run = run_with(&[args, &[&url]].concat(), input.as_bytes());
            server.join();
            assert_eq!((run.status, &*run.err), (0, ""));
            run.out
        };
        assert_eq!(shows(&["--hex"], "00 ff\n"), "01fe\nt\n");
        assert_eq!(shows(&["--base64"], "AP8=\n"), "Af4=\nt\n");
        assert_eq!(shows(&["--hex", "-0"], "00FF\0"), "01fe\0t\0");
    });
}

#[test]
fn input_that_is_no_hexadecimal_or_base64_is_refused() {
    watchdog(LIMIT, || {
        for (args, text) in
            [("--hex", "not hexadecimal: \"0g\""), ("--base64", "not base64: \"0g\"")]
        {
            let server = upgraded(|peer| answer_close(peer, 1000));
            run_with(&[args, &server.url()], b"0g\n").failed(10, text);
            server.join();
        }
    });
}

#[test]
fn raw_binary_is_written_as_it_is_to_a_file() {
    watchdog(LIMIT, || {
        let path = temporary("output");
        let server = upgraded(|peer| {
            peer.send(
                &[binary(b"\x00\n"), frame(BINARY, false, b"a"), frame(0, true, b"b")].concat(),
            );
            peer.send(&close(1000, ""));
        });
        run(&["--output", path.to_str().unwrap(), &server.url()]).gave(0, "");
        server.join();
        assert_eq!(std::fs::read(&path).unwrap(), b"\x00\nab");
        std::fs::remove_file(path).unwrap();
        run(&["--output", "/no/such/folder/x", "ws://127.0.0.1:1/"]).failed(10, "/no/such/folder");
    });
}

#[test]
fn compressed_payloads_are_shown_as_the_text_that_they_are() {
    watchdog(LIMIT, || {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(b"{\"price\":1}").unwrap();
        let gzip = gzip.finish().unwrap();
        let server = upgraded(move |peer| {
            peer.send(&[binary(&gzip), binary(b"plain"), close(1000, "")].concat());
        });
        run(&["--gunzip", &server.url()]).gave(0, "{\"price\":1}\nplain");
        server.join();
    });
}

#[test]
fn each_message_can_have_its_time() {
    watchdog(LIMIT, || {
        for (option, is_good) in [
            (
                "--timings",
                (|stamp| stamp.ends_with(": ") && stamp[..1].parse::<u8>().is_ok())
                    as fn(&str) -> bool,
            ),
            ("--timestamps", |stamp| stamp.len() == 28 && stamp.ends_with("Z ")),
            ("--deltas", |stamp| stamp.starts_with('+') && stamp.ends_with(": ")),
        ] {
            let server =
                upgraded(|peer| peer.send(&[text("x"), text("y"), close(1000, "")].concat()));
            let run = run(&[option, &server.url()]);
            server.join();
            let stamps: Vec<_> = run.out.lines().zip(["x", "y"]).collect();
            assert_eq!(stamps.len(), 2);
            for (line, message) in stamps {
                let stamp = line.strip_suffix(message).unwrap();
                assert!(is_good(stamp), "{option}: {stamp:?}");
            }
        }
    });
}

#[test]
fn verbose_tells_what_happens_and_very_verbose_the_heads_and_frames() {
    watchdog(LIMIT, || {
        let talk = |args: &[&str]| {
            let server = upgraded(|peer| {
                peer.expect(TEXT, b"secret text");
                peer.send(&[ping(b""), text("x")].concat());
                peer.expect(PONG, b"");
                answer_close(peer, 1000);
            });
            let url = server.url() + "path?token=secret";
            let run = run(&[args, &["-u", "me:secret", "-t", "secret text", "-1", &url]].concat());
            server.join();
            assert_eq!((run.status, &*run.out), (0, "x\n"));
            run.err
        };
        assert_eq!(talk(&[]), "");
        let verbose = talk(&["-v"]);
        for part in [
            "connected to ws://",
            "\nopened by connect ",
            " ms, handshake ",
            "sent a Ping",
            "the peer answered: 1000",
        ] {
            assert!(verbose.contains(part), "{part} in {verbose}");
        }
        assert!(!verbose.contains("Upgrade"), "{verbose}");
        for args in [&["-vv"][..], &["-v", "2"], &["--verbose=2"], &["-v", "-v"]] {
            let all = talk(args);
            for part in [
                "Upgrade: websocket",
                "HTTP/1.1 101",
                "Authorization: ***",
                "sent Close, 2 bytes",
                "received Ping",
            ] {
                assert!(all.contains(part), "{part} in {all}");
            }
            assert!(!all.contains("bWU6c2VjcmV0") && !all.contains("token"), "{all}");
        }
    });
}

#[test]
fn text_may_contain_anything_in_a_pipe() {
    watchdog(LIMIT, || {
        let server =
            upgraded(|peer| peer.send(&[text("\x1b[31m\u{202e}\0"), close(1000, "")].concat()));
        run(&[server.url()]).gave(0, "\x1b[31m\u{202e}\0\n");
        server.join();
    });
}
