//! Keeps a connection to the URL in the first argument, sends, receives, closes.

use landline::{App, Callbacks, CloseCode};

fn main() {
    let url = std::env::args().nth(1).expect("a URL");
    let callbacks = Callbacks::new().on_open(|ws, _| ws.send("hello")).on_message(|ws, message| {
        println!("{} bytes", message.as_bytes().len());
        ws.close(CloseCode::NORMAL)
    });
    App::new(&url, callbacks).run_forever().unwrap();
}
