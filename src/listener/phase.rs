//! Where the process is in its life, and how connections wait for its end.

use std::time::Duration;

use tokio::sync::watch;

/// How long a connection that was accepted just before a drain may take to show its request; time enough, too, for a FIN to
/// arrive.
const LAST_REQUEST: Duration = Duration::from_millis(100);

/// Where the process is in its life.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Phase {
    /// Accepting.
    Running,
    /// No longer accepting; what is under way goes on.
    Draining,
    /// What is left is ended.
    Over,
}

/// Waits until the process drains. A sender that is gone means the same.
pub(super) async fn drain_begins(phase: &mut watch::Receiver<Phase>) {
    let _ = phase.wait_for(|phase| *phase > Phase::Running).await;
}

/// Waits until the process drains, and then for as long as what is on its way may take to arrive.
pub(super) async fn drain_settles(mut phase: watch::Receiver<Phase>) {
    drain_begins(&mut phase).await;
    tokio::time::sleep(LAST_REQUEST).await;
}
