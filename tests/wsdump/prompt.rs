//! A person at a terminal, which is a pseudo-terminal here.

use std::path::PathBuf;
use std::process::Command;

use rexpect::process::WaitStatus;
use rexpect::reader::Options;
use rexpect::session::{PtySession, spawn_with_options};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use crate::scripts::temporary;
use crate::support::*;
use crate::tool::*;

/// Returns a command without colours, and without a history.
pub(crate) fn plain<S: AsRef<str>>(args: &[S]) -> Command {
    let mut command = bare(args);
    command.env("TERM", "xterm").env("NO_COLOR", "1").env("WSDUMP_HISTORY", "");
    command
}

/// Starts a command in a pseudo-terminal, which does not echo.
pub(crate) fn terminal(command: Command) -> PtySession {
    let options = Options::new().timeout_ms(Some(10_000));
    let session = spawn_with_options(command, options).unwrap();
    let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(session.process().get_file_handle().unwrap(), size).unwrap();
    session
}

/// Starts the tool without colours, and waits for its prompt.
pub(crate) fn opened<S: AsRef<str>>(args: &[S]) -> PtySession {
    let mut session = terminal(plain(args));
    shows(&mut session, "/help lists the commands");
    shows(&mut session, "open> ");
    session
}

#[track_caller]
pub(crate) fn shows(session: &mut PtySession, text: &str) -> String {
    session.exp_string(text).unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

/// Types something, and a return.
pub(crate) fn types(session: &mut PtySession, line: &str) {
    session.send(&format!("{line}\r")).unwrap();
    session.flush().unwrap();
}

pub(crate) fn presses(session: &mut PtySession, key: char) {
    session.send_control(key).unwrap();
}

/// Waits for the end of the tool. The terminal must be as it was.
#[track_caller]
pub(crate) fn ends(mut session: PtySession, status: i32) -> String {
    let rest = session.exp_eof().unwrap();
    match session.process().wait().unwrap() {
        WaitStatus::Exited(_, code) => assert_eq!(code, status, "{rest}"),
        other => panic!("{other:?}"),
    }
    rest
}

#[test]
fn a_line_is_sent_and_the_answer_is_shown() {
    watchdog(LIMIT, || {
        let server = echoes();
        let mut session = opened(&[server.url()]);
        types(&mut session, "hello");
        shows(&mut session, "\x1b[Jhello\r\n");
        presses(&mut session, 'd');
        let rest = ends(session, 0);
        assert!(rest.contains("closed here, the peer answered: 1000"), "{rest}");
        server.join();
    });
}

#[test]
fn what_arrives_while_a_line_is_typed_is_shown_above_it() {
    watchdog(LIMIT, || {
        let (send, sends) = std::sync::mpsc::channel();
        let server = upgraded(move |peer| {
            for message in sends {
                peer.send(&text(message));
            }
            peer.expect(TEXT, b"half a line");
            answer_close(peer, 1000);
        });
        let mut session = opened(&[server.url()]);
        session.send("half a").unwrap();
        session.flush().unwrap();
        shows(&mut session, "half a");
        for message in ["one", "two"] {
            send.send(message).unwrap();
            // The message, and then the whole line again.
            shows(&mut session, message);
            shows(&mut session, "open> half a");
        }
        drop(send);
        types(&mut session, " line");
        presses(&mut session, 'd');
        ends(session, 0);
        server.join();
    });
}

#[test]
fn a_flood_is_shown_whole_while_a_person_types() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            peer.expect(TEXT, b"go");
            for number in 0..300 {
                peer.send(&text(&format!("message {number:03}.")));
            }
            peer.expect(TEXT, b"stop");
            peer.send(&close(1000, ""));
        });
        let mut session = opened(&[server.url()]);
        types(&mut session, "go");
        types(&mut session, "stop");
        let all = ends(session, 0);
        let mut rest = &*all;
        for number in 0..300 {
            let message = format!("message {number:03}.");
            let at = rest.find(&message).unwrap_or_else(|| panic!("{message} is lost: {all}"));
            rest = &rest[at..];
        }
        assert!(rest.contains("closed by the peer: 1000"), "{rest}");
        server.join();
    });
}

#[test]
fn messages_may_have_several_lines() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            peer.expect(TEXT, b"one\ntwo");
            peer.expect(TEXT, b"{\"a\":\n[1,\n2]}");
            peer.expect(TEXT, b"{\"open");
            peer.expect(TEXT, b"pasted 1\npasted 2\n/ping");
            peer.expect(TEXT, b"/slash");
            peer.send(&close(1000, ""));
        });
        let mut session = opened(&[server.url()]);
        types(&mut session, "one\\");
        types(&mut session, "two");
        types(&mut session, "{\"a\":");
        types(&mut session, "[1,");
        types(&mut session, "2]}");
        types(&mut session, "{\"open\r");
        types(&mut session, "\x1b[200~pasted 1\rpasted 2\r/ping\x1b[201~");
        types(&mut session, "//slash");
        ends(session, 0);
        server.join();
    });
}

#[test]
fn commands_do_what_they_say() {
    watchdog(LIMIT, || {
        let path = temporary("file");
        std::fs::write(&path, "from a file").unwrap();
        let server = upgraded(|peer| {
            let ping = peer.next_frame().unwrap();
            assert_eq!(ping.opcode, PING);
            peer.send(&frame(PONG, true, &ping.payload));
            peer.expect(PING, b"x y");
            peer.expect(PONG, b"z");
            peer.expect(BINARY, b"\x00\xFF");
            peer.expect(TEXT, b"from a file");
            peer.expect(BINARY, b"from a file");
            assert_eq!(peer.expect_close(4000).reason(), "so long");
            peer.send(&close(4000, ""));
        });
        let mut session = opened(&[server.url()]);
        types(&mut session, "/ping");
        shows(&mut session, "pong after ");
        types(&mut session, "/ping x y");
        types(&mut session, "/pong z");
        types(&mut session, "/binary 00 ff");
        types(&mut session, &format!("/file {}", path.display()));
        types(&mut session, &format!("/binary @{}", path.display()));
        types(&mut session, "/help");
        shows(&mut session, "/reconnect");
        types(&mut session, "/flie");
        shows(&mut session, "there is no /flie");
        types(&mut session, "/file /no/such/file");
        shows(&mut session, "cannot read \"/no/such/file\"");
        types(&mut session, "/close 1006");
        shows(&mut session, "must not be sent");
        types(&mut session, "/close 4000 so long");
        ends(session, 0);
        server.join();
        std::fs::remove_file(path).unwrap();
    });
}

/// Types lines until one is refused because the server reads nothing.
fn fill(session: &mut PtySession, file: &std::path::Path) {
    types(session, &format!("/file {}", file.display()));
    for number in 0..17 {
        types(session, &format!("line {number}"));
    }
    shows(session, "not sent: 16 lines wait already");
}

#[test]
fn what_ends_the_connection_works_while_the_server_takes_nothing() {
    watchdog(LIMIT, || {
        let path = temporary("never-taken");
        std::fs::write(&path, vec![b'x'; 16 << 20]).unwrap();
        for (line, key, status) in [("", 'c', 130), ("", 'd', 0), ("/close 4000 enough", 'j', 0)] {
            let (over, is_over) = std::sync::mpsc::channel();
            let server = upgraded(move |peer| peer.hold_open(&is_over));
            let mut session = opened(&["--close-timeout", "0.1", &server.url()]);
            fill(&mut session, &path);
            types(&mut session, "/help");
            shows(&mut session, "close, and connect again");
            session.send(line).unwrap();
            presses(&mut session, key);
            ends(session, status);
            drop(over);
            server.join();
        }
        std::fs::remove_file(path).unwrap();
    });
}

#[test]
fn lines_that_a_server_does_not_take_go_over_the_next_connection() {
    watchdog(LIMIT, || {
        let path = temporary("taken-later");
        std::fs::write(&path, vec![b'x'; 16 << 20]).unwrap();
        let listener = listener();
        let url = format!("ws://{}/", listener.local_addr().unwrap());
        let server = spawn(move || {
            let mut first = Peer::new(listener.accept().unwrap().0);
            first.upgrade();
            let mut second = Peer::new(listener.accept().unwrap().0);
            second.upgrade();
            // The tool may have been slow to begin with the file, which takes a place then.
            for number in 0..15 {
                second.expect(TEXT, format!("line {number}").as_bytes());
            }
            while second.next_frame().unwrap().opcode != CLOSE {}
            second.send(&close(1000, ""));
        });
        let mut session = opened(&["--close-timeout", "0.1", &url]);
        fill(&mut session, &path);
        types(&mut session, "/reconnect");
        shows(&mut session, "connected to ");
        presses(&mut session, 'd');
        ends(session, 0);
        server.join();
        std::fs::remove_file(path).unwrap();
    });
}

#[test]
fn ctrl_c_ends_the_wait_that_follows_ctrl_d() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| answer_close(peer, 1000));
        let mut session = opened(&["--eof-wait", "1h", &server.url()]);
        presses(&mut session, 'd');
        presses(&mut session, 'c');
        ends(session, 130);
        server.join();
    });
}

#[test]
fn a_tab_completes_commands_and_paths() {
    watchdog(LIMIT, || {
        let path = temporary("completed-file");
        std::fs::write(&path, "found").unwrap();
        let server = upgraded(|peer| {
            peer.expect(TEXT, b"found");
            answer_close(peer, 1000);
        });
        let mut session = opened(&[server.url()]);
        let most = path.display().to_string();
        types(&mut session, &format!("/fi\t{}\t", &most[..most.len() - 3]));
        types(&mut session, "/cl\t");
        ends(session, 0);
        server.join();
        std::fs::remove_file(path).unwrap();
    });
}

#[test]
fn reconnecting_is_shown_in_the_prompt() {
    watchdog(LIMIT, || {
        let listener = listener();
        let url = format!("ws://{}/", listener.local_addr().unwrap());
        let server = spawn(move || {
            let mut peer = Peer::new(listener.accept().unwrap().0);
            peer.upgrade();
            answer_close(&mut peer, 1000);
            let mut peer = Peer::new(listener.accept().unwrap().0);
            peer.upgrade();
            peer.send(&text("welcome back"));
            drop(peer);
            // The third connection is refused, because nobody listens.
            drop(listener);
        });
        let args = ["--reconnect", "--retry-delay", "1h", "--retry-max-delay", "1h", &url];
        let mut session = opened(&args);
        types(&mut session, "/reconnect");
        shows(&mut session, "welcome back");
        shows(&mut session, "without a Close; attempt 2 in ");
        shows(&mut session, "wait> ");
        server.join();
        presses(&mut session, 'c');
        ends(session, 130);
    });
}

/// Types `/reconnect` while the tool connects, and returns when that is done, which nothing shows.
fn reconnects_unseen(session: &mut PtySession) {
    types(session, "/reconnect");
    // The thread that sends does this first. Then it takes a line, which waits for the connection.
    // If it has taken one, 16 more find a place.
    let mut waiting = 0;
    while waiting < 17 {
        types(session, "line");
        types(session, "/help");
        let said = shows(session, "close, and connect again");
        waiting += u32::from(!said.contains("not sent: "));
    }
}

#[test]
fn reconnecting_while_the_tool_connects_asks_for_no_second_connection() {
    watchdog(LIMIT, || {
        for options in [&[][..], &["--ping", "1h"]] {
            let listener = listener();
            let url = format!("ws://{}/", listener.local_addr().unwrap());
            let accepts = listener.try_clone().unwrap();
            let (asked, was_asked) = std::sync::mpsc::channel();
            let (typed, is_typed) = std::sync::mpsc::channel();
            let server = spawn(move || {
                let mut peer = Peer::new(accepts.accept().unwrap().0);
                peer.read_request();
                asked.send(()).unwrap();
                peer.hold_open(&is_typed);
                let answer = peer.good_answer("");
                peer.send(&answer);
                let mut lines = 0;
                while lines < 17 {
                    lines += u32::from(peer.next_frame().unwrap().opcode == TEXT);
                }
                peer.send(&close(1000, ""));
                while peer.next_frame().unwrap().opcode != CLOSE {}
                peer.frames.iter().filter(|frame| frame.opcode == PING).count()
            });
            let mut session = terminal(plain(&[options, &[&url]].concat()));
            was_asked.recv().unwrap();
            reconnects_unseen(&mut session);
            drop(typed);
            assert!(server.join() <= 1, "pings without a pause");
            ends(session, 0);
            listener.set_nonblocking(true).unwrap();
            assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
        }
    });
}

#[test]
fn ctrl_c_closes_properly() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| answer_close(peer, 1000));
        let mut session = opened(&[server.url()]);
        let modes = |session: &PtySession| {
            let terminal = session.process().get_file_handle().unwrap();
            let modes = tcgetattr(terminal).unwrap().local_modes;
            modes.contains(LocalModes::ICANON | LocalModes::ISIG)
        };
        assert!(!modes(&session), "the line is edited by the tool");
        presses(&mut session, 'c');
        session.exp_string("the peer answered: 1000").unwrap();
        server.join();
        let handle = session.process().get_file_handle().unwrap();
        ends(session, 130);
        let modes = tcgetattr(handle).unwrap().local_modes;
        assert!(modes.contains(LocalModes::ICANON | LocalModes::ISIG), "the terminal is broken");
    });
}

#[test]
fn ctrl_c_twice_does_not_wait_for_the_server() {
    watchdog(LIMIT, || {
        let (closing, is_closing) = std::sync::mpsc::channel();
        let server = upgraded(move |peer| {
            peer.expect_close(1000);
            closing.send(()).unwrap();
            peer.expect_end();
        });
        let mut session = opened(&["--close-timeout", "60", &server.url()]);
        presses(&mut session, 'c');
        is_closing.recv().unwrap();
        presses(&mut session, 'c');
        promptly(|| ends(session, 130));
        server.join();
    });
}

#[test]
fn the_end_of_the_connection_ends_the_prompt_and_gives_the_terminal_back() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| peer.send(&[text("last words"), close(4001, "go")].concat()));
        let mut session = terminal(plain(&[server.url()]));
        let handle = session.process().get_file_handle().unwrap();
        shows(&mut session, "last words");
        let rest = ends(session, 8);
        assert!(rest.contains("closed by the peer: 4001 \"go\""), "{rest}");
        assert!(rest.ends_with("\x1b[?2004l"), "bracketed paste stays on: {rest:?}");
        let modes = tcgetattr(handle).unwrap().local_modes;
        assert!(modes.contains(LocalModes::ICANON | LocalModes::ISIG), "the terminal is broken");
        server.join();
    });
}

#[test]
fn what_could_harm_the_terminal_is_not_written_to_it() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            peer.send(
                &[text("a\x1b]0;title\x07b"), binary(b"\x1b[2J"), ping(b""), text("end")].concat(),
            );
            peer.expect(PONG, b"");
            answer_close(peer, 1000);
        });
        let mut session = terminal(plain(&[server.url()]));
        shows(&mut session, "a\\u{1b}]0;title\\u{7}b");
        shows(&mut session, "[binary, 4 bytes] 1b 5b 32 4a");
        shows(&mut session, "end");
        presses(&mut session, 'd');
        ends(session, 0);
        server.join();
    });
}

#[test]
fn json_is_indented_and_coloured_unless_no_color_is_set() {
    watchdog(LIMIT, || {
        for no_color in ["", "1"] {
            let server = upgraded(|peer| {
                peer.send(&text("{\"a\":[1]}"));
                answer_close(peer, 1000);
            });
            let mut command = plain(&["--timings", &server.url()]);
            command.env("NO_COLOR", no_color);
            let mut session = terminal(command);
            let colour = no_color.is_empty();
            shows(&mut session, ": {\r\n");
            shows(
                &mut session,
                if colour { "  \x1b[34m\"a\"\x1b[0m: [\r\n" } else { "  \"a\": [\r\n" },
            );
            presses(&mut session, 'd');
            let rest = ends(session, 0);
            assert_eq!(rest.contains("\x1b[1;3"), colour, "{rest}");
            server.join();
        }
    });
}

#[test]
fn the_history_stays() {
    watchdog(LIMIT, || {
        let path = temporary("history");
        for (first, sent) in [("remembered", "remembered"), ("\x1b[A", "remembered")] {
            let server = upgraded(move |peer| {
                peer.expect(TEXT, sent.as_bytes());
                peer.expect(TEXT, b" secret");
                answer_close(peer, 1000);
            });
            let mut command = plain(&[server.url()]);
            command.env("WSDUMP_HISTORY", &path);
            let mut session = terminal(command);
            shows(&mut session, "open> ");
            types(&mut session, first);
            types(&mut session, " secret");
            presses(&mut session, 'd');
            ends(session, 0);
            server.join();
        }
        let history: PathBuf = path;
        let lines = std::fs::read_to_string(&history).unwrap();
        assert!(lines.contains("remembered") && !lines.contains("secret"), "{lines}");
        std::fs::remove_file(history).unwrap();
    });
}

#[test]
fn a_line_survives_a_change_of_the_size() {
    watchdog(LIMIT, || {
        let server = echoes();
        let mut session = opened(&[server.url()]);
        session.send(&"x".repeat(30)).unwrap();
        session.flush().unwrap();
        shows(&mut session, &"x".repeat(30));
        let handle = session.process().get_file_handle().unwrap();
        let size = Winsize { ws_row: 10, ws_col: 20, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(handle, size).unwrap();
        types(&mut session, "y");
        shows(&mut session, &format!("{}y\r\n", "x".repeat(30)));
        presses(&mut session, 'd');
        ends(session, 0);
        server.join();
    });
}

#[test]
fn ctrl_z_and_back() {
    watchdog(LIMIT, || {
        let server = echoes();
        let mut shell = plain(&[server.url()]);
        let tool = shell.get_program().to_owned();
        let envs: Vec<_> = shell
            .get_envs()
            .map(|(name, value)| (name.to_owned(), value.map(ToOwned::to_owned)))
            .collect();
        shell = Command::new("bash");
        shell.args(["--norc", "--noprofile", "-i"]).env("PS1", "shell$ ");
        for (name, value) in envs {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        let mut session = terminal(shell);
        shows(&mut session, "shell$ ");
        types(&mut session, &format!("{} {}", tool.to_str().unwrap(), server.url()));
        shows(&mut session, "open> ");
        presses(&mut session, 'z');
        shows(&mut session, "Stopped");
        shows(&mut session, "shell$ ");
        types(&mut session, "fg");
        shows(&mut session, "open> ");
        types(&mut session, "still here");
        shows(&mut session, "\x1b[Jstill here\r\n");
        presses(&mut session, 'd');
        shows(&mut session, "the peer answered: 1000");
        shows(&mut session, "shell$ ");
        types(&mut session, "exit $?");
        ends(session, 0);
        server.join();
    });
}
