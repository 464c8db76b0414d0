#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| oracles::close_payload::check(data));
