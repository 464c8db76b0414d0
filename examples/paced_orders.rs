//! Sends orders to an exchange that bans clients which send too fast, and tells what became of each
//! order. Sending never waits for the network, as it must be for a thread that trades, plays or
//! draws.
//!
//! ```sh
//! cargo run --example paced_orders                         # against a server of its own
//! cargo run --example paced_orders -- ws://localhost:9001  # against that server
//! ```
//!
//! Its own server takes at most five messages in half a second, pongs included, and restarts once.
//! It checks that each order comes once, in order, and none too soon.

use std::collections::VecDeque;
use std::error::Error;
use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use landline::app::{Fate, Outbox};
use landline::backoff::Exponential;
use landline::{App, Builder, Callbacks, CloseCode};
use tungstenite::Message;
use tungstenite::protocol::CloseFrame;

type AnyError = Box<dyn Error + Send + Sync>;

const ORDERS: u32 = 12;
/// The order that is taken back while it waits.
const STALE: u32 = 10;

fn main() -> Result<(), AnyError> {
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
        // The exchange allows five. One is left for pongs. The window is longer than that of the
        // exchange, because messages do not all take the same time on their way.
        .outbox(Outbox::new().pace(4, Duration::from_secs(1)))
        .backoff(Exponential::new().base(Duration::from_millis(200)))
        .spawn()?;

    // All orders come at once. The longest call shows that none waits.
    let handle = app.handle();
    let start = Instant::now();
    let mut longest = Duration::ZERO;
    let mut orders = Vec::new();
    for number in 0..ORDERS {
        let begin = Instant::now();
        orders.push(handle.send_tracked(format!("order {number}"))?);
        longest = longest.max(begin.elapsed());
    }
    let backlog = handle.backlog();
    println!("{} orders wait, {} bytes", backlog.messages, backlog.bytes);
    println!("the longest call of send_tracked took {longest:?}");

    // The price has changed: this order is worth nothing any more.
    match orders[STALE as usize].cancel() {
        Some(_) => println!("order {STALE} is taken back"),
        None => println!("order {STALE} cannot be taken back any more"),
    }

    for (number, order) in orders.iter().enumerate() {
        match order.wait(Duration::from_secs(10)) {
            Fate::Sent { at, .. } => {
                println!("order {number} was sent after {:.1?}", at.duration_since(start));
            }
            Fate::Taken => println!("order {number} was never sent"),
            fate => println!("order {number}: {fate:?}"),
        }
    }

    if let Some(server) = server {
        let most = server.join().map_err(|_| "the server panicked")??;
        println!("the exchange has all orders; at most {most} messages came in half a second");
    }
    handle.stop(CloseCode::NORMAL)?;
    println!("{}", app.join()?);
    Ok(())
}

/// Takes the orders over two connections, and pings now and then. Returns the greatest number of
/// messages in half a second.
fn serve(listener: &TcpListener) -> Result<usize, AnyError> {
    const MOST: usize = 5;
    let (mut recent, mut most) = (VecDeque::new(), 0);
    let mut expected = (0..ORDERS).filter(|&number| number != STALE).peekable();
    for until in [ORDERS / 2, ORDERS] {
        let (stream, _) = listener.accept()?;
        // If an order is lost, the wait for it must end.
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let mut client = tungstenite::accept(stream).map_err(|error| error.to_string())?;
        let mut closing = false;
        loop {
            if !closing && expected.peek().is_none_or(|&next| next >= until) {
                let code = CloseCode::SERVICE_RESTART.value().into();
                client.close(Some(CloseFrame { code, reason: "back soon".into() }))?;
                closing = true;
            }
            // Read on until the client's Close, also after this side has closed.
            let text = match client.read() {
                Err(tungstenite::Error::ConnectionClosed) => break,
                message => match message? {
                    Message::Text(text) => Some(text),
                    Message::Close(_) => continue,
                    _ => None,
                },
            };
            let now = Instant::now();
            recent.push_back(now);
            recent.retain(|&at| now.duration_since(at) < Duration::from_millis(500));
            most = most.max(recent.len());
            if most > MOST {
                return Err("the client is banned: it sends too fast".into());
            }
            let Some(text) = text else { continue };
            let order = expected.next().map(|number| format!("order {number}"));
            if order.as_deref() != Some(text.as_str()) {
                return Err(format!("expected {order:?}, got {text:?}").into());
            }
            if text.ends_with('2') {
                client.send(Message::Ping("still there?".into()))?;
            }
        }
        if until < ORDERS {
            drop(listener.accept()?); // The server is still away.
        }
    }
    Ok(most)
}
