//! Support for the tests of `App`: a server for several connections, and a handler that records its
//! calls.

use landline::app::Open;
use landline::error::{Cause, Side};
use landline::{App, Closed, Error, Fragment, Handler, MessageRef, Sender};

use super::{Peer, Server, builder, listener, spawn};

pub type HandlerResult = Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// Returns an App without keepalive and without a proxy.
pub fn app_at<H: Handler>(url: impl Into<String>, handler: H) -> App<H> {
    App::new(url, handler).with_builder(builder())
}

/// Starts a server that accepts `times` connections, one after the other. The script gets the
/// number of the connection, counted from 0.
pub fn serve_times(
    times: usize,
    mut script: impl FnMut(usize, &mut Peer) + Send + 'static,
) -> Server<()> {
    let listener = listener();
    let addr = listener.local_addr().unwrap();
    let script = spawn(move || {
        for nth in 0..times {
            let (stream, _) = listener.accept().unwrap();
            script(nth, &mut Peer::new(stream));
        }
    });
    Server { addr, secure: false, script }
}

/// Starts a server as [`serve_times`] does. The script runs after the opening handshake.
pub fn upgraded_times(
    times: usize,
    mut script: impl FnMut(usize, &mut Peer) + Send + 'static,
) -> Server<()> {
    serve_times(times, move |nth, peer| {
        peer.upgrade();
        script(nth, peer);
    })
}

/// Is called by a [`Recorder`] after a certain call.
type Reaction<'a> = Box<dyn FnMut(Option<&Sender>) -> HandlerResult + Send + 'a>;

/// Records each call as a line of text, and may react to some of them.
#[derive(Default)]
pub struct Recorder<'a> {
    pub log: Vec<String>,
    reaction: Option<(&'static str, Reaction<'a>)>,
}

impl<'a> Recorder<'a> {
    /// Calls `react` in the calls whose line starts with `begins`.
    pub fn when(
        mut self,
        begins: &'static str,
        react: impl FnMut(Option<&Sender>) -> HandlerResult + Send + 'a,
    ) -> Self {
        self.reaction = Some((begins, Box::new(react)));
        self
    }

    fn note(&mut self, line: String, sender: Option<&Sender>) -> HandlerResult {
        let reaction = self.reaction.as_mut().filter(|(begins, _)| line.starts_with(begins));
        let result = reaction.map_or(Ok(()), |(_, react)| react(sender));
        self.log.push(line);
        result
    }
}

impl Handler for Recorder<'_> {
    fn on_open(&mut self, sender: &Sender, open: &Open<'_>) -> HandlerResult {
        let again = match (open.reconnected, open.replaces) {
            (_, true) => ", replacing",
            (true, false) => " again",
            (false, false) => "",
        };
        let line = format!("open {}, attempt {}{again}", open.response.status(), open.attempt);
        self.note(line, Some(sender))
    }

    fn on_message(&mut self, sender: &Sender, message: MessageRef<'_>) -> HandlerResult {
        let line = match message {
            MessageRef::Text(text) => format!("text {text}"),
            MessageRef::Binary(bytes) => format!("binary {bytes:?}"),
        };
        self.note(line, Some(sender))
    }

    fn on_fragment(&mut self, sender: &Sender, fragment: Fragment<'_>) -> HandlerResult {
        let end = if fragment.last { ", the last" } else { "" };
        self.note(format!("fragment {:?}{end}", fragment.data), Some(sender))
    }

    fn on_ping(&mut self, sender: &Sender, payload: &[u8]) -> HandlerResult {
        self.note(format!("ping {}", String::from_utf8_lossy(payload)), Some(sender))
    }

    fn on_pong(&mut self, sender: &Sender, payload: &[u8]) -> HandlerResult {
        self.note(format!("pong {}", String::from_utf8_lossy(payload)), Some(sender))
    }

    fn on_close(&mut self, closed: &Closed) -> HandlerResult {
        let by = match closed.initiator() {
            Some(Side::Local) => "us",
            Some(Side::Peer) => "the peer",
            _ => "nobody",
        };
        let how = match closed.cause() {
            Cause::Close if closed.is_clean() => "clean".to_owned(),
            Cause::Io(_) => "io".to_owned(),
            Cause::Protocol(_) => "protocol".to_owned(),
            cause => format!("{cause:?}").to_lowercase(),
        };
        let reason = closed.reason();
        let code = closed.code().value();
        self.note(format!("close {code} {reason:?} by {by}, {how}"), None)
    }

    fn on_error(&mut self, error: &Error) -> HandlerResult {
        let what = match error {
            Error::InvalidInput(_) => "input".to_owned(),
            Error::Connect(_) => "connect".to_owned(),
            Error::Handshake(refused) => match refused.response() {
                Some(response) => format!("status {}", response.status()),
                None => format!("{:?}", refused.problem()),
            },
            Error::Handler(error) => format!("handler {error}"),
            error => format!("{error:?}"),
        };
        self.note(format!("error {what}"), None)
    }
}
