//! wsdump serves scripts: an end after a number of messages, what is sent first, JSON, a summary.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;

use crate::support::*;
use crate::tool::*;

/// Returns a path for a file of this test process.
pub(crate) fn temporary(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("wsdump-{}-{name}", std::process::id()))
}

#[test]
fn one_message_is_enough() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            peer.send(&[text("first"), text("second")].concat());
            answer_close(peer, 1000);
        });
        run(&["-1", &server.url()]).gave(0, "first\n");
        server.join();
    });
}

#[test]
fn a_message_that_matches_is_enough() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            peer.send(
                &[text("starting"), binary(b"ready"), text("is ready 7"), text("x")].concat(),
            );
            answer_close(peer, 1000);
        });
        let run = run(&["--until", "ready [0-9]+$", "--hex", &server.url()]);
        run.gave(0, "starting\n7265616479\nis ready 7\n");
        server.join();
    });
}

#[test]
fn the_message_that_is_enough_is_shown_before_the_server_answers_the_close() {
    watchdog(LIMIT, || {
        for option in [&["-1"][..], &["--count", "1"], &["--until", "x"]] {
            let (shown, is_shown) = std::sync::mpsc::channel();
            let server = upgraded(move |peer| {
                peer.send(&text("x"));
                peer.expect_close(1000);
                peer.hold_open(&is_shown);
                peer.send(&close(1000, ""));
            });
            let url = server.url();
            let args = [&["--close-timeout", "1h"], option, &[&url]].concat();
            let mut child = wsdump(&args).spawn().unwrap();
            let mut stdout = std::io::BufReader::new(child.stdout.take().unwrap());
            let mut line = String::new();
            std::io::BufRead::read_line(&mut stdout, &mut line).unwrap();
            assert_eq!(line, "x\n");
            drop(shown);
            finished(child).gave(0, "");
            server.join();
        }
    });
}

#[test]
fn what_is_sent_first_keeps_its_order() {
    watchdog(LIMIT, || {
        let (words, bytes) = (temporary("text"), temporary("binary"));
        fs::write(&words, "é\n").unwrap();
        fs::write(&bytes, b"\xFF\x00").unwrap();
        let server = upgraded(|peer| {
            peer.expect(TEXT, b"-a");
            peer.expect(BINARY, b"\xFF\x00");
            peer.expect(TEXT, "é\n".as_bytes());
            peer.expect(TEXT, b"b");
            peer.expect(TEXT, b"from stdin");
            peer.send(&close(1000, ""));
        });
        let (words, bytes) = (words.to_str().unwrap(), bytes.to_str().unwrap());
        let url = server.url();
        let args = ["-t", "-a", "--send-binary", bytes, "--send-file", words, "--text", "b", &url];
        run_with(&args, b"from stdin\n").gave(0, "");
        server.join();
        fs::remove_file(words).unwrap();
        fs::remove_file(bytes).unwrap();
    });
}

#[test]
fn a_big_file_is_sent_in_fragments() {
    watchdog(LIMIT, || {
        let path = temporary("big");
        fs::write(&path, vec![b'x'; 3 << 20]).unwrap();
        let server = upgraded(|peer| {
            let mut len = 0;
            loop {
                let frame = peer.next_frame().unwrap();
                len += frame.payload.len();
                if frame.fin {
                    break;
                }
            }
            assert_eq!(len, 3 << 20);
            peer.send(&close(1000, ""));
        });
        run(&["--send-file", path.to_str().unwrap(), &server.url()]).gave(0, "");
        server.join();
        fs::remove_file(path).unwrap();
    });
}

#[test]
fn the_close_has_the_code_and_the_reason_that_are_given() {
    watchdog(LIMIT, || {
        for args in [&["--close", "4001", "done"][..], &["--close", "4001 done"]] {
            let server = upgraded(|peer| {
                peer.send(&text("x"));
                assert_eq!(peer.expect_close(4001).reason(), "done");
                peer.send(&close(4001, ""));
            });
            let url = server.url();
            run(&[args, &["-1", &url]].concat()).gave(0, "x\n");
            server.join();
        }
    });
}

#[test]
fn pings_are_timed() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            for _ in 0..3 {
                let ping = peer.next_frame().unwrap();
                assert_eq!(ping.opcode, PING);
                peer.send(&frame(PONG, true, &ping.payload));
            }
            peer.send(&close(1000, ""));
            peer.stall(); // On a busy machine there may be one more.
        });
        let run = run(&["--ping", "10ms", "-w", "--json", &server.url()]);
        server.join();
        assert_eq!(run.status, 0, "{}", run.err);
        assert_eq!(run.err.matches("pong after ").count(), 3, "{}", run.err);
        assert!(run.err.contains(" max of 3\n"), "{}", run.err);
        let pongs: Vec<_> =
            lines(&run.out).into_iter().filter(|line| line["kind"] == "pong").collect();
        assert_eq!(pongs.len(), 3);
        assert!(pongs.iter().all(|pong| pong["rtt"].as_f64().unwrap() >= 0.0));
    });
}

fn lines(out: &str) -> Vec<serde_json::Value> {
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn json_tells_all_that_happens() {
    watchdog(LIMIT, || {
        let server = serve(|peer| {
            peer.read_request();
            let answer = peer.good_answer("Sec-WebSocket-Protocol: b\r\nX-Note: 1\r\n");
            peer.send(&answer);
            peer.expect(TEXT, b"hi");
            peer.send(
                &[text("a\"\u{1b}"), binary(b"\xFF"), ping(b"p"), close(4000, "bye")].concat(),
            );
            peer.expect(PONG, b"p");
            peer.expect_close(4000);
        });
        let run = run(&["--json", "-s", "a", "b", "-t", "hi", &server.url()]);
        assert_eq!((run.status, &*run.err), (8, "wsdump: closed by the peer: 4000 \"bye\"\n"));
        server.join();
        let lines = lines(&run.out);
        let kinds: Vec<_> = lines.iter().map(|line| line["kind"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["open", "text", "text", "binary", "ping", "close", "error"]);
        assert_eq!(lines[0]["subprotocol"], "b");
        assert_eq!(lines[0]["status"], 101);
        assert!(
            lines[0]["headers"].as_array().unwrap().contains(&serde_json::json!(["X-Note", "1"]))
        );
        assert_eq!((&lines[1]["dir"], &lines[1]["text"]), (&"out".into(), &"hi".into()));
        assert_eq!((&lines[2]["dir"], &lines[2]["text"]), (&"in".into(), &"a\"\u{1b}".into()));
        assert_eq!((&lines[3]["bytes"], &lines[3]["base64"]), (&1.into(), &"/w==".into()));
        assert_eq!(lines[4]["base64"], "cA==");
        let close = &lines[5];
        assert_eq!((&close["code"], &close["reason"]), (&4000.into(), &"bye".into()));
        assert_eq!((&close["by"], &close["clean"]), (&"server".into(), &true.into()));
        assert!(lines.iter().all(|line| line["time"].as_str().unwrap().ends_with('Z')));
    });
}

#[test]
fn json_has_every_error_that_standard_error_has() {
    watchdog(LIMIT, || {
        let errors = |run: Run, status: i32, texts: &[&str]| {
            assert_eq!(run.status, status, "{}", run.err);
            let lines = lines(&run.out);
            let errors = lines.iter().filter(|line| line["kind"] == "error");
            let errors: Vec<_> = errors.map(|line| line["error"].as_str().unwrap()).collect();
            let said: Vec<_> =
                run.err.lines().map(|line| line.strip_prefix("wsdump: ").unwrap()).collect();
            assert_eq!(errors, said);
            assert_eq!(errors.len(), texts.len(), "{errors:?}");
            for (error, text) in errors.iter().zip(texts) {
                assert!(error.contains(text), "{text} is not in {error}");
            }
        };
        // Standard input.
        let server = upgraded(|peer| answer_close(peer, 1000));
        let run_10 = run_with(&["--json", &server.url()], b"\xFF\n");
        server.join();
        errors(run_10, 10, &["standard input is not UTF-8"]);
        // The file of what is sent first is gone when it is to be read.
        let file = temporary("gone");
        fs::write(&file, "x").unwrap();
        let path = file.clone();
        let server = upgraded(move |peer| answer_close(peer, 1000));
        let gone = serve(move |peer| {
            peer.read_request();
            fs::remove_file(path).unwrap();
            let answer = peer.good_answer("");
            peer.send(&answer);
            answer_close(peer, 1000);
        });
        let run_gone = run(&["--json", "--send-file", file.to_str().unwrap(), &gone.url()]);
        gone.join();
        errors(run_gone, 10, &["cannot read"]);
        // No message comes that is waited for, and the folder for the cookies does not exist.
        let jar = temporary("no-such-folder").join("jar");
        let url = server.url();
        let args = ["--json", "-1", "--eof-wait", "0", "-c", jar.to_str().unwrap(), &url];
        let run_9 = run(&args);
        server.join();
        errors(run_9, 9, &["ended after 0 of 1 messages", "cannot write"]);
    });
}

#[test]
fn json_has_a_message_once_also_if_its_connection_is_lost() {
    watchdog(LIMIT, || {
        let listener = listener();
        let url = format!("ws://{}/", listener.local_addr().unwrap());
        let line = "x".repeat(16 << 20);
        let sent = line.clone();
        let server = spawn(move || {
            let mut peer = Peer::new(listener.accept().unwrap().0);
            peer.upgrade();
            // The tool is within the message, which is longer than the buffers of the system.
            std::io::Read::read_exact(&mut peer.socket(), &mut [0; 4096]).unwrap();
            peer.rst();
            let mut peer = Peer::new(listener.accept().unwrap().0);
            peer.upgrade();
            peer.expect(TEXT, sent.as_bytes());
            peer.send(&close(1000, ""));
        });
        let args = ["--json", "--reconnect", "--retry-delay", "0", &url];
        let run = run_with(&args, format!("{line}\n").as_bytes());
        server.join();
        assert_eq!(run.status, 0, "{}", run.err);
        let lines = lines(&run.out);
        let kinds: Vec<_> = lines.iter().map(|line| line["kind"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["open", "text", "close", "retry", "open", "close"], "{}", run.err);
        assert!(lines[1]["text"] == line.as_str());
    });
}

#[test]
fn json_tells_of_a_retry_before_the_wait() {
    watchdog(LIMIT, || {
        let url = format!("ws://{}/", closed());
        let delay = ["--retry-delay", "1h", "--retry-max-delay", "1h"];
        let args = [&["--json", "--reconnect"], &delay[..], &[&url]].concat();
        let mut child = wsdump(&args).spawn().unwrap();
        let mut stdout = std::io::BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        std::io::BufRead::read_line(&mut stdout, &mut line).unwrap();
        assert_eq!(lines(&line)[0]["kind"], "retry");
        child.kill().unwrap();
        child.wait().unwrap();
    });
}

#[test]
fn what_is_sent_first_is_sent_again_after_a_reconnect() {
    watchdog(LIMIT, || {
        let listener = listener();
        let url = format!("ws://{}/", listener.local_addr().unwrap());
        let server = spawn(move || {
            for number in 0..3 {
                let mut peer = Peer::new(listener.accept().unwrap().0);
                peer.upgrade();
                peer.expect(TEXT, b"subscribe");
                peer.send(&text(&format!("feed {number}")));
                if number == 2 {
                    peer.send(&close(1000, ""));
                }
            }
        });
        let args = ["-t", "subscribe", "--reconnect", "--retry-delay", "0", &url];
        let run = run(&args);
        server.join();
        assert_eq!((run.status, &*run.out), (0, "feed 0\nfeed 1\nfeed 2\n"), "{}", run.err);
        assert_eq!(
            run.err.matches("the peer ended the connection without a Close; attempt").count(),
            2
        );
        assert_eq!(run.err.matches("connected to ").count(), 2, "{}", run.err);
    });
}

#[test]
fn a_message_that_is_cut_off_is_not_joined_to_the_next_one() {
    const NOTE: &str = "wsdump: a message was cut off: ";
    watchdog(LIMIT, || {
        // Bytes have no end in the output, unless it is a zero.
        for (options, opcode, out) in [
            (&[][..], 0x81, "01234\nhello\n"),
            (&["-0"], 0x81, "01234\0hello\0"),
            (&["-0"], 0x82, "01234\0hello\0"),
            (&[], 0x82, "01234hello\n"),
        ] {
            let listener = listener();
            let url = format!("ws://{}/", listener.local_addr().unwrap());
            let server = spawn(move || {
                let mut peer = Peer::new(listener.accept().unwrap().0);
                peer.upgrade();
                peer.send(&[&[opcode, 10], &b"01234"[..]].concat());
                drop(peer);
                let mut peer = Peer::new(listener.accept().unwrap().0);
                peer.upgrade();
                peer.send(&[text("hello"), close(1000, "")].concat());
            });
            let run = run(&[options, &["--reconnect", "--retry-delay", "0", &url]].concat());
            server.join();
            assert_eq!((run.status, &*run.out), (0, out), "{}", run.err);
            assert_eq!(run.err.matches(NOTE).count(), 1, "{}", run.err);
        }
        // No other connection follows.
        let server = upgraded(|peer| peer.send(b"\x81\x0A01234"));
        let run = run(&[server.url()]);
        server.join();
        assert_eq!((run.status, &*run.out), (8, "01234\n"), "{}", run.err);
        assert_eq!(run.err.matches(NOTE).count(), 1, "{}", run.err);
    });
}

#[test]
fn a_line_whose_connection_is_lost_is_sent_over_the_next_one() {
    watchdog(LIMIT, || {
        let listener = listener();
        let url = format!("ws://{}/", listener.local_addr().unwrap());
        let (first, was_lost) = std::sync::mpsc::channel();
        let server = spawn(move || {
            let mut peer = Peer::new(listener.accept().unwrap().0);
            peer.upgrade();
            peer.expect(TEXT, b"one");
            drop(peer);
            first.send(()).unwrap();
            let mut peer = Peer::new(listener.accept().unwrap().0);
            peer.upgrade();
            peer.expect(TEXT, b"two");
            peer.send(&close(1000, ""));
        });
        let args = ["--reconnect", "--retry-delay", "0", &url];
        let mut child = wsdump(&args).stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        use std::io::Write as _;
        stdin.write_all(b"one\n").unwrap();
        was_lost.recv().unwrap();
        // The tool says that it is connected again. A line before that might get lost.
        let mut stderr = std::io::BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        while !said.contains("connected to ") {
            said.clear();
            std::io::BufRead::read_line(&mut stderr, &mut said).unwrap();
        }
        stdin.write_all(b"two\n").unwrap();
        drop(stdin);
        finished(child).gave(0, "");
        server.join();
    });
}

#[test]
fn a_long_record_that_is_lost_with_its_connection_does_not_end_the_input() {
    watchdog(LIMIT, || {
        let long = vec![b'x'; 16 << 20];
        for (option, last, more) in [("--raw", "next", &b"\nnext\n"[..]), ("--binary", "", b"")] {
            let listener = listener();
            let url = format!("ws://{}/", listener.local_addr().unwrap());
            let server = spawn(move || {
                let mut peer = Peer::new(listener.accept().unwrap().0);
                peer.upgrade();
                assert!(!peer.next_frame().unwrap().fin);
                peer.rst();
                let mut peer = Peer::new(listener.accept().unwrap().0);
                peer.upgrade();
                if !last.is_empty() {
                    peer.expect(TEXT, last.as_bytes());
                }
                answer_close(&mut peer, 1000);
            });
            let args = ["--reconnect", "--retry-delay", "0", "--eof-wait", "0", "-w", option, &url];
            let run = run_with(&args, &[&long, more].concat());
            server.join();
            assert_eq!((run.status, &*run.out), (0, ""), "{}", run.err);
            assert!(run.err.contains("wsdump: a long message was not sent: "), "{}", run.err);
            let (messages, bytes) = if last.is_empty() { (0, 0) } else { (1, 4) };
            let sent = format!("sent      {messages} messages, {bytes} bytes\n");
            assert!(run.err.contains(&sent), "{}", run.err);
        }
    });
}

/// The connections are Unix sockets, because those hold less than the lines of this test.
#[cfg(unix)]
#[test]
fn no_line_is_sent_twice() {
    watchdog(LIMIT, || {
        let (socket, lines) = (temporary("twice.sock"), temporary("twice.lines"));
        // The tool reads these lines at once, and its frames take 384 KiB.
        fs::write(&lines, ["first\n", &"\n".repeat((64 << 10) - 6), "last\n"].concat()).unwrap();
        let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let server = spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            streams::upgrade(&mut stream);
            let next = |stream: &mut std::os::unix::net::UnixStream, bytes: &mut Vec<u8>| {
                let mut part = [0; 4096];
                loop {
                    if let Some(frame) = take_frame(bytes) {
                        return frame;
                    }
                    let len = std::io::Read::read(stream, &mut part).unwrap();
                    assert!(len > 0, "the client is gone");
                    bytes.extend(&part[..len]);
                }
            };
            assert_eq!(next(&mut stream, &mut Vec::new()).payload, b"first");
            drop(stream);
            let (mut stream, _) = listener.accept().unwrap();
            streams::upgrade(&mut stream);
            let mut bytes = Vec::new();
            loop {
                let frame = next(&mut stream, &mut bytes);
                assert_ne!(frame.payload, b"first");
                if frame.payload == b"last" {
                    break;
                }
            }
            std::io::Write::write_all(&mut stream, &close(1000, "")).unwrap();
            std::io::copy(&mut stream, &mut std::io::sink()).unwrap();
        });
        let path = socket.to_str().unwrap();
        let args = ["--reconnect", "--retry-delay", "0", "--unix-socket", path, "ws://localhost/"];
        let child = wsdump(&args).stdin(fs::File::open(&lines).unwrap()).spawn().unwrap();
        let run = finished(child);
        server.join();
        assert_eq!((run.status, &*run.out), (0, ""), "{}", run.err);
        fs::remove_file(socket).unwrap();
        fs::remove_file(lines).unwrap();
    });
}

#[test]
fn a_server_can_ask_for_a_wait_of_an_hour_beyond_the_longest_one() {
    const HELP: &str = "The longest wait, unless the server asks for more: then its Retry-After, \
                        of an hour at most, is added [default: 60]";
    watchdog(LIMIT, || {
        let server = serve(|peer| {
            peer.read_request();
            let answer = "503 Busy\r\nRetry-After: 7200\r\nContent-Length: 0";
            peer.send(format!("HTTP/1.1 {answer}\r\n\r\n").as_bytes());
        });
        let url = server.url();
        let args = ["--json", "--reconnect", "--retry-max-delay", "0", &url];
        let mut child = wsdump(&args).spawn().unwrap();
        let mut stdout = std::io::BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        std::io::BufRead::read_line(&mut stdout, &mut line).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        server.join();
        assert_eq!(lines(&line)[0]["wait"], 3600.0);
        let help = run(&["--help"]).out;
        let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(help.contains(HELP), "{help}");
    });
}

#[test]
fn giving_up_after_a_number_of_failures_has_the_status_of_the_last_one() {
    watchdog(LIMIT, || {
        let url = format!("ws://{}/", closed());
        let run = run(&["--retry", "3", "--retry-delay", "1ms", "--retry-max-delay", "2ms", &url]);
        assert_eq!(run.status, 2, "{}", run.err);
        assert_eq!(run.err.matches("; attempt ").count(), 2, "{}", run.err);
        assert!(
            run.err.lines().last().unwrap().starts_with("wsdump: cannot connect"),
            "{}",
            run.err
        );
    });
}

#[test]
fn the_summary_counts_both_directions() {
    watchdog(LIMIT, || {
        let server = echoes();
        let run = run_with(&["-w", "--count", "2", &server.url()], b"abc\nde\n");
        server.join();
        assert_eq!((run.status, &*run.out), (0, "abc\nde\n"));
        assert!(run.err.contains("sent      2 messages, 5 bytes\n"), "{}", run.err);
        assert!(run.err.contains("received  2 messages, 5 bytes\n"), "{}", run.err);
        assert!(run.err.contains("opened    in "), "{}", run.err);
        assert!(run.err.contains(" ms: connect "), "{}", run.err);
        assert!(run.err.contains(" ms, handshake "), "{}", run.err);
        assert!(!run.err.contains("TLS"), "{}", run.err);
    });
}

#[test]
fn the_summary_shows_the_ratio_of_compression() {
    watchdog(LIMIT, || {
        let server = serve(|peer| {
            peer.read_request();
            let answer = peer.good_answer("Sec-WebSocket-Extensions: permessage-deflate\r\n");
            peer.send(&answer);
            // "Hello", as in RFC 7692 section 7.2.3.1.
            peer.send(&[0xC1, 7, 0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00]);
            peer.stall();
        });
        let run = run(&["-w", "--deflate", "--count", "1", &server.url()]);
        server.join();
        assert_eq!((run.status, &*run.out), (0, "Hello\n"), "{}", run.err);
        let line = "received  1 messages, 5 bytes; 5 bytes compressed to 7 bytes (140 %)\n";
        assert!(run.err.contains(line), "{}", run.err);
        assert!(run.err.contains("sent      0 messages, 0 bytes\n"), "{}", run.err);
    });
}
