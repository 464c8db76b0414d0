//! Blocking I/O. No other module touches sockets.

pub(crate) mod abort;
pub(crate) mod basic_auth;
mod blocking_pool;
pub(crate) mod connector;
pub(crate) mod deadline;
pub(crate) mod duplex;
pub(crate) mod http;
mod mailbox;
pub(crate) mod opening;
#[cfg_attr(not(feature = "proxy"), path = "proxy/off.rs")]
pub(crate) mod proxy;
pub(crate) mod stopwatch;
pub(crate) mod stream;
pub(crate) mod tcp;
#[cfg_attr(not(feature = "tls-core"), path = "tls/off.rs")]
pub(crate) mod tls;
#[cfg(unix)]
pub(crate) mod unix;
pub(crate) mod url;
