//! Locks, atomics and the clock for all that threads share: those of `std`, or those of a model
//! checker, which runs the threads in many orders (`src/websocket/model/`).

#[cfg(all(test, any(loom, shuttle)))]
mod model;
mod mutex;
mod numbers;

#[cfg(all(test, any(loom, shuttle)))]
use model as imp;
#[cfg(not(all(test, any(loom, shuttle))))]
use real as imp;

pub(crate) use imp::{AtomicBool, AtomicUsize, OnceLock, now, panicking, sleep, yield_now};
/// A mutex that is poisoned by a thread that panics while it holds the lock.
pub(crate) use imp::{Mutex as PoisonMutex, MutexGuard};
pub(crate) use mutex::{Condvar, Mutex};
pub(crate) use numbers::Numbers;

#[cfg(not(all(test, any(loom, shuttle))))]
mod real {
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicUsize};
    pub(crate) use std::sync::{Condvar, Mutex, MutexGuard, OnceLock};
    pub(crate) use std::thread::{panicking, sleep, yield_now};

    use std::time::Instant;

    /// Returns the current time.
    pub(crate) fn now() -> Instant {
        Instant::now()
    }
}
