//! Checks UTF-8 as it arrives (RFC 6455 section 8.1).

#[cfg(not(feature = "simdutf8"))]
pub(super) use core::str::from_utf8 as valid_text;

#[cfg(feature = "simdutf8")]
pub(super) use simdutf8::basic::from_utf8 as valid_text;

use core::str;

use super::error::Violation;

/// Checks text that arrives in parts, which may end inside a code point. Fails at the first byte
/// that cannot be part of valid UTF-8, however much of the text is still to come.
#[derive(Clone, Debug, Default)]
pub struct Utf8 {
    /// The first `len` bytes of a code point that is not complete yet.
    tail: [u8; 4],
    len: usize,
}

impl Utf8 {
    /// Checks the next bytes, and appends the complete code points to `text`.
    ///
    /// # Errors
    /// [`Violation::InvalidUtf8`]; [`Violation::OutOfMemory`] if `text` cannot grow.
    pub fn push(&mut self, bytes: &[u8], text: &mut String) -> Result<(), Violation> {
        text.try_reserve(self.len + bytes.len()).map_err(|_| Violation::OutOfMemory)?;
        self.each(bytes, |complete| text.push_str(complete))
    }

    /// Checks the next bytes.
    ///
    /// # Errors
    /// [`Violation::InvalidUtf8`].
    pub fn check(&mut self, bytes: &[u8]) -> Result<(), Violation> {
        self.each(bytes, |_| {})
    }

    /// Calls `take` with the complete code points of `bytes`.
    fn each(&mut self, mut bytes: &[u8], mut take: impl FnMut(&str)) -> Result<(), Violation> {
        while self.len != 0 {
            let Some((&byte, rest)) = bytes.split_first() else { return Ok(()) };
            bytes = rest;
            self.tail[self.len] = byte;
            self.len += 1;
            match str::from_utf8(&self.tail[..self.len]) {
                Ok(complete) => {
                    take(complete);
                    self.len = 0;
                }
                Err(error) if error.error_len().is_some() => {
                    self.len = 0;
                    return Err(Violation::InvalidUtf8);
                }
                Err(_) => {}
            }
        }
        // Cut before the check, so that no byte is checked twice.
        let (complete, tail) = bytes.split_at(bytes.len() - incomplete_at_end(bytes));
        take(valid_text(complete).map_err(|_| Violation::InvalidUtf8)?);
        if tail.is_empty() { Ok(()) } else { self.keep(tail) }
    }

    /// Keeps the first bytes of a code point until the next ones come.
    #[cold]
    fn keep(&mut self, tail: &[u8]) -> Result<(), Violation> {
        // `error_len` is `None` only if the bytes could still become a code point.
        if str::from_utf8(tail).is_err_and(|error| error.error_len().is_some()) {
            return Err(Violation::InvalidUtf8);
        }
        self.tail[..tail.len()].copy_from_slice(tail);
        self.len = tail.len();
        Ok(())
    }

    /// Returns how many bytes of an incomplete code point came last: 0 to 3.
    #[must_use]
    pub fn incomplete(&self) -> usize {
        self.len
    }

    /// Ends the text, and begins a new one.
    ///
    /// # Errors
    /// [`Violation::InvalidUtf8`] if the text ends inside a code point.
    pub fn finish(&mut self) -> Result<(), Violation> {
        if core::mem::take(&mut self.len) == 0 { Ok(()) } else { Err(Violation::InvalidUtf8) }
    }
}

/// Returns how many bytes at the end begin a code point that is longer, if valid at all: 0 to 3.
#[inline]
fn incomplete_at_end(bytes: &[u8]) -> usize {
    if bytes.last().is_none_or(u8::is_ascii) {
        return 0;
    }
    let is_continuation = |byte: u8| byte & 0xC0 == 0x80;
    let last = bytes.iter().rev().take(3).position(|&byte| !is_continuation(byte));
    let Some(len) = last.map(|before| before + 1) else { return 0 };
    // The first byte has as many leading ones as the code point has bytes.
    let first = bytes[bytes.len() - len];
    if first.leading_ones() as usize > len { len } else { 0 }
}
