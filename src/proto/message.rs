//! Messages, owned and borrowed, and what else a receiver is told.

/// Names the kind of a message: text or binary (RFC 6455 section 5.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums)] // The RFC has two.
pub enum MessageKind {
    /// UTF-8 text.
    Text,
    /// Any bytes.
    Binary,
}

/// Owns a message, of one of the two kinds of RFC 6455 section 5.6.
///
/// # Examples
///
/// ```
/// use landline::Message;
///
/// let message = Message::from("hello");
/// assert_eq!((message.as_text(), message.len()), (Some("hello"), 5));
/// match message {
///     Message::Text(text) => println!("{text}"),
///     Message::Binary(bytes) => println!("{} bytes", bytes.len()),
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums)]
pub enum Message {
    /// A text message, which is valid UTF-8.
    Text(String),
    /// A binary message.
    Binary(Vec<u8>),
}

impl Message {
    /// Returns the payload: of text, its UTF-8.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    /// Returns the text; `None` for a binary message.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Binary(_) => None,
        }
    }

    /// Returns the payload as bytes, without a copy.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        match self {
            Self::Text(text) => text.into_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    /// Returns the text, moved out.
    ///
    /// # Errors
    /// A binary message comes back unchanged.
    pub fn into_text(self) -> Result<String, Self> {
        match self {
            Self::Text(text) => Ok(text),
            Self::Binary(_) => Err(self),
        }
    }

    /// Returns the kind of the message.
    #[must_use]
    pub fn kind(&self) -> MessageKind {
        MessageRef::from(self).kind()
    }

    /// Returns whether this is a text message.
    #[must_use]
    pub fn is_text(&self) -> bool {
        self.kind() == MessageKind::Text
    }

    /// Returns whether this is a binary message.
    #[must_use]
    pub fn is_binary(&self) -> bool {
        self.kind() == MessageKind::Binary
    }

    /// Returns the length in bytes, of text in UTF-8.
    #[must_use]
    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// Returns whether the message has no bytes. RFC 6455 allows such a message.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.as_bytes().is_empty()
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<Vec<u8>> for Message {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Binary(bytes)
    }
}

impl From<&String> for Message {
    fn from(text: &String) -> Self {
        Self::Text(text.clone())
    }
}

impl<const N: usize> From<&[u8; N]> for Message {
    fn from(bytes: &[u8; N]) -> Self {
        Self::Binary(bytes.to_vec())
    }
}

impl From<&Vec<u8>> for Message {
    fn from(bytes: &Vec<u8>) -> Self {
        Self::Binary(bytes.clone())
    }
}

impl<const N: usize> From<[u8; N]> for Message {
    fn from(bytes: [u8; N]) -> Self {
        Self::Binary(bytes.into())
    }
}

impl From<&Self> for Message {
    fn from(message: &Self) -> Self {
        message.clone()
    }
}

impl From<MessageRef<'_>> for Message {
    #[inline]
    fn from(message: MessageRef<'_>) -> Self {
        match message {
            MessageRef::Text(text) => Self::Text(text.to_owned()),
            MessageRef::Binary(bytes) => Self::Binary(bytes.to_vec()),
        }
    }
}

impl From<&[u8]> for Message {
    fn from(bytes: &[u8]) -> Self {
        Self::Binary(bytes.to_vec())
    }
}

/// Borrows a message. A string converts to text, bytes to binary.
///
/// # Examples
///
/// ```
/// use landline::{Message, MessageRef};
///
/// let bytes = vec![1, 2, 3];
/// let message = MessageRef::from(&bytes);
/// assert!(message.is_binary() && message.as_text().is_none());
/// let kept = Message::from(message);
/// assert_eq!(kept.into_bytes(), bytes);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)]
pub enum MessageRef<'a> {
    /// A text message.
    Text(&'a str),
    /// A binary message.
    Binary(&'a [u8]),
}

impl<'a> MessageRef<'a> {
    /// Returns the payload: of text, its UTF-8.
    #[must_use]
    pub fn as_bytes(self) -> &'a [u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    /// Returns the text; `None` for a binary message.
    #[must_use]
    pub fn as_text(self) -> Option<&'a str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Binary(_) => None,
        }
    }

    /// Returns the kind of the message.
    #[must_use]
    pub fn kind(self) -> MessageKind {
        match self {
            Self::Text(_) => MessageKind::Text,
            Self::Binary(_) => MessageKind::Binary,
        }
    }

    /// Returns whether this is a text message.
    #[must_use]
    pub fn is_text(self) -> bool {
        self.kind() == MessageKind::Text
    }

    /// Returns whether this is a binary message.
    #[must_use]
    pub fn is_binary(self) -> bool {
        self.kind() == MessageKind::Binary
    }

    /// Returns the length in bytes, of text in UTF-8.
    #[must_use]
    pub fn len(self) -> usize {
        self.as_bytes().len()
    }

    /// Returns whether the message has no bytes.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.as_bytes().is_empty()
    }
}

impl<'a> From<&'a str> for MessageRef<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a String> for MessageRef<'a> {
    fn from(text: &'a String) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a [u8]> for MessageRef<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Binary(bytes)
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for MessageRef<'a> {
    fn from(bytes: &'a [u8; N]) -> Self {
        Self::Binary(bytes)
    }
}

impl<'a> From<&'a Vec<u8>> for MessageRef<'a> {
    fn from(bytes: &'a Vec<u8>) -> Self {
        Self::Binary(bytes)
    }
}

impl<'a> From<&'a Message> for MessageRef<'a> {
    fn from(message: &'a Message) -> Self {
        match message {
            Message::Text(text) => Self::Text(text),
            Message::Binary(bytes) => Self::Binary(bytes),
        }
    }
}

/// Marks the types that [`send`](crate::Sender::send) takes. Strings are sent as text and bytes as
/// binary, owned or borrowed. The trait cannot be implemented for other types.
///
/// # Examples
///
/// ```no_run
/// # let ws = landline::connect("ws://localhost")?;
/// ws.sender().send("text")?;
/// ws.sender().send(format!("{} more", "text"))?;
/// ws.sender().send(vec![1, 2, 3])?;
/// ws.sender().send(b"binary")?;
/// # Ok::<(), landline::Error>(())
/// ```
pub trait AsMessage: Sealed {
    /// Returns the message, borrowed.
    fn as_message(&self) -> MessageRef<'_>;
}

impl AsMessage for str {
    fn as_message(&self) -> MessageRef<'_> {
        MessageRef::Text(self)
    }
}

impl AsMessage for String {
    fn as_message(&self) -> MessageRef<'_> {
        MessageRef::Text(self)
    }
}

impl AsMessage for [u8] {
    fn as_message(&self) -> MessageRef<'_> {
        MessageRef::Binary(self)
    }
}

impl<const N: usize> AsMessage for [u8; N] {
    fn as_message(&self) -> MessageRef<'_> {
        MessageRef::Binary(self)
    }
}

impl AsMessage for Vec<u8> {
    fn as_message(&self) -> MessageRef<'_> {
        MessageRef::Binary(self)
    }
}

impl AsMessage for Message {
    fn as_message(&self) -> MessageRef<'_> {
        self.into()
    }
}

impl AsMessage for MessageRef<'_> {
    fn as_message(&self) -> MessageRef<'_> {
        *self
    }
}

impl<T: AsMessage + ?Sized> AsMessage for &T {
    fn as_message(&self) -> MessageRef<'_> {
        (**self).as_message()
    }
}

/// Keeps other types from implementing `AsMessage`, because it is not public.
#[expect(unnameable_types)]
pub trait Sealed {}

impl Sealed for str {}
impl Sealed for String {}
impl Sealed for [u8] {}
impl<const N: usize> Sealed for [u8; N] {}
impl Sealed for Vec<u8> {}
impl Sealed for Message {}
impl Sealed for MessageRef<'_> {}
impl<T: Sealed + ?Sized> Sealed for &T {}

/// Lends the next bytes of a message that is handed out in fragments. One frame gives one fragment,
/// or several if it arrives in several reads.
///
/// # Examples
///
/// ```no_run
/// use std::io::Write as _;
///
/// use landline::{Builder, Event};
///
/// let mut ws = Builder::new().fragments(true).connect("wss://example.com/download")?;
/// let mut file = std::fs::File::create("download")?;
/// loop {
///     if let Event::Fragment(fragment) = ws.next_event()? {
///         file.write_all(fragment.data)?;
///         if fragment.last {
///             break;
///         }
///     }
/// }
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fragment<'a> {
    /// The kind of the message.
    pub kind: MessageKind,
    /// The bytes. Text is checked, but a fragment of it may end inside a code point.
    pub data: &'a [u8],
    /// The fragment is the first one of its message.
    pub first: bool,
    /// The fragment is the last one of its message.
    pub last: bool,
}

/// Tells what [`next_event`](crate::Receiver::next_event) received, borrowed from the receive
/// buffer. The closing handshake is no event: it is the error [`Closed`](crate::Error::Closed).
///
/// # Examples
///
/// ```no_run
/// use landline::{Builder, Event, WebSocket};
///
/// /// Answers Pings itself, which the builder was told by `auto_pong(false)`.
/// fn next_text(ws: &mut WebSocket) -> Result<String, landline::Error> {
///     let sender = ws.sender();
///     loop {
///         match ws.next_event()? {
///             Event::Text(text) => return Ok(text.to_owned()),
///             Event::Ping(payload) => sender.pong(payload)?,
///             _ => {}
///         }
///     }
/// }
///
/// let mut ws = Builder::new().auto_pong(false).connect("wss://example.com/feed")?;
/// println!("{}", next_text(&mut ws)?);
/// # Ok::<(), landline::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A text message.
    Text(&'a str),
    /// A binary message.
    Binary(&'a [u8]),
    /// A text message that was not checked. Comes only with
    /// [`unchecked_text`](crate::Builder::unchecked_text).
    RawText(&'a [u8]),
    /// A part of a message. Comes only with [`fragments`](crate::Builder::fragments).
    Fragment(Fragment<'a>),
    /// A Ping of at most 125 bytes. Unless [`auto_pong`](crate::Builder::auto_pong) is off, the
    /// Pong is sent already, or will be as soon as the peer takes what is sent before it.
    Ping(&'a [u8]),
    /// A Pong of at most 125 bytes. The answers to keepalive pings come too.
    Pong(&'a [u8]),
}

impl<'a> Event<'a> {
    /// Returns the message if the event is a whole one; text that was not checked is binary.
    /// `Message::from` makes an owned copy.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use landline::Message;
    /// # let mut ws = landline::connect("ws://localhost")?;
    /// let message: Option<Message> = ws.next_event()?.message().map(Message::from);
    /// # Ok::<(), landline::Error>(())
    /// ```
    #[must_use]
    pub fn message(self) -> Option<MessageRef<'a>> {
        match self {
            Self::Text(text) => Some(MessageRef::Text(text)),
            Self::Binary(bytes) | Self::RawText(bytes) => Some(MessageRef::Binary(bytes)),
            Self::Fragment(_) | Self::Ping(_) | Self::Pong(_) => None,
        }
    }
}
