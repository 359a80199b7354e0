//! Several servers behind one location: which of them a request goes to, and to which one it goes on where that is of no use.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;
use std::time::Instant;

use socket2::Domain;
use socket2::Socket;
use socket2::Type;
use tokio::net::TcpListener;
use tokio::net::TcpStream;

use crate::support::GET;
use crate::support::Peer;
use crate::support::SWITCHING;
use crate::support::Setup;
use crate::support::TestServer;
use crate::support::Upstream;
use crate::support::Way;
use crate::support::upgrade_to;

/// What a server of the test has been asked, in order: `GET /x`, `POST /x`.
type Asked = Arc<Mutex<Vec<String>>>;

/// A server with sessions as Engine.IO has them, which begin with its name: it opens one for a GET without `sid`, and refuses those of
/// others as engine.io does, over HTTP in chunks.
struct SessionServer {
    address: SocketAddr,
    asked: Asked,
    task: tokio::task::AbortHandle,
}

impl SessionServer {
    async fn start(name: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::start_on(listener, name)
    }

    fn start_on(listener: TcpListener, name: &'static str) -> Self {
        let address = listener.local_addr().unwrap();
        let asked = Asked::default();
        let log = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(tcp, name, Arc::clone(&log)));
            }
        });
        Self {
            address,
            asked,
            task: task.abort_handle(),
        }
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

impl Drop for SessionServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(tcp: TcpStream, name: &str, log: Asked) {
    let mut peer = Peer::plain(tcp);
    while peer.has_more().await {
        let (head, _) = peer.request().await;
        let target = head.target().to_owned();
        let method = head.first_line().split(' ').next().unwrap().to_owned();
        log.lock().unwrap().push(format!("{method} {target}"));
        let sid = target.split("sid=").nth(1).map(str::to_owned);
        let is_upgrade = head.value("upgrade").is_some();
        let answer = match sid {
            // As engine.io with `cors`, whoever has the session.
            _ if method == "OPTIONS" => "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
            Some(sid) if !sid.starts_with(name) && is_upgrade => {
                let text = "Session ID unknown";
                let length = text.len();
                let head =
                    "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-type: text/html";
                let all = format!("{head}\r\nContent-Length: {length}\r\n\r\n{text}");
                let _ = peer.try_send(all).await;
                return;
            }
            Some(sid) if !sid.starts_with(name) => {
                let body = r#"{"code":1,"message":"Session ID unknown"}"#;
                let head = "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked";
                format!("{head}\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n", body.len())
            }
            _ if is_upgrade => format!("{}{name}", String::from_utf8_lossy(SWITCHING)),
            Some(_) => text(name),
            None if target.contains("transport=polling") => {
                let sid = format!("{name}_session_0123456789");
                text(&format!(
                    r#"0{{"sid":"{sid}","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000}}"#
                ))
            }
            None => text(name),
        };
        if peer.try_send(answer).await.is_err() {
            return;
        }
    }
}

fn text(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// A gate with `/` at the group `chat` of these servers, with further keys of the group, and with `/other` for [`Way`].
async fn gate(addresses: &[SocketAddr], keys: &str) -> (TestServer, Upstream) {
    let other = Upstream::saying("other").await;
    let gate = setup(addresses, keys, &other).start().await;
    (gate, other)
}

fn setup(addresses: &[SocketAddr], keys: &str, other: &Upstream) -> Setup {
    let servers: Vec<String> = addresses.iter().map(|one| format!("\"{one}\"")).collect();
    let group = format!("{{ servers: [{}], {keys} }}", servers.join(", "));
    TestServer::setup()
        .top("threads: 1")
        .top(&format!("upstreams: {{ chat: {group} }}"))
        .route("/other", other)
        .proxy_pass("/", "http://chat")
}

/// An address at which nobody listens.
async fn gone() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

fn poll(sid: &str) -> String {
    format!("/socket.io/?EIO=4&transport=polling&sid={sid}")
}

fn post_to(target: &str) -> String {
    format!("POST {target} HTTP/1.1\r\nHost: chat.test\r\nContent-Length: 1\r\n\r\n2")
}

fn upgrade(sid: &str) -> Vec<u8> {
    upgrade_to(
        &format!("/socket.io/?EIO=4&transport=websocket&sid={sid}"),
        "",
    )
}

/// Opens a session: its id.
async fn open(client: &mut Peer) -> String {
    let answer = client.get("/socket.io/?EIO=4&transport=polling").await;
    assert_eq!(answer.status(), 200);
    let open = answer.text().split('"').nth(3).unwrap();
    open.to_owned()
}

#[tokio::test]
async fn all_requests_of_a_session_go_to_the_server_that_opened_it() {
    let servers = [
        SessionServer::start("a").await,
        SessionServer::start("b").await,
    ];
    let (gate, _other) = gate(
        &servers.each_ref().map(|one| one.address),
        "balance: round_robin",
    )
    .await;
    for way in Way::BOTH {
        for _ in 0..4 {
            let sid = open(&mut way.client(&gate).await).await;
            let name = &sid[..1];
            for _ in 0..3 {
                let mut client = way.client(&gate).await;
                assert_eq!(client.get(&poll(&sid)).await.text(), name);
                assert_eq!(client.ask(post_to(&poll(&sid))).await.text(), name);
            }
            let mut client = way.client(&gate).await;
            client.send(upgrade(&sid)).await;
            assert_eq!(client.head().await.status(), 101);
            assert_eq!(client.take(1).await, name.as_bytes());
        }
    }
    let asked: Vec<String> = servers
        .iter()
        .flat_map(|one| one.asked.lock().unwrap().clone())
        .collect();
    assert_eq!(
        asked.len(),
        2 * 4 * 8,
        "nobody was asked in vain: {asked:?}"
    );
    let of_sessions = r#""chosen_by":"sid""#;
    gate.log().containing_times(of_sessions, 2 * 4 * 6).await;
    let line = gate
        .log()
        .find("request", |line| line["chosen_by"] == "sid")
        .await;
    assert_eq!(line["upstream"], "chat");
}

#[tokio::test]
async fn a_session_that_nobody_remembers_is_found_by_asking() {
    let servers = [
        SessionServer::start("a").await,
        SessionServer::start("b").await,
        SessionServer::start("c").await,
    ];
    let (gate, _other) = gate(
        &servers.each_ref().map(|one| one.address),
        "balance: round_robin",
    )
    .await;
    for (number, way) in Way::BOTH.into_iter().enumerate() {
        for name in ["a", "b", "c"] {
            for kind in ["GET", "POST", "WebSocket"] {
                let sid = format!("{name}_{number}_{kind}_0123456789");
                let mut client = way.client(&gate).await;
                match kind {
                    "GET" => assert_eq!(client.get(&poll(&sid)).await.text(), name, "{way:?}"),
                    "POST" => {
                        let answer = client.ask(post_to(&poll(&sid))).await;
                        assert_eq!(answer.text(), name, "{way:?}");
                    }
                    _ => {
                        client.send(upgrade(&sid)).await;
                        assert_eq!(client.head().await.status(), 101, "{way:?}");
                        assert_eq!(client.take(1).await, name.as_bytes());
                    }
                }
                let before: usize = servers.iter().map(SessionServer::asked).sum();
                assert_eq!(way.client(&gate).await.get(&poll(&sid)).await.text(), name);
                let after: usize = servers.iter().map(SessionServer::asked).sum();
                assert_eq!(after - before, 1, "it is remembered");
            }
        }
    }
    let line = gate.log().find("request", |line| {
        line["chosen_by"] == "asked"
            && line["upstream_addr"]
                .as_str()
                .is_some_and(|all| all.contains(", "))
    });
    assert_eq!(line.await["status"], 200);
}

#[tokio::test]
async fn a_session_that_no_server_has_is_refused_by_one_of_them_and_not_asked_about_again() {
    let servers = [
        SessionServer::start("a").await,
        SessionServer::start("b").await,
    ];
    let (gate, _other) = gate(
        &servers.each_ref().map(|one| one.address),
        "balance: round_robin",
    )
    .await;
    let asked = || servers.iter().map(SessionServer::asked).sum::<usize>();
    for way in Way::BOTH {
        let sid = format!("dead_session_{way:?}");
        let mut client = way.client(&gate).await;
        let answer = client.get(&poll(&sid)).await;
        assert_eq!(answer.status(), 400);
        assert_eq!(
            answer.text(),
            r#"{"code":1,"message":"Session ID unknown"}"#
        );
        let after_a_round = asked();
        assert_eq!(client.get(&poll(&sid)).await.status(), 400);
        assert_eq!(asked() - after_a_round, 1);
        let mut client = way.client(&gate).await;
        assert_eq!(client.ask(upgrade(&sid)).await.status(), 400);
        assert_eq!(asked() - after_a_round, 2);
    }
}

#[tokio::test]
async fn what_was_not_sent_goes_to_another_server_whatever_it_is() {
    let server = SessionServer::start("a").await;
    for way in Way::BOTH {
        for request in [
            GET.to_owned(),
            post_to("/"),
            "DELETE / HTTP/1.1\r\nHost: chat.test\r\n\r\n".to_owned(),
            "POST / HTTP/1.1\r\nHost: chat.test\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n2\r\n0\r\n\r\n".to_owned(),
        ] {
            let gone = gone().await;
            let (gate, _other) = gate(&[gone, server.address], "balance: round_robin").await;
            let mut client = way.client(&gate).await;
            let answer = client.ask(&request).await;
            assert_eq!((answer.status(), answer.text()), (200, "a"), "{request}");
            let line = gate.log().find("request", |line| line["upstream"] == "chat").await;
            assert_eq!(line["upstream_addr"], format!("{gone}, {}", server.address));
            assert_eq!(line["chosen_by"], "balance");
            // It is left alone from now on.
            for _ in 0..3 {
                assert_eq!(client.get("/").await.text(), "a");
            }
            let lines = gate.log().all("request");
            let of_gone = lines.iter().filter(|line| {
                line["upstream_addr"].as_str().is_some_and(|all| all.contains(&gone.to_string()))
            });
            assert_eq!(of_gone.count(), 1);
        }
    }
}

#[tokio::test]
async fn a_message_that_comes_behind_its_head_finds_its_session_and_one_that_is_too_long_goes_once()
{
    let servers = [
        SessionServer::start("a").await,
        SessionServer::start("b").await,
        SessionServer::start("c").await,
    ];
    let addresses = servers.each_ref().map(|server| server.address);
    let (gate, _other) = gate(&addresses, "balance: round_robin").await;
    // Browsers and Node send the head of a POST and its body in two packets.
    for (number, name) in ["a", "b", "c"].into_iter().enumerate() {
        let mut client = gate.connect().await;
        let target = poll(&format!("{name}_session_{number}"));
        let length = 60_000;
        let head = format!(
            "POST {target} HTTP/1.1\r\nHost: chat.test\r\nContent-Length: {length}\r\n\r\n"
        );
        client.send(head).await;
        client.is_quiet().await;
        client.send("2".repeat(length)).await;
        let answer = client.answer().await;
        assert_eq!((answer.status(), answer.text()), (200, name));
    }
    // Longer than anybody would keep in memory for a stranger: the first answer is all that there is.
    let asked = || servers.iter().map(SessionServer::asked).sum::<usize>();
    for number in 0..3 {
        let before = asked();
        let mut client = gate.connect().await;
        let target = poll(&format!("nobody_session_{number}"));
        let length = 70_000;
        let head = format!(
            "POST {target} HTTP/1.1\r\nHost: chat.test\r\nContent-Length: {length}\r\n\r\n"
        );
        client.send(head).await;
        client.send("2".repeat(length)).await;
        assert_eq!(client.answer().await.status(), 400);
        assert_eq!(asked() - before, 1);
    }
}

#[tokio::test]
async fn where_no_server_is_there_the_last_refusal_is_the_answer() {
    let (one, other) = (gone().await, gone().await);
    let (gate, _other) = gate(&[one, other], "balance: round_robin").await;
    for way in Way::BOTH {
        // Also when both are known to be down: then all are asked.
        for _ in 0..2 {
            let answer = way.client(&gate).await.get("/").await;
            assert_eq!(answer.status(), 502);
            assert_eq!(answer.text(), "wsgate: the upstream cannot be reached\n");
        }
    }
    for line in gate.log().all("request") {
        if line["upstream"] == "chat" {
            assert!(
                line["upstream_addr"].as_str().unwrap().contains(", "),
                "{line}"
            );
        }
    }
}

#[tokio::test]
async fn a_get_that_got_no_answer_is_asked_once_elsewhere_and_a_post_is_not() {
    for way in Way::BOTH {
        for (request, status) in [(GET.to_owned(), 200), (post_to("/"), 502)] {
            let mut broken = Upstream::scripted().await;
            let server = SessionServer::start("a").await;
            let addresses = [broken.address(), server.address];
            let (gate, _other) = gate(&addresses, "balance: round_robin").await;
            let mut client = way.client(&gate).await;
            client.send(&request).await;
            let mut peer = broken.accept().await;
            peer.request().await;
            peer.vanish();
            assert_eq!(client.answer().await.status(), status, "{way:?} {request}");
            assert_eq!(server.asked(), usize::from(status == 200));
            // Nobody has marked it down for that.
            client.send(GET).await;
            client.send(GET).await;
            let mut peer = broken.accept().await;
            peer.request().await;
        }
    }
}

#[tokio::test]
async fn a_server_that_takes_no_client_now_is_passed_over_once_at_an_opening_handshake() {
    for way in Way::BOTH {
        for status in [
            "502 Bad Gateway",
            "503 Service Unavailable",
            "504 Gateway Timeout",
        ] {
            let full = Upstream::answering(format!(
                "HTTP/1.1 {status}\r\nContent-Length: 4\r\n\r\nfull"
            ))
            .await;
            let server = SessionServer::start("a").await;
            let (gate, _other) =
                gate(&[full.address(), server.address], "balance: round_robin").await;
            let mut client = way.client(&gate).await;
            client.send(upgrade_to("/ws", "")).await;
            assert_eq!(client.head().await.status(), 101, "{way:?} {status}");
            // The turn is the first server's again, after the second one's.
            let mut client = way.client(&gate).await;
            assert_eq!(client.get("/").await.text(), "full");
            assert_eq!(client.get("/").await.text(), "a");
            assert!(open(&mut client).await.starts_with("a_"));
        }
    }
}

#[tokio::test]
async fn where_every_server_is_full_a_request_is_told_to_come_again() {
    let server = SessionServer::start("a").await;
    let other = Upstream::saying("other").await;
    let servers = format!("{{ server: \"{}\", max_conns: 1 }}", server.address);
    let gate = TestServer::setup()
        .top(&format!(
            "upstreams: {{ chat: {{ servers: [{servers}] }} }}"
        ))
        .route("/other", &other)
        .proxy_pass("/", "http://chat")
        .start()
        .await;
    let mut from = 0;
    for way in Way::BOTH {
        let mut first = way.client(&gate).await;
        first.send(upgrade_to("/ws", "")).await;
        assert_eq!(first.head().await.status(), 101);
        let mut second = way.client(&gate).await;
        let answer = second.get("/").await;
        assert_eq!(answer.status(), 503);
        assert_eq!(answer.head.value("retry-after"), Some("1"));
        first.finish().await;
        drop(first);
        gate.log().next(&mut from, "tunnel ended").await;
        // The count is lowered with the tunnel's end.
        assert_eq!(second.get("/").await.text(), "a");
    }
}

#[tokio::test]
async fn a_cookie_leads_back_to_its_server_and_is_set_where_it_is_missing_or_wrong() {
    let servers = [
        SessionServer::start("a").await,
        SessionServer::start("b").await,
    ];
    let keys = "balance: round_robin, sticky: { cookie: srv, path: /, httponly: true }";
    let (gate, _other) = gate(&servers.each_ref().map(|one| one.address), keys).await;
    for way in Way::BOTH {
        let mut seen = Vec::new();
        for _ in 0..2 {
            let mut client = way.client(&gate).await;
            let answer = client.get("/").await;
            let cookie = answer.head.value("set-cookie").unwrap().to_owned();
            let (pair, attributes) = cookie.split_once("; ").unwrap();
            assert!(pair.starts_with("srv=") && pair.len() > 10, "{cookie}");
            assert_eq!(attributes, "Path=/; HttpOnly");
            seen.push((pair.to_owned(), answer.text().to_owned()));
        }
        seen.sort();
        assert_ne!(seen[0], seen[1]);
        for (cookie, name) in &seen {
            for _ in 0..3 {
                let mut client = way.client(&gate).await;
                let with =
                    format!("GET / HTTP/1.1\r\nHost: chat.test\r\nCookie: x=1; {cookie}\r\n\r\n");
                let answer = client.ask(&with).await;
                assert_eq!(answer.text(), name);
                assert_eq!(answer.head.value("set-cookie"), None);
            }
            let mut client = way.client(&gate).await;
            client
                .send(upgrade_to("/ws", &format!("Cookie: {cookie}\r\n")))
                .await;
            let head = client.head().await;
            assert_eq!((head.status(), head.value("set-cookie")), (101, None));
            assert_eq!(client.take(1).await, name.as_bytes());
        }
        let mut client = way.client(&gate).await;
        client
            .send(upgrade_to("/ws", "Cookie: srv=nobody\r\n"))
            .await;
        let head = client.head().await;
        assert_eq!(head.status(), 101);
        assert!(
            head.value("set-cookie")
                .is_some_and(|cookie| cookie.starts_with("srv="))
        );
        let mut client = way.client(&gate).await;
        client
            .send("OPTIONS / HTTP/1.1\r\nHost: chat.test\r\n\r\n")
            .await;
        let head = client.head().await;
        assert_eq!((head.status(), head.value("set-cookie")), (204, None));
    }
}

#[tokio::test]
async fn the_session_of_a_server_that_is_down_is_told_so_at_once() {
    let (a, b) = (
        SessionServer::start("a").await,
        SessionServer::start("b").await,
    );
    let (gate, _other) = gate(&[a.address, b.address], "balance: round_robin").await;
    let mut client = gate.connect().await;
    let mut sids = [open(&mut client).await, open(&mut client).await];
    sids.sort();
    drop(a);
    for way in Way::BOTH {
        // Refused at first, then known to be down.
        for _ in 0..2 {
            let answer = way.client(&gate).await.get(&poll(&sids[0])).await;
            assert_eq!(answer.status(), 502);
            assert_eq!(
                way.client(&gate).await.get(&poll(&sids[1])).await.text(),
                "b"
            );
        }
    }
    let line = gate.log().find("request", |line| {
        line["reason"]
            .as_str()
            .is_some_and(|reason| reason.ends_with("has the session and is down"))
    });
    assert_eq!(line.await["status"], 502);
}

#[tokio::test]
async fn what_a_browser_asks_before_a_request_teaches_nobody_where_a_session_is() {
    let servers = [
        SessionServer::start("a").await,
        SessionServer::start("b").await,
    ];
    let addresses = servers.each_ref().map(|one| one.address);
    let keys = "balance: round_robin, sticky: [sid, { cookie: srv }]";
    let (gate, _other) = gate(&addresses, keys).await;
    for way in Way::BOTH {
        for name in ["a", "b"] {
            let sid = format!("{name}_{way:?}_0123456789");
            let target = poll(&sid);
            let options = format!("OPTIONS {target} HTTP/1.1\r\nHost: chat.test\r\n\r\n");
            let mut client = way.client(&gate).await;
            client.send(&options).await;
            let head = client.head().await;
            assert_eq!((head.status(), head.value("set-cookie")), (204, None));
            assert_eq!(way.client(&gate).await.get(&target).await.text(), name);
        }
    }
}

#[tokio::test]
async fn servers_share_the_time_for_connecting() {
    // A queue that is full takes no connection and refuses none.
    let full = full_queue().await;
    let server = SessionServer::start("a").await;
    let addresses = [full.address, server.address];
    let other = Upstream::saying("other").await;
    let setup = setup(&addresses, "balance: round_robin", &other);
    let gate = setup.of_route("connect_timeout: 2100ms").start().await;
    let asked = Instant::now();
    let answer = gate.connect().await.get("/").await;
    assert_eq!(answer.text(), "a");
    let took = asked.elapsed();
    assert!(took >= Duration::from_millis(1000), "{took:?}");
    assert!(took < Duration::from_millis(2050), "{took:?}");
    let line = gate
        .log()
        .find("request", |line| line["upstream"] == "chat")
        .await;
    assert_eq!(
        line["upstream_addr"],
        format!("{}, {}", full.address, server.address)
    );
    // It is down from now on, and takes no client's time any more.
    let asked = Instant::now();
    for _ in 0..4 {
        assert_eq!(gate.connect().await.get("/").await.text(), "a");
    }
    assert!(asked.elapsed() < Duration::from_millis(950));
}

/// A listener whose queue of connections is full.
struct FullQueue {
    address: SocketAddr,
    _listener: Socket,
    _waiting: Vec<TcpStream>,
}

async fn full_queue() -> FullQueue {
    let listener = Socket::new(Domain::IPV4, Type::STREAM.nonblocking(), None).unwrap();
    let address: SocketAddr = "127.0.0.1:0".parse().unwrap();
    listener.bind(&address.into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    let waiting = vec![TcpStream::connect(address).await.unwrap()];
    FullQueue {
        address,
        _listener: listener,
        _waiting: waiting,
    }
}

#[tokio::test]
async fn where_all_servers_are_down_the_server_of_a_session_is_asked_all_the_same() {
    let a = SessionServer::start("a").await;
    let (address, gone) = (a.address, gone().await);
    let (gate, _other) = gate(&[address, gone], "balance: round_robin").await;
    let sid = open(&mut gate.connect().await).await;
    drop(a);
    assert_eq!(gate.connect().await.get("/").await.status(), 502);
    // Its sessions are gone with it, but it has others of the same kind: it says so itself, and does not wait for a knock.
    let listener = TcpListener::bind(address).await.unwrap();
    let _again = SessionServer::start_on(listener, "a");
    assert_eq!(gate.connect().await.get(&poll(&sid)).await.text(), "a");
}

#[tokio::test]
async fn a_server_that_is_broken_takes_no_session_of_another_one() {
    for status in [
        "404 Not Found",
        "403 Forbidden",
        "500 Internal Server Error",
        "503 Service Unavailable",
        "301 Moved Permanently",
    ] {
        let broken = Upstream::answering(format!(
            "HTTP/1.1 {status}\r\nContent-Length: 4\r\n\r\nboom"
        ))
        .await;
        let owner = SessionServer::start("a").await;
        for way in Way::BOTH {
            let addresses = [broken.address(), owner.address];
            let (gate, _other) = gate(&addresses, "balance: round_robin").await;
            for number in 0..2 {
                let sid = format!("a_{way:?}_{number}_0123456789");
                let answer = way.client(&gate).await.get(&poll(&sid)).await;
                assert_eq!(
                    (answer.status(), answer.text()),
                    (200, "a"),
                    "{way:?} {status}"
                );
                let sid = format!("a_{way:?}_{number}_post_0123456789");
                let answer = way.client(&gate).await.ask(post_to(&poll(&sid))).await;
                assert_eq!(
                    (answer.status(), answer.text()),
                    (200, "a"),
                    "{way:?} {status}"
                );
                let sid = format!("a_{way:?}_{number}_ws_0123456789");
                let mut client = way.client(&gate).await;
                client.send(upgrade(&sid)).await;
                assert_eq!(client.head().await.status(), 101, "{way:?} {status}");
            }
        }
    }
}

#[tokio::test]
async fn what_was_no_word_of_the_session_is_the_answer_where_no_other_server_has_it() {
    let strict = Upstream::answering("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno").await;
    let other = SessionServer::start("a").await;
    for way in Way::BOTH {
        let addresses = [strict.address(), other.address];
        let (gate, _other) = gate(&addresses, "balance: round_robin").await;
        for number in 0..2 {
            let sid = format!("nobodys_{way:?}_{number}_0123456789");
            let answer = way.client(&gate).await.get(&poll(&sid)).await;
            assert_eq!(
                (answer.status(), answer.text()),
                (403, "no"),
                "{way:?} {number}"
            );
        }
    }
}

#[tokio::test]
async fn a_server_beside_others_that_are_never_asked_has_all_the_time_for_connecting() {
    let full = full_queue().await;
    let other = Upstream::saying("other").await;
    let down = "{ server: \"127.0.0.1:1\", down: true }, { server: \"127.0.0.1:2\", down: true }";
    let gate = TestServer::setup()
        .top(&format!(
            "upstreams: {{ chat: {{ servers: [\"{}\", {down}] }} }}",
            full.address
        ))
        .route("/other", &other)
        .proxy_pass("/", "http://chat")
        .of_route("connect_timeout: 900ms")
        .start()
        .await;
    let asked = Instant::now();
    assert_eq!(gate.connect().await.get("/").await.status(), 504);
    let took = asked.elapsed();
    assert!(took >= Duration::from_millis(850), "{took:?}");
}

#[tokio::test]
async fn a_session_is_found_behind_servers_that_are_gone_after_three_of_them_at_most() {
    for way in Way::BOTH {
        let owner = SessionServer::start("a").await;
        let mut addresses = Vec::new();
        for _ in 0..6 {
            addresses.push(gone().await);
        }
        addresses.push(owner.address);
        let (gate, _other) = gate(&addresses, "balance: round_robin").await;
        let sid = "a_behind_them_0123456789";
        let mut said = Vec::new();
        for _ in 0..3 {
            let answer = way.client(&gate).await.get(&poll(sid)).await;
            said.push(answer.status());
        }
        // Three are connected to in vain each time, and are down from then on.
        assert_eq!(said, [502, 502, 200], "{way:?}");
    }
}

#[tokio::test]
async fn a_cookie_is_found_among_others_of_its_name() {
    let servers = [
        SessionServer::start("a").await,
        SessionServer::start("b").await,
    ];
    let keys = "balance: round_robin, sticky: { cookie: srv }";
    let (gate, _other) = gate(&servers.each_ref().map(|one| one.address), keys).await;
    let answer = gate.connect().await.get("/").await;
    let name = answer.text().to_owned();
    let cookie = answer.head.value("set-cookie").unwrap();
    let pair = cookie.split(';').next().unwrap().to_owned();
    for way in Way::BOTH {
        for _ in 0..2 {
            let with =
                format!("GET / HTTP/1.1\r\nHost: chat.test\r\nCookie: srv=zz; {pair}\r\n\r\n");
            let answer = way.client(&gate).await.ask(&with).await;
            assert_eq!(
                (answer.text(), answer.head.value("set-cookie")),
                (name.as_str(), None)
            );
        }
    }
}
