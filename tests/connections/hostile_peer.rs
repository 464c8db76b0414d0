//! Peers that break RFC 6455, on a real socket. The tests check the Close that reaches the peer,
//! and that each later call returns the same error. Other peers try to guess the masking keys.

#![allow(clippy::unwrap_used)] // `clippy.toml` allows it in test functions only.

use crate::support;

use std::time::Duration;

use landline::error::{Cause, Side, Violation};
use landline::{Builder, Error, Message};
use support::*;

/// Has a peer send a whole message, then `bytes`, then another whole message, in one segment.
/// Checks the error, and that the peer gets a Close with `code`.
fn violates(builder: Builder, bytes: &[u8], violation: Violation, code: u16) {
    let bytes = [&text("before")[..], bytes, &text("after")].concat();
    let what = format!("{violation:?}");
    let server = upgraded(move |peer| {
        peer.send(&bytes);
        peer.expect_close(code);
        peer.expect_end();
    });
    let mut ws = builder.connect(&server.url()).unwrap();
    let sender = ws.sender();
    promptly(|| {
        assert_eq!(ws.recv().unwrap(), Message::from("before"), "{what}");
        for _ in 0..3 {
            match error(ws.recv()) {
                Error::Protocol(found) => assert_eq!(found, violation),
                other => panic!("{what}: {other:?}"),
            }
        }
        let refused = error(sender.send("too late"));
        let closed = refused.closed().unwrap_or_else(|| panic!("{what}: {refused:?}"));
        assert!(matches!(closed.cause(), Cause::Protocol(found) if *found == violation));
        assert_eq!(closed.initiator(), Some(Side::Local));
        assert_eq!(closed.local().and_then(|close| close.code).map(u16::from), Some(code));
        assert!(!closed.is_clean());
        assert!(closed.peer().is_none());
        assert!(!sender.is_open());
        assert!(error(sender.ping(b"")).closed().is_some());
        // The peer reads our Close while this end still exists.
        server.join();
    });
}

fn check(cases: &'static [(&'static [u8], Violation)], code: u16) {
    watchdog(LIMIT, move || {
        for &(bytes, violation) in cases {
            violates(builder(), bytes, violation, code);
        }
    });
}

#[test]
fn a_peer_that_sets_reserved_bits_gets_1002() {
    let cases: &[(&[u8], _)] = &[
        (b"\xc1\x05Hello", Violation::ReservedBits),
        (b"\xa1\x00", Violation::ReservedBits),
        (b"\x91\x00", Violation::ReservedBits),
        (b"\xc9\x00", Violation::ReservedBits),
        (b"\xd8\x00", Violation::ReservedBits),
    ];
    check(cases, 1002);
}

#[test]
fn a_peer_that_uses_a_reserved_opcode_gets_1002() {
    watchdog(LIMIT, || {
        for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
            let violation = Violation::ReservedOpcode(opcode);
            violates(builder(), &[0x80 | opcode, 0], violation, 1002);
            violates(builder(), &[opcode, 1, b'x'], violation, 1002);
        }
    });
}

#[test]
fn a_peer_that_masks_its_frames_gets_1002() {
    let cases: &[(&[u8], _)] = &[
        (b"\x81\x85\0\0\0\0Hello", Violation::MaskedFrame),
        (b"\x89\x80\0\0\0\0", Violation::MaskedFrame),
        (b"\x88\x80\0\0\0\0", Violation::MaskedFrame),
    ];
    check(cases, 1002);
}

#[test]
fn a_peer_whose_lengths_are_wrong_gets_1002() {
    let cases: &[(&[u8], _)] = &[
        (b"\x81\x7e\0\x05Hello", Violation::NonMinimalLength),
        (b"\x81\x7f\0\0\0\0\0\0\0\x05Hello", Violation::NonMinimalLength),
        (b"\x82\x7f\0\0\0\0\0\0\xff\xff", Violation::NonMinimalLength),
        (b"\x82\x7f\x80\0\0\0\0\0\0\x01", Violation::LengthTopBit),
    ];
    check(cases, 1002);
}

#[test]
fn a_peer_that_breaks_the_rules_of_control_frames_gets_1002() {
    let cases: &[(&[u8], _)] = &[
        (b"\x09\x00", Violation::FragmentedControl),
        (b"\x0a\x00", Violation::FragmentedControl),
        (b"\x08\x02\x03\xe8", Violation::FragmentedControl),
        (b"\x89\x7e\x00\x7e", Violation::ControlTooLong),
        (b"\x88\x7e\x00\x7e", Violation::ControlTooLong),
        (b"\x8a\x7f\0\0\0\0\0\x01\0\0", Violation::ControlTooLong),
    ];
    check(cases, 1002);
}

#[test]
fn a_peer_that_mixes_up_fragments_gets_1002() {
    let cases: &[(&[u8], _)] = &[
        (b"\x80\x00", Violation::UnexpectedContinuation),
        (b"\x00\x01a", Violation::UnexpectedContinuation),
        (b"\x01\x01a\x81\x01b", Violation::ExpectedContinuation),
        (b"\x02\x01a\x01\x01b", Violation::ExpectedContinuation),
    ];
    check(cases, 1002);
}

#[test]
fn a_peer_whose_close_frame_is_wrong_gets_1002_or_1007() {
    let cases: &[(&[u8], _)] = &[
        (b"\x88\x01\x03", Violation::CloseLength),
        (b"\x88\x02\x00\x00", Violation::CloseCode(0)),
        (b"\x88\x02\x03\xe7", Violation::CloseCode(999)),
        (b"\x88\x02\x03\xec", Violation::CloseCode(1004)),
        (b"\x88\x02\x03\xed", Violation::CloseCode(1005)),
        (b"\x88\x02\x03\xee", Violation::CloseCode(1006)),
        (b"\x88\x02\x03\xf7", Violation::CloseCode(1015)),
        (b"\x88\x02\x03\xf8", Violation::CloseCode(1016)),
        (b"\x88\x02\x04\x4c", Violation::CloseCode(1100)),
        (b"\x88\x02\x07\xd0", Violation::CloseCode(2000)),
        (b"\x88\x02\x0b\xb7", Violation::CloseCode(2999)),
        (b"\x88\x02\x13\x88", Violation::CloseCode(5000)),
        (b"\x88\x02\xff\xff", Violation::CloseCode(65535)),
    ];
    check(cases, 1002);
    check(&[(b"\x88\x04\x03\xe8\xc3\x28", Violation::CloseReason)], 1007);
}

#[test]
fn a_peer_whose_text_is_not_utf8_gets_1007() {
    let cases: &[(&[u8], _)] = &[
        (b"\x81\x01\xff", Violation::InvalidUtf8),
        (b"\x81\x03\xed\xa0\x80", Violation::InvalidUtf8),
        (b"\x81\x01\xc3", Violation::InvalidUtf8),
        (b"\x01\x01\xc3\x80\x01\x28", Violation::InvalidUtf8),
    ];
    check(cases, 1007);
}

#[test]
fn a_peer_whose_unfinished_text_cannot_become_utf8_gets_1007_at_once() {
    watchdog(LIMIT, || {
        // Neither the fragment nor the message is ever finished.
        for bytes in
            [&b"\x01\x04\xf4\x90\x80\x80"[..], b"\x81\x20\xf4\x90", b"\x01\x01\xf4\x80\x09\x90"]
        {
            let server = upgraded(move |peer| {
                peer.send(bytes);
                peer.expect_close(1007);
                peer.expect_end();
            });
            let mut ws = builder().connect(&server.url()).unwrap();
            promptly(|| {
                let said = error(ws.recv());
                assert!(matches!(said, Error::Protocol(Violation::InvalidUtf8)), "{said:?}");
                server.join();
            });
        }
    });
}

#[test]
fn a_peer_that_announces_too_much_gets_1009_before_it_sends_the_payload() {
    let cases: &[(&[u8], _)] = &[
        (b"\x82\x7f\x40\0\0\0\0\0\0\0", Violation::MessageTooBig),
        (b"\x81\x7f\x7f\xff\xff\xff\xff\xff\xff\xff", Violation::MessageTooBig),
        (b"\x82\x7f\0\0\0\0\x04\0\0\x01", Violation::MessageTooBig),
    ];
    check(cases, 1009);
    watchdog(LIMIT, || {
        let small = || builder().max_message_size(10);
        violates(small(), b"\x82\x0b", Violation::MessageTooBig, 1009);
        violates(small(), b"\x02\x0512345\x80\x06", Violation::MessageTooBig, 1009);
        // The header announces one byte more than 200 MiB, and no byte follows.
        let large = builder().max_message_size(200 << 20);
        violates(large, b"\x82\x7f\0\0\0\0\x0c\x80\0\x01", Violation::MessageTooBig, 1009);
        violates(builder().max_frame_size(10), b"\x82\x0b", Violation::FrameTooBig, 1009);
    });
}

#[test]
fn a_peer_that_sends_as_much_as_is_allowed_is_received() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            peer.send(b"\x82\x0a1234567890\x02\x0512345\x80\x0567890");
            peer.stall()
        });
        let builder = builder().max_message_size(10).max_frame_size(10).max_fragments(2);
        let mut ws = builder.connect(&server.url()).unwrap();
        assert_eq!(ws.recv().unwrap(), Message::from(&b"1234567890"[..]));
        assert_eq!(ws.recv().unwrap(), Message::from(&b"1234567890"[..]));
        drop(ws);
        assert_eq!(server.join()[0].close_code(), Some(1001));
    });
}

#[test]
fn a_peer_that_never_finishes_its_message_gets_1008() {
    watchdog(LIMIT, || {
        let fragments = [b"\x02\x01a".to_vec(), b"\x00\x01b".repeat(3)].concat();
        let few = builder().max_fragments(3);
        violates(few, &fragments, Violation::TooManyFragments, 1008);
        let empty = [b"\x01\x00".to_vec(), b"\x00\x00".repeat(1024)].concat();
        violates(builder(), &empty, Violation::TooManyEmptyFragments, 1008);
    });
}

#[test]
fn a_peer_that_keeps_sending_after_its_violation_still_gets_our_close() {
    watchdog(LIMIT, || {
        // These are far more bytes than any receive buffer holds, and the peer reads only when all
        // are sent. If the socket were closed with unread bytes, the connection would be reset.
        let server = upgraded(|peer| {
            let rest = [text("before"), vec![0x83, 0]].concat();
            peer.send(&[rest, vec![0; 256 * 1024]].concat());
            peer.expect_close(1002);
            peer.expect_end();
        });
        let mut ws = builder().connect(&server.url()).unwrap();
        assert_eq!(ws.recv().unwrap(), Message::from("before"));
        assert!(matches!(error(ws.recv()), Error::Protocol(Violation::ReservedOpcode(3))));
        drop(ws);
        server.join();
    });
}

#[test]
fn a_peer_that_announces_much_and_sends_little_delivers_nothing() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            // The header announces 64 MiB, exactly the limit.
            peer.send(b"\x82\x7f\0\0\0\0\x04\0\0\0only this");
            peer.fin();
            peer.stall()
        });
        let mut ws = builder().connect(&server.url()).unwrap();
        let closed = error(ws.recv()).closed().cloned().unwrap();
        assert!(matches!(closed.cause(), Cause::Eof), "{closed:?}");
        assert_eq!(closed.code().value(), 1006);
        drop(ws);
        assert_eq!(server.join(), []);
    });
}

#[test]
fn a_peer_that_ends_the_stream_anywhere_in_a_frame_delivers_no_part_of_it() {
    watchdog(LIMIT, || {
        let short = [&b"\x82\x7e\x00\x80"[..], &[7; 128]].concat();
        let long = [&b"\x82\x7f\0\0\0\0\0\x01\0\0"[..], &[7; 65_536]].concat();
        let cuts =
            [&short, &long].map(|whole| (0..=14).chain([whole.len() - 1]).map(|cut| &whole[..cut]));
        for part in cuts.into_iter().flatten() {
            let cut = part.len();
            for reset in [false, true] {
                let bytes = [text("whole"), part.to_vec()].concat();
                let server = upgraded(move |peer| {
                    peer.send(&bytes);
                    peer.expect(TEXT, b"got it");
                    if reset {
                        peer.rst()
                    } else {
                        peer.fin()
                    }
                    peer.stall();
                });
                let mut ws = builder().connect(&server.url()).unwrap();
                promptly(|| {
                    assert_eq!(ws.recv().unwrap(), Message::from("whole"));
                    ws.send("got it").unwrap();
                    for _ in 0..2 {
                        let closed = error(ws.recv()).closed().cloned().unwrap();
                        match closed.cause() {
                            Cause::Eof => assert!(!reset, "{cut}: {closed:?}"),
                            Cause::Io(_) => assert!(reset, "{cut}: {closed:?}"),
                            other => panic!("{cut}: {other:?}"),
                        }
                        assert!(!closed.is_clean());
                        assert_eq!(closed.code().value(), 1006);
                        assert_eq!(closed.initiator(), None);
                    }
                });
                drop(ws);
                server.join();
            }
        }
    });
}

#[test]
fn a_peer_that_resets_after_whole_messages_delivers_all_that_came_and_then_one_error() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            let messages: Vec<_> = (0..100).flat_map(|n| text(&n.to_string())).collect();
            peer.send(&messages);
            // All come in one segment, so a client that has the first has all.
            peer.expect(TEXT, b"got it");
            peer.rst();
        });
        let mut ws = builder().connect(&server.url()).unwrap();
        for n in 0..100 {
            assert_eq!(ws.recv().unwrap().as_text(), Some(&*n.to_string()));
            if n == 0 {
                ws.send("got it").unwrap();
            }
        }
        for _ in 0..2 {
            let closed = error(ws.recv()).closed().cloned().unwrap();
            assert!(matches!(closed.cause(), Cause::Io(_)), "{closed:?}");
            assert_eq!((closed.code().value(), closed.is_clean()), (1006, false));
        }
        server.join();
    });
}

#[test]
fn bytes_after_the_close_of_a_peer_are_not_received() {
    watchdog(LIMIT, || {
        for more in [text("late"), ping(b"late"), close(1001, ""), b"\xff\xff\xff".to_vec()] {
            let bytes = [text("in time"), close(1000, "bye"), more].concat();
            let server = upgraded(move |peer| {
                peer.send(&bytes);
                peer.expect_close(1000);
                peer.expect_end();
            });
            let mut ws = builder().connect(&server.url()).unwrap();
            assert_eq!(ws.recv().unwrap(), Message::from("in time"));
            for _ in 0..2 {
                let closed = error(ws.recv()).closed().cloned().unwrap();
                assert!(closed.is_clean());
                assert_eq!((closed.code().value(), closed.reason()), (1000, "bye"));
                assert_eq!(closed.initiator(), Some(Side::Peer));
            }
            drop(ws);
            server.join();
        }
    });
}

#[test]
fn a_peer_that_closes_between_fragments_discards_its_message() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            peer.send(b"\x01\x01a\x88\x02\x03\xe8");
            peer.expect_close(1000);
        });
        let mut ws = builder().connect(&server.url()).unwrap();
        let closed = error(ws.recv()).closed().cloned().unwrap();
        assert!(closed.is_clean());
        drop(ws);
        server.join();
    });
}

#[test]
fn ten_thousand_frames_in_one_write_are_received_in_order() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            let frames: Vec<_> = (0..10_000).flat_map(|n| text(&n.to_string())).collect();
            peer.send(&frames);
            peer.stall()
        });
        let mut ws = builder().connect(&server.url()).unwrap();
        for n in 0..10_000 {
            assert_eq!(ws.recv().unwrap().as_text(), Some(&*n.to_string()));
        }
        drop(ws);
        server.join();
    });
}

#[test]
fn a_peer_that_breaks_the_protocol_while_we_send_gets_our_close_after_the_message() {
    watchdog(LIMIT, || {
        let server = serve_on(small_listener(), |peer| {
            peer.upgrade();
            peer.socket().peek(&mut [0]).unwrap(); // The message has begun.
            peer.send(&[0x83, 0]);
            // The peer goes on reading, and finds the whole message before the Close.
            let message = peer.next_frame().unwrap();
            assert_eq!(message.payload.len(), 8 << 20);
            peer.expect_close(1002);
        });
        let ws = builder().connect(&server.url()).unwrap();
        let (mut receiver, sender) = ws.split();
        let sending = spawn(move || sender.send(vec![1; 8 << 20]));
        let said = error(receiver.recv());
        assert!(matches!(said, Error::Protocol(Violation::ReservedOpcode(3))), "{said:?}");
        sending.join().unwrap();
        server.join();
    });
}

#[test]
fn a_peer_that_sends_its_frames_a_byte_at_a_time_is_understood() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            let frames = [text("grüße"), ping(b"p"), binary(&[9; 130]), close(1000, "ende")];
            peer.drip(&frames.concat(), Duration::ZERO);
            peer.expect(PONG, b"p");
            peer.expect_close(1000);
        });
        let mut ws = builder().connect(&server.url()).unwrap();
        assert_eq!(ws.recv().unwrap(), Message::from("grüße"));
        assert_eq!(ws.recv().unwrap(), Message::from(&[9; 130][..]));
        assert_eq!(error(ws.recv()).closed().unwrap().reason(), "ende");
        server.join();
    });
}

#[test]
fn a_peer_that_sends_more_empty_fragments_than_the_option_allows_gets_1008() {
    watchdog(LIMIT, || {
        let empty = |count: usize| [b"\x01\x00".to_vec(), b"\x00\x00".repeat(count - 1)].concat();
        let two = builder().max_empty_fragments(2);
        violates(two.clone(), &empty(3), Violation::TooManyEmptyFragments, 1008);
        for (builder, count) in [(two, 2), (builder().max_empty_fragments(None), 5000)] {
            let message = [&empty(count)[..], b"\x80\x01a"].concat();
            let server = upgraded(move |peer| {
                peer.send(&message);
                peer.expect_close(1001);
            });
            let mut ws = builder.connect(&server.url()).unwrap();
            assert_eq!(ws.recv().unwrap(), Message::from("a"));
            drop(ws);
            server.join();
        }
    });
}

#[test]
fn the_outcome_is_known_after_a_violation() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            peer.send(&[&text("before")[..], &[0x83, 0]].concat());
            peer.expect_close(1002);
            peer.expect_end();
        });
        let mut ws = builder().connect(&server.url()).unwrap();
        assert_eq!(ws.recv().unwrap(), Message::from("before"));
        assert!(ws.closed().is_none());
        assert!(matches!(error(ws.recv()), Error::Protocol(Violation::ReservedOpcode(3))));
        let closed = ws.closed().unwrap();
        assert!(matches!(closed.cause(), Cause::Protocol(Violation::ReservedOpcode(3))));
        assert_eq!(closed.local().and_then(|close| close.code).map(u16::from), Some(1002));
        assert_eq!(closed.peer(), None);
        assert!(!closed.is_clean());
        let (receiver, _sender) = ws.split();
        assert_eq!(receiver.closed().unwrap().initiator(), Some(Side::Local));
        server.join();
    });
}

/// Tests RFC 6455 section 5.3: the masking keys are fresh, and no peer can guess the next one.
mod masking_keys {
    use std::collections::{HashMap, HashSet};
    use std::io::Read as _;

    use super::*;

    /// Returns the masking keys of `count` frames of a new connection.
    fn keys(count: usize) -> Vec<[u8; 4]> {
        let server = upgraded(move |peer| {
            // A frame without a payload is two bytes and its key.
            let mut frames = vec![0; count * 6];
            peer.socket().read_exact(&mut frames).unwrap();
            let keys = frames.chunks_exact(6).map(|frame| {
                assert_eq!(frame[..2], [0x82, 0x80], "an empty, masked binary message");
                *frame.last_chunk().unwrap()
            });
            keys.collect()
        });
        let ws = builder().connect(&server.url()).unwrap();
        for _ in 0..count / 1000 {
            ws.sender().send_all([&b""[..]; 1000]).unwrap();
        }
        server.join()
    }

    /// Returns how far the counts of 256 values are from even. For random values 255 is usual, with
    /// a standard deviation of 23.
    fn chi_square(values: impl Iterator<Item = u8>) -> f64 {
        let mut counts = [0_u32; 256];
        values.for_each(|value| counts[usize::from(value)] += 1);
        let expected = f64::from(counts.iter().sum::<u32>()) / 256.0;
        counts.iter().map(|&count| (f64::from(count) - expected).powi(2) / expected).sum()
    }

    #[test]
    fn a_peer_that_sees_200_000_keys_cannot_guess_the_next() {
        watchdog(LIMIT, || {
            let keys = keys(200_000);
            let distinct: HashSet<_> = keys.iter().collect();
            // About five keys come twice by chance.
            assert!(keys.len() - distinct.len() < 30, "{} of {}", distinct.len(), keys.len());
            assert!(keys.iter().filter(|key| **key == [0; 4]).count() < 2);
            let even = |what: &str, values: &mut dyn Iterator<Item = u8>| {
                let distance = chi_square(values);
                assert!((120.0..420.0).contains(&distance), "{what}: {distance}");
            };
            for at in 0..4 {
                even("a byte", &mut keys.iter().map(|key| key[at]));
                let pairs = || keys.windows(2).map(|pair| (pair[0][at], pair[1][at]));
                even("a step", &mut pairs().map(|(one, next)| next.wrapping_sub(one)));
                even("a change", &mut pairs().map(|(one, next)| next ^ one));
                // 512 random bytes, which are 128 keys, are fetched from the system at a time.
                let pools = || keys.iter().zip(keys.iter().skip(128));
                even("a pool", &mut pools().map(|(one, next)| next[at].wrapping_sub(one[at])));
            }
            for (one, other) in [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)] {
                even("two bytes", &mut keys.iter().map(|key| key[one].wrapping_sub(key[other])));
            }
        });
    }

    #[test]
    fn a_peer_of_two_connections_sees_other_keys_in_each() {
        watchdog(LIMIT, || {
            let mut seen: HashMap<[u8; 4], usize> = HashMap::new();
            for connection in 0..10 {
                for key in keys(1000) {
                    seen.entry(key).or_insert(connection);
                }
            }
            // By chance none or one of 10,000 keys comes twice.
            assert!(seen.len() > 9_990, "{}", seen.len());
        });
    }
}
