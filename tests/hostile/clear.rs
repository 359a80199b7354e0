//! What is clear HTTP/1.1 from wsgate to an upstream, and nothing beside it.

use crate::hostile::reader::Message;
use crate::hostile::reader::leading;
use crate::hostile::reader::shown;

fn is_token(bytes: &[u8]) -> bool {
    let odd = b"!#$%&'*+-.^_`|~";
    !bytes.is_empty()
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || odd.contains(byte))
}

/// A method, a path and the version.
pub(super) fn is_clear_request_line(line: &[u8]) -> Result<(), String> {
    let mut parts = line.split(|byte| *byte == b' ');
    let is_clear = parts.next().is_some_and(is_token)
        && parts.next().is_some_and(|target| {
            target.first() == Some(&b'/') && target.iter().all(|byte| *byte > b' ' && *byte != 0x7f)
        })
        && parts.next() == Some(b"HTTP/1.1")
        && parts.next().is_none();
    if is_clear {
        Ok(())
    } else {
        Err(format!("no request line: {:?}", shown(line)))
    }
}

/// A name without underscores, and a value without control bytes.
pub(super) fn is_clear_field(name: &[u8], value: &[u8]) -> Result<(), String> {
    let control = |byte: &u8| (*byte < b' ' && *byte != b'\t') || *byte == 0x7f;
    if !is_token(name) || name.contains(&b'_') {
        return Err(format!("no name of a field: {:?}", shown(name)));
    }
    if value.iter().any(control) {
        return Err(format!("no value of a field: {:?}", shown(value)));
    }
    Ok(())
}

/// Exactly one Host, at most one framing, and nothing that concerns one connection only.
pub(super) fn is_framed_clearly(message: &Message) -> Result<(), String> {
    let values = |name: &str| -> Vec<&[u8]> {
        message
            .fields
            .iter()
            .filter(|(known, _)| known.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value.as_slice())
            .collect()
    };
    let wrong = |what: &str| Err(format!("{what}: {:?}", shown(&message.first)));
    if values("host").len() != 1 {
        return wrong("not one Host");
    }
    let (lengths, codings) = (values("content-length"), values("transfer-encoding"));
    let is_clear = match (lengths.as_slice(), codings.as_slice()) {
        ([], []) => true,
        ([length], []) => length.iter().all(u8::is_ascii_digit) && leading(length, 10).is_some(),
        ([], [coding]) => *coding == b"chunked",
        _ => false,
    };
    if !is_clear {
        return wrong("framed in no clear way");
    }
    for name in [
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "http2-settings",
        "proxy-authorization",
        "forwarded",
        "expect",
    ] {
        if !values(name).is_empty() {
            return wrong(name);
        }
    }
    for (name, only) in [
        ("x-forwarded-for", "127.0.0.1"),
        ("x-real-ip", "127.0.0.1"),
        ("x-forwarded-proto", "http"),
    ] {
        if values(name) != [only.as_bytes()] {
            return wrong(name);
        }
    }
    // A request in HTTP/1.0 need not name a host: its upstream is told its own, and that nobody named one.
    let names_none = values("x-forwarded-host").is_empty()
        && matches!(values("host")[..], [host] if host.starts_with(b"127.0.0.1:"));
    if !names_none && values("x-forwarded-host") != values("host") {
        return wrong("X-Forwarded-Host");
    }
    let (connection, upgrade) = (values("connection"), values("upgrade"));
    let is_ordinary = connection.is_empty() && upgrade.is_empty();
    if !is_ordinary && !message.is_upgrade() {
        return wrong("neither an upgrade request nor an ordinary one");
    }
    Ok(())
}
