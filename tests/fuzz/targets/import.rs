//! See `wsgate_fuzz::import`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wsgate_fuzz::import::run(data));
