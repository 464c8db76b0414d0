//! Reads frames from the buffer, and makes messages of them.

use super::room::reserve;
use super::{BULK, Decoder, DeliveryMode, Found, LARGE_BUFFER};
use crate::proto::error::Violation;
use crate::proto::frame::{Header, Opcode, decode_close};
use crate::proto::message::MessageKind;

/// A data frame whose payload is being read.
#[derive(Clone, Copy, Debug)]
pub(super) struct OpenFrame {
    pub(super) fin: bool,
    pub(super) left: u64,
}

/// A message whose first frame has begun, and whose last one has not ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct OpenMessage {
    pub(super) kind: MessageKind,
    pub(super) delivery: DeliveryMode,
    /// The payload is compressed (RFC 7692 section 6.2).
    pub(super) compressed: bool,
    /// The length of the message so far, in bytes; of a compressed one, after decompression.
    pub(super) size: u64,
    /// The length of the payloads of its frames so far, in bytes.
    pub(super) wire: u64,
    pub(super) fragments: u32,
    /// Empty fragments in a row.
    pub(super) empty: u32,
    /// Some bytes were handed out or gathered already, so the message cannot be lent in place.
    pub(super) begun: bool,
}

impl Decoder {
    /// Reads until something is found, or until the buffer has no more.
    pub(super) fn scan(&mut self, delivery: DeliveryMode) -> Result<Option<Found>, Violation> {
        loop {
            // Section 5.5.1: nothing may follow a Close frame.
            if self.closed {
                self.buffer.consume_all();
                return Ok(None);
            }
            if let (Some(frame), Some(message)) = (self.frame, self.message) {
                let found = match message.delivery {
                    _ if message.compressed => self.inflate(frame, message)?,
                    DeliveryMode::Whole => self.gather(frame, message)?,
                    DeliveryMode::Fragments => self.hand_out(frame, message)?,
                };
                if found.is_some() || self.frame.is_some() {
                    return Ok(found);
                }
            }
            let Some((header, taken)) = self.header()? else { return Ok(None) };
            if header.opcode.is_control() {
                return self.find_control(header, taken);
            }
            self.buffer.consume(taken);
            self.open(header, delivery)?;
        }
    }

    /// Reads the next header. The bytes are checked one by one, in their order, so that the result
    /// does not depend on how they were cut.
    fn header(&self) -> Result<Option<(Header, usize)>, Violation> {
        let bytes = self.buffer.received();
        let Some(&first) = bytes.first() else { return Ok(None) };
        // Section 5.2: reserved bits MUST be 0 unless an extension is negotiated.
        if first & 0x70 != 0 && !self.is_compressed(first) {
            return Err(Violation::ReservedBits);
        }
        Header::decode(&bytes[..1])?;
        match Opcode::from_bits(first & 0x0F) {
            // Section 5.4: fragments of one message must not be mixed with another's.
            Some(Opcode::Continuation) if self.message.is_none() => {
                return Err(Violation::UnexpectedContinuation);
            }
            Some(Opcode::Text | Opcode::Binary) if self.message.is_some() => {
                return Err(Violation::ExpectedContinuation);
            }
            _ => {}
        }
        // Section 5.1: a client must fail the connection on a masked frame.
        if bytes.get(1).is_some_and(|second| second & 0x80 != 0) {
            return Err(Violation::MaskedFrame);
        }
        Header::decode(bytes)
    }

    /// Returns whether the first byte of a header begins a compressed message: RSV1, and no other
    /// reserved bit, is set on the first frame of a data message (RFC 7692 section 6).
    fn is_compressed(&self, first: u8) -> bool {
        let accepted = self.inflater.is_some();
        let opcode = Opcode::from_bits(first & 0x0F);
        accepted && first & 0x70 == 0x40 && matches!(opcode, Some(Opcode::Text | Opcode::Binary))
    }

    fn find_control(&mut self, header: Header, taken: usize) -> Result<Option<Found>, Violation> {
        let payload = &self.buffer.received()[taken..];
        let Some(payload) = usize::try_from(header.len).ok().and_then(|len| payload.get(..len))
        else {
            return Ok(None);
        };
        let len = payload.len();
        let found = match header.opcode {
            Opcode::Ping => Found::Ping { len },
            Opcode::Pong => Found::Pong { len },
            _ => {
                self.close = decode_close(payload)?;
                self.closed = true;
                Found::Close { len }
            }
        };
        self.gathered = false;
        self.buffer.consume(taken);
        Ok(Some(found))
    }

    /// Begins a data frame. Checks the limits on the header, before any memory is taken.
    fn open(&mut self, header: Header, delivery: DeliveryMode) -> Result<(), Violation> {
        let mut message = self.message.unwrap_or_else(|| OpenMessage {
            kind: if header.opcode == Opcode::Text {
                MessageKind::Text
            } else {
                MessageKind::Binary
            },
            delivery,
            compressed: header.rsv != 0,
            size: 0,
            wire: 0,
            fragments: 0,
            empty: 0,
            begun: false,
        });
        let over = |limit: Option<u64>, value: u64| limit.is_some_and(|limit| value > limit);
        message.wire = message.wire.saturating_add(header.len);
        let wire_limit = if message.compressed {
            // Blocks without any output must not go on for ever, so compressed bytes are limited
            // too. Bytes that do not compress grow by a seventh at worst with zlib, and each
            // fragment may end with a flush.
            let flushed = 16 * u64::from(message.fragments);
            let more = |limit: u64| limit.saturating_add(limit / 4 + 1024 + flushed);
            self.limits.max_message_size.map(more)
        } else {
            message.size = message.wire;
            self.limits.max_message_size
        };
        message.fragments = message.fragments.saturating_add(1);
        message.empty =
            if header.len == 0 && !header.fin { message.empty.saturating_add(1) } else { 0 };
        if over(self.limits.max_frame_size, header.len) {
            return Err(Violation::FrameTooBig);
        }
        if over(wire_limit, message.wire) {
            return Err(Violation::MessageTooBig);
        }
        if over(self.limits.max_fragments.map(u64::from), message.fragments.into()) {
            return Err(Violation::TooManyFragments);
        }
        if over(self.limits.max_empty_fragments.map(u64::from), message.empty.into()) {
            return Err(Violation::TooManyEmptyFragments);
        }
        let gathers_bytes = message.kind == MessageKind::Binary || self.unchecked_text;
        if self.message.is_none() {
            // The memory of a big message is kept for the next big one that is gathered there.
            let gathers = message.delivery == DeliveryMode::Whole;
            let keeps_text = gathers && (message.compressed || !gathers_bytes);
            let keeps_binary = gathers && (message.compressed || gathers_bytes);
            if !keeps_text && self.text.capacity() > LARGE_BUFFER {
                self.text = String::new();
            }
            if !keeps_binary && self.binary.capacity() > LARGE_BUFFER {
                self.drop_binary();
            }
        }
        let straight =
            message.delivery == DeliveryMode::Whole && gathers_bytes && !message.compressed;
        self.buffer.set_bulk(straight && header.len >= BULK as u64);
        self.frame = Some(OpenFrame { fin: header.fin, left: header.len });
        self.message = Some(message);
        Ok(())
    }

    /// Gathers the message until it is whole.
    fn gather(
        &mut self,
        mut frame: OpenFrame,
        mut message: OpenMessage,
    ) -> Result<Option<Found>, Violation> {
        let kind = message.kind;
        let len = self.arrived(frame);
        let whole = len as u64 == frame.left;
        if !message.begun && whole && frame.fin {
            // The usual case: the buffer has the whole message, which is lent from there.
            (self.frame, self.message) = (None, None);
            // The memory of a big message is kept for the next big one. This message is small.
            if self.binary.capacity() > LARGE_BUFFER {
                self.drop_binary();
            }
            if self.text.capacity() > LARGE_BUFFER {
                self.text = String::new();
            }
            self.gathered = false;
            return Ok(Some(Found::Message { kind, len }));
        }
        let is_checked = kind == MessageKind::Text && !self.unchecked_text;
        let payload = &self.buffer.received()[..len];
        if is_checked {
            self.utf8.push(payload, &mut self.text)?;
        } else {
            // Space that is there is used first, so that it is not zeroed again.
            let (data, fits) = (self.binary.len() - self.space, len.min(self.space));
            let (into_space, rest) = payload.split_at(fits);
            self.binary[data..data + fits].copy_from_slice(into_space);
            self.space -= fits;
            if !rest.is_empty() {
                let data = self.binary.len();
                reserve(&mut self.binary, data, LARGE_BUFFER, frame.left - fits as u64, frame.fin)?;
                self.binary.extend_from_slice(rest);
            }
        }
        self.buffer.consume(len);
        frame.left -= len as u64;
        message.begun = true;
        (self.frame, self.message) = (Some(frame), Some(message));
        if frame.left > 0 {
            return Ok(None);
        }
        self.frame = None;
        if !frame.fin {
            return Ok(None);
        }
        self.utf8.finish()?;
        self.message = None;
        self.gathered = true;
        let len = if is_checked { self.text.len() } else { self.gathered_len() };
        Ok(Some(Found::Message { kind, len }))
    }

    /// Finds a fragment with the bytes of the frame that have arrived, if there are any.
    fn hand_out(
        &mut self,
        mut frame: OpenFrame,
        mut message: OpenMessage,
    ) -> Result<Option<Found>, Violation> {
        let kind = message.kind;
        let len = self.arrived(frame);
        frame.left -= len as u64;
        let ends_frame = frame.left == 0;
        let last = ends_frame && frame.fin;
        if kind == MessageKind::Text && !self.unchecked_text {
            self.utf8.check(&self.buffer.received()[..len])?;
            if last {
                self.utf8.finish()?;
            }
        }
        let first = !message.begun;
        let found = len > 0 || last;
        message.begun |= found;
        self.frame = (!ends_frame).then_some(frame);
        self.message = (!last).then_some(message);
        self.gathered = false;
        Ok(found.then_some(Found::Fragment { kind, len, first, last }))
    }

    /// Returns how many bytes of the frame's payload are in the buffer.
    pub(super) fn arrived(&self, frame: OpenFrame) -> usize {
        let buffered = self.buffer.received().len();
        usize::try_from(frame.left).map_or(buffered, |left| left.min(buffered))
    }
}
