//! Proxy URLs: an accepted one names one host and port, and nothing ever shows the password.
//!
//! Input: the URL, a zero byte, user, a zero byte, password.

use landline::error::InvalidInput;
use landline::proxy::Proxy;
use landline::{Builder, Error};

const SCHEMES: [&str; 6] = ["http", "https", "socks4", "socks4a", "socks5", "socks5h"];
const CANARY: &str = "Canary7";

pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut parts = text.split('\0');
    let mut part = || parts.next().unwrap_or_default();
    let (url, user, password) = (part(), part(), part());

    // The same URL with a password in it.
    let secret = url.replace('@', &format!(":{CANARY}@"));
    for url in [url, &secret] {
        let proxy = Proxy::new(url);
        super::note(&proxy);
        match proxy {
            Ok(proxy) => accepted(url, proxy, user, password),
            Err(error) => refused(&error, url),
        }
        in_environment(url);
    }
}

/// Checks the same URL in a variable of the environment. A URL that the caller may give has the
/// same meaning there. In any other that is accepted there, nothing but a path follows the host.
fn in_environment(url: &str) {
    let variable = |name: &str| (name == "all_proxy").then(|| url.into());
    let named = match Proxy::from_variables("ws://server.test/", variable) {
        Ok(named) => named.map(|proxy| proxy.to_string()),
        Err(error) => return refused(&error, url),
    };
    assert!(!named.as_deref().unwrap_or_default().contains('@'), "{named:?}");
    if let Ok(proxy) = Proxy::new(url) {
        assert_eq!(named, Some(proxy.to_string()), "{url:?}");
    } else if named.is_some() {
        let url = url.trim();
        let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
        let scheme = if scheme.eq_ignore_ascii_case("socks") { "socks5h" } else { scheme };
        let place = rest.split(['/', '?', '#']).next().unwrap();
        assert!(rest.rsplit_once('@').is_none_or(|(user, _)| place.starts_with(user)), "{url:?}");
        let proxy = Proxy::new(&format!("{scheme}://{place}")).unwrap();
        assert_eq!(named, Some(proxy.to_string()), "{url:?}");
    }
}

fn accepted(url: &str, proxy: Proxy, user: &str, password: &str) {
    let shown = proxy.to_string();
    let (scheme, place) = shown.split_once("://").unwrap();
    assert!(SCHEMES.contains(&scheme), "{shown:?}");
    let (host, port) = place.rsplit_once(':').unwrap();
    assert_ne!(port.parse(), Ok(0_u16), "{shown:?}");
    assert!(!host.is_empty() && !shown.contains(|c: char| c <= ' ' || c == '@' || !c.is_ascii()));
    // The proxy that is shown is read back as the same.
    assert_eq!(Proxy::new(&shown).unwrap().to_string(), shown, "{url:?}");

    let seen = format!("{shown} {proxy:?} {:?}", Builder::new().proxy(proxy.clone()));
    // A canary outside of the credentials is no password.
    let within = url.rsplit_once('@').map_or("", |(within, _)| within);
    let elsewhere = url.rsplit_once('@').map_or(url, |(_, rest)| rest).to_ascii_lowercase();
    if within.contains(CANARY) && !elsewhere.contains("canary") {
        assert!(!seen.contains(CANARY), "{seen}");
    }
    if let Err(error) = proxy.credentials(user, format!("{CANARY}{password}")) {
        refused(&error, "");
    }
}

fn refused(error: &Error, url: &str) {
    assert!(matches!(error, Error::InvalidInput(InvalidInput::Proxy(_))), "{url:?}: {error:?}");
    assert!(!format!("{error} {error:?}").contains(CANARY), "{url:?}: {error}");
}
