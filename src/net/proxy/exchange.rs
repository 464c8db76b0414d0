//! Bytes sent to a proxy and received from it, and the errors of both.

use std::io;
use std::sync::Arc;

use super::Proxy;
use crate::error::{Error, ProxyError, ProxyProblem, Timeout};
use crate::net::deadline::Deadline;
use crate::net::duplex::{Duplex, ReadHalf, WriteHalf, is_timeout};
use crate::net::opening::Opening;
use crate::net::stream::Stream;
use crate::net::tls;

/// A handshake with a proxy. Its stream becomes the tunnel, so no byte is read that belongs to the
/// server.
pub(super) struct Exchange<'a> {
    pub(super) proxy: &'a Proxy,
    duplex: Duplex,
    reading: ReadHalf,
    writing: WriteHalf,
    opening: Opening<'a>,
}

impl<'a> Exchange<'a> {
    pub(super) fn new(proxy: &'a Proxy, stream: Arc<dyn Stream>, opening: Opening<'a>) -> Self {
        let (reading, writing) = (ReadHalf::default(), WriteHalf::default());
        Self { proxy, duplex: Duplex::plain(stream), reading, writing, opening }
    }

    /// Sends all of `bytes`.
    pub(super) fn send(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.duplex.stage(&mut self.writing).extend_from_slice(bytes);
        let sent = self.opening.flush(&self.duplex, &mut self.writing);
        sent.map_err(|error| self.io_failed(error))
    }

    /// Reads what the proxy sent and appends it to `bytes`: at least one byte, at most `most`.
    pub(super) fn receive(&mut self, bytes: &mut Vec<u8>, most: usize) -> Result<(), Error> {
        match self.read(bytes, most, self.opening.deadline)? {
            0 => Err(self.failed(ProxyProblem::Eof)),
            _ => Ok(()),
        }
    }

    /// Does the same as [`receive`](Self::receive), until `deadline` at most. Returns the number of
    /// bytes; zero is the end of the stream.
    pub(super) fn read(
        &mut self,
        bytes: &mut Vec<u8>,
        most: usize,
        deadline: Deadline,
    ) -> Result<usize, Error> {
        let mut buffer = [0; 4 * 1024];
        let most = most.min(buffer.len());
        let deadline = deadline.min(self.opening.deadline);
        let opening = Opening { deadline, ..self.opening };
        let read = opening.read(&self.duplex, &mut self.reading, &mut buffer[..most]);
        let len = read.map_err(|error| self.io_failed(error))?;
        bytes.extend_from_slice(&buffer[..len]);
        Ok(len)
    }

    pub(super) fn failed(&self, problem: ProxyProblem) -> Error {
        failed(self.proxy, problem)
    }

    fn io_failed(&self, error: io::Error) -> Error {
        if is_timeout(&error) {
            return Error::Timeout(Timeout::Proxy);
        }
        self.failed(match tls::tls_error(error) {
            Ok(error) => ProxyProblem::Tls(error),
            Err(error) => ProxyProblem::Io(error),
        })
    }
}

pub(super) fn failed(proxy: &Proxy, problem: ProxyProblem) -> Error {
    let proxy = proxy.to_string().into();
    Error::Proxy(Box::new(ProxyError { proxy, problem }))
}
