//! Reads keys from the bytes of a terminal.

use std::str;

/// Is a key that was pressed, or text that was pasted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Character(char),
    /// A key with Ctrl; the letter is in lower case. Enter is `j`, Tab is `i`.
    Control(char),
    Backspace,
    Delete,
    Left,
    Right,
    Up,
    Down,
    Home,
    End,
    WordLeft,
    WordRight,
    CutWordLeft,
    CutWordRight,
    Paste(String),
}

/// Keeps the bytes of a key until they are complete.
#[derive(Default)]
pub(crate) struct Decoder(Vec<u8>);

const PASTE: &[u8] = b"\x1b[200~";
const PASTE_END: &[u8] = b"\x1b[201~";
/// No key has more bytes. What is longer is thrown away.
const MOST: usize = 16;

impl Decoder {
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// Returns the next key; `None` if more bytes are needed. Keys without a meaning are left out.
    pub(crate) fn next(&mut self) -> Option<Key> {
        loop {
            let (len, key) = decode(&self.0)?;
            self.0.drain(..len);
            if key.is_some() {
                return key;
            }
        }
    }
}

/// Returns the length of the first key and what it means; `None` if it is not complete.
fn decode(bytes: &[u8]) -> Option<(usize, Option<Key>)> {
    match *bytes.first()? {
        0x1B => escape(bytes),
        0x7F | 0x08 => Some((1, Some(Key::Backspace))),
        b'\r' => Some((1, Some(Key::Control('j')))),
        byte @ 0x01..=0x1A => Some((1, Some(Key::Control(char::from(byte + 0x60))))),
        0x00 | 0x1C..=0x1F => Some((1, None)),
        _ => character(bytes),
    }
}

fn character(bytes: &[u8]) -> Option<(usize, Option<Key>)> {
    let end = bytes.len().min(4);
    let valid = match str::from_utf8(&bytes[..end]) {
        Ok(text) => text,
        Err(error) if error.valid_up_to() > 0 => {
            str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(error) => return error.error_len().map(|len| (len, None)),
    };
    let c = valid.chars().next()?;
    Some((c.len_utf8(), Some(Key::Character(c))))
}

fn escape(bytes: &[u8]) -> Option<(usize, Option<Key>)> {
    if bytes.starts_with(PASTE) {
        let end = bytes.windows(PASTE_END.len()).position(|window| window == PASTE_END)?;
        let text = String::from_utf8_lossy(&bytes[PASTE.len()..end]).replace("\r\n", "\n");
        return Some((end + PASTE_END.len(), Some(Key::Paste(text.replace('\r', "\n")))));
    }
    let key = match *bytes.get(1)? {
        b'[' | b'O' => {
            let is_end = |byte: &u8| (0x40..=0x7E).contains(byte);
            let Some(end) = bytes[2..].iter().position(is_end) else {
                return (bytes.len() > MOST).then_some((bytes.len(), None));
            };
            return Some((end + 3, sequence(&bytes[2..end + 3])));
        }
        b'b' => Some(Key::WordLeft),
        b'f' => Some(Key::WordRight),
        b'd' => Some(Key::CutWordRight),
        0x7F | 0x08 => Some(Key::CutWordLeft),
        0x1B => return Some((1, None)),
        _ => None,
    };
    Some((2, key))
}

/// Returns the key of a sequence, without its beginning.
fn sequence(sequence: &[u8]) -> Option<Key> {
    Some(match sequence {
        b"A" => Key::Up,
        b"B" => Key::Down,
        b"C" => Key::Right,
        b"D" => Key::Left,
        b"H" | b"1~" | b"7~" => Key::Home,
        b"F" | b"4~" | b"8~" => Key::End,
        b"3~" => Key::Delete,
        b"1;5C" | b"1;3C" => Key::WordRight,
        b"1;5D" | b"1;3D" => Key::WordLeft,
        b"3;5~" | b"3;3~" => Key::CutWordRight,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes the bytes at once, and one by one, which must be the same.
    fn keys(bytes: &[u8]) -> Vec<Key> {
        let mut decoder = Decoder::default();
        decoder.feed(bytes);
        let all: Vec<_> = std::iter::from_fn(|| decoder.next()).collect();
        let mut slow = Decoder::default();
        let each = bytes.iter().flat_map(|byte| {
            slow.feed(&[*byte]);
            std::iter::from_fn(|| slow.next()).collect::<Vec<_>>()
        });
        assert_eq!(each.collect::<Vec<_>>(), all);
        all
    }

    #[test]
    fn keys_are_characters_and_sequences() {
        use Key::*;
        assert_eq!(keys("aé€😀".as_bytes()), "aé€😀".chars().map(Character).collect::<Vec<_>>());
        assert_eq!(
            keys(b"\r\n\t\x03\x7f"),
            [Control('j'), Control('j'), Control('i'), Control('c'), Backspace]
        );
        assert_eq!(
            keys(b"\x1b[A\x1bOB\x1b[1;5C\x1b[3~\x1bb"),
            [Up, Down, WordRight, Delete, WordLeft]
        );
    }

    #[test]
    fn pasted_text_is_one_key() {
        let pasted = keys(b"\x1b[200~a\rb\r\n\x03\x1b[A\x1b[201~x");
        let text = "a\nb\n\x03\x1b[A".to_owned();
        assert_eq!(pasted, [Key::Paste(text), Key::Character('x')]);
    }

    #[test]
    fn bytes_without_a_meaning_are_left_out() {
        assert_eq!(keys(b"\xFF\x1b[99;99Z\x1bq\0a"), [Key::Character('a')]);
        assert_eq!(keys(b"\x1b"), []);
        let mut endless = Decoder::default();
        endless.feed(b"\x1b[11111111111111111");
        assert_eq!((endless.next(), endless.0.len()), (None, 0));
    }
}
