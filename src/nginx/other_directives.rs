//! Notes the directives that nothing translates: wsgate makes them unnecessary, or a comment says that they are not
//! carried over. The table in `directives` says which.

use crate::nginx::directives;
use crate::nginx::directives::DirectiveVerdict;
use crate::nginx::notes::Notes;
use crate::nginx::redirect;
use crate::nginx::rewrites::is_break;
use crate::nginx::scope::Scope;
use crate::nginx::tree::Directive;

/// The reason for a directive that the table does not have.
const UNKNOWN: &str = "wsgate has nothing that takes its place";
/// The reason for a missing file of types.
const TYPES: &str = "no file is served";

/// What is to be done about a directive.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Disposition {
    /// Nothing, since another file of the import translates the directive.
    Translated,
    /// The directive is noted as unnecessary, for this reason.
    NotNeeded(&'static str),
    /// The directive is noted as not carried over, for this reason.
    Lost(String),
}

/// Notes the directives of a block that are not translated, each by its [`Disposition`].
pub(super) fn note_rest(
    directives: &[Directive],
    scope: &Scope<'_>,
    notes: &mut Notes<'_>,
    comments: &mut Vec<String>,
) {
    for directive in directives {
        match judge(directive) {
            Disposition::Translated if scope.obeys(directive) => {}
            Disposition::Translated => {
                comments.push(notes.left(directive, "what it names is no address and no network"));
            }
            Disposition::NotNeeded(why) => notes.needless(directive, why),
            Disposition::Lost(why) => comments.push(notes.left(directive, why)),
        }
    }
}

/// Whether nothing is missed without this directive.
pub(super) fn is_needless(directive: &Directive) -> bool {
    matches!(judge(directive), Disposition::NotNeeded(_))
}

/// Decides about `directive` by the row of its name in the table.
fn judge(directive: &Directive) -> Disposition {
    match &directive.problem {
        None => {}
        Some(_) if directive.arg(0).ends_with("mime.types") => {
            return Disposition::NotNeeded(TYPES);
        }
        Some(problem) => return Disposition::Lost(problem.clone()),
    }
    if is_translated(directive) {
        return Disposition::Translated;
    }
    let Some(row) = directives::row(&directive.name) else {
        return Disposition::Lost(UNKNOWN.to_owned());
    };
    match row.verdict {
        DirectiveVerdict::Translated => Disposition::Translated,
        DirectiveVerdict::NotNeeded(why) => Disposition::NotNeeded(why),
        DirectiveVerdict::Lost(why) => Disposition::Lost(why.to_owned()),
        DirectiveVerdict::Depends { needless, why, .. } if needless(directive) => {
            Disposition::NotNeeded(why)
        }
        DirectiveVerdict::Depends { lost, .. } => Disposition::Lost(lost.to_owned()),
    }
}

/// Whether another file of the import translates the directive because of its value.
fn is_translated(directive: &Directive) -> bool {
    let value = directive.arg(0);
    match directive.name.as_str() {
        // What closes a route is said where it does.
        "ssl_verify_client" | "ssl_reject_handshake" => value != "off",
        "proxy_pass_request_headers" | "proxy_pass_request_body" => value == "off",
        "rewrite" => is_break(directive) || redirect::is_for_every_path(directive),
        "error_page" => is_for_return(directive),
        _ => false,
    }
}

/// Whether an `error_page` leads to a named location, and only from statuses that nginx does not answer by itself, so
/// that it is for a `return` alone.
fn is_for_return(directive: &Directive) -> bool {
    let own = ["418", "419", "420", "430", "450", "460", "480"];
    match directive.args.as_slice() {
        [statuses @ .., equals, name] => {
            let mut statuses = statuses.iter();
            equals == "="
                && name.starts_with('@')
                && statuses.all(|status| own.contains(&status.as_str()))
        }
        _ => false,
    }
}
