//! `--connect`: the upstream is asked what a client would be seen to ask, over a connection as wsgate makes it.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use http::header;
use tokio::net::lookup_host;
use tokio::runtime::Builder;
use tokio::runtime::LocalOptions;
use tokio::time::timeout;

use crate::cli::explain::upstream_answer::ServerAnswer;
use crate::cli::explain::upstream_answer::UpstreamAnswer;
use crate::clients::RequestKind;
use crate::config::Action;
use crate::config::Config;
use crate::config::Route;
use crate::engineio;
use crate::explain::Explanation;
use crate::explain::Outcome;
use crate::explain::OutgoingRequest;
use crate::headers::upgrade;
use crate::upstream;
use crate::upstream::AskTimeouts;
use crate::upstream::Group;
use crate::upstream::ProbeAnswer;
use crate::upstream::ProbeError;
use crate::upstream::Server;

/// What each upstream says to the requests that go to one, in the order of the requests: one answer, or of a group one of each server,
/// all of which are asked at the same time.
///
/// Of a client that begins with polling only that is asked: the session that it gets says whether a WebSocket may follow.
///
/// # Errors
/// The system gives no runtime.
pub(super) fn all(
    config: &Config,
    explanation: &Explanation,
) -> io::Result<Vec<Vec<ServerAnswer>>> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())?;
    let answers = runtime.block_on(async {
        let mut answers: Vec<Vec<ServerAnswer>> = Vec::new();
        let requests = &explanation.asks.requests;
        let polls = requests
            .iter()
            .any(|request| request.what == RequestKind::Polling);
        for (request, trace) in requests.iter().zip(&explanation.traces) {
            answers.push(match &trace.outcome {
                _ if polls && request.what == RequestKind::EngineIo => Vec::new(),
                Outcome::Upstream {
                    route,
                    request: outgoing,
                    ..
                } => ask(&config.routes[*route], outgoing, request.what).await,
                Outcome::Answer { .. } | Outcome::Refused { .. } => Vec::new(),
            });
        }
        answers
    });
    // A name that is being looked up would hold the process for as long as the resolver likes.
    runtime.shutdown_background();
    Ok(answers)
}

/// Asks the upstream of a route; no answer if it has none.
async fn ask(route: &Route, request: &OutgoingRequest, kind: RequestKind) -> Vec<ServerAnswer> {
    let Action::ProxyPass(upstream) = &route.to else {
        return Vec::new();
    };
    let is_group = upstream.group().is_some();
    let servers = match upstream.group() {
        Some(group) => servers(group, route.timeouts.connect).await,
        None => upstream.all_servers(),
    };
    let asked = servers.into_iter().map(|server| {
        let name = is_group.then(|| server.authority());
        let (route, request) = (route.clone(), request.clone());
        let answer = async move { ask_server(&route, &server, &request, kind).await };
        (name, tokio::task::spawn_local(answer))
    });
    let mut answers = Vec::new();
    for (server, answer) in asked.collect::<Vec<_>>() {
        let answer = answer.await.unwrap_or_else(|error| {
            // It is not cancelled as long as the runtime is there.
            std::panic::resume_unwind(error.into_panic())
        });
        answers.push(ServerAnswer { server, answer });
    }
    answers
}

/// The servers of a group, of whose names each address is one. A name that cannot be looked up in this time is one server, and what it
/// answers says why.
async fn servers(group: &Arc<Group>, limit: Duration) -> Vec<Arc<Server>> {
    let mut group = Group::clone(group);
    for name in group.names() {
        let found = timeout(limit, lookup_host((name.name.as_str(), name.port))).await;
        let addresses = found.map(|found| found.map(|all| all.map(|one| one.ip()).collect()));
        let addresses: Vec<IpAddr> = addresses.ok().and_then(Result::ok).unwrap_or_default();
        group = group.resolved(name.entry, &addresses).unwrap_or(group);
    }
    let members = group.members().iter();
    members.map(|member| Arc::clone(member.server())).collect()
}

async fn ask_server(
    route: &Route,
    server: &Server,
    outgoing: &OutgoingRequest,
    kind: RequestKind,
) -> UpstreamAnswer {
    let (limit, key) = match kind {
        RequestKind::WebSocket | RequestKind::EngineIo => {
            (route.timeouts.handshake, "handshake_timeout")
        }
        RequestKind::Page | RequestKind::Polling => (route.timeouts.response, "response_timeout"),
    };
    let head = outgoing.head.clone();
    let timeouts = AskTimeouts {
        connect: route.timeouts.connect,
        answer: limit,
    };
    let answer = match upstream::ask(server, head, route.spelling(), timeouts).await {
        Ok(answer) => answer,
        Err(ProbeError::Connect(error)) => return UpstreamAnswer::NoConnection(error.to_string()),
        Err(ProbeError::Timeout) => return UpstreamAnswer::Silence { limit, key },
        Err(ProbeError::Http(error)) => return no_answer(&error),
    };
    let head = answer.head().clone();
    if head.status == StatusCode::SWITCHING_PROTOCOLS {
        if let Err(error) = upgrade::agreed(&outgoing.checked.asked, &head.headers) {
            return UpstreamAnswer::Disagreed(error);
        }
        return match kind {
            RequestKind::EngineIo => UpstreamAnswer::Switched(Some(opened(answer).await)),
            _ => UpstreamAnswer::Switched(None),
        };
    }
    let text = |name| {
        let value = head.headers.get(name)?;
        Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let engine_io = match kind {
        RequestKind::Polling | RequestKind::EngineIo => {
            Some(engineio::read_polling(&answer.beginning().await))
        }
        RequestKind::Page | RequestKind::WebSocket => None,
    };
    UpstreamAnswer::Http {
        status: head.status,
        content_type: text(header::CONTENT_TYPE),
        location: text(header::LOCATION),
        engine_io,
    }
}

fn no_answer(error: &hyper::Error) -> UpstreamAnswer {
    if error.is_parse() {
        UpstreamAnswer::NotHttp(error.to_string())
    } else if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
        UpstreamAnswer::Closed
    } else {
        UpstreamAnswer::Broken(error.to_string())
    }
}

/// What a server of Engine.IO says first in a WebSocket.
async fn opened(answer: ProbeAnswer) -> engineio::HandshakeAnswer {
    let is_enough = |bytes: &[u8]| engineio::read_stream(bytes).is_some();
    let bytes = answer.first_words(is_enough).await;
    engineio::read_stream(&bytes).unwrap_or(engineio::HandshakeAnswer::Other)
}
