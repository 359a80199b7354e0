//! Which rule takes a request, and what it makes of it, before a byte of the request goes anywhere.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;
use http::Response;
use http::StatusCode;
use http::header;
use http::request::Parts;
use http::uri::PathAndQuery;

use crate::access::Forbidden;
use crate::answer_fields::AnswerChanges;
use crate::decision::client::Client;
use crate::decision::own_answer;
use crate::decision::request;
use crate::decision::request::Checked;
use crate::decision::request::Framing;
use crate::decision::request::Outgoing;
use crate::decision::request::RequestError;
use crate::decision::rule::Action;
use crate::decision::rule::Forward;
use crate::decision::rule::Rule;
use crate::headers::forwarded::Sender;
use crate::headers::upgrade::Asked;
use crate::routing;
use crate::routing::Found;
use crate::routing::Sites;
use crate::routing::Target;
use crate::template::Variables;

/// What becomes of a request, and by which rule.
#[derive(Debug)]
pub struct Decision<'p, T> {
    /// The rule that took it. `None` if none matches, and for a listener that only sends its clients elsewhere.
    pub rule: Option<&'p Arc<Rule<T>>>,
    /// What becomes of it.
    pub becomes: Result<Becomes<'p, T>, Refusal>,
}

/// What becomes of a request that is not refused.
#[derive(Debug)]
pub enum Becomes<'p, T> {
    /// It is answered here: a redirect, or what `return` says.
    Answer(Response<Bytes>),
    /// It is passed on.
    Forward {
        /// Where to, and how.
        forward: &'p Forward<T>,
        /// What is asked for there.
        target: PathAndQuery,
    },
}

/// Why a request goes nowhere.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Refusal {
    /// It cannot be passed on.
    Request(RequestError),
    /// No location matches its path.
    NoLocation,
    /// `allow`, `deny` or `allowed_origins` refuses its sender.
    Forbidden(Forbidden),
    /// `rewrite` leaves no path of it that could be asked for.
    NoPathLeft,
}

impl Refusal {
    /// What the client is told.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Request(error) => error.status(),
            Self::NoLocation => StatusCode::NOT_FOUND,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            // As in nginx: it is the configuration that has no answer.
            Self::NoPathLeft => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// One line for the client: what is wrong.
    pub fn told(&self) -> String {
        match self {
            Self::Request(error) => error.to_string(),
            Self::NoLocation => "no location matches this path".to_owned(),
            Self::Forbidden(forbidden) => forbidden.told().to_owned(),
            Self::NoPathLeft => "this path is rewritten to none that could be asked for".to_owned(),
        }
    }
}

/// Decides about a request that came from `client` and was found in order.
pub fn decide<'p, T>(
    sites: &'p Sites<Arc<Rule<T>>>,
    client: &Client,
    head: &Parts,
    checked: &Checked,
) -> Decision<'p, T> {
    if let Some(redirect) = client.redirect {
        let answer = own_answer::to_https(redirect, &checked.asked, &checked.variables(client));
        return Decision {
            rule: None,
            becomes: Ok(Becomes::Answer(answer)),
        };
    }
    let refused = |refusal| Decision {
        rule: None,
        becomes: Err(refusal),
    };
    let target = match target(&checked.target) {
        Ok(target) => target,
        Err(error) => return refused(Refusal::Request(error)),
    };
    let conditions = routing::RequestFacts {
        method: &head.method,
        headers: &head.headers,
        query: target.query(),
        port: client.port,
        is_upgrade: checked.asked != Asked::Nothing,
    };
    let found = sites.find(&checked.host, target.path(), |rule| {
        rule.when.holds(&conditions)
    });
    let Some(found) = found else {
        return refused(Refusal::NoLocation);
    };
    let (Found::Answers(entry) | Found::AddsSlash(entry)) = &found;
    let rule = &entry.to;
    let becomes = match &rule.to {
        Action::Return(written) => Ok(Becomes::Answer(own_answer::returned(
            written,
            &checked.variables(client),
        ))),
        Action::Forward(forward) => {
            let asking = Asking { checked, client };
            pass_on(&found, forward, &target, &asking)
        }
    };
    Decision {
        rule: Some(rule),
        becomes,
    }
}

/// Whether a request of `client` may be sent to `rule`, which has taken it. Apart from [`decide`], since an explanation knows neither
/// the page that a client comes from nor its address.
///
/// # Errors
/// `allow`, `deny` or `allowed_origins` refuses its sender.
pub fn admit<T>(
    rule: &Rule<T>,
    client: &Client,
    head: &Parts,
    checked: &Checked,
) -> Result<(), Refusal> {
    let access = &rule.access;
    access
        .admit(client.address.ip())
        .map_err(Refusal::Forbidden)?;
    if let (Some(origins), Asked::WebSocket(_)) = (&access.origins, &checked.asked) {
        let lines = head.headers.get_all(header::ORIGIN).into_iter();
        origins
            .admit(lines.map(HeaderValue::as_bytes))
            .map_err(Refusal::Forbidden)?;
    }
    Ok(())
}

/// A request that was found in order, and who asks.
struct Asking<'a> {
    checked: &'a Checked,
    client: &'a Client,
}

fn pass_on<'p, T>(
    found: &Found<'p, Arc<Rule<T>>>,
    forward: &'p Forward<T>,
    target: &Target<'_>,
    asking: &Asking<'_>,
) -> Result<Becomes<'p, T>, Refusal> {
    let Asking { checked, .. } = asking;
    let target = match found {
        Found::Answers(_) => upstream_target(target, &checked.target, forward, asking)?,
        Found::AddsSlash(_) => {
            let slashed = routing::add_slash(target, &forward.location);
            if checked.asked == Asked::Nothing {
                return Ok(Becomes::Answer(own_answer::moved(&slashed)));
            }
            // No WebSocket client follows a redirect, so an upgrade gets what a redirect would have led to.
            let slashed = path_and_query(slashed)?;
            let target = self::target(&slashed).map_err(Refusal::Request)?;
            upstream_target(&target, &slashed, forward, asking)?
        }
    };
    Ok(Becomes::Forward { forward, target })
}

fn target(written: &PathAndQuery) -> Result<Target<'_>, RequestError> {
    Target::parse(written.as_str()).map_err(RequestError::Target)
}

/// The target for the upstream: as the first rewrite that matches says; else by nginx's replacement rule if `proxy_pass`
/// has a path; else as the client wrote it.
fn upstream_target<T>(
    target: &Target<'_>,
    written: &PathAndQuery,
    forward: &Forward<T>,
    asking: &Asking<'_>,
) -> Result<PathAndQuery, Refusal> {
    if !forward.rewrites.is_empty() {
        let variables = asking.checked.variables(asking.client);
        if let Some(rewritten) = routing::rewritten(&forward.rewrites, target, &variables) {
            return path_and_query(rewritten.map_err(|_| Refusal::NoPathLeft)?);
        }
    }
    match &forward.uri {
        None => Ok(written.clone()),
        Some(uri) => path_and_query(routing::replace(target, &forward.location, uri)),
    }
}

fn path_and_query(text: String) -> Result<PathAndQuery, Refusal> {
    PathAndQuery::try_from(text).map_err(|_| Refusal::Request(RequestError::TargetForm))
}

/// A request on its way to an upstream.
#[derive(Debug)]
pub struct Passing<'a, T> {
    /// What it asks for.
    pub checked: &'a Checked,
    /// Whose it is.
    pub client: &'a Client,
    /// Who sent it, as the upstream is told.
    pub sender: Sender<'a>,
    /// How it is passed on.
    pub forward: &'a Forward<T>,
}

/// Turns a client's head into the one that the upstream gets, which is asked for `target`.
///
/// # Errors
/// A variable in `set_headers` stood for bytes that no field may have.
pub fn rewrite<T>(
    head: &mut Parts,
    target: PathAndQuery,
    framing: Framing,
    passing: &Passing<'_, T>,
) -> Result<(), RequestError> {
    let outgoing = Outgoing {
        asked: &passing.checked.asked,
        framing,
        sender: passing.sender,
        scheme: passing.client.scheme,
        own_host: &passing.forward.own_host,
    };
    request::rewrite(head, target, &outgoing)?;
    if passing.forward.set_headers.is_empty() {
        return Ok(());
    }
    let variables = passing.checked.variables(passing.client);
    for (name, value) in &passing.forward.set_headers {
        request::set(&mut head.headers, name.name(), &value.fill(&variables))?;
    }
    Ok(())
}

impl Checked {
    /// What the rule that has taken the request changes in its answer, if it changes anything.
    pub fn answer_changes<T>(
        &self,
        rule: &Rule<T>,
        client: &Client,
        head: &Parts,
    ) -> Option<Box<AnswerChanges>> {
        let fields = rule.answer_fields.as_ref()?;
        let mut changes = fields.changes(self.variables(client));
        changes.client_asks(&head.headers);
        Some(Box::new(changes))
    }

    /// What the variables of `return`, `set_headers` and `add_headers` stand for.
    pub fn variables<'a>(&'a self, client: &Client) -> Variables<'a> {
        Variables {
            host: self.host.as_str(),
            remote_addr: client.address,
            scheme: client.scheme,
            request_uri: self.target.as_str(),
        }
    }
}
