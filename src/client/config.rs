//! Every option of a connection, and its default. Those of keepalive, compression and the limits
//! are with their types.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::redirect::RequestContext;
use crate::cookie::CookieStore;
use crate::net::abort::AbortHandle;
use crate::net::proxy::Choice;
use crate::net::tcp::SocketOptions;
use crate::net::tls::TlsOptions;
use crate::proto::deflate::Deflate;
use crate::proto::handshake::Offer;
use crate::proto::keepalive::Keepalive;
use crate::proto::recv::Limits;
use crate::websocket::receiver::Options;
use crate::websocket::wire::Timeouts;

/// The options that [`Builder`](crate::Builder) sets. Its setters document them.
#[derive(Clone)]
pub(crate) struct Config {
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) headers_with: Option<HeadersHook>,
    pub(crate) subprotocols: Vec<String>,
    pub(crate) origin: Option<String>,
    pub(crate) cookie: Option<String>,
    pub(crate) cookie_store: Option<Arc<dyn CookieStore>>,
    pub(crate) authorization: Option<Authorization>,
    pub(crate) user_agent: Option<String>,
    pub(crate) host: Option<String>,
    pub(crate) max_redirects: u32,
    pub(crate) open_timeout: Option<Duration>,
    pub(crate) timeouts: Timeouts,
    pub(crate) keepalive: Keepalive,
    pub(crate) limits: Limits,
    pub(crate) receive: Options,
    pub(crate) unchecked_text: bool,
    pub(crate) deflate: Option<Deflate>,
    pub(crate) sockets: SocketOptions,
    pub(crate) abort: AbortHandle,
    pub(crate) tls: TlsOptions,
    pub(crate) proxy: Choice,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            headers: Vec::new(),
            headers_with: None,
            subprotocols: Vec::new(),
            origin: None,
            cookie: None,
            cookie_store: None,
            authorization: None,
            user_agent: Some(concat!("landline/", env!("CARGO_PKG_VERSION")).to_owned()),
            host: None,
            max_redirects: 3,
            open_timeout: Some(Duration::from_secs(30)),
            timeouts: Timeouts {
                write: Some(Duration::from_secs(30)),
                close: Some(Duration::from_secs(5)),
            },
            keepalive: Keepalive::default(),
            limits: Limits::default(),
            receive: Options { auto_pong: true, fragments: false },
            unchecked_text: false,
            deflate: None,
            sockets: SocketOptions {
                nodelay: true,
                connector: None,
                on_socket: None,
                resolver: None,
                filter: None,
            },
            abort: AbortHandle::new(),
            tls: TlsOptions::shared(),
            proxy: Choice::Environment,
        }
    }
}

impl Config {
    /// Returns the subprotocols and extensions that are offered to the server.
    pub(crate) fn offer(&self) -> Offer<'_> {
        Offer { subprotocols: &self.subprotocols, deflate: self.deflate.as_ref() }
    }
}

/// Computes header lines for each connection attempt.
pub(crate) type HeadersHook =
    Arc<dyn Fn(&RequestContext) -> io::Result<Vec<(String, String)>> + Send + Sync>;

/// The credentials that are sent to the server.
#[derive(Clone)]
pub(crate) enum Authorization {
    /// User and password.
    Basic(String, String),
    /// A token.
    Bearer(String),
}
