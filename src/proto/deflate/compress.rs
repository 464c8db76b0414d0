//! Compressing messages (RFC 7692 section 7.2.1), in chunks, so that memory stays the same however
//! long a message is.

use flate2::{Compress, Compression, FlushCompress};

use super::{Deflate, DeflateParameters};
use crate::proto::send::Refused;

/// What a flush ends with, and what is taken off the end of a message.
const TAIL: &[u8] = &[0x00, 0x00, 0xFF, 0xFF];
/// The least room that is made for more output: a flush and the end of a block take less.
const LEAST: usize = 64;

/// Compresses one message after the other, each into chunks of a size.
///
/// For each message: [`push`](Self::push) all of it, taking a [`chunk`](Self::chunk) whenever one
/// is full; then [`finish`](Self::finish) the same way, and the last chunk is what is left. Every
/// chunk but the last may be a fragment.
#[derive(Debug)]
pub struct Compressor {
    /// Made for the first message that is compressed.
    stream: Option<Compress>,
    parameters: DeflateParameters,
    level: u8,
    /// How long a chunk is.
    most: usize,
    /// What was compressed: the chunk that is there, and what follows it.
    out: Vec<u8>,
    chunk: usize,
    /// Bytes went in since the last flush.
    unflushed: bool,
}

impl Compressor {
    /// Returns a compressor that gives chunks of `most` bytes, at least 64; the last of a message
    /// may be up to 66 bytes longer.
    ///
    /// A level above 9 counts as 9; a `client_max_window_bits` above 15 as 15, and below 9 as 9:
    /// with less than 9, do not compress ([`is_able`](Self::is_able)).
    #[must_use]
    pub fn new(options: &Deflate, parameters: DeflateParameters, most: usize) -> Self {
        Self {
            stream: None,
            parameters,
            level: options.level.min(9),
            // So that the tail may be added to it.
            most: most.clamp(LEAST, usize::MAX / 2),
            out: Vec::new(),
            chunk: 0,
            unflushed: false,
        }
    }

    /// Whether there is a window that can be compressed with. zlib does not do 8 bits on a raw
    /// stream, it does 9: then messages are sent as they are, which RFC 7692 section 6 allows.
    #[must_use]
    pub fn is_able(&self) -> bool {
        self.parameters.client_max_window_bits > 8
    }

    /// Compresses the first of `bytes`, and moves past them. `true` when there is a chunk: take it,
    /// and call again; `false` when all is compressed.
    ///
    /// # Errors
    /// [`Refused::NotCompressed`].
    pub fn push(&mut self, bytes: &mut &[u8]) -> Result<bool, Refused> {
        self.cut();
        while !bytes.is_empty() {
            if self.has_chunk() {
                return Ok(true);
            }
            self.unflushed = true;
            // Most messages become shorter.
            self.make_room(bytes.len() / 2);
            let taken = self.run(bytes, FlushCompress::None)?;
            *bytes = &bytes[taken..];
        }
        Ok(false)
    }

    /// Lets everything out that went in. `true` when there is a chunk, and more to come: take it,
    /// and call again; `false` when the chunk that is there is all that is left, perhaps nothing.
    ///
    /// # Errors
    /// [`Refused::NotCompressed`].
    pub fn flush(&mut self) -> Result<bool, Refused> {
        self.cut();
        while self.unflushed {
            if self.has_chunk() {
                return Ok(true);
            }
            self.make_room(LEAST);
            self.run(&[], FlushCompress::Sync)?;
            // With room left over, the flush is complete.
            self.unflushed = self.out.len() == self.out.capacity();
        }
        self.chunk = self.out.len();
        Ok(false)
    }

    /// Ends the message. `true` when there is a chunk, and more to come: take it, and call again;
    /// `false` when the chunk that is there is the last one.
    ///
    /// # Errors
    /// [`Refused::NotCompressed`].
    pub fn finish(&mut self) -> Result<bool, Refused> {
        if self.unflushed {
            if self.flush()? {
                return Ok(true);
            }
            let data = self.out.strip_suffix(TAIL).ok_or(Refused::NotCompressed)?.len();
            self.out.truncate(data);
        } else {
            // Section 7.2.3.6: the beginning of an empty block, whose end is what is taken off.
            self.cut();
            self.out.push(0x00);
        }
        self.chunk = self.out.len();
        if self.parameters.client_no_context_takeover {
            self.reset();
        }
        Ok(false)
    }

    /// The chunk that is there, until the next call of another method.
    #[must_use]
    pub fn chunk(&self) -> &[u8] {
        &self.out[..self.chunk]
    }

    /// Forgets a message that was not sent whole, and what came before it: what the server has of
    /// it does not matter then.
    pub fn abandon(&mut self) {
        self.out.clear();
        self.chunk = 0;
        self.unflushed = false;
        self.reset();
    }

    /// Gives back the memory that an idle connection does not need. Within a message nothing
    /// happens unless all of it was flushed.
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

    fn run(&mut self, bytes: &[u8], flush: FlushCompress) -> Result<usize, Refused> {
        let (level, bits) = (self.level, self.parameters.client_max_window_bits);
        let stream = self.stream.get_or_insert_with(|| {
            let bits = bits.clamp(9, 15); // flate2 panics on others.
            Compress::new_with_window_bits(Compression::new(level.into()), false, bits)
        });
        let before = stream.total_in();
        stream.compress_vec(bytes, &mut self.out, flush).map_err(|_| Refused::NotCompressed)?;
        usize::try_from(stream.total_in() - before).map_err(|_| Refused::NotCompressed)
    }

    /// Cuts the chunk off that was taken.
    fn cut(&mut self) {
        self.out.drain(..core::mem::take(&mut self.chunk));
    }

    /// Whether there is a chunk that cannot have any of the tail.
    fn has_chunk(&mut self) -> bool {
        let full = self.out.len() >= self.most + TAIL.len();
        self.chunk = if full { self.most } else { 0 };
        full
    }

    /// Makes room for so much, but hardly for more than a chunk.
    fn make_room(&mut self, wanted: usize) {
        let len = self.out.len();
        if self.out.capacity() - len < LEAST {
            let to_full = (self.most + TAIL.len()).saturating_sub(len);
            self.out.reserve_exact(wanted.max(len).min(to_full).max(LEAST));
        }
    }
}
