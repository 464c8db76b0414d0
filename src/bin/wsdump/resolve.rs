//! `--resolve`: addresses that the command line gives, in place of those of the system.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};

/// Holds the addresses of hosts and ports.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Addresses(Vec<(String, u16, IpAddr)>);

impl Addresses {
    /// Reads `HOST:PORT:ADDRESS`, as curl does. An IPv6 address may be in brackets.
    pub(crate) fn parse(entries: &[String]) -> Result<Self, String> {
        let parse = |entry: &String| {
            let (host, rest) = entry.split_once(':')?;
            let (port, address) = rest.split_once(':')?;
            let address = address.trim_start_matches('[').trim_end_matches(']');
            Some((host.to_ascii_lowercase(), port.parse().ok()?, address.parse().ok()?))
        };
        let each = entries.iter().map(|entry| {
            parse(entry).ok_or_else(|| {
                format!(
                    "--resolve: {entry:?}: give HOST:PORT:ADDRESS, as example.com:443:127.0.0.1"
                )
            })
        });
        each.collect::<Result<_, _>>().map(Self)
    }

    /// Returns the addresses for this host and port, or else those that the system knows.
    pub(crate) fn look_up(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let is_it =
            |(own, at, _): &&(String, u16, IpAddr)| own.eq_ignore_ascii_case(host) && *at == port;
        let given: Vec<_> =
            self.0.iter().filter(is_it).map(|(.., address)| (*address, port).into()).collect();
        if given.is_empty() {
            return Ok((host, port).to_socket_addrs()?.collect());
        }
        Ok(given)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_for_a_host_and_a_port() {
        let entries = ["A.test:80:127.0.0.1", "a.test:80:[::1]", "a.test:81:::2"];
        let addresses = Addresses::parse(&entries.map(str::to_owned)).unwrap();
        let found = addresses.look_up("a.TEST", 80).unwrap();
        assert_eq!(found, ["127.0.0.1:80".parse().unwrap(), "[::1]:80".parse().unwrap()]);
        assert_eq!(addresses.look_up("a.test", 81).unwrap(), ["[::2]:81".parse().unwrap()]);
        for wrong in ["", "a", "a:80", "a:80:b", "a:x:127.0.0.1", "127.0.0.1"] {
            assert!(Addresses::parse(&[wrong.to_owned()]).is_err(), "{wrong}");
        }
    }
}
