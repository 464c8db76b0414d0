//! How long a call waits.

use std::time::{Duration, Instant};

use crate::error::{Error, Timeout};
use crate::net::deadline::Deadline;
use crate::sync;

/// The wait of one call. What has arrived is taken even when the time is up; but a peer that
/// never stops sending cannot stretch that.
pub(super) struct Patience {
    pub(super) deadline: Deadline,
    late_since: Option<Instant>,
}

impl Patience {
    /// For what has arrived.
    const GRACE: Duration = Duration::from_millis(20);

    pub(super) fn until(deadline: Deadline) -> Self {
        Self { deadline, late_since: None }
    }

    pub(super) fn endless() -> Self {
        Self::until(Deadline::NEVER)
    }

    pub(super) fn check(&mut self) -> Result<(), Error> {
        if self.deadline.is_past() {
            let since = *self.late_since.get_or_insert_with(sync::now);
            if sync::now() - since > Self::GRACE {
                return Err(Error::Timeout(Timeout::Recv));
            }
        }
        Ok(())
    }
}
