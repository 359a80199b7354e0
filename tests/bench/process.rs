//! Processes on a core of their own, and what the kernel says they took.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::time::Duration;

/// A child that ends with its value, and nothing else does.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
}

/// A command that runs on `core` alone, with as many descriptors as it may have.
pub(crate) fn on_core(core: usize, program: &Path) -> Command {
    let mut command = Command::new("sh");
    command
        .args([
            "-c",
            r#"ulimit -n "$(ulimit -Hn)"; exec taskset -c "$0" "$@""#,
        ])
        .arg(core.to_string())
        .arg(program);
    command
}

impl Process {
    pub(crate) fn start(command: &mut Command) -> io::Result<Self> {
        Ok(Self {
            child: command.spawn()?,
        })
    }

    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<String> {
        self.child
            .try_wait()
            .ok()
            .flatten()
            .map(|status| status.to_string())
    }

    /// The process and its children, as nginx has them.
    fn family(&self) -> Vec<u32> {
        let own = self.child.id();
        let children = fs::read_to_string(format!("/proc/{own}/task/{own}/children"));
        children
            .unwrap_or_default()
            .split_whitespace()
            .filter_map(|id| id.parse().ok())
            .chain([own])
            .collect()
    }

    /// Time on a processor so far, by the scheduler's account of every thread.
    pub(crate) fn cpu(&self) -> Duration {
        let nanoseconds = |id: u32| -> u64 {
            let Ok(threads) = fs::read_dir(format!("/proc/{id}/task")) else {
                return 0;
            };
            threads
                .flatten()
                .filter_map(|thread| fs::read_to_string(thread.path().join("schedstat")).ok())
                .filter_map(|stat| stat.split(' ').next()?.parse::<u64>().ok())
                .sum()
        };
        Duration::from_nanos(self.family().into_iter().map(nanoseconds).sum())
    }

    /// Memory that belongs to it alone, in KiB.
    pub(crate) fn memory(&self) -> f64 {
        let private = |id: u32| -> f64 {
            fs::read_to_string(format!("/proc/{id}/smaps_rollup"))
                .unwrap_or_default()
                .lines()
                .filter(|line| line.starts_with("Private_"))
                .filter_map(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok())
                .sum()
        };
        self.family().into_iter().map(private).sum()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // nginx's worker must not outlive its master: the master is asked, not killed.
        let id = self.child.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &id]).status();
        let _ = self.child.wait();
    }
}

/// How many descriptors a process here can have.
pub(crate) fn descriptors() -> usize {
    fs::read_to_string("/proc/self/limits")
        .unwrap_or_default()
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))
        .and_then(|rest| rest.split_whitespace().nth(1)?.parse().ok())
        .unwrap_or(1024)
}
