//! Locks, atomics and the clock: those of `std`, or of a model checker, which runs the threads in
//! every order (`src/websocket/model/`). Whatever is shared between the halves of a connection uses these.

#[cfg(all(test, any(loom, shuttle)))]
mod model;

#[cfg(all(test, any(loom, shuttle)))]
pub(crate) use model::*;
#[cfg(not(all(test, any(loom, shuttle))))]
pub(crate) use real::*;

#[cfg(not(all(test, any(loom, shuttle))))]
mod real {
    pub(crate) use std::sync::atomic::AtomicBool;
    pub(crate) use std::sync::{Condvar, Mutex, MutexGuard, OnceLock};
    pub(crate) use std::thread::{panicking, yield_now};

    use std::time::Instant;

    /// What time it is.
    pub(crate) fn now() -> Instant {
        Instant::now()
    }
}
