//! One thread: its runtime, its sockets, and the end of both.

use std::rc::Rc;

use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::runtime::LocalOptions;
use tokio::sync::watch;
use tokio::task::spawn_local;
use tokio::time::timeout;

use crate::listener;
use crate::listener::Context;
use crate::listener::Door;
use crate::listener::Entrance;
use crate::listener::Limits;
use crate::listener::Phase;
use crate::listener::Tasks;
use crate::proxy::Handle;
use crate::proxy::Proxy;
use crate::server::LAST_WORDS;
use crate::server::StartError;
use crate::tunnel::Keeper;

/// A listening socket, and what is behind it.
#[derive(Debug)]
pub(super) struct Opening {
    pub(super) socket: std::net::TcpListener,
    pub(super) entrance: Entrance,
}

/// What a thread is given.
pub(super) struct Worker {
    pub(super) openings: Vec<Opening>,
    pub(super) proxy: Proxy,
    pub(super) phase: watch::Receiver<Phase>,
}

impl Worker {
    /// Serves until the drain is over; returns how many connections it had to cut.
    pub(super) fn work(self) -> Result<usize, StartError> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build_local(LocalOptions::default())
            .map_err(StartError::Thread)?;
        let served = runtime.block_on(self.serve());
        // A name that is being looked up would hold the thread for as long as the resolver likes.
        runtime.shutdown_background();
        served
    }

    async fn serve(self) -> Result<usize, StartError> {
        let mut phase = self.phase;
        let keeper = Rc::new(Keeper::default());
        let tasks = Tasks::new(phase.clone());
        let context = Rc::new(Context {
            handle: Handle::new(self.proxy),
            keeper: Rc::clone(&keeper),
            tasks: tasks.clone(),
            phase: phase.clone(),
            limits: Limits::default(),
        });
        spawn_local({
            let keeper = Rc::clone(&keeper);
            async move { keeper.run().await }
        });
        let mut accepting = Vec::new();
        for opening in self.openings {
            let socket = TcpListener::from_std(opening.socket).map_err(StartError::Thread)?;
            accepting.push(spawn_local(listener::accept(
                socket,
                Rc::new(Door::new(opening.entrance)),
                Rc::clone(&context),
            )));
        }
        for accepting in accepting {
            // Each ends when the drain begins, with its last connection begun.
            accepting.await.map_err(|_| StartError::Died)?;
        }
        tokio::select! {
            () = tasks.none() => {}
            _ = phase.wait_for(|phase| *phase == Phase::Over) => {
                keeper.end_all();
                let _ = timeout(LAST_WORDS, tasks.none()).await;
            }
        }
        Ok(tasks.cut())
    }
}
