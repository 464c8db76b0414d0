//! Sending without waiting. A message is accepted whole, or given back.
//!
//! The bytes of an accepted message that the system does not take at once are the *rest*. It stays
//! staged, and is written before anything else by the next call that sends or receives.

use super::compression;
use super::pending::Flushed;
use super::sender::Sender;
use super::wire::Wire;
use super::write_lock::{CHUNK, Frame};
use super::writer_state::WriterGuard;
use crate::error::{Error, TrySendError};
use crate::net::duplex::Wait;
use crate::proto::frame::MAX_HEADER;
use crate::proto::message::{AsMessage, MessageRef};

impl Sender {
    /// Sends a message without waiting, or gives it back. Waits neither for the peer nor for
    /// another thread.
    ///
    /// The message is accepted whole or not at all. Of an accepted message, the bytes that the
    /// system does not take at once are kept. This rest is written before anything else, by the
    /// next call that sends, or that looks for bytes in the socket. Until the system has taken all
    /// of it, `try_send` accepts no other message. So at most one message is kept, in memory that
    /// is freed afterwards.
    ///
    /// An accepted message arrives whole, or the connection fails:
    ///
    /// * [`write_timeout`](crate::Builder::write_timeout) (30 s by default) is the limit for the
    ///   rest. The first call that writes it later than that ends the connection. `recv` fails with
    ///   `Error::Timeout`([`Timeout::Send`](crate::Timeout::Send)) then, and a call that sends with
    ///   [`Error::Closed`], whose cause is the same timeout. If a call waits to send behind the
    ///   rest, the limit of that call holds for both. With `None` there is no limit: if the peer
    ///   stops reading, `try_send` returns `WouldBlock` for ever.
    /// * A Close goes after the rest. [`WebSocket::close`](crate::WebSocket::close) waits for both,
    ///   for at most `close_timeout`.
    /// * Dropping the last half of the connection writes what the system takes at once. The rest
    ///   is lost then, so close first.
    ///
    /// A thread that waits in [`recv`](crate::Receiver::recv) writes the rest too. It looks for a
    /// rest once a second, and before the first `try_send` at least every 5 s. Once it has found
    /// one, it retries every 10 ms.
    ///
    /// Compression is done as in [`send`](Self::send), but the whole message becomes one frame.
    ///
    /// A [`Stream`](crate::stream::Stream) of your own must not block after its
    /// [`set_nonblocking`](crate::stream::Stream::set_nonblocking). If that fails, the connection
    /// is over.
    ///
    /// # Examples
    ///
    /// Sends the newest state of a game, and leaves out those for which there is no room:
    ///
    /// ```no_run
    /// use landline::error::TrySendError;
    ///
    /// let ws = landline::connect("wss://example.com/game")?;
    /// # fn state() -> String { String::new() }
    /// match ws.try_send(state()) {
    ///     Ok(()) => {}
    ///     Err(TrySendError::WouldBlock(state)) => println!("left out: {state}"),
    ///     Err(TrySendError::Failed(_, error)) => return Err(error),
    /// }
    /// # Ok::<(), landline::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`TrySendError`], which holds the message. Nothing of it was sent, unless the connection is
    /// over:
    ///
    /// * [`WouldBlock`](TrySendError::WouldBlock): the system has not taken the rest of an earlier
    ///   message, or a pending Pong; or another thread is sending, or a
    ///   [`MessageWriter`](crate::message::MessageWriter) is not finished.
    /// * [`Failed`](TrySendError::Failed): the same errors as those of [`send`](Self::send),
    ///   without the timeouts.
    pub fn try_send<M: AsMessage>(&self, message: M) -> Result<(), TrySendError<M>> {
        let _log = self.wire.sent_log.guard();
        match self.wire.try_send(message.as_message()) {
            Ok(true) => Ok(()),
            Ok(false) => Err(TrySendError::WouldBlock(message)),
            Err(error) => Err(TrySendError::Failed(message, error)),
        }
    }
}

impl Wire {
    /// Returns whether the message was accepted.
    fn try_send(&self, message: MessageRef<'_>) -> Result<bool, Error> {
        let _trying = Trying::new(self);
        if !self.close_state.is_open() {
            return Err(Error::Closed(self.close_state.so_far()));
        }
        let accepted = self.try_write(message);
        // Other threads may have noted something while `writer` was not free. If there is no room
        // for it now, the receiver flushes it, once it looks.
        if !self.pending.is_empty() {
            self.flush_pending();
        }
        accepted
    }

    fn try_write(&self, message: MessageRef<'_>) -> Result<bool, Error> {
        let Some(_lock) = self.message_lock.try_lock() else { return Ok(false) };
        let deflation = self.deflation.as_ref();
        let compressor = deflation.and_then(|deflation| deflation.compressor(Some(message.len())));
        let mut compressor = compressor.map(|compressor| compressor.lock());
        let Some(_queue) = self.write_lock.try_queue() else { return Ok(false) };
        let Some(mut writer) = self.try_writer() else { return Ok(false) };
        let mut packed = Vec::new();
        let mut frame = Frame::whole(message);
        if let Some(compressor) = &mut compressor {
            // Pongs need not wait for the compressor.
            drop(writer);
            if !self.pending.is_empty() {
                self.flush_pending();
            }
            compression::pack(compressor, message.as_bytes(), &mut packed)
                .map_err(|error| self.encode_error(error))?;
            (frame.compressed, frame.payload) = (Some(message.len()), &packed);
            let Some(again) = self.try_writer() else {
                compressor.abandon(); // The peer does not get these bytes.
                return Ok(false);
            };
            writer = again;
        }
        writer.stage_pending();
        let written = writer.check().and_then(|()| writer.try_put(frame));
        if written.is_err() {
            // The peer does not get these bytes, so later messages must not refer to them.
            compressor.iter_mut().for_each(|compressor| compressor.abandon());
            if writer.needs_flush() {
                writer.try_flush(Wait::Not); // What was pending.
            }
        }
        writer.state.half.shrink();
        written.map(|()| true)
    }

    /// Returns the writer's state, if no thread uses it and the system has taken all that was
    /// staged before.
    fn try_writer(&self) -> Option<WriterGuard<'_>> {
        let mut writer = self.try_lock_writer()?;
        if writer.is_blocked() && writer.try_flush(Wait::Not) == Flushed::Blocked {
            return None;
        }
        Some(writer)
    }
}

/// Tells other threads, as long as it lives, that this one is in `try_send`.
struct Trying<'a>(&'a Wire);

impl<'a> Trying<'a> {
    fn new(wire: &'a Wire) -> Self {
        let mut left = wire.left.lock();
        left.has_tried = true;
        left.tries += 1;
        drop(left);
        Self(wire)
    }
}

impl Drop for Trying<'_> {
    fn drop(&mut self) {
        self.0.left.lock().tries -= 1;
    }
}

impl WriterGuard<'_> {
    /// Encodes a whole frame, and writes as much of it as the system takes at once. The rest stays
    /// staged.
    fn try_put(&mut self, frame: Frame<'_>) -> Result<(), Error> {
        let (start, mut rest) = (frame.start(), frame.payload);
        let body = self.begin_frame(start, CHUNK);
        let mut body = body.map_err(|error| self.wire.encode_error(error))?;
        self.wire.sent_log.note(start.opcode, start.len);
        loop {
            // Once the system takes no more, all that follows is only staged.
            let is_blocked = self.is_blocked();
            let staged = self.staged();
            let fits = is_blocked || staged + rest.len() <= CHUNK + MAX_HEADER;
            let room = if fits { rest.len() } else { CHUNK.saturating_sub(staged) };
            let (now, later) = rest.split_at(room);
            body.append(now, self.wire.duplex.stage(&mut self.state.half));
            rest = later;
            if rest.is_empty() {
                self.count(&frame);
            }
            if !is_blocked {
                match rest.is_empty() {
                    true => self.try_flush(Wait::Not),
                    false => self.try_flush_part(Wait::Not),
                };
                self.check_unbroken()?;
            }
            if rest.is_empty() {
                return Ok(());
            }
        }
    }

    /// Fails if a write has failed.
    fn check_unbroken(&self) -> Result<(), Error> {
        match self.state.broken {
            true => Err(Error::Closed(self.wire.close_state.so_far())),
            false => Ok(()),
        }
    }
}
