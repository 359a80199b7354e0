//! Translates `rewrite … break` of a location into the key `rewrite`. All other forms choose another location or send
//! the client elsewhere.

use crate::nginx::notes::Notes;
use crate::nginx::tree::Directive;
use crate::nginx::tree::all;
use crate::nginx::variables::Constants;
use crate::routing::Rewrite;

/// Whether a `rewrite` writes another path and goes on with its location.
pub(super) fn is_break(rewrite: &Directive) -> bool {
    rewrite.args.len() == 3 && rewrite.arg(2) == "break" && !is_redirect(rewrite.arg(1))
}

/// Whether a replacement leads clients elsewhere.
pub(super) fn is_redirect(to: &str) -> bool {
    ["http://", "https://", "$scheme"]
        .iter()
        .any(|begin| to.starts_with(begin))
}

/// The pairs of `rewrite` for the location `block`. One that cannot be said is noted in `comments`.
///
/// A `break` ends the directives of the rewrite module, so that the first that is found in a path is the only one, as
/// in `routes.yaml`.
pub(super) fn rewrites(
    block: &Directive,
    constants: &Constants,
    notes: &mut Notes<'_>,
    comments: &mut Vec<String>,
) -> Vec<(String, String)> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    let until_break = block.inside().iter().position(|one| one.name == "break");
    let inside = &block.inside()[..until_break.unwrap_or(block.inside().len())];
    for rewrite in all(inside, "rewrite").filter(|rewrite| is_break(rewrite)) {
        let regex = rewrite.arg(0).to_owned();
        let replacement = constants.substitute(rewrite.arg(1), &[]);
        match Rewrite::new(&regex, &replacement) {
            // The same regex again is never found where the first was not.
            Ok(_) if pairs.iter().any(|(known, _)| *known == regex) => {}
            Ok(_) => pairs.push((regex, replacement)),
            Err(error) => comments.push(notes.left(rewrite, error.to_string())),
        }
    }
    pairs
}
