//! Whatever is imported can be served.
#![allow(clippy::unwrap_used)]

use std::fs;

use proptest::prelude::*;
use tempfile::TempDir;
use time::OffsetDateTime;

use crate::config::Config;
use crate::config::Environment;
use crate::nginx::ImportError;
use crate::nginx::Imported;
use crate::nginx::import;

/// Imports a text, and reads what was made of it.
fn imported(text: &str) -> Result<(Imported, String), ImportError> {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("nginx.conf");
    fs::write(&file, text).unwrap();
    let imported = import(&file)?;
    let routes = dir.path().join("routes.yaml");
    fs::write(&routes, &imported.yaml).unwrap();
    let wrong = match Config::read(&routes, &Environment::default(), OffsetDateTime::UNIX_EPOCH) {
        Ok((config, _)) => {
            assert_eq!(config.listeners.len(), imported.listeners);
            assert_eq!(config.routes.len(), imported.routes);
            String::new()
        }
        Err(errors) => errors.to_string(),
    };
    Ok((imported, wrong))
}

/// Statements that real files are made of, some of them mistaken.
fn statements() -> impl Strategy<Value = String> {
    let inside = prop_oneof![
        proptest::sample::select(vec![
            "proxy_pass http://127.0.0.1:3000;",
            "proxy_pass http://app/x;",
            "proxy_pass http://app;",
            "proxy_pass http://$x;",
            "proxy_pass https://$x/y;",
            "proxy_pass https://app;",
            "proxy_pass http://10.0.0.1/x;",
            "proxy_pass 'http://a: b';",
            "health_check uri='/a b: c';",
            "health_check uri=/x#y port=1;",
            "proxy_next_upstream off http_404;",
            "proxy_next_upstream_tries x;",
            "proxy_pass http://a%b:1;",
            "proxy_pass http://127.0.0.1:81;",
            "proxy_pass http://localhost;",
            "proxy_pass unix:/x;",
            "proxy_pass http://unix:/x:/y;",
            "return 404;",
            "return 301 https://$host$request_uri;",
            "return 200 'a: {b} \\n #c';",
            "return;",
            "return 999 x;",
            "return 204 x;",
            "return \"$1\";",
            "proxy_set_header Host $proxy_host;",
            "proxy_set_header Host 'a b';",
            "proxy_set_header Host $:host;",
            "proxy_set_header X-A \"é\";",
            "proxy_set_header X-A 'it: #1';",
            "proxy_set_header x-a true;",
            "proxy_set_header '' x;",
            "proxy_set_header Connection x;",
            "proxy_set_header X-B;",
            "proxy_read_timeout 1h;",
            "proxy_read_timeout x;",
            "proxy_connect_timeout 0;",
            "deny all;",
            "allow 10.0.0.0/8;",
            "allow ::1;",
            "deny 10.1.2.3/16;",
            "allow unix:;",
            "auth_basic x;",
            "try_files $uri @a;",
            "limit_except GET { deny all; }",
            "location /in { proxy_pass http://127.0.0.1:3; }",
            "location ~ (?!a) { deny all; }",
            "\"\\u{2028}'\" é;",
        ])
        .prop_map(str::to_owned)
    ];
    let name = proptest::sample::select(vec![
        "/",
        "= /",
        "^~ /",
        "/a",
        "~ ^/a$",
        "~* (",
        "~ \\.b",
        "@a",
        "a",
        "'/a b'",
        "\"/é\"",
        "'~ #'",
        "= '* x'",
        "/-",
        "'/: x'",
        "~ '(?!x)y'",
        "",
        "/a b c",
    ]);
    let location = (name, proptest::collection::vec(inside.clone(), 0..4))
        .prop_map(|(name, inside)| format!("location {name} {{ {} }}", inside.concat()));
    let of_server = proptest::sample::select(vec![
        "listen 80;",
        "listen 81 default_server;",
        "listen [::]:80 ipv6only=off;",
        "listen 127.0.0.1:81;",
        "listen 127.0.0.1:80;",
        "listen unix:/x;",
        "listen 443 quic;",
        "listen;",
        "server_name a.test *.b.test .c.test;",
        "server_name _ '' ~x www.* $h;",
        "server_name 'a b' *.b.test c.b.test;",
        "if ($host = a.test) { return 301 https://$host$request_uri; }",
        "root /x;",
        "add_header 'a\nb' c;",
    ])
    .prop_map(str::to_owned);
    let in_server = prop_oneof![2 => of_server, 1 => inside, 3 => location];
    let server = proptest::collection::vec(in_server, 0..8)
        .prop_map(|inside| format!("server {{ {} }}\n", inside.concat()));
    let top = proptest::sample::select(vec![
        "upstream app { server 127.0.0.1:3000; }\n",
        "upstream app { server unix:/run/x; server b; ip_hash; }\n",
        "upstream app { }\n",
        "upstream app { server a weight=3; server b:1 backup max_fails=0; server a; least_conn; }\n",
        "upstream app { server a backup; server 127.0.0.1:81; hash $arg_x$uri; sticky cookie io; }\n",
        "upstream App { hash '$arg_x {a: b}'; server a weight=65535 down; server b weight=4294967295; }\n",
        "upstream 10.0.0.1 { server a fail_timeout=0 resolve; server unix:/x max_conns=1; queue 1; }\n",
        "upstream 'a: b' { server a; server $x; server [::1] resolve; sticky cookie s domain=a:b path=/é; }\n",
        "map $arg_x $x { 1 app; '' 10.0.0.1; default b:1; }\n",
        "map $http_upgrade $x { websocket app; default 10.0.0.1; }\n",
        "map $request_method $x { 'GET: x' app; get a/b; default app; }\n",
        "worker_processes 0;\n",
        "worker_shutdown_timeout 1y;\n",
        "access_log off;\n",
    ])
    .prop_map(str::to_owned);
    proptest::collection::vec(prop_oneof![1 => top, 6 => server], 0..5).prop_map(|all| all.concat())
}

/// A file of one location that asks one group, in which there is much of what a group may say.
fn groups() -> impl Strategy<Value = String> {
    let name = proptest::sample::select(vec!["app", "10.0.0.1", "'a: b'", "_x", "é", "a..b", "on"]);
    let address = proptest::sample::select(vec![
        "a",
        "a:1",
        "A:80",
        "b:2",
        "10.0.0.1",
        "[::1]:3",
        "unix:/run/x",
        "$x",
        "a/b",
        "127.0.0.1:81",
    ]);
    let parameter = proptest::sample::select(vec![
        "weight=3",
        "weight=65535",
        "weight=1000000",
        "weight=99999999999",
        "max_fails=0",
        "max_fails=1000001",
        "fail_timeout=0",
        "fail_timeout=9y",
        "max_conns=7",
        "max_conns=2000000000",
        "backup",
        "down",
        "drain",
        "resolve",
        "slow_start=0",
        "slow_start=9y",
        "route=x",
        "x",
    ]);
    let server = (address, proptest::collection::vec(parameter, 0..3))
        .prop_map(|(address, parameters)| format!("server {address} {};", parameters.join(" ")));
    let other = proptest::sample::select(vec![
        "least_conn;",
        "ip_hash;",
        "hash $arg_x;",
        "hash 'a: $remote_addr #{x}';",
        "hash x;",
        "hash $http_;",
        "hash '$$';",
        "hash '${PORT}$host';",
        "random two;",
        "sticky cookie srv expires=1h domain=.a.test path=/x secure httponly samesite=none;",
        "sticky cookie io;",
        "sticky cookie 'a b';",
        "sticky cookie __Host-a;",
        "sticky cookie s samesite=none path=x domain=a..b expires=max;",
        "sticky cookie s path='/a b' domain=1.2.3.4 expires=0;",
        "queue 1;",
        "keepalive 1;",
        "zone a 1m;",
    ]);
    let inside = prop_oneof![3 => server, 1 => other.prop_map(str::to_owned)];
    let check = proptest::sample::select(vec![
        "",
        "health_check;",
        "health_check uri=/up?x=1 interval=1;",
        "health_check 'uri=/a b: c';",
        "health_check uri=/é#x;",
        "health_check uri=$x;",
    ]);
    let scheme = proptest::sample::select(vec!["http", "http", "https"]);
    (name, proptest::collection::vec(inside, 1..6), check, scheme).prop_map(
        |(name, inside, check, scheme)| {
            let bare = name.trim_matches('\'');
            format!(
                "upstream {name} {{ {} }}\nupstream other {{ server app:9; }}\nserver {{ listen 81; server_name a.test; location / {{\n\
             proxy_set_header Host $host; proxy_pass '{scheme}://{bare}/x'; {check} }}\n\
             location /other {{ proxy_set_header Host $host; proxy_pass http://other; }} }}\n",
                inside.concat()
            )
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn whatever_a_group_says_can_be_served(text in groups()) {
        let (imported, wrong) = imported(&text).map_err(|_| TestCaseError::fail("refused"))?;
        prop_assert!(wrong.is_empty(), "{}\n{}\n{}", wrong, text, imported.yaml);
        // What cannot be carried over is said.
        prop_assert!(imported.yaml.contains("proxy_pass: ") || !imported.left.is_empty());
    }

    #[test]
    fn whatever_is_imported_can_be_served(text in statements()) {
        if let Ok((imported, wrong)) = imported(&text) {
            prop_assert!(wrong.is_empty(), "{}\n{}\n{}", wrong, text, imported.yaml);
        }
    }

    #[test]
    fn no_text_is_too_strange(text in "(server|listen|[{};\"'$\\\\#]|location /|[ \n]|80|include \\*|if|\\PC){0,40}") {
        if let Ok((imported, wrong)) = imported(&text) {
            prop_assert!(wrong.is_empty(), "{}\n{}\n{}", wrong, text, imported.yaml);
        }
    }
}

#[test]
fn a_host_with_a_dollar_that_begins_no_variable_is_none() {
    for host in ["$:host", "a:$", "''"] {
        let text = format!(
            "http {{ server {{ listen 80; location / {{ proxy_set_header Host {host}; proxy_pass http://127.0.0.1:3000; }} }} }}"
        );
        let (imported, wrong) = imported(&text).unwrap();
        assert_eq!(wrong, "", "{host}");
        assert!(!imported.yaml.contains("set_headers"), "{}", imported.yaml);
        assert!(
            imported.yaml.contains("not carried over"),
            "{}",
            imported.yaml
        );
    }
}
