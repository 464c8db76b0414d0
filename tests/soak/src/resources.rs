//! Asks the kernel (Linux) what this process uses.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use crate::HEAP;

/// The limit of the growth of the heap, in bytes. TLS keeps tickets, and the tally has entries.
const HEAP_TOLERANCE: usize = 1 << 20;
/// The limit of the growth of resident memory, in bytes. The allocator never frees all its pages.
const RESIDENT_TOLERANCE: u64 = 64 << 20;

#[derive(Clone, Copy, Debug, Default)]
pub struct Resources {
    /// The number of live bytes of the heap.
    pub heap: usize,
    /// The number of bytes of resident memory.
    pub resident: u64,
    pub files: usize,
    pub threads: usize,
}

impl Resources {
    pub fn now() -> Self {
        let count = |folder| fs::read_dir(folder).map_or(0, Iterator::count);
        Self {
            heap: HEAP.allocated(),
            resident: status("VmRSS:") * 1024,
            files: count("/proc/self/fd"),
            threads: count("/proc/self/task"),
        }
    }

    /// Returns what is used when all is over. Waits for the kernel, which takes a moment to end
    /// threads, until no more is used than `before`.
    pub fn settled(before: Self) -> Self {
        let deadline = Instant::now() + Duration::from_secs(5);
        loop {
            let now = Self::now();
            if now.is_back_to(before) || Instant::now() > deadline {
                return now;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn is_back_to(self, before: Self) -> bool {
        self.files <= before.files
            && self.threads <= before.threads
            && self.heap <= before.heap + HEAP_TOLERANCE
            && self.resident <= before.resident + RESIDENT_TOLERANCE
    }

    /// Returns the most bytes that were ever resident.
    pub fn peak() -> u64 {
        status("VmHWM:") * 1024
    }
}

/// Returns a number of `/proc/self/status`.
fn status(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}
