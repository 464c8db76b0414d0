//! The memory of a writer: what it keeps between two messages, and when it is freed.

use super::WriteHalf;

/// The capacity that a write buffer of an idle connection may keep.
const SMALL_BUFFER: usize = 2 * 1024;
/// The capacity that a write buffer may keep between two messages: a chunk of 64 KiB with the
/// overhead of TLS. The C library would give freed memory of this size back to the system, and each
/// message would pay for getting it again, page by page.
const KEPT_BUFFER: usize = 80 * 1024;
/// The number of short messages after which a write buffer for longer ones is freed.
const SHORT_MESSAGES: u8 = 8;

impl WriteHalf {
    /// Frees the memory that a message needed, if it is much or the last messages were short.
    /// Otherwise the next message is likely to need it too, and [`release`](Self::release) frees
    /// it.
    #[inline]
    pub(crate) fn shrink(&mut self) {
        let used = std::mem::take(&mut self.used);
        let capacity = self.out.capacity().max(self.plain.capacity());
        if capacity > SMALL_BUFFER {
            self.shrink_after(used, capacity);
        }
    }

    #[cold]
    fn shrink_after(&mut self, used: usize, capacity: usize) {
        self.short_messages = if used <= SMALL_BUFFER { self.short_messages + 1 } else { 0 };
        if self.short_messages == SHORT_MESSAGES || capacity > KEPT_BUFFER {
            self.release();
        }
    }

    /// Frees the memory that messages needed. Call it when the connection is idle.
    pub(crate) fn release(&mut self) {
        self.short_messages = 0;
        // A freed buffer stays with the allocator for the next big message. What is cut off from a
        // buffer may go back to the system each time.
        let free = |buffer: &mut Vec<u8>| {
            if buffer.is_empty() && buffer.capacity() > SMALL_BUFFER {
                *buffer = Vec::new();
            }
        };
        free(&mut self.out);
        free(&mut self.plain);
    }
}
