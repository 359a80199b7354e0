//! See `wsgate_fuzz::location`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wsgate_fuzz::location::run(data));
