//! Replaces its connection before the server cuts it, and loses nothing: the next connection is
//! opened while the old one is still used.
//!
//! ```sh
//! cargo run --example overlap
//! ```
//!
//! The example's own server sends a feed of numbers, takes numbered orders, and cuts each
//! connection after a second. The App connects again at an age of 400 ms, first with
//! `App::overlap`, and then without it, to show the difference.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use landline::app::{Exit, Outbox};
use landline::backoff::Exponential;
use landline::{App, Builder, Callbacks, Handle};
use tungstenite::{Error as ServerError, Message};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The age at which the server cuts a connection.
const SERVER_AGE: Duration = Duration::from_secs(1);
/// The age at which the App replaces it.
const MAX_AGE: Duration = Duration::from_millis(400);
const ORDERS: usize = 400;

fn main() -> Result<(), BoxError> {
    for overlap in [true, false] {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let url = format!("ws://{}/", listener.local_addr()?);
        let orders = Arc::new(Mutex::new(Vec::new()));
        let taken = orders.clone();
        thread::spawn(move || serve(&listener, &taken));

        let (mut connections, mut feed) = (0, Feed::default());
        let callbacks = Callbacks::new()
            .on_open(|_, _| connections += 1)
            .on_message(|_, message| feed.take(message.as_text().unwrap_or_default()));
        let app = App::new(url, callbacks)
            .with_builder(Builder::new().proxy(None)) // The server is on this machine.
            .connect_with(|attempt| {
                // The old connection goes on until the server has answered here. A subscription in
                // `on_open` would not wait for that, and numbers could be missing. A server that
                // never answers must not hold up the next attempt.
                let mut ws = attempt.builder.connect(attempt.url)?;
                ws.send("subscribe")?;
                ws.recv_timeout(Duration::from_secs(5))?;
                Ok(ws)
            })
            .backoff(Exponential::new().base(Duration::from_millis(10)))
            .outbox(Outbox::new())
            .max_age(MAX_AGE)
            .overlap(overlap);

        let handle = app.handle();
        let trader = thread::spawn(move || {
            let traded = trade(&handle);
            // Without this the App would run on after an error.
            handle.stop(1000)?;
            traded
        });
        let exit = app.run_forever()?;
        assert!(matches!(exit, Exit::Stopped), "{exit}");
        trader.join().map_err(|_| "the trader panicked")??;

        println!("overlap: {overlap}");
        println!("  {connections} connections");
        let Feed { last, missing, again } = feed;
        println!("  feed: {last} numbers, {missing} missing, {again} came twice");
        let orders = orders.lock().unwrap_or_else(PoisonError::into_inner);
        let in_order = orders.iter().copied().eq(0..ORDERS);
        println!(
            "  orders: {} of {ORDERS} taken, each once and in order: {in_order}",
            orders.len()
        );
    }
    Ok(())
}

/// Sends the orders, and waits until the outbox is empty.
fn trade(handle: &Handle) -> Result<(), BoxError> {
    for number in 0..ORDERS {
        handle.send(format!("order {number}"))?;
        thread::sleep(Duration::from_millis(5));
    }
    if handle.flush(Duration::from_secs(10)) {
        Ok(())
    } else {
        Err(format!("{} orders were not sent", handle.backlog().messages).into())
    }
}

/// Looks for gaps in the feed. While two connections are open, both get it: a program must tell by
/// the number that it has seen a message before.
#[derive(Default)]
struct Feed {
    last: u128,
    missing: u128,
    again: u128,
}

impl Feed {
    fn take(&mut self, text: &str) {
        let Ok(number) = text.parse::<u128>() else { return };
        if self.last > 0 && number <= self.last {
            self.again += 1;
        } else {
            self.missing += if self.last > 0 { number - self.last - 1 } else { 0 };
            self.last = number;
        }
    }
}

fn serve(listener: &TcpListener, orders: &Arc<Mutex<Vec<usize>>>) {
    let start = Instant::now();
    for stream in listener.incoming().map_while(Result::ok) {
        let orders = orders.clone();
        thread::spawn(move || serve_one(stream, start, &orders));
    }
}

/// Sends the number of each millisecond from the subscription on, and takes orders.
fn serve_one(
    stream: TcpStream,
    start: Instant,
    orders: &Mutex<Vec<usize>>,
) -> Result<(), BoxError> {
    let born = Instant::now();
    let mut client = tungstenite::accept(stream).map_err(|error| error.to_string())?;
    client.get_ref().set_read_timeout(Some(Duration::from_millis(2)))?;
    let mut next = None;
    while born.elapsed() < SERVER_AGE {
        match client.read() {
            Ok(Message::Text(text)) if text.as_str() == "subscribe" => {
                next = Some(start.elapsed().as_millis());
                client.send(Message::text("subscribed"))?;
            }
            Ok(Message::Text(text)) => {
                let number = text.strip_prefix("order ").ok_or("not understood")?.parse()?;
                orders.lock().unwrap_or_else(PoisonError::into_inner).push(number);
            }
            Ok(_) => {}
            Err(ServerError::Io(error)) if has_timed_out(&error) => {}
            Err(error) => return Err(error.into()), // The client has closed.
        }
        if let Some(next) = &mut next {
            while client.can_write() && *next <= start.elapsed().as_millis() {
                client.send(Message::text(next.to_string()))?;
                *next += 1;
            }
        }
    }
    println!("  the server cuts a connection");
    Ok(())
}

/// Returns whether the timeout of a read has passed. Unix and Windows have different errors for it.
fn has_timed_out(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}
