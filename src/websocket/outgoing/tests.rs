//! Messages that cannot be sent: the system has no randomness for a masking key, or the write lock
//! is not free in time.

#![allow(clippy::unwrap_used)] // A test may panic.

use std::io::{self, Write as _};
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::*;
use crate::error::{Cause, Closed, TrySendError};
use crate::net::duplex::{Duplex, ReadHalf};
use crate::net::stream::Stream;
use crate::proto::close::CloseCode;
use crate::proto::frame::{Header, encode_close};
use crate::proto::http::HeadReader;
use crate::proto::keepalive::{Keepalive, Timer};
use crate::proto::mask::mask_into;
use crate::proto::recv::{Decoder, Limits};
use crate::proto::send::{EncodeError, MaskKeys};
use crate::sync::now;
use crate::websocket::compression::Deflation;
use crate::websocket::pending::Control;
use crate::websocket::receiver::{Options, Receiver};
use crate::websocket::sender::Sender;
use crate::websocket::wire::{OnSent, Timeouts};
use crate::websocket::write_lock::CHUNK;

/// Is a stream that keeps what is written.
#[derive(Debug, Default)]
struct Recorder {
    bytes: Mutex<Vec<u8>>,
    is_writing: AtomicBool,
    /// It takes nothing more.
    is_full: AtomicBool,
    /// It takes one more write, and is full then.
    fills_up: AtomicBool,
}

impl Stream for Recorder {
    fn read(&self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// Waits while the test holds the lock of `bytes`.
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.is_writing.store(true, Ordering::SeqCst);
        if self.is_full.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.is_full.store(self.fills_up.load(Ordering::SeqCst), Ordering::SeqCst);
        self.bytes.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn set_read_timeout(&self, _: Option<Duration>) -> io::Result<()> {
        Ok(())
    }

    fn set_write_timeout(&self, _: Option<Duration>) -> io::Result<()> {
        Ok(())
    }

    fn set_nonblocking(&self, _: bool) -> io::Result<()> {
        Ok(())
    }

    fn shutdown(&self, _: Shutdown) -> io::Result<()> {
        Ok(())
    }
}

impl Recorder {
    /// Returns FIN, opcode and payload of each frame that was written.
    fn frames(&self) -> Vec<(bool, Opcode, Vec<u8>)> {
        let bytes = self.bytes.lock().unwrap();
        let (mut frames, mut rest) = (Vec::new(), &bytes[..]);
        while let Some((header, at)) = Header::decode(rest).unwrap() {
            let (payload, later) = rest[at..].split_at(usize::try_from(header.len).unwrap());
            let mut unmasked = Vec::new();
            mask_into(&mut unmasked, payload, header.mask.unwrap(), 0);
            frames.push((header.fin, header.opcode, unmasked));
            rest = later;
        }
        assert!(rest.is_empty(), "half a frame");
        frames
    }
}

/// Returns an open connection, and the stream that keeps what it writes.
fn connection() -> (Sender, Arc<Wire>, Arc<Recorder>) {
    connection_with(None, None)
}

fn connection_with(
    write: Option<Duration>,
    deflation: Option<Deflation>,
) -> (Sender, Arc<Wire>, Arc<Recorder>) {
    let recorder = Arc::new(Recorder::default());
    let head = b"HTTP/1.1 101 Switching Protocols\r\n\r\n";
    let (response, _) = HeadReader::default().advance(head).unwrap().unwrap();
    let timeouts = Timeouts { write, close: Some(Duration::from_secs(5)) };
    let mut wire = Wire::new(Duplex::plain(recorder.clone()), response, None, timeouts);
    wire.deflation = deflation;
    let wire = Arc::new(wire);
    (Sender::new(wire.clone()), wire, recorder)
}

/// Gives the system randomness from now on, or none.
fn has_randomness(wire: &Wire, yes: bool) {
    wire.set_mask_keys(MaskKeys::new(move |pool| {
        pool.fill(7);
        yes.then_some(()).ok_or(EncodeError::NoRandom)
    }));
}

#[test]
fn a_message_of_which_nothing_was_sent_leaves_the_connection_usable() {
    let (sender, wire, recorder) = connection();
    has_randomness(&wire, false);
    let mut writer = sender.writer(MessageKind::Text).unwrap();
    writer.write_all(b"lost").unwrap();
    writer.flush().unwrap_err();
    // Later bytes alone would be another message.
    has_randomness(&wire, true);
    writer.write_all(b"more").unwrap();
    writer.flush().unwrap_err();
    let said = writer.finish().unwrap_err();
    assert!(matches!(said, Error::InvalidInput(InvalidInput::GivenUp)), "{said:?}");
    assert!(sender.is_open());
    let mut writer = sender.writer(MessageKind::Text).unwrap();
    writer.write_all(b"fine").unwrap();
    writer.finish().unwrap();
    assert_eq!(recorder.frames(), [(true, Opcode::Text, b"fine".to_vec())]);
}

#[test]
fn a_message_whose_only_frame_is_refused_leaves_the_connection_usable() {
    let (sender, wire, recorder) = connection();
    has_randomness(&wire, false);
    let writer = sender.writer(MessageKind::Binary).unwrap();
    let said = writer.finish().unwrap_err();
    assert!(matches!(said, Error::Local(_)), "{said:?}");
    has_randomness(&wire, true);
    sender.ping(b"still here").unwrap();
    assert_eq!(recorder.frames(), [(true, Opcode::Ping, b"still here".to_vec())]);
}

#[test]
fn a_pong_or_a_close_that_cannot_be_masked_ends_the_connection() {
    for is_close in [false, true] {
        let (sender, wire, recorder) = connection();
        has_randomness(&wire, false);
        if is_close {
            sender.close(CloseCode::NORMAL).unwrap();
        } else {
            wire.note_pong(Control::new(b"x"));
            wire.flush_pending();
        }
        let said = sender.send("x").unwrap_err();
        let Cause::Io(why) = said.closed().unwrap().cause() else { panic!("{said:?}") };
        assert_eq!(why.to_string(), EncodeError::NoRandom.to_string());
        assert_eq!(recorder.frames(), []);
    }
}

#[test]
fn a_message_of_which_a_part_was_sent_closes_the_connection_and_says_so() {
    let (sender, wire, recorder) = connection();
    let mut writer = sender.writer(MessageKind::Text).unwrap();
    writer.write_all(b"a part").unwrap();
    writer.flush().unwrap();
    // The frame is refused and the Close is not, because the system has randomness again.
    let mut refuse = true;
    wire.set_mask_keys(MaskKeys::new(move |pool| {
        pool.fill(7);
        if mem::take(&mut refuse) { Err(EncodeError::NoRandom) } else { Ok(()) }
    }));
    writer.write_all(b", and the rest").unwrap();
    let said = writer.finish().unwrap_err();
    let local = said.closed().and_then(Closed::local).cloned().unwrap();
    assert_eq!((local.code.unwrap().value(), &*local.reason), (1011, NO_RANDOM));
    assert!(!sender.is_open());
    let expected =
        [(false, Opcode::Text, b"a part".to_vec()), (true, Opcode::Close, encode_close(&local))];
    assert_eq!(recorder.frames(), expected);
}

#[test]
fn a_message_of_which_a_part_was_sent_ends_the_connection_without_a_close_if_none_can_be_sent() {
    let (sender, wire, recorder) = connection();
    let mut writer = sender.writer(MessageKind::Text).unwrap();
    writer.write_all(b"a part").unwrap();
    writer.flush().unwrap();
    has_randomness(&wire, false);
    writer.write_all(b", and the rest").unwrap();
    let refused = writer.flush().unwrap_err();
    let said = refused.get_ref().and_then(|error| error.downcast_ref::<Error>());
    assert!(matches!(said, Some(Error::Closed(_))), "{refused:?}");
    assert!(matches!(writer.finish(), Err(Error::Closed(_))));
    assert!(!sender.is_open());
    assert_eq!(recorder.frames(), [(false, Opcode::Text, b"a part".to_vec())]);
}

#[test]
fn a_message_whose_next_fragment_does_not_get_the_write_lock_in_time_ends_the_connection() {
    let (sender, wire, recorder) = connection_with(Some(Duration::from_millis(20)), None);
    let mut writer = sender.writer(MessageKind::Text).unwrap();
    writer.write_all(b"a part").unwrap();
    writer.flush().unwrap();
    recorder.is_writing.store(false, Ordering::SeqCst);
    let held = recorder.bytes.lock().unwrap();
    let other = sender.clone();
    let pinging = std::thread::spawn(move || other.ping(b""));
    while !recorder.is_writing.load(Ordering::SeqCst) {
        std::thread::yield_now();
    }
    writer.write_all(b", and the rest").unwrap();
    let said = writer.flush().unwrap_err().downcast::<Error>().unwrap();
    // This is not Busy: a part of the message was sent, and the rest can never follow.
    assert!(matches!(said, Error::Timeout(Timeout::Send)), "{said:?}");
    assert!(said.is_fatal() && !sender.is_open());
    drop(held);
    let _ = pinging.join().unwrap();
    let cause = wire.close_state.so_far().cause().clone();
    assert!(matches!(cause, Cause::Timeout(Timeout::Send)), "{cause:?}");
}

#[test]
fn a_tried_message_that_cannot_be_encoded_is_given_back_and_the_connection_goes_on() {
    let (sender, wire, recorder) = connection();
    has_randomness(&wire, false);
    let Err(TrySendError::Failed("lost", Error::Local(_))) = sender.try_send("lost") else {
        panic!("it was sent");
    };
    has_randomness(&wire, true);
    sender.try_send("fine").unwrap();
    assert_eq!(recorder.frames(), [(true, Opcode::Text, b"fine".to_vec())]);
}

#[test]
fn the_memory_of_a_rest_is_freed_once_the_rest_is_written() {
    let (sender, wire, recorder) = connection();
    let capacity = || wire.duplex.stage(&mut wire.lock_writer().state.half).capacity();
    recorder.is_full.store(true, Ordering::SeqCst);
    sender.try_send(vec![1; 1 << 20]).unwrap();
    assert!(capacity() >= 1 << 20);
    assert!(matches!(sender.try_send("no"), Err(TrySendError::WouldBlock("no"))));
    recorder.is_full.store(false, Ordering::SeqCst);
    wire.flush_pending(); // As the receiver does.
    assert!(capacity() <= 2 * 1024, "{}", capacity());
    assert_eq!(recorder.frames(), [(true, Opcode::Binary, vec![1; 1 << 20])]);
}

#[test]
fn a_tried_message_is_noted_as_sent_when_it_is_whole_and_not_at_its_first_chunk() {
    let (sender, wire, recorder) = connection();
    let noted = notes(&wire);
    recorder.fills_up.store(true, Ordering::SeqCst);
    sender.try_send(vec![1; 1 << 20]).unwrap();
    let written = recorder.bytes.lock().unwrap().len();
    assert!((1..1 << 20).contains(&written), "{written}");
    assert_eq!(noted(), []);
    recorder.fills_up.store(false, Ordering::SeqCst);
    recorder.is_full.store(false, Ordering::SeqCst);
    wire.flush_pending(); // As the receiver does.
    assert_eq!(noted(), [1]);
    assert_eq!(recorder.frames(), [(true, Opcode::Binary, vec![1; 1 << 20])]);
}

/// Returns a function that tells what the connection has noted as sent.
fn notes(wire: &Wire) -> impl Fn() -> Vec<usize> {
    let noted = Arc::new(Mutex::new(Vec::new()));
    let notes = noted.clone();
    let on_sent = OnSent(Box::new(move |written| notes.lock().unwrap().push(written)));
    assert!(wire.on_sent.set(on_sent).is_ok());
    move || noted.lock().unwrap().clone()
}

#[test]
fn try_recv_that_finds_nothing_keeps_the_buffer_that_the_next_message_needs() {
    let (sender, wire, _recorder) = connection();
    let options = Options { auto_pong: true, fragments: false };
    let timer = Timer::new(Keepalive::OFF, now(), 0);
    let decoder = Decoder::new(Limits::default());
    let mut receiver = Receiver::new(wire.clone(), ReadHalf::default(), decoder, timer, options);
    let buffer = || {
        let mut writer = wire.lock_writer();
        let stage = wire.duplex.stage(&mut writer.state.half);
        (stage.as_ptr(), stage.capacity())
    };
    sender.send(vec![1; CHUNK]).unwrap();
    let before = buffer();
    assert!(before.1 >= CHUNK);
    for _ in 0..9 {
        assert_eq!(receiver.try_recv().unwrap(), None);
    }
    assert_eq!(buffer(), before);
}

const NO_RANDOM: &str = "the operating system gave no random bytes";

#[cfg(feature = "deflate")]
mod compressed {
    use std::thread;

    use super::*;
    use crate::proto::deflate::{Deflate, NO_PARAMETERS};

    /// Returns an open connection that compresses all messages.
    fn compressed(write: Option<Duration>) -> (Sender, Arc<Wire>, Arc<Recorder>) {
        let options = Deflate::new().min_size(0);
        connection_with(write, Some(Deflation::new(&options, NO_PARAMETERS)))
    }

    #[test]
    fn an_uncompressed_writer_sends_the_bytes_as_they_are() {
        let (sender, wire, recorder) = compressed(None);
        has_randomness(&wire, true);
        let mut writer = sender.writer(MessageKind::Text).unwrap().uncompressed();
        writer.write_all(b"Hello").unwrap();
        writer.finish().unwrap();
        assert_eq!(recorder.frames(), [(true, Opcode::Text, b"Hello".to_vec())]);
    }

    /// Otherwise the compressor would refer to bytes that the peer never got.
    #[test]
    fn a_compressed_message_that_was_refused_is_not_in_the_window_of_the_next() {
        let (sender, wire, recorder) = compressed(None);
        has_randomness(&wire, false);
        let said = sender.send("Hello").unwrap_err();
        assert!(matches!(said, Error::Local(_)), "{said:?}");
        let mut writer = sender.writer(MessageKind::Text).unwrap();
        writer.write_all(b"Hello").unwrap();
        writer.flush().unwrap_err();
        writer.finish().unwrap_err();
        has_randomness(&wire, true);
        sender.send("Hello").unwrap();
        let hello = [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00].to_vec();
        assert_eq!(recorder.frames(), [(true, Opcode::Text, hello)]);
    }

    #[test]
    fn a_tried_message_that_was_given_back_is_not_in_the_window_of_the_next() {
        let (sender, wire, recorder) = compressed(None);
        has_randomness(&wire, false);
        sender.try_send("Hello").unwrap_err();
        has_randomness(&wire, true);
        recorder.is_full.store(true, Ordering::SeqCst);
        sender.try_send("").unwrap(); // It leaves a rest.
        sender.try_send("Hello").unwrap_err();
        recorder.is_full.store(false, Ordering::SeqCst);
        sender.try_send("Hello").unwrap();
        let hello = [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00].to_vec();
        let frames = recorder.frames();
        assert_eq!(frames.len(), 2);
        assert_eq!(frames[1], (true, Opcode::Text, hello));
    }

    /// Compressing a big message takes long, and the peer waits for its Pong.
    #[test]
    fn what_is_pending_is_written_before_a_tried_message_is_compressed() {
        let (sender, wire, recorder) = compressed(None);
        let noted = notes(&wire);
        wire.note_ping([7; 8]);
        sender.try_send("Hello").unwrap();
        assert_eq!(noted(), [1, 2], "they were not written one by one");
        let opcodes: Vec<_> = recorder.frames().iter().map(|frame| frame.1).collect();
        assert_eq!(opcodes, [Opcode::Ping, Opcode::Text]);
    }

    #[test]
    fn a_compressed_message_that_did_not_get_the_write_lock_is_not_in_the_window_of_the_next() {
        let (sender, _wire, recorder) = compressed(Some(Duration::from_millis(20)));
        let held = recorder.bytes.lock().unwrap();
        let other = sender.clone();
        let pinging = thread::spawn(move || other.ping(b""));
        while !recorder.is_writing.load(Ordering::SeqCst) {
            thread::yield_now();
        }
        let said = sender.send("Hello").unwrap_err();
        assert!(matches!(said, Error::Timeout(Timeout::Busy)), "{said:?}");
        assert!(sender.is_open());
        drop(held);
        pinging.join().unwrap().unwrap();
        sender.send("Hello").unwrap();
        let hello = [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00].to_vec();
        let expected = [(true, Opcode::Ping, vec![]), (true, Opcode::Text, hello)];
        assert_eq!(recorder.frames(), expected);
    }
}
