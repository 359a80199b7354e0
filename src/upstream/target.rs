//! What a route passes requests on to: one server, or a group of them.

use std::fmt;
use std::sync::Arc;

use crate::tls::UpstreamName;
use crate::upstream::Address;
use crate::upstream::Group;
use crate::upstream::GroupUrl;
use crate::upstream::ProxyPass;
use crate::upstream::Scheme;
use crate::upstream::Server;
use crate::upstream::group::GroupPass;

/// What the `proxy_pass` of a route leads to. Clones share their servers, and what is known of them.
#[derive(Clone, Debug)]
pub struct Upstream {
    to: Target,
}

#[derive(Clone, Debug)]
enum Target {
    One(Arc<Server>),
    Group(GroupPass),
}

/// Who can answer a request.
#[derive(Clone, Copy, Debug)]
pub enum Servers<'u> {
    /// This server.
    One(&'u Arc<Server>),
    /// One of this group, which is asked for a choice.
    Group(&'u Arc<Group>),
}

impl Upstream {
    /// The one server of a `proxy_pass`.
    pub fn new(server: Server) -> Self {
        Self {
            to: Target::One(Arc::new(server)),
        }
    }

    /// A group, asked by this scheme, which is that of its servers, and maybe with a path that replaces the location.
    pub fn of_group(group: Arc<Group>, scheme: Scheme, uri: Option<String>) -> Self {
        Self {
            to: Target::Group(GroupPass { group, uri, scheme }),
        }
    }

    /// `http://` or `https://`, by which all of its servers are asked.
    pub fn scheme(&self) -> Scheme {
        match &self.to {
            Target::One(server) => match server.proxy_pass().address() {
                Address::Port { scheme, .. } => *scheme,
                Address::Unix(_) => Scheme::Http,
            },
            Target::Group(pass) => pass.scheme,
        }
    }

    /// Who can answer.
    pub fn servers(&self) -> Servers<'_> {
        match &self.to {
            Target::One(server) => Servers::One(server),
            Target::Group(pass) => Servers::Group(&pass.group),
        }
    }

    /// The group, if it is one.
    pub fn group(&self) -> Option<&Arc<Group>> {
        match &self.to {
            Target::One(_) => None,
            Target::Group(pass) => Some(&pass.group),
        }
    }

    /// The same `proxy_pass`, which leads to this group from now on. One server stays what it is.
    pub fn with_group(&self, group: Arc<Group>) -> Self {
        match &self.to {
            Target::One(_) => self.clone(),
            Target::Group(pass) => Self {
                to: Target::Group(GroupPass {
                    group,
                    ..pass.clone()
                }),
            },
        }
    }

    /// All of its servers as they are now.
    pub fn all_servers(&self) -> Vec<Arc<Server>> {
        match &self.to {
            Target::One(server) => vec![Arc::clone(server)],
            Target::Group(pass) => {
                let members = pass.group.members().iter();
                members.map(|member| Arc::clone(member.server())).collect()
            }
        }
    }

    /// What replaces the location, such as `/x` or `/x?y`; `None` if the request's target goes on as it came.
    pub fn uri(&self) -> Option<&str> {
        match &self.to {
            Target::One(server) => server.proxy_pass().uri(),
            Target::Group(pass) => pass.uri.as_deref(),
        }
    }

    /// The upstream as `Host` names it, which is nginx's `$proxy_host`: see [`ProxyPass::proxy_host`]; of a group its name, and of a list without a name that of its
    /// first server.
    pub fn proxy_host(&self) -> String {
        match &self.to {
            Target::One(server) => server.proxy_pass().proxy_host(),
            Target::Group(pass) if pass.group.is_nameless_list() => {
                let mut servers = pass.group.written().iter();
                let first = servers
                    .next()
                    .map(|one| one.server.proxy_pass().proxy_host());
                first.unwrap_or_default()
            }
            Target::Group(pass) => pass.group.settings().name.clone(),
        }
    }

    /// The `proxy_pass` without its path: `http://127.0.0.1:3000`, `http://nodes`; a list as its servers.
    pub fn origin(&self) -> String {
        match &self.to {
            Target::One(server) => server.proxy_pass().without_uri().to_string(),
            Target::Group(pass) => pass.shown(None),
        }
    }

    /// Whether a request to it may go to the server of this `proxy_pass`, whatever the paths.
    pub fn may_lead_to(&self, server: &ProxyPass) -> bool {
        match &self.to {
            Target::One(one) => one.proxy_pass().address() == server.address(),
            Target::Group(pass) => pass.has(server),
        }
    }

    /// Whether it is this group, asked by the same scheme, whatever the paths.
    pub fn is_group(&self, group: &GroupUrl) -> bool {
        match &self.to {
            Target::One(_) => false,
            Target::Group(pass) => {
                let name = &pass.group.settings().name;
                pass.scheme == group.scheme() && name.eq_ignore_ascii_case(group.name())
            }
        }
    }

    /// What `tls_name` says, if it is set.
    pub fn tls_name(&self) -> Option<&UpstreamName> {
        match &self.to {
            Target::One(server) => server.tls_name(),
            Target::Group(pass) => {
                let mut written = pass.group.written().iter();
                written.find_map(|one| one.server.tls_name())
            }
        }
    }

    /// Whether one is a clone of the other, so that what was connected for the other will do.
    pub fn is_clone_of(&self, other: &Self) -> bool {
        match (&self.to, &other.to) {
            (Target::One(own), Target::One(other)) => Arc::ptr_eq(own, other),
            (Target::Group(own), Target::Group(other)) => {
                Arc::ptr_eq(&own.group, &other.group) && own.uri == other.uri
            }
            _ => false,
        }
    }

    /// Whether the configuration says the same of both, so that one upstream could stand for the other.
    pub fn is_configured_alike(&self, other: &Self) -> bool {
        match (&self.to, &other.to) {
            (Target::One(own), Target::One(other)) => own.is_configured_alike(other),
            (Target::Group(own), Target::Group(other)) => {
                own.uri == other.uri && own.group.is_configured_alike(&other.group)
            }
            _ => false,
        }
    }

    /// Whether the same authorities vouch for all their servers.
    pub fn has_same_roots(&self, other: &Self) -> bool {
        let (own, other) = (self.all_servers(), other.all_servers());
        let mut pairs = own.iter().zip(&other);
        pairs.all(|(own, other)| own.has_same_roots(other))
    }
}

impl fmt::Display for Upstream {
    /// The `proxy_pass` as it is written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.to {
            Target::One(server) => write!(f, "{}", server.proxy_pass()),
            Target::Group(pass) => f.write_str(&pass.shown(pass.uri.as_deref())),
        }
    }
}
