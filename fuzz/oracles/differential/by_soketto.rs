//! soketto as the other parser. It is asynchronous: its future is polled once, over a stream that
//! never gets more bytes.

use std::cell::RefCell;
use std::future::Future as _;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use futures_io::{AsyncRead, AsyncWrite};
use landline::error::Violation;
use soketto::base::{Codec, OpCode};
use soketto::connection::{Builder, Error, Mode};
use soketto::{Data, Incoming, Parsing};

use super::{Difference, Event, LIMIT, Parsed};

/// Returns the known difference that the violation may lead to; `None` if both must refuse.
pub fn difference(violation: Violation, theirs: &Parsed) -> Option<Difference> {
    match violation {
        // The length of a control frame in a longer form is too long, or is not minimal.
        Violation::NonMinimalLength | Violation::ControlTooLong => {
            Some(Difference::NonMinimalLength)
        }
        Violation::InvalidUtf8 => Some(Difference::WholeText),
        Violation::MessageTooBig => Some(Difference::MessageTooBig),
        Violation::MaskedFrame => Some(Difference::MaskedFrame),
        Violation::TooManyFragments | Violation::TooManyEmptyFragments => {
            Some(Difference::Fragments)
        }
        Violation::CloseCode(_) => Some(Difference::CloseCode),
        Violation::CloseLength => Some(Difference::CloseLength),
        // The frame or the message is incomplete.
        _ if !theirs.refused => Some(Difference::Earlier),
        _ => None,
    }
}

pub fn parse(data: &[u8]) -> Parsed {
    let written = Rc::default();
    let mut parsed = Parsed { events: Vec::new(), refused: false };
    let server = Server { unread: data, written: Rc::clone(&written) };
    // If soketto waits for more bytes, it has read all there are.
    let _ = pin!(receive_all(server, &written, &mut parsed))
        .poll(&mut Context::from_waker(Waker::noop()));
    parsed.events.extend(pings(&written));
    parsed
}

async fn receive_all(server: Server<'_>, written: &RefCell<Vec<u8>>, parsed: &mut Parsed) {
    let mut builder = Builder::new(server, Mode::Client);
    builder.set_max_message_size(LIMIT);
    builder.set_max_frame_size(LIMIT);
    let (_sender, mut receiver) = builder.finish();
    let mut message = Vec::new();
    loop {
        message.clear();
        let received = receiver.receive(&mut message).await;
        parsed.events.extend(pings(written));
        let event = match received {
            Ok(Incoming::Data(Data::Binary(_))) => Event::Binary(message.clone()),
            // soketto leaves the check of text to its user.
            Ok(Incoming::Data(Data::Text(_))) => match String::from_utf8(message.clone()) {
                Ok(text) => Event::Text(text),
                Err(_) => return parsed.refused = true,
            },
            Ok(Incoming::Pong(payload)) => Event::Pong(payload.to_vec()),
            Ok(Incoming::Closed(close)) => {
                let close = (close.code, close.descr.unwrap_or_default());
                return parsed.events.push(Event::Close(Some(close)));
            }
            // soketto reports a Close without a code so.
            Err(Error::Closed) => return parsed.events.push(Event::Close(None)),
            Err(_) => return parsed.refused = true,
        };
        parsed.events.push(event);
    }
}

/// Returns a Ping for each Pong that was written since the last call. soketto answers Pings, and
/// does not hand them out.
fn pings(written: &RefCell<Vec<u8>>) -> Vec<Event> {
    let mut pings = Vec::new();
    let written = written.take();
    let mut rest = &written[..];
    while let Ok(Parsing::Done { value: header, offset }) = Codec::new().decode_header(rest) {
        let (payload, later) = rest[offset..].split_at(header.payload_len());
        let mut payload = payload.to_vec();
        Codec::apply_mask(&header, &mut payload);
        rest = later;
        if header.opcode() == OpCode::Pong {
            pings.push(Event::Ping(payload));
        }
    }
    pings
}

/// A stream that has the server's bytes and then no more, and keeps what is written.
struct Server<'a> {
    unread: &'a [u8],
    written: Rc<RefCell<Vec<u8>>>,
}

impl AsyncRead for Server<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if self.unread.is_empty() {
            return Poll::Pending;
        }
        Poll::Ready(io::Read::read(&mut self.unread, buf))
    }
}

impl AsyncWrite for Server<'_> {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.written.borrow_mut().extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
