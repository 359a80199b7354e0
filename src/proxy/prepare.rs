//! The first half of every request's way, whoever read its head: checked, decided, counted, and rewritten for its route's upstream;
//! then one of the upstream's servers is chosen. Does no I/O.

use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use http::Response;
use http::request::Parts;

use crate::answer_fields::AnswerChanges;
use crate::answer_fields::AnswerFields;
use crate::decision;
use crate::decision::Becomes;
use crate::decision::Framing;
use crate::decision::Passing;
use crate::decision::RealIp;
use crate::headers::forwarded::Sender;
use crate::headers::upgrade::Asked;
use crate::headers::upgrade::Body;
use crate::http1::Persistence;
use crate::limits::AddressPermit;
use crate::observe::RequestLine;
use crate::proxy::connection::ClientConnection;
use crate::proxy::error::ProxyError;
use crate::proxy::group_facts::ClientRequest;
use crate::proxy::group_facts::GroupFacts;
use crate::proxy::group_request::GroupRequest;
use crate::proxy::report::Report;
use crate::proxy::route::Hop;
use crate::proxy::route::Proxy;
use crate::proxy::route::Route;
use crate::proxy::upstream_request::UpstreamRequest;
use crate::stream::ClientAddr;
use crate::upstream::Group;
use crate::upstream::Server;
use crate::upstream::Servers;

/// What is to become of a request.
pub(super) enum Prepared {
    /// It is answered here.
    Own(Response<Bytes>),
    /// Its head, as it is now, is sent on.
    Forward(UpstreamRequest),
}

/// A request whose way is known.
pub(super) struct PreparedRequest {
    pub(super) report: Report,
    /// What its route changes in the answer, whoever gives it. Boxed, since few routes change anything.
    pub(super) changes: Option<Box<AnswerChanges>>,
    pub(super) to: Result<Prepared, ProxyError>,
}

/// Begins a request: its report, and what is to become of it. Where it goes on, `head` is the upstream's from now on.
///
/// The table is looked up once here, so that all of a request uses one state, whenever a reload comes; what takes long keeps its
/// route, and not the table.
pub(super) fn prepare(
    connection: &ClientConnection,
    head: &mut Parts,
    framing: Framing,
) -> PreparedRequest {
    let proxy = connection.current_proxy().load();
    let line = RequestLine::new(&head.method, &head.uri, head.version);
    let mut report = connection.report(line, Arc::clone(&proxy.observer));
    let mut changes = None;
    let request = NewRequest {
        connection,
        proxy: &proxy,
        head,
        framing,
        changes: &mut changes,
    };
    let to = request.prepare(&mut report);
    PreparedRequest {
        report,
        changes,
        to,
    }
}

/// A request that nothing has been decided about.
struct NewRequest<'a> {
    connection: &'a ClientConnection,
    proxy: &'a Proxy,
    head: &'a mut Parts,
    framing: Framing,
    /// Where it is left what the route changes in the answer, as soon as the route is known: an error is answered too.
    changes: &'a mut Option<Box<AnswerChanges>>,
}

impl NewRequest<'_> {
    fn prepare(self, report: &mut Report) -> Result<Prepared, ProxyError> {
        let (proxy, head) = (self.proxy, self.head);
        let mut client = self.connection.client();
        let real_ip = RealIp::find(&proxy.trusted, client.address, &head.headers);
        let sender = match &real_ip {
            None => Sender::Client(self.connection.address()),
            Some(real_ip) => {
                client.address = real_ip.client;
                report.comes_from(real_ip.client);
                real_ip.sender()
            }
        };
        let checked = decision::check(head, body(self.framing)).map_err(ProxyError::Request)?;
        report.asks(&checked.asked, head);
        let decision = decision::decide(&proxy.sites, &client, head, &checked);
        if let Some(rule) = decision.rule {
            report.taken_by(rule);
            *self.changes = checked.answer_changes(rule, &client, head);
        }
        if let Some(exceeded) = self.connection.exceeded() {
            return Err(ProxyError::Exceeded(exceeded, Persistence::Close));
        }
        if let Some(rule) = decision.rule {
            decision::admit(rule, &client, head, &checked)?;
        }
        if real_ip.is_some() {
            // A trusted proxy's connection carries many clients: each is counted by its requests.
            report.counts_by(address_permit(proxy, client.address)?);
        }
        let (forward, target) = match decision.becomes? {
            Becomes::Answer(response) => return Ok(Prepared::Own(response)),
            Becomes::Forward { forward, target } => (forward, target),
        };
        if let Asked::WebSocket(_) = checked.asked {
            count_handshake(proxy, client.address)?;
        }
        let need = proxy.sessions.need(checked.target.as_str());
        let candidates = match forward.to.upstream.servers() {
            Servers::One(server) => Candidates::One(server),
            Servers::Group(group) => {
                if group.settings().sticky.cookie.is_some() && self.changes.is_none() {
                    // The cookie is put among the changes once a server has answered.
                    let nothing = Arc::new(AnswerFields::default());
                    let changes = nothing.changes(checked.variables(&client));
                    *self.changes = Some(Box::new(changes));
                }
                let request = ClientRequest {
                    client: &client,
                    head,
                    framing: self.framing,
                    checked: &checked,
                    need,
                    sessions: proxy.sessions,
                };
                Candidates::Group(group, GroupFacts::of(group, &request))
            }
        };
        let passing = Passing {
            checked: &checked,
            client: &client,
            sender,
            forward,
        };
        decision::rewrite(head, target, self.framing, &passing).map_err(ProxyError::Request)?;
        if let Some(changes) = self.changes {
            changes.upstream_is_asked(&head.headers);
        }
        let is_poll =
            need.named().is_some() && checked.asked == Asked::Nothing && head.method == Method::GET;
        let (hop, in_group) = candidates.choose(&forward.to, report)?;
        Ok(Prepared::Forward(UpstreamRequest {
            asked: checked.asked,
            hop,
            in_group,
            session: need,
            is_poll,
        }))
    }
}

/// Who can answer a request, and what of it decides who does.
enum Candidates<'a> {
    One(&'a Arc<Server>),
    Group(&'a Arc<Group>, GroupFacts),
}

impl Candidates<'_> {
    /// Chooses the server of this route, and tells the report how, if there are several.
    ///
    /// # Errors
    /// No server of the group may take the request now.
    fn choose(
        self,
        route: &Arc<Route>,
        report: &mut Report,
    ) -> Result<(Hop, Option<Box<GroupRequest>>), ProxyError> {
        let (server, in_group) = match self {
            Self::One(server) => (Arc::clone(server), None),
            Self::Group(group, facts) => {
                let now = report.started().into_std();
                let in_group = Box::new(GroupRequest::choose(group, facts, now)?);
                report.goes_in_group(in_group.chosen_by().word());
                (Arc::clone(in_group.choice.server()), Some(in_group))
            }
        };
        let route = Arc::clone(route);
        Ok((Hop { route, server }, in_group))
    }
}

/// Whether a request has a body.
const fn body(framing: Framing) -> Body {
    match framing {
        Framing::None => Body::None,
        Framing::Length | Framing::Chunked => Body::Some,
    }
}

/// Counts the opening handshake of a WebSocket for the client's address.
///
/// # Errors
/// It is one too many of its address.
fn count_handshake(proxy: &Proxy, client: ClientAddr) -> Result<(), ProxyError> {
    let counted = proxy.addresses.handshake(client.ip());
    counted.map_err(|exceeded| ProxyError::Exceeded(exceeded, Persistence::KeepAlive))
}

/// Counts a request for the client that a trusted proxy names.
///
/// # Errors
/// It is one too many of its address.
fn address_permit(
    proxy: &Proxy,
    client: ClientAddr,
) -> Result<Option<Box<AddressPermit>>, ProxyError> {
    let exceeded = |exceeded| ProxyError::Exceeded(exceeded, Persistence::KeepAlive);
    let permit = proxy.addresses.connect(client.ip());
    let permit = permit.map_err(|refusal| exceeded(refusal.exceeded))?;
    match permit.as_ref().and_then(|permit| permit.exceeded()) {
        Some(most) => Err(exceeded(most)),
        None => Ok(permit),
    }
}
