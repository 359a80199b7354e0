//! Writes the groups of `upstreams` that routes ask.

use std::collections::BTreeSet;

use crate::nginx::group::Group;
use crate::nginx::group_server::GroupServer;
use crate::nginx::notes::Notes;
use crate::nginx::route::Does;
use crate::nginx::server::TranslatedServer;
use crate::nginx::sites::Plan;
use crate::nginx::time;
use crate::nginx::upstreams::Groups;
use crate::nginx::yaml::comment;
use crate::nginx::yaml::flow;

/// What is different about every group, said once.
const ALIKE: &str = "In each group a session of Socket.IO stays with the server that opened it (`sticky: sid`), also where nginx would \
                     not keep it there. Another server is tried where nothing was sent to the first.";

/// The most letters of servers that are written in one line.
const WIDTH: usize = 80;

/// The groups that routes ask.
#[derive(Debug, Default)]
pub(super) struct AskedGroups {
    /// The lines of `upstreams`; empty if there is no group.
    pub(super) text: String,
}

impl AskedGroups {
    /// Writes the groups that the routes of `servers` ask, with what is to be said of each. One that only a closed route would
    /// ask is written as a comment, for who opens it.
    pub(super) fn of(
        groups: &Groups<'_>,
        servers: &[TranslatedServer],
        plan: &Plan,
        notes: &mut Notes<'_>,
    ) -> Self {
        let (mut asked, mut named) = (BTreeSet::new(), BTreeSet::new());
        let routes = plan.sites.iter();
        for route in routes.flat_map(|site| &servers[site.server].routes) {
            let of_route = route.groups.iter().map(String::as_str);
            match route.does {
                Does::ProxyPass(_) => asked.extend(of_route),
                Does::Return(_) => named.extend(of_route),
            }
        }
        let mut text = String::new();
        for group in groups.in_order() {
            let name = group.name.as_str();
            if asked.contains(name) {
                for line in group.say(notes) {
                    text += &comment(&line, 2);
                }
                text += &written(group, notes);
            } else if named.contains(name) {
                for line in group.say(notes) {
                    text += &comment(&line, 2);
                }
                text += &commented(&written(group, notes));
            } else if group.alone().is_none() && group.dead().is_none() {
                notes.needless(group.block, "no route here asks it");
            }
        }
        let head = match (text.is_empty(), asked.is_empty()) {
            (true, _) => String::new(),
            (false, true) => "# upstreams:\n".to_owned(),
            (false, false) => format!("{}upstreams:\n", comment(ALIKE, 0)),
        };
        Self { text: head + &text }
    }
}

/// The lines as comments.
fn commented(lines: &str) -> String {
    lines
        .lines()
        .map(|line| format!("  # {}\n", &line[2..]))
        .collect()
}

/// The lines of a group.
fn written(group: &Group<'_>, notes: &Notes<'_>) -> String {
    let place = notes.show(group.block.place);
    let mut text = format!("  {}: # {place}\n", flow(&group.name));
    text += &format!("    balance: {}\n", group.balance);
    if let Some(sticky) = &group.sticky {
        text += &format!("    sticky: {sticky}\n");
    }
    if let Some(slow_start) = group.slow_start {
        let time = match slow_start.is_zero() {
            true => "0s".to_owned(),
            false => time::write(slow_start),
        };
        text += &format!("    slow_start: {time}\n");
    }
    if let Some(check) = &group.health_check {
        text += &format!("    health_check: {check}\n");
    }
    let is_bare = |server: &GroupServer<'_>| server.keys().is_empty();
    let servers: Vec<String> = group.servers.iter().map(server).collect();
    let line = servers.join(", ");
    if group.servers.iter().all(is_bare) && line.len() <= WIDTH {
        return text + &format!("    servers: [{line}]\n");
    }
    text += "    servers:\n";
    for server in servers {
        text += &format!("      - {server}\n");
    }
    text
}

/// A member of `servers`.
fn server(server: &GroupServer<'_>) -> String {
    let address = flow(&server.authority());
    let keys = server.keys();
    if keys.is_empty() {
        return address;
    }
    let keys: Vec<String> = keys
        .iter()
        .map(|(key, value)| format!("{key}: {value}"))
        .collect();
    format!("{{ server: {address}, {} }}", keys.join(", "))
}
