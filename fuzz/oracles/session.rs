//! A whole session in virtual time: frames of the server, sends, pings, closes and jumps of the
//! clock, in any order. The driver does what `landline::proto` requires of one.
//!
//! Checks: only whole, masked frames are sent, which a server understands. At most one Close is
//! sent, and nothing after it. Nothing is delivered after the server's Close or after a violation.
//! A Pong answers the latest Ping. Limits hold. No deadline stays in the past.

use std::time::{Duration, Instant};

use arbitrary::Unstructured;
use landline::error::Violation;
use landline::proto::frame::{Header, Opcode, decode_close};
use landline::proto::keepalive::{Due, Timer};
use landline::proto::recv::{Decoder, DeliveryMode, Found, Limits};
use landline::proto::send::{EncodeError, Encoder, MaskKeys};
use landline::{CloseCode, CloseFrame, Keepalive};

const MAX_MESSAGE: u64 = 512;

pub fn check(data: &[u8]) {
    // The script ends when the input is used up.
    let _ = script(&mut Unstructured::new(data));
}

fn script(input: &mut Unstructured<'_>) -> arbitrary::Result<()> {
    let mut session = Session::new(input)?;
    while !input.is_empty() {
        match input.int_in_range(0..=7)? {
            0 | 1 => {
                let frame = server_frame(input)?;
                session.receive(&frame);
            }
            2 => {
                let len = input.int_in_range(0..=64)?;
                let bytes = input.bytes(len)?;
                session.receive(bytes);
            }
            3 => session.send(Opcode::Text, b"text"),
            4 => {
                let len: usize = input.int_in_range(0..=300)?;
                session.send(Opcode::Binary, &vec![7; len]);
            }
            5 => session.send_control(input.int_in_range(0..=130)?),
            6 => session.close(CloseCode::new(input.arbitrary()?)),
            _ => session.advance_clock(input.int_in_range(0..=120)?),
        }
        session.check_output();
    }
    Ok(())
}

/// Makes a frame of a server, which is usually right.
pub fn server_frame(input: &mut Unstructured<'_>) -> arbitrary::Result<Vec<u8>> {
    let opcode = *input.choose(&[
        Opcode::Continuation,
        Opcode::Text,
        Opcode::Binary,
        Opcode::Close,
        Opcode::Ping,
        Opcode::Pong,
    ])?;
    let most = if opcode.is_control() { 125 } else { 300 };
    let len = input.int_in_range(0..=most)?.min(input.len());
    let mut payload = input.bytes(len)?.to_vec();
    if opcode == Opcode::Close && payload.len() >= 2 && input.arbitrary()? {
        payload[..2].copy_from_slice(&1000u16.to_be_bytes());
    }
    if opcode == Opcode::Text && input.arbitrary()? {
        payload.iter_mut().for_each(|byte| *byte &= 0x7F);
    }
    let fin = opcode.is_control() || input.arbitrary()?;
    let mut frame = Vec::new();
    Header { fin, rsv: 0, opcode, mask: None, len: payload.len() as u64 }.encode(&mut frame);
    frame.extend_from_slice(&payload);
    Ok(frame)
}

struct Session {
    decoder: Decoder,
    encoder: Encoder,
    timer: Timer,
    now: Instant,
    out: Vec<u8>,
    /// The number of bytes of `out` that were checked; `close_sent` tells whether they had a Close.
    checked: usize,
    close_sent: bool,
    last_ping: Option<Vec<u8>>,
    /// The server closed, or broke the protocol, or is dead.
    over: bool,
}

impl Session {
    fn new(input: &mut Unstructured<'_>) -> arbitrary::Result<Self> {
        let mut limits = Limits::default();
        limits.max_message_size = Some(MAX_MESSAGE);
        limits.max_fragments = Some(16);
        limits.max_empty_fragments = Some(4);
        let mut second = || -> arbitrary::Result<Option<Duration>> {
            let seconds: u8 = input.int_in_range(0..=60)?;
            // Zero switches off, as `None` does.
            Ok((seconds < 60).then(|| Duration::from_secs(seconds.into())))
        };
        let keepalive = Keepalive::new(second()?, second()?);
        let now = Instant::now();
        let mut seed = 0u8;
        let keys = MaskKeys::new(move |pool| {
            pool.iter_mut().for_each(|byte| {
                seed = seed.wrapping_mul(31).wrapping_add(7);
                *byte = seed;
            });
            Ok(())
        });
        Ok(Self {
            decoder: Decoder::new(limits),
            encoder: Encoder::new(keys),
            timer: Timer::new(keepalive, now, u64::MAX),
            now,
            out: Vec::new(),
            checked: 0,
            close_sent: false,
            last_ping: None,
            over: false,
        })
    }

    fn receive(&mut self, mut bytes: &[u8]) {
        if self.over {
            return;
        }
        self.timer.heard(self.now);
        while !bytes.is_empty() && !self.over {
            bytes = &bytes[self.decoder.feed(bytes)..];
            if let Err(violation) = self.take() {
                self.over = true;
                let close = CloseFrame::from(violation.close_code());
                let sent = self.encoder.close(&close, &mut self.out);
                assert!(sent.is_ok() || self.close_sent);
                for _ in 0..2 {
                    assert_eq!(self.decoder.advance(DeliveryMode::Whole), Err(violation), "final");
                    self.decoder.feed(b"\x81\x04more");
                }
            }
        }
    }

    fn take(&mut self) -> Result<(), Violation> {
        while let Some(found) = self.decoder.advance(DeliveryMode::Whole)? {
            assert!(!self.over, "something after the end");
            match found {
                Found::Message { kind, len } => {
                    let message = self.decoder.message()?;
                    super::note(&message);
                    assert_eq!((message.kind(), message.as_bytes().len()), (kind, len));
                    assert!(len as u64 <= MAX_MESSAGE);
                }
                Found::Ping { .. } => {
                    let payload = self.decoder.control();
                    self.last_ping = Some(payload.to_vec());
                    let done = self.encoder.control(Opcode::Pong, payload, &mut self.out);
                    assert!(done.is_ok() || self.encoder.is_closed());
                }
                Found::Pong { .. } => self.timer.pong(self.decoder.control(), self.now),
                Found::Close { .. } => {
                    let close = self.decoder.close();
                    self.over = true;
                    assert!(close.is_sendable(), "only codes that may be sent are accepted");
                    let _ = self.encoder.close(&close, &mut self.out);
                }
                Found::Fragment { .. } => panic!("unexpected {found:?}"),
            }
        }
        Ok(())
    }

    fn send(&mut self, opcode: Opcode, payload: &[u8]) {
        let len = payload.len() as u64;
        match self.encoder.begin(opcode, true, len, &mut self.out) {
            Ok(mut body) => {
                assert!(!self.close_sent, "data after Close");
                body.append(payload, &mut self.out);
            }
            Err(refused) => assert_eq!(refused, EncodeError::AfterClose),
        }
    }

    fn send_control(&mut self, len: usize) {
        let before = self.out.len();
        match self.encoder.control(Opcode::Ping, &vec![1; len], &mut self.out) {
            Ok(()) => assert!(len <= 125),
            Err(refused) => {
                assert!(refused == EncodeError::AfterClose || len > 125);
                assert_eq!(self.out.len(), before, "a refused frame leaves nothing behind");
            }
        }
    }

    fn close(&mut self, code: CloseCode) {
        if CloseFrame::from(code).is_sendable() {
            let closed = self.encoder.is_closed();
            let done = self.encoder.close(&code.into(), &mut self.out);
            assert_eq!(done.is_err(), closed, "exactly the first Close is sent");
        }
    }

    fn advance_clock(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
        for _ in 0..3 {
            match self.timer.due(self.now) {
                Due::Nothing => {
                    let deadline = self.timer.deadline();
                    assert!(deadline.is_none_or(|at| at > self.now), "a deadline in the past");
                    return;
                }
                Due::Ping(payload) => {
                    let position = self.out.len() as u64;
                    let _ = self.encoder.control(Opcode::Ping, &payload, &mut self.out);
                    self.timer.sent(self.now, position);
                }
                Due::Dead => {
                    self.over = true;
                    return;
                }
            }
        }
        panic!("the timer does not come to rest");
    }

    /// Reads what we sent as a server would.
    fn check_output(&mut self) {
        while let Some((header, taken)) = Header::decode(&self.out[self.checked..]).unwrap() {
            let start = self.checked + taken;
            let len = usize::try_from(header.len).unwrap();
            let key = header.mask.expect("clients mask");
            let payload: Vec<u8> = self.out[start..start + len]
                .iter()
                .zip(key.iter().cycle())
                .map(|(byte, key)| byte ^ key)
                .collect();
            super::note(&(header, &payload));
            assert!(!self.close_sent, "a frame after the Close");
            assert_eq!(header.rsv, 0);
            match header.opcode {
                Opcode::Close => {
                    self.close_sent = true;
                    assert!(decode_close(&payload).is_ok());
                }
                // One step of the script may write several Pongs; `last_pong` finds the last one.
                Opcode::Pong => assert!(self.last_ping.is_some()),
                _ => {}
            }
            self.checked = start + len;
        }
        assert_eq!(self.checked, self.out.len(), "a whole number of frames");
        if let Some(ping) = &self.last_ping {
            assert!(self.close_sent || self.last_pong().is_none_or(|pong| pong == *ping));
        }
    }

    /// Returns the payload of the last Pong that was sent.
    fn last_pong(&self) -> Option<Vec<u8>> {
        let mut at = 0;
        let mut last = None;
        while let Ok(Some((header, taken))) = Header::decode(&self.out[at..]) {
            let start = at + taken;
            at = start + usize::try_from(header.len).ok()?;
            if header.opcode == Opcode::Pong {
                let key = header.mask?;
                let payload = self.out[start..at].iter().zip(key.iter().cycle());
                last = Some(payload.map(|(byte, key)| byte ^ key).collect());
            }
        }
        last
    }
}
