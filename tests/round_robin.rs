//! Servers in turn, as real nginx has them: the same groups, asked as often, give the same sequences of servers.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;

use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::nginx_locations::nginx::Running;
use crate::nginx_locations::nginx::reserve;
use crate::support::Peer;
use crate::support::TestServer;
use crate::support::Upstream;
use crate::support::Way;

/// What each server of a group has beside its address, in nginx's words; a flag of nginx is a key that is `true` here.
const GROUPS: [&[&str]; 7] = [
    &["", "", ""],
    &["weight=5", "weight=1", "weight=1"],
    &["weight=4", "weight=3", "weight=2"],
    &["weight=2", "weight=10", "weight=6"],
    &["weight=3", "weight=5 down", "weight=2"],
    &["weight=2", "backup", "weight=3"],
    &["down", "weight=2 backup", "weight=1 backup"],
];

/// Requests to each group, of which wsgate takes half on each of its ways.
const REQUESTS: usize = 40;

fn nginx_conf(servers: &[SocketAddr], listen: SocketAddr) -> String {
    let mut conf = "daemon off;\nmaster_process off;\npid nginx.pid;\nerror_log stderr notice;\n\
        events { worker_connections 512; }\nhttp {\nerror_log stderr emerg;\naccess_log off;\n\
        client_body_temp_path temp;\nproxy_temp_path temp;\nfastcgi_temp_path temp;\nuwsgi_temp_path temp;\n\
        scgi_temp_path temp;\n"
        .to_owned();
    for (at, group) in GROUPS.iter().enumerate() {
        let reuse = if at == 0 { " reuseport" } else { "" };
        let servers = servers.iter().zip(*group);
        let servers: String = servers
            .map(|(address, settings)| format!("server {address} {settings}; "))
            .collect();
        writeln!(
            conf,
            "upstream group{at} {{ {servers} }}\nserver {{ listen {listen}{reuse}; server_name group{at}.test; \
             location / {{ proxy_pass http://group{at}; }} }}"
        )
        .unwrap();
    }
    conf.push_str("}\n");
    conf
}

fn gate_yaml(servers: &[SocketAddr], other: SocketAddr) -> String {
    let mut yaml = "listen: [{ address: 127.0.0.1:0 }]\nupstreams:\n".to_owned();
    for (at, group) in GROUPS.iter().enumerate() {
        writeln!(yaml, "  group{at}:\n    balance: round_robin\n    servers:").unwrap();
        for (address, settings) in servers.iter().zip(*group) {
            let mut entry = format!("server: \"{address}\"");
            for setting in settings.split_whitespace() {
                let (key, value) = setting.split_once('=').unwrap_or((setting, "true"));
                write!(entry, ", {key}: {value}").unwrap();
            }
            writeln!(yaml, "      - {{ {entry} }}").unwrap();
        }
    }
    yaml.push_str("routes:\n");
    for at in 0..GROUPS.len() {
        writeln!(
            yaml,
            "  - {{ host: group{at}.test, location: /, proxy_pass: \"http://group{at}\" }}"
        )
        .unwrap();
    }
    writeln!(
        yaml,
        "  - {{ location: /other, proxy_pass: \"http://{other}\" }}"
    )
    .unwrap();
    yaml
}

/// Who answers the next request to a group, each over a connection of its own.
async fn server_of(mut client: Peer, group: usize) -> String {
    let request = format!("GET / HTTP/1.1\r\nHost: group{group}.test\r\n\r\n");
    client.ask(request).await.text().to_owned()
}

#[tokio::test]
async fn servers_take_their_turns_as_in_nginx() {
    let [a, b, c] = [
        Upstream::saying("a").await,
        Upstream::saying("b").await,
        Upstream::saying("c").await,
    ];
    let other = Upstream::saying("other").await;
    let servers = [a.address(), b.address(), c.address()];
    let (_port, listen) = reserve();
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("nginx.conf"), nginx_conf(&servers, listen)).unwrap();
    let _nginx = Running::start(dir);
    let gate = TestServer::setup()
        .whole(gate_yaml(&servers, other.address()))
        .start()
        .await;
    for (at, group) in GROUPS.iter().enumerate() {
        let (mut of_nginx, mut ours) = (String::new(), String::new());
        for _ in 0..REQUESTS {
            let client = Peer::plain(TcpStream::connect(listen).await.unwrap());
            of_nginx += &server_of(client, at).await;
        }
        for way in Way::BOTH {
            for _ in 0..REQUESTS / 2 {
                ours += &server_of(way.client(&gate).await, at).await;
            }
        }
        assert_eq!(ours, of_nginx, "{group:?}");
        assert!(ours.len() == REQUESTS && ours.contains('c'), "{ours}");
    }
}
