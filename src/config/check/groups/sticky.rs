//! The rules of `sticky`: by the Engine.IO session, by a cookie, by both, or not at all.

use std::time::Duration;

use http::HeaderName;

use crate::config::check::Checker;
use crate::config::check::fields::Fields;
use crate::config::check::groups::servers::ReadServer;
use crate::config::check::groups::words::Words;
use crate::config::check::keys::Within;
use crate::config::check::scalar::Zero;
use crate::config::diagnostic::quoted;
use crate::config::schema::Node;
use crate::config::schema::Value;
use crate::config::values;
use crate::upstream::Balance;
use crate::upstream::GroupSettings;
use crate::upstream::Sticky;
use crate::upstream::StickyCookie;
use crate::upstream::WrittenProxyPass;

/// How a request finds its server.
const STICKY: Words = Words {
    key: "sticky",
    known: &["sid", "off"],
    help: "write `sid`, `off`, a cookie: `{ cookie: srv }`, or both: `[sid, { cookie: srv }]`",
};

/// What a cookie says of requests from other sites (RFC 6265bis §5.6.7).
const SAMESITE: Words = Words {
    key: "samesite",
    known: &["strict", "lax", "none"],
    help: "write `strict`, `lax` or `none`",
};

/// How a request finds the server that it belongs to.
pub(super) fn sticky(node: &Node, checker: &mut Checker<'_>) -> Option<Sticky> {
    let none = Sticky {
        sid: false,
        cookie: None,
    };
    match &node.value {
        Value::List(entries) if !entries.is_empty() => {
            let mut sticky = none;
            for entry in entries {
                one(entry, &mut sticky, checker)?;
            }
            Some(sticky)
        }
        Value::Text(text) if values::switch(text) == Some(false) => Some(none),
        Value::Text(_) | Value::Map(_) => {
            let mut sticky = none;
            one(node, &mut sticky, checker)?;
            Some(sticky)
        }
        Value::List(_) | Value::Nothing => {
            let message = match &node.value {
                Value::Nothing => "`sticky` has no value",
                _ => "`sticky` is an empty list",
            };
            checker.error(&node.span, message).help(STICKY.help);
            None
        }
    }
}

/// Adds one way to `sticky`.
fn one(node: &Node, sticky: &mut Sticky, checker: &mut Checker<'_>) -> Option<()> {
    let twice = match &node.value {
        Value::Map(map) => {
            let cookie = cookie(node, map, checker)?;
            sticky
                .cookie
                .replace(cookie)
                .is_some()
                .then_some("a cookie")
        }
        _ => {
            let text = checker.text(node, "sticky", "`sid`, `off` or a cookie")?;
            match text {
                "sid" => std::mem::replace(&mut sticky.sid, true).then_some("`sid`"),
                _ if values::switch(text) == Some(false) => {
                    checker
                        .error(&node.span, "`off` stands beside another way to be sticky")
                        .help("remove one of the two");
                    return None;
                }
                "cookie" => {
                    checker
                        .error(&node.span, "`sticky: cookie` does not name the cookie")
                        .help("write its name, as in `sticky: { cookie: srv }`");
                    return None;
                }
                _ => {
                    STICKY.refuse(text, node, checker);
                    return None;
                }
            }
        }
    };
    if let Some(what) = twice {
        checker
            .error(&node.span, format!("{what} stands in `sticky` twice"))
            .help("remove one of the two");
        return None;
    }
    Some(())
}

/// Notes that polling clients lose their sessions: `sticky`, which stands at `node`, is off, and nothing else keeps a client at its
/// server.
pub(super) fn note_off(
    settings: &GroupSettings,
    node: &Node,
    servers: &[ReadServer],
    checker: &mut Checker<'_>,
) {
    let is_off = settings.sticky
        == Sticky {
            sid: false,
            cookie: None,
        };
    let spreads = matches!(settings.balance, Balance::LeastConn | Balance::RoundRobin);
    let taking = servers.iter().filter(|server| !server.settings.down);
    let has_several = taking.clone().count() > 1 || taking.clone().any(|one| one.settings.resolve);
    if is_off && spreads && has_several {
        checker
            .warning(&node.span, "`sticky: off` with several servers")
            .label("a poll of Socket.IO would reach a server that does not know its session")
            .help("write `sticky: sid`, unless all clients use WebSockets from the start");
    }
}

/// A cookie and what is said of it.
fn cookie(node: &Node, map: &[(Node, Node)], checker: &mut Checker<'_>) -> Option<StickyCookie> {
    let fields = Fields::of(node, map, Within::Cookie, checker);
    let name = fields
        .require("cookie", "cookie: srv", checker)
        .and_then(|node| Some((node, cookie_name(node, checker)?)));
    let expires = checker.duration(
        &fields,
        "expires",
        Zero::Useless("leave it out for a cookie that lasts as long as the browser runs"),
    );
    let domain = fields.get("domain").and_then(|node| domain(node, checker));
    let path = fields.get("path").and_then(|node| path(node, checker));
    let secure = checker.flag(&fields, "secure").unwrap_or(false);
    let httponly = checker.flag(&fields, "httponly").unwrap_or(false);
    let samesite = fields
        .get("samesite")
        .and_then(|node| samesite(node, secure, checker));
    let (node, name) = name?;
    let path = path.unwrap_or("/");
    let is_of_host = domain.is_none() && path == "/";
    let needs = if name.starts_with("__Host-") && !(secure && is_of_host) {
        "`secure: true`, the path `/` and no `domain`"
    } else if name.starts_with("__Secure-") && !secure {
        "`secure: true`"
    } else {
        let mut attributes = format!("; Path={path}");
        if let Some(domain) = domain {
            attributes += &format!("; Domain={domain}");
        }
        if let Some(expires) = expires {
            attributes += &format!("; Max-Age={}", seconds(expires));
        }
        for (is_set, attribute) in [(secure, "; Secure"), (httponly, "; HttpOnly")] {
            attributes += if is_set { attribute } else { "" };
        }
        if let Some(samesite) = samesite {
            attributes += &format!("; SameSite={samesite}");
        }
        return Some(StickyCookie {
            name: name.to_owned(),
            attributes,
        });
    };
    checker
        .error(&node.span, format!("a cookie of this name needs {needs}"))
        .label("browsers would refuse it")
        .help("add it, or give the cookie another name");
    None
}

/// Seconds for `Max-Age`, of which a part counts as a whole one.
fn seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

/// The name of a cookie, which is a token as a field's name is (RFC 6265 §4.1.1).
fn cookie_name<'n>(node: &'n Node, checker: &mut Checker<'_>) -> Option<&'n str> {
    let text = checker.text(node, "cookie", "a name such as `srv`")?;
    if HeaderName::from_bytes(text.as_bytes()).is_err() {
        checker
            .error(&node.span, format!("no cookie is called {}", quoted(text)))
            .help("write letters, digits, `-` and `_`, as in `srv`");
        return None;
    }
    if [
        "io", "path", "domain", "expires", "max-age", "secure", "httponly", "samesite",
    ]
    .contains(&text.to_ascii_lowercase().as_str())
    {
        let help = if text == "io" {
            "older servers of Socket.IO give a cookie of this name to their clients: write another one, such as `srv`"
        } else {
            "it would be read as an attribute: write another one, such as `srv`"
        };
        checker
            .error(
                &node.span,
                format!("no cookie of `sticky` is called {}", quoted(text)),
            )
            .help(help);
        return None;
    }
    Some(text)
}

/// The hosts to which a cookie is sent: a name, and all below it.
fn domain<'n>(node: &'n Node, checker: &mut Checker<'_>) -> Option<&'n str> {
    let text = checker.text(node, "domain", "a name such as `example.com`")?;
    let name = text.strip_prefix('.').unwrap_or(text);
    let is_name = matches!(format!("http://{name}").parse(), Ok(WrittenProxyPass::Group(group))
        if group.name().eq_ignore_ascii_case(name));
    if !is_name {
        checker
            .error(&node.span, format!("no cookie can have the domain {}", quoted(text)))
            .help("write a name such as `example.com`; without `domain` the cookie is for the host alone that was asked");
        return None;
    }
    Some(name)
}

/// The paths for which a cookie is sent.
fn path<'n>(node: &'n Node, checker: &mut Checker<'_>) -> Option<&'n str> {
    let text = checker.text(node, "path", "a path such as `/socket.io/`")?;
    let is_printable = text.bytes().all(|byte| matches!(byte, 0x21..=0x7e));
    if !text.starts_with('/') || text.contains(';') || !is_printable {
        checker
            .error(
                &node.span,
                format!("no cookie can have the path {}", quoted(text)),
            )
            .help(
                "write a path such as `/socket.io/`, without semicolons; without `path` it is `/`",
            );
        return None;
    }
    Some(text)
}

/// What the cookie says of requests from other sites. Browsers take `none` only together with `secure`.
fn samesite(node: &Node, secure: bool, checker: &mut Checker<'_>) -> Option<&'static str> {
    let text = checker.text(node, "samesite", "`strict`, `lax` or `none`")?;
    match text.to_ascii_lowercase().as_str() {
        "strict" => Some("Strict"),
        "lax" => Some("Lax"),
        "none" if secure => Some("None"),
        "none" => {
            checker
                .error(&node.span, "`samesite: none` without `secure: true`")
                .label("browsers would refuse the cookie")
                .help("add `secure: true`: the cookie then comes back over TLS only");
            None
        }
        _ => {
            SAMESITE.refuse(text, node, checker);
            None
        }
    }
}
