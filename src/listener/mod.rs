//! From listening sockets to requests, and for tunnels on to their 101.

mod accept;
mod acceptor;
mod admitted;
mod announced;
mod between_requests;
mod buffered;
mod client_socket;
mod closing;
mod connection;
mod handover;
mod head_deadline;
mod head_timer;
mod hyper_driver;
mod hyper_requests;
mod listen_error;
mod live_listener;
mod phase;
mod presence;
mod promised;
mod socket;
mod tasks;
mod tls_failure;
mod unix_socket;

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::observe::Observer;
use crate::proxy::CurrentProxy;
use crate::tunnel::IdleSweep;

pub use crate::listener::accept::accept;
pub use crate::listener::acceptor::Acceptor;
pub use crate::listener::listen_error::ListenError;
pub use crate::listener::live_listener::ListenerSettings;
pub use crate::listener::live_listener::LiveListener;
pub use crate::listener::phase::Phase;
pub use crate::listener::socket::BindTarget;
pub use crate::listener::socket::Bound;
pub use crate::listener::socket::ListeningSocket;
pub use crate::listener::socket::bind;
pub use crate::listener::socket::claim;
pub use crate::listener::socket::overlap;
pub use crate::listener::tasks::Tasks;
pub use crate::listener::unix_socket::SocketFile;

/// What a connection obeys before a request is there.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionTimeouts {
    /// Longest TLS handshake.
    pub tls_handshake: Duration,
    /// Longest wait for the whole head of a request.
    pub header: Duration,
    /// Longest idleness between two requests; zero if each answer is the last one of its connection.
    pub keepalive: Duration,
}

/// What all connections of one thread share.
#[derive(Debug)]
pub struct Context {
    /// Decides about requests.
    pub current_proxy: CurrentProxy,
    /// Ends tunnels that do not end by themselves.
    pub sweep: Rc<IdleSweep>,
    /// Counts what is under way.
    pub tasks: Tasks,
    /// When to stop.
    pub phase: watch::Receiver<Phase>,
    /// Hears what happens to connections.
    pub observer: Arc<dyn Observer>,
    /// See [`ConnectionTimeouts`]. A connection obeys those that it finds when it comes.
    pub timeouts: Cell<ConnectionTimeouts>,
}
