//! RFC 6455 section 5.4: messages in several frames, and the two ways of delivering them.

#![allow(clippy::unwrap_used)] // `clippy.toml` allows it in test functions only.

mod section_5_4_order_of_fragments {
    use landline::error::Violation;

    use crate::proto_support::{Binary, Close, OwnedEvent, Ping, hex, outcome, text};

    fn rows(rows: &[(&str, &[OwnedEvent], Option<Violation>)]) {
        for (bytes, events, violation) in rows {
            assert_eq!(outcome(&hex(bytes)), (events.to_vec(), *violation), "{bytes}");
        }
    }

    #[test]
    fn the_peer_continues_nothing_and_we_fail_at_that_byte() {
        let unexpected = Some(Violation::UnexpectedContinuation);
        rows(&[
            ("80 00", &[], unexpected),
            ("00 00", &[], unexpected),
            ("80", &[], unexpected),
            ("00 05 48 65 6c 6c 6f", &[], unexpected),
            ("80 85 00 00 00 00", &[], unexpected),
            ("81 01 61 80 01 62", &[text("a")], unexpected),
            ("01 01 61 80 01 62 80 00", &[text("ab")], unexpected),
            ("89 00 80 00", &[Ping(vec![])], unexpected),
        ]);
        assert_eq!(Violation::UnexpectedContinuation.close_code().value(), 1002);
    }

    #[test]
    fn the_peer_begins_a_message_inside_another_and_we_deliver_neither() {
        let expected = Some(Violation::ExpectedContinuation);
        rows(&[
            ("01 01 61 81 01 62", &[], expected),
            ("01 01 61 01", &[], expected),
            ("01 00 82 00", &[], expected),
            ("02 01 61 81 85", &[], expected),
            ("02 01 61 00 01 62 02 00", &[], expected),
            ("01 01 61 89 00 81 00", &[Ping(vec![])], expected),
        ]);
        assert_eq!(Violation::ExpectedContinuation.close_code().value(), 1002);
    }

    #[test]
    fn the_peer_fragments_a_message_and_we_put_it_together() {
        rows(&[
            ("01 01 61 80 01 62", &[text("ab")], None),
            ("01 01 61 00 01 62 00 01 63 80 01 64", &[text("abcd")], None),
            ("02 01 ff 80 01 fe", &[Binary(vec![0xff, 0xfe])], None),
            ("01 01 61 80 01 62 02 01 63 80 01 64", &[text("ab"), Binary(b"cd".into())], None),
            ("01 01 61 80 01 62 81 01 63", &[text("ab"), text("c")], None),
        ]);
    }

    #[test]
    fn the_peer_sends_empty_fragments_anywhere_and_we_deliver_one_message() {
        rows(&[
            ("01 00 80 01 62", &[text("b")], None),
            ("01 01 61 80 00", &[text("a")], None),
            ("01 00 00 00 80 00", &[text("")], None),
            ("02 00 80 00", &[Binary(vec![])], None),
            ("01 00 00 01 61 00 00 80 00", &[text("a")], None),
            ("81 00 82 00", &[text(""), Binary(vec![])], None),
        ]);
    }

    #[test]
    fn the_peer_stops_inside_a_message_and_we_deliver_nothing_of_it() {
        let whole = hex("81 02 6f 6b 01 03 61 62 63 89 01 70 00 7e 00 80");
        for len in 4..=whole.len() {
            let (events, violation) = outcome(&whole[..len]);
            let pinged = len >= 12;
            let expected = [text("ok"), Ping(vec![b'p'])];
            assert_eq!(events, expected[..1 + usize::from(pinged)], "{len}");
            assert_eq!(violation, None, "{len}");
        }
    }

    #[test]
    fn the_peer_closes_between_fragments_and_the_rest_of_the_message_is_not_delivered() {
        let (events, violation) = outcome(&hex("01 01 61 88 02 03e8 80 01 62"));
        assert_eq!(violation, None);
        assert!(matches!(&events[..], [Close(close)] if close.code.unwrap().value() == 1000));
    }

    #[test]
    fn the_peer_sets_a_reserved_bit_on_a_continuation_and_we_fail() {
        let reserved = Some(Violation::ReservedBits);
        rows(&[
            ("01 01 61 c0 01 62", &[], reserved),
            ("01 01 61 40", &[], reserved),
            ("02 01 61 a0", &[], reserved),
            ("02 01 61 90", &[], reserved),
        ]);
    }

    #[test]
    fn the_peer_masks_a_continuation_and_we_fail() {
        rows(&[("01 01 61 80 81 00 00 00 00 62", &[], Some(Violation::MaskedFrame))]);
    }
}

mod many_fragments {
    use landline::error::Violation;
    use landline::proto::recv::{Decoder, DeliveryMode, Limits};

    use crate::proto_support::{
        Binary, Outcome, Ping, Steps, Text, announce, frame, limits, outcome, outcome_with,
    };

    fn feed_by(bytes: &[u8], step: usize, limits: Limits, delivery: DeliveryMode) -> Outcome {
        let mut decoder = Decoder::new(limits);
        let mut steps = Steps::default();
        for mut chunk in bytes.chunks(step) {
            while !chunk.is_empty() {
                chunk = &chunk[decoder.feed(chunk)..];
                if let Err(violation) = steps.take(&mut decoder, delivery, false) {
                    return (steps.events, Some(violation));
                }
            }
        }
        (steps.events, None)
    }

    #[test]
    fn the_peer_splits_every_code_point_over_ten_thousand_fragments_and_the_text_is_equal() {
        let sent = "aé€𐍈".repeat(1_000);
        let mut bytes = frame(0x01, b"");
        for byte in sent.bytes() {
            bytes.extend(frame(0x00, &[byte]));
        }
        bytes.extend(frame(0x80, b""));
        for delivery in [DeliveryMode::Whole, DeliveryMode::Fragments] {
            for step in [1, 3, 1_000, bytes.len()] {
                let outcome = feed_by(&bytes, step, Limits::default(), delivery);
                assert!(outcome == (vec![Text(sent.clone())], None), "by {step}, {delivery:?}");
            }
        }
    }

    #[test]
    fn the_peer_sends_4_mib_in_fragments_of_64_bytes_and_the_default_limits_allow_it() {
        let fragments = 65_536;
        let mut bytes = frame(0x02, &[1; 64]);
        for _ in 2..fragments {
            bytes.extend(frame(0x00, &[2; 64]));
        }
        bytes.extend(frame(0x80, &[3; 64]));
        let (events, violation) = feed_by(&bytes, 65_536, Limits::default(), DeliveryMode::Whole);
        assert_eq!(violation, None);
        let [Binary(payload)] = &events[..] else { panic!("not one message") };
        assert_eq!(payload.len(), 4 << 20);
        assert_eq!((payload[63], payload[64], payload[(4 << 20) - 64]), (1, 2, 3));
    }

    #[test]
    fn no_fragments_allowed_means_no_message_however_short() {
        let none = limits(|limits| limits.max_fragments = Some(0));
        let mut decoder = Decoder::new(none);
        assert_eq!(decoder.advance(DeliveryMode::Whole), Ok(None));
        let bytes = frame(0x82, b"x");
        assert_eq!(decoder.feed(&bytes), bytes.len());
        assert_eq!(decoder.advance(DeliveryMode::Whole), Err(Violation::TooManyFragments));
    }

    #[test]
    fn the_peer_sends_one_fragment_more_than_the_limit_and_we_fail_on_its_header() {
        for max in [1u32, 2, 5] {
            let few = limits(|limits| limits.max_fragments = Some(max));
            for fragments in 1..=max + 1 {
                let mut bytes = frame(if fragments == 1 { 0x82 } else { 0x02 }, b"x");
                for _ in 2..fragments {
                    bytes.extend(frame(0x00, b"x"));
                }
                if fragments > 1 {
                    // The header of the last fragment is enough to find it one too many.
                    bytes.extend(announce(0x80, 1));
                }
                let over = fragments > max;
                let (_, violation) = outcome_with(&bytes, few);
                assert_eq!(violation, over.then_some(Violation::TooManyFragments), "{max}");
                if !over && fragments > 1 {
                    bytes.push(b'x');
                    let whole = vec![b'x'; fragments.try_into().unwrap()];
                    assert_eq!(outcome_with(&bytes, few), (vec![Binary(whole)], None));
                }
            }
        }
        assert_eq!(Violation::TooManyFragments.close_code().value(), 1008);
    }

    #[test]
    fn the_default_limit_of_fragments_is_131_072() {
        let mut bytes = frame(0x02, b"x");
        bytes.extend([0x00, 0x01, b'x'].repeat(131_071));
        for (last, violation) in
            [(&b""[..], None), (&b"\x00\x01"[..], Some(Violation::TooManyFragments))]
        {
            let bytes = [&bytes, last].concat();
            let outcome = feed_by(&bytes, 60_000, Limits::default(), DeliveryMode::Whole);
            assert_eq!(outcome, (vec![], violation));
        }
    }

    #[test]
    fn the_peer_sends_empty_fragments_for_ever_and_we_fail_at_one_more_than_the_limit() {
        let first = frame(0x01, b"");
        // The first frame counts too: it is empty and does not end the message.
        for (empties, violation) in [(1_023, None), (1_024, Some(Violation::TooManyEmptyFragments))]
        {
            let bytes = [first.clone(), [0x00, 0x00].repeat(empties)].concat();
            assert_eq!(outcome(&bytes), (vec![], violation), "{empties}");
        }
        let broken = [first, [0x00, 0x00].repeat(100_000)].concat();
        assert_eq!(
            feed_by(&broken, 65_536, Limits::default(), DeliveryMode::Whole),
            (vec![], Some(Violation::TooManyEmptyFragments))
        );
        assert_eq!(Violation::TooManyEmptyFragments.close_code().value(), 1008);
    }

    #[test]
    fn a_byte_of_payload_begins_the_count_of_empty_fragments_anew_and_a_ping_does_not() {
        let three = limits(|limits| limits.max_empty_fragments = Some(3));
        let empties = |count| [0x00, 0x00].repeat(count);
        let fine = [frame(0x01, b"a"), empties(3), frame(0, b"b"), empties(3), frame(0x80, b"")];
        assert_eq!(outcome_with(&fine.concat(), three), (vec![Text("ab".into())], None));
        let pinged = [frame(0x01, b"a"), empties(2), frame(0x89, b""), empties(2)].concat();
        let over = Some(Violation::TooManyEmptyFragments);
        assert_eq!(outcome_with(&pinged, three), (vec![Ping(vec![])], over));
        let none = limits(|limits| limits.max_empty_fragments = None);
        let many = [frame(0x01, b""), empties(5_000), frame(0x80, b"x")].concat();
        assert_eq!(outcome_with(&many, none), (vec![Text("x".into())], None));
        let zero = limits(|limits| limits.max_empty_fragments = Some(0));
        assert_eq!(outcome_with(&frame(0x01, b""), zero), (vec![], over));
        let whole = [frame(0x81, b""), frame(0x82, b"")].concat();
        assert_eq!(outcome_with(&whole, zero).1, None, "an empty message is no empty fragment");
    }

    #[test]
    fn small_fragments_cross_the_message_limit_and_we_fail_on_the_header_that_crosses() {
        let ten = limits(|limits| limits.max_message_size = Some(10));
        let begun = [frame(0x02, b"1234"), frame(0x00, b"5678")].concat();
        for (len, violation) in [(1, None), (2, None), (3, Some(Violation::MessageTooBig))] {
            let bytes = [begun.clone(), announce(0x80, len)].concat();
            assert_eq!(outcome_with(&bytes, ten), (vec![], violation), "{len}");
        }
        let twice = [begun.clone(), frame(0x80, b"90"), begun, frame(0x80, b"90")].concat();
        let message = Binary(b"1234567890".into());
        assert_eq!(outcome_with(&twice, ten), (vec![message.clone(), message], None));
    }

    #[test]
    fn a_message_of_big_fragments_is_the_same_however_it_is_read() {
        let parts: Vec<Vec<u8>> =
            [70_000, 1, 0, 65_536, 140_001usize].map(|len| vec![len.to_le_bytes()[0]; len]).into();
        let mut bytes = frame(0x02, &parts[0]);
        for part in &parts[1..4] {
            bytes.extend(frame(0x00, part));
            bytes.extend(frame(0x89, b"between"));
        }
        bytes.extend(frame(0x80, &parts[4]));
        bytes.extend(frame(0x81, b"next"));
        let ping = Ping(b"between".into());
        let expected =
            [ping.clone(), ping.clone(), ping, Binary(parts.concat()), Text("next".into())];
        for delivery in [DeliveryMode::Whole, DeliveryMode::Fragments] {
            for step in [bytes.len(), 65_537, 65_536, 8_191, 100] {
                let (events, violation) = feed_by(&bytes, step, Limits::default(), delivery);
                assert!(events == expected, "by {step}, {delivery:?}");
                assert_eq!(violation, None);
            }
        }
    }
}

mod delivery {
    use landline::error::Violation;
    use landline::proto::recv::{Decoder, DeliveryMode, Found, Limits};
    use landline::{CloseFrame, Message, MessageKind, MessageRef};

    use crate::proto_support::{frame, hex};

    /// Takes the next find, and shows its kind, its bytes, and which fragments are first and last.
    fn next(decoder: &mut Decoder, delivery: DeliveryMode) -> Option<String> {
        Some(match decoder.advance(delivery).unwrap()? {
            Found::Fragment { kind, len, first, last } => {
                let fragment = decoder.fragment();
                assert_eq!((fragment.kind, fragment.data.len()), (kind, len));
                assert_eq!((fragment.first, fragment.last), (first, last));
                let kind = if kind == MessageKind::Text { "text" } else { "binary" };
                let edges = match (first, last) {
                    (true, true) => "only",
                    (true, false) => "first",
                    (false, true) => "last",
                    (false, false) => "middle",
                };
                format!("{edges} {kind} {:?}", String::from_utf8_lossy(fragment.data))
            }
            Found::Message { .. } => match decoder.message().unwrap() {
                MessageRef::Text(text) => format!("text {text:?}"),
                MessageRef::Binary(bytes) => {
                    format!("binary {:?}", String::from_utf8_lossy(bytes))
                }
            },
            Found::Ping { .. } => format!("Ping({:?})", decoder.control()),
            Found::Pong { .. } => format!("Pong({:?})", decoder.control()),
            Found::Close { .. } => format!("Close({:?})", decoder.close()),
        })
    }

    fn feed(decoder: &mut Decoder, bytes: &[u8]) {
        assert_eq!(decoder.feed(bytes), bytes.len());
    }

    #[test]
    fn a_frame_that_is_complete_comes_as_one_fragment() {
        let mut decoder = Decoder::new(Limits::default());
        feed(&mut decoder, &hex("01 01 61 00 01 62 80 01 63 82 01 64"));
        let steps: Vec<_> =
            std::iter::from_fn(|| next(&mut decoder, DeliveryMode::Fragments)).collect();
        let expected =
            ["first text \"a\"", "middle text \"b\"", "last text \"c\"", "only binary \"d\""];
        assert_eq!(steps, expected);
    }

    #[test]
    fn a_fragment_comes_as_soon_as_its_bytes_do() {
        let mut decoder = Decoder::new(Limits::default());
        let mut steps = Vec::new();
        for byte in hex("81 03 61 62 63") {
            feed(&mut decoder, &[byte]);
            steps.push(next(&mut decoder, DeliveryMode::Fragments));
        }
        let expected = [
            None,
            None,
            Some("first text \"a\"".into()),
            Some("middle text \"b\"".into()),
            Some("last text \"c\"".into()),
        ];
        assert_eq!(steps, expected);
    }

    #[test]
    fn a_message_that_ends_empty_has_an_empty_last_fragment_and_an_empty_message_only_that() {
        let mut decoder = Decoder::new(Limits::default());
        feed(&mut decoder, &hex("01 01 61 00 00 80 00 82 00 01 00 80 00 01 00 80 01 62"));
        let steps: Vec<_> =
            std::iter::from_fn(|| next(&mut decoder, DeliveryMode::Fragments)).collect();
        let expected = [
            "first text \"a\"",
            "last text \"\"",
            "only binary \"\"",
            "only text \"\"",
            "only text \"b\"",
        ];
        assert_eq!(steps, expected);
    }

    #[test]
    fn a_message_that_began_in_fragments_goes_on_in_fragments_when_whole_is_asked() {
        let mut decoder = Decoder::new(Limits::default());
        feed(&mut decoder, &hex("01 02 61 62 89 00"));
        assert_eq!(next(&mut decoder, DeliveryMode::Fragments).unwrap(), "first text \"ab\"");
        assert_eq!(next(&mut decoder, DeliveryMode::Whole).unwrap(), "Ping([])");
        assert_eq!(next(&mut decoder, DeliveryMode::Whole), None);
        feed(&mut decoder, &hex("00 01 63 80 01 64 81 01 65"));
        assert_eq!(next(&mut decoder, DeliveryMode::Whole).unwrap(), "middle text \"c\"");
        assert_eq!(next(&mut decoder, DeliveryMode::Whole).unwrap(), "last text \"d\"");
        assert_eq!(next(&mut decoder, DeliveryMode::Whole).unwrap(), "text \"e\"");
    }

    #[test]
    fn a_message_that_began_whole_goes_on_whole_when_fragments_are_asked() {
        let mut decoder = Decoder::new(Limits::default());
        feed(&mut decoder, &hex("02 02 61 62"));
        assert_eq!(next(&mut decoder, DeliveryMode::Whole), None);
        feed(&mut decoder, &hex("80 01 63 82 01 64"));
        assert_eq!(next(&mut decoder, DeliveryMode::Fragments).unwrap(), "binary \"abc\"");
        assert_eq!(next(&mut decoder, DeliveryMode::Fragments).unwrap(), "only binary \"d\"");
    }

    #[test]
    fn a_message_that_is_gathered_no_longer_goes_on_in_fragments_and_is_checked() {
        // The euro sign is cut. Its first byte is dropped, but the rest of it must still follow.
        for (bytes, rest) in [("01 02 61 e2", "80 03 82 ac 62"), ("81 05 61 e2", "82 ac 62")] {
            let mut decoder = Decoder::new(Limits::default());
            feed(&mut decoder, &hex(bytes));
            assert_eq!(decoder.advance(DeliveryMode::Whole), Ok(None));
            decoder.stop_gathering();
            feed(&mut decoder, &hex(rest));
            assert!(decoder.advance(DeliveryMode::Whole).unwrap().is_some());
            let fragment = decoder.fragment();
            let expected = (&hex("82 ac 62")[..], false, true);
            assert_eq!((fragment.data, fragment.first, fragment.last), expected);
            // The next message is handed out whole again.
            feed(&mut decoder, &hex("81 01 63"));
            assert_eq!(next(&mut decoder, DeliveryMode::Whole).unwrap(), "text \"c\"");
        }
        let mut decoder = Decoder::new(Limits::default());
        feed(&mut decoder, &hex("01 02 61 e2"));
        assert_eq!(decoder.advance(DeliveryMode::Whole), Ok(None));
        decoder.stop_gathering();
        feed(&mut decoder, &hex("80 01 62"));
        assert_eq!(decoder.advance(DeliveryMode::Whole), Err(Violation::InvalidUtf8));
    }

    #[test]
    fn a_big_payload_that_is_gathered_no_longer_leaves_the_next_frame_whole() {
        let mut decoder = Decoder::new(Limits::default());
        let bytes = frame(0x82, &[7; 100_000]);
        let (mut gathered, mut left) = bytes.split_at(40_000);
        while !gathered.is_empty() {
            gathered = &gathered[decoder.feed(gathered)..];
            assert_eq!(decoder.advance(DeliveryMode::Whole), Ok(None));
        }
        decoder.stop_gathering();
        let (mut len, left_len) = (0, left.len());
        while !left.is_empty() {
            left = &left[decoder.feed(left)..];
            while decoder.advance(DeliveryMode::Whole).unwrap().is_some() {
                let fragment = decoder.fragment();
                assert!(fragment.data.iter().all(|&byte| byte == 7));
                len += fragment.data.len();
            }
        }
        assert!(len <= left_len, "{len}");
        feed(&mut decoder, &hex("82 01 64"));
        assert_eq!(next(&mut decoder, DeliveryMode::Whole).unwrap(), "binary \"d\"");
    }

    #[test]
    fn advance_drops_a_find_that_was_not_taken() {
        let mut decoder = Decoder::new(Limits::default());
        feed(&mut decoder, &hex("81 01 61 01 01 62 80 01 63 89 01 70 01 01 64 80 01 65 82 01 66"));
        let (whole, fragments) = (DeliveryMode::Whole, DeliveryMode::Fragments);
        for delivery in [whole, whole, whole, fragments, fragments, whole] {
            assert!(decoder.advance(delivery).unwrap().is_some());
        }
        assert_eq!(decoder.message(), Ok(MessageRef::Binary(b"f")));
        assert_eq!(decoder.advance(whole), Ok(None));
    }

    /// Calls all methods that take other kinds than the one found: each returns something empty.
    fn take_other_kinds(decoder: &mut Decoder, found: Option<Found>) {
        let (is_message, is_fragment) = match found {
            Some(Found::Message { .. }) => (true, false),
            Some(Found::Fragment { .. }) => (false, true),
            _ => (false, false),
        };
        if !is_message {
            assert_eq!(decoder.message(), Ok(MessageRef::Binary(b"")));
            assert_eq!(decoder.take_message(), Ok(Message::Binary(Vec::new())));
        }
        if !is_fragment {
            let fragment = decoder.fragment();
            assert_eq!((fragment.data, fragment.first, fragment.last), (&b""[..], false, false));
        }
        if !matches!(found, Some(Found::Ping { .. } | Found::Pong { .. })) {
            assert_eq!(decoder.control(), b"");
        }
        if !matches!(found, Some(Found::Close { .. })) {
            assert_eq!(decoder.close(), CloseFrame::empty());
        }
    }

    #[test]
    fn taking_a_find_of_another_kind_gives_something_empty_and_changes_nothing() {
        let mut decoder = Decoder::new(Limits::default());
        take_other_kinds(&mut decoder, None);
        feed(&mut decoder, &hex("81 01 61 01 01 62 89 01 70 8a 01 71 80 01 63 88 02 03 e8"));
        let mut seen = String::new();
        while let Some(found) = decoder.advance(DeliveryMode::Whole).unwrap() {
            take_other_kinds(&mut decoder, Some(found));
            seen += &match found {
                Found::Message { .. } => decoder.message().unwrap().as_text().unwrap().to_owned(),
                Found::Ping { .. } | Found::Pong { .. } => format!("{:?}", decoder.control()),
                Found::Close { .. } => decoder.close().code.unwrap().to_string(),
                Found::Fragment { .. } => panic!("not asked for"),
            };
            // The find is taken only once.
            take_other_kinds(&mut decoder, None);
        }
        assert_eq!(seen, "a[112][113]bc1000");
        take_other_kinds(&mut decoder, None);
        feed(&mut decoder, &hex("81 01 61"));
        take_other_kinds(&mut decoder, None);
        assert_eq!(decoder.advance(DeliveryMode::Whole), Ok(None));
    }

    #[test]
    fn take_message_moves_messages_out_between_control_frames() {
        let big = vec![7; 200_000];
        let mut bytes = hex("81 01 61 89 01 70 01 01 62");
        bytes.extend(hex("8a 00 80 01 63"));
        bytes.extend(frame(0x82, &big));
        bytes.extend(hex("88 00"));
        let mut decoder = Decoder::new(Limits::default());
        let (mut moved, mut left) = (Vec::new(), Vec::new());
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            rest = &rest[decoder.feed(rest)..];
            while let Some(found) = decoder.advance(DeliveryMode::Whole).unwrap() {
                match found {
                    Found::Message { .. } => moved.push(decoder.take_message().unwrap()),
                    other => left.push(other),
                }
            }
        }
        let expected =
            [Message::Text("a".into()), Message::Text("bc".into()), Message::Binary(big)];
        assert!(moved == expected);
        assert_eq!(left, [Found::Ping { len: 1 }, Found::Pong { len: 0 }, Found::Close { len: 0 }]);
    }

    #[test]
    fn unchecked_text_comes_as_bytes_and_all_else_is_checked() {
        let bytes = hex("81 02 c3 28 01 01 ff 80 01 fe");
        for cut in 0..bytes.len() {
            let mut decoder = Decoder::new(Limits::default());
            decoder.leave_text_unchecked();
            let mut seen = Vec::new();
            for part in [&bytes[..cut], &bytes[cut..]] {
                feed(&mut decoder, part);
                while let Some(found) = decoder.advance(DeliveryMode::Whole).unwrap() {
                    assert_eq!(found, Found::Message { kind: MessageKind::Text, len: 2 });
                    let MessageRef::Binary(bytes) = decoder.message().unwrap() else {
                        panic!("checked");
                    };
                    seen.push(bytes.to_vec());
                }
            }
            assert_eq!(seen, [vec![0xc3, 0x28], vec![0xff, 0xfe]]);
            feed(&mut decoder, &hex("81 80"));
            assert_eq!(decoder.advance(DeliveryMode::Whole), Err(Violation::MaskedFrame));
        }
        let mut decoder = Decoder::new(Limits::default());
        decoder.leave_text_unchecked();
        feed(&mut decoder, &hex("01 01 ff 80 01 fe"));
        for expected in [b"\xff", b"\xfe"] {
            assert!(decoder.advance(DeliveryMode::Fragments).unwrap().is_some());
            assert_eq!(decoder.fragment().data, expected);
        }
        feed(&mut decoder, &hex("88 04 03e8 c3 28"));
        assert_eq!(decoder.advance(DeliveryMode::Whole), Err(Violation::CloseReason));
    }

    /// A part of a message would be lost.
    #[test]
    #[should_panic(expected = "text may have arrived that is checked")]
    fn a_driver_that_stops_the_check_of_text_within_a_message_is_stopped() {
        let mut decoder = Decoder::new(Limits::default());
        feed(&mut decoder, &hex("01 01 61 80 01 62"));
        assert!(decoder.advance(DeliveryMode::Whole).unwrap().is_some());
        decoder.leave_text_unchecked();
    }

    #[test]
    fn fragments_of_text_may_end_inside_a_code_point_but_the_message_may_not() {
        let mut decoder = Decoder::new(Limits::default());
        feed(&mut decoder, &hex("01 01 e2 00 01 82 80 01 ac 01 01 e2 80 01 82"));
        let mut bytes = Vec::new();
        for _ in 0..4 {
            assert!(decoder.advance(DeliveryMode::Fragments).unwrap().is_some());
            let fragment = decoder.fragment();
            bytes.extend_from_slice(fragment.data);
        }
        assert_eq!(bytes, [0xe2, 0x82, 0xac, 0xe2]);
        assert_eq!(decoder.advance(DeliveryMode::Fragments), Err(Violation::InvalidUtf8));
    }

    #[test]
    #[should_panic(expected = "more bytes than there was space for")]
    fn a_driver_that_says_it_read_more_than_there_was_space_for_is_stopped() {
        let mut decoder = Decoder::new(Limits::default());
        let len = decoder.space().len();
        decoder.filled(len + 1);
    }

    /// Returns a decoder that waits for 16 KiB of a binary message, and whose buffer is large.
    fn before_a_big_payload() -> Decoder {
        let mut decoder = Decoder::new(Limits::default());
        for _ in 0..3 {
            let space = decoder.space().len();
            feed(&mut decoder, &hex("81 00").repeat(space / 2));
            while decoder.advance(DeliveryMode::Whole).unwrap().is_some() {}
        }
        assert_eq!(decoder.space().len(), 64 << 10);
        feed(&mut decoder, &hex("82 7e 40 00"));
        assert_eq!(decoder.advance(DeliveryMode::Whole), Ok(None));
        decoder
    }

    /// While a big payload is read, only a part of a large buffer is space.
    #[test]
    #[should_panic(expected = "more bytes than there was space for")]
    fn a_driver_that_says_it_read_more_than_a_part_of_the_buffer_is_stopped() {
        let mut decoder = before_a_big_payload();
        feed(&mut decoder, &[7; (16 << 10) - 1]);
        assert_eq!(decoder.advance(DeliveryMode::Whole), Ok(None));
        feed(&mut decoder, &[7]);
        assert!(decoder.advance(DeliveryMode::Whole).unwrap().is_some());
        assert_eq!(decoder.space().len(), 4 << 10);
        decoder.filled((4 << 10) + 1);
    }

    #[test]
    #[should_panic(expected = "more bytes than there was space for")]
    fn a_driver_that_says_it_read_more_than_is_left_of_a_big_payload_is_stopped() {
        let mut decoder = before_a_big_payload();
        assert_eq!(decoder.space().len(), 16 << 10);
        decoder.filled((16 << 10) - 1);
        decoder.filled(1);
        decoder.filled(1);
    }

    #[test]
    #[should_panic(expected = "more bytes than there was space for")]
    fn a_driver_that_reads_into_space_that_was_freed_is_stopped() {
        let mut decoder = before_a_big_payload();
        decoder.space();
        decoder.shrink();
        decoder.filled(1);
    }
}

mod what_the_values_say {
    use landline::message::AsMessage;
    use landline::proto::recv::{Decoder, DeliveryMode, Limits};
    use landline::{Event, Message, MessageKind, MessageRef};

    #[test]
    fn an_event_has_a_message_only_if_it_is_a_whole_one() {
        let text = Some(MessageRef::Text("é"));
        let binary = Some(MessageRef::Binary(b"\xff"));
        let mut decoder = Decoder::new(Limits::default());
        decoder.feed(b"\x02\x01\xff");
        assert!(decoder.advance(DeliveryMode::Fragments).unwrap().is_some());
        for (event, message) in [
            (Event::Text("é"), text),
            (Event::Binary(b"\xff"), binary),
            (Event::RawText(b"\xff"), binary),
            (Event::Fragment(decoder.fragment()), None),
            (Event::Ping(b"\xff"), None),
            (Event::Pong(b"\xff"), None),
        ] {
            assert_eq!(event.message(), message, "{event:?}");
        }
    }

    #[test]
    fn strings_become_text_and_bytes_become_binary_owned_or_borrowed() {
        let (string, bytes) = ("é".to_owned(), vec![0xc3, 0xa9]);
        for text in [
            Message::from("é"),
            Message::from(&string),
            Message::from(string.clone()),
            Message::from(MessageRef::Text("é")),
            Message::from(&Message::Text("é".into())),
        ] {
            assert_eq!((text.as_text(), text.as_bytes()), (Some("é"), &bytes[..]));
            assert_eq!(MessageRef::from(&text), MessageRef::Text("é"));
            assert_eq!(text.clone().into_bytes(), bytes);
            assert_eq!(AsMessage::as_message(&&text), MessageRef::Text("é"));
        }
        for binary in [
            Message::from(&bytes[..]),
            Message::from(&bytes),
            Message::from(bytes.clone()),
            Message::from([0xc3, 0xa9]),
            Message::from(&[0xc3, 0xa9]),
            Message::from(MessageRef::Binary(&bytes)),
        ] {
            assert_eq!((binary.as_text(), binary.as_bytes()), (None, &bytes[..]));
            assert_eq!(MessageRef::from(&binary), MessageRef::Binary(&bytes));
            assert_eq!(binary.clone().into_bytes(), bytes);
            assert_eq!(AsMessage::as_message(&&binary), MessageRef::Binary(&bytes));
        }
        for text in [MessageRef::from("é"), MessageRef::from(&string), string.as_message()] {
            assert_eq!((text.kind(), text.as_text()), (MessageKind::Text, Some("é")));
            assert_eq!(text.as_bytes(), bytes);
            assert_eq!(text.as_message(), text);
        }
        let two = [0xc3, 0xa9];
        for binary in [
            MessageRef::from(&bytes[..]),
            MessageRef::from(&bytes),
            MessageRef::from(&two),
            bytes.as_message(),
            bytes[..].as_message(),
            two.as_message(),
        ] {
            assert_eq!((binary.kind(), binary.as_text()), (MessageKind::Binary, None));
            assert_eq!(binary.as_bytes(), bytes);
        }
    }
}
