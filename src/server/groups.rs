//! The groups that the routes of a configuration lead to, and their exchange for others.

use std::sync::Arc;

use crate::config::Action;
use crate::config::Config;
use crate::upstream::Group;
use crate::upstream::Upstream;

/// Each group that a route leads to, in the order of the file.
pub(super) fn groups(config: &Config) -> Vec<Arc<Group>> {
    let mut groups: Vec<Arc<Group>> = Vec::new();
    for group in upstreams(config).filter_map(Upstream::group) {
        if !groups.iter().any(|known| Arc::ptr_eq(known, group)) {
            groups.push(Arc::clone(group));
        }
    }
    groups
}

/// Lets all routes that share a group share what `to` makes of it. It is asked once for each, and without an answer the group stays.
/// Returns whether there was any answer.
pub(super) fn exchange_groups(
    config: &mut Config,
    to: impl Fn(&Arc<Group>) -> Option<Arc<Group>>,
) -> bool {
    let groups = groups(config).into_iter();
    let exchanges = groups.filter_map(|group| {
        let after = to(&group)?;
        Some(GroupExchange {
            before: group,
            after,
        })
    });
    let exchanges: Vec<GroupExchange> = exchanges.collect();
    for route in &mut config.routes {
        if let Action::ProxyPass(upstream) = &mut route.to
            && let Some(group) = upstream.group()
            && let Some(of_group) = exchanges.iter().find(|of| Arc::ptr_eq(&of.before, group))
        {
            *upstream = upstream.with_group(Arc::clone(&of_group.after));
        }
    }
    !exchanges.is_empty()
}

/// A group, and what takes its place.
struct GroupExchange {
    before: Arc<Group>,
    after: Arc<Group>,
}

fn upstreams(config: &Config) -> impl Iterator<Item = &Upstream> {
    config.routes.iter().filter_map(|route| match &route.to {
        Action::ProxyPass(upstream) => Some(upstream),
        Action::Return(_) => None,
    })
}
