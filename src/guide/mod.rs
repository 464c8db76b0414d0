//! Holds the guides: a page for each question that is larger than one item of the API.
//!
//! | to | read |
//! |---|---|
//! | drive many connections from one thread | [`event_loops`] |
//! | learn what happens without files, threads or memory, and after a stop | [`limits`] |
//! | make a small program | [`small_binaries`] |
//!
//! The modules are empty but for their text.

#[doc = include_str!("event_loops.md")]
pub mod event_loops {}

#[doc = include_str!("limits.md")]
pub mod limits {}

#[doc = include_str!("small_binaries.md")]
pub mod small_binaries {}
