//! The end of a receiver: the closing handshake, the end of the stream, dropping.

use std::time::Duration;

use super::main_loop::{RETRY, RecvDeadline, read_from};
use super::{DeliveryMode, Receiver};
use crate::error::{Cause, Closed, Error};
use crate::net::deadline::Deadline;
use crate::net::duplex::{Wait, is_timeout};
use crate::websocket::pending::Flushed;
use crate::websocket::wire::ReceiverIs;

/// The most reads of a call that discards what follows the peer's Close.
const MAX_DISCARDS: usize = 64;
/// The limit of the wait for the end of the stream after the closing handshake.
const LINGER: Duration = Duration::from_secs(2);
/// The limit of the wait for a thread that writes our Close, after the end of the stream.
const LAST_WRITE: Duration = Duration::from_secs(1);

impl Receiver {
    /// Completes a closing handshake that has begun: discards what still arrives, waits for the
    /// peer's Close until `close_timeout`, and then for at most [`LINGER`] for the end of the
    /// stream.
    pub(super) fn finish(&mut self) -> Closed {
        self.discard();
        let closed = self.wire.close_state.so_far();
        // Bytes that arrive after the socket is closed would reset the connection, and the peer
        // might not get our Close.
        if matches!(closed.cause(), Cause::Close | Cause::Protocol(_)) {
            self.linger();
        }
        self.wire.duplex.shutdown();
        self.wire.sent_log.write();
        closed
    }

    /// Discards what still arrives until the connection is over, and returns how it ended. Call it
    /// on a connection that this side has closed or aborted.
    pub(crate) fn discard(&mut self) -> Error {
        self.pending = true;
        self.decoder.stop_gathering();
        loop {
            if let Err(error) = self.next(DeliveryMode::Fragments, &mut RecvDeadline::endless()) {
                return error;
            }
        }
    }

    /// Writes the answer to the peer's Close, and ends the connection. If `deadline` passes before,
    /// the next call goes on, until `answer_by`.
    pub(super) fn answer_close(&mut self, deadline: Deadline, answer_by: Deadline) -> Error {
        let error = self.wire.answer_close(deadline, answer_by);
        if matches!(error, Error::Timeout(_)) && self.has_stream_ended() {
            if self.wire.close_is_unsent() {
                return self.wire.answer_not_taken();
            }
            // The thread that writes our Close may not have said yet that the system has it. A loop
            // that waits until the socket is readable calls again and again meanwhile.
            self.answer_by = Some(answer_by.min(Deadline::after(Some(LAST_WRITE))));
        }
        error
    }

    /// Discards what has arrived, and returns whether that was the end of the stream. An event loop
    /// would find the socket readable again and again.
    fn has_stream_ended(&mut self) -> bool {
        let mut buffer = [0; 4 * 1024];
        for _ in 0..MAX_DISCARDS {
            match read_from(&self.wire, &mut self.half, &mut buffer, Wait::Not) {
                Err(error) if is_timeout(&error) => return false,
                Ok(0) | Err(_) => return true,
                Ok(_) => {}
            }
        }
        false
    }

    /// Waits for the end of the stream. Discards what arrives, and flushes a Close that the peer
    /// did not take before.
    fn linger(&mut self) {
        let deadline = Deadline::after(Some(LINGER));
        let mut buffer = [0; 4 * 1024];
        // A peer that goes on sending does not extend the wait.
        while !self.wire.close_state.is_aborted() && !deadline.is_past() {
            let mut until = deadline;
            if self.wire.flush_pending() != Flushed::Done {
                until = until.min(Deadline::after(Some(RETRY)));
            }
            match read_from(&self.wire, &mut self.half, &mut buffer, Wait::Until(until)) {
                Err(error) if is_timeout(&error) => {}
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        *self.wire.receiver.lock() = ReceiverIs::Gone;
        self.wire.discard();
    }
}
