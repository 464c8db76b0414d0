//! Calls of the system that can be neither bounded nor stopped, in a few threads: whoever waits for
//! one leaves it behind when the time is over.

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;

/// More calls to the same wait for their turn: with one that never answers, retries must not leave
/// a thread behind each.
const MAX_THREADS: usize = 4;

/// Whom a call waits for. What is stuck with one does not hold up the others.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum To {
    /// Who looks up names.
    Resolver,
    /// The server of a Unix socket.
    #[cfg_attr(not(unix), allow(dead_code))]
    Unix(PathBuf),
}

/// The calls of the whole process that have not begun, and the threads that work them off. A
/// thread ends when there is nothing to do.
static POOL: Mutex<Pool> = Mutex::new(Pool { waiting: VecDeque::new(), threads: Vec::new() });

struct Pool {
    waiting: VecDeque<Call>,
    threads: Vec<To>,
}

struct Call {
    to: To,
    run: Box<dyn FnOnce() + Send>,
    /// Gone when nobody waits for it any more.
    wanted: Weak<()>,
}

impl Call {
    fn is_wanted(&self) -> bool {
        self.wanted.strong_count() > 0
    }
}

/// Runs a call in one of the threads, unless what is returned is dropped before its turn comes.
pub(crate) fn submit(to: To, run: impl FnOnce() + Send + 'static) -> io::Result<Arc<()>> {
    let ticket = Arc::new(());
    let _left: VecDeque<_>; // Dropped after the lock: the resolver may be the caller's.
    let mut pool = lock();
    // While all threads are stuck, nobody else takes out what is not wanted any more.
    (pool.waiting, _left) = mem::take(&mut pool.waiting).into_iter().partition(Call::is_wanted);
    let wanted = Arc::downgrade(&ticket);
    pool.waiting.push_back(Call { to: to.clone(), run: Box::new(run), wanted });
    let threads = pool.threads.iter().filter(|&thread| *thread == to).count();
    if threads < MAX_THREADS {
        let name = if to == To::Resolver { "landline-resolve" } else { "landline-connect" };
        let theirs = to.clone();
        match thread::Builder::new().name(name.into()).spawn(move || work(&theirs)) {
            Ok(_) => pool.threads.push(to),
            // One of the others will come to it.
            Err(_) if threads > 0 => {}
            Err(error) => {
                pool.waiting.pop_back();
                return Err(error);
            }
        }
    }
    Ok(ticket)
}

fn work(to: &To) {
    while let Some(call) = next(to) {
        if call.is_wanted() {
            (call.run)();
        }
    }
}

/// The next call; if there is none, the thread is counted out.
fn next(to: &To) -> Option<Call> {
    let mut pool = lock();
    let at = pool.waiting.iter().position(|call| call.to == *to);
    let call = at.and_then(|at| pool.waiting.remove(at));
    if call.is_none() {
        let thread = pool.threads.iter().position(|thread| thread == to);
        thread.map(|thread| pool.threads.swap_remove(thread));
    }
    call
}

/// Nothing runs under this lock that could panic half-way.
fn lock() -> MutexGuard<'static, Pool> {
    POOL.lock().unwrap_or_else(PoisonError::into_inner)
}
