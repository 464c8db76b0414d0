//! Reads the header `Sec-WebSocket-Extensions` (RFC 6455 section 9.1).

use crate::proto::http::is_token_byte;

/// Names an extension that a server accepted, with its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs)] // The grammar has no more.
pub struct Extension<'a> {
    /// The registered name of the extension.
    pub name: &'a str,
    /// The parameters in their order: each name, and the value without quotes if there is one.
    pub parameters: Vec<(&'a str, Option<String>)>,
}

/// Reads the value of one header line: `name; parameter; parameter=value, name`. Returns `None` if
/// it is malformed.
///
/// An empty element of the list counts as malformed: a server has no reason to send one.
#[must_use]
pub fn parse(value: &[u8]) -> Option<Vec<Extension<'_>>> {
    let mut rest = Cursor(value);
    let mut extensions = Vec::new();
    loop {
        let mut extension = Extension { name: rest.token()?, parameters: Vec::new() };
        while rest.eat(b';') {
            let name = rest.token()?;
            let value = if rest.eat(b'=') { Some(rest.value()?) } else { None };
            extension.parameters.push((name, value));
        }
        extensions.push(extension);
        if !rest.eat(b',') {
            return rest.0.is_empty().then_some(extensions);
        }
    }
}

/// The bytes that are still to be read. White space is skipped around every part.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn token(&mut self) -> Option<&'a str> {
        self.skip_space();
        let len = self.0.iter().take_while(|&&byte| is_token_byte(byte)).count();
        let (token, rest) = self.0.split_at(len);
        self.0 = rest;
        self.skip_space();
        std::str::from_utf8(token).ok().filter(|token| !token.is_empty())
    }

    /// Reads a token, which may stand in quotes.
    fn value(&mut self) -> Option<String> {
        self.skip_space();
        let Some(mut rest) = self.0.strip_prefix(b"\"") else {
            return self.token().map(str::to_owned);
        };
        let mut value = Vec::new();
        loop {
            match rest {
                [b'"', after @ ..] => {
                    self.0 = after;
                    break;
                }
                [b'\\', byte, after @ ..] | [byte, after @ ..] => {
                    value.push(*byte);
                    rest = after;
                }
                [] => return None,
            }
        }
        self.skip_space();
        let mut inner = Cursor(&value);
        let token = inner.token()?.to_owned();
        // White space within the quotes is not allowed.
        (token.len() == value.len()).then_some(token)
    }

    fn eat(&mut self, byte: u8) -> bool {
        let Some(rest) = self.0.strip_prefix(&[byte]) else { return false };
        self.0 = rest;
        true
    }

    fn skip_space(&mut self) {
        while let [b' ' | b'\t', rest @ ..] = self.0 {
            self.0 = rest;
        }
    }
}
