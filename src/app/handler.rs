//! The trait that an `App` calls.

use std::error::Error as StdError;

use super::handle::Handle;
use crate::error::{Closed, Error};
use crate::proto::http::Response;
use crate::proto::message::{Fragment, MessageRef};
use crate::websocket::sender::Sender;

pub(crate) type HandlerResult = Result<(), Box<dyn StdError + Send + Sync>>;

/// What happens to an [`App`](crate::App)'s connections. All methods do nothing unless you write
/// them, and all run on the App's thread, one at a time, in this order:
///
/// ```text
/// ( on_error | on_open ( on_message | on_fragment | on_ping | on_pong )* on_close )*
/// ```
///
/// While a method runs nothing is received, and pings are not answered; a peer is not given up
/// for what it sent meanwhile. To stop, call [`Sender::close`], or keep a
/// [`Handle`](crate::Handle). Once this side has closed or aborted the connection, in a method or
/// from another thread, what still arrives is discarded and only [`on_close`](Self::on_close) is
/// called, as in a browser. A panic ends the connection, and goes on to whoever called
/// [`run_forever`](crate::App::run_forever) or [`join`](crate::app::AppThread::join).
///
/// An error that a method returns ends the connection with Close 1011; it comes to
/// [`on_error`](Self::on_error) as [`Error::Handler`], and ends the [`App`](crate::App) unless
/// [`retry_if`](crate::App::retry_if) says otherwise. An error that only says that the connection is
/// over, such as the one of `sender.send(..)?`, does neither.
///
/// `&mut H` is a handler too, so that its state can be looked at afterwards.
pub trait Handler {
    /// A connection is open: the first one or a later one. Subscribe here, with `sender`: nobody
    /// else sends before this returns.
    ///
    /// # Errors
    /// Yours.
    fn on_open(&mut self, sender: &Sender, open: &Open<'_>) -> HandlerResult {
        let _ = (sender, open);
        Ok(())
    }

    /// A whole message, borrowed from the receive buffer. Text comes as binary after
    /// [`unchecked_text`](crate::Builder::unchecked_text).
    ///
    /// # Errors
    /// Yours.
    fn on_message(&mut self, sender: &Sender, message: MessageRef<'_>) -> HandlerResult {
        let _ = (sender, message);
        Ok(())
    }

    /// A part of a message, instead of [`on_message`](Self::on_message), after
    /// [`Builder::fragments`](crate::Builder::fragments).
    ///
    /// # Errors
    /// Yours.
    fn on_fragment(&mut self, sender: &Sender, fragment: Fragment<'_>) -> HandlerResult {
        let _ = (sender, fragment);
        Ok(())
    }

    /// A Ping. It is answered already, unless [`auto_pong`](crate::Builder::auto_pong) is off.
    ///
    /// # Errors
    /// Yours.
    fn on_ping(&mut self, sender: &Sender, payload: &[u8]) -> HandlerResult {
        let _ = (sender, payload);
        Ok(())
    }

    /// A Pong; those that answer keepalive pings too.
    ///
    /// # Errors
    /// Yours.
    fn on_pong(&mut self, sender: &Sender, payload: &[u8]) -> HandlerResult {
        let _ = (sender, payload);
        Ok(())
    }

    /// The connection has ended: once for each [`on_open`](Self::on_open).
    ///
    /// # Errors
    /// Yours.
    fn on_close(&mut self, closed: &Closed) -> HandlerResult {
        let _ = closed;
        Ok(())
    }

    /// An attempt to connect failed, or another method did ([`Error::Handler`]).
    ///
    /// # Errors
    /// Yours. It ends the App, and nothing is called after it.
    fn on_error(&mut self, error: &Error) -> HandlerResult {
        let _ = error;
        Ok(())
    }
}

impl<H: Handler + ?Sized> Handler for &mut H {
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

/// A connection that has just opened.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Open<'a> {
    /// How many attempts it took since the last stable connection: 1 if the first one worked.
    pub attempt: u32,
    /// Whether there was a connection before.
    pub reconnected: bool,
    /// The server's answer to the opening handshake.
    pub response: &'a Response,
    /// For sending and stopping from elsewhere: clone it.
    pub handle: &'a Handle,
}
