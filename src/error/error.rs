//! The error of nearly everything in this crate: what went wrong, whose fault it is, and what to
//! do.

// `Error` is here. The errors that it holds are in `connecting.rs` and `tls.rs` (no connection) and
// in `closed.rs` (a connection is over). `retry.rs` decides which are worth another attempt.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::time::Duration;

use super::closed::{Cause, Closed, Side};
use super::connecting::{ConnectError, HandshakeError, ProxyError};
use super::retry::Retry;
use super::tls::TlsError;
use crate::proto::Violation;
use crate::proto::http::Response;

/// Tells what went wrong, in nearly everything that can fail in this crate.
///
/// A few things fail in another way: [`Handle::send`](crate::Handle::send) gives the message back
/// in a [`SendError`](crate::app::SendError), a cookie is refused with a
/// [`CookieError`](crate::cookie::CookieError), and what implements `Read` or `Write` fails with an
/// [`io::Error`] that holds an `Error`. [`App::spawn`](crate::App::spawn) gives the `io::Error` of
/// the operating system.
///
/// | variant | whose fault | when |
/// |---|---|---|
/// | `InvalidInput` | the caller's | before anything is sent to that server |
/// | `Local` | this machine's | before any byte of a message is sent |
/// | `Connect`, `Tls` | the network's or the server's | while connecting |
/// | `Io` | the network's, this machine's, or a hook's | while connecting |
/// | `Proxy` | the proxy's, or the proxy refused | while connecting |
/// | `Handshake` | the server's, or the server refused | while connecting |
/// | `Protocol` | the server's: it broke RFC 6455, or went over a limit | while receiving |
/// | `Timeout` | the variant says what took too long | at any time |
/// | `Closed` | none: the connection is over, cleanly or not | at any time |
/// | `Handler` | the caller's | in an [`App`](crate::App) |
///
/// Three questions have a method each. May I go on with this connection? Is it worth another
/// attempt? What did the server say?
///
/// * [`is_fatal`](Self::is_fatal) returns whether the connection is over.
/// * [`is_retryable`](Self::is_retryable) returns whether another attempt may go well, and
///   [`retry_after`](Self::retry_after) how long the server asks to wait before it.
/// * [`status`](Self::status) and [`response`](Self::response) give the answer of a server that
///   refused the WebSocket, and [`closed`](Self::closed) tells how the connection ended.
///
/// `From<Error> for io::Error` keeps the error within, and chooses a fitting kind. So `?` works in
/// functions that return `io::Result`.
///
/// # Examples
///
/// To connect until it works, unless it will not work later either:
///
/// ```no_run
/// use std::time::Duration;
///
/// use landline::{Error, WebSocket};
///
/// fn connect(url: &str) -> Result<WebSocket, Error> {
///     loop {
///         let error = match landline::connect(url) {
///             Ok(ws) => return Ok(ws),
///             Err(error) => error,
///         };
///         match error.status() {
///             Some(401 | 403) => eprintln!("log in first: {error}"),
///             Some(status) => eprintln!("the server refused with {status}: {error}"),
///             None => eprintln!("{error}"),
///         }
///         if !error.is_retryable() {
///             return Err(error);
///         }
///         std::thread::sleep(error.retry_after().unwrap_or(Duration::from_secs(5)));
///     }
/// }
/// ```
///
/// To send while the connection stands:
///
/// ```no_run
/// use landline::{Error, Sender};
///
/// /// Returns `false` once the connection is over.
/// fn report(sender: &Sender, line: &str) -> bool {
///     match sender.send(line) {
///         Ok(()) => true,
///         Err(error) if !error.is_fatal() => {
///             eprintln!("this line was not sent: {error}");
///             true
///         }
///         Err(Error::Closed(closed)) if closed.is_clean() => false,
///         Err(error) => {
///             eprintln!("the connection is lost: {error}");
///             false
///         }
///     }
/// }
/// ```
///
/// To return it as an `io::Error`:
///
/// ```no_run
/// fn first_message(url: &str) -> std::io::Result<Vec<u8>> {
///     let mut ws = landline::connect(url)?;
///     Ok(ws.recv()?.as_bytes().to_vec())
/// }
///
/// let error = first_message("wss://example.com/feed").unwrap_err();
/// if error.kind() == std::io::ErrorKind::TimedOut {
///     println!("too slow");
/// }
/// let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<landline::Error>());
/// println!("{:?}", inner.and_then(landline::Error::status));
/// ```
///
/// # Text and source
///
/// The text of an error, and of each type that it holds, is complete: it includes the text of what
/// the error was made from. So `source()` gives only what lies below that, and a program that
/// prints the whole chain, as anyhow does by `{:#}`, repeats nothing. What the error was made from
/// is in the variants, and given by [`TlsError::error`], [`ConnectError::attempts`],
/// [`ConnectError::resolve_error`], [`ProxyError::problem`], [`HandshakeError::problem`] and
/// [`Closed::cause`].
///
/// # What to do
///
/// The guide [`errors`](crate::guide::errors) has a decision tree, and a table of each error: how
/// it comes about, and what to do.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The caller asked for something that cannot be done. An open connection stays usable: nothing
    /// was sent. Mend the program; the same fails again.
    InvalidInput(InvalidInput),
    /// The server could not be reached: its name could not be looked up, or none of its addresses
    /// could be connected to. Try again later, and look at the name and the port if it stays so.
    Connect(Box<ConnectError>),
    /// TLS failed while connecting: most often because the certificate is not accepted. The text
    /// says what to do. Most of these problems stay until somebody mends them.
    Tls(Box<TlsError>),
    /// The proxy could not be reached, or did not open the way to the server. Its
    /// [`problem`](ProxyError::problem) says whether to try again, to give a user and a password,
    /// or to ask who runs the proxy.
    Proxy(Box<ProxyError>),
    /// The server refused the WebSocket, or its answer does not open one. The
    /// [`status`](Self::status) says what to do about a refusal: log in after a 401, mend the URL
    /// after a 404, try again later after a 429 or a 503.
    Handshake(Box<HandshakeError>),
    /// The server broke the protocol, or exceeded a limit of this side. The connection is over, and
    /// the server was sent a Close that says why. Raise the limit if
    /// [`is_limit`](Violation::is_limit); report the fault to those who run the server otherwise.
    Protocol(Violation),
    /// Something took too long. After [`Timeout::Recv`] and [`Timeout::Busy`] the connection goes
    /// on, and nothing is lost: call again. After any other it is over: connect again.
    Timeout(Timeout),
    /// The connection is over: one side closed or aborted it, or it was lost. [`Closed::code`] and
    /// [`Closed::cause`] say whether to connect again.
    Closed(Closed),
    /// The transport, the operating system or a hook of the caller failed while the connection was
    /// opened. Try again later, unless the error is one of the hook's own.
    Io(io::Error),
    /// This machine could not prepare a message: the operating system gave no random bytes to mask
    /// it with, for example. The connection goes on, because no byte of the message was sent. Send
    /// it again later.
    Local(io::Error),
    /// A method of a [`Handler`](crate::Handler), or a hook of an [`App`](crate::App), returned
    /// this error. It ended the connection with Close 1011, and the App too unless
    /// [`retry_if`](crate::App::retry_if) decides otherwise.
    Handler(Box<dyn StdError + Send + Sync>),
}

impl Error {
    /// Returns whether the connection is over. If it is not, go on with it: call `recv` again, or
    /// send something else.
    ///
    /// The answer is `false` for [`Timeout::Recv`], [`Timeout::Busy`],
    /// [`InvalidInput`](Self::InvalidInput) and [`Local`](Self::Local), and `true` for all others.
    /// When connecting fails there is no connection to go on with, whatever the answer.
    ///
    /// A connection that is over may still hold messages that arrived before its end. After an
    /// error of a [`Sender`](crate::Sender), `recv` returns these messages first, and then how the
    /// connection ended. But if a write failed or timed out, only Linux keeps the messages that
    /// landline has not read yet. Other systems drop them.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        !matches!(
            self,
            Self::InvalidInput(_) | Self::Local(_) | Self::Timeout(Timeout::Recv | Timeout::Busy)
        )
    }

    /// Returns whether something took too long.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Timeout(_))
    }

    /// Returns how the connection ended, if the error is [`Error::Closed`](Self::Closed).
    #[must_use]
    pub fn closed(&self) -> Option<&Closed> {
        match self {
            Self::Closed(closed) => Some(closed),
            _ => None,
        }
    }

    /// Returns the HTTP status with which the server refused the WebSocket, such as 401. This is
    /// the status of [`response`](Self::response); `None` if there is no answer.
    ///
    /// # Examples
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
    /// the server refused. Every [`Error::Handshake`](Self::Handshake) has an answer if its head
    /// was received completely: also for a redirect that was not followed, and for a 101 that fails
    /// a check. Of a refusal that is cut after the status line, it has what came.
    ///
    /// The answer of a proxy is not the server's: [`ProxyError::response`] has it.
    #[must_use]
    pub fn response(&self) -> Option<&Response> {
        match self {
            Self::Handshake(handshake) => handshake.response(),
            _ => None,
        }
    }

    /// Returns whether the same may go well if it is tried again later. This is the answer for a
    /// program that has not been connected before: the column "no connection has stood yet" of the
    /// table of [`Failure::is_retryable`](crate::backoff::Failure::is_retryable).
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
    /// [`Failure::is_retryable`](crate::backoff::Failure::is_retryable). Both methods follow one
    /// rule. They differ only after a connection has stood: then an App also retries what is final
    /// here, except wrong input, an error of a handler, and an end that one of the sides wanted.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        Retry::of(self).is_retried(false)
    }

    /// Returns how long a server, or a proxy, that refused asks to wait before the next attempt, by
    /// the header `Retry-After` (RFC 9110 section 10.2.3) of an answer with status 429 or 503.
    ///
    /// The header holds whole seconds or a date. A date is compared with the clock of this machine,
    /// and one that has passed gives a wait of zero. The wait is at most one hour, so that a server
    /// cannot put a client to sleep for years. `None` if there is no such answer, or if its header
    /// is missing or malformed.
    ///
    /// An [`App`](crate::App) waits for at least that long. After any other status the header is
    /// ignored; the headers of [`response`](Self::response) and of [`ProxyError::response`] have
    /// it.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Handshake(handshake) => handshake.retry_after(),
            Self::Proxy(proxy) => proxy.retry_after(),
            _ => None,
        }
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
            Self::Io(error) => write!(f, "cannot open the connection: {error}"),
            Self::Local(error) => write!(f, "cannot send, and nothing was sent: {error}"),
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

/// Names what the caller asked for that cannot be done. It never holds a value that could be a
/// secret.
///
/// Options and arguments are checked before anything is sent. So nothing was sent, and an open
/// connection goes on. The same fails again, so mend the program or its configuration.
///
/// # Examples
///
/// A URL that a user typed is checked by connecting: no socket is opened for a wrong one.
///
/// ```
/// use landline::Error;
/// use landline::error::InvalidInput;
///
/// match landline::connect("https//example.com") {
///     Err(Error::InvalidInput(InvalidInput::Url(why))) => println!("not a URL: {why}"),
///     _ => unreachable!("the URL is wrong"),
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidInput {
    /// The URL is wrong. Holds the reason. [`Builder::connect`](crate::Builder::connect) says which
    /// URLs there are.
    Url(Box<str>),
    /// The name or the value of a header has characters that HTTP does not allow, such as a line
    /// end; or the user of Basic credentials has a colon. Holds the name of the header, up to the
    /// first character that no name has: a secret may follow.
    Header(Box<str>),
    /// A header that the handshake writes itself. Holds the name. Leave it out; subprotocols and
    /// extensions have options of their own.
    ReservedHeader(Box<str>),
    /// A subprotocol that is not a token, or is given twice. Holds its number, counted from 0, and
    /// not its text: some servers take a secret in this place.
    Subprotocol(usize),
    /// An option of `Deflate` that is out of its range. Holds the name of the option.
    Deflate(Box<str>),
    /// The request of the opening handshake is larger than 64 KiB. Send less in headers, cookies
    /// and the URL.
    RequestTooLarge,
    /// A close code that must not be sent, a reason of more than 123 bytes, or a reason without a
    /// code. [`CloseCode::is_sendable`](crate::CloseCode::is_sendable) says which codes may be
    /// sent. The connection is not closed.
    Close,
    /// A Ping or Pong payload of more than 125 bytes. Send a shorter one, or a message.
    ControlTooLong,
    /// A message of 2^63 bytes or more, which no frame can hold (RFC 6455 section 5.2).
    MessageTooLong,
    /// A text message that ends within a character, so it is not UTF-8. Nothing of it was sent.
    /// Write whole characters to a [`MessageWriter`](crate::message::MessageWriter), or make the
    /// message binary.
    Text,
    /// A [`MessageWriter`](crate::message::MessageWriter) was used again after a part of its
    /// message could not be sent. The message had been given up then. Begin a new message, if the
    /// connection is still open.
    GivenUp,
    /// TLS options that do not work: a PEM file that is missing or malformed, a key that does not
    /// belong to its certificate, no crypto provider. Holds the reason.
    Tls(Box<str>),
    /// The proxy, or an entry of a list of exceptions, is wrong. Holds which one, the reason, and
    /// the environment variable that it comes from.
    Proxy(Box<str>),
}

impl fmt::Display for InvalidInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(why) => write!(f, "invalid URL: {why}"),
            Self::Header(name) => {
                write!(f, "the header {name:?} has characters that HTTP does not allow")
            }
            Self::ReservedHeader(name) => {
                write!(f, "the header {name:?} is written by the handshake itself: leave it out")
            }
            Self::Subprotocol(at) => {
                write!(f, "subprotocol {at} (counted from 0) is not a token, or is given twice")
            }
            Self::Deflate(option) => write!(f, "{option} of permessage-deflate is out of range"),
            Self::RequestTooLarge => f.write_str(
                "the handshake request is larger than 64 KiB: send fewer headers or cookies",
            ),
            Self::Close => f.write_str(
                "the close code must not be sent, or its reason is longer than 123 bytes, or there \
                 is a reason without a code",
            ),
            Self::ControlTooLong => {
                f.write_str("a Ping or Pong payload may have at most 125 bytes")
            }
            Self::MessageTooLong => f.write_str("a message must have less than 2^63 bytes"),
            Self::Text => f.write_str("the text ends within a character, so it is not UTF-8"),
            Self::GivenUp => {
                f.write_str("the message was given up when a part of it could not be sent")
            }
            Self::Tls(why) => write!(f, "invalid TLS options: {why}"),
            Self::Proxy(why) => write!(f, "invalid proxy: {why}"),
        }
    }
}

impl StdError for InvalidInput {}

/// Names what took too long, and which limit passed: a timeout of the [`Builder`](crate::Builder),
/// of [`Keepalive`](crate::Keepalive) or of the call. The guide
/// [`timeouts`](crate::guide::timeouts) has a drawing of all of them, and their defaults.
///
/// # Examples
///
/// To do something else when no message comes for a while:
///
/// ```no_run
/// use std::time::Duration;
/// use landline::{Error, Timeout};
///
/// let mut ws = landline::connect("wss://example.com/feed")?;
/// loop {
///     match ws.recv_timeout(Duration::from_secs(10)) {
///         Ok(message) => println!("{message:?}"),
///         // The connection goes on, and no message is lost.
///         Err(Error::Timeout(Timeout::Recv)) => ws.send("anything new?")?,
///         Err(error) => return Err(error),
///     }
/// }
/// # Ok::<(), landline::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Timeout {
    /// `open_timeout` passed while the name of the server, or of the proxy, was looked up: the name
    /// server does not answer. Try again later.
    Resolve,
    /// `open_timeout` passed while TCP connected, to the server or to the proxy: the machine is
    /// down, or a firewall drops the packets. Try again later, and look at address and port.
    Connect,
    /// `open_timeout` passed while the proxy was asked for a way to the server. This includes the
    /// TLS handshake with the proxy. The proxy hangs, cannot reach the server, or speaks another
    /// protocol than its scheme says. Try again later.
    Proxy,
    /// `open_timeout` passed in the TLS handshake with the server: it hangs, or is no TLS port. Try
    /// again later.
    Tls,
    /// `open_timeout` passed in the opening handshake of the WebSocket: the server has accepted the
    /// connection, and does not answer the request. Try again later, or raise `open_timeout`.
    Handshake,
    /// No message came in the time that was given to `recv_timeout`. The connection goes on, and
    /// nothing is lost: call it again.
    Recv,
    /// `write_timeout` passed before the peer had taken the whole message: the peer does not read,
    /// or the link is too slow for the message. The connection is over. Connect again, and raise
    /// `write_timeout` for big messages.
    Send,
    /// `write_timeout` passed while other threads were sending. Nothing was sent, and the
    /// connection goes on: send it again. Of a [`send_all`](crate::Sender::send_all), the first
    /// messages may have been sent. A [`MessageWriter`](crate::message::MessageWriter) that is not
    /// finished is such a thread too.
    Busy,
    /// The peer was silent for the keepalive timeout after a ping: it is gone, or the network is.
    /// Connect again. A few servers never answer pings, against RFC 6455: use
    /// [`Keepalive::OFF`](crate::Keepalive::OFF) with them.
    Pong,
    /// `close_timeout` passed before the peer answered our Close. The connection is over. The
    /// program had already closed it, so this is never an [`Error::Timeout`]: it is the
    /// [`cause`](Closed::cause) of an [`Error::Closed`]. Nothing is to be done.
    Close,
}

impl fmt::Display for Timeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resolve => "timed out looking up the host name (open_timeout)",
            Self::Connect => "timed out connecting (open_timeout)",
            Self::Proxy => "timed out waiting for the proxy (open_timeout)",
            Self::Tls => "timed out in the TLS handshake (open_timeout)",
            Self::Handshake => "timed out in the opening handshake (open_timeout)",
            Self::Recv => "no message came in time",
            Self::Send => {
                "timed out sending: the peer did not take all of the message (write_timeout)"
            }
            Self::Busy => {
                "timed out waiting for other threads that send: nothing was sent (write_timeout)"
            }
            Self::Pong => "the peer does not answer pings (if it never does, use Keepalive::OFF)",
            Self::Close => "timed out in the closing handshake (close_timeout)",
        })
    }
}

impl StdError for Timeout {}

/// Makes the error that `recv` returns when the connection is over, the same each time.
impl From<Closed> for Error {
    fn from(closed: Closed) -> Self {
        match closed.cause() {
            Cause::Protocol(violation) => Self::Protocol(*violation),
            Cause::Timeout(timeout @ (Timeout::Pong | Timeout::Send)) => Self::Timeout(*timeout),
            _ => Self::Closed(closed),
        }
    }
}
