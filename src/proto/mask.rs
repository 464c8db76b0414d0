//! Masks payloads (RFC 6455 section 5.3): each byte of a client's payload is XORed with its key.

/// The number of bytes that are masked at once in a big payload: two steps of the widest vectors.
const BLOCK: usize = 64;
/// Payloads of at least this many bytes are masked in blocks.
const BIG: usize = 4 * 1024;

/// Masks `payload` and appends it to `out`. `offset` is the position of `payload` in its frame: it
/// is not 0 if the frame is written in several calls, and the key goes on from there.
#[inline]
pub fn mask_into(out: &mut Vec<u8>, payload: &[u8], key: [u8; 4], offset: u64) {
    let mut key = key;
    if offset % 4 != 0 {
        key.rotate_left((offset % 4) as usize);
    }
    let mut rest = payload;
    if payload.len() >= BIG {
        let blocks = payload.chunks_exact(BLOCK);
        rest = blocks.remainder();
        mask_blocks(out, blocks, key);
    }
    // Bytes that are copied first are still in the nearest cache when they are masked.
    let start = out.len();
    out.extend_from_slice(rest);
    mask(&mut out[start..], key);
}

/// Masks bytes in place.
fn mask(bytes: &mut [u8], key: [u8; 4]) {
    let four = u32::from_ne_bytes(key);
    let eight = u64::from(four) << 32 | u64::from(four);
    let (words, rest) = bytes.split_at_mut(bytes.len() & !7);
    for word in words.chunks_exact_mut(8) {
        let mut masked = [0; 8];
        masked.copy_from_slice(word);
        word.copy_from_slice(&(u64::from_ne_bytes(masked) ^ eight).to_ne_bytes());
    }
    for (byte, mask) in rest.iter_mut().zip(eight.to_ne_bytes()) {
        *byte ^= mask;
    }
}

/// Appends the blocks, masked. As the length of each is a constant, it is masked in registers, and
/// written once, to memory that was not zeroed before.
#[inline(never)] // So that short payloads do not pay for its registers.
fn mask_blocks(out: &mut Vec<u8>, blocks: core::slice::ChunksExact<'_, u8>, key: [u8; 4]) {
    out.reserve(blocks.len() * BLOCK);
    for block in blocks {
        let mut masked = [0; BLOCK];
        masked.copy_from_slice(block);
        mask(&mut masked, key);
        out.extend_from_slice(&masked);
    }
}
