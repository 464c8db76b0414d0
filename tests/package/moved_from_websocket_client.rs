//! A program for the `WebSocketApp` of Python's websocket-client 1.9.2, moved here by the guide
//! `from_websocket_client`. The program there, without its prints:
//!
//! ```python
//! class Feed:
//!     def __init__(self, url):
//!         self.tokens = self.connections = 0
//!         self.app = websocket.WebSocketApp(
//!             url, header=self.headers, cookie="session=abc", on_open=self.on_open,
//!             on_reconnect=self.on_open, on_message=self.on_message, on_pong=self.on_pong,
//!             on_error=self.on_error, on_close=self.on_close)
//!
//!     def headers(self):
//!         self.tokens += 1
//!         return ["X-Token: token-%d" % self.tokens, "X-Team: blue"]
//!
//!     def run(self):
//!         return self.app.run_forever(
//!             ping_interval=20, ping_timeout=10, reconnect=1, origin="https://app.example",
//!             sslopt={"cert_reqs": ssl.CERT_NONE, "check_hostname": False})
//!
//!     def on_open(self, app):
//!         self.connections += 1
//!         app.send("subscribe %d" % self.connections)
//!
//!     def on_message(self, app, message):
//!         if isinstance(message, bytes):
//!             app.sock.ping("now")
//!         else:
//!             app.send_bytes(bytes([0, 255]))
//!
//!     def on_pong(self, app, payload):
//!         if self.connections == 1:
//!             app.sock.send_close(1000, b"a new token")  # The server answers, and it reconnects.
//!         else:
//!             app.close(status=1000, reason=b"enough")
//! ```

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use landline::app::{Exit, Open};
use landline::backoff::Fixed;
use landline::tls::TlsOptions;
use landline::{App, Builder, Closed, Error, Handle, Handler, Keepalive, MessageRef, Sender};

type HandlerResult = Result<(), Box<dyn std::error::Error + Send + Sync>>;

static TOKENS: AtomicU32 = AtomicU32::new(0);

struct Feed {
    connections: u32,
    handle: Option<Handle>,
}

impl Feed {
    fn run(&mut self, url: &str) -> Result<Exit, Error> {
        let builder = Builder::new()
            .headers_with(|_| {
                let token = TOKENS.fetch_add(1, Ordering::Relaxed) + 1;
                Ok(vec![("X-Token".into(), format!("token-{token}"))])
            })
            .header("X-Team", "blue")
            .cookie("session=abc")
            .origin("https://app.example")
            .keepalive(Keepalive::new(Duration::from_secs(20), Duration::from_secs(10)))
            .tls(TlsOptions::new().danger_accept_any_certificate().danger_accept_any_name());
        let app = App::new(url, &mut *self)
            .with_builder(builder)
            .backoff(Fixed(Duration::from_secs(1)))
            .reconnect_after_normal_close(true);
        app.run_forever()
    }
}

impl Handler for Feed {
    fn on_open(&mut self, ws: &Sender, open: &Open<'_>) -> HandlerResult {
        self.connections += 1;
        self.handle = Some(open.handle.clone());
        println!("open {}", ws.response().status());
        Ok(ws.send(format!("subscribe {}", self.connections))?)
    }

    fn on_message(&mut self, ws: &Sender, message: MessageRef<'_>) -> HandlerResult {
        match message {
            MessageRef::Binary(bytes) => {
                println!("binary {bytes:02x?}");
                ws.ping(b"now")?;
            }
            MessageRef::Text(text) => {
                println!("text {text}");
                ws.send([0, 255])?;
            }
        }
        Ok(())
    }

    fn on_pong(&mut self, _: &Sender, payload: &[u8]) -> HandlerResult {
        println!("pong {}", String::from_utf8_lossy(payload));
        let handle = self.handle.as_ref().expect("on_open came first");
        match self.connections {
            1 => handle.reconnect((1000, "a new token"))?,
            _ => handle.stop((1000, "enough"))?,
        }
        Ok(())
    }

    fn on_error(&mut self, error: &Error) -> HandlerResult {
        println!("error {error}");
        Ok(())
    }

    fn on_close(&mut self, closed: &Closed) -> HandlerResult {
        println!("closed {} {}", closed.code(), closed.reason());
        Ok(())
    }
}

fn main() -> Result<(), Error> {
    let url = std::env::args().nth(1).expect("a URL");
    let mut feed = Feed { connections: 0, handle: None };
    let exit = feed.run(&url)?;
    let tokens = TOKENS.load(Ordering::Relaxed);
    println!("{exit}: {} connections, {tokens} tokens", feed.connections);
    Ok(())
}
