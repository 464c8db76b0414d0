//! Takes the steps from a URL to an open connection: checks, TCP or a proxy, TLS, opening
//! handshake.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use super::config::Config;
use super::redirect::RequestContext;
use super::request::HeaderLines;
use super::upgrade::{Opened, Request, upgrade};
use crate::error::HandshakeProblem::{BadRedirect, UnfollowedRedirect};
use crate::error::{Error, HandshakeError, InvalidInput, Timeout};
use crate::net::deadline::Deadline;
use crate::net::duplex::Duplex;
use crate::net::opening::Opening;
use crate::net::proxy::tunnel;
use crate::net::stopwatch::{Step, Stopwatch};
use crate::net::stream::Stream;
use crate::net::tcp::Dialer;
use crate::net::tls;
#[cfg(unix)]
use crate::net::unix;
use crate::proto::http::Response;
use crate::proto::keepalive::Timer;
use crate::proto::recv::Decoder;
use crate::websocket::WebSocket;
use crate::websocket::compression::Deflation;
use crate::websocket::receiver::Receiver;
use crate::websocket::sender::Sender;
use crate::websocket::wire::Wire;

/// Connects to the URL, and follows redirects, all within one deadline.
pub(crate) fn connect(config: &Config, url: &str) -> Result<WebSocket, Error> {
    let mut dial = Dial::first(config, url)?;
    loop {
        let stream = dial.reach()?;
        let (context, deadline) = (dial.context.clone(), dial.deadline);
        let stopwatch = dial.stopwatch.next_server();
        match dial.open(stream) {
            Err(Error::Handshake(refused)) if refused.problem == UnfollowedRedirect => {
                dial = follow(config, &context, refused, deadline, stopwatch)?;
            }
            opened => return opened,
        }
    }
}

fn follow<'a>(
    config: &'a Config,
    context: &RequestContext,
    mut refused: Box<HandshakeError>,
    deadline: Deadline,
    stopwatch: Stopwatch,
) -> Result<Dial<'a>, Error> {
    let next = context.next(refused.response.as_ref(), config.max_redirects);
    refused.problem = match next.map(|context| Dial::new(config, context, deadline, stopwatch)) {
        Err(problem) => problem,
        Ok(Ok(dial)) if !dial.can_be_reached()? => BadRedirect,
        // The caller's URL was good; the one that the server redirects to is not.
        Ok(Err(Error::InvalidInput(InvalidInput::Url(_) | InvalidInput::RequestTooLarge))) => {
            BadRedirect
        }
        Ok(dial) => return dial,
    };
    Err(Error::Handshake(refused))
}

/// One attempt to connect. All that can be checked without a socket is checked, and the deadline is
/// set.
pub(crate) struct Dial<'a> {
    config: &'a Config,
    context: RequestContext,
    headers: HeaderLines,
    deadline: Deadline,
    stopwatch: Stopwatch,
    tls: Option<tls::Prepared>,
}

impl<'a> Dial<'a> {
    /// Checks the options and the URL that was given, and starts the clock.
    pub(crate) fn first(config: &'a Config, url: &str) -> Result<Self, Error> {
        let (stopwatch, deadline) = (Stopwatch::start(), Deadline::after(config.open_timeout));
        Self::new(config, RequestContext::first(url)?, deadline, stopwatch)
    }

    fn new(
        config: &'a Config,
        context: RequestContext,
        deadline: Deadline,
        stopwatch: Stopwatch,
    ) -> Result<Self, Error> {
        let headers = HeaderLines::new(config, &context)?;
        let tls = context.server.secure.then(|| Self::prepare_tls(config, &context)).transpose()?;
        if config.abort.is_aborted() {
            return Err(Error::aborted());
        }
        if deadline.is_past() {
            return Err(Error::Timeout(Timeout::Connect));
        }
        Ok(Self { config, context, headers, deadline, stopwatch, tls })
    }

    fn prepare_tls(config: &Config, context: &RequestContext) -> Result<tls::Prepared, Error> {
        if context.is_first_origin() {
            return tls::prepare(&config.tls, &context.server.host);
        }
        tls::prepare(&config.tls.for_stranger(), &context.server.host)
    }

    /// Returns whether the proxy that is set for the server, if any, can be asked for it.
    fn can_be_reached(&self) -> Result<bool, Error> {
        let server = &self.context.server;
        let proxy = self.config.proxy.choose(server)?;
        Ok(proxy.is_none_or(|proxy| proxy.check_host(&server.host).is_ok()))
    }

    /// Connects to the server by TCP, or through a proxy if one is set for it.
    fn reach(&self) -> Result<Arc<dyn Stream>, Error> {
        let Config { sockets: options, abort, proxy, .. } = self.config;
        let (deadline, stopwatch) = (self.deadline, &self.stopwatch);
        let dialer = Dialer { options, deadline, abort, stopwatch };
        let server = &self.context.server;
        match proxy.choose(server)? {
            Some(proxy) => {
                let user_agent = self.headers.user_agent();
                tunnel::open(&dialer, &proxy, &server.host, server.port, user_agent)
            }
            None => Ok(Arc::new(dialer.connect(&server.host, server.port)?)),
        }
    }

    /// Connects to a Unix socket.
    #[cfg(unix)]
    pub(crate) fn reach_unix(&self, path: &std::path::Path) -> Result<Arc<dyn Stream>, Error> {
        let connect = || unix::connect(path, self.deadline, &self.config.abort);
        Ok(Arc::new(self.stopwatch.time(Step::Connect, connect)?))
    }

    /// Does the TLS handshake and the opening handshake over a connected stream.
    pub(crate) fn open(mut self, stream: Arc<dyn Stream>) -> Result<WebSocket, Error> {
        let config = self.config;
        config.abort.wake_stream(&stream);
        let url = self.context.server.url.clone();
        let mut opened = self.handshake(stream);
        let opened_well = opened.is_ok();
        if let Some(response) = answer(&mut opened) {
            response.set_url(&url);
            // A 101 that failed a check may be the answer to another client.
            if opened_well || response.status() >= 200 {
                keep_cookies(config, response);
            }
        }
        // The abort shut the socket down; report it, not the error of the socket.
        let opened = opened
            .map_err(|error| if config.abort.is_aborted() { Error::aborted() } else { error })?;

        let Opened { duplex, mut reading, response, accepted, rest } = opened;
        let mut decoder = Decoder::new(config.limits);
        if config.unchecked_text {
            decoder.leave_text_unchecked();
        }
        let subprotocol = accepted.subprotocol;
        let mut wire = Wire::new(duplex, response, subprotocol, config.timeouts);
        let agreed = config.deflate.as_ref().zip(accepted.deflate);
        wire.deflation = agreed.map(|(options, parameters)| {
            decoder.accept_deflate(&parameters);
            Deflation::new(options, parameters)
        });
        wire.spent = self.stopwatch.stop();
        let wire = Arc::new(wire);
        let weak = Arc::downgrade(&wire);
        config.abort.wake_with(move || {
            if let Some(wire) = weak.upgrade() {
                wire.abort();
            }
        });
        reading.bytes = rest.len() as u64;
        let mut rest = &rest[..];
        while !rest.is_empty() {
            rest = &rest[decoder.feed(rest)..];
        }
        // Without randomness a peer can guess the payloads of pings. That is no reason to fail.
        let seed = getrandom::u64().unwrap_or_default();
        let timer = Timer::new(config.keepalive, Instant::now(), seed);
        let receiver = Receiver::new(wire.clone(), reading, decoder, timer, config.receive);
        Ok(WebSocket::new(receiver, Sender::new(wire)))
    }

    fn handshake(&mut self, stream: Arc<dyn Stream>) -> Result<Opened, Error> {
        let url_host = self.context.server.host_header();
        let request = Request {
            resource: &self.context.server.resource,
            host: self.headers.host.as_deref().unwrap_or(&url_host),
            offer: self.config.offer(),
            headers: &self.headers.lines,
            follow: self.config.max_redirects > 0,
        };
        let opening = Opening { deadline: self.deadline, abort: &self.config.abort };
        let duplex = match self.tls.take() {
            Some(tls) => self.stopwatch.time(Step::Tls, || tls.handshake(stream, opening))?,
            None => Duplex::plain(stream),
        };
        self.stopwatch.time(Step::Handshake, || upgrade(duplex, &request, opening))
    }
}

/// Returns the response of the server, whether it accepted or refused.
fn answer(opened: &mut Result<Opened, Error>) -> Option<&mut Response> {
    match opened {
        Ok(opened) => Some(&mut opened.response),
        Err(Error::Handshake(refused)) => refused.response.as_mut(),
        Err(_) => None,
    }
}

/// Gives the cookies of a response to the store.
fn keep_cookies(config: &Config, response: &Response) {
    let Some(store) = &config.cookie_store else { return };
    let lines: Vec<&[u8]> = response.headers().all("Set-Cookie").collect();
    if !lines.is_empty() {
        store.store(response.url(), &lines, SystemTime::now());
    }
}
