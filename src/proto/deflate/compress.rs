//! Compresses messages (RFC 7692 section 7.2.1). The output comes in chunks, so that memory does
//! not grow with the length of a message.

use flate2::{Compress, Compression, FlushCompress};

use super::{Deflate, DeflateParameters};
use crate::proto::send::EncodeError;

/// The bytes that end a flush. They are removed from the end of a message.
const TAIL: &[u8] = &[0x00, 0x00, 0xFF, 0xFF];
/// The minimum room for more output, in bytes. A flush and the end of a block take less.
const MIN_ROOM: usize = 64;
/// The output after which the next message begins without context, in bytes. zlib-rs counts it in
/// 32 bits on Windows and on 32-bit targets, and a program with overflow checks would panic.
const MAX_CONTEXT: u64 = if cfg!(test) { 1 << 20 } else { 1 << 31 };

/// Compresses one message after the other, each into chunks of a fixed size.
///
/// For each message, call [`push`](Self::push) and then [`finish`](Self::finish), each until it
/// returns `false`. Send the [`chunk`](Self::chunk) each time that one of them returns `true`, and
/// the last one at the end. Each chunk can be the payload of a frame.
#[derive(Debug)]
pub struct Compressor {
    /// Made for the first message that is compressed.
    stream: Option<Compress>,
    parameters: DeflateParameters,
    level: u8,
    /// The length of a chunk in bytes, except for the last one of a message.
    chunk_size: usize,
    /// The output: first the current chunk, then bytes of the next one.
    out: Vec<u8>,
    /// The length of the current chunk; 0 if there is none.
    chunk: usize,
    /// Some input came after the last flush.
    unflushed: bool,
}

impl Compressor {
    /// Makes a compressor that gives chunks of `chunk_size` bytes, at least 64. The last chunk of a
    /// message may be shorter, or up to 66 bytes longer.
    ///
    /// A level above 9 counts as 9. A `client_max_window_bits` above 15 counts as 15, and one below
    /// 9 as 9: then do not compress at all, see [`is_able`](Self::is_able).
    #[must_use]
    pub fn new(options: &Deflate, parameters: DeflateParameters, chunk_size: usize) -> Self {
        Self {
            stream: None,
            parameters,
            level: options.level.min(9),
            // At most half of the largest number, so that the length of the tail can be added.
            chunk_size: chunk_size.clamp(MIN_ROOM, usize::MAX / 2),
            out: Vec::new(),
            chunk: 0,
            unflushed: false,
        }
    }

    /// Returns whether zlib can compress with the window that was agreed on. It cannot do 8 bits on
    /// a raw stream, and does 9 instead. Then messages must be sent as they are, which RFC 7692
    /// section 6 allows.
    #[must_use]
    pub fn is_able(&self) -> bool {
        self.parameters.client_max_window_bits > 8
    }

    /// Compresses `bytes`, and moves past those that are done. Returns `true` if a chunk is full:
    /// take it, and call again. Returns `false` when all are compressed.
    ///
    /// # Errors
    /// [`EncodeError::NotCompressed`].
    pub fn push(&mut self, bytes: &mut &[u8]) -> Result<bool, EncodeError> {
        self.cut();
        while !bytes.is_empty() {
            if self.has_chunk() {
                return Ok(true);
            }
            self.unflushed = true;
            // Most messages become shorter when they are compressed.
            self.make_room(bytes.len() / 2);
            let taken = self.run(bytes, FlushCompress::None)?;
            *bytes = &bytes[taken..];
        }
        Ok(false)
    }

    /// Puts all input so far into chunks, so that the receiver can inflate it. Returns `true` if a
    /// chunk is full and more is to come: take it, and call again. Returns `false` if the current
    /// chunk, which may be empty, is all that is left.
    ///
    /// # Errors
    /// [`EncodeError::NotCompressed`].
    pub fn flush(&mut self) -> Result<bool, EncodeError> {
        self.cut();
        while self.unflushed {
            if self.has_chunk() {
                return Ok(true);
            }
            self.make_room(MIN_ROOM);
            self.run(&[], FlushCompress::Sync)?;
            // The flush is complete if it left room over.
            self.unflushed = self.out.len() == self.out.capacity();
        }
        self.chunk = self.out.len();
        Ok(false)
    }

    /// Ends the message. Returns `true` if a chunk is full and more is to come: take it, and call
    /// again. Returns `false` if the current chunk is the last one.
    ///
    /// # Errors
    /// [`EncodeError::NotCompressed`].
    pub fn finish(&mut self) -> Result<bool, EncodeError> {
        if self.unflushed {
            if self.flush()? {
                return Ok(true);
            }
            let data = self.out.strip_suffix(TAIL).ok_or(EncodeError::NotCompressed)?.len();
            self.out.truncate(data);
        } else {
            // Section 7.2.3.6: the first byte of an empty block. The rest of it is the tail.
            self.cut();
            self.out.push(0x00);
        }
        self.chunk = self.out.len();
        let total = self.stream.as_ref().map_or(0, Compress::total_out);
        if self.parameters.client_no_context_takeover || total > MAX_CONTEXT {
            self.reset();
        }
        Ok(false)
    }

    /// Returns the current chunk. The next call of another method drops it.
    #[must_use]
    pub fn chunk(&self) -> &[u8] {
        &self.out[..self.chunk]
    }

    /// Drops a message that was not sent whole, and forgets the messages before it. So the next
    /// message refers to nothing that the server may not have.
    pub fn abandon(&mut self) {
        self.out.clear();
        self.chunk = 0;
        self.unflushed = false;
        self.reset();
    }

    /// Frees the memory that an idle connection does not need. Does nothing within a message,
    /// unless all of it was flushed.
    pub fn shrink(&mut self) {
        self.cut();
        if self.out.is_empty() && !self.unflushed {
            self.out = Vec::new();
            if self.parameters.client_no_context_takeover {
                self.stream = None;
            }
        }
    }

    fn reset(&mut self) {
        if let Some(stream) = &mut self.stream {
            stream.reset();
        }
    }

    fn run(&mut self, bytes: &[u8], flush: FlushCompress) -> Result<usize, EncodeError> {
        let (level, bits) = (self.level, self.parameters.client_max_window_bits);
        let stream = self.stream.get_or_insert_with(|| {
            let bits = bits.clamp(9, 15); // flate2 panics on others.
            Compress::new_with_window_bits(Compression::new(level.into()), false, bits)
        });
        let before = stream.total_in();
        stream.compress_vec(bytes, &mut self.out, flush).map_err(|_| EncodeError::NotCompressed)?;
        usize::try_from(stream.total_in() - before).map_err(|_| EncodeError::NotCompressed)
    }

    /// Removes the chunk that was taken.
    fn cut(&mut self) {
        self.out.drain(..core::mem::take(&mut self.chunk));
    }

    /// Returns whether there is a full chunk that has no byte of the tail. If so, it becomes the
    /// current one.
    fn has_chunk(&mut self) -> bool {
        let full = self.out.len() >= self.chunk_size + TAIL.len();
        self.chunk = if full { self.chunk_size } else { 0 };
        full
    }

    /// Makes room for `wanted` bytes, but hardly for more than a chunk.
    fn make_room(&mut self, wanted: usize) {
        let len = self.out.len();
        if self.out.capacity() - len < MIN_ROOM {
            let to_full = (self.chunk_size + TAIL.len()).saturating_sub(len);
            self.out.reserve_exact(wanted.max(len).min(to_full).max(MIN_ROOM));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::deflate::NO_PARAMETERS;

    /// Returns the compressed length of a message.
    fn compressed(compressor: &mut Compressor, mut message: &[u8]) -> usize {
        let mut len = 0;
        while compressor.push(&mut message).unwrap() {
            len += compressor.chunk().len();
        }
        while compressor.finish().unwrap() {
            len += compressor.chunk().len();
        }
        len + compressor.chunk().len()
    }

    #[test]
    fn after_much_output_a_message_refers_to_none_before_it() {
        // Bytes of a generator of Marsaglia do not become shorter.
        let mut state = 1u32;
        let mut noise = || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state.to_be_bytes()[0]
        };
        let mut compressor = Compressor::new(&Deflate::default(), NO_PARAMETERS, 64 * 1024);
        for (len, is_short) in [(1 << 19, true), ((1 << 19) + 1, false), (1 << 19, true)] {
            let message: Vec<u8> = std::iter::repeat_with(&mut noise).take(len).collect();
            assert!(compressed(&mut compressor, &message) > len);
            let again = compressed(&mut compressor, &message[len - 1024..]);
            assert_eq!(again < 100, is_short, "{again} bytes");
        }
    }
}
