//! Receives the messages of one connection, in all the ways that the API has.

use std::io::Read as _;
use std::thread;
use std::time::Duration;

use fastrand::Rng;
use landline::message::MessageReader;
use landline::{Error, Event, Message, MessageKind, Receiver, Timeout, WebSocket};

use crate::ledger::{Ledger, Received};
use crate::payload::Stamp;
use crate::plan::Plan;
use crate::sending::inner;
use crate::watch::Watch;

/// Receives: a `WebSocket` or a `Receiver`.
pub trait Source {
    fn recv(&mut self) -> Result<Message, Error>;
    fn recv_timeout(&mut self, timeout: Duration) -> Result<Message, Error>;
    fn try_recv(&mut self) -> Result<Option<Message>, Error>;
    fn next_event_timeout(&mut self, timeout: Duration) -> Result<Event<'_>, Error>;
    fn reader(&mut self) -> Result<MessageReader<'_>, Error>;
}

macro_rules! source {
    ($name:ty) => {
        impl Source for $name {
            fn recv(&mut self) -> Result<Message, Error> {
                self.recv()
            }

            fn recv_timeout(&mut self, timeout: Duration) -> Result<Message, Error> {
                self.recv_timeout(timeout)
            }

            fn try_recv(&mut self) -> Result<Option<Message>, Error> {
                self.try_recv()
            }

            fn next_event_timeout(&mut self, timeout: Duration) -> Result<Event<'_>, Error> {
                self.next_event_timeout(timeout)
            }

            fn reader(&mut self) -> Result<MessageReader<'_>, Error> {
                self.reader()
            }
        }
    };
}

source!(WebSocket);
source!(Receiver);

/// The time that `recv_timeout` may be late while bytes arrive without a pause.
const GRACE: Duration = Duration::from_millis(20);

pub struct Receiving<'a, S> {
    pub source: S,
    ledger: &'a Ledger,
    watch: &'a Watch,
    plan: &'a Plan,
    rng: Rng,
}

impl<'a, S: Source> Receiving<'a, S> {
    pub fn new(source: S, ledger: &'a Ledger, watch: &'a Watch, plan: &'a Plan) -> Self {
        let rng = Rng::with_seed(!plan.seed);
        Self { source, ledger, watch, plan, rng }
    }

    /// Takes the next message. Returns whether it was the server's answer, which is the last
    /// message.
    pub fn one(&mut self) -> Result<bool, Error> {
        loop {
            let took = match self.rng.u8(..8) {
                0 | 1 => self.blocking(),
                2 | 3 => self.impatient(),
                4 => self.trying(),
                5 | 6 => self.event(),
                _ => self.streamed(),
            };
            match took {
                Ok(Some(received)) => return Ok(self.ledger.received(&received)),
                Ok(None) | Err(Error::Timeout(Timeout::Recv)) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes messages until the end of the connection, and returns the error that says so.
    pub fn until_the_end(&mut self) -> Error {
        loop {
            if let Err(error) = self.one() {
                return error;
            }
        }
    }

    fn blocking(&mut self) -> Result<Option<Received>, Error> {
        let message = self.watch.call("recv", &self.plan.name, None, || self.source.recv())?;
        Ok(Some(whole(&message)))
    }

    /// Receives with a short timeout, which often passes in the middle of a frame.
    fn impatient(&mut self) -> Result<Option<Received>, Error> {
        let timeout = Duration::from_micros(self.rng.u64(..3000));
        let (name, bound) = (&self.plan.name, Some(timeout + GRACE));
        let received =
            self.watch.call("recv_timeout", name, bound, || self.source.recv_timeout(timeout));
        Ok(Some(whole(&received?)))
    }

    fn trying(&mut self) -> Result<Option<Received>, Error> {
        let (name, bound) = (&self.plan.name, Some(GRACE));
        let received = self.watch.call("try_recv", name, bound, || self.source.try_recv())?;
        if received.is_none() {
            thread::sleep(Duration::from_micros(self.rng.u64(..1000)));
        }
        Ok(received.as_ref().map(whole))
    }

    fn event(&mut self) -> Result<Option<Received>, Error> {
        let timeout = Duration::from_millis(self.rng.u64(..50));
        let (name, bound) = (&self.plan.name, Some(timeout + GRACE));
        let event = self
            .watch
            .call("next_event_timeout", name, bound, || self.source.next_event_timeout(timeout));
        Ok(match event? {
            Event::Text(text) => Some(Received::of(true, text.as_bytes())),
            Event::Binary(bytes) => Some(Received::of(false, bytes)),
            Event::Pong(payload) if payload.starts_with(b"soak") => {
                self.ledger.pong(payload);
                None
            }
            _ => None,
        })
    }

    fn streamed(&mut self) -> Result<Option<Received>, Error> {
        let Self { source, ledger, watch, plan, rng } = self;
        let mut reader = watch.call("reader", &plan.name, None, || source.reader())?;
        let skip = rng.u8(..8) == 0 && ledger.may_skip();
        let mut hasher = crc32fast::Hasher::new();
        let (mut len, mut head) = (0, Vec::new());
        let mut buffer = vec![0; rng.usize(1..40_000)];
        loop {
            let read = watch.call("read", &plan.name, None, || reader.read(&mut buffer));
            let read = read.map_err(inner)?;
            if skip {
                ledger.skipped();
                return Ok(None);
            }
            if read == 0 {
                let text = reader.kind() == MessageKind::Text;
                let stamp = Stamp { text, len, crc: hasher.finalize() };
                return Ok(Some(Received::read(stamp, &head)));
            }
            hasher.update(&buffer[..read]);
            len += read;
            let room = Received::HEAD.saturating_sub(head.len());
            head.extend_from_slice(&buffer[..read.min(room)]);
        }
    }
}

fn whole(message: &Message) -> Received {
    Received::of(message.as_text().is_some(), message.as_bytes())
}
