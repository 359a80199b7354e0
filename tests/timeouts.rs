//! What ends because nothing happens.

use std::time::Duration;
use std::time::Instant;

use tokio::net::TcpStream;

use crate::support::DEADLINE;
use crate::support::Ending;
use crate::support::Flood;
use crate::support::Over;
use crate::support::Peer;
use crate::support::TestServer;
use crate::support::Upstream;
use crate::support::Way;
use crate::support::client_hello;
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
        assert_eq!(client.rest().await, (Vec::new(), Ending::Fin));
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

#[tokio::test]
async fn a_client_that_says_nothing_is_ended_and_the_log_names_the_limit() {
    let upstream = Upstream::saying("ok").await;
    let gate = TestServer::setup()
        .top("header_timeout: 400ms")
        .tls()
        .route("/", &upstream)
        .start()
        .await;
    for over in Over::BOTH {
        let mut client = gate.connect_over(over).await;
        let address = client.tcp().local_addr().unwrap().to_string();
        let began = Instant::now();
        client.rest().await;
        let took = began.elapsed();
        assert!(took >= Duration::from_millis(350), "{took:?}");
        let line = gate
            .log()
            .find("no request", |line| line["remote_addr"] == address)
            .await;
        assert_eq!(line["reason"], "no byte within 400ms (`header_timeout`)");
    }
}

/// Sends a byte now and then, until it is not taken any more; how long that was.
async fn trickle(mut client: Peer, head: &[u8]) -> (Duration, Peer) {
    let began = Instant::now();
    for byte in head.iter().cycle() {
        let sent = client.try_send([*byte]).await;
        let more = tokio::time::timeout(Duration::from_millis(50), client.has_more());
        if sent.is_err() || more.await.is_ok() {
            break;
        }
        assert!(began.elapsed() < DEADLINE, "it goes on and on");
    }
    (began.elapsed(), client)
}

#[tokio::test]
async fn a_head_that_trickles_is_ended_at_the_limit_however_many_bytes_come() {
    let upstream = Upstream::saying("other").await;
    let gate = TestServer::setup()
        .top("header_timeout: 1s")
        .tls()
        .route("/", &upstream)
        .start()
        .await;
    for number in 0..4 {
        // The first head of a connection, and the next one.
        let client = match number {
            0 => gate.connect().await,
            1 => gate.connect_tls().await,
            2 => Way::Short.client(&gate).await,
            _ => Way::Hyper.client(&gate).await,
        };
        let address = client.tcp().local_addr().unwrap().to_string();
        let (took, mut client) =
            trickle(client, b"GET /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa").await;
        assert!(took < Duration::from_millis(1800), "{took:?}");
        let answer = client.answer().await;
        assert_eq!(answer.status(), 408);
        assert_eq!(
            answer.text(),
            "wsgate: the head of the request did not come in time\n"
        );
        assert_eq!(answer.head.value("connection"), Some("close"));
        assert_eq!(client.rest().await.0, b"");
        let line = gate
            .log()
            .find("request", |line| {
                line["remote_addr"] == address && line["status"] == 408
            })
            .await;
        assert_eq!(
            line["reason"],
            "refused: no whole head within 1s (`header_timeout`)"
        );
    }
}

#[tokio::test]
async fn what_a_limit_refuses_is_in_the_log_though_that_is_off() {
    let mut upstream = Upstream::scripted().await;
    let gate = TestServer::setup()
        .top("access_log: off\nheader_timeout: 400ms\nbody_timeout: 400ms")
        .route("/", &upstream)
        .start()
        .await;
    let mut read = 0;
    let mut client = gate.connect().await;
    client.send("GET / HT").await;
    assert_eq!(client.answer().await.status(), 408);
    let lines = gate.log().next(&mut read, "request").await;
    assert_eq!(
        lines.last().unwrap()["reason"],
        "refused: no whole head within 400ms (`header_timeout`)"
    );
    let mut client = gate.connect().await;
    client
        .send("POST / HTTP/1.1\r\nHost: chat.test\r\nContent-Length: 10\r\n\r\nhalf")
        .await;
    let mut server = upstream.accept().await;
    server.head().await;
    assert_eq!(client.answer().await.status(), 408);
    let lines = gate.log().next(&mut read, "request").await;
    assert_eq!(
        lines.last().unwrap()["reason"],
        "refused: a body of which nothing more came within 400ms (`body_timeout`)"
    );
}

#[tokio::test]
async fn a_client_may_say_its_first_byte_late_but_has_no_more_time_for_it() {
    let upstream = Upstream::saying("ok").await;
    let gate = TestServer::setup()
        .top("header_timeout: 1s")
        .route("/", &upstream)
        .start()
        .await;
    let mut client = gate.connect().await;
    let began = Instant::now();
    tokio::time::sleep(Duration::from_millis(700)).await;
    client.send("GET / HT").await;
    assert_eq!(client.answer().await.status(), 408);
    let took = began.elapsed();
    assert!(took < Duration::from_millis(1600), "{took:?}");
}

#[tokio::test]
async fn an_idle_connection_is_ended_without_a_line() {
    let upstream = Upstream::saying("other").await;
    let gate = TestServer::setup()
        .top("keepalive_timeout: 400ms")
        .route("/", &upstream)
        .start()
        .await;
    for way in Way::BOTH {
        let mut client = way.client(&gate).await;
        assert_eq!(client.rest().await, (Vec::new(), Ending::Fin));
    }
    for line in gate.log().all("request") {
        assert_eq!(line["status"], 200, "{line}");
    }
    assert_eq!(gate.log().all("no request"), [] as [serde_json::Value; 0]);
}

#[tokio::test]
async fn an_idle_connection_ends_by_its_own_limit_whatever_that_of_a_head_is() {
    let upstream = Upstream::saying("other").await;
    for (header, keepalive) in [(200, 900), (900, 300), (3_600_000, 500)] {
        let gate = TestServer::setup()
            .top(&format!(
                "header_timeout: {header}ms\nkeepalive_timeout: {keepalive}ms"
            ))
            .route("/", &upstream)
            .start()
            .await;
        let keepalive = Duration::from_millis(keepalive);
        for way in Way::BOTH {
            let mut client = way.client(&gate).await;
            tokio::time::sleep(keepalive / 2).await;
            assert_eq!(client.get("/other").await.text(), "other");
            let began = Instant::now();
            assert_eq!(client.rest().await, (Vec::new(), Ending::Fin));
            let took = began.elapsed();
            // The answer may have been read some time after it was written.
            assert!(took >= keepalive - Duration::from_millis(50), "{took:?}");
            assert!(took < keepalive + Duration::from_millis(800), "{took:?}");
        }
    }
}

#[tokio::test]
async fn a_later_head_has_its_time_from_its_first_byte_on() {
    let upstream = Upstream::saying("other").await;
    let gate = TestServer::setup()
        .top("header_timeout: 600ms\nkeepalive_timeout: 1h")
        .route("/", &upstream)
        .start()
        .await;
    for way in Way::BOTH {
        let mut client = way.client(&gate).await;
        tokio::time::sleep(Duration::from_millis(900)).await;
        client.send("GET /other HT").await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        client.send("TP/1.1\r\nHost: chat.test\r\n\r\n").await;
        assert_eq!(client.answer().await.text(), "other");
        tokio::time::sleep(Duration::from_millis(900)).await;
        let began = Instant::now();
        client.send("GET /other HT").await;
        assert_eq!(client.answer().await.status(), 408);
        let took = began.elapsed();
        assert!(took >= Duration::from_millis(550), "{took:?}");
        assert!(took < Duration::from_millis(1400), "{took:?}");
        assert_eq!(client.rest().await, (Vec::new(), Ending::Fin));
    }
}

/// What came of the head together with the request before it is no reason to take the connection for an idle one.
#[tokio::test]
async fn a_head_that_began_behind_another_request_is_late_too() {
    let upstream = Upstream::saying("other").await;
    let gate = TestServer::setup()
        .top("header_timeout: 400ms\nkeepalive_timeout: 1h")
        .route("/", &upstream)
        .start()
        .await;
    for way in Way::BOTH {
        let mut client = way.client(&gate).await;
        client
            .send("GET /other HTTP/1.1\r\nHost: chat.test\r\n\r\nGET /oth")
            .await;
        assert_eq!(client.answer().await.text(), "other");
        assert_eq!(client.answer().await.status(), 408);
        assert_eq!(client.rest().await, (Vec::new(), Ending::Fin));
    }
}

#[tokio::test]
async fn with_a_keepalive_timeout_of_zero_each_answer_is_the_last_and_says_so() {
    let mut upstream = Upstream::scripted().await;
    let gate = TestServer::setup()
        .top("keepalive_timeout: 0s")
        .route("/", &upstream)
        .raw_route("{ location: = /own, return: 200 own }")
        .start()
        .await;
    let post = "POST / HTTP/1.1\r\nHost: chat.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    for request in ["GET / HTTP/1.1\r\nHost: chat.test\r\n\r\n", post] {
        let mut client = gate.connect().await;
        client.send(request).await;
        let mut server = upstream.accept().await;
        server.request().await;
        server
            .send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            .await;
        let answer = client.answer().await;
        assert_eq!(answer.text(), "ok");
        assert_eq!(answer.head.value("connection"), Some("close"));
        assert_eq!(client.rest().await, (Vec::new(), Ending::Fin));
    }
    let answer = gate.connect().await.get("/own").await;
    assert_eq!(answer.head.value("connection"), Some("close"));
    // A 101 is no answer behind which anything could be asked.
    let (mut client, mut server) = tunnel(&gate, &mut upstream, Over::Ws).await;
    client.send("x").await;
    assert_eq!(server.take(1).await, b"x");
}

#[tokio::test]
async fn an_answer_may_take_longer_than_a_head() {
    let mut upstream = Upstream::scripted().await;
    let gate = TestServer::setup()
        .top("header_timeout: 300ms")
        .route("/", &upstream)
        .start()
        .await;
    // The first goes the short way, the other one through hyper.
    for request in [
        "GET / HTTP/1.1\r\nHost: chat.test\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: chat.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ] {
        let mut client = gate.connect().await;
        client.send(request).await;
        let mut server = upstream.accept().await;
        server.request().await;
        tokio::time::sleep(Duration::from_millis(700)).await;
        server
            .send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate")
            .await;
        assert_eq!(client.answer().await.text(), "late");
    }
}

#[tokio::test]
async fn a_tls_handshake_that_does_not_end_is_ended_and_the_log_names_the_limit() {
    let upstream = Upstream::saying("ok").await;
    let gate = TestServer::setup()
        .top("tls_handshake_timeout: 400ms")
        .tls()
        .route("/", &upstream)
        .start()
        .await;
    let hello = client_hello();
    for sent in [0, 1, hello.len() / 2] {
        let tcp = TcpStream::connect(gate.tls_address()).await.unwrap();
        let mut client = Peer::plain(tcp);
        let address = client.tcp().local_addr().unwrap().to_string();
        client.send(&hello[..sent]).await;
        assert_eq!(client.rest().await.0, b"");
        let line = gate
            .log()
            .find("no TLS handshake", |line| line["remote_addr"] == address)
            .await;
        assert_eq!(
            line["reason"],
            "the TLS handshake took longer than 400ms (`tls_handshake_timeout`)"
        );
    }
}

#[tokio::test]
async fn a_tunnel_of_which_one_end_is_done_ends_when_the_other_is_silent() {
    let mut upstream = Upstream::scripted().await;
    let gate = TestServer::setup()
        .top("half_closed_timeout: 500ms")
        .tls()
        .route("/", &upstream)
        .start()
        .await;
    let mut number = 0;
    for over in Over::BOTH {
        for done in ["client", "upstream"] {
            number += 1;
            let (mut client, mut server) = tunnel(&gate, &mut upstream, over).await;
            let (first, other, silent) = match done {
                "client" => (&mut client, &mut server, "upstream"),
                _ => (&mut server, &mut client, "client"),
            };
            first.finish().await;
            assert_eq!(other.rest().await, (Vec::new(), Ending::Fin));
            let began = Instant::now();
            // It may still speak, for as long as it likes.
            while began.elapsed() < Duration::from_millis(1200) {
                tokio::time::sleep(Duration::from_millis(150)).await;
                other.send(b"x").await;
                assert_eq!(first.take(1).await, b"x");
            }
            let began = Instant::now();
            first.rest().await;
            let took = began.elapsed();
            assert!(took >= Duration::from_millis(450), "{took:?}");
            let line = gate
                .log()
                .find("tunnel ended", |line| line["tunnel"] == number)
                .await;
            assert_eq!(line["ended_by"], "half_closed");
            assert_eq!(
                line["reason"],
                format!(
                    "the {done} was done, and no byte came from the {silent} within 500ms (`half_closed_timeout`)"
                )
            );
        }
    }
}

/// The client has sent what there was room for, and the upstream is to blame.
#[tokio::test]
async fn an_upstream_that_takes_no_more_of_a_body_is_not_a_silent_client() {
    let mut upstream = Upstream::scripted().await;
    let gate = TestServer::setup()
        .top("body_timeout: 300ms\nresponse_timeout: 1s")
        .route("/", &upstream)
        .start()
        .await;
    let mut client = gate.connect().await;
    let length = 64 * 1024 * 1024;
    client
        .send(format!(
            "POST / HTTP/1.1\r\nHost: chat.test\r\nContent-Length: {length}\r\n\r\n"
        ))
        .await;
    let mut server = upstream.accept().await;
    server.head().await;
    Flood::default().write_until_refused(&mut client).await;
    assert_eq!(client.answer().await.status(), 504);
}

/// A silence within a body is no slow answer: the wait for that begins when the upload has ended. Nor does the whole of it have a limit.
#[tokio::test]
async fn a_body_that_goes_on_is_not_cut() {
    let mut upstream = Upstream::scripted().await;
    let gate = TestServer::setup()
        .top("body_timeout: 2s\nresponse_timeout: 1s")
        .route("/", &upstream)
        .start()
        .await;
    let mut client = gate.connect().await;
    client
        .send("POST / HTTP/1.1\r\nHost: chat.test\r\nContent-Length: 2\r\n\r\n")
        .await;
    let mut server = upstream.accept().await;
    server.head().await;
    for byte in 0..2 {
        tokio::time::sleep(Duration::from_millis(1200)).await;
        client.send([byte]).await;
        assert_eq!(server.take(1).await, [byte]);
    }
    server
        .send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone")
        .await;
    assert_eq!(client.answer().await.text(), "done");
}

#[tokio::test]
async fn a_connection_that_asks_again_in_time_stays_however_long() {
    let upstream = Upstream::saying("other").await;
    let gate = TestServer::setup()
        .top("keepalive_timeout: 800ms")
        .route("/", &upstream)
        .start()
        .await;
    for way in Way::BOTH {
        let mut client = way.client(&gate).await;
        for _ in 0..5 {
            tokio::time::sleep(Duration::from_millis(300)).await;
            assert_eq!(client.get("/other").await.text(), "other");
        }
    }
}

/// An upstream may answer and close, and wsgate not see that: behind an answer hyper looks for nothing, where there is a byte too many.
#[tokio::test]
async fn a_body_that_its_answer_did_not_wait_for_is_not_waited_for_without_end() {
    let mut upstream = Upstream::scripted().await;
    let gate = TestServer::setup()
        .top("body_timeout: 400ms")
        .route("/", &upstream)
        .start()
        .await;
    for too_much in ["", "k"] {
        let mut client = gate.connect().await;
        let head = "POST / HTTP/1.1\r\nHost: chat.test\r\nContent-Length: 5\r\n\r\nhe";
        client.send(head).await;
        let mut server = upstream.accept().await;
        server.head().await;
        assert_eq!(server.take(2).await, b"he");
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        server.send(format!("{answer}{too_much}")).await;
        assert_eq!(client.answer().await.text(), "ok");
        // A byte begins it anew.
        tokio::time::sleep(Duration::from_millis(300)).await;
        client.send("l").await;
        let began = Instant::now();
        assert_eq!(client.rest().await, (Vec::new(), Ending::Fin));
        let took = began.elapsed();
        assert!(took >= Duration::from_millis(350), "{took:?}");
        assert_eq!(server.rest().await.0, b"l");
    }
}
