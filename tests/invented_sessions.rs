//! What somebody can do to a group of servers who invents ids of sessions: little, and nothing to the sessions that there are.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Instant;

use tokio::net::TcpListener;
use tokio::net::TcpStream;

use crate::support::Peer;
use crate::support::TestServer;
use crate::support::Upstream;
use crate::support::Way;

/// How many ids are invented.
const INVENTED: usize = 300;

/// Starts a server that knows the sessions whose ids begin with its name, and opens one for who names none. It counts requests.
async fn session_server(name: &'static str, asked: &Arc<AtomicUsize>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::clone(asked);
    tokio::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            tokio::spawn(serve(tcp, name, Arc::clone(&asked)));
        }
    });
    address
}

async fn serve(tcp: TcpStream, name: &str, asked: Arc<AtomicUsize>) {
    let mut peer = Peer::plain(tcp);
    while peer.has_more().await {
        let (head, _) = peer.request().await;
        asked.fetch_add(1, Ordering::Relaxed);
        let (status, body) = match head.target().split_once("sid=") {
            None => (
                "200 OK",
                format!(r#"0{{"sid":"{name}_session_0123456789"}}"#),
            ),
            Some((_, sid)) if sid.starts_with(name) => ("200 OK", name.to_owned()),
            Some(_) => {
                let unknown = r#"{"code":1,"message":"Session ID unknown"}"#;
                ("400 Bad Request", unknown.to_owned())
            }
        };
        let length = body.len();
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}");
        if peer.try_send(answer).await.is_err() {
            return;
        }
    }
}

/// A poll of this session, by a client that a trusted proxy names.
fn poll(client: &str, sid: &str) -> String {
    format!(
        "GET /socket.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1\r\nHost: chat.test\r\nX-Forwarded-For: {client}\r\n\r\n"
    )
}

#[tokio::test]
async fn invented_ids_are_asked_about_five_times_a_second_and_cost_nobody_a_session() {
    for (place, way) in Way::BOTH.into_iter().enumerate() {
        let asked = Arc::<AtomicUsize>::default();
        let mut servers = Vec::new();
        for name in ["a", "b", "c"] {
            servers.push(format!("\"{}\"", session_server(name, &asked).await));
        }
        let group = format!(
            "{{ servers: [{}], balance: round_robin }}",
            servers.join(", ")
        );
        let other = Upstream::saying("other").await;
        let gate = TestServer::setup()
            .top("threads: 1\ntrusted_proxies: [127.0.0.1]")
            .top(&format!("upstreams: {{ chat: {group} }}"))
            .route("/other", &other)
            .proxy_pass("/", "http://chat")
            .start()
            .await;

        let mut owner = way.client(&gate).await;
        let opened = owner.get("/socket.io/?EIO=4&transport=polling").await;
        let sid = opened.text().split('"').nth(3).unwrap().to_owned();
        let start = Instant::now();
        let before = asked.load(Ordering::Relaxed);
        let mut polls = 0;
        let mut stranger = way.client(&gate).await;
        for number in 0..INVENTED {
            let invented = format!("z_{place}_invented_{number}");
            let answer = stranger.ask(poll("203.0.113.66", &invented)).await;
            assert_eq!(answer.status(), 400, "{way:?}");
            if number % 50 == 0 {
                let answer = owner.ask(poll("203.0.113.1", &sid)).await;
                assert_eq!((answer.status(), answer.text()), (200, &sid[..1]));
                polls += 1;
            }
        }
        let questions = asked.load(Ordering::Relaxed) - before - polls - INVENTED;
        let rounds = questions / 2;
        let most = 6 + 5 * usize::try_from(start.elapsed().as_secs() + 1).unwrap();
        assert!((5..=most).contains(&rounds), "{way:?}: {rounds} of {most}");

        // Sessions of somebody else that this instance has not seen begin.
        for name in ["a", "b", "c"] {
            let mut client = way.client(&gate).await;
            let answer = client
                .ask(poll("203.0.113.2", &format!("{name}_begun_elsewhere")))
                .await;
            assert_eq!((answer.status(), answer.text()), (200, name), "{way:?}");
        }
    }
}
