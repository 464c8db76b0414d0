//! Talks to a server in memory where there are neither sockets nor threads, and sees that
//! connecting by TCP fails with an error.

use std::collections::VecDeque;
use std::io;
use std::net::Shutdown;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use landline::stream::Stream;
use landline::{Builder, CloseCode, Error, Message};

fn main() -> Result<(), Error> {
    let server = Server::default();
    let mut ws = Builder::new().connect_over("ws://memory/", server.clone())?;
    ws.send("hello")?;
    assert_eq!(ws.recv()?, Message::from("hello"));
    let closed = ws.close(CloseCode::NORMAL)?;
    assert!(closed.is_clean(), "{closed:?}");
    println!("a connection over a stream in memory: {closed}");

    for url in ["ws://127.0.0.1:9/", "ws://localhost:9/"] {
        let error = landline::connect(url).expect_err("there is no network");
        // Without sockets for an address, and without threads for a name.
        assert!(matches!(error, Error::Connect(_) | Error::Io(_)), "{error:?}");
        println!("{url}: {error}");
    }
    Ok(())
}

/// A server that accepts the connection, and sends back every frame that comes.
#[derive(Clone, Debug, Default)]
struct Server(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    request: Vec<u8>,
    open: bool,
    unread: VecDeque<u8>,
}

impl Stream for Server {
    fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        io::Read::read(&mut self.0.lock().unwrap().unread, buf)
    }

    fn write(&self, buf: &[u8]) -> io::Result<usize> {
        let mut state = self.0.lock().unwrap();
        if state.open {
            state.unread.extend(unmasked(buf));
            return Ok(buf.len());
        }
        state.request.extend(buf);
        if state.request.ends_with(b"\r\n\r\n") {
            let answer = answer(std::str::from_utf8(&state.request).unwrap());
            state.unread.extend(answer.as_bytes());
            state.open = true;
        }
        Ok(buf.len())
    }

    fn set_read_timeout(&self, _: Option<Duration>) -> io::Result<()> {
        Ok(())
    }

    fn set_write_timeout(&self, _: Option<Duration>) -> io::Result<()> {
        Ok(())
    }

    fn set_nonblocking(&self, _: bool) -> io::Result<()> {
        Ok(())
    }

    fn shutdown(&self, _: Shutdown) -> io::Result<()> {
        Ok(())
    }
}

fn answer(request: &str) -> String {
    let (_, key) = request.split_once("Sec-WebSocket-Key: ").unwrap();
    let key = key.split("\r\n").next().unwrap();
    let mut sha1 = sha1_smol::Sha1::from(key);
    sha1.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\n\r\n",
        BASE64_STANDARD.encode(sha1.digest().bytes())
    )
}

/// Returns one whole short frame as a server sends it.
fn unmasked(frame: &[u8]) -> Vec<u8> {
    let [first, second, key @ ..] = frame else { panic!("not a frame: {frame:?}") };
    let (key, payload) = key.split_at(4);
    assert_eq!(usize::from(second & 0x7F), payload.len(), "not one whole frame");
    let payload = payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key);
    [*first, second & 0x7F].into_iter().chain(payload).collect()
}
