//! What a person should know about the certificates of listeners: some clients may refuse them, or no client that asks for
//! a host of the routes is shown one that is for it. These are warnings, since other clients are served.

use std::collections::BTreeSet;
use std::collections::HashSet;
use std::ops::Range;

use crate::config::Listener;
use crate::config::Tls;
use crate::config::check::Checker;
use crate::config::check::RouteHosts;
use crate::config::diagnostic::Severity;
use crate::config::diagnostic::quoted;
use crate::routing::HostPattern;
use crate::tls::Certificate;
use crate::tls::KnownRoots;

/// Says what there is to say about each certificate that was read, once for each file, and about the hosts of routes.
pub(super) fn remark(listeners: &[Listener], checker: &mut Checker<'_>) {
    let mut certificates = std::mem::take(&mut checker.certificates);
    if certificates.is_empty() {
        return;
    }
    let mut known_files = BTreeSet::new();
    certificates.retain(|(_, certificate)| known_files.insert(certificate.path().to_owned()));
    let known = KnownRoots::system();
    for (place, certificate) in &certificates {
        for remark in certificate.remarks(&known, checker.now) {
            checker
                .warning(place, remark.to_string())
                .help(remark.help());
        }
    }
    let is_self_signed = |listener: &Listener| matches!(listener.tls, Some(Tls::SelfSigned { .. }));
    let mut found = checker.found.iter();
    // Somebody tries things out, or what is missing here is wrong there.
    if listeners.iter().any(is_self_signed) || found.any(|one| one.severity() == Severity::Error) {
        return;
    }
    let hosts = std::mem::take(&mut checker.hosts);
    judge_hosts(&certificates, &hosts, checker);
}

/// Warns of hosts of routes that no certificate is for, once for each, and of certificates that are for none of them.
fn judge_hosts(
    certificates: &[(Range<usize>, Certificate)],
    routes: &[RouteHosts],
    checker: &mut Checker<'_>,
) {
    let mut judged = HashSet::new();
    let over_tls = routes.iter().filter(|route| route.has_tls);
    for (place, hosts) in over_tls.filter_map(|route| route.placed.as_ref()) {
        for host in hosts {
            // A host has as many routes as it has locations.
            if !judged.insert(host) {
                continue;
            }
            let mut all = certificates.iter().map(|(_, certificate)| certificate);
            if !all.any(|certificate| is_for(certificate, host)) {
                let all = certificates.iter().map(|(_, certificate)| certificate);
                let near = all.flat_map(|certificate| near(certificate, host)).next();
                without_certificate(host, near, place, checker);
            }
        }
    }
    for (place, certificate) in certificates {
        let mut routes = routes.iter();
        let is_used = |route: &RouteHosts| match &route.placed {
            Some((_, hosts)) => hosts.iter().any(|host| is_for(certificate, host)),
            None => true,
        };
        if !certificate.names().is_empty() && !routes.any(is_used) {
            let message = format!(
                "certificate {} is for {}, and no route is for such a host",
                certificate.path().display(),
                certificate.names().join(", ")
            );
            checker
                .warning(place, message)
                .help("is it the right file, or does a route lack its `host`?");
        }
    }
}

/// Warns of a host that no certificate is for; `near` is a name that people might take to stand for it.
fn without_certificate(
    host: &HostPattern,
    near: Option<&str>,
    place: &Range<usize>,
    checker: &mut Checker<'_>,
) {
    let message = format!(
        "no certificate under `listen` is for the host {}: clients refuse it over TLS",
        quoted(&host.to_string())
    );
    let warning = checker.warning(place, message);
    if let Some(near) = near {
        warning.label(format!(
            "{} stands for exactly one label in front",
            quoted(near)
        ));
    }
    warning.help("add a pair below `tls` whose certificate names it");
}

/// Whether some client that asks for the host is shown a certificate that is for it.
fn is_for(certificate: &Certificate, host: &HostPattern) -> bool {
    let written = host.to_string();
    certificate.is_for(&written)
        || certificate.names().iter().any(|name| {
            // One of the hosts that a certificate with a star is for.
            let example = name.replacen('*', "a", 1);
            *name == written || (written.contains('*') && host.covers(&example))
        })
}

/// The name with a star that ends as the host does, though the host has no label in place of the star, or several.
fn near<'c>(certificate: &'c Certificate, host: &HostPattern) -> Option<&'c str> {
    let written = host.to_string();
    let mut names = certificate.names().iter();
    let is_near = |name: &&String| match name.strip_prefix("*.") {
        Some(parent) => match written.strip_suffix(parent) {
            Some(front) => front.is_empty() || front.ends_with('.'),
            None => false,
        },
        None => false,
    };
    names.find(is_near).map(String::as_str)
}
