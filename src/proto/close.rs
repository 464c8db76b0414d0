//! Close codes and the Close frame's payload (RFC 6455 sections 5.5.1 and 7.4).

use core::fmt;

use super::frame::MAX_CONTROL_PAYLOAD;

/// Tells by a number why a connection is closed (RFC 6455 section 7.4, and IANA's registry).
///
/// # Examples
///
/// ```
/// use landline::CloseCode;
///
/// // A code of the application's own.
/// const LOGGED_OUT: CloseCode = CloseCode::new(4401);
/// assert!(LOGGED_OUT.is_sendable() && !CloseCode::ABNORMAL.is_sendable());
/// assert_eq!(CloseCode::NORMAL.to_string(), "1000");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CloseCode(u16);

impl CloseCode {
    /// 1000: the purpose of the connection is fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// 1001: a server goes down, or a program ends.
    pub const GOING_AWAY: Self = Self(1001);
    /// 1002: the peer broke the protocol.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// 1003: the endpoint does not accept data of this kind.
    pub const UNSUPPORTED_DATA: Self = Self(1003);
    /// 1005: the Close frame had no code. Never sent.
    pub const NO_STATUS: Self = Self(1005);
    /// 1006: the connection ended without a Close frame. Never sent.
    pub const ABNORMAL: Self = Self(1006);
    /// 1007: data does not fit its type, such as text that is not UTF-8.
    pub const INVALID_PAYLOAD: Self = Self(1007);
    /// 1008: a rule of the endpoint was broken.
    pub const POLICY_VIOLATION: Self = Self(1008);
    /// 1009: a message is too big.
    pub const TOO_BIG: Self = Self(1009);
    /// 1010: the server did not negotiate an extension that the client needs.
    pub const MANDATORY_EXTENSION: Self = Self(1010);
    /// 1011: the server met a condition that it did not expect.
    pub const INTERNAL_ERROR: Self = Self(1011);
    /// 1012: the service restarts.
    pub const SERVICE_RESTART: Self = Self(1012);
    /// 1013: overload; try again later.
    pub const TRY_AGAIN_LATER: Self = Self(1013);
    /// 1014: a gateway got a bad answer.
    pub const BAD_GATEWAY: Self = Self(1014);
    /// 1015: the TLS handshake failed. Never sent.
    pub const TLS_HANDSHAKE: Self = Self(1015);

    /// Makes a close code of any number. Only those that
    /// [are sendable](Self::is_sendable) may stand in a frame.
    #[must_use]
    pub const fn new(code: u16) -> Self {
        Self(code)
    }

    /// Returns the number that stands in the frame.
    #[must_use]
    pub const fn value(self) -> u16 {
        self.0
    }

    /// Returns whether the code may stand in a Close frame: 1000 to 1003, 1007 to 1014, 3000 to
    /// 4999.
    #[must_use]
    pub const fn is_sendable(self) -> bool {
        matches!(self.0, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }
}

impl fmt::Debug for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CloseCode({})", self.0)
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<CloseCode> for u16 {
    fn from(code: CloseCode) -> Self {
        code.0
    }
}

/// Holds the payload of a Close frame: a code and a reason, or nothing at all. A code converts to
/// it, and so does a pair of code and reason: `close(1000)`, `close((1000, "bye"))`,
/// `close(CloseCode::NORMAL)`.
///
/// # Examples
///
/// ```
/// use landline::{CloseCode, CloseFrame};
///
/// assert_eq!(CloseFrame::from(1000), CloseFrame::from(CloseCode::NORMAL));
/// assert_eq!(CloseFrame::from((1000, "bye")).to_string(), r#"1000 "bye""#);
/// assert!(!CloseFrame::from(1006).is_sendable());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub struct CloseFrame {
    /// The code. `None` is a Close frame without a payload, which stands for 1005.
    pub code: Option<CloseCode>,
    /// The reason, at most 123 bytes. The peer may write anything: escape it before you show it, or
    /// use `Display`.
    pub reason: String,
}

impl CloseFrame {
    /// Makes a Close frame with a code and a reason.
    pub fn new(code: CloseCode, reason: impl Into<String>) -> Self {
        Self { code: Some(code), reason: reason.into() }
    }

    /// Makes a Close frame without a payload.
    #[must_use]
    pub const fn empty() -> Self {
        Self { code: None, reason: String::new() }
    }

    /// The maximum length of a reason, in bytes: a control payload without the code.
    pub const MAX_REASON: usize = MAX_CONTROL_PAYLOAD - 2;

    /// Returns whether the frame may be sent: the code [is sendable](CloseCode::is_sendable), the
    /// reason fits, and there is no reason without a code.
    #[must_use]
    pub fn is_sendable(&self) -> bool {
        match self.code {
            Some(code) => code.is_sendable() && self.reason.len() <= Self::MAX_REASON,
            None => self.reason.is_empty(),
        }
    }
}

impl From<CloseCode> for CloseFrame {
    fn from(code: CloseCode) -> Self {
        Self::new(code, "")
    }
}

impl From<u16> for CloseFrame {
    fn from(code: u16) -> Self {
        Self::new(CloseCode::new(code), "")
    }
}

impl<R: Into<String>> From<(u16, R)> for CloseFrame {
    fn from((code, reason): (u16, R)) -> Self {
        Self::new(CloseCode::new(code), reason)
    }
}

impl<R: Into<String>> From<(CloseCode, R)> for CloseFrame {
    fn from((code, reason): (CloseCode, R)) -> Self {
        Self::new(code, reason)
    }
}

impl fmt::Display for CloseFrame {
    /// Writes the code, and the reason with everything escaped that could confuse a terminal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Some(code) if self.reason.is_empty() => code.fmt(f),
            Some(code) => write!(f, "{code} \"{}\"", self.reason.escape_debug()),
            None => f.write_str("no code"),
        }
    }
}
