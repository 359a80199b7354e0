//! The lines of the log about servers of groups: whoever runs them reads here when one may be taken away, and why one got no requests.

use std::time::Duration;

use crate::observe::GroupEvent;
use crate::observe::Observer;

/// Writes these lines, whether or not the access log is on.
#[derive(Debug, Default)]
pub struct GroupLog;

impl Observer for GroupLog {
    fn group_changed(&self, upstream: &str, event: GroupEvent<'_>) {
        match event {
            GroupEvent::Down {
                server,
                reason,
                open,
            } => tracing::warn!(upstream, server, reason, open, "server down"),
            GroupEvent::Up { server, after } => {
                let after = format!("{:?}", in_tenths(after));
                tracing::info!(upstream, server, after = after.as_str(), "server up");
            }
            GroupEvent::Drained { server } => tracing::info!(upstream, server, "server drained"),
            GroupEvent::AllDown => tracing::warn!(
                upstream,
                "all servers of the group are down, asked all the same"
            ),
            GroupEvent::Resolved {
                name,
                addresses,
                draining,
            } => tracing::info!(upstream, name, addresses, draining, "name resolved"),
            GroupEvent::Unresolved { name, reason } => tracing::warn!(
                upstream,
                name,
                reason,
                "name cannot be looked up; its servers stay"
            ),
        }
    }
}

/// A duration as a person reads it: without what is less than a tenth of a second.
fn in_tenths(duration: Duration) -> Duration {
    let tenths = duration.as_millis() / 100;
    Duration::from_millis(u64::try_from(tenths * 100).unwrap_or(u64::MAX))
}
