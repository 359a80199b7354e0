//! Requests go two ways: a short one for as long as each comes whole and asks for nothing unusual, and hyper's from the
//! first one on that does. Nobody can tell which.

use std::time::Duration;

use crate::support::Head;
use crate::support::KEY;
use crate::support::Peer;
use crate::support::SWITCHING;
use crate::support::TestServer;
use crate::support::Upstream;
use crate::support::Way;
use crate::support::within;

/// What one way makes of an upgrade request and of its answer.
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

async fn seen(request: &str, answer: &str, way: Way) -> Seen {
    let mut upstream = Upstream::scripted().await;
    let other = Upstream::saying("other").await;
    let gate = TestServer::setup()
        .route("/other", &other)
        .raw_route("{ location: /gone, return: 410 }")
        .route("/", &upstream)
        .start()
        .await;
    let mut client = way.client(&gate).await;
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
async fn an_upgrade_request_is_served_alike_both_ways() {
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
        let short = within("the short way", seen(request, answer, Way::Short)).await;
        let hyper = within("hyper's way", seen(request, answer, Way::Hyper)).await;
        assert_eq!(short, hyper, "{request}{answer}");
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

/// What one way makes of an ordinary request and of its answer.
#[derive(Debug, Eq, PartialEq)]
struct Exchange {
    /// The lines that reached the upstream, in the order of the alphabet, and the body.
    request: (Vec<String>, Vec<u8>),
    /// The lines of the answer.
    answer: Vec<String>,
    /// Its body as it is framed, up to the end of the connection if it ends there.
    body: Vec<u8>,
    /// What the log says, but for times and ports.
    log: Vec<(&'static str, String)>,
    next: Next,
}

/// Where a request behind it goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Next {
    /// Over the same connection to the upstream.
    Kept,
    /// Over a new one.
    Fresh,
    /// Nowhere: the client's connection is over.
    Nowhere,
}

/// Whether the upstream closes behind its answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Upstreams {
    Stays,
    Leaves,
}

async fn exchange(request: &str, answer: &[&str], behind: Upstreams, way: Way) -> Exchange {
    let mut upstream = Upstream::scripted().await;
    let other = Upstream::saying("other").await;
    let gate = TestServer::setup()
        .route("/other", &other)
        .route("/", &upstream)
        .start()
        .await;
    let mut client = way.client(&gate).await;
    client.send(request).await;
    let mut server = upstream.accept().await;
    let (head, body) = server.request().await;
    for part in answer {
        server.send(part).await;
        if answer.len() > 1 {
            // Apart, as far as that can be had: read together is a case of its own.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    let mut server = Some(server);
    if behind == Upstreams::Leaves {
        server = None;
    }
    let answered = client.head().await;
    let body_of_answer = match answered.value("content-length") {
        Some(length) if answered.status() != 304 => client.up_to(length.parse().unwrap()).await,
        _ if answered.value("transfer-encoding").is_some() => {
            let mut whole = Vec::new();
            loop {
                let chunk = client.chunk().await;
                whole.extend(&chunk);
                if chunk.is_empty() {
                    break whole;
                }
            }
        }
        _ => Vec::new(),
    };
    let line = gate
        .log()
        .find("request", |line| line["location"] == "/")
        .await;
    let port = upstream.address().port().to_string();
    let log = [
        "level",
        "request",
        "status",
        "body_bytes_sent",
        "reason",
        "route",
    ]
    .map(|key| (key, line[key].to_string().replace(&port, "port")));
    let next = next(&mut client, server, &mut upstream).await;
    Exchange {
        request: (sorted(&head), body),
        answer: sorted(&answered),
        body: body_of_answer,
        log: log.to_vec(),
        next,
    }
}

async fn next(client: &mut Peer, server: Option<Peer>, upstream: &mut Upstream) -> Next {
    // It may be over already, which is seen below.
    let _ = client
        .try_send("GET /next HTTP/1.1\r\nHost: chat.test\r\n\r\n")
        .await;
    let kept = async {
        if let Some(mut server) = server
            && server.has_more().await
        {
            return server;
        }
        std::future::pending().await
    };
    let over = async {
        // An answer is impossible before the upstream has been asked.
        assert!(!client.has_more().await);
    };
    let (mut server, next) = tokio::select! {
        server = kept => (server, Next::Kept),
        server = upstream.accept() => (server, Next::Fresh),
        () = over => return Next::Nowhere,
    };
    assert_eq!(server.head().await.target(), "/next");
    server
        .send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext")
        .await;
    assert_eq!(client.answer().await.text(), "next");
    next
}

/// The beginning, for a message.
fn cut(text: &str) -> &str {
    &text[..text.len().min(300)]
}

fn get(lines: &str) -> String {
    format!("GET /a/../b?c=%20 HTTP/1.1\r\nHost: chat.test\r\n{lines}\r\n")
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody";

#[tokio::test]
async fn what_is_asked_goes_on_alike_both_ways() {
    let post = |body: &str, lines: &str| {
        let length = body.len();
        let head = get(lines).replace("GET", "POST");
        head.replacen(
            "\r\n\r\n",
            &format!("\r\ncontent-LENGTH: {length}\r\n\r\n{body}"),
            1,
        )
    };
    let many: String = (0..98)
        .map(|number| format!("X-{number}: {number}\r\n"))
        .collect();
    let requests = [
        get(""),
        get("X-oDD: 1\r\nx-ODD: 2\r\nX_Under: 3\r\nX-Real-IP: 9.9.9.9\r\nTE: gzip\r\nx-odd: 3\r\n"),
        get(
            "Connection: X-Gone, Host\r\nX-Gone: 1\r\nCookie: a=b; c=d\r\nCookie: e\r\nOrigin: null\r\n",
        ),
        get(
            "Connection: keep-alive\r\nKeep-Alive: 5\r\nForwarded: for=1\r\nx-forwarded-for: 1\r\n",
        ),
        get("Proxy-Connection: keep-alive\r\nTrailer: x\r\nHTTP2-Settings: x\r\nEmpty:\r\n"),
        get(&many),
        get("Content-Length: 0\r\n"),
        get("Content-Length: 4\r\n").replace("\r\n\r\n", "\r\n\r\nbody"),
        get("Transfer-Encoding: chunked\r\n").replace("\r\n\r\n", "\r\n\r\n4\r\nbody\r\n0\r\n\r\n"),
        get("Upgrade: h2c\r\nConnection: Upgrade\r\n"),
        get("Connection: close\r\n"),
        get("").replace("HTTP/1.1", "HTTP/1.0"),
        get("").replace("/a/", "http://chat.test/a/"),
        get("").replace("GET", "DELETE"),
        post("body", ""),
        post("", "Connection: keep-alive\r\n"),
        post(&"x".repeat(30_000), ""),
        post(
            "4\r\nbody\r\n0\r\n\r\n",
            "Content-Type: text/plain;charset=UTF-8\r\n",
        ),
    ];
    for request in &requests {
        let mut seen = Vec::new();
        for way in Way::BOTH {
            let done = exchange(request, &[OK], Upstreams::Stays, way);
            seen.push(within("both ways", done).await);
        }
        assert_eq!(seen[0], seen[1], "{request}");
        assert!(seen[0].answer[0].ends_with(" 200 OK"), "{seen:?}");
    }
    assert_eq!(requests.len(), 18);
}

#[tokio::test]
async fn what_is_answered_goes_on_alike_both_ways() {
    use Upstreams::Leaves;
    use Upstreams::Stays;
    let long = "x".repeat(100_000);
    let long = format!("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{long}");
    let with = |lines: &str| OK.replacen("\r\n", &format!("\r\n{lines}\r\n"), 1);
    let many: String = (0..99)
        .map(|number| format!("X-{number}: {number}\r\n"))
        .collect();
    let many = with(many.trim_end());
    let too_many = many.replacen("\r\n", "\r\nX: 1\r\n", 1);
    let set = with("x-lower: 1\r\nsET-Cookie: a\r\nX: \t y \r\nSet-Cookie: b\r\nset-cookie: c");
    let closes = with("Connection: keep-alive, Close");
    let stays = with("Connection: keep-alive\r\nKeep-Alive: timeout=5");
    let named = with("Connection: X-Gone\r\nX-Gone: 1");
    let upgrades = with("Connection: Upgrade\r\nUpgrade: h2c");
    let trailer = with("Trailer: x");
    let twice = with("Content-Length: 4");
    let differing = with("Content-Length: 5");
    let both = with("Transfer-Encoding: chunked");
    let more = format!("{OK}HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
    let early = format!("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n{OK}");
    let answers: [(&[&str], Upstreams); 38] = [
        (&[OK], Stays),
        (&[OK], Leaves),
        (&[&OK[..10], &OK[10..]], Stays),
        (&[&OK[..OK.len() - 4], "body"], Stays),
        (&[&OK[..OK.len() - 2], "dy"], Stays),
        (&[&OK[..OK.len() - 2]], Leaves),
        (&[&OK[..OK.len() - 6]], Leaves),
        (&[""], Leaves),
        (&[&long], Stays),
        (&[&many], Stays),
        (&[&too_many], Stays),
        (&[&set], Stays),
        (&[&closes], Stays),
        (&[&stays], Stays),
        (&[&named], Stays),
        (&[&upgrades], Stays),
        (&[&trailer], Stays),
        (&[&twice], Stays),
        (&[&differing], Stays),
        (&[&both], Stays),
        (&[&more], Stays),
        (&[OK, "x"], Stays),
        (&[&early], Stays),
        (&["HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n"], Stays),
        (&["HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n"], Stays),
        (
            &["HTTP/1.1 299 Fine by me\r\nContent-Length: 0\r\n\r\n"],
            Stays,
        ),
        (&["HTTP/1.1 999 ?\r\nContent-Length: 0\r\n\r\n"], Stays),
        (
            &["HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\nno"],
            Stays,
        ),
        (&["HTTP/1.1 204 No Content\r\nX: y\r\n\r\n"], Stays),
        (
            &["HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nContent-Length: 9\r\n\r\n"],
            Stays,
        ),
        (
            &[
                "HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 0\r\n\r\n",
            ],
            Stays,
        ),
        (
            &[
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
            ],
            Stays,
        ),
        (
            &["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"],
            Stays,
        ),
        (&["HTTP/1.1 200 OK\r\nX: y\r\n\r\nuntil the end"], Leaves),
        (&["HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\nbody"], Stays),
        (
            &["HTTP/1.1 200 OK\r\nContent-Length: +4\r\n\r\nbody"],
            Stays,
        ),
        (
            &["HTTP/1.1 200 OK\r\nA : b\r\nContent-Length: 4\r\n\r\nbody"],
            Stays,
        ),
        (&["garbage\r\n\r\n"], Stays),
    ];
    let post = |host: &str, body: &str| {
        let length = body.len();
        format!("POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n\r\n{body}")
    };
    let requests = [
        get(""),
        post("chat.test", "hi"),
        post("chat.test", &"x".repeat(30_000)),
        // The upstream's head has the host twice, and so more than hyper holds back before it writes.
        post(&"h".repeat(32_650), "GET /evil HTTP/1.0\r\n\r\n"),
    ];
    for (answer, upstream) in answers {
        for request in &requests {
            let mut seen = Vec::new();
            for way in Way::BOTH {
                let done = exchange(request, answer, upstream, way);
                seen.push(within("both ways", done).await);
            }
            let (request, answer) = (
                cut(request),
                answer.iter().map(|part| cut(part)).collect::<Vec<_>>(),
            );
            assert_eq!(seen[0], seen[1], "{request} {answer:?}");
        }
    }
}
