//! Makes and reads the bytes on the wire, for the server and for the bare stream.

use std::io::{self, Read};

/// Returns the header of a binary frame with FIN and `len` bytes of payload. If `masked`, the
/// masking key is zero.
pub fn header(len: usize, masked: bool) -> Vec<u8> {
    let mask = if masked { 0x80 } else { 0 };
    let mut header = vec![0x82];
    match len {
        0..=125 => header.push(mask | u8::try_from(len).unwrap()),
        126..=0xFFFF => {
            header.push(mask | 126);
            header.extend(u16::try_from(len).unwrap().to_be_bytes());
        }
        _ => {
            header.push(mask | 127);
            header.extend((len as u64).to_be_bytes());
        }
    }
    if masked {
        header.extend([0; 4]);
    }
    header
}

/// Returns a frame with FIN of a server. `first` is its first byte: the opcode and the flags.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = header(payload.len(), false);
    frame[0] = first;
    frame.extend_from_slice(payload);
    frame
}

/// Returns the number of bytes of a frame with `len` bytes of payload.
pub fn frame_len(len: usize, masked: bool) -> usize {
    header(len, masked).len() + len
}

/// Reads masked frames from a stream.
pub struct Frames<S> {
    pub stream: S,
    buffer: Vec<u8>,
    at: usize,
    end: usize,
}

/// Is the header of a frame that was read.
#[derive(Clone, Copy)]
pub struct Head {
    /// The first byte: FIN, RSV1 to RSV3, and the opcode.
    pub first: u8,
    pub len: usize,
    key: [u8; 4],
}

impl Head {
    /// Returns whether this is the last frame of a text or binary message.
    pub fn ends_message(self) -> bool {
        self.first & 0x80 != 0 && !self.is_control()
    }

    pub fn is_control(self) -> bool {
        self.first & 8 != 0
    }

    pub fn is_close(self) -> bool {
        self.first & 0xF == 8
    }
}

impl<S: Read> Frames<S> {
    pub fn new(stream: S) -> Self {
        Self { stream, buffer: vec![0; 256 * 1024], at: 0, end: 0 }
    }

    /// Reads the header of the next frame. Call `skip` or `take` after it.
    pub fn head(&mut self) -> io::Result<Head> {
        self.fill(2)?;
        let [first, second] = [self.buffer[self.at], self.buffer[self.at + 1]];
        let more = match second & 0x7F {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        self.fill(2 + more + 4)?;
        let rest = &self.buffer[self.at + 2..self.at + 2 + more + 4];
        let (len, key) = rest.split_at(more);
        let len = match more {
            0 => usize::from(second & 0x7F),
            _ => len.iter().fold(0, |len, &byte| len << 8 | usize::from(byte)),
        };
        assert!(second & 0x80 != 0, "a frame that is not masked");
        let key = key.try_into().unwrap();
        self.at += 2 + more + 4;
        Ok(Head { first, len, key })
    }

    /// Drops the payload of the frame.
    pub fn skip(&mut self, head: Head) -> io::Result<()> {
        let mut left = head.len;
        while left > self.end - self.at {
            left -= self.end - self.at;
            self.at = self.end;
            self.fill(1)?;
        }
        self.at += left;
        Ok(())
    }

    /// Appends the unmasked payload of the frame to `out`.
    pub fn take(&mut self, head: Head, out: &mut Vec<u8>) -> io::Result<()> {
        let start = out.len();
        while out.len() - start < head.len {
            self.fill(1)?;
            let len = (self.end - self.at).min(head.len - (out.len() - start));
            out.extend_from_slice(&self.buffer[self.at..self.at + len]);
            self.at += len;
        }
        for (byte, key) in out[start..].iter_mut().zip(head.key.iter().cycle()) {
            *byte ^= key;
        }
        Ok(())
    }

    /// Reads until there are `len` bytes. `len` is small.
    fn fill(&mut self, len: usize) -> io::Result<()> {
        while self.end - self.at < len {
            self.buffer.copy_within(self.at..self.end, 0);
            (self.at, self.end) = (0, self.end - self.at);
            match self.stream.read(&mut self.buffer[self.end..])? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => self.end += read,
            }
        }
        Ok(())
    }
}
