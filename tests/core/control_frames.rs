//! RFC 6455 section 5.5: Close, Ping and Pong.

#![allow(clippy::unwrap_used)] // `clippy.toml` allows it in test functions only.

mod section_5_5_control_frames {
    use landline::error::Violation;
    use landline::proto::frame::{MAX_CONTROL_PAYLOAD, Opcode};
    use landline::proto::send::EncodeError;

    use crate::proto_support::{Ping, Pong, client_frames, encoder, frame, hex, outcome};

    #[test]
    fn the_peer_fragments_a_control_frame_and_we_fail_at_its_first_byte() {
        for row in ["09 00", "0a 00", "08 02 03e8", "08 00", "09", "0a 85", "08 7f", "01 00 09"] {
            let expected = (vec![], Some(Violation::FragmentedControl));
            assert_eq!(outcome(&hex(row)), expected, "{row}");
        }
        assert_eq!(Violation::FragmentedControl.close_code().value(), 1002);
    }

    #[test]
    fn the_peer_sends_a_control_frame_over_125_bytes_and_we_fail_at_its_second_byte() {
        for first in ["88", "89", "8a"] {
            for rest in ["7e", "7e 00 7e", "7e 00 05", "7f", "7f 00 00 00 00 00 01 00 00", "7f 80"]
            {
                let row = format!("{first} {rest}");
                let expected = (vec![], Some(Violation::ControlTooLong));
                assert_eq!(outcome(&hex(&row)), expected, "{row}");
            }
        }
        assert_eq!(Violation::ControlTooLong.close_code().value(), 1002);
    }

    #[test]
    fn the_peer_sends_125_bytes_and_we_hand_them_over() {
        for len in [0, 1, 124, 125] {
            let payload: Vec<u8> = (0..len).map(|at| 255 - at).collect();
            assert_eq!(outcome(&frame(0x89, &payload)), (vec![Ping(payload.clone())], None));
            assert_eq!(outcome(&frame(0x8a, &payload)), (vec![Pong(payload)], None));
        }
    }

    #[test]
    fn we_are_asked_to_send_126_bytes_and_write_nothing() {
        let mut encoder = encoder([0; 4]);
        let mut out = Vec::new();
        assert_eq!(MAX_CONTROL_PAYLOAD, 125);
        for opcode in [Opcode::Ping, Opcode::Pong] {
            for len in [126, 127, 65_536] {
                let refused = encoder.control(opcode, &vec![0; len], &mut out);
                assert_eq!(refused, Err(EncodeError::ControlTooLong));
            }
            assert_eq!(out, []);
            encoder.control(opcode, &[0; 125], &mut out).unwrap();
            assert_eq!(client_frames(&out)[0].payload.len(), 125);
            out.clear();
        }
    }
}

mod section_5_5_1_close {
    use landline::proto::frame::Opcode;
    use landline::proto::send::EncodeError;
    use landline::{CloseCode, CloseFrame};

    use crate::proto_support::{Close, client_frames, encoder, hex, outcome, text};

    #[test]
    fn after_our_close_the_encoder_refuses_everything() {
        let mut encoder = encoder([0; 4]);
        let mut out = Vec::new();
        encoder.control(Opcode::Ping, b"before", &mut out).unwrap();
        assert!(!encoder.is_closed());
        encoder.close(&CloseCode::NORMAL.into(), &mut out).unwrap();
        assert!(encoder.is_closed());
        let sent = out.clone();
        for opcode in [Opcode::Text, Opcode::Binary, Opcode::Continuation] {
            let refused = encoder.begin(opcode, true, 0, &mut out).map(|_| ());
            assert_eq!(refused, Err(EncodeError::AfterClose));
        }
        for opcode in [Opcode::Ping, Opcode::Pong] {
            assert_eq!(encoder.control(opcode, b"", &mut out), Err(EncodeError::AfterClose));
        }
        for close in [CloseFrame::empty(), CloseFrame::new(CloseCode::NORMAL, "again")] {
            assert_eq!(encoder.close(&close, &mut out), Err(EncodeError::AfterClose));
        }
        assert_eq!(out, sent, "bytes after our Close");
        let frames = client_frames(&out);
        assert_eq!((frames.len(), frames[1].first), (2, 0x88));
        assert_eq!(frames[1].payload, hex("03e8"));
    }

    #[test]
    fn a_close_that_is_too_long_is_refused_and_the_connection_goes_on() {
        let mut encoder = encoder([0; 4]);
        let mut out = Vec::new();
        let long = CloseFrame::new(CloseCode::NORMAL, "x".repeat(124));
        assert!(!long.is_sendable());
        assert_eq!(encoder.close(&long, &mut out), Err(EncodeError::InvalidClose));
        assert_eq!((out.len(), encoder.is_closed()), (0, false));
        let longest = CloseFrame::new(CloseCode::NORMAL, "x".repeat(123));
        assert!(longest.is_sendable());
        encoder.close(&longest, &mut out).unwrap();
        assert_eq!(client_frames(&out)[0].payload.len(), 125);
    }

    #[test]
    fn the_peer_closes_without_a_payload_and_we_hear_a_close_without_a_code() {
        let expected = (vec![text("a"), Close(CloseFrame::empty())], None);
        assert_eq!(outcome(&hex("81 01 61 88 00")), expected);
    }
}

mod section_5_5_2_ping_and_5_5_3_pong {
    use landline::proto::frame::Opcode;

    use crate::proto_support::{
        Binary, Close, Ping, Pong, client_frames, encoder, frame, hex, outcome, text,
    };

    #[test]
    fn the_peer_pings_inside_a_fragmented_message_and_we_hear_it_at_once() {
        let (events, violation) =
            outcome(&hex("01 03 48 65 6c 89 01 31 8a 00 00 00 89 01 32 80 02 6c 6f 89 00"));
        assert_eq!(violation, None);
        let expected =
            [Ping(b"1".into()), Pong(vec![]), Ping(b"2".into()), text("Hello"), Ping(vec![])];
        assert_eq!(events, expected);
    }

    #[test]
    fn the_peer_pings_inside_a_code_point_and_the_text_stays_whole() {
        for cut in 1..4 {
            let (a, b) = "𐍈".as_bytes().split_at(cut);
            let bytes = [frame(0x01, a), frame(0x89, &[0xff]), frame(0x80, b)].concat();
            assert_eq!(outcome(&bytes), (vec![Ping(vec![0xff]), text("𐍈")], None));
        }
    }

    #[test]
    fn the_peer_closes_inside_a_fragmented_message_and_the_message_is_not_delivered() {
        let (events, violation) = outcome(&hex("02 01 61 89 00 88 02 03e9 80 01 62 81 01 63"));
        assert_eq!(violation, None);
        let [Ping(_), Close(close)] = &events[..] else { panic!("{events:?}") };
        assert_eq!(close.code.unwrap().value(), 1001);
    }

    #[test]
    fn the_peer_sends_pings_and_pongs_of_any_bytes_and_we_hear_each_in_order() {
        let mut bytes = Vec::new();
        let mut expected = Vec::new();
        for at in 0..10u8 {
            bytes.extend(frame(0x89, &[0xff - at, 0x00, at]));
            expected.push(Ping(vec![0xff - at, 0x00, at]));
            bytes.extend(frame(0x8a, &[at]));
            expected.push(Pong(vec![at]));
        }
        bytes.extend(frame(0x82, b"end"));
        expected.push(Binary(b"end".into()));
        assert_eq!(outcome(&bytes), (expected, None));
    }

    #[test]
    fn we_answer_a_ping_with_its_payload_masked() {
        let mut out = Vec::new();
        let mut encoder = encoder(*b"abcd");
        encoder.control(Opcode::Pong, b"Please PONG this", &mut out).unwrap();
        assert_eq!(out, hex("8a 90 61626364 310e0605120743342e2c2444150a0a17"));
        let frames = client_frames(&out);
        assert_eq!((frames[0].first, &frames[0].payload[..]), (0x8a, &b"Please PONG this"[..]));
    }

    #[test]
    fn we_ping_between_the_fragments_of_a_message_of_ours() {
        let mut out = Vec::new();
        let mut encoder = encoder([1, 2, 3, 4]);
        encoder.begin(Opcode::Text, false, 3, &mut out).unwrap().append(b"Hel", &mut out);
        encoder.control(Opcode::Ping, b"", &mut out).unwrap();
        encoder.begin(Opcode::Continuation, true, 2, &mut out).unwrap().append(b"lo", &mut out);
        let shown: Vec<_> = client_frames(&out)
            .into_iter()
            .map(|frame| (frame.first, String::from_utf8(frame.payload).unwrap()))
            .collect();
        assert_eq!(shown, [(0x01, "Hel".into()), (0x89, String::new()), (0x80, "lo".into())]);
    }
}

mod what_the_encoder_refuses {
    use landline::CloseFrame;
    use landline::proto::frame::Opcode;
    use landline::proto::send::EncodeError;

    use crate::proto_support::encoder;

    #[test]
    fn we_are_asked_to_fragment_a_control_frame_and_write_nothing() {
        let mut encoder = encoder([0; 4]);
        let mut out = Vec::new();
        for opcode in [Opcode::Close, Opcode::Ping, Opcode::Pong] {
            for (fin, len) in [(false, 0), (false, 125), (false, 126), (true, 126)] {
                let begun = encoder.begin(opcode, fin, len, &mut out).map(|_| ());
                assert_eq!(begun, Err(EncodeError::ControlTooLong), "{opcode:?} {fin} {len}");
            }
        }
        assert_eq!((&*out, encoder.is_closed()), (&[][..], false));
    }

    #[test]
    fn a_reason_without_a_code_is_refused() {
        let mut close = CloseFrame::empty();
        close.reason = "why".into();
        let mut out = Vec::new();
        assert_eq!(encoder([0; 4]).close(&close, &mut out), Err(EncodeError::InvalidClose));
        assert_eq!(out, []);
    }

    #[test]
    fn a_refusal_says_why() {
        for (refused, shown) in [
            (EncodeError::AfterClose, "nothing may follow a Close frame"),
            (EncodeError::ControlTooLong, "a control frame must have FIN, and at most 125 bytes"),
            (
                EncodeError::InvalidClose,
                "the close code must not be sent, or the reason is too long or has no code",
            ),
            (EncodeError::NoRandom, "the operating system gave no random bytes"),
        ] {
            assert_eq!(refused.to_string(), shown);
        }
    }
}
