//! Measures the heap bytes of an idle plain connection, counted by the allocator on this thread.

use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;

use landline_bench::heap::{Counting, live};
use landline_bench::server;

/// The limit for an idle connection, above which this program fails.
const GOAL: isize = 8 * 1024;
const CONNECTIONS: usize = 100;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn tcp(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).unwrap()
}

/// Returns the heap bytes of each connection that `connect` makes, after `warm` has used it.
fn measure<T>(connect: impl Fn() -> T, warm: impl Fn(&mut T)) -> isize {
    // Anything that is made only once, TLS options for example, does not count.
    drop(connect());
    let mut all = Vec::with_capacity(CONNECTIONS);
    let before = live();
    for _ in 0..CONNECTIONS {
        let mut connection = connect();
        warm(&mut connection);
        all.push(connection);
    }
    (live() - before) / CONNECTIONS.cast_signed()
}

fn main() -> ExitCode {
    let address = server::plain();
    let idle = format!("ws://{address}/idle");
    let echo = format!("ws://{address}/echo/16");
    let landline = |url: &str| landline::Builder::new().connect(url).unwrap();

    let fresh = measure(|| landline(&idle), |_| {});
    let used = measure(
        || landline(&echo),
        |ws| {
            ws.send([7; 16].as_slice()).unwrap();
            ws.recv().unwrap();
        },
    );
    let big = measure(
        || landline(&idle),
        |ws| {
            ws.send(vec![7; 1 << 20].as_slice()).unwrap();
        },
    );
    let tungstenite = measure(|| tungstenite::client(&idle[..], tcp(address)).unwrap().0, |_| {});

    println!("heap bytes of a connection");
    println!("landline, connected            {fresh:>8}");
    println!("landline, after an echo        {used:>8}");
    println!("landline, after sending 1 MiB  {big:>8}");
    println!("tungstenite, connected         {tungstenite:>8}");
    println!("landline's goal: at most       {GOAL:>8}");
    if fresh.max(used).max(big) > GOAL { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
