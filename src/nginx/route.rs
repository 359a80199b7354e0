//! An entry of `routes` while it is put together.

use std::time::Duration;

use crate::nginx::access_rules::AccessRules;
use crate::nginx::added_fields::ChangedFields;
use crate::nginx::notes::Notes;
use crate::nginx::redirects::Pairs;
use crate::nginx::route_when::RouteWhen;
use crate::nginx::scope::Scope;
use crate::nginx::tree::Directive;
use crate::nginx::tree::SourceLine;
use crate::nginx::upstream_tls::Verification;
use crate::nginx::variables::Constants;
use crate::returns::Return;

/// An entry of `routes`, without its hosts and ports.
#[derive(Clone, Debug)]
pub(super) struct RouteEntry {
    /// The place of the directive that the entry comes from.
    pub(super) place: SourceLine,
    /// The path, as the key `location` has it.
    pub(super) location: String,
    /// The requests that the route is for, beside its hosts and its path.
    pub(super) when: RouteWhen,
    /// What becomes of a request.
    pub(super) does: Does,
    /// The groups that `proxy_pass` or a comment names.
    pub(super) groups: Vec<String>,
    /// The client addresses that may use the route.
    pub(super) access_rules: AccessRules,
    /// The time limits that nginx's file sets.
    pub(super) timeouts: ProxyTimeouts,
    /// The pairs of `rewrite`: regexes, each with a replacement.
    pub(super) rewrites: Pairs,
    /// The header fields that are set, and their values.
    pub(super) set_headers: Vec<(String, String)>,
    /// The pairs of `proxy_redirect`.
    pub(super) redirects: Pairs,
    /// The pairs of `proxy_cookie_path`.
    pub(super) cookie_paths: Pairs,
    /// What changes in the fields of answers.
    pub(super) answers: ChangedFields,
    /// How the upstream is verified, if it is asked over TLS.
    pub(super) verification: Verification,
    /// The comments above the entry.
    pub(super) comments: Vec<String>,
}

impl RouteEntry {
    /// Obeys what `scope` says about the fields of answers.
    pub(super) fn change_fields(
        &mut self,
        scope: &Scope<'_>,
        constants: &Constants,
        notes: &mut Notes<'_>,
    ) {
        self.answers = ChangedFields::of(scope, constants, notes, &mut self.comments);
    }

    /// Whether the route sends every client to https, as `redirect: https` does.
    pub(super) fn goes_to_https(&self) -> bool {
        let to = "https://$host$request_uri";
        self.location == "/"
            && self.comments.is_empty()
            && self.when == RouteWhen::default()
            && self.answers.adds_nothing_over_http()
            && matches!(&self.does, Does::Return(text)
                if [format!("301 {to}"), format!("308 {to}")].contains(text))
    }

    /// Whether a request gets what somebody may want to keep: from an upstream, or a text with a good status.
    pub(super) fn opens(&self) -> bool {
        match &self.does {
            Does::ProxyPass(_) => true,
            Does::Return(text) => text.starts_with('2'),
        }
    }
}

/// What a route does with a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Does {
    /// The request goes to this upstream, as `proxy_pass` names it.
    ProxyPass(String),
    /// The request is answered as this value of `return` says.
    Return(String),
}

/// The time limits that nginx's file sets, `proxy_connect_timeout` and `proxy_read_timeout`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ProxyTimeouts {
    pub(super) connect: Option<Duration>,
    pub(super) read: Option<Duration>,
}

/// The route for a `return`, without a location.
pub(super) fn returned(
    directive: &Directive,
    constants: &Constants,
    notes: &mut Notes<'_>,
) -> RouteEntry {
    let written = directive.args.join(" ");
    let read = constants
        .fill(&written, &[])
        .and_then(|text| match text.parse::<Return>() {
            Ok(_) => Ok(text.trim().to_owned()),
            Err(error) => Err(error.to_string()),
        });
    match read {
        Ok(text) => answering(directive.place, &text),
        Err(why) => {
            let (status, why) = match written.as_str() {
                "444" => (
                    "404",
                    "wsgate answers every request: 404 instead of nothing".to_owned(),
                ),
                _ => ("501", format!("{why}; this answers 501")),
            };
            let mut route = answering(directive.place, status);
            route.comments.push(notes.left(directive, why));
            route
        }
    }
}

/// The route that answers 404 where no location answers.
pub(super) fn nothing_else(place: SourceLine) -> RouteEntry {
    RouteEntry {
        location: "/".to_owned(),
        ..answering(place, "404")
    }
}

/// A route that is answered by the value `returns`, without a location.
pub(super) fn answering(place: SourceLine, returns: &str) -> RouteEntry {
    RouteEntry {
        place,
        location: String::new(),
        when: RouteWhen::default(),
        does: Does::Return(returns.to_owned()),
        groups: Vec::new(),
        access_rules: AccessRules::default(),
        timeouts: ProxyTimeouts::default(),
        rewrites: Vec::new(),
        set_headers: Vec::new(),
        redirects: Pairs::new(),
        cookie_paths: Pairs::new(),
        answers: ChangedFields::default(),
        verification: Verification::default(),
        comments: Vec::new(),
    }
}

/// The path of a file that nginx looks for relative to `dir`, the directory of its main file.
pub(super) fn beside(dir: &str, path: &str) -> String {
    if path.starts_with('/') || dir.is_empty() {
        path.to_owned()
    } else {
        format!("{}/{path}", dir.trim_end_matches('/'))
    }
}
