//! Translates how nginx verifies an `https://` upstream: by which name, and by whose word.

use crate::nginx::notes::Notes;
use crate::nginx::scope::Scope;
use crate::nginx::upstreams::AnsweredBy;
use crate::nginx::upstreams::ResolvedUpstream;
use crate::nginx::values::is_on;
use crate::nginx::variables::Constants;
use crate::tls::UpstreamName;
use crate::upstream::Address;
use crate::upstream::Scheme;

/// How an `https://` upstream is verified.
#[derive(Clone, Debug, Default)]
pub(super) struct Verification {
    /// The file of the upstream's authority.
    pub(super) ca: Option<String>,
    /// Whether nginx does not verify it.
    pub(super) is_new: bool,
    /// The name that its certificate must be for, where that is not the host of `proxy_pass`.
    pub(super) name: Option<String>,
}

/// Why an upstream that nginx does not verify may be refused here.
pub(super) const UNVERIFIED: &str = "nginx does not verify its certificate, wsgate does: name its authority's, or its own, as `ca` if the \
                          system's authorities do not know it";

impl Verification {
    /// How an upstream is verified, to which the directives in `scope` apply. What cannot be said is noted among its
    /// comments.
    pub(super) fn of(
        upstream: &mut ResolvedUpstream,
        scope: &Scope<'_>,
        constants: &Constants,
        notes: &mut Notes<'_>,
    ) -> Self {
        if upstream.scheme != Scheme::Https {
            if let Some(name) = scope.tls_name {
                notes.needless(name, "its upstream is asked without TLS");
            }
            return Self::default();
        }
        let is_verified = scope.tls_verify.is_some_and(is_on);
        let of_upstream = [("proxy_host", upstream.proxy_host.as_str())];
        let name = match scope.tls_name {
            Some(directive) => {
                let name = constants.substitute(directive.arg(0), &of_upstream);
                match UpstreamName::given(&name) {
                    Some(_) => Some(name),
                    None => {
                        let why = "no certificate can be for this name";
                        upstream.comments.push(notes.left(directive, why));
                        None
                    }
                }
            }
            // Without it the name of an `upstream` block would be the name.
            None if is_verified => Some(without_port(&upstream.proxy_host).to_owned()),
            None => None,
        };
        // Each server of a group is verified by a host of its own, none of which is nginx's name.
        let own = match &upstream.answered_by {
            AnsweredBy::Server(Address::Port { host, .. }) => host.to_string(),
            AnsweredBy::Server(Address::Unix(_)) | AnsweredBy::Group { .. } => String::new(),
        };
        let own = own.trim_matches(['[', ']']);
        let is_other = |name: &String| !name.trim_matches(['[', ']']).eq_ignore_ascii_case(own);
        Self {
            ca: scope.ca.map(|ca| ca.arg(0).to_owned()),
            is_new: scope.ca.is_none() && !is_verified,
            name: name
                .filter(is_other)
                .filter(|name| UpstreamName::given(name).is_some()),
        }
    }
}

/// A host without its port.
fn without_port(host: &str) -> &str {
    let behind = host.rfind(']').unwrap_or(0);
    match host[behind..].find(':') {
        Some(colon) => &host[..behind + colon],
        None => host,
    }
}
