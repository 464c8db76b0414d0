//! Locks, atomics and the clock: whatever the halves of a connection share uses these.

pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64};
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard, OnceLock};
pub(crate) use std::thread::yield_now;

use std::time::Instant;

/// What time it is.
pub(crate) fn now() -> Instant {
    Instant::now()
}
