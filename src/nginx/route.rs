//! An entry of `routes` in the making.

use std::time::Duration;

use crate::nginx::access_rules::AccessRules;
use crate::nginx::notes::Notes;
use crate::nginx::tree::Directive;
use crate::nginx::tree::SourceLine;
use crate::nginx::variables::Constants;
use crate::returns::Return;

/// An entry of `routes`, but for host and port.
#[derive(Clone, Debug)]
pub(super) struct RouteEntry {
    pub(super) place: SourceLine,
    pub(super) location: String,
    pub(super) does: Does,
    pub(super) access_rules: AccessRules,
    pub(super) timeouts: ProxyTimeouts,
    pub(super) set_headers: Vec<(String, String)>,
    pub(super) ca: Option<String>,
    pub(super) comments: Vec<String>,
}

impl RouteEntry {
    /// Whether it sends everybody to https, as `redirect: https` does.
    pub(super) fn goes_to_https(&self) -> bool {
        let to = "https://$host$request_uri";
        self.location == "/"
            && self.comments.is_empty()
            && matches!(&self.does, Does::Return(text)
                if [format!("301 {to}"), format!("308 {to}")].contains(text))
    }
}

/// What a route does.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Does {
    ProxyPass(String),
    Return(String),
}

/// Time limits, where nginx's file sets one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ProxyTimeouts {
    pub(super) connect: Option<Duration>,
    pub(super) read: Option<Duration>,
}

/// What a `return` says, as a route for no location yet.
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

/// What answers where no location does.
pub(super) fn nothing_else(place: SourceLine) -> RouteEntry {
    RouteEntry {
        location: "/".to_owned(),
        ..answering(place, "404")
    }
}

/// An answer without an upstream, for no location yet.
pub(super) fn answering(place: SourceLine, returns: &str) -> RouteEntry {
    RouteEntry {
        place,
        location: String::new(),
        does: Does::Return(returns.to_owned()),
        access_rules: AccessRules::default(),
        timeouts: ProxyTimeouts::default(),
        set_headers: Vec::new(),
        ca: None,
        comments: Vec::new(),
    }
}

/// A file's path, which nginx reads relative to the directory of its main file.
pub(super) fn beside(dir: &str, path: &str) -> String {
    if path.starts_with('/') || dir.is_empty() {
        path.to_owned()
    } else {
        format!("{}/{path}", dir.trim_end_matches('/'))
    }
}
