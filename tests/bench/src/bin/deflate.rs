//! Measures compressing and inflating by landline's core beside flate2 on the same buffers, with
//! context takeover, in processor time. Then measures streams of tiny blocks, in nanoseconds for a
//! byte on the wire.

use std::hint::black_box;
use std::time::Duration;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use landline::proto::frame::Opcode;
use landline::proto::recv::DeliveryMode;
use landline::proto::send::{Encoder, MaskKeys};
use landline_bench::compressed::{compress, compressor, decoder, frame, inflate, json, prose};
use landline_bench::plan::{Plan, median};
use landline_bench::process::cpu_time;

const TAIL: [u8; 4] = [0, 0, 0xFF, 0xFF];

fn main() {
    let plan = Plan::from_args();
    println!("{:24} {:>10} {:>10} {:>8}", "MB/s of messages", "landline", "flate2", "ratio");
    let small: Vec<String> = (0..512).map(|seed| json(1024, seed)).collect();
    let big: Vec<String> = (0..4).map(|seed| prose(1 << 20, seed)).collect();
    for (name, messages, times) in [("1 KiB JSON", &small, 24), ("1 MiB text", &big, 4)] {
        let messages: Vec<&[u8]> = messages.iter().map(|message| message.as_bytes()).collect();
        let times = plan.count(times);
        compare(
            &plan,
            &format!("compress {name}"),
            || compress_here(&messages, times),
            || compress_there(&messages, times),
        );
        let payloads = payloads(&messages);
        let framed =
            |payloads: &Vec<Vec<u8>>| payloads.iter().map(|payload| frame(payload)).collect();
        let frames = payloads.each_ref().map(framed);
        compare(
            &plan,
            &format!("inflate {name}"),
            || inflate_here(&frames, times),
            || inflate_there(&payloads, times, messages[0].len()),
        );
    }
    tiny_blocks();
}

/// Measures both in turns, and prints the median of the rounds' ratios.
fn compare(plan: &Plan, name: &str, mut here: impl FnMut() -> f64, mut there: impl FnMut() -> f64) {
    let (mut ours, mut theirs, mut ratios) = (vec![], vec![], vec![]);
    for round in 0..=plan.rounds {
        let (a, b) = if round % 2 == 0 {
            let a = here();
            (a, there())
        } else {
            let b = there();
            (here(), b)
        };
        if round > 0 {
            ours.push(a);
            theirs.push(b);
            ratios.push(a / b);
        }
    }
    let [ours, theirs, ratio] = [&mut ours, &mut theirs, &mut ratios].map(|values| median(values));
    println!("{name:24} {ours:>10.1} {theirs:>10.1} {ratio:>8.2}");
}

fn rate(bytes: usize, began: Duration) -> f64 {
    bytes as f64 / (cpu_time() - began).as_secs_f64() / 1e6
}

/// Compresses with landline, with the frame header and the mask.
fn compress_here(messages: &[&[u8]], times: usize) -> f64 {
    let mut compressor = compressor(15);
    let mut encoder = Encoder::new(MaskKeys::new(|pool| {
        pool.fill(0x5A);
        Ok(())
    }));
    let mut out = Vec::with_capacity(256 * 1024);
    let mut bytes = 0;
    let began = cpu_time();
    for _ in 0..times {
        for message in messages {
            let mut opcode = Opcode::Text;
            compress(&mut compressor, message, |chunk| {
                out.clear();
                let len = chunk.len() as u64;
                let begun = encoder.begin_compressed(opcode, true, len, &mut out);
                begun.unwrap().append(chunk, &mut out);
                black_box(&out);
                opcode = Opcode::Continuation;
            });
            bytes += message.len();
        }
    }
    rate(bytes, began)
}

fn compress_there(messages: &[&[u8]], times: usize) -> f64 {
    let mut stream = Compress::new_with_window_bits(Compression::new(6), false, 15);
    let mut out = vec![0; 1 << 20];
    let mut bytes = 0;
    let began = cpu_time();
    for _ in 0..times {
        for message in messages {
            stream.compress(message, &mut out, FlushCompress::Sync).unwrap();
            black_box(&out);
            bytes += message.len();
        }
    }
    rate(bytes, began)
}

/// Returns the payloads of a server, compressed by flate2: those of the first messages, and those
/// of the same messages after them, which can be sent again and again.
fn payloads(messages: &[&[u8]]) -> [Vec<Vec<u8>>; 2] {
    let mut stream = Compress::new_with_window_bits(Compression::new(6), false, 15);
    let mut each = |message: &&[u8]| {
        let mut out = Vec::with_capacity(message.len() + 1024);
        stream.compress_vec(message, &mut out, FlushCompress::Sync).unwrap();
        out.truncate(out.len() - TAIL.len());
        out
    };
    [messages.iter().map(&mut each).collect(), messages.iter().map(&mut each).collect()]
}

fn inflate_here([first, then]: &[Vec<Vec<u8>>; 2], times: usize) -> f64 {
    let mut decoder = decoder(Some(64 << 20));
    let mut each = |frame: &Vec<u8>| inflate(&mut decoder, frame, DeliveryMode::Whole).unwrap();
    first.iter().for_each(|frame| assert!(each(frame) > 0));
    let began = cpu_time();
    let bytes = (0..times).map(|_| then.iter().map(&mut each).sum::<usize>()).sum();
    rate(bytes, began)
}

fn inflate_there([first, then]: &[Vec<Vec<u8>>; 2], times: usize, len: usize) -> f64 {
    let mut stream = Decompress::new_with_window_bits(false, 15);
    let mut out = vec![0; len + 1];
    let mut each = |payload: &Vec<u8>| {
        let before = stream.total_out();
        stream.decompress(payload, &mut out, FlushDecompress::None).unwrap();
        stream.decompress(&TAIL, &mut out[len..], FlushDecompress::None).unwrap();
        black_box(&out);
        usize::try_from(stream.total_out() - before).unwrap()
    };
    first.iter().for_each(|payload| assert_eq!(each(payload), len));
    let began = cpu_time();
    let bytes = (0..times).map(|_| then.iter().map(&mut each).sum::<usize>()).sum();
    rate(bytes, began)
}

fn tiny_blocks() {
    println!();
    println!("{:32} {:>10}", "blocks that nothing comes out of", "ns a byte");
    let hex = |digits: &str| -> Vec<u8> {
        (0..digits.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
            .collect()
    };
    let dynamic = empty_dynamic_block();
    for (name, block) in [
        ("stored, 5 bytes each", hex("000000ffff")),
        ("final and fixed, 2 bytes each", hex("0300")),
        ("final and stored, 5 bytes each", hex("010000ffff")),
        ("final and dynamic", dynamic),
    ] {
        let mut payload = block.repeat((4 << 20) / block.len());
        payload.push(0);
        let bytes = frame(&payload);
        let mut decoder = decoder(Some(64 << 20));
        let began = cpu_time();
        inflate(&mut decoder, &bytes, DeliveryMode::Whole).unwrap();
        let nanos = (cpu_time() - began).as_secs_f64() * 1e9 / bytes.len() as f64;
        println!("{name:32} {nanos:>10.1}");
    }
}

/// Returns a final block with codes of its own, of which only the one for the end is used.
fn empty_dynamic_block() -> Vec<u8> {
    let mut bits: Vec<bool> = Vec::new();
    let mut put = |value: u32, count: u32| {
        for at in 0..count {
            bits.push(value >> at & 1 == 1);
        }
    };
    put(1, 1); // final
    put(2, 2); // dynamic
    put(0, 5); // 257 literals and lengths
    put(0, 5); // 1 distance
    // 18 of the lengths of codes: 16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1
    put(14, 4);
    for symbol in [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1] {
        // 18, a run of zeros, has the code 0; 1, a length of one bit, has 1.
        put(u32::from(symbol == 18 || symbol == 1), 3);
    }
    // Codes are in the order of the symbols: 1 is 0, 18 is 1.
    put(0, 1); // literal 0: one bit
    put(1, 1);
    put(127, 7); // 138 zeros
    put(1, 1);
    put(117 - 11, 7); // and 117: 1 to 255
    put(0, 1); // 256, the end: one bit
    put(0, 1); // distance 0: one bit
    put(1, 1); // the end: the second of the two codes
    let mut bytes = vec![0; bits.len().div_ceil(8)];
    for (at, bit) in bits.into_iter().enumerate() {
        bytes[at / 8] |= u8::from(bit) << (at % 8);
    }
    bytes
}
