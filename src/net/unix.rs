//! Unix sockets, under the same deadline as TCP.

use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc::channel;

use super::abort::AbortHandle;
use super::deadline::Deadline;
use super::detached::{self, To};
use super::tcp::wait;
use crate::error::{Error, Timeout};

/// Connects in another thread: that blocks without a limit while the server's backlog is full.
pub(crate) fn connect(
    path: &Path,
    deadline: Deadline,
    abort: &AbortHandle,
) -> Result<UnixStream, Error> {
    let (sender, news) = channel();
    let waker = sender.clone();
    // Nobody waits any more if one of these fails.
    abort.wake_with(move || drop(waker.send(None)));
    let path = path.to_owned();
    let to = To::Unix(path.clone());
    let connect = move || drop(sender.send(Some(UnixStream::connect(path))));
    let _wanted = detached::submit(to, connect).map_err(Error::Io)?;
    match wait(&news, deadline, Timeout::Connect)? {
        Some(connected) => connected.map_err(Error::Io),
        None => Err(Error::aborted()),
    }
}
