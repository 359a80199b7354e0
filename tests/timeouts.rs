//! What ends because nothing happens.

use std::time::Duration;
use std::time::Instant;

use crate::support::Ending;
use crate::support::Over;
use crate::support::TestServer;
use crate::support::Upstream;
use crate::support::tunnel;

#[tokio::test]
async fn a_silent_tunnel_ends_after_the_tunnel_timeout() {
    let mut upstream = Upstream::scripted().await;
    let gate = TestServer::setup()
        .top("tunnel_timeout: 500ms")
        .tls()
        .route("/", &upstream)
        .start()
        .await;
    for (over, number) in [(Over::Ws, 1), (Over::Wss, 2)] {
        let (mut client, mut server) = tunnel(&gate, &mut upstream, over).await;
        let began = Instant::now();
        assert_eq!(server.rest().await, (Vec::new(), Ending::Fin));
        let took = began.elapsed();
        assert!(took >= Duration::from_millis(500), "{took:?}");
        assert_eq!(client.rest().await.0, b"");
        let line = gate
            .log()
            .find("tunnel ended", |line| line["tunnel"] == number)
            .await;
        assert_eq!(line["ended_by"], "idle");
        assert_eq!(line["reason"], "no byte within 500ms (`tunnel_timeout`)");
    }
}

#[tokio::test]
async fn a_byte_in_either_direction_keeps_a_tunnel_alive() {
    let mut upstream = Upstream::scripted().await;
    let gate = TestServer::setup()
        .top("tunnel_timeout: 500ms")
        .route("/", &upstream)
        .start()
        .await;
    for from_client in [true, false] {
        let (mut client, mut server) = tunnel(&gate, &mut upstream, Over::Ws).await;
        let began = Instant::now();
        // Well past the limit and the steps in which it is counted.
        while began.elapsed() < Duration::from_millis(1800) {
            tokio::time::sleep(Duration::from_millis(150)).await;
            let (from, to) = if from_client {
                (&mut client, &mut server)
            } else {
                (&mut server, &mut client)
            };
            from.send(b"x").await;
            assert_eq!(to.take(1).await, b"x");
        }
        assert_eq!(
            gate.log().all("tunnel ended").len(),
            usize::from(!from_client)
        );
        let began = Instant::now();
        server.rest().await;
        assert!(began.elapsed() >= Duration::from_millis(250));
        gate.log()
            .find("tunnel ended", |line| {
                line["tunnel"] == if from_client { 1 } else { 2 }
            })
            .await;
    }
}

#[tokio::test]
async fn a_location_may_have_a_limit_of_its_own() {
    let silent = Upstream::scripted().await;
    let gate = TestServer::setup()
        .top("response_timeout: 1h")
        .route("/patient", &silent)
        .route("/hasty", &silent)
        .of_route("response_timeout: 200ms")
        .start()
        .await;
    let mut client = gate.connect().await;
    assert_eq!(client.get("/hasty").await.status(), 504);
    client
        .send("GET /patient HTTP/1.1\r\nHost: chat.test\r\n\r\n")
        .await;
    client.is_quiet().await;
    client.is_quiet().await;
    client.is_quiet().await;
}
