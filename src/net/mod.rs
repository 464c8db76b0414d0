//! Blocking I/O: the only module that touches sockets.

pub(crate) mod abort;
mod blocking_pool;
pub(crate) mod deadline;
pub(crate) mod duplex;
pub(crate) mod opening;
pub(crate) mod proxy;
pub(crate) mod stream;
pub(crate) mod tcp;
#[cfg_attr(not(feature = "tls"), path = "tls/off.rs")]
pub(crate) mod tls;
#[cfg(unix)]
pub(crate) mod unix;
pub(crate) mod url;

use std::time::Duration;

/// The most 1xx responses before the answer.
pub(crate) const MAX_INTERIM: usize = 8;
/// How long the body of a refusal is waited for: it is only evidence.
pub(crate) const BODY_WAIT: Duration = Duration::from_secs(1);
