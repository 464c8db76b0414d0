//! The options, results and errors of permessage-deflate that users see.

use core::fmt;

/// Holds the options of permessage-deflate: what is offered to the server, and how messages are
/// compressed if the server accepts it.
///
/// **Memory**, from the first compressed message on: receiving takes 52 KiB, whatever the window
/// is. Sending takes what the table says, and up to 64 KiB more once messages are that long.
/// Without context takeover an idle connection frees all of it.
///
/// | `client_max_window_bits` | 9 | 10 | 11 | 12 | 13 | 14 | 15 |
/// |---|---|---|---|---|---|---|---|
/// | KiB for sending | 246 | 248 | 252 | 260 | 276 | 308 | 372 |
///
/// **Secrets**: an attacker who can place text next to a secret in one connection, and sees how
/// long the frames are, can learn the secret (CRIME is such an attack). Send such messages with
/// [`send_uncompressed`](crate::Sender::send_uncompressed). The guide
/// [`compression`](crate::guide::compression) says more about risks and memory.
///
/// Each option has a setter, and a field of the same name to read it. A number that is out of its
/// range is reported when connecting, as
/// [`InvalidInput::Deflate`](crate::error::InvalidInput::Deflate).
///
/// # Examples
///
/// Short messages are sent as they are, and sending takes as little memory as it can:
///
/// ```
/// use landline::Builder;
/// use landline::deflate::Deflate;
///
/// let deflate = Deflate::new().min_size(256).client_max_window_bits(9);
/// assert_eq!(deflate.min_size, 256);
/// let builder = Builder::new().deflate(deflate);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Deflate {
    /// The server is asked to compress each message by itself.
    pub server_no_context_takeover: bool,
    /// The client compresses each message by itself.
    pub client_no_context_takeover: bool,
    /// The server is asked to refer back at most 2 to the power of this number, in bytes.
    pub server_max_window_bits: u8,
    /// The client refers back at most 2 to the power of this number, in bytes.
    pub client_max_window_bits: u8,
    /// The server may ask for a smaller window of the client.
    pub offer_client_max_window_bits: bool,
    /// The level of compression.
    pub level: u8,
    /// The minimum length of a message that is compressed, in bytes.
    pub min_size: usize,
}

impl Default for Deflate {
    fn default() -> Self {
        Self::new()
    }
}

impl Deflate {
    /// Makes options with all defaults.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            server_no_context_takeover: false,
            client_no_context_takeover: false,
            server_max_window_bits: 15,
            client_max_window_bits: 15,
            offer_client_max_window_bits: true,
            level: 6,
            // A shorter message fits into one packet with room to spare.
            min_size: 64,
        }
    }

    /// Sets whether the server is asked to compress each message by itself, which saves the server
    /// memory. If the server accepts compression but not this, the connection is opened
    /// nevertheless: [`DeflateParameters::server_no_context_takeover`] has the answer. Default: no.
    #[must_use]
    pub const fn server_no_context_takeover(mut self, yes: bool) -> Self {
        self.server_no_context_takeover = yes;
        self
    }

    /// Sets whether each message is compressed by itself, which the offer then tells the server.
    /// Messages that resemble earlier ones become larger. Default: no; but the server may ask for
    /// it.
    #[must_use]
    pub const fn client_no_context_takeover(mut self, yes: bool) -> Self {
        self.client_no_context_takeover = yes;
        self
    }

    /// Asks the server to refer back no further than 2 to the power of this number, 8 to 15, in
    /// bytes. That saves the server memory, and none here. If the server accepts compression but
    /// not this, the connection is opened nevertheless:
    /// [`DeflateParameters::server_max_window_bits`] has the answer. Default: 15, which asks for
    /// nothing.
    ///
    /// Do not ask for 8 without need: zlib cannot do it on a raw stream. Servers that use zlib
    /// answer with 9, which is accepted, or decline compression, or refuse the connection with 400.
    #[must_use]
    pub const fn server_max_window_bits(mut self, bits: u8) -> Self {
        self.server_max_window_bits = bits;
        self
    }

    /// Refers back no further than 2 to the power of this number, 9 to 15, in bytes. A server may
    /// ask for less if [`offer_client_max_window_bits`](Self::offer_client_max_window_bits()) is
    /// set. Default: 15.
    #[must_use]
    pub const fn client_max_window_bits(mut self, bits: u8) -> Self {
        self.client_max_window_bits = bits;
        self
    }

    /// Sets whether `client_max_window_bits` is offered, which lets the server ask for a smaller
    /// window of ours (RFC 7692 section 7.1.2.2). Some gateways answer 400 to that. If it is not
    /// offered, and the server asks for a window nevertheless, connecting fails. Default: yes.
    #[must_use]
    pub const fn offer_client_max_window_bits(mut self, yes: bool) -> Self {
        self.offer_client_max_window_bits = yes;
        self
    }

    /// Sets the level of compression: 0 only stores, 1 is the fastest, 9 gives the smallest output.
    /// Data that does not compress grows by a twentieth with level 1, by a thousandth with the
    /// others. Default: 6.
    #[must_use]
    pub const fn level(mut self, level: u8) -> Self {
        self.level = level;
        self
    }

    /// Sets the minimum length of a message that is compressed, in bytes. Shorter ones are sent as
    /// they are. Default: 64.
    #[must_use]
    pub const fn min_size(mut self, bytes: usize) -> Self {
        self.min_size = bytes;
        self
    }
}

/// Holds the parameters that client and server agreed on (RFC 7692 section 7.1). What the client
/// asked for does not hold unless the server confirmed it.
///
/// # Examples
///
/// ```no_run
/// use landline::Builder;
/// use landline::deflate::Deflate;
///
/// let ws = Builder::new().deflate(Deflate::new()).connect("wss://example.com/feed")?;
/// match ws.deflate() {
///     Some(agreed) if agreed.server_no_context_takeover => println!("each message by itself"),
///     Some(agreed) => println!("a window of 2^{} bytes", agreed.server_max_window_bits),
///     None => println!("not compressed"),
/// }
/// # Ok::<(), landline::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeflateParameters {
    /// The server compresses each message by itself.
    pub server_no_context_takeover: bool,
    /// The client compresses each message by itself.
    pub client_no_context_takeover: bool,
    /// The server refers back at most 2 to the power of this number, in bytes.
    pub server_max_window_bits: u8,
    /// The client refers back at most 2 to the power of this number, in bytes. With 8, which zlib
    /// cannot do on a raw stream, all messages are sent uncompressed.
    pub client_max_window_bits: u8,
}

/// Names a parameter of permessage-deflate (RFC 7692 section 7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums)] // The RFC has four.
pub enum DeflateParameter {
    /// `server_no_context_takeover`
    ServerNoContextTakeover,
    /// `client_no_context_takeover`
    ClientNoContextTakeover,
    /// `server_max_window_bits`
    ServerMaxWindowBits,
    /// `client_max_window_bits`
    ClientMaxWindowBits,
}

/// Tells why the permessage-deflate in a server's answer does not fit the offer.
/// [`Mismatch::Deflate`](crate::error::Mismatch::Deflate) holds it.
///
/// The connection is not opened, because the two sides would not understand each other's messages.
/// Change the offer, or do not offer compression to this server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DeflateMismatch {
    /// RFC 7692 does not have the parameter.
    Unknown,
    /// The parameter is there more than once.
    Repeated(DeflateParameter),
    /// The value of the parameter is not allowed, or is missing, or should not be there.
    Value(DeflateParameter),
    /// The parameter asks for a larger window than was offered.
    Larger(DeflateParameter),
    /// The parameter is in the answer, but was not offered. For `client_max_window_bits`, set
    /// [`offer_client_max_window_bits`](Deflate::offer_client_max_window_bits()).
    NotOffered(DeflateParameter),
}

impl DeflateParameter {
    const ALL: [Self; 4] = [
        Self::ServerNoContextTakeover,
        Self::ClientNoContextTakeover,
        Self::ServerMaxWindowBits,
        Self::ClientMaxWindowBits,
    ];

    /// Returns the name that stands in the header.
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
            Self::Value(parameter) => (parameter, "has a value that it cannot have, or none"),
            Self::Larger(parameter) => (parameter, "is larger than offered"),
            Self::NotOffered(parameter) => (parameter, "was not offered"),
        };
        write!(f, "permessage-deflate: {} {what}", parameter.name())
    }
}

impl core::error::Error for DeflateMismatch {}
