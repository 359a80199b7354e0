//! An nginx.conf and its import, moved to ports, upstreams and certificates that a test has.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;

use regex::Captures;
use regex::Regex;
use socket2::Socket;
use tempfile::TempDir;

use crate::import::fixtures;
use crate::import::with_certificates;
use crate::nginx_locations::echo::Echo;
use crate::nginx_locations::nginx::reserve;
use crate::support::write_pair;

/// Where a port of the file is, and whether there is TLS.
pub(super) type Ports = BTreeMap<u16, (SocketAddr, bool)>;

/// What stands for the upstreams of a file.
pub(super) struct World<'e> {
    echo: &'e Echo,
    /// The number of each authority.
    known: BTreeMap<String, usize>,
    /// The authority of the first server of each group.
    groups: BTreeMap<String, String>,
}

impl<'e> World<'e> {
    pub(super) fn of(echo: &'e Echo) -> Self {
        Self {
            echo,
            known: BTreeMap::new(),
            groups: BTreeMap::new(),
        }
    }

    pub(super) fn learn(&mut self, conf: &str) {
        let server = Regex::new(r"server\s+([^\s;]+)").unwrap();
        for group in upstream().captures_iter(conf) {
            let first = server.captures(&group[2]).unwrap();
            self.groups.insert(group[1].to_owned(), full(&first[1], 80));
        }
    }

    fn address(&mut self, authority: &str) -> String {
        let next = self.known.len();
        let number = *self.known.entry(authority.to_owned()).or_insert(next);
        self.echo.address(number).to_string()
    }

    /// A directory with the original, for these ports.
    pub(super) fn nginx(&mut self, conf: &str, name: &str, ports: &Ports) -> TempDir {
        let dir = TempDir::new().unwrap();
        write_pair(dir.path());
        let mut texts = vec![("nginx.conf".to_owned(), framed(&self.upstreams(conf)))];
        for (path, text) in files(&fixtures().join(name)) {
            let below = path.strip_prefix(fixtures()).unwrap().display().to_string();
            texts.push((below, self.upstreams(&text)));
        }
        let mut first = ports.clone();
        let server_port = Regex::new(r"(\$server_port = )(\d+)").unwrap();
        for (path, text) in texts {
            let text = listen().replace_all(&text, |found: &Captures<'_>| {
                let Some(port) = port_of(&found[1]) else {
                    return socket(&found[1], dir.path());
                };
                let (address, _) = ports[&port];
                let mut options: Vec<&str> = found[2]
                    .split_whitespace()
                    .filter(|word| ["ssl", "default_server"].contains(word))
                    .collect();
                if first.remove(&port).is_some() {
                    options.push("reuseport");
                }
                format!("listen {address} {};", options.join(" "))
            });
            let text = server_port.replace_all(&text, |found: &Captures<'_>| {
                let (address, _) = ports[&found[2].parse().unwrap()];
                format!("{}{}", &found[1], address.port())
            });
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text.as_bytes()).unwrap();
        }
        dir
    }

    /// The text with echoes for upstreams, and without what belongs to another machine.
    fn upstreams(&mut self, conf: &str) -> String {
        let machine = r"(?m)^\s*(user|pid|error_log|access_log|worker_processes|ssl_dhparam|proxy_ssl_trusted_certificate|include /nowhere)\s?[^;]*;";
        let text = Regex::new(machine).unwrap().replace_all(conf, "");
        let folder = Regex::new(r"\b(root|alias) [^;]*;").unwrap();
        let text = folder.replace_all(&text, "$1 nothing/;");
        let text = upstream().replace_all(&text, |found: &Captures<'_>| {
            let first = self.groups[&found[1]].clone();
            format!(
                "upstream {} {{ server {}; }}",
                &found[1],
                self.address(&first)
            )
        });
        let pass = Regex::new(r"proxy_pass (https?)://(unix:[^:;]+|[^/;\s$]+):?").unwrap();
        // The colon is that of a socket, since an authority has its own.
        let text = pass.replace_all(&text, |found: &Captures<'_>| {
            let authority = found[2].to_owned();
            let known = self.groups.contains_key(&authority.to_lowercase());
            if authority.contains('$') || known {
                return format!("proxy_pass http://{authority}");
            }
            let port = if &found[1] == "https" { 443 } else { 80 };
            format!(
                "proxy_pass http://{}",
                self.address(&full(&authority, port))
            )
        });
        // A port in a variable, or behind one.
        let port = Regex::new(r"(set \$upstream_port |proxy_pass http://\$app:)(\d+)").unwrap();
        let text = port.replace_all(&text, |found: &Captures<'_>| {
            let address = self.address(&format!("127.0.0.1:{}", &found[2]));
            let (_, port) = address.rsplit_once(':').unwrap();
            format!("{}{port}", &found[1])
        });
        let map = Regex::new(r"(default|/a) (127\.0\.0\.1:\d+);").unwrap();
        let text = map.replace_all(&text, |found: &Captures<'_>| {
            format!("{} {};", &found[1], self.address(&found[2]))
        });
        let certificate = Regex::new(r"ssl_certificate(_key)?\s+[^;]+;").unwrap();
        let text = certificate.replace_all(&text, |found: &Captures<'_>| match found.get(1) {
            Some(_) => "ssl_certificate_key key.pem;",
            None => "ssl_certificate cert.pem;",
        });
        text.into_owned()
    }

    /// The import, for the same upstreams and these ports.
    pub(super) fn yaml(&mut self, yaml: &str, ports: &Ports) -> String {
        let yaml = with_certificates(yaml);
        let six = Regex::new("(?m)^  - address: (\"\\[|unix:).*\n(    .*\n)*").unwrap();
        let yaml = six.replace_all(&yaml, "");
        let address = Regex::new(r"(?m)^  - address: (\d+).*$").unwrap();
        let yaml = address.replace_all(&yaml, |found: &Captures<'_>| {
            let (address, _) = ports[&found[1].parse().unwrap()];
            format!("  - address: \"{address}\"\n    reuseport: true")
        });
        let when = Regex::new(r"\bport: (\d+|\[[0-9, ]*\])").unwrap();
        let yaml = when.replace_all(&yaml, |found: &Captures<'_>| {
            let number = Regex::new(r"\d+").unwrap();
            let port =
                |found: &Captures<'_>| ports[&found[0].parse().unwrap()].0.port().to_string();
            number.replace_all(&found[0], port).into_owned()
        });
        let yaml = Regex::new(r"(?m)^    ca: .*\n")
            .unwrap()
            .replace_all(&yaml, "");
        // Which server of a group answers is asked elsewhere: here each has one, as in nginx.
        let group = Regex::new(r"(?m)^  (\S+): # .*\n    balance: .*\n(    .*\n)*").unwrap();
        let yaml = group.replace_all(&yaml, |found: &Captures<'_>| {
            let first = self.groups[&found[1]].clone();
            let address = self.address(&first);
            format!("  {}: {{ servers: \"{address}\" }}\n", &found[1])
        });
        let pass = Regex::new(r"(?m)^    proxy_pass: https?://(unix:[^:\s]+|[^/\s]+):?").unwrap();
        let yaml = pass.replace_all(&yaml, |found: &Captures<'_>| {
            if self.groups.contains_key(&found[1]) {
                return format!("    proxy_pass: http://{}", &found[1]);
            }
            format!("    proxy_pass: http://{}", self.address(&found[1]))
        });
        // What nginx's `proxy_redirect default` looks for.
        let url = Regex::new(r"(?m)^      (https?)://([^/\s]+)(/\S*: )").unwrap();
        let yaml = url.replace_all(&yaml, |found: &Captures<'_>| {
            let authority = full(&found[2], if &found[1] == "https" { 443 } else { 80 });
            let address = match self.known.contains_key(&authority) {
                true => self.address(&authority),
                false => found[2].to_owned(),
            };
            format!("      http://{address}{}", &found[3])
        });
        // What nginx sends as the host of `proxy_pass`.
        let host = Regex::new(r"(?m)^      Host: (\S+)$").unwrap();
        let yaml = host.replace_all(&yaml, |found: &Captures<'_>| {
            let known = [80, 443].map(|port| full(&found[1], port));
            let known = known.iter().find(|name| self.known.contains_key(*name));
            let address = known.map(|name| self.address(name));
            format!(
                "      Host: \"{}\"",
                address.as_deref().unwrap_or(&found[1])
            )
        });
        format!("threads: 1\n{yaml}")
    }
}

/// System-given ports for those that the file listens on, held until both are dropped.
pub(super) fn ports(conf: &str) -> (Ports, Vec<Socket>) {
    let (mut ports, mut held) = (Ports::new(), Vec::new());
    for listen in listen().captures_iter(conf) {
        let Some(port) = port_of(&listen[1]) else {
            continue;
        };
        let tls = listen[2].split_whitespace().any(|word| word == "ssl");
        ports.entry(port).or_insert_with(|| {
            let (socket, address) = reserve();
            held.push(socket);
            (address, tls)
        });
    }
    (ports, held)
}

/// With what every nginx of a test has.
fn framed(conf: &str) -> String {
    let http = "error_log stderr alert; access_log off; log_not_found off; client_body_temp_path temp; proxy_temp_path temp;\n\
                fastcgi_temp_path temp; uwsgi_temp_path temp; scgi_temp_path temp;\n";
    let main = "daemon off; master_process off; pid nginx.pid; error_log stderr notice;\n";
    let events = Regex::new(r"events\s*\{[^}]*\}").unwrap();
    let conf = events.replace(conf, "");
    let conf = match conf.split_once("http {") {
        Some((before, inside)) => format!("{before}http {{\n{http}{inside}"),
        None => format!("http {{\n{http}{conf}\n}}"),
    };
    format!("{main}events {{ worker_connections 512; }}\n{conf}")
}

fn upstream() -> Regex {
    Regex::new(r"upstream\s+(\S+)\s*\{([^}]*)\}").unwrap()
}

pub(super) fn listen() -> Regex {
    Regex::new(r"\blisten\s+([^\s;]+)([^;]*);").unwrap()
}

pub(super) fn port_of(address: &str) -> Option<u16> {
    address.parse().ok()
}

/// The `listen` of a Unix socket in `dir`, so that a server has one if it has no other; nothing for an IPv6 address.
fn socket(address: &str, dir: &Path) -> String {
    let Some(path) = address.strip_prefix("unix:") else {
        return String::new();
    };
    let name = path.rsplit('/').next().unwrap();
    format!("listen unix:{}/{name};", dir.display())
}

fn full(authority: &str, port: u16) -> String {
    match authority.contains(':') {
        true => authority.to_owned(),
        false => format!("{authority}:{port}"),
    }
}

/// The files below a directory, if there is one.
fn files(dir: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            let text = fs::read_to_string(&path).unwrap();
            found.push((path, text));
        }
    }
    found.sort();
    found
}

pub(super) fn included(dir: &Path) -> String {
    files(dir).into_iter().map(|(_, text)| text).collect()
}
