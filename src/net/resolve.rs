//! Name lookup in a few threads: a lookup of the system can be neither bounded nor stopped, so
//! whoever waits for one leaves it behind when the time is over.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;

/// More lookups at a time wait for their turn: with a resolver that never answers, retries must
/// not leave a thread behind each.
const MAX_THREADS: usize = 4;

/// The lookups of the whole process that have not begun, and the threads that work them off. A
/// thread ends when there is nothing to do.
static POOL: Mutex<Pool> = Mutex::new(Pool { waiting: VecDeque::new(), threads: 0 });

struct Pool {
    waiting: VecDeque<Lookup>,
    threads: usize,
}

struct Lookup {
    run: Box<dyn FnOnce() + Send>,
    /// Gone when nobody waits for it any more.
    wanted: Weak<()>,
}

/// Runs a lookup in one of the threads, unless what is returned is dropped before its turn comes.
pub(crate) fn submit(run: impl FnOnce() + Send + 'static) -> io::Result<Arc<()>> {
    let ticket = Arc::new(());
    let mut pool = lock();
    pool.waiting.push_back(Lookup { run: Box::new(run), wanted: Arc::downgrade(&ticket) });
    if pool.threads < MAX_THREADS {
        let builder = thread::Builder::new().name("landline-resolve".into());
        match builder.spawn(work) {
            Ok(_) => pool.threads += 1,
            // One of the others will come to it.
            Err(_) if pool.threads > 0 => {}
            Err(error) => {
                pool.waiting.pop_back();
                return Err(error);
            }
        }
    }
    Ok(ticket)
}

fn work() {
    while let Some(run) = next() {
        run();
    }
}

/// The next lookup that somebody still waits for; if there is none, the thread is counted out.
fn next() -> Option<Box<dyn FnOnce() + Send>> {
    let mut pool = lock();
    while let Some(lookup) = pool.waiting.pop_front() {
        if lookup.wanted.strong_count() > 0 {
            return Some(lookup.run);
        }
    }
    pool.threads -= 1;
    None
}

/// Nothing runs under this lock that could panic half-way.
fn lock() -> MutexGuard<'static, Pool> {
    POOL.lock().unwrap_or_else(PoisonError::into_inner)
}
