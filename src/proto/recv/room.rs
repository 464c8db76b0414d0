//! Takes memory for a message that is gathered, and decides how much of it is kept.

use core::mem;

use super::{LARGE_BUFFER, SMALL_BUFFER};
use crate::proto::error::Violation;

/// Makes room in `bytes` for at least the next `least` bytes of a frame, after `data` bytes that
/// are there already. If there is too little room, `data` more bytes are reserved: at least
/// [`LARGE_BUFFER`], at most `left`, what the frame still has. So memory follows the bytes that
/// came, and never the length that the peer claimed. After a frame that is not the last one (`fin`)
/// more follow: if its bytes have no room, `data` more bytes are reserved even if it has less.
pub(super) fn reserve(
    bytes: &mut Vec<u8>,
    data: usize,
    least: usize,
    left: u64,
    fin: bool,
) -> Result<(), Violation> {
    if bytes.capacity() - data >= least {
        return Ok(());
    }
    let left = usize::try_from(left).unwrap_or(usize::MAX);
    let of_frame = left.min(data.max(LARGE_BUFFER));
    if bytes.capacity() - data >= of_frame {
        return Ok(());
    }
    let more = if fin { of_frame } else { of_frame.max(data) };
    // Some of `bytes` may be space, which counts as room.
    let more = more - (bytes.len() - data).min(more);
    bytes.try_reserve_exact(more).map_err(|_| Violation::OutOfMemory)
}

/// Returns the most memory that is kept for a message of which `len` bytes have arrived.
pub(super) fn room_for(len: usize) -> usize {
    if len == 0 { 0 } else { len.saturating_mul(2).max(LARGE_BUFFER) }
}

/// Takes a text out of the memory that it was gathered in, or copies it, so that the memory stays
/// for the next message.
pub(super) fn take_text(text: &mut String) -> String {
    let mut copy = String::new();
    if is_copied(text.len(), text.capacity()) && copy.try_reserve_exact(text.len()).is_ok() {
        copy.push_str(text);
        return copy;
    }
    mem::take(text)
}

/// Takes bytes as [`take_text`] takes a text.
pub(super) fn take_bytes(bytes: &mut Vec<u8>) -> Vec<u8> {
    let mut copy = Vec::new();
    if is_copied(bytes.len(), bytes.capacity()) && copy.try_reserve_exact(bytes.len()).is_ok() {
        copy.extend_from_slice(bytes);
        return copy;
    }
    mem::take(bytes)
}

/// Returns whether a message of `len` bytes is copied out of memory with this room: if the message
/// is small, or the room is that of a much bigger message before.
fn is_copied(len: usize, room: usize) -> bool {
    len <= SMALL_BUFFER || room > len.saturating_mul(4).saturating_add(LARGE_BUFFER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_doubles_with_the_data_and_not_with_the_room_that_is_there() {
        let data = 1_214_465;
        let mut bytes = Vec::with_capacity(1_280_000);
        bytes.resize(data, 0);
        reserve(&mut bytes, data, LARGE_BUFFER, 1 << 30, false).unwrap();
        assert_eq!(bytes.capacity(), 2 * data);
    }

    #[test]
    fn a_short_fragment_doubles_the_room() {
        let mut bytes = vec![0; 100_000];
        reserve(&mut bytes, 100_000, 1, 1, false).unwrap();
        assert_eq!(bytes.capacity(), 200_000);
        // The next ones find room, although not `least` bytes of it.
        bytes.resize(199_999, 0);
        reserve(&mut bytes, 199_999, LARGE_BUFFER, 1, false).unwrap();
        assert_eq!(bytes.capacity(), 200_000);
        let mut bytes = vec![0; 100_000];
        reserve(&mut bytes, 100_000, 1, 1, true).unwrap();
        assert_eq!(bytes.capacity(), 100_001);
    }

    #[test]
    fn a_message_that_fills_half_of_the_address_space_is_not_copied() {
        assert!(!is_copied(usize::MAX / 2, usize::MAX));
        assert!(!is_copied(1 << (usize::BITS - 2), usize::MAX / 2));
        assert!(is_copied(100_000, 600_000));
        assert!(is_copied(1, 1));
    }
}
