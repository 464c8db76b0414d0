//! Whom a proxy is not for: the list that `NO_PROXY` holds.

use std::net::{IpAddr, Ipv6Addr};

use url::Host;

use super::target::is_name;
use crate::error::InvalidInput;

/// A list of exceptions; empty by default.
#[derive(Clone, Debug, Default)]
pub(crate) struct NoProxy(Vec<Entry>);

#[derive(Clone, Debug)]
struct Entry {
    who: Who,
    /// Only with this port.
    port: Option<u16>,
}

#[derive(Clone, Debug)]
enum Who {
    All,
    /// This name, and all below it; without the dot of the root.
    Name(String),
    Address(IpAddr),
    /// All addresses whose first so many bits are the same.
    Network(IpAddr, u32),
}

impl NoProxy {
    /// Reads a list, separated by commas or white space.
    pub(crate) fn parse(list: &str) -> Result<Self, InvalidInput> {
        let separator = |c: char| c == ',' || c.is_whitespace();
        let entries = list.split(separator).filter(|entry| !entry.is_empty()).map(|text| {
            Entry::parse(text).ok_or_else(|| {
                let text: String = text.chars().take(64).collect();
                let why = "is no name, address or network, with or without a port";
                InvalidInput::Proxy(format!("the exception {text:?} {why}").into())
            })
        });
        entries.collect::<Result<_, _>>().map(Self)
    }

    pub(crate) fn extend(&mut self, more: Self) {
        self.0.extend(more.0);
    }

    /// Whether the proxy is not for this host and port. Names are not looked up, so an address on
    /// the list is no exception for a name that has it.
    pub(crate) fn matches(&self, host: &Host<String>, port: u16) -> bool {
        let due = |entry: &Entry| entry.port.is_none_or(|own| own == port);
        self.0.iter().filter(|entry| due(entry)).any(|entry| entry.who.is(host))
    }
}

impl Entry {
    fn parse(text: &str) -> Option<Self> {
        if let Some((address, bits)) = text.split_once('/') {
            let address: IpAddr = address.parse().ok()?;
            let bits = number(bits).filter(|&bits| bits <= width(address))?;
            return Some(Self { who: Who::network(address, bits), port: None });
        }
        // An IPv6 address without brackets has no port.
        if let Ok(address) = text.parse::<Ipv6Addr>() {
            return Some(Self { who: Who::address(address.into()), port: None });
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(number(port)?)),
            _ => (text, None),
        };
        let port = match port {
            Some(port) => Some(u16::try_from(port).ok().filter(|&port| port > 0)?),
            None => None,
        };
        Some(Self { who: Who::parse(host)?, port })
    }
}

impl Who {
    fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::All);
        }
        let name = text.strip_prefix('*').unwrap_or(text);
        let name = match name.strip_prefix('.') {
            Some(name) => name,
            None if name.len() < text.len() => return None, // As in "*example.com".
            None => name,
        };
        match Host::parse(name).ok()? {
            Host::Domain(name) if is_name(&name) && !name.contains('*') => {
                Some(Self::Name(name.strip_suffix('.').unwrap_or(&name).to_owned()))
            }
            Host::Ipv4(address) if name == text => Some(Self::address(address.into())),
            Host::Ipv6(address) if name == text => Some(Self::address(address.into())),
            _ => None,
        }
    }

    /// An IPv4 address that is written as an IPv6 one is the same machine.
    fn address(address: IpAddr) -> Self {
        Self::Address(address.to_canonical())
    }

    fn network(address: IpAddr, bits: u32) -> Self {
        let canonical = address.to_canonical();
        match bits.checked_sub(width(address) - width(canonical)) {
            Some(bits) => Self::Network(canonical, bits),
            None => Self::Network(address, bits), // IPv4 is only a part of it.
        }
    }

    fn is(&self, host: &Host<String>) -> bool {
        match (self, host) {
            (Self::All, _) => true,
            (Self::Name(own), Host::Domain(name)) => {
                let name = name.strip_suffix('.').unwrap_or(name);
                name.strip_suffix(own).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            }
            (_, Host::Ipv4(address)) => self.is_address(IpAddr::V4(*address)),
            (_, Host::Ipv6(address)) => self.is_address(IpAddr::V6(*address).to_canonical()),
            (Self::Address(_) | Self::Network(..), Host::Domain(_)) => false,
        }
    }

    fn is_address(&self, address: IpAddr) -> bool {
        match self {
            Self::Address(own) => *own == address,
            Self::Network(own, bits) if own.is_ipv4() == address.is_ipv4() => {
                let differ = width(address) - bits;
                let first = |address| number_of(address).checked_shr(differ).unwrap_or(0);
                first(*own) == first(address)
            }
            Self::Network(..) | Self::Name(_) | Self::All => false,
        }
    }
}

/// Digits, and nothing else.
fn number(text: &str) -> Option<u32> {
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

/// How many bits an address has.
fn width(address: IpAddr) -> u32 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn number_of(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    }
}
