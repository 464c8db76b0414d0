//! Sensor readings that survive outages: while there is no connection they wait in the outbox, and
//! go out in order when there is one. Without an argument against a server that it starts itself,
//! which restarts, stays away for a while, and checks that nothing is lost or out of order; with a
//! URL against that server: `cargo run --example telemetry -- ws://localhost:9001`.
//!
//! A server that closes properly, as here, reads up to the client's Close, and so gets all that
//! was sent. What is on its way when a connection breaks is lost: who cannot afford that lets
//! the server confirm each reading.

use std::error::Error;
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use landline::app::{Delivery, Outbox, WhenFull};
use landline::backoff::Exponential;
use landline::{App, Builder, Callbacks, CloseCode};
use tungstenite::protocol::CloseFrame;

const READINGS: u32 = 100;

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
        .on_open(|_, _| println!("-- open"))
        .on_close(|closed| println!("-- {closed}"))
        .on_error(|error| println!("-- {error}"));
    let app = App::new(url, callbacks)
        .builder(builder)
        .outbox(Outbox::new().max_messages(1000).when_full(WhenFull::DropOldest))
        .backoff(Exponential::new().base(Duration::from_millis(200)))
        .spawn()?;

    // The sensor does not care whether there is a connection.
    let handle = app.handle();
    for number in 0..READINGS {
        let reading = format!("{number} {:.1} °C", 20.0 + f64::from(number % 7) / 2.0);
        match handle.send(reading)? {
            Delivery::Sent => println!("reading {number}"),
            Delivery::Queued { dropped: 0, .. } => println!("reading {number} waits"),
            Delivery::Queued { dropped, .. } => println!("reading {number}: {dropped} are lost"),
            _ => {}
        }
        thread::sleep(Duration::from_millis(10));
    }

    if let Some(server) = server {
        let readings = server.join().map_err(|_| "the server panicked")??;
        println!("the server has all {readings} readings, in order");
    }
    handle.stop(CloseCode::NORMAL)?;
    println!("{}; {} not sent", app.join()?, handle.take_unsent().len());
    Ok(())
}

/// Takes readings over three connections, of which two end by a restart.
fn serve(listener: &TcpListener) -> Result<u32, Box<dyn Error + Send + Sync>> {
    let mut received = 0;
    for until in [READINGS / 4, READINGS / 2, READINGS] {
        let (stream, _) = listener.accept()?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?; // A lost one would be the last.
        let mut client = tungstenite::accept(stream).map_err(|error| error.to_string())?;
        let mut closing = false;
        loop {
            if received >= until && !closing {
                let code = CloseCode::SERVICE_RESTART.value().into();
                client.close(Some(CloseFrame { code, reason: "back soon".into() }))?;
                closing = true;
            }
            // While it closes, too: up to the client's Close.
            let message = match client.read() {
                Err(tungstenite::Error::ConnectionClosed) => break,
                message => message?.into_text()?,
            };
            if message.is_empty() {
                continue; // The Close itself.
            }
            let number = message.split(' ').next().and_then(|number| number.parse().ok());
            if number != Some(received) {
                return Err(format!("reading {received} was to come, not {message:?}").into());
            }
            received += 1;
        }
        if received < READINGS {
            drop(listener.accept()?); // Not yet.
        }
    }
    Ok(received)
}
