//! Shows messages to people: escaped, indented, in colour.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde_json::error::Category;
use serde_json::value::RawValue;

/// Escapes what would change the terminal: control characters but line feed and tab, and those that
/// change the direction of the text.
pub(crate) fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains(is_harmful) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_harmful(c) {
            // Writing to a string does not fail.
            let _ = write!(escaped, "\\u{{{:x}}}", u32::from(c));
        } else {
            escaped.push(c);
        }
    }
    Cow::Owned(escaped)
}

fn is_harmful(c: char) -> bool {
    let turns =
        matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}');
    turns || c.is_control() && !matches!(c, '\n' | '\t')
}

/// Returns hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut digits = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}

/// Reads hexadecimal digits, with blanks anywhere between the bytes.
pub(crate) fn parse_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pairs = digits.chunks(2).map(|pair| match *pair {
        [high, low] => u8::try_from(digit(high)? << 4 | digit(low)?).ok(),
        _ => None,
    });
    pairs.collect()
}

/// Describes bytes in one line: their number, and the first of them.
pub(crate) fn describe(bytes: &[u8]) -> String {
    const SHOWN: usize = 24;
    let mut line = format!("[binary, {}]", crate::duration::size(bytes.len() as u64));
    for byte in &bytes[..bytes.len().min(SHOWN)] {
        let _ = write!(line, " {byte:02x}");
    }
    if bytes.len() > SHOWN {
        line.push_str(" ...");
    }
    line
}

/// Returns whether the text is the beginning of a JSON object or array that goes on.
pub(crate) fn is_open_json(text: &str) -> bool {
    let is_begun = text.trim_start().starts_with(['{', '[']);
    let error = serde_json::from_str::<&RawValue>(text).err();
    is_begun && error.is_some_and(|error| error.classify() == Category::Eof)
}

/// The blanks that a text of JSON may be indented by: this many for each of its bytes, and some
/// more. Brackets in brackets would take a number that grows with the square of their depth.
const BLANKS_PER_BYTE: usize = 8;
const MORE_BLANKS: usize = 64 * 1024;

/// Returns a JSON object or array with indentation, and colours if asked for; `None` if the text is
/// something else, or is nested so deeply that the indentation would be out of proportion to it.
/// Numbers, the order of the members and repeated members stay as they are.
pub(crate) fn pretty_json(text: &str, colour: bool) -> Option<String> {
    let text = text.trim();
    if !text.starts_with(['{', '[']) || serde_json::from_str::<&RawValue>(text).is_err() {
        return None;
    }
    let out = String::with_capacity(2 * text.len());
    let blanks = text.len().saturating_mul(BLANKS_PER_BYTE).saturating_add(MORE_BLANKS);
    let mut pretty = Pretty { out, depth: 0, blanks, colour };
    pretty.value(text)?;
    Some(pretty.out)
}

const KEY: &str = "\x1b[34m";
const STRING: &str = "\x1b[32m";
const OTHER: &str = "\x1b[33m";
const OFF: &str = "\x1b[0m";

struct Pretty {
    out: String,
    depth: usize,
    /// The number of blanks that may still be written.
    blanks: usize,
    colour: bool,
}

impl Pretty {
    /// Writes valid JSON token by token. `None` if it takes too many blanks.
    fn value(&mut self, text: &str) -> Option<()> {
        let bytes = text.as_bytes();
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            let start = at;
            at += 1;
            match byte {
                b'{' | b'[' => {
                    self.out.push(char::from(byte));
                    let next = at + blanks(&bytes[at..]);
                    if let Some(close @ (b'}' | b']')) = bytes.get(next) {
                        self.out.push(char::from(*close));
                        at = next + 1;
                    } else {
                        self.depth += 1;
                        self.new_line()?;
                    }
                }
                b'}' | b']' => {
                    self.depth -= 1;
                    self.new_line()?;
                    self.out.push(char::from(byte));
                }
                b',' => {
                    self.out.push(',');
                    self.new_line()?;
                }
                b':' => self.out.push_str(": "),
                b'"' => {
                    at = start + string_length(&bytes[start..]);
                    let is_key = bytes.get(at + blanks(&bytes[at..])) == Some(&b':');
                    self.token(&text[start..at], if is_key { KEY } else { STRING });
                }
                b' ' | b'\t' | b'\r' | b'\n' => {}
                _ => {
                    let end = |byte: &u8| {
                        matches!(byte, b',' | b'}' | b']') || byte.is_ascii_whitespace()
                    };
                    at = start + bytes[start..].iter().position(end).unwrap_or(text.len() - start);
                    self.token(&text[start..at], OTHER);
                }
            }
        }
        Some(())
    }

    fn token(&mut self, token: &str, colour: &str) {
        let token = escape(token);
        if self.colour {
            self.out.extend([colour, &*token, OFF]);
        } else {
            self.out.push_str(&token);
        }
    }

    fn new_line(&mut self) -> Option<()> {
        self.blanks = self.blanks.checked_sub(2 * self.depth)?;
        self.out.push('\n');
        self.out.extend(std::iter::repeat_n("  ", self.depth));
        Some(())
    }
}

fn blanks(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| byte.is_ascii_whitespace()).count()
}

/// Returns the length of the string at the front, with its quotes.
fn string_length(bytes: &[u8]) -> usize {
    let mut at = 1;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_a_terminal_is_escaped() {
        assert_eq!(escape("a\tb\nc"), "a\tb\nc");
        assert_eq!(escape("\x1b[31m\r\x07\u{9b}"), "\\u{1b}[31m\\u{d}\\u{7}\\u{9b}");
        assert_eq!(escape("\u{202e}x"), "\\u{202e}x");
    }

    #[test]
    fn hexadecimal_goes_both_ways() {
        assert_eq!(hex(&[0, 0xFF, 0x1A]), "00ff1a");
        assert_eq!(parse_hex("00 FF1a"), Some(vec![0, 0xFF, 0x1A]));
        assert_eq!(parse_hex(""), Some(vec![]));
        for wrong in ["0", "0g", "é", "0x00"] {
            assert_eq!(parse_hex(wrong), None, "{wrong}");
        }
        assert_eq!(describe(&[1, 2]), "[binary, 2 bytes] 01 02");
        assert!(describe(&[0; 25]).ends_with(" 00 ..."));
    }

    #[test]
    fn json_is_indented_and_keeps_its_tokens() {
        let text = r#" {"a":1.0e5,"b":[true,{},[ ]],"a":"x\",y:[" } "#;
        let expected = "{\n  \"a\": 1.0e5,\n  \"b\": [\n    true,\n    {},\n    []\n  ],\n  \
                        \"a\": \"x\\\",y:[\"\n}";
        assert_eq!(pretty_json(text, false).as_deref(), Some(expected));
        let coloured = pretty_json(r#"{"a":"b","c":1}"#, true).unwrap();
        assert!(coloured.contains("\x1b[34m\"a\"\x1b[0m: \x1b[32m\"b\"\x1b[0m"), "{coloured}");
        for other in ["", "1", "\"x\"", "{", "[1,]", "{a}", "hello"] {
            assert_eq!(pretty_json(other, false), None, "{other}");
        }
        assert_eq!(pretty_json("[\"\u{9b}\"]", false).unwrap(), "[\n  \"\\u{9b}\"\n]");
        assert_eq!(pretty_json(&"[".repeat(100_000), false), None);
    }

    #[test]
    fn indentation_is_in_proportion_to_the_text() {
        let nested =
            |depth, inner: &str| ["[".repeat(depth), inner.into(), "]".repeat(depth)].concat();
        let ones = |width| vec!["1"; width].join(",");
        // The blanks alone would be 200 MB, 5 GB and 20 GB.
        for text in [
            nested(1000, &ones(100_000)),
            nested(50_000, ""),
            ["{\"a\":".repeat(100_000), "1".into(), "}".repeat(100_000)].concat(),
        ] {
            assert!(pretty_json(&text, false).is_none());
        }
        for (depth, width) in [(1, 100_000), (8, 100_000), (30, 1000), (180, 1)] {
            let text = nested(depth, &ones(width));
            let pretty = pretty_json(&text, true).unwrap_or_else(|| panic!("{depth}, {width}"));
            let most = 15 * text.len() + MORE_BLANKS;
            assert!(pretty.len() <= most, "{depth}, {width}: {}", pretty.len());
        }
    }

    #[test]
    fn json_that_goes_on_is_noticed() {
        for open in ["{", "[1,", "{\"a\": ", "[\n1\n"] {
            assert!(is_open_json(open), "{open}");
        }
        for closed in ["", "hello", "{}", "{a", "[1] 2", "\"x"] {
            assert!(!is_open_json(closed), "{closed}");
        }
    }
}
