//! The findings in sentences: verdicts, warnings, and places in the file.

use std::sync::Arc;

use crate::access::Access;
use crate::access::MissingOrigin;
use crate::config::Action;
use crate::config::Config;
use crate::engineio::hints;
use crate::explain::Outcome;
use crate::explain::Verdict;
use crate::explain::Warning;
use crate::routing::LocationKind;
use crate::upstream::Group;
use crate::upstream::Sticky;

/// The place of a route's `location`: `routes.yaml:9`.
pub(super) fn place(config: &Config, route: usize) -> String {
    config.place(config.routes[route].line)
}

/// The place of a listener's `address`: `routes.yaml:2`.
pub(super) fn listener_place(config: &Config, listener: usize) -> String {
    config.place(config.listeners[listener].line)
}

/// Where a route leads: an upstream without its path, a group by its name, or what it returns.
pub(super) fn leads_to(config: &Config, route: usize) -> String {
    match &config.routes[route].to {
        Action::ProxyPass(upstream) => upstream.group_name().unwrap_or_else(|| upstream.origin()),
        Action::Return(written) => format!("return {}", written.status().as_u16()),
    }
}

/// The group that a route leads to, if there are several servers.
pub(super) fn group(config: &Config, route: usize) -> Option<&Arc<Group>> {
    match &config.routes[route].to {
        Action::ProxyPass(upstream) => upstream.group(),
        Action::Return(_) => None,
    }
}

/// How requests find their server in a group; nothing if each goes to any.
pub(super) fn stickiness(sticky: &Sticky) -> Option<String> {
    const SID: &str = "polling stays with the server that opened the session";
    match (sticky.sid, &sticky.cookie) {
        (true, None) => Some(SID.to_owned()),
        (true, Some(cookie)) => Some(format!(
            "{SID}, and a client with the cookie `{}` with its server",
            cookie.name
        )),
        (false, Some(cookie)) => Some(format!(
            "a client with the cookie `{}` stays with its server",
            cookie.name
        )),
        (false, None) => None,
    }
}

/// The name that a route's upstream is verified by, if `tls_name` is set.
pub(super) fn tls_name(config: &Config, route: usize) -> Option<String> {
    match &config.routes[route].to {
        Action::ProxyPass(upstream) => upstream.tls_name().map(ToString::to_string),
        Action::Return(_) => None,
    }
}

/// The reason why a route answers a request, or does not.
pub(super) fn verdict(config: &Config, route: usize, verdict: &Verdict) -> String {
    let place = |route: &usize| place(config, *route);
    match verdict {
        Verdict::Answers => "answers".to_owned(),
        Verdict::AnswersWithSlash => "answers: the path lacks only the last slash".to_owned(),
        Verdict::OtherHost => "is for another host".to_owned(),
        Verdict::NearerHost(host) => format!("`host: {host}` is nearer to this host"),
        Verdict::HostFirst(by) => format!("{} is for this host, and goes first", place(by)),
        Verdict::Unmet { wants, has } => format!("wants {wants}: there is {has}"),
        Verdict::NoMatch => match config.routes[route].location.kind() {
            LocationKind::Exact => "is another path".to_owned(),
            LocationKind::Prefix | LocationKind::PrefixNoRegex => {
                "the path does not begin so".to_owned()
            }
            LocationKind::Regex | LocationKind::RegexIgnoreCase => {
                "the path does not match it".to_owned()
            }
        },
        Verdict::ExactFirst(by) => format!("{} is the very path", place(by)),
        Verdict::Longer(by) => format!("{} is a longer prefix", place(by)),
        Verdict::NoRegex(by) => format!("the `^~` of {} keeps regexes out", place(by)),
        Verdict::RegexFirst(by) => format!("{} is a regex, and goes before a prefix", place(by)),
        Verdict::EarlierRegex(by) => format!("{} is an earlier regex", place(by)),
        Verdict::SlashFirst(by) => format!("{} lacks only the last slash", place(by)),
        Verdict::NamedWithoutSlash(by) => {
            format!("{} is for the path without the slash", place(by))
        }
        Verdict::SameLocation(by) => format!("{} is the same location, and goes first", place(by)),
    }
}

/// What becomes of a request: the upstream, or the answer of wsgate.
pub(super) fn outcome(config: &Config, outcome: &Outcome) -> String {
    match outcome {
        Outcome::Upstream { route, .. } => {
            let mut words = match group(config, *route) {
                Some(group) if group.is_nameless_list() => {
                    let servers = group.written().len();
                    format!("{servers} servers ({})", group.settings().balance)
                }
                Some(group) => {
                    let name = leads_to(config, *route);
                    format!("{name} ({})", group.settings().balance)
                }
                None => leads_to(config, *route),
            };
            if let Some(name) = tls_name(config, *route) {
                words += &format!(", verified as {name}");
            }
            words
        }
        Outcome::Answer {
            route,
            status,
            location,
            text,
        } => {
            let by = match route {
                Some(route) => place(config, *route),
                None => "`redirect: https`".to_owned(),
            };
            let status = status.as_u16();
            match location {
                Some(to) => format!("{status} from wsgate, to {to} ({by})"),
                None if text.is_empty() => format!("{status} from wsgate ({by})"),
                None => {
                    let text = text.strip_prefix("wsgate: ").unwrap_or(text);
                    format!("{status} from wsgate ({by}): {text}")
                }
            }
        }
        Outcome::Refused { status, told } => {
            format!("{} from wsgate: {told}", status.as_u16())
        }
    }
}

/// A warning as a sentence: a table with one arm for each.
pub(super) fn warning(config: &Config, warning: &Warning) -> String {
    let location = |route: &usize| {
        let route = &config.routes[*route];
        format!("`{}` ({})", route.location, config.place(route.line))
    };
    let listener = |listener: &usize| listener_place(config, *listener);
    match warning {
        Warning::NamespaceIsNoPath { route, namespace } => format!(
            "{} is never asked for by this client: `{namespace}` is a namespace, and no path. If the client and its \
             server have the option `path`, give `--path` too",
            location(route)
        ),
        Warning::NamespaceIsThePath(namespace) => format!(
            "`{namespace}` behind the host is a namespace, which servers refuse with `Invalid namespace`: give the \
             client the address alone"
        ),
        Warning::NoSlash(path) => hints::no_slash(path),
        Warning::OpenPrefix { route, example } => format!(
            "{} also answers `{example}`: a prefix knows nothing of segments, as in nginx",
            location(route)
        ),
        Warning::Plain => PLAIN.to_owned(),
        Warning::WeappNeedsTls => WEAPP_NEEDS_TLS.to_owned(),
        Warning::WeappNeedsTrust(at) => format!(
            "phones do not trust the self-signed certificate of {}, and a mini program cannot be told to",
            listener(at)
        ),
        Warning::SelfSigned(at) => format!(
            "nobody trusts the self-signed certificate of {} unasked: open the https:// address in the browser first, \
             or the WebSocket fails without a word",
            listener(at)
        ),
        Warning::OtherName(at) => {
            format!(
                "no certificate of {} is for this host: clients refuse it",
                listener(at)
            )
        }
        Warning::Loopback(at) => {
            format!(
                "{} listens on the loopback: only this machine gets there",
                listener(at)
            )
        }
        Warning::AllowEio3 => ALLOW_EIO3.to_owned(),
        Warning::NeverOnPort(route) => {
            format!(
                "{} is never reached: no listener has the port of its `when`",
                location(route)
            )
        }
        Warning::NeverBesideRegex { route, regex } => format!(
            "{} is never reached: the regex of {} matches every path and goes first",
            location(route),
            place(config, *regex)
        ),
        Warning::UpgradeNotRedirected => hints::NOT_REDIRECTED.to_owned(),
        Warning::OnlyAddresses(route) => {
            only_addresses(&location(route), &config.routes[*route].access)
        }
        Warning::NotSticky(route) => format!(
            "{} leads to several servers with `sticky: off`: the polls of a session come to any of them, and only the one \
             that opened it knows it",
            location(route)
        ),
        Warning::OnlyOrigins(route) => {
            only_origins(&location(route), &config.routes[*route].access)
        }
    }
}

/// The sentence for [`Warning::Plain`].
const PLAIN: &str =
    "a page that was opened over https cannot open this: browsers refuse ws:// there";

/// The sentence for [`Warning::WeappNeedsTls`].
const WEAPP_NEEDS_TLS: &str = "a mini program opens wss:// only, outside of its developer tools: with a certificate \
    that phones trust, and a name that is registered for it";

/// The sentence for [`Warning::AllowEio3`].
const ALLOW_EIO3: &str = "this client speaks EIO=3, which a server of version 3 or 4 answers only with `allowEIO3: true`";

/// The sentence for [`Warning::OnlyAddresses`].
fn only_addresses(location: &str, access: &Access) -> String {
    let keys = [("allow", &access.allow), ("deny", &access.deny)];
    let keys: Vec<String> = keys
        .iter()
        .filter(|(_, networks)| !networks.is_empty())
        .map(|(key, networks)| format!("`{key}`: {networks}"))
        .collect();
    format!(
        "{location} answers clients of some addresses only, and tells others 403 ({})",
        keys.join("; ")
    )
}

/// The sentence for [`Warning::OnlyOrigins`].
fn only_origins(location: &str, access: &Access) -> String {
    let origins: Vec<String> = access
        .origins
        .iter()
        .flat_map(|origins| &origins.list)
        .map(ToString::to_string)
        .collect();
    let missing = match access.missing_origin() {
        MissingOrigin::Allow => "may too",
        MissingOrigin::Deny => "may not either (`missing_origin`)",
    };
    format!(
        "{location} opens a WebSocket for pages of {} only, and tells others 403 (`allowed_origins`); a client that \
         sends no Origin {missing}",
        origins.join(", ")
    )
}
