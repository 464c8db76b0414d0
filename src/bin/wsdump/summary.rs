//! Counts what goes both ways, for `--summary`.

use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use landline::WebSocket;
use landline::counters::Traffic;
use landline::timings::Timings;

use crate::duration;

/// Counts messages and bytes, and keeps the round-trip times.
pub(crate) struct Summary {
    start: Instant,
    pub(crate) sent: Count,
    pub(crate) received: Count,
    opened: Mutex<Vec<Opening>>,
    round_trips: Mutex<Vec<Duration>>,
}

/// Tells how a connection was opened.
#[derive(Clone)]
pub(crate) struct Opening {
    took: Duration,
    timings: Timings,
    /// Version and cipher suite.
    tls: Option<String>,
}

impl Opening {
    pub(crate) fn of(ws: &WebSocket, took: Duration) -> Self {
        let tls = ws.tls_info().map(|tls| format!("{}, {}", tls.version, tls.cipher_suite));
        Self { took, timings: ws.timings(), tls }
    }

    /// Returns the times of the steps that were done, and what was agreed on in TLS.
    pub(crate) fn details(&self) -> String {
        let mut details = self.steps();
        if let Some(tls) = &self.tls {
            details += "; ";
            details += tls;
        }
        details
    }

    fn steps(&self) -> String {
        let Timings { resolve, connect, proxy, tls, handshake, .. } = self.timings;
        let steps = [
            ("resolve", resolve),
            ("connect", connect),
            ("proxy", proxy),
            ("TLS", tls),
            ("handshake", Some(handshake)),
        ];
        let done = steps.into_iter().filter_map(|(name, time)| Some((name, time?)));
        let done: Vec<_> =
            done.map(|(name, time)| format!("{name} {}", duration::time(time))).collect();
        done.join(", ")
    }
}

/// Counts one direction. It has a lock, because not every processor has atomics of 64 bits.
#[derive(Default)]
pub(crate) struct Count(Mutex<Counted>);

#[derive(Clone, Copy, Default)]
struct Counted {
    messages: u64,
    bytes: u64,
    uncompressed: u64,
    compressed: u64,
}

impl Count {
    pub(crate) fn add(&self, messages: usize, bytes: usize) {
        let mut counted = self.lock();
        counted.messages += messages as u64;
        counted.bytes += bytes as u64;
    }

    /// Takes back what was added, because it was not sent.
    pub(crate) fn take_back(&self, messages: usize, bytes: usize) {
        let mut counted = self.lock();
        counted.messages -= messages as u64;
        counted.bytes -= bytes as u64;
    }

    /// Adds the bytes of compressed messages that went over one connection.
    pub(crate) fn add_compression(&self, traffic: &Traffic) {
        let mut counted = self.lock();
        counted.uncompressed += traffic.uncompressed;
        counted.compressed += traffic.compressed;
    }

    fn lock(&self) -> MutexGuard<'_, Counted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn show(&self) -> String {
        let Counted { messages, bytes, uncompressed: before, compressed: after } = *self.lock();
        let mut text = format!("{messages} messages, {}", duration::size(bytes));
        if let Some(percent) = (u128::from(after) * 100).checked_div(before.into()) {
            let (before, after) = (duration::size(before), duration::size(after));
            let _ = write!(text, "; {before} compressed to {after} ({percent} %)");
        }
        text
    }
}

/// The most times that are kept, so that memory stays constant.
const MOST: usize = 100_000;

impl Summary {
    pub(crate) fn new(start: Instant) -> Self {
        let (sent, received, opened, round_trips) = <_>::default();
        Self { start, sent, received, opened, round_trips }
    }

    /// Notes how a connection was opened.
    pub(crate) fn opened(&self, opening: Opening) {
        keep(&self.opened, opening);
    }

    pub(crate) fn round_trip(&self, took: Duration) {
        keep(&self.round_trips, took);
    }

    /// Returns the lines of the summary.
    pub(crate) fn text(&self) -> String {
        let opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut round_trips =
            self.round_trips.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut text = format!("time      {}\n", duration::time(self.start.elapsed()));
        for opening in &opened {
            // Writing to a string does not fail.
            let _ = writeln!(
                text,
                "opened    in {}: {}",
                duration::time(opening.took),
                opening.steps()
            );
            if let Some(tls) = &opening.tls {
                let _ = writeln!(text, "TLS       {tls}");
            }
        }
        let _ = writeln!(text, "sent      {}", self.sent.show());
        let _ = write!(text, "received  {}", self.received.show());
        round_trips.sort_unstable();
        if let (Some(least), Some(most)) = (round_trips.first(), round_trips.last()) {
            let median = round_trips[round_trips.len() / 2];
            let _ = write!(
                text,
                "\nping      {} min, {} median, {} max of {}",
                duration::time(*least),
                duration::time(median),
                duration::time(*most),
                round_trips.len()
            );
        }
        text
    }
}

fn keep<T>(times: &Mutex<Vec<T>>, took: T) {
    let mut times = times.lock().unwrap_or_else(PoisonError::into_inner);
    if times.len() < MOST {
        times.push(took);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_has_counts_and_round_trips() {
        let summary = Summary::new(Instant::now());
        let mut timings = Timings::default();
        timings.connect = Some(Duration::from_millis(12));
        timings.handshake = Duration::from_millis(7);
        let took = Duration::from_millis(20);
        summary.opened(Opening { took, timings, tls: None });
        timings.tls = Some(Duration::from_millis(5));
        let tls = Some("TLSv1.3, TLS_AES_128_GCM_SHA256".to_owned());
        summary.opened(Opening { took, timings, tls });
        summary.sent.add(3, 9);
        summary.sent.take_back(2, 4);
        for ms in [3, 1, 2] {
            summary.round_trip(Duration::from_millis(ms));
        }
        let text = summary.text();
        for part in [
            "opened    in 20 ms: connect 12 ms, handshake 7.00 ms\n",
            "opened    in 20 ms: connect 12 ms, TLS 5.00 ms, handshake 7.00 ms\n\
             TLS       TLSv1.3, TLS_AES_128_GCM_SHA256\n",
            "sent      1 messages, 5 bytes",
            "received  0 messages, 0 bytes",
            "ping      1.00 ms min, 2.00 ms median, 3.00 ms max of 3",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}
