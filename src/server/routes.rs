//! What a route of the configuration leads to, as the request path has it.

use crate::config;
use crate::config::Config;
use crate::proxy::ExchangeTimeouts;
use crate::proxy::Route;
use crate::tunnel;
use crate::upstream::Upstream;

/// Where `route` passes requests on to, whose `proxy_pass` is `upstream`.
pub(super) fn route(config: &Config, route: &config::Route, upstream: &Upstream) -> Route {
    Route {
        upstream: upstream.clone(),
        timeouts: ExchangeTimeouts {
            connect: route.timeouts.connect,
            handshake: route.timeouts.handshake,
            response: route.timeouts.response,
            body: config.limits.body,
        },
        tunnel_limits: tunnel::Limits {
            idle: route.timeouts.tunnel,
            half_closed: config.limits.half_closed,
        },
    }
}
