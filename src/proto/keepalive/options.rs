//! What users set.

use core::time::Duration;

/// When to ping. `None` switches the part off, and zero does so too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs)] // Users write it down, with both its fields.
pub struct Keepalive {
    /// From the open connection, or from one ping, to the next ping. Default 20 s; `None` and zero
    /// send none.
    pub interval: Option<Duration>,
    /// How long the peer may stay silent after a ping, from when it can have read up to the ping.
    /// Default 20 s; `None` and zero never give it up.
    ///
    /// What was sent since the last ping that was answered may stand in front of the ping. For each
    /// 64 KiB of it the peer has a second more, for 256 s at most.
    pub timeout: Option<Duration>,
}

impl Default for Keepalive {
    fn default() -> Self {
        let twenty = Some(Duration::from_secs(20));
        Self { interval: twenty, timeout: twenty }
    }
}

impl Keepalive {
    /// No pings, and no limit on silence. For a peer that does not answer pings, or ends the
    /// connection at one.
    pub const OFF: Self = Self { interval: None, timeout: None };
}
