//! The kinds of clients, which request different things for one URL.

use std::fmt;
use std::str::FromStr;

use crate::engineio::Protocol;
use crate::engineio::Transport;

/// A kind of client: all that are of one kind request the same for a URL.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ClientKind {
    /// The library socket.io-client, version 3 or 4.
    SocketIo,
    /// The library socket.io-client, version 2.
    SocketIo2,
    /// The library weapp.socket.io in a mini program, of whatever version.
    Weapp,
    /// The library weapp.socket.io, version 2.0 or 2.1.
    Weapp2,
    /// The library weapp.socket.io, version 3.
    Weapp3,
    /// Any other WebSocket client: `new WebSocket(…)`, `wx.connectSocket`.
    WebSocket,
    /// A client of plain HTTP: a browser's address bar, `fetch`, curl.
    Http,
}

/// The name of a client that is not known.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ClientKindError(String);

impl ClientKind {
    /// All kinds, the usual ones first.
    pub const ALL: [Self; 7] = [
        Self::SocketIo,
        Self::SocketIo2,
        Self::Weapp,
        Self::Weapp2,
        Self::Weapp3,
        Self::WebSocket,
        Self::Http,
    ];

    /// The name of this kind, as it is written behind `--client`.
    pub fn name(self) -> &'static str {
        match self {
            Self::SocketIo => "socket.io",
            Self::SocketIo2 => "socket.io@2",
            Self::Weapp => "weapp",
            Self::Weapp2 => "weapp@2",
            Self::Weapp3 => "weapp@3",
            Self::WebSocket => "websocket",
            Self::Http => "http",
        }
    }

    /// Whether such a client speaks Engine.IO, so that the path of a URL is a namespace to it.
    pub fn is_socket_io(self) -> bool {
        !self.handshakes().is_empty()
    }

    /// Whether such a client runs in a mini program.
    pub fn is_weapp(self) -> bool {
        matches!(self, Self::Weapp | Self::Weapp2 | Self::Weapp3)
    }

    /// The handshakes with which such a client may begin: the protocol, the transport, and when it does so.
    pub(super) fn handshakes(self) -> &'static [(Protocol, Transport, &'static str)] {
        use Protocol::V3;
        use Protocol::V4;
        use Transport::Polling;
        use Transport::WebSocket;
        const FIRST: &str = "first";
        const THEN: &str = "then, or at once with transports: [\"websocket\"]";
        match self {
            Self::SocketIo => &[(V4, Polling, FIRST), (V4, WebSocket, THEN)],
            Self::SocketIo2 => &[(V3, Polling, FIRST), (V3, WebSocket, THEN)],
            Self::Weapp => &[
                (V3, WebSocket, "weapp.socket.io 2.1"),
                (V4, WebSocket, "weapp.socket.io 3"),
            ],
            Self::Weapp2 => &[(V3, WebSocket, "weapp.socket.io 2.1")],
            Self::Weapp3 => &[(V4, WebSocket, "weapp.socket.io 3")],
            Self::WebSocket | Self::Http => &[],
        }
    }
}

impl fmt::Display for ClientKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl ClientKindError {
    /// The names that are known.
    pub fn help(&self) -> String {
        let names: Vec<String> = ClientKind::ALL
            .iter()
            .map(|kind| format!("`{kind}`"))
            .collect();
        format!("the clients are {}", names.join(", "))
    }
}

impl fmt::Display for ClientKindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no such client: `{}`", self.0)
    }
}

impl std::error::Error for ClientKindError {}

impl FromStr for ClientKind {
    type Err = ClientKindError;

    /// Reads a name as [`ClientKind::name`] writes it, in upper or lower case, and other usual names of the client.
    fn from_str(text: &str) -> Result<Self, ClientKindError> {
        Ok(match text.to_ascii_lowercase().as_str() {
            "socket.io" | "socketio" | "socket.io@3" | "socket.io@4" => Self::SocketIo,
            "socket.io@2" | "socketio@2" => Self::SocketIo2,
            "weapp" | "weapp.socket.io" => Self::Weapp,
            "weapp@2" | "weapp.socket.io@2" => Self::Weapp2,
            "weapp@3" | "weapp.socket.io@3" => Self::Weapp3,
            "websocket" | "ws" => Self::WebSocket,
            "http" => Self::Http,
            _ => return Err(ClientKindError(text.to_owned())),
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::clients::ClientKind;

    #[test]
    fn every_client_is_read_by_its_own_name() {
        for kind in ClientKind::ALL {
            assert_eq!(kind.name().parse(), Ok(kind));
        }
        let error = "mqtt"
            .parse::<ClientKind>()
            .map_err(|error| error.to_string());
        assert_eq!(error, Err("no such client: `mqtt`".to_owned()));
    }
}
