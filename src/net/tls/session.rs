//! TLS over a [`Duplex`](crate::net::duplex::Duplex): decrypts what was read, and encrypts what is
//! to be written. Its lock is never held across a system call.
//!
//! This uses rustls's unbuffered interface, which decrypts in the buffer that was read into. One
//! call of it handles at most one record, and says what must happen before the next call.

use std::io;
use std::mem;

use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus, WriteTraffic,
};

use super::cipher::Cipher;
use super::info::TlsInfo;
use crate::sync::Mutex;

/// The most plaintext that fits into a record.
const RECORD: usize = 16 * 1024;
/// The room that a record needs besides its plaintext. Some records need less.
const OVERHEAD: usize = 32;
/// The most ciphertext that is kept for a handshake message that is not complete. rustls refuses a
/// message of more than 64 KiB, but the message may come in many small records.
const MAX_KEPT: usize = 80 * 1024;

/// The state of TLS, which the reader and the writer share.
///
/// In a box, so that a plain connection takes no memory for it.
pub(crate) struct Session(Box<Mutex<State>>);

struct State {
    tls: UnbufferedClientConnection,
    /// The bytes with which the reader must begin: those that the opening handshake left over, or a
    /// part of a handshake message that came later. rustls must see such a part in every call. Each
    /// whole record in these bytes was processed.
    kept: Cipher,
    /// Output of TLS that the writer has not taken yet.
    out: Vec<u8>,
    /// The reader was told of the output that the writer has not taken yet.
    is_told: bool,
    /// The peer has sent close_notify.
    ended: bool,
    /// The first error. rustls is called for its output only after it: any other call would process
    /// the invalid record again, or would look for a part of a handshake message in vain.
    failed: Option<rustls::Error>,
}

/// Says what comes after a call of rustls.
enum RecordStep {
    /// Another call.
    Next,
    /// Reading more bytes.
    Read,
}

impl Session {
    pub(crate) fn new(tls: UnbufferedClientConnection) -> Self {
        let (kept, out) = (Cipher::default(), Vec::new());
        let state = State { tls, kept, out, is_told: false, ended: false, failed: None };
        Self(Box::new(Mutex::new(state)))
    }

    /// Does the next part of the opening handshake, with what was read. Returns whether the
    /// handshake is done. Take the output with [`encrypt`](Self::encrypt), also after an error.
    pub(super) fn shake_hands(&self, cipher: &mut Cipher) -> Result<bool, rustls::Error> {
        let mut state = self.0.lock();
        while let RecordStep::Next = state.step(cipher, &mut [], &mut 0)? {}
        let is_done = !state.tls.is_handshaking();
        if is_done && !cipher.is_empty() {
            state.kept = mem::take(cipher);
        }
        Ok(is_done)
    }

    /// Decrypts what was read into `buf`, as much as fits. Returns `None` if more must be read
    /// first. Sets `pending` if TLS has output to send that the reader was not told of before: the
    /// writer takes it all at once, but it may be a while until then.
    pub(crate) fn decrypt(
        &self,
        cipher: &mut Cipher,
        pending: &mut bool,
        buf: &mut [u8],
    ) -> io::Result<Option<usize>> {
        let mut len = cipher.take_plain(buf);
        if len == buf.len() {
            return Ok(Some(len));
        }
        let mut state = self.0.lock();
        if !state.kept.is_empty() {
            state.kept.extend(cipher.ciphertext());
            *cipher = mem::take(&mut state.kept);
            len += cipher.take_plain(&mut buf[len..]);
        }
        while len < buf.len() && state.failed.is_none() && !state.ended {
            match state.step(cipher, buf, &mut len) {
                Ok(RecordStep::Next) => {}
                Ok(RecordStep::Read) => {
                    if cipher.retained() > 0 {
                        state.kept = mem::take(cipher);
                    }
                    break;
                }
                Err(_) => break,
            }
        }
        *pending |= state.has_output() && !mem::replace(&mut state.is_told, true);
        match &state.failed {
            // The plaintext of the records before the error is still good.
            _ if len > 0 => Ok(Some(len)),
            Some(error) => Err(invalid(error)),
            // The stream may end without close_notify as well. A WebSocket knows by the Close frame
            // whether the stream was cut short.
            None if state.ended => Ok(Some(0)),
            None => Ok(None),
        }
    }

    /// Frees the memory that an idle connection does not need.
    pub(crate) fn shrink(&self, cipher: &mut Cipher) {
        cipher.shrink();
        self.0.lock().kept.shrink();
    }

    /// Appends the pending output of TLS to `out`, and then all of `plain`, encrypted.
    pub(crate) fn encrypt(&self, plain: &mut Vec<u8>, out: &mut Vec<u8>) -> io::Result<()> {
        let mut state = self.0.lock();
        state.take_output();
        out.append(&mut state.out);
        state.is_told = false;
        if !plain.is_empty() {
            // All at once: growing again and again would copy what is encrypted. And no more: a
            // buffer of twice the size would not be kept for the next message.
            out.reserve_exact(plain.len() + plain.len().div_ceil(RECORD) * OVERHEAD);
            state.write(out, |mut traffic, out| {
                let mut records = plain.chunks(RECORD);
                records.try_for_each(|record| {
                    append(out, record.len() + OVERHEAD, |room| traffic.encrypt(record, room))
                })
            })?;
            plain.clear();
        }
        Ok(())
    }

    /// Returns what was agreed on in the handshake, which is done.
    pub(crate) fn info(&self) -> TlsInfo {
        TlsInfo::of(&self.0.lock().tls)
    }

    /// Makes the next [`encrypt`](Self::encrypt) append `close_notify`.
    pub(crate) fn send_close_notify(&self) {
        let mut state = self.0.lock();
        state.take_output();
        let mut out = mem::take(&mut state.out);
        // A peer that was sent an alert, or has sent one, needs no other.
        let _ = state.write(&mut out, |mut traffic, out| {
            append(out, OVERHEAD, |room| traffic.queue_close_notify(room))
        });
        state.out = out;
    }
}

impl State {
    /// Calls rustls once, with what was read. Plaintext is put into `buf` after the first `len`
    /// bytes. What does not fit stays in `cipher`.
    fn step(
        &mut self,
        cipher: &mut Cipher,
        buf: &mut [u8],
        len: &mut usize,
    ) -> Result<RecordStep, rustls::Error> {
        let (ciphertext, surplus) = cipher.split();
        let UnbufferedStatus { mut discard, state, .. } = self.tls.process_tls_records(ciphertext);
        let step = match state {
            Ok(ConnectionState::ReadTraffic(mut traffic)) => loop {
                match traffic.next_record() {
                    Some(Ok(record)) => {
                        let fits = record.payload.len().min(buf.len() - *len);
                        let (now, later) = record.payload.split_at(fits);
                        buf[*len..*len + fits].copy_from_slice(now);
                        *len += fits;
                        surplus.extend_from_slice(later);
                        discard += record.discard;
                    }
                    Some(Err(error)) => break Err(error),
                    None => break Ok(RecordStep::Next),
                }
            },
            Ok(ConnectionState::EncodeTlsData(data)) => {
                encode(data, &mut self.out);
                Ok(RecordStep::Next)
            }
            Ok(ConnectionState::TransmitTlsData(sent)) => {
                sent.done();
                Ok(RecordStep::Next)
            }
            Ok(ConnectionState::WriteTraffic(_) | ConnectionState::BlockedHandshake) => {
                Ok(RecordStep::Read)
            }
            Ok(ConnectionState::PeerClosed | ConnectionState::Closed) => {
                self.ended = true;
                Ok(RecordStep::Next)
            }
            Ok(_) => Err(rustls::Error::General("TLS is in a state that no client knows".into())),
            Err(error) => Err(error),
        };
        cipher.discard(discard);
        let step = match step {
            Ok(RecordStep::Read) if cipher.retained() > MAX_KEPT && !self.ended => {
                Err(rustls::Error::General("a handshake message takes too many bytes".into()))
            }
            step => step,
        };
        step.inspect_err(|error| self.failed = Some(error.clone()))
    }

    /// Has `put` write to `out`, once the connection is ready to send.
    fn write(
        &mut self,
        out: &mut Vec<u8>,
        put: impl FnOnce(
            WriteTraffic<'_, ClientConnectionData>,
            &mut Vec<u8>,
        ) -> Result<(), EncryptError>,
    ) -> io::Result<()> {
        loop {
            if let Some(error) = &self.failed {
                return Err(invalid(error));
            }
            match self.tls.process_tls_records(self.kept.ciphertext()).state {
                Ok(ConnectionState::WriteTraffic(traffic)) => {
                    return put(traffic, out).map_err(|_| used_up());
                }
                Ok(ConnectionState::EncodeTlsData(data)) => encode(data, out),
                Ok(ConnectionState::TransmitTlsData(sent)) => sent.done(),
                Ok(ConnectionState::PeerClosed) => self.ended = true,
                // There is no session yet, or it is over in both directions.
                Ok(_) => return Err(io::ErrorKind::NotConnected.into()),
                Err(error) => self.failed = Some(error),
            }
        }
    }

    fn has_output(&self) -> bool {
        self.tls.wants_write() || !self.out.is_empty()
    }

    /// Takes the output that rustls has.
    fn take_output(&mut self) {
        // As long as there is output, rustls looks at no bytes.
        while self.tls.wants_write() {
            match self.tls.process_tls_records(&mut []).state {
                Ok(ConnectionState::EncodeTlsData(data)) => encode(data, &mut self.out),
                _ => return,
            }
        }
    }
}

fn encode(mut data: EncodeTlsData<'_, ClientConnectionData>, out: &mut Vec<u8>) {
    let encoded = append(out, 0, |room| {
        data.encode(room).map_err(|error| match error {
            EncodeError::InsufficientSize(error) => error.into(),
            EncodeError::AlreadyEncoded => EncryptError::EncryptExhausted,
        })
    });
    debug_assert!(encoded.is_ok(), "encoded twice");
}

/// Appends to `out` what `put` writes into a slice, which has `room` bytes or as many as it needs.
fn append(
    out: &mut Vec<u8>,
    mut room: usize,
    mut put: impl FnMut(&mut [u8]) -> Result<usize, EncryptError>,
) -> Result<(), EncryptError> {
    let start = out.len();
    loop {
        out.resize(start + room, 0);
        let put = put(&mut out[start..]);
        out.truncate(start + *put.as_ref().unwrap_or(&0));
        match put {
            Err(EncryptError::InsufficientSize(needs)) => room = needs.required_size,
            put => return put.map(drop),
        }
    }
}

/// Returns the error of a connection whose keys have encrypted as many records as they may. By TLS
/// 1.3 rustls changes the keys before that.
fn used_up() -> io::Error {
    io::Error::other("the keys of this TLS connection are used up; connect again")
}

fn invalid(error: &rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error.clone())
}
