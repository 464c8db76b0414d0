//! Times each call of the API. None may hang.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// The longest bound of any call: `Bounds::generous().write`, and the same again until the other
/// sender is done.
const LONGEST: Duration = Duration::from_secs(60);

/// Holds the calls that are running, and how late the late ones were.
#[derive(Default)]
pub struct Watch {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    next: u64,
    running: BTreeMap<u64, Call>,
    late: BTreeMap<&'static str, Duration>,
}

struct Call {
    what: &'static str,
    session: String,
    since: Instant,
}

impl Watch {
    /// Runs one call. `bound` is what the API promises, `None` if it depends on the peer.
    pub fn call<T>(
        &self,
        what: &'static str,
        session: &str,
        bound: Option<Duration>,
        call: impl FnOnce() -> T,
    ) -> T {
        let since = Instant::now();
        let mut inner = self.inner();
        let id = inner.next;
        inner.next += 1;
        inner.running.insert(id, Call { what, session: session.to_owned(), since });
        drop(inner);
        let done = call();
        self.inner().running.remove(&id);
        if let Some(bound) = bound {
            self.late(what, since.elapsed().saturating_sub(bound));
        }
        done
    }

    /// Records that a call was late by `late`.
    pub fn late(&self, what: &'static str, late: Duration) {
        let mut inner = self.inner();
        let worst = inner.late.entry(what).or_default();
        *worst = late.max(*worst);
    }

    /// Returns the call that was latest, and how late it was.
    pub fn latest(&self) -> (&'static str, Duration) {
        let inner = self.inner();
        let latest = inner.late.iter().max_by_key(|(_, late)| **late);
        latest.map_or(("nothing", Duration::ZERO), |(what, late)| (what, *late))
    }

    /// Ends the process when a call takes more than twice the longest bound, and prints its name.
    pub fn guard(&self) -> ! {
        loop {
            thread::sleep(Duration::from_secs(1));
            let inner = self.inner();
            let hung = inner.running.values().filter(|call| call.since.elapsed() > 2 * LONGEST);
            let hung: Vec<_> = hung.collect();
            for call in &hung {
                eprintln!("hung: {} for {:?} in {}", call.what, call.since.elapsed(), call.session);
            }
            if !hung.is_empty() {
                std::process::exit(3);
            }
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
