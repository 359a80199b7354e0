//! The rules of `routes.yaml`: the tree that was read becomes a [`Config`], or a list of everything that is wrong.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use time::OffsetDateTime;

use crate::config::AccessLog;
use crate::config::Config;
use crate::config::Limits;
use crate::config::Timeouts;
use crate::config::diagnostic::Diagnostic;
use crate::config::diagnostic::Severity;
use crate::config::diagnostic::quoted;
use crate::config::environment::Environment;
use crate::config::filled_values::FilledValues;
use crate::config::schema::Node;
use crate::config::schema::Value;
use crate::config::source::SourceText;
use crate::routing::HostPattern;
use crate::tls::Certificate;

mod access;
mod answers;
mod certificates;
mod fields;
mod groups;
mod https;
mod keys;
mod listen;
pub(super) mod lookalikes;
mod loops;
pub(super) mod not_yaml;
mod promise;
mod proxy_pass;
mod request;
mod rewrite;
mod route;
mod scalar;
mod unix;
mod variables;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod schema_tests;

use crate::config::check::fields::Fields;
use crate::config::check::groups::FileGroups;
use crate::config::check::keys::Within;
use crate::config::check::proxy_pass::Upstreams;
use crate::config::check::scalar::Zero;

/// Checks the file, and collects what is wrong with it.
pub(super) struct Checker<'a> {
    /// The path of the file, as it was given.
    pub(super) file: &'a Path,
    /// The text of the file.
    pub(super) source: &'a SourceText,
    /// The moment at which certificates must be in date.
    pub(super) now: OffsetDateTime,
    /// The variables that values may name.
    pub(super) environment: &'a Environment,
    /// The values that were filled in so far.
    pub(super) filled: FilledValues,
    /// The places of values that could not be filled in, and why.
    pub(super) unfilled: Vec<(Range<usize>, Diagnostic)>,
    /// The errors and warnings so far.
    pub(super) found: Vec<Diagnostic>,
    /// The files that the configuration names so far, existing or not.
    pub(super) files: BTreeSet<PathBuf>,
    /// The certificates of listeners so far, each with the place of its `cert`.
    pub(super) certificates: Vec<(Range<usize>, Certificate)>,
    /// The hosts of the routes so far.
    pub(super) hosts: Vec<RouteHosts>,
}

/// The hosts that a route is for.
pub(super) struct RouteHosts {
    /// The hosts with their place; `None` for a route of every host.
    placed: Option<(Range<usize>, Vec<HostPattern>)>,
    /// Whether a listener with TLS has a port of the route.
    has_tls: bool,
}

/// Longest wait for connections under way after the signal to stop; less than the 90 s after which service managers
/// kill.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

/// The smallest entry of `listen`, for examples.
const LISTEN: &str = "address: 8080";

/// The smallest entry of `routes`, for examples.
const ROUTE: &str = "location: /socket.io\n  proxy_pass: http://127.0.0.1:3000";

impl Checker<'_> {
    /// Checks the whole tree. `None` if the file is no map, and so has no keys to check.
    ///
    /// A configuration is returned even where there are errors. It may be used only if there are none.
    pub(super) fn check(&mut self, mut root: Node) -> Option<Config> {
        self.fill_in(&mut root);
        let config = self.check_filled(&root);
        self.show_as_written();
        config
    }

    /// Checks the tree whose variables are filled in.
    fn check_filled(&mut self, root: &Node) -> Option<Config> {
        let map = match &root.value {
            Value::Map(map) => map,
            _ => {
                self.no_map(root);
                return None;
            }
        };
        let fields = Fields::of(root, map, Within::Top, self);
        let defaults = timeouts(&fields, Timeouts::default(), self);
        let limits = limits(&fields, self);
        let drain_timeout = self
            .duration(&fields, "drain_timeout", Zero::Allowed)
            .unwrap_or(DRAIN_TIMEOUT);
        let access_log = access_log(&fields, self);
        let trusted = fields.get("trusted_proxies");
        let trusted_proxies = trusted
            .map(|node| access::networks(node, "trusted_proxies", self))
            .unwrap_or_default();
        let threads = fields.get("threads").and_then(|node| self.threads(node));
        let max_connections = fields
            .get("max_connections")
            .and_then(|node| self.max_connections(node));
        let per_ip = fields
            .get("per_ip")
            .map(|node| access::per_ip(node, self))
            .unwrap_or_default();
        let listeners = fields
            .require("listen", &listed("listen", LISTEN), self)
            .map(|node| listen::listeners(node, trusted, self))
            .unwrap_or_default();
        let groups = fields.get("upstreams");
        let groups = groups.map(|node| FileGroups::read(node, &listeners, self));
        let mut upstreams = Upstreams::new(&listeners, groups.unwrap_or_default());
        let routes = fields
            .require("routes", &listed("routes", ROUTE), self)
            .map(|node| route::routes(node, defaults, &mut upstreams, self))
            .unwrap_or_default();
        upstreams.groups.note_unused(self);
        certificates::remark(&listeners, self);
        let promises = fields
            .get("tests")
            .map(|node| promise::promises(node, &upstreams.groups, self))
            .unwrap_or_default();
        let config = Config {
            file: self.file.to_owned(),
            listeners,
            routes,
            trusted_proxies,
            access_log,
            threads: threads.unwrap_or_else(cores),
            drain_timeout,
            max_connections,
            per_ip,
            limits,
            promises,
            filled: self.filled.clone(),
        };
        unix::note_clients_without_address(&config, &fields, self);
        Some(config)
    }

    /// A path that is written in the file: a relative one is relative to the directory of the file.
    pub(super) fn path(&self, written: impl AsRef<Path>) -> PathBuf {
        self.file.parent().unwrap_or(Path::new("")).join(written)
    }

    /// Notes an error about the bytes `span`.
    pub(super) fn error(
        &mut self,
        span: &Range<usize>,
        message: impl Into<String>,
    ) -> &mut Diagnostic {
        self.note(Severity::Error, span, message)
    }

    /// Notes a warning about the bytes `span`.
    pub(super) fn warning(
        &mut self,
        span: &Range<usize>,
        message: impl Into<String>,
    ) -> &mut Diagnostic {
        self.note(Severity::Warning, span, message)
    }

    /// Notes an error or a warning about the bytes `span`.
    fn note(
        &mut self,
        severity: Severity,
        span: &Range<usize>,
        message: impl Into<String>,
    ) -> &mut Diagnostic {
        let at = self.found.len();
        self.found.push(self.source.about(severity, span, message));
        &mut self.found[at]
    }

    /// Notes that the file is no map.
    fn no_map(&mut self, root: &Node) {
        let found = match &root.value {
            Value::Nothing => {
                let mut empty = self.source.whole(Severity::Error, "the file says nothing");
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

    /// The entries of a list that must have at least one. The help of an error shows one like `example`.
    fn entries<'n>(&mut self, node: &'n Node, key: &str, example: &str) -> Option<&'n [Node]> {
        let (message, help) = match &node.value {
            Value::List(entries) if entries.is_empty() => (
                format!("`{key}` is an empty list"),
                "write at least one entry",
            ),
            Value::List(entries) => return Some(entries),
            Value::Nothing => (format!("`{key}` has no value"), "write a list"),
            Value::Map(_) => (
                format!("`{key}` must be a list, not a map"),
                "begin each entry with a dash",
            ),
            Value::Text(text) => (
                format!("`{key}` must be a list, not {}", quoted(text)),
                "write it as a list",
            ),
        };
        let help = format!("{help}:\n{}", listed(key, &entry_like(node, example)));
        self.error(&node.span, message).help(help);
        None
    }

    /// The keys and values of a list's entry, which must be a map. The help of an error shows one like `example`.
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
        self.error(&node.span, message).help(format!(
            "write\n{}",
            listed(key, &entry_like(node, example))
        ));
        None
    }
}

/// Whether exchanges are logged: they are unless `off` is written.
fn access_log(fields: &Fields<'_>, checker: &mut Checker<'_>) -> AccessLog {
    let node = fields.get("access_log");
    match node.and_then(|node| checker.switch(node, "access_log")) {
        Some(false) => AccessLog::Off,
        Some(true) | None => AccessLog::On,
    }
}

/// The time limits of a request: those that are set, and `defaults` for the others.
fn timeouts(fields: &Fields<'_>, defaults: Timeouts, checker: &mut Checker<'_>) -> Timeouts {
    let mut timeouts = defaults;
    for (key, limit) in timeouts.by_key() {
        set(limit, (key, Zero::Refused), fields, checker);
    }
    timeouts
}

/// The time limits of clients: those that are set, and the defaults for the others.
fn limits(fields: &Fields<'_>, checker: &mut Checker<'_>) -> Limits {
    let mut limits = Limits::default();
    for (key, limit) in limits.by_key() {
        let zero = match key {
            // As in nginx it means that no connection is kept.
            "keepalive_timeout" => Zero::Allowed,
            _ => Zero::Refused,
        };
        set(limit, (key, zero), fields, checker);
    }
    limits
}

/// Sets a time limit to what its key says, if it is there and right.
fn set(
    limit: &mut Duration,
    (key, zero): (&str, Zero),
    fields: &Fields<'_>,
    checker: &mut Checker<'_>,
) {
    if let Some(written) = checker.duration(fields, key, zero) {
        *limit = written;
    }
}

/// What a value is, in a message.
fn kind(node: &Node) -> String {
    match &node.value {
        Value::Nothing => "nothing".to_owned(),
        Value::Text(text) => quoted(text),
        Value::List(_) => "a list".to_owned(),
        Value::Map(_) => "a map".to_owned(),
    }
}

/// An example of an entry, with what was written in it if that is a port.
fn entry_like(node: &Node, example: &str) -> String {
    match &node.value {
        Value::Text(text) if example == LISTEN && text.parse::<u16>().is_ok() => {
            format!("address: {text}")
        }
        _ => example.to_owned(),
    }
}

/// A key with one entry as the file would have it.
fn listed(key: &str, example: &str) -> String {
    let mut text = format!("{key}:");
    for (number, line) in example.lines().enumerate() {
        text += if number == 0 { "\n  - " } else { "\n  " };
        text += line;
    }
    text
}

/// The number of cores that the process may use; one if the system does not tell.
fn cores() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}
