//! Holds the types that are in the variants of an [`Error`]: whose fault it is, and the evidence.
//!
//! The guide [`errors`](crate::guide::errors) says how each error comes about, and what to do.

pub(crate) mod closed;
mod connecting;
#[allow(clippy::module_inception)] // The file of the type `Error`.
pub(crate) mod error;
mod into_io;
mod retry;
#[cfg(test)]
mod tests;
mod tls;
mod try_send;

pub(crate) use closed::{Advice, Closed};
pub use closed::{Cause, Side};
pub use connecting::{ConnectError, HandshakeError, HandshakeProblem, ProxyError, ProxyProblem};
pub use error::InvalidInput;
pub(crate) use error::{Error, Timeout};
pub(crate) use retry::Retry;
#[cfg(feature = "tls-core")]
pub(crate) use tls::explain::{PinMismatch, is_ca_used_as_end_entity};
pub use tls::{TlsError, TlsProblem};
pub use try_send::TrySendError;

#[cfg(feature = "deflate")]
pub use crate::proto::deflate::options::{DeflateMismatch, DeflateParameter};
pub use crate::proto::error::{HeadError, Mismatch, SocksError, Violation};
