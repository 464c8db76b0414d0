//! Reading through TLS, and its end.

use std::io;

use super::{Duplex, ReadHalf, Wait, WriteHalf, would_block};
use crate::net::deadline::Grace;
use crate::net::tls::Session;
use crate::sync;

impl Duplex {
    pub(super) fn read_tls(
        &self,
        tls: &Session,
        half: &mut ReadHalf,
        buf: &mut [u8],
        wait: Wait,
    ) -> io::Result<usize> {
        let was_pending = half.tls_pending;
        let mut grace = None;
        loop {
            let decrypted = tls.decrypt(&mut half.cipher, &mut half.tls_pending, buf)?;
            if let Some(len) = decrypted {
                return Ok(len);
            }
            if half.tls_pending && !was_pending {
                // The caller flushes before it waits for more: the peer may wait for this output.
                return Err(io::ErrorKind::WouldBlock.into());
            }
            // Records without plaintext do not prolong the wait.
            let is_over = wait.is_over();
            let grace = grace.get_or_insert_with(|| match is_over {
                true => Grace::of_try(), // It was over when the call began.
                false => Grace::after_wait(),
            });
            if is_over && grace.is_over() {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let read = self.read_socket(&mut half.armed, half.cipher.space(), wait);
            half.is_drained = would_block(&read);
            if half.is_drained {
                tls.shrink(&mut half.cipher);
            }
            let len = read?;
            half.cipher.filled(len);
            if len == 0 {
                return Ok(0);
            }
            half.has_received = true;
            half.bytes += len as u64;
        }
    }

    /// Writes what was encrypted, as much as the system takes at once: an alert at its end may tell
    /// the peer why nothing can be encrypted any more.
    #[cold]
    pub(super) fn write_alert(&self, half: &mut WriteHalf) {
        let rest = half.out.len() - half.sent;
        if rest > 0 {
            let written = self.write_rest(half, Wait::Not, sync::now());
            // Another error tells nothing new: the connection ends.
            let len = written.map_or(0, |len| len.min(rest));
            half.sent += len;
            half.bytes += len as u64;
        }
    }

    /// Makes the next flush send `close_notify`, if there is TLS.
    pub(crate) fn send_close_notify(&self) {
        if let Some(tls) = &self.tls {
            tls.send_close_notify();
        }
    }
}
