//! Lets routes that a reload does not change keep their upstreams.

use crate::config::Action;
use crate::config::Config;
use crate::server::changes::by_requests;
use crate::server::changes::requests;

/// Puts the upstreams of `before` into `config` wherever both are configured alike, so that a route that did not change keeps
/// its upstream connections and TLS sessions.
pub(super) fn keep_upstreams(config: &mut Config, before: &Config) {
    let known = by_requests(before);
    for route in &mut config.routes {
        let alike = known.get(&requests(route)).into_iter().flatten();
        let same = alike
            .map(|at| &before.routes[*at])
            .find(|known| known.when == route.when);
        if let (Some(Action::ProxyPass(known)), Action::ProxyPass(to)) =
            (same.map(|known| &known.to), &route.to)
            && known.is_configured_alike(to)
        {
            route.to = Action::ProxyPass(known.clone());
        }
    }
}
