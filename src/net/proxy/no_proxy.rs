//! The exceptions of a proxy: a list of servers, as `NO_PROXY` holds it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::error::InvalidInput;
use crate::net::url::is_host;
use crate::proto::url::{Host, parse_host};

/// A list of exceptions; empty by default.
#[derive(Clone, Debug, Default)]
pub(crate) struct NoProxy(Vec<Entry>);

#[derive(Clone, Debug)]
struct Entry {
    servers: Servers,
    /// The only port that the entry is for; `None` for all ports.
    port: Option<u16>,
}

#[derive(Clone, Debug)]
enum Servers {
    All,
    /// A name, without a dot at its end, and all names below it.
    Name(String),
    Address(IpAddr),
    /// The addresses whose first n bits are those of this one.
    Network(IpAddr, u32),
    /// All names without a dot.
    Dotless,
}

impl NoProxy {
    /// Reads a list that the caller gives. Every entry must be valid.
    pub(crate) fn parse(list: &str) -> Result<Self, InvalidInput> {
        let entries = entries(list).map(|text| {
            Entry::parse(text).ok_or_else(|| {
                // The entry may be a URL with a password before the host.
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

    /// Reads a list that was written for other programs. An entry that is not understood is
    /// skipped, and the others stay. `skipped` is called with its number, counted from 1.
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

    /// Returns the entries for this machine: `localhost` and the names below it, 127.0.0.0/8 and
    /// `::1`.
    pub(crate) fn loopback() -> Self {
        let loopback = [
            Servers::Name("localhost".to_owned()),
            Servers::Network(Ipv4Addr::LOCALHOST.into(), 8),
            Servers::Address(Ipv6Addr::LOCALHOST.into()),
        ];
        Self(loopback.map(|servers| Entry { servers, port: None }).into())
    }

    pub(crate) fn extend(&mut self, more: Self) {
        self.0.extend(more.0);
    }

    /// Returns whether the list has this host and port. Names are not looked up, so an address on
    /// the list does not match a name that has this address.
    pub(crate) fn matches(&self, host: &Host, port: u16) -> bool {
        let has_port = |entry: &Entry| entry.port.is_none_or(|own| own == port);
        self.0.iter().any(|entry| has_port(entry) && entry.servers.match_host(host))
    }
}

/// Splits a list at commas and white space, and at semicolons, as they are used on Windows.
fn entries(list: &str) -> impl Iterator<Item = &str> {
    let separator = |c: char| matches!(c, ',' | ';') || c.is_whitespace();
    list.split(separator).filter(|entry| !entry.is_empty())
}

impl Entry {
    fn parse(text: &str) -> Option<Self> {
        if let Some((address, bits)) = text.split_once('/') {
            let address: IpAddr = address.parse().ok()?;
            let bits = number(bits).filter(|&bits| bits <= width(address))?;
            return Some(Self { servers: Servers::network(address, bits), port: None });
        }
        // An IPv6 address without brackets has no port.
        if let Ok(address) = text.parse::<Ipv6Addr>() {
            return Some(Self { servers: Servers::address(address.into()), port: None });
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(number(port)?)),
            _ => (text, None),
        };
        let port = match port {
            Some(port) => Some(u16::try_from(port).ok().filter(|&port| port > 0)?),
            None => None,
        };
        Some(Self { servers: Servers::parse(host)?, port })
    }
}

impl Servers {
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
        match parse_host(name).filter(is_host)? {
            Host::Name(name) if !name.contains('*') => {
                Some(Self::Name(name.strip_suffix('.').unwrap_or(&name).to_owned()))
            }
            Host::Address(address) if name == text => Some(Self::address(address)),
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
            // Not "010", which some programs read as an octal number.
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

    /// Returns the entry for an address. An IPv4 address written as an IPv6 one is the same
    /// machine.
    fn address(address: IpAddr) -> Self {
        Self::Address(address.to_canonical())
    }

    fn network(address: IpAddr, bits: u32) -> Self {
        let canonical = address.to_canonical();
        match bits.checked_sub(width(address) - width(canonical)) {
            Some(bits) => Self::Network(canonical, bits),
            None => Self::Network(address, bits), // It holds more than the IPv4 addresses.
        }
    }

    fn match_host(&self, host: &Host) -> bool {
        match (self, host) {
            (Self::All, _) => true,
            (Self::Name(own), Host::Name(name)) => {
                let name = name.strip_suffix('.').unwrap_or(name);
                name.strip_suffix(own).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            }
            (Self::Dotless, Host::Name(name)) => !name.contains('.'),
            (_, Host::Address(address)) => self.match_address(address.to_canonical()),
            (Self::Address(_) | Self::Network(..), Host::Name(_)) => false,
        }
    }

    fn match_address(&self, address: IpAddr) -> bool {
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

/// Reads a number that is written with digits only.
fn number(text: &str) -> Option<u32> {
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Returns the number of bits of an address.
fn width(address: IpAddr) -> u32 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn number_of(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    }
}
