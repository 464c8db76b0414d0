//! Who gets the turn.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;

use super::*;

/// A thread that waits for its turn, and has it until it is told.
fn waiter(order: &Arc<Order>) -> (thread::JoinHandle<()>, std::sync::mpsc::Sender<()>) {
    let (done, is_done) = channel();
    let others = order.queue().waiting;
    let waits = order.clone();
    let thread = thread::spawn(move || {
        let _turn = waits.turn(|| Deadline::NEVER, || true).expect("the turn");
        is_done.recv().expect("the word");
    });
    while order.queue().waiting == others {
        thread::yield_now();
    }
    (thread, done)
}

#[test]
fn a_turn_goes_to_those_who_have_waited_long_and_not_back() {
    let order = Arc::new(Order::default());
    let turn = order.turn(|| Deadline::NEVER, || true).unwrap();
    let waiters = [waiter(&order), waiter(&order)];
    order.queue().since = Instant::now().checked_sub(FAIR);
    drop(turn);
    let again = order.turn(|| Deadline::after(Some(Duration::ZERO)), || true);
    assert_eq!(again.err(), Some(NoTurn::TimedOut), "it was given away");
    for (_, done) in &waiters {
        done.send(()).unwrap();
    }
    for (thread, _) in waiters {
        thread.join().unwrap();
    }
    let queue = order.queue();
    assert!(!queue.taken && !queue.given && queue.waiting == 0 && queue.since.is_none());
}

#[test]
fn a_turn_that_is_given_to_somebody_who_gives_up_is_taken_by_another() {
    let order = Arc::new(Order::default());
    let turn = order.turn(|| Deadline::NEVER, || true).unwrap();
    let gives_up = {
        let order = order.clone();
        thread::spawn(move || {
            order.turn(|| Deadline::after(Some(Duration::from_millis(5))), || true).err()
        })
    };
    let (thread, done) = waiter(&order);
    gives_up.join().unwrap();
    order.queue().since = Instant::now().checked_sub(FAIR);
    drop(turn);
    done.send(()).unwrap();
    thread.join().unwrap();
    assert!(!order.queue().taken);
}
