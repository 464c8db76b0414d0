//! Sending and receiving at the same time, from several threads, plain and over TLS.

#![allow(clippy::unwrap_used)] // `clippy.toml` allows it in test functions only.

use crate::support;

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::mpsc::channel;
use std::thread;

use landline::{Event, Message, MessageKind, Receiver, Sender};
use support::*;

/// More than the sockets of both sides hold. QEMU would take minutes for as much as the others.
const FLOOD: usize =
    if option_env!("LANDLINE_TESTS_EMULATED").is_some() { 16 << 20 } else { 64 << 20 };
const MESSAGE: usize = 1 << 20;

/// Reads client frames from any stream.
struct Frames<R> {
    from: R,
    received: Vec<u8>,
}

impl<R: std::io::Read> Frames<R> {
    fn new(from: R) -> Self {
        Self { from, received: Vec::new() }
    }

    fn next(&mut self) -> Option<Frame> {
        let mut buffer = vec![0; 256 * 1024];
        loop {
            if let Some(frame) = take_frame(&mut self.received) {
                return Some(frame);
            }
            let len = self.from.read(&mut buffer).ok()?;
            if len == 0 {
                return None;
            }
            self.received.extend_from_slice(&buffer[..len]);
        }
    }
}

/// Plays the client. Sends and receives [`FLOOD`] bytes at once, and checks that all arrive.
fn floods_and_is_flooded(mut receiver: Receiver, sender: Sender) {
    let sending = spawn(move || {
        for _ in 0..FLOOD / MESSAGE {
            sender.send(vec![1; MESSAGE]).unwrap();
        }
        sender
    });
    let (mut bytes, mut pings) = (0, 0);
    while bytes < FLOOD {
        match receiver.next_event().unwrap() {
            Event::Binary(payload) => bytes += payload.len(),
            Event::Ping(_) => pings += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((bytes, pings), (FLOOD, FLOOD / MESSAGE));
    let sender = sending.join();
    sender.close(landline::CloseCode::NORMAL).unwrap();
    assert!(error(receiver.recv()).closed().unwrap().is_clean());
}

/// Plays the server. Reads and writes [`FLOOD`] bytes at once, with pings in between.
fn server_half(reading: impl std::io::Read, mut writing: impl std::io::Write + Send + 'static) {
    let message = binary(&vec![2; MESSAGE]);
    let (closing, is_closing) = channel::<()>();
    let writer = spawn(move || {
        for n in 0..FLOOD / MESSAGE {
            writing.write_all(&ping(&n.to_be_bytes())).unwrap();
            writing.write_all(&message).unwrap();
        }
        is_closing.recv().unwrap();
        writing.write_all(&close(1000, "")).unwrap();
        writing.flush().unwrap();
    });
    let mut frames = Frames::new(reading);
    let (mut bytes, mut last_pong) = (0, None);
    loop {
        let frame = frames.next().expect("the client is gone");
        match frame.opcode {
            BINARY => bytes += frame.payload.len(),
            PONG => {
                // Pongs may be left out, but an older one never follows a newer one.
                let pong = Some(frame.payload);
                assert!(pong > last_pong);
                last_pong = pong;
            }
            CLOSE => break,
            other => panic!("opcode {other}"),
        }
    }
    assert_eq!(bytes, FLOOD);
    // The last ping must be answered, because no later ping makes up for it.
    assert_eq!(last_pong, Some((FLOOD / MESSAGE - 1).to_be_bytes().to_vec()));
    closing.send(()).unwrap();
    writer.join();
}

#[test]
fn a_peer_that_floods_while_it_is_flooded_with_pings_in_between_loses_nothing() {
    watchdog(LIMIT * 2, || {
        let server = upgraded(|peer| {
            let socket = peer.socket();
            server_half(socket.try_clone().unwrap(), socket.try_clone().unwrap());
        });
        let (receiver, sender) = builder().connect(&server.url()).unwrap().split();
        floods_and_is_flooded(receiver, sender);
        server.join();
    });
}

#[cfg(feature = "tls")]
#[test]
fn a_tls_peer_that_floods_while_it_is_flooded_loses_nothing() {
    use std::io::Read as _;
    use std::net::TcpStream;
    use std::sync::{Arc, Mutex};

    /// Connects `inside`, which is plain, to `stream`, which is TLS. Reads the socket without the
    /// lock of TLS, so that the server reads and writes at the same time.
    fn pumps(stream: TcpStream, inside: TcpStream) {
        let config = Arc::new(tls::localhost());
        let tls = Arc::new(Mutex::new(rustls::ServerConnection::new(config).unwrap()));
        // Only one thread at a time may take records out of TLS and write them: they would mix.
        let wire = Arc::new(Mutex::new(stream.try_clone().unwrap()));
        let flush = {
            let (tls, wire) = (tls.clone(), wire);
            move || {
                let mut wire = wire.lock().unwrap();
                let mut out = Vec::new();
                while tls.lock().unwrap().wants_write() {
                    tls.lock().unwrap().write_tls(&mut out).unwrap();
                }
                wire.write_all(&out).is_ok()
            }
        };
        let (mut reading, mut plain) = (stream, inside.try_clone().unwrap());
        let (up, down) = (flush.clone(), tls.clone());
        let (open, is_open) = channel::<()>();
        let inward = spawn(move || {
            let mut open = Some(open);
            let mut buffer = vec![0; 16 * 1024];
            loop {
                let Ok(len @ 1..) = reading.read(&mut buffer) else { return };
                let mut cipher = &buffer[..len];
                while !cipher.is_empty() {
                    let mut tls = tls.lock().unwrap();
                    tls.read_tls(&mut cipher).unwrap();
                    let state = tls.process_new_packets().unwrap();
                    let mut bytes = vec![0; state.plaintext_bytes_to_read()];
                    if !bytes.is_empty() {
                        tls.reader().read_exact(&mut bytes).unwrap();
                    }
                    let handshaking = tls.is_handshaking();
                    drop(tls);
                    if handshaking || open.is_some() {
                        up();
                    }
                    if !handshaking {
                        drop(open.take());
                    }
                    if plain.write_all(&bytes).is_err() {
                        return;
                    }
                }
            }
        });
        let _ = is_open.recv();
        let mut inside = inside;
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(len @ 1..) = inside.read(&mut buffer) {
            down.lock().unwrap().writer().write_all(&buffer[..len]).unwrap();
            if !flush() {
                break;
            }
        }
        inward.join();
    }

    watchdog(LIMIT * 2, || {
        let listener = listener();
        let outside = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (inside, _) = listener.accept().unwrap();
        let url = format!("wss://localhost:{}/", listener.local_addr().unwrap().port());
        let pumping = spawn(move || pumps(listener.accept().unwrap().0, inside));
        let server = spawn(move || {
            let mut reading = outside.try_clone().unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                reading.read_exact(&mut byte).unwrap();
                head.push(byte[0]);
            }
            let head = String::from_utf8(head).unwrap();
            let key = head.split("Sec-WebSocket-Key: ").nth(1).unwrap().lines().next().unwrap();
            let accept = tungstenite::handshake::derive_accept_key(key.as_bytes());
            let answer = format!(
                "HTTP/1.1 101 OK\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Accept: {accept}\r\n\r\n"
            );
            (&outside).write_all(answer.as_bytes()).unwrap();
            server_half(reading, outside);
        });
        let (receiver, sender) = tls::builder().connect(&url).unwrap().split();
        floods_and_is_flooded(receiver, sender);
        server.join();
        pumping.join();
    });
}

#[test]
fn threads_that_send_at_once_do_not_mix_their_messages_and_keep_their_order() {
    fn payload(thread: u8, n: u8, len: usize) -> Vec<u8> {
        let mut payload = vec![thread ^ n; len];
        payload[0] = thread;
        if len > 1 {
            payload[1] = n;
        }
        payload
    }
    const SIZES: [usize; 8] = [2, 125, 126, 1000, 65_535, 65_536, 200_000, 1 << 20];
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            let mut next = HashMap::new();
            for frame in peer.stall() {
                if frame.opcode == CLOSE {
                    break;
                }
                assert!((frame.opcode, frame.fin) == (BINARY, true));
                let (thread, n) = (frame.payload[0], frame.payload[1]);
                assert_eq!(*next.entry(thread).or_insert(0), n);
                *next.get_mut(&thread).unwrap() += 1;
                let size = SIZES[usize::from(thread + n) % SIZES.len()];
                assert!(frame.payload == payload(thread, n, size), "{thread} {n}");
            }
            next.len() * 16 == next.values().map(|&n| usize::from(n)).sum::<usize>()
                && next.len() == 8
        });
        let ws = builder().connect(&server.url()).unwrap();
        let threads: Vec<_> = (0..8)
            .map(|thread: u8| {
                let sender = ws.sender();
                spawn(move || {
                    for n in 0..16 {
                        let size = SIZES[usize::from(thread + n) % SIZES.len()];
                        sender.send(payload(thread, n, size)).unwrap();
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(Joined::join);
        drop(ws);
        assert!(server.join());
    });
}

#[test]
fn sending_works_while_another_thread_blocks_in_recv() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            for _ in 0..100 {
                let frame = peer.next_frame().unwrap();
                peer.send(&binary(&frame.payload));
            }
            peer.stall();
        });
        let (mut receiver, sender) = builder().connect(&server.url()).unwrap().split();
        let (echo, echoed) = channel();
        let receiving = spawn(move || {
            for _ in 0..100 {
                echo.send(receiver.recv().unwrap()).unwrap();
            }
        });
        for n in 0..100_u8 {
            sender.send([n]).unwrap();
            assert_eq!(echoed.recv().unwrap(), Message::from(&[n][..]));
        }
        receiving.join();
        drop(sender);
        server.join();
    });
}

#[test]
fn a_peer_that_pings_during_a_long_message_gets_its_pongs_between_the_fragments() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            let mut size = 0;
            let mut pongs = 0;
            loop {
                peer.send(&ping(b"still there?"));
                let fragment = loop {
                    let frame = peer.next_frame().unwrap();
                    if frame.opcode != PONG {
                        break frame;
                    }
                    pongs += 1;
                };
                assert!(fragment.opcode == BINARY || (fragment.opcode == 0 && size > 0));
                size += fragment.payload.len();
                if fragment.fin {
                    break;
                }
            }
            while peer.next_frame().unwrap().opcode == PONG {}
            peer.send(&close(1000, ""));
            (size, pongs)
        });
        let (mut receiver, sender) = builder().connect(&server.url()).unwrap().split();
        let receiving = spawn(move || error(receiver.recv()));
        let mut writer = sender.writer(MessageKind::Binary).unwrap();
        for _ in 0..FLOOD / MESSAGE {
            writer.write_all(&vec![1; MESSAGE]).unwrap();
        }
        writer.finish().unwrap();
        sender.close(landline::CloseCode::NORMAL).unwrap();
        assert!(receiving.join().closed().unwrap().is_clean());
        let (size, pongs) = server.join();
        assert_eq!(size, FLOOD);
        assert!(pongs > 0);
    });
}

#[test]
fn pings_and_the_close_go_between_the_fragments_of_another_thread() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            let first = peer.next_frame().unwrap();
            assert_eq!((first.opcode, first.fin), (BINARY, false));
            peer.expect(PING, b"in between");
            peer.expect(PONG, b"too");
            let next = peer.next_frame().unwrap();
            assert_eq!((next.opcode, next.fin), (0, false));
            peer.expect_close(1000);
            peer.send(&close(1000, ""));
            peer.expect_end();
        });
        let (mut receiver, sender) = builder().connect(&server.url()).unwrap().split();
        let other = sender.clone();
        let mut writer = sender.writer(MessageKind::Binary).unwrap();
        writer.write_all(b"one").unwrap();
        writer.flush().unwrap();
        let other = spawn(move || {
            other.ping(b"in between").unwrap();
            other.pong(b"too").unwrap();
            other
        })
        .join();
        writer.write_all(b"two").unwrap();
        writer.flush().unwrap();
        spawn(move || other.close(landline::CloseCode::NORMAL).unwrap()).join();
        writer.write_all(b"three").unwrap();
        assert!(error(writer.finish()).closed().is_some());
        assert!(error(receiver.recv()).closed().unwrap().is_clean());
        server.join();
    });
}

#[test]
fn a_message_waits_for_the_end_of_one_that_is_written_in_fragments() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            let parts: Vec<_> = (0..3).map(|_| peer.next_frame().unwrap()).collect();
            assert_eq!(parts[0].payload, b"begin");
            assert_eq!((parts[1].opcode, parts[1].fin), (0, true));
            assert_eq!((parts[2].opcode, &*parts[2].payload), (TEXT, &b"after it"[..]));
        });
        let ws = builder().connect(&server.url()).unwrap();
        let sender = ws.sender();
        let mut writer = sender.writer(MessageKind::Text).unwrap();
        writer.write_all(b"begin").unwrap();
        writer.flush().unwrap();
        let other = ws.sender();
        let (inside, is_inside) = channel();
        let sending = spawn(move || {
            inside.send(()).unwrap();
            other.send("after it").unwrap();
        });
        is_inside.recv().unwrap();
        for _ in 0..1000 {
            thread::yield_now();
        }
        assert!(!sending.is_finished());
        writer.write_all(b" end").unwrap();
        writer.finish().unwrap();
        sending.join();
        server.join();
    });
}

#[test]
fn a_peer_that_floods_with_pings_and_does_not_read_is_still_read() {
    watchdog(LIMIT, || {
        let (done, hold) = channel();
        let server = serve_on(small_listener(), move |peer| {
            peer.upgrade();
            let pings = ping(&[b'p'; 125]).repeat(1000);
            // The pongs to 100,000 pings are 12 MB, more than any socket takes.
            for _ in 0..100 {
                peer.send(&pings);
            }
            peer.send(&text("all pinged"));
            peer.hold_open(&hold);
            peer.frames.len()
        });
        let mut ws = builder().connect(&server.url()).unwrap();
        assert_eq!(ws.recv().unwrap(), Message::from("all pinged"));
        drop(done);
        drop(ws);
        server.join();
    });
}

#[test]
fn a_peer_that_pings_ten_times_gets_ten_pongs_in_order() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            let pings: Vec<_> = (0..10).flat_map(|n: u8| ping(&[n; 125])).collect();
            peer.send(&pings);
            for n in 0..10 {
                peer.expect(PONG, &[n; 125]);
            }
            peer.send(&ping(b""));
            peer.expect(PONG, b"");
            peer.send(&text("thanks"));
            peer.stall()
        });
        let mut ws = builder().connect(&server.url()).unwrap();
        assert_eq!(ws.recv().unwrap(), Message::from("thanks"));
        drop(ws);
        assert_eq!(server.join()[0].close_code(), Some(1001));
    });
}

#[test]
fn a_peer_that_pings_while_a_big_frame_is_sent_gets_the_latest_pong_after_it() {
    watchdog(LIMIT, || {
        let (go, gone) = channel::<()>();
        let server = serve_on(small_listener(), move |peer| {
            peer.upgrade();
            for n in 0..1000_u32 {
                peer.send(&ping(&n.to_be_bytes()));
            }
            peer.send(&text("read them all"));
            gone.recv().unwrap();
            let mut seen = Vec::new();
            loop {
                let frame = peer.next_frame().unwrap();
                match frame.opcode {
                    PONG => seen.push(frame.payload),
                    BINARY => assert_eq!(frame.payload.len(), 8 << 20),
                    _ => break,
                }
            }
            assert!(seen.is_sorted());
            assert_eq!(seen.last().unwrap(), &999_u32.to_be_bytes());
        });
        let (mut receiver, sender) = builder().connect(&server.url()).unwrap().split();
        let sending = spawn(move || sender.send(vec![0; 8 << 20]).unwrap());
        assert_eq!(receiver.recv().unwrap(), Message::from("read them all"));
        go.send(()).unwrap();
        sending.join();
        // The system may have no room for the Close yet: this call waits until it has.
        receiver.close(landline::CloseCode::NORMAL).unwrap();
        server.join();
    });
}

/// Checks that a Pong goes between the messages of a batch. A batch is written in another way if
/// compression was agreed on, so this runs without and with the server's `answer` about it.
fn a_batch_lets_a_pong_through(builder: landline::Builder, answer: &'static str) {
    watchdog(LIMIT * 2, move || {
        let (pinged, is_pinged) = channel::<()>();
        let server = serve(move |peer| {
            peer.read_request();
            let answer = peer.good_answer(answer);
            peer.send(&answer);
            peer.next_frame().expect("the batch begins");
            peer.send(&ping(b"between"));
            // The server reads nothing more before the client has the Ping. So the batch is stuck.
            is_pinged.recv().unwrap();
            let mut before = 1;
            loop {
                match peer.next_frame().expect("the client is gone") {
                    Frame { opcode: PONG, payload, .. } => {
                        assert_eq!(payload, b"between");
                        break before;
                    }
                    _ => before += 1,
                }
            }
        });
        let (mut receiver, sender) = builder.connect(&server.url()).unwrap().split();
        let message = vec![7; 8 * 1024];
        let count = FLOOD / message.len();
        let sending = spawn(move || {
            // The server goes away in the middle.
            let _ = sender.send_all(vec![&message[..]; count]);
        });
        let event = receiver.next_event().unwrap();
        assert!(matches!(event, Event::Ping(b"between")), "{event:?}");
        pinged.send(()).unwrap();
        let before = server.join();
        assert!(before < count, "the pong came after all {before} messages");
        drop(receiver);
        sending.join();
    });
}

#[test]
fn a_pong_does_not_wait_for_the_end_of_a_batch() {
    a_batch_lets_a_pong_through(builder(), "");
}

/// The server agrees on compression, but the messages are too short to be compressed.
#[test]
#[cfg(feature = "deflate")]
fn a_pong_does_not_wait_for_the_end_of_a_batch_that_is_too_short_to_compress() {
    let deflate = landline::deflate::Deflate::new().min_size(10_000);
    let answer = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
    a_batch_lets_a_pong_through(builder().deflate(deflate), answer);
}
