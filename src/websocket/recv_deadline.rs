//! The deadline of a call that receives.

use crate::error::{Error, Timeout};
use crate::net::deadline::{Deadline, Grace};
use crate::sync::now;

/// Holds the deadline of one call. After the deadline, bytes that have arrived are still taken, but
/// only for a short time, so that a peer that never stops sending cannot extend the call.
pub(super) struct RecvDeadline {
    pub(super) until: Deadline,
    grace: Grace,
}

impl RecvDeadline {
    pub(super) fn until(until: Deadline) -> Self {
        Self { until, grace: Grace::after_wait() }
    }

    /// Returns the deadline of a call that does not wait.
    pub(super) fn now() -> Self {
        Self { until: Deadline::at(now()), grace: Grace::of_try() }
    }

    pub(super) fn endless() -> Self {
        Self::until(Deadline::NEVER)
    }

    /// Fails if the deadline and the grace after it are over.
    pub(super) fn check(&mut self) -> Result<(), Error> {
        if self.until.is_past() && self.grace.is_over() {
            return Err(Error::Timeout(Timeout::Recv));
        }
        Ok(())
    }
}
