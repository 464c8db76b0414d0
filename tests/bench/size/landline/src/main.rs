//! Connects to the URL in the first argument, sends, receives, closes.

use landline::CloseCode;

fn main() {
    let url = std::env::args().nth(1).expect("a URL");
    let mut ws = landline::connect(&url).unwrap();
    ws.send("hello").unwrap();
    println!("{} bytes", ws.recv().unwrap().as_bytes().len());
    ws.close(CloseCode::NORMAL).unwrap();
}
