//! The findings about a client, its server, or the way between them; `text` has their words.

mod text;

use std::time::Duration;

use http::StatusCode;

use crate::observe::Lost;
use crate::observe::StickyBy;

/// Something that is wrong with a client, its server, or the way between them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Finding {
    /// The client speaks EIO=3, and the server does not take that.
    Eio3Refused(ServerFamily),
    /// The client speaks EIO=4, and the server is of version 2.
    OldServer,
    /// The server knows no such session, or no server of the group that was asked.
    SessionUnknown(SessionPlace),
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

/// Where a session was looked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SessionPlace {
    /// At the one server that the route leads to, as far as wsgate knows.
    Server,
    /// In a group whose `sticky` says this.
    GroupOf(StickyBy),
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
    pub kind: RefusedRequestKind,
    /// Its path, if that is Socket.IO's without the last slash.
    pub no_slash: Option<String>,
}

impl FailedRequest {
    fn of(kind: RefusedRequestKind) -> Self {
        Self {
            kind,
            no_slash: None,
        }
    }
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RefusedRequestKind {
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
pub(super) enum FindingLevel {
    /// Something is set up wrongly.
    Warn,
    /// The finding is usual for a public address, or in the life of a tunnel.
    Info,
}

impl Finding {
    /// One of every finding that there is, with some numbers. The documentation must show them all.
    pub fn examples() -> Vec<Self> {
        let no_slash = FailedRequest {
            kind: RefusedRequestKind::WebSocket,
            no_slash: Some("/socket.io".to_owned()),
        };
        let moved = StatusCode::MOVED_PERMANENTLY;
        let asked = [
            RefusedRequestKind::WebSocket,
            RefusedRequestKind::EngineIo,
            RefusedRequestKind::Session,
        ]
        .map(FailedRequest::of);
        let places = [
            SessionPlace::Server,
            SessionPlace::GroupOf(StickyBy::Sid),
            SessionPlace::GroupOf(StickyBy::Cookie),
            SessionPlace::GroupOf(StickyBy::Nothing),
        ];
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
        examples.extend(places.map(Self::SessionUnknown));
        examples.extend(lost.map(|lost| Self::LostHeaders(Some(lost))));
        examples.extend(evidence.map(Self::PlainServer));
        examples
    }

    /// The name of the finding, for programs and for the documentation.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Eio3Refused(_) => "eio3_refused",
            Self::OldServer => "old_server",
            Self::SessionUnknown(_) => "session_unknown",
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
    pub(super) fn severity(&self) -> FindingLevel {
        match self {
            Self::Eio3Refused(_)
            | Self::OldServer
            | Self::TransportUnknown
            | Self::GotPage(..)
            | Self::NotFound(_)
            | Self::Redirected(RedirectedBy::Status(_))
            | Self::SessionUnknown(SessionPlace::GroupOf(StickyBy::Cookie | StickyBy::Nothing))
            | Self::LostHeaders(_)
            | Self::PlainClient
            | Self::PlainServer(_)
            | Self::Unanswered(_) => FindingLevel::Warn,
            Self::SessionUnknown(SessionPlace::Server | SessionPlace::GroupOf(StickyBy::Sid))
            | Self::NoLocation
            | Self::Redirected(RedirectedBy::Listener)
            | Self::NoClient
            | Self::TunnelTimeout(_) => FindingLevel::Info,
        }
    }
}
