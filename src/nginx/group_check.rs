//! Translates `health_check`, which stands in a location and is about the group that it asks.

use http::uri::PathAndQuery;

use crate::nginx::group_note::GroupNote;
use crate::nginx::tree::Directive;
use crate::nginx::yaml::flow;

/// How often wsgate asks, and what it makes of the answers, in nginx's words.
const OWN: [&str; 3] = ["interval=5", "fails=3", "passes=2"];

/// What is different about a check of which nginx's own numbers are not written.
const OWN_NUMBERS: &str = "here a server is down after 3 failures and up after 2 answers with 2xx or 3xx; in nginx after one each, if \
                           nothing else is written";

/// The value of `health_check` for a group whose locations have these directives.
pub(super) fn health_check<'t>(
    checks: &[&'t Directive],
    said: &mut Vec<GroupNote<'t>>,
) -> Option<String> {
    let (first, others) = checks.split_first()?;
    for other in others.iter().filter(|other| other.args != first.args) {
        let why = "a group has one check, which is the first that the file has for it";
        said.push(GroupNote::Left(other, why.to_owned()));
    }
    let mut path = "/";
    let mut lost: Vec<&str> = Vec::new();
    for parameter in &first.args {
        match parameter.split_once('=') {
            Some(("uri", uri)) => path = uri,
            Some(("interval", time)) if time.trim_end_matches('s') == "5" => {}
            _ if OWN.contains(&parameter.as_str()) => {}
            _ => lost.push(parameter),
        }
    }
    let is_path = path.starts_with('/') && path.is_ascii() && !path.contains(['$', '#']);
    if !is_path || path.parse::<PathAndQuery>().is_err() {
        let why = format!("`{path}` is no path that could be asked for");
        said.push(GroupNote::Left(first, why));
        return None;
    }
    if !lost.is_empty() {
        let lost = lost.join(" ");
        let why = format!(
            "each server is asked every 5 s, is down after 3 failures and up after 2 answers with 2xx or 3xx (without: {lost})"
        );
        said.push(GroupNote::Left(first, why));
    } else if !OWN[1..]
        .iter()
        .all(|own| first.args.iter().any(|arg| arg == own))
    {
        said.push(GroupNote::Differs(first, OWN_NUMBERS));
    }
    Some(format!("{{ http: {} }}", flow(path)))
}
