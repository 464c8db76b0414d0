//! Makes the messages of the measurements of compression, compresses and inflates them.

use landline::deflate::Deflate;
use landline::proto::deflate::NO_PARAMETERS;
use landline::proto::deflate::compress::Compressor;
use landline::proto::recv::{Decoder, DeliveryMode, Found, Limits};

use crate::wire::header;

/// Makes numbers for the records that look random, and are the same in each run of the program.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// Returns a JSON message of `len` bytes: records of a price feed.
pub fn json(len: usize, seed: u64) -> String {
    let mut numbers = Numbers(seed * 2 + 1);
    let mut out = String::from("[");
    while out.len() < len {
        out.push_str(&format!(
            "{{\"id\":{},\"symbol\":\"{}{}\",\"bid\":{}.{:02},\"ask\":{}.{:02},\
             \"time\":\"2024-05-{:02}T12:{:02}:{:02}Z\"}},",
            numbers.next(1_000_000),
            ["ABC", "XYZ", "QQQ", "LMN"][usize::try_from(numbers.next(4)).unwrap()],
            numbers.next(10),
            numbers.next(1000),
            numbers.next(100),
            numbers.next(1000),
            numbers.next(100),
            1 + numbers.next(28),
            numbers.next(60),
            numbers.next(60),
        ));
    }
    out.truncate(len);
    out
}

/// Returns text of `len` bytes: words, of which some are frequent and some rare.
pub fn prose(len: usize, seed: u64) -> String {
    const SYLLABLES: [&str; 24] = [
        "the", "re", "con", "ing", "ver", "ta", "lo", "mi", "ser", "sto", "an", "de", "pro",
        "ment", "al", "er", "tion", "ble", "un", "qui", "ex", "or", "is", "ly",
    ];
    let mut numbers = Numbers(seed * 2 + 1);
    let mut words = Vec::new();
    for _ in 0..3000 {
        let syllables = 1 + numbers.next(4);
        let word: String =
            (0..syllables).map(|_| SYLLABLES[usize::try_from(numbers.next(24)).unwrap()]).collect();
        words.push(word);
    }
    let mut out = String::new();
    while out.len() < len {
        // The product of two numbers makes the first words frequent.
        let at = numbers.next(3000) * numbers.next(3000) / 3000;
        out.push_str(&words[usize::try_from(at).unwrap()]);
        out.push_str(if numbers.next(12) == 0 { ", " } else { " " });
    }
    out.truncate(len);
    out
}

pub fn compressor(bits: u8) -> Compressor {
    let mut parameters = NO_PARAMETERS;
    parameters.client_max_window_bits = bits;
    Compressor::new(&Deflate::new(), parameters, 64 * 1024)
}

pub fn decoder(limit: Option<u64>) -> Decoder {
    let mut limits = Limits::default();
    limits.max_message_size = limit;
    let mut decoder = Decoder::new(limits);
    decoder.accept_deflate(&NO_PARAMETERS);
    decoder
}

/// Compresses a message, and calls `take` with each chunk.
pub fn compress(compressor: &mut Compressor, mut message: &[u8], mut take: impl FnMut(&[u8])) {
    while compressor.push(&mut message).unwrap() {
        take(compressor.chunk());
    }
    let mut more = true;
    while more {
        more = compressor.finish().unwrap();
        take(compressor.chunk());
    }
}

/// Returns a server's frame with a compressed text message.
pub fn frame(payload: &[u8]) -> Vec<u8> {
    let mut frame = header(payload.len(), false);
    frame[0] = 0xC1;
    frame.extend_from_slice(payload);
    frame
}

/// Feeds a message as the socket would, and returns its length. If the message is refused, returns
/// the number of bytes that were fed.
pub fn inflate(
    decoder: &mut Decoder,
    mut bytes: &[u8],
    delivery: DeliveryMode,
) -> Result<usize, landline::error::Violation> {
    let mut len = 0;
    while !bytes.is_empty() {
        bytes = &bytes[decoder.feed(bytes)..];
        while let Some(found) = decoder.advance(delivery)? {
            len += match found {
                Found::Message { .. } => decoder.message()?.as_bytes().len(),
                Found::Fragment { .. } => decoder.fragment().data.len(),
                _ => 0,
            };
        }
    }
    Ok(len)
}
