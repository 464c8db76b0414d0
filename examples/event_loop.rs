//! Drives 1,000 connections from one thread, by a loop of `mio`. Each sends a message, waits for
//! the answer, and begins again, ten times. The rules of the loop are in the documentation,
//! `landline::guide::event_loops`.
//!
//! ```sh
//! cargo run --example event_loop            # 1,000 connections
//! cargo run --example event_loop -- 100     # 100 connections
//! ```
//!
//! The server is another process of this program, because a process may often have only 1,024
//! files.

// Sockets that are not its own can be given to `mio` only on Unix.
#[cfg(unix)]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    match std::env::args().nth(1).as_deref() {
        Some("--server") => server::run(),
        Some(count) => client::run(count.parse()?),
        None => client::run(1000),
    }
}

#[cfg(not(unix))]
fn main() {
    println!("this example needs Unix");
}

#[cfg(unix)]
mod client {
    use std::collections::BTreeSet;
    use std::error::Error;
    use std::io::{BufRead as _, BufReader, ErrorKind};
    use std::os::fd::AsRawFd as _;
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};

    use landline::error::TrySendError;
    use landline::{Builder, CloseCode, Keepalive, Message, WebSocket};
    use mio::unix::SourceFd;
    use mio::{Events, Interest, Poll, Token};

    const ROUNDS: u32 = 10;

    pub(crate) fn run(count: usize) -> Result<(), Box<dyn Error>> {
        let mut server = Command::new(std::env::current_exe()?)
            .arg("--server")
            .stdin(Stdio::piped()) // The server ends when this is closed.
            .stdout(Stdio::piped())
            .spawn()?;
        let mut url = String::new();
        BufReader::new(server.stdout.take().ok_or("no output")?).read_line(&mut url)?;

        let keepalive = Keepalive::new(Duration::from_secs(5), Duration::from_secs(5));
        let builder = Builder::new().proxy(None).keepalive(keepalive);
        let start = Instant::now();
        let mut connections = Connections::default();
        for _ in 0..count {
            connections.all.push(Some(Connection::new(builder.connect(url.trim())?)));
        }
        println!("{count} connections are open after {:.2?}", start.elapsed());

        let start = Instant::now();
        let wakes = connections.run()?;
        let (messages, took) = (count * ROUNDS as usize, start.elapsed());
        println!("{messages} messages there and back in {took:.2?}, in {wakes} turns of the loop");

        drop(server.stdin.take());
        server.wait()?;
        Ok(())
    }

    #[derive(Default)]
    struct Connections {
        all: Vec<Option<Connection>>,
        /// Says when a connection must be called at the latest, and which one.
        due: BTreeSet<(Instant, usize)>,
    }

    impl Connections {
        /// Runs the loop until all connections are closed. Returns how often it waited.
        fn run(&mut self) -> Result<u64, Box<dyn Error>> {
            let mut poll = Poll::new()?;
            let mut events = Events::with_capacity(256);
            for (number, connection) in self.all.iter().flatten().enumerate() {
                let fd = connection.ws.fd().ok_or("no descriptor")?.as_raw_fd();
                let both = Interest::READABLE | Interest::WRITABLE;
                // `mio` is edge-triggered, so this is needed only once.
                poll.registry().register(&mut SourceFd(&fd), Token(number), both)?;
            }
            for number in 0..self.all.len() {
                self.drive(number, &poll)?;
            }
            let mut wakes = 0;
            while self.all.iter().any(Option::is_some) {
                let next = self.due.first().map(|(at, _)| at.duration_since(Instant::now()));
                match poll.poll(&mut events, next) {
                    // A process that was stopped goes on, for example.
                    Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                    polled => polled?,
                }
                wakes += 1;
                for event in &events {
                    self.drive(event.token().0, &poll)?;
                }
                let now = Instant::now();
                while let Some(&(_, number)) = self.due.first().filter(|(at, _)| *at <= now) {
                    self.drive(number, &poll)?;
                }
            }
            Ok(wakes)
        }

        /// Does all that one connection can do now.
        fn drive(&mut self, number: usize, poll: &Poll) -> Result<(), Box<dyn Error>> {
            let Some(connection) = &mut self.all[number] else { return Ok(()) };
            if let Some(at) = connection.due.take() {
                self.due.remove(&(at, number));
            }
            if connection.drive()? {
                connection.due = connection.ws.call_by();
                self.due.extend(connection.due.map(|at| (at, number)));
            } else {
                let fd = connection.ws.fd().ok_or("no descriptor")?.as_raw_fd();
                poll.registry().deregister(&mut SourceFd(&fd))?;
                self.all[number] = None;
            }
            Ok(())
        }
    }

    struct Connection {
        ws: WebSocket,
        /// The message to send next.
        next: Option<Message>,
        round: u32,
        due: Option<Instant>,
    }

    impl Connection {
        fn new(ws: WebSocket) -> Self {
            Self { ws, next: Some("round 0".into()), round: 0, due: None }
        }

        /// Returns `false` once the connection is over.
        fn drive(&mut self) -> Result<bool, Box<dyn Error>> {
            loop {
                // There is one message at a time, and no other thread. So if it is given back, the
                // socket becomes writable later.
                if let Some(message) = self.next.take() {
                    match self.ws.try_send(message) {
                        Ok(()) => {}
                        Err(TrySendError::WouldBlock(message)) => self.next = Some(message),
                        Err(TrySendError::Failed(_, error)) => return Err(error.into()),
                    }
                }
                match self.ws.try_recv() {
                    Ok(Some(message)) => self.answered(&message)?,
                    Ok(None) if self.ws.has_more() => {}
                    Ok(None) => return Ok(true),
                    Err(error) if error.closed().is_some_and(|closed| closed.is_clean()) => {
                        return Ok(false);
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        }

        fn answered(&mut self, message: &Message) -> Result<(), Box<dyn Error>> {
            if message.as_text() != Some(&*format!("round {}", self.round)) {
                return Err(format!("a wrong answer: {message:?}").into());
            }
            self.round += 1;
            if self.round < ROUNDS {
                self.next = Some(format!("round {}", self.round).into());
            } else {
                self.ws.sender().close(CloseCode::NORMAL)?;
            }
            Ok(())
        }
    }
}

#[cfg(unix)]
mod server {
    use std::error::Error;
    use std::io::{self, Read as _};
    use std::net::{TcpListener, TcpStream};
    use std::{process, thread};

    /// Echoes on each connection, by a thread for each. Ends when the standard input ends.
    pub(crate) fn run() -> Result<(), Box<dyn Error>> {
        thread::spawn(|| {
            let _ = io::stdin().read_to_end(&mut Vec::new());
            process::exit(0);
        });
        let listener = TcpListener::bind("127.0.0.1:0")?;
        println!("ws://{}/", listener.local_addr()?);
        for stream in listener.incoming() {
            let stream = stream?;
            thread::Builder::new().stack_size(256 << 10).spawn(move || echo(&stream))?;
        }
        Ok(())
    }

    fn echo(stream: &TcpStream) {
        let Ok(mut server) = tungstenite::accept(stream) else { return };
        while let Ok(message) = server.read() {
            if (message.is_text() || message.is_binary()) && server.send(message).is_err() {
                return;
            }
        }
    }
}
