//! Any bytes as a server's stream: however they are cut, the same events and the same end.
//!
//! Input: a byte of options, the cutting plan with its length before it, the stream.

use landline::MessageKind;
use landline::proto::Violation;
use landline::proto::frame::Opcode;
use landline::proto::recv::{Decoder, Delivery, Limits, Owned, Step};

/// What a stream comes to. Pieces of one message that follow each other are one event, because
/// how a message is cut into pieces is not promised.
#[derive(Debug, PartialEq)]
enum Event {
    Whole(bool, Vec<u8>),
    Pieces(bool, Vec<u8>, bool),
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
        pieces: is(2),
        alternates: is(8),
        unchecked: is(4),
        shrinks: is(16),
        takes: is(32),
    };

    let whole = reading.run(stream, &[], limits);
    assert_eq!(whole, reading.run(stream, &[0], limits), "byte by byte");
    assert_eq!(whole, reading.run(stream, plan, limits), "cut by {plan:?}");
    // Nor does it matter when memory is given back, or a message is taken instead of lent.
    let otherwise = Reading { shrinks: !reading.shrinks, takes: !reading.takes, ..reading };
    assert_eq!(whole, otherwise.run(stream, plan, limits), "{otherwise:?}");

    // A higher limit never turns what was accepted into a violation.
    if whole.1.is_none() {
        let higher = reading.run(stream, &[], Limits::default());
        assert_eq!(whole, higher, "with higher limits");
    }
}

/// How the decoder is used.
#[derive(Clone, Copy, Debug)]
struct Reading {
    /// Messages are handed out in pieces.
    pieces: bool,
    /// Every other message is handed out the other way.
    alternates: bool,
    unchecked: bool,
    /// Gives back memory after each read.
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
        for mut piece in super::cut(stream, plan) {
            while !piece.is_empty() {
                let taken = decoder.feed(piece);
                assert!(taken > 0, "no space for bytes");
                piece = &piece[taken..];
                if let Err(violation) = self.take(&mut decoder, &mut seen) {
                    let again = decoder.advance(self.delivery(&seen));
                    assert_eq!(again, Err(violation), "a violation is final");
                    // How much of a message is handed out before it turns out bad is not promised.
                    if let Some(Event::Pieces(_, _, false)) = seen.events.last() {
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

    fn delivery(self, seen: &Seen) -> Delivery {
        let other = self.alternates && seen.messages % 2 == 1;
        if self.pieces != other { Delivery::Fragments } else { Delivery::Whole }
    }

    fn take(self, decoder: &mut Decoder, seen: &mut Seen) -> Result<(), Violation> {
        while decoder.advance(self.delivery(seen))? {
            let closed = matches!(seen.events.last(), Some(Event::Close(..)));
            assert!(!closed, "something came after the Close");
            let (opcode, _) = decoder.ready().expect("advance said that there is a step");
            if self.takes {
                if let Some(message) = decoder.take_message()? {
                    let text = opcode == Opcode::Text;
                    seen.message(match message {
                        Owned::Text(message) => Event::Whole(text, message.into_bytes()),
                        Owned::Binary(bytes) => Event::Whole(text, bytes),
                    });
                    continue;
                }
            }
            seen.step(decoder.step()?.expect("advance said that there is a step"));
        }
        Ok(())
    }
}

#[derive(Default)]
struct Seen {
    events: Vec<Event>,
    /// How many messages were whole.
    messages: usize,
    /// What the message is that is handed out in pieces.
    open: Option<MessageKind>,
}

impl Seen {
    fn message(&mut self, event: Event) {
        assert_eq!(self.open, None, "a message within another");
        self.messages += 1;
        self.events.push(event);
    }

    fn step(&mut self, step: Step<'_>) {
        let event = match step {
            Step::Text(text) => return self.message(Event::Whole(true, text.as_bytes().to_vec())),
            Step::RawText(bytes) => return self.message(Event::Whole(true, bytes.to_vec())),
            Step::Binary(bytes) => return self.message(Event::Whole(false, bytes.to_vec())),
            Step::Fragment(piece) => {
                assert_eq!(piece.first, self.open.is_none(), "the first piece says so");
                assert_eq!(*self.open.get_or_insert(piece.kind), piece.kind, "one kind");
                if piece.last {
                    self.open = None;
                    self.messages += 1;
                }
                let text = piece.kind == MessageKind::Text;
                match self.events.last_mut() {
                    Some(Event::Pieces(_, bytes, last)) if !piece.first && !*last => {
                        bytes.extend_from_slice(piece.data);
                        *last = piece.last;
                        return;
                    }
                    _ => Event::Pieces(text, piece.data.to_vec(), piece.last),
                }
            }
            Step::Ping(payload) => Event::Ping(payload.to_vec()),
            Step::Pong(payload) => Event::Pong(payload.to_vec()),
            Step::Close(close) => Event::Close(close.code.map(u16::from), close.reason),
            step => panic!("unknown step {step:?}"),
        };
        self.events.push(event);
    }
}
