//! RFC 6455 section 7: close codes, reasons, and the end of the connection.

#![allow(clippy::unwrap_used)] // `clippy.toml` allows it in test functions only.

mod section_7_4_status_codes {
    use landline::error::Violation;
    use landline::proto::frame::{decode_close, encode_close};
    use landline::proto::recv::{Decoder, DeliveryMode, Found, Limits};
    use landline::{CloseCode, CloseFrame};

    use crate::proto_support::{Close, close_payload, frame, outcome};

    /// Section 7.4.1, the registry of IANA, and the ranges of section 7.4.2.
    fn allowed(code: u16) -> bool {
        const REGISTERED: [u16; 12] =
            [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014];
        REGISTERED.contains(&code) || code / 1000 == 3 || code / 1000 == 4
    }

    #[test]
    fn the_peer_closes_with_any_code_and_we_take_exactly_the_allowed_ones() {
        for code in (0..=5_000).chain([5_001, 9_999, 32_767, 32_768, 65_534, 65_535]) {
            for reason in ["", "why"] {
                let bytes = frame(0x88, &close_payload(code, reason.as_bytes()));
                let mut decoder = Decoder::new(Limits::default());
                decoder.feed(&bytes);
                let found = decoder.advance(DeliveryMode::Whole);
                if allowed(code) {
                    let close = CloseFrame::new(CloseCode::new(code), reason);
                    assert_eq!(found, Ok(Some(Found::Close { len: 2 + reason.len() })), "{code}");
                    assert_eq!(decoder.close(), close, "{code}");
                } else {
                    assert_eq!(found, Err(Violation::CloseCode(code)));
                }
            }
        }
        assert_eq!(Violation::CloseCode(999).close_code(), CloseCode::PROTOCOL_ERROR);
    }

    #[test]
    fn a_code_is_sendable_when_it_may_stand_in_a_frame() {
        for code in 0..=u16::MAX {
            let frame = CloseFrame::from(CloseCode::new(code));
            assert_eq!(CloseCode::new(code).is_sendable(), allowed(code), "{code}");
            assert_eq!(frame.is_sendable(), allowed(code), "{code}");
            assert_eq!(decode_close(&encode_close(&frame)).is_ok(), allowed(code), "{code}");
        }
    }

    #[test]
    fn the_codes_have_the_numbers_of_the_registry() {
        let named = [
            (CloseCode::NORMAL, 1000),
            (CloseCode::GOING_AWAY, 1001),
            (CloseCode::PROTOCOL_ERROR, 1002),
            (CloseCode::UNSUPPORTED_DATA, 1003),
            (CloseCode::NO_STATUS, 1005),
            (CloseCode::ABNORMAL, 1006),
            (CloseCode::INVALID_PAYLOAD, 1007),
            (CloseCode::POLICY_VIOLATION, 1008),
            (CloseCode::TOO_BIG, 1009),
            (CloseCode::MANDATORY_EXTENSION, 1010),
            (CloseCode::INTERNAL_ERROR, 1011),
            (CloseCode::SERVICE_RESTART, 1012),
            (CloseCode::TRY_AGAIN_LATER, 1013),
            (CloseCode::BAD_GATEWAY, 1014),
            (CloseCode::TLS_HANDSHAKE, 1015),
        ];
        for (code, number) in named {
            assert_eq!((code.value(), u16::from(code)), (number, number));
            assert_eq!(code.to_string(), number.to_string());
            assert_eq!(code.is_sendable(), ![1005, 1006, 1015].contains(&number));
        }
    }

    #[test]
    fn the_peer_closes_with_a_code_and_every_way_of_cutting_the_frame_gives_the_same() {
        for code in [0, 999, 1000, 1003, 1004, 1005, 1006, 1007, 1014, 1015, 1016, 1100, 2999, 3000]
        {
            let (events, violation) = outcome(&frame(0x88, &close_payload(code, b"bye")));
            if allowed(code) {
                let close = CloseFrame::new(CloseCode::new(code), "bye");
                assert_eq!((events, violation), (vec![Close(close)], None));
            } else {
                assert_eq!((events, violation), (vec![], Some(Violation::CloseCode(code))));
            }
        }
    }
}

mod section_5_5_1_close_payloads {
    use landline::error::Violation;
    use landline::proto::frame::{decode_close, encode_close};
    use landline::{CloseCode, CloseFrame};

    use crate::proto_support::{Close, close_payload, frame, hex, outcome};

    #[test]
    fn the_peer_sends_a_broken_close_payload_and_we_fail_with_the_code_for_it() {
        let rows = [
            ("88 01 03", Violation::CloseLength, 1002),
            ("88 01 8a", Violation::CloseLength, 1002),
            ("88 04 01 8a aa ff", Violation::CloseCode(0x018a), 1002),
            ("88 02 03 e7", Violation::CloseCode(999), 1002),
            ("88 04 03e8 c3 28", Violation::CloseReason, 1007),
            ("88 03 03e8 ff", Violation::CloseReason, 1007),
            ("88 03 03e8 c3", Violation::CloseReason, 1007),
            ("88 05 03e8 ed a0 80", Violation::CloseReason, 1007),
            ("88 04 03ed c3 28", Violation::CloseCode(1005), 1002),
        ];
        for (row, violation, code) in rows {
            assert_eq!(outcome(&hex(row)), (vec![], Some(violation)), "{row}");
            assert_eq!(violation.close_code().value(), code, "{row}");
        }
    }

    #[test]
    fn the_peer_gives_reasons_up_to_123_bytes() {
        for reason in ["", "x", "ünï", "\0", &"r".repeat(122), &"r".repeat(123), &"é".repeat(61)]
        {
            let expected = CloseFrame::new(CloseCode::GOING_AWAY, reason);
            let bytes = frame(0x88, &close_payload(1001, reason.as_bytes()));
            assert_eq!(outcome(&bytes), (vec![Close(expected)], None));
        }
        let long = frame(0x88, &close_payload(1000, &[b'r'; 124]));
        assert_eq!(long[..4], [0x88, 0x7e, 0x00, 0x7e]);
        assert_eq!(outcome(&long), (vec![], Some(Violation::ControlTooLong)));
    }

    #[test]
    fn a_close_frame_that_we_encode_decodes_to_itself() {
        let frames = [
            CloseFrame::empty(),
            CloseFrame::default(),
            CloseFrame::from(CloseCode::NORMAL),
            CloseFrame::from((CloseCode::new(4999), "private")),
            CloseFrame::new(CloseCode::TOO_BIG, "é".repeat(61)),
            CloseFrame::new(CloseCode::new(3000), "\u{1b}[31m\0\u{202e}"),
        ];
        for close in frames {
            assert!(close.is_sendable());
            let payload = encode_close(&close);
            assert!(payload.len() <= 125);
            assert_eq!(decode_close(&payload), Ok(close));
        }
        assert_eq!(encode_close(&CloseFrame::empty()), []);
        assert_eq!(encode_close(&CloseFrame::new(CloseCode::NORMAL, "ok")), b"\x03\xe8ok");
    }

    #[test]
    fn a_frame_with_a_reason_that_cannot_be_sent_is_not_sendable() {
        assert_eq!(CloseFrame::MAX_REASON, 123);
        for (reason, sendable) in [(123, true), (124, false), (1_000, false)] {
            let close = CloseFrame::new(CloseCode::NORMAL, "r".repeat(reason));
            assert_eq!(close.is_sendable(), sendable);
        }
        let mut without_code = CloseFrame::empty();
        without_code.reason = "why".into();
        assert!(!without_code.is_sendable());
    }

    #[test]
    fn the_peer_gives_a_hostile_reason_and_it_is_kept_but_shown_escaped() {
        let hostile = "\u{1b}[2J\r\nGET\0\u{7}\u{202e}\"\u{9b}\u{2028}\u{200b}\u{feff}";
        let bytes = frame(0x88, &close_payload(1000, hostile.as_bytes()));
        let (events, _) = outcome(&bytes);
        let [Close(close)] = &events[..] else { panic!("{events:?}") };
        assert_eq!(close.reason, hostile);
        let shown = close.to_string();
        assert!(shown.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{shown:?}");
        assert!(shown.starts_with("1000 \"\\u{1b}[2J\\r\\nGET\\0"), "{shown}");
        assert!(shown.ends_with('"') && shown.matches('"').count() == 3, "{shown}");
        assert_eq!(CloseFrame::from(CloseCode::NORMAL).to_string(), "1000");
        assert_eq!(CloseFrame::empty().to_string(), "no code");
        assert_eq!(CloseFrame::new(CloseCode::NORMAL, "bye é").to_string(), "1000 \"bye é\"");
    }
}

mod section_1_4_data_after_close {
    use landline::proto::recv::{Decoder, DeliveryMode, Limits};
    use landline::{CloseCode, CloseFrame};

    use crate::proto_support::{Close, close_payload, frame, hex, outcome, text};

    #[test]
    fn the_peer_sends_after_its_close_and_we_read_none_of_it() {
        let close = frame(0x88, &close_payload(1000, b"bye"));
        let after = [
            hex("81 01 62"),
            hex("89 00"),
            hex("88 02 03e9"),
            hex("ff ff ff ff ff ff"),
            hex("80 00"),
            hex("81 7f 80 00 00 00"),
            vec![0; 200],
            b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
        ];
        for after in after {
            let bytes = [hex("81 01 61"), close.clone(), after.clone()].concat();
            let expected = Close(CloseFrame::new(CloseCode::NORMAL, "bye"));
            assert_eq!(outcome(&bytes), (vec![text("a"), expected], None), "{after:02x?}");
        }
    }

    #[test]
    fn the_peer_floods_after_its_close_and_memory_does_not_follow() {
        let mut decoder = Decoder::new(Limits::default());
        decoder.feed(&hex("88 00"));
        assert!(decoder.advance(DeliveryMode::Whole).unwrap().is_some());
        assert_eq!(decoder.close(), CloseFrame::empty());
        for _ in 0..1_000 {
            let len = decoder.space().len();
            assert!((1..=65_536).contains(&len));
            decoder.filled(len);
            assert_eq!(decoder.advance(DeliveryMode::Whole), Ok(None));
        }
    }
}

mod section_7_1_7_fail_the_connection {
    use landline::error::Violation;

    #[test]
    fn each_violation_has_the_close_code_of_section_7_4_1() {
        use Violation::{
            CloseCode, CloseLength, CloseReason, ControlTooLong, ExpectedContinuation,
            FragmentedControl, FrameTooBig, InvalidUtf8, LengthTopBit, MaskedFrame, MessageTooBig,
            NonMinimalLength, OutOfMemory, ReservedBits, ReservedOpcode, TooManyEmptyFragments,
            TooManyFragments, UnexpectedContinuation,
        };
        let rows: [(u16, bool, &[Violation]); 4] = [
            (
                1002,
                false,
                &[
                    ReservedBits,
                    ReservedOpcode(3),
                    MaskedFrame,
                    NonMinimalLength,
                    LengthTopBit,
                    FragmentedControl,
                    ControlTooLong,
                    UnexpectedContinuation,
                    ExpectedContinuation,
                    CloseLength,
                    CloseCode(999),
                ],
            ),
            (1007, false, &[InvalidUtf8, CloseReason]),
            (1008, true, &[TooManyFragments, TooManyEmptyFragments]),
            (1009, true, &[FrameTooBig, MessageTooBig, OutOfMemory]),
        ];
        for (code, is_limit, violations) in rows {
            for violation in violations {
                assert_eq!(violation.close_code().value(), code, "{violation:?}");
                assert_eq!(violation.is_limit(), is_limit, "{violation:?}");
                assert!(violation.close_code().is_sendable());
                let shown = violation.to_string();
                assert!(!shown.is_empty() && !shown.contains('\n'), "{shown}");
            }
        }
    }
}

mod what_the_values_say {
    use landline::error::Violation;
    use landline::{CloseCode, CloseFrame};

    #[test]
    fn a_close_frame_of_a_code_and_a_reason_has_both() {
        let private = CloseCode::new(4999);
        for close in [
            CloseFrame::new(private, "bye"),
            CloseFrame::from((private, "bye")),
            CloseFrame::from((4999, "bye")),
        ] {
            assert_eq!((close.code, &*close.reason), (Some(private), "bye"));
        }
        for close in [CloseFrame::from(private), CloseFrame::from(4999)] {
            assert_eq!((close.code, &*close.reason), (Some(private), ""));
        }
        assert_eq!(CloseFrame::empty(), CloseFrame::default());
    }

    #[test]
    fn a_code_shows_its_number() {
        assert_eq!(format!("{:?}", CloseCode::NORMAL), "CloseCode(1000)");
        assert_eq!(format!("{:>6}", CloseCode::new(4999)), "  4999");
    }

    #[test]
    fn a_violation_shows_the_value_that_the_peer_sent() {
        assert_eq!(Violation::ReservedOpcode(0xb).to_string(), "reserved opcode 0xb");
        let code = Violation::CloseCode(1005).to_string();
        assert_eq!(code, "close code 1005 is not allowed in a frame");
    }
}
