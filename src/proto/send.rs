//! Sending: messages and control frames in, bytes out.

use core::fmt;

use super::close::CloseFrame;
use super::frame::{Header, MAX_CONTROL_PAYLOAD, Opcode, encode_close};
use super::mask::mask_into;

/// Why a frame was not written; nothing was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refused {
    /// A Close frame was sent; nothing may follow it (RFC 6455 section 5.5.1).
    AfterClose,
    /// A control payload of more than 125 bytes (section 5.5).
    ControlTooLong,
    /// A Close frame that must not be sent: [`CloseFrame::is_sendable`].
    InvalidClose,
    /// There are no random bytes for a masking key.
    NoRandom,
    /// The compressor failed. zlib has no reason to.
    NotCompressed,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AfterClose => "nothing may follow a Close frame",
            Self::ControlTooLong => "a control payload may have at most 125 bytes",
            Self::InvalidClose => "a close code that must not be sent, or too long a reason",
            Self::NoRandom => "the operating system gave no random bytes",
            Self::NotCompressed => "the message could not be compressed",
        })
    }
}

impl core::error::Error for Refused {}

/// Fills a slice with unpredictable bytes, or says that it cannot.
pub type Fill = Box<dyn FnMut(&mut [u8]) -> Result<(), Refused> + Send>;

/// Masking keys: fresh for each frame, and not to be guessed (RFC 6455 section 5.3).
pub struct MaskKeys {
    fill: Fill,
    /// So that not each frame is a system call. After `fork` both processes have the same pool:
    /// do not use one connection in both.
    pool: [u8; 512],
    used: usize,
}

impl MaskKeys {
    /// Keys from a source of random bytes; in tests, from anything.
    pub fn new(fill: impl FnMut(&mut [u8]) -> Result<(), Refused> + Send + 'static) -> Self {
        Self { fill: Box::new(fill), pool: [0; 512], used: 512 }
    }

    fn next(&mut self) -> Result<[u8; 4], Refused> {
        if self.used == self.pool.len() {
            (self.fill)(&mut self.pool)?;
            self.used = 0;
        }
        let mut key = [0; 4];
        key.copy_from_slice(&self.pool[self.used..self.used + 4]);
        self.used += 4;
        Ok(key)
    }
}

impl fmt::Debug for MaskKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MaskKeys")
    }
}

/// The sending half of a client, without I/O: writes masked frames into a buffer of the caller's.
#[derive(Debug)]
pub struct Encoder {
    keys: MaskKeys,
    closed: bool,
}

/// A frame whose header is written, and whose payload follows in pieces.
#[derive(Debug)]
#[must_use]
pub struct Body {
    key: [u8; 4],
    at: u64,
}

impl Encoder {
    /// An encoder that has sent nothing.
    #[must_use]
    pub fn new(keys: MaskKeys) -> Self {
        Self { keys, closed: false }
    }

    /// Whether a Close frame was written.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Appends a frame's header to `out`; the payload, of exactly `len` bytes, goes through
    /// [`Body::append`]. The caller keeps the order of fragments (section 5.4).
    ///
    /// # Errors
    /// [`Refused::AfterClose`], [`Refused::NoRandom`]; [`Refused::ControlTooLong`] for a control
    /// frame of more than 125 bytes or without `fin`.
    pub fn begin(
        &mut self,
        opcode: Opcode,
        fin: bool,
        len: u64,
        out: &mut Vec<u8>,
    ) -> Result<Body, Refused> {
        self.begin_frame(opcode, fin, false, len, out)
    }

    /// As [`begin`](Self::begin), for a frame of a compressed message (RFC 7692 section 6): the first
    /// one, whose opcode is Text or Binary, has RSV1.
    ///
    /// # Errors
    /// As [`begin`](Self::begin).
    #[cfg(feature = "deflate")]
    pub fn begin_compressed(
        &mut self,
        opcode: Opcode,
        fin: bool,
        len: u64,
        out: &mut Vec<u8>,
    ) -> Result<Body, Refused> {
        self.begin_frame(opcode, fin, true, len, out)
    }

    /// Does what [`begin`](Self::begin) does, or `begin_compressed`.
    pub(crate) fn begin_frame(
        &mut self,
        opcode: Opcode,
        fin: bool,
        compressed: bool,
        len: u64,
        out: &mut Vec<u8>,
    ) -> Result<Body, Refused> {
        if self.closed {
            return Err(Refused::AfterClose);
        }
        if opcode.is_control() && (!fin || len > MAX_CONTROL_PAYLOAD as u64) {
            return Err(Refused::ControlTooLong);
        }
        let key = self.keys.next()?;
        self.closed = opcode == Opcode::Close;
        let marked = compressed && matches!(opcode, Opcode::Text | Opcode::Binary);
        let rsv = if marked { 0b100 } else { 0 };
        Header { fin, rsv, opcode, mask: Some(key), len }.encode(out);
        Ok(Body { key, at: 0 })
    }

    /// Appends a Ping or a Pong to `out`.
    ///
    /// # Errors
    /// [`Refused::AfterClose`], [`Refused::NoRandom`], [`Refused::ControlTooLong`].
    pub fn control(
        &mut self,
        opcode: Opcode,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), Refused> {
        self.begin(opcode, true, payload.len() as u64, out)?.append(payload, out);
        Ok(())
    }

    /// Appends the Close frame to `out`; it is the last.
    ///
    /// # Errors
    /// Also [`Refused::InvalidClose`].
    pub fn close(&mut self, close: &CloseFrame, out: &mut Vec<u8>) -> Result<(), Refused> {
        if !close.is_sendable() {
            return Err(Refused::InvalidClose);
        }
        self.control(Opcode::Close, &encode_close(close), out)
    }
}

impl Body {
    /// Appends the next bytes of the payload, masked, to `out`.
    pub fn append(&mut self, payload: &[u8], out: &mut Vec<u8>) {
        mask_into(out, payload, self.key, self.at);
        self.at += payload.len() as u64;
    }
}
