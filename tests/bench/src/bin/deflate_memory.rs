//! Measures the heap bytes of compression, counted by the allocator: the compressor for each window
//! size, the inflater, a bomb, a big message, and the allocations for a message. Fails above
//! limits.

use std::process::ExitCode;

use flate2::{Compress, Compression, FlushCompress};
use landline::error::Violation;
use landline::proto::recv::DeliveryMode;
use landline_bench::compressed::{compress, compressor, decoder, frame, inflate, json};
use landline_bench::heap::{Counting, during, live};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const LIMIT: usize = 64 << 20;
/// The number of bytes of the read buffer, and of the window with its tables.
const BUFFERS: usize = 128 << 10;

fn main() -> ExitCode {
    let message = json(1024, 1);
    println!("heap bytes of a connection with context takeover, after a message of 1 KiB");
    println!("window bits  sending  receiving");
    for bits in 9..=15 {
        let before = live();
        let mut sending = compressor(bits);
        let mut payload = Vec::new();
        compress(&mut sending, message.as_bytes(), |chunk| payload.extend_from_slice(chunk));
        let bytes = frame(&payload);
        drop(payload);
        let sending_bytes = live() - before - bytes.capacity().cast_signed();
        let before = live();
        let mut receiving = decoder(None);
        inflate(&mut receiving, &bytes, DeliveryMode::Whole).unwrap();
        println!("{bits:>11} {sending_bytes:>8} {:>10}", live() - before);
    }

    let (sending, receiving) = steady(&message);
    println!("\nallocations in 10,000 messages of 1 KiB: sending {sending}, receiving {receiving}");

    let bomb = bomb();
    let mut refusing = decoder(Some(LIMIT as u64));
    let (refused, whole, _) = during(|| inflate(&mut refusing, &bomb, DeliveryMode::Whole));
    assert_eq!(refused, Err(Violation::MessageTooBig));
    drop(refusing);
    let mut streaming = decoder(None);
    let (len, fragments, _) = during(|| inflate(&mut streaming, &bomb, DeliveryMode::Fragments));
    assert_eq!(len, Ok(1 << 30));
    println!("\n1 GiB from {} bytes, peak heap bytes", bomb.len());
    println!("refused at 64 MiB {whole:>12}, of which over the limit {}", over(whole));
    println!("taken in fragments{fragments:>12}");

    let zeros = vec![0; LIMIT];
    let mut big = compressor(15);
    let ((), sent, _) = during(|| compress(&mut big, &zeros, |_| {}));
    println!("sending 64 MiB    {sent:>12}");

    let kept = sending + receiving == 0
        && over(whole) <= BUFFERS.cast_signed()
        && fragments <= (2 * BUFFERS).cast_signed();
    if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn over(peak: isize) -> isize {
    peak - LIMIT.cast_signed()
}

/// Returns the numbers of allocations after the first messages, for sending and for receiving.
fn steady(message: &str) -> (usize, usize) {
    let mut sending = compressor(15);
    let mut receiving = decoder(None);
    let mut bytes = Vec::with_capacity(1 << 16);
    let (mut sent, mut received) = (0, 0);
    for round in 0..10_100 {
        bytes.clear();
        let ((), calls, takes) = during(|| {
            compress(&mut sending, message.as_bytes(), |chunk| bytes.extend_from_slice(chunk));
        });
        let _ = calls;
        let framed = frame(&bytes);
        let (len, _, gets) = during(|| inflate(&mut receiving, &framed, DeliveryMode::Whole));
        assert_eq!(len, Ok(message.len()));
        if round >= 100 {
            sent += takes;
            received += gets;
        }
    }
    (sent, received)
}

/// Returns a compressed message of 1 GiB of zeros.
fn bomb() -> Vec<u8> {
    let mut stream = Compress::new(Compression::new(9), false);
    let mut payload = Vec::with_capacity(2 << 20);
    let zeros = vec![0; 1 << 20];
    for at in 0..1024 {
        let flush = if at == 1023 { FlushCompress::Sync } else { FlushCompress::None };
        stream.compress_vec(&zeros, &mut payload, flush).unwrap();
    }
    payload.truncate(payload.len() - 4);
    frame(&payload)
}
