//! See `wsgate_fuzz::engineio`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wsgate_fuzz::engineio::run(data));
