//! The end of a connection in order.

use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::listener::Phase;
use crate::listener::phase::drain_settles;
use crate::stream::Stream;

/// nginx's `lingering_timeout`: how long a client may be silent while its closed connection is read on. Also the longest wait for a
/// client to take the last bytes.
pub(super) const LINGER_IDLE: Duration = Duration::from_secs(5);

/// nginx's `lingering_time`: how long a closed connection is read on in all.
const LINGER: Duration = Duration::from_secs(30);

/// Ends a connection in order.
pub(super) async fn close(mut stream: Stream, phase: watch::Receiver<Phase>) {
    let _ = timeout(LINGER_IDLE, stream.shutdown()).await;
    linger(stream, phase).await;
}

/// Reads on for a while behind wsgate's own end, so that the client can read what was written before a reset destroys it.
pub(super) async fn linger(mut stream: Stream, phase: watch::Receiver<Phase>) {
    let read_on = async {
        let mut rubbish = [0; 512];
        while let Ok(Ok(1..)) = timeout(LINGER_IDLE, stream.read(&mut rubbish)).await {}
    };
    tokio::select! {
        _ = timeout(LINGER, read_on) => {}
        () = drain_settles(phase) => {}
    }
}
