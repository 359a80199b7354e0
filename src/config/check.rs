//! The rules of `routes.yaml`: the tree that was read becomes a [`Config`], or a list of all that is wrong with it.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use time::OffsetDateTime;

use crate::config::AccessLog;
use crate::config::Listener;
use crate::config::Route;
use crate::config::Timeouts;
use crate::config::diagnostic::Diagnostic;
use crate::config::diagnostic::Level;
use crate::config::diagnostic::quoted;
use crate::config::schema::Node;
use crate::config::schema::Value;
use crate::config::source::Source;
use crate::config::values;

mod keys;
mod listen;
pub(super) mod not_yaml;
mod route;
mod words;

use crate::config::check::keys::Fields;
use crate::config::check::keys::Within;

/// What is checked against, and what was found so far.
pub(super) struct Checker<'a> {
    pub(super) source: &'a Source,
    /// What relative paths are relative to.
    pub(super) dir: &'a Path,
    /// The moment at which certificates must be in date.
    pub(super) now: OffsetDateTime,
    pub(super) found: Vec<Diagnostic>,
}

/// The content of a file, to be served only if no error was found.
pub(super) struct Checked {
    pub(super) listeners: Vec<Listener>,
    pub(super) routes: Vec<Route>,
    pub(super) access_log: AccessLog,
    pub(super) threads: NonZeroUsize,
    pub(super) drain_timeout: Duration,
}

/// Longest wait for requests in flight after the signal to stop; less than the 90 s after which service managers kill.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

/// More threads than any machine has cores are a slip of the fingers.
const MOST_THREADS: usize = 1024;

impl Checker<'_> {
    /// Checks the whole tree. `None` if it has no keys at all to check.
    pub(super) fn check(&mut self, root: &Node) -> Option<Checked> {
        let map = match &root.value {
            Value::Map(map) => map,
            _ => {
                self.no_map(root);
                return None;
            }
        };
        let fields = Fields::of(root, map, Within::Top, self);
        let defaults = timeouts(&fields, Timeouts::default(), self);
        let drain_timeout = self
            .duration(&fields, "drain_timeout", Zero::Allowed)
            .unwrap_or(DRAIN_TIMEOUT);
        let access_log = match fields
            .get("access_log")
            .and_then(|node| self.switch(node, "access_log"))
        {
            Some(false) => AccessLog::Off,
            _ => AccessLog::On,
        };
        let threads = fields
            .get("threads")
            .and_then(|node| self.threads(node))
            .unwrap_or_else(cores);
        let listen = fields.require("listen", "listen: [{ address: 8080 }]", self);
        let listeners = listen
            .map(|node| listen::listeners(node, self))
            .unwrap_or_default();
        let example = "routes: [{ location: /socket.io, proxy_pass: \"http://127.0.0.1:3000\" }]";
        let routes = fields.require("routes", example, self);
        let routes = routes
            .map(|node| route::routes(node, defaults, self))
            .unwrap_or_default();
        route::loops(&routes, &listeners, self);
        let routes = routes.into_iter().map(|(route, _)| route).collect();
        Some(Checked {
            listeners,
            routes,
            access_log,
            threads,
            drain_timeout,
        })
    }

    pub(super) fn error(
        &mut self,
        span: &Range<usize>,
        message: impl Into<String>,
    ) -> &mut Diagnostic {
        self.note(Level::Error, span, message)
    }

    pub(super) fn warning(
        &mut self,
        span: &Range<usize>,
        message: impl Into<String>,
    ) -> &mut Diagnostic {
        self.note(Level::Warning, span, message)
    }

    fn note(
        &mut self,
        level: Level,
        span: &Range<usize>,
        message: impl Into<String>,
    ) -> &mut Diagnostic {
        let at = self.found.len();
        self.found.push(self.source.about(level, span, message));
        &mut self.found[at]
    }

    fn no_map(&mut self, root: &Node) {
        let found = match &root.value {
            Value::Nothing => {
                let mut empty = self.source.whole(Level::Error, "the file says nothing");
                empty.help(format!("write at least\n{}", crate::config::EXAMPLE));
                self.found.push(empty);
                return;
            }
            Value::List(_) => "a list",
            _ => "a text",
        };
        if let Some(nginx) = not_yaml::nginx(self.source) {
            self.found.push(nginx);
            return;
        }
        let message =
            format!("the file must be a map with the keys `listen` and `routes`, not {found}");
        self.error(&root.span, message)
            .help(format!("write at least\n{}", crate::config::EXAMPLE));
    }

    /// The entries of a list that must have at least one.
    fn entries<'n>(&mut self, node: &'n Node, key: &str, example: &str) -> Option<&'n [Node]> {
        let found = match &node.value {
            Value::List(entries) if entries.is_empty() => {
                let message = format!("`{key}` is an empty list");
                self.error(&node.span, message).help(format!(
                    "write at least one entry:\n{}",
                    listed(key, example)
                ));
                return None;
            }
            Value::List(entries) => return Some(entries),
            Value::Map(_) => {
                let message = format!("`{key}` must be a list, not a map");
                let help = format!("begin each entry with a dash:\n{}", listed(key, example));
                self.error(&node.span, message).help(help);
                return None;
            }
            Value::Nothing => "nothing".to_owned(),
            Value::Text(text) => quoted(text),
        };
        let message = format!("`{key}` must be a list, not {found}");
        self.error(&node.span, message)
            .help(format!("write it as a list:\n{}", listed(key, example)));
        None
    }

    /// The keys and values of a list's entry, which must be a map.
    fn entry<'n>(
        &mut self,
        node: &'n Node,
        key: &str,
        example: &str,
    ) -> Option<&'n [(Node, Node)]> {
        if let Value::Map(map) = &node.value {
            return Some(map);
        }
        let message = format!("an entry of `{key}` must be a map, not {}", kind(node));
        self.error(&node.span, message)
            .help(format!("write\n{}", listed(key, example)));
        None
    }

    /// A value that must be a text.
    pub(super) fn text<'n>(
        &mut self,
        node: &'n Node,
        key: &str,
        expected: &str,
    ) -> Option<&'n str> {
        match &node.value {
            Value::Text(text) => return Some(text),
            Value::Nothing => {
                self.error(&node.span, format!("`{key}` has no value"))
                    .help(format!("give it {expected}"));
            }
            _ => {
                let message = format!("`{key}` must be {expected}, not {}", kind(node));
                self.error(&node.span, message)
                    .help("write it as one value, without brackets or dashes");
            }
        }
        None
    }

    /// A value that must be `on` or `off`.
    pub(super) fn switch(&mut self, node: &Node, key: &str) -> Option<bool> {
        let text = self.text(node, key, "`on` or `off`")?;
        let read = values::switch(text);
        if read.is_none() {
            let message = format!("`{key}` must be `on` or `off`, not {}", quoted(text));
            let help = match key {
                "access_log" => {
                    "it goes to stderr; a service manager or the shell can write it to a file"
                }
                _ => "write `on` or `off`",
            };
            self.error(&node.span, message).help(help);
        }
        read
    }

    fn duration(&mut self, fields: &Fields<'_>, key: &str, zero: Zero) -> Option<Duration> {
        let node = fields.get(key)?;
        let text = self.text(node, key, "a duration such as `30s`")?;
        match values::duration(text) {
            Ok(duration) if duration.is_zero() && zero == Zero::Refused => {
                let help =
                    "a limit that is never reached does not exist here; the longest is `365d`";
                self.error(&node.span, format!("`{key}` cannot be zero"))
                    .label("nothing would ever be in time")
                    .help(help);
                None
            }
            Ok(duration) => Some(duration),
            Err(error) => {
                self.error(&node.span, format!("`{key}` {error}: {}", quoted(text)))
                    .help(error.help(text));
                None
            }
        }
    }

    fn threads(&mut self, node: &Node) -> Option<NonZeroUsize> {
        let text = self.text(node, "threads", "a number")?;
        let number = text
            .parse()
            .ok()
            .filter(|number: &NonZeroUsize| number.get() <= MOST_THREADS);
        if number.is_none() {
            let message = format!(
                "`threads` must be a number from 1 to {MOST_THREADS}: {}",
                quoted(text)
            );
            self.error(&node.span, message)
                .help("leave it out for one thread on each core that wsgate may use");
        }
        number
    }
}

/// The four time limits of a request, where set, and the `defaults` otherwise.
fn timeouts(fields: &Fields<'_>, defaults: Timeouts, checker: &mut Checker<'_>) -> Timeouts {
    let mut read = |key, default| {
        checker
            .duration(fields, key, Zero::Refused)
            .unwrap_or(default)
    };
    Timeouts {
        connect: read("connect_timeout", defaults.connect),
        handshake: read("handshake_timeout", defaults.handshake),
        response: read("response_timeout", defaults.response),
        tunnel: read("tunnel_timeout", defaults.tunnel),
    }
}

/// Whether a duration of nothing makes sense.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Zero {
    Allowed,
    Refused,
}

fn kind(node: &Node) -> String {
    match &node.value {
        Value::Nothing => "nothing".to_owned(),
        Value::Text(text) => quoted(text),
        Value::List(_) => "a list".to_owned(),
        Value::Map(_) => "a map".to_owned(),
    }
}

/// A key with one entry, as it stands in the file.
fn listed(key: &str, example: &str) -> String {
    let mut text = format!("{key}:");
    for (number, line) in example.lines().enumerate() {
        text += if number == 0 { "\n  - " } else { "\n  " };
        text += line;
    }
    text
}

/// The cores that the process may use; one if the system does not tell.
fn cores() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}
