//! Finds the differences between the groups of two configurations: each group once, however many routes lead to it.

use std::fmt;
use std::sync::Arc;

use crate::config::Action;
use crate::config::Config;
use crate::server::changes::Change;
use crate::server::changes::ChangeSign;
use crate::server::changes::from_to;
use crate::upstream::Address;
use crate::upstream::Group;
use crate::upstream::GroupSettings;
use crate::upstream::Host;
use crate::upstream::Member;
use crate::upstream::MemberSettings;
use crate::upstream::WrittenServer;

/// How many sessions a server has, of which requests come by polling.
pub(super) type SessionsOf<'a> = &'a dyn Fn(&Group, &Member) -> usize;

/// The groups that were added, removed or changed, and their servers.
pub(super) fn groups(
    before: &Config,
    after: &Config,
    sessions_of: SessionsOf<'_>,
    changes: &mut Vec<Change>,
) {
    between(&named(before), &named(after), sessions_of, changes);
}

/// The groups of one name: several where routes ask its servers by different schemes, or verify them differently.
type Named = Vec<Arc<Group>>;

/// The groups that the routes lead to, by name, in the order of the file.
fn named(config: &Config) -> Vec<Named> {
    let groups = config.routes.iter().filter_map(|route| match &route.to {
        Action::ProxyPass(upstream) => upstream.group(),
        Action::Return(_) => None,
    });
    let mut all: Vec<Named> = Vec::new();
    for group in groups {
        match all
            .iter_mut()
            .find(|named| name(named) == group.settings().name)
        {
            None => all.push(vec![Arc::clone(group)]),
            Some(named) if named.iter().any(|known| Arc::ptr_eq(known, group)) => {}
            Some(named) => named.push(Arc::clone(group)),
        }
    }
    all
}

fn name(named: &[Arc<Group>]) -> &str {
    // There is no name without a group.
    named.first().map_or("", |group| &group.settings().name)
}

fn between(
    before: &[Named],
    after: &[Named],
    sessions_of: SessionsOf<'_>,
    changes: &mut Vec<Change>,
) {
    for is in after {
        match before.iter().find(|was| name(was) == name(is)) {
            Some(was) => of_group(was, is, sessions_of, changes),
            // The line of its location says what a list is.
            None if is[0].is_nameless_list() => {}
            None => changes.push(Change {
                sign: ChangeSign::Added,
                kind: "upstream",
                name: name(is).to_owned(),
                detail: is[0].in_few_words(),
                place: None,
            }),
        }
    }
    let is_there = |was: &&Named| after.iter().any(|is| name(is) == name(was));
    for was in before.iter().filter(|was| !is_there(was)) {
        let lost = Lost::between(was, &Vec::new(), sessions_of).all();
        if !was[0].is_nameless_list() || lost > 0 {
            changes.push(Change {
                sign: ChangeSign::Removed,
                kind: "upstream",
                name: name(was).to_owned(),
                detail: ending(lost, Advice::DrainAll),
                place: None,
            });
        }
    }
}

/// What is different about a group, and about its servers.
fn of_group(was: &Named, is: &Named, sessions_of: SessionsOf<'_>, changes: &mut Vec<Change>) {
    let different = of_settings(was[0].settings(), is[0].settings());
    if !different.is_empty() {
        changes.push(Change {
            sign: ChangeSign::Changed,
            kind: "upstream",
            name: name(is).to_owned(),
            detail: different.join(", "),
            place: None,
        });
    }
    let mut gone: Vec<&WrittenServer> = was[0].written().iter().collect();
    let server = |sign, written: &WrittenServer, detail: String| Change {
        sign,
        kind: "server",
        name: format!("{} in {}", written.server.authority(), name(is)),
        detail,
        place: None,
    };
    for written in is[0].written() {
        let authority = written.server.authority();
        let known = gone
            .iter()
            .position(|one| one.server.authority() == authority);
        let Some(at) = known else {
            let detail = written.settings.to_string();
            changes.push(server(ChangeSign::Added, written, detail));
            continue;
        };
        let different = of_member(&gone.remove(at).settings, &written.settings);
        if !different.is_empty() {
            changes.push(server(ChangeSign::Changed, written, different.join(", ")));
        }
    }
    let mut lost = Lost::between(was, is, sessions_of);
    for written in gone {
        let advice = if written.settings.drain {
            Advice::Wait
        } else {
            Advice::Drain
        };
        let detail = ending(lost.of(written), advice);
        changes.push(server(ChangeSign::Removed, written, detail));
    }
}

/// The servers that are gone from a group.
struct Lost {
    /// Each with the sessions that it has.
    servers: Vec<(String, usize)>,
    /// Those that are written by their addresses.
    written: Vec<String>,
}

impl Lost {
    fn between(was: &Named, is: &Named, sessions_of: SessionsOf<'_>) -> Self {
        let members = is.iter().flat_map(|group| group.members());
        let there: Vec<String> = members.map(|one| one.server().authority()).collect();
        let mut servers = Vec::new();
        for group in was {
            for member in group.members() {
                let authority = member.server().authority();
                if !there.contains(&authority) {
                    servers.push((authority, sessions_of(group, member)));
                }
            }
        }
        let written = was.iter().flat_map(|group| group.written());
        let written = written.filter(|one| !is_name(one));
        Self {
            servers,
            written: written.map(|one| one.server.authority()).collect(),
        }
    }

    /// How many sessions end.
    fn all(&self) -> usize {
        self.servers.iter().map(|(_, sessions)| sessions).sum()
    }

    /// How many sessions end with this entry, and are told of with it. An address of a name does not say of which name it is: all of them
    /// are told of with the first name.
    fn of(&mut self, written: &WrittenServer) -> usize {
        let is_its_own = |gone: &String| {
            if is_name(written) {
                !self.written.contains(gone)
            } else {
                *gone == written.server.authority()
            }
        };
        let mut sessions = 0;
        self.servers.retain(|(gone, of_gone)| {
            let is_its_own = is_its_own(gone);
            sessions += if is_its_own { *of_gone } else { 0 };
            !is_its_own
        });
        sessions
    }
}

/// Whether an entry is a name, so that its servers have other addresses than itself.
fn is_name(written: &WrittenServer) -> bool {
    matches!(
        written.server.proxy_pass().address(),
        Address::Port {
            host: Host::Name(_),
            ..
        }
    )
}

/// What could be done so that polling sessions go on.
#[derive(Clone, Copy)]
enum Advice {
    /// `drain: true` at the server.
    Drain,
    /// `drain: true` at all servers of the group.
    DrainAll,
    /// To wait until the server is empty, which drains already.
    Wait,
}

/// What is said of polling sessions that end, with what could be done about it. They may be fewer: a session that has changed to a
/// WebSocket is known as one that polls for as long as it could live by polling, which is a minute by default.
fn ending(sessions: usize, advice: Advice) -> String {
    let (end, they) = match sessions {
        0 => return String::new(),
        1 => ("session ends", "it"),
        _ => ("sessions end", "they"),
    };
    match advice {
        Advice::Drain => {
            format!("(up to {sessions} polling {end}; with `drain: true` {they} would go on)")
        }
        Advice::DrainAll => format!(
            "(up to {sessions} polling {end}; with `drain: true` at its servers {they} would go on)"
        ),
        Advice::Wait => format!("(up to {sessions} polling {end}: it was not empty yet)"),
    }
}

/// What is different about a group beside its servers.
fn of_settings(was: &GroupSettings, is: &GroupSettings) -> Vec<String> {
    let mut found = Vec::new();
    if was.balance != is.balance {
        found.push(changed("balance", &was.balance, &is.balance));
    }
    if was.sticky.to_string() != is.sticky.to_string() {
        found.push(changed("sticky", &was.sticky, &is.sticky));
    } else if was.sticky != is.sticky {
        found.push("the attributes of its cookie".to_owned());
    }
    if was.health_check != is.health_check {
        let shown = |check: &Option<_>| match check {
            Some(check) => format!("{check}"),
            None => "none".to_owned(),
        };
        let (was, is) = (shown(&was.health_check), shown(&is.health_check));
        found.push(changed("health_check", &was, &is));
    }
    if was.slow_start != is.slow_start {
        found.push(format!(
            "slow_start {}",
            from_to(was.slow_start, is.slow_start)
        ));
    }
    if was.close_tunnels != is.close_tunnels {
        found.push(changed(
            "close_tunnels",
            &was.close_tunnels,
            &is.close_tunnels,
        ));
    }
    if was.valid != is.valid {
        found.push(format!("valid {}", from_to(was.valid, is.valid)));
    }
    found
}

/// What is different about a server of a group.
fn of_member(was: &MemberSettings, is: &MemberSettings) -> Vec<String> {
    let mut found = Vec::new();
    if was.weight != is.weight {
        found.push(changed("weight", &was.weight, &is.weight));
    }
    if was.max_fails != is.max_fails {
        found.push(changed("max_fails", &was.max_fails, &is.max_fails));
    }
    if was.fail_timeout != is.fail_timeout {
        let times = from_to(was.fail_timeout, is.fail_timeout);
        found.push(format!("fail_timeout {times}"));
    }
    if was.max_conns != is.max_conns {
        let shown =
            |most: Option<u32>| most.map_or("unlimited".to_owned(), |most| most.to_string());
        let (was, is) = (shown(was.max_conns), shown(is.max_conns));
        found.push(changed("max_conns", &was, &is));
    }
    let switches = [
        ("backup", was.backup, is.backup),
        ("down", was.down, is.down),
        ("drain", was.drain, is.drain),
        ("resolve", was.resolve, is.resolve),
    ];
    for (key, was, is) in switches {
        match (was, is) {
            (false, true) => found.push(key.to_owned()),
            (true, false) => found.push(format!("no longer {key}")),
            (true, true) | (false, false) => {}
        }
    }
    found
}

fn changed(key: &str, was: &impl fmt::Display, is: &impl fmt::Display) -> String {
    format!("{key} {is} (was {was})")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use crate::server::changes::groups::Named;
    use crate::server::changes::groups::between;
    use crate::upstream::Balance;
    use crate::upstream::Group;
    use crate::upstream::GroupSettings;
    use crate::upstream::HealthCheck;
    use crate::upstream::Member;
    use crate::upstream::MemberSettings;
    use crate::upstream::Server;
    use crate::upstream::Sticky;
    use crate::upstream::StickyCookie;
    use crate::upstream::WrittenServer;

    fn settings(name: &str) -> GroupSettings {
        GroupSettings {
            name: name.to_owned(),
            balance: Balance::default(),
            sticky: Sticky::default(),
            health_check: None,
            slow_start: Duration::from_secs(10),
            close_tunnels: false,
            valid: Duration::from_secs(5),
        }
    }

    fn group(settings: GroupSettings, servers: &[(&str, MemberSettings)]) -> Arc<Group> {
        let servers = servers.iter().map(|(to, settings)| WrittenServer {
            server: Arc::new(
                Server::new(format!("http://{to}").parse().unwrap(), |_| None).unwrap(),
            ),
            settings: settings.clone(),
        });
        Arc::new(Group::new(settings, servers.collect()))
    }

    /// A group that says no more than its servers.
    fn plain(name: &str, servers: &[&str]) -> Arc<Group> {
        let servers = servers.iter().map(|to| (*to, MemberSettings::default()));
        group(settings(name), &servers.collect::<Vec<_>>())
    }

    /// What is told when these groups replace those, if each server has as many sessions as the last two digits of its port say.
    fn told(before: &[Arc<Group>], after: &[Arc<Group>]) -> Vec<String> {
        let named = |groups: &[Arc<Group>]| -> Vec<Named> {
            groups.iter().map(|group| vec![Arc::clone(group)]).collect()
        };
        let sessions = |_: &Group, member: &Member| {
            let authority = member.server().authority();
            let port: usize = authority.rsplit(':').next().unwrap().parse().unwrap();
            port % 100
        };
        let mut changes = Vec::new();
        between(&named(before), &named(after), &sessions, &mut changes);
        changes.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn servers_that_come_go_and_drain_are_told_of() {
        let before = plain("chat", &["10.0.0.1:1", "10.0.0.2:12", "10.0.0.3:3"]);
        let drain = MemberSettings {
            drain: true,
            weight: 3,
            ..MemberSettings::default()
        };
        let backup = MemberSettings {
            backup: true,
            ..MemberSettings::default()
        };
        let after = group(
            settings("chat"),
            &[("10.0.0.4:4", backup), ("10.0.0.3:3", drain.clone())],
        );
        assert_eq!(
            told(&[Arc::clone(&before)], &[Arc::clone(&after)]),
            [
                "+ server 10.0.0.4:4 in chat backup",
                "~ server 10.0.0.3:3 in chat weight 3 (was 1), drain",
                "- server 10.0.0.1:1 in chat (up to 1 polling session ends; with `drain: true` it would go on)",
                "- server 10.0.0.2:12 in chat (up to 12 polling sessions end; with `drain: true` they would go on)",
            ]
        );
        let last = plain("chat", &["10.0.0.4:4"]);
        assert_eq!(
            told(&[after], &[Arc::clone(&last)]),
            [
                "~ server 10.0.0.4:4 in chat no longer backup",
                "- server 10.0.0.3:3 in chat (up to 3 polling sessions end: it was not empty yet)",
            ]
        );
        assert_eq!(told(&[Arc::clone(&last)], &[last]), [""; 0]);
    }

    #[test]
    fn a_server_without_sessions_goes_without_a_word_about_them() {
        let before = plain("chat", &["10.0.0.1:80", "10.0.0.2:80"]);
        let after = plain("chat", &["10.0.0.2:80"]);
        let mut changes = Vec::new();
        between(&[vec![before]], &[vec![after]], &|_, _| 0, &mut changes);
        let lines: Vec<String> = changes.iter().map(ToString::to_string).collect();
        assert_eq!(lines, ["- server 10.0.0.1:80 in chat"]);
    }

    #[test]
    fn what_a_group_says_of_itself_is_told_by_its_keys() {
        let servers = [("10.0.0.1:1", MemberSettings::default())];
        let before = group(settings("chat"), &servers);
        let cookie = |attributes: &str| Sticky {
            sid: true,
            cookie: Some(StickyCookie {
                name: "srv".to_owned(),
                attributes: attributes.to_owned(),
            }),
        };
        let other = GroupSettings {
            balance: Balance::RoundRobin,
            sticky: cookie("; Path=/"),
            health_check: Some(HealthCheck::Tcp),
            slow_start: Duration::from_secs(3),
            close_tunnels: true,
            valid: Duration::from_secs(1),
            ..settings("chat")
        };
        let secure = GroupSettings {
            sticky: cookie("; Path=/; Secure"),
            ..other.clone()
        };
        let (other, secure) = (group(other, &servers), group(secure, &servers));
        assert_eq!(
            told(&[before], &[Arc::clone(&other)]),
            [
                "~ upstream chat balance round_robin (was least_conn), sticky sid and cookie srv (was sid), \
                 health_check tcp (was none), slow_start 3s (was 10s), close_tunnels true (was false), valid 1s (was 5s)"
            ]
        );
        assert_eq!(
            told(&[other], &[secure]),
            ["~ upstream chat the attributes of its cookie"]
        );
    }

    #[test]
    fn whole_groups_come_and_go_and_lists_are_told_of_by_their_location() {
        let (chat, news) = (
            plain("chat", &["10.0.0.1:2"]),
            plain("news", &["10.0.0.1:100"]),
        );
        assert_eq!(
            told(&[Arc::clone(&chat)], &[Arc::clone(&news)]),
            [
                "+ upstream news 1 server, least_conn, sticky sid",
                "- upstream chat (up to 2 polling sessions end; with `drain: true` at its servers they would go on)",
            ]
        );
        assert_eq!(told(&[news], &[]), ["- upstream news"]);
        let list = plain("/socket.io", &["10.0.0.1:100", "10.0.0.2:100"]);
        assert_eq!(told(&[], &[Arc::clone(&list)]), [""; 0]);
        assert_eq!(told(&[Arc::clone(&list)], &[]), [""; 0]);
        let fewer = plain("/socket.io", &["10.0.0.2:100"]);
        assert_eq!(
            told(&[list], &[fewer]),
            ["- server 10.0.0.1:100 in /socket.io"]
        );
    }

    #[test]
    fn the_addresses_of_a_name_are_counted_once() {
        let before = plain("chat", &["a.test:5", "b.test:7", "10.0.0.1:2"]);
        assert_eq!(
            told(&[before], &[plain("chat", &["10.0.0.9:1"])]),
            [
                "+ server 10.0.0.9:1 in chat",
                "- server a.test:5 in chat (up to 12 polling sessions end; with `drain: true` they would go on)",
                "- server b.test:7 in chat",
                "- server 10.0.0.1:2 in chat (up to 2 polling sessions end; with `drain: true` they would go on)",
            ]
        );
    }
}
