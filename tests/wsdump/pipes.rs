//! Standard input and output as pipes.

use std::io::{BufRead as _, BufReader};
#[cfg(unix)]
use std::process::Stdio;

#[cfg(target_os = "linux")]
use crate::scripts::temporary;
use crate::support::*;
use crate::tool::*;

#[test]
fn each_line_is_a_message_and_each_message_is_a_line() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            for line in ["one", "", "two words", "last"] {
                peer.expect(TEXT, line.as_bytes());
            }
            peer.send(&[text("first"), text("second\nline"), close(1000, "")].concat());
        });
        let run = run_with(&[server.url()], b"one\n\ntwo words\nlast");
        run.gave(0, "first\nsecond\nline\n");
        server.join();
    });
}

#[test]
fn records_end_with_zero_both_ways() {
    watchdog(LIMIT, || {
        let server = echoes();
        let run = run_with(&["-0", "--count", "2", &server.url()], b"a\nb\0c\0");
        run.gave(0, "a\nb\0c\0");
        server.join();
    });
}

#[test]
fn all_of_standard_input_can_be_one_binary_message() {
    watchdog(LIMIT, || {
        let big: Vec<u8> = (0..3_000_000_u32).map(|at| at.to_le_bytes()[1]).collect();
        let sent = big.clone();
        let server = upgraded(move |peer| {
            let mut received = Vec::new();
            let mut last = false;
            while !last {
                let frame = peer.next_frame().unwrap();
                assert_eq!(frame.opcode, if received.is_empty() { BINARY } else { 0 });
                last = frame.fin;
                received.extend(frame.payload);
            }
            assert!(received == sent);
            peer.send(&binary(b"\0got it\n"));
            answer_close(peer, 1000);
        });
        run_with(&["--binary", "-1", &server.url()], &big).gave(0, "\0got it\n");
        server.join();
    });
}

#[test]
fn records_can_be_binary() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            peer.expect(BINARY, b"\xFF\n");
            peer.expect(BINARY, b"x");
            peer.send(&close(1000, ""));
        });
        run_with(&["--binary", "-0", &server.url()], b"\xFF\n\0x").gave(0, "");
        server.join();
    });
}

#[test]
fn a_line_longer_than_any_buffer_is_one_message() {
    watchdog(LIMIT, || {
        let line = "é".repeat(2_000_000);
        let server = echoes();
        let run = run_with(&["-1", &server.url()], format!("{line}\n").as_bytes());
        assert!(run.status == 0 && run.out == format!("{line}\n"), "{} {}", run.status, run.err);
        server.join();
    });
}

#[cfg(unix)]
#[test]
fn nothing_is_read_before_the_connection_is_open() {
    use std::io::{Read as _, Write as _};

    watchdog(LIMIT, || {
        let (open, opens) = std::sync::mpsc::channel::<()>();
        let server = serve(move |peer| {
            peer.read_request();
            opens.recv().unwrap();
            let answer = peer.good_answer("");
            peer.send(&answer);
            peer.expect(TEXT, b"x");
            peer.send(&close(1000, ""));
        });
        let (read, write) = std::os::unix::net::UnixStream::pair().unwrap();
        let mut copy = read.try_clone().unwrap();
        let stdin = std::os::fd::OwnedFd::from(read);
        let child = wsdump(&[server.url()]).stdin(stdin).spawn().unwrap();
        (&write).write_all(b"stolen\nx\n").unwrap();
        // Another reader of the pipe gets the line, because the tool has not taken it.
        let mut stolen = [0; 7];
        copy.read_exact(&mut stolen).unwrap();
        assert_eq!(&stolen, b"stolen\n");
        open.send(()).unwrap();
        drop((write, copy));
        finished(child).gave(0, "");
        server.join();
    });
}

#[test]
fn replies_come_after_the_end_of_standard_input_until_the_server_closes() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            peer.expect(TEXT, b"question");
            std::thread::sleep(SHORT); // The server thinks. The sleep waits for nothing.
            peer.send(&[text("answer"), close(1000, "")].concat());
        });
        run_with(&[server.url()], b"question\n").gave(0, "answer\n");
        server.join();
    });
}

#[test]
fn replies_come_also_while_the_tool_closes() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            peer.expect(TEXT, b"question");
            peer.expect_close(1000);
            peer.send(&[text("late answer"), close(1000, "")].concat());
        });
        run_with(&["--eof-wait", "0", &server.url()], b"question\n").gave(0, "late answer\n");
        server.join();
    });
}

#[test]
fn the_wait_after_the_end_of_standard_input_is_limited() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| answer_close(peer, 1000));
        let args = ["--eof-wait", "0.15", &server.url()];
        takes(SHORT, || run(&args)).gave(0, "");
        server.join();
    });
}

#[test]
fn a_reader_that_goes_away_ends_the_tool_quietly() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| while peer.try_send(&text("tick")).is_ok() {});
        let mut child = wsdump(&[server.url()]).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "tick\n");
        promptly(|| finished(child)).gave(0, "");
        server.join();
    });
}

#[cfg(unix)]
#[test]
fn an_endless_writer_ends_with_the_tool() {
    watchdog(LIMIT, || {
        let server = echoes();
        let mut yes = std::process::Command::new("yes").stdout(Stdio::piped()).spawn().unwrap();
        let mut command = wsdump(&["--count", "3", &server.url()]);
        let child = command.stdin(yes.stdout.take().unwrap()).spawn().unwrap();
        drop(command);
        finished(child).gave(0, "y\ny\ny\n");
        assert!(!yes.wait().unwrap().success());
        server.join();
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error_of_this_side() {
    watchdog(LIMIT, || {
        let server = echoes();
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let child = wsdump(&["-1", "-t", "x", &server.url()]).stdout(full).spawn().unwrap();
        finished(child).failed(10, "cannot write the output");
        server.join();
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_of_cookies_stays_as_it_was_if_a_new_one_cannot_be_written() {
    const OLD: &str = "127.0.0.1\tFALSE\t/\tFALSE\t0\told\t1\n";
    // Each write to a file fails, as on a full disk, and no signal ends the tool.
    const NO_ROOM: &str = r#"trap "" XFSZ; ulimit -f 0; exec "$0" "$@""#;
    watchdog(LIMIT, || {
        let folder = temporary("full");
        std::fs::create_dir(&folder).unwrap();
        let jar = folder.join("jar");
        std::fs::write(&jar, OLD).unwrap();
        let server = echoes();
        let tool = wsdump(&["-1", "-t", "x", "-c", jar.to_str().unwrap(), &server.url()]);
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", NO_ROOM]).arg(tool.get_program()).args(tool.get_args());
        for (variable, _) in tool.get_envs() {
            shell.env_remove(variable);
        }
        let shell = shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let run = finished(shell.spawn().unwrap());
        assert_eq!((run.status, &*run.out), (0, "x\n"), "{}", run.err);
        assert!(run.err.contains("cannot write"), "{}", run.err);
        assert_eq!(std::fs::read_to_string(&jar).unwrap(), OLD);
        let files = std::fs::read_dir(&folder).unwrap().count();
        assert_eq!(files, 1, "a part of the new file is left");
        std::fs::remove_dir_all(folder).unwrap();
        server.join();
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_slow_reader_slows_the_server_down_and_memory_stays_constant() {
    use std::io::Read as _;

    const MESSAGES: usize = 4096;
    watchdog(LIMIT * 2, || {
        let sent = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let counter = sent.clone();
        let server = upgraded(move |peer| {
            let message = text(&"x".repeat(64 * 1024 - 1));
            for _ in 0..MESSAGES {
                peer.send(&message);
                counter.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            }
            peer.send(&close(1000, ""));
        });
        let mut child = wsdump(&[server.url()]).spawn().unwrap();
        let mut stdout = child.stdout.take().unwrap();
        let mut first = [0];
        stdout.read_exact(&mut first).unwrap();
        // The server must come to a stop. The loop ends as soon as it has not moved for a while.
        let mut last = usize::MAX;
        loop {
            let now = sent.load(std::sync::atomic::Ordering::SeqCst);
            if now == last {
                break;
            }
            last = now;
            std::thread::sleep(SHORT * 2); // The time in which a server that is not slowed sends.
        }
        assert!(last < MESSAGES / 2, "{last} messages are under way");
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
        assert!(peak < 64 * 1024, "{peak} KiB");
        let rest = std::io::copy(&mut stdout, &mut std::io::sink()).unwrap();
        assert_eq!(rest + 1, (MESSAGES * 64 * 1024) as u64);
        finished(child).gave(0, "");
        server.join();
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_message_of_any_length_is_written_as_it_comes() {
    use std::io::Read as _;

    const LEN: u64 = 300 << 20;
    watchdog(LIMIT * 3, || {
        let server = upgraded(|peer| {
            let mut header = vec![0x82, 127];
            header.extend(LEN.to_be_bytes());
            peer.send(&header);
            let part = vec![7; 1 << 20];
            for _ in 0..LEN >> 20 {
                peer.send(&part);
            }
            peer.send(&close(1000, ""));
        });
        let mut child = wsdump(&[server.url()]).spawn().unwrap();
        let mut stdout = child.stdout.take().unwrap();
        let mut buffer = vec![0; 1 << 20];
        let (mut len, mut peak) = (0, String::new());
        loop {
            let part = stdout.read(&mut buffer).unwrap();
            if part == 0 {
                break;
            }
            len += part as u64;
            if len > LEN / 2 && peak.is_empty() {
                let path = format!("/proc/{}/status", child.id());
                let status = std::fs::read_to_string(path).unwrap();
                peak = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap().to_owned();
            }
        }
        assert_eq!(len, LEN);
        let kib: u64 = peak.split_whitespace().nth(1).unwrap().parse().unwrap();
        assert!(kib < 64 * 1024, "{peak}");
        finished(child).gave(0, "");
        server.join();
    });
}

#[test]
fn two_tools_make_a_chain() {
    watchdog(LIMIT, || {
        let source = upgraded(|peer| {
            for number in 0..1000 {
                peer.send(&text(&number.to_string()));
            }
            peer.send(&close(1000, ""));
        });
        let sink = upgraded(|peer| {
            for number in 0..1000 {
                peer.expect(TEXT, number.to_string().as_bytes());
            }
            peer.send(&text("thanks"));
            answer_close(peer, 1000);
        });
        let mut first = wsdump(&[source.url()]).spawn().unwrap();
        let mut second = wsdump(&["--eof-wait", "10", "-1", &sink.url()]);
        let second = second.stdin(first.stdout.take().unwrap()).spawn().unwrap();
        finished(second).gave(0, "thanks\n");
        finished(first).gave(0, "");
        source.join();
        sink.join();
    });
}

#[test]
fn input_that_is_no_text_is_refused_and_says_what_to_do() {
    watchdog(LIMIT, || {
        for input in [b"\xFF\n".to_vec(), vec![0xFF; 2 << 20]] {
            let server = upgraded(|peer| while peer.next_frame().is_some() {});
            let run = run_with(&["--close-timeout", "0", &server.url()], &input);
            run.failed(10, "use --binary");
            server.join();
        }
    });
}

#[test]
fn a_long_text_that_ends_within_a_character_is_an_error_of_this_side() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            while peer.next_frame().unwrap().opcode != CLOSE {}
            peer.send(&close(1011, ""));
        });
        let input = [&vec![b'x'; 2 << 20], &b"\xC3"[..]].concat();
        run_with(&["--reconnect", &server.url()], &input).failed(10, "ends within a character");
        server.join();
    });
}

#[test]
fn lines_before_one_that_is_wrong_are_sent() {
    watchdog(LIMIT, || {
        let cases: [(&str, u8, &[u8], &[u8]); 3] = [
            ("--raw", TEXT, b"right\n\xFF\nlater\n", b"right"),
            ("--hex", BINARY, b"00\n0\n01\n", b"\x00"),
            ("--base64", BINARY, b"AA==\n?\nAA==\n", b"\x00"),
        ];
        for (option, opcode, input, sent) in cases {
            let server = upgraded(move |peer| {
                peer.expect(opcode, sent);
                answer_close(peer, 1000);
            });
            run_with(&[option, &server.url()], input).failed(10, "not ");
            server.join();
        }
    });
}
