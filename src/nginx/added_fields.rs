//! Translates what nginx changes in the fields of answers: `add_header`, `proxy_hide_header`, `proxy_pass_header`.

use http::HeaderName;
use http::HeaderValue;

use crate::answer_fields::is_fixed;
use crate::nginx::notes::Notes;
use crate::nginx::scope::Scope;
use crate::nginx::tree::Directive;
use crate::nginx::variables::Constants;

/// What a route changes in the fields of answers.
#[derive(Clone, Debug, Default)]
pub(super) struct ChangedFields {
    /// Fields that are added, and their values; each name once.
    pub(super) added: Vec<(String, Vec<AddedValue>)>,
    /// Fields of an upstream's answer that do not go on.
    pub(super) hidden: Vec<String>,
}

/// A value of a field that is added.
#[derive(Clone, Debug)]
pub(super) struct AddedValue {
    pub(super) text: String,
    /// Whether every answer gets it, and not only those that went well.
    pub(super) always: bool,
}

/// The field that makes browsers come by https alone. They ignore it where they came by http (RFC 6797 §8.1).
const HSTS: &str = "strict-transport-security";

impl ChangedFields {
    /// What is in force in `scope`. What cannot be said is noted in `comments`.
    pub(super) fn of(
        scope: &Scope<'_>,
        constants: &Constants,
        notes: &mut Notes<'_>,
        comments: &mut Vec<String>,
    ) -> Self {
        let mut changed = Self::default();
        for directive in &scope.added_fields {
            match added(directive, constants) {
                Ok(value) => changed.add(directive.arg(0), value),
                Err(why) => comments.push(notes.left(directive, why)),
            }
        }
        for directive in &scope.hidden_fields {
            let name = directive.arg(0);
            let is_it = |other: &str| other.eq_ignore_ascii_case(name);
            let passes = scope.passed_fields.iter().any(|one| is_it(one.arg(0)));
            if passes || changed.hidden.iter().any(|known| is_it(known)) {
                continue;
            }
            match changeable(name) {
                Ok(()) => changed.hidden.push(name.to_owned()),
                Err(why) => comments.push(notes.left(directive, why)),
            }
        }
        changed
    }

    fn add(&mut self, name: &str, value: AddedValue) {
        let mut known = self.added.iter_mut();
        match known.find(|(known, _)| known.eq_ignore_ascii_case(name)) {
            Some((_, values)) => values.push(value),
            None => self.added.push((name.to_owned(), vec![value])),
        }
    }

    /// Whether nothing is added that a client heeds which came by http.
    pub(super) fn adds_nothing_over_http(&self) -> bool {
        let mut added = self.added.iter();
        added.all(|(name, _)| name.eq_ignore_ascii_case(HSTS))
    }
}

/// The value that an `add_header` adds.
///
/// # Errors
/// The reason why `add_headers` cannot have it.
fn added(directive: &Directive, constants: &Constants) -> Result<AddedValue, String> {
    changeable(directive.arg(0))?;
    let constants = constants.clone().with_other_ports();
    let text = constants.fill(directive.arg(1), &[])?;
    if HeaderValue::from_str(&text).is_err() || !text.is_ascii() {
        return Err("its value has characters that no field may have".to_owned());
    }
    Ok(AddedValue {
        text,
        always: directive.arg(2) == "always",
    })
}

/// Whether a route may change this field.
///
/// # Errors
/// The reason why not.
fn changeable(name: &str) -> Result<(), String> {
    match HeaderName::from_bytes(name.as_bytes()) {
        Err(_) => Err("no field has this name".to_owned()),
        Ok(name) if is_fixed(&name) => {
            Err("it belongs to a connection, or to a WebSocket's handshake".to_owned())
        }
        Ok(_) => Ok(()),
    }
}
