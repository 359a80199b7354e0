//! See `wsgate_fuzz::tunnel_tls`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wsgate_fuzz::tunnel_tls::run(data));
