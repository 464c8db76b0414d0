//! Every option, once.

use std::fmt;
use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use crate::dial::Attempt;
use crate::error::Error;
use crate::net::abort::AbortHandle;
use crate::net::duplex::Stream;
#[cfg(feature = "tls")]
use crate::net::tls::TlsOptions;
#[cfg(feature = "deflate")]
use crate::proto::deflate::Deflate;
use crate::proto::handshake::Offer;
use crate::proto::keepalive::Keepalive;
use crate::proto::recv::Limits;
use crate::receiver::Options;
use crate::request::Authorization;
use crate::websocket::WebSocket;
use crate::wire::Timeouts;

/// What the caller may do to a socket before it is used.
pub(crate) type SocketHook = Arc<dyn Fn(&TcpStream) -> io::Result<()> + Send + Sync>;

/// How to connect. Every option has a default; a builder can be used again and cloned.
///
/// ```no_run
/// use std::time::Duration;
///
/// let mut ws = landline::Builder::new()
///     .header("X-Team", "blue")
///     .subprotocols(["chat.v2", "chat.v1"])
///     .open_timeout(Duration::from_secs(5))
///     .connect("wss://example.com/chat?room=1")?;
/// # Ok::<(), landline::Error>(())
/// ```
///
/// Durations and limits take `None` for "no limit".
#[derive(Clone)]
pub struct Builder {
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) subprotocols: Vec<String>,
    pub(crate) origin: Option<String>,
    pub(crate) cookie: Option<String>,
    pub(crate) authorization: Option<Authorization>,
    pub(crate) user_agent: Option<String>,
    pub(crate) host: Option<String>,
    pub(crate) open_timeout: Option<Duration>,
    pub(crate) timeouts: Timeouts,
    pub(crate) keepalive: Keepalive,
    pub(crate) limits: Limits,
    pub(crate) receive: Options,
    pub(crate) unchecked_text: bool,
    #[cfg(feature = "deflate")]
    pub(crate) deflate: Option<Deflate>,
    pub(crate) nodelay: bool,
    pub(crate) on_socket: Option<SocketHook>,
    pub(crate) abort: AbortHandle,
    #[cfg(feature = "tls")]
    pub(crate) tls: TlsOptions,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            headers: Vec::new(),
            subprotocols: Vec::new(),
            origin: None,
            cookie: None,
            authorization: None,
            user_agent: Some(concat!("landline/", env!("CARGO_PKG_VERSION")).to_owned()),
            host: None,
            open_timeout: Some(Duration::from_secs(30)),
            timeouts: Timeouts {
                write: Some(Duration::from_secs(30)),
                close: Some(Duration::from_secs(5)),
            },
            keepalive: Keepalive::default(),
            limits: Limits::default(),
            receive: Options { auto_pong: true, fragments: false },
            unchecked_text: false,
            #[cfg(feature = "deflate")]
            deflate: None,
            nodelay: true,
            on_socket: None,
            abort: AbortHandle::new(),
            #[cfg(feature = "tls")]
            tls: shared_tls(),
        }
    }
}

/// The default TLS options are made once, so that sessions are resumed without further ado.
#[cfg(feature = "tls")]
fn shared_tls() -> TlsOptions {
    static SHARED: std::sync::OnceLock<TlsOptions> = std::sync::OnceLock::new();
    SHARED.get_or_init(TlsOptions::new).clone()
}

/// The handshake.
impl Builder {
    /// All defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a header line to the request.
    ///
    /// `Host`, `Origin`, `User-Agent`, `Authorization` and `Cookie` replace the ones that other
    /// options would write. Connecting fails, before any socket is opened, with
    /// [`InvalidInput::Header`](crate::InvalidInput::Header) for a name that is no token or a
    /// value with control characters, and with
    /// [`InvalidInput::ReservedHeader`](crate::InvalidInput::ReservedHeader) for what the
    /// handshake writes itself: `Connection`, `Upgrade`, `Sec-WebSocket-*`, `Content-Length`,
    /// `Transfer-Encoding`, `Proxy-*`.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Offers subprotocols, the preferred one first (RFC 6455 section 1.9). Default: none.
    ///
    /// The server chooses one of them or none; another is refused. Names are tokens, and are
    /// compared exactly.
    #[must_use]
    pub fn subprotocols<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.subprotocols = names.into_iter().map(Into::into).collect();
        self
    }

    /// Offers to compress messages both ways, by permessage-deflate (RFC 7692). Default: not
    /// offered.
    ///
    /// Whether the server accepted, and what, says [`WebSocket::deflate`]. Connecting fails with
    /// [`InvalidInput::Deflate`](crate::InvalidInput::Deflate) for an option that is out of its
    /// range, and with [`Mismatch`](crate::Mismatch) if the server accepts what was not offered.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn deflate(mut self, options: impl Into<Option<Deflate>>) -> Self {
        self.deflate = options.into();
        self
    }

    /// Sends `Origin`, as a browser would (RFC 6455 section 10.2). Default: not sent.
    #[must_use]
    pub fn origin(mut self, origin: impl Into<String>) -> Self {
        self.origin = Some(origin.into());
        self
    }

    /// Sends `Cookie`: `a=1; b=2`. Default: not sent.
    #[must_use]
    pub fn cookie(mut self, cookie: impl Into<String>) -> Self {
        self.cookie = Some(cookie.into());
        self
    }

    /// Sends `Authorization: Basic` with this user and password (RFC 7617). Default: those in the
    /// URL, if there are any. Connecting fails with
    /// [`InvalidInput::Header`](crate::InvalidInput::Header) if the user has a colon, which Basic
    /// cannot carry.
    #[must_use]
    pub fn basic_auth(mut self, user: &str, password: &str) -> Self {
        self.authorization = Some(Authorization::Basic(user.to_owned(), password.to_owned()));
        self
    }

    /// Sends `Authorization: Bearer` with this token (RFC 6750). Default: not sent.
    #[must_use]
    pub fn bearer_auth(mut self, token: &str) -> Self {
        self.authorization = Some(Authorization::Bearer(token.to_owned()));
        self
    }

    /// Sends this `User-Agent`. Default: `landline/VERSION`.
    #[must_use]
    pub fn user_agent(mut self, agent: impl Into<String>) -> Self {
        self.user_agent = Some(agent.into());
        self
    }

    /// Sends no `User-Agent`.
    #[must_use]
    pub fn no_user_agent(mut self) -> Self {
        self.user_agent = None;
        self
    }

    /// Sends this `Host` instead of the URL's host and port. It changes nothing else.
    #[must_use]
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.host = Some(host.into());
        self
    }

    /// How TLS is spoken and whom it trusts. Default: [`TlsOptions::new`].
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, options: TlsOptions) -> Self {
        self.tls = options;
        self
    }
}

/// Time.
impl Builder {
    /// How long connecting may take in all: name lookup, TCP, TLS and the opening handshake. A
    /// server that sends a byte now and then cannot stretch it. Default: 30 s.
    #[must_use]
    pub fn open_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.open_timeout = timeout.into();
        self
    }

    /// How long one call that sends may take, counted from when its turn comes; for very big
    /// messages over slow links raise it. When it passes, the connection is over. Default: 30 s.
    ///
    /// With `None`, a peer that stops reading in the middle of a message is never given up, not
    /// by keepalive either: its ping waits behind the message.
    #[must_use]
    pub fn write_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.timeouts.write = timeout.into();
        self
    }

    /// How long the closing handshake may take, from our Close or the peer's. Default: 5 s.
    ///
    /// An idle `recv` wakes up this often to look whether another thread has called `close`.
    #[must_use]
    pub fn close_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.timeouts.close = timeout.into();
        self
    }

    /// When to ping, and when to give a silent peer up. It runs while some thread is in `recv` or
    /// `next_event`. Default: a ping each 20 s, 20 s for any sign of life after it;
    /// [`Keepalive::OFF`] switches it off.
    #[must_use]
    pub fn keepalive(mut self, keepalive: Keepalive) -> Self {
        self.keepalive = keepalive;
        self
    }

    /// Something to call from another thread to stop connecting, or the connection, at once.
    #[must_use]
    pub fn abort_handle(mut self, abort: AbortHandle) -> Self {
        self.abort = abort;
        self
    }
}

/// What is received.
impl Builder {
    /// The most bytes of a message that is received. More is answered with Close 1009, when the
    /// header says so and before memory is taken. Default: 64 MiB.
    ///
    /// Of a compressed message it is the bytes that come out which count, as they come out; on the
    /// wire it may have a quarter more, and 1 KiB.
    #[must_use]
    pub fn max_message_size(mut self, bytes: impl Into<Option<u64>>) -> Self {
        self.limits.max_message_size = bytes.into();
        self
    }

    /// The most bytes of a frame that is received; if it is compressed, on the wire. Default: 64 MiB.
    #[must_use]
    pub fn max_frame_size(mut self, bytes: impl Into<Option<u64>>) -> Self {
        self.limits.max_frame_size = bytes.into();
        self
    }

    /// The most frames of a message that is received; more is answered with Close 1008.
    /// Default: 131,072.
    #[must_use]
    pub fn max_fragments(mut self, frames: impl Into<Option<u32>>) -> Self {
        self.limits.max_fragments = frames.into();
        self
    }

    /// The most empty frames in a row that do not end their message; more is answered with Close
    /// 1008. Default: 1,024.
    #[must_use]
    pub fn max_empty_fragments(mut self, frames: impl Into<Option<u32>>) -> Self {
        self.limits.max_empty_fragments = frames.into();
        self
    }

    /// Whether Pings are answered. Default: yes, as RFC 6455 section 5.5.2 asks; if not, answer
    /// them with [`Sender::pong`](crate::Sender::pong).
    #[must_use]
    pub fn auto_pong(mut self, yes: bool) -> Self {
        self.receive.auto_pong = yes;
        self
    }

    /// Whether [`next_event`](WebSocket::next_event) hands out
    /// [`Fragment`](crate::Event::Fragment)s as they arrive, instead of whole messages.
    /// Default: no. `recv` gives whole messages anyway.
    #[must_use]
    pub fn fragments(mut self, yes: bool) -> Self {
        self.receive.fragments = yes;
        self
    }

    /// Whether text is handed over without looking whether it is UTF-8, as bytes:
    /// [`Message::Binary`](crate::Message::Binary) from `recv`,
    /// [`RawText`](crate::Event::RawText) from `next_event`. Default: no.
    #[must_use]
    pub fn unchecked_text(mut self, yes: bool) -> Self {
        self.unchecked_text = yes;
        self
    }
}

/// The socket.
impl Builder {
    /// Whether small messages are sent at once (`TCP_NODELAY`). Default: yes.
    #[must_use]
    pub fn nodelay(mut self, yes: bool) -> Self {
        self.nodelay = yes;
        self
    }

    /// Calls this with each TCP socket when it is connected and before it is used, to set other
    /// options. An error ends the attempt.
    #[must_use]
    pub fn on_socket(
        mut self,
        hook: impl Fn(&TcpStream) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        self.on_socket = Some(Arc::new(hook));
        self
    }
}

/// Connecting.
impl Builder {
    /// Connects to a `ws://` or `wss://` URL.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] before any socket is opened; [`Error::Connect`], [`Error::Tls`],
    /// [`Error::Handshake`], [`Error::Io`], [`Error::Timeout`] with the phase that
    /// `open_timeout` passed in; [`Error::Closed`] if it was aborted.
    pub fn connect(&self, url: &str) -> Result<WebSocket, Error> {
        let attempt = Attempt::new(self, url)?;
        let stream = attempt.reach()?;
        attempt.open(stream)
    }

    /// Connects over a stream that is connected already: through a tunnel, from a bound socket,
    /// in memory. With a `wss://` URL TLS is spoken over it; for one that has TLS already, use
    /// `ws://`. Apart from that the URL gives the path and `Host`.
    ///
    /// # Errors
    /// As [`connect`](Self::connect), less [`Error::Connect`].
    pub fn connect_over(&self, url: &str, stream: impl Stream) -> Result<WebSocket, Error> {
        let attempt = Attempt::new(self, url)?;
        stream.set_nonblocking(false).map_err(Error::Io)?;
        attempt.open(Arc::new(stream))
    }

    /// Connects to a Unix socket, otherwise as [`connect_over`](Self::connect_over).
    ///
    /// # Errors
    /// As [`connect`](Self::connect), with [`Error::Io`] if there is no such socket.
    #[cfg(unix)]
    pub fn connect_unix(
        &self,
        path: impl AsRef<std::path::Path>,
        url: &str,
    ) -> Result<WebSocket, Error> {
        let attempt = Attempt::new(self, url)?;
        let stream = attempt.reach_unix(path.as_ref())?;
        attempt.open(stream)
    }
}

impl Builder {
    pub(crate) fn offer(&self) -> Offer<'_> {
        Offer {
            subprotocols: &self.subprotocols,
            #[cfg(feature = "deflate")]
            deflate: self.deflate.as_ref(),
        }
    }
}

impl fmt::Debug for Builder {
    /// Headers by their names only: values may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("Builder")
            .field("headers", &headers)
            .field("subprotocols", &self.subprotocols)
            .field("open_timeout", &self.open_timeout)
            .field("timeouts", &self.timeouts)
            .field("keepalive", &self.keepalive)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
