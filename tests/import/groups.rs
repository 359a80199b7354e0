//! Groups beside nginx: a real nginx with `upstream` blocks and a real wsgate with what the import makes of them are asked the
//! same, and what counts is which server answers.

use std::collections::BTreeSet;
use std::fs;
use std::net::Ipv4Addr;
use std::net::SocketAddr;

use socket2::Socket;
use tempfile::TempDir;
use tokio::net::TcpSocket;

use crate::nginx_locations::echo::Echo;
use crate::nginx_locations::nginx::Running;
use crate::nginx_locations::nginx::reserve;
use crate::support::Peer;
use crate::support::TestServer;
use crate::support::within;

/// Both programs over the same groups.
struct Both {
    nginx: SocketAddr,
    wsgate: SocketAddr,
    /// Why something is not carried over.
    left: Vec<String>,
    /// Ports that are held for as long as both run, and that nobody answers at.
    _ports: Vec<Socket>,
    _running: (Running, TestServer),
}

/// Where a request for a group went.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Went {
    status: u16,
    /// The number of the server, a space, and the target that it was asked for.
    body: String,
}

impl Both {
    /// Starts both with `upstream` blocks in which `S0`, `S1`, … stand for servers, and `DEAD` for one that refuses connections.
    /// Each group answers at the location of its name, and each variable of a `map` chooses one at the location of its own.
    async fn start(echo: &Echo, blocks: &str) -> Self {
        let both = Self::start_with_losses(echo, blocks).await;
        assert_eq!(both.left, [""; 0]);
        both
    }

    /// Starts both, whatever is not carried over.
    async fn start_with_losses(echo: &Echo, blocks: &str) -> Self {
        let (dead, refusing) = reserve();
        let (nginx_port, nginx) = reserve();
        let (wsgate_port, wsgate) = reserve();
        let mut blocks = blocks.replace("DEAD", &refusing.to_string());
        for number in 0..9 {
            blocks = blocks.replace(&format!("S{number}"), &echo.address(number).to_string());
        }
        let names = blocks
            .split("upstream ")
            .skip(1)
            .filter_map(|rest| rest.split(' ').next());
        let maps = blocks
            .split("map ")
            .skip(1)
            .filter_map(|rest| rest.split(' ').nth(1));
        let locations: Vec<String> = names
            .chain(maps)
            .map(|name| {
                let path = name.trim_start_matches('$');
                format!("location /{path} {{ proxy_pass http://{name}; }}\n")
            })
            .collect();
        let conf = format!(
            "daemon off; master_process off; pid nginx.pid; error_log stderr notice;\n\
             events {{ worker_connections 512; }}\n\
             http {{\naccess_log off; error_log stderr crit; client_body_temp_path temp; proxy_temp_path temp;\n\
             fastcgi_temp_path temp; uwsgi_temp_path temp; scgi_temp_path temp;\n{blocks}\n\
             server {{\nlisten {nginx} reuseport;\n{}}}\n}}\n",
            locations.concat()
        );
        let dir = TempDir::new().unwrap();
        let file = dir.path().join("nginx.conf");
        fs::write(&file, conf).unwrap();
        let imported = wsgate::nginx::import(&file).unwrap();
        let listener = format!("address: {nginx}");
        let yaml = imported.yaml.replace(
            &listener,
            &format!("address: {wsgate}\n    reuseport: true"),
        );
        assert_ne!(yaml, imported.yaml, "{yaml}");
        let gate = TestServer::setup()
            .whole(format!("threads: 1\n{yaml}"))
            .start()
            .await;
        Self {
            nginx,
            wsgate,
            left: imported.left.into_iter().map(|left| left.why).collect(),
            _ports: vec![dead, nginx_port, wsgate_port],
            _running: (Running::start(dir), gate),
        }
    }

    /// Where nginx and wsgate send so many requests for `target`, each over a connection of its own.
    async fn ask(&self, target: &str, times: usize) -> [Vec<Went>; 2] {
        let mut all = [Vec::new(), Vec::new()];
        for _ in 0..times {
            for (went, to) in all.iter_mut().zip([self.nginx, self.wsgate]) {
                went.push(ask(target, to, Ipv4Addr::LOCALHOST).await);
            }
        }
        all
    }
}

/// Where a request goes that a client at this address of the machine sends.
async fn ask(target: &str, to: SocketAddr, from: Ipv4Addr) -> Went {
    send(&format!("GET {target} HTTP/1.1\r\n"), to, from).await
}

/// Where a request goes that begins with these lines.
async fn send(lines: &str, to: SocketAddr, from: Ipv4Addr) -> Went {
    within(&format!("{lines} of {to}"), async {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((from, 0).into()).unwrap();
        let mut peer = Peer::plain(socket.connect(to).await.unwrap());
        let request = format!("{lines}Host: a.test\r\nConnection: close\r\n\r\n");
        let answer = peer.ask(request).await;
        Went {
            status: answer.status(),
            body: answer.text().to_owned(),
        }
    })
    .await
}

/// The servers to which requests went, each once.
fn servers(went: &[Went]) -> BTreeSet<&str> {
    let bodies = went.iter().map(|one| one.body.as_str());
    bodies.map(|body| body.split(' ').next().unwrap()).collect()
}

#[tokio::test]
async fn servers_get_their_turns_in_nginxs_order() {
    let echo = Echo::start().await;
    let both = Both::start(
        &echo,
        "upstream plain { server S0; server S1; server S2; }\n\
         upstream heavy { server S0 weight=5; server S1; server S2; }\n\
         upstream odd { server S0 weight=3; server S1 weight=2; server S2 weight=4; server S3; }\n\
         upstream twice { server S0; server S1; server S0 weight=3; }\n\
         upstream rest { server S0 down; server S1 weight=2; server S2; server S3 backup; }\n\
         upstream thousands { server S0 weight=2000; server S1 weight=1000; }\n",
    )
    .await;
    for group in ["plain", "heavy", "odd", "rest", "thousands"] {
        let [theirs, ours] = both.ask(&format!("/{group}"), 30).await;
        assert_eq!(ours, theirs, "{group}");
        assert!(theirs.iter().all(|went| went.status == 200), "{theirs:?}");
    }
    // nginx has the address in two turns, wsgate in one with both weights: the shares are the same, the order is not.
    let [theirs, ours] = both.ask("/twice", 30).await;
    let sorted = |mut went: Vec<Went>| {
        went.sort();
        went
    };
    assert_eq!(sorted(ours), sorted(theirs));
}

#[tokio::test]
async fn a_backup_is_asked_when_no_other_server_is_there() {
    let echo = Echo::start().await;
    let both = Both::start(
        &echo,
        "upstream spare { server DEAD; server S1 backup; }\n\
         upstream idle { server S0; server S2; server S1 backup; }\n\
         upstream part { server S0; server DEAD; server S2 weight=2; server S1 backup; }\n",
    )
    .await;
    for (group, wanted) in [
        ("spare", BTreeSet::from(["1"])),
        ("idle", BTreeSet::from(["0", "2"])),
        ("part", BTreeSet::from(["0", "2"])),
    ] {
        for went in both.ask(&format!("/{group}"), 12).await {
            assert_eq!(servers(&went), wanted, "{group}: {went:?}");
            assert!(went.iter().all(|went| went.status == 200), "{went:?}");
        }
    }
}

#[tokio::test]
async fn an_address_or_a_key_keeps_its_server() {
    let echo = Echo::start().await;
    let both = Both::start(
        &echo,
        "upstream address { ip_hash; server S0; server S1; server S2; }\n\
         upstream key { hash $remote_addr consistent; server S0; server S1; server S2; }\n\
         upstream room { hash $arg_room; server S0 weight=2; server S1; }\n",
    )
    .await;
    for group in ["address", "key"] {
        for (to, is_nginx) in [(both.nginx, true), (both.wsgate, false)] {
            let mut went = Vec::new();
            for last in 1..=40 {
                let from = Ipv4Addr::new(127, 0, 0, last);
                let first = ask(&format!("/{group}"), to, from).await;
                assert_eq!(ask(&format!("/{group}"), to, from).await, first, "{from}");
                went.push(first);
            }
            // nginx takes three octets, which all have in common.
            let wanted = if is_nginx && group == "address" { 1 } else { 3 };
            assert_eq!(servers(&went).len(), wanted, "{group} {is_nginx}: {went:?}");
        }
    }
    for to in [both.nginx, both.wsgate] {
        let mut went = Vec::new();
        for room in 0..40 {
            let target = format!("/room?room={room}");
            let first = ask(&target, to, Ipv4Addr::LOCALHOST).await;
            let other = Ipv4Addr::new(127, 0, 0, 9);
            assert_eq!(ask(&target, to, other).await, first, "{target}");
            went.push(first);
        }
        assert_eq!(servers(&went), BTreeSet::from(["0", "1"]), "{went:?}");
    }
}

/// nginx looks the value up in a `map` without case, and `when` compares it with case.
#[tokio::test]
async fn a_map_that_ignores_case_opens_nothing() {
    let echo = Echo::start().await;
    let blocks = "upstream closed { server S0; server S1; }\n\
         upstream app { server S2; server S3; }\n\
         map $arg_admin $by_word { yes closed; default app; }\n\
         map $http_x_admin $by_field { Yes closed; default app; }\n\
         map $arg_admin $by_number { 1 closed; a app; default app; }\n\
         map $request_method $by_method { post closed; DELETE closed; default app; }\n";
    let both = Both::start_with_losses(&echo, blocks).await;
    let mut lines = Vec::new();
    for value in ["yes", "YES", "Yes", "no", "1", "a", "A", ""] {
        for variable in ["by_word", "by_number"] {
            lines.push(format!("GET /{variable}?admin={value} HTTP/1.1\r\n"));
        }
        lines.push(format!("GET /by_field HTTP/1.1\r\nX-Admin: {value}\r\n"));
    }
    let methods = ["GET", "POST", "DELETE", "PUT"];
    lines.extend(
        methods.map(|method| format!("{method} /by_method HTTP/1.1\r\nContent-Length: 0\r\n")),
    );
    let group = |went: &Went| match went.body.split(' ').next() {
        Some("0" | "1") => "closed",
        Some("2" | "3") => "app",
        _ => "none",
    };
    for line in lines {
        let theirs = send(&line, both.nginx, Ipv4Addr::LOCALHOST).await;
        let ours = send(&line, both.wsgate, Ipv4Addr::LOCALHOST).await;
        assert_eq!(theirs.status, 200, "{line}");
        if line.contains("by_word") || line.contains("by_field") {
            assert_eq!((ours.status, group(&ours)), (501, "none"), "{line}");
        } else {
            assert_eq!(group(&ours), group(&theirs), "{line}");
        }
    }
    let about_case = both.left.iter().filter(|why| why.contains("case"));
    assert_eq!(about_case.count(), 2, "{:?}", both.left);
}
