//! The proxies that are compared, each with the configuration that somebody who knows it would write.

use std::fs;
use std::io::Read;
use std::io::Write;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use socket2::Domain;
use socket2::Socket;
use socket2::Type;
use tempfile::TempDir;

use crate::measures::growth::Others;
use crate::process::Process;
use crate::process::on_core;

/// The core of the proxies; load and upstream have the other.
pub(crate) const CORE: usize = 0;

/// What wsgate's file calls several servers.
const GROUP: &str = "backend";

/// How a client comes in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Entrance {
    Ws,
    /// TLS with an ECDSA P-256 certificate.
    Wss,
    /// TLS with an RSA certificate of 2048 bits.
    WssRsa,
}

impl Entrance {
    pub(crate) const BOTH: [Self; 2] = [Self::Ws, Self::Wss];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ws => "ws",
            Self::Wss => "wss",
            Self::WssRsa => "wss, RSA-2048",
        }
    }
}

/// Whether a proxy writes its access log, as it does by default, into a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum AccessLog {
    On,
    Off,
}

/// Which proxy.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Nginx,
    HaProxy,
    Wsgate,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Nginx, Self::HaProxy, Self::Wsgate];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::HaProxy => "HAProxy",
            Self::Wsgate => "wsgate",
        }
    }

    /// Its binary, if it is installed; distributions put some where only root's PATH leads.
    pub(crate) fn binary(self) -> Option<PathBuf> {
        let name = match self {
            Self::Wsgate => return Some(env!("CARGO_BIN_EXE_wsgate").into()),
            Self::Nginx => "nginx",
            Self::HaProxy => "haproxy",
        };
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path)
            .chain(["/usr/sbin".into(), "/usr/local/sbin".into()])
            .map(|dir| dir.join(name))
            .find(|file| file.is_file())
    }

    /// What it says its version is.
    pub(crate) fn version(self) -> String {
        let flag = if self == Self::Wsgate {
            "--version"
        } else {
            "-v"
        };
        let Some(output) = self
            .binary()
            .and_then(|binary| Command::new(binary).arg(flag).output().ok())
        else {
            return String::new();
        };
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        let number = said
            .split(|character: char| character.is_whitespace() || character == '/')
            .find(|word| word.starts_with(|first: char| first.is_ascii_digit()));
        number
            .unwrap_or("?")
            .split('-')
            .next()
            .unwrap_or("?")
            .to_owned()
    }

    /// Its configuration, with what differs from machine to machine filled in.
    pub(crate) fn configuration(self, place: &Place) -> String {
        let [ws, wss, rsa] = place.ports;
        let limit = place.descriptors;
        let access_log = match (self, place.access_log) {
            (_, AccessLog::Off) => "off",
            (Self::Nginx, AccessLog::On) => "access.log",
            (_, AccessLog::On) => "on",
        };
        match self {
            Self::Nginx => format!(
                "\
daemon off;
pid nginx.pid;
error_log stderr error;
worker_processes 1;
worker_rlimit_nofile {limit};
events {{ worker_connections {limit}; }}
http {{
  access_log {access_log};
  client_body_temp_path temp;
  proxy_temp_path temp;
  fastcgi_temp_path temp;
  uwsgi_temp_path temp;
  scgi_temp_path temp;
  keepalive_timeout 1h;
  keepalive_requests 1000000;
  map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
  upstream backend {{ {}keepalive 128; keepalive_requests 1000000; }}
  ssl_protocols TLSv1.2 TLSv1.3;
  ssl_session_cache shared:TLS:50m;
  server {{
    listen 127.0.0.1:{ws} reuseport backlog=4096;
    listen 127.0.0.1:{wss} ssl reuseport backlog=4096;
    ssl_certificate ecdsa.pem;
    ssl_certificate_key ecdsa.key;
    include location.conf;
  }}
  server {{
    listen 127.0.0.1:{rsa} ssl reuseport backlog=4096;
    ssl_certificate rsa.pem;
    ssl_certificate_key rsa.key;
    include location.conf;
  }}
}}

# location.conf
location / {{
  proxy_pass http://backend;
  proxy_http_version 1.1;
  proxy_set_header Upgrade $http_upgrade;
  proxy_set_header Connection $connection_upgrade;
  proxy_set_header Host $http_host;
  proxy_set_header X-Real-IP $remote_addr;
  proxy_set_header X-Forwarded-For $remote_addr;
  proxy_set_header X-Forwarded-Host $http_host;
  proxy_set_header X-Forwarded-Proto $scheme;
  proxy_read_timeout 1h;
  proxy_send_timeout 1h;
}}
",
                self.servers(&place.upstreams)
            ),
            Self::HaProxy => format!(
                "\
global
  nbthread 1
  maxconn {}
  tune.ssl.cachesize 20000
  ssl-default-bind-options ssl-min-ver TLSv1.2
defaults
  mode http
  option forwardfor
  timeout connect 5s
  timeout client 1h
  timeout server 1h
  timeout tunnel 1h
  timeout http-keep-alive 1h
frontend clients
  bind 127.0.0.1:{ws}
  bind 127.0.0.1:{wss} ssl crt ecdsa.both alpn http/1.1
  bind 127.0.0.1:{rsa} ssl crt rsa.both alpn http/1.1
  http-request set-header X-Real-IP %[src]
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  http-request set-header X-Forwarded-Proto https if {{ ssl_fc }}
  http-request set-header X-Forwarded-Proto http unless {{ ssl_fc }}
  default_backend servers
backend servers
{}",
                (limit - 100) / 2,
                self.servers(&place.upstreams)
            ),
            Self::Wsgate => format!(
                "\
threads: 1
access_log: {access_log}
listen:
  - address: 127.0.0.1:{ws}
    reuseport: true
  - address: 127.0.0.1:{wss}
    reuseport: true
    tls: {{ cert: ecdsa.pem, key: ecdsa.key }}
  - address: 127.0.0.1:{rsa}
    reuseport: true
    tls: {{ cert: rsa.pem, key: rsa.key }}
{}routes:
  - location: /
    proxy_pass: http://{}
",
                self.servers(&place.upstreams),
                place.proxy_pass()
            ),
        }
    }

    /// What a configuration says of its servers: several are a group, in which the one with the fewest connections is chosen.
    fn servers(self, upstreams: &[SocketAddr]) -> String {
        let several = upstreams.len() > 1;
        let each = |line: fn(usize, &SocketAddr) -> String| -> String {
            let lines = upstreams.iter().enumerate();
            lines
                .map(|(number, address)| line(number, address))
                .collect()
        };
        match self {
            Self::Nginx => {
                let balance = if several { "least_conn; " } else { "" };
                balance.to_owned() + &each(|_, address| format!("server {address}; "))
            }
            Self::HaProxy => {
                let balance = if several { "  balance leastconn\n" } else { "" };
                balance.to_owned()
                    + &each(|number, address| format!("  server s{number} {address}\n"))
            }
            Self::Wsgate if several => {
                let servers = each(|_, address| format!("      - {address}\n"));
                format!("upstreams:\n  {GROUP}:\n    balance: least_conn\n    servers:\n{servers}")
            }
            Self::Wsgate => String::new(),
        }
    }

    /// A configuration with these locations before the one that answers.
    fn with_others(self, text: String, place: &Place, others: &[(Others, usize)]) -> String {
        let upstream = place.proxy_pass();
        let mut lines = String::new();
        for (kind, number) in others {
            let (pattern, is_regex) = (kind.pattern(*number), *kind == Others::Regexes);
            let modifier = if is_regex { "~ " } else { "" };
            lines += &match self {
                Self::Nginx => {
                    format!("location {modifier}{pattern} {{ proxy_pass http://backend; }}\n")
                }
                Self::HaProxy => {
                    let test = if is_regex { "path_reg" } else { "path_beg" };
                    format!("  use_backend servers if {{ {test} {pattern} }}\n")
                }
                Self::Wsgate => {
                    format!(
                        "  - location: {modifier}{pattern}\n    proxy_pass: http://{upstream}\n"
                    )
                }
            };
        }
        let before = match self {
            Self::Nginx => "location / {",
            Self::HaProxy => "  default_backend servers",
            Self::Wsgate => "  - location: /\n",
        };
        text.replacen(before, &(lines + before), 1)
    }

    fn command(self, folder: &Path, configuration: &str, access_log: AccessLog) -> Command {
        let binary = self.binary().expect("it was found before");
        let mut command = on_core(CORE, &binary);
        command.current_dir(folder);
        let write = |name: &str, text: &str| fs::write(folder.join(name), text).expect("written");
        match self {
            Self::Nginx => {
                let (main, location) = configuration
                    .split_once("\n# location.conf\n")
                    .expect("both files");
                write("nginx.conf", main);
                write("location.conf", location);
                command.args(["-p", "./", "-e", "stderr", "-c", "nginx.conf"]);
            }
            Self::HaProxy => {
                write("haproxy.cfg", configuration);
                command.args(["-db", "-f", "haproxy.cfg"]);
            }
            Self::Wsgate => {
                write("routes.yaml", configuration);
                // As it is by default where the log is measured; where it is off, words are told from lines more easily.
                if access_log == AccessLog::Off {
                    command.args(["--log-format", "json"]);
                }
            }
        }
        command
    }
}

/// Where a proxy stands.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) upstreams: Vec<SocketAddr>,
    pub(crate) ports: [u16; 3],
    pub(crate) descriptors: usize,
    pub(crate) access_log: AccessLog,
}

impl Place {
    /// What wsgate's routes lead to: one server, or the group of them.
    fn proxy_pass(&self) -> String {
        match &*self.upstreams {
            [one] => one.to_string(),
            _ => GROUP.to_owned(),
        }
    }
}

/// A running proxy.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) kind: Kind,
    pub(crate) process: Process,
    place: Place,
    /// Ports that are its own, before and after.
    _reserved: [Socket; 3],
    _folder: TempDir,
}

impl Proxy {
    /// Starts one, and waits until it accepts on every address.
    pub(crate) fn start(
        kind: Kind,
        upstreams: &[SocketAddr],
        certificates: &[(&str, String)],
        others: &[(Others, usize)],
        access_log: AccessLog,
    ) -> Self {
        let folder = TempDir::new().expect("a folder");
        for (name, text) in certificates {
            let mut options = fs::OpenOptions::new();
            let file = options
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(folder.path().join(name));
            file.and_then(|mut file| file.write_all(text.as_bytes()))
                .expect("written");
        }
        let reserved = [(); 3].map(|()| reserve());
        let place = Place {
            upstreams: upstreams.to_vec(),
            ports: reserved.each_ref().map(|(_, port)| *port),
            descriptors: crate::process::descriptors(),
            access_log,
        };
        let configuration = kind.with_others(kind.configuration(&place), &place, others);
        let mut command = kind.command(folder.path(), &configuration, access_log);
        let said = folder.path().join("stderr");
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(match access_log {
                AccessLog::Off => Stdio::piped(),
                AccessLog::On => fs::File::create(&said).expect("a file").into(),
            });
        let mut process = Process::start(&mut command).expect("it starts");
        let until = Instant::now() + Duration::from_secs(10);
        for port in place.ports {
            while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
                if let Some(status) = process.ended() {
                    let mut said = fs::read_to_string(&said).unwrap_or_default();
                    if let Some(mut stderr) = process.child().stderr.take() {
                        let _ = stderr.read_to_string(&mut said);
                    }
                    panic!("{} ended with {status}:\n{said}", kind.name());
                }
                assert!(Instant::now() < until, "{} does not listen", kind.name());
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        // Nobody reads what it says from here on; it must not wait for that.
        if let Some(mut stderr) = process.child().stderr.take() {
            std::thread::spawn(move || {
                let mut said = String::new();
                let _ = stderr.read_to_string(&mut said);
                said.lines()
                    .filter(|line| !line.contains("[NOTICE]") && !line.contains("\"INFO\""))
                    .take(20)
                    .for_each(|line| eprintln!("{}: {line}", kind.name()));
            });
        }
        Self {
            kind,
            process,
            place,
            _reserved: reserved.map(|(socket, _)| socket),
            _folder: folder,
        }
    }

    pub(crate) fn address(&self, entrance: Entrance) -> SocketAddr {
        let port = match entrance {
            Entrance::Ws => self.place.ports[0],
            Entrance::Wss => self.place.ports[1],
            Entrance::WssRsa => self.place.ports[2],
        };
        SocketAddr::from((Ipv4Addr::LOCALHOST, port))
    }

    pub(crate) fn configuration(&self) -> String {
        self.kind.configuration(&self.place)
    }
}

/// A port that is ours before a proxy has it and afterwards: a socket on it that never listens.
fn reserve() -> (Socket, u16) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_reuse_port(true).expect("the option");
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    socket.bind(&any.into()).expect("a port");
    let address = socket
        .local_addr()
        .ok()
        .and_then(|address| address.as_socket());
    (socket, address.expect("an address").port())
}
