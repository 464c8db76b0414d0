//! RFC 6455 section 8.1: text is UTF-8, and is checked byte by byte.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)] // A test may panic.

mod the_streaming_check {
    use landline::error::Violation;
    use landline::proto::utf8::Utf8;

    use crate::ONE_IN;

    /// Checks `parts` one after the other. Returns the text, or the index of the part that was
    /// refused; the index after the last one stands for the end.
    fn check(parts: &[&[u8]]) -> Result<String, usize> {
        let (mut utf8, mut text) = (Utf8::default(), String::new());
        for (at, part) in parts.iter().enumerate() {
            if let Err(violation) = utf8.push(part, &mut text) {
                assert_eq!(violation, Violation::InvalidUtf8);
                return Err(at);
            }
        }
        utf8.finish().map(|()| text).map_err(|_| parts.len())
    }

    /// Returns the index of the first byte with which `bytes` cannot become UTF-8 any more, as the
    /// standard library sees it.
    fn first_impossible(bytes: &[u8]) -> Option<usize> {
        let valid = std::str::from_utf8(bytes).err()?;
        valid.error_len()?;
        let begins = valid.valid_up_to();
        let impossible = |end: &usize| {
            std::str::from_utf8(&bytes[begins..*end])
                .is_err_and(|error| error.error_len().is_some())
        };
        (begins + 1..=bytes.len()).find(impossible).map(|end| end - 1)
    }

    /// Checks that all ways to cut `bytes` (at most 16) agree with the standard library, and fail
    /// in the part that has the first impossible byte.
    fn every_cutting(bytes: &[u8]) {
        let whole = std::str::from_utf8(bytes);
        let impossible = first_impossible(bytes);
        let gaps = bytes.len().saturating_sub(1);
        for cuts in 0u32..1 << gaps {
            let mut parts: [&[u8]; 16] = [&[]; 16];
            let (mut count, mut rest, mut failing) = (0, bytes, None);
            for at in 0..bytes.len() {
                let ends = at == gaps || cuts >> at & 1 == 1;
                if impossible == Some(at) {
                    failing = Some(count);
                }
                if ends {
                    let len = rest.len() - (bytes.len() - 1 - at);
                    (parts[count], rest) = rest.split_at(len);
                    count += 1;
                }
            }
            let expected = whole.map(str::to_owned).map_err(|_| failing.unwrap_or(count));
            assert_eq!(check(&parts[..count]), expected, "{bytes:02x?} cut {cuts:b}");
        }
    }

    #[test]
    fn it_counts_the_bytes_of_an_incomplete_code_point() {
        let mut utf8 = Utf8::default();
        for (part, incomplete) in [
            (&b"a"[..], 0),
            (b"\xc3", 1),
            (b"\xbc\xe2", 1),
            (b"\x82", 2),
            (b"\xac", 0),
            (b"b\xf0\x90\x8d", 3),
            (b"", 3),
            (b"\x88", 0),
        ] {
            utf8.check(part).unwrap();
            assert_eq!(utf8.incomplete(), incomplete, "{part:02x?}");
        }
    }

    const SEQUENCES: [&[u8]; 40] = [
        b"",
        b"a",
        b"plain",
        b"\0",
        "é".as_bytes(),
        "κόσμε".as_bytes(),
        "€uro".as_bytes(),
        "𐍈𐍈".as_bytes(),
        "\u{feff}bom".as_bytes(),
        "\u{fffe}\u{1ffff}".as_bytes(),
        "\u{10ffff}".as_bytes(),
        "\u{d7ff}\u{e000}".as_bytes(),
        "\u{80}\u{800}".as_bytes(),
        b"\xf0\x90\x80\x80",
        b"\x80",
        b"\xbf",
        b"\xc0\x80",
        b"\xc1\xbf",
        b"\xc2",
        b"\xc3(",
        b"\xe0\x80\x80",
        b"\xe0\x9f\xbf",
        b"\xe0\xa0",
        b"\xed\xa0\x80",
        b"\xed\xbf\xbf",
        b"\xed\xa0\x80\xed\xb0\x80",
        b"\xee\x80",
        b"\xef\xbf\xbf\xff",
        b"\xf0\x80\x80\x80",
        b"\xf0\x8f\xbf\xbf",
        b"\xf0\x90\x80",
        b"\xf4\x8f\xbf\xbf",
        b"\xf4\x90\x80\x80",
        b"\xf5\x80\x80\x80",
        b"\xf8\x88\x80\x80\x80",
        b"\xfc\x84\x80\x80\x80\x80",
        b"\xfe",
        b"\xff\xff",
        b"ab\xf0\x90\x80c",
        b"\xe2\x82\xac\xe2\x28\xa1",
    ];

    #[test]
    fn it_agrees_with_std_however_the_text_is_cut() {
        for bytes in SEQUENCES {
            for prefix in ["", "a", "é"] {
                let bytes = [prefix.as_bytes(), bytes].concat();
                every_cutting(&bytes);
                for len in 0..bytes.len() {
                    every_cutting(&bytes[..len]);
                }
            }
        }
    }

    #[test]
    fn it_does_not_panic_after_an_error() {
        for begun in SEQUENCES {
            let (mut utf8, mut text) = (Utf8::default(), String::new());
            let _ = utf8.push(begun, &mut text);
            for part in [&b"A"[..], b"\xe2", b"A", b"\xf0\x90", b"\xff", b"\x80", b"a longer one"] {
                for _ in 0..5 {
                    let _ = utf8.push(part, &mut text);
                }
            }
            let _ = utf8.finish();
        }
        let (mut utf8, mut text) = (Utf8::default(), String::new());
        utf8.push(b"\xe2", &mut text).unwrap();
        assert_eq!(utf8.push(b"A", &mut text), Err(Violation::InvalidUtf8));
        utf8.push("grün".as_bytes(), &mut text).unwrap();
        assert_eq!(text, "grün");
    }

    #[test]
    fn it_agrees_with_std_on_all_sequences_of_two_bytes() {
        for first in 0..=255 {
            for second in 0..=255 {
                every_cutting(&[first, second]);
            }
        }
    }

    /// Covers all sequences whose first two bytes can still become text. Others are refused before.
    #[test]
    fn it_agrees_with_std_on_all_sequences_of_three_bytes() {
        let mut checked = 0;
        for prefix in (0..=u16::MAX).map(u16::to_be_bytes) {
            let (mut one, mut text) = (Utf8::default(), String::new());
            if prefix.iter().any(|&byte| one.push(&[byte], &mut text).is_err()) {
                assert!(first_impossible(&prefix).is_some(), "{prefix:02x?}");
                continue;
            }
            for last in (prefix[1] & (ONE_IN - 1)..=255).step_by(usize::from(ONE_IN)) {
                let bytes = [prefix[0], prefix[1], last];
                let expected = std::str::from_utf8(&bytes);
                let possible = expected.err().is_none_or(|error| error.error_len().is_none());
                let mut two = one.clone();
                assert_eq!(two.push(&[last], &mut text).is_ok(), possible, "{bytes:02x?}");
                if possible {
                    assert_eq!(two.finish().is_ok(), expected.is_ok(), "{bytes:02x?}");
                }
                text.clear();
                checked += 1;
            }
        }
        assert!(checked > 6_000_000 / u32::from(ONE_IN), "{checked}");
    }

    /// The first and last byte of each class of table 3-7 of the Unicode Standard.
    const EDGES: [u8; 26] = [
        0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec,
        0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xf7, 0xf8, 0xff,
    ];

    #[test]
    fn it_agrees_with_std_on_the_edges_of_three_and_four_bytes() {
        for first in EDGES {
            for second in EDGES {
                for third in EDGES {
                    every_cutting(&[first, second, third]);
                    if first >= 0xf0 && (0x80..0xc0).contains(&second) {
                        for fourth in EDGES {
                            every_cutting(&[first, second, third, fourth]);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn empty_parts_change_nothing_and_the_end_begins_a_new_text() {
        let (mut utf8, mut text) = (Utf8::default(), String::from("before "));
        for part in [&b""[..], b"\xe2", b"", b"\x82", b"", b"\xac", b""] {
            utf8.push(part, &mut text).unwrap();
        }
        assert_eq!((utf8.finish(), text.as_str()), (Ok(()), "before €"));
        utf8.push(b"\xe2\x82", &mut text).unwrap();
        assert_eq!(text, "before €", "an open code point is not text yet");
        assert_eq!(utf8.finish(), Err(Violation::InvalidUtf8));
    }
}

mod section_8_1_text_messages {
    use landline::error::Violation;
    use landline::proto::recv::{Decoder, DeliveryMode, Found, Limits};

    use crate::proto_support::{Binary, Ping, announce, frame, hex, outcome, text};

    const INVALID: Option<Violation> = Some(Violation::InvalidUtf8);

    #[test]
    fn the_peer_sends_valid_text_in_one_frame_and_in_two_cut_anywhere() {
        for sent in
            ["", "κόσμε", "Hello-µ@ßöäüàá-UTF-8!!", "\0", "\u{feff}x", "\u{fffe}", "\u{1ffff}𐍈"]
        {
            let bytes = sent.as_bytes();
            assert_eq!(outcome(&frame(0x81, bytes)), (vec![text(sent)], None));
            for cut in 0..=bytes.len() {
                let (a, b) = bytes.split_at(cut);
                let fragments = [frame(0x01, a), frame(0x80, b)].concat();
                assert_eq!(outcome(&fragments), (vec![text(sent)], None), "cut at {cut}");
            }
        }
    }

    /// Autobahn 6.3.1: valid, a surrogate, valid again.
    const EDITED: &str = "ce ba e1 bd b9 cf 83 ce bc ce b5 ed a0 80 65 64 69 74 65 64";

    #[test]
    fn the_peer_sends_text_that_is_not_utf_8_and_we_deliver_nothing_of_it() {
        for row in [EDITED, "80", "c3 28", "c0 af", "f4 90 80 80", "ff", "61 e2 82", "ed a0 80"] {
            let bytes = hex(row);
            assert_eq!(outcome(&frame(0x81, &bytes)), (vec![], INVALID), "{row}");
            for cut in 0..=bytes.len() {
                let (a, b) = bytes.split_at(cut);
                let fragments = [frame(0x01, a), frame(0x00, b), frame(0x80, b"")].concat();
                assert_eq!(outcome(&fragments), (vec![], INVALID), "{row} cut at {cut}");
            }
        }
        assert_eq!(Violation::InvalidUtf8.close_code().value(), 1007);
    }

    #[test]
    fn the_peer_ends_a_message_inside_a_code_point_and_the_next_cannot_complete_it() {
        let bytes = [frame(0x81, b"\xe2\x82"), frame(0x81, b"\xac")].concat();
        assert_eq!(outcome(&bytes), (vec![], INVALID));
        let fragments = [frame(0x01, b"\xe2"), frame(0x80, b"\x82"), frame(0x81, b"\xac")].concat();
        assert_eq!(outcome(&fragments), (vec![], INVALID));
    }

    #[test]
    fn the_messages_before_the_bad_one_are_delivered_first() {
        let bytes =
            [frame(0x81, b"ok"), frame(0x89, b"p"), frame(0x81, b"\xff"), frame(0x81, b"no")];
        assert_eq!(outcome(&bytes.concat()), (vec![text("ok"), Ping(b"p".into())], INVALID));
    }

    #[test]
    fn the_peer_sends_bytes_that_are_not_utf_8_in_binary_messages_and_pings_and_we_take_them() {
        let bytes = [
            frame(0x82, b"\xff\xfe"),
            frame(0x89, b"\xc3("),
            frame(0x02, b"\xe2"),
            frame(0x80, b"("),
        ];
        let expected =
            vec![Binary(b"\xff\xfe".into()), Ping(b"\xc3(".into()), Binary(b"\xe2(".into())];
        assert_eq!(outcome(&bytes.concat()), (expected, None));
    }

    /// Feeds a header, and then the payload byte by byte. Returns the index of the payload byte
    /// that failed.
    fn failing_byte(header: &[u8], payload: &[u8], delivery: DeliveryMode) -> Option<usize> {
        let mut decoder = Decoder::new(Limits::default());
        decoder.feed(header);
        for (at, byte) in payload.iter().enumerate() {
            loop {
                match decoder.advance(delivery) {
                    Ok(Some(Found::Message { .. })) => drop(decoder.message().unwrap()),
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    Err(violation) => panic!("{violation:?} before byte {at}"),
                }
            }
            decoder.feed(&[*byte]);
            if let Err(violation) = decoder.advance(delivery) {
                assert_eq!(violation, Violation::InvalidUtf8);
                return Some(at);
            }
        }
        None
    }

    #[test]
    fn a_bad_byte_in_a_frame_that_never_completes_fails_at_once() {
        // Autobahn 6.4.3 and 6.4.4, and all other ways in which text becomes impossible.
        let rows: [(&str, Option<usize>); 12] = [
            ("ce ba e1 bd b9 cf 83 ce bc ce b5 f4 90 80 80", Some(12)),
            (EDITED, Some(12)),
            ("80", Some(0)),
            ("61 c0", Some(1)),
            ("61 c1", Some(1)),
            ("c3 28", Some(1)),
            ("e0 9f", Some(1)),
            ("e2 82 28", Some(2)),
            ("f0 8f", Some(1)),
            ("f0 90 80 7f", Some(3)),
            ("f5", Some(0)),
            ("ce ba f4 8f bf", None),
        ];
        for (row, expected) in rows {
            for delivery in [DeliveryMode::Whole, DeliveryMode::Fragments] {
                for first in [0x81, 0x01] {
                    for len in [100, 1_000, 1 << 20] {
                        let found = failing_byte(&announce(first, len), &hex(row), delivery);
                        assert_eq!(found, expected, "{row}, {delivery:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_bad_byte_in_an_unfinished_fragment_fails_without_waiting_for_the_next() {
        for row in
            ["01 04 f4 90 80 80", "01 02 f4 90", "01 01 f4 00 01 90", "01 01 61 00 03 62 ff 63"]
        {
            assert_eq!(outcome(&hex(row)), (vec![], INVALID), "{row}");
        }
        assert_eq!(outcome(&hex("01 01 f4")), (vec![], None));
    }

    #[test]
    fn a_bad_byte_far_into_a_big_frame_fails_when_it_comes() {
        let mut decoder = Decoder::new(Limits::default());
        let mut bytes = announce(0x81, 10 << 20);
        bytes.extend(vec![b'a'; 300_000]);
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            rest = &rest[decoder.feed(rest)..];
            assert_eq!(decoder.advance(DeliveryMode::Whole), Ok(None));
        }
        decoder.feed(b"\xff");
        assert_eq!(decoder.advance(DeliveryMode::Whole), Err(Violation::InvalidUtf8));
    }
}
