//! What the first ring's tests are written with: the real binary, and sockets that speak bytes.
//!
//! Nothing waits without a deadline, and nothing sleeps to be safe: a test waits for the event that it is about.

mod authority;
mod duplex;
mod exchange;
mod log;
mod message;
mod peer;
mod process;
mod server;
mod setup;
mod sockets;
mod tls;
mod upstream;
mod way;
mod websocket;
mod wire;

use std::future::Future;
use std::time::Duration;

use tokio::time::timeout;

pub(crate) use crate::support::authority::Authority;
pub(crate) use crate::support::authority::Identity;
pub(crate) use crate::support::duplex::Flood;
pub(crate) use crate::support::duplex::move_both_ways;
pub(crate) use crate::support::exchange::GET;
pub(crate) use crate::support::exchange::asked;
pub(crate) use crate::support::exchange::passed_on;
pub(crate) use crate::support::message::Answer;
pub(crate) use crate::support::message::Head;
pub(crate) use crate::support::peer::Ending;
pub(crate) use crate::support::peer::LEAVE;
pub(crate) use crate::support::peer::Peer;
pub(crate) use crate::support::process::Stderr;
pub(crate) use crate::support::process::cpu_time;
pub(crate) use crate::support::process::raise_descriptor_limit;
pub(crate) use crate::support::server::Over;
pub(crate) use crate::support::server::TestServer;
pub(crate) use crate::support::setup::Setup;
pub(crate) use crate::support::tls::begin as begin_tls;
pub(crate) use crate::support::tls::begin_over as begin_tls_over;
pub(crate) use crate::support::tls::certificate_pem;
pub(crate) use crate::support::tls::client_hello;
pub(crate) use crate::support::tls::try_begin as try_begin_tls;
pub(crate) use crate::support::tls::write_pair;
pub(crate) use crate::support::upstream::Upstream;
pub(crate) use crate::support::way::Way;
pub(crate) use crate::support::websocket::KEY;
pub(crate) use crate::support::websocket::SWITCHING;
pub(crate) use crate::support::websocket::UPGRADE;
pub(crate) use crate::support::websocket::agree;
pub(crate) use crate::support::websocket::tunnel;
pub(crate) use crate::support::websocket::tunnel_of;
pub(crate) use crate::support::websocket::upgrade_to;
pub(crate) use crate::support::wire::Wire;

/// Longest wait for anything that should happen at once; long, since many tests share two cores.
pub(crate) const DEADLINE: Duration = Duration::from_secs(15);

/// How fast an abrupt end must reach the other side.
pub(crate) const AT_ONCE: Duration = Duration::from_secs(1);

/// How long a test looks at a socket on which nothing may arrive.
const QUIET: Duration = Duration::from_millis(100);

/// Waits for `what`, but not forever.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match timeout(DEADLINE, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what}: not within {DEADLINE:?}"),
    }
}
