//! The signals that wsgate hears, and what each of them means.
//!
//! Whatever would end a process by default and is sent by what stands around a proxy (service managers, log rotation, images made for
//! nginx) is heard: no tunnel ends because somebody takes wsgate for nginx. SIGPIPE is ignored by the standard library, and SIGWINCH,
//! which ends nginx' workers, by the system, since every terminal that changes its size sends it.

use std::io;
use std::time::Duration;
use std::time::Instant;

use rustix::process;
use tokio::signal::unix::Signal;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;

/// Signals to stop that come so soon behind the first are the same one: `timeout`, npm and others signal a process and its group, or
/// pass on what the group has had already. More than that, and less than it takes a person to ask a second time.
const SAME: Duration = Duration::from_millis(500);

/// What wsgate listens to.
pub(super) struct Signals {
    /// Those to stop.
    pub(super) stop: Stop,
    /// All others.
    pub(super) others: Others,
}

impl Signals {
    /// Hears everything from here on: what comes before it is asked for waits.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            stop: Stop {
                term: signal(SignalKind::terminate())?,
                int: signal(SignalKind::interrupt())?,
                quit: signal(SignalKind::quit())?,
                first: None,
            },
            others: Others {
                hup: signal(SignalKind::hangup())?,
                usr1: signal(SignalKind::user_defined1())?,
                usr2: signal(SignalKind::user_defined2())?,
                _file_size: signal(SignalKind::from_raw(process::Signal::XFSZ.as_raw()))?,
            },
        })
    }
}

/// SIGTERM, SIGINT, and SIGQUIT, which is nginx's slow stop.
pub(super) struct Stop {
    term: Signal,
    int: Signal,
    quit: Signal,
    /// When the first of them was heard.
    first: Option<Instant>,
}

impl Stop {
    /// The name of the next one that is not the same as the first.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(super) async fn next(&mut self) -> &'static str {
        loop {
            let name = tokio::select! {
                biased;
                _ = self.term.recv() => "SIGTERM",
                _ = self.int.recv() => "SIGINT",
                _ = self.quit.recv() => "SIGQUIT",
            };
            match self.first {
                Some(first) if first.elapsed() < SAME => {}
                Some(_) => return name,
                None => {
                    self.first = Some(Instant::now());
                    return name;
                }
            }
        }
    }
}

/// What wsgate is told while it serves, but for the signals to stop.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Told {
    /// SIGHUP.
    Hangup,
    /// A signal that means something to nginx and nothing here.
    Nothing {
        /// Its name.
        signal: &'static str,
        /// Why nothing is done, and what to do instead.
        reason: &'static str,
    },
}

/// The signals that do not end wsgate, though most of them would by default.
pub(super) struct Others {
    /// It reloads.
    hup: Signal,
    usr1: Signal,
    usr2: Signal,
    /// SIGXFSZ: a file, which can only be the log, is as large as the process may make one (`ulimit -f`). That the log takes nothing
    /// more is seen by its writer.
    _file_size: Signal,
}

impl Others {
    /// What the next one means.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(super) async fn next(&mut self) -> Told {
        tokio::select! {
            biased;
            _ = self.hup.recv() => Told::Hangup,
            _ = self.usr1.recv() => Told::Nothing {
                signal: "SIGUSR1",
                reason: "the log goes to standard error: there is no file to open anew",
            },
            _ = self.usr2.recv() => Told::Nothing {
                signal: "SIGUSR2",
                reason: "another binary needs a restart: start it beside this process (`reuseport: true`), then send SIGTERM here",
            },
        }
    }
}
