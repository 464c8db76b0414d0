//! Limits of the time of a test and its parts, and threads whose panics reach the test.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The factor by which anything may take longer than usual. An emulated processor is slow, and
/// under Wine a thread, a process and a socket take much longer than elsewhere.
pub const SLOWNESS: u32 = match option_env!("LANDLINE_TESTS_EMULATED") {
    Some(_) => 5,
    None if cfg!(windows) => 3,
    None => 1,
};
/// The limit of the time of a test, after which it counts as hanging.
pub const LIMIT: Duration = Duration::from_secs(20 * SLOWNESS as u64);
/// The limit for what should take no time, on a machine that is busy with other things.
pub const PROMPT: Duration = Duration::from_secs(2 * SLOWNESS as u64);
/// The limit for waking a thread, on a machine that is busy with other things. A thread that sends
/// looks after a second by itself whether the connection is over.
const AWAKE: Duration = match option_env!("LANDLINE_TESTS_EMULATED") {
    Some(_) => Duration::from_secs(3),
    None => Duration::from_millis(900),
};
/// A timeout that is meant to pass.
pub const SHORT: Duration = Duration::from_millis(150);
/// A timeout of opening that is meant to pass in its last phase, in many threads at once.
pub const SHORT_OPENING: Duration = Duration::from_secs(if SLOWNESS > 1 { 2 } else { 1 });

/// Runs `body`, and panics with the name of the test if `body` does not end within `limit`.
pub fn watchdog<T: Send + 'static>(
    limit: Duration,
    body: impl FnOnce() -> T + Send + 'static,
) -> T {
    watch(limit, Box::new(body))
}

/// The work of a thread. It is boxed, so that `thread::spawn` is compiled once for each `T` and not
/// once for each closure, which would be half of all that is compiled.
type Work<T> = Box<dyn FnOnce() -> T + Send>;

fn watch<T: Send + 'static>(limit: Duration, body: Work<T>) -> T {
    let name = thread::current().name().unwrap_or("the test").to_owned();
    let (sender, receiver) = channel();
    let thread = thread::Builder::new().name(name.clone());
    let work: Work<()> = Box::new(move || {
        let _ = sender.send(catch_unwind(AssertUnwindSafe(body)));
    });
    let running = thread.spawn(work);
    match receiver.recv_timeout(limit) {
        Ok(Ok(value)) => value,
        Ok(Err(panic)) => resume_unwind(panic),
        Err(RecvTimeoutError::Timeout) => panic!("{name} hangs: not over after {limit:?}"),
        Err(RecvTimeoutError::Disconnected) => panic!("{name}: {:?}", running.unwrap().join()),
    }
}

/// Calls `action`, which must take at least `least`, and at most [`PROMPT`] longer.
pub fn takes<T>(least: Duration, action: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let value = action();
    check_time(start.elapsed(), least);
    value
}

fn check_time(took: Duration, least: Duration) {
    // The system's timers may be a little early.
    assert!(took + Duration::from_millis(15) >= least, "took {took:?}, less than {least:?}");
    assert!(took <= least + PROMPT, "took {took:?}, not {least:?}");
}

/// Calls `action`, which must take at most `most`, or as much longer as [`SLOWNESS`] says.
pub fn takes_at_most<T>(most: Duration, action: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let value = action();
    let took = start.elapsed();
    assert!(took <= most * SLOWNESS, "took {took:?}, more than {most:?}");
    value
}

/// Calls `action`, which waits for a thread that was woken just now, and prints the time.
pub fn at_once<T>(action: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let value = action();
    let took = start.elapsed();
    println!("woken after {took:?}");
    assert!(took <= AWAKE, "woken after {took:?}");
    value
}

/// Calls `action`, which must not wait.
pub fn promptly<T>(action: impl FnOnce() -> T) -> T {
    takes(Duration::ZERO, action)
}

/// Starts a thread. [`Joined::join`] passes on its panic.
pub fn spawn<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> Joined<T> {
    let work: Work<T> = Box::new(body);
    Joined(thread::spawn(work))
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
