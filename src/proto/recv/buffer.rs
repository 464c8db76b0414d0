//! The receive buffer: what has arrived and was not handed out.

use super::{LARGE_BUFFER, SMALL_BUFFER};

/// Bytes go in at the end and come out at the front.
#[derive(Debug, Default)]
pub(super) struct RecvBuffer {
    /// Initialised as a whole; what is received and not consumed is `start..end`.
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// How many bytes at the front are lent out until the next [`release`](Self::release).
    lent: usize,
    /// The payload of the last data frame is, or was, read straight to its message. The next one
    /// likely will be: little is read before its header is known, so that little is copied.
    bulk: bool,
}

impl RecvBuffer {
    /// Returns where the next bytes go; never empty. It may move what is buffered.
    pub(super) fn space(&mut self) -> &mut [u8] {
        // The last read filled all the space: the next one gets more.
        let full = self.end == self.bytes.len() && !self.bulk;
        self.bytes.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if self.bytes.is_empty() {
            self.bytes = vec![0; SMALL_BUFFER];
        } else if full && self.bytes.len() < LARGE_BUFFER {
            self.bytes.resize(self.bytes.len() * 4, 0);
        }
        let most = if self.bulk { self.end + SMALL_BUFFER } else { usize::MAX };
        let most = most.min(self.bytes.len());
        &mut self.bytes[self.end..most]
    }

    /// Says that the first `len` bytes of the last [`space`](Self::space) are received.
    ///
    /// # Panics
    /// If `len` is more than there was space.
    pub(super) fn filled(&mut self, len: usize) {
        assert!(len <= self.bytes.len() - self.end, "more bytes than there was space for");
        self.end += len;
    }

    /// Returns what is received and not consumed, with what is lent out at its front.
    pub(super) fn received(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Returns what is received and not consumed, without what is lent out.
    pub(super) fn after_lent(&self) -> &[u8] {
        &self.bytes[self.start + self.lent..self.end]
    }

    /// Moves past the first `len` bytes.
    pub(super) fn consume(&mut self, len: usize) {
        self.start += len;
    }

    /// Moves past all that is received.
    pub(super) fn consume_all(&mut self) {
        self.start = self.end;
    }

    /// Lends the first `len` bytes out: the next [`release`](Self::release) moves past them.
    pub(super) fn lend(&mut self, len: usize) -> &[u8] {
        self.lent = len;
        &self.bytes[self.start..][..len]
    }

    /// Moves past what was lent out.
    pub(super) fn release(&mut self) {
        self.start += core::mem::take(&mut self.lent);
    }

    /// Says whether payloads are read straight to their messages, not to the buffer.
    pub(super) fn set_bulk(&mut self, bulk: bool) {
        self.bulk = bulk;
    }

    /// Returns whether payloads are read straight to their messages.
    pub(super) fn is_bulk(&self) -> bool {
        self.bulk
    }

    /// Gives back the memory that an idle connection does not need. What is received stays.
    pub(super) fn shrink(&mut self) {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            self.bytes.truncate(SMALL_BUFFER);
            self.bytes.shrink_to_fit();
        }
    }
}
