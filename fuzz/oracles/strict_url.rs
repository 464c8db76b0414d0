//! The strict parser of URLs, which the crate has without its feature `url`: a URL that it accepts
//! is accepted by the crate `url` too, with the same scheme, user, password, host, port, path and
//! query. So is a host alone. To parse the result again changes nothing.
//!
//! Input: the URL, or the host.

// The source itself, because the crate has only one of its two parsers.
#[allow(dead_code)]
#[path = "../../src/proto/url/parts.rs"]
mod parts;
#[allow(dead_code)]
#[path = "../../src/proto/url/strict.rs"]
mod strict;

use std::net::IpAddr;

use parts::Host;
use url::Position;

pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    a_url(text);
    // Most inputs are no URLs, and hosts and paths are where parsers differ.
    for url in [format!("ws://{text}"), format!("WSS://host.test/{text}")] {
        a_url(&url);
    }
    let Some(host) = strict::parse_host(text) else { return };
    assert_eq!(standard(url::Host::parse(text).unwrap()), host, "{text:?}");
    assert_eq!(strict::parse_host(&host.to_string()), Some(host), "{text:?}");
}

fn a_url(text: &str) {
    let ours = strict::parse(text);
    super::note(&ours);
    let Ok(ours) = ours else { return };
    // The URL Standard does not know the schemes of SOCKS proxies, and leaves their host as it is.
    // A proxy has no path. Other schemes are refused by landline.
    let is_known = ["ws", "wss", "http", "https"].contains(&ours.scheme.as_str());
    if !is_known && !ours.scheme.starts_with("socks") {
        return;
    }
    let theirs = url::Url::parse(text).unwrap();
    assert_eq!(ours.scheme, theirs.scheme(), "{text:?}");
    let (user, password) = ours.credentials.clone().unwrap_or_default();
    assert_eq!(decoded(&user), decoded(theirs.username()), "{text:?}");
    assert_eq!(decoded(&password), decoded(theirs.password().unwrap_or_default()), "{text:?}");
    assert_eq!(ours.has_fragment, theirs.fragment().is_some(), "{text:?}");
    let resource = &theirs[Position::BeforePath..Position::AfterQuery];
    if is_known {
        assert_eq!(standard(theirs.host().unwrap().to_owned()), ours.host, "{text:?}");
        assert_eq!((ours.port, &*ours.resource), (theirs.port(), resource), "{text:?}");
        assert!(ours.resource.starts_with('/') && ours.resource.is_ascii(), "{text:?}");
        let again = ours.origin() + &ours.resource;
        let without = strict::parse(&again).unwrap();
        assert_eq!(again, without.origin() + &without.resource, "{text:?}");
    } else {
        let theirs_again = url::Host::parse(theirs.host_str().unwrap()).unwrap();
        assert_eq!(standard(theirs_again), ours.host, "{text:?}");
        assert_eq!(ours.port, theirs.port(), "{text:?}");
        assert_eq!(ours.resource == "/", matches!(resource, "" | "/"), "{text:?}");
    }
}

fn standard(host: url::Host) -> Host {
    match host {
        url::Host::Domain(name) => Host::Name(name),
        url::Host::Ipv4(address) => Host::Address(IpAddr::V4(address)),
        url::Host::Ipv6(address) => Host::Address(IpAddr::V6(address)),
    }
}

/// Decodes `%40` and its like.
fn decoded(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let digits = text.get(at + 1..at + 3).filter(|digits| !digits.starts_with('+'));
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) if bytes[at] == b'%' => {
                decoded.push(byte);
                at += 3;
            }
            _ => {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
    }
    decoded
}
