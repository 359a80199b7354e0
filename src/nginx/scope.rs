//! The directives that a location inherits from the blocks around it. nginx's rule: a block that has one directive of a
//! kind inherits none of that kind.

use crate::nginx::access_rules::AccessRules;
use crate::nginx::tree::Directive;
use crate::nginx::tree::all;
use crate::nginx::tree::last;
use crate::nginx::unknown;

/// The directives that are in force in a block.
#[derive(Clone, Debug, Default)]
pub(super) struct Scope<'t> {
    /// The `proxy_set_header` directives.
    pub(super) fields: Vec<&'t Directive>,
    /// The `proxy_read_timeout`.
    pub(super) read_timeout: Option<&'t Directive>,
    /// The `proxy_connect_timeout`.
    pub(super) connect_timeout: Option<&'t Directive>,
    /// The `proxy_next_upstream`.
    pub(super) next_upstream: Option<&'t Directive>,
    /// The `proxy_next_upstream_tries`.
    pub(super) next_tries: Option<&'t Directive>,
    /// The `proxy_next_upstream_timeout`.
    pub(super) next_timeout: Option<&'t Directive>,
    /// The `proxy_ssl_name`.
    pub(super) tls_name: Option<&'t Directive>,
    /// The `proxy_ssl_verify`.
    pub(super) tls_verify: Option<&'t Directive>,
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
    /// The `internal` of the location, or of one around it.
    pub(super) internal: Option<&'t Directive>,
    /// The `error_page` directives.
    error_pages: Vec<&'t Directive>,
    /// The `proxy_redirect` directives.
    pub(super) redirects: Vec<&'t Directive>,
    /// The `proxy_pass` and the location for which nginx has made a `proxy_redirect default`, if one of the locations around has.
    pub(super) default_redirect: Option<(&'t Directive, &'t Directive)>,
    /// The `proxy_cookie_path` directives.
    pub(super) cookie_paths: Vec<&'t Directive>,
    /// The `add_header` directives.
    pub(super) added_fields: Vec<&'t Directive>,
    /// The `proxy_hide_header` directives.
    pub(super) hidden_fields: Vec<&'t Directive>,
    /// The `proxy_pass_header` directives.
    pub(super) passed_fields: Vec<&'t Directive>,
    /// The `allow` and `deny` directives.
    access: Vec<&'t Directive>,
    /// The directives that ask a client for more than its address, or may do so, the last of each name.
    auth: Vec<&'t Directive>,
    /// A `set_real_ip_from`: the client's address is another than the one that it comes from.
    real_ip: Option<&'t Directive>,
    /// Whether `trusted_proxies` says what `set_real_ip_from` does.
    pub(super) has_real_ip: bool,
    /// The directives that let in only some TLS clients, the last of each name.
    tls: Vec<&'t Directive>,
    /// The `satisfy`: whether all of the two kinds above must let a client in, or any.
    satisfy: Option<&'t Directive>,
    /// The directives that keep parts of a request from the upstream, the last of each name.
    parts: Vec<&'t Directive>,
}

/// What keeps clients out of a location.
#[derive(Clone, Copy, Debug)]
pub(super) enum Guard<'t> {
    /// Nobody passes: there is `deny all`.
    Nobody,
    /// Some pass, and wsgate cannot tell who, because of this directive.
    Some(&'t Directive),
    /// All pass, but this directive keeps a part of their requests from the upstream.
    Parts(&'t Directive),
}

/// Directives about TLS that let in only some clients, unless they are `off`.
///
/// With `optional` a client is let in, but then the upstream or an `if` asks what became of its certificate.
const TLS: [&str; 2] = ["ssl_verify_client", "ssl_reject_handshake"];

/// How the names of directives begin that let in only clients with a password or a token, or that a program lets in.
const AUTH: [&str; 4] = [
    "auth_",
    "access_by_lua",
    "rewrite_by_lua",
    "server_rewrite_by_lua",
];

/// Directives whose names begin so too, but which only say more about those.
const ABOUT_AUTH: [&str; 4] = [
    "auth_basic_user_file",
    "auth_delay",
    "auth_request_set",
    "auth_jwt_key_file",
];

/// Directives that keep a part of each request from the upstream if they are `off`.
const PARTS: [&str; 2] = ["proxy_pass_request_headers", "proxy_pass_request_body"];

impl<'t> Scope<'t> {
    /// The scope of the location `block`, which stands in the block of this scope. It inherits the default of
    /// `proxy_redirect` too, which is about the `proxy_pass` of the outermost location that has one.
    pub(super) fn within_location(&self, block: &'t Directive) -> Self {
        let mut scope = self.within(block.inside());
        let pass = last(block.inside(), "proxy_pass");
        let pass = pass.filter(|pass| !pass.arg(0).contains('$'));
        if scope.default_redirect.is_none() {
            scope.default_redirect = pass.map(|pass| (pass, block));
        }
        scope
    }

    /// The scope of a block with these directives, which stands in the block of this scope.
    pub(super) fn within(&self, directives: &'t [Directive]) -> Self {
        let mut scope = self.clone();
        let level = |name| all(directives, name).collect::<Vec<_>>();
        for (held, name) in [
            (&mut scope.fields, "proxy_set_header"),
            (&mut scope.redirects, "proxy_redirect"),
            (&mut scope.cookie_paths, "proxy_cookie_path"),
            (&mut scope.added_fields, "add_header"),
            (&mut scope.hidden_fields, "proxy_hide_header"),
            (&mut scope.passed_fields, "proxy_pass_header"),
            (&mut scope.certificates, "ssl_certificate"),
            (&mut scope.keys, "ssl_certificate_key"),
            (&mut scope.error_pages, "error_page"),
        ] {
            let here = level(name);
            if !here.is_empty() {
                *held = here;
            }
        }
        for (held, name) in [
            (&mut scope.read_timeout, "proxy_read_timeout"),
            (&mut scope.connect_timeout, "proxy_connect_timeout"),
            (&mut scope.next_upstream, "proxy_next_upstream"),
            (&mut scope.next_tries, "proxy_next_upstream_tries"),
            (&mut scope.next_timeout, "proxy_next_upstream_timeout"),
            (&mut scope.tls_name, "proxy_ssl_name"),
            (&mut scope.tls_verify, "proxy_ssl_verify"),
            (&mut scope.ca, "proxy_ssl_trusted_certificate"),
            (&mut scope.root, "root"),
            (&mut scope.default_type, "default_type"),
            (&mut scope.types, "types"),
            (&mut scope.internal, "internal"),
            (&mut scope.satisfy, "satisfy"),
            (&mut scope.real_ip, "set_real_ip_from"),
        ] {
            *held = last(directives, name).or(*held);
        }
        let is_access = |one: &&Directive| matches!(one.name.as_str(), "allow" | "deny");
        let access: Vec<&Directive> = directives.iter().filter(is_access).collect();
        if !access.is_empty() {
            scope.access = access;
        }
        for directive in directives {
            let held = match directive.name.as_str() {
                name if asks_for_more(name) => &mut scope.auth,
                name if TLS.contains(&name) => &mut scope.tls,
                name if PARTS.contains(&name) => &mut scope.parts,
                _ if unknown::may_close(directive) => &mut scope.auth,
                _ => continue,
            };
            held.retain(|known| known.name != directive.name);
            held.push(directive);
        }
        scope
    }

    /// What keeps clients out of a location with this scope.
    pub(super) fn guard(&self) -> Option<Guard<'t>> {
        let mut auth = self.auth.iter().filter(|one| one.arg(0) != "off");
        let auth = auth.next().copied();
        let denies = |one: &&Directive| one.name == "deny";
        let is_for_all = |one: &Directive| one.arg(0) == "all";
        let any = self.satisfy.is_some_and(|one| one.arg(0) == "any");
        let first = self.access.first();
        if first.is_some_and(|one| denies(one) && is_for_all(one)) && !(any && auth.is_some()) {
            return Some(Guard::Nobody);
        }
        let mut unreadable = self.access.iter().copied().filter(denies);
        if self.access_rules().is_none()
            && let Some(denies) = unreadable.next()
        {
            return Some(Guard::Some(denies));
        }
        // Else the lists would be asked about the address of the proxy in front.
        let real_ip = self.real_ip.filter(|_| !self.has_real_ip);
        let has_rules = self.access_rules().is_some_and(|rules| !rules.is_open());
        if let Some(guard) = auth.or(real_ip.filter(|_| has_rules)) {
            return Some(Guard::Some(guard));
        }
        let parts = self.parts.iter().find(|one| one.arg(0) == "off");
        parts.copied().map(Guard::Parts)
    }

    /// The directive that lets in only some TLS clients, and why wsgate cannot do that.
    pub(super) fn tls_guard(&self) -> Option<(&'t Directive, &'static str)> {
        let guard = self.tls.iter().find(|one| one.arg(0) != "off")?;
        let why = match guard.name.as_str() {
            "ssl_reject_handshake" => "no TLS client is refused by the name that it asks for",
            _ => "clients are not asked for a certificate",
        };
        Some((guard, why))
    }

    /// The client addresses that may pass. `None` if `routes.yaml` cannot say it.
    pub(super) fn access_rules(&self) -> Option<AccessRules> {
        AccessRules::of(&self.access)
    }

    /// The name of the location that a `return` of this status leads to, by `error_page STATUS = @name`.
    pub(super) fn page(&self, status: &str) -> Option<&'t str> {
        let page = self.error_pages.iter().find(|page| {
            let codes = page.args.iter().take(page.args.len().saturating_sub(2));
            codes.map(String::as_str).any(|code| code == status)
        })?;
        match page.args.as_slice() {
            // Without the equals sign the client gets this status, whatever the upstream says.
            [.., equals, name] if equals == "=" && name.starts_with('@') => Some(name),
            _ => None,
        }
    }

    /// Whether the import takes this directive into account: the route has the same rule, or is closed, or there is
    /// nothing to close.
    pub(super) fn obeys(&self, directive: &Directive) -> bool {
        match directive.name.as_str() {
            "allow" | "deny" => {
                self.access_rules().is_some() || self.access.iter().any(|one| one.name == "deny")
            }
            _ => true,
        }
    }
}

/// Whether the directives of this name ask a client for a password or a token.
pub(super) fn asks_for_more(name: &str) -> bool {
    AUTH.iter().any(|begin| name.starts_with(begin)) && !ABOUT_AUTH.contains(&name)
}
