//! RFC 6455 section 5.5.2: pings that show whether the peer is alive. Time is virtual.

#![allow(clippy::unwrap_used)] // `clippy.toml` allows it in test functions only.

use std::time::{Duration, Instant};

use landline::Keepalive;
use landline::proto::keepalive::{Due, Timer};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const NANOSECOND: Duration = Duration::from_nanos(1);

/// The second payload goes over the largest number.
const SEED: u64 = u64::MAX - 1;

fn config(interval: Option<u64>, timeout: Option<u64>) -> Keepalive {
    Keepalive::new(interval.map(seconds), timeout.map(seconds))
}

/// Returns the payload of the Ping that must be due now.
fn ping(timer: &mut Timer, now: Instant) -> [u8; 8] {
    match timer.due(now) {
        Due::Ping(payload) => payload,
        other => panic!("a ping should be due, not {other:?}"),
    }
}

mod when_to_ping {
    use super::*;

    /// Returns the interval and the timeout, in seconds.
    fn parts(keepalive: Keepalive) -> (Option<u64>, Option<u64>) {
        let seconds = |part: Option<Duration>| part.map(|time| time.as_secs());
        (seconds(keepalive.interval), seconds(keepalive.timeout))
    }

    #[test]
    fn the_default_is_twenty_seconds_for_both() {
        assert_eq!(parts(Keepalive::default()), (Some(20), Some(20)));
        assert_eq!(parts(Keepalive::OFF), (None, None));
    }

    #[test]
    fn a_keepalive_is_made_of_an_interval_and_a_timeout() {
        assert_eq!(parts(Keepalive::new(seconds(1), seconds(2))), (Some(1), Some(2)));
        assert_eq!(parts(Keepalive::new(seconds(1), None)), (Some(1), None));
        assert_eq!(Keepalive::new(None, None), Keepalive::OFF);
    }

    #[test]
    fn a_setter_changes_one_part_and_leaves_the_other() {
        let keepalive = Keepalive::new(seconds(1), seconds(2));
        assert_eq!(parts(keepalive.interval(seconds(3))), (Some(3), Some(2)));
        assert_eq!(parts(keepalive.timeout(seconds(3))), (Some(1), Some(3)));
        assert_eq!(keepalive.interval(None).timeout(None), Keepalive::OFF);
    }

    #[test]
    fn the_first_ping_is_due_one_interval_after_the_open_and_not_before() {
        let open = Instant::now();
        let mut timer = Timer::new(config(Some(20), Some(10)), open, SEED);
        assert_eq!(timer.deadline(), Some(open + seconds(20)));
        assert_eq!(timer.due(open), Due::Nothing);
        assert_eq!(timer.due(open + seconds(20) - NANOSECOND), Due::Nothing);
        assert!(!timer.is_waiting());
        ping(&mut timer, open + seconds(20));
        assert!(timer.is_waiting());
    }

    #[test]
    fn the_peer_answers_and_the_next_ping_is_due_one_interval_after_the_last() {
        let open = Instant::now();
        let mut timer = Timer::new(config(Some(20), Some(10)), open, SEED);
        let mut payloads = Vec::new();
        for round in 1..=50 {
            let now = open + seconds(20 * round);
            assert_eq!(timer.deadline(), Some(now));
            let payload = ping(&mut timer, now);
            assert_eq!(timer.due(now), Due::Nothing, "one ping only");
            timer.pong(&payload, now + seconds(3));
            assert!(!timer.is_waiting());
            assert_eq!(timer.latency(), Some(seconds(3)));
            payloads.push(payload);
        }
        payloads.dedup();
        assert_eq!(payloads.len(), 50, "each ping has a payload of its own");
    }

    #[test]
    fn after_an_hour_without_the_driver_one_ping_is_due_and_no_burst() {
        let open = Instant::now();
        let mut timer = Timer::new(config(Some(20), Some(10)), open, SEED);
        let late = open + seconds(3_600);
        let payload = ping(&mut timer, late);
        assert_eq!(timer.due(late), Due::Nothing);
        timer.pong(&payload, late + seconds(1));
        assert_eq!(timer.deadline(), Some(late + seconds(20)));
        assert_eq!(timer.due(late + seconds(19)), Due::Nothing);
    }

    #[test]
    fn data_from_the_peer_does_not_put_off_the_ping() {
        let open = Instant::now();
        let mut timer = Timer::new(config(Some(20), Some(10)), open, SEED);
        for at in 1..20 {
            timer.heard(open + seconds(at));
        }
        assert_eq!(timer.deadline(), Some(open + seconds(20)));
        assert!(!timer.is_waiting());
    }

    #[test]
    fn the_payloads_follow_from_the_seed_and_only_from_it() {
        let open = Instant::now();
        let payloads = |seed| {
            let mut timer = Timer::new(config(Some(1), None), open, seed);
            [1, 2, 3].map(|second| ping(&mut timer, open + seconds(second)))
        };
        for seed in [0, 1_000_000, u64::MAX - 2, u64::MAX] {
            let [one, two, three] = payloads(seed);
            assert!(one != two && two != three && one != three, "{seed}");
            assert_eq!(payloads(seed), [one, two, three]);
            assert_ne!(payloads(seed.wrapping_add(10)), [one, two, three]);
        }
    }

    #[test]
    fn a_pong_that_was_right_for_another_seed_is_no_answer() {
        let open = Instant::now();
        let mut ours = Timer::new(config(Some(1), Some(1)), open, SEED);
        let mut others = Timer::new(config(Some(1), Some(1)), open, 0);
        ping(&mut ours, open + seconds(1));
        let payload = ping(&mut others, open + seconds(1));
        ours.pong(&payload, open + seconds(1));
        assert!(ours.is_waiting());
    }

    #[test]
    fn a_timeout_of_zero_never_gives_the_peer_up() {
        let open = Instant::now();
        let mut timer = Timer::new(config(Some(20), Some(0)), open, SEED);
        for round in 1..=10 {
            let now = open + seconds(20 * round);
            assert_eq!(timer.deadline(), Some(now));
            ping(&mut timer, now);
            assert_eq!(timer.due(now), Due::Nothing);
        }
    }

    #[test]
    fn without_an_interval_there_is_never_a_ping() {
        let open = Instant::now();
        for config in [
            Keepalive::OFF,
            config(None, Some(1)),
            config(Some(0), Some(1)),
            config(Some(0), Some(0)),
            config(Some(0), None),
        ] {
            let mut timer = Timer::new(config, open, SEED);
            assert_eq!(timer.deadline(), None);
            timer.heard(open + seconds(1));
            timer.pong(&[0; 8], open + seconds(1));
            assert_eq!(timer.due(open + seconds(1_000_000)), Due::Nothing);
            assert_eq!((timer.latency(), timer.is_waiting()), (None, false));
        }
    }

    #[test]
    fn an_interval_beyond_all_time_is_never_and_does_not_panic() {
        let open = Instant::now();
        let forever = Keepalive::new(Duration::MAX, Duration::MAX);
        let mut timer = Timer::new(forever, open, SEED);
        assert_eq!((timer.deadline(), timer.due(open + seconds(1_000))), (None, Due::Nothing));
        let patient = Keepalive::new(seconds(1), Duration::MAX);
        let mut timer = Timer::new(patient, open, SEED);
        ping(&mut timer, open + seconds(1));
        assert_eq!(timer.due(open + seconds(1) + NANOSECOND), Due::Nothing);
    }
}

mod when_to_give_up {
    use super::*;

    #[test]
    fn the_peer_is_silent_and_is_dead_exactly_at_the_pong_deadline() {
        let open = Instant::now();
        let mut timer = Timer::new(config(Some(20), Some(10)), open, SEED);
        ping(&mut timer, open + seconds(20));
        assert_eq!(timer.deadline(), Some(open + seconds(30)));
        assert_eq!(timer.due(open + seconds(30) - NANOSECOND), Due::Nothing);
        for _ in 0..3 {
            assert_eq!(timer.due(open + seconds(30)), Due::Dead, "and stays so");
        }
        assert_eq!(timer.due(open + seconds(300)), Due::Dead);
    }

    #[test]
    fn any_traffic_counts_as_life_and_moves_the_deadline() {
        let open = Instant::now();
        let mut timer = Timer::new(config(Some(20), Some(10)), open, SEED);
        ping(&mut timer, open + seconds(20));
        for at in 21..200 {
            let now = open + seconds(at);
            timer.heard(now);
            assert_eq!(timer.deadline(), Some(now + seconds(10)));
            assert_eq!(timer.due(now), Due::Nothing);
        }
        assert!(timer.is_waiting(), "life, but no answer to the ping");
        assert_eq!(timer.due(open + seconds(209) - NANOSECOND), Due::Nothing);
        assert_eq!(timer.due(open + seconds(209)), Due::Dead);
    }

    #[test]
    fn the_peer_is_found_alive_after_the_deadline_and_goes_on() {
        let open = Instant::now();
        let mut timer = Timer::new(config(Some(20), Some(10)), open, SEED);
        let payload = ping(&mut timer, open + seconds(20));
        assert_eq!(timer.due(open + seconds(31)), Due::Dead);
        timer.heard(open + seconds(31)); // The read without waiting found something.
        assert_eq!(timer.due(open + seconds(31)), Due::Nothing);
        timer.pong(&payload, open + seconds(31));
        assert_eq!(timer.latency(), Some(seconds(11)));
        assert!(!timer.is_waiting());
        assert_eq!(timer.deadline(), Some(open + seconds(40)));
    }

    #[test]
    fn a_pong_at_the_deadline_itself_keeps_the_peer_alive() {
        let open = Instant::now();
        let mut timer = Timer::new(config(Some(20), Some(10)), open, SEED);
        let payload = ping(&mut timer, open + seconds(20));
        timer.pong(&payload, open + seconds(30));
        assert_eq!(timer.due(open + seconds(30)), Due::Nothing);
    }

    #[test]
    fn pongs_that_answer_nothing_are_no_answer() {
        let open = Instant::now();
        let mut timer = Timer::new(config(Some(20), Some(10)), open, SEED);
        timer.pong(&[0; 8], open + seconds(1));
        let first = ping(&mut timer, open + seconds(20));
        timer.pong(&first, open + seconds(21));
        let second = ping(&mut timer, open + seconds(40));
        assert_ne!(first, second);
        for stale in [&first[..], b"", b"other", &second[..7], &[&second[..], &[0]].concat()] {
            timer.pong(stale, open + seconds(41));
            assert!(timer.is_waiting(), "{stale:?}");
            assert_eq!(timer.latency(), Some(seconds(1)), "{stale:?}");
        }
        assert_eq!(timer.due(open + seconds(50)), Due::Dead);
    }

    #[test]
    fn the_same_pong_twice_counts_once() {
        let open = Instant::now();
        let mut timer = Timer::new(config(Some(20), Some(10)), open, SEED);
        let payload = ping(&mut timer, open + seconds(20));
        timer.pong(&payload, open + seconds(21));
        timer.pong(&payload, open + seconds(29));
        assert_eq!(timer.latency(), Some(seconds(1)));
    }

    #[test]
    fn a_pong_that_comes_after_the_next_ping_is_an_answer_too() {
        // A ping every second. The first is sent after one second.
        for round_trip in [1_500, 2_500, 7_900] {
            let open = Instant::now();
            let round_trip = Duration::from_millis(round_trip);
            let mut timer = Timer::new(config(Some(1), None), open, SEED);
            let mut on_the_way = Vec::new();
            for round in 1..=50 {
                let now = open + seconds(round);
                while on_the_way.first().is_some_and(|&(_, at)| at + round_trip < now) {
                    let (payload, at): ([u8; 8], Instant) = on_the_way.remove(0);
                    timer.pong(&payload, at + round_trip);
                    assert_eq!(timer.latency(), Some(round_trip));
                    assert!(timer.is_waiting(), "for the last ping");
                    timer.pong(&payload, now);
                    assert_eq!(timer.latency(), Some(round_trip), "it was answered before");
                }
                on_the_way.push((ping(&mut timer, now), now));
            }
        }
    }

    #[test]
    fn the_latency_of_a_peer_that_is_slower_than_eight_pings_is_that_of_the_eighth() {
        let open = Instant::now();
        let mut timer = Timer::new(config(Some(1), None), open, SEED);
        let first = ping(&mut timer, open + seconds(1));
        for round in 2..=20 {
            ping(&mut timer, open + seconds(round));
        }
        timer.pong(&first, open + seconds(20));
        assert_eq!(timer.latency(), Some(seconds(7)));
        assert!(timer.is_waiting());
    }

    #[test]
    fn without_a_timeout_the_peer_is_never_dead_and_pings_go_on() {
        let open = Instant::now();
        let mut timer = Timer::new(config(Some(20), None), open, SEED);
        let mut last = [0; 8];
        for round in 1..=10 {
            let now = open + seconds(20 * round);
            assert_eq!(timer.deadline(), Some(now));
            last = ping(&mut timer, now);
        }
        timer.pong(&last, open + seconds(202));
        assert_eq!(timer.latency(), Some(seconds(2)));
        assert_eq!(timer.deadline(), Some(open + seconds(220)));
    }

    #[test]
    fn a_timeout_longer_than_the_interval_waits_for_the_pong_and_then_pings_at_once() {
        let open = Instant::now();
        let mut timer = Timer::new(config(Some(10), Some(60)), open, SEED);
        let payload = ping(&mut timer, open + seconds(10));
        assert_eq!(timer.deadline(), Some(open + seconds(70)));
        assert_eq!(timer.due(open + seconds(69)), Due::Nothing);
        timer.pong(&payload, open + seconds(35));
        assert_eq!(timer.latency(), Some(seconds(25)));
        ping(&mut timer, open + seconds(35));
    }
}

mod latency {
    use super::*;

    #[test]
    fn the_latency_is_unknown_at_first_and_then_that_of_the_last_answer() {
        let open = Instant::now();
        let mut timer = Timer::new(config(Some(1), Some(1)), open, SEED);
        assert_eq!(timer.latency(), None);
        let payload = ping(&mut timer, open + seconds(1));
        timer.heard(open + seconds(1) + Duration::from_millis(3));
        assert_eq!(timer.latency(), None, "data is no answer");
        timer.pong(&payload, open + seconds(1) + Duration::from_millis(7));
        assert_eq!(timer.latency(), Some(Duration::from_millis(7)));
        ping(&mut timer, open + seconds(2));
        assert_eq!(timer.latency(), Some(Duration::from_millis(7)), "kept until the next");
    }

    #[test]
    fn a_clock_that_goes_backwards_gives_a_latency_of_zero_and_no_panic() {
        let open = Instant::now() + seconds(100);
        let mut timer = Timer::new(config(Some(1), Some(1)), open, SEED);
        let payload = ping(&mut timer, open + seconds(1));
        timer.heard(open - seconds(50));
        timer.pong(&payload, open);
        assert_eq!(timer.latency(), Some(Duration::ZERO));
    }
}

mod a_ping_that_waits_for_the_wire {
    use super::*;

    #[test]
    fn the_timeout_begins_when_the_ping_is_sent() {
        let open = Instant::now();
        let mut timer = Timer::new(config(Some(20), Some(10)), open, SEED);
        let payload = ping(&mut timer, open + seconds(20));
        timer.postpone(open + seconds(23));
        assert!(timer.is_waiting());
        assert_eq!(timer.deadline(), Some(open + seconds(33)));
        assert_eq!(timer.due(open + seconds(33) - NANOSECOND), Due::Nothing);
        timer.pong(&payload, open + seconds(24));
        assert_eq!(timer.latency(), Some(seconds(1)));
        assert_eq!(timer.deadline(), Some(open + seconds(43)));
    }

    #[test]
    fn an_earlier_time_of_sending_does_not_shorten_the_timeout() {
        let open = Instant::now();
        let mut timer = Timer::new(config(Some(20), Some(10)), open, SEED);
        let payload = ping(&mut timer, open + seconds(20));
        timer.postpone(open + seconds(25));
        timer.postpone(open + seconds(23));
        assert_eq!(timer.deadline(), Some(open + seconds(35)));
        timer.heard(open + seconds(28));
        timer.heard(open + seconds(27));
        assert_eq!(timer.deadline(), Some(open + seconds(38)));
        timer.pong(&payload, open + seconds(26));
        assert_eq!(timer.latency(), Some(seconds(1)));
    }

    #[test]
    fn the_peer_is_dead_if_it_stays_silent_after_the_late_ping() {
        let open = Instant::now();
        let mut timer = Timer::new(config(Some(20), Some(10)), open, SEED);
        ping(&mut timer, open + seconds(20));
        timer.postpone(open + seconds(23));
        assert_eq!(timer.due(open + seconds(33)), Due::Dead);
    }
}

/// A slow reader with megabytes of ours in front of the ping is not dead.
mod a_ping_behind_what_the_peer_has_not_read {
    use landline::proto::keepalive::PACE;

    use super::*;

    /// Makes a timer whose ping was sent at 20 s, with `position` bytes before it.
    fn pinged(position: u64) -> (Timer, Instant, [u8; 8]) {
        let open = Instant::now();
        let mut timer = Timer::new(config(Some(20), Some(10)), open, SEED);
        let payload = ping(&mut timer, open + seconds(20));
        timer.sent(open + seconds(20), position);
        (timer, open, payload)
    }

    #[test]
    fn the_peer_has_a_second_more_for_each_64_kib() {
        assert_eq!(PACE, 65_536);
        for (position, more) in [
            (0, Duration::ZERO),
            (65, Duration::ZERO),
            (PACE / 2, Duration::from_millis(500)),
            (PACE, seconds(1)),
            (4 << 20, seconds(64)),
            (16 << 20, seconds(256)),
            // Buffers are assumed to hold no more than that.
            (17 << 20, seconds(256)),
            (u64::MAX, seconds(256)),
        ] {
            let (mut timer, open, _) = pinged(position);
            let end = open + seconds(30) + more;
            assert_eq!(timer.deadline(), Some(end), "{position}");
            assert_eq!(timer.due(end - NANOSECOND), Due::Nothing, "{position}");
            assert_eq!(timer.due(end), Due::Dead, "{position}");
        }
    }

    #[test]
    fn an_answer_shows_that_all_before_the_ping_was_read() {
        let (mut timer, open, first) = pinged(4 << 20);
        timer.pong(&first, open + seconds(50));
        assert_eq!(timer.latency(), Some(seconds(30)));
        // The next ping does not wait until the peer would have been given up.
        assert_eq!(timer.deadline(), Some(open + seconds(40)));
        ping(&mut timer, open + seconds(50));
        assert_eq!(timer.deadline(), Some(open + seconds(60)));
        timer.sent(open + seconds(50), (4 << 20) + 3 * PACE);
        assert_eq!(timer.deadline(), Some(open + seconds(63)));
        assert_eq!(timer.due(open + seconds(63)), Due::Dead);
    }

    #[test]
    fn bytes_before_an_unanswered_ping_still_count_for_the_next() {
        let open = Instant::now();
        let mut timer = Timer::new(config(Some(20), None), open, SEED);
        ping(&mut timer, open + seconds(20));
        timer.sent(open + seconds(20), PACE);
        let second = ping(&mut timer, open + seconds(40));
        timer.sent(open + seconds(40), 2 * PACE);
        timer.pong(&second, open + seconds(41));
        assert_eq!(timer.latency(), Some(seconds(1)));
        assert_eq!(timer.deadline(), Some(open + seconds(60)), "never dead");
    }

    #[test]
    fn the_peer_is_heard_and_has_the_longer_of_the_two_times() {
        let (mut timer, open, _) = pinged(5 * PACE);
        timer.heard(open + seconds(21));
        assert_eq!(timer.deadline(), Some(open + seconds(35)), "it may be reading still");
        timer.heard(open + seconds(29));
        assert_eq!(timer.deadline(), Some(open + seconds(39)));
        assert_eq!(timer.due(open + seconds(39)), Due::Dead);
    }

    #[test]
    fn the_ping_waits_on_this_side_before_it_is_sent() {
        let open = Instant::now();
        let mut timer = Timer::new(config(Some(20), Some(10)), open, SEED);
        ping(&mut timer, open + seconds(20));
        timer.postpone(open + seconds(26));
        timer.sent(open + seconds(25), 2 * PACE);
        // The peer has 2 s to read from 25 s on, which ends after 26 s. The timeout is 10 s.
        assert_eq!(timer.deadline(), Some(open + seconds(37)));
    }

    #[test]
    fn a_position_that_goes_backwards_takes_nothing_away() {
        let (mut timer, open, first) = pinged(4 << 20);
        timer.pong(&first, open + seconds(21));
        ping(&mut timer, open + seconds(40));
        timer.sent(open + seconds(40), 0);
        assert_eq!(timer.deadline(), Some(open + seconds(50)));
    }
}
