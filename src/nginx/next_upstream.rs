//! Tells what of `proxy_next_upstream` wsgate does otherwise: which failures lead to another server of a group.
//!
//! wsgate asks another server where nothing was sent yet, whatever the method; where the answer to an opening handshake, or to a
//! GET without a session, ends before it begins; and once where an opening handshake, or a GET for a new session, is answered by
//! 502, 503 or 504.

use std::time::Duration;

use crate::config;
use crate::nginx::notes::Notes;
use crate::nginx::scope::Scope;
use crate::nginx::time;
use crate::nginx::tree::Directive;

/// The most servers that are tried for a request.
const MOST_TRIES: usize = 3;

/// Notes the directives about the next server that are in force for a location whose group has so many `servers`; none if it
/// asks one server alone. What is lost is said in `comments`, at the first route that it is lost for.
pub(super) fn note(
    scope: &Scope<'_>,
    servers: Option<usize>,
    notes: &mut Notes<'_>,
    comments: &mut Vec<String>,
) {
    let directives = [scope.next_upstream, scope.next_tries, scope.next_timeout];
    for directive in directives.into_iter().flatten() {
        let lost = match (servers, directive.name.as_str()) {
            (None | Some(0 | 1), _) => {
                notes.needless(directive, "one server is asked");
                continue;
            }
            (Some(servers), "proxy_next_upstream_tries") => tries(directive, servers),
            (Some(_), "proxy_next_upstream_timeout") => timeout(directive, scope),
            (Some(_), _) => causes(directive),
        };
        match lost {
            None => notes.needless(
                directive,
                "where nothing was sent to a server, another one is asked by itself",
            ),
            Some(why) => comments.extend(notes.left_once(directive, why)),
        }
    }
}

/// What is lost of the failures for which nginx asks another server.
fn causes(directive: &Directive) -> Option<String> {
    let why = |value: &str| match value {
        "off" => Some(
            "`off`: a server that cannot be reached is another's turn here, since nothing was sent to it",
        ),
        "non_idempotent" => Some("`non_idempotent`: a POST that was sent is never sent again"),
        "timeout" => Some(
            "`timeout`: a server that took the request and says nothing is 504, and is not asked elsewhere",
        ),
        "invalid_header" => Some("`invalid_header`: an answer that cannot be read is 502"),
        "http_502" | "http_503" | "http_504" => Some(
            "502, 503 and 504 are another server's turn for the first request of a client alone",
        ),
        "http_500" | "http_403" | "http_404" | "http_429" => {
            Some("other answers go on to the client")
        }
        _ => None,
    };
    let mut lost: Vec<&str> = Vec::new();
    for one in directive.args.iter().filter_map(|value| why(value)) {
        if !lost.contains(&one) {
            lost.push(one);
        }
    }
    // nginx's own words without `timeout` or `error`.
    let has = |value| directive.args.iter().any(|arg| arg == value);
    if !has("off") && !has("error") {
        lost.push(
            "without `error`: a server that cannot be reached is another's turn all the same",
        );
    }
    (!lost.is_empty()).then(|| lost.join("; "))
}

/// What is lost of a number of tries.
fn tries(directive: &Directive, servers: usize) -> Option<String> {
    let written: usize = directive.arg(0).parse().ok()?;
    let theirs = if written == 0 {
        servers
    } else {
        written.min(servers)
    };
    (theirs != MOST_TRIES.min(servers)).then(|| format!("at most {MOST_TRIES} servers are tried"))
}

/// What is lost of a limit for all tries.
fn timeout(directive: &Directive, scope: &Scope<'_>) -> Option<String> {
    let limit = time::read(directive.arg(0)).unwrap_or(Duration::ZERO);
    let connect = scope.connect_timeout.and_then(|one| time::read(one.arg(0)));
    let connect = connect.unwrap_or(config::Timeouts::default().connect);
    let is_longer = limit.is_zero() || limit >= connect;
    (!is_longer).then(|| "`connect_timeout` is the limit of all tries together".to_owned())
}
