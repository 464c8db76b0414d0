//! The deadline of a call that receives.

use crate::error::{Error, Timeout};
use crate::net::deadline::{Deadline, Grace};

/// The deadline of one call. What has arrived is taken for a little longer. A peer that never stops
/// sending cannot prolong that.
pub(super) struct RecvDeadline {
    pub(super) until: Deadline,
    grace: Grace,
}

impl RecvDeadline {
    pub(super) fn until(until: Deadline) -> Self {
        Self { until, grace: Grace::default() }
    }

    pub(super) fn endless() -> Self {
        Self::until(Deadline::NEVER)
    }

    /// Fails when the deadline has passed, and the time of grace after it.
    pub(super) fn check(&mut self) -> Result<(), Error> {
        if self.until.is_past() && self.grace.is_over() {
            return Err(Error::Timeout(Timeout::Recv));
        }
        Ok(())
    }
}
