//! Response heads: the same however they are cut, and whatever we accept, `httparse` accepts as
//! the same.
//!
//! Input: the cutting plan with its length before it, the response.

use landline::HeadError;
use landline::Response;
use landline::proto::handshake::{Key, verify};
use landline::proto::http::{HeadReader, MAX_HEAD, MAX_LINE, MAX_LINES};

pub fn check(data: &[u8]) {
    let (plan, bytes) = super::split(data);
    let whole = read(bytes, &[]);
    assert_eq!(whole, read(bytes, &[0]), "byte by byte");
    assert_eq!(whole, read(bytes, plan), "cut by {plan:?}");
    let Ok(Some((mut response, len))) = whole else { return };

    assert!(len <= MAX_HEAD);
    let mut headers = [httparse::EMPTY_HEADER; MAX_LINES];
    let mut theirs = httparse::Response::new(&mut headers);
    assert_eq!(theirs.parse(bytes), Ok(httparse::Status::Complete(len)), "httparse accepts it too");
    assert_eq!(theirs.code, Some(response.status()));
    assert_eq!(theirs.version, Some(response.minor_version()));
    assert_eq!(theirs.headers.len(), response.headers().iter().count());
    for (their, (name, value)) in theirs.headers.iter().zip(response.headers().iter()) {
        assert_eq!((their.name, their.value), (name, value));
        assert!(name.len() + value.len() <= MAX_LINE);
    }

    // Neither may panic, whatever stands in the headers.
    let key = Key::new([7; 16]);
    let verified = verify(&response, &key, &["chat".to_owned()]);
    if verified.is_ok() {
        assert_eq!(response.status(), 101);
        assert_eq!(response.headers().get("sec-websocket-accept"), Some(&*key.accept()));
    }
    let rest = &bytes[len..];
    let _ = response.is_body_complete(rest);
    response.keep_body(rest);
    assert!(response.body().len() <= rest.len());
}

fn read(bytes: &[u8], plan: &[u8]) -> Result<Option<(Response, usize)>, HeadError> {
    let mut reader = HeadReader::default();
    let mut end = 0;
    for piece in super::cut(bytes, plan) {
        end += piece.len();
        if let Some(found) = reader.advance(&bytes[..end])? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}
