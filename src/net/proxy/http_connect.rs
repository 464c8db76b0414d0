//! Asks an HTTP proxy for a tunnel, by CONNECT (RFC 9110 section 9.3.6).

use super::{Credentials, Proxy};
use crate::error::{Error, ProxyProblem};
use crate::net::http::{self, Peer};
use crate::net::opening::Exchange;
use crate::proto::url::Host;

/// Asks for a tunnel to `host`. After this the next byte is the server's.
pub(super) fn ask(
    exchange: &mut Exchange<'_>,
    proxy: &Proxy,
    host: &Host,
    port: u16,
    user_agent: Option<&str>,
) -> Result<(), Error> {
    let head = request(proxy, host, port, user_agent);
    let answer = http::ask(exchange, Peer::Proxy, &head);
    let (mut response, rest) = answer.map_err(|error| proxy.exchange_failed(error))?;
    // Any 2xx opens the tunnel. It has no body, whatever the headers say.
    if matches!(response.status(), 200..=299) {
        return Ok(());
    }
    http::keep_body(exchange, &mut response, rest);
    Err(proxy.failed(ProxyProblem::Refused(response)))
}

/// Returns the head of the request. It has the headers that are meant for the proxy, and
/// `User-Agent`, because some proxies refuse a request without one.
fn request(proxy: &Proxy, host: &Host, port: u16, user_agent: Option<&str>) -> Vec<u8> {
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
    let own = gives("Proxy-Authorization");
    if let (Some(Credentials::Basic(auth)), false) = (&proxy.credentials, own) {
        put("Proxy-Authorization", auth.header_value());
    }
    for (name, value) in &proxy.headers {
        put(name, value);
    }
    head.push_str("\r\n");
    head.into_bytes()
}
