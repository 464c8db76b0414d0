//! One absolute deadline bounds the many steps that a timeout is for.

use std::time::{Duration, Instant};

use crate::sync::now;

/// A moment that a wait ends at, or never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Deadline(Option<Instant>);

impl Deadline {
    pub(crate) const NEVER: Self = Self(None);

    /// Returns the moment `timeout` from now. `None` is never, and so is a time that no clock can
    /// tell.
    pub(crate) fn after(timeout: Option<Duration>) -> Self {
        Self(timeout.and_then(|timeout| now().checked_add(timeout)))
    }

    /// Returns the moment `timeout` after `now`, as [`after`](Self::after) does.
    pub(crate) fn from(now: Instant, timeout: Option<Duration>) -> Self {
        Self(timeout.and_then(|timeout| now.checked_add(timeout)))
    }

    /// Returns the deadline at `moment`; `None` is never.
    pub(crate) fn at(moment: impl Into<Option<Instant>>) -> Self {
        Self(moment.into())
    }

    /// Returns the moment; `None` is never.
    pub(crate) fn moment(self) -> Option<Instant> {
        self.0
    }

    /// Returns the earlier of two deadlines.
    pub(crate) fn min(self, other: Self) -> Self {
        Self(match (self.0, other.0) {
            (Some(one), Some(two)) => Some(one.min(two)),
            (one, two) => one.or(two),
        })
    }

    /// Returns the time from `now` to the deadline: zero if it has passed, `None` if it is never.
    #[inline]
    pub(crate) fn remaining(self, now: Instant) -> Option<Duration> {
        self.0.map(|moment| moment.saturating_duration_since(now))
    }

    pub(crate) fn is_past(self) -> bool {
        self.0.is_some_and(|moment| moment <= now())
    }
}

/// A time limit that begins when it is first looked at. So a call that need not wait for anything
/// reads the clock once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Countdown {
    /// `None` is no limit.
    limit: Option<Duration>,
    since: Option<Instant>,
}

impl Countdown {
    pub(crate) fn new(limit: Option<Duration>) -> Self {
        Self { limit, since: None }
    }

    /// Begins now, unless it has begun.
    pub(crate) fn begun(mut self) -> Self {
        self.since.get_or_insert_with(now);
        self
    }

    /// Returns the time that is left, `None` if there is no limit. Begins `now`, unless it has
    /// begun.
    #[inline]
    pub(crate) fn left(&mut self, now: Instant) -> Option<Duration> {
        if self.since.is_none() {
            self.since = Some(now);
            return self.limit;
        }
        self.end().remaining(now)
    }

    /// Returns its end. Begins now, unless it has begun.
    pub(crate) fn end(&mut self) -> Deadline {
        Deadline::from(*self.since.get_or_insert_with(now), self.limit)
    }
}

/// The longest grace, with the time in which it was stopped.
const MAX_GRACE: Duration = Duration::from_secs(2);

/// A little time after a deadline, in which what has arrived is still taken. So a peer that sends
/// without a pause does not prolong a wait for ever.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grace {
    /// `None` while the time does not run.
    since: Option<Instant>,
    left: Duration,
    began: Option<Instant>,
}

impl Grace {
    /// Returns the grace of a call that waits.
    pub(crate) fn after_wait() -> Self {
        Self { since: None, left: Duration::from_millis(20), began: None }
    }

    /// Returns the grace of a call that does not wait. A loop that draws 60 pictures a second is
    /// not to miss one.
    pub(crate) fn of_try() -> Self {
        Self { since: None, left: Duration::from_micros(500), began: None }
    }

    /// Returns whether the time is over. It begins with the first call.
    pub(crate) fn is_over(&mut self) -> bool {
        let now = now();
        let began = *self.began.get_or_insert(now);
        now - *self.since.get_or_insert(now) > self.left || now - began > MAX_GRACE
    }

    /// Stops the time, if it has begun, until [`go_on`](Self::go_on).
    pub(crate) fn stop(&mut self) {
        if let Some(since) = self.since.take() {
            self.left = self.left.saturating_sub(now() - since);
        }
    }

    /// Lets the time go on, if it has begun.
    pub(crate) fn go_on(&mut self) {
        if self.began.is_some() {
            self.since.get_or_insert_with(now);
        }
    }
}
