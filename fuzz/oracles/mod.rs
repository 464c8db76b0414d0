//! What each fuzz target checks, as a function over bytes. The targets call them with whatever the
//! fuzzer finds; `tests/core/corpus.rs` calls them with every file of the corpus, on stable.

// Oracles panic: that is how they speak. They are modules of two crates.
#![allow(clippy::unwrap_used, unreachable_pub)]

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
pub mod no_proxy;
pub mod proxy_url;
pub mod session;
pub mod set_cookie;
pub mod socks_reply;
pub mod url_and_headers;
pub mod utf8;

/// An oracle: panics when the code under test breaks its promise.
pub type Oracle = fn(&[u8]);

/// All of them by the name of their target; without the feature `deflate`, those that need it are
/// not there.
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
    ("no_proxy", no_proxy::check),
    ("proxy_url", proxy_url::check),
    ("session", session::check),
    ("set_cookie", set_cookie::check),
    ("socks_reply", socks_reply::check),
    ("url_and_headers", url_and_headers::check),
    ("utf8", utf8::check),
];

/// Cuts bytes into pieces whose lengths the plan gives, over and over; an empty plan does not cut.
pub fn cut<'a>(mut bytes: &'a [u8], plan: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let mut lengths = plan.iter().cycle();
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let len = lengths.next().map_or(bytes.len(), |&len| usize::from(len) + 1);
        let (piece, rest) = bytes.split_at(len.min(bytes.len()));
        bytes = rest;
        Some(piece)
    })
}

/// Splits the input: a byte that says how long the first part is, that part, the rest.
pub fn split(data: &[u8]) -> (&[u8], &[u8]) {
    let Some((&len, data)) = data.split_first() else { return (&[], &[]) };
    data.split_at(usize::from(len).min(data.len()))
}
