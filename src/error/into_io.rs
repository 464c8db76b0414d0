//! Turns an [`Error`] into an `io::Error`, for `Read`, `Write` and functions that return
//! `io::Result`.

use std::io::{self, ErrorKind};

use super::connecting::{ConnectError, HandshakeProblem, ProxyProblem};
use super::tls::{TlsError, TlsProblem};
use super::{Cause, Error};
use crate::proto::error::SocksError;

/// Wraps the error and chooses a kind. `io::Error::get_ref` and `downcast` give the error back.
///
/// | error | kind |
/// |---|---|
/// | `InvalidInput` | `InvalidInput` |
/// | `Timeout`, and a deadline as the cause of `Closed` | `TimedOut` |
/// | `Io`, `Local`, a transport that failed | that of the `io::Error` within |
/// | `Connect`, a proxy that cannot be reached | that of the lookup, or of the last address |
/// | the server or the proxy refuses; a redirect is not followed | `ConnectionRefused` |
/// | the peer or the proxy ends the stream too soon: no answer, no Close | `UnexpectedEof` |
/// | `Protocol`, an answer that is wrong, a failure of TLS | `InvalidData` |
/// | `Closed` by a closing handshake or by `abort` | `ConnectionAborted` |
/// | `Handler` | `Other` |
///
/// No error has the kind `Interrupted`, because callers try again for ever after it. The kind is
/// `Other` then.
///
/// # Examples
///
/// ```
/// use landline::{Error, Timeout};
///
/// let error = std::io::Error::from(Error::Timeout(Timeout::Pong));
/// assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
/// let error: Error = error.downcast()?;
/// assert!(error.is_fatal());
/// # Ok::<(), std::io::Error>(())
/// ```
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match of_error(&error) {
            ErrorKind::Interrupted => ErrorKind::Other,
            kind => kind,
        };
        Self::new(kind, error)
    }
}

fn of_error(error: &Error) -> ErrorKind {
    match error {
        Error::InvalidInput(_) => ErrorKind::InvalidInput,
        Error::Timeout(_) => ErrorKind::TimedOut,
        Error::Io(error) | Error::Local(error) => error.kind(),
        Error::Connect(connect) => of_connect(connect),
        Error::Tls(tls) => of_tls(tls),
        Error::Proxy(proxy) => match proxy.problem() {
            ProxyProblem::Connect(connect) => of_connect(connect),
            ProxyProblem::Tls(tls) => of_tls(tls),
            ProxyProblem::Io(error) => error.kind(),
            ProxyProblem::Eof => ErrorKind::UnexpectedEof,
            ProxyProblem::Head(_) | ProxyProblem::TooManyInterim => ErrorKind::InvalidData,
            ProxyProblem::Socks(
                SocksError::NotSocks(_) | SocksError::Method(_) | SocksError::AddressType(_),
            ) => ErrorKind::InvalidData,
            ProxyProblem::Refused(_) | ProxyProblem::Socks(_) => ErrorKind::ConnectionRefused,
        },
        Error::Handshake(handshake) => match handshake.problem() {
            HandshakeProblem::Eof => ErrorKind::UnexpectedEof,
            HandshakeProblem::Refused
            | HandshakeProblem::TooManyRedirects
            | HandshakeProblem::InsecureRedirect
            | HandshakeProblem::UnfollowedRedirect => ErrorKind::ConnectionRefused,
            HandshakeProblem::Head(_)
            | HandshakeProblem::TooManyInterim
            | HandshakeProblem::Mismatch(_)
            | HandshakeProblem::BadRedirect => ErrorKind::InvalidData,
        },
        Error::Protocol(_) => ErrorKind::InvalidData,
        Error::Closed(closed) => match closed.cause() {
            Cause::Close | Cause::Aborted => ErrorKind::ConnectionAborted,
            Cause::Eof => ErrorKind::UnexpectedEof,
            Cause::Io(error) => error.kind(),
            Cause::Tls(_) | Cause::Protocol(_) => ErrorKind::InvalidData,
            Cause::Timeout(_) => ErrorKind::TimedOut,
        },
        Error::Handler(_) => ErrorKind::Other,
    }
}

fn of_connect(connect: &ConnectError) -> ErrorKind {
    let last = connect.attempts().last().map(|(_, error)| error);
    connect.resolve_error().or(last).map_or(ErrorKind::Other, io::Error::kind)
}

fn of_tls(tls: &TlsError) -> ErrorKind {
    match tls.problem() {
        TlsProblem::Eof => ErrorKind::UnexpectedEof,
        _ => ErrorKind::InvalidData,
    }
}
