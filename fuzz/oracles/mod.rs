//! The oracles: for each fuzz target a function that checks any bytes. The targets call them with
//! the inputs of the fuzzer; `tests/core/corpus.rs` calls them with every file of the corpora, on
//! stable.

// An oracle reports a failure by a panic. The oracles are modules of two crates.
#![allow(clippy::unwrap_used, unreachable_pub)]

use std::cell::Cell;
use std::fmt::{self, Write as _};

pub mod close_payload;
pub mod connect_reply;
pub mod connection;
#[cfg(feature = "deflate")]
pub mod deflate_roundtrip;
pub mod differential;
#[cfg(feature = "deflate")]
pub mod extension_header;
pub mod frame_header;
pub mod frame_stream;
pub mod handshake_response;
#[cfg(feature = "deflate")]
pub mod inflate_stream;
pub mod location;
pub mod mask;
#[cfg(feature = "proxy")]
pub mod no_proxy;
#[cfg(feature = "proxy")]
pub mod proxy_url;
pub mod session;
pub mod set_cookie;
pub mod socks_reply;
pub mod strict_url;
pub mod url_and_headers;
pub mod utf8;

/// An oracle: panics if the code under test breaks a promise.
pub type Oracle = fn(&[u8]);

/// All oracles, with the name of their target. Those that need a feature are missing without it.
pub const ALL: &[(&str, Oracle)] = &[
    ("close_payload", close_payload::check),
    ("connect_reply", connect_reply::check),
    ("connection", connection::check),
    #[cfg(feature = "deflate")]
    ("deflate_roundtrip", deflate_roundtrip::check),
    ("differential", differential::check),
    #[cfg(feature = "deflate")]
    ("extension_header", extension_header::check),
    ("frame_header", frame_header::check),
    ("frame_stream", frame_stream::check),
    ("handshake_response", handshake_response::check),
    #[cfg(feature = "deflate")]
    ("inflate_stream", inflate_stream::check),
    ("location", location::check),
    ("mask", mask::check),
    #[cfg(feature = "proxy")]
    ("no_proxy", no_proxy::check),
    #[cfg(feature = "proxy")]
    ("proxy_url", proxy_url::check),
    ("session", session::check),
    ("set_cookie", set_cookie::check),
    ("socks_reply", socks_reply::check),
    ("strict_url", strict_url::check),
    ("url_and_headers", url_and_headers::check),
    ("utf8", utf8::check),
];

/// Notes what the code under test made of an input, such as the messages and the error. An oracle
/// notes the same on every processor, and nothing random. The notes do nothing by themselves.
pub fn note(result: &dyn fmt::Debug) {
    if let Some(mut digest) = DIGEST.get() {
        writeln!(digest, "{result:?}").unwrap();
        DIGEST.set(Some(digest));
    }
}

/// Calls the oracle, and returns a digest of all that it noted.
pub fn digest(oracle: Oracle, data: &[u8]) -> u64 {
    // The offset basis of FNV-1a.
    DIGEST.set(Some(Digest(0xCBF2_9CE4_8422_2325)));
    oracle(data);
    DIGEST.take().unwrap().0
}

thread_local! {
    /// The digest of the notes of this thread. `None`: nobody asks for it.
    static DIGEST: Cell<Option<Digest>> = const { Cell::new(None) };
}

/// FNV-1a, which gives the same on every processor.
#[derive(Clone, Copy)]
struct Digest(u64);

impl fmt::Write for Digest {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3);
        }
        Ok(())
    }
}

/// Cuts bytes into parts. Their lengths are the numbers of the plan plus one, from the start again
/// when the plan is at its end. An empty plan does not cut.
pub fn cut<'a>(mut bytes: &'a [u8], plan: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let mut lengths = plan.iter().cycle();
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let len = lengths.next().map_or(bytes.len(), |&len| usize::from(len) + 1);
        let (part, rest) = bytes.split_at(len.min(bytes.len()));
        bytes = rest;
        Some(part)
    })
}

/// Splits the input into two parts. Its first byte is the length of the first part.
pub fn split(data: &[u8]) -> (&[u8], &[u8]) {
    let Some((&len, data)) = data.split_first() else { return (&[], &[]) };
    data.split_at(usize::from(len).min(data.len()))
}
