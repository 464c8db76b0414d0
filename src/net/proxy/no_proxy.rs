//! Whom a proxy is not for: the list that `NO_PROXY` holds.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::Host;

use crate::error::InvalidInput;
use crate::net::url::is_name;

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
    /// All names without a dot.
    Dotless,
}

impl NoProxy {
    /// Reads a list that the caller gives: all of it must be understood.
    pub(crate) fn parse(list: &str) -> Result<Self, InvalidInput> {
        let entries = entries(list).map(|text| {
            Entry::parse(text).ok_or_else(|| {
                // In a URL there may be a password before the host.
                let text = text
                    .rsplit_once('@')
                    .map_or_else(|| text.into(), |(_, host)| format!("***@{host}"));
                let text: String = text.chars().take(64).collect();
                let why = "is no name, address or network, with or without a port";
                InvalidInput::Proxy(format!("the exception {text:?} {why}").into())
            })
        });
        entries.collect::<Result<_, _>>().map(Self)
    }

    /// Reads a list that was written for other programs: an entry that is not understood, of which
    /// `skipped` is told the number, counted from 1, excepts nothing, and the others stay.
    pub(crate) fn understood(list: &str, mut skipped: impl FnMut(usize)) -> Self {
        let entries = entries(list).zip(1..).filter_map(|(text, at)| {
            let entry = Entry::parse(text);
            if entry.is_none() {
                skipped(at);
            }
            entry
        });
        Self(entries.collect())
    }

    /// This machine: `localhost` and the names below it, 127.0.0.0/8 and `::1`.
    pub(crate) fn loopback() -> Self {
        let loopback = [
            Who::Name("localhost".to_owned()),
            Who::Network(Ipv4Addr::LOCALHOST.into(), 8),
            Who::Address(Ipv6Addr::LOCALHOST.into()),
        ];
        Self(loopback.map(|who| Entry { who, port: None }).into())
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

/// The entries of a list: separated by commas or white space, or by semicolons as on Windows.
fn entries(list: &str) -> impl Iterator<Item = &str> {
    let separator = |c: char| matches!(c, ',' | ';') || c.is_whitespace();
    list.split(separator).filter(|entry| !entry.is_empty())
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
        match text {
            "*" => return Some(Self::All),
            "<local>" => return Some(Self::Dotless),
            _ => {}
        }
        if let Some(network) = Self::parse_wildcards(text) {
            return Some(network);
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

    /// Reads one to three bytes of an IPv4 address, and `*` for the rest: `10.*`, `10.*.*.*`.
    fn parse_wildcards(text: &str) -> Option<Self> {
        let (mut octets, mut known) = ([0; 4], 0);
        let labels = text.split('.').collect::<Vec<_>>();
        if labels.len() > 4 {
            return None;
        }
        let wildcards = labels.iter().skip_while(|label| {
            // Not "010", which some take for an octal number.
            let octet = label.parse::<u8>().ok().filter(|octet| octet.to_string() == **label);
            if let Some(octet) = octet {
                octets[known] = octet;
                known += 1;
            }
            octet.is_some()
        });
        let wildcards = wildcards.map(|label| *label == "*").collect::<Vec<_>>();
        let well_formed = known > 0 && !wildcards.is_empty() && wildcards.iter().all(|&is| is);
        let bits = [0, 8, 16, 24, 32][known];
        well_formed.then(|| Self::Network(Ipv4Addr::from(octets).into(), bits))
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
            (Self::Dotless, Host::Domain(name)) => !name.contains('.'),
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
            Self::Network(..) | Self::Name(_) | Self::Dotless | Self::All => false,
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
