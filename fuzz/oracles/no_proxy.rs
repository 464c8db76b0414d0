//! Lists of exceptions: whatever is accepted means what a model of one rule a line says.
//!
//! Input: the list, a zero byte, the URL.

use std::net::IpAddr;

use landline::{Error, InvalidInput, Proxy};
use url::{Host, Url};

pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (list, url) = text.split_once('\0').unwrap_or((text, "ws://server.test/"));
    let entries: Vec<_> = list
        .split(|c: char| c == ',' || c.is_whitespace())
        .filter(|entry| !entry.is_empty())
        .collect();
    let proxy = match Proxy::new("proxy.test").unwrap().except(list) {
        Ok(proxy) => proxy,
        Err(Error::InvalidInput(InvalidInput::Proxy(why))) => {
            assert!(!why.chars().any(char::is_control), "{why:?}");
            return;
        }
        Err(other) => panic!("not possible: {other:?}"),
    };
    // Any way to write the list down means the same.
    let again = Proxy::new("proxy.test").unwrap().except(&entries.join(" , \n")).unwrap();
    let Ok(through) = proxy.is_for(url) else { return };
    assert_eq!(again.is_for(url).unwrap(), through);

    let parsed = Url::parse(url).unwrap();
    let (host, port) = (parsed.host().unwrap(), parsed.port_or_known_default().unwrap());
    let direct = entries.iter().any(|entry| stands_for(entry, &host.to_owned(), port));
    assert_eq!(through, !direct, "{list:?} {url:?}");

    // One exception more never sends more through the proxy.
    let wider = proxy.except("*:1").unwrap();
    assert!(through || !wider.is_for(url).unwrap());
}

/// What an entry that was accepted stands for.
fn stands_for(entry: &str, host: &Host, port: u16) -> bool {
    let address = match host {
        Host::Domain(_) => None,
        Host::Ipv4(address) => Some(IpAddr::from(*address)),
        Host::Ipv6(address) => Some(IpAddr::from(*address).to_canonical()),
    };
    if let Some((network, bits)) = entry.split_once('/') {
        let (mut network, mut bits): (IpAddr, usize) =
            (network.parse().unwrap(), bits.parse().unwrap());
        if network.is_ipv6() && network.to_canonical().is_ipv4() && bits >= 96 {
            (network, bits) = (network.to_canonical(), bits - 96);
        }
        let same = |address| binary(address)[..bits] == binary(network)[..bits];
        return address
            .is_some_and(|address| address.is_ipv4() == network.is_ipv4() && same(address));
    }
    if let Ok(own) = entry.parse::<IpAddr>() {
        return address == Some(own.to_canonical());
    }
    let bracketed = entry.ends_with(']');
    let (own, own_port) = match entry.rsplit_once(':') {
        Some((own, own_port)) if !bracketed => (own, Some(own_port.parse::<u16>().unwrap())),
        _ => (entry, None),
    };
    if own_port.is_some_and(|own| own != port) {
        return false;
    }
    if own == "*" {
        return true;
    }
    let own = own.trim_start_matches('*').trim_start_matches('.');
    match (Host::parse(own).unwrap(), host) {
        (Host::Domain(own), Host::Domain(name)) => {
            // Label by label, from the root.
            let labels = |name: &str| -> Vec<String> {
                name.trim_end_matches('.').rsplit('.').map(str::to_owned).collect()
            };
            labels(name).starts_with(&labels(&own))
        }
        (Host::Ipv4(own), _) => address == Some(own.into()),
        (Host::Ipv6(own), _) => address == Some(IpAddr::from(own).to_canonical()),
        _ => false,
    }
}

/// The bits of an address, a character each.
fn binary(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => format!("{:032b}", u32::from(address)),
        IpAddr::V6(address) => format!("{:0128b}", u128::from(address)),
    }
}
