//! The setters of every option, and their documentation. The defaults are in `config.rs`.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::config::{Authorization, Config};
use super::dial::{self, Dial};
use super::redirect::RequestContext;
use crate::cookie::CookieStore;
use crate::error::Error;
use crate::net::abort::AbortHandle;
use crate::net::connector;
use crate::net::proxy::{Choice, Proxy};
use crate::net::stream::Stream;
#[cfg(feature = "tls-core")]
use crate::net::tls::TlsOptions;
#[cfg(feature = "deflate")]
use crate::proto::deflate::Deflate;
use crate::proto::http::shown_name;
use crate::proto::keepalive::Keepalive;
use crate::websocket::WebSocket;

/// Connects, with options. Every option has a default. A builder can be cloned and used again.
///
/// # Examples
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
/// # How the setters work
///
/// * Each option has one setter. It replaces what was set before; only [`header`](Self::header)
///   adds. [`basic_auth`](Self::basic_auth) and [`bearer_auth`](Self::bearer_auth) replace each
///   other.
/// * What is on by default is switched off by `None`, and a limit is lifted by it:
///   `user_agent(None)`, `proxy(None)`, `keepalive(None)`, `open_timeout(None)`. What is off by
///   default stays off until it is set.
/// * A `bool` is for what is either so or not so: `auto_pong(false)`.
///
/// # When a mistake is reported
///
/// A setter never fails. What is wrong in a builder is reported by [`connect`](Self::connect),
/// [`connect_over`](Self::connect_over) and `connect_unix`, as [`Error::InvalidInput`], before a
/// socket is opened and before a stream is used. For a `wss://` URL that includes whether the parts
/// of the `TlsOptions` fit together. What is wrong in a PEM file or in the URL of a [`Proxy`] is
/// reported when it is read.
#[derive(Clone, Default)]
pub struct Builder {
    config: Config,
}

/// The handshake.
impl Builder {
    /// Returns a builder with all defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a header line to the request.
    ///
    /// `Host`, `Origin`, `User-Agent`, `Authorization` and `Cookie` replace the lines that other
    /// options would write. Several `Cookie` lines become one.
    ///
    /// Connecting fails with [`InvalidInput::Header`](crate::error::InvalidInput::Header) for a
    /// name that is no token, or a value with control characters. It fails with
    /// [`InvalidInput::ReservedHeader`](crate::error::InvalidInput::ReservedHeader) for a header
    /// that the handshake writes itself: `Connection`, `Upgrade`, `Sec-WebSocket-*`,
    /// `Content-Length`, `Transfer-Encoding`, `Proxy-*`.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.config.headers.push((name.into(), value.into()));
        self
    }

    /// Calls the hook before each request, also after a redirect, for headers that must be fresh: a
    /// token that expires, a signature over the URL. Default: no hook.
    ///
    /// The headers are checked and sent like those of [`header`](Self::header), and replace those
    /// of the same name. After a redirect has left the [first
    /// origin](RequestContext::is_first_origin), only harmless ones are sent. The call counts
    /// towards `open_timeout`, but is not interrupted by it. An error of the hook ends the attempt,
    /// as [`Error::Io`].
    ///
    /// # Examples
    ///
    /// ```
    /// # fn fetch_token() -> std::io::Result<String> { Ok("abc".into()) }
    /// let builder = landline::Builder::new().headers_with(|request| {
    ///     let token = fetch_token()?;
    ///     Ok(vec![
    ///         ("Authorization".into(), format!("Bearer {token}")),
    ///         ("X-Redirects".into(), request.redirects().to_string()),
    ///     ])
    /// });
    /// ```
    #[must_use]
    pub fn headers_with(
        mut self,
        hook: impl Fn(&RequestContext) -> io::Result<Vec<(String, String)>> + Send + Sync + 'static,
    ) -> Self {
        self.config.headers_with = Some(Arc::new(hook));
        self
    }

    /// Offers subprotocols, the preferred one first (RFC 6455 section 1.9). Default: none.
    ///
    /// The server chooses one of them, or none. An answer with another one fails with
    /// [`Mismatch::Subprotocol`](crate::error::Mismatch::Subprotocol). Names are tokens, and are
    /// compared exactly. [`WebSocket::subprotocol`] gives the chosen one.
    #[must_use]
    pub fn subprotocols<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.config.subprotocols = names.into_iter().map(Into::into).collect();
        self
    }

    /// Offers to compress messages both ways, by permessage-deflate (RFC 7692). Default: not
    /// offered.
    ///
    /// [`WebSocket::deflate`] tells what was agreed on. Connecting fails with
    /// [`InvalidInput::Deflate`](crate::error::InvalidInput::Deflate) for an option that is out of
    /// its range, and with [`Mismatch`](crate::error::Mismatch) if the server accepts what was not
    /// offered.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn deflate(mut self, options: impl Into<Option<Deflate>>) -> Self {
        self.config.deflate = options.into();
        self
    }

    /// Sends `Origin`, as a browser would (RFC 6455 section 10.2). Default: not sent.
    ///
    /// Some servers refuse a request without an `Origin`, or with one that they do not expect:
    /// those made with Go's `golang.org/x/net/websocket`, Cockpit, LibVNCServer. They accept their
    /// own origin, for example `https://example.com` for `wss://example.com/`. Other servers, such
    /// as Chromium's debugging port, refuse a request that has an `Origin`. The text of the error
    /// shows the line in which the server says why.
    #[must_use]
    pub fn origin(mut self, origin: impl Into<String>) -> Self {
        self.config.origin = Some(origin.into());
        self
    }

    /// Sends `Cookie`: `a=1; b=2`. Default: not sent.
    #[must_use]
    pub fn cookie(mut self, cookie: impl Into<String>) -> Self {
        self.config.cookie = Some(cookie.into());
        self
    }

    /// Keeps the cookies that servers set in this store, and sends them where they belong. The
    /// store is a [`CookieJar`](crate::cookie::CookieJar) or one of your own. Default: no cookies
    /// are kept.
    ///
    /// `Set-Cookie` is taken from the answer that opens the connection, from redirects and from
    /// refusals. The cookies that [`cookie`](Self::cookie) or a `Cookie` header gives are sent in
    /// the same line, after those of the store. If both have a cookie of the same name, the one of
    /// the store is not sent.
    #[must_use]
    pub fn cookie_store(mut self, store: Arc<dyn CookieStore>) -> Self {
        self.config.cookie_store = Some(store);
        self
    }

    /// Sends `Authorization: Basic` with this user and password (RFC 7617). Default: the user and
    /// password in the URL, if there are any. Connecting fails with
    /// [`InvalidInput::Header`](crate::error::InvalidInput::Header) if the user contains a colon,
    /// because Basic cannot carry it.
    #[must_use]
    pub fn basic_auth(mut self, user: impl Into<String>, password: impl Into<String>) -> Self {
        self.config.authorization = Some(Authorization::Basic(user.into(), password.into()));
        self
    }

    /// Sends `Authorization: Bearer` with this token (RFC 6750). Default: not sent.
    #[must_use]
    pub fn bearer_auth(mut self, token: impl Into<String>) -> Self {
        self.config.authorization = Some(Authorization::Bearer(token.into()));
        self
    }

    /// Sends this `User-Agent`, also to a proxy that is asked by CONNECT. `None` sends none.
    /// Default: `landline/VERSION`.
    #[must_use]
    pub fn user_agent<'a>(mut self, agent: impl Into<Option<&'a str>>) -> Self {
        self.config.user_agent = agent.into().map(str::to_owned);
        self
    }

    /// Sends this `Host` instead of the URL's host and port. It changes nothing else.
    #[must_use]
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.config.host = Some(host.into());
        self
    }

    /// Sets how many redirects (301, 302, 303, 307, 308) are followed. One more fails with
    /// [`TooManyRedirects`](crate::error::HandshakeProblem::TooManyRedirects). With 0 a redirect is
    /// a refusal like any other. Default: 3.
    ///
    /// In `Location`, `http` stands for `ws` and `https` for `wss`. User and password in it are
    /// left out. A redirect from `wss` to `ws` is never followed
    /// ([`InsecureRedirect`](crate::error::HandshakeProblem::InsecureRedirect)). All redirects
    /// share `open_timeout`. [`Response::url`](crate::http::Response::url) tells where they ended.
    ///
    /// Secrets stay with the first server. The following are not sent to another origin (scheme,
    /// host or port), nor to the first origin if another one redirects back to it:
    /// credentials of any kind, a `Cookie` that is not of the [store](Self::cookie_store), a client
    /// certificate, the [`host`](Self::host), the server name of the TLS options, and all headers
    /// but `Accept`, `Accept-Language`, `Origin` and `User-Agent`. What is trusted in TLS stays the
    /// same. The subprotocols are offered to every server: do not put a token there.
    #[must_use]
    #[doc(alias = "redirect_limit")]
    pub fn max_redirects(mut self, redirects: u32) -> Self {
        self.config.max_redirects = redirects;
        self
    }

    /// Sets how TLS is spoken and whom it trusts. Default: [`TlsOptions::new`].
    #[cfg(feature = "tls-core")]
    #[must_use]
    pub fn tls(mut self, options: TlsOptions) -> Self {
        self.config.tls = options;
        self
    }
}

/// Time.
impl Builder {
    /// Sets how long connecting may take in all: name lookup, TCP, proxy, TLS and the opening
    /// handshake, and the same for each redirect. A server that sends a byte now and then cannot
    /// stretch it. Zero fails at once with [`Timeout::Connect`](crate::Timeout::Connect), and opens
    /// no socket. Default: 30 s.
    ///
    /// Code of the caller counts towards it, but is not interrupted by it: the hooks of
    /// [`headers_with`](Self::headers_with) and [`on_socket`](Self::on_socket), the
    /// [`address_filter`](Self::address_filter) and the [`cookie_store`](Self::cookie_store). Only
    /// a [`resolver`](Self::resolver) and a [`connector`](Self::connector) are left behind.
    #[must_use]
    #[doc(alias = "timeout_connect")]
    pub fn open_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.config.open_timeout = timeout.into();
        self
    }

    /// Sets how long one call that sends may take, from the moment no other thread is sending. When
    /// that time passes, the connection is over: [`Timeout::Send`](crate::Timeout::Send). Raise it
    /// for very big messages over slow links. Default: 30 s.
    ///
    /// [`send_reader`](crate::Sender::send_reader) may take as long for each 64 KiB.
    ///
    /// Waiting until other threads have sent may take as long. When that time passes, nothing was
    /// sent, and the connection goes on: [`Timeout::Busy`](crate::Timeout::Busy).
    ///
    /// Pongs and a Close that are pending when a call has sent its message are written in what is
    /// left of its time. The receiving thread writes later what the peer did not take of them.
    ///
    /// With `None` or zero, a peer that stops reading in the middle of a message is never given up.
    /// Keepalive does not help, because its ping waits behind the message.
    #[must_use]
    pub fn write_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        // Zero would end the connection at the first write that has to wait.
        self.config.timeouts.write = timeout.into().filter(|timeout| !timeout.is_zero());
        self
    }

    /// Sets how long the closing handshake may take, from our Close or the peer's. Default: 5 s.
    ///
    /// An idle `recv` wakes up this often to look whether another thread has called `close`, but at
    /// least every 5 s, and at most every 20 ms.
    ///
    /// With `None`, only keepalive gives up a peer that does not answer our Close, and an idle
    /// `recv` wakes up every 5 s. With zero the Close is sent, and the answer is not waited for; an
    /// idle `recv` then wakes up 50 times a second.
    #[must_use]
    pub fn close_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.config.timeouts.close = timeout.into();
        self
    }

    /// Sets when to ping, and when a silent peer is given up. Keepalive runs while some thread is
    /// in `recv` or another method that receives. `None` switches it off, as [`Keepalive::OFF`]
    /// does. Default: a ping every 20 s, and 20 s for any sign of life after it.
    ///
    /// A peer that reads slowly is not taken for dead while it still takes what is sent. It has
    /// more time if much may stand before the ping: see [`Keepalive::timeout`].
    ///
    /// A few servers cannot be pinged, against RFC 6455. The inspector of Node.js 20 ends the
    /// connection at any Ping, and LibVNCServer answers none. The error then says so: switch
    /// keepalive off.
    #[must_use]
    pub fn keepalive(mut self, keepalive: impl Into<Option<Keepalive>>) -> Self {
        self.config.keepalive = keepalive.into().unwrap_or(Keepalive::OFF);
        self
    }

    /// Sets a handle by which another thread can end connecting, or the connection, at once.
    #[must_use]
    pub fn abort_handle(mut self, abort: AbortHandle) -> Self {
        self.config.abort = abort;
        self
    }
}

/// Receiving.
impl Builder {
    /// Limits the bytes of a message that is received, in however many frames. A longer one is
    /// answered with Close 1009, as soon as a header says so and before memory is taken. Default:
    /// 64 MiB.
    ///
    /// The limit of a compressed message is for its inflated bytes, which are counted while they
    /// are inflated. On the wire the message may have a quarter more than the limit, and 1 KiB, and
    /// 16 bytes for each fragment but the last.
    #[must_use]
    pub fn max_message_size(mut self, bytes: impl Into<Option<u64>>) -> Self {
        self.config.limits.max_message_size = bytes.into();
        self
    }

    /// Limits the bytes of a frame that is received; of a compressed one, the bytes on the wire. A
    /// longer one is answered with Close 1009. Default: `None`, so that only
    /// [`max_message_size`](Self::max_message_size) limits a frame.
    #[must_use]
    pub fn max_frame_size(mut self, bytes: impl Into<Option<u64>>) -> Self {
        self.config.limits.max_frame_size = bytes.into();
        self
    }

    /// Limits the frames of a message that is received. More are answered with Close 1008. Default:
    /// 131,072.
    #[must_use]
    pub fn max_fragments(mut self, frames: impl Into<Option<u32>>) -> Self {
        self.config.limits.max_fragments = frames.into();
        self
    }

    /// Limits the empty frames in a row that do not end their message. More are answered with Close
    /// 1008. Default: 1,024.
    #[must_use]
    pub fn max_empty_fragments(mut self, frames: impl Into<Option<u32>>) -> Self {
        self.config.limits.max_empty_fragments = frames.into();
        self
    }

    /// Sets whether Pings are answered. With `false`, answer them with
    /// [`Sender::pong`](crate::Sender::pong), because RFC 6455 section 5.5.2 asks for an answer.
    /// Default: `true`.
    #[must_use]
    pub fn auto_pong(mut self, yes: bool) -> Self {
        self.config.receive.auto_pong = yes;
        self
    }

    /// Sets whether [`next_event`](WebSocket::next_event) hands out
    /// [`Fragment`](crate::Event::Fragment)s as they arrive, instead of whole messages. `recv`
    /// gives whole messages in any case. Default: `false`.
    #[must_use]
    pub fn fragments(mut self, yes: bool) -> Self {
        self.config.receive.fragments = yes;
        self
    }

    /// Sets whether text is handed over as bytes, and not checked to be UTF-8: as
    /// [`Message::Binary`](crate::Message::Binary) by `recv`, and as
    /// [`RawText`](crate::Event::RawText) by `next_event`. Default: `false`.
    #[must_use]
    pub fn unchecked_text(mut self, yes: bool) -> Self {
        self.config.unchecked_text = yes;
        self
    }
}

/// The socket.
impl Builder {
    /// Sets whether small messages are sent at once (`TCP_NODELAY`). Default: `true`. The socket
    /// that is given to [`connect_over`](Self::connect_over) stays as it is.
    #[must_use]
    pub fn nodelay(mut self, yes: bool) -> Self {
        self.config.sockets.nodelay = yes;
        self
    }

    /// Calls the hook with each TCP socket when it is connected and before it is used, to set other
    /// options. An error of the hook ends the attempt, as [`Error::Io`]. Non-blocking mode and the
    /// timeouts for reading and writing are not kept, because the connection sets its own.
    ///
    /// It is too late here to bind the socket to an address or an interface, and to set what must
    /// be set before it connects. For that, make the socket in a
    /// [`connector`](Self::connector). The hook is called for the socket of a connector too.
    #[must_use]
    pub fn on_socket(
        mut self,
        hook: impl Fn(&TcpStream) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        self.config.sockets.on_socket = Some(Arc::new(hook));
        self
    }

    /// Makes each TCP socket with this connector, which connects it to one address until the
    /// deadline of [`open_timeout`](Self::open_timeout); `None` is no deadline. So a program can
    /// bind the socket to a source address or an interface before it connects, and set marks,
    /// buffer sizes and keepalive. Default: `TcpStream::connect_timeout`.
    ///
    /// `std` cannot bind a socket that is to connect, so this needs a crate such as `socket2`.
    ///
    /// # Examples
    ///
    /// To connect from an address of this machine, with `socket2`:
    ///
    /// ```no_run
    /// use std::net::SocketAddr;
    /// use std::time::Instant;
    ///
    /// use socket2::{Domain, Socket, Type};
    ///
    /// let source: SocketAddr = "192.0.2.7:0".parse()?;
    /// let builder = landline::Builder::new().connector(move |address, deadline| {
    ///     let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    ///     // On Linux `socket.bind_device(Some(b"eth1"))`, with the feature `all`, binds it to
    ///     // an interface.
    ///     socket.bind(&source.into())?;
    ///     match deadline {
    ///         Some(deadline) => {
    ///             let left = deadline.saturating_duration_since(Instant::now());
    ///             socket.connect_timeout(&address.into(), left)?;
    ///         }
    ///         None => socket.connect(&address.into())?,
    ///     }
    ///     Ok(socket.into())
    /// });
    /// # Ok::<(), std::net::AddrParseError>(())
    /// ```
    ///
    /// # When it is called
    ///
    /// Names are looked up first, and the [`address_filter`](Self::address_filter) is asked. The
    /// connector is called for each address that is tried, on a thread of its own; the next
    /// address starts after 250 ms, or at once when one fails. The first socket that is connected
    /// is used, and the others are closed. So with an IPv4 address as the source, the IPv6
    /// addresses of a server fail, and its IPv4 addresses are tried. An IPv4 address that is
    /// written as an IPv6 one is given as IPv4.
    ///
    /// With a proxy, the address is that of the proxy. All else goes on as without a connector:
    /// proxy, TLS, redirects. `connect_over` and `connect_unix` call no connector.
    ///
    /// # Sockets that are not used
    ///
    /// Each of these counts as a failure of its address, is listed in
    /// [`ConnectError::attempts`](crate::error::ConnectError::attempts), and lets the next address
    /// start:
    ///
    /// | the connector | error |
    /// |---|---|
    /// | fails | its error |
    /// | panics | [`Other`](io::ErrorKind::Other) |
    /// | returns a socket that is not connected by TCP | that of [`TcpStream::peer_addr`] |
    /// | returns one that is connected elsewhere | [`InvalidInput`](io::ErrorKind::InvalidInput) |
    ///
    /// A connector that blocks past the deadline, or while the attempt is aborted, is left behind.
    /// Its thread ends when it returns, and a socket that it returns then is closed. So a connector
    /// should keep to the deadline: one that never returns keeps a thread for each attempt.
    ///
    /// A socket in non-blocking mode is made blocking.
    #[must_use]
    pub fn connector<C>(mut self, connect: C) -> Self
    where
        C: Fn(SocketAddr, Option<Instant>) -> io::Result<TcpStream> + Send + Sync + 'static,
    {
        self.config.sockets.connector = Some(connector::checked(connect));
        self
    }

    /// Looks up names with this resolver, which is given host and port, instead of the system's. It
    /// is called on a thread of its own and may block: `open_timeout` and an abort leave it behind.
    /// The resolver may itself connect by name.
    ///
    /// # Lookups that take long
    ///
    /// A name or a resolver that does not answer delays no other. Connects that ask for the same
    /// name at the same time share one lookup, its answer and its error, also from several threads.
    /// With the system's resolver, the connects of all builders share it. With a resolver of your
    /// own, those of this builder and its clones that ask for the same port do.
    ///
    /// A lookup that nobody waits for any more cannot be stopped. It keeps its thread until it
    /// comes back, and a later connect to the same name waits for it too. Once it has taken 10 s, a
    /// further one is begun beside it, the next one after 20 s more, and so on. At most 256 lookups
    /// run in a process at a time. The next one waits until one of them comes back.
    #[must_use]
    pub fn resolver(
        mut self,
        resolver: impl Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static,
    ) -> Self {
        self.config.sockets.resolver = Some(Arc::new(resolver));
        self
    }

    /// Asks the filter about each address, after the name was looked up, and does not connect to
    /// one for which it returns `false`. An IPv4 address that is written as an IPv6 one
    /// (`::ffff:127.0.0.1`) is given to it as IPv4. Default: all addresses are allowed.
    ///
    /// With a proxy, the filter is asked about the proxy's address. It does not see the server's
    /// address if the proxy looks up the name: use no proxy, or a `socks5` proxy, then.
    ///
    /// [`ConnectError::attempts`](crate::error::ConnectError::attempts) lists the addresses that
    /// the filter refused.
    #[must_use]
    pub fn address_filter(
        mut self,
        allows: impl Fn(SocketAddr) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.config.sockets.filter = Some(Arc::new(allows));
        self
    }
}

/// Proxies.
impl Builder {
    /// Connects through this proxy, or directly if it is `None`, whatever the environment says.
    /// Default: the proxy that the environment names, if it names one.
    ///
    /// `NO_PROXY` is of no effect on this proxy, which has exceptions of its own: `Proxy::except`.
    /// The guide [`proxies`](crate::guide::proxies) says what a proxy gets to know.
    ///
    /// # The environment
    ///
    /// If this was not called, the environment is read at each connect. The first of these
    /// variables that is set decides. If it is empty, there is no proxy:
    ///
    /// | URL | variables |
    /// |---|---|
    /// | `wss://` | `https_proxy`, `HTTPS_PROXY`, `all_proxy`, `ALL_PROXY` |
    /// | `ws://` | `http_proxy`, `HTTP_PROXY`, `all_proxy`, `ALL_PROXY` |
    ///
    /// Each holds what `Proxy::new` takes. These settings were written for other programs, so
    /// they are read forgivingly: blanks around the value and a path after the port do not
    /// matter, and `socks://`, as GNOME writes it, is `socks5h://`.
    ///
    /// `no_proxy`, or else `NO_PROXY`, lists the exceptions, as `Proxy::except` takes them, and is
    /// looked at first. This machine is always an exception, as in Go: `localhost` and the names
    /// below it, 127.0.0.0/8 and `::1` are connected to directly. An entry that is not understood
    /// excepts nothing, and the others keep their meaning.
    ///
    /// **A variable that names no proxy is skipped, as if it were not set**: one with another
    /// scheme, without a host, or with a port that is none. If no variable after it names a proxy,
    /// the server is connected to directly. With the feature `log` a warning says so. A program
    /// that must never connect directly gives its proxy here.
    ///
    /// A proxy that is understood is never bypassed: if it cannot be reached, the attempt fails. It
    /// also fails, with [`InvalidInput::Proxy`](crate::error::InvalidInput::Proxy), if the proxy
    /// cannot be given its user and password, or needs the feature `tls-core`.
    ///
    /// `HTTP_PROXY` is passed over where `REQUEST_METHOD` is set, as it is for CGI programs,
    /// because a client can set it by a header there. On Windows `http_proxy` is the same variable.
    /// For an `https` proxy with a certificate of your own authority, give
    /// `Proxy::from_environment` other TLS options, and give its result to this method.
    ///
    /// `connect_over` and `connect_unix` use no proxy. Without the feature `proxy`, which is on by
    /// default, there is none, whatever the environment says.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use landline::Builder;
    /// use landline::proxy::Proxy;
    ///
    /// # #[cfg(feature = "proxy")] {
    /// let proxy = Proxy::new("http://user:password@proxy.example:3128")?;
    /// let ws = Builder::new().proxy(proxy).connect("wss://example.com/feed")?;
    /// # }
    /// # Ok::<(), landline::Error>(())
    /// ```
    #[must_use]
    pub fn proxy(mut self, proxy: impl Into<Option<Proxy>>) -> Self {
        self.config.proxy = match proxy.into() {
            Some(proxy) => Choice::This(Box::new(proxy)),
            None => Choice::Never,
        };
        self
    }
}

/// Connecting.
impl Builder {
    /// Connects to a `ws://` or `wss://` URL.
    ///
    /// Several connects to the same host run side by side. RFC 6455 section 4.1 asks for one after
    /// the other, as in browsers. Then one server that hangs would hold up all other threads of the
    /// program, so it is left to the program to limit itself.
    ///
    /// # URLs
    ///
    /// A URL begins with `ws://` or `wss://`, and a host. User, password, port, path and query may
    /// be left out. Spaces, control characters, fragments, and backslashes before the query are
    /// refused. With the feature `url`, which is on by default, the rest is as the
    /// [URL Standard](https://url.spec.whatwg.org) says. Without it these are refused too, with
    /// [`InvalidInput::Url`](crate::error::InvalidInput::Url):
    ///
    /// | refused without `url` | for example |
    /// |---|---|
    /// | a host with characters outside of ASCII | `bücher.example`, `１２７.0.0.1` |
    /// | the same host as it is sent in DNS | `xn--bcher-kva.example` |
    /// | a host with other characters than letters, digits, `-`, `_` and `.` | `ex%61mple.com` |
    /// | an IPv4 address that is not four decimal numbers | `127.1`, `0x7f.1`, `010.0.0.1` |
    /// | `..` in the path after a segment that could be a drive of Windows | `/c:/../x` |
    ///
    /// What is accepted without the feature has the same meaning with it. The same holds for the
    /// URLs of redirects and proxies, for exceptions of proxies, and for cookies.
    ///
    /// # Errors
    /// [`Error::InvalidInput`], before a socket is opened. [`Error::Connect`], [`Error::Proxy`],
    /// [`Error::Tls`], [`Error::Handshake`] and [`Error::Io`], which say what failed.
    /// [`Error::Timeout`], with the step in which `open_timeout` passed. [`Error::Closed`], if the
    /// attempt was aborted.
    pub fn connect(&self, url: &str) -> Result<WebSocket, Error> {
        dial::connect(&self.config, url)
    }

    /// Connects over a stream that is connected already: through a tunnel, or in memory. With a
    /// `wss://` URL, TLS is spoken over the stream; use `ws://` for a stream that has TLS already.
    /// Besides that, the URL gives the path and `Host`.
    ///
    /// No option of the stream is changed but its timeouts and its mode. For a
    /// [`TcpStream`](std::net::TcpStream) call `set_nodelay(true)` before, or small messages may
    /// wait for each other.
    ///
    /// A redirect cannot be followed: it fails with
    /// [`UnfollowedRedirect`](crate::error::HandshakeProblem::UnfollowedRedirect).
    ///
    /// # Errors
    /// The same as [`connect`](Self::connect), without [`Error::Connect`] and [`Error::Proxy`].
    pub fn connect_over(&self, url: &str, stream: impl Stream) -> Result<WebSocket, Error> {
        let dial = Dial::first(&self.config, url)?;
        stream.set_nonblocking(false).map_err(Error::Io)?;
        dial.open(Box::new(stream).into_shared())
    }

    /// Connects to a Unix socket. The rest is as with [`connect_over`](Self::connect_over).
    ///
    /// # Errors
    /// The same as [`connect`](Self::connect), with [`Error::Io`] if there is no such socket.
    #[cfg(unix)]
    pub fn connect_unix(
        &self,
        url: &str,
        path: impl AsRef<std::path::Path>,
    ) -> Result<WebSocket, Error> {
        let dial = Dial::first(&self.config, url)?;
        let stream = dial.reach_unix(path.as_ref())?;
        dial.open(stream)
    }
}

impl fmt::Debug for Builder {
    /// Shows the headers by their names only, because the values may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.config.headers.iter().map(|(name, _)| shown_name(name));
        f.debug_struct("Builder")
            .field("headers", &names.collect::<Vec<_>>())
            .field("subprotocols", &self.config.subprotocols.len())
            .field("max_redirects", &self.config.max_redirects)
            .field("open_timeout", &self.config.open_timeout)
            .field("timeouts", &self.config.timeouts)
            .field("keepalive", &self.config.keepalive)
            .field("limits", &self.config.limits)
            .field("proxy", &self.config.proxy)
            .finish_non_exhaustive()
    }
}
