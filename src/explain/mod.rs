//! What a URL would do, and why: which requests a client makes of it, which listener takes them, which route answers,
//! and what the upstream is asked for.
//!
//! Pure: a [`Config`] and a URL in, values out. What becomes of a request is decided by the engine that serves
//! ([`crate::decision::decide()`] over [`crate::table::Table`]); only the reasons why the other routes do not answer are found
//! here, and property tests hold them against that engine.

mod listener;
mod promises;
mod verdict;
mod warnings;

use std::net::Ipv4Addr;
use std::sync::Arc;

use http::StatusCode;
use http::header;
use http::request::Parts;
use http::uri::PathAndQuery;

use crate::clients::ClientRequests;
use crate::clients::Options;
use crate::clients::OptionsError;
use crate::clients::Request;
use crate::clients::Url;
use crate::config::Config;
use crate::decision;
use crate::decision::Becomes;
use crate::decision::Checked;
use crate::decision::Client;
use crate::decision::Decision;
use crate::decision::Forward;
use crate::decision::Framing;
use crate::decision::Passing;
use crate::decision::Redirect;
use crate::decision::Refusal;
use crate::decision::RequestError;
use crate::headers::forwarded;
use crate::headers::forwarded::Scheme;
use crate::headers::forwarded::Sender;
use crate::headers::upgrade::Asked;
use crate::headers::upgrade::Body;
use crate::routing;
use crate::routing::Target;
use crate::stream::ClientAddr;
use crate::table::Table;

pub use crate::explain::listener::NoListener;
pub use crate::explain::promises::listeners;
pub use crate::explain::promises::promises;
pub use crate::explain::verdict::Verdict;
pub use crate::explain::warnings::Warning;

/// What a URL would do.
#[derive(Debug)]
pub struct Explanation {
    /// The URL.
    pub url: Url,
    /// What the client makes of it.
    pub asks: ClientRequests,
    /// Which of [`Config::listeners`] takes the connection.
    pub listener: Result<usize, NoListener>,
    /// What becomes of each request of `asks`; none if no listener takes them.
    pub traces: Vec<Trace>,
    /// What to mind.
    pub warnings: Vec<Warning>,
}

/// What becomes of one request.
#[derive(Debug)]
pub struct Trace {
    /// A verdict for each of [`Config::routes`]; none if no route is asked.
    pub verdicts: Vec<Verdict>,
    /// The end of it.
    pub outcome: Outcome,
}

/// The end of a request's way.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// An upstream is asked.
    Upstream {
        /// Which of [`Config::routes`] leads there.
        route: usize,
        /// What it is asked for.
        target: String,
        /// The regex of the rewrite that wrote `target`, if one did.
        rewrite: Option<String>,
        /// How it would be asked.
        request: Box<OutgoingRequest>,
    },
    /// wsgate answers.
    Answer {
        /// Which of [`Config::routes`] says so; none for `redirect: https`.
        route: Option<usize>,
        /// The status.
        status: StatusCode,
        /// Where the client is sent, if it is.
        location: Option<String>,
        /// The first line of the answer.
        text: String,
    },
    /// wsgate refuses it.
    Refused {
        /// The status.
        status: StatusCode,
        /// What the client is told.
        told: String,
    },
}

/// A request as it would reach the upstream.
#[derive(Clone, Debug)]
pub struct OutgoingRequest {
    /// The head for the upstream.
    pub head: Parts,
    /// What the client asked for, against which a 101 is checked.
    pub checked: Checked,
}

impl Outcome {
    fn refused(refusal: &Refusal) -> Self {
        Self::Refused {
            status: refusal.status(),
            told: refusal.told(),
        }
    }

    /// Which of [`Config::routes`] it came to, if any.
    pub fn route(&self) -> Option<usize> {
        match self {
            Self::Upstream { route, .. } => Some(*route),
            Self::Answer { route, .. } => *route,
            Self::Refused { .. } => None,
        }
    }

    /// What wsgate itself answers.
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Upstream { .. } => None,
            Self::Answer { status, .. } | Self::Refused { status, .. } => Some(*status),
        }
    }
}

/// Says what becomes of `url`.
///
/// # Errors
/// The options contradict each other.
pub fn explain(config: &Config, url: &Url, options: &Options) -> Result<Explanation, OptionsError> {
    Ok(Explainer::new(config).explain(url, ClientRequests::new(url, options)?))
}

/// A configuration, ready for several questions.
pub(super) struct Explainer<'c> {
    config: &'c Config,
    table: Table<()>,
}

impl<'c> Explainer<'c> {
    fn new(config: &'c Config) -> Self {
        Self {
            config,
            table: Table::new(config, |_, _| ()),
        }
    }

    fn explain(&self, url: &Url, asks: ClientRequests) -> Explanation {
        let listener = listener::find(self.config, url);
        let traces = match &listener {
            Ok(listener) => {
                let client = self.client(url, *listener);
                let requests = asks.requests.iter();
                requests
                    .map(|request| self.trace(&client, url, request))
                    .collect()
            }
            Err(_) => Vec::new(),
        };
        let mut explanation = Explanation {
            url: url.clone(),
            asks,
            listener,
            traces,
            warnings: Vec::new(),
        };
        explanation.warnings = warnings::of(self.config, &explanation);
        explanation
    }

    /// A client of this machine.
    fn client(&self, url: &Url, listener: usize) -> Client {
        let listener = &self.config.listeners[listener];
        Client {
            address: ClientAddr::Ip((Ipv4Addr::LOCALHOST, 0).into()),
            scheme: match &listener.tls {
                None => Scheme::Http,
                Some(_) => Scheme::Https,
            },
            port: match listener.address.port() {
                Some(0) => url.port(),
                Some(port) => port,
                // A Unix socket has none, so that no condition for a port holds.
                None => 0,
            },
            redirect: listener.redirect.map(|to| Redirect {
                // The rules send nobody to a Unix socket.
                port: self.config.listeners[to].address.port().unwrap_or(0),
            }),
        }
    }

    fn trace(&self, client: &Client, url: &Url, request: &Request) -> Trace {
        let refused = |refusal: &Refusal| Trace {
            verdicts: Vec::new(),
            outcome: Outcome::refused(refusal),
        };
        let Some(head) = request.head(url) else {
            return refused(&Refusal::Request(RequestError::TargetForm));
        };
        let checked = match decision::check(&head, Body::None) {
            Ok(checked) => checked,
            Err(error) => return refused(&Refusal::Request(error)),
        };
        let decision = decision::decide(&self.table.sites, client, &head, &checked);
        let chosen = decision.rule.and_then(|rule| {
            let mut rules = self.table.rules.iter();
            rules.position(|other| Arc::ptr_eq(other, rule))
        });
        let asked = CheckedRequest {
            client,
            head,
            checked,
        };
        Trace {
            verdicts: self.verdicts(&asked, chosen),
            outcome: outcome(asked, decision, chosen),
        }
    }

    /// Why each route answers a request or does not; none for a listener that sends all of its clients elsewhere.
    fn verdicts(&self, asked: &CheckedRequest<'_>, chosen: Option<usize>) -> Vec<Verdict> {
        let CheckedRequest {
            client,
            head,
            checked,
        } = asked;
        match Target::parse(checked.target.as_str()) {
            Ok(target) if client.redirect.is_none() => verdict::all(&verdict::Question {
                config: self.config,
                table: &self.table,
                host: &checked.host,
                path: target.path(),
                conditions: routing::RequestFacts {
                    method: &head.method,
                    headers: &head.headers,
                    query: target.query(),
                    port: client.port,
                    is_upgrade: checked.asked != Asked::Nothing,
                },
                chosen,
            }),
            Ok(_) | Err(_) => Vec::new(),
        }
    }
}

/// A request that was found in order.
struct CheckedRequest<'c> {
    client: &'c Client,
    head: Parts,
    checked: Checked,
}

/// What becomes of a request that the route `chosen` takes.
fn outcome(
    asked: CheckedRequest<'_>,
    decision: Decision<'_, ()>,
    chosen: Option<usize>,
) -> Outcome {
    let closed = decision.rule.and_then(|rule| rule.access.closed());
    let becomes = match closed {
        Some(forbidden) => Err(Refusal::Forbidden(forbidden)),
        None => decision.becomes,
    };
    match becomes {
        Err(refusal) => Outcome::refused(&refusal),
        Ok(Becomes::Answer(answer)) => Outcome::Answer {
            route: chosen,
            status: answer.status(),
            location: answer
                .headers()
                .get(header::LOCATION)
                .map(|to| String::from_utf8_lossy(to.as_bytes()).into_owned()),
            text: String::from_utf8_lossy(answer.body())
                .lines()
                .next()
                .unwrap_or_default()
                .to_owned(),
        },
        Ok(Becomes::Forward { forward, target }) => {
            let asked_for = target.to_string();
            let rewrite = rewrite(forward, &asked.checked);
            match outgoing(asked, forward, target) {
                Err(error) => Outcome::refused(&Refusal::Request(error)),
                Ok(request) => Outcome::Upstream {
                    // The rule of a route that passes requests on is one of the table's.
                    route: chosen.unwrap_or_default(),
                    target: asked_for,
                    rewrite,
                    request: Box::new(request),
                },
            }
        }
    }
}

/// The regex of the rewrite that is applied to the path, to which the missing slash is added first.
fn rewrite(forward: &Forward<()>, checked: &Checked) -> Option<String> {
    let target = Target::parse(checked.target.as_str()).ok()?;
    let mut path = target.path().to_vec();
    if !forward.location.matches(&path) {
        path.push(b'/');
    }
    let mut rewrites = forward.rewrites.iter();
    let applied = rewrites.find(|rewrite| rewrite.is_found_in(&path))?;
    Some(applied.regex().to_owned())
}

/// The request as it would reach the upstream.
fn outgoing(
    asked: CheckedRequest<'_>,
    forward: &Forward<()>,
    target: PathAndQuery,
) -> Result<OutgoingRequest, RequestError> {
    let CheckedRequest {
        client,
        mut head,
        checked,
    } = asked;
    let address = forwarded::address(client.address.without_port());
    let passing = Passing {
        checked: &checked,
        client,
        sender: Sender::Client(&address),
        forward,
    };
    decision::rewrite(&mut head, target, Framing::Length, &passing)?;
    Ok(OutgoingRequest { head, checked })
}
