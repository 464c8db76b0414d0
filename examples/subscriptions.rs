//! Logs in and subscribes again after each reconnect, in a loop without callbacks.
//!
//! ```sh
//! cargo run --example subscriptions                                # with a server of its own
//! cargo run --example subscriptions -- ws://localhost:9001 ACME    # with that server
//! ```
//!
//! The server must answer `login NAME` with `welcome NAME`, understand `subscribe SYMBOL`, and send
//! `SYMBOL PRICE`. The example's own server breaks the connection after a few prices.

use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use landline::app::Connection;
use landline::backoff::Exponential;
use landline::{App, Builder, Error};
use tungstenite::Message;

fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let mut args = std::env::args().skip(1);
    let mut builder = Builder::new();
    let url = match args.next() {
        Some(url) => url,
        None => {
            builder = builder.proxy(None); // The server is on this machine.
            let listener = TcpListener::bind("127.0.0.1:0")?;
            let url = format!("ws://{}/", listener.local_addr()?);
            thread::spawn(move || serve(&listener));
            url
        }
    };
    let symbol = args.next().unwrap_or_else(|| "ACME".to_owned());

    let app = App::new(url, ())
        .with_builder(builder)
        .backoff(Exponential::new().base(Duration::from_millis(200)))
        .retry_if(|failure| {
            println!("{failure}"); // Each failure, before the wait.
            failure.is_retryable()
        });
    let mut connections = app.connections();
    let mut received = 0;
    for connection in &mut connections {
        // An error here is final: a wrong URL, or a refusal of the first attempt.
        let mut connection = connection?;
        println!("connected at attempt {}", connection.attempt());
        // The connection is lost, or the answer is late: the next one comes after a while.
        let Ok(welcome) = subscribe(&mut connection, &symbol) else { continue };
        println!("{welcome}");
        for message in connection.messages_until_end() {
            println!("{}", message.as_text().ok_or("the price is not text")?);
            received += 1;
        }
    }
    let exit = connections.exit().map(ToString::to_string).unwrap_or_default();
    println!("{received} prices; {exit}");
    Ok(())
}

/// Logs in, waits for the answer, and subscribes. A callback could not wait. A server that does not
/// answer in time gets another connection, because the loop drops this one.
fn subscribe(connection: &mut Connection, symbol: &str) -> Result<String, Error> {
    connection.send("login guest")?;
    let welcome = connection.recv_timeout(Duration::from_secs(5))?;
    let welcome = welcome.as_text().unwrap_or_default().to_owned();
    connection.send(format!("subscribe {symbol}"))?;
    Ok(welcome)
}

/// Sends five prices of the symbol that was subscribed to, and breaks the connection. The third
/// time it closes properly instead.
fn serve(listener: &TcpListener) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    for round in 1..=3 {
        let (stream, _) = listener.accept()?;
        let mut client = tungstenite::accept(stream).map_err(|error| error.to_string())?;
        let login = client.read()?.into_text()?;
        client.send(Message::text(login.replace("login", "welcome")))?;
        let request = client.read()?.into_text()?;
        let symbol = request.strip_prefix("subscribe ").ok_or("no subscription")?;
        for cents in 0..5 {
            client.send(Message::text(format!("{symbol} {}.{cents}0", 100 + round)))?;
            thread::sleep(Duration::from_millis(20));
        }
        if round == 3 {
            client.close(None)?;
            while client.read().is_ok() {}
        }
    }
    Ok(())
}
