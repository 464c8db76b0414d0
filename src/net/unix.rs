//! Connects to Unix sockets, by the same deadline as TCP.

use std::io;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use super::abort::AbortHandle;
use super::blocking_pool::{Call, Pool, Serves};
use super::deadline::Deadline;
use super::stream::without_sigpipe;
use crate::error::{Error, Timeout};

/// Connects in another thread, because the system call blocks without a limit while the server's
/// backlog is full.
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
        loop {
            match UnixStream::connect(&self.0) {
                // By a signal. `std` tries again for TCP only.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                connected => return connected,
            }
        }
    }
}
