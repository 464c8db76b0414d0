//! Blocking I/O: the only module that touches sockets.

pub(crate) mod abort;
mod blocking_pool;
mod connect;
pub(crate) mod deadline;
pub(crate) mod duplex;
pub(crate) mod guest;
mod no_proxy;
pub(crate) mod opening;
pub(crate) mod proxy;
mod socks;
pub(crate) mod target;
pub(crate) mod tcp;
#[cfg(feature = "tls")]
pub(crate) mod tls;
#[cfg(feature = "tls")]
mod tls_stream;
pub(crate) mod tunnel;
#[cfg(unix)]
pub(crate) mod unix;

use std::time::Duration;

/// The most 1xx responses before the answer.
pub(crate) const MAX_INTERIM: usize = 8;
/// How long the body of a refusal is waited for: it is only evidence.
pub(crate) const BODY_WAIT: Duration = Duration::from_secs(1);
