//! Finds the differences between the listeners and certificates of two configurations.

use std::collections::BTreeMap;
use std::path::Path;

use time::OffsetDateTime;

use crate::server::changes::Change;
use crate::server::changes::ChangeSign;
use crate::server::changes::ServingState;
use crate::server::listeners::ListenerId;
use crate::server::listeners::Listeners;
use crate::server::listeners::OpenListener;
use crate::tls::Certificate;

/// The listeners that were added, removed or changed.
pub(super) fn listeners(
    before: ServingState<'_>,
    after: ServingState<'_>,
    changes: &mut Vec<Change>,
) {
    let mut gone: BTreeMap<_, _> = of(before).collect();
    for (id, (listener, line)) in of(after) {
        let place = Some(after.config.place(line));
        let change = |sign, detail| Change {
            sign,
            kind: "listen",
            name: listener.address.to_string(),
            detail,
            place,
        };
        let now = settings(listener);
        match gone.remove(&id) {
            None => changes.push(change(ChangeSign::Added, now)),
            Some((was, _)) if settings(was) != now => {
                let now = if now.is_empty() { "plain".into() } else { now };
                changes.push(change(ChangeSign::Changed, now));
            }
            Some(_) => {}
        }
    }
    changes.extend(gone.into_values().map(|(listener, _)| Change {
        sign: ChangeSign::Removed,
        kind: "listen",
        name: listener.address.to_string(),
        detail: "(its connections go on)".to_owned(),
        place: None,
    }));
}

/// The listeners of a configuration by their identity, each with its line in the file.
fn of(state: ServingState<'_>) -> impl Iterator<Item = (ListenerId, (&OpenListener, usize))> {
    let lines = state.config.listeners.iter().map(|written| written.line);
    let all = state.listeners.all.iter().zip(lines);
    all.map(|(listener, line)| (listener.id, (listener, line)))
}

/// What a client meets at a listener: TLS, a redirect, a PROXY header, the mode of a Unix socket.
fn settings(listener: &OpenListener) -> String {
    let settings = listener.settings();
    let meets = match (&settings.tls, settings.redirect) {
        (Some(_), _) => "tls".to_owned(),
        (None, Some(to)) => format!("redirect to https on port {}", to.port),
        (None, None) => String::new(),
    };
    let announced = settings.proxy_protocol.then(|| "proxy_protocol".to_owned());
    let mode = listener.address.path();
    let mode = mode.map(|_| format!("mode {:04o}", listener.mode));
    let all = Some(meets).filter(|meets| !meets.is_empty());
    let all: Vec<String> = all.into_iter().chain(announced).chain(mode).collect();
    all.join(", ")
}

/// The certificates that were added, removed or changed. One that several listeners show counts once.
pub(super) fn certificates(
    before: ServingState<'_>,
    after: ServingState<'_>,
    changes: &mut Vec<Change>,
) {
    let mut gone: BTreeMap<&Path, &Certificate> = pairs(before.listeners);
    for (path, pair) in pairs(after.listeners) {
        match gone.remove(path) {
            None => changes.push(certificate(ChangeSign::Added, pair)),
            Some(was) if !was.shows_the_same_as(pair) => {
                changes.push(certificate(ChangeSign::Changed, pair));
            }
            Some(_) => {}
        }
    }
    changes.extend(
        gone.into_values()
            .map(|pair| certificate(ChangeSign::Removed, pair)),
    );
}

/// The certificates of all listeners by their files.
fn pairs(listeners: &Listeners) -> BTreeMap<&Path, &Certificate> {
    let pairs = listeners.all.iter().flat_map(|listener| &listener.pairs);
    pairs.map(|pair| (pair.path(), pair)).collect()
}

/// The difference of a certificate.
pub(in crate::server) fn certificate(sign: ChangeSign, pair: &Certificate) -> Change {
    Change {
        sign,
        kind: "tls",
        name: format!(
            "{}, valid until {}",
            pair.names().join(", "),
            day(pair.not_after())
        ),
        detail: String::new(),
        place: Some(pair.path().display().to_string()),
    }
}

/// The day of a moment: `2026-12-01`.
fn day(moment: OffsetDateTime) -> String {
    moment.date().to_string()
}
