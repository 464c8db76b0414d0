//! What users set and see of permessage-deflate.

use core::fmt;

/// The offer of permessage-deflate, and how messages are compressed if the server accepts it.
///
/// ```
/// use landline::Builder;
/// use landline::deflate::Deflate;
///
/// let builder = Builder::new().deflate(Deflate { min_size: 256, ..Deflate::default() });
/// ```
///
/// **Memory**, from the first compressed message on: for receiving 53 kB whatever the window is,
/// for sending as the table says, and up to 64 KiB more once messages are that long. Without
/// context takeover an idle connection gives all of it back.
///
/// | `client_max_window_bits` | 9 | 10 | 11 | 12 | 13 | 14 | 15 |
/// |---|---|---|---|---|---|---|---|
/// | bytes for sending | 251,520 | 253,568 | 257,664 | 265,856 | 282,240 | 315,008 | 380,544 |
///
/// **Secrets**: who can put text of their own beside a secret in one connection can find the secret
/// out by the length of what is sent. Send such messages with
/// [`send_uncompressed`](crate::Sender::send_uncompressed).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs)] // Users write it down, with the fields that they need.
pub struct Deflate {
    /// Asks the server to compress each message by itself. It saves the server memory. A server
    /// that accepts compression but not this is taken as it is:
    /// [`DeflateParameters::server_no_context_takeover`] tells. Default: no.
    pub server_no_context_takeover: bool,
    /// Compresses each message by itself, and says so beforehand; a server may ask for it anyway.
    /// Similar messages come out larger. Default: no.
    pub client_no_context_takeover: bool,
    /// Asks the server to refer back no further than 2 to the power of this, 8 to 15, in bytes. It
    /// saves the server memory, and nothing here. A server that accepts compression but not this is
    /// taken as it is: [`DeflateParameters::server_max_window_bits`] tells. Default: 15, which asks
    /// for nothing.
    ///
    /// Do not ask for 8 without need: zlib cannot do it on a raw stream. Servers that use zlib
    /// answer with 9, which is accepted, decline compression, or refuse the connection with 400.
    pub server_max_window_bits: u8,
    /// Refers back no further than 2 to the power of this, 9 to 15, in bytes; a server may ask for
    /// less if `offer_client_max_window_bits` is set. Default: 15.
    pub client_max_window_bits: u8,
    /// Offers `client_max_window_bits`, which lets the server ask for a smaller window of ours (RFC
    /// 7692 section 7.1.2.2). Some gateways answer 400 to it: with `false` it is not offered, and a
    /// server that asks for it nevertheless is refused. Default: `true`.
    pub offer_client_max_window_bits: bool,
    /// From 0, which only stores, over 1, the fastest, to 9, the smallest. With 1, what does not
    /// compress grows by a twentieth; with the others, by a thousandth. Default: 6.
    pub level: u8,
    /// Messages of fewer bytes are sent as they are. Default: 64.
    pub min_size: usize,
}

impl Default for Deflate {
    fn default() -> Self {
        Self {
            server_no_context_takeover: false,
            client_no_context_takeover: false,
            server_max_window_bits: 15,
            client_max_window_bits: 15,
            offer_client_max_window_bits: true,
            level: 6,
            // Below it a message and its frame fit into one packet with room to spare.
            min_size: 64,
        }
    }
}

/// What client and server agreed on (RFC 7692 section 7.1). What was asked of the server, but not
/// confirmed by it, does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeflateParameters {
    /// The server compresses each message by itself.
    pub server_no_context_takeover: bool,
    /// We compress each message by itself.
    pub client_no_context_takeover: bool,
    /// The server refers back at most 2 to the power of this, in bytes.
    pub server_max_window_bits: u8,
    /// We refer back at most 2 to the power of this, in bytes. With 8, which zlib cannot do on a
    /// raw stream, all messages are sent uncompressed.
    pub client_max_window_bits: u8,
}

/// A parameter of permessage-deflate (RFC 7692 section 7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums)] // The RFC has four.
pub enum Parameter {
    /// `server_no_context_takeover`
    ServerNoContextTakeover,
    /// `client_no_context_takeover`
    ClientNoContextTakeover,
    /// `server_max_window_bits`
    ServerMaxWindowBits,
    /// `client_max_window_bits`
    ClientMaxWindowBits,
}

/// Why a server's answer to an offer of permessage-deflate is no answer to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DeflateMismatch {
    /// A parameter that RFC 7692 does not have.
    Unknown,
    /// The parameter is there more than once.
    Repeated(Parameter),
    /// The parameter has a value that it cannot have, or has none, or has one and should not.
    Value(Parameter),
    /// A larger window than was offered.
    Larger(Parameter),
    /// The parameter was not offered, and stands in the answer.
    NotOffered(Parameter),
}

impl Parameter {
    const ALL: [Self; 4] = [
        Self::ServerNoContextTakeover,
        Self::ClientNoContextTakeover,
        Self::ServerMaxWindowBits,
        Self::ClientMaxWindowBits,
    ];

    /// As it stands in the header.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ServerNoContextTakeover => "server_no_context_takeover",
            Self::ClientNoContextTakeover => "client_no_context_takeover",
            Self::ServerMaxWindowBits => "server_max_window_bits",
            Self::ClientMaxWindowBits => "client_max_window_bits",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|parameter| parameter.name() == name)
    }
}

impl fmt::Display for DeflateMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (parameter, what) = match self {
            Self::Unknown => return f.write_str("permessage-deflate with an unknown parameter"),
            Self::Repeated(parameter) => (parameter, "is there twice"),
            Self::Value(parameter) => (parameter, "has a value that it cannot have"),
            Self::Larger(parameter) => (parameter, "is larger than offered"),
            Self::NotOffered(parameter) => (parameter, "was not offered"),
        };
        write!(f, "permessage-deflate: {} {what}", parameter.name())
    }
}

impl core::error::Error for DeflateMismatch {}
