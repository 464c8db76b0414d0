//! A `Handler` made of closures.

use std::error::Error as StdError;
use std::fmt;

use super::handler::{Handler, HandlerResult, Open};
use crate::error::{Closed, Error};
use crate::proto::message::{Fragment, MessageRef};
use crate::websocket::sender::Sender;

/// Makes a [`Handler`] of closures, for scripts. Each closure takes the arguments of the method of
/// the same name, and returns nothing or a `Result`. An event without a closure is ignored.
///
/// # Examples
///
/// A closure may borrow from the program:
///
/// ```no_run
/// use landline::{App, Callbacks, MessageRef};
///
/// let mut lines = Vec::new();
/// let callbacks = Callbacks::new()
///     .on_open(|ws, open| {
///         println!("{}", if open.reconnected { "here again" } else { "here" });
///         ws.send("subscribe")
///     })
///     .on_message(|ws, message| {
///         match message {
///             MessageRef::Text("bye") => ws.close(1000)?,
///             MessageRef::Text(text) => lines.push(text.to_owned()),
///             MessageRef::Binary(bytes) => println!("{} bytes", bytes.len()),
///         }
///         Ok::<(), landline::Error>(())
///     })
///     .on_close(|closed| println!("{closed}"))
///     .on_error(|error| eprintln!("{error}"));
/// App::new("wss://example.com/feed", callbacks).run_forever()?;
/// println!("{lines:?}");
/// # Ok::<(), landline::Error>(())
/// ```
#[derive(Default)]
pub struct Callbacks<'a> {
    open: Option<OnOpen<'a>>,
    message: Option<OnMessage<'a>>,
    fragment: Option<OnFragment<'a>>,
    ping: Option<OnControl<'a>>,
    pong: Option<OnControl<'a>>,
    close: Option<OnClose<'a>>,
    error: Option<OnError<'a>>,
}

impl<'a> Callbacks<'a> {
    /// Makes callbacks that do nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the closure for [`Handler::on_open`].
    #[must_use]
    pub fn on_open<R: CallbackResult>(
        mut self,
        mut call: impl FnMut(&Sender, &Open<'_>) -> R + Send + 'a,
    ) -> Self {
        self.open = Some(Box::new(move |sender, open| call(sender, open).into_result()));
        self
    }

    /// Sets the closure for [`Handler::on_message`].
    #[must_use]
    pub fn on_message<R: CallbackResult>(
        mut self,
        mut call: impl FnMut(&Sender, MessageRef<'_>) -> R + Send + 'a,
    ) -> Self {
        self.message = Some(Box::new(move |sender, message| call(sender, message).into_result()));
        self
    }

    /// Sets the closure for [`Handler::on_fragment`].
    #[must_use]
    pub fn on_fragment<R: CallbackResult>(
        mut self,
        mut call: impl FnMut(&Sender, Fragment<'_>) -> R + Send + 'a,
    ) -> Self {
        self.fragment =
            Some(Box::new(move |sender, fragment| call(sender, fragment).into_result()));
        self
    }

    /// Sets the closure for [`Handler::on_ping`].
    #[must_use]
    pub fn on_ping<R: CallbackResult>(
        mut self,
        mut call: impl FnMut(&Sender, &[u8]) -> R + Send + 'a,
    ) -> Self {
        self.ping = Some(Box::new(move |sender, payload| call(sender, payload).into_result()));
        self
    }

    /// Sets the closure for [`Handler::on_pong`].
    #[must_use]
    pub fn on_pong<R: CallbackResult>(
        mut self,
        mut call: impl FnMut(&Sender, &[u8]) -> R + Send + 'a,
    ) -> Self {
        self.pong = Some(Box::new(move |sender, payload| call(sender, payload).into_result()));
        self
    }

    /// Sets the closure for [`Handler::on_close`].
    #[must_use]
    pub fn on_close<R: CallbackResult>(
        mut self,
        mut call: impl FnMut(&Closed) -> R + Send + 'a,
    ) -> Self {
        self.close = Some(Box::new(move |closed| call(closed).into_result()));
        self
    }

    /// Sets the closure for [`Handler::on_error`].
    #[must_use]
    pub fn on_error<R: CallbackResult>(
        mut self,
        mut call: impl FnMut(&Error) -> R + Send + 'a,
    ) -> Self {
        self.error = Some(Box::new(move |error| call(error).into_result()));
        self
    }
}

impl Handler for Callbacks<'_> {
    fn on_open(&mut self, sender: &Sender, open: &Open<'_>) -> HandlerResult {
        self.open.as_mut().map_or(Ok(()), |call| call(sender, open))
    }

    fn on_message(&mut self, sender: &Sender, message: MessageRef<'_>) -> HandlerResult {
        self.message.as_mut().map_or(Ok(()), |call| call(sender, message))
    }

    fn on_fragment(&mut self, sender: &Sender, fragment: Fragment<'_>) -> HandlerResult {
        self.fragment.as_mut().map_or(Ok(()), |call| call(sender, fragment))
    }

    fn on_ping(&mut self, sender: &Sender, payload: &[u8]) -> HandlerResult {
        self.ping.as_mut().map_or(Ok(()), |call| call(sender, payload))
    }

    fn on_pong(&mut self, sender: &Sender, payload: &[u8]) -> HandlerResult {
        self.pong.as_mut().map_or(Ok(()), |call| call(sender, payload))
    }

    fn on_close(&mut self, closed: &Closed) -> HandlerResult {
        self.close.as_mut().map_or(Ok(()), |call| call(closed))
    }

    fn on_error(&mut self, error: &Error) -> HandlerResult {
        self.error.as_mut().map_or(Ok(()), |call| call(error))
    }
}

impl fmt::Debug for Callbacks<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callbacks").finish_non_exhaustive()
    }
}

/// Allows a closure of [`Callbacks`] to return nothing, or a `Result` with any error, so that `?`
/// works. It cannot be implemented for other types.
pub trait CallbackResult: Sealed {}

impl CallbackResult for () {}

impl<E: Into<Box<dyn StdError + Send + Sync>>> CallbackResult for Result<(), E> {}

/// Turns what the closure returned into the result of a handler's method. It is not public, so that
/// no other type can implement it.
#[expect(unnameable_types)]
pub trait Sealed {
    fn into_result(self) -> HandlerResult;
}

impl Sealed for () {
    fn into_result(self) -> HandlerResult {
        Ok(())
    }
}

impl<E: Into<Box<dyn StdError + Send + Sync>>> Sealed for Result<(), E> {
    fn into_result(self) -> HandlerResult {
        self.map_err(Into::into)
    }
}

type OnOpen<'a> = Box<dyn FnMut(&Sender, &Open<'_>) -> HandlerResult + Send + 'a>;
type OnMessage<'a> = Box<dyn FnMut(&Sender, MessageRef<'_>) -> HandlerResult + Send + 'a>;
type OnFragment<'a> = Box<dyn FnMut(&Sender, Fragment<'_>) -> HandlerResult + Send + 'a>;
type OnControl<'a> = Box<dyn FnMut(&Sender, &[u8]) -> HandlerResult + Send + 'a>;
type OnClose<'a> = Box<dyn FnMut(&Closed) -> HandlerResult + Send + 'a>;
type OnError<'a> = Box<dyn FnMut(&Error) -> HandlerResult + Send + 'a>;
