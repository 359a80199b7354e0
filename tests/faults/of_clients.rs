//! What clients do in the rows.

use std::time::Duration;
use std::time::Instant;

use tokio::net::TcpStream;

use crate::faults::of_upstreams::HALF_A_FRAME;
use crate::faults::of_upstreams::get;
use crate::faults::row::Seen;
use crate::faults::words;
use crate::faults::words::NOTHING;
use crate::faults::world::World;
use crate::support::AT_ONCE;
use crate::support::Flood;
use crate::support::Peer;
use crate::support::SWITCHING;
use crate::support::client_hello;
use crate::support::upgrade_to;

/// How far it comes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Stage {
    Head,
    /// With Content-Length.
    Body,
    Chunks,
    Waiting,
    /// It polls for its session.
    Polling,
    Answer,
    /// Its upgrade request is out, and not answered.
    Upgrading,
    /// Right after the 101.
    Switched,
    Frame,
}

/// How it leaves.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Leaves {
    /// With a reset.
    Reset,
    /// With a FIN, under TLS after a close_notify: it could still read.
    HalfClose,
    /// With a FIN, under TLS without one.
    Cut,
}

pub(super) async fn in_the_middle_of_tls(world: &mut World, how: Leaves) -> Seen {
    let tcp = TcpStream::connect(world.gate.tls_address()).await.unwrap();
    let mut client = Peer::plain(tcp);
    world.is_called_by(&client);
    let hello = client_hello();
    client.send(&hello[..hello.len() / 2]).await;
    match how {
        Leaves::Reset => client.reset(),
        Leaves::HalfClose | Leaves::Cut => client.vanish(),
    }
    Seen {
        client: NOTHING.to_owned(),
        upstream: world.nothing_came(),
        log: world.whatever_is_said().await,
    }
}

/// It comes to a stage, and leaves.
pub(super) async fn leaves(world: &mut World, stage: Stage, how: Leaves) -> Seen {
    let post = |framing: &str, begin: &str| {
        format!("POST / HTTP/1.1\r\nHost: chat.test\r\n{framing}\r\n\r\n{begin}").into_bytes()
    };
    let (client, server, saw) = match stage {
        Stage::Head => {
            let mut client = world.client().await;
            client.send("GET / HTTP/1.1\r\nHost: ch").await;
            (client, None, NOTHING)
        }
        Stage::Body => {
            let request = post("Content-Length: 10", "hello");
            let (client, mut server) = world.asked(&request).await;
            assert_eq!(server.take(5).await, b"hello");
            (client, Some(server), "the head, half of the body")
        }
        Stage::Chunks => {
            let request = post("Transfer-Encoding: chunked", "5\r\nhello\r\n");
            let (client, mut server) = world.asked(&request).await;
            assert_eq!(server.chunk().await, b"hello");
            (
                client,
                Some(server),
                "the head, a chunk but not the last one",
            )
        }
        Stage::Waiting => {
            let (client, server) = world.asked(&get("/")).await;
            (client, Some(server), "the request")
        }
        Stage::Polling => {
            let poll = get("/socket.io/?EIO=4&transport=polling&sid=abc");
            let (client, server) = world.asked(&poll).await;
            (client, Some(server), "the poll")
        }
        Stage::Answer => {
            let (mut client, mut server) = world.asked(&get("/")).await;
            let begin = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello";
            server.send(begin).await;
            client.head().await;
            assert_eq!(client.take(5).await, b"hello");
            (client, Some(server), "the request")
        }
        Stage::Upgrading => {
            let (client, server) = world.asked(&upgrade_to("/", "")).await;
            (client, Some(server), "the upgrade request")
        }
        Stage::Switched => {
            let (client, server) = world.tunnel().await;
            (client, Some(server), "the upgrade request")
        }
        Stage::Frame => {
            let (mut client, mut server) = world.tunnel().await;
            client.send(HALF_A_FRAME).await;
            // A reset destroys what has not arrived yet.
            assert_eq!(server.take(HALF_A_FRAME.len()).await, HALF_A_FRAME);
            (client, Some(server), "the upgrade request, half a frame")
        }
    };
    let began = Instant::now();
    let client = leave(client, stage, how).await;
    let upstream = match server {
        None => world.nothing_came(),
        Some(mut server) => {
            let rest = words::rest(&mut server).await;
            // A client that only says that it sends no more is waited for.
            let grace = match (stage, how) {
                (Stage::Waiting, Leaves::HalfClose) => Duration::from_secs(5),
                _ => Duration::ZERO,
            };
            let took = began.elapsed();
            assert!((grace..grace + AT_ONCE).contains(&took), "{took:?}");
            format!("{saw}, then {rest}")
        }
    };
    Seen {
        client,
        upstream,
        log: match stage {
            Stage::Switched | Stage::Frame => world.line("tunnel ended").await,
            _ => world.whatever_is_said().await,
        },
    }
}

/// It leaves, and sees this.
async fn leave(mut client: Peer, stage: Stage, how: Leaves) -> String {
    match how {
        Leaves::Reset => client.reset(),
        Leaves::Cut => client.vanish(),
        Leaves::HalfClose => {
            client.finish().await;
            return match stage {
                Stage::Body | Stage::Chunks => {
                    let told = words::answer(&mut client).await;
                    format!("{told}, then {}", words::rest(&mut client).await)
                }
                _ => words::rest(&mut client).await,
            };
        }
    }
    NOTHING.to_owned()
}

/// It comes to a stage, ends its direction, and waits for what it is owed.
pub(super) async fn only_listens(world: &mut World, stage: Stage) -> Seen {
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    if stage == Stage::Upgrading {
        let mut client = world.client().await;
        client.send(upgrade_to("/", "")).await;
        client.finish().await;
        let mut server = world.upstream.accept().await;
        server.head().await;
        server.send(SWITCHING).await;
        let saw = words::rest(&mut server).await;
        server.send("an answer").await;
        server.finish().await;
        assert_eq!(client.head().await.status(), 101);
        return Seen {
            client: format!("101, {}", words::rest(&mut client).await),
            upstream: format!("the upgrade request, then {saw}"),
            log: world.line("tunnel ended").await,
        };
    }
    let (mut client, mut server) = world.asked(&get("/")).await;
    let rest = if stage == Stage::Answer {
        let begin = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello";
        server.send(begin).await;
        assert!(client.has_more().await);
        "world"
    } else {
        ok
    };
    client.finish().await;
    server.is_quiet().await;
    server.send(rest).await;
    let told = words::answer(&mut client).await;
    Seen {
        client: format!("{told}, then {}", words::rest(&mut client).await),
        upstream: "the request".to_owned(),
        log: world.line("request").await,
    }
}

pub(super) async fn half_closes(world: &mut World) -> Seen {
    const MANY: usize = 1024 * 1024;
    let (mut client, mut server) = world.tunnel().await;
    let (mut written, mut read) = (Flood::default(), Flood::default());
    let writing = async {
        written.write_up_to(MANY, client.wire()).await;
        client.finish().await;
    };
    tokio::join!(writing, read.read_up_to(MANY, server.wire()));
    let saw = words::rest(&mut server).await;
    server.send("an answer").await;
    server.finish().await;
    Seen {
        client: format!("101, {}", words::rest(&mut client).await),
        upstream: format!("the upgrade request, every byte, then {saw}"),
        log: world.line("tunnel ended").await,
    }
}

pub(super) async fn floods(world: &mut World) -> Seen {
    let (mut client, mut server) = world.tunnel().await;
    world.flood(&mut client, &mut server).await;
    client.finish().await;
    assert_eq!(words::rest(&mut server).await, "the end");
    server.finish().await;
    Seen {
        client: "101; it can write no more until the upstream reads".to_owned(),
        upstream: "the upgrade request, every byte, when it reads".to_owned(),
        log: world.line("tunnel ended").await,
    }
}
