//! Compression (RFC 7692) takes the same memory for a message of any length. An idle connection
//! frees this memory, unless context takeover was agreed on.

use landline::Message;
use landline::deflate::{Deflate, DeflateParameters};
use landline::error::Violation;
use landline::proto::deflate::NO_PARAMETERS;
use landline::proto::deflate::compress::Compressor;
use landline::proto::frame::{Header, Opcode};
use landline::proto::recv::{Decoder, DeliveryMode, Found, Limits};
use landline_memory::{live, measure};

const KIB: usize = 1024;
/// The number of bytes that the compressor gives at a time on a connection.
const CHUNK: usize = 64 * KIB;
/// The most bytes that a window and its tables take.
const COMPRESSING: usize = 376 * KIB;
const INFLATING: usize = 64 * KIB;

fn no_takeover() -> DeflateParameters {
    let mut parameters = NO_PARAMETERS;
    parameters.client_no_context_takeover = true;
    parameters.server_no_context_takeover = true;
    parameters
}

fn compressor(parameters: DeflateParameters) -> Compressor {
    Compressor::new(&Deflate::new(), parameters, CHUNK)
}

/// Returns bytes that cannot be compressed, the same in each run.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..len).map(|_| next()).collect()
}

/// Compresses one message, and calls `take` with each chunk.
fn compress(compressor: &mut Compressor, mut bytes: &[u8], mut take: impl FnMut(&[u8])) {
    while compressor.push(&mut bytes).unwrap() {
        take(compressor.chunk());
    }
    while compressor.finish().unwrap() {
        take(compressor.chunk());
    }
    take(compressor.chunk());
}

#[test]
fn a_message_of_16_mib_is_compressed_with_the_memory_of_a_window_and_a_chunk() {
    let data = noise(16 << 20);
    let mut compressor = compressor(NO_PARAMETERS);
    let (len, used) = measure(|| {
        let mut len = 0;
        compress(&mut compressor, &data, |chunk| len += chunk.len());
        len
    });
    println!("16 MiB compressed: {used:?}");
    assert!(len >= data.len());
    assert!(used.peak <= COMPRESSING + CHUNK + KIB, "{used:?}");
}

#[test]
fn a_compressor_without_context_takeover_frees_all_and_one_with_it_all_but_the_window() {
    let data = noise(1 << 20);
    for (parameters, stays) in [(no_takeover(), 0), (NO_PARAMETERS, COMPRESSING)] {
        let mut compressor = compressor(parameters);
        let start = live();
        compress(&mut compressor, &data, |_| ());
        let busy = live() - start;
        compressor.shrink();
        let idle = live() - start;
        println!("busy {busy}, idle {idle}");
        assert!(busy > CHUNK.cast_signed());
        assert!(idle <= stays.cast_signed(), "{idle} bytes stay");
    }
}

/// Returns these messages as compressed frames of a server.
fn framed(opcode: Opcode, messages: &[&[u8]]) -> Vec<u8> {
    let mut compressor = compressor(NO_PARAMETERS);
    let mut bytes = Vec::new();
    for message in messages {
        let mut payload = Vec::new();
        compress(&mut compressor, message, |chunk| payload.extend_from_slice(chunk));
        let len = payload.len() as u64;
        Header { fin: true, rsv: 0b100, opcode, mask: None, len }.encode(&mut bytes);
        bytes.extend(payload);
    }
    bytes
}

/// Lends all messages, and returns their number.
fn lend(decoder: &mut Decoder, mut bytes: &[u8]) -> usize {
    let mut count = 0;
    while !bytes.is_empty() {
        bytes = &bytes[decoder.feed(bytes)..];
        while let Some(found) = decoder.advance(DeliveryMode::Whole).unwrap() {
            assert!(matches!(found, Found::Message { .. }), "{found:?}");
            decoder.message().unwrap();
            count += 1;
        }
    }
    count
}

#[test]
fn small_messages_are_inflated_without_an_allocation() {
    for opcode in [Opcode::Text, Opcode::Binary] {
        let message = "something small, ".repeat(20);
        let bytes = framed(opcode, &vec![message.as_bytes(); 200]);
        let (first, rest) = bytes.split_at(bytes.len() / 2);
        let mut decoder = Decoder::new(Limits::default());
        decoder.accept_deflate(&NO_PARAMETERS);
        let before = lend(&mut decoder, first);
        let (after, used) = measure(|| lend(&mut decoder, rest));
        assert_eq!(before + after, 200);
        assert_eq!((used.calls, used.left), (0, 0), "{opcode:?}: {used:?}");
    }
}

#[test]
fn the_memory_of_a_big_message_is_freed_by_a_small_one_after_it() {
    for opcode in [Opcode::Text, Opcode::Binary] {
        let big = vec![b'a'; 4 << 20];
        let bytes = framed(opcode, &[&big, b"small"]);
        let mut decoder = Decoder::new(Limits::default());
        decoder.accept_deflate(&NO_PARAMETERS);
        let start = live();
        assert_eq!(lend(&mut decoder, &bytes), 2);
        let stays = live() - start;
        // Two buffers and the window may stay.
        assert!(stays <= (128 * KIB + INFLATING).cast_signed(), "{opcode:?}: {stays} bytes stay");
    }
}

#[test]
fn a_compressed_message_in_fragments_takes_a_buffer_a_window_and_a_fragment() {
    for (parameters, stays) in [(no_takeover(), 8 * KIB), (NO_PARAMETERS, INFLATING)] {
        let mut frames = Vec::new();
        compress(&mut compressor(parameters), &noise(1 << 20), |chunk| {
            frames.extend_from_slice(chunk);
        });
        let mut bytes = Vec::new();
        let (opcode, len) = (Opcode::Binary, frames.len() as u64);
        Header { fin: true, rsv: 0b100, opcode, mask: None, len }.encode(&mut bytes);
        bytes.extend(frames);
        let mut decoder = Decoder::new(Limits::default());
        decoder.accept_deflate(&parameters);
        let start = live();
        let (out, used) = measure(|| {
            let (mut rest, mut out) = (&bytes[..], 0);
            while !rest.is_empty() {
                rest = &rest[decoder.feed(rest)..];
                while decoder.advance(DeliveryMode::Fragments).unwrap().is_some() {
                    out += decoder.fragment().data.len();
                }
            }
            out
        });
        println!("1 MiB inflated: {used:?}");
        assert_eq!(out, 1 << 20);
        // These are the buffer, the window and a fragment.
        assert!(used.peak <= 64 * KIB + INFLATING + 64 * KIB, "{used:?}");
        decoder.shrink();
        let idle = live() - start;
        println!("idle {idle}");
        assert!(idle <= stays.cast_signed(), "{idle} bytes stay");
    }
}

/// Returns a message of `zeros` zeros in one frame, which is about a thousandth of that long.
fn bomb(opcode: Opcode, zeros: usize) -> Vec<u8> {
    let mut compressor = compressor(NO_PARAMETERS);
    let (mib, mut compressed) = (vec![0; 1 << 20], Vec::new());
    let mut left = zeros;
    while left > 0 {
        let mut some = &mib[..left.min(mib.len())];
        left -= some.len();
        while compressor.push(&mut some).unwrap() {
            compressed.extend_from_slice(compressor.chunk());
        }
    }
    while compressor.finish().unwrap() {
        compressed.extend_from_slice(compressor.chunk());
    }
    compressed.extend_from_slice(compressor.chunk());
    let len = compressed.len() as u64;
    assert!(compressed.len() < zeros / 900, "{len} bytes are no bomb");
    let mut bytes = Vec::new();
    Header { fin: true, rsv: 0b100, opcode, mask: None, len }.encode(&mut bytes);
    bytes.extend(compressed);
    bytes
}

#[test]
fn a_bomb_of_256_mib_is_refused_and_takes_no_more_memory_than_the_limit() {
    const LIMIT: usize = 1 << 20;
    for opcode in [Opcode::Binary, Opcode::Text] {
        let bytes = bomb(opcode, 256 << 20);
        for delivery in [DeliveryMode::Whole, DeliveryMode::Fragments] {
            let mut limits = Limits::default();
            limits.max_message_size = Some(LIMIT as u64);
            let ((refused, out), used) = measure(|| {
                let mut decoder = Decoder::new(limits);
                decoder.accept_deflate(&NO_PARAMETERS);
                let (mut rest, mut out) = (&bytes[..], 0);
                loop {
                    match decoder.advance(delivery) {
                        Err(violation) => break (violation, out),
                        Ok(None) => {
                            assert!(!rest.is_empty(), "all of it was taken");
                            rest = &rest[decoder.feed(rest)..];
                        }
                        Ok(Some(Found::Fragment { .. })) => out += decoder.fragment().data.len(),
                        Ok(Some(other)) => panic!("{other:?}"),
                    }
                }
            });
            println!("{opcode:?}, {delivery:?}: {out} bytes, then {refused:?}: {used:?}");
            assert_eq!(refused, Violation::MessageTooBig);
            let (most_out, most) = match delivery {
                DeliveryMode::Whole => (0, LIMIT + 160 * KIB),
                // Only one fragment is kept.
                _ => (LIMIT, 160 * KIB),
            };
            assert!(out <= most_out && used.peak <= most, "{used:?}");
            assert_eq!(used.left, 0);
        }
    }
}

#[test]
fn very_many_messages_that_inflate_a_thousandfold_take_the_memory_of_one() {
    const SIZE: usize = 512 * KIB;
    let bytes = bomb(Opcode::Binary, SIZE);
    let mut decoder = Decoder::new(Limits::default());
    decoder.accept_deflate(&NO_PARAMETERS);
    let start = live();
    let mut deliver = |times: usize| {
        let (_, used) = measure(|| {
            let mut whole = 0;
            for _ in 0..times {
                let mut rest = &bytes[..];
                while !rest.is_empty() {
                    rest = &rest[decoder.feed(rest)..];
                    while decoder.advance(DeliveryMode::Whole).unwrap().is_some() {
                        match decoder.take_message() {
                            Ok(Message::Binary(message)) => {
                                assert!(message.len() == SIZE && message.iter().all(|&b| b == 0));
                                whole += 1;
                            }
                            other => panic!("{other:?}"),
                        }
                    }
                }
            }
            assert_eq!(whole, times);
        });
        (used.peak, used.left, live() - start)
    };
    let first = deliver(1);
    let second = deliver(1);
    let many = deliver(1000);
    println!("first {first:?}, second {second:?}, 1000 more {many:?}");
    // These are the buffer, the window and the message.
    assert!(first.0 <= SIZE + 160 * KIB, "{first:?}");
    assert_eq!(second.1, 0, "{second:?}");
    assert_eq!(many, second);
}
