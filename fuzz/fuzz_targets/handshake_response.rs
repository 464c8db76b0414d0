#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| oracles::handshake_response::check(data));
