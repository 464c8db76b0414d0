//! permessage-deflate (RFC 7692): what is offered, and what was agreed on.

pub mod compress;
pub mod extension;

use core::fmt;

use super::handshake::Mismatch;

const NAME: &str = "permessage-deflate";

/// The offer of permessage-deflate, and how messages are compressed if the server accepts it.
///
/// ```
/// use landline::{Builder, Deflate};
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

impl Deflate {
    /// The first option that is out of its range.
    #[must_use]
    pub fn out_of_range(&self) -> Option<&'static str> {
        if !(8..=15).contains(&self.server_max_window_bits) {
            return Some("server_max_window_bits");
        }
        // What zlib cannot do is not offered.
        if !(9..=15).contains(&self.client_max_window_bits) {
            return Some("client_max_window_bits");
        }
        (self.level > 9).then_some("level")
    }

    /// The value of `Sec-WebSocket-Extensions`.
    #[must_use]
    pub fn offer(&self) -> String {
        let mut offer = NAME.to_owned();
        // Section 7.1.2.2: that it is there lets the server limit our window.
        if self.offer_client_max_window_bits {
            offer.push_str("; client_max_window_bits");
            if self.client_max_window_bits < 15 {
                offer.push_str(&format!("={}", self.client_max_window_bits));
            }
        }
        if self.server_max_window_bits < 15 {
            offer.push_str(&format!("; server_max_window_bits={}", self.server_max_window_bits));
        }
        if self.client_no_context_takeover {
            offer.push_str("; client_no_context_takeover");
        }
        if self.server_no_context_takeover {
            offer.push_str("; server_no_context_takeover");
        }
        offer
    }

    /// What a server accepted of the [`offer`](Self::offer), of all the lines of
    /// `Sec-WebSocket-Extensions` in its answer; `None` if it declined.
    ///
    /// # Errors
    /// [`Mismatch::Extension`] if it is no list of extensions, or names anything but one
    /// permessage-deflate; [`Mismatch::Deflate`].
    pub fn agree<'a>(
        &self,
        lines: impl Iterator<Item = &'a [u8]>,
    ) -> Result<Option<DeflateParameters>, Mismatch> {
        let mut accepted = None;
        for line in lines {
            for extension in extension::parse(line).ok_or(Mismatch::Extension)? {
                if extension.name != NAME || accepted.is_some() {
                    return Err(Mismatch::Extension);
                }
                accepted = Some(self.accept(&extension.parameters).map_err(Mismatch::Deflate)?);
            }
        }
        Ok(accepted)
    }

    /// RFC 7692 sections 7.1.1 and 7.1.2.
    fn accept(
        &self,
        parameters: &[(&str, Option<String>)],
    ) -> Result<DeflateParameters, DeflateMismatch> {
        let mut server_takeover = None;
        let mut client_takeover = None;
        let mut server_bits = None;
        let mut client_bits = None;
        for (name, value) in parameters {
            let parameter = Parameter::named(name).ok_or(DeflateMismatch::Unknown)?;
            let value = value.as_deref();
            let known = match parameter {
                Parameter::ServerNoContextTakeover => server_takeover.replace(flag(value)),
                Parameter::ClientNoContextTakeover => client_takeover.replace(flag(value)),
                Parameter::ServerMaxWindowBits => server_bits.replace(bits(value)),
                Parameter::ClientMaxWindowBits => client_bits.replace(bits(value)),
            };
            if known.is_some() {
                return Err(DeflateMismatch::Repeated(parameter));
            }
        }
        let flag = |flag: Option<Option<u8>>, parameter| match flag {
            Some(None) => Err(DeflateMismatch::Value(parameter)),
            flag => Ok(flag.is_some()),
        };
        let window = |bits: Option<Option<u8>>, most, parameter| match bits {
            None => Ok(None),
            Some(None) => Err(DeflateMismatch::Value(parameter)),
            Some(Some(bits)) if bits > most => Err(DeflateMismatch::Larger(parameter)),
            Some(bits) => Ok(bits),
        };
        // Sections 7.1.1.1 and 7.1.2.1: a server that accepts these repeats them. Many accept the
        // offer and do not; then they do not hold. We inflate with the largest window, and with
        // context takeover, whatever was asked for: nothing is lost but the server's memory.
        let server_no_context_takeover = flag(server_takeover, Parameter::ServerNoContextTakeover)?;
        let client_no_context_takeover = flag(client_takeover, Parameter::ClientNoContextTakeover)?;
        // zlib cannot do 8 bits on a raw stream. It does 9 instead, and servers say so.
        let most = self.server_max_window_bits.max(9);
        let server_bits = window(server_bits, most, Parameter::ServerMaxWindowBits)?;
        // Section 7.1.2.2: it must not be answered if it was not offered.
        if client_bits.is_some() && !self.offer_client_max_window_bits {
            return Err(DeflateMismatch::NotOffered(Parameter::ClientMaxWindowBits));
        }
        let most = self.client_max_window_bits;
        let client_bits = window(client_bits, most, Parameter::ClientMaxWindowBits)?;
        Ok(DeflateParameters {
            server_no_context_takeover,
            client_no_context_takeover: client_no_context_takeover
                || self.client_no_context_takeover,
            server_max_window_bits: server_bits.unwrap_or(15),
            client_max_window_bits: client_bits.unwrap_or(self.client_max_window_bits),
        })
    }
}

/// A parameter without a value; the number means nothing.
fn flag(value: Option<&str>) -> Option<u8> {
    if value.is_none() { Some(0) } else { None }
}

/// Section 7.1.2.1: a decimal integer from 8 to 15, without leading zeros.
fn bits(value: Option<&str>) -> Option<u8> {
    (8..=15).find(|bits: &u8| value == Some(&*bits.to_string()))
}

impl DeflateParameters {
    /// What is agreed on when a server answers with the name alone.
    pub const NONE: Self = Self {
        server_no_context_takeover: false,
        client_no_context_takeover: false,
        server_max_window_bits: 15,
        client_max_window_bits: 15,
    };
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

    fn named(name: &str) -> Option<Self> {
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
