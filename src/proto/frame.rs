//! Reads and writes the frame header (RFC 6455 section 5.2).

use super::close::{CloseCode, CloseFrame};
use super::error::Violation;
use super::message::MessageKind;

/// The maximum length of a control frame's payload, in bytes (section 5.5).
pub const MAX_CONTROL_PAYLOAD: usize = 125;

/// The maximum length of a header, in bytes: two, a 64-bit length, a masking key.
pub const MAX_HEADER: usize = 14;

/// Names the type of a frame (section 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Opcode {
    /// The next part of the open message.
    Continuation = 0x0,
    /// The first or only frame of a text message.
    Text = 0x1,
    /// The first or only frame of a binary message.
    Binary = 0x2,
    /// Begins or answers the closing handshake.
    Close = 0x8,
    /// Asks for a Pong.
    Ping = 0x9,
    /// Answers a Ping, or comes unasked.
    Pong = 0xA,
}

impl Opcode {
    /// Returns the opcode that has these four bits; `None` for those that the RFC reserves.
    #[must_use]
    pub fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xA => Self::Pong,
            _ => return None,
        })
    }

    /// Returns the four bits that stand in the header.
    #[must_use]
    pub fn bits(self) -> u8 {
        self as u8
    }

    /// Returns whether the opcode is a control frame's: Close, Ping or Pong (section 5.5).
    #[must_use]
    pub fn is_control(self) -> bool {
        self.bits() & 0x8 != 0
    }
}

impl From<MessageKind> for Opcode {
    /// Returns the opcode of the first frame of a message.
    fn from(kind: MessageKind) -> Self {
        match kind {
            MessageKind::Text => Self::Text,
            MessageKind::Binary => Self::Binary,
        }
    }
}

/// Holds the header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs)] // These are all the fields that the RFC has.
pub struct Header {
    /// The frame is the last one of its message.
    pub fin: bool,
    /// The reserved bits: RSV1 is 4, RSV2 is 2, RSV3 is 1.
    pub rsv: u8,
    /// The type of the frame.
    pub opcode: Opcode,
    /// The masking key. Clients must mask, servers must not (section 5.1).
    pub mask: Option<[u8; 4]>,
    /// The length of the payload in bytes.
    pub len: u64,
}

impl Header {
    /// Reads a header from the front of `bytes`. Returns the header and its length in bytes, or
    /// `None` if the header is incomplete. An incomplete header fails too, at its first wrong byte.
    ///
    /// The caller checks the reserved bits and the mask: they depend on the extensions that were
    /// negotiated, and on who is the server.
    ///
    /// # Errors
    /// [`Violation::ReservedOpcode`], [`Violation::FragmentedControl`],
    /// [`Violation::ControlTooLong`], [`Violation::NonMinimalLength`], [`Violation::LengthTopBit`].
    pub fn decode(bytes: &[u8]) -> Result<Option<(Self, usize)>, Violation> {
        let Some(&first) = bytes.first() else { return Ok(None) };
        let fin = first & 0x80 != 0;
        let bits = first & 0x0F;
        let opcode = Opcode::from_bits(bits).ok_or(Violation::ReservedOpcode(bits))?;
        // Section 5.5: control frames must not be fragmented.
        if opcode.is_control() && !fin {
            return Err(Violation::FragmentedControl);
        }
        let Some(&second) = bytes.get(1) else { return Ok(None) };
        let (len, mut at) = match second & 0x7F {
            126 | 127 if opcode.is_control() => return Err(Violation::ControlTooLong),
            126 => {
                let Some(len) = bytes.get(2..4) else { return Ok(None) };
                let len = u64::from(u16::from_be_bytes([len[0], len[1]]));
                // Section 5.2: the minimal number of bytes must be used to encode the length.
                if len < 126 {
                    return Err(Violation::NonMinimalLength);
                }
                (len, 4)
            }
            127 => {
                // Section 5.2: the most significant bit must be 0.
                if bytes.get(2).is_some_and(|byte| byte & 0x80 != 0) {
                    return Err(Violation::LengthTopBit);
                }
                // A length that fits into two bytes must be written in two (section 5.2).
                if bytes.get(2..8).is_some_and(|high| high == [0; 6]) {
                    return Err(Violation::NonMinimalLength);
                }
                let Some((len, _)) = bytes[2..].split_first_chunk() else { return Ok(None) };
                (u64::from_be_bytes(*len), 10)
            }
            len => (u64::from(len), 2),
        };
        let mut mask = None;
        if second & 0x80 != 0 {
            let Some((key, _)) = bytes[at..].split_first_chunk() else { return Ok(None) };
            mask = Some(*key);
            at += 4;
        }
        let rsv = (first >> 4) & 0x7;
        Ok(Some((Self { fin, rsv, opcode, mask, len }, at)))
    }

    /// Appends the header to `out`, with the length in its shortest form.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let masked = if self.mask.is_some() { 0x80 } else { 0 };
        let first = u8::from(self.fin) << 7 | (self.rsv & 0x7) << 4 | self.opcode.bits();
        if self.len < 126 {
            out.extend_from_slice(&[first, masked | self.len.to_be_bytes()[7]]);
        } else if let Ok(len) = u16::try_from(self.len) {
            out.extend_from_slice(&[first, masked | 126]);
            out.extend_from_slice(&len.to_be_bytes());
        } else {
            out.extend_from_slice(&[first, masked | 127]);
            out.extend_from_slice(&self.len.to_be_bytes());
        }
        if let Some(key) = self.mask {
            out.extend_from_slice(&key);
        }
    }
}

/// Reads the payload of a Close frame.
///
/// # Errors
/// [`Violation::CloseLength`], [`Violation::CloseCode`], [`Violation::CloseReason`].
pub fn decode_close(payload: &[u8]) -> Result<CloseFrame, Violation> {
    match payload {
        [] => Ok(CloseFrame::empty()),
        // Section 5.5.1: if there is a body, its first two bytes must be a code.
        [_] => Err(Violation::CloseLength),
        [high, low, reason @ ..] => {
            let code = CloseCode::new(u16::from_be_bytes([*high, *low]));
            if !code.is_sendable() {
                return Err(Violation::CloseCode(code.value()));
            }
            let reason = std::str::from_utf8(reason).map_err(|_| Violation::CloseReason)?;
            Ok(CloseFrame::new(code, reason))
        }
    }
}

/// Returns the payload of a Close frame: two bytes of code, then the reason.
#[must_use]
pub fn encode_close(close: &CloseFrame) -> Vec<u8> {
    let mut payload = Vec::with_capacity(MAX_CONTROL_PAYLOAD);
    if let Some(code) = close.code {
        payload.extend_from_slice(&code.value().to_be_bytes());
        payload.extend_from_slice(close.reason.as_bytes());
    }
    payload
}
