//! The ways in which a peer can break the protocol, and in which an opening handshake can fail.

use core::fmt;

use super::close::CloseCode;

/// Names an act of the peer that breaks RFC 6455, or exceeds one of our limits.
///
/// Each violation has a [close code](Self::close_code), which is sent before the connection is
/// given up (RFC 6455 section 7.1.7).
///
/// If it [is a limit](Self::is_limit), raise that limit of the [`Builder`](crate::Builder) or
/// refuse such messages. Any other violation is a fault of the server, or of something in between
/// that changes bytes. The connection is over. A new one may go well if the fault is rare.
///
/// # Examples
///
/// ```
/// use landline::CloseCode;
/// use landline::error::Violation;
///
/// assert!(Violation::MessageTooBig.is_limit());
/// assert_eq!(Violation::MessageTooBig.close_code(), CloseCode::TOO_BIG);
/// assert!(!Violation::InvalidUtf8.is_limit());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Violation {
    /// A reserved bit is set, and no extension that was negotiated gives it a meaning (section
    /// 5.2): the server compresses although that was not agreed on, for example.
    ReservedBits,
    /// RFC 6455 does not define the opcode (section 5.2), which this holds.
    ReservedOpcode(u8),
    /// A frame is masked, which a server must not do (section 5.1).
    MaskedFrame,
    /// A payload length is not in its shortest form (section 5.2).
    NonMinimalLength,
    /// A 64-bit payload length has its top bit set (section 5.2).
    LengthTopBit,
    /// A control frame has no FIN (section 5.5).
    FragmentedControl,
    /// The payload of a control frame is longer than 125 bytes (section 5.5).
    ControlTooLong,
    /// A continuation frame came while no message was open (section 5.4).
    UnexpectedContinuation,
    /// A new message began before the last one was finished (section 5.4).
    ExpectedContinuation,
    /// Text is not UTF-8 (section 8.1). [`unchecked_text`](crate::Builder::unchecked_text) accepts
    /// it from a server that cannot be mended.
    InvalidUtf8,
    /// Compressed data is not valid, or does not end as RFC 7692 section 7.2.2 says. Do not offer
    /// compression to such a server.
    InvalidDeflate,
    /// The payload of a Close frame is a single byte (section 5.5.1).
    CloseLength,
    /// A close code must not stand in a frame (section 7.4); this holds the code.
    CloseCode(u16),
    /// A close reason is not UTF-8 (section 5.5.1).
    CloseReason,
    /// A frame is longer than [`max_frame_size`](crate::Builder::max_frame_size).
    FrameTooBig,
    /// A message is longer than [`max_message_size`](crate::Builder::max_message_size).
    MessageTooBig,
    /// A message has more than [`max_fragments`](crate::Builder::max_fragments) frames.
    TooManyFragments,
    /// More than [`max_empty_fragments`](crate::Builder::max_empty_fragments) empty fragments came
    /// in a row.
    TooManyEmptyFragments,
    /// There is no memory for a message that the limits allow. Lower the limits, or read such
    /// messages by a [reader](crate::WebSocket::reader).
    OutOfMemory,
}

impl Violation {
    /// Returns whether the peer kept to the RFC, and only exceeded a limit of ours.
    #[must_use]
    pub fn is_limit(self) -> bool {
        matches!(
            self,
            Self::FrameTooBig
                | Self::MessageTooBig
                | Self::TooManyFragments
                | Self::TooManyEmptyFragments
                | Self::OutOfMemory
        )
    }

    /// Returns the code of the Close frame that answers the violation: 1002, 1007, 1008 or 1009
    /// (RFC 6455 section 7.4.1).
    #[must_use]
    pub fn close_code(self) -> CloseCode {
        match self {
            Self::InvalidUtf8 | Self::InvalidDeflate | Self::CloseReason => {
                CloseCode::INVALID_PAYLOAD
            }
            Self::FrameTooBig | Self::MessageTooBig | Self::OutOfMemory => CloseCode::TOO_BIG,
            Self::TooManyFragments | Self::TooManyEmptyFragments => CloseCode::POLICY_VIOLATION,
            _ => CloseCode::PROTOCOL_ERROR,
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ReservedBits => "a reserved bit is set",
            Self::ReservedOpcode(opcode) => return write!(f, "reserved opcode {opcode:#x}"),
            Self::MaskedFrame => "a frame from the server is masked",
            Self::NonMinimalLength => "a payload length is not in its shortest form",
            Self::LengthTopBit => "a payload length has its top bit set",
            Self::FragmentedControl => "a control frame is fragmented",
            Self::ControlTooLong => "a control frame is longer than 125 bytes",
            Self::UnexpectedContinuation => "a continuation frame without a message to continue",
            Self::ExpectedContinuation => "a new message inside an unfinished one",
            Self::InvalidUtf8 => "text is not UTF-8",
            Self::InvalidDeflate => "compressed data is not valid",
            Self::CloseLength => "a Close payload of one byte",
            Self::CloseCode(code) => {
                return write!(f, "close code {code} is not allowed in a frame");
            }
            Self::CloseReason => "a close reason is not UTF-8",
            Self::FrameTooBig => "a frame is over max_frame_size",
            Self::MessageTooBig => "a message is over max_message_size",
            Self::TooManyFragments => "a message is over max_fragments",
            Self::TooManyEmptyFragments => "too many empty fragments in a row",
            Self::OutOfMemory => "no memory for the message",
        })
    }
}

impl core::error::Error for Violation {}

/// Names the check of RFC 6455 section 4.1 that a server's 101 failed.
///
/// The server, or something between it and this machine, is broken. No connection is opened,
/// because both sides could understand the bytes in different ways.
/// [`Error::response`](crate::Error::response) has the answer. Report it to those who run the
/// server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Mismatch {
    /// The version is not HTTP/1.1.
    Version,
    /// `Upgrade` is not there exactly once, or is not `websocket`.
    Upgrade,
    /// `Connection` does not contain the token `Upgrade`.
    Connection,
    /// `Sec-WebSocket-Accept` is not there exactly once, or does not answer our key: a cache may
    /// have answered.
    Accept,
    /// `Sec-WebSocket-Extensions` is malformed, or names an extension that was not offered. The
    /// text of the error shows the line. It may help to offer compression, or not to.
    Extension,
    /// A parameter of permessage-deflate does not fit the offer. Offer others, or no compression.
    #[cfg(feature = "deflate")]
    Deflate(super::deflate::options::DeflateMismatch),
    /// `Sec-WebSocket-Protocol` is there more than once, or is not exactly one of the subprotocols
    /// that were offered. Offer the one that the server wants:
    /// [`Builder::subprotocols`](crate::Builder::subprotocols).
    Subprotocol,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Version => "the 101 is not HTTP/1.1",
            Self::Upgrade => "Upgrade is missing, repeated, or not \"websocket\"",
            Self::Connection => "Connection does not say Upgrade",
            Self::Accept => "Sec-WebSocket-Accept is missing, repeated, or wrong",
            Self::Extension => {
                "the server uses an extension that was not offered, or the header is malformed"
            }
            #[cfg(feature = "deflate")]
            Self::Deflate(mismatch) => return mismatch.fmt(f),
            Self::Subprotocol => {
                "Sec-WebSocket-Protocol is repeated, or names a subprotocol that was not offered"
            }
        })
    }
}

impl core::error::Error for Mismatch {}

/// Tells why a response head is not accepted: that of a server, or of a proxy.
///
/// An answer that opens a connection is read strictly, so that nobody can smuggle bytes into it.
/// The limits cannot be changed. A refusal is read leniently, because it says why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HeadError {
    /// The answer does not begin with `HTTP/`. It is another service, or a port for TLS.
    NotHttp,
    /// The status line does not begin with `HTTP/1.0` or `HTTP/1.1`, a space and three digits.
    BadStatusLine,
    /// A header line is not allowed by RFC 9112 section 5, or is folded.
    BadHeader,
    /// A line ends in a bare LF, or has a bare CR.
    BadLineEnd,
    /// A line is longer than 16 KiB.
    LineTooLong,
    /// The head has more than 128 header lines.
    TooManyLines,
    /// The head is longer than 64 KiB.
    HeadTooLarge,
}

impl fmt::Display for HeadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotHttp => "the answer is not HTTP (is it a TLS port, or another service?)",
            Self::BadStatusLine => "the status line is malformed",
            Self::BadHeader => "a header line is malformed",
            Self::BadLineEnd => "a line does not end in CR LF",
            Self::LineTooLong => "a header line is longer than 16 KiB",
            Self::TooManyLines => "the response head has more than 128 header lines",
            Self::HeadTooLarge => "the response head is larger than 64 KiB",
        })
    }
}

impl core::error::Error for HeadError {}

/// Tells why a SOCKS proxy did not open the tunnel.
/// [`ProxyProblem::Socks`](crate::error::ProxyProblem::Socks) holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SocksError {
    /// The answer does not begin as one of this version does; holds its first byte. Is the port
    /// that of a SOCKS proxy, and the scheme the right version?
    NotSocks(u8),
    /// The proxy accepts none of the authentication methods that were offered. Give it a user and a
    /// password. It may want one that landline does not know, such as GSSAPI.
    NoAcceptableMethod,
    /// The proxy chose an authentication method that was not offered; holds its number.
    Method(u8),
    /// The proxy did not accept user and password (RFC 1929). The same fails again.
    WrongPassword,
    /// A SOCKS 4 proxy refused; holds the reply code, which is not 90. Code 91 stands for most
    /// failures, and is worth another attempt.
    Refused4(u8),
    /// A SOCKS 5 proxy refused; holds the reply code, 1 and above (RFC 1928 section 6). With 2 the
    /// proxy does not allow this server. With 1 and 3 to 6 the server cannot be reached at the
    /// moment: try again later.
    Refused5(u8),
    /// The reply has an address of an unknown type; holds the type.
    AddressType(u8),
}

impl fmt::Display for SocksError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSocks(first) => {
                write!(f, "the answer is not SOCKS of this version (it begins with {first:#04x})")
            }
            Self::NoAcceptableMethod => {
                f.write_str("the proxy wants another authentication method")
            }
            Self::Method(method) => {
                write!(f, "the proxy chose authentication method {method}, which was not offered")
            }
            Self::WrongPassword => {
                f.write_str("the proxy did not accept the user and the password")
            }
            Self::Refused4(code) => {
                let why = match code {
                    91 => "rejected or failed",
                    92 => "the proxy found no identd on this machine",
                    93 => "identd reported another user",
                    _ => "unknown code",
                };
                write!(f, "refused: {why} ({code})")
            }
            Self::Refused5(code) => {
                let why = match code {
                    1 => "general failure",
                    2 => "not allowed",
                    3 => "network unreachable",
                    4 => "host unreachable",
                    5 => "connection refused",
                    6 => "TTL expired",
                    7 => "command not supported",
                    8 => "address type not supported",
                    _ => "unknown code",
                };
                write!(f, "refused: {why} ({code})")
            }
            Self::AddressType(kind) => {
                write!(f, "the proxy's reply has an unknown address type, {kind}")
            }
        }
    }
}

impl core::error::Error for SocksError {}
