//! Runs one `App` that connects again and again: `reconnects [COUNT]`, 100,000 times by default.
//! The server, in another process, accepts, upgrades, sends one message, and resets the connection
//! when the App has answered. At the end no descriptor, no thread and no memory may be left.

use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use landline::app::{Exit, Open};
use landline::backoff::Fixed;
use landline::{App, Handler, MessageRef, Sender};
use landline_bench::process::{Another, descriptors, resident, threads};
use landline_bench::server::shake_hands;
use landline_bench::wire::header;

type HandlerResult = Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// The number of addresses of the server. The ports of one address are not enough for all
/// connections.
const ADDRESSES: u8 = 8;
/// The number of connections after which caches are filled and the allocator has its arenas.
const WARM_UP: usize = 1000;
/// The number of bytes of resident memory that may be left. They are pages of the allocator, and
/// not bytes of connections.
const TOLERANCE: usize = 512 * 1024;

fn main() -> ExitCode {
    let argument = std::env::args().nth(1).unwrap_or_else(|| "100000".to_owned());
    if argument == "serve" {
        return serve();
    }
    let Some(count) = argument.parse().ok().filter(|&count| count > WARM_UP) else {
        eprintln!("usage: reconnects [COUNT], more than {WARM_UP}");
        return ExitCode::from(2);
    };
    let server = Another::start(&["serve"]);
    let mut turns = server.said.clone().into_iter().cycle();

    let before = (descriptors(), threads());
    let started = Instant::now();
    let counts = Arc::new(Counts::default());
    let app = App::new("", Reconnects { counts: counts.clone(), count })
        .connect_with(move |attempt| attempt.builder.connect(&turns.next().unwrap_or_default()))
        .backoff(Fixed(Duration::ZERO))
        .spawn()
        .unwrap();
    let exit = app.join();
    let took = started.elapsed();
    let warm = counts.warm.load(Ordering::Relaxed);
    let Counts { opened, received, closed, failed, .. } = &*counts;
    let all = [opened, received, closed, failed].map(|count| count.load(Ordering::Relaxed));
    let after = (descriptors(), at_most(before.1));
    let grown = resident().saturating_sub(warm);

    println!("connections opened, messages, connections closed, failed attempts: {all:?}");
    println!("{:.0} a second", count as f64 / took.as_secs_f64());
    println!("descriptors and threads before: {before:?}, after: {after:?}");
    println!(
        "resident memory after {WARM_UP}: {} KiB, grown since by {} KiB (at most {})",
        warm / 1024,
        grown / 1024,
        TOLERANCE / 1024
    );
    let stopped = matches!(exit, Ok(Exit::Stopped));
    let good = stopped && all == [count, count, count, 0] && after == before && grown <= TOLERANCE;
    println!("{exit:?}: {}", if good { "nothing is left" } else { "FAILED" });
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[derive(Default)]
struct Counts {
    opened: AtomicUsize,
    received: AtomicUsize,
    closed: AtomicUsize,
    failed: AtomicUsize,
    /// Resident memory after the warm-up.
    warm: AtomicUsize,
}

struct Reconnects {
    counts: Arc<Counts>,
    count: usize,
}

impl Handler for Reconnects {
    fn on_open(&mut self, _: &Sender, _: &Open<'_>) -> HandlerResult {
        self.counts.opened.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn on_message(&mut self, sender: &Sender, _: MessageRef<'_>) -> HandlerResult {
        let received = self.counts.received.fetch_add(1, Ordering::Relaxed) + 1;
        if received == WARM_UP {
            let warm = resident();
            self.counts.warm.store(warm, Ordering::Relaxed);
        }
        if received == self.count {
            sender.abort();
            return Ok(());
        }
        Ok(sender.send("bye")?)
    }

    fn on_close(&mut self, _: &landline::Closed) -> HandlerResult {
        self.counts.closed.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn on_error(&mut self, error: &landline::Error) -> HandlerResult {
        println!("{error}");
        self.counts.failed.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// Returns the number of threads, after a moment in which threads may end.
fn at_most(expected: usize) -> usize {
    let started = Instant::now();
    while threads() > expected && started.elapsed() < Duration::from_secs(5) {
        thread::sleep(Duration::from_millis(10));
    }
    threads()
}

fn serve() -> ExitCode {
    for last in 1..=ADDRESSES {
        let listener = TcpListener::bind((format!("127.0.0.{last}"), 0)).unwrap();
        println!("ws://{}/", listener.local_addr().unwrap());
        thread::spawn(move || {
            for stream in listener.incoming() {
                if let Err(error) = stream.and_then(greet_and_reset) {
                    eprintln!("server: {error}");
                }
            }
        });
    }
    Another::wait_until_dropped();
    ExitCode::SUCCESS
}

fn greet_and_reset(mut stream: TcpStream) -> io::Result<()> {
    // The connection is reset, so that neither side keeps the port for a minute.
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
    shake_hands(&mut stream)?;
    let mut message = header(5, false);
    message.extend(b"hello");
    stream.write_all(&message)?;
    // A reset before the client has read the message would destroy the message.
    stream.read(&mut [0; 16]).map(drop)
}
