//! Decompresses binary messages: some servers send gzip or deflate in them.

use std::io::Read;

use flate2::read::{DeflateDecoder, GzDecoder, ZlibDecoder};

/// The most bytes that a message may have when it is decompressed.
const MOST: u64 = 64 << 20;

/// Returns the name of the format and the decompressed bytes, if the message is gzip, zlib or
/// deflate.
pub(crate) fn any(bytes: &[u8]) -> Option<(&'static str, Vec<u8>)> {
    labelled(bytes).or_else(|| Some(("deflate", all(DeflateDecoder::new(bytes))?)))
}

/// Does the same as [`any`], without deflate, which has nothing to tell it by.
pub(crate) fn labelled(bytes: &[u8]) -> Option<(&'static str, Vec<u8>)> {
    match *bytes {
        [0x1F, 0x8B, ..] => Some(("gzip", all(GzDecoder::new(bytes))?)),
        [method, flags, ..]
            if method & 15 == 8 && (u16::from(method) * 256 + u16::from(flags)) % 31 == 0 =>
        {
            Some(("zlib", all(ZlibDecoder::new(bytes))?))
        }
        _ => None,
    }
}

/// Returns all that can be read, if it is not too much.
fn all(decoder: impl Read) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    decoder.take(MOST + 1).read_to_end(&mut bytes).ok()?;
    (!bytes.is_empty() && bytes.len() as u64 <= MOST).then_some(bytes)
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
        assert_eq!(labelled(&deflate), None);
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
