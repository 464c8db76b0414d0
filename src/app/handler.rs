//! The trait that an App calls: a method for each event of a connection.
//!
//! A new event needs a method here (and in `forward`), a closure in `callbacks.rs`, and the call in
//! `session.rs`.

use std::error::Error as StdError;

use super::handle::Handle;
use crate::error::{Closed, Error};
use crate::proto::http::Response;
use crate::proto::message::{Fragment, MessageRef};
use crate::websocket::sender::Sender;

pub(crate) type HandlerResult = Result<(), Box<dyn StdError + Send + Sync>>;

/// Handles the events of an [`App`](crate::App)'s connections.
///
/// A method that you do not write does nothing. All methods run on the App's thread, one at a time,
/// in this order:
///
/// ```text
/// ( on_error | on_open ( on_message | on_fragment | on_ping | on_pong )* on_close )*
/// ```
///
/// With [`App::overlap`](crate::App::overlap), `on_open` of the next connection comes before the
/// last calls of the old one and its `on_close`.
///
/// Nothing is received while a method runs, so pings are not answered. A peer that sent something
/// meanwhile is not taken for dead.
///
/// To stop the App, call [`Sender::close`], or keep a [`Handle`](crate::Handle). Once this side has
/// closed or aborted the connection, in a method or from another thread, messages that still arrive
/// are discarded and only [`on_close`](Self::on_close) is called, as in a browser.
///
/// A panic ends the connection, and goes on to the code that called
/// [`run_forever`](crate::App::run_forever) or [`join`](crate::app::AppThread::join).
///
/// A method may return any error, and `?` turns any error into the type that is returned. An error
/// ends the connection with Close 1011. [`on_error`](Self::on_error) gets it as [`Error::Handler`],
/// and it ends the [`App`](crate::App) unless [`retry_if`](crate::App::retry_if) decides otherwise.
///
/// An error that only says that the connection is over, such as that of `sender.send(..)?`, or that
/// there is none, such as that of `handle.send(..)?`, does none of this: the App goes on as if the
/// method had returned `Ok`.
///
/// A `Box<dyn Handler>` is a handler too, for a program that chooses one at run time. With
/// [`App::spawn`](crate::App::spawn) it is a `Box<dyn Handler + Send>`.
///
/// # Examples
///
/// `&mut H` is a handler too, so the program can read the handler's state afterwards:
///
/// ```no_run
/// use landline::app::Open;
/// use landline::{App, Closed, Handler, MessageRef, Sender};
///
/// type HandlerResult = Result<(), Box<dyn std::error::Error + Send + Sync>>;
///
/// #[derive(Default)]
/// struct Counter {
///     messages: usize,
/// }
///
/// impl Handler for Counter {
///     fn on_open(&mut self, sender: &Sender, _: &Open<'_>) -> HandlerResult {
///         // Again after each reconnect.
///         Ok(sender.send("subscribe")?)
///     }
///
///     fn on_message(&mut self, sender: &Sender, message: MessageRef<'_>) -> HandlerResult {
///         let text = message.as_text().ok_or("the server sent binary data")?;
///         println!("{text}");
///         self.messages += 1;
///         if self.messages == 100 {
///             sender.close((1000, "that is enough"))?;
///         }
///         Ok(())
///     }
///
///     fn on_close(&mut self, closed: &Closed) -> HandlerResult {
///         println!("{closed}");
///         Ok(())
///     }
/// }
///
/// let mut counter = Counter::default();
/// App::new("wss://example.com/feed", &mut counter).run_forever()?;
/// println!("{} messages", counter.messages);
/// # Ok::<(), landline::Error>(())
/// ```
pub trait Handler {
    /// Handles the opening of a connection: of the first one, or of a later one. Subscribe here,
    /// with `sender`: no other thread sends before this method returns.
    ///
    /// # Errors
    /// Any of yours; see [`Handler`].
    fn on_open(&mut self, sender: &Sender, open: &Open<'_>) -> HandlerResult {
        let _ = (sender, open);
        Ok(())
    }

    /// Handles a message, which is borrowed from the receive buffer. With
    /// [`unchecked_text`](crate::Builder::unchecked_text), text comes as binary.
    ///
    /// # Errors
    /// Any of yours; see [`Handler`].
    fn on_message(&mut self, sender: &Sender, message: MessageRef<'_>) -> HandlerResult {
        let _ = (sender, message);
        Ok(())
    }

    /// Handles a part of a message. With [`Builder::fragments`](crate::Builder::fragments) it is
    /// called instead of [`on_message`](Self::on_message).
    ///
    /// # Errors
    /// Any of yours; see [`Handler`].
    fn on_fragment(&mut self, sender: &Sender, fragment: Fragment<'_>) -> HandlerResult {
        let _ = (sender, fragment);
        Ok(())
    }

    /// Handles a Ping. Unless [`auto_pong`](crate::Builder::auto_pong) is off, the Pong is sent
    /// already, or will be as soon as the peer takes what is sent before it.
    ///
    /// # Errors
    /// Any of yours; see [`Handler`].
    fn on_ping(&mut self, sender: &Sender, payload: &[u8]) -> HandlerResult {
        let _ = (sender, payload);
        Ok(())
    }

    /// Handles a Pong, also one that answers a keepalive ping.
    ///
    /// # Errors
    /// Any of yours; see [`Handler`].
    fn on_pong(&mut self, sender: &Sender, payload: &[u8]) -> HandlerResult {
        let _ = (sender, payload);
        Ok(())
    }

    /// Handles the end of a connection. It is called once for each [`on_open`](Self::on_open).
    ///
    /// # Errors
    /// Any of yours; see [`Handler`].
    fn on_close(&mut self, closed: &Closed) -> HandlerResult {
        let _ = closed;
        Ok(())
    }

    /// Handles the failure of an attempt to connect, or an error that another method returned
    /// ([`Error::Handler`]).
    ///
    /// # Errors
    /// Any of yours. It ends the App at once, and no method is called any more. But while a
    /// connection is open ([`App::overlap`](crate::App::overlap)), the error is treated as one of
    /// any other method. An error that only says that there is no connection ends nothing; see
    /// [`Handler`].
    fn on_error(&mut self, error: &Error) -> HandlerResult {
        let _ = error;
        Ok(())
    }
}

/// Does nothing. It is the handler of an [`App`](crate::App) whose connections are pulled by
/// [`App::connections`](crate::App::connections).
impl Handler for () {}

/// Lets a pointer to a handler be a handler.
macro_rules! forward {
    ($pointer:ty) => {
        impl<H: Handler + ?Sized> Handler for $pointer {
            fn on_open(&mut self, sender: &Sender, open: &Open<'_>) -> HandlerResult {
                (**self).on_open(sender, open)
            }

            fn on_message(&mut self, sender: &Sender, message: MessageRef<'_>) -> HandlerResult {
                (**self).on_message(sender, message)
            }

            fn on_fragment(&mut self, sender: &Sender, fragment: Fragment<'_>) -> HandlerResult {
                (**self).on_fragment(sender, fragment)
            }

            fn on_ping(&mut self, sender: &Sender, payload: &[u8]) -> HandlerResult {
                (**self).on_ping(sender, payload)
            }

            fn on_pong(&mut self, sender: &Sender, payload: &[u8]) -> HandlerResult {
                (**self).on_pong(sender, payload)
            }

            fn on_close(&mut self, closed: &Closed) -> HandlerResult {
                (**self).on_close(closed)
            }

            fn on_error(&mut self, error: &Error) -> HandlerResult {
                (**self).on_error(error)
            }
        }
    };
}

forward!(&mut H);
forward!(Box<H>);

/// Describes a connection that has just opened.
///
/// # Examples
///
/// ```no_run
/// use landline::{App, Callbacks};
///
/// let callbacks = Callbacks::new().on_open(|ws, open| {
///     if open.reconnected {
///         eprintln!("here again, by attempt {}", open.attempt);
///     }
///     ws.send("subscribe")
/// });
/// App::new("wss://example.com/feed", callbacks).run_forever()?;
/// # Ok::<(), landline::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Open<'a> {
    /// The number of this attempt since the last stable connection: 1 if the first one worked.
    pub attempt: u32,
    /// `true` if there was a connection before this one.
    pub reconnected: bool,
    /// `true` if this connection replaces one that is still open, and is closed after
    /// [`on_open`](Handler::on_open): see [`App::overlap`](crate::App::overlap).
    pub replaces: bool,
    /// The server's answer to the opening handshake.
    pub response: &'a Response,
    /// A handle of the App. Clone it to send and to stop from elsewhere.
    pub handle: &'a Handle,
}
