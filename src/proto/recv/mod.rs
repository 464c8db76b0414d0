//! Receiving: bytes in, messages and control frames out.
//!
//! What the driver does: put bytes into [`Decoder::space`] and say how many with
//! [`Decoder::filled`]; call [`Decoder::advance`] until it says `false`, taking each step with
//! [`Decoder::step`] before the next. How the bytes are cut makes no difference.
//!
//! Here is the buffer, `frames` reads what is in it, `inflate` does so for compressed messages.

mod frames;
#[cfg(feature = "deflate")]
mod inflate;
mod step;

pub use step::{Delivery, Owned, Step};

use super::close::CloseFrame;
use super::error::Violation;
use super::frame::{MAX_CONTROL_PAYLOAD, MAX_HEADER, Opcode};
use super::message::{Fragment, MessageKind};
use super::utf8::Utf8;
use frames::{Frame, Message, reserve};

/// The buffer of an idle connection, in bytes.
const SMALL_BUFFER: usize = 4 * 1024;
/// The buffer of a busy one, and the most that is reserved ahead of the bytes that arrive.
const LARGE_BUFFER: usize = 64 * 1024;
/// Payloads of this size and more are read straight to where their message is gathered, in bytes.
const BULK: usize = 16 * 1024;

// An incomplete header or control frame is all that ever stays in the buffer between two reads.
const _: () = assert!(SMALL_BUFFER > MAX_HEADER + MAX_CONTROL_PAYLOAD);

/// How much a peer may send. `None` is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of a message, all its fragments together. Default 64 MiB.
    pub max_message_size: Option<u64>,
    /// Bytes of a data frame's payload. Default `None`: what is left of `max_message_size`.
    pub max_frame_size: Option<u64>,
    /// Frames of a message. Default 131,072: a legal 4 MiB in pieces of 64 bytes is half of that.
    pub max_fragments: Option<u32>,
    /// Empty fragments in a row that do not end their message. Default 1,024.
    pub max_empty_fragments: Option<u32>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_message_size: Some(64 << 20),
            max_frame_size: None,
            max_fragments: Some(131_072),
            max_empty_fragments: Some(1_024),
        }
    }
}

/// The receiving half of a client, without I/O.
#[derive(Debug)]
pub struct Decoder {
    limits: Limits,
    unchecked_text: bool,
    /// Initialised as a whole; what is received and not handed out is `start..end`.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// The payload of the last data frame is, or was, read straight to its message. The next one
    /// likely will be: little is read before its header is known, so that little is copied.
    bulk: bool,
    /// The data frame whose payload is being read.
    frame: Option<Frame>,
    message: Option<Message>,
    #[cfg(feature = "deflate")]
    inflater: Option<inflate::Inflater>,
    utf8: Utf8,
    /// The open message as far as it has arrived, when it is not simply in the buffer.
    text: String,
    binary: Vec<u8>,
    /// How many bytes at the end of `binary` are space, not data.
    space: usize,
    ready: Option<Ready>,
    /// Bytes of the buffer that the last step lent out.
    lent: usize,
    closed: bool,
    failed: Option<Violation>,
}

#[derive(Debug)]
enum Ready {
    /// A whole message of so many bytes at the front of the buffer. Text is not checked yet.
    Buffered(MessageKind, usize),
    /// A whole message in `text` or `binary`.
    Gathered(MessageKind),
    Fragment {
        kind: MessageKind,
        len: usize,
        first: bool,
        last: bool,
        /// In `binary`, not in the buffer.
        inflated: bool,
    },
    Ping(usize),
    Pong(usize),
    Close(CloseFrame),
}

impl Decoder {
    /// A decoder at the start of the first frame.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            unchecked_text: false,
            buffer: Vec::new(),
            start: 0,
            end: 0,
            bulk: false,
            frame: None,
            message: None,
            #[cfg(feature = "deflate")]
            inflater: None,
            utf8: Utf8::default(),
            text: String::new(),
            binary: Vec::new(),
            space: 0,
            ready: None,
            lent: 0,
            closed: false,
            failed: None,
        }
    }

    /// Hands text over as [`Step::RawText`], without looking whether it is UTF-8.
    pub fn leave_text_unchecked(&mut self) {
        self.unchecked_text = true;
    }

    /// Where the next bytes go; never empty. Take the steps first: it may move what is buffered.
    pub fn space(&mut self) -> &mut [u8] {
        self.release();
        self.reserve_in_message();
        if self.space > 0 {
            let at = self.binary.len() - self.space;
            return &mut self.binary[at..];
        }
        // The last read filled all the space: the next one gets more.
        let full = self.end == self.buffer.len() && !self.bulk;
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if self.buffer.is_empty() {
            self.buffer = vec![0; SMALL_BUFFER];
        } else if full && self.buffer.len() < LARGE_BUFFER {
            self.buffer.resize(self.buffer.len() * 4, 0);
        }
        let most = if self.bulk { self.end + SMALL_BUFFER } else { usize::MAX };
        let most = most.min(self.buffer.len());
        &mut self.buffer[self.end..most]
    }

    /// Says that the first `len` bytes of the last [`space`](Self::space) are received.
    ///
    /// # Panics
    /// If `len` is more than there was space.
    pub fn filled(&mut self, len: usize) {
        match &mut self.frame {
            Some(frame) if self.space > 0 => {
                assert!(len <= self.space, "more bytes than there was space for");
                // It was never more than the frame has left, so it is used up with the frame.
                self.space -= len;
                frame.left -= len as u64;
            }
            _ => {
                assert!(len <= self.buffer.len() - self.end, "more bytes than there was space for");
                self.end += len;
            }
        }
    }

    /// Copies as many of `bytes` as there is space for, and says how many that are.
    pub fn feed(&mut self, bytes: &[u8]) -> usize {
        let space = self.space();
        let len = bytes.len().min(space.len());
        space[..len].copy_from_slice(&bytes[..len]);
        self.filled(len);
        len
    }

    /// Looks for the next step: `true` when there is one to take, `false` when it needs more bytes.
    /// A message that begins now is handed out as `delivery` says; one that has begun goes on as
    /// it began.
    ///
    /// # Errors
    /// The first [`Violation`], and the same one ever after.
    pub fn advance(&mut self, delivery: Delivery) -> Result<bool, Violation> {
        if let Some(violation) = self.failed {
            return Err(violation);
        }
        if self.ready.is_some() {
            return Ok(true);
        }
        self.release();
        self.scan(delivery).inspect_err(|&violation| self.failed = Some(violation))
    }

    /// What the step to take is, and its length in bytes; a message's or a piece's opcode is Text
    /// or Binary.
    #[must_use]
    pub fn ready(&self) -> Option<(Opcode, usize)> {
        let data = |kind| if kind == MessageKind::Text { Opcode::Text } else { Opcode::Binary };
        Some(match self.ready.as_ref()? {
            Ready::Buffered(kind, len) | Ready::Fragment { kind, len, .. } => (data(*kind), *len),
            // One of the two is empty.
            Ready::Gathered(kind) => (data(*kind), self.text.len() + self.binary.len()),
            Ready::Ping(len) => (Opcode::Ping, *len),
            Ready::Pong(len) => (Opcode::Pong, *len),
            Ready::Close(close) => (Opcode::Close, close.encode().len()),
        })
    }

    /// Whether the step to take is a [`Step::Fragment`].
    #[must_use]
    pub fn is_piece(&self) -> bool {
        matches!(self.ready, Some(Ready::Fragment { .. }))
    }

    /// Takes the step that [`advance`](Self::advance) found; `None` when there is none.
    ///
    /// # Errors
    /// [`Violation::InvalidUtf8`].
    pub fn step(&mut self) -> Result<Option<Step<'_>>, Violation> {
        let Some(ready) = self.ready.take() else { return Ok(None) };
        let front = &self.buffer[self.start..];
        Ok(Some(match ready {
            Ready::Buffered(kind, len) => {
                self.lent = len;
                match kind {
                    MessageKind::Binary => Step::Binary(&front[..len]),
                    MessageKind::Text if self.unchecked_text => Step::RawText(&front[..len]),
                    MessageKind::Text => match std::str::from_utf8(&front[..len]) {
                        Ok(text) => Step::Text(text),
                        Err(_) => {
                            self.failed = Some(Violation::InvalidUtf8);
                            return Err(Violation::InvalidUtf8);
                        }
                    },
                }
            }
            Ready::Gathered(MessageKind::Binary) => Step::Binary(&self.binary),
            Ready::Gathered(MessageKind::Text) if self.unchecked_text => {
                Step::RawText(&self.binary)
            }
            Ready::Gathered(MessageKind::Text) => Step::Text(&self.text),
            Ready::Fragment { kind, len: _, first, last, inflated: true } => {
                Step::Fragment(Fragment { kind, data: &self.binary, first, last })
            }
            Ready::Fragment { kind, len, first, last, inflated: false } => {
                self.lent = len;
                Step::Fragment(Fragment { kind, data: &front[..len], first, last })
            }
            Ready::Ping(len) => {
                self.lent = len;
                Step::Ping(&front[..len])
            }
            Ready::Pong(len) => {
                self.lent = len;
                Step::Pong(&front[..len])
            }
            Ready::Close(close) => Step::Close(close),
        }))
    }

    /// Takes the step that [`advance`](Self::advance) found if it is a whole message, as
    /// something to keep; any other step stays for [`step`](Self::step).
    ///
    /// # Errors
    /// [`Violation::InvalidUtf8`].
    pub fn take_message(&mut self) -> Result<Option<Owned>, Violation> {
        Ok(Some(match self.ready {
            Some(Ready::Gathered(kind)) => {
                self.ready = None;
                // A small one is copied: the buffer is for the next one, and may be a big one's.
                let is_small = |len, room| len <= SMALL_BUFFER || room > 4 * len + LARGE_BUFFER;
                let (text, binary) = (&mut self.text, &mut self.binary);
                match kind {
                    MessageKind::Text if !self.unchecked_text => {
                        let small = is_small(text.len(), text.capacity());
                        Owned::Text(if small { text.clone() } else { core::mem::take(text) })
                    }
                    _ => {
                        let small = is_small(binary.len(), binary.capacity());
                        Owned::Binary(if small { binary.clone() } else { core::mem::take(binary) })
                    }
                }
            }
            Some(Ready::Buffered(..)) => match self.step()? {
                Some(Step::Text(text)) => Owned::Text(text.to_owned()),
                Some(Step::Binary(bytes) | Step::RawText(bytes)) => Owned::Binary(bytes.to_vec()),
                _ => return Ok(None),
            },
            _ => return Ok(None),
        }))
    }

    /// Gathers the message that has begun no longer: what has arrived of it is forgotten, and the
    /// rest is handed out in pieces, as with [`Delivery::Fragments`].
    pub fn stop_gathering(&mut self) {
        if let Some(message) = &mut self.message {
            if message.delivery == Delivery::Whole {
                message.delivery = Delivery::Fragments;
                self.bulk = false;
                self.space = 0;
                self.text = String::new();
                self.binary = Vec::new();
            }
        }
    }

    /// Gives back the memory that an idle connection does not need. What is received stays.
    pub fn shrink(&mut self) {
        self.release();
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            self.buffer.truncate(SMALL_BUFFER);
            self.buffer.shrink_to_fit();
        }
        if self.message.is_none() && self.ready.is_none() {
            self.text = String::new();
            self.binary = Vec::new();
            #[cfg(feature = "deflate")]
            if let Some(inflater) = &mut self.inflater {
                inflater.shrink();
            }
        }
    }

    /// Forgets what the last step lent out.
    fn release(&mut self) {
        self.start += core::mem::take(&mut self.lent);
        if self.message.is_none() && self.ready.is_none() && self.space == 0 {
            self.text.clear();
            self.binary.clear();
        }
    }

    /// Makes space in the message for a big payload.
    fn reserve_in_message(&mut self) {
        let Some(frame) = self.frame else { return };
        // A little that is left comes with the next header, unless there is space already.
        let big = self.bulk && (self.space > 0 || frame.left > SMALL_BUFFER as u64);
        if big && self.start == self.end {
            // Space that a short read left over is used, so that nothing is zeroed twice; but a
            // read is worth its system call.
            let data = self.binary.len() - self.space;
            let most =
                usize::try_from(frame.left).map_or(LARGE_BUFFER, |left| left.min(LARGE_BUFFER));
            let least = most.div_ceil(4);
            if self.space >= least {
                return;
            }
            // Room that there is comes before more memory.
            if reserve(&mut self.binary, data, least, frame.left).is_err() {
                return; // `gather` will say so when the bytes are there.
            }
            self.space = most.min(self.binary.capacity() - data);
            self.binary.resize(data + self.space, 0);
        }
    }
}
