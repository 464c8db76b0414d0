//! Compressed messages (RFC 7692 section 7.2.2): inflated as they arrive, and checked as they
//! inflate. Without the feature `deflate`, `off.rs` takes the place of this module.

#![cfg(feature = "deflate")] // For the documentation: it says what the feature is needed for.

use flate2::{Decompress, FlushDecompress, Status};

use super::frames::{OpenFrame, OpenMessage};
use super::{Decoder, Delivery, Found, LARGE_BUFFER};
use crate::proto::deflate::DeflateParameters;
use crate::proto::error::Violation;
use crate::proto::message::MessageKind;

/// For how many inflated bytes at a time room is made.
const STEP: usize = 32 * 1024;

/// What section 7.2.2 appends to each message, the end of an empty block; and after it empty blocks
/// of our own. Nothing may come out of them: a message that ends in the middle of a block goes on
/// in them. The header of a block may swallow many; none is longer than all of these.
const END: [u8; 4 + 5 * 112] = {
    let mut end = [0; 4 + 5 * 112];
    let mut at = 2;
    while at < end.len() {
        end[at] = 0xFF;
        end[at + 1] = 0xFF;
        at += 5;
    }
    end
};
/// One empty block of our own.
const SHORT_END: usize = 4 + 5;

/// The window, and what is done with it between messages.
#[derive(Debug)]
pub(super) struct Inflater {
    /// Made for the first compressed message. It has the largest window whatever was agreed on:
    /// zlib-rs takes 32 KiB for it anyway, and how far back it reaches then does not depend on how
    /// the bytes are cut.
    stream: Option<Decompress>,
    takeover: bool,
    /// The last byte that went in.
    last: u8,
}

impl Inflater {
    /// Inflates `input` into the room that `out` has: gives how much of it was used. All of it was,
    /// and nothing is left to come out, if `out` has room left.
    fn inflate(&mut self, input: &[u8], out: &mut Vec<u8>) -> (usize, Result<(), Violation>) {
        let stream = self.stream.get_or_insert_with(|| Decompress::new(false));
        let mut used = 0;
        self.last = input.last().copied().unwrap_or(self.last);
        loop {
            let before = stream.total_in();
            let status = stream.decompress_vec(&input[used..], out, FlushDecompress::None);
            used += usize::try_from(stream.total_in() - before).unwrap_or(usize::MAX);
            match status {
                Err(_) => return (used, Err(Violation::InvalidDeflate)),
                // Section 7.2.3.4: after a block with BFINAL, others may follow.
                Ok(Status::StreamEnd) => stream.reset(false),
                Ok(_) => return (used, Ok(())),
            }
            if used == input.len() {
                return (used, Ok(()));
            }
        }
    }

    /// Ends a message of which all came out; of an `empty` one, that is nothing. It must not be
    /// called for a message whose payload has no bytes: see [`OpenMessage::has_payload`].
    fn finish(&mut self, empty: bool, out: &mut Vec<u8>) -> Result<(), Violation> {
        let len = out.len();
        out.try_reserve(1).map_err(|_| Violation::OutOfMemory)?;
        // A message ends with the header of the empty block, three bits of 0, and padding, which
        // nobody fills with anything else. If it does not, or nothing came out, it is worth the time
        // to be sure. What is cut within the header of a later block, and ends with zeros by
        // chance, may be missed; the next message then fails.
        let end = if self.last < 0x20 && !empty { &END[..SHORT_END] } else { &END[..] };
        let (_, done) = self.inflate(end, out);
        if done.is_err() || out.len() > len {
            out.truncate(len);
            return Err(Violation::InvalidDeflate);
        }
        if let (Some(stream), false) = (&mut self.stream, self.takeover) {
            stream.reset(false);
        }
        Ok(())
    }

    /// Gives back what is not needed between two messages.
    pub(super) fn shrink(&mut self) {
        if !self.takeover {
            self.stream = None;
        }
    }
}

impl OpenMessage {
    /// Whether a frame of it, as far as they have begun, has any payload.
    fn has_payload(&self) -> bool {
        self.wire > 0
    }
}

impl Decoder {
    /// Receives compressed messages too, as was agreed on in the opening handshake.
    pub fn accept_deflate(&mut self, parameters: &DeflateParameters) {
        let takeover = !parameters.server_no_context_takeover;
        self.inflater = Some(Inflater { stream: None, takeover, last: 0 });
    }

    /// Inflates what has arrived of the frame.
    pub(super) fn inflate(
        &mut self,
        mut frame: OpenFrame,
        mut message: OpenMessage,
    ) -> Result<Option<Found>, Violation> {
        let in_fragments = message.delivery == Delivery::Fragments;
        if in_fragments {
            self.binary.clear(); // It was handed out.
        } else {
            self.reuse_text(&message);
        }
        loop {
            let len = self.arrived(frame);
            let at = self.binary.len();
            self.make_room(&message, len)?;
            let Some(inflater) = &mut self.inflater else { return Err(Violation::ReservedBits) };
            let input = &self.buffer.received()[..len];
            // Section 7.2.3.6 wants a byte for an empty message. Some servers send none from the
            // second one on, as they strip the tail of a flush that gave nothing. Then nothing goes
            // into the inflater, which has its window for the next message.
            let (used, done) = if message.has_payload() {
                inflater.inflate(input, &mut self.binary)
            } else {
                (0, Ok(()))
            };
            self.buffer.consume(used);
            frame.left -= used as u64;
            self.check_inflated(&mut message, at)?;
            done?;
            // With room left over, all came out that went in.
            let full = self.binary.len() == self.binary.capacity();
            let ends_frame = !full && frame.left == 0;
            let last = ends_frame && frame.fin;
            if let (true, true, Some(inflater)) = (last, message.has_payload(), &mut self.inflater)
            {
                inflater.finish(message.size == 0, &mut self.binary)?;
                self.utf8.finish()?;
            }
            let first = !message.begun;
            let found = last || in_fragments && !self.binary.is_empty();
            message.begun |= found || !in_fragments;
            self.frame = (!ends_frame).then_some(frame);
            self.message = (!last).then_some(message);
            if found {
                self.gathered = true;
                let (kind, len) = (message.kind, self.binary.len());
                if in_fragments {
                    return Ok(Some(Found::Fragment { kind, len, first, last }));
                }
                self.finish_inflated(kind)?;
                return Ok(Some(Found::Message { kind, len }));
            }
            if !full {
                return Ok(None);
            }
        }
    }

    /// The room of the last text is for the message that begins.
    fn reuse_text(&mut self, message: &OpenMessage) {
        if !message.begun && self.binary.capacity() < self.text.capacity() {
            self.binary = core::mem::take(&mut self.text).into_bytes();
            self.binary.clear();
        }
    }

    /// What has come out is within the limit, and text.
    fn check_inflated(&mut self, message: &mut OpenMessage, at: usize) -> Result<(), Violation> {
        let new = &self.binary[at..];
        let limit = self.limits.max_message_size.unwrap_or(u64::MAX);
        let allowed = limit.saturating_sub(message.size);
        let allowed = usize::try_from(allowed).map_or(new.len(), |most| most.min(new.len()));
        if message.kind == MessageKind::Text && !self.unchecked_text {
            self.utf8.check(&new[..allowed])?;
        }
        if allowed < new.len() {
            return Err(Violation::MessageTooBig);
        }
        message.size += new.len() as u64;
        Ok(())
    }

    /// Makes the whole message that is in `binary` ready to be taken.
    fn finish_inflated(&mut self, kind: MessageKind) -> Result<(), Violation> {
        // After a big message, this is a small one: the memory is not needed any more.
        if self.binary.len() <= LARGE_BUFFER && self.binary.capacity() > 2 * LARGE_BUFFER {
            self.binary.shrink_to(LARGE_BUFFER);
        }
        if kind == MessageKind::Text && !self.unchecked_text {
            // It is known to be UTF-8; looking again costs less than copying.
            let text = String::from_utf8(core::mem::take(&mut self.binary));
            self.text = text.map_err(|_| Violation::InvalidUtf8)?;
        }
        Ok(())
    }

    /// Makes room for what comes out of `len` bytes, but never for more than the limit and the byte
    /// that breaks it: memory follows what came out, not what could.
    fn make_room(&mut self, message: &OpenMessage, len: usize) -> Result<(), Violation> {
        let have = self.binary.len();
        let limit = self.limits.max_message_size.unwrap_or(u64::MAX);
        let limit = (limit - message.size).saturating_add(1);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let (least, wanted) = match message.delivery {
            Delivery::Fragments => (STEP, STEP),
            Delivery::Whole => {
                (1, have.max(len.saturating_mul(4)).clamp(1024, have.max(LARGE_BUFFER)))
            }
        };
        if self.binary.capacity() - have >= least.min(limit) {
            return Ok(());
        }
        let reserved = self.binary.try_reserve_exact(wanted.min(limit));
        reserved.map_err(|_| Violation::OutOfMemory)
    }
}
