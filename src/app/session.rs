//! One connection of an App, from `on_open` to `on_close`: which event calls which method of the
//! handler, and when an error of the handler ends the connection.

use std::error::Error as StdError;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use super::attempts::{Attempts, Ended, Opened};
use super::handle::{SendError, SendProblem};
use super::handler::{Handler, HandlerResult, Open};
use super::replace::Watch;
use super::run::App;
use super::shared::Shared;
use crate::error::{Cause, Error, Timeout};
use crate::proto::close::CloseCode;
use crate::proto::message::{Event, MessageRef};
use crate::websocket::WebSocket;
use crate::websocket::sender::Sender;

/// Holds a connection that is open, or was until now.
pub(super) struct Live {
    // The first field, so that it is dropped first: handles stop using a connection that ends.
    pub(super) up: Up,
    pub(super) ws: Box<WebSocket>,
    pub(super) since: Instant,
    /// Says when to replace the connection.
    pub(super) watch: Option<Watch>,
}

impl<H: Handler> App<H> {
    /// Runs one connection from `on_open` to `on_close`, and those that replace it. Returns how the
    /// last one ended.
    pub(super) fn session(&mut self, opened: Opened) -> Ended {
        let (attempt, reconnected) = (opened.attempt, opened.reconnected);
        let Some(mut live) = Live::new(&self.attempts, opened.ws) else {
            return Ended::attempt(Error::aborted());
        };
        let opened = self.open(&live, attempt, reconnected, false);
        let delivered = opened.and_then(|()| self.deliver(&mut live));
        self.finish(live, delivered)
    }

    /// Calls `on_open`, and lets other threads send.
    pub(super) fn open(
        &mut self,
        live: &Live,
        attempt: u32,
        reconnected: bool,
        replaces: bool,
    ) -> Result<(), Error> {
        let (sender, handle) = (&live.up.sender, &self.handle());
        let response = sender.response();
        let open = Open { attempt, reconnected, replaces, response, handle };
        unless_over(self.handler.on_open(sender, &open), Some(sender), &self.attempts.shared.0)?;
        live.up.opened().map_err(Error::Io)
    }

    /// Ends a connection with `on_close`, and returns how it ended. `delivered` is how that showed,
    /// or the handler's error.
    pub(super) fn finish(&mut self, mut live: Live, delivered: Result<Error, Error>) -> Ended {
        let ws = &mut live.ws;
        let error = delivered.unwrap_or_else(|error| {
            // The code 1011 may be sent, so this cannot fail. `so_far` tells the end below.
            let _ = ws.close(CloseCode::INTERNAL_ERROR);
            error
        });
        let lived = Some(live.since.elapsed());
        let is_last = live.up.down();
        let closed = ws.so_far();
        let error = match error {
            // The user closed. The peer did not take the Close, or broke the protocol then, and
            // that is no reason to connect again.
            Error::Timeout(_) | Error::Protocol(_) if closed.is_asked_for_here() => {
                Error::Closed(closed.clone())
            }
            error => error,
        };
        let (sender, shared) = (&live.up.sender, &self.attempts.shared.0);
        let closing = unless_over(self.handler.on_close(&closed), Some(sender), shared);
        if is_last && matches!(closed.cause(), Cause::Close | Cause::Protocol(_)) {
            // RFC 6455 section 7.1.1: wait until the server ends the stream, or has read why we
            // do. The code 1000 may be sent, so this cannot fail.
            let _ = ws.close(CloseCode::NORMAL);
        }
        match (error, closing) {
            (error @ Error::Handler(_), _) | (error, Ok(())) => Ended { error, lived },
            (_, Err(error)) => Ended { error, lived },
        }
    }

    /// Calls the handler for each event until this side closes, and discards the rest. Returns how
    /// the connection ended, or fails with the handler's error.
    fn deliver(&mut self, live: &mut Live) -> Result<Error, Error> {
        while !live.up.sender.is_closing() {
            let received = match &live.watch {
                None => live.ws.next_event(),
                Some(watch) => live.ws.next_event_timeout(watch.timeout(&self.attempts)),
            };
            let event = match received {
                Ok(event) => Some(event),
                Err(Error::Timeout(Timeout::Recv)) => None,
                Err(error) => return Ok(error),
            };
            if live.up.sender.is_closing() {
                break; // Another thread closed the connection meanwhile.
            }
            if let Some(event) = event {
                let (sender, shared) = (&live.up.sender, &self.attempts.shared.0);
                unless_over(hand_out(&mut self.handler, sender, event), Some(sender), shared)?;
            }
            // A handler that has closed the connection wants no other one.
            if live.watch.is_some() && !live.up.sender.is_closing() {
                self.watch(live)?;
            }
        }
        Ok(live.ws.discard())
    }
}

impl Live {
    /// Returns `None` if the App was stopped before.
    pub(super) fn new(attempts: &Attempts, ws: Box<WebSocket>) -> Option<Self> {
        let up = Up::new(&attempts.shared.0, &ws.sender())?;
        let since = Instant::now();
        Some(Self { up, ws, since, watch: Watch::new(attempts, since) })
    }
}

/// Calls the handler for one event.
pub(super) fn hand_out(
    handler: &mut impl Handler,
    sender: &Sender,
    event: Event<'_>,
) -> HandlerResult {
    match event {
        Event::Text(text) => handler.on_message(sender, MessageRef::Text(text)),
        Event::Binary(bytes) | Event::RawText(bytes) => {
            handler.on_message(sender, MessageRef::Binary(bytes))
        }
        Event::Fragment(fragment) => handler.on_fragment(sender, fragment),
        Event::Ping(payload) => handler.on_ping(sender, payload),
        Event::Pong(payload) => handler.on_pong(sender, payload),
    }
}

/// Returns the error of a handler, unless it only says that the connection is over, or that there
/// is none. The handler has not failed then, and the receiver, or the attempt that failed, tells
/// why. `sender` is that of the connection, if there was one when the handler was called.
pub(super) fn unless_over(
    handled: HandlerResult,
    sender: Option<&Sender>,
    shared: &Shared,
) -> Result<(), Error> {
    let Err(error) = handled else { return Ok(()) };
    // A handle first notes that the App is to stop, and then closes the connection.
    let over = sender.is_none_or(|sender| !sender.is_open()) || shared.is_stopping();
    let mut cause: Option<&(dyn StdError + 'static)> = Some(&*error);
    while let Some(error) = cause {
        if over && says_over(error) {
            return Ok(());
        }
        // `source` of an `io::Error` skips the error that it wraps.
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        cause = wrapped.map(|error| error as _).or_else(|| error.source());
    }
    Err(Error::Handler(error))
}

fn says_over(error: &(dyn StdError + 'static)) -> bool {
    let is_over = |error: &Error| match error {
        // When two threads wait for the same peer, one fails because the other was sending.
        Error::Closed(_) | Error::Timeout(Timeout::Send | Timeout::Busy) => true,
        _ => false,
    };
    match error.downcast_ref().map(SendError::problem) {
        Some(SendProblem::NotOpen | SendProblem::Stopped) => true,
        Some(SendProblem::Failed(error)) => is_over(error),
        _ => error.downcast_ref().is_some_and(is_over),
    }
}

/// Lets handles use a connection for as long as this lives. A panic of the handler drops it too.
pub(super) struct Up {
    shared: Arc<Shared>,
    pub(super) sender: Sender,
}

impl Up {
    /// Returns `None` if the App was stopped before.
    pub(super) fn new(shared: &Arc<Shared>, sender: &Sender) -> Option<Self> {
        let up = || Self { shared: shared.clone(), sender: sender.clone() };
        shared.open(sender).then(up)
    }

    /// Lets other threads send, and the outbox too.
    pub(super) fn opened(&self) -> io::Result<()> {
        self.shared.opened(&self.sender)
    }

    /// Notes that the connection is over. Returns whether there is no other one.
    fn down(&self) -> bool {
        self.shared.down(&self.sender)
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        self.down();
        if thread::panicking() {
            // Other threads may hold senders, so tell the peer that this side leaves. That runs on
            // a thread of its own, because the stream may be the caller's code: if it panicked on a
            // thread that unwinds, the process would abort.
            let sender = &self.sender;
            thread::scope(|scope| {
                let leaving = thread::Builder::new().spawn_scoped(scope, || sender.leave());
                let _ = leaving.map(|thread| thread.join());
            });
        }
        if self.shared.is_outbox_sending() {
            self.sender.abort(); // The thread of the outbox may block in sending.
        }
        self.shared.count(&self.sender);
    }
}
