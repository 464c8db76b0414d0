//! One connection of an App, from `on_open` to `on_close`: which event calls which method of the
//! handler, and when an error of the handler ends the connection.

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
    /// Runs one connection from `on_open` to `on_close`, and returns how it ended.
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
            // The code 1011 may be sent, so this cannot fail. `so_far` tells the end below.
            let _ = ws.close(CloseCode::INTERNAL_ERROR);
            error
        });
        let lived = Some(since.elapsed());
        up.down();
        let closed = ws.so_far();
        let error = match error {
            // The user closed. The peer did not take the Close, or broke the protocol then, and
            // that is no reason to connect again.
            Error::Timeout(_) | Error::Protocol(_) if closed.is_asked_for_here() => {
                Error::Closed(closed.clone())
            }
            error => error,
        };
        let closing = unless_over(self.handler.on_close(&closed), &sender, &shared);
        if matches!(closed.cause(), Cause::Handshake | Cause::Protocol(_)) {
            // RFC 6455 section 7.1.1: wait until the server ends the stream, or has read why we
            // do. The code 1000 may be sent, so this cannot fail.
            let _ = ws.close(CloseCode::NORMAL);
        }
        shared.count(&ws.counters());
        match (error, closing) {
            (error @ Error::Handler(_), _) | (error, Ok(())) => Ended { error, lived },
            (_, Err(error)) => Ended { error, lived },
        }
    }

    /// Calls the handler for each event until this side closes, and discards the rest. Returns how
    /// the connection ended, or fails with the handler's error.
    fn deliver(&mut self, ws: &mut WebSocket, sender: &Sender) -> Result<Error, Error> {
        while !sender.is_closing() {
            let event = match ws.next_event() {
                Ok(event) => event,
                Err(error) => return Ok(error),
            };
            if sender.is_closing() {
                break; // Another thread closed the connection meanwhile.
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

/// Returns the error of a handler, unless it only says that the connection is over. The handler has
/// not failed then, and the receiver will tell how the connection ended.
fn unless_over(handled: HandlerResult, sender: &Sender, shared: &Shared) -> Result<(), Error> {
    let Err(error) = handled else { return Ok(()) };
    // A handle first notes that the App is to stop, and then closes the connection.
    let over = !sender.is_open() || shared.is_stopping();
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
struct Up<'a> {
    shared: &'a Arc<Shared>,
    sender: &'a Sender,
    outbox: Option<JoinHandle<()>>,
}

impl<'a> Up<'a> {
    /// Returns `None` if the App was stopped before.
    fn new(shared: &'a Arc<Shared>, sender: &'a Sender) -> Option<Self> {
        shared.open(sender).then_some(Self { shared, sender, outbox: None })
    }

    /// Lets other threads send, and starts a thread that first sends the messages in the outbox.
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
            // Other threads may hold senders, so tell the peer that this side leaves. That runs on
            // a thread of its own, because the stream may be the caller's code: if it panicked on a
            // thread that unwinds, the process would abort.
            let sender = self.sender;
            thread::scope(|scope| {
                let leaving = thread::Builder::new().spawn_scoped(scope, || sender.leave());
                let _ = leaving.map(|thread| thread.join());
            });
        }
        if let Some(outbox) = self.outbox.take() {
            if !outbox.is_finished() {
                self.sender.abort(); // The outbox thread may block in sending.
            }
            let _ = outbox.join();
        }
    }
}
