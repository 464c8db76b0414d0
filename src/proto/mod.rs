//! Speaks the protocol without I/O: bytes in, bytes out. No socket, no clock, no thread, no
//! randomness of its own, so a fuzzer, a test or a program with its own event loop can drive it.
//!
//! ```text
//!  bytes from the peer                                   bytes to the peer
//!        |                                                      ^
//!  space + filled                                        out: &mut Vec<u8>
//!        v                                                      |
//!  recv::Decoder                               begin, control, close --> send::Encoder
//!        | advance --> Found                                    ^
//!        | message, fragment, control, close                    |
//!        v                                                      |
//!        +-- the driver answers: a Ping with a Pong, ---------->+
//!            a Close with a Close, a Violation with a Close that has its close code
//! ```
//!
//! A driver must do this after each verb:
//!
//! * [`recv::Decoder::advance`] returned something [`Found`](recv::Found): take it, and call
//!   `advance` again. It returned `None`: read into [`recv::Decoder::space`], call
//!   [`recv::Decoder::filled`], and call `advance` again.
//! * A [`Message`](recv::Found::Message): borrow it with [`recv::Decoder::message`], or own it with
//!   [`recv::Decoder::take_message`]. A [`Fragment`](recv::Found::Fragment): borrow it with
//!   [`recv::Decoder::fragment`]. What is not taken is dropped.
//! * A [`Ping`](recv::Found::Ping): send a Pong with the payload that [`recv::Decoder::control`]
//!   lends. If several Pings wait for an answer, the latest is enough (section 5.5.3).
//! * A [`Close`](recv::Found::Close): send a Close with the code of [`recv::Decoder::close`],
//!   unless one was sent already. Send nothing after it.
//! * A [`Violation`]: send a Close with its [code](Violation::close_code), unless one was sent
//!   already. Read nothing more.
//! * [`keepalive::Timer`]: ask [`due`](keepalive::Timer::due) at each
//!   [`deadline`](keepalive::Timer::deadline); report each ping with
//!   [`sent`](keepalive::Timer::sent).
//! * With compression (`deflate`, RFC 7692): put `deflate::offer` into the request; give the
//!   decoder the parameters that were agreed on, with `recv::Decoder::accept_deflate`; send the
//!   chunks of `deflate::compress::Compressor` in frames of `send::Encoder::begin_compressed`.
//!
//! This module may change in each release 0.x, but not in a patch; semantic versioning does not
//! cover it after 1.0. Types that the rest of the crate shows too, such as
//! [`Message`](crate::Message) and [`Violation`], are not in it but at their stable paths.

pub(crate) mod close;
pub mod date;
#[cfg(feature = "deflate")]
pub mod deflate;
#[cfg(not(feature = "deflate"))]
#[path = "deflate/off.rs"]
pub(crate) mod deflate;
pub(crate) mod error;
pub mod frame;
pub mod handshake;
pub mod http;
pub mod keepalive;
pub mod location;
pub mod mask;
pub(crate) mod message;
pub mod recv;
pub mod send;
pub mod socks;
pub(crate) mod url;
pub mod utf8;

pub(crate) use error::Violation;
