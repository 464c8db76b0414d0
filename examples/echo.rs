//! Shows all that one connection does: text, binary, a fragmented message, a ping, the closing
//! handshake.
//!
//! ```sh
//! cargo run --example echo                           # against a server that it starts itself
//! cargo run --example echo -- ws://localhost:9001    # against that server, which must echo
//! ```

use std::error::Error;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::thread;

use landline::{Builder, CloseCode, Event, MessageKind, WebSocket};

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut builder = Builder::new();
    let (url, server) = match std::env::args().nth(1) {
        Some(url) => (url, None),
        None => {
            builder = builder.proxy(None); // The server is on this machine.
            let listener = TcpListener::bind("127.0.0.1:0")?;
            let url = format!("ws://{}/", listener.local_addr()?);
            let server = thread::spawn(move || echo(&listener.accept()?.0));
            (url, Some(server))
        }
    };

    let mut ws = builder.connect(&url)?;
    println!("connected:  {url}, status {}", ws.response().status());

    ws.send("hello, world")?;
    println!("text:       {}", describe(&mut ws)?);

    ws.send([0xCA, 0xFE])?;
    println!("binary:     {}", describe(&mut ws)?);

    let mut writer = ws.writer(MessageKind::Text)?;
    for part in ["in ", "three ", "fragments"] {
        writer.write_all(part.as_bytes())?;
        writer.flush()?; // This ends a fragment.
    }
    writer.finish()?;
    println!("fragmented: {}", describe(&mut ws)?);

    ws.ping(b"are you there?")?;
    println!("ping:       {}", describe(&mut ws)?);

    let closed = ws.close((CloseCode::NORMAL, "that was all"))?;
    println!("closed:     {closed} (clean: {})", closed.is_clean());

    if let Some(server) = server {
        server.join().map_err(|_| "the server panicked")??;
    }
    Ok(())
}

/// Receives the next message or control frame, and describes it.
fn describe(ws: &mut WebSocket) -> Result<String, landline::Error> {
    Ok(match ws.next_event()? {
        Event::Text(text) => format!("text {text:?}"),
        Event::Binary(bytes) => format!("binary {bytes:02x?}"),
        Event::Pong(payload) => format!("pong {:?}", String::from_utf8_lossy(payload)),
        other => format!("{other:?}"),
    })
}

/// Serves one connection as an echo server.
fn echo(stream: &TcpStream) -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut server = tungstenite::accept(stream).map_err(|error| error.to_string())?;
    loop {
        match server.read() {
            Ok(message) if message.is_text() || message.is_binary() => server.send(message)?,
            Ok(_) => {} // `read` answers pings and the Close.
            Err(tungstenite::Error::ConnectionClosed) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}
