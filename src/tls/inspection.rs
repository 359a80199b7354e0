//! Looks at a certificate as browsers and phones do, and finds the reasons for which some of them may refuse it.
//!
//! Those for which all of them would are errors of [`Certificate::load`](crate::tls::Certificate::load). Nothing is
//! fetched, neither a missing certificate nor a revocation list.

use std::net::IpAddr;

use time::Duration;
use time::OffsetDateTime;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::extensions::ParsedExtension;
use x509_parser::oid_registry::OID_PKIX_ACCESS_DESCRIPTOR_CA_ISSUERS;
use x509_parser::x509::X509Name;

use crate::tls::chain::Chain;
use crate::tls::chain::ChainEnd;
use crate::tls::chain::Root;
use crate::tls::known_roots::KnownRoots;
use crate::tls::names::alternative_names;
use crate::tls::remark::Matter;
use crate::tls::remark::Weakness;
use crate::tls::remark::Which;
use crate::tls::signature::is_self_signed;
use crate::tls::signature::rsa_bits;

/// How long before its end a certificate is remarked upon. Who renews by ACME does so 30 days before, so that one with
/// less than 21 was not renewed for more than a week. One for less than 84 days is renewed later, mostly when a third of
/// its time is left, and is remarked upon in the last quarter.
pub const NOTICE: Duration = Duration::days(21);

/// What there is to say about the certificates of a file, of which the server's own is the first.
pub(super) fn matters(
    all: &[X509Certificate<'_>],
    known: &KnownRoots,
    now: OffsetDateTime,
) -> Vec<Matter> {
    let chain = Chain::new(all);
    let mut matters = whole(all, &chain, known, now);
    for at in 1..all.len() {
        let which = which(all, at);
        if chain.repeated().contains(&at) {
            matters.push(Matter::Twice(which));
        } else if chain.foreign().any(|foreign| foreign == at) {
            matters.push(Matter::Foreign(which));
        }
    }
    if !chain.is_in_order() {
        let order = chain.path().iter().map(|at| which(all, *at));
        matters.push(Matter::Order(order.collect()));
    }
    for at in chain.path() {
        let in_time = dates(all, *at, now);
        // An authority's certificate that is out of date is to be taken out, whatever else it is.
        let root = match in_time {
            Some(Matter::Expired { .. }) => None,
            _ => chain.is_root(*at, known, now),
        };
        matters.extend(in_time);
        matters.extend(root.map(|root| match root {
            Root::Itself => Matter::Root(which(all, *at)),
            Root::CrossSigned => Matter::CrossSigned {
                which: which(all, *at),
                issuer: shown(all[*at].issuer()),
            },
        }));
        matters.extend(weaknesses(all, *at));
    }
    matters
}

/// What there is to say about the dates of these certificates alone.
pub(super) fn terms(all: &[X509Certificate<'_>], now: OffsetDateTime) -> Vec<Matter> {
    let chain = Chain::new(all);
    let path = chain.path().iter();
    path.filter_map(|at| dates(all, *at, now)).collect()
}

/// Who vouches for the server's own certificate, and for what.
fn whole(
    all: &[X509Certificate<'_>],
    chain: &Chain<'_>,
    known: &KnownRoots,
    now: OffsetDateTime,
) -> Vec<Matter> {
    let own = &all[0];
    let names = alternative_names(own);
    // No other machine gets there, and whoever has made this one knows it.
    let is_local = !names.is_empty() && names.iter().all(|name| is_loopback(name));
    let mut matters = Vec::new();
    match chain.end(known, now) {
        ChainEnd::Itself(0) => {
            // All else is of no account where nobody trusts it.
            let names_host = !names.is_empty();
            return if is_local {
                Vec::new()
            } else {
                vec![Matter::SelfSigned { names_host }]
            };
        }
        ChainEnd::Missing(at) if !is_local => matters.push(Matter::Incomplete {
            which: which(all, at),
            issuer: shown(all[at].issuer()),
            offered_at: offered_at(&all[at]),
        }),
        // For such names no public authority issues anything: that of the file is meant to be the only one.
        ChainEnd::Itself(at) if !names.iter().all(|name| is_private(name)) => {
            matters.push(Matter::UnknownAuthority(which(all, at)));
        }
        ChainEnd::Known | ChainEnd::Itself(_) | ChainEnd::Missing(_) | ChainEnd::Open => {}
    }
    if names.is_empty() {
        let common = own.subject().iter_common_name();
        let mut common = common.filter_map(|name| name.as_str().ok());
        matters.push(Matter::NoHost(common.next().map(printable)));
    }
    let usage = own.extended_key_usage().ok().flatten();
    if usage.is_some_and(|usage| !usage.value.server_auth && !usage.value.any) {
        matters.push(Matter::NotForServers);
    }
    matters
}

/// What there is to say about the dates of a certificate.
fn dates(all: &[X509Certificate<'_>], at: usize, now: OffsetDateTime) -> Option<Matter> {
    let validity = all[at].validity();
    let not_before = validity.not_before.to_datetime();
    let not_after = validity.not_after.to_datetime();
    let which = which(all, at);
    if now > not_after {
        Some(Matter::Expired { which, not_after })
    } else if now < not_before {
        Some(Matter::NotYetValid { which, not_before })
    } else if not_after - now <= NOTICE.min((not_after - not_before) / 4) {
        let days = (not_after - now).whole_days();
        Some(Matter::EndsSoon {
            which,
            not_after,
            days,
        })
    } else {
        None
    }
}

/// What is weak about a certificate. The signature of one that has signed itself is verified by nobody.
fn weaknesses(all: &[X509Certificate<'_>], at: usize) -> Vec<Matter> {
    let certificate = &all[at];
    if is_self_signed(certificate) {
        return Vec::new();
    }
    let digest = match certificate
        .signature_algorithm
        .algorithm
        .to_id_string()
        .as_str()
    {
        "1.2.840.113549.1.1.4" => Some("MD5"),
        "1.2.840.113549.1.1.5" | "1.2.840.10045.4.1" | "1.3.14.3.2.29" => Some("SHA-1"),
        _ => None,
    };
    let key = certificate.public_key();
    let small = rsa_bits(key).filter(|bits| *bits < 2048);
    let curve = key.algorithm.parameters.as_ref();
    let curve = curve.and_then(|curve| curve.as_oid().ok());
    let kind = key.algorithm.algorithm.to_id_string();
    let rare = match (kind.as_str(), curve) {
        ("1.3.101.112", _) => Some("Ed25519"),
        (_, Some(curve)) if curve.to_id_string() == "1.3.132.0.35" => Some("ECDSA on P-521"),
        _ => None,
    };
    [
        digest.map(Weakness::Digest),
        small.map(Weakness::Rsa),
        rare.map(Weakness::Rare),
    ]
    .into_iter()
    .flatten()
    .map(|what| Matter::Weak {
        which: which(all, at),
        what,
    })
    .collect()
}

fn which(all: &[X509Certificate<'_>], at: usize) -> Which {
    let certificate = &all[at];
    Which {
        number: at + 1,
        name: match at {
            0 => alternative_names(certificate).join(", "),
            _ => shown(certificate.subject()),
        },
    }
}

/// A name as a person knows it: `R10 (Let's Encrypt)`.
fn shown(name: &X509Name<'_>) -> String {
    let common = name.iter_common_name().next();
    let organization = name.iter_organization().next();
    let text = |part: Option<&x509_parser::x509::AttributeTypeAndValue<'_>>| {
        part.and_then(|part| part.as_str().ok()).map(printable)
    };
    match (text(common), text(organization)) {
        (Some(common), Some(organization)) if common != organization => {
            format!("{common} ({organization})")
        }
        (Some(name), _) | (None, Some(name)) => name,
        (None, None) => printable(&name.to_string()),
    }
}

/// A text of a certificate without control characters.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

/// Where the issuer of a certificate offers its own (RFC 5280 §4.2.2.1), if that is a plain `http` address.
fn offered_at(certificate: &X509Certificate<'_>) -> Option<String> {
    let extensions = certificate.extensions().iter();
    let access = extensions.filter_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityInfoAccess(access) => Some(access),
        _ => None,
    });
    let offers = access.flat_map(|access| access.accessdescs.iter());
    let mut urls = offers.filter_map(|offer| match &offer.access_location {
        GeneralName::URI(url) if offer.access_method == OID_PKIX_ACCESS_DESCRIPTOR_CA_ISSUERS => {
            Some(*url)
        }
        _ => None,
    });
    // It is shown in a command: no character of it may mean anything to a shell.
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/:._-~%".contains(c);
    urls.find(|url| url.starts_with("http://") && url.chars().all(is_plain))
        .map(str::to_owned)
}

/// Whether a name or an address is that of the machine itself (RFC 6761 §6.3).
fn is_loopback(name: &str) -> bool {
    match name.parse::<IpAddr>() {
        Ok(ip) => ip.is_loopback(),
        Err(_) => name == "localhost" || name.ends_with(".localhost"),
    }
}

/// Whether no public authority issues a certificate for this name or address: one of an inner network, or reserved for
/// tests and documents (RFC 2606, RFC 6762, RFC 8375, and ICANN's `internal`).
fn is_private(name: &str) -> bool {
    const TOP: [&str; 11] = [
        "localhost",
        "test",
        "example",
        "invalid",
        "local",
        "internal",
        "lan",
        "home",
        "corp",
        "intranet",
        "private",
    ];
    match name.parse::<IpAddr>() {
        Ok(IpAddr::V4(ip)) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        Ok(IpAddr::V6(ip)) => {
            ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local()
        }
        Err(_) => match name.rsplit_once('.') {
            None => true,
            Some((_, top)) => TOP.contains(&top) || name.ends_with(".home.arpa"),
        },
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
