//! One thread: its runtime, its sockets, and the end of both.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Context as TaskContext;
use std::task::Poll;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::runtime::LocalOptions;
use tokio::sync::mpsc;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::task::spawn_local;
use tokio::time::timeout;

use crate::limits::Connections;
use crate::listener;
use crate::listener::Acceptor;
use crate::listener::Context;
use crate::listener::ListenerSettings;
use crate::listener::ListeningSocket;
use crate::listener::LiveListener;
use crate::listener::Phase;
use crate::listener::Tasks;
use crate::observe::Observer;
use crate::proxy::CurrentProxy;
use crate::server::LAST_WORDS;
use crate::server::StartError;
use crate::server::ThreadSettings;
use crate::server::listeners::ListenerId;
use crate::tunnel::IdleSweep;
use crate::tunnel::TunnelOwner;

/// What a thread is told while it serves.
#[derive(Debug)]
pub(super) enum WorkerMessage {
    /// To serve so from now on.
    Serve(Order),
    /// To end the tunnels that this owner has now, spread over this time.
    EndTunnels(TunnelOwner, Duration),
}

/// All that a thread serves from now on.
#[derive(Debug)]
pub(super) struct Order {
    /// What it serves by.
    pub(super) thread_settings: ThreadSettings,
    /// Every listener there shall be; others are closed.
    pub(super) settings: Vec<(ListenerId, ListenerSettings)>,
    /// The sockets of those that are new.
    pub(super) sockets: Vec<(ListenerId, ListeningSocket)>,
    /// Dropped when it is done.
    pub(super) done: mpsc::UnboundedSender<()>,
}

/// What a thread is given.
pub(super) struct Worker {
    /// The first thing to be done.
    pub(super) first: Order,
    /// What comes later.
    pub(super) messages: mpsc::UnboundedReceiver<WorkerMessage>,
    pub(super) phase: watch::Receiver<Phase>,
    /// Those of all threads.
    pub(super) connections: Connections,
    /// Hears what happens to them.
    pub(super) observer: Arc<dyn Observer>,
}

impl Worker {
    /// Serves until the drain is over; returns how many connections it had to cut.
    ///
    /// A panic in a connection's task ends that task; one anywhere else is an error here.
    pub(super) fn work(self) -> Result<usize, StartError> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build_local(LocalOptions::default())
            .map_err(StartError::Thread)?;
        let serving = AssertUnwindSafe(|| runtime.block_on(self.serve()));
        let Ok(served) = std::panic::catch_unwind(serving) else {
            // Whatever it left half done is not touched any more, and its connections end with the process.
            std::mem::forget(runtime);
            return Err(StartError::Died);
        };
        // A name that is being looked up would hold the thread for as long as the resolver likes.
        runtime.shutdown_background();
        served
    }

    async fn serve(self) -> Result<usize, StartError> {
        let (mut phase, mut messages) = (self.phase, self.messages);
        let sweep = Rc::new(IdleSweep::default());
        let observer = Arc::clone(&self.observer);
        let tasks = Tasks::new(phase.clone(), self.connections, observer);
        let context = Rc::new(Context {
            current_proxy: CurrentProxy::new(self.first.thread_settings.proxy.clone()),
            sweep: Rc::clone(&sweep),
            tasks: tasks.clone(),
            phase: phase.clone(),
            observer: self.observer,
            timeouts: Cell::new(self.first.thread_settings.timeouts),
        });
        let sweeping = Vital::begin({
            let sweep = Rc::clone(&sweep);
            async move { sweep.run().await }
        });
        let mut thread = ServingThread {
            context,
            listeners: BTreeMap::new(),
            sweeping,
        };
        thread.obey(self.first).await?;
        loop {
            tokio::select! {
                biased;
                _ = phase.wait_for(|phase| *phase > Phase::Running) => break,
                message = messages.recv() => match message {
                    Some(WorkerMessage::EndTunnels(owner, within)) => sweep.end_those_of(owner, within),
                    Some(WorkerMessage::Serve(order)) => match thread.obey(order).await {
                        // One thread lacks this listener's socket; the rest of the order is done.
                        Err(StartError::Thread(reason)) => {
                            tracing::error!(%reason, "cannot accept connections; open ones go on");
                        }
                        obeyed => obeyed?,
                    },
                    None => break,
                },
                () = thread.panicked() => return Err(StartError::Died),
            }
        }
        for (_, accepting) in thread.listeners.into_values() {
            // Each ends when the drain begins, with its last connection begun.
            accepting.ended().await?;
        }
        tokio::select! {
            () = tasks.none() => {}
            _ = phase.wait_for(|phase| *phase == Phase::Over) => {
                sweep.end_all();
                let _ = timeout(LAST_WORDS, tasks.none()).await;
            }
        }
        Ok(tasks.cut())
    }
}

/// A task without which a thread serves at half strength.
#[derive(Debug)]
struct Vital(Option<JoinHandle<()>>);

impl Vital {
    fn begin(task: impl Future<Output = ()> + 'static) -> Self {
        Self(Some(spawn_local(task)))
    }

    /// Ready when a panic has ended it. Ending as it should, which it may do before anybody else knows why, is none.
    fn poll_panicked(&mut self, cx: &mut TaskContext<'_>) -> Poll<()> {
        let Some(task) = &mut self.0 else {
            return Poll::Pending;
        };
        match Pin::new(task).poll(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(())) => {
                self.0 = None;
                Poll::Pending
            }
            Poll::Ready(Err(_)) => Poll::Ready(()),
        }
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// A panic has ended it.
    async fn ended(self) -> Result<(), StartError> {
        match self.0 {
            Some(task) => task.await.map_err(|_| StartError::Died),
            None => Ok(()),
        }
    }
}

/// What a thread runs: its listeners, and the sweep over its tunnels.
struct ServingThread {
    context: Rc<Context>,
    listeners: BTreeMap<ListenerId, (Rc<LiveListener>, Vital)>,
    sweeping: Vital,
}

impl ServingThread {
    /// Waits until a panic has ended a task that everything depends on.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    async fn panicked(&mut self) {
        poll_fn(|cx| {
            let accepting = self.listeners.values_mut().map(|(_, accepting)| accepting);
            let mut vital = accepting.chain([&mut self.sweeping]);
            match vital.any(|task| task.poll_panicked(cx).is_ready()) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
    }

    /// Changes everything between two requests, then closes what is to be closed. A socket that the runtime refuses is left
    /// out, and is the error.
    async fn obey(&mut self, order: Order) -> Result<(), StartError> {
        let mut refused = None;
        let mut sockets = BTreeMap::from_iter(order.sockets);
        let mut closing = std::mem::take(&mut self.listeners);
        self.context.current_proxy.set(order.thread_settings.proxy);
        self.context.timeouts.set(order.thread_settings.timeouts);
        for (id, settings) in order.settings {
            let live = match (closing.remove(&id), sockets.remove(&id)) {
                (Some((live, accepting)), _) => {
                    live.change(settings);
                    (live, accepting)
                }
                (None, Some(socket)) => {
                    let socket = match Acceptor::new(socket) {
                        Ok(socket) => socket,
                        Err(error) => {
                            refused = Some(StartError::Thread(error));
                            continue;
                        }
                    };
                    let live = Rc::new(LiveListener::new(settings));
                    let context = Rc::clone(&self.context);
                    let accepting = listener::accept(socket, Rc::clone(&live), context);
                    (live, Vital::begin(accepting))
                }
                (None, None) => continue,
            };
            self.listeners.insert(id, live);
        }
        for (live, _) in closing.values() {
            live.close();
        }
        for (_, accepting) in closing.into_values() {
            // With its last connection begun.
            accepting.ended().await?;
        }
        drop(order.done);
        refused.map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::future::ready;
    use std::time::Duration;

    use tokio::runtime::Builder;
    use tokio::runtime::LocalOptions;
    use tokio::task::yield_now;
    use tokio::time::timeout;

    use crate::server::worker::Vital;

    #[test]
    fn a_task_that_panics_is_told_from_one_that_ends() {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build_local(LocalOptions::default())
            .expect("a runtime");
        runtime.block_on(async {
            let wait = Duration::from_secs(10);
            let mut panics = Vital::begin(async {
                yield_now().await;
                panic!("this one is meant");
            });
            let panicked = poll_fn(|cx| panics.poll_panicked(cx));
            assert!(timeout(wait, panicked).await.is_ok());

            let mut ends = Vital::begin(ready(()));
            let panicked = poll_fn(|cx| ends.poll_panicked(cx));
            assert!(timeout(Duration::from_millis(50), panicked).await.is_err());
            assert!(ends.0.is_none() && ends.ended().await.is_ok());
        });
    }
}
