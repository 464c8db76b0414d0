//! Compressed messages: the events and the end are the same, however the bytes are cut. Limits
//! hold. An accepted message is the one that another implementation gets.
//!
//! Input: a byte of options, the cutting plan with its length before it, the stream. With option 4
//! the stream is the payload of one compressed message, else it has frames.

use landline::deflate::DeflateParameters;
use landline::error::Violation;
use landline::proto::deflate::NO_PARAMETERS;
use landline::proto::frame::{Header, Opcode, encode_close};
use landline::proto::recv::{Decoder, DeliveryMode, Found, Limits};
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::{
    TINFL_FLAG_HAS_MORE_INPUT, TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF,
};
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};

const MAX_MESSAGE: u64 = 3000;

type Outcome = (Vec<Vec<u8>>, Option<Violation>);

pub fn check(data: &[u8]) {
    let Some((&options, data)) = data.split_first() else { return };
    let (plan, stream) = super::split(data);
    let mut limits = Limits::default();
    limits.max_message_size = Some(if options & 1 != 0 { MAX_MESSAGE } else { 1 << 20 });
    let mut parameters = NO_PARAMETERS;
    parameters.server_no_context_takeover = options & 2 != 0;
    let one_message = options & 4 != 0;
    let text = options & 8 != 0;
    let framed = if one_message { frame(text, stream) } else { stream.to_vec() };

    let framed_by = |plan: &[u8], delivery| run(&framed, plan, limits, &parameters, delivery);
    let whole = framed_by(&[], DeliveryMode::Whole);
    super::note(&whole);
    for delivery in [DeliveryMode::Whole, DeliveryMode::Fragments] {
        assert_eq!(whole, framed_by(&[], delivery), "{delivery:?}");
        assert_eq!(whole, framed_by(&[0], delivery), "byte by byte, {delivery:?}");
        assert_eq!(whole, framed_by(plan, delivery), "cut by {plan:?}, {delivery:?}");
    }
    let most = limits.max_message_size.unwrap();
    assert!(whole.0.iter().all(|message| message.len() as u64 <= most), "over the limit");
    if let (true, (messages, None)) = (one_message, &whole) {
        assert_eq!(messages.len(), 1, "no message and no violation");
        assert_eq!(messages[0], reference(stream, messages[0].len()), "not what miniz makes of it");
    }
    check_empty_message(&framed, &whole, one_message, |bytes| {
        run(bytes, plan, limits, &parameters, DeliveryMode::Whole)
    });
}

/// Checks that a compressed message without a payload is empty, and changes nothing for the others:
/// before the stream, and between two equal messages if the stream is one message.
fn check_empty_message(
    framed: &[u8],
    whole: &Outcome,
    one_message: bool,
    run: impl Fn(&[u8]) -> Outcome,
) {
    const EMPTY: [u8; 2] = [0xC2, 0x00];
    let mut expected = whole.clone();
    expected.0.insert(0, Vec::new());
    assert_eq!(run(&[&EMPTY, framed].concat()), expected, "after an empty message");
    if one_message {
        let mut expected = run(&[framed, framed].concat());
        if !expected.0.is_empty() {
            expected.0.insert(1, Vec::new());
        }
        assert_eq!(run(&[framed, &EMPTY, framed].concat()), expected, "an empty message between");
    }
}

fn frame(text: bool, payload: &[u8]) -> Vec<u8> {
    let opcode = if text { Opcode::Text } else { Opcode::Binary };
    let mut frame = Vec::new();
    Header { fin: true, rsv: 4, opcode, mask: None, len: payload.len() as u64 }.encode(&mut frame);
    frame.extend_from_slice(payload);
    frame
}

/// Returns the messages and control frames, each as bytes, and the violation if there is one.
fn run(
    stream: &[u8],
    plan: &[u8],
    limits: Limits,
    parameters: &DeflateParameters,
    delivery: DeliveryMode,
) -> Outcome {
    let mut decoder = Decoder::new(limits);
    decoder.accept_deflate(parameters);
    let mut events = Vec::new();
    let mut open = Vec::new();
    for mut part in super::cut(stream, plan) {
        while !part.is_empty() {
            part = &part[decoder.feed(part)..];
            if let Err(violation) = take(&mut decoder, delivery, &mut events, &mut open) {
                assert_eq!(decoder.advance(delivery), Err(violation), "a violation is final");
                return (events, Some(violation));
            }
        }
    }
    (events, None)
}

fn take(
    decoder: &mut Decoder,
    delivery: DeliveryMode,
    events: &mut Vec<Vec<u8>>,
    open: &mut Vec<u8>,
) -> Result<(), Violation> {
    while let Some(found) = decoder.advance(delivery)? {
        events.push(match found {
            Found::Message { len, .. } => {
                let message = decoder.message()?.as_bytes().to_vec();
                assert_eq!(message.len(), len, "the length that was found");
                message
            }
            Found::Ping { .. } | Found::Pong { .. } => decoder.control().to_vec(),
            Found::Close { .. } => encode_close(&decoder.close()),
            Found::Fragment { len, last, .. } => {
                let fragment = decoder.fragment();
                assert_eq!((fragment.data.len(), fragment.last), (len, last), "what was found");
                open.extend_from_slice(fragment.data);
                if !last {
                    continue;
                }
                std::mem::take(open)
            }
        });
    }
    Ok(())
}

/// Returns what miniz makes of a payload, at most `most` bytes and one. Only the output is
/// compared: the two implementations notice at different bytes that a payload ends, or is wrong,
/// within the header of its last block.
fn reference(payload: &[u8], most: usize) -> Vec<u8> {
    let mut out = vec![0; most + 1];
    let (mut read, mut written) = (0, 0);
    loop {
        let flags = TINFL_FLAG_HAS_MORE_INPUT | TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
        let mut stream = Box::new(DecompressorOxide::new());
        let (status, took, gave) =
            decompress(&mut stream, &payload[read..], &mut out[written..], 0, flags);
        read += took;
        written += gave;
        // After a block with BFINAL, others may follow.
        if status != TINFLStatus::Done {
            out.truncate(written);
            return out;
        }
    }
}
