//! Connects to the address in the first argument, sends, receives.

use std::io::{Read, Write};
fn main() {
    let address = std::env::args().nth(1).expect("an address");
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.write_all(b"hello").unwrap();
    let mut buffer = [0; 1024];
    println!("{} bytes", stream.read(&mut buffer).unwrap());
}
