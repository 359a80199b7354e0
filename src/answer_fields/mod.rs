//! What a route changes in the fields of answers: nginx's `add_header` and `proxy_hide_header`.
//!
//! [`AnswerFields`] is what `routes.yaml` says of a route. [`AnswerChanges`] is that for one request, made when its route is
//! known, and the one door through which the head of every answer to it goes: an upstream's, in whichever form it is there, and
//! wsgate's own. Never changed are a connection's own fields, those of framing, and those of a WebSocket's handshake
//! ([`is_fixed`]). Pure.

mod added;

use std::sync::Arc;

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::StatusCode;
use http::header;
use http::response::Parts;

pub use crate::answer_fields::added::AddedField;
pub use crate::answer_fields::added::AddedTo;
pub use crate::answer_fields::added::SUCCESSES;
use crate::headers::hop_by_hop;
use crate::headers::spelling::Spelling;
use crate::headers::spelling::WrittenName;
use crate::http1::BufferedAnswer;
use crate::http1::LineBecomes;
use crate::template::OwnedVariables;
use crate::template::Variables;

/// What a route changes in the fields of answers.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct AnswerFields {
    /// What it adds: `add_headers`.
    pub added: Vec<AddedField>,
    /// What of an upstream's answer does not go on: `hide_headers`.
    pub hidden: Vec<WrittenName>,
}

/// Whether no route may add, hide or change a field of this name: one of a connection, of a body's framing, or of the opening
/// handshake of a WebSocket.
pub fn is_fixed(name: &HeaderName) -> bool {
    hop_by_hop::is_one(name.as_str())
        || *name == header::CONTENT_LENGTH
        || name.as_str().starts_with("sec-websocket-")
}

impl AnswerFields {
    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.hidden.is_empty()
    }

    /// What is changed in the answer to a request for which the variables stand for this.
    pub fn changes(self: &Arc<Self>, variables: Variables<'_>) -> AnswerChanges {
        AnswerChanges {
            fields: Arc::clone(self),
            variables: variables.to_owned(),
        }
    }

    fn hides(&self, name: &[u8]) -> bool {
        let mut hidden = self.hidden.iter();
        hidden.any(|hidden| hidden.as_str().as_bytes().eq_ignore_ascii_case(name))
    }
}

/// What a route changes in the answer to one request.
#[derive(Debug)]
pub struct AnswerChanges {
    fields: Arc<AnswerFields>,
    variables: OwnedVariables,
}

impl AnswerChanges {
    /// Changes wsgate's own answer: fields are added to it, and nothing else. Returns how the names of these are spelled.
    pub fn change_own(&self, head: &mut Parts) -> Spelling {
        self.add(head)
    }

    /// Changes an upstream's answer. Returns how the names of the added fields are spelled.
    pub fn change(&self, head: &mut Parts) -> Spelling {
        self.change_sent(&mut head.headers);
        self.add(head)
    }

    /// Changes an upstream's 101, which goes on with what the upstream said and gets nothing added.
    pub fn change_switch(&self, head: &mut Parts) {
        self.change_sent(&mut head.headers);
    }

    /// Changes an upstream's answer that goes on as bytes, as [`change`](Self::change) does.
    pub fn change_buffered(&self, answer: &mut BufferedAnswer) {
        let added = self.added(answer.status);
        let replaced: Vec<&[u8]> = added
            .iter()
            .filter(|(field, _)| field.replaces())
            .map(|(field, _)| field.name.as_str().as_bytes())
            .collect();
        answer.change_lines(|name, _| {
            let mut replaced = replaced.iter();
            if self.fields.hides(name) || replaced.any(|known| known.eq_ignore_ascii_case(name)) {
                return LineBecomes::Nothing;
            }
            LineBecomes::Itself
        });
        for (field, value) in &added {
            if !value.is_empty() {
                answer.add_line(field.name.as_str(), value);
            }
        }
    }

    /// Changes the fields that an upstream sent.
    fn change_sent(&self, headers: &mut HeaderMap) {
        for hidden in &self.fields.hidden {
            headers.remove(hidden.name());
        }
    }

    /// Adds fields; returns how their names are spelled, as far as hyper would not spell them so by itself.
    fn add(&self, head: &mut Parts) -> Spelling {
        let mut spelled = Vec::new();
        for (field, value) in self.added(head.status) {
            let name = field.name.name();
            if field.replaces() {
                head.headers.remove(name);
            }
            if value.is_empty() {
                continue;
            }
            // Hyper spells it as the upstream did, where the upstream has sent one too.
            if !field.name.is_title_case() || field.replaces() {
                spelled.push(field.name.clone());
            }
            head.headers.append(name.clone(), value);
        }
        spelled.into_iter().collect()
    }

    /// What an answer of this status gets, with the values for this request. One that is no field's is left out: a variable
    /// stood for bytes that no field may have.
    fn added(&self, status: StatusCode) -> Vec<(&AddedField, HeaderValue)> {
        let variables = self.variables.borrowed();
        let fields = self.fields.added.iter();
        fields
            .filter(|field| field.is_for(status))
            .filter_map(|field| {
                let value = field.value.fill(&variables);
                Some((field, HeaderValue::try_from(value).ok()?))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests;
