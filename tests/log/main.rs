//! The lines that the feature `log` writes, without secrets.

#![cfg(feature = "log")]
#![allow(missing_docs, clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

use std::sync::Mutex;

use landline::{Builder, CloseCode};
use support::{CLOSE, TEXT, serve};

/// Keeps every line that is logged.
struct Lines(Mutex<Vec<String>>);

impl log::Log for Lines {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        assert!(!record.target().starts_with("landline::"), "{} is internal", record.target());
        let line = record.args().to_string();
        let on_line = ON_LINE.lock().unwrap().take_if(|(awaited, _)| *awaited == line);
        self.0.lock().unwrap().push(line);
        if let Some((_, act)) = on_line {
            act();
        }
    }

    fn flush(&self) {}
}

static LINES: Lines = Lines(Mutex::new(Vec::new()));

#[test]
fn heads_and_frames_are_logged_without_secrets() {
    // All tests share the logger. Each looks for lines of its own.
    let _ = log::set_logger(&LINES);
    log::set_max_level(log::LevelFilter::Trace);
    let server = serve(|peer| {
        peer.read_request();
        let answer = peer.good_answer(
            "Set-Cookie: session=s3cret\r\nX-Token:s3cret\r\nLink: </s3cret>\r\nServer: a\tb\r\n",
        );
        peer.send(b"HTTP/1.1 103 Early Hints\r\nLink: </s3cret>\r\n\r\n");
        peer.send(&answer);
        peer.expect(TEXT, b"s3cret message");
        peer.send(&support::ping(b"s3cret ping"));
        assert_eq!(peer.next_frame().unwrap().opcode, support::PONG);
        let close = peer.next_frame().unwrap();
        assert_eq!(close.opcode, CLOSE);
        peer.send(&support::close(1000, ""));
        peer.stall();
    });
    let builder = Builder::new()
        .basic_auth("user", "s3cret")
        .cookie("id=s3cret")
        .header("X-Api-Key", "s3cret");
    let mut ws = builder.connect(&(server.url() + "feed/s3cret?token=s3cret")).unwrap();
    ws.send("s3cret message").unwrap();
    assert!(matches!(ws.next_event().unwrap(), landline::Event::Ping(b"s3cret ping")));
    ws.close(CloseCode::NORMAL).unwrap();
    server.join();

    let lines = LINES.0.lock().unwrap().join("\n");
    for expected in [
        "request: GET ***",
        "request: Authorization: ***",
        "request: Cookie: ***",
        "response: HTTP/1.1 103 Early Hints",
        "response: Link: ***",
        "response: HTTP/1.1 101 Switching Protocols",
        "response: Set-Cookie: ***",
        "response: X-Token: ***",
        r"response: Server: a\tb",
        "sent Text, 14 bytes",
        "received Ping, 11 bytes",
        "sent Pong, 11 bytes",
        "sent Close, 2 bytes",
        "received Close, 2 bytes",
    ] {
        assert!(lines.contains(expected), "{expected:?} is missing in\n{lines}");
    }
    assert!(!lines.contains("s3cret"), "a secret is logged:\n{lines}");
}

#[test]
fn the_answer_to_a_close_is_logged_by_a_program_that_only_receives() {
    let _ = log::set_logger(&LINES);
    log::set_max_level(log::LevelFilter::Trace);
    let server = serve(|peer| {
        peer.upgrade();
        peer.send(&support::frame(CLOSE, true, b"")); // No other test has an empty Close.
        peer.stall();
    });
    let mut ws = Builder::new().connect(&server.url()).unwrap();
    ws.recv().unwrap_err();
    let lines = LINES.0.lock().unwrap().join("\n");
    for expected in ["received Close, 0 bytes", "sent Close, 0 bytes"] {
        assert!(lines.contains(expected), "{expected:?} is missing in\n{lines}");
    }
    drop(ws);
    server.join();
}

#[test]
fn the_close_after_text_that_is_not_utf_8_is_logged() {
    let _ = log::set_logger(&LINES);
    log::set_max_level(log::LevelFilter::Trace);
    let server = serve(|peer| {
        peer.upgrade();
        peer.send(&support::frame(TEXT, true, &[0xFF; 83])); // No other test has this length.
        peer.stall();
    });
    let mut ws = Builder::new().connect(&server.url()).unwrap();
    ws.recv().unwrap_err();
    let lines = LINES.0.lock().unwrap();
    let after = lines.iter().skip_while(|line| *line != "received Text, 83 bytes");
    let closes = after.filter(|line| *line == "sent Close, 2 bytes").count();
    assert!(closes > 0, "no Close is logged in\n{}", lines.join("\n"));
    drop((lines, ws));
    server.join();
}

#[test]
#[cfg(feature = "proxy")]
fn settings_that_are_skipped_are_logged_without_their_values() {
    let _ = log::set_logger(&LINES);
    log::set_max_level(log::LevelFilter::Trace);
    let variable = |name: &str| match name {
        "http_proxy" => Some("http://user:s3cret/@proxy.test".into()),
        "no_proxy" => Some("a.test, http://user:s3cret@b.test/, c.test".into()),
        _ => None,
    };
    assert!(
        landline::proxy::Proxy::from_variables("ws://server.test/", variable).unwrap().is_none()
    );
    let lines = LINES.0.lock().unwrap().join("\n");
    for expected in [
        "http_proxy is skipped: it names no proxy that is understood",
        "no_proxy: entry 2 is skipped: it is not understood",
    ] {
        assert!(lines.contains(expected), "{expected:?} is missing in\n{lines}");
    }
    assert!(!lines.contains("s3cret"), "a secret is logged:\n{lines}");
}

#[test]
fn redirects_and_cookies_are_logged_without_secrets() {
    let _ = log::set_logger(&LINES);
    log::set_max_level(log::LevelFilter::Trace);
    let goal = serve(|peer| {
        peer.read_request();
        peer.send(
            b"HTTP/1.1 418 Short\r\nSet-Cookie: a=s3cret\r\ns3cret\r\ns3cret s: x\r\n\
              Refresh: 0;/s3cret\r\nContent-Length: 6\r\n\r\ns3cret",
        );
    });
    let location = format!("ws://user:s3cret@{}/goal/s3cret?token=s3cret#s3cret", goal.addr);
    let start = serve(move |peer| {
        peer.read_request();
        let head = format!("HTTP/1.1 308 There\r\nLocation: {location}\r\n");
        peer.send((head + "Set-Cookie: b=s3cret\r\n\r\n").as_bytes());
    });
    let jar = std::sync::Arc::new(landline::cookie::CookieJar::new());
    jar.set("ws://127.0.0.1/", "c=s3cret").unwrap();
    let builder = Builder::new()
        .cookie_store(jar.clone())
        .headers_with(|_| Ok(vec![("Authorization".into(), "s3cret".into())]));
    let url = format!("ws://user:s3cret@{}/start/s3cret?token=s3cret", start.addr);
    builder.connect(&url).unwrap_err();
    start.join();
    goal.join();
    assert_eq!(jar.all().len(), 3);

    let lines = LINES.0.lock().unwrap().join("\n");
    for expected in [
        "request: GET ***",
        "response: HTTP/1.1 308 There",
        "response: Location: ***",
        "response: HTTP/1.1 418 Short",
    ] {
        assert!(lines.contains(expected), "{expected:?} is missing in\n{lines}");
    }
    assert!(!lines.contains("s3cret"), "a secret is logged:\n{lines}");
}

/// The code that the logger runs once, when it gets a certain line.
type OnLine = Box<dyn FnOnce() + Send>;
static ON_LINE: Mutex<Option<(&str, OnLine)>> = Mutex::new(None);

/// A logger may be a telemetry exporter that sends over the connection whose frames are logged.
#[test]
fn a_logger_may_send_over_the_connection_whose_frames_it_logs() {
    support::watchdog(support::LIMIT, || {
        let _ = log::set_logger(&LINES);
        log::set_max_level(log::LevelFilter::Trace);
        for line in ["sent Text, 41 bytes", "sent Binary, 42 bytes", "sent Pong, 43 bytes"] {
            let server = serve(|peer| {
                peer.upgrade();
                peer.expect(TEXT, &[b'x'; 41]);
                let mut logged = peer.next_frame().unwrap();
                if logged.payload == b"by the logger" {
                    peer.expect(support::BINARY, &[7; 42]);
                } else {
                    assert_eq!(logged.payload, [7; 42]);
                }
                peer.send(&support::ping(&[8; 43]));
                let mut frames = Vec::new();
                while logged.opcode != CLOSE {
                    logged = peer.next_frame().unwrap();
                    frames.push(logged.clone());
                }
                assert!(frames.iter().any(|frame| frame.opcode == support::PONG));
                peer.send(&support::close(1000, ""));
                peer.frames.iter().filter(|frame| frame.payload == b"by the logger").count()
            });
            let mut ws = support::builder().connect(&server.url()).unwrap();
            let sender = ws.sender();
            let send = Box::new(move || sender.send("by the logger").unwrap());
            *ON_LINE.lock().unwrap() = Some((line, send));
            support::promptly(|| ws.send("x".repeat(41).as_str()).unwrap());
            let sender = ws.sender();
            let mut writer = sender.writer(landline::MessageKind::Binary).unwrap();
            std::io::Write::write_all(&mut writer, &[7; 42]).unwrap();
            support::promptly(|| writer.finish().unwrap());
            let event = support::promptly(|| ws.next_event().map(|event| format!("{event:?}")));
            assert!(event.unwrap().starts_with("Ping"), "{line}");
            assert!(support::promptly(|| ws.close(CloseCode::NORMAL)).unwrap().is_clean());
            assert_eq!(server.join(), 1, "{line}");
            assert!(ON_LINE.lock().unwrap().is_none(), "{line}");
        }
    });
}
