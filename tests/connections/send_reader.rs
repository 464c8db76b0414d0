//! A message that is sent from a reader, in one frame: plain, over TLS, and with compression agreed
//! on.

#![allow(clippy::unwrap_used)] // `clippy.toml` allows it in test functions only.

use crate::support;

use std::io::{self, ErrorKind, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::channel;

use landline::error::{Cause, InvalidInput, Side};
use landline::{Builder, CloseCode, Error, Event, MessageKind, Timeout, WebSocket};
use support::*;

/// The number of bytes that are read and written at a time.
const CHUNK: usize = 64 * 1024;

/// The ways to connect.
#[derive(Clone, Copy, Debug)]
enum Over {
    Plain,
    #[cfg(feature = "tls")]
    Tls,
    #[cfg(feature = "deflate")]
    Deflate,
}

const ALL: &[Over] = &[
    Over::Plain,
    #[cfg(feature = "tls")]
    Over::Tls,
    #[cfg(feature = "deflate")]
    Over::Deflate,
];

impl Over {
    /// Opens a connection to a server that runs `script` after the opening handshake.
    fn connect<T: Send + 'static>(
        self,
        change: impl FnOnce(Builder) -> Builder,
        script: impl FnOnce(&mut Peer) -> T + Send + 'static,
    ) -> (WebSocket, Server<T>) {
        let (builder, server) = match self {
            Self::Plain => (builder(), upgraded(script)),
            #[cfg(feature = "tls")]
            Self::Tls => (tls::builder(), tls::upgraded_tls(script)),
            #[cfg(feature = "deflate")]
            Self::Deflate => {
                let server = serve(move |peer| {
                    peer.read_request();
                    let agreed = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
                    peer.send(&peer.good_answer(agreed));
                    script(peer)
                });
                (builder().deflate(landline::deflate::Deflate::new()), server)
            }
        };
        (change(builder).connect(&server.url()).unwrap(), server)
    }
}

/// Is a reader whose `read` is a closure.
struct By<F>(F);

impl<F: FnMut(&mut [u8]) -> io::Result<usize>> Read for By<F> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        (self.0)(buf)
    }
}

/// Returns a reader that fails the test when it is called.
fn unread() -> impl Read {
    By(|_: &mut [u8]| panic!("the reader is called"))
}

/// Returns the error of landline that an `io::Error` holds.
fn held(error: io::Error) -> Error {
    error.downcast().unwrap_or_else(|error| panic!("{error:?} holds no Error"))
}

/// Returns `len` bytes of text with characters of several bytes, which the chunks cut.
fn long_text(len: usize) -> Vec<u8> {
    let mut text = "\u{20AC}uro, ".repeat(len / 8).into_bytes();
    text.resize(len, b'.');
    text
}

#[test]
fn a_message_of_any_length_arrives_in_one_frame_without_compression() {
    watchdog(LIMIT * 2, || {
        const LENGTHS: [usize; 9] =
            [0, 1, 125, 126, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 1 << 20];
        for over in ALL {
            let (ws, server) = over.connect(
                |builder| builder,
                |peer| {
                    for len in LENGTHS {
                        // The peer refuses the reserved bit of a compressed message.
                        peer.expect(TEXT, &long_text(len));
                        peer.expect(BINARY, &long_text(len));
                    }
                    peer.expect_close(1001);
                },
            );
            for len in LENGTHS {
                let bytes = long_text(len);
                ws.send_reader(MessageKind::Text, len as u64, &bytes[..]).unwrap();
                // This reader gives a little at a time, and is interrupted.
                let (mut rest, mut calls) = (&bytes[..], 0);
                let little = By(|buf: &mut [u8]| {
                    calls += 1;
                    if calls % 2 == 0 {
                        return Err(ErrorKind::Interrupted.into());
                    }
                    let most = buf.len().min(10_000);
                    rest.read(&mut buf[..most])
                });
                ws.sender().send_reader(MessageKind::Binary, len as u64, little).unwrap();
                assert!(rest.is_empty());
            }
            drop(ws);
            server.join();
        }
    });
}

#[test]
fn the_reader_is_not_read_beyond_the_message() {
    watchdog(LIMIT, || {
        let (ws, server) = Over::Plain.connect(
            |builder| builder,
            |peer| {
                for _ in 0..2 {
                    peer.expect(BINARY, &vec![b'x'; CHUNK + 5]);
                }
                peer.expect(BINARY, b"");
                peer.expect_close(1001);
            },
        );
        let mut reader = io::repeat(b'x').take(3 * CHUNK as u64);
        for _ in 0..2 {
            ws.send_reader(MessageKind::Binary, CHUNK as u64 + 5, &mut reader).unwrap();
        }
        assert_eq!(reader.limit(), CHUNK as u64 - 10);
        ws.send_reader(MessageKind::Binary, 0, unread()).unwrap();
        drop(ws);
        server.join();
    });
}

#[test]
fn a_message_that_is_too_long_for_a_frame_is_refused() {
    watchdog(LIMIT, || {
        let (ws, server) = Over::Plain.connect(
            |builder| builder,
            |peer| {
                peer.expect(TEXT, b"after it");
                peer.expect_close(1001);
            },
        );
        for len in [1 << 63, u64::MAX] {
            let refused = ws.send_reader(MessageKind::Binary, len, unread()).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::InvalidInput);
            let refused = held(refused);
            let too_long = matches!(refused, Error::InvalidInput(InvalidInput::MessageTooLong));
            assert!(too_long, "{refused:?}");
        }
        ws.send("after it").unwrap();
        drop(ws);
        server.join();
    });
}

#[test]
fn the_longest_frame_is_begun() {
    watchdog(LIMIT, || {
        let (ws, server) = Over::Plain.connect(
            |builder| builder,
            |peer| {
                let mut header = [0; 10];
                peer.socket().read_exact(&mut header).unwrap();
                header
            },
        );
        let longest = u64::MAX >> 1;
        let reader = io::repeat(b'x').take(CHUNK as u64);
        let ended = ws.send_reader(MessageKind::Binary, longest, reader).unwrap_err();
        assert!(held(ended).is_fatal());
        let header = server.join();
        assert_eq!((header[0], header[1]), (0x82, 0xFF));
        assert_eq!(header[2..], longest.to_be_bytes());
    });
}

/// Returns a reader of `good` that then calls `bad`, for ever.
fn then<'a>(
    good: &'a [u8],
    bad: impl FnMut(&mut [u8]) -> io::Result<usize> + 'a,
) -> Box<dyn Read + 'a> {
    Box::new(good.chain(By(bad)))
}

fn breaks() -> io::Result<usize> {
    Err(io::Error::new(ErrorKind::BrokenPipe, "the source is gone"))
}

/// A way in which a message fails after good bytes.
type Failure = (&'static str, ErrorKind, fn(&[u8]) -> Box<dyn Read + '_>);

/// The faults of a text of `3 * CHUNK` bytes after good bytes.
const FAILURES: [Failure; 5] = [
    // `BrokenPipe` must not be taken for the end of the connection's own stream.
    ("the source is gone", ErrorKind::BrokenPipe, |good| then(good, |_| breaks())),
    ("ended too early", ErrorKind::UnexpectedEof, |good| Box::new(good)),
    ("must be UTF-8", ErrorKind::InvalidData, |good| Box::new(good.chain(io::repeat(0xFF)))),
    ("more bytes than there is room", ErrorKind::Other, |good| then(good, |buf| Ok(buf.len() + 1))),
    ("would block", ErrorKind::WouldBlock, |good| {
        then(good, |_| Err(io::Error::new(ErrorKind::WouldBlock, "it would block")))
    }),
];

#[test]
fn a_reader_that_fails_within_the_first_chunk_sends_nothing() {
    watchdog(LIMIT, || {
        for over in ALL {
            let (ws, server) = over.connect(
                |builder| builder,
                |peer| {
                    peer.expect(TEXT, b"after it");
                    peer.expect_close(1001);
                },
            );
            for good in [0, 1, CHUNK - 1] {
                let good = vec![b'x'; good];
                for (why, kind, fails) in FAILURES {
                    let len = 3 * CHUNK as u64;
                    let failed = ws.send_reader(MessageKind::Text, len, fails(&good)).unwrap_err();
                    assert_eq!(failed.kind(), kind, "{failed:?}");
                    assert!(failed.to_string().contains(why), "{failed}");
                    assert!(failed.downcast::<Error>().is_err());
                }
            }
            // A text that ends within a character.
            let cut = ws.send_reader(MessageKind::Text, 5, &"euro\u{20AC}".as_bytes()[..5]);
            assert_eq!(cut.unwrap_err().kind(), ErrorKind::InvalidData);
            let panics = By(|_: &mut [u8]| panic!("on purpose"));
            let call = || ws.send_reader(MessageKind::Text, 5, panics);
            assert!(catch_unwind(AssertUnwindSafe(call)).is_err());
            ws.send("after it").unwrap();
            drop(ws);
            server.join();
        }
    });
}

/// Sends the first chunk of a text of `3 * CHUNK` bytes, and fails then, while one thread receives
/// and another one waits to send. Returns the error of the call, if it did not panic.
fn fails_later(over: Over, fails: impl FnOnce(&[u8]) -> Box<dyn Read + '_>) -> Option<io::Error> {
    let (has_begun, begun) = channel();
    let (ws, server) = over.connect(
        |builder| builder,
        move |peer| {
            // The receiver shows that it is in `recv`.
            peer.send(&ping(b"first"));
            peer.expect(PONG, b"first");
            has_begun.send(()).unwrap();
            peer.read_to_end()
        },
    );
    let (mut receiver, sender) = ws.split();
    let receiving = spawn(move || error(receiver.recv()));
    begun.recv().unwrap();
    let other = sender.clone();
    let (begin, began) = channel();
    let waiting = spawn(move || {
        began.recv().unwrap();
        error(other.send("too late"))
    });
    let good = vec![b'x'; CHUNK];
    let first = good.chain(By(|_: &mut [u8]| {
        let _ = begin.send(()); // The other thread waits, or will.
        Ok(0)
    }));
    let len = 3 * CHUNK as u64;
    let call = || sender.send_reader(MessageKind::Text, len, first.chain(fails(b"")));
    let failed = promptly(|| catch_unwind(AssertUnwindSafe(call))).ok().map(Result::unwrap_err);
    assert!(!sender.is_open());
    for ended in [promptly(|| receiving.join()), promptly(|| waiting.join())] {
        let closed = ended.closed().unwrap();
        assert!(matches!(closed.cause(), Cause::Io(_)), "{over:?}: {closed:?}");
        assert_eq!(closed.initiator(), Some(Side::Local));
        assert!(ended.is_retryable());
        assert!(ended.to_string().contains("that was begun cannot be finished"), "{ended}");
    }
    // A part of one frame was sent, and no Close in the middle of it.
    let sent = server.join();
    assert_eq!(sent.len(), 14 + CHUNK, "{over:?}");
    assert_eq!((sent[0], sent[1]), (0x81, 0xFF));
    failed
}

#[test]
fn a_reader_that_fails_later_ends_the_connection_and_wakes_all_threads() {
    watchdog(LIMIT * 2, || {
        for &over in ALL {
            for (why, kind, fails) in FAILURES {
                let failed = fails_later(over, fails).unwrap();
                assert!(failed.to_string().contains(why), "{failed}");
                assert_eq!(failed.kind(), kind);
                assert!(held(failed).is_fatal());
            }
            let panicked = fails_later(over, |_| Box::new(By(|_: &mut [u8]| panic!("on purpose"))));
            assert!(panicked.is_none());
        }
    });
}

#[test]
fn a_text_whose_last_chunk_ends_within_a_character_ends_the_connection() {
    watchdog(LIMIT, || {
        let (ws, server) = Over::Plain.connect(|builder| builder, Peer::read_to_end);
        let mut cut = vec![b'x'; CHUNK + 10];
        cut.extend(&"\u{20AC}".as_bytes()[..2]);
        let failed = ws.send_reader(MessageKind::Text, cut.len() as u64, &cut[..]).unwrap_err();
        assert_eq!(failed.kind(), ErrorKind::InvalidData);
        assert!(held(failed).is_fatal() && !ws.is_open());
        assert_eq!(server.join().len(), 14 + CHUNK);
    });
}

#[test]
fn a_connection_that_is_over_does_not_read_the_reader() {
    watchdog(LIMIT, || {
        let (mut ws, server) = Over::Plain.connect(
            |builder| builder,
            |peer| {
                peer.send(&close(1000, ""));
                peer.stall()
            },
        );
        assert!(error(ws.recv()).closed().unwrap().is_clean());
        let refused = held(ws.send_reader(MessageKind::Text, 5, unread()).unwrap_err());
        assert!(refused.closed().unwrap().is_clean(), "{refused:?}");
        server.join();
    });
}

#[test]
fn a_reader_may_take_longer_than_write_timeout_and_all_else_waits_for_it() {
    watchdog(LIMIT, || {
        for over in ALL {
            let (pinged, is_pinged) = channel();
            let (ws, server) = over.connect(
                |builder| builder.write_timeout(SHORT),
                move |peer| {
                    is_pinged.recv().unwrap();
                    peer.send(&ping(b"within"));
                    peer.expect(BINARY, &vec![b'x'; 2 * CHUNK]);
                    // It could not go between the chunks.
                    peer.expect(PONG, b"within");
                    peer.expect(TEXT, b"after it");
                },
            );
            let (mut receiver, sender) = ws.split();
            let (other, within) = (sender.clone(), sender.clone());
            let busy = |failed: Result<(), Error>| {
                let failed = error(failed);
                assert!(matches!(failed, Error::Timeout(Timeout::Busy)), "{failed:?}");
            };
            let slow = By(|buf: &mut [u8]| {
                pinged.send(()).unwrap();
                // The receiver notes the pong, and cannot send it now.
                assert_eq!(receiver.next_event().unwrap(), Event::Ping(b"within"));
                let other = other.clone();
                spawn(move || {
                    takes(SHORT, || busy(other.send("never sent")));
                    takes(SHORT, || busy(other.ping(b"never sent")));
                })
                .join();
                // So does the thread that reads.
                takes(SHORT, || busy(within.send("never sent")));
                buf.fill(b'x');
                Ok(buf.len())
            });
            let reader = io::repeat(b'x').take(CHUNK as u64).chain(slow);
            sender.send_reader(MessageKind::Binary, 2 * CHUNK as u64, reader).unwrap();
            sender.send("after it").unwrap();
            server.join();
        }
    });
}

#[test]
fn a_peer_that_takes_no_chunk_within_write_timeout_ends_the_connection() {
    watchdog(LIMIT, || {
        let (done, hold) = channel();
        let server = serve_on(small_listener(), move |peer| {
            peer.upgrade();
            peer.hold_open(&hold);
        });
        let ws = builder().write_timeout(SHORT).connect(&server.url()).unwrap();
        let endless = io::repeat(b'x');
        let late = takes(SHORT, || ws.send_reader(MessageKind::Binary, 1 << 40, endless));
        let late = held(late.unwrap_err());
        assert!(matches!(late, Error::Timeout(Timeout::Send)), "{late:?}");
        assert!(!ws.is_open());
        drop(done);
        server.join();
    });
}

#[test]
fn a_close_of_another_thread_is_sent_after_the_message() {
    watchdog(LIMIT, || {
        for over in ALL {
            let (mut ws, server) = over.connect(
                |builder| builder,
                |peer| {
                    peer.expect(BINARY, &vec![b'x'; 3 * CHUNK]);
                    peer.expect_close(1000);
                    peer.send(&close(1000, ""));
                    peer.expect_end();
                },
            );
            let (sender, closer) = (ws.sender(), ws.sender());
            let closes = By(|_: &mut [u8]| {
                let closer = closer.clone();
                spawn(move || closer.close(CloseCode::NORMAL)).join().unwrap();
                Ok(0)
            });
            let begun = io::repeat(b'x').take(CHUNK as u64);
            let reader = begun.chain(closes).chain(io::repeat(b'x'));
            sender.send_reader(MessageKind::Binary, 3 * CHUNK as u64, reader).unwrap();
            assert!(error(ws.recv()).closed().unwrap().is_clean());
            server.join();
        }
    });
}

/// Sends a message of two chunks. Between them `end` ends the connection, and the receiver must
/// learn of it while the reader still waits. Returns the errors of both.
fn ended_within(end: fn(&landline::Sender)) -> (Error, Error) {
    let (ws, server) =
        Over::Plain.connect(|builder| builder.close_timeout(SHORT), Peer::read_to_end);
    let (mut receiver, sender) = ws.split();
    let mut received = None;
    let waits = By(|_: &mut [u8]| {
        end(&sender);
        received = Some(takes_at_most(SHORT + PROMPT, || error(receiver.recv())));
        Ok(0)
    });
    let reader = io::repeat(b'x').take(CHUNK as u64).chain(waits).chain(io::repeat(b'x'));
    let sent = takes_at_most(SHORT + PROMPT, || {
        sender.send_reader(MessageKind::Binary, 2 * CHUNK as u64, reader)
    });
    assert_eq!(server.join().len(), 14 + CHUNK);
    (held(sent.unwrap_err()), received.unwrap())
}

#[test]
fn an_abort_does_not_wait_for_the_reader() {
    watchdog(LIMIT, || {
        let (sent, received) = ended_within(landline::Sender::abort);
        for ended in [sent, received] {
            assert!(matches!(ended.closed().unwrap().cause(), Cause::Aborted), "{ended:?}");
        }
    });
}

#[test]
fn a_close_waits_for_the_reader_no_longer_than_close_timeout() {
    watchdog(LIMIT, || {
        let (sent, received) = ended_within(|sender| sender.close(CloseCode::NORMAL).unwrap());
        for ended in [sent, received] {
            let cause = ended.closed().unwrap().cause();
            assert!(matches!(cause, Cause::Timeout(Timeout::Close)), "{ended:?}");
        }
    });
}

#[test]
fn a_close_ends_an_endless_message_after_close_timeout() {
    watchdog(LIMIT, || {
        let (ws, server) = Over::Plain.connect(
            |builder| builder.close_timeout(SHORT),
            // The peer takes all of it.
            |peer| io::copy(&mut peer.socket(), &mut io::sink()),
        );
        let closes = By(|_: &mut [u8]| {
            ws.sender().close(CloseCode::NORMAL).unwrap();
            Ok(0)
        });
        let begun = io::repeat(b'x').take(CHUNK as u64);
        let reader = begun.chain(closes).chain(io::repeat(b'x'));
        let sent = takes(SHORT, || ws.send_reader(MessageKind::Binary, 1 << 60, reader));
        let ended = held(sent.unwrap_err());
        let cause = ended.closed().unwrap().cause();
        assert!(matches!(cause, Cause::Timeout(Timeout::Close)), "{ended:?}");
        let _ = server.join();
    });
}

#[test]
fn a_reader_can_be_sent_while_the_thread_unwinds() {
    watchdog(LIMIT, || {
        struct AtLast<'a>(&'a WebSocket);
        impl Drop for AtLast<'_> {
            fn drop(&mut self) {
                let len = 2 * CHUNK as u64;
                self.0.send_reader(MessageKind::Binary, len, io::repeat(b'x')).unwrap();
                let ended = self.0.send_reader(MessageKind::Binary, len, &[b'x'; CHUNK][..]);
                assert!(ended.is_err_and(|error| held(error).is_fatal()));
            }
        }
        let (ws, server) = Over::Plain.connect(
            |builder| builder,
            |peer| {
                peer.expect(BINARY, &vec![b'x'; 2 * CHUNK]);
                peer.read_to_end()
            },
        );
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let _at_last = AtLast(&ws);
            panic!("on purpose");
        }));
        assert!(panicked.is_err() && !ws.is_open());
        server.join();
    });
}

#[test]
fn a_close_within_a_message_that_is_read_for_another_is_not_waited_for() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            peer.send(&[frame(BINARY, false, &[1; 100 << 10]), close(1001, "")].concat());
            peer.stall()
        });
        let (mut receiver, sender) = builder().connect(&server.url()).unwrap().split();
        // The thread that sends is the one that receives.
        let failed = promptly(|| {
            let reader = receiver.reader().unwrap();
            sender.send_reader(MessageKind::Binary, 200 << 10, reader).unwrap_err()
        });
        assert!(failed.to_string().contains("1001"), "{failed}");
        let error = promptly(|| error(receiver.recv()));
        let closed = error.closed().unwrap();
        assert_eq!(closed.code().value(), 1001);
        // Our answer could not follow, because the message is cut.
        assert!(closed.local().is_none() && !closed.is_clean(), "{closed:?}");
        drop((receiver, sender));
        server.join();
    });
}
