//! The upstreams as the soak has them: processes of this program, which are killed and started again at the same ports.

use std::cell::Cell;
use std::cell::RefCell;
use std::io::BufRead;
use std::io::BufReader;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::process::Command;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use socket2::Domain;
use socket2::Socket;
use socket2::Type;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::message::Account;
use crate::process::Process;

/// After a kill for so long, whatever fails may have failed by it: a client may learn of it late on a busy machine.
const AFTERMATH: Duration = Duration::from_secs(3);

/// What an upstream says of one tunnel or session that has ended.
#[derive(Clone, Debug)]
pub(crate) struct Ended {
    pub(crate) id: u64,
    pub(crate) account: Account,
    pub(crate) how: String,
    pub(crate) why: String,
}

/// What is heard from upstreams.
#[derive(Clone, Debug)]
pub(crate) enum Heard {
    Ended(Ended),
    /// That process says nothing more.
    Silent(Origin),
}

/// A process among those that an upstream was: its place, and which one it was there.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Origin {
    pub(crate) place: usize,
    pub(crate) generation: u64,
}

/// One upstream at its port.
#[derive(Debug)]
pub(crate) struct Child {
    place: usize,
    pub(crate) address: SocketAddr,
    seed: u64,
    /// A socket that has the port and never listens, so that nobody else is given it.
    _reserved: Socket,
    process: RefCell<Option<Process>>,
    generation: Cell<u64>,
    killed: Cell<Option<Instant>>,
    up: Cell<bool>,
    heard: UnboundedSender<Heard>,
}

impl Child {
    pub(crate) async fn start(place: usize, seed: u64, heard: UnboundedSender<Heard>) -> Self {
        let reserved = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        reserved.set_reuse_port(true).unwrap();
        reserved.set_reuse_address(true).unwrap();
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        reserved.bind(&any.into()).unwrap();
        let address = reserved.local_addr().unwrap().as_socket().unwrap();
        let child = Self {
            place,
            address,
            seed,
            _reserved: reserved,
            process: RefCell::default(),
            generation: Cell::new(0),
            killed: Cell::new(None),
            up: Cell::new(false),
            heard,
        };
        child.boot().await;
        child
    }

    /// Starts the next process at the port, and waits until it listens.
    pub(crate) async fn boot(&self) {
        self.generation.set(self.generation.get() + 1);
        let origin = Origin {
            place: self.place,
            generation: self.generation.get(),
        };
        let mut command = Command::new(std::env::current_exe().unwrap());
        let port = self.address.port();
        command.args(["--upstream", &port.to_string()]);
        command.args(["--generation", &origin.generation.to_string()]);
        command.args(["--seed", &self.seed.to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Process::start(&mut command).unwrap();
        let stdout = BufReader::new(process.child().stdout.take().unwrap());
        let heard = self.heard.clone();
        let (ready, is_ready) = oneshot::channel();
        thread::spawn(move || {
            let mut lines = stdout.lines().map_while(Result::ok);
            let _ = ready.send(lines.next());
            for line in lines {
                // One that was cut by the kill is no report.
                if let Some(ended) = parse(&line) {
                    let _ = heard.send(Heard::Ended(ended));
                }
            }
            let _ = heard.send(Heard::Silent(origin));
        });
        assert_eq!(is_ready.await.unwrap().as_deref(), Some("ready"));
        self.process.replace(Some(process));
        self.up.set(true);
    }

    /// SIGKILL.
    pub(crate) fn kill(&self) {
        self.up.set(false);
        self.killed.set(Some(Instant::now()));
        if let Some(mut process) = self.process.take() {
            let _ = process.child().kill();
        }
    }

    /// Whether the process of that number is gone.
    pub(crate) fn is_gone(&self, generation: u64) -> bool {
        generation < self.generation.get() || !self.up.get()
    }

    /// Whether what failed between then and now may have failed because of a kill.
    pub(crate) fn explains(&self, begun: Instant) -> bool {
        !self.up.get()
            || self
                .killed
                .get()
                .is_some_and(|killed| killed + AFTERMATH > begun)
    }
}

fn parse(line: &str) -> Option<Ended> {
    let mut fields = line.splitn(7, ' ');
    let mut number = || fields.next()?.parse().ok();
    let (id, sent, sent_bytes, got, got_bytes) =
        (number()?, number()?, number()?, number()?, number()?);
    Some(Ended {
        id,
        account: Account {
            sent,
            sent_bytes,
            got,
            got_bytes,
        },
        how: fields.next()?.to_owned(),
        why: fields.next()?.to_owned(),
    })
}
