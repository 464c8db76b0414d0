//! The table of [`Failure::is_retryable`], and how failures in a row are counted.

use std::io;

use super::super::run::App;
use super::*;
use crate::error::{
    Cause, ConnectError, HandshakeError, HandshakeProblem, InvalidInput, ProxyError, ProxyProblem,
    Side, Timeout, TlsError,
};
use crate::proto::Violation;
use crate::proto::close::{CloseCode, CloseFrame};
use crate::proto::error::{HeadError, Mismatch, SocksError};
use crate::proto::http::{HeadReader, Response};

/// The two columns of the table: at the first attempt, and once a connection has stood.
const ALWAYS: [bool; 2] = [true, true];
const ONCE_STOOD: [bool; 2] = [false, true];
const NEVER: [bool; 2] = [false, false];

/// Checks a row of the table. The error alone answers as for the first attempt.
#[track_caller]
fn assert_retried(error: &Error, expected: [bool; 2]) {
    let retried = [false, true].map(|has_stood| {
        Failure::new(error, 1, Duration::ZERO).with_stood(has_stood).is_retryable()
    });
    assert_eq!(retried, expected, "{error:?}");
    assert_eq!(error.is_retryable(), expected[0], "{error:?}");
}

fn answer(status: u16) -> Response {
    let head = format!("HTTP/1.1 {status} X\r\n\r\n");
    HeadReader::default().advance(head.as_bytes()).unwrap().unwrap().0
}

fn handshake(problem: HandshakeProblem, status: u16) -> Error {
    Error::Handshake(Box::new(HandshakeError { problem, response: Some(answer(status)) }))
}

fn proxy(problem: ProxyProblem) -> Error {
    Error::Proxy(Box::new(ProxyError { proxy: "http://proxy:1".into(), problem }))
}

fn unreachable() -> ConnectError {
    ConnectError { host: "host".to_owned(), resolve: None, attempts: Vec::new() }
}

fn tls(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> TlsError {
    TlsError::new(source)
}

/// Makes the error of a connection that ended without a Close of the peer.
fn lost(cause: Cause) -> Error {
    Error::from(Closed::new(None, None, None, false, cause, None))
}

/// Makes the error of a connection on which both sides sent a Close.
fn closed(ours: CloseFrame, theirs: CloseFrame, by: Side, asked: bool) -> Error {
    Error::from(Closed::new(Some(ours), Some(theirs), Some(by), asked, Cause::Close, None))
}

fn closed_by_peer(close: CloseFrame) -> Error {
    closed(close.clone(), close, Side::Peer, false)
}

#[test]
fn no_connection_comes_about() {
    assert_retried(&Error::Connect(Box::new(unreachable())), ALWAYS);
    assert_retried(&Error::Io(io::ErrorKind::ConnectionReset.into()), ALWAYS);
    assert_retried(&Error::Local(io::Error::other("no random bytes")), ALWAYS);
    assert_retried(&handshake(HandshakeProblem::Eof, 101), ALWAYS);
    for timeout in [
        Timeout::Resolve,
        Timeout::Connect,
        Timeout::Proxy,
        Timeout::Tls,
        Timeout::Handshake,
        Timeout::Recv,
        Timeout::Send,
        Timeout::Busy,
        Timeout::Pong,
        Timeout::Close,
    ] {
        assert_retried(&Error::Timeout(timeout), ALWAYS);
    }
}

#[test]
fn the_server_answers_with_a_status() {
    let refused = |status| handshake(HandshakeProblem::Refused, status);
    for status in [200, 204, 300, 304, 400, 401, 403, 404, 407, 410, 418, 426, 451, 499] {
        assert_retried(&refused(status), ONCE_STOOD);
    }
    for status in [408, 429, 500, 501, 502, 503, 504, 511, 520, 599] {
        assert_retried(&refused(status), ALWAYS);
    }
}

#[test]
fn the_servers_answer_opens_no_websocket() {
    let mismatches = [
        Mismatch::Version,
        Mismatch::Upgrade,
        Mismatch::Connection,
        Mismatch::Accept,
        Mismatch::Extension,
        Mismatch::Subprotocol,
    ];
    for mismatch in mismatches {
        assert_retried(&handshake(HandshakeProblem::Mismatch(mismatch), 101), ONCE_STOOD);
    }
    for problem in [
        HandshakeProblem::Head(HeadError::NotHttp),
        HandshakeProblem::TooManyInterim,
        HandshakeProblem::TooManyRedirects,
        HandshakeProblem::InsecureRedirect,
        HandshakeProblem::BadRedirect,
        HandshakeProblem::UnfollowedRedirect,
    ] {
        assert_retried(&handshake(problem, 302), ONCE_STOOD);
    }
}

#[cfg(feature = "tls-core")]
#[test]
fn tls_fails_while_connecting() {
    assert_retried(
        &Error::Tls(Box::new(tls(io::Error::from(io::ErrorKind::UnexpectedEof)))),
        ALWAYS,
    );
    assert_retried(&Error::Tls(Box::new(tls("no TLS at all"))), ONCE_STOOD);
}

#[cfg(feature = "tls-core")]
#[test]
fn tls_does_not_accept_the_certificate_or_gets_an_alert() {
    use std::sync::Arc;

    use rustls::{
        AlertDescription, CertificateError, Error as Rustls, OtherError, PeerIncompatible,
    };

    use crate::error::PinMismatch;

    let not_pinned = OtherError(Arc::new(PinMismatch::new("sha256//")));
    for error in [
        Rustls::InvalidCertificate(CertificateError::Expired),
        Rustls::InvalidCertificate(CertificateError::UnknownIssuer),
        Rustls::InvalidCertificate(CertificateError::NotValidForName),
        Rustls::InvalidCertificate(CertificateError::Revoked),
        Rustls::InvalidCertificate(CertificateError::BadSignature),
        Rustls::InvalidCertificate(CertificateError::Other(not_pinned)),
        Rustls::AlertReceived(AlertDescription::HandshakeFailure),
        Rustls::PeerIncompatible(PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig),
        Rustls::NoCertificatesPresented,
    ] {
        assert_retried(&Error::Tls(Box::new(tls(error))), ONCE_STOOD);
    }
    // The clock of a machine without a battery may not be set yet.
    let not_yet = Rustls::InvalidCertificate(CertificateError::NotValidYet);
    assert_retried(&Error::Tls(Box::new(tls(not_yet))), ALWAYS);
}

#[test]
fn the_proxy_does_not_open_the_way() {
    for problem in [
        ProxyProblem::Connect(unreachable()),
        ProxyProblem::Io(io::ErrorKind::ConnectionReset.into()),
        ProxyProblem::Eof,
        #[cfg(feature = "tls-core")]
        ProxyProblem::Tls(tls(io::Error::from(io::ErrorKind::UnexpectedEof))),
    ] {
        assert_retried(&proxy(problem), ALWAYS);
    }
    for status in [408, 429, 500, 502, 503, 504] {
        assert_retried(&proxy(ProxyProblem::Refused(answer(status))), ALWAYS);
    }
    for status in [400, 403, 404, 405, 407] {
        assert_retried(&proxy(ProxyProblem::Refused(answer(status))), ONCE_STOOD);
    }
    let passing = [1, 3, 4, 5, 6].map(SocksError::Refused5);
    for error in [SocksError::Refused4(91)].into_iter().chain(passing) {
        assert_retried(&proxy(ProxyProblem::Socks(error)), ALWAYS);
    }
    for error in [
        SocksError::NotSocks(b'H'),
        SocksError::NoAcceptableMethod,
        SocksError::Method(9),
        SocksError::WrongPassword,
        SocksError::Refused4(93),
        SocksError::Refused5(2),
        SocksError::Refused5(7),
        SocksError::Refused5(8),
        SocksError::AddressType(9),
    ] {
        assert_retried(&proxy(ProxyProblem::Socks(error)), ONCE_STOOD);
    }
    for problem in [
        ProxyProblem::Head(HeadError::NotHttp),
        ProxyProblem::TooManyInterim,
        ProxyProblem::Tls(tls("another name")),
    ] {
        assert_retried(&proxy(problem), ONCE_STOOD);
    }
}

#[test]
fn an_open_connection_is_lost() {
    let reset = io::Error::from(io::ErrorKind::ConnectionReset);
    for cause in [
        Cause::Eof,
        Cause::Io(reset.into()),
        Cause::Tls(std::sync::Arc::new(io::Error::other("bad record MAC"))),
        Cause::Timeout(Timeout::Pong),
        Cause::Timeout(Timeout::Send),
    ] {
        assert_retried(&lost(cause), ALWAYS);
    }
}

#[test]
fn the_peer_closes_with_a_code() {
    for code in [
        CloseCode::GOING_AWAY,
        CloseCode::INTERNAL_ERROR,
        CloseCode::SERVICE_RESTART,
        CloseCode::TRY_AGAIN_LATER,
        CloseCode::BAD_GATEWAY,
    ] {
        assert_retried(&closed_by_peer(code.into()), ALWAYS);
    }
    for code in [
        CloseCode::PROTOCOL_ERROR,
        CloseCode::UNSUPPORTED_DATA,
        CloseCode::INVALID_PAYLOAD,
        CloseCode::POLICY_VIOLATION,
        CloseCode::TOO_BIG,
        CloseCode::MANDATORY_EXTENSION,
        CloseCode::new(3000),
        CloseCode::new(4000),
        CloseCode::new(4401),
        CloseCode::new(4999),
    ] {
        assert_retried(&closed_by_peer(code.into()), ONCE_STOOD);
    }
    assert_retried(&closed_by_peer(CloseCode::NORMAL.into()), NEVER);
    assert_retried(&closed_by_peer(CloseFrame::empty()), NEVER);
    // The peer did not take our answer.
    let normal = CloseFrame::from(CloseCode::NORMAL);
    let by = Some(Side::Peer);
    let closed = Closed::new(None, Some(normal), by, false, Cause::Close, None);
    assert_retried(&Error::Closed(closed), NEVER);
}

#[test]
fn the_peer_breaks_the_protocol_or_a_limit() {
    for violation in [
        Violation::ReservedBits,
        Violation::ReservedOpcode(3),
        Violation::MaskedFrame,
        Violation::NonMinimalLength,
        Violation::LengthTopBit,
        Violation::FragmentedControl,
        Violation::ControlTooLong,
        Violation::UnexpectedContinuation,
        Violation::ExpectedContinuation,
        Violation::InvalidUtf8,
        Violation::InvalidDeflate,
        Violation::CloseLength,
        Violation::CloseCode(1005),
        Violation::CloseReason,
        Violation::FrameTooBig,
        Violation::MessageTooBig,
        Violation::TooManyFragments,
        Violation::TooManyEmptyFragments,
        Violation::OutOfMemory,
    ] {
        assert_retried(&Error::Protocol(violation), ONCE_STOOD);
        let code = CloseFrame::from(violation.close_code());
        let cause = Cause::Protocol(violation);
        let closed = Closed::new(Some(code), None, Some(Side::Local), false, cause, None);
        assert_retried(&Error::Closed(closed), ONCE_STOOD);
    }
}

#[test]
fn this_side_closes() {
    let normal = || CloseFrame::from(CloseCode::NORMAL);
    let restart = CloseFrame::from(CloseCode::SERVICE_RESTART);
    assert_retried(&closed(normal(), normal(), Side::Local, true), NEVER);
    assert_retried(&closed(normal(), restart.clone(), Side::Local, true), NEVER);
    assert_retried(&closed(restart.clone(), restart, Side::Local, true), NEVER);
    assert_retried(&Error::aborted(), NEVER);
    let late = Cause::Timeout(Timeout::Close);
    let late = Closed::new(Some(normal()), None, Some(Side::Local), true, late, None);
    assert_retried(&Error::Closed(late), NEVER);
    // A message could not be completed. The answer of the peer does not matter.
    let half = || CloseFrame::from(CloseCode::INTERNAL_ERROR);
    for answer in [half(), normal(), CloseFrame::empty()] {
        assert_retried(&closed(half(), answer, Side::Local, false), ALWAYS);
    }
}

#[test]
fn the_input_is_wrong_or_a_handler_fails() {
    for input in [InvalidInput::Url("no host".into()), InvalidInput::Close] {
        assert_retried(&Error::InvalidInput(input), NEVER);
    }
    assert_retried(&Error::Handler("mine".into()), NEVER);
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_connection_has_stood_if_it_was_stable_or_was_opened_by_an_earlier_attempt() {
    let error = lost(Cause::Eof);
    let now = Instant::now();
    let mut streak = Streak::new(10 * SECOND, now);
    let mut stood = |lived| streak.failed(&error, lived, now).has_stood();
    assert!(!stood(None));
    assert!(!stood(Some(9 * SECOND)), "the first connection, and it was not stable");
    assert!(stood(None), "an earlier attempt opened it");

    let mut streak = Streak::new(10 * SECOND, now);
    assert!(streak.failed(&error, Some(10 * SECOND), now).has_stood(), "it was stable");
}

#[test]
fn failures_are_counted_from_one_again_after_a_stable_connection() {
    let error = lost(Cause::Eof);
    let begin = Instant::now();
    let mut streak = Streak::new(10 * SECOND, begin);
    let rows = [
        // The second at which the connection or attempt ended, the seconds for which it was open;
        // the failures in a row, the seconds without a stable connection.
        (1, None, 1, 1),
        (3, Some(2), 2, 3),
        (15, Some(9), 3, 15),
        (40, Some(10), 1, 0),
        (45, Some(3), 2, 5),
        (50, None, 3, 10),
        (90, Some(30), 1, 0),
    ];
    for (at, lived, attempts, down_for) in rows {
        let lived = lived.map(Duration::from_secs);
        let failure = streak.failed(&error, lived, begin + at * SECOND);
        assert_eq!((failure.attempts(), failure.down_for()), (attempts, down_for * SECOND));
    }
}

#[test]
fn a_stable_connection_that_is_replaced_ends_the_row_of_the_attempts_that_failed_meanwhile() {
    let error = lost(Cause::Eof);
    let begin = Instant::now();
    // The seconds for which the old connection was open before the first attempt, and in all.
    for (before, lived, is_stable) in [(20, 50, true), (5, 35, true), (2, 9, false)] {
        let at = |second: u32| begin + second * SECOND;
        let mut streak = Streak::new(10 * SECOND, begin);
        assert_eq!(streak.attempt(begin), 1);
        streak.ended(before * SECOND, at(before));
        let own = streak.attempt(at(before));
        assert_eq!(streak.failed(&error, None, at(before)).attempts(), 1);
        assert_eq!(streak.attempt(at(lived)), own + 1);
        streak.replaced(lived * SECOND, at(lived));

        // The new connection is lost a second later.
        let failure = streak.failed(&error, Some(SECOND), at(lived + 1));
        let expected = if is_stable { (1, SECOND) } else { (2, (lived + 1) * SECOND) };
        assert_eq!((failure.attempts(), failure.down_for()), expected);
        let next = if is_stable { 2 } else { own + 2 };
        assert_eq!(streak.attempt(at(lived + 1)), next);
    }
}

#[test]
fn a_boxed_backoff_answers_as_the_one_in_it() {
    fn asked(mut backoff: impl Backoff) -> Option<Duration> {
        backoff.delay(&Failure::new(&lost(Cause::Eof), 3, SECOND))
    }

    let closure = |failure: &Failure<'_>| Some(failure.attempts() * SECOND);
    let boxed: [Box<dyn Backoff>; 3] =
        [Box::new(Fixed(7 * SECOND)), Box::new(closure), Box::new(Never)];
    assert_eq!(boxed.map(asked), [Some(7 * SECOND), Some(3 * SECOND), None]);
    let boxed: [Box<dyn Backoff + Send>; 2] = [Box::new(Fixed(7 * SECOND)), Box::new(closure)];
    assert_eq!(boxed.map(asked), [Some(7 * SECOND), Some(3 * SECOND)]);
    let boxed: Box<dyn Backoff + Send> = Box::new(Never);
    let _ = App::new("ws://localhost/", ()).backoff(boxed);
}
