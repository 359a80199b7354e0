//! See `wsgate_fuzz::request`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wsgate_fuzz::request::run(data));
