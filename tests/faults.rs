//! What goes wrong on either side of wsgate, and what everybody sees of it: the tables of `docs/reliability.md`.
//!
//! The rows are data. Each is acted out against the real binary over every combination of wires that it is for, and what was seen
//! must be what the row says. `UPDATE_FIXTURES=1 cargo test faults` writes the tables from the rows, and prints what was seen
//! where it is something else.

mod clients;
mod document;
mod expired;
mod killed;
mod loss;
mod lost;
mod machine;
mod network;
mod of_clients;
mod of_machine;
mod of_upstreams;
mod row;
mod upstreams;
mod words;
mod world;

use crate::faults::row::Act;
use crate::faults::row::Row;
use crate::faults::row::Wires;
use crate::faults::world::World;

/// How many rows there are in all, so that none is lost unseen.
const ROWS: usize = 67;

/// The tables, by the names under which the document has them.
fn tables() -> [(&'static str, Vec<Row>); 4] {
    [
        ("upstream", upstreams::rows()),
        ("client", clients::rows()),
        ("machine", machine::rows()),
        ("loss", loss::rows()),
    ]
}

/// Acts out the rows of a table over these wires, in one world for each.
async fn act(rows: Vec<Row>, over: &[Wires]) {
    let mut wrong = String::new();
    for wires in over {
        let mut world = None;
        for row in rows.iter().filter(|row| row.over.contains(wires)) {
            println!("{}, {wires:?}", row.fault);
            let seen = match row.act {
                Act::Alone(act) => act(*wires).await,
                Act::InWorld(act) => {
                    let world = match &mut world {
                        Some(world) => world,
                        none => none.insert(World::new(*wires).await),
                    };
                    act(world).await
                }
            };
            wrong += &row.differences(*wires, &seen);
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[tokio::test]
async fn what_upstreams_do_is_seen_as_the_table_says_over_ws() {
    act(upstreams::rows(), &Wires::OF_WS).await;
}

#[tokio::test]
async fn what_upstreams_do_is_seen_as_the_table_says_over_wss() {
    act(upstreams::rows(), &Wires::OF_WSS).await;
}

#[tokio::test]
async fn what_clients_do_is_seen_as_the_table_says_over_ws() {
    act(clients::rows(), &Wires::OF_WS).await;
}

#[tokio::test]
async fn what_clients_do_is_seen_as_the_table_says_over_wss() {
    act(clients::rows(), &Wires::OF_WSS).await;
}

#[tokio::test]
async fn what_the_machine_lacks_is_seen_as_the_table_says() {
    act(machine::rows(), &Wires::ALL).await;
}

/// All at the same time, each in networks of its own.
#[test]
#[ignore = "needs root, network namespaces, and the two minutes after which a vanished peer is found"]
fn what_vanishes_is_found_as_the_table_says() {
    let mut acting = Vec::new();
    for row in loss::rows() {
        for wires in row.over.iter().copied() {
            let Act::Alone(act) = row.act else {
                panic!("{}: in which network?", row.fault);
            };
            // A thread is in one network at a time.
            let thread =
                std::thread::Builder::new().name(format!("{}, {:?}", row.fault, wires.client));
            let thread = thread.spawn(move || {
                let mut runtime = tokio::runtime::Builder::new_current_thread();
                let runtime = runtime.enable_all().build().unwrap();
                runtime.block_on(async { act(wires).await })
            });
            let thread = thread.unwrap();
            acting.push((row.name(), wires, thread));
        }
    }
    let rows = loss::rows();
    let mut wrong = String::new();
    for (name, wires, thread) in acting {
        let row = rows.iter().find(|row| row.name() == name).unwrap();
        wrong += &row.differences(wires, &thread.join().unwrap());
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}
