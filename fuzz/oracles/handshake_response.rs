//! Response heads: the result is the same, however the bytes are cut. `httparse` reads the same
//! from a head that may open a connection, and from each line that is kept of a refusal.
//!
//! Input: the cutting plan with its length before it, the response.

use landline::error::HeadError;
use landline::http::Response;
use landline::proto::handshake::{Key, Offer};
use landline::proto::http;
use landline::proto::http::{BodyReader, HeadReader, MAX_HEAD, MAX_LINE, MAX_LINES};

pub fn check(data: &[u8]) {
    let (plan, bytes) = super::split(data);
    let whole = read(bytes, &[]);
    super::note(&whole);
    assert_eq!(whole, read(bytes, &[0]), "byte by byte");
    assert_eq!(whole, read(bytes, plan), "cut by {plan:?}");
    if whole == Ok(None) {
        let refusal = begun(bytes, &[]);
        super::note(&refusal);
        assert_eq!(refusal, begun(bytes, &[0]), "byte by byte");
        assert_eq!(refusal, begun(bytes, plan), "cut by {plan:?}");
        if let Some(refusal) = refusal {
            assert!(refusal.status() >= 200);
            of_lines_that_httparse_reads(&refusal, bytes);
        }
    }
    let Ok(Some((mut response, len))) = whole else { return };

    assert!(len <= MAX_HEAD);
    assert!(response.headers().iter().count() <= MAX_LINES);
    match response.status() {
        0..200 => as_httparse_reads_it(&response, bytes, len),
        _ => of_lines_that_httparse_reads(&response, &bytes[..len]),
    }

    // These calls must not panic, whatever the headers are.
    let key = Key::new([7; 16]);
    let verified = Offer::subprotocols(&["chat".to_owned()]).verify(&response, &key);
    super::note(&verified);
    if verified.is_ok() {
        assert_eq!(response.status(), 101);
        assert_eq!(response.headers().get("sec-websocket-accept"), Some(&*key.accept()));
    }
    let rest = &bytes[len..];
    let mut reader = BodyReader::new(&response);
    if !reader.is_complete(&rest[..rest.len() / 2]) {
        assert_eq!(reader.is_complete(rest), BodyReader::new(&response).is_complete(rest));
    }
    http::keep_body(&mut response, rest);
    assert!(response.body().len() <= rest.len());
}

/// Checks that `httparse` reads the same from a head that is read strictly.
pub fn as_httparse_reads_it(response: &Response, bytes: &[u8], len: usize) {
    let mut headers = [httparse::EMPTY_HEADER; MAX_LINES];
    let mut theirs = httparse::Response::new(&mut headers);
    assert_eq!(theirs.parse(bytes), Ok(httparse::Status::Complete(len)), "httparse accepts it too");
    assert_eq!(theirs.code, Some(response.status()));
    assert_eq!(theirs.version, Some(http::minor_version(response)));
    assert_eq!(theirs.headers.len(), response.headers().iter().count());
    for (their, (name, value)) in theirs.headers.iter().zip(response.headers().iter()) {
        assert_eq!((their.name, their.value), (name, value));
        assert!(name.len() + value.len() <= MAX_LINE);
    }
}

/// Checks that each header line of a refusal is a line of the head, in order, that `httparse` reads
/// by itself; and that no line is left out that has only letters and digits. The head may be cut.
pub fn of_lines_that_httparse_reads(response: &Response, head: &[u8]) {
    assert_eq!(head.get(9..12), Some(response.status().to_string().as_bytes()));
    let first = head.iter().position(|&byte| byte == b'\n').unwrap();
    let end: &[u8] = if head[..first].ends_with(b"\r") { b"\r\n" } else { b"\n" };
    let mut rest = &head[first + 1..];
    let mut model = Vec::new();
    while let Some(at) = rest.windows(end.len()).position(|window| window == end) {
        let line = &rest[..at];
        rest = &rest[at + end.len()..];
        if let ([b' ' | b'\t', ..], Some(before)) = (line, model.last_mut()) {
            *before = None; // The line continues the one before it, which is left out with it.
        }
        let line = if end == b"\n" { line.strip_suffix(b"\r").unwrap_or(line) } else { line };
        let one = [line, b"\r\n\r\n"].concat();
        let mut headers = [httparse::EMPTY_HEADER; 2];
        model.push(match httparse::parse_headers(&one, &mut headers) {
            // The whole line is one header.
            Ok(httparse::Status::Complete((len, [header]))) if len == one.len() => {
                Some((header.name.to_owned(), header.value.to_owned()))
            }
            _ => None,
        });
    }
    if matches!(rest, [b' ' | b'\t', ..]) {
        model.pop(); // The head is cut within a line that continues the one before it.
    }
    let mut kept = response.headers().iter().peekable();
    let within = |name: &str, value: &[u8]| name.len() + value.len() + 2 <= MAX_LINE;
    for (name, value) in model.iter().take(MAX_LINES).flatten() {
        if kept.next_if_eq(&(name.as_str(), value.as_slice())).is_none() {
            let plain = |byte: &u8| byte.is_ascii_alphanumeric();
            let is_plain = name.bytes().all(|byte| plain(&byte)) && value.iter().all(plain);
            assert!(!is_plain || !within(name, value), "{name} is left out");
        }
    }
    assert_eq!(kept.next(), None, "a line is made up");
}

fn read(bytes: &[u8], plan: &[u8]) -> Result<Option<(Response, usize)>, HeadError> {
    let mut reader = HeadReader::default();
    let mut end = 0;
    for part in super::cut(bytes, plan) {
        end += part.len();
        if let Some(found) = reader.advance(&bytes[..end])? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// Returns the refusal that the bytes begin.
fn begun(bytes: &[u8], plan: &[u8]) -> Option<Response> {
    let mut reader = HeadReader::default();
    let mut end = 0;
    for part in super::cut(bytes, plan) {
        end += part.len();
        assert_eq!(reader.advance(&bytes[..end]), Ok(None));
    }
    reader.refusal()
}
