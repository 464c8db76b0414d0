//! `--ping`: pings, and how long their answers take.

use std::sync::PoisonError;
use std::time::Duration;

use crate::duration;
use crate::input::Outgoing;

/// Begins the payload of our pings. The time since the start follows, in microseconds.
const PREFIX: &str = "wsdump ";

/// Pings the server until there is no connection any more.
pub(crate) fn run(outgoing: &Outgoing, interval: Duration) {
    while let Some(sender) = outgoing.control.sender() {
        // The thread that receives notices that the connection is lost.
        let _ = sender.ping(&payload(outgoing));
        outgoing.control.pause(interval);
    }
}

/// Returns the payload of a ping that is sent now.
pub(crate) fn payload(outgoing: &Outgoing) -> Vec<u8> {
    format!("{PREFIX}{}", outgoing.start.elapsed().as_micros()).into_bytes()
}

/// Shows the round-trip time of a ping whose Pong came.
pub(crate) fn answered(outgoing: &Outgoing, payload: &[u8]) -> std::io::Result<()> {
    let round_trip = round_trip(payload, outgoing.start.elapsed());
    match round_trip {
        Some(round_trip) => {
            outgoing.summary.round_trip(round_trip);
            outgoing.notes.info(&format!("pong after {}", duration::time(round_trip)));
        }
        None => outgoing.notes.verbose("the server sent a Pong"),
    }
    let mut output = outgoing.output.lock().unwrap_or_else(PoisonError::into_inner);
    output.event("pong", |line| {
        line.text("dir", "in");
        line.bytes("base64", payload);
        if let Some(round_trip) = round_trip {
            line.seconds("rtt", round_trip);
        }
    })
}

/// Returns the time since the ping was sent; `None` if the ping was another one.
fn round_trip(payload: &[u8], now: Duration) -> Option<Duration> {
    let sent = std::str::from_utf8(payload).ok()?.strip_prefix(PREFIX)?.parse().ok()?;
    now.checked_sub(Duration::from_micros(sent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_ping_is_in_its_payload() {
        let now = Duration::from_millis(20);
        assert_eq!(round_trip(b"wsdump 5000", now), Some(Duration::from_millis(15)));
        for other in [&b"wsdump 30000"[..], b"wsdump x", b"12345678", b"\xFF"] {
            assert_eq!(round_trip(other, now), None);
        }
    }
}
