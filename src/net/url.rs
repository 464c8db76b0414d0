//! The server that a URL names (RFC 6455 section 3).

use crate::error::InvalidInput;
use crate::proto::http::MAX_HEAD;
use crate::proto::location;
use crate::proto::url::{self, Host, Url};

/// A `ws` or `wss` URL, taken apart. The lookup, SNI and `Host` all use the same host.
#[derive(Clone)]
pub(crate) struct ServerUrl {
    pub(crate) secure: bool,
    pub(crate) host: Host,
    pub(crate) port: u16,
    /// Path and query.
    pub(crate) resource: String,
    /// The user and the password of the URL, decoded.
    pub(crate) credentials: Option<(String, String)>,
    /// The URL without user and password.
    pub(crate) url: String,
}

impl ServerUrl {
    /// Reads a URL.
    pub(crate) fn parse(url: &str) -> Result<Self, InvalidInput> {
        let invalid = |why: &str| InvalidInput::Url(why.into());
        if url.len() > MAX_HEAD {
            return Err(InvalidInput::RequestTooLarge);
        }
        // The URL Standard drops some of these silently.
        if url.bytes().any(|byte| byte <= b' ' || byte == 0x7F) {
            return Err(invalid("it has a space or a control character"));
        }
        let scheme = location::split_scheme(url).map_or("", |(scheme, _)| scheme);
        let secure = match scheme.to_ascii_lowercase().as_str() {
            "ws" => false,
            "wss" => true,
            "http" => return Err(invalid("the scheme is http; for a WebSocket it is ws")),
            "https" => return Err(invalid("the scheme is https; for a WebSocket it is wss")),
            "" => return Err(invalid("it does not begin with ws:// or wss://")),
            _ => return Err(invalid("the scheme is neither ws nor wss")),
        };
        if !location::has_host(url) {
            return Err(invalid("after the scheme come \"//\" and the host, without backslashes"));
        }
        let url = url::parse(url).map_err(InvalidInput::Url)?;
        // RFC 6455 section 3: fragment identifiers MUST NOT be used.
        if url.has_fragment {
            return Err(invalid("it has a fragment"));
        }
        if !is_host(&url.host) {
            return Err(invalid("the host is not a valid name"));
        }
        let port = url.port.unwrap_or(if secure { 443 } else { 80 });
        if port == 0 {
            return Err(invalid("port 0 cannot be connected to"));
        }
        let decode = |text: &str| {
            let text = percent_decode(text).filter(|text| !text.contains(char::is_control));
            let why = "the user or the password is not UTF-8, or has a control character";
            text.ok_or_else(|| invalid(why))
        };
        let credentials = match &url.credentials {
            Some((user, password)) => Some((decode(user)?, decode(password)?)),
            None => None,
        };
        let without_credentials = url.origin() + &url.resource;
        let Url { host, resource, .. } = url;
        Ok(Self { secure, host, port, resource, credentials, url: without_credentials })
    }

    /// Returns whether scheme, host and port are the same (RFC 6454 section 5).
    pub(crate) fn is_same_origin(&self, other: &Self) -> bool {
        (self.secure, &self.host, self.port) == (other.secure, &other.host, other.port)
    }

    /// Returns scheme, host and port, for diagnostics.
    pub(crate) fn origin(&self) -> String {
        format!("{}://{}", if self.secure { "wss" } else { "ws" }, self.host_header())
    }

    /// Returns the value of `Host`. It has the port, unless that is the default of the scheme.
    pub(crate) fn host_header(&self) -> String {
        let default = if self.secure { 443 } else { 80 };
        if self.port == default {
            self.host.to_string()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// Returns whether a host is an address, or a name whose length DNS allows, and the length of each
/// of its labels.
pub(crate) fn is_host(host: &Host) -> bool {
    let Host::Name(name) = host else { return true };
    let labels = name.strip_suffix('.').unwrap_or(name);
    labels.len() <= 253 && labels.split('.').all(|label| (1..=63).contains(&label.len()))
}

/// Decodes `%40` and its like. Returns `None` if the result is not UTF-8.
pub(crate) fn percent_decode(text: &str) -> Option<String> {
    let hex = |byte: Option<&u8>| byte.and_then(|&byte| char::from(byte).to_digit(16));
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match (byte, hex(bytes.get(at + 1)), hex(bytes.get(at + 2))) {
            (b'%', Some(high), Some(low)) => {
                decoded.push(u8::try_from(high * 16 + low).ok()?);
                at += 3;
            }
            _ => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8(decoded).ok()
}
