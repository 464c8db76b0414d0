//! Hands each client a text message with a byte that no UTF-8 has, over a server in memory, and
//! prints what the client makes of it: for texts of 100 bytes and of 1 MiB.

use landline::{Builder, Message};
use landline_bench::memory::Memory;
use landline_bench::wire::frame;
use nexus_web::ws::{ClientBuilder, Message as NexusMessage};
use tungstenite::Message as TungsteniteMessage;

fn main() {
    for len in [100, 1 << 20] {
        let mut text = vec![b'a'; len];
        text[len / 2] = 0xFF;
        let memory = || Memory::new(frame(0x81, &text));
        println!("{len} bytes, landline: {}", landline(memory()));
        println!("{len} bytes, nexus-web: {}", nexus_web(memory()));
        println!("{len} bytes, tungstenite: {}", tungstenite(memory()));
    }
}

fn landline(memory: Memory) -> String {
    let mut ws = Builder::new().connect_over("ws://localhost", memory).unwrap();
    match ws.recv() {
        Ok(Message::Text(text)) => accepted(text.as_bytes()),
        other => format!("{:?}", other.unwrap_err()),
    }
}

fn nexus_web(memory: Memory) -> String {
    let mut ws = ClientBuilder::new().connect_with(memory, "ws://localhost").unwrap();
    match ws.recv() {
        Ok(Some(NexusMessage::Text(text))) => accepted(text.as_bytes()),
        Ok(_) => "not a text".to_owned(),
        Err(error) => format!("{error:?}"),
    }
}

fn tungstenite(memory: Memory) -> String {
    let mut ws = tungstenite::client("ws://localhost", memory).unwrap().0;
    match ws.read() {
        Ok(TungsteniteMessage::Text(text)) => accepted(text.as_bytes()),
        other => format!("{:?}", other.unwrap_err()).chars().take(60).collect(),
    }
}

fn accepted(text: &[u8]) -> String {
    let valid = std::str::from_utf8(text).is_ok();
    format!("accepted as a text, which is {} UTF-8", if valid { "valid" } else { "not" })
}
