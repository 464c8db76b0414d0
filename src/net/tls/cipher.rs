//! The buffer of the one reader: ciphertext that was read, and plaintext that did not fit.

/// The size of the buffer of an idle connection, in bytes.
const SMALL: usize = 4 * 1024;
/// The size of the buffer of a busy connection, in bytes: room for the seven largest records, and
/// for the beginning of the next one.
const LARGE: usize = 128 * 1024;
/// The length of the header of a record (RFC 8446 section 5.1). Its last two bytes are the length
/// of the rest.
const HEADER: usize = 5;

/// Bytes that were read from the socket. TLS decrypts them in place.
#[derive(Debug, Default)]
pub(crate) struct Cipher {
    /// The memory, all of it initialised. The bytes that TLS still needs are at `start..end`.
    buffer: Vec<u8>,
    start: usize,
    /// The end of the last record that is whole.
    whole: usize,
    end: usize,
    /// The plaintext of a record that was decrypted, of which the first `taken` bytes are taken.
    plain: Vec<u8>,
    taken: usize,
}

impl Cipher {
    /// Returns the space for the next bytes, which is never empty.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        let len = self.buffer.len();
        // If the last read filled all the space, the next one gets more.
        let is_full = self.end == len;
        self.move_to_front();
        if is_full {
            let least = self.end + SMALL;
            self.buffer.resize((4 * len).clamp(least, LARGE.max(least)), 0);
        }
        &mut self.buffer[self.end..]
    }

    fn move_to_front(&mut self) {
        self.buffer.copy_within(self.start..self.end, 0);
        self.whole -= self.start;
        self.end -= self.start;
        self.start = 0;
    }

    /// Says that bytes were read into the first `len` bytes of the last [`space`](Self::space).
    pub(crate) fn filled(&mut self, len: usize) {
        self.end += len;
        while let Some(&[_, _, _, high, low]) = self.buffer[self.whole..self.end].first_chunk() {
            let record = HEADER + usize::from(u16::from_be_bytes([high, low]));
            if record > self.end - self.whole {
                return;
            }
            self.whole += record;
        }
    }

    /// Frees the memory that an idle connection does not need.
    pub(crate) fn shrink(&mut self) {
        self.move_to_front();
        self.buffer.truncate(self.end.max(SMALL));
        self.buffer.shrink_to_fit();
        if self.plain.is_empty() {
            self.plain = Vec::new();
        }
    }

    /// Returns whether there is neither ciphertext nor plaintext.
    pub(super) fn is_empty(&self) -> bool {
        self.start == self.end && self.plain.is_empty()
    }

    /// Returns the number of bytes of whole records, once TLS has processed all of them, that TLS
    /// still needs. These hold a part of a handshake message.
    pub(super) fn retained(&self) -> usize {
        self.whole - self.start
    }

    pub(super) fn ciphertext(&mut self) -> &mut [u8] {
        self.split().0
    }

    /// Returns the ciphertext, and the place for plaintext that fits nowhere else.
    pub(super) fn split(&mut self) -> (&mut [u8], &mut Vec<u8>) {
        (&mut self.buffer[self.start..self.end], &mut self.plain)
    }

    /// Moves past ciphertext that TLS does not need any more.
    pub(super) fn discard(&mut self, len: usize) {
        self.start += len;
    }

    /// Appends ciphertext.
    pub(super) fn extend(&mut self, bytes: &[u8]) {
        self.buffer.truncate(self.end);
        self.buffer.extend_from_slice(bytes);
        self.filled(bytes.len());
    }

    /// Moves plaintext into `buf`, and returns how many bytes.
    pub(super) fn take_plain(&mut self, buf: &mut [u8]) -> usize {
        let rest = &self.plain[self.taken..];
        let len = rest.len().min(buf.len());
        buf[..len].copy_from_slice(&rest[..len]);
        self.taken += len;
        if self.taken == self.plain.len() {
            self.plain.clear();
            self.taken = 0;
        }
        len
    }
}
