//! A bar for a transfer that takes long.

use std::time::{Duration, Instant};

use crate::duration;
use crate::notes::Notes;

/// Shows how far a transfer is, once it has taken a while.
pub(crate) struct Progress<'a> {
    notes: &'a Notes,
    verb: &'static str,
    done: u64,
    total: u64,
    /// The time at which the bar is drawn next.
    next: Instant,
    drawn: bool,
}

/// A shorter transfer has no bar.
const FIRST_AFTER: Duration = Duration::from_secs(1);
const INTERVAL: Duration = Duration::from_millis(200);
/// Above a prompt each bar is a line of its own.
const LINES: Duration = Duration::from_secs(2);

impl<'a> Progress<'a> {
    pub(crate) fn new(notes: &'a Notes, verb: &'static str, total: u64) -> Self {
        Self { notes, verb, done: 0, total, next: Instant::now() + FIRST_AFTER, drawn: false }
    }

    /// Counts bytes that are through.
    pub(crate) fn advance(&mut self, bytes: usize) {
        self.done += bytes as u64;
        let now = Instant::now();
        if now < self.next {
            return;
        }
        let bar = bar(self.verb, self.done, self.total);
        if self.notes.has_prompt() {
            self.next = now + LINES;
            self.notes.info(&bar);
        } else {
            self.next = now + INTERVAL;
            self.drawn |= self.notes.bar(&bar);
        }
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        if self.drawn {
            self.notes.bar("");
        }
    }
}

fn bar(verb: &str, done: u64, total: u64) -> String {
    const WIDTH: u64 = 30;
    let filled = usize::try_from(done.min(total) * WIDTH / total.max(1)).unwrap_or_default();
    format!(
        "[{:<30}] {verb} {} of {}",
        "#".repeat(filled),
        duration::size(done),
        duration::size(total)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_fills() {
        assert_eq!(bar("sent", 0, 10), format!("[{:<30}] sent 0 bytes of 10 bytes", ""));
        assert!(bar("sent", 5, 10).starts_with(&format!("[{:<30}]", "#".repeat(15))));
        assert!(bar("sent", 20, 10).starts_with(&format!("[{}]", "#".repeat(30))));
        assert!(bar("sent", 0, 0).starts_with("[ "));
    }
}
