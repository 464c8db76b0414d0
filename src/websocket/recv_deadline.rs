//! How long a call that receives waits.

use std::time::{Duration, Instant};

use crate::error::{Error, Timeout};
use crate::net::deadline::Deadline;
use crate::sync;

/// The deadline of one call. What has arrived is taken even when the time is up; but a peer that
/// never stops sending cannot stretch that.
pub(super) struct RecvDeadline {
    pub(super) until: Deadline,
    late_since: Option<Instant>,
}

impl RecvDeadline {
    /// How long after the deadline what has arrived is still taken.
    const GRACE: Duration = Duration::from_millis(20);

    pub(super) fn until(until: Deadline) -> Self {
        Self { until, late_since: None }
    }

    pub(super) fn endless() -> Self {
        Self::until(Deadline::NEVER)
    }

    pub(super) fn check(&mut self) -> Result<(), Error> {
        if self.until.is_past() {
            let since = *self.late_since.get_or_insert_with(sync::now);
            if sync::now() - since > Self::GRACE {
                return Err(Error::Timeout(Timeout::Recv));
            }
        }
        Ok(())
    }
}
