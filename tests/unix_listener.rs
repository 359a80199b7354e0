//! Listening on a Unix socket: what its clients are called, who may connect, and what becomes of its file.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;

use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::UnixStream;

use crate::nginx_locations::nginx::Running;
use crate::nginx_locations::nginx::reserve;
use crate::support::Ending;
use crate::support::GET;
use crate::support::Peer;
use crate::support::SWITCHING;
use crate::support::Setup;
use crate::support::TestServer;
use crate::support::Upstream;
use crate::support::begin_tls_over;
use crate::support::tunnel_of;
use crate::support::upgrade_to;
use crate::support::within;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A folder, and the path of a socket in it.
fn place() -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("gate.sock");
    (folder, path)
}

/// A listener with a port, and one at this path.
fn at(path: &Path) -> Setup {
    TestServer::setup()
        .address("127.0.0.1:0")
        .address(format!("unix:{}", path.display()))
}

async fn connect(path: &Path) -> Peer {
    let unix = within("connecting", UnixStream::connect(path)).await;
    Peer::unix(unix.unwrap())
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[tokio::test]
async fn its_clients_are_served_and_called_as_nginx_calls_them() {
    let (_folder, path) = place();
    let mut upstream = Upstream::scripted().await;
    let gate = at(&path).route("/", &upstream).start().await;
    assert_eq!(mode(&path), 0o660);
    let listens = gate.log().all("listening");
    assert_eq!(listens[1]["address"], format!("unix:{}", path.display()));

    let mut client = connect(&path).await;
    // Without anybody who is trusted nobody's word counts.
    let get = "GET / HTTP/1.1\r\nHost: chat.test\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n";
    client.send(get).await;
    let mut server = upstream.accept().await;
    let head = server.head().await;
    for name in ["x-real-ip", "x-forwarded-for"] {
        assert_eq!(head.value(name), Some("unix:"), "{name}");
    }
    assert_eq!(head.value("x-forwarded-proto"), Some("http"));
    server.send(OK).await;
    assert_eq!(client.answer().await.text(), "ok");
    // By hyper too.
    client
        .send("POST / HTTP/1.1\r\nHost: chat.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
        .await;
    assert_eq!(server.request().await.0.value("x-real-ip"), Some("unix:"));
    server.send(OK).await;
    assert_eq!(client.answer().await.text(), "ok");

    let client = connect(&path).await;
    let (mut client, mut server) = tunnel_of(client, &mut upstream).await;
    client.send("hello").await;
    assert_eq!(server.take(5).await, b"hello");
    server.send("world").await;
    server.finish().await;
    assert_eq!(client.take(5).await, b"world");
    client.finish().await;
    for message in ["request", "tunnel opened", "tunnel ended"] {
        assert_eq!(gate.log().first(message).await["remote_addr"], "unix:");
    }
}

#[tokio::test]
async fn the_proxy_in_front_is_believed_who_its_client_is_and_what_judges_addresses_asks_that() {
    let (_folder, path) = place();
    let upstream = Upstream::saying("ok").await;
    let gate = at(&path)
        .of_listener("mode: \"0600\"")
        .top("trusted_proxies: \"unix:\"")
        .top("per_ip: { connections: 1 }")
        .route("/", &upstream)
        .of_route("allow: [192.0.2.0/24, 127.0.0.1]")
        .raw_route("location: /me\n    return: 200 $remote_addr")
        .start()
        .await;
    assert_eq!(mode(&path), 0o600);
    for (said, status, told) in [
        ("X-Forwarded-For: 192.0.2.7\r\n", 200, "192.0.2.7"),
        ("X-Forwarded-For: 6.6.6.6, 192.0.2.7\r\n", 200, "192.0.2.7"),
        (
            "X-Forwarded-For: 192.0.2.7, 198.51.100.9\r\n",
            403,
            "198.51.100.9",
        ),
        ("X-Forwarded-For: 192.0.2.7, unix:\r\n", 200, "192.0.2.7"),
        ("", 403, "unix:"),
    ] {
        let mut client = connect(&path).await;
        let get = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: a.test\r\n{said}\r\n");
        assert_eq!(client.ask(get("/")).await.status(), status, "{said}");
        assert_eq!(client.ask(get("/me")).await.text(), told, "{said}");
        let line = gate
            .log()
            .find("request", |line| line["remote_addr"] == told)
            .await;
        assert_eq!(line["status"], status);
    }
    // Beside it, a client with an address is nobody who is believed.
    let mut client = gate.connect().await;
    let get = "GET /me HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n";
    assert_eq!(client.ask(get).await.text(), "127.0.0.1");
}

#[tokio::test]
async fn behind_nginx_a_websocket_passes_and_is_drained() {
    let (_folder, path) = place();
    let mut upstream = Upstream::scripted().await;
    let mut gate = at(&path)
        .of_listener("mode: \"0666\"")
        .top("threads: 3")
        .top("drain_timeout: 300ms")
        .top("trusted_proxies: \"unix:\"")
        .route("/", &upstream)
        .start()
        .await;
    let (_port, address) = reserve();
    let dir = TempDir::new().unwrap();
    let socket = path.display();
    let conf = format!(
        "daemon off;\nmaster_process off;\npid nginx.pid;\nerror_log stderr notice;\n\
         events {{ worker_connections 64; }}\nhttp {{\nerror_log stderr alert;\naccess_log off;\n\
         client_body_temp_path temp;\nproxy_temp_path temp;\nfastcgi_temp_path temp;\n\
         uwsgi_temp_path temp;\nscgi_temp_path temp;\n\
         server {{\nlisten {address} reuseport;\nlocation / {{\nproxy_pass http://unix:{socket};\n\
         proxy_http_version 1.1;\nproxy_set_header Host $host;\nproxy_set_header Upgrade $http_upgrade;\n\
         proxy_set_header Connection $http_connection;\n\
         proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n}}\n}}\n}}\n"
    );
    fs::write(dir.path().join("nginx.conf"), conf).unwrap();
    let _nginx = Running::start(dir);

    // Each thread accepts from the one socket.
    for _ in 0..20 {
        let mut client = Peer::plain(TcpStream::connect(address).await.unwrap());
        client.send(GET).await;
        let mut server = upstream.accept().await;
        let head = server.head().await;
        assert_eq!(head.value("x-forwarded-for"), Some("127.0.0.1, unix:"));
        assert_eq!(head.value("x-real-ip"), Some("127.0.0.1"));
        server.send(OK).await;
        assert_eq!(client.answer().await.text(), "ok");
    }
    let mut client = Peer::plain(TcpStream::connect(address).await.unwrap());
    client.send(upgrade_to("/chat", "")).await;
    let mut server = upstream.accept().await;
    server.head().await;
    server.send(SWITCHING).await;
    assert_eq!(client.head().await.status(), 101);
    client.send("hello").await;
    assert_eq!(server.take(5).await, b"hello");
    server.send("world").await;
    assert_eq!(client.take(5).await, b"world");

    gate.signal("TERM");
    gate.log().first("draining").await;
    client.send("still").await;
    assert_eq!(server.take(5).await, b"still");
    assert!(!path.exists());
    assert_eq!(server.rest().await.1, Ending::Fin);
    assert_eq!(client.rest().await.1, Ending::Fin);
    assert!(gate.finished().await.status.success());
}

#[tokio::test]
async fn a_file_that_nobody_listens_on_is_replaced_and_no_other() {
    let (folder, path) = place();
    let upstream = Upstream::saying("ok").await;
    let setup = || at(&path).route("/", &upstream);
    let mut gate = setup().start().await;

    let said = setup().fail().await;
    assert!(
        said.stderr.contains("another process listens there"),
        "{}",
        said.stderr
    );
    assert_eq!(connect(&path).await.ask(GET).await.text(), "ok");

    // What a process leaves that could not remove it.
    gate.signal("KILL");
    gate.finished().await;
    assert!(path.exists());
    let mut gate = setup().start().await;
    assert_eq!(connect(&path).await.ask(GET).await.text(), "ok");
    gate.signal("TERM");
    gate.finished().await;
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);

    fs::write(&path, "mine").unwrap();
    let said = setup().fail().await;
    assert!(
        said.stderr.contains("there is a file that is no socket"),
        "{}",
        said.stderr
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), "mine");

    let nowhere = folder.path().join("run/wsgate/gate.sock");
    let said = at(&nowhere).route("/", &upstream).fail().await;
    let folder = nowhere.parent().unwrap().display();
    assert!(
        said.stderr
            .contains(&format!("there is no folder {folder}")),
        "{}",
        said.stderr
    );
    assert_eq!(said.status.code(), Some(1));
}

#[tokio::test]
async fn a_reload_adds_keeps_changes_and_removes_it() {
    let (_folder, path) = place();
    let mut upstream = Upstream::scripted().await;
    let without = || {
        TestServer::setup()
            .address("127.0.0.1:0")
            .route("/", &upstream)
    };
    let with = |mode: &str| {
        at(&path)
            .of_listener(&format!("mode: \"{mode}\""))
            .route("/", &upstream)
    };
    let (first, second, third) = (with("0660"), with("0622"), without());
    let gate = without().start().await;
    let mut seen = 0;
    gate.save(&first);
    gate.log().next(&mut seen, "reloaded").await;
    assert_eq!(mode(&path), 0o660);
    let (client, server) = tunnel_of(connect(&path).await, &mut upstream).await;

    gate.save(&second);
    gate.log().next(&mut seen, "reloaded").await;
    assert_eq!(mode(&path), 0o622);
    let changed = gate
        .log()
        .find("change", |line| line["change"] == "changed")
        .await;
    assert_eq!(changed["detail"], "mode 0622");

    // Somebody has removed the file: a reload that changes anything opens it anew.
    fs::remove_file(&path).unwrap();
    gate.save(&first);
    gate.log().next(&mut seen, "reloaded").await;
    assert_eq!(mode(&path), 0o660);
    tunnel_of(connect(&path).await, &mut upstream).await;

    gate.save(&third);
    gate.log().next(&mut seen, "reloaded").await;
    assert!(!path.exists());
    // What has come through it goes on.
    let (mut client, mut server) = (client, server);
    client.send("hello").await;
    assert_eq!(server.take(5).await, b"hello");
}

#[tokio::test]
async fn with_reuseport_another_instance_takes_its_place() {
    let (_folder, path) = place();
    let (old_says, new_says) = (Upstream::saying("old").await, Upstream::saying("new").await);
    let setup = |upstream| {
        at(&path)
            .of_listener("reuseport: true")
            .route("/", upstream)
    };
    let mut old = setup(&old_says).start().await;
    let mut before = connect(&path).await;
    assert_eq!(before.ask(GET).await.text(), "old");
    let new = setup(&new_says).start().await;
    assert_eq!(connect(&path).await.ask(GET).await.text(), "new");
    assert_eq!(before.ask(GET).await.text(), "old");
    old.signal("TERM");
    assert!(old.finished().await.status.success());
    assert_eq!(connect(&path).await.ask(GET).await.text(), "new");
    drop(new);
}

#[tokio::test]
async fn tls_redirects_and_the_proxy_header_work_there_too() {
    let (folder, path) = place();
    let (plain, announced) = (
        folder.path().join("plain.sock"),
        folder.path().join("announced"),
    );
    let upstream = Upstream::saying("ok").await;
    let unix = |path: &Path| format!("unix:{}", path.display());
    let gate = TestServer::setup()
        .tls()
        .address(unix(&path))
        .of_listener("tls: { cert: cert.pem, key: key.pem }")
        .address(unix(&plain))
        .of_listener("redirect: https")
        .address(unix(&announced))
        .of_listener("proxy_protocol: true")
        .top("trusted_proxies: \"unix:\"")
        .top("drain_timeout: 0s")
        .route("/", &upstream)
        .raw_route("location: /me\n    return: 200 $scheme $remote_addr")
        .start()
        .await;
    let me = "GET /me HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n";
    let unix = UnixStream::connect(&path).await.unwrap();
    let mut tls = begin_tls_over(unix).await.unwrap();
    tls.write_all(me.as_bytes()).await.unwrap();
    let mut answer = String::new();
    within("an answer", tls.read_to_string(&mut answer))
        .await
        .unwrap();
    assert!(answer.ends_with("\r\n\r\nhttps unix:"), "{answer}");
    // Who speaks plain HTTP there is told so.
    let answer = connect(&path).await.ask(GET).await;
    assert_eq!(answer.status(), 400);

    let answer = connect(&plain).await.ask(GET).await;
    assert_eq!(answer.status(), 308);
    let port = gate.tls_address().port();
    assert_eq!(
        answer.head.value("location"),
        Some(format!("https://chat.test:{port}/").as_str())
    );

    let mut client = connect(&announced).await;
    client
        .send("PROXY TCP4 192.0.2.7 192.0.2.1 4711 80\r\n")
        .await;
    assert_eq!(client.ask(me).await.text(), "http 192.0.2.7");
    let line = gate
        .log()
        .find("request", |line| line["remote_addr"] == "192.0.2.7:4711")
        .await;
    assert_eq!(line["status"], 200);
}
