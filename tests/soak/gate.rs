//! wsgate as the soak has it: its file, its certificates, its process, and what it says.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::ChildStderr;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process;
use rustls_pki_types::CertificateDer;
use serde_json::Value;
use tempfile::TempDir;

use crate::authority::Authority;
use crate::process::Process;

/// Lines that are kept as they are.
const SHOWN: usize = 20;

/// What wsgate has said.
#[derive(Debug, Default)]
pub(crate) struct Log {
    /// By message.
    messages: BTreeMap<String, u64>,
    /// Warnings and errors by level, message and reason, without numbers.
    pub(crate) troubles: BTreeMap<String, u64>,
    listening: Vec<SocketAddr>,
    /// How tunnels ended that did not end in order, by the last part of their path.
    pub(crate) abrupt: HashMap<String, String>,
    /// What is no line of a log: a panic.
    pub(crate) raw: Vec<String>,
}

impl Log {
    fn take(&mut self, line: &str) {
        let Ok(line) = serde_json::from_str::<Value>(line) else {
            if self.raw.len() < SHOWN {
                self.raw.push(line.to_owned());
            }
            return;
        };
        let text = |name: &str| line[name].as_str().unwrap_or_default();
        if let ("listening", Ok(address)) = (text("message"), text("address").parse()) {
            self.listening.push(address);
        }
        if text("message") == "tunnel ended" && !text("reason").is_empty() {
            let path = text("request").split(' ').nth(1);
            let id = path.and_then(|path| path.rsplit('/').next());
            let how = format!("ended by {}: {}", text("ended_by"), text("reason"));
            self.abrupt.insert(id.unwrap_or_default().to_owned(), how);
        }
        *self.messages.entry(text("message").to_owned()).or_default() += 1;
        if text("level") != "INFO" {
            let trouble = format!("{} {}: {}", text("level"), text("message"), text("reason"));
            let mut shape = String::new();
            for character in trouble.chars() {
                let is_digit = character.is_ascii_digit();
                if !is_digit || !shape.ends_with('N') {
                    shape.push(if is_digit { 'N' } else { character });
                }
            }
            *self.troubles.entry(shape).or_default() += 1;
        }
    }
}

/// Its file, its certificates, and what it says.
#[derive(Debug)]
pub(crate) struct Gate {
    pub(crate) log: Arc<Mutex<Log>>,
    pub(crate) authority: Authority,
    pub(crate) plain: SocketAddr,
    pub(crate) tls: SocketAddr,
    dir: TempDir,
}

/// Folders that certificates stand in, below that of `routes.yaml`.
pub(crate) const FOLDERS: [&str; 2] = ["one", "other"];

impl Gate {
    /// Starts it with a file that is made for these two addresses; they are the system's at first.
    pub(crate) async fn start(
        binary: &Path,
        yaml: impl Fn(SocketAddr, SocketAddr) -> String,
    ) -> (Self, Process) {
        let dir = TempDir::new().unwrap();
        let authority = Authority::new();
        for folder in FOLDERS {
            fs::create_dir(dir.path().join(folder)).unwrap();
            renew(&authority, &dir.path().join(folder));
        }
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        fs::write(dir.path().join("routes.yaml"), yaml(any, any)).unwrap();
        let mut command = Command::new(binary);
        command
            .args(["--config", "routes.yaml", "--log-format", "json"])
            .current_dir(dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut process = Process::start(&mut command).unwrap();
        let log = Arc::<Mutex<Log>>::default();
        let stderr = process.child().stderr.take().unwrap();
        read(stderr, Arc::clone(&log));
        let listening = loop {
            if said(&log, "ready") > 0 {
                break log.lock().unwrap().listening.clone();
            }
            let ended = process.ended();
            assert!(ended.is_none(), "wsgate ended: {ended:?}, {log:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        let gate = Self {
            log,
            authority,
            plain: listening[0],
            tls: listening[1],
            dir,
        };
        (gate, process)
    }

    /// How often it has said this.
    pub(crate) fn said(&self, message: &str) -> u64 {
        said(&self.log, message)
    }

    pub(crate) fn save(&self, yaml: &str) {
        fs::write(self.dir.path().join("routes.yaml"), yaml).unwrap();
    }

    /// Puts another certificate into a folder.
    pub(crate) fn renew(&self, folder: &str) -> CertificateDer<'static> {
        renew(&self.authority, &self.dir.path().join(folder))
    }
}

/// Sends a signal to a process of ours.
pub(crate) fn signal(id: u32, signal: Signal) {
    let pid = Pid::from_raw(id.cast_signed()).expect("a process");
    kill_process(pid, signal).unwrap();
}

/// How many descriptors a process has open.
pub(crate) fn descriptors(id: u32) -> usize {
    fs::read_dir(format!("/proc/{id}/fd")).map_or(0, Iterator::count)
}

fn said(log: &Mutex<Log>, message: &str) -> u64 {
    log.lock()
        .unwrap()
        .messages
        .get(message)
        .copied()
        .unwrap_or(0)
}

fn read(stderr: ChildStderr, log: Arc<Mutex<Log>>) {
    thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            log.lock().unwrap().take(&line);
        }
    });
}

fn renew(authority: &Authority, folder: &Path) -> CertificateDer<'static> {
    let identity = authority.issue(&["localhost"]);
    let write = |name: &str, text: &str| {
        let (file, beside) = (folder.join(name), folder.join(format!("{name}.new")));
        fs::write(&beside, text).unwrap();
        fs::set_permissions(&beside, fs::Permissions::from_mode(0o600)).unwrap();
        fs::rename(beside, file).unwrap();
    };
    write("key.pem", &identity.key_pem());
    write("cert.pem", identity.pem());
    identity.der().clone()
}
