//! Tests a program without a network: the connection is carried by a pipe in memory, to a scripted
//! server on another thread.
//!
//! ```sh
//! cargo run --example in_memory
//! ```

mod peer;
mod pipe;

use std::thread;

use landline::proto::frame::Opcode;
use landline::{Builder, CloseCode, Error, WebSocket};

use peer::Peer;
use pipe::pipe;

fn main() -> Result<(), Error> {
    let (client, server) = pipe();
    let script = thread::spawn(move || {
        let mut peer = Peer::open(&server);
        assert_eq!(peer.receive(), (Opcode::Text, b"what time is it?".to_vec()));
        peer.send(Opcode::Ping, "are you there?");
        assert_eq!(peer.receive(), (Opcode::Pong, b"are you there?".to_vec()));
        peer.send(Opcode::Text, "noon");
        assert_eq!(peer.receive().0, Opcode::Close);
        peer.close(1000);
    });
    let mut ws = Builder::new().connect_over("ws://in.memory/", client)?;
    println!("it is {}", ask(&mut ws)?);
    let closed = ws.close(CloseCode::NORMAL)?;
    println!("{closed}");
    script.join().expect("the script is kept");
    Ok(())
}

/// Is the program that is tested.
fn ask(ws: &mut WebSocket) -> Result<String, Error> {
    ws.send("what time is it?")?;
    Ok(ws.recv()?.into_text().unwrap_or_default())
}
