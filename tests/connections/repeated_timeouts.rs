//! Timeouts of any length, and very many of them: nothing is lost, and no time overflows.

#![allow(clippy::unwrap_used)] // `clippy.toml` allows it in test functions only.

use crate::support;

use std::io::ErrorKind;
use std::net::TcpStream;
use std::time::Duration;

use landline::{CloseCode, Error, Keepalive, Message, Timeout};
use support::streams::{Call, Judged};
use support::*;

/// Makes numbers that look random, and that are the same in each run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        // This is a xorshift generator.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

#[test]
fn a_thousand_timeouts_in_the_middle_of_frames_lose_nothing() {
    watchdog(LIMIT, || {
        let message = |n: usize| match n % 3 {
            0 => Message::from(format!("grüße {n}")),
            1 => Message::from(vec![n.to_le_bytes()[0]; n * 7]),
            _ => Message::from(String::new()),
        };
        let server = upgraded(move |peer| {
            for n in 0..100 {
                let message = message(n);
                let opcode = if message.as_text().is_some() { TEXT } else { BINARY };
                let (front, back) = message.as_bytes().split_at(message.as_bytes().len() / 2);
                let parts = [frame(opcode, false, front), ping(b"?"), frame(0, true, back)];
                peer.send(&parts.concat());
            }
            peer.stall()
        });
        let stream = TcpStream::connect(server.addr).unwrap();
        let mut numbers = Numbers(0x1234_5678_9abc_def1);
        let stream = Judged::new(stream, 37, move |_, call| match call {
            Call::Read if numbers.below(8) != 0 => Err(ErrorKind::WouldBlock.into()),
            _ => Ok(()),
        });
        let mut ws = builder().connect_over("ws://stream.test/", stream).unwrap();
        let mut numbers = Numbers(42);
        let (mut next, mut timeouts) = (0, 0);
        while next < 100 {
            let timeout = Duration::from_nanos(numbers.below(3) * 400);
            match ws.recv_timeout(timeout) {
                Ok(received) => {
                    assert_eq!(received, message(next));
                    next += 1;
                }
                Err(Error::Timeout(Timeout::Recv)) => timeouts += 1,
                Err(other) => panic!("{other:?}"),
            }
        }
        assert!(timeouts >= 1000, "only {timeouts}");
        drop(ws);
        let frames = server.join();
        assert!(frames.iter().any(|frame| frame.opcode == PONG));
    });
}

#[test]
fn a_stream_that_is_interrupted_again_and_again_does_not_extend_a_timeout() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| peer.stall());
        let stream = TcpStream::connect(server.addr).unwrap();
        let mut calls = 0;
        let stream = Judged::new(stream, usize::MAX, move |_, call| {
            calls += 1;
            if call == Call::Read && calls > 20 && calls % 5 != 0 {
                // A signal that comes during a blocked read has this effect.
                std::thread::sleep(Duration::from_millis(1));
                return Err(ErrorKind::Interrupted.into());
            }
            Ok(())
        });
        let mut ws = builder().connect_over("ws://interrupted/", stream).unwrap();
        let said = takes(SHORT, || error(ws.recv_timeout(SHORT)));
        assert!(matches!(said, Error::Timeout(Timeout::Recv)), "{said:?}");
        drop(ws);
        server.join();
    });
}

#[test]
fn timeouts_that_are_too_long_to_add_to_the_time_are_no_timeouts() {
    watchdog(LIMIT, || {
        for most in [
            Duration::MAX,
            Duration::from_secs(u64::MAX),
            Duration::from_secs(i64::MAX.unsigned_abs()),
            Duration::from_secs(i64::MAX.unsigned_abs() / 2),
            Duration::from_secs(u64::from(u32::MAX)),
            Duration::from_millis(i64::MAX.unsigned_abs()),
        ] {
            let server = upgraded(|peer| {
                while let Some(frame) = peer.next_frame() {
                    peer.send(&support::frame(frame.opcode, true, &frame.payload));
                    if frame.opcode == CLOSE {
                        return;
                    }
                }
            });
            let builder = builder()
                .open_timeout(most)
                .write_timeout(most)
                .close_timeout(most)
                .keepalive(Keepalive::new(most, most));
            // The lookup of a name waits for a thread by a deadline.
            let url = format!("ws://localhost:{}/", server.addr.port());
            let mut ws = builder.connect(&url).unwrap();
            ws.send("still").unwrap();
            assert_eq!(ws.recv_timeout(most).unwrap(), Message::from("still"));
            let sender = ws.sender();
            let writer = sender.writer(landline::MessageKind::Text).unwrap();
            // Another message waits without a limit, and is sent when the writer is dropped.
            let other = ws.sender();
            let waiting = spawn(move || other.send("here").unwrap());
            drop(writer);
            waiting.join();
            assert!(matches!(ws.next_event_timeout(most).unwrap(), landline::Event::Text("here")));
            assert!(ws.close(CloseCode::NORMAL).unwrap().is_clean(), "{most:?}");
            server.join();
        }
    });
}

#[test]
fn a_peer_that_reads_32_bytes_at_a_time_gets_the_whole_message() {
    watchdog(LIMIT, || {
        let server = serve_on(small_listener(), |peer| {
            peer.upgrade();
            let mut received = Vec::new();
            let mut some = [0; 32];
            loop {
                match std::io::Read::read(&mut peer.socket(), &mut some).unwrap() {
                    0 => break,
                    len => received.extend_from_slice(&some[..len]),
                }
            }
            let message = take_frame(&mut received).unwrap();
            // Dropping does not wait for room for the Close, so it may be missing.
            let close = take_frame(&mut received);
            assert!(close.is_none_or(|frame| frame.close_code() == Some(1001)));
            assert_eq!(received, []);
            message.payload
        });
        let builder =
            builder().on_socket(|socket| socket2::SockRef::from(socket).set_send_buffer_size(2048));
        let ws = builder.connect(&server.url()).unwrap();
        let message: Vec<u8> =
            (0..300_000_u32).map(|n| n.to_be_bytes()[2] ^ n.to_be_bytes()[3]).collect();
        ws.send(&message).unwrap();
        drop(ws);
        assert!(server.join() == message);
    });
}
