//! A real nginx with many tables: one process, one port, a `server` for each host name.

use std::fmt::Write as _;
use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

use socket2::Domain;
use socket2::Socket;
use socket2::Type;
use tempfile::TempDir;

use crate::nginx_locations::echo::Echo;
use crate::nginx_locations::table::LOCATIONS;
use crate::nginx_locations::table::Table;

/// A running nginx with tables.
#[derive(Debug)]
pub(super) struct Nginx {
    _running: Running,
    address: SocketAddr,
    _port: Socket,
}

/// A running nginx. Dropping it ends it, and nothing else.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    _dir: TempDir,
}

impl Nginx {
    /// Starts one over these tables and waits until it listens.
    pub(super) fn start<'t>(
        tables: impl IntoIterator<Item = (&'t str, &'t Table)>,
        echo: &Echo,
    ) -> Self {
        let (port, address) = reserve();
        let dir = TempDir::new().unwrap();
        fs::write(dir.path().join("nginx.conf"), conf(tables, address, echo)).unwrap();
        Self {
            _running: Running::start(dir),
            address,
            _port: port,
        }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it calls itself: `nginx version: nginx/1.22.1`.
    pub(super) fn version() -> String {
        let said = Command::new(binary()).arg("-v").output().unwrap();
        String::from_utf8(said.stderr).unwrap().trim().to_owned()
    }
}

impl Running {
    /// Starts one over the `nginx.conf` of a directory and waits until it listens. That must log notices to stderr.
    pub(crate) fn start(dir: TempDir) -> Self {
        let mut child = Command::new(binary())
            .args(["-p", "./", "-e", "stderr", "-c", "nginx.conf"])
            .current_dir(dir.path())
            .env_remove("NGINX")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut said = String::new();
        loop {
            match lines.next() {
                // It is said after `listen`.
                Some(Ok(line)) if line.contains("event method") => break,
                Some(Ok(line)) => said += &(line + "\n"),
                end => {
                    let _ = child.kill();
                    let _ = child.wait();
                    panic!("nginx does not start: {end:?}\n{said}");
                }
            }
        }
        std::thread::spawn(move || {
            for line in lines
                .map_while(Result::ok)
                .filter(|line| !line.contains("[notice]"))
            {
                eprintln!("nginx: {line}");
            }
        });
        Self { child, _dir: dir }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The binary, which distributions put where only root's PATH leads.
pub(crate) fn binary() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/usr/local/sbin".into()])
        .map(|dir| dir.join("nginx"))
        .find(|file| file.is_file())
        .expect(
            "nginx is missing, which this test compares wsgate with: install the package nginx, as tests/run does \
             (only its binary is run)",
        )
}

/// A port that is ours before nginx has it and afterwards: a socket on it that never listens.
pub(crate) fn reserve() -> (Socket, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_reuse_port(true).unwrap();
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    socket.bind(&any.into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, address)
}

/// One process that stays in front, keeps to its directory, and leaves everything else at its default.
fn conf<'t>(
    tables: impl IntoIterator<Item = (&'t str, &'t Table)>,
    address: SocketAddr,
    echo: &Echo,
) -> String {
    let mut conf = "daemon off;\nmaster_process off;\npid nginx.pid;\nerror_log stderr notice;\n\
        events { worker_connections 512; }\n\
        http {\n\
        error_log stderr alert;\naccess_log off;\nlog_not_found off;\nroot nothing;\n\
        client_body_temp_path temp;\nproxy_temp_path temp;\nfastcgi_temp_path temp;\n\
        uwsgi_temp_path temp;\nscgi_temp_path temp;\n\
        server_names_hash_max_size 8192;\nserver_names_hash_bucket_size 128;\n\
        keepalive_requests 1000000;\nkeepalive_timeout 600s;\n\
        proxy_http_version 1.1;\nproxy_set_header Connection \"\";\n"
        .to_owned();
    for number in 0..LOCATIONS {
        let upstream = echo.address(number);
        writeln!(
            conf,
            "upstream upstream{number} {{ server {upstream}; keepalive 16; keepalive_requests 1000000; }}"
        )
        .unwrap();
    }
    let mut options = " reuseport"; // said once a port
    for (host, table) in tables {
        let locations = table.for_nginx();
        writeln!(
            conf,
            "server {{\nlisten {address}{options};\nserver_name {host};\n{locations}}}"
        )
        .unwrap();
        options = "";
    }
    conf.push_str("}\n");
    conf
}
