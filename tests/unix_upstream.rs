//! Upstreams at a Unix socket, written as in nginx.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::TempDir;
use tokio::net::UnixSocket;

use crate::support::Ending;
use crate::support::GET;
use crate::support::Over;
use crate::support::SWITCHING;
use crate::support::Setup;
use crate::support::TestServer;
use crate::support::UPGRADE;
use crate::support::Upstream;
use crate::support::tunnel;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Two listeners before an upstream at this path.
fn before(socket: &Path) -> Setup {
    TestServer::setup()
        .tls()
        .proxy_pass("/", format!("http://unix:{}", socket.display()))
}

#[tokio::test]
async fn it_is_asked_as_any_other() {
    let dir = TempDir::new().unwrap();
    let socket = dir.path().join("app.sock");
    let mut upstream = Upstream::scripted_unix(&socket).await;
    let gate = before(&socket).start().await;
    let place = format!("unix:{}", socket.display());
    let line = gate.log().first("upstream answers").await;
    assert_eq!(line["upstream"], place);
    for over in Over::BOTH {
        let mut client = gate.connect_over(over).await;
        client
            .send("POST /x?y HTTP/1.1\r\nHost: chat.test\r\nContent-Length: 10\r\n\r\nhello")
            .await;
        let mut server = upstream.accept().await;
        let head = server.head().await;
        assert_eq!(head.first_line(), "POST /x?y HTTP/1.1");
        assert_eq!(head.value("host"), Some("chat.test"));
        assert_eq!(server.take(5).await, b"hello");
        client.send("world").await;
        assert_eq!(server.take(5).await, b"world");
        server
            .send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
            .await;
        assert_eq!(client.head().await.status(), 200);
        assert_eq!(client.chunk().await, b"one");
        server.send("0\r\n\r\n").await;
        assert_eq!(client.chunk().await, b"");
        // The connection is kept, as any other.
        client.send(GET).await;
        server.head().await;
        server.send(OK).await;
        assert_eq!(client.answer().await.text(), "ok");
    }
    assert_eq!(upstream.connections(), 2);
    for line in gate.log().all("request") {
        assert_eq!(line["upstream_addr"], place);
    }
}

#[tokio::test]
async fn a_path_behind_a_colon_replaces_the_location() {
    let dir = TempDir::new().unwrap();
    let socket = dir.path().join("app.sock");
    let mut upstream = Upstream::scripted_unix(&socket).await;
    let to = format!("http://unix:{}", socket.display());
    let gate = TestServer::setup()
        .proxy_pass("/api/", format!("{to}:/v1/"))
        .proxy_pass("/", &to)
        .start()
        .await;
    for (asked, got) in [
        ("/api/users?x", "/v1/users?x"),
        ("/api/%41", "/v1/A"),
        ("/other/%41", "/other/%41"),
    ] {
        let mut client = gate.connect().await;
        client
            .send(format!("GET {asked} HTTP/1.1\r\nHost: a\r\n\r\n"))
            .await;
        assert_eq!(upstream.accept().await.head().await.target(), got);
    }
}

#[tokio::test]
async fn a_tunnel_begins_with_the_early_bytes_of_both_ends_and_ends_one_direction_at_a_time() {
    let dir = TempDir::new().unwrap();
    let socket = dir.path().join("app.sock");
    let mut upstream = Upstream::scripted_unix(&socket).await;
    let gate = before(&socket).start().await;
    for over in Over::BOTH {
        let mut client = gate.connect_over(over).await;
        client.send([UPGRADE, b"early"].concat()).await;
        let mut server = upstream.accept().await;
        server.head().await;
        server.is_quiet().await;
        server.send([SWITCHING, b"first"].concat()).await;
        assert_eq!(client.head().await.status(), 101);
        assert_eq!(client.take(5).await, b"first");
        assert_eq!(server.take(5).await, b"early");
        client.send("question").await;
        client.finish().await;
        assert_eq!(server.rest().await, (b"question".to_vec(), Ending::Fin));
        server.send("answer").await;
        assert_eq!(client.take(6).await, b"answer");
        server.finish().await;
        assert_eq!(client.rest().await, (Vec::new(), Ending::Fin));

        let (mut client, server) = tunnel(&gate, &mut upstream, over).await;
        server.vanish();
        assert_eq!(client.rest().await, (Vec::new(), Ending::Fin));
    }
    let line = gate.log().first("tunnel opened").await;
    assert_eq!(line["upstream_addr"], format!("unix:{}", socket.display()));
}

/// A GET is answered 502, with this reason in its line and in that of the start.
async fn refused(setup: Setup, socket: &Path, reason: &str) {
    let gate = setup.start().await;
    let place = format!("unix:{}", socket.display());
    let reason = format!("cannot connect to upstream {place}: {reason}");
    let answer = gate.connect().await.get("/").await;
    assert_eq!(answer.status(), 502);
    assert_eq!(answer.text(), "wsgate: the upstream cannot be reached\n");
    for line in [
        gate.log().first("upstream does not answer").await,
        gate.log().first("request").await,
    ] {
        assert_eq!(line["level"], "WARN");
        assert_eq!(line["reason"], reason);
    }
    let line = gate.log().first("request").await;
    assert_eq!(line["upstream_addr"], place);
}

#[tokio::test]
async fn a_socket_that_is_not_there_or_has_no_server_is_a_502_that_names_it() {
    let dir = TempDir::new().unwrap();
    let socket = dir.path().join("app.sock");
    refused(before(&socket), &socket, "there is no such file").await;
    // Its server ended and left it behind.
    drop(Upstream::scripted_unix(&socket).await);
    let left = dir.path().join("left.sock");
    drop(std::os::unix::net::UnixListener::bind(&left).unwrap());
    refused(before(&left), &left, "connection refused").await;
}

#[tokio::test]
async fn a_socket_that_others_may_not_write_to_is_a_502_that_says_so() {
    let dir = TempDir::new().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let socket = dir.path().join("app.sock");
    let _upstream = Upstream::scripted_unix(&socket).await;
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o000)).unwrap();
    let mut setup =
        TestServer::setup().proxy_pass("/", format!("http://unix:{}", socket.display()));
    if fs::metadata("/proc/self").unwrap().uid() == 0 {
        // Root may write to everything.
        setup = setup.user(65534);
    }
    let reason = "permission denied: the user that runs wsgate must be allowed to write to it";
    refused(setup, &socket, reason).await;
}

/// A storm of clients fills the queue of a server that is slow to accept. TCP would wait by itself.
#[tokio::test]
async fn a_full_queue_is_waited_for() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("app.sock");
    let socket = UnixSocket::new_stream().unwrap();
    socket.bind(&path).unwrap();
    let listener = socket.listen(1).unwrap();
    let gate = before(&path).start().await;
    let mut clients = Vec::new();
    for _ in 0..8 {
        let mut client = gate.connect().await;
        client.send(GET).await;
        clients.push(client);
    }
    // More than fit into the queue have asked by now.
    for client in &mut clients {
        client.is_quiet().await;
    }
    let upstream = Upstream::answering_unix(listener, OK).await;
    for client in &mut clients {
        assert_eq!(client.answer().await.text(), "ok");
    }
    assert_eq!(upstream.connections(), 8);
}
