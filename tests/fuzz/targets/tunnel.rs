//! See `wsgate_fuzz::tunnel`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wsgate_fuzz::tunnel::run(data));
