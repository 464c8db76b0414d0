//! Every option, once.

use std::fmt;
use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::error::{Error, InvalidInput, Timeout};
use crate::net::abort::AbortHandle;
use crate::net::deadline::Deadline;
use crate::net::duplex::{Duplex, Stream};
use crate::net::target::Target;
#[cfg(feature = "tls")]
use crate::net::tls::{self, TlsOptions};
#[cfg(unix)]
use crate::net::unix;
use crate::net::{Opened, Request, tcp, upgrade};
use crate::proto::http::{MAX_HEAD, is_field_value, is_token};
use crate::proto::keepalive::{Keepalive, Timer};
use crate::proto::recv::{Decoder, Limits};
use crate::receiver::{Options, Receiver};
use crate::sender::Sender;
use crate::websocket::WebSocket;
use crate::wire::{Timeouts, Wire};

/// What the caller may do to a socket before it is used.
type SocketHook = Arc<dyn Fn(&TcpStream) -> io::Result<()> + Send + Sync>;

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
    headers: Vec<(String, String)>,
    subprotocols: Vec<String>,
    origin: Option<String>,
    cookie: Option<String>,
    authorization: Option<Authorization>,
    user_agent: Option<String>,
    host: Option<String>,
    open_timeout: Option<Duration>,
    timeouts: Timeouts,
    keepalive: Keepalive,
    limits: Limits,
    receive: Options,
    unchecked_text: bool,
    nodelay: bool,
    on_socket: Option<SocketHook>,
    abort: AbortHandle,
    #[cfg(feature = "tls")]
    tls: TlsOptions,
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
    /// [`InvalidInput::Header`] for a name that is no token or a value with control characters,
    /// and with [`InvalidInput::ReservedHeader`] for what the handshake writes itself:
    /// `Connection`, `Upgrade`, `Sec-WebSocket-*`, `Content-Length`, `Transfer-Encoding`,
    /// `Proxy-*`.
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
    /// URL, if there are any. Connecting fails with [`InvalidInput::Header`] if the user has a
    /// colon, which Basic cannot carry.
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
    #[must_use]
    pub fn max_message_size(mut self, bytes: impl Into<Option<u64>>) -> Self {
        self.limits.max_message_size = bytes.into();
        self
    }

    /// The most bytes of a frame that is received. Default: 64 MiB.
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
    /// them with [`Sender::pong`].
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
        let attempt = self.prepare(url)?;
        let stream =
            tcp::connect(&attempt.target.host, attempt.target.port, attempt.deadline, &self.abort)?;
        stream.set_nodelay(self.nodelay).map_err(Error::Io)?;
        if let Some(hook) = &self.on_socket {
            hook(&stream).map_err(Error::Io)?;
        }
        self.open(attempt, Arc::new(stream))
    }

    /// Connects over a stream that is connected already: through a tunnel, from a bound socket,
    /// in memory. With a `wss://` URL TLS is spoken over it; for one that has TLS already, use
    /// `ws://`. Apart from that the URL gives the path and `Host`.
    ///
    /// # Errors
    /// As [`connect`](Self::connect), less [`Error::Connect`].
    pub fn connect_over(&self, url: &str, stream: impl Stream) -> Result<WebSocket, Error> {
        let attempt = self.prepare(url)?;
        stream.set_nonblocking(false).map_err(Error::Io)?;
        self.open(attempt, Arc::new(stream))
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
        let attempt = self.prepare(url)?;
        let stream = unix::connect(path.as_ref(), attempt.deadline, &self.abort)?;
        self.open(attempt, Arc::new(stream))
    }

    /// Checks everything that can be checked without a socket.
    fn prepare(&self, url: &str) -> Result<Attempt, Error> {
        let target = Target::parse(url)?;
        let headers = self.header_lines(&target)?;
        #[cfg(feature = "tls")]
        let tls = if target.secure { Some(tls::prepare(&self.tls, &target.host)?) } else { None };
        #[cfg(not(feature = "tls"))]
        if target.secure {
            return Err(InvalidInput::Url("wss needs the feature \"tls\"".into()).into());
        }
        let deadline = Deadline::after(self.open_timeout);
        if self.abort.is_aborted() {
            return Err(Error::aborted());
        }
        if deadline.is_past() {
            return Err(Error::Timeout(Timeout::Connect));
        }
        Ok(Attempt {
            target,
            headers,
            deadline,
            #[cfg(feature = "tls")]
            tls,
        })
    }

    /// TLS and the opening handshake, over a connected stream.
    fn open(&self, attempt: Attempt, stream: Arc<dyn Stream>) -> Result<WebSocket, Error> {
        self.abort.wake_stream(&stream);
        let opened = self.handshake(attempt, stream);
        // Whatever the socket said when it was shut down here, that is why.
        let opened = opened
            .map_err(|error| if self.abort.is_aborted() { Error::aborted() } else { error })?;

        let Opened { duplex, reading, response, subprotocol, rest } = opened;
        let wire = Arc::new(Wire::new(duplex, response, subprotocol, self.timeouts));
        let weak = Arc::downgrade(&wire);
        self.abort.wake_with(move || {
            if let Some(wire) = weak.upgrade() {
                wire.abort();
            }
        });
        let mut decoder = Decoder::new(self.limits);
        if self.unchecked_text {
            decoder.leave_text_unchecked();
        }
        let mut rest = &rest[..];
        while !rest.is_empty() {
            rest = &rest[decoder.feed(rest)..];
        }
        let timer = Timer::new(self.keepalive, std::time::Instant::now());
        let receiver = Receiver::new(wire.clone(), reading, decoder, timer, self.receive);
        Ok(WebSocket::new(receiver, Sender::new(wire)))
    }

    fn handshake(&self, attempt: Attempt, stream: Arc<dyn Stream>) -> Result<Opened, Error> {
        let Attempt {
            target,
            headers,
            deadline,
            #[cfg(feature = "tls")]
            tls,
        } = attempt;
        let url_host = target.host_header();
        let request = Request {
            resource: &target.resource,
            host: headers.host.as_deref().unwrap_or(&url_host),
            subprotocols: &self.subprotocols,
            headers: &headers.lines,
        };
        #[cfg(feature = "tls")]
        if let Some(tls) = tls {
            return upgrade(tls::handshake(stream, tls, deadline)?, &request, deadline);
        }
        upgrade(Duplex::plain(stream), &request, deadline)
    }

    /// All header lines but those of the handshake itself, checked.
    fn header_lines(&self, target: &Target) -> Result<HeaderLines, Error> {
        let given = |name: &str| self.headers.iter().any(|(own, _)| own.eq_ignore_ascii_case(name));
        let mut lines = Vec::new();
        let mut ours = |name: &str, value: &Option<String>| {
            if let (Some(value), false) = (value, given(name)) {
                lines.push((name.to_owned(), value.clone()));
            }
        };
        let url = target.credentials.clone();
        let url = url.map(|(user, password)| Authorization::Basic(user, password));
        let authorization = self.authorization.as_ref().or(url.as_ref());
        let authorization = authorization.map(Authorization::value).transpose()?;
        ours("Origin", &self.origin);
        ours("User-Agent", &self.user_agent);
        ours("Authorization", &authorization);
        ours("Cookie", &self.cookie);
        lines.extend(self.headers.iter().cloned());

        let mut host = self.host.clone();
        for (name, value) in &lines {
            if !is_token(name) || !is_field_value(value) {
                return Err(InvalidInput::Header(name.escape_debug().to_string().into()).into());
            }
            if is_reserved(name) {
                return Err(InvalidInput::ReservedHeader(name.as_str().into()).into());
            }
            if name.eq_ignore_ascii_case("Host") {
                host = Some(value.clone());
            }
        }
        if host.as_deref().is_some_and(|host| !is_field_value(host)) {
            return Err(InvalidInput::Header("Host".into()).into());
        }
        lines.retain(|(name, _)| !name.eq_ignore_ascii_case("Host"));
        for (at, name) in self.subprotocols.iter().enumerate() {
            if !is_token(name) || self.subprotocols[..at].contains(name) {
                return Err(InvalidInput::Subprotocol(name.as_str().into()).into());
            }
        }
        let subprotocols = self.subprotocols.iter().map(|name| name.len() + 2).sum::<usize>();
        let size = lines.iter().map(|(name, value)| name.len() + value.len() + 4).sum::<usize>();
        let host_size = host.as_ref().map_or(0, String::len);
        if size + subprotocols + host_size + target.resource.len() > MAX_HEAD {
            return Err(InvalidInput::RequestTooLarge.into());
        }
        Ok(HeaderLines { host, lines })
    }
}

/// One attempt to connect, checked, and not begun.
struct Attempt {
    target: Target,
    headers: HeaderLines,
    deadline: Deadline,
    #[cfg(feature = "tls")]
    tls: Option<rustls::ClientConnection>,
}

struct HeaderLines {
    /// Instead of the URL's.
    host: Option<String>,
    lines: Vec<(String, String)>,
}

/// Whether the handshake, or HTTP below it, writes the header itself.
fn is_reserved(name: &str) -> bool {
    let begins = |prefix: &str| {
        name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    ["Connection", "Upgrade", "Content-Length", "Transfer-Encoding"]
        .iter()
        .any(|reserved| name.eq_ignore_ascii_case(reserved))
        || begins("Sec-WebSocket-")
        || begins("Proxy-")
}

/// The credentials of a request.
#[derive(Clone)]
enum Authorization {
    Basic(String, String),
    Bearer(String),
}

impl Authorization {
    fn value(&self) -> Result<String, InvalidInput> {
        match self {
            // RFC 7617 section 2: the first colon ends the user.
            Self::Basic(user, _) if user.contains(':') => {
                Err(InvalidInput::Header("Authorization".into()))
            }
            Self::Basic(user, password) => {
                Ok(format!("Basic {}", BASE64.encode(format!("{user}:{password}"))))
            }
            Self::Bearer(token) => Ok(format!("Bearer {token}")),
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
