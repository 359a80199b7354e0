//! The opening handshake goes two ways: a short one for the first request of a connection, and hyper's for all others. Nobody
//! can tell which.

use crate::support::Head;
use crate::support::KEY;
use crate::support::SWITCHING;
use crate::support::TestServer;
use crate::support::Upstream;
use crate::support::within;

/// What one way makes of a request and of its answer.
#[derive(Debug, Eq, PartialEq)]
struct Seen {
    /// The lines that reached the upstream, if any did.
    request: Option<Vec<String>>,
    /// The lines of the answer.
    answer: Vec<String>,
    /// Its body, or what came through the tunnel.
    body: Vec<u8>,
}

fn sorted(head: &Head) -> Vec<String> {
    head.sorted().into_iter().map(str::to_owned).collect()
}

/// Which request of its connection.
#[derive(Clone, Copy, Debug)]
enum Place {
    First,
    Second,
}

async fn seen(request: &str, answer: &str, place: Place) -> Seen {
    let mut upstream = Upstream::scripted().await;
    let other = Upstream::saying("other").await;
    let gate = TestServer::setup()
        .route("/other", &other)
        .raw_route("{ location: /gone, return: 410 }")
        .route("/", &upstream)
        .start()
        .await;
    let mut client = gate.connect().await;
    if let Place::Second = place {
        assert_eq!(client.get("/other").await.text(), "other");
    }
    client.send(request).await;
    if answer.is_empty() {
        let answer = client.answer().await;
        assert!(upstream.has_nothing_more());
        return Seen {
            request: None,
            answer: sorted(&answer.head),
            body: answer.body,
        };
    }
    let mut server = upstream.accept().await;
    let request = sorted(&server.head().await);
    server.send(answer).await;
    if answer.contains(" 101 ") && !answer.contains("Accept: wrong") {
        let head = client.head().await;
        server.send("behind").await;
        return Seen {
            request: Some(request),
            answer: sorted(&head),
            body: client.take(6).await,
        };
    }
    server.vanish();
    let answer = client.answer().await;
    Seen {
        request: Some(request),
        answer: sorted(&answer.head),
        body: answer.body,
    }
}

fn request(target: &str, lines: &str) -> String {
    format!(
        "GET {target} HTTP/1.1\r\nHost: chat.test\r\nupgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n\
         SEC-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n{lines}\r\n"
    )
}

#[tokio::test]
async fn the_first_request_of_a_connection_is_served_like_the_second() {
    let switching = String::from_utf8(SWITCHING.to_vec()).unwrap();
    let with = |line: &str| switching.replacen("\r\n", &format!("\r\n{line}\r\n"), 1);
    let plain = request("/a/../b?c=%20", "");
    let cases = [
        (plain.clone(), switching.clone()),
        (request("/", "X-oDD: 1\r\nx-ODD: 2\r\nX_Under: 3\r\nX-Real-IP: 9.9.9.9\r\nTE: gzip\r\n"), switching.clone()),
        (request("/", "Connection: X-Gone, Host\r\nX-Gone: 1\r\nCookie: a=b; c=d\r\nOrigin: null\r\n"), switching.clone()),
        (plain.clone(), with("Content-Length: 0\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nKeep-Alive: 5")),
        (plain.clone(), with("Sec-WebSocket-Protocol: chat\r\nx-lower: 1")),
        (plain.clone(), format!("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n{switching}")),
        (plain.clone(), switching.replace("websocket", "h2c").replace(" 101 ", " 101 Accept: wrong ")),
        (plain.clone(), "HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: wrong\r\n\r\n".to_owned()),
        (plain.clone(), "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_owned()),
        (plain.clone(), "HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n".to_owned()),
        (plain.clone(), "HTTP/1.1 200 OK\r\n\r\nuntil the end".to_owned()),
        (plain.clone(), "HTTP/1.0 404 Not Found\r\nX-A: b\r\n\r\n".to_owned()),
        (plain.clone(), "HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 0\r\n\r\n".to_owned()),
        (plain.clone(), "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd".to_owned()),
        (plain.clone(), "garbage\r\n\r\n".to_owned()),
        (plain.clone(), "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: wrong".to_owned()),
        (plain.replace(KEY, "short"), String::new()),
        (plain.replace("Host: chat.test\r\n", "Host: a\r\nHost: b\r\n"), String::new()),
        (plain.replace("/a/../b", "/../b"), String::new()),
        (plain.replace("HTTP/1.1", "HTTP/1.1 "), String::new()),
        (request("/gone", ""), String::new()),
    ];
    for (request, answer) in &cases {
        let first = within("the first", seen(request, answer, Place::First)).await;
        let second = within("the second", seen(request, answer, Place::Second)).await;
        assert_eq!(first, second, "{request}{answer}");
    }
    assert_eq!(cases.len(), 21);
}

#[tokio::test]
async fn a_101_in_pieces_opens_the_tunnel_too() {
    let mut upstream = Upstream::scripted().await;
    let gate = TestServer::with_routes(&[("/", &upstream)]).await;
    let mut client = gate.connect().await;
    client.send(request("/", "")).await;
    let mut server = upstream.accept().await;
    server.head().await;
    for byte in SWITCHING {
        server.send([*byte]).await;
    }
    assert_eq!(client.head().await.status(), 101);
    client.send("there").await;
    assert_eq!(server.take(5).await, b"there");
    server.send("back").await;
    assert_eq!(client.take(4).await, b"back");
}
