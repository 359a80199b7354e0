//! The rules of `upstreams`: groups by name, each with its servers; and which routes ask which group.

use std::path::PathBuf;
use std::sync::Arc;

use crate::config::Listener;
use crate::config::check::Checker;
use crate::config::check::fields::Fields;
use crate::config::check::groups::servers::ReadServer;
use crate::config::check::https::Https;
use crate::config::check::https::VerifiedBy;
use crate::config::check::keys::Within;
use crate::config::check::kind;
use crate::config::diagnostic::quoted;
use crate::config::schema::Node;
use crate::config::schema::Value;
use crate::config::values::nearest;
use crate::routing::Location;
use crate::tls::UpstreamName;
use crate::upstream::Group;
use crate::upstream::GroupSettings;
use crate::upstream::GroupUrl;
use crate::upstream::Scheme;
use crate::upstream::WrittenProxyPass;
use crate::upstream::WrittenServer;

mod servers;
mod settings;
mod sticky;
mod words;

/// The smallest group, for examples.
const EXAMPLE: &str = "upstreams:\n  chat:\n    servers: [\"127.0.0.1:3001\", \"127.0.0.1:3002\"]";

/// The groups of the file, and what was made of them for routes so far.
#[derive(Default)]
pub(super) struct FileGroups<'n> {
    groups: Vec<NamedGroup<'n>>,
    /// The names of the lists so far.
    lists: Vec<String>,
    /// Whether there are groups of which not even the names could be read.
    has_unreadable: bool,
}

/// One entry of `upstreams`.
struct NamedGroup<'n> {
    name: &'n str,
    /// The place of the name.
    node: &'n Node,
    /// What the entry says; `None` if that is wrong.
    read: Option<ReadGroup>,
    /// The place of the first route that asks it, and by which scheme.
    first_asked: Option<(Scheme, usize)>,
    /// What was made of it for routes.
    made: Vec<MadeGroup>,
}

/// What an entry of `upstreams` says.
struct ReadGroup {
    settings: GroupSettings,
    servers: Vec<ReadServer>,
}

/// A group for all routes that ask it in one way.
struct MadeGroup {
    way: Way,
    group: Arc<Group>,
}

/// How routes ask a group: those that do it in the same way share what is known of the servers.
#[derive(Eq, PartialEq)]
struct Way {
    scheme: Scheme,
    /// The file of `ca`.
    ca: Option<PathBuf>,
    /// The name in `tls_name`.
    tls_name: Option<UpstreamName>,
}

/// The group that a route names.
pub(super) struct GroupOfRoute<'r> {
    /// What the `proxy_pass` says.
    pub(super) url: &'r GroupUrl,
    /// The place of the `proxy_pass`.
    pub(super) node: &'r Node,
    /// How the servers are verified; `None` without TLS.
    pub(super) verification: Option<&'r VerifiedBy>,
}

impl<'n> FileGroups<'n> {
    /// The groups of `upstreams`, of which no server may be one of `listeners`.
    pub(super) fn read(node: &'n Node, listeners: &[Listener], checker: &mut Checker<'_>) -> Self {
        let entries = match &node.value {
            Value::Map(entries) if !entries.is_empty() => entries,
            _ => {
                let message = match &node.value {
                    Value::Nothing => "`upstreams` has no value".to_owned(),
                    Value::Map(_) => "`upstreams` is an empty map".to_owned(),
                    _ => format!(
                        "`upstreams` must be a map of groups by their names, not {}",
                        kind(node)
                    ),
                };
                checker
                    .error(&node.span, message)
                    .help(format!("write\n{EXAMPLE}"));
                return Self {
                    has_unreadable: true,
                    ..Self::default()
                };
            }
        };
        let mut groups = Self::default();
        for (key, value) in entries {
            let Value::Text(name) = &key.value else {
                checker
                    .error(&key.span, "the name of a group must be a word")
                    .help(format!("write\n{EXAMPLE}"));
                continue;
            };
            if groups.note_name(name, key, checker) {
                groups.groups.push(NamedGroup {
                    name,
                    node: key,
                    read: read(name, value, listeners, checker),
                    first_asked: None,
                    made: Vec::new(),
                });
            } else {
                read(name, value, listeners, checker);
            }
        }
        groups
    }

    /// Whether there is a group of this name. As in nginx, case does not matter.
    pub(super) fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// Whether the group of a URL exists, which stands at `node` as the value of `key`; it is noted if not.
    pub(super) fn note_unknown(
        &self,
        url: &GroupUrl,
        key: &'static str,
        node: &Node,
        checker: &mut Checker<'_>,
    ) -> bool {
        let name = url.name();
        let is_list = |list: &String| key == "expect" && list.eq_ignore_ascii_case(name);
        if self.has(name) || self.lists.iter().any(is_list) {
            return true;
        }
        if self.has_unreadable {
            return false;
        }
        let scheme = url.scheme();
        let port = match scheme {
            Scheme::Http => 3000,
            Scheme::Https => 443,
        };
        if self.groups.is_empty() {
            let start = scheme.to_string().len();
            let span = node.part(Some(start..start + name.len()));
            checker
                .error(&span, format!("`{key}` has a name without a port"))
                .help(format!(
                    "add the port, as in `{scheme}{name}:{port}`; only a group of servers, described below `upstreams`, \
                     has none"
                ));
            return false;
        }
        let names = self.groups.iter().map(|group| group.name);
        let help = match nearest(name, names.clone()) {
            Some(meant) => format!("did you mean `{scheme}{meant}`?"),
            None => {
                let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
                format!(
                    "the groups of `upstreams` are {}; a single server has a port, as in `{scheme}{name}:{port}`",
                    names.join(", ")
                )
            }
        };
        checker
            .error(&node.span, format!("there is no group {}", quoted(name)))
            .help(help);
        false
    }

    /// The group that a route names, which exists.
    pub(super) fn of_route(
        &mut self,
        wanted: &GroupOfRoute<'_>,
        https: &mut Https,
        checker: &mut Checker<'_>,
    ) -> Option<Arc<Group>> {
        let at = self.find(wanted.url.name())?;
        let group = &mut self.groups[at];
        group.note_schemes(wanted, checker);
        group.of_route(wanted, https, checker)
    }

    /// The name of a list that is the `proxy_pass` of the route of this name; none if a group has that name.
    pub(super) fn name_of_list(
        &mut self,
        name: &str,
        node: &Node,
        checker: &mut Checker<'_>,
    ) -> Option<String> {
        if let Some(at) = self.find(name) {
            let line = checker.source.line(self.groups[at].node.span.start);
            let message = format!(
                "this list would be called {}, as the group on line {line} is",
                quoted(name)
            );
            checker
                .error(&node.span, message)
                .label("a list is named by its route")
                .help("give the route another `name`");
            return None;
        }
        self.lists.push(name.to_owned());
        Some(name.to_owned())
    }

    /// The name of a list that is the `proxy_pass` of a route without a name: its location, with a number if there are several.
    pub(super) fn location_of_list(&mut self, location: &Location) -> String {
        let location = location.to_string();
        let mut name = location.clone();
        let mut number = 1;
        while self.lists.contains(&name) {
            number += 1;
            name = format!("{location} ({number})");
        }
        self.lists.push(name.clone());
        name
    }

    /// Notes each group that no route asks.
    pub(super) fn note_unused(&self, checker: &mut Checker<'_>) {
        for group in &self.groups {
            if group.first_asked.is_none() {
                let name = group.name;
                checker
                    .warning(
                        &group.node.span,
                        format!("no route asks the group {}", quoted(name)),
                    )
                    .help(format!(
                        "write `proxy_pass: http://{name}` in a route, or take the group out"
                    ));
            }
        }
    }

    /// The place of the group of this name.
    fn find(&self, name: &str) -> Option<usize> {
        let mut groups = self.groups.iter();
        groups.position(|group| group.name.eq_ignore_ascii_case(name))
    }

    /// Whether a new group can have this name; what is wrong with it is noted.
    fn note_name(&self, name: &str, key: &Node, checker: &mut Checker<'_>) -> bool {
        if !is_name(name) {
            checker
                .error(&key.span, format!("no group can be called {}", quoted(name)))
                .help(
                    "a group is named as a host can be: by letters, digits, `-`, `_` and dots, and not like an address",
                );
            return false;
        }
        let Some(at) = self.find(name) else {
            return true;
        };
        let first = &self.groups[at];
        let line = checker.source.line(first.node.span.start);
        let label = match first.name == name {
            true => "a group is described once",
            false => "case does not tell two groups apart",
        };
        let message = format!(
            "group {} is already described on line {line}",
            quoted(first.name)
        );
        checker
            .error(&key.span, message)
            .label(label)
            .help("give one of the two another name, or put all servers into one group");
        false
    }
}

impl NamedGroup<'_> {
    /// Notes a route that asks the group by another scheme than the first one did: a port has one of the two.
    fn note_schemes(&mut self, wanted: &GroupOfRoute<'_>, checker: &mut Checker<'_>) {
        let scheme = wanted.url.scheme();
        let line = checker.source.line(wanted.node.span.start);
        let (first, first_line) = *self.first_asked.get_or_insert((scheme, line));
        if first != scheme {
            let message = format!(
                "group {} is asked by `{scheme}` here, and by `{first}` on line {first_line}",
                quoted(self.name)
            );
            checker
                .warning(&wanted.node.span, message)
                .label("a port answers one of the two")
                .help(format!("write `{first}{}`", self.name));
        }
    }

    /// The group for a route, which shares it with all routes that ask it in the same way.
    fn of_route(
        &mut self,
        wanted: &GroupOfRoute<'_>,
        https: &mut Https,
        checker: &mut Checker<'_>,
    ) -> Option<Arc<Group>> {
        let read = self.read.as_ref()?;
        let scheme = wanted.url.scheme();
        let way = Way {
            scheme,
            ca: wanted.verification.and_then(|way| way.file.clone()),
            tls_name: wanted.verification.and_then(|way| way.given.clone()),
        };
        if let Some(made) = self.made.iter().find(|made| made.way == way) {
            return Some(Arc::clone(&made.group));
        }
        let mut servers = Vec::new();
        for server in &read.servers {
            let Some(to) = server.address.by(scheme) else {
                let message = format!(
                    "a Unix socket is asked without TLS, and group {} has one",
                    quoted(self.name)
                );
                checker.error(&wanted.node.span, message).help(format!(
                    "write `{}{}`, or give the port at which that server speaks TLS",
                    Scheme::Http,
                    self.name
                ));
                return None;
            };
            let server_of_route = https.server(to, wanted.node, wanted.verification, checker)?;
            servers.push(WrittenServer {
                server: Arc::new(server_of_route),
                settings: server.settings.clone(),
            });
        }
        let group = Arc::new(Group::new(read.settings.clone(), servers));
        self.made.push(MadeGroup {
            way,
            group: Arc::clone(&group),
        });
        Some(group)
    }
}

/// Whether a group, or a route, can have this name: it can stand in a URL in the place of a host, and is read as no address there.
pub(super) fn is_name(text: &str) -> bool {
    let url = format!("{}{text}", Scheme::Http);
    matches!(url.parse(), Ok(WrittenProxyPass::Group(group)) if group.name().eq_ignore_ascii_case(text))
}

/// What an entry of `upstreams` says; `None` if a server is wrong, or none could be asked.
fn read(
    name: &str,
    node: &Node,
    listeners: &[Listener],
    checker: &mut Checker<'_>,
) -> Option<ReadGroup> {
    let map = match &node.value {
        Value::Map(map) => map,
        _ => {
            let message = match &node.value {
                Value::Nothing => format!("group {} has no servers", quoted(name)),
                _ => format!("group {} must be a map, not {}", quoted(name), kind(node)),
            };
            checker.error(&node.span, message).help(format!(
                "write\nupstreams:\n  {name}:\n    servers: [\"127.0.0.1:3001\", \"127.0.0.1:3002\"]"
            ));
            return None;
        }
    };
    let fields = Fields::of(node, map, Within::Group, checker);
    let servers = fields
        .require(
            "servers",
            "servers: [\"127.0.0.1:3001\", \"127.0.0.1:3002\"]",
            checker,
        )
        .and_then(|node| servers::servers(node, listeners, checker));
    let settings = settings::settings(name, &fields, servers.as_deref(), checker);
    let servers = servers?;
    Some(ReadGroup { settings, servers })
}
