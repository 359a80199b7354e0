//! Finds the differences between the keys at the top of two configurations.

use crate::config::AccessLog;
use crate::config::Config;
use crate::server::changes::Change;
use crate::server::changes::ChangeSign;
use crate::server::changes::ServingState;
use crate::server::changes::from_to;

/// The keys at the top with different values. A key that is not read through `by_key` needs a comparison here.
pub(super) fn settings(
    before: ServingState<'_>,
    after: ServingState<'_>,
    changes: &mut Vec<Change>,
) {
    let mut changed = |kind, name| {
        changes.push(Change {
            sign: ChangeSign::Changed,
            kind,
            name,
            detail: String::new(),
            place: None,
        });
    };
    let (was, is) = (before.config, after.config);
    let (mut old, mut new) = (was.limits, is.limits);
    for ((key, was), (_, is)) in old.by_key().zip(new.by_key()) {
        if was != is {
            changed(key, from_to(*was, *is));
        }
    }
    if was.drain_timeout != is.drain_timeout {
        changed(
            "drain_timeout",
            from_to(was.drain_timeout, is.drain_timeout),
        );
    }
    for ((key, name, was), (_, _, is)) in counts(was).into_iter().zip(counts(is)) {
        if was != is {
            changed(key, format!("{name}{is} (was {was})"));
        }
    }
    if was.access_log != is.access_log {
        let word = match is.access_log {
            AccessLog::On => "on",
            AccessLog::Off => "off",
        };
        changed("access_log", word.to_owned());
    }
    if was.trusted_proxies != is.trusted_proxies {
        changed("trusted_proxies", is.trusted_proxies.to_string());
    }
    if was.threads != is.threads {
        let (wanted, serve) = (is.threads.get(), after.threads);
        let name = if wanted == serve {
            format!("{wanted}, as now")
        } else {
            format!("{wanted} takes effect at the next start; until then {serve}")
        };
        changed("threads", name);
    }
}

/// The keys at the top that are a number or no limit: the key, what a message puts before the number, and the number.
fn counts(config: &Config) -> [(&'static str, &'static str, String); 3] {
    let per_ip = config.per_ip;
    let handshakes = count(per_ip.handshakes_per_second, "no limit");
    [
        (
            "max_connections",
            "",
            count(config.max_connections, "what descriptors allow"),
        ),
        (
            "per_ip",
            "connections: ",
            count(per_ip.connections, "no limit"),
        ),
        ("per_ip", "handshakes_per_second: ", handshakes),
    ]
}

/// A number, or the words for the case without one.
fn count(most: Option<impl ToString>, without: &str) -> String {
    most.map_or_else(|| without.to_owned(), |most| most.to_string())
}
