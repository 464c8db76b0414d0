//! The same server bytes through landline, and through tungstenite and soketto: the same messages,
//! and both accept or both refuse. The known and intended differences are in [`Difference`].
//!
//! Input: the server's stream.

mod by_soketto;
mod by_tungstenite;

use landline::proto::Violation;
use landline::proto::recv::{Decoder, Delivery, Limits, Step};

/// Where the others differ, and why we are right.
#[derive(Clone, Copy, Debug)]
enum Difference {
    /// RFC 6455 section 5.2: "the minimal number of bytes MUST be used to encode the length".
    /// Neither looks.
    NonMinimalLength,
    /// Section 5.2: the most significant bit MUST be 0; tungstenite looks at its size limit only.
    LengthTopBit,
    /// Section 5.1: "A client MUST close a connection if it detects a masked frame"; soketto
    /// unmasks it.
    MaskedFrame,
    /// Both refuse, but we on the first byte, they when they have the whole header or payload.
    Earlier,
    /// Section 8.1: we look at text as it arrives. soketto leaves that to its user, who has the
    /// whole message, and the control frames between its fragments before.
    WholeText,
    /// We bound fragments, they do not.
    Fragments,
    /// Section 7.4.2: codes that are not defined must not be used. tungstenite knows other ones;
    /// soketto takes 1015, and hands out the others as 1002 instead of refusing them.
    CloseCode,
    /// Section 5.5.1: "the first two bytes of the body MUST be a 2-byte unsigned integer"; soketto
    /// takes one byte for none.
    CloseLength,
}

#[derive(Debug, PartialEq, Clone)]
enum Event {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<(u16, String)>),
}

/// What another parser made of the bytes.
#[derive(Debug)]
struct Verdict {
    events: Vec<Event>,
    refused: bool,
}

const LIMIT: usize = 1 << 16;

pub fn check(data: &[u8]) {
    let (ours, violation) = landline(data);
    let theirs = by_tungstenite::parse(data);
    let difference = violation.and_then(|violation| by_tungstenite::difference(violation, &theirs));
    compare(&ours, violation, theirs, difference);

    let mut theirs = by_soketto::parse(data);
    let pong = pong_between_fragments(data).filter(|&pong| pong < ours.len());
    if let Some(pong) = pong {
        // soketto forgets the open message when a Pong comes between its fragments.
        theirs.events.truncate(pong + 1);
        return assert_eq!(ours[..=pong], theirs.events, "up to the Pong");
    }
    let difference = violation.and_then(|violation| by_soketto::difference(violation, &theirs));
    compare(&ours, violation, theirs, difference);
}

fn compare(
    ours: &[Event],
    violation: Option<Violation>,
    mut theirs: Verdict,
    difference: Option<Difference>,
) {
    let mut ours = ours.to_vec();
    // IANA registered 1014 later than the RFC; the others take it for a violation.
    if matches!(ours.last(), Some(Event::Close(Some((1014, _))))) {
        let last = theirs.events.pop();
        assert!(matches!(last, Some(Event::Close(Some((1002 | 1014, _))))));
        ours.pop();
    }
    match difference {
        // Up to there they agree.
        Some(difference) => {
            assert!(theirs.events.starts_with(&ours), "{difference:?}: {ours:?} / {theirs:?}");
        }
        None => {
            assert_eq!(ours, theirs.events, "{violation:?}, refused there: {}", theirs.refused);
            assert_eq!(violation.is_some(), theirs.refused, "{violation:?}");
        }
    }
}

fn landline(mut data: &[u8]) -> (Vec<Event>, Option<Violation>) {
    let mut limits = Limits::default();
    limits.max_message_size = Some(LIMIT as u64);
    limits.max_frame_size = Some(LIMIT as u64);
    let mut decoder = Decoder::new(limits);
    let mut events = Vec::new();
    let mut run = || -> Result<(), Violation> {
        loop {
            while decoder.advance(Delivery::Whole)? {
                events.push(match decoder.step()?.unwrap() {
                    Step::Text(text) => Event::Text(text.to_owned()),
                    Step::Binary(bytes) => Event::Binary(bytes.to_vec()),
                    Step::Ping(payload) => Event::Ping(payload.to_vec()),
                    Step::Pong(payload) => Event::Pong(payload.to_vec()),
                    Step::Close(close) => {
                        Event::Close(close.code.map(|code| (code.value(), close.reason)))
                    }
                    step => panic!("unexpected {step:?}"),
                });
            }
            if data.is_empty() {
                return Ok(());
            }
            data = &data[decoder.feed(data)..];
        }
    };
    let violation = run().err();
    (events, violation)
}

/// Which event is the first Pong that comes while a message is open, if all frames are good so far.
fn pong_between_fragments(mut data: &[u8]) -> Option<usize> {
    let (mut events, mut open) = (0, false);
    loop {
        let (&[first, second], rest) = data.split_first_chunk()?;
        let (len, rest) = match second {
            126 => {
                rest.split_first_chunk().map(|(len, rest)| (u16::from_be_bytes(*len).into(), rest))
            }
            127 => rest.split_first_chunk().map(|(len, rest)| (u64::from_be_bytes(*len), rest)),
            len => Some((len.into(), rest)),
        }?;
        data = rest.get(usize::try_from(len).ok()?..)?;
        let (fin, opcode) = (first & 0x80 != 0, first & 0x0F);
        match opcode {
            10 if open => return Some(events),
            8.. => events += 1,
            _ => {
                open = !fin;
                events += usize::from(fin);
            }
        }
    }
}
