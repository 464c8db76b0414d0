//! A blocking WebSocket client (RFC 6455): threads and `std::net::TcpStream`, no async runtime,
//! no `unsafe`.
//!
//! ```no_run
//! use landline::{CloseCode, Message};
//!
//! let mut ws = landline::connect("wss://example.com/feed")?;
//! ws.send("hello")?;
//! match ws.recv()? {
//!     Message::Text(text) => println!("{text}"),
//!     Message::Binary(bytes) => println!("{} bytes", bytes.len()),
//! }
//! ws.close(CloseCode::NORMAL)?;
//! # Ok::<(), landline::Error>(())
//! ```
//!
//! Try a server by its tool, `cargo install landline --features cli`; `wsdump --listen` is an echo
//! server to begin with:
//!
//! ```text
//! $ wsdump --reconnect --deflate -t '{"op":"subscribe"}' wss://feed.example/
//! connected to wss://feed.example/ at 192.0.2.7:443 in 41 ms, compressed; /help lists the
//! commands, Ctrl-D closes
//! {
//!   "price": 101.5,
//!   "symbol": "ABC"
//! }
//! open> /ping
//! pong after 12 ms
//! the peer ended the connection without a Close; attempt 2 in 640 ms
//! connected to wss://feed.example/ at 192.0.2.7:443 in 38 ms, compressed
//! open> /close 4000 enough
//! closed here, the peer answered: 4000 "enough"
//! ```
//!
//! **Keep receiving.** landline starts no thread for an open connection. Pings are answered and
//! sent, and a lost peer or a closing handshake is noticed, only while some thread is inside
//! [`recv`](WebSocket::recv) or another method that receives. An [`App`] always is, except while a
//! callback runs.
//!
//! # What it does
//!
//! Other clients leave most of this to the program; `README.md` compares them. Each row of this
//! table has an example with a server of its own, `cargo run --example NAME`.
//!
//! | what | by | example |
//! |---|---|---|
//! | send from any thread while another one receives, also over TLS | [`Sender`] | `two_threads` |
//! | connect again for ever, with callbacks | [`App`] | `app` |
//! | connect again for ever, in a loop | [`App::connections`] | `subscriptions` |
//! | keep what is sent during an outage | [`App::outbox`] | `telemetry` |
//! | tell what became of a message | [`Handle::send_tracked`] | `paced_orders` |
//! | send at most n messages in any window of time | [`app::Outbox::pace`] | `paced_orders` |
//! | have the next connection open before the old one ends | [`App::overlap`] | `overlap` |
//! | send and receive without ever waiting | [`Sender::try_send`] | `game_loop`, `event_loop` |
//! | wake a thread that blocks, in whatever step | [`AbortHandle`], [`Handle`] | `ctrl_c` |
//! | bound all of opening by one deadline | [`Builder::open_timeout`] | `behind_proxy` |
//! | make the socket, under proxies and TLS | [`Builder::connector`] | `source_address` |
//!
//! # What it does not do
//!
//! * landline is not a server, and needs no async runtime.
//! * Proxies: no Digest or NTLM authentication, no automatic configuration (PAC), no chains.
//! * TLS: the revocation of certificates is not checked.
//! * Cookies: none are kept without a [store](Builder::cookie_store) for them, and the
//!   [jar](cookie::CookieJar) has no public suffix list.
//!
//! # Where to look
//!
//! The [guides](guide) answer what is larger than one item: threads, timeouts, reconnecting,
//! errors, TLS, proxies, memory, security and more.
//!
//! | to | use |
//! |---|---|
//! | connect | [`connect`]; [`Builder`] for headers, timeouts, limits and all other options |
//! | send and receive on one thread | [`WebSocket`] |
//! | send and receive on several threads | [`Receiver`], [`Sender`] |
//! | agree on a subprotocol | [`Builder::subprotocols`], [`WebSocket::subprotocol`] |
//! | read the headers of the server's answer | [`WebSocket::response`], [`http`] |
//! | understand an error | [`Error`], [`error`](mod@error), [`guide::errors`] |
//! | close a connection, and learn how it ended | [`WebSocket::close`], [`CloseCode`], [`Closed`] |
//! | end a connection, or an attempt to connect, from another thread | [`AbortHandle`] |
//! | notice a lost peer, send and receive pings | [`Keepalive`], [`Sender::ping`], [`Event`] |
//! | read or write a long message part by part | [`WebSocket::reader`], [`WebSocket::writer`] |
//! | send a file, or what another reader gives | [`Sender::send_reader`] |
//! | run for ever | [`App`], [`Handler`], [`Callbacks`], [`App::connections`] |
//! | send to an App, stop it | [`Handle`], [`Outbox`](app::Outbox), [`guide::sending`] |
//! | choose when to connect again | [`backoff`] |
//! | go through a proxy | [`proxy`]; the ones that the environment names are used by default |
//! | trust other certificates | `tls`, with the feature `tls-core`, a part of `tls` |
//! | accept only a server with a certain key | `tls::TlsOptions::pin_public_key` |
//! | learn how long opening took, and what was agreed on in TLS | [`timings`], `tls::TlsInfo` |
//! | keep cookies | [`cookie`] |
//! | compress messages | `deflate`, with the feature `deflate` |
//! | bring a stream | [`stream`] |
//! | drive many connections from one thread, or draw pictures meanwhile | [`guide::event_loops`] |
//! | make a small program | [`guide::small_binaries`] |
//! | drive the protocol yourself, or fuzz it | [`proto`] |
//!
//! # Several threads
//!
//! A connection is full duplex, also over TLS. [`sender`](WebSocket::sender) gives handles that
//! send from any thread while another one blocks in `recv`. [`split`](WebSocket::split) gives the
//! receiving half away too. [`guide::threads`] has the rest.
//!
//! ```no_run
//! let (mut receiver, sender) = landline::connect("wss://example.com/chat")?.split();
//! std::thread::spawn(move || sender.send("from another thread"));
//! for message in receiver.messages() {
//!     println!("{:?}", message?);
//! }
//! # Ok::<(), landline::Error>(())
//! ```
//!
//! # Time
//!
//! Each timeout is one absolute deadline, which a peer that sends a byte now and then cannot
//! stretch: 30 s for opening, 30 s for a message to be sent, 5 s for the closing handshake.
//! [`recv_timeout`](WebSocket::recv_timeout) loses nothing when its time passes. A ping is sent
//! every 20 s, and a peer that is silent for 20 s after one is given up. [`guide::timeouts`] draws
//! all of it.
//!
//! # Errors
//!
//! Nearly everything fails with [`Error`]. It answers three questions:
//!
//! * May I go on with this connection? Yes, unless [`is_fatal`](Error::is_fatal).
//! * Is it worth trying again later? If [`is_retryable`](Error::is_retryable).
//! * What did the server say? [`status`](Error::status) and [`response`](Error::response) if it
//!   refused the WebSocket, [`closed`](Error::closed) if it closed an open one.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use landline::{Error, Timeout, WebSocket};
//!
//! fn listen(ws: &mut WebSocket) {
//!     loop {
//!         match ws.recv_timeout(Duration::from_secs(1)) {
//!             Ok(message) => println!("{message:?}"),
//!             Err(Error::Timeout(Timeout::Recv)) => println!("nothing yet"),
//!             Err(Error::Closed(closed)) => return println!("{}: {closed}", closed.code()),
//!             Err(error) => return eprintln!("{error}"),
//!         }
//!     }
//! }
//! ```
//!
//! [`guide::errors`] has a decision tree, and each error: how it comes about, and what to do.
//!
//! # Closing
//!
//! [`close`](WebSocket::close) does the whole closing handshake, and returns how the connection
//! ended: a [`Closed`] holds both Close frames, who began, and why. [`Sender::close`] only begins
//! it, from any thread; the thread that receives completes it. [`abort`](WebSocket::abort) ends the
//! connection at once. Dropping a connection never blocks.
//!
//! # For ever
//!
//! An [`App`] connects, calls your [`Handler`] or closures, and connects again with a
//! [`Backoff`](backoff::Backoff) until a [`Handle`] stops it. [`App::connections`] does the same
//! without callbacks. [`guide::reconnecting`] says what is retried, and what is left to you.
//!
//! ```no_run
//! use landline::{App, Callbacks};
//!
//! let callbacks = Callbacks::new()
//!     .on_open(|ws, _| ws.send("subscribe"))
//!     .on_message(|_, message| println!("{message:?}"))
//!     .on_error(|error| eprintln!("{error}"));
//! App::new("wss://example.com/feed", callbacks).run_forever()?;
//! # Ok::<(), landline::Error>(())
//! ```
//!
//! # Features
//!
//! * `proxy` (default): proxies. Without it servers are connected to directly, **also if the
//!   environment names a proxy**, and no [`Proxy`](proxy::Proxy) can be made.
//! * `tls` (default): `wss://` by rustls. It is the sum of `mozilla-roots`, `ring` and `tls12`;
//!   [`guide::small_binaries`] tells how to do without them. Each of these brings `tls-core`:
//!   rustls alone, which needs a crypto provider of the program, and trusts nobody by itself. A
//!   provider that the program gives or installs goes before *ring*.
//! * `url` (default): host names of all languages, and all else that the URL Standard allows.
//!   [`Builder::connect`] has the table of what is refused without it.
//! * `cli`: the tool `wsdump`. It adds nothing for a library.
//! * `native-roots`: adds `TlsOptions::native_roots` and `add_native_roots`, which trust what the
//!   operating system trusts. The feature alone changes nothing.
//! * `deflate`: permessage-deflate (RFC 7692), if `Builder::deflate` asks for it.
//! * `simdutf8`: checks text by vector instructions. It adds no API. Long text that is not ASCII is
//!   checked in a tenth of the instructions. The crate of this name has `unsafe` code.
//! * `log`: handshake heads and frames to the `log` facade, with secrets hidden; also the settings
//!   of the environment that are skipped.
//!
//! A missing feature is not a policy, because another crate of the program may switch it on: call
//! `TlsOptions::ca_pem` to trust nobody else, and `TlsOptions::tls13_only` for TLS 1.3 only.
//!
//! # Platforms
//!
//! Rust 1.85 or later. `README.md` has the table of systems and processors that the tests run on,
//! and of those that the crate and its tests are compiled for.

#![cfg_attr(docsrs, feature(doc_cfg))]
// Without proxies, the code that only they use is dead. Builds with them find other dead code.
#![cfg_attr(not(feature = "proxy"), allow(dead_code))]

pub mod app;
mod client;
pub mod cookie;
pub mod error;
pub mod guide;
mod log;
mod net;
pub mod proto;
mod sync;
mod websocket;

/// Compiles the code of the README.
#[cfg(all(doctest, feature = "proxy"))]
#[doc = include_str!("../README.md")]
mod readme {}

pub use app::callbacks::Callbacks;
pub use app::handle::Handle;
pub use app::handler::Handler;
pub use app::run::App;
pub use client::builder::Builder;
pub use error::closed::Closed;
pub use error::error::{Error, Timeout};
pub use net::abort::AbortHandle;
pub use proto::close::{CloseCode, CloseFrame};
pub use proto::keepalive::options::Keepalive;
pub use proto::message::{Event, Fragment, Message, MessageKind, MessageRef};
pub use websocket::WebSocket;
pub use websocket::receiver::Receiver;
pub use websocket::sender::Sender;

/// Decides when an [`App`] connects again: after how long, and after which failures.
///
/// [`Exponential`](backoff::Exponential) is the default. [`Failure`](backoff::Failure) tells what
/// happened, and [`Failure::is_retryable`](backoff::Failure::is_retryable) has the table of what is
/// retried. A closure is a [`Backoff`](backoff::Backoff) too.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use landline::backoff::Exponential;
/// use landline::{App, Callbacks};
///
/// let app = App::new("wss://example.com/feed", Callbacks::new())
///     .backoff(Exponential::new().cap(Duration::from_secs(30)).max_attempts(100));
/// ```
pub mod backoff {
    pub use crate::app::backoff::{Backoff, Exponential, Failure, Fixed, Never};
}

/// Counts what connections send and receive.
///
/// # Examples
///
/// ```no_run
/// let ws = landline::connect("wss://example.com/feed")?;
/// ws.send("hello")?;
/// let counters = ws.counters();
/// assert_eq!((counters.sent.messages, counters.received.messages), (1, 0));
/// # Ok::<(), landline::Error>(())
/// ```
pub mod counters {
    pub use crate::websocket::counters::{Counters, Traffic};
}

/// Compresses messages by permessage-deflate (RFC 7692).
///
/// [`Builder::deflate`](crate::Builder::deflate) offers it with the options of
/// [`Deflate`](deflate::Deflate). What the server agreed to is told by
/// [`WebSocket::deflate`](crate::WebSocket::deflate). Without an agreement messages are sent as
/// they are.
///
/// # Examples
///
/// ```no_run
/// use landline::Builder;
/// use landline::deflate::Deflate;
///
/// let ws = Builder::new().deflate(Deflate::new()).connect("wss://example.com/feed")?;
/// println!("compressed: {}", ws.deflate().is_some());
/// # Ok::<(), landline::Error>(())
/// ```
#[cfg(feature = "deflate")]
pub mod deflate {
    pub use crate::proto::deflate::options::{Deflate, DeflateParameters};
}

/// Reads and writes messages in parts, and says what can be sent as one.
///
/// A program seldom names these types: methods of [`WebSocket`], [`Receiver`] and [`Sender`] take
/// and return them. The messages themselves are [`Message`] and [`MessageRef`].
///
/// # Examples
///
/// ```no_run
/// use std::io::Read as _;
/// use landline::message::MessageReader;
///
/// fn head(reader: &mut MessageReader<'_>) -> std::io::Result<[u8; 16]> {
///     let mut head = [0; 16];
///     reader.read_exact(&mut head)?;
///     Ok(head)
/// }
///
/// let mut ws = landline::connect("wss://example.com/files")?;
/// println!("{:?}", head(&mut ws.reader()?)?);
/// # Ok::<(), std::io::Error>(())
/// ```
pub mod message {
    pub use crate::proto::message::AsMessage;
    pub use crate::websocket::receiver::{MessageReader, Messages};
    pub use crate::websocket::writer::MessageWriter;
}

/// Holds [`Timings`](timings::Timings): how long it took to open a connection.
///
/// # Examples
///
/// ```no_run
/// let ws = landline::connect("wss://example.com/feed")?;
/// println!("opened in {:?}", ws.timings().total);
/// # Ok::<(), landline::Error>(())
/// ```
pub mod timings {
    pub use crate::net::stopwatch::Timings;
}

/// Holds the HTTP of the opening handshake: the server's answer, and the request that
/// [`Builder::headers_with`](crate::Builder::headers_with) adds headers to.
///
/// # Examples
///
/// ```no_run
/// let ws = landline::connect("wss://example.com/feed")?;
/// println!("{:?}", ws.response().headers().get("Server"));
/// # Ok::<(), landline::Error>(())
/// ```
pub mod http {
    pub use crate::client::redirect::RequestContext;
    pub use crate::proto::http::response::{Headers, Response};
}

/// Describes the proxies to connect through, for [`Builder::proxy`](crate::Builder::proxy).
///
/// By default the proxy is used that the environment names. A [`Proxy`](proxy::Proxy) that is given
/// takes its place, and `Builder::proxy(None)` connects directly.
///
/// # Examples
///
/// ```no_run
/// use landline::Builder;
/// use landline::proxy::Proxy;
///
/// # #[cfg(feature = "proxy")] {
/// let proxy = Proxy::new("socks5h://proxy.example:1080")?.except("localhost")?;
/// let ws = Builder::new().proxy(proxy).connect("wss://example.com/feed")?;
/// # }
/// # Ok::<(), landline::Error>(())
/// ```
pub mod proxy {
    pub use crate::net::proxy::Proxy;
}

/// Carries connections over streams that the caller brings, for
/// [`Builder::connect_over`](crate::Builder::connect_over).
///
/// [`TcpStream`](std::net::TcpStream) is a [`Stream`](stream::Stream), and on Unix `UnixStream`. So
/// are types of your own: a tunnel, or pipes in memory for a test.
///
/// # Examples
///
/// ```no_run
/// use std::net::TcpStream;
/// use landline::Builder;
///
/// let socket = TcpStream::connect("127.0.0.1:8080")?;
/// let ws = Builder::new().connect_over("ws://example.com/feed", socket)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub mod stream {
    pub use crate::net::stream::Stream;
}

/// Sets how TLS is spoken, and whom it trusts, for [`Builder::tls`](crate::Builder::tls).
/// [`TlsInfo`](tls::TlsInfo) tells what was agreed on.
///
/// Without options, Mozilla's roots are trusted. [`TlsOptions`](tls::TlsOptions) has the table of
/// what else can be trusted, and the limits of the cryptography.
///
/// # Examples
///
/// ```no_run
/// use landline::Builder;
/// use landline::tls::TlsOptions;
///
/// let tls = TlsOptions::new().add_ca_pem_file("ca.pem")?;
/// let ws = Builder::new().tls(tls).connect("wss://internal.example/feed")?;
/// # Ok::<(), landline::Error>(())
/// ```
#[cfg(feature = "tls-core")]
pub mod tls {
    pub use crate::net::tls::{TlsInfo, TlsOptions};
}

/// Connects to a `ws://` or `wss://` URL with all defaults. [`Builder`] has the options.
///
/// A program that `fork`s needs care: [`WebSocket`] says what it must do.
///
/// # Errors
/// The same as those of [`Builder::connect`].
pub fn connect(url: &str) -> Result<WebSocket, Error> {
    Builder::new().connect(url)
}
