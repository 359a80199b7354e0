//! Host and port of a `proxy_pass`.

use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::ops::Range;

use crate::upstream::proxy_pass::Host;
use crate::upstream::proxy_pass::Problem;
use crate::upstream::proxy_pass::ProxyPassError;
use crate::upstream::proxy_pass::Scheme;

/// Host and port of an authority that begins at `start` of the whole text. Only a name may be without a port: it is that of a group.
pub(super) fn read(
    authority: &str,
    scheme: Scheme,
    start: usize,
) -> Result<(Host, Option<u16>), ProxyPassError> {
    let wrong = |problem, span: Range<usize>| {
        Err(ProxyPassError {
            problem,
            span: start + span.start..start + span.end,
        })
    };
    let whole = 0..authority.len();
    if let Some(inside) = authority.strip_prefix('[') {
        return match read_bracketed(inside, scheme) {
            Ok((host, port)) => Ok((host, Some(port))),
            Err((problem, span)) => wrong(problem, span),
        };
    }
    if authority.matches(':').count() > 1 {
        let problem = if authority.starts_with(|c: char| c == ':' || c.is_ascii_hexdigit()) {
            Problem::BareIpv6
        } else {
            Problem::BadHost
        };
        return wrong(problem, whole);
    }
    let (name, port) = match authority.split_once(':') {
        Some((name, port)) => (name, Some(port)),
        None => (authority, None),
    };
    if name.is_empty() {
        return wrong(Problem::NoHost, whole);
    }
    let host = match read_host(name) {
        Ok(host) => host,
        Err(problem) => return wrong(problem, 0..name.len()),
    };
    let Some(written) = port else {
        let port = match host {
            Host::Ip(_) => Some(scheme.port()),
            Host::Name(_) => None,
        };
        return Ok((host, port));
    };
    match read_port(written) {
        Some(port) => Ok((host, Some(port))),
        None => wrong(bad_port(written), name.len()..whole.end),
    }
}

/// An IPv6 address in brackets and perhaps a port; `inside` is what stands behind the opening bracket. What is wrong comes with its
/// place in the authority.
fn read_bracketed(inside: &str, scheme: Scheme) -> Result<(Host, u16), (Problem, Range<usize>)> {
    let length = "[".len() + inside.len();
    let Some(end) = inside.find(']') else {
        return Err((Problem::BadIpv6, 0..length));
    };
    let behind = "[]".len() + end;
    let ip = inside[..end].parse::<Ipv6Addr>();
    let ip = ip.map_err(|_| (Problem::BadIpv6, 0..behind))?;
    let port = match &inside[end + "]".len()..] {
        "" => scheme.port(),
        rest => {
            let port = rest.strip_prefix(':');
            let port = port.ok_or((Problem::NoColon, behind..length))?;
            read_port(port).ok_or_else(|| (bad_port(port), behind..length))?
        }
    };
    Ok((Host::Ip(ip.into()), port))
}

fn read_host(name: &str) -> Result<Host, Problem> {
    if let Ok(ip) = name.parse::<Ipv4Addr>() {
        return Ok(Host::Ip(ip.into()));
    }
    let labels = name.strip_suffix('.').unwrap_or(name);
    // A last label of digits only is read as an address by resolvers, never as a name (RFC 1123 §2.1).
    if labels
        .rsplit('.')
        .next()
        .is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()))
    {
        return Err(
            if labels
                .bytes()
                .all(|byte| byte.is_ascii_digit() || byte == b'.')
            {
                Problem::BadIpv4
            } else {
                Problem::BadHost
            },
        );
    }
    let fits = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    if labels.len() <= 253 && labels.split('.').all(fits) {
        Ok(Host::Name(name.to_ascii_lowercase()))
    } else {
        Err(Problem::BadHost)
    }
}

fn bad_port(text: &str) -> Problem {
    Problem::BadPort {
        port: text.to_owned(),
    }
}

fn read_port(text: &str) -> Option<u16> {
    // `parse` would accept a plus sign.
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port != 0)
}
