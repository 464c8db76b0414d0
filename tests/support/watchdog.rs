//! How long a test and its parts may take; and threads whose panics reach the test.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How long a test may take before it counts as hanging.
pub const LIMIT: Duration = Duration::from_secs(20);
/// What should take no time at all, on a machine that does other things too.
pub const PROMPT: Duration = Duration::from_secs(2);
/// A timeout that is to pass.
pub const SHORT: Duration = Duration::from_millis(150);

/// Runs `body`, and panics with the test's name if it does not end.
pub fn watchdog<T: Send + 'static>(
    limit: Duration,
    body: impl FnOnce() -> T + Send + 'static,
) -> T {
    let name = thread::current().name().unwrap_or("the test").to_owned();
    let (sender, receiver) = channel();
    let thread = thread::Builder::new().name(name.clone());
    let running = thread.spawn(move || {
        let _ = sender.send(catch_unwind(AssertUnwindSafe(body)));
    });
    match receiver.recv_timeout(limit) {
        Ok(Ok(value)) => value,
        Ok(Err(panic)) => resume_unwind(panic),
        Err(RecvTimeoutError::Timeout) => panic!("{name} hangs: not over after {limit:?}"),
        Err(RecvTimeoutError::Disconnected) => panic!("{name}: {:?}", running.unwrap().join()),
    }
}

/// Does something that must take at least `least` and at most `PROMPT` longer.
pub fn takes<T>(least: Duration, action: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let value = action();
    let took = start.elapsed();
    // Timers of the system may be a little early.
    assert!(took + Duration::from_millis(15) >= least, "took {took:?}, less than {least:?}");
    assert!(took <= least + PROMPT, "took {took:?}, not {least:?}");
    value
}

/// Does something that must not take longer.
pub fn takes_at_most<T>(most: Duration, action: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let value = action();
    let took = start.elapsed();
    assert!(took <= most, "took {took:?}, more than {most:?}");
    value
}

/// Does something that must not wait.
pub fn promptly<T>(action: impl FnOnce() -> T) -> T {
    takes(Duration::ZERO, action)
}

/// A thread whose panics come out at the join.
pub fn spawn<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> Joined<T> {
    Joined(thread::spawn(body))
}

pub struct Joined<T>(JoinHandle<T>);

impl<T> Joined<T> {
    pub fn join(self) -> T {
        self.0.join().unwrap_or_else(|panic: Box<dyn Any + Send>| resume_unwind(panic))
    }

    pub fn is_finished(&self) -> bool {
        self.0.is_finished()
    }
}
