//! Reads what a `proxy_pass` with variables means, where each has one value.

use crate::nginx::tree::Directive;
use crate::nginx::variables::Constants;

/// Why a `proxy_pass` with a variable that has no one value is not carried over.
const VARIABLES: &str = "a variable of it has not one value here; write a route for each server";
/// Why a `proxy_pass` with a variable and a path is not carried over.
const PATHS: &str = "nginx asks for this path alone, whatever the request";

/// The value of a `proxy_pass`, with constants in the place of its variables.
///
/// # Errors
/// The reason why `routes.yaml` cannot say it.
pub(super) fn target(pass: &Directive, constants: &Constants) -> Result<String, String> {
    let written = pass.arg(0);
    if !written.contains('$') {
        return Ok(written.to_owned());
    }
    let filled = constants.substitute(written, &[]);
    let begin = filled.find("://").map_or(0, |at| at + "://".len());
    let rest = &filled[begin..];
    let end = match rest.strip_prefix("unix:") {
        Some(path) => path.find(':').map_or(rest.len(), |at| at + "unix:".len()),
        None => rest.find(['/', '?']).unwrap_or(rest.len()),
    };
    // `$request_uri` is what a request goes on with anyway.
    let (authority, uri) = match rest.strip_suffix("$request_uri") {
        Some(authority) if end == rest.len() => (authority, ""),
        _ => rest.split_at(end),
    };
    if authority.contains('$') || filled[..begin].contains('$') {
        return Err(VARIABLES.to_owned());
    }
    // With a variable nginx takes no path for one that replaces the location.
    if !uri.is_empty() {
        return Err(PATHS.to_owned());
    }
    Ok(format!("{}{authority}", &filled[..begin]))
}
