//! Holds the guides: a page for each question that is larger than one item of the API.
//!
//! | to | read |
//! |---|---|
//! | drive the protocol yourself, without I/O | [`driving_proto`] |
//! | drive many connections from one thread | [`event_loops`] |
//! | find a short answer | [`faq`] |
//! | move a client from tungstenite | [`from_tungstenite`] |
//! | move a program from Python's websocket-client | [`from_websocket_client`] |
//! | fuzz your program, or this crate | [`fuzzing`] |
//! | bring a stream of your own | [`own_stream`] |
//! | make a small program | [`small_binaries`] |
//! | test your program | [`testing`] |
//!
//! The modules are empty but for their text.

#[doc = include_str!("driving_proto.md")]
pub mod driving_proto {}

#[doc = include_str!("event_loops.md")]
pub mod event_loops {}

#[doc = include_str!("faq.md")]
pub mod faq {}

#[doc = include_str!("from_tungstenite.md")]
pub mod from_tungstenite {}

#[doc = include_str!("from_websocket_client.md")]
pub mod from_websocket_client {}

#[doc = include_str!("fuzzing.md")]
pub mod fuzzing {}

#[doc = include_str!("own_stream.md")]
#[doc = "```"]
#[doc = include_str!("../../examples/in_memory/pipe.rs")]
#[doc = "```"]
pub mod own_stream {}

#[doc = include_str!("small_binaries.md")]
pub mod small_binaries {}

#[doc = include_str!("testing.md")]
#[doc = "```"]
#[doc = include_str!("../../examples/in_memory/peer.rs")]
#[doc = "```"]
pub mod testing {}
