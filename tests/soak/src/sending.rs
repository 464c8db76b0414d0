//! Sends the messages of one thread, in all the ways that the API has.

use std::io::Write as _;
use std::thread;
use std::time::Duration;

use fastrand::Rng;
use landline::{CloseCode, Error, Message, MessageKind, Sender};

use crate::ledger::Ledger;
use crate::payload::{self, ASK, LANES, Stamp};
use crate::plan::{Plan, Style, size};
use crate::watch::Watch;

pub struct Sending<'a> {
    sender: &'a Sender,
    ledger: &'a Ledger,
    watch: &'a Watch,
    plan: &'a Plan,
    lane: usize,
    rng: Rng,
    left: u64,
    big: Option<usize>,
}

impl<'a> Sending<'a> {
    pub fn new(
        sender: &'a Sender,
        ledger: &'a Ledger,
        watch: &'a Watch,
        plan: &'a Plan,
        lane: usize,
    ) -> Self {
        let rng = Rng::with_seed(plan.seed ^ lane as u64);
        let left = plan.messages.div_ceil(plan.style.senders() as u64);
        let big = plan.big.filter(|_| lane == 0);
        Self { sender, ledger, watch, plan, lane, rng, left, big }
    }

    /// Sends a message or a few small ones; `false` when there are none left.
    pub fn some(&mut self) -> Result<bool, Error> {
        if self.left == 0 {
            return Ok(false);
        }
        if self.rng.u8(..) < 30 {
            thread::sleep(Duration::from_millis(self.rng.u64(..8)));
        }
        if self.rng.u8(..) < 30 {
            self.ping()?;
        }
        match self.rng.u8(..10) {
            0 => self.batch()?,
            1..4 => self.fragments()?,
            _ => self.whole()?,
        }
        Ok(self.left > 0)
    }

    /// Asks for the server's checksum: the last message.
    pub fn ask(&self) -> Result<(), Error> {
        self.ledger.asking();
        self.call("send", || self.sender.send(ASK))
    }

    pub fn close(&self) -> Result<(), Error> {
        self.call("close", || self.sender.close((CloseCode::NORMAL, "done")))
    }

    fn whole(&mut self) -> Result<(), Error> {
        let message = self.next(None);
        self.call("send", || self.sender.send(&message))
    }

    fn batch(&mut self) -> Result<(), Error> {
        let count = self.left.min(self.rng.u64(1..20));
        let messages: Vec<_> = (0..count).map(|_| self.next(Some(400))).collect();
        self.call("send_all", || self.sender.send_all(&messages))
    }

    fn fragments(&mut self) -> Result<(), Error> {
        let message = self.next(None);
        let kind =
            if message.as_text().is_some() { MessageKind::Text } else { MessageKind::Binary };
        let mut writer = self.call("writer", || self.sender.writer(kind))?;
        let mut rest = message.as_bytes();
        while !rest.is_empty() {
            // Some fragments of text end within a character.
            let (fragment, later) = rest.split_at(self.rng.usize(1..=rest.len()));
            rest = later;
            self.call("write", || writer.write_all(fragment)).map_err(inner)?;
            if self.rng.bool() {
                self.call("flush", || writer.flush()).map_err(inner)?;
            }
            if self.rng.u8(..) < 30 {
                self.ping()?;
            }
        }
        self.call("finish", || writer.finish())
    }

    fn ping(&mut self) -> Result<(), Error> {
        // No keepalive ping has such a payload.
        let mut payload = b"soak".to_vec();
        payload.extend(std::iter::repeat_n(self.rng.u8(..), self.rng.usize(5..=121)));
        self.rng.fill(&mut payload[4..]);
        self.ledger.pinging(&payload);
        self.call("ping", || self.sender.ping(&payload))
    }

    fn next(&mut self, largest: Option<usize>) -> Message {
        self.left -= 1;
        let (mut len, mut lane) = (size(&mut self.rng, largest.unwrap_or(self.plan.largest)), None);
        if largest.is_none()
            && let Some(big) = self.big.take()
        {
            len = big;
        }
        if self.plan.style == Style::TwoSenders {
            // The letter needs one byte.
            (len, lane) = (len.max(1), Some(LANES[self.lane]));
        }
        let message = payload::message(&mut self.rng, len, lane);
        let stamp = Stamp::of(message.as_text().is_some(), message.as_bytes());
        self.ledger.sending(self.lane, stamp);
        message
    }

    /// Times a call that sends. Waiting for other senders may take the same time as writing.
    fn call<T>(&self, what: &'static str, call: impl FnOnce() -> T) -> T {
        let mut bound = self.plan.bounds.write;
        if self.plan.style == Style::TwoSenders {
            bound *= 2;
        }
        self.watch.call(what, &self.plan.name, Some(bound), call)
    }
}

/// Returns landline's error within an error of `std::io`.
pub fn inner(error: std::io::Error) -> Error {
    error.downcast().unwrap_or_else(Error::Io)
}
