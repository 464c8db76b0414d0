//! The same bytes of a server go through landline, tungstenite and soketto. All find the same
//! messages, and all accept or all refuse the bytes. [`Difference`] has the known and intended
//! differences. If landline refuses bytes and another parser does not, [`bytes`] checks without any
//! parser that the bytes are wrong.
//!
//! Input: the server's stream.

mod by_soketto;
mod by_tungstenite;
mod bytes;

use landline::MessageRef;
use landline::error::Violation;
use landline::proto::recv::{Decoder, DeliveryMode, Found, Limits};

/// A known difference to another parser, with the reason why landline is right.
#[derive(Clone, Copy, Debug)]
enum Difference {
    /// RFC 6455 section 5.2: "the minimal number of bytes MUST be used to encode the length".
    /// Neither of the others checks it.
    NonMinimalLength,
    /// Section 5.2: the most significant bit MUST be 0; tungstenite checks only its size limit.
    LengthTopBit,
    /// Section 5.1: "A client MUST close a connection if it detects a masked frame"; soketto
    /// unmasks it.
    MaskedFrame,
    /// Both refuse, but landline at the first wrong byte, the other only when it has the whole
    /// header or payload.
    Earlier,
    /// Section 8.1: landline checks text as it arrives. soketto leaves that to its user, who gets
    /// the control frames between the fragments first, and then the whole message.
    WholeText,
    /// landline limits the number of fragments, the others do not.
    Fragments,
    /// Both refuse a message that is too big, but soketto waits for as many bytes again before it
    /// fails.
    MessageTooBig,
    /// Section 7.4.2: codes that are not defined must not be used. tungstenite accepts other codes.
    /// soketto accepts 1015, and hands out the others as 1002 instead of refusing them.
    CloseCode,
    /// Section 5.5.1: "the first two bytes of the body MUST be a 2-byte unsigned integer"; soketto
    /// treats a single byte as no payload.
    CloseLength,
    /// 1014 was registered after the RFC. The others treat it as a violation.
    Code1014,
    /// soketto drops the open message if a Pong comes between its fragments.
    PongBetweenFragments,
}

#[derive(Debug, PartialEq, Clone)]
enum Event {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<(u16, String)>),
}

/// The result of another parser.
#[derive(Debug)]
struct Parsed {
    events: Vec<Event>,
    refused: bool,
}

const LIMIT: usize = 1 << 16;

pub fn check(data: &[u8]) {
    let (ours, violation) = landline(data);
    super::note(&(&ours, violation));
    let closes_with_1014 = matches!(ours.last(), Some(Event::Close(Some((1014, _)))));

    let theirs = by_tungstenite::parse(data);
    let difference = match violation {
        Some(violation) => by_tungstenite::difference(violation, &theirs),
        None => closes_with_1014.then_some(Difference::Code1014),
    };
    compare(data, &ours, violation, theirs, difference, by_tungstenite::parse);

    let theirs = by_soketto::parse(data);
    let pong = bytes::pong_between_fragments(data).filter(|&pong| pong < ours.len());
    let difference = match violation {
        _ if pong.is_some() => Some(Difference::PongBetweenFragments),
        Some(violation) => by_soketto::difference(violation, &theirs),
        None => closes_with_1014.then_some(Difference::Code1014),
    };
    compare(data, &ours, violation, theirs, difference, by_soketto::parse);
}

fn compare(
    data: &[u8],
    ours: &[Event],
    violation: Option<Violation>,
    theirs: Parsed,
    difference: Option<Difference>,
    parse: impl FnOnce(&[u8]) -> Parsed,
) {
    let Some(difference) = difference else {
        assert_eq!(ours, theirs.events, "{violation:?}, refused there: {}", theirs.refused);
        return assert_eq!(violation.is_some(), theirs.refused, "{violation:?}");
    };
    // Both agree up to the difference.
    let agreed = match difference {
        Difference::Code1014 => {
            let last = theirs.events.last();
            assert!(matches!(last, Some(Event::Close(Some((1002 | 1014, _))))), "{last:?}");
            &ours[..ours.len() - 1]
        }
        Difference::PongBetweenFragments => {
            &ours[..=bytes::pong_between_fragments(data).expect("it was found")]
        }
        _ => ours,
    };
    assert!(theirs.events.starts_with(agreed), "{difference:?}: {ours:?} / {theirs:?}");
    // The bytes that landline refuses are really wrong.
    let is_big = bytes::have_big_message(data, LIMIT as u64);
    let deserved = match difference {
        Difference::NonMinimalLength => bytes::have(data, bytes::Frame::is_long_form),
        Difference::LengthTopBit => bytes::have(data, bytes::Frame::has_top_bit),
        Difference::MaskedFrame => bytes::have(data, bytes::Frame::is_masked),
        Difference::CloseCode => bytes::have(data, bytes::Frame::has_bad_code),
        Difference::CloseLength => bytes::have(data, bytes::Frame::is_close_of_one_byte),
        Difference::WholeText => bytes::have_bad_text(data),
        Difference::MessageTooBig => is_big,
        Difference::Fragments => bytes::frames(data).count() > 1024,
        // The other parser refuses it too once the frame and the message are complete.
        Difference::Earlier => is_big || parse(&bytes::completed(data)).refused,
        Difference::Code1014 | Difference::PongBetweenFragments => true,
    };
    assert!(deserved, "{difference:?}: {violation:?}, but why?");
}

fn landline(mut data: &[u8]) -> (Vec<Event>, Option<Violation>) {
    let mut limits = Limits::default();
    limits.max_message_size = Some(LIMIT as u64);
    limits.max_frame_size = Some(LIMIT as u64);
    let mut decoder = Decoder::new(limits);
    let mut events = Vec::new();
    let mut run = || -> Result<(), Violation> {
        loop {
            while let Some(found) = decoder.advance(DeliveryMode::Whole)? {
                events.push(match found {
                    Found::Message { .. } => match decoder.message()? {
                        MessageRef::Text(text) => Event::Text(text.to_owned()),
                        MessageRef::Binary(bytes) => Event::Binary(bytes.to_vec()),
                    },
                    Found::Ping { .. } => Event::Ping(decoder.control().to_vec()),
                    Found::Pong { .. } => Event::Pong(decoder.control().to_vec()),
                    Found::Close { .. } => {
                        let close = decoder.close();
                        Event::Close(close.code.map(|code| (code.value(), close.reason)))
                    }
                    Found::Fragment { .. } => panic!("unexpected {found:?}"),
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
