//! Connects to the URL in the first argument with compression, sends, receives, closes.

use landline::deflate::Deflate;
use landline::{Builder, CloseCode};

fn main() {
    let url = std::env::args().nth(1).expect("a URL");
    let mut ws = Builder::new().deflate(Deflate::new()).connect(&url).unwrap();
    ws.send("hello").unwrap();
    println!("{} bytes", ws.recv().unwrap().as_bytes().len());
    ws.close(CloseCode::NORMAL).unwrap();
}
