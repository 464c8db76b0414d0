//! Keepalive: when to ping, and when to give the peer up. Time is an argument.
//!
//! A peer is dead when it is silent, and had the chance to answer: it must have read up to the ping.
//! What stands in front of a ping, in the buffers of two systems, nobody says. But a peer that
//! answers a ping has read all that was sent before it, so that it is what was sent since the last
//! ping that was answered, at most. The peer is given the time to read that at [`PACE`].

pub(crate) mod options;

use std::time::{Duration, Instant};

pub(crate) use options::Keepalive;

/// The slowest peer that is waited for, in bytes a second: what it must have read before it can
/// answer a ping puts the end off by as much time as this takes.
pub const PACE: u64 = 64 * 1024;

/// The most bytes that are taken to stand in front of a ping. The buffers of Linux hold 10 MiB (4 to
/// send, 6 to receive) unless they are told to hold more.
const MOST_AHEAD: u64 = 16 << 20;

/// What the driver must do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)]
pub enum Due {
    /// Nothing before [`Timer::deadline`].
    Nothing,
    /// Send a Ping with this payload.
    Ping([u8; 8]),
    /// The pong deadline has passed. Read once more without waiting: if nothing is there, the
    /// peer is dead; if something is, it counts as life.
    Dead,
}

/// The state of one connection's keepalive.
#[derive(Clone, Debug)]
pub struct Timer {
    config: Keepalive,
    /// What the last ping said; before the first, the seed.
    payload: u64,
    /// When the last ping went out; before the first, when the connection opened.
    last: Instant,
    /// A ping is out, and this is when the peer was last heard, or the ping itself.
    silent_since: Option<Instant>,
    /// When the peer can have read up to the last ping.
    reached: Instant,
    /// How many bytes were sent before the last ping.
    position: u64,
    /// How many of them the peer has read for certain: those before the last ping that it answered.
    read: u64,
    latency: Option<Duration>,
}

impl Timer {
    /// Begins with the connection: the first ping is due one interval later.
    ///
    /// The payloads of the pings follow from the `seed`. A random one makes it unlikely that a ping
    /// of the user's has the same payload, whose Pong would be taken for the answer.
    #[must_use]
    pub fn new(config: Keepalive, now: Instant, seed: u64) -> Self {
        // With an interval of zero a ping would be due at all times, with a timeout of zero the
        // peer would be dead before it can answer.
        let config = Keepalive {
            interval: config.interval.filter(|interval| !interval.is_zero()),
            timeout: config.timeout.filter(|timeout| !timeout.is_zero()),
        };
        Self {
            config,
            payload: seed,
            last: now,
            silent_since: None,
            reached: now,
            position: 0,
            read: 0,
            latency: None,
        }
    }

    /// When [`due`](Self::due) has something to say; `None` is never.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.death().or_else(|| self.last.checked_add(self.config.interval?))
    }

    /// What is due at `now`.
    #[must_use]
    pub fn due(&mut self, now: Instant) -> Due {
        match self.deadline() {
            Some(deadline) if deadline <= now => {}
            _ => return Due::Nothing,
        }
        if self.death().is_some() {
            return Due::Dead;
        }
        self.payload = self.payload.wrapping_add(1);
        self.last = now;
        self.reached = now;
        self.silent_since = Some(now);
        Due::Ping(self.payload.to_be_bytes())
    }

    /// The ping that was due is not on the wire before then, because something big is: its time
    /// begins later.
    pub fn postpone(&mut self, until: Instant) {
        self.last = self.last.max(until);
        self.heard(until);
    }

    /// The ping that was due is with the system since `at`; `position` bytes were sent before it,
    /// counted from the open connection on. The peer has the time to read those of them that it may
    /// not have read.
    pub fn sent(&mut self, at: Instant, position: u64) {
        self.postpone(at);
        self.position = position;
        let ahead = position.saturating_sub(self.read).min(MOST_AHEAD);
        self.reached = at.checked_add(Duration::from_millis(ahead * 1000 / PACE)).unwrap_or(at);
    }

    /// Whether a ping is out that was not answered: only then [`heard`](Self::heard) matters.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.silent_since.is_some()
    }

    /// Bytes arrived, whatever they are; or the peer took bytes when the buffers were full, for
    /// which it must have read some: the peer lives.
    pub fn heard(&mut self, now: Instant) {
        if let Some(since) = &mut self.silent_since {
            *since = now.max(*since);
        }
    }

    /// A Pong arrived; one that answers the last ping gives the round-trip time.
    pub fn pong(&mut self, payload: &[u8], now: Instant) {
        if self.silent_since.is_some() && payload == self.payload.to_be_bytes() {
            self.latency = Some(now.saturating_duration_since(self.last));
            self.silent_since = None;
            self.read = self.position;
        }
    }

    /// The round-trip time of the last ping that was answered.
    #[must_use]
    pub fn latency(&self) -> Option<Duration> {
        self.latency
    }

    /// When the silence after a ping has lasted too long.
    fn death(&self) -> Option<Instant> {
        self.silent_since?.max(self.reached).checked_add(self.config.timeout?)
    }
}
