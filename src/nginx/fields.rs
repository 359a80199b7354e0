//! Translates `proxy_set_header`: a field that wsgate sends anyway is left out, any other becomes one of `set_headers`.

use http::HeaderName;
use http::HeaderValue;

use crate::config;
use crate::headers::host;
use crate::nginx::notes::Notes;
use crate::nginx::tree::Directive;
use crate::nginx::upstreams::ResolvedUpstream;
use crate::nginx::variables::Constants;
use crate::template::Template;
use crate::template::TemplateError;

/// Why `Upgrade` and `Connection` need not be set.
const UPGRADES: &str = "sent with upgrades to `websocket`, and with nothing else";
/// Why `Host` need not be set.
const HOST: &str = "`Host` goes on as the client sent it";
/// Why `X-Forwarded-For` and the like need not be set.
const FORWARDED: &str = "always sent, and what the client claims in it is replaced";
/// Why a field of the request need not be set to its own value.
const PASSED: &str = "goes on as the client sent it";

/// The fields and values of `set_headers`, from the `proxy_set_header` directives in force. Where none of them sets
/// `Host`, nginx sends the host of `proxy_pass`: an address, a name, or the name of an `upstream` block.
///
/// What cannot be set is noted among the comments of `upstream`.
pub(super) fn set_headers(
    written: &[&Directive],
    upstream: &mut ResolvedUpstream,
    constants: &Constants,
    notes: &mut Notes<'_>,
) -> Vec<(String, String)> {
    let mut set: Vec<(String, String)> = Vec::new();
    let mut has_host = false;
    for directive in written {
        let (name, value) = (directive.arg(0), directive.arg(1));
        has_host |= name.eq_ignore_ascii_case("host");
        if let Some(why) = is_done(&name.to_ascii_lowercase(), value) {
            notes.needless(directive, why);
            continue;
        }
        match field(name, value, upstream, constants) {
            Ok(_)
                if set
                    .iter()
                    .any(|(known, _)| known.eq_ignore_ascii_case(name)) =>
            {
                upstream
                    .comments
                    .push(notes.left(directive, "a field is set once"));
            }
            Ok(value) => set.push((name.to_owned(), value)),
            Err(why) => {
                let comment = notes.left(directive, format!("{why}{}", taken_out(name, &set)));
                upstream.comments.push(comment);
                if is_claim(name, &set) {
                    set.push((name.to_owned(), String::new()));
                }
            }
        }
    }
    if !has_host {
        set.push(("Host".to_owned(), upstream.proxy_host.clone()));
    }
    set
}

/// Whether a client could write this field itself where nginx would write over it, and an upstream believe it.
fn is_claim(name: &str, set: &[(String, String)]) -> bool {
    let is_set = set
        .iter()
        .any(|(known, _)| known.eq_ignore_ascii_case(name));
    let field = HeaderName::from_bytes(name.as_bytes());
    // wsgate takes no client's word in these, and drops a client's field with an underscore.
    let own = [
        "forwarded",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-real-ip",
    ];
    !is_set
        && !own.contains(&name.to_ascii_lowercase().as_str())
        && !name.contains('_')
        && field.is_ok_and(|field| field != http::header::HOST && !config::is_never_set(&field))
}

/// What is said about a field that cannot be set, behind the reason.
fn taken_out(name: &str, set: &[(String, String)]) -> &'static str {
    match is_claim(name, set) {
        true => "; it is taken out, so that no client writes it",
        false => "",
    }
}

/// The reason why a field need not be set to this value; `None` if it must be.
fn is_done(name: &str, value: &str) -> Option<&'static str> {
    let plain = value.replace(['{', '}'], "");
    match (name, plain.as_str()) {
        ("upgrade" | "connection", _) => Some(UPGRADES),
        ("host", "$host" | "$http_host" | "$host:$server_port") => Some(HOST),
        ("x-real-ip", "$remote_addr")
        | ("x-forwarded-for", "$remote_addr" | "$proxy_add_x_forwarded_for")
        | ("x-forwarded-proto", "$scheme")
        | ("x-forwarded-host", "$host" | "$http_host" | "$host:$server_port") => Some(FORWARDED),
        // wsgate takes no client's word in these fields, so any other value must be set.
        (
            "x-real-ip" | "x-forwarded-for" | "x-forwarded-proto" | "x-forwarded-host"
            | "forwarded",
            _,
        ) => None,
        (name, value) => {
            let own = format!("$http_{}", name.replace('-', "_"));
            (value == own).then_some(PASSED)
        }
    }
}

/// The value that `set_headers` gives to a field.
///
/// # Errors
/// The reason why this field cannot be set to this value.
fn field(
    name: &str,
    value: &str,
    upstream: &ResolvedUpstream,
    constants: &Constants,
) -> Result<String, String> {
    let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| "no field has this name")?;
    if config::is_never_set(&header) {
        return Err("wsgate writes it for each connection and message".to_owned());
    }
    // `$http_host` is not filled in: only `Host` can have it, for which `is_done` leaves the directive out.
    let constants = constants.clone().with_other_ports();
    let of_upstream = [
        ("proxy_host", upstream.proxy_host.as_str()),
        ("proxy_port", upstream.proxy_port.as_str()),
    ];
    let filled = constants.fill(value, &of_upstream)?;
    if HeaderValue::from_str(&filled).is_err() || !filled.is_ascii() {
        return Err("its value has characters that no field may have".to_owned());
    }
    if header != http::header::HOST {
        return Ok(filled);
    }
    // A dollar sign that begins no variable is a character of the value.
    let template: Template = filled
        .parse()
        .map_err(|error: TemplateError| error.to_string())?;
    match template.constant() {
        Some("") => Err("a request has a `Host`".to_owned()),
        Some(constant) if !host::is_valid(constant.as_bytes()) => Err("this is no host".to_owned()),
        _ => Ok(filled),
    }
}
