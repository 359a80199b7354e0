//! The words of each finding: what is wrong, and what to do about it.

use std::fmt;

use crate::engineio::RefusedCode;
use crate::engineio::finding::Evidence;
use crate::engineio::finding::FailedRequest;
use crate::engineio::finding::Finding;
use crate::engineio::finding::RedirectedBy;
use crate::engineio::finding::RefusedRequestKind;
use crate::engineio::finding::ServerFamily;
use crate::engineio::finding::SessionPlace;
use crate::engineio::hints;
use crate::observe::Lost;
use crate::observe::StickyBy;

impl Finding {
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
            Self::SessionUnknown(place) => elsewhere(*place),
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
            Self::SessionUnknown(SessionPlace::GroupOf(StickyBy::Sid)) => f.write_str(
                "no server of the group that was asked knows this session (code 1)",
            ),
            Self::SessionUnknown(_) => f.write_str("the server knows no such session (code 1)"),
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

/// What to do when a session is not known where it was looked for.
fn elsewhere(place: SessionPlace) -> &'static str {
    match place {
        SessionPlace::Server => {
            "after a restart of the server, or where it has just closed the session, this is normal, and the client \
             begins anew; if it goes on, several servers share this address: give each an address of its own, and write \
             them as a list in `proxy_pass`, so that wsgate finds the one that has the session"
        }
        SessionPlace::GroupOf(StickyBy::Sid) => {
            "after a restart of a server, or where it has just closed the session, this is normal, and the client begins \
             anew; `upstream_addr` has the servers that were asked; if it goes on, several processes share the address of \
             one of them: give each an address of its own in `servers`"
        }
        SessionPlace::GroupOf(StickyBy::Cookie) => {
            "`sticky` of the group is a cookie alone, and clients that keep none, or not the one of another site, come to \
             any server: write `sticky: [sid, { cookie: .. }]`"
        }
        SessionPlace::GroupOf(StickyBy::Nothing) => {
            "the group has `sticky: off`, so that the requests of a session come to any server: take that line out, or \
             let its clients use WebSocket alone (`transports: [\"websocket\"]`)"
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
        RefusedRequestKind::Session => "the first request of a Socket.IO client",
        RefusedRequestKind::WebSocket
        | RefusedRequestKind::EngineIo
        | RefusedRequestKind::Other => "an upgrade request",
    }
}

/// What to do when the upstream has something else at the path of the request, or nothing.
fn somewhere_else(asked: &FailedRequest) -> String {
    if let Some(path) = &asked.no_slash {
        return hints::no_slash(path);
    }
    match asked.kind {
        RefusedRequestKind::EngineIo | RefusedRequestKind::Session => format!(
            "no Socket.IO server is at this path: {}; `wsgate explain URL --connect` asks it",
            hints::OTHER_PATH
        ),
        RefusedRequestKind::WebSocket | RefusedRequestKind::Other => {
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
        RefusedRequestKind::WebSocket | RefusedRequestKind::EngineIo => {
            format!("{}; else {LOG}", hints::CLOSED_UPGRADE)
        }
        RefusedRequestKind::Session | RefusedRequestKind::Other => {
            format!("{LOG}; after a restart this is normal")
        }
    }
}
