//! Keeps a connection for ever, with closures as callbacks, and survives an outage.
//!
//! ```sh
//! cargo run --example app                               # against a server that it starts itself
//! cargo run --example app -- wss://example.com/feed     # against that server, until Ctrl-C
//! ```
//!
//! Its own server crashes, then refuses because it is overloaded, and then comes back.

use std::error::Error;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use landline::app::Exit;
use landline::backoff::Exponential;
use landline::{App, Builder, Callbacks};
use tungstenite::Message;

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut builder = Builder::new();
    let (url, server) = match std::env::args().nth(1) {
        Some(url) => (url, None),
        None => {
            builder = builder.proxy(None); // The server is on this machine.
            let listener = TcpListener::bind("127.0.0.1:0")?;
            let url = format!("ws://{}/", listener.local_addr()?);
            (url, Some(thread::spawn(move || serve(&listener))))
        }
    };

    let callbacks = Callbacks::new()
        .on_open(|ws, open| {
            println!("connected {}", if open.reconnected { "again" } else { "for the first time" });
            ws.send("hello")
        })
        .on_message(|_, message| println!("received {message:?}"))
        .on_close(|closed| println!("the connection ended: {closed}"))
        .on_error(|error| match error.status() {
            Some(429 | 503) => println!("the server is busy"),
            _ => println!("cannot connect: {error}"),
        });
    let exit = App::new(url, callbacks)
        .with_builder(builder)
        .backoff(Exponential::new().base(Duration::from_millis(200)).max_attempts(10))
        .run_forever()?; // A final failure, such as a wrong URL or a 401, is an error.
    match exit {
        Exit::Closed(closed) => println!("the server has no more to say: {closed}"),
        Exit::GaveUp { attempts, .. } => println!("gave up after {attempts} attempts"),
        other => println!("{other}"),
    }

    if let Some(server) = server {
        server.join().map_err(|_| "the server panicked")??;
    }
    Ok(())
}

fn serve(listener: &TcpListener) -> Result<(), Box<dyn Error + Send + Sync>> {
    let accept = || {
        let (stream, _) = listener.accept()?;
        tungstenite::accept(stream)
            .map_err(|error| Box::<dyn Error + Send + Sync>::from(error.to_string()))
    };

    let mut client = accept()?;
    client.read()?;
    client.send(Message::text("welcome"))?;
    drop(client); // This is the crash: the stream ends without a Close.

    let (mut stream, _) = listener.accept()?;
    let _request = stream.read(&mut [0; 4096])?;
    stream.write_all(b"HTTP/1.1 503 Overloaded\r\nContent-Length: 0\r\n\r\n")?;
    drop(stream);

    let mut client = accept()?;
    client.read()?;
    client.send(Message::text("welcome back"))?;
    client.close(None)?;
    while client.read().is_ok() {} // Read until the client's Close.
    Ok(())
}
