//! What an upstream is asked outside of any client's request: whether it takes a connection at all, or what it answers to
//! one request. Each question has a connection of its own, made as those for clients are.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use http::Request;
use http::request;
use http::response;
use http_body::Body;
use hyper::body::Incoming;
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use crate::headers::spelling::Spelling;
use crate::stream::Rewound;
use crate::upstream::ConnectError;
use crate::upstream::Connection;
use crate::upstream::SendError;
use crate::upstream::Server;
use crate::upstream::close;
use crate::upstream::connect;

/// Longest wait for what follows the head of an answer. A server that is asked for an Engine.IO session, which is what
/// this is read for, gives all of it at once.
const REST: Duration = Duration::from_secs(5);

/// How much of what follows the head of an answer is read; more than any answer to an Engine.IO handshake has.
const MOST: usize = 64 * 1024;

/// Asks a server whether it takes connections: by connecting, with the TLS handshake of `https://`, and closing again.
///
/// # Errors
/// It does not.
///
/// # Cancel safety
/// Dropping the future closes what was being opened.
pub async fn answers(to: &Server, connect_timeout: Duration) -> Result<(), ConnectError> {
    let connected = connect(to, connect_timeout, &[]).await?;
    close(connected.stream).await;
    Ok(())
}

/// How long a server that is asked may take.
#[derive(Clone, Copy, Debug)]
pub struct AskTimeouts {
    /// Longest time to be connected.
    pub connect: Duration,
    /// Longest wait for the head of the answer.
    pub answer: Duration,
}

/// Sends a server one request without a body, whose names are spelled so, and waits for the head of its answer. Needs a runtime that takes tasks of its own thread.
///
/// # Errors
/// There is no connection, no answer in time, or none that is HTTP.
///
/// # Cancel safety
/// Dropping the future ends the connection.
pub async fn ask(
    to: &Server,
    head: request::Parts,
    spelling: Spelling,
    timeouts: AskTimeouts,
) -> Result<ProbeAnswer, ProbeError> {
    let connected = connect(to, timeouts.connect, &[]).await;
    let connected = connected.map_err(ProbeError::Connect)?;
    let stream = Rewound::untouched(connected.stream);
    let connection = Connection::<String>::start(stream, connected.address).await;
    let mut connection = connection.map_err(ProbeError::Http)?;
    let request = Request::from_parts(head, String::new());
    match timeout(timeouts.answer, connection.send(request, spelling)).await {
        Err(_) => Err(ProbeError::Timeout),
        Ok(Err(SendError::Unsent(_, error) | SendError::Sent(error))) => {
            Err(ProbeError::Http(error))
        }
        Ok(Ok(response)) => {
            let (head, body) = response.into_parts();
            Ok(ProbeAnswer {
                head,
                body,
                connection,
            })
        }
    }
}

/// What a server answered. Dropping it ends the connection.
#[derive(Debug)]
pub struct ProbeAnswer {
    head: response::Parts,
    body: Incoming,
    connection: Connection<String>,
}

impl ProbeAnswer {
    /// The head of the answer.
    pub fn head(&self) -> &response::Parts {
        &self.head
    }

    /// How the body begins: what comes of it within 5 s, up to 64 KiB.
    pub async fn beginning(mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let read = async {
            while let Some(Ok(frame)) = poll_fn(|cx| Pin::new(&mut self.body).poll_frame(cx)).await
            {
                if let Ok(data) = frame.into_data() {
                    bytes.extend_from_slice(&data);
                }
                if bytes.len() >= MOST {
                    break;
                }
            }
        };
        // What is there by then is all there is, whole or not.
        let _ = timeout(REST, read).await;
        bytes.truncate(MOST);
        bytes
    }

    /// What the server says first behind a 101, until that `is_enough`; what comes within 5 s, up to 64 KiB. Nothing if the
    /// connection broke.
    pub async fn first_words(self, is_enough: impl Fn(&[u8]) -> bool) -> Vec<u8> {
        let Some((mut stream, early)) = self.connection.switch().await else {
            return Vec::new();
        };
        let mut bytes = early.to_vec();
        let read = async {
            while !is_enough(&bytes) && bytes.len() < MOST {
                if !matches!(stream.read_buf(&mut bytes).await, Ok(1..)) {
                    break;
                }
            }
        };
        let _ = timeout(REST, read).await;
        bytes
    }
}

/// Why a request to a server has no answer.
#[derive(Debug)]
pub enum ProbeError {
    /// There is no connection.
    Connect(ConnectError),
    /// There was no answer in time.
    Timeout,
    /// The connection broke or closed, or what came is no HTTP.
    Http(hyper::Error),
}

impl fmt::Display for ProbeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(error) => write!(f, "{error}"),
            Self::Timeout => f.write_str("no answer in time"),
            Self::Http(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for ProbeError {}
