//! The requests that a client makes for a URL.

use std::fmt;

use http::HeaderValue;
use http::Method;
use http::Request as HttpRequest;
use http::header;
use http::request::Parts;

use crate::clients::ClientKind;
use crate::clients::Scheme;
use crate::clients::Url;
use crate::engineio;
use crate::engineio::Transport;
use crate::headers::upgrade;

/// The `Sec-WebSocket-Key` of RFC 6455 §1.3, for upgrade requests that are decided about and never sent.
const KEY: HeaderValue = HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ==");

/// The endings of paths that name a file, which nobody gives to a Socket.IO client.
const FILES: [&str; 16] = [
    "css", "gif", "htm", "html", "ico", "jpeg", "jpg", "js", "json", "map", "mjs", "png", "svg",
    "txt", "wasm", "xml",
];

/// What decides about a client's requests beside the URL.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Options {
    /// The kind of client; `None` lets it be guessed.
    pub kind: Option<ClientKind>,
    /// The option `path` of a Socket.IO client.
    pub path: Option<engineio::Path>,
}

/// How the kind of a client was found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Chosen {
    /// A person named the kind.
    Said,
    /// The kind is the likely one for the URL.
    Guessed,
}

/// The requests that a client makes for a URL.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ClientRequests {
    /// The kind of client.
    pub kind: ClientKind,
    /// How that kind was found.
    pub chosen: Chosen,
    /// For a Socket.IO client the namespace, which is the path of the URL, or `/` if it has none.
    pub namespace: Option<String>,
    /// The requests in their order, at least one.
    pub requests: Vec<Request>,
}

/// One request of a client.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Request {
    /// When the client makes this request, if it makes others too.
    pub when: &'static str,
    /// What the request asks for.
    pub what: RequestKind,
    /// The request target: path and query.
    pub target: String,
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RequestKind {
    /// A page or anything else.
    Page,
    /// An Engine.IO session over polling.
    Polling,
    /// A WebSocket.
    WebSocket,
    /// A WebSocket that carries Engine.IO.
    EngineIo,
}

/// Why a client cannot be given these options.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum OptionsError {
    /// A client of this kind has no option `path`.
    NoPath(ClientKind),
}

impl OptionsError {
    /// What to do about these options.
    pub fn help(&self) -> &'static str {
        match self {
            Self::NoPath(_) => "take it out: the path of such a client stands in the URL",
        }
    }
}

impl fmt::Display for OptionsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPath(kind) => write!(
                f,
                "`path` is an option of Socket.IO clients, not of `{kind}`"
            ),
        }
    }
}

impl std::error::Error for OptionsError {}

impl ClientRequests {
    /// The requests of a client that is given `url`.
    ///
    /// # Errors
    /// If the options contradict each other.
    pub fn new(url: &Url, options: &Options) -> Result<Self, OptionsError> {
        let (kind, chosen) = match options.kind {
            Some(kind) => (kind, Chosen::Said),
            None if options.path.is_some() => (ClientKind::SocketIo, Chosen::Guessed),
            None => (guess(url), Chosen::Guessed),
        };
        if options.path.is_some() && !kind.is_socket_io() {
            return Err(OptionsError::NoPath(kind));
        }
        let path = options.path.clone().unwrap_or_default();
        let handshakes = kind.handshakes().iter();
        let mut requests: Vec<Request> = handshakes
            .map(|(protocol, transport, when)| Request {
                when,
                what: match transport {
                    Transport::Polling => RequestKind::Polling,
                    Transport::WebSocket => RequestKind::EngineIo,
                },
                target: path.handshake(url.query().unwrap_or_default(), *protocol, *transport),
            })
            .collect();
        if requests.is_empty() {
            requests.push(Request {
                when: "",
                what: match kind {
                    ClientKind::Http => RequestKind::Page,
                    _ => RequestKind::WebSocket,
                },
                target: url.target(),
            });
        }
        Ok(Self {
            kind,
            chosen,
            namespace: kind.is_socket_io().then(|| url.typed_path().to_owned()),
            requests,
        })
    }
}

/// The likely kind of client for a URL: Socket.IO, unless the URL has a query, which people do not give to such a
/// client, or names a file.
fn guess(url: &Url) -> ClientKind {
    let name = url.path().rsplit('/').next().unwrap_or_default();
    let is_file = name
        .rsplit_once('.')
        .is_some_and(|(_, ending)| FILES.contains(&ending.to_ascii_lowercase().as_str()));
    match url.scheme() {
        _ if url.query().is_none() && !is_file => ClientKind::SocketIo,
        Scheme::Ws | Scheme::Wss => ClientKind::WebSocket,
        Scheme::Http | Scheme::Https => ClientKind::Http,
    }
}

impl Request {
    /// Whether the request asks for a WebSocket.
    pub fn is_upgrade(&self) -> bool {
        matches!(self.what, RequestKind::WebSocket | RequestKind::EngineIo)
    }

    /// The head of the request with every field that can decide about it. `None` if the target cannot stand in a
    /// request, which that of a [`ClientRequests`] always can.
    pub fn head(&self, url: &Url) -> Option<Parts> {
        let mut request = HttpRequest::builder()
            .method(Method::GET)
            .uri(&self.target)
            .header(header::HOST, url.authority())
            .body(())
            .ok()?;
        if self.is_upgrade() {
            let headers = request.headers_mut();
            upgrade::write(headers);
            headers.insert(
                header::SEC_WEBSOCKET_VERSION,
                HeaderValue::from_static("13"),
            );
            headers.insert(header::SEC_WEBSOCKET_KEY, KEY);
        }
        Some(request.into_parts().0)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use crate::clients::Chosen;
    use crate::clients::ClientKind;
    use crate::clients::ClientRequests;
    use crate::clients::Options;
    use crate::clients::OptionsError;
    use crate::clients::Url;

    fn asks(url: &str, kind: Option<ClientKind>, path: Option<&str>) -> ClientRequests {
        let path = path.map(|path| path.parse().unwrap());
        ClientRequests::new(&url.parse().unwrap(), &Options { kind, path }).unwrap()
    }

    fn targets(asks: &ClientRequests) -> Vec<&str> {
        asks.requests
            .iter()
            .map(|one| one.target.as_str())
            .collect()
    }

    #[test]
    fn a_url_without_a_query_is_given_to_socket_io_whose_namespace_its_path_is() {
        let asks = asks("ws://www.example.com/hello", None, None);
        assert_eq!(
            (asks.kind, asks.chosen),
            (ClientKind::SocketIo, Chosen::Guessed)
        );
        assert_eq!(asks.namespace.as_deref(), Some("/hello"));
        assert_eq!(
            targets(&asks),
            [
                "/socket.io/?EIO=4&transport=polling",
                "/socket.io/?EIO=4&transport=websocket"
            ]
        );
    }

    #[test]
    fn the_likely_client_is_guessed_from_query_ending_and_scheme() {
        for (url, kind) in [
            ("ws://h", ClientKind::SocketIo),
            ("https://h/chat", ClientKind::SocketIo),
            ("ws://h/chat?room=1", ClientKind::WebSocket),
            ("https://h/chat?room=1", ClientKind::Http),
            ("http://h/index.HTML", ClientKind::Http),
            ("ws://h/a.json", ClientKind::WebSocket),
            ("http://h/v1.2/", ClientKind::SocketIo),
        ] {
            assert_eq!(asks(url, None, None).kind, kind, "{url}");
        }
    }

    #[test]
    fn each_client_asks_in_its_own_way() {
        let of = |kind, path| asks("ws://h/hello?a=1", Some(kind), path);
        assert_eq!(
            targets(&of(ClientKind::SocketIo2, None)),
            [
                "/socket.io/?a=1&EIO=3&transport=polling",
                "/socket.io/?a=1&EIO=3&transport=websocket"
            ]
        );
        assert_eq!(
            targets(&of(ClientKind::Weapp, Some("/hello"))),
            [
                "/hello/?a=1&EIO=3&transport=websocket",
                "/hello/?a=1&EIO=4&transport=websocket"
            ]
        );
        assert_eq!(targets(&of(ClientKind::Weapp3, None)).len(), 1);
        let websocket = of(ClientKind::WebSocket, None);
        assert_eq!(targets(&websocket), ["/hello?a=1"]);
        assert_eq!(websocket.namespace, None);
        assert!(websocket.requests[0].is_upgrade());
        assert!(!of(ClientKind::Http, None).requests[0].is_upgrade());
        let options = Options {
            kind: Some(ClientKind::Http),
            path: Some("/x".parse().unwrap()),
        };
        assert_eq!(
            ClientRequests::new(&"http://h".parse().unwrap(), &options),
            Err(OptionsError::NoPath(ClientKind::Http))
        );
    }

    proptest! {
        #[test]
        fn whatever_is_asked_for_can_stand_in_a_request(
            rest in "[/\\\\?]\\PC{0,16}", path in "/[!-~]{0,9}", kind in prop::sample::select(ClientKind::ALL.to_vec()),
        ) {
            if let Ok(url) = format!("ws://h:81{rest}").parse::<Url>() {
                let path = path.parse().ok().filter(|_| kind.is_socket_io());
                for request in &ClientRequests::new(&url, &Options { kind: Some(kind), path }).unwrap().requests {
                    let head = request.head(&url).unwrap();
                    prop_assert_eq!(head.uri.to_string(), request.target.as_str());
                    prop_assert_eq!(&head.headers["host"], "h:81");
                }
            }
        }
    }
}
