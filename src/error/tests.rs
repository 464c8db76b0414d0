//! The text of an error is complete, and its sources repeat nothing of it.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::sync::Arc;

use super::connecting::{ConnectError, HandshakeError, HandshakeProblem, ProxyError, ProxyProblem};
use super::{Cause, Closed, Error, InvalidInput, Side, Timeout, TlsError};
use crate::proto::Violation;
use crate::proto::close::CloseFrame;
use crate::proto::handshake::Mismatch;
use crate::proto::http::{HeadError, HeadReader};
use crate::proto::socks::SocksError;

/// An error that has a source, as those of the caller's streams, resolvers and handlers may.
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

/// The texts of the error and of all its sources.
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

/// Errors that were made from one with a source of its own.
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
        closed(Cause::Handshake),
        closed(Cause::Eof),
        closed(Cause::Protocol(Violation::InvalidUtf8)),
        closed(Cause::Timeout(Timeout::Close)),
    ]
}

#[test]
fn no_error_repeats_in_its_sources_what_it_said() {
    for (errors, has_root) in [(with_a_root(), true), (without_a_root(), false)] {
        for error in errors {
            let shown = format!("{error:?}");
            let texts = chain(&error);
            assert_eq!(texts[0].contains("what happened"), has_root, "{shown}");
            assert_eq!(texts[1..] == ["the root of it"], has_root, "{texts:?}");
            assert!(has_root || texts.len() == 1, "{texts:?}");

            // As io::Write gives it.
            assert_eq!(chain(&io::Error::other(error)), texts);
        }
    }
}
