//! The parts of a URL.

use core::fmt;
use core::net::IpAddr;

/// A URL that names a host, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url {
    /// The scheme, in lower case.
    pub(crate) scheme: String,
    /// User and password, percent-encoded; `None` if both are empty.
    pub(crate) credentials: Option<(String, String)>,
    pub(crate) host: Host,
    /// The port, unless it is the default of `ws`, `wss`, `http` or `https`.
    pub(crate) port: Option<u16>,
    /// Path and query, without dot segments, percent-encoded where that is needed.
    pub(crate) resource: String,
    pub(crate) has_fragment: bool,
}

/// A host, as DNS, certificates and `Host` name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    /// A name in ASCII and lower case.
    Name(String),
    Address(IpAddr),
}

impl Url {
    /// Returns the path, without the query.
    pub(crate) fn path(&self) -> &str {
        self.resource.split('?').next().unwrap_or_default()
    }

    /// Returns scheme, host and port, as a URL begins.
    pub(crate) fn origin(&self) -> String {
        match self.port {
            Some(port) => format!("{}://{}:{port}", self.scheme, self.host),
            None => format!("{}://{}", self.scheme, self.host),
        }
    }
}

impl fmt::Display for Host {
    /// Writes an IPv6 address in brackets, and always in hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(IpAddr::V4(address)) => address.fmt(f),
            Self::Address(IpAddr::V6(address)) => match address.segments() {
                [0, 0, 0, 0, 0, 0xFFFF, high, low] => write!(f, "[::ffff:{high:x}:{low:x}]"),
                _ => write!(f, "[{address}]"),
            },
        }
    }
}
