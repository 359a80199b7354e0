//! Translates the time limits of clients, which nginx has for each server and wsgate once for all.

use std::time::Duration;

use crate::nginx::notes::Notes;
use crate::nginx::time;
use crate::nginx::tree::Directive;
use crate::nginx::tree::all;
use crate::nginx::tree::everywhere;
use crate::nginx::tree::last;

/// A time limit of clients.
struct Limit {
    /// nginx's directive.
    name: &'static str,
    /// The key that means the same.
    key: &'static str,
    /// What it is in nginx where nothing is said.
    default: Duration,
    /// Whether it may be zero.
    may_be_zero: bool,
}

/// The time limits of clients.
const LIMITS: [Limit; 3] = [
    Limit {
        name: "client_header_timeout",
        key: "header_timeout",
        default: Duration::from_secs(60),
        may_be_zero: false,
    },
    Limit {
        name: "client_body_timeout",
        key: "body_timeout",
        default: Duration::from_secs(60),
        may_be_zero: false,
    },
    Limit {
        name: "keepalive_timeout",
        key: "keepalive_timeout",
        default: Duration::from_secs(75),
        may_be_zero: true,
    },
];

/// The keys at the top of `routes.yaml` that mean what the directives in `http` say. What they cannot say is noted in
/// `comments`.
pub(super) fn limits(
    http: &[Directive],
    notes: &mut Notes<'_>,
    comments: &mut Vec<String>,
) -> Vec<(&'static str, Duration)> {
    let mut limits = Vec::new();
    for limit in &LIMITS {
        let Limit { name, key, .. } = limit;
        let written = everywhere(http, name);
        let mut lose = |directive: &Directive, why: String| {
            let comment = notes.left(directive, why);
            comments.push(comment);
        };
        if let Some(odd) = written.iter().find(|one| limit.time(one).is_none()) {
            lose(odd, "this is no time limit".to_owned());
            continue;
        }
        let of_server = |server: &Directive| {
            let directive = last(server.inside(), name).or(last(http, name));
            let time = directive.and_then(|directive| limit.time(directive));
            time.unwrap_or(limit.default)
        };
        let mut servers = all(http, "server").map(of_server);
        let one = servers.next().unwrap_or(limit.default);
        let same = servers.all(|other| other == one);
        for directive in &written {
            if !same || limit.time(directive) != Some(one) && is_in_location(http, directive) {
                lose(directive, format!("there is one `{key}`, for all clients"));
            }
        }
        if same && !written.is_empty() {
            limits.push((*key, one));
        }
    }
    limits
}

impl Limit {
    /// The time that a directive names; `None` if it is none.
    fn time(&self, directive: &Directive) -> Option<Duration> {
        let time = time::read(directive.arg(0))?;
        (self.may_be_zero || !time.is_zero()).then_some(time)
    }
}

/// Whether the directive stands deeper than in a server.
fn is_in_location(http: &[Directive], directive: &Directive) -> bool {
    let is_it = |one: &Directive| std::ptr::eq(one, directive);
    let in_server = all(http, "server").flat_map(Directive::inside);
    !http.iter().chain(in_server).any(is_it)
}
