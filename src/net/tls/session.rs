//! TLS over a [`Duplex`](crate::net::duplex::Duplex): decrypts what was read, and encrypts what is
//! to be written. Its lock is never held across a system call.

use std::io::{self, Read as _, Write as _};

use rustls::ClientConnection;

use crate::sync::Mutex;

/// The first byte of a TLS record that carries what was written (RFC 8446 section 5.1).
const APPLICATION_DATA: u8 = 23;

/// Bytes that were read, but not given to TLS yet.
#[derive(Debug, Default)]
pub(crate) struct Cipher {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// What TLS said about a record; told when the plaintext before it is read.
    failed: Option<io::Error>,
}

impl Cipher {
    /// Where the next bytes go. All that was here before must have been decrypted.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        if self.buffer.is_empty() {
            self.buffer = vec![0; 16 * 1024];
        }
        &mut self.buffer
    }

    /// Says that the first `len` bytes of the [`space`](Self::space) were read.
    pub(crate) fn filled(&mut self, len: usize) {
        (self.start, self.end) = (0, len);
    }
}

/// The state of TLS, which the reader and the writer share.
pub(crate) struct Session(Mutex<ClientConnection>);

impl Session {
    pub(crate) fn new(mut connection: ClientConnection) -> Self {
        // Each piece is encrypted and taken out at once; the pieces bound the memory.
        connection.set_buffer_limit(None);
        Self(Mutex::new(connection))
    }

    /// Decrypts what was read, until there is plaintext for `buf`; `None` if it takes more bytes.
    /// Sets `owes` if TLS wants to send something.
    pub(crate) fn decrypt(
        &self,
        cipher: &mut Cipher,
        owes: &mut bool,
        buf: &mut [u8],
    ) -> io::Result<Option<usize>> {
        let mut tls = self.0.lock();
        loop {
            match tls.reader().read(buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // Whether a Close frame came before tells truncation from the end.
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
                // A message that never ends, for example.
                let error = rustls::Error::General(error.to_string());
                io::Error::new(io::ErrorKind::InvalidData, error)
            });
            cipher.start += taken?;
            let processed = tls.process_new_packets();
            *owes |= tls.wants_write();
            if let Err(error) = processed {
                // What came before the bad record is still good.
                cipher.failed = Some(io::Error::new(io::ErrorKind::InvalidData, error));
            }
        }
    }

    /// Appends to `out` what TLS has to say, and then all of `plain`, encrypted.
    pub(crate) fn encrypt(&self, plain: &mut Vec<u8>, out: &mut Vec<u8>) -> io::Result<()> {
        let mut tls = self.0.lock();
        let mut say = |tls: &mut ClientConnection| {
            while tls.wants_write() {
                tls.write_tls(out)?;
            }
            io::Result::Ok(out.len())
        };
        let before = say(&mut tls)?;
        if !plain.is_empty() {
            tls.writer().write_all(plain)?;
            say(&mut tls)?;
            // The keys of TLS 1.2 are good for so many records. Then rustls takes what is written,
            // says close_notify at most, and no error.
            if out.get(before) != Some(&APPLICATION_DATA) {
                return Err(io::Error::other("TLS cannot encrypt any more with these keys"));
            }
            plain.clear();
        }
        Ok(())
    }

    /// Has `close_notify` said, with the next that is encrypted.
    pub(crate) fn send_close_notify(&self) {
        self.0.lock().send_close_notify();
    }
}
