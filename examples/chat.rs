//! A chat in the terminal: sends the lines that you type, and prints the messages that come. When
//! the connection is lost it connects again, and sends the lines that you typed meanwhile.
//!
//! ```sh
//! cargo run --example chat                              # with a bot that it starts itself
//! cargo run --example chat -- wss://example.com/room    # with that server
//! cargo run --example chat -- bot                       # the bot alone, for `wsdump URL`
//! ```
//!
//! Ctrl-D ends it. Without a terminal it talks to the bot from a script.

use std::error::Error;
use std::io::{self, IsTerminal as _};
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use landline::app::{Delivery, Outbox};
use landline::backoff::Exponential;
use landline::{App, Builder, Callbacks, CloseCode, Handle};
use tungstenite::Message;

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let url = std::env::args().nth(1);
    if url.as_deref() == Some("bot") {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        println!("ws://{}/", listener.local_addr()?);
        return serve(&listener);
    }
    let scripted = url.is_none() && !io::stdin().is_terminal();
    let mut builder = Builder::new();
    let url = match url {
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
        .on_open(|_, open| {
            println!("* connected{}", if open.reconnected { " again" } else { "" });
        })
        .on_message(|_, message| {
            // Control characters of the peer could confuse the terminal.
            let text = String::from_utf8_lossy(message.as_bytes());
            println!("< {}", text.replace(char::is_control, " "));
        })
        .on_close(|closed| println!("* {closed}"))
        .on_error(|error| println!("* {error}"));
    let app = App::new(url, callbacks)
        .with_builder(builder)
        .outbox(Outbox::new())
        .backoff(Exponential::new().base(Duration::from_millis(200)));

    // The App runs on this thread, because the other one may wait for the keyboard for ever.
    let handle = app.handle();
    thread::spawn(move || if scripted { script(&handle) } else { keyboard(&handle) });
    println!("* {}", app.run_forever()?);
    Ok(())
}

/// Sends each line that is typed, until the end of the input.
fn keyboard(handle: &Handle) {
    for line in io::stdin().lines().map_while(Result::ok) {
        send(handle, line);
    }
    stop(handle);
}

/// Sends what a user might type.
fn script(handle: &Handle) {
    for line in ["hello", "crash", "are you there?", "bye"] {
        println!("> {line}");
        send(handle, line.to_owned());
        thread::sleep(Duration::from_millis(300));
    }
    thread::sleep(Duration::from_secs(1));
    stop(handle);
}

/// Stops the App when the lines that wait are sent, or after 5 s.
fn stop(handle: &Handle) {
    if !handle.flush(Duration::from_secs(5)) {
        println!("* {} lines were not sent", handle.backlog().messages);
    }
    // The code 1000 may be sent, so this cannot fail.
    let _ = handle.stop(CloseCode::NORMAL);
}

fn send(handle: &Handle, line: String) {
    match handle.send(line) {
        Ok(Delivery::Queued { .. }) => println!("* no connection now: this line waits"),
        Ok(_) => {}
        Err(error) => println!("* {error}"),
    }
}

/// The bot: answers each line, crashes at "crash", and closes the connection at "bye".
fn serve(listener: &TcpListener) -> Result<(), Box<dyn Error + Send + Sync>> {
    loop {
        let (stream, _) = listener.accept()?;
        let mut client = tungstenite::accept(stream).map_err(|error| error.to_string())?;
        client.send(Message::text("say \"crash\" or \"bye\", or whatever you like"))?;
        while let Ok(Message::Text(line)) = client.read() {
            match line.as_str() {
                "crash" => break,
                "bye" => client.close(None)?,
                line => client.send(Message::text(format!("what do you mean by {line:?}?")))?,
            }
        }
    }
}
