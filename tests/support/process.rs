//! The binary, as a process that cannot outlive its test.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Resource;
use rustix::process::getrlimit;
use rustix::process::setrlimit;

use crate::support::log::Log;
use crate::support::within;

/// Lines of the log that a failed test shows.
const SHOWN: usize = 20;

/// A running wsgate. Dropping it ends it, and nothing else.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    pub(super) log: Log,
}

/// A wsgate that has ended by itself.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) stderr: String,
}

/// Where and as whom it runs.
#[derive(Debug)]
pub(super) struct Surroundings<'a> {
    pub(super) dir: &'a Path,
    pub(super) uid: Option<u32>,
    pub(super) environment: &'a [(&'static str, String)],
    /// The limit of descriptors, hard and soft.
    pub(super) descriptors: Option<u32>,
    pub(super) stderr: Stderr,
}

/// Where its standard error leads.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Stderr {
    /// To the test.
    #[default]
    Read,
    /// Nowhere: there is no such descriptor.
    Closed,
    /// To a disk that is full.
    Full,
}

impl Process {
    pub(super) fn start(binary: &Path, args: &[&str], surroundings: &Surroundings<'_>) -> Self {
        let limit = surroundings.descriptors;
        let limit = limit.map_or(String::new(), |most| format!("ulimit -n {most} && "));
        let to = match surroundings.stderr {
            Stderr::Read => "",
            Stderr::Closed => "2>&-",
            Stderr::Full => "2>/dev/full",
        };
        let mut command = match (limit.as_str(), to) {
            ("", "") => Command::new(binary),
            _ => {
                let mut shell = Command::new("sh");
                let script = format!("{limit}exec \"$0\" \"$@\" {to}");
                shell.args(["-c", &script]).arg(binary);
                shell
            }
        };
        command
            .args(args)
            .current_dir(surroundings.dir)
            .env_remove("NO_COLOR")
            .envs(surroundings.environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        if let Some(uid) = surroundings.uid {
            command.uid(uid).gid(uid);
        }
        let mut child = command.spawn().unwrap();
        let log = Log::of(child.stderr.take());
        Self { child, log }
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn is_alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub(super) fn signal(&mut self, name: &str) {
        assert!(self.is_alive(), "it has ended already");
        let sent = Command::new("sh")
            .args(["-c", &format!("kill -{name} {}", self.id())])
            .status();
        assert!(sent.unwrap().success());
    }

    /// Waits for its end.
    pub(super) async fn finished(&mut self) -> Finished {
        let status = within("the end of the process", async {
            loop {
                if let Some(status) = self.child.try_wait().unwrap() {
                    return status;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        })
        .await;
        self.log.ended();
        let mut stderr = self.log.lines().join("\n");
        stderr.push('\n');
        Finished { status, stderr }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.log.ended();
        let lines = self.log.lines();
        if std::thread::panicking() {
            let last = &lines[lines.len().saturating_sub(SHOWN)..];
            eprintln!("wsgate wrote at last:\n{}", last.join("\n"));
        } else if let Some(at) = lines.iter().position(|line| line.contains("panicked")) {
            panic!("wsgate panicked: {}", lines[at..].join("\n"));
        }
    }
}

/// The processor time that a process has used.
pub(crate) fn cpu_time(id: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    // Behind its name, which may hold anything: state is the first, utime and stime are the 12th and 13th.
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap()
        .split_whitespace()
        .collect();
    let ticks: u64 = fields[11..13]
        .iter()
        .map(|ticks| ticks.parse::<u64>().unwrap())
        .sum();
    // USER_HZ is 100 on every Linux.
    Duration::from_millis(ticks * 10)
}

/// As many descriptors for this process as it may have.
pub(crate) fn raise_descriptor_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
}
