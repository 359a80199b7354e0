//! Lets what a reload does not change keep its upstreams: of a group each server by itself.

use crate::config::Action;
use crate::config::Config;
use crate::server::changes::by_requests;
use crate::server::changes::requests;
use crate::server::groups::exchange_groups;
use crate::server::groups::groups;
use crate::upstream::Group;

/// Puts the upstreams of `before` into `config` wherever both are configured alike, so that a route that did not change keeps
/// its upstream connections and TLS sessions. A group goes on with all that is known of it, and each of its servers with what is known of
/// that one, whatever else has changed: another server, its own settings, or a route.
pub(super) fn keep_upstreams(config: &mut Config, before: &Config) {
    let known = groups(before);
    exchange_groups(config, |group| Some(Group::clone(group).adopting(&known)));
    let known = by_requests(before);
    for route in &mut config.routes {
        let alike = known.get(&requests(route)).into_iter().flatten();
        let same = alike
            .map(|at| &before.routes[*at])
            .find(|known| known.when == route.when);
        if let (Some(Action::ProxyPass(known)), Action::ProxyPass(to)) =
            (same.map(|known| &known.to), &route.to)
            && to.group().is_none()
            && known.is_configured_alike(to)
        {
            route.to = Action::ProxyPass(known.clone());
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use tempfile::TempDir;

    use crate::config::Action;
    use crate::config::Config;
    use crate::server::groups::groups;
    use crate::server::keep_upstreams::keep_upstreams;
    use crate::server::test_support::config;
    use crate::server::test_support::group_of;
    use crate::upstream::Group;
    use crate::upstream::MemberSettings;
    use crate::upstream::Scheme;
    use crate::upstream::Upstream;

    /// Two routes with paths of their own to one group, and one to a server.
    fn read(folder: &TempDir, servers: &[&str], weight: u16) -> Config {
        let to = "proxy_pass: http://10.9.9.9:1";
        let text = format!(
            "listen: [{{ address: 8080 }}]\nroutes:\n  - {{ location: /a, {to} }}\n  - {{ location: /b, {to} }}\n  - {{ location: /c, {to} }}\n"
        );
        let mut config = config(folder, &text);
        let settings = MemberSettings {
            weight,
            ..MemberSettings::default()
        };
        let group = Arc::new(group_of(servers, &settings));
        for (route, uri) in config.routes.iter_mut().zip(["/x", "/y"]) {
            let group = Arc::clone(&group);
            let uri = Some(uri.to_owned());
            route.to = Action::ProxyPass(Upstream::of_group(group, Scheme::Http, uri));
        }
        config
    }

    fn group(config: &Config) -> Arc<Group> {
        let groups = groups(config);
        assert_eq!(groups.len(), 1, "routes share it");
        Arc::clone(&groups[0])
    }

    #[test]
    fn routes_that_share_a_group_share_it_after_a_reload_and_its_servers_go_on() {
        let folder = TempDir::new().unwrap();
        let before = read(&folder, &["10.0.0.1:1", "10.0.0.2:1"], 1);
        let mut same = read(&folder, &["10.0.0.1:1", "10.0.0.2:1"], 1);
        keep_upstreams(&mut same, &before);
        assert!(Arc::ptr_eq(&group(&same), &group(&before)));
        let mut after = read(&folder, &["10.0.0.2:1", "10.0.0.3:1"], 5);
        keep_upstreams(&mut after, &same);
        let (was, is) = (group(&before), group(&after));
        let (was, is) = (&was.members()[1], &is.members()[0]);
        assert!(Arc::ptr_eq(was.state(), is.state()) && Arc::ptr_eq(was.server(), is.server()));
        assert_eq!((was.settings().weight, is.settings().weight), (1, 5));
        let paths = after.routes.iter().map(|route| match &route.to {
            Action::ProxyPass(to) => to.uri().map(str::to_owned),
            Action::Return(_) => panic!("no upstream"),
        });
        let paths: Vec<_> = paths.collect();
        assert_eq!(paths, [Some("/x".to_owned()), Some("/y".to_owned()), None]);
    }
}
