//! An allocator that counts the bytes that each thread allocates. It needs `unsafe`, which landline
//! forbids itself and its tests, so it is in a crate of its own.
//!
//! Only the thread that measures is counted, because landline does all its work on the caller's
//! thread. So the scripted peers, which run in threads of their own, do not count.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicIsize, Ordering};

/// Counts what the calling thread allocated during a call of [`measure`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Used {
    /// The most bytes that were alive at once, beyond those at the beginning.
    pub peak: usize,
    /// The bytes that are still alive. Negative if older ones were freed.
    pub left: isize,
    /// The bytes of all allocations together. An allocation that grew counts by its growth.
    pub total: usize,
    /// The number of allocations that were made or changed their size.
    pub calls: usize,
}

/// Calls `action`, and returns its result and what it allocated.
pub fn measure<T>(action: impl FnOnce() -> T) -> (T, Used) {
    let before = COUNTS.get();
    COUNTS.set(Counts { peak: before.live, ..before });
    let value = action();
    let after = COUNTS.get();
    COUNTS.set(Counts { peak: after.peak.max(before.peak), ..after });
    let used = Used {
        peak: after.peak.abs_diff(before.live),
        left: after.live - before.live,
        total: after.total - before.total,
        calls: after.calls - before.calls,
    };
    (value, used)
}

/// Returns the number of bytes that the calling thread has allocated and not freed.
pub fn live() -> isize {
    COUNTS.get().live
}

/// Returns the number of bytes that are alive in the whole process.
pub fn live_everywhere() -> isize {
    EVERYWHERE.load(Ordering::SeqCst)
}

#[derive(Clone, Copy)]
struct Counts {
    live: isize,
    peak: isize,
    total: usize,
    calls: usize,
}

thread_local! {
    static COUNTS: Cell<Counts> =
        const { Cell::new(Counts { live: 0, peak: 0, total: 0, calls: 0 }) };
}

static EVERYWHERE: AtomicIsize = AtomicIsize::new(0);

struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

fn count(change: isize, calls: usize) {
    EVERYWHERE.fetch_add(change, Ordering::SeqCst);
    // A thread that ends has no counts any more.
    let _ = COUNTS.try_with(|counts| {
        let Counts { live, peak, total, calls: before } = counts.get();
        let live = live + change;
        let total = total + usize::try_from(change).unwrap_or(0);
        counts.set(Counts { live, peak: peak.max(live), total, calls: before + calls });
    });
}

// SAFETY: each call goes to the system's allocator. Counting neither allocates nor panics, because
// the size of a layout fits into an `isize`, and the counters hold nothing that is dropped.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size().cast_signed(), 1);
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-layout.size().cast_signed(), 0);
        // SAFETY: the caller keeps the contract.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size().cast_signed(), 1);
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(new_size.cast_signed() - layout.size().cast_signed(), 1);
        // SAFETY: the caller keeps the contract.
        unsafe { System.realloc(pointer, layout, new_size) }
    }
}

#[test]
fn allocated_and_freed_bytes_are_counted() {
    let (kept, used) = measure(|| {
        let kept = vec![1_u8; 1000];
        drop(vec![0_u8; 5000]);
        let mut grown: Vec<u8> = Vec::with_capacity(100);
        grown.reserve_exact(300);
        kept
    });
    assert_eq!(used, Used { peak: 6000, left: 1000, total: 6300, calls: 4 });
    assert_eq!(measure(|| drop(kept)).1, Used { peak: 0, left: -1000, total: 0, calls: 0 });
    let other = std::thread::spawn(|| measure(|| vec![0_u8; 1 << 20]).1.peak);
    let (peak, used) = measure(|| other.join().unwrap());
    assert_eq!(peak, 1 << 20);
    assert!(used.peak < 1000, "{used:?}");
}
