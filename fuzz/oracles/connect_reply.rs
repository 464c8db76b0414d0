//! Answers to CONNECT. If no more is read than `missing` says, no byte after the head is taken. The
//! result is the same as that of reading all at once. `httparse` reads the same; of a refusal, each
//! line that is kept.
//!
//! Input: the cutting plan with its length before it, the answer with the bytes that follow it.

use landline::error::HeadError;
use landline::http::Response;
use landline::proto::http::{HeadReader, MAX_HEAD};

use super::handshake_response::{as_httparse_reads_it, of_lines_that_httparse_reads};

pub fn check(data: &[u8]) {
    let (plan, bytes) = super::split(data);
    let careful = read(bytes, plan);
    assert_eq!(careful, read(bytes, &[]), "cut by {plan:?}");
    assert_eq!(careful, HeadReader::for_tunnel().advance(bytes), "all at once");
    super::note(&careful);
    if careful == Ok(None) {
        let mut reader = HeadReader::for_tunnel();
        assert_eq!(reader.advance(bytes), Ok(None));
        if let Some(refusal) = reader.refusal() {
            assert!(refusal.status() >= 300, "what is cut opens no tunnel, and is no refusal");
            of_lines_that_httparse_reads(&refusal, bytes);
        }
    }
    let Ok(Some((response, len))) = careful else { return };

    assert!(len <= MAX_HEAD);
    if response.status() >= 300 {
        return of_lines_that_httparse_reads(&response, &bytes[..len]);
    }
    as_httparse_reads_it(&response, bytes, len);
    assert!(bytes[..len].ends_with(b"\r\n\r\n"), "what follows belongs to the tunnel");
}

/// Reads as a driver does: never more than the minimum that is missing, and sometimes less.
fn read(bytes: &[u8], plan: &[u8]) -> Result<Option<(Response, usize)>, HeadError> {
    let mut reader = HeadReader::for_tunnel();
    let mut lengths = plan.iter().cycle();
    let mut end = 0;
    loop {
        if let Some((response, len)) = reader.advance(&bytes[..end])? {
            assert_eq!(len, end, "more than the head was read");
            return Ok(Some((response, len)));
        }
        let missing = reader.missing(&bytes[..end]);
        assert!(missing > 0, "the head is incomplete, but nothing is missing");
        let some = lengths.next().map_or(missing, |&len| missing.min(usize::from(len) + 1));
        if end == bytes.len() {
            return Ok(None);
        }
        end = bytes.len().min(end + some);
    }
}
