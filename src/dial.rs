//! From a URL to an open connection: check, reach the server, TLS, opening handshake.

use std::sync::Arc;
use std::time::Instant;

use crate::builder::Builder;
use crate::error::{Error, Timeout};
use crate::net::deadline::Deadline;
use crate::net::duplex::{Duplex, Stream};
use crate::net::target::Target;
#[cfg(feature = "tls")]
use crate::net::tls;
#[cfg(unix)]
use crate::net::unix;
use crate::net::{Opened, Request, tcp, upgrade};
#[cfg(feature = "deflate")]
use crate::outgoing::Deflation;
use crate::proto::keepalive::Timer;
use crate::proto::recv::Decoder;
use crate::receiver::Receiver;
use crate::request::HeaderLines;
use crate::sender::Sender;
use crate::websocket::WebSocket;
use crate::wire::Wire;

/// One attempt to connect: all that can be checked without a socket is checked, and the clock
/// runs.
pub(crate) struct Attempt<'a> {
    builder: &'a Builder,
    target: Target,
    headers: HeaderLines,
    deadline: Deadline,
    #[cfg(feature = "tls")]
    tls: Option<rustls::ClientConnection>,
}

impl<'a> Attempt<'a> {
    pub(crate) fn new(builder: &'a Builder, url: &str) -> Result<Self, Error> {
        let target = Target::parse(url)?;
        let headers = HeaderLines::new(builder, &target)?;
        #[cfg(feature = "tls")]
        let tls = target.secure.then(|| tls::prepare(&builder.tls, &target.host)).transpose()?;
        #[cfg(not(feature = "tls"))]
        if target.secure {
            let why = "wss needs the feature \"tls\"";
            return Err(crate::InvalidInput::Url(why.into()).into());
        }
        let deadline = Deadline::after(builder.open_timeout);
        if builder.abort.is_aborted() {
            return Err(Error::aborted());
        }
        if deadline.is_past() {
            return Err(Error::Timeout(Timeout::Connect));
        }
        Ok(Self {
            builder,
            target,
            headers,
            deadline,
            #[cfg(feature = "tls")]
            tls,
        })
    }

    /// Connects to the server by TCP.
    pub(crate) fn reach(&self) -> Result<Arc<dyn Stream>, Error> {
        let Target { host, port, .. } = &self.target;
        let stream = tcp::connect(host, *port, self.deadline, &self.builder.abort)?;
        stream.set_nodelay(self.builder.nodelay).map_err(Error::Io)?;
        if let Some(hook) = &self.builder.on_socket {
            hook(&stream).map_err(Error::Io)?;
        }
        Ok(Arc::new(stream))
    }

    /// Connects to a Unix socket.
    #[cfg(unix)]
    pub(crate) fn reach_unix(&self, path: &std::path::Path) -> Result<Arc<dyn Stream>, Error> {
        Ok(Arc::new(unix::connect(path, self.deadline, &self.builder.abort)?))
    }

    /// TLS and the opening handshake, over a connected stream.
    pub(crate) fn open(self, stream: Arc<dyn Stream>) -> Result<WebSocket, Error> {
        let builder = self.builder;
        builder.abort.wake_stream(&stream);
        let opened = self.handshake(stream);
        // Whatever the socket said when it was shut down here, that is why.
        let opened = opened
            .map_err(|error| if builder.abort.is_aborted() { Error::aborted() } else { error })?;

        let Opened { duplex, reading, response, accepted, rest } = opened;
        let mut decoder = Decoder::new(builder.limits);
        if builder.unchecked_text {
            decoder.leave_text_unchecked();
        }
        let subprotocol = accepted.subprotocol;
        #[cfg_attr(not(feature = "deflate"), allow(unused_mut))]
        let mut wire = Wire::new(duplex, response, subprotocol, builder.timeouts);
        #[cfg(feature = "deflate")]
        if let (Some(options), Some(parameters)) = (&builder.deflate, accepted.deflate) {
            decoder.accept_deflate(&parameters);
            wire.deflation = Some(Deflation::new(options, parameters));
        }
        let wire = Arc::new(wire);
        let weak = Arc::downgrade(&wire);
        builder.abort.wake_with(move || {
            if let Some(wire) = weak.upgrade() {
                wire.abort();
            }
        });
        let mut rest = &rest[..];
        while !rest.is_empty() {
            rest = &rest[decoder.feed(rest)..];
        }
        let timer = Timer::new(builder.keepalive, Instant::now());
        let receiver = Receiver::new(wire.clone(), reading, decoder, timer, builder.receive);
        Ok(WebSocket::new(receiver, Sender::new(wire)))
    }

    fn handshake(self, stream: Arc<dyn Stream>) -> Result<Opened, Error> {
        let url_host = self.target.host_header();
        let request = Request {
            resource: &self.target.resource,
            host: self.headers.host.as_deref().unwrap_or(&url_host),
            offer: self.builder.offer(),
            headers: &self.headers.lines,
        };
        #[cfg(feature = "tls")]
        if let Some(tls) = self.tls {
            let duplex = tls::handshake(stream, tls, self.deadline)?;
            return upgrade(duplex, &request, self.deadline);
        }
        upgrade(Duplex::plain(stream), &request, self.deadline)
    }
}
