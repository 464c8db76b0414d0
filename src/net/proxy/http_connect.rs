//! CONNECT (RFC 9110 section 9.3.6): asks an HTTP proxy for a tunnel.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use url::Host;

use super::Proxy;
use super::exchange::Exchange;
use crate::error::{Error, ProxyProblem};
use crate::log::log_head;
use crate::net::deadline::Deadline;
use crate::net::{BODY_WAIT, MAX_INTERIM};
use crate::proto::http::{self, HeadReader, MAX_BODY, Response};

/// Asks for a tunnel to `host`. After this the next byte is the server's.
pub(super) fn ask(
    exchange: &mut Exchange<'_>,
    host: &Host<String>,
    port: u16,
    user_agent: Option<&str>,
) -> Result<(), Error> {
    let head = request(exchange.proxy, host, port, user_agent);
    log_head("proxy request", &head);
    let sent = exchange.send(&head);
    // A proxy that refuses may do so before it has read all: then the answer says why.
    let response = match (read_answer(exchange), sent) {
        (Err(_), Err(error)) => return Err(error),
        (answer, _) => answer?,
    };
    // Any 2xx opens the tunnel. It has no body, whatever the headers say.
    if matches!(response.status(), 200..=299) {
        return Ok(());
    }
    let response = with_body(exchange, response);
    Err(exchange.failed(ProxyProblem::Refused(response)))
}

/// Of all headers that the caller asked for, only those that are meant for the proxy, and
/// `User-Agent`: some proxies refuse a request without one.
fn request(proxy: &Proxy, host: &Host<String>, port: u16, user_agent: Option<&str>) -> Vec<u8> {
    let mut head = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n");
    let mut put = |name: &str, value: &str| {
        for part in [name, ": ", value, "\r\n"] {
            head.push_str(part);
        }
    };
    let gives = |name| proxy.headers.iter().any(|(own, _)| own.eq_ignore_ascii_case(name));
    if let (Some(user_agent), false) = (user_agent, gives("User-Agent")) {
        put("User-Agent", user_agent);
    }
    if let (Some((user, password)), false) = (&proxy.credentials, gives("Proxy-Authorization")) {
        let credentials = BASE64.encode(format!("{user}:{password}"));
        put("Proxy-Authorization", &format!("Basic {credentials}"));
    }
    for (name, value) in &proxy.headers {
        put(name, value);
    }
    head.push_str("\r\n");
    head.into_bytes()
}

/// Reads up to the end of a response head that is not interim.
fn read_answer(exchange: &mut Exchange<'_>) -> Result<Response, Error> {
    for _ in 0..=MAX_INTERIM {
        let response = read_head(exchange)?;
        // RFC 9110 section 15.2: interim responses come before the answer; 101 is final.
        if response.status() >= 200 || response.status() == 101 {
            return Ok(response);
        }
    }
    Err(exchange.failed(ProxyProblem::TooManyInterim))
}

fn read_head(exchange: &mut Exchange<'_>) -> Result<Response, Error> {
    let (mut head, mut bytes) = (HeadReader::for_tunnel(), Vec::new());
    loop {
        match head.advance(&bytes) {
            Ok(Some((response, _))) => {
                log_head("proxy response", &bytes);
                return Ok(response);
            }
            Ok(None) => {
                let missing = head.missing(&bytes);
                exchange.receive(&mut bytes, missing)?;
            }
            Err(error) => return Err(exchange.failed(ProxyProblem::Head(error))),
        }
    }
}

/// Reads as much of a refusal's body as comes soon: it is only evidence.
fn with_body(exchange: &mut Exchange<'_>, mut response: Response) -> Response {
    let soon = Deadline::after(Some(BODY_WAIT));
    let mut body = Vec::new();
    while !http::is_body_complete(&response, &body)
        && matches!(exchange.read(&mut body, MAX_BODY, soon), Ok(1..))
    {}
    http::keep_body(&mut response, &body);
    response
}
