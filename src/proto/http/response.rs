//! A response head, and the body of a refusal.

use core::fmt;
use core::time::Duration;

use super::{MAX_BODY, MAX_RETRY_AFTER, is_secret};
use crate::proto::date;

/// Holds the header lines of a response, in their order. Repeated lines and the case of names are
/// kept.
///
/// # Examples
///
/// ```no_run
/// let ws = landline::connect("wss://example.com/feed")?;
/// let headers = ws.response().headers();
/// println!("served by {:?}", headers.get("server"));
/// for cookie in headers.all("Set-Cookie") {
///     println!("{}", String::from_utf8_lossy(cookie));
/// }
/// # Ok::<(), landline::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Headers(pub(super) Vec<(String, Vec<u8>)>);

impl Headers {
    /// Returns the first value of a header; `None` if there is none, or if it is not UTF-8. The
    /// case of the name does not matter.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next().and_then(|value| std::str::from_utf8(value).ok())
    }

    /// Returns all values of a header, one for each line. The case of the name does not matter.
    pub fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.iter()
            .filter(move |(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// Returns all lines as name and value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_slice()))
    }

    /// Returns whether a header is a comma-separated list (RFC 9110 section 5.6.1), on one line or
    /// several, that contains the token. Case does not matter.
    pub(crate) fn has_token(&self, name: &str, token: &str) -> bool {
        self.all(name)
            .flat_map(|value| value.split(|&byte| byte == b','))
            .any(|item| item.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
    }
}

impl fmt::Debug for Headers {
    /// Shows only the values of headers that never hold a [secret](is_secret).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = self.iter().map(|(name, value)| {
            let shown = if is_secret(name) { "***".into() } else { String::from_utf8_lossy(value) };
            (name, shown)
        });
        f.debug_map().entries(lines).finish()
    }
}

/// Holds a response: the head, and of a refusal also the beginning of the body.
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
///             "{} {:?}: {:?}",
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

    /// Returns the status code, 100 to 999.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Returns the reason phrase as the peer wrote it: escape it before you show it.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Returns the header lines.
    #[must_use]
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// Returns the beginning of the body of a refusal, at most 64 KiB. It is empty after a 101.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Returns the URL that answered, after redirects, without user, password and fragment. It is
    /// empty if a proxy answered.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn set_url(&mut self, url: &str) {
        self.url = url.into();
    }

    /// Returns how the end of the body is found (RFC 9112 section 6.3). With a malformed length
    /// there is no body.
    fn framing(&self) -> Framing {
        if self.status < 200 || self.status == 204 || self.status == 304 {
            return Framing::None;
        }
        if let Some(codings) = self.headers.all("Transfer-Encoding").last() {
            let last = codings.rsplit(|&byte| byte == b',').next().unwrap_or_default();
            // HTTP/1.0 has no codings (section 6.1): somebody did not understand the header.
            let chunked = last.trim_ascii().eq_ignore_ascii_case(b"chunked") && self.minor > 0;
            return if chunked { Framing::Chunked } else { Framing::UntilEnd };
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

/// Returns the minor version, which is 1 for HTTP/1.1.
#[must_use]
pub fn minor_version(response: &Response) -> u8 {
    response.minor
}

/// Returns how long a refusal with status 429 or 503 asks to wait before the next attempt, at most
/// [`MAX_RETRY_AFTER`]. `now` is the time since the start of 1970, for a date in the header.
/// [`Error::retry_after`](crate::Error::retry_after) says the rest.
#[must_use]
pub fn retry_after(response: &Response, now: Duration) -> Option<Duration> {
    if !matches!(response.status, 429 | 503) {
        return None;
    }
    let text = response.headers.all("Retry-After").next()?;
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

/// Finds the end of the body of a refusal, as it arrives. Looks at each chunk once.
#[derive(Debug)]
pub struct BodyReader {
    framing: Framing,
    /// The length of the chunks that are whole.
    passed: usize,
}

impl BodyReader {
    /// Begins after the head.
    #[must_use]
    pub fn new(response: &Response) -> Self {
        Self { framing: response.framing(), passed: 0 }
    }

    /// Returns whether `raw`, all bytes after the head, is all of the body that is kept. Each call
    /// has the bytes of the last one again, and more.
    pub fn is_complete(&mut self, raw: &[u8]) -> bool {
        let end = match self.framing {
            Framing::Length(len) => raw.len() as u64 >= len,
            Framing::Chunked => self.pass_chunks(raw),
            Framing::UntilEnd => false,
            Framing::None => true,
        };
        end || raw.len() >= MAX_BODY
    }

    fn pass_chunks(&mut self, raw: &[u8]) -> bool {
        loop {
            match next_chunk(&raw[self.passed..]) {
                Chunk::Whole { len, .. } => self.passed += len,
                Chunk::Part(_) => return false,
                Chunk::End(_) => return true,
            }
        }
    }
}

/// Keeps the body that is in `raw`, the bytes after the head.
pub fn keep_body(response: &mut Response, raw: &[u8]) {
    let raw = &raw[..raw.len().min(MAX_BODY)];
    response.body = match response.framing() {
        Framing::Length(len) => {
            let len = usize::try_from(len).unwrap_or(usize::MAX);
            raw[..raw.len().min(len)].to_vec()
        }
        Framing::Chunked => decode_chunks(raw),
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

#[derive(Clone, Copy, Debug)]
enum Framing {
    None,
    Length(u64),
    Chunked,
    UntilEnd,
}

/// Holds the next chunk of a body (RFC 9112 section 7.1).
enum Chunk<'a> {
    /// It is whole, and takes `len` bytes.
    Whole { data: &'a [u8], len: usize },
    /// More is to come. Holds what is there of the data.
    Part(&'a [u8]),
    /// After the last chunk, or after a malformed one, nothing more is read. Holds the data of the
    /// malformed one.
    End(&'a [u8]),
}

fn next_chunk(raw: &[u8]) -> Chunk<'_> {
    let Some(end) = raw.windows(2).position(|pair| pair == b"\r\n") else {
        // The line with the size is short, even with extensions.
        return if raw.len() > 1024 { Chunk::End(&[]) } else { Chunk::Part(&[]) };
    };
    let size = raw[..end].split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
    let hex = !size.is_empty() && size.iter().all(u8::is_ascii_hexdigit);
    let size = std::str::from_utf8(size).ok();
    let size = size.and_then(|text| u64::from_str_radix(text, 16).ok());
    let size = size.map(|size| usize::try_from(size).unwrap_or(usize::MAX));
    let Some(size @ 1..) = size.filter(|_| hex) else { return Chunk::End(&[]) };
    let rest = &raw[end + 2..];
    let data = &rest[..size.min(rest.len())];
    match rest.get(size..) {
        Some([b'\r', b'\n', ..]) => Chunk::Whole { data, len: end + 2 + size + 2 },
        None | Some([] | [b'\r']) => Chunk::Part(data),
        Some(_) => Chunk::End(data),
    }
}

/// Returns the well-formed part of a chunked body.
fn decode_chunks(mut raw: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        match next_chunk(raw) {
            Chunk::Whole { data, len } => {
                body.extend_from_slice(data);
                raw = &raw[len..];
            }
            Chunk::Part(data) | Chunk::End(data) => {
                body.extend_from_slice(data);
                return body;
            }
        }
    }
}
