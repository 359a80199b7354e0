//! Requests that meet the locations of a table, or just miss them.

use std::fmt;

use crate::nginx_locations::random::Random;
use crate::nginx_locations::table::Table;
use crate::nginx_locations::table::nudge;
use crate::nginx_locations::table::path;
use crate::support::KEY;

/// One request for one host.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) host: String,
    pub(super) target: Vec<u8>,
    /// Whether it asks for a WebSocket, which changes nothing about the choice.
    pub(super) upgrade: bool,
}

const QUERIES: [&str; 18] = [
    "?",
    "?",
    "?x=1",
    "?x=1",
    "?x=1&y=2",
    "?a//b",
    "?a=%20",
    "?=",
    "?/",
    "??",
    "?x=http://b.test/",
    "?EIO=4&transport=polling",
    "?a?b",
    "?%zz%00%2f",
    "?/../..//a",
    "?{a|b}\\^`",
    "?<\"a\">",
    "?é",
];

/// Each another way to write a slash.
const SLASHES: [&str; 16] = [
    "//",
    "///",
    "/./",
    "/.//",
    "/a/../",
    "/a/b/../../",
    "/./../a/..//",
    "%2f",
    "%2F",
    "/%2f",
    "/%2e/",
    "/%2E/",
    "%2f./",
    "/a/%2e%2E/",
    "/a%2f../",
    "/a//../",
];

/// What may stand behind a path.
const ENDS: [&str; 24] = [
    "/.",
    "/..",
    "/...",
    "/%2e",
    "/.%2E",
    "/%2e%2e/..",
    "/../..",
    "/../../../..",
    "%0a",
    "%0a",
    "%0a",
    "%0A",
    "%0a",
    "%0d",
    "%09",
    "%ff",
    "%C3%A9",
    "%2541",
    "%",
    "%4",
    "%zz",
    "%00",
    "/.%00",
    "//",
];

/// Bytes that no target should have.
const RAW: [&[u8]; 17] = [
    b"\"", b"\"", b"\"", b"\"", b"<", b">", b"\\", b"^", b"`", b"{", b"|", b"}", b"\xff", b"\xc3",
    b"\t", b"\x7f", b"\x01",
];

impl Request {
    pub(super) fn any(table: &Table, host: &str, random: &mut Random) -> Self {
        Self {
            host: host.to_owned(),
            target: target(table, host, random),
            upgrade: random.percent(4),
        }
    }

    /// What stands before the query and the fragment.
    pub(super) fn path(&self) -> &[u8] {
        let end = self
            .target
            .iter()
            .position(|byte| matches!(byte, b'?' | b'#'));
        &self.target[..end.unwrap_or(self.target.len())]
    }

    /// Scheme and authority of a target in absolute-form.
    pub(super) fn origin(&self) -> Option<(String, String)> {
        let target: String = self.target.iter().map(|byte| char::from(*byte)).collect();
        let (scheme, rest) = target
            .split_once("://")
            .filter(|_| !target.starts_with('/'))?;
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        Some((scheme.to_ascii_lowercase(), authority.to_owned()))
    }

    /// The request as it is sent.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = b"GET ".to_vec();
        bytes.extend(&self.target);
        bytes.extend(format!(" HTTP/1.1\r\nHost: {}\r\n", self.host).bytes());
        if self.upgrade {
            let lines =
                "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
            bytes.extend(format!("{lines}Sec-WebSocket-Key: {KEY}\r\n").bytes());
        }
        bytes.extend(b"\r\n");
        bytes
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let upgrade = if self.upgrade { " (an upgrade)" } else { "" };
        write!(f, "GET {}{upgrade}", self.target.escape_ascii())
    }
}

/// A path and a query, mostly in origin-form, sometimes in absolute-form.
fn target(table: &Table, host: &str, random: &mut Random) -> Vec<u8> {
    let mut target = Vec::new();
    let form = random.below(100);
    match form {
        0..86 => {}
        86..96 => target.extend(format!("http://{host}").bytes()),
        96 => target.extend(format!("HTTP://{host}:80").bytes()),
        97 => target.extend(format!("http://{host}:81").bytes()),
        98 => return random.pick(&["*", "a", "a/b", "?a", "#", "%2f"]).into(),
        _ => target.extend(format!("https://{host}:80").bytes()),
    }
    if form < 86 || random.percent(80) {
        target.extend(written(&wanted(table, random), random));
        if random.percent(12) {
            target.extend(random.pick(&ENDS).bytes());
        }
    } // else the path is empty
    if random.percent(4) {
        target.extend(random.pick(&RAW.map(|bytes| bytes)));
    }
    if random.percent(40) {
        target.extend(random.pick(&QUERIES).bytes());
    }
    if random.percent(3) {
        target.extend(random.pick(&["#", "#a", "#?a", "#/.."]).bytes());
    }
    target
}

/// The path that a target is to mean: that of a location, one beside it, or any.
fn wanted(table: &Table, random: &mut Random) -> String {
    let mut names = table.routes.iter().filter(|route| !route.is_regex());
    let count = names.clone().count();
    let mut path = match names.nth(random.below(count + 1)) {
        Some(route) => route.pattern.clone(),
        None => path(random),
    };
    for _ in 0..random.below(3) {
        nudge(&mut path, random);
    }
    path
}

/// One of the many targets that mean this path.
fn written(path: &str, random: &mut Random) -> Vec<u8> {
    let escaped = random.pick(&[&0, &0, &0, &10, &60]);
    let detours = random.pick(&[&0, &0, &0, &0, &15, &50]);
    let mut target = Vec::new();
    for (at, byte) in path.bytes().enumerate() {
        if byte == b'/' && at == 0 && !random.percent(*detours) {
            target.push(byte); // escaped it would be no target
        } else if byte == b'/' && random.percent(*detours) {
            let slash = random.pick(&SLASHES);
            target.extend(if at == 0 { "/" } else { "" }.bytes());
            target.extend(slash.bytes());
        } else if matches!(byte, b' ' | b'%' | b'?' | b'#') || random.percent(*escaped) {
            let upper = random.percent(50);
            let hex = if upper {
                format!("%{byte:02X}")
            } else {
                format!("%{byte:02x}")
            };
            target.extend(hex.bytes());
        } else {
            target.push(byte);
        }
    }
    target
}
