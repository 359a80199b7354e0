//! What a location inherits from the blocks around it, by nginx's rule: a level that says something about a thing says
//! all of it.

use crate::nginx::access_rules::AccessRules;
use crate::nginx::tree::Directive;
use crate::nginx::tree::all;
use crate::nginx::tree::last;

/// The directives that are in force.
#[derive(Clone, Debug, Default)]
pub(super) struct Scope<'t> {
    pub(super) fields: Vec<&'t Directive>,
    pub(super) read_timeout: Option<&'t Directive>,
    pub(super) connect_timeout: Option<&'t Directive>,
    pub(super) ca: Option<&'t Directive>,
    pub(super) certificates: Vec<&'t Directive>,
    pub(super) keys: Vec<&'t Directive>,
    /// Whether there is a folder of files, other than nginx's own default.
    pub(super) root: Option<&'t Directive>,
    access: Vec<&'t Directive>,
    auth: Vec<&'t Directive>,
}

/// What stands between the clients and a location.
#[derive(Clone, Copy, Debug)]
pub(super) enum Guard<'t> {
    /// `deny all`: nobody passes, and that can be said.
    Closed,
    /// Some pass, and wsgate cannot tell who.
    Some(&'t Directive),
}

/// Directives that let in only who can show something.
const AUTH: [&str; 4] = [
    "auth_basic",
    "auth_request",
    "auth_jwt",
    "ssl_verify_client",
];

impl<'t> Scope<'t> {
    /// The scope of a block inside.
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

    /// Who keeps clients out of a location with these directives in its block.
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

    /// The addresses that may pass. `None` if that cannot be said.
    pub(super) fn access_rules(&self) -> Option<AccessRules> {
        AccessRules::of(&self.access)
    }

    /// Whether this rule is one that the import obeys, by saying the same, by closing what it guards or by there being nothing
    /// to close.
    pub(super) fn obeys(&self, directive: &Directive) -> bool {
        match directive.name.as_str() {
            "allow" | "deny" => {
                self.access_rules().is_some() || self.access.iter().any(|one| one.arg(0) == "all")
            }
            _ => true,
        }
    }
}
