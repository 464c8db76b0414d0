//! Makes system calls that can be neither bounded nor stopped, each in a thread of its own. When
//! the time of a caller is over, it goes on without the answer.
//!
//! Equal calls form a group: the lookups of one name by one resolver, or the connects to one Unix
//! socket. A group that is stuck does not delay the others.

use std::io;
use std::mem;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::abort::AbortHandle;
use super::deadline::Deadline;
use super::mailbox::{Mailbox, Slot};
use crate::error::{Error, Timeout};

/// The most threads of one pool. Beyond that a call waits until another one returns. A thread that
/// is stuck takes a few pages of memory only, but its stack of 2 MiB must fit into the address
/// space of a 32-bit process.
const MAX_THREADS: usize = 256;
/// A group whose n calls are all stuck gets one more call when the last of them began 2^n times
/// this long ago and a caller that came after it still waits. So one lost answer does not block a
/// name for ever, and the number of threads grows only with the logarithm of the time.
const STUCK_AFTER: Duration = Duration::from_secs(5);

/// A system call that may block for ever. Equal calls are in one group.
pub(crate) trait Call: Clone + PartialEq + Send + 'static {
    /// The result of the call.
    type Answer: Send + 'static;

    /// The callers that an answer is for.
    const SERVES: Serves<Self::Answer>;
    /// The name of the threads.
    const THREAD: &'static str;
    /// The constant of this name. A test has a shorter time.
    const STUCK_AFTER: Duration = STUCK_AFTER;

    /// Makes the call, which may block. It must not panic.
    fn run(&self) -> Self::Answer;
}

/// The callers of a group that one answer is for.
pub(crate) enum Serves<A> {
    /// All of them: they share one call, and get copies of its answer.
    All(fn(&A) -> A),
    /// One of them: there is a call for each, and each takes the first answer that comes.
    #[cfg_attr(not(unix), allow(dead_code))]
    One,
}

impl<A> Serves<A> {
    /// Returns how many calls of a group run at once while none of them is stuck.
    fn at_once(&self) -> usize {
        match self {
            Self::All(_) => 1,
            Self::One => 4,
        }
    }
}

/// All calls of one type in the process. A thread ends when it has nothing to do.
pub(crate) struct Pool<C: Call> {
    /// The process whose threads these are; 0 until the first call.
    process: AtomicU32,
    /// The group whose last call began longest ago comes first. The lock is that of `std`, because
    /// a pool is a static, and a model checker makes no lock at compile time.
    groups: Mutex<Vec<Group<C>>>,
    /// The pool of a child process that `fork` made. The child lacks the threads of this pool, and
    /// the lock may be held for ever there.
    of_child: OnceLock<Box<Self>>,
}

struct Group<C: Call> {
    call: C,
    /// The times at which the running calls began.
    running: Vec<Instant>,
    waiting: Vec<Waiter<C::Answer>>,
}

struct Waiter<A> {
    slot: Slot<A>,
    /// A call has begun since this caller waits.
    is_begun: bool,
}

impl<C: Call> Pool<C> {
    pub(crate) const fn new() -> Self {
        Self {
            process: AtomicU32::new(0),
            groups: Mutex::new(Vec::new()),
            of_child: OnceLock::new(),
        }
    }

    /// Makes a call, or shares one that is running, and waits for the answer until the deadline or
    /// an abort.
    pub(crate) fn call(
        &'static self,
        call: C,
        deadline: Deadline,
        abort: &AbortHandle,
        phase: Timeout,
    ) -> Result<C::Answer, Error> {
        let mailbox = Mailbox::new(abort);
        // Only Unix has `fork`. A system without processes panics when it is asked for one.
        let process = if cfg!(unix) { std::process::id() } else { 1 };
        let pool = self.of_process(process);
        let mut slot = Some(mailbox.slot());
        loop {
            let ask_again = pool.submit(&call, slot.take()).map_err(Error::Io)?;
            match mailbox.wait(deadline.min(Deadline::at(ask_again)), phase) {
                Err(Error::Timeout(_)) if !deadline.is_past() => {} // The calls are stuck.
                answer => return answer,
            }
        }
    }

    fn of_process(&'static self, process: u32) -> &'static Self {
        let mut pool = self;
        loop {
            let (seen, owned) = (Ordering::Relaxed, Ordering::Relaxed);
            match pool.process.compare_exchange(0, process, seen, owned) {
                Ok(_) => return pool,
                Err(owner) if owner == process => return pool,
                Err(_) => pool = pool.of_child.get_or_init(|| Box::new(Self::new())),
            }
        }
    }

    /// Begins a call if it is time for one. A caller brings its slot when it asks for the first
    /// time. Returns when to ask again; `None` is never.
    fn submit(
        &'static self,
        call: &C,
        slot: Option<Slot<C::Answer>>,
    ) -> io::Result<Option<Instant>> {
        let mut unused = Unused::new();
        let mut groups = self.lock();
        unused.take_from(&mut groups);
        let threads: usize = groups.iter().map(|group| group.running.len()).sum();
        let is_new = slot.is_some();
        let mut at = groups.iter().position(|group| group.call == *call);
        if let Some(slot) = slot {
            let at = *at.get_or_insert_with(|| {
                let call = call.clone();
                groups.push(Group { call, running: Vec::new(), waiting: Vec::new() });
                groups.len() - 1
            });
            groups[at].waiting.push(Waiter { slot, is_begun: false });
        }
        // If the group is gone, the answer is on its way.
        let Some(group) = at.map(|at| &mut groups[at]) else { return Ok(None) };
        let now = Instant::now();
        if threads < MAX_THREADS && group.is_due(now) {
            let of_thread = call.clone();
            let job = move || self.work(of_thread, now);
            match spawn(C::THREAD, None, Box::new(job)) {
                Ok(()) => group.begin(now),
                Err(error) if is_new && group.running.is_empty() => {
                    group.waiting.pop();
                    unused.take_from(&mut groups);
                    return Err(error);
                }
                // No thread can be started now, but the call that is running may give an answer.
                Err(_) => return Ok(now.checked_add(C::STUCK_AFTER)),
            }
        }
        // If it is due already, all threads are in use. The first one that is free begins the call.
        Ok(group.due(now).filter(|&due| due > now))
    }

    /// Makes calls, one after the other, until no caller waits.
    fn work(&self, mut call: C, mut began: Instant) {
        loop {
            let answer = call.run();
            self.deliver(&call, began, answer);
            let Some(next) = self.next() else { return };
            (call, began) = next;
        }
    }

    fn deliver(&self, call: &C, began: Instant, mut answer: C::Answer) {
        let mut waiting = self.finish(call, began);
        // The answer may hold a value of the user's, so no lock is held here.
        while let Some(last) = waiting.pop() {
            if let Serves::All(copy) = C::SERVES {
                for waiter in waiting.drain(..) {
                    let _ = waiter.put(copy(&answer));
                }
            }
            match last.put(answer) {
                // This caller gave up meanwhile.
                Err(back) => answer = back,
                Ok(()) => return,
            }
            waiting.extend(self.take_one(call));
        }
    }

    /// Notes that a call has returned, and takes the callers that its answer is for out of the
    /// group.
    fn finish(&self, call: &C, began: Instant) -> Vec<Slot<C::Answer>> {
        let mut groups = self.lock();
        let Some(group) = groups.iter_mut().find(|group| group.call == *call) else {
            return Vec::new();
        };
        let at = group.running.iter().position(|&other| other == began);
        at.map(|at| group.running.remove(at));
        match C::SERVES {
            Serves::All(_) => {
                mem::take(&mut group.waiting).into_iter().map(|waiter| waiter.slot).collect()
            }
            Serves::One => group.take_one().into_iter().collect(),
        }
    }

    fn take_one(&self, call: &C) -> Option<Slot<C::Answer>> {
        let mut groups = self.lock();
        groups.iter_mut().find(|group| group.call == *call)?.take_one()
    }

    /// Returns the next call to make and the time at which it begins; `None` if there is none.
    fn next(&self) -> Option<(C, Instant)> {
        let mut unused = Unused::new();
        let mut groups = self.lock();
        unused.take_from(&mut groups);
        let now = Instant::now();
        let at = groups.iter().position(|group| group.is_due(now))?;
        let mut group = groups.remove(at);
        group.begin(now);
        let call = group.call.clone();
        groups.push(group);
        Some((call, now))
    }

    /// Locks the groups. No code under this lock can panic and leave them half-changed.
    fn lock(&self) -> MutexGuard<'_, Vec<Group<C>>> {
        lock(&self.groups)
    }
}

impl<C: Call> Group<C> {
    /// Returns whether a caller waits for a call that has not begun, and it is time to begin it.
    fn is_due(&self, now: Instant) -> bool {
        self.due(now).is_some_and(|due| due <= now)
    }

    /// Returns when it is time to begin a call that a caller waits for, which may be `now`. `None`
    /// is never.
    fn due(&self, now: Instant) -> Option<Instant> {
        let asks = |waiter: &Waiter<_>| !waiter.is_begun && waiter.slot.is_wanted();
        if !self.waiting.iter().any(asks) {
            return None;
        }
        let calls = self.running.len();
        match self.running.iter().max() {
            Some(last) if calls >= C::SERVES.at_once() => {
                last.checked_add(C::STUCK_AFTER.saturating_mul(1 << calls.min(30)))
            }
            _ => Some(now),
        }
    }

    fn begin(&mut self, now: Instant) {
        self.running.push(now);
        let mut asking = self.waiting.iter_mut().filter(|waiter| !waiter.is_begun);
        match C::SERVES {
            Serves::All(_) => asking.for_each(|waiter| waiter.is_begun = true),
            Serves::One => {
                let first = asking.find(|waiter| waiter.slot.is_wanted());
                if let Some(waiter) = first {
                    waiter.is_begun = true;
                }
            }
        }
    }

    fn take_one(&mut self) -> Option<Slot<C::Answer>> {
        let at = self.waiting.iter().position(|waiter| waiter.slot.is_wanted())?;
        Some(self.waiting.remove(at).slot)
    }
}

/// Groups that are taken out of a pool, to be dropped after its lock is released, because dropping
/// a resolver may run code of the user. Declare it before the guard of the lock.
struct Unused<C: Call>(Vec<Group<C>>);

impl<C: Call> Unused<C> {
    fn new() -> Self {
        Self(Vec::new())
    }

    /// Takes out the groups that are idle, and the callers that wait no longer.
    fn take_from(&mut self, groups: &mut Vec<Group<C>>) {
        for group in &mut *groups {
            group.waiting.retain(|waiter| waiter.slot.is_wanted());
        }
        let is_used = |group: &Group<C>| !group.running.is_empty() || !group.waiting.is_empty();
        let (used, unused) = mem::take(groups).into_iter().partition(is_used);
        *groups = used;
        let unused: Vec<_> = unused;
        self.0.extend(unused);
    }
}

/// Starts a thread, which nobody waits for. If no size is given, its stack is that of `std`.
///
/// The thread drops its handle itself, as the last thing that it does. When another thread drops
/// it, glibc (2.36) reads the memory of the thread. If the thread has ended just then, and taken
/// that memory along, the process crashes. Programs with many connections would meet that.
pub(super) fn spawn(
    name: &str,
    stack: Option<usize>,
    job: Box<dyn FnOnce() + Send>,
) -> io::Result<()> {
    let mut thread = thread::Builder::new().name(name.to_owned());
    if let Some(stack) = stack {
        thread = thread.stack_size(stack);
    }
    let handle = Arc::new(Mutex::new(None));
    let own_handle = handle.clone();
    // The thread waits for this lock, if it ends before its handle is there.
    let mut handle = lock(&handle);
    *handle = Some(thread.spawn(move || {
        job();
        drop(lock(&own_handle).take());
    })?);
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    #[derive(Clone, PartialEq)]
    struct Nothing;

    impl Call for Nothing {
        type Answer = ();
        const SERVES: Serves<()> = Serves::All(|_| ());
        const THREAD: &'static str = "landline-nothing";

        fn run(&self) {}
    }

    #[test]
    fn a_group_that_is_stuck_gets_more_calls_but_after_twice_as_long_each_time() {
        let mut now = Instant::now();
        let start = now;
        let mut group = Group { call: Nothing, running: Vec::new(), waiting: Vec::new() };
        let mut begun = Vec::new();
        for _ in 0..24 * 60 * 60 {
            // A caller asks each second.
            let mailbox = Mailbox::new(&AbortHandle::new());
            group.waiting.push(Waiter { slot: mailbox.slot(), is_begun: false });
            if group.is_due(now) {
                group.begin(now);
                begun.push((now - start).as_secs());
            }
            assert!(!group.is_due(now), "one call is for all that wait");
            drop(mailbox);
            assert!(!group.is_due(now + STUCK_AFTER * 100_000), "no caller waits");
            group.waiting.clear();
            now += Duration::from_secs(1);
        }
        assert_eq!(begun[..5], [0, 10, 30, 70, 150]);
        assert_eq!(begun.len(), 14);
    }

    /// The first of these calls does not end before the test does. The others end at once.
    #[derive(Clone, PartialEq)]
    struct FirstIsStuck;

    static BEGUN: AtomicU32 = AtomicU32::new(0);
    static END: Barrier = Barrier::new(2);

    impl Call for FirstIsStuck {
        type Answer = ();
        const SERVES: Serves<()> = Serves::All(|_| ());
        const THREAD: &'static str = "landline-stuck";
        const STUCK_AFTER: Duration = Duration::from_millis(10);

        fn run(&self) {
            if BEGUN.fetch_add(1, Ordering::SeqCst) == 0 {
                END.wait();
            }
        }
    }

    #[test]
    fn a_caller_that_waits_behind_a_call_that_is_stuck_gets_one_of_its_own() {
        static POOL: Pool<FirstIsStuck> = Pool::new();
        let call_for = |time| {
            let deadline = Deadline::after(Some(time));
            POOL.call(FirstIsStuck, deadline, &AbortHandle::new(), Timeout::Resolve)
        };
        assert!(call_for(Duration::ZERO).unwrap_err().is_timeout());
        let began = Instant::now();
        call_for(Duration::from_secs(20)).unwrap();
        assert!(began.elapsed() < Duration::from_secs(10));
        END.wait();
    }

    #[test]
    fn a_child_of_a_fork_has_a_pool_of_its_own() {
        static POOL: Pool<Nothing> = Pool::new();
        let parent = POOL.of_process(1);
        // Another thread of the parent holds the lock. The child does not have that thread.
        let _held = parent.lock();
        let child = POOL.of_process(2);
        assert!(child.groups.try_lock().is_ok());
        assert!(std::ptr::eq(child, POOL.of_process(2)));
        assert!(std::ptr::eq(parent, POOL.of_process(1)));
        assert!(!std::ptr::eq(child, POOL.of_process(3)));
    }
}
