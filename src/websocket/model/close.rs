//! A connection ends once, and all threads see the same end.

use std::io::{self, Read as _};

use super::{Frame, PLENTY, connection, explore, payloads, spawn};
use crate::proto::close::CloseCode;
use crate::proto::frame::Opcode;
use crate::proto::message::MessageKind;

/// Checks that there is one Close among the frames, and that it is the last.
fn ends_with_its_only_close(frames: &[Frame]) {
    assert_eq!(payloads(frames, Opcode::Close).len(), 1, "{frames:?}");
    assert_eq!(frames.last().unwrap().opcode, Opcode::Close, "{frames:?}");
}

#[test]
fn threads_that_close_at_once_send_one_close_and_no_frame_follows_it() {
    explore(2, || {
        let (mut receiver, sender, mut peer) = connection(PLENTY, PLENTY);
        let other = sender.clone();
        peer.send(Opcode::Ping, b"1");
        peer.close(1001);
        let receiving = spawn(move || receiver.recv().unwrap_err());
        let first = spawn(move || sender.close(CloseCode::NORMAL).is_ok());
        let second = spawn(move || {
            let sent = other.send("a").is_ok();
            (sent, other.close(CloseCode::GOING_AWAY).is_ok())
        });
        let frames = peer.frames();
        ends_with_its_only_close(&frames);
        let (sent, second) = second.join().unwrap();
        let first = first.join().unwrap();
        assert!(!(first && second));
        assert_eq!(payloads(&frames, Opcode::Text).len(), usize::from(sent));
        assert!(receiving.join().unwrap().closed().unwrap().is_clean());
    });
}

#[test]
fn the_stream_is_ended_after_both_closes_while_both_halves_still_exist() {
    explore(2, || {
        let (mut receiver, sender, mut peer) = connection(PLENTY, PLENTY);
        peer.close(1000);
        let receiving = spawn(move || {
            assert!(receiver.recv().unwrap_err().closed().unwrap().is_clean());
            receiver
        });
        let sending = spawn(move || {
            let _ = sender.send("a");
            sender
        });
        // The peer waits for the end of the stream.
        ends_with_its_only_close(&peer.frames());
        drop((receiving.join().unwrap(), sending.join().unwrap()));
    });
}

#[test]
fn the_answer_to_a_close_is_sent_although_the_peer_reads_it_late() {
    explore(3, || {
        let (mut receiver, sender, mut peer) = connection(7, PLENTY);
        // This message fills the stream.
        sender.send("a").unwrap();
        peer.close(1000);
        let receiving = spawn(move || {
            assert!(receiver.recv().unwrap_err().closed().unwrap().is_clean());
            receiver
        });
        assert_eq!(peer.frame().unwrap().opcode, Opcode::Text);
        ends_with_its_only_close(&peer.frames());
        drop((receiving.join().unwrap(), sender));
    });
}

#[test]
fn a_thread_that_waits_for_the_message_lock_learns_that_the_connection_is_closed() {
    explore(3, || {
        let (receiver, sender, peer) = connection(PLENTY, PLENTY);
        let (waiter, closer) = (sender.clone(), sender.clone());
        let writer = sender.writer(MessageKind::Text).unwrap();
        let waiting = spawn(move || waiter.send("a").unwrap_err());
        let closing = spawn(move || closer.close(CloseCode::NORMAL).unwrap());
        assert!(waiting.join().unwrap().closed().is_some());
        closing.join().unwrap();
        drop((writer, receiver, peer));
    });
}

#[test]
fn a_thread_that_waits_for_the_message_lock_learns_that_the_peer_has_gone() {
    explore(3, || {
        let (mut receiver, sender, peer) = connection(PLENTY, PLENTY);
        let waiter = sender.clone();
        let writer = sender.writer(MessageKind::Text).unwrap();
        let waiting = spawn(move || waiter.send("a").unwrap_err());
        let receiving = spawn(move || receiver.recv().unwrap_err());
        drop(peer);
        assert!(waiting.join().unwrap().closed().is_some());
        assert!(!receiving.join().unwrap().closed().unwrap().is_clean());
        drop(writer);
    });
}

#[test]
fn each_thread_that_waits_gets_the_lock() {
    explore(3, || {
        let (receiver, sender, mut peer) = connection(PLENTY, PLENTY);
        let senders = [sender.clone(), sender.clone(), sender];
        let sending = senders.map(|sender| spawn(move || sender.send("a").unwrap()));
        for sending in sending {
            sending.join().unwrap();
        }
        drop(receiver);
        assert_eq!(payloads(&peer.frames(), Opcode::Text).len(), 3);
    });
}

/// Checks that after a write that fails with `kind` no thread can send, and none waits.
fn poisons(kind: io::ErrorKind) {
    explore(2, move || {
        let (mut receiver, sender, peer) = connection(7, PLENTY);
        let other = sender.clone();
        let receiving = spawn(move || receiver.recv().unwrap_err());
        let first = spawn(move || {
            let sent = sender.send("aa").and_then(|()| sender.send("aa"));
            assert!(sent.unwrap_err().closed().is_some());
            assert!(sender.send("aa").unwrap_err().closed().is_some());
        });
        let second = spawn(move || {
            let sent = other.send("xx").and_then(|()| other.send("xx"));
            assert!(sent.unwrap_err().closed().is_some());
        });
        peer.end.fail_write(kind);
        first.join().unwrap();
        second.join().unwrap();
        if kind == io::ErrorKind::BrokenPipe {
            drop(peer); // The peer is gone, so the write failed.
        }
        assert!(!receiving.join().unwrap().closed().unwrap().is_clean());
    });
}

#[test]
fn a_write_that_fails_ends_the_connection_for_all() {
    poisons(io::ErrorKind::Other);
}

#[test]
fn a_peer_that_is_gone_ends_the_connection_for_all() {
    poisons(io::ErrorKind::BrokenPipe);
}

#[test]
fn a_reader_that_ends_within_its_message_ends_the_connection_for_all() {
    explore(2, || {
        let (mut receiver, sender, peer) = connection(PLENTY, PLENTY);
        let other = sender.clone();
        peer.send(Opcode::Ping, b"1");
        let receiving = spawn(move || receiver.recv().unwrap_err());
        let first = spawn(move || {
            let reader = io::repeat(b'x').take(64 * 1024);
            let ended = sender.send_reader(MessageKind::Binary, 1 << 20, reader).unwrap_err();
            assert_eq!(ended.kind(), io::ErrorKind::UnexpectedEof);
        });
        // This message goes before, or waits and fails.
        let sent = other.send("a");
        assert!(sent.is_ok() || sent.unwrap_err().closed().is_some());
        first.join().unwrap();
        assert!(other.send("late").unwrap_err().closed().is_some());
        assert!(!receiving.join().unwrap().closed().unwrap().is_clean());
        drop(peer);
    });
}

#[test]
fn two_threads_that_send_and_one_that_closes_come_to_an_end() {
    explore(1, || {
        let (mut receiver, sender, mut peer) = connection(9, PLENTY);
        let other = sender.clone();
        let receiving = spawn(move || receiver.close(CloseCode::NORMAL).unwrap());
        let first = spawn(move || sender.send("aaa"));
        let second = spawn(move || other.send("xxx"));
        peer.send(Opcode::Ping, b"1");
        let mut frames = Vec::new();
        while frames.last().is_none_or(|frame: &Frame| frame.opcode != Opcode::Close) {
            frames.push(peer.frame().unwrap());
        }
        peer.close(1000);
        frames.extend(peer.frames());
        ends_with_its_only_close(&frames);
        let sent = [first.join().unwrap(), second.join().unwrap()];
        let sent = sent.iter().filter(|sent| sent.is_ok()).count();
        assert_eq!(payloads(&frames, Opcode::Text).len(), sent);
        drop(peer); // `close` waits for the end of the stream.
        assert!(receiving.join().unwrap().is_clean());
    });
}

#[test]
fn a_message_is_refused_after_a_close_is_known() {
    explore(3, || {
        let (receiver, sender, peer) = connection(PLENTY, PLENTY);
        let closer = sender.clone();
        let closing = spawn(move || closer.close(CloseCode::NORMAL).unwrap());
        let was_open = sender.is_open();
        let sent = sender.send("a").is_ok();
        assert!(was_open || !sent);
        closing.join().unwrap();
        drop((receiver, sender, peer));
    });
}

#[test]
fn no_other_message_follows_the_beginning_of_an_abandoned_message() {
    explore(2, || {
        let (receiver, sender, mut peer) = connection(PLENTY, PLENTY);
        let (closer, other) = (sender.clone(), sender.clone());
        let closing = spawn(move || drop(closer.close(CloseCode::NORMAL)));
        let abandoning = spawn(move || {
            let Ok(mut writer) = sender.writer(MessageKind::Text) else { return };
            let _ = io::Write::write_all(&mut writer, b"begun");
            let _ = io::Write::flush(&mut writer);
        });
        let _ = other.send("whole");
        closing.join().unwrap();
        abandoning.join().unwrap();
        drop((receiver, other));
        let frames = peer.frames();
        if let Some(begun) =
            frames.iter().position(|frame| frame.opcode == Opcode::Text && !frame.fin)
        {
            let data = |frame: &&Frame| frame.opcode != Opcode::Close;
            assert_eq!(frames[begun + 1..].iter().filter(data).count(), 0, "{frames:?}");
        }
    });
}
