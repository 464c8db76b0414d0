//! The opening handshake on a connected stream (RFC 6455 section 4).

use std::io;

use super::redirect::is_redirect;
use crate::error::{Error, HandshakeError, HandshakeProblem, Timeout};
use crate::net::duplex::{Duplex, ReadHalf};
use crate::net::http::{self, Peer};
use crate::net::opening::{Exchange, ExchangeError, Opening};
use crate::proto::handshake::{self, Accepted, Key, NotOpened, Offer};
use crate::proto::http::Response;

/// A connection whose opening handshake is done.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) duplex: Duplex,
    pub(crate) reading: ReadHalf,
    pub(crate) response: Response,
    pub(crate) accepted: Accepted,
    /// The bytes after the response: the first frames.
    pub(crate) rest: Vec<u8>,
}

/// The parts of the request, except the key.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub(crate) resource: &'a str,
    pub(crate) host: &'a str,
    pub(crate) offer: Offer<'a>,
    pub(crate) headers: &'a [(String, String)],
    /// Redirects are to be followed, so the body of one is not read.
    pub(crate) follow: bool,
}

/// Does the opening handshake. If it fails, TLS ends as that of an open connection does.
pub(crate) fn upgrade(
    duplex: Duplex,
    request: &Request<'_>,
    opening: Opening<'_>,
) -> Result<Opened, Error> {
    let mut exchange = Exchange::new(duplex, opening);
    match ask(&mut exchange, request) {
        Ok((response, accepted, rest)) => {
            let (duplex, reading) = exchange.into_parts();
            Ok(Opened { duplex, reading, response, accepted, rest })
        }
        Err(error) => {
            exchange.end_tls();
            Err(error)
        }
    }
}

/// Sends the request, and checks the answer. Returns the bytes after it too.
fn ask(
    exchange: &mut Exchange<'_>,
    request: &Request<'_>,
) -> Result<(Response, Accepted, Vec<u8>), Error> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| Error::Io(io::Error::other(error)))?;
    let key = Key::new(random);
    let Request { resource, host, offer, headers, follow } = request;
    let head = handshake::request(resource, host, &key, offer.subprotocols, headers);
    let answer = http::ask(exchange, Peer::Server, &head);
    let (mut response, rest) = answer.map_err(failed)?;
    let problem = match offer.verify(&response, &key) {
        Ok(accepted) => return Ok((response, accepted, rest)),
        Err(NotOpened::Refused) if *follow && is_redirect(response.status()) => {
            HandshakeProblem::UnfollowedRedirect
        }
        Err(NotOpened::Refused) => {
            http::keep_body(exchange, &mut response, rest);
            HandshakeProblem::Refused
        }
        Err(NotOpened::Mismatch(mismatch)) => HandshakeProblem::Mismatch(mismatch),
    };
    Err(failure(problem, Some(response)))
}

fn failed(error: ExchangeError) -> Error {
    match error {
        ExchangeError::Timeout => Error::Timeout(Timeout::Handshake),
        ExchangeError::Tls(error) => Error::Tls(Box::new(error)),
        ExchangeError::Io(error) => Error::Io(error),
        ExchangeError::Eof => failure(HandshakeProblem::Eof, None),
        ExchangeError::Head(error) => failure(HandshakeProblem::Head(error), None),
        ExchangeError::TooManyInterim(last) => {
            failure(HandshakeProblem::TooManyInterim, Some(last))
        }
    }
}

fn failure(problem: HandshakeProblem, response: Option<Response>) -> Error {
    Error::Handshake(Box::new(HandshakeError { problem, response }))
}
