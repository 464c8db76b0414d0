//! Messages are sent whole, one after the other.

use std::io::Write as _;

use super::{PLENTY, connection, explore, payloads, spawn};
use crate::proto::frame::Opcode;
use crate::proto::message::MessageKind;

#[test]
fn a_message_is_not_written_into_another_one() {
    explore(2, || {
        // Each message needs several writes.
        let (receiver, sender, mut peer) = connection(5, PLENTY);
        let other = sender.clone();
        let first = spawn(move || {
            sender.send("aa").unwrap();
            sender.send("bb").unwrap();
            sender
        });
        let second = spawn(move || {
            other.send("xx").unwrap();
            other
        });
        let frames = [peer.frame().unwrap(), peer.frame().unwrap(), peer.frame().unwrap()];
        let mut messages = payloads(&frames, Opcode::Text);
        assert!(
            messages.iter().position(|m| *m == b"aa") < messages.iter().position(|m| *m == b"bb")
        );
        messages.sort_unstable();
        assert_eq!(messages, [b"aa", b"bb", b"xx"]);
        drop((first.join().unwrap(), second.join().unwrap(), receiver));
    });
}

#[test]
fn pongs_go_between_the_fragments_of_a_message_and_other_messages_do_not() {
    explore(1, || {
        let (mut receiver, sender, mut peer) = connection(PLENTY, PLENTY);
        let other = sender.clone();
        peer.send(Opcode::Ping, b"1");
        let receiving = spawn(move || receiver.recv().unwrap_err());
        let writing = spawn(move || {
            let mut writer = sender.writer(MessageKind::Binary).unwrap();
            writer.write_all(b"a").unwrap();
            writer.flush().unwrap();
            writer.write_all(b"b").unwrap();
            writer.finish().unwrap();
            sender
        });
        let sending = spawn(move || {
            other.send("x").unwrap();
            other
        });
        let frames: Vec<_> = (0..4).map(|_| peer.frame().unwrap()).collect();
        assert_eq!(payloads(&frames, Opcode::Pong), [b"1"]);
        let data: Vec<_> = frames.iter().filter(|frame| frame.opcode != Opcode::Pong).collect();
        let opcodes: Vec<_> = data.iter().map(|frame| (frame.opcode, frame.fin)).collect();
        let (one, two) = ((Opcode::Binary, false), (Opcode::Continuation, true));
        let text = (Opcode::Text, true);
        assert!(opcodes == [one, two, text] || opcodes == [text, one, two], "{opcodes:?}");
        peer.close(1000);
        assert_eq!(peer.frames().len(), 1);
        receiving.join().unwrap();
        drop((writing.join().unwrap(), sending.join().unwrap()));
    });
}

#[test]
fn a_pong_goes_out_while_a_message_in_fragments_waits_for_its_rest() {
    explore(3, || {
        let (mut receiver, sender, mut peer) = connection(PLENTY, PLENTY);
        peer.send(Opcode::Ping, b"1");
        let receiving = spawn(move || receiver.recv().unwrap_err());
        let mut writer = sender.writer(MessageKind::Binary).unwrap();
        writer.write_all(b"a").unwrap();
        writer.flush().unwrap();
        // The rest is not written before the Pong has arrived.
        while peer.frame().unwrap().opcode != Opcode::Pong {}
        writer.finish().unwrap();
        peer.close(1000);
        while peer.frame().is_some() {}
        receiving.join().unwrap();
    });
}
