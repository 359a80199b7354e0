//! A client's connection between two of its requests: it owns no buffer, and ends when it is idle for too long.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;

use bytes::Bytes;
use tokio::task::yield_now;
use tokio::time::Sleep;

use crate::proxy::ClientConnection;
use crate::stream::Stream;

/// Waits for the first bytes of another request, of which none are the client's end. `None` if there will be no request: the process
/// drains, or the connection was idle until it is too `late`.
pub(super) async fn next_request(
    stream: &mut Stream,
    connection: &ClientConnection,
    draining: Pin<&mut impl Future<Output = ()>>,
    late: Pin<&mut Sleep>,
) -> Option<io::Result<Bytes>> {
    let over = async {
        tokio::select! {
            () = draining => {}
            () = late => {}
        }
    };
    taken_before(over, stream, |cx| connection.poll_lease(cx)).await
}

/// Takes what comes before it is `over`; `beside` is polled as often.
///
/// What has come by then, while others were served, counts too: the runtime asks the system for news before it goes on here. What
/// crosses with the FIN from there on is lost, as in every proxy.
async fn taken_before(
    over: impl Future<Output = ()>,
    stream: &mut Stream,
    beside: impl Fn(&mut Context<'_>),
) -> Option<io::Result<Bytes>> {
    let taken = poll_fn(|cx| {
        beside(cx);
        stream.poll_take(cx)
    });
    tokio::select! {
        biased;
        taken = taken => return Some(taken),
        () = over => {}
    }
    yield_now().await;
    poll_fn(|cx| match stream.poll_take(cx) {
        Poll::Ready(taken) => Poll::Ready(Some(taken)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::future::poll_fn;
    use std::future::ready;
    use std::io::Write;
    use std::net::TcpStream;
    use std::task::Poll;

    use tokio::net::TcpListener;

    use crate::listener::between_requests::taken_before;
    use crate::stream::Stream;

    #[tokio::test]
    async fn a_request_that_came_before_an_idle_connection_ends_is_taken() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        for asks in [true, false] {
            let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let mut stream = Stream::Plain(listener.accept().await.unwrap().0);
            // From here on the runtime takes the socket for one from which nothing can be read.
            poll_fn(|cx| {
                assert!(stream.poll_take(cx).is_pending());
                Poll::Ready(())
            })
            .await;
            if asks {
                client.write_all(b"GET").unwrap();
            }
            let taken = taken_before(ready(()), &mut stream, |_| {}).await;
            let taken = taken.map(|taken| taken.unwrap());
            assert_eq!(taken.as_deref(), asks.then_some(&b"GET"[..]));
        }
    }
}
