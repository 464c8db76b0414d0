//! Reads the bytes without any parser under test: frame after frame by its length, without checks.

/// A frame, which may be incomplete.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    first: u8,
    second: u8,
    len: u64,
    payload: &'a [u8],
    /// The number of bytes of the frame that are missing.
    missing: u64,
}

impl Frame<'_> {
    fn opcode(&self) -> u8 {
        self.first & 0x0F
    }

    /// Returns whether the length would fit into a shorter form. In a control frame both longer
    /// forms are too long.
    pub fn is_long_form(&self) -> bool {
        match self.second & 0x7F {
            126 => self.len < 126 || self.opcode() >= 8,
            127 => self.len <= 0xFFFF || self.opcode() >= 8,
            _ => false,
        }
    }

    pub fn has_top_bit(&self) -> bool {
        self.len >> 63 == 1
    }

    pub fn is_masked(&self) -> bool {
        self.second & 0x80 != 0
    }

    /// Returns whether a Close has a code that neither section 7.4 nor IANA's registry allows.
    pub fn has_bad_code(&self) -> bool {
        let Some((&code, _)) = self.payload.split_first_chunk() else { return false };
        self.opcode() == 8
            && !matches!(u16::from_be_bytes(code), 1000..=1003 | 1007..=1014 | 3000..=4999)
    }

    pub fn is_close_of_one_byte(&self) -> bool {
        self.opcode() == 8 && self.len == 1
    }
}

/// Returns the next frame, and the bytes after it. An incomplete header is read as if zeros
/// followed.
fn split_frame(data: &[u8]) -> Option<(Frame<'_>, &[u8])> {
    let first = *data.first()?;
    let second = data.get(1).copied().unwrap_or(0);
    let extended = match second & 0x7F {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let header = 2 + extended + if second & 0x80 != 0 { 4 } else { 0 };
    let byte = |at: usize| u64::from(data.get(at).copied().unwrap_or(0));
    let len = match extended {
        0 => u64::from(second & 0x7F),
        _ => (2..2 + extended).fold(0, |len, at| len << 8 | byte(at)),
    };
    let rest = data.get(header..).unwrap_or_default();
    let here = usize::try_from(len).map_or(rest.len(), |len| len.min(rest.len()));
    let (payload, later) = rest.split_at(here);
    let missing = (len - here as u64).saturating_add(header.saturating_sub(data.len()) as u64);
    Some((Frame { first, second, len, payload, missing }, later))
}

/// Returns the frames up to a Close.
pub fn frames(mut data: &[u8]) -> impl Iterator<Item = Frame<'_>> {
    std::iter::from_fn(move || {
        let (frame, later) = split_frame(data)?;
        data = if frame.opcode() == 8 { &[] } else { later };
        Some(frame)
    })
}

/// Returns whether the bytes have such a frame.
pub fn have<'a>(data: &'a [u8], such: impl Fn(&Frame<'a>) -> bool) -> bool {
    frames(data).any(|frame| such(&frame))
}

/// Returns whether the data frames of one message announce more bytes than the limit.
pub fn have_big_message(data: &[u8], limit: u64) -> bool {
    let mut len = 0_u64;
    frames(data).filter(|frame| frame.opcode() < 8).any(|frame| {
        len = len.saturating_add(frame.len);
        let is_big = len > limit;
        if frame.first & 0x80 != 0 {
            len = 0;
        }
        is_big
    })
}

/// Returns whether there is a text message, or the reason of a Close, that cannot become UTF-8.
pub fn have_bad_text(data: &[u8]) -> bool {
    let mut text: Option<Vec<u8>> = None;
    frames(data).any(|frame| {
        let ends = frame.missing == 0 && frame.first & 0x80 != 0;
        let bytes = match frame.opcode() {
            8 => frame.payload.get(2..).unwrap_or_default().to_vec(),
            0..=2 => {
                if frame.opcode() == 1 {
                    text = Some(Vec::new());
                } else if frame.opcode() == 2 {
                    text = None;
                }
                let Some(text) = &mut text else { return false };
                text.extend_from_slice(frame.payload);
                text.clone()
            }
            _ => return false,
        };
        std::str::from_utf8(&bytes).is_err_and(|error| ends || error.error_len().is_some())
    })
}

/// Returns the bytes with what they lack: the rest of the last frame, and the end of the message.
pub fn completed(data: &[u8]) -> Vec<u8> {
    let mut whole = data.to_vec();
    let mut open = false;
    for frame in frames(data) {
        if frame.opcode() < 8 {
            open = frame.first & 0x80 == 0;
        }
        // A frame that is too long is refused by its header.
        let missing = usize::try_from(frame.missing).unwrap_or(usize::MAX);
        whole.resize(whole.len() + missing.min(super::LIMIT + 16), 0);
    }
    if open {
        whole.extend_from_slice(&[0x80, 0x00]);
    }
    whole
}

/// Returns the position, among the events, of the first Pong that comes while a message is open.
/// All frames before it must be good.
pub fn pong_between_fragments(data: &[u8]) -> Option<usize> {
    let (mut events, mut open) = (0, false);
    for frame in frames(data).take_while(|frame| frame.missing == 0) {
        let fin = frame.first & 0x80 != 0;
        match frame.opcode() {
            10 if open => return Some(events),
            8.. => events += 1,
            _ => {
                open = !fin;
                events += usize::from(fin);
            }
        }
    }
    None
}
