//! The receive buffer: bytes that have arrived, and were not taken yet.

use super::{LARGE_BUFFER, SMALL_BUFFER};

/// A buffer that takes bytes at its end, and gives them at its front.
#[derive(Debug, Default)]
pub(super) struct RecvBuffer {
    /// The memory, all of it initialised. The bytes that are received and not consumed are at
    /// `start..end`.
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// The end of the last [`space`](Self::space), as an index into `bytes`.
    space_end: usize,
    /// The last data frame was large, and its payload is read directly into its message. Another
    /// large one is likely to follow: until its header is known, only a little is read into this
    /// buffer, so that only a little must be copied.
    bulk: bool,
}

impl RecvBuffer {
    /// Returns the space for the next bytes, which is never empty. The call may move what is
    /// buffered.
    pub(super) fn space(&mut self) -> &mut [u8] {
        // If the last read filled all the space, the next one gets more.
        let full = self.end == self.bytes.len() && !self.bulk;
        self.bytes.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if self.bytes.is_empty() {
            self.bytes = vec![0; SMALL_BUFFER];
        } else if full && self.bytes.len() < LARGE_BUFFER {
            self.bytes.resize((self.bytes.len() * 4).min(LARGE_BUFFER), 0);
        }
        let most = if self.bulk { self.end + SMALL_BUFFER } else { usize::MAX };
        self.space_end = most.min(self.bytes.len());
        &mut self.bytes[self.end..self.space_end]
    }

    /// Takes the last [`space`](Self::space) back: the next bytes are read elsewhere.
    pub(super) fn end_space(&mut self) {
        self.space_end = self.end;
    }

    /// Says that bytes were received into the first `len` bytes of the last [`space`](Self::space).
    ///
    /// # Panics
    /// If `len` is more than the length of that space.
    pub(super) fn filled(&mut self, len: usize) {
        assert!(len <= self.space_end - self.end, "more bytes than there was space for");
        self.end += len;
    }

    /// Returns whether there was never space, so that no byte was received.
    pub(super) fn is_unused(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Returns the bytes that are received and not consumed.
    pub(super) fn received(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Moves past the first `len` bytes.
    pub(super) fn consume(&mut self, len: usize) {
        self.start += len;
    }

    /// Moves past all bytes that are received.
    pub(super) fn consume_all(&mut self) {
        self.start = self.end;
    }

    /// Moves past the first `len` bytes, and lends them. Nothing moves or overwrites them as long
    /// as they are borrowed.
    pub(super) fn lend(&mut self, len: usize) -> &[u8] {
        let at = self.start;
        self.consume(len);
        &self.bytes[at..self.start]
    }

    /// Sets whether payloads are read directly into their messages, not into the buffer.
    pub(super) fn set_bulk(&mut self, bulk: bool) {
        self.bulk = bulk;
    }

    /// Returns whether payloads are read directly into their messages.
    pub(super) fn is_bulk(&self) -> bool {
        self.bulk
    }

    /// Frees the memory that an idle connection does not need. Received bytes stay.
    pub(super) fn shrink(&mut self) {
        let len = self.end - self.start;
        if len < SMALL_BUFFER {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, len);
            self.bytes.truncate(SMALL_BUFFER);
            self.bytes.shrink_to_fit();
            self.end_space();
        }
    }
}
