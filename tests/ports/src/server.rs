//! The server, in a process of its own. It takes calls: JSON with an `id`, a `method` and `params`.
//!
//! * `double` answers with twice the number that `params` is.
//! * `note` is not answered.
//! * `watch` is not answered; from then on an event comes every so many milliseconds, numbered.

use std::error::Error;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tungstenite::protocol::Role;
use tungstenite::{Message, WebSocket};

use crate::process::Another;

type Writer = Arc<Mutex<WebSocket<TcpStream>>>;

/// Prints the URL, and serves until the other process is gone.
pub fn serve() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    println!("ws://{}/", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || {
                // A client that ends the connection is no error.
                let _ = answer(&stream);
                // The thread of `watch` has the socket too.
                let _ = stream.shutdown(Shutdown::Both);
            });
        }
    });
    Another::wait_until_dropped();
}

fn answer(stream: &TcpStream) -> Result<(), Box<dyn Error>> {
    stream.set_nodelay(true)?;
    let mut client = tungstenite::accept(stream.try_clone()?)?;
    // The answers and the events are written through a WebSocket of their own.
    let writer = WebSocket::from_raw_socket(stream.try_clone()?, Role::Server, None);
    let writer = Arc::new(Mutex::new(writer));
    loop {
        let Message::Text(text) = client.read()? else { continue };
        let call: Value = serde_json::from_str(&text)?;
        let number = call["params"].as_u64().ok_or("the parameter is no number")?;
        match call["method"].as_str() {
            Some("double") => send(&writer, &json!({ "id": call["id"], "result": 2 * number }))?,
            Some("note") => {}
            Some("watch") => {
                let writer = writer.clone();
                thread::spawn(move || watch(&writer, Duration::from_millis(number)));
            }
            method => return Err(format!("there is no method {method:?}").into()),
        }
    }
}

fn watch(writer: &Writer, every: Duration) {
    for number in 1.. {
        thread::sleep(every);
        if send(writer, &json!({ "method": "tick", "params": number })).is_err() {
            return;
        }
    }
}

fn send(writer: &Writer, message: &Value) -> Result<(), tungstenite::Error> {
    writer.lock().unwrap().send(Message::text(message.to_string()))
}
