//! Pending control frames are sent, whichever thread holds the write lock.

use super::{PLENTY, connection, explore, payloads, spawn};
use crate::proto::close::CloseCode;
use crate::proto::frame::Opcode;

#[test]
fn a_pong_that_is_noted_while_a_sender_holds_the_write_lock_is_sent() {
    explore(2, || {
        let (mut receiver, sender, mut peer) = connection(PLENTY, PLENTY);
        peer.send(Opcode::Ping, b"1");
        let receiving = spawn(move || receiver.recv().unwrap_err());
        let sending = spawn(move || {
            sender.send("a").unwrap();
            sender
        });
        // The peer sends nothing more before it has both frames.
        let frames = [peer.frame().unwrap(), peer.frame().unwrap()];
        assert_eq!(payloads(&frames, Opcode::Pong), [b"1"]);
        assert_eq!(payloads(&frames, Opcode::Text), [b"a"]);
        peer.close(1000);
        assert_eq!(payloads(&peer.frames(), Opcode::Close).len(), 1);
        assert!(receiving.join().unwrap().closed().unwrap().is_clean());
        drop(sending.join().unwrap());
    });
}

#[test]
fn the_latest_ping_is_answered_if_not_all_can_be_answered_at_once() {
    explore(2, || {
        let (mut receiver, sender, mut peer) = connection(PLENTY, PLENTY);
        let receiving = spawn(move || receiver.recv().unwrap_err());
        let sending = spawn(move || {
            sender.send("a").unwrap();
            sender
        });
        peer.send(Opcode::Ping, b"1");
        peer.send(Opcode::Ping, b"2");
        let (mut pongs, mut messages) = (Vec::new(), 0);
        while pongs.last().is_none_or(|pong| pong != b"2") || messages < 1 {
            let frame = peer.frame().unwrap();
            match frame.opcode {
                Opcode::Pong => pongs.push(frame.payload),
                _ => messages += 1,
            }
        }
        assert!(pongs.is_sorted() && pongs.len() <= 2, "{pongs:?}");
        peer.close(1000);
        assert_eq!(peer.frames().len(), 1);
        receiving.join().unwrap();
        drop(sending.join().unwrap());
    });
}

#[test]
fn a_pong_that_does_not_fit_is_sent_when_the_peer_reads_on() {
    explore(2, || {
        // The message fills the stream, so there is no room for the Pong.
        let (mut receiver, sender, mut peer) = connection(7, PLENTY);
        sender.send("a").unwrap();
        peer.send(Opcode::Ping, b"1");
        let receiving = spawn(move || receiver.recv().unwrap_err());
        assert_eq!(peer.frame().unwrap().payload, b"a");
        assert_eq!(peer.frame().unwrap().payload, b"1");
        peer.close(1000);
        assert_eq!(peer.frame().unwrap().opcode, Opcode::Close);
        receiving.join().unwrap();
        drop(sender);
    });
}

// Loom makes a thread that is about to `try_lock` wait when another one locks before it.
#[cfg(not(loom))]
#[test]
fn peers_that_flood_each_other_and_write_before_they_read_do_not_stop() {
    explore(1, || {
        let (mut receiver, sender, mut peer) = connection(8, 8);
        let sending = spawn(move || {
            sender.send("a message").unwrap();
            sender
        });
        let receiving = spawn(move || {
            assert_eq!(receiver.recv().unwrap().as_text(), Some("a message of theirs"));
            receiver.recv().unwrap_err()
        });
        peer.send(Opcode::Ping, b"1");
        peer.send(Opcode::Text, b"a message of theirs");
        let frames = [peer.frame().unwrap(), peer.frame().unwrap()];
        assert_eq!(payloads(&frames, Opcode::Pong), [b"1"]);
        peer.close(1000);
        assert_eq!(peer.frames().len(), 1);
        assert!(receiving.join().unwrap().closed().unwrap().is_clean());
        drop(sending.join().unwrap());
    });
}

#[test]
fn a_close_that_is_asked_for_while_a_sender_holds_the_write_lock_is_sent() {
    explore(2, || {
        let (mut receiver, sender, mut peer) = connection(PLENTY, PLENTY);
        let receiving = spawn(move || receiver.recv().unwrap_err());
        let other = sender.clone();
        let sending = spawn(move || {
            // The message is sent before the Close or never.
            (other.send("a").is_ok(), other)
        });
        let closing = spawn(move || {
            sender.close(CloseCode::NORMAL).unwrap();
            sender
        });
        let mut frames = Vec::new();
        while frames.last().is_none_or(|frame: &super::Frame| frame.opcode != Opcode::Close) {
            frames.push(peer.frame().unwrap());
        }
        peer.close(1000);
        frames.extend(peer.frames());
        assert!(receiving.join().unwrap().closed().unwrap().is_clean());
        let (sent, other) = sending.join().unwrap();
        assert_eq!(frames.len(), 1 + usize::from(sent), "{frames:?}");
        drop((other, closing.join().unwrap()));
    });
}

#[test]
fn a_close_that_is_asked_for_while_the_receiver_flushes_is_sent() {
    explore(2, || {
        let (mut receiver, sender, mut peer) = connection(PLENTY, PLENTY);
        peer.send(Opcode::Ping, b"1");
        let receiving = spawn(move || receiver.recv().unwrap_err());
        let closing = spawn(move || {
            sender.close(CloseCode::NORMAL).unwrap();
            sender
        });
        while peer.frame().unwrap().opcode != Opcode::Close {}
        peer.close(1000);
        assert_eq!(peer.frames(), []);
        assert!(receiving.join().unwrap().closed().unwrap().is_clean());
        drop(closing.join().unwrap());
    });
}
