//! What can go wrong, and whose fault it is.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::proto::Violation;
use crate::proto::close::{CloseCode, CloseFrame};
use crate::proto::handshake::Mismatch;
use crate::proto::http::{HeadError, Response};
use crate::proto::location::BadLocation;
use crate::proto::socks::SocksError;

/// The error of everything in this crate.
///
/// | variant | whose fault | when |
/// |---|---|---|
/// | `InvalidInput` | the caller's | before anything is sent |
/// | `Connect`, `Tls`, `Io` | the network's or the server's | while connecting |
/// | `Proxy` | the proxy's, or it refused | while connecting |
/// | `Handshake` | the server's, or it refused | while connecting |
/// | `Protocol` | the server broke RFC 6455 or went over a limit | while receiving |
/// | `Timeout` | the variant says what took too long | any time |
/// | `Closed` | the connection is over, cleanly or not | while sending and receiving |
/// | `Handler` | the caller's | in an [`App`](crate::App) |
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// What was asked cannot be done; nothing was sent, and an open connection stays usable.
    InvalidInput(InvalidInput),
    /// No connection to the server: the name or the addresses.
    Connect(Box<ConnectError>),
    /// TLS failed while connecting.
    Tls(Box<TlsError>),
    /// The proxy could not be reached, or did not open the way to the server.
    Proxy(Box<ProxyError>),
    /// The server refused the WebSocket, or answered something that is none.
    Handshake(Box<HandshakeError>),
    /// The server broke the protocol. The connection is over.
    Protocol(Violation),
    /// Something took too long. After [`Timeout::Recv`] the connection goes on, and nothing is
    /// lost; after any other it is over.
    Timeout(Timeout),
    /// The connection is over.
    Closed(Closed),
    /// The connection failed while it was opened.
    Io(io::Error),
    /// A method of a [`Handler`](crate::Handler), or a hook of an [`App`](crate::App), gave this
    /// error.
    Handler(Box<dyn StdError + Send + Sync>),
}

impl Error {
    /// Whether something took too long.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Timeout(_))
    }

    /// How the connection ended, if that is what the error says.
    #[must_use]
    pub fn closed(&self) -> Option<&Closed> {
        match self {
            Self::Closed(closed) => Some(closed),
            _ => None,
        }
    }

    /// Whether the same may go well if it is tried again later: the network failed, a deadline
    /// passed, the server or a proxy answered 408, 429 or 5xx, the server closed with 1001, 1006,
    /// 1011, 1012 or 1013. Wrong input, refusals such as 401, 404 and 407, a certificate that is
    /// not valid and a server that breaks the protocol stay as they are.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::InvalidInput(_) | Self::Protocol(_) | Self::Handler(_) => false,
            Self::Connect(_) | Self::Timeout(_) | Self::Io(_) => true,
            Self::Tls(tls) => tls.is_retryable(),
            Self::Proxy(proxy) => proxy.is_retryable(),
            Self::Handshake(handshake) => match &handshake.problem {
                HandshakeProblem::Eof => true,
                HandshakeProblem::Mismatch(Mismatch::Status) => {
                    handshake.response().is_some_and(is_temporary)
                }
                _ => false,
            },
            Self::Closed(closed) => {
                !matches!(closed.cause(), Cause::Aborted | Cause::Protocol(_))
                    && matches!(closed.code().value(), 1001 | 1006 | 1011 | 1012 | 1013)
            }
        }
    }

    pub(crate) fn aborted() -> Self {
        Self::Closed(Closed::new(None, None, Some(Side::Local), Cause::Aborted))
    }
}

/// A refusal that says "not now".
fn is_temporary(refusal: &Response) -> bool {
    matches!(refusal.status(), 408 | 429 | 500..=599)
}

/// As a line of a diagnostic: what a peer wrote is escaped, and cut.
fn write_status(f: &mut fmt::Formatter<'_>, refusal: &Response) -> fmt::Result {
    let reason: String = refusal.reason().chars().take(256).collect();
    write!(f, "status {} {}", refusal.status(), reason.escape_debug())
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidInput(input) => input.fmt(f),
            Self::Connect(connect) => connect.fmt(f),
            Self::Tls(tls) => tls.fmt(f),
            Self::Proxy(proxy) => proxy.fmt(f),
            Self::Handshake(handshake) => handshake.fmt(f),
            Self::Protocol(violation) => write!(f, "protocol violation: {violation}"),
            Self::Timeout(timeout) => timeout.fmt(f),
            Self::Closed(closed) => closed.fmt(f),
            Self::Io(error) => write!(f, "connection failed while opening: {error}"),
            Self::Handler(error) => write!(f, "the handler failed: {error}"),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::InvalidInput(_) | Self::Timeout(_) => None,
            Self::Connect(connect) => connect.source(),
            Self::Tls(tls) => tls.source(),
            Self::Proxy(proxy) => proxy.source(),
            Self::Handshake(handshake) => handshake.source(),
            Self::Protocol(violation) => Some(violation),
            Self::Closed(closed) => closed.source(),
            Self::Io(error) => Some(error),
            Self::Handler(error) => Some(&**error),
        }
    }
}

impl From<InvalidInput> for Error {
    fn from(input: InvalidInput) -> Self {
        Self::InvalidInput(input)
    }
}

/// What the caller asked that cannot be done. Never holds a value that could be a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidInput {
    /// The URL; says what is wrong with it.
    Url(Box<str>),
    /// A header's name or value has characters that HTTP does not allow; holds the name.
    Header(Box<str>),
    /// A header that the handshake writes itself; holds the name.
    ReservedHeader(Box<str>),
    /// A subprotocol that is not a token, or is given twice; holds it.
    Subprotocol(Box<str>),
    /// An option of `Deflate` that is out of its range; holds its name.
    Deflate(Box<str>),
    /// The request is too large: more than 64 KiB.
    RequestTooLarge,
    /// A close code that must not be sent, a reason of more than 123 bytes, or a reason without a
    /// code.
    Close,
    /// A Ping or Pong payload of more than 125 bytes.
    ControlTooLong,
    /// TLS options that do not work; says why.
    Tls(Box<str>),
    /// The proxy, an environment variable that should name one, or an entry of a list of
    /// exceptions; says which, and what is wrong with it.
    Proxy(Box<str>),
}

impl fmt::Display for InvalidInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(why) => write!(f, "invalid URL: {why}"),
            Self::Header(name) => write!(f, "invalid header {name:?}"),
            Self::ReservedHeader(name) => {
                write!(f, "the header {name:?} is written by the handshake itself")
            }
            Self::Subprotocol(name) => write!(f, "invalid or repeated subprotocol {name:?}"),
            Self::Deflate(option) => write!(f, "{option} of permessage-deflate is out of range"),
            Self::RequestTooLarge => f.write_str("the handshake request is larger than 64 KiB"),
            Self::Close => f.write_str("a close code that must not be sent, or too long a reason"),
            Self::ControlTooLong => {
                f.write_str("a Ping or Pong payload may have at most 125 bytes")
            }
            Self::Tls(why) => write!(f, "invalid TLS options: {why}"),
            Self::Proxy(why) => write!(f, "invalid proxy: {why}"),
        }
    }
}

impl StdError for InvalidInput {}

/// What took too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Timeout {
    /// `open_timeout` passed while the name was looked up, the server's or the proxy's.
    Resolve,
    /// `open_timeout` passed while TCP connected, to the server or to the proxy.
    Connect,
    /// `open_timeout` passed while the proxy was asked for a way to the server, in TLS with the
    /// proxy for example.
    Proxy,
    /// `open_timeout` passed in the TLS handshake.
    Tls,
    /// `open_timeout` passed in the opening handshake.
    Handshake,
    /// No message in the time given to `recv_timeout`. The connection goes on.
    Recv,
    /// `write_timeout` passed, and the peer had not taken all of it.
    Send,
    /// The peer was silent for the keepalive timeout after a ping.
    Pong,
    /// `close_timeout` passed before the peer answered our Close.
    Close,
}

impl fmt::Display for Timeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resolve => "timed out looking up the server's name",
            Self::Connect => "timed out connecting",
            Self::Proxy => "timed out waiting for the proxy",
            Self::Tls => "timed out in the TLS handshake",
            Self::Handshake => "timed out in the opening handshake",
            Self::Recv => "no message in time",
            Self::Send => "timed out sending",
            Self::Pong => "the peer does not answer pings",
            Self::Close => "timed out in the closing handshake",
        })
    }
}

impl StdError for Timeout {}

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
        self.resolve.as_ref().or(last).map(|error| error as _)
    }
}

/// TLS failed. The [`source`](StdError::source) is the `rustls::Error`, where there is one.
#[derive(Debug)]
pub struct TlsError {
    pub(crate) source: Box<dyn StdError + Send + Sync>,
    pub(crate) certificate: bool,
    /// What the server said looks like another protocol.
    pub(crate) is_not_tls: bool,
}

impl TlsError {
    /// Whether the server's certificate was not accepted.
    #[must_use]
    pub fn is_certificate(&self) -> bool {
        self.certificate
    }

    fn is_retryable(&self) -> bool {
        let error = self.source.downcast_ref::<io::Error>();
        error.is_some_and(|error| error.kind() == io::ErrorKind::UnexpectedEof)
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TLS failed: {}", Quoted(&*self.source))?;
        if self.is_not_tls {
            f.write_str(" (the server does not speak TLS)")?;
        }
        Ok(())
    }
}

impl StdError for TlsError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&*self.source)
    }
}

/// An error that may quote the peer, names in its certificate for example: cut, and with
/// everything escaped that could confuse a terminal.
struct Quoted<'a>(&'a dyn fmt::Display);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for letter in self.0.to_string().chars().take(256) {
            match letter {
                '"' | '\'' | '\\' => write!(f, "{letter}")?,
                _ => write!(f, "{}", letter.escape_debug())?,
            }
        }
        Ok(())
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

    fn is_retryable(&self) -> bool {
        match &self.problem {
            ProxyProblem::Connect(_) | ProxyProblem::Io(_) | ProxyProblem::Eof => true,
            ProxyProblem::Tls(tls) => tls.is_retryable(),
            ProxyProblem::Head(_) | ProxyProblem::TooManyInterim => false,
            ProxyProblem::Refused(response) => is_temporary(response),
            ProxyProblem::Socks(error) => {
                matches!(error, SocksError::Refused4(91) | SocksError::Refused5(1 | 3..=6))
            }
        }
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
            ProxyProblem::Refused(response) => write_status(f, response),
            ProxyProblem::Socks(error) => error.fmt(f),
        }
    }
}

impl StdError for ProxyError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.problem {
            ProxyProblem::Connect(error) => Some(error),
            ProxyProblem::Tls(error) => Some(error),
            ProxyProblem::Io(error) => Some(error),
            ProxyProblem::Head(error) => Some(error),
            ProxyProblem::Socks(error) => Some(error),
            ProxyProblem::Eof | ProxyProblem::TooManyInterim | ProxyProblem::Refused(_) => None,
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
    /// The answer fails a check of RFC 6455 section 4.2.2; a refusal is
    /// [`Mismatch::Status`].
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

    /// The server's answer, with the first 64 KiB of its body if the status is not 101;
    /// `None` if there was no whole head.
    #[must_use]
    pub fn response(&self) -> Option<&Response> {
        self.response.as_ref()
    }

    /// How long the server asks to wait before the next attempt; see
    /// [`Response::retry_after`]. Reads the clock.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.response.as_ref()?.retry_after(now)
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("opening handshake failed: ")?;
        match self.problem {
            HandshakeProblem::Eof => f.write_str("the server closed the connection"),
            HandshakeProblem::Head(error) => error.fmt(f),
            HandshakeProblem::TooManyInterim => f.write_str("too many interim responses"),
            HandshakeProblem::Mismatch(mismatch) => match &self.response {
                Some(response) if mismatch == Mismatch::Status => write_status(f, response),
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

impl StdError for HandshakeError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.problem {
            HandshakeProblem::Head(error) => Some(error),
            HandshakeProblem::Mismatch(mismatch) => Some(mismatch),
            _ => None,
        }
    }
}

/// One of the two ends of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums)]
pub enum Side {
    /// This one.
    Local,
    /// The server.
    Peer,
}

/// Why a connection ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Cause {
    /// By a closing handshake; while it is not finished, because it has begun.
    Handshake,
    /// The peer ended the stream without a Close frame.
    Eof,
    /// The transport failed.
    Io(Arc<io::Error>),
    /// TLS failed; holds the `rustls::Error`.
    Tls(Arc<dyn StdError + Send + Sync>),
    /// The peer broke the protocol.
    Protocol(Violation),
    /// A deadline passed.
    Timeout(Timeout),
    /// Somebody here called `abort`.
    Aborted,
}

/// How a connection ended: both Close frames, who began it, whether it was clean. Cheap to clone.
#[derive(Clone)]
pub struct Closed(Arc<Ending>);

#[derive(Debug)]
struct Ending {
    local: Option<CloseFrame>,
    remote: Option<CloseFrame>,
    initiator: Option<Side>,
    cause: Cause,
}

impl Closed {
    pub(crate) fn new(
        local: Option<CloseFrame>,
        remote: Option<CloseFrame>,
        initiator: Option<Side>,
        cause: Cause,
    ) -> Self {
        Self(Arc::new(Ending { local, remote, initiator, cause }))
    }

    /// The close code of the connection (RFC 6455 section 7.1.5): the peer's,
    /// [`NO_STATUS`](CloseCode::NO_STATUS) if its Close had none,
    /// [`ABNORMAL`](CloseCode::ABNORMAL) if there was no Close from it.
    #[must_use]
    pub fn code(&self) -> CloseCode {
        match &self.0.remote {
            Some(close) => close.code.unwrap_or(CloseCode::NO_STATUS),
            None => CloseCode::ABNORMAL,
        }
    }

    /// The peer's reason, as it wrote it; empty if there was none.
    #[must_use]
    pub fn reason(&self) -> &str {
        self.0.remote.as_ref().map_or("", |close| &close.reason)
    }

    /// The Close frame that we sent, or had to send.
    #[must_use]
    pub fn local(&self) -> Option<&CloseFrame> {
        self.0.local.as_ref()
    }

    /// The Close frame that the peer sent.
    #[must_use]
    pub fn remote(&self) -> Option<&CloseFrame> {
        self.0.remote.as_ref()
    }

    /// Who began to end it; `None` if the network did.
    #[must_use]
    pub fn initiator(&self) -> Option<Side> {
        self.0.initiator
    }

    /// Whether both sides sent a Close frame (RFC 6455 section 7.1.4).
    #[must_use]
    pub fn is_clean(&self) -> bool {
        matches!(self.0.cause, Cause::Handshake)
            && self.0.local.is_some()
            && self.0.remote.is_some()
    }

    /// Why it ended.
    #[must_use]
    pub fn cause(&self) -> &Cause {
        &self.0.cause
    }
}

impl fmt::Debug for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Closed")
            .field("code", &self.code())
            .field("clean", &self.is_clean())
            .field("initiator", &self.0.initiator)
            .field("local", &self.0.local)
            .field("remote", &self.0.remote)
            .field("cause", &self.0.cause)
            .finish()
    }
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.cause {
            Cause::Handshake => {}
            Cause::Eof => return f.write_str("the peer ended the connection without a Close"),
            Cause::Io(error) => return write!(f, "connection lost: {error}"),
            Cause::Tls(error) => {
                return write!(f, "connection lost: TLS failed: {}", Quoted(&**error));
            }
            Cause::Protocol(violation) => {
                return write!(f, "closed after a violation: {violation}");
            }
            Cause::Timeout(timeout) => return timeout.fmt(f),
            Cause::Aborted => return f.write_str("the connection was aborted here"),
        }
        match (self.0.initiator, &self.0.remote, &self.0.local) {
            (Some(Side::Peer), Some(remote), _) => write!(f, "closed by the peer: {remote}"),
            (_, Some(remote), _) => write!(f, "closed here, the peer answered: {remote}"),
            (_, None, Some(local)) => write!(f, "closing here: {local}"),
            (_, None, None) => f.write_str("closed"),
        }
    }
}

impl StdError for Closed {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.0.cause {
            Cause::Io(error) => Some(&**error),
            Cause::Tls(error) => Some(&**error),
            Cause::Protocol(violation) => Some(violation),
            Cause::Timeout(timeout) => Some(timeout),
            Cause::Handshake | Cause::Eof | Cause::Aborted => None,
        }
    }
}

/// What `recv` says when the connection is over: the same each time.
impl From<Closed> for Error {
    fn from(closed: Closed) -> Self {
        match closed.cause() {
            Cause::Protocol(violation) => Self::Protocol(*violation),
            Cause::Timeout(timeout @ (Timeout::Pong | Timeout::Send)) => Self::Timeout(*timeout),
            _ => Self::Closed(closed),
        }
    }
}
