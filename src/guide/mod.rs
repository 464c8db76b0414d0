//! Holds the guides: a page for each question that is larger than one item of the API.
//!
//! Coming from another library:
//!
//! | to | read |
//! |---|---|
//! | move a program from Python's websocket-client | [`from_websocket_client`] |
//! | move a client from tungstenite | [`from_tungstenite`] |
//! | find a short answer | [`faq`] |
//!
//! Connections:
//!
//! | to | read |
//! |---|---|
//! | use several threads, and end a program cleanly | [`threads`] |
//! | bound the time that anything may take | [`timeouts`] |
//! | decide what to do about an error | [`errors`] |
//! | stay connected | [`reconnecting`] |
//! | send without waiting | [`sending`] |
//! | drive many connections from one thread, or draw 60 pictures a second | [`event_loops`] |
//! | send messages that do not fit into memory | [`big_messages`] |
//! | compress messages, and know the risks | `compression`, with the feature `deflate` |
//!
//! Opening:
//!
//! | to | read |
//! |---|---|
//! | choose whom to trust, and by which cryptography | `tls`, with the feature `tls-core` |
//! | go through a proxy | [`proxies`] |
//! | send cookies and credentials, and follow redirects | [`http`] |
//! | bring a stream of your own | [`own_stream`] |
//!
//! Its cost, and the faults and attacks that it withstands:
//!
//! | to | read |
//! |---|---|
//! | make a small program | [`small_binaries`] |
//! | know how much memory a connection takes | [`memory`] |
//! | know what landline defends against, and what the program must do | [`security`] |
//! | learn what happens without files, threads or memory, and after a stop | [`limits`] |
//!
//! Testing, and the core without I/O:
//!
//! | to | read |
//! |---|---|
//! | test your program | [`testing`] |
//! | fuzz your program, or this crate | [`fuzzing`] |
//! | drive the protocol yourself | [`driving_proto`] |
//!
//! The modules are empty but for their text.

#[doc = include_str!("big_messages.md")]
pub mod big_messages {}

#[cfg(feature = "deflate")]
#[doc = include_str!("compression.md")]
pub mod compression {}

#[doc = include_str!("driving_proto.md")]
pub mod driving_proto {}

#[doc = include_str!("errors.md")]
pub mod errors {}

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

#[doc = include_str!("http.md")]
pub mod http {}

#[doc = include_str!("limits.md")]
pub mod limits {}

#[doc = include_str!("memory.md")]
pub mod memory {}

#[doc = include_str!("own_stream.md")]
#[doc = "```"]
#[doc = include_str!("../../examples/in_memory/pipe.rs")]
#[doc = "```"]
pub mod own_stream {}

#[doc = include_str!("proxies.md")]
pub mod proxies {}

#[doc = include_str!("reconnecting.md")]
pub mod reconnecting {}

#[doc = include_str!("security.md")]
pub mod security {}

#[doc = include_str!("sending.md")]
pub mod sending {}

#[doc = include_str!("small_binaries.md")]
pub mod small_binaries {}

#[doc = include_str!("testing.md")]
#[doc = "```"]
#[doc = include_str!("../../examples/in_memory/peer.rs")]
#[doc = "```"]
pub mod testing {}

#[doc = include_str!("threads.md")]
pub mod threads {}

#[doc = include_str!("timeouts.md")]
pub mod timeouts {}

#[cfg(feature = "tls-core")]
#[doc = include_str!("tls.md")]
pub mod tls {}
