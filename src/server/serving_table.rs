//! The table that serves: that of the configuration, whose rules pass requests on to upstreams.

use crate::config;
use crate::config::Config;
use crate::proxy::ExchangeTimeouts;
use crate::proxy::Route;
use crate::table::Table;
use crate::tunnel;
use crate::upstream::Upstream;

/// The table of `config`, with what a request obeys on its way to an upstream.
pub fn serving_table(config: &Config) -> Table<Route> {
    Table::new(config, |route, upstream| {
        serving_route(config, route, upstream)
    })
}

fn serving_route(config: &Config, route: &config::Route, upstream: &Upstream) -> Route {
    Route {
        upstream: upstream.clone(),
        spelling: route.spelling(),
        timeouts: ExchangeTimeouts {
            connect: route.timeouts.connect,
            handshake: route.timeouts.handshake,
            response: route.timeouts.response,
            body: config.limits.body,
        },
        tunnel_timeouts: tunnel::TunnelTimeouts {
            idle: route.timeouts.tunnel,
            half_closed: config.limits.half_closed,
        },
    }
}
