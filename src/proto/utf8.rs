//! UTF-8 that arrives in pieces (RFC 6455 section 8.1), judged byte by byte.

use super::error::Violation;

/// Checks text that is cut anywhere, also inside a code point; fails at the first byte that
/// cannot be part of valid UTF-8, however much of the message is still to come.
#[derive(Clone, Debug, Default)]
pub struct Utf8 {
    /// The bytes of a code point that is not complete yet.
    tail: [u8; 4],
    len: usize,
}

impl Utf8 {
    /// Checks the next piece, and appends what is complete to `text`.
    ///
    /// # Errors
    /// [`Violation::InvalidUtf8`]; [`Violation::OutOfMemory`] when `text` cannot grow.
    pub fn push(&mut self, piece: &[u8], text: &mut String) -> Result<(), Violation> {
        text.try_reserve(self.len + piece.len()).map_err(|_| Violation::OutOfMemory)?;
        self.each(piece, |complete| text.push_str(complete))
    }

    /// Checks the next piece.
    ///
    /// # Errors
    /// [`Violation::InvalidUtf8`].
    pub fn check(&mut self, piece: &[u8]) -> Result<(), Violation> {
        self.each(piece, |_| {})
    }

    fn each(&mut self, mut piece: &[u8], mut take: impl FnMut(&str)) -> Result<(), Violation> {
        while self.len != 0 {
            let Some((&byte, rest)) = piece.split_first() else { return Ok(()) };
            piece = rest;
            self.tail[self.len] = byte;
            self.len += 1;
            match std::str::from_utf8(&self.tail[..self.len]) {
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
        match std::str::from_utf8(piece) {
            Ok(piece) => take(piece),
            // `error_len` is `None` only when the end could still become a code point.
            Err(error) if error.error_len().is_some() => return Err(Violation::InvalidUtf8),
            Err(error) => {
                let (valid, tail) = piece.split_at(error.valid_up_to());
                take(std::str::from_utf8(valid).map_err(|_| Violation::InvalidUtf8)?);
                self.tail[..tail.len()].copy_from_slice(tail);
                self.len = tail.len();
            }
        }
        Ok(())
    }

    /// Returns how many bytes at the end belong to a code point that is not complete yet: 0 to 3.
    #[must_use]
    pub fn incomplete(&self) -> usize {
        self.len
    }

    /// Ends the text, and begins a new one.
    ///
    /// # Errors
    /// [`Violation::InvalidUtf8`] when it ends inside a code point.
    pub fn finish(&mut self) -> Result<(), Violation> {
        if core::mem::take(&mut self.len) == 0 { Ok(()) } else { Err(Violation::InvalidUtf8) }
    }
}
