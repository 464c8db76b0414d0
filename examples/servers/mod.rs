// Small servers on this machine, for the examples in `src/guide`, which include this file. Each
// function starts a server on a thread of its own, and returns the server's URL.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;

/// Starts a server that sends each message back.
#[allow(dead_code)]
pub fn echo() -> String {
    serve(|stream, _| drop(echo_on(&stream, usize::MAX)))
}

/// Starts a server that drops its first connection after two messages, without a Close. On later
/// connections it sends each message back.
#[allow(dead_code)]
pub fn echo_after_an_outage() -> String {
    serve(|stream, number| drop(echo_on(&stream, if number == 0 { 2 } else { usize::MAX })))
}

/// Starts a server that refuses each request with this status line and these headers.
#[allow(dead_code)]
pub fn refuse(head: &'static str) -> String {
    serve(move |mut stream, _| {
        let mut request = Vec::new();
        let mut byte = [0];
        while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|len| len == 1) {
            request.push(byte[0]);
        }
        let _ = write!(stream, "HTTP/1.1 {head}\r\nContent-Length: 0\r\n\r\n");
    })
}

/// Calls `handle` with each connection, on a thread of its own, and with its number, counted from
/// 0.
fn serve(handle: impl Fn(TcpStream, usize) + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("ws://{}/", listener.local_addr().expect("an address"));
    let handle = std::sync::Arc::new(handle);
    thread::spawn(move || {
        for (number, stream) in listener.incoming().map_while(Result::ok).enumerate() {
            let handle = handle.clone();
            thread::spawn(move || handle(stream, number));
        }
    });
    url
}

/// Sends this number of messages back, and then drops the connection.
fn echo_on(stream: &TcpStream, messages: usize) -> tungstenite::Result<()> {
    let Ok(mut server) = tungstenite::accept(stream) else { return Ok(()) };
    let mut left = messages;
    while left > 0 {
        let message = server.read()?; // This answers pings and the Close.
        if message.is_text() || message.is_binary() {
            server.send(message)?;
            left -= 1;
        }
    }
    Ok(())
}
