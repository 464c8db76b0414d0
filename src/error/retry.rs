//! The rule that decides which errors are worth another attempt.

use super::connecting::{HandshakeError, HandshakeProblem, ProxyError, ProxyProblem};
use super::tls::{TlsError, TlsProblem};
use super::{Cause, Closed, Error, Side};
use crate::proto::close::CloseCode;
use crate::proto::error::SocksError;
use crate::proto::http::Response;

/// Tells whether to connect again, for a program that has not been connected yet and for one that
/// has.
///
/// | | no connection has stood yet | once a connection has stood |
/// |---|---|---|
/// | `Always` | retried | retried |
/// | `OnceStood` | final | retried |
/// | `Never` | final | final |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Retry {
    /// The same may go well later.
    Always,
    /// The next attempt would most likely fail in the same way, so a script ends at once. But what
    /// worked once is only down for a while.
    OnceStood,
    /// One side wanted the end, or the program is wrong.
    Never,
}

impl Retry {
    /// Decides whether an error is worth another attempt.
    ///
    /// [`Error::is_retryable`] and
    /// [`Failure::is_retryable`](crate::backoff::Failure::is_retryable) ask this function and
    /// nothing else. The documentation of the latter has the rule as a table for users, and
    /// `app/backoff/tests.rs` has it as a test.
    pub(crate) fn of(error: &Error) -> Self {
        match error {
            Error::InvalidInput(_) | Error::Handler(_) => Self::Never,
            Error::Connect(_) | Error::Io(_) | Error::Timeout(_) | Error::Local(_) => Self::Always,
            Error::Tls(tls) => of_tls(tls),
            Error::Proxy(proxy) => of_proxy(proxy),
            Error::Handshake(handshake) => of_handshake(handshake),
            Error::Protocol(_) => Self::OnceStood,
            Error::Closed(closed) => of_closed(closed),
        }
    }

    /// Returns the answer for a program for which a connection has stood, or has not.
    pub(crate) fn is_retried(self, has_stood: bool) -> bool {
        match self {
            Self::Always => true,
            Self::OnceStood => has_stood,
            Self::Never => false,
        }
    }

    fn always_if(is_temporary: bool) -> Self {
        if is_temporary { Self::Always } else { Self::OnceStood }
    }
}

/// The close codes of a peer that is away for a while. 1006 stands for a connection that ended
/// without a Close frame.
const TEMPORARY_CLOSE_CODES: [CloseCode; 6] = [
    CloseCode::GOING_AWAY,
    CloseCode::ABNORMAL,
    CloseCode::INTERNAL_ERROR,
    CloseCode::SERVICE_RESTART,
    CloseCode::TRY_AGAIN_LATER,
    CloseCode::BAD_GATEWAY,
];

/// The HTTP statuses below 500 of a server, or a proxy, that is busy for a while: Request Timeout
/// and Too Many Requests.
const TEMPORARY_STATUSES: [u16; 2] = [408, 429];

fn of_closed(closed: &Closed) -> Retry {
    if closed.was_ended_here() || closed.is_normal_close_of_peer() {
        return Retry::Never;
    }
    if matches!(closed.cause(), Cause::Protocol(_)) {
        return Retry::OnceStood;
    }
    // This side closed and its user did not ask for it, because a message could not be completed.
    // The code with which the peer answered says nothing then.
    let gave_up = closed.initiator() == Some(Side::Local);
    Retry::always_if(gave_up || TEMPORARY_CLOSE_CODES.contains(&closed.code()))
}

fn of_handshake(handshake: &HandshakeError) -> Retry {
    match handshake.problem() {
        HandshakeProblem::Eof => Retry::Always,
        HandshakeProblem::Refused => {
            Retry::always_if(handshake.response().is_some_and(is_temporary))
        }
        HandshakeProblem::Head(_)
        | HandshakeProblem::TooManyInterim
        | HandshakeProblem::Mismatch(_)
        | HandshakeProblem::TooManyRedirects
        | HandshakeProblem::InsecureRedirect
        | HandshakeProblem::BadRedirect
        | HandshakeProblem::UnfollowedRedirect => Retry::OnceStood,
    }
}

fn is_temporary(refusal: &Response) -> bool {
    let status = refusal.status();
    TEMPORARY_STATUSES.contains(&status) || matches!(status, 500..=599)
}

fn of_proxy(proxy: &ProxyError) -> Retry {
    match proxy.problem() {
        ProxyProblem::Connect(_) | ProxyProblem::Io(_) | ProxyProblem::Eof => Retry::Always,
        ProxyProblem::Tls(tls) => of_tls(tls),
        ProxyProblem::Refused(response) => Retry::always_if(is_temporary(response)),
        ProxyProblem::Socks(error) => Retry::always_if(is_temporary_in_socks(*error)),
        ProxyProblem::Head(_) | ProxyProblem::TooManyInterim => Retry::OnceStood,
    }
}

/// SOCKS 4 has one code for most failures. Of SOCKS 5 (RFC 1928 section 6) these are temporary: a
/// general failure, a network or a host that is unreachable, a refused connection, an expired TTL.
fn is_temporary_in_socks(error: SocksError) -> bool {
    matches!(error, SocksError::Refused4(91) | SocksError::Refused5(1 | 3..=6))
}

fn of_tls(tls: &TlsError) -> Retry {
    // Machines whose clock has no battery start in 1970, and learn the time once they are
    // connected. Until then no certificate is valid yet.
    Retry::always_if(matches!(tls.problem(), TlsProblem::Eof | TlsProblem::NotValidYet))
}
