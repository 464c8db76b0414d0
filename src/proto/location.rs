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
    let hierarchy = match scheme(location) {
        Some(scheme) => {
            let rest = &location[scheme.len() + 1..];
            // A host must follow: `ws:path` and `javascript:code` lead nowhere.
            rest.strip_prefix("//").filter(|rest| !rest.is_empty())
        }
        None => Some(location.strip_prefix("//").unwrap_or("")),
    };
    if hierarchy.is_none_or(|rest| rest.starts_with('/')) {
        return Err(BadLocation::Invalid);
    }
    let mut url = from.join(location).map_err(|_| BadLocation::Invalid)?;
    let scheme = match url.scheme() {
        "ws" | "http" => "ws",
        "wss" | "https" => "wss",
        _ => return Err(BadLocation::Invalid),
    };
    let cleaned = url.set_scheme(scheme).is_ok()
        && url.set_username("").is_ok()
        && url.set_password(None).is_ok();
    if !cleaned {
        return Err(BadLocation::Invalid);
    }
    url.set_fragment(None);
    if from.scheme() == "wss" && scheme == "ws" {
        return Err(BadLocation::Insecure);
    }
    Ok(url.into())
}

/// The scheme of a reference that has one (RFC 3986 section 3.1).
fn scheme(reference: &str) -> Option<&str> {
    let end = reference.find([':', '/', '?', '#'])?;
    let (scheme, rest) = reference.split_at(end);
    let letters = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    let named = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(letters);
    (named && rest.starts_with(':')).then_some(scheme)
}
