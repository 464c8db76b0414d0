//! TLS by rustls. The crypto provider is passed explicitly. A process-wide default is used if the
//! program has installed one; it is never installed here, and not needed with the feature `ring`.
//! Without the feature `tls-core`, `off.rs` takes the place of this module.

#![cfg(feature = "tls-core")] // So that the documentation names the feature.

mod cipher;
mod handshake;
mod info;
mod options;
mod pin;
mod session;
mod stream;
mod verifier;

pub(crate) use cipher::Cipher;
pub(crate) use handshake::{Prepared, error_within, prepare};
pub use info::TlsInfo;
pub use options::TlsOptions;
pub(crate) use options::can_name;
pub(crate) use session::Session;
