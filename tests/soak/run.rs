//! The soak from its start to what came of it.

use std::cell::Cell;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use hdrhistogram::Histogram;
use rustix::process::Signal;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio::sync::mpsc;
use tokio::task::spawn_local;
use tokio::time::Instant;
use tokio::time::sleep;
use tokio::time::timeout;

use crate::Arguments;
use crate::children::Child;
use crate::client;
use crate::client::Kind;
use crate::doors::Doors;
use crate::doors::Entrance;
use crate::edits::Edit;
use crate::faults;
use crate::faults::Rates;
use crate::gate;
use crate::gate::Gate;
use crate::gate::descriptors;
use crate::ledger::Ledger;
use crate::process::Process;
use crate::samples::Sample;
use crate::samples::Sampler;
use crate::world::World;

/// Upstreams: a kill hits one in so many tunnels.
const UPSTREAMS: usize = 8;

/// Longest wait for everyone to come to an end: upstreams forget a session after 30 s.
const LAST: Duration = Duration::from_secs(90);

/// What came of it.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) seed: u64,
    pub(crate) sessions: u64,
    pub(crate) lasted: Duration,
    pub(crate) ledger: Ledger,
    pub(crate) tally: BTreeMap<&'static str, u64>,
    pub(crate) through: Histogram<u64>,
    pub(crate) direct: Histogram<u64>,
    pub(crate) samples: Vec<Sample>,
    /// Memory in KiB and descriptors, before the first client and behind the last.
    pub(crate) before: (f64, usize),
    pub(crate) behind: (f64, usize),
    pub(crate) cpu: Duration,
    /// Warnings and errors of wsgate's log.
    pub(crate) troubles: BTreeMap<String, u64>,
}

pub(crate) async fn soak(arguments: &Arguments) -> Outcome {
    let seed = arguments.seed;
    let duration = Duration::from_secs_f64(arguments.minutes * 60.0);
    eprintln!(
        "seed {seed}, {} sessions, {:.0} s",
        arguments.sessions,
        duration.as_secs_f64()
    );
    let (hear, mut heard) = mpsc::unbounded_channel();
    let mut children = Vec::new();
    for place in 0..UPSTREAMS {
        children.push(Child::start(place, seed, hear.clone()).await);
    }
    let upstreams: Vec<_> = children.iter().map(|child| child.address).collect();
    let (gate, mut process) = Gate::start(&arguments.wsgate, |plain, tls| {
        Edit::Plain.yaml(0, plain, tls, &upstreams)
    })
    .await;
    let id = process.child().id();
    let world = Rc::new(World {
        seed,
        doors: Doors::new(gate.plain, gate.tls, gate.authority.der()),
        children,
        ledger: RefCell::default(),
        through: RefCell::default(),
        direct: RefCell::default(),
        open: Cell::new(0),
        tally: RefCell::default(),
        stopping: Cell::new(false),
    });
    let before = rest(&process, id).await;
    let gate = Rc::new(gate);
    let listening = Rc::clone(&world);
    spawn_local(async move {
        while let Some(heard) = heard.recv().await {
            listening.ledger.borrow_mut().heard(heard);
        }
    });
    let mut clients = Vec::new();
    for place in 0..arguments.sessions {
        let (kind, entrance) = client(place);
        clients.push(spawn_local(client::run(
            Rc::clone(&world),
            place,
            kind,
            entrance,
        )));
    }
    let rates = Rates {
        kills: (duration / 6).min(Duration::from_secs(60)),
        edits: (duration / 20).min(Duration::from_secs(12)),
    };
    clients.push(spawn_local(faults::kill(Rc::clone(&world), rates)));
    clients.push(spawn_local(faults::edit(
        Rc::clone(&world),
        Rc::clone(&gate),
        id,
        rates,
    )));

    let begun = Instant::now();
    let mut sampler = Sampler::new(&process, id);
    let window = (duration / 60).clamp(Duration::from_secs(1), Duration::from_secs(20));
    let (mut interrupt, mut terminate) = (
        signal(SignalKind::interrupt()).unwrap(),
        signal(SignalKind::terminate()).unwrap(),
    );
    while begun.elapsed() < duration {
        let told = tokio::select! {
            () = sleep(window) => false,
            _ = interrupt.recv() => true,
            _ = terminate.recv() => true,
        };
        sampler.take(&process, &world);
        say(&world, &sampler, begun);
        if told {
            break;
        }
    }
    let lasted = begun.elapsed();
    world.stopping.set(true);
    let ended = timeout(LAST, async {
        for client in clients {
            client.await.unwrap();
        }
        while world.ledger.borrow().open() > 0 {
            sleep(Duration::from_millis(100)).await;
        }
    });
    if ended.await.is_err() {
        world.find(format!(
            "{} tunnels and sessions did not end",
            world.open.get()
        ));
    }
    let behind = rest(&process, id).await;
    let cpu = process.cpu();
    stop(&world, process, id).await;
    let log = gate.log.lock().unwrap();
    for line in &log.raw {
        world.find(format!("wsgate said: {line}"));
    }
    let mut ledger = world.ledger.take();
    ledger.finish();
    let ids = ledger.findings.iter().filter_map(|it| it.split(':').next());
    let ids: BTreeSet<String> = ids.map(str::to_owned).collect();
    for id in ids {
        if let Some(how) = log.abrupt.get(&id) {
            ledger.remark(format!("{id}: wsgate says {how}"));
        }
    }
    Outcome {
        seed,
        sessions: arguments.sessions,
        lasted,
        ledger,
        tally: world.tally.take(),
        through: world.through.take().all,
        direct: world.direct.take().all,
        samples: sampler.samples,
        before,
        behind,
        cpu,
        troubles: log.troubles.clone(),
    }
}

/// SIGTERM: with nothing under way, the process ends at once.
async fn stop(world: &World, mut process: Process, id: u32) {
    gate::signal(id, Signal::TERM);
    let ended = timeout(Duration::from_secs(10), async {
        loop {
            if let Some(status) = process.ended() {
                return status;
            }
            sleep(Duration::from_millis(10)).await;
        }
    });
    let ended = ended.await;
    if ended.as_deref() != Ok("exit status: 0") {
        world.find(format!("wsgate ended by {ended:?}"));
    }
    if ended.is_ok() {
        // It is reaped: its number may be another's by now.
        std::mem::forget(process);
    }
}

/// What the client at this place is: of ten, six have a tunnel, two poll and two ask plain requests, half of each under TLS.
fn client(place: u64) -> (Kind, Entrance) {
    // Some go past wsgate, so that there is something to compare with.
    if place % 50 == 49 {
        return (Kind::Tunnel, Entrance::Direct);
    }
    match place % 10 {
        0..=2 => (Kind::Tunnel, Entrance::Plain),
        3..=5 => (Kind::Tunnel, Entrance::Tls),
        6 => (Kind::Polling, Entrance::Plain),
        7 => (Kind::Polling, Entrance::Tls),
        8 => (Kind::Plain, Entrance::Plain),
        _ => (Kind::Plain, Entrance::Tls),
    }
}

/// Memory and descriptors, when the latter have come to rest.
async fn rest(process: &Process, id: u32) -> (f64, usize) {
    let mut now = descriptors(id);
    let mut same = 0;
    for _ in 0..100 {
        sleep(Duration::from_millis(200)).await;
        let then = std::mem::replace(&mut now, descriptors(id));
        same = if then == now { same + 1 } else { 0 };
        if same == 15 {
            break;
        }
    }
    (process.memory(), now)
}

/// A line about how it goes.
fn say(world: &World, sampler: &Sampler, begun: Instant) {
    let Some(sample) = sampler.samples.last() else {
        return;
    };
    let ledger = world.ledger.borrow();
    eprintln!(
        "{:>5} s  {:>5} open  {:>6.0} KiB  {:>5} descriptors  {:>3.0} % of a core  p99 {:.1} ms, past wsgate {:.1} ms  {} lost  {} findings",
        begun.elapsed().as_secs(),
        sample.open,
        sample.kib,
        sample.descriptors,
        sample.cpu * 100.0,
        sample.through.map_or(f64::NAN, |it| it.p99),
        sample.direct.map_or(f64::NAN, |it| it.p99),
        ledger.lost,
        ledger.found
    );
}
