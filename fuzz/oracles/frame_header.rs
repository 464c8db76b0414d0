//! Frame headers: one that was read is written back byte for byte, and one that was written is read
//! back.

use arbitrary::Unstructured;
use landline::proto::frame::{Header, Opcode};

pub fn check(data: &[u8]) {
    let decoded = Header::decode(data);
    super::note(&decoded);
    if let Ok(Some((header, len))) = decoded {
        let mut out = Vec::new();
        header.encode(&mut out);
        assert_eq!(out, &data[..len], "{header:?} is written as it was read");
        for end in 0..len {
            assert_eq!(Header::decode(&data[..end]), Ok(None), "a part of a header asks for more");
        }
    }

    let Ok(header) = header(&mut Unstructured::new(data)) else { return };
    let mut out = Vec::new();
    header.encode(&mut out);
    super::note(&out);
    assert_eq!(Header::decode(&out), Ok(Some((header, out.len()))));
}

/// Makes a header that the RFC allows.
fn header(input: &mut Unstructured<'_>) -> arbitrary::Result<Header> {
    let opcode = *input.choose(&[
        Opcode::Continuation,
        Opcode::Text,
        Opcode::Binary,
        Opcode::Close,
        Opcode::Ping,
        Opcode::Pong,
    ])?;
    let control = opcode.is_control();
    Ok(Header {
        fin: control || input.arbitrary()?,
        rsv: input.int_in_range(0..=7)?,
        opcode,
        mask: input.arbitrary()?,
        len: if control { input.int_in_range(0..=125)? } else { input.arbitrary::<u64>()? >> 1 },
    })
}
