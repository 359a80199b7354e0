//! Reads what a `proxy_pass` with variables means: constants are filled in, and a path with variables becomes a
//! `rewrite`.
//!
//! With a variable nginx takes the path of a `proxy_pass` for all that the upstream is asked for, query included: it
//! replaces no location, and nothing of the request is added to it.

use crate::nginx::tree::Directive;
use crate::nginx::variables::Constants;
use crate::nginx::variables::names_in;
use crate::routing::Location;
use crate::routing::LocationKind;
use crate::routing::Rewrite;

/// Why a `proxy_pass` with a variable that has no one value is not carried over.
const VARIABLES: &str = "a variable of it has not one value here; write a route for each server";

/// Ends of a path that add the query of the request.
const QUERIES: [&str; 6] = [
    "$is_args$args",
    "$is_args$query_string",
    "?$args",
    "?$query_string",
    "&$args",
    "&$query_string",
];

/// Where a `proxy_pass` leads.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct PassTarget {
    /// Its value, with constants in the place of variables, and without a path that has some.
    pub(super) text: String,
    /// What requests go on with.
    pub(super) path: PassedPath,
}

/// The path with which a request goes on to an upstream.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum PassedPath {
    /// What the path in `proxy_pass`, if it has one, or a `rewrite` of the location says.
    AsUsual,
    /// What the client asked for, whatever a `rewrite` of the location says.
    Unchanged,
    /// What this pair of `rewrite` says: a regex, and a replacement.
    Rewritten(String, String),
}

/// Where the `proxy_pass` of the location `block` leads. The `set`s in a block of its own, which `desugar` gives it, have the
/// values of its variables.
///
/// # Errors
/// The reason why `routes.yaml` cannot say it.
pub(super) fn target(
    pass: &Directive,
    block: &Directive,
    constants: &Constants,
) -> Result<PassTarget, String> {
    let written = pass.arg(0);
    if !written.contains('$') {
        return Ok(PassTarget {
            text: written.to_owned(),
            path: PassedPath::AsUsual,
        });
    }
    let filled = constants.within(pass.inside()).substitute(written, &[]);
    let begin = filled.find("://").ok_or(VARIABLES)? + "://".len();
    let location = Pattern::of(block);
    let (authority, uri) = split(&filled[begin..], &location);
    if filled[..begin].contains('$') || authority.contains('$') || authority.is_empty() {
        return Err(VARIABLES.to_owned());
    }
    Ok(PassTarget {
        text: format!("{}{authority}", &filled[..begin]),
        path: match uri {
            "" => PassedPath::AsUsual,
            "$request_uri" => PassedPath::Unchanged,
            uri => {
                if let Some(name) = raw_in_path(uri) {
                    return Err(format!(
                        "nginx sends `${name}` in its path as the client wrote it, and a `rewrite` would escape it once more"
                    ));
                }
                let pair = (location.regex, replacement(uri));
                if let Err(error) = Rewrite::new(&pair.0, &pair.1) {
                    return Err(format!("its path cannot be a `rewrite`: {error}"));
                }
                PassedPath::Rewritten(pair.0, pair.1)
            }
        },
    })
}

/// The authority and the path of what stands behind `://`. A path may begin with a variable that begins with a slash.
fn split<'t>(rest: &'t str, location: &Pattern) -> (&'t str, &'t str) {
    if let Some(path) = rest.strip_prefix("unix:") {
        let end = path.find(':').map_or(rest.len(), |at| at + "unix:".len());
        let (socket, uri) = rest.split_at(end);
        return (socket, uri.strip_prefix(':').unwrap_or(uri));
    }
    let end = rest.find(['/', '?', '$']).unwrap_or(rest.len());
    let (authority, uri) = rest.split_at(end);
    let begins_with_slash = |variable: &str| match variable.strip_prefix('$') {
        None => true,
        Some(name) => {
            let digit = name.chars().next().and_then(|c| c.to_digit(10));
            let group = digit.is_some_and(|number| location.group_begins_with_slash(number));
            let path = ["request_uri", "uri"].iter().any(|known| {
                let behind = name.strip_prefix(known);
                behind.is_some_and(|behind| !behind.starts_with(|c: char| c.is_alphanumeric()))
            });
            group || path
        }
    };
    match begins_with_slash(uri) {
        true => (authority, uri),
        // A part of the authority, which has variables then.
        false => rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len())),
    }
}

/// The first variable in the path of `uri` whose value is escaped already: a part of what the client wrote. nginx escapes
/// nothing in a `proxy_pass` with variables, whereas a `rewrite` escapes the whole path.
fn raw_in_path(uri: &str) -> Option<&str> {
    let kept = QUERIES.iter().find_map(|query| uri.strip_suffix(query));
    let path = kept.unwrap_or(uri).split('?').next().unwrap_or_default();
    names_in(path).find(|name| {
        matches!(*name, "request_uri" | "args" | "query_string") || name.starts_with("arg_")
    })
}

/// The replacement of a `rewrite` that asks for just this path, with the query that it has.
fn replacement(uri: &str) -> String {
    let kept = QUERIES.iter().find_map(|query| uri.strip_suffix(query));
    match kept {
        Some(uri) => uri.to_owned(),
        None => format!("{uri}?"),
    }
}

/// The regex of a location, or one that is found in every path.
struct Pattern {
    regex: String,
}

impl Pattern {
    fn of(block: &Directive) -> Self {
        let location = block.args.join(" ").parse::<Location>().ok();
        let regex = location.and_then(|location| match location.kind() {
            LocationKind::Regex => Some(location.pattern().to_owned()),
            LocationKind::RegexIgnoreCase => Some(format!("(?i){}", location.pattern())),
            _ => None,
        });
        Self {
            regex: regex.unwrap_or_else(|| "^".to_owned()),
        }
    }

    /// Whether the group number `wanted` begins with a slash, and is a part of every match.
    fn group_begins_with_slash(&self, wanted: u32) -> bool {
        let mut groups = 0;
        let mut escaped = false;
        for (at, c) in self.regex.char_indices() {
            let behind = &self.regex[at + c.len_utf8()..];
            let opens = c == '(' && !escaped;
            escaped = c == '\\' && !escaped;
            if !opens || behind.starts_with('?') && !behind.starts_with("?<") {
                continue;
            }
            groups += 1;
            if groups == wanted {
                let always = !behind_group(behind).starts_with(['?', '*', '{']);
                return always && (behind.starts_with('/') || behind.starts_with("\\/"));
            }
        }
        false
    }
}

/// What stands behind the group that was just opened.
fn behind_group(inside: &str) -> &str {
    let mut open = 1;
    let mut escaped = false;
    for (at, c) in inside.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '(' => open += 1,
            ')' => open -= 1,
            _ => {}
        }
        if open == 0 {
            return &inside[at + 1..];
        }
    }
    ""
}

#[cfg(test)]
mod tests {
    use crate::nginx::pass::PassedPath;
    use crate::nginx::pass::target;
    use crate::nginx::tree::Directive;
    use crate::nginx::tree::SourceLine;
    use crate::nginx::variables::Constants;

    fn directive(name: &str, args: &str) -> Directive {
        Directive {
            name: name.to_owned(),
            args: args.split(' ').map(str::to_owned).collect(),
            block: None,
            place: SourceLine { file: 0, line: 1 },
            problem: None,
        }
    }

    fn read(location: &str, pass: &str) -> String {
        let constants = Constants::default().with(&[("app".to_owned(), "web:1".to_owned())]);
        let block = directive("location", location);
        match target(&directive("proxy_pass", pass), &block, &constants) {
            Ok(target) => match target.path {
                PassedPath::AsUsual => target.text,
                PassedPath::Unchanged => format!("{} unchanged", target.text),
                PassedPath::Rewritten(regex, to) => format!("{} {regex} -> {to}", target.text),
            },
            Err(_) => "lost".to_owned(),
        }
    }

    #[test]
    fn a_path_with_variables_becomes_a_rewrite() {
        for (location, pass, wanted) in [
            ("/", "http://web:1/x", "http://web:1/x"),
            ("/", "http://$app", "http://web:1"),
            ("/", "http://$app$request_uri", "http://web:1 unchanged"),
            ("/", "http://$app/x", "http://web:1 ^ -> /x?"),
            (
                "/",
                "http://$app$uri$is_args$args",
                "http://web:1 ^ -> $uri",
            ),
            (
                "/",
                "http://unix:/run/x:/$app",
                "http://unix:/run/x ^ -> /web:1?",
            ),
            (
                "~ ^/x/(.*)",
                "http://a:1/$1$is_args$args",
                "http://a:1 ^/x/(.*) -> /$1",
            ),
            ("~ ^/x/(.*)", "http://a:1/$1", "http://a:1 ^/x/(.*) -> /$1?"),
            (
                "~ ^/x/(.*)",
                "http://a:1/$1?k=v",
                "http://a:1 ^/x/(.*) -> /$1?k=v?",
            ),
            (
                "~ ^/x/(.*)",
                "http://a:1/$1?k=v&$args",
                "http://a:1 ^/x/(.*) -> /$1?k=v",
            ),
            (
                "~* ^/x(/.*)$",
                "http://a:1$1?$args",
                "http://a:1 (?i)^/x(/.*)$ -> $1",
            ),
            (
                "~ ^/(?<n>.*)$",
                "http://a:1/$n?$query_string",
                "http://a:1 ^/(?<n>.*)$ -> /$n",
            ),
            // The authority would depend on the request.
            ("~ ^/x/(.*)", "http://a$1", "lost"),
            ("~ ^/x(/.*)?$", "http://a:1$1", "lost"),
            ("~ ^/x/(.*)", "http://$1/", "lost"),
            ("/", "http://$host:1", "lost"),
            ("/", "$app", "lost"),
            ("/", "http://$app/$unknown", "lost"),
            ("~ ^/x/(.*)", "http://a:1/$2", "lost"),
            // What the client wrote would be escaped once more.
            ("/", "http://web:1/x$request_uri", "lost"),
            ("/", "http://web:1/x${request_uri}", "lost"),
            ("/", "http://$app$request_uri$is_args$args", "lost"),
            ("/", "http://$app$request_uri?k=v", "lost"),
            ("/", "http://web:1/x/$args", "lost"),
            ("/", "http://web:1/$arg_room$is_args$args", "lost"),
            // In a query it is not.
            (
                "/",
                "http://web:1/x?to=$request_uri",
                "http://web:1 ^ -> /x?to=$request_uri?",
            ),
            (
                "/",
                "http://web:1/x?r=$arg_room&$args",
                "http://web:1 ^ -> /x?r=$arg_room",
            ),
        ] {
            assert_eq!(read(location, pass), wanted, "{location}: {pass}");
        }
    }
}
