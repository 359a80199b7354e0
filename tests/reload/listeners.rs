//! Listeners that come, stay and go with a reload.

use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::time::Instant;

use tokio::net::TcpStream;

use crate::reload::Edited;
use crate::support::DEADLINE;
use crate::support::GET;
use crate::support::Peer;
use crate::support::Setup;
use crate::support::TestServer;
use crate::support::Upstream;
use crate::support::begin_tls;
use crate::support::raise_descriptor_limit;
use crate::support::tunnel_of;

#[tokio::test]
async fn one_is_added_and_removed_and_what_came_through_it_goes_on() {
    let mut upstream = Upstream::scripted().await;
    let setup = || TestServer::setup().route("/", &upstream);
    let [one, two] = [setup(), setup().tls()];
    let mut edited = Edited::start(one).await;
    let first = edited.gate.address();
    let changes = edited.save(&two).await;
    let added = added(&changes[0]);
    assert_eq!(changes[0], format!("+ listen {added} tls routes.yaml:3"));
    assert!(
        changes[1].starts_with("+ tls localhost, valid until "),
        "{changes:?}"
    );
    let mut tunnels = Vec::new();
    let mut idle = Vec::new();
    for _ in 0..8 {
        tunnels.push(tunnel_of(tls(added).await, &mut upstream).await);
        idle.push(tls(added).await);
    }
    let changes = edited.save(&setup_again(&upstream)).await;
    assert_eq!(
        changes[0],
        format!("- listen {added} (its connections go on)")
    );
    assert_eq!(changes.len(), 2);
    is_refused(added).await;
    // They came through a listener that is gone.
    for mut client in idle {
        client.send(GET).await;
        let mut server = upstream.accept().await;
        server.head().await;
        server.send("HTTP/1.1 204 No Content\r\n\r\n").await;
        assert_eq!(client.answer().await.status(), 204);
    }
    for (client, server) in &mut tunnels {
        client.send(b"still").await;
        assert_eq!(server.take(5).await, b"still");
    }
    assert_eq!(edited.gate.address(), first);
    TcpStream::connect(first).await.unwrap();
}

fn setup_again(upstream: &Upstream) -> Setup {
    TestServer::setup().route("/", upstream)
}

/// More than are accepted before a thread does anything else.
const WAITING: usize = 2500;

/// As at a drain.
#[tokio::test]
async fn what_the_system_has_accepted_is_answered_though_the_listener_is_removed() {
    raise_descriptor_limit();
    let upstream = Upstream::saying("ok").await;
    let setup = || {
        let setup = TestServer::setup().top("threads: 1");
        setup.top("access_log: off").route("/", &upstream)
    };
    let before = setup().address("127.0.0.1:0").address("127.0.0.1:0");
    let mut edited = Edited::start(before).await;
    let gone = edited.gate.tls_address();
    edited.gate.signal("STOP");
    let mut clients = Vec::new();
    for _ in 0..WAITING {
        let mut client = Peer::plain(TcpStream::connect(gone).await.unwrap());
        client.send(GET).await;
        clients.push(client);
    }
    edited.gate.save(&setup());
    edited.gate.signal("HUP");
    edited.gate.signal("CONT");
    for mut client in clients {
        assert_eq!(client.answer().await.text(), "ok");
    }
    edited.reloaded().await;
    is_refused(gone).await;
}

#[tokio::test]
async fn one_that_stays_keeps_its_socket_whatever_else_is_different_about_it() {
    let upstream = Upstream::saying("ok").await;
    let plain = || {
        TestServer::setup()
            .address("127.0.0.1:0")
            .address("127.0.0.1:0")
    };
    let mut edited = Edited::start(plain().route("/", &upstream)).await;
    let [one, two] = [edited.gate.address(), edited.gate.tls_address()];
    let mut open = Peer::plain(TcpStream::connect(one).await.unwrap());
    assert_eq!(open.get("/x").await.text(), "ok");
    let secure = TestServer::setup().redirect().tls().route("/", &upstream);
    let changes = edited.save(&secure).await;
    let port = two.port();
    assert_eq!(
        changes[..2],
        [
            format!("~ listen {one} redirect to https on port {port} routes.yaml:2"),
            format!("~ listen {two} tls routes.yaml:4"),
        ]
    );
    // Where clients are sent is looked up for each request; that there is TLS, for each connection.
    let answer = open.get("/x").await;
    assert_eq!(
        answer.head.value("location"),
        Some(&*format!("https://chat.test:{port}/x"))
    );
    assert_eq!(tls(two).await.get("/").await.text(), "ok");
    let changes = edited.save(&plain().route("/", &upstream)).await;
    assert_eq!(
        changes[..2],
        [
            format!("~ listen {one} plain routes.yaml:2"),
            format!("~ listen {two} plain routes.yaml:3"),
        ]
    );
    assert_eq!(open.get("/x").await.text(), "ok");
    let mut client = Peer::plain(TcpStream::connect(two).await.unwrap());
    assert_eq!(client.get("/").await.text(), "ok");
}

#[tokio::test]
async fn a_port_of_the_systems_choice_stays_with_its_listener() {
    let upstream = Upstream::saying("ok").await;
    let setup = |addresses: &[&str]| {
        let setup = TestServer::setup().route("/", &upstream);
        let all = addresses.iter();
        all.fold(setup, |setup, address| setup.address(address))
            .tls()
    };
    let mut edited = Edited::start(setup(&["127.0.0.1:0"])).await;
    let [plain, secure] = [edited.gate.address(), edited.gate.tls_address()];
    let changes = edited.save(&setup(&["127.0.0.1:0", "127.0.0.1:0"])).await;
    let added = added(&changes[0]);
    assert_eq!(changes, [format!("+ listen {added} routes.yaml:3")]);
    // Now one port is written in place of the 0.
    let changes = edited.save(&setup(&[&plain.to_string()])).await;
    assert_eq!(
        changes,
        [format!("- listen {added} (its connections go on)")]
    );
    assert_eq!(tls(secure).await.get("/").await.text(), "ok");
}

#[tokio::test]
async fn an_address_that_another_process_has_refuses_all_of_the_reload() {
    let upstream = Upstream::saying("ok").await;
    let other = Upstream::saying("other").await;
    let taken = other.address();
    let setup = || TestServer::setup().address("127.0.0.1:0");
    let mut edited = Edited::start(setup().route("/", &upstream)).await;
    edited.gate.signal("HUP");
    let log = edited.gate.log();
    log.next(&mut edited.read, "nothing changed").await;
    log.first("upstream answers").await;
    let descriptors = edited.gate.descriptors();
    let third = Upstream::saying("third").await;
    let both = setup()
        .address("127.0.0.1:0")
        .address(taken)
        .route("/", &third);
    edited.gate.save(&both);
    edited.refused().await;
    // The sockets of the one that could be opened are gone again; one of before may have been the question to the upstream.
    let left = edited.gate.descriptors();
    assert!(left <= descriptors, "{descriptors}, then {left}");
    let port = taken.port();
    let line = edited.gate.log().first("configuration").await;
    assert_eq!(
        line["reason"],
        format!("routes.yaml:4: error: cannot listen on {taken}: address already in use")
    );
    assert_eq!(
        line["help"],
        format!(
            "another process listens there: end it (`ss -ltnp 'sport = :{port}'` names it) or choose another port"
        )
    );
    assert_eq!(edited.gate.connect().await.get("/").await.text(), "ok");
    // It becomes free; the file is as it was, so somebody has to say so.
    let address = other.address();
    let to = format!("http://{}", upstream.address());
    drop(other);
    edited
        .gate
        .save(&setup().address(address).proxy_pass("/", &to));
    edited.reloaded().await;
    let mut client = Peer::plain(TcpStream::connect(taken).await.unwrap());
    assert_eq!(client.get("/").await.text(), "ok");
}

/// One that stays or goes overlaps one that comes: 127.0.0.1:80 and 0.0.0.0:80.
#[tokio::test]
async fn an_address_may_become_wider_or_narrower() {
    let mut upstream = Upstream::scripted().await;
    let free = {
        let listener = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let at = |ips: &[Ipv4Addr]| {
        let setup = TestServer::setup().route("/", &upstream);
        ips.iter().fold(setup, |setup, ip| {
            setup.address(SocketAddr::from((*ip, free)))
        })
    };
    let [local, other, any] = [
        Ipv4Addr::LOCALHOST,
        Ipv4Addr::new(127, 0, 0, 2),
        Ipv4Addr::UNSPECIFIED,
    ];
    let steps = [vec![any], vec![local, any], vec![any, other], vec![local]].map(|step| {
        let setup = at(&step);
        (step, setup)
    });
    let mut edited = Edited::start(at(&[local])).await;
    let client = Peer::plain(TcpStream::connect((local, free)).await.unwrap());
    let (mut client, mut server) = tunnel_of(client, &mut upstream).await;
    for (step, setup) in steps {
        edited.save(&setup).await;
        for ip in [local, other] {
            let served = step.iter().any(|known| *known == any || *known == ip);
            if served {
                let client = TcpStream::connect((ip, free)).await.unwrap();
                tunnel_of(Peer::plain(client), &mut upstream).await;
            } else {
                is_refused((ip, free).into()).await;
            }
        }
        client.send(b"still").await;
        assert_eq!(server.take(5).await, b"still");
    }
}

#[tokio::test]
async fn no_client_of_a_listener_that_stays_is_ever_refused() {
    let upstream = Upstream::saying("ok").await;
    let setup = || {
        TestServer::setup()
            .top("access_log: off")
            .address("127.0.0.1:0")
    };
    let more = setup().address("127.0.0.1:0").tls().route("/", &upstream);
    let mut edited = Edited::start(setup().route("/", &upstream)).await;
    let address = edited.gate.address();
    let connecting = tokio::spawn(async move {
        let mut connected = 0;
        loop {
            let client = TcpStream::connect(address).await.unwrap();
            let mut client = Peer::plain(client);
            assert_eq!(client.get("/").await.text(), "ok");
            connected += 1;
            if connected % 100 == 0 {
                tokio::task::yield_now().await;
            }
        }
    });
    for _ in 0..10 {
        edited.save(&more).await;
        edited.save(&setup().route("/", &upstream)).await;
    }
    assert!(!connecting.is_finished());
    connecting.abort();
    assert!(connecting.await.unwrap_err().is_cancelled());
}

/// The address in a line about a listener that was added.
pub(super) fn added(change: &str) -> SocketAddr {
    let address = change.strip_prefix("+ listen ").unwrap();
    address.split(' ').next().unwrap().parse().unwrap()
}

async fn tls(address: SocketAddr) -> Peer {
    begin_tls(TcpStream::connect(address).await.unwrap()).await
}

/// Every thread has closed its socket.
async fn is_refused(address: SocketAddr) {
    let deadline = Instant::now() + DEADLINE;
    while !matches!(
        TcpStream::connect(address).await,
        Err(error) if error.kind() == ErrorKind::ConnectionRefused
    ) {
        assert!(Instant::now() < deadline, "still accepting");
    }
}
