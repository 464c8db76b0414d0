//! What a decoder hands out.

use crate::proto::close::CloseFrame;
use crate::proto::message::Fragment;

/// How a data message that begins now is handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)]
pub enum Delivery {
    /// Whole, when its last byte is there.
    Whole,
    /// In fragments, as its bytes arrive; memory stays constant.
    Fragments,
}

/// What the peer sent; borrows from the decoder.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step<'a> {
    /// A whole text message.
    Text(&'a str),
    /// A whole binary message.
    Binary(&'a [u8]),
    /// A whole text message, not checked: only with [`Decoder::leave_text_unchecked`](super::Decoder::leave_text_unchecked).
    RawText(&'a [u8]),
    /// The next bytes of a message.
    Fragment(Fragment<'a>),
    /// A Ping's payload, at most 125 bytes.
    Ping(&'a [u8]),
    /// A Pong's payload, at most 125 bytes.
    Pong(&'a [u8]),
    /// The Close frame. What comes after it is not read (section 5.5.1).
    Close(CloseFrame),
}

/// A message or a part of one, moved out of the decoder instead of lent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)]
pub enum Owned {
    /// A text message.
    Text(String),
    /// A binary message, or a text message that was not checked.
    Binary(Vec<u8>),
}
