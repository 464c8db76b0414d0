//! Makes the bytes on the wire for the server and for the bare stream.

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

/// Returns the number of bytes of a frame with `len` bytes of payload.
pub fn frame_len(len: usize, masked: bool) -> usize {
    header(len, masked).len() + len
}
