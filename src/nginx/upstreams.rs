//! Reads `upstream` blocks, and resolves what a `proxy_pass` means with them.

use std::collections::HashMap;

use crate::headers::host;
use crate::nginx::notes::Notes;
use crate::nginx::tree::Directive;
use crate::nginx::tree::all;
use crate::upstream::ProxyPass;

/// The `upstream` blocks, by their names in lower case.
#[derive(Debug, Default)]
pub(super) struct Groups<'t>(HashMap<String, &'t Directive>);

/// The upstream of a `proxy_pass`, with its address in the place of a group's name.
#[derive(Debug)]
pub(super) struct ResolvedUpstream {
    /// The value of `proxy_pass` in `routes.yaml`.
    pub(super) to: ProxyPass,
    /// The value of nginx's `$proxy_host`, which it sends as `Host` where no other is set: what stands in `proxy_pass`,
    /// without the port that the scheme has anyway.
    pub(super) proxy_host: String,
    /// The value of nginx's `$proxy_port`.
    pub(super) proxy_port: String,
    /// The comments for the route.
    pub(super) comments: Vec<String>,
}

impl<'t> Groups<'t> {
    /// The `upstream` blocks among the directives of `http`.
    pub(super) fn of(http: &'t [Directive]) -> Self {
        let named = all(http, "upstream").map(|group| (group.arg(0).to_ascii_lowercase(), group));
        Self(named.collect())
    }

    /// The upstream to which a `proxy_pass` with the value `text` leads.
    ///
    /// # Errors
    /// The reason why that cannot be written in a `routes.yaml`.
    pub(super) fn resolve(
        &self,
        text: &str,
        notes: &mut Notes<'_>,
    ) -> Result<ResolvedUpstream, String> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err("it begins with neither `http://` nor `https://`".to_owned());
        };
        let scheme = scheme.to_ascii_lowercase();
        let end = match rest.strip_prefix("unix:") {
            Some(path) => path.find(':').map_or(rest.len(), |at| at + "unix:".len()),
            None => rest.find(['/', '?']).unwrap_or(rest.len()),
        };
        let (authority, uri) = rest.split_at(end);
        let mut comments = Vec::new();
        let group = self.0.get(&authority.to_ascii_lowercase());
        let address = match group {
            Some(group) => server_of(group, notes, &mut comments)?,
            None if authority.starts_with("unix:") => authority.to_owned(),
            None => with_port(authority, if scheme == "https" { 443 } else { 80 }),
        };
        let uri = match (address.starts_with("unix:"), uri.strip_prefix(':')) {
            (true, None) if !uri.is_empty() => format!(":{uri}"),
            (false, Some(uri)) => uri.to_owned(),
            _ => uri.to_owned(),
        };
        let to = format!("{scheme}://{address}{uri}");
        let to: ProxyPass = to.parse().map_err(|error| format!("{error}"))?;
        let (proxy_host, proxy_port) = own_host(authority, &scheme);
        if !host::is_valid(proxy_host.as_bytes()) {
            return Err(format!("no `Host` can name `{proxy_host}`"));
        }
        Ok(ResolvedUpstream {
            proxy_host,
            proxy_port,
            to,
            comments,
        })
    }
}

/// The values of nginx's `$proxy_host` and `$proxy_port` for what stands in a `proxy_pass`.
fn own_host(authority: &str, scheme: &str) -> (String, String) {
    if authority.starts_with("unix:") {
        return ("localhost".to_owned(), String::new());
    }
    let default = if scheme == "https" { "443" } else { "80" };
    let behind = authority.rfind(']').unwrap_or(0);
    match authority[behind..].split_once(':') {
        Some((name, port)) if port != default => (
            format!("{}{name}:{port}", &authority[..behind]),
            port.to_owned(),
        ),
        Some((name, _)) => (
            format!("{}{name}", &authority[..behind]),
            default.to_owned(),
        ),
        None => (authority.to_owned(), default.to_owned()),
    }
}

/// The address of a group's server. Of several it is the first that is neither `down` nor `backup`, and the others are
/// noted in `comments`.
///
/// # Errors
/// The group has no server.
fn server_of(
    group: &Directive,
    notes: &mut Notes<'_>,
    comments: &mut Vec<String>,
) -> Result<String, String> {
    let rests = |server: &Directive| {
        server
            .args
            .iter()
            .any(|arg| arg == "down" || arg == "backup")
    };
    let servers: Vec<&Directive> = all(group.inside(), "server").collect();
    let first = servers
        .iter()
        .copied()
        .find(|server| !rests(server))
        .or(servers.first().copied());
    let Some(first) = first else {
        return Err(format!("the upstream `{}` has no `server`", group.arg(0)));
    };
    if servers
        .iter()
        .all(|server| server.args.iter().any(|arg| arg == "down"))
    {
        return Err(format!("every `server` of `{}` is down", group.arg(0)));
    }
    if let Some(most) = first.args.iter().find(|arg| arg.starts_with("max_conns=")) {
        comments.push(notes.left(
            first,
            format!("`{most}`: an upstream has as many connections as clients need"),
        ));
    }
    let address = first.arg(0);
    if servers.len() > 1 {
        comments.push(notes.left(group, why_alone(first, &servers, group)));
    }
    for directive in group.inside() {
        if directive.name != "server" && servers.len() == 1 {
            notes.needless(
                directive,
                "one server is asked, over connections of each client's own",
            );
        }
    }
    Ok(if address.starts_with("unix:") {
        address.to_owned()
    } else {
        with_port(address, 80)
    })
}

/// Why only the `first` of several servers of a group is asked.
fn why_alone(first: &Directive, servers: &[&Directive], group: &Directive) -> String {
    let balance = group.inside().iter().find(|directive| {
        matches!(
            directive.name.as_str(),
            "ip_hash" | "least_conn" | "hash" | "random" | "sticky"
        )
    });
    let by = balance
        .map(|by| format!(" by `{}`", by.name))
        .unwrap_or_default();
    let others: Vec<&str> = servers
        .iter()
        .filter(|server| !std::ptr::eq(**server, first))
        .map(|server| server.arg(0))
        .collect();
    format!(
        "its {} servers{by} become the first, {}; groups are planned (without: {})",
        servers.len(),
        first.arg(0),
        others.join(", ")
    )
}

/// An address with `port` behind it, if it has no port of its own.
fn with_port(authority: &str, port: u16) -> String {
    let behind = authority.rfind(']').unwrap_or(0);
    if authority[behind..].contains(':') {
        authority.to_owned()
    } else {
        format!("{authority}:{port}")
    }
}
