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
//! **Keep receiving.** landline starts no thread for a connection. Pings are answered and sent, and
//! a lost peer or a closing handshake is noticed, only while some thread is inside
//! [`recv`](WebSocket::recv) or another method that receives.
//!
//! # Where to look
//!
//! | to | use |
//! |---|---|
//! | connect | [`connect`]; [`Builder`] for headers, timeouts, limits and all other options |
//! | send and receive on one thread | [`WebSocket`] |
//! | send and receive on several threads | [`Receiver`], [`Sender`] |
//! | agree on a subprotocol | [`Builder::subprotocols`], [`WebSocket::subprotocol`] |
//! | read the headers of the server's answer | [`WebSocket::response`], [`http`] |
//! | understand an error | [`Error`], [`error`](mod@error) |
//! | close a connection, and learn how it ended | [`WebSocket::close`], [`CloseCode`], [`Closed`] |
//! | end a connection, or an attempt to connect, from another thread | [`AbortHandle`] |
//! | notice a lost peer, send and receive pings | [`Keepalive`], [`Sender::ping`], [`Event`] |
//! | read or write a long message part by part | [`MessageReader`], [`MessageWriter`] |
//! | send a file, or what another reader gives | [`Sender::send_reader`] |
//! | run for ever, with callbacks | [`App`], [`Handler`], [`Callbacks`] |
//! | run for ever, in a loop without callbacks | [`App::connections`] |
//! | open the next connection before the old one is closed | [`App::overlap`], [`App::max_age`] |
//! | choose when to connect again | [`backoff`] |
//! | send while there is no connection | [`Handle`], [`Outbox`](app::Outbox) |
//! | send without waiting for the network, or at a limited pace | [`Outbox`](app::Outbox) |
//! | learn what became of a message of an App, or take it back | [`Handle::send_tracked`] |
//! | connect from a source address, or by an interface | [`Builder::connector`] |
//! | go through a proxy | [`proxy`]; the ones that the environment names are used by default |
//! | trust other certificates | `tls`, with the feature `tls` |
//! | accept only a server with a certain key | `tls::TlsOptions::pin_public_key` |
//! | learn how long opening took, and what was agreed on in TLS | [`facts`], `tls::TlsInfo` |
//! | keep cookies | [`cookie`] |
//! | compress messages | `deflate`, with the feature `deflate` |
//! | bring a stream | [`stream`] |
//! | send and receive without waiting | [`Sender::try_send`], [`Receiver::try_recv`] |
//! | drive many connections from one thread | [`guide::event_loops`] |
//! | make a small program | [`guide::small_binaries`] |
//! | drive the protocol yourself, or fuzz it | [`proto`] |
//!
//! # Several threads
//!
//! A connection is full duplex, also over TLS. [`sender`](WebSocket::sender) gives handles that
//! send from any thread while another one blocks in `recv`; they can be cloned.
//! [`split`](WebSocket::split) gives the receiving half away too.
//!
//! ```no_run
//! let ws = landline::connect("wss://example.com/chat")?;
//! let (mut receiver, sender) = ws.split();
//! let other = sender.clone();
//! std::thread::spawn(move || other.send("from another thread"));
//! for message in receiver.messages() {
//!     println!("{:?}", message?);
//! }
//! # Ok::<(), landline::Error>(())
//! ```
//!
//! # Timeouts
//!
//! Each timeout is one absolute deadline, which a peer that sends a byte now and then cannot
//! stretch. [`recv_timeout`](WebSocket::recv_timeout) loses nothing when its time passes, not even
//! in the middle of a frame: call it again. The limits of opening, sending and closing are set in
//! the [`Builder`]. [`Timeout`] says what took too long. [`abort`](WebSocket::abort) wakes every
//! thread that blocks in the connection.
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
//! fn open() -> Option<WebSocket> {
//!     match landline::connect("wss://example.com/feed") {
//!         Ok(ws) => Some(ws),
//!         Err(error) => {
//!             match (error.status(), error.is_retryable()) {
//!                 (Some(401), _) => eprintln!("log in first"),
//!                 (_, true) => eprintln!("try again later: {error}"),
//!                 (_, false) => eprintln!("{error}"),
//!             }
//!             None
//!         }
//!     }
//! }
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
//! The types that the variants hold are in the module [`error`](mod@error).
//!
//! [`Handle::send`] fails with [`SendError`](app::SendError), which gives the message back. A
//! cookie is refused with a [`CookieError`](cookie::CookieError). What implements `Read` or `Write`
//! fails with an `io::Error` that holds the `Error`. [`App::spawn`] fails with the `io::Error` of
//! the operating system.
//!
//! # Closing
//!
//! [`close`](WebSocket::close) does the whole closing handshake: it sends a Close, waits for the
//! peer's, and returns how the connection ended. It takes no longer than `close_timeout`, and two
//! seconds for the end of the stream. [`Closed`] holds both Close frames, who began, and why the
//! connection ended.
//!
//! [`Sender::close`] only begins it, from any thread; the thread that receives completes it.
//! [`abort`](WebSocket::abort) ends the connection at once. Dropping a connection never blocks.
//!
//! # Keepalive
//!
//! A peer that is lost is noticed also without traffic. A ping is sent every 20 s, and a peer that
//! is silent for 20 s after one is given up, with [`Timeout::Pong`]. This happens inside `recv` and
//! the other methods that receive. So a program that only sends should receive too, on a thread of
//! its own for example. [`Keepalive`] changes both times, and `Builder::keepalive(None)` switches
//! it off.
//!
//! # For ever
//!
//! An [`App`] connects, calls your [`Handler`] or closures, and connects again with a
//! [`Backoff`](backoff::Backoff) until a [`Handle`] stops it.
//!
//! ```no_run
//! use landline::{App, Callbacks};
//!
//! let callbacks = Callbacks::new()
//!     .on_message(|_, message| println!("{message:?}"))
//!     .on_error(|error| eprintln!("{error}"));
//! App::new("wss://example.com/feed", callbacks).run_forever()?;
//! # Ok::<(), landline::Error>(())
//! ```
//!
//! [`App::connections`] does the same without callbacks: a loop takes one connection after the
//! other.
//!
//! # What it does not do
//!
//! It is no server, and runs on no async runtime. Of proxies it does not speak Digest and NTLM
//! authentication, automatic configuration (PAC) and a chain of several.
//!
//! At most three redirects are followed, and no secret goes to another origin
//! ([`Builder::max_redirects`]). Cookies are kept only if there is a store for them
//! ([`Builder::cookie_store`]). A [`CookieJar`](cookie::CookieJar) has no public suffix list.
//!
//! # Features
//!
//! * `proxy` (default): proxies. Without it servers are connected to directly, **also if the
//!   environment names a proxy**, and no [`Proxy`](proxy::Proxy) can be made.
//! * `tls` (default): `wss://` by rustls. It is the sum of `mozilla-roots`, `ring` and `tls12`;
//!   [`guide::small_binaries`] tells how to do without them.
//! * `url` (default): host names of all languages, and all else that the URL Standard allows.
//!   [`Builder::connect`] has the table of what is refused without it.
//! * `native-roots`: adds `TlsOptions::native_roots` and `add_native_roots`, which trust what the
//!   operating system trusts. The feature alone changes nothing.
//! * `deflate`: permessage-deflate (RFC 7692), if `Builder::deflate` asks for it.
//! * `simdutf8`: checks text by vector instructions. It adds no API. Long text that is not ASCII is
//!   checked in a tenth of the instructions. The crate of this name has `unsafe` code.
//! * `log`: handshake heads and frames to the `log` facade, with secrets hidden; also the settings
//!   of the environment that are skipped.
//!
//! # Platforms
//!
//! Rust 1.85 or later. The tests run on Linux; for Windows and 32-bit Linux the crate and its tests
//! are only compiled.

#![cfg_attr(docsrs, feature(doc_cfg))]
// What only proxies use is found dead by the builds that have them.
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
pub use proto::message::{AsMessage, Event, Fragment, Message, MessageKind, MessageRef};
pub use websocket::WebSocket;
pub use websocket::receiver::{MessageReader, Messages, Receiver};
pub use websocket::sender::Sender;
pub use websocket::try_send::TrySendError;
pub use websocket::writer::MessageWriter;

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
/// let ws = Builder::new().deflate(Deflate::default()).connect("wss://example.com/feed")?;
/// println!("compressed: {}", ws.deflate().is_some());
/// # Ok::<(), landline::Error>(())
/// ```
#[cfg(feature = "deflate")]
pub mod deflate {
    pub use crate::proto::deflate::options::{Deflate, DeflateParameters};
}

/// Holds [`Timings`](facts::Timings): how long it took to open a connection.
///
/// # Examples
///
/// ```no_run
/// let ws = landline::connect("wss://example.com/feed")?;
/// println!("opened in {:?}", ws.timings().total);
/// # Ok::<(), landline::Error>(())
/// ```
pub mod facts {
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
