//! Sends: messages and control frames in, bytes out.

use core::fmt;

use super::close::CloseFrame;
use super::frame::{Header, MAX_CONTROL_PAYLOAD, Opcode, encode_close};
use super::mask::mask_into;
use super::message::MessageRef;

/// Tells why a frame was not written. Nothing was appended then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EncodeError {
    /// A Close frame was written before, and nothing follows it. RFC 6455 section 5.5.1 forbids
    /// data only, and section 5.5.2 asks for a Pong until the peer has closed too. But the peer may
    /// have closed the socket by then. It would answer a Pong by a reset, after which some systems
    /// drop what the peer has sent, its Close for example.
    AfterClose,
    /// The payload of a control frame is longer than 125 bytes, or the frame is not `fin` (section
    /// 5.5).
    ControlTooLong,
    /// The Close frame must not be sent: see [`CloseFrame::is_sendable`].
    InvalidClose,
    /// The source of random bytes failed, so there is no masking key.
    NoRandom,
    /// The compressor failed, which zlib has no reason to do.
    NotCompressed,
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AfterClose => "nothing may follow a Close frame",
            Self::ControlTooLong => "a control frame must have FIN, and at most 125 bytes",
            Self::InvalidClose => {
                "the close code must not be sent, or the reason is too long or has no code"
            }
            Self::NoRandom => "the operating system gave no random bytes",
            Self::NotCompressed => "the message could not be compressed",
        })
    }
}

impl core::error::Error for EncodeError {}

/// Fills a slice with unpredictable bytes, or fails with [`EncodeError::NoRandom`].
pub type Fill = Box<dyn FnMut(&mut [u8]) -> Result<(), EncodeError> + Send>;

/// Makes the masking keys: a new one for each frame, which nobody can guess (RFC 6455 section 5.3).
pub struct MaskKeys {
    fill: Fill,
    /// Random bytes for many keys, because a system call for each frame would be slow. After `fork`
    /// both processes have the same pool: do not use one connection in both.
    pool: [u8; POOL],
    used: usize,
}

/// The size of the pool in bytes.
const POOL: usize = 512;

impl MaskKeys {
    /// Makes keys of the bytes that `fill` gives. They must be unpredictable, except in tests.
    pub fn new(fill: impl FnMut(&mut [u8]) -> Result<(), EncodeError> + Send + 'static) -> Self {
        Self { fill: Box::new(fill), pool: [0; POOL], used: POOL }
    }

    /// Returns the next key. As a number it stays in a register.
    #[inline]
    fn next(&mut self) -> Result<u32, EncodeError> {
        loop {
            if let Some(key) = self.pool.get(self.used..).and_then(<[u8]>::first_chunk) {
                self.used += key.len();
                return Ok(u32::from_ne_bytes(*key));
            }
            (self.fill)(&mut self.pool)?;
            self.used = 0;
        }
    }
}

impl fmt::Debug for MaskKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MaskKeys")
    }
}

/// Writes masked frames into a buffer of the caller: the sending half of a client, without I/O.
///
/// # Examples
///
/// A text message in two fragments, then the Close frame. The masking key is zero here, so that the
/// bytes can be read; a real one comes from a source of random bytes.
///
/// ```
/// use landline::CloseFrame;
/// use landline::proto::frame::Opcode;
/// use landline::proto::send::{Encoder, MaskKeys};
///
/// # fn main() -> Result<(), landline::proto::send::EncodeError> {
/// let mut encoder = Encoder::new(MaskKeys::new(|bytes| {
///     bytes.fill(0);
///     Ok(())
/// }));
/// let mut out = Vec::new();
/// encoder.begin(Opcode::Text, false, 3, &mut out)?.append(b"Hel", &mut out);
/// encoder.begin(Opcode::Continuation, true, 2, &mut out)?.append(b"lo", &mut out);
/// assert_eq!(out, b"\x01\x83\0\0\0\0Hel\x80\x82\0\0\0\0lo");
///
/// out.clear();
/// encoder.close(&CloseFrame::from((1000, "bye")), &mut out)?;
/// assert_eq!(out, b"\x88\x85\0\0\0\0\x03\xe8bye");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Encoder {
    keys: MaskKeys,
    closed: bool,
    /// The number of messages and control frames that were written, or whose last frame was begun.
    written: usize,
}

/// Takes the payload of a frame whose header is written, in one or several calls.
#[derive(Debug)]
#[must_use]
pub struct Body {
    key: [u8; 4],
    at: u64,
}

impl Encoder {
    /// Makes an encoder that has written nothing.
    #[must_use]
    pub fn new(keys: MaskKeys) -> Self {
        Self { keys, closed: false, written: 0 }
    }

    /// Returns whether a Close frame was written.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Returns the number of messages and control frames so far, also those whose last frame was
    /// only begun. It wraps around.
    pub(crate) fn written(&self) -> usize {
        self.written
    }

    /// Appends a whole message to `out`, in one frame.
    ///
    /// # Errors
    /// [`EncodeError::AfterClose`], [`EncodeError::NoRandom`].
    #[inline]
    pub fn message<'a>(
        &mut self,
        message: impl Into<MessageRef<'a>>,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        if self.closed {
            return Err(EncodeError::AfterClose);
        }
        let message = message.into();
        let (opcode, payload) = (Opcode::from(message.kind()), message.as_bytes());
        let key = self.keys.next()?.to_ne_bytes();
        self.written = self.written.wrapping_add(1);
        let len = payload.len() as u64;
        if len < 126 {
            // The usual header, at once.
            let mut header = [0x80 | opcode.bits(), 0x80 | len.to_be_bytes()[7], 0, 0, 0, 0];
            header[2..].copy_from_slice(&key);
            out.extend_from_slice(&header);
        } else {
            Header { fin: true, rsv: 0, opcode, mask: Some(key), len }.encode(out);
        }
        mask_into(out, payload, key, 0);
        Ok(())
    }

    /// Appends the header of a frame to `out`. Append the payload, exactly `len` bytes, with
    /// [`Body::append`]. The caller keeps the order of fragments (section 5.4).
    ///
    /// # Errors
    /// [`EncodeError::AfterClose`], [`EncodeError::NoRandom`]; [`EncodeError::ControlTooLong`] for
    /// a control frame that has more than 125 bytes, or is not `fin`.
    pub fn begin(
        &mut self,
        opcode: Opcode,
        fin: bool,
        len: u64,
        out: &mut Vec<u8>,
    ) -> Result<Body, EncodeError> {
        self.begin_frame(FrameStart { opcode, fin, compressed: false, len }, out)
    }

    /// Appends the header of a frame as [`begin`](Self::begin) does, for a compressed message (RFC
    /// 7692 section 6): its first frame, whose opcode is Text or Binary, has RSV1.
    ///
    /// # Errors
    /// The same as [`begin`](Self::begin).
    pub fn begin_compressed(
        &mut self,
        opcode: Opcode,
        fin: bool,
        len: u64,
        out: &mut Vec<u8>,
    ) -> Result<Body, EncodeError> {
        self.begin_frame(FrameStart { opcode, fin, compressed: true, len }, out)
    }

    #[inline]
    pub(crate) fn begin_frame(
        &mut self,
        start: FrameStart,
        out: &mut Vec<u8>,
    ) -> Result<Body, EncodeError> {
        let FrameStart { opcode, fin, compressed, len } = start;
        if self.closed {
            return Err(EncodeError::AfterClose);
        }
        if opcode.is_control() && (!fin || len > MAX_CONTROL_PAYLOAD as u64) {
            return Err(EncodeError::ControlTooLong);
        }
        let key = self.keys.next()?.to_ne_bytes();
        self.closed = opcode == Opcode::Close;
        self.written = self.written.wrapping_add(usize::from(fin));
        let is_first = matches!(opcode, Opcode::Text | Opcode::Binary);
        let rsv = if compressed && is_first { 0b100 } else { 0 };
        Header { fin, rsv, opcode, mask: Some(key), len }.encode(out);
        Ok(Body { key, at: 0 })
    }

    /// Appends a Ping or a Pong to `out`.
    ///
    /// # Errors
    /// [`EncodeError::AfterClose`], [`EncodeError::NoRandom`], [`EncodeError::ControlTooLong`].
    pub fn control(
        &mut self,
        opcode: Opcode,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        self.begin(opcode, true, payload.len() as u64, out)?.append(payload, out);
        Ok(())
    }

    /// Appends the Close frame to `out`. No frame may follow it.
    ///
    /// # Errors
    /// [`EncodeError::AfterClose`], [`EncodeError::NoRandom`], [`EncodeError::InvalidClose`].
    pub fn close(&mut self, close: &CloseFrame, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        if !close.is_sendable() {
            return Err(EncodeError::InvalidClose);
        }
        self.control(Opcode::Close, &encode_close(close), out)
    }
}

/// Holds what the header of a frame says of it, besides the masking key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FrameStart {
    pub(crate) opcode: Opcode,
    pub(crate) fin: bool,
    /// The message is compressed. Its first frame says so.
    pub(crate) compressed: bool,
    /// The length of the payload in bytes.
    pub(crate) len: u64,
}

impl Body {
    /// Masks the next bytes of the payload, and appends them to `out`.
    #[inline]
    pub fn append(&mut self, payload: &[u8], out: &mut Vec<u8>) {
        mask_into(out, payload, self.key, self.at);
        self.at += payload.len() as u64;
    }
}
