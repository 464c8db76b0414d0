//! Name lookup in a few threads: a lookup of the system can be neither bounded nor stopped, so
//! whoever waits for one leaves it behind when the time is over.

use std::collections::VecDeque;
use std::io;
use std::mem;
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

impl Lookup {
    fn is_wanted(&self) -> bool {
        self.wanted.strong_count() > 0
    }
}

/// Runs a lookup in one of the threads, unless what is returned is dropped before its turn comes.
pub(crate) fn submit(run: impl FnOnce() + Send + 'static) -> io::Result<Arc<()>> {
    let ticket = Arc::new(());
    let _left: VecDeque<_>; // Dropped after the lock: the resolver may be the caller's.
    let mut pool = lock();
    // While all threads are stuck, nobody else takes out what is not wanted any more.
    (pool.waiting, _left) = mem::take(&mut pool.waiting).into_iter().partition(Lookup::is_wanted);
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
    while let Some(lookup) = next() {
        if lookup.is_wanted() {
            (lookup.run)();
        }
    }
}

/// The next lookup; if there is none, the thread is counted out.
fn next() -> Option<Lookup> {
    let mut pool = lock();
    let lookup = pool.waiting.pop_front();
    if lookup.is_none() {
        pool.threads -= 1;
    }
    lookup
}

/// Nothing runs under this lock that could panic half-way.
fn lock() -> MutexGuard<'static, Pool> {
    POOL.lock().unwrap_or_else(PoisonError::into_inner)
}
