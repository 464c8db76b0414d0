//! The tool on a terminal where it shows no prompt, or something besides it.

use crate::prompt::*;
use crate::scripts::temporary;
use crate::support::*;
use crate::tool::*;

#[test]
fn raw_lines_on_a_terminal_have_no_prompt() {
    watchdog(LIMIT, || {
        let server = echoes();
        let mut session = terminal(plain(&["-r", "-v", &server.url()]));
        shows(&mut session, "connected to ");
        shows(&mut session, " ms\r\n");
        types(&mut session, "plain");
        let before = shows(&mut session, "plain\r\n");
        assert!(!before.contains('>'), "{before}");
        presses(&mut session, 'c');
        ends(session, 130);
        server.join();
    });
}

#[test]
fn a_terminal_that_can_do_nothing_has_plain_lines() {
    watchdog(LIMIT, || {
        let server = echoes();
        let mut command = plain(&["-v", &server.url()]);
        command.env("TERM", "dumb");
        let mut session = terminal(command);
        shows(&mut session, "connected to ");
        shows(&mut session, " ms\r\n");
        types(&mut session, "plain");
        shows(&mut session, "plain\r\n");
        presses(&mut session, 'c');
        ends(session, 130);
        server.join();
    });
}

#[test]
fn who_waits_for_one_answer_at_a_terminal_gets_no_prompt() {
    watchdog(LIMIT, || {
        let server = echoes();
        let session = terminal(plain(&["-1", "-t", "{\"a\":1}", &server.url()]));
        assert_eq!(ends(session, 0), "{\r\n  \"a\": 1\r\n}\r\n");
        server.join();
    });
}

#[test]
fn a_transfer_that_takes_long_has_a_bar() {
    watchdog(LIMIT, || {
        let path = temporary("long");
        std::fs::write(&path, vec![0; 32 << 20]).unwrap();
        let file = path.to_str().unwrap();
        for at_prompt in [false, true] {
            let (go, goes) = std::sync::mpsc::channel();
            let server = serve_on(small_listener(), move |peer| {
                peer.upgrade();
                // The server takes a little, again and again, until the bar is seen.
                let mut buffer = [0; 64 * 1024];
                while goes.recv_timeout(SHORT / 3).is_err() {
                    std::io::Read::read_exact(&mut peer.socket(), &mut buffer).unwrap();
                }
                peer.send(&text("thanks"));
                std::io::copy(&mut peer.socket(), &mut std::io::sink()).unwrap();
            });
            let url = server.url();
            let one = ["-1", "--close-timeout", "0", "--send-binary", file, &url];
            let mut session = match at_prompt {
                false => terminal(plain(&one)),
                true => opened(&["--close-timeout", "0", &url]),
            };
            if at_prompt {
                types(&mut session, &format!("/binary @{file}"));
            }
            shows(&mut session, "] sent ");
            shows(&mut session, " of 32.0 MiB");
            go.send(()).unwrap();
            shows(&mut session, "thanks");
            if at_prompt {
                presses(&mut session, 'd');
            }
            ends(session, 0);
            server.join();
        }
        std::fs::remove_file(path).unwrap();
    });
}
