//! Translates `set_real_ip_from` and its like, which nginx has for each server, into the one `trusted_proxies`.

use crate::access::Network;
use crate::access::NetworkError;
use crate::nginx::notes::Notes;
use crate::nginx::tree::Directive;
use crate::nginx::tree::all;
use crate::nginx::tree::everywhere;
use crate::nginx::tree::last;

/// The directives.
const NAMES: [&str; 3] = ["set_real_ip_from", "real_ip_header", "real_ip_recursive"];
/// Why a server's are lost that mean something else.
const OTHER_MEANING: &str = "`trusted_proxies` means `real_ip_header X-Forwarded-For` with `real_ip_recursive on`, and nothing else";
/// Why they are lost where servers differ.
const DIFFERENT: &str = "there is one `trusted_proxies` for all servers, and these differ";

/// The networks of `trusted_proxies`. Where it would not mean the same the directives are noted in `comments`.
pub(super) fn trusted_proxies(
    http: &[Directive],
    notes: &mut Notes<'_>,
    comments: &mut Vec<String>,
) -> Vec<String> {
    let written: Vec<&Directive> = NAMES
        .iter()
        .flat_map(|name| everywhere(http, name))
        .collect();
    if !written.iter().any(|one| one.name == NAMES[0]) {
        for directive in written {
            notes.needless(directive, "no proxy is trusted");
        }
        return Vec::new();
    }
    match networks(http, &written) {
        Ok(networks) => networks,
        Err(why) => {
            for directive in written {
                comments.push(notes.left(directive, why.clone()));
            }
            Vec::new()
        }
    }
}

/// Whether clients without an address may come through a Unix socket: no list judges clients by their addresses, or the
/// proxy in front of the socket is believed who they are.
///
/// # Errors
/// Why they may not.
pub(super) fn judges_nobody_without_address(
    http: &[Directive],
    trusted: &[String],
) -> Result<(), &'static str> {
    let mut lists = ["allow", "deny"]
        .into_iter()
        .flat_map(|name| everywhere(http, name));
    let believed = trusted.iter().any(|network| network == "unix:");
    match lists.any(|rule| rule.arg(0) != "all") && !believed {
        true => Err(
            "`allow` and `deny` cannot tell apart who comes through it, unless `set_real_ip_from unix:` says that the \
             proxy in front is believed",
        ),
        false => Ok(()),
    }
}

/// The networks that every server trusts.
///
/// # Errors
/// Why `trusted_proxies` cannot say it.
fn networks(http: &[Directive], written: &[&Directive]) -> Result<Vec<String>, String> {
    let mut known = 0;
    let mut trusted: Option<Vec<&str>> = None;
    for server in all(http, "server") {
        let of = |name| last(server.inside(), name).or(last(http, name));
        let is =
            |name, value: &str| of(name).is_some_and(|one| one.arg(0).eq_ignore_ascii_case(value));
        let mut from: Vec<&Directive> = all(server.inside(), NAMES[0]).collect();
        if from.is_empty() {
            from = all(http, NAMES[0]).collect();
        }
        let mut here: Vec<&str> = from.iter().map(|one| one.arg(0)).collect();
        here.sort_unstable();
        here.dedup();
        if here.is_empty() || trusted.as_ref().is_some_and(|trusted| *trusted != here) {
            return Err(DIFFERENT.to_owned());
        }
        if !is(NAMES[1], "X-Forwarded-For") || !is(NAMES[2], "on") {
            return Err(OTHER_MEANING.to_owned());
        }
        trusted = Some(here);
        known += NAMES
            .iter()
            .map(|name| all(server.inside(), name).count())
            .sum::<usize>();
    }
    known += NAMES
        .iter()
        .map(|name| all(http, name).count())
        .sum::<usize>();
    // Some stand in a location.
    if written.len() != known {
        return Err(DIFFERENT.to_owned());
    }
    let trusted = trusted.unwrap_or_default();
    trusted.into_iter().map(network).collect()
}

/// A network as `routes.yaml` has it.
///
/// # Errors
/// It is none.
fn network(text: &str) -> Result<String, String> {
    match text.parse::<Network>() {
        Ok(network) | Err(NetworkError::Bits(network)) => Ok(network.to_string()),
        Err(_) => Err(format!("`{text}` is no address and no network")),
    }
}
