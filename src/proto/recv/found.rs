//! The types for what a decoder finds, and for how it hands out messages.

use crate::proto::message::MessageKind;

/// Tells in which way a data message that begins now is handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)]
pub enum DeliveryMode {
    /// Whole, as soon as its last byte is there.
    Whole,
    /// In fragments, as its bytes arrive. Memory stays constant.
    Fragments,
}

/// Tells what [`Decoder::advance`](super::Decoder::advance) found. For each kind, the decoder has
/// one method that takes it; for a message it has two. Every `len` is the length of the payload in
/// bytes; if the message is compressed, the length after decompression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)] // RFC 6455 has no more. A driver must deal with each.
pub enum Found {
    /// A whole message: [`message`](super::Decoder::message) lends it,
    /// [`take_message`](super::Decoder::take_message) returns it owned.
    Message {
        /// Text or binary.
        kind: MessageKind,
        /// The length of the payload.
        len: usize,
    },
    /// The next bytes of a message that is handed out in fragments:
    /// [`fragment`](super::Decoder::fragment) lends them.
    Fragment {
        /// The kind of the message.
        kind: MessageKind,
        /// The length of this fragment.
        len: usize,
        /// The fragment is the first one of its message.
        first: bool,
        /// The fragment is the last one of its message.
        last: bool,
    },
    /// A Ping: [`control`](super::Decoder::control) lends its payload.
    Ping {
        /// The length of the payload, at most 125.
        len: usize,
    },
    /// A Pong: [`control`](super::Decoder::control) lends its payload.
    Pong {
        /// The length of the payload, at most 125.
        len: usize,
    },
    /// The Close frame: [`close`](super::Decoder::close) returns it. Nothing that comes after it is
    /// read (section 5.5.1).
    Close {
        /// The length of the payload, at most 125.
        len: usize,
    },
}
