//! The exit statuses, and which error leads to which.

use std::process::ExitCode;

use landline::error::{Cause, HandshakeProblem, Side};
use landline::{CloseCode, Closed, Error};

/// Tells how the program ended. The number is the exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Clean = 0,
    Usage = 1,
    NotConnected = 2,
    Refused = 3,
    Proxy = 4,
    Tls = 5,
    Protocol = 6,
    TimedOut = 7,
    Closed = 8,
    Unmet = 9,
    Local = 10,
    Interrupted = 130,
}

/// The table in the help and in the man page.
pub(crate) const TABLE: &str = "\
Exit statuses:
  0    clean: what was asked for came, or the server closed with 1000 or no code
  1    usage: an option is wrong; nothing was opened
  2    not connected: no such host, nobody listens, no such Unix socket
  3    refused: the server answered with another status than 101
  4    proxy: it cannot be reached, or opened no way to the server
  5    TLS: the certificate is not accepted, or the handshake failed
  6    protocol: the server breaks the protocol, or goes over a limit
  7    timed out: connecting, --timeout, --max-time, or no pong
  8    closed: by the server with another code, or without a Close
  9    not met: the connection ended before --count, -1 or --until
  10   here: standard input cannot be read or sent, or the output not written
  130  interrupted: Ctrl-C, SIGTERM or SIGHUP";

impl Status {
    /// Returns the status for an error of connecting, sending or receiving.
    pub(crate) fn of(error: &Error) -> Self {
        match error {
            Error::InvalidInput(_) | Error::Handler(_) => Self::Usage,
            Error::Connect(_) | Error::Io(_) => Self::NotConnected,
            Error::Tls(_) => Self::Tls,
            Error::Proxy(_) => Self::Proxy,
            Error::Handshake(failed) => match failed.problem() {
                HandshakeProblem::Eof => Self::NotConnected,
                HandshakeProblem::Head(_)
                | HandshakeProblem::TooManyInterim
                | HandshakeProblem::Mismatch(_) => Self::Protocol,
                _ => Self::Refused,
            },
            Error::Protocol(_) => Self::Protocol,
            Error::Timeout(_) => Self::TimedOut,
            Error::Closed(closed) => Self::of_end(closed),
            _ => Self::Local,
        }
    }

    /// Returns the status for the end of a connection that the server or the network ended.
    fn of_end(closed: &Closed) -> Self {
        match closed.cause() {
            Cause::Close if is_normal(closed) => Self::Clean,
            Cause::Tls(_) => Self::Tls,
            Cause::Protocol(_) => Self::Protocol,
            Cause::Timeout(_) => Self::TimedOut,
            Cause::Aborted => Self::Interrupted,
            _ => Self::Closed,
        }
    }
}

/// Returns whether the server closed because nothing more is to come: with 1000 or without a code.
fn is_normal(closed: &Closed) -> bool {
    closed.initiator() == Some(Side::Peer)
        && matches!(closed.code(), CloseCode::NORMAL | CloseCode::NO_STATUS)
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        Self::from(status as u8)
    }
}

/// Returns whether this side ended the connection, or the attempt.
pub(crate) fn is_ended_here(error: &Error) -> bool {
    error.closed().is_some_and(|closed| closed.initiator() == Some(Side::Local))
}

#[cfg(test)]
mod tests {
    use landline::Timeout;
    use landline::error::Violation;

    use super::*;

    #[test]
    fn the_table_has_every_status() {
        use Status::*;
        for status in [
            Clean,
            Usage,
            NotConnected,
            Refused,
            Proxy,
            Tls,
            Protocol,
            TimedOut,
            Closed,
            Unmet,
            Local,
            Interrupted,
        ] {
            let line = format!("\n  {:<5}", status as u8);
            assert!(TABLE.contains(&line), "{status:?}");
        }
    }

    #[test]
    fn errors_lead_to_statuses() {
        assert_eq!(Status::of(&Error::Timeout(Timeout::Proxy)), Status::TimedOut);
        assert_eq!(Status::of(&Error::Protocol(Violation::InvalidUtf8)), Status::Protocol);
        assert_eq!(
            Status::of(&Error::Io(std::io::ErrorKind::NotFound.into())),
            Status::NotConnected
        );
        assert_eq!(Status::of(&Error::Local(std::io::ErrorKind::Other.into())), Status::Local);
    }
}
