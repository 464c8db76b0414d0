//! An abort wakes all threads that block, whatever they wait for.

use super::{PLENTY, connection, explore, spawn};
use crate::error::{Cause, Error};
use crate::proto::close::CloseCode;
use crate::proto::message::MessageKind;

fn is_aborted(error: &Error) {
    let closed = error.closed().unwrap();
    assert!(matches!(closed.cause(), Cause::Aborted), "{closed:?}");
}

#[test]
fn an_abort_wakes_threads_that_receive_send_or_wait_for_a_lock() {
    explore(2, || {
        // The peer neither reads nor sends.
        let (mut receiver, sender, peer) = connection(7, PLENTY);
        let (first, second) = (sender.clone(), sender.clone());
        let receiving = spawn(move || is_aborted(&receiver.recv().unwrap_err()));
        let first = spawn(move || is_aborted(&first.send("too long").unwrap_err()));
        let second = spawn(move || is_aborted(&second.send("too long").unwrap_err()));
        sender.abort();
        receiving.join().unwrap();
        first.join().unwrap();
        second.join().unwrap();
        drop(peer);
    });
}

#[test]
fn an_abort_wakes_a_thread_that_waits_for_a_lock_that_is_not_released() {
    explore(3, || {
        let (receiver, sender, peer) = connection(PLENTY, PLENTY);
        let (waiter, aborter) = (sender.clone(), sender.clone());
        let writer = sender.writer(MessageKind::Text).unwrap();
        let waiting = spawn(move || is_aborted(&waiter.send("a").unwrap_err()));
        let aborting = spawn(move || aborter.abort());
        waiting.join().unwrap();
        aborting.join().unwrap();
        drop((writer, receiver, peer));
    });
}

#[test]
fn an_abort_wakes_a_thread_that_closes() {
    explore(2, || {
        // The peer does not answer.
        let (mut receiver, sender, peer) = connection(PLENTY, PLENTY);
        let closing = spawn(move || receiver.close(CloseCode::NORMAL).unwrap());
        sender.abort();
        assert!(matches!(closing.join().unwrap().cause(), Cause::Aborted));
        drop(peer);
    });
}

#[test]
fn a_message_is_refused_after_an_abort_is_known() {
    explore(3, || {
        let (receiver, sender, peer) = connection(PLENTY, PLENTY);
        let aborter = sender.clone();
        let aborting = spawn(move || aborter.abort());
        let was_open = sender.is_open();
        let sent = sender.send("a").is_ok();
        assert!(was_open || !sent);
        aborting.join().unwrap();
        drop((receiver, sender, peer));
    });
}
