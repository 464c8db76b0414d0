//! Reads URLs by the crate `url`, which follows the URL Standard, with names of all languages.

#![cfg(feature = "url")]

use core::net::IpAddr;

use url::Position;

use super::parts::{Host, Url};

/// Reads a URL. The error never quotes it, because it may hold a password.
pub(crate) fn parse(text: &str) -> Result<Url, Box<str>> {
    let url = url::Url::parse(text).map_err(|error| error.to_string())?;
    let host = match url.host().ok_or("it has no host")? {
        // The URL Standard leaves the host as it is if it does not know the scheme.
        url::Host::Domain(name) => parse_host(name).ok_or("the host is not valid")?,
        url::Host::Ipv4(address) => Host::Address(IpAddr::V4(address)),
        url::Host::Ipv6(address) => Host::Address(IpAddr::V6(address)),
    };
    let (user, password) = (url.username(), url.password().unwrap_or(""));
    let has_credentials = !user.is_empty() || !password.is_empty();
    Ok(Url {
        scheme: url.scheme().to_owned(),
        credentials: has_credentials.then(|| (user.to_owned(), password.to_owned())),
        host,
        port: url.port(),
        resource: url[Position::BeforePath..Position::AfterQuery].to_owned(),
        has_fragment: url.fragment().is_some(),
    })
}

/// Reads the host of a URL.
pub(crate) fn parse_host(text: &str) -> Option<Host> {
    Some(match url::Host::parse(text).ok()? {
        url::Host::Domain(name) => Host::Name(name),
        url::Host::Ipv4(address) => Host::Address(IpAddr::V4(address)),
        url::Host::Ipv6(address) => Host::Address(IpAddr::V6(address)),
    })
}
