//! The pace of an outbox: at most a number of messages in any window of time. Time is an argument.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Keeps a pace. Any `length` of time has at most `most` messages, wherever it begins.
#[derive(Debug)]
pub(crate) struct Window {
    most: usize,
    length: Duration,
    /// The moments of the last messages, at most `most`, the oldest first. None is older than
    /// `length`.
    sent: VecDeque<Instant>,
}

/// Says when the next message may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    Now,
    At(Instant),
    Never,
}

impl Window {
    pub(crate) fn new(most: usize, length: Duration) -> Self {
        Self { most, length, sent: VecDeque::new() }
    }

    /// Notes that the system took `count` messages, the last of them at `now`. They count even if
    /// there was no room for them.
    pub(crate) fn note(&mut self, count: usize, now: Instant) {
        // Two connections may tell about their messages in another order.
        let now = self.sent.back().map_or(now, |&last| now.max(last));
        self.forget(now);
        let count = if self.length.is_zero() { 0 } else { count.min(self.most) };
        self.sent.extend(std::iter::repeat_n(now, count));
        let surplus = self.sent.len().saturating_sub(self.most);
        self.sent.drain(..surplus);
    }

    /// Returns when the next message may be sent.
    pub(crate) fn room(&mut self, now: Instant) -> Room {
        self.forget(now);
        match self.sent.front() {
            _ if self.most == 0 => Room::Never,
            Some(&oldest) if self.sent.len() >= self.most => {
                oldest.checked_add(self.length).map_or(Room::Never, Room::At)
            }
            _ => Room::Now,
        }
    }

    /// Forgets the messages that are too old to matter.
    fn forget(&mut self, now: Instant) {
        let old = |&sent: &Instant| now.saturating_duration_since(sent) >= self.length;
        let count = self.sent.iter().take_while(|sent| old(sent)).count();
        self.sent.drain(..count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// Sends a message at the first moment from `now` on that has room, and returns that moment.
    fn send(window: &mut Window, now: Instant) -> Instant {
        let at = match window.room(now) {
            Room::Now => now,
            Room::At(at) => at,
            Room::Never => panic!("there is never room"),
        };
        assert_eq!(window.room(at), Room::Now, "there is room when it was said");
        window.note(1, at);
        at
    }

    /// Fails if any window of `length`, wherever it begins, has more than `most` of the moments.
    fn check(sent: &[Instant], most: usize, length: Duration) {
        assert!(sent.windows(most + 1).all(|some| some[most] - some[0] >= length), "{sent:?}");
    }

    #[test]
    fn a_burst_fills_the_window_and_the_next_message_waits_for_its_end() {
        let start = Instant::now();
        let mut window = Window::new(3, SECOND);
        let mut now = start;
        let mut sent = Vec::new();
        for _ in 0..7 {
            now = send(&mut window, now);
            sent.push((now - start).as_secs());
        }
        assert_eq!(sent, [0, 0, 0, 1, 1, 1, 2]);
    }

    #[test]
    fn the_window_slides() {
        let start = Instant::now();
        let mut window = Window::new(2, SECOND);
        assert_eq!(send(&mut window, start), start);
        assert_eq!(send(&mut window, start + ms(900)), start + ms(900));
        // A window that jumped at each full second would allow two messages at once here.
        assert_eq!(send(&mut window, start + ms(1000)), start + ms(1000));
        assert_eq!(window.room(start + ms(1000)), Room::At(start + ms(1900)));
        assert_eq!(window.room(start + ms(1899)), Room::At(start + ms(1900)));
        assert_eq!(window.room(start + ms(1900)), Room::Now);
    }

    #[test]
    fn no_window_has_more_messages_whenever_they_come() {
        for most in [1, 2, 5, 17] {
            let mut random: u64 = 0x9e37_79b9_7f4a_7c15;
            let mut window = Window::new(most, SECOND);
            let mut now = Instant::now();
            let mut sent = Vec::new();
            for _ in 0..2000 {
                // Xorshift: pauses of up to 400 ms, and many of none.
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                now += ms(if random % 3 == 0 { random / 3 % 400 } else { 0 });
                now = send(&mut window, now);
                sent.push(now);
            }
            check(&sent, most, SECOND);
            assert!(window.sent.len() <= most);
        }
    }

    #[test]
    fn what_is_sent_without_room_counts_and_delays_what_waits_for_room() {
        let start = Instant::now();
        let mut window = Window::new(2, SECOND);
        window.note(1, start);
        window.note(1, start + ms(100));
        window.note(1, start + ms(200)); // A pong, which does not wait.
        assert_eq!(window.room(start + ms(300)), Room::At(start + ms(1100)));
        window.note(5, start + ms(400));
        assert_eq!(window.room(start + ms(500)), Room::At(start + ms(1400)));
        assert_eq!(window.sent.len(), 2);
    }

    #[test]
    fn a_moment_that_comes_late_counts_as_the_last_one() {
        let start = Instant::now();
        let mut window = Window::new(2, SECOND);
        window.note(1, start + ms(500));
        window.note(1, start);
        assert_eq!(window.room(start + ms(600)), Room::At(start + ms(1500)));
    }

    #[test]
    fn zero_messages_are_never_sent() {
        let now = Instant::now();
        for length in [Duration::ZERO, SECOND, Duration::MAX] {
            let mut window = Window::new(0, length);
            assert_eq!(window.room(now), Room::Never);
            window.note(3, now);
            assert_eq!(window.room(now + SECOND), Room::Never);
            assert!(window.sent.is_empty());
        }
    }

    #[test]
    fn a_window_of_no_time_limits_nothing() {
        let now = Instant::now();
        let mut window = Window::new(1, Duration::ZERO);
        for _ in 0..100 {
            assert_eq!(window.room(now), Room::Now);
            window.note(1, now);
        }
        assert!(window.sent.is_empty(), "it takes no memory");
    }

    #[test]
    fn a_window_without_end_gives_room_once() {
        let now = Instant::now();
        let mut window = Window::new(1, Duration::MAX);
        assert_eq!(window.room(now), Room::Now);
        window.note(1, now);
        assert_eq!(window.room(now + SECOND), Room::Never);
    }

    #[test]
    fn a_large_pace_takes_memory_only_for_what_was_sent_within_the_window() {
        let mut now = Instant::now();
        let mut window = Window::new(usize::MAX, SECOND);
        for _ in 0..1000 {
            now += ms(100);
            assert_eq!(window.room(now), Room::Now);
            window.note(1, now);
            assert!(window.sent.len() <= 10);
        }
    }
}
