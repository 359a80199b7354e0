//! The directives that a location inherits from the blocks around it. nginx's rule: a block that has one directive of a
//! kind inherits none of that kind.

use crate::nginx::access_rules::AccessRules;
use crate::nginx::tree::Directive;
use crate::nginx::tree::all;
use crate::nginx::tree::last;

/// The directives that are in force in a block.
#[derive(Clone, Debug, Default)]
pub(super) struct Scope<'t> {
    /// The `proxy_set_header` directives.
    pub(super) fields: Vec<&'t Directive>,
    /// The `proxy_read_timeout`.
    pub(super) read_timeout: Option<&'t Directive>,
    /// The `proxy_connect_timeout`.
    pub(super) connect_timeout: Option<&'t Directive>,
    /// The `proxy_ssl_trusted_certificate`.
    pub(super) ca: Option<&'t Directive>,
    /// The `ssl_certificate` directives.
    pub(super) certificates: Vec<&'t Directive>,
    /// The `ssl_certificate_key` directives, in the order of the certificates.
    pub(super) keys: Vec<&'t Directive>,
    /// The directory of files, where it is not nginx's own default.
    pub(super) root: Option<&'t Directive>,
    /// The `default_type`.
    pub(super) default_type: Option<&'t Directive>,
    /// The `types`.
    pub(super) types: Option<&'t Directive>,
    /// The `allow` and `deny` directives.
    access: Vec<&'t Directive>,
    /// The directives that ask a client for more than its address.
    auth: Vec<&'t Directive>,
}

/// What keeps clients out of a location.
#[derive(Clone, Copy, Debug)]
pub(super) enum Guard<'t> {
    /// Nobody passes: there is `deny all`.
    Closed,
    /// Some pass, and wsgate cannot tell who, because of this directive.
    Some(&'t Directive),
}

/// Directives that let in only clients with a password, a token or a certificate.
const AUTH: [&str; 4] = [
    "auth_basic",
    "auth_request",
    "auth_jwt",
    "ssl_verify_client",
];

impl<'t> Scope<'t> {
    /// The scope of a block with these directives, which stands in the block of this scope.
    pub(super) fn within(&self, directives: &'t [Directive]) -> Self {
        let mut scope = self.clone();
        let level = |name| all(directives, name).collect::<Vec<_>>();
        for (held, name) in [
            (&mut scope.fields, "proxy_set_header"),
            (&mut scope.certificates, "ssl_certificate"),
            (&mut scope.keys, "ssl_certificate_key"),
        ] {
            let here = level(name);
            if !here.is_empty() {
                *held = here;
            }
        }
        for (held, name) in [
            (&mut scope.read_timeout, "proxy_read_timeout"),
            (&mut scope.connect_timeout, "proxy_connect_timeout"),
            (&mut scope.ca, "proxy_ssl_trusted_certificate"),
            (&mut scope.root, "root"),
            (&mut scope.default_type, "default_type"),
            (&mut scope.types, "types"),
        ] {
            *held = last(directives, name).or(*held);
        }
        let is_access = |one: &&Directive| matches!(one.name.as_str(), "allow" | "deny");
        let access: Vec<&Directive> = directives.iter().filter(is_access).collect();
        if !access.is_empty() {
            scope.access = access;
        }
        for name in AUTH {
            if let Some(here) = last(directives, name) {
                scope.auth.retain(|known| known.name != name);
                scope.auth.push(here);
            }
        }
        scope
    }

    /// What keeps clients out of a location with these directives in its block.
    pub(super) fn guard(&self, location: &'t [Directive]) -> Option<Guard<'t>> {
        let is = |one: &&Directive, name, value| one.name == name && one.arg(0) == value;
        let mut rules = self.access.iter().copied();
        let first = rules.clone().next();
        if first.is_some_and(|one| is(&one, "deny", "all")) {
            return Some(Guard::Closed);
        }
        if self.access_rules().is_none()
            && let Some(denies) = rules.find(|one| is(one, "deny", "all"))
        {
            return Some(Guard::Some(denies));
        }
        let asks = |one: &&&Directive| !matches!(one.arg(0), "off" | "optional" | "optional_no_ca");
        if let Some(asks) = self.auth.iter().find(asks) {
            return Some(Guard::Some(asks));
        }
        last(location, "limit_except").map(Guard::Some)
    }

    /// The client addresses that may pass. `None` if `routes.yaml` cannot say it.
    pub(super) fn access_rules(&self) -> Option<AccessRules> {
        AccessRules::of(&self.access)
    }

    /// Whether the import takes this directive into account: the route has the same rule, or is closed, or there is
    /// nothing to close.
    pub(super) fn obeys(&self, directive: &Directive) -> bool {
        match directive.name.as_str() {
            "allow" | "deny" => {
                self.access_rules().is_some() || self.access.iter().any(|one| one.arg(0) == "all")
            }
            _ => true,
        }
    }
}
