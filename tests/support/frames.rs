//! Builds the frames of a server and reads those of a client, without code of the crate.

pub const TEXT: u8 = 1;
pub const BINARY: u8 = 2;
pub const CLOSE: u8 = 8;
pub const PING: u8 = 9;
pub const PONG: u8 = 10;

/// Returns the bytes of a frame that a server sends.
pub fn frame(opcode: u8, fin: bool, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![u8::from(fin) << 7 | opcode];
    match payload.len() {
        len @ 0..=125 => bytes.push(u8::try_from(len).unwrap()),
        len @ 126..=65535 => {
            bytes.push(126);
            bytes.extend(u16::try_from(len).unwrap().to_be_bytes());
        }
        len => {
            bytes.push(127);
            bytes.extend((len as u64).to_be_bytes());
        }
    }
    bytes.extend_from_slice(payload);
    bytes
}

pub fn text(text: &str) -> Vec<u8> {
    frame(TEXT, true, text.as_bytes())
}

pub fn binary(payload: &[u8]) -> Vec<u8> {
    frame(BINARY, true, payload)
}

pub fn ping(payload: &[u8]) -> Vec<u8> {
    frame(PING, true, payload)
}

pub fn close(code: u16, reason: &str) -> Vec<u8> {
    frame(CLOSE, true, &[&code.to_be_bytes(), reason.as_bytes()].concat())
}

/// Holds a frame from the client, unmasked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub opcode: u8,
    pub fin: bool,
    pub payload: Vec<u8>,
}

impl Frame {
    pub fn close_code(&self) -> Option<u16> {
        assert_eq!(self.opcode, CLOSE);
        let code = self.payload.first_chunk::<2>();
        code.map(|&code| u16::from_be_bytes(code))
    }

    pub fn reason(&self) -> &str {
        std::str::from_utf8(&self.payload[2..]).unwrap()
    }
}

/// Removes one client frame from the front of `bytes`, and returns it; `None` if it is not
/// complete.
pub fn take_frame(bytes: &mut Vec<u8>) -> Option<Frame> {
    let (&first, &second) = (bytes.first()?, bytes.get(1)?);
    assert_eq!(first & 0x70, 0, "a client frame has reserved bits");
    assert_eq!(second & 0x80, 0x80, "a client frame is not masked");
    let opcode = first & 15;
    assert!(matches!(opcode, 0..=2 | 8..=10), "the client sent opcode {opcode}");
    let (len, at) = match second & 0x7F {
        126 => (u64::from(u16::from_be_bytes(*bytes.get(2..4)?.first_chunk()?)), 4),
        127 => (u64::from_be_bytes(*bytes.get(2..10)?.first_chunk()?), 10),
        len => (u64::from(len), 2),
    };
    let shortest = match len {
        0..=125 => 2,
        126..=65535 => 4,
        _ => 10,
    };
    assert_eq!(at, shortest, "the length {len} is not in its shortest form");
    let fin = first & 0x80 != 0;
    assert!(opcode < 8 || (fin && len < 126), "a control frame is too long or fragmented");
    let end = at + 4 + usize::try_from(len).unwrap();
    if bytes.len() < end {
        return None;
    }
    let key: [u8; 4] = bytes[at..at + 4].try_into().unwrap();
    let mut payload = bytes[at + 4..end].to_vec();
    // Word by word, since nothing here is optimized.
    let keys = u32::from_ne_bytes(key);
    let mut words = payload.chunks_exact_mut(4);
    for word in &mut words {
        let masked = u32::from_ne_bytes(*word.first_chunk().unwrap());
        word.copy_from_slice(&(masked ^ keys).to_ne_bytes());
    }
    for (byte, key) in words.into_remainder().iter_mut().zip(key) {
        *byte ^= key;
    }
    bytes.drain(..end);
    Some(Frame { opcode, fin, payload })
}
