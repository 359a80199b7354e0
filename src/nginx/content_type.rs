//! The `Content-Type` of what `return` answers: nginx's is that of a file of the same name, wsgate's is text/plain.

use crate::nginx::scope::Scope;
use crate::nginx::tree::Directive;

/// The type of wsgate's own answers, which is nginx's too where nothing is said.
const OWN: &str = "text/plain";

/// Why the type of what `returns` answers is lost; `None` if it is the same, or if there is no text that has a type.
///
/// `location` is what the location is written as; empty for a server.
pub(super) fn lost(returns: &Directive, location: &[String], scope: &Scope<'_>) -> Option<String> {
    let [status, text] = returns.args.as_slice() else {
        return None;
    };
    let leads_elsewhere = matches!(status.as_str(), "301" | "302" | "303" | "307" | "308");
    if leads_elsewhere || text.is_empty() {
        return None;
    }
    let by_name = match location {
        [kind, path] if kind == "=" => by_extension(path, scope),
        _ => None,
    };
    let default = scope.default_type.map_or(OWN, |directive| directive.arg(0));
    let theirs = by_name.unwrap_or(default);
    (theirs != OWN).then(|| format!("nginx sends it as {theirs}, wsgate as {OWN}"))
}

/// The type that nginx has for the extension of a path.
fn by_extension<'t>(path: &str, scope: &Scope<'t>) -> Option<&'t str> {
    let name = path.rsplit('/').next()?;
    let (_, extension) = name.rsplit_once('.')?;
    let is = |known: &str| known.eq_ignore_ascii_case(extension);
    let Some(types) = scope.types else {
        // What nginx has without any `types`.
        let mut own = [
            ("html", "text/html"),
            ("gif", "image/gif"),
            ("jpg", "image/jpeg"),
        ]
        .into_iter();
        return own.find(|(known, _)| is(known)).map(|(_, own)| own);
    };
    let mut all = types.inside().iter();
    all.find(|one| one.args.iter().any(|known| is(known)))
        .map(|one| one.name.as_str())
}
