//! TLS over a [`Duplex`](crate::net::duplex::Duplex): decrypts what was read, and encrypts what is
//! to be written. Its lock is never held across a system call.

use std::io::{self, Read as _, Write as _};

use rustls::ClientConnection;

use crate::sync::Mutex;

/// The first byte of a TLS record that carries what was written (RFC 8446 section 5.1).
const APPLICATION_DATA: u8 = 23;

/// Bytes that were read from the socket, and are not given to TLS yet.
#[derive(Debug, Default)]
pub(crate) struct Cipher {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// The error of a record that is not valid. It is returned after the plaintext before it.
    failed: Option<io::Error>,
}

impl Cipher {
    /// Returns the buffer for the next bytes. All bytes before must have been decrypted.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        if self.buffer.is_empty() {
            self.buffer = vec![0; 16 * 1024];
        }
        &mut self.buffer
    }

    /// Takes note that the first `len` bytes of the [`space`](Self::space) were read.
    pub(crate) fn filled(&mut self, len: usize) {
        (self.start, self.end) = (0, len);
    }
}

/// The state of TLS, which the reader and the writer share.
pub(crate) struct Session(Mutex<ClientConnection>);

impl Session {
    pub(crate) fn new(mut connection: ClientConnection) -> Self {
        // A limit is not needed: each chunk is taken out as soon as it is encrypted.
        connection.set_buffer_limit(None);
        Self(Mutex::new(connection))
    }

    /// Decrypts what was read, until there is plaintext for `buf`. Returns `None` if that takes
    /// more bytes. Sets `pending` if TLS has output to send.
    pub(crate) fn decrypt(
        &self,
        cipher: &mut Cipher,
        pending: &mut bool,
        buf: &mut [u8],
    ) -> io::Result<Option<usize>> {
        let mut tls = self.0.lock();
        loop {
            match tls.reader().read(buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // The stream ends without close_notify. A WebSocket knows by the Close frame
                // whether it was cut short.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Some(0)),
                other => return other.map(Some),
            }
            if let Some(error) = cipher.failed.take() {
                return Err(error);
            }
            let mut rest = &cipher.buffer[cipher.start..cipher.end];
            if rest.is_empty() {
                return Ok(None);
            }
            let taken = tls.read_tls(&mut rest).map_err(|error| {
                // For example a handshake message that never ends.
                let error = rustls::Error::General(error.to_string());
                io::Error::new(io::ErrorKind::InvalidData, error)
            });
            cipher.start += taken?;
            let processed = tls.process_new_packets();
            *pending |= tls.wants_write();
            if let Err(error) = processed {
                // The plaintext of the records before this one is still good.
                cipher.failed = Some(io::Error::new(io::ErrorKind::InvalidData, error));
            }
        }
    }

    /// Appends the pending output of TLS to `out`, and then all of `plain`, encrypted.
    pub(crate) fn encrypt(&self, plain: &mut Vec<u8>, out: &mut Vec<u8>) -> io::Result<()> {
        let mut tls = self.0.lock();
        let mut take_output = |tls: &mut ClientConnection| {
            while tls.wants_write() {
                tls.write_tls(out)?;
            }
            io::Result::Ok(out.len())
        };
        let before = take_output(&mut tls)?;
        if !plain.is_empty() {
            tls.writer().write_all(plain)?;
            take_output(&mut tls)?;
            // The keys of TLS 1.2 are good for a limited number of records. After that rustls still
            // accepts plaintext without an error, but it gives out nothing, or close_notify only.
            if out.get(before) != Some(&APPLICATION_DATA) {
                return Err(io::Error::other(
                    "the keys of this TLS connection are used up; connect again",
                ));
            }
            plain.clear();
        }
        Ok(())
    }

    /// Makes the next [`encrypt`](Self::encrypt) append `close_notify`.
    pub(crate) fn send_close_notify(&self) {
        self.0.lock().send_close_notify();
    }
}
