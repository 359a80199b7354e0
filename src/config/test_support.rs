//! Configurations for unit tests, made without a file.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use crate::access::Access;
use crate::access::Networks;
use crate::answer_fields::AnswerFields;
use crate::config::AccessLog;
use crate::config::Action;
use crate::config::Config;
use crate::config::FilledValues;
use crate::config::Limits;
use crate::config::Listener;
use crate::config::Route;
use crate::config::Timeouts;
use crate::limits::PerAddress;
use crate::routing::Location;
use crate::routing::When;
use crate::stream::ListenAddr;

impl Config {
    /// A configuration of these listeners and routes for tests, whose other values are the simplest there are.
    pub(crate) fn of(listeners: Vec<Listener>, routes: Vec<Route>) -> Self {
        Self {
            file: PathBuf::from("routes.yaml"),
            listeners,
            routes,
            trusted_proxies: Networks::default(),
            access_log: AccessLog::Off,
            threads: NonZeroUsize::MIN,
            drain_timeout: Duration::ZERO,
            max_connections: None,
            per_ip: PerAddress::default(),
            limits: Limits::default(),
            promises: Vec::new(),
            filled: FilledValues::default(),
        }
    }
}

impl Listener {
    /// A plain listener at this address for tests, on line 1.
    pub(crate) fn at(address: SocketAddr) -> Self {
        Self {
            address: ListenAddr::Ip(address),
            mode: 0,
            reuseport: false,
            proxy_protocol: false,
            tls: None,
            redirect: None,
            line: 1,
        }
    }
}

impl Route {
    /// A route of every host for tests, without conditions and on line 1.
    pub(crate) fn to(location: Location, to: Action) -> Self {
        Self {
            name: None,
            location,
            hosts: Vec::new(),
            when: When::default(),
            access: Access::default(),
            to,
            rewrites: Vec::new(),
            set_headers: Vec::new(),
            answer_fields: AnswerFields::default(),
            timeouts: Timeouts::default(),
            line: 1,
        }
    }
}
