//! Lists of exceptions: an entry has the meaning that a simple model gives it, whatever stands
//! beside it. An entry of the caller that is not understood is an error; one of the environment is
//! skipped.
//!
//! Input: the list, a zero byte, the URL.

use std::net::IpAddr;

use landline::Error;
use landline::error::InvalidInput;
use landline::proxy::Proxy;
use url::{Host, Url};

pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (list, url) = text.split_once('\0').unwrap_or((text, "ws://server.test/"));
    let entries: Vec<_> = list
        .split(|c: char| c == ',' || c == ';' || c.is_whitespace())
        .filter(|entry| !entry.is_empty())
        .collect();
    let (understood, others): (Vec<&str>, Vec<&str>) =
        entries.iter().partition(|entry| accepts(entry));
    assert_eq!(accepts(list), others.is_empty(), "{list:?}");

    let proxy = Proxy::new("proxy.test").unwrap().except(&understood.join(",")).unwrap();
    let through = proxy.is_for(url);
    super::note(&(&understood, &through));
    let in_environment = |list: &str| {
        let variable = |name: &str| match name {
            "all_proxy" => Some("proxy.test".into()),
            "NO_PROXY" => Some(list.into()),
            _ => None,
        };
        Proxy::from_variables(url, variable)
    };
    let Ok(through) = through else {
        // The list is never an error, so this one is about the URL.
        let error = in_environment(list).unwrap_err();
        assert!(!matches!(error, Error::InvalidInput(InvalidInput::Proxy(_))), "{error:?}");
        return;
    };
    let parsed = Url::parse(url).unwrap();
    let (host, port) = (parsed.host().unwrap().to_owned(), parsed.port_or_known_default().unwrap());
    let direct = understood.iter().any(|entry| stands_for(entry, &host, port));
    assert_eq!(through, !direct, "{list:?} {url:?}");

    // An entry that is not understood changes nothing, and neither does another separator.
    let named = in_environment(list).unwrap();
    assert_eq!(named.is_some(), through && !is_this_machine(&host), "{list:?} {url:?}");
    for separator in [" , \n", ";"] {
        let again = in_environment(&entries.join(separator)).unwrap();
        assert_eq!(again.is_some(), named.is_some(), "{list:?} {url:?}");
    }

    // With one more exception, never more goes through the proxy.
    let wider = proxy.except("*:1").unwrap();
    assert!(through || !wider.is_for(url).unwrap());
}

/// Returns whether `Proxy::except` takes this list.
fn accepts(list: &str) -> bool {
    match Proxy::new("proxy.test").unwrap().except(list) {
        Ok(_) => true,
        Err(Error::InvalidInput(InvalidInput::Proxy(why))) => {
            assert!(!why.chars().any(char::is_control), "{why:?}");
            false
        }
        Err(other) => panic!("not possible: {other:?}"),
    }
}

fn is_this_machine(host: &Host) -> bool {
    match host {
        Host::Domain(name) => {
            let name = name.trim_end_matches('.');
            name == "localhost" || name.ends_with(".localhost")
        }
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => IpAddr::from(*address).to_canonical().is_loopback(),
    }
}

/// Returns whether an accepted entry stands for the host and port.
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
    if own == "<local>" {
        return matches!(host, Host::Domain(name) if !name.contains('.'));
    }
    if own.ends_with(".*") {
        // An IPv4 address whose end is left out.
        let own: Vec<_> = own.split('.').take_while(|octet| *octet != "*").collect();
        let address = address.filter(IpAddr::is_ipv4).map(|address| address.to_string());
        return address
            .is_some_and(|address| address.split('.').collect::<Vec<_>>().starts_with(&own));
    }
    let own = own.trim_start_matches('*').trim_start_matches('.');
    match (Host::parse(own).unwrap(), host) {
        (Host::Domain(own), Host::Domain(name)) => {
            // The labels are compared one by one, from the root.
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

/// Returns the bits of an address, one character for each.
fn binary(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => format!("{:032b}", u32::from(address)),
        IpAddr::V6(address) => format!("{:0128b}", u128::from(address)),
    }
}
