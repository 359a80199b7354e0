//! Signals that log rotation, service managers and images made for nginx send, and signals that come at an odd moment.

use std::fs::File;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use rustix::fs::Mode;
use rustix::fs::OFlags;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::DEADLINE;
use crate::support::Ending;
use crate::support::Over;
use crate::support::TestServer;
use crate::support::Upstream;
use crate::support::tunnel;

#[tokio::test]
async fn what_means_something_to_nginx_alone_does_no_harm_and_is_in_the_log() {
    let mut upstream = Upstream::scripted().await;
    let mut gate = TestServer::setup()
        .top("drain_timeout: 1s")
        .route("/", &upstream)
        .start()
        .await;
    let (mut client, mut server) = tunnel(&gate, &mut upstream, Over::Ws).await;
    for (signal, words) in [("USR1", "standard error"), ("USR2", "`reuseport: true`")] {
        gate.signal(signal);
        let name = format!("SIG{signal}");
        let line = gate
            .log()
            .find("ignored", |line| line["signal"] == name.as_str())
            .await;
        assert!(line["reason"].as_str().unwrap().contains(words), "{line}");
        assert_eq!(line["level"], "INFO");
    }
    // The system ignores the first of them, and the log is no longer written at the second.
    gate.signal("WINCH");
    gate.signal("XFSZ");
    client.send("still there").await;
    assert_eq!(server.take(11).await, b"still there");
    // In a drain no less.
    gate.signal("TERM");
    gate.log().first("draining").await;
    gate.signal("USR1");
    gate.signal("HUP");
    gate.log().first("ignored: draining").await;
    client.send("still there").await;
    assert_eq!(server.take(11).await, b"still there");
    assert_eq!(client.rest().await, (Vec::new(), Ending::Fin));
    assert_eq!(gate.finished().await.status.code(), Some(0));
}

#[tokio::test]
async fn a_signal_to_stop_that_comes_twice_at_once_is_one() {
    for second in ["TERM", "INT", "QUIT"] {
        let mut upstream = Upstream::scripted().await;
        let mut gate = TestServer::setup()
            .top("drain_timeout: 1s")
            .route("/", &upstream)
            .start()
            .await;
        let (mut client, _server) = tunnel(&gate, &mut upstream, Over::Ws).await;
        let began = Instant::now();
        gate.signal("TERM");
        gate.log().first("draining").await;
        gate.signal(second);
        assert_eq!(client.rest().await, (Vec::new(), Ending::Fin));
        let took = began.elapsed();
        assert!(took >= Duration::from_millis(950), "{took:?}");
        gate.log().first("ended").await;
        assert!(gate.log().all("ended at once").is_empty());
        assert_eq!(gate.finished().await.status.code(), Some(0));
    }
}

/// A wsgate whose file is a pipe. Dropping it ends it.
struct Reading {
    child: Child,
    pipe: File,
    _folder: TempDir,
}

impl Reading {
    /// It has begun to read, and nothing has come yet.
    fn begin() -> Self {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("routes.yaml");
        rustix::fs::mkfifoat(rustix::fs::CWD, &file, Mode::RUSR | Mode::WUSR).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_wsgate"))
            .args(["--log-format", "json"])
            .current_dir(folder.path())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let pipe = opened_by_a_reader(&file);
        Self {
            child,
            pipe,
            _folder: folder,
        }
    }

    fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        assert!(
            Command::new("sh")
                .args(["-c", &kill])
                .status()
                .unwrap()
                .success()
        );
    }

    /// What it logs up to the first line that has this message.
    fn log_up_to(&mut self, message: &str) -> Vec<Value> {
        let mut lines = Vec::new();
        for line in BufReader::new(self.child.stderr.take().unwrap()).lines() {
            let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
            let is_last = line["message"] == message;
            lines.push(line);
            if is_last {
                return lines;
            }
        }
        panic!("no {message:?} among {lines:?}");
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The writing end of a pipe, which cannot be opened before there is a reader.
fn opened_by_a_reader(file: &Path) -> File {
    let began = Instant::now();
    loop {
        let flags = OFlags::WRONLY | OFlags::NONBLOCK;
        if let Ok(pipe) = rustix::fs::open(file, flags, Mode::empty()) {
            return pipe.into();
        }
        assert!(began.elapsed() < DEADLINE, "nobody reads");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_signal_to_stop_ends_a_start_that_waits_for_its_file() {
    for name in ["TERM", "INT", "QUIT"] {
        let mut reading = Reading::begin();
        reading.signal(name);
        let line = reading.log_up_to("ended at once").pop().unwrap();
        assert_eq!(line["signal"], format!("SIG{name}"));
        assert_eq!(reading.child.wait().unwrap().code(), Some(0));
    }
}

#[test]
fn other_signals_wait_for_the_end_of_the_start() {
    let mut reading = Reading::begin();
    reading.signal("USR1");
    reading.signal("USR2");
    let yaml = "listen: [{ address: '127.0.0.1:0' }]\nroutes: [{ location: /, return: 200 }]\n";
    reading.pipe.write_all(yaml.as_bytes()).unwrap();
    reading.pipe = File::open("/dev/null").unwrap();
    let lines = reading.log_up_to("ignored");
    assert!(
        lines.iter().any(|line| line["message"] == "ready"),
        "{lines:?}"
    );
    assert_eq!(lines.last().unwrap()["signal"], "SIGUSR1");
}

#[tokio::test]
async fn too_few_descriptors_for_a_start_are_said_to_be_too_few() {
    for most in [6, 10] {
        let finished = TestServer::setup()
            .raw_route("{ location: /, return: 200 }")
            .text_log()
            .descriptors(most)
            .fail()
            .await;
        assert_eq!(finished.status.code(), Some(1));
        assert_eq!(
            finished.stderr,
            "error: not descriptors enough to start: Too many open files (os error 24)\n  \
             = help: raise the limit of descriptors (`ulimit -n`, in systemd LimitNOFILE=)\n"
        );
    }
}
