//! Tools that the tests of the protocol core share: hex, frames of a server, a reader of client
//! frames that is independent of the crate, and the cutter that feeds an input in every way.

#![allow(dead_code)] // Each test file uses its part.

use landline::error::Violation;
use landline::proto::frame::encode_close;
use landline::proto::recv::{Decoder, DeliveryMode, Found, Limits};
use landline::proto::send::{Encoder, MaskKeys};
use landline::{CloseFrame, Fragment, Message, MessageKind};

/// Holds what was received, with its bytes; the fragments of a message are put together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OwnedEvent {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(CloseFrame),
}

impl OwnedEvent {
    /// The length of the payload.
    fn len(&self) -> usize {
        match self {
            Text(text) => text.len(),
            Binary(bytes) | Ping(bytes) | Pong(bytes) => bytes.len(),
            Close(close) => encode_close(close).len(),
        }
    }
}

pub(crate) use OwnedEvent::{Binary, Close, Ping, Pong, Text};

/// All the events before the end of the input or the violation, and the violation.
pub(crate) type Outcome = (Vec<OwnedEvent>, Option<Violation>);

pub(crate) fn text(text: &str) -> OwnedEvent {
    Text(text.to_owned())
}

/// Bytes from hex digits; white space is left out.
pub(crate) fn hex(digits: &str) -> Vec<u8> {
    let digits: Vec<u8> = digits.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    assert!(digits.len() % 2 == 0, "an odd number of hex digits");
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

/// A server's frame: `first` is FIN, the reserved bits and the opcode.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = announce(first, payload.len() as u64);
    bytes.extend_from_slice(payload);
    bytes
}

/// The header of a server's frame, its payload still to come.
pub(crate) fn announce(first: u8, len: u64) -> Vec<u8> {
    let be = len.to_be_bytes();
    let mut bytes = vec![first];
    match len {
        0..=125 => bytes.push(be[7]),
        126..=65_535 => bytes.extend_from_slice(&[126, be[6], be[7]]),
        _ => {
            bytes.push(127);
            bytes.extend_from_slice(&be);
        }
    }
    bytes
}

pub(crate) fn close_payload(code: u16, reason: &[u8]) -> Vec<u8> {
    [&code.to_be_bytes(), reason].concat()
}

/// Limits that only some fields change.
pub(crate) fn limits(change: impl FnOnce(&mut Limits)) -> Limits {
    let mut limits = Limits::default();
    change(&mut limits);
    limits
}

/// An encoder all of whose frames have the same masking key.
pub(crate) fn encoder(key: [u8; 4]) -> Encoder {
    Encoder::new(MaskKeys::new(move |pool| {
        for (byte, key) in pool.iter_mut().zip(key.iter().cycle()) {
            *byte = *key;
        }
        Ok(())
    }))
}

/// Feeds `bytes` in every way of cutting them, and gives the outcome, which must not depend on it:
/// whole; byte by byte (long inputs: in about a thousand parts); cut at each point (long inputs: at
/// some); short inputs also at each two points. Memory is given back in between, and messages are
/// moved out instead of borrowed. After a violation or a Close nothing may come, whatever is fed.
pub(crate) fn every_cut(bytes: &[u8], limits: Limits, delivery: DeliveryMode) -> Outcome {
    let run = |chunks: &[&[u8]], style| feed_chunks(chunks, limits, delivery, style);
    let whole = run(&[bytes], Style::Borrow);
    let check = |outcome: Outcome, cut: std::fmt::Arguments<'_>| {
        let shown = &bytes[..bytes.len().min(64)];
        assert!(outcome == whole, "{shown:02x?}, {delivery:?}, {cut}:\n{outcome:?}\n{whole:?}");
    };
    check(run(&[bytes], Style::Move), format_args!("whole, moved"));
    let step = if bytes.len() <= 10_000 { 1 } else { bytes.len() / 1_000 + 1 };
    let crumbs: Vec<&[u8]> = bytes.chunks(step).collect();
    for style in [Style::Borrow, Style::Move, Style::Shrink] {
        check(run(&crumbs, style), format_args!("by {step}, {style:?}"));
    }
    let every = if bytes.len() <= 300 { 1 } else { bytes.len() / 16 };
    for at in (0..bytes.len()).step_by(every) {
        let (a, b) = bytes.split_at(at);
        check(run(&[a, b], Style::Borrow), format_args!("at {at}"));
        check(run(&[a, b], Style::Shrink), format_args!("at {at}, shrunk"));
        if bytes.len() <= 40 {
            for more in 0..b.len() {
                let (b, c) = b.split_at(more);
                check(run(&[a, b, c], Style::Borrow), format_args!("at {at} and {more} on"));
            }
        }
    }
    whole
}

/// [`every_cut`] with whole messages and with fragments: the same outcome.
pub(crate) fn outcome_with(bytes: &[u8], limits: Limits) -> Outcome {
    let whole = every_cut(bytes, limits, DeliveryMode::Whole);
    let fragments = every_cut(bytes, limits, DeliveryMode::Fragments);
    assert_eq!(whole, fragments, "whole and in fragments");
    whole
}

/// [`outcome_with`] the default limits.
pub(crate) fn outcome(bytes: &[u8]) -> Outcome {
    outcome_with(bytes, Limits::default())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    /// Takes what is lent.
    Borrow,
    /// Takes messages that are moved out.
    Move,
    /// As `Borrow`, and gives memory back before each chunk.
    Shrink,
}

fn feed_chunks(chunks: &[&[u8]], limits: Limits, delivery: DeliveryMode, style: Style) -> Outcome {
    let mut decoder = Decoder::new(limits);
    let mut steps = Steps::default();
    let failed = chunks.iter().find_map(|chunk| {
        if style == Style::Shrink {
            decoder.shrink();
        }
        let mut rest = *chunk;
        while !rest.is_empty() {
            rest = &rest[decoder.feed(rest)..];
            if let Err(violation) = steps.take(&mut decoder, delivery, style == Style::Move) {
                return Some(violation);
            }
        }
        None
    });
    let count = steps.events.len();
    let closed = matches!(steps.events.last(), Some(Close(_)));
    if failed.is_some() || closed {
        for more in [frame(0x81, b"late"), frame(0x88, &[]), vec![0xff; 200]] {
            decoder.feed(&more);
            assert_eq!(steps.take(&mut decoder, delivery, false).err(), failed, "not the same");
            assert_eq!(steps.events.len(), count, "something came after the end");
        }
    }
    (steps.events, failed)
}

/// Takes what is found, and puts fragments together.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    pub(crate) events: Vec<OwnedEvent>,
    open: Option<(MessageKind, Vec<u8>)>,
}

impl Steps {
    /// Takes all that is there.
    pub(crate) fn take(
        &mut self,
        decoder: &mut Decoder,
        delivery: DeliveryMode,
        moved: bool,
    ) -> Result<(), Violation> {
        while let Some(found) = decoder.advance(delivery)? {
            let (event, len) = match found {
                Found::Message { kind, len } => {
                    let message =
                        if moved { decoder.take_message()? } else { decoder.message()?.into() };
                    let event = match (kind, message) {
                        (MessageKind::Text, Message::Text(text)) => Text(text),
                        (MessageKind::Binary, Message::Binary(bytes)) => Binary(bytes),
                        other => panic!("not the kind that was found: {other:?}"),
                    };
                    (event, len)
                }
                Found::Fragment { kind, len, first, last } => {
                    let fragment = decoder.fragment();
                    assert_eq!((fragment.kind, fragment.data.len()), (kind, len));
                    assert_eq!((fragment.first, fragment.last), (first, last));
                    self.put_together(fragment);
                    continue;
                }
                Found::Ping { len } => (Ping(decoder.control().to_vec()), len),
                Found::Pong { len } => (Pong(decoder.control().to_vec()), len),
                Found::Close { len } => (Close(decoder.close()), len),
            };
            assert_eq!(len, event.len(), "not the length that was found");
            self.events.push(event);
        }
        Ok(())
    }

    fn put_together(&mut self, fragment: Fragment<'_>) {
        assert_eq!(fragment.first, self.open.is_none(), "`first` is wrong");
        assert!(fragment.last || !fragment.data.is_empty(), "an empty one that is not the last");
        let (kind, bytes) = self.open.get_or_insert((fragment.kind, Vec::new()));
        assert_eq!(*kind, fragment.kind, "the kind changed");
        bytes.extend_from_slice(fragment.data);
        if fragment.last {
            self.events.extend(self.open.take().map(|(kind, bytes)| match kind {
                MessageKind::Text => Text(String::from_utf8(bytes).unwrap()),
                MessageKind::Binary => Binary(bytes),
            }));
        }
    }
}

/// A frame of a client, unmasked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClientFrame {
    pub(crate) first: u8,
    pub(crate) key: [u8; 4],
    pub(crate) payload: Vec<u8>,
}

/// Takes a client's frame from the front of `bytes` as a server does; `None` when it is not all
/// there. Shares nothing with the crate.
pub(crate) fn take_client_frame(bytes: &mut Vec<u8>) -> Option<ClientFrame> {
    let second = *bytes.get(1)?;
    assert!(second >= 128, "a client's frame is not masked");
    let wide = match second - 128 {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let mut len = usize::from(second - 128);
    if wide > 0 {
        len = 0;
        for byte in bytes.get(2..2 + wide)? {
            len = len * 256 + usize::from(*byte);
        }
        assert!(len > if wide == 2 { 125 } else { 65_535 }, "a length that is not minimal");
    }
    let start = 2 + wide + 4;
    let masked = bytes.get(start..start + len)?;
    let key = [bytes[start - 4], bytes[start - 3], bytes[start - 2], bytes[start - 1]];
    let payload = masked.iter().enumerate().map(|(at, byte)| byte ^ key[at % 4]).collect();
    let first = bytes[0];
    bytes.drain(..start + len);
    Some(ClientFrame { first, key, payload })
}

/// All the frames of a client; nothing may be left.
pub(crate) fn client_frames(bytes: &[u8]) -> Vec<ClientFrame> {
    let mut bytes = bytes.to_vec();
    let frames = std::iter::from_fn(|| take_client_frame(&mut bytes)).collect();
    assert!(bytes.is_empty(), "half a frame is left: {bytes:02x?}");
    frames
}

/// A small generator of numbers that are the same in each run (xorshift64*).
#[derive(Debug)]
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16
    }

    /// A number under `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }
}
