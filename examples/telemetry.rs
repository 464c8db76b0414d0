//! Sends the readings of a sensor, also those of an outage: while there is no connection they wait
//! in the outbox, and when there is one again they are sent in order.
//!
//! ```sh
//! cargo run --example telemetry                           # against a server that it starts itself
//! cargo run --example telemetry -- ws://localhost:9001    # against that server
//! ```
//!
//! Its own server restarts twice, stays away for a while, and checks that no reading is lost or out
//! of order.
//!
//! A server that closes properly, as this one does, reads until the client's Close, and so gets all
//! that was sent. Readings that are on their way when a connection breaks are lost. If you cannot
//! afford that, let the server confirm each reading.

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
            builder = builder.proxy(None); // The server is on this machine.
            let listener = TcpListener::bind("127.0.0.1:0")?;
            let url = format!("ws://{}/", listener.local_addr()?);
            (url, Some(thread::spawn(move || serve(&listener))))
        }
    };

    let callbacks = Callbacks::new()
        .on_open(|_, _| println!("-- connected"))
        .on_close(|closed| println!("-- the connection ended: {closed}"))
        .on_error(|error| println!("-- cannot connect: {error}"));
    let app = App::new(url, callbacks)
        .with_builder(builder)
        .outbox(Outbox::new().max_messages(1000).when_full(WhenFull::DropOldest))
        .backoff(Exponential::new().base(Duration::from_millis(200)))
        .spawn()?;

    // The sensor need not know whether there is a connection.
    let handle = app.handle();
    for number in 0..READINGS {
        let reading = format!("{number} {:.1} °C", 20.0 + f64::from(number % 7) / 2.0);
        match handle.send(reading)? {
            Delivery::Sent => println!("reading {number} is sent"),
            Delivery::Queued { dropped: 0, .. } => println!("reading {number} waits"),
            Delivery::Queued { dropped, .. } => {
                println!("reading {number} waits, and {dropped} older ones are dropped");
            }
            _ => {}
        }
        thread::sleep(Duration::from_millis(10));
    }

    if let Some(server) = server {
        let readings = server.join().map_err(|_| "the server panicked")??;
        println!("the server has all {readings} readings, in order");
    }
    // `stop` leaves in the outbox what waits there. Another server may be slow, or away.
    if !handle.flush(Duration::from_secs(5)) {
        println!("some readings still wait after 5 s");
    }
    handle.stop(CloseCode::NORMAL)?;
    let exit = app.join()?;
    println!("{exit}; {} readings were not sent", handle.take_unsent().len());
    Ok(())
}

/// Takes readings over three connections. Two of them end by a restart.
fn serve(listener: &TcpListener) -> Result<u32, Box<dyn Error + Send + Sync>> {
    let mut received = 0;
    for until in [READINGS / 4, READINGS / 2, READINGS] {
        let (stream, _) = listener.accept()?;
        // If a reading is lost, the wait for it must end.
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let mut client = tungstenite::accept(stream).map_err(|error| error.to_string())?;
        let mut closing = false;
        loop {
            if received >= until && !closing {
                let code = CloseCode::SERVICE_RESTART.value().into();
                client.close(Some(CloseFrame { code, reason: "back soon".into() }))?;
                closing = true;
            }
            // Read on until the client's Close, also after this side has closed.
            let message = match client.read() {
                Err(tungstenite::Error::ConnectionClosed) => break,
                message => message?.into_text()?,
            };
            if message.is_empty() {
                continue; // This is the Close itself.
            }
            let number = message.split(' ').next().and_then(|number| number.parse().ok());
            if number != Some(received) {
                return Err(format!("expected reading {received}, got {message:?}").into());
            }
            received += 1;
        }
        if received < READINGS {
            drop(listener.accept()?); // The server is still away.
        }
    }
    Ok(received)
}
