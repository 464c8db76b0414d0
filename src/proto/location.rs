//! Finds out where a redirect leads (RFC 9110 section 10.2.2).

use core::fmt;

use super::url::{self, Url};

/// Tells why a redirect is not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BadLocation {
    /// `Location` does not lead to a `ws`, `wss`, `http` or `https` URL.
    Invalid,
    /// `Location` leads from `wss` to `ws`.
    Insecure,
}

impl fmt::Display for BadLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Invalid => "the server redirects to no ws, wss, http or https URL",
            Self::Insecure => "the server redirects from wss to ws",
        })
    }
}

impl core::error::Error for BadLocation {}

/// Returns the `ws` or `wss` URL that a `Location` means, if the URL `from` answered with it. The
/// result has no user and no password, which a server must not choose, and no fragment.
///
/// `http` stands for `ws` and `https` for `wss`. A relative reference is resolved by RFC 3986
/// section 5. Deviations that only browsers forgive are refused: spaces, bytes outside of ASCII,
/// backslashes, a missing or an extra slash before the host.
///
/// # Errors
/// [`BadLocation::Insecure`] if the location leads from `wss` to `ws`; [`BadLocation::Invalid`] if
/// it cannot be followed for any other reason.
pub fn resolve(from: &str, location: &[u8]) -> Result<String, BadLocation> {
    let location = core::str::from_utf8(location).map_err(|_| BadLocation::Invalid)?;
    let from = url::parse(from).map_err(|_| BadLocation::Invalid)?;
    if location.is_empty() || !location.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
    {
        return Err(BadLocation::Invalid);
    }
    let leads_somewhere = match split_scheme(location) {
        Some((scheme, _)) if is_ours(scheme) => has_host(location),
        // Another scheme, such as `javascript:code`, or a colon after something that is no scheme.
        Some(_) => false,
        None => !location.starts_with("///"),
    };
    if !leads_somewhere {
        return Err(BadLocation::Invalid);
    }
    let mut url = url::parse(&absolute(&from, location)).map_err(|_| BadLocation::Invalid)?;
    let scheme = match url.scheme.as_str() {
        "ws" | "http" => "ws",
        "wss" | "https" => "wss",
        _ => return Err(BadLocation::Invalid),
    };
    if from.scheme == "wss" && scheme == "ws" {
        return Err(BadLocation::Insecure);
    }
    scheme.clone_into(&mut url.scheme);
    Ok(url.origin() + &url.resource)
}

/// Returns a reference as a URL, in which there may still be dot segments (RFC 3986 section 5.2.2).
fn absolute(from: &Url, reference: &str) -> String {
    if split_scheme(reference).is_some() {
        return reference.to_owned();
    }
    if reference.starts_with("//") {
        return [&from.scheme, ":", reference].concat();
    }
    let path = from.path();
    let kept = match reference.as_bytes().first() {
        Some(b'/') => "",
        Some(b'?') => path,
        Some(b'#') => &from.resource,
        // Section 5.2.3: all of the path up to its last slash.
        _ => &path[..path.rfind('/').map_or(0, |slash| slash + 1)],
    };
    [&from.origin(), kept, reference].concat()
}

/// Returns whether a host follows the scheme of a URL, after exactly `//`. Browsers forgive a
/// missing or an extra slash, and a backslash instead of a slash. Other parsers see another host
/// there, or none.
pub(crate) fn has_host(url: &str) -> bool {
    let Some((_, rest)) = split_scheme(url) else { return false };
    let before_query = rest.split(['?', '#']).next().unwrap_or_default();
    match before_query.strip_prefix("//") {
        Some(host) => !host.is_empty() && !host.starts_with('/') && !host.contains('\\'),
        None => false,
    }
}

/// Returns the scheme of a reference that has one, and the text after its colon. The first segment
/// of a relative reference cannot have a colon (RFC 3986 section 4.2).
pub(crate) fn split_scheme(reference: &str) -> Option<(&str, &str)> {
    let (before, after) = reference.split_once(':')?;
    (!before.contains(['/', '?', '#'])).then_some((before, after))
}

fn is_ours(scheme: &str) -> bool {
    ["ws", "wss", "http", "https"].iter().any(|ours| scheme.eq_ignore_ascii_case(ours))
}
