//! `--connect`: the upstream is asked what a client would be seen to ask, over a connection as wsgate makes it.

use std::io;

use http::StatusCode;
use http::header;
use tokio::runtime::Builder;
use tokio::runtime::LocalOptions;

use crate::cli::explain::heard::Heard;
use crate::clients::What;
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
use crate::upstream::ProbeAnswer;
use crate::upstream::ProbeError;
use crate::upstream::Server;

/// What each upstream says to the requests that go to one: one answer a request, in order.
///
/// Of a client that begins with polling only that is asked: the session that it gets says whether a WebSocket may follow.
///
/// # Errors
/// The system gives no runtime.
pub(super) fn all(config: &Config, explanation: &Explanation) -> io::Result<Vec<Option<Heard>>> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())?;
    let heard = runtime.block_on(async {
        let mut heard: Vec<Option<Heard>> = Vec::new();
        let requests = &explanation.asks.requests;
        let polls = requests.iter().any(|request| request.what == What::Polling);
        for (request, trace) in requests.iter().zip(&explanation.traces) {
            heard.push(match &trace.outcome {
                _ if polls && request.what == What::EngineIo => None,
                Outcome::Upstream {
                    route,
                    request: outgoing,
                    ..
                } => ask(&config.routes[*route], outgoing, request.what).await,
                Outcome::Answer { .. } | Outcome::Refused { .. } => None,
            });
        }
        heard
    });
    // A name that is being looked up would hold the process for as long as the resolver likes.
    runtime.shutdown_background();
    Ok(heard)
}

/// Asks the upstream of a route; `None` if it has none.
async fn ask(route: &Route, request: &OutgoingRequest, what: What) -> Option<Heard> {
    match &route.to {
        Action::ProxyPass(upstream) => {
            Some(ask_server(route, &upstream.pick(), request, what).await)
        }
        Action::Return(_) => None,
    }
}

async fn ask_server(
    route: &Route,
    server: &Server,
    outgoing: &OutgoingRequest,
    what: What,
) -> Heard {
    let (limit, key) = match what {
        What::WebSocket | What::EngineIo => (route.timeouts.handshake, "handshake_timeout"),
        What::Page | What::Polling => (route.timeouts.response, "response_timeout"),
    };
    let head = outgoing.head.clone();
    let timeouts = AskTimeouts {
        connect: route.timeouts.connect,
        answer: limit,
    };
    let answer = match upstream::ask(server, head, timeouts).await {
        Ok(answer) => answer,
        Err(ProbeError::Connect(error)) => return Heard::NoConnection(error.to_string()),
        Err(ProbeError::Timeout) => return Heard::Silence { limit, key },
        Err(ProbeError::Http(error)) => return no_answer(&error),
    };
    let head = answer.head().clone();
    if head.status == StatusCode::SWITCHING_PROTOCOLS {
        if let Err(error) = upgrade::agreed(&outgoing.checked.asked, &head.headers) {
            return Heard::Disagreed(error);
        }
        return match what {
            What::EngineIo => Heard::Switched(Some(opened(answer).await)),
            _ => Heard::Switched(None),
        };
    }
    let text = |name| {
        let value = head.headers.get(name)?;
        Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let engine_io = match what {
        What::Polling | What::EngineIo => Some(engineio::read_polling(&answer.beginning().await)),
        What::Page | What::WebSocket => None,
    };
    Heard::Http {
        status: head.status,
        content_type: text(header::CONTENT_TYPE),
        location: text(header::LOCATION),
        engine_io,
    }
}

fn no_answer(error: &hyper::Error) -> Heard {
    if error.is_parse() {
        Heard::NotHttp(error.to_string())
    } else if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
        Heard::Closed
    } else {
        Heard::Broken(error.to_string())
    }
}

/// What a server of Engine.IO says first in a WebSocket.
async fn opened(answer: ProbeAnswer) -> engineio::Answer {
    let is_enough = |bytes: &[u8]| engineio::read_stream(bytes).is_some();
    let bytes = answer.first_words(is_enough).await;
    engineio::read_stream(&bytes).unwrap_or(engineio::Answer::Other)
}
