//! A price feed. The server forgets who wants what when it loses a connection: `on_open` runs for
//! each, so that is where to subscribe. Without an argument against a server that it starts
//! itself, which hangs up after a few prices; with a URL and symbols against one that understands
//! `subscribe SYMBOL` and sends `SYMBOL PRICE`:
//! `cargo run --example quotes -- ws://localhost:9001 ACME`.

use std::collections::BTreeMap;
use std::error::Error;
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use landline::app::Open;
use landline::backoff::Exponential;
use landline::{App, Builder, Closed, Handler, MessageRef, Sender};
use tungstenite::Message;

type HandlerResult = Result<(), Box<dyn Error + Send + Sync>>;

/// The state of the handler: it outlives the connections.
struct Quotes {
    symbols: Vec<String>,
    last: BTreeMap<String, f64>,
    received: usize,
    connections: usize,
}

impl Handler for Quotes {
    fn on_open(&mut self, sender: &Sender, open: &Open<'_>) -> HandlerResult {
        self.connections += 1;
        println!("open at attempt {}: subscribing to {}", open.attempt, self.symbols.join(", "));
        let subscriptions: Vec<_> =
            self.symbols.iter().map(|symbol| format!("subscribe {symbol}")).collect();
        Ok(sender.send_all(&subscriptions)?) // All in one system call.
    }

    fn on_message(&mut self, _: &Sender, message: MessageRef<'_>) -> HandlerResult {
        let MessageRef::Text(text) = message else { return Err("a price is text".into()) };
        let (symbol, price) = text.split_once(' ').ok_or("SYMBOL PRICE, please")?;
        let price: f64 = price.parse()?;
        let before = self.last.insert(symbol.to_owned(), price);
        println!("{symbol:>6} {price:8.2} {:+.2}", price - before.unwrap_or(price));
        self.received += 1;
        Ok(())
    }

    fn on_close(&mut self, closed: &Closed) -> HandlerResult {
        println!("{closed}");
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut args = std::env::args().skip(1);
    let mut builder = Builder::new();
    let url = match args.next() {
        Some(url) => url,
        None => {
            builder = builder.no_proxy(); // It is on this machine.
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
        .builder(builder)
        .backoff(Exponential::new().base(Duration::from_millis(200)))
        .run_forever()?;

    let Quotes { last, received, connections, .. } = quotes;
    println!("{exit}: {received} prices over {connections} connections, the last: {last:?}");
    Ok(())
}

/// Sends prices of what was subscribed to, and hangs up after ten; the third time it closes.
fn serve(listener: &TcpListener) -> Result<(), Box<dyn Error + Send + Sync>> {
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
