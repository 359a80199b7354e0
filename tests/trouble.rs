//! Bad circumstances: upstreams that are not there or silent, and addresses that cannot be listened on.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;
use std::time::Instant;

use serde_json::Value;
use tokio::net::TcpListener;
use tokio::net::TcpSocket;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::GET;
use crate::support::Peer;
use crate::support::TestServer;
use crate::support::UPGRADE;
use crate::support::Upstream;

/// What an ordinary request and an upgrade request are told, and the log lines about them.
async fn told(gate: &TestServer, status: u16, text: &str) -> [Value; 2] {
    for request in [GET.as_bytes(), UPGRADE] {
        let mut client = gate.connect().await;
        let answer = client.ask(request).await;
        assert_eq!(answer.status(), status);
        assert_eq!(answer.text(), text);
        assert_eq!(answer.head.names(), ["Content-Length", "Content-Type"]);
        // The connection is still good.
        assert_eq!(client.get("/").await.status(), status);
    }
    let of = |request: &'static str| {
        gate.log()
            .find("request", move |line| line["request"] == request)
    };
    let lines = [
        of("GET / HTTP/1.1").await,
        of("GET /socket.io/?EIO=4&transport=websocket HTTP/1.1").await,
    ];
    for line in &lines {
        assert_eq!(line["level"], "WARN");
        assert_eq!(line["status"], status);
        assert_eq!(line["route"], "routes.yaml:4");
    }
    lines
}

/// An address on which nobody listens.
async fn closed_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().port()
}

#[tokio::test]
async fn an_upstream_that_refuses_is_a_502_and_named_in_the_log() {
    let port = closed_port().await;
    let gate = TestServer::setup()
        .proxy_pass("/", format!("http://127.0.0.1:{port}"))
        .start()
        .await;
    let lines = told(&gate, 502, "wsgate: the upstream cannot be reached\n").await;
    for line in lines {
        assert_eq!(line["upstream_addr"], format!("127.0.0.1:{port}"));
        assert_eq!(
            line["reason"],
            format!("cannot connect to upstream 127.0.0.1:{port}: connection refused")
        );
    }
    let line = gate.log().first("upstream does not answer").await;
    assert_eq!(line["level"], "WARN");
    assert_eq!(line["upstream"], format!("127.0.0.1:{port}"));
}

#[tokio::test]
async fn an_upstream_whose_name_is_unknown_is_a_502_and_named_in_the_log() {
    let gate = TestServer::setup()
        .proxy_pass("/", "http://nonexistent.invalid:80")
        .start()
        .await;
    let lines = told(
        &gate,
        502,
        "wsgate: the upstream's address cannot be found\n",
    )
    .await;
    for line in lines {
        assert_eq!(line.get("upstream_addr"), None);
        let reason = line["reason"].as_str().unwrap();
        assert!(
            reason.starts_with("cannot find the address of upstream nonexistent.invalid:80: "),
            "{reason}"
        );
    }
}

#[tokio::test]
async fn an_upstream_that_says_nothing_is_a_504_and_named_in_the_log() {
    let upstream = Upstream::scripted().await;
    let address = upstream.address();
    let gate = TestServer::setup()
        .top("handshake_timeout: 300ms\nresponse_timeout: 400ms")
        .route("/", &upstream)
        .start()
        .await;
    for (request, limit_ms, key) in [
        (UPGRADE, 300, "handshake_timeout"),
        (GET.as_bytes(), 400, "response_timeout"),
    ] {
        let mut client = gate.connect().await;
        let began = Instant::now();
        let answer = client.ask(request).await;
        let took = began.elapsed().as_millis();
        assert_eq!(answer.status(), 504);
        assert_eq!(
            answer.text(),
            "wsgate: the upstream does not answer in time\n"
        );
        assert!(took >= limit_ms, "{took} ms");
        let reason = format!("upstream {address} gave no answer within {limit_ms}ms (`{key}`)");
        let line = gate
            .log()
            .find("request", |line| line["reason"] == reason.as_str())
            .await;
        assert_eq!(
            (&line["level"], &line["status"]),
            (&"WARN".into(), &504.into())
        );
        assert_eq!(line["upstream_addr"], address.to_string());
    }
}

#[tokio::test]
async fn an_upstream_that_does_not_accept_connections_is_a_504_and_named_in_the_log() {
    // A queue that is full: the system then drops whatever would open another connection.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let full = socket.listen(1).unwrap();
    let address = full.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(tcp) = timeout(Duration::from_millis(200), TcpStream::connect(address)).await {
        waiting.push(tcp.unwrap());
    }
    let gate = TestServer::setup()
        .top("connect_timeout: 300ms")
        .proxy_pass("/", format!("http://{address}"))
        .start()
        .await;
    let mut client = gate.connect().await;
    let answer = client.get("/").await;
    assert_eq!(answer.status(), 504);
    assert_eq!(
        answer.text(),
        "wsgate: the upstream does not accept connections in time\n"
    );
    let line = gate.log().first("request").await;
    assert_eq!(
        (&line["level"], &line["status"]),
        (&"WARN".into(), &504.into())
    );
    assert_eq!(
        line["reason"],
        format!("cannot connect to upstream {address}: no answer within 300ms (`connect_timeout`)")
    );
    let line = gate.log().first("upstream does not answer").await;
    assert_eq!(line["upstream"], address.to_string());
}

#[tokio::test]
async fn the_upstream_sees_the_end_of_a_request_that_took_too_long() {
    let mut upstream = Upstream::scripted().await;
    let gate = TestServer::setup()
        .top("response_timeout: 300ms")
        .route("/", &upstream)
        .start()
        .await;
    let mut client = gate.connect().await;
    client.send(GET).await;
    let mut server = upstream.accept().await;
    server.head().await;
    assert_eq!(client.answer().await.status(), 504);
    assert_eq!(server.rest().await.0, b"");
    // A late answer belongs to nobody.
    let _ = server
        .try_send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate")
        .await;
    client.is_quiet().await;
}

/// Long polls and event streams are silent for long: no limit between two parts of an answer.
#[tokio::test]
async fn an_answer_that_pauses_is_not_cut() {
    let mut upstream = Upstream::scripted().await;
    let gate = TestServer::setup()
        .top("response_timeout: 200ms")
        .route("/", &upstream)
        .start()
        .await;
    let mut client = gate.connect().await;
    client.send(GET).await;
    let mut server = upstream.accept().await;
    server.head().await;
    server
        .send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        .await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    server.send("world").await;
    assert_eq!(client.answer().await.text(), "helloworld");
}

#[tokio::test]
async fn wsgate_starts_before_its_upstream_does() {
    let port = closed_port().await;
    let gate = TestServer::setup()
        .proxy_pass("/", format!("http://127.0.0.1:{port}"))
        .start()
        .await;
    let mut client = gate.connect().await;
    assert_eq!(client.get("/").await.status(), 502);
    // The question at the start would be taken for the request.
    gate.log().first("upstream does not answer").await;
    let Ok(listener) = TcpListener::bind(("127.0.0.1", port)).await else {
        println!("somebody else took port {port} in the meantime");
        return;
    };
    let late = tokio::spawn(async move {
        let (tcp, _) = listener.accept().await.unwrap();
        let mut server = Peer::plain(tcp);
        server.head().await;
        server
            .send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nup")
            .await;
        server
    });
    assert_eq!(client.get("/").await.text(), "up");
    late.await.unwrap();
}

#[tokio::test]
async fn a_port_in_use_is_named_with_its_place_and_what_to_do() {
    let upstream = Upstream::saying("ok").await;
    let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = other.local_addr().unwrap();
    let port = address.port();
    let failed = TestServer::setup()
        .address("127.0.0.1:0")
        .address(address)
        .route("/", &upstream)
        .text_log()
        .fail()
        .await;
    assert_eq!(failed.status.code(), Some(1));
    assert_eq!(
        failed.stderr,
        format!(
            "routes.yaml:3: error: cannot listen on {address}: address already in use\n  \
             = help: another process listens there: end it (`ss -ltnp 'sport = :{port}'` names it) \
             or choose another port\n"
        )
    );
}

#[tokio::test]
async fn another_wsgate_on_the_port_is_a_port_in_use() {
    let upstream = Upstream::saying("ok").await;
    let first = TestServer::with_routes(&[("/", &upstream)]).await;
    let address = first.address();
    let failed = TestServer::setup()
        .address(address)
        .route("/", &upstream)
        .fail()
        .await;
    assert_eq!(failed.status.code(), Some(1));
    let line: Value = serde_json::from_str(failed.stderr.trim_end()).unwrap();
    assert_eq!(
        (&line["level"], &line["message"]),
        (&"ERROR".into(), &"cannot run".into())
    );
    assert_eq!(
        line["reason"],
        format!("routes.yaml:2: error: cannot listen on {address}: address already in use")
    );
    assert!(
        line["help"]
            .as_str()
            .unwrap()
            .contains("choose another port")
    );
    assert_eq!(first.connect().await.get("/").await.text(), "ok");
}

#[tokio::test]
async fn an_address_of_another_machine_is_named_with_what_to_do() {
    let upstream = Upstream::saying("ok").await;
    // TEST-NET-1 (RFC 5737): no interface has it.
    let failed = TestServer::setup()
        .address("192.0.2.1:8080")
        .route("/", &upstream)
        .text_log()
        .fail()
        .await;
    if fs::read_to_string("/proc/sys/net/ipv4/ip_nonlocal_bind").is_ok_and(|on| on.trim() == "1") {
        panic!("here any address can be bound: set net.ipv4.ip_nonlocal_bind to 0");
    }
    assert_eq!(failed.status.code(), Some(1));
    assert_eq!(
        failed.stderr,
        "routes.yaml:2: error: cannot listen on 192.0.2.1:8080: address not available\n  \
         = help: no interface of this machine has this address (`ip address` lists them); 0.0.0.0 stands for all\n"
    );
}

#[tokio::test]
async fn a_port_below_1024_without_permission_is_named_with_what_to_do() {
    const PORT: u16 = 81;
    let first_free = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start")
        .map_or(1024, |text| text.trim().parse::<u16>().unwrap());
    if PORT >= first_free {
        panic!(
            "here anybody may listen on port {PORT}: set net.ipv4.ip_unprivileged_port_start to 1024"
        );
    }
    let upstream = Upstream::saying("ok").await;
    let mut setup = TestServer::setup()
        .address(format!("127.0.0.1:{PORT}"))
        .route("/", &upstream)
        .text_log();
    if fs::metadata("/proc/self").unwrap().uid() == 0 {
        // `nobody`.
        setup = setup.user(65534);
    }
    let failed = setup.fail().await;
    assert_eq!(failed.status.code(), Some(1));
    assert_eq!(
        failed.stderr,
        "routes.yaml:2: error: cannot listen on 127.0.0.1:81: permission denied\n  \
         = help: ports below 1024 need a permission: start as root, give the binary \
         `setcap cap_net_bind_service=+ep`, in systemd `AmbientCapabilities=CAP_NET_BIND_SERVICE`, \
         or choose a port such as 8081\n"
    );
}
