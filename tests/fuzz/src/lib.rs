//! The fuzz targets of wsgate: each module is one, with what it holds against any bytes; `targets` gives them to libFuzzer.
//!
//! Here they are functions of a library, so that `cargo test` in this directory can run each of them over its corpus
//! without a fuzzer.

mod answers;
pub mod config;
pub mod connection;
pub mod engineio;
mod file;
mod hostile;
pub mod import;
pub mod location;
mod log;
pub mod request;
mod script;
pub mod seeds;
mod support;
pub mod tunnel;
pub mod tunnel_tls;

#[cfg(test)]
mod tests;
