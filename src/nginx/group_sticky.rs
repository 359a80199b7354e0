//! Translates `sticky`, by which clients stay with their server: the value of the key of the same name.
//!
//! What nginx does by a cookie stands beside `sid`, which a group has by itself and which is no part of nginx.

use http::HeaderName;

use crate::nginx::group_note::GroupNote;
use crate::nginx::time;
use crate::nginx::tree::Directive;
use crate::nginx::tree::last;
use crate::nginx::yaml::flow;

/// Names that `routes.yaml` takes for no cookie: that of Socket.IO, and those of a cookie's attributes.
const TAKEN: [&str; 8] = [
    "io", "path", "domain", "expires", "max-age", "secure", "httponly", "samesite",
];

/// What the `sticky` of an `upstream` block becomes; `None` if there is none that can be carried over.
pub(super) fn sticky<'t>(block: &'t [Directive], said: &mut Vec<GroupNote<'t>>) -> Option<String> {
    let sticky = last(block, "sticky")?;
    let why = match sticky.arg(0) {
        "cookie" if is_free(sticky.arg(1)) => return Some(cookie(sticky, said)),
        "cookie" => "no cookie of wsgate's can be called so",
        "learn" => "sessions other than those of Engine.IO are not learned from answers",
        "route" => {
            "no variable names a server; a cookie of wsgate's does: `sticky: [sid, { cookie: route }]`"
        }
        _ => "this is nothing by which a client could stay with a server",
    };
    said.push(GroupNote::Left(sticky, why.to_owned()));
    None
}

/// Whether a cookie of `routes.yaml` can have this name. One that begins with `__` promises something to browsers.
fn is_free(name: &str) -> bool {
    HeaderName::from_bytes(name.as_bytes()).is_ok()
        && !name.starts_with("__")
        && !TAKEN.contains(&name.to_ascii_lowercase().as_str())
}

/// The ways to stay of `sticky cookie NAME …`.
fn cookie<'t>(sticky: &'t Directive, said: &mut Vec<GroupNote<'t>>) -> String {
    let mut keys = vec![format!("cookie: {}", flow(sticky.arg(1)))];
    let is_secure = sticky.args.iter().any(|arg| arg == "secure");
    for parameter in sticky.args.iter().skip(2) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let read = match name {
            "expires" => {
                let time = time::read(value).filter(|time| !time.is_zero());
                time.map(time::write)
            }
            "domain" if is_domain(value) => Some(flow(value)),
            "path" if is_path(value) => Some(flow(value)),
            // Browsers refuse such a cookie, and so does `routes.yaml`.
            "samesite" if value == "none" && !is_secure => None,
            "samesite" if matches!(value, "strict" | "lax" | "none") => Some(value.to_owned()),
            "secure" | "httponly" => Some("true".to_owned()),
            _ => None,
        };
        match read {
            Some(value) => keys.push(format!("{name}: {value}")),
            None if name == "samesite" && value == "none" => {
                let why = "`samesite=none` needs `secure`: browsers refuse the cookie without it";
                said.push(GroupNote::Left(sticky, why.to_owned()));
            }
            None => {
                let why = format!("`{parameter}` is nothing that the cookie can have here");
                said.push(GroupNote::Left(sticky, why));
            }
        }
    }
    format!("[sid, {{ {} }}]", keys.join(", "))
}

/// Whether a cookie can be for this name and all below it.
fn is_domain(text: &str) -> bool {
    let mut labels = text.strip_prefix('.').unwrap_or(text).split('.');
    let is_letter = |c: char| c.is_ascii_alphanumeric() || c == '-';
    labels.all(|label| {
        label.starts_with(|c: char| c.is_ascii_alphabetic()) && label.chars().all(is_letter)
    })
}

/// Whether a cookie can be for this path.
fn is_path(text: &str) -> bool {
    let mut bytes = text.bytes();
    text.starts_with('/') && bytes.all(|byte| matches!(byte, 0x21..=0x7e) && !b";$".contains(&byte))
}
