//! The messages that are measured, and what a contender checks of those that it receives.

use tungstenite::{Bytes, Utf8Bytes};

use crate::compressed::json;

/// Names the content of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Binary,
    /// Text whose characters have one byte each.
    Ascii,
    /// Text whose characters have one to four bytes.
    Multi,
    /// Text that compresses well: records of a price feed.
    Json,
}

impl Kind {
    pub const ALL: [Self; 4] = [Self::Binary, Self::Ascii, Self::Multi, Self::Json];

    pub fn name(self) -> &'static str {
        match self {
            Self::Binary => "binary",
            Self::Ascii => "ascii",
            Self::Multi => "multi",
            Self::Json => "json",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    pub fn is_text(self) -> bool {
        self != Self::Binary
    }
}

/// Is a message that is sent.
#[derive(Clone, Debug)]
pub struct Message {
    pub bytes: Bytes,
    /// The same bytes, if this is a text message.
    pub text: Option<Utf8Bytes>,
}

impl Message {
    /// Makes a message of `len` bytes. It is the same in the server and in all contenders.
    pub fn new(kind: Kind, len: usize) -> Self {
        let bytes: Vec<u8> = match kind {
            Kind::Binary => {
                let all: Vec<u8> = (0..=250).collect();
                let mut bytes = all.repeat(len / all.len() + 1);
                bytes.truncate(len);
                bytes
            }
            Kind::Ascii => fill("Jived fox nymph grabs quick waltz. ", len),
            Kind::Multi => fill("Größe, déjà vu, Привет, 東京の朝, 🦊🌍 ", len),
            Kind::Json => json(len, 1).into_bytes(),
        };
        let bytes = Bytes::from(bytes);
        let text = kind.is_text().then(|| bytes.clone().try_into().unwrap());
        Self { bytes, text }
    }
}

/// Repeats the phrase, without cutting a character. Spaces fill the rest.
fn fill(phrase: &str, len: usize) -> Vec<u8> {
    let mut text = phrase.repeat(len / phrase.len() + 1);
    let mut end = len;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    let mut bytes = text.into_bytes();
    bytes.resize(len, b' ');
    bytes
}

/// Is what a received message must be.
#[derive(Clone, Debug)]
pub struct Expected {
    text: bool,
    pub len: usize,
    ends: Option<(u8, u8)>,
    whole: Option<Bytes>,
}

impl Expected {
    /// Expects this kind, this length, and these first and last bytes. Does not keep the message.
    pub fn outline(message: &Message) -> Self {
        let bytes = &message.bytes;
        let ends = bytes.first().copied().zip(bytes.last().copied());
        Self { text: message.text.is_some(), len: bytes.len(), ends, whole: None }
    }

    /// Expects each byte.
    pub fn whole(message: &Message) -> Self {
        Self { whole: Some(message.bytes.clone()), ..Self::outline(message) }
    }

    /// Panics if the message is another one.
    #[inline]
    pub fn check(&self, text: bool, bytes: &[u8]) {
        assert!(text == self.text && bytes.len() == self.len, "a message of {} bytes", bytes.len());
        if let Some((first, last)) = self.ends {
            assert!(bytes[0] == first && bytes[bytes.len() - 1] == last, "other bytes came");
        }
        if let Some(whole) = &self.whole {
            assert!(whole == bytes, "other bytes came");
        }
    }
}
