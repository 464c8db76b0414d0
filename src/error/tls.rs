//! The error of TLS, and its text.

#[cfg_attr(not(feature = "tls-core"), path = "tls/off.rs")]
pub(super) mod explain;

use std::error::Error as StdError;
use std::fmt;

use super::connecting::Quoted;

/// Tells why TLS failed, while connecting. Its text says what to do.
///
/// # Examples
///
/// ```no_run
/// use landline::Error;
/// use landline::error::TlsProblem;
///
/// if let Err(Error::Tls(failed)) = landline::connect("wss://example.com/feed") {
///     match failed.problem() {
///         TlsProblem::NotValidYet => println!("is the clock of this machine set?"),
///         _ if failed.is_certificate() => println!("do not trust this server: {failed}"),
///         _ => println!("{failed}"),
///     }
/// }
/// ```
#[derive(Debug)]
pub struct TlsError {
    source: Box<dyn StdError + Send + Sync>,
    /// Names the roots that were trusted, if they could matter.
    trusted: Box<str>,
}

/// Names why TLS failed. [`TlsError::problem`] gives it, and the text of the [`TlsError`] says
/// more: names, dates, which roots were trusted.
///
/// Only [`Eof`](Self::Eof) and [`NotValidYet`](Self::NotValidYet) may go well if tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TlsProblem {
    /// No trusted authority issued the server's certificate, or the server does not send the
    /// certificates in between. Trust the authority by `TlsOptions::add_ca_pem_file`, or mend the
    /// server.
    UnknownIssuer,
    /// The server shows the certificate of an authority (`CA:TRUE`) as its own, and that
    /// certificate was not given as trusted. Give exactly this certificate to
    /// `TlsOptions::add_ca_pem_file`, if it is that of your server.
    CaUsedAsEndEntity,
    /// The certificate, or one between it and the root, has expired. Renew it; or the clock of this
    /// machine is wrong.
    Expired,
    /// The certificate, or one between it and the root, is not valid yet; or the clock of this
    /// machine is not set. Set the clock, or wait until the system has.
    NotValidYet,
    /// The certificate is for other names than that of the server. Connect to one of its names, or
    /// give it to `TlsOptions::server_name`.
    WrongName,
    /// A signature does not fit its key, or the RSA key is too short to be trusted. The server
    /// needs another certificate.
    BadSignature,
    /// A signature uses an algorithm that cannot be checked here, such as ECDSA with SHA-512 by
    /// *ring*. Another crypto provider may know it.
    UnsupportedSignature,
    /// The certificate's public key matches no pin given to `TlsOptions::pin_public_key`. The
    /// server has a new key, or this is not the server. Ask those who run it before you pin the new
    /// key.
    PinMismatch,
    /// The certificate is not accepted for another reason, which the text gives.
    OtherCertificate,
    /// The peer ended the handshake, or the connection, with an alert: there is no version or
    /// cipher that both sides know, or it wants a client certificate.
    Alert,
    /// The peer does not speak TLS. Is the port right, or should the URL begin with `ws:`?
    NotTls,
    /// The peer ended the connection within the handshake. Try again later.
    Eof,
    /// TLS failed for another reason: the peer broke its rules, for example.
    Other,
}

impl TlsError {
    pub(crate) fn new(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { source: source.into(), trusted: "".into() }
    }

    #[cfg(feature = "tls-core")]
    pub(crate) fn trusting(self, trusted: String) -> Self {
        Self { trusted: trusted.into(), ..self }
    }

    /// Returns the error that this one was made from: a `rustls::Error` in most cases.
    #[must_use]
    pub fn error(&self) -> &(dyn StdError + Send + Sync + 'static) {
        &*self.source
    }

    /// Returns what went wrong.
    #[must_use]
    pub fn problem(&self) -> TlsProblem {
        explain::problem(&*self.source)
    }

    /// Returns whether the server's certificate was not accepted.
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
            | TlsProblem::PinMismatch
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

/// Shows an error of TLS in words that say what to do. What the peer wrote is escaped and cut.
pub(super) struct Explained<'a> {
    error: &'a (dyn StdError + 'static),
    #[cfg_attr(not(feature = "tls-core"), allow(dead_code))]
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
