#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| oracles::utf8::check(data));
