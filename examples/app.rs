//! An App made of closures, and an outage that it survives. Without an argument against a server
//! that it starts itself, which crashes, is overloaded, and comes back; with a URL against that
//! server, until Ctrl-C: `cargo run --example app -- wss://example.com/feed`.

use std::error::Error;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use landline::backoff::Exponential;
use landline::{App, Builder, Callbacks};
use tungstenite::Message;

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut builder = Builder::new();
    let (url, server) = match std::env::args().nth(1) {
        Some(url) => (url, None),
        None => {
            builder = builder.no_proxy(); // It is on this machine.
            let listener = TcpListener::bind("127.0.0.1:0")?;
            let url = format!("ws://{}/", listener.local_addr()?);
            (url, Some(thread::spawn(move || serve(&listener))))
        }
    };

    let callbacks = Callbacks::new()
        .on_open(|ws, open| {
            println!("open, {}", if open.reconnected { "again" } else { "for the first time" });
            ws.send("hello")
        })
        .on_message(|_, message| println!("received {message:?}"))
        .on_close(|closed| println!("{closed}"))
        .on_error(|error| println!("{error}"));
    let exit = App::new(url, callbacks)
        .builder(builder)
        .backoff(Exponential::new().base(Duration::from_millis(200)).max_attempts(10))
        .run_forever()?;
    println!("the end: {exit}");

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
    drop(client); // A crash: no Close.

    let (mut stream, _) = listener.accept()?;
    let _request = stream.read(&mut [0; 4096])?;
    stream.write_all(b"HTTP/1.1 503 Overloaded\r\nContent-Length: 0\r\n\r\n")?;
    drop(stream);

    let mut client = accept()?;
    client.read()?;
    client.send(Message::text("welcome back"))?;
    client.close(None)?;
    while client.read().is_ok() {} // Up to the client's Close.
    Ok(())
}
