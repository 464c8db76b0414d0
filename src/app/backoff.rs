//! When to connect again.

use std::fmt;
use std::time::{Duration, Instant};

use crate::error::{Cause, Closed, Error, Side};
use crate::proto::close::CloseCode;

/// The longest `Retry-After` that is obeyed: a server cannot put a client to sleep for years.
pub(crate) const MAX_RETRY_AFTER: Duration = Duration::from_secs(60 * 60);

/// Decides how long to wait before the next attempt to connect; `None` gives up. Closures do it
/// too:
///
/// ```
/// use std::time::Duration;
/// use landline::{App, Callbacks, Failure};
///
/// let app = App::new("wss://example.com/feed", Callbacks::new())
///     .backoff(|failure: &Failure<'_>| match failure.attempts() {
///         1 => Some(Duration::ZERO),
///         2..10 => Some(Duration::from_secs(5)),
///         _ => None,
///     });
/// ```
///
/// It is asked only about failures that are to be retried, and a server's `Retry-After` is waited
/// for even if the answer is shorter: many clients that are refused together then come back
/// together, unless the answer is [`retry_after`](Failure::retry_after) and something random.
pub trait Backoff {
    /// How long to wait after this failure.
    fn delay(&mut self, failure: &Failure<'_>) -> Option<Duration>;
}

impl<F: FnMut(&Failure<'_>) -> Option<Duration>> Backoff for F {
    fn delay(&mut self, failure: &Failure<'_>) -> Option<Duration> {
        self(failure)
    }
}

/// Connects once, and never again.
#[derive(Clone, Copy, Debug, Default)]
#[allow(clippy::exhaustive_structs)] // There is nothing to add.
pub struct Never;

impl Backoff for Never {
    fn delay(&mut self, _: &Failure<'_>) -> Option<Duration> {
        None
    }
}

/// Waits the same time after each failure, for ever. With zero it connects again and again without
/// a pause, as fast as a server that is down can refuse. Many clients that lose a server at the same
/// moment come back at the same moment: see [`Exponential`].
#[derive(Clone, Copy, Debug)]
#[allow(clippy::exhaustive_structs)] // Users write it down.
pub struct Fixed(
    /// How long.
    pub Duration,
);

impl Backoff for Fixed {
    fn delay(&mut self, _: &Failure<'_>) -> Option<Duration> {
        Some(self.0)
    }
}

/// Waits a random time, uniform between zero and a limit that grows with each failure in a row:
/// `base`, `base * factor`, `base * factor²`, ... up to `cap`. This is exponential backoff with
/// full jitter; the randomness is the operating system's.
///
/// What that means for a server that `n` clients lose at the same moment, with a `factor` of 2: if
/// it is back at once, their `n` attempts are evenly spread over the first `base`. If it is not,
/// they make about `1.27 n` attempts in that time, and never again as many in as long; after a few
/// times `cap`, about `2 n / cap` a second arrive, evenly. When the server is back, all are there
/// within `cap`, with no more a second than before. With the defaults and 10,000 clients these are
/// 12,700 in the first second and 333 a second later.
///
/// A server's `Retry-After` is waited for first, and the random time after it: clients that were
/// refused together do not come back together.
///
/// A failure in a row is an attempt that fails, or a connection that ends before it has lived for
/// [`stable_after`](crate::App::stable_after), whatever was received on it.
#[derive(Clone, Copy, Debug)]
pub struct Exponential {
    base: Duration,
    factor: f64,
    cap: Duration,
    max_attempts: Option<u32>,
    max_elapsed: Option<Duration>,
}

impl Default for Exponential {
    fn default() -> Self {
        Self {
            base: Duration::from_secs(1),
            factor: 2.0,
            cap: Duration::from_secs(60),
            max_attempts: None,
            max_elapsed: None,
        }
    }
}

impl Exponential {
    /// All defaults: limits of 1 s, 2 s, 4 s, ... 60 s, for ever.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The limit of the first wait. With zero there is never a pause, as with [`Fixed`] of zero.
    /// Default: 1 s.
    #[must_use]
    pub fn base(mut self, base: Duration) -> Self {
        self.base = base;
        self
    }

    /// How much the limit grows with each failure; below 1 counts as 1. Default: 2.
    #[must_use]
    pub fn factor(mut self, factor: f64) -> Self {
        self.factor = factor;
        self
    }

    /// The greatest limit. Default: 60 s.
    #[must_use]
    pub fn cap(mut self, cap: Duration) -> Self {
        self.cap = cap;
        self
    }

    /// Gives up after so many failures in a row, those of a server that accepts connections and
    /// drops them included. Default: `None`, never.
    #[must_use]
    pub fn max_attempts(mut self, attempts: impl Into<Option<u32>>) -> Self {
        self.max_attempts = attempts.into();
        self
    }

    /// Gives up when the next attempt would come later than this after the connection was last
    /// good. Default: `None`, never.
    #[must_use]
    pub fn max_elapsed(mut self, elapsed: impl Into<Option<Duration>>) -> Self {
        self.max_elapsed = elapsed.into();
        self
    }

    /// The longest wait after so many failures in a row.
    fn limit(&self, attempts: u32) -> Duration {
        if self.base.is_zero() {
            return Duration::ZERO; // Times infinity it would be no number.
        }
        let steps = i32::try_from(attempts.saturating_sub(1)).unwrap_or(i32::MAX);
        let grown = self.base.as_secs_f64() * self.factor.max(1.0).powi(steps);
        Duration::try_from_secs_f64(grown.min(self.cap.as_secs_f64())).unwrap_or(self.cap)
    }
}

impl Backoff for Exponential {
    fn delay(&mut self, failure: &Failure<'_>) -> Option<Duration> {
        if self.max_attempts.is_some_and(|most| failure.attempts >= most) {
            return None;
        }
        let random = self.limit(failure.attempts).mul_f64(random_fraction());
        let delay = failure.retry_after().unwrap_or_default().saturating_add(random);
        let elapsed = failure.down_for.saturating_add(delay);
        if self.max_elapsed.is_some_and(|most| elapsed > most) {
            return None;
        }
        Some(delay)
    }
}

/// From 0 to almost 1, which is the longest wait, if the system has no randomness. With 1 the
/// longest `Duration` would overflow.
fn random_fraction() -> f64 {
    let random = getrandom::u32().unwrap_or(u32::MAX);
    f64::from(random) / (f64::from(u32::MAX) + 1.0)
}

/// Why there is no connection: an attempt failed, or an open connection ended.
#[derive(Clone, Copy, Debug)]
pub struct Failure<'a> {
    error: &'a Error,
    attempts: u32,
    down_for: Duration,
    has_stood: bool,
}

impl<'a> Failure<'a> {
    /// Makes a failure for the tests of a [`Backoff`], or of a rule for
    /// [`retry_if`](crate::App::retry_if): one before which no connection has stood.
    #[must_use]
    pub fn new(error: &'a Error, attempts: u32, down_for: Duration) -> Self {
        Self { error, attempts, down_for, has_stood: false }
    }

    /// Sets what [`has_stood`](Self::has_stood) says, for tests.
    #[must_use]
    pub fn with_stood(mut self, has_stood: bool) -> Self {
        self.has_stood = has_stood;
        self
    }

    /// Why: what connecting said, or how the connection ended.
    #[must_use]
    pub fn error(&self) -> &'a Error {
        self.error
    }

    /// How the connection ended; `None` if there was none, or if it ended by a violation or by a
    /// timeout, which [`error`](Self::error) tells.
    #[must_use]
    pub fn closed(&self) -> Option<&'a Closed> {
        self.error.closed()
    }

    /// How many attempts in a row gave no stable connection, this one included. The end of a
    /// stable connection is the first.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// How long there has been no stable connection: since the last one ended, or since the first
    /// attempt began.
    #[must_use]
    pub fn down_for(&self) -> Duration {
        self.down_for
    }

    /// Returns whether the [`App`](crate::App) knows from a connection that the URL, the credentials
    /// and the server's certificate were good once: an earlier attempt opened one, or the one that
    /// has just ended lived for [`stable_after`](crate::App::stable_after).
    #[must_use]
    pub fn has_stood(&self) -> bool {
        self.has_stood
    }

    /// Returns how long the server, or the proxy, asks to wait: `Retry-After` of a 429 or 503, in
    /// seconds or as a date, and at most one hour, while
    /// [`Response::retry_after`](crate::Response::retry_after) tells up to a day. Reads the clock.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        let (response, asked) = match self.error {
            Error::Handshake(refused) => (refused.response()?, refused.retry_after()?),
            Error::Proxy(refused) => (refused.response()?, refused.retry_after()?),
            _ => return None,
        };
        matches!(response.status(), 429 | 503).then_some(asked.min(MAX_RETRY_AFTER))
    }

    /// Decides whether an [`App`](crate::App) connects again. A failure of the first attempt is
    /// final if the next would most likely fail in the same way, so that a script ends at once.
    /// After a connection [has stood](Self::has_stood) nearly everything is retried: what worked
    /// once is down for a while.
    ///
    /// | failure | first attempt | once a connection has stood |
    /// |---|---|---|
    /// | the name cannot be looked up, no address can be connected to | retried | retried |
    /// | any timeout | retried | retried |
    /// | the stream fails, or ends before the answer to the opening handshake does | retried | retried |
    /// | status 408, 429, 5xx | retried | retried |
    /// | any other status: 2xx, 3xx that is not followed, 4xx such as 401, 403, 404 | final | retried |
    /// | too many redirects, one from `wss` to `ws`, one that leads nowhere | final | retried |
    /// | a 101 that fails a check; an answer that is not HTTP | final | retried |
    /// | TLS: the stream ends in the handshake | retried | retried |
    /// | TLS: the certificate is not valid yet, as when a clock is wrong after a boot | retried | retried |
    /// | TLS: any other certificate that is not accepted; an alert; no TLS at all | final | retried |
    /// | proxy: cannot be reached; ends the stream; status 408, 429, 5xx | retried | retried |
    /// | proxy: SOCKS 4 code 91, SOCKS 5 codes 1, 3, 4, 5, 6 | retried | retried |
    /// | proxy: any other refusal, 407 for example | final | retried |
    /// | an open connection is lost: a reset, an end without Close, a failure of TLS | retried | retried |
    /// | the peer closes with 1001, 1011, 1012, 1013, 1014 | retried | retried |
    /// | the peer closes with 1002, 1003, 1007 to 1010, 3000 to 4999 | final | retried |
    /// | the peer closes with 1000, or without a code | final | final |
    /// | the peer breaks the protocol (1002, 1007), or a limit (1008, 1009) | final | retried |
    /// | a [`MessageWriter`](crate::MessageWriter) was dropped half-way | retried | retried |
    /// | closed or aborted on this side | final | final |
    /// | wrong input ([`InvalidInput`](crate::InvalidInput)), an error of a handler or hook | final | final |
    ///
    /// [`App::retry_if`](crate::App::retry_if) replaces it, and
    /// [`App::reconnect_after_normal_close`](crate::App::reconnect_after_normal_close) changes
    /// the row of 1000.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        if self.is_local() || self.is_normal_close() {
            return false;
        }
        match self.error {
            Error::InvalidInput(_) | Error::Handler(_) => false,
            error => self.has_stood || self.gave_up() || error.is_retryable(),
        }
    }

    /// Whether the peer closed because nothing more is to come.
    pub(crate) fn is_normal_close(&self) -> bool {
        self.closed().is_some_and(|closed| {
            // That our answer did not leave any more is no matter.
            matches!(closed.cause(), Cause::Handshake)
                && closed.initiator() == Some(Side::Peer)
                && matches!(closed.code(), CloseCode::NORMAL | CloseCode::NO_STATUS)
        })
    }

    /// Whether this side closed without its user's asking, because a message could not be
    /// completed: whatever the peer answered.
    fn gave_up(&self) -> bool {
        self.closed().is_some_and(|closed| {
            closed.initiator() == Some(Side::Local) && !matches!(closed.cause(), Cause::Protocol(_))
        })
    }

    /// Whether the connection was ended on this side, by its user.
    pub(crate) fn is_local(&self) -> bool {
        self.closed().is_some_and(|closed| {
            matches!(closed.cause(), Cause::Aborted) || closed.is_asked_for_here()
        })
    }
}

impl fmt::Display for Failure<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "attempt {}: {}", self.attempts, self.error)
    }
}

/// Counts what failed in a row, without a stable connection. Time is an argument.
#[derive(Debug)]
pub(crate) struct Streak {
    /// The end of the last stable connection is the first failure.
    failures: u32,
    /// Attempts since then.
    attempts: u32,
    down_since: Instant,
    stable_after: Duration,
    /// Whether an attempt has opened a connection.
    has_stood: bool,
}

impl Streak {
    pub(crate) fn new(stable_after: Duration, now: Instant) -> Self {
        Self { failures: 0, attempts: 0, down_since: now, stable_after, has_stood: false }
    }

    /// Counts an attempt that begins, and says which it is.
    pub(crate) fn attempt(&mut self) -> u32 {
        self.attempts = self.attempts.saturating_add(1);
        self.attempts
    }

    /// Notes that an attempt failed, or that the connection that it opened has ended, which
    /// `lived` so long.
    pub(crate) fn failed<'a>(
        &mut self,
        error: &'a Error,
        lived: Option<Duration>,
        now: Instant,
    ) -> Failure<'a> {
        let was_stable = lived.is_some_and(|lived| lived >= self.stable_after);
        if was_stable {
            (self.failures, self.attempts) = (0, 0);
            self.down_since = now;
        }
        self.failures = self.failures.saturating_add(1);
        let has_stood = self.has_stood || was_stable;
        self.has_stood |= lived.is_some();
        let down_for = now.saturating_duration_since(self.down_since);
        Failure { error, attempts: self.failures, down_for, has_stood }
    }
}

#[cfg(test)]
mod tests {
    //! The table of [`Failure::is_retryable`], a row per case.

    use std::io;

    use super::*;
    use crate::error::{
        ConnectError, HandshakeError, HandshakeProblem, InvalidInput, ProxyError, ProxyProblem,
        Timeout, TlsError,
    };
    use crate::proto::Violation;
    use crate::proto::close::CloseFrame;
    use crate::proto::handshake::Mismatch;
    use crate::proto::http::{HeadError, HeadReader, Response};
    use crate::proto::socks::SocksError;

    /// What the table says: of the first attempt, and once a connection has stood.
    const ALWAYS: [bool; 2] = [true, true];
    const LATER: [bool; 2] = [false, true];
    const NEVER: [bool; 2] = [false, false];

    #[track_caller]
    fn assert_retried(error: &Error, expected: [bool; 2]) {
        let retried = [false, true].map(|has_stood| {
            Failure::new(error, 1, Duration::ZERO).with_stood(has_stood).is_retryable()
        });
        assert_eq!(retried, expected, "{error:?}");
    }

    fn answer(status: u16) -> Response {
        let head = format!("HTTP/1.1 {status} X\r\n\r\n");
        HeadReader::default().advance(head.as_bytes()).unwrap().unwrap().0
    }

    fn handshake(problem: HandshakeProblem, status: u16) -> Error {
        Error::Handshake(Box::new(HandshakeError { problem, response: Some(answer(status)) }))
    }

    fn proxy(problem: ProxyProblem) -> Error {
        Error::Proxy(Box::new(ProxyError { proxy: "http://proxy:1".into(), problem }))
    }

    fn unreachable() -> ConnectError {
        ConnectError { host: "host".to_owned(), resolve: None, attempts: Vec::new() }
    }

    fn tls(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> TlsError {
        TlsError::new(source)
    }

    /// Ended without a Close of the peer.
    fn lost(cause: Cause) -> Error {
        Error::from(Closed::new(None, None, None, false, cause, None))
    }

    /// Both sides sent a Close.
    fn closed(ours: CloseFrame, theirs: CloseFrame, by: Side, asked: bool) -> Error {
        Error::from(Closed::new(Some(ours), Some(theirs), Some(by), asked, Cause::Handshake, None))
    }

    fn closed_by_peer(close: CloseFrame) -> Error {
        closed(close.clone(), close, Side::Peer, false)
    }

    #[test]
    fn no_connection_comes_about_and_the_same_may_go_well_later() {
        assert_retried(&Error::Connect(Box::new(unreachable())), ALWAYS);
        assert_retried(&Error::Io(io::ErrorKind::ConnectionReset.into()), ALWAYS);
        assert_retried(&handshake(HandshakeProblem::Eof, 101), ALWAYS);
        for timeout in [
            Timeout::Resolve,
            Timeout::Connect,
            Timeout::Proxy,
            Timeout::Tls,
            Timeout::Handshake,
            Timeout::Recv,
            Timeout::Send,
            Timeout::Pong,
            Timeout::Close,
        ] {
            assert_retried(&Error::Timeout(timeout), ALWAYS);
        }
    }

    #[test]
    fn the_server_answers_with_a_status() {
        let refused = |status| handshake(HandshakeProblem::Mismatch(Mismatch::Status), status);
        for status in [200, 204, 300, 304, 400, 401, 403, 404, 407, 410, 418, 426, 451, 499] {
            assert_retried(&refused(status), LATER);
        }
        for status in [408, 429, 500, 501, 502, 503, 504, 511, 520, 599] {
            assert_retried(&refused(status), ALWAYS);
        }
    }

    #[test]
    fn the_server_answers_something_else() {
        let mismatches = [
            Mismatch::Version,
            Mismatch::Upgrade,
            Mismatch::Connection,
            Mismatch::Accept,
            Mismatch::Extension,
            Mismatch::Subprotocol,
        ];
        for mismatch in mismatches {
            assert_retried(&handshake(HandshakeProblem::Mismatch(mismatch), 101), LATER);
        }
        for problem in [
            HandshakeProblem::Head(HeadError::NotHttp),
            HandshakeProblem::TooManyInterim,
            HandshakeProblem::TooManyRedirects,
            HandshakeProblem::InsecureRedirect,
            HandshakeProblem::BadRedirect,
            HandshakeProblem::UnfollowedRedirect,
        ] {
            assert_retried(&handshake(problem, 302), LATER);
        }
    }

    #[test]
    fn tls_fails_while_connecting() {
        assert_retried(
            &Error::Tls(Box::new(tls(io::Error::from(io::ErrorKind::UnexpectedEof)))),
            ALWAYS,
        );
        assert_retried(&Error::Tls(Box::new(tls("no TLS at all"))), LATER);
    }

    #[cfg(feature = "tls")]
    #[test]
    fn tls_does_not_accept_the_certificate_or_is_not_accepted() {
        use rustls::{AlertDescription, CertificateError, Error as Rustls, PeerIncompatible};
        for error in [
            Rustls::InvalidCertificate(CertificateError::Expired),
            Rustls::InvalidCertificate(CertificateError::UnknownIssuer),
            Rustls::InvalidCertificate(CertificateError::NotValidForName),
            Rustls::InvalidCertificate(CertificateError::Revoked),
            Rustls::InvalidCertificate(CertificateError::BadSignature),
            Rustls::AlertReceived(AlertDescription::HandshakeFailure),
            Rustls::PeerIncompatible(PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig),
            Rustls::NoCertificatesPresented,
        ] {
            assert_retried(&Error::Tls(Box::new(tls(error))), LATER);
        }
        // The clock of a machine without a battery is not set yet.
        let not_yet = Rustls::InvalidCertificate(CertificateError::NotValidYet);
        assert_retried(&Error::Tls(Box::new(tls(not_yet))), ALWAYS);
    }

    #[test]
    fn the_proxy_does_not_open_the_way() {
        let eof = io::Error::from(io::ErrorKind::UnexpectedEof);
        for problem in [
            ProxyProblem::Connect(unreachable()),
            ProxyProblem::Io(io::ErrorKind::ConnectionReset.into()),
            ProxyProblem::Eof,
            ProxyProblem::Tls(tls(eof)),
        ] {
            assert_retried(&proxy(problem), ALWAYS);
        }
        for status in [408, 429, 500, 502, 503, 504] {
            assert_retried(&proxy(ProxyProblem::Refused(answer(status))), ALWAYS);
        }
        for status in [400, 403, 404, 405, 407] {
            assert_retried(&proxy(ProxyProblem::Refused(answer(status))), LATER);
        }
        let passing = [1, 3, 4, 5, 6].map(SocksError::Refused5);
        for error in [SocksError::Refused4(91)].into_iter().chain(passing) {
            assert_retried(&proxy(ProxyProblem::Socks(error)), ALWAYS);
        }
        for error in [
            SocksError::NotSocks(b'H'),
            SocksError::NoAcceptableMethod,
            SocksError::Method(9),
            SocksError::WrongPassword,
            SocksError::Refused4(93),
            SocksError::Refused5(2),
            SocksError::Refused5(7),
            SocksError::Refused5(8),
            SocksError::AddressType(9),
        ] {
            assert_retried(&proxy(ProxyProblem::Socks(error)), LATER);
        }
        for problem in [
            ProxyProblem::Head(HeadError::NotHttp),
            ProxyProblem::TooManyInterim,
            ProxyProblem::Tls(tls("another name")),
        ] {
            assert_retried(&proxy(problem), LATER);
        }
    }

    #[test]
    fn an_open_connection_is_lost() {
        let reset = io::Error::from(io::ErrorKind::ConnectionReset);
        for cause in [
            Cause::Eof,
            Cause::Io(reset.into()),
            Cause::Tls(std::sync::Arc::new(io::Error::other("bad record MAC"))),
            Cause::Timeout(Timeout::Pong),
            Cause::Timeout(Timeout::Send),
        ] {
            assert_retried(&lost(cause), ALWAYS);
        }
    }

    #[test]
    fn the_peer_closes_with_a_code() {
        for code in [
            CloseCode::GOING_AWAY,
            CloseCode::INTERNAL_ERROR,
            CloseCode::SERVICE_RESTART,
            CloseCode::TRY_AGAIN_LATER,
            CloseCode::BAD_GATEWAY,
        ] {
            assert_retried(&closed_by_peer(code.into()), ALWAYS);
        }
        for code in [
            CloseCode::PROTOCOL_ERROR,
            CloseCode::UNSUPPORTED_DATA,
            CloseCode::INVALID_PAYLOAD,
            CloseCode::POLICY_VIOLATION,
            CloseCode::TOO_BIG,
            CloseCode::MANDATORY_EXTENSION,
            CloseCode::new(3000),
            CloseCode::new(4000),
            CloseCode::new(4401),
            CloseCode::new(4999),
        ] {
            assert_retried(&closed_by_peer(code.into()), LATER);
        }
        assert_retried(&closed_by_peer(CloseCode::NORMAL.into()), NEVER);
        assert_retried(&closed_by_peer(CloseFrame::empty()), NEVER);
        // It did not take our answer.
        let normal = CloseFrame::from(CloseCode::NORMAL);
        let by = Some(Side::Peer);
        let closed = Closed::new(None, Some(normal), by, false, Cause::Handshake, None);
        assert_retried(&Error::Closed(closed), NEVER);
    }

    #[test]
    fn the_peer_breaks_the_protocol_or_a_limit() {
        for violation in [
            Violation::ReservedBits,
            Violation::ReservedOpcode(3),
            Violation::MaskedFrame,
            Violation::NonMinimalLength,
            Violation::LengthTopBit,
            Violation::FragmentedControl,
            Violation::ControlTooLong,
            Violation::UnexpectedContinuation,
            Violation::ExpectedContinuation,
            Violation::InvalidUtf8,
            Violation::InvalidDeflate,
            Violation::CloseLength,
            Violation::CloseCode(1005),
            Violation::CloseReason,
            Violation::FrameTooBig,
            Violation::MessageTooBig,
            Violation::TooManyFragments,
            Violation::TooManyEmptyFragments,
            Violation::OutOfMemory,
        ] {
            assert_retried(&Error::Protocol(violation), LATER);
            let code = CloseFrame::from(violation.close_code());
            let cause = Cause::Protocol(violation);
            let closed = Closed::new(Some(code), None, Some(Side::Local), false, cause, None);
            assert_retried(&Error::Closed(closed), LATER);
        }
    }

    #[test]
    fn this_side_closes() {
        let normal = || CloseFrame::from(CloseCode::NORMAL);
        let restart = CloseFrame::from(CloseCode::SERVICE_RESTART);
        assert_retried(&closed(normal(), normal(), Side::Local, true), NEVER);
        assert_retried(&closed(normal(), restart, Side::Local, true), NEVER);
        assert_retried(&Error::aborted(), NEVER);
        let late = Cause::Timeout(Timeout::Close);
        let late = Closed::new(Some(normal()), None, Some(Side::Local), true, late, None);
        assert_retried(&Error::Closed(late), NEVER);
        // A message that could not be completed, whatever the peer answers.
        let half = || CloseFrame::from(CloseCode::INTERNAL_ERROR);
        for answer in [half(), normal(), CloseFrame::empty()] {
            assert_retried(&closed(half(), answer, Side::Local, false), ALWAYS);
        }
    }

    #[test]
    fn the_caller_is_wrong() {
        for input in [InvalidInput::Url("no host".into()), InvalidInput::Close] {
            assert_retried(&Error::InvalidInput(input), NEVER);
        }
        assert_retried(&Error::Handler("mine".into()), NEVER);
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_connection_has_stood_if_it_lived_or_was_before_this_attempt() {
        let error = lost(Cause::Eof);
        let now = Instant::now();
        let mut streak = Streak::new(10 * SECOND, now);
        let mut stood = |lived| streak.failed(&error, lived, now).has_stood();
        assert!(!stood(None));
        assert!(!stood(Some(9 * SECOND)), "the first connection, and it did not live");
        assert!(stood(None), "it was before this attempt");

        let mut streak = Streak::new(10 * SECOND, now);
        assert!(streak.failed(&error, Some(10 * SECOND), now).has_stood(), "it lived");
    }

    #[test]
    fn attempts_are_counted_from_one_again_after_a_connection_that_lived() {
        let error = lost(Cause::Eof);
        let begin = Instant::now();
        let mut streak = Streak::new(10 * SECOND, begin);
        let rows = [
            // At which second it ended, how long it lived; attempts in a row, how long it is down.
            (1, None, 1, 1),
            (3, Some(2), 2, 3),
            (15, Some(9), 3, 15),
            (40, Some(10), 1, 0),
            (45, Some(3), 2, 5),
            (50, None, 3, 10),
            (90, Some(30), 1, 0),
        ];
        for (at, lived, attempts, down_for) in rows {
            let lived = lived.map(Duration::from_secs);
            let failure = streak.failed(&error, lived, begin + at * SECOND);
            assert_eq!((failure.attempts(), failure.down_for()), (attempts, down_for * SECOND));
        }
    }
}
