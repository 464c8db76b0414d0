//! Each error answers three questions: may I go on, is it worth another attempt, what did the
//! server say. Its text is complete, and its sources repeat nothing of it.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::connecting::{ConnectError, HandshakeError, HandshakeProblem, ProxyError, ProxyProblem};
use super::{Cause, Closed, Error, InvalidInput, Side, Timeout, TlsError};
use crate::proto::Violation;
use crate::proto::close::CloseFrame;
use crate::proto::error::{HeadError, Mismatch, SocksError};
use crate::proto::http::HeadReader;

/// An error with a source. Streams, resolvers and handlers of the caller may return such errors.
#[derive(Debug)]
struct Outer(Root);

#[derive(Debug)]
struct Root;

impl fmt::Display for Outer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("what happened")
    }
}

impl StdError for Outer {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.0)
    }
}

impl fmt::Display for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the root of it")
    }
}

impl StdError for Root {}

fn io_error() -> io::Error {
    io::Error::other(Outer(Root))
}

fn connect_error(resolve: bool) -> ConnectError {
    let (resolve, attempts) = match resolve {
        true => (Some(io_error()), Vec::new()),
        false => (None, vec![("127.0.0.1:1".parse().unwrap(), io_error())]),
    };
    ConnectError { host: "host.test".to_owned(), resolve, attempts }
}

fn tls_error() -> TlsError {
    TlsError::new(Outer(Root))
}

/// Returns the texts of the error and of all its sources.
fn chain(error: &(dyn StdError + 'static)) -> Vec<String> {
    let mut texts = vec![error.to_string()];
    let mut source = error.source();
    while let Some(error) = source {
        texts.push(error.to_string());
        source = error.source();
    }
    texts
}

fn refusal() -> crate::proto::http::Response {
    let head = b"HTTP/1.1 403 No\r\n\r\n";
    HeadReader::default().advance(head).unwrap().unwrap().0
}

/// Returns errors that were made from an error with a source.
fn with_a_root() -> Vec<Error> {
    let proxy =
        |problem| Error::Proxy(Box::new(ProxyError { proxy: "http://p:80".into(), problem }));
    let closed =
        |cause| Error::Closed(Closed::new(None, None, Some(Side::Peer), false, cause, None));
    vec![
        Error::Io(io_error()),
        Error::Local(io_error()),
        Error::Connect(Box::new(connect_error(true))),
        Error::Connect(Box::new(connect_error(false))),
        Error::Tls(Box::new(tls_error())),
        proxy(ProxyProblem::Connect(connect_error(true))),
        proxy(ProxyProblem::Tls(tls_error())),
        proxy(ProxyProblem::Io(io_error())),
        closed(Cause::Io(Arc::new(io_error()))),
        closed(Cause::Tls(Arc::new(Outer(Root)))),
        Error::Handler(Box::new(Outer(Root))),
    ]
}

/// Returns errors that have no source.
fn without_a_root() -> Vec<Error> {
    let proxy =
        |problem| Error::Proxy(Box::new(ProxyError { proxy: "http://p:80".into(), problem }));
    let handshake =
        |problem| Error::Handshake(Box::new(HandshakeError { problem, response: Some(refusal()) }));
    let closed = |cause| {
        let close = Some(CloseFrame::from((1000, "bye")));
        Error::Closed(Closed::new(close.clone(), close, Some(Side::Peer), false, cause, None))
    };
    vec![
        Error::InvalidInput(InvalidInput::Close),
        Error::InvalidInput(InvalidInput::GivenUp),
        Error::InvalidInput(InvalidInput::MessageTooLong),
        Error::Protocol(Violation::MaskedFrame),
        Error::Timeout(Timeout::Pong),
        Error::aborted(),
        proxy(ProxyProblem::Eof),
        proxy(ProxyProblem::Head(HeadError::NotHttp)),
        proxy(ProxyProblem::TooManyInterim),
        proxy(ProxyProblem::Refused(refusal())),
        proxy(ProxyProblem::Socks(SocksError::Refused5(2))),
        handshake(HandshakeProblem::Eof),
        handshake(HandshakeProblem::Head(HeadError::BadHeader)),
        handshake(HandshakeProblem::TooManyInterim),
        handshake(HandshakeProblem::Refused),
        handshake(HandshakeProblem::Mismatch(Mismatch::Accept)),
        handshake(HandshakeProblem::Mismatch(Mismatch::Extension)),
        handshake(HandshakeProblem::TooManyRedirects),
        handshake(HandshakeProblem::InsecureRedirect),
        handshake(HandshakeProblem::BadRedirect),
        handshake(HandshakeProblem::UnfollowedRedirect),
        closed(Cause::Close),
        closed(Cause::Eof),
        closed(Cause::Protocol(Violation::InvalidUtf8)),
        closed(Cause::Timeout(Timeout::Close)),
    ]
}

#[test]
fn no_error_repeats_its_text_in_its_sources() {
    for (errors, has_root) in [(with_a_root(), true), (without_a_root(), false)] {
        for error in errors {
            let shown = format!("{error:?}");
            let texts = chain(&error);
            assert_eq!(texts[0].contains("what happened"), has_root, "{shown}");
            assert_eq!(texts[1..] == ["the root of it"], has_root, "{texts:?}");
            assert!(has_root || texts.len() == 1, "{texts:?}");

            // A function of `io::Write` returns the error like this.
            assert_eq!(chain(&io::Error::other(error)), texts);
        }
    }
}

/// The answers of an error: whether it is fatal, whether it is retryable, the status of the server,
/// the kind as an `io::Error`, and the beginning of the text.
type Answers = (bool, bool, Option<u16>, io::ErrorKind, &'static str);

const FATAL: bool = true;
const RETRYABLE: bool = true;

/// Numbers the variants, and those within them. It does not compile when one is missing here.
fn number(error: &Error) -> usize {
    match error {
        Error::InvalidInput(input) => match input {
            InvalidInput::Url(_) => 0,
            InvalidInput::Header(_) => 1,
            InvalidInput::ReservedHeader(_) => 2,
            InvalidInput::Subprotocol(_) => 3,
            InvalidInput::Deflate(_) => 4,
            InvalidInput::RequestTooLarge => 5,
            InvalidInput::Close => 6,
            InvalidInput::ControlTooLong => 7,
            InvalidInput::MessageTooLong => 8,
            InvalidInput::Text => 9,
            InvalidInput::GivenUp => 10,
            InvalidInput::Tls(_) => 11,
            InvalidInput::Proxy(_) => 12,
        },
        Error::Connect(_) => 13,
        Error::Tls(_) => 14,
        Error::Proxy(error) => match error.problem() {
            ProxyProblem::Connect(_) => 15,
            ProxyProblem::Tls(_) => 16,
            ProxyProblem::Io(_) => 17,
            ProxyProblem::Eof => 18,
            ProxyProblem::Head(_) => 19,
            ProxyProblem::TooManyInterim => 20,
            ProxyProblem::Refused(_) => 21,
            ProxyProblem::Socks(_) => 22,
        },
        Error::Handshake(error) => match error.problem() {
            HandshakeProblem::Eof => 23,
            HandshakeProblem::Head(_) => 24,
            HandshakeProblem::TooManyInterim => 25,
            HandshakeProblem::Refused => 26,
            HandshakeProblem::Mismatch(_) => 27,
            HandshakeProblem::TooManyRedirects => 28,
            HandshakeProblem::InsecureRedirect => 29,
            HandshakeProblem::BadRedirect => 30,
            HandshakeProblem::UnfollowedRedirect => 31,
        },
        Error::Protocol(_) => 32,
        Error::Closed(closed) => match closed.cause() {
            Cause::Close => 33,
            Cause::Eof => 34,
            Cause::Io(_) => 35,
            Cause::Tls(_) => 36,
            Cause::Protocol(_) => 37,
            Cause::Timeout(_) => 38,
            Cause::Aborted => 39,
        },
        Error::Io(_) => 40,
        Error::Local(_) => 41,
        Error::Handler(_) => 42,
        Error::Timeout(timeout) => match timeout {
            Timeout::Resolve => 43,
            Timeout::Connect => 44,
            Timeout::Proxy => 45,
            Timeout::Tls => 46,
            Timeout::Handshake => 47,
            Timeout::Recv => 48,
            Timeout::Send => 49,
            Timeout::Busy => 50,
            Timeout::Pong => 51,
            Timeout::Close => panic!("it is the cause of a `Closed`, and never an error"),
        },
    }
}
const NUMBERS: usize = 52;

fn answered(status: u16) -> Option<crate::proto::http::Response> {
    let head = format!("HTTP/1.1 {status} x\r\n\r\n");
    HeadReader::default().advance(head.as_bytes()).unwrap().map(|(response, _)| response)
}

fn every_error() -> Vec<(Error, Answers)> {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted, InvalidData, NotFound,
        Other, TimedOut, UnexpectedEof,
    };
    let reset = || io::Error::new(ConnectionReset, "reset");
    let connect =
        |resolve, attempts| ConnectError { host: "host.test".to_owned(), resolve, attempts };
    let unreachable = || connect(None, vec![("127.0.0.1:1".parse().unwrap(), reset())]);
    let proxy =
        |problem| Error::Proxy(Box::new(ProxyError { proxy: "http://p:80".into(), problem }));
    let handshake = |problem, status: Option<u16>| {
        let response = status.and_then(answered);
        Error::Handshake(Box::new(HandshakeError { problem, response }))
    };
    let closed = |peer: Option<CloseFrame>, cause| {
        Error::Closed(Closed::new(None, peer, Some(Side::Peer), false, cause, None))
    };
    let close = |code: u16| Some(CloseFrame::from((code, "why")));
    let timeout = |timeout| Error::Timeout(timeout);
    let invalid = |input, text| {
        (Error::InvalidInput(input), (!FATAL, !RETRYABLE, None, io::ErrorKind::InvalidInput, text))
    };
    vec![
        // The program gave something that cannot be used. Nothing was connected or sent.
        invalid(InvalidInput::Url("why".into()), "invalid URL: why"),
        invalid(InvalidInput::Header("A b".into()), "the header \"A b\" has characters that"),
        invalid(InvalidInput::ReservedHeader("Host".into()), "the header \"Host\" is written by"),
        invalid(InvalidInput::Subprotocol(1), "subprotocol 1 (counted from 0) is not a token"),
        invalid(InvalidInput::Deflate("level".into()), "level of permessage-deflate is out of"),
        invalid(InvalidInput::RequestTooLarge, "the handshake request is larger than 64 KiB: send"),
        invalid(InvalidInput::Close, "the close code must not be sent, or its reason is longer"),
        invalid(InvalidInput::ControlTooLong, "a Ping or Pong payload may have at most 125 bytes"),
        invalid(InvalidInput::MessageTooLong, "a message must have less than 2^63 bytes"),
        invalid(InvalidInput::Text, "the text ends within a character, so it is not UTF-8"),
        invalid(InvalidInput::GivenUp, "the message was given up when a part of it could not be"),
        invalid(InvalidInput::Tls("why".into()), "invalid TLS options: why"),
        invalid(InvalidInput::Proxy("why".into()), "invalid proxy: why"),
        // The name is not known, or no address of it answers.
        (
            Error::Connect(Box::new(connect(Some(io::Error::new(NotFound, "gone")), vec![]))),
            (FATAL, RETRYABLE, None, NotFound, "cannot look up \"host.test\": gone"),
        ),
        (
            Error::Connect(Box::new(unreachable())),
            (FATAL, RETRYABLE, None, ConnectionReset, "cannot connect to \"host.test\": 127"),
        ),
        // TLS fails, by a certificate for example. If the stream ends meanwhile, try again later.
        (
            Error::Tls(Box::new(tls_error())),
            (FATAL, !RETRYABLE, None, InvalidData, "TLS failed: what happened"),
        ),
        #[cfg(feature = "tls-core")]
        (
            Error::Tls(Box::new(TlsError::new(io::Error::from(UnexpectedEof)))),
            (FATAL, RETRYABLE, None, UnexpectedEof, "TLS failed: "),
        ),
        // The proxy is not reached, does not speak its protocol, or refuses.
        (
            proxy(ProxyProblem::Connect(unreachable())),
            (FATAL, RETRYABLE, None, ConnectionReset, "proxy http://p:80: cannot connect"),
        ),
        (
            proxy(ProxyProblem::Tls(tls_error())),
            (FATAL, !RETRYABLE, None, InvalidData, "proxy http://p:80: TLS failed"),
        ),
        (
            proxy(ProxyProblem::Io(reset())),
            (FATAL, RETRYABLE, None, ConnectionReset, "proxy http://p:80: connection failed"),
        ),
        (
            proxy(ProxyProblem::Eof),
            (FATAL, RETRYABLE, None, UnexpectedEof, "proxy http://p:80: the proxy closed"),
        ),
        (
            proxy(ProxyProblem::Head(HeadError::NotHttp)),
            (FATAL, !RETRYABLE, None, InvalidData, "proxy http://p:80: the answer is not HTTP"),
        ),
        (
            proxy(ProxyProblem::TooManyInterim),
            (FATAL, !RETRYABLE, None, InvalidData, "proxy http://p:80: more than eight interim"),
        ),
        // The status of the proxy is not that of the server.
        (
            proxy(ProxyProblem::Refused(answered(407).unwrap())),
            (FATAL, !RETRYABLE, None, ConnectionRefused, "proxy http://p:80: status 407"),
        ),
        (
            proxy(ProxyProblem::Socks(SocksError::Refused5(5))),
            (FATAL, RETRYABLE, None, ConnectionRefused, "proxy http://p:80: refused"),
        ),
        (
            proxy(ProxyProblem::Socks(SocksError::NotSocks(b'H'))),
            (FATAL, !RETRYABLE, None, InvalidData, "proxy http://p:80: the answer is not SOCKS"),
        ),
        // The server is reached, and does not open the connection.
        (
            handshake(HandshakeProblem::Eof, None),
            (FATAL, RETRYABLE, None, UnexpectedEof, "opening handshake failed: the server closed"),
        ),
        (
            handshake(HandshakeProblem::Refused, Some(401)),
            (
                FATAL,
                !RETRYABLE,
                Some(401),
                ConnectionRefused,
                "opening handshake failed: status 401",
            ),
        ),
        (
            handshake(HandshakeProblem::Refused, Some(503)),
            (
                FATAL,
                RETRYABLE,
                Some(503),
                ConnectionRefused,
                "opening handshake failed: status 503",
            ),
        ),
        (
            handshake(HandshakeProblem::Mismatch(Mismatch::Accept), Some(101)),
            (FATAL, !RETRYABLE, Some(101), InvalidData, "opening handshake failed: Sec-WebSocket"),
        ),
        (
            handshake(HandshakeProblem::TooManyInterim, None),
            (FATAL, !RETRYABLE, None, InvalidData, "opening handshake failed: more than eight"),
        ),
        (
            handshake(HandshakeProblem::InsecureRedirect, Some(302)),
            (FATAL, !RETRYABLE, Some(302), ConnectionRefused, "opening handshake failed: the"),
        ),
        (
            handshake(HandshakeProblem::UnfollowedRedirect, Some(302)),
            (
                FATAL,
                !RETRYABLE,
                Some(302),
                ConnectionRefused,
                "opening handshake failed: the server",
            ),
        ),
        (
            handshake(HandshakeProblem::TooManyRedirects, Some(302)),
            (FATAL, !RETRYABLE, Some(302), ConnectionRefused, "opening handshake failed: too many"),
        ),
        (
            handshake(HandshakeProblem::BadRedirect, Some(302)),
            (FATAL, !RETRYABLE, Some(302), InvalidData, "opening handshake failed: "),
        ),
        (
            handshake(HandshakeProblem::Head(HeadError::BadHeader), None),
            (
                FATAL,
                !RETRYABLE,
                None,
                InvalidData,
                "opening handshake failed: a header line is malformed",
            ),
        ),
        // The peer breaks the protocol. An open connection tells so, and a thread that sends learns
        // the same as the cause of its end.
        (
            Closed::new(None, None, None, false, Cause::Protocol(Violation::MaskedFrame), None)
                .into(),
            (FATAL, !RETRYABLE, None, InvalidData, "protocol violation: "),
        ),
        // An open connection ends: by a Close, by the end of its stream, by an error of it.
        (
            closed(close(1000), Cause::Close),
            (FATAL, !RETRYABLE, None, ConnectionAborted, "closed by the peer: 1000"),
        ),
        (
            closed(close(1012), Cause::Close),
            (FATAL, RETRYABLE, None, ConnectionAborted, "closed by the peer: 1012"),
        ),
        (
            closed(None, Cause::Eof),
            (FATAL, RETRYABLE, None, UnexpectedEof, "the peer ended the connection without"),
        ),
        (
            closed(None, Cause::Io(Arc::new(reset()))),
            (FATAL, RETRYABLE, None, ConnectionReset, "connection lost: reset"),
        ),
        (
            closed(None, Cause::Io(Arc::new(Interrupted.into()))),
            (FATAL, RETRYABLE, None, Other, "connection lost: "),
        ),
        (
            closed(None, Cause::Tls(Arc::new(Outer(Root)))),
            (FATAL, RETRYABLE, None, InvalidData, "connection lost: TLS failed"),
        ),
        (
            closed(None, Cause::Protocol(Violation::MaskedFrame)),
            (FATAL, !RETRYABLE, None, InvalidData, "closed after a violation: "),
        ),
        // The only timeout that `recv` returns as the cause of an `Error::Closed`.
        (
            Closed::new(None, None, None, false, Cause::Timeout(Timeout::Close), None).into(),
            (FATAL, RETRYABLE, None, TimedOut, "timed out in the closing handshake"),
        ),
        // The program aborts it.
        (
            Error::aborted(),
            (FATAL, !RETRYABLE, None, ConnectionAborted, "the connection was aborted here"),
        ),
        // The socket cannot be set up, or the user's hook fails.
        (
            Error::Io(reset()),
            (FATAL, RETRYABLE, None, ConnectionReset, "cannot open the connection: reset"),
        ),
        // The system has no randomness, before anything was sent.
        (
            Error::Local(io::Error::other("no random bytes")),
            (!FATAL, RETRYABLE, None, Other, "cannot send, and nothing was sent: no random bytes"),
        ),
        // A callback of an App returns an error.
        (
            Error::Handler(Box::new(Outer(Root))),
            (FATAL, !RETRYABLE, None, Other, "the handler failed: what happened"),
        ),
        // A limit passes: while connecting, in a receiving call, in a sending call.
        (
            timeout(Timeout::Resolve),
            (FATAL, RETRYABLE, None, TimedOut, "timed out looking up the host name"),
        ),
        (timeout(Timeout::Connect), (FATAL, RETRYABLE, None, TimedOut, "timed out connecting")),
        (
            timeout(Timeout::Proxy),
            (FATAL, RETRYABLE, None, TimedOut, "timed out waiting for the proxy"),
        ),
        (
            timeout(Timeout::Tls),
            (FATAL, RETRYABLE, None, TimedOut, "timed out in the TLS handshake"),
        ),
        (
            timeout(Timeout::Handshake),
            (FATAL, RETRYABLE, None, TimedOut, "timed out in the opening handshake"),
        ),
        (timeout(Timeout::Recv), (!FATAL, RETRYABLE, None, TimedOut, "no message came in time")),
        (
            Closed::new(None, None, None, false, Cause::Timeout(Timeout::Send), None).into(),
            (FATAL, RETRYABLE, None, TimedOut, "timed out sending"),
        ),
        (
            timeout(Timeout::Busy),
            (!FATAL, RETRYABLE, None, TimedOut, "timed out waiting for other threads"),
        ),
        (
            Closed::new(None, None, None, false, Cause::Timeout(Timeout::Pong), None).into(),
            (FATAL, RETRYABLE, None, TimedOut, "the peer does not answer pings"),
        ),
    ]
}

#[test]
fn a_server_and_a_proxy_that_are_busy_say_when_to_come_again() {
    let refusal = |status: u16| {
        let head = format!("HTTP/1.1 {status} X\r\nRetry-After: 7\r\n\r\n");
        HeadReader::default().advance(head.as_bytes()).unwrap().unwrap().0
    };
    for (status, seconds) in [(429, Some(7)), (503, Some(7)), (502, None), (401, None)] {
        let asked = seconds.map(Duration::from_secs);
        let (problem, response) = (HandshakeProblem::Refused, Some(refusal(status)));
        let error = Error::Handshake(Box::new(HandshakeError { problem, response }));
        assert_eq!(error.retry_after(), asked, "{error}");
        let problem = ProxyProblem::Refused(refusal(status));
        let error = Error::Proxy(Box::new(ProxyError { proxy: "http://p:80".into(), problem }));
        assert_eq!(error.retry_after(), asked, "{error}");
    }
    for (error, _) in every_error() {
        assert_eq!(error.retry_after(), None, "{error}");
    }
}

#[test]
fn every_error_answers_whether_to_go_on_to_try_again_and_what_the_server_said() {
    let mut seen = [false; NUMBERS];
    for (error, (fatal, retryable, status, kind, text)) in every_error() {
        let shown = format!("{error:?}");
        seen[number(&error)] = true;
        assert_eq!(error.is_fatal(), fatal, "{shown}");
        assert_eq!(error.is_retryable(), retryable, "{shown}");
        assert_eq!(error.status(), status, "{shown}");
        assert_eq!(error.response().map(|response| response.status()), status, "{shown}");
        assert_eq!(error.is_timeout(), matches!(error, Error::Timeout(_)), "{shown}");
        assert_eq!(error.closed().is_some(), matches!(error, Error::Closed(_)), "{shown}");
        let said = error.to_string();
        assert!(said.starts_with(text), "{said}");

        let wrapped = io::Error::from(error);
        assert_eq!(wrapped.kind(), kind, "{shown}");
        assert_eq!(wrapped.to_string(), said);
        let within = wrapped.get_ref().and_then(|error| error.downcast_ref::<Error>());
        assert_eq!(within.map(|error| format!("{error:?}")), Some(shown));
    }
    assert_eq!(seen, [true; NUMBERS]);
}

#[test]
fn an_error_is_small_enough_to_be_returned_by_every_call() {
    assert!(size_of::<Error>() <= 24, "{} bytes", size_of::<Error>());
}
