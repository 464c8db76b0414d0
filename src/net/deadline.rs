//! One absolute deadline carries a timeout through many steps.

use std::time::{Duration, Instant};

use crate::sync::now;

/// A moment by which something must be done, or never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Deadline(Option<Instant>);

impl Deadline {
    pub(crate) const NEVER: Self = Self(None);

    /// So long from now; `None`, or longer than a clock can tell, is never.
    pub(crate) fn after(timeout: Option<Duration>) -> Self {
        Self(timeout.and_then(|timeout| now().checked_add(timeout)))
    }

    /// At `moment`; `None` is never.
    pub(crate) fn at(moment: impl Into<Option<Instant>>) -> Self {
        Self(moment.into())
    }

    /// The earlier of two.
    pub(crate) fn min(self, other: Self) -> Self {
        Self(match (self.0, other.0) {
            (Some(one), Some(two)) => Some(one.min(two)),
            (one, two) => one.or(two),
        })
    }

    /// How long from `now`; `None` is never, zero is passed.
    pub(crate) fn remaining(self, now: Instant) -> Option<Duration> {
        self.0.map(|moment| moment.saturating_duration_since(now))
    }

    pub(crate) fn is_past(self) -> bool {
        self.0.is_some_and(|moment| moment <= now())
    }
}
