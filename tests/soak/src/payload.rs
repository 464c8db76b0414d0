//! Makes the messages, and recognises them when they come back. Both sides use it.

use std::fmt;

use landline::Message;

/// The text that the server answers with its [`Chain`], instead of echoing it.
pub const ASK: &str = "\u{1}what did you get?";
/// The first letter of each message of the two lanes, if two threads send.
pub const LANES: [u8; 2] = [b'A', b'B'];

/// Identifies a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    pub text: bool,
    pub len: usize,
    pub crc: u32,
}

impl Stamp {
    pub fn of(text: bool, bytes: &[u8]) -> Self {
        Self { text, len: bytes.len(), crc: crc32fast::hash(bytes) }
    }
}

/// Is a checksum over all messages of a connection in one direction, in their order.
#[derive(Clone, Copy, Debug, Default)]
pub struct Chain {
    count: u64,
    crc: u32,
}

impl Chain {
    pub fn add(&mut self, stamp: Stamp) {
        let mut hasher = crc32fast::Hasher::new_with_initial(self.crc);
        hasher.update(&[u8::from(stamp.text)]);
        hasher.update(&(stamp.len as u64).to_be_bytes());
        hasher.update(&stamp.crc.to_be_bytes());
        self.count += 1;
        self.crc = hasher.finalize();
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} messages, {:08x}", self.count, self.crc)
    }
}

/// Returns a random message of exactly `len` bytes. With a lane, the message begins with its
/// letter.
pub fn message(rng: &mut fastrand::Rng, len: usize, lane: Option<u8>) -> Message {
    if rng.bool() {
        return Message::Text(text(rng, len, lane));
    }
    let mut bytes = vec![0; len];
    rng.fill(&mut bytes);
    if let (Some(lane), Some(first)) = (lane, bytes.first_mut()) {
        *first = lane;
    }
    Message::Binary(bytes)
}

/// Returns text of letters of one to four bytes. Long text repeats a random page, which is cheaper.
fn text(rng: &mut fastrand::Rng, len: usize, lane: Option<u8>) -> String {
    const LETTERS: [char; 8] = ['a', 'Z', '0', ' ', 'ß', 'д', '世', '🦀'];
    const PAGE: usize = 4096;
    let mut text = String::with_capacity(len);
    text.extend(lane.filter(|_| len > 0).map(char::from));
    while text.len() < len.min(PAGE) {
        let letter = LETTERS[rng.usize(..LETTERS.len())];
        text.push(if text.len() + letter.len_utf8() <= len { letter } else { '.' });
    }
    let page = text.clone();
    while !page.is_empty() && text.len() + page.len() <= len {
        text.push_str(&page);
    }
    text.extend(std::iter::repeat_n('.', len - text.len()));
    text
}
