#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| oracles::frame_stream::check(data));
