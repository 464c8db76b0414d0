//! The browser driver on tungstenite: the connection is in a mutex, because its `read` and its
//! `send` need it as a whole. The thread that reads holds the mutex for as long as a read takes, so
//! reads have a timeout, and a pause follows it. A thread that sends waits for the mutex, and then
//! ends the pause.

use std::io::ErrorKind;
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tungstenite::error::ProtocolError;
use tungstenite::stream::MaybeTlsStream;
use tungstenite::{Error, Message, WebSocket};

use super::{OnText, Transport};

/// The timeout of a read, and the length of the pause.
const READ: Duration = Duration::from_millis(100);

type Connection = Arc<Mutex<WebSocket<MaybeTlsStream<TcpStream>>>>;

struct Locked {
    connection: Connection,
    reader: JoinHandle<()>,
}

pub fn connect(url: &str, on_text: OnText) -> Box<dyn Transport> {
    let (ws, _) = tungstenite::connect(url).unwrap();
    super::set_read_timeout(&ws, READ);
    let connection = Arc::new(Mutex::new(ws));
    let reader = connection.clone();
    let reader = thread::spawn(move || receive(&reader, on_text));
    Box::new(Locked { connection, reader })
}

fn receive(connection: &Connection, mut on_text: OnText) {
    loop {
        let message = connection.lock().unwrap().read();
        match message {
            Ok(Message::Text(text)) => on_text(&text),
            Ok(_) => {}
            Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => {
                thread::park_timeout(READ);
            }
            Err(Error::ConnectionClosed) => return,
            // The server may send one more event behind its Close.
            Err(Error::Protocol(ProtocolError::ReceivedAfterClosing)) => return,
            Err(error) => panic!("{error}"),
        }
    }
}

impl Transport for Locked {
    fn send(&self, text: String) {
        self.connection.lock().unwrap().send(Message::text(text)).unwrap();
        self.reader.thread().unpark();
    }

    fn stop(self: Box<Self>) {
        self.connection.lock().unwrap().close(None).unwrap();
        self.reader.thread().unpark();
        self.reader.join().unwrap();
    }
}
