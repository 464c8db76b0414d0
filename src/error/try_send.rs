//! Why `try_send` did not send a message.

use std::error::Error as StdError;
use std::fmt;

use super::error::Error;

/// Tells why [`Sender::try_send`](crate::Sender::try_send) did not send a message, and holds the
/// message. An example is there.
#[allow(clippy::exhaustive_enums)] // Each caller must match both.
pub enum TrySendError<M> {
    /// The call would have to wait. The connection goes on: try again later.
    WouldBlock(M),
    /// The message cannot be sent: the [`Error`], which is the source of this one, says why, and
    /// whether the connection is over.
    Failed(M, Error),
}

impl<M> TrySendError<M> {
    /// Gives the message back.
    #[must_use]
    pub fn into_message(self) -> M {
        let (Self::WouldBlock(message) | Self::Failed(message, _)) = self;
        message
    }
}

impl<M> fmt::Debug for TrySendError<M> {
    /// Leaves out the message, which may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WouldBlock(_) => f.write_str("WouldBlock(..)"),
            Self::Failed(_, error) => write!(f, "Failed(.., {error:?})"),
        }
    }
}

impl<M> fmt::Display for TrySendError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WouldBlock(_) => f.write_str(
                "not sent: the system takes nothing more at the moment, or another thread is \
                 sending; try again later",
            ),
            Self::Failed(..) => f.write_str("not sent"),
        }
    }
}

impl<M> StdError for TrySendError<M> {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::WouldBlock(_) => None,
            Self::Failed(_, error) => Some(error),
        }
    }
}
