//! What happens to everyone at once while they talk: upstreams are killed, the file is edited, certificates are renewed.

use std::rc::Rc;
use std::time::Duration;

use rustix::process::Signal;
use rustls_pki_types::CertificateDer;
use tokio::time::Instant;

use crate::dice::Dice;
use crate::doors::Entrance;
use crate::doors::Room;
use crate::edits::EDITS;
use crate::edits::Edit;
use crate::gate::Gate;
use crate::gate::signal;
use crate::http::Http;
use crate::world::World;

/// Longest wait for an edit to be in force: it takes milliseconds, but the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often each happens, on the average.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rates {
    pub(crate) kills: Duration,
    pub(crate) edits: Duration,
}

/// Kills one upstream after the other, and starts each again.
pub(crate) async fn kill(world: Rc<World>, rates: Rates) {
    let mut dice = Dice::of(world.seed, u64::MAX);
    loop {
        world
            .pause(rates.kills / 2 + dice.pause(rates.kills / 2))
            .await;
        if world.stopping.get() {
            return;
        }
        let place = dice.below(world.children.len() as u64) as usize;
        let down = dice.pause(Duration::from_secs(1));
        world.children[place].kill();
        world.count("upstreams killed");
        eprintln!("upstream {place} is killed");
        tokio::time::sleep(down).await;
        world.children[place].boot().await;
    }
}

/// Edits the file and renews certificates.
pub(crate) async fn edit(world: Rc<World>, gate: Rc<Gate>, id: u32, rates: Rates) {
    let mut dice = Dice::of(world.seed, u64::MAX - 1);
    let upstreams: Vec<_> = world.children.iter().map(|child| child.address).collect();
    let mut folder = Edit::Plain.folder();
    let mut version = 0;
    for next in 1.. {
        world
            .pause(rates.edits / 2 + dice.pause(rates.edits / 2))
            .await;
        if world.stopping.get() {
            return;
        }
        if dice.percent(33) {
            let certificate = gate.renew(folder);
            notice(id, &mut dice);
            wait(&world, "certificates renewed", async || {
                shows(&world, &certificate).await
            })
            .await;
            continue;
        }
        let edit = dice.weighted(&EDITS);
        let refused = gate.said(REFUSED);
        gate.save(&edit.yaml(next, gate.plain, gate.tls, &upstreams));
        notice(id, &mut dice);
        if edit.is_good() {
            version = next;
            folder = edit.folder();
            wait(&world, "reloads", async || {
                is_version(&world, version).await
            })
            .await;
        } else {
            wait(&world, "reloads refused", async || {
                gate.said(REFUSED) > refused
            })
            .await;
            if !is_version(&world, version).await {
                world.find(format!(
                    "{edit:?} is not good, and yet version {version} is no more in force"
                ));
            }
        }
    }
}

const REFUSED: &str = "not reloaded: the configuration of before goes on";

/// Every other time somebody does not wait until the file is noticed.
fn notice(id: u32, dice: &mut Dice) {
    if dice.percent(50) {
        signal(id, Signal::HUP);
    }
}

async fn wait(world: &World, what: &'static str, holds: impl AsyncFn() -> bool) {
    let begun = Instant::now();
    while !holds().await {
        if begun.elapsed() > PATIENCE {
            world.find(format!("{what}: not in force after {PATIENCE:?}"));
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    world.count(what);
}

async fn shows(world: &World, certificate: &CertificateDer<'static>) -> bool {
    match world.doors.shown().await {
        Ok(shown) => shown == *certificate,
        Err(error) => {
            world.find(format!("a TLS handshake: {error}"));
            false
        }
    }
}

async fn is_version(world: &World, version: u64) -> bool {
    let asked = async {
        let wire = world
            .doors
            .connect(Entrance::Plain, world.children[0].address, Room::Usual);
        let request = b"GET /version HTTP/1.1\r\nHost: localhost\r\n\r\n";
        Http::new(wire.await?).ask(request).await
    };
    match asked.await {
        Ok((_, text)) => text == format!("version{version}").as_bytes(),
        Err(error) => {
            world.find(format!("/version: {error}"));
            false
        }
    }
}
