//! Tells how a connection ended.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::sync::Arc;

use super::Timeout;
use super::tls::Explained;
use crate::proto::Violation;
use crate::proto::close::{CloseCode, CloseFrame};

/// Names one of the two ends of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums)]
pub enum Side {
    /// This side, the client.
    Local,
    /// The server.
    Peer,
}

/// Names why a connection ended. [`Closed::cause`] gives it.
///
/// # Examples
///
/// ```no_run
/// use landline::Closed;
/// use landline::error::Cause;
///
/// /// Returns whether it makes sense to look for the fault in the network.
/// fn is_lost(closed: &Closed) -> bool {
///     matches!(closed.cause(), Cause::Eof | Cause::Io(_) | Cause::Timeout(_))
/// }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Cause {
    /// A closing handshake: it is done, or at least one side has begun it. [`Closed::code`] and
    /// [`Closed::reason`] say what the peer meant.
    Close,
    /// The peer ended the stream without a Close frame: the server was killed, or something in
    /// between cut the connection. Connect again.
    Eof,
    /// The transport failed: the peer reset the connection, or the network did not deliver. Connect
    /// again.
    Io(Arc<io::Error>),
    /// TLS failed: the bytes were changed on their way, or the peer sent an alert. Holds the
    /// `rustls::Error`. Connect again.
    Tls(Arc<dyn StdError + Send + Sync>),
    /// The peer broke the protocol, or exceeded a limit. `recv` returns it as
    /// [`Error::Protocol`](crate::Error::Protocol).
    Protocol(Violation),
    /// A deadline passed. Of [`Timeout::Pong`] and [`Timeout::Send`] `recv` makes an
    /// [`Error::Timeout`](crate::Error::Timeout).
    Timeout(Timeout),
    /// A thread on this side called `abort`, of the connection or of an
    /// [`AbortHandle`](crate::AbortHandle). The program wanted the end.
    Aborted,
}

/// Tells how a connection ended: the Close frames of both sides, who began to close, and whether
/// the end was clean. Cloning is cheap.
///
/// # Examples
///
/// ```no_run
/// use landline::error::Side;
/// use landline::{CloseCode, Error};
///
/// let mut ws = landline::connect("wss://example.com/feed")?;
/// let error = loop {
///     match ws.recv() {
///         Ok(message) => println!("{message:?}"),
///         Err(error) => break error,
///     }
/// };
/// // A violation of the protocol and a lost peer are errors of their own.
/// let Error::Closed(closed) = &error else { return Err(error) };
/// match closed.code() {
///     CloseCode::NORMAL => println!("the server has sent everything"),
///     CloseCode::GOING_AWAY => println!("the server goes down: {:?}", closed.reason()),
///     CloseCode::ABNORMAL => println!("the connection is lost: {closed}"),
///     code => println!("{code:?}: {:?}", closed.reason()),
/// }
/// let by_server = closed.initiator() == Some(Side::Peer);
/// println!("clean: {}; closed by the server: {by_server}", closed.is_clean());
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
pub struct Closed(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    local: Option<CloseFrame>,
    peer: Option<CloseFrame>,
    initiator: Option<Side>,
    /// The user closed, before the peer did.
    asked: bool,
    cause: Cause,
    advice: Option<Advice>,
}

/// Names what the text advises the user to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Advice {
    /// Receive up to the end, because the peer may have sent the reason. Sending failed, and the
    /// receiver has not come to the end yet.
    Receive,
    /// Switch keepalive off, because the peer has never answered a ping and may not know pings.
    NoPings,
}

impl Closed {
    pub(crate) fn new(
        local: Option<CloseFrame>,
        peer: Option<CloseFrame>,
        initiator: Option<Side>,
        asked: bool,
        cause: Cause,
        advice: Option<Advice>,
    ) -> Self {
        Self(Arc::new(Inner { local, peer, initiator, asked, cause, advice }))
    }

    /// Returns the close code of the connection (RFC 6455 section 7.1.5): the peer's,
    /// [`NO_STATUS`](CloseCode::NO_STATUS) if its Close had none,
    /// [`ABNORMAL`](CloseCode::ABNORMAL) if there was no Close from it.
    #[must_use]
    pub fn code(&self) -> CloseCode {
        match &self.0.peer {
            Some(close) => close.code.unwrap_or(CloseCode::NO_STATUS),
            None => CloseCode::ABNORMAL,
        }
    }

    /// Returns the reason that the peer sent; empty if there was none. The peer may write anything:
    /// escape it before you show it, as `{:?}` and the `Display` of [`Closed`] do.
    #[must_use]
    pub fn reason(&self) -> &str {
        self.0.peer.as_ref().map_or("", |close| &close.reason)
    }

    /// Returns the Close frame that this side sent. `None` if there was none, or if it could not be
    /// written because the peer was gone or did not read.
    #[must_use]
    pub fn local(&self) -> Option<&CloseFrame> {
        self.0.local.as_ref()
    }

    /// Returns the Close frame that the peer sent.
    #[must_use]
    pub fn peer(&self) -> Option<&CloseFrame> {
        self.0.peer.as_ref()
    }

    /// Returns the side that began to end the connection; `None` if the network did.
    #[must_use]
    pub fn initiator(&self) -> Option<Side> {
        self.0.initiator
    }

    /// Returns whether both sides sent a Close frame (RFC 6455 section 7.1.4), whatever the codes.
    /// A server that closes with 4401 ends the connection cleanly too: [`code`](Self::code) tells
    /// whether it complains. The answer is `false` if the peer sent a Close but did not take ours.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        matches!(self.0.cause, Cause::Close) && self.0.local.is_some() && self.0.peer.is_some()
    }

    /// Returns why the connection ended.
    #[must_use]
    pub fn cause(&self) -> &Cause {
        &self.0.cause
    }

    /// Returns whether the user of this side closed the connection, before anything else was a
    /// reason to.
    pub(crate) fn is_asked_for_here(&self) -> bool {
        self.0.asked
    }

    /// Returns whether the user of this side ended the connection, by `close` or by `abort`.
    pub(crate) fn was_ended_here(&self) -> bool {
        self.is_asked_for_here() || matches!(self.0.cause, Cause::Aborted)
    }

    /// Returns whether the peer closed because nothing more is to come: with 1000, or without a
    /// code. It does not matter whether our answer could still be written.
    pub(crate) fn is_normal_close_of_peer(&self) -> bool {
        matches!(self.0.cause, Cause::Close)
            && self.0.initiator == Some(Side::Peer)
            && matches!(self.code(), CloseCode::NORMAL | CloseCode::NO_STATUS)
    }

    fn advise(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0.advice {
            Some(Advice::Receive) => " (receive for the reason: the peer may have sent one)",
            Some(Advice::NoPings) => {
                " (it never answered a keepalive ping: if it cannot, use Keepalive::OFF)"
            }
            None => "",
        })
    }
}

impl fmt::Debug for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Closed")
            .field("code", &self.code())
            .field("clean", &self.is_clean())
            .field("initiator", &self.0.initiator)
            .field("local", &self.0.local)
            .field("peer", &self.0.peer)
            .field("cause", &self.0.cause)
            .finish()
    }
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.cause {
            Cause::Close => {}
            Cause::Eof => {
                f.write_str("the peer ended the connection without a Close")?;
                return self.advise(f);
            }
            Cause::Io(error) => {
                write!(f, "connection lost: {error}")?;
                return self.advise(f);
            }
            Cause::Tls(error) => {
                return write!(f, "connection lost: TLS failed: {}", Explained::new(&**error));
            }
            Cause::Protocol(violation) => {
                return write!(f, "closed after a violation: {violation}");
            }
            Cause::Timeout(Timeout::Pong) => {
                f.write_str("the peer does not answer pings")?;
                return self.advise(f);
            }
            Cause::Timeout(timeout) => return timeout.fmt(f),
            Cause::Aborted => return f.write_str("the connection was aborted here"),
        }
        match (self.0.initiator, &self.0.peer, &self.0.local) {
            (Some(Side::Peer), Some(peer), _) => write!(f, "closed by the peer: {peer}"),
            (_, Some(peer), _) => write!(f, "closed here, the peer answered: {peer}"),
            (_, None, Some(local)) => write!(f, "this side is closing the connection: {local}"),
            (_, None, None) => f.write_str("closed"),
        }
    }
}

impl StdError for Closed {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.0.cause {
            Cause::Io(error) => error.source(),
            Cause::Tls(error) => error.source(),
            Cause::Protocol(_) | Cause::Timeout(_) | Cause::Close | Cause::Eof | Cause::Aborted => {
                None
            }
        }
    }
}
