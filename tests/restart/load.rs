//! Clients of three kinds, and what they see of restarts.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio::time::timeout;

use crate::restart::echo::Echo;
use crate::support::Ending;
use crate::support::Peer;
use crate::support::UPGRADE;
use crate::support::try_begin_tls;
use crate::support::within;

/// What clients have seen.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    /// Requests that were answered, as they should be.
    pub(super) answers: usize,
    /// Messages that came back through a tunnel.
    pub(super) messages: usize,
    /// Tunnels that were opened.
    pub(super) tunnels: usize,
    /// Tunnels that were closed in order.
    pub(super) closed_tunnels: usize,
    /// Tunnels that were reset, with a message on its way.
    pub(super) reset_tunnels: usize,
    /// Connections that were reset before anything was said on them.
    pub(super) resets: usize,
    /// Connections that had served a request and were closed while idle.
    pub(super) closed_kept: usize,
    /// The same, but the next request was on its way. It arrived nowhere.
    pub(super) crossed: usize,
    /// New connections whose client was so slow to show its request that a drain did not wait for it: the machine is busy.
    pub(super) late: usize,
    /// Requests that were under way at the end of a drain, which is short here. The old process counts them among what it cut.
    pub(super) at_the_end: usize,
}

/// A request that was not answered.
#[derive(Clone, Copy, Debug)]
struct Lost {
    /// How its connection ended.
    ending: Ending,
    /// Whether the upstream has seen it.
    arrived: bool,
}

/// Half of what a drain waits for a connection that has not shown its request: a client that takes longer is late, which is the
/// machine's fault.
const PROMPT: Duration = Duration::from_millis(50);

impl Seen {
    /// Tunnels that are open.
    pub(super) fn open(&self) -> usize {
        self.tunnels - self.closed_tunnels - self.reset_tunnels
    }
}

#[derive(Debug)]
struct Shared {
    addresses: [SocketAddr; 2],
    echo: Arc<Echo>,
    seen: Mutex<Seen>,
    next: AtomicUsize,
    stop: AtomicBool,
}

/// All clients.
#[derive(Debug)]
pub(super) struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    pub(super) async fn start(
        addresses: [SocketAddr; 2],
        echo: Arc<Echo>,
        [coming, keeping, tunnels]: [usize; 3],
    ) -> Self {
        let shared = Arc::new(Shared {
            addresses,
            echo,
            seen: Mutex::default(),
            next: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
        });
        let mut clients = Vec::new();
        for number in 0..coming {
            clients.push(tokio::spawn(come(Arc::clone(&shared), number)));
        }
        for number in 0..keeping {
            clients.push(tokio::spawn(keep(Arc::clone(&shared), number)));
        }
        for number in 0..tunnels {
            clients.push(tokio::spawn(talk(Arc::clone(&shared), number)));
        }
        Self { shared, clients }
    }

    pub(super) fn seen(&self) -> Seen {
        assert!(
            !self.clients.iter().any(JoinHandle::is_finished),
            "a client has seen what it must not"
        );
        *self.shared.seen.lock().unwrap()
    }

    /// Lets every client come to its end.
    pub(super) async fn stop(self) -> Seen {
        self.shared.stop.store(true, Ordering::SeqCst);
        for client in self.clients {
            within("the end of a client", client).await.unwrap();
        }
        *self.shared.seen.lock().unwrap()
    }
}

impl Shared {
    fn saw(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.seen.lock().unwrap());
    }

    fn stops(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// A connection of client `number`, of which every other one has TLS, and when it was begun; none if it was reset.
    async fn connect(&self, number: usize) -> Option<(Peer, Instant)> {
        let begun = Instant::now();
        let tcp = within("connecting", TcpStream::connect(self.addresses[number % 2])).await;
        let tcp = match tcp {
            Ok(tcp) => tcp,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::ConnectionReset, "connecting");
                self.saw(|seen| seen.resets += 1);
                return None;
            }
        };
        if number.is_multiple_of(2) {
            return Some((Peer::plain(tcp), begun));
        }
        match try_begin_tls(tcp).await {
            Ok(peer) => Some((peer, begun)),
            Err(error) => {
                let ending = match error.kind() {
                    ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => Ending::Reset,
                    _ => Ending::Cut,
                };
                let arrived = false;
                self.was_new(Lost { ending, arrived }, begun);
                None
            }
        }
    }

    /// A connection ended that was begun then, before anything was answered on it.
    fn was_new(&self, Lost { ending, arrived }: Lost, begun: Instant) {
        let is_late = begun.elapsed() > PROMPT;
        self.saw(|seen| match (ending, arrived) {
            (Ending::Reset, false) => seen.resets += 1,
            (Ending::Fin | Ending::Cut, false) if is_late => seen.late += 1,
            _ => seen.at_the_end += 1,
        });
    }

    /// One request, which is answered as it should be, or not at all.
    async fn ask(&self, peer: &mut Peer) -> Result<(), Lost> {
        let number = self.next.fetch_add(1, Ordering::SeqCst);
        let request =
            format!("GET /{number} HTTP/1.1\r\nHost: chat.test\r\nX-Number: {number}\r\n\r\n");
        // A reset may be noticed here or there.
        let _ = peer.try_send(request).await;
        let begun = within("an answer", peer.more_or_end()).await;
        if begun.is_ok() {
            let answer = peer.answer().await;
            assert_eq!(
                (answer.status(), answer.text()),
                (200, &*number.to_string())
            );
            assert_eq!(self.echo.came(number), 1, "request {number}");
            self.saw(|seen| seen.answers += 1);
            return Ok(());
        }
        let arrived = self.echo.came(number) > 0;
        begun.map_err(|ending| Lost { ending, arrived })
    }
}

/// Comes for one request, again and again.
async fn come(shared: Arc<Shared>, client: usize) {
    while !shared.stops() {
        let Some((mut peer, begun)) = shared.connect(client).await else {
            continue;
        };
        if let Err(lost) = shared.ask(&mut peer).await {
            shared.was_new(lost, begun);
        }
        sleep(Duration::from_millis(1)).await;
    }
}

/// Keeps its connection for the next request.
async fn keep(shared: Arc<Shared>, client: usize) {
    while !shared.stops() {
        let Some((mut peer, begun)) = shared.connect(client).await else {
            continue;
        };
        let mut is_new = true;
        while !shared.stops() {
            match shared.ask(&mut peer).await {
                Ok(()) => is_new = false,
                Err(lost) if is_new => {
                    shared.was_new(lost, begun);
                    break;
                }
                Err(lost) => {
                    shared.saw(|seen| match lost.arrived {
                        false => seen.crossed += 1,
                        true => seen.at_the_end += 1,
                    });
                    break;
                }
            }
            // As any client does, it looks whether the connection is still there.
            if let Ok(ending) = timeout(Duration::from_millis(2), peer.more_or_end()).await {
                assert_eq!(ending, Err(Ending::Fin), "an idle connection");
                shared.saw(|seen| seen.closed_kept += 1);
                break;
            }
        }
    }
}

/// Talks through a tunnel, and opens another when it is closed.
async fn talk(shared: Arc<Shared>, client: usize) {
    while !shared.stops() {
        let Some((mut peer, begun)) = shared.connect(client).await else {
            continue;
        };
        let _ = peer.try_send(UPGRADE).await;
        if let Err(ending) = within("a 101", peer.more_or_end()).await {
            // Whether the upstream has seen it, nobody asks.
            shared.was_new(
                Lost {
                    ending,
                    arrived: false,
                },
                begun,
            );
            continue;
        }
        assert_eq!(peer.head().await.status(), 101);
        shared.saw(|seen| seen.tunnels += 1);
        for number in 0_u64.. {
            if shared.stops() {
                peer.finish().await;
                assert_eq!(peer.rest().await, (Vec::new(), Ending::Fin));
                return;
            }
            // What is on its way when the tunnel is closed is lost with it, and nothing else is.
            let _ = peer.try_send(number.to_be_bytes()).await;
            if let Err(ending) = within("a message", peer.more_or_end()).await {
                shared.saw(|seen| match ending {
                    Ending::Fin => seen.closed_tunnels += 1,
                    Ending::Reset => seen.reset_tunnels += 1,
                    Ending::Cut => panic!("a tunnel without a close_notify"),
                });
                break;
            }
            assert_eq!(peer.take(8).await, number.to_be_bytes());
            shared.saw(|seen| seen.messages += 1);
            sleep(Duration::from_millis(10)).await;
        }
    }
}
