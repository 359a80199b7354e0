//! Whether a `rewrite` may hand requests on to a location that keeps clients out.
//!
//! A route cannot hand a request on. If the upstream of the location that the request comes from got it instead, nobody
//! would ask the other location.

use crate::nginx::access_rules::AccessRules;
use crate::nginx::rewrites::is_redirect;
use crate::nginx::scope::Scope;
use crate::nginx::tree::Directive;
use crate::nginx::tree::all;
use crate::routing::Location;
use crate::routing::LocationKind;

/// The locations of a server to which requests may be handed on, those within others too.
#[derive(Debug)]
pub(super) struct Targets<'t> {
    all: Vec<Target<'t>>,
}

#[derive(Debug)]
struct Target<'t> {
    block: &'t Directive,
    location: Location,
    /// Whether it keeps clients out otherwise than by their addresses.
    is_closed: bool,
    /// The addresses that may pass.
    rules: AccessRules,
}

impl<'t> Targets<'t> {
    /// The locations of `server`, which has this scope.
    pub(super) fn of(server: &'t Directive, scope: &Scope<'t>) -> Self {
        let mut targets = Self { all: Vec::new() };
        targets.add_within(server, scope);
        targets
    }

    fn add_within(&mut self, block: &'t Directive, scope: &Scope<'t>) {
        for inner in all(block.inside(), "location") {
            let within = scope.within_location(inner);
            if let Ok(location) = inner.args.join(" ").parse() {
                self.all.push(Target {
                    block: inner,
                    location,
                    is_closed: within.guard().is_some() || refuses(inner.inside()),
                    rules: within.access_rules().unwrap_or_default(),
                });
            }
            self.add_within(inner, &within);
        }
    }

    /// Whether `rewrite` may lead to a location that keeps clients out which the block `from` with its `scope` lets in.
    pub(super) fn may_refuse(
        &self,
        rewrite: &Directive,
        from: &Directive,
        scope: &Scope<'_>,
    ) -> bool {
        let known = scope.access_rules().unwrap_or_default();
        self.reached(rewrite).into_iter().any(|target| {
            let is_ruled = !target.rules.is_open() && target.rules != known;
            !std::ptr::eq(target.block, from) && (target.is_closed || is_ruled)
        })
    }

    /// The locations to which `rewrite` may lead.
    fn reached(&self, rewrite: &Directive) -> Vec<&Target<'t>> {
        let to = rewrite.arg(1);
        if is_redirect(to) || matches!(rewrite.arg(2), "permanent" | "redirect") {
            return Vec::new();
        }
        let path = &to[..to.find(['$', '?']).unwrap_or(to.len())];
        let is_whole = !to[path.len()..].starts_with('$');
        let mut reached = Vec::new();
        let mut longest: Option<&Target<'t>> = None;
        for target in &self.all {
            let (kind, pattern) = (target.location.kind(), target.location.pattern());
            let is_exact = kind == LocationKind::Exact;
            if kind.is_regex() {
                // Any may go before a prefix.
                reached.extend(target.location.matches(path.as_bytes()).then_some(target));
            } else if !is_whole && pattern.starts_with(path) {
                // Nobody knows what the variable adds.
                reached.push(target);
            } else if target.location.matches(path.as_bytes())
                && longest
                    .is_none_or(|known| is_exact || known.location.pattern().len() < pattern.len())
            {
                longest = Some(target);
            }
        }
        reached.extend(longest);
        reached
    }
}

/// Whether a path that `location` answers for may be rewritten by `rewrite`. Only a prefix that ties the regex to other
/// paths is told from it.
pub(super) fn may_begin_at(rewrite: &Directive, location: &Directive) -> bool {
    let Some(regex) = rewrite.arg(0).strip_prefix('^') else {
        return true;
    };
    let path = match location.args.as_slice() {
        [path] if path.starts_with('/') => path,
        [modifier, path] if matches!(modifier.as_str(), "=" | "^~") => path,
        _ => return true,
    };
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/_-".contains(c);
    let end = regex.find(|c| !is_plain(c)).unwrap_or(regex.len());
    let plain = match regex[end..].starts_with(['?', '*', '{']) {
        true => &regex[..end.saturating_sub(1)],
        false => &regex[..end],
    };
    regex.contains('|') || plain.starts_with(path.as_str()) || path.starts_with(plain)
}

/// Whether a location with these directives refuses requests by an answer of its own.
fn refuses(directives: &[Directive]) -> bool {
    directives.iter().any(|one| match one.name.as_str() {
        "return" => one.arg(0).starts_with(['4', '5']),
        "if" => refuses(one.inside()),
        "limit_except" => true,
        _ => false,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::nginx::handed_on::may_begin_at;
    use crate::nginx::tree::Directive;
    use crate::nginx::tree::SourceLine;

    fn directive(name: &str, args: &str) -> Directive {
        Directive {
            name: name.to_owned(),
            args: args.split(' ').map(str::to_owned).collect(),
            block: None,
            place: SourceLine { file: 0, line: 1 },
            problem: None,
        }
    }

    #[test]
    fn a_rewrite_is_of_no_account_for_paths_that_its_regex_cannot_match() {
        for (regex, location, may) in [
            ("^/admin", "/", true),
            ("^/admin", "/admin/x", true),
            ("^/admin", "/ws", false),
            ("^/admin", "= /ws", false),
            ("^/ws?", "/w", true),
            ("^/ws?x", "/wx", true),
            ("^/ws*x", "/y", false),
            ("^/a|^/ws", "/ws", true),
            ("/admin", "/ws", true),
            ("^(/a)", "/ws", true),
            ("^/admin", "~ /ws", true),
            ("^/admin", "@app", true),
        ] {
            let rewrite = directive("rewrite", &format!("{regex} /closed"));
            let location = directive("location", location);
            assert_eq!(
                may_begin_at(&rewrite, &location),
                may,
                "{regex} {location:?}"
            );
        }
    }
}
