//! What a route changes in the fields of answers: nginx's `add_header`, `proxy_hide_header`, `proxy_redirect` and
//! `proxy_cookie_path`.
//!
//! [`AnswerFields`] is what `routes.yaml` says of a route. [`AnswerChanges`] is that for one request, made when its route is
//! known, and the one door through which the head of every answer to it goes: an upstream's, in whichever form it is there, and
//! wsgate's own. Never changed are a connection's own fields, those of framing, and those of a WebSocket's handshake
//! ([`is_fixed`]). Pure.

mod added;
mod cookie_path;
mod redirect;
mod replacement;

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
use crate::answer_fields::redirect::AskedAs;
pub use crate::answer_fields::redirect::DefaultRedirect;
pub use crate::answer_fields::redirect::RedirectRule;
pub use crate::answer_fields::replacement::Half;
pub use crate::answer_fields::replacement::Replacement;
pub use crate::answer_fields::replacement::ReplacementError;
use crate::headers::forwarded;
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
    /// What becomes of where an upstream sends clients: `proxy_redirect`.
    pub redirects: Vec<RedirectRule>,
    /// What becomes of the paths of an upstream's cookies: `proxy_cookie_path`.
    pub cookie_paths: Vec<Replacement>,
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
        let Self {
            added,
            hidden,
            redirects,
            cookie_paths,
        } = self;
        added.is_empty() && hidden.is_empty() && redirects.is_empty() && cookie_paths.is_empty()
    }

    /// What is changed in the answer to a request for which the variables stand for this.
    pub fn changes(self: &Arc<Self>, variables: Variables<'_>) -> AnswerChanges {
        AnswerChanges {
            fields: Arc::clone(self),
            variables: variables.to_owned(),
            asked: AskedAs::default(),
            cookie: None,
        }
    }

    /// The entries of `proxy_redirect` as they are written, with `None` for `default`.
    pub fn written_redirects(&self) -> Vec<Option<&Replacement>> {
        self.redirects.iter().map(RedirectRule::written).collect()
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
    asked: AskedAs,
    /// A cookie of wsgate's own, to which nothing is done that is done to what an upstream sent.
    cookie: Option<HeaderValue>,
}

impl AnswerChanges {
    /// The answer of an upstream gets this `Set-Cookie`.
    pub fn set_cookie(&mut self, cookie: HeaderValue) {
        self.cookie = Some(cookie);
    }

    /// The client asked with these fields.
    pub fn client_asks(&mut self, headers: &HeaderMap) {
        if !self.fields.redirects.is_empty() {
            self.asked.client_host = headers.get(header::HOST).cloned();
        }
    }

    /// The upstream is asked with these fields.
    pub fn upstream_is_asked(&mut self, headers: &HeaderMap) {
        if !self.fields.redirects.is_empty() {
            self.asked.host = headers.get(header::HOST).cloned();
            self.asked.scheme = headers.get(forwarded::X_FORWARDED_PROTO).cloned();
        }
    }

    /// Changes wsgate's own answer: fields are added to it, and nothing else. Returns how the names of these are spelled.
    pub fn change_own(&self, head: &mut Parts) -> Spelling {
        self.add(head)
    }

    /// Changes an upstream's answer. Returns how the names of the added fields are spelled.
    pub fn change(&self, head: &mut Parts) -> Spelling {
        self.change_sent(&mut head.headers);
        let spelling = self.add(head);
        self.add_cookie(&mut head.headers);
        spelling
    }

    /// Changes an upstream's 101, which goes on with what the upstream said and gets nothing added but the cookie.
    pub fn change_switch(&self, head: &mut Parts) {
        self.change_sent(&mut head.headers);
        self.add_cookie(&mut head.headers);
    }

    fn add_cookie(&self, headers: &mut HeaderMap) {
        if let Some(cookie) = &self.cookie {
            headers.append(header::SET_COOKIE, cookie.clone());
        }
    }

    /// Changes an upstream's answer that goes on as bytes, as [`change`](Self::change) does.
    pub fn change_buffered(&self, answer: &mut BufferedAnswer) {
        let added = self.added(answer.status);
        let replaced: Vec<&[u8]> = added
            .iter()
            .filter(|(field, _)| field.replaces())
            .map(|(field, _)| field.name.as_str().as_bytes())
            .collect();
        let variables = self.variables.borrowed();
        answer.change_lines(|name, value| {
            let mut replaced = replaced.iter();
            if self.fields.hides(name) || replaced.any(|known| known.eq_ignore_ascii_case(name)) {
                return LineBecomes::Nothing;
            }
            match self.rewritten(name, value, &variables) {
                Some(value) => LineBecomes::Value(value),
                None => LineBecomes::Itself,
            }
        });
        for (field, value) in &added {
            if !value.is_empty() {
                answer.add_line(field.name.as_str(), value);
            }
        }
        if let Some(cookie) = &self.cookie {
            answer.add_line("Set-Cookie", cookie);
        }
    }

    /// Changes the fields that an upstream sent.
    fn change_sent(&self, headers: &mut HeaderMap) {
        for hidden in &self.fields.hidden {
            headers.remove(hidden.name());
        }
        if self.fields.redirects.is_empty() && self.fields.cookie_paths.is_empty() {
            return;
        }
        let variables = self.variables.borrowed();
        for (name, value) in headers {
            let name = name.as_str().as_bytes();
            if let Some(changed) = self.rewritten(name, value.as_bytes(), &variables) {
                *value = changed;
            }
        }
    }

    /// The value that takes the place of what an upstream sent; `None` if that goes on.
    fn rewritten(
        &self,
        name: &[u8],
        value: &[u8],
        variables: &Variables<'_>,
    ) -> Option<HeaderValue> {
        let AnswerFields {
            redirects,
            cookie_paths,
            ..
        } = &*self.fields;
        let is = |known: HeaderName| name.eq_ignore_ascii_case(known.as_str().as_bytes());
        let rewritten = if is(header::LOCATION) {
            redirect::location(redirects, value, variables, &self.asked)
        } else if is(header::REFRESH) {
            redirect::refresh(redirects, value, variables, &self.asked)
        } else if is(header::SET_COOKIE) {
            cookie_path::set_cookie(cookie_paths, value, variables)
        } else {
            None
        };
        // A variable may have stood for bytes that no field may have.
        HeaderValue::try_from(rewritten?).ok()
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
