//! Tests which thread gets the lock.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;

use super::*;

/// Starts a thread that waits for the lock, and holds it until it is told to release it.
fn waiter(lock: &Arc<FairLock>) -> (thread::JoinHandle<()>, std::sync::mpsc::Sender<()>) {
    let (done, is_done) = channel();
    let others = lock.queue.lock().waiting;
    let waits = lock.clone();
    let thread = thread::spawn(move || {
        let _guard = waits.lock(|| Deadline::NEVER, || true).expect("the lock");
        is_done.recv().expect("the test says when to release the lock");
    });
    while lock.queue.lock().waiting == others {
        thread::yield_now();
    }
    (thread, done)
}

#[test]
fn a_lock_is_handed_to_a_thread_that_has_waited_longer_than_the_interval() {
    let lock = Arc::new(FairLock::default());
    let guard = lock.lock(|| Deadline::NEVER, || true).unwrap();
    let waiters = [waiter(&lock), waiter(&lock)];
    lock.queue.lock().since = Instant::now().checked_sub(FAIRNESS_INTERVAL);
    drop(guard);
    let again = lock.lock(|| Deadline::after(Some(Duration::ZERO)), || true);
    assert_eq!(again.err(), Some(LockError::TimedOut), "it was handed over");
    for (_, done) in &waiters {
        done.send(()).unwrap();
    }
    for (thread, _) in waiters {
        thread.join().unwrap();
    }
    let queue = lock.queue.lock();
    assert!(!queue.handed_over && queue.waiting == 0 && queue.since.is_none());
    assert_eq!(lock.state.load(Ordering::SeqCst), FREE);
}

#[test]
fn a_thread_that_wakes_up_and_does_not_get_the_lock_has_waited_since_it_began() {
    let lock = Arc::new(FairLock::default());
    let guard = lock.lock(|| Deadline::NEVER, || true).unwrap();
    let (looked, looks) = channel();
    let waits = lock.clone();
    let thread = thread::spawn(move || {
        // The lock asks this each time before it waits, while it holds the mutex of the queue.
        let is_open = || looked.send(()).is_ok();
        drop(waits.lock(|| Deadline::NEVER, is_open).expect("the lock"));
    });
    looks.recv().unwrap();
    let since = lock.queue.lock().since;
    assert!(since.is_some());
    for _ in 0..3 {
        lock.wake_all();
        looks.recv().unwrap();
        assert_eq!(lock.queue.lock().since, since);
    }
    drop(guard);
    thread.join().unwrap();
    assert_eq!(lock.queue.lock().since, None);
    assert_eq!(lock.state.load(Ordering::SeqCst), FREE);
}

#[test]
fn a_lock_is_taken_by_another_thread_when_the_first_one_gives_up() {
    let lock = Arc::new(FairLock::default());
    let guard = lock.lock(|| Deadline::NEVER, || true).unwrap();
    let gives_up = {
        let lock = lock.clone();
        thread::spawn(move || {
            lock.lock(|| Deadline::after(Some(Duration::from_millis(5))), || true).err()
        })
    };
    let (thread, done) = waiter(&lock);
    gives_up.join().unwrap();
    lock.queue.lock().since = Instant::now().checked_sub(FAIRNESS_INTERVAL);
    drop(guard);
    done.send(()).unwrap();
    thread.join().unwrap();
    assert_eq!(lock.state.load(Ordering::SeqCst), FREE);
}
