//! What the log says of the servers of a group, and what makes them go down and come up.

use std::net::SocketAddr;

use tokio::net::TcpListener;
use tokio::net::TcpSocket;

use crate::https_upstream::BOTH;
use crate::support::Authority;
use crate::support::GET;
use crate::support::Peer;
use crate::support::Setup;
use crate::support::TestServer;
use crate::support::Upstream;
use crate::support::within;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn before(keys: &str) -> Setup {
    TestServer::setup()
        .top("threads: 2")
        .top(&format!("upstreams: {{ chat: {{ {keys} }} }}"))
        .proxy_pass("/", "http://chat")
}

/// An address at which nobody listens.
async fn gone() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

/// Somebody listens there again.
fn back_at(address: SocketAddr) -> TcpListener {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind(address).unwrap();
    socket.listen(64).unwrap()
}

#[tokio::test]
async fn a_server_that_is_gone_is_told_once_and_told_again_when_it_is_back() {
    let (well, gone) = (Upstream::saying("ok").await, gone().await);
    let keys = format!(
        "balance: round_robin, servers: ['{gone}', '{}']",
        well.address()
    );
    let gate = before(&keys).start().await;
    // One of two turns finds out, and no client sees it.
    for _ in 0..6 {
        assert_eq!(gate.connect().await.get("/").await.text(), "ok");
    }
    let down = gate.log().first("server down").await;
    assert_eq!(down["level"], "WARN");
    assert_eq!(down["upstream"], "chat");
    assert_eq!(down["server"], gone.to_string());
    assert_eq!(down["open"], 0);
    assert_eq!(
        down["reason"],
        format!("cannot connect to upstream {gone}: connection refused")
    );
    let _back = Upstream::scripted_on(back_at(gone)).await;
    let up = gate.log().first("server up").await;
    assert_eq!(
        (up["server"].clone(), up["level"].clone()),
        (gone.to_string().into(), "INFO".into())
    );
    assert!(up["after"].as_str().unwrap().ends_with('s'), "{up}");
    assert_eq!(gate.log().all("server down").len(), 1);
}

#[tokio::test]
async fn a_name_that_is_followed_is_verified_by_the_name_and_not_by_its_addresses() {
    let authority = Authority::new();
    let identity = authority.issue(&["localhost"]);
    let mut upstream = Upstream::scripted_tls(identity.server(BOTH)).await;
    let port = upstream.address().port();
    let gate = TestServer::setup()
        .top(&format!(
            "upstreams: {{ chat: {{ servers: [{{ server: 'localhost:{port}', resolve: true }}] }} }}"
        ))
        .proxy_pass("/", "https://chat")
        .of_route("ca: ca.pem")
        .file("ca.pem", authority.pem())
        .start()
        .await;
    let resolved = gate.log().first("name resolved").await;
    assert_eq!(resolved["name"], format!("localhost:{port}"));
    assert_eq!(
        (&resolved["draining"], &resolved["upstream"]),
        (&0.into(), &"chat".into())
    );
    for _ in 0..3 {
        let mut client = gate.connect().await;
        client.send(GET).await;
        let mut server: Peer = within("a request", upstream.accept()).await;
        assert_eq!(server.server_name(), Some("localhost"));
        let (head, _) = server.request().await;
        assert_eq!(head.value("host"), Some("chat.test"));
        server.send(OK).await;
        assert_eq!(client.answer().await.status(), 200);
    }
    let told = gate.log().first("request").await;
    assert_eq!(told["upstream"], "chat");
    assert_eq!(told["upstream_addr"], format!("127.0.0.1:{port}"));
}
