//! What a decoder finds, and how it is asked to hand out messages.

use crate::proto::message::MessageKind;

/// How a data message that begins now is handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)]
pub enum Delivery {
    /// Whole, when its last byte is there.
    Whole,
    /// In fragments, as its bytes arrive; memory stays constant.
    Fragments,
}

/// What [`Decoder::advance`](super::Decoder::advance) found. Each has one method of the decoder
/// that takes it; a message has two. Every `len` is the length of the payload in bytes; of a
/// compressed message, the length of what came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)] // RFC 6455 has no more. A driver must deal with each.
pub enum Found {
    /// A whole message: [`message`](super::Decoder::message) lends it,
    /// [`take_message`](super::Decoder::take_message) gives it away.
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
        /// This is the first fragment of its message.
        first: bool,
        /// This is the last fragment of its message.
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
    /// The Close frame: [`close`](super::Decoder::close) gives it away. What comes after it is not
    /// read (section 5.5.1).
    Close {
        /// The length of the payload, at most 125.
        len: usize,
    },
}
