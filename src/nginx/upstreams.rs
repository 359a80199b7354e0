//! Resolves what a `proxy_pass` means with the `upstream` blocks of the file: a group, or an address.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::headers::host;
use crate::nginx::group::Group;
use crate::nginx::group_server::with_port;
use crate::nginx::listen::Listen;
use crate::nginx::notes::Notes;
use crate::nginx::own_listeners::OwnListeners;
use crate::nginx::tree::Directive;
use crate::nginx::tree::all;
use crate::nginx::tree::everywhere;
use crate::nginx::tree::last;
use crate::upstream::Address;
use crate::upstream::Host;
use crate::upstream::ProxyPass;
use crate::upstream::Scheme;
use crate::upstream::WrittenProxyPass;

/// The `upstream` blocks, by their names in lower case.
#[derive(Debug, Default)]
pub(super) struct Groups<'t>(BTreeMap<String, Group<'t>>);

/// The upstream of a `proxy_pass`.
#[derive(Debug)]
pub(super) struct ResolvedUpstream {
    /// The value of `proxy_pass` in `routes.yaml`.
    pub(super) to: String,
    /// Whether it has a path.
    pub(super) has_path: bool,
    /// Whether it is asked over TLS.
    pub(super) scheme: Scheme,
    /// Who answers.
    pub(super) answered_by: AnsweredBy,
    /// The value of nginx's `$proxy_host`, which it sends as `Host` where no other is set: what stands in `proxy_pass`,
    /// without the port that the scheme has anyway.
    pub(super) proxy_host: String,
    /// The value of nginx's `$proxy_port`.
    pub(super) proxy_port: String,
    /// The comments for the route.
    pub(super) comments: Vec<String>,
}

/// Who answers the requests of a `proxy_pass`.
#[derive(Debug)]
pub(super) enum AnsweredBy {
    /// The one server at this address.
    Server(Address),
    /// One of so many servers of a group, which has this name in `routes.yaml`.
    Group { name: String, servers: usize },
}

impl<'t> Groups<'t> {
    /// The `upstream` blocks among the directives of `http`; `listens` are the addresses of all servers, to which no
    /// upstream may lead back. What belongs to none of them is noted in `comments`.
    pub(super) fn of(
        http: &'t [Directive],
        listens: &[Listen],
        notes: &mut Notes<'_>,
        comments: &mut Vec<String>,
    ) -> Self {
        let locations = everywhere(http, "location");
        let mut groups = BTreeMap::new();
        let named = all(http, "upstream").map(|block| block.arg(0).to_ascii_lowercase());
        let mut names: BTreeSet<String> = named.collect();
        for block in all(http, "upstream") {
            let known = block.arg(0).to_ascii_lowercase();
            if groups.contains_key(&known) {
                let why = "a block of this name stands before it, and nginx takes no second one";
                comments.push(notes.left(block, why));
                continue;
            }
            let checks: Vec<&Directive> = locations
                .iter()
                .filter(|location| asks(location, &known))
                .filter_map(|location| last(location.inside(), "health_check"))
                .collect();
            let name = own_name(&known, &mut names);
            let own = OwnListeners { listens, notes };
            let group = Group::read(block, name, &checks, own);
            groups.insert(known, group);
        }
        let mut groups = Self(groups);
        groups.keep_called_alike();
        groups
    }

    /// Keeps the groups whose one server has the name of a group as its host: in a `proxy_pass` nothing has a port that is
    /// called so.
    fn keep_called_alike(&mut self) {
        while let Some(name) = self.called_alike() {
            if let Some(group) = self.0.get_mut(&name) {
                group.is_kept = true;
            }
        }
    }

    /// The name of a group that would be written as the address of its one server, of which the host has the name of a group
    /// that is written.
    fn called_alike(&self) -> Option<String> {
        let is_alike = |group: &Group<'t>| {
            let host = group.alone().and_then(|server| server.host_name());
            host.is_some_and(|host| self.has_written(host))
        };
        let mut groups = self.0.iter();
        let found = groups.find(|(_, group)| is_alike(group));
        found.map(|(name, _)| name.clone())
    }

    /// Whether `routes.yaml` has a group of this name.
    fn has_written(&self, name: &str) -> bool {
        let mut groups = self.0.values();
        groups.any(|group| group.alone().is_none() && group.name == name)
    }

    /// The upstream to which a `proxy_pass` with the value `text` leads.
    ///
    /// # Errors
    /// The reason why that cannot be written in a `routes.yaml`.
    pub(super) fn resolve(
        &self,
        text: &str,
        listens: &[Listen],
        notes: &mut Notes<'_>,
    ) -> Result<ResolvedUpstream, String> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err("it begins with neither `http://` nor `https://`".to_owned());
        };
        let scheme = scheme.to_ascii_lowercase();
        let end = match rest.strip_prefix("unix:") {
            Some(path) => path.find(':').map_or(rest.len(), |at| at + "unix:".len()),
            None => rest.find(['/', '?']).unwrap_or(rest.len()),
        };
        let (authority, uri) = rest.split_at(end);
        let group = self.0.get(&authority.to_ascii_lowercase());
        if let Some(why) = group.and_then(Group::dead) {
            return Err(why.to_owned());
        }
        if scheme == "https" && group.is_some_and(Group::has_socket) {
            return Err("a Unix socket is asked without TLS".to_owned());
        }
        let one = group.map(|group| group.alone().or(group.servers.first()));
        let address = match one.flatten() {
            Some(server) => server.authority(),
            None if authority.starts_with("unix:") => authority.to_owned(),
            None => with_port(authority, if scheme == "https" { 443 } else { 80 }),
        };
        let path = uri.strip_prefix(':').unwrap_or(uri);
        let to: ProxyPass = with_path(&scheme, &address, path)
            .parse()
            .map_err(|error| format!("{error}"))?;
        let (proxy_host, proxy_port) = own_host(authority, &scheme);
        if !host::is_valid(proxy_host.as_bytes()) {
            return Err(format!("no `Host` can name `{proxy_host}`"));
        }
        let several = group.filter(|group| group.alone().is_none());
        let mut comments = Vec::new();
        if let Some(group) = group.filter(|_| several.is_none()) {
            comments = group.say_alone(notes);
        }
        if let (
            None,
            Address::Port {
                host: Host::Name(host),
                ..
            },
        ) = (group, to.address())
            && self.has_written(host)
        {
            return Err(format!("`{host}` is an `upstream`, which has no port"));
        }
        let own = OwnListeners { listens, notes };
        if let Some(why) = own.leads_back(to.address()).filter(|_| group.is_none()) {
            return Err(why);
        }
        Ok(ResolvedUpstream {
            proxy_host,
            proxy_port,
            has_path: to.uri().is_some(),
            scheme: match to.address() {
                Address::Port { scheme, .. } => *scheme,
                Address::Unix(_) => Scheme::Http,
            },
            to: match several {
                Some(group) => with_path(&scheme, &group.name, path),
                None => to.to_string(),
            },
            answered_by: match several {
                Some(group) => AnsweredBy::Group {
                    name: group.name.clone(),
                    servers: group.servers.len(),
                },
                None => AnsweredBy::Server(to.address().clone()),
            },
            comments,
        })
    }

    /// The groups in file order.
    pub(super) fn in_order(&self) -> Vec<&Group<'t>> {
        let mut groups: Vec<&Group<'t>> = self.0.values().collect();
        groups.sort_by_key(|group| group.block.place);
        groups
    }
}

/// A value of `proxy_pass`.
fn with_path(scheme: &str, authority: &str, path: &str) -> String {
    let colon = match authority.starts_with("unix:") && !path.is_empty() {
        true => ":",
        false => "",
    };
    format!("{scheme}://{authority}{colon}{path}")
}

/// Whether the location asks the group of this name, which is in lower case.
fn asks(location: &Directive, name: &str) -> bool {
    let pass = last(location.inside(), "proxy_pass");
    let rest = pass.and_then(|pass| pass.arg(0).split_once("://"));
    rest.is_some_and(|(_, rest)| {
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        authority.eq_ignore_ascii_case(name)
    })
}

/// The name of a group in `routes.yaml`, where names are those that a host may have, and no address. Only one that is not so
/// gets another, which is added to those `taken` by all groups.
fn own_name(name: &str, taken: &mut BTreeSet<String>) -> String {
    if is_name(name) {
        return name.to_owned();
    }
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
    let plain = |c: char| if is_plain(c) { c } else { '_' };
    let own: String = name.chars().map(plain).collect();
    let own = match format!("group_{own}") {
        own if is_name(&own) => own,
        _ => "group".to_owned(),
    };
    let mut free = own.clone();
    let mut number = 1;
    while !taken.insert(free.clone()) {
        number += 1;
        free = format!("{own}_{number}");
    }
    free
}

/// Whether `routes.yaml` takes a text for the name of a group.
fn is_name(text: &str) -> bool {
    let url = format!("http://{text}").parse();
    matches!(url, Ok(WrittenProxyPass::Group(group)) if group.name() == text && group.uri().is_none())
}

/// The values of nginx's `$proxy_host` and `$proxy_port` for what stands in a `proxy_pass`.
fn own_host(authority: &str, scheme: &str) -> (String, String) {
    if authority.starts_with("unix:") {
        return ("localhost".to_owned(), String::new());
    }
    let default = if scheme == "https" { "443" } else { "80" };
    let behind = authority.rfind(']').unwrap_or(0);
    match authority[behind..].split_once(':') {
        Some((name, port)) if port != default => (
            format!("{}{name}:{port}", &authority[..behind]),
            port.to_owned(),
        ),
        Some((name, _)) => (
            format!("{}{name}", &authority[..behind]),
            default.to_owned(),
        ),
        None => (authority.to_owned(), default.to_owned()),
    }
}
