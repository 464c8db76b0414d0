#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| oracles::frame_header::check(data));
