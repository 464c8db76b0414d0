//! Masking gives the same as the obvious loop, from any offset, cut anywhere, at any alignment.
//!
//! Input: the key, the offset, how many bytes are in the buffer already, where to cut, the payload.

use landline::proto::mask::mask_into;

pub fn check(data: &[u8]) {
    let Some((&[a, b, c, d, offset, before, cut], payload)) = data.split_first_chunk() else {
        return;
    };
    let (key, offset) = ([a, b, c, d], u64::from(offset));
    let obvious: Vec<u8> = (offset..)
        .zip(payload)
        .map(|(at, byte)| byte ^ key[usize::try_from(at % 4).unwrap()])
        .collect();

    let mut out = vec![0xAA; usize::from(before)];
    let (first, second) = payload.split_at(usize::from(cut).min(payload.len()));
    mask_into(&mut out, first, key, offset);
    mask_into(&mut out, second, key, offset + first.len() as u64);
    super::note(&out);
    assert_eq!(out[usize::from(before)..], obvious);
    assert!(out[..usize::from(before)].iter().all(|&byte| byte == 0xAA), "the rest is untouched");
}
