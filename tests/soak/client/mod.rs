//! The clients: each has a place of its own, from which it comes again and again until the soak ends.

mod ending;
mod plain;
mod polling;
mod talk;
mod tunnel;

use std::rc::Rc;
use std::time::Duration;

use crate::dice::Dice;
use crate::doors::Entrance;
use crate::world::World;

/// What a client is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Tunnel,
    Polling,
    Plain,
}

/// One client after the other at this place, whose choices are its own.
pub(crate) async fn run(world: Rc<World>, place: u64, kind: Kind, entrance: Entrance) {
    let mut dice = Dice::of(world.seed, place << 32);
    // They do not come all at once.
    world.pause(dice.pause(Duration::from_secs(2))).await;
    for turn in 1.. {
        if world.stopping.get() {
            return;
        }
        let id = place << 32 | turn;
        let dice = Dice::of(world.seed, id);
        let patience = match kind {
            Kind::Tunnel => tunnel::live(&world, id, entrance, dice).await,
            Kind::Polling => polling::live(&world, id, entrance, dice).await,
            Kind::Plain => plain::live(&world, id, entrance, dice).await,
        };
        world.pause(patience).await;
    }
}
