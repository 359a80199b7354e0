//! The rules of `proxy_pass`: the address of a server, the name of a group, or a list of addresses, which is a group too.

use std::sync::Arc;

use crate::config::Listener;
use crate::config::check::Checker;
use crate::config::check::groups::FileGroups;
use crate::config::check::groups::GroupOfRoute;
use crate::config::check::https::Https;
use crate::config::check::https::HttpsKeys;
use crate::config::check::https::VerifiedBy;
use crate::config::check::kind;
use crate::config::check::loops::WrittenAddress;
use crate::config::check::loops::note_loop;
use crate::config::diagnostic::quoted;
use crate::config::schema::Node;
use crate::config::schema::Value;
use crate::routing::Location;
use crate::upstream::Address;
use crate::upstream::Group;
use crate::upstream::GroupSettings;
use crate::upstream::GroupUrl;
use crate::upstream::Host;
use crate::upstream::MemberSettings;
use crate::upstream::ProxyPass;
use crate::upstream::Scheme;
use crate::upstream::Server;
use crate::upstream::Upstream;
use crate::upstream::WrittenProxyPass;
use crate::upstream::WrittenServer;

/// What a route may pass requests on to, and what was made for the routes so far.
pub(super) struct Upstreams<'n, 'l> {
    /// The listeners, to which no route may lead back.
    pub(super) listeners: &'l [Listener],
    /// The groups that a route may name.
    pub(super) groups: FileGroups<'n>,
    /// The authorities and TLS clients of the routes so far.
    https: Https,
}

/// A route that passes requests on.
pub(super) struct AskingRoute<'n> {
    /// The keys of its upstream's TLS.
    pub(super) keys: HttpsKeys<'n>,
    /// Its name.
    pub(super) name: Option<&'n str>,
    /// Its location, if that is right.
    pub(super) location: Option<&'n Location>,
}

/// What a `proxy_pass` says.
enum WrittenUpstream<'n> {
    Server(ProxyPass),
    /// The entries of a list, which agree in their scheme and their path, with their places.
    List(ProxyPass, Vec<(ProxyPass, &'n Node)>),
    Group(GroupUrl),
}

impl<'n, 'l> Upstreams<'n, 'l> {
    /// These groups, none of which is asked by a route yet.
    pub(super) fn new(listeners: &'l [Listener], groups: FileGroups<'n>) -> Self {
        Self {
            listeners,
            groups,
            https: Https::default(),
        }
    }

    /// Checks the keys of a route whose `proxy_pass` is missing or wrong.
    pub(super) fn check_keys(&mut self, keys: HttpsKeys<'_>, checker: &mut Checker<'_>) {
        self.https.check_keys(keys, checker);
    }
}

/// The upstream of a `proxy_pass` that stands at `node`.
pub(super) fn upstream(
    node: &Node,
    route: &AskingRoute<'_>,
    upstreams: &mut Upstreams<'_, '_>,
    checker: &mut Checker<'_>,
) -> Option<Upstream> {
    let written = match &node.value {
        Value::List(entries) => list(node, entries, upstreams, checker),
        _ => one(node, upstreams, checker),
    };
    let Some(written) = written else {
        upstreams.check_keys(route.keys, checker);
        return None;
    };
    if let (Some(location), Some(uri)) = (route.location, written.uri())
        && location.kind().is_regex()
    {
        path_after_regex(&written, uri, node, checker);
    }
    let verification = match written.scheme() {
        Scheme::Https => Some(upstreams.https.verification(node, route.keys, checker)?),
        Scheme::Http => {
            route
                .keys
                .note_needless(&written.instead_of_plain(), checker);
            None
        }
    };
    let (scheme, uri) = (written.scheme(), written.uri().map(str::to_owned));
    match written {
        WrittenUpstream::Server(to) => {
            let https = &mut upstreams.https;
            let server = https.server(to, node, verification.as_ref(), checker);
            server.map(Upstream::new)
        }
        WrittenUpstream::List(_, servers) => {
            let servers = listed(
                servers,
                verification.as_ref(),
                &mut upstreams.https,
                checker,
            );
            let name = match (route.name, route.location) {
                (Some(name), _) => upstreams.groups.name_of_list(name, node, checker)?,
                (None, location) => upstreams.groups.location_of_list(location?),
            };
            let group = Group::new(GroupSettings::named(name), servers?);
            Some(Upstream::of_group(Arc::new(group), scheme, uri))
        }
        WrittenUpstream::Group(url) => {
            let wanted = GroupOfRoute {
                url: &url,
                node,
                verification: verification.as_ref(),
            };
            let group = upstreams
                .groups
                .of_route(&wanted, &mut upstreams.https, checker)?;
            Some(Upstream::of_group(group, scheme, uri))
        }
    }
}

impl WrittenUpstream<'_> {
    /// What replaces the location.
    fn uri(&self) -> Option<&str> {
        match self {
            Self::Server(to) | Self::List(to, _) => to.uri(),
            Self::Group(url) => url.uri(),
        }
    }

    fn scheme(&self) -> Scheme {
        match self {
            Self::Server(to) | Self::List(to, _) => to.scheme(),
            Self::Group(url) => url.scheme(),
        }
    }

    /// What to do about a key that is for `https://` beside an upstream without TLS.
    fn instead_of_plain(&self) -> String {
        let written = match self {
            Self::Server(to) if matches!(to.address(), Address::Unix(_)) => {
                return "take it out".to_owned();
            }
            Self::List(..) => return "take it out, or write `https://` in each entry".to_owned(),
            Self::Server(to) => to.to_string(),
            Self::Group(url) => url.to_string(),
        };
        let behind = written.trim_start_matches("http://");
        format!("take it out, or write `proxy_pass: https://{behind}`")
    }
}

/// The servers of a list; `None` if one of them is wrong.
fn listed(
    servers: Vec<(ProxyPass, &Node)>,
    verification: Option<&VerifiedBy>,
    https: &mut Https,
    checker: &mut Checker<'_>,
) -> Option<Vec<WrittenServer>> {
    let servers: Vec<Option<Server>> = servers
        .into_iter()
        .map(|(to, node)| https.server(to.without_uri(), node, verification, checker))
        .collect();
    let servers = servers.into_iter().map(|server| {
        Some(WrittenServer {
            server: Arc::new(server?),
            settings: MemberSettings::default(),
        })
    });
    servers.collect()
}

/// A `proxy_pass` that is a text: an address, or the name of a group.
fn one<'n>(
    node: &'n Node,
    upstreams: &Upstreams<'_, '_>,
    checker: &mut Checker<'_>,
) -> Option<WrittenUpstream<'n>> {
    match address(node, checker)? {
        WrittenProxyPass::Server(to) => {
            note_server(&to, node, upstreams, checker);
            Some(WrittenUpstream::Server(to))
        }
        WrittenProxyPass::Group(url) => {
            let groups = &upstreams.groups;
            groups
                .note_unknown(&url, "proxy_pass", node, checker)
                .then_some(WrittenUpstream::Group(url))
        }
    }
}

/// A `proxy_pass` that is a list of addresses; one address in it is that server.
fn list<'n>(
    node: &'n Node,
    entries: &'n [Node],
    upstreams: &Upstreams<'_, '_>,
    checker: &mut Checker<'_>,
) -> Option<WrittenUpstream<'n>> {
    if entries.is_empty() {
        checker
            .error(&node.span, "`proxy_pass` is an empty list")
            .help("write the addresses of the servers, as in `[http://127.0.0.1:3001, http://127.0.0.1:3002]`");
        return None;
    }
    let read: Vec<Option<ProxyPass>> = entries
        .iter()
        .map(|entry| entry_of_list(entry, upstreams, checker))
        .collect();
    let mut all: Vec<(ProxyPass, &Node)> = Vec::new();
    let mut is_right = true;
    for (to, entry) in read.into_iter().zip(entries) {
        let Some(to) = to else {
            is_right = false;
            continue;
        };
        if let Some((first, _)) = all.first()
            && !agrees(&to, first, entry, checker)
        {
            is_right = false;
            continue;
        }
        if all.iter().any(|(other, _)| other.address() == to.address()) {
            let message = format!("server {} stands here twice", quoted(&to.authority()));
            checker
                .error(&entry.span, message)
                .label("it would have two shares")
                .help(
                    "remove one of the two; a server of a group in `upstreams` can have a `weight`",
                );
            is_right = false;
            continue;
        }
        all.push((to, entry));
    }
    let (first, _) = all.first().filter(|_| is_right)?;
    Some(match all.as_slice() {
        [_] => WrittenUpstream::Server(first.clone()),
        _ => WrittenUpstream::List(first.clone(), all),
    })
}

/// One address of a list.
fn entry_of_list(
    entry: &Node,
    upstreams: &Upstreams<'_, '_>,
    checker: &mut Checker<'_>,
) -> Option<ProxyPass> {
    if let Value::List(_) | Value::Map(_) = entry.value {
        let message = format!(
            "an entry of `proxy_pass` must be an address, not {}",
            kind(entry)
        );
        checker
            .error(&entry.span, message)
            .help("what more there is to say of a server is said in a group of `upstreams`");
        return None;
    }
    match address(entry, checker)? {
        WrittenProxyPass::Server(to) => {
            note_server(&to, entry, upstreams, checker);
            Some(to)
        }
        WrittenProxyPass::Group(url) => {
            let known = upstreams.groups.has(url.name());
            let message = if known {
                format!(
                    "{} is a group, and a list has addresses",
                    quoted(url.name())
                )
            } else {
                "`proxy_pass` has a name without a port".to_owned()
            };
            let help = if known {
                format!("write `proxy_pass: {url}`, and all servers in the group")
            } else {
                format!("add the port, as in `{}{}:3000`", url.scheme(), url.name())
            };
            checker.error(&entry.span, message).help(help);
            None
        }
    }
}

/// Whether an entry of a list has scheme and path of the first one; it is noted if not.
fn agrees(to: &ProxyPass, first: &ProxyPass, entry: &Node, checker: &mut Checker<'_>) -> bool {
    let (message, help) = if to.scheme() != first.scheme() {
        (
            "the servers of a list are asked by one scheme",
            format!(
                "the first is asked by `{}`: write all alike",
                first.scheme()
            ),
        )
    } else if to.uri() != first.uri() {
        let uri = match first.uri() {
            Some(uri) => format!("the path {}", quoted(uri)),
            None => "no path".to_owned(),
        };
        (
            "the servers of a list are asked for one path",
            format!("the first has {uri}: write all alike"),
        )
    } else {
        return true;
    };
    checker.error(&entry.span, message).help(help);
    false
}

/// The text of a `proxy_pass`, read.
fn address(node: &Node, checker: &mut Checker<'_>) -> Option<WrittenProxyPass> {
    let text = checker.text(
        node,
        "proxy_pass",
        "an address such as `http://127.0.0.1:3000`",
    )?;
    match text.parse::<WrittenProxyPass>() {
        Ok(written) => Some(written),
        Err(error) => {
            let span = node.part(Some(error.span()));
            checker.error(&span, error.to_string()).help(error.help());
            None
        }
    }
}

/// Notes an address that cannot be meant: that of a listener of this file, or a group with a port.
fn note_server(
    to: &ProxyPass,
    node: &Node,
    upstreams: &Upstreams<'_, '_>,
    checker: &mut Checker<'_>,
) {
    let written = WrittenAddress {
        key: "proxy_pass",
        to,
        node,
    };
    note_loop(&written, upstreams.listeners, checker);
    if let Address::Port {
        scheme,
        host: Host::Name(name),
        ..
    } = to.address()
        && upstreams.groups.has(name)
    {
        checker
            .error(
                &node.span,
                format!("{} is a group, which has no port", quoted(name)),
            )
            .label("each of its servers has its own")
            .help(format!(
                "write `{scheme}{name}{}`; if the host {name} is meant, give the group another name",
                to.uri().unwrap_or_default()
            ));
    }
}

/// Notes a `proxy_pass` with a path in a location that is a regex, which nginx refuses too: "proxy_pass" cannot have
/// URI part in location given by regular expression.
fn path_after_regex(
    written: &WrittenUpstream<'_>,
    uri: &str,
    node: &Node,
    checker: &mut Checker<'_>,
) {
    let (node, without) = match written {
        WrittenUpstream::Server(to) => (node, to.without_uri().to_string()),
        WrittenUpstream::Group(url) => (node, url.without_uri().to_string()),
        WrittenUpstream::List(to, entries) => {
            let first = entries.first().map_or(node, |(_, first)| *first);
            (first, to.without_uri().to_string())
        }
    };
    let span = match (node.verbatim, &node.value) {
        (Some(start), Value::Text(text)) => start + text.len() - uri.len()..start + text.len(),
        _ => node.span.clone(),
    };
    checker
        .error(
            &span,
            "`proxy_pass` cannot have a path in a location that is a regex",
        )
        .label("which part of the path would it replace?")
        .help(format!("write `{without}`, or use a prefix as location"));
}
