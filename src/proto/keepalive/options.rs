//! What users set.

use core::time::Duration;

/// When to ping, and when a silent peer is given up. `None` switches a part off, and zero does so
/// too.
///
/// Keepalive runs while some thread is inside `recv` or another method that receives.
///
/// # Examples
/// ```
/// use std::time::Duration;
///
/// use landline::{Builder, Keepalive};
///
/// // A ping every 5 s, and 10 s for the peer to answer.
/// let often = Keepalive::new(Duration::from_secs(5), Duration::from_secs(10));
/// // Pings that keep a NAT open, but no limit on silence.
/// let patient = Keepalive::new(Duration::from_secs(30), None);
/// let builder = Builder::new().keepalive(often);
/// # let _ = (patient, builder);
/// ```
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
    /// Returns a keepalive with this interval between pings, and this timeout for a silent peer.
    #[must_use]
    pub fn new(
        interval: impl Into<Option<Duration>>,
        timeout: impl Into<Option<Duration>>,
    ) -> Self {
        Self { interval: interval.into(), timeout: timeout.into() }
    }

    /// No pings, and no limit on silence. For a peer that does not answer pings, or ends the
    /// connection at one.
    pub const OFF: Self = Self { interval: None, timeout: None };
}
