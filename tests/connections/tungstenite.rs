//! Messages to tungstenite and back: a server that shares no code with this crate.

#![allow(clippy::unwrap_used)] // `clippy.toml` allows it in test functions only.

use crate::support;

use std::io::Write as _;
use std::net::TcpListener;

use landline::{CloseCode, Message, MessageKind, WebSocket};
use support::*;
use tungstenite::handshake::server::{Request, Response};
use tungstenite::protocol::frame::coding::CloseCode as TheirCode;

const SIZES: [usize; 8] = [0, 1, 125, 126, 127, 65_535, 65_536, 1 << 20];

/// Sends each message back until the client closes.
fn echo<S: std::io::Read + std::io::Write>(mut server: tungstenite::WebSocket<S>) {
    loop {
        match server.read() {
            Ok(message) if message.is_text() || message.is_binary() => {
                server.send(message).unwrap()
            }
            Ok(_) => {}
            Err(tungstenite::Error::ConnectionClosed) => return,
            Err(error) => panic!("{error}"),
        }
    }
}

fn echo_server() -> (String, Joined<()>) {
    let listener = listener();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    let serving = spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        echo(tungstenite::accept(stream).unwrap());
    });
    (url, serving)
}

fn echoes_all_sizes(mut ws: WebSocket) {
    for size in SIZES {
        let text: String =
            (0..size).map(|n| char::from(b'a' + u8::try_from(n % 26).unwrap())).collect();
        ws.send(&text).unwrap();
        assert!(ws.recv().unwrap() == Message::Text(text), "text of {size}");
        let bytes: Vec<u8> = (0..size).map(|n| u8::try_from(n % 251).unwrap()).collect();
        ws.send(&bytes).unwrap();
        assert!(ws.recv().unwrap() == Message::Binary(bytes), "binary of {size}");
    }
    ws.send("grüße, 世界 🦀").unwrap();
    assert_eq!(ws.recv().unwrap(), Message::from("grüße, 世界 🦀"));
    let closed = ws.close((CloseCode::NORMAL, "done")).unwrap();
    assert!(closed.is_clean());
    assert_eq!(closed.code(), CloseCode::NORMAL);
}

#[test]
fn messages_of_all_sizes_come_back() {
    watchdog(LIMIT, || {
        let (url, serving) = echo_server();
        echoes_all_sizes(builder().connect(&url).unwrap());
        serving.join();
    });
}

#[cfg(feature = "tls")]
#[test]
fn messages_of_all_sizes_come_back_over_tls() {
    watchdog(LIMIT, || {
        let listener = listener();
        let url = format!("wss://localhost:{}", listener.local_addr().unwrap().port());
        let serving = spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            echo(tungstenite::accept(tls::accept(tls::localhost(), stream)).unwrap());
        });
        echoes_all_sizes(tls::builder().connect(&url).unwrap());
        serving.join();
    });
}

#[test]
fn messages_in_fragments_come_back_whole() {
    watchdog(LIMIT, || {
        let (url, serving) = echo_server();
        let mut ws = builder().connect(&url).unwrap();
        let sender = ws.sender();
        let text = "grüße 🦀 ".repeat(20_000);
        let mut writer = sender.writer(MessageKind::Text).unwrap();
        // Some of these fragments end within a character.
        for fragment in text.as_bytes().chunks(1001) {
            writer.write_all(fragment).unwrap();
            writer.flush().unwrap();
        }
        writer.finish().unwrap();
        assert!(ws.recv().unwrap() == Message::Text(text));
        let mut writer = sender.writer(MessageKind::Binary).unwrap();
        writer.write_all(&vec![7; 300_000]).unwrap();
        writer.finish().unwrap();
        assert!(ws.recv().unwrap() == Message::Binary(vec![7; 300_000]));
        sender.writer(MessageKind::Binary).unwrap().finish().unwrap();
        assert_eq!(ws.recv().unwrap(), Message::Binary(Vec::new()));
        sender.send_all(["one", "two", "three"]).unwrap();
        let three: Vec<_> = (0..3).map(|_| ws.recv().unwrap()).collect();
        assert_eq!(three, ["one", "two", "three"].map(Message::from));
        assert!(ws.close(CloseCode::NORMAL).unwrap().is_clean());
        serving.join();
    });
}

#[test]
fn headers_and_the_subprotocol_go_both_ways() {
    watchdog(LIMIT, || {
        fn serve(listener: &TcpListener) {
            let (stream, _) = listener.accept().unwrap();
            #[allow(clippy::result_large_err)] // The type is tungstenite's.
            let callback = |request: &Request, mut response: Response| {
                let header = |name| request.headers().get(name).unwrap().to_str().unwrap();
                assert_eq!(request.uri().to_string(), "/chat?room=1");
                assert_eq!(header("X-Team"), "blue");
                assert_eq!(header("Origin"), "https://example.com");
                assert_eq!(header("Sec-WebSocket-Protocol"), "v2, v1");
                let headers = response.headers_mut();
                headers.insert("Sec-WebSocket-Protocol", "v1".parse().unwrap());
                headers.insert("X-Server", "tungstenite".parse().unwrap());
                Ok(response)
            };
            let mut server = tungstenite::accept_hdr(stream, callback).unwrap();
            let frame = tungstenite::protocol::CloseFrame {
                code: TheirCode::Library(4001),
                reason: "enough".into(),
            };
            server.close(Some(frame)).unwrap();
            while server.read().is_ok() {}
        }
        let listener = listener();
        let url = format!("ws://{}/chat?room=1", listener.local_addr().unwrap());
        let serving = spawn(move || serve(&listener));
        let builder = builder()
            .header("X-Team", "blue")
            .origin("https://example.com")
            .subprotocols(["v2", "v1"]);
        let mut ws = builder.connect(&url).unwrap();
        assert_eq!(ws.subprotocol(), Some("v1"));
        assert_eq!(ws.response().headers().get("x-server"), Some("tungstenite"));
        let closed = error(ws.recv()).closed().cloned().unwrap();
        assert_eq!((closed.code().value(), closed.reason()), (4001, "enough"));
        drop(ws);
        serving.join();
    });
}
