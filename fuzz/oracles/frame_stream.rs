//! Any bytes as a server's stream: the events and the end are the same, however the bytes are cut.
//!
//! Input: a byte of options, the cutting plan with its length before it, the stream.

use landline::error::Violation;
use landline::proto::frame::encode_close;
use landline::proto::recv::{Decoder, DeliveryMode, Found, Limits};
use landline::{Fragment, Message, MessageKind};

/// An event of a stream. Fragments of one message that follow each other are one event, because it
/// is not promised how a message is cut into fragments.
#[derive(Debug, PartialEq)]
enum Event {
    Whole(bool, Vec<u8>),
    Fragments(bool, Vec<u8>, bool),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>, String),
}

pub fn check(data: &[u8]) {
    let Some((&options, data)) = data.split_first() else { return };
    let (plan, stream) = super::split(data);
    let mut limits = Limits::default();
    if options & 1 != 0 {
        limits.max_message_size = Some(1000);
        limits.max_frame_size = Some(500);
        limits.max_fragments = Some(8);
        limits.max_empty_fragments = Some(2);
    }
    let is = |bit: u8| options & bit != 0;
    let reading = Reading {
        fragments: is(2),
        alternates: is(8),
        unchecked: is(4),
        shrinks: is(16),
        takes: is(32),
    };

    let whole = reading.run(stream, &[], limits);
    super::note(&whole);
    assert_eq!(whole, reading.run(stream, &[0], limits), "byte by byte");
    assert_eq!(whole, reading.run(stream, plan, limits), "cut by {plan:?}");
    // It makes no difference when memory is freed, or whether a message is taken or lent.
    let otherwise = Reading { shrinks: !reading.shrinks, takes: !reading.takes, ..reading };
    assert_eq!(whole, otherwise.run(stream, plan, limits), "{otherwise:?}");

    // A higher limit never turns what was accepted into a violation.
    if whole.1.is_none() {
        let higher = reading.run(stream, &[], Limits::default());
        assert_eq!(whole, higher, "with higher limits");
    }
}

/// The way in which the decoder is used.
#[derive(Clone, Copy, Debug)]
struct Reading {
    /// Messages are handed out in fragments.
    fragments: bool,
    /// Every other message is handed out in the other way.
    alternates: bool,
    unchecked: bool,
    /// Frees memory after each read.
    shrinks: bool,
    /// Takes messages instead of borrowing them.
    takes: bool,
}

impl Reading {
    fn run(self, stream: &[u8], plan: &[u8], limits: Limits) -> (Vec<Event>, Option<Violation>) {
        let mut decoder = Decoder::new(limits);
        if self.unchecked {
            decoder.leave_text_unchecked();
        }
        let mut seen = Seen::default();
        for mut part in super::cut(stream, plan) {
            while !part.is_empty() {
                let taken = decoder.feed(part);
                assert!(taken > 0, "no space for bytes");
                part = &part[taken..];
                if let Err(violation) = self.take(&mut decoder, &mut seen) {
                    let again = decoder.advance(self.delivery(&seen));
                    assert_eq!(again, Err(violation), "a violation is final");
                    // It is not promised how much of a bad message is handed out before it fails.
                    if let Some(Event::Fragments(_, _, false)) = seen.events.last() {
                        seen.events.pop();
                    }
                    return (seen.events, Some(violation));
                }
                if self.shrinks {
                    decoder.shrink();
                }
            }
        }
        (seen.events, None)
    }

    fn delivery(self, seen: &Seen) -> DeliveryMode {
        let other = self.alternates && seen.messages % 2 == 1;
        if self.fragments != other { DeliveryMode::Fragments } else { DeliveryMode::Whole }
    }

    fn take(self, decoder: &mut Decoder, seen: &mut Seen) -> Result<(), Violation> {
        while let Some(found) = decoder.advance(self.delivery(seen))? {
            let closed = matches!(seen.events.last(), Some(Event::Close(..)));
            assert!(!closed, "something came after the Close");
            let event = match found {
                Found::Message { kind, len } => {
                    let message = if self.takes {
                        decoder.take_message()?
                    } else {
                        Message::from(decoder.message()?)
                    };
                    let text = kind == MessageKind::Text;
                    assert_eq!(message.as_text().is_some(), text && !self.unchecked, "the kind");
                    assert_eq!(message.as_bytes().len(), len, "the length that was found");
                    seen.message(Event::Whole(text, message.into_bytes()));
                    continue;
                }
                Found::Fragment { kind, len, first, last } => {
                    let fragment = decoder.fragment();
                    assert_eq!((fragment.kind, fragment.data.len()), (kind, len));
                    assert_eq!((fragment.first, fragment.last), (first, last));
                    seen.fragment(fragment);
                    continue;
                }
                Found::Ping { len } => Event::Ping(control(decoder, len)),
                Found::Pong { len } => Event::Pong(control(decoder, len)),
                Found::Close { len } => {
                    let close = decoder.close();
                    assert_eq!(encode_close(&close).len(), len, "the length that was found");
                    Event::Close(close.code.map(u16::from), close.reason)
                }
            };
            seen.events.push(event);
        }
        Ok(())
    }
}

fn control(decoder: &mut Decoder, len: usize) -> Vec<u8> {
    let payload = decoder.control();
    assert_eq!(payload.len(), len, "the length that was found");
    payload.to_vec()
}

#[derive(Default)]
struct Seen {
    events: Vec<Event>,
    /// The number of complete messages.
    messages: usize,
    /// The kind of the message that is handed out in fragments.
    open: Option<MessageKind>,
}

impl Seen {
    fn message(&mut self, event: Event) {
        assert_eq!(self.open, None, "a message within another");
        self.messages += 1;
        self.events.push(event);
    }

    fn fragment(&mut self, fragment: Fragment<'_>) {
        assert_eq!(fragment.first, self.open.is_none(), "the first fragment says so");
        assert_eq!(*self.open.get_or_insert(fragment.kind), fragment.kind, "one kind");
        if fragment.last {
            self.open = None;
            self.messages += 1;
        }
        match self.events.last_mut() {
            Some(Event::Fragments(_, bytes, last)) if !fragment.first && !*last => {
                bytes.extend_from_slice(fragment.data);
                *last = fragment.last;
            }
            _ => {
                let text = fragment.kind == MessageKind::Text;
                let data = fragment.data.to_vec();
                self.events.push(Event::Fragments(text, data, fragment.last));
            }
        }
    }
}
