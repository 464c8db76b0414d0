//! Asks a SOCKS proxy for a tunnel. [`proto::socks`] encodes and decodes the messages.
//!
//! [`proto::socks`]: crate::proto::socks

use super::{Credentials, Proxy, cannot_request};
use crate::error::{Error, ProxyProblem};
use crate::net::opening::Exchange;
use crate::proto::socks::{Destination, Handshake, Version};
use crate::proto::url::Host;

/// Asks for a tunnel to `host`. After this the next byte is the server's.
pub(super) fn ask(
    exchange: &mut Exchange<'_>,
    proxy: &Proxy,
    version: Version,
    host: &Host,
    port: u16,
) -> Result<(), Error> {
    let credentials = match &proxy.credentials {
        Some(Credentials::Socks { user, password }) => Some((user.as_str(), password.as_str())),
        _ => None,
    };
    let handshake = Handshake::new(version, destination(host), port, credentials);
    let mut handshake = handshake.map_err(cannot_request)?;
    let mut answer = Vec::new();
    loop {
        let sent = exchange.send(&handshake.take_output());
        sent.map_err(|error| proxy.exchange_failed(error))?;
        let missing = handshake.missing();
        if missing == 0 {
            return Ok(());
        }
        let received = exchange.receive(&mut answer, missing);
        received.map_err(|error| proxy.exchange_failed(error))?;
        let read = handshake.receive(&answer);
        read.map_err(|error| proxy.failed(ProxyProblem::Socks(error)))?;
        answer.clear();
    }
}

/// Returns the host as SOCKS names it.
pub(super) fn destination(host: &Host) -> Destination<'_> {
    match host {
        Host::Name(name) => Destination::Name(name),
        // An IPv4 address that is written as an IPv6 one is asked for as IPv4.
        Host::Address(address) => Destination::Address(address.to_canonical()),
    }
}
