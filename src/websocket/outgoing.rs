//! A message on its way out, piece by piece, compressed or not. The caller has the message order.
//!
//! A message is compressed before the wire is locked, so that pongs need not wait for it. What is
//! compressed and then not written would be missing in the server's window: the compressor begins
//! anew then.

use std::io;

#[cfg(feature = "deflate")]
use super::wire::PIECE;
use super::wire::Wire;
use crate::error::Error;
use crate::net::deadline::Deadline;
#[cfg(feature = "deflate")]
use crate::proto::deflate::compress::Compressor;
#[cfg(feature = "deflate")]
use crate::proto::deflate::{Deflate, DeflateParameters};
use crate::proto::frame::Opcode;
use crate::proto::message::MessageRef;
use crate::proto::recv::Kind;
#[cfg(feature = "deflate")]
use crate::sync::Mutex;

/// What comes after some bytes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// More, which they may wait for.
    More,
    /// Perhaps more, which they must not wait for.
    Flush,
    /// Nothing.
    End,
}

/// One message. Dropped before its end, it closes the connection if it has begun, so that the peer
/// never takes the part for the whole.
#[derive(Debug)]
pub(crate) struct Outgoing<'a> {
    wire: &'a Wire,
    kind: Kind,
    #[cfg(feature = "deflate")]
    compressor: Option<&'a Mutex<Compressor>>,
    state: State,
}

/// How much of a message was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No frame.
    New,
    /// A frame, and not the last one.
    Begun,
    /// The last frame; or the message was given up, or the connection is over.
    Ended,
}

impl<'a> Outgoing<'a> {
    /// A message that is not compressed.
    pub(crate) fn new(wire: &'a Wire, kind: Kind) -> Self {
        Self {
            wire,
            kind,
            #[cfg(feature = "deflate")]
            compressor: None,
            state: State::New,
        }
    }

    /// A message that is compressed if that was agreed on, and it is not known to be small.
    #[cfg(feature = "deflate")]
    pub(crate) fn compressed(wire: &'a Wire, kind: Kind, len: Option<usize>) -> Self {
        let compressor = wire.deflation.as_ref().and_then(|deflation| deflation.compressor(len));
        Self { compressor, ..Self::new(wire, kind) }
    }

    /// Compresses nothing of it; nothing of it may be written yet.
    #[cfg(feature = "deflate")]
    pub(crate) fn leave_uncompressed(&mut self) {
        self.compressor = None;
    }

    /// Writes the next bytes; without compression they are a fragment.
    pub(crate) fn write(&mut self, bytes: &[u8], then: Then) -> Result<(), Error> {
        self.write_by(bytes, then, &mut None)
    }

    /// As [`write`](Self::write), by a deadline that the first frame sets.
    ///
    /// A frame that was not sent ends the message: its bytes are lost, and what came after them would
    /// make another message of it. The connection may go on, if the frame was refused, or its turn
    /// did not come.
    fn write_by(
        &mut self,
        bytes: &[u8],
        then: Then,
        deadline: &mut Option<Deadline>,
    ) -> Result<(), Error> {
        if self.state == State::Ended {
            return Err(self.over());
        }
        let Err(error) = self.write_frames(bytes, then, deadline) else { return Ok(()) };
        let closed = match &error {
            Error::Io(refused) => self.abandon(&refused.to_string()),
            _ => {
                if self.state == State::Begun {
                    self.state = State::Ended; // The connection is over.
                }
                self.abandon("message abandoned")
            }
        };
        Err(closed.unwrap_or(error))
    }

    /// Gives the message up. If a part of it was sent, the connection is closed for that reason,
    /// and this is the error that says so; else the connection stays usable.
    pub(crate) fn abandon(&mut self, why: &str) -> Option<Error> {
        let state = std::mem::replace(&mut self.state, State::Ended);
        #[cfg(feature = "deflate")]
        if let Some(compressor) = self.compressor {
            compressor.lock().abandon();
        }
        if state != State::Begun {
            return None;
        }
        self.wire.give_up(why);
        Some(Error::Closed(self.wire.ending.snapshot()))
    }

    /// What writing says after the end.
    fn over(&self) -> Error {
        if self.wire.ending.is_open() {
            return Error::Io(io::Error::other(
                "the message was given up when it could not be sent",
            ));
        }
        Error::Closed(self.wire.ending.snapshot())
    }

    fn write_frames(
        &mut self,
        bytes: &[u8],
        then: Then,
        deadline: &mut Option<Deadline>,
    ) -> Result<(), Error> {
        #[cfg(feature = "deflate")]
        if let Some(compressor) = self.compressor {
            return self.compress(compressor, bytes, then, deadline);
        }
        if then == Then::End || !bytes.is_empty() {
            self.frame(bytes, then == Then::End, deadline)?;
        }
        Ok(())
    }

    #[cfg(feature = "deflate")]
    fn compress(
        &mut self,
        compressor: &Mutex<Compressor>,
        mut bytes: &[u8],
        then: Then,
        deadline: &mut Option<Deadline>,
    ) -> Result<(), Error> {
        let refused = |refused| self.wire.refused(refused);
        let mut compressor = compressor.lock();
        while compressor.push(&mut bytes).map_err(refused)? {
            self.frame(compressor.piece(), false, deadline)?;
        }
        let mut more = then != Then::More;
        while more {
            more = match then {
                Then::End => compressor.finish(),
                Then::More | Then::Flush => compressor.flush(),
            }
            .map_err(|refused| self.wire.refused(refused))?;
            let fin = then == Then::End && !more;
            if fin || !compressor.piece().is_empty() {
                self.frame(compressor.piece(), fin, deadline)?;
            }
        }
        Ok(())
    }

    fn frame(
        &mut self,
        payload: &[u8],
        fin: bool,
        deadline: &mut Option<Deadline>,
    ) -> Result<(), Error> {
        #[cfg(feature = "deflate")]
        let compressed = self.compressor.is_some();
        #[cfg(not(feature = "deflate"))]
        let compressed = false;
        let opcode = match self.state {
            State::New => opcode(self.kind),
            State::Begun | State::Ended => Opcode::Continuation,
        };
        let written = self.wire.write(deadline, |out, deadline| {
            self.wire.put(out, opcode, fin, compressed, payload, deadline)
        });
        match written {
            Ok(()) => self.state = if fin { State::Ended } else { State::Begun },
            Err(Error::Timeout(_)) if self.state == State::Begun => {
                self.wire.overdue();
                self.state = State::Ended;
            }
            // Nothing of this frame was written: `write_by` gives the message up.
            Err(_) => {}
        }
        written
    }
}

impl Drop for Outgoing<'_> {
    fn drop(&mut self) {
        if self.state != State::Ended {
            self.abandon("message abandoned");
        }
    }
}

pub(crate) fn opcode(kind: Kind) -> Opcode {
    match kind {
        Kind::Text => Opcode::Text,
        Kind::Binary => Opcode::Binary,
    }
}

/// How messages are compressed on a connection where that was agreed on.
#[cfg(feature = "deflate")]
#[derive(Debug)]
pub(crate) struct Deflation {
    pub(crate) parameters: DeflateParameters,
    min_size: usize,
    is_able: bool,
    /// Only whoever has the message order locks it, and the receiver when it has nothing to do.
    compressor: Mutex<Compressor>,
}

#[cfg(feature = "deflate")]
impl Deflation {
    pub(crate) fn new(options: &Deflate, parameters: DeflateParameters) -> Self {
        let compressor = Compressor::new(options, parameters, PIECE);
        Self {
            parameters,
            // Nothing is as short as an empty message.
            min_size: options.min_size.max(1),
            is_able: compressor.is_able(),
            compressor: Mutex::new(compressor),
        }
    }

    /// What compresses a message of this length, or of one that is not known.
    fn compressor(&self, len: Option<usize>) -> Option<&Mutex<Compressor>> {
        let worthwhile = len.is_none_or(|len| len >= self.min_size);
        (self.is_able && worthwhile).then_some(&self.compressor)
    }

    /// Gives back what an idle connection does not need.
    pub(crate) fn shrink(&self) {
        if let Some(mut compressor) = self.compressor.try_lock() {
            compressor.shrink();
        }
    }
}

/// Writes many messages, as many small ones at a time as fill a piece.
pub(crate) fn batch(wire: &Wire, messages: &[MessageRef<'_>]) -> Result<(), Error> {
    #[cfg(feature = "deflate")]
    if let Some(deflation) = &wire.deflation {
        return compressed_batch(wire, deflation, messages);
    }
    let mut deadline = None;
    let mut rest = messages;
    loop {
        wire.write(&mut deadline, |out, deadline| {
            while let Some((message, later)) = rest.split_first() {
                wire.put(out, opcode(message.kind()), true, false, message.as_bytes(), deadline)?;
                rest = later;
                if later.first().is_some_and(|next| !wire.has_room(out, next.as_bytes().len())) {
                    break;
                }
            }
            Ok(())
        })?;
        if rest.is_empty() {
            return Ok(());
        }
    }
}

#[cfg(feature = "deflate")]
fn compressed_batch(
    wire: &Wire,
    deflation: &Deflation,
    messages: &[MessageRef<'_>],
) -> Result<(), Error> {
    let mut deadline = None;
    let mut batch = Batch::default();
    for &message in messages {
        let bytes = message.as_bytes();
        if batch.len >= PIECE {
            batch.write(wire, deflation, &mut deadline)?;
        }
        match deflation.compressor(Some(bytes.len())) {
            None => {
                batch.frames.push((message, None));
                batch.len += bytes.len();
            }
            // What comes of half a piece is a piece at most.
            Some(compressor) if bytes.len() <= PIECE / 2 => {
                batch.compress(wire, &mut compressor.lock(), message)?;
            }
            Some(_) => {
                batch.write(wire, deflation, &mut deadline)?;
                let mut outgoing = Outgoing::compressed(wire, message.kind(), Some(bytes.len()));
                outgoing.write_by(bytes, Then::End, &mut deadline)?;
            }
        }
    }
    batch.write(wire, deflation, &mut deadline)
}

/// Messages that go out together.
#[cfg(feature = "deflate")]
#[derive(Default)]
struct Batch<'a> {
    /// Bytes of all payloads.
    len: usize,
    packed: Vec<u8>,
    /// Each message, and where it ends in `packed` if it is compressed.
    frames: Vec<(MessageRef<'a>, Option<usize>)>,
}

#[cfg(feature = "deflate")]
impl<'a> Batch<'a> {
    fn compress(
        &mut self,
        wire: &Wire,
        compressor: &mut Compressor,
        message: MessageRef<'a>,
    ) -> Result<(), Error> {
        let mut bytes = message.as_bytes();
        let mut more = true;
        let mut done = Ok(());
        while more && done.is_ok() {
            done = match compressor.push(&mut bytes) {
                Ok(false) => compressor.finish(),
                full => full,
            }
            .map(|full| more = full);
            self.packed.extend_from_slice(compressor.piece());
            self.len += compressor.piece().len();
        }
        if let Err(refused) = done {
            compressor.abandon();
            return Err(wire.refused(refused));
        }
        self.frames.push((message, Some(self.packed.len())));
        Ok(())
    }

    fn write(
        &mut self,
        wire: &Wire,
        deflation: &Deflation,
        deadline: &mut Option<Deadline>,
    ) -> Result<(), Error> {
        let mut start = 0;
        let written = wire.write(deadline, |out, deadline| {
            self.frames.iter().try_for_each(|&(message, end)| {
                let opcode = opcode(message.kind());
                let Some(end) = end else {
                    return wire.put(out, opcode, true, false, message.as_bytes(), deadline);
                };
                let payload = &self.packed[start..end];
                start = end;
                wire.put(out, opcode, true, true, payload, deadline)
            })
        });
        self.len = 0;
        self.packed.clear();
        self.frames.clear();
        written.inspect_err(|_| deflation.compressor.lock().abandon())
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;
