//! Asks nginx and wsgate the same, and says what became of it.

use std::fmt;
use std::net::SocketAddr;

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::nginx_locations::differences::Case;
use crate::nginx_locations::echo::Echo;
use crate::nginx_locations::nginx::Nginx;
use crate::nginx_locations::requests::Request;
use crate::nginx_locations::table::Table;
use crate::support::Head;
use crate::support::TestServer;
use crate::support::within;

/// What became of a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Outcome {
    /// An upstream got it, with this target.
    Upstream { number: usize, target: Vec<u8> },
    /// A redirect to what `Location` says.
    Moved { to: String },
    /// No upstream got it.
    Refused { status: u16 },
    /// The connection ended without an answer.
    Closed,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Upstream { number, target } => {
                write!(f, "upstream{number} is asked for {}", target.escape_ascii())
            }
            Self::Moved { to } => write!(f, "301 to {to}"),
            Self::Refused { status } => write!(f, "{status}"),
            Self::Closed => f.write_str("closed without an answer"),
        }
    }
}

/// nginx and wsgate over one table, each with a connection that is kept.
#[derive(Debug)]
pub(super) struct Both {
    nginx: Client,
    wsgate: Client,
    _gate: TestServer,
}

impl Both {
    /// Starts a wsgate beside an nginx that has this table already.
    pub(super) async fn start(table: &Table, nginx: &Nginx, echo: &Echo) -> Self {
        let gate = table.for_wsgate(echo).start().await;
        Self {
            nginx: Client::of(nginx.address()),
            wsgate: Client::of(gate.address()),
            _gate: gate,
        }
    }

    /// What nginx does, and what wsgate does. The table is the one that both have.
    pub(super) async fn ask(&mut self, table: &Table, request: &Request) -> Case {
        let bytes = request.bytes();
        let asked = async { tokio::join!(self.nginx.ask(&bytes), self.wsgate.ask(&bytes)) };
        let (nginx, wsgate) = within(&format!("an answer to {request}"), asked).await;
        Case {
            table: table.clone(),
            request: request.clone(),
            nginx,
            wsgate,
        }
    }
}

#[derive(Debug)]
struct Client {
    address: SocketAddr,
    connection: Option<TcpStream>,
    read: Vec<u8>,
}

impl Client {
    fn of(address: SocketAddr) -> Self {
        Self {
            address,
            connection: None,
            read: Vec::new(),
        }
    }

    async fn ask(&mut self, request: &[u8]) -> Outcome {
        let mut tcp = match self.connection.take() {
            Some(tcp) => tcp,
            None => {
                let tcp = TcpStream::connect(self.address).await.unwrap();
                tcp.set_nodelay(true).unwrap();
                tcp
            }
        };
        if tcp.write_all(request).await.is_err() {
            return Outcome::Closed;
        }
        self.read.clear();
        loop {
            if !matches!(tcp.read_buf(&mut self.read).await, Ok(1..)) {
                return Outcome::Closed;
            }
            if let Some((outcome, stays)) = outcome(&self.read) {
                self.connection = stays.then_some(tcp);
                return outcome;
            }
        }
    }
}

/// What a whole answer says, and whether its connection goes on; `None` if there is more to come.
fn outcome(read: &[u8]) -> Option<(Outcome, bool)> {
    let end = read.windows(4).position(|bytes| bytes == b"\r\n\r\n")? + 4;
    let head = Head::new(&read[..end]);
    let length = head.value("content-length");
    let length: usize = length.expect("a length").parse().unwrap();
    let body = &read[end..];
    if body.len() < length {
        return None;
    }
    assert_eq!(
        body.len(),
        length,
        "more than an answer: {}",
        read.escape_ascii()
    );
    let outcome = match head.status() {
        200 => {
            let space = body.iter().position(|byte| *byte == b' ').unwrap();
            Outcome::Upstream {
                number: str::from_utf8(&body[..space]).unwrap().parse().unwrap(),
                target: body[space + 1..].to_vec(),
            }
        }
        301 => Outcome::Moved {
            to: head.value("location").unwrap_or_default().to_owned(),
        },
        status => Outcome::Refused { status },
    };
    let stays = head
        .value("connection")
        .is_none_or(|option| !option.eq_ignore_ascii_case("close"));
    Some((outcome, stays))
}
