//! `Sec-WebSocket-Extensions`, read as RFC 6455 section 9.1 writes it.

use crate::proto::http::is_token_byte;

/// An extension that a server accepted, and its parameters in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs)] // The grammar has no more.
pub struct Extension<'a> {
    /// Its registered name.
    pub name: &'a str,
    /// Each parameter's name, and its value without quotes if it has one.
    pub parameters: Vec<(&'a str, Option<String>)>,
}

/// Reads one header line: `name; parameter; parameter=value, name`. `None` if it is not that.
///
/// Empty elements are not skipped: there is no reason for a server to send them.
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

/// What is still to be read. White space is skipped around everything.
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

    /// A token, or one in quotes: without the quotes it must still be a token.
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
        // White space inside the quotes is no part of a token either.
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
