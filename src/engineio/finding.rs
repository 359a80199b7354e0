//! The findings about a client, its server, or the way between them: what is wrong, in words, and what to do about it.

use std::fmt;
use std::time::Duration;

use http::StatusCode;

use crate::engineio::RefusedCode;
use crate::engineio::hints;
use crate::observe::Lost;

/// Something that is wrong with a client, its server, or the way between them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Finding {
    /// The client speaks EIO=3, and the server does not take that.
    Eio3Refused(ServerFamily),
    /// The client speaks EIO=4, and the server is of version 2.
    OldServer,
    /// The server knows no such session.
    SessionUnknown,
    /// The server does not speak the transport that is asked for.
    TransportUnknown,
    /// A WebSocket or a session was asked for, and a page came back.
    GotPage(FailedRequest, StatusCode),
    /// A WebSocket or a session was asked for, and the upstream has nothing there.
    NotFound(FailedRequest),
    /// A WebSocket was asked for, and no location matches.
    NoLocation,
    /// A WebSocket was asked for, and the answer was a redirect.
    Redirected(RedirectedBy),
    /// A WebSocket's opening handshake came without the fields that make it one. `None` if only its query shows that it
    /// was.
    LostHeaders(Option<Lost>),
    /// A WebSocket client that does not speak Engine.IO asks a Socket.IO server.
    PlainClient,
    /// A Socket.IO client is connected to another WebSocket server.
    PlainServer(Evidence),
    /// An ordinary request that is not a Socket.IO client's asks a Socket.IO server.
    NoClient,
    /// A tunnel was ended by `tunnel_timeout`.
    TunnelTimeout(Duration),
    /// The upstream closed the connection without an answer.
    Unanswered(FailedRequest),
}

/// The kind of server that refuses EIO=3.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ServerFamily {
    /// A server in Node or one like it, which takes EIO=3 if it is told to.
    Node,
    /// python-socketio, which has not taken EIO=3 since its version 5.
    Python,
}

/// A request that did not get what it asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FailedRequest {
    /// What it asked for.
    pub kind: RequestKind,
    /// Its path, if that is Socket.IO's without the last slash.
    pub no_slash: Option<String>,
}

impl FailedRequest {
    fn of(kind: RequestKind) -> Self {
        Self {
            kind,
            no_slash: None,
        }
    }
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RequestKind {
    /// A WebSocket.
    WebSocket,
    /// A WebSocket that carries Engine.IO.
    EngineIo,
    /// An Engine.IO session over polling.
    Session,
    /// Something else.
    Other,
}

/// What redirects an upgrade request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RedirectedBy {
    /// The upstream, or the route's `return`, with this status.
    Status(StatusCode),
    /// The listener, by `redirect: https`.
    Listener,
}

/// What shows that a server does not speak Engine.IO.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Evidence {
    /// Its first message is no open packet.
    FirstMessage,
    /// It said nothing while the tunnel lasted, which was for this long.
    Silence(Duration),
    /// It answered polling with `426 Upgrade Required`.
    UpgradeRequired,
}

/// The level of a finding in the log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Severity {
    /// Something is set up wrongly.
    Warn,
    /// The finding is usual for a public address, or in the life of a tunnel.
    Info,
}

impl Finding {
    /// One of every finding that there is, with some numbers. The documentation must show them all.
    pub fn examples() -> Vec<Self> {
        let no_slash = FailedRequest {
            kind: RequestKind::WebSocket,
            no_slash: Some("/socket.io".to_owned()),
        };
        let moved = StatusCode::MOVED_PERMANENTLY;
        let asked = [
            RequestKind::WebSocket,
            RequestKind::EngineIo,
            RequestKind::Session,
        ]
        .map(FailedRequest::of);
        let lost = [Lost::Both, Lost::Upgrade, Lost::Connection, Lost::Version];
        let evidence = [
            Evidence::FirstMessage,
            Evidence::Silence(Duration::from_secs(20)),
            Evidence::UpgradeRequired,
        ];
        let mut examples = vec![
            Self::Eio3Refused(ServerFamily::Node),
            Self::Eio3Refused(ServerFamily::Python),
            Self::OldServer,
            Self::SessionUnknown,
            Self::TransportUnknown,
            Self::NotFound(no_slash.clone()),
            Self::NoLocation,
            Self::Redirected(RedirectedBy::Status(moved)),
            Self::Redirected(RedirectedBy::Listener),
            Self::LostHeaders(None),
            Self::PlainClient,
            Self::NoClient,
            Self::TunnelTimeout(Duration::from_secs(3600)),
            Self::Unanswered(no_slash),
        ];
        for asked in asked {
            examples.push(Self::GotPage(asked.clone(), StatusCode::OK));
            examples.push(Self::NotFound(asked.clone()));
            examples.push(Self::Unanswered(asked));
        }
        examples.extend(lost.map(|lost| Self::LostHeaders(Some(lost))));
        examples.extend(evidence.map(Self::PlainServer));
        examples
    }

    /// The name of the finding, for programs and for the documentation.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Eio3Refused(_) => "eio3_refused",
            Self::OldServer => "old_server",
            Self::SessionUnknown => "session_unknown",
            Self::TransportUnknown => "transport_unknown",
            Self::GotPage(..) => "got_page",
            Self::NotFound(_) => "not_found",
            Self::NoLocation => "no_location",
            Self::Redirected(_) => "redirected",
            Self::LostHeaders(_) => "lost_headers",
            Self::PlainClient => "plain_client",
            Self::PlainServer(_) => "plain_server",
            Self::NoClient => "no_client",
            Self::TunnelTimeout(_) => "tunnel_timeout",
            Self::Unanswered(_) => "unanswered",
        }
    }

    /// The level at which it is logged.
    pub(super) fn severity(&self) -> Severity {
        match self {
            Self::Eio3Refused(_)
            | Self::OldServer
            | Self::TransportUnknown
            | Self::GotPage(..)
            | Self::NotFound(_)
            | Self::Redirected(RedirectedBy::Status(_))
            | Self::LostHeaders(_)
            | Self::PlainClient
            | Self::PlainServer(_)
            | Self::Unanswered(_) => Severity::Warn,
            Self::SessionUnknown
            | Self::NoLocation
            | Self::Redirected(RedirectedBy::Listener)
            | Self::NoClient
            | Self::TunnelTimeout(_) => Severity::Info,
        }
    }

    /// What to do about it.
    pub fn help(&self) -> String {
        match self {
            Self::Eio3Refused(ServerFamily::Node) => {
                let help = RefusedCode::UnsupportedProtocol.help();
                return help.unwrap_or_default().to_owned();
            }
            Self::Eio3Refused(ServerFamily::Python) => {
                "python-socketio has taken EIO=4 alone since its version 5: use a client of version 3 or 4"
            }
            Self::OldServer => {
                "use a client of version 2, or a server of version 3 or 4, with `allowEIO3: true` for the clients that \
                 cannot be changed"
            }
            Self::SessionUnknown => {
                "after a restart of the server, or where it has just closed the session, this is normal, and the \
                 client begins anew; if it goes on, several servers share this address, and all requests of a session \
                 must come to the same one: use one server, or sticky sessions"
            }
            Self::TransportUnknown => {
                let help = RefusedCode::TransportUnknown.help();
                return help.unwrap_or_default().to_owned();
            }
            Self::GotPage(asked, _) | Self::NotFound(asked) => return somewhere_else(asked),
            Self::NoLocation => {
                "write a location for this path, or correct the client's address; `wsgate explain URL` says which \
                 route would answer and why the others do not"
            }
            Self::Redirected(RedirectedBy::Status(_)) => hints::NOT_REDIRECTED,
            Self::Redirected(RedirectedBy::Listener) => "give the client the wss:// address",
            Self::LostHeaders(_) => {
                "an nginx before wsgate needs `proxy_http_version 1.1;`, `proxy_set_header Upgrade $http_upgrade;` and \
                 `proxy_set_header Connection upgrade;` in its location"
            }
            Self::PlainClient => {
                "connect with a Socket.IO client, or lead other WebSockets to their own server by a location of their \
                 own"
            }
            Self::PlainServer(_) => {
                "connect with `new WebSocket`, or lead this location to the Socket.IO server"
            }
            Self::NoClient => {
                "this is a browser's address line or a health check: a server that is well answers \
                 `/socket.io/?EIO=4&transport=polling`"
            }
            Self::TunnelTimeout(_) => {
                "let the application send something more often, such as pings, or raise `tunnel_timeout`, at the top \
                 or in the route"
            }
            Self::Unanswered(asked) => return unanswered(asked),
        }
        .to_owned()
    }
}

impl fmt::Display for Finding {
    /// Writes what is wrong.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Eio3Refused(_) => {
                f.write_str("the client speaks EIO=3, and the server does not take that")
            }
            Self::OldServer => {
                f.write_str("the client speaks EIO=4, and the server is of version 2, which speaks EIO=3")
            }
            Self::SessionUnknown => f.write_str("the server knows no such session (code 1)"),
            Self::TransportUnknown => {
                f.write_str("the server does not speak this transport (code 0)")
            }
            Self::GotPage(asked, status) => {
                let status = status.as_u16();
                write!(f, "{} was answered {status}, as a page is", subject(asked))
            }
            Self::NotFound(asked) => {
                write!(f, "{} was answered 404 by the upstream", subject(asked))
            }
            Self::NoLocation => f.write_str("no location matches an upgrade request"),
            Self::Redirected(RedirectedBy::Status(status)) => write!(
                f,
                "an upgrade request was answered {}, a redirect",
                status.as_u16()
            ),
            Self::Redirected(RedirectedBy::Listener) => f.write_str(
                "an upgrade request came to a listener that only redirects (`redirect: https`)",
            ),
            Self::LostHeaders(Some(lost)) => {
                let lost = without(*lost);
                write!(f, "an upgrade request came {lost}, which a proxy before wsgate does not pass on")
            }
            Self::LostHeaders(None) => f.write_str(
                "`transport=websocket` was asked for without an upgrade: a proxy before wsgate does not pass that on, \
                 or somebody opened the address in a browser",
            ),
            Self::PlainClient => f.write_str(
                "a WebSocket client without `EIO` in its query, so not one of Socket.IO, asks a Socket.IO server",
            ),
            Self::PlainServer(evidence) => {
                write!(f, "a Socket.IO client asks a WebSocket server that does not speak Engine.IO: {evidence}")
            }
            Self::NoClient => f.write_str(
                "a request without `EIO` in its query, so not of a Socket.IO client, came to a Socket.IO server \
                 (code 0)",
            ),
            Self::TunnelTimeout(limit) => {
                write!(f, "a tunnel was ended: no byte within {limit:?} (`tunnel_timeout`)")
            }
            Self::Unanswered(_) => {
                f.write_str("the upstream closed the connection without an answer")
            }
        }
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FirstMessage => f.write_str("its first message is no open packet"),
            Self::Silence(lasted) => write!(f, "it said nothing in {} s", lasted.as_secs()),
            Self::UpgradeRequired => f.write_str("it answers polling by 426"),
        }
    }
}

/// Says how an upgrade request came of which a proxy did not pass this on.
fn without(lost: Lost) -> &'static str {
    match lost {
        Lost::Version => "as HTTP/1.0",
        Lost::Upgrade => "without `Upgrade: websocket`",
        Lost::Connection => "without `Connection: Upgrade`",
        Lost::Both => "without `Upgrade: websocket` and `Connection: Upgrade`",
    }
}

/// The request as the subject of a sentence.
fn subject(asked: &FailedRequest) -> &'static str {
    match asked.kind {
        RequestKind::Session => "the first request of a Socket.IO client",
        RequestKind::WebSocket | RequestKind::EngineIo | RequestKind::Other => "an upgrade request",
    }
}

/// What to do when the upstream has something else at the path of the request, or nothing.
fn somewhere_else(asked: &FailedRequest) -> String {
    if let Some(path) = &asked.no_slash {
        return hints::no_slash(path);
    }
    match asked.kind {
        RequestKind::EngineIo | RequestKind::Session => format!(
            "no Socket.IO server is at this path: {}; `wsgate explain URL --connect` asks it",
            hints::OTHER_PATH
        ),
        RequestKind::WebSocket | RequestKind::Other => {
            "what the location leads to has no WebSocket at this path: correct the path, or lead the location to the \
             server that has; `wsgate explain URL --connect` asks it"
                .to_owned()
        }
    }
}

/// What to do when the upstream did not answer the request.
fn unanswered(asked: &FailedRequest) -> String {
    const LOG: &str = "the upstream's own log may say why; if it is told to speak TLS, write `https://` in \
         `proxy_pass`";
    if let Some(path) = &asked.no_slash {
        return hints::no_slash(path);
    }
    match asked.kind {
        RequestKind::WebSocket | RequestKind::EngineIo => {
            format!("{}; else {LOG}", hints::CLOSED_UPGRADE)
        }
        RequestKind::Session | RequestKind::Other => {
            format!("{LOG}; after a restart this is normal")
        }
    }
}
