//! The GUI client on tungstenite: one thread owns the connection. In turn it looks for a message to
//! send, and reads with a timeout.

use std::io::ErrorKind;
use std::net::TcpStream;
use std::sync::mpsc::{self, TryRecvError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tungstenite::stream::MaybeTlsStream;
use tungstenite::{Error, Message, WebSocket};

use super::{OnText, Transport};

/// The timeout of a read.
const READ: Duration = Duration::from_millis(10);

struct Polled {
    messages: mpsc::Sender<String>,
    thread: JoinHandle<()>,
}

pub fn connect(url: &str, on_text: OnText) -> Box<dyn Transport> {
    let (ws, _) = tungstenite::connect(url).unwrap();
    super::set_read_timeout(&ws, READ);
    let (messages, to_send) = mpsc::channel();
    let thread = thread::spawn(move || run(ws, &to_send, on_text));
    Box::new(Polled { messages, thread })
}

fn run(
    mut ws: WebSocket<MaybeTlsStream<TcpStream>>,
    to_send: &mpsc::Receiver<String>,
    mut on_text: OnText,
) {
    loop {
        match to_send.try_recv() {
            Ok(text) => ws.send(Message::text(text)).unwrap(),
            Err(TryRecvError::Empty) => {}
            // This does not wait for the Close of the server.
            Err(TryRecvError::Disconnected) => return ws.close(None).unwrap(),
        }
        match ws.read() {
            Ok(Message::Text(text)) => on_text(&text),
            Ok(_) => {}
            Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => panic!("{error}"),
        }
        thread::yield_now();
    }
}

impl Transport for Polled {
    fn send(&self, text: String) {
        self.messages.send(text).unwrap();
    }

    fn stop(self: Box<Self>) {
        drop(self.messages);
        self.thread.join().unwrap();
    }
}
