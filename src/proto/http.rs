//! The little HTTP/1.1 that a WebSocket client needs: response heads (RFC 9112), for the opening
//! handshake and for proxies. One that opens a connection is read strictly, a refusal forgivingly.

use core::fmt;
use core::time::Duration;

use super::date;

/// The longest line of a response head, in bytes without the line end.
pub const MAX_LINE: usize = 16 * 1024;
/// The most header lines.
pub const MAX_LINES: usize = 128;
/// The largest head, in bytes.
pub const MAX_HEAD: usize = 64 * 1024;
/// The most that is kept of the body of a refusal, in bytes.
pub const MAX_BODY: usize = 64 * 1024;
/// The longest that [`Response::retry_after`] asks for: a server cannot switch a client off.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// What is wrong with a response head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HeadError {
    /// It does not begin with `HTTP/`.
    NotHttp,
    /// A status line that is not `HTTP/1.0` or `HTTP/1.1`, a space, three digits.
    BadStatusLine,
    /// A header line that RFC 9112 section 5 does not allow, a folded one included.
    BadHeader,
    /// A line that ends in a bare LF, or has a bare CR.
    BadLineEnd,
    /// A line over [`MAX_LINE`].
    LineTooLong,
    /// More lines than [`MAX_LINES`].
    TooManyLines,
    /// More bytes than [`MAX_HEAD`].
    HeadTooLarge,
}

impl fmt::Display for HeadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotHttp => "the answer is not HTTP (is it a TLS port, or another service?)",
            Self::BadStatusLine => "malformed status line",
            Self::BadHeader => "malformed header line",
            Self::BadLineEnd => "a line does not end in CR LF",
            Self::LineTooLong => "a header line is longer than 16 KiB",
            Self::TooManyLines => "more than 128 header lines",
            Self::HeadTooLarge => "the response head is larger than 64 KiB",
        })
    }
}

impl core::error::Error for HeadError {}

/// The header lines of a response, in order; repeats and the case of names are kept.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, Vec<u8>)>);

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
    #[must_use]
    pub fn has_token(&self, name: &str, token: &str) -> bool {
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

/// Returns whether a header's value must not appear in a diagnostic: all but a few may hold a
/// token, or a URL with one in its path.
#[must_use]
pub fn is_secret(name: &str) -> bool {
    const PUBLIC: [&str; 15] = [
        "Host",
        "Upgrade",
        "Connection",
        "Origin",
        "User-Agent",
        "Server",
        "Date",
        "Content-Type",
        "Content-Length",
        "Transfer-Encoding",
        "Retry-After",
        "Sec-WebSocket-Key",
        "Sec-WebSocket-Accept",
        "Sec-WebSocket-Version",
        "Sec-WebSocket-Extensions",
    ];
    !PUBLIC.iter().any(|public| name.eq_ignore_ascii_case(public))
}

/// A response: its head, and of a refusal the beginning of the body.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Response {
    minor: u8,
    status: u16,
    reason: String,
    headers: Headers,
    body: Vec<u8>,
    url: Box<str>,
}

impl Response {
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

    /// The minor version: 1 of HTTP/1.1.
    #[must_use]
    pub fn minor_version(&self) -> u8 {
        self.minor
    }

    /// The beginning of the body of a refusal, at most 64 KiB; empty after a 101.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The URL that answered, after redirects: without user, password and fragment. Empty if it
    /// is a proxy's, or was read by hand, with [`HeadReader`].
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn set_url(&mut self, url: &str) {
        self.url = url.into();
    }

    /// How long the server asks to wait before the next attempt: `Retry-After`, in seconds or as a
    /// date (RFC 9110 section 10.2.3), seen from `now`, the time since the start of 1970. At most
    /// [`MAX_RETRY_AFTER`], a day, which is more than the hour of
    /// [`Failure::retry_after`](crate::Failure::retry_after), by which an App goes; `None` if it
    /// says nothing that can be understood.
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

    /// Looks whether `raw`, what followed the head, is all of the body as far as it is kept.
    #[must_use]
    pub fn is_body_complete(&self, raw: &[u8]) -> bool {
        let end = match self.framing() {
            Framing::Length(len) => raw.len() as u64 >= len,
            Framing::Chunked => decode_chunks(raw).1,
            Framing::UntilEnd => false,
            Framing::None => true,
        };
        end || raw.len() >= MAX_BODY
    }

    /// Keeps the body that is in `raw`, what followed the head.
    pub fn keep_body(&mut self, raw: &[u8]) {
        let raw = &raw[..raw.len().min(MAX_BODY)];
        self.body = match self.framing() {
            Framing::Length(len) => {
                let len = usize::try_from(len).unwrap_or(usize::MAX);
                raw[..raw.len().min(len)].to_vec()
            }
            Framing::Chunked => decode_chunks(raw).0,
            Framing::UntilEnd => raw.to_vec(),
            Framing::None => Vec::new(),
        };
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

/// Reads a response head as it arrives; looks at each byte once.
///
/// An answer that opens something is read strictly, each line as RFC 9112 has it. A refusal is
/// evidence: its status must not be lost because of another line. There a line that is malformed
/// or over a limit is left out, together with the line that it continues (section 5.2), and a head
/// whose status line ends in a bare LF may end all lines so (section 2.2).
#[derive(Debug, Default)]
pub struct HeadReader {
    /// What opens a tunnel is read strictly, too.
    tunnel: bool,
    /// A bare LF ends a line.
    bare_lf: bool,
    /// The last line that was read is the last of the headers.
    kept_last: bool,
    /// Where the line begins that is being read.
    line: usize,
    /// How far its end has been looked for.
    seen: usize,
    lines: usize,
    response: Option<Response>,
}

impl HeadReader {
    /// Returns a reader of answers to CONNECT, which is strict with 1xx and 2xx. The default one,
    /// for the opening handshake, is strict with 1xx, of which 101 is one.
    #[must_use]
    pub fn for_tunnel() -> Self {
        Self { tunnel: true, ..Self::default() }
    }

    /// At least so many bytes more than `bytes`, which [`advance`](Self::advance) found incomplete,
    /// make the head complete. Reading no more than that at a time never takes what follows it.
    #[must_use]
    pub fn missing(&self, bytes: &[u8]) -> usize {
        const SHORTEST: usize = b"HTTP/1.1 400\n\n".len();
        // Only a refusal may have bare LFs.
        let opens = matches!(bytes.get(b"HTTP/1.1 ".len()), Some(b'1' | b'2'));
        let tail = match bytes {
            [.., b'\r' | b'\n'] if !opens => 1,
            _ if !opens => 2,
            [.., b'\r', b'\n', b'\r'] => 1,
            [.., b'\r', b'\n'] => 2,
            [.., b'\r'] => 3,
            _ => 4,
        };
        tail.max(SHORTEST.saturating_sub(bytes.len()))
    }

    /// Looks at `bytes`, everything from the start of the response on: gives the response and the
    /// length of its head once that is complete, `None` when it takes more bytes.
    ///
    /// # Errors
    /// The first [`HeadError`]; the reader is of no use then.
    pub fn advance(&mut self, bytes: &[u8]) -> Result<Option<(Response, usize)>, HeadError> {
        const START: &[u8] = b"HTTP/";
        let begun = bytes.len().min(START.len());
        if bytes[..begun] != START[..begun] {
            return Err(HeadError::NotHttp);
        }
        while let Some(&byte) = bytes.get(self.seen) {
            let line = &bytes[self.line..self.seen];
            self.seen += 1;
            if self.seen > MAX_HEAD {
                return Err(HeadError::HeadTooLarge);
            }
            let forgiving = self.response.as_ref().is_some_and(|found| self.is_refusal(found));
            if byte != b'\n' {
                if forgiving {
                    continue;
                }
                // A CR may only stand before the LF.
                if line.last() == Some(&b'\r') {
                    return Err(HeadError::BadLineEnd);
                }
                if line.len() > MAX_LINE {
                    return Err(HeadError::LineTooLong);
                }
                continue;
            }
            let line = match line.strip_suffix(b"\r") {
                Some(line) => line,
                None if self.bare_lf => line,
                // It spoils the line, and does not begin another that somebody else wrote.
                None if forgiving => continue,
                None => {
                    let refuses = |found| self.is_refusal(&found);
                    if self.response.is_some() || !status_line(line).is_ok_and(refuses) {
                        return Err(HeadError::BadLineEnd);
                    }
                    self.bare_lf = true;
                    line
                }
            };
            self.line = self.seen;
            match &mut self.response {
                None => self.response = Some(status_line(line)?),
                Some(_) if line.is_empty() => {
                    return Ok(self.response.take().map(|response| (response, self.seen)));
                }
                Some(response) => {
                    self.lines += 1;
                    let read = if self.lines > MAX_LINES {
                        Err(HeadError::TooManyLines)
                    } else if line.len() > MAX_LINE {
                        Err(HeadError::LineTooLong)
                    } else {
                        header_line(line)
                    };
                    if let (Err(error), false) = (&read, forgiving) {
                        return Err(*error);
                    }
                    // The value of the line before goes on: what was read of it is a part.
                    if self.kept_last && matches!(line, [b' ' | b'\t', ..]) {
                        response.headers.0.pop();
                    }
                    self.kept_last = read.is_ok();
                    response.headers.0.extend(read);
                }
            }
        }
        Ok(None)
    }

    /// Whether the response opens nothing: there is nothing to protect.
    fn is_refusal(&self, response: &Response) -> bool {
        response.status >= if self.tunnel { 300 } else { 200 }
    }
}

/// RFC 9112 section 4: `HTTP/1.1 101 Switching Protocols`.
fn status_line(line: &[u8]) -> Result<Response, HeadError> {
    let rest = line.strip_prefix(b"HTTP/1.").ok_or(HeadError::BadStatusLine)?;
    let [minor @ (b'0' | b'1'), b' ', a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', rest @ ..] =
        rest
    else {
        return Err(HeadError::BadStatusLine);
    };
    let reason = match rest {
        [] => rest,
        [b' ', reason @ ..] if reason.iter().all(|&byte| is_text(byte)) => reason,
        // The status of a refusal counts, whatever stands beside it.
        [b' ', ..] if *a >= b'3' => &[],
        _ => return Err(HeadError::BadStatusLine),
    };
    let digit = |byte: &u8| u16::from(byte - b'0');
    Ok(Response {
        minor: minor - b'0',
        status: digit(a) * 100 + digit(b) * 10 + digit(c),
        reason: String::from_utf8_lossy(reason).into_owned(),
        ..Response::default()
    })
}

/// RFC 9112 section 5: a name, at once a colon, and a value without white space around it.
fn header_line(line: &[u8]) -> Result<(String, Vec<u8>), HeadError> {
    let colon = line.iter().position(|&byte| byte == b':').ok_or(HeadError::BadHeader)?;
    let name = std::str::from_utf8(&line[..colon]).map_err(|_| HeadError::BadHeader)?;
    let value = &line[colon + 1..];
    if !is_token(name) || !value.iter().all(|&byte| is_text(byte)) {
        return Err(HeadError::BadHeader);
    }
    Ok((name.to_owned(), value.trim_ascii().to_vec()))
}

/// Whether it may be a header's name (RFC 9110 section 5.6.2).
#[must_use]
pub fn is_token(name: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(token)
}

/// Whether it may be a header's value (RFC 9110 section 5.5): no CR, LF, NUL, or other control
/// character but TAB.
#[must_use]
pub fn is_field_value(value: &str) -> bool {
    value.bytes().all(is_text)
}

fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7F)
}
