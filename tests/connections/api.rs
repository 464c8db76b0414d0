//! The shape of the public interface, and what its smaller parts do.

#![allow(clippy::unwrap_used)] // `clippy.toml` allows it in test functions only.

use crate::support;

use std::error::Error as _;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use landline::app::{Backlog, Connection, Connections, Fate, Ticket};
use landline::error::{Cause, HandshakeError, InvalidInput, Violation};
use landline::http::Response;
use landline::message::AsMessage;
use landline::{
    AbortHandle, Builder, CloseCode, CloseFrame, Closed, Error, Event, Message, MessageKind,
    MessageRef, Receiver, Sender, Timeout, WebSocket,
};
use support::streams::{Call, Judged};
use support::*;

#[test]
fn types_are_as_small_and_as_shareable_as_documented() {
    fn shared<T: Send + Sync + 'static>() {}
    fn sent<T: Send + 'static>() {}
    fn cloned<T: Clone>() {}
    fn error<T: std::error::Error + Send + Sync + 'static>() {}
    assert!(size_of::<Error>() <= 24, "{}", size_of::<Error>());
    assert!(size_of::<Result<(), Error>>() <= 24);
    shared::<Sender>();
    cloned::<Sender>();
    sent::<Receiver>();
    sent::<WebSocket>();
    shared::<Builder>();
    cloned::<Builder>();
    shared::<AbortHandle>();
    cloned::<AbortHandle>();
    shared::<Closed>();
    cloned::<Closed>();
    sent::<Connections>();
    sent::<Connection>();
    shared::<Response>();
    shared::<Message>();
    shared::<Ticket>();
    cloned::<Ticket>();
    shared::<Fate>();
    shared::<Backlog>();
    error::<Error>();
    error::<InvalidInput>();
    error::<Violation>();
    error::<HandshakeError>();
    error::<Closed>();
    error::<Timeout>();
    #[cfg(feature = "tls")]
    shared::<landline::tls::TlsOptions>();
}

#[test]
fn every_type_of_text_or_bytes_can_be_sent() {
    /// Returns the kind and the number of bytes of a message, as `send` gets it.
    fn kind(message: impl AsMessage) -> (MessageKind, usize) {
        let message = message.as_message();
        (message.kind(), message.as_bytes().len())
    }
    let (text, bytes) = ("text".to_owned(), vec![1_u8, 2]);
    assert_eq!(kind("text"), (MessageKind::Text, 4));
    assert_eq!(kind(&text), (MessageKind::Text, 4));
    assert_eq!(kind(&text[..]), (MessageKind::Text, 4));
    assert_eq!(kind(b"bin"), (MessageKind::Binary, 3));
    assert_eq!(kind([1, 2]), (MessageKind::Binary, 2));
    assert_eq!(kind(&bytes), (MessageKind::Binary, 2));
    assert_eq!(kind(&bytes[..]), (MessageKind::Binary, 2));
    assert_eq!(kind(vec![1, 2]), (MessageKind::Binary, 2));
    assert_eq!(kind(MessageRef::from(&text)), (MessageKind::Text, 4));
    assert_eq!(kind(MessageRef::from(&bytes)), (MessageKind::Binary, 2));
    assert_eq!(kind(MessageRef::from(b"bin")), (MessageKind::Binary, 3));
    let message = Message::from("text");
    assert_eq!(kind(&message), (MessageKind::Text, 4));
    assert_eq!(kind(message), (MessageKind::Text, 4));
    // An App keeps messages of this type.
    assert_eq!(Message::from(&bytes), Message::from([1, 2]));
    assert_eq!(Message::from(&Message::from("text")), Message::from(&text));
    // These are owned, and moved.
    assert_eq!(kind(text), (MessageKind::Text, 4));
    assert_eq!(kind(bytes), (MessageKind::Binary, 2));
    assert_eq!(Message::from("text".to_owned()).as_text(), Some("text"));
    assert_eq!(Message::from(&b"bin"[..]).as_text(), None);
    assert_eq!(Message::from("text").into_bytes(), b"text");
}

#[test]
fn both_ends_of_the_socket_have_an_address() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| peer.socket().peer_addr().unwrap());
        let ws = builder().connect(&server.url()).unwrap();
        let local = ws.local_addr();
        assert_eq!(ws.peer_addr(), Some(server.addr));
        let (receiver, sender) = ws.split();
        assert_eq!((sender.peer_addr(), sender.local_addr()), (Some(server.addr), local));
        assert_eq!((receiver.peer_addr(), receiver.local_addr()), (Some(server.addr), local));
        assert_eq!(local, Some(server.join()));
    });
}

#[test]
fn the_halves_can_close_and_be_joined_again() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            for expected in ["sent by the sender", "sent by both", "sent by another"] {
                peer.expect(TEXT, expected.as_bytes());
            }
            peer.expect(PONG, b"unasked");
            peer.expect(TEXT, b"written");
            peer.send(&text("received"));
            let close = peer.next_frame().unwrap();
            peer.send(&text("discarded"));
            peer.send(&frame(CLOSE, true, &close.payload));
            close.payload
        });
        let (receiver, sender) = builder().connect(&server.url()).unwrap().split();
        sender.send("sent by the sender").unwrap();
        let another = sender.clone();
        // The receiver keeps the connection open, whatever becomes of the senders.
        drop(sender);
        let mut ws = WebSocket::from(receiver);
        assert!(ws.is_open());
        ws.send("sent by both").unwrap();
        another.send("sent by another").unwrap();
        ws.pong(b"unasked").unwrap();
        let mut writer = ws.writer(MessageKind::Text).unwrap();
        writer.write_all(b"written").unwrap();
        writer.finish().unwrap();
        assert_eq!(ws.recv().unwrap(), Message::from("received"));
        let (mut receiver, sender) = ws.split();
        let refused = receiver.close(CloseCode::NO_STATUS).unwrap_err();
        assert!(matches!(refused, Error::InvalidInput(InvalidInput::Close)), "{refused:?}");
        assert!(sender.is_open());
        let closed = receiver.close((1000, "bye")).unwrap();
        assert!(closed.is_clean() && !sender.is_open() && !another.is_open());
        let again = receiver.close(1001).unwrap(); // It is over already.
        assert_eq!(again.to_string(), closed.to_string());
        assert!(!WebSocket::from(receiver).is_open());
        assert_eq!(server.join(), b"\x03\xe8bye");
    });
}

#[test]
fn every_type_of_code_and_reason_can_be_closed_with() {
    fn close(close: impl Into<CloseFrame>) -> (Option<u16>, String) {
        let close = close.into();
        (close.code.map(CloseCode::value), close.reason)
    }
    let bye = (Some(1000), "bye".to_owned());
    assert_eq!(close((1000, "bye")), bye);
    assert_eq!(close((1000, "bye".to_owned())), bye);
    assert_eq!(close((CloseCode::NORMAL, "bye")), bye);
    assert_eq!(close((CloseCode::NORMAL, "bye".to_owned())), bye);
    assert_eq!(close(4000), (Some(4000), String::new()));
    assert_eq!(close(CloseCode::NORMAL), (Some(1000), String::new()));
    assert_eq!(close(CloseFrame::empty()), (None, String::new()));
    // A number that must not be sent is refused like the code itself.
    assert!(!CloseFrame::from(1006).is_sendable() && !CloseFrame::from((99, "x")).is_sendable());
}

#[test]
fn owned_messages_and_reasons_can_be_sent() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            for expected in ["one", "two", "three", "four"] {
                peer.expect(TEXT, expected.as_bytes());
            }
            peer.expect(BINARY, &[1, 2]);
            let close = peer.next_frame().unwrap();
            peer.send(&frame(CLOSE, true, &close.payload));
            close.payload
        });
        let mut ws = builder().connect(&server.url()).unwrap();
        ws.send("one".to_owned()).unwrap();
        ws.send_all(["two", "three", "four"].map(str::to_owned)).unwrap();
        ws.send(vec![1, 2]).unwrap();
        assert!(ws.close((1000, "bye")).unwrap().is_clean());
        assert_eq!(server.join(), b"\x03\xe8bye");
    });
}

#[test]
fn the_code_of_a_close_decides_whether_it_is_retryable() {
    watchdog(LIMIT, || {
        for (code, retryable) in [
            (1000, false),
            (1001, true),
            (1002, false),
            (1003, false),
            (1007, false),
            (1008, false),
            (1009, false),
            (1010, false),
            (1011, true),
            (1012, true),
            (1013, true),
            (1014, true),
            (3000, false),
            (4000, false),
        ] {
            let server = upgraded(move |peer| {
                peer.send(&close(code, ""));
                peer.stall();
            });
            let mut ws = builder().connect(&server.url()).unwrap();
            assert_eq!(error(ws.recv()).is_retryable(), retryable, "{code}");
            drop(ws);
            server.join();
        }
        assert!(!Error::InvalidInput(InvalidInput::Close).is_retryable());
        assert!(!Error::Protocol(Violation::MaskedFrame).is_retryable());
        assert!(Error::Timeout(Timeout::Pong).is_retryable());
        assert!(Error::Io(std::io::Error::other("x")).is_retryable());
    });
}

#[test]
fn a_violation_is_not_retryable_for_senders_either() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            peer.send(&[0x83, 0]);
            peer.stall();
        });
        let mut ws = builder().connect(&server.url()).unwrap();
        assert!(!error(ws.recv()).is_retryable());
        let refused = error(ws.send("late"));
        assert!(matches!(refused.closed().unwrap().cause(), Cause::Protocol(_)));
        assert!(!refused.is_retryable(), "{refused:?}");
        drop(ws);
        server.join();
    });
}

#[test]
fn the_text_of_an_error_includes_its_cause_and_the_source_does_not() {
    watchdog(LIMIT, || {
        let violation = Error::Protocol(Violation::MaskedFrame);
        assert!(violation.to_string().contains(&Violation::MaskedFrame.to_string()));
        assert!(violation.source().is_none());
        assert!(Error::Io(std::io::Error::other("x")).source().is_none());
        assert!(Error::Timeout(Timeout::Recv).source().is_none());
        let unknown = builder().resolver(|_, _| Err(std::io::Error::other("no such name")));
        let refused = error(unknown.connect("ws://does-not-exist.invalid/"));
        let Error::Connect(connect) = &refused else { panic!("{refused:?}") };
        assert!(refused.to_string().contains(&connect.resolve_error().unwrap().to_string()));

        let server = upgraded(|peer| {
            peer.expect(TEXT, b"go");
            peer.rst();
        });
        let mut ws = builder().connect(&server.url()).unwrap();
        ws.send("go").unwrap();
        let lost = error(ws.recv());
        let Cause::Io(why) = lost.closed().unwrap().cause() else { panic!("{lost:?}") };
        assert!(lost.to_string().contains(&why.to_string()) && lost.source().is_none());
        server.join();

        let server = serve(|peer| {
            peer.read_request();
            let _ = peer.try_send(b"no HTTP");
        });
        let refused = error(builder().connect(&server.url()));
        assert!(refused.to_string().contains("not HTTP"), "{refused}");
        assert!(refused.source().is_none());
        server.join();
    });
}

#[test]
fn messages_end_after_a_clean_close_and_with_an_error_after_any_other_end() {
    watchdog(LIMIT, || {
        for clean in [true, false] {
            let server = upgraded(move |peer| {
                peer.send(&[text("one"), ping(b""), binary(b"two")].concat());
                if clean {
                    peer.send(&close(1000, ""));
                } else {
                    peer.fin();
                }
                peer.stall();
            });
            let mut ws = builder().connect(&server.url()).unwrap();
            let mut messages = ws.messages();
            assert_eq!(messages.next().unwrap().unwrap(), Message::from("one"));
            assert_eq!(messages.next().unwrap().unwrap(), Message::from(&b"two"[..]));
            if !clean {
                let last = error(messages.next().unwrap());
                assert!(matches!(last.closed().unwrap().cause(), Cause::Eof));
            }
            assert!(messages.next().is_none());
            assert!(messages.next().is_none());
            drop(ws);
            server.join();
        }
    });
}

#[test]
fn messages_end_without_an_error_only_if_the_code_is_no_complaint() {
    watchdog(LIMIT, || {
        let empty = frame(CLOSE, true, &[]);
        for (close, silent) in [
            (close(1000, "done"), true),
            (close(1001, ""), true),
            (empty, true),
            (close(1002, ""), false),
            (close(1003, ""), false),
            (close(1007, ""), false),
            (close(1008, "no"), false),
            (close(1009, ""), false),
            (close(1010, ""), false),
            (close(1011, ""), false),
            (close(1012, ""), false),
            (close(1013, ""), false),
            (close(1014, ""), false),
            (close(3000, ""), false),
            (close(4401, "token expired"), false),
        ] {
            let server = upgraded(move |peer| {
                peer.send(&[text("half a feed"), close].concat());
                peer.stall();
            });
            let mut ws = builder().connect(&server.url()).unwrap();
            let mut messages = ws.messages();
            assert_eq!(messages.next().unwrap().unwrap(), Message::from("half a feed"));
            let last = messages.next().map(error);
            assert_eq!(last.is_none(), silent, "{last:?}");
            assert!(last.is_none_or(|last| last.closed().is_some_and(Closed::is_clean)));
            assert!(messages.next().is_none());
            drop(ws);
            server.join();
        }
    });
}

#[test]
fn messages_end_without_an_error_after_a_close_on_this_side() {
    watchdog(LIMIT, || {
        for code in [1000, 1008, 4401] {
            let server = upgraded(move |peer| {
                peer.expect_close(1000);
                peer.send(&[text("late"), close(code, "")].concat());
                peer.stall();
            });
            let mut ws = builder().connect(&server.url()).unwrap();
            ws.sender().close(CloseCode::NORMAL).unwrap();
            let messages: Vec<_> = ws.messages().map(Result::unwrap).collect();
            assert_eq!(messages, [Message::from("late")]);
            drop(ws);
            server.join();
        }
    });
}

#[test]
fn messages_end_with_an_error_after_a_message_that_could_not_be_finished() {
    watchdog(LIMIT, || {
        for answer in [1011, 1000] {
            let server = upgraded(move |peer| {
                peer.expect_fragment(b"half");
                peer.expect_close(1011);
                peer.send(&close(answer, ""));
                peer.stall();
            });
            let mut ws = builder().connect(&server.url()).unwrap();
            let sender = ws.sender();
            let mut writer = sender.writer(MessageKind::Binary).unwrap();
            writer.write_all(b"half").unwrap();
            writer.flush().unwrap();
            drop(writer);
            let last = error(ws.messages().next().unwrap());
            assert!(last.closed().is_some(), "{last:?}");
            drop((ws, sender));
            server.join();
        }
    });
}

#[test]
fn reader_timeout_bounds_the_wait_for_the_beginning_of_a_message() {
    watchdog(LIMIT, || {
        let (go, goes) = channel();
        let server = upgraded(move |peer| {
            goes.recv().unwrap();
            // This is a part of a header. A message begins with a whole header.
            let begin = frame(BINARY, false, &[7; 200]);
            peer.send(&begin[..3]);
            goes.recv().unwrap();
            peer.send(&begin[3..]);
            goes.recv().unwrap();
            peer.send(&frame(0, true, b"end"));
            peer.stall();
        });
        let mut ws = builder().connect(&server.url()).unwrap();
        for _ in 0..2 {
            let none = takes(SHORT, || error(ws.reader_timeout(SHORT)));
            assert!(matches!(none, Error::Timeout(Timeout::Recv)), "{none:?}");
            go.send(()).unwrap();
        }
        let mut reader = ws.reader_timeout(LIMIT).unwrap();
        let mut begin = [0; 200];
        reader.read_exact(&mut begin).unwrap();
        assert_eq!(begin, [7; 200]);
        go.send(()).unwrap();
        let mut rest = Vec::new();
        reader.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, b"end");
        drop(ws);
        server.join();
    });
}

#[test]
fn an_event_is_a_message_only_if_it_is_a_whole_one() {
    assert_eq!(Event::Text("x").message(), Some(MessageRef::Text("x")));
    assert_eq!(Event::Binary(b"x").message(), Some(MessageRef::Binary(b"x")));
    assert_eq!(Event::RawText(b"\xFF").message(), Some(MessageRef::Binary(b"\xFF")));
    assert_eq!(Event::Ping(b"x").message(), None);
    assert_eq!(Event::Pong(b"x").message(), None);
    let kept = Event::Text("kept").message().map(Message::from);
    assert_eq!(kept, Some(Message::from("kept")));
}

#[test]
fn the_error_of_a_send_advises_to_receive_the_reason() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            peer.send(&close(1009, "at most 1 MB"));
            peer.stall();
        });
        let mut writes = 0;
        let stream = TcpStream::connect(server.addr).unwrap();
        let stream = Judged::new(stream, usize::MAX, move |_, call| {
            writes += usize::from(call == Call::Write);
            // The first write is the request.
            match call {
                Call::Write if writes > 1 => Err(std::io::ErrorKind::BrokenPipe.into()),
                _ => Ok(()),
            }
        });
        let mut ws = builder().connect_over("ws://judged/", stream).unwrap();
        let hint = "receive for the reason";
        for _ in 0..2 {
            let failed = error(ws.send("too big"));
            assert!(failed.closed().is_some() && failed.to_string().contains(hint), "{failed}");
        }
        let said = error(ws.recv());
        assert!(said.to_string().contains("1009 \"at most 1 MB\""), "{said}");
        assert!(!said.to_string().contains(hint), "{said}");
        let late = error(ws.send("late"));
        assert!(!late.to_string().contains(hint), "{late}");
        drop(ws);
        server.join();
    });
}

#[test]
fn a_reader_reads_a_message_in_parts() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            let parts =
                [frame(TEXT, false, "grü".as_bytes()), ping(b""), frame(0, true, "ße".as_bytes())];
            peer.send(&parts.concat());
            peer.send(&binary(&vec![7; 1 << 20]));
            peer.send(&binary(b""));
            peer.send(&[text("skipped"), text("next")].concat());
            peer.stall();
        });
        let mut ws = builder().connect(&server.url()).unwrap();
        let mut reader = ws.reader().unwrap();
        assert_eq!(reader.kind(), MessageKind::Text);
        let mut whole = String::new();
        reader.read_to_string(&mut whole).unwrap();
        assert_eq!(whole, "grüße");
        assert_eq!(reader.read(&mut [0; 4]).unwrap(), 0);
        let mut bytes = Vec::new();
        let mut reader = ws.reader().unwrap();
        assert_eq!(reader.kind(), MessageKind::Binary);
        reader.read_to_end(&mut bytes).unwrap();
        assert!(bytes == vec![7; 1 << 20]);
        assert_eq!(ws.reader().unwrap().read_to_end(&mut bytes).unwrap(), 0);
        // A reader that is dropped early skips the rest of its message.
        let mut two = [0; 2];
        ws.reader().unwrap().read_exact(&mut two).unwrap();
        assert_eq!(&two, b"sk");
        assert_eq!(ws.recv().unwrap(), Message::from("next"));
        drop(ws);
        server.join();
    });
}

#[test]
fn every_next_call_skips_the_rest_of_a_message_that_was_read_in_part() {
    watchdog(LIMIT, || {
        let long = || [frame(BINARY, false, &[1; 100_000]), frame(0, true, &[2; 100_000])].concat();
        let server = upgraded(move |peer| {
            peer.send(&[long(), text("one"), long(), text("two"), long(), text("three")].concat());
            peer.stall();
        });
        let mut ws = builder().connect(&server.url()).unwrap();
        let mut some = [0; 10];
        ws.reader().unwrap().read_exact(&mut some).unwrap();
        assert_eq!(ws.recv().unwrap(), Message::from("one"));
        ws.reader().unwrap().read_exact(&mut some).unwrap();
        let mut text = String::new();
        ws.reader().unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "two");
        drop(ws.reader().unwrap());
        assert_eq!(ws.recv_timeout(PROMPT).unwrap(), Message::from("three"));
        drop(ws);
        server.join();
    });
}

#[test]
fn an_event_after_a_message_that_is_read_in_part_is_a_whole_message() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            peer.send(
                &[frame(BINARY, false, &[1; 9]), frame(0, true, &[2; 9]), text("next")].concat(),
            );
            peer.stall();
        });
        let mut ws = builder().connect(&server.url()).unwrap();
        drop(ws.reader().unwrap());
        // No fragment is handed out without the option `fragments`.
        let event = ws.next_event().unwrap();
        assert_eq!(event, Event::Text("next"));
        drop(ws);
        server.join();
    });
}

#[test]
fn a_reader_whose_message_never_ends_fails_with_the_reason() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            peer.send(&frame(BINARY, false, b"some"));
            peer.fin();
            peer.stall();
        });
        let mut ws = builder().connect(&server.url()).unwrap();
        let mut bytes = Vec::new();
        let failed = ws.reader().unwrap().read_to_end(&mut bytes).unwrap_err();
        assert_eq!(bytes, b"some");
        assert_eq!(failed.kind(), std::io::ErrorKind::UnexpectedEof);
        let inner = failed.into_inner().unwrap().downcast::<Error>().unwrap();
        assert!(matches!(inner.closed().unwrap().cause(), Cause::Eof));
        drop(ws);
        server.join();
    });
}

#[test]
fn a_writer_writes_a_message_in_parts() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            let mut frames = peer.stall();
            assert_eq!(frames.pop().unwrap().close_code(), Some(1001));
            frames
        });
        let ws = builder().connect(&server.url()).unwrap();
        let sender = ws.sender();
        let mut writer = sender.writer(MessageKind::Text).unwrap();
        writer.write_all("grü".as_bytes()).unwrap();
        writer.flush().unwrap();
        writer.flush().unwrap();
        writer.write_all(b"\xc3").unwrap();
        writer.flush().unwrap();
        writer.write_all(b"\x9fe").unwrap();
        writer.finish().unwrap();
        sender.writer(MessageKind::Binary).unwrap().finish().unwrap();
        drop((ws, sender));
        let frame = |opcode, fin, payload: &[u8]| Frame { opcode, fin, payload: payload.to_vec() };
        let expected = [
            frame(TEXT, false, "grü".as_bytes()),
            frame(0, false, b"\xc3"),
            frame(0, true, b"\x9fe"),
            frame(BINARY, true, b""),
        ];
        assert_eq!(server.join(), expected);
    });
}

/// Some peers do not accept text that is cut inside a character: Qt 6.4 closes with 1007.
#[test]
fn a_long_text_is_cut_between_characters_unless_the_caller_flushes_inside_one() {
    const CHUNK: usize = 64 * 1024;
    watchdog(LIMIT, || {
        for (prefix, text) in
            [("", "€"), ("a", "€"), ("ab", "€"), ("", "𐍈"), ("abc", "𐍈"), ("a", "ü")]
        {
            let server = upgraded(|peer| peer.stall());
            let ws = builder().connect(&server.url()).unwrap();
            let sender = ws.sender();
            let text = format!("{prefix}{}", text.repeat(2 * CHUNK / text.len() + 3));
            let mut writer = sender.writer(MessageKind::Text).unwrap();
            // The text may be written in parts of any length.
            for bytes in text.as_bytes().chunks(if prefix.is_empty() { 1_000_000 } else { 1_001 }) {
                writer.write_all(bytes).unwrap();
            }
            writer.finish().unwrap();
            let mut writer = sender.writer(MessageKind::Binary).unwrap();
            writer.write_all(text.as_bytes()).unwrap();
            writer.finish().unwrap();
            drop((ws, sender));
            let frames = server.join();
            let (texts, binaries) = frames.split_at(3);
            for frame in texts {
                assert!(std::str::from_utf8(&frame.payload).is_ok(), "cut inside a character");
            }
            for frame in &texts[..2] {
                assert!(
                    (CHUNK - 3..=CHUNK).contains(&frame.payload.len()),
                    "{}",
                    frame.payload.len()
                );
            }
            // Binary data may be cut anywhere.
            assert_eq!(binaries[0].payload.len(), CHUNK);
            for message in [texts, &binaries[..3]] {
                let payloads: Vec<_> = message.iter().map(|frame| &*frame.payload).collect();
                assert!(payloads.concat() == text.as_bytes(), "not the text");
            }
        }
        let server = upgraded(|peer| peer.stall());
        let ws = builder().connect(&server.url()).unwrap();
        let sender = ws.sender();
        let mut writer = sender.writer(MessageKind::Text).unwrap();
        writer.write_all(b"\xe2\x82").unwrap();
        writer.flush().unwrap();
        let rest = [&b"\xac"[..], &vec![b'a'; CHUNK - 2], b"\xc3", b"\xbc"].concat();
        writer.write_all(&rest).unwrap();
        writer.finish().unwrap();
        drop((ws, sender));
        let frames = server.join();
        let lens: Vec<_> = frames[..3].iter().map(|frame| frame.payload.len()).collect();
        assert_eq!(lens, [2, CHUNK - 1, 2]);
        assert_eq!(frames[2].payload, b"\xc3\xbc");
    });
}

#[test]
fn a_text_that_ends_within_a_character_after_a_part_was_sent_closes_the_connection() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            let part = peer.next_frame().unwrap();
            assert_eq!((part.opcode, part.fin, &*part.payload), (TEXT, false, &b"a\xe2"[..]));
            peer.expect_close(1011);
            peer.send(&close(1011, ""));
        });
        let mut ws = builder().connect(&server.url()).unwrap();
        let sender = ws.sender();
        let mut writer = sender.writer(MessageKind::Text).unwrap();
        writer.write_all(b"a\xe2").unwrap();
        writer.flush().unwrap();
        let said = error(writer.finish());
        let local = said.closed().and_then(Closed::local).cloned().unwrap();
        assert_eq!(local.code.unwrap().value(), 1011);
        assert!(said.to_string().contains("within a character"), "{said}");
        assert!(!sender.is_open());
        assert!(error(ws.recv()).closed().unwrap().is_clean());
        server.join();
    });
}

#[test]
fn an_answer_of_the_peer_does_not_hide_why_a_message_was_given_up() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            peer.next_frame().unwrap();
            peer.expect_close(1011);
            peer.send(&close(1011, ""));
            peer.stall();
        });
        let is_closing = Arc::new(AtomicBool::new(false));
        let closes = is_closing.clone();
        let stream = TcpStream::connect(server.addr).unwrap();
        let slow = Judged::new(stream, usize::MAX, |_, _| Ok(())).after_write(move || {
            if closes.load(Ordering::SeqCst) {
                std::thread::sleep(SHORT); // A slow stream: the peer answers meanwhile.
            }
        });
        let (mut receiver, sender) = builder().connect_over("ws://slow/", slow).unwrap().split();
        let receiving = spawn(move || error(receiver.recv()));
        let mut writer = sender.writer(MessageKind::Text).unwrap();
        writer.write_all(b"a\xe2").unwrap();
        writer.flush().unwrap();
        is_closing.store(true, Ordering::SeqCst);
        let said = error(writer.finish());
        assert!(said.to_string().contains("within a character"), "{said}");
        assert!(receiving.join().closed().unwrap().is_clean());
        drop(sender);
        server.join();
    });
}

#[test]
fn text_that_is_not_utf8_is_not_written() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| peer.stall());
        let ws = builder().connect(&server.url()).unwrap();
        let sender = ws.sender();
        let mut writer = sender.writer(MessageKind::Text).unwrap();
        let refused = writer.write_all(b"\xff").unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::InvalidData);
        drop(writer);
        let mut writer = sender.writer(MessageKind::Text).unwrap();
        writer.write_all(b"\xc3").unwrap();
        let refused = error(writer.finish());
        assert!(matches!(refused, Error::InvalidInput(InvalidInput::Text)), "{refused:?}");
        sender.send("fine").unwrap();
        drop((ws, sender));
        let frames = server.join();
        assert_eq!(frames[0].payload, b"fine");
        assert_eq!((frames.len(), frames[1].close_code()), (2, Some(1001)));
    });
}

#[test]
fn a_batch_arrives_as_single_messages() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| peer.stall());
        let ws = builder().connect(&server.url()).unwrap();
        ws.sender().send_all(["one", "two"]).unwrap();
        ws.sender().send_all([MessageRef::Text("three"), MessageRef::Binary(b"four")]).unwrap();
        ws.sender().send_all(Vec::<&str>::new()).unwrap();
        ws.sender().send_all(vec![&[7_u8; 100_000][..]; 3]).unwrap();
        drop(ws);
        let frames = server.join();
        let four: Vec<_> = frames[..4].iter().map(|frame| &*frame.payload).collect();
        assert_eq!(four, [&b"one"[..], b"two", b"three", b"four"]);
        assert!(frames[4..7].iter().all(|frame| frame.payload == [7; 100_000]));
        assert_eq!(frames.len(), 8);
    });
}

#[test]
fn fragments_are_handed_out_as_they_arrive_with_the_option_fragments() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            peer.send(&frame(TEXT, false, b"one"));
            peer.expect(TEXT, b"got it");
            peer.send(
                &[ping(b"p"), frame(0, false, b""), frame(0, true, b"two"), text("whole")].concat(),
            );
            peer.stall();
        });
        let mut ws = builder().fragments(true).connect(&server.url()).unwrap();
        let fragment = |event: Event<'_>| match event {
            Event::Fragment(part) => (part.kind, part.data.to_vec(), part.first, part.last),
            other => panic!("{other:?}"),
        };
        assert_eq!(
            fragment(ws.next_event().unwrap()),
            (MessageKind::Text, b"one".to_vec(), true, false)
        );
        ws.send("got it").unwrap();
        assert_eq!(ws.next_event().unwrap(), Event::Ping(b"p"));
        assert_eq!(
            fragment(ws.next_event().unwrap()),
            (MessageKind::Text, b"two".to_vec(), false, true)
        );
        // `recv` returns whole messages also with this option.
        assert_eq!(ws.recv().unwrap(), Message::from("whole"));
        drop(ws);
        server.join();
    });
}

#[test]
fn unchecked_text_comes_as_bytes() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            peer.send(
                &[frame(TEXT, true, b"\xff"), frame(TEXT, true, b"\xfe"), binary(b"b")].concat(),
            );
            peer.stall();
        });
        let mut ws = builder().unchecked_text(true).connect(&server.url()).unwrap();
        assert_eq!(ws.next_event().unwrap(), Event::RawText(b"\xff"));
        assert_eq!(ws.recv().unwrap(), Message::Binary(b"\xfe".to_vec()));
        assert_eq!(ws.next_event().unwrap(), Event::Binary(b"b"));
        drop(ws);
        server.join();
    });
}

#[test]
fn pings_are_not_answered_without_auto_pong() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            peer.send(&ping(b"anybody?"));
            peer.expect(PONG, b"my own");
            peer.expect_close(1001);
        });
        let mut ws = builder().auto_pong(false).connect(&server.url()).unwrap();
        assert_eq!(ws.next_event().unwrap(), Event::Ping(b"anybody?"));
        ws.sender().pong(b"my own").unwrap();
        drop(ws);
        server.join();
    });
}

#[test]
fn every_message_and_control_frame_is_an_event() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            let parts =
                [text("t"), binary(b"b"), ping(b"pi"), frame(PONG, true, b"po"), close(1000, "")];
            peer.send(&parts.concat());
            peer.expect(PONG, b"pi");
            peer.expect_close(1000);
        });
        let mut ws = builder().connect(&server.url()).unwrap();
        assert_eq!(ws.next_event().unwrap(), Event::Text("t"));
        assert_eq!(ws.next_event_timeout(PROMPT).unwrap(), Event::Binary(b"b"));
        assert_eq!(ws.next_event().unwrap(), Event::Ping(b"pi"));
        assert_eq!(ws.next_event().unwrap(), Event::Pong(b"po"));
        assert!(error(ws.next_event().map(drop)).closed().unwrap().is_clean());
        server.join();
    });
}

#[test]
fn every_call_tells_the_end_alike() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            peer.send(&close(4000, "over"));
            peer.stall();
        });
        let mut ws = builder().connect(&server.url()).unwrap();
        let sender = ws.sender();
        let _ = error(ws.recv());
        let _ = error(ws.messages().next().unwrap());
        let told = [
            error(ws.recv()),
            error(ws.recv_timeout(Duration::ZERO)),
            error(ws.try_recv()),
            error(ws.next_event().map(drop)),
            error(ws.next_event_timeout(PROMPT).map(drop)),
            error(ws.reader().map(drop)),
            error(ws.send("x")),
            error(ws.ping(b"")),
            error(sender.pong(b"")),
            error(sender.send_all(["x"])),
            error(sender.writer(MessageKind::Text).unwrap().finish()),
            error(sender.close(CloseCode::NORMAL)),
            Error::Closed(ws.close(CloseCode::NORMAL).unwrap()),
        ];
        for told in &told {
            let closed = told.closed().unwrap_or_else(|| panic!("{told:?}"));
            assert_eq!((closed.code().value(), closed.reason()), (4000, "over"));
            assert_eq!(closed.peer(), Some(&CloseFrame::new(CloseCode::new(4000), "over")));
            assert_eq!(told.to_string(), closed.to_string());
        }
        assert!(!sender.is_open());
        drop((ws, sender));
        server.join();
    });
}

#[test]
fn is_open_tells_what_this_side_knows() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            peer.expect_close(1000);
            peer.send(&close(1000, ""));
        });
        let mut ws = builder().connect(&server.url()).unwrap();
        let sender = ws.sender();
        assert!(sender.is_open());
        sender.close(CloseCode::NORMAL).unwrap();
        assert!(!sender.is_open());
        assert!(error(ws.recv()).closed().unwrap().is_clean());
        assert!(!sender.is_open());
        server.join();
    });
}

#[test]
fn a_text_goes_on_after_refused_bytes_as_if_they_had_never_been_written() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            peer.expect(TEXT, "a€b".as_bytes());
            peer.expect_close(1001);
        });
        let ws = builder().connect(&server.url()).unwrap();
        let sender = ws.sender();
        let mut writer = sender.writer(MessageKind::Text).unwrap();
        writer.write_all(b"a\xe2").unwrap();
        for refused in [&b"A"[..], b"\x82A", b"\xff", b"B", b"\x82\xac\xff", b"C", b"D"] {
            let refused = writer.write(refused).unwrap_err();
            assert_eq!(refused.kind(), std::io::ErrorKind::InvalidData);
        }
        writer.write_all(b"\x82").unwrap();
        assert!(writer.write(b"E").is_err());
        writer.write_all(b"\xacb").unwrap();
        writer.finish().unwrap();
        drop((ws, sender));
        server.join();
    });
}
