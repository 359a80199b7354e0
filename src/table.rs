//! The table of routes that a [`Config`] stands for: what [`proxy::decide()`] asks about each request.
//!
//! Made here once, so that what serves and what explains ask the same one.

use std::collections::HashMap;
use std::sync::Arc;

use crate::config;
use crate::config::Config;
use crate::proxy;
use crate::proxy::Action;
use crate::proxy::Route;
use crate::proxy::Rule;
use crate::routing::Entry;
use crate::routing::HostPattern;
use crate::routing::Kind;
use crate::routing::Sites;
use crate::tunnel;
use crate::upstream;

/// The routes of a configuration.
#[derive(Debug)]
pub struct Table {
    /// Finds the rule of a request.
    pub sites: Sites<Arc<Rule>>,
    /// One rule for each of [`Config::routes`], in their order.
    pub rules: Vec<Arc<Rule>>,
    /// The place of each of these in the order that decides between equal locations and between regexes.
    pub ranks: Vec<usize>,
}

impl Table {
    /// The table of `config`.
    pub fn new(config: &Config) -> Self {
        let rules: Vec<Arc<Rule>> = config
            .routes
            .iter()
            .map(|route| Arc::new(rule(config, route)))
            .collect();
        let entries = config.routes.iter().zip(&rules).map(|(route, rule)| {
            let entry = Entry {
                location: route.location.clone(),
                // As in nginx only where something is proxied.
                adds_slash: matches!(rule.to, Action::Pass(_)) && !route.location.kind().is_regex(),
                to: Arc::clone(rule),
            };
            (route.hosts.clone(), entry)
        });
        let mut entries: Vec<_> = entries.collect();
        conditions_first(&mut entries);
        let places: HashMap<*const Rule, usize> = entries
            .iter()
            .enumerate()
            .map(|(place, (_, entry))| (Arc::as_ptr(&entry.to), place))
            .collect();
        let ranks = rules
            .iter()
            .filter_map(|rule| places.get(&Arc::as_ptr(rule)).copied())
            .collect();
        Self {
            ranks,
            sites: Sites::new(entries),
            rules,
        }
    }
}

fn rule(config: &Config, route: &config::Route) -> Rule {
    let to = match &route.to {
        config::Action::Return(written) => Action::Return(written.clone()),
        config::Action::ProxyPass(to) => Action::Pass(Arc::new(Route {
            location: route.location.clone(),
            upstream: to.clone(),
            set_headers: route.set_headers.clone(),
            limits: proxy::Limits {
                handshake: route.timeouts.handshake,
                response: route.timeouts.response,
                body: config.limits.body,
            },
            upstream_limits: upstream::Limits {
                connect: route.timeouts.connect,
            },
            tunnel_limits: tunnel::Limits {
                idle: route.timeouts.tunnel,
                half_closed: config.limits.half_closed,
            },
        })),
    };
    Rule {
        shown: route.location.to_string().into(),
        place: config.place(route.line).into(),
        when: route.when.clone(),
        access: route.access.clone(),
        to,
    }
}

/// Among routes of one location those with conditions come first, in file order. All else stays where it is, since the
/// order decides between regexes.
fn conditions_first(rules: &mut [(Vec<HostPattern>, Entry<Arc<Rule>>)]) {
    let mut places: HashMap<(&str, String), Vec<usize>> = HashMap::new();
    for (at, (_, entry)) in rules.iter().enumerate() {
        let kind = match entry.location.kind() {
            // `/a` and `^~ /a` are one location: see `Location::same_as`.
            Kind::PrefixNoRegex => Kind::Prefix,
            kind => kind,
        };
        let location = (kind.modifier(), entry.location.pattern().to_owned());
        places.entry(location).or_default().push(at);
    }
    for places in places.values().filter(|places| places.len() > 1) {
        let mut alike: Vec<_> = places.iter().map(|at| rules[*at].clone()).collect();
        alike.sort_by_key(|(_, entry)| entry.to.when.is_empty());
        for (at, rule) in places.iter().zip(alike) {
            rules[*at] = rule;
        }
    }
}
