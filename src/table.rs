//! The table of routes that a [`Config`] stands for: what [`decide()`](crate::decision::decide()) asks about each request.
//!
//! What serves and what explains make theirs here, and differ only in where a rule passes requests on to.

use std::sync::Arc;

use crate::config;
use crate::config::Config;
use crate::decision::Action;
use crate::decision::Forward;
use crate::decision::Rule;
use crate::observe::GroupLabel;
use crate::observe::RuleLabel;
use crate::observe::StickyBy;
use crate::routing::Entry;
use crate::routing::Sites;
use crate::upstream::Sticky;
use crate::upstream::Upstream;

/// The routes of a configuration. `T` is where a rule passes requests on to.
#[derive(Debug)]
pub struct Table<T> {
    /// Finds the rule of a request.
    pub sites: Sites<Arc<Rule<T>>>,
    /// One rule for each of [`Config::routes`], in their order.
    pub rules: Vec<Arc<Rule<T>>>,
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
        let has_conditions = |rule: &Arc<Rule<T>>| !rule.when.is_empty();
        Self {
            sites: Sites::new(entries.collect(), has_conditions),
            rules,
        }
    }
}

fn rule<T>(
    config: &Config,
    route: &config::Route,
    to: impl Fn(&config::Route, &Upstream) -> T,
) -> Rule<T> {
    let group = match &route.to {
        config::Action::Return(_) => None,
        config::Action::ProxyPass(upstream) => upstream.group(),
    };
    let to = match &route.to {
        config::Action::Return(written) => Action::Return(written.clone()),
        config::Action::ProxyPass(upstream) => Action::Forward(Forward {
            location: route.location.clone(),
            rewrites: route.rewrites.clone(),
            uri: upstream.uri().map(str::to_owned),
            own_host: upstream.proxy_host(),
            set_headers: route.set_headers.clone(),
            to: Arc::new(to(route, upstream)),
        }),
    };
    let label = RuleLabel {
        group: group.map(|group| GroupLabel {
            name: group.settings().name.as_str().into(),
            sticky: sticky_by(&group.settings().sticky),
        }),
        ..RuleLabel::new(route.location.to_string(), config.place(route.line))
    };
    Rule {
        label: Arc::new(label),
        when: route.when.clone(),
        access: route.access.clone(),
        answer_fields: (!route.answer_fields.is_empty())
            .then(|| Arc::new(route.answer_fields.clone())),
        to,
    }
}

fn sticky_by(sticky: &Sticky) -> StickyBy {
    match sticky {
        Sticky { sid: true, .. } => StickyBy::Sid,
        Sticky {
            cookie: Some(_), ..
        } => StickyBy::Cookie,
        Sticky { cookie: None, .. } => StickyBy::Nothing,
    }
}
