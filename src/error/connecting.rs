//! Why there is no connection: the network, the proxy, TLS, the opening handshake.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use super::tls::TlsError;
use crate::proto::error::{HeadError, Mismatch, SocksError};
use crate::proto::http::Response;
use crate::proto::location::BadLocation;

/// The server could not be reached.
#[derive(Debug)]
pub struct ConnectError {
    pub(crate) host: String,
    pub(crate) resolve: Option<io::Error>,
    pub(crate) attempts: Vec<(SocketAddr, io::Error)>,
}

impl ConnectError {
    /// The host that was looked up.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Why the name could not be looked up; `None` if it could.
    #[must_use]
    pub fn resolve_error(&self) -> Option<&io::Error> {
        self.resolve.as_ref()
    }

    /// Each address that was tried, and why it did not work.
    #[must_use]
    pub fn attempts(&self) -> &[(SocketAddr, io::Error)] {
        &self.attempts
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(error) = &self.resolve {
            return write!(f, "cannot look up {:?}: {error}", self.host);
        }
        write!(f, "cannot connect to {:?}", self.host)?;
        for (at, (address, error)) in self.attempts.iter().enumerate() {
            write!(f, "{} {address}: {error}", if at == 0 { ":" } else { ";" })?;
        }
        Ok(())
    }
}

impl StdError for ConnectError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        let last = self.attempts.last().map(|(_, error)| error);
        self.resolve.as_ref().or(last)?.source()
    }
}

/// There is no way to the server through the proxy. It is never gone around: without a way
/// through it there is no connection.
#[derive(Debug)]
pub struct ProxyError {
    pub(crate) proxy: Box<str>,
    pub(crate) problem: ProxyProblem,
}

/// What a proxy failed of.
#[derive(Debug)]
#[non_exhaustive]
pub enum ProxyProblem {
    /// It could not be reached.
    Connect(ConnectError),
    /// TLS with an `https` proxy failed: the certificate is the proxy's, not the server's.
    Tls(TlsError),
    /// The connection to it failed.
    Io(io::Error),
    /// It ended the connection before the way to the server was open.
    Eof,
    /// Its answer is not HTTP as RFC 9112 has it, or is too large.
    Head(HeadError),
    /// More than eight interim (1xx) responses.
    TooManyInterim,
    /// Its answer to CONNECT is not a success: status, reason, headers, and the first 64 KiB of
    /// the body.
    Refused(Response),
    /// It did not do what it was asked by SOCKS.
    Socks(SocksError),
}

impl ProxyError {
    /// The proxy, as `scheme://host:port`.
    #[must_use]
    pub fn proxy(&self) -> &str {
        &self.proxy
    }

    /// What went wrong.
    #[must_use]
    pub fn problem(&self) -> &ProxyProblem {
        &self.problem
    }

    /// The answer of a proxy that refused CONNECT.
    #[must_use]
    pub fn response(&self) -> Option<&Response> {
        match &self.problem {
            ProxyProblem::Refused(response) => Some(response),
            _ => None,
        }
    }

    /// Returns how long a proxy that refused asks to wait before the next attempt; see
    /// [`Response::retry_after`]. Reads the clock.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        retry_after(self.response()?)
    }
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "proxy {}: ", self.proxy)?;
        match &self.problem {
            ProxyProblem::Connect(error) => error.fmt(f),
            ProxyProblem::Tls(error) => error.fmt(f),
            ProxyProblem::Io(error) => write!(f, "connection failed: {error}"),
            ProxyProblem::Eof => f.write_str("it closed the connection"),
            ProxyProblem::Head(error) => error.fmt(f),
            ProxyProblem::TooManyInterim => f.write_str("too many interim responses"),
            ProxyProblem::Refused(response) => write_refusal(f, response),
            ProxyProblem::Socks(error) => error.fmt(f),
        }
    }
}

impl StdError for ProxyError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.problem {
            ProxyProblem::Connect(error) => error.source(),
            ProxyProblem::Tls(error) => error.source(),
            ProxyProblem::Io(error) => error.source(),
            ProxyProblem::Head(_)
            | ProxyProblem::Socks(_)
            | ProxyProblem::Eof
            | ProxyProblem::TooManyInterim
            | ProxyProblem::Refused(_) => None,
        }
    }
}

/// The opening handshake failed; holds the server's answer as far as it came.
#[derive(Debug)]
pub struct HandshakeError {
    pub(crate) problem: HandshakeProblem,
    pub(crate) response: Option<Response>,
}

/// What the opening handshake failed of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HandshakeProblem {
    /// The connection ended before the answer did.
    Eof,
    /// The answer is not HTTP as RFC 9112 has it, or is too large.
    Head(HeadError),
    /// More than eight interim (1xx) responses.
    TooManyInterim,
    /// The server refused: its status is not 101. [`Error::status`](crate::Error::status) and
    /// [`Error::response`](crate::Error::response) give its answer.
    Refused,
    /// The status is 101, but the answer fails a check of RFC 6455 section 4.2.2.
    Mismatch(Mismatch),
    /// One redirect more than [`max_redirects`](crate::Builder::max_redirects).
    TooManyRedirects,
    /// A redirect from `wss` to `ws`, which is never followed.
    InsecureRedirect,
    /// A redirect without a `Location`, with several, or with one that is no URL for a WebSocket.
    BadRedirect,
    /// A redirect of a server that was reached over a given stream or a Unix socket: nothing else
    /// can be reached that way. The response has the `Location`.
    UnfollowedRedirect,
}

impl HandshakeError {
    /// What went wrong.
    #[must_use]
    pub fn problem(&self) -> HandshakeProblem {
        self.problem
    }

    /// The server's answer, with the first 64 KiB of its body if it refuses; of a redirect that
    /// was to be followed there is no body. `None` if there was no whole head.
    #[must_use]
    pub fn response(&self) -> Option<&Response> {
        self.response.as_ref()
    }

    /// How long the server asks to wait before the next attempt; see
    /// [`Response::retry_after`]. Reads the clock.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        retry_after(self.response.as_ref()?)
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("opening handshake failed: ")?;
        match self.problem {
            HandshakeProblem::Eof => f.write_str("the server closed the connection"),
            HandshakeProblem::Head(error) => error.fmt(f),
            HandshakeProblem::TooManyInterim => f.write_str("too many interim responses"),
            HandshakeProblem::Refused => match &self.response {
                Some(response) => write_refusal(f, response),
                None => f.write_str("the server refused"),
            },
            HandshakeProblem::Mismatch(mismatch) => match &self.response {
                Some(response) if mismatch.is_about_extensions() => {
                    mismatch.fmt(f)?;
                    // What it says names what is wrong.
                    let mut said = response.headers().all("Sec-WebSocket-Extensions").take(4);
                    said.try_for_each(|value| {
                        let value: String =
                            String::from_utf8_lossy(value).chars().take(256).collect();
                        write!(f, ": {:?}", value)
                    })
                }
                _ => mismatch.fmt(f),
            },
            HandshakeProblem::TooManyRedirects => f.write_str("too many redirects"),
            HandshakeProblem::InsecureRedirect => BadLocation::Insecure.fmt(f),
            HandshakeProblem::BadRedirect => BadLocation::Invalid.fmt(f),
            HandshakeProblem::UnfollowedRedirect => {
                f.write_str("the server redirects, which cannot be followed over this stream")
            }
        }
    }
}

impl StdError for HandshakeError {}

fn retry_after(refusal: &Response) -> Option<Duration> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    refusal.retry_after(now)
}

/// Writes the status, and the line of the body where the reason usually stands: what a peer wrote
/// is escaped, and cut.
fn write_refusal(f: &mut fmt::Formatter<'_>, refusal: &Response) -> fmt::Result {
    let reason: String = refusal.reason().chars().take(MAX_QUOTED).collect();
    write!(f, "status {} {}", refusal.status(), reason.escape_debug())?;
    match first_line(refusal) {
        Some(line) => write!(f, ": {}", Quoted(&line)),
        None => Ok(()),
    }
}

/// Returns the first line of the body that has a letter or a digit, if the body is text. HTML
/// begins with lines that tell nothing.
fn first_line(refusal: &Response) -> Option<String> {
    let kind = refusal.headers().get("Content-Type").unwrap_or("text/plain").to_ascii_lowercase();
    let is_text = kind.starts_with("text/") || kind.contains("json");
    if !is_text || kind.contains("html") || refusal.body().trim_ascii_start().starts_with(b"<") {
        return None;
    }
    // A character has at most four bytes.
    let lines = refusal.body().split(|byte| matches!(byte, b'\n' | b'\r'));
    let mut lines =
        lines.map(|line| String::from_utf8_lossy(&line[..line.len().min(4 * MAX_QUOTED)]));
    let line = lines.find(|line| line.contains(char::is_alphanumeric))?;
    let line: String = line.trim().chars().take(MAX_QUOTED).collect();
    let is_binary = line.contains(['\0', char::REPLACEMENT_CHARACTER]);
    (!is_binary).then_some(line)
}

/// The most characters of a peer's that an error shows.
const MAX_QUOTED: usize = 256;

/// An error that may quote the peer, names in its certificate for example: cut, and with
/// everything escaped that could confuse a terminal.
pub(super) struct Quoted<'a>(pub(super) &'a dyn fmt::Display);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for letter in self.0.to_string().chars().take(MAX_QUOTED) {
            match letter {
                '"' | '\'' | '\\' => write!(f, "{letter}")?,
                _ => write!(f, "{}", letter.escape_debug())?,
            }
        }
        Ok(())
    }
}
