//! Which `host` takes a request, against real nginx's `server_name`: names at random, with stars at either end.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;

use socket2::Socket;
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::nginx_locations::nginx::Running;
use crate::nginx_locations::nginx::reserve;
use crate::nginx_locations::random::Random;
use crate::support::Peer;
use crate::support::TestServer;

/// Tables of names, all of them in one nginx.
const TABLES: usize = 40;

/// Requests for each table.
const REQUESTS: usize = 60;

/// The names of a few servers, each server known by its number; none has a name of another.
struct Names {
    servers: Vec<Vec<String>>,
    address: SocketAddr,
    _port: Socket,
}

impl Names {
    fn any(random: &mut Random) -> Self {
        let (port, address) = reserve();
        let mut servers: Vec<Vec<String>> = Vec::new();
        for _ in 0..1 + random.below(7) {
            let mut names = Vec::new();
            for _ in 0..1 + random.below(3) {
                let name = host(random);
                let name = match random.below(5) {
                    0 | 1 => format!("*.{name}"),
                    2 | 3 => format!("{name}.*"),
                    _ => name,
                };
                if !servers
                    .iter()
                    .flatten()
                    .chain(&names)
                    .any(|known| *known == name)
                {
                    names.push(name);
                }
            }
            servers.push(names);
        }
        servers.retain(|names| !names.is_empty());
        Self {
            servers,
            address,
            _port: port,
        }
    }

    fn for_nginx(&self) -> String {
        let address = self.address;
        let mut conf =
            format!("server {{ listen {address} reuseport default_server; return 200 none; }}\n");
        for (number, names) in self.servers.iter().enumerate() {
            let names = names.join(" ");
            writeln!(
                conf,
                "server {{ listen {address}; server_name {names}; return 200 {number}; }}"
            )
            .unwrap();
        }
        conf
    }

    async fn for_wsgate(&self) -> TestServer {
        let mut setup = TestServer::setup()
            .top("threads: 1")
            .top("access_log: off")
            .raw_route("{ location: /, return: 200 none }");
        for (number, names) in self.servers.iter().enumerate() {
            let names: Vec<String> = names.iter().map(|name| format!("'{name}'")).collect();
            let names = names.join(", ");
            setup = setup.raw_route(&format!(
                "{{ host: [{names}], location: /, return: 200 {number} }}"
            ));
        }
        setup.start().await
    }
}

/// A name of one to four labels, few and alike.
fn host(random: &mut Random) -> String {
    let labels: Vec<&str> = (0..1 + random.below(4))
        .map(|_| random.pick(&["a", "a", "b", "ab"]))
        .collect();
    labels.join(".")
}

/// A host as a client writes it.
fn written(random: &mut Random) -> String {
    let mut host = host(random);
    if random.percent(20) {
        host = host.to_ascii_uppercase();
    }
    if random.percent(20) {
        host.push('.');
    }
    if random.percent(20) {
        host += ":8080";
    }
    host
}

async fn answered(client: &mut Peer, host: &str) -> String {
    let answer = client
        .ask(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"))
        .await;
    assert_eq!(answer.status(), 200, "{host}");
    answer.text().to_owned()
}

#[tokio::test]
async fn hosts_are_chosen_as_nginx_chooses_them() {
    let seed = std::env::var("WSGATE_SEED").map_or(1, |seed| seed.parse().expect("WSGATE_SEED"));
    let mut tables: Vec<(Random, Names)> = (0..TABLES)
        .map(|number| {
            let mut random = Random::of(seed, number);
            let names = Names::any(&mut random);
            (random, names)
        })
        .collect();
    let dir = TempDir::new().unwrap();
    let servers: String = tables.iter().map(|(_, names)| names.for_nginx()).collect();
    let conf = format!(
        "daemon off;\nmaster_process off;\npid nginx.pid;\nerror_log stderr notice;\nevents {{}}\nhttp {{\n\
         error_log stderr alert;\naccess_log off;\nclient_body_temp_path temp;\nproxy_temp_path temp;\n\
         fastcgi_temp_path temp;\nuwsgi_temp_path temp;\nscgi_temp_path temp;\n{servers}}}\n"
    );
    fs::write(dir.path().join("nginx.conf"), conf).unwrap();
    let _nginx = Running::start(dir);
    let (mut asked, mut by_ending, mut by_nobody) = (0, 0, 0);
    for (random, names) in &mut tables {
        let gate = names.for_wsgate().await;
        let mut nginx = Peer::plain(TcpStream::connect(names.address).await.unwrap());
        let mut wsgate = gate.connect().await;
        for _ in 0..REQUESTS {
            let host = written(random);
            let wanted = answered(&mut nginx, &host).await;
            let found = answered(&mut wsgate, &host).await;
            assert_eq!(
                found, wanted,
                "{host} of {:?} (WSGATE_SEED={seed})",
                names.servers
            );
            asked += 1;
            match wanted.parse::<usize>() {
                Ok(number) => {
                    let mut names = names.servers[number].iter();
                    by_ending += usize::from(names.all(|name| name.ends_with('*')));
                }
                Err(_) => by_nobody += 1,
            }
        }
    }
    assert_eq!(asked, TABLES * REQUESTS);
    assert!(
        by_ending > 100 && by_nobody > 100,
        "{by_ending} {by_nobody}"
    );
}
