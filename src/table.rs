//! The table of routes that a [`Config`] stands for: what [`decide()`](crate::decision::decide()) asks about each request.
//!
//! What serves and what explains make theirs here, and differ only in where a rule passes requests on to.

use std::collections::HashMap;
use std::sync::Arc;

use crate::config;
use crate::config::Config;
use crate::decision::Action;
use crate::decision::Forward;
use crate::decision::Rule;
use crate::routing::Entry;
use crate::routing::HostPattern;
use crate::routing::LocationKind;
use crate::routing::Sites;
use crate::upstream::Upstream;

/// The routes of a configuration. `T` is where a rule passes requests on to.
#[derive(Debug)]
pub struct Table<T> {
    /// Finds the rule of a request.
    pub sites: Sites<Arc<Rule<T>>>,
    /// One rule for each of [`Config::routes`], in their order.
    pub rules: Vec<Arc<Rule<T>>>,
    /// The place of each of these in the order that decides between equal locations and between regexes.
    pub ranks: Vec<usize>,
}

impl<T> Table<T> {
    /// The table of `config`; `to` says where a route passes requests on to whose `proxy_pass` is this upstream.
    pub fn new(config: &Config, to: impl Fn(&config::Route, &Upstream) -> T) -> Self {
        let rules: Vec<Arc<Rule<T>>> = config
            .routes
            .iter()
            .map(|route| Arc::new(rule(config, route, &to)))
            .collect();
        let entries = config.routes.iter().zip(&rules).map(|(route, rule)| {
            let entry = Entry {
                location: route.location.clone(),
                adds_slash: rule.adds_slash(&route.location),
                to: Arc::clone(rule),
            };
            (route.hosts.clone(), entry)
        });
        let mut entries: Vec<_> = entries.collect();
        conditions_first(&mut entries);
        let places: HashMap<*const Rule<T>, usize> = entries
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

fn rule<T>(
    config: &Config,
    route: &config::Route,
    to: impl Fn(&config::Route, &Upstream) -> T,
) -> Rule<T> {
    let to = match &route.to {
        config::Action::Return(written) => Action::Return(written.clone()),
        config::Action::ProxyPass(upstream) => Action::Forward(Forward {
            location: route.location.clone(),
            rewrites: route.rewrites.clone(),
            uri: upstream.proxy_pass().uri().map(str::to_owned),
            set_headers: route.set_headers.clone(),
            to: Arc::new(to(route, upstream)),
        }),
    };
    Rule {
        shown: route.location.to_string().into(),
        place: config.place(route.line).into(),
        when: route.when.clone(),
        access: route.access.clone(),
        answer_fields: (!route.answer_fields.is_empty())
            .then(|| Arc::new(route.answer_fields.clone())),
        to,
    }
}

/// A rule, and the hosts that it is for.
type HostedRule<T> = (Vec<HostPattern>, Entry<Arc<Rule<T>>>);

/// Among routes of one location those with conditions come first, in file order. All else stays where it is, since the
/// order decides between regexes.
fn conditions_first<T>(rules: &mut [HostedRule<T>]) {
    let mut places: HashMap<(&str, String), Vec<usize>> = HashMap::new();
    for (at, (_, entry)) in rules.iter().enumerate() {
        let kind = match entry.location.kind() {
            // `/a` and `^~ /a` are one location: see `Location::same_as`.
            LocationKind::PrefixNoRegex => LocationKind::Prefix,
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
