//! Connects from a source address: binds the socket before it connects.
//!
//! ```sh
//! # From 127.0.0.2, to a server that it starts itself. On Linux that address is there.
//! cargo run --example source_address
//! # From another address of this machine, to your server:
//! cargo run --example source_address -- 192.0.2.7 wss://example.com/
//! ```

use std::error::Error;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Instant;

use landline::{Builder, CloseCode};
use socket2::{Domain, Socket, Type};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Result<()> {
    let args: Vec<_> = std::env::args().skip(1).collect();
    match &args[..] {
        [] => embedded(),
        [source, url] => talk(source.parse()?, url),
        _ => Err("usage: source_address [SOURCE URL]".into()),
    }
}

/// Talks to a server of its own, which tells where the connection comes from.
fn embedded() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("ws://{}/", listener.local_addr()?);
    let server = thread::spawn(move || serve(&listener));
    talk(IpAddr::from([127, 0, 0, 2]), &url)?;
    let seen = server.join().map_err(|_| "the server panicked")??;
    println!("the server saw {}", seen.ip());
    assert_eq!(seen.ip(), IpAddr::from([127, 0, 0, 2]));
    Ok(())
}

fn talk(source: IpAddr, url: &str) -> Result<()> {
    let builder = Builder::new()
        .proxy(None)
        .connector(move |address, deadline| connect_from(source, address, deadline));
    let mut ws = builder.connect(url)?;
    if let (Some(here), Some(there)) = (ws.local_addr(), ws.peer_addr()) {
        println!("connected from {} to {there}", here.ip());
    }
    println!("{}", ws.close(CloseCode::NORMAL)?);
    Ok(())
}

/// Connects a socket that is bound to `source`. If `address` is of the other family, it fails, and
/// landline tries the next address of the server.
fn connect_from(
    source: IpAddr,
    address: SocketAddr,
    deadline: Option<Instant>,
) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // Port 0 lets the system choose the port.
    socket.bind(&SocketAddr::new(source, 0).into())?;
    match deadline {
        Some(deadline) => {
            let left = deadline.saturating_duration_since(Instant::now());
            socket.connect_timeout(&address.into(), left)?;
        }
        None => socket.connect(&address.into())?,
    }
    Ok(socket.into())
}

/// Serves one client, and returns the address that it comes from.
fn serve(listener: &TcpListener) -> Result<SocketAddr> {
    let (client, from) = listener.accept()?;
    let mut server = tungstenite::accept(client).map_err(|error| error.to_string())?;
    while server.read().is_ok() {}
    Ok(from)
}
