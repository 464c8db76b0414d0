//! Asks a SOCKS proxy for a tunnel; the bytes are made and read in [`proto::socks`].
//!
//! [`proto::socks`]: crate::proto::socks

use std::net::IpAddr;

use url::Host;

use super::{Proxy, Scheme};
use crate::error::{Error, InvalidInput, ProxyProblem};
use crate::net::opening::Exchange;
use crate::proto::socks::{Destination, Handshake, RequestError, Version};

/// Asks for a tunnel to `host`. After this the next byte is the server's.
pub(super) fn ask(
    exchange: &mut Exchange<'_>,
    proxy: &Proxy,
    host: &Host<String>,
    port: u16,
) -> Result<(), Error> {
    let version = match proxy.scheme {
        Scheme::Socks4 | Scheme::Socks4a => Version::V4,
        _ => Version::V5,
    };
    let destination = match host {
        Host::Domain(name) => Destination::Name(name),
        Host::Ipv4(address) => Destination::Address(IpAddr::V4(*address)),
        Host::Ipv6(address) => Destination::Address(IpAddr::V6(*address)),
    };
    let credentials = proxy.credentials.as_ref();
    let credentials = credentials.map(|(user, password)| (user.as_str(), password.as_str()));
    let mut handshake =
        Handshake::new(version, destination, port, credentials).map_err(unsayable)?;
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

/// Never so: the proxy and the host were checked.
fn unsayable(why: RequestError) -> Error {
    InvalidInput::Proxy(format!("SOCKS cannot say this: {why:?}").into()).into()
}
