//! Translates a `rewrite` that sends clients elsewhere into the value of a `return`.

use crate::nginx::tree::Directive;
use crate::nginx::variables::Constants;
use crate::returns::Return;

/// Regexes that match every path.
const EVERY_PATH: [&str; 10] = [
    "^", "^/", "/", ".*", "^.*", "^.*$", "^/.*", "^/.*$", "(.*)", "^(.*)",
];

/// Regexes that match every path, and of which `$1` is the whole path.
const WHOLE_PATH: [&str; 3] = ["^(.*)$", "^(.*)", "(.*)"];

/// Regexes that match every path, and of which `$1` is the path without its first slash.
const WITHOUT_SLASH: [&str; 4] = ["^/(.*)$", "^/(.*)", "^/?(.*)$", "/(.*)"];

/// Whether a `rewrite` answers every request with a redirect.
pub(super) fn is_for_every_path(rewrite: &Directive) -> bool {
    let to = rewrite.arg(1);
    let is_redirect = matches!(rewrite.arg(2), "permanent" | "redirect")
        || ["http://", "https://", "$scheme"]
            .iter()
            .any(|begin| to.starts_with(begin));
    let regexes = [&EVERY_PATH[..], &WHOLE_PATH, &WITHOUT_SLASH];
    is_redirect && regexes.iter().any(|all| all.contains(&rewrite.arg(0)))
}

/// The value of `return` that does what `rewrite` does, which is a redirect for every path.
///
/// # Errors
/// The reason why `return` cannot say where to.
pub(super) fn as_return(rewrite: &Directive, constants: &Constants) -> Result<String, String> {
    let (regex, to) = (rewrite.arg(0), rewrite.arg(1));
    let status = match rewrite.arg(2) {
        "permanent" => 301,
        _ => 302,
    };
    // nginx adds the query, unless a question mark ends the text.
    let to = match to.strip_suffix('?') {
        Some(to) => to.to_owned(),
        None if to.ends_with("$request_uri") => to.to_owned(),
        None => {
            let path = match to.strip_suffix("$1") {
                Some(to) if WHOLE_PATH.contains(&regex) => Some(to),
                Some(to) if WITHOUT_SLASH.contains(&regex) => to.strip_suffix('/'),
                _ => None,
            };
            let path = path.ok_or("`return` cannot add the query alone")?;
            format!("{path}$request_uri")
        }
    };
    let text = constants.fill(&format!("{status} {to}"), &[])?;
    match text.parse::<Return>() {
        Ok(_) => Ok(text),
        Err(error) => Err(error.to_string()),
    }
}
