//! The rules of `tests`: what an entry may promise. Whether the promise holds is found by `explain`, which knows what
//! answers a request.

use crate::clients::ClientKind;
use crate::clients::ClientRequests;
use crate::clients::Options;
use crate::clients::Url;
use crate::config::Expect;
use crate::config::Promise;
use crate::config::check::Checker;
use crate::config::check::fields::Fields;
use crate::config::check::groups::FileGroups;
use crate::config::check::keys::Within;
use crate::config::diagnostic::quoted;
use crate::config::schema::Node;
use crate::engineio::Path;
use crate::upstream::WrittenProxyPass;

/// The smallest entry of `tests`, for examples.
const TEST: &str = "url: ws://www.example.com/hello\n  expect: http://127.0.0.1:3000";

/// The entries of `tests`, as far as they are right.
pub(super) fn promises(
    node: &Node,
    groups: &FileGroups<'_>,
    checker: &mut Checker<'_>,
) -> Vec<Promise> {
    let Some(entries) = checker.entries(node, "tests", TEST) else {
        return Vec::new();
    };
    let mut promises = Vec::new();
    for entry in entries {
        let Some(map) = checker.entry(entry, "tests", TEST) else {
            continue;
        };
        let fields = Fields::of(entry, map, Within::Test, checker);
        let url = fields
            .require("url", "url: ws://www.example.com/hello", checker)
            .and_then(|node| Some((url(node, checker)?, node)));
        let expect = fields
            .require("expect", "expect: http://127.0.0.1:3000", checker)
            .and_then(|node| expect(node, groups, checker));
        let before = checker.found.len();
        let options = Options {
            kind: fields.get("client").and_then(|node| kind(node, checker)),
            path: fields.get("path").and_then(|node| path(node, checker)),
        };
        let (Some((url, url_node)), true) = (url, checker.found.len() == before) else {
            continue;
        };
        if let (Err(error), Some(node)) = (ClientRequests::new(&url, &options), fields.get("path"))
        {
            checker
                .error(&node.span, error.to_string())
                .help(error.help());
            continue;
        }
        if let Some(expect) = expect {
            promises.push(Promise {
                url,
                options,
                expect,
                spot: checker.source.spot(&url_node.span),
                line: checker.source.line(url_node.span.start),
            });
        }
    }
    promises
}

/// The URL of an entry.
fn url(node: &Node, checker: &mut Checker<'_>) -> Option<Url> {
    let text = checker.text(node, "url", "a URL such as `ws://www.example.com/hello`")?;
    match text.parse::<Url>() {
        Ok(url) => Some(url),
        Err(error) => {
            checker
                .error(&node.span, error.to_string())
                .help(error.help());
            None
        }
    }
}

/// What an entry expects: an upstream without a path, or a status.
fn expect(node: &Node, groups: &FileGroups<'_>, checker: &mut Checker<'_>) -> Option<Expect> {
    let expected = "an upstream such as `http://127.0.0.1:3000`, or a status such as `404`";
    let text = checker.text(node, "expect", expected)?;
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return status(text, node, checker);
    }
    let (expect, uri, instead) = match text.parse::<WrittenProxyPass>() {
        Ok(WrittenProxyPass::Server(to)) => {
            let instead = to.without_uri().to_string();
            (
                Expect::Upstream(to.without_uri()),
                to.uri().map(str::len),
                instead,
            )
        }
        Ok(WrittenProxyPass::Group(to)) => {
            if !groups.note_unknown(&to, "expect", node, checker) {
                return None;
            }
            let instead = to.without_uri().to_string();
            (
                Expect::Group(to.without_uri()),
                to.uri().map(str::len),
                instead,
            )
        }
        Err(_) if !text.contains([':', '/']) => {
            let message = format!(
                "`expect` is neither an upstream nor a status: {}",
                quoted(text)
            );
            checker
                .error(&node.span, message)
                .help(format!("write {expected}"));
            return None;
        }
        Err(error) => {
            let span = node.part(Some(error.span()));
            // The error speaks of `proxy_pass`; the key that was written is `expect`.
            let here = |words: String| words.replace("`proxy_pass`", "`expect`");
            checker
                .error(&span, here(error.to_string()))
                .help(here(error.help()));
            return None;
        }
    };
    if let Some(length) = uri {
        checker
            .error(
                &node.part(Some(text.len() - length..text.len())),
                "`expect` is an upstream without a path",
            )
            .help(format!("write `{instead}`"));
        return None;
    }
    Some(expect)
}

/// The status that an entry expects.
fn status(text: &str, node: &Node, checker: &mut Checker<'_>) -> Option<Expect> {
    match text.parse::<u16>() {
        Ok(status) if (200..600).contains(&status) => Some(Expect::Status(status)),
        read => {
            let message = format!("wsgate itself answers no {}", quoted(text));
            let help = match read {
                Ok(101) => "a 101 is an upstream's: write which, as in `http://127.0.0.1:3000`",
                _ => {
                    "write a status from 200 to 599, or an upstream such as `http://127.0.0.1:3000`"
                }
            };
            checker.error(&node.span, message).help(help);
            None
        }
    }
}

/// The client of an entry.
fn kind(node: &Node, checker: &mut Checker<'_>) -> Option<ClientKind> {
    let text = checker.text(node, "client", "a client such as `socket.io`")?;
    match text.parse::<ClientKind>() {
        Ok(kind) => Some(kind),
        Err(error) => {
            checker
                .error(&node.span, error.to_string())
                .help(error.help());
            None
        }
    }
}

/// The client's option `path` in an entry.
fn path(node: &Node, checker: &mut Checker<'_>) -> Option<Path> {
    let text = checker.text(node, "path", "the client's path, such as `/socket.io`")?;
    match text.parse::<Path>() {
        Ok(path) => Some(path),
        Err(error) => {
            checker
                .error(&node.span, error.to_string())
                .help(error.help());
            None
        }
    }
}
