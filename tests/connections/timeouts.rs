//! Every wait has a deadline that no peer can extend, and `recv_timeout` loses nothing.

#![allow(clippy::unwrap_used)] // `clippy.toml` allows it in test functions only.

use crate::support;

use std::io::Read as _;
use std::io::Write as _;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use landline::error::Cause;
use landline::{CloseCode, Error, Event, Keepalive, Message, Timeout};
use support::*;

const MILLI: Duration = Duration::from_millis(1);

fn timed_out<T: std::fmt::Debug>(result: Result<T, Error>, what: Timeout) {
    let said = error(result);
    let Error::Timeout(timeout) = said else { panic!("not Timeout::{what:?}: {said:?}") };
    assert_eq!(timeout, what);
    assert_eq!(said.is_fatal(), !matches!(what, Timeout::Recv | Timeout::Busy));
}

#[test]
fn a_peer_that_stalls_anywhere_in_a_frame_loses_nothing() {
    watchdog(LIMIT, || {
        let frames =
            [text("grüße"), binary(&[7; 130]), frame(TEXT, false, b"a"), frame(0, true, b"b")];
        let bytes = frames.concat();
        let total = bytes.len();
        let (go, went) = channel::<()>();
        let server = upgraded(move |peer| {
            for byte in bytes {
                // The client reports each timeout.
                went.recv().unwrap();
                peer.send(&[byte]);
            }
            peer.stall()
        });
        let mut ws = builder().connect(&server.url()).unwrap();
        let mut messages = Vec::new();
        let mut timeouts = 0;
        let mut sent = 0;
        while messages.len() < 3 {
            match ws.recv_timeout(MILLI) {
                Ok(message) => messages.push(message),
                Err(Error::Timeout(Timeout::Recv)) => {
                    timeouts += 1;
                    if sent < total {
                        go.send(()).unwrap();
                        sent += 1;
                    }
                }
                Err(other) => panic!("{other:?}"),
            }
        }
        assert_eq!(sent, total);
        assert!(timeouts >= total);
        let expected = [Message::from("grüße"), Message::from(&[7; 130][..]), Message::from("ab")];
        assert_eq!(messages, expected);
        drop(ws);
        server.join();
    });
}

#[test]
fn a_peer_that_is_silent_lets_any_recv_timeout_pass() {
    watchdog(LIMIT, || {
        let (go, went) = channel::<()>();
        let server = upgraded(move |peer| {
            went.recv().unwrap();
            peer.send(&text("at last"));
            peer.stall()
        });
        let mut ws = builder().connect(&server.url()).unwrap();
        for timeout in [Duration::ZERO, Duration::from_nanos(1), Duration::from_micros(999), MILLI]
        {
            promptly(|| timed_out(ws.recv_timeout(timeout), Timeout::Recv));
            promptly(|| timed_out(ws.next_event_timeout(timeout).map(drop), Timeout::Recv));
        }
        promptly(|| assert_eq!(ws.try_recv().unwrap(), None));
        takes(SHORT, || timed_out(ws.recv_timeout(SHORT), Timeout::Recv));
        go.send(()).unwrap();
        assert_eq!(ws.recv_timeout(Duration::MAX).unwrap(), Message::from("at last"));
        drop(ws);
        server.join();
    });
}

#[test]
fn a_message_that_has_arrived_is_received_without_waiting() {
    watchdog(LIMIT, || {
        let server = serve(|peer| {
            peer.read_request();
            let answer = [peer.good_answer(""), text("one"), text("two"), text("three")].concat();
            peer.send(&answer);
            peer.stall()
        });
        let mut ws = builder().connect(&server.url()).unwrap();
        assert_eq!(ws.recv().unwrap(), Message::from("one"));
        assert_eq!(ws.recv_timeout(Duration::ZERO).unwrap(), Message::from("two"));
        assert_eq!(ws.try_recv().unwrap(), Some(Message::from("three")));
        assert_eq!(ws.try_recv().unwrap(), None);
        drop(ws);
        server.join();
    });
}

#[test]
fn a_peer_that_drips_a_frame_cannot_extend_a_recv_timeout() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| peer.drip(&binary(&[1; 1000]), MILLI * 5));
        let mut ws = builder().connect(&server.url()).unwrap();
        takes(SHORT, || timed_out(ws.recv_timeout(SHORT), Timeout::Recv));
        drop(ws);
        server.join();
    });
}

/// Starts a peer that writes `bytes` again and again without a pause, reads nothing, and stops when
/// the client is gone.
fn floods(bytes: Vec<u8>) -> Server<()> {
    upgraded(move |peer| {
        let bytes = bytes.repeat(64 * 1024 / bytes.len());
        // A kernel may take minutes to tell a blocked writer that the other end is gone.
        peer.socket().set_write_timeout(Some(SHORT * 4)).unwrap();
        while peer.try_send(&bytes).is_ok() {}
    })
}

/// Returns a connection to a peer that sends `first`, and then `again` without a pause.
fn endless(first: &[u8], again: &[u8]) -> landline::WebSocket {
    let builder = builder().max_fragments(None).max_message_size(None).auto_pong(false);
    builder.connect_over("ws://endless/", streams::Endless::new(first, again)).unwrap()
}

#[test]
fn a_peer_that_floods_with_pings_cannot_extend_a_recv_timeout() {
    watchdog(LIMIT, || {
        let mut ws = endless(b"", &ping(b"flood"));
        takes(SHORT, || timed_out(ws.recv_timeout(SHORT), Timeout::Recv));
        promptly(|| timed_out(ws.recv_timeout(Duration::ZERO), Timeout::Recv));
    });
}

#[test]
fn a_peer_that_floods_with_pings_cannot_delay_try_recv() {
    watchdog(LIMIT, || {
        let mut ws = endless(b"", &ping(b"flood"));
        promptly(|| assert_eq!(ws.try_recv().unwrap(), None));
    });
}

#[test]
fn a_peer_that_floods_with_one_endless_message_cannot_extend_a_recv_timeout() {
    watchdog(LIMIT, || {
        let mut ws = endless(&frame(BINARY, false, b"begin"), &frame(0, false, b"m"));
        takes(SHORT, || timed_out(ws.recv_timeout(SHORT), Timeout::Recv));
    });
}

#[test]
fn a_peer_that_floods_can_be_closed_in_time() {
    watchdog(LIMIT, || {
        let builder = builder().close_timeout(SHORT);
        let stream = streams::Endless::new(b"", &binary(b"flood"));
        let mut ws = builder.connect_over("ws://endless/", stream).unwrap();
        let closed = takes(SHORT, || ws.close(CloseCode::NORMAL).unwrap());
        assert!(!closed.is_clean());
    });
}

#[test]
fn a_peer_that_floods_can_be_aborted() {
    watchdog(LIMIT, || {
        let mut ws = endless(b"", &ping(b"flood"));
        let sender = ws.sender();
        let receiving = spawn(move || error(ws.recv()));
        sender.abort();
        let said = promptly(|| receiving.join());
        assert!(matches!(said.closed().unwrap().cause(), Cause::Aborted), "{said:?}");
    });
}

#[test]
fn a_peer_that_floods_instead_of_answering_our_close_cannot_extend_the_close_timeout() {
    watchdog(LIMIT, || {
        let server = floods(binary(&[5; 1000]));
        let mut ws = builder().close_timeout(SHORT).connect(&server.url()).unwrap();
        let closed = takes(SHORT, || ws.close(CloseCode::NORMAL).unwrap());
        assert!(!closed.is_clean());
        assert!(matches!(closed.cause(), Cause::Timeout(Timeout::Close)), "{closed:?}");
        drop(ws);
        server.join();
    });
}

#[test]
fn a_peer_that_floods_after_its_close_cannot_delay_close() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            peer.expect_close(1000);
            peer.send(&close(1000, ""));
            peer.socket().set_write_timeout(Some(SHORT * 4)).unwrap();
            while peer.try_send(&[0; 64 * 1024]).is_ok() {}
        });
        let mut ws = builder().connect(&server.url()).unwrap();
        let started = Instant::now();
        let closed = ws.close(CloseCode::NORMAL).unwrap();
        assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
        assert!(closed.is_clean());
        drop(ws);
        server.join();
    });
}

#[test]
fn a_peer_that_never_answers_our_close_is_given_up_after_the_close_timeout() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| peer.stall());
        let mut ws = builder().close_timeout(SHORT).connect(&server.url()).unwrap();
        let closed = takes(SHORT, || ws.close((CloseCode::NORMAL, "bye")).unwrap());
        assert!(!closed.is_clean());
        assert_eq!(closed.code(), CloseCode::ABNORMAL);
        assert!(matches!(closed.cause(), Cause::Timeout(Timeout::Close)), "{closed:?}");
        assert!(closed.peer().is_none());
        // The connection is cut although `ws` is not dropped.
        let frames = server.join();
        assert_eq!((frames.len(), frames[0].close_code()), (1, Some(1000)));
        promptly(|| assert!(!ws.close(CloseCode::NORMAL).unwrap().is_clean()));
    });
}

#[test]
fn a_peer_that_stalls_within_its_close_frame_is_given_up_after_the_close_timeout() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            peer.send(&[0x88, 2, 3]);
            peer.stall()
        });
        let mut ws = builder().close_timeout(SHORT).connect(&server.url()).unwrap();
        let closed = takes(SHORT, || ws.close(CloseCode::NORMAL).unwrap());
        assert!(!closed.is_clean());
        assert!(matches!(closed.cause(), Cause::Timeout(Timeout::Close)), "{closed:?}");
        server.join();
    });
}

#[test]
fn a_peer_that_does_not_read_times_out_a_send_and_nothing_can_follow() {
    watchdog(LIMIT, || {
        let (done, hold) = channel();
        let server = serve_on(small_listener(), move |peer| {
            peer.upgrade();
            peer.hold_open(&hold);
            // Only a part of one frame has come, and nothing after it.
            peer.stall()
        });
        let mut ws = builder().write_timeout(SHORT).connect(&server.url()).unwrap();
        let sender = ws.sender();
        let big = vec![3; 32 << 20];
        takes(SHORT, || timed_out(sender.send(&big), Timeout::Send));
        for _ in 0..2 {
            let refused = error(sender.send("more"));
            let closed = refused.closed().unwrap();
            assert!(matches!(closed.cause(), Cause::Timeout(Timeout::Send)), "{closed:?}");
            assert!(error(sender.ping(b"")).closed().is_some());
        }
        assert!(!sender.is_open());
        promptly(|| timed_out(ws.recv(), Timeout::Send));
        promptly(|| timed_out(ws.recv(), Timeout::Send));
        drop(done);
        assert_eq!(server.join(), []);
    });
}

#[test]
fn a_peer_that_does_not_read_wakes_the_receiver_when_a_send_times_out() {
    watchdog(LIMIT, || {
        let (done, hold) = channel();
        let server = serve_on(small_listener(), move |peer| {
            peer.upgrade();
            peer.hold_open(&hold);
        });
        let ws = builder().write_timeout(SHORT).connect(&server.url()).unwrap();
        let (mut receiver, sender) = ws.split();
        let receiving = spawn(move || error(receiver.recv()));
        takes(SHORT, || timed_out(sender.send(vec![3; 32 << 20]), Timeout::Send));
        let said = promptly(|| receiving.join());
        assert!(matches!(said, Error::Timeout(Timeout::Send)), "{said:?}");
        drop(done);
        server.join();
    });
}

#[test]
fn a_peer_that_goes_silent_is_given_up_by_keepalive() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| peer.stall());
        let builder = builder().keepalive(Keepalive::new(MILLI * 50, MILLI * 100));
        let mut ws = takes(MILLI * 150, || {
            let mut ws = builder.connect(&server.url()).unwrap();
            timed_out(ws.recv(), Timeout::Pong);
            ws
        });
        promptly(|| timed_out(ws.recv(), Timeout::Pong));
        let refused = error(ws.send("late"));
        assert!(matches!(refused.closed().unwrap().cause(), Cause::Timeout(Timeout::Pong)));
        // The connection is cut.
        let frames = server.join();
        assert_eq!((frames.len(), frames[0].opcode), (1, PING), "{frames:?}");
    });
}

#[test]
fn a_peer_that_answers_pings_lives_and_its_latency_is_known() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            for _ in 0..5 {
                let ping = peer.next_frame().unwrap();
                assert_eq!(ping.opcode, PING);
                peer.send(&frame(PONG, true, &ping.payload));
            }
            peer.send(&text("done"));
            peer.stall()
        });
        let builder = builder().keepalive(Keepalive::new(MILLI * 20, Duration::from_secs(5)));
        let ws = takes(MILLI * 100, || {
            let mut ws = builder.connect(&server.url()).unwrap();
            assert_eq!(ws.latency(), None);
            assert_eq!(ws.recv().unwrap(), Message::from("done"));
            ws
        });
        assert!(ws.latency().unwrap() < PROMPT);
        drop(ws);
        server.join();
    });
}

#[test]
fn a_peer_that_has_never_answered_a_ping_may_need_keepalive_off_and_the_error_says_so() {
    watchdog(LIMIT, || {
        for answers in [0_u32, 1] {
            for drops in [true, false] {
                let server = upgraded(move |peer| {
                    for _ in 0..answers {
                        let ping = peer.next_frame().unwrap();
                        peer.send(&frame(PONG, true, &ping.payload));
                    }
                    assert_eq!(peer.next_frame().unwrap().opcode, PING);
                    if drops {
                        peer.fin();
                    }
                    peer.stall();
                });
                let timeout = match (drops, answers) {
                    (true, _) => LIMIT,
                    (false, 1..) => PROMPT,
                    (false, 0) => SHORT,
                };
                let builder = builder().keepalive(Keepalive::new(MILLI * 20, timeout));
                let mut ws = builder.connect(&server.url()).unwrap();
                let said = error(ws.recv()).to_string();
                let ending = ws.closed().unwrap().to_string();
                let advice = "it never answered a keepalive ping: if it cannot, use Keepalive::OFF";
                assert_eq!(ending.contains(advice), answers == 0, "{ending}");
                if drops {
                    assert_eq!(said, ending);
                } else {
                    assert!(said.contains("if it never does, use Keepalive::OFF"), "{said}");
                }
                drop(ws);
                server.join();
            }
        }
    });
}

#[test]
fn the_error_of_a_connection_that_ends_before_a_ping_does_not_advise_keepalive_off() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| peer.fin());
        let builder = builder().keepalive(Keepalive::new(LIMIT, LIMIT));
        let said = error(builder.connect(&server.url()).unwrap().recv()).to_string();
        assert_eq!(said, "the peer ended the connection without a Close");
        server.join();
    });
}

#[test]
fn a_peer_that_sends_data_but_never_pongs_lives() {
    watchdog(LIMIT, || {
        // The peer sends a frame a byte at a time, for three times the time that it may be silent.
        let server = upgraded(|peer| {
            peer.drip(&binary(&[1; 60]), MILLI * 25);
            peer.stall()
        });
        let builder = builder().keepalive(Keepalive::new(MILLI * 20, MILLI * 500));
        let mut ws = builder.connect(&server.url()).unwrap();
        assert_eq!(ws.recv().unwrap().as_bytes().len(), 60);
        drop(ws);
        server.join();
    });
}

#[test]
fn a_peer_that_takes_long_to_read_a_big_message_is_not_given_up() {
    watchdog(LIMIT, || {
        // The peer reads all the time. It cannot answer the ping, which follows the message.
        let server = serve_on(small_listener(), |peer| {
            peer.upgrade();
            let mut took = 0;
            let mut buffer = vec![0; 64 * 1024];
            let started = Instant::now();
            while took < 2 << 20 || started.elapsed() < MILLI * 900 {
                took += std::io::Read::read(&mut peer.socket(), &mut buffer).unwrap();
                std::thread::sleep(MILLI * 10); // The peer is slow.
            }
            drop(buffer);
            peer.send(&text("got it"));
            loop {
                let mut buffer = [0; 64 * 1024];
                if !matches!(std::io::Read::read(&mut peer.socket(), &mut buffer), Ok(1..)) {
                    return;
                }
            }
        });
        let builder = builder().keepalive(Keepalive::new(MILLI * 50, MILLI * 200));
        let (mut receiver, sender) = builder.connect(&server.url()).unwrap().split();
        let sending = spawn(move || sender.send(vec![1; 8 << 20]));
        // The ping is to come behind the message, so the message must have begun.
        while receiver.counters().sent.bytes == 0 {
            std::thread::yield_now();
        }
        match receiver.recv() {
            Ok(message) => assert_eq!(message, Message::from("got it")),
            Err(other) => panic!("given up while it was reading: {other:?}"),
        }
        sending.join().unwrap();
        drop(receiver);
        server.join();
    });
}

/// Returns a builder whose sockets have send buffers of this size, so that the test knows how many
/// bytes they hold.
fn small_sends(keepalive: Keepalive, bytes: usize) -> landline::Builder {
    builder()
        .keepalive(keepalive)
        .on_socket(move |socket| socket2::SockRef::from(socket).set_send_buffer_size(bytes))
}

#[test]
fn a_peer_with_much_to_read_before_the_ping_has_the_time_for_it() {
    // The sockets hold the message, and the slowest peer that is not given up takes 2 s to read it.
    const MESSAGE: usize = 128 * 1024;
    watchdog(LIMIT, || {
        let (sent, was_sent) = channel();
        let server = upgraded(move |peer| {
            // The system has the message, and the ping after it. The peer reads nothing for longer
            // than it may be silent.
            was_sent.recv().unwrap();
            std::thread::sleep(MILLI * 800);
            assert_eq!(peer.next_frame().unwrap().payload.len(), MESSAGE);
            let ping = peer.next_frame().unwrap();
            assert_eq!(ping.opcode, PING);
            peer.send(&frame(PONG, true, &ping.payload));
            peer.send(&text("read it"));
            peer.stall();
        });
        let builder = small_sends(Keepalive::new(MILLI * 50, MILLI * 200), 128 * 1024);
        let (mut receiver, sender) = builder.connect(&server.url()).unwrap().split();
        sender.send(vec![1; MESSAGE]).unwrap();
        sent.send(()).unwrap();
        match receiver.recv() {
            Ok(message) => assert_eq!(message, Message::from("read it")),
            Err(other) => panic!("given up while it was reading: {other:?}"),
        }
        assert!(receiver.latency().unwrap() > MILLI * 200);
        drop((receiver, sender));
        server.join();
    });
}

#[test]
fn a_peer_with_much_to_read_before_the_ping_has_no_more_than_the_time_for_it() {
    watchdog(LIMIT, || {
        let (done, hold) = channel();
        let server = upgraded(move |peer| peer.hold_open(&hold));
        let builder = small_sends(Keepalive::new(MILLI * 50, MILLI * 100), 128 * 1024);
        // The ping comes after 50 ms. The message takes 1 s, and then come 100 ms of silence.
        takes(MILLI * 1150, || {
            let mut ws = builder.connect(&server.url()).unwrap();
            ws.send(vec![1; 64 * 1024]).unwrap();
            timed_out(ws.recv(), Timeout::Pong);
        });
        drop(done);
        server.join();
    });
}

#[test]
fn a_peer_that_reads_is_alive_and_is_given_up_when_it_stops_reading() {
    watchdog(LIMIT, || {
        let (done, hold) = channel();
        let (stopped, has_stopped) = channel();
        let server = serve_on(small_listener(), move |peer| {
            peer.upgrade();
            // The peer reads, and answers nothing.
            let started = Instant::now();
            let mut buffer = [0; 512];
            while started.elapsed() < MILLI * 3500 {
                assert!(std::io::Read::read(&mut peer.socket(), &mut buffer).unwrap() > 0);
                // This is slower than the pace that the client counts on.
                std::thread::sleep(MILLI * 20);
            }
            stopped.send(Instant::now()).unwrap();
            peer.hold_open(&hold);
        });
        let builder = small_sends(Keepalive::new(MILLI * 50, MILLI * 1200), 8 * 1024);
        let (mut receiver, sender) = builder.connect(&server.url()).unwrap().split();
        let sending = spawn(move || {
            // The messages go out as fast as the peer reads them.
            while sender.send([1; 4 * 1024]).is_ok() {}
        });
        timed_out(receiver.recv(), Timeout::Pong);
        let given_up = Instant::now();
        let stopped =
            has_stopped.try_recv().expect("it was given up while it still took something");
        // The buffers may take some more bytes after the peer has stopped.
        let late = given_up - stopped;
        assert!(late > MILLI * 300 && late < MILLI * 1200 + PROMPT, "{late:?}");
        sending.join();
        drop(done);
        server.join();
    });
}

#[test]
fn a_peer_that_gets_the_ping_late_has_the_whole_timeout_to_answer() {
    const MESSAGE: usize = 8 << 20; // The sockets cannot hold a message of this size.
    watchdog(LIMIT, || {
        // The peer takes long to read, so the ping waits behind the message. Then the peer takes
        // long to answer.
        let server = serve_on(small_listener(), |peer| {
            peer.upgrade();
            std::thread::sleep(MILLI * 500 * SLOWNESS);
            // These are the frame of the message and the ping.
            let frames = (14 + MESSAGE + 14) as u64;
            let read = std::io::copy(&mut peer.socket().take(frames), &mut std::io::sink());
            assert_eq!(read.unwrap(), frames);
            std::thread::sleep(MILLI * 300 * SLOWNESS);
            peer.send(&text("late"));
            peer.stall();
        });
        let builder = builder().keepalive(Keepalive::new(MILLI * 50, MILLI * 600 * SLOWNESS));
        let (mut receiver, sender) = builder.connect(&server.url()).unwrap().split();
        let sending = spawn(move || sender.send(vec![1; MESSAGE]));
        // The ping is to come behind the message, so the message must have begun.
        while receiver.counters().sent.bytes == 0 {
            std::thread::yield_now();
        }
        match receiver.recv() {
            Ok(message) => assert_eq!(message, Message::from("late")),
            Err(other) => panic!("given up before its time: {other:?}"),
        }
        sending.join().unwrap();
        drop(receiver);
        server.join();
    });
}

#[test]
fn keepalive_gives_up_a_peer_that_does_not_answer_our_close_without_a_close_timeout() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| peer.stall());
        let builder =
            builder().keepalive(Keepalive::new(MILLI * 50, MILLI * 100)).close_timeout(None);
        takes(MILLI * 150, || {
            let mut ws = builder.connect(&server.url()).unwrap();
            ws.sender().close(CloseCode::NORMAL).unwrap();
            timed_out(ws.recv(), Timeout::Pong);
        });
        server.join();
    });
}

#[test]
fn keepalive_runs_inside_recv_timeout_too() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| peer.stall());
        let builder = builder().keepalive(Keepalive::new(MILLI * 30, MILLI * 60));
        let mut ws = builder.connect(&server.url()).unwrap();
        let said = loop {
            match error(ws.recv_timeout(MILLI * 7)) {
                Error::Timeout(Timeout::Recv) => {}
                other => break other,
            }
        };
        assert!(matches!(said, Error::Timeout(Timeout::Pong)), "{said:?}");
        assert_eq!(server.join()[0].opcode, PING);
    });
}

#[test]
fn keepalive_without_a_timeout_pings_for_ever() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            for _ in 0..4 {
                assert_eq!(peer.next_frame().unwrap().opcode, PING);
            }
            peer.send(&text("enough"));
            peer.stall()
        });
        let keepalive = Keepalive::new(MILLI * 20, None);
        let mut ws = builder().keepalive(keepalive).connect(&server.url()).unwrap();
        assert_eq!(ws.recv().unwrap(), Message::from("enough"));
        drop(ws);
        server.join();
    });
}

#[test]
fn a_write_timeout_of_zero_is_none() {
    const MESSAGE: usize = 8 << 20; // The sockets cannot hold a message of this size.
    watchdog(LIMIT, || {
        let server = serve_on(small_listener(), |peer| {
            peer.upgrade();
            let frame = (14 + MESSAGE) as u64;
            let read = std::io::copy(&mut peer.socket().take(frame), &mut std::io::sink());
            assert_eq!(read.unwrap(), frame);
            peer.stall();
        });
        let ws = builder().write_timeout(Duration::ZERO).connect(&server.url()).unwrap();
        ws.send(vec![1; MESSAGE]).unwrap();
        assert!(ws.sender().is_open());
        drop(ws);
        server.join();
    });
}

#[test]
fn a_close_timeout_of_zero_sends_the_close_and_does_not_wait_for_the_answer() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| peer.stall());
        let mut ws = builder().close_timeout(Duration::ZERO).connect(&server.url()).unwrap();
        ws.sender().close(CloseCode::NORMAL).unwrap();
        let closed = promptly(|| error(ws.recv()));
        let cause = closed.closed().map(|closed| closed.cause().clone());
        assert!(matches!(cause, Some(Cause::Timeout(Timeout::Close))), "{closed:?}");
        drop(ws);
        assert_eq!(server.join()[0].close_code(), Some(1000));
    });
}

#[test]
fn a_keepalive_of_zero_is_off() {
    watchdog(LIMIT, || {
        for (interval, timeout) in [
            (Duration::ZERO, None),
            (Duration::ZERO, Some(Duration::ZERO)),
            (Duration::ZERO, Some(MILLI)),
            // Pings are sent, and no peer is given up.
            (MILLI * 10, Some(Duration::ZERO)),
        ] {
            let (go, goes) = channel::<()>();
            let server = upgraded(move |peer| {
                goes.recv().unwrap();
                peer.send(&text("alive"));
                peer.stall()
            });
            let keepalive = Keepalive::new(interval, timeout);
            let mut ws = builder().keepalive(keepalive).connect(&server.url()).unwrap();
            timed_out(ws.recv_timeout(MILLI * 100), Timeout::Recv);
            go.send(()).unwrap();
            assert_eq!(ws.recv().unwrap(), Message::from("alive"));
            drop(ws);
            let frames = server.join();
            let pings = frames.iter().filter(|frame| frame.opcode == PING).count();
            assert_eq!(pings == 0, interval.is_zero(), "{pings} pings");
        }
    });
}

/// Users may number their own pings, so a keepalive ping must not have a small number as payload.
#[test]
fn the_payload_of_a_keepalive_ping_is_no_number_that_a_user_counts_with() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            let mut payloads = Vec::new();
            for _ in 0..3 {
                let ping = peer.next_frame().unwrap();
                assert_eq!(ping.opcode, PING);
                peer.send(&frame(PONG, true, &ping.payload));
                payloads.push(ping.payload);
            }
            peer.send(&text("done"));
            peer.stall();
            payloads
        });
        let builder = builder().keepalive(Keepalive::new(MILLI * 20, Duration::from_secs(5)));
        let mut ws = builder.connect(&server.url()).unwrap();
        assert_eq!(ws.recv().unwrap(), Message::from("done"));
        drop(ws);
        for payload in server.join() {
            let payload = u64::from_be_bytes(payload[..].try_into().unwrap());
            assert!(payload > 1_000_000, "{payload} of 2^64 is very unlikely");
        }
    });
}

#[test]
fn a_pong_that_answers_no_keepalive_ping_is_an_event_and_gives_no_latency() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            peer.send(&frame(PONG, true, b"unasked"));
            peer.stall()
        });
        let mut ws = builder().connect(&server.url()).unwrap();
        assert_eq!(ws.next_event().unwrap(), Event::Pong(b"unasked"));
        assert_eq!(ws.latency(), None);
        drop(ws);
        server.join();
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_close_timeout_of_zero_does_not_make_an_idle_recv_spin() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| peer.stall());
        let mut ws = builder().close_timeout(Duration::ZERO).connect(&server.url()).unwrap();
        let before = process::cpu_of_this_thread();
        takes(SHORT * 2, || timed_out(ws.recv_timeout(SHORT * 2), Timeout::Recv));
        let used = process::cpu_of_this_thread() - before;
        assert!(used < SHORT, "{used:?} of the processor in {:?}", SHORT * 2);
        drop(ws);
        server.join();
    });
}

#[test]
fn a_message_in_fragments_to_a_peer_that_does_not_read_times_out() {
    watchdog(LIMIT, || {
        let (done, hold) = channel();
        let server = serve_on(small_listener(), move |peer| {
            peer.upgrade();
            peer.hold_open(&hold);
        });
        let ws = builder().write_timeout(SHORT).connect(&server.url()).unwrap();
        let sender = ws.sender();
        let mut writer = sender.writer(landline::MessageKind::Binary).unwrap();
        let failed = loop {
            if let Err(error) = writer.write_all(&[1; 64 * 1024]) {
                break error;
            }
        };
        assert_eq!(failed.kind(), std::io::ErrorKind::TimedOut);
        let inner = failed.into_inner().unwrap().downcast::<Error>().unwrap();
        assert!(matches!(*inner, Error::Timeout(Timeout::Send)), "{inner:?}");
        drop(writer);
        assert!(error(sender.send("more")).closed().is_some());
        drop(done);
        server.join();
    });
}

/// Starts a server that sends pings without a pause, and reads the pongs.
fn floods_with_pings() -> Server<()> {
    upgraded(|peer| {
        let mut socket = peer.socket().try_clone().unwrap();
        let reading = spawn(move || drop(std::io::copy(&mut socket, &mut std::io::sink())));
        let pings = ping(b"").repeat(32 * 1024);
        peer.socket().set_write_timeout(Some(SHORT * 4)).unwrap();
        while peer.try_send(&pings).is_ok() {}
        reading.join();
    })
}

#[test]
fn a_peer_that_floods_with_pings_and_reads_the_pongs_cannot_extend_a_timeout() {
    watchdog(LIMIT, || {
        let server = floods_with_pings();
        let mut ws = builder().close_timeout(SHORT).connect(&server.url()).unwrap();
        takes(SHORT, || timed_out(ws.recv_timeout(SHORT), Timeout::Recv));
        promptly(|| assert_eq!(ws.try_recv().unwrap(), None));
        let closed = takes(SHORT, || ws.close(CloseCode::NORMAL).unwrap());
        assert!(matches!(closed.cause(), Cause::Timeout(Timeout::Close)), "{closed:?}");
        drop(ws);
        server.join();
    });
}

#[test]
fn a_peer_that_sends_many_pings_at_once_gets_the_pongs_in_few_writes() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            let pings: Vec<_> = (0..1000_u16).flat_map(|n| ping(&n.to_be_bytes())).collect();
            peer.send(&[pings, text("hi")].concat());
            peer.stall()
        });
        let writes = Arc::new(AtomicUsize::new(0));
        let count = writes.clone();
        let stream = TcpStream::connect(server.addr).unwrap();
        let stream = streams::Judged::new(stream, usize::MAX, move |_, call| {
            if call == streams::Call::Write {
                count.fetch_add(1, Ordering::SeqCst);
            }
            Ok(())
        });
        let mut ws = builder().connect_over("ws://pings/", stream).unwrap();
        let before = writes.load(Ordering::SeqCst);
        assert_eq!(ws.recv().unwrap(), Message::from("hi"));
        let writes = writes.load(Ordering::SeqCst) - before;
        assert!((1..=50).contains(&writes), "{writes} writes");
        drop(ws);
        // The last Ping was answered before `recv` returned the message.
        let frames = server.join();
        let last = frames.iter().rfind(|frame| frame.opcode == PONG).unwrap();
        assert_eq!(last.payload, 999_u16.to_be_bytes());
    });
}

#[test]
fn a_message_before_the_silence_does_not_extend_the_keepalive_timeout() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            peer.send(&text("hi"));
            peer.stall()
        });
        let timeout = Duration::from_secs(2);
        let builder = builder().keepalive(Keepalive::new(MILLI * 50, timeout)).close_timeout(None);
        let mut ws = builder.connect(&server.url()).unwrap();
        assert_eq!(ws.recv().unwrap(), Message::from("hi"));
        // The timeout does not count twice.
        takes_at_most(timeout * 19 / 10, || timed_out(ws.recv(), Timeout::Pong));
        drop(ws);
        server.join();
    });
}

#[cfg(unix)]
#[test]
fn keepalive_gives_up_a_unix_peer_that_reads_no_more_and_is_silent() {
    use std::os::unix::net::UnixStream;
    watchdog(LIMIT, || {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let (done, hold) = channel::<()>();
        let server = spawn(move || {
            streams::upgrade(&mut theirs);
            theirs.shutdown(std::net::Shutdown::Read).unwrap();
            let _ = hold.recv();
        });
        let builder = builder().keepalive(Keepalive::new(MILLI * 50, MILLI * 100));
        let mut ws = builder.connect_over("ws://unix/", ours).unwrap();
        promptly(|| error(ws.recv()));
        drop(done);
        server.join();
    });
}

#[test]
fn a_message_that_waits_too_long_behind_another_times_out_and_the_connection_goes_on() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            peer.expect(TEXT, b"whole");
            peer.expect(TEXT, b"after it");
            peer.expect_close(1001);
        });
        let ws = builder().write_timeout(SHORT).connect(&server.url()).unwrap();
        let sender = ws.sender();
        let mut writer = sender.writer(landline::MessageKind::Text).unwrap();
        writer.write_all(b"who").unwrap();
        let other = ws.sender();
        let waiting = spawn(move || {
            takes(SHORT, || timed_out(other.send("never sent"), Timeout::Busy));
            takes(SHORT, || timed_out(other.send_all(["never", "sent"]), Timeout::Busy));
            takes(SHORT, || timed_out(other.writer(landline::MessageKind::Text), Timeout::Busy));
        });
        waiting.join();
        assert!(sender.is_open());
        writer.write_all(b"le").unwrap();
        writer.finish().unwrap();
        sender.send("after it").unwrap();
        drop((ws, sender));
        server.join();
    });
}

#[cfg(feature = "tls")]
mod over_tls {
    use std::io::{Read as _, Write as _};
    use std::net::{Shutdown, TcpStream};
    use std::sync::mpsc::Receiver;

    use super::*;

    /// Starts a proxy that forwards both ways. After a `None` from `release`, it forwards to the
    /// client one byte for each `Some`. When the other end of `release` is dropped, it forwards
    /// all.
    fn proxy(to: std::net::SocketAddr, release: Receiver<Option<()>>) -> std::net::SocketAddr {
        let listener = listener();
        let addr = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (client, _) = listener.accept().unwrap();
            client.set_nodelay(true).unwrap();
            let server = TcpStream::connect(to).unwrap();
            let (mut from, mut into) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut from, &mut into);
                let _ = into.shutdown(Shutdown::Write);
            });
            let mut held = false;
            let mut buffer = [0; 16 * 1024];
            let (mut server, mut client) = (server, client);
            while let Ok(len @ 1..) = server.read(&mut buffer) {
                for byte in &buffer[..len] {
                    if !held {
                        // `None` begins to hold bytes back.
                        held = matches!(release.try_recv(), Ok(None));
                    }
                    if held && release.recv().is_err() {
                        held = false;
                    }
                    if client.write_all(&[*byte]).is_err() {
                        return;
                    }
                }
            }
        });
        addr
    }

    #[test]
    fn a_peer_that_stalls_anywhere_in_a_tls_record_loses_nothing() {
        watchdog(LIMIT, || {
            let (open, release) = channel();
            let (go, went) = channel::<()>();
            let server = tls::upgraded_tls(move |peer| {
                went.recv().unwrap();
                peer.send(&[text("in a record"), binary(&[7; 130]), text("end")].concat());
                peer.stall()
            });
            let addr = proxy(server.addr, release);
            let url = format!("wss://localhost:{}/", addr.port());
            let mut ws = tls::builder().connect(&url).unwrap();
            open.send(None).unwrap();
            go.send(()).unwrap();
            let mut messages = Vec::new();
            let mut tokens = 0;
            while messages.len() < 3 {
                match ws.recv_timeout(MILLI) {
                    Ok(message) => messages.push(message),
                    Err(Error::Timeout(Timeout::Recv)) => {
                        tokens += 1;
                        open.send(Some(())).unwrap();
                    }
                    Err(other) => panic!("{other:?}"),
                }
            }
            assert!(tokens > 150, "{tokens}");
            let expected =
                [Message::from("in a record"), Message::from(&[7; 130][..]), Message::from("end")];
            assert_eq!(messages, expected);
            drop(open);
            drop(ws);
            server.join();
        });
    }

    #[test]
    fn a_peer_whose_tls_record_takes_long_to_arrive_is_not_given_up() {
        watchdog(LIMIT, || {
            let (open, release) = channel();
            let (go, went) = channel::<()>();
            let server = tls::upgraded_tls(move |peer| {
                went.recv().unwrap();
                peer.send(&binary(&[7; 100]));
                peer.stall()
            });
            let addr = proxy(server.addr, release);
            let url = format!("wss://localhost:{}/", addr.port());
            // Bytes come all the time, but a whole record takes several times the timeout.
            let builder = tls::builder().keepalive(Keepalive::new(MILLI * 20, MILLI * 500));
            let mut ws = builder.connect(&url).unwrap();
            open.send(None).unwrap();
            go.send(()).unwrap();
            let dripping = spawn(move || {
                while open.send(Some(())).is_ok() {
                    std::thread::sleep(MILLI * 20);
                }
            });
            match ws.recv() {
                Ok(message) => assert_eq!(message, Message::from(&[7; 100][..])),
                Err(other) => panic!("given up while bytes came: {other:?}"),
            }
            drop(ws);
            drop(server);
            drop(dripping);
        });
    }

    #[test]
    fn messages_whose_tls_records_have_arrived_are_received_without_waiting() {
        watchdog(LIMIT, || {
            let server = tls::upgraded_tls(|peer| {
                peer.send(&text("x").repeat(3));
                peer.stall()
            });
            let mut ws = tls::builder().connect(&server.url()).unwrap();
            assert_eq!(ws.recv().unwrap(), Message::from("x"));
            assert_eq!(ws.recv_timeout(Duration::ZERO).unwrap(), Message::from("x"));
            assert_eq!(ws.try_recv().unwrap(), Some(Message::from("x")));
            assert_eq!(ws.try_recv().unwrap(), None);
            drop(ws);
            server.join();
        });
    }
}
