//! A scripted server on a real socket, which can send anything, as hostile peers do.
//!
//! ```ignore
//! let server = serve(|peer| {
//!     peer.upgrade();
//!     peer.send(&[0x83, 0x00]); // a reserved opcode
//!     peer.expect_close(1002);
//! });
//! let mut ws = landline::connect(&server.url())?;
//! ```
//! The server shares no code with the crate. tungstenite computes the accept value, and a small
//! decoder reads the client's frames. It insists on a mask and on the shortest length.

#![allow(dead_code, unused_imports, unreachable_pub)] // Each test program uses a part.

use std::fmt::Debug;

pub use frames::*;
pub use peer::*;
pub use watchdog::*;

pub mod apps;
mod frames;
mod peer;
#[cfg(target_os = "linux")]
pub mod process;
#[cfg(feature = "proxy")]
pub mod proxy;
pub mod streams;
#[cfg(feature = "tls")]
pub mod tls;
mod watchdog;

/// Returns a builder without keepalive, and without a proxy from the environment.
pub fn builder() -> landline::Builder {
    landline::Builder::new().keepalive(None).proxy(None)
}

/// Returns the error of a result that must be one.
pub fn error<T: Debug>(result: Result<T, landline::Error>) -> landline::Error {
    result.expect_err("an error was expected")
}
