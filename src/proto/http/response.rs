//! A response head, and the body of a refusal.

use core::fmt;
use core::time::Duration;

use super::{MAX_BODY, MAX_RETRY_AFTER, is_secret};
use crate::proto::date;

/// The header lines of a response, in order; repeats and the case of names are kept.
#[derive(Clone, PartialEq, Eq)]
pub struct Headers(pub(super) Vec<(String, Vec<u8>)>);

impl Headers {
    /// The first value of a header if it is UTF-8; the case of the name does not matter.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next().and_then(|value| std::str::from_utf8(value).ok())
    }

    /// All values of a header, a line each; the case of the name does not matter.
    pub fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.iter()
            .filter(move |(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// All lines, name and value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_slice()))
    }

    /// Whether a comma-separated list (RFC 9110 section 5.6.1), on one line or several, has the
    /// token; case does not matter.
    pub(crate) fn has_token(&self, name: &str, token: &str) -> bool {
        self.all(name)
            .flat_map(|value| value.split(|&byte| byte == b','))
            .any(|item| item.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
    }
}

impl fmt::Debug for Headers {
    /// Shows the values of those headers only that never hold a [secret](is_secret).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = self.iter().map(|(name, value)| {
            let shown = if is_secret(name) { "***".into() } else { String::from_utf8_lossy(value) };
            (name, shown)
        });
        f.debug_map().entries(lines).finish()
    }
}

/// A response: its head, and of a refusal the beginning of the body.
///
/// [`WebSocket::response`](crate::WebSocket::response) gives the one that opened a connection,
/// [`Error::response`](crate::Error::response) a refusal.
///
/// # Examples
/// ```no_run
/// match landline::connect("wss://example.com/feed") {
///     Ok(ws) => println!("connected to {}", ws.response().url()),
///     Err(error) => match error.response() {
///         Some(refusal) => println!(
///             "{} {}: {}",
///             refusal.status(),
///             refusal.reason(),
///             String::from_utf8_lossy(refusal.body()),
///         ),
///         None => println!("{error}"),
///     },
/// }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Response {
    minor: u8,
    pub(super) status: u16,
    reason: String,
    pub(super) headers: Headers,
    body: Vec<u8>,
    url: Box<str>,
}

impl Response {
    pub(super) fn new(minor: u8, status: u16, reason: String) -> Self {
        let headers = Headers(Vec::new());
        Self { minor, status, reason, headers, body: Vec::new(), url: Box::default() }
    }

    /// The status code, 100 to 999.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The reason phrase, as the peer wrote it.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// The header lines.
    #[must_use]
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// The beginning of the body of a refusal, at most 64 KiB; empty after a 101.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The URL that answered, after redirects: without user, password and fragment. Empty if it
    /// is a proxy's.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn set_url(&mut self, url: &str) {
        self.url = url.into();
    }

    /// How long the server asks to wait before the next attempt: `Retry-After`, in seconds or as a
    /// date (RFC 9110 section 10.2.3), seen from `now`, the time since the start of 1970. At most a
    /// day, which is more than the hour of
    /// [`Failure::retry_after`](crate::backoff::Failure::retry_after), by which an App goes; `None`
    /// if it says nothing that can be understood.
    #[must_use]
    pub fn retry_after(&self, now: Duration) -> Option<Duration> {
        let text = self.headers.all("Retry-After").next()?;
        let seconds = if !text.is_empty() && text.iter().all(u8::is_ascii_digit) {
            let digit = |byte: &u8| u64::from(byte - b'0');
            text.iter().fold(0u64, |sum, byte| sum.saturating_mul(10).saturating_add(digit(byte)))
        } else {
            // A date that has passed asks for no wait.
            let date = u64::try_from(date::parse(text)?).unwrap_or(0);
            date.saturating_sub(now.as_secs())
        };
        Some(Duration::from_secs(seconds).min(MAX_RETRY_AFTER))
    }

    /// RFC 9112 section 6.3. A length that makes no sense is no body.
    fn framing(&self) -> Framing {
        if self.status < 200 || self.status == 204 || self.status == 304 {
            return Framing::None;
        }
        if self.headers.has_token("Transfer-Encoding", "chunked") {
            return Framing::Chunked;
        }
        if self.headers.all("Transfer-Encoding").next().is_some() {
            return Framing::UntilEnd;
        }
        let mut lengths = self.headers.all("Content-Length");
        let Some(first) = lengths.next() else { return Framing::UntilEnd };
        let digits = !first.is_empty() && first.iter().all(u8::is_ascii_digit);
        let number = std::str::from_utf8(first).ok().and_then(|text| text.parse().ok());
        match number {
            Some(len) if digits && lengths.all(|other| other == first) => Framing::Length(len),
            _ => Framing::None,
        }
    }
}

/// Returns the minor version: 1 of HTTP/1.1.
#[must_use]
pub fn minor_version(response: &Response) -> u8 {
    response.minor
}

/// Looks whether `raw`, what followed the head, is all of the body as far as it is kept.
#[must_use]
pub fn is_body_complete(response: &Response, raw: &[u8]) -> bool {
    let end = match response.framing() {
        Framing::Length(len) => raw.len() as u64 >= len,
        Framing::Chunked => decode_chunks(raw).1,
        Framing::UntilEnd => false,
        Framing::None => true,
    };
    end || raw.len() >= MAX_BODY
}

/// Keeps the body that is in `raw`, what followed the head.
pub fn keep_body(response: &mut Response, raw: &[u8]) {
    let raw = &raw[..raw.len().min(MAX_BODY)];
    response.body = match response.framing() {
        Framing::Length(len) => {
            let len = usize::try_from(len).unwrap_or(usize::MAX);
            raw[..raw.len().min(len)].to_vec()
        }
        Framing::Chunked => decode_chunks(raw).0,
        Framing::UntilEnd => raw.to_vec(),
        Framing::None => Vec::new(),
    };
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("reason", &self.reason)
            .field("headers", &self.headers)
            .field("body", &format_args!("{} bytes", self.body.len()))
            .finish()
    }
}

enum Framing {
    None,
    Length(u64),
    Chunked,
    UntilEnd,
}

/// As much of a chunked body as is there and well formed (RFC 9112 section 7.1), and whether
/// nothing more is to come: the last chunk is there, or what is there is not well formed.
fn decode_chunks(mut raw: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    loop {
        let Some(end) = raw.windows(2).position(|pair| pair == b"\r\n") else {
            // A size line is short, extensions included.
            return (body, raw.len() > 1024);
        };
        let size = raw[..end].split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
        let hex = !size.is_empty() && size.iter().all(u8::is_ascii_hexdigit);
        let size = std::str::from_utf8(size).ok();
        let size = size.and_then(|text| usize::from_str_radix(text, 16).ok());
        let Some(size @ 1..) = size.filter(|_| hex) else { return (body, true) };
        raw = &raw[end + 2..];
        body.extend_from_slice(&raw[..size.min(raw.len())]);
        match raw.get(size..) {
            Some([b'\r', b'\n', rest @ ..]) => raw = rest,
            None | Some([] | [b'\r']) => return (body, false),
            Some(_) => return (body, true),
        }
    }
}
