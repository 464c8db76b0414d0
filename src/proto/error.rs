//! What a peer can do wrong, and the close code that each wrong is answered with.

use core::fmt;

/// The peer broke RFC 6455, or went over one of our limits.
///
/// Each has the [close code](Self::close_code) that is sent before the connection is given up
/// (RFC 6455 section 7.1.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Violation {
    /// A reserved bit is set, and no extension that gives it a meaning was negotiated (section 5.2).
    ReservedBits,
    /// An opcode that RFC 6455 does not define (section 5.2); holds the opcode.
    ReservedOpcode(u8),
    /// A server must not mask its frames (section 5.1).
    MaskedFrame,
    /// A payload length that is not in its shortest form (section 5.2).
    NonMinimalLength,
    /// A 64-bit length whose top bit is set (section 5.2).
    LengthTopBit,
    /// A control frame without FIN (section 5.5).
    FragmentedControl,
    /// A control frame with more than 125 bytes (section 5.5).
    ControlTooLong,
    /// A continuation frame, but no message is open (section 5.4).
    UnexpectedContinuation,
    /// A new message, but the last one is not finished (section 5.4).
    ExpectedContinuation,
    /// Text that is not UTF-8 (section 8.1).
    InvalidUtf8,
    /// Compressed data that is not, or does not end as RFC 7692 section 7.2.2 says.
    InvalidDeflate,
    /// A Close payload of one byte (section 5.5.1).
    CloseLength,
    /// A close code that must not stand in a frame (section 7.4); holds the code.
    CloseCode(u16),
    /// A close reason that is not UTF-8 (section 5.5.1).
    CloseReason,
    /// A frame longer than `max_frame_size`.
    FrameTooBig,
    /// A message longer than `max_message_size`.
    MessageTooBig,
    /// A message in more than `max_fragments` frames.
    TooManyFragments,
    /// Too many empty fragments in a row.
    TooManyEmptyFragments,
    /// There is no memory for a message that the limits allow.
    OutOfMemory,
}

impl Violation {
    /// Whether the peer kept to the RFC and only went over a limit of ours.
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
