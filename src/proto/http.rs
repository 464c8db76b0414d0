//! Reads the little HTTP/1.1 that a WebSocket client needs: response heads (RFC 9112), for the
//! opening handshake and for proxies. A head that opens a connection is read strictly, a refusal
//! leniently.

pub(crate) mod response;

use core::time::Duration;

use super::error::HeadError;
pub(crate) use response::Response;
pub use response::{BodyReader, keep_body, minor_version, retry_after};

/// The maximum length of a line of a response head, in bytes without the line end.
pub const MAX_LINE: usize = 16 * 1024;
/// The maximum number of header lines.
pub const MAX_LINES: usize = 128;
/// The maximum length of a head, in bytes.
pub const MAX_HEAD: usize = 64 * 1024;
/// The maximum length that is kept of the body of a refusal, in bytes.
pub const MAX_BODY: usize = 64 * 1024;
/// The longest wait that [`retry_after`] returns: a server cannot put a client to sleep for years.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(60 * 60);

/// Returns whether the value of a header must not appear in a diagnostic. All but a few headers may
/// hold a token, or a URL with a token in its path.
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

/// Reads a response head as it arrives. Looks at each byte once.
///
/// An answer that opens a connection or a tunnel is read strictly, by the rules of RFC 9112. A
/// refusal is evidence, and its status must not be lost because of another line. So a line of a
/// refusal that is malformed or exceeds a limit is left out, together with the line that it
/// continues (section 5.2). And if the status line of a refusal ends in a bare LF, all its lines
/// may end so (section 2.2). If it ends in CR LF, a bare LF ends no line, not even the head: then
/// [`refusal`](Self::refusal) has the status.
#[derive(Debug, Default)]
pub struct HeadReader {
    /// A 2xx, which opens a tunnel, is read strictly too.
    tunnel: bool,
    /// A bare LF ends a line.
    bare_lf: bool,
    /// The last line that was read was kept: it is the last one in `response`.
    kept_last: bool,
    /// The position of the first byte of the line that is being read.
    line: usize,
    /// The number of bytes that were looked at.
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

    /// Returns the minimum number of bytes that are missing of the head. `bytes` are those that
    /// [`advance`](Self::advance) found incomplete. A driver that never reads more than this number
    /// at a time takes no byte of what follows the head.
    #[must_use]
    pub fn missing(&self, bytes: &[u8]) -> usize {
        const SHORTEST: usize = b"HTTP/1.1 400\n\n".len();
        // Only a refusal may have bare LFs.
        let class = bytes.get(b"HTTP/1.1 ".len());
        let opens = matches!(class, Some(b'1')) || self.tunnel && matches!(class, Some(b'2'));
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

    /// Reads `bytes`, which must be all that arrived from the start of the response on. Returns the
    /// response and the length of its head, or `None` if the head is incomplete.
    ///
    /// # Errors
    /// The first [`HeadError`]. Do not use the reader after it.
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
                    // A folded line continues the value before it, which was read in part only.
                    let continues = line.is_empty() && matches!(byte, b' ' | b'\t');
                    match &mut self.response {
                        Some(refusal) if continues && self.kept_last => refusal.headers.0.pop(),
                        _ => None,
                    };
                    continue;
                }
                // A CR may stand only before a LF.
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
                // The LF makes its line malformed. It must not begin a new line, which somebody
                // else may have put into a value.
                None if forgiving => continue,
                None => {
                    let refuses = |found| self.is_refusal(&found);
                    if self.response.is_some() || !self.status_line(line).is_ok_and(refuses) {
                        return Err(HeadError::BadLineEnd);
                    }
                    self.bare_lf = true;
                    line
                }
            };
            self.line = self.seen;
            match &mut self.response {
                None => self.response = Some(self.status_line(line)?),
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
                    self.kept_last = read.is_ok();
                    response.headers.0.extend(read);
                }
            }
        }
        Ok(None)
    }

    /// Returns the refusal whose head has begun, with the header lines that were read. Returns
    /// `None` before its status line ends, and for an answer that opens a connection or a tunnel.
    /// The method is for a head that does not end: it was cut, or its lines end in different ways.
    #[must_use]
    pub fn refusal(mut self) -> Option<Response> {
        self.response.take().filter(|begun| self.is_refusal(begun))
    }

    /// Reads a status line, such as `HTTP/1.1 101 Switching Protocols` (RFC 9112 section 4).
    fn status_line(&self, line: &[u8]) -> Result<Response, HeadError> {
        let rest = line.strip_prefix(b"HTTP/1.").ok_or(HeadError::BadStatusLine)?;
        let [minor @ (b'0' | b'1'), b' ', rest @ ..] = rest else {
            return Err(HeadError::BadStatusLine);
        };
        let [a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', rest @ ..] = rest else {
            return Err(HeadError::BadStatusLine);
        };
        let digit = |byte: &u8| u16::from(byte - b'0');
        let status = digit(a) * 100 + digit(b) * 10 + digit(c);
        let reason = match rest {
            [] => rest,
            [b' ', reason @ ..] if reason.iter().all(|&byte| is_text(byte)) => reason,
            // The status of a refusal is kept although the reason is malformed.
            [b' ', ..] if self.refuses(status) => &[],
            _ => return Err(HeadError::BadStatusLine),
        };
        Ok(Response::new(minor - b'0', status, String::from_utf8_lossy(reason).into_owned()))
    }

    /// Returns whether the response opens neither a connection nor a tunnel.
    fn is_refusal(&self, response: &Response) -> bool {
        self.refuses(response.status)
    }

    fn refuses(&self, status: u16) -> bool {
        status >= if self.tunnel { 300 } else { 200 }
    }
}

/// Reads a header line: a name, directly followed by a colon, and a value, from which the white
/// space around it is removed (RFC 9112 section 5).
fn header_line(line: &[u8]) -> Result<(String, Vec<u8>), HeadError> {
    let colon = line.iter().position(|&byte| byte == b':').ok_or(HeadError::BadHeader)?;
    let name = std::str::from_utf8(&line[..colon]).map_err(|_| HeadError::BadHeader)?;
    let value = &line[colon + 1..];
    if !is_token(name) || !value.iter().all(|&byte| is_text(byte)) {
        return Err(HeadError::BadHeader);
    }
    Ok((name.to_owned(), value.trim_ascii().to_vec()))
}

/// Returns whether a text is a token (RFC 9110 section 5.6.2), as the name of a header must be.
#[must_use]
pub fn is_token(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(is_token_byte)
}

/// Returns the name of a header as errors and `Debug` show it: up to the first character that no
/// name has. A secret may follow, as in `Authorization: Bearer secret`.
pub(crate) fn shown_name(name: &str) -> String {
    match name.bytes().position(|byte| !is_token_byte(byte)) {
        Some(end) => name[..end].to_owned() + "…",
        None => name.to_owned(),
    }
}

/// Returns whether a token may contain the byte (RFC 9110 section 5.6.2, `tchar`).
pub(super) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Returns whether a text may be the value of a header (RFC 9110 section 5.5). It must not have CR,
/// LF, NUL or another control character except TAB.
#[must_use]
pub fn is_field_value(value: &str) -> bool {
    value.bytes().all(is_text)
}

/// Returns whether `text` begins with `prefix`, in upper or lower case.
pub(crate) fn begins_with(text: &str, prefix: &str) -> bool {
    text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7F)
}
