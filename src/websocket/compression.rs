//! Compresses messages as agreed on with the server (RFC 7692), one or many at a time, and has the
//! public methods about it. Without the feature `deflate`, `off.rs` takes the place of this module.

#![cfg(feature = "deflate")] // The documentation takes from this line what needs the feature.

use super::WebSocket;
use super::outgoing::{Flush, Outgoing, State};
use super::receiver::Receiver;
use super::sender::Sender;
use super::wire::Wire;
use super::write_lock::{CHUNK, Frame, WriteGuard};
use super::writer::MessageWriter;
use crate::error::Error;
use crate::net::deadline::Countdown;
use crate::proto::deflate::compress::Compressor;
use crate::proto::deflate::{Deflate, DeflateParameters};
use crate::proto::message::{AsMessage, MessageRef};
use crate::proto::send::EncodeError;
use crate::sync::Mutex;

/// Compresses the messages of a connection on which compression was agreed on.
#[derive(Debug)]
pub(crate) struct Deflation {
    pub(crate) parameters: DeflateParameters,
    min_size: usize,
    is_able: bool,
    /// Locked by the thread that holds the message lock. The receiver uses `try_lock` only, when
    /// the connection is idle.
    compressor: Mutex<Compressor>,
}

impl Deflation {
    pub(crate) fn new(options: &Deflate, parameters: DeflateParameters) -> Self {
        let compressor = Compressor::new(options, parameters, CHUNK);
        Self {
            parameters,
            // An empty message does not become shorter.
            min_size: options.min_size.max(1),
            is_able: compressor.is_able(),
            compressor: Mutex::new(compressor),
        }
    }

    /// Returns the compressor for a message of `len` bytes, or of unknown length; `None` if the
    /// message is sent without compression.
    pub(super) fn compressor(&self, len: Option<usize>) -> Option<&Mutex<Compressor>> {
        let worthwhile = len.is_none_or(|len| len >= self.min_size);
        (self.is_able && worthwhile).then_some(&self.compressor)
    }

    /// Frees the memory that an idle connection does not need.
    pub(crate) fn shrink(&self) {
        if let Some(mut compressor) = self.compressor.try_lock() {
            compressor.shrink();
        }
    }
}

/// With the feature `deflate`.
impl WebSocket {
    /// Returns what was agreed on with the server about compression; `None` if messages are not
    /// compressed.
    #[must_use]
    pub fn deflate(&self) -> Option<DeflateParameters> {
        self.sender.deflate()
    }
}

/// With the feature `deflate`.
impl Receiver {
    /// Returns what was agreed on with the server about compression; `None` if messages are not
    /// compressed.
    #[must_use]
    pub fn deflate(&self) -> Option<DeflateParameters> {
        self.wire.deflation.as_ref().map(|deflation| deflation.parameters)
    }
}

/// With the feature `deflate`.
impl Sender {
    /// Sends a message without compression, even if compression was agreed on. Use it for a message
    /// that does not become shorter, or that holds a secret next to text that others can choose.
    ///
    /// # Examples
    /// ```no_run
    /// # let sender = landline::connect("wss://example.com/upload")?.sender();
    /// # let photo: &[u8] = &[];
    /// sender.send_uncompressed(photo)?; // A JPEG is compressed already.
    /// # Ok::<(), landline::Error>(())
    /// ```
    ///
    /// # Errors
    /// The same as [`send`](Self::send).
    pub fn send_uncompressed(&self, message: impl AsMessage) -> Result<(), Error> {
        let message = message.as_message();
        let _log = self.wire.sent_log.guard();
        self.wire.write_message(message)
    }

    /// Returns what was agreed on with the server about compression; `None` if messages are not
    /// compressed.
    #[must_use]
    pub fn deflate(&self) -> Option<DeflateParameters> {
        self.wire.deflation.as_ref().map(|deflation| deflation.parameters)
    }
}

/// With the feature `deflate`.
impl MessageWriter<'_> {
    /// Switches compression off for this message. Call it before anything is written: once bytes
    /// were compressed, it gives the message up, and each later call fails with
    /// [`InvalidInput::GivenUp`](crate::error::InvalidInput::GivenUp), or with
    /// [`Error::Closed`] if a part of the message was sent.
    ///
    /// # Examples
    /// ```no_run
    /// let ws = landline::connect("wss://example.com/upload")?;
    /// let mut writer = ws.writer(landline::MessageKind::Binary)?.uncompressed();
    /// std::io::copy(&mut std::fs::File::open("photo.jpeg")?, &mut writer)?;
    /// writer.finish()?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn uncompressed(mut self) -> Self {
        let outgoing = &mut self.outgoing;
        if outgoing.state != State::New || outgoing.uncompressed > 0 {
            // The peer would take the rest for compressed bytes.
            outgoing.abandon("compression was switched off within a message");
        }
        outgoing.compressor = None;
        self
    }
}

/// Writes many messages. Small messages are compressed first, and then written together.
pub(super) fn batch(
    wire: &Wire,
    deflation: &Deflation,
    messages: &[MessageRef<'_>],
) -> Result<(), Error> {
    let limit = wire.write_limit().begun();
    let mut batch = Batch::default();
    for &message in messages {
        let bytes = message.as_bytes();
        if batch.len >= CHUNK {
            batch.write(wire, deflation, limit, |out| out.finish_part())?;
        }
        match deflation.compressor(Some(bytes.len())) {
            None => {
                batch.frames.push((message, None));
                batch.len += bytes.len();
            }
            // Half a chunk becomes at most a whole one, even if compression makes it longer.
            Some(compressor) if bytes.len() <= CHUNK / 2 => {
                batch.compress(wire, &mut compressor.lock(), message)?;
            }
            Some(_) => {
                batch.write(wire, deflation, limit, |out| out.finish_part())?;
                let mut outgoing = Outgoing::new(wire, message.kind(), Some(bytes.len()));
                outgoing.write_by(bytes, Flush::Finish, limit)?;
            }
        }
    }
    batch.write(wire, deflation, limit, |out| out.finish())
}

/// Compresses a whole message, and appends it to `packed`. After an error the next message refers
/// to none before it.
pub(super) fn pack(
    compressor: &mut Compressor,
    mut bytes: &[u8],
    packed: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    loop {
        let more = match compressor.push(&mut bytes) {
            Ok(false) => compressor.finish(),
            full => full,
        };
        packed.extend_from_slice(compressor.chunk());
        match more {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(error) => {
                compressor.abandon();
                return Err(error);
            }
        }
    }
}

/// Holds messages that are written together.
#[derive(Default)]
struct Batch<'a> {
    /// The number of bytes of all payloads.
    len: usize,
    packed: Vec<u8>,
    /// Each message, and the end of its compressed bytes in `packed` if it is compressed.
    frames: Vec<(MessageRef<'a>, Option<usize>)>,
}

impl<'a> Batch<'a> {
    fn compress(
        &mut self,
        wire: &Wire,
        compressor: &mut Compressor,
        message: MessageRef<'a>,
    ) -> Result<(), Error> {
        let before = self.packed.len();
        pack(compressor, message.as_bytes(), &mut self.packed)
            .map_err(|error| wire.encode_error(error))?;
        self.len += self.packed.len() - before;
        self.frames.push((message, Some(self.packed.len())));
        Ok(())
    }

    /// Writes what is held, and ends that by `finish`.
    fn write(
        &mut self,
        wire: &Wire,
        deflation: &Deflation,
        limit: Countdown,
        finish: fn(WriteGuard<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let written = self.write_frames(wire, limit, finish);
        self.len = 0;
        self.packed.clear();
        self.frames.clear();
        written.inspect_err(|_| deflation.compressor.lock().abandon())
    }

    fn write_frames(
        &self,
        wire: &Wire,
        mut limit: Countdown,
        finish: fn(WriteGuard<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut out = wire.begin(&mut limit)?;
        let mut start = 0;
        for &(message, end) in &self.frames {
            let mut frame = Frame::whole(message);
            if let Some(end) = end {
                frame.compressed = Some(message.len());
                frame.payload = &self.packed[start..end];
                start = end;
            }
            out.put(frame)?;
        }
        finish(out)
    }
}
