//! A reverse proxy for WebSocket upgrades, as a library behind the `wsgate` command.
//!
//! A connection's path, which is the order to read in: [`listener`] accepts, [`tls`] shakes hands, [`http1`] or hyper reads a request,
//! [`decision`] finds what becomes of it, [`proxy`] asks an [`upstream`], and after a 101 a [`tunnel`] moves bytes.
//! `docs/architecture.md` has the floors that say which module knows which.

// What comes from outside must not end the process, nor may anything that looks as if it could not fail. Tests may give up.
#![cfg_attr(
    not(test),
    warn(
        clippy::expect_used,
        clippy::panic,
        clippy::todo,
        clippy::unimplemented,
        clippy::unreachable
    )
)]

pub mod access;
pub mod affinity;
pub mod answer_fields;
pub mod cli;
pub mod clients;
pub mod config;
pub mod decision;
pub mod engineio;
pub mod explain;
pub mod headers;
pub mod http1;
pub mod limits;
pub mod listener;
pub mod nginx;
pub mod observe;
pub mod proxy;
pub mod proxy_protocol;
pub mod returns;
pub mod routing;
pub mod server;
pub mod stream;
pub mod table;
pub mod template;
pub mod tls;
pub mod tunnel;
pub mod upstream;
