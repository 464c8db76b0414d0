//! The errors of connecting: the network, the proxy, the opening handshake. TLS is in `tls.rs`.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use super::tls::TlsError;
use crate::proto::error::{HeadError, Mismatch, SocksError};
use crate::proto::http::{self, Response};
use crate::proto::location::BadLocation;

/// Tells why a server, or a proxy, could not be reached.
///
/// Either its name could not be looked up, or none of its addresses could be connected to. Both may
/// be better later. If they are not, look at the name and the port. An address that the
/// [`address_filter`](crate::Builder::address_filter) refused is among the
/// [`attempts`](Self::attempts), with the kind `PermissionDenied`.
///
/// # Examples
///
/// ```no_run
/// use landline::Error;
///
/// if let Err(Error::Connect(failed)) = landline::connect("wss://example.com/feed") {
///     if let Some(error) = failed.resolve_error() {
///         println!("there is no host {}: {error}", failed.host());
///     }
///     for (address, error) in failed.attempts() {
///         println!("{address} did not answer: {error}");
///     }
/// }
/// ```
#[derive(Debug)]
pub struct ConnectError {
    pub(crate) host: String,
    pub(crate) resolve: Option<io::Error>,
    pub(crate) attempts: Vec<(SocketAddr, io::Error)>,
}

impl ConnectError {
    /// Returns the host that was looked up.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns why the name could not be looked up; `None` if it could.
    #[must_use]
    pub fn resolve_error(&self) -> Option<&io::Error> {
        self.resolve.as_ref()
    }

    /// Returns each address that was tried, with the reason why it did not work.
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

/// Tells why there is no way to the server through the proxy. landline never falls back to a direct
/// connection.
///
/// # Examples
///
/// ```no_run
/// use landline::Error;
/// use landline::error::ProxyProblem;
///
/// if let Err(Error::Proxy(failed)) = landline::connect("wss://example.com/feed") {
///     match failed.problem() {
///         ProxyProblem::Refused(answer) if answer.status() == 407 => {
///             println!("{} wants a user and a password", failed.proxy());
///         }
///         ProxyProblem::Connect(_) => println!("is {} running?", failed.proxy()),
///         _ => println!("{failed}"),
///     }
/// }
/// ```
#[derive(Debug)]
pub struct ProxyError {
    pub(crate) proxy: Box<str>,
    pub(crate) problem: ProxyProblem,
}

/// Names why a proxy could not be used. The guide [`proxies`](crate::guide::proxies) says what to
/// do about each problem.
#[derive(Debug)]
#[non_exhaustive]
pub enum ProxyProblem {
    /// The proxy could not be reached: its name could not be looked up, or nobody listens there. Is
    /// it running, and are host and port right?
    Connect(ConnectError),
    /// TLS with an `https` proxy failed: the certificate is the proxy's, not the server's. Its
    /// options are set by `Proxy::tls`.
    Tls(TlsError),
    /// The connection to the proxy failed. Try again later.
    Io(io::Error),
    /// The proxy ended the connection before the way to the server was open. Try again later. Some
    /// proxies do so with a server or a port that they do not allow.
    Eof,
    /// The proxy's answer is not HTTP as RFC 9112 defines it, or is too large. Is it an HTTP proxy,
    /// and does its port speak TLS or not, as the scheme says?
    Head(HeadError),
    /// The proxy sent more than eight interim (1xx) responses. It is broken.
    TooManyInterim,
    /// The proxy's answer to CONNECT is not a success. Holds its status, reason, headers, and the
    /// first 64 KiB of its body. After a 407 give it a user and a password; after a 403 it does not
    /// allow the server or the port; after a 502, 503 or 504 try again later.
    Refused(Response),
    /// The proxy did not do what SOCKS asked it to. The error within says why.
    Socks(SocksError),
}

impl ProxyError {
    /// Returns the proxy, as `scheme://host:port`.
    #[must_use]
    pub fn proxy(&self) -> &str {
        &self.proxy
    }

    /// Returns what went wrong.
    #[must_use]
    pub fn problem(&self) -> &ProxyProblem {
        &self.problem
    }

    /// Returns the answer of a proxy that refused CONNECT.
    #[must_use]
    pub fn response(&self) -> Option<&Response> {
        match &self.problem {
            ProxyProblem::Refused(response) => Some(response),
            _ => None,
        }
    }

    /// Returns how long a proxy that refused asks to wait before the next attempt.
    /// [`Error::retry_after`](crate::Error::retry_after) says when, and how long at most.
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
            ProxyProblem::Eof => f.write_str("the proxy closed the connection before it answered"),
            ProxyProblem::Head(error) => error.fmt(f),
            ProxyProblem::TooManyInterim => f.write_str("more than eight interim (1xx) responses"),
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

/// Tells why the opening handshake failed, and holds the server's answer if there is one.
///
/// # Examples
///
/// ```no_run
/// use landline::Error;
/// use landline::error::HandshakeProblem;
///
/// if let Err(Error::Handshake(failed)) = landline::connect("wss://example.com/feed") {
///     match (failed.problem(), failed.response()) {
///         (HandshakeProblem::Refused, Some(response)) => {
///             println!("{} {:?}", response.status(), response.reason());
///             println!("{:?}", String::from_utf8_lossy(response.body()));
///         }
///         _ => println!("this is no WebSocket server: {failed}"),
///     }
/// }
/// ```
#[derive(Debug)]
pub struct HandshakeError {
    pub(crate) problem: HandshakeProblem,
    pub(crate) response: Option<Response>,
}

/// Names why the opening handshake failed.
///
/// [`HandshakeError::problem`] gives it, with an example. Of these, [`Eof`](Self::Eof) and a
/// [`Refused`](Self::Refused) with status 408, 429 or 5xx may go well if tried again. The others
/// stay until the URL, the request or the server is mended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HandshakeProblem {
    /// The connection ended before the server answered, or within an answer that does not refuse.
    /// Try again later. If it stays so, the port may be one for TLS.
    Eof,
    /// The answer is not HTTP as RFC 9112 defines it, or is too large. Most often it is another
    /// service: are scheme and port right?
    Head(HeadError),
    /// The server sent more than eight interim (1xx) responses. It is broken.
    TooManyInterim,
    /// The server refused: the status of its answer is not 101.
    /// [`Error::status`](crate::Error::status) and [`Error::response`](crate::Error::response) give
    /// the answer.
    Refused,
    /// The status is 101, but the answer fails a check of RFC 6455 section 4.1. The server is
    /// broken, or something between it and this machine changes answers.
    Mismatch(Mismatch),
    /// The server redirected once more than [`max_redirects`](crate::Builder::max_redirects)
    /// allows. The `Location` of the response says where to. Connect there, or raise the limit.
    TooManyRedirects,
    /// The server redirected from `wss` to `ws`. Such a redirect is never followed, because it
    /// would give up the protection that the caller asked for.
    InsecureRedirect,
    /// The server redirected without a `Location`, with several, or with one that is no URL for a
    /// WebSocket, or that the proxy cannot be asked for. The server is broken, or the URL is that
    /// of a web page.
    BadRedirect,
    /// The server redirected, and was reached over a given stream or a Unix socket. Nothing else
    /// can be reached that way. The response has the `Location`: make a stream to there.
    UnfollowedRedirect,
}

impl HandshakeError {
    /// Returns what went wrong.
    #[must_use]
    pub fn problem(&self) -> &HandshakeProblem {
        &self.problem
    }

    /// Returns the server's answer, with the first 64 KiB of its body if the server refused. The
    /// body of a redirect that was to be followed is not read. `None` if the head was not received
    /// completely; but a refusal that is cut after the status line has what came.
    #[must_use]
    pub fn response(&self) -> Option<&Response> {
        self.response.as_ref()
    }

    /// Returns how long a server that refused asks to wait before the next attempt.
    /// [`Error::retry_after`](crate::Error::retry_after) says when, and how long at most.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        retry_after(self.response.as_ref()?)
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("opening handshake failed: ")?;
        match &self.problem {
            HandshakeProblem::Eof => {
                f.write_str("the server closed the connection before it answered")
            }
            HandshakeProblem::Head(error) => error.fmt(f),
            HandshakeProblem::TooManyInterim => {
                f.write_str("more than eight interim (1xx) responses")
            }
            HandshakeProblem::Refused => match &self.response {
                Some(response) => write_refusal(f, response),
                None => f.write_str("the server refused"),
            },
            HandshakeProblem::Mismatch(mismatch) => match &self.response {
                Some(response) if is_about_extensions(mismatch) => {
                    mismatch.fmt(f)?;
                    // The server's text shows what is wrong with the line.
                    let mut said = response.headers().all("Sec-WebSocket-Extensions").take(4);
                    said.try_for_each(|value| {
                        let value: String =
                            String::from_utf8_lossy(value).chars().take(256).collect();
                        write!(f, ": {:?}", value)
                    })
                }
                _ => mismatch.fmt(f),
            },
            HandshakeProblem::TooManyRedirects => f.write_str("too many redirects (max_redirects)"),
            HandshakeProblem::InsecureRedirect => BadLocation::Insecure.fmt(f),
            HandshakeProblem::BadRedirect => BadLocation::Invalid.fmt(f),
            HandshakeProblem::UnfollowedRedirect => f.write_str(
                "the server redirects, and a redirect cannot be followed over this stream",
            ),
        }
    }
}

impl StdError for HandshakeError {}

/// Returns whether `Sec-WebSocket-Extensions` is the header that is wrong.
fn is_about_extensions(mismatch: &Mismatch) -> bool {
    match mismatch {
        Mismatch::Version
        | Mismatch::Upgrade
        | Mismatch::Connection
        | Mismatch::Accept
        | Mismatch::Subprotocol => false,
        _ => true, // `Extension`, and `Deflate` if there is that.
    }
}

fn retry_after(refusal: &Response) -> Option<Duration> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    http::retry_after(refusal, now)
}

/// Writes the status, and the line of the body where the reason usually stands. What the peer wrote
/// is escaped and cut.
fn write_refusal(f: &mut fmt::Formatter<'_>, refusal: &Response) -> fmt::Result {
    let reason: String = refusal.reason().chars().take(MAX_QUOTED).collect();
    write!(f, "status {} {}", refusal.status(), reason.escape_debug())?;
    match first_line(refusal) {
        Some(line) => write!(f, ": {}", Quoted(&line)),
        None => Ok(()),
    }
}

/// Returns the first line of the body that has a letter or a digit, if the body is text but not
/// HTML, whose first lines tell nothing.
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

/// The most characters written by the peer that an error shows.
const MAX_QUOTED: usize = 256;

/// Shows an error that may quote the peer, such as the names in its certificate. The text is cut,
/// and everything that could confuse a terminal is escaped.
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
