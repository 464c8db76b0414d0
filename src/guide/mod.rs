//! Holds the guides: a page for each question that is larger than one item of the API.
//!
//! | to | read |
//! |---|---|
//! | send messages that do not fit into memory | [`big_messages`] |
//! | compress messages, and know the risks | `compression`, with the feature `deflate` |
//! | decide what to do about an error | [`errors`] |
//! | drive many connections from one thread, or draw 60 pictures a second | [`event_loops`] |
//! | send cookies and credentials, and follow redirects | [`http`] |
//! | know how much memory a connection takes | [`memory`] |
//! | go through a proxy | [`proxies`] |
//! | stay connected | [`reconnecting`] |
//! | know what landline defends against, and what the program must do | [`security`] |
//! | send without waiting | [`sending`] |
//! | make a small program | [`small_binaries`] |
//! | use several threads, and end a program cleanly | [`threads`] |
//! | bound the time that anything may take | [`timeouts`] |
//! | choose whom to trust, and by which cryptography | `tls`, with the feature `tls` |
//!
//! The modules are empty but for their text.

#[doc = include_str!("big_messages.md")]
pub mod big_messages {}

#[cfg(feature = "deflate")]
#[doc = include_str!("compression.md")]
pub mod compression {}

#[doc = include_str!("errors.md")]
pub mod errors {}

#[doc = include_str!("event_loops.md")]
pub mod event_loops {}

#[doc = include_str!("http.md")]
pub mod http {}

#[doc = include_str!("memory.md")]
pub mod memory {}

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

#[doc = include_str!("threads.md")]
pub mod threads {}

#[doc = include_str!("timeouts.md")]
pub mod timeouts {}

#[cfg(feature = "tls-core")]
#[doc = include_str!("tls.md")]
pub mod tls {}
