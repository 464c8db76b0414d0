//! permessage-deflate (RFC 7692): the core, byte by byte.

#![cfg(feature = "deflate")]
#![allow(clippy::unwrap_used)]

use crate::proto_support;

use landline::deflate::{Deflate, DeflateParameters};
use landline::error::Violation;
use landline::proto::deflate;
use landline::proto::deflate::NO_PARAMETERS;
use landline::proto::deflate::compress::Compressor;
use landline::proto::recv::{Decoder, DeliveryMode, Found, Limits};
use landline::{MessageKind, MessageRef};
use proto_support::{
    Binary, Numbers, Outcome, OwnedEvent, Ping, Steps, Text, frame, hex, limits, text,
};

/// The first bytes of a server's compressed messages: RSV1 is set.
const TEXT: u8 = 0xC1;
const BINARY: u8 = 0xC2;

fn options() -> Deflate {
    Deflate::new().min_size(0)
}

fn no_takeover() -> DeflateParameters {
    let mut parameters = NO_PARAMETERS;
    parameters.server_no_context_takeover = true;
    parameters.client_no_context_takeover = true;
    parameters
}

fn with_bits(bits: u8) -> DeflateParameters {
    let mut parameters = NO_PARAMETERS;
    parameters.client_max_window_bits = bits;
    parameters.server_max_window_bits = bits;
    parameters
}

/// Feeds the bytes part by part; `shrink` frees memory after each part.
fn feed(
    bytes: &[&[u8]],
    limits: Limits,
    parameters: DeflateParameters,
    delivery: DeliveryMode,
    (moved, shrink): (bool, bool),
) -> Outcome {
    let mut decoder = Decoder::new(limits);
    decoder.accept_deflate(&parameters);
    let mut steps = Steps::default();
    for chunk in bytes {
        let mut rest = *chunk;
        while !rest.is_empty() {
            rest = &rest[decoder.feed(rest)..];
            if let Err(violation) = steps.take(&mut decoder, delivery, moved) {
                assert_eq!(decoder.advance(delivery), Err(violation), "not final");
                return (steps.events, Some(violation));
            }
        }
        if shrink {
            decoder.shrink();
        }
    }
    (steps.events, None)
}

/// Returns the outcome if the bytes come at once, and messages are handed out whole.
fn whole(bytes: &[u8]) -> Outcome {
    feed(&[bytes], Limits::default(), NO_PARAMETERS, DeliveryMode::Whole, (false, false))
}

/// Returns the outcome, which must be the same however the bytes are cut and handed out.
fn outcome_with(bytes: &[u8], limits: Limits, parameters: DeflateParameters) -> Outcome {
    let whole = feed(&[bytes], limits, parameters, DeliveryMode::Whole, (false, false));
    let step = if bytes.len() < 10_000 { 1 } else { 997 };
    let crumbs: Vec<&[u8]> = bytes.chunks(step).collect();
    for delivery in [DeliveryMode::Whole, DeliveryMode::Fragments] {
        for style in [(false, false), (true, false), (false, true)] {
            let same = |cut: &[&[u8]], how: &str| {
                let outcome = feed(cut, limits, parameters, delivery, style);
                assert!(outcome == whole, "{how}, {delivery:?}, {style:?}: {:?}", outcome.1);
            };
            same(&[bytes], "whole");
            same(&crumbs, "in crumbs");
        }
        if bytes.len() <= 600 {
            for at in 0..bytes.len() {
                let (a, b) = bytes.split_at(at);
                let cut = feed(&[a, b], limits, parameters, delivery, (false, false));
                assert!(cut == whole, "cut at {at}, {delivery:?}: {cut:?}");
            }
        }
    }
    whole
}

fn outcome(bytes: &[u8]) -> Outcome {
    outcome_with(bytes, Limits::default(), NO_PARAMETERS)
}

/// Returns the violation, before which nothing must be found.
fn violation(bytes: &[u8]) -> Violation {
    match outcome(bytes) {
        (events, Some(violation)) if events.is_empty() => violation,
        other => panic!("expected a violation: {other:?}"),
    }
}

/// Returns the chunks of a compressed message.
fn compress(compressor: &mut Compressor, mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut chunks = Vec::new();
    while compressor.push(&mut bytes).unwrap() {
        chunks.push(compressor.chunk().to_vec());
    }
    loop {
        let more = compressor.finish().unwrap();
        chunks.push(compressor.chunk().to_vec());
        if !more {
            return chunks;
        }
    }
}

fn compressor(parameters: DeflateParameters) -> Compressor {
    Compressor::new(&options(), parameters, 64 * 1024)
}

/// Returns a message as frames of a server, one for each chunk.
fn message(first: u8, chunks: &[Vec<u8>]) -> Vec<u8> {
    let last = chunks.len() - 1;
    let frames = chunks.iter().enumerate().flat_map(|(at, chunk)| {
        let start = if at == 0 { first & 0x7F } else { 0 };
        frame(start | if at == last { 0x80 } else { 0 }, chunk)
    });
    frames.collect()
}

/// Returns something like text, the same in each run.
fn prose(len: usize, seed: u64) -> Vec<u8> {
    let words = ["frame", "the", "server", "a", "message", "opens", "of", "window", "bits", "and"];
    let mut numbers = Numbers::new(seed);
    let mut out = Vec::new();
    while out.len() < len {
        out.extend_from_slice(words[numbers.below(words.len())].as_bytes());
        out.push(b' ');
    }
    out.truncate(len);
    out
}

fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut numbers = Numbers::new(seed);
    (0..len).map(|_| numbers.next().to_le_bytes()[1]).collect()
}

mod rfc_7692_section_7_2_3 {
    use super::*;

    #[test]
    fn a_message_compressed_in_one_block() {
        let bytes = hex("c1 07 f2 48 cd c9 c9 07 00");
        assert_eq!(outcome(&bytes), (vec![text("Hello")], None));
    }

    #[test]
    fn the_same_message_in_two_fragments() {
        let bytes = hex("41 03 f2 48 cd 80 04 c9 c9 07 00");
        assert_eq!(outcome(&bytes), (vec![text("Hello")], None));
    }

    #[test]
    fn the_second_message_refers_to_the_first_one() {
        let bytes = hex("c1 07 f2 48 cd c9 c9 07 00  c1 05 f2 00 11 00 00");
        assert_eq!(outcome(&bytes), (vec![text("Hello"), text("Hello")], None));
    }

    #[test]
    fn a_block_without_compression() {
        let bytes = hex("c1 0b 00 05 00 fa ff 48 65 6c 6c 6f 00");
        assert_eq!(outcome(&bytes), (vec![text("Hello")], None));
    }

    #[test]
    fn a_block_with_bfinal_and_the_empty_block_after_it() {
        let bytes = hex("c1 08 f3 48 cd c9 c9 07 00 00");
        assert_eq!(outcome(&bytes), (vec![text("Hello")], None));
        let twice = [&bytes[..], &bytes[..]].concat();
        assert_eq!(outcome(&twice), (vec![text("Hello"), text("Hello")], None));
    }

    #[test]
    fn two_blocks_in_one_message() {
        let bytes = hex("c1 0d f2 48 05 00 00 00 ff ff ca c9 c9 07 00");
        assert_eq!(outcome(&bytes), (vec![text("Hello")], None));
    }

    #[test]
    fn an_empty_message() {
        assert_eq!(outcome(&hex("c1 01 00")), (vec![text("")], None));
    }

    #[test]
    fn an_empty_message_without_the_byte_that_the_rfc_wants() {
        let empty = || Binary(vec![]);
        for (bytes, expected) in [
            ("c2 00", vec![empty()]),
            ("c1 00", vec![text("")]),
            ("c2 00 c2 00 c2 00", vec![empty(), empty(), empty()]),
            // Cowboy, Haskell's websockets and Mojolicious send this.
            ("c2 01 00 c2 00", vec![empty(), empty()]),
            // A whole message in empty fragments, with a Ping between them.
            ("41 00 80 00", vec![text("")]),
            ("42 00 00 00 89 01 70 00 00 80 00", vec![Ping(b"p".to_vec()), empty()]),
            // A payload that begins with empty fragments, and one that ends with them.
            ("41 00 00 00 80 07 f2 48 cd c9 c9 07 00", vec![text("Hello")]),
            ("41 07 f2 48 cd c9 c9 07 00 00 00 80 00", vec![text("Hello")]),
            ("41 00 00 01 00 80 00", vec![text("")]),
        ] {
            assert_eq!(outcome(&hex(bytes)), (expected, None), "{bytes}");
        }
    }

    #[test]
    fn an_empty_message_without_a_byte_leaves_the_window_as_it_is() {
        for empty in ["c1 00", "41 00 80 00", "41 00 00 00 00 00 80 00"] {
            let bytes =
                format!("{empty} c1 07 f2 48 cd c9 c9 07 00 {empty} c1 05 f2 00 11 00 00 {empty}");
            let expected = ["", "Hello", "", "Hello", ""].map(text).to_vec();
            assert_eq!(outcome(&hex(&bytes)), (expected, None), "{empty}");
            // Without context takeover no later message may refer to an earlier one.
            let bytes = format!("c1 07 f2 48 cd c9 c9 07 00 {empty} c1 05 f2 00 11 00 00");
            let (events, violation) = outcome_with(&hex(&bytes), Limits::default(), no_takeover());
            assert_eq!(events, [text("Hello"), text("")], "{empty}");
            assert_eq!(violation, Some(Violation::InvalidDeflate), "{empty}");
        }
    }

    #[test]
    fn empty_messages_and_fragments_are_still_counted() {
        let few = limits(|limits| limits.max_empty_fragments = Some(2));
        let over = Some(Violation::TooManyEmptyFragments);
        let none = NO_PARAMETERS;
        assert_eq!(outcome_with(&hex("41 00 00 00 00"), few, none), (vec![], None));
        assert_eq!(outcome_with(&hex("41 00 00 00 00 00"), few, none), (vec![], over));
        let nothing = limits(|limits| limits.max_message_size = Some(0));
        assert_eq!(outcome_with(&hex("c1 00"), nothing, none), (vec![text("")], None));
    }

    #[test]
    fn a_fragment_without_payload_does_not_end_one_with_a_part_of_a_block() {
        let bytes = hex("41 03 f2 48 cd 80 00");
        assert_eq!(outcome(&bytes), (vec![], Some(Violation::InvalidDeflate)));
    }

    #[test]
    fn we_send_the_bytes_of_the_examples() {
        let mut compressor = compressor(NO_PARAMETERS);
        assert_eq!(compress(&mut compressor, b"Hello"), [hex("f2 48 cd c9 c9 07 00")]);
        assert_eq!(compress(&mut compressor, b"Hello"), [hex("f2 00 11 00 00")]);
        assert_eq!(compress(&mut compressor, b""), [hex("00")]);
    }
}

mod section_6_rsv1 {
    use super::*;

    #[test]
    fn a_message_without_rsv1_is_not_compressed_and_leaves_the_window_as_it_is() {
        let bytes = hex("c1 07 f2 48 cd c9 c9 07 00  81 02 68 69  c1 05 f2 00 11 00 00");
        assert_eq!(outcome(&bytes), (vec![text("Hello"), text("hi"), text("Hello")], None));
    }

    #[test]
    fn rsv1_is_refused_on_continuations_and_control_frames() {
        for bytes in ["41 03 f2 48 cd c0", "c9 00", "ca 00", "c8 00", "c9", "41 00 c0"] {
            assert_eq!(violation(&hex(bytes)), Violation::ReservedBits, "{bytes}");
        }
        for bytes in ["a1", "91", "e1", "d1", "f1", "b1"] {
            assert_eq!(violation(&hex(bytes)), Violation::ReservedBits, "{bytes}");
        }
        assert_eq!(violation(&hex("c3")), Violation::ReservedBits);
    }

    #[test]
    fn rsv1_is_refused_if_compression_was_not_negotiated() {
        let mut decoder = Decoder::new(Limits::default());
        decoder.feed(&hex("c1"));
        assert_eq!(decoder.advance(DeliveryMode::Whole), Err(Violation::ReservedBits));
    }

    #[test]
    fn a_ping_may_come_between_compressed_fragments() {
        let bytes = hex("41 03 f2 48 cd 89 01 70 80 04 c9 c9 07 00");
        assert_eq!(outcome(&bytes), (vec![Ping(b"p".to_vec()), text("Hello")], None));
    }

    #[test]
    fn ten_thousand_fragments_are_one_message() {
        let data = prose(30_000, 1);
        let payload = compress(&mut compressor(NO_PARAMETERS), &data).concat();
        let chunks: Vec<Vec<u8>> = (0..10_000)
            .map(|at| payload.get(at..=at).map(<[u8]>::to_vec).unwrap_or_default())
            .collect();
        assert!(payload.len() < 10_000);
        // The last fragments are empty; their number is not limited here.
        let limits = limits(|limits| limits.max_empty_fragments = None);
        let bytes = message(BINARY, &chunks);
        let outcome = feed(&[&bytes], limits, NO_PARAMETERS, DeliveryMode::Whole, <_>::default());
        assert_eq!(outcome, (vec![Binary(data)], None));
    }
}

mod invalid_data {
    use super::*;

    #[test]
    fn it_is_answered_with_1007() {
        assert_eq!(u16::from(Violation::InvalidDeflate.close_code()), 1007);
        assert!(!Violation::InvalidDeflate.is_limit());
    }

    #[test]
    fn corrupt_blocks_are_refused() {
        for (what, payload) in [
            ("the block type that there is not", "ff"),
            ("the block type that there is not, 06", "06"),
            ("LEN and NLEN that do not fit", "00 05 00 fa fe 48"),
            ("too far back", "f2 00 11 00 00"),
            ("a set of codes that is over-subscribed", "04 80 ff ff ff ff ff ff ff ff ff"),
        ] {
            let bytes = frame(TEXT, &hex(payload));
            assert_eq!(violation(&bytes), Violation::InvalidDeflate, "{what}");
        }
    }

    #[test]
    fn a_message_that_is_truncated_anywhere_is_refused() {
        // The blocks of these two have long headers.
        let long = prose(5_000, 12);
        let odd: Vec<u8> = noise(400, 1).iter().map(|b| b & b.rotate_left(3) ^ b >> 4).collect();
        let short = [prose(300, 2), noise(90, 3), b"Hello".to_vec(), vec![b'a'; 300]];
        for data in short.into_iter().chain([long, odd]) {
            let payload = compress(&mut compressor(NO_PARAMETERS), &data).concat();
            for len in 1..payload.len() {
                if payload[..len] == [0] {
                    continue; // That is an empty message, as no payload at all is one.
                }
                let bytes = frame(BINARY, &payload[..len]);
                let (events, violation) = feed(
                    &[&bytes],
                    Limits::default(),
                    NO_PARAMETERS,
                    DeliveryMode::Whole,
                    <_>::default(),
                );
                // The truncated bytes must not pass for another message.
                assert!(violation.is_some(), "{len} of {}: {events:?}", payload.len());
            }
        }
    }

    #[test]
    fn a_message_that_is_truncated_in_its_second_block_is_refused() {
        let mut compressor = compressor(NO_PARAMETERS);
        assert!(!compressor.push(&mut &b"all of this"[..]).unwrap());
        assert!(!compressor.flush().unwrap());
        let first = compressor.chunk().to_vec();
        let second = compress(&mut compressor, &prose(5_000, 13)).concat();
        let mut refused = 0;
        for len in 1..second.len() {
            let payload = [&first[..], &second[..len]].concat();
            let (limits, parameters) = (Limits::default(), NO_PARAMETERS);
            let bytes = frame(BINARY, &payload);
            let outcome = feed(&[&bytes], limits, parameters, DeliveryMode::Whole, <_>::default());
            // A part that ends with three bits of zero, as every message does, may pass for one.
            assert!(outcome.1.is_some() || payload[payload.len() - 1] < 0x20, "{len}: {outcome:?}");
            refused += usize::from(outcome.1.is_some());
        }
        assert!(refused > second.len() * 9 / 10, "{refused} of {}", second.len());
    }

    #[test]
    fn a_final_block_without_an_empty_one_after_it_is_refused() {
        // Section 7.2.1: an empty block, whose tail is removed, must follow the padded one.
        assert_eq!(violation(&hex("c1 07 f3 48 cd c9 c9 07 00")), Violation::InvalidDeflate);
    }

    #[test]
    fn rubbish_after_a_final_block_is_refused() {
        assert_eq!(violation(&hex("c1 09 f3 48 cd c9 c9 07 00 ff ff")), Violation::InvalidDeflate);
    }

    #[test]
    fn nothing_is_delivered_after_invalid_data() {
        let bytes = hex("81 02 68 69  c1 01 ff  81 02 68 69");
        assert_eq!(outcome(&bytes), (vec![text("hi")], Some(Violation::InvalidDeflate)));
    }

    #[test]
    fn text_is_checked_as_it_is_inflated() {
        let bad = [&prose(200, 4)[..], b"\xed\xa0\x80", &prose(200, 5)[..]].concat();
        let payload = compress(&mut compressor(NO_PARAMETERS), &bad).concat();
        assert_eq!(violation(&frame(TEXT, &payload)), Violation::InvalidUtf8);
        // The bad byte of a stored block is found long before the end of the block.
        let mut decoder = Decoder::new(Limits::default());
        decoder.accept_deflate(&NO_PARAMETERS);
        decoder.feed(&hex("c1 7d 00 70 00 8f ff 61 ff"));
        assert_eq!(decoder.advance(DeliveryMode::Whole), Err(Violation::InvalidUtf8));
        let cut = compress(&mut compressor(NO_PARAMETERS), "é".repeat(9).as_bytes());
        assert!(outcome(&message(TEXT, &cut)).1.is_none());
        let half = compress(&mut compressor(NO_PARAMETERS), b"caf\xc3");
        assert_eq!(violation(&message(TEXT, &half)), Violation::InvalidUtf8);
    }
}

mod limits_on_inflated_bytes {
    use super::*;

    fn bomb(len: usize) -> Vec<u8> {
        frame(BINARY, &compress(&mut compressor(NO_PARAMETERS), &vec![0; len]).concat())
    }

    #[test]
    fn a_message_may_have_the_limit_and_not_one_byte_more() {
        for limit in [0, 1, 31, 1024, 32 * 1024, 65_536] {
            let limits = limits(|limits| limits.max_message_size = Some(limit));
            let len = usize::try_from(limit).unwrap();
            let within = outcome_with(&bomb(len), limits, NO_PARAMETERS);
            assert_eq!(within, (vec![Binary(vec![0; len])], None), "{limit}");
            let over = outcome_with(&bomb(len + 1), limits, NO_PARAMETERS);
            assert_eq!(over, (vec![], Some(Violation::MessageTooBig)), "{limit}");
        }
    }

    #[test]
    fn the_limit_holds_for_all_fragments_together() {
        let payload = compress(&mut compressor(NO_PARAMETERS), &vec![7; 5000]).concat();
        let chunks: Vec<_> = payload.chunks(3).map(<[u8]>::to_vec).collect();
        let limits = limits(|limits| limits.max_message_size = Some(4999));
        let (events, violation) = outcome_with(&message(BINARY, &chunks), limits, NO_PARAMETERS);
        assert_eq!((events, violation), (vec![], Some(Violation::MessageTooBig)));
    }

    #[test]
    fn without_a_limit_any_message_is_taken() {
        for none in [None, Some(u64::MAX)] {
            let limits = limits(|limits| limits.max_message_size = none);
            let outcome = outcome_with(&bomb(70_000), limits, NO_PARAMETERS);
            assert_eq!(outcome, (vec![Binary(vec![0; 70_000])], None));
        }
    }

    #[test]
    fn the_frame_limit_counts_compressed_bytes() {
        let limits = limits(|limits| limits.max_frame_size = Some(200));
        let outcome = outcome_with(&bomb(100_000), limits, NO_PARAMETERS);
        assert_eq!(outcome, (vec![Binary(vec![0; 100_000])], None));
        let (_, violation) = outcome_with(&frame(BINARY, &[0; 201]), limits, no_takeover());
        assert_eq!(violation, Some(Violation::FrameTooBig));
    }

    #[test]
    fn the_first_violation_in_the_stream_decides() {
        let limits = limits(|limits| limits.max_message_size = Some(100));
        let data = |bad: usize| {
            let mut data = vec![b'a'; 200];
            data[bad] = 0xFF;
            let payload = compress(&mut compressor(NO_PARAMETERS), &data).concat();
            outcome_with(&frame(TEXT, &payload), limits, NO_PARAMETERS).1
        };
        assert_eq!(data(99), Some(Violation::InvalidUtf8));
        assert_eq!(data(100), Some(Violation::MessageTooBig));
    }

    #[test]
    fn blocks_without_output_are_limited_too() {
        let limits = limits(|limits| limits.max_message_size = Some(4096));
        // The limit of compressed bytes: 4096, a quarter of that, 1024, and 16 for each fragment
        // after the first.
        let empty_blocks = |len: usize| {
            let blocks: Vec<u8> = hex("00 00 00 ff ff").into_iter().cycle().take(len - 1).collect();
            [&blocks[..], &[0]].concat()
        };
        let within = outcome_with(&frame(BINARY, &empty_blocks(6141)), limits, no_takeover());
        assert_eq!(within, (vec![Binary(vec![])], None));
        let over = outcome_with(&frame(BINARY, &empty_blocks(6146)), limits, no_takeover());
        assert_eq!(over, (vec![], Some(Violation::MessageTooBig)));
        // The same holds for many frames.
        let frames: Vec<Vec<u8>> = empty_blocks(6261).chunks(1000).map(<[u8]>::to_vec).collect();
        let over = outcome_with(&message(BINARY, &frames), limits, no_takeover());
        assert_eq!(over, (vec![], Some(Violation::MessageTooBig)));
    }

    #[test]
    fn a_message_that_is_flushed_at_each_byte_is_not_too_big() {
        let limits = limits(|limits| limits.max_message_size = Some(4096));
        // The frames have stored blocks of one byte.
        let mut frames = vec![hex("00 01 00 fe ff 78"); 1100];
        frames.push(vec![0]);
        let outcome = outcome_with(&message(BINARY, &frames), limits, no_takeover());
        assert_eq!(outcome, (vec![Binary(vec![b'x'; 1100])], None));
    }

    #[test]
    fn the_longest_output_of_zlib_for_a_message_within_the_limit_is_taken() {
        let limits = limits(|limits| limits.max_message_size = Some(1000));
        let data = noise(1000, 6);
        for level in [0, 1, 6, 9] {
            for bits in [9, 11, 15] {
                let options = options().level(level);
                let mut compressor = Compressor::new(&options, with_bits(bits), 64 * 1024);
                let bytes = message(BINARY, &compress(&mut compressor, &data));
                let outcome = outcome_with(&bytes, limits, NO_PARAMETERS);
                assert_eq!(outcome, (vec![Binary(data.clone())], None), "{level} {bits}");
            }
        }
    }
}

mod contexts {
    use super::*;

    #[test]
    fn the_server_keeps_or_forgets_its_window_as_agreed() {
        let again = hex("c1 07 f2 48 cd c9 c9 07 00  c1 05 f2 00 11 00 00");
        assert_eq!(outcome(&again), (vec![text("Hello"), text("Hello")], None));
        let (events, violation) = outcome_with(&again, Limits::default(), no_takeover());
        assert_eq!((events, violation), (vec![text("Hello")], Some(Violation::InvalidDeflate)));
    }

    #[test]
    fn we_keep_or_forget_our_window_as_agreed() {
        let mut kept = compressor(NO_PARAMETERS);
        let mut forgotten = compressor(no_takeover());
        let first = compress(&mut kept, b"Hello");
        assert_ne!(compress(&mut kept, b"Hello"), first);
        assert_eq!(compress(&mut forgotten, b"Hello"), first);
        assert_eq!(compress(&mut forgotten, b"Hello"), first);
    }

    #[test]
    fn an_idle_connection_frees_a_window_only_if_it_may_be_forgotten() {
        let mut kept = compressor(NO_PARAMETERS);
        compress(&mut kept, b"Hello");
        kept.shrink();
        assert_eq!(compress(&mut kept, b"Hello"), [hex("f2 00 11 00 00")]);
        let mut forgotten = compressor(no_takeover());
        let first = compress(&mut forgotten, b"Hello");
        forgotten.shrink();
        assert_eq!(compress(&mut forgotten, b"Hello"), first);
    }

    #[test]
    fn no_message_refers_to_an_abandoned_one() {
        let mut compressor = compressor(NO_PARAMETERS);
        let first = compress(&mut compressor, b"Hello");
        compressor.push(&mut &b"never sent, never sent"[..]).unwrap();
        compressor.abandon();
        assert_eq!(compress(&mut compressor, b"Hello"), first);
    }

    #[test]
    fn ten_thousand_messages_in_one_context() {
        let mut compressor = compressor(NO_PARAMETERS);
        let mut decoder = Decoder::new(Limits::default());
        decoder.accept_deflate(&NO_PARAMETERS);
        let mut steps = Steps::default();
        for at in 0..10_000_u64 {
            let data = format!("{{\"sequence\":{at},\"price\":{}}}", at * 7919 % 1000);
            let bytes = message(TEXT, &compress(&mut compressor, data.as_bytes()));
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                rest = &rest[decoder.feed(rest)..];
                steps.take(&mut decoder, DeliveryMode::Whole, false).unwrap();
            }
            assert_eq!(steps.events.pop(), Some(Text(data)));
        }
    }

    /// zlib never refers back by a whole window: with 9 bits never beyond a window of 8 bits.
    #[test]
    fn a_stream_for_a_small_window_inflates_with_the_large_one() {
        let data = prose(6_000, 7);
        for bits in 9..=15 {
            let bytes = message(BINARY, &compress(&mut compressor(with_bits(bits)), &data));
            for inflating in [8, 15] {
                let outcome = outcome_with(&bytes, Limits::default(), with_bits(inflating));
                assert_eq!(outcome, (vec![Binary(data.clone())], None), "{bits}, {inflating}");
            }
        }
    }

    #[test]
    fn with_eight_bits_nothing_is_compressed() {
        assert!(!compressor(with_bits(8)).is_able());
        assert!(compressor(with_bits(9)).is_able());
    }
}

mod compressing {
    use super::*;

    #[test]
    fn options_out_of_their_range_count_as_the_nearest_valid_ones() {
        let data = prose(3_000, 14);
        let expected = (vec![Binary(data.clone())], None);
        for value in 0..=255 {
            for most in [0, 64 * 1024, usize::MAX] {
                let options = options().level(value);
                let mut compressor = Compressor::new(&options, with_bits(value), most);
                let bytes = message(BINARY, &compress(&mut compressor, &data));
                let (limits, parameters) = (Limits::default(), with_bits(value));
                let outcome =
                    feed(&[&bytes], limits, parameters, DeliveryMode::Whole, <_>::default());
                assert_eq!(outcome, expected, "{value}, {most}");
                assert_eq!(compressor.is_able(), value > 8, "{value}");
            }
        }
        let compressed = |level, bits| {
            let options = options().level(level);
            compress(&mut Compressor::new(&options, with_bits(bits), usize::MAX), &data)
        };
        assert_eq!(compressed(255, 255), compressed(9, 15));
        assert_eq!(compressed(10, 16), compressed(9, 15));
        assert_eq!(compressed(6, 0), compressed(6, 9));
    }

    /// Each combination of options, inflated by another implementation.
    #[test]
    fn another_implementation_inflates_it() {
        let inputs: Vec<Vec<u8>> = vec![
            b"a".to_vec(),
            prose(1, 1),
            prose(1000, 2),
            prose(40_000, 3),
            noise(70_000, 4),
            vec![0; 70_000],
            b"".to_vec(),
        ];
        for level in [0, 1, 2, 6, 9] {
            for bits in [9, 12, 15] {
                for most in [64, 64 * 1024] {
                    let options = options().level(level);
                    let mut compressor = Compressor::new(&options, with_bits(bits), most);
                    let mut stream = Vec::new();
                    for input in &inputs {
                        let chunks = compress(&mut compressor, input);
                        assert!(chunks.iter().rev().skip(1).all(|chunk| chunk.len() == most));
                        stream.extend(chunks.concat());
                        stream.extend([0, 0, 0xFF, 0xFF]);
                    }
                    stream.extend([1, 0, 0, 0xFF, 0xFF]); // A final block ends it.
                    let inflated = miniz_oxide::inflate::decompress_to_vec(&stream).unwrap();
                    assert!(inflated == inputs.concat(), "level {level}, {bits} bits, {most}");
                }
            }
        }
    }

    /// The tail is removed from a message, so no chunk that was handed out before may have a byte
    /// of it.
    #[test]
    fn chunks_are_full_and_the_last_one_is_hardly_longer_wherever_the_message_ends() {
        const MOST: usize = 64;
        let data = noise(4 * MOST, 10);
        for parameters in [NO_PARAMETERS, no_takeover()] {
            for len in 0..data.len() {
                let mut compressor = Compressor::new(&options(), parameters, MOST);
                let chunks = compress(&mut compressor, &data[..len]);
                let (last, full) = chunks.split_last().unwrap();
                assert!(full.iter().all(|chunk| chunk.len() == MOST), "{len} bytes");
                assert!(last.len() <= MOST + 66, "{len} bytes: the last chunk has {}", last.len());
                let expected = vec![Binary(data[..len].to_vec())];
                assert_eq!(whole(&message(BINARY, &chunks)), (expected, None), "{len} bytes");
            }
        }
    }

    #[test]
    fn freeing_memory_within_a_message_loses_nothing_of_it() {
        let data = noise(1000, 11);
        for parameters in [NO_PARAMETERS, no_takeover()] {
            for most in [64, 64 * 1024] {
                let mut compressor = Compressor::new(&options(), parameters, most);
                compress(&mut compressor, b"before");
                let mut chunks = Vec::new();
                for mut part in data.chunks(7) {
                    while compressor.push(&mut part).unwrap() {
                        chunks.push(compressor.chunk().to_vec());
                    }
                    compressor.shrink();
                }
                chunks.extend(compress(&mut compressor, b""));
                let mut fresh = Compressor::new(&options(), parameters, most);
                let before = message(BINARY, &compress(&mut fresh, b"before"));
                let bytes = [before, message(BINARY, &chunks)].concat();
                let expected = vec![Binary(b"before".to_vec()), Binary(data.clone())];
                assert_eq!(outcome(&bytes), (expected, None), "chunks of {most}");
            }
        }
    }

    #[test]
    fn data_that_does_not_compress_hardly_grows() {
        let data = noise(200_000, 8);
        for level in [0, 1, 2, 6, 9] {
            let options = options().level(level);
            let mut compressor = Compressor::new(&options, NO_PARAMETERS, 64 * 1024);
            let len = compress(&mut compressor, &data).concat().len();
            // Level 1 has only blocks with fixed codes.
            let more = data.len() / if level == 1 { 16 } else { 1000 };
            assert!(len < data.len() + more, "level {level}: {len}");
        }
    }

    #[test]
    fn a_flush_puts_out_all_that_was_pushed() {
        let mut compressor = compressor(NO_PARAMETERS);
        let mut payloads = Vec::new();
        for part in [&b"one, "[..], b"", b"two, ", b"three"] {
            assert!(!compressor.push(&mut &part[..]).unwrap());
            assert!(!compressor.flush().unwrap());
            payloads.push(compressor.chunk().to_vec());
        }
        assert_eq!(payloads[1], b"", "nothing went in");
        assert!(!compressor.finish().unwrap());
        payloads.push(compressor.chunk().to_vec());
        // Section 7.2.3.6: only the first byte of an empty block is left to send.
        assert_eq!(payloads.last().unwrap(), &[0]);
        let expected: Vec<OwnedEvent> = vec![text("one, two, three")];
        assert_eq!(outcome(&message(TEXT, &payloads)), (expected, None));
        // The receiver can inflate each part as soon as its fragment is there.
        let mut decoder = Decoder::new(Limits::default());
        decoder.accept_deflate(&NO_PARAMETERS);
        decoder.feed(&frame(TEXT & 0x7F, &payloads[0]));
        let found = decoder.advance(DeliveryMode::Fragments).unwrap();
        assert!(matches!(found, Some(Found::Fragment { len: 5, .. })), "{found:?}");
    }
}

mod streaming {
    use super::*;

    #[test]
    fn fragments_come_as_they_are_inflated_and_are_limited() {
        let data = prose(300_000, 9);
        let payload = compress(&mut compressor(NO_PARAMETERS), &data).concat();
        let bytes = frame(TEXT, &payload);
        let mut decoder = Decoder::new(Limits::default());
        decoder.accept_deflate(&NO_PARAMETERS);
        let mut rest = &bytes[..];
        let mut out = Vec::new();
        while !rest.is_empty() {
            rest = &rest[decoder.feed(rest)..];
            while decoder.advance(DeliveryMode::Fragments).unwrap().is_some() {
                let fragment = decoder.fragment();
                assert!(fragment.data.len() <= 32 * 1024);
                assert_eq!(fragment.first, out.is_empty());
                out.extend_from_slice(fragment.data);
            }
        }
        assert_eq!(out, data);
    }

    #[test]
    fn unchecked_text_comes_as_bytes() {
        let payload = compress(&mut compressor(NO_PARAMETERS), b"\xff\xfe").concat();
        let mut decoder = Decoder::new(Limits::default());
        decoder.accept_deflate(&NO_PARAMETERS);
        decoder.leave_text_unchecked();
        decoder.feed(&frame(TEXT, &payload));
        let found = Found::Message { kind: MessageKind::Text, len: 2 };
        assert_eq!(decoder.advance(DeliveryMode::Whole), Ok(Some(found)));
        assert_eq!(decoder.message(), Ok(MessageRef::Binary(b"\xff\xfe")));
    }
}

/// The memory of a message that was lent is used for the next one.
mod room_for_messages {
    use landline::Message;

    use super::*;

    /// Lends a message of `lent` bytes, and then takes one of `taken` bytes. Returns its capacity.
    fn room(first: u8, lent: usize, taken: usize) -> usize {
        let mut compressor = compressor(NO_PARAMETERS);
        let mut decoder = Decoder::new(Limits::default());
        decoder.accept_deflate(&NO_PARAMETERS);
        let mut find = |len: usize, decoder: &mut Decoder| {
            let bytes = message(first, &compress(&mut compressor, &vec![b'x'; len]));
            assert_eq!(decoder.feed(&bytes), bytes.len());
            assert!(decoder.advance(DeliveryMode::Whole).unwrap().is_some());
        };
        find(lent, &mut decoder);
        assert_eq!(decoder.message().unwrap().as_bytes().len(), lent);
        find(taken, &mut decoder);
        match decoder.take_message().unwrap() {
            Message::Text(text) => text.capacity(),
            Message::Binary(bytes) => bytes.capacity(),
        }
    }

    #[test]
    fn a_message_up_to_64_kib_keeps_at_most_128_kib_of_the_one_before() {
        const KIB: usize = 1024;
        for first in [TEXT, BINARY] {
            for (lent, taken, expected) in [
                (100_000, 60_000, 128 * KIB),
                (200_000, 60_000, 64 * KIB),
                (200_000, 64 * KIB, 64 * KIB),
                (200_000, 64 * KIB + 1, 256 * KIB),
                (20_000, 60_000, 64 * KIB),
            ] {
                assert_eq!(room(first, lent, taken), expected, "{lent}, then {taken}");
            }
        }
    }
}

/// Another implementation makes the messages, each of them a block with BFINAL.
#[test]
fn messages_that_end_in_final_blocks() {
    let mut bytes = Vec::new();
    let mut expected = Vec::new();
    for seed in 0..20 {
        let data = prose(usize::try_from(seed * 977).unwrap(), seed);
        let mut payload = miniz_oxide::deflate::compress_to_vec(&data, 6);
        payload.push(0);
        bytes.extend(frame(BINARY, &payload));
        expected.push(Binary(data));
    }
    assert_eq!(outcome(&bytes), (expected, None));
}

/// RFC 7692 section 7.1, and the answers of servers that deviate from it.
mod negotiation {
    use landline::error::{DeflateMismatch, DeflateParameter, Mismatch};

    use super::*;

    fn agree(offer: Deflate, lines: &[&str]) -> Result<Option<DeflateParameters>, Mismatch> {
        deflate::agree(&offer, lines.iter().map(|line| line.as_bytes()))
    }

    fn parameters(server: (bool, u8), client: (bool, u8)) -> DeflateParameters {
        let mut parameters = NO_PARAMETERS;
        (parameters.server_no_context_takeover, parameters.server_max_window_bits) = server;
        (parameters.client_no_context_takeover, parameters.client_max_window_bits) = client;
        parameters
    }

    #[test]
    fn answers_that_fit_the_offer_are_accepted() {
        let plain = Deflate::new();
        let asks = plain
            .server_no_context_takeover(true)
            .client_no_context_takeover(true)
            .server_max_window_bits(10)
            .client_max_window_bits(11);
        let least = plain.server_max_window_bits(8);
        let silent = plain.client_max_window_bits(12).offer_client_max_window_bits(false);
        let table = [
            (plain, "permessage-deflate", (false, 15), (false, 15)),
            (plain, " permessage-deflate\t", (false, 15), (false, 15)),
            // A server may limit itself unasked. It may limit us because we offered it.
            (plain, "permessage-deflate; server_no_context_takeover", (true, 15), (false, 15)),
            (plain, "permessage-deflate;client_no_context_takeover", (false, 15), (true, 15)),
            (plain, "permessage-deflate; server_max_window_bits=8", (false, 8), (false, 15)),
            (plain, "permessage-deflate; server_max_window_bits=15", (false, 15), (false, 15)),
            (plain, "permessage-deflate; client_max_window_bits = 9", (false, 15), (false, 9)),
            (plain, "permessage-deflate; client_max_window_bits=8", (false, 15), (false, 8)),
            (
                plain,
                "permessage-deflate; server_max_window_bits=\"1\\2\"",
                (false, 12),
                (false, 15),
            ),
            (
                asks,
                "permessage-deflate; server_max_window_bits=10; server_no_context_takeover",
                (true, 10),
                (true, 11),
            ),
            (
                asks,
                "permessage-deflate; server_no_context_takeover; server_max_window_bits=9; \
                 client_max_window_bits=10; client_no_context_takeover",
                (true, 9),
                (true, 10),
            ),
            // Some servers accept the offer, but do not repeat what was asked of them.
            (asks, "permessage-deflate", (false, 15), (true, 11)),
            (asks, "permessage-deflate; server_no_context_takeover", (true, 15), (true, 11)),
            (asks, "permessage-deflate; server_max_window_bits=9", (false, 9), (true, 11)),
            (asks, "permessage-deflate; client_max_window_bits=9", (false, 15), (true, 9)),
            // A server with zlib answers 8 with 9.
            (least, "permessage-deflate; server_max_window_bits=9", (false, 9), (false, 15)),
            (least, "permessage-deflate; server_max_window_bits=8", (false, 8), (false, 15)),
            (least, "permessage-deflate", (false, 15), (false, 15)),
            // If our window is not offered, the answer must not mention it.
            (silent, "permessage-deflate", (false, 15), (false, 12)),
            (silent, "permessage-deflate; server_max_window_bits=10", (false, 10), (false, 12)),
            (silent, "permessage-deflate; client_no_context_takeover", (false, 15), (true, 12)),
        ];
        for (offer, answer, server, client) in table {
            assert_eq!(agree(offer, &[answer]), Ok(Some(parameters(server, client))), "{answer}");
        }
        assert_eq!(agree(plain, &[]), Ok(None), "declined");
    }

    #[test]
    fn each_option_has_its_default_until_its_setter_is_called() {
        let fields = |options: Deflate| {
            (
                (options.server_no_context_takeover, options.server_max_window_bits),
                (options.client_no_context_takeover, options.client_max_window_bits),
                options.offer_client_max_window_bits,
                (options.level, options.min_size),
            )
        };
        let plain = Deflate::new();
        assert_eq!(plain, Deflate::default());
        for (options, expected) in [
            (plain, ((false, 15), (false, 15), true, (6, 64))),
            (plain.server_no_context_takeover(true), ((true, 15), (false, 15), true, (6, 64))),
            (plain.server_max_window_bits(9), ((false, 9), (false, 15), true, (6, 64))),
            (plain.client_no_context_takeover(true), ((false, 15), (true, 15), true, (6, 64))),
            (plain.client_max_window_bits(9), ((false, 15), (false, 9), true, (6, 64))),
            (plain.offer_client_max_window_bits(false), ((false, 15), (false, 15), false, (6, 64))),
            (plain.level(9), ((false, 15), (false, 15), true, (9, 64))),
            (plain.min_size(9), ((false, 15), (false, 15), true, (6, 9))),
        ] {
            assert_eq!(fields(options), expected);
        }
    }

    #[test]
    fn we_offer_what_the_options_say_and_nothing_that_is_the_default() {
        let plain = Deflate::new();
        for (offer, expected) in [
            (plain, ""),
            (plain.client_max_window_bits(14), "=14"),
            (plain.client_max_window_bits(9), "=9"),
            (plain.server_max_window_bits(14), "; server_max_window_bits=14"),
            (plain.server_max_window_bits(8), "; server_max_window_bits=8"),
            (plain.client_no_context_takeover(true), "; client_no_context_takeover"),
            (plain.server_no_context_takeover(true), "; server_no_context_takeover"),
            // The server need not know these.
            (plain.level(9).min_size(0), ""),
            (
                plain
                    .client_max_window_bits(10)
                    .server_max_window_bits(11)
                    .client_no_context_takeover(true)
                    .server_no_context_takeover(true),
                "=10; server_max_window_bits=11; client_no_context_takeover; \
                 server_no_context_takeover",
            ),
        ] {
            let expected = format!("permessage-deflate; client_max_window_bits{expected}");
            assert_eq!(deflate::offer(&offer), expected);
        }
    }

    #[test]
    fn our_window_is_not_offered_if_the_options_say_so() {
        let silent = Deflate::new().offer_client_max_window_bits(false);
        assert_eq!(deflate::offer(&silent), "permessage-deflate");
        assert_eq!(deflate::offer(&silent.client_max_window_bits(9)), "permessage-deflate");
        let asks = silent
            .server_max_window_bits(11)
            .client_no_context_takeover(true)
            .server_no_context_takeover(true);
        let expected = "permessage-deflate; server_max_window_bits=11; \
                        client_no_context_takeover; server_no_context_takeover";
        assert_eq!(deflate::offer(&asks), expected);
    }

    #[test]
    fn an_option_out_of_its_range_is_named_and_the_first_one_only() {
        let plain = Deflate::new();
        for value in 0..=255 {
            let name = |good: bool, name| if good { None } else { Some(name) };
            let server = plain.server_max_window_bits(value);
            let expected = name((8..=15).contains(&value), "server_max_window_bits");
            assert_eq!(deflate::out_of_range(&server), expected, "{value}");
            let client = plain.client_max_window_bits(value);
            let expected = name((9..=15).contains(&value), "client_max_window_bits");
            assert_eq!(deflate::out_of_range(&client), expected, "{value}");
            let level = plain.level(value);
            assert_eq!(
                deflate::out_of_range(&level),
                name((0..=9).contains(&value), "level"),
                "{value}"
            );
        }
        let mut all = plain.server_max_window_bits(7).client_max_window_bits(8).level(10);
        assert_eq!(deflate::out_of_range(&all), Some("server_max_window_bits"));
        all.server_max_window_bits = 8;
        assert_eq!(deflate::out_of_range(&all), Some("client_max_window_bits"));
        all.client_max_window_bits = 9;
        assert_eq!(deflate::out_of_range(&all), Some("level"));
    }

    #[test]
    fn malformed_lists_and_other_extensions_are_refused() {
        let long = format!("permessage-deflate; client_max_window_bits=\"{}", "\\".repeat(8000));
        for lines in [
            &[""][..],
            &["x-foo"],
            &["x-webkit-deflate-frame"],
            &["__proto__"],
            &["Permessage-Deflate"],
            &["permessage-deflate, x-foo"],
            &["permessage-deflate, permessage-deflate"],
            &["permessage-deflate", "permessage-deflate"],
            &["permessage-deflate,"],
            &[", permessage-deflate"],
            &["permessage-deflate;"],
            &["permessage-deflate; ;"],
            &["permessage-deflate; =9"],
            &["permessage-deflate; server_max_window_bits="],
            &["permessage-deflate; server_max_window_bits=\"\""],
            &["permessage-deflate; server_max_window_bits=\"10"],
            &["permessage-deflate; server_max_window_bits=\" 10\""],
            &["permessage-deflate; server_max_window_bits=\"10\"x"],
            &["permessage-deflate server_no_context_takeover"],
            &["permessage-deflate\u{e9}"],
            &[&",".repeat(8000)],
            &[&";".repeat(8000)],
            &[&long],
        ] {
            let shown = &lines[0][..lines[0].len().min(60)];
            assert_eq!(agree(options(), lines), Err(Mismatch::Extension), "{shown}");
        }
    }

    #[test]
    fn parameters_that_do_not_fit_are_refused() {
        use DeflateMismatch::{Larger, NotOffered, Repeated, Unknown, Value};
        use DeflateParameter::{
            ClientMaxWindowBits, ClientNoContextTakeover, ServerMaxWindowBits,
            ServerNoContextTakeover,
        };
        let plain = Deflate::new();
        let small = plain.server_max_window_bits(10).client_max_window_bits(10);
        let least = plain.server_max_window_bits(8);
        let nine = plain.server_max_window_bits(9);
        let silent = plain.offer_client_max_window_bits(false);
        for (offer, parameters, expected) in [
            (plain, "foo", Unknown),
            (plain, "foo=\"1\"", Unknown),
            (plain, "SERVER_NO_CONTEXT_TAKEOVER", Unknown),
            (
                plain,
                "server_no_context_takeover; server_no_context_takeover",
                Repeated(ServerNoContextTakeover),
            ),
            (
                plain,
                "client_no_context_takeover; client_no_context_takeover",
                Repeated(ClientNoContextTakeover),
            ),
            (
                plain,
                "server_max_window_bits=9; server_max_window_bits=9",
                Repeated(ServerMaxWindowBits),
            ),
            (
                plain,
                "client_max_window_bits=9; client_max_window_bits=10",
                Repeated(ClientMaxWindowBits),
            ),
            (plain, "server_no_context_takeover=1", Value(ServerNoContextTakeover)),
            (plain, "client_no_context_takeover=true", Value(ClientNoContextTakeover)),
            (plain, "server_max_window_bits", Value(ServerMaxWindowBits)),
            (plain, "client_max_window_bits", Value(ClientMaxWindowBits)),
            (small, "server_max_window_bits=11", Larger(ServerMaxWindowBits)),
            (
                small,
                "server_max_window_bits=9; client_max_window_bits=11",
                Larger(ClientMaxWindowBits),
            ),
            (small, "server_max_window_bits=15", Larger(ServerMaxWindowBits)),
            (small, "client_max_window_bits=11", Larger(ClientMaxWindowBits)),
            // Only 8 may be answered with a larger number.
            (least, "server_max_window_bits=10", Larger(ServerMaxWindowBits)),
            (nine, "server_max_window_bits=10", Larger(ServerMaxWindowBits)),
            (silent, "client_max_window_bits=15", NotOffered(ClientMaxWindowBits)),
            (silent, "client_max_window_bits=9", NotOffered(ClientMaxWindowBits)),
            (silent, "client_max_window_bits", NotOffered(ClientMaxWindowBits)),
            (
                silent,
                "server_no_context_takeover; client_max_window_bits=12",
                NotOffered(ClientMaxWindowBits),
            ),
        ] {
            let answer = format!("permessage-deflate; {parameters}");
            assert_eq!(agree(offer, &[&answer]), Err(Mismatch::Deflate(expected)), "{answer}");
        }
        for value in ["7", "16", "0", "1000", "08", "9.", "-9", "+9", "0x9", "99999999999999999999"]
        {
            let answer = format!("permessage-deflate; server_max_window_bits={value}");
            let expected = Mismatch::Deflate(Value(ServerMaxWindowBits));
            assert_eq!(agree(plain, &[&answer]), Err(expected), "{answer}");
        }
    }

    #[test]
    fn the_error_names_the_parameter() {
        for (mismatch, says) in [
            (DeflateMismatch::NotOffered(DeflateParameter::ClientMaxWindowBits), "was not offered"),
            (
                DeflateMismatch::Larger(DeflateParameter::ClientMaxWindowBits),
                "is larger than offered",
            ),
            (
                DeflateMismatch::Value(DeflateParameter::ClientMaxWindowBits),
                "has a value that it cannot have, or none",
            ),
        ] {
            let expected = format!("permessage-deflate: client_max_window_bits {says}");
            assert_eq!(Mismatch::Deflate(mismatch).to_string(), expected);
        }
    }
}
