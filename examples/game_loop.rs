//! Draws 60 pictures a second, and receives and sends meanwhile, all on one thread. In the end it
//! prints the longest time that a frame spent in landline.
//!
//! ```sh
//! cargo run --example game_loop                           # a server that it starts itself
//! cargo run --example game_loop -- ws://localhost:9001    # that server
//! ```
//!
//! Its own server sends the state of the world 30 times a second, and now and then a map of 4 MiB.

use std::error::Error;
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use landline::error::TrySendError;
use landline::{Builder, CloseCode, WebSocket};
use tungstenite::Message;

const FRAME: Duration = Duration::from_nanos(1_000_000_000 / 60);
const FRAMES: u32 = 180;

fn main() -> Result<(), Box<dyn Error>> {
    let mut builder = Builder::new();
    let url = match std::env::args().nth(1) {
        Some(url) => url,
        None => {
            builder = builder.proxy(None); // The server is on this machine.
            let listener = TcpListener::bind("127.0.0.1:0")?;
            let url = format!("ws://{}/", listener.local_addr()?);
            thread::spawn(move || listener.accept().map(|(stream, _)| serve(&stream)));
            url
        }
    };
    // Connecting waits, so it comes before the first picture.
    let mut ws = builder.connect(&url)?;
    let mut game = Game::default();
    let start = Instant::now();
    for number in 0..FRAMES {
        let begin = Instant::now();
        game.exchange(&mut ws, number)?;
        game.longest = game.longest.max(begin.elapsed());
        // Here a game would compute and draw.
        let next = start + FRAME * (number + 1);
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    println!("{FRAMES} frames in {:.2?}", start.elapsed());
    println!("received {} messages, {} bytes", game.messages, game.bytes);
    println!("sent {}, left out {}", game.sent, game.left_out);
    println!("longest time in landline: {:?} of {FRAME:?} for a frame", game.longest);
    ws.close(CloseCode::NORMAL)?; // The game is over, so this may wait.
    Ok(())
}

#[derive(Default)]
struct Game {
    messages: usize,
    bytes: usize,
    sent: u32,
    left_out: u32,
    longest: Duration,
}

impl Game {
    /// Receives what has arrived, and sends the player's position.
    fn exchange(&mut self, ws: &mut WebSocket, number: u32) -> Result<(), landline::Error> {
        while let Some(message) = ws.try_recv()? {
            self.messages += 1;
            self.bytes += message.len();
        }
        match ws.try_send(format!("position {number}")) {
            Ok(()) => self.sent += 1,
            // The next frame has a newer position.
            Err(TrySendError::WouldBlock(_)) => self.left_out += 1,
            Err(TrySendError::Failed(_, error)) => return Err(error),
        }
        Ok(())
    }
}

/// Plays the server of the game.
fn serve(stream: &TcpStream) -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut server = tungstenite::accept(stream).map_err(|error| error.to_string())?;
    stream.set_read_timeout(Some(Duration::from_millis(33)))?;
    for turn in 0_u32.. {
        let state = if turn % 30 == 29 {
            Message::binary(vec![0; 4 << 20])
        } else {
            Message::text(format!("the world at {turn}"))
        };
        server.send(state)?;
        let next = Instant::now() + Duration::from_millis(33);
        while Instant::now() < next {
            match server.read() {
                Ok(_) => {}
                Err(tungstenite::Error::Io(error)) if has_timed_out(&error) => {}
                Err(error) => return Err(error.into()), // The client has closed.
            }
        }
    }
    Ok(())
}

/// Returns whether the timeout of a read has passed. Unix and Windows have different errors for it.
fn has_timed_out(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
}
