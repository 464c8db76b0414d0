//! What the tests of the protocol core share: hex, frames of a server, a reader of client frames
//! that is independent of the crate, and the cutter that feeds an input in every way.

#![allow(dead_code)] // Each test file uses its part.

use landline::proto::Violation;
use landline::proto::close::CloseFrame;
use landline::proto::frame::Opcode;
use landline::proto::message::{Fragment, MessageKind};
use landline::proto::recv::{Decoder, Delivery, Limits, Owned, Step};
use landline::proto::send::{Encoder, MaskKeys};

/// A step that owns its bytes; the pieces of a message are put together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OwnedEvent {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(CloseFrame),
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
/// whole; byte by byte; cut at each point (long inputs: at some); short inputs also at each two
/// points. Memory is given back in between, and messages are moved out instead of borrowed.
/// After a violation or a Close nothing may come, whatever is fed.
pub(crate) fn every_cut(bytes: &[u8], limits: Limits, delivery: Delivery) -> Outcome {
    let run = |chunks: &[&[u8]], style| feed_chunks(chunks, limits, delivery, style);
    let whole = run(&[bytes], Style::Borrow);
    let check = |outcome: Outcome, cut: std::fmt::Arguments<'_>| {
        let shown = &bytes[..bytes.len().min(64)];
        assert!(outcome == whole, "{shown:02x?}, {delivery:?}, {cut}:\n{outcome:?}\n{whole:?}");
    };
    check(run(&[bytes], Style::Move), format_args!("whole, moved"));
    let step = if bytes.len() <= 100_000 { 1 } else { 4_099 };
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

/// [`every_cut`] with whole messages and with pieces: the same outcome.
pub(crate) fn outcome_with(bytes: &[u8], limits: Limits) -> Outcome {
    let whole = every_cut(bytes, limits, Delivery::Whole);
    let pieces = every_cut(bytes, limits, Delivery::Fragments);
    assert_eq!(whole, pieces, "whole and in pieces");
    whole
}

/// [`outcome_with`] the default limits.
pub(crate) fn outcome(bytes: &[u8]) -> Outcome {
    outcome_with(bytes, Limits::default())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    /// Takes steps that borrow.
    Borrow,
    /// Takes messages that are moved out.
    Move,
    /// As `Borrow`, and gives memory back before each chunk.
    Shrink,
}

fn feed_chunks(chunks: &[&[u8]], limits: Limits, delivery: Delivery, style: Style) -> Outcome {
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

/// Takes steps, and puts pieces together.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    pub(crate) events: Vec<OwnedEvent>,
    open: Option<(MessageKind, Vec<u8>)>,
}

impl Steps {
    /// Takes all the steps that are there.
    pub(crate) fn take(
        &mut self,
        decoder: &mut Decoder,
        delivery: Delivery,
        moved: bool,
    ) -> Result<(), Violation> {
        while decoder.advance(delivery)? {
            let ready = decoder.ready();
            let check = |opcode, len| assert_eq!(ready, Some((opcode, len)), "not what is ready");
            let owned = if moved { decoder.take_message()? } else { None };
            if let Some(owned) = owned {
                assert_eq!(decoder.ready(), None);
                self.events.push(match owned {
                    Owned::Text(text) => Text(text),
                    Owned::Binary(bytes) => Binary(bytes),
                });
                self.check_last(check);
                continue;
            }
            let event = match decoder.step()?.expect("advance said there is a step") {
                Step::Text(text) => Text(text.to_owned()),
                Step::Binary(bytes) => Binary(bytes.to_vec()),
                Step::Ping(payload) => Ping(payload.to_vec()),
                Step::Pong(payload) => Pong(payload.to_vec()),
                Step::Close(close) => Close(close),
                Step::Fragment(piece) => {
                    let opcode =
                        if piece.kind == MessageKind::Text { Opcode::Text } else { Opcode::Binary };
                    check(opcode, piece.data.len());
                    self.put_together(piece);
                    continue;
                }
                other => panic!("not expected: {other:?}"),
            };
            self.events.push(event);
            self.check_last(check);
        }
        assert_eq!(decoder.step(), Ok(None), "a step after advance said there is none");
        Ok(())
    }

    fn put_together(&mut self, piece: Fragment<'_>) {
        assert_eq!(piece.first, self.open.is_none(), "`first` is wrong");
        assert!(piece.last || !piece.data.is_empty(), "an empty piece that is not the last");
        let (kind, bytes) = self.open.get_or_insert((piece.kind, Vec::new()));
        assert_eq!(*kind, piece.kind, "the kind changed");
        bytes.extend_from_slice(piece.data);
        if piece.last {
            self.events.extend(self.open.take().map(|(kind, bytes)| match kind {
                MessageKind::Text => Text(String::from_utf8(bytes).unwrap()),
                MessageKind::Binary => Binary(bytes),
            }));
        }
    }

    fn check_last(&self, check: impl FnOnce(Opcode, usize)) {
        match self.events.last().unwrap() {
            Text(text) => check(Opcode::Text, text.len()),
            Binary(bytes) => check(Opcode::Binary, bytes.len()),
            Ping(payload) => check(Opcode::Ping, payload.len()),
            Pong(payload) => check(Opcode::Pong, payload.len()),
            Close(close) => check(Opcode::Close, close.encode().len()),
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
