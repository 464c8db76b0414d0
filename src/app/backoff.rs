//! When to connect again.

use std::fmt;
use std::time::{Duration, Instant};

use crate::error::{Closed, Error, Retry};

/// The longest `Retry-After` that is obeyed: a server cannot put a client to sleep for years.
pub(crate) const MAX_RETRY_AFTER: Duration = Duration::from_secs(60 * 60);

/// Decides how long to wait before the next attempt to connect; `None` gives up. Closures do it
/// too:
///
/// ```
/// use std::time::Duration;
/// use landline::{App, Callbacks};
/// use landline::backoff::Failure;
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
    /// [`Response::retry_after`](crate::http::Response::retry_after) tells up to a day. Reads the clock.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        let (response, asked) = match self.error {
            Error::Handshake(refused) => (refused.response()?, refused.retry_after()?),
            Error::Proxy(refused) => (refused.response()?, refused.retry_after()?),
            _ => return None,
        };
        matches!(response.status(), 429 | 503).then_some(asked.min(MAX_RETRY_AFTER))
    }

    /// Returns whether an [`App`](crate::App) connects again after this failure.
    ///
    /// A failure of the first attempt is final if the next one would most likely fail in the same
    /// way, so that a script ends at once. This is what [`Error::is_retryable`] says of the error
    /// alone. After a connection [has stood](Self::has_stood) nearly everything is retried, because
    /// what worked once is only down for a while.
    ///
    /// | failure | first attempt | once a connection has stood |
    /// |---|---|---|
    /// | the name cannot be looked up, no address can be connected to | retried | retried |
    /// | any timeout; this machine gives no random bytes to mask a message with | retried | retried |
    /// | the stream fails, or ends before the answer to the opening handshake is complete | retried | retried |
    /// | status 408, 429, 5xx | retried | retried |
    /// | any other status: 2xx, a 3xx that is not followed, a 4xx such as 401, 403 or 404 | final | retried |
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
    /// | wrong input ([`InvalidInput`](crate::error::InvalidInput)), an error of a handler or hook | final | final |
    ///
    /// [`App::retry_if`](crate::App::retry_if) replaces this rule, and
    /// [`App::reconnect_after_normal_close`](crate::App::reconnect_after_normal_close) changes
    /// the row of 1000.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        Retry::of(self.error).is_retried(self.has_stood)
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
    /// An attempt has opened a connection.
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
mod tests;
