//! Messages go through the compressor, with any options, cut anywhere, flushed anywhere. The
//! decoder and another implementation both get them back.

use arbitrary::Unstructured;
use landline::MessageRef;
use landline::deflate::Deflate;
use landline::proto::deflate::NO_PARAMETERS;
use landline::proto::deflate::compress::Compressor;
use landline::proto::frame::{Header, Opcode};
use landline::proto::recv::{Decoder, DeliveryMode, Found, Limits};

pub fn check(data: &[u8]) {
    // The script ends when the input is used up.
    let _ = script(&mut Unstructured::new(data));
}

fn script(input: &mut Unstructured<'_>) -> arbitrary::Result<()> {
    let options = Deflate::new().level(input.int_in_range(0..=9)?);
    let mut parameters = NO_PARAMETERS;
    parameters.client_max_window_bits = input.int_in_range(9..=15)?;
    let forgets = input.arbitrary()?;
    parameters.client_no_context_takeover = forgets;
    parameters.server_no_context_takeover = forgets;
    let most = input.int_in_range(64..=70_000)?;
    let mut compressor = Compressor::new(&options, parameters, most);
    let mut decoder = Decoder::new(Limits::default());
    decoder.accept_deflate(&parameters);

    let (mut stream, mut sent) = (Vec::new(), Vec::new());
    while !input.is_empty() {
        let message = message(input)?;
        let chunks = chunks(&mut compressor, &message, input)?;
        super::note(&chunks);
        assert_eq!(receive(&mut decoder, &chunks), message, "the decoder");
        stream.extend(chunks.concat());
        stream.extend([0, 0, 0xFF, 0xFF]);
        sent.extend_from_slice(&message);
        if forgets {
            assert_eq!(reference(&stream), sent, "miniz");
            stream.clear();
            sent.clear();
        }
        if input.arbitrary()? {
            compressor.shrink();
            decoder.shrink();
        }
    }
    assert_eq!(reference(&stream), sent, "miniz");
    Ok(())
}

/// Makes a message of some bytes, which may be repeated.
fn message(input: &mut Unstructured<'_>) -> arbitrary::Result<Vec<u8>> {
    let len = input.int_in_range(0..=300)?.min(input.len());
    let bytes = input.bytes(len)?;
    let times = *input.choose(&[1, 1, 2, 30, 700])?;
    Ok(bytes.repeat(times))
}

fn chunks(
    compressor: &mut Compressor,
    message: &[u8],
    input: &mut Unstructured<'_>,
) -> arbitrary::Result<Vec<Vec<u8>>> {
    let mut chunks = Vec::new();
    let parts = input.int_in_range(1..=4)?;
    for part in message.chunks(message.len().div_ceil(parts).max(1)) {
        let mut part = part;
        while compressor.push(&mut part).unwrap() {
            chunks.push(compressor.chunk().to_vec());
        }
        let mut more = input.arbitrary()?;
        while more {
            more = compressor.flush().unwrap();
            chunks.push(compressor.chunk().to_vec());
        }
    }
    let mut more = true;
    while more {
        more = compressor.finish().unwrap();
        chunks.push(compressor.chunk().to_vec());
    }
    Ok(chunks)
}

fn receive(decoder: &mut Decoder, chunks: &[Vec<u8>]) -> Vec<u8> {
    for (at, chunk) in chunks.iter().enumerate() {
        let mut bytes = Vec::new();
        let (opcode, rsv) = if at == 0 { (Opcode::Binary, 4) } else { (Opcode::Continuation, 0) };
        let fin = at + 1 == chunks.len();
        Header { fin, rsv, opcode, mask: None, len: chunk.len() as u64 }.encode(&mut bytes);
        bytes.extend_from_slice(chunk);
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            rest = &rest[decoder.feed(rest)..];
            if let Some(found) = decoder.advance(DeliveryMode::Whole).expect("a violation") {
                assert!(fin && rest.is_empty(), "too early");
                assert!(matches!(found, Found::Message { .. }), "no message");
                let Ok(MessageRef::Binary(bytes)) = decoder.message() else { panic!("not binary") };
                return bytes.to_vec();
            }
        }
    }
    panic!("no message")
}

fn reference(stream: &[u8]) -> Vec<u8> {
    // An empty final block ends the stream.
    let stream = [stream, &[1, 0, 0, 0xFF, 0xFF]].concat();
    miniz_oxide::inflate::decompress_to_vec(&stream).expect("miniz refuses it")
}
