//! Processes that are stopped by SIGSTOP and go on later: this one, for longer than every timeout,
//! and one that stands between the client and the server, as a network does while a laptop sleeps.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{Shutdown, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use landline::app::Exit;
use landline::backoff::Fixed;
use landline::{Builder, Callbacks, CloseCode, Error, Keepalive, Message, Timeout};

use crate::{echoes, support};
use support::process::{again, value};
use support::*;

/// Every timeout of the client.
const EACH: Duration = Duration::from_secs(1);
/// A stop that is longer than all of them together.
const LONG: Duration = Duration::from_secs(4);

/// Returns a builder whose timeouts are all [`EACH`].
fn hasty() -> Builder {
    let builder = builder().keepalive(Keepalive::new(EACH, EACH));
    builder.open_timeout(EACH).write_timeout(EACH).close_timeout(EACH)
}

/// Is a process that can be stopped. It ends with the test.
struct Other(Child);

impl Other {
    /// Runs a test in a process of its own.
    fn running(test: &str, value: &str) -> Self {
        Self(again(test, ":", value).stdout(Stdio::piped()).spawn().unwrap())
    }

    fn kill(&self, signal: &str) {
        let pid = self.0.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    /// Stops the process once it waits for something, calls `meanwhile`, and lets it go on after
    /// [`LONG`].
    fn stop(&self, meanwhile: impl FnOnce()) {
        self.until(|state| state == 'S');
        self.kill("-STOP");
        self.until(|state| state == 'T');
        meanwhile();
        thread::sleep(LONG); // The process is stopped for this time.
        self.kill("-CONT");
    }

    /// Waits until all threads of the process are in such a state, as proc(5) names it.
    fn until(&self, is_it: impl Fn(char) -> bool) {
        let tasks = format!("/proc/{}/task", self.0.id());
        let state = |task: io::Result<std::fs::DirEntry>| {
            let stat = std::fs::read_to_string(task.ok()?.path().join("stat")).ok()?;
            stat.rsplit(") ").next()?.chars().next()
        };
        let start = Instant::now();
        while !std::fs::read_dir(&tasks).unwrap().filter_map(state).all(&is_it) {
            assert!(start.elapsed() < LIMIT / 2, "it never gets there");
            thread::yield_now();
        }
    }

    /// Checks that the test in the other process passes.
    fn passes(mut self) {
        let mut out = self.0.stdout.take().unwrap();
        let mut said = String::new();
        io::Read::read_to_string(&mut out, &mut said).unwrap();
        assert!(self.0.wait().unwrap().success() && said.contains("1 passed"), "{said}");
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_connection_to_a_live_peer_outlives_a_stop_in_recv() {
    const TEST: &str = "stopped::a_connection_to_a_live_peer_outlives_a_stop_in_recv";
    let Some(url) = value() else {
        return watchdog(LIMIT, || {
            let (open, is_open) = channel();
            let server = upgraded(move |peer| {
                peer.expect(TEXT, b"receiving");
                let mut pings = 0;
                while let Some(frame) = peer.next_frame() {
                    match frame.opcode {
                        PING => {
                            peer.send(&support::frame(PONG, true, &frame.payload));
                            pings += 1;
                            // The answer of some ping comes while the process is stopped.
                            if pings == 2 {
                                open.send(()).unwrap();
                            }
                            if pings == 4 {
                                peer.send(&text("still here"));
                            }
                        }
                        CLOSE => peer.send(&support::frame(CLOSE, true, &frame.payload)),
                        opcode => panic!("{opcode}"),
                    }
                }
            });
            let client = Other::running(TEST, &server.url());
            is_open.recv().unwrap();
            for _ in 0..2 {
                client.stop(|| ());
            }
            client.passes();
            server.join();
        });
    };
    let mut ws = hasty().connect(&url).unwrap();
    ws.send("receiving").unwrap();
    assert_eq!(ws.recv().unwrap(), Message::from("still here"));
    assert!(ws.close(CloseCode::NORMAL).unwrap().is_clean());
}

#[test]
fn a_send_that_a_stop_interrupts_goes_on_if_the_peer_has_read_meanwhile() {
    const TEST: &str =
        "stopped::a_send_that_a_stop_interrupts_goes_on_if_the_peer_has_read_meanwhile";
    const SIZE: usize = 60_000;
    let Some(url) = value() else {
        return watchdog(LIMIT, || {
            let (open, is_open) = channel();
            let (read, may_read) = channel();
            let server = serve_on(small_listener(), move |peer| {
                peer.upgrade();
                // The client sends until it blocks.
                peer.expect(TEXT, b"sending");
                open.send(()).unwrap();
                may_read.recv().unwrap();
                let mut all = 0;
                while let Some(frame) = peer.next_frame() {
                    peer.frames.clear();
                    if frame.opcode == CLOSE {
                        peer.send(&support::frame(CLOSE, true, &frame.payload));
                        return all;
                    }
                    assert_eq!(frame.payload.len(), SIZE);
                    assert!(frame.payload.iter().all(|&byte| usize::from(byte) == all % 251));
                    all += 1;
                }
                panic!("the client is gone after {all} messages");
            });
            let client = Other::running(TEST, &server.url());
            is_open.recv().unwrap();
            client.stop(|| read.send(()).unwrap());
            client.passes();
            assert_eq!(server.join(), MESSAGES);
        });
    };
    /// More than fit into the buffers of a connection.
    const MESSAGES: usize = 200;
    // The time is short for a stop, and long for a peer that reads.
    let mut ws = builder().write_timeout(LONG / 2).connect(&url).unwrap();
    ws.send("sending").unwrap();
    for at in 0..MESSAGES {
        ws.send(vec![u8::try_from(at % 251).unwrap(); SIZE]).unwrap();
    }
    assert!(ws.close(CloseCode::NORMAL).unwrap().is_clean());
}

#[test]
fn a_close_that_the_peer_answers_during_a_stop_is_clean() {
    const TEST: &str = "stopped::a_close_that_the_peer_answers_during_a_stop_is_clean";
    let Some(url) = value() else {
        return watchdog(LIMIT, || {
            let (asked, is_asked) = channel();
            let (answer, may_answer) = channel();
            let server = upgraded(move |peer| {
                let frame = peer.expect_close(1000);
                asked.send(()).unwrap();
                may_answer.recv().unwrap();
                peer.send(&support::frame(CLOSE, true, &frame.payload));
            });
            let client = Other::running(TEST, &server.url());
            is_asked.recv().unwrap();
            client.stop(|| answer.send(()).unwrap());
            client.passes();
            server.join();
        });
    };
    let mut ws = builder().close_timeout(LONG / 2).connect(&url).unwrap();
    let closed = ws.close(CloseCode::NORMAL).unwrap();
    assert!(closed.is_clean(), "{closed:?}");
}

#[test]
fn opening_succeeds_if_the_server_answers_during_a_stop() {
    const TEST: &str = "stopped::opening_succeeds_if_the_server_answers_during_a_stop";
    let Some(url) = value() else {
        return watchdog(LIMIT, || {
            let (asked, is_asked) = channel();
            let (answer, may_answer) = channel();
            let server = serve(move |peer| {
                peer.read_request();
                asked.send(()).unwrap();
                may_answer.recv().unwrap();
                // More than one read takes.
                let good = peer.good_answer(&format!("X-Long: {}\r\n", "x".repeat(6_000)));
                peer.send(&good);
                peer.stall();
            });
            let client = Other::running(TEST, &server.url());
            is_asked.recv().unwrap();
            client.stop(|| answer.send(()).unwrap());
            client.passes();
            server.join();
        });
    };
    drop(builder().open_timeout(LONG / 2).connect(&url).unwrap());
}

#[test]
fn an_app_connects_again_if_the_server_has_gone_during_a_stop() {
    const TEST: &str = "stopped::an_app_connects_again_if_the_server_has_gone_during_a_stop";
    let Some(url) = value() else {
        return watchdog(LIMIT, || {
            let (open, is_open) = channel();
            let (leave, may_leave) = channel::<()>();
            let server = apps::serve_times(2, move |nth, peer| {
                peer.upgrade();
                if nth == 0 {
                    open.send(()).unwrap();
                    may_leave.recv().unwrap();
                    return peer.rst();
                }
                peer.expect_close(1000);
                peer.send(&close(1000, ""));
            });
            let client = Other::running(TEST, &server.url());
            is_open.recv().unwrap();
            client.stop(|| leave.send(()).unwrap());
            client.passes();
            server.join();
        });
    };
    let callbacks = Callbacks::new().on_open(|ws, open| match open.reconnected {
        true => ws.close(CloseCode::NORMAL),
        false => Ok(()),
    });
    let builder = builder().keepalive(None);
    let app = apps::app_at(url, callbacks).with_builder(builder).backoff(Fixed(EACH));
    assert!(matches!(app.run_forever(), Ok(Exit::Stopped)));
}

/// Is a process that carries the bytes of connections, so that stopping it stops the network.
struct Network {
    process: Other,
    url: String,
}

impl Network {
    fn to(server: &str) -> Self {
        let test = "stopped::a_network_that_is_stopped_for_a_while_loses_nothing";
        let mut process = Other::running(test, server.trim_start_matches("ws://"));
        let lines = BufReader::new(process.0.stdout.take().unwrap()).lines();
        let url = lines.map_while(Result::ok).find(|line| line.starts_with("ws://")).unwrap();
        Self { process, url }
    }
}

/// Carries connections to the server until the process is killed.
fn carry(server: &str) -> ! {
    let server = server.trim_end_matches('/');
    let listener = listener();
    println!("\nws://{}/", listener.local_addr().unwrap());
    io::stdout().flush().unwrap();
    for client in listener.incoming() {
        let client = client.unwrap();
        // The server may be gone.
        let Ok(server) = TcpStream::connect(server) else { continue };
        for stream in [&client, &server] {
            stream.set_nodelay(true).unwrap();
        }
        for (from, to) in [(&client, &server), (&server, &client)] {
            let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
            thread::spawn(move || {
                // Either side may end the connection at any time.
                let _ = io::copy(&mut from, &mut to);
                let _ = to.shutdown(Shutdown::Write);
            });
        }
    }
    unreachable!("a listener goes on for ever")
}

#[test]
fn a_network_that_is_stopped_for_a_while_loses_nothing() {
    if let Some(server) = value() {
        carry(&server);
    }
    watchdog(LIMIT, || {
        let server = echoes();
        let network = Network::to(&server.url());
        let keepalive = Keepalive::new(EACH, LONG * 10);
        let mut ws = builder().keepalive(keepalive).connect(&network.url).unwrap();
        ws.send("before").unwrap();
        assert_eq!(ws.recv().unwrap(), Message::from("before"));
        network.process.stop(|| {
            ws.send("meanwhile").unwrap();
            assert!(error(ws.recv_timeout(EACH)).is_timeout());
        });
        assert_eq!(ws.recv().unwrap(), Message::from("meanwhile"));
        assert!(ws.close(CloseCode::NORMAL).unwrap().is_clean());
        server.join();
    });
}

#[test]
fn a_network_that_is_stopped_for_too_long_is_noticed_in_time() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            while let Some(frame) = peer.next_frame() {
                let opcode = if frame.opcode == PING { PONG } else { frame.opcode };
                let _ = peer.try_send(&support::frame(opcode, true, &frame.payload));
            }
        });
        let network = Network::to(&server.url());
        let mut ws = hasty().connect(&network.url).unwrap();
        ws.send("before").unwrap();
        assert_eq!(ws.recv().unwrap(), Message::from("before"));
        network.process.stop(|| {
            // A ping is sent after `EACH` at most, and waited for as long again.
            let said = takes_at_most(EACH * 2 + PROMPT, || error(ws.recv()));
            assert!(matches!(said, Error::Timeout(Timeout::Pong)), "{said:?}");
            // The system has accepted the connection, and nobody answers.
            let said = takes(EACH, || error(hasty().connect(&network.url)));
            assert!(matches!(said, Error::Timeout(Timeout::Handshake)), "{said:?}");
        });
        drop(ws);
        server.join();
    });
}

#[test]
fn an_app_finds_back_after_its_network_was_stopped_for_too_long() {
    watchdog(LIMIT, || {
        let listener = listener();
        let url = format!("ws://{}/", listener.local_addr().unwrap());
        // The network opens connections that the client has given up. Those end at once.
        thread::spawn(move || {
            for stream in listener.incoming() {
                thread::spawn(move || {
                    let mut ws = tungstenite::accept(stream.unwrap()).ok()?;
                    while let Ok(message) = ws.read() {
                        if message.is_text() {
                            ws.send(message).ok()?;
                        }
                    }
                    Some(())
                });
            }
        });
        let network = Network::to(&url);
        let (opened, is_open) = channel();
        let (lost, is_lost) = channel();
        let callbacks = Callbacks::new()
            .on_open(move |ws, open| {
                opened.send(open.reconnected).unwrap();
                ws.send("found")
            })
            .on_close(move |closed| _ = lost.send(closed.clone()));
        let app = apps::app_at(&network.url, callbacks).with_builder(hasty()).backoff(Fixed(EACH));
        let app = app.spawn().unwrap();
        assert!(!is_open.recv().unwrap());
        network.process.stop(|| {
            let closed = is_lost.recv().unwrap();
            let cause = closed.cause();
            assert!(matches!(cause, landline::error::Cause::Timeout(Timeout::Pong)), "{closed:?}");
        });
        assert!(is_open.recv().unwrap(), "it connects again");
        app.handle().stop(CloseCode::NORMAL).unwrap();
        assert!(matches!(app.join(), Ok(Exit::Stopped)));
    });
}
