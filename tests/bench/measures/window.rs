//! CPU time of a proxy while its clients do one thing over and over.

use std::cell::Cell;
use std::rc::Rc;

use tokio::task::spawn_local;
use tokio::time::sleep;

use crate::bench::Bench;
use crate::bench::micros_each;
use crate::client::Client;
use crate::contenders::Proxy;

/// What each client does, and does again when it is done.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Work {
    /// A message of so many bytes, there and back: two messages.
    Echo(usize),
    /// A request and its answer.
    Poll,
}

impl Work {
    async fn once(self, client: &mut Client, message: &[u8], back: &mut Vec<u8>) -> u64 {
        match self {
            Self::Echo(_) => {
                client.echo(message, back).await.expect("an echo");
                2
            }
            Self::Poll => {
                client.poll(back).await.expect("an answer");
                1
            }
        }
    }
}

/// Microseconds of CPU for each message or poll, and the clients back.
pub(crate) async fn window(
    bench: &Bench,
    proxy: &Proxy,
    clients: Vec<Client>,
    work: Work,
) -> (f64, Vec<Client>) {
    let running = Rc::new(Cell::new(true));
    let done = Rc::new(Cell::new(0));
    let lanes: Vec<_> = clients
        .into_iter()
        .map(|mut client| {
            let (running, done) = (Rc::clone(&running), Rc::clone(&done));
            spawn_local(async move {
                let size = match work {
                    Work::Echo(size) => size,
                    Work::Poll => 1024,
                };
                let (message, mut back) = (vec![b'm'; size], vec![0; size]);
                while running.get() {
                    let more = work.once(&mut client, &message, &mut back).await;
                    done.set(done.get() + more);
                }
                client
            })
        })
        .collect();
    sleep(bench.plan.window / 4).await;
    let (cpu, count) = (proxy.process.cpu(), done.get());
    sleep(bench.plan.window).await;
    let (cpu, count) = (proxy.process.cpu() - cpu, done.get() - count);
    running.set(false);
    let mut clients = Vec::new();
    for lane in lanes {
        clients.push(lane.await.expect("no panic"));
    }
    (micros_each(cpu, count), clients)
}
