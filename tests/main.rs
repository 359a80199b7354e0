//! The first ring: everything that needs no peer but a socket. The second, with real peers, is under `tests/peers`.
#![allow(clippy::unwrap_used)] // in a test a panic is the report

mod config_errors;
mod documentation;
mod layers;
