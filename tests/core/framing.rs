//! RFC 6455 section 5: frames on the wire, in both directions.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)] // A test may panic.

/// The examples of section 5.7, and the vectors of Python's websocket-client.
mod section_5_7_examples {
    use landline::error::Violation;
    use landline::proto::frame::Opcode;

    use crate::proto_support::{Binary, Ping, Pong, encoder, hex, outcome, text};

    const RFC: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

    #[test]
    fn the_peer_sends_the_examples_of_the_rfc_and_we_read_them() {
        let long = |header: &str, len: usize| [hex(header), vec![0x5a; len]].concat();
        let rows = [
            (hex("81 05 48 65 6c 6c 6f"), text("Hello")),
            (hex("01 03 48 65 6c 80 02 6c 6f"), text("Hello")),
            (hex("89 05 48 65 6c 6c 6f"), Ping(b"Hello".to_vec())),
            (hex("8a 05 48 65 6c 6c 6f"), Pong(b"Hello".to_vec())),
            (long("82 7e 0100", 256), Binary(vec![0x5a; 256])),
            (long("82 7f 0000000000010000", 65_536), Binary(vec![0x5a; 65_536])),
        ];
        for (bytes, event) in rows {
            assert_eq!(outcome(&bytes), (vec![event], None));
        }
    }

    #[test]
    fn we_send_the_masked_examples_of_the_rfc() {
        let mut out = Vec::new();
        let mut encoder = encoder(RFC);
        encoder.begin(Opcode::Text, true, 5, &mut out).unwrap().append(b"Hello", &mut out);
        assert_eq!(out, hex("81 85 37 fa 21 3d 7f 9f 4d 51 58"));
        out.clear();
        encoder.control(Opcode::Pong, b"Hello", &mut out).unwrap();
        assert_eq!(out, hex("8a 85 37 fa 21 3d 7f 9f 4d 51 58"));
    }

    #[test]
    fn we_send_the_vectors_of_websocket_client() {
        let rows: [(u8, &str, &str); 5] = [
            (0x81, "Hello", "81 85 61626364 29 07 0f 08 0e"),
            (0x81, "こんにちは", "81 8f 61626364 82e3f087e3f180e5ca81e2c582e3cc"),
            (0x01, "Too much ", "01 89 61626364 350d0c440c17000c41"),
            (0x89, "Please PONG this", "89 90 61626364 310e0605120743342e2c2444150a0a17"),
            (0x80, "of a good thing", "80 8f 61626364 0e04430541050c0b0542170c080c04"),
        ];
        for (first, payload, bytes) in rows {
            let mut out = Vec::new();
            let mut encoder = encoder(*b"abcd");
            let opcode = Opcode::from_bits(first & 0x0f).unwrap();
            let len = payload.len() as u64;
            let mut body = encoder.begin(opcode, first & 0x80 != 0, len, &mut out).unwrap();
            body.append(payload.as_bytes(), &mut out);
            assert_eq!(out, hex(bytes), "{payload}");
        }
    }

    #[test]
    fn the_peer_masks_the_same_vectors_and_we_fail_the_connection() {
        for bytes in [
            "81 85 61626364 29 07 0f 08 0e",
            "81 8f 61626364 82e3f087e3f180e5ca81e2c582e3cc",
            "81 85 37 fa 21 3d 7f 9f 4d 51 58",
            "8a 85 37 fa 21 3d 7f 9f 4d 51 58",
        ] {
            assert_eq!(outcome(&hex(bytes)), (vec![], Some(Violation::MaskedFrame)), "{bytes}");
        }
    }
}

mod section_5_1_masked_server_frames {
    use landline::error::Violation;

    use crate::proto_support::{hex, outcome, text};

    #[test]
    fn the_peer_masks_a_frame_and_we_deliver_nothing_of_it() {
        let rows = [
            "81 85 00 00 00 00 48 65 6c 6c 6f",
            "81 80 00 00 00 00",
            "82 85 01 02 03 04 48 65 6c 6c 6f",
            "81 fe 00 7e",
            "82 ff 00 00",
            "01 85",
            "88 80",
            "88 82 00 00 00 00 03 e8",
            "89 80 00 00 00 00",
            "8a fe",
        ];
        for row in rows {
            assert_eq!(outcome(&hex(row)), (vec![], Some(Violation::MaskedFrame)), "{row}");
        }
        let after = hex("81 01 61 81 81 00 00 00 00 62");
        assert_eq!(outcome(&after), (vec![text("a")], Some(Violation::MaskedFrame)));
        assert_eq!(Violation::MaskedFrame.close_code().value(), 1002);
    }
}

mod section_5_2_base_framing {
    use landline::error::Violation;
    use landline::proto::frame::{Header, MAX_HEADER, Opcode};

    use crate::proto_support::{
        Binary, Outcome, client_frames, encoder, frame, hex, outcome, text,
    };

    fn rejected(row: &str) -> Violation {
        let (events, violation) = outcome(&hex(row));
        assert_eq!(events, [], "{row}");
        let violation = violation.unwrap_or_else(|| panic!("accepted: {row}"));
        assert_eq!(violation.close_code().value(), 1002, "{row}");
        assert!(!violation.is_limit());
        violation
    }

    #[test]
    fn the_peer_sets_a_reserved_bit_and_we_fail_the_connection() {
        for opcode in 0..16u8 {
            for rsv in 1..8u8 {
                for fin in [0, 0x80] {
                    let first = fin | rsv << 4 | opcode;
                    for rest in ["", "00", "05 48 65 6c 6c 6f", "80 00 00 00 00"] {
                        let row = format!("{first:02x} {rest}");
                        assert_eq!(rejected(&row), Violation::ReservedBits, "{row}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_peer_uses_a_reserved_opcode_and_we_fail_the_connection() {
        for opcode in [3, 4, 5, 6, 7, 0xb, 0xc, 0xd, 0xe, 0xf] {
            for fin in [0, 0x80] {
                for rest in ["", "00", "05 48 65 6c 6c 6f", "7f", "85 00 00 00 00"] {
                    let row = format!("{:02x} {rest}", fin | opcode);
                    assert_eq!(rejected(&row), Violation::ReservedOpcode(opcode), "{row}");
                }
            }
        }
    }

    #[test]
    fn the_peer_writes_a_length_longer_than_needed_and_we_fail_the_connection() {
        for row in [
            "81 7e 00 05 48 65 6c 6c 6f",
            "82 7e 00 00",
            "82 7e 00 7d",
            "81 7f 00 00 00 00 00 00 00 05 48 65 6c 6c 6f",
            "81 7f 00 00 00 00 00 00 00 00",
            "81 7f 00 00 00 00 00 00 00 7e",
            "81 7f 00 00 00 00 00 00 ff ff",
            "02 7f 00 00 00 00 00 00 ff ff",
            // Whatever the last two bytes are.
            "82 7f 00 00 00 00 00 00",
        ] {
            assert_eq!(rejected(row), Violation::NonMinimalLength, "{row}");
        }
        for row in ["82 7f 00 00 00 00 00", "82 7f 00 00 00 00 00 01", "82 7e 00"] {
            assert_eq!(outcome(&hex(row)), (vec![], None), "{row}");
            assert_eq!(Header::decode(&hex(row)), Ok(None), "{row}");
        }
    }

    #[test]
    fn the_peer_sets_the_top_bit_of_a_64_bit_length_and_we_fail_at_that_byte() {
        for row in [
            "82 7f 80 00 00 00 00 00 00 01",
            "82 7f ff ff ff ff ff ff ff ff",
            "81 7f 80",
            "01 7f c0 00",
        ] {
            assert_eq!(rejected(row), Violation::LengthTopBit, "{row}");
        }
    }

    const LENGTHS: [usize; 12] =
        [0, 1, 2, 125, 126, 127, 128, 65_535, 65_536, 65_537, (1 << 20) - 1, (1 << 20) + 1];

    #[test]
    fn a_header_that_we_encode_decodes_to_itself() {
        let lens = LENGTHS.iter().map(|&len| len as u64).chain([1 << 20, 1 << 40, u64::MAX >> 1]);
        for len in lens {
            for bits in [0, 1, 2, 8, 9, 10] {
                let opcode = Opcode::from_bits(bits).unwrap();
                assert_eq!((opcode.bits(), opcode.is_control()), (bits, bits >= 8));
                if opcode.is_control() && len > 125 {
                    continue;
                }
                for fin in [true, opcode.is_control()] {
                    for rsv in 0..8 {
                        for mask in [None, Some([1, 2, 3, 4])] {
                            round_trip(Header { fin, rsv, opcode, mask, len });
                        }
                    }
                }
            }
        }
    }

    fn round_trip(header: Header) {
        let mut bytes = Vec::new();
        header.encode(&mut bytes);
        assert!(bytes.len() <= MAX_HEADER);
        for part in 0..bytes.len() {
            assert_eq!(Header::decode(&bytes[..part]), Ok(None), "{header:?} cut at {part}");
        }
        assert_eq!(Header::decode(&bytes), Ok(Some((header, bytes.len()))));
        let taken = bytes.len();
        bytes.extend_from_slice(b"payload");
        assert_eq!(Header::decode(&bytes), Ok(Some((header, taken))));
    }

    #[test]
    fn opcodes_that_the_rfc_reserves_are_none() {
        for bits in 0..=255u8 {
            let known = matches!(bits, 0..=2 | 8..=10);
            assert_eq!(Opcode::from_bits(bits).is_some(), known, "{bits:#x}");
        }
    }

    #[test]
    fn the_peer_sends_payloads_of_all_the_edge_lengths_and_we_deliver_their_bytes() {
        for len in LENGTHS {
            let letters: String = (0..len).map(|at| char::from(b'a' + (at % 26) as u8)).collect();
            assert_one(outcome(&frame(0x81, letters.as_bytes())), &text(&letters), len);
            let bytes: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
            assert_one(outcome(&frame(0x82, &bytes)), &Binary(bytes), len);
        }
    }

    fn assert_one(
        (events, violation): Outcome,
        event: &crate::proto_support::OwnedEvent,
        len: usize,
    ) {
        assert_eq!(violation, None, "{len}");
        assert!(events.len() == 1 && events[0] == *event, "a payload of {len} bytes differs");
    }

    #[test]
    fn we_send_payloads_of_all_the_edge_lengths_whole_and_in_parts() {
        for len in LENGTHS {
            let payload: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
            for step in [1, 3, 7, 4_096, usize::MAX] {
                if len / step > 70_000 {
                    continue;
                }
                let mut out = b"before".to_vec();
                let mut encoder = encoder([0xde, 0xad, 0xbe, 0xef]);
                let mut body = encoder.begin(Opcode::Binary, true, len as u64, &mut out).unwrap();
                for part in payload.chunks(step) {
                    body.append(part, &mut out);
                }
                assert_eq!(&out[..6], b"before");
                let frames = client_frames(&out[6..]);
                assert_eq!(frames.len(), 1);
                assert_eq!((frames[0].first, frames[0].key), (0x82, [0xde, 0xad, 0xbe, 0xef]));
                assert!(frames[0].payload == payload, "{len} in parts of {step}");
            }
        }
    }
}

/// All values of the first two bytes, compared with a model that follows the tables of the RFC.
mod section_5_2_exhaustively {
    use landline::error::Violation;
    use landline::proto::recv::{Decoder, DeliveryMode, Limits};

    use crate::proto_support::{Binary, Close, OwnedEvent, Ping, Pong, Steps, Text};

    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Class {
        More,
        Data,
        Control,
        Reserved,
    }
    use Class::{Control as C, Data as D, More as M, Reserved as R};

    const CLASSES: [Class; 16] = [M, D, D, R, R, R, R, R, C, C, C, R, R, R, R, R];

    /// Returns what a decoder must find in two bytes and many zeros after them.
    fn model(first: u8, second: u8) -> (Option<OwnedEvent>, Option<Violation>) {
        let opcode = first % 16;
        let (fin, len) = (first >= 128, second % 128);
        let zeros = vec![0; len.into()];
        let broken = |violation| (None, Some(violation));
        match CLASSES[usize::from(opcode)] {
            _ if first / 16 % 8 != 0 => broken(Violation::ReservedBits),
            R => broken(Violation::ReservedOpcode(opcode)),
            C if !fin => broken(Violation::FragmentedControl),
            M => broken(Violation::UnexpectedContinuation),
            _ if second >= 128 => broken(Violation::MaskedFrame),
            C if len > 125 => broken(Violation::ControlTooLong),
            _ if len > 125 => broken(Violation::NonMinimalLength),
            // The zeros after the frame are empty continuations.
            D if !fin => (None, None),
            // The zeros after the frame are a continuation, but no message is open.
            _ => match (opcode, len) {
                (1, _) => (
                    Some(Text(String::from_utf8(zeros).unwrap())),
                    Some(Violation::UnexpectedContinuation),
                ),
                (2, _) => (Some(Binary(zeros)), Some(Violation::UnexpectedContinuation)),
                (8, 0) => (Some(Close(Default::default())), None),
                (8, 1) => broken(Violation::CloseLength),
                (8, _) => broken(Violation::CloseCode(0)),
                (9, _) => (Some(Ping(zeros)), Some(Violation::UnexpectedContinuation)),
                _ => (Some(Pong(zeros)), Some(Violation::UnexpectedContinuation)),
            },
        }
    }

    #[test]
    fn the_peer_sends_any_two_bytes_and_zeros_and_we_judge_them_as_the_tables_of_the_rfc_do() {
        let mut bytes = [0; 132];
        for first in 0..=255 {
            for second in 0..=255 {
                (bytes[0], bytes[1]) = (first, second);
                for (cut, delivery) in [
                    (132, DeliveryMode::Whole),
                    (1, DeliveryMode::Whole),
                    (2, DeliveryMode::Fragments),
                ] {
                    let mut decoder = Decoder::new(Limits::default());
                    let mut steps = Steps::default();
                    let mut violation = None;
                    for part in [&bytes[..cut], &bytes[cut..]] {
                        decoder.feed(part);
                        violation = steps.take(&mut decoder, delivery, false).err();
                    }
                    let (event, expected) = model(first, second);
                    assert_eq!(violation, expected, "{first:02x} {second:02x} cut at {cut}");
                    assert_eq!(
                        steps.events,
                        event.into_iter().collect::<Vec<_>>(),
                        "{first:02x} {second:02x} cut at {cut}"
                    );
                }
            }
        }
    }
}

mod section_5_3_masking {
    use std::sync::{Arc, Mutex};

    use landline::proto::frame::Opcode;
    use landline::proto::mask::mask_into;
    use landline::proto::send::{EncodeError, Encoder, MaskKeys};
    use landline::{CloseCode, CloseFrame};

    use crate::proto_support::client_frames;

    #[test]
    fn masking_is_the_byte_loop_of_the_rfc_at_all_lengths_and_offsets() {
        let source: Vec<u8> = (0..70_000).map(|at| (at * 31 % 256) as u8).collect();
        let key = [0x37, 0xfa, 0x21, 0x3d];
        let large = [1_000, 4_095, 4_096, 65_536, 65_543, 69_999];
        for len in (0..=64).chain(large) {
            for offset in (0..=7).chain([u64::from(u32::MAX), u64::MAX - 70_000]) {
                let mut out = vec![0xaa; 3];
                mask_into(&mut out, &source[..len], key, offset);
                let at = usize::try_from(offset % 4).unwrap();
                let mut expected = vec![0xaa; 3];
                for (i, byte) in source[..len].iter().enumerate() {
                    expected.push(byte ^ key[(i + at) % 4]);
                }
                assert!(out == expected, "{len} bytes at {offset}");
            }
        }
    }

    #[test]
    fn masking_twice_gives_the_payload_back_and_a_zero_key_leaves_it() {
        for key in [[0; 4], [255; 4], [1, 2, 3, 4]] {
            let (mut once, mut twice) = (Vec::new(), Vec::new());
            mask_into(&mut once, b"some payload", key, 0);
            mask_into(&mut twice, &once, key, 0);
            assert_eq!(twice, b"some payload");
            assert_eq!(once == twice, key == [0; 4]);
        }
    }

    /// Makes keys that count 0, 1, 2 and so on. Also returns how often bytes were asked for.
    fn counting() -> (MaskKeys, Arc<Mutex<u32>>) {
        let fills = Arc::new(Mutex::new(0));
        let counted = Arc::clone(&fills);
        let mut next = 0u32;
        let keys = MaskKeys::new(move |pool| {
            *counted.lock().unwrap() += 1;
            for key in pool.chunks_mut(4) {
                key.copy_from_slice(&next.to_be_bytes());
                next += 1;
            }
            Ok(())
        });
        (keys, fills)
    }

    #[test]
    fn each_frame_takes_the_next_key_of_the_source_and_no_key_comes_twice() {
        let (keys, fills) = counting();
        let mut encoder = Encoder::new(keys);
        let mut out = Vec::new();
        for at in 0..1_000u64 {
            match at % 3 {
                0 => encoder.control(Opcode::Ping, b"same", &mut out).unwrap(),
                1 => encoder
                    .begin(Opcode::Text, true, 4, &mut out)
                    .unwrap()
                    .append(b"same", &mut out),
                _ => encoder
                    .begin(Opcode::Binary, true, 4, &mut out)
                    .unwrap()
                    .append(b"same", &mut out),
            }
        }
        encoder.close(&CloseFrame::empty(), &mut out).unwrap();
        let keys: Vec<u32> =
            client_frames(&out).iter().map(|frame| u32::from_be_bytes(frame.key)).collect();
        assert_eq!(keys, (0..=1_000).collect::<Vec<_>>());
        assert!(*fills.lock().unwrap() <= 16, "a system call for each frame");
    }

    #[test]
    fn the_source_of_keys_fails_and_nothing_is_appended() {
        let mut encoder = Encoder::new(MaskKeys::new(|_| Err(EncodeError::NoRandom)));
        let mut out = b"before".to_vec();
        let begun = encoder.begin(Opcode::Text, true, 5, &mut out).map(|_| ());
        assert_eq!(begun, Err(EncodeError::NoRandom));
        assert_eq!(encoder.control(Opcode::Ping, b"x", &mut out), Err(EncodeError::NoRandom));
        let close = CloseFrame::from(CloseCode::NORMAL);
        assert_eq!(encoder.close(&close, &mut out), Err(EncodeError::NoRandom));
        assert_eq!(out, b"before");
        assert!(!encoder.is_closed(), "no Close was written");
    }

    #[test]
    fn the_source_of_keys_fails_once_in_between_and_no_old_key_is_used_again() {
        let mut fills = 0u8;
        let mut encoder = Encoder::new(MaskKeys::new(move |pool| {
            fills += 1;
            if fills == 2 {
                pool.fill(0xee); // A source may spoil what it cannot fill.
                return Err(EncodeError::NoRandom);
            }
            for (at, key) in pool.chunks_mut(4).enumerate() {
                key.copy_from_slice(&[fills, 0, 0, at as u8]);
            }
            Ok(())
        }));
        let mut out = Vec::new();
        let mut refused = 0;
        for _ in 0..200 {
            if encoder.control(Opcode::Ping, b"", &mut out).is_err() {
                refused += 1;
            }
        }
        let mut keys: Vec<[u8; 4]> = client_frames(&out).iter().map(|frame| frame.key).collect();
        assert_eq!((refused, keys.len()), (1, 199));
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), 199, "a key came twice");
        assert!(!keys.contains(&[0xee; 4]));
    }

    #[test]
    fn a_key_source_does_not_show_in_debug_output() {
        let (keys, _) = counting();
        assert_eq!(format!("{keys:?}"), "MaskKeys");
    }
}

mod limits_are_judged_on_the_header {
    use landline::error::Violation;
    use landline::proto::recv::{Decoder, DeliveryMode, Limits};

    use crate::proto_support::{Binary, announce, frame, limits, outcome_with};

    #[test]
    fn the_peer_announces_a_frame_of_the_limit_and_one_more() {
        for max in [0i64, 1, 125, 126, 1_000, 65_535, 65_536, 1 << 40] {
            for first in [0x81, 0x82, 0x01, 0x02] {
                for (len, ok) in [(max - 1, true), (max, true), (max + 1, false)] {
                    let Ok(len) = u64::try_from(len) else { continue };
                    let header = announce(first, len);
                    let max = u64::try_from(max).unwrap();
                    let frames = limits(|limits| {
                        limits.max_frame_size = Some(max);
                        limits.max_message_size = None;
                    });
                    let messages = limits(|limits| {
                        limits.max_frame_size = None;
                        limits.max_message_size = Some(max);
                    });
                    let (_, violation) = outcome_with(&header, frames);
                    assert_eq!(
                        violation,
                        (!ok).then_some(Violation::FrameTooBig),
                        "{len} of {max}"
                    );
                    let (_, violation) = outcome_with(&header, messages);
                    let expected = (!ok).then_some(Violation::MessageTooBig);
                    assert_eq!(violation, expected, "{len} of {max}");
                }
            }
        }
        assert_eq!(Violation::FrameTooBig.close_code().value(), 1009);
        assert_eq!(Violation::MessageTooBig.close_code().value(), 1009);
        assert!(Violation::FrameTooBig.is_limit() && Violation::MessageTooBig.is_limit());
    }

    #[test]
    fn the_peer_sends_exactly_the_limit_and_we_deliver_it() {
        let at = limits(|limits| {
            limits.max_frame_size = Some(300);
            limits.max_message_size = Some(300);
        });
        let bytes = frame(0x82, &[7; 300]);
        assert_eq!(outcome_with(&bytes, at), (vec![Binary(vec![7; 300])], None));
        let again = [bytes.clone(), bytes].concat();
        let twice = vec![Binary(vec![7; 300]); 2];
        assert_eq!(outcome_with(&again, at), (twice, None), "the limit is for each message");
    }

    #[test]
    fn the_default_limit_is_64_mib() {
        let most = 64 << 20;
        for (len, violation) in [(most, None), (most + 1, Some(Violation::MessageTooBig))] {
            assert_eq!(outcome_with(&announce(0x82, len), Limits::default()).1, violation);
        }
        assert_eq!(Limits::default().max_frame_size, None);
    }

    #[test]
    fn a_frame_may_be_as_long_as_its_message_if_it_has_no_limit_of_its_own() {
        const MIB: u64 = 1 << 20;
        for (message, frame, allowed) in [
            (Some(200 * MIB), None, 200 * MIB),
            (Some(MIB), None, MIB),
            (Some(200 * MIB), Some(70 * MIB), 70 * MIB),
            (Some(MIB), Some(70 * MIB), MIB),
            (None, Some(70 * MIB), 70 * MIB),
        ] {
            let limits = limits(|limits| {
                limits.max_message_size = message;
                limits.max_frame_size = frame;
            });
            let violation = |len| outcome_with(&announce(0x82, len), limits).1;
            assert_eq!(violation(allowed), None, "{message:?} {frame:?}");
            assert!(
                violation(allowed + 1).is_some_and(Violation::is_limit),
                "{message:?} {frame:?}"
            );
        }
        let none = limits(|limits| limits.max_message_size = None);
        assert_eq!(outcome_with(&announce(0x82, 1 << 62), none).1, None);
    }

    #[test]
    fn the_limits_do_not_apply_to_control_frames() {
        let none = limits(|limits| {
            limits.max_frame_size = Some(0);
            limits.max_message_size = Some(0);
        });
        let (events, violation) = outcome_with(&frame(0x89, b"ping"), none);
        assert_eq!((events.len(), violation), (1, None));
    }

    #[test]
    fn the_peer_announces_2_to_the_62_and_it_costs_nothing() {
        let unlimited = limits(|limits| {
            limits.max_frame_size = None;
            limits.max_message_size = None;
        });
        for len in [1 << 32, 1 << 40, 1 << 46, 1 << 62, u64::MAX >> 1] {
            for first in [0x81, 0x82, 0x01, 0x02] {
                for delivery in [DeliveryMode::Whole, DeliveryMode::Fragments] {
                    let before = address_space();
                    let mut decoder = Decoder::new(unlimited);
                    decoder.feed(&announce(first, len));
                    assert_eq!(decoder.advance(delivery), Ok(None));
                    decoder.feed(b"a");
                    assert!(decoder.advance(delivery).is_ok());
                    let _ = decoder.fragment();
                    assert!(decoder.space().len() <= 64 << 10, "space for what was only claimed");
                    let grown = address_space().saturating_sub(before);
                    assert!(grown < 1 << 30, "{len} claimed, {grown} bytes reserved");
                }
            }
        }
    }

    /// Returns the address space of this process in bytes; 0 if the system does not tell it.
    fn address_space() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmSize:"));
        let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse().ok());
        kib.map_or(0, |kib: u64| kib << 10)
    }
}

mod many_frames_in_one_read {
    use landline::proto::recv::{Decoder, DeliveryMode, Limits};

    use crate::proto_support::{Binary, OwnedEvent, Steps, Text, frame};

    fn feed_by(bytes: &[u8], step: usize) -> Vec<OwnedEvent> {
        let mut decoder = Decoder::new(Limits::default());
        let mut steps = Steps::default();
        for mut chunk in bytes.chunks(step) {
            while !chunk.is_empty() {
                chunk = &chunk[decoder.feed(chunk)..];
                steps.take(&mut decoder, DeliveryMode::Whole, false).unwrap();
            }
        }
        steps.events
    }

    #[test]
    fn the_peer_glues_ten_thousand_frames_and_we_deliver_all_in_order() {
        let sent: Vec<OwnedEvent> = (0..10_000)
            .map(|at| match at % 2 {
                0 => Text(format!("message {at}")),
                _ => Binary(format!("bytes {at}").into_bytes()),
            })
            .collect();
        let mut bytes = Vec::new();
        for event in &sent {
            bytes.extend(match event {
                Text(text) => frame(0x81, text.as_bytes()),
                Binary(payload) => frame(0x82, payload),
                _ => unreachable!(),
            });
        }
        for step in [bytes.len(), 65_536, 4_096, 1_000, 17] {
            assert!(feed_by(&bytes, step) == sent, "in reads of {step}");
        }
    }

    #[test]
    fn the_peer_sends_a_hundred_thousand_empty_messages_and_we_deliver_all() {
        let bytes = [0x81, 0x00].repeat(100_000);
        let events = feed_by(&bytes, bytes.len());
        assert_eq!(events.len(), 100_000);
        assert!(events.iter().all(|event| *event == Text(String::new())));
    }

    #[test]
    fn a_frame_that_ends_where_a_big_read_ends_does_not_swallow_the_next() {
        for len in [65_535, 65_536, 65_537, 131_072, 200_000] {
            let payload: Vec<u8> = (0..len).map(|at| (at % 253) as u8).collect();
            let bytes = [frame(0x82, &payload), frame(0x81, b"next")].concat();
            for step in [bytes.len(), 70_000, 65_536, 65_535, 4_096] {
                let events = feed_by(&bytes, step);
                let expected = [Binary(payload.clone()), Text("next".into())];
                assert!(events == expected, "{len} bytes in reads of {step}");
            }
        }
    }

    #[test]
    fn asking_for_space_again_without_a_read_loses_nothing() {
        let payload: Vec<u8> = (0..300_000).map(|at| (at % 253) as u8).collect();
        let bytes = [frame(0x82, &payload), frame(0x81, b"next")].concat();
        let mut decoder = Decoder::new(Limits::default());
        let mut steps = Steps::default();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            decoder.space().fill(0xee); // A read that fails may leave anything there.
            decoder.filled(0);
            steps.take(&mut decoder, DeliveryMode::Whole, false).unwrap();
            decoder.space();
            steps.take(&mut decoder, DeliveryMode::Whole, false).unwrap(); // A read timed out.
            decoder.shrink();
            rest = &rest[decoder.feed(&rest[..rest.len().min(30_011)])..];
            steps.take(&mut decoder, DeliveryMode::Whole, false).unwrap();
        }
        assert!(steps.events == [Binary(payload), Text("next".into())]);
    }
}

/// The length of the space that the decoder gives: short for an idle peer, long for a busy one. A
/// big binary payload is read directly into its message.
mod space_for_the_next_read {
    use landline::proto::recv::{Decoder, DeliveryMode, Found, Limits};
    use landline::{Message, MessageKind, MessageRef};

    use crate::proto_support::{announce, frame, hex};

    const SMALL: usize = 4_096;
    const LARGE: usize = 65_536;
    const MOST: usize = 4 << 20;

    /// Reads `len` times `byte`, into all or a part of the space.
    fn read(decoder: &mut Decoder, byte: u8, len: usize) {
        decoder.space()[..len].fill(byte);
        decoder.filled(len);
    }

    /// Reads all of `bytes` at once.
    fn feed(decoder: &mut Decoder, bytes: &[u8]) {
        assert_eq!(decoder.feed(bytes), bytes.len());
    }

    /// Fills the space with empty text messages, and takes those that are whole.
    fn fill_with_messages(decoder: &mut Decoder, offset: usize) {
        for (at, byte) in decoder.space().iter_mut().enumerate() {
            *byte = [0x81, 0x00][(at + offset) % 2];
        }
        let len = decoder.space().len();
        decoder.filled(len);
        while decoder.advance(DeliveryMode::Whole).unwrap().is_some() {
            assert_eq!(decoder.message(), Ok(MessageRef::Text("")));
        }
    }

    /// Makes a decoder that has read the header of a data frame.
    fn begun(first: u8, len: u64, delivery: DeliveryMode) -> Decoder {
        let mut decoder = Decoder::new(Limits::default());
        feed(&mut decoder, &announce(first, len));
        assert_eq!(decoder.advance(delivery), Ok(None));
        decoder
    }

    /// Takes the message that must be whole now. Returns its bytes and its capacity.
    fn taken(decoder: &mut Decoder) -> (Vec<u8>, usize) {
        assert!(decoder.advance(DeliveryMode::Whole).unwrap().is_some());
        take(decoder)
    }

    /// Takes the message that was found. Returns its bytes and its capacity.
    fn take(decoder: &mut Decoder) -> (Vec<u8>, usize) {
        match decoder.take_message() {
            Ok(Message::Binary(bytes)) => {
                let room = bytes.capacity();
                (bytes, room)
            }
            Ok(Message::Text(text)) => {
                let room = text.capacity();
                (text.into_bytes(), room)
            }
            Err(violation) => panic!("not a message: {violation:?}"),
        }
    }

    #[test]
    fn the_space_grows_only_when_a_read_filled_it() {
        let mut decoder = Decoder::new(Limits::default());
        for _ in 0..3 {
            assert_eq!(decoder.space().len(), SMALL);
            read(&mut decoder, 0x81, 1);
            assert_eq!(decoder.space().len(), SMALL - 1, "of a frame one byte is there");
            read(&mut decoder, 0x00, 1);
            assert!(decoder.advance(DeliveryMode::Whole).unwrap().is_some());
            assert_eq!(decoder.message(), Ok(MessageRef::Text("")));
        }
        for expected in [SMALL, 4 * SMALL, LARGE, LARGE] {
            assert_eq!(decoder.space().len(), expected);
            assert_eq!(decoder.space().len(), expected, "asked again");
            fill_with_messages(&mut decoder, 0);
        }
    }

    #[test]
    fn the_space_grows_around_a_part_of_a_frame_that_is_kept() {
        let mut decoder = Decoder::new(Limits::default());
        read(&mut decoder, 0x81, 1);
        fill_with_messages(&mut decoder, 1);
        assert_eq!(decoder.space().len(), 4 * SMALL);
        read(&mut decoder, 0x81, 1);
        fill_with_messages(&mut decoder, 1);
        assert_eq!(decoder.space().len(), LARGE);
    }

    #[test]
    fn shrinking_frees_the_space_around_a_part_of_a_frame() {
        let mut decoder = Decoder::new(Limits::default());
        for _ in 0..3 {
            fill_with_messages(&mut decoder, 0);
        }
        read(&mut decoder, 0x81, 1);
        decoder.shrink();
        assert_eq!(decoder.space().len(), SMALL - 1);
        read(&mut decoder, 0x00, 1);
        assert!(decoder.advance(DeliveryMode::Whole).unwrap().is_some());
        decoder.shrink();
        assert_eq!(decoder.message(), Ok(MessageRef::Text("")), "what was not taken is kept");
        decoder.shrink();
        assert_eq!(decoder.space().len(), SMALL);
    }

    #[test]
    fn shrinking_frees_the_space_that_a_read_filled_too() {
        let mut decoder = Decoder::new(Limits::default());
        for _ in 0..3 {
            fill_with_messages(&mut decoder, 0);
        }
        decoder.shrink();
        assert_eq!(decoder.space().len(), SMALL);
        fill_with_messages(&mut decoder, 0);
        decoder.shrink();
        assert_eq!(decoder.space().len(), SMALL);
    }

    #[test]
    fn shrinking_keeps_a_gathered_message_that_was_not_taken() {
        for fragments in [hex("01 01 61 80 01 62"), hex("02 01 61 80 01 62")] {
            let mut decoder = Decoder::new(Limits::default());
            feed(&mut decoder, &fragments);
            assert!(decoder.advance(DeliveryMode::Whole).unwrap().is_some());
            decoder.shrink();
            assert_eq!(take(&mut decoder).0, b"ab");
        }
    }

    #[test]
    fn a_binary_payload_of_16_kib_is_read_into_its_message_and_a_smaller_one_is_not() {
        let whole = DeliveryMode::Whole;
        for (first, len, delivery, expected) in [
            (0x82, 16_383, whole, SMALL),
            (0x82, 16_384, whole, 16_384),
            (0x82, 65_536, whole, LARGE),
            (0x82, 65_537, whole, LARGE),
            (0x82, 200_000, whole, LARGE),
            (0x02, 200_000, whole, LARGE),
            (0x82, 100, whole, SMALL),
            (0x81, 200_000, whole, SMALL),
            (0x82, 200_000, DeliveryMode::Fragments, SMALL),
        ] {
            let mut decoder = begun(first, len, delivery);
            assert_eq!(decoder.space().len(), expected, "{first:02x} {len} {delivery:?}");
        }
        let mut decoder = Decoder::new(Limits::default());
        decoder.leave_text_unchecked();
        feed(&mut decoder, &announce(0x81, 200_000));
        assert_eq!(decoder.advance(whole), Ok(None));
        assert_eq!(decoder.space().len(), LARGE, "text that is not checked is bytes");
    }

    #[test]
    fn the_rest_of_a_big_payload_is_all_that_is_asked_for() {
        // As much as has arrived, at most 256 KiB; the rest is too short to be read by itself.
        let reads = [1, 1, 2, 4, 4, 4].map(|times| times * LARGE);
        let rest = SMALL - 1;
        let whole = reads.iter().sum::<usize>() + rest;
        let mut decoder = begun(0x82, whole as u64, DeliveryMode::Whole);
        let mut expected = Vec::new();
        for (byte, len) in (1..).zip(reads) {
            assert_eq!(decoder.advance(DeliveryMode::Whole), Ok(None));
            assert_eq!(decoder.space().len(), len);
            read(&mut decoder, byte, len);
            expected.resize(expected.len() + len, byte);
        }
        assert_eq!(decoder.advance(DeliveryMode::Whole), Ok(None));
        assert_eq!(decoder.space().len(), SMALL);
        read(&mut decoder, 7, rest);
        expected.resize(whole, 7);
        assert!(taken(&mut decoder).0 == expected);
    }

    #[test]
    fn the_space_of_a_big_message_is_used_again_for_the_next_one() {
        let mut decoder = Decoder::new(Limits::default());
        for (byte, len) in [(1, 3 * LARGE), (2, LARGE), (3, 2 * LARGE)] {
            feed(&mut decoder, &announce(0x82, len as u64));
            assert_eq!(decoder.advance(DeliveryMode::Whole), Ok(None));
            let mut left = len;
            while left > 0 {
                let space = decoder.space().len();
                assert!(space <= left, "the next frame is read into this message");
                read(&mut decoder, byte, space.min(1000));
                left -= space.min(1000);
                decoder.advance(DeliveryMode::Whole).unwrap();
            }
            let MessageRef::Binary(bytes) = decoder.message().unwrap() else { panic!("text") };
            assert!(bytes == vec![byte; len]);
        }
        feed(&mut decoder, b"\x02\x01x\x80\x01y");
        assert!(decoder.advance(DeliveryMode::Whole).unwrap().is_some());
        assert_eq!(decoder.message(), Ok(MessageRef::Binary(b"xy")));
    }

    #[test]
    fn space_that_a_short_read_left_over_is_used_until_it_is_under_a_quarter() {
        let mut decoder = begun(0x82, 1_000_000, DeliveryMode::Whole);
        assert_eq!(decoder.space().len(), LARGE);
        for (len, left) in [(100, LARGE - 100), (LARGE - 16_384 - 100, 16_384), (1, LARGE)] {
            read(&mut decoder, 7, len);
            assert_eq!(decoder.advance(DeliveryMode::Whole), Ok(None));
            assert_eq!(decoder.space().len(), left);
        }
    }

    #[test]
    fn after_a_big_payload_little_is_read_until_the_next_header_is_known() {
        let mut decoder = Decoder::new(Limits::default());
        for _ in 0..3 {
            fill_with_messages(&mut decoder, 0);
        }
        for (len, before) in [(65_536, LARGE), (65_536, SMALL), (16_384, SMALL)] {
            assert_eq!(decoder.space().len(), before, "before {len} bytes");
            let first = [announce(0x82, len), vec![7; 1_000]].concat();
            feed(&mut decoder, &first);
            assert_eq!(decoder.advance(DeliveryMode::Whole), Ok(None));
            let left = usize::try_from(len).unwrap() - 1_000;
            assert_eq!(decoder.space().len(), left, "all of the rest, and nothing after it");
            read(&mut decoder, 7, left - 2_000);
            assert_eq!(decoder.advance(DeliveryMode::Whole), Ok(None));
            assert_eq!(decoder.space().len(), 2_000);
            read(&mut decoder, 7, 2_000);
            assert!(taken(&mut decoder).0 == vec![7; left + 1_000]);
        }
        feed(&mut decoder, &frame(0x82, &[7; 3_000]));
        assert_eq!(taken(&mut decoder).0, [7; 3_000]);
        assert_eq!(decoder.space().len(), LARGE, "the buffer was kept");
    }

    #[test]
    fn a_little_that_is_left_of_a_big_payload_is_read_with_the_next_header() {
        for (left, expected) in [(SMALL, SMALL), (SMALL + 1, SMALL + 1)] {
            let mut decoder = begun(0x82, (LARGE + left) as u64, DeliveryMode::Whole);
            read(&mut decoder, 7, LARGE);
            assert_eq!(decoder.advance(DeliveryMode::Whole), Ok(None));
            assert_eq!(decoder.space().len(), expected);
        }
    }

    #[test]
    fn after_a_short_read_the_rest_of_a_payload_is_asked_for_when_it_is_less_than_64_kib_too() {
        let mut decoder = begun(0x82, 100_000, DeliveryMode::Whole);
        read(&mut decoder, 7, LARGE - 1_000);
        for (left, len) in [(35_464, 15_464), (20_000, 19_999), (1, 1)] {
            assert_eq!(decoder.advance(DeliveryMode::Whole), Ok(None));
            assert_eq!(decoder.space().len(), left);
            read(&mut decoder, 7, len);
        }
        assert!(taken(&mut decoder).0 == vec![7; 100_000]);
    }

    #[test]
    fn a_message_that_is_taken_keeps_no_room_of_a_big_one_that_was_lent() {
        for (first, byte) in [(0x82, 7), (0x81, b'a')] {
            let mut decoder = Decoder::new(Limits::default());
            feed_all(&mut decoder, &frame(first, &vec![byte; 1_000_000]));
            decoder.message().unwrap(); // Lent.
            // A message in two fragments is gathered in the memory of the big one.
            let half = [byte; 6_000];
            feed_all(&mut decoder, &[frame(first & 0x0F, &half), frame(0x80, &half)].concat());
            let (bytes, room) = take(&mut decoder);
            assert_eq!(bytes, [byte; 12_000]);
            assert!(room < 100_000, "{room} bytes of room");
        }
    }

    #[test]
    fn a_little_space_that_is_left_of_a_big_payload_becomes_all_of_the_little_that_is_left() {
        for (space, expected) in [(249, 1_000), (250, 250), (1, 1_000)] {
            let mut decoder = begun(0x82, (LARGE - space + 1_000) as u64, DeliveryMode::Whole);
            read(&mut decoder, 7, LARGE - space);
            assert_eq!(decoder.advance(DeliveryMode::Whole), Ok(None));
            assert_eq!(decoder.space().len(), expected);
        }
    }

    /// Makes a decoder that lent a message of `len` bytes, and so has room for as many.
    fn roomy(len: usize) -> Decoder {
        let mut decoder = Decoder::new(Limits::default());
        feed_all(&mut decoder, &frame(0x82, &vec![b'x'; len]));
        decoder.message().unwrap(); // Lent.
        decoder
    }

    #[test]
    fn existing_room_is_used_before_more_memory() {
        let mut decoder = roomy(LARGE);
        let first = [frame(0x02, &[1; 20_000]), announce(0x80, 60_000)].concat();
        feed_parts(&mut decoder, &first);
        assert_eq!(decoder.advance(DeliveryMode::Whole), Ok(None));
        assert_eq!(decoder.space().len(), LARGE - 20_000);
        read(&mut decoder, 2, LARGE - 20_000);
        assert_eq!(decoder.advance(DeliveryMode::Whole), Ok(None));
        assert_eq!(decoder.space().len(), 80_000 - LARGE);
    }

    #[test]
    fn a_little_that_is_left_is_read_with_the_next_header_when_there_is_room_for_a_part_too() {
        let mut decoder = roomy(MOST + 2_000);
        feed_parts(&mut decoder, &announce(0x82, (MOST + SMALL) as u64));
        assert_eq!(decoder.advance(DeliveryMode::Whole), Ok(None));
        read(&mut decoder, 2, MOST);
        assert_eq!(decoder.advance(DeliveryMode::Whole), Ok(None));
        assert_eq!(decoder.space().len(), SMALL);
    }

    #[test]
    fn the_memory_of_the_last_message_is_filled_at_once_up_to_4_mib() {
        for (room, len, expected) in [
            (2 * LARGE, 2 * LARGE, 2 * LARGE),
            (1_000_000, 3_000_000, 1_000_000),
            (3_000_000, 1_000_000, 1_000_000),
            (MOST + 1, MOST + 1, MOST),
        ] {
            let mut decoder = roomy(room);
            feed_parts(&mut decoder, &announce(0x82, len as u64));
            assert_eq!(decoder.advance(DeliveryMode::Whole), Ok(None));
            assert_eq!(decoder.space().len(), expected);
        }
    }

    /// The message has two fragments, and is gathered in the memory of one of 128 KiB.
    #[test]
    fn a_message_that_is_taken_from_more_room_than_four_times_its_size_and_64_kib_is_copied() {
        for (len, copied) in [(4_096, true), (16_383, true), (16_384, false), (20_000, false)] {
            let mut decoder = roomy(2 * LARGE);
            let (one, two) = (vec![b'1'; len / 2], vec![b'2'; len - len / 2]);
            feed_all(&mut decoder, &[frame(0x02, &one), frame(0x80, &two)].concat());
            let (bytes, room) = take(&mut decoder);
            assert!(bytes == [one, two].concat());
            assert_eq!(room, if copied { len } else { 2 * LARGE });
        }
    }

    #[test]
    fn a_message_of_4_kib_is_copied_and_its_room_is_kept_for_the_next() {
        for first in [0x01, 0x02] {
            let mut decoder = Decoder::new(Limits::default());
            let half = [b'x'; 16_000];
            feed_all(&mut decoder, &[frame(first, &half), frame(0x80, &half)].concat());
            decoder.message().unwrap(); // Lent.
            for (len, copied) in [(100, true), (SMALL, true), (SMALL + 1, false)] {
                let small = [frame(first, &vec![b'y'; len - 1]), frame(0x80, b"z")].concat();
                feed_all(&mut decoder, &small);
                let (bytes, room) = take(&mut decoder);
                assert_eq!(bytes.len(), len);
                let expected = if copied { len..=len } else { 32_000..=LARGE };
                assert!(expected.contains(&room), "{first:02x} {len}: {room}");
            }
        }
    }

    #[test]
    fn the_room_of_a_message_of_64_kib_is_kept_when_a_small_one_comes() {
        for first in [0x01, 0x02] {
            let mut decoder = Decoder::new(Limits::default());
            feed(&mut decoder, &announce(first | 0x80, LARGE as u64));
            for _ in 0..16 {
                assert_eq!(decoder.advance(DeliveryMode::Whole), Ok(None));
                feed(&mut decoder, &[b'x'; SMALL]);
            }
            assert!(decoder.advance(DeliveryMode::Whole).unwrap().is_some());
            decoder.message().unwrap();
            feed_all(&mut decoder, &hex("81 01 61"));
            decoder.message().unwrap();
            feed_all(&mut decoder, &[frame(first, &[b'x'; 5_000]), frame(0x80, b"y")].concat());
            assert_eq!(take(&mut decoder).1, LARGE, "{first:02x}");
        }
    }

    #[test]
    fn each_find_has_its_length() {
        let mut decoder = Decoder::new(Limits::default());
        feed(&mut decoder, &hex("01 02 61 62 80 01 63 82 04 61 62 63 64 01 01 65 80 00"));
        feed(&mut decoder, &hex("89 01 66 8a 02 67 68 88 05 03 e8 62 79 65"));
        let (text, binary) = (MessageKind::Text, MessageKind::Binary);
        let whole = DeliveryMode::Whole;
        for (delivery, found) in [
            (whole, Found::Message { kind: text, len: 3 }),
            (whole, Found::Message { kind: binary, len: 4 }),
            (
                DeliveryMode::Fragments,
                Found::Fragment { kind: text, len: 1, first: true, last: false },
            ),
            (whole, Found::Fragment { kind: text, len: 0, first: false, last: true }),
            (whole, Found::Ping { len: 1 }),
            (whole, Found::Pong { len: 2 }),
            (whole, Found::Close { len: 5 }),
        ] {
            // It makes no difference that no find is taken.
            assert_eq!(decoder.advance(delivery), Ok(Some(found)));
        }
        assert_eq!(decoder.advance(whole), Ok(None));
    }

    #[test]
    fn unchecked_text_is_moved_out_as_bytes() {
        let mut decoder = Decoder::new(Limits::default());
        decoder.leave_text_unchecked();
        feed(&mut decoder, &hex("81 01 ff 01 01 fe 80 01 fd 82 01 fc 02 01 fb 80 01 fa"));
        for expected in [&b"\xff"[..], b"\xfe\xfd", b"\xfc", b"\xfb\xfa"] {
            assert!(decoder.advance(DeliveryMode::Whole).unwrap().is_some());
            assert_eq!(decoder.take_message(), Ok(Message::Binary(expected.to_vec())));
        }
    }

    /// Reads a message of one frame, `step` bytes at a time, and returns its capacity.
    fn room(decoder: &mut Decoder, first: u8, len: usize, step: usize) -> usize {
        let bytes = frame(first, &vec![b'x'; len]);
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            assert_eq!(decoder.advance(DeliveryMode::Whole), Ok(None));
            rest = &rest[decoder.feed(&rest[..rest.len().min(step)])..];
        }
        let (bytes, room) = taken(decoder);
        assert_eq!(bytes.len(), len);
        room
    }

    #[test]
    fn a_message_is_given_at_most_twice_the_room_that_it_needs() {
        for first in [0x81, 0x82] {
            for step in [1_000, 4_096, 65_536, usize::MAX] {
                for len in [5_000, 1 << 16, 70_000, 1 << 18, 300_000, 1_000_000] {
                    let room = room(&mut Decoder::new(Limits::default()), first, len, step);
                    assert!((len..=2 * len).contains(&room), "{first:02x} {step} {len}: {room}");
                }
            }
        }
    }

    #[test]
    fn a_big_binary_message_of_a_power_of_two_is_given_exactly_the_room_that_it_needs() {
        for step in [1_000, 4_096, 65_536, usize::MAX] {
            for len in [1 << 16, 1 << 17, 1 << 18, 1 << 20] {
                let mut decoder = Decoder::new(Limits::default());
                assert_eq!(room(&mut decoder, 0x82, len, step), len, "by {step}");
            }
        }
    }

    #[test]
    fn a_text_whose_last_read_is_more_than_all_before_is_given_exactly_the_room_that_it_needs() {
        for reads in [[3_000, 3_000, 100, 100, 30_000], [3_000, 3_000, 100, 5_900, 30_000]] {
            let len = reads.iter().sum::<usize>();
            let mut decoder = Decoder::new(Limits::default());
            for _ in 0..3 {
                fill_with_messages(&mut decoder, 0); // So that the reads can be big.
            }
            feed(&mut decoder, &announce(0x81, len as u64));
            for read in reads {
                assert_eq!(decoder.advance(DeliveryMode::Whole), Ok(None));
                feed(&mut decoder, &vec![b'x'; read]);
            }
            let (bytes, room) = taken(&mut decoder);
            assert!(bytes == vec![b'x'; len]);
            assert_eq!(room, len, "{reads:?}");
        }
    }

    #[test]
    fn a_big_binary_message_in_short_reads_after_its_header_is_given_no_more_room() {
        for len in [1 << 17, 1 << 18] {
            let mut decoder = begun(0x82, len as u64, DeliveryMode::Whole);
            for at in (0..len).step_by(1_000) {
                assert_eq!(decoder.advance(DeliveryMode::Whole), Ok(None));
                read(&mut decoder, 7, 1_000.min(len - at));
            }
            let (bytes, room) = taken(&mut decoder);
            assert!(bytes == vec![7; len]);
            assert_eq!(room, len);
        }
    }

    #[test]
    fn the_room_of_a_big_message_that_was_lent_is_kept_until_a_small_one_comes() {
        const BIG: usize = 1 << 20;
        for first in [0x81, 0x82] {
            for small in [None, Some(hex("81 01 61"))] {
                let mut decoder = Decoder::new(Limits::default());
                feed_all(&mut decoder, &frame(first, &vec![b'x'; BIG]));
                decoder.message().unwrap();
                if let Some(small) = &small {
                    feed_all(&mut decoder, small);
                    assert_eq!(decoder.message(), Ok(MessageRef::Text("a")));
                }
                let room = room(&mut decoder, first, BIG / 2, usize::MAX);
                assert_eq!(room >= BIG, small.is_none(), "{first:02x} {small:?}: {room}");
            }
        }
    }

    #[test]
    fn the_room_of_a_message_of_32_kib_is_kept_when_a_small_one_comes() {
        for first in [0x01, 0x02] {
            let mut decoder = Decoder::new(Limits::default());
            let half = [b'x'; 16_384];
            feed_all(&mut decoder, &[frame(first, &half), frame(0x80, &half)].concat());
            decoder.message().unwrap();
            feed_all(&mut decoder, &hex("81 01 61"));
            decoder.message().unwrap();
            feed_all(&mut decoder, &[frame(first, &half[..5000]), frame(0x80, b"y")].concat());
            let (bytes, room) = take(&mut decoder);
            assert_eq!(bytes.len(), 5001, "{first:02x}");
            assert!((32_768..=65_536).contains(&room), "{first:02x}: {room}");
        }
    }

    #[test]
    fn shrinking_frees_the_room_of_a_big_message() {
        for first in [0x81, 0x82] {
            let mut decoder = Decoder::new(Limits::default());
            feed_all(&mut decoder, &frame(first, &vec![b'x'; 1 << 20]));
            decoder.message().unwrap();
            decoder.shrink();
            assert!(room(&mut decoder, first, 1 << 17, usize::MAX) <= 1 << 18, "{first:02x}");
        }
    }

    /// Feeds a whole message, in as many reads as are needed.
    fn feed_all(decoder: &mut Decoder, bytes: &[u8]) {
        feed_parts(decoder, bytes);
        assert!(decoder.advance(DeliveryMode::Whole).unwrap().is_some());
    }

    /// Feeds a part of a message, in as many reads as are needed.
    fn feed_parts(decoder: &mut Decoder, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            assert_eq!(decoder.advance(DeliveryMode::Whole), Ok(None));
            rest = &rest[decoder.feed(rest)..];
        }
    }
}

/// The limits that a user sets may allow more memory than the machine has. Then the connection
/// fails, and the process goes on.
#[cfg(target_os = "linux")]
mod memory_that_is_not_there {
    use std::process::Command;

    use landline::error::Violation;
    use landline::proto::recv::{Decoder, DeliveryMode};
    use landline::proto::utf8::Utf8;

    use crate::proto_support::{announce, limits};

    /// The environment variable of a process that may have only 200 MB of address space.
    const POOR: &str = "LANDLINE_TEST_IS_POOR";

    /// Runs the calling test again in a process with little memory. Returns `true` in that process.
    fn is_poor(test: &str) -> bool {
        if std::env::var_os(POOR).is_some() {
            return true;
        }
        let limited = "ulimit -v 200000 && exec \"$0\" \"$@\"";
        let module = module_path!().split_once("::").unwrap().1;
        let name = format!("{module}::{test}");
        let output = Command::new("sh")
            .args(["-c", limited])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", &name, "--nocapture", "--test-threads=1"])
            .env(POOR, "1")
            .output()
            .unwrap();
        let shown = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && shown.contains("1 passed"), "{output:?}");
        false
    }

    #[test]
    fn the_peer_sends_more_than_there_is_memory_and_we_fail_the_connection() {
        if !is_poor("the_peer_sends_more_than_there_is_memory_and_we_fail_the_connection") {
            return;
        }
        let unlimited = limits(|limits| {
            limits.max_frame_size = None;
            limits.max_message_size = None;
        });
        for first in [0x81, 0x82] {
            let mut decoder = Decoder::new(unlimited);
            decoder.feed(&announce(first, 1 << 40));
            let mut fed = 0;
            let violation = loop {
                if let Err(violation) = decoder.advance(DeliveryMode::Whole) {
                    break violation;
                }
                fed += decoder.feed(&[b'x'; 65_536]);
                assert!(fed < 200 << 20, "more than there is");
            };
            assert_eq!(violation, Violation::OutOfMemory, "{first:02x} after {fed}");
            assert!(fed > 10 << 20, "{first:02x}: only {fed}");
            assert_eq!(violation.close_code().value(), 1009);
        }
    }

    #[test]
    fn text_that_does_not_fit_into_memory_leaves_the_text_before_as_it_was() {
        if !is_poor("text_that_does_not_fit_into_memory_leaves_the_text_before_as_it_was") {
            return;
        }
        let long = vec![b'x'; 100 << 20];
        let mut text = "before".to_owned();
        assert_eq!(Utf8::default().push(&long, &mut text), Err(Violation::OutOfMemory));
        assert_eq!(text, "before");
    }
}
