//! TLS by rustls. The crypto provider is passed explicitly; no process-wide default is installed or
//! needed.

pub(crate) mod handshake;
pub(crate) mod options;
pub(crate) mod stream;
mod verifier;
