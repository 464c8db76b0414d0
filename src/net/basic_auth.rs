//! Basic authentication (RFC 7617), with a server or with a proxy.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

/// A user and a password that `Authorization` and `Proxy-Authorization` can carry.
#[derive(Clone)]
pub(crate) struct BasicAuth {
    header_value: String,
}

impl BasicAuth {
    /// Returns `None` for a user with a colon: the first colon ends the user (section 2).
    pub(crate) fn new(user: &str, password: &str) -> Option<Self> {
        if user.contains(':') {
            return None;
        }
        let credentials = BASE64.encode(format!("{user}:{password}"));
        Some(Self { header_value: format!("Basic {credentials}") })
    }

    /// Returns the value of the header.
    pub(crate) fn header_value(&self) -> &str {
        &self.header_value
    }
}
