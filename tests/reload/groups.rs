//! What the log says about a reload that changes groups of servers.

use crate::reload::Edited;
use crate::support::Over;
use crate::support::TestServer;
use crate::support::Upstream;
use crate::support::tunnel;

/// Two routes that lead to one group, and one that leads to a list.
fn file(group: &str, list: &str) -> String {
    format!(
        "threads: 1\nlisten: [{{ address: 127.0.0.1:0 }}]\nupstreams:\n  chat: {group}\nroutes:\n\
         \x20 - {{ location: /, proxy_pass: http://chat }}\n  - {{ location: /more, proxy_pass: http://chat }}\n\
         \x20 - {{ location: /list, proxy_pass: [{list}] }}\n"
    )
}

#[tokio::test]
async fn the_servers_of_a_group_are_told_of_once() {
    let mut upstream = Upstream::scripted().await;
    let to = upstream.address();
    let before = file(
        &format!("{{ servers: [\"{to}\", {{ server: \"127.0.0.1:1\", backup: true }}] }}"),
        "http://127.0.0.1:1, http://127.0.0.1:2, http://127.0.0.1:4",
    );
    let mut edited = Edited::start(TestServer::setup().whole(before)).await;
    let (mut client, mut server) = tunnel(&edited.gate, &mut upstream, Over::Ws).await;
    let after = file(
        &format!(
            "{{ balance: round_robin, servers: [{{ server: \"{to}\", drain: true }}, \"127.0.0.1:3\"] }}"
        ),
        "http://127.0.0.1:4, http://127.0.0.1:2",
    );
    assert_eq!(
        edited.save(&TestServer::setup().whole(after)).await,
        [
            "~ upstream chat balance round_robin (was least_conn)",
            &format!("~ server {to} in chat drain"),
            "+ server 127.0.0.1:3 in chat",
            "- server 127.0.0.1:1 in chat",
            "- server 127.0.0.1:1 in /list",
        ]
    );
    let gone = "threads: 1\nlisten: [{ address: 127.0.0.1:0 }]\nroutes: [{ location: /, proxy_pass: 'http://127.0.0.1:3' }]\n";
    let said = edited
        .save(&TestServer::setup().whole(gone.to_owned()))
        .await;
    assert_eq!(said[0], "- upstream chat");
    assert!(
        said[1].starts_with("~ location / -> http://127.0.0.1:3 (was http://chat)"),
        "{said:?}"
    );
    // The tunnel has noticed nothing of all this.
    client.send("still here").await;
    assert_eq!(server.take(10).await, b"still here");
}
