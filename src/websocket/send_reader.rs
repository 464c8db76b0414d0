//! Sending a message in one frame, from a reader that gives its payload.

use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::Ordering;

use super::sender::Sender;
use super::wire::Wire;
use super::write_lock::CHUNK;
use crate::error::{Error, InvalidInput};
use crate::proto::message::MessageKind;
use crate::proto::utf8::Utf8;

/// The greatest length of a frame (RFC 6455 section 5.2).
const MAX_LEN: u64 = u64::MAX >> 1;

impl Sender {
    /// Sends a message of `len` bytes in one frame, and reads it from `reader` meanwhile. Returns
    /// when the system has taken all of it.
    ///
    /// The message is read and written in chunks of 64 KiB. So it takes memory for two chunks, and
    /// over TLS for a few more, however long it is. It is not compressed. What `reader` has beyond
    /// `len` bytes is not read.
    ///
    /// A frame that has begun must be finished before anything else can be sent. So while this call
    /// runs, also while it waits for `reader`:
    ///
    /// * Other calls that send wait, and fail with [`Timeout::Busy`](crate::Timeout::Busy) after
    ///   [`write_timeout`](crate::Builder::write_timeout).
    /// * Pings are not answered, and keepalive sends none. A server that pings may give up a client
    ///   whose reader is slow.
    /// * A Close waits too, and the connection ends when `close_timeout` passes before the Close
    ///   could be sent.
    ///
    /// [`writer`](Self::writer) has none of these limits, and needs no `len`: it sends a message in
    /// fragments, and control frames may go between them.
    ///
    /// `write_timeout` bounds the writing of each chunk. It does not bound `reader`, which may
    /// block as long as it likes. [`abort`](Self::abort) ends the connection, but cannot interrupt
    /// `reader`. Code in `reader` must not send on the same connection: it would wait for
    /// `write_timeout`, and then fail.
    ///
    /// # Examples
    ///
    /// Sends a file, also one that does not fit into memory:
    ///
    /// ```no_run
    /// use std::fs::File;
    ///
    /// let ws = landline::connect("wss://example.com/backup")?;
    /// let file = File::open("backup.tar")?;
    /// ws.send_reader(landline::MessageKind::Binary, file.metadata()?.len(), file)?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If the `io::Error` holds no [`Error`], nothing was sent, and the connection goes on. The
    /// first 64 KiB, or the whole message if it is shorter, are read before anything is sent, and
    /// one of these happened:
    ///
    /// * `reader` failed. The error is that of `reader`. If the kind is `Interrupted`, the call is
    ///   made again instead.
    /// * `UnexpectedEof`: `reader` ended too early.
    /// * `InvalidData`: the text is not UTF-8.
    ///
    /// Otherwise it holds an [`Error`], which `get_ref` and `downcast` give:
    ///
    /// * [`InvalidInput::MessageTooLong`]: `len` is 2^63 or more. Nothing was read or sent.
    /// * The same errors as those of [`send`](Self::send). The connection goes on only after
    ///   [`Timeout::Busy`](crate::Timeout::Busy) and [`Error::Local`]. Then nothing was sent, but
    ///   the first chunk was read from `reader`.
    /// * [`Error::Closed`] if one of the three above happened later. A part of the frame was sent
    ///   and the rest cannot follow, so the connection is over. The text says why, and the kind is
    ///   that of the error that `reader` returned.
    ///
    /// # Panics
    ///
    /// If `reader` panics. The connection is over if a part of the message was sent.
    pub fn send_reader(
        &self,
        kind: MessageKind,
        len: u64,
        mut reader: impl Read,
    ) -> io::Result<()> {
        send(&self.wire, kind, len, &mut reader)
    }
}

fn send(wire: &Wire, kind: MessageKind, len: u64, reader: &mut dyn Read) -> io::Result<()> {
    if len > MAX_LEN {
        return Err(Error::from(InvalidInput::MessageTooLong).into());
    }
    if !wire.close_state.is_open() {
        return Err(Error::Closed(wire.close_state.so_far()).into()); // Nothing is read in vain.
    }
    let mut chunks = Chunks::new(kind, len, reader);
    chunks.read_next()?;
    let _log = wire.sent_log.guard();
    let _lock = wire.lock_message()?;
    let mut limit = wire.write_limit();
    let mut out = wire.begin(&mut limit)?;
    let mut body = out.begin_message(kind, len)?;
    out.write_chunk(&mut body, &chunks.chunk)?;
    while chunks.left > 0 {
        wire.reader_runs.store(true, Ordering::SeqCst);
        let read = catch_unwind(AssertUnwindSafe(|| chunks.read_next()));
        wire.reader_runs.store(false, Ordering::SeqCst);
        match read {
            Ok(Ok(())) => out.write_chunk(&mut body, &chunks.chunk)?,
            Ok(Err(error)) => return Err(out.break_off(unfinished(&error)).into()),
            Err(panic) => {
                out.break_off(unfinished(&io::Error::other("the reader panicked")));
                resume_unwind(panic)
            }
        }
    }
    out.count_message();
    Ok(out.finish()?)
}

/// Returns the cause of the end of the connection.
fn unfinished(error: &io::Error) -> io::Error {
    let why = format!("a message that was begun cannot be finished: {error}");
    io::Error::new(error.kind(), why)
}

/// Reads a message in chunks. The last one may be shorter.
struct Chunks<'a> {
    reader: &'a mut dyn Read,
    /// The number of bytes that are not read yet.
    left: u64,
    /// The bytes that were read last.
    chunk: Vec<u8>,
    /// `None` for a binary message.
    utf8: Option<Utf8>,
}

impl<'a> Chunks<'a> {
    fn new(kind: MessageKind, len: u64, reader: &'a mut dyn Read) -> Self {
        let utf8 = (kind == MessageKind::Text).then(Utf8::default);
        Self { reader, left: len, chunk: Vec::new(), utf8 }
    }

    fn read_next(&mut self) -> io::Result<()> {
        let len = usize::try_from(self.left).map_or(CHUNK, |left| left.min(CHUNK));
        self.chunk.resize(len, 0);
        let mut rest = &mut self.chunk[..];
        while !rest.is_empty() {
            let read = match self.reader.read(rest) {
                Ok(0) => return Err(ended_early(self.left - (len - rest.len()) as u64)),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let Some((_, later)) = rest.split_at_mut_checked(read) else {
                return Err(io::Error::other("the reader returned more bytes than there is room"));
            };
            rest = later;
        }
        self.left -= len as u64;
        if let Some(utf8) = &mut self.utf8 {
            let checked = utf8.check(&self.chunk);
            let ended = if self.left == 0 { utf8.finish() } else { Ok(()) };
            checked.and(ended).map_err(|_| not_utf8())?;
        }
        Ok(())
    }
}

fn ended_early(missing: u64) -> io::Error {
    let why = format!("the reader ended too early: {missing} bytes of the message are missing");
    io::Error::new(io::ErrorKind::UnexpectedEof, why)
}

fn not_utf8() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "text must be UTF-8")
}
