//! The closing handshake (RFC 6455 section 7), begun from either side.

#![allow(clippy::unwrap_used)] // `clippy.toml` allows it in test functions only.

use crate::support;

use std::io::Write as _;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use landline::error::{Cause, Side};
use landline::{CloseCode, CloseFrame, Error, Message, MessageKind};
use support::streams::Call;
use support::*;

#[test]
fn a_peer_that_closes_gets_its_code_back() {
    watchdog(LIMIT, || {
        let codes = [
            1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999,
            4000, 4999,
        ];
        for code in codes {
            let server = upgraded(move |peer| {
                peer.send(&close(code, "why"));
                let answer = peer.expect_close(code);
                peer.expect_end();
                answer
            });
            let mut ws = builder().connect(&server.url()).unwrap();
            let sender = ws.sender();
            promptly(|| {
                for _ in 0..2 {
                    let closed = error(ws.recv()).closed().cloned().unwrap();
                    assert!(closed.is_clean());
                    assert_eq!((closed.code().value(), closed.reason()), (code, "why"));
                    assert_eq!(closed.initiator(), Some(Side::Peer));
                    assert_eq!(closed.peer(), Some(&CloseFrame::new(CloseCode::new(code), "why")));
                    assert_eq!(closed.local(), Some(&CloseCode::new(code).into()));
                    assert!(matches!(closed.cause(), Cause::Close));
                }
                assert!(error(sender.send("late")).closed().unwrap().is_clean());
                assert!(error(sender.close(CloseCode::NORMAL)).closed().unwrap().is_clean());
                // The server sees our Close and the end of the stream while this end is open.
                server.join();
            });
        }
    });
}

#[test]
fn a_peer_that_closes_without_a_code_gets_an_empty_close_back() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            peer.send(&frame(CLOSE, true, b""));
            peer.expect(CLOSE, b"");
            peer.expect_end();
        });
        let mut ws = builder().connect(&server.url()).unwrap();
        let closed = error(ws.recv()).closed().cloned().unwrap();
        assert!(closed.is_clean());
        assert_eq!(closed.code(), CloseCode::NO_STATUS);
        assert_eq!(closed.peer(), Some(&CloseFrame::empty()));
        server.join();
    });
}

#[test]
fn a_peer_may_give_a_reason_of_123_bytes_and_control_characters() {
    watchdog(LIMIT, || {
        let reason = format!("\u{1b}[2J\n\"{}", "x".repeat(117));
        let sent = reason.clone();
        let server = upgraded(move |peer| {
            peer.send(&close(1000, &sent));
            peer.expect_close(1000);
        });
        let mut ws = builder().connect(&server.url()).unwrap();
        let said = error(ws.recv());
        assert_eq!(said.closed().unwrap().reason(), reason);
        let shown = said.to_string();
        assert!(!shown.contains(char::is_control), "{shown:?}");
        server.join();
    });
}

#[test]
fn our_close_has_our_code_and_reason_and_is_answered() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            assert_eq!(peer.expect_close(4321).reason(), "done here");
            // The answer may have another code.
            peer.send(&close(1001, "also going"));
            peer.expect_end();
        });
        let mut ws = builder().connect(&server.url()).unwrap();
        let closed = ws.close((CloseCode::new(4321), "done here"));
        // `close` waits for the server to end the stream, which this server does.
        let closed = closed.unwrap();
        assert!(closed.is_clean());
        assert_eq!(closed.initiator(), Some(Side::Local));
        assert_eq!((closed.code().value(), closed.reason()), (1001, "also going"));
        assert_eq!(closed.local(), Some(&CloseFrame::new(CloseCode::new(4321), "done here")));
        server.join();
    });
}

#[test]
fn an_empty_close_of_ours_has_no_payload() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            peer.expect(CLOSE, b"");
            peer.send(&frame(CLOSE, true, b""));
            peer.expect_end();
        });
        let mut ws = builder().connect(&server.url()).unwrap();
        let closed = promptly(|| ws.close(CloseFrame::empty()).unwrap());
        assert!(closed.is_clean());
        assert_eq!(closed.code(), CloseCode::NO_STATUS);
        server.join();
    });
}

#[test]
fn closes_that_cross_on_the_wire_are_clean_and_one_each() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            peer.send(&close(1001, "mine"));
            peer.expect_close(1000);
            peer.expect_end();
        });
        let mut ws = builder().connect(&server.url()).unwrap();
        let closed = ws.close((CloseCode::NORMAL, "mine too")).unwrap();
        assert!(closed.is_clean());
        assert_eq!(closed.code(), CloseCode::GOING_AWAY);
        assert_eq!(closed.local().unwrap().code, Some(CloseCode::NORMAL));
        server.join();
    });
}

#[test]
fn a_peer_that_finishes_its_messages_before_it_answers_our_close_is_read_until_then() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            peer.expect_close(1000);
            peer.send(&[text("one"), ping(b"?"), text("two"), close(1000, "")].concat());
            // A Ping after our Close is not answered: see `Refused::AfterClose`.
            peer.expect_end();
        });
        let mut ws = builder().connect(&server.url()).unwrap();
        let sender = ws.sender();
        sender.close(CloseCode::NORMAL).unwrap();
        assert!(error(sender.send("late")).closed().is_some());
        assert!(error(sender.close(CloseCode::NORMAL)).closed().is_some());
        let messages: Vec<_> = ws.messages().map(Result::unwrap).collect();
        assert_eq!(messages, [Message::from("one"), Message::from("two")]);
        assert!(ws.close(CloseCode::NORMAL).unwrap().is_clean());
        server.join();
    });
}

#[test]
fn a_peer_that_keeps_the_connection_open_after_both_closes_does_not_delay_recv() {
    watchdog(LIMIT, || {
        let (done, hold) = channel();
        let server = upgraded(move |peer| {
            peer.send(&close(1000, ""));
            peer.expect_close(1000);
            peer.expect_end();
            peer.hold_open(&hold);
        });
        let mut ws = builder().connect(&server.url()).unwrap();
        assert!(promptly(|| error(ws.recv())).closed().unwrap().is_clean());
        promptly(|| drop(ws));
        drop(done);
        server.join();
    });
}

#[test]
fn a_peer_that_answers_our_close_and_keeps_the_connection_open_delays_close_by_two_seconds_at_most()
{
    watchdog(LIMIT, || {
        let (done, hold) = channel();
        let server = upgraded(move |peer| {
            peer.expect_close(1000);
            peer.send(&close(1000, ""));
            peer.hold_open(&hold);
        });
        let mut ws = builder().connect(&server.url()).unwrap();
        let closed = takes(Duration::from_secs(2), || ws.close(CloseCode::NORMAL).unwrap());
        assert!(closed.is_clean());
        drop(done);
        server.join();
    });
}

#[test]
fn closing_again_returns_the_same_outcome_and_sends_nothing() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            peer.expect_close(1000);
            peer.send(&close(1000, "once"));
            peer.expect_end();
        });
        let mut ws = builder().connect(&server.url()).unwrap();
        for code in [1000, 1001, 4000] {
            let closed = promptly(|| ws.close(CloseCode::new(code)).unwrap());
            assert!(closed.is_clean());
            assert_eq!(
                (closed.reason(), closed.local().unwrap().code),
                ("once", Some(CloseCode::NORMAL))
            );
        }
        for _ in 0..2 {
            assert!(error(ws.recv()).closed().unwrap().is_clean());
            assert_eq!(error(ws.try_recv()).closed().unwrap().reason(), "once");
        }
        server.join();
    });
}

#[test]
fn a_peer_that_closes_and_resets_at_once_is_still_a_clean_end() {
    watchdog(LIMIT, || {
        let (done, hold) = channel();
        let server = upgraded(move |peer| {
            peer.send(&close(1000, "off"));
            // The reset waits until the Close has reached the client's socket. Otherwise it could
            // overtake the Close.
            peer.hold_open(&hold);
            peer.rst();
        });
        let mut ws = builder().connect(&server.url()).unwrap();
        // `recv` answers the Close. The answer may meet the reset or not.
        let closed = error(ws.recv()).closed().cloned().unwrap();
        drop(done);
        server.join();
        assert!(closed.is_clean());
        let again = promptly(|| ws.close(CloseCode::NORMAL).unwrap());
        assert!(again.is_clean());
        assert_eq!(again.reason(), "off");
    });
}

#[test]
fn a_peer_that_resets_instead_of_answering_our_close_makes_the_end_unclean() {
    watchdog(LIMIT, || {
        for reset in [true, false] {
            let server = upgraded(move |peer| {
                peer.expect_close(1000);
                if reset {
                    peer.rst()
                } else {
                    peer.fin()
                }
                peer.stall();
            });
            let mut ws = builder().connect(&server.url()).unwrap();
            let closed = promptly(|| ws.close(CloseCode::NORMAL).unwrap());
            assert!(!closed.is_clean());
            assert_eq!(closed.code(), CloseCode::ABNORMAL);
            assert_eq!(closed.initiator(), Some(Side::Local));
            server.join();
        }
    });
}

#[test]
fn a_peer_that_ends_only_its_sending_side_ends_the_connection() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            peer.send(&text("last words"));
            peer.fin();
            peer.stall()
        });
        let mut ws = builder().connect(&server.url()).unwrap();
        assert_eq!(ws.recv().unwrap(), Message::from("last words"));
        let closed = error(ws.recv()).closed().cloned().unwrap();
        assert!(matches!(closed.cause(), Cause::Eof));
        assert_eq!((closed.is_clean(), closed.code()), (false, CloseCode::ABNORMAL));
        assert!(error(ws.send("anybody?")).closed().is_some());
        // The connection is cut although `ws` is not dropped.
        server.join();
    });
}

#[test]
fn a_close_that_must_not_be_sent_closes_nothing() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            peer.expect(TEXT, b"still here");
            peer.expect_close(1000);
            peer.send(&close(1000, ""));
        });
        let mut ws = builder().connect(&server.url()).unwrap();
        for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65535] {
            assert!(matches!(error(ws.close(CloseCode::new(code))), Error::InvalidInput(_)));
        }
        let reason = "x".repeat(124);
        assert!(matches!(error(ws.close((CloseCode::NORMAL, reason))), Error::InvalidInput(_)));
        ws.send("still here").unwrap();
        let reason = "x".repeat(123);
        assert!(ws.close((CloseCode::NORMAL, reason)).unwrap().is_clean());
        server.join();
    });
}

#[test]
fn dropping_sends_1001_and_does_not_wait() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| peer.stall());
        let ws = builder().connect(&server.url()).unwrap();
        ws.send("the last").unwrap();
        promptly(|| drop(ws));
        let frames = server.join();
        assert_eq!(frames[0].payload, b"the last");
        assert_eq!((frames.len(), frames[1].close_code()), (2, Some(1001)));
    });
}

#[test]
fn dropping_with_unread_data_still_sends_1001() {
    watchdog(LIMIT, || {
        let (sent, is_sent) = channel();
        let server = upgraded(move |peer| {
            peer.send(&text("never read").repeat(100));
            sent.send(()).unwrap();
            peer.stall()
        });
        let mut ws = builder().connect(&server.url()).unwrap();
        is_sent.recv().unwrap();
        assert_eq!(ws.recv().unwrap(), Message::from("never read"));
        promptly(|| drop(ws));
        let frames = server.join();
        assert_eq!((frames.len(), frames[0].close_code()), (1, Some(1001)));
    });
}

#[test]
fn a_sender_that_is_dropped_after_its_receiver_does_not_reset_the_connection() {
    const SIZE: usize = 200 << 10;
    watchdog(LIMIT, || {
        let (alone, is_alone) = channel::<()>();
        let (sent, is_sent) = channel();
        let (dropped, is_dropped) = channel::<()>();
        let server = serve_on(small_listener(), move |peer| {
            peer.upgrade();
            is_alone.recv().unwrap();
            peer.send(&text("never read").repeat(100));
            sent.send(()).unwrap();
            // The message waits in the client's system: the server's has little room.
            is_dropped.recv().unwrap();
            assert_eq!(peer.next_frame().unwrap().payload.len(), SIZE);
            peer.expect_close(1001);
            peer.expect_end();
        });
        let (receiver, sender) = builder().connect(&server.url()).unwrap().split();
        drop(receiver);
        alone.send(()).unwrap();
        is_sent.recv().unwrap();
        sender.send(vec![0; SIZE]).unwrap();
        promptly(|| drop(sender));
        dropped.send(()).unwrap();
        server.join();
    });
}

#[test]
fn dropping_while_the_peer_reads_nothing_does_not_wait() {
    watchdog(LIMIT, || {
        let (done, hold) = channel();
        let server = serve_on(small_listener(), move |peer| {
            peer.upgrade();
            peer.hold_open(&hold);
        });
        let ws = builder().write_timeout(SHORT).connect(&server.url()).unwrap();
        let _ = ws.send(vec![0; 16 << 20]);
        promptly(|| drop(ws));
        drop(done);
        server.join();
    });
}

#[test]
fn dropping_one_half_leaves_the_other_one_working() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            peer.send(&text("heard"));
            peer.expect(TEXT, b"said");
            peer.expect_close(1001);
        });
        let (mut receiver, sender) = builder().connect(&server.url()).unwrap().split();
        let other = sender.clone();
        drop(sender);
        assert_eq!(receiver.recv().unwrap(), Message::from("heard"));
        drop(receiver);
        other.send("said").unwrap();
        drop(other);
        server.join();
    });
}

#[test]
fn closing_from_another_thread_ends_a_blocked_recv() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            peer.expect_close(1000);
            peer.send(&close(1000, ""));
            peer.expect_end();
        });
        let (mut receiver, sender) = builder().connect(&server.url()).unwrap().split();
        let receiving = spawn(move || error(receiver.recv()));
        sender.close(CloseCode::NORMAL).unwrap();
        let said = promptly(|| receiving.join());
        assert!(said.closed().unwrap().is_clean());
        assert_eq!(said.closed().unwrap().initiator(), Some(Side::Local));
        server.join();
    });
}

#[test]
fn closing_from_another_thread_bounds_a_blocked_recv_if_the_peer_never_answers() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| peer.stall());
        let ws = builder().close_timeout(SHORT).connect(&server.url()).unwrap();
        let (mut receiver, sender) = ws.split();
        let (inside, is_inside) = channel();
        let receiving = spawn(move || {
            inside.send(()).unwrap();
            error(receiver.recv())
        });
        is_inside.recv().unwrap();
        let said = takes(SHORT, || {
            sender.close(CloseCode::NORMAL).unwrap();
            receiving.join()
        });
        let closed = said.closed().unwrap();
        assert!(!closed.is_clean());
        assert!(matches!(closed.cause(), Cause::Timeout(landline::Timeout::Close)), "{closed:?}");
        server.join();
    });
}

/// Starts a peer that reads nothing after the handshake. It reports when the first byte has come,
/// and keeps the connection open until the other end of `hold` is dropped.
fn takes_nothing(come: Sender<()>, hold: Receiver<()>) -> Server<()> {
    serve_on(small_listener(), move |peer| {
        peer.upgrade();
        peer.socket().peek(&mut [0]).unwrap();
        come.send(()).unwrap();
        peer.hold_open(&hold);
    })
}

#[test]
fn closing_from_another_thread_ends_a_blocked_send() {
    watchdog(LIMIT, || {
        let ((come, has_come), (done, hold)) = (channel(), channel());
        let server = takes_nothing(come, hold);
        let ws = builder().close_timeout(SHORT).connect(&server.url()).unwrap();
        let (mut receiver, sender) = ws.split();
        let other = sender.clone();
        let sending = spawn(move || error(other.send(vec![0; 64 << 20])));
        // The message is being written now and cannot be finished, so no Close can be sent.
        has_come.recv().unwrap();
        let said = takes(SHORT, || {
            sender.close(CloseCode::NORMAL).unwrap();
            sending.join()
        });
        let told = promptly(|| error(receiver.recv()));
        for closed in [said.closed().unwrap(), told.closed().unwrap()] {
            assert!(matches!(closed.cause(), Cause::Timeout(landline::Timeout::Close)));
            assert!(!closed.is_clean());
        }
        drop(done);
        server.join();
    });
}

#[test]
fn close_is_bounded_if_the_peer_neither_reads_nor_answers() {
    watchdog(LIMIT, || {
        let ((come, has_come), (done, hold)) = (channel(), channel());
        let server = takes_nothing(come, hold);
        let mut ws = builder().close_timeout(SHORT).connect(&server.url()).unwrap();
        let sender = ws.sender();
        let sending = spawn(move || error(sender.send(vec![0; 64 << 20])));
        has_come.recv().unwrap();
        let closed = takes(SHORT, || ws.close(CloseCode::NORMAL).unwrap());
        assert!(!closed.is_clean());
        promptly(|| sending.join());
        drop(done);
        server.join();
    });
}

#[test]
fn a_message_that_is_abandoned_closes_with_1011() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            let part = peer.next_frame().unwrap();
            assert_eq!((part.opcode, part.fin, &*part.payload), (TEXT, false, &b"the beginn"[..]));
            peer.expect_close(1011);
            peer.send(&close(1011, ""));
        });
        let mut ws = builder().connect(&server.url()).unwrap();
        let sender = ws.sender();
        let mut writer = sender.writer(MessageKind::Text).unwrap();
        writer.write_all(b"the beginn").unwrap();
        writer.flush().unwrap();
        writer.write_all(b"ing").unwrap();
        drop(writer);
        assert!(error(sender.send("more")).closed().is_some());
        assert!(error(ws.recv()).closed().unwrap().is_clean());
        server.join();
    });
}

#[test]
fn a_peer_that_closed_before_our_write_failed_is_the_one_that_began_to_close() {
    watchdog(LIMIT, || {
        let (closed, has_closed) = channel();
        let server = upgraded(move |peer| {
            peer.send(&close(4000, "enough"));
            closed.send(()).unwrap();
            peer.stall()
        });
        let broken = Arc::new(AtomicBool::new(false));
        let is_broken = broken.clone();
        let stream = TcpStream::connect(server.addr).unwrap();
        let stream = streams::Judged::new(stream, usize::MAX, move |_, call| {
            match call == Call::Write && is_broken.load(Ordering::SeqCst) {
                true => Err(std::io::ErrorKind::BrokenPipe.into()),
                false => Ok(()),
            }
        });
        let mut ws = builder().connect_over("ws://broken/", stream).unwrap();
        let sender = ws.sender();
        let mut writer = sender.writer(MessageKind::Text).unwrap();
        writer.write_all(b"the beginning").unwrap();
        writer.flush().unwrap();
        has_closed.recv().unwrap();
        broken.store(true, Ordering::SeqCst);
        writer.write_all(b"the end").unwrap();
        // The message failed, and was not abandoned here. So we send no Close.
        assert!(error(writer.finish()).closed().is_some());
        let closed = error(ws.recv()).closed().cloned().unwrap();
        assert_eq!((closed.code().value(), closed.reason()), (4000, "enough"));
        assert_eq!(closed.initiator(), Some(Side::Peer), "{closed:?}");
        assert_eq!((closed.local(), closed.is_clean()), (None, false), "{closed:?}");
        drop((ws, sender));
        server.join();
    });
}

#[test]
fn a_message_of_which_nothing_was_sent_may_be_abandoned() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            peer.expect(TEXT, b"whole");
            peer.expect_close(1001);
        });
        let ws = builder().connect(&server.url()).unwrap();
        let sender = ws.sender();
        let mut writer = sender.writer(MessageKind::Text).unwrap();
        writer.write_all(b"never sent").unwrap();
        drop(writer);
        sender.send("whole").unwrap();
        drop((ws, sender));
        server.join();
    });
}

#[test]
fn an_answer_to_our_close_that_came_in_time_is_clean_however_late_it_is_read() {
    watchdog(LIMIT, || {
        let (answered, has_answered) = channel();
        let server = upgraded(move |peer| {
            peer.expect_close(1000);
            peer.send(&close(1000, "in time"));
            answered.send(()).unwrap();
            peer.stall()
        });
        let mut ws = builder().close_timeout(SHORT).connect(&server.url()).unwrap();
        ws.sender().close(CloseCode::NORMAL).unwrap();
        has_answered.recv().unwrap();
        // The program does something else, for longer than the timeout.
        std::thread::sleep(SHORT * 2);
        let closed = error(ws.recv()).closed().cloned().unwrap();
        assert!(closed.is_clean(), "{closed:?}");
        assert_eq!(closed.reason(), "in time");
        drop(ws);
        server.join();
    });
}

#[test]
fn a_close_that_a_blocked_sender_kept_back_is_not_reported_as_sent() {
    watchdog(LIMIT, || {
        let (done, hold) = channel();
        let server = serve_on(small_listener(), move |peer| {
            peer.upgrade();
            peer.socket().peek(&mut [0]).unwrap();
            peer.send(&close(1009, "too big"));
            peer.hold_open(&hold);
        });
        let ws = builder().close_timeout(SHORT).connect(&server.url()).unwrap();
        let (mut receiver, sender) = ws.split();
        let sending = spawn(move || sender.send(vec![0; 64 << 20]).unwrap_err());
        let closed = promptly(|| error(receiver.recv())).closed().cloned().unwrap();
        assert_eq!((closed.code().value(), closed.local(), closed.is_clean()), (1009, None, false));
        assert!(sending.join().closed().is_some());
        drop(done);
        server.join();
    });
}

#[test]
fn messages_that_came_in_time_are_received_however_long_the_program_takes_for_each() {
    /// All of them come in one read, as on a busy machine they must.
    const SIZE: usize = 300;
    watchdog(LIMIT, || {
        let (answered, has_answered) = channel();
        let server = upgraded(move |peer| {
            peer.expect_close(1000);
            (0..12).for_each(|n| peer.send(&binary(&[n; SIZE])));
            peer.send(&close(1000, "in time"));
            answered.send(()).unwrap();
            peer.stall()
        });
        let mut ws = builder().close_timeout(SHORT).connect(&server.url()).unwrap();
        ws.sender().close(CloseCode::NORMAL).unwrap();
        has_answered.recv().unwrap();
        std::thread::sleep(SHORT * 2); // The program does something else.
        for n in 0..12 {
            assert_eq!(ws.recv().unwrap(), Message::from(&[n; SIZE][..]));
            std::thread::sleep(Duration::from_millis(30)); // It takes long for each message.
        }
        let closed = error(ws.recv()).closed().cloned().unwrap();
        assert!(closed.is_clean(), "{closed:?}");
        drop(ws);
        server.join();
    });
}

#[test]
fn a_program_that_is_slow_to_take_a_flood_after_our_close_is_not_kept_by_it() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            peer.expect_close(1000);
            let flood = text(&"x".repeat(1000)).repeat(60);
            // A kernel may take minutes to tell a blocked writer that the other end is gone.
            peer.socket().set_write_timeout(Some(SHORT * 4)).unwrap();
            while peer.try_send(&flood).is_ok() {}
        });
        let mut ws = builder().close_timeout(SHORT).connect(&server.url()).unwrap();
        ws.sender().close(CloseCode::NORMAL).unwrap();
        let begun = Instant::now();
        while ws.recv().is_ok() {
            std::thread::sleep(Duration::from_millis(1)); // This makes the program slow.
        }
        // Messages that are in the buffer when the time is over are still received.
        let took = begun.elapsed();
        assert!(took < SHORT + Duration::from_secs(2) + PROMPT * 2, "{took:?}");
        assert!(matches!(ws.closed().unwrap().cause(), Cause::Timeout(_)));
        drop(ws);
        server.join();
    });
}

#[test]
fn a_peer_that_does_not_read_before_it_has_sent_all_still_gets_our_close() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            peer.expect(TEXT, b"begin");
            peer.send(&binary(&[7; 4 << 20]));
            peer.expect_close(1000);
            peer.send(&close(1000, ""));
        });
        // Once `full` is set, nothing can be written until most of the big message is read.
        let (full, reads) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (is_full, count) = (full.clone(), reads.clone());
        let stream = TcpStream::connect(server.addr).unwrap();
        let stream = streams::Judged::new(stream, 64 * 1024, move |_, call| {
            if is_full.load(Ordering::SeqCst) {
                match call {
                    Call::Read => drop(count.fetch_add(1, Ordering::SeqCst)),
                    Call::Write if count.load(Ordering::SeqCst) < 32 => {
                        return Err(std::io::ErrorKind::WouldBlock.into());
                    }
                    _ => {}
                }
            }
            Ok(())
        });
        let builder = builder().write_timeout(Duration::from_secs(2));
        let mut ws = builder.connect_over("ws://full/", stream).unwrap();
        ws.send("begin").unwrap();
        full.store(true, Ordering::SeqCst);
        let closed = ws.close(CloseCode::NORMAL).unwrap();
        assert!(closed.is_clean(), "{closed:?}");
        assert!(reads.load(Ordering::SeqCst) >= 32);
        server.join();
    });
}
