//! `--listen`, the echo server.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command};

use crate::support::*;
use crate::tool::*;

const LISTEN: [&str; 2] = ["--listen", "127.0.0.1:0"];

/// Is a running echo server, which ends with the test.
pub(crate) struct Echo {
    child: Child,
    pub(crate) url: String,
}

impl Echo {
    pub(crate) fn start() -> Self {
        Self::of(&mut wsdump(&LISTEN))
    }

    fn of(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut url = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
        Self { child, url: url.trim().to_owned() }
    }

    fn connect(&self) -> TcpStream {
        TcpStream::connect(self.url.trim_start_matches("ws://").trim_end_matches('/')).unwrap()
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        // It may have ended already, which the tests notice.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn what_is_sent_comes_back() {
    watchdog(LIMIT, || {
        let echo = Echo::start();
        let mut ws = builder().fragments(false).connect(&echo.url).unwrap();
        let big = vec![7; 3 << 20];
        ws.send("hello").unwrap();
        ws.send(&big).unwrap();
        ws.ping(b"p").unwrap();
        assert_eq!(ws.recv().unwrap().as_text(), Some("hello"));
        assert!(ws.recv().unwrap().as_bytes() == big);
        assert!(matches!(ws.next_event().unwrap(), landline::Event::Pong(b"p")));
        let closed = ws.close((4000, "bye")).unwrap();
        assert_eq!((closed.is_clean(), closed.code().value()), (true, 4000));
        assert_eq!(closed.reason(), "bye");
    });
}

#[test]
fn several_clients_are_served_at_once() {
    watchdog(LIMIT, || {
        let echo = Echo::start();
        let mut all: Vec<_> = (0..5).map(|_| builder().connect(&echo.url).unwrap()).collect();
        for (at, ws) in all.iter_mut().enumerate().rev() {
            ws.send(at.to_string()).unwrap();
            assert_eq!(ws.recv().unwrap().as_text(), Some(&*at.to_string()));
        }
    });
}

#[test]
fn a_client_that_is_none_is_refused_and_the_server_goes_on() {
    watchdog(LIMIT, || {
        let echo = Echo::start();
        let mut browser = echo.connect();
        browser.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut answer = String::new();
        browser.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 426 "), "{answer}");
        // A frame without a mask, and a frame that is cut.
        for wrong in [&b"\x81\x01x"[..], b"\x81\x85abcdx"] {
            let mut stream = echo.connect();
            opens(&mut stream);
            stream.write_all(wrong).unwrap();
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            assert_eq!(stream.read(&mut [0]).unwrap_or(0), 0);
        }
        run(&["-1", "-t", "still here", &echo.url]).gave(0, "still here\n");
    });
}

/// Does the opening handshake as a client.
fn opens(stream: &mut TcpStream) {
    stream
        .write_all(b"GET / HTTP/1.1\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
        .unwrap();
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    // The answer to the key in RFC 6455 section 1.3.
    assert!(String::from_utf8(head).unwrap().contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
}

#[test]
fn an_address_that_is_taken_says_what_to_do() {
    watchdog(LIMIT, || {
        let taken = listener();
        let address = taken.local_addr().unwrap().to_string();
        run(&["--listen", &address]).failed(10, "127.0.0.1:0");
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_server_without_free_files_waits_and_serves_again_when_some_are_free() {
    use std::process::Stdio;

    watchdog(LIMIT, || {
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -n 12; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_wsdump")]);
        command.args(LISTEN).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let echo = Echo::of(&mut command);
        // Each client that is served takes two files. The others wait in the backlog.
        let clients: Vec<_> = (0..20).map(|_| echo.connect()).collect();
        let stat = || {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", echo.child.id())).unwrap();
            process::cpu(&stat)
        };
        let before = stat();
        // The server could spin for this time. The sleep waits for nothing.
        std::thread::sleep(SHORT * 4);
        let spent = stat() - before;
        assert!(spent < SHORT, "{spent:?} of the processor in {:?}", SHORT * 4);
        drop(clients);
        run(&["-1", "-t", "still here", &echo.url]).gave(0, "still here\n");
    });
}
