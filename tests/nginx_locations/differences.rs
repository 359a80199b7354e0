//! Where wsgate is meant to differ from nginx, and why.

use crate::nginx_locations::ask::Outcome;
use crate::nginx_locations::requests::Request;
use crate::nginx_locations::table::Table;

/// A request, and what both made of it.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) table: Table,
    pub(super) request: Request,
    pub(super) nginx: Outcome,
    pub(super) wsgate: Outcome,
}

/// A difference that is meant.
#[derive(Debug)]
pub(super) struct Difference {
    pub(super) reason: &'static str,
    /// Whether it is this one: both outcomes are just what the reason says.
    pub(super) explains: fn(&Case) -> bool,
}

/// All of them. The test fails if one never occurs.
pub(super) const DIFFERENCES: [Difference; 13] = [
    Difference {
        reason: "the 301 has a relative Location, which is right behind any port mapping",
        explains: |case| match (&case.nginx, &case.wsgate) {
            (Outcome::Moved { to }, Outcome::Moved { to: path }) => case.path_of(to) == Some(path),
            _ => false,
        },
    },
    Difference {
        reason: "an upgrade goes on with the missing slash, since no WebSocket client follows a 301",
        explains: |case| match (&case.nginx, &case.wsgate) {
            (Outcome::Moved { to }, Outcome::Upstream { number, target }) => {
                let route = case.table.leading_to(*number);
                let path = case.path_of(to).unwrap_or_default();
                let query = path.split_once('?').map_or("", |(_, query)| query);
                let asked = match route.uri {
                    "" => path.to_owned(),
                    uri if query.is_empty() => uri.to_owned(),
                    uri => format!("{uri}?{query}"),
                };
                let is_asked = !route.rewrites.is_empty() || latin1(target) == asked;
                case.request.upgrade && route.pattern.ends_with('/') && is_asked
            }
            (Outcome::Moved { .. }, Outcome::Refused { status: 500 }) => {
                let mut routes = case.table.routes.iter();
                case.request.upgrade
                    && routes
                        .any(|route| route.pattern.ends_with('/') && !route.rewrites.is_empty())
            }
            _ => false,
        },
    },
    Difference {
        reason: "`$` in a regex is the end of the path, not the place before a last newline as in PCRE",
        explains: |case| match (&case.nginx, &case.wsgate) {
            (
                Outcome::Upstream { number, .. },
                Outcome::Upstream { .. } | Outcome::Refused { status: 404 | 500 },
            )
            | (Outcome::Refused { status: 500 }, Outcome::Upstream { number, .. }) => {
                let route = case.table.leading_to(*number);
                let path = case.request.path().to_ascii_lowercase();
                let by_location = route.is_regex() && route.pattern.ends_with('$');
                let mut rewrites = route.rewrites.iter();
                let by_rewrite = rewrites.any(|(regex, _)| regex.ends_with('$'));
                (by_location || by_rewrite) && path.ends_with(b"%0a")
            }
            _ => false,
        },
    },
    Difference {
        reason: "a `?` in a regex is about the whole character before it; PCRE takes only the last byte of an `é`",
        explains: |case| {
            let of_character = |outcome: &Outcome| match outcome {
                Outcome::Upstream { number, .. } => {
                    let route = case.table.leading_to(*number);
                    route.is_regex() && route.pattern.contains("é?")
                }
                _ => false,
            };
            let mut routes = case.table.routes.iter();
            let may_be_rewritten = case.wsgate == Outcome::Refused { status: 500 }
                && routes.any(|route| route.pattern.contains("é?") && !route.rewrites.is_empty());
            may_be_rewritten || of_character(&case.nginx) != of_character(&case.wsgate)
        },
    },
    Difference {
        reason: "a rewrite that leaves no slash at the beginning is 500, since no request can be made of that",
        explains: |case| match &case.nginx {
            Outcome::Upstream { number, target } => {
                let route = case.table.leading_to(*number);
                !target.starts_with(b"/")
                    && !route.rewrites.is_empty()
                    && case.wsgate == Outcome::Refused { status: 500 }
            }
            _ => false,
        },
    },
    Difference {
        reason: "a quote, and what is not UTF-8, is escaped in a query that a rewrite writes",
        explains: |case| match (&case.nginx, &case.wsgate) {
            (
                Outcome::Upstream { number, target },
                Outcome::Upstream {
                    number: same,
                    target: escaped,
                },
            ) => {
                let route = case.table.leading_to(*number);
                let plain = |target: &[u8]| {
                    let bytes = target.iter().map(|byte| match byte {
                        b'"' | 0x80.. => format!("%{byte:02X}"),
                        byte => char::from(*byte).to_string(),
                    });
                    bytes.collect::<String>()
                };
                number == same && !route.rewrites.is_empty() && plain(target) == plain(escaped)
            }
            _ => false,
        },
    },
    Difference {
        reason: "a fragment is not part of a request's target and is not passed on",
        explains: |case| match (&case.nginx, &case.wsgate) {
            (
                Outcome::Upstream { number, target },
                Outcome::Upstream {
                    number: same,
                    target: before,
                },
            ) => {
                let rest = target.strip_prefix(before.as_slice());
                let is_behind = rest.is_some_and(|rest| rest.starts_with(b"#"));
                number == same && (is_behind || case.rewritten_without_fragment(target) == *before)
            }
            _ => false,
        },
    },
    Difference {
        reason: "`http://host#` means `/` like `http://host`",
        explains: |case| match (&case.nginx, &case.wsgate) {
            (Outcome::Refused { status: 400 }, wsgate) => {
                let bare = |(_, authority): (String, String)| {
                    let rest = case.request.target.split(|byte| *byte == b'#').next();
                    rest.is_some_and(|rest| rest.ends_with(authority.as_bytes()))
                };
                case.request.target.contains(&b'#')
                    && case.request.origin().is_some_and(bare)
                    && !matches!(wsgate, Outcome::Upstream { target, .. } if target.is_empty())
            }
            _ => false,
        },
    },
    Difference {
        reason: "of `http://host?` the empty query stays as it was written, though the path becomes a slash",
        explains: |case| match (&case.nginx, &case.wsgate) {
            (
                Outcome::Upstream { number, target },
                Outcome::Upstream {
                    number: same,
                    target: written,
                },
            ) => {
                let mut parts = case.request.target.split(|byte| *byte == b'#');
                let is_empty = case.request.origin().is_some()
                    && parts.next().is_some_and(|before| before.ends_with(b"?"));
                let is_this = is_empty && target == b"/" && written == b"/?";
                // `$request_uri` has the slash here, and not in nginx.
                let has_no_path = case.request.origin().is_some_and(|(_, authority)| {
                    let before = before_first(&case.request.target, b'?');
                    before.ends_with(authority.as_bytes())
                });
                let by_rewrite = !case.table.leading_to(*number).rewrites.is_empty();
                number == same && (is_this || (by_rewrite && has_no_path))
            }
            _ => false,
        },
    },
    Difference {
        reason: "a target whose authority is not the Host, or whose scheme is another, is refused",
        explains: |case| {
            let host = &case.request.host;
            case.is_refused_here_only()
                && case.request.origin().is_some_and(|(scheme, authority)| {
                    let same = authority == *host || authority == format!("{host}:80");
                    scheme != "http" || !same
                })
        },
    },
    Difference {
        reason: "a target that is not UTF-8 is refused, by the HTTP library",
        explains: |case| {
            case.is_refused_here_only() && str::from_utf8(&case.request.target).is_err()
        },
    },
    Difference {
        reason: "`<`, `>`, a path's backquote and a query's `\"` are refused unless escaped, by the HTTP library",
        explains: |case| {
            let path = case.request.path();
            let query = &case.request.target[path.len()..];
            let bad = |bytes: &[u8], which: &[u8]| bytes.iter().any(|byte| which.contains(byte));
            case.is_refused_here_only() && (bad(path, b"<>`") || bad(query, b"<>\""))
        },
    },
    Difference {
        reason: "so is a `\"` in the path if `proxy_pass` has a query, behind which the path is put",
        explains: |case| match case.nginx {
            Outcome::Upstream { number, .. } => {
                let query = case.table.leading_to(number).uri.contains('?');
                case.is_refused_here_only() && query && case.request.path().contains(&b'"')
            }
            _ => false,
        },
    },
];

impl Case {
    /// Which difference it shows; `None` if both did the same.
    ///
    /// # Errors
    /// If they differ in a way that nobody wants.
    pub(super) fn judge(&self) -> Result<Option<usize>, ()> {
        if self.nginx == self.wsgate {
            return Ok(None);
        }
        let known = DIFFERENCES.iter().position(|known| (known.explains)(self));
        known.map(Some).ok_or(())
    }

    /// The path and query of nginx's `Location`, whose authority is the Host and nginx's own port.
    fn path_of<'a>(&self, location: &'a str) -> Option<&'a str> {
        let behind_host = location.strip_prefix(&format!("http://{}:", self.request.host))?;
        Some(behind_host.trim_start_matches(|c: char| c.is_ascii_digit()))
    }

    /// nginx's target without the fragment that a rewrite has put into the path by `$request_uri`.
    fn rewritten_without_fragment(&self, target: &[u8]) -> Vec<u8> {
        let mut target = target.to_vec();
        let hash = target.windows(3).position(|bytes| bytes == b"%23");
        if let Some(hash) = hash.filter(|_| self.request.target.contains(&b'#')) {
            let query = target[hash..].iter().position(|byte| *byte == b'?');
            let end = query.map_or(target.len(), |query| hash + query);
            target.drain(hash..end);
        }
        target
    }

    fn is_refused_here_only(&self) -> bool {
        self.wsgate == Outcome::Refused { status: 400 } && self.nginx != Outcome::Closed
    }
}

/// What stands before a byte.
fn before_first(target: &[u8], byte: u8) -> &[u8] {
    target
        .split(|other| *other == byte)
        .next()
        .unwrap_or_default()
}

fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}
