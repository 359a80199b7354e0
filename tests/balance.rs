//! Many tunnels over few threads: none has much more than its share.

use std::collections::BTreeSet;
use std::fs;

use crate::support::Over;
use crate::support::TestServer;
use crate::support::Upstream;
use crate::support::raise_descriptor_limit;
use crate::support::tunnel;

/// Open at the same time.
const TUNNELS: usize = 8000;

/// Sockets that each epoll instance of the process watches: one instance a thread.
fn watched(gate: &TestServer) -> Vec<usize> {
    let of = |path: &str| {
        fs::read_dir(format!("/proc/{}/{path}", gate.id()))
            .unwrap()
            .map(|entry| entry.unwrap().path())
    };
    let instances: BTreeSet<Vec<String>> = of("fd")
        .filter(|fd| fs::read_link(fd).is_ok_and(|to| to.as_os_str() == "anon_inode:[eventpoll]"))
        .map(|fd| {
            let number = fd.file_name().unwrap().display();
            let info = format!("/proc/{}/fdinfo/{number}", gate.id());
            let info = fs::read_to_string(info).unwrap();
            let sockets = info.lines().filter(|line| line.starts_with("tfd:"));
            sockets.map(str::to_owned).collect()
        })
        // The runtime has two descriptors for each, which a set shows once; the main thread's waits for signals alone.
        .filter(|sockets: &Vec<String>| sockets.len() > 100)
        .collect();
    instances.iter().map(Vec::len).collect()
}

#[tokio::test]
async fn no_thread_carries_more_than_its_share_of_many_tunnels() {
    raise_descriptor_limit();
    let mut upstream = Upstream::scripted().await;
    let gate = TestServer::setup()
        .top("threads: 2")
        .top("access_log: off")
        .route("/", &upstream)
        .start()
        .await;
    let mut tunnels = Vec::new();
    for _ in 0..TUNNELS {
        tunnels.push(tunnel(&gate, &mut upstream, Over::Ws).await);
    }
    let watched = watched(&gate);
    let all: usize = watched.iter().sum();
    // Two sockets a tunnel, and a few that listen.
    assert!(
        (2 * TUNNELS..2 * TUNNELS + 20).contains(&all),
        "{watched:?}"
    );
    assert!(watched.iter().all(|own| own * 10 <= all * 6), "{watched:?}");
}
