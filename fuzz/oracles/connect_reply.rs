//! Answers to CONNECT: read as asked for, no byte behind the head is taken; the result is that of
//! reading all at once, and `httparse` agrees: of a refusal with each line that is kept.
//!
//! Input: the cutting plan with its length before it, the answer with what follows it.

use landline::error::HeadError;
use landline::http::Response;
use landline::proto::http::{HeadReader, MAX_HEAD};

use super::handshake_response::{as_httparse_reads_it, of_lines_that_httparse_reads};

pub fn check(data: &[u8]) {
    let (plan, bytes) = super::split(data);
    let careful = read(bytes, plan);
    assert_eq!(careful, read(bytes, &[]), "cut by {plan:?}");
    assert_eq!(careful, HeadReader::for_tunnel().advance(bytes), "all at once");
    let Ok(Some((response, len))) = careful else { return };

    assert!(len <= MAX_HEAD);
    if response.status() >= 300 {
        return of_lines_that_httparse_reads(&response, &bytes[..len]);
    }
    as_httparse_reads_it(&response, bytes, len);
    assert!(bytes[..len].ends_with(b"\r\n\r\n"), "what follows belongs to the tunnel");
}

/// Reads as a driver does: never more than what is missing at least, and sometimes less.
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
        assert!(missing > 0, "nothing is missing of what is not complete");
        let some = lengths.next().map_or(missing, |&len| missing.min(usize::from(len) + 1));
        if end == bytes.len() {
            return Ok(None);
        }
        end = bytes.len().min(end + some);
    }
}
