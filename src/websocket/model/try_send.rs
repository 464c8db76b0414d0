//! `try_send` shares the writer with all other threads, and the receiver writes its rest.

use super::{PLENTY, connection, explore, payloads, spawn};
use crate::proto::close::CloseCode;
use crate::proto::frame::Opcode;

#[test]
fn messages_that_are_tried_and_sent_at_the_same_time_are_whole() {
    explore(2, || {
        let (receiver, sender, mut peer) = connection(PLENTY, PLENTY);
        let trying = sender.clone();
        let trying = spawn(move || trying.try_send("tried").is_ok());
        let sending = spawn(move || sender.send("sent").unwrap());
        let tried = trying.join().unwrap();
        sending.join().unwrap();
        drop(receiver);
        let frames = peer.frames();
        let mut texts = payloads(&frames, Opcode::Text);
        texts.sort_unstable();
        let expected: &[&[u8]] = if tried { &[b"sent", b"tried"] } else { &[b"sent"] };
        assert_eq!(texts, expected);
    });
}

#[test]
fn of_two_threads_that_try_at_least_one_sends() {
    explore(2, || {
        let (receiver, sender, mut peer) = connection(PLENTY, PLENTY);
        let senders = [sender.clone(), sender];
        let tries = senders.map(|sender| spawn(move || sender.try_send("a").is_ok()));
        let accepted = tries.map(|tried| tried.join().unwrap());
        let accepted = accepted.into_iter().filter(|&accepted| accepted).count();
        drop(receiver);
        assert!(accepted > 0);
        assert_eq!(payloads(&peer.frames(), Opcode::Text).len(), accepted);
    });
}

#[test]
fn a_pong_that_is_noted_while_a_thread_tries_is_sent() {
    explore(2, || {
        let (mut receiver, sender, mut peer) = connection(PLENTY, PLENTY);
        peer.send(Opcode::Ping, b"1");
        let receiving = spawn(move || receiver.recv().unwrap_err());
        let trying = spawn(move || (sender.try_send("a").is_ok(), sender));
        let (accepted, sender) = trying.join().unwrap();
        // The peer sends nothing more before it has both frames.
        let frames: Vec<_> = (0..=usize::from(accepted)).map(|_| peer.frame().unwrap()).collect();
        assert_eq!(payloads(&frames, Opcode::Pong), [b"1"]);
        peer.close(1000);
        assert_eq!(payloads(&peer.frames(), Opcode::Close).len(), 1);
        assert!(receiving.join().unwrap().closed().unwrap().is_clean());
        drop(sender);
    });
}

#[test]
fn a_rest_is_written_by_the_thread_that_begins_to_receive() {
    explore(2, || {
        let (mut receiver, sender, mut peer) = connection(8, PLENTY);
        sender.try_send("longer than that").unwrap();
        sender.try_send("no room").unwrap_err();
        let receiving = spawn(move || receiver.recv().unwrap_err());
        assert_eq!(peer.frame().unwrap().payload, b"longer than that");
        peer.close(1000);
        assert_eq!(peer.frame().unwrap().opcode, Opcode::Close);
        receiving.join().unwrap();
        drop(sender);
    });
}

#[test]
fn a_rest_that_is_left_while_a_thread_receives_is_written_when_the_thread_looks() {
    explore(2, || {
        let (mut receiver, sender, mut peer) = connection(8, PLENTY);
        let trying = spawn(move || {
            sender.try_send("longer than that").unwrap();
            sender
        });
        let receiving = spawn(move || {
            assert_eq!(receiver.recv().unwrap().as_text(), Some("x"));
            receiver.recv().unwrap_err()
        });
        // The clock stands still, so only what arrives makes the receiver look.
        let sender = trying.join().unwrap();
        peer.send(Opcode::Text, b"x");
        assert_eq!(peer.frame().unwrap().payload, b"longer than that");
        peer.close(1000);
        assert_eq!(peer.frame().unwrap().opcode, Opcode::Close);
        receiving.join().unwrap();
        drop(sender);
    });
}

#[test]
fn the_answer_to_a_close_goes_after_the_rest() {
    explore(2, || {
        let (mut receiver, sender, mut peer) = connection(8, PLENTY);
        peer.close(1000);
        let receiving = spawn(move || (receiver.recv().unwrap_err(), receiver));
        let trying = spawn(move || (sender.try_send("longer than that").is_ok(), sender));
        // The peer waits for the end of the stream.
        let frames = peer.frames();
        let (accepted, sender) = trying.join().unwrap();
        assert_eq!(payloads(&frames, Opcode::Text).len(), usize::from(accepted));
        assert_eq!(payloads(&frames, Opcode::Close).len(), 1);
        let (error, receiver) = receiving.join().unwrap();
        assert!(error.closed().unwrap().is_clean());
        drop((sender, receiver));
    });
}

#[test]
fn a_close_from_another_thread_goes_after_the_rest() {
    explore(1, || {
        let (mut receiver, sender, mut peer) = connection(8, PLENTY);
        let closing = sender.clone();
        let receiving = spawn(move || receiver.recv().unwrap_err());
        let trying = spawn(move || (sender.try_send("longer than that").is_ok(), sender));
        let closing = spawn(move || {
            closing.close(CloseCode::NORMAL).unwrap();
            closing
        });
        let mut frames = Vec::new();
        while frames.last().is_none_or(|frame: &super::Frame| frame.opcode != Opcode::Close) {
            frames.push(peer.frame().unwrap());
        }
        peer.close(1000);
        assert_eq!(peer.frames(), []);
        assert!(receiving.join().unwrap().closed().unwrap().is_clean());
        let (accepted, sender) = trying.join().unwrap();
        assert_eq!(frames.len(), 1 + usize::from(accepted), "{frames:?}");
        drop((sender, closing.join().unwrap()));
    });
}
