//! Where a redirect leads (RFC 9110 section 10.2.2).

use core::fmt;

use url::Url;

/// Why a redirect is not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BadLocation {
    /// `Location` does not lead to a `ws`, `wss`, `http` or `https` URL.
    Invalid,
    /// It leads from `wss` to `ws`.
    Insecure,
}

impl fmt::Display for BadLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Invalid => "the server redirects to nowhere that a WebSocket can be",
            Self::Insecure => "the server redirects from wss to ws",
        })
    }
}

impl core::error::Error for BadLocation {}

/// The URL that a `Location` means, seen from the URL that sent it: a `ws` or `wss` one, without
/// user and password, which a server has no business to choose, and without a fragment.
///
/// `http` stands for `ws` and `https` for `wss`. References are resolved as RFC 3986 section 5
/// has it; what only browsers forgive is not: spaces, bytes outside of ASCII, backslashes, a
/// missing or an extra slash before the host.
///
/// # Errors
/// [`BadLocation::Insecure`] if it leads from `wss` to `ws`; [`BadLocation::Invalid`] for
/// everything else that cannot be followed.
pub fn resolve(from: &str, location: &[u8]) -> Result<String, BadLocation> {
    let location = core::str::from_utf8(location).map_err(|_| BadLocation::Invalid)?;
    let from = Url::parse(from).map_err(|_| BadLocation::Invalid)?;
    if location.is_empty() || !location.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
    {
        return Err(BadLocation::Invalid);
    }
    let leads_somewhere = match split_scheme(location) {
        Some((scheme, _)) if is_ours(scheme) => has_host(location),
        // `javascript:code`; and what is no scheme, cannot stand before a colon either.
        Some(_) => false,
        None => !location.starts_with("///"),
    };
    if !leads_somewhere {
        return Err(BadLocation::Invalid);
    }
    let mut url = from.join(location).map_err(|_| BadLocation::Invalid)?;
    let scheme = match url.scheme() {
        "ws" | "http" => "ws",
        "wss" | "https" => "wss",
        _ => return Err(BadLocation::Invalid),
    };
    if url.set_scheme(scheme).is_err() || !strip_userinfo(&mut url) {
        return Err(BadLocation::Invalid);
    }
    url.set_fragment(None);
    if from.scheme() == "wss" && scheme == "ws" {
        return Err(BadLocation::Insecure);
    }
    Ok(url.into())
}

/// Takes user and password out of a URL. Returns `false` if the URL can have none: it has no host.
pub(crate) fn strip_userinfo(url: &mut Url) -> bool {
    url.set_username("").is_ok() && url.set_password(None).is_ok()
}

/// Returns whether a host can begin after the scheme of a URL and `//`. Browsers forgive a missing
/// or an extra slash, and a backslash for a slash; other parsers see another host there, or none.
pub(crate) fn has_host(url: &str) -> bool {
    let Some((_, rest)) = split_scheme(url) else { return false };
    let before_query = rest.split(['?', '#']).next().unwrap_or_default();
    match before_query.strip_prefix("//") {
        Some(host) => !host.is_empty() && !host.starts_with('/') && !host.contains('\\'),
        None => false,
    }
}

/// The scheme of a reference that has one, and what follows its colon. The first segment of a
/// relative reference has no colon (RFC 3986 section 4.2).
fn split_scheme(reference: &str) -> Option<(&str, &str)> {
    let (before, after) = reference.split_once(':')?;
    (!before.contains(['/', '?', '#'])).then_some((before, after))
}

fn is_ours(scheme: &str) -> bool {
    ["ws", "wss", "http", "https"].iter().any(|ours| scheme.eq_ignore_ascii_case(ours))
}
