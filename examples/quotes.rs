//! Follows a price feed with a `Handler` that keeps a state, and subscribes again after each
//! reconnect.
//!
//! ```sh
//! cargo run --example quotes                                # against a server of its own
//! cargo run --example quotes -- ws://localhost:9001 ACME    # against that server, for this symbol
//! ```
//!
//! The server must understand `subscribe SYMBOL`, and send `SYMBOL PRICE`. A server forgets the
//! subscriptions with the connection, so `on_open` is the place to subscribe: it is called for each
//! connection. The example's own server breaks the connection after a few prices.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use landline::app::Open;
use landline::backoff::Exponential;
use landline::{App, Builder, Closed, Error, Handler, MessageRef, Sender};
use tungstenite::Message;

type HandlerResult = Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// The handler. Its state outlives the connections.
struct Quotes {
    symbols: Vec<String>,
    last: BTreeMap<String, f64>,
    received: usize,
    connections: usize,
}

impl Handler for Quotes {
    fn on_open(&mut self, sender: &Sender, open: &Open<'_>) -> HandlerResult {
        self.connections += 1;
        let symbols = self.symbols.join(", ");
        println!("connected at attempt {}, subscribing to {symbols}", open.attempt);
        let subscriptions: Vec<_> =
            self.symbols.iter().map(|symbol| format!("subscribe {symbol}")).collect();
        Ok(sender.send_all(&subscriptions)?) // All in one system call.
    }

    fn on_message(&mut self, _: &Sender, message: MessageRef<'_>) -> HandlerResult {
        // An error here ends the App: this server is not one that we understand.
        let MessageRef::Text(text) = message else { return Err("the price is not text".into()) };
        let (symbol, price) = text.split_once(' ').ok_or("the message is not SYMBOL PRICE")?;
        let price: f64 =
            price.parse().map_err(|error| format!("{price:?} is no price: {error}"))?;
        let before = self.last.insert(symbol.to_owned(), price);
        println!("{symbol:>6} {price:8.2} {:+.2}", price - before.unwrap_or(price));
        self.received += 1;
        Ok(())
    }

    fn on_close(&mut self, closed: &Closed) -> HandlerResult {
        println!("the connection ended: {closed}");
        Ok(())
    }

    fn on_error(&mut self, error: &Error) -> HandlerResult {
        match error {
            Error::Handler(error) => println!("not understood: {error}"),
            error => println!("cannot connect: {error}"),
        }
        Ok(())
    }
}

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
    let mut symbols: Vec<_> = args.collect();
    if symbols.is_empty() {
        symbols = vec!["ACME".to_owned(), "INITECH".to_owned()];
    }

    let (last, received, connections) = (BTreeMap::new(), 0, 0);
    let mut quotes = Quotes { symbols, last, received, connections };
    let exit = App::new(url, &mut quotes)
        .with_builder(builder)
        .backoff(Exponential::new().base(Duration::from_millis(200)))
        .run_forever()?;

    let Quotes { last, received, connections, .. } = quotes;
    println!("{exit}");
    println!("{received} prices over {connections} connections; the last ones: {last:?}");
    Ok(())
}

/// Sends ten prices of the symbols that were subscribed to, and breaks the connection. The third
/// time it closes properly instead.
fn serve(listener: &TcpListener) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let mut price = 100.0;
    for round in 1..=3 {
        let (stream, _) = listener.accept()?;
        let mut client = tungstenite::accept(stream).map_err(|error| error.to_string())?;
        let mut symbols = Vec::new();
        while symbols.len() < 2 {
            let request = client.read()?.into_text()?;
            symbols.extend(request.strip_prefix("subscribe ").map(str::to_owned));
        }
        for symbol in symbols.iter().cycle().take(10) {
            price += if symbol == "ACME" { 1.25 } else { -0.75 };
            client.send(Message::text(format!("{symbol} {price}")))?;
            thread::sleep(Duration::from_millis(20));
        }
        if round == 3 {
            client.close(None)?;
            while client.read().is_ok() {}
        }
    }
    Ok(())
}
