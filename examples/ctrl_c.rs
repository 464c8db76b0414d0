//! Stops at Ctrl-C: the first one closes the connection properly, the second one does not wait for
//! the server.
//!
//! ```sh
//! cargo run --example ctrl_c                              # against a server that it starts itself
//! cargo run --example ctrl_c -- wss://example.com/feed    # against that server
//! ```
//!
//! Without a terminal it sends itself the signal of Ctrl-C after a second.

use std::error::Error;
use std::io::{self, IsTerminal as _};
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use landline::app::Exit;
use landline::{App, Builder, Callbacks, CloseCode};
use tungstenite::Message;

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut builder = Builder::new();
    let url = match std::env::args().nth(1) {
        Some(url) => url,
        None => {
            builder = builder.proxy(None); // The server is on this machine.
            let listener = TcpListener::bind("127.0.0.1:0")?;
            let url = format!("ws://{}/", listener.local_addr()?);
            thread::spawn(move || serve(&listener));
            url
        }
    };

    let callbacks = Callbacks::new()
        .on_open(|_, _| println!("connected: press Ctrl-C to stop"))
        .on_message(|_, message| println!("received {message:?}"))
        .on_close(|closed| println!("the connection ended: {closed}"))
        .on_error(|error| println!("cannot connect: {error}"));
    let app = App::new(url, callbacks).with_builder(builder);

    let handle = app.handle();
    let mut pressed = false;
    // This closure may do anything: it runs on a thread of its own, not in the signal handler.
    ctrlc::set_handler(move || {
        println!("Ctrl-C");
        if pressed {
            handle.abort();
        } else if let Err(error) = handle.stop((CloseCode::GOING_AWAY, "Ctrl-C")) {
            println!("{error}");
        }
        pressed = true;
    })?;
    if !io::stdin().is_terminal() {
        thread::spawn(press);
    }

    match app.run_forever()? {
        Exit::Stopped => println!("stopped by Ctrl-C"),
        other => println!("ended without Ctrl-C: {other}"),
    }
    Ok(())
}

/// Sends this process the signal that Ctrl-C sends.
fn press() -> io::Result<()> {
    thread::sleep(Duration::from_secs(1));
    // `kill` is part of each shell, and not everywhere a program.
    let kill = format!("kill -INT {}", std::process::id());
    std::process::Command::new("sh").args(["-c", &kill]).status().map(drop)
}

/// Counts aloud until the client closes.
fn serve(listener: &TcpListener) -> Result<(), Box<dyn Error + Send + Sync>> {
    let (stream, _) = listener.accept()?;
    stream.set_read_timeout(Some(Duration::from_millis(300)))?;
    let mut client = tungstenite::accept(stream).map_err(|error| error.to_string())?;
    for number in 1.. {
        client.send(Message::text(number.to_string()))?;
        // The client sends nothing but its Close, which `read` answers.
        match client.read() {
            Err(tungstenite::Error::Io(error)) if has_timed_out(&error) => {}
            Err(error) => return Err(error.into()),
            Ok(_) => while client.read().is_ok() {},
        }
    }
    Ok(())
}

/// Returns whether the timeout of a read has passed. Unix and Windows have different errors for it.
fn has_timed_out(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}
