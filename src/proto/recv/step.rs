//! What a decoder hands out.

use crate::proto::close::CloseFrame;

/// The two kinds of message (RFC 6455 section 5.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums)] // The RFC has two.
pub enum Kind {
    /// UTF-8.
    Text,
    /// Any bytes.
    Binary,
}

/// How a data message that begins now is handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)]
pub enum Delivery {
    /// Whole, when its last byte is there.
    Whole,
    /// In pieces, as its bytes arrive; memory stays constant.
    Pieces,
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
    Piece(Piece<'a>),
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

/// The next bytes of a message that is handed out in pieces. A fragment comes as one piece, or as
/// several when it arrives in several reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Piece<'a> {
    /// What the message is.
    pub kind: Kind,
    /// The bytes; of text they are checked, but may end inside a code point.
    pub data: &'a [u8],
    /// The first piece of its message.
    pub first: bool,
    /// The last piece of its message.
    pub last: bool,
}
