//! Says which end of a connection a fault explains.

use landline::error::{Cause, HandshakeProblem, Side};
use landline::{CloseCode, Closed, Error, Timeout};

use crate::plan::Fault;
use crate::server::Manner;

/// Returns the class of the error at the end of a connection, in a few words.
pub fn class(error: &Error) -> String {
    match error {
        Error::Connect(_) => "Connect".to_owned(),
        Error::Tls(tls) => format!("Tls, certificate: {}", tls.is_certificate()),
        Error::Handshake(handshake) => format!("Handshake: {:?}", handshake.problem()),
        Error::Timeout(timeout) => format!("Timeout: {timeout:?}"),
        Error::Closed(closed) => match closed.cause() {
            Cause::Close => format!("Closed: {}", closed.code().value()),
            Cause::Io(error) => format!("Closed: Io: {:?}", error.kind()),
            Cause::Tls(_) => "Closed: Tls".to_owned(),
            cause => format!("Closed: {cause:?}"),
        },
        Error::Io(error) => format!("Io: {:?}", error.kind()),
        other => format!("{other:?}"),
    }
}

/// Returns whether the connection ended by our Close.
pub fn is_our_close(error: &Error) -> bool {
    error.closed().is_some_and(|closed| {
        closed.is_clean()
            && closed.initiator() == Some(Side::Local)
            && closed.code() == CloseCode::NORMAL
    })
}

/// Returns whether the fault explains the error of the receiver, or of connecting.
pub fn explains(fault: Fault, error: &Error) -> bool {
    match fault {
        Fault::Reset | Fault::Fin | Fault::HalfClose | Fault::ServerKilled | Fault::PeerDrop => {
            is_cut(error)
        }
        Fault::BlackHole | Fault::Freeze => is_silence(error),
        Fault::BitFlip => is_cut(error) || is_silence(error) || is_tls(error),
        Fault::PeerClose => error.closed().is_some_and(|closed| {
            let told = (closed.code().value(), closed.reason());
            closed.is_clean() && closed.initiator() == Some(Side::Peer) && told == Manner::CLOSE
        }),
        Fault::Abort => {
            error.closed().is_some_and(|closed| matches!(closed.cause(), Cause::Aborted))
        }
        Fault::Drop => false,
    }
}

fn is_cut(error: &Error) -> bool {
    match error {
        Error::Connect(_) | Error::Io(_) => true,
        Error::Tls(_) => error.is_retryable(),
        Error::Handshake(handshake) => handshake.problem() == &HandshakeProblem::Eof,
        Error::Closed(closed) => {
            matches!(closed.cause(), Cause::Eof | Cause::Io(_)) || is_half_closed(closed)
        }
        _ => false,
    }
}

/// Returns whether the peer sent a Close, and was gone before ours.
fn is_half_closed(closed: &Closed) -> bool {
    matches!(closed.cause(), Cause::Close) && !closed.is_clean()
}

fn is_silence(error: &Error) -> bool {
    use Timeout::{Close, Handshake, Pong, Send, Tls};
    match error {
        Error::Timeout(timeout) => matches!(timeout, Tls | Handshake | Pong | Send),
        Error::Closed(closed) => matches!(closed.cause(), Cause::Timeout(Close)),
        _ => false,
    }
}

fn is_tls(error: &Error) -> bool {
    match error {
        Error::Tls(_) => true,
        Error::Closed(closed) => matches!(closed.cause(), Cause::Tls(_)),
        _ => false,
    }
}

/// Returns whether a thread that sends may get this error when the connection breaks. The receiver
/// gets the reason.
pub fn is_end_of_sending(error: &Error) -> bool {
    matches!(error, Error::Closed(_) | Error::Timeout(Timeout::Send | Timeout::Busy))
}
