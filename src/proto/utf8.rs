//! Checks UTF-8 as it arrives (RFC 6455 section 8.1).

#[cfg(not(feature = "simdutf8"))]
pub(super) use std::str::from_utf8;

#[cfg(feature = "simdutf8")]
pub(super) use simdutf8::compat::from_utf8;

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
            match from_utf8(&self.tail[..self.len]) {
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
        match from_utf8(bytes) {
            Ok(text) => take(text),
            // `error_len` is `None` only if the end could still become a code point.
            Err(error) if error.error_len().is_some() => return Err(Violation::InvalidUtf8),
            Err(error) => {
                let (valid, tail) = bytes.split_at(error.valid_up_to());
                take(from_utf8(valid).map_err(|_| Violation::InvalidUtf8)?);
                self.tail[..tail.len()].copy_from_slice(tail);
                self.len = tail.len();
            }
        }
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
