//! Why TLS failed.

#[cfg(feature = "tls")]
mod explain;
/// Without TLS nothing fails of it.
#[cfg(not(feature = "tls"))]
mod explain {
    use super::{Explained, StdError, TlsProblem, fmt};

    pub(super) fn problem(_: &(dyn StdError + 'static)) -> TlsProblem {
        TlsProblem::Other
    }

    pub(super) fn explain(_: &mut fmt::Formatter<'_>, _: &Explained<'_>) -> Option<fmt::Result> {
        None
    }
}

use std::error::Error as StdError;
use std::fmt;

use super::connecting::Quoted;
#[cfg(feature = "tls")]
pub(crate) use explain::is_ca_used_as_end_entity;

/// TLS failed. [`error`](Self::error) gives the `rustls::Error`, where there is one.
#[derive(Debug)]
pub struct TlsError {
    source: Box<dyn StdError + Send + Sync>,
    /// Names what was trusted, if that could matter.
    trusted: Box<str>,
}

/// What TLS failed of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TlsProblem {
    /// No certificate that is trusted vouches for the server's.
    UnknownIssuer,
    /// The server shows a certificate for an authority (`CA:TRUE`) as its own, and it is none of
    /// those that were given as trusted.
    CaUsedAsEndEntity,
    /// The certificate, or one between it and the root, has expired.
    Expired,
    /// The certificate, or one between it and the root, is not valid yet; or the clock of this
    /// machine is not set.
    NotValidYet,
    /// The certificate is for other names.
    WrongName,
    /// A signature does not fit its key, or the RSA key is too short to be trusted.
    BadSignature,
    /// A signature of a kind that cannot be checked here, such as ECDSA with SHA-512.
    UnsupportedSignature,
    /// Something else about the certificate.
    OtherCertificate,
    /// The peer ended the handshake, or the connection, with an alert.
    Alert,
    /// The peer does not speak TLS.
    NotTls,
    /// The peer ended the connection within the handshake.
    Eof,
    /// Something else: the peer broke the rules of TLS, for example.
    Other,
}

impl TlsError {
    #[cfg(any(feature = "tls", test))]
    pub(crate) fn new(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { source: source.into(), trusted: "".into() }
    }

    #[cfg(feature = "tls")]
    pub(crate) fn trusting(self, trusted: String) -> Self {
        Self { trusted: trusted.into(), ..self }
    }

    /// Returns what TLS said: the `rustls::Error`, where there is one.
    #[must_use]
    pub fn error(&self) -> &(dyn StdError + Send + Sync + 'static) {
        &*self.source
    }

    /// Returns what went wrong.
    #[must_use]
    pub fn problem(&self) -> TlsProblem {
        explain::problem(&*self.source)
    }

    /// Whether the server's certificate was not accepted.
    #[must_use]
    pub fn is_certificate(&self) -> bool {
        match self.problem() {
            TlsProblem::UnknownIssuer
            | TlsProblem::CaUsedAsEndEntity
            | TlsProblem::Expired
            | TlsProblem::NotValidYet
            | TlsProblem::WrongName
            | TlsProblem::BadSignature
            | TlsProblem::UnsupportedSignature
            | TlsProblem::OtherCertificate => true,
            TlsProblem::Alert | TlsProblem::NotTls | TlsProblem::Eof | TlsProblem::Other => false,
        }
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let explained = Explained { error: &*self.source, trusted: &self.trusted };
        write!(f, "TLS failed: {explained}")
    }
}

impl StdError for TlsError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.source()
    }
}

/// An error of TLS in words that say what to do. What the peer wrote is escaped, and cut.
pub(super) struct Explained<'a> {
    error: &'a (dyn StdError + 'static),
    #[cfg_attr(not(feature = "tls"), allow(dead_code))]
    trusted: &'a str,
}

impl<'a> Explained<'a> {
    pub(super) fn new(error: &'a (dyn StdError + 'static)) -> Self {
        Self { error, trusted: "" }
    }
}

impl fmt::Display for Explained<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        explain::explain(f, self).unwrap_or_else(|| Quoted(&self.error).fmt(f))
    }
}
