//! The protocol without I/O: bytes in, bytes out. No socket, no clock, no thread, no randomness of
//! its own, so a fuzzer, a test or a program with its own event loop can drive it.
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
//!        +-- the driver owes: a Pong for a Ping, a Close for a Close, --+
//!            a Close with Violation::close_code for a violation
//! ```
//!
//! What a driver must do after each verb:
//!
//! * [`recv::Decoder::advance`] says what it [`Found`](recv::Found): take it, and call again.
//!   It says `None`: read into [`recv::Decoder::space`], call [`recv::Decoder::filled`], again.
//! * A [`Message`](recv::Found::Message): take it with [`recv::Decoder::message`], which lends it, or
//!   [`recv::Decoder::take_message`]. A [`Fragment`](recv::Found::Fragment): with
//!   [`recv::Decoder::fragment`]. What is not taken is dropped.
//! * A [`Ping`](recv::Found::Ping): send a Pong with the payload that [`recv::Decoder::control`]
//!   lends; the latest will do (section 5.5.3).
//! * A [`Close`](recv::Found::Close): send a Close with the code of [`recv::Decoder::close`] unless
//!   one was sent, then nothing.
//! * A [`Violation`]: send a Close with its code unless one was sent, read nothing more.
//! * [`keepalive::Timer`]: ask [`due`](keepalive::Timer::due) at each
//!   [`deadline`](keepalive::Timer::deadline); say when a ping was [`sent`](keepalive::Timer::sent).
//! * With compression (`deflate`, RFC 7692): put `deflate::offer` into the request; tell the decoder
//!   what was agreed on, `recv::Decoder::accept_deflate`; put the pieces of `deflate::compress::Compressor`
//!   into frames of `send::Encoder::begin_compressed`.
//!
//! This module is exempt from semantic versioning until 1.0. Types that the rest of the crate shows
//! too, such as [`Message`](crate::Message) and [`Violation`], are not in it but at their stable
//! paths.

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
pub mod utf8;

pub(crate) use error::Violation;
