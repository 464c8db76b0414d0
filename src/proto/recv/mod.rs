//! Receives: bytes in, messages and control frames out.
//!
//! The driver puts bytes into [`Decoder::space`], and says with [`Decoder::filled`] how many. Then
//! it calls [`Decoder::advance`] until that returns `None`, and takes what was [`Found`] before the
//! next call. It makes no difference how the bytes are cut.
//!
//! `buffer` holds the bytes, `frames` makes messages of them, `inflate` does so if the messages are
//! compressed.

mod buffer;
mod found;
mod frames;
#[cfg_attr(not(feature = "deflate"), path = "inflate/off.rs")]
mod inflate;
mod room;

pub use found::{DeliveryMode, Found};

use super::close::CloseFrame;
use super::error::Violation;
use super::frame::{MAX_CONTROL_PAYLOAD, MAX_HEADER};
use super::message::{Fragment, Message, MessageKind, MessageRef};
use super::utf8::{Utf8, valid_text};
use buffer::RecvBuffer;
use frames::{OpenFrame, OpenMessage};
use room::{reserve, room_for, take_bytes, take_text};

/// The size of the buffer of an idle connection, in bytes.
const SMALL_BUFFER: usize = 4 * 1024;
/// The size of the buffer of a busy connection, in bytes, and the least memory that is reserved for
/// the bytes of a long message.
const LARGE_BUFFER: usize = 64 * 1024;
/// The most bytes of a big message that are read at once into new memory.
const MAX_NEW: usize = 256 * 1024;
/// The most bytes of a big message that are read at once into the memory of the last message: about
/// as many as a socket holds.
const MAX_READ: usize = 4 * 1024 * 1024;
/// Payloads of at least this size, in bytes, are read directly into their message.
const BULK: usize = 16 * 1024;

// Between two reads, nothing but an incomplete header or control frame stays in the buffer.
const _: () = assert!(SMALL_BUFFER > MAX_HEADER + MAX_CONTROL_PAYLOAD);

/// Limits what a peer may send. `None` is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The maximum size of a message in bytes, all its fragments together. Default 64 MiB.
    pub max_message_size: Option<u64>,
    /// The maximum size of a data frame's payload in bytes. Default `None`: a frame may have what
    /// is left of `max_message_size`.
    pub max_frame_size: Option<u64>,
    /// The maximum number of frames of a message. Default 131,072: a legal 4 MiB in fragments of 64
    /// bytes is half of that.
    pub max_fragments: Option<u32>,
    /// The maximum number of empty fragments in a row that do not end their message. Default 1,024.
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

/// Turns bytes into messages and control frames: the receiving half of a client, without I/O.
///
/// # Examples
///
/// A program, or a fuzzer, that has bytes and wants to know what they mean:
///
/// ```
/// use landline::error::Violation;
/// use landline::proto::recv::{Decoder, DeliveryMode, Found, Limits};
///
/// fn read(mut bytes: &[u8]) -> Result<(), Violation> {
///     let mut decoder = Decoder::new(Limits::default());
///     while !bytes.is_empty() {
///         let taken = decoder.feed(bytes);
///         bytes = &bytes[taken..];
///         while let Some(found) = decoder.advance(DeliveryMode::Whole)? {
///             match found {
///                 Found::Message { .. } => println!("{:?}", decoder.message()?),
///                 Found::Ping { .. } => println!("answer with {:?}", decoder.control()),
///                 Found::Close { .. } => println!("closed: {}", decoder.close()),
///                 // A Pong; a fragment comes with `DeliveryMode::Fragments` only.
///                 Found::Pong { .. } | Found::Fragment { .. } => {}
///             }
///         }
///     }
///     Ok(())
/// }
///
/// assert_eq!(read(b"\x81\x05Hello\x89\x00\x88\x02\x03\xe8"), Ok(()));
/// // The text is not UTF-8.
/// assert_eq!(read(b"\x81\x01\xff"), Err(Violation::InvalidUtf8));
/// ```
#[derive(Debug)]
pub struct Decoder {
    limits: Limits,
    /// The longest payload that [`short_message`](Self::short_message) takes.
    max_short: usize,
    unchecked_text: bool,
    buffer: RecvBuffer,
    /// Nothing is open, gathered or over: the next byte begins a message or a control frame.
    is_between: bool,
    /// The data frame whose payload is being read.
    frame: Option<OpenFrame>,
    message: Option<OpenMessage>,
    inflater: Option<inflate::Inflater>,
    /// The numbers of payload bytes of all compressed messages before and after they were inflated.
    inflated: (u64, u64),
    utf8: Utf8,
    /// The bytes of the open message that have arrived, if they are not simply in the buffer.
    text: String,
    binary: Vec<u8>,
    /// The number of bytes at the end of `binary` that are space to read into, not data. They stay
    /// from one message to the next, so that memory is zeroed only once.
    space: usize,
    /// The number of bytes of the space that the next read may fill: part of what is left of the
    /// frame. 0 if the next read goes to `buffer`.
    reading: usize,
    /// The last find, if it was not taken.
    found: Option<Found>,
    /// The payload of the last find is in `text` or `binary`, not at the front of the buffer.
    gathered: bool,
    /// The Close frame that was found and not taken.
    close: CloseFrame,
    closed: bool,
    failed: Option<Violation>,
}

impl Decoder {
    /// Makes a decoder that waits for the first byte of the first frame.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let limit = [limits.max_message_size, limits.max_frame_size].into_iter().flatten().min();
        let short = BULK - 1;
        Self {
            limits,
            max_short: limit
                .map_or(short, |limit| short.min(usize::try_from(limit).unwrap_or(short))),
            unchecked_text: false,
            buffer: RecvBuffer::default(),
            is_between: false,
            frame: None,
            message: None,
            inflater: None,
            inflated: (0, 0),
            utf8: Utf8::default(),
            text: String::new(),
            binary: Vec::new(),
            space: 0,
            reading: 0,
            found: None,
            gathered: false,
            close: CloseFrame::empty(),
            closed: false,
            failed: None,
        }
    }

    /// Stops the check that text is UTF-8. Text messages are then lent as binary ones. Call it
    /// before the first [`space`](Self::space): text that is checked is kept in another place.
    ///
    /// # Panics
    /// If there was space for bytes already.
    pub fn leave_text_unchecked(&mut self) {
        assert!(self.buffer.is_unused(), "text may have arrived that is checked");
        self.unchecked_text = true;
    }

    /// Returns the space for the next bytes. The call may move what is buffered, but loses nothing:
    /// a find that was not taken stays. The space is never empty once [`advance`](Self::advance)
    /// has returned `None`.
    pub fn space(&mut self) -> &mut [u8] {
        self.release();
        self.reserve_in_message();
        match self.reading {
            0 => self.buffer.space(),
            len => {
                self.buffer.end_space();
                let at = self.gathered_len();
                &mut self.binary[at..at + len]
            }
        }
    }

    /// Says that bytes were received into the first `len` bytes of the last [`space`](Self::space),
    /// or into the next `len` bytes of what an earlier call left of it.
    ///
    /// # Panics
    /// If `len` is more than the length of that space. Nothing is left of it after
    /// [`shrink`](Self::shrink).
    pub fn filled(&mut self, len: usize) {
        match &mut self.frame {
            Some(frame) if self.reading > 0 => {
                assert!(len <= self.reading, "more bytes than there was space for");
                self.reading -= len;
                self.space -= len;
                frame.left -= len as u64;
            }
            _ => self.buffer.filled(len),
        }
    }

    /// Copies as many of `bytes` into the [`space`](Self::space) as fit, and returns how many.
    pub fn feed(&mut self, bytes: &[u8]) -> usize {
        let space = self.space();
        let len = bytes.len().min(space.len());
        space[..len].copy_from_slice(&bytes[..len]);
        self.filled(len);
        len
    }

    /// Looks for what comes next, and returns what it found; `None` if it needs more bytes. A
    /// message that begins now is handed out as `delivery` says; one that has begun goes on as it
    /// began.
    ///
    /// Take what was found before the next call, which drops it. The methods that take a find
    /// return something empty if there is no find of their kind.
    ///
    /// # Errors
    /// The first [`Violation`]. Every later call returns the same one.
    #[inline]
    pub fn advance(&mut self, delivery: DeliveryMode) -> Result<Option<Found>, Violation> {
        match self.short_message(delivery) {
            Some(found) => Ok(Some(found)),
            None => self.advance_any(delivery),
        }
    }

    /// Takes the [`Found::Message`], and lends it until the next call of another method. Text that
    /// is [left unchecked](Self::leave_text_unchecked) is lent as binary. Without such a find the
    /// message is an empty binary one.
    ///
    /// # Errors
    /// [`Violation::InvalidUtf8`]: a text that lies in the buffer as a whole is checked here.
    #[inline(always)] // See `short_message`.
    pub fn message(&mut self) -> Result<MessageRef<'_>, Violation> {
        let Some(Found::Message { kind, len }) = self.found else {
            return Ok(MessageRef::Binary(&[]));
        };
        self.found = None;
        let is_checked = kind == MessageKind::Text && !self.unchecked_text;
        if self.gathered {
            return Ok(match is_checked {
                true => MessageRef::Text(&self.text),
                false => MessageRef::Binary(&self.binary[..len]),
            });
        }
        let payload = self.buffer.lend(len);
        if !is_checked {
            return Ok(MessageRef::Binary(payload));
        }
        match valid_text(payload) {
            Ok(text) => Ok(MessageRef::Text(text)),
            Err(_) => {
                self.is_between = false;
                self.failed = Some(Violation::InvalidUtf8);
                Err(Violation::InvalidUtf8)
            }
        }
    }

    /// Takes the [`Found::Message`] as [`message`](Self::message) does, and returns it owned.
    ///
    /// # Errors
    /// The same as [`message`](Self::message).
    #[inline]
    pub fn take_message(&mut self) -> Result<Message, Violation> {
        match self.found {
            Some(Found::Message { kind, .. }) if self.gathered => {
                self.found = None;
                Ok(self.take_gathered(kind))
            }
            _ => self.message().map(Message::from),
        }
    }

    fn take_gathered(&mut self, kind: MessageKind) -> Message {
        self.drop_space();
        if kind == MessageKind::Text && !self.unchecked_text {
            Message::Text(take_text(&mut self.text))
        } else {
            Message::Binary(take_bytes(&mut self.binary))
        }
    }

    /// Takes the [`Found::Fragment`], and lends it until the next call of another method. Without
    /// such a find the fragment is empty, and neither the first nor the last.
    pub fn fragment(&mut self) -> Fragment<'_> {
        let Some(Found::Fragment { kind, len, first, last }) = self.found else {
            let kind = MessageKind::Binary;
            return Fragment { kind, data: &[], first: false, last: false };
        };
        self.found = None;
        let data = if self.gathered { &self.binary[..len] } else { self.buffer.lend(len) };
        Fragment { kind, data, first, last }
    }

    /// Takes the [`Found::Ping`] or [`Found::Pong`], and lends its payload until the next call of
    /// another method. Without such a find the payload is empty.
    pub fn control(&mut self) -> &[u8] {
        let Some(Found::Ping { len } | Found::Pong { len }) = self.found else { return &[] };
        self.found = None;
        self.buffer.lend(len)
    }

    /// Takes the [`Found::Close`]. Without such a find the Close frame is empty.
    pub fn close(&mut self) -> CloseFrame {
        let Some(Found::Close { .. }) = self.found else { return CloseFrame::empty() };
        self.found = None;
        core::mem::take(&mut self.close)
    }

    #[inline(never)] // So that the usual case stays short.
    fn advance_any(&mut self, delivery: DeliveryMode) -> Result<Option<Found>, Violation> {
        if let Some(violation) = self.failed {
            return Err(violation);
        }
        if self.found.is_some() {
            self.skip();
        }
        self.release();
        if self.is_between && self.buffer.received().is_empty() {
            return Ok(None);
        }
        self.is_between = false;
        self.found = self.scan(delivery).inspect_err(|&violation| self.failed = Some(violation))?;
        self.is_between = self.may_find_short_message();
        Ok(self.found)
    }

    /// Finds what comes most often, by a short way: a message in one short frame that is whole in
    /// the buffer. `None` leaves the bytes to [`scan`](Self::scan), which finds the same in it.
    #[inline(always)] // Whether the compiler does it by itself depends on code far away.
    pub(crate) fn short_message(&mut self, delivery: DeliveryMode) -> Option<Found> {
        if !self.is_between || delivery != DeliveryMode::Whole || self.found.is_some() {
            return None;
        }
        let bytes = self.buffer.received();
        let &[first, second, ..] = bytes else { return None };
        let kind = match first {
            0x81 => MessageKind::Text,
            0x82 => MessageKind::Binary,
            _ => return None,
        };
        let (len, payload) = match second {
            0..=125 => (usize::from(second), &bytes[2..]),
            126 => {
                let (len, payload) = bytes[2..].split_first_chunk()?;
                let len = usize::from(u16::from_be_bytes(*len));
                if len < 126 {
                    return None; // It is not in its shortest form.
                }
                (len, payload)
            }
            _ => return None,
        };
        if len > self.max_short || len > payload.len() {
            return None;
        }
        let header = bytes.len() - payload.len();
        self.buffer.consume(header);
        self.gathered = false;
        self.found = Some(Found::Message { kind, len });
        self.found
    }

    /// Returns whether the next message may be found by [`short_message`](Self::short_message).
    fn may_find_short_message(&self) -> bool {
        let nothing_is_open = self.frame.is_none() && self.message.is_none() && !self.closed;
        // A gathered message is to be cleared, or given back, first.
        let nothing_is_kept = self.text.capacity().max(self.binary.capacity()) <= LARGE_BUFFER
            && self.text.is_empty()
            && self.gathered_len() == 0;
        let has_no_limit = self.limits.max_fragments != Some(0);
        nothing_is_open && nothing_is_kept && has_no_limit && !self.buffer.is_bulk()
    }

    /// Drops the find that was not taken.
    fn skip(&mut self) {
        match self.found.take() {
            Some(
                Found::Message { len, .. }
                | Found::Fragment { len, .. }
                | Found::Ping { len }
                | Found::Pong { len },
            ) if !self.gathered => self.buffer.consume(len),
            _ => {}
        }
    }

    /// Returns the numbers of payload bytes of all compressed messages before and after they were
    /// inflated.
    pub(crate) fn inflated(&self) -> (u64, u64) {
        self.inflated
    }

    /// Stops gathering the message that has begun: what has arrived of it is dropped, and the rest
    /// is handed out in fragments.
    pub fn stop_gathering(&mut self) {
        if let Some(message) = &mut self.message {
            if message.delivery == DeliveryMode::Whole {
                message.delivery = DeliveryMode::Fragments;
                self.buffer.set_bulk(false);
                self.text = String::new();
                self.drop_binary();
            }
        }
    }

    /// Frees the memory that an idle connection does not need. Received bytes stay.
    pub fn shrink(&mut self) {
        self.release();
        self.buffer.shrink();
        if self.found.is_some() {
            return;
        }
        if self.message.is_none() {
            self.text = String::new();
            self.drop_binary();
            if let Some(inflater) = &mut self.inflater {
                inflater.shrink();
            }
            return;
        }
        // The memory may be that of a big message before.
        self.text.shrink_to(room_for(self.text.len()));
        if self.binary.capacity() > room_for(self.gathered_len()) {
            self.drop_space();
            self.binary.shrink_to(room_for(self.binary.len()));
        }
    }

    /// Drops the gathered message that was taken. The memory of a big message stays for the next
    /// one, but a small one that was gathered there shows that the next one may be small too.
    fn release(&mut self) {
        if self.message.is_some() || self.found.is_some() {
            return;
        }
        let is_small = |len, room| len > 0 && room > room_for(len).saturating_add(LARGE_BUFFER);
        if is_small(self.text.len(), self.text.capacity()) {
            self.text = String::new();
        }
        if is_small(self.gathered_len(), self.binary.capacity()) {
            self.drop_binary();
        }
        self.text.clear();
        self.space = self.binary.len();
    }

    /// Returns the number of bytes of `binary` that are data.
    fn gathered_len(&self) -> usize {
        self.binary.len() - self.space
    }

    /// Leaves nothing but data in `binary`.
    fn drop_space(&mut self) {
        self.binary.truncate(self.gathered_len());
        (self.space, self.reading) = (0, 0);
    }

    /// Frees `binary`.
    fn drop_binary(&mut self) {
        self.binary = Vec::new();
        (self.space, self.reading) = (0, 0);
    }

    /// Makes space in `binary` to read a big payload into, if the open frame has one.
    fn reserve_in_message(&mut self) {
        let was_reading = core::mem::take(&mut self.reading) > 0;
        let Some(frame) = self.frame else { return };
        // A short rest of the payload is read together with the next header, unless there is space
        // for it already.
        let big = self.buffer.is_bulk() && (was_reading || frame.left > SMALL_BUFFER as u64);
        if !big || !self.buffer.received().is_empty() {
            return;
        }
        let data = self.gathered_len();
        let most = data.clamp(LARGE_BUFFER, MAX_NEW).max(self.space.min(MAX_READ));
        let most = usize::try_from(frame.left).map_or(most, |left| left.min(most));
        // Space that a short read left over is used, so that nothing is zeroed twice. But too
        // little space is not worth a system call.
        let least = most.div_ceil(4);
        if self.space < least {
            // Room that `binary` has already is used before more is reserved.
            if reserve(&mut self.binary, data, least, frame.left, frame.fin).is_err() {
                return; // `gather` fails with it when the bytes are there.
            }
            self.space = most.min(self.binary.capacity() - data);
            self.binary.resize(data + self.space, 0);
        }
        self.reading = self.space.min(most);
    }
}
