//! A chat in the terminal: lines are sent, messages are printed, and a lost connection is made
//! again while lines that were typed meanwhile wait. Without an argument it talks to a bot that it
//! starts itself, and if there is no terminal, it knows what to say; with a URL to that server:
//! `cargo run --example chat -- wss://example.com/room`.

use std::error::Error;
use std::io::{self, IsTerminal as _};
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use landline::app::Outbox;
use landline::backoff::Exponential;
use landline::{App, Builder, Callbacks, CloseCode, Handle};
use tungstenite::Message;

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let url = std::env::args().nth(1);
    let scripted = url.is_none() && !io::stdin().is_terminal();
    let mut builder = Builder::new();
    let url = match url {
        Some(url) => url,
        None => {
            builder = builder.no_proxy(); // It is on this machine.
            let listener = TcpListener::bind("127.0.0.1:0")?;
            let url = format!("ws://{}/", listener.local_addr()?);
            thread::spawn(move || serve(&listener));
            url
        }
    };

    let callbacks = Callbacks::new()
        .on_open(|_, open| println!("* {}", if open.reconnected { "here again" } else { "hello" }))
        .on_message(|_, message| {
            // A peer must not talk to the terminal.
            let text = String::from_utf8_lossy(message.as_bytes());
            println!("< {}", text.replace(char::is_control, " "));
        })
        .on_close(|closed| println!("* {closed}"))
        .on_error(|error| println!("* {error}"));
    let app = App::new(url, callbacks)
        .builder(builder)
        .outbox(Outbox::new())
        .backoff(Exponential::new().base(Duration::from_millis(200)));

    // The App runs here; the other thread may wait for the keyboard for ever.
    let handle = app.handle();
    thread::spawn(move || if scripted { script(&handle) } else { keyboard(&handle) });
    println!("* {}", app.run_forever()?);
    Ok(())
}

/// Sends what is typed, until the end of the input.
fn keyboard(handle: &Handle) {
    for line in io::stdin().lines().map_while(Result::ok) {
        if let Err(error) = handle.send(line) {
            println!("* {error}");
        }
    }
    // 1000 is a code that may be sent: this cannot fail.
    let _ = handle.stop(CloseCode::NORMAL);
}

fn script(handle: &Handle) {
    for line in ["hello", "crash", "are you there?", "bye"] {
        println!("> {line}");
        if let Err(error) = handle.send(line) {
            println!("* {error}");
        }
        thread::sleep(Duration::from_millis(300));
    }
    thread::sleep(Duration::from_secs(1));
    let _ = handle.stop(CloseCode::NORMAL);
}

/// The bot answers, crashes when told to, and ends it at "bye".
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
