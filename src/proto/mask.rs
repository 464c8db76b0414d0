//! Masking (RFC 6455 section 5.3): each byte of a client's payload is XORed with its key.

/// The number of bytes that are masked at once in a big payload: a vector register.
const BLOCK: usize = 32;
/// Payloads of at least this many bytes are masked in blocks.
const BIG: usize = 1024;

/// Masks `payload` and appends it to `out`. `offset` is the position of `payload` in its frame: it
/// is not 0 if the frame is written in several calls, and the key goes on from there.
pub fn mask_into(out: &mut Vec<u8>, payload: &[u8], key: [u8; 4], offset: u64) {
    let mut key = key;
    key.rotate_left((offset % 4) as usize);
    let mut rest = payload;
    if payload.len() >= BIG {
        let blocks = payload.chunks_exact(BLOCK);
        rest = blocks.remainder();
        mask_blocks(out, blocks, key);
    }
    // Copy and mask in one pass. The compiler makes vector instructions of eight bytes at a time.
    let word = u64::from_ne_bytes([key[0], key[1], key[2], key[3], key[0], key[1], key[2], key[3]]);
    let start = out.len();
    out.resize(start + rest.len(), 0);
    let mut targets = out[start..].chunks_exact_mut(8);
    let mut sources = rest.chunks_exact(8);
    for (target, source) in targets.by_ref().zip(sources.by_ref()) {
        let mut eight = [0; 8];
        eight.copy_from_slice(source);
        target.copy_from_slice(&(u64::from_ne_bytes(eight) ^ word).to_ne_bytes());
    }
    let tail = targets.into_remainder().iter_mut().zip(sources.remainder());
    for ((target, source), key) in tail.zip(key.iter().cycle()) {
        *target = source ^ key;
    }
}

/// Appends the blocks, masked. `Vec::extend` by arrays of a known number writes them to memory that
/// was not zeroed before.
#[inline(never)] // So that short payloads do not pay for its registers.
fn mask_blocks(out: &mut Vec<u8>, blocks: core::slice::ChunksExact<'_, u8>, key: [u8; 4]) {
    let keys: [u8; BLOCK] = core::array::from_fn(|at| key[at % 4]);
    out.reserve(blocks.len() * BLOCK);
    out.extend(blocks.flat_map(|block| {
        let mut masked = [0; BLOCK];
        masked.copy_from_slice(block);
        masked.iter_mut().zip(keys).for_each(|(byte, key)| *byte ^= key);
        masked
    }));
}
