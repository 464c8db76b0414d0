//! Unix sockets, under the same deadline as TCP.

use std::io;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use super::abort::AbortHandle;
use super::blocking_pool::{Call, Pool, Serves};
use super::deadline::Deadline;
use crate::error::{Error, Timeout};

/// Connects in another thread: that blocks without a limit while the server's backlog is full.
pub(crate) fn connect(
    path: &Path,
    deadline: Deadline,
    abort: &AbortHandle,
) -> Result<TcpStream, Error> {
    static CONNECTS: Pool<Connect> = Pool::new();
    let connect = Connect(path.to_owned());
    let connected = CONNECTS.call(connect, deadline, abort, Timeout::Connect)?;
    connected.map(without_sigpipe).map_err(Error::Io)
}

#[derive(Clone, PartialEq)]
struct Connect(PathBuf);

impl Call for Connect {
    type Answer = io::Result<UnixStream>;
    const SERVES: Serves<Self::Answer> = Serves::One;
    const THREAD: &'static str = "landline-connect";

    fn run(&self) -> Self::Answer {
        UnixStream::connect(&self.0)
    }
}

/// The same socket, such that a write after the peer is gone is an error. Before Rust 1.90 a
/// `UnixStream` of `std` writes by `write(2)`, which raises SIGPIPE; a `TcpStream` has always
/// written by `send(2)` with `MSG_NOSIGNAL`, and all else that we do with it goes for any socket.
pub(super) fn without_sigpipe(stream: UnixStream) -> TcpStream {
    TcpStream::from(OwnedFd::from(stream))
}
