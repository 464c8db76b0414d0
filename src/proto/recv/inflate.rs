//! Compressed messages (RFC 7692 section 7.2.2). They are inflated as they arrive, and checked as
//! they are inflated. Without the feature `deflate`, `off.rs` takes the place of this module.

#![cfg(feature = "deflate")] // So that rustdoc names the feature.

use flate2::{Decompress, FlushDecompress, Status};

use super::frames::{OpenFrame, OpenMessage};
use super::{Decoder, DeliveryMode, Found, LARGE_BUFFER};
use crate::proto::deflate::DeflateParameters;
use crate::proto::error::Violation;
use crate::proto::message::MessageKind;

/// The room that is made for an inflated fragment, in bytes.
const FRAGMENT_ROOM: usize = 32 * 1024;

/// The bytes that section 7.2.2 appends to each message, which end an empty block, and then empty
/// blocks of our own. If anything comes out of them, the message ended in the middle of a block,
/// which went on in them. The header of such a block may take many of these bytes, but no header is
/// longer than all of them.
const MESSAGE_END: [u8; 4 + 5 * 112] = {
    let mut end = [0; 4 + 5 * 112];
    let mut at = 2;
    while at < end.len() {
        end[at] = 0xFF;
        end[at + 1] = 0xFF;
        at += 5;
    }
    end
};
/// The length of the part of [`MESSAGE_END`] that has one empty block of our own.
const SHORT_END: usize = 4 + 5;

/// Inflates the messages of a connection.
#[derive(Debug)]
pub(super) struct Inflater {
    /// Made for the first compressed message. The window is the largest one, whatever was agreed
    /// on. zlib-rs takes 32 KiB for it anyway, and with a smaller one it would depend on how the
    /// bytes are cut how far back the data may refer.
    stream: Option<Decompress>,
    /// The window is kept from one message to the next.
    takeover: bool,
    /// The last byte that was inflated.
    last: u8,
}

impl Inflater {
    /// Inflates `input` into the room that `out` has, and returns how many bytes of `input` were
    /// used. If `out` has room left, all of them were used, and no more output is to come.
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

    /// Ends a message that was inflated completely; `empty` says that nothing came out. It must not
    /// be called for a message whose payload has no bytes: see [`OpenMessage::has_payload`].
    fn finish(&mut self, empty: bool, out: &mut Vec<u8>) -> Result<(), Violation> {
        let len = out.len();
        out.try_reserve(1).map_err(|_| Violation::OutOfMemory)?;
        // A good message ends with the header of the empty block, three bits of 0, and with
        // padding, for which everybody uses zeros. If it does not end so, or if it is empty, the
        // long end is used to be sure. A message that is cut within the header of a later block,
        // and ends with zeros by chance, may pass; then the next message fails.
        let end = if self.last < 0x20 && !empty { &MESSAGE_END[..SHORT_END] } else { &MESSAGE_END };
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

    /// Frees the memory that is not needed between two messages.
    pub(super) fn shrink(&mut self) {
        if !self.takeover {
            self.stream = None;
        }
    }
}

impl OpenMessage {
    /// Returns whether any frame of the message so far has a payload.
    fn has_payload(&self) -> bool {
        self.wire > 0
    }
}

impl Decoder {
    /// Accepts compressed messages too, with the parameters of the opening handshake.
    pub fn accept_deflate(&mut self, parameters: &DeflateParameters) {
        let takeover = !parameters.server_no_context_takeover;
        self.inflater = Some(Inflater { stream: None, takeover, last: 0 });
    }

    /// Inflates the bytes of the frame that have arrived.
    pub(super) fn inflate(
        &mut self,
        mut frame: OpenFrame,
        mut message: OpenMessage,
    ) -> Result<Option<Found>, Violation> {
        let in_fragments = message.delivery == DeliveryMode::Fragments;
        self.drop_space();
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
            // Section 7.2.3.6 wants one byte for an empty message. Some servers send none from the
            // second empty message on, because they strip the tail of a flush that gave nothing.
            // Then nothing is inflated, and the window stays as it is for the next message.
            let (used, done) = if message.has_payload() {
                inflater.inflate(input, &mut self.binary)
            } else {
                (0, Ok(()))
            };
            self.buffer.consume(used);
            frame.left -= used as u64;
            self.inflated.0 += used as u64;
            self.inflated.1 += (self.binary.len() - at) as u64;
            self.check_inflated(&mut message, at)?;
            done?;
            // If room is left over, all output of what was used is there.
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

    /// Reuses the memory of the last text, if a message begins.
    fn reuse_text(&mut self, message: &OpenMessage) {
        if !message.begun && self.binary.capacity() < self.text.capacity() {
            self.binary = core::mem::take(&mut self.text).into_bytes();
            self.binary.clear();
        }
    }

    /// Checks that the output after the first `at` bytes is within the limit, and that text is
    /// UTF-8.
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

    /// Makes the whole message in `binary` ready to be taken.
    fn finish_inflated(&mut self, kind: MessageKind) -> Result<(), Violation> {
        // The memory is that of a big message before. This message is small.
        if self.binary.len() <= LARGE_BUFFER && self.binary.capacity() > 2 * LARGE_BUFFER {
            self.binary.shrink_to(LARGE_BUFFER);
        }
        if kind == MessageKind::Text && !self.unchecked_text {
            // The bytes were checked already, but to check them again costs less than a copy.
            let text = String::from_utf8(core::mem::take(&mut self.binary));
            self.text = text.map_err(|_| Violation::InvalidUtf8)?;
        }
        Ok(())
    }

    /// Makes room for the output of `len` bytes, but never for more than the limit and one byte
    /// that exceeds it. Memory follows the bytes that came out, not those that might.
    fn make_room(&mut self, message: &OpenMessage, len: usize) -> Result<(), Violation> {
        let have = self.binary.len();
        let limit = self.limits.max_message_size.unwrap_or(u64::MAX);
        let limit = (limit - message.size).saturating_add(1);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let (least, wanted) = match message.delivery {
            DeliveryMode::Fragments => (FRAGMENT_ROOM, FRAGMENT_ROOM),
            DeliveryMode::Whole => {
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
