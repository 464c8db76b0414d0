//! Decides how long an App waits before it connects again.

// `error/retry.rs` decides whether a failure is retried at all.

use std::fmt;
use std::time::{Duration, Instant};

use crate::error::{Closed, Error, Retry};

/// Decides how long an [`App`](crate::App) waits before it connects again.
///
/// It is asked only about failures that are retried. If the server sent `Retry-After`, the App
/// waits for at least that long, even if the answer is shorter. Clients that are refused together
/// then come back together, unless the answer is [`retry_after`](Failure::retry_after) plus a
/// random time, as that of [`Exponential`] is.
///
/// A `Box<dyn Backoff + Send>` is a backoff too, for a program that chooses one at run time.
///
/// # Examples
///
/// A closure is a backoff:
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
/// A type of your own can keep a state. This one waits as `Exponential` does, but only a limited
/// number of times in the life of the App:
///
/// ```
/// use std::time::Duration;
/// use landline::backoff::{Backoff, Exponential, Failure};
/// use landline::{Error, Timeout};
///
/// struct Budget {
///     left: u32,
///     backoff: Exponential,
/// }
///
/// impl Backoff for Budget {
///     fn delay(&mut self, failure: &Failure<'_>) -> Option<Duration> {
///         self.left = self.left.checked_sub(1)?;
///         self.backoff.delay(failure)
///     }
/// }
///
/// let mut budget = Budget { left: 1, backoff: Exponential::new() };
/// let error = Error::Timeout(Timeout::Connect);
/// let failure = Failure::new(&error, 1, Duration::ZERO);
/// assert!(budget.delay(&failure).is_some());
/// assert_eq!(budget.delay(&failure), None);
/// ```
pub trait Backoff {
    /// Returns how long to wait after this failure; `None` gives up, and ends the
    /// [`App`](crate::App) with [`Exit::GaveUp`](crate::app::Exit::GaveUp).
    fn delay(&mut self, failure: &Failure<'_>) -> Option<Duration>;
}

impl<F: FnMut(&Failure<'_>) -> Option<Duration>> Backoff for F {
    fn delay(&mut self, failure: &Failure<'_>) -> Option<Duration> {
        self(failure)
    }
}

impl Backoff for Box<dyn Backoff + '_> {
    fn delay(&mut self, failure: &Failure<'_>) -> Option<Duration> {
        (**self).delay(failure)
    }
}

impl Backoff for Box<dyn Backoff + Send + '_> {
    fn delay(&mut self, failure: &Failure<'_>) -> Option<Duration> {
        (**self).delay(failure)
    }
}

/// Connects once, and never again.
///
/// # Examples
///
/// ```no_run
/// use landline::backoff::Never;
/// use landline::{App, Callbacks};
///
/// let exit = App::new("wss://example.com/feed", Callbacks::new()).backoff(Never).run_forever()?;
/// println!("{exit}");
/// # Ok::<(), landline::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[allow(clippy::exhaustive_structs)] // There is nothing to add.
pub struct Never;

impl Backoff for Never {
    fn delay(&mut self, _: &Failure<'_>) -> Option<Duration> {
        None
    }
}

/// Waits for the same time after each failure, for ever. Many clients that lose a server at the
/// same moment come back at the same moment; [`Exponential`] avoids that. With a time of zero an
/// App connects again without any pause, as fast as a server that is down can refuse.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use landline::backoff::Fixed;
/// use landline::{App, Callbacks};
///
/// let app = App::new("wss://example.com/feed", Callbacks::new())
///     .backoff(Fixed(Duration::from_secs(5)));
/// # let _ = app;
/// ```
#[derive(Clone, Copy, Debug)]
#[allow(clippy::exhaustive_structs)] // Users write it down.
pub struct Fixed(
    /// The time to wait.
    pub Duration,
);

impl Backoff for Fixed {
    fn delay(&mut self, _: &Failure<'_>) -> Option<Duration> {
        Some(self.0)
    }
}

/// Waits for a random time, uniform between zero and a limit that grows with each failure in a row:
/// `base`, `base * factor`, `base * factor²`, ... up to `cap`. This is exponential backoff with
/// full jitter. The operating system gives the randomness.
///
/// A failure in a row is an attempt that fails, or a connection that ends before it was open for
/// [`stable_after`](crate::App::stable_after), whatever was received on it.
///
/// If the server sent `Retry-After`, the wait is that time and then the random time. So clients
/// that were refused together do not come back together.
///
/// The load on a server that `n` clients lose at the same moment, with a `factor` of 2:
///
/// * If the server is back at once, the `n` attempts are spread evenly over the first `base`.
/// * If it is not, the clients make about `1.27 n` attempts in that time, and never again as many
///   in a time as long. After a few times `cap`, about `2 n / cap` attempts arrive a second,
///   evenly.
/// * When the server is back, all clients are connected within `cap`, with no more attempts a
///   second than before.
///
/// With the defaults and 10,000 clients these are 12,700 attempts in the first second, and 333 a
/// second later.
///
/// # Examples
///
/// Waits for up to 200 ms, 400 ms, ... 10 s, and gives up after an outage of an hour:
///
/// ```no_run
/// use std::time::Duration;
/// use landline::app::Exit;
/// use landline::backoff::Exponential;
/// use landline::{App, Callbacks};
///
/// let backoff = Exponential::new()
///     .base(Duration::from_millis(200))
///     .cap(Duration::from_secs(10))
///     .max_elapsed(Duration::from_secs(60 * 60));
/// let app = App::new("wss://example.com/feed", Callbacks::new()).backoff(backoff);
/// if let Exit::GaveUp { attempts, error, .. } = app.run_forever()? {
///     eprintln!("the server is away; attempt {attempts}: {error}");
/// }
/// # Ok::<(), landline::Error>(())
/// ```
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
    /// Makes a backoff with all defaults: limits of 1 s, 2 s, 4 s, ... 60 s, for ever.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the limit of the first wait. With zero there is never a pause, as with [`Fixed`] of
    /// zero. Default: 1 s.
    #[must_use]
    pub fn base(mut self, base: Duration) -> Self {
        self.base = base;
        self
    }

    /// Sets the factor by which the limit grows with each failure. A factor below 1 counts as 1.
    /// Default: 2.
    #[must_use]
    pub fn factor(mut self, factor: f64) -> Self {
        self.factor = factor;
        self
    }

    /// Sets the greatest limit. Default: 60 s.
    #[must_use]
    pub fn cap(mut self, cap: Duration) -> Self {
        self.cap = cap;
        self
    }

    /// Sets after how many failures in a row to give up. A connection that the server accepts and
    /// drops soon counts as a failure. Default: `None`, which never gives up.
    #[must_use]
    pub fn max_attempts(mut self, attempts: impl Into<Option<u32>>) -> Self {
        self.max_attempts = attempts.into();
        self
    }

    /// Sets for how long an outage may last: the App gives up if the next attempt would begin later
    /// than `elapsed` after the last stable connection. Default: `None`, which never gives up.
    #[must_use]
    pub fn max_elapsed(mut self, elapsed: impl Into<Option<Duration>>) -> Self {
        self.max_elapsed = elapsed.into();
        self
    }

    /// Returns the longest wait after this number of failures in a row.
    fn limit(&self, attempts: u32) -> Duration {
        if self.base.is_zero() {
            return Duration::ZERO; // Zero times an infinite factor would not be a number.
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

/// Returns a random number from 0 up to, but not including, 1: with 1 the longest `Duration` would
/// overflow. If the system has no randomness, it is the largest one, which is the longest wait.
fn random_fraction() -> f64 {
    let random = getrandom::u32().unwrap_or(u32::MAX);
    f64::from(random) / (f64::from(u32::MAX) + 1.0)
}

/// Tells why an [`App`](crate::App) has no connection: an attempt failed, or an open connection
/// ended.
///
/// A [`Backoff`] and a rule for [`retry_if`](crate::App::retry_if) are asked about it.
///
/// # Examples
///
/// A rule that gives up on a login that is not accepted, also after a connection has stood:
///
/// ```
/// use std::time::Duration;
/// use landline::backoff::Failure;
/// use landline::{CloseCode, Closed, Error, Timeout};
///
/// fn retry_if(failure: &Failure<'_>) -> bool {
///     let code = failure.closed().map(Closed::code);
///     let is_login = failure.error().status() == Some(401) || code == Some(CloseCode::new(4401));
///     failure.is_retryable() && !is_login
/// }
///
/// let error = Error::Timeout(Timeout::Connect);
/// assert!(retry_if(&Failure::new(&error, 1, Duration::ZERO)));
/// let error = Error::Handler("not mine".into());
/// assert!(!retry_if(&Failure::new(&error, 1, Duration::ZERO).with_stood(true)));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Failure<'a> {
    error: &'a Error,
    attempts: u32,
    down_for: Duration,
    has_stood: bool,
}

impl<'a> Failure<'a> {
    /// Makes a failure for the tests of a [`Backoff`] or of a rule for
    /// [`retry_if`](crate::App::retry_if). No connection has stood before it.
    #[must_use]
    pub fn new(error: &'a Error, attempts: u32, down_for: Duration) -> Self {
        Self { error, attempts, down_for, has_stood: false }
    }

    /// Sets what [`has_stood`](Self::has_stood) returns, for tests.
    #[must_use]
    pub fn with_stood(mut self, has_stood: bool) -> Self {
        self.has_stood = has_stood;
        self
    }

    /// Returns the error of the attempt, or the one that tells how the connection ended.
    #[must_use]
    pub fn error(&self) -> &'a Error {
        self.error
    }

    /// Returns how the connection ended. `None` if there was no connection, or if it ended by a
    /// violation or by a timeout: [`error`](Self::error) tells these.
    #[must_use]
    pub fn closed(&self) -> Option<&'a Closed> {
        self.error.closed()
    }

    /// Returns how many failures there were in a row, this one included. The end of a stable
    /// connection is number 1.
    ///
    /// [`Open::attempt`](crate::app::Open::attempt) counts attempts instead. After the end of a
    /// stable connection it begins anew, so the next attempt has number 1 again.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Returns how long there has been no stable connection: the time since the last one ended, or
    /// since the first attempt began.
    #[must_use]
    pub fn down_for(&self) -> Duration {
        self.down_for
    }

    /// Returns whether a connection of the [`App`](crate::App) has stood. The URL, the credentials
    /// and the server's certificate were good once then.
    ///
    /// This is so if an earlier attempt opened a connection, or if the connection that has just
    /// ended was open for [`stable_after`](crate::App::stable_after).
    #[must_use]
    pub fn has_stood(&self) -> bool {
        self.has_stood
    }

    /// Returns how long the server, or the proxy, asks to wait, at most one hour: what
    /// [`Error::retry_after`] returns for the [`error`](Self::error).
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.error.retry_after()
    }

    /// Returns whether the failure is worth another attempt: the rule of an [`App`](crate::App)
    /// without [`retry_if`](crate::App::retry_if). The App then waits as its [`Backoff`] says,
    /// which may also give up.
    ///
    /// A failure of the first attempt is final if the next one would most likely fail in the same
    /// way, so that a script ends at once. This is what [`Error::is_retryable`] says of the error
    /// alone. After a connection [has stood](Self::has_stood) nearly everything is retried, because
    /// what worked once is only down for a while.
    ///
    /// | failure | no connection has stood yet | once one has stood |
    /// |---|---|---|
    /// | the name cannot be looked up, no address can be connected to | retried | retried |
    /// | any timeout; no random bytes to mask a message with | retried | retried |
    /// | the stream fails, or ends before the opening handshake is answered | retried | retried |
    /// | an error of `headers_with` or `on_socket`; no Unix socket | retried | retried |
    /// | status 408, 429, 5xx | retried | retried |
    /// | any other status: 2xx, 3xx not followed, 4xx such as 401, 403, 404 | final | retried |
    /// | too many redirects, one from `wss` to `ws`, one that leads nowhere | final | retried |
    /// | a 101 that fails a check; an answer that is not HTTP | final | retried |
    /// | TLS: the stream ends in the handshake | retried | retried |
    /// | TLS: the certificate is not valid yet (is the clock set?) | retried | retried |
    /// | TLS: another problem of the certificate; an alert; no TLS at all | final | retried |
    /// | proxy: cannot be reached; ends the stream; status 408, 429, 5xx | retried | retried |
    /// | proxy: SOCKS 4 code 91, SOCKS 5 codes 1, 3, 4, 5, 6 | retried | retried |
    /// | proxy: any other refusal, 407 for example | final | retried |
    /// | an open connection is lost: reset, end without Close, failure of TLS | retried | retried |
    /// | the peer closes with 1001, 1011, 1012, 1013, 1014 | retried | retried |
    /// | the peer closes with 1002, 1003, 1007 to 1010, 3000 to 4999 | final | retried |
    /// | the peer closes with 1000 or without a code | final | final |
    /// | the peer breaks the protocol (1002, 1007), or a limit (1008, 1009) | final | retried |
    /// | a `MessageWriter` was dropped half-way | retried | retried |
    /// | closed or aborted on this side | final | final |
    /// | wrong input (`InvalidInput`), an error of a handler (`Handler`) | final | final |
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

/// Counts the failures in a row. Time is an argument.
#[derive(Debug)]
pub(crate) struct Streak {
    /// Failures in a row. The end of a stable connection is the first.
    failures: u32,
    /// Attempts since the last stable connection.
    attempts: u32,
    down_since: Instant,
    stable_after: Duration,
    /// An earlier attempt opened a connection.
    has_stood: bool,
}

impl Streak {
    pub(crate) fn new(stable_after: Duration, now: Instant) -> Self {
        Self { failures: 0, attempts: 0, down_since: now, stable_after, has_stood: false }
    }

    pub(crate) fn set_stable_after(&mut self, time: Duration) {
        self.stable_after = time;
    }

    /// Counts an attempt that begins, and returns its number.
    pub(crate) fn attempt(&mut self, now: Instant) -> u32 {
        if self.attempts == 0 && !self.has_stood {
            self.down_since = now;
        }
        self.attempts = self.attempts.saturating_add(1);
        self.attempts
    }

    /// Counts a failure: an attempt that failed, or a connection that ended after it had been open
    /// for `lived`.
    pub(crate) fn failed<'a>(
        &mut self,
        error: &'a Error,
        lived: Option<Duration>,
        now: Instant,
    ) -> Failure<'a> {
        let has_stood = self.has_stood | lived.is_some_and(|lived| self.ended(lived, now));
        self.failures = self.failures.saturating_add(1);
        let down_for = now.saturating_duration_since(self.down_since);
        Failure { error, attempts: self.failures, down_for, has_stood }
    }

    /// Notes the end of a connection that was open for `lived`, and returns whether it was stable.
    pub(crate) fn ended(&mut self, lived: Duration, now: Instant) -> bool {
        let was_stable = lived >= self.stable_after;
        if was_stable {
            (self.failures, self.attempts) = (0, 0);
            self.down_since = now;
        }
        self.has_stood = true;
        was_stable
    }

    /// Notes the end of a connection that was open for `lived`, and that another one has replaced.
    /// If it was stable, the attempts that failed meanwhile do not count any more. The one that
    /// opened the other connection is the first since then.
    pub(crate) fn replaced(&mut self, lived: Duration, now: Instant) {
        if self.ended(lived, now) {
            self.attempts = 1;
        }
    }
}

#[cfg(test)]
mod tests;
