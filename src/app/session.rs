//! One connection of an App, from `on_open` to `on_close`.

use std::error::Error as StdError;
use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use super::handle::{SendError, SendProblem, Shared};
use super::handler::{Handler, HandlerResult, Open};
use super::run::{App, Ended};
use crate::error::{Cause, Error, Timeout};
use crate::proto::close::CloseCode;
use crate::proto::message::{Event, MessageRef};
use crate::websocket::WebSocket;
use crate::websocket::sender::Sender;

impl<H: Handler> App<H> {
    /// All that happens between `on_open` and `on_close`, both included.
    pub(super) fn session(&mut self, mut ws: WebSocket, attempt: u32, reconnected: bool) -> Ended {
        let sender = ws.sender();
        let shared = self.shared.0.clone();
        let Some(mut up) = Up::new(&shared, &sender) else {
            return Ended { error: Error::aborted(), lived: None };
        };
        let handle = self.handle();
        let since = Instant::now();
        let open = Open { attempt, reconnected, response: sender.response(), handle: &handle };
        let opened = unless_over(self.handler.on_open(&sender, &open), &sender, &shared);
        let opened = opened.and_then(|()| up.send_outbox().map_err(Error::Io));
        let delivered = opened.and_then(|()| self.deliver(&mut ws, &sender));
        let error = delivered.unwrap_or_else(|error| {
            // It cannot fail: 1011 may be sent. How it ends is read below.
            let _ = ws.close(CloseCode::INTERNAL_ERROR);
            error
        });
        let lived = Some(since.elapsed());
        up.down();
        let closed = ws.so_far();
        let error = match error {
            // The user had asked for the end; that the peer did not even take that, or broke the
            // protocol then, is no reason to connect again.
            Error::Timeout(_) | Error::Protocol(_) if closed.is_asked_for_here() => {
                Error::Closed(closed.clone())
            }
            error => error,
        };
        let closing = unless_over(self.handler.on_close(&closed), &sender, &shared);
        if matches!(closed.cause(), Cause::Handshake | Cause::Protocol(_)) {
            // RFC 6455 section 7.1.1: the server ends the stream first, or reads why we did. Nor
            // can this fail.
            let _ = ws.close(CloseCode::NORMAL);
        }
        match (error, closing) {
            (error @ Error::Handler(_), _) | (error, Ok(())) => Ended { error, lived },
            (_, Err(error)) => Ended { error, lived },
        }
    }

    /// Hands out what comes until this side closes, discards the rest, and gives how the connection
    /// ended, or the handler's error.
    fn deliver(&mut self, ws: &mut WebSocket, sender: &Sender) -> Result<Error, Error> {
        while !sender.is_closing() {
            let event = match ws.next_event() {
                Ok(event) => event,
                Err(error) => return Ok(error),
            };
            if sender.is_closing() {
                break; // Another thread closed it meanwhile.
            }
            let handler = &mut self.handler;
            let handled = match event {
                Event::Text(text) => handler.on_message(sender, MessageRef::Text(text)),
                Event::Binary(bytes) | Event::RawText(bytes) => {
                    handler.on_message(sender, MessageRef::Binary(bytes))
                }
                Event::Fragment(fragment) => handler.on_fragment(sender, fragment),
                Event::Ping(payload) => handler.on_ping(sender, payload),
                Event::Pong(payload) => handler.on_pong(sender, payload),
            };
            unless_over(handled, sender, &self.shared.0)?;
        }
        Ok(ws.discard())
    }
}

/// A handler that only passes on that the connection is over has not failed: how it ended will be
/// received.
fn unless_over(handled: HandlerResult, sender: &Sender, shared: &Shared) -> Result<(), Error> {
    let Err(error) = handled else { return Ok(()) };
    // Who stops an App says so before the connection knows.
    let over = !sender.is_open() || shared.is_stopping();
    let mut cause: Option<&(dyn StdError + 'static)> = Some(&*error);
    while let Some(error) = cause {
        if over && says_over(error) {
            return Ok(());
        }
        // An `io::Error` is not the source of what it wraps, but its wrapping.
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        cause = wrapped.map(|error| error as _).or_else(|| error.source());
    }
    Err(Error::Handler(error))
}

fn says_over(error: &(dyn StdError + 'static)) -> bool {
    let is_over = |error: &Error| match error {
        // Of two threads that waited for the same peer, one may be told that the other was busy.
        Error::Closed(_) | Error::Timeout(Timeout::Send | Timeout::Busy) => true,
        _ => false,
    };
    match error.downcast_ref().map(SendError::problem) {
        Some(SendProblem::NotOpen | SendProblem::Stopped) => true,
        Some(SendProblem::Failed(error)) => is_over(error),
        _ => error.downcast_ref().is_some_and(is_over),
    }
}

/// A connection that handles may use; no more when it is dropped, by a panic too.
struct Up<'a> {
    shared: &'a Arc<Shared>,
    sender: &'a Sender,
    outbox: Option<JoinHandle<()>>,
}

impl<'a> Up<'a> {
    /// `None` if it comes too late.
    fn new(shared: &'a Arc<Shared>, sender: &'a Sender) -> Option<Self> {
        shared.open(sender).then_some(Self { shared, sender, outbox: None })
    }

    /// Lets others send, after what waits in the outbox.
    fn send_outbox(&mut self) -> io::Result<()> {
        if self.shared.opened() {
            let (shared, sender) = (self.shared.clone(), self.sender.clone());
            let thread = thread::Builder::new().name("landline-outbox".to_owned());
            self.outbox = Some(thread.spawn(move || shared.empty_outbox(&sender))?);
        }
        Ok(())
    }

    fn down(&self) {
        self.shared.down();
    }
}

impl Drop for Up<'_> {
    fn drop(&mut self) {
        self.down();
        if thread::panicking() {
            // Somebody may keep another sender. On a thread of its own, because on one that unwinds
            // no stream of the caller's is called: a panic of it would abort the process.
            let sender = self.sender;
            thread::scope(|scope| {
                let leaving = thread::Builder::new().spawn_scoped(scope, || sender.leave());
                let _ = leaving.map(|thread| thread.join());
            });
        }
        if let Some(outbox) = self.outbox.take() {
            if !outbox.is_finished() {
                self.sender.abort(); // It may block in sending.
            }
            let _ = outbox.join();
        }
    }
}
