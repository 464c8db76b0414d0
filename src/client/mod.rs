//! Leads from a URL to an open connection.

pub(crate) mod builder;
mod config;
mod dial;
pub(crate) mod redirect;
mod request;
mod upgrade;
