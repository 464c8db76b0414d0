//! Connects to the URL in the first argument, sends, receives, closes.

use tungstenite::{Error, Message};

fn main() {
    let url = std::env::args().nth(1).expect("a URL");
    let (mut ws, _) = tungstenite::connect(&url).unwrap();
    ws.send(Message::text("hello")).unwrap();
    println!("{} bytes", ws.read().unwrap().len());
    ws.close(None).unwrap();
    loop {
        match ws.read() {
            Ok(_) => {}
            Err(Error::ConnectionClosed) => return,
            Err(error) => panic!("{error}"),
        }
    }
}
