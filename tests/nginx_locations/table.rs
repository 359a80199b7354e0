//! Tables of locations: made at random, and written for nginx and for wsgate.

use std::fmt;
use std::fmt::Write as _;

use crate::nginx_locations::echo::Echo;
use crate::nginx_locations::random::Random;
use crate::support::Setup;
use crate::support::TestServer;

/// The most locations of a table: each has an upstream of its own.
pub(super) const LOCATIONS: usize = 12;

/// What both are told.
#[derive(Clone, Debug)]
pub(super) struct Table {
    pub(super) routes: Vec<Route>,
}

/// One location and where it leads.
#[derive(Clone, Debug)]
pub(super) struct Route {
    /// nginx's modifier, empty for a plain prefix.
    pub(super) modifier: &'static str,
    pub(super) pattern: String,
    /// Which upstream it leads to; no other location of its table leads there.
    pub(super) upstream: usize,
    /// Regexes and replacements, of which the first that matches is applied.
    pub(super) rewrites: Vec<(&'static str, &'static str)>,
    /// What `proxy_pass` has behind the address: empty, or a path that maybe has a query.
    pub(super) uri: &'static str,
}

/// Few and alike, so that names begin one another and targets meet them.
const WORDS: [&str; 24] = [
    "a",
    "a",
    "a",
    "a",
    "b",
    "b",
    "ab",
    "ab",
    "aa",
    "A",
    "Ab",
    "api",
    "v1",
    "a b",
    "é",
    "a%2Fb",
    "a%",
    "a.b",
    "socket.io",
    ".a",
    "...",
    "a+b",
    "a;b=c,d",
    "a?b#c",
];

const URIS: [&str; 13] = [
    "/",
    "/",
    "/x",
    "/x/",
    "/x/y",
    "/x?y=1",
    "/x/?y",
    "/x?y=/a/../z",
    "/x?",
    "/%78%2f/%2E",
    "/x/../z",
    "//x//",
    "/x;y,(z)'~!",
];

/// Regexes of rewrites, each with two groups.
const REWRITTEN: [&str; 14] = [
    "^/(.*)()$",
    "^/(.*)()$",
    "^/a(.*)()",
    "^/a(/.*)()$",
    "^(/[^/]*)(.*)$",
    "^()/(b|ab)/?",
    "/([^/]+)/([^/]+)$",
    "(a+)(b)?",
    "(.)(.)$",
    "(?:(a)|(b))",
    "()()^",
    r"(\.)(.*)",
    "(?i:(A))(b?)",
    "(?<one>é)(?<two>.)?",
];

/// Their replacements.
const REPLACEMENTS: [&str; 31] = [
    "/$1",
    "/$1",
    "$1",
    "$2$1",
    "/x$1",
    "/x/$2/$1/y",
    "/x",
    "/x?",
    "/x??",
    "/x?y=1",
    "/x?y=1?",
    "/x?$1",
    "/x?y=$1&z=$2",
    "/x?y=$2$1?",
    "/x?$1$2",
    "/x?$2",
    "$1?y",
    "/$1?a?b",
    "/x?$1?$2",
    "/a/../b//c/.",
    "/x y%41#{é}\\",
    "/x?y=%20/{z}",
    "/x$uri",
    "$uri",
    "/$args",
    "/x?$args",
    "/x?$args&$2?",
    "/x?$arg_x",
    "/$arg_EIO/$host",
    "/$scheme/$1$1",
    "$request_uri",
];

/// Pieces of regexes that PCRE and the `regex` crate read alike.
const ATOMS: [&str; 29] = [
    "/",
    "/",
    "a",
    "b",
    "A",
    "ab",
    "api",
    r"\.",
    ".",
    ".*",
    "a*",
    "b+",
    "[ab]",
    "[^/]",
    "[^/]+",
    "(a|B)",
    "(?:ab)?",
    "[a-b]{1,2}",
    r"\d",
    r"\w+",
    r"\s",
    r"\bb",
    "%",
    "é",
    r"\xc3",
    r"\/",
    "[[:alpha:]]",
    "(?i:a)",
    "é?",
];

/// A word of a path, not escaped.
pub(super) fn word(random: &mut Random) -> &'static str {
    random.pick(&WORDS)
}

/// A path of up to three words, not escaped.
pub(super) fn path(random: &mut Random) -> String {
    let mut path = "/".to_owned();
    for _ in 0..random.below(4) {
        path += word(random);
        path.push('/');
    }
    if random.percent(50) && path.len() > 1 {
        path.pop();
    }
    path
}

/// Changes a path a little, so that it may be just beside a location.
pub(super) fn nudge(path: &mut String, random: &mut Random) {
    match random.below(6) {
        0 => path.push('/'),
        1 => path.push_str(word(random)),
        2 => {
            path.push('/');
            path.push_str(word(random));
        }
        3 => {
            path.truncate(path.trim_end_matches('/').len());
        }
        4 => {
            path.pop();
        }
        _ => {
            *path = if random.percent(50) {
                path.to_ascii_uppercase()
            } else {
                path.to_ascii_lowercase()
            };
        }
    }
    if path.is_empty() {
        path.push('/');
    }
}

fn regex(random: &mut Random) -> String {
    let mut regex = random.pick(&["", "^", "^/"]).to_owned();
    for _ in 0..1 + random.below(3) {
        regex += random.pick(&ATOMS);
    }
    if random.percent(40) {
        regex.push('$');
    }
    regex
}

impl Table {
    /// A table of 1 to `LOCATIONS` locations, no two of which nginx would call duplicates.
    pub(super) fn any(random: &mut Random) -> Self {
        let mut table = Self { routes: Vec::new() };
        for upstream in 0..1 + random.below(LOCATIONS) {
            let route = table.another(upstream, random);
            if !table.has(&route) {
                table.routes.push(route);
            }
        }
        table
    }

    fn another(&self, upstream: usize, random: &mut Random) -> Route {
        let modifier = random.pick(&["", "", "", "", "=", "=", "^~", "^~", "~", "~*"]);
        let mut rewrites = Vec::new();
        if random.percent(45) {
            for _ in 0..1 + random.below(3) {
                let regex = random.pick(&REWRITTEN);
                // wsgate calls a regex that stands there twice an error.
                if rewrites.iter().all(|(other, _)| *other != regex) {
                    rewrites.push((regex, random.pick(&REPLACEMENTS)));
                }
            }
        }
        let route = |pattern, uri| Route {
            modifier,
            pattern,
            upstream,
            rewrites,
            uri,
        };
        if modifier.starts_with('~') {
            return route(regex(random), ""); // nginx takes no path behind a regex
        }
        let names: Vec<&Route> = self
            .routes
            .iter()
            .filter(|route| !route.is_regex())
            .collect();
        let pattern = if !names.is_empty() && random.percent(60) {
            let mut beside = random.pick(&names).pattern.clone();
            nudge(&mut beside, random);
            beside.trim_end().to_owned() // a location is read without the white space around it
        } else {
            path(random)
        };
        let uri = if random.percent(45) {
            random.pick(&URIS)
        } else {
            ""
        };
        route(pattern, uri)
    }

    /// Whether nginx or wsgate would call this one a duplicate.
    pub(super) fn has(&self, route: &Route) -> bool {
        let plain = |modifier| if modifier == "^~" { "" } else { modifier };
        self.routes.iter().any(|other| {
            other.pattern == route.pattern && plain(other.modifier) == plain(route.modifier)
        })
    }

    /// The location that leads to this upstream.
    pub(super) fn leading_to(&self, upstream: usize) -> &Route {
        let mut routes = self.routes.iter();
        routes.find(|route| route.upstream == upstream).unwrap()
    }

    /// What stands between the braces of nginx's `server`.
    pub(super) fn for_nginx(&self) -> String {
        let mut text = String::new();
        for route in &self.routes {
            let quoted = |text: &str| text.replace('\\', r"\\").replace('"', "\\\"");
            let mut rewrites = String::new();
            for (regex, replacement) in &route.rewrites {
                let (regex, replacement) = (quoted(regex), quoted(replacement));
                writeln!(rewrites, "rewrite \"{regex}\" \"{replacement}\" break;").unwrap();
            }
            writeln!(
                text,
                "location {} \"{}\" {{ {rewrites}proxy_pass \"http://upstream{}{}\"; }}",
                route.modifier,
                quoted(&route.pattern),
                route.upstream,
                route.uri
            )
            .unwrap();
        }
        text
    }

    /// The same in a `routes.yaml`.
    pub(super) fn for_wsgate(&self, echo: &Echo) -> Setup {
        let mut setup = TestServer::setup().top("threads: 1").top("access_log: off");
        for route in &self.routes {
            let to = format!("http://{}{}", echo.address(route.upstream), route.uri);
            setup = setup.proxy_pass(&route.location(), to);
            if !route.rewrites.is_empty() {
                setup = setup.of_route(&route.rewrite());
            }
        }
        setup
    }
}

impl Route {
    pub(super) fn is_regex(&self) -> bool {
        self.modifier.starts_with('~')
    }

    /// The key that has the rewrites.
    pub(super) fn rewrite(&self) -> String {
        let pairs = self.rewrites.iter();
        let pairs = pairs.map(|(regex, replacement)| format!("'{regex}': '{replacement}'"));
        format!("rewrite: {{ {} }}", pairs.collect::<Vec<_>>().join(", "))
    }

    pub(super) fn location(&self) -> String {
        format!("{} {}", self.modifier, self.pattern)
            .trim_start()
            .to_owned()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for route in &self.routes {
            let (location, upstream, uri) = (route.location(), route.upstream, route.uri);
            writeln!(
                f,
                "  location: '{location}'  proxy_pass: http://upstream{upstream}{uri}  {}",
                route.rewrite()
            )?;
        }
        Ok(())
    }
}
