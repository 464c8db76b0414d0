//! Sockets that code of the caller connects. Each is checked before it is used.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

/// Connects a socket to an address, until the deadline if there is one.
pub(crate) type Connector =
    Arc<dyn Fn(SocketAddr, Option<Instant>) -> io::Result<TcpStream> + Send + Sync>;

/// Makes a connector of the caller's function, which may panic and may return any socket.
pub(crate) fn checked(
    connect: impl Fn(SocketAddr, Option<Instant>) -> io::Result<TcpStream> + Send + Sync + 'static,
) -> Connector {
    Arc::new(move |address, deadline| {
        let connected = catch_unwind(AssertUnwindSafe(|| connect(address, deadline)));
        let stream =
            connected.unwrap_or_else(|_| Err(io::Error::other("the connector panicked")))?;
        check(&stream, address)?;
        stream.set_nonblocking(false)?;
        Ok(stream)
    })
}

/// Fails if the socket is not connected to the address.
fn check(stream: &TcpStream, address: SocketAddr) -> io::Result<()> {
    let peer = stream.peer_addr().map_err(|error| {
        let why = format!("the connector returned a socket that is not connected by TCP: {error}");
        io::Error::new(error.kind(), why)
    })?;
    // The zone of an IPv6 address may come from the socket, for example from its interface.
    let is_right = peer.port() == address.port()
        && is_same_machine(peer.ip(), address.ip(), stream.local_addr()?.ip());
    if is_right {
        return Ok(());
    }
    let why = format!("the connector returned a socket that is connected to {peer}");
    Err(io::Error::new(io::ErrorKind::InvalidInput, why))
}

/// Returns whether a socket at `local` that was to connect to `asked` may be connected to `peer`.
fn is_same_machine(peer: IpAddr, asked: IpAddr, local: IpAddr) -> bool {
    let (peer, asked, local) = (peer.to_canonical(), asked.to_canonical(), local.to_canonical());
    // A connect to 0.0.0.0 or :: reaches this machine, by one of its addresses.
    peer == asked || (asked.is_unspecified() && (peer.is_loopback() || peer == local))
}
