//! What can go wrong, and whose fault it is.

use std::error::Error as StdError;
use std::fmt;
use std::io;

use super::closed::{Cause, Closed, Side};
use super::connecting::{ConnectError, HandshakeError, ProxyError};
use super::retry::Retry;
use super::tls::TlsError;
use crate::proto::Violation;
use crate::proto::http::Response;

/// The error of everything in this crate.
///
/// | variant | whose fault | when |
/// |---|---|---|
/// | `InvalidInput` | the caller's | before anything is sent to that server |
/// | `Local` | this machine's | before anything of a message is sent |
/// | `Connect`, `Tls`, `Io` | the network's or the server's | while connecting |
/// | `Proxy` | the proxy's, or it refused | while connecting |
/// | `Handshake` | the server's, or it refused | while connecting |
/// | `Protocol` | the server broke RFC 6455 or went over a limit | while receiving |
/// | `Timeout` | the variant says what took too long | any time, but for [`Timeout::Close`] |
/// | `Closed` | the connection is over, cleanly or not | while sending and receiving |
/// | `Handler` | the caller's | in an [`App`](crate::App) |
///
/// Two methods say what to do: [`is_fatal`](Self::is_fatal) whether the connection is over,
/// [`is_retryable`](Self::is_retryable) whether another attempt may go well. What the server said
/// is in [`status`](Self::status) and [`response`](Self::response) if it refused, and in
/// [`closed`](Self::closed) if it closed.
///
/// `From<Error> for io::Error` keeps the error within, and chooses a fitting kind. So `?` works in
/// functions that return `io::Result`.
///
/// The text of an error, and of each type that it holds, is complete: it includes the text of what
/// the error was made from. So `source()` gives only what lies below that, and a program that
/// prints the whole chain, as anyhow does by `{:#}`, repeats nothing. What the error was made from
/// is in the variants, and given by [`TlsError::error`], [`ConnectError::attempts`],
/// [`ConnectError::resolve_error`], [`ProxyError::problem`], [`HandshakeError::problem`] and
/// [`Closed::cause`].
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
    /// Something took too long. After [`Timeout::Recv`] and [`Timeout::Busy`] the connection goes
    /// on, and nothing is lost. After any other it is over.
    Timeout(Timeout),
    /// The connection is over.
    Closed(Closed),
    /// The connection failed while it was opened.
    Io(io::Error),
    /// This machine could not make a message ready to send: the operating system gave no random
    /// bytes to mask it with, for example. Nothing of the message was sent, and the connection goes
    /// on.
    Local(io::Error),
    /// A method of a [`Handler`](crate::Handler), or a hook of an [`App`](crate::App), gave this
    /// error.
    Handler(Box<dyn StdError + Send + Sync>),
}

impl Error {
    /// Returns whether the connection is over. If not, go on with it: call `recv` again, or send
    /// something else.
    ///
    /// It is `false` for [`Timeout::Recv`], [`Timeout::Busy`], [`InvalidInput`](Self::InvalidInput)
    /// and [`Local`](Self::Local), and `true` for all else. When connecting fails there is no
    /// connection to go on with, whatever this says.
    ///
    /// A connection that is over may still hold messages that arrived before its end: after an
    /// error of a [`Sender`](crate::Sender), `recv` returns them, and then how it ended.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        !matches!(
            self,
            Self::InvalidInput(_) | Self::Local(_) | Self::Timeout(Timeout::Recv | Timeout::Busy)
        )
    }

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

    /// Returns the HTTP status with which the server refused the WebSocket, such as 401. `None` if
    /// it did not answer.
    ///
    /// It is the status of [`response`](Self::response).
    ///
    /// ```
    /// fn must_log_in(error: &landline::Error) -> bool {
    ///     matches!(error.status(), Some(401 | 403))
    /// }
    /// ```
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.response().map(Response::status)
    }

    /// Returns the server's answer to the opening handshake, with the first 64 KiB of its body if
    /// it refused. There is one in an [`Error::Handshake`](Self::Handshake) whose head came whole:
    /// also of a redirect that was not followed, and of a 101 that fails a check.
    ///
    /// The answer of a proxy is not the server's, and not here: [`ProxyError::response`] has it.
    #[must_use]
    pub fn response(&self) -> Option<&Response> {
        match self {
            Self::Handshake(handshake) => handshake.response(),
            _ => None,
        }
    }

    /// Returns whether the same may go well if it is tried again later. This is the answer for a
    /// program that has not been connected before: the column "first attempt" of the table of
    /// [`Failure::is_retryable`](crate::backoff::Failure::is_retryable).
    ///
    /// It is `true` if the network failed, a deadline passed, the server or a proxy answered with
    /// status 408, 429 or 5xx, or the server closed with 1001, 1011, 1012, 1013 or 1014, or without
    /// a Close. It is also `true` for a certificate that is not valid yet, because the clock of
    /// this machine may not be set yet.
    ///
    /// It is `false` for wrong input, for other refusals such as 401, 404 and 407, for any other
    /// certificate that is not accepted, for a server that breaks the protocol, and for a
    /// connection that was closed or aborted on this side.
    ///
    /// The error does not know what went before. An [`App`](crate::App) does, and asks
    /// [`Failure::is_retryable`](crate::backoff::Failure::is_retryable). Both methods follow one rule. They
    /// differ only after a connection has stood: then an App also retries what is final here, except
    /// wrong input and an end that somebody wanted.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        Retry::of(self).is_retried(false)
    }

    pub(crate) fn aborted() -> Self {
        Self::Closed(Closed::new(None, None, Some(Side::Local), false, Cause::Aborted, None))
    }
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
            Self::Io(error) => write!(f, "input or output failed: {error}"),
            Self::Local(error) => write!(f, "cannot send: {error}"),
            Self::Handler(error) => write!(f, "the handler failed: {error}"),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::InvalidInput(_) | Self::Timeout(_) | Self::Protocol(_) => None,
            Self::Connect(connect) => connect.source(),
            Self::Tls(tls) => tls.source(),
            Self::Proxy(proxy) => proxy.source(),
            Self::Handshake(handshake) => handshake.source(),
            Self::Closed(closed) => closed.source(),
            Self::Io(error) | Self::Local(error) => error.source(),
            Self::Handler(error) => error.source(),
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
    /// A subprotocol that is not a token, or is given twice; holds which, from 0: some servers
    /// take a token of another kind here, a secret.
    Subprotocol(usize),
    /// An option of `Deflate` that is out of its range; holds its name.
    Deflate(Box<str>),
    /// The request is too large: more than 64 KiB.
    RequestTooLarge,
    /// A close code that must not be sent, a reason of more than 123 bytes, or a reason without a
    /// code.
    Close,
    /// A Ping or Pong payload of more than 125 bytes.
    ControlTooLong,
    /// A text message that ends within a character: it is not UTF-8.
    Text,
    /// A [`MessageWriter`](crate::MessageWriter) that was used after a part of its message could
    /// not be sent: the message was given up then.
    GivenUp,
    /// TLS options that do not work; says why.
    Tls(Box<str>),
    /// The proxy, or an entry of a list of exceptions; says which, what is wrong with it, and which
    /// environment variable it comes from.
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
            Self::Subprotocol(at) => write!(f, "subprotocol {at} (from 0) is invalid or repeated"),
            Self::Deflate(option) => write!(f, "{option} of permessage-deflate is out of range"),
            Self::RequestTooLarge => f.write_str("the handshake request is larger than 64 KiB"),
            Self::Close => f.write_str("a close code that must not be sent, or too long a reason"),
            Self::ControlTooLong => {
                f.write_str("a Ping or Pong payload may have at most 125 bytes")
            }
            Self::Text => f.write_str("the text ends within a character"),
            Self::GivenUp => f.write_str("the message was given up when it could not be sent"),
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
    /// `write_timeout` passed before the peer had taken all of it. The connection is over.
    Send,
    /// `write_timeout` passed while other threads were sending. Nothing was sent, and the
    /// connection goes on. Of a [`send_all`](crate::Sender::send_all), the first messages may have been
    /// sent.
    Busy,
    /// The peer was silent for the keepalive timeout after a ping. A few servers never answer
    /// pings, against RFC 6455: use [`Keepalive::OFF`](crate::Keepalive::OFF) with them.
    Pong,
    /// `close_timeout` passed before the peer answered our Close. The connection had been closed
    /// then, and is over. So [`Error::Closed`] says it, with this as its [`cause`](Closed::cause);
    /// no [`Error::Timeout`] does.
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
            Self::Busy => "timed out waiting until other threads had sent: nothing was sent",
            Self::Pong => "the peer does not answer pings (if it never does, use Keepalive::OFF)",
            Self::Close => "timed out in the closing handshake",
        })
    }
}

impl StdError for Timeout {}

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
