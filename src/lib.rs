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
//! **Keep receiving.** No hidden thread does it: pings are answered and sent, and a lost peer or
//! a closing handshake is noticed, only while some thread is inside
//! [`recv`](WebSocket::recv) or one of its siblings.
//!
//! **Full duplex**, also over TLS: [`sender`](WebSocket::sender) gives handles that send from any
//! thread while another one blocks in `recv`.
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
//! **Deadlines hold**: each is absolute, whatever the peer does, and [`Timeout`] says which passed.
//! [`recv_timeout`](WebSocket::recv_timeout) loses nothing. [`abort`](WebSocket::abort) wakes
//! whoever blocks.
//!
//! **The end is a value**: [`Error::Closed`] holds both Close frames, who began, and whether it
//! was clean.
//!
//! **For ever**: [`App`] connects, calls your [`Handler`] or closures, and connects again with a
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
//! | to | use |
//! |---|---|
//! | connect | [`connect`], [`Builder`] |
//! | use one thread | [`WebSocket`] |
//! | use several | [`Receiver`], [`Sender`] |
//! | stop from outside | [`AbortHandle`] |
//! | run for ever, with callbacks | [`App`], [`Handler`], [`Callbacks`] |
//! | choose when to connect again | [`Backoff`](backoff::Backoff), [`Exponential`](backoff::Exponential), [`Failure`](backoff::Failure) |
//! | send while the connection is down | [`Handle`], [`Outbox`](app::Outbox) |
//! | go through a proxy | [`Proxy`](proxy::Proxy); those of the environment are used |
//! | trust other certificates | `TlsOptions` |
//! | keep cookies | [`CookieJar`](cookie::CookieJar), [`CookieStore`](cookie::CookieStore) |
//! | compress messages | `Builder::deflate` |
//! | bring a stream | [`Stream`](stream::Stream) |
//! | drive the protocol yourself, fuzz it | [`proto`] |
//!
//! # What it does not do
//!
//! Be a server, run on an async runtime. Of proxies: Digest and NTLM authentication, automatic
//! configuration (PAC), a chain of several.
//!
//! Redirects are followed, three at most, and lead no secret to another origin
//! ([`Builder::max_redirects`]). Cookies are kept only if a store is given
//! ([`Builder::cookie_store`]), which knows no public suffix list ([`CookieJar`](cookie::CookieJar)).
//!
//! # Features
//!
//! * `tls` (default): `wss://` by rustls.
//! * `native-roots`: trust what the operating system trusts.
//! * `deflate`: permessage-deflate (RFC 7692), if you ask for it with `Builder::deflate`.
//! * `log`: handshake heads and frames to the `log` facade, secrets hidden.

#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod app;
mod client;
pub mod cookie;
pub mod error;
mod log;
mod net;
pub mod proto;
mod sync;
mod websocket;

pub use app::callbacks::Callbacks;
pub use app::handle::Handle;
pub use app::handler::Handler;
pub use app::run::App;
pub use client::builder::Builder;
pub use error::closed::Closed;
pub use error::top::{Error, Timeout};
pub use net::abort::AbortHandle;
pub use proto::close::{CloseCode, CloseFrame};
pub use proto::keepalive::options::Keepalive;
pub use proto::message::{AsMessage, Event, Fragment, Message, MessageKind, MessageRef};
pub use websocket::WebSocket;
pub use websocket::receiver::{MessageReader, Messages, Receiver};
pub use websocket::sender::Sender;
pub use websocket::writer::MessageWriter;

/// When an [`App`] connects again.
pub mod backoff {
    pub use crate::app::backoff::{Backoff, Exponential, Failure, Fixed, Never};
}

/// What [`Builder::deflate`](crate::Builder::deflate) takes, and what was agreed on.
#[cfg(feature = "deflate")]
pub mod deflate {
    pub use crate::proto::deflate::options::{Deflate, DeflateParameters};
}

/// What the server answered, and what [`Builder::headers_with`](crate::Builder::headers_with) sees.
pub mod http {
    pub use crate::client::redirect::RequestContext;
    pub use crate::proto::http::response::{Headers, Response};
}

/// Proxies.
pub mod proxy {
    pub use crate::net::proxy::Proxy;
}

/// Streams that the caller brings, for [`Builder::connect_over`](crate::Builder::connect_over).
pub mod stream {
    pub use crate::net::stream::Stream;
}

/// How TLS is spoken, and whom it trusts.
#[cfg(feature = "tls")]
pub mod tls {
    pub use crate::net::tls::TlsOptions;
}

/// Connects to a `ws://` or `wss://` URL with all defaults; see [`Builder`], and [`WebSocket`] for
/// programs that `fork`.
///
/// # Errors
/// As [`Builder::connect`].
pub fn connect(url: &str) -> Result<WebSocket, Error> {
    Builder::new().connect(url)
}
