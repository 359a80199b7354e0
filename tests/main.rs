//! The first ring: everything that needs no peer but a socket. The second, with real peers, is under `tests/peers`.
#![allow(clippy::unwrap_used)] // in a test a panic is the report

mod access_log;
mod allocations;
mod answer_fields;
mod answers;
mod balance;
mod bare_machine;
mod blame;
mod broken_answers;
mod certificate_files;
mod certificates;
mod config_errors;
mod diagnosis;
mod documentation;
mod drain;
mod environment;
mod explain;
mod faults;
mod full_queue;
mod group_health;
mod groups;
mod half_close;
mod half_closed_requests;
mod hostile;
mod hosts;
mod http10;
mod https_refused;
mod https_upstream;
mod hyper_contracts;
mod import;
mod invented_sessions;
mod keep_alive;
mod last_bytes;
mod layers;
mod left_behind;
mod memory;
mod names;
mod nginx_locations;

mod per_ip;
mod proxy_protocol;
mod refused_requests;
mod refused_upgrades;
mod reload;
mod requests;
mod restart;
mod robustness;
mod round_robin;
mod routing;
mod shell;
mod signals;
mod slow_readers;
mod start;
mod streaming;
mod support;
mod timeouts;
mod told_of_groups;
mod too_many;
mod trouble;
mod trusted_proxies;
mod tunnel_cost;
mod two_ways;
mod unix_listener;
mod unix_upstream;
mod upgrade;
mod who_may;

// The benchmark has no test harness of its own: its arithmetic and its report are tested here.
#[allow(dead_code)]
#[path = "bench/figures.rs"]
mod figures;
#[allow(dead_code)]
#[path = "bench/report/mod.rs"]
mod report;

// Nor has the soak: what its messages tell is tested here.
#[allow(dead_code)]
#[path = "soak/dice.rs"]
mod dice;
#[allow(dead_code)]
#[path = "soak/message.rs"]
mod message;
