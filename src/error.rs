//! What the variants of an [`Error`] hold: whose fault it is, and the evidence.

pub(crate) mod closed;
mod connecting;
mod into_io;
mod retry;
#[cfg(test)]
mod tests;
mod tls;
pub(crate) mod top;

pub(crate) use closed::{Advice, Closed};
pub use closed::{Cause, Side};
pub use connecting::{ConnectError, HandshakeError, HandshakeProblem, ProxyError, ProxyProblem};
pub(crate) use retry::Retry;
#[cfg(feature = "tls")]
pub(crate) use tls::is_ca_used_as_end_entity;
pub use tls::{TlsError, TlsProblem};
pub use top::InvalidInput;
pub(crate) use top::{Error, Timeout};

#[cfg(feature = "deflate")]
pub use crate::proto::deflate::options::{DeflateMismatch, Parameter};
pub use crate::proto::error::{HeadError, Mismatch, SocksError, Violation};
