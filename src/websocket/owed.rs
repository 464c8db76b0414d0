//! What must be sent as soon as the wire is free. Noting it never waits; whoever has the wire, or
//! gets it next, [takes](Owed::take) all of it.

use std::mem;

use crate::proto::close::CloseFrame;
use crate::sync::{Mutex, MutexGuard};

#[derive(Debug, Default)]
pub(super) struct Owed(Mutex<Debts>);

#[derive(Debug, Default)]
pub(super) struct Debts {
    /// The latest will do (RFC 6455 section 5.5.3).
    pub(super) pong: Option<Control>,
    pub(super) ping: Option<[u8; 8]>,
    pub(super) close: Option<CloseFrame>,
    /// What TLS has to say.
    pub(super) tls: bool,
    /// The end of the stream, after our Close.
    pub(super) end: bool,
}

impl Debts {
    fn is_none(&self) -> bool {
        let frames = self.pong.is_some() || self.ping.is_some() || self.close.is_some();
        !frames && !self.tls && !self.end
    }
}

impl Owed {
    pub(super) fn pong(&self, payload: Control) {
        self.debts().pong = Some(payload);
    }

    pub(super) fn ping(&self, payload: [u8; 8]) {
        self.debts().ping = Some(payload);
    }

    pub(super) fn close(&self, close: CloseFrame) {
        self.debts().close = Some(close);
    }

    pub(super) fn has_close(&self) -> bool {
        self.debts().close.is_some()
    }

    pub(super) fn tls(&self) {
        self.debts().tls = true;
    }

    pub(super) fn end(&self) {
        self.debts().end = true;
    }

    /// Takes all that is owed; the taker pays.
    pub(super) fn take(&self) -> Debts {
        mem::take(&mut *self.debts())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.debts().is_none()
    }

    fn debts(&self) -> MutexGuard<'_, Debts> {
        self.0.lock()
    }
}

/// A control payload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Control {
    bytes: [u8; 125],
    len: u8,
}

impl Control {
    /// Holds the first 125 bytes, which is all that a control frame has.
    pub(crate) fn new(payload: &[u8]) -> Self {
        let mut bytes = [0; 125];
        let len = payload.len().min(125);
        bytes[..len].copy_from_slice(&payload[..len]);
        Self { bytes, len: u8::try_from(len).unwrap_or(125) }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}
