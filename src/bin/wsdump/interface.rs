//! `--interface`: the address or the device of this machine that connections leave by.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Instant;

use socket2::{Domain, Socket, Type};

/// The source of the connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Interface {
    Address(IpAddr),
    /// The name of a network device.
    #[cfg(target_os = "linux")]
    Device(String),
}

impl Interface {
    /// Reads an address, or on Linux the name of a device.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if let Ok(address) = text.parse() {
            return Ok(Self::Address(address));
        }
        #[cfg(target_os = "linux")]
        if is_device_name(text) {
            return Ok(Self::Device(text.to_owned()));
        }
        Err(if cfg!(target_os = "linux") {
            "give an address of this machine, or the name of a device".to_owned()
        } else {
            "give an address of this machine; devices can be named on Linux only".to_owned()
        })
    }

    /// Connects from here, for `Builder::connector`.
    pub(crate) fn connect(
        &self,
        address: SocketAddr,
        deadline: Option<Instant>,
    ) -> io::Result<TcpStream> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        match self {
            Self::Address(source) if source.is_ipv4() != address.is_ipv4() => {
                let why = format!("{source} cannot be its source, because it is of the other kind");
                return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
            }
            Self::Address(source) => {
                let bound = socket.bind(&SocketAddr::new(*source, 0).into());
                bound.map_err(|error| named(source, &error))?;
            }
            #[cfg(target_os = "linux")]
            Self::Device(name) => {
                let bound = socket.bind_device(Some(name.as_bytes()));
                bound.map_err(|error| named(name, &error))?;
            }
        }
        match deadline {
            Some(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                socket.connect_timeout(&address.into(), left)?;
            }
            None => socket.connect(&address.into())?,
        }
        Ok(socket.into())
    }
}

/// Returns whether Linux could have a device of this name: at most 15 bytes, and no `/`, colon or
/// white space.
#[cfg(target_os = "linux")]
fn is_device_name(text: &str) -> bool {
    let is_allowed = |c: char| !matches!(c, '/' | ':') && !c.is_whitespace() && !c.is_control();
    (1..=15).contains(&text.len()) && text.chars().all(is_allowed)
}

/// Returns the error with the name of what cannot be bound to.
fn named(what: &impl std::fmt::Display, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("--interface {what}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_is_an_address_or_a_device() {
        for address in ["127.0.0.2", "::1", "2001:db8::7"] {
            let read = Interface::parse(address);
            assert_eq!(read, Ok(Interface::Address(address.parse().unwrap())));
        }
        for wrong in ["", "eth 0", "a/b", "127.0.0.1:80", "[::1]", "sixteen-letters-"] {
            assert!(Interface::parse(wrong).is_err(), "{wrong}");
        }
        let device = Interface::parse("eth0.100");
        assert_eq!(device.is_ok(), cfg!(target_os = "linux"), "{device:?}");
    }
}
