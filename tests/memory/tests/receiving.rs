//! Receiving takes memory for the bytes that a peer sends, never for the bytes that it announces.
//! The memory is freed when it is not needed.

#[path = "../../support/mod.rs"]
mod support;

use std::io::Read as _;
use std::sync::mpsc::channel;
use std::time::Duration;

use landline::error::Violation;
use landline::{Builder, Error, Message, Timeout, WebSocket};
use landline_memory::{Used, live, measure};
use support::*;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;
/// The number of bytes of the receive buffer of a busy connection, and the least that is reserved
/// for a message.
const BUFFER: usize = 64 * KIB;

fn unlimited() -> Builder {
    builder().max_message_size(None).max_frame_size(None).max_fragments(None)
}

/// Returns a connection to a peer in memory, which sends `first`, and then `again` for ever.
fn in_memory(builder: &Builder, first: &[u8], again: &[u8]) -> WebSocket {
    builder.connect_over("ws://memory/", streams::Endless::new(first, again)).unwrap()
}

/// Returns the header of a frame whose payload never comes.
fn announced(opcode: u8, len: u64) -> Vec<u8> {
    [&[0x80 | opcode, 127][..], &len.to_be_bytes()].concat()
}

/// Waits for a message that does not come within `time`, and returns the memory that this took.
fn silence(ws: &mut WebSocket, time: Duration) -> Used {
    let (said, used) = measure(|| error(ws.recv_timeout(time)));
    assert!(matches!(said, Error::Timeout(Timeout::Recv)), "{said:?}");
    used
}

fn show(what: &str, used: Used) {
    println!("{what}: {used:?}");
}

#[test]
fn a_peer_that_announces_the_longest_message_and_sends_nothing_costs_one_buffer() {
    watchdog(LIMIT, || {
        for opcode in [TEXT, BINARY] {
            for len in [(1 << 62) - 1, u64::MAX >> 1, 1 << 40] {
                let header = announced(opcode, len);
                let mut ws = in_memory(&unlimited(), &header, b"");
                let used = silence(&mut ws, Duration::from_millis(20));
                assert!(used.peak <= BUFFER, "{len} announced: {used:?}");
                show("announced, accepted", used);

                let mut ws = in_memory(&builder(), &header, b"");
                let (said, used) = measure(|| error(ws.recv()));
                assert!(matches!(said, Error::Protocol(Violation::MessageTooBig)), "{said:?}");
                assert!(used.peak <= 8 * KIB, "{len} announced: {used:?}");
                show("announced, refused", used);
            }
        }
    });
}

#[test]
fn a_tls_peer_that_announces_the_longest_message_and_sends_nothing_costs_one_buffer() {
    watchdog(LIMIT, || {
        let (sent, is_sent) = channel();
        let server = tls::upgraded_tls(move |peer| {
            peer.send(&text("hello"));
            peer.send(&announced(BINARY, (1 << 62) - 1));
            sent.send(()).unwrap();
            peer.stall()
        });
        let builder = tls::builder().max_message_size(None).max_frame_size(None);
        let mut ws = builder.connect(&server.url()).unwrap();
        assert_eq!(ws.recv().unwrap(), Message::from("hello"));
        is_sent.recv().unwrap();
        let used = silence(&mut ws, SHORT);
        assert!(used.peak <= BUFFER, "{used:?}");
        show("announced over TLS", used);
        drop(ws);
        server.join();
    });
}

/// Receives a message of 16 MiB, and returns the connection and the memory that was alive before.
fn after_a_big_message(opcode: u8, next: &[u8]) -> (WebSocket, isize) {
    let first = [frame(opcode, true, &vec![b'x'; 16 * MIB]), next.to_vec()].concat();
    let mut ws = in_memory(&builder(), &first, b"");
    drop(first);
    let before = live();
    ws.next_event().unwrap();
    (ws, before)
}

#[test]
fn the_memory_of_a_big_message_is_freed_although_the_next_one_has_begun() {
    watchdog(LIMIT, || {
        for (opcode, next) in [
            (TEXT, announced(TEXT, 32 << 20)),
            (BINARY, announced(BINARY, 32 << 20)),
            (TEXT, frame(TEXT, false, b"begin")),
            (BINARY, frame(BINARY, false, b"begin")),
        ] {
            let (mut ws, before) = after_a_big_message(opcode, &next);
            silence(&mut ws, SHORT);
            let left = live() - before;
            assert!(left <= BUFFER as isize, "{left} bytes after {:?}", &next[..2]);
        }
    });
}

#[test]
fn the_memory_of_a_big_message_is_freed_after_a_small_one_in_fragments() {
    watchdog(LIMIT, || {
        for opcode in [TEXT, BINARY] {
            let small = [frame(opcode, false, b"one "), frame(0, true, b"two")].concat();
            let (mut ws, before) = after_a_big_message(opcode, &small.repeat(2));
            ws.next_event().unwrap();
            ws.next_event().unwrap();
            let left = live() - before;
            assert!(left <= 2 * BUFFER as isize, "{left} bytes");
        }
    });
}

#[test]
fn the_memory_of_a_big_message_is_freed_when_a_reader_takes_the_next() {
    watchdog(LIMIT, || {
        for opcode in [TEXT, BINARY] {
            let (mut ws, before) = after_a_big_message(opcode, &frame(opcode, true, b"small"));
            let mut small = Vec::new();
            ws.reader().unwrap().read_to_end(&mut small).unwrap();
            assert_eq!(small, b"small");
            let left = live() - before;
            assert!(left <= 2 * BUFFER as isize, "{left} bytes");
        }
    });
}

#[test]
fn the_memory_of_a_big_text_is_freed_when_binary_messages_follow() {
    watchdog(LIMIT, || {
        let next = binary(&vec![7; 16 * MIB]);
        let (mut ws, before) = after_a_big_message(TEXT, &next);
        ws.next_event().unwrap();
        let left = live() - before;
        assert!(left <= (16 * MIB + 2 * BUFFER) as isize, "{left} bytes");
    });
}

#[test]
fn a_message_that_comes_in_one_frame_has_no_room_left_over() {
    watchdog(LIMIT, || {
        let len = 4 * MIB + 1;
        let mut ws = in_memory(&builder(), &binary(&vec![7; len]), b"");
        let Message::Binary(bytes) = ws.recv().unwrap() else { panic!("it is binary") };
        assert_eq!((bytes.len(), bytes.capacity()), (len, len));
    });
}

#[test]
fn a_thousand_peers_that_announce_as_much_as_is_allowed_cost_a_buffer_each() {
    watchdog(LIMIT, || {
        let header = [announced(BINARY, 64 << 20), vec![b'x']].concat();
        let mut all: Vec<_> = (0..1000).map(|_| in_memory(&builder(), &header, b"")).collect();
        let (_, used) = measure(|| {
            for ws in &mut all {
                assert!(ws.try_recv().unwrap().is_none());
            }
        });
        assert!(used.peak <= 1000 * BUFFER, "{used:?}");
        show("a thousand announced", used);
    });
}

#[test]
fn a_peer_that_drips_a_big_message_is_given_memory_as_it_arrives() {
    watchdog(LIMIT, || {
        for opcode in [TEXT, BINARY] {
            let mut worst = 0;
            for received in [0, 1, 1000, 65_535, 65_536, 65_537, MIB, 5 * MIB, 40 * MIB] {
                let first = [announced(opcode, 64 << 20), vec![b'x'; received]].concat();
                let mut ws = in_memory(&builder(), &first, b"");
                let (_, used) = measure(|| {
                    let mut before = None;
                    // A call takes what comes within 20 ms, and the last one finds nothing.
                    while before != Some(ws.counters().received.bytes) {
                        before = Some(ws.counters().received.bytes);
                        silence(&mut ws, Duration::ZERO);
                    }
                });
                // Growing may take twice the bytes that have arrived.
                let expected = received..=2 * received + 2 * BUFFER;
                assert!(expected.contains(&used.peak), "{received} received: {used:?}");
                worst = worst.max(used.calls);
            }
            assert!(worst < 40, "{worst} allocations");
            println!("dripped, opcode {opcode}: at most {worst} allocations");
        }
    });
}

#[test]
fn a_second_message_of_the_allowed_size_takes_no_more_memory() {
    watchdog(LIMIT, || {
        const BIG: usize = 64 * MIB;
        let server = upgraded(|peer| {
            let message = binary(&vec![7; BIG]);
            for _ in 0..4 {
                peer.send(&message);
            }
            peer.send(&text("small"));
            peer.stall()
        });
        let mut ws = builder().connect(&server.url()).unwrap();
        let start = live();
        for _ in 0..2 {
            let (message, used) = measure(|| ws.recv().unwrap());
            assert_eq!(message.as_bytes().len(), BIG);
            assert!(used.peak <= BIG + BUFFER + MIB, "{used:?}");
            show("64 MiB received", used);
        }
        for _ in 0..2 {
            let (len, used) = measure(|| match ws.next_event().unwrap() {
                landline::Event::Binary(bytes) => bytes.len(),
                other => panic!("{other:?}"),
            });
            assert_eq!(len, BIG);
            assert!(used.peak <= BIG + BUFFER + MIB, "{used:?}");
            show("64 MiB lent", used);
        }
        assert_eq!(ws.recv().unwrap(), Message::from("small"));
        let used = silence(&mut ws, SHORT);
        assert!(live() - start <= 8 << 10, "{} bytes stay: {used:?}", live() - start);
        println!("idle after 64 MiB: {} bytes more than before", live() - start);
        drop(ws);
        server.join();
    });
}

#[test]
fn a_peer_whose_message_is_read_as_it_arrives_costs_constant_memory() {
    watchdog(LIMIT, || {
        const BIG: u64 = 1 << 30;
        let first = announced(BINARY, BIG);
        let mut ws = in_memory(&unlimited(), &first, b"xyz");
        let (read, used) = measure(|| {
            let reader = ws.reader().unwrap();
            std::io::copy(&mut reader.take(BIG / 4), &mut std::io::sink()).unwrap()
        });
        assert_eq!(read, BIG / 4);
        assert!(used.peak <= 4 * BUFFER, "{used:?}");
        show("read as it arrives", used);
    });
}

#[test]
fn an_idle_connection_costs_8_kib() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            peer.send(&[ping(b"?"), text("hello")].concat());
            peer.stall()
        });
        let start = live();
        let mut ws = builder().connect(&server.url()).unwrap();
        assert_eq!(ws.recv().unwrap(), Message::from("hello"));
        ws.send("hello").unwrap();
        silence(&mut ws, SHORT);
        let costs = live() - start;
        println!("idle, plain: {costs} bytes");
        assert!(costs <= 8 << 10, "{costs} bytes");
        drop(ws);
        server.join();
    });
}

#[test]
fn an_idle_tls_connection_costs_little_more_than_its_tls() {
    watchdog(LIMIT, || {
        let server = tls::upgraded_tls(|peer| {
            peer.send(&text("hello"));
            peer.stall()
        });
        let builder = tls::builder();
        // The configuration is made once for all connections.
        let _ = error(builder.connect("wss://127.0.0.1:1/"));
        let start = live();
        let mut ws = builder.connect(&server.url()).unwrap();
        assert_eq!(ws.recv().unwrap(), Message::from("hello"));
        ws.send("hello").unwrap();
        silence(&mut ws, SHORT);
        let costs = live() - start;
        println!("idle, TLS: {costs} bytes");
        assert!(costs <= 20 << 10, "{costs} bytes");
        drop(ws);
        server.join();
    });
}

#[test]
fn big_messages_over_tls_cost_one_copy_of_their_records_and_nothing_when_idle() {
    watchdog(LIMIT * 2, || {
        const BIG: usize = 4 * MIB;
        const COUNT: usize = 16;
        let server = tls::upgraded_tls(|peer| {
            let message = binary(&vec![7; BIG]);
            peer.send(&text("small"));
            for _ in 0..COUNT + 4 {
                peer.send(&message);
            }
            peer.stall()
        });
        let mut ws = tls::builder().connect(&server.url()).unwrap();
        assert_eq!(ws.recv().unwrap(), Message::from("small"));
        let start = live();
        let receive = |ws: &mut WebSocket| match ws.next_event().unwrap() {
            landline::Event::Binary(bytes) => bytes.len(),
            other => panic!("{other:?}"),
        };
        for _ in 0..4 {
            assert_eq!(receive(&mut ws), BIG);
        }
        let (len, used) = measure(|| (0..COUNT).map(|_| receive(&mut ws)).sum::<usize>());
        assert_eq!(len, COUNT * BIG);
        show("64 MiB over TLS", used);
        // rustls allocates the plaintext of each record, one at a time.
        assert!(used.peak <= 64 * KIB, "{used:?}");
        assert!(used.total <= COUNT * BIG + MIB, "{used:?}");
        silence(&mut ws, SHORT);
        assert!(live() - start <= 8 << 10, "{} bytes stay", live() - start);
        drop(ws);
        server.join();
    });
}

#[test]
fn a_message_over_tls_that_is_read_as_it_arrives_costs_constant_memory() {
    watchdog(LIMIT * 2, || {
        const BIG: usize = 64 * MIB;
        let server = tls::upgraded_tls(|peer| {
            peer.send(&binary(&vec![7; BIG]));
            peer.stall()
        });
        let mut ws = tls::builder().connect(&server.url()).unwrap();
        let (read, used) =
            measure(|| std::io::copy(&mut ws.reader().unwrap(), &mut std::io::sink()).unwrap());
        assert_eq!(read, BIG as u64);
        show("64 MiB over TLS, read as it arrives", used);
        assert!(used.peak <= 6 * BUFFER, "{used:?}");
        drop(ws);
        server.join();
    });
}

#[test]
fn a_peer_that_sends_a_byte_in_each_fragment_costs_what_it_sends() {
    watchdog(LIMIT, || {
        const COUNT: usize = 131_072;
        for opcode in [TEXT, BINARY] {
            let begun = frame(opcode, false, b"a");
            let middle = frame(0, false, b"b").repeat(COUNT - 2);
            let first = [begun, middle, frame(0, true, b"c")].concat();
            let mut ws = in_memory(&builder(), &first, b"");
            let (message, used) = measure(|| ws.recv().unwrap());
            assert_eq!(message.as_bytes().len(), COUNT);
            // These are the message, the receive buffer, and room for the same number of bytes
            // again.
            assert!(used.peak <= 2 * COUNT + BUFFER, "{used:?}");
            assert!(used.calls < 40, "{used:?}");
            show("a byte in each fragment", used);
        }
    });
}

#[test]
fn a_peer_that_never_ends_its_message_of_single_bytes_costs_what_it_sent() {
    watchdog(LIMIT, || {
        let mut ws = in_memory(&builder(), &frame(BINARY, false, b"a"), &frame(0, false, b"b"));
        let (said, used) = measure(|| error(ws.recv()));
        assert!(matches!(said, Error::Protocol(Violation::TooManyFragments)), "{said:?}");
        assert!(used.peak <= 2 * 131_072 + BUFFER, "{used:?}");
        show("endless fragments", used);
    });
}

#[test]
fn a_peer_that_sends_empty_fragments_for_ever_costs_one_buffer() {
    watchdog(LIMIT, || {
        let begun = frame(TEXT, false, b"");
        let mut ws = in_memory(&builder(), &begun, &frame(0, false, b""));
        let (said, used) = measure(|| error(ws.recv()));
        assert!(matches!(said, Error::Protocol(Violation::TooManyEmptyFragments)), "{said:?}");
        assert!(used.peak <= BUFFER, "{used:?}");
        show("empty fragments", used);

        let mut ws =
            in_memory(&unlimited().max_empty_fragments(None), &begun, &frame(0, false, b""));
        let used = silence(&mut ws, SHORT);
        assert!(used.peak <= 2 * BUFFER, "{used:?}");
        show("empty fragments, no limit", used);
    });
}

#[test]
fn a_peer_that_floods_with_pings_and_reads_no_pong_costs_one_pong() {
    watchdog(LIMIT * 3, || {
        let (done, hold) = channel();
        let server = serve_on(small_listener(), move |peer| {
            peer.upgrade();
            let pings = ping(&[b'p'; 125]).repeat(1000);
            // The pongs to a million pings are 131 MB.
            for _ in 0..1000 {
                peer.send(&pings);
            }
            peer.send(&text("all pinged"));
            peer.hold_open(&hold);
        });
        let mut ws = builder().connect(&server.url()).unwrap();
        let (message, used) = measure(|| ws.recv().unwrap());
        assert_eq!(message, Message::from("all pinged"));
        assert!(used.peak <= 2 * BUFFER, "{used:?}");
        show("a million pings", used);
        drop(done);
        drop(ws);
        server.join();
    });
}

#[test]
fn a_peer_that_floods_with_pongs_costs_one_buffer() {
    watchdog(LIMIT, || {
        let pongs = frame(PONG, true, b"never asked").repeat(500_000);
        let mut ws = in_memory(&builder(), &[pongs, text("end")].concat(), b"");
        let (message, used) = measure(|| ws.recv().unwrap());
        assert_eq!(message, Message::from("end"));
        assert!(used.peak <= 2 * BUFFER, "{used:?}");
        show("500,000 pongs", used);
    });
}

#[test]
fn a_peer_that_sends_while_no_thread_receives_costs_nothing() {
    watchdog(LIMIT, || {
        let (full, is_full) = channel();
        let server = upgraded(move |peer| {
            peer.socket().set_write_timeout(Some(SHORT)).unwrap();
            let message = binary(&vec![1; 64 * KIB]);
            while peer.try_send(&message).is_ok() {}
            full.send(()).unwrap();
        });
        let mut ws = builder().connect(&server.url()).unwrap();
        let (_, used) = measure(|| is_full.recv().unwrap());
        assert!(used.peak <= KIB, "{used:?}");
        assert_eq!(ws.recv().unwrap().as_bytes().len(), 64 * KIB);
        show("no thread receives", used);
        drop(ws);
        server.join();
    });
}

#[test]
fn small_messages_are_received_without_an_allocation() {
    watchdog(LIMIT, || {
        let round = [text("hello"), binary(&[7; 1000]), ping(b"?"), text(""), ping(b"")].concat();
        let mut ws = in_memory(&builder(), b"", &round);
        for _ in 0..1000 {
            ws.next_event().unwrap();
        }
        let (_, used) = measure(|| {
            for _ in 0..10_000 {
                ws.next_event().unwrap();
            }
        });
        assert_eq!(used, Used { peak: 0, left: 0, total: 0, calls: 0 });
    });
}

#[test]
fn small_messages_from_a_socket_are_received_without_an_allocation() {
    watchdog(LIMIT, || {
        let server = upgraded(|peer| {
            let hundred = text("some message").repeat(100);
            for _ in 0..220 {
                peer.send(&hundred);
            }
            peer.stall()
        });
        let mut ws = builder().connect(&server.url()).unwrap();
        // The buffer grows first, if much arrives at once; else it may grow twice below.
        for _ in 0..11_000 {
            ws.next_event().unwrap();
        }
        let (_, used) = measure(|| {
            for _ in 0..10_000 {
                ws.next_event().unwrap();
            }
        });
        assert!(used.calls <= 3, "{used:?}");
        for _ in 0..1_000 {
            ws.next_event().unwrap(); // The server may still be sending.
        }
        drop(ws);
        server.join();
    });
}

#[test]
fn a_million_empty_messages_cost_one_buffer() {
    watchdog(LIMIT, || {
        let mut ws = in_memory(&builder(), b"", &text(""));
        let (_, used) = measure(|| {
            for _ in 0..1_000_000 {
                assert_eq!(ws.recv().unwrap(), Message::from(""));
            }
        });
        assert!(used.peak <= 2 * BUFFER && used.calls < 10, "{used:?}");
        show("a million empty messages", used);
    });
}

#[test]
fn a_message_that_had_begun_to_arrive_is_discarded_while_the_connection_closes() {
    watchdog(LIMIT, || {
        for opcode in [TEXT, BINARY] {
            let begun = announced(opcode, 1 << 40);
            let builder = unlimited().close_timeout(SHORT);
            let mut ws = in_memory(&builder, &begun, &[b'x'; 4096]);
            silence(&mut ws, Duration::from_millis(5));
            let (closed, used) = measure(|| ws.close(landline::CloseCode::NORMAL).unwrap());
            assert!(!closed.is_clean(), "{closed:?}");
            assert!(used.peak <= 2 * BUFFER, "{used:?}");
            assert!(used.left < 0, "the bytes of the message are not freed: {used:?}");
            show("closed within a message", used);
        }
    });
}
