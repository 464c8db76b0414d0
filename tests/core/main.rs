//! Tests without sockets and clock: of the protocol core, and of the rules for the sources. They
//! are one program, so that it is linked once.

#![allow(clippy::unwrap_used)] // `clippy.toml` allows it in test functions only.

mod closing;
mod control_frames;
mod corpus;
mod deflate;
mod fragmentation;
mod framing;
mod guides;
mod http_dates;
mod keepalive;
mod layering;
mod location;
mod messages;
mod opening_handshake;
mod policies;
mod socks;
mod utf8;
mod virtual_connections;

#[path = "../proto_support/mod.rs"]
mod proto_support;

/// An exhaustive test goes through one in so many of its cases, a power of two. An emulated
/// processor is slow; the other ones go through all.
const ONE_IN: u8 = if option_env!("LANDLINE_TESTS_EMULATED").is_some() { 8 } else { 1 };
