//! Every exit status.

use std::time::Duration;

use crate::support::*;
use crate::tool::*;

#[test]
fn a_normal_close_of_the_server_is_0() {
    watchdog(LIMIT, || {
        for last in [close(1000, "bye"), frame(CLOSE, true, b"")] {
            let server = upgraded(move |peer| peer.send(&last));
            run(&[server.url()]).gave(0, "");
            server.join();
        }
    });
}

#[test]
fn a_wrong_option_is_1_and_opens_nothing() {
    watchdog(LIMIT, || {
        let listener = listener();
        listener.set_nonblocking(true).unwrap();
        let url = format!("ws://{}/", listener.local_addr().unwrap());
        for args in [&["--no-such-option"][..], &["--close", "1006"], &["-H", "no colon"]] {
            assert_eq!(run(&[args, &[&url]].concat()).status, 1, "{args:?}");
        }
        assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    });
}

#[test]
fn nobody_who_listens_is_2() {
    watchdog(LIMIT, || {
        let url = format!("ws://{}/", closed());
        run(&[url]).failed(2, "cannot connect to");
        let by_path = run(&["--unix-socket", "/no/such/socket", "ws://unix/"]);
        match cfg!(unix) {
            true => by_path.failed(2, "No such file"),
            false => by_path.failed(1, "--unix-socket: this system has none"),
        }
        let server = serve(|peer| {
            peer.read_request();
        });
        run(&[server.url()]).failed(2, "wsdump: ");
        server.join();
    });
}

#[test]
fn a_refusal_is_3_and_shows_the_status_of_http() {
    watchdog(LIMIT, || {
        let refuses = || {
            serve(|peer| {
                peer.read_request();
                peer.send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 8\r\n\r\nno\x1b[2Jup");
            })
        };
        let server = refuses();
        run(&[server.url()]).failed(3, "403");
        server.join();
        let server = refuses();
        let run = run(&["-v", "--json", &server.url()]);
        server.join();
        assert_eq!(run.status, 3);
        assert!(run.err.contains("no\\u{1b}[2Jup"), "{}", run.err);
        let line: serde_json::Value = serde_json::from_str(&run.out).unwrap();
        assert_eq!((&line["kind"], &line["status"]), (&"error".into(), &403.into()));
    });
}

#[test]
fn a_proxy_that_cannot_be_reached_or_refuses_is_4() {
    watchdog(LIMIT, || {
        let proxy = format!("http://{}", closed());
        run(&["-x", &proxy, "ws://host.test/"]).failed(4, "proxy http://127.0.0.1");
        let server = serve(|peer| {
            peer.read_request();
            peer.send(b"HTTP/1.1 407 Login\r\nContent-Length: 0\r\n\r\n");
        });
        let proxy = server.url().replace("ws://", "http://");
        run(&["-p", &proxy, "ws://host.test/"]).failed(4, "407");
        server.join();
    });
}

#[test]
fn a_certificate_that_is_not_trusted_is_5() {
    watchdog(LIMIT, || {
        // The client ends the handshake with an alert.
        let server = tls::serve_tls(tls::localhost(), |peer| peer.expect_end());
        run(&[server.url()]).failed(5, "certificate");
        server.join();
    });
}

#[test]
fn a_server_that_breaks_the_protocol_is_6() {
    watchdog(LIMIT, || {
        for wrong in [frame(3, true, b""), frame(TEXT, true, b"\xFF")] {
            let server = upgraded(move |peer| {
                peer.send(&wrong);
                peer.next_frame();
            });
            run(&[server.url()]).failed(6, "protocol violation");
            server.join();
        }
        let server = serve(|peer| peer.send(b"SSH-2.0-OpenSSH\r\n\r\n"));
        run(&[server.url()]).failed(6, "not HTTP");
        server.join();
        for option in ["--max-size", "--max-filesize"] {
            let server = upgraded(|peer| {
                peer.send(&text("12345"));
                peer.expect_close(1009);
            });
            run(&[option, "4", &server.url()]).failed(6, "max_message_size");
            server.join();
        }
    });
}

/// A timeout that passes once the connection is there, in seconds.
const ENOUGH: &str = if cfg!(windows) { "3" } else { "1" };

#[test]
fn a_time_that_is_over_is_7() {
    watchdog(LIMIT, || {
        let hang = || {
            serve(|peer| {
                peer.read_request();
                peer.stall();
            })
        };
        let server = hang();
        run(&["--connect-timeout", ENOUGH, &server.url()]).failed(7, "opening handshake");
        server.join();
        let server = hang();
        run(&["-m", "1000ms", &server.url()]).failed(7, "opening handshake");
        server.join();
        for (scheme, text) in [("wss", "TLS handshake"), ("ws", "for the proxy")] {
            let server = serve(|peer| {
                let until_gone = std::io::copy(&mut peer.socket(), &mut std::io::sink());
                assert!(until_gone.is_ok());
            });
            let address = server.addr.to_string();
            let url = format!("{scheme}://{address}/");
            let proxy = if scheme == "ws" { address } else { String::new() };
            run(&["-x", &proxy, "--connect-timeout", ENOUGH, &url]).failed(7, text);
            server.join();
        }
        let (listener, waiting) = full_backlog();
        let url = format!("ws://{}/", listener.local_addr().unwrap());
        run(&["--connect-timeout", "0.1", &url]).failed(7, "timed out connecting");
        drop(waiting);
        for (option, text) in [("--timeout", "(--timeout)"), ("--max-time", "(--max-time)")] {
            // The server never answers the Close.
            let server = upgraded(|peer| {
                peer.expect_close(1000);
                peer.expect_end();
            });
            takes(Duration::from_secs(1), || run(&[option, "1", &server.url()])).failed(7, text);
            server.join();
        }
    });
}

#[test]
fn the_closing_handshake_after_the_last_message_is_over_with_the_time_too() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            peer.send(&text("x"));
            peer.expect_close(1000);
            peer.expect_end();
        });
        let args = ["-1", "--max-time", "1", "--close-timeout", "1h", &server.url()];
        takes(Duration::from_secs(1), || run(&args)).gave(0, "x\n");
        server.join();
    });
}

#[test]
fn the_time_is_over_also_while_the_server_sends_without_a_pause() {
    watchdog(LIMIT, || {
        let (message, ping) = (text("tick"), ping(b""));
        for (option, frame) in
            [("--max-time", &message), ("--max-time", &ping), ("--timeout", &ping)]
        {
            let frames = frame.repeat(100);
            let server = upgraded(move |peer| while peer.try_send(&frames).is_ok() {});
            let mut command = wsdump(&[option, "1", &server.url()]);
            let child = command.stdout(std::process::Stdio::null()).spawn().unwrap();
            finished(child).failed(7, option);
            server.join();
        }
    });
}

#[test]
fn a_time_may_be_longer_than_any_clock_runs() {
    watchdog(LIMIT, || {
        let server = echoes();
        let url = server.url();
        let limits = ["--timeout", "--max-time", "--connect-timeout", "--write-timeout"];
        let waits = ["--eof-wait", "--close-timeout", "--retry-delay", "--retry-max-delay"];
        let long = limits.iter().chain(&waits).flat_map(|option| [*option, "10000000000000000000"]);
        let args: Vec<_> = long.chain(["--reconnect", "-1", "-t", "x", &url]).collect();
        run(&args).gave(0, "x\n");
        server.join();
    });
}

#[test]
fn a_message_in_time_lets_the_wait_begin_again() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            for _ in 0..4 {
                peer.send(&text("tick"));
                std::thread::sleep(SHORT); // The server is slow. The sleep waits for nothing.
            }
            peer.send(&close(1000, ""));
        });
        run(&["--timeout", "5", &server.url()]).gave(0, "tick\ntick\ntick\ntick\n");
        server.join();
    });
}

#[test]
fn another_end_by_the_server_is_8() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| peer.send(&close(1001, "restart")));
        run(&[server.url()]).failed(8, "closed by the peer: 1001 \"restart\"");
        server.join();
        let server = upgraded(|peer| peer.send(&text("x")));
        let run_8 = run(&[server.url()]);
        assert_eq!((run_8.status, &*run_8.out), (8, "x\n"));
        assert!(run_8.err.contains("without a Close"), "{}", run_8.err);
        server.join();
        let server = upgraded(|peer| {
            peer.expect(TEXT, b"x");
            peer.rst();
        });
        run(&["-t", "x", &server.url()]).failed(8, "connection lost");
        server.join();
    });
}

/// Ends one connection after the other with these frames, or without one. Returns how many
/// connections there were, and the run of the tool.
fn reconnects(ends: &[Vec<u8>]) -> (usize, Run) {
    let listener = listener();
    let addr = listener.local_addr().unwrap();
    let ends = ends.to_vec();
    let server = spawn(move || {
        for (number, end) in ends.iter().enumerate() {
            let mut peer = Peer::new(listener.accept().unwrap().0);
            if peer.try_read_request().is_err() {
                return number;
            }
            let answer = peer.good_answer("");
            peer.send(&[&answer, &**end].concat());
            if !end.is_empty() {
                peer.next_frame();
            }
        }
        ends.len()
    });
    let run = run(&["--reconnect", "--retry-delay", "0", &format!("ws://{addr}/")]);
    // The server may wait for another connection. If it does not, another test may have the port.
    if !server.is_finished() {
        drop(std::net::TcpStream::connect(addr));
    }
    (server.join(), run)
}

#[test]
fn a_first_connection_that_is_refused_by_its_end_is_not_tried_again() {
    watchdog(LIMIT, || {
        let codes = [1002, 1003, 1007, 1008, 1009, 1010, 3000, 4401];
        let closes = codes.map(|code| (close(code, ""), 8));
        for (end, status) in closes.into_iter().chain([(frame(3, true, b""), 6)]) {
            let (connections, run) = reconnects(&[end, close(1000, "")]);
            assert_eq!((connections, run.status), (1, status), "{}", run.err);
        }
        // The server was good once.
        let (connections, run) = reconnects(&[vec![], close(4401, ""), close(1000, "")]);
        assert_eq!((connections, run.status), (3, 0), "{}", run.err);
    });
}

#[test]
fn fewer_messages_than_expected_are_9() {
    watchdog(LIMIT, || {
        let sends_two =
            || upgraded(|peer| peer.send(&[text("a"), text("b"), close(1000, "")].concat()));
        let server = sends_two();
        let nine = run(&["--count", "3", &server.url()]);
        server.join();
        assert_eq!((nine.status, &*nine.out), (9, "a\nb\n"));
        assert_eq!(nine.err, "wsdump: the connection ended after 2 of 3 messages\n");
        let server = sends_two();
        let nine = run(&["--until", "c", &server.url()]);
        server.join();
        assert_eq!((nine.status, &*nine.out), (9, "a\nb\n"));
        let server = upgraded(|peer| answer_close(peer, 1000));
        run(&["-1", "--eof-wait", "0", &server.url()]).failed(9, "0 of 1");
        server.join();
    });
}

#[test]
fn a_violation_counts_also_while_the_tool_closes_but_a_missing_answer_does_not() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            peer.expect_close(1000);
            peer.send(&frame(3, true, b""));
        });
        run(&["--eof-wait", "0", &server.url()]).failed(6, "reserved opcode");
        server.join();
        let server = upgraded(|peer| {
            peer.expect_close(1000);
        });
        run(&["--eof-wait", "0", &server.url()]).gave(0, "");
        server.join();
    });
}

#[test]
fn quiet_says_nothing_at_all() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| peer.send(&close(4000, "")));
        run(&["-q", &server.url()]).gave(8, "");
        server.join();
    });
}

#[test]
fn the_reason_to_close_decides_also_if_the_time_is_over_before_the_server_answers() {
    watchdog(LIMIT, || {
        for option in ["--timeout", "--max-time"] {
            for (input, status, err) in
                [(&b""[..], 0, ""), (b"\xFF\n", 10, "wsdump: standard input is not UTF-8")]
            {
                let server = upgraded(|peer| {
                    peer.expect_close(1000);
                    peer.expect_end();
                });
                let url = server.url();
                let args = [option, ENOUGH, "--eof-wait", "0", "--close-timeout", "1h", &url];
                let run = run_with(&args, input);
                server.join();
                assert_eq!((run.status, &*run.out), (status, ""), "{}", run.err);
                assert!(run.err.starts_with(err) && !run.err.contains(option), "{}", run.err);
            }
        }
    });
}

#[cfg(unix)]
fn signal(child: &std::process::Child, signal: &str) {
    let pid = child.id().to_string();
    let killed = std::process::Command::new("kill").args([signal, &pid]).status().unwrap();
    assert!(killed.success());
}

#[cfg(unix)]
#[test]
fn a_signal_closes_properly_and_is_130() {
    watchdog(LIMIT, || {
        for name in ["-INT", "-TERM", "-HUP"] {
            let (open, opened) = std::sync::mpsc::channel();
            let server = upgraded(move |peer| {
                peer.expect(TEXT, b"x");
                open.send(()).unwrap();
                answer_close(peer, 1000);
            });
            let child = wsdump(&["-t", "x", &server.url()]).spawn().unwrap();
            opened.recv().unwrap();
            signal(&child, name);
            finished(child).gave(130, "");
            server.join();
        }
    });
}

#[cfg(unix)]
#[test]
fn a_second_signal_does_not_wait_for_the_server() {
    watchdog(LIMIT, || {
        let (said, says) = std::sync::mpsc::channel();
        let server = upgraded(move |peer| {
            peer.expect(TEXT, b"x");
            said.send("open").unwrap();
            peer.expect_close(1000);
            said.send("closing").unwrap();
            peer.expect_end();
        });
        let args = ["-t", "x", "--close-timeout", "60", &server.url()];
        let child = wsdump(&args).spawn().unwrap();
        assert_eq!(says.recv().unwrap(), "open");
        signal(&child, "-INT");
        assert_eq!(says.recv().unwrap(), "closing");
        signal(&child, "-INT");
        promptly(|| finished(child)).gave(130, "");
        server.join();
    });
}

#[cfg(unix)]
#[test]
fn a_signal_is_130_also_if_the_time_is_over_before_the_server_answers() {
    watchdog(LIMIT, || {
        for option in ["--timeout", "--max-time"] {
            let (said, says) = std::sync::mpsc::channel();
            let server = upgraded(move |peer| {
                peer.expect(TEXT, b"x");
                said.send(()).unwrap();
                peer.expect_close(1000);
                peer.expect_end();
            });
            // The signal comes long before the time is over.
            let args = ["-t", "x", option, "3", "--close-timeout", "1h", &server.url()];
            let child = wsdump(&args).spawn().unwrap();
            says.recv().unwrap();
            signal(&child, "-INT");
            finished(child).gave(130, "");
            server.join();
        }
    });
}

#[cfg(unix)]
#[test]
fn a_signal_ends_an_attempt_and_a_wait_between_two() {
    watchdog(LIMIT, || {
        let (asked, was_asked) = std::sync::mpsc::channel();
        let server = serve(move |peer| {
            peer.read_request();
            asked.send(()).unwrap();
            peer.stall();
        });
        let child = wsdump(&[server.url()]).spawn().unwrap();
        was_asked.recv().unwrap();
        signal(&child, "-INT");
        promptly(|| finished(child)).gave(130, "");
        server.join();

        let url = format!("ws://{}/", closed());
        let args = ["--reconnect", "--retry-delay", "1h", "--retry-max-delay", "1h", &url];
        let mut child = wsdump(&args).spawn().unwrap();
        let mut stderr = std::io::BufReader::new(child.stderr.take().unwrap());
        std::io::BufRead::read_line(&mut stderr, &mut String::new()).unwrap();
        signal(&child, "-INT");
        assert_eq!(takes_at_most(Duration::from_secs(5), || finished(child)).status, 130);
    });
}
