//! Many clients lose their server at the same moment, and come back as `Exponential` says. Time is
//! virtual. The randomness is the system's, so each bound leaves seven standard deviations.

#![allow(clippy::unwrap_used)] // `clippy.toml` allows it in test functions only.

use std::time::Duration;

use landline::backoff::{Backoff, Exponential, Failure};
use landline::{Error, Timeout};

use crate::support;

use support::{builder, serve, watchdog};

const CLIENTS: usize = 10_000;
const SECOND: Duration = Duration::from_secs(1);
const DEFAULT_CAP: Duration = Duration::from_secs(60);

const REFUSED: Error = Error::Timeout(Timeout::Connect);

/// Holds all attempts of all clients, from the moment when all lose the server until it is back and
/// every client has reached it.
struct Storm {
    attempts: Vec<Duration>,
    gave_up: usize,
}

impl Storm {
    fn new(backoff: Exponential, outage: Duration) -> Self {
        let mut storm = Self { attempts: Vec::new(), gave_up: 0 };
        for _ in 0..CLIENTS {
            storm.client(backoff, outage);
        }
        storm
    }

    fn client(&mut self, mut backoff: Exponential, outage: Duration) {
        let mut now = Duration::ZERO;
        for failures in 1.. {
            let Some(delay) = backoff.delay(&Failure::new(&REFUSED, failures, now)) else {
                self.gave_up += 1;
                return;
            };
            now += delay;
            self.attempts.push(now);
            if now >= outage {
                return;
            }
        }
    }

    /// Returns the number of attempts in each second.
    fn per_second(&self) -> Vec<usize> {
        self.count(SECOND)
    }

    fn count(&self, unit: Duration) -> Vec<usize> {
        let mut counts = Vec::new();
        for attempt in &self.attempts {
            let at = (attempt.as_nanos() / unit.as_nanos()).try_into().unwrap();
            if counts.len() <= at {
                counts.resize(at + 1, 0);
            }
            counts[at] += 1;
        }
        counts
    }
}

/// Returns whether a random count is as expected, within seven standard deviations.
#[track_caller]
fn assert_about(count: usize, expected: f64) {
    let off = (count as f64 - expected).abs();
    assert!(off <= 7.0 * expected.sqrt(), "{count} is not about {expected}");
}

fn first_delays(mut backoff: Exponential, failures: u32) -> impl Iterator<Item = Duration> {
    let failed = Failure::new(&REFUSED, failures, Duration::ZERO);
    (0..CLIENTS).map(move |_| backoff.delay(&failed).unwrap())
}

mod the_plan_of_the_documentation {
    use super::*;

    #[test]
    fn the_server_is_back_at_once_and_each_tenth_of_the_first_second_gets_its_share() {
        let storm = Storm::new(Exponential::new(), Duration::ZERO);
        let tenths = storm.count(SECOND / 10);
        assert_eq!(tenths.iter().sum::<usize>(), CLIENTS, "one attempt each");
        assert_eq!(tenths.len(), 10);
        for tenth in tenths {
            assert_about(tenth, CLIENTS as f64 / 10.0);
        }
    }

    #[test]
    fn the_server_stays_away_and_the_first_second_is_the_worst() {
        let seconds = Storm::new(Exponential::new(), 300 * SECOND).per_second();
        // 1 + 1/4 + 1/48 + ..., from the first, second, third failure of each.
        assert_about(seconds[0], 1.2716 * CLIENTS as f64);
        let later = seconds[1..].iter().max().unwrap();
        assert!(later < &seconds[0], "{later} in a later second");
    }

    #[test]
    fn the_server_stays_away_for_long_and_is_asked_at_an_even_rate() {
        let seconds = Storm::new(Exponential::new(), 300 * SECOND).per_second();
        let rate = 2.0 * CLIENTS as f64 / DEFAULT_CAP.as_secs_f64();
        for &second in &seconds[180..300] {
            assert_about(second, rate);
        }
    }

    #[test]
    fn the_server_comes_back_after_long_and_all_are_there_within_the_cap() {
        let outage = 300 * SECOND;
        let storm = Storm::new(Exponential::new(), outage);
        let back: Vec<_> = storm.attempts.iter().filter(|&&at| at >= outage).collect();
        assert_eq!(back.len(), CLIENTS);
        assert!(back.iter().all(|&&at| at < outage + DEFAULT_CAP));
        let rate = 2.0 * CLIENTS as f64 / DEFAULT_CAP.as_secs_f64();
        let most = storm.per_second()[300..].iter().copied().max().unwrap();
        assert!(most as f64 <= rate + 7.0 * rate.sqrt(), "{most} in a second");
    }
}

mod each_wait {
    use super::*;

    #[test]
    fn it_is_between_zero_and_a_limit_that_doubles_up_to_the_cap() {
        for (failures, limit) in [(1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (8, 60), (u32::MAX, 60)]
        {
            let limit = limit * SECOND;
            let (mut least, mut most) = (Duration::MAX, Duration::ZERO);
            for delay in first_delays(Exponential::new(), failures) {
                (least, most) = (least.min(delay), most.max(delay));
            }
            assert!(most <= limit, "{most:?} after {failures}");
            assert!(
                most > limit.mul_f64(0.99) && least < limit.mul_f64(0.01),
                "{least:?} {most:?}"
            );
        }
    }

    #[test]
    fn the_cap_is_below_the_base() {
        let backoff = Exponential::new().base(10 * SECOND).cap(SECOND);
        assert!(first_delays(backoff, 1).all(|delay| delay <= SECOND));
    }

    #[test]
    fn the_base_is_zero_and_it_stays_zero() {
        let backoff = Exponential::new().base(Duration::ZERO);
        for failures in [1, 2, 1025, u32::MAX] {
            assert!(first_delays(backoff, failures).all(|delay| delay.is_zero()), "{failures}");
        }
    }

    #[test]
    fn a_factor_that_makes_no_sense_counts_as_one_or_leads_to_the_cap() {
        for (factor, most) in
            [(0.5, 1), (-2.0, 1), (f64::NAN, 1), (f64::INFINITY, 60), (f64::MAX, 60)]
        {
            let backoff = Exponential::new().factor(factor);
            assert!(first_delays(backoff, 5).all(|delay| delay <= most * SECOND), "{factor}");
        }
    }

    #[test]
    fn the_longest_times_that_there_are_do_no_harm() {
        let backoff = Exponential::new().base(Duration::MAX).cap(Duration::MAX);
        assert!(first_delays(backoff, u32::MAX).any(|delay| delay > Duration::MAX / 2));
    }
}

mod giving_up {
    use super::*;

    #[test]
    fn the_backoff_gives_up_after_as_many_failures_in_a_row_as_max_attempts() {
        let storm = Storm::new(Exponential::new().max_attempts(5), 3300 * SECOND);
        assert_eq!(storm.gave_up, CLIENTS);
        // The lost connection is the first failure.
        assert_eq!(storm.attempts.len(), 4 * CLIENTS);
    }

    #[test]
    fn no_attempt_comes_later_than_the_longest_time() {
        let longest = 30 * SECOND;
        let storm = Storm::new(Exponential::new().max_elapsed(longest), 3300 * SECOND);
        assert_eq!(storm.gave_up, CLIENTS);
        assert!(storm.attempts.iter().all(|&at| at <= longest));
        assert!(storm.attempts.iter().any(|&at| at > longest.mul_f64(0.9)));
    }
}

mod a_server_that_names_a_time {
    use super::*;

    /// Returns the error of connecting to a server that sends a `Retry-After` of two minutes.
    fn busy() -> Error {
        watchdog(support::LIMIT, || {
            let server = serve(|peer| {
                peer.read_request();
                peer.send(b"HTTP/1.1 503 Busy\r\nRetry-After: 120\r\nContent-Length: 0\r\n\r\n");
            });
            let error = builder().connect(&server.url()).unwrap_err();
            server.join();
            error
        })
    }

    #[test]
    fn those_that_it_refuses_together_do_not_come_back_together() {
        let (busy, asked) = (busy(), 120 * SECOND);
        let mut backoff = Exponential::new();
        let mut tenths = [0; 10];
        for _ in 0..CLIENTS {
            let delay = backoff.delay(&Failure::new(&busy, 4, Duration::ZERO)).unwrap();
            let later = delay.checked_sub(asked).expect("not before the time");
            tenths[usize::try_from(later.as_millis() / 800).unwrap()] += 1;
        }
        for tenth in tenths {
            assert_about(tenth, CLIENTS as f64 / 10.0);
        }
    }

    #[test]
    fn it_is_beyond_the_longest_time() {
        let mut backoff = Exponential::new().max_elapsed(100 * SECOND);
        assert_eq!(backoff.delay(&Failure::new(&busy(), 1, Duration::ZERO)), None);
    }
}
