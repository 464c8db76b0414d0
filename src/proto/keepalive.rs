//! Tells when to ping, and when to give the peer up. Time is an argument.
//!
//! A peer is dead if it is silent although it had the chance to answer. It had the chance once it
//! can have read everything up to the ping.
//!
//! Nobody knows how many bytes stand in front of a ping, in the buffers of two systems. But a peer
//! that answers a ping has read all that was sent before it. So at most the bytes that were sent
//! since the last ping that was answered can stand there. The peer is given the time to read those
//! at [`PACE`].

pub(crate) mod options;

use std::time::{Duration, Instant};

pub(crate) use options::Keepalive;

/// The pace of the slowest peer that is waited for, in bytes a second. The peer is given up later
/// by the time that it takes, at this pace, to read what stands in front of the ping.
pub const PACE: u64 = 64 * 1024;

/// The maximum number of bytes that are assumed to stand in front of a ping. The buffers of Linux
/// hold 10 MiB (4 to send, 6 to receive) unless they are told to hold more.
const MOST_AHEAD: u64 = 16 << 20;

/// The number of pings whose times are kept. Without a timeout, more of them may be under way.
const KEPT: usize = 8;

/// Instructs the driver of a [`Timer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)]
pub enum Due {
    /// Do nothing before [`Timer::deadline`].
    Nothing,
    /// Send a Ping with this payload.
    Ping([u8; 8]),
    /// The deadline for the Pong has passed. Read once more without waiting. If nothing is there,
    /// the peer is dead; if something is, report it with [`Timer::heard`].
    Dead,
}

/// Keeps the time of the pings of one connection.
#[derive(Clone, Debug)]
pub struct Timer {
    config: Keepalive,
    /// The payload of the last ping; before the first one, the seed.
    payload: u64,
    /// The payload of the last ping that was answered; before the first answer, the seed.
    answered: u64,
    /// The times at which the last pings were sent, each at its payload modulo [`KEPT`].
    times: [Instant; KEPT],
    /// The time of the last ping; before the first one, that at which the connection opened.
    last: Instant,
    /// The time at which the peer was last heard, or that of the ping if it was later. `None` if no
    /// ping waits for its Pong.
    silent_since: Option<Instant>,
    /// The time at which the peer can have read up to the last ping.
    reached: Instant,
    /// The number of bytes that were sent before the last ping.
    position: u64,
    /// The number of bytes that the peer has certainly read: those before the last ping that it
    /// answered.
    read: u64,
    latency: Option<Duration>,
}

impl Timer {
    /// Begins when the connection opens, at `now`. The first ping is due one interval later.
    ///
    /// The payloads of the pings count up from `seed`. With a random seed it is unlikely that the
    /// user sends a ping with the same payload, whose Pong would be taken for the answer.
    #[must_use]
    pub fn new(config: Keepalive, now: Instant, seed: u64) -> Self {
        // With an interval of zero a ping would be due at all times. With a timeout of zero the
        // peer would be dead before it can answer.
        let config = Keepalive {
            interval: config.interval.filter(|interval| !interval.is_zero()),
            timeout: config.timeout.filter(|timeout| !timeout.is_zero()),
        };
        Self {
            config,
            payload: seed,
            answered: seed,
            times: [now; KEPT],
            last: now,
            silent_since: None,
            reached: now,
            position: 0,
            read: 0,
            latency: None,
        }
    }

    /// Returns when to call [`due`](Self::due) next; `None` is never.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.death().or_else(|| self.last.checked_add(self.config.interval?))
    }

    /// Returns what the driver must do at `now`.
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
        self.set_last(now);
        self.reached = now;
        self.silent_since = Some(now);
        Due::Ping(self.payload.to_be_bytes())
    }

    /// Says that the ping that was due is not sent before `until`, because it waits behind a big
    /// message. The pong timeout runs from then.
    pub fn postpone(&mut self, until: Instant) {
        self.set_last(self.last.max(until));
        self.heard(until);
    }

    /// Says that the ping that was due was handed to the system at `at`, and that `position` bytes
    /// of this connection were sent before it. The pong timeout begins when the peer can have read
    /// those that it may not have read yet.
    pub fn sent(&mut self, at: Instant, position: u64) {
        self.postpone(at);
        self.position = position;
        let ahead = position.saturating_sub(self.read).min(MOST_AHEAD);
        self.reached = at.checked_add(Duration::from_millis(ahead * 1000 / PACE)).unwrap_or(at);
    }

    /// Returns whether a ping waits for its Pong. Only then [`heard`](Self::heard) matters.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.silent_since.is_some()
    }

    /// Says that the peer is alive: any bytes arrived, or the peer took bytes while the buffers
    /// were full, for which it must have read some.
    pub fn heard(&mut self, now: Instant) {
        if let Some(since) = &mut self.silent_since {
            *since = now.max(*since);
        }
    }

    /// Says that a Pong arrived. If it answers a ping, it gives the round-trip time. A peer may
    /// leave out the answers to all but the latest ping (RFC 6455 section 5.5.3).
    pub fn pong(&mut self, payload: &[u8], now: Instant) {
        let Ok(payload) = payload.try_into().map(u64::from_be_bytes) else { return };
        let later = self.payload.wrapping_sub(payload);
        if later >= self.payload.wrapping_sub(self.answered) {
            return; // It answers no ping that waits.
        }
        self.answered = payload;
        // The time of a ping that was sent long ago is not kept: it was sent before this one.
        let kept = self.payload.wrapping_sub(later.min(KEPT as u64 - 1));
        self.latency = Some(now.saturating_duration_since(self.times[Self::slot(kept)]));
        if later == 0 {
            self.silent_since = None;
            self.read = self.position;
        }
    }

    /// Returns the round-trip time of the last ping that was answered.
    #[must_use]
    pub fn latency(&self) -> Option<Duration> {
        self.latency
    }

    fn set_last(&mut self, at: Instant) {
        self.last = at;
        self.times[Self::slot(self.payload)] = at;
    }

    fn slot(payload: u64) -> usize {
        usize::from(payload.to_be_bytes()[7]) % KEPT
    }

    /// Returns when the silence after a ping will have lasted too long.
    fn death(&self) -> Option<Instant> {
        self.silent_since?.max(self.reached).checked_add(self.config.timeout?)
    }
}
