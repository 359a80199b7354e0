//! What upstreams do in the rows.

use std::time::Instant;

use crate::faults::row::Seen;
use crate::faults::words;
use crate::faults::words::NOTHING;
use crate::faults::world::FLOOD;
use crate::faults::world::World;
use crate::support::AT_ONCE;
use crate::support::Flood;
use crate::support::Peer;
use crate::support::SWITCHING;
use crate::support::tunnel_of;
use crate::support::upgrade_to;

/// The first bytes of a text frame whose rest does not come.
pub(super) const HALF_A_FRAME: &[u8] = b"\x81\x05Hel";

/// How it leaves.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Leaves {
    /// With a reset.
    Reset,
    /// With a FIN, under TLS after a close_notify.
    InOrder,
    /// With a FIN, under TLS without one: as when its process ends.
    Cut,
}

/// Part of an answer, and how much of its body the client gets.
pub(super) type Part = (&'static str, &'static str);

pub(super) const NO_HEAD: Part = ("", "");
pub(super) const HALF_A_HEAD: Part = ("HTTP/1.1 200 OK\r\nX-Half: ", "");
pub(super) const BY_LENGTH: Part = (
    "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
    "hello",
);
pub(super) const IN_CHUNKS: Part = (
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    "5\r\nhello\r\n",
);
pub(super) const TO_THE_END: Part = ("HTTP/1.1 200 OK\r\n\r\nhello", "5\r\nhello\r\n");

/// A whole request.
pub(super) fn get(target: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: chat.test\r\n\r\n").into_bytes()
}

/// A request and an upgrade request for a location whose upstream is out of reach. Both are told the same.
pub(super) async fn unreached(world: &mut World, location: &str) -> Seen {
    let mut seen = None;
    for request in [get(location), upgrade_to(location, "")] {
        let mut client = world.client().await;
        client.send(request).await;
        let now = Seen {
            client: words::answer(&mut client).await,
            upstream: NOTHING.to_owned(),
            log: world.line("request").await,
        };
        // The connection is still good.
        assert_eq!(client.get("/marker").await.status(), 204);
        assert_eq!(seen.get_or_insert_with(|| now.clone()), &now);
    }
    assert!(world.upstream.has_nothing_more());
    seen.unwrap()
}

pub(super) async fn silent(world: &mut World, request: Vec<u8>) -> Seen {
    let (mut client, mut server) = world.asked(&request).await;
    let told = words::answer(&mut client).await;
    assert_eq!(client.get("/marker").await.status(), 204);
    Seen {
        client: told,
        upstream: format!("the request, then {}", words::rest(&mut server).await),
        log: world.line("request").await,
    }
}

/// It says part of an answer, and leaves.
pub(super) async fn breaks_off(world: &mut World, (said, arrives): Part, leaves: Leaves) -> Seen {
    // A POST, which is never sent a second time.
    let request = b"POST / HTTP/1.1\r\nHost: chat.test\r\nContent-Length: 0\r\n\r\n";
    let (mut client, mut server) = world.asked(request).await;
    server.send(said).await;
    let mut begun = None;
    if !arrives.is_empty() {
        let head = client.head().await;
        // A reset destroys what has not arrived yet.
        assert_eq!(client.take(arrives.len()).await, arrives.as_bytes());
        begun = Some(head.status());
    }
    let began = Instant::now();
    leave(server, leaves).await;
    let client_saw = match begun {
        None => words::answer(&mut client).await,
        Some(status) => {
            let what = match arrives {
                "hello" => "half of the body",
                _ => "a chunk but not the last one",
            };
            format!("{status}, {what}, then {}", words::rest(&mut client).await)
        }
    };
    assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
    Seen {
        client: client_saw,
        upstream: "the request".to_owned(),
        log: world.line("request").await,
    }
}

async fn leave(mut server: Peer, leaves: Leaves) {
    match leaves {
        Leaves::Reset => server.reset(),
        Leaves::Cut => server.vanish(),
        Leaves::InOrder => server.finish().await,
    }
}

/// The same to a client that knows the end of an answer by the connection's.
pub(super) async fn breaks_off_for_an_old_client(world: &mut World) -> Seen {
    let (mut client, mut server) = world
        .asked(b"GET / HTTP/1.0\r\nHost: chat.test\r\n\r\n")
        .await;
    server.send(TO_THE_END.0).await;
    let status = client.head().await.status();
    assert_eq!(client.take(5).await, b"hello");
    server.reset();
    let ending = words::rest(&mut client).await;
    Seen {
        client: format!("{status}, half of the body, then {ending}"),
        upstream: "the request".to_owned(),
        log: world.line("request").await,
    }
}

pub(super) async fn endless_head(world: &mut World) -> Seen {
    let (mut client, mut server) = world.asked(&get("/")).await;
    let began = world.gate.private_kib();
    let _ = server.try_send("HTTP/1.1 200 OK\r\nX-Long: ").await;
    let mut sent = 0;
    while sent < FLOOD && server.try_send([b'a'; 16 * 1024]).await.is_ok() {
        sent += 16 * 1024;
    }
    assert!(sent < FLOOD, "all of it is taken");
    world.has_grown_little(began).await;
    Seen {
        client: words::answer(&mut client).await,
        upstream: "the request".to_owned(),
        log: world.line("request").await,
    }
}

pub(super) async fn floods_with_a_body(world: &mut World) -> Seen {
    let mut client = world.slow_client().await;
    client.send(get("/")).await;
    let mut server = world.upstream.accept().await;
    server.head().await;
    server
        .send(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {FLOOD}\r\n\r\n"
        ))
        .await;
    let status = client.head().await.status();
    world.flood(&mut server, &mut client).await;
    Seen {
        client: format!("{status}, every byte, when it reads"),
        upstream: "the request; it can write no more until the client reads".to_owned(),
        log: world.line("request").await,
    }
}

pub(super) async fn floods(world: &mut World) -> Seen {
    let client = world.slow_client().await;
    let (mut client, mut server) = tunnel_of(client, &mut world.upstream).await;
    world.flood(&mut server, &mut client).await;
    server.finish().await;
    assert_eq!(words::rest(&mut client).await, "the end");
    client.finish().await;
    Seen {
        client: "101, every byte, when it reads".to_owned(),
        upstream: "the upgrade request; it can write no more until the client reads".to_owned(),
        log: world.line("tunnel ended").await,
    }
}

/// It says something in a tunnel, and ends.
pub(super) async fn ends(world: &mut World, said: &[u8], leaves: Leaves) -> Seen {
    let (mut client, mut server) = world.tunnel().await;
    server.send(said).await;
    // A reset destroys what has not arrived yet.
    assert_eq!(client.take(said.len()).await, said);
    let began = Instant::now();
    leave(server, leaves).await;
    let ending = words::rest(&mut client).await;
    assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
    if ending == "the end" {
        // All that a client can know is that no more will come.
        client.finish().await;
    }
    let bytes = match said {
        [] => "",
        _ => " half a frame,",
    };
    Seen {
        client: format!("101,{bytes} then {ending}"),
        upstream: "the upgrade request".to_owned(),
        log: world.line("tunnel ended").await,
    }
}

pub(super) async fn half_closes_at_once(world: &mut World) -> Seen {
    let mut client = world.client().await;
    client.send(upgrade_to("/", "")).await;
    let mut server = world.upstream.accept().await;
    server.head().await;
    server.send([SWITCHING, b"first words"].concat()).await;
    server.finish().await;
    let status = client.head().await.status();
    let saw = words::rest(&mut client).await;
    client.send("an answer").await;
    client.finish().await;
    Seen {
        client: format!("{status}, {saw}"),
        upstream: format!("the upgrade request, {}", words::rest(&mut server).await),
        log: world.line("tunnel ended").await,
    }
}

pub(super) async fn half_closes(world: &mut World) -> Seen {
    const MANY: usize = 1024 * 1024;
    let client = world.slow_client().await;
    let (mut client, mut server) = tunnel_of(client, &mut world.upstream).await;
    let (mut written, mut read) = (Flood::default(), Flood::default());
    let writing = async {
        written.write_up_to(MANY, server.wire()).await;
        server.finish().await;
    };
    tokio::join!(writing, read.read_up_to(MANY, client.wire()));
    let saw = words::rest(&mut client).await;
    client.send("an answer").await;
    client.finish().await;
    Seen {
        client: format!("101, every byte, then {saw}"),
        upstream: format!("the upgrade request, {}", words::rest(&mut server).await),
        log: world.line("tunnel ended").await,
    }
}
