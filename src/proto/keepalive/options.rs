//! The options of keepalive that users set.

use core::time::Duration;

/// Tells when to ping, and when to give the peer up. `None` and zero switch a part off.
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
/// // The default, but a ping every minute.
/// let seldom = Keepalive::default().interval(Duration::from_secs(60));
/// let builder = Builder::new().keepalive(often);
/// # let _ = (patient, seldom, builder);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[doc(alias = "ping_interval")]
pub struct Keepalive {
    /// The time from the opening of the connection to the first ping, and from one ping to the
    /// next.
    pub interval: Option<Duration>,
    /// The time that the peer may stay silent after a ping.
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

    /// Sets the time from the opening of the connection to the first ping, and from one ping to the
    /// next. With `None` or zero no pings are sent. Default: 20 s.
    ///
    /// If there is a [`timeout`](Self::timeout()), no other ping is sent while one is not answered.
    /// A peer that sends data meanwhile is alive all the same, but
    /// [`latency`](crate::Sender::latency) is not renewed.
    #[must_use]
    pub fn interval(mut self, interval: impl Into<Option<Duration>>) -> Self {
        self.interval = interval.into();
        self
    }

    /// Sets the time that the peer may stay silent after a ping, counted from when it should have
    /// read the ping. With `None` or zero the peer is never given up. Default: 20 s.
    ///
    /// The bytes that were sent since the last ping that was answered may stand in front of the
    /// ping. For each 64 KiB of them the peer has one more second, at most 256 s.
    #[must_use]
    pub fn timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.timeout = timeout.into();
        self
    }

    /// Sends no pings, and sets no limit on silence. For a peer that does not answer pings, or that
    /// ends the connection when it gets one.
    pub const OFF: Self = Self { interval: None, timeout: None };
}
