//! `--connect`: the upstream is asked what a client would be seen to ask, over a connection as wsgate makes it.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http::StatusCode;
use http::header;
use http_body::Body;
use hyper::body::Incoming;
use tokio::io::AsyncReadExt;
use tokio::runtime::Builder;
use tokio::runtime::LocalOptions;
use tokio::time::timeout;

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
use crate::stream::Rewound;
use crate::stream::Stream;
use crate::upstream;
use crate::upstream::Connection;
use crate::upstream::SendError;
use crate::upstream::Server;

/// Longest wait for the rest of an answer whose head is there, and for the first words in a WebSocket; a server that is
/// asked for a session gives both at once.
const REST: Duration = Duration::from_secs(5);

/// More than any answer to a handshake has.
const MOST: usize = 64 * 1024;

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
    let connected = upstream::connect(server, route.timeouts.connect, &[]).await;
    let connected = match connected {
        Ok(connected) => connected,
        Err(error) => return Heard::NoConnection(error.to_string()),
    };
    let stream = Rewound::untouched(connected.stream);
    let mut connection = match Connection::<String>::start(stream, connected.address).await {
        Ok(connection) => connection,
        Err(error) => return no_answer(&error),
    };
    let (limit, key) = match what {
        What::WebSocket | What::EngineIo => (route.timeouts.handshake, "handshake_timeout"),
        What::Page | What::Polling => (route.timeouts.response, "response_timeout"),
    };
    let request = Request::from_parts(outgoing.head.clone(), String::new());
    let response = match timeout(limit, connection.send(request)).await {
        Err(_) => return Heard::Silence { limit, key },
        Ok(Err(SendError::Unsent(_, error) | SendError::Sent(error))) => return no_answer(&error),
        Ok(Ok(response)) => response,
    };
    let (head, mut body) = response.into_parts();
    if head.status == StatusCode::SWITCHING_PROTOCOLS {
        if let Err(error) = upgrade::agreed(&outgoing.checked.asked, &head.headers) {
            return Heard::Disagreed(error);
        }
        return match (what, connection.switch().await) {
            (What::EngineIo, Some((stream, early))) => {
                Heard::Switched(Some(first_words(stream, early).await))
            }
            (What::EngineIo, None) => Heard::Switched(Some(engineio::Answer::Other)),
            _ => Heard::Switched(None),
        };
    }
    let text = |name| {
        let value = head.headers.get(name)?;
        Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let rest = match what {
        What::Page => Vec::new(),
        _ => beginning(&mut body).await,
    };
    Heard::Http {
        status: head.status,
        content_type: text(header::CONTENT_TYPE),
        location: text(header::LOCATION),
        engine_io: match what {
            What::Polling | What::EngineIo => Some(engineio::read_polling(&rest)),
            What::Page | What::WebSocket => None,
        },
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

/// What comes of a body within [`REST`], up to [`MOST`].
async fn beginning(body: &mut Incoming) -> Vec<u8> {
    let mut bytes = Vec::new();
    let read = async {
        while let Some(Ok(frame)) = poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await {
            if let Ok(data) = frame.into_data() {
                bytes.extend_from_slice(&data);
            }
            if bytes.len() >= MOST {
                break;
            }
        }
    };
    // What is there by then is judged, whole or not.
    let _ = timeout(REST, read).await;
    bytes.truncate(MOST);
    bytes
}

/// What a server says first in a WebSocket.
async fn first_words(mut stream: Stream, early: Bytes) -> engineio::Answer {
    let mut bytes = early.to_vec();
    let read = async {
        loop {
            if let Some(answer) = engineio::read_stream(&bytes) {
                return answer;
            }
            if bytes.len() >= MOST || !matches!(stream.read_buf(&mut bytes).await, Ok(1..)) {
                return engineio::Answer::Other;
            }
        }
    };
    timeout(REST, read).await.unwrap_or(engineio::Answer::Other)
}
