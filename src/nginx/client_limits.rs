//! Translates the time limits of clients, which nginx has for each server and wsgate once for all.

use std::time::Duration;

use crate::nginx::notes::Notes;
use crate::nginx::time;
use crate::nginx::tree::Directive;
use crate::nginx::tree::all;
use crate::nginx::tree::everywhere;
use crate::nginx::tree::last;

/// The directives, each with the key that means the same.
const KEYS: [(&str, &str); 2] = [
    ("client_header_timeout", "header_timeout"),
    ("client_body_timeout", "body_timeout"),
];

/// Both limits in nginx where nothing is said.
const DEFAULT: Duration = Duration::from_secs(60);

/// The keys at the top of `routes.yaml` that mean what the directives in `http` say. What they cannot say is noted in
/// `comments`.
pub(super) fn limits(
    http: &[Directive],
    notes: &mut Notes<'_>,
    comments: &mut Vec<String>,
) -> Vec<(&'static str, Duration)> {
    let mut limits = Vec::new();
    for (name, key) in KEYS {
        let written = everywhere(http, name);
        let mut lose = |directive: &Directive, why: String| {
            let comment = notes.left(directive, why);
            comments.push(comment);
        };
        if let Some(odd) = written.iter().find(|one| limit(one).is_none()) {
            lose(odd, "this is no time limit".to_owned());
            continue;
        }
        let of_server = |server: &Directive| {
            let directive = last(server.inside(), name).or(last(http, name));
            directive.and_then(limit).unwrap_or(DEFAULT)
        };
        let mut servers = all(http, "server").map(of_server);
        let one = servers.next().unwrap_or(DEFAULT);
        let same = servers.all(|other| other == one);
        for directive in &written {
            if !same || limit(directive) != Some(one) && is_in_location(http, directive) {
                lose(directive, format!("there is one `{key}`, for all clients"));
            }
        }
        if same && !written.is_empty() {
            limits.push((key, one));
        }
    }
    limits
}

/// The time that a directive names, unless that is none at all.
fn limit(directive: &Directive) -> Option<Duration> {
    time::read(directive.arg(0)).filter(|time| !time.is_zero())
}

/// Whether the directive stands deeper than in a server.
fn is_in_location(http: &[Directive], directive: &Directive) -> bool {
    let is_it = |one: &Directive| std::ptr::eq(one, directive);
    let in_server = all(http, "server").flat_map(Directive::inside);
    !http.iter().chain(in_server).any(is_it)
}
