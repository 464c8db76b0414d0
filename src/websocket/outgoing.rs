//! A message on its way out, in one frame or several, compressed or not. The caller holds the
//! message lock.
//!
//! A message is compressed before the write lock is taken, so that pongs need not wait for the
//! compressor. If compressed bytes are then not written, the server's window does not have them. So
//! the compressor starts again with an empty window.

use std::mem;

use super::compression;
use super::wire::Wire;
use super::write_lock::Frame;
use crate::error::{Error, InvalidInput, Timeout};
use crate::net::deadline::Countdown;
use crate::proto::deflate::compress::Compressor;
use crate::proto::frame::{MAX_HEADER, Opcode};
use crate::proto::message::{MessageKind, MessageRef};
use crate::sync::Mutex;

/// Says what to do after some bytes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flush {
    /// More follows. The bytes may be buffered.
    None,
    /// Write all of it now. More may follow.
    Sync,
    /// End the message.
    Finish,
}

/// Writes one message. If it is dropped after a part of the message was sent, the connection is
/// closed, so that the peer does not take the part for the whole message.
#[derive(Debug)]
pub(crate) struct Outgoing<'a> {
    wire: &'a Wire,
    kind: MessageKind,
    /// `None` if the message is sent without compression.
    pub(super) compressor: Option<&'a Mutex<Compressor>>,
    pub(super) state: State,
    /// The number of bytes that were compressed, and that no frame counts yet.
    pub(super) uncompressed: usize,
}

/// Says how much of a message is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// No frame is written.
    New,
    /// A frame is written, and not the last one.
    Begun,
    /// The last frame is written, or the message was given up, or the connection is over.
    Ended,
}

impl<'a> Outgoing<'a> {
    /// Begins a message. It is compressed if that was agreed on and `len`, if known, is not too
    /// small.
    pub(crate) fn new(wire: &'a Wire, kind: MessageKind, len: Option<usize>) -> Self {
        let compressor = wire.deflation.as_ref().and_then(|deflation| deflation.compressor(len));
        Self { wire, kind, compressor, state: State::New, uncompressed: 0 }
    }

    /// Writes the next bytes. Without compression they are one fragment.
    pub(crate) fn write(&mut self, bytes: &[u8], flush: Flush) -> Result<(), Error> {
        self.write_by(bytes, flush, self.wire.write_limit().begun())
    }

    /// Writes the next bytes as [`write`](Self::write) does, within `limit`.
    ///
    /// A frame that was not sent ends the message, because without these bytes it would be another
    /// message. The connection stays usable if no frame was sent before, and this one was refused
    /// or did not get the write lock in time.
    pub(super) fn write_by(
        &mut self,
        bytes: &[u8],
        flush: Flush,
        limit: Countdown,
    ) -> Result<(), Error> {
        if self.state == State::Ended {
            return Err(self.over());
        }
        let Err(error) = self.write_frames(bytes, flush, limit) else { return Ok(()) };
        let closed = match &error {
            Error::Local(refused) => self.abandon(&refused.to_string()),
            _ => {
                if self.state == State::Begun {
                    self.state = State::Ended; // The connection is over.
                }
                self.abandon("message abandoned")
            }
        };
        Err(closed.unwrap_or(error))
    }

    /// Gives the message up. If a part of it was sent, closes the connection with 1011 and the
    /// reason `why`, and returns the error that says so. Otherwise the connection stays usable.
    pub(crate) fn abandon(&mut self, why: &str) -> Option<Error> {
        let state = mem::replace(&mut self.state, State::Ended);
        if let Some(compressor) = self.compressor {
            compressor.lock().abandon();
        }
        if state != State::Begun {
            return None;
        }
        Some(Error::Closed(self.wire.give_up(why)))
    }

    /// Returns the error for a write after the end of the message.
    fn over(&self) -> Error {
        if self.wire.close_state.is_open() {
            return InvalidInput::GivenUp.into();
        }
        Error::Closed(self.wire.close_state.so_far())
    }

    fn write_frames(&mut self, bytes: &[u8], flush: Flush, limit: Countdown) -> Result<(), Error> {
        if let Some(compressor) = self.compressor {
            return self.compress(compressor, bytes, flush, limit);
        }
        if flush == Flush::Finish || !bytes.is_empty() {
            self.frame(bytes, flush == Flush::Finish, limit)?;
        }
        Ok(())
    }

    fn compress(
        &mut self,
        compressor: &Mutex<Compressor>,
        mut bytes: &[u8],
        flush: Flush,
        limit: Countdown,
    ) -> Result<(), Error> {
        let to_error = |error| self.wire.encode_error(error);
        let mut compressor = compressor.lock();
        self.uncompressed += bytes.len();
        while compressor.push(&mut bytes).map_err(to_error)? {
            self.frame(compressor.chunk(), false, limit)?;
        }
        let mut more = flush != Flush::None;
        while more {
            more = match flush {
                Flush::Finish => compressor.finish(),
                Flush::None | Flush::Sync => compressor.flush(),
            }
            .map_err(to_error)?;
            let fin = flush == Flush::Finish && !more;
            if fin || !compressor.chunk().is_empty() {
                self.frame(compressor.chunk(), fin, limit)?;
            }
        }
        Ok(())
    }

    fn frame(&mut self, payload: &[u8], fin: bool, mut limit: Countdown) -> Result<(), Error> {
        let uncompressed = mem::take(&mut self.uncompressed);
        let compressed = self.compressor.map(|_| uncompressed);
        let opcode = match self.state {
            State::New => Opcode::from(self.kind),
            State::Begun | State::Ended => Opcode::Continuation,
        };
        let written = self.wire.begin(&mut limit).and_then(|mut out| {
            out.put(Frame { opcode, fin, compressed, payload })?;
            out.finish()
        });
        match written {
            Ok(()) => self.state = if fin { State::Ended } else { State::Begun },
            // This includes a wait for the write lock that took too long: a message that has begun
            // cannot be given back.
            Err(Error::Timeout(_)) if self.state == State::Begun => {
                self.wire.overdue();
                self.state = State::Ended;
                return Err(Error::Timeout(Timeout::Send));
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

/// Writes many messages. Small messages are written together, up to a chunk at a time.
pub(crate) fn batch(wire: &Wire, messages: &[MessageRef<'_>]) -> Result<(), Error> {
    if let Some(deflation) = &wire.deflation {
        return compression::batch(wire, deflation, messages);
    }
    let mut limit = wire.write_limit();
    let bytes = messages.iter().map(|message| message.len() + MAX_HEADER);
    // On 32 bits, the same big slice many times may be more than there is memory.
    let bytes = bytes.fold(0, usize::saturating_add);
    let mut rest = messages;
    loop {
        let mut out = wire.begin(&mut limit)?;
        out.reserve(bytes);
        while let Some((message, later)) = rest.split_first() {
            out.put_message(*message)?;
            rest = later;
            if later.first().is_some_and(|next| !out.has_room(next.as_bytes().len())) {
                break;
            }
        }
        if rest.is_empty() {
            return out.finish();
        }
        out.finish_part()?;
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;
