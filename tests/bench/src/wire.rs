//! The bytes on the wire, as far as the server and the bare socket need to know them.

/// A frame's header with this payload length, FIN and binary; masked with zeros if `masked`.
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

/// How many bytes a frame with this payload length has.
pub fn frame_len(len: usize, masked: bool) -> usize {
    header(len, masked).len() + len
}
