//! Any bytes as a server's stream: however they are cut, the same events and the same end.
//!
//! Input: a byte of options, the cutting plan with its length before it, the stream.

use landline::proto::Violation;
use landline::proto::recv::{Decoder, Delivery, Limits, Step};

/// What a stream comes to. Pieces of one message that follow each other are one event, because
/// how a message is cut into pieces is not promised.
#[derive(Debug, PartialEq)]
enum Event {
    Whole(bool, Vec<u8>),
    Pieces(bool, Vec<u8>, bool),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>, String),
}

pub fn check(data: &[u8]) {
    let Some((&options, data)) = data.split_first() else { return };
    let (plan, stream) = super::split(data);
    let mut limits = Limits::default();
    if options & 1 != 0 {
        limits.max_message_size = Some(1000);
        limits.max_frame_size = Some(500);
        limits.max_fragments = Some(8);
        limits.max_empty_fragments = Some(2);
    }
    let delivery = if options & 2 != 0 { Delivery::Pieces } else { Delivery::Whole };
    let unchecked = options & 4 != 0;

    let whole = run(stream, &[], limits, delivery, unchecked);
    assert_eq!(whole, run(stream, &[0], limits, delivery, unchecked), "byte by byte");
    assert_eq!(whole, run(stream, plan, limits, delivery, unchecked), "cut by {plan:?}");

    // A higher limit never turns what was accepted into a violation.
    if whole.1.is_none() {
        let higher = run(stream, &[], Limits::default(), delivery, unchecked);
        assert_eq!(whole, higher, "with higher limits");
    }
}

fn run(
    stream: &[u8],
    plan: &[u8],
    limits: Limits,
    delivery: Delivery,
    unchecked: bool,
) -> (Vec<Event>, Option<Violation>) {
    let mut decoder = Decoder::new(limits);
    if unchecked {
        decoder.leave_text_unchecked();
    }
    let mut events = Vec::new();
    for mut piece in super::cut(stream, plan) {
        while !piece.is_empty() {
            let taken = decoder.feed(piece);
            assert!(taken > 0, "no space for bytes");
            piece = &piece[taken..];
            if let Err(violation) = take(&mut decoder, delivery, &mut events) {
                assert_eq!(decoder.advance(delivery), Err(violation), "a violation is final");
                // How much of a message is handed out before it turns out bad is not promised.
                if let Some(Event::Pieces(_, _, false)) = events.last() {
                    events.pop();
                }
                return (events, Some(violation));
            }
        }
    }
    (events, None)
}

fn take(
    decoder: &mut Decoder,
    delivery: Delivery,
    events: &mut Vec<Event>,
) -> Result<(), Violation> {
    while decoder.advance(delivery)? {
        let closed = matches!(events.last(), Some(Event::Close(..)));
        assert!(!closed, "something came after the Close");
        let event = match decoder.step()?.expect("advance said that there is a step") {
            Step::Text(text) => Event::Whole(true, text.as_bytes().to_vec()),
            Step::RawText(bytes) => Event::Whole(true, bytes.to_vec()),
            Step::Binary(bytes) => Event::Whole(false, bytes.to_vec()),
            Step::Piece(piece) => {
                let text = piece.kind == landline::Kind::Text;
                match events.last_mut() {
                    Some(Event::Pieces(_, bytes, last)) if !piece.first && !*last => {
                        bytes.extend_from_slice(piece.data);
                        *last = piece.last;
                        continue;
                    }
                    _ => Event::Pieces(text, piece.data.to_vec(), piece.last),
                }
            }
            Step::Ping(payload) => Event::Ping(payload.to_vec()),
            Step::Pong(payload) => Event::Pong(payload.to_vec()),
            Step::Close(close) => Event::Close(close.code.map(u16::from), close.reason),
            step => panic!("unknown step {step:?}"),
        };
        events.push(event);
    }
    Ok(())
}
