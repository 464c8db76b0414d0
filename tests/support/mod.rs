//! A scripted server that does what the catalogue of hostile peers says, on a real socket.
//!
//! ```ignore
//! let server = serve(|peer| {
//!     peer.upgrade();
//!     peer.send(&[0x83, 0x00]); // a reserved opcode
//!     peer.expect_close(1002);
//! });
//! let mut ws = landline::connect(&server.url())?;
//! ```
//! It shares no code with the crate: the accept value is tungstenite's, and every client frame is
//! read by a small decoder of its own, which insists on a mask and on the shortest length.

#![allow(dead_code, unused_imports, unreachable_pub)] // Each test binary uses a part.

use std::fmt::Debug;

pub use frames::*;
pub use peer::*;
pub use watchdog::*;

pub mod apps;
mod frames;
mod peer;
#[cfg(target_os = "linux")]
pub mod process;
pub mod proxy;
pub mod streams;
#[cfg(feature = "tls")]
pub mod tls;
mod watchdog;

/// A client that pings nobody, and that the environment does not lead astray.
pub fn builder() -> landline::Builder {
    landline::Builder::new().keepalive(None).proxy(None)
}

/// The error; a value is a bug.
pub fn error<T: Debug>(result: Result<T, landline::Error>) -> landline::Error {
    result.expect_err("an error was expected")
}
