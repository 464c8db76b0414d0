#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| oracles::url_and_headers::check(data));
