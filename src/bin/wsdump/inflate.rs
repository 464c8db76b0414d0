//! Decompresses binary messages: some servers send gzip or deflate in them.

use std::io::Read;

use flate2::bufread::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};

/// The most bytes that a message may have when it is decompressed.
const MOST: u64 = 64 << 20;

/// The most bytes that a message may become for each byte, and some more, if nobody has asked to
/// decompress it: gzip makes a thousand bytes of one.
const MOST_PER_BYTE: u64 = 32;
const MORE: u64 = 64 << 10;

/// Returns the name of the format and the decompressed bytes, if the message is gzip, zlib or
/// deflate.
pub(crate) fn any(bytes: &[u8]) -> Option<(&'static str, Vec<u8>)> {
    labelled(bytes, MOST).or_else(|| {
        let mut deflate = DeflateDecoder::new(bytes);
        let inflated = all(&mut deflate, MOST)?;
        is_used_up(deflate.total_in(), bytes).then_some(("deflate", inflated))
    })
}

/// Does the same as [`any`] for a person who has not asked for it: without deflate, which has
/// nothing to tell it by, and only if the result is in proportion to the message.
pub(crate) fn unasked(bytes: &[u8]) -> Option<(&'static str, Vec<u8>)> {
    let most = (bytes.len() as u64).saturating_mul(MOST_PER_BYTE).saturating_add(MORE);
    labelled(bytes, most.min(MOST))
}

fn labelled(bytes: &[u8], most: u64) -> Option<(&'static str, Vec<u8>)> {
    match *bytes {
        [0x1F, 0x8B, ..] => Some(("gzip", all(MultiGzDecoder::new(bytes), most)?)),
        [method, flags, ..]
            if method & 15 == 8 && (u16::from(method) * 256 + u16::from(flags)) % 31 == 0 =>
        {
            let mut zlib = ZlibDecoder::new(bytes);
            let inflated = all(&mut zlib, most)?;
            is_used_up(zlib.total_in(), bytes).then_some(("zlib", inflated))
        }
        _ => None,
    }
}

/// Returns whether a decoder took all bytes of the message. Other bytes may begin like zlib or
/// deflate; what follows would be lost. gzip needs no such check: bytes that follow are an error.
fn is_used_up(taken: u64, bytes: &[u8]) -> bool {
    taken == bytes.len() as u64
}

/// Returns all that can be read, if it is not more than `most`.
fn all(decoder: impl Read, most: u64) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    decoder.take(most + 1).read_to_end(&mut bytes).ok()?;
    (!bytes.is_empty() && bytes.len() as u64 <= most).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    use super::*;

    #[test]
    fn every_format_is_told_apart() {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(b"hello").unwrap();
        assert_eq!(any(&gzip.finish().unwrap()), Some(("gzip", b"hello".to_vec())));
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
        zlib.write_all(b"hello").unwrap();
        assert_eq!(any(&zlib.finish().unwrap()), Some(("zlib", b"hello".to_vec())));
        let mut deflate = DeflateEncoder::new(Vec::new(), Compression::fast());
        deflate.write_all(b"hello").unwrap();
        let deflate = deflate.finish().unwrap();
        assert_eq!(any(&deflate), Some(("deflate", b"hello".to_vec())));
        assert_eq!(unasked(&deflate), None);
    }

    #[test]
    fn what_nobody_asked_for_is_decompressed_only_in_proportion() {
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
        zlib.write_all(&vec![0; 64 << 10]).unwrap();
        assert_eq!(unasked(&zlib.finish().unwrap()), Some(("zlib", vec![0; 64 << 10])));
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        gzip.write_all(&vec![0; 16 << 20]).unwrap();
        let gzip = gzip.finish().unwrap();
        assert!(gzip.len() < 20_000);
        assert!(unasked(&gzip).is_none());
        assert!(any(&gzip).is_some_and(|(_, bytes)| bytes.len() == 16 << 20));
    }

    #[test]
    fn only_the_whole_of_a_message_is_decompressed() {
        // The first three bytes are a complete deflate of one zero byte.
        assert_eq!(any(b"c\0\0"), Some(("deflate", vec![0])));
        assert_eq!(any(b"c\0\0\0hello world"), None);
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
        zlib.write_all(b"hello").unwrap();
        let zlib = [zlib.finish().unwrap(), b"more".to_vec()].concat();
        assert_eq!((any(&zlib), unasked(&zlib)), (None, None));
    }

    #[test]
    fn gzip_of_several_members_is_kept_whole() {
        let members = [&b"hello "[..], b"", b"world"].map(|member| {
            let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
            gzip.write_all(member).unwrap();
            gzip.finish().unwrap()
        });
        let mut gzip = members.concat();
        assert_eq!(any(&gzip), Some(("gzip", b"hello world".to_vec())));
        gzip.extend(b"more");
        assert_eq!((any(&gzip), unasked(&gzip)), (None, None));
    }

    #[test]
    fn other_bytes_and_bombs_are_left_alone() {
        assert_eq!(any(b""), None);
        assert_eq!(any(b"\xFF\xFF\xFF"), None);
        assert_eq!(any(b"\x1f\x8bgarbage"), None);
        let mut bomb = GzEncoder::new(Vec::new(), Compression::fast());
        for _ in 0..=64 {
            bomb.write_all(&vec![0; 1 << 20]).unwrap();
        }
        assert_eq!(any(&bomb.finish().unwrap()), None);
    }
}
