//! One request and its answer in HTTP/1.1: the opening handshake with a server, or CONNECT with a
//! proxy.

use std::time::Duration;

use super::opening::{Exchange, ExchangeError};
use crate::log::log_head;
use crate::proto::http::{self, BodyReader, HeadReader, MAX_BODY, Response};

/// The most interim responses (1xx) before the answer.
const MAX_INTERIM: usize = 8;
/// The longest wait for the body of a refusal, which is only evidence.
const BODY_WAIT: Duration = Duration::from_secs(1);

/// The peer that is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Peer {
    /// The server. The first frames may follow the head of its answer.
    Server,
    /// A proxy. The bytes after the head of its answer are the server's.
    Proxy,
}

/// Sends a request, and reads the answer up to the end of its head. Returns the answer and the
/// bytes that were read after its head; those of a proxy are none. The head of a refusal may be
/// incomplete.
pub(crate) fn ask(
    exchange: &mut Exchange<'_>,
    peer: Peer,
    request: &[u8],
) -> Result<(Response, Vec<u8>), ExchangeError> {
    log_head(peer.name_of_request(), request);
    let sent = exchange.send(request);
    if let Err(ExchangeError::Timeout) = sent {
        return Err(ExchangeError::Timeout);
    }
    match (read_answer(exchange, peer), sent) {
        // A peer that refuses may do so before it has read all. Then its answer, or an alert of
        // TLS, tells more than the error of the write; other errors of the read tell less.
        (Err(ExchangeError::Timeout | ExchangeError::Eof | ExchangeError::Io(_)), Err(error)) => {
            Err(error)
        }
        (answer, _) => answer,
    }
}

/// Reads as much of a refusal's body as comes soon, and keeps it in the response. `body` holds the
/// bytes that were read after the head.
pub(crate) fn keep_body(exchange: &mut Exchange<'_>, response: &mut Response, mut body: Vec<u8>) {
    exchange.shorten(BODY_WAIT);
    let mut reader = BodyReader::new(response);
    while !reader.is_complete(&body) && exchange.receive(&mut body, MAX_BODY).is_ok() {}
    http::keep_body(response, &body);
}

fn read_answer(
    exchange: &mut Exchange<'_>,
    peer: Peer,
) -> Result<(Response, Vec<u8>), ExchangeError> {
    let mut bytes = Vec::new();
    let mut interim = 0;
    loop {
        let (response, len) = read_head(exchange, peer, &mut bytes)?;
        log_head(peer.name_of_response(), &bytes[..len]);
        bytes.drain(..len);
        // RFC 9110 section 15.2: interim responses come before the answer; 101 is final.
        if response.status() >= 200 || response.status() == 101 {
            return Ok((response, bytes));
        }
        interim += 1;
        if interim > MAX_INTERIM {
            return Err(ExchangeError::TooManyInterim(response));
        }
    }
}

fn read_head(
    exchange: &mut Exchange<'_>,
    peer: Peer,
    bytes: &mut Vec<u8>,
) -> Result<(Response, usize), ExchangeError> {
    let mut reader = match peer {
        Peer::Server => HeadReader::default(),
        Peer::Proxy => HeadReader::for_tunnel(),
    };
    loop {
        if let Some(found) = reader.advance(bytes).map_err(ExchangeError::Head)? {
            return Ok(found);
        }
        let most = match peer {
            Peer::Server => usize::MAX,
            // A byte more could be the server's.
            Peer::Proxy => reader.missing(bytes),
        };
        match exchange.receive(bytes, most) {
            // The head does not end, but the status of a refusal tells more than the error. A part
            // of a redirect could lead elsewhere.
            Err(error @ (ExchangeError::Eof | ExchangeError::Timeout | ExchangeError::Io(_))) => {
                let refusal =
                    reader.refusal().filter(|begun| !(300..400).contains(&begun.status()));
                return refusal.map(|refusal| (refusal, bytes.len())).ok_or(error);
            }
            received => received?,
        }
    }
}

impl Peer {
    fn name_of_request(self) -> &'static str {
        match self {
            Self::Server => "request",
            Self::Proxy => "proxy request",
        }
    }

    fn name_of_response(self) -> &'static str {
        match self {
            Self::Server => "response",
            Self::Proxy => "proxy response",
        }
    }
}
