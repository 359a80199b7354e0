//! What happens to a client's connection before there is a request on it, as values.

use std::error::Error;
use std::io;
use std::time::Duration;

/// Why no more connections are accepted for the moment. Clients wait in the queue of the system meanwhile.
#[derive(Clone, Copy, Debug)]
pub enum AcceptPause<'a> {
    /// There are as many connections as `max_connections` allows.
    Full {
        /// The limit.
        max_connections: usize,
    },
    /// The system gives no socket, for example because the process has no descriptor left.
    System(&'a io::Error),
}

/// Why a client's connection ended before there was a request on it.
#[derive(Clone, Copy, Debug)]
pub enum ConnectionFailure<'a> {
    /// Its address has so many connections that this one is closed without an answer.
    PerIp {
        /// The key of the configuration that says how many it may have.
        limit: &'static str,
        /// The limit, and whose it is.
        reason: &'a dyn Error,
        /// Whether this is the first such connection of its address within a minute.
        is_news: bool,
    },
    /// The listener has `proxy_protocol`, and the connection did not begin as that demands.
    ProxyHeader {
        /// What kind of failure it is.
        kind: ProxyHeaderFailure,
        /// The failure in words.
        reason: &'a dyn Error,
    },
    /// The TLS handshake came to nothing.
    TlsHandshake {
        /// What kind of failure it is.
        kind: TlsFailure,
        /// The failure in words.
        reason: &'a dyn Error,
    },
    /// Not one byte of a request came in time.
    NoRequest {
        /// How long `header_timeout` is.
        header_timeout: Duration,
    },
}

/// Kinds of failure where a connection has to begin with a PROXY header.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ProxyHeaderFailure {
    /// The other end is none of `trusted_proxies`.
    NotTrusted,
    /// The connection begins otherwise, or with a header that cannot be understood.
    Header,
    /// The header was not there within `header_timeout`.
    Timeout,
    /// The connection ended within its header.
    BrokenOff,
    /// The connection ended before it began, as port scans and health checks do.
    Closed,
    /// The system ended the connection.
    Io,
}

/// Kinds of failure of a TLS handshake with a client.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum TlsFailure {
    /// It took longer than `tls_handshake_timeout`.
    Timeout,
    /// The client closed the connection, perhaps before it said anything, as port scans and health checks do.
    Closed,
    /// The client spoke plain HTTP.
    PlainHttp,
    /// The client spoke neither TLS nor HTTP.
    NotTls,
    /// The two could not agree, or the client broke the TLS handshake off.
    Protocol,
    /// The system ended the connection.
    Io,
}
