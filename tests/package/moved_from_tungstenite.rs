//! A program for tungstenite 0.30, moved here by the guide `from_tungstenite`: two threads send,
//! and one receives. The program there, without its `use`, its prints and its `match` of errors:
//!
//! ```ignore
//! let mut request = url.into_client_request()?;
//! request.headers_mut().insert("X-Team", HeaderValue::from_static("blue"));
//! let config = WebSocketConfig::default().max_message_size(Some(1 << 20));
//! let (mut socket, response) = connect_with_config(request, Some(config), 3)?;
//! match socket.get_mut() {
//!     MaybeTlsStream::Plain(stream) => set_up(stream)?, // No delay, a read timeout of 10 ms.
//!     MaybeTlsStream::Rustls(stream) => set_up(&stream.sock)?,
//!     _ => unreachable!(),
//! }
//! let socket = Arc::new(Mutex::new(socket));
//! let reader = thread::spawn({
//!     let socket = socket.clone();
//!     move || {
//!         loop {
//!             let message = socket.lock().unwrap().read();
//!             match message {
//!                 Ok(Message::Text(text)) => texts.push(text.to_string()),
//!                 Ok(Message::Pong(payload)) => println!("pong of {} byte", payload.len()),
//!                 Ok(Message::Close(frame)) => println!("closed {}", frame.unwrap().code),
//!                 Ok(Message::Ping(_) | Message::Binary(_) | Message::Frame(_)) => {}
//!                 Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => {
//!                     thread::sleep(Duration::from_millis(1)); // Lets the writers have the lock.
//!                 }
//!                 Err(Error::ConnectionClosed) => return Ok(texts),
//!                 Err(error) => return Err(error),
//!             }
//!         }
//!     }
//! });
//! // In each of two threads:
//! socket.lock().unwrap().send(Message::text(format!("{name} {number}")))?;
//! // In the end, when the reader has said that it has all:
//! socket.lock().unwrap().send(Message::Ping("p".into()))?;
//! let reason = CloseFrame { code: CloseCode::Normal, reason: "bye".into() };
//! socket.lock().unwrap().close(Some(reason))?;
//! let texts = reader.join().unwrap()?;
//! ```

use std::sync::mpsc;
use std::thread;

use landline::{Builder, Error, Event, Receiver, Sender};

const EACH: usize = 3;

fn main() -> Result<(), Error> {
    let url = std::env::args().nth(1).expect("a URL");
    let ws = Builder::new().header("X-Team", "blue").max_message_size(1 << 20).connect(&url)?;
    println!("status {}", ws.response().status());
    let (receiver, sender) = ws.split();
    let (all, have_all) = mpsc::channel();
    let reader = thread::spawn(move || read(receiver, &all));
    let writers = ["bid", "ask"].map(|name| {
        let sender = sender.clone();
        thread::spawn(move || write(&sender, name))
    });
    for writer in writers {
        writer.join().unwrap()?;
    }
    sender.ping(b"p")?;
    have_all.recv().expect("all echoes");
    sender.close((1000, "bye"))?;
    let mut texts = reader.join().unwrap()?;
    texts.sort();
    println!("{}", texts.join(", "));
    Ok(())
}

fn write(sender: &Sender, name: &str) -> Result<(), Error> {
    for number in 0..EACH {
        sender.send(format!("{name} {number}"))?;
    }
    Ok(())
}

fn read(mut receiver: Receiver, all: &mpsc::Sender<()>) -> Result<Vec<String>, Error> {
    let mut texts = Vec::new();
    loop {
        match receiver.next_event() {
            Ok(Event::Text(text)) => texts.push(text.to_owned()),
            Ok(Event::Pong(payload)) => {
                println!("pong of {} byte", payload.len());
                let _ = all.send(());
            }
            Ok(_) => {}
            Err(Error::Closed(closed)) => {
                println!("closed {}", closed.code());
                return Ok(texts);
            }
            Err(error) => return Err(error),
        }
    }
}
