//! The opening handshake on a connected stream (RFC 6455 section 4).

use std::io;

use crate::log::log_head;
use crate::net::deadline::Deadline;
use crate::net::duplex::{self, Duplex, ReadHalf, WriteHalf};
use crate::net::opening::Opening;

use crate::error::{Error, HandshakeError, HandshakeProblem, Timeout};
use crate::net::{BODY_WAIT, MAX_INTERIM, tls};
use crate::proto::handshake::{self, Accepted, Key, NotOpened, Offer};
use crate::proto::http::{self, HeadReader, Response};

/// A connection whose opening handshake is done.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) duplex: Duplex,
    pub(crate) reading: ReadHalf,
    pub(crate) response: Response,
    pub(crate) accepted: Accepted,
    /// What came after the response: the first frames.
    pub(crate) rest: Vec<u8>,
}

/// What the request says beside the key.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub(crate) resource: &'a str,
    pub(crate) host: &'a str,
    pub(crate) offer: Offer<'a>,
    pub(crate) headers: &'a [(String, String)],
    /// Whether redirects are meant to be followed; then the body of one is not read.
    pub(crate) follow: bool,
}

/// Does the opening handshake.
pub(crate) fn upgrade(
    duplex: Duplex,
    request: &Request<'_>,
    opening: Opening<'_>,
) -> Result<Opened, Error> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| Error::Io(io::Error::other(error)))?;
    let key = Key::new(random);
    let Request { resource, host, offer, headers, follow } = request;
    let head = handshake::request(resource, host, &key, offer.subprotocols, headers);
    log_head("request", &head);
    let mut writing = WriteHalf::default();
    duplex.stage(&mut writing).extend_from_slice(&head);
    let written = opening.flush(&duplex, &mut writing);
    if written.as_ref().is_err_and(duplex::is_timeout) {
        return Err(Error::Timeout(Timeout::Handshake));
    }

    let mut reading = ReadHalf::default();
    let mut bytes = Vec::new();
    // A server that refuses may do so before it has read all: then the answer, or an alert, says why.
    let answer = read_answer(&duplex, &mut reading, &mut bytes, opening);
    let (mut response, len) = match (answer, written) {
        (Err(why), Err(error)) if why.is_retryable() => {
            return Err(failed(error, opening.deadline));
        }
        (answer, _) => answer?,
    };
    log_head("response", &bytes[..len]);
    let mut rest = bytes.split_off(len);
    match offer.verify(&response, &key) {
        Ok(accepted) => Ok(Opened { duplex, reading, response, accepted, rest }),
        Err(NotOpened::Refused) if *follow && is_redirect(response.status()) => {
            Err(failure(HandshakeProblem::UnfollowedRedirect, Some(response)))
        }
        Err(NotOpened::Refused) => {
            let deadline = opening.deadline.min(Deadline::after(Some(BODY_WAIT)));
            let opening = Opening { deadline, ..opening };
            while !http::is_body_complete(&response, &rest)
                && matches!(read_more(&duplex, &mut reading, &mut rest, opening), Ok(1..))
            {
            }
            http::keep_body(&mut response, &rest);
            Err(failure(HandshakeProblem::Refused, Some(response)))
        }
        Err(NotOpened::Mismatch(mismatch)) => {
            Err(failure(HandshakeProblem::Mismatch(mismatch), Some(response)))
        }
    }
}

/// RFC 9110 section 15.4, those with a `Location` to follow.
fn is_redirect(status: u16) -> bool {
    matches!(status, 301 | 302 | 303 | 307 | 308)
}

/// Reads up to the end of a response head that is not interim.
fn read_answer(
    duplex: &Duplex,
    reading: &mut ReadHalf,
    bytes: &mut Vec<u8>,
    opening: Opening<'_>,
) -> Result<(Response, usize), Error> {
    let mut head = HeadReader::default();
    let mut interim = 0;
    loop {
        let found = head.advance(bytes);
        match found.map_err(|error| failure(HandshakeProblem::Head(error), None))? {
            // RFC 9110 section 15.2: interim responses come before the answer; 101 is final.
            Some((response, len)) if response.status() < 200 && response.status() != 101 => {
                bytes.drain(..len);
                head = HeadReader::default();
                interim += 1;
                if interim > MAX_INTERIM {
                    return Err(failure(HandshakeProblem::TooManyInterim, Some(response)));
                }
            }
            Some(found) => return Ok(found),
            None => match read_more(duplex, reading, bytes, opening) {
                Ok(0) => return Err(failure(HandshakeProblem::Eof, None)),
                Ok(_) => {}
                Err(error) => return Err(failed(error, opening.deadline)),
            },
        }
    }
}

fn read_more(
    duplex: &Duplex,
    reading: &mut ReadHalf,
    bytes: &mut Vec<u8>,
    opening: Opening<'_>,
) -> io::Result<usize> {
    let mut buffer = [0; 4 * 1024];
    let len = opening.read(duplex, reading, &mut buffer)?;
    bytes.extend_from_slice(&buffer[..len]);
    Ok(len)
}

fn failed(error: io::Error, deadline: Deadline) -> Error {
    if error.kind() == io::ErrorKind::WouldBlock && deadline.is_past() {
        return Error::Timeout(Timeout::Handshake);
    }
    match tls::tls_error(error) {
        Ok(error) => Error::Tls(Box::new(error)),
        Err(error) => Error::Io(error),
    }
}

fn failure(problem: HandshakeProblem, response: Option<Response>) -> Error {
    Error::Handshake(Box::new(HandshakeError { problem, response }))
}
